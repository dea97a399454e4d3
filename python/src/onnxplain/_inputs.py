"""Everything a model can be asked about, as arrays of the library: pictures, files, bytes, NumPy arrays,
batches."""

from __future__ import annotations

import ctypes
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _abi
from ._errors import InvalidArgument
from ._library import Handle, describe, encode, encode_path, lib, strings, view

Shapes = Mapping[str, Sequence[int]]  # of inputs whose shape the model leaves open
Preprocess = str | os.PathLike[str] | Mapping[str, Any]  # a preset, a JSON file, or settings by name


class Input:
    """A file or picture made ready for a model: what Model.load returns."""

    __slots__ = ("_handle", "is_picture")

    def __init__(self, handle: Handle, is_picture: bool) -> None:
        self._handle, self.is_picture = handle, is_picture

    @property
    def array(self) -> NDArray[Any]:
        """What the model is given."""
        return view(lib.oxp_input_array(self._handle.pointer), self._handle)

    @property
    def name(self) -> str:
        """The model input that it is for."""
        return str(lib.oxp_input_array(self._handle.pointer).name.decode())

    @property
    def description(self) -> str:
        """One line: what was done to the file."""
        return str(lib.oxp_input_description(self._handle.pointer).decode())

    @property
    def assumed(self) -> bool:
        """Nobody said how pictures are made ready for this model: it was guessed."""
        return bool(lib.oxp_input_assumed(self._handle.pointer))

    def fill(self, colour: str) -> Input:
        """A picture of one colour (black, white, grey), made ready as this one: a baseline."""
        made = Handle.make(
            "input", "oxp_input_fill", self._handle.pointer, encode(colour), parents=(self._handle,)
        )
        return Input(made, True)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype) if copy else np.asarray(self.array, dtype=dtype)

    def __repr__(self) -> str:
        return f"<onnxplain.Input {self.description}>"


@dataclass(slots=True)
class Loading:
    """How files and pictures become inputs."""

    preprocess: Preprocess | None = None
    layout: str | None = None
    shapes: Shapes | None = None

    def options(self, index: int) -> _abi.oxp_input_options:
        o = _abi.oxp_input_options(struct_size=ctypes.sizeof(_abi.oxp_input_options), model_input=index)
        if isinstance(self.preprocess, Mapping):
            o.preprocess = encode(";".join(f"{k}={_words(v)}" for k, v in self.preprocess.items()))
        elif self.preprocess is not None:
            o.preprocess = encode_path(self.preprocess)
        o.layout = None if self.layout is None else encode(self.layout)
        texts = strings(f"{name}={','.join(map(str, dims))}" for name, dims in (self.shapes or {}).items())
        o.shapes, o.n_shapes = texts, len(texts)
        return o


