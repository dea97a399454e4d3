"""Nets that put a question to targets, layers, batches and axes rather than to operators.

Weights are small whole numbers, so that the tests can say in closed form what must come out.
"""

import numpy as np

from .lib import Net

ROWS = np.float32([[1, 2, 3], [-1, 4, 0.5]])


def sigmoid(name, squeezed):
    """x (N,3) -> one score `logit` -> Sigmoid, (N,1) or (N)."""
    n = Net(name)
    n.input("x", ROWS, ["N", 3])
    n.const("w", [[0.5], [-0.25], [1]])
    score = n.node("MatMul", "x,w", "column" if squeezed else "logit")
    if squeezed:
        n.ints("last", 1)
        score = n.node("Squeeze", "column,last", "logit")
    n.node("Sigmoid", score, "p")
    n.output("p", dims=["N"] if squeezed else ["N", 1])
    return n


def pooled_classes():
    """Class scores and probabilities of shape (N,4,1,1), as SqueezeNet has them."""
    n = Net("ask_pooled_classes")
    n.input("x", n.normal(2, 2, 3, 3), ["N", 2, 3, 3])
    n.weight("w", 4, 2, 1, 1)
    n.node("Conv", "x,w", "conv", kernel_shape=[1, 1])
    n.node("Relu", "conv", "relu")
    n.node("GlobalAveragePool", "relu", "scores")
    n.node("Softmax", "scores", "p", axis=1)
    n.output("p", dims=["N", 4, 1, 1])
    return n


def segmentation(name, kind):
    """x (N,1,8,8) -> scores (N,3,8,8): through 4x4 only, with low scores enlarged, with a skip."""
    n = Net(name)
    n.input("x", n.normal(1, 1, 8, 8), ["N", 1, 8, 8])
    n.weight("w0", 4, 1, 3, 3)
    n.weight("w1", 4, 4, 3, 3)
    n.weight("w2", 3, 4, 1, 1)
    n.const("scales", [1, 1, 2, 2])
    same = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    large = dict(mode="linear", coordinate_transformation_mode="half_pixel")
    n.node("Conv", "x,w0", "stem_conv", **same)
    n.node("Relu", "stem_conv", "stem")
    n.node("Conv", "stem,w1", "low_conv", strides=[2, 2], **same)
    n.node("Relu", "low_conv", "low")
    if kind == "low scores":
        n.node("Conv", "low,w2", "low_scores", kernel_shape=[1, 1])
        n.node("Resize", "low_scores,,scales", "scores", **large)
    else:
        merged = n.node("Resize", "low,,scales", "up", **large)
        if kind == "skip":
            n.node("Add", "up,stem", "joined")
            merged = n.node("Relu", "joined", "merged")
        n.node("Conv", f"{merged},w2", "scores", kernel_shape=[1, 1])
    n.node("Softmax", "scores", "p", axis=1)
    n.output("p", dims=["N", 3, 8, 8])
    return n


def series_segmentation():
    """x (N,1,6) -> class scores of every sample, (N,3,6), without a Softmax."""
    n = Net("ask_series_segments")
    n.input("x", n.normal(1, 1, 6), ["N", 1, 6])
    n.weight("w", 3, 1, 3)
    n.node("Conv", "x,w", "scores", kernel_shape=[3], pads=[1, 1])
    n.output("scores", dims=["N", 3, 6])
    return n


def batch_mean(name, batch):
    """Items that influence each other: x - mean over the batch."""
    n = Net(name)
    n.input("x", ROWS, [batch, 3])
    n.node("ReduceMean", "x", "mean", axes=[0], keepdims=1)
    n.node("Sub", "x,mean", "centred")
    n.const("w", [[1, 2], [3, -1], [0.5, 4]])
    n.node("MatMul", "centred,w", "logits")
    n.output("logits", dims=[batch, 2])
    return n


def one_at_a_time():
    """A batch declared, but a Reshape that holds one item only."""
    n = Net("ask_one_at_a_time")
    n.input("x", ROWS[:1].reshape(1, 3, 1), ["N", 3, 1])
    n.ints("flat", 1, 3)
    n.node("Reshape", "x,flat", "row")
    n.const("w", [[1, 2], [3, -1], [0.5, 4]])
    n.node("MatMul", "row,w", "logits")
    n.output("logits", dims=[1, 2])
    return n


