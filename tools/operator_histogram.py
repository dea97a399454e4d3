#!/usr/bin/env python3
"""Counts the operators of ONNX models and prints a table in Markdown: how often each occurs, and whether we have it.

    tools/operator_histogram.py [--have build/onnxplain] NAME=FOLDER... > docs/operators-histogram.md

Each folder is searched for files that end in .onnx; nodes of subgraphs and of local functions count too. Operators are sorted
by the number of models that use them. Needs Python only: the little of protocol buffers that it takes is read here.
"""
import argparse
import pathlib
import subprocess
import sys
from collections import Counter, defaultdict


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a message's fields; length-delimited ones as memory views."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        yield number, value


def nodes_of(message, field):
    """Names of the operators in the repeated NodeProto `field` of a graph or function, and in their subgraphs."""
    for number, value in fields(message):
        if number != field:
            continue
        op = domain = ""
        for n, v in fields(value):  # NodeProto
            if n == 4:
                op = bytes(v).decode()
            elif n == 7:
                domain = bytes(v).decode()
            elif n == 5:  # AttributeProto: g = 6, graphs = 11
                for k, graph in fields(v):
                    if k in (6, 11):
                        yield from nodes_of(graph, 1)
        yield op if domain in ("", "ai.onnx") else f"{domain}::{op}"


def operators(path):
    found = Counter()
    for number, value in fields(memoryview(path.read_bytes())):  # ModelProto: graph = 7, functions = 25
        if number in (7, 25):
            found.update(nodes_of(value, 1 if number == 7 else 7))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--have", default="build/onnxplain", help="the command whose `inspect --ops` lists what we have")
    parser.add_argument("folder", nargs="+", help="NAME=FOLDER")
    args = parser.parse_args()
    lines = subprocess.run([args.have, "inspect", "--ops"], check=True, capture_output=True, text=True).stdout.splitlines()
    have = {line.split()[0] for line in lines[1:] if line.strip()} | {"Constant"}

    names, models, uses = [], Counter(), defaultdict(Counter)  # uses[operator][name] = models
    nodes = Counter()
    for spec in args.folder:
        name, _, folder = spec.partition("=")
        names.append(name)
        paths = sorted(pathlib.Path(folder).rglob("*.onnx"))
        if not paths:
            sys.exit(f"operator_histogram: no *.onnx below {folder}")
        for path in paths:
            models[name] += 1
            for op, n in operators(path).items():
                uses[op][name] += 1
                nodes[op] += n
    order = sorted(uses, key=lambda op: (-sum(uses[op].values()), op))
    total = sum(n in have for n in order)
    print("# Operators by frequency\n")
    print("Made by `tools/operator_histogram.py`: in how many models of each set an operator occurs, and whether this version has")
    print(f"it ({total} of {len(order)}). Models: " + ", ".join(f"{n} {models[n]}" for n in names) + ".\n")
    print("| operator | " + " | ".join(names) + " | nodes | supported |")
    print("|---|" + "---:|" * (len(names) + 1) + "---|")
    for op in order:
        counts = " | ".join(str(uses[op][n] or "") for n in names)
        print(f"| {op} | {counts} | {nodes[op]} | {'yes' if op in have else 'no'} |")


if __name__ == "__main__":
    main()