def _words(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def is_image(x: object) -> bool:
    """Pillow's, without importing it."""
    return hasattr(x, "convert") and hasattr(x, "getbands")


def is_encoded(x: object) -> bool:
    return isinstance(x, (str, os.PathLike, bytes, bytearray, memoryview)) or is_image(x)


def pixels_of(image: Any) -> NDArray[np.uint8]:
    return np.asarray(image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB"), np.uint8)


def as_array(x: object) -> NDArray[Any]:
    try:
        array = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidArgument(f"cannot make an array of {type(x).__name__}: {error}") from None
    if array.dtype == object:
        raise InvalidArgument(f"cannot make an array of numbers of this {type(x).__name__}")
    return array


@dataclass(slots=True)
class Given:
    """The inputs of one call, in the order of the model's."""

    arrays: Any  # (oxp_array * n)()
    keep: list[NDArray[Any]]  # the memory behind them
    pictures: list[Input]  # of the input that is shown: one per item; else none
    shown: int  # which input that is
    single: bool  # one file or picture: results have no batch axis

    def add(self, name: bytes, array: NDArray[Any]) -> None:
        self.keep.append(describe(self.arrays[len(self.keep)], name, array))

    @property
    def count(self) -> int:
        return len(self.arrays)

    @property
    def key(self) -> tuple[Any, ...]:
        """Inputs of the same key are of the same kind: what was compiled for one serves the other."""
        return tuple((to.name, a.shape, a.dtype.num) for to, a in zip(self.arrays, self.keep, strict=True))


class Reader:
    """Reads what callers give for one model."""

    def __init__(self, model: Handle, names: Sequence[str], ranks: Sequence[int]) -> None:
        self.model, self.names, self.ranks = model, names, ranks
        self.encoded = [encode(name) for name in names]

    # ---- one input ----

    def load(self, x: object, index: int = 0, loading: Loading | None = None) -> Input:
        """A path, bytes of a file, a Pillow image or uint8 pixels."""
        options = (loading or Loading()).options(index)
        arguments: tuple[Any, ...]
        array, keep, data = _abi.oxp_array(), None, None
        with self.model as model:
            if isinstance(x, (str, os.PathLike)):
                function, arguments = "oxp_input_load", (encode_path(x),)
            elif isinstance(x, (bytes, bytearray, memoryview)):
                data = bytes(x)
                function, arguments = "oxp_input_load_memory", (data, len(data))
            else:
                keep = describe(array, None, pixels_of(x) if is_image(x) else as_array(x))
                function, arguments = "oxp_input_from_pixels", (ctypes.byref(array),)
            handle = Handle.make(
                "input", function, model, *arguments, ctypes.byref(options), parents=(self.model,)
            )
        del keep
        made = Input(handle, True)
        made.is_picture = not made.description.startswith("array ")
        return made

    def of_array(self, array: NDArray[Any], index: int) -> Input:
        """An array as an input, for pictures of it: through the bytes of a .npy file."""
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        return self.load(file.getvalue(), index)

    def _is_pixels(self, array: NDArray[Any], index: int) -> bool:
        if array.ndim not in (2, 3) or self.ranks[index] != 4 or array.dtype != np.uint8:
            return False
        return array.ndim == 2 or array.shape[2] in (1, 3, 4)

    def one(self, x: object, index: int, loading: Loading) -> Input | NDArray[Any]:
        if isinstance(x, Input):
            return x
        if is_encoded(x):
            return self.load(x, index, loading)
        array = as_array(x)
        return self.load(array, index, loading) if self._is_pixels(array, index) else array

    def batch(
        self, items: Sequence[object], index: int, loading: Loading
    ) -> tuple[NDArray[Any], list[Input]]:
        """Several items along a new first axis, or along the one they have."""
        parts = [self.one(x, index, loading) for x in items]
        arrays = [p.array if isinstance(p, Input) else p for p in parts]
        shapes = {a.shape for a in arrays}
        if len({s[1:] if len(s) == self.ranks[index] else s for s in shapes}) > 1:
            raise InvalidArgument(
                f"the inputs of a batch have the shapes {', '.join(map(str, sorted(shapes)))}: explain them "
                "one by one"
            )
        whole = all(a.ndim == self.ranks[index] for a in arrays)
        pictures = [p for p in parts if isinstance(p, Input)]
        alone = len(pictures) == len(parts) and all(len(a) == 1 for a in arrays if whole)
        return np.concatenate(arrays) if whole else np.stack(arrays), pictures if alone else []

    # ---- all of a call ----

    def place(self, name: str) -> int:
        if name not in self.names:
            raise InvalidArgument(f"the model has no input '{name}'; its inputs are {', '.join(self.names)}")
        return self.names.index(name)

    def read(self, inputs: object, loading: Loading, feeds: Mapping[str, object] | None = None) -> Given:
        """The inputs, and what is fed to tensors inside."""
        named: Mapping[Any, object] = inputs if isinstance(inputs, Mapping) else {self.names[0]: inputs}
        if not isinstance(inputs, Mapping) and len(self.names) > 1:
            raise InvalidArgument(
                f"the model takes {len(self.names)} inputs: give them by name, as {{'{self.names[0]}': ..., "
                f"'{self.names[1]}': ...}}"
            )
        inner = feeds or {}
        given = Given((_abi.oxp_array * (len(named) + len(inner)))(), [], [], 0, False)
        for name, x in named.items():
            self._read_one(given, self.place(name), x, loading)
        for name, x in inner.items():
            given.add(encode(name), as_array(x))
        return given

    def _read_one(self, given: Given, index: int, x: object, loading: Loading) -> None:
        pictures: list[Input] = []
        array: NDArray[Any]
        if isinstance(x, np.ndarray) and x.ndim > 3:  # no picture: the common way, and short
            array = x
        elif isinstance(x, (list, tuple)) and x and all(_is_item(i) for i in x):
            array, pictures = self.batch(x, index, loading)
        else:
            part = self.one(x, index, loading)
            if isinstance(part, Input):
                pictures, array, given.single = [part], part.array, True
            else:
                array = part
        if not given.keep or (pictures and not given.pictures):
            given.pictures, given.shown = pictures, index
        given.add(self.encoded[index], array)


def _is_item(x: object) -> bool:
    """An element of a list that is a batch; lists of numbers are one array."""
    return isinstance(x, (np.ndarray, Input)) or is_encoded(x) or hasattr(x, "__array__")


# A path, bytes, a Pillow image, uint8 pixels (H,W,3): types of packages that may be missing cannot be named.
Picture = Any
Inputs = ArrayLike | Picture
