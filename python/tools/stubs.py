"""Writes _explain.pyi: what type checkers and editors know of Model.explain, from the library's own tables.

    python stubs.py --package build/python --out _explain.pyi

One signature per method, with its parameters, their types, defaults and sentences; so a parameter that a
method does not have is an error before anything runs.
"""

import argparse
import inspect
import pathlib
import sys
import textwrap
from dataclasses import fields

args = argparse.ArgumentParser()
args.add_argument("--package", required=True, help="the folder that holds the package")
args.add_argument("--out", type=pathlib.Path, required=True)
args = args.parse_args()
sys.path.insert(0, args.package)

import onnxplain  # noqa: E402
from onnxplain import _abi, _explain, _question  # noqa: E402

BASELINE = "Baseline"
NUMBERS = "str | float | Sequence[float]"
HEADER = '''"""Model.explain and what takes the same options. Made by tools/stubs.py from the library."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, overload

from ._explainers import Progress
from ._inputs import Given, Inputs, Loading, Preprocess, Shapes
from ._question import Names, Question, Target
from ._result import Comparison, Prediction, Result

#: numbers or words of the library's; black, grey, white; an array, a picture, or a dict of them by tensor
Baseline = Any
'''


def type_of(p):
    if p.type == _abi.ParamType.CHOICE:
        return f"Literal[{', '.join(map(repr, p.choices))}]".replace("'", '"')
    if p.type == _abi.ParamType.TEXT:
        return BASELINE if p.name in ("baseline", "baselines") else NUMBERS
    return {_abi.ParamType.FLOAT: "float", _abi.ParamType.INT: "int", _abi.ParamType.BOOL: "bool"}[p.type]


def literal(value):
    return repr(value).replace("'", '"')


def options(skip=()):
    """The fields of Question as keyword arguments."""
    for f in fields(_question.Question):
        if f.name != "method" and f.name not in skip:
            default = "None" if f.name == "parameters" or f.default is None else literal(f.default)
            kind = "Mapping[str, Any] | None" if f.name == "parameters" else _explain.annotation(f)
            yield f"{f.name}: {kind} = {default},"


def docstring(text, parameters=()):
    indent = " " * 8
    wrapped = [textwrap.fill(text, 110, initial_indent=indent + '"""', subsequent_indent=indent)]
    for p in parameters:
        line = f"{p.keyword}: {p.sentence}"
        wrapped.append(textwrap.fill(line, 110, initial_indent=indent, subsequent_indent=indent + "    "))
    return "\n".join(wrapped[:1] + [""] * bool(parameters) + wrapped[1:]) + '"""'


def overload(m):
    yield "    @overload"
    yield "    def explain("
    default = ' = "saliency"' if m.name == "saliency" else ""
    yield f'        this, inputs: Inputs, /, method: Literal["{m.name}"]{default}, *,'
    yield from (f"        {line}" for line in options())
    yield from (f"        {p.keyword}: {type_of(p)} = {literal(p.default)}," for p in m.parameters)
    yield "    ) -> Result:"
    yield docstring(f"{m.title}: {m.sentence} Cost: {m.cost}.", m.parameters)


def plain(name, own, result, skip=(), more="**method_parameters: Any"):
    doc = inspect.getdoc(getattr(_explain.Explains, name)).split("\n\n")[0].replace("\n", " ")
    yield f"    def {name}("
    yield f"        this, {own}"
    yield from (f"        {line}" for line in options(skip))
    yield f"        {more}," if more else ""
    yield f"    ) -> {result}:"
    yield docstring(doc)


def lines():
    methods = onnxplain.methods()
    yield HEADER
    yield "MethodName = Literal["
    yield from (f'    "{m.name}",' for m in methods)
    yield "]\n"
    yield "class Estimate(NamedTuple):"
    yield from (f"    {name}: int" for name in _explain.Estimate._fields)
    yield "\nclass Explains:"
    yield "    def _read(self, inputs: Inputs, loading: Loading) -> Given: ..."
    yield "    def _answer(self, given: Given, question: Question) -> Result: ..."
    yield "    def _estimate(self, given: Given, question: Question) -> Estimate: ..."
    yield "    def _ask(self, inputs: Inputs, question: Question) -> Result: ..."
    for m in methods:
        yield from overload(m)
    yield "    @overload"
    yield "    def explain("
    yield "        this, inputs: Inputs, /, method: str, *,"
    yield from (f"        {line}" for line in options())
    yield "    ) -> Result:"
    yield docstring(
        "A method whose name is known when the program runs; its parameters go into `parameters`."
    )
    yield from plain("predict", "inputs: Inputs, /, top_k: int = 3, *,", "list[Prediction]", ("top_k",), None)
    many = 'method: MethodName | Sequence[str] = "saliency", *, batch: int = 1,'
    yield from plain("explain_many", f"inputs: Iterable[Inputs], /, {many}", "Iterator[Result]")
    yield from plain("compare", "inputs: Inputs, /, method: Sequence[str] | None = None, *,", "Comparison")
    yield from plain("estimate", 'inputs: Inputs, /, method: MethodName | str = "saliency", *,', "Estimate")
    yield "\ndef one_name(method: str) -> str: ..."
    yield "def join(items: list[Any]) -> Any: ..."


args.out.write_text("\n".join(lines()) + "\n")