def fixed_batch():
    """Declared for one item, which every Reshape holds too; a token of its own in front of the others."""
    n = Net("ask_fixed_batch")
    n.input("x", n.normal(1, 12), [1, 12])
    n.ints("picture", 1, 3, 2, 2)
    n.ints("tokens", 1, -1, 2)
    n.ints("merged", 5, 2)
    n.ints("flat", 1, -1)
    n.weight("conv.weight", 2, 3, 1, 1)
    n.weight("class_token", 1, 1, 2)
    n.weight("mix.weight", 2, 3)
    n.weight("fc.weight", 15, 2)
    n.node("Reshape", "x,picture", "image")
    n.node("Conv", "image,conv.weight", "conv", kernel_shape=[1, 1])
    n.node("Tanh", "conv", "bent")
    n.node("Reshape", "bent,tokens", "patches")
    n.node("Concat", "class_token,patches", "sequence", axis=1)
    n.node("Reshape", "sequence,merged", "rows")
    n.node("MatMul", "rows,mix.weight", "mixed")
    n.node("Sigmoid", "mixed", "gates")
    n.node("Reshape", "gates,flat", "features")
    n.node("MatMul", "features,fc.weight", "logits")
    n.output("logits", dims=[1, 2])
    return n


def fixed_batch_mixes():
    """Declared for one item: a softmax over what would be all items' numbers."""
    n = Net("ask_fixed_batch_mixes")
    n.input("x", n.normal(1, 6), [1, 6])
    n.ints("column", 6, 1)
    n.ints("row", 1, 6)
    n.weight("w", 6, 2)
    n.node("Reshape", "x,column", "first")
    n.node("Softmax", "first", "shares", axis=0)
    n.node("Reshape", "shares,row", "back")
    n.node("MatMul", "back,w", "logits")
    n.output("logits", dims=[1, 2])
    return n


def fixed_batch_picks():
    """Declared for one item, which is picked out of the batch: no other has a place."""
    n = Net("ask_fixed_batch_picks")
    n.input("x", n.normal(1, 6), [1, 6])
    n.ints("front", 0)
    n.weight("w", 6, 2)
    n.node("Squeeze", "x,front", "item")
    n.node("Tanh", "item", "bent")
    n.node("Unsqueeze", "bent,front", "row")
    n.node("MatMul", "row,w", "logits")
    n.output("logits", dims=[1, 2])
    return n


def unbatched_picture():
    """x (2,3,3) without a batch axis; s a scalar."""
    n = Net("ask_unbatched_picture")
    n.input("x", n.normal(2, 3, 3))
    n.input("s", np.float32(0.5), [])
    n.ints("front", 0)
    n.node("Unsqueeze", "x,front", "batch")
    n.weight("w", 3, 2, 2, 2)
    n.node("Conv", "batch,w", "conv", kernel_shape=[2, 2])
    n.node("GlobalAveragePool", "conv", "pool")
    n.node("Flatten", "pool", "flat", axis=1)
    n.node("Mul", "flat,s", "logits")
    n.output("logits", dims=[1, 3])
    return n


def time_major():
    """x (T,3), T steps of one series: mean over time -> (2)."""
    n = Net("ask_time_major")
    n.input("x", np.float32([[1, 2, 3], [-1, 4, 0.5], [2, 0, 1], [0, 1, 1]]), ["T", 3])
    n.node("ReduceMean", "x", "mean", axes=[0], keepdims=0)
    n.const("w", [[1, 2], [3, -1], [0.5, 4]])
    n.node("MatMul", "mean,w", "logits")
    n.output("logits", dims=[2])
    return n


def unused_input():
    n = Net("ask_unused_input")
    n.input("x", ROWS, ["N", 3])
    n.input("unused", np.float32([[7, 7], [7, 7]]), ["N", 2])
    n.const("w", [[1, 2], [3, -1], [0.5, 4]])
    n.node("MatMul", "x,w", "logits")
    n.output("logits", dims=["N", 2])
    return n


def shape_input():
    """The input `shape` says how x (1,6) is cut into rows; logits are the sums of the rows."""
    n = Net("ask_shape_input")
    n.input("x", np.float32([[1, 2, 3, 4, 5, 6]]), [1, 6])
    n.input("shape", np.int64([2, 3]))
    n.ints("last", 1)
    n.ints("front", 0)
    n.node("Reshape", "x,shape", "rows")
    n.node("ReduceSum", "rows,last", "sums", keepdims=0)
    n.node("Unsqueeze", "sums,front", "logits")
    n.output("logits", dims=[1, "rows"])
    return n


