"""Zoo agreement: many architectures with random weights, exported to ONNX, against ONNX Runtime and torch in double.

    python tests/zoo/run.py [--only WORD] [--library build/libonnxplain.so] [--out docs/zoo.md] [--fresh]

Each row of models.tsv runs in a process of its own; what it found is kept in build/zoo and reused until the row, the
library or these files change. Forward: all outputs against ONNX Runtime. Gradient: of the output element of largest
magnitude by the input (token models: by the embedding), against torch in double; of int8 models, whose gradient torch
does not have, our float executor against our double one.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "zoo"
LIMIT_SECONDS = 300
PLAIN_FLOPS = 1.2e9  # the double executor is a naive one: larger models run in float only
TINY = 1e-30


def rows():
    for line in (HERE / "models.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            yield dict(zip(("name", "model", "input", "exporter", "precision", "seed"), line.split("\t")))


# ---- one row, in its own process -------------------------------------------------------------------


def export(row, net, feeds, path):
    import torch

    kind, opset = ("dynamo", row["exporter"][3:]) if row["exporter"].startswith("dyn") else ("ts", row["exporter"][2:])
    args = dict(input_names=list(feeds), output_names=["y"], opset_version=int(opset))
    if kind == "dynamo":
        torch.onnx.export(net, tuple(feeds.values()), str(path), dynamo=True, external_data=False, optimize=False, verbose=False, **args)
    else:
        # convolutions are not merged with batch norms: merged weights are rounded once more, and another model
        torch.onnx.export(net, tuple(feeds.values()), str(path), dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, **args)


def quantise(path, feeds, row):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    import families

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.items = iter(
                [{k: v.numpy() for k, v in families.inputs(row["input"], int(row["seed"]) + 300 + i).items()} for i in range(4)]
            )

        def get_next(self):
            return next(self.items, None)

    whole = path.with_suffix(".f32.onnx")
    path.rename(whole)
    per_channel = int(row["seed"]) % 2 == 0
    quantize_static(
        str(whole), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=per_channel,
        activation_type=QuantType.QUInt8 if per_channel else QuantType.QInt8, weight_type=QuantType.QInt8,
    )
    whole.unlink()


class Tap:
    """The output of the first embedding, as a leaf: what token models are differentiated by."""

    def __init__(self, net):
        import torch

        self.leaf = None
        table = next((m for m in net.modules() if isinstance(m, torch.nn.Embedding)), None)
        self.handle = table.register_forward_hook(self.hook) if table is not None else None

    def hook(self, module, args, out):
        if self.leaf is not None:
            return out
        self.leaf = out.detach().requires_grad_(True)
        return self.leaf


def torch_gradient(net, feeds, index):
    """(output, index, {what: dY/dwhat}) in the net's own precision."""
    import torch

    floats = {k: v for k, v in feeds.items() if v.is_floating_point()}
    dtype = next(net.parameters()).dtype
    given = {k: v.detach().clone().to(dtype).requires_grad_(True) if k in floats else v for k, v in feeds.items()}
    tap = Tap(net) if not floats else None
    y = net(*given.values())
    flat = y.reshape(-1)
    index = int(flat.detach().abs().argmax()) if index is None else index
    leaves = [given[k] for k in floats] if floats else [tap.leaf]
    grads = torch.autograd.grad(flat[index], leaves)
    if tap:
        tap.handle.remove()
    names = list(floats) or ["embedding"]
    return y.detach().double().numpy(), index, {k: g.double().numpy() for k, g in zip(names, grads)}


def worst(mine, reference):
    import numpy as np

    top = max(float(np.abs(r).max()) for r in reference) if reference else 0.0
    err = max(float(np.abs(np.asarray(m, np.float64).reshape(r.shape) - r).max()) for m, r in zip(mine, reference))
    return err / top if top > 0 else err


