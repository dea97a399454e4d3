"""Graphs shaped like ResNet-18, VGG-11-BN, DenseNet-121, MobileNetV3-Small and BERT-base, and a small two-stream
transformer, with seeded weights.

The layers, widths and spellings are those of torchvision's models as PyTorch exports them, batch
norms as nodes; pictures are 64 x 64, texts 16 tokens, and there are 10 classes, so that a run takes seconds. The
weights are random, scaled so that activations keep their size; they mean nothing.
"""

import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))
from make_models import Builder, gelu, layer_norm, self_attention  # noqa: E402

SIDE, CLASSES = 64, 10
TOKENS, WORDS = 16, 500
REGIONS, STREAM = 9, 32  # of the two-stream transformer: image regions, width


class Graph(Builder):
    def __init__(self, name):
        super().__init__(name, 1, batch_norm=True)

    def norm(self, x, name, channels):
        draw = self.rng.uniform
        args = [
            x,
            self.const(name + ".weight", draw(0.7, 1.3, channels).astype(np.float32)),
            self.const(name + ".bias", draw(-0.2, 0.2, channels).astype(np.float32)),
            self.const(name + ".mean", draw(-0.1, 0.1, channels).astype(np.float32)),
            self.const(name + ".var", draw(0.5, 1.5, channels).astype(np.float32)),
        ]
        return self.node("BatchNormalization", args, name, epsilon=1e-5, momentum=0.9)

    def relu(self, x, name):
        return self.node("Relu", [x], name)

    def max_pool(self, x, name, kernel, stride, pad=0):
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.node("MaxPool", [x], name, **shape)

    def bare_conv(self, x, name, channels, kernel, stride=1):
        """Convolution without a batch norm behind it, as in DenseNet."""
        self.batch_norm = False
        out = self.conv(x, name, channels, kernel, stride)
        self.batch_norm = True
        return out

    def head(self, x, channels):
        x = self.node("GlobalAveragePool", [x], "pool")
        x = self.node("Flatten", [x], "flat", axis=1)
        return self.gemm(x, "logits", channels, CLASSES)

    def given(self):
        return [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])]

    def write(self, folder):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            self.name,
            self.given(),
            [value("logits", TensorProto.FLOAT, [1, CLASSES])],
            self.inits,
        )
        imports = [helper.make_opsetid("", 14)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=7)
        path = pathlib.Path(folder) / f"{self.name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path


def resnet18():
    b = Graph("resnet18")
    x = b.relu(b.conv("input", "conv1", (3, 64), 7, 2), "relu")
    x = b.max_pool(x, "maxpool", 3, 2, 1)
    inside = 64
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for index in range(2):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            y = b.relu(b.conv(x, name + ".conv1", (inside, width), 3, stride), name + ".relu1")
            y = b.conv(y, name + ".conv2", (width, width), 3, gain=0.5)
            if stride == 2:
                x = b.conv(x, name + ".downsample", (inside, width), 1, 2, gain=1.0)
            x = b.relu(b.node("Add", [y, x], name + ".add"), name)
            inside = width
    b.head(x, inside)
    return b


def vgg11_bn():
    b, x, inside, pools = Graph("vgg11_bn"), "input", 3, 0
    for index, width in enumerate((64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)):
        if width == 0:
            pools += 1
            x = b.max_pool(x, f"pool{pools}", 2, 2)
            continue
        x = b.relu(b.conv(x, f"conv{index}", (inside, width), 3), f"relu{index}")
        inside = width
    x = b.node("Flatten", [x], "flat", axis=1)
    x = b.relu(b.gemm(x, "fc1", inside * 4, 256), "fc1.relu")
    x = b.relu(b.gemm(x, "fc2", 256, 256), "fc2.relu")
    b.gemm(x, "logits", 256, CLASSES)
    return b


