"""onnxplain beside torch and onnxruntime in one process: imported before, between and after them, and at work
at the same time, it must give what it gives alone, and they what they give without it. Each brings an oneDNN
and an OpenMP of its own.

    PYTHONPATH=build/python python tests/parity/beside.py

Exit status 77: torch or onnxruntime is not installed here.
"""

import hashlib
import importlib.util
import itertools
import pathlib
import subprocess
import sys
import threading

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/efficientnet-lite0.onnx"
NAMES = ("onnxplain", "torch", "onnxruntime")
METHODS = (("saliency", {}), ("grad-cam", {}), ("smoothgrad", {"samples": 3}))


def picture():
    return np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)


class Onnxplain:
    def __init__(self, module):
        self.model, self.x = module.Model(MODEL), picture()

    def work(self):
        for name, options in METHODS:
            r = self.model.explain(self.x, name, target=281, parameters=options)
            yield np.ascontiguousarray(r.attribution)
        yield self.model.run(self.x)["logits"]


class Torch:
    def __init__(self, module):
        module.manual_seed(0)
        layers = [
            module.nn.Conv2d(3, 32, 3, 2),
            module.nn.ReLU(),
            module.nn.Conv2d(32, 64, 3),
            module.nn.ReLU(),
        ]
        self.net, self.x = module.nn.Sequential(*layers), module.from_numpy(picture()).requires_grad_()

    def work(self):
        self.x.grad = None
        out = self.net(self.x)
        out.sum().backward()
        yield out.detach().numpy()
        yield self.x.grad.numpy()


class Onnxruntime:
    def __init__(self, module):
        self.session, self.x = (
            module.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"]),
            picture(),
        )

    def work(self):
        yield from self.session.run(None, {"images": self.x})


def digest(worker):
    return hashlib.sha256(b"".join(a.tobytes() for a in worker.work())).hexdigest()[:16]


def child(order):
    """Imports in this order, works alone and all at once; prints what each found."""
    makers = {"onnxplain": Onnxplain, "torch": Torch, "onnxruntime": Onnxruntime}
    modules = [importlib.import_module(name) for name in order]
    workers = {name: makers[name](module) for name, module in zip(order, modules, strict=True)}
    found = {name: {digest(w)} for name, w in workers.items()}

    def repeat(name):
        for _ in range(3):
            found[name].add(digest(workers[name]))

    threads = [threading.Thread(target=repeat, args=(name,)) for name in order]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for name in sorted(found):
        print(name, *sorted(found[name]))


def run(order):
    done = subprocess.run([sys.executable, __file__, *order], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(order)}: exit status {done.returncode}\n{done.stderr}")
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


def main():
    missing = [name for name in NAMES if importlib.util.find_spec(name) is None]
    if missing:
        print(f"not tested: {', '.join(missing)} cannot be imported by {sys.executable}")
        return 77
    alone = {name: run([name])[name] for name in NAMES}
    bad = 0
    for order in itertools.permutations(NAMES):
        for name, found in run(order).items():
            same = found == alone[name] and len(found) == 1
            bad += not same
            print(f"{'same' if same else 'DIFFERS':8} {name:12} in {' '.join(order)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(child(sys.argv[1:]) if len(sys.argv) > 1 else main())
