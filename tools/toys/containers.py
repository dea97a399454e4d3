"""How a file may hold a model: functions, external data, number types, names, symbolic shapes.

All groups compute one small net, x (2,4) -> Gemm `hidden` -> LeakyRelu `act` -> Gemm `y`, unless
said otherwise; float16 and bfloat16 variants use weights that those types hold exactly.
"""

import numpy as np
from onnx import AttributeProto, TensorProto, helper

from .lib import Net

DOMAIN = "onnxplain.toys"
SLOPE = 0.25


def start(name, opset=13, ir=None, dtype=np.float32, dims=None):
    """Input x and the four weights, rounded to sixteenths."""
    n = Net(name, opset, ir)
    x = n.normal(2, 4).astype(dtype)
    n.input("x", np.round(x * 16) / 16, dims or ["N", 4])
    n.weights = {
        key: np.round(n.normal(*shape) * 16) / 16
        for key, shape in (("w1", (5, 4)), ("b1", (5,)), ("w2", (3, 5)), ("b2", (3,)))
    }
    return n


def body(n):
    n.node("Gemm", "x,w1,b1", "hidden", transB=1)
    n.node("LeakyRelu", "hidden", "act", alpha=SLOPE)
    n.node("Gemm", "act,w2,b2", "y", transB=1)


def finish(n, **output):
    n.output("y", **output)
    return n


def plain(name, **options):
    n = start(name, **options)
    for key, value in n.weights.items():
        n.const(key, value)
    body(n)
    return n


def cast_weights(name, elem, dtype):
    """Weights of another type, cast to float32 before use."""
    n = start(name)
    for key, value in n.weights.items():
        if elem == TensorProto.BFLOAT16:
            bits = (value.view(np.uint32) >> 16).astype(np.uint16)
            tensor = TensorProto(name=key + ".stored", data_type=elem, dims=value.shape)
            tensor.raw_data = bits.tobytes()
            n.inits.append(tensor)
        else:
            n.const(key + ".stored", value, dtype)
        n.node("Cast", key + ".stored", key, to=TensorProto.FLOAT)
    body(n)
    return finish(n)


def whole(name, elem, dtype):
    """Everything of another float type; Relu, since ONNX Runtime has no LeakyRelu for double."""
    n = start(name, dtype=dtype)
    for key, value in n.weights.items():
        n.const(key, value, dtype)
    body(n)
    n.nodes[1] = helper.make_node("Relu", ["hidden"], ["act"], name="Relu_act")
    return finish(n, elem=elem)


def typed_fields():
    """float_data instead of raw_data; an int64_data shape besides."""
    n = start("file_net__typed_fields")
    for key, value in n.weights.items():
        n.inits.append(helper.make_tensor(key, TensorProto.FLOAT, value.shape, value.ravel()))
    n.inits.append(helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 3]))
    n.node("Gemm", "x,w1,b1", "hidden", transB=1)
    n.node("LeakyRelu", "hidden", "act", alpha=SLOPE)
    n.node("Gemm", "act,w2,b2", "logits", transB=1)
    n.node("Reshape", "logits,shape", "y")
    return finish(n)


def typed_half():
    """float16 bits in int32_data, double_data, both cast."""
    n = start("file_net__typed_half")
    for key, value in n.weights.items():
        if key.startswith("w"):
            bits = value.astype(np.float16).view(np.uint16).ravel().tolist()
            tensor = TensorProto(name=key + ".stored", data_type=TensorProto.FLOAT16)
            tensor.int32_data.extend(bits)
        else:
            tensor = TensorProto(name=key + ".stored", data_type=TensorProto.DOUBLE)
            tensor.double_data.extend(value.ravel().tolist())
        tensor.dims.extend(value.shape)
        n.inits.append(tensor)
        n.node("Cast", key + ".stored", key, to=TensorProto.FLOAT)
    body(n)
    return finish(n)


def initializers_as_inputs():
    """IR version 3: every initializer is also listed as a graph input."""
    n = plain("file_net__initializers_as_inputs", opset=8, ir=3)
    for key, value in n.weights.items():
        n.inputs.append(helper.make_tensor_value_info(key, TensorProto.FLOAT, value.shape))
    return finish(n)


