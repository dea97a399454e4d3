"""Progress, cancelling, Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import TOYS, toy, values

import onnxplain as ox

LONG = {"method": "occlusion", "window": 1, "stride": 1}
X = values(1, 2, 10, 12)


def test_progress_reaches_its_total(cnn):
    seen = []
    cnn.explain(X, **LONG, progress=lambda *report: seen.append(report))
    assert len(seen) > 2 and seen[-1][0] == "occlusion" and seen[-1][1] == seen[-1][2] == 120
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    before = len(seen)
    cnn.explain(X, **LONG)  # the same explainer, without a callback
    assert len(seen) == before


def test_a_callback_cancels(cnn):
    with pytest.raises(ox.Cancelled, match="cancelled at") as caught:
        cnn.explain(X, **LONG, progress=lambda what, done, total: done < 20)
    assert caught.value.code == ox.Status.ECANCELLED
    with pytest.raises(ox.Cancelled, match="cancelled at"):
        cnn.explain(X, **LONG, progress=raise_of(ox.Cancelled("enough")))
    with pytest.raises(KeyError, match="mine"):
        cnn.explain(X, **LONG, progress=raise_of(KeyError("mine")))
    assert cnn.explain(X, **LONG).passes > 2  # the explainer is as good as before


def raise_of(error):
    def progress(*_):
        raise error

    return progress


def test_a_bar_like_tqdms():
    class Bar:
        total, n, closed = None, 0, False

        def update(self, more):
            self.n += more
            return True

    bar = Bar()
    toy("cnn2d").explain(X, **LONG, progress=bar)
    assert (bar.total, bar.n) == (120, 120)


def test_ctrl_c_cancels_and_is_raised(cnn):
    previous = signal.getsignal(signal.SIGINT)
    stop = threading.Event()
    seen = []

    def progress(what, done, total):
        seen.append(done)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            stop.wait(0.05)

    with pytest.raises(KeyboardInterrupt):
        cnn.explain(X, **LONG, progress=progress)
    assert 2 <= len(seen) < 15 and signal.getsignal(signal.SIGINT) is previous
    assert cnn.explain(X, **LONG).passes > 2


def test_a_handler_of_ones_own_is_called(cnn):
    heard = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(ox.Cancelled):
            cnn.explain(X, **LONG, progress=lambda *_: os.kill(os.getpid(), signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, previous)
    assert heard == [signal.SIGINT]


def test_ctrl_c_ends_a_program_without_a_callback():
    program = (
        "import numpy as np, onnxplain as ox, sys\n"
        f"model = ox.Model({str(TOYS / 'cnn2d.onnx')!r})\n"
        "x = np.ones((1, 2, 10, 12), np.float32)\n"
        "model.explain(x)\nprint('ready', flush=True)\n"
        "try:\n    model.explain(x, 'smoothgrad', samples=10**6)\n"
        "except KeyboardInterrupt:\n    sys.exit(42)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 42


def test_python_runs_on_during_a_call(photos):
    """The library works without Python's lock: it is not asked for in the middle of a forward run."""
    counted, done = 0, threading.Event()
    x = values(8, 3, 224, 224)

    def work():
        photos.run(x, threads=1)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.001):
        counted += 1
    thread.join()
    assert counted > 20


def test_threads_other_than_the_main_one_leave_signals_alone(cnn):
    previous, found = signal.getsignal(signal.SIGINT), []

    def progress(*_):
        found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=lambda: cnn.explain(X, **LONG, progress=progress))
    thread.start()
    thread.join()
    assert found and set(found) == {previous}
