"""Models: opened once, shared by threads, asked any number of times."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from numpy.typing import NDArray

from . import _abi
from ._errors import InvalidArgument
from ._explain import Estimate, Explains
from ._explainers import Explainer, Key, Pool, Runner
from ._inputs import Given, Input, Inputs, Loading, Preprocess, Reader, Shapes
from ._library import NAMES, Handle, call, encode, encode_path, lib, strings, text_of, view
from ._question import Compiled, Names, Question, Target, listed, target_text
from ._result import Result


class TensorInfo(NamedTuple):
    """An input or output of a model."""

    name: str
    dtype: str
    #: an axis that is left open is its name ("batch") or None; None: even the rank is open
    shape: tuple[int | str | None, ...] | None


def _info(array: _abi.oxp_array, axis: Callable[[int], bytes | None]) -> TensorInfo:
    dims: list[int | str | None] = []
    for i, dim in enumerate(array.dims[: max(array.rank, 0)]):
        name = axis(i) if dim < 0 else None
        dims.append(name.decode(errors="replace") if name else dim if dim >= 0 else None)
    dtype = NAMES.get(array.dtype, _abi.Dtype(array.dtype).name.lower())
    return TensorInfo(array.name.decode(), dtype, None if array.rank < 0 else tuple(dims))


class Layer(NamedTuple):
    """A tensor that methods which need a layer can use."""

    name: str
    shape: tuple[int, ...]  #: for a batch of one


class Model(Explains):
    """An ONNX model. Labels and preprocessing are read from beside the file.

    - `source`: a path, the bytes of a model, or an onnx.ModelProto.
    - `labels`: a file with one class name per line, a config.json, or a list of names (None: no name).
    - `vocabulary`: a vocab.txt or tokenizer.json, for pictures of models that take token ids.
    - `max_memory`: bytes that one run may use.
    - `external_dir`: where a model given as bytes has its external data.
    - `log`: called with (topic, line).
    - `cache`: how many compiled methods are kept for later calls.

    In a `with` statement the model is closed at the end.
    """

    __slots__ = ("_handle", "_pool", "_reader", "inputs", "outputs")

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]

    def __init__(
        self,
        source: Any,
        *,
        labels: str | os.PathLike[str] | Sequence[str | None] | None = None,
        vocabulary: str | os.PathLike[str] | None = None,
        max_memory: int | None = None,
        external_dir: str | os.PathLike[str] | None = None,
        log: Callable[[str, str], object] | None = None,
        cache: int = 16,
    ) -> None:
        o = _abi.oxp_model_options(
            struct_size=ctypes.sizeof(_abi.oxp_model_options), max_memory=max_memory or 0
        )
        o.external_dir = None if external_dir is None else encode_path(external_dir)
        told = None  # lives as long as the library's model
        if log is not None:
            o.log = told = _abi.oxp_log_fn(
                lambda topic, line, _: log(topic.decode(), line.decode(errors="replace"))
            )
        if hasattr(source, "SerializeToString"):
            source = source.SerializeToString()
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
            arguments: tuple[Any, ...] = ("oxp_model_open_memory", data, len(data), ctypes.byref(o))
            self._handle = Handle.make("model", *arguments, keep=(data, told))
        else:
            self._handle = Handle.make(
                "model", "oxp_model_open", encode_path(source), ctypes.byref(o), keep=told
            )
        pointer = self._handle.pointer
        self._pool = Pool(cache)
        self.inputs = [
            _info(lib.oxp_model_input(pointer, i), partial(lib.oxp_model_input_axis, pointer, i))
            for i in range(lib.oxp_model_input_count(pointer))
        ]
        self.outputs = [
            _info(lib.oxp_model_output(pointer, i), partial(lib.oxp_model_output_axis, pointer, i))
            for i in range(lib.oxp_model_output_count(pointer))
        ]
        ranks = [-1 if i.shape is None else len(i.shape) for i in self.inputs]
        self._reader = Reader(self._handle, [i.name for i in self.inputs], ranks)
        if labels is not None:
            self._load_labels(labels)
        if vocabulary is not None:
            call("oxp_model_load_vocabulary", pointer, encode_path(vocabulary))

    def _load_labels(self, labels: str | os.PathLike[str] | Sequence[str | None]) -> None:
        if isinstance(labels, (str, os.PathLike)):
            call("oxp_model_load_labels", self._handle.pointer, encode_path(labels))
            return
        texts = strings(labels)
        call("oxp_model_set_labels", self._handle.pointer, texts, len(texts))

    # ---- what it is ----

    def label(self, index: int) -> str | None:
        """The name of a class; None: not known."""
        with self._handle as pointer:
            text = lib.oxp_model_label(pointer, index)
            return None if text is None else str(text.decode(errors="replace"))

    @property
    def labels(self) -> list[str | None]:
        """The names of the classes, where they are known."""
        with self._handle as pointer:
            return [self.label(i) for i in range(lib.oxp_model_label_count(pointer))]

    @property
    def tensors(self) -> list[str]:
        """Every tensor that can be fed, asked for, attributed to, or a target, in the order of the graph."""
        with self._handle as pointer:
            count = range(lib.oxp_model_tensor_count(pointer))
            return [lib.oxp_model_tensor(pointer, i).decode(errors="replace") for i in count]

    def word(self, id: int) -> str | None:
        """The word behind a token id, as pictures show it; None: not known."""
        with self._handle as pointer:
            text = lib.oxp_model_word(pointer, int(id), None)
            return None if text is None else str(text.decode(errors="replace"))

    def layers(self, *, shapes: Shapes | None = None) -> list[Layer]:
        """What methods that need a layer can use, the automatic choice first."""
        return [Layer(t["tensor"], tuple(t["shape"])) for t in self.facts(shapes=shapes)["layers"]]

    def facts(self, *, shapes: Shapes | None = None) -> dict[str, Any]:
        """Inputs, outputs, score, gradients, layers and attention maps, as Python values."""
        found: dict[str, Any] = json.loads(self.inspect("json", shapes=shapes))
        return found

    def inspect(self, view: str = "summary", *, shapes: Shapes | None = None) -> str:
        """Text about the model: "summary", "ops", "layers", "ir", "plan", or the facts as "json"."""
        texts = strings(f"{name}={','.join(map(str, dims))}" for name, dims in (shapes or {}).items())
        with self._handle as pointer:
            return text_of("oxp_inspect", pointer, encode(view), texts, len(texts))

    def __repr__(self) -> str:
        def shown(tensors: list[TensorInfo]) -> str:
            return ", ".join(f"{t.name} {t.dtype}{list(t.shape or ['?'])}" for t in tensors)

        if not self._handle.is_open:
            return "<onnxplain.Model, closed>"
        return f"<onnxplain.Model {shown(self.inputs)} -> {shown(self.outputs)}>".replace("'", "")

    # ---- inputs ----

    def load(
        self,
        picture: Any,
        *,
        input: str | None = None,
        preprocess: Preprocess | None = None,
        layout: str | None = None,
        shapes: Shapes | None = None,
    ) -> Input:
        """A picture (path, bytes, Pillow image, uint8 pixels) or .npy file made ready for the model; for
        use as an input, or to see what was done."""
        self._check_open()
        index = 0 if input is None else self._reader.place(input)
        return self._reader.load(picture, index, Loading(preprocess, layout, shapes))

    def _check_open(self) -> None:
        if not self._handle.is_open:
            raise InvalidArgument("the model is closed")

    def _read(self, inputs: Inputs, loading: Loading) -> Given:
        self._check_open()
        return self._reader.read(inputs, loading)

    # ---- questions ----

    def _explainer(self, question: Question, given: Given) -> tuple[Key, Explainer]:
        compiled = Compiled(question, self._reader, given)
        explainer: Any = self._pool.take(compiled.key)
        if explainer is None:
            options, _keep = compiled.options()
            explainer = Explainer(self._handle, options)
        return compiled.key, explainer

    def _answer(self, given: Given, question: Question) -> Result:
        target, contrast = target_text(question.target), target_text(question.contrast)
        key, explainer = self._explainer(question, given)
        try:
            handle = explainer.explain(given, target, contrast, question.progress)
        finally:
            self._pool.give(key, explainer)
        return Result(handle, self._handle, self._reader, given)

    def _estimate(self, given: Given, question: Question) -> Estimate:
        key, explainer = self._explainer(question, given)
        try:
            cost = explainer.cost(given)
        finally:
            self._pool.give(key, explainer)
        return Estimate(*(getattr(cost, field) for field in Estimate._fields))

    def gradient(
        self,
        inputs: Inputs,
        /,
        target: Target | None = None,
        *,
        wrt: Names | None = None,
        space: str = "output",
        **options: Any,
    ) -> dict[str, NDArray[Any]]:
        """Raw derivatives of the target by every tensor of `wrt` (default: the inputs), by name. `space`:
        what is differentiated: the model's "output" (default), the "logit" or "prob" behind a class."""
        question = Question.of("saliency", {**options, "target": target, "wrt": wrt, "space": space})
        return self._ask(inputs, question).attributions

    def run(
        self,
        inputs: Inputs = None,
        /,
        outputs: Names | None = None,
        feeds: Mapping[str, Any] | None = None,
        *,
        precision: str | None = None,
        threads: int | None = None,
        preprocess: Preprocess | None = None,
        layout: str | None = None,
        shapes: Shapes | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Any cut forward: tensors named in `outputs` (default: the model's), by name, from the inputs and
        from `feeds`, which replace tensors inside."""
        self._check_open()
        names = listed(outputs)
        given = self._reader.read(
            {} if inputs is None else inputs, Loading(preprocess, layout, shapes), feeds
        )
        o = _abi.oxp_run_options(struct_size=ctypes.sizeof(_abi.oxp_run_options), threads=threads or 0)
        o.precision = None if precision is None else encode(precision)
        key = Key(("run", *names, precision, threads), given.key)
        runner: Any = self._pool.take(key) or Runner(self._handle, names, o)
        try:
            values = runner.run(given)
        finally:
            self._pool.give(key, runner)
        found = [lib.oxp_values_get(values.pointer, i) for i in range(lib.oxp_values_count(values.pointer))]
        return {v.name.decode(): view(v, values) for v in found}

    # ---- end ----

    def clear_cache(self) -> None:
        """Frees what was compiled for earlier calls."""
        self._pool.clear()

    def close(self) -> None:
        """Ends the model; results stay as they are, and its memory goes with the last of them."""
        self._pool.clear(close=True)
        self._handle.release()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self._pool.clear(close=True)