def external(name, place):
    """Weights in a file beside the model; `place` is its path relative to the model's folder."""
    n = plain(name)
    data = b""
    for tensor in n.inits:
        data += b"\xff" * (-len(data) % 64)
        raw, offset = tensor.raw_data, len(data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        fields = (("location", place), ("offset", offset), ("length", len(raw)))
        for key, value in fields:
            tensor.external_data.add(key=key, value=str(value))
        data += raw
    n.files[place] = data
    return finish(n)


def function_scale():
    """scaled(x; factor) = x * factor, the factor taken from the calling node's attribute."""
    node = helper.make_node("Constant", [], ["factor"])
    reference = AttributeProto(name="value_float", type=AttributeProto.FLOAT)
    reference.ref_attr_name = "factor"
    node.attribute.append(reference)
    product = helper.make_node("Mul", ["a", "factor"], ["b"])
    imports = [helper.make_opsetid("", 15)]
    return helper.make_function(
        DOMAIN, "Scaled", ["a"], ["b"], [node, product], imports, ["factor"]
    )


def function_leaky():
    """leaky(x) = relu(x) - slope relu(-x), which calls Scaled and reuses the caller's names."""
    nodes = [
        helper.make_node("Relu", ["x"], ["hidden"]),
        helper.make_node("Neg", ["x"], ["y"]),
        helper.make_node("Relu", ["y"], ["act"]),
        helper.make_node("Scaled", ["act"], ["w1"], domain=DOMAIN, factor=SLOPE),
        helper.make_node("Sub", ["hidden", "w1"], ["out"]),
    ]
    imports = [helper.make_opsetid("", 15), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_function(DOMAIN, "Leaky", ["x"], ["out"], nodes, imports)


def local_functions():
    n = start("file_net__local_functions", opset=15)
    for key, value in n.weights.items():
        n.const(key, value)
    n.functions += [function_scale(), function_leaky()]
    n.imports.append(helper.make_opsetid(DOMAIN, 1))
    n.node("Gemm", "x,w1,b1", "hidden", transB=1)
    n.node("Leaky", "hidden", "act", domain=DOMAIN)
    n.node("Gemm", "act,w2,b2", "y", transB=1)
    return finish(n)


def odd_names():
    """Names with blanks, slashes, colons and letters beyond ASCII; nodes without names."""
    n = plain("file_net__odd_names")
    names = {
        "hidden": "/block 0/Gemm:0",
        "act": "été/λ",
        "w1": "a;b",
        "b1": 'quote"d',
        "b2": "%s%n",
    }
    for node in n.nodes:
        node.ClearField("name")
        node.input[:] = [names.get(i, i) for i in node.input]
        node.output[:] = [names.get(o, o) for o in node.output]
    for tensor in n.inits:
        tensor.name = names.get(tensor.name, tensor.name)
    return finish(n)


def leftovers():
    """Unused weights and nodes, an Identity chain, doc strings, metadata-like fields."""
    n = plain("file_net__leftovers")
    n.const("unused", np.ones((2, 2)))
    n.node("Exp", "hidden", "unused.exp")
    n.nodes[0].doc_string = "a doc string"
    n.nodes[2].output[0] = "y.0"
    n.node("Identity", "y.0", "y.1")
    n.node("Identity", "y.1", "y")
    n.inits[0].doc_string = "a weight"
    return finish(n)


def symbolic():
    """Every size symbolic, one given by an expression-like name; the output has no shape."""
    n = Net("file_symbolic")
    n.input("x", n.normal(2, 3, 6, 8), ["batch", 3, "height", "2*width"])
    n.weight("w", 4, 3, 3, 3)
    n.node("Conv", "x,w", "conv", pads=[1, 1, 1, 1])
    n.node("Relu", "conv", "relu")
    n.ints("flat", 0, 0, -1)
    n.node("Reshape", "relu,flat", "rows")
    n.node("ReduceMean", "rows", "y", axes=[2], keepdims=0)
    n.output("y")
    return n


def no_shape():
    """An input without any shape information."""
    n = plain("file_net__no_shape")
    n.inputs[0].type.tensor_type.ClearField("shape")
    return finish(n)


def two_outputs():
    """Two outputs; the first is also read on the way to the second."""
    n = plain("file_two_outputs")
    n.output("act", dims=["N", 5])
    return finish(n, dims=["N", 3])


def scalar_output():
    """A regression: one number for the whole batch of one, of rank 0."""
    n = plain("file_scalar_output", dims=[2, 4])
    n.nodes[2].output[0] = "logits"
    n.node("ReduceMean", "logits", "y", keepdims=0)
    return finish(n, dims=[])


def all_nets():
    half, double = (TensorProto.FLOAT16, np.float16), (TensorProto.DOUBLE, np.float64)
    return [
        finish(plain("file_net__plain")),
        cast_weights("file_net__float16", *half),
        cast_weights("file_net__bfloat16", TensorProto.BFLOAT16, None),
        cast_weights("file_net__float64", *double),
        whole("file_whole_float16", *half),
        whole("file_whole_float64", *double),
        typed_fields(),
        typed_half(),
        initializers_as_inputs(),
        external("file_net__external", "file_net__external.bin"),
        external("file_net__external_folder", "file_net__external_folder.io/weights.bin"),
        local_functions(),
        odd_names(),
        leftovers(),
        no_shape(),
        symbolic(),
        two_outputs(),
        scalar_output(),
    ]
