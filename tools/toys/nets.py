"""Small networks whose explanations are known in closed form, and small CNNs on 1, 2 and 3 axes.

The closed-form ones restate, as ONNX, the toy modules that Captum's tests made a common yardstick
(only the constants, which are facts; no code): docs/methods/ lists the numbers they must give.
"""

import numpy as np

from .lib import Net


def oracle(name, batch=1, two_inputs=False, single=False):
    """x -> Conv(1->2, 3x3, ones) -> Relu -> Flatten -> Gemm(8->4) -> Relu, x[i][j] = 4 i + j.

    `single`: the item is picked out of its batch, so that there is no place for another."""
    n = Net(name)
    image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    x = n.input("x", image, [batch, 1, 4, 4])
    if two_inputs:
        n.input("y", np.ones_like(image), [batch, 1, 4, 4])
        x = n.node("Add", "x,y", "sum")
    if single:
        n.ints("front", 0)
        n.node("Squeeze", f"{x},front", "item")
        x = n.node("Unsqueeze", "item,front", "again")
    n.const("conv1.weight", np.ones((2, 1, 3, 3)))
    n.const("conv1.bias", [-50, -75])
    n.node("Conv", f"{x},conv1.weight,conv1.bias", "conv1", kernel_shape=[3, 3])
    n.node("Relu", "conv1", "relu1")
    n.node("Flatten", "relu1", "flat", axis=1)
    n.const("fc.weight", np.tile([1, 1, 1, 1, 1, -1, -1, -1], (4, 1)))
    n.const("fc.bias", np.zeros(4))
    n.node("Gemm", "flat,fc.weight,fc.bias", "fc", transB=1)
    n.node("Relu", "fc", "out")
    n.output("out", dims=[batch, 4])
    return n


def basic_model():
    """1 - relu(1 - x)."""
    n = Net("basic_model")
    n.input("x", np.float32([[1, 2, 3, 0, -1, 7]]), ["N", 6])
    n.const("one", 1)
    n.node("Sub", "one,x", "below")
    n.node("Relu", "below", "relu")
    n.node("Sub", "one,relu", "out")
    n.output("out", dims=["N", 6])
    return n


def two_scalars(name, x1, x2):
    """Inputs x1 and x2 of shape (N, 1)."""
    n = Net(name)
    n.input("x1", np.float32([[x1]]), ["N", 1])
    n.input("x2", np.float32([[x2]]), ["N", 1])
    n.output("out", dims=["N", 1])
    return n


def basic_model2():
    """relu(relu(x1) - 1 - relu(x2))."""
    n = two_scalars("basic_model2", 3, 1)
    n.const("one", 1)
    n.node("Relu", "x1", "relu1")
    n.node("Relu", "x2", "relu2")
    n.node("Sub", "relu1,one", "less")
    n.node("Sub", "less,relu2", "difference")
    n.node("Relu", "difference", "out")
    return n


def basic_model3():
    """relu(relu(x1 - 1) - relu(x2)): the function of basic_model2, written differently."""
    n = two_scalars("basic_model3", 3, 1)
    n.const("one", 1)
    n.node("Sub", "x1,one", "less")
    n.node("Relu", "less", "relu1")
    n.node("Relu", "x2", "relu2")
    n.node("Sub", "relu1,relu2", "difference")
    n.node("Relu", "difference", "out")
    return n


def relu_deeplift():
    """2 relu(x1) + 2 relu(x2 - 1.5)."""
    n = two_scalars("relu_deeplift", 1, 2)
    n.const("two", 2)
    n.const("threshold", 1.5)
    n.node("Relu", "x1", "relu1")
    n.node("Sub", "x2,threshold", "shifted")
    n.node("Relu", "shifted", "relu2")
    n.node("Mul", "two,relu1", "left")
    n.node("Mul", "two,relu2", "right")
    n.node("Add", "left,right", "out")
    return n


