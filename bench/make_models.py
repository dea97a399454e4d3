#!/usr/bin/env python3
"""Writes the benchmark graphs: ResNet-50, MobileNetV2 and ViT-B/16 with random weights.

    python3 bench/make_models.py FOLDER [--bn] [--batch N] [resnet50] [mobilenetv2] [vit_b_16]

Needs numpy and onnx only. The graphs are spelled as PyTorch's exporter writes the torchvision
models at opset 13: batch normalisation folded into the convolutions (`--bn` keeps the nodes),
relu6 as Clip, LayerNorm, GELU and attention in primitives. Weights are seeded and scaled so that
activations keep their size; they mean nothing, but the work is that of the real models. The files
(102, 14 and 346 MB) are not for the repository.
"""

import argparse
import math
import pathlib
import zlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES = 224, 1000


class Builder:
    """Collects nodes and weights; methods that add a tensor return its name."""

    def __init__(self, name, batch, batch_norm=False):
        self.name, self.batch, self.batch_norm = name, batch, batch_norm
        self.nodes, self.inits, self.known = [], [], set()
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def node(self, op, inputs, output, **attrs):
        self.nodes.append(helper.make_node(op, inputs, [output], f"{op}_{output}", **attrs))
        return output

    def const(self, name, array):
        if name not in self.known:
            self.known.add(name)
            self.inits.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def scalar(self, value):
        return self.const(f"scalar.{value:.8g}", np.float32(value))

    def normal(self, name, shape, deviation):
        values = self.rng.standard_normal(shape, np.float32) * np.float32(deviation)
        return self.const(name, values)

    def conv(self, x, name, channels, kernel, stride=1, groups=1, gain=2.0):
        """Convolution with `channels` = (in, out) and batch normalisation, folded or not."""
        inside, outside = channels[0] // groups, channels[1]
        deviation = math.sqrt(gain / (inside * kernel * kernel))
        args = [x, self.normal(name + ".weight", (outside, inside, kernel, kernel), deviation)]
        if not self.batch_norm:
            args.append(self.normal(name + ".bias", (outside,), 0.01))
        pad = (kernel - 1) // 2
        out = self.node(
            "Conv",
            args,
            name,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[kernel, kernel],
            pads=[pad] * 4,
            strides=[stride, stride],
        )
        return self.norm(out, name + ".bn", outside) if self.batch_norm else out

    def norm(self, x, name, channels):
        one = np.ones(channels, np.float32)
        args = [
            x,
            self.const(name + ".weight", one),
            self.normal(name + ".bias", (channels,), 0.01),
            self.const(name + ".mean", 0 * one),
            self.const(name + ".var", one),
        ]
        return self.node("BatchNormalization", args, name, epsilon=1e-5, momentum=0.9)

    def relu6(self, x, name):
        return self.node("Clip", [x, self.scalar(0), self.scalar(6)], name)

    def gemm(self, x, name, inside, outside):
        weight = self.normal(name + ".weight", (outside, inside), math.sqrt(1 / inside))
        bias = self.normal(name + ".bias", (outside,), 0.01)
        return self.node("Gemm", [x, weight, bias], name, alpha=1.0, beta=1.0, transB=1)

    def linear(self, x, name, inside, outside, gain=1.0):
        """A dense layer on tokens: MatMul and Add, the weight stored (in, out)."""
        weight = self.normal(name + ".weight", (inside, outside), math.sqrt(gain / inside))
        bias = self.normal(name + ".bias", (outside,), 0.01)
        product = self.node("MatMul", [x, weight], name + ".product")
        return self.node("Add", [bias, product], name)

    def reshape(self, x, name, *shape):
        target = self.const("shape." + "x".join(map(str, shape)), np.int64(shape))
        return self.node("Reshape", [x, target], name)

    def save(self, folder):
        image = [self.batch, 3, SIDE, SIDE]
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [self.batch, CLASSES])],
            self.inits,
        )
        imports = [helper.make_opsetid("", 13)]
        model = helper.make_model(graph, producer_name="onnxplain-bench", opset_imports=imports)
        model.ir_version = 7
        path = pathlib.Path(folder) / (self.name + ".onnx")
        path.write_bytes(model.SerializeToString())
        print(f"{path}: {len(self.nodes)} nodes, {path.stat().st_size / 1e6:.1f} MB")


