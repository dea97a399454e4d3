#!/usr/bin/env python3
"""Writes damaged and malicious models, and the list of what must happen to each.

    python3 tools/make_hostile.py tests/data/hostile

Needs numpy and onnx; seeded, so a second run writes the same bytes. `expected.tsv` has a line per
file: name, when (load, run: at the latest when explained), what (codes of the library in lower
case, several joined by |; `ok`: must work; `any`: works or is refused, never crashes) and why.
"""

import pathlib
import sys

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from toys.lib import Net

CASES = []
FLOAT = TensorProto.FLOAT


def add(name, when, what, why, value):
    """Registers a file: bytes, a Net or a ModelProto."""
    CASES.append((name, when, what, why, as_bytes(value)))


def as_bytes(value):
    if isinstance(value, Net):
        value = value.model()
    if isinstance(value, ModelProto):
        value = value.SerializeToString(deterministic=True)
    return value


def small():
    """x (1,2,4,4) -> Conv -> Relu -> mean -> Flatten -> Gemm y: the net that most cases damage."""
    n = Net("small")
    n.input("x", n.normal(1, 2, 4, 4))
    n.weight("w", 3, 2, 3, 3)
    n.weight("b", 3)
    n.node("Conv", "x,w,b", "conv", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    n.node("Relu", "conv", "relu")
    n.node("GlobalAveragePool", "relu", "pool")
    n.node("Flatten", "pool", "flat")
    n.weight("fc.w", 2, 3)
    n.node("Gemm", "flat,fc.w", "y", transB=1)
    n.output("y", dims=[1, 2])
    return n


def changed(change, build=small):
    """The small model after `change(model)`."""
    model = build().model()
    change(model)
    return model


def one_op(op, *inputs, opset=13, shape=(1, 2, 4, 4), outputs="y", **attrs):
    """x -> a single node; `inputs` are initializer arrays, int lists become int64."""
    n = Net("one_op", opset)
    n.input("x", np.ones(shape, np.float32))
    names = ["x"]
    for i, value in enumerate(inputs):
        array = np.asarray(value)
        dtype = np.int64 if array.dtype.kind == "i" else np.float32
        names.append(n.const(f"arg{i}", array, dtype))
    n.node(op, ",".join(names), outputs, **attrs)
    n.output(outputs.split()[0])
    return n


# ---- bytes ---------------------------------------------------------------------------------------


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, wire, payload):
    """One protobuf field; wire type 2 gets its length written before it."""
    body = varint(len(payload)) + payload if wire == 2 else payload
    return varint(number << 3 | wire) + body


GRAPH, NODE, ATTRIBUTE, SUBGRAPH = 7, 1, 5, 6  # field numbers of ModelProto ... AttributeProto


def nested_graphs(depth):
    """An If whose branch holds an If whose branch ..., `depth` levels."""
    graph = b""
    for _ in range(depth):
        name = field(1, 2, b"then_branch") + field(20, 0, varint(5))
        attribute = name + field(SUBGRAPH, 2, graph)
        node = field(1, 2, b"x") + field(2, 2, b"y") + field(4, 2, b"If") + field(5, 2, attribute)
        graph = field(NODE, 2, node)
    return field(1, 0, b"\x08") + field(8, 2, field(2, 0, varint(13))) + field(GRAPH, 2, graph)


def nested_types(depth):
    """A graph input of type sequence of sequence of ..."""
    kind = b""
    for _ in range(depth):
        kind = field(4, 2, field(1, 2, kind))
    value = field(1, 2, b"extra") + field(2, 2, kind)
    return as_bytes(small()) + field(GRAPH, 2, field(11, 2, value))


