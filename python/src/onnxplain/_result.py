"""What an explanation says: maps, scores, checks, pictures. Arrays are views of the library's memory."""

from __future__ import annotations

import base64
import ctypes
import html
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from . import _abi
from ._errors import InvalidArgument
from ._inputs import Given, Input, Reader
from ._library import Handle, blob_of, call, encode, encode_path, lib, text_of, view


@dataclass(frozen=True, slots=True)
class Prediction:
    """One of the classes that the model found likeliest."""

    index: int
    label: str | None
    score: float
    probability: float  #: NaN when the model has none


class Checks(NamedTuple):
    """How far the attributions are from what they should add up to; NaN where the method promises no sum."""

    completeness_gap: float
    attributed: float
    expected: float


class Result:
    """An explanation of one item, or of a batch: then the arrays have a batch axis, and `result[i]` is an
    item."""

    __slots__ = ("_given", "_handle", "_item", "_model", "_reader", "_single", "_subject")

    def __init__(self, handle: Handle, model: Handle, reader: Reader, given: Given) -> None:
        self._handle, self._model, self._reader, self._given = handle, model, reader, given
        self._single = given.single and int(lib.oxp_result_batch(handle.pointer)) == 1
        self._item: int | None = 0 if self._single else None
        self._subject: list[Input] = []  # of an array, made when it is drawn

    # ---- items ----

    def __len__(self) -> int:
        return 1 if self._item is not None else int(lib.oxp_result_batch(self._pointer))

    def __getitem__(self, index: int) -> Result:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"the result has {n} item{'s' if n != 1 else ''}, there is no number {index}")
        if self._item is not None:
            return self
        item = Result.__new__(Result)
        for name in Result.__slots__:
            setattr(item, name, getattr(self, name))
        item._single, item._item = True, index % n
        return item

    def __iter__(self) -> Iterator[Result]:
        return (self[i] for i in range(len(self)))

    @property
    def _pointer(self) -> ctypes.c_void_p:
        if not self._handle.is_open:
            raise InvalidArgument("the result is closed")
        return self._handle.pointer

    @property
    def _one(self) -> int:
        """The item that single values are of."""
        if self._item is None and len(self) != 1:
            raise InvalidArgument(f"the result has {len(self)} items: take one, as result[0]")
        return self._item or 0

    # ---- maps ----

    def _map(self, which: int | str) -> tuple[int, _abi.oxp_map]:
        n = int(lib.oxp_result_map_count(self._pointer))
        found = [lib.oxp_result_map(self._pointer, i) for i in range(n)]
        if isinstance(which, str):
            names = [m.tensor.decode() for m in found]
            if which not in names:
                raise InvalidArgument(
                    f"there is no map of '{which}': the result has maps of {', '.join(names)}"
                )
            which = names.index(which)
        if not 0 <= which < n:
            raise InvalidArgument(f"the result has {n} maps, there is no number {which}")
        return which, found[which]

    def _array(self, array: _abi.oxp_array) -> NDArray[Any]:
        whole = view(array, self._handle)
        return whole[self._item] if self._item is not None else whole

    def _by_tensor(self, field: str) -> dict[str, NDArray[Any]]:
        pointer = self._pointer
        maps = [lib.oxp_result_map(pointer, i) for i in range(lib.oxp_result_map_count(pointer))]
        return {m.tensor.decode(): self._array(getattr(m, field)) for m in maps}

    @property
    def map(self) -> NDArray[Any]:
        """Channels reduced, at the resolution of the input: (H,W) of a picture, (N,H,W) of a batch."""
        return self._array(self._map(0)[1].map)

    @property
    def attribution(self) -> NDArray[Any]:
        """Raw and signed, in the shape of the input, tensor or layer attributed to."""
        return self._array(self._map(0)[1].attribution)

    @property
    def maps(self) -> dict[str, NDArray[Any]]:
        """`map` of every tensor attributed to, by its name."""
        return self._by_tensor("map")

    @property
    def attributions(self) -> dict[str, NDArray[Any]]:
        """`attribution` of every tensor attributed to, by its name."""
        return self._by_tensor("attribution")

    @property
    def reduction(self) -> str:
        """How channels became one map."""
        return str(self._map(0)[1].reduction.decode())

    # ---- the question and its numbers ----

    @property
    def method(self) -> str:
        return str(lib.oxp_result_method(self._pointer).decode())

    @property
    def space(self) -> str:
        """What the score really is: "logit", "prob" or "output"."""
        return str(lib.oxp_result_space(self._pointer).decode())

    @property
    def tensor(self) -> str:
        """The tensor that the score lies in."""
        return str(lib.oxp_result_tensor(self._pointer).decode(errors="replace"))

    @property
    def layer(self) -> str | None:
        """The layer used; None: the method needs none."""
        name = lib.oxp_result_layer(self._pointer)
        return None if name is None else str(name.decode(errors="replace"))

    @property
    def parameters(self) -> dict[str, str]:
        """Every parameter of the method with its value, as the library spells it."""
        pointer = self._pointer
        texts = [
            lib.oxp_result_param(pointer, i).decode() for i in range(lib.oxp_result_param_count(pointer))
        ]
        return {name: value for name, _, value in (text.partition("=") for text in texts)}

    @property
    def is_signed(self) -> bool:
        """Signs of the map mean for and against."""
        return bool(lib.oxp_result_map_is_signed(self._pointer, 0))

    @property
    def passes(self) -> int:
        """Runs of the compiled graph."""
        return int(lib.oxp_result_passes(self._pointer))

    @property
    def seconds(self) -> float:
        """Time of the run, without compiling."""
        return float(lib.oxp_result_seconds(self._pointer))

    def _class(self, index: int) -> int | None:
        return index if index >= 0 else None

    @property
    def target(self) -> int | None:
        """The class explained; None: the target is not a class."""
        return self._class(lib.oxp_result_target(self._pointer, self._one))

    @property
    def contrast(self) -> int | None:
        """The class it was explained against."""
        return self._class(lib.oxp_result_contrast(self._pointer, self._one))

    def _label(self, index: int | None) -> str | None:
        text = None if index is None else lib.oxp_model_label(self._model.pointer, index)
        return None if text is None else str(text.decode(errors="replace"))

    @property
    def label(self) -> str | None:
        """The target's name, where the model's classes have names."""
        return self._label(self.target)

    @property
    def contrast_label(self) -> str | None:
        return self._label(self.contrast)

    def _checks(self) -> _abi.oxp_checks:
        checks: _abi.oxp_checks = lib.oxp_result_checks(self._pointer, self._one)
        return checks

    @property
    def score(self) -> float:
        """The target's score, in `space`."""
        return float(self._checks().score)

    @property
    def contrast_score(self) -> float:
        """The contrast's score; NaN: there is none."""
        return float(self._checks().contrast_score)

    @property
    def checks(self) -> Checks:
        c = self._checks()
        return Checks(c.completeness_gap, c.attributed, c.expected)

    @property
    def top(self) -> list[Prediction]:
        """The likeliest classes, best first."""
        pointer, item = self._pointer, self._one
        found = [lib.oxp_result_top(pointer, item, k) for k in range(lib.oxp_result_top_count(pointer))]
        return [Prediction(p.index, self._label(p.index), p.score, p.probability) for p in found]

    @property
    def notes(self) -> list[str]:
        """Assumptions and warnings, one line each."""
        pointer = self._pointer
        return [lib.oxp_result_note(pointer, i).decode() for i in range(lib.oxp_result_note_count(pointer))]

    # ---- texts and pictures ----

    def _shown(self) -> tuple[Input, int]:
        """What the map is drawn over, and the item's number in it."""
        pictures = self._given.pictures
        if pictures:
            return pictures[self._one if len(pictures) > 1 else 0], self._one
        if not self._subject:
            self._subject.append(self._reader.of_array(self._given.keep[0], self._given.shown))
        return self._subject[0], self._one

    def to_json(self) -> str:
        """Everything but the maps, self-describing; of the whole batch."""
        pictures = self._given.pictures
        inputs = (ctypes.c_void_p * len(pictures))(*[p._handle.pointer.value for p in pictures])
        return text_of("oxp_result_json", self._pointer, inputs, len(pictures))

    def to_dict(self) -> dict[str, Any]:
        """The same as Python values."""
        found: dict[str, Any] = json.loads(self.to_json())
        return found

    def _render(self, which: int | str, form: bytes, options: _abi.oxp_render_options) -> bytes:
        index, _ = self._map(which)
        shown, item = self._shown()
        return blob_of(
            "oxp_render", self._pointer, index, item, shown._handle.pointer, form, ctypes.byref(options)
        )

    def to_png(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        map: int | str = 0,
        colormap: str | None = None,
        percentile: float = 0.0,
        alpha: float = 0.0,
    ) -> bytes:
        """The map over the picture at its resolution, or as a plot; written to `path` if one is given.
        percentile: where colours are clipped (default 99); alpha: strongest opacity (default 0.7);
        colormap: see onnxplain.colormaps()."""
        data = self._render(map, b"png", look(colormap, percentile, alpha))
        write(path, data)
        return data

    def to_ansi(self, *, map: int | str = 0, colormap: str | None = None) -> str:
        """The words of a text on coloured ground, for a terminal."""
        return self._render(map, b"ansi", look(colormap, 0.0, 0.0)).decode()

    # ---- shows itself ----

    def __repr__(self) -> str:
        if len(self) != 1:
            return f"<onnxplain.Result {self.method} of {len(self)} items>"
        name = "" if self.label is None else f" {self.label!r}"
        against = "" if self.contrast is None else f" against {self.contrast}"
        score = "" if math.isnan(self.score) else f" score={self.score:.4g} ({self.space})"
        return f"<onnxplain.Result {self.method} target={self.target}{name}{against}{score}>"

    def _repr_png_(self) -> bytes | None:
        return self.to_png() if len(self) == 1 else None

    def _repr_html_(self) -> str:
        return "".join(item._figure() for item in self)

    def _figure(self) -> str:
        data = base64.b64encode(self.to_png()).decode()
        words = [f"<b>{html.escape(self.method)}</b>: {html.escape(self.label or str(self.target))}"]
        words += [
            f"{html.escape(p.label or str(p.index))} {p.probability:.1%}"
            for p in self.top
            if p.probability >= 0
        ]
        words += [html.escape(note) for note in self.notes]
        return (
            '<figure style="display:inline-block;margin:4px">'
            f'<img style="max-width:100%" src="data:image/png;base64,{data}">'
            f"<figcaption>{'<br>'.join(words)}</figcaption></figure>"
        )

    # ---- end ----

    def close(self) -> None:
        """Frees the result once no array of it is left. Not needed: letting go of it does the same."""
        self._handle.release()