def pooled_classifier(b, x, channels):
    x = b.node("GlobalAveragePool", [x], "pool")
    x = b.node("Flatten", [x], "flat", axis=1)
    return b.gemm(x, "logits", channels, CLASSES)


def resnet50(batch, batch_norm):
    b = Builder("resnet50", batch, batch_norm)
    x = b.node("Relu", [b.conv("input", "conv1", (3, 64), 7, stride=2)], "relu")
    x = b.node(
        "MaxPool",
        [x],
        "maxpool",
        ceil_mode=0,
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        strides=[2, 2],
    )
    inside = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for index in range(blocks):
            name = f"layer{stage}.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            y = b.conv(x, name + ".conv1", (inside, width), 1)
            y = b.node("Relu", [y], name + ".relu1")
            y = b.conv(y, name + ".conv2", (width, width), 3, stride)
            y = b.node("Relu", [y], name + ".relu2")
            y = b.conv(y, name + ".conv3", (width, 4 * width), 1, gain=0.1)
            if index == 0:
                x = b.conv(x, name + ".downsample", (inside, 4 * width), 1, stride, gain=1.0)
            x = b.node("Relu", [b.node("Add", [y, x], name + ".add")], name)
            inside = 4 * width
    pooled_classifier(b, x, inside)
    return b