def byte_cases():
    whole = as_bytes(small())
    add("empty", "load", "corrupt", "no bytes", b"")
    add("text", "load", "corrupt", "not protobuf", b"This is not a model.\n" * 4)
    add("zeros", "load", "corrupt", "zero bytes: field number 0", bytes(256))
    for percent in (1, 10, 25, 50, 75, 90, 99):
        cut = whole[: max(1, len(whole) * percent // 100)]
        add(f"truncated_{percent:02}", "load", "corrupt", f"cut at {percent} %", cut)
    add("truncated_last", "load", "corrupt", "the last byte is missing", whole[:-1])
    rng = np.random.default_rng(7)
    for index in range(24):
        flipped = bytearray(whole)
        for place in rng.integers(0, len(whole) * 8, 1 + index % 3):
            flipped[place // 8] ^= 1 << int(place % 8)
        add(f"flipped_{index:02}", "run", "any", f"{1 + index % 3} random bit(s)", bytes(flipped))
    add("no_graph", "load", "corrupt", "a model without graph", field(1, 0, b"\x07"))
    long_varint = b"\xff" * 11 + b"\x01"
    add("varint_11_bytes", "load", "corrupt", "varint beyond 10 bytes", field(1, 0, long_varint))
    huge = varint(GRAPH << 3 | 2) + varint(2**63 + 5) + b"\0" * 16
    add("length_2_63", "load", "corrupt", "a length of 2^63 + 5 bytes", huge)
    wrap = varint(GRAPH << 3 | 2) + varint(2**64 - 4) + b"\0" * 16
    add("length_wraps", "load", "corrupt", "a length that wraps the position", wrap)
    add("graph_as_varint", "load", "corrupt", "wrong wire type", field(GRAPH, 0, b"\x05"))
    add("wire_type_7", "load", "corrupt", "wire type 7 does not exist", b"\x3f" * 32)
    groups = b"\x7b" * 40000
    add("groups_deep", "load", "corrupt|limit", "40000 nested start-group tags", whole + groups)
    closed = groups + b"\x7c" * 40000
    add("groups_closed", "load", "any", "40000 nested groups, closed again", whole + closed)
    add("group_end", "load", "corrupt", "an end-group tag without a start", whole + b"\x7c")
    add("graphs_deep", "load", "corrupt|limit|unsupported", "3000 subgraphs", nested_graphs(3000))
    add(
        "types_deep", "load", "corrupt|limit|unsupported", "4000 sequence types", nested_types(4000)
    )


# ---- graphs --------------------------------------------------------------------------------------


def graph_cases():
    def edit(name, what, why, change, when="load"):
        add(name, when, what, why, changed(change))

    def rewire(node, old, new):
        def change(m):
            n = m.graph.node[node]
            n.input[:] = [new if i == old else i for i in n.input]

        return change

    def reproduce(node, name):
        def change(m):
            m.graph.node[node].output[0] = name

        return change

    def again(list_name, index=0):
        def change(m):
            items = getattr(m.graph, list_name)
            items.append(items[index])

        return change

    edit("cycle", "corrupt", "conv reads flat, which comes from conv", rewire(0, "x", "flat"))
    edit("cycle_self", "corrupt", "relu reads itself", rewire(1, "conv", "relu"))
    edit(
        "missing_tensor", "corrupt", "relu reads a tensor that none makes", rewire(1, "conv", "no")
    )
    edit(
        "missing_weight",
        "corrupt",
        "the convolution's weight is absent",
        lambda m: m.graph.initializer.pop(0),
    )
    edit("missing_output", "corrupt", "the graph's output is made by none", reproduce(4, "z"))
    edit("required_empty", "corrupt", "a required input left empty", rewire(0, "w", ""))
    edit("duplicate_output", "corrupt", "two nodes make `conv`", reproduce(1, "conv"))
    edit("duplicate_initializer", "corrupt", "two initializers `w`", again("initializer"))
    edit("duplicate_input", "corrupt", "two inputs `x`", again("input"))
    edit("shadows_input", "corrupt", "a node makes `x`", reproduce(1, "x"))
    edit("shadows_weight", "corrupt", "a node makes `w`", reproduce(1, "w"))
    edit("no_outputs", "corrupt", "no outputs", lambda m: m.graph.output.pop())
    edit(
        "no_opset", "corrupt|unsupported", "no opset at all", lambda m: m.ClearField("opset_import")
    )

    def opset(version):
        def change(m):
            m.opset_import[0].version = version

        return change

    edit("opset_0", "unsupported|corrupt", "opset 0", opset(0))
    edit("opset_999", "unsupported", "from the future", opset(999))
    edit("opset_negative", "unsupported|corrupt", "opset -13", opset(-13))

    def op_type(value, domain=""):
        def change(m):
            m.graph.node[1].op_type, m.graph.node[1].domain = value, domain

        return change

    edit("unknown_op", "unsupported", "operator Frobnicate", op_type("Frobnicate"))
    edit("unknown_domain", "unsupported", "domain com.example", op_type("Relu", "com.example"))
    edit("op_empty", "unsupported|corrupt", "empty operator name", op_type(""))
    edit(
        "op_escape",
        "unsupported",
        "line break and terminal escape in an operator's name",
        op_type("Re\nlu\x1b[31m\r"),
    )
    edit("op_long", "unsupported", "operator name of 20000 letters", op_type("A" * 20000))
    edit(
        "name_long",
        "ok",
        "a tensor name of 20000 letters",
        lambda m: [reproduce(0, "t" * 20000)(m), rewire(1, "conv", "t" * 20000)(m)],
        when="run",
    )

    def two_unknown(m):
        op_type("TfIdfVectorizer")(m)
        m.graph.node[3].op_type = "DeformConv"

    edit("unknown_two", "unsupported", "two unknown operators: the message names both", two_unknown)

    def sparse(m):
        values = numpy_helper.from_array(np.float32([1]), "s")
        indices = numpy_helper.from_array(np.int64([0]), "i")
        m.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))

    edit("sparse", "unsupported|corrupt", "a sparse initializer", sparse)

    def input_type(elem, dims):
        def change(m):
            m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", elem, dims))

        return change

    edit(
        "input_string",
        "unsupported",
        "the input is of type string",
        input_type(TensorProto.STRING, [1, 2, 4, 4]),
        when="run",
    )
    edit("input_type_99", "corrupt|unsupported", "element type 99", input_type(99, [1, 2, 4, 4]))
    edit("input_negative", "any", "the input has size -4", input_type(FLOAT, [1, 2, -4, 4]), "run")
    edit(
        "input_huge",
        "corrupt|limit|unsupported|invalid",
        "the input has 2^120 elements",
        input_type(FLOAT, [2**30] * 4),
        when="run",
    )
    edit(
        "input_channels",
        "corrupt|invalid|unsupported",
        "channels disagree with the weight",
        input_type(FLOAT, [1, 5, 4, 4]),
        when="run",
    )

    chain = Net("deep_chain")
    chain.input("x", np.ones((1, 2), np.float32))
    for i in range(3000):
        chain.node("Relu", f"t{i - 1}" if i else "x", f"t{i}")
    chain.output("t2999")
    add("deep_chain", "run", "ok", "3000 nodes in a row: no recursion over the graph", chain)


def tensor_cases():
    def weight(name, what, why, change, when="load"):
        """Changes the convolution's weight (3,2,3,3)."""
        add(f"weight_{name}", when, what, why, changed(lambda m: change(m.graph.initializer[0])))

    def dims(*values):
        def change(t):
            t.dims[:] = values

        return change

    def raw(edit):
        def change(t):
            t.raw_data = edit(t.raw_data)

        return change

    weight("short", "corrupt", "raw_data four bytes short", raw(lambda r: r[:-4]))
    weight("odd", "corrupt", "raw_data one byte long too much", raw(lambda r: r + b"\0"))
    weight("long", "corrupt", "raw_data four bytes long too much", raw(lambda r: r + b"\0" * 4))
    weight("empty", "corrupt", "no data", raw(lambda r: b""))
    weight("negative", "corrupt", "a size of -3", dims(3, 2, -3, -3))
    weight("huge", "corrupt|limit", "2^80 elements", dims(2**40, 2**40))
    weight(
        "wraps",
        "corrupt|limit",
        "2^64 + 54 elements, which wraps to 54",
        dims(29360170, 628291459951),
    )
    weight("wraps_zero", "corrupt|limit", "2^64 elements, which wraps to 0", dims(*[2**16] * 4))
    weight("rank_1000", "corrupt|limit|unsupported", "rank 1000", dims(3, 2, 3, 3, *[1] * 996))

    def typed(data_type):
        def change(t):
            t.data_type = data_type

        return change

    weight("type_0", "corrupt|unsupported", "no element type", typed(0))
    weight("type_99", "corrupt|unsupported", "element type 99", typed(99))
    weight("string", "corrupt|unsupported", "element type string", typed(TensorProto.STRING))
    weight(
        "double", "corrupt|unsupported|invalid", "double bytes missing", typed(TensorProto.DOUBLE)
    )
    weight(
        "int64",
        "corrupt|unsupported",
        "an int64 weight in a float convolution",
        lambda t: t.CopyFrom(numpy_helper.from_array(np.ones((3, 2, 3, 3), np.int64), "w")),
    )

    def twice(t):
        t.float_data.extend([1.0] * 54)

    weight("twice", "any", "raw_data and float_data", twice, when="run")

    def fields(count):
        def change(t):
            t.ClearField("raw_data")
            t.float_data.extend([0.5] * count)

        return change

    weight("fields_short", "corrupt", "53 of 54 float_data", fields(53))
    weight("fields_long", "corrupt", "55 of 54 float_data", fields(55))
    weight(
        "nan",
        "corrupt|invalid",
        "NaN among the weights",
        raw(lambda r: r[:8] + b"\xff\xff\xff\x7f" + r[12:]),
        when="run",
    )
    weight(
        "infinite",
        "corrupt|invalid",
        "infinity among the weights",
        raw(lambda r: r[:8] + b"\0\0\x80\x7f" + r[12:]),
        when="run",
    )

    def external(name, what, why, location="data.bin", **more):
        def change(t):
            t.ClearField("raw_data")
            t.data_location = TensorProto.EXTERNAL
            if location is not None:
                t.external_data.add(key="location", value=location)
            for key, value in more.items():
                t.external_data.add(key=key, value=str(value))

        weight(f"external_{name}", what, why, change)

    refused = "corrupt|io|invalid|limit"
    external(
        "parent", refused, "leads out of the folder", "../toy/file_net__external.bin", length=216
    )
    external("inner_parent", refused, "leads out by a detour", "a/../../README.md", length=216)
    external("absolute", refused, "an absolute path", "/etc/passwd", length=216)
    external("missing", refused, "no such file", "no_such_file.bin")
    external("folder", refused, "a folder instead of a file", ".")
    external("none", refused, "no location", None)
    external("blank", refused, "an empty location", "")
    external("nul", refused, "a NUL byte in the path", "data.bin\0.txt", length=216)
    external("beyond", refused, "begins behind the end of the file", offset=1 << 20, length=216)
    external("overrun", refused, "ends behind the end of the file", offset=100, length=216)
    external("overflow", refused, "offset + length wraps", offset=2**64 - 16, length=216)
    external("negative", refused, "a negative offset", offset=-216, length=216)
    external("not_number", refused, "an offset that is no number", offset="12x", length=216)
    external("length", refused, "a length that is not the tensor's", offset=0, length=100)
    external(
        "symlink",
        refused,
        "link.bin: the test makes it a link out of the folder",
        "link.bin",
        length=216,
    )


def function_cases():
    domain = "hostile"

    def with_functions(*functions):
        n = Net("functions", 15)
        n.input("x", np.ones((1, 2), np.float32))
        n.functions += functions
        n.imports.append(helper.make_opsetid(domain, 1))
        n.node("F0", "x", "y", domain=domain)
        n.output("y")
        return n

    def function(name, *calls):
        """a -> each of `calls` in turn -> b."""
        nodes = []
        for i, callee in enumerate(calls):
            target = "b" if i == len(calls) - 1 else f"t{i}"
            source = "a" if i == 0 else f"t{i - 1}"
            where = {} if callee in ("Relu", "Foo") else {"domain": domain}
            nodes.append(helper.make_node(callee, [source], [target], **where))
        imports = [helper.make_opsetid("", 15), helper.make_opsetid(domain, 1)]
        return helper.make_function(domain, name, ["a"], ["b"], nodes, imports)

    bad = "corrupt|limit|unsupported"
    add(
        "function_self",
        "load",
        bad,
        "a function calls itself",
        with_functions(function("F0", "F0")),
    )
    mutual = function("F0", "F1"), function("F1", "F0")
    add("function_mutual", "load", bad, "two functions call each other", with_functions(*mutual))
    levels = [function(f"F{i}", *[f"F{i + 1}"] * 10) for i in range(12)] + [function("F12", "Relu")]
    add(
        "function_bomb",
        "load",
        "limit",
        "twelve levels of ten calls: 10^12 nodes",
        with_functions(*levels),
    )
    add(
        "function_missing",
        "load",
        "unsupported|corrupt",
        "calls a function that is not there",
        with_functions(function("F0", "F7")),
    )
    add(
        "function_unknown_op",
        "load",
        "unsupported",
        "an unknown operator inside a function",
        with_functions(function("F0", "Relu", "Foo")),
    )
    add(
        "function_twice",
        "load",
        "any",
        "two functions of one name",
        with_functions(function("F0", "Relu"), function("F0", "Relu", "Relu")),
    )
    extra = with_functions(function("F0", "Relu")).model()
    extra.graph.node[0].input.append("x")
    add("function_arity", "load", "corrupt", "called with two inputs instead of one", extra)


def attribute_cases():
    weight = np.ones((4, 2, 3, 3), np.float32)

    def conv(name, what, why, w=weight, when="load", **attrs):
        add(f"conv_{name}", when, what, why, one_op("Conv", w, **attrs))

    bad = "corrupt|unsupported|invalid"
    conv(
        "unknown_attribute", "unsupported|corrupt", "an attribute that Conv does not have", colour=3
    )
    conv("stride_0", bad, "stride 0", strides=[0, 1])
    conv("stride_negative", bad, "stride -1", strides=[-1, 1])
    conv("strides_3", bad, "three strides for two axes", strides=[1, 1, 1])
    conv("dilation_0", bad, "dilation 0", dilations=[0, 1])
    conv("kernel_0", bad, "kernel of size 0", kernel_shape=[0, 3])
    conv("kernel_other", bad, "kernel_shape that is not the weight's", kernel_shape=[5, 5])
    conv("kernel_large", bad, "kernel larger than the padded input", dilations=[9, 9], when="run")
    conv("pads_3", bad, "three pads", pads=[1, 1, 1])
    conv("pads_negative", bad, "negative padding", pads=[-9, -9, -9, -9], when="run")
    conv("pads_huge", bad + "|limit", "pads of 2^62", pads=[2**62] * 4, when="run")
    conv("stride_huge", "any", "stride 2^62", strides=[2**62, 2**62], when="run")
    conv("group_0", bad, "group 0", group=0)
    conv("group_negative", bad, "group -2", group=-2)
    conv("group_3", bad, "group 3 does not divide 4", group=3, when="run")
    conv("auto_pad", bad, "auto_pad=SOMEHOW", auto_pad="SOMEHOW")
    conv("strides_float", bad, "strides given as floats", strides=[1.5, 1.5])
    conv("rank_2", bad, "a weight of rank 2", w=np.ones((4, 2), np.float32))
    one = one_op("Conv", weight).model()
    one.graph.node[0].input.pop()
    add("conv_one_input", "load", "corrupt", "a convolution without weight", one)
    many = one_op("Relu").model()
    many.graph.node[0].output.append("second")
    add("relu_two_outputs", "load", "corrupt|unsupported", "Relu with two outputs", many)
    reference = one_op("LeakyRelu").model()
    attr = AttributeProto(name="alpha", type=AttributeProto.FLOAT)
    attr.ref_attr_name = "outer"
    reference.graph.node[0].attribute.append(attr)
    add("attribute_reference", "load", bad, "an attribute reference outside a function", reference)

    def op(name, what, why, *args, when="run", **options):
        add(name, when, what, why, one_op(*args, **options))

    op("softmax_axis", bad, "axis 7 of 4", "Softmax", axis=7)
    op("softmax_axis_negative", bad, "axis -5 of 4", "Softmax", axis=-5)
    op("transpose_repeated", bad, "axis 1 twice", "Transpose", perm=[0, 1, 1, 3])
    op("transpose_range", bad, "axis 9", "Transpose", perm=[0, 9, 2, 3])
    op("transpose_short", bad, "two of four axes", "Transpose", perm=[1, 0])
    op("reshape_count", bad, "32 elements into 33", "Reshape", [33])
    op("reshape_two_free", bad, "two sizes of -1", "Reshape", [-1, -1])
    op("reshape_negative", bad, "size -2", "Reshape", [-2, 16])
    op("reshape_zero_axis", bad, "copies axis 4 of 4", "Reshape", [1, 2, 4, 4, 0])
    op("reshape_wraps", bad + "|limit", "sizes whose product wraps", "Reshape", [2**33, 2**31])
    op("gather_range", bad, "index 9 of 2", "Gather", [9], axis=1)
    op("gather_negative", bad, "index -3 of 2", "Gather", [-3], axis=1)
    op("slice_step_0", bad, "step 0", "Slice", [0], [2], [1], [0])
    op("slice_axis", bad, "axis 6", "Slice", [0], [2], [6])
    op("split_sum", bad, "2 = 5 + 7", "Split", [5, 7], axis=1, outputs="y z")
    op("split_negative", bad, "2 = -1 + 3", "Split", [-1, 3], axis=1, outputs="y z")
    op("unsqueeze_repeated", bad, "axis 0 twice", "Unsqueeze", [0, 0])
    op("squeeze_size", bad, "squeezes an axis of size 2", "Squeeze", [1])
    op("concat_axis", bad, "axis 4", "Concat", np.ones((1, 2, 4, 4), np.float32), axis=4)
    op(
        "concat_sizes",
        bad,
        "other sizes differ",
        "Concat",
        np.ones((1, 2, 3, 4), np.float32),
        axis=1,
    )
    op("matmul_sizes", bad, "4 against 5", "MatMul", np.ones((5, 3), np.float32))
    op("add_broadcast", bad, "(1,2,4,4) + (3,)", "Add", np.ones(3, np.float32))
    op("expand_sizes", bad, "4 does not expand to 3", "Expand", [1, 2, 4, 3])
    op("pool_kernel", bad, "MaxPool without kernel_shape", "MaxPool")
    op("pool_pads", bad, "pads not below the kernel", "MaxPool", kernel_shape=[2, 2], pads=[5] * 4)
    op("flatten_axis", bad, "axis 9", "Flatten", axis=9)
    op("cast_type", bad, "cast to type 77", "Cast", to=77)
    op(
        "resize_cubic",
        "ok",
        "cubic interpolation, now covered",
        "Resize",
        np.zeros(0, np.float32),
        np.float32([1, 1, 2, 2]),
        mode="cubic",
    )
    op(
        "resize_mode",
        bad,
        "mode=wavy",
        "Resize",
        np.zeros(0, np.float32),
        np.float32([1, 1, 2, 2]),
        mode="wavy",
    )
    for name, scale in (("zero", 0.0), ("negative", -2.0), ("nan", np.nan), ("infinite", np.inf)):
        op(
            f"resize_{name}",
            bad + "|limit",
            f"scale {scale}",
            "Resize",
            np.zeros(0, np.float32),
            np.float32([1, 1, scale, scale]),
            mode="nearest",
        )


def bomb_cases():
    def bomb(name, why, *args, **options):
        add(f"bomb_{name}", "run", "limit|corrupt|invalid", why, one_op(*args, **options))

    empty = np.zeros(0, np.float32)
    bomb("expand", "x expanded to 2^60 elements", "Expand", [2**20, 2**20, 2**20, 4, 4])
    bomb(
        "expand_4gib",
        "4 GiB: refused under a memory limit",
        "Expand",
        [32, 2, 4096, 4096],
        shape=(1, 2, 1, 1),
    )
    bomb("pad", "pads of 2^40", "Pad", [0, 0, 2**40, 2**40, 0, 0, 2**40, 2**40])
    bomb("pad_wraps", "pads that wrap the size", "Pad", [0, 0, 2**63 - 1, 0, 0, 0, 2**63 - 1, 0])
    bomb("pad_negative", "pads that leave a negative size", "Pad", [0, 0, -9, 0, 0, 0, -9, 0])
    bomb("resize", "scales of 10^6", "Resize", empty, np.float32([1, 1, 1e6, 1e6]), mode="nearest")
    bomb(
        "resize_1e30",
        "scales of 10^30",
        "Resize",
        empty,
        np.float32([1, 1, 1e30, 1e30]),
        mode="nearest",
    )
    bomb(
        "resize_sizes", "sizes of 2^40", "Resize", empty, empty, [1, 2, 2**40, 2**40], mode="linear"
    )

    def filled(shape):
        n = Net("filled")
        n.input("x", np.ones((1,), np.float32))
        n.ints("shape", *shape)
        n.node("ConstantOfShape", "shape", "c", value=helper.make_tensor("v", FLOAT, [1], [1.0]))
        n.node("Add", "x,c", "y")
        n.output("y")
        return n

    limit = "limit|corrupt|invalid"
    add("bomb_constant", "run", limit, "ConstantOfShape of 2^60", filled([2**30, 2**30]))
    add("bomb_constant_4gib", "run", limit, "ConstantOfShape of 4 GiB", filled([1 << 15, 1 << 15]))
    add("bomb_constant_negative", "run", limit, "ConstantOfShape of (-1, 3)", filled([-1, 3]))

    ranged = Net("ranged")
    ranged.input("x", np.ones((1,), np.float32))
    for name, value in (("start", 0), ("stop", 2**40), ("step", 1)):
        ranged.const(name, value, np.int64)
    ranged.node("Range", "start,stop,step", "r")
    ranged.node("Cast", "r", "f", to=FLOAT)
    ranged.node("Add", "x,f", "y")
    ranged.output("y")
    add("bomb_range", "run", limit, "Range of 2^40 numbers", ranged)
    stuck = Net("stuck")
    stuck.input("x", np.ones((1,), np.float32))
    for name, value in (("start", 0), ("stop", 5), ("step", 0)):
        stuck.const(name, value, np.int64)
    stuck.node("Range", "start,stop,step", "r")
    stuck.node("Cast", "r", "f", to=FLOAT)
    stuck.node("Add", "x,f", "y")
    stuck.output("y")
    add("range_step_0", "run", limit + "|unsupported", "Range with step 0", stuck)

    doubling = Net("doubling")
    doubling.input("x", np.ones((1, 4), np.float32))
    last = "x"
    for i in range(60):
        last = doubling.node("Concat", f"{last},{last}", f"t{i}", axis=1)
    doubling.output(last)
    add("bomb_doubling", "run", limit, "60 concatenations with itself", doubling)
    outer = Net("outer")
    outer.input("x", np.ones((1, 1 << 12), np.float32))
    outer.node("Transpose", "x", "column", perm=[1, 0])
    outer.node("MatMul", "column,x", "plane")
    outer.ints("axis", 2)
    outer.node("Unsqueeze", "plane,axis", "cube")
    outer.node("Mul", "cube,x", "y")
    outer.output("y")
    add("bomb_outer", "run", limit, "2^36 elements out of 2^12 by outer products", outer)


def work_cases():
    """Small files that ask for much memory in small parts, or for exponential searches."""

    def net(name, value):
        n = Net(name)
        n.input("x", value)
        return n

    ones = np.ones((1, 2, 4, 4), np.float32)
    row = np.ones((1, 1), np.float32)
    many = net("many", row)
    many.ints("shape", 1, 1 << 21)
    last = "x"
    for i in range(400):
        fill = helper.make_tensor("v", FLOAT, [1], [float(i)])
        many.node("ConstantOfShape", "shape", f"c{i}", value=fill)
        last = many.node("Add", f"{last},c{i}", f"s{i}")
    many.output(last)
    add("bomb_many_constants", "run", "limit", "400 constants of 8 MiB", many)

    folded = net("folded", row)
    folded.ints("shape", 1, 1 << 21)
    last = folded.node("ConstantOfShape", "shape", "c")
    for i in range(400):
        last = folded.node("Tanh", last, f"c{i}")
    folded.node("Add", f"x,{last}", "y")
    folded.output("y")
    add("bomb_folding", "run", "limit", "400 foldable nodes of 8 MiB each, one after another", folded)

    wide = net("wide", ones)
    last = "x"
    for i in range(14):
        last = wide.node("Sum", ",".join([last] * 16), f"t{i}")
    wide.output(last)
    add("paths_repeated", "run", "ok", "14 sums of 16 times the same: 2^56 paths", wide)
    fork = net("fork", ones)
    a, b = "x", "x"
    for i in range(60):
        a, b = fork.node("Max", f"{a},{b}", f"a{i}"), fork.node("Min", f"{b},{a}", f"b{i}")
    fork.node("Add", f"{a},{b}", "y")
    fork.output("y")
    add("paths_forked", "run", "ok", "60 crossings: 2^60 paths", fork)
    joined = net("joined", ones)
    joined.node("Sum", ",".join(["x"] * 20000), "y")
    joined.output("y")
    add("inputs_20000", "run", "ok|limit", "one sum of 20000 times the input", joined)
    fan = net("fan", ones)
    fan.node("Sum", ",".join(fan.node("Relu", "x", f"r{i}") for i in range(3000)), "y")
    fan.output("y")
    add("readers_3000", "run", "ok", "3000 nodes read the input", fan)


def size_cases():
    """Nothing, or next to nothing, where something is expected."""

    def one(name, why, op, *inputs, what="any", **options):
        add(name, "run", what, why, one_op(op, *inputs, **options))

    void = np.zeros
    one("zero_slice", "an empty result", "Slice", [0], [0], [2])
    one("zero_input", "an input without elements", "Relu", shape=(1, 0, 4, 4))
    one("zero_filters", "a convolution without filters", "Conv", void((0, 2, 3, 3), np.float32))
    one("zero_channels", "no channels", "Conv", void((3, 0, 3, 3), np.float32), shape=(1, 0, 4, 4))
    one("zero_inner", "nothing to sum", "MatMul", void((0, 3), np.float32), shape=(1, 0))
    one("zero_columns", "no columns", "MatMul", void((4, 0), np.float32), shape=(1, 4))
    one("zero_concat", "an empty part", "Concat", void((1, 0, 4, 4), np.float32), axis=1)
    one("zero_pad", "padded to nothing", "Pad", [0, 0, -2, 0, 0, 0, -2, 0])
    one("zero_expand", "expanded to nothing", "Expand", [0, 2, 4, 4])
    one("zero_reshape", "size 0 is the input's own", "Reshape", [0, 0, -1], what="ok")
    one("zero_resize", "scaled to nothing", "Resize", void(0, np.float32), np.float32([1, 1, 0.1, 1]))
    for op in ("ReduceMax", "ReduceMean", "Softmax", "GlobalAveragePool", "MaxPool"):
        n = Net("void")
        n.input("x", np.ones((1, 2, 4, 4), np.float32))
        n.ints("start", 0), n.ints("axis", 2)
        n.node("Slice", "x,start,start,axis", "none")
        n.node(op, "none", "y", **({"kernel_shape": [1, 1]} if op == "MaxPool" else {}))
        n.output("y")
        add(f"zero_{op.lower()}", "run", "any", f"{op} of nothing", n)
    scalar = Net("scalar")
    scalar.input("x", np.float32(1))
    scalar.node("Relu", "x", "y")
    scalar.output("y")
    add("scalar_input", "run", "any", "an input without axes", scalar)
    one("output_integer", "a class number as output", "ArgMax", what="invalid", axis=1)
    one("output_infinite", "divides by zero", "Div", np.float32([0]), what="invalid")
    one("output_nan", "the root of a negative number", "Pow", np.float32([np.nan]), what="invalid")
    loose = small()
    loose.const("c", np.ones((1, 2), np.float32))
    loose.node("Relu", "c", "z")
    loose.outputs.clear()
    loose.output("z")
    add("output_constant", "run", "any", "an output that no input reaches", loose)
    through = Net("through")
    through.input("x", np.ones((1, 4), np.float32))
    through.output("x")
    add("output_input", "run", "any", "the output is the input", through)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for part in (
        byte_cases,
        graph_cases,
        tensor_cases,
        function_cases,
        attribute_cases,
        bomb_cases,
        work_cases,
        size_cases,
    ):
        part()
    lines = []
    for name, when, what, why, data in CASES:
        (folder / f"{name}.onnx").write_bytes(data)
        lines.append(f"{name}\t{when}\t{what}\t{why}\n")
    (folder / "data.bin").write_bytes(bytes(256))
    (folder / "expected.tsv").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
