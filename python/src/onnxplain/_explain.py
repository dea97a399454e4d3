"""Model.explain and what takes the same options. Type checkers see _explain.pyi instead, which is made from
the library's tables: one signature per method, with its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from itertools import islice
from typing import Any, NamedTuple

from ._errors import Error, InvalidArgument, LimitExceeded, Unsupported
from ._inputs import Given, Inputs, Loading
from ._methods import methods
from ._question import Question, listed
from ._result import Comparison, Prediction, Result


class Estimate(NamedTuple):
    """What one call would cost."""

    passes: int  #: runs of the compiled graph
    flops: int  #: of one pass; a multiply-add counts 2
    workspace_bytes: int  #: planned memory of a pass
    weight_bytes: int  #: packed weights, shared by all methods on the model
    steps: int  #: kernels per pass
    reorders: int  #: copies among them made only to change a layout


class Explains:
    """The part of a model that takes methods."""

    __slots__ = ()

    def _read(self, inputs: Inputs, loading: Loading) -> Given:
        raise NotImplementedError

    def _answer(self, given: Given, question: Question) -> Result:
        raise NotImplementedError

    def _estimate(self, given: Given, question: Question) -> Estimate:
        raise NotImplementedError

    def _ask(self, inputs: Inputs, question: Question) -> Result:
        return self._answer(self._read(inputs, question.loading), question)

    def explain(self, inputs: Inputs, /, method: str = "saliency", **options: Any) -> Result:
        """What of the inputs made the model answer as it did.

        `inputs`: a picture (path, bytes, Pillow image, uint8 pixels), an array as the model takes it, a list
        of either (a batch), or a dict of those by the names of the model's inputs. A picture gives maps
        without a batch axis; arrays and lists give maps with one, and `result[i]` is an item.

        - `target`: a class number or label; "top1" (default) to "topK"; an element of tensor a, "a[0,5]";
          "sum:a".
        - `contrast`: why the target and not this; "" is the runner-up.
        - `space`: "logit" (default), "prob", or "output" as the model gives it.
        - `layer`: of methods that need one; default: found. `wrt`: tensors to attribute to; default: inputs.
        - `precision`: "f32" or "f64", slow. `threads`: default all cores. `max_memory`: bytes a run may use.
        - `top_k`: classes reported, default 3. `optimise`: False turns folding and fusing off.
        - `preprocess`: how pictures are made ready, where the files beside the model do not say: a preset, a
          JSON file, or settings by name. `layout`: "NCHW" or "NHWC". `shapes`: of inputs left open, by name.
        - `progress`: called with (what, done, total), where returning False cancels; or a bar like tqdm's.
        - `parameters`: of the method, for programs that have them in a dict.

        Everything else is a parameter of the method: see onnxplain.method(NAME).
        """
        return self._ask(inputs, Question.of(one_name(method), options))

    def predict(self, inputs: Inputs, /, top_k: int = 3, **options: Any) -> list[Prediction]:
        """The likeliest classes of one item, best first. Options: as of explain."""
        return self._ask(inputs, Question.of(None, {**options, "top_k": top_k})).top

    def explain_many(
        self,
        inputs: Iterable[Inputs],
        /,
        method: str | Sequence[str] = "saliency",
        *,
        batch: int = 1,
        **options: Any,
    ) -> Iterator[Result]:
        """Results one by one, in the order of the inputs and then of the methods; `batch` inputs are run
        together. Of several methods each takes the options that are its own."""
        questions = Question.of(None, options).share(listed(method))
        if not questions:
            raise InvalidArgument("there is nothing to explain with: name at least one method")
        if batch < 1:
            raise InvalidArgument(f"batch must be 1 or more, found {batch}")
        return self._explain_all(iter(inputs), questions, batch)

    def _explain_all(
        self, inputs: Iterator[Inputs], questions: list[Question], batch: int
    ) -> Iterator[Result]:
        while items := list(islice(inputs, batch)):
            given = self._read(join(items), questions[0].loading)
            results = [self._answer(given, question) for question in questions]
            for item in range(len(results[0])):
                yield from (r[item] for r in results)

    def compare(self, inputs: Inputs, /, method: Sequence[str] | None = None, **options: Any) -> Comparison:
        """Several methods on one input, as a sheet; by default the common ones. Methods that do not apply
        are passed over and named in `refused`."""
        results, refused = [], {}
        first: Error | None = None
        names = [m.name for m in methods() if m.is_main] if method is None else listed(method)
        asked = Question.of(None, options)
        given = self._read(inputs, asked.loading)
        for question in asked.share(names):
            try:
                results.append(self._answer(given, question))
            except (InvalidArgument, Unsupported, LimitExceeded) as error:
                refused[str(question.method)] = str(error)
                first = first or error
        if first is not None and not results:
            raise first
        return Comparison(results, refused)

    def estimate(self, inputs: Inputs, /, method: str = "saliency", **options: Any) -> Estimate:
        """What explain would cost with the same arguments; runs nothing."""
        question = Question.of(one_name(method), options)
        return self._estimate(self._read(inputs, question.loading), question)


def one_name(method: str) -> str:
    if not isinstance(method, str):
        raise InvalidArgument(f"a method is a name, found {method!r}: explain_many and compare take several")
    return method


def join(items: list[Any]) -> Any:
    """Several inputs as one batch."""
    if len(items) == 1:
        return items[0]
    if isinstance(items[0], Mapping):
        return {name: [item[name] for item in items] for name in items[0]}
    return items


# ---- signatures and help, from the fields of Question and the library's tables ----


def annotation(f: Field[Any]) -> str:
    return str(f.type)


def _sign(function: Any, skip: Sequence[str] = ()) -> None:
    own = [p for p in inspect.signature(function).parameters.values() if p.name != "options"]
    kind = inspect.Parameter.KEYWORD_ONLY
    names = {p.name for p in own}
    more = [
        inspect.Parameter(
            f.name, kind, default=None if f.default is MISSING else f.default, annotation=annotation(f)
        )
        for f in fields(Question)
        if f.name not in names and f.name not in skip
    ]
    rest = inspect.Parameter("method_parameters", inspect.Parameter.VAR_KEYWORD)
    function.__signature__ = inspect.Signature([*own, *more, rest])


for _function in (Explains.explain, Explains.explain_many, Explains.compare, Explains.estimate):
    _sign(_function)
_sign(Explains.predict, ["method"])
_names = [f"  {m.name + ':':32} {m.sentence}" for m in methods()]
Explains.explain.__doc__ = f"{inspect.getdoc(Explains.explain)}\n\nMethods:\n" + "\n".join(_names)
