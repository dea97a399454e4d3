"""Methods and their parameters, as the library lists them."""

from __future__ import annotations

import difflib
import functools
import keyword
from dataclasses import dataclass
from typing import Any

from ._abi import ParamType
from ._errors import InvalidArgument
from ._library import encode, lib

#: keywords of Model.explain itself: a parameter of the same name gets a trailing underscore
RESERVED = frozenset({
    "method", "target", "contrast", "space", "layer", "wrt", "precision", "threads", "max_memory", "top_k",
    "optimise", "preprocess", "layout", "shapes", "progress", "parameters",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method."""

    name: str  #: as the library spells it, "baseline-at"
    keyword: str  #: as a keyword argument, "baseline_at"
    sentence: str
    type: ParamType
    default: bool | int | float | str
    min: float
    max: float
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """What a method computes, from which paper, at what cost, and what it is known not to show."""

    name: str
    title: str
    sentence: str
    definition: str
    paper: str
    family: str
    needs_layer: int  #: 1: the map is a layer's, enlarged to the input; 2: the input's, helped by a layer
    is_signed: bool
    is_contrastive: bool
    is_main: bool  #: compared unless others are asked for
    equals: str  #: the peer whose numbers it gives, "" if none has it
    cost: str
    weakness: str
    parameters: tuple[Parameter, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}", self.sentence, "", f"  {self.definition}", ""]
        lines += [f"cost: {self.cost}", f"weakness: {self.weakness}", f"paper: {self.paper}"]
        lines += [f"the same numbers as {self.equals}"] if self.equals else []
        for p in self.parameters:
            lines.append(f"  {p.keyword}={p.default!r}  {p.sentence}")
            lines += [f"      one of {', '.join(p.choices)}"] if p.choices else []
        return "\n".join(lines)


def keyword_of(name: str) -> str:
    word = name.replace("-", "_")
    return word + "_" if word in RESERVED or keyword.iskeyword(word) else word


def name_of(word: str) -> str:
    """The other way round."""
    return word.removesuffix("_").replace("_", "-")


def value_of(kind: ParamType, text: str) -> bool | int | float | str:
    if kind == ParamType.BOOL:
        return text == "true"
    if kind == ParamType.INT:
        return int(text)
    return float(text) if kind == ParamType.FLOAT else text


def _parameter(method: int, index: int) -> Parameter:
    info = lib.oxp_method_param(method, index).contents
    kind, name = ParamType(info.type), info.name.decode()
    return Parameter(
        name=name,
        keyword=keyword_of(name),
        sentence=info.sentence.decode(),
        type=kind,
        default=value_of(kind, info.default_text.decode()),
        min=info.min,
        max=info.max,
        choices=tuple((info.choices or b"").decode().split(",")) if kind == ParamType.CHOICE else (),
    )


def _method(index: int) -> Method:
    info: Any = lib.oxp_method_get(index).contents
    family = lib.oxp_method_family_of(index).contents
    return Method(
        name=info.name.decode(),
        title=info.title.decode(),
        sentence=info.sentence.decode(),
        definition=info.definition.decode(),
        paper=(info.paper or b"").decode(),
        family=family.name.decode(),
        needs_layer=info.needs_layer,
        is_signed=bool(info.is_signed),
        is_contrastive=bool(info.is_contrastive),
        is_main=bool(info.is_main),
        equals=(info.equals or b"").decode(),
        cost=(info.cost or b"").decode(),
        weakness=(info.weakness or b"").decode(),
        parameters=tuple(_parameter(index, k) for k in range(info.param_count)),
    )


@functools.cache
def methods() -> tuple[Method, ...]:
    """All methods, grouped by family."""
    return tuple(_method(i) for i in range(lib.oxp_method_count()))


def method(name: str) -> Method:
    """One method by name."""
    index: int = lib.oxp_method_find(encode(name))
    if index < 0:
        words = {m.name.replace("-", ""): m.name for m in methods()}
        near = difflib.get_close_matches(name.replace("-", "").replace("_", ""), words, 1)
        hint = f"did you mean '{words[near[0]]}'?" if near else "onnxplain.methods() lists them"
        raise InvalidArgument(f"there is no method '{name}': {hint}")
    return methods()[index]
