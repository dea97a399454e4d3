"""The shared library: found, called, and its objects kept alive as long as something uses them.

Nothing here knows what an explanation is. The library is loaded with its own symbols only (RTLD_LOCAL), so
that it lives beside other libraries that bring an oneDNN or OpenMP of their own; ctypes lets other threads
run meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._errors import KINDS, InternalError, InvalidArgument


def _load() -> ctypes.CDLL:
    path = os.environ.get("ONNXPLAIN_LIBRARY") or str(Path(__file__).with_name("libonnxplain.so"))
    try:
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _abi.FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"cannot load the library of onnxplain: {error}; install the package again, or name the library "
            "that it was built with in ONNXPLAIN_LIBRARY"
        ) from None
    version = library.oxp_version().decode()
    if version != _abi.VERSION:
        raise ImportError(f"{path} is version {version}, this package needs {_abi.VERSION}")
    return library


lib = _load()


# ---- calls ----


def raise_error(error: _abi.oxp_error) -> NoReturn:
    kind = KINDS.get(error.code, InternalError)
    raise kind(
        error.message.decode(errors="replace"),
        stage=_abi.Stage(error.stage),
        node=error.node.decode(errors="replace"),
        op=error.op.decode(errors="replace"),
        offset=error.offset,
    )


def call(name: str, *arguments: Any) -> None:
    """A function whose last argument is the error, which becomes an exception."""
    error = _abi.oxp_error()
    if getattr(lib, name)(*arguments, ctypes.byref(error)) != _abi.Status.OK:
        raise_error(error)


def encode(text: str) -> bytes:
    """C strings end at a zero: what follows would be lost silently."""
    if "\0" in text:
        raise InvalidArgument(f"a name must not hold a zero byte, found {text!r}")
    return text.encode()


def encode_path(path: str | os.PathLike[str]) -> bytes:
    encode(os.fspath(path))
    return os.fsencode(path)


def strings(texts: Iterable[str | None]) -> Any:
    encoded = [None if text is None else encode(text) for text in texts]
    return (ctypes.c_char_p * len(encoded))(*encoded)


def text_of(name: str, *arguments: Any) -> str:
    """What a function leaves in an oxp_text."""
    out = ctypes.c_void_p()
    call(name, ctypes.byref(out), *arguments)
    try:
        return str(lib.oxp_text_str(out).decode(errors="replace"))
    finally:
        lib.oxp_text_free(out)


def blob_of(name: str, *arguments: Any) -> bytes:
    """What a function leaves in an oxp_blob."""
    out = ctypes.c_void_p()
    call(name, ctypes.byref(out), *arguments)
    try:
        return ctypes.string_at(lib.oxp_blob_data(out), lib.oxp_blob_size(out))
    finally:
        lib.oxp_blob_free(out)


# ---- objects ----

_lock = threading.RLock()  # a finaliser may run while the same thread holds it


class Handle:
    """An object of the library. It goes when its owner has let go of it and nothing made from it is left: the
    order in which Python drops things does not matter."""

    __slots__ = ("_free", "_keep", "_kind", "_owned", "_parents", "_users", "pointer")

    def __init__(self, pointer: ctypes.c_void_p, kind: str, *parents: Handle, keep: object = None) -> None:
        self.pointer, self._free, self._kind = pointer, getattr(lib, f"oxp_{kind}_free"), kind
        self._keep = keep  # memory that the object reads
        self._owned, self._users, self._parents = True, 1, parents
        with _lock:
            for parent in parents:
                parent._users += 1

    @classmethod
    def make(
        cls, kind: str, function: str, *arguments: Any, parents: tuple[Handle, ...] = (), keep: object = None
    ) -> Handle:
        """From a function that fills its first argument."""
        out = ctypes.c_void_p()
        call(function, ctypes.byref(out), *arguments)
        return cls(out, kind, *parents, keep=keep)

    @property
    def is_open(self) -> bool:
        return self._owned

    def release(self, lock: Any = _lock) -> None:
        """The owner lets go."""
        with lock:
            owned, self._owned = self._owned, False
        if owned:
            self._drop(lock)

    def __enter__(self) -> ctypes.c_void_p:
        """A user for a while: another thread may let go meanwhile."""
        with _lock:
            if not self._owned:
                raise InvalidArgument(f"the {self._kind} is closed")
            self._users += 1
        return self.pointer

    def __exit__(self, *_: object) -> None:
        self._drop(_lock)

    def _drop(self, lock: Any) -> None:
        with lock:
            self._users -= 1
            if self._users > 0:
                return
        self._free(self.pointer)
        self._keep = None
        for parent in self._parents:
            parent._drop(lock)

    def __del__(self) -> None:
        if hasattr(self, "_owned"):
            self.release()


# ---- arrays ----

_D = _abi.Dtype
DTYPES: dict[str, _abi.Dtype] = {
    "float32": _D.F32, "float64": _D.F64, "float16": _D.F16, "bool": _D.BOOL,
    "int8": _D.I8, "int16": _D.I16, "int32": _D.I32, "int64": _D.I64,
    "uint8": _D.U8, "uint16": _D.U16, "uint32": _D.U32, "uint64": _D.U64,
}  # fmt: skip
_numbers = {np.dtype(name): number for name, number in DTYPES.items()}  # a dtype's name takes time
# NumPy has these from ml_dtypes, one element per byte or two.
DTYPES |= {
    "bfloat16": _D.BF16, "float8_e4m3fn": _D.F8E4M3FN, "float8_e4m3fnuz": _D.F8E4M3FNUZ,
    "float8_e5m2": _D.F8E5M2, "float8_e5m2fnuz": _D.F8E5M2FNUZ, "int4": _D.I4, "uint4": _D.U4,
}  # fmt: skip
NAMES: dict[int, str] = {number: name for name, number in DTYPES.items()}


class _Memory:
    """What NumPy holds on to while a view of an object's memory lives."""

    __slots__ = ("__array_interface__", "_lock", "_owner")

    def __init__(self, owner: Handle, interface: dict[str, Any]) -> None:
        owner.__enter__()
        self._owner, self._lock, self.__array_interface__ = owner, _lock, interface

    def __del__(self) -> None:
        self._owner._drop(self._lock)


def view(array: _abi.oxp_array, owner: Handle) -> NDArray[Any]:
    """The array where it lies, read-only; the view keeps its owner alive."""
    shape = tuple(array.dims[: array.rank])
    name = NAMES.get(array.dtype)
    if name is None:
        raise InternalError(f"an array of dtype {_abi.Dtype(array.dtype).name} was returned")
    if array.data is None:
        return np.empty(shape, name)
    interface = {"shape": shape, "typestr": np.dtype(name).str, "data": (array.data, True), "version": 3}
    return np.asarray(_Memory(owner, interface))


def describe(to: _abi.oxp_array, name: bytes | None, array: NDArray[Any]) -> NDArray[Any]:
    """Fills `to`; returns what must live as long as it: the array itself where it is contiguous, else a
    copy."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array = np.asarray(array, order="C")
    number = _numbers.get(array.dtype) or DTYPES.get(array.dtype.name)
    if number is None:
        raise InvalidArgument(
            f"an array of dtype {array.dtype} was given: expected floats, integers or booleans"
        )
    if array.ndim > _abi.MAX_RANK:
        raise InvalidArgument(f"an array has {array.ndim} axes, expected at most {_abi.MAX_RANK}")
    to.name, to.dtype, to.rank = name, number, array.ndim
    to.dims[: array.ndim] = array.shape
    to.data = array.__array_interface__["data"][0]
    return array
