"""Maps through the Python package against Captum on the same network, which torchvision has and ONNX is
exported from: milliseconds per explanation of one picture (medians of calls in turns), and how far the arrays
are apart.

    PYTHONPATH=build/python .venv-parity/bin/python bench/beside_captum.py [--model resnet18] [--threads 1]

Exit status 77: torch, torchvision, onnx or captum is not installed here.
"""

import argparse
import importlib.util
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

import onnxplain as ox

NEEDED = ("torch", "torchvision", "onnx", "captum")


def clock(function):
    start = time.perf_counter()
    found = function()
    return time.perf_counter() - start, found


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", default="resnet18")
    args.add_argument("--threads", type=int, default=0, help="0: all cores")
    args.add_argument("--turns", type=int, default=9)
    args = args.parse_args()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"not measured: {', '.join(missing)} cannot be imported by {sys.executable}")
        return 77
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/parity"))
    import peers  # noqa: F401  (makes torchvision's names known to this torch)
    import torch
    import torchvision
    from captum import attr

    torch.manual_seed(0)
    if args.threads:
        torch.set_num_threads(args.threads)
    net = torchvision.models.get_model(args.model, weights=None).eval()
    x = torch.randn(1, 3, 224, 224)
    array = x.numpy().copy()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        torch.onnx.export(net, (x,), str(path), dynamo=False, input_names=["x"], output_names=["y"])
        model = ox.Model(path)
    ask = {"target": 1, "space": "output", "threads": args.threads}
    rows = {
        "saliency": (lambda: attr.Saliency(net).attribute(x, target=1, abs=False), {}),
        "integrated-gradients": (
            lambda: attr.IntegratedGradients(net).attribute(x, target=1, n_steps=20, internal_batch_size=8),
            {"steps": 20},
        ),
        "occlusion": (
            lambda: attr.Occlusion(net).attribute(
                x, target=1, sliding_window_shapes=(3, 32, 32), strides=(3, 32, 32), perturbations_per_eval=8
            ),
            {"window": 32, "stride": 32, "baseline": 0},
        ),
    }
    print(f"{args.model:24} {'captum':>9} {'ours':>9} {'times':>6} {'difference':>11}")
    for method, (theirs, parameters) in rows.items():
        pairs = []
        for _ in range(args.turns + 1):
            a, want = clock(theirs)
            b, r = clock(lambda: model.explain(array, method, parameters=parameters, **ask))
            pairs.append((a, b))
        want = want.detach().numpy()
        off = np.abs(want - r.attribution).max() / np.abs(want).max()
        a, b = (1e3 * statistics.median(side) for side in zip(*pairs[1:], strict=True))
        print(f"{method:24} {a:9.1f} {b:9.1f} {a / b:6.1f} {off:11.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
