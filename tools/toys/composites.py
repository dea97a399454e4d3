"""Both spellings, and more, of each composite that the importer raises.

Every function of a table takes the net and the input tensor's name and appends one spelling that
ends in the tensor `act`; the nets around them give every method something to explain.
"""

import math

import numpy as np

from .lib import Net


def scalar(n, value):
    """A scalar initializer named by its value."""
    name = f"c{value:.6g}"
    if name not in [t.name for t in n.inits]:
        n.const(name, value)
    return name


def chain(n, *steps):
    """Runs (op, inputs) steps; `$` is the step before, `$k` the step k (from 0); ends in `act`.

    A float among the inputs is a scalar constant; a dict at the end holds attributes.
    """
    outs = []
    for index, (op, *args) in enumerate(steps):
        attrs = args.pop() if isinstance(args[-1], dict) else {}
        names = []
        for arg in args:
            if isinstance(arg, float):
                arg = scalar(n, arg)
            elif arg == "$":
                arg = outs[-1]
            elif arg.startswith("$"):
                arg = outs[int(arg[1:])]
            names.append(arg)
        out = "act" if index == len(steps) - 1 else f"act.{index}"
        outs.append(n.node(op, ",".join(names), out, **attrs))
    return outs[-1]


R2, RPI, CUBE = math.sqrt(2), math.sqrt(2 / math.pi), 0.044715

ACTIVATIONS = {
    "gelu": {
        "op": lambda n, x: chain(n, ("Gelu", x)),
        "div_last_half": lambda n, x: chain(
            n, ("Div", x, R2), ("Erf", "$"), ("Add", "$", 1.0), ("Mul", x, "$"), ("Mul", "$", 0.5)
        ),
        "mul_first_half": lambda n, x: chain(
            n,
            ("Mul", x, 0.5),
            ("Mul", x, 1 / R2),
            ("Erf", "$"),
            ("Add", 1.0, "$"),
            ("Mul", "$0", "$"),
        ),
        "half_gate": lambda n, x: chain(
            n, ("Div", x, R2), ("Erf", "$"), ("Add", "$", 1.0), ("Mul", 0.5, "$"), ("Mul", "$", x)
        ),
    },
    "gelu_tanh": {
        "op": lambda n, x: chain(n, ("Gelu", x, {"approximate": "tanh"})),
        "pow": lambda n, x: chain(
            n,
            ("Pow", x, 3.0),
            ("Mul", "$", CUBE),
            ("Add", x, "$"),
            ("Mul", "$", RPI),
            ("Tanh", "$"),
            ("Add", "$", 1.0),
            ("Mul", x, 0.5),
            ("Mul", "$6", "$5"),
        ),
        "cube_by_mul": lambda n, x: chain(
            n,
            ("Mul", x, x),
            ("Mul", "$", x),
            ("Mul", CUBE, "$"),
            ("Add", x, "$"),
            ("Mul", RPI, "$"),
            ("Tanh", "$"),
            ("Add", 1.0, "$"),
            ("Mul", x, "$"),
            ("Mul", 0.5, "$"),
        ),
        "factored": lambda n, x: chain(
            n,
            ("Mul", x, x),
            ("Mul", "$", CUBE),
            ("Add", "$", 1.0),
            ("Mul", x, RPI),
            ("Mul", "$3", "$2"),
            ("Tanh", "$"),
            ("Add", "$", 1.0),
            ("Mul", "$", 0.5),
            ("Mul", x, "$"),
        ),
    },
    "silu": {
        "op": lambda n, x: chain(n, ("Swish", x)),
        "x_sigmoid": lambda n, x: chain(n, ("Sigmoid", x), ("Mul", x, "$")),
        "sigmoid_x": lambda n, x: chain(n, ("Sigmoid", x), ("Mul", "$", x)),
        "exp": lambda n, x: chain(n, ("Neg", x), ("Exp", "$"), ("Add", "$", 1.0), ("Div", x, "$")),
    },
    "hardswish": {
        "op": lambda n, x: chain(n, ("HardSwish", x, {})),
        "hardsigmoid": lambda n, x: chain(
            n, ("HardSigmoid", x, {"alpha": 1 / 6, "beta": 0.5}), ("Mul", x, "$")
        ),
        "clip_mul_div": lambda n, x: chain(
            n, ("Add", x, 3.0), ("Clip", "$", 0.0, 6.0), ("Mul", x, "$"), ("Div", "$", 6.0)
        ),
        "clip_div_mul": lambda n, x: chain(
            n, ("Add", 3.0, x), ("Clip", "$", 0.0, 6.0), ("Div", "$", 6.0), ("Mul", "$", x)
        ),
        "clip_mul_sixth": lambda n, x: chain(
            n, ("Add", x, 3.0), ("Clip", "$", 0.0, 6.0), ("Mul", "$", 1 / 6), ("Mul", x, "$")
        ),
    },
    "hardsigmoid": {
        "op": lambda n, x: chain(n, ("HardSigmoid", x, {"alpha": 1 / 6, "beta": 0.5})),
        "clip_div": lambda n, x: chain(
            n, ("Add", x, 3.0), ("Clip", "$", 0.0, 6.0), ("Div", "$", 6.0)
        ),
        "clip_unit": lambda n, x: chain(
            n, ("Mul", x, 1 / 6), ("Add", "$", 0.5), ("Clip", "$", 0.0, 1.0)
        ),
    },
    "softsign": {
        "op": lambda n, x: chain(n, ("Softsign", x)),
        "add_one": lambda n, x: chain(n, ("Abs", x), ("Add", "$", 1.0), ("Div", x, "$")),
        "one_plus": lambda n, x: chain(n, ("Abs", x), ("Add", 1.0, "$"), ("Div", x, "$")),
    },
    "mish": {
        "op": lambda n, x: chain(n, ("Mish", x)),
        "softplus": lambda n, x: chain(n, ("Softplus", x), ("Tanh", "$"), ("Mul", x, "$")),
        "log_exp": lambda n, x: chain(
            n, ("Exp", x), ("Add", "$", 1.0), ("Log", "$"), ("Tanh", "$"), ("Mul", "$", x)
        ),
    },
    "softplus": {
        "op": lambda n, x: chain(n, ("Softplus", x)),
        "log_exp": lambda n, x: chain(n, ("Exp", x), ("Add", "$", 1.0), ("Log", "$")),
    },
    "sigmoid": {
        "op": lambda n, x: chain(n, ("Sigmoid", x)),
        "reciprocal": lambda n, x: chain(
            n, ("Neg", x), ("Exp", "$"), ("Add", 1.0, "$"), ("Reciprocal", "$")
        ),
        "div": lambda n, x: chain(
            n, ("Neg", x), ("Exp", "$"), ("Add", "$", 1.0), ("Div", 1.0, "$")
        ),
    },
}


