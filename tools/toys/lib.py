"""A terse builder of tiny ONNX models.

Models called GROUP__SPELLING are one function written differently: their weights and inputs are
drawn alike, and their outputs must agree.

`Net` collects nodes, weights and inputs in the order in which they are written down, `save` writes
the model with its input arrays and, where ONNX Runtime is importable, its expected outputs:

    NAME.onnx    NAME.io/input__<tensor>.npy    NAME.io/output__<tensor>.npy

It does not judge the models: some are legal spellings that `onnx.checker` of one version accepts
and of another does not, so the check is ONNX Runtime's.
"""

import pathlib
import re

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

try:
    import onnxruntime
except ImportError:  # models and inputs are still written; committed outputs stay as they are
    onnxruntime = None

ELEM = {
    np.dtype("float32"): TensorProto.FLOAT,
    np.dtype("float64"): TensorProto.DOUBLE,
    np.dtype("float16"): TensorProto.FLOAT16,
    np.dtype("int64"): TensorProto.INT64,
    np.dtype("int32"): TensorProto.INT32,
    np.dtype("uint8"): TensorProto.UINT8,
    np.dtype("bool"): TensorProto.BOOL,
}


def file_name(tensor):
    """The tensor's name as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", tensor)


class Net:
    """One model under construction. Methods that add a tensor return its name."""

    def __init__(self, name, opset=13, ir=None):
        self.name, self.opset = name, opset
        versions = ((9, 3), (10, 4), (15, 7), (19, 8), (21, 9), (23, 10))
        self.ir = ir or next((ir for below, ir in versions if opset < below), 11)
        self.nodes, self.inits, self.inputs, self.outputs = [], [], [], []
        self.functions, self.imports, self.feeds, self.files = [], [], {}, {}
        self.rng = np.random.default_rng(sum(map(ord, name.split("__")[0])))

    def input(self, name, value, dims=None):
        """A graph input with its test value; `dims` may hold strings for symbolic sizes."""
        value = np.asarray(value)
        self.inputs.append(
            helper.make_tensor_value_info(name, ELEM[value.dtype], dims or value.shape)
        )
        self.feeds[name] = value
        return name

    def const(self, name, value, dtype=np.float32):
        """An initializer."""
        array = np.array(value, dtype, order="C")
        self.inits.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, name, *value):
        """A 1-D int64 initializer."""
        return self.const(name, value, np.int64)

    def normal(self, *shape):
        return self.rng.normal(0, 1, shape).astype(np.float32)

    def weight(self, name, *shape):
        """A random initializer, scaled by the fan-in."""
        fan = int(np.prod(shape[1:])) or 1
        return self.const(name, self.normal(*shape) * (2 / fan) ** 0.5)

    def node(self, op, inputs, output, **attrs):
        """One node; `output` is a name or several separated by blanks."""
        outputs = output.split()
        name = f"{op}_{outputs[0]}"
        ins = inputs.split(",") if inputs else []
        self.nodes.append(helper.make_node(op, ins, outputs, name=name, **attrs))
        return outputs[0]

    def output(self, *names, elem=TensorProto.FLOAT, dims=None):
        for name in names:
            self.outputs.append(helper.make_tensor_value_info(name, elem, dims))

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.inits)
        imports = [helper.make_opsetid("", self.opset)] + self.imports
        model = helper.make_model(
            graph, opset_imports=imports, functions=self.functions, producer_name="onnxplain-toys"
        )
        model.ir_version = self.ir
        return model

    def save(self, folder):
        """Writes the model, its inputs and, if possible, the outputs; returns the outputs."""
        folder = pathlib.Path(folder)
        path = folder / (self.name + ".onnx")
        path.write_bytes(self.model().SerializeToString(deterministic=True))
        io = folder / (self.name + ".io")
        io.mkdir(exist_ok=True)
        for place, data in self.files.items():
            (folder / place).write_bytes(data)
        for name, value in self.feeds.items():
            np.save(io / f"input__{file_name(name)}.npy", value)
        results = []
        if onnxruntime:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
            for name, value in zip(
                [o.name for o in session.get_outputs()], session.run(None, self.feeds)
            ):
                if isinstance(value, list):  # maps from class to probability
                    value = np.array([list(one.values()) for one in value], np.float32)
                if value.dtype == object:  # texts
                    continue
                assert value.size and np.isfinite(value).all(), (self.name, name)
                np.save(io / f"output__{file_name(name)}.npy", value)
                results.append(value)
        return results
