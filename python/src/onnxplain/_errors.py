"""What goes wrong, as exceptions: every one says what was expected, what was found, and what to do."""

from __future__ import annotations

from ._abi import Stage, Status


class Error(Exception):
    """Anything that onnxplain refuses or cannot do."""

    code: Status  #: the kind of failure; the class of the exception says the same
    stage: Stage  #: what was being done
    node: str  #: the ONNX node concerned, "" when none is
    op: str  #: its operator
    offset: int  #: the byte of the model file where reading stopped (stage PARSE), else 0

    _code = Status.EINTERNAL

    def __init__(
        self, message: str, *, stage: Stage = Stage.ARG, node: str = "", op: str = "", offset: int = 0
    ) -> None:
        super().__init__(message)
        self.code, self.stage, self.node, self.op, self.offset = self._code, stage, node, op, offset


class InvalidArgument(Error, ValueError):
    """You asked wrongly: an unknown name, a wrong shape or type, a value out of range, something closed."""

    _code = Status.EINVAL


class Unsupported(Error, NotImplementedError):
    """Valid ONNX that this version cannot explain; the message lists all of it."""

    _code = Status.EUNSUPPORTED


class Corrupt(Error, ValueError):
    """A file or bytes are damaged, or not of the expected kind."""

    _code = Status.ECORRUPT


class LimitExceeded(Error, RuntimeError):
    """A limit (memory, size, nesting, time) would be exceeded."""

    _code = Status.ELIMIT


class OutOfMemory(Error, MemoryError):
    """The machine has no memory left for this."""

    _code = Status.ENOMEM


class FileError(Error, OSError):
    """A file cannot be opened, read or written."""

    _code = Status.EIO


class Cancelled(Error):
    """A progress callback asked to stop."""

    _code = Status.ECANCELLED


class InternalError(Error, RuntimeError):
    """A broken promise inside the library: please report."""

    _code = Status.EINTERNAL


KINDS: dict[int, type[Error]] = {kind._code: kind for kind in Error.__subclasses__()}
