"""Operators as old and new opsets spell them, and equivalent forms within one opset.

GROUPS maps a group to its input shape and its spellings; a spelling is (opset, function), and the
function appends nodes that turn `x` into `y`. What the importer normalises must agree in a group.
"""

import numpy as np
from onnx import helper, numpy_helper

from .lib import Net

GROUPS = {}


def group(name, *shape):
    """Registers the decorated function's spellings, a dict SPELLING -> (opset, append)."""

    def register(make):
        GROUPS[name] = (shape, make())
        return make

    return register


def one(op, **attrs):
    """A single node without further inputs."""
    return lambda n: n.node(op, "x", "y", **attrs)


def with_inputs(dtype):
    """A maker of single nodes whose further inputs are initializers of that type."""

    def node(op, *values, **attrs):
        def append(n):
            names = [n.const(f"arg{i}", value, dtype) for i, value in enumerate(values)]
            return n.node(op, ",".join(["x"] + names), "y", **attrs)

        return append

    return node


with_ints, with_floats = with_inputs(np.int64), with_inputs(np.float32)


@group("squeeze", 2, 1, 3, 1)
def _():
    return {
        "attr": (11, one("Squeeze", axes=[1, 3])),
        "input": (13, with_ints("Squeeze", [1, 3])),
        "all": (13, one("Squeeze")),
        "negative": (13, with_ints("Squeeze", [-3, -1])),
    }


@group("unsqueeze", 2, 3)
def _():
    return {
        "attr": (11, one("Unsqueeze", axes=[0, 3])),
        "input": (13, with_ints("Unsqueeze", [0, 3])),
        "negative": (13, with_ints("Unsqueeze", [-4, -1])),
    }


@group("slice", 2, 5, 6)
def _():
    big = 2**63 - 1
    return {
        "attr": (9, one("Slice", axes=[1, 2], starts=[1, -4], ends=[4, big])),
        "input10": (10, with_ints("Slice", [1, -4], [4, big], [1, 2])),
        "steps": (13, with_ints("Slice", [1, 2], [4, 6], [1, 2], [1, 1])),
        "no_axes": (13, with_ints("Slice", [0, 1, 2], [2, 4, 6])),
    }


@group("slice_reverse", 2, 5)
def _():
    def by_gather(n):
        n.ints("index", 4, 2, 0)
        return n.node("Gather", "x,index", "y", axis=1)

    return {
        "negative_step": (13, with_ints("Slice", [-1], [-(2**62)], [1], [-2])),
        "gather": (13, by_gather),
    }


@group("clip", 2, 8)
def _():
    def by_max_min(n):
        n.const("lo", -0.5)
        n.const("hi", 0.75)
        n.node("Max", "x,lo", "above")
        return n.node("Min", "above,hi", "y")

    return {
        "attr": (9, one("Clip", min=-0.5, max=0.75)),
        "input": (11, with_floats("Clip", -0.5, 0.75)),
        "input13": (13, with_floats("Clip", -0.5, 0.75)),
        "max_min": (13, by_max_min),
    }


@group("clip_below", 2, 8)
def _():
    return {
        "attr": (9, one("Clip", min=0.0)),
        "one_input": (13, with_floats("Clip", 0.0)),
        "empty_max": (13, lambda n: n.node("Clip", f"x,{n.const('lo', 0)},", "y")),
        "relu": (13, one("Relu")),
        "max": (13, with_floats("Max", 0)),
    }


@group("pad", 1, 2, 3, 4)
def _():
    pads = [0, 0, 1, 2, 0, 0, 0, 3]

    def value_input(n):
        n.ints("pads", *pads)
        n.const("value", 0.5)
        return n.node("Pad", "x,pads,value", "y")

    def by_concat(n):
        n.const("left", np.full((1, 2, 3, 2), 0.5))
        n.const("right", np.full((1, 2, 3, 3), 0.5))
        n.const("top", np.full((1, 2, 1, 9), 0.5))
        n.node("Concat", "left,x,right", "wide", axis=3)
        return n.node("Concat", "top,wide", "y", axis=2)

    return {
        "attr": (10, one("Pad", pads=pads, value=0.5, mode="constant")),
        "input": (11, value_input),
        "input13": (13, value_input),
        "concat": (13, by_concat),
    }


@group("dropout", 2, 8)
def _():
    def inputs(n):
        n.const("ratio", 0.4)
        n.const("training", False, np.bool_)
        return n.node("Dropout", "x,ratio,training", "y mask")

    return {
        "attr": (7, one("Dropout", ratio=0.4)),
        "attr10": (10, lambda n: n.node("Dropout", "x", "y mask", ratio=0.4)),
        "bare": (12, one("Dropout")),
        "inputs": (13, inputs),
        "identity": (13, one("Identity")),
    }


