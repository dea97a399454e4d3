"""Zoo agreement: architectures with random weights, exported to ONNX, against ONNX Runtime and torch in
double.

    python tests/zoo/run.py [--only WORD] [--library build/libonnxplain.so] [--out docs/zoo.md] [--fresh]

Each row of models.tsv runs in a process of its own. The exported model and torch's numbers are kept in
build/zoo until the row or the files that make them change, our results until the library changes as well.
Forward: the output against ONNX Runtime. Gradient: of the output element of largest magnitude by the inputs
(token ids: by their embedding), against torch in double. int8 models: segments.py.
"""

import argparse
import hashlib
import json
import multiprocessing
import pathlib
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

import report

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "zoo"
LIMIT_SECONDS = 300
INPUTS = 3
PLAIN_FLOPS = 1.2e9  # the double executor is a naive one: larger models run in float only
COLUMNS = ("name", "model", "input", "exporter", "precision", "seed")


def rows() -> Iterator[dict[str, str]]:
    for line in (HERE / "models.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            yield dict(zip(COLUMNS, line.split("\t"), strict=True))


def stamp(row: dict[str, str], *files: pathlib.Path) -> str:
    h = hashlib.sha256(repr(row).encode())
    for file in files:
        h.update(file.read_bytes())
    return h.hexdigest()


# ---- one row, in its own process -------------------------------------------------------------------


def references(row: dict[str, str], model: pathlib.Path) -> Iterator[dict]:
    """Torch's numbers at one input after the other: kept ones, else the model is made, exported and run."""
    import numpy as np

    mark = model.with_suffix(".stamp")
    key, first = stamp(row, HERE / "families.py", HERE / "reference.py"), 0
    if not (mark.exists() and mark.read_text() == key):
        for old in WORK.glob(f"{row['name']}.*"):
            old.unlink()
        mark.write_text(key)
    for n in range(1, INPUTS + 1):
        kept = model.with_suffix(f".{n}.npz")
        if not kept.exists():
            import reference

            np.savez(kept, **reference.make(row, model, first))
        found = dict(np.load(kept, allow_pickle=False))
        first = int(found["draw"]) + 1
        yield found


def run_row(row: dict[str, str], library: pathlib.Path) -> dict:
    """The first input decides, but for float gradients out of bounds: if a unit of ours fell on the other
    side of its kink than torch's, the next input shows it; a wrong derivative is wrong at all of them."""
    model, worst = WORK / f"{row['name']}.onnx", {}
    for n, ref in enumerate(references(row, model), 1):
        r = compare(row, model, ref, library) | {"inputs": n}
        for key in ("forward", "forward_ort", "forward_f64", "gradient_f64"):
            if key in worst:
                r[key] = max(r[key], worst[key])
        if report.verdict(row, r) != "gradient":
            break
        worst = r
    return r


def compare(row: dict[str, str], path: pathlib.Path, ref: dict, library: pathlib.Path) -> dict:
    """Our numbers at one input."""
    import numpy as np
    import onnx
    import ours
    from segments import compare as compare_codes
    from segments import session, worst

    graph = onnx.load(path, load_external_data=False).graph
    names = [i.name for i in graph.input]
    feeds = {k[3:]: v for k, v in ref.items() if k.startswith("in_")}
    inputs = dict(zip(names, feeds, strict=True))  # name in the file -> name in torch
    given = {name: feeds[torch_name] for name, torch_name in inputs.items()}
    out = graph.output[0].name
    y64 = ref["y"]
    result = {k: float(ref[k]) for k in ("own_forward", "own_gradient")}
    target = f"{out}[{','.join(map(str, np.unravel_index(int(ref['index']), y64.shape)))}]"
    wanted = {k[2:]: v for k, v in ref.items() if k.startswith("g_")}

    def by_input(found: dict) -> list:
        """Our gradients in torch's order: float inputs by name, embeddings in the order of the token ids."""
        rest = [v for k, v in found.items() if k not in inputs]
        mine = {inputs[k]: v for k, v in found.items() if k in inputs}
        mine |= dict(zip([k for k in feeds if k in wanted and k not in mine], rest, strict=True))
        return [mine[k] for k in wanted]

    lib = ours.Library(str(library))
    try:
        model = lib.open(path)
        mine = lib.run(model, given, [out], "f32")[0]
        start = time.time()
        found = lib.gradient(model, given, target, "f32")
        result["seconds"] = time.time() - start
        if row["precision"] == "int8":
            return result | compare_codes(path, given, lib)
        y_ort = session(str(path), optimise=True).run([out], given)[0].astype(np.float64)
        result["forward_ort"] = worst([mine], [y_ort])
        result["ort_forward"] = worst([y_ort], [y64])
        result["forward"] = worst([mine], [y64])
        result["gradient"] = worst(by_input(found), list(wanted.values()))
        if flops(library, path) < PLAIN_FLOPS:
            result["forward_f64"] = worst(lib.run(model, given, [out], "f64"), [y64])
            doubles = lib.gradient(model, given, target, "f64")
            result["gradient_f64"] = worst(by_input(doubles), list(wanted.values()))
    except ours.Refused as e:
        result["refused"] = str(e).removeprefix(f"{path}: ")
    return result


def flops(library: pathlib.Path, path: pathlib.Path) -> float:
    """The forward pass' work, as the command says."""
    said = subprocess.run(
        [library.parent / "onnxplain", "inspect", path], capture_output=True, text=True
    ).stdout
    for line in said.splitlines():
        if line.startswith("work"):
            number, unit = line.split()[1:3]
            return float(number) * {"F": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[unit[0]]
    return float("inf")


# ---- all rows --------------------------------------------------------------------------------------


def child(row: dict[str, str], library: pathlib.Path, pipe: Connection) -> None:
    try:
        r = run_row(row, library)
    except Exception as e:
        traceback.print_exc(limit=-2)
        r = {"error": f"{type(e).__name__}: {str(e).splitlines()[0][:300] if str(e) else ''}"}
    pipe.send(r)


def in_process(context: BaseContext, row: dict[str, str], library: pathlib.Path) -> dict:
    """A crash or a hang is the row's own."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(row, library, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMIT_SECONDS) else {"error": f"no result after {LIMIT_SECONDS} s"}
    except EOFError:
        process.join()
        return {"error": f"ended with status {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default="", help="rows whose name this regular expression finds")
    p.add_argument("--library", default=str(ROOT / "build" / "libonnxplain.so"))
    p.add_argument("--out", help="where the table goes")
    p.add_argument("--fresh", action="store_true", help="our results anew")
    a = p.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    library = pathlib.Path(a.library).resolve()
    from tqdm import tqdm

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["reference", "onnx", "onnxruntime"])  # imported once, not by each row
    table = []
    code = [HERE / f for f in ("run.py", "reference.py", "families.py", "segments.py", "ours.py")]
    chosen = [r for r in rows() if re.search(a.only, r["name"])]
    tqdm.set_lock(threading.RLock())  # its own is a semaphore between processes, which are not here
    bar = tqdm(chosen, disable=None, unit="model")
    for row in bar:
        bar.set_postfix_str(row["name"])
        kept, key = WORK / f"{row['name']}.json", stamp(row, *code, library)
        r = json.loads(kept.read_text()) if kept.exists() and not a.fresh else {}
        if r.get("stamp") != key:
            r = {**in_process(context, row, library), "stamp": key}
            kept.write_text(json.dumps(r))
        table.append((row, r, report.verdict(row, r)))
        tqdm.write(report.line(*table[-1]), end="\n", file=sys.stdout)
        sys.stdout.flush()
    print(report.summary(table))
    if a.out:
        report.write(pathlib.Path(a.out), table)
    return 0 if report.good(table) else 1


if __name__ == "__main__":
    sys.exit(main())