def mobilenetv2(batch, batch_norm):
    b = Builder("mobilenetv2", batch, batch_norm)
    x = b.relu6(b.conv("input", "features.0.conv", (3, 32), 3, stride=2), "features.0")
    inside, index = 32, 0
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2))
    table += ((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, outside, repeats, first_stride in table:
        for repeat in range(repeats):
            index += 1
            name = f"features.{index}"
            stride, hidden, y = first_stride if repeat == 0 else 1, inside * expand, x
            if expand > 1:
                y = b.conv(y, name + ".expand", (inside, hidden), 1)
                y = b.relu6(y, name + ".relu1")
            y = b.conv(y, name + ".depthwise", (hidden, hidden), 3, stride, groups=hidden)
            y = b.relu6(y, name + ".relu2")
            y = b.conv(y, name + ".project", (hidden, outside), 1, gain=1.0)
            x = b.node("Add", [x, y], name) if stride == 1 and inside == outside else y
            inside = outside
    x = b.relu6(b.conv(x, "features.18.conv", (inside, 1280), 1), "features.18")
    pooled_classifier(b, x, 1280)
    return b


def layer_norm(b, x, name, width):
    """ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul, Add: PyTorch below opset 17."""
    mean = b.node("ReduceMean", [x], name + ".mean", axes=[-1])
    centred = b.node("Sub", [x, mean], name + ".centred")
    square = b.node("Pow", [centred, b.scalar(2)], name + ".square")
    variance = b.node("ReduceMean", [square], name + ".variance", axes=[-1])
    shifted = b.node("Add", [variance, b.scalar(1e-6)], name + ".shifted")
    deviation = b.node("Sqrt", [shifted], name + ".deviation")
    unit = b.node("Div", [centred, deviation], name + ".unit")
    weight = b.const(name + ".weight", np.ones(width, np.float32))
    scaled = b.node("Mul", [unit, weight], name + ".scaled")
    return b.node("Add", [scaled, b.normal(name + ".bias", (width,), 0.01)], name)


def gelu(b, x, name):
    erf = b.node("Erf", [b.node("Div", [x, b.scalar(math.sqrt(2))], name + ".div")], name + ".erf")
    gate = b.node("Add", [erf, b.scalar(1)], name + ".add")
    return b.node("Mul", [b.node("Mul", [x, gate], name + ".mul"), b.scalar(0.5)], name)


def self_attention(b, x, name, batch, tokens, heads, width):
    size = width // heads
    qkv = b.linear(x, name + ".qkv", width, 3 * width)
    qkv = b.reshape(qkv, name + ".split", batch, tokens, 3, heads, size)
    qkv = b.node("Transpose", [qkv], name + ".roles", perm=[2, 0, 3, 1, 4])
    q, k, v = (
        b.node("Gather", [qkv, b.const(f"index.{i}", np.int64(i))], f"{name}.{role}", axis=0)
        for i, role in enumerate("qkv")
    )
    k = b.node("Transpose", [k], name + ".kt", perm=[0, 1, 3, 2])
    scores = b.node("MatMul", [q, k], name + ".product")
    scores = b.node("Div", [scores, b.scalar(math.sqrt(size))], name + ".scores")
    weights = b.node("Softmax", [scores], name + ".weights", axis=-1)
    mixed = b.node("MatMul", [weights, v], name + ".heads")
    mixed = b.node("Transpose", [mixed], name + ".tokens", perm=[0, 2, 1, 3])
    mixed = b.reshape(mixed, name + ".merged", batch, tokens, width)
    return b.linear(mixed, name + ".out", width, width)


def vit_b_16(batch, _):
    b = Builder("vit_b_16", batch)
    width, heads, patch = 768, 12, 16
    grid = SIDE // patch
    tokens = grid * grid + 1
    deviation = math.sqrt(1 / (3 * patch * patch))
    weight = b.normal("patches.weight", (width, 3, patch, patch), deviation)
    bias = b.normal("patches.bias", (width,), 0.01)
    shape = {"kernel_shape": [patch] * 2, "strides": [patch] * 2, "pads": [0] * 4}
    x = b.node("Conv", ["input", weight, bias], "patches", dilations=[1, 1], group=1, **shape)
    x = b.reshape(x, "patches.flat", batch, width, grid * grid)
    x = b.node("Transpose", [x], "patches.tokens", perm=[0, 2, 1])
    token = b.normal("class_token", (1, 1, width), 0.02)
    rows = b.const("class_token.shape", np.int64([batch, 1, width]))
    token = b.node("Expand", [token, rows], "class_token.rows")
    x = b.node("Concat", [token, x], "tokens", axis=1)
    x = b.node("Add", [x, b.normal("positions", (1, tokens, width), 0.02)], "embedded")
    for index in range(12):
        name = f"blocks.{index}"
        y = layer_norm(b, x, name + ".norm1", width)
        y = self_attention(b, y, name + ".attention", batch, tokens, heads, width)
        x = b.node("Add", [y, x], name + ".middle")
        y = layer_norm(b, x, name + ".norm2", width)
        y = b.linear(y, name + ".mlp1", width, 4 * width, gain=2.0)
        y = b.linear(gelu(b, y, name + ".gelu"), name + ".mlp2", 4 * width, width)
        x = b.node("Add", [x, y], name)
    x = layer_norm(b, x, "norm", width)
    x = b.node("Gather", [x, b.const("index.0", np.int64(0))], "class_token.out", axis=1)
    b.gemm(x, "logits", width, CLASSES)
    return b


MODELS = {"resnet50": resnet50, "mobilenetv2": mobilenetv2, "vit_b_16": vit_b_16}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--bn", action="store_true", help="keep batch normalisation as nodes")
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_intermixed_args()
    unknown = set(args.models) - set(MODELS)
    if unknown:
        parser.error("no such model: " + ", ".join(sorted(unknown)))
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.models or MODELS:
        MODELS[name](args.batch, args.bn).save(args.folder)


if __name__ == "__main__":
    main()
