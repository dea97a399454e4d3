"""Runs the Python of docs/tutorial.md and the READMEs: the blocks of a page in order, in one session, in a
fresh folder that holds models/, photos/ and tests/.

    python tests/docs/tutorial.py [--update]

What a block prints must be what the text block behind it says (the tutorial shows all that is printed);
numbers may differ by one unit in their last place, since processors round differently. Every picture NAME.png
that the tutorial writes must look like docs/img/tutorial.NAME.png. --update writes both instead.
"""

import argparse
import contextlib
import io
import os
import pathlib
import re
import sys
import tempfile
import zlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
PAGES = (TUTORIAL, ROOT / "README.md", ROOT / "python" / "README.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n?^```text\n(.*?)^```\n)?", re.M | re.S)
NUMBER = re.compile(r"-?\d+(?:\.(\d+))?(?:e-?\d+)?")


def pixels(png: bytes) -> np.ndarray:
    """(H, W, C) uint8 of a PNG as the library writes it: 8 bits, not interlaced."""
    at, data, shape = 8, b"", (0, 0, 0)
    while at < len(png):
        size, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            shape = int.from_bytes(body[4:8], "big"), int.from_bytes(body[:4], "big"), {2: 3, 6: 4}[body[9]]
        data += body if kind == b"IDAT" else b""
        at += size + 12
    height, width, n = shape
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + width * n)
    above, out = [0] * (width * n), []
    for kind, row in zip(rows[:, 0].tolist(), rows[:, 1:].tolist(), strict=True):
        if kind in (1, 3, 4):
            for i, value in enumerate(row):
                a, b, c = (row[i - n], above[i], above[i - n]) if i >= n else (0, above[i], 0)
                if kind == 4:
                    pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                    guess = a if pa <= pb and pa <= pc else b if pb <= pc else c
                else:
                    guess = a if kind == 1 else (a + b) // 2
                row[i] = (value + guess) & 255
        elif kind == 2:
            row = [(value + b) & 255 for value, b in zip(row, above, strict=True)]
        out.append(row)
        above = row
    return np.array(out, np.uint8).reshape(height, width, n)


def same_text(printed: str, written: str) -> bool:
    if NUMBER.sub("#", printed) != NUMBER.sub("#", written):
        return False
    for a, b in zip(NUMBER.finditer(printed), NUMBER.finditer(written), strict=True):
        places = len(b.group(1) or "")
        if abs(float(a.group()) - float(b.group())) > (1.001 * 10.0**-places if places else 0):
            return False
    return True


def same_picture(made: bytes, kept: bytes) -> str:
    """Why not, or ""."""
    a, b = pixels(made), pixels(kept)
    if a.shape != b.shape:
        return f"is {a.shape}, expected {b.shape}"
    off = np.abs(a.astype(int) - b)
    far = (off.max(axis=2) > 24).mean()
    return f"differs in {far:.1%} of the pixels" if off.mean() > 1 or far > 0.005 else ""


def run(page: pathlib.Path) -> tuple[str, list[str]]:
    """The page with what was printed, and what went wrong."""
    session: dict[str, object] = {"__name__": "tutorial"}
    text, wrong = page.read_text(), []

    def execute(block: re.Match[str]) -> str:
        code, written = block.group(1), block.group(2) or ""
        line = text[: block.start()].count("\n") + 2
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), session)
        printed = "".join(f"{part.rstrip()}\n" for part in out.getvalue().splitlines())
        if same_text(printed, written) or (page != TUTORIAL and block.group(2) is None):
            return block.group()
        wrong.append(f"{page.relative_to(ROOT)}:{line}: the block prints\n{printed}expected\n{written}")
        return f"```python\n{code}```\n" + (f"```text\n{printed}```\n" if printed else "")

    return BLOCK.sub(execute, text), wrong


def check_pictures(page: str, folder: pathlib.Path, update: bool) -> list[str]:
    wrong = []
    made = {p.name: p.read_bytes() for p in sorted(folder.glob("*.png"))}
    shown = set(re.findall(r"img/tutorial\.(\S+?\.png)", page))
    wrong += [f"{name} is made, but not shown as img/tutorial.{name}" for name in sorted(made.keys() - shown)]
    wrong += [f"no block writes {name}" for name in sorted(shown - made.keys())]
    for name, data in made.items():
        kept = ROOT / "docs" / "img" / f"tutorial.{name}"
        if update:
            kept.write_bytes(data)
        elif not kept.exists():
            wrong.append(f"docs/img/{kept.name} is missing")
        elif why := same_picture(data, kept.read_bytes()):
            wrong.append(f"docs/img/{kept.name} is stale: {name} {why}")
    return wrong


def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--update", action="store_true", help="write what is printed and the pictures")
    update, wrong = parser.parse_args().update, []
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("models", "photos", "tests"):
                os.symlink(ROOT / name, os.path.join(folder, name))
            os.chdir(folder)
            text, lines = run(page)
            os.chdir(ROOT)
            wrong += [] if update else lines
            if page == TUTORIAL:
                wrong += check_pictures(text, pathlib.Path(folder), update)
        if update:
            page.write_text(text)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong and not update:
        print("To accept what is printed and drawn: make docs", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
