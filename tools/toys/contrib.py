"""What ONNX Runtime's optimiser writes, the domain com.microsoft: each net fused and in ONNX's own parts.

`contrib_text` is an encoder layer on token ids with a mask, `contrib_decoder` a layer with rotary positions
in which tokens see earlier ones only, `contrib_picture` convolutions with a residual.
"""

import numpy as np
from onnx import helper

from .lib import Net

WIDTH, HEADS, HIDDEN, TOKENS = 8, 2, 12, 5
DOMAIN = "com.microsoft"


def start(name, opset=17):
    n = Net(name, opset)
    if name.endswith("__fused"):
        n.imports.append(helper.make_opsetid(DOMAIN, 1))
    return n


def fused(n, op, inputs, output, **attrs):
    return n.node(op, inputs, output, domain=DOMAIN, **attrs)


def affine(n, name, width=WIDTH):
    n.const(f"{name}.scale", 1 + 0.3 * n.normal(width))
    n.const(f"{name}.bias", 0.3 * n.normal(width))


def add_all(n, name, *terms):
    total = terms[0]
    for k, term in enumerate(terms[1:]):
        total = n.node("Add", f"{total},{term}", name if k == len(terms) - 2 else f"{name}.{k}")
    return total


def split_heads(n, name, x, perm):
    if "split" not in [t.name for t in n.inits]:
        n.ints("split", 0, 0, HEADS, WIDTH // HEADS)
        n.ints("merge", 0, 0, WIDTH)
        n.const("root", (WIDTH // HEADS) ** 0.5)
    n.node("Reshape", f"{x},split", f"{name}.apart")
    return n.node("Transpose", f"{name}.apart", f"{name}.heads", perm=perm)


def attend(n, name, q, k, v, mask):
    """softmax(q k' / root + mask) v of tokens (N,T,WIDTH)."""
    split_heads(n, f"{name}.q", q, [0, 2, 1, 3])
    split_heads(n, f"{name}.k", k, [0, 2, 3, 1])
    split_heads(n, f"{name}.v", v, [0, 2, 1, 3])
    n.node("MatMul", f"{name}.q.heads,{name}.k.heads", f"{name}.scores")
    n.node("Div", f"{name}.scores,root", f"{name}.scaled")
    n.node("Add", f"{name}.scaled,{mask}", f"{name}.masked")
    n.node("Softmax", f"{name}.masked", f"{name}.map", axis=-1)
    n.node("MatMul", f"{name}.map,{name}.v.heads", f"{name}.mixed")
    n.node("Transpose", f"{name}.mixed", f"{name}.tokens", perm=[0, 2, 1, 3])
    return n.node("Reshape", f"{name}.tokens,merge", f"{name}.out")


# ---- contrib_text ----


def text_weights(n):
    n.input("ids", np.array([[3, 1, 4, 1, 5], [2, 6, 5, 3, 0]], np.int32), ["N", TOKENS])
    n.input("kinds", np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]], np.int32), ["N", TOKENS])
    n.input("mask", np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]], np.int32), ["N", TOKENS])
    n.const("words", n.normal(7, WIDTH))
    n.const("places", n.normal(TOKENS, WIDTH))
    n.const("kind", n.normal(2, WIDTH))
    for name in ("start", "middle", "end"):
        affine(n, name)
    n.const("qkv.w", n.normal(WIDTH, 3 * WIDTH) * 0.5)
    n.const("qkv.b", n.normal(3 * WIDTH) * 0.2)
    n.const("o.w", n.normal(WIDTH, WIDTH) * 0.5)
    n.const("o.b", n.normal(WIDTH) * 0.2)
    n.const("up.w", n.normal(WIDTH, HIDDEN) * 0.5)
    n.const("up.b", n.normal(HIDDEN) * 0.2)
    n.const("down.w", n.normal(HIDDEN, WIDTH) * 0.5)
    n.const("down.b", n.normal(WIDTH) * 0.2)
    n.const("head.w", n.normal(WIDTH, 3))
    n.const("head.b", n.normal(3))
    n.const("first", 0, np.int64)


def text_end(n, x):
    n.node("Gather", f"{x},first", "pooled", axis=1)
    n.node("Gemm", "pooled,head.w,head.b", "logits")
    n.output("logits")
    return n


def text_fused():
    n = start("contrib_text__fused")
    text_weights(n)
    tables = "ids,kinds,words,places,kind,start.scale,start.bias"
    fused(n, "EmbedLayerNormalization", tables, "x seen", epsilon=1e-5)
    fused(n, "Attention", "x,qkv.w,qkv.b,mask", "attended", num_heads=HEADS)
    n.node("MatMul", "attended,o.w", "mixed")
    terms = "mixed,x,middle.scale,middle.bias,o.b"
    fused(n, "SkipLayerNormalization", terms, "y", epsilon=1e-5)
    n.node("MatMul", "y,up.w", "up")
    fused(n, "BiasGelu", "up,up.b", "gelu")
    n.node("MatMul", "gelu,down.w", "down")
    terms = "down,y,end.scale,end.bias,down.b"
    fused(n, "SkipLayerNormalization", terms, "z", epsilon=1e-5)
    return text_end(n, "z")