class Comparison(Sequence[Result]):
    """Results of several methods on the same input: shows itself as one sheet."""

    def __init__(self, results: Sequence[Result], refused: dict[str, str] | None = None) -> None:
        if not results:
            raise InvalidArgument("there is nothing to compare: give at least one result")
        self._results, self.refused = list(results), refused or {}

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, index: Any) -> Any:
        return self._results[index]

    def to_png(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        item: int = 0,
        colormap: str | None = None,
        percentile: float = 0.0,
        alpha: float = 0.0,
    ) -> bytes:
        """The input and the map of each result side by side, titled; written to `path` if one is given."""
        items = [r[item] for r in self._results]
        pointers = (ctypes.c_void_p * len(items))(*[r._pointer.value for r in items])
        shown, number = items[0]._shown()
        options = look(colormap, percentile, alpha)
        data = blob_of(
            "oxp_render_sheet", pointers, len(items), number, shown._handle.pointer, ctypes.byref(options)
        )
        write(path, data)
        return data

    def __repr__(self) -> str:
        return f"<onnxplain.Comparison of {', '.join(r.method for r in self._results)}>"

    def _repr_png_(self) -> bytes:
        return self.to_png()


def look(colormap: str | None, percentile: float, alpha: float) -> _abi.oxp_render_options:
    return _abi.oxp_render_options(
        struct_size=ctypes.sizeof(_abi.oxp_render_options),
        colormap=None if colormap is None else encode(colormap),
        percentile=percentile,
        alpha=alpha,
    )


def write(path: str | os.PathLike[str] | None, data: bytes) -> None:
    """All or nothing."""
    if path is not None:
        call("oxp_write_file", encode_path(path), data, len(data))