def multi_layer():
    """linear0 (identity) -> linear1 (3->4) -> relu -> linear2 (4->2)."""
    n = Net("multi_layer")
    n.input("x", np.float32([[0, 100, 0]]), ["N", 3])
    n.const("linear0.weight", np.eye(3))
    n.const("linear0.bias", np.zeros(3))
    n.const("linear1.weight", np.ones((4, 3)))
    n.const("linear1.bias", [-10, 1, 1, 1])
    n.const("linear2.weight", np.ones((2, 4)))
    n.const("linear2.bias", [-1, 1])
    n.node("Gemm", "x,linear0.weight,linear0.bias", "linear0", transB=1)
    n.node("Gemm", "linear0,linear1.weight,linear1.bias", "linear1", transB=1)
    n.node("Relu", "linear1", "relu")
    n.node("Gemm", "relu,linear2.weight,linear2.bias", "linear2", transB=1)
    n.output("linear2", dims=["N", 2])
    return n


def lrp_dense(name, op, first, second):
    """MatMul -> `op` -> MatMul without biases; weights stored (in, out) as exporters write them."""
    n = Net(name)
    n.input("x", np.float32([[1, 2, 3]]), ["N", 3])
    n.const("linear.weight", np.asarray(first).T)
    n.const("linear2.weight", np.asarray(second).T)
    n.node("MatMul", "x,linear.weight", "linear")
    n.node(op, "linear", "act")
    n.node("MatMul", "act,linear2.weight", "out")
    n.output("out", dims=["N", 1])
    return n


def lrp_skip():
    """5 (x1 + x2) + x."""
    n = Net("lrp_skip")
    n.input("x", np.float32([[2, 3]]), ["N", 2])
    n.const("linear.weight", np.full((2, 2), 5))
    n.node("MatMul", "x,linear.weight", "linear")
    n.node("Add", "linear,x", "out")
    n.output("out", dims=["N", 2])
    return n


def lrp_maxpool1d():
    """MaxPool(2) of a dense layer of twos."""
    n = Net("lrp_maxpool1d")
    n.input("x", np.float32([[[1, 2], [5, 6]]]), ["N", 2, 2])
    n.const("linear.weight", np.full((2, 2), 2))
    n.node("MatMul", "x,linear.weight", "linear")
    n.node("MaxPool", "linear", "out", kernel_shape=[2], strides=[2])
    n.output("out", dims=["N", 2, 1])
    return n


def lrp_maxpool2d():
    n = Net("lrp_maxpool2d")
    n.input("x", np.float32([[[[1, 2], [5, 6]]]]), ["N", 1, 2, 2])
    n.node("MaxPool", "x", "out", kernel_shape=[2, 2], strides=[2, 2])
    n.output("out", dims=["N", 1, 1, 1])
    return n


def batch_norm(n, x, out, channels):
    n.const(out + ".weight", n.rng.uniform(0.5, 1.5, channels))
    n.const(out + ".bias", n.rng.normal(0, 0.2, channels))
    n.const(out + ".mean", n.rng.normal(0, 0.2, channels))
    n.const(out + ".var", n.rng.uniform(0.5, 1.5, channels))
    n.node("BatchNormalization", f"{x},{out}.weight,{out}.bias,{out}.mean,{out}.var", out)


def cnn(name, axes, size, channels=2):
    """Conv, BN, Relu, MaxPool, grouped dilated Conv, Relu, residual Conv with BN, mean, Gemm."""
    n = Net(name)
    n.input("x", n.normal(2, channels, *size), ["N", channels] + size)
    n.weight("conv1.weight", 6, channels, *[3] * axes)
    n.node("Conv", "x,conv1.weight", "conv1", kernel_shape=[3] * axes, pads=[1] * 2 * axes)
    batch_norm(n, "conv1", "bn1", 6)
    n.node("Relu", "bn1", "relu1")
    n.node("MaxPool", "relu1", "pool1", kernel_shape=[2] * axes, strides=[2] * axes)
    n.weight("conv2.weight", 6, 3, *[3] * axes)
    n.weight("conv2.bias", 6)
    n.node(
        "Conv",
        "pool1,conv2.weight,conv2.bias",
        "conv2",
        kernel_shape=[3] * axes,
        pads=[2] * 2 * axes,
        dilations=[2] * axes,
        group=2,
    )
    n.node("Relu", "conv2", "relu2")
    n.weight("conv3.weight", 6, 6, *[1] * axes)
    n.node("Conv", "relu2,conv3.weight", "conv3", kernel_shape=[1] * axes)
    batch_norm(n, "conv3", "bn3", 6)
    n.node("Add", "bn3,pool1", "residual")
    n.node("Relu", "residual", "relu3")
    n.node("GlobalAveragePool", "relu3", "mean")
    n.node("Flatten", "mean", "flat", axis=1)
    n.weight("fc.weight", 3, 6)
    n.weight("fc.bias", 3)
    n.node("Gemm", "flat,fc.weight,fc.bias", "logits", transB=1)
    n.output("logits", dims=["N", 3])
    return n