def text_parts():
    n = start("contrib_text__parts")
    text_weights(n)
    n.node("Gather", "words,ids", "word")
    n.node("Gather", "kind,kinds", "which")
    add_all(n, "sum", "word", "places", "which")
    n.node("LayerNormalization", "sum,start.scale,start.bias", "x", axis=-1)
    n.ints("spread", 1, 2)
    n.const("one", 1)
    n.const("filter", -10000)
    n.node("Cast", "mask", "mask.float", to=1)
    n.node("Sub", "one,mask.float", "hidden")
    n.node("Unsqueeze", "hidden,spread", "hidden.wide")
    n.node("Mul", "hidden.wide,filter", "masked")
    n.node("MatMul", "x,qkv.w", "product")
    n.node("Add", "product,qkv.b", "qkv")
    n.ints("thirds", WIDTH, WIDTH, WIDTH)
    n.node("Split", "qkv,thirds", "q k v", axis=-1)
    attend(n, "attn", "q", "k", "v", "masked")
    n.node("MatMul", "attn.out,o.w", "mixed")
    add_all(n, "y.sum", "mixed", "o.b", "x")
    n.node("LayerNormalization", "y.sum,middle.scale,middle.bias", "y", axis=-1)
    n.node("MatMul", "y,up.w", "up")
    n.node("Add", "up,up.b", "u")
    n.const("root2", 2**0.5)
    n.const("half", 0.5)
    n.node("Div", "u,root2", "u.unit")
    n.node("Erf", "u.unit", "u.erf")
    n.node("Add", "u.erf,one", "u.gate")
    n.node("Mul", "u,u.gate", "u.gated")
    n.node("Mul", "u.gated,half", "gelu")
    n.node("MatMul", "gelu,down.w", "down")
    add_all(n, "z.sum", "down", "down.b", "y")
    n.node("LayerNormalization", "z.sum,end.scale,end.bias", "z", axis=-1)
    return text_end(n, "z")


# ---- contrib_decoder ----


def decoder_weights(n):
    n.input("x", n.normal(2, TOKENS, WIDTH), ["N", TOKENS, WIDTH])
    n.const("in.scale", 1 + 0.3 * n.normal(WIDTH))
    n.const("out.scale", 1 + 0.3 * n.normal(WIDTH))
    for role in "qkvo":
        n.const(f"{role}.w", n.normal(WIDTH, WIDTH) * 0.5)
    angles = np.outer(np.arange(TOKENS + 1), [1.0, 0.1])
    n.const("cos", np.cos(angles))
    n.const("sin", np.sin(angles))
    n.const("head.w", n.normal(3, WIDTH))
    n.const("head.b", n.normal(3))


def decoder_end(n, x):
    n.const("last", TOKENS - 1, np.int64)
    n.node("Gather", f"{x},last", "pooled", axis=1)
    if n.imports:
        fused(
            n,
            "FusedGemm",
            "pooled,head.w,head.b",
            "logits",
            transB=1,
            activation="LeakyRelu",
            activation_alpha=0.25,
        )
    else:
        n.node("Gemm", "pooled,head.w,head.b", "raw", transB=1)
        n.node("LeakyRelu", "raw", "logits", alpha=0.25)
    n.output("logits")
    return n


def decoder_fused():
    n = start("contrib_decoder__fused")
    decoder_weights(n)
    n.ints("from", 1)
    n.node("SimplifiedLayerNormalization", "x,in.scale", "normed", axis=-1, epsilon=1e-5)
    for role in "qkv":
        n.node("MatMul", f"normed,{role}.w", role)
    for role in "qk":
        fused(n, "RotaryEmbedding", f"{role},from,cos,sin", f"{role}.turned")
    fused(n, "MultiHeadAttention", "q.turned,k.turned,v", "a", num_heads=HEADS, unidirectional=1)
    fused(n, "FusedMatMul", "a,o.w", "o", transB=1, alpha=0.5)
    terms = "o,x,out.scale"
    fused(n, "SkipSimplifiedLayerNormalization", terms, "y", epsilon=1e-5)
    fused(n, "QuickGelu", "y", "z", alpha=1.5)
    return decoder_end(n, "z")


