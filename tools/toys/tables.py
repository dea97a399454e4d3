"""Classifiers of tables as scikit-learn's converter writes them (ai.onnx.ml): a label first, then
probabilities, as a tensor or as a map from class to probability.

`table_linear` is a scaled softmax regression; `table_trees` two trees that count classes.
"""

import numpy as np
from onnx import TensorProto, helper

from .lib import Net

DOMAIN = "ai.onnx.ml"
FEATURES, CLASSES = 4, 3


def start(name):
    n = Net(name, opset=17)
    n.imports.append(helper.make_opsetid(DOMAIN, 3))
    n.input("x", np.array([[1, -2, 0.5, 3], [0, 1, 2, -1]], np.float32), ["N", FEATURES])
    return n


def ml(n, op, inputs, output, **attrs):
    return n.node(op, inputs, output, domain=DOMAIN, **attrs)


def add_map(n, **labels):
    """The probabilities as a sequence of maps."""
    ml(n, "ZipMap", "probabilities", "map", **labels)
    key = TensorProto.STRING if "classlabels_strings" in labels else TensorProto.INT64
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
    n.outputs.append(helper.make_value_info("map", maps))


def linear(name, labels, key, mapped):
    n = start(name)
    offset, scale = [0.5, -0.5, 1, 0], [1, 2, 0.5, 0.25]
    ml(n, "Scaler", "x", "scaled", offset=offset, scale=scale)
    weights = np.round(n.normal(CLASSES * FEATURES) * 16) / 16
    ml(
        n,
        "LinearClassifier",
        "scaled",
        "label scores",
        coefficients=weights.tolist(),
        intercepts=[0.25, 0, -0.25],
        post_transform="SOFTMAX",
        **{"classlabels_" + ("ints" if key == "int64s" else key): labels},
    )
    ml(n, "Normalizer", "scores", "probabilities", norm="L1")
    n.output("label", elem=TensorProto.STRING if key == "strings" else TensorProto.INT64)
    if mapped:
        add_map(n, **{"classlabels_" + key: labels})
    else:
        n.output("probabilities")
    return n


def trees(name):
    n = start(name)
    branch, leaf = "BRANCH_LEQ", "LEAF"
    ml(
        n,
        "TreeEnsembleClassifier",
        "x",
        "label probabilities",
        nodes_treeids=[0] * 5 + [1] * 3,
        nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2],
        nodes_featureids=[0, 0, 3, 0, 0, 1, 0, 0],
        nodes_modes=[branch, leaf, branch, leaf, leaf, branch, leaf, leaf],
        nodes_values=[0.5, 0.0, 2.5, 0.0, 0.0, 0.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 3, 0, 0, 1, 0, 0],
        nodes_falsenodeids=[2, 0, 4, 0, 0, 2, 0, 0],
        class_treeids=[0, 0, 0, 0, 1, 1, 1, 1],
        class_nodeids=[1, 3, 4, 4, 1, 1, 2, 2],
        class_ids=[0, 1, 1, 2, 1, 2, 0, 1],
        class_weights=[0.5, 0.5, 0.125, 0.375, 0.25, 0.25, 0.375, 0.125],
        classlabels_int64s=[3, 5, 8],
    )
    n.output("label", elem=TensorProto.INT64)
    n.output("probabilities")
    return n


def all_nets():
    names = ["ant", "bee", "fly"]
    return [
        linear("table_linear__tensor", [0, 1, 2], "int64s", False),
        linear("table_linear__map", [0, 1, 2], "int64s", True),
        linear("table_linear_names", names, "strings", True),
        trees("table_trees"),
    ]
