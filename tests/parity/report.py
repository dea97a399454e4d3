"""Verdicts, and the table of docs/parity.md."""

import importlib.metadata

LIMIT = {"f32": 1e-4, "f64": 1e-9}
FLOOR = 1e-3  # what rounding may do to a whole model's f32 array in any case: one unit on the other side of a kink
SHARE = 10  # how many times the peer's own float32 error ours may be where the f64 arrays are equal

TEXT = """# Parity with other software

Written by `make parity` (`tests/parity`), not by hand. An error is the largest difference between the raw array of
`onnxplain explain --format npy` and the peer's, over the largest magnitude of the peer's. The peer runs in double, on
a PyTorch module made of the same ONNX file with the same weights, at the settings named, before it scales or enlarges
anything. Every row ran twice: with `--precision f64`, where both compute the same formula without rounding to speak of, and
in f32, the product.

Peers: {peers}. Peers named "formula" cannot be imported here or do not run on these models; their definition is written
out in `tests/parity/formulas.py` in PyTorch or NumPy.

- a number: the f32 error, at most {f32:.0e}, and equal in f64: at most {f64:.0e} unless a note says otherwise;
- `r` a number: equal in f64 likewise, but in f32 above {f32:.0e}: rounding. The number in brackets is what float32 alone does
  to the peer: the largest error of five of its runs, at the input and with the input's last digits moved; ours may be
  {share} times that, and {floor:.0e} on the large models (ResNet and those after it). A unit within rounding of a kink of ReLU or Clip falls on the other side, a divisor near zero magnifies
  its last digit;
- a number with [n]: see note n below; with *, the formulas differ, and note n says why; **bold**: fails, unexplained;
- `.`: not applicable, or the peer cannot.

The graphs named like torchvision's models have their shapes and seeded random weights, on 64 x 64 pictures, and
`bert_base` the shape of BERT-base on 16 tokens (`tests/parity/graphs.py`); the others are those of this repository. Sampling
methods ran on onnxplain's own random numbers, given to the peer. EigenCAM and its kin are compared up to sign.

"""


def reason(row, case):
    return next((why for word, why in row.known.items() if case.name == word or case.has(word)), None)


def verdict(row, case, result):
    """equal; rounding: equal in f64; deviates: for a reason that is known; FAILS."""
    limit = row.limit or LIMIT["f64"]
    if "f64" in result and result["f64"] <= limit:
        if result["f32"] <= LIMIT["f32"]:
            return "equal"
        floor = FLOOR if case.has("large") else 0.0
        if result["f32"] <= max(floor, SHARE * result.get("float32", 0.0)):
            return "rounding"
    return "deviates" if reason(row, case) else "FAILS"


def cell(row, case, result, judged, notes):
    def note(why):
        if why not in notes:
            notes.append(why)
        return f"[{notes.index(why) + 1}]"

    if "error" in result and judged == "FAILS":
        return "**error**"
    number = f"{result['f32']:.0e}" if "f32" in result else "-"
    if judged == "FAILS":
        return f"**{number}**"
    if judged == "deviates":
        return f"{number} * {note(reason(row, case))}"
    loose = f" {note(row.why)}" if row.limit else ""
    own = f"{result['float32']:.0e}" if "float32" in result else "-"
    return f"r {number} ({own}){loose}" if judged == "rounding" else number + loose


def table(rows, results, names, notes):
    lines = ["| method | peer | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        cells = {c.name: cell(r, c, res, v, notes) for r, c, res, v in results if r is row}
        if any(n in cells for n in names):
            shown = [cells.get(n, ".") for n in names]
            lines.append("| " + " | ".join([row.title, row.peer, *shown]) + " |")
    return "\n".join(lines) + "\n"


def write(path, rows, results, absent, part):
    version = importlib.metadata.version
    packages = ("torch", "captum", "grad-cam", "zennit", "torchcam", "saliency")
    notes, text = [], TEXT.format(peers=", ".join(f"{p} {version(p)}" for p in packages), share=SHARE, floor=FLOOR, **LIMIT)
    counts = {v: sum(r[3] == v for r in results) for v in ("equal", "rounding", "deviates", "FAILS")}
    text += f"{len(results)} comparisons: " + ", ".join(f"{n} {v}" for v, n in counts.items()) + ".\n"
    same = [r[2]["f64"] for r in results if r[3] in ("equal", "rounding") and not r[0].limit]
    if same:
        text += f"The largest f64 error of those without a note is {max(same):.0e}.\n"
    if part:
        text += f"\nThis run was on a part of the models: `--model {part}`.\n"
    large = list(dict.fromkeys(c.name for _, c, _, _ in results if c.has("large")))
    small = list(dict.fromkeys(c.name for _, c, _, _ in results if not c.has("large")))
    for title, names in (("Large models", large), ("Small models", small)):
        if names:
            text += f"\n## {title}\n\n" + table(rows, results, names, notes)
    if notes:
        text += "\n## Notes\n\n" + "".join(f"{i}. {n}\n" for i, n in enumerate(notes, 1))
    text += f"\n## Methods without a row\n\n{', '.join(f'`{m}`' for m in absent) or 'None'}.\n"
    path.write_text(text)
