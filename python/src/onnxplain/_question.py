"""A question in the library's terms: the method, its parameters, the target, and how to run it."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._errors import InvalidArgument
from ._explainers import Key, Progress
from ._inputs import Given, Input, Loading, Preprocess, Reader, Shapes, as_array, is_image
from ._library import describe, encode, strings
from ._methods import RESERVED, method, name_of

Target = int | str
Names = str | Sequence[str]
COLOURS = ("black", "grey", "white")


@dataclass(slots=True)
class Question:
    """What Model.explain was asked, but for the inputs. Its fields are keywords of Model.explain."""

    method: str | None = "saliency"  # None: predictions only
    target: Target | None = None
    contrast: Target | None = None
    space: str | None = None
    layer: Names | None = None
    wrt: Names | None = None
    precision: str | None = None
    threads: int | None = None
    max_memory: int | None = None
    top_k: int | None = None
    optimise: bool = True
    preprocess: Preprocess | None = None
    layout: str | None = None
    shapes: Shapes | None = None
    progress: Progress | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, method: str | None, options: Mapping[str, Any]) -> Question:
        """Options by name; what is none of ours is a parameter of the method."""
        ours = {k: v for k, v in options.items() if k in RESERVED}
        more = {k: v for k, v in options.items() if k not in RESERVED}
        ours["parameters"] = {**(ours.get("parameters") or {}), **more}
        return cls(method, **ours)

    @property
    def loading(self) -> Loading:
        return Loading(self.preprocess, self.layout, self.shapes)

    def share(self, names: Sequence[str]) -> list[Question]:
        """One question for each of several methods: each takes the options that are its own. Parameters of a
        method that another one samples go to that other one."""
        if len(names) == 1:
            return [replace(self, method=names[0])]
        found = [method(name) for name in names]
        own = [{p.name for p in m.parameters} for m in found]
        known = set().union(*own)
        for word in self.parameters:
            if name_of(word) not in known and "method" not in known:
                raise InvalidArgument(f"none of {', '.join(names)} has a parameter '{word}'")
        shared = []
        for m, ours in zip(found, own, strict=True):
            sampler = "method" in ours
            taken = {
                word: value
                for word, value in self.parameters.items()
                if name_of(word) in ours or (sampler and name_of(word) not in known)
            }
            layer = self.layer if m.needs_layer or sampler else None
            wrt = None if m.needs_layer == 1 else self.wrt
            shared.append(replace(self, method=m.name, parameters=taken, layer=layer, wrt=wrt))
        return shared


def listed(names: Names | None) -> list[str]:
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def target_text(target: Target | None) -> bytes | None:
    if target is None:
        return None
    if isinstance(target, (bool, np.bool_)) or not isinstance(target, (int, np.integer, str)):
        raise InvalidArgument(f"a target is a class number or a text, found {target!r}")
    return encode(str(target))


def _tensor_of(target: Target | None) -> str:
    """The tensor that a target names: another one is another graph."""
    text = str(target)
    return text[4:] if text.startswith("sum:") else text[: text.rfind("[")] if text.endswith("]") else ""


# ---- parameters ----


def number_text(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return repr(float(value)).removesuffix(".0") if isinstance(value, (float, np.floating)) else str(value)


def _is_baseline(value: object) -> bool:
    """What has to be handed over as an array."""
    return (
        isinstance(value, (np.ndarray, Input, bytes, Mapping))
        or is_image(value)
        or hasattr(value, "__fspath__")
    )


class Baselines:
    """Arrays that stand for words of our own in the parameters `baseline` and `baselines`."""

    def __init__(self, reader: Reader, given: Given, question: Question, inner: str | None) -> None:
        self.reader, self.given, self.loading, self.inner = reader, given, question.loading, inner
        self.arrays: list[tuple[str, NDArray[Any]]] = []

    def _add(self, tensor: str, value: object) -> None:
        index = self.reader.names.index(tensor) if tensor in self.reader.names else None
        part = as_array(value) if index is None else self.reader.one(value, index, self.loading)
        self.arrays.append((tensor, part.array if isinstance(part, Input) else part))

    def word(self, value: object) -> str:
        """The text for one baseline."""
        colour = isinstance(value, str) and value in COLOURS and self.inner is None
        if not colour and not _is_baseline(value):
            return number_text(value)
        if colour:
            if not self.given.pictures or not self.given.pictures[0].is_picture:
                raise InvalidArgument(
                    f"baseline '{value}' is the colour of a picture, but the input is an array"
                )
            self.arrays.append(
                (self.reader.names[self.given.shown], self.given.pictures[0].fill(str(value)).array)
            )
        elif isinstance(value, Mapping):
            for tensor, part in value.items():
                self._add(tensor, part)
        else:
            self._add(self.inner or self.reader.names[self.given.shown], value)
        return f"given{len(self.arrays)}"

    def text(self, value: object) -> str:
        if isinstance(value, str):
            return ",".join(self.word(word) for word in value.split(","))
        return ",".join(self.word(v) for v in value) if isinstance(value, (list, tuple)) else self.word(value)

    @property
    def key(self) -> Hashable:
        return tuple((n, a.shape, a.dtype.num, hashlib.blake2b(a.tobytes()).digest()) for n, a in self.arrays)


def parameter_texts(q: Question, baselines: Baselines) -> list[str]:
    """The parameters as the library reads them, "name=value"."""
    texts = []
    for word, value in q.parameters.items():
        if value is None:
            continue
        name = name_of(word)
        if name in ("baseline", "baselines"):
            text = baselines.text(value)
        elif isinstance(value, (list, tuple, np.ndarray)):
            text = ",".join(number_text(v) for v in value)
        else:
            text = number_text(value)
        texts.append(f"{name}={text}")
    return texts


class Compiled:
    """What an explainer is made from, and under which key it can be used again."""

    __slots__ = ("baselines", "key", "layers", "question", "texts", "wrt")

    def __init__(self, q: Question, reader: Reader, given: Given) -> None:
        self.question, self.layers, self.wrt = q, listed(q.layer), listed(q.wrt)
        at_input = any(name_of(word) == "baseline-at" and at == "input" for word, at in q.parameters.items())
        inner = self.wrt[0] if len(self.wrt) == 1 and not at_input else None
        self.baselines = Baselines(reader, given, q, inner)
        self.texts = parameter_texts(q, self.baselines)
        asked = (
            q.method, *self.texts, None, *self.layers, None, *self.wrt, q.space, q.precision, q.threads,
            q.max_memory, q.top_k, q.optimise, _tensor_of(q.target), q.contrast is None, self.baselines.key,
        )  # fmt: skip
        self.key = Key(asked, given.key)

    def options(self) -> tuple[_abi.oxp_explain_options, list[NDArray[Any]]]:
        """And the arrays that they point to."""
        q, arrays = self.question, self.baselines.arrays
        o = _abi.oxp_explain_options(struct_size=ctypes.sizeof(_abi.oxp_explain_options))
        o.method, o.predict_only = (None, 1) if q.method is None else (encode(q.method), 0)
        o.params, o.n_params = strings(self.texts), len(self.texts)
        o.layers, o.n_layers = strings(self.layers), len(self.layers)
        o.wrt, o.n_wrt = strings(self.wrt), len(self.wrt)
        o.space = None if q.space is None else encode(q.space)
        o.precision = None if q.precision is None else encode(q.precision)
        o.threads, o.max_memory, o.top_k = q.threads or 0, q.max_memory or 0, q.top_k or 0
        o.no_optimise = int(not q.optimise)
        handed = (_abi.oxp_array * len(arrays))()
        keep = [describe(to, encode(name), array) for to, (name, array) in zip(handed, arrays, strict=True)]
        o.baselines, o.n_baselines = handed, len(arrays)
        return o, keep