def shared_scale():
    """(x s) w, two items; s (3) has no batch axis."""
    n = Net("shared_scale")
    n.input("x", np.float32([[1, 2, 3], [-1, 4, 0.5]]), ["N", 3])
    n.input("s", np.float32([2, 1, -1]))
    n.node("Mul", "x,s", "scaled")
    n.const("w", [[1, 2], [3, -1], [0.5, 4]])
    n.node("MatMul", "scaled,w", "logits")
    n.output("logits", dims=["N", 2])
    return n


def weighted_square(name, inside):
    """(2 x1 + x2)^2 (`inside`), or 2 x1^2 + x2^2: curved, along the path or not."""
    n = Net(name)
    n.input("x", np.float32([[3, 3]]), ["N", 2])
    n.const("w", [[2], [1]])
    x = "x"
    if not inside:
        n.node("Mul", "x,x", "squares")
        x = "squares"
    y = n.node("MatMul", f"{x},w", "weighted" if inside else "out")
    if inside:
        n.node("Mul", f"{y},{y}", "out")
    n.output("out", dims=["N", 1])
    return n


def masked_tokens():
    """Three tokens: sum of (embedding + place) where attention_mask is 1."""
    n = Net("masked_tokens")
    n.input("ids", np.int64([[1, 2, 3]]), ["N", 3])
    n.input("attention_mask", np.int64([[1, 1, 1]]), ["N", 3])
    n.const("table", [[0, 0], [1, 2], [0, 0.5], [2, 1]])
    n.const("place", [[0, 0.5]] * 3)
    n.ints("last", 2)
    n.ints("tokens", 1)
    n.node("Gather", "table,ids", "embed")
    n.node("Add", "embed,place", "placed")
    n.node("Cast", "attention_mask", "kept", to=1)
    n.node("Unsqueeze", "kept,last", "column")
    n.node("Mul", "placed,column", "masked")
    n.const("head", np.eye(2))  # says that the last axis holds features
    n.node("MatMul", "masked,head", "scores")
    n.node("ReduceSum", "scores,tokens", "logits", keepdims=0)
    n.output("logits", dims=["N", 2])
    return n


def all_nets():
    ones = np.ones((3, 3))
    negative = 2 * ones
    negative[0, 0] = -2
    return [
        oracle("oracle_conv"),
        oracle("oracle_conv_single", single=True),
        oracle("oracle_conv_batch", batch="N"),
        oracle("oracle_conv_two_inputs", two_inputs=True),
        basic_model(),
        basic_model2(),
        basic_model3(),
        relu_deeplift(),
        multi_layer(),
        lrp_dense("lrp_simple", "Relu", 2 * ones, 3 * ones[:1]),
        lrp_dense("lrp_negative", "Relu", negative, 3 * ones[:1]),
        lrp_dense("lrp_tanh", "Tanh", 0.1 * ones, 0.1 * ones[:1]),
        lrp_skip(),
        lrp_maxpool1d(),
        lrp_maxpool2d(),
        shared_scale(),
        masked_tokens(),
        weighted_square("square_of_sum", True),
        weighted_square("sum_of_squares", False),
        cnn("cnn1d", 1, [24]),
        cnn("cnn2d", 2, [10, 12]),
        cnn("cnn3d", 3, [6, 8, 7], channels=2),
    ]