def turned(n, role):
    """Pairs (i, i + 2) of each head of 4 turned by their token's angles."""
    n.node("Reshape", f"{role},split4", f"{role}.4")
    n.node("Split", f"{role}.4,halves", f"{role}.a {role}.b", axis=-1)
    for part, first, second, op in (("p", "a", "b", "Sub"), ("r", "b", "a", "Add")):
        n.node("Mul", f"{role}.{first},c", f"{role}.{part}.1")
        n.node("Mul", f"{role}.{second},d", f"{role}.{part}.2")
        n.node(op, f"{role}.{part}.1,{role}.{part}.2", f"{role}.{part}")
    n.node("Concat", f"{role}.p,{role}.r", f"{role}.pr", axis=-1)
    return n.node("Reshape", f"{role}.pr,merge", f"{role}.turned")


def decoder_parts():
    n = start("contrib_decoder__parts", opset=23)
    decoder_weights(n)
    n.node("RMSNormalization", "x,in.scale", "normed", axis=-1, epsilon=1e-5)
    for role in "qkv":
        n.node("MatMul", f"normed,{role}.w", role)
    n.ints("split4", 0, 0, HEADS, WIDTH // HEADS)
    n.ints("merge", 0, 0, WIDTH)
    n.ints("halves", 2, 2)
    angles = np.outer(np.arange(1, TOKENS + 1), [1.0, 0.1]).reshape(1, TOKENS, 1, 2)
    n.const("c", np.cos(angles))
    n.const("d", np.sin(angles))
    for role in "qk":
        turned(n, role)
    n.const("later", np.triu(np.full((TOKENS, TOKENS), -1e30), 1))
    n.ints("split", 0, 0, HEADS, WIDTH // HEADS)
    n.const("root", (WIDTH // HEADS) ** 0.5)
    attend(n, "attn", "q.turned", "k.turned", "v", "later")
    n.node("Transpose", "o.w", "o.wt", perm=[1, 0])
    n.node("MatMul", "attn.out,o.wt", "o.whole")
    n.const("half", 0.5)
    n.node("Mul", "o.whole,half", "o")
    n.node("Add", "o,x", "sum")
    n.node("RMSNormalization", "sum,out.scale", "y", axis=-1, epsilon=1e-5)
    n.const("alpha", 1.5)
    n.node("Mul", "y,alpha", "y.steep")
    n.node("Sigmoid", "y.steep", "y.gate")
    n.node("Mul", "y,y.gate", "z")
    return decoder_end(n, "z")


# ---- contrib_picture ----


def picture_weights(n):
    n.input("x", n.normal(1, 3, 7, 6), ["N", 3, 7, 6])
    n.weight("c1.w", 4, 3, 3, 3)
    n.const("c1.b", n.normal(4) * 0.2)
    n.weight("c2.w", 4, 4, 3, 3)
    n.const("c2.b", n.normal(4) * 0.2)
    n.const("head.w", n.normal(4, 3))
    n.const("head.b", n.normal(3))


def picture_end(n, x):
    n.node("GlobalAveragePool", x, "mean")
    n.node("Flatten", "mean", "flat")
    n.node("Gemm", "flat,head.w,head.b", "logits")
    n.output("logits")
    return n


def picture_fused():
    n = start("contrib_picture__fused")
    picture_weights(n)
    pads = [1, 1, 1, 1]
    fused(
        n,
        "FusedConv",
        "x,c1.w,c1.b",
        "low",
        pads=pads,
        activation="HardSigmoid",
        activation_params=[0.3, 0.4],
    )
    fused(n, "FusedConv", "low,c2.w,c2.b,low", "high", pads=pads, activation="Relu")
    fused(n, "FastGelu", "high", "end")
    return picture_end(n, "end")


def picture_parts():
    n = start("contrib_picture__parts")
    picture_weights(n)
    pads = [1, 1, 1, 1]
    n.node("Conv", "x,c1.w,c1.b", "c1", pads=pads)
    n.node("HardSigmoid", "c1", "low", alpha=0.3, beta=0.4)
    n.node("Conv", "low,c2.w,c2.b", "c2", pads=pads)
    n.node("Add", "c2,low", "sum")
    n.node("Relu", "sum", "high")
    n.const("three", 3)
    n.node("Pow", "high,three", "cube")
    n.const("cubic", 0.044715)
    n.node("Mul", "cube,cubic", "cube.part")
    n.node("Add", "high,cube.part", "inner")
    n.const("root", (2 / np.pi) ** 0.5)
    n.node("Mul", "inner,root", "inner.scaled")
    n.node("Tanh", "inner.scaled", "tanh")
    n.const("one", 1)
    n.node("Add", "tanh,one", "gate")
    n.node("Mul", "high,gate", "gated")
    n.const("half", 0.5)
    n.node("Mul", "gated,half", "end")
    return picture_end(n, "end")


def all_nets():
    return [
        text_parts(),
        text_fused(),
        decoder_parts(),
        decoder_fused(),
        picture_parts(),
        picture_fused(),
    ]
