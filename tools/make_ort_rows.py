#!/usr/bin/env python3
"""Writes tests/ops/ort.cases: operators of com.microsoft and ai.onnx.ml with what ONNX Runtime computes of given numbers.

    python3 tools/make_ort_rows.py > tests/ops/ort.cases

Needs numpy, onnx and onnxruntime (1.32 made the file). ONNX Runtime computes in single precision; inputs are eighths, which
are exact.
"""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

ROWS = 8  # of the tables of angles
numbers = np.random.default_rng(7)
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32}


def eighths(*shape):
    return (numbers.integers(-12, 13, shape) / 8).astype(np.float32)


def compute(op, inputs, attrs):
    """All outputs; inputs: (name, array or None) in the operator's order. Attention reads its cache from the later outputs, so
    all are asked for."""
    domain, name = op.split("::")
    more = {"GroupQueryAttention": ["present_k", "present_v"], "SVMClassifier": ["z"]}.get(name, [])
    given = {key: value for key, value in inputs if value is not None}
    node = helper.make_node(name, [k if v is not None else "" for k, v in inputs], ["y", *more], domain=domain, **attrs)
    declared = [helper.make_tensor_value_info(k, TYPES[str(v.dtype)], v.shape) for k, v in given.items()]
    kinds = [TensorProto.INT64 if name == "SVMClassifier" else TensorProto.FLOAT] + [TensorProto.FLOAT] * len(more)
    outputs = [helper.make_tensor_value_info(k, kind, None) for k, kind in zip(["y", *more], kinds)]
    graph = helper.make_graph([node], "row", declared, outputs)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 3 if domain == "ai.onnx.ml" else 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)


def text(values):
    return ",".join(f"{float(v):.8g}" for v in np.ravel(values))


def print_row(op, inputs, attrs, settings=(), comment=""):
    """settings: inputs that our rows have as attributes."""
    y, *more = compute(op, inputs, attrs)
    scores = op.endswith("Classifier")
    words = [op]
    for name, value in inputs:
        if name in settings:
            attrs = attrs | {settings[name]: int(value)}
        elif value is None:
            words.append("no=-")
        else:
            kind = ":i64" if value.dtype.kind == "i" else ""
            words.append(f"{name}={'x'.join(map(str, value.shape))}{kind}:={text(value)}")
    while words[-1] == "no=-":
        words.pop()
    words += [f"{k}={text(v) if isinstance(v, (list, float)) else v}" for k, v in attrs.items()]
    words += ["out=2", f"@out2={text(more[0])}"] if scores else []
    print(*words, f"@out={text(y)} tol=1e-5 pin=1e-6", *([f"#{comment}"] if comment else []))


def group_query(comment, batch, steps, lengths, total, heads=(2, 1), d=8, past=0, packed=False, turned=0, **options):
    """lengths: of all tokens, per item; options: attributes, and the inputs positions, bias and sink."""
    q_heads, kv_heads = heads
    width = (q_heads + 2 * kv_heads) * d if packed else q_heads * d
    kept = (batch, kv_heads, past, d)
    angles = numbers.uniform(-3, 3, (ROWS, max(turned, 1)))
    positions, bias, sink = (options.pop(name, None) for name in ("positions", "bias", "sink"))
    inputs = [
        ("q", eighths(batch, steps, width)),
        ("k", None if packed else eighths(batch, steps, kv_heads * d)),
        ("v", None if packed else eighths(batch, steps, kv_heads * d)),
        ("past_k", eighths(*kept) if past else None),
        ("past_v", eighths(*kept) if past else None),
        ("lengths", np.array(lengths, np.int32) - 1),
        ("total", np.array(total, np.int32)),
        ("cos", (np.round(np.cos(angles) * 64) / 64).astype(np.float32) if turned else None),
        ("sin", (np.round(np.sin(angles) * 64) / 64).astype(np.float32) if turned else None),
        ("positions", np.array(positions, np.int64) if positions else None),
        ("bias", eighths(*bias) if bias else None),
        ("sink", eighths(q_heads) if sink else None),
    ]
    attrs = {"num_heads": q_heads, "kv_num_heads": kv_heads} | ({"do_rotary": 1} if turned else {}) | options
    settings = {"total": "total_sequence_length"}
    print_row("com.microsoft::GroupQueryAttention", inputs, attrs, settings, comment)