def count_input():
    """logits = x (0 + 1 + ... + n-1), n a scalar input."""
    n = Net("ask_count_input")
    n.input("x", ROWS, ["N", 3])
    n.input("n", np.int64(4), [])
    n.const("zero", 0, np.int64)
    n.const("one", 1, np.int64)
    n.ints("first", 0)
    n.node("Range", "zero,n,one", "range")
    n.node("Cast", "range", "numbers", to=1)
    n.node("ReduceSum", "numbers,first", "sum", keepdims=0)
    n.node("Mul", "x,sum", "logits")
    n.output("logits", dims=["N", 3])
    return n


def channels_last(name, dtype):
    """As Keras exports: x (N,6,5,2) of bytes or floats, Transpose, Conv, back, mean, dense."""
    n = Net(name)
    picture = np.abs(n.normal(1, 6, 5, 2) * 60).clip(0, 255).round()
    n.input("x", picture.astype(dtype), ["N", 6, 5, 2])
    pixels = n.node("Cast", "x", "pixels", to=1) if dtype == np.uint8 else "x"
    n.const("scale", 1 / 255)
    n.weight("w", 4, 2, 3, 3)
    n.weight("dense", 4, 3)
    n.node("Mul", f"{pixels},scale", "scaled")
    n.node("Transpose", "scaled", "first", perm=[0, 3, 1, 2])
    n.node("Conv", "first,w", "conv", kernel_shape=[3, 3])
    n.node("Relu", "conv", "relu")
    n.node("Transpose", "relu", "last", perm=[0, 2, 3, 1])
    n.node("ReduceMean", "last", "mean", axes=[1, 2], keepdims=0)
    n.node("MatMul", "mean,dense", "logits")
    n.node("Softmax", "logits", "p", axis=-1)
    n.output("p", dims=["N", 3])
    return n


def rectifiers():
    """Every rectifier of x (1,8) times g, which has both signs: one output each."""
    n = Net("ask_rectifiers")
    n.input("x", np.float32([[-4, -1.5, -0.4, 0.3, 0.8, 2, 5, 7]]), [1, 8])
    n.const("g", [[1, -1, 2, 1, -2, 0.5, 1, 3]])
    n.const("slope", 0.2)
    n.const("zero", 0)
    n.const("six", 6)
    n.const("half", 0.5)
    n.const("one", 1)
    n.const("root2", 2**0.5)

    def branch(kind, value):
        n.node("Mul", f"{value},g", f"y_{kind}")
        n.output(f"y_{kind}", dims=[1, 8])

    branch("relu", n.node("Relu", "x", "relu"))
    branch("leaky", n.node("LeakyRelu", "x", "leaky", alpha=0.1))
    branch("prelu", n.node("PRelu", "x,slope", "prelu"))
    branch("elu", n.node("Elu", "x", "elu", alpha=1.5))
    branch("celu", n.node("Celu", "x", "celu", alpha=2.0))
    branch("selu", n.node("Selu", "x", "selu", alpha=1.5, gamma=1.25))
    branch("threshold", n.node("ThresholdedRelu", "x", "threshold", alpha=2.0))
    branch("hardswish", n.node("HardSwish", "x", "hardswish"))
    branch("softplus", n.node("Softplus", "x", "softplus"))
    branch("clip", n.node("Clip", "x,zero,six", "clip"))
    branch("max", n.node("Max", "zero,x", "max"))
    n.node("Div", "x,root2", "e0")
    n.node("Erf", "e0", "e1")
    n.node("Add", "e1,one", "e2")
    n.node("Mul", "x,e2", "e3")
    branch("gelu", n.node("Mul", "e3,half", "gelu"))
    n.node("Sigmoid", "x", "gate")
    branch("silu", n.node("Mul", "x,gate", "silu"))
    n.node("Softplus", "x", "m0")
    n.node("Tanh", "m0", "m1")
    branch("mish", n.node("Mul", "x,m1", "mish"))
    branch("sigmoid", "gate")
    return n


def all_nets():
    rect = rectifiers()
    rect.opset, rect.ir = 14, 7  # HardSwish
    return [
        sigmoid("ask_sigmoid", False),
        sigmoid("ask_sigmoid_flat", True),
        pooled_classes(),
        segmentation("ask_segments", "plain"),
        segmentation("ask_segments_low", "low scores"),
        segmentation("ask_segments_skip", "skip"),
        series_segmentation(),
        batch_mean("ask_batch_mean", "N"),
        batch_mean("ask_batch_mean_fixed", 2),
        one_at_a_time(),
        fixed_batch(),
        fixed_batch_mixes(),
        fixed_batch_picks(),
        unbatched_picture(),
        time_major(),
        unused_input(),
        shape_input(),
        count_input(),
        channels_last("ask_bytes_last", np.uint8),
        channels_last("ask_floats_last", np.float32),
        rect,
    ]
