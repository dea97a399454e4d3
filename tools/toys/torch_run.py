"""Runs an ONNX graph in PyTorch, in double, so that autograd gives reference gradients.

Covers the operators of the models in this repository, on opsets 13 to 17. Nothing in it is shared
with onnxplain: it is the second opinion.
"""

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    TensorProto.FLOAT: torch.float64,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int64,
    TensorProto.BOOL: torch.bool,
}


def tensor(array):
    array = torch.from_numpy(np.array(array))
    return array.double() if array.is_floating_point() else array


def ints(value):
    return [int(v) for v in value.reshape(-1)]


def pads(attrs, rank):
    """ONNX (begins, ends) to F.pad's order, last axis first."""
    flat = attrs.get("pads", [0] * 2 * rank)
    return [p for axis in reversed(range(rank)) for p in (flat[axis], flat[rank + axis])]


def conv(a, x, w, b=None):
    rank = w.dim() - 2
    run = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    strides, dilations = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    return run(F.pad(x, pads(a, rank)), w, b, strides, 0, dilations, a.get("group", 1))


def max_pool(a, x):
    rank = x.dim() - 2
    run = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    return run(F.pad(x, pads(a, rank), value=-torch.inf), a["kernel_shape"], a.get("strides", 1))


def batch_norm(a, x, scale, bias, mean, var):
    return F.batch_norm(x, mean, var, scale, bias, eps=a.get("epsilon", 1e-5))


def gemm(a, x, w, c=None):
    x, w = (x.T if a.get("transA") else x), (w.T if a.get("transB") else w)
    y = a.get("alpha", 1.0) * (x @ w)
    return y if c is None else y + a.get("beta", 1.0) * c


def reduce(run):
    def apply(a, x, axes=None):
        axes = ints(axes) if axes is not None else a.get("axes", list(range(x.dim())))
        return run(x, axes, keepdim=bool(a.get("keepdims", 1)))

    return apply


def reshape(a, x, shape):
    sizes = [x.shape[i] if s == 0 else s for i, s in enumerate(ints(shape))]
    return x.reshape(sizes)


def take(a, x, starts, ends, axes=None, steps=None):
    axes = ints(axes) if axes is not None else range(len(starts))
    cut = [slice(None)] * x.dim()
    for axis, s, e, d in zip(
        axes, ints(starts), ints(ends), ints(steps) if steps is not None else [1] * 9
    ):
        cut[axis] = slice(s, min(e, x.shape[axis]), d)
    return x[tuple(cut)]


def gather(a, x, index):
    axis = a.get("axis", 0) % x.dim()
    index = index % x.shape[axis]
    picked = x.index_select(axis, index.reshape(-1))
    return picked.reshape(x.shape[:axis] + index.shape + x.shape[axis + 1 :])


def unsqueeze(a, x, axes):
    rank = x.dim() + axes.numel()
    for axis in sorted(i % rank for i in ints(axes)):
        x = x.unsqueeze(axis)
    return x


def constant_of_shape(a, shape):
    value = numpy_helper.to_array(a["value"]) if "value" in a else np.float32([0])
    return torch.full(ints(shape), value[0].item(), dtype=tensor(value).dtype)


def layer_norm(a, x, scale, bias=None):
    return F.layer_norm(
        x, x.shape[a.get("axis", -1) % x.dim() :], scale, bias, a.get("epsilon", 1e-5)
    )


def flatten(a, x):
    return x.reshape(int(np.prod(x.shape[: a.get("axis", 1)])), -1)


def hard_sigmoid(a, x):
    return (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1)


OPS = {
    "Abs": lambda a, x: x.abs(),
    "Add": lambda a, x, y: x + y,
    "BatchNormalization": batch_norm,
    "Cast": lambda a, x: x.to(TYPES[a["to"]]),
    "Clip": lambda a, x, lo=None, hi=None: x.clamp(lo, hi),
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "Constant": lambda a: tensor(numpy_helper.to_array(a["value"])),
    "ConstantOfShape": constant_of_shape,
    "Conv": conv,
    "Div": lambda a, x, y: x / y if x.is_floating_point() else x // y,
    "Equal": lambda a, x, y: x == y,
    "Erf": lambda a, x: torch.erf(x),
    "Exp": lambda a, x: torch.exp(x),
    "Expand": lambda a, x, shape: x * torch.ones(ints(shape), dtype=x.dtype),
    "Flatten": flatten,
    "Gather": gather,
    "Gelu": lambda a, x: F.gelu(x, approximate=a.get("approximate", "none")),
    "Gemm": gemm,
    "GlobalAveragePool": lambda a, x: x.mean(list(range(2, x.dim())), keepdim=True),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": lambda a, x: x * (x / 6 + 0.5).clamp(0, 1),
    "Identity": lambda a, x: x,
    "LayerNormalization": layer_norm,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Log": lambda a, x: torch.log(x),
    "LogSoftmax": lambda a, x: torch.log_softmax(x, a.get("axis", -1)),
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": max_pool,
    "Mish": lambda a, x: F.mish(x),
    "Mul": lambda a, x, y: x * y,
    "Neg": lambda a, x: -x,
    "Pow": lambda a, x, y: x**y,
    "Reciprocal": lambda a, x: 1 / x,
    "ReduceMax": reduce(torch.amax),
    "ReduceMean": reduce(torch.mean),
    "ReduceSum": reduce(torch.sum),
    "Relu": lambda a, x: torch.relu(x),
    "Reshape": reshape,
    "Shape": lambda a, x: torch.tensor(x.shape),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Slice": take,
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)),
    "Softplus": lambda a, x: F.softplus(x, threshold=1e9),
    "Softsign": lambda a, x: F.softsign(x),
    "Swish": lambda a, x: F.silu(x * a.get("alpha", 1.0)) / a.get("alpha", 1.0),
    "Sqrt": lambda a, x: torch.sqrt(x),
    "Sub": lambda a, x, y: x - y,
    "Tanh": lambda a, x: torch.tanh(x),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": unsqueeze,
    "Where": lambda a, c, x, y: torch.where(c, x, y),
}


def attributes(node):
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


class Run:
    """All tensors of one forward run, by name; `grad` differentiates any of them."""

    def __init__(self, path, feeds):
        graph = onnx.load(str(path)).graph
        self.values = {t.name: tensor(numpy_helper.to_array(t)) for t in graph.initializer}
        for name, array in feeds.items():
            value = tensor(array)
            self.values[name] = value.requires_grad_() if value.is_floating_point() else value
        self.inputs, self.outputs = list(feeds), [o.name for o in graph.output]
        for node in graph.node:
            args = [self.values[i] if i else None for i in node.input]
            out = OPS[node.op_type](attributes(node), *args)
            if out.is_floating_point() and not out.requires_grad:
                out.requires_grad_()  # a leaf such as a looked-up embedding can be asked for
            self.values[node.output[0]] = out

    def grad(self, target, index, wrt):
        """d sum over the batch of target[:, index] / d wrt: per item, as items do not mix."""
        score = self.values[target][:, index].sum()
        return torch.autograd.grad(score, self.values[wrt], retain_graph=True)[0].numpy()

    def grad_cam(self, target, index, layer):
        """relu(sum_k mean(g_k) A_k) at the layer's own resolution."""
        grad = torch.from_numpy(self.grad(target, index, layer))
        weight = grad.mean(tuple(range(2, grad.dim())), keepdim=True)
        return torch.relu((weight * self.values[layer]).sum(1)).detach().numpy()
