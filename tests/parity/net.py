"""An ONNX graph as a torch.nn.Module that explainers of PyTorch models can hook.

Every node is one module under its own name, of the class that the peers look for (nn.Conv2d, nn.ReLU,
captum's and zennit's sums ...); what no peer hooks runs by the operators of tools/toys/torch_run.py.
Weights come out of the file. All in double. Nothing here is shared with onnxplain.
"""

import pathlib
import sys

import onnx
import torch
import torch.nn.functional as F
from captum.attr._utils.custom_modules import Addition_Module
from onnx import numpy_helper
from torch import nn
from zennit.layer import Sum

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))
from toys.torch_run import OPS, attributes, pads, tensor  # noqa: E402


def average_pool(attrs):
    kind = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(attrs["kernel_shape"]) - 1]
    assert not any(attrs.get("pads", [0])), "padding of average pools is not read"
    return kind(tuple(attrs["kernel_shape"]), tuple(attrs["strides"]))


RUN = OPS | {"AveragePool": lambda attrs, x: average_pool(attrs)(x)}


class Ceiling(nn.Module):
    """min(x, high): the upper half of Clip(0, high), whose lower half is an nn.ReLU."""

    def __init__(self, high):
        super().__init__()
        self.high = float(high)

    def forward(self, x):
        return x.clamp(max=self.high)


class Plus(nn.Module):
    """x + y as both captum's and zennit's module of a sum; `kind` picks which is in force."""

    kind = "captum"

    def __init__(self):
        super().__init__()
        self.captum, self.zennit = Addition_Module(), Sum(dim=-1)

    def forward(self, x, y):
        if self.kind == "zennit":
            return self.zennit(torch.stack(torch.broadcast_tensors(x, y), -1))
        return self.captum(x, y)


class Operator(nn.Module):
    """Any other operator; constants among its inputs are kept beside it."""

    def __init__(self, node, attrs, known):
        super().__init__()
        self.run, self.attrs = RUN[node.op_type], attrs
        self.fixed = [known.get(i) if i else None for i in node.input]
        self.free = [bool(i) and i not in known for i in node.input]

    def _apply(self, fn, recurse=True):  # .float() and .double() reach the constants as well
        self.fixed = [f if f is None else fn(f) for f in self.fixed]
        return super()._apply(fn, recurse)

    def forward(self, *tensors):
        given = iter(tensors)
        args = [next(given) if free else f for f, free in zip(self.fixed, self.free)]
        return self.run(self.attrs, *args)


def with_weights(module, **weights):
    for name, value in weights.items():
        if value is not None:
            setattr(module, name, nn.Parameter(value, requires_grad=False))
    return module


def windows(attrs, rank):
    """Symmetric padding for the module itself, or None and padding of its own."""
    flat = attrs.get("pads", [0] * 2 * rank)
    if flat[:rank] == flat[rank:]:
        return tuple(flat[:rank]), []
    return (0,) * rank, pads(attrs, rank)


def uneven(kind):
    """A convolution whose padding differs before and after, inside the module: to rules that replace its input (zennit's
    flat, box) padding is no input, as it is none for even padding. A padding module of its own would take relevance."""

    class Uneven(kind):
        def forward(self, x):
            return self._conv_forward(F.pad(x, self.flat), self.weight, self.bias)

    return Uneven


def conv(attrs, known, names):
    w, b = known[names[1]], known[names[2]] if len(names) > 2 else None
    rank, group = w.dim() - 2, attrs.get("group", 1)
    own, flat = windows(attrs, rank)
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    module = (uneven(kind) if any(flat) else kind)(
        w.shape[1] * group,
        w.shape[0],
        tuple(w.shape[2:]),
        tuple(attrs.get("strides", [1] * rank)),
        own,
        tuple(attrs.get("dilations", [1] * rank)),
        group,
        b is not None,
    )
    module.flat = flat
    return with_weights(module, weight=w, bias=b)


def linear(weight, bias):
    module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    return with_weights(module, weight=weight.contiguous(), bias=bias)


def gemm(attrs, known, names):
    w = known[names[1]] if attrs.get("transB") else known[names[1]].T
    bias = known[names[2]].expand(w.shape[0]).clone() if len(names) > 2 else None
    return linear(attrs.get("alpha", 1.0) * w, bias if bias is None else attrs.get("beta", 1.0) * bias)


def batch_norm(attrs, known, names, rank):
    scale, bias, mean, var = (known[n] for n in names[1:5])
    kind = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[max(rank, 1) - 1]
    module = with_weights(kind(len(scale), attrs.get("epsilon", 1e-5)), weight=scale, bias=bias)
    module.running_mean, module.running_var = mean.clone(), var.clone()
    return module


