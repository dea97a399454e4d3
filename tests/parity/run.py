"""Compares onnxplain's raw arrays with the peers' and writes docs/parity.md; exit status 1 when a row fails.

    python tests/parity/run.py [--only WORD] [--command build/onnxplain] [--out docs/parity.md]

The error is the largest difference over the largest magnitude of the peer's array; the peer runs in double.
"""

import argparse
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import numpy as np

import peers  # noqa: F401  (first: it makes torchvision's names known)
from cases import WORK, cases
from rows import ROWS

LIMIT = {"f32": 1e-4, "f64": 1e-5}


def ours(command, row, case, precision):
    """The command's arrays, in the order of the inputs."""
    out = pathlib.Path(tempfile.mkdtemp(dir=WORK))
    call = [command, "explain", str(case.path), *[f"{k}={v}" for k, v in case.feeds.items()]]
    call += ["--method", row.method, "--target", str(case.target), "--format", "npy", "--threads", "1"]
    call += ["--space", "output", "--quiet", "--out", str(out), "--precision", precision, *row.flags.split()]
    call += ["--layer", case.layer] if "layer" in row.on.split() else []
    call += ["--wrt", case.wrt] if case.wrt else []
    for setting in row.set.split():
        call += ["--set", setting]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found = [np.load(f) for f in sorted(out.glob("*.npy"))]
    shutil.rmtree(out)
    return found


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


def compare(command, row, case):
    """Errors by precision, or a message."""
    try:
        theirs = row.run(case)
    except Exception as e:
        traceback.print_exc(limit=-3)
        case.__dict__.pop("net", None)  # the peer may have left its hooks
        return f"peer: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"
    try:
        both = ["f32"] if case.has("large") else ["f32", "f64"]
        found = {p: error(row, ours(command, row, case, p), theirs) for p in both}
    except RuntimeError as e:
        return str(e)
    if case.has("large") and found["f32"] > LIMIT["f32"]:
        try:
            found["peer"] = error(row, row.run(case.single()), theirs)
        except Exception:
            traceback.print_exc(limit=-3)
    return found


def verdict(row, case, result):
    """equal; rounding: large models, within 1e-3 or three times what float32 does to the peer; deviates; FAILS."""
    if isinstance(result, dict):
        if all(e <= LIMIT[p] for p, e in result.items() if p != "peer"):
            return "equal"
        if "peer" in result and result["f32"] <= max(1e-3, 3 * result["peer"]):
            return "rounding"
    return "deviates" if reason(row, case) else "FAILS"


def reason(row, case):
    return next((why for word, why in row.known.items() if case.name == word or case.has(word)), None)


def methods(command):
    listed = subprocess.run([command, "methods"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines()}


TEXT = """# Parity with other software

Written by `make parity` (`tests/parity`), not by hand. Each cell is the largest difference between the raw array of
`onnxplain explain --format npy` (f32) and the peer's, over the largest magnitude of the peer's; the peer runs in double, on
a PyTorch module made of the same ONNX file with the same weights, at the settings named, before it scales or enlarges
anything. What is small also ran with `--precision f64` and then had to be within {f64:.0e}: that is in the log only.

Peers: {peers}.

- a number: equal, that is at most {f32:.0e};
- `r` a number: rounding, on large models. The error is above {f32:.0e}, but at most 1e-3 or three times what float32 does to
  the peer itself: a unit within rounding of a kink of ReLU or Clip falls on the other side;
- a number with [n]: deviates, for the reason n below; **bold**: fails, unexplained;
- `.`: not applicable, or the peer cannot.

The graphs named like torchvision's models have their shapes and seeded random weights, on 64 x 64 pictures
(`tests/parity/graphs.py`); the others are those of this repository. Sampling methods ran on onnxplain's own random numbers,
given to the peer. EigenCAM and its kin are compared up to sign.

"""


def cell(row, case, result, judged, notes):
    if judged == "FAILS" or not isinstance(result, dict):
        if judged == "FAILS":
            return f"**{result['f32']:.0e}**" if isinstance(result, dict) else "**error**"
    number = f"{result['f32']:.0e}" if isinstance(result, dict) else "-"
    if judged == "deviates":
        why = reason(row, case)
        if why not in notes:
            notes.append(why)
        return f"{number} [{notes.index(why) + 1}]"
    return f"r {number}" if judged == "rounding" else number


def write(path, results, absent, part):
    names = list(dict.fromkeys(case.name for _, case, _, _ in results))
    version = importlib.metadata.version
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "captum", "grad-cam", "zennit"))
    lines, notes = [], []
    for row in ROWS:
        cells = {c.name: cell(r, c, res, v, notes) for r, c, res, v in results if r is row}
        if cells:
            lines.append("| " + " | ".join([row.title, row.peer, *[cells.get(n, ".") for n in names]]) + " |")
    text = TEXT.format(peers=packages, **LIMIT)
    counts = {v: sum(r[3] == v for r in results) for v in ("equal", "rounding", "deviates", "FAILS")}
    text += ", ".join(f"{n} {v}" for v, n in counts.items()) + ".\n\n"
    if part:
        text += f"This run was on a part of the models: `--model {part}`.\n\n"
    text += "| method | peer | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 2) + "|\n"
    text += "\n".join(lines) + "\n"
    if notes:
        text += "\n## Deviations\n\n" + "".join(f"{i}. {n}\n" for i, n in enumerate(notes, 1))
    text += f"\n## Methods without a row\n\n{', '.join(f'`{m}`' for m in absent) or 'None'}.\n"
    path.write_text(text)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--command", default="build/onnxplain")
    args.add_argument("--only", default="", help="rows whose text contains this")
    args.add_argument("--model", default="", help="models whose name contains one of these (a,b)")
    args.add_argument("--out", type=pathlib.Path)
    args = args.parse_args()
    have, results, start = methods(args.command), [], time.time()
    for case in cases():
        if not any(word in case.name for word in args.model.split(",")):
            continue
        for row in ROWS:
            if row.method in have and args.only in row.title + row.peer and case.has(row.on):
                result = compare(args.command, row, case)
                judged = verdict(row, case, result)
                results.append((row, case, result, judged))
                shown = {k: f"{v:.1e}" for k, v in result.items()} if isinstance(result, dict) else result
                print(judged, case.name, row.title, "|", row.peer, shown, flush=True)
        case.__dict__.pop("net", None)
    if args.out:
        write(args.out, results, sorted(have - {r.method for r in ROWS}), args.model)
    failed = sum(r[3] == "FAILS" for r in results)
    print(f"{len(results) - failed} passed, {failed} failed  ({time.time() - start:.0f} s)")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
