"""Compares onnxplain's raw arrays with the peers' and writes docs/parity.md; exit status 1 when a row fails.

    python tests/parity/run.py [--model A,B] [--only WORD] [--fresh] [--through package] [--out docs/parity.md]

The error is the largest difference over the largest magnitude of the peer's array; the peer runs in double, we in
double and in float. What is already known (store.py) is not computed again unless --fresh.
"""

import argparse
import concurrent.futures
import pathlib
import shutil
import sys
import time
import traceback

import numpy as np

import peers  # noqa: F401  (first: it makes torchvision's names known)
from cases import cases
from ours import WAYS
from report import LIMIT, verdict, write
from rows import ROWS
from store import Store


def error(row, mine, theirs):
    """Over all tensors together."""
    if len(mine) != len(theirs):
        raise RuntimeError(f"{len(mine)} arrays, the peer has {len(theirs)}")
    worst = top = 0.0
    for a, b in zip(mine, theirs):
        if a.size != b.size:
            raise RuntimeError(f"shape {a.shape}, the peer has {b.shape}")
        a, b = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(a), -1).astype(np.float64)
        if not np.isfinite(a).all() or not np.isfinite(b).all():
            raise RuntimeError("not finite")
        if not row.sign:
            b = b * np.where((a * b).sum(1, keepdims=True) < 0, -1, 1)
        worst, top = max(worst, np.abs(a - b).max()), max(top, np.abs(b).max())
    return float(worst / top if top > 0 else worst)


def peer_arrays(store, key, row, case):
    kept = store.arrays(key)
    if kept is None:
        kept = row.run(case)
        store.keep_arrays(key, kept)
    return kept


def rounding(row, case, theirs):
    """What float32 does to the peer: the largest of five runs, at the input and with its last digits moved. A unit next to
    a kink falls on the other side in some of them."""
    found = []
    for nudge in range(5):
        try:
            found.append(error(row, row.run(case.single(nudge)), theirs))
        except Exception:
            traceback.print_exc(limit=-3)
            case.__dict__.pop("net", None)
    return max(found) if found else None  # None: the peer cannot be run in float32


def compare(pool, store, key, ours, row, case):
    """Errors by precision, or {"error": message}. Our runs go beside the peer's."""
    runs = {p: pool.submit(ours.arrays, row, case, p) for p in ("f64", "f32")}
    try:
        theirs = peer_arrays(store, key, row, case)
    except Exception as e:
        traceback.print_exc(limit=-3)
        case.__dict__.pop("net", None)  # the peer may have left its hooks
        for run in runs.values():
            run.exception()
        return {"error": f"peer: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"}
    try:
        found = {p: error(row, run.result(), theirs) for p, run in runs.items()}
    except RuntimeError as e:
        return {"error": str(e)}
    if found["f32"] > LIMIT["f32"] and found["f64"] <= (row.limit or LIMIT["f64"]):
        own = rounding(row, case, theirs)
        found |= {} if own is None else {"float32": own}
    return found


class Progress:
    """A bar with the time left, on a terminal; lines of the log stand above it."""

    def __init__(self, names, seconds):
        known = [seconds[n] for n in names if n in seconds]
        usual = sum(known) / len(known) if known else 2.0
        self.cost = {n: seconds.get(n, usual) for n in names}
        self.total, self.done, self.count = len(names), 0, 0
        self.left, self.spent, self.planned = sum(self.cost.values()), 0.0, 0.0
        self.shown = sys.stderr.isatty()

    def step(self, name, seconds):
        """`seconds`: None when the result was known."""
        self.count += 1
        self.left -= self.cost[name]
        if seconds is not None:
            self.spent, self.planned = self.spent + seconds, self.planned + self.cost[name]

    def draw(self, text):
        if self.shown:
            full = 30 * self.count // max(self.total, 1)
            left = self.left * (self.spent / self.planned if self.planned > 5 else 1.0)
            bar = f"[{'#' * full}{'.' * (30 - full)}] {self.count}/{self.total}  {left / 60:.0f} min left  {text}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{bar[:width]}", end="", file=sys.stderr, flush=True)

    def line(self, text):
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print(text, flush=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", type=pathlib.Path, default="build")
    args.add_argument("--through", choices=WAYS, default="package", help="both: their arrays must be the same")
    args.add_argument("--only", default="", help="rows whose text contains this")
    args.add_argument("--model", default="", help="models whose name contains one of these (a,b)")
    args.add_argument("--fresh", action="store_true", help="compute everything again")
    args.add_argument("--out", type=pathlib.Path)
    args = args.parse_args()
    ours = WAYS[args.through](args.build)
    have, results, start = ours.methods(), [], time.time()
    chosen = [c for c in cases() if any(word in c.name for word in args.model.split(","))]
    todo = [
        (index, row, case)
        for case in chosen
        for index, row in enumerate(ROWS)
        if row.method in have and args.only in row.title + row.peer and case.has(row.on)
    ]
    store = Store([*ours.files, *sorted(args.build.glob("libonnxplain.so*"))], args.fresh)
    names = [f"{case.name} {row.title} | {row.peer}" for _, row, case in todo]
    progress, pool = Progress(names, store.seconds), concurrent.futures.ThreadPoolExecutor(1)
    for name, (index, row, case) in zip(names, todo):
        progress.draw(name)
        begun, key = time.time(), store.peer_key(index, row, case)
        result, seconds = store.result(key), None
        if result is None:
            result = compare(pool, store, key, ours, row, case)
            seconds = time.time() - begun
            if "error" not in result:
                store.keep_result(key, name, result, seconds)
        progress.step(name, seconds)
        judged = verdict(row, case, result)
        results.append((row, case, result, judged))
        shown = " ".join(f"{k} {v:.1e}" for k, v in result.items()) if "error" not in result else result["error"]
        progress.line(f"{judged:8} {name} {shown}  ({'known' if seconds is None else f'{seconds:.1f} s'})")
        if not any(c is case for _, _, c in todo[len(results) :]):
            case.__dict__.pop("net", None)
    if args.out:
        write(args.out, ROWS, results, sorted(have - {r.method for r in ROWS}), args.model)
    failed = sum(r[3] == "FAILS" for r in results)
    progress.line(f"{len(results) - failed} passed, {failed} failed  ({time.time() - start:.0f} s)")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