def densenet121():
    b, growth = Graph("densenet121"), 32
    x = b.relu(b.conv("input", "conv0", (3, 64), 7, 2), "relu0")
    x, width = b.max_pool(x, "pool0", 3, 2, 1), 64
    for block, layers in enumerate((6, 12, 24, 16), 1):
        parts = [x]
        for layer in range(1, layers + 1):
            name = f"dense{block}.{layer}"
            y = x if layer == 1 else b.node("Concat", parts, name + ".concat", axis=1)
            y = b.relu(b.norm(y, name + ".norm1", width), name + ".relu1")
            y = b.relu(b.conv(y, name + ".conv1", (width, 4 * growth), 1), name + ".relu2")
            parts.append(b.bare_conv(y, name, (4 * growth, growth), 3))
            width += growth
        x = b.node("Concat", parts, f"block{block}", axis=1)
        if block < 4:
            name = f"transition{block}"
            x = b.relu(b.norm(x, name + ".norm", width), name + ".relu")
            width //= 2
            x = b.bare_conv(x, name + ".conv", (2 * width, width), 1)
            halves = {"kernel_shape": [2, 2], "strides": [2, 2]}
            x = b.node("AveragePool", [x], name, **halves)
    x = b.relu(b.norm(x, "norm5", width), "relu5")
    b.head(x, width)
    return b


# kernel, expanded, out, squeeze, hard-swish, stride: torchvision's mobilenet_v3_small
SMALL = ((3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2))
SMALL += ((5, 240, 40, 1, 1, 1), (5, 240, 40, 1, 1, 1), (5, 120, 48, 1, 1, 1))
SMALL += ((5, 144, 48, 1, 1, 1), (5, 288, 96, 1, 1, 2), (5, 576, 96, 1, 1, 1))


def squeeze(b, x, name, channels):
    middle = max(8, (channels // 4 + 4) // 8 * 8)
    s = b.node("GlobalAveragePool", [x], name + ".pool")
    s = b.relu(b.bare_conv(s, name + ".fc1", (channels, middle), 1), name + ".relu")
    s = b.bare_conv(s, name + ".fc2", (middle, channels), 1)
    s = b.node("HardSigmoid", [s], name + ".gate", alpha=1 / 6, beta=0.5)
    return b.node("Mul", [s, x], name)


def mobilenetv3():
    b = Graph("mobilenetv3")
    swish = lambda x, name: b.node("HardSwish", [x], name)  # noqa: E731
    x, inside = swish(b.conv("input", "features.0.conv", (3, 16), 3, 2), "features.0"), 16
    for index, (kernel, middle, out, squeezed, swished, stride) in enumerate(SMALL, 1):
        name, act, y = f"features.{index}", swish if swished else b.relu, x
        if middle != inside:
            y = act(b.conv(y, name + ".expand", (inside, middle), 1), name + ".act1")
        y = b.conv(y, name + ".depthwise", (middle, middle), kernel, stride, groups=middle)
        y = act(y, name + ".act2")
        if squeezed:
            y = squeeze(b, y, name + ".se", middle)
        y = b.conv(y, name + ".project", (middle, out), 1, gain=1.0)
        keep = stride == 1 and inside == out
        x = b.node("Add", [y, x], name) if keep else y
        inside = out
    x = swish(b.conv(x, "features.11.conv", (inside, 576), 1), "features.11")
    x = b.node("Flatten", [b.node("GlobalAveragePool", [x], "pool")], "flat", axis=1)
    x = swish(b.gemm(x, "fc", 576, 256), "fc.act")
    b.gemm(x, "logits", 256, CLASSES)
    return b


class Text(Graph):
    def given(self):
        return [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, TOKENS])]


