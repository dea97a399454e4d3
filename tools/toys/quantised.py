"""One small quantised classifier in three spellings; every number of it is worked out in tests/data/toy/README.md.

Scales are powers of two, so that float arithmetic is exact and no code depends on how sums are rounded.
"""

import numpy as np
from onnx import helper

from .lib import Net

GRADIENT = [  # times 32
    [1, 1, 1, 0],
    [1.5, 1.5, 1.5, 0],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
]


def number(n, name, scale, zero):
    """A scale and a zero point of type uint8."""
    n.const(f"{name}_s", scale)
    n.const(f"{name}_z", zero, np.uint8)
    return f"{name}_s,{name}_z"


def start(spelling):
    n = Net(f"composite_quantised__{spelling}")
    n.input("x", np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4))
    n.files[f"{n.name}.io/ref_grad_class1.npy"] = npy(np.array(GRADIENT, np.float32).reshape(1, 1, 4, 4) / 32)
    for name, scale, zero in (("x", 2**-5, 0), ("c", 0.25, 0), ("l", 2**-6, 60)):
        number(n, name, scale, zero)
    n.const("w_q", np.array([[2] * 9, [-4] * 9]).reshape(2, 1, 3, 3), np.int8)
    n.const("w_s", [0.5, 0.25])
    n.const("w_z", [0, 0], np.int8)
    n.const("b_q", [64, 12800], np.int32)
    n.const("f_q", np.array([[2, 0], [1, -2], [0, 1]]).T, np.int8)
    n.const("f_s", 2**-6)
    n.const("f_z", 0, np.int8)
    return n


def npy(array):
    import io

    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def there_and_back(n, x, name, to):
    n.node("QuantizeLinear", f"{x},{name}_s,{name}_z", f"{to}_q")
    return n.node("DequantizeLinear", f"{to}_q,{name}_s,{name}_z", f"{to}_f")


def qdq():
    """Floats between QuantizeLinear and DequantizeLinear."""
    n = start("qdq")
    n.const("b_s", [2**-6, 2**-7])
    n.const("b_z", [0, 0], np.int32)
    x = there_and_back(n, "x", "x", "x")
    n.node("DequantizeLinear", "w_q,w_s,w_z", "w_f", axis=0)
    n.node("DequantizeLinear", "b_q,b_s,b_z", "b_f", axis=0)
    n.node("DequantizeLinear", "f_q,f_s,f_z", "f_f")
    n.node("Conv", f"{x},w_f,b_f", "conv", kernel_shape=[3, 3])
    n.node("MaxPool", there_and_back(n, "conv", "c", "conv"), "pool", kernel_shape=[2, 2])
    n.node("Flatten", there_and_back(n, "pool", "c", "pool"), "flat")
    n.node("MatMul", "flat,f_f", "logits")
    n.node("Softmax", there_and_back(n, "logits", "l", "logits"), "y")
    n.output("y")
    return n


def codes(spelling, domain):
    """Operators between codes: ONNX's, ONNX Runtime's."""
    n = start(spelling)
    own = {"domain": domain} if domain else {}
    n.node("QuantizeLinear", "x,x_s,x_z", "x_q", **own)
    n.node("QLinearConv", "x_q,x_s,x_z,w_q,w_s,w_z,c_s,c_z,b_q", "conv_q", kernel_shape=[3, 3], **own)
    n.node("MaxPool", "conv_q", "pool_q", kernel_shape=[2, 2])
    n.node("Flatten", "pool_q", "flat_q")
    if domain:
        n.imports.append(helper.make_opsetid(domain, 1))
        n.node("QGemm", "flat_q,c_s,c_z,f_q,f_s,f_z,,l_s,l_z", "logits_q", **own)
    else:
        n.node("QLinearMatMul", "flat_q,c_s,c_z,f_q,f_s,f_z,l_s,l_z", "logits_q")
    n.node("DequantizeLinear", "logits_q,l_s,l_z", "logits_f", **own)
    n.node("Softmax", "logits_f", "y")
    n.output("y")
    return n


def dynamic(spelling):
    """Activations quantised by their own range: two layers, with a scale per column and one for all."""
    n = Net(f"composite_dynamic__{spelling}", opset=13)
    n.imports.append(helper.make_opsetid("com.microsoft", 1))
    x = n.input("x", n.normal(1, 6))
    for k, (rows, columns, scales) in enumerate(((6, 8, 8), (8, 3, 1))):
        n.const(f"w{k}", n.rng.integers(-127, 128, (rows, columns)), np.int8)
        n.const(f"s{k}", n.rng.uniform(0.002, 0.01, scales) if scales > 1 else 0.004)
        n.const(f"z{k}", np.full(scales, 3) if scales > 1 else 3, np.int8)
        n.const(f"b{k}", n.normal(columns))
        if spelling == "matmul":
            x = n.node("DynamicQuantizeMatMul", f"{x},w{k},s{k},z{k},b{k}", f"h{k}", domain="com.microsoft")
        else:
            n.node("DynamicQuantizeLinear", x, f"q{k} qs{k} qz{k}")
        if spelling == "to_float":
            x = n.node(
                "MatMulIntegerToFloat", f"q{k},w{k},qs{k},s{k},qz{k},z{k},b{k}", f"h{k}", domain="com.microsoft"
            )
        elif spelling == "integer":
            n.node("MatMulInteger", f"q{k},w{k},qz{k},z{k}", f"i{k}")
            n.node("Cast", f"i{k}", f"c{k}", to=1)
            n.node("Mul", f"qs{k},s{k}", f"m{k}")
            n.node("Mul", f"c{k},m{k}", f"p{k}")
            x = n.node("Add", f"p{k},b{k}", f"h{k}")
        x = n.node("Relu", x, "r") if k == 0 else n.node("Softmax", x, "y")
    n.output("y")
    return n


def all_nets():
    return [dynamic(spelling) for spelling in ("matmul", "to_float", "integer")] + [qdq(), codes("qlinear", ""), codes("microsoft", "com.microsoft")]
