#!/usr/bin/env python3
"""Writes the tiny models of tests/data/toy with their input and output arrays.

    python3 tools/make_toys.py tests/data/toy

Needs numpy and onnx (1.12 or later) and, for the expected outputs, onnxruntime. Everything is
seeded: a second run writes the same bytes.
"""
import pathlib
import sys

from toys import nets

PARTS = [nets.all_nets]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        for net in part():
            net.save(folder)


if __name__ == "__main__":
    main()