def vectors(op, comment, rows, kernel, per_class, **options):
    """A machine on 3 features; per_class: how many vectors each class has, or one number for a regressor."""
    total = int(np.sum(per_class))
    classes = len(per_class) if isinstance(per_class, list) else 2
    attrs = {
        "kernel_type": kernel,
        "kernel_params": [0.25, 0.5, 3.0],
        "support_vectors": eighths(max(total, 0) * 3).tolist(),
        "coefficients": eighths((classes - 1) * total if total else 3).tolist(),
        "rho": eighths(classes * (classes - 1) // 2).tolist(),
    }
    if isinstance(per_class, list):
        attrs |= {"vectors_per_class": per_class, "classlabels_ints": [3, 5, 9][:classes]}
    else:
        attrs |= {"n_supports": total}
    if not total:
        del attrs["support_vectors"]
    print_row(f"ai.onnx.ml::{op}", [("x", eighths(rows, 3))], attrs | options, {}, comment)


def main():
    print("# Written by tools/make_ort_rows.py: @out is what ONNX Runtime", onnxruntime.__version__, "computes.")
    group_query("a prompt", 1, 3, [3], 3)
    group_query("padding behind the shorter item", 2, 3, [3, 2], 3)
    group_query("packed", 1, 2, [2], 2, heads=(4, 2), packed=True)
    group_query("one more token", 1, 1, [4], 4, past=3)
    group_query("items of different lengths", 2, 1, [4, 2], 4, past=3)
    group_query("several more", 1, 2, [4], 4, past=2, scale=0.5)
    group_query("a cache with room", 1, 1, [3], 3, past=5)
    group_query("a prompt into a cache with room", 1, 2, [2], 2, past=4)
    group_query("turned", 1, 2, [2], 2, heads=(1, 1), d=16, turned=8)
    group_query("turned by neighbours", 1, 2, [2], 2, heads=(1, 1), d=16, turned=8, rotary_interleaved=1)
    group_query("turned at their places", 1, 1, [3], 3, heads=(1, 1), d=16, past=2, turned=8)
    group_query("turned from one place on", 1, 2, [2], 2, heads=(1, 1), d=16, turned=8, positions=[[3, 5]])
    group_query("turned as told", 1, 2, [4], 4, heads=(1, 1), d=16, past=2, turned=8, positions=[[6, 1]])
    group_query("a window", 1, 4, [4], 4, local_window_size=2)
    group_query("a window behind a cache", 1, 2, [5], 5, past=3, local_window_size=3)
    group_query("capped, then a bias", 1, 3, [3], 3, softcap=0.75, bias=(1, 1, 3, 3))
    group_query("a bias", 2, 2, [2, 2], 2, bias=(1, 2, 2, 2))
    group_query("a smooth softmax", 1, 3, [3], 3, smooth_softmax=1)
    group_query("a sink", 1, 3, [3], 3, sink=True)
    group_query("both directions", 2, 3, [3, 2], 3, causal=0)
    for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        vectors("SVMRegressor", kernel, 2, kernel, 4)
    vectors("SVMRegressor", "no vectors", 2, "LINEAR", 0)
    vectors("SVMRegressor", "inside or outside", 4, "RBF", 4, one_class=1)
    vectors("SVMClassifier", "two classes", 2, "RBF", [2, 3])
    vectors("SVMClassifier", "two classes", 2, "POLY", [2, 1], post_transform="LOGISTIC")
    vectors("SVMClassifier", "pairs of three", 3, "RBF", [2, 1, 2])
    vectors("SVMClassifier", "pairs of three", 2, "LINEAR", [1, 1, 2], post_transform="SOFTMAX")


if __name__ == "__main__":
    main()