def batch_norm(**attrs):
    def append(n):
        n.const("scale", 1 + 0.3 * n.normal(3))
        n.const("bias", n.normal(3))
        n.const("mean", n.normal(3))
        n.const("var", np.abs(n.normal(3)) + 0.5)
        return n.node("BatchNormalization", "x,scale,bias,mean,var", "y", **attrs)

    return append


@group("batchnorm", 2, 3, 4, 4)
def _():
    return {
        "opset7": (7, batch_norm(spatial=1, epsilon=1e-3)),
        "opset9": (9, batch_norm(epsilon=1e-3, momentum=0.9)),
        "opset14": (14, batch_norm(epsilon=1e-3, training_mode=0)),
        "opset15": (15, batch_norm(epsilon=1e-3)),
    }


def resize(opset, by, **attrs):
    """Resize to (1,2,6,8) from (1,2,3,4), by scales or by sizes."""

    def append(n):
        n.const("scales", [1, 1, 2, 2])
        n.ints("sizes", 1, 2, 6, 8)
        if opset == 10:
            return n.node("Resize", "x,scales", "y", **attrs)
        roi = n.const("roi", np.zeros(0)) if opset == 11 else ""
        empty = n.const("empty", np.zeros(0)) if opset == 11 else ""
        args = "scales" if by == "scales" else f"{empty},sizes"
        return n.node("Resize", f"x,{roi},{args}", "y", **attrs)

    return opset, append


@group("upsample_nearest", 1, 2, 3, 4)
def _():
    exact = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return {
        "upsample7": (7, one("Upsample", mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])),
        "upsample9": (9, with_floats("Upsample", [1, 1, 2, 2], mode="nearest")),
        "resize10": resize(10, "scales", mode="nearest"),
        "resize11": resize(11, "scales", mode="nearest", **exact),
        "resize13": resize(13, "scales", mode="nearest", **exact),
        "sizes13": resize(13, "sizes", mode="nearest", **exact),
        "half_pixel": resize(13, "scales", mode="nearest"),
    }


@group("upsample_linear", 1, 2, 3, 4)
def _():
    asymmetric = {"coordinate_transformation_mode": "asymmetric"}
    return {
        "upsample7": (7, one("Upsample", mode="linear", scales=[1.0, 1.0, 2.0, 2.0])),
        "upsample9": (9, with_floats("Upsample", [1, 1, 2, 2], mode="linear")),
        "resize10": resize(10, "scales", mode="linear"),
        "resize11": resize(11, "scales", mode="linear", **asymmetric),
        "resize13": resize(13, "sizes", mode="linear", **asymmetric),
    }


@group("resize_linear", 1, 2, 3, 4)
def _():
    return {
        "scales11": resize(11, "scales", mode="linear"),
        "scales13": resize(
            13, "scales", mode="linear", coordinate_transformation_mode="half_pixel"
        ),
        "pytorch": resize(
            13, "sizes", mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
        ),
    }


@group("resize_corners", 1, 2, 3, 4)
def _():
    corners = {"coordinate_transformation_mode": "align_corners"}
    return {
        "scales11": resize(11, "scales", mode="linear", **corners),
        "sizes13": resize(13, "sizes", mode="linear", **corners),
    }


@group("reducesum", 2, 3, 4)
def _():
    return {
        "attr": (11, one("ReduceSum", axes=[1], keepdims=0)),
        "input": (13, with_ints("ReduceSum", [1], keepdims=0)),
        "negative": (13, with_ints("ReduceSum", [-2], keepdims=0)),
    }


@group("reducesum_all", 2, 3, 4)
def _():
    return {
        "attr": (11, one("ReduceSum")),
        "no_axes": (13, one("ReduceSum")),
        "every_axis": (13, with_ints("ReduceSum", [0, 1, 2])),
    }


def split(*args, **attrs):
    """x -> left (2,2), right (2,4) -> y = [right, left]."""

    def append(n):
        names = ["x"] + [n.ints("split", *a) for a in args]
        n.node("Split", ",".join(names), "left right", **attrs)
        return n.node("Concat", "right,left", "y", axis=1)

    return append


@group("split", 2, 6)
def _():
    def by_slice(n):
        for name, start, end in (("left", 0, 2), ("right", 2, 6)):
            args = [
                n.ints(f"{name}.{k}", v) for k, v in (("start", start), ("end", end), ("axis", 1))
            ]
            n.node("Slice", ",".join(["x"] + args), name)
        return n.node("Concat", "right,left", "y", axis=1)

    return {
        "attr": (11, split(axis=1, split=[2, 4])),
        "input": (13, split([2, 4], axis=1)),
        "negative": (13, split([2, 4], axis=-1)),
        "slices": (13, by_slice),
    }


