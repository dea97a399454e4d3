#!/usr/bin/env python3
"""Writes the tiny models of tests/data/toy with their input and output arrays.

    python3 tools/make_toys.py tests/data/toy

Needs numpy and onnx (1.12 or later) and, for the expected outputs, onnxruntime. Everything is
seeded: a second run writes the same bytes. Spellings of one group must agree, or it stops.
"""

import pathlib
import sys

import numpy as np

from toys import (
    asks,
    composites,
    containers,
    contrib,
    nets,
    opsets,
    quantised,
    tables,
    transformers,
)

PARTS = [
    nets.all_nets,
    asks.all_nets,
    composites.all_nets,
    opsets.all_nets,
    containers.all_nets,
    transformers.all_nets,
    contrib.all_nets,
    quantised.all_nets,
    tables.all_nets,
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    first = {}
    for net in (net for part in PARTS for net in part()):
        results = net.save(folder)
        expected = first.setdefault(net.name.split("__")[0], results)
        for ours, theirs in zip(results, expected):
            np.testing.assert_allclose(ours, theirs, 1e-5, 1e-6, err_msg=net.name)


if __name__ == "__main__":
    main()
