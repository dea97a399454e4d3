"""What the zoo's numbers mean, and the table of docs/zoo.md."""

import pathlib

WRONG = ("forward", "gradient", "f64")
Row = tuple[dict[str, str], dict, str]

TEXT = """# Zoo agreement

Written by `make zoo` (`tests/zoo`), not by hand: architectures of torchvision, timm, transformers and our
own with random weights, small, exported by torch's two exporters (`ts`: TorchScript, `dyn`: dynamo, then
the opset). Numbers are largest differences over the largest magnitude.

- forward: our float executor against ONNX Runtime (half precision: against torch in double);
- gradient: of the largest output element by the inputs (token ids: by their embedding), our float executor
  against torch in double;
- torch: what float32 does to torch's own gradient, the largest of five runs: as is, and with the last
  digits of input and weights moved. The input is the first of eight at which that is at most 3e-04, else
  the steadiest of the eight: next to a kink float32 says little. Where the float gradient is out of bounds
  even so, the next such input is tried, at most three: a unit falls on the other side of its kink by
  chance, a wrong derivative is wrong at every input;
- f64: our double executor against torch in double, the larger of forward and gradient, where the model is
  small enough;
- int8: torch has no such model, and one number next to a tie between two codes changes half of the codes
  behind it. So every quantised tensor is computed from ONNX Runtime's codes before it (optimisations off),
  and must be the same but for ties; the gradient of one element of each is our float executor's against our
  double one's;
- agrees: forward within 1e-4 or three times the float error of the peers, gradient within 1e-3 or three
  times torch's own, f64 within 1e-6.

"""


def verdict(row: dict[str, str], r: dict) -> str:
    """agrees; refused; error (nothing to compare); else what is wrong."""
    if "error" in r:
        return "error"
    if "refused" in r:
        return "refused"
    half, quantised = row["precision"] == "f16", row["precision"] == "int8"
    # in half precision ONNX Runtime rounds every tensor: torch in double is the judge
    forward = r["forward"] if half else r["forward_ort"]
    peers = 0 if quantised else max(r["own_forward"], 0 if half else r["ort_forward"])
    if not forward <= max(1e-4, 3 * peers):
        return "forward"
    if not r["gradient"] <= max(1e-3, 0 if quantised else 3 * r["own_gradient"]):
        return "gradient"
    if not max(r.get("forward_f64", 0), r.get("gradient_f64", 0)) <= 1e-6:
        return "f64"
    return "agrees"


def number(r: dict, key: str) -> str:
    return f"{r[key]:.0e}" if key in r else "."


def line(row: dict[str, str], r: dict, v: str) -> str:
    return (
        f"{row['name']:<24} {v:<9} forward {number(r, 'forward_ort')} gradient {number(r, 'gradient')} "
        f"torch {number(r, 'own_gradient')} f64 {number(r, 'forward_f64')} {number(r, 'gradient_f64')} "
        f"{r.get('refused', r.get('error', ''))}"
    )


def good(table: list[Row]) -> bool:
    return all(v not in WRONG for *_, v in table) and sum(v == "agrees" for *_, v in table) >= 0.98 * len(
        table
    )


def summary(table: list[Row]) -> str:
    agree = sum(v == "agrees" for *_, v in table)
    wrong = [row["name"] for row, _, v in table if v in WRONG]
    return f"{agree} of {len(table)} agree; wrong without being refused: {', '.join(wrong) or 'none'}"


def write(path: pathlib.Path, table: list[Row]) -> None:
    counts: dict[str, int] = {}
    for *_, v in table:
        counts[v] = counts.get(v, 0) + 1
    lines = [
        TEXT,
        f"{len(table)} models: "
        + ", ".join(f"{n} {v.removesuffix('s')}" for v, n in sorted(counts.items()))
        + ".\n",
    ]
    lines += [
        "| model | exporter | precision | forward | gradient | torch | f64 | gradient, s | |",
        "|" + "---|" * 9,
    ]
    for row, r, v in table:
        half, quantised = row["precision"] == "f16", row["precision"] == "int8"
        f64 = max(r.get("forward_f64", 0), r.get("gradient_f64", 0))
        cells = [
            f"`{row['name']}`",
            row["exporter"],
            row["precision"],
            number(r, "forward" if half else "forward_ort"),
            number(r, "gradient"),
            "." if quantised else number(r, "own_gradient"),
            f"{f64:.0e}" if "forward_f64" in r else ".",
            f"{r['seconds']:.3f}" if "seconds" in r else ".",
            ("agrees" if r["inputs"] == 1 else f"agrees at input {r['inputs']}")
            if v == "agrees"
            else f"**{v}** {r.get('refused', r.get('error', ''))}".strip(),
        ]
        lines.append("| " + " | ".join(c.replace("|", "/") for c in cells) + " |")
    path.write_text("\n".join(lines) + "\n")