def max_pool(attrs):
    rank = len(attrs["kernel_shape"])
    own, flat = windows(attrs, rank)
    kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[rank - 1]
    strides = tuple(attrs.get("strides", [1] * rank))
    module = kind(tuple(attrs["kernel_shape"]), strides, own)
    if not any(flat):
        return module
    pad = (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)[rank - 1]
    return nn.Sequential(pad(tuple(flat), -torch.inf), module)


SIMPLE = {"Relu": nn.ReLU, "Sigmoid": nn.Sigmoid, "Tanh": nn.Tanh, "Flatten": nn.Flatten}


def module_of(node, attrs, known, rank):
    """The module of one node; `rank` is the number of spatial axes of its first input."""
    names, op = list(node.input), node.op_type
    constant = [n in known for n in names]
    if op == "Conv":
        return conv(attrs, known, names)
    if op == "Gemm" and all(constant[1:]) and not attrs.get("transA"):
        return gemm(attrs, known, names)
    if op == "MatMul" and constant == [False, True] and known[names[1]].dim() == 2:
        return linear(known[names[1]].T, None)
    if op == "BatchNormalization":
        return batch_norm(attrs, known, names, rank)
    if op == "MaxPool":
        return max_pool(attrs)
    if op == "AveragePool":
        return average_pool(attrs)
    if op == "GlobalAveragePool":
        kinds = nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d
        return kinds[rank - 1](1)
    if op == "Softmax":
        return nn.Softmax(attrs.get("axis", -1))
    if op == "Add" and not any(constant):
        return Plus()
    if op == "Clip" and len(names) == 3 and known[names[1]] == 0:
        return nn.Sequential(nn.ReLU(), Ceiling(known[names[2]]))
    return SIMPLE[op]() if op in SIMPLE else Operator(node, attrs, known)


def exact(value):
    """The float32 next to sqrt(2), which exporters write into a GELU, as sqrt(2)."""
    root = torch.tensor(2.0, dtype=torch.float64).sqrt()
    return root if value.numel() == 1 and value.item() == root.float().item() else value


class Net(nn.Module):
    """The graph from `inputs` (any tensors) to its first output; other feeds are constants.

    `feeds` are arrays by name; `values` holds every tensor of the run over them.
    """

    def __init__(self, path, feeds, inputs=None):
        super().__init__()
        graph = onnx.load(str(path)).graph
        self.out = graph.output[0].name
        self.values = {t.name: exact(tensor(numpy_helper.to_array(t))) for t in graph.initializer}
        known = dict(self.values)
        for name, array in feeds.items():
            self.values[name] = tensor(array)
        inputs = list(inputs or feeds)
        known.update({n: self.values[n] for n in feeds if n not in inputs})
        todo, self.steps, self.names, self.args, self.ops = [], nn.ModuleList(), [], [], []
        with torch.no_grad():
            for node in graph.node:
                args = [self.values[i] if i else None for i in node.input]
                self.values[node.output[0]] = exact(RUN[node.op_type](attributes(node), *args))
                if node.output[0] in inputs:
                    continue
                if all(i in known or not i for i in node.input):
                    known[node.output[0]] = self.values[node.output[0]]
                else:
                    todo.append(node)
        self.inputs = inputs
        needed = {self.out}
        for node in reversed(todo):  # what is not on the way from the inputs is left out
            if node.output[0] in needed:
                needed.update(i for i in node.input if i and i not in known)
        for node in todo:
            if node.output[0] in needed:
                rank = self.values[node.input[0]].dim() - 2
                self.steps.append(module_of(node, attributes(node), known, rank))
                self.names.append(node.output[0])
                self.ops.append(node.op_type)
                self.args.append([i for i in node.input if i and i not in known])
        self.double().eval().requires_grad_(False)

    def run(self, *inputs, instead=None):
        """All tensors by name. `instead`(operator, module, arguments) computes a step its own way, or gives None."""
        env = dict(zip(self.inputs, inputs))
        for step, name, args, op in zip(self.steps, self.names, self.args, self.ops):
            given = [env[a] for a in args]
            own = instead(op, step, given) if instead else None
            env[name] = step(*given) if own is None else own
        return env

    def replay(self, env, name, value):
        """The output with `value` in place of the tensor `name` of a run."""
        env = dict(env)
        env[name], changed = value, {name}
        for step, out, args in zip(self.steps, self.names, self.args):
            if out not in changed and changed.intersection(args):
                env[out] = step(*(env[a] for a in args))
                changed.add(out)
        return env[self.out]

    def forward(self, *inputs):
        return self.run(*inputs)[self.out]

    def step(self, name):
        return self.steps[self.names.index(name)]

    @staticmethod
    def values_of(path, feeds):
        """The output for these feeds."""
        net = Net(path, feeds, [])
        return net.values[net.out]

    def sums(self, kind):
        for module in self.modules():
            if isinstance(module, Plus):
                module.kind = kind