@group("split_equal", 2, 6)
def _():
    return {
        "attr": (11, split(axis=1)),
        "no_input": (13, split(axis=1)),
        "input": (13, split([3, 3], axis=1)),
    }


def flattened(op):
    """What Softmax meant before opset 13: all axes from `axis` on are one."""

    def append(n):
        n.ints("flat", 2, 12)
        n.ints("back", 2, 3, 4)
        n.node("Reshape", "x,flat", "flat.x")
        n.node(op, "flat.x", "flat.y", axis=1)
        return n.node("Reshape", "flat.y,back", "y")

    return append


@group("softmax_flattening", 2, 3, 4)
def _():
    return {
        "opset11": (11, one("Softmax", axis=1)),
        "opset11_default": (11, one("Softmax")),
        "opset13": (13, flattened("Softmax")),
    }


@group("logsoftmax_flattening", 2, 3, 4)
def _():
    return {
        "opset11": (11, one("LogSoftmax", axis=1)),
        "opset13": (13, flattened("LogSoftmax")),
    }


@group("softmax_last", 2, 3, 4)
def _():
    return {
        "opset11": (11, one("Softmax", axis=2)),
        "opset13": (13, one("Softmax")),
        "positive": (13, one("Softmax", axis=2)),
    }


@group("flatten", 2, 3, 4)
def _():
    def computed(n):
        """Shape -> Gather -> Unsqueeze -> Concat, as exporters write `view(n, -1)`."""
        n.const("zero", 0, np.int64)
        n.ints("axis0", 0)
        n.ints("rest", -1)
        n.node("Shape", "x", "shape")
        n.node("Gather", "shape,zero", "rows", axis=0)
        n.node("Unsqueeze", "rows,axis0", "rows1")
        n.node("Concat", "rows1,rest", "target", axis=0)
        return n.node("Reshape", "x,target", "y")

    return {
        "flatten": (9, one("Flatten", axis=1)),
        "negative": (13, one("Flatten", axis=-2)),
        "reshape": (13, with_ints("Reshape", [0, -1])),
        "computed": (13, computed),
    }


def dense(spell):
    def append(n):
        weight, bias = n.normal(3, 4), n.normal(3)
        return spell(n, weight, bias)

    return append


@group("dense", 2, 4)
def _():
    def gemm(n, w, b):
        n.const("w", w)
        n.const("b", b)
        return n.node("Gemm", "x,w,b", "y", transB=1)

    def gemm_row(n, w, b):
        n.const("w", w.T)
        n.const("b", b[None])
        return n.node("Gemm", "x,w,b", "y", alpha=1.0, beta=1.0)

    def gemm_scaled(n, w, b):
        n.const("w", w * 2)
        n.const("b", b * 4)
        return n.node("Gemm", "x,w,b", "y", alpha=0.5, beta=0.25, transB=1)

    def gemm_no_bias(n, w, b):
        n.const("w", w)
        n.const("b", b)
        n.node("Gemm", "x,w", "product", transB=1)
        return n.node("Add", "product,b", "y")

    def matmul_add(n, w, b):
        n.const("w", w.T)
        n.const("b", b)
        n.node("MatMul", "x,w", "product")
        return n.node("Add", "b,product", "y")

    def transposed(n, w, b):
        n.const("w", w)
        n.const("b", b)
        n.node("Transpose", "x", "xt", perm=[1, 0])
        return n.node("Gemm", "xt,w,b", "y", transA=1, transB=1)

    return {
        "gemm": (9, dense(gemm)),
        "gemm_row_bias": (7, dense(gemm_row)),
        "gemm_scaled": (13, dense(gemm_scaled)),
        "gemm_no_bias": (11, dense(gemm_no_bias)),
        "matmul_add": (13, dense(matmul_add)),
        "trans_a": (13, dense(transposed)),
    }


def conv(**attrs):
    def append(n):
        n.weight("w", 3, 2, 3, 3)
        return n.node("Conv", "x,w", "y", strides=[2, 2], **attrs)

    return append


@group("conv_same_upper", 1, 2, 6, 8)
def _():
    def padded(n):
        n.ints("pads", 0, 0, 0, 0, 0, 0, 1, 1)
        n.weight("w", 3, 2, 3, 3)
        n.node("Pad", "x,pads", "padded")
        return n.node("Conv", "padded,w", "y", strides=[2, 2])

    return {
        "auto_pad": (13, conv(auto_pad="SAME_UPPER")),
        "pads": (13, conv(pads=[0, 0, 1, 1], kernel_shape=[3, 3])),
        "pad_node": (13, padded),
    }


