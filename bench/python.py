"""What the Python binding costs on top of the C library, and whether it keeps its memory.

    PYTHONPATH=build/python python bench/python.py [--calls 10000]

overhead: what a Model.explain takes besides its oxp_explain (medians; more behind a model that leaves nothing
of Python in the caches). Memory: resident bytes before and after many calls. Threads: four on one model, whose
results must be equal to those of one. Exit status 1: overhead of 0.3 ms or more, memory grows, or results
differ.
"""

import argparse
import gc
import pathlib
import statistics
import threading
import time

import numpy as np

import onnxplain as ox
from onnxplain import _explainers

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOY, DEMO = ROOT / "tests/data/toy/cnn2d.onnx", ROOT / "models/efficientnet-lite0.onnx"


def resident():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


class Clocked:
    """The library, with the time of each oxp_explain noted."""

    def __init__(self):
        self.library, self.seconds = _explainers.lib, 0.0

    def __getattr__(self, name):
        return getattr(self.library, name)

    def oxp_explain(self, *arguments):
        start = time.perf_counter()
        status = self.library.oxp_explain(*arguments)
        self.seconds = time.perf_counter() - start
        return status


def overhead(what, model, x, method, calls):
    """Median seconds that a call spends outside of the C call, of which it prints the row."""
    _explainers.lib = clocked = Clocked()
    inside, outside = [], []
    for _ in range(calls + 20):
        start = time.perf_counter()
        model.explain(x, method, target=1)
        outside.append(time.perf_counter() - start - clocked.seconds)
        inside.append(clocked.seconds)
    _explainers.lib = clocked.library
    inside, outside = statistics.median(inside[20:]), statistics.median(outside[20:])
    print(f"{what:34} {1e3 * inside:9.3f} {1e3 * outside:9.3f}")
    return outside


def grown(calls):
    """Bytes that many calls of every kind leave behind, after as many to warm up."""
    model, x = ox.Model(TOY), np.ones((1, 2, 10, 12), np.float32)
    sizes = []
    for _ in range(2):
        for i in range(calls // 2):
            r = model.explain(x, ("saliency", "grad-cam")[i % 2], target=i % 3)
            assert r.map is not None and r.top and r.checks
            if i % 4 == 0:
                model.run(x)
            if i % 100 == 0:
                r.to_png()
        gc.collect()
        sizes.append(resident())
    return sizes[1] - sizes[0]


def threads_agree(turns):
    model, x = ox.Model(TOY), np.random.default_rng(0).standard_normal((1, 2, 10, 12)).astype(np.float32)
    want = [model.explain(x, target=t).attribution.copy() for t in range(3)]
    same = []

    def work():
        for i in range(turns):
            same.append(np.array_equal(model.explain(x, target=i % 3).attribution, want[i % 3]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return len(same) == 4 * turns and all(same)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--calls", type=int, default=10000)
    calls = args.parse_args().calls
    print(f"{'milliseconds per call':34} {'C call':>9} {'overhead':>9}")
    toy, x = ox.Model(TOY), np.ones((1, 2, 10, 12), np.float32)
    demo, photo = ox.Model(DEMO), np.ones((1, 3, 224, 224), np.float32)
    worst = max(
        overhead("saliency, a toy", toy, x, "saliency", calls // 5),
        overhead("grad-cam, a toy", toy, x, "grad-cam", calls // 5),
        overhead("grad-cam, EfficientNet-Lite0", demo, photo, "grad-cam", 200),
    )
    more = grown(calls)
    print(f"memory after {calls} calls: {more / 2**20:+.2f} MiB")
    agree = threads_agree(calls // 20)
    print(f"4 threads on one model: {'equal results' if agree else 'DIFFERENT results'}")
    bad = worst >= 0.3e-3 or more > 2**20 or not agree
    print("fails" if bad else "holds: overhead below 0.3 ms, memory stable, threads agree")
    return int(bad)


if __name__ == "__main__":
    raise SystemExit(main())
