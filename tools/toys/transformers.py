"""Small transformers for the methods on attention: encoders, co-attention, encoder and decoder.

Two heads of width 3; the attention maps are called `NAME.map`. `tools/make_attention_refs.py`
evaluates them without ONNX and writes what the methods must give.
"""

import numpy as np

from .lib import Net

WIDTH, HEADS, HIDDEN = 6, 2, 8


def dense(n, name, x, wide, out=WIDTH):
    """x W + b along the last axis."""
    n.const(f"{name}.w", n.normal(wide, out) * 0.6)
    n.const(f"{name}.b", n.normal(out) * 0.2)
    n.node("MatMul", f"{x},{name}.w", f"{name}.product")
    return n.node("Add", f"{name}.product,{name}.b", f"{name}.out")


def norm(n, name, x):
    n.const(f"{name}.scale", 1 + 0.3 * n.normal(WIDTH))
    n.const(f"{name}.bias", 0.3 * n.normal(WIDTH))
    return n.node("LayerNormalization", f"{x},{name}.scale,{name}.bias", name, axis=-1)


def attend(n, name, q, k=None, v=None):
    """Tokens of q attend to those of k and v (q, and k, when not given)."""
    k = k or q
    n.ints(f"{name}.split", 0, 0, HEADS, WIDTH // HEADS)
    n.ints(f"{name}.merge", 0, 0, WIDTH)
    n.const(f"{name}.scale", (WIDTH // HEADS) ** -0.5)
    for role, source, perm in (
        ("q", q, [0, 2, 1, 3]),
        ("k", k, [0, 2, 3, 1]),
        ("v", v or k, [0, 2, 1, 3]),
    ):
        flat = dense(n, f"{name}.{role}", source, WIDTH)
        n.node("Reshape", f"{flat},{name}.split", f"{name}.{role}.heads")
        n.node("Transpose", f"{name}.{role}.heads", f"{name}.{role}", perm=perm)
    n.node("MatMul", f"{name}.q,{name}.k", f"{name}.scores")
    n.node("Mul", f"{name}.scores,{name}.scale", f"{name}.scaled")
    n.node("Softmax", f"{name}.scaled", f"{name}.map", axis=-1)
    n.node("MatMul", f"{name}.map,{name}.v", f"{name}.mixed")
    n.node("Transpose", f"{name}.mixed", f"{name}.tokens", perm=[0, 2, 1, 3])
    n.node("Reshape", f"{name}.tokens,{name}.merge", f"{name}.flat")
    return dense(n, f"{name}.o", f"{name}.flat", WIDTH)


def mlp(n, name, x):
    """The exact GELU between two dense layers."""
    hidden = dense(n, f"{name}.up", x, WIDTH, HIDDEN)
    if "root2" not in [t.name for t in n.inits]:
        n.const("root2", 2**0.5)
        n.const("one", 1)
        n.const("half", 0.5)
    n.node("Div", f"{hidden},root2", f"{name}.unit")
    n.node("Erf", f"{name}.unit", f"{name}.erf")
    n.node("Add", f"{name}.erf,one", f"{name}.gate")
    n.node("Mul", f"{hidden},{name}.gate", f"{name}.gated")
    n.node("Mul", f"{name}.gated,half", f"{name}.gelu")
    return dense(n, f"{name}.down", f"{name}.gelu", HIDDEN)


def add(n, name, x, y):
    return n.node("Add", f"{x},{y}", name)


def block_pre(n, name, x):
    x = add(n, f"{name}.mid", x, attend(n, name, norm(n, f"{name}.n1", x)))
    return add(n, f"{name}.end", x, mlp(n, f"{name}.m", norm(n, f"{name}.n2", x)))


def behind(n, name, x, y):
    """The norm of a sum."""
    return norm(n, f"{name}.n", add(n, f"{name}.sum", x, y))


def block_post(n, name, x):
    x = behind(n, f"{name}.1", x, attend(n, name, x))
    return behind(n, f"{name}.2", x, mlp(n, f"{name}.m", x))


def read_first(n, x, classes):
    """The first token, through a dense layer."""
    n.const("first", 0, np.int64)
    n.node("Gather", f"{x},first", "token", axis=1)
    n.weight("fc.weight", classes, WIDTH)
    n.const("fc.bias", n.normal(classes) * 0.1)
    n.node("Gemm", "token,fc.weight,fc.bias", "logits", transB=1)
    n.output("logits", dims=["N", classes])
    return n


def encoder(name, block):
    """x (N,4,6) -> two blocks -> norm (of the first kind) -> the first token -> 3 scores."""
    n = Net(name, 17)
    x = n.input("x", n.normal(2, 4, WIDTH), ["N", 4, WIDTH])
    for layer in ("b1", "b2"):
        x = block(n, layer, x)
    return read_first(n, norm(n, "last", x) if block is block_pre else x, 3)


def coattention():
    """Text and image tokens, four each: a block of self-attention, attention both ways, self-attention
    again, then once more from the text, whose first token is read (LXMERT)."""
    n = Net("attn_coattention", 17)
    n.input("text", n.normal(2, 4, WIDTH), ["N", 4, WIDTH])
    n.input("image", n.normal(2, 4, WIDTH), ["N", 4, WIDTH])
    t, i = block_post(n, "t1", "text"), block_post(n, "i1", "image")
    across = behind(n, "tc1.x", t, attend(n, "tc1", t, i))
    back = behind(n, "ic1.x", i, attend(n, "ic1", i, t))
    t, i = block_post(n, "ts1", across), block_post(n, "is1", back)
    t = behind(n, "tc2.x", t, attend(n, "tc2", t, i))
    return read_first(n, block_post(n, "ts2", t), 2)


def encoder_decoder():
    """Four source tokens, three target tokens, two decoder layers; two scores per target token."""
    n = Net("attn_encoder_decoder", 17)
    n.input("source", n.normal(2, 4, WIDTH), ["N", 4, WIDTH])
    n.input("target", n.normal(2, 3, WIDTH), ["N", 3, WIDTH])
    memory = norm(n, "memory", block_pre(n, "e1", "source"))
    x = "target"
    for layer in "12":
        name = f"d{layer}"
        x = add(n, f"{name}.a", x, attend(n, f"ds{layer}", norm(n, f"{name}.n1", x)))
        x = add(n, f"{name}.b", x, attend(n, f"dc{layer}", norm(n, f"{name}.n2", x), memory))
        x = add(n, f"{name}.c", x, mlp(n, f"{name}.m", norm(n, f"{name}.n3", x)))
    scores = dense(n, "head", norm(n, "last", x), WIDTH, 2)
    n.output(scores, dims=["N", 3, 2])
    return n


def queries():
    """A picture of 2 x 2 patches; three learned queries attend to them, to each other, and to them
    again; places are added to queries and keys only (DETR)."""
    n = Net("attn_queries", 17)
    n.input("picture", n.normal(2, 1, 4, 4), ["N", 1, 4, 4])
    n.weight("patch.w", WIDTH, 1, 2, 2)
    n.ints("flat", 0, WIDTH, -1)
    n.node("Conv", "picture,patch.w", "patches", kernel_shape=[2, 2], strides=[2, 2])
    n.node("Reshape", "patches,flat", "columns")
    image = n.node("Transpose", "columns", "embedded", perm=[0, 2, 1])
    n.const("places", n.normal(1, 4, WIDTH) * 0.5)
    n.const("queries", n.normal(1, 3, WIDTH))
    n.node("Add", "embedded,places", "placed")
    image = behind(n, "e1.1", image, attend(n, "e1", "placed", "placed", image))
    image = behind(n, "e1.2", image, mlp(n, "e1.m", image))
    keys = add(n, "keys", image, "places")
    x = behind(n, "q1.1", "queries", attend(n, "qc1", "queries", keys, image))
    x = behind(n, "q1.2", x, mlp(n, "q1.m", x))
    own = add(n, "own", x, "queries")
    x = behind(n, "q2.1", x, attend(n, "qs2", own, own, x))
    own = add(n, "own2", x, "queries")
    x = behind(n, "q2.2", x, attend(n, "qc2", own, keys, image))
    scores = dense(n, "head", x, WIDTH, 2)
    n.output(scores, dims=["N", 3, 2])
    return n


def all_nets():
    return [
        encoder("attn_encoder_pre", block_pre),
        encoder("attn_encoder_post", block_post),
        coattention(),
        encoder_decoder(),
        queries(),
    ]