@group("conv_same_lower", 1, 2, 6, 8)
def _():
    return {
        "auto_pad": (13, conv(auto_pad="SAME_LOWER")),
        "pads": (13, conv(pads=[1, 1, 0, 0])),
    }


@group("conv_valid", 1, 2, 6, 8)
def _():
    return {
        "auto_pad": (13, conv(auto_pad="VALID")),
        "notset": (13, conv(auto_pad="NOTSET")),
        "pads": (13, conv(pads=[0, 0, 0, 0])),
    }


@group("global_mean", 2, 3, 4, 5)
def _():
    return {
        "global_pool": (13, one("GlobalAveragePool")),
        "reduce": (13, one("ReduceMean", axes=[2, 3])),
        "negative": (13, one("ReduceMean", axes=[-1, -2], keepdims=1)),
        "pool": (13, one("AveragePool", kernel_shape=[4, 5])),
    }


@group("global_max", 2, 3, 4, 5)
def _():
    return {
        "global_pool": (13, one("GlobalMaxPool")),
        "reduce": (13, one("ReduceMax", axes=[2, 3])),
        "pool": (13, one("MaxPool", kernel_shape=[4, 5])),
    }


def leaky_where(n):
    n.const("zero", 0)
    n.const("slope", 0.2)
    n.node("Greater", "x,zero", "positive")
    n.node("Mul", "x,slope", "leaked")
    return n.node("Where", "positive,x,leaked", "y")


def leaky_max(n):
    n.const("slope", 0.2)
    n.node("Mul", "x,slope", "leaked")
    return n.node("Max", "x,leaked", "y")


@group("leaky", 2, 3, 4)
def _():
    return {
        "leaky": (13, one("LeakyRelu", alpha=0.2)),
        "prelu_scalar": (9, with_floats("PRelu", [0.2])),
        "prelu_channel": (13, with_floats("PRelu", np.full((3, 1), 0.2))),
        "where": (13, leaky_where),
        "max": (13, leaky_max),
    }


@group("sum", 2, 3)
def _():
    def operands(n):
        n.const("row", n.normal(3))
        n.const("column", n.normal(2, 1))

    def variadic(n):
        operands(n)
        return n.node("Sum", "x,row,column", "y")

    def adds(n):
        operands(n)
        n.node("Add", "x,row", "partial")
        return n.node("Add", "partial,column", "y")

    return {"sum": (8, variadic), "sum13": (13, variadic), "adds": (13, adds)}


@group("constant", 2, 3)
def _():
    values = [0.5, -1.0, 2.0]

    def by(**attrs):
        def append(n):
            n.node("Constant", "", "c", **attrs)
            return n.node("Mul", "x,c", "y")

        return append

    def initializer(n):
        n.const("c", values)
        return n.node("Mul", "x,c", "y")

    def tensor(n):
        n.node("Constant", "", "c", value=numpy_helper.from_array(np.float32(values)))
        return n.node("Mul", "x,c", "y")

    return {
        "initializer": (13, initializer),
        "value": (9, tensor),
        "value_floats": (13, by(value_floats=values)),
    }


@group("expand", 1, 3)
def _():
    def by_add(n):
        n.const("zeros", np.zeros((4, 3)))
        return n.node("Add", "x,zeros", "y")

    def by_constant_of_shape(n):
        n.ints("shape", 4, 3)
        value = helper.make_tensor("value", 1, [1], [0.0])
        n.node("ConstantOfShape", "shape", "zeros", value=value)
        return n.node("Add", "x,zeros", "y")

    return {
        "expand": (8, with_ints("Expand", [4, 3])),
        "ones_kept": (13, with_ints("Expand", [4, 1])),
        "add": (13, by_add),
        "constant_of_shape": (13, by_constant_of_shape),
        "concat": (13, lambda n: n.node("Concat", "x,x,x,x", "y", axis=0)),
    }


@group("gather_last", 2, 4, 3)
def _():
    def gather(index):
        def append(n):
            n.const("index", index, np.int64)
            return n.node("Gather", "x,index", "y", axis=1)

        return append

    def by_slice(n):
        for name, value in (("start", 3), ("end", 4), ("axis", 1)):
            n.ints(name, value)
        n.node("Slice", "x,start,end,axis", "row")
        return n.node("Squeeze", "row,axis", "y")

    return {
        "positive": (13, gather(3)),
        "negative": (13, gather(-1)),
        "slice": (13, by_slice),
    }


def all_nets():
    nets = []
    for name, (shape, spellings) in GROUPS.items():
        for spelling, (opset, append) in spellings.items():
            n = Net(f"opset_{name}__{spelling}", opset)
            n.input("x", n.normal(*shape))
            n.output(append(n))
            nets.append(n)
    return nets