def reference(row, path):
    """Exports (once) and computes torch's side; kept beside the model."""
    import copy

    import families
    import numpy as np
    import torch

    torch.set_num_threads(1)
    seed, kept = int(row["seed"]), path.with_suffix(".npz")
    if path.exists() and kept.exists():
        return dict(np.load(kept, allow_pickle=False))
    net = families.build(row["model"], seed)
    families.settle(net, row["input"], seed)
    if row["precision"] == "f16":
        net = net.half()
    for attempt in range(6):
        feeds = families.inputs(row["input"], seed + 1000 * attempt)
        if row["precision"] == "f16":
            feeds = {k: v.half() if v.is_floating_point() else v for k, v in feeds.items()}
        y64, index, g64 = torch_gradient(copy.deepcopy(net).double(), feeds, None)
        top = max(np.abs(g).max() for g in g64.values())
        if np.isfinite(top) and top > TINY:
            break
    else:
        raise RuntimeError("the gradient is zero or not finite for every input drawn")
    y32, _, g32 = torch_gradient(copy.deepcopy(net).float(), feeds, index)
    with torch.no_grad():
        export(row, net, feeds, path)
    if row["precision"] == "int8":
        quantise(path, feeds, row)
    found = {f"in_{k}": v.numpy() for k, v in feeds.items()}
    found.update({f"g_{k}": v for k, v in g64.items()})
    found.update(y=y64, index=index, own_forward=worst([y32], [y64]), own_gradient=worst(list(g32.values()), list(g64.values())))
    np.savez(kept, **found)
    return found


def run_row(row, library):
    import numpy as np
    import onnxruntime

    import ours

    path = WORK / f"{row['name']}.onnx"
    ref = reference(row, path)
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    names = [i.name for i in graph.input]
    feeds = {k[3:]: v for k, v in ref.items() if k.startswith("in_")}
    feeds = {name: feeds[name] if name in feeds else list(feeds.values())[i] for i, name in enumerate(names)}
    out = graph.output[0].name
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if row["precision"] == "int8":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    y_ort = session.run([out], feeds)[0].astype(np.float64)
    result = {"own_forward": float(ref["own_forward"]), "own_gradient": float(ref["own_gradient"])}
    lib = ours.Library(library)
    try:
        model = lib.open(path)
    except ours.Refused as e:
        return {**result, "refused": str(e).removeprefix(f"{path}: ")}
    y64, quantised = ref["y"], row["precision"] == "int8"
    target = f"{out}[{','.join(map(str, np.unravel_index(int(ref['index']), y64.shape)))}]"
    try:
        mine = lib.run(model, feeds, [out], "f32")[0]
        result["forward_ort"] = worst([mine], [y_ort])
        result["ort_forward"] = worst([y_ort], [y64])
        if not quantised:
            result["forward"] = worst([mine], [y64])
        start = time.time()
        found = lib.gradient(model, feeds, target, "f32")
        result["seconds"] = time.time() - start
        if quantised:
            wanted = list(lib.gradient(model, feeds, target, "f64").values())
        else:
            wanted = [v for k, v in ref.items() if k.startswith("g_")]
        result["gradient"] = worst(list(found.values())[: len(wanted)], wanted)
        if not quantised and flops(library, path) < PLAIN_FLOPS:
            result["forward_f64"] = worst(lib.run(model, feeds, [out], "f64"), [y64])
            result["gradient_f64"] = worst(list(lib.gradient(model, feeds, target, "f64").values())[: len(wanted)], wanted)
    except ours.Refused as e:
        return {**result, "refused": str(e)}
    return result


def flops(library, path):
    command = pathlib.Path(library).parent / "onnxplain"
    said = subprocess.run([command, "inspect", path], capture_output=True, text=True).stdout
    for line in said.splitlines():
        if line.startswith("work"):
            number, unit = line.split()[1:3]
            return float(number) * {"F": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit[0]]
    return float("inf")


# ---- all rows --------------------------------------------------------------------------------------


def verdict(row, r):
    """agrees; refused; else what is wrong."""
    if "error" in r:
        return "error"
    if "refused" in r:
        return "refused"
    half = row["precision"] == "f16"
    # in half precision ONNX Runtime rounds every tensor: torch in double is the judge
    forward = r["forward"] if half else r["forward_ort"]
    if not forward <= max(1e-4, 3 * r["own_forward"], 0 if half or "forward" not in r else 3 * r["ort_forward"]):
        return "forward"
    own = 0 if row["precision"] == "int8" else 3 * r["own_gradient"]
    if not r["gradient"] <= max(1e-3, own):
        return "gradient"
    if max(r.get("forward_f64", 0), r.get("gradient_f64", 0)) > 1e-6:
        return "f64"
    return "agrees"


def stamp(row, library):
    h = hashlib.sha256(repr(row).encode())
    for file in (HERE / "run.py", HERE / "families.py", HERE / "ours.py", pathlib.Path(library)):
        h.update(file.read_bytes())
    return h.hexdigest()