def activation_net(name, spelling, opset):
    """Conv `conv1` -> `act` -> Conv `conv2` -> Relu `relu2` -> mean -> Gemm `logits`."""
    n = Net(name, opset)
    n.input("x", n.normal(2, 2, 6, 6), ["N", 2, 6, 6])
    n.weight("conv1.weight", 4, 2, 3, 3)
    n.weight("conv1.bias", 4)
    n.node("Conv", "x,conv1.weight,conv1.bias", "conv1", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    spelling(n, "conv1")
    return tail(n, "act")


def tail(n, x):
    n.weight("conv2.weight", 4, 4, 3, 3)
    n.node("Conv", x + ",conv2.weight", "conv2", kernel_shape=[3, 3])
    n.node("Relu", "conv2", "relu2")
    n.node("GlobalAveragePool", "relu2", "mean")
    n.node("Flatten", "mean", "flat")
    n.weight("fc.weight", 3, 4)
    n.node("Gemm", "flat,fc.weight", "logits", transB=1)
    n.output("logits", dims=["N", 3])
    return n


def layer_norm_op(n, x):
    return n.node("LayerNormalization", x + ",norm.weight,norm.bias", "act", axis=-1, epsilon=1e-5)


def layer_norm_steps(square, axis):
    def spell(n, x):
        mean = {"axes": [axis]}
        squared = ("Pow", "$1", 2.0) if square == "pow" else ("Mul", "$1", "$1")
        return chain(
            n,
            ("ReduceMean", x, mean),
            ("Sub", x, "$"),
            squared,
            ("ReduceMean", "$", mean),
            ("Add", "$", 1e-5),
            ("Sqrt", "$"),
            ("Div", "$1", "$"),
            ("Mul", "$", "norm.weight"),
            ("Add", "$", "norm.bias"),
        )

    return spell


def layer_norm_reciprocal(n, x):
    mean = {"axes": [-1]}
    return chain(
        n,
        ("ReduceMean", x, mean),
        ("Sub", x, "$"),
        ("Mul", "$", "$"),
        ("ReduceMean", "$", mean),
        ("Add", 1e-5, "$"),
        ("Sqrt", "$"),
        ("Reciprocal", "$"),
        ("Mul", "$1", "$"),
        ("Mul", "norm.weight", "$"),
        ("Add", "norm.bias", "$"),
    )


def token_net(name, spelling, opset, before=None):
    """MatMul `embed` (+ bias) -> `act` -> Gemm per token -> Relu -> mean over tokens -> Gemm."""
    n = Net(name, opset)
    n.input("x", n.normal(2, 5, 6), ["N", 5, 6])
    n.const("embed.weight", n.normal(6, 8) * 0.5)
    n.const("embed.bias", n.normal(8) * 0.1)
    n.node("MatMul", "x,embed.weight", "embed.product")
    n.node("Add", "embed.product,embed.bias", "embed")
    if before:
        before(n)
    spelling(n, "embed")
    n.const("mlp.weight", n.normal(8, 8) * 0.5)
    n.node("MatMul", "act,mlp.weight", "mlp")
    n.node("Relu", "mlp", "relu")
    n.node("ReduceMean", "relu", "mean", axes=[1], keepdims=0)
    n.weight("fc.weight", 3, 8)
    n.node("Gemm", "mean,fc.weight", "logits", transB=1)
    n.output("logits", dims=["N", 3])
    return n


def norm_weights(n):
    n.const("norm.weight", 1 + 0.3 * n.normal(8))
    n.const("norm.bias", 0.3 * n.normal(8))


LAYER_NORMS = {
    "op": layer_norm_op,
    "pow": layer_norm_steps("pow", -1),
    "mul": layer_norm_steps("mul", -1),
    "positive_axis": layer_norm_steps("pow", 2),
    "reciprocal": layer_norm_reciprocal,
}


def group_norm(how):
    """Two groups of two channels; `how` normalises each group's values."""

    def spell(n, x):
        n.ints("groups", 0, 2, -1)
        n.ints("groups5", 0, 2, 2, 6, 6)
        n.ints("grid", -1, 4, 6, 6)
        n.const("gn.weight", 1 + 0.3 * n.normal(4, 1, 1))
        n.const("gn.bias", 0.3 * n.normal(4, 1, 1))
        affine = (("Reshape", "$", "grid"), ("Mul", "$", "gn.weight"), ("Add", "$", "gn.bias"))
        if how == "op":
            n.const("ones", np.ones(72))
            n.const("zeros", np.zeros(72))
            norm = (("LayerNormalization", "$", "ones", "zeros", {"axis": -1, "epsilon": 1e-5}),)
            return chain(n, ("Reshape", x, "groups"), *norm, *affine)
        shape, mean = (
            ("groups", {"axes": [2]}) if how == "flat" else ("groups5", {"axes": [2, 3, 4]})
        )
        return chain(
            n,
            ("Reshape", x, shape),
            ("ReduceMean", "$", mean),
            ("Sub", "$0", "$"),
            ("Pow", "$", 2.0),
            ("ReduceMean", "$", mean),
            ("Add", "$", 1e-5),
            ("Sqrt", "$"),
            ("Div", "$2", "$"),
            *affine,
        )

    return spell


GROUP_NORMS = {"op": group_norm("op"), "flat": group_norm("flat"), "five_axes": group_norm("five")}

SOFTMAXES = {
    "op": lambda n, x: chain(n, ("Softmax", x, {"axis": -1})),
    "max_subtracted": lambda n, x: chain(
        n,
        ("ReduceMax", x, {"axes": [-1]}),
        ("Sub", x, "$"),
        ("Exp", "$"),
        ("ReduceSum", "$", "last"),
        ("Div", "$2", "$"),
    ),
    "plain_exp": lambda n, x: chain(n, ("Exp", x), ("ReduceSum", "$", "last"), ("Div", "$0", "$")),
}

LOG_SOFTMAXES = {
    "op": lambda n, x: chain(n, ("LogSoftmax", x, {"axis": -1})),
    "log_of_softmax": lambda n, x: chain(n, ("Softmax", x, {"axis": -1}), ("Log", "$")),
    "max_subtracted": lambda n, x: chain(
        n,
        ("ReduceMax", x, {"axes": [-1]}),
        ("Sub", x, "$"),
        ("Exp", "$"),
        ("ReduceSum", "$", "last"),
        ("Log", "$"),
        ("Sub", "$1", "$"),
    ),
}


def softmax_end_net(name, spelling, opset):
    """A softmax as the model's last operation: the score walks back from it to `logits`."""
    n = Net(name, opset)
    n.ints("last", -1)
    n.input("x", n.normal(2, 6), ["N", 6])
    n.weight("fc1.weight", 5, 6)
    n.node("Gemm", "x,fc1.weight", "fc1", transB=1)
    n.node("Relu", "fc1", "relu")
    n.weight("fc2.weight", 4, 5)
    n.weight("fc2.bias", 4)
    n.node("Gemm", "relu,fc2.weight,fc2.bias", "logits", transB=1)
    spelling(n, "logits")
    n.output("act", dims=["N", 4])
    return n


def attention(scaling, masked=False):
    """Two heads of width 4 over the five tokens of `embed`; the map is called `attention`."""

    def spell(n, x):
        n.ints("heads", 0, 0, 2, 4)
        n.ints("merged", 0, 0, 8)
        for role in "qkv":
            n.const(f"{role}.weight", n.normal(8, 8) * 0.5)
            n.node("MatMul", f"{x},{role}.weight", f"{role}.flat")
            n.node("Reshape", f"{role}.flat,heads", f"{role}.split")
            perm = [0, 2, 3, 1] if role == "k" else [0, 2, 1, 3]
            n.node("Transpose", f"{role}.split", role, perm=perm)
        q, k, scores = "q", "k", "product"
        if scaling == "query":
            q = n.node("Mul", "q," + scalar(n, 0.5), "q.scaled")
        elif scaling == "both":
            q = n.node("Mul", "q," + scalar(n, 0.5**0.5), "q.scaled")
            k = n.node("Mul", "k," + scalar(n, 0.5**0.5), "k.scaled")
        n.node("MatMul", f"{q},{k}", "product")
        if scaling == "div":
            scores = n.node("Div", "product," + scalar(n, 2), "scores")
        elif scaling == "mul":
            scores = n.node("Mul", scalar(n, 0.5) + ",product", "scores")
        if masked:
            mask = np.zeros((1, 1, 1, 5))
            mask[..., 3] = -10000
            scores = n.node("Add", f"{scores}," + n.const("mask", mask), "masked")
        n.node("Softmax", scores, "attention", axis=-1)
        n.node("MatMul", "attention,v", "heads.out")
        n.node("Transpose", "heads.out", "tokens", perm=[0, 2, 1, 3])
        return n.node("Reshape", "tokens,merged", "act")

    return spell


ATTENTIONS = {s: attention(s) for s in ("div", "mul", "query", "both")}
MASKED = {s: attention(s, masked=True) for s in ("div", "query")}


def last_axis(n):
    n.ints("last", -1)


OP_SINCE = {"hardswish": 14, "mish": 18, "gelu": 20, "gelu_tanh": 20, "silu": 24}


def all_nets():
    nets = []
    for group, spellings in ACTIVATIONS.items():
        for name, spell in spellings.items():
            opset = OP_SINCE.get(group, 13) if name == "op" else 13
            nets.append(activation_net(f"composite_{group}__{name}", spell, opset))
    for name, spell in LAYER_NORMS.items():
        full = f"composite_layernorm__{name}"
        nets.append(token_net(full, spell, 17 if name == "op" else 13, norm_weights))
    for name, spell in GROUP_NORMS.items():
        nets.append(
            activation_net(f"composite_groupnorm__{name}", spell, 17 if name == "op" else 13)
        )
    for name, spell in SOFTMAXES.items():
        nets.append(token_net(f"composite_softmax__{name}", spell, 13, last_axis))
        nets.append(softmax_end_net(f"composite_softmax_end__{name}", spell, 13))
    for name, spell in LOG_SOFTMAXES.items():
        nets.append(softmax_end_net(f"composite_logsoftmax_end__{name}", spell, 13))
    for name, spell in ATTENTIONS.items():
        nets.append(token_net(f"composite_attention__{name}", spell, 13))
    for name, spell in MASKED.items():
        nets.append(token_net(f"composite_attention_mask__{name}", spell, 13))
    return nets
