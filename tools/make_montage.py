#!/usr/bin/env python3
"""Writes tests/data/montage/cat_espresso.png: the cat on the left half, the espresso on the right.

    python3 tools/make_montage.py photos tests/data/montage

Needs pillow. 256 x 256, so that the demo model's preprocessing only crops: each half of the crop
holds one photo.
"""
import pathlib
import sys

from PIL import Image

SIDE = 256


def half(path):
    """The central upright half of the photo's central square."""
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = ((s - side) // 2 for s in image.size)
    square = image.crop((left, top, left + side, top + side))
    square = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return square.crop((SIDE // 4, 0, SIDE * 3 // 4, SIDE))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    photos, folder = map(pathlib.Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    sheet = Image.new("RGB", (SIDE, SIDE))
    sheet.paste(half(photos / "chelsea.png"), (0, 0))
    sheet.paste(half(photos / "coffee.png"), (SIDE // 2, 0))
    sheet.save(folder / "cat_espresso.png", optimize=True)


if __name__ == "__main__":
    main()
