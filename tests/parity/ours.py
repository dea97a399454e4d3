"""onnxplain's arrays for a row on a model: through the Python package, or through the command."""

import functools
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from cases import WORK


def own(row, case):
    """What a row asks besides its parameters: {option of Model.explain: value}."""
    words = row.flags.split()
    asked = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    asked.setdefault("space", "output")
    if "layer" in row.on.split():
        asked["layer"] = case.layer
    if "at_layer" in row.on.split():
        asked["wrt"] = case.layer
    elif case.wrt and not row.layered and "masked" not in row.on.split():
        asked["wrt"] = case.wrt
    return asked


class Command:
    def __init__(self, build):
        self.program = build / "onnxplain"
        self.files = [self.program, build / "libonnxplain.so"]

    def methods(self):
        listed = subprocess.run([self.program, "methods"], capture_output=True, text=True, check=True).stdout
        return {line.split()[0] for line in listed.splitlines() if line[:2].isspace()}

    def arrays(self, row, case, precision):
        out = pathlib.Path(tempfile.mkdtemp(dir=WORK))
        call = [self.program, "explain", case.path, *[f"{k}={v}" for k, v in case.feeds.items()]]
        call += ["--method", row.method, "--target", str(case.target), "--format", "npy", "--threads", "1"]
        call += ["--quiet", "--out", out, "--precision", precision]
        for name, value in own(row, case).items():
            call += [f"--{name}", value]
        for setting in row.set.split():
            call += ["--set", setting]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        found = [np.load(f) for f in sorted(out.glob("*.npy"))]
        shutil.rmtree(out)
        return found


def baseline(text):
    """Files in a list of baselines as arrays; `tensor=file` for the tensor named."""
    if not text.endswith(".npy"):
        return text
    words = [word.rpartition("=") for word in text.split(",")]
    if words[0][0]:
        return {tensor: np.load(file) for tensor, _, file in words}
    return [np.load(file) for _, _, file in words]


class Package:
    def __init__(self, build):
        sys.path.insert(0, str(build / "python"))
        import onnxplain

        self.ox = onnxplain
        self.files = [*sorted((build / "python/onnxplain").glob("*.py")), build / "libonnxplain.so"]

    def methods(self):
        return {m.name for m in self.ox.methods()}

    @functools.lru_cache(maxsize=2)  # noqa: B019
    def model(self, path):
        return self.ox.Model(path)

    def arrays(self, row, case, precision):
        settings = dict(setting.split("=", 1) for setting in row.set.split())
        settings = {k: baseline(v) if k.startswith("baseline") else v for k, v in settings.items()}
        feeds = {name: np.load(file) for name, file in case.feeds.items()}
        asked = {"target": case.target, "precision": precision, "threads": 1, **own(row, case)}
        try:
            r = self.model(case.path).explain(feeds, row.method, parameters=settings, **asked)
        except self.ox.Error as error:
            raise RuntimeError(str(error)) from None
        found = r.maps if row.enlarged else r.attributions
        return [found[tensor] for tensor in sorted(found)]


class Both:
    """The package's arrays, which must be the command's to the last bit. (The command writes no enlarged maps.)"""

    def __init__(self, build):
        self.ways = [Package(build), Command(build)]
        self.files = [f for way in self.ways for f in way.files]

    def methods(self):
        return self.ways[0].methods() & self.ways[1].methods()

    def arrays(self, row, case, precision):
        if row.enlarged:
            return self.ways[0].arrays(row, case, precision)
        found, other = (way.arrays(row, case, precision) for way in self.ways)
        same = [a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(found, other, strict=True)]
        if not all(same):
            raise RuntimeError(
                f"the package and the command differ in {same.count(False)} of {len(same)} arrays"
            )
        return found


WAYS = {"package": Package, "command": Command, "both": Both}