def in_process(row, library):
    call = [sys.executable, str(HERE / "run.py"), "--row", row["name"], "--library", str(library)]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=HERE)
    except subprocess.TimeoutExpired:
        return {"error": f"no result after {LIMIT_SECONDS} s"}
    last = done.stdout.strip().splitlines()
    if done.returncode != 0 or not last:
        said = done.stderr.strip().splitlines()
        return {"error": f"exit status {done.returncode}: {said[-1][:300] if said else 'no message'}"}
    return json.loads(last[-1])


def number(r, key):
    return f"{r[key]:.0e}" if key in r else "."


TEXT = """# Zoo agreement

Written by `make zoo` (`tests/zoo`), not by hand: architectures of torchvision, timm, transformers and our own with random
weights, small, exported by torch's two exporters (`ts`: TorchScript, `dyn`: dynamo, then the opset). Numbers are largest
differences over the largest magnitude.

- forward: our float executor against ONNX Runtime (half precision: against torch in double);
- gradient: of the largest output element by the input or the embedding, our float executor against torch in double; int8:
  against our double executor on the same graph, since torch has no such gradient;
- torch: what float32 does to torch's own gradient; f64: our double executor against torch in double, the larger of forward
  and gradient, where the model is small enough for it;
- agrees: forward within 1e-4 or three times the float error of the peers, gradient within 1e-3 or three times torch's own,
  f64 within 1e-6.

"""


def write(path, table):
    counts = {}
    for _, _, v in table:
        counts[v] = counts.get(v, 0) + 1
    lines = [TEXT, f"{len(table)} models: " + ", ".join(f"{n} {v}" for v, n in sorted(counts.items())) + ".\n"]
    lines += ["| model | exporter | precision | forward | gradient | torch | f64 | gradient, s | |", "|---|---|---|---|---|---|---|---|---|"]
    for row, r, v in table:
        f64 = max(r.get("forward_f64", 0), r.get("gradient_f64", 0))
        cells = [
            f"`{row['name']}`", row["exporter"], row["precision"], number(r, "forward" if row["precision"] == "f16" else "forward_ort"),
            number(r, "gradient"), number(r, "own_gradient") if row["precision"] != "int8" else ".",
            f"{f64:.0e}" if "forward_f64" in r else ".", f"{r['seconds']:.3f}" if "seconds" in r else ".",
            v if v == "agrees" else f"**{v}** {r.get('refused', r.get('error', ''))}".strip(),
        ]
        lines.append("| " + " | ".join(c.replace("|", "/") for c in cells) + " |")
    path.write_text("\n".join(lines) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default="")
    p.add_argument("--row")
    p.add_argument("--library", default=str(ROOT / "build" / "libonnxplain.so"))
    p.add_argument("--out")
    p.add_argument("--fresh", action="store_true")
    a = p.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    library = pathlib.Path(a.library).resolve()
    if a.row:
        row = next(r for r in rows() if r["name"] == a.row)
        try:
            print(json.dumps(run_row(row, library)))
        except Exception as e:
            traceback.print_exc()
            print(json.dumps({"error": f"{type(e).__name__}: {str(e).splitlines()[0][:300] if str(e) else ''}"}))
        return 0
    chosen = [r for r in rows() if a.only in r["name"]]
    table, began = [], time.time()
    for i, row in enumerate(chosen):
        kept = WORK / f"{row['name']}.json"
        key = stamp(row, library)
        r = json.loads(kept.read_text()) if kept.exists() and not a.fresh else {}
        if r.get("stamp") != key:
            if sys.stderr.isatty():
                left = (time.time() - began) / max(i, 1) * (len(chosen) - i)
                print(f"\r{i}/{len(chosen)} {row['name']:<24} {left:4.0f} s left \033[K", end="", file=sys.stderr, flush=True)
            r = {**in_process(row, library), "stamp": key}
            kept.write_text(json.dumps(r))
        v = verdict(row, r)
        table.append((row, r, v))
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print(f"{row['name']:<24} {v:<9} forward {number(r, 'forward_ort')} gradient {number(r, 'gradient')} torch {number(r, 'own_gradient')} "
              f"f64 {number(r, 'gradient_f64')} {r.get('refused', r.get('error', ''))}", flush=True)
    good = sum(v == "agrees" for *_, v in table)
    wrong = [row["name"] for row, _, v in table if v in ("forward", "gradient", "f64")]
    print(f"{good} of {len(table)} agree; wrong without being refused: {', '.join(wrong) or 'none'}")
    if a.out:
        write(pathlib.Path(a.out), table)
    return 1 if wrong or good < 0.98 * len(table) else 0


if __name__ == "__main__":
    sys.exit(main())