def bert_base():
    """12 layers of width 768 with norms behind the sums, the pooler's tanh and a classifier."""
    b, width, heads = Text("bert_base"), 768, 12
    words = b.normal("words.weight", (WORDS, width), 1.0)
    x = b.node("Gather", [words, "input_ids"], "words", axis=0)
    x = b.node("Add", [x, b.normal("positions", (1, TOKENS, width), 0.2)], "embedded")
    x = layer_norm(b, x, "embedded.norm", width)
    for index in range(12):
        name = f"layer.{index}"
        y = self_attention(b, x, name + ".attention", 0, TOKENS, heads, width)  # 0: any batch
        x = layer_norm(b, b.node("Add", [x, y], name + ".middle"), name + ".norm1", width)
        y = b.linear(x, name + ".mlp1", width, 4 * width, gain=2.0)
        y = b.linear(gelu(b, y, name + ".gelu"), name + ".mlp2", 4 * width, width)
        x = layer_norm(b, b.node("Add", [x, y], name + ".sum"), name, width)
    x = b.node("Gather", [x, b.const("index.0", np.int64(0))], "first", axis=1)
    x = b.node("Tanh", [b.gemm(x, "pooler", width, width)], "pooled")
    b.gemm(x, "logits", width, CLASSES)
    return b


class Streams(Graph):
    def given(self):
        value = helper.make_tensor_value_info
        return [value(n, TensorProto.FLOAT, [1, t, STREAM]) for n, t in (("image", REGIONS), ("text", TOKENS))]


def cross_attention(b, x, other, name, tokens, keys, heads, width):
    """The tokens of x attend to those of `other`."""
    size = width // heads
    q, k, v = (
        b.reshape(b.linear(a, f"{name}.{role}", width, width), f"{name}.{role}.split", 0, n, heads, size)
        for role, a, n in (("q", x, tokens), ("k", other, keys), ("v", other, keys))
    )
    q, v = (b.node("Transpose", [t], t + ".heads", perm=[0, 2, 1, 3]) for t in (q, v))
    k = b.node("Transpose", [k], k + ".heads", perm=[0, 2, 3, 1])
    scores = b.node("Div", [b.node("MatMul", [q, k], name + ".product"), b.scalar(size**0.5)], name + ".scores")
    mixed = b.node("MatMul", [b.node("Softmax", [scores], name + ".weights", axis=-1), v], name + ".heads")
    mixed = b.node("Transpose", [mixed], name + ".tokens", perm=[0, 2, 1, 3])
    return b.linear(b.reshape(mixed, name + ".merged", 0, tokens, width), name + ".out", width, width)


def two_streams():
    """As LXMERT: text and image each attend to themselves, to each other at once, then the text to itself; token 0
    of the text is read."""
    b, heads = Streams("two_streams"), 2
    plus = lambda x, y, name: layer_norm(b, b.node("Add", [x, y], name + ".sum"), name + ".norm", STREAM)  # noqa: E731
    x = plus("text", self_attention(b, "text", "text.first", 0, TOKENS, heads, STREAM), "text.1")
    y = plus("image", self_attention(b, "image", "image.first", 0, REGIONS, heads, STREAM), "image.1")
    to_image = cross_attention(b, x, y, "text.cross", TOKENS, REGIONS, heads, STREAM)
    to_text = cross_attention(b, y, x, "image.cross", REGIONS, TOKENS, heads, STREAM)
    x, y = plus(x, to_image, "text.2"), plus(y, to_text, "image.2")
    to_image = cross_attention(b, x, y, "text.again", TOKENS, REGIONS, heads, STREAM)
    x = plus(x, to_image, "text.3")
    x = plus(x, self_attention(b, x, "text.last", 0, TOKENS, heads, STREAM), "text.4")
    x = b.node("Gather", [x, b.const("index.0", np.int64(0))], "first", axis=1)
    x = b.node("Tanh", [b.gemm(x, "pooler", STREAM, STREAM)], "pooled")
    b.gemm(x, "logits", STREAM, CLASSES)
    return b


GRAPHS = {g.__name__: g for g in (resnet18, vgg11_bn, densenet121, mobilenetv3, bert_base, two_streams)}
