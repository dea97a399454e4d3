"""Compiled methods, kept for the next call of the same kind; progress and Ctrl-C on the way."""

from __future__ import annotations

import ctypes
import importlib.util
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from . import _abi
from ._errors import Cancelled
from ._inputs import Given
from ._library import Handle, call, lib, raise_error, strings

Progress = Callable[[str, int, int], object] | Any  # called with (what, done, total), or a bar like tqdm's


class Watch:
    """What one call of an explainer reports: passed on to the caller; asks the library to stop when the
    callback raised or returned False, or Ctrl-C was pressed."""

    __slots__ = ("error", "interrupt", "progress")

    def __init__(self) -> None:
        self.progress: Progress = None
        self.error: BaseException | None = None
        self.interrupt: tuple[int, Any] | None = None

    def report(self, what: bytes, done: int, total: int, _: object) -> int:
        if self.interrupt is not None:
            return 1
        if self.progress is None:
            return 0
        try:
            return int(self._tell(what.decode(), done, total) is False)
        except BaseException as error:  # raised again when the library has returned
            self.error = error
            return 1

    def _tell(self, what: str, done: int, total: int) -> object:
        bar: Any = self.progress
        if not hasattr(bar, "update"):
            return bar(what, done, total)
        bar.total = total  # like tqdm's
        bar.update(done - bar.n)
        return None

    def note(self, number: int, frame: Any) -> None:
        self.interrupt = (number, frame)


# What the module signal is made of: its own functions spend most of their time on making enumerations.
_signals: Any = importlib.import_module("_signal" if importlib.util.find_spec("_signal") else "signal")
_SIGINT = int(signal.SIGINT)


class _Signals:
    """Python's handler of SIGINT waits until the library has returned: an exception that it raised in the
    middle of a callback from C would be lost."""

    __slots__ = ("previous", "watch")

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.previous: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        previous = _signals.getsignal(_SIGINT)
        if not callable(previous):
            return
        try:
            _signals.signal(_SIGINT, self.watch.note)
        except ValueError:  # not the main interpreter: signals do not come here
            return
        self.previous = previous

    def __exit__(self, *_: object) -> None:
        if self.previous is not None:
            _signals.signal(_SIGINT, self.previous)

    def deliver(self) -> None:
        if self.watch.interrupt is not None:
            self.previous(*self.watch.interrupt)


class Explainer:
    """An oxp_explainer: used by one thread at a time."""

    __slots__ = ("_callback", "_handle", "_model", "_watch")

    def __init__(self, model: Handle, options: _abi.oxp_explain_options) -> None:
        self._model, self._watch = model, Watch()
        self._callback = options.progress = _abi.oxp_progress_fn(self._watch.report)
        with model as pointer:
            self._handle = Handle.make(
                "explainer", "oxp_explainer_new", pointer, ctypes.byref(options), parents=(model,)
            )

    def explain(
        self, given: Given, target: bytes | None, contrast: bytes | None, progress: Progress | None
    ) -> Handle:
        watch, error, out = self._watch, _abi.oxp_error(), ctypes.c_void_p()
        watch.progress, watch.error, watch.interrupt = progress, None, None
        signals = _Signals(watch)
        with signals:
            status = lib.oxp_explain(
                ctypes.byref(out),
                self._handle.pointer,
                given.arrays,
                given.count,
                target,
                contrast,
                ctypes.byref(error),
            )
        result = Handle(out, "result", self._model) if status == _abi.Status.OK else None
        raised, watch.error, watch.progress = watch.error, None, None
        signals.deliver()
        if raised is not None and not isinstance(raised, Cancelled):
            raise raised
        if result is None:
            raise_error(error)
        return result

    def cost(self, given: Given) -> _abi.oxp_estimate:
        out = _abi.oxp_estimate()
        call("oxp_explainer_cost", ctypes.byref(out), self._handle.pointer, given.arrays, given.count)
        return out

    def release(self) -> None:
        self._handle.release()


class Runner:
    """An oxp_runner: likewise."""

    __slots__ = ("_handle", "_model")

    def __init__(self, model: Handle, outputs: Sequence[str], options: _abi.oxp_run_options) -> None:
        self._model, names = model, strings(outputs)
        with model as pointer:
            self._handle = Handle.make(
                "runner",
                "oxp_runner_new",
                pointer,
                names,
                len(names),
                ctypes.byref(options),
                parents=(model,),
            )

    def run(self, given: Given) -> Handle:
        return Handle.make(
            "values",
            "oxp_runner_run",
            self._handle.pointer,
            given.arrays,
            given.count,
            parents=(self._model,),
        )

    def release(self) -> None:
        self._handle.release()


Kept = Explainer | Runner


#: of a question, how many kinds of inputs it stays compiled for: a full batch and the last one, say
KINDS_OF_INPUTS = 2


class Key(NamedTuple):
    """What an explainer or runner was compiled for."""

    question: Hashable
    inputs: Hashable


class Pool:
    """Idle explainers and runners. The least recently used go first: where they are too many, or their inputs
    of too many shapes, since each holds the memory of a run."""

    def __init__(self, limit: int) -> None:
        self._limit, self._lock, self._open = limit, threading.Lock(), True
        self._idle: OrderedDict[int, tuple[Key, Kept]] = OrderedDict()

    def take(self, key: Key) -> Kept | None:
        with self._lock:
            for number, (of, kept) in reversed(self._idle.items()):
                if of == key:
                    del self._idle[number]
                    return kept
        return None

    def give(self, key: Key, kept: Kept) -> None:
        with self._lock:
            if self._open:
                self._idle[id(kept)] = (key, kept)
            few = len(self._idle) <= min(KINDS_OF_INPUTS, self._limit)
            gone = [] if self._open and few else self._surplus(key.question) if self._open else [kept]
        for each in gone:
            each.release()

    def _surplus(self, question: Hashable) -> list[Kept]:
        same = {number: of.inputs for number, (of, _) in self._idle.items() if of.question == question}
        newest = list(dict.fromkeys(reversed(same.values())))[:KINDS_OF_INPUTS]
        gone = [number for number, inputs in same.items() if inputs not in newest]
        others = [number for number in self._idle if number not in gone]
        gone += others[: max(len(others) - self._limit, 0)]
        return [self._idle.pop(number)[1] for number in gone]

    def clear(self, close: bool = False) -> None:
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
            self._open = self._open and not close
        for _, kept in idle.values():
            kept.release()

    def __len__(self) -> int:
        return len(self._idle)
