"""A QDQ model between its quantised tensors, one stretch after the other.

End to end, two right executors part ways: one number next to a tie is rounded up here and down there, and a
few layers later half of the codes differ. So each tensor of codes is computed from ONNX Runtime's codes
before it (everything dequantised): what is off by one code then must have been next to a tie before it was
rounded.
"""

import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
import ours
from onnx import numpy_helper

TIE = 1e-3  # so near to the middle between two codes float32 may round either way


def codes_that_mean(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Dequantised activation -> its DequantizeLinear."""
    reached, codes, found = {i.name for i in model.graph.input}, set(), {}
    for node in model.graph.node:
        if reached.isdisjoint(node.input):
            continue  # constants
        reached.update(node.output)
        if node.op_type == "QuantizeLinear":
            codes.add(node.output[0])
        if node.op_type == "DequantizeLinear" and node.input[0] in codes:
            found[node.output[0]] = node
    return found


def before(model: onnx.ModelProto, name: str, ends: set[str]) -> list[str]:
    """Where the stretch that ends in `name` begins."""
    made = {o: n for n in model.graph.node for o in n.output}
    begins, seen, todo = [], set(), list(made[name].input)
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        if one in ends:
            begins.append(one)
        elif one in made:
            todo += made[one].input
    return sorted(begins)


def session(model: str | bytes, optimise: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def worst(mine: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The largest difference over the largest magnitude wanted."""
    top = max(float(np.abs(w).max()) for w in wanted)
    pairs = zip(mine, wanted, strict=True)
    err = max(float(np.abs(np.asarray(m, np.float64).reshape(w.shape) - w).max()) for m, w in pairs)
    return err / top if top > 0 else err


def compare(path: pathlib.Path, given: dict[str, np.ndarray], lib: ours.Library) -> dict[str, float]:
    """The largest errors of all stretches over the largest magnitude: our float executor against ONNX
    Runtime, its gradient of one element against our double executor's."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    means = codes_that_mean(model)
    outputs = [o.name for o in model.graph.output]
    asked = list(dict.fromkeys([*means, *outputs]))
    whole = onnx.ModelProto.FromString(model.SerializeToString())
    whole.graph.output.extend(onnx.ValueInfoProto(name=n) for n in means if n not in outputs)
    values = given | dict(
        zip(asked, session(whole.SerializeToString(), optimise=False).run(asked, given), strict=True)
    )
    extractor, forward, gradient = onnx.utils.Extractor(model), [0.0], [0.0]
    with tempfile.TemporaryDirectory() as folder:
        for name in asked:
            feeds = {b: values[b] for b in before(model, name, set(means) | set(given))}
            part = pathlib.Path(folder) / "part.onnx"
            onnx.save(extractor.extract_model(list(feeds), [name]), part)
            one = Stretch(lib, lib.open(part), feeds, name)
            forward.append(
                one.forward(values[name], quantiser(model, means[name]) if name in means else None)
            )
            if any(v.dtype.kind == "f" or b.endswith("ids") for b, v in feeds.items()):  # not of a mask
                gradient.append(one.gradient(values[name]))
    return {"forward_ort": max(forward), "gradient": max(gradient)}


def quantiser(model: onnx.ModelProto, node: onnx.NodeProto) -> tuple[str, float]:
    """What was rounded to the codes of this DequantizeLinear, and the distance of two codes."""
    scale = next(numpy_helper.to_array(i) for i in model.graph.initializer if i.name == node.input[1])
    return next(n.input[0] for n in model.graph.node if node.input[0] in n.output), float(scale)


class Stretch:
    def __init__(self, lib: ours.Library, model: object, feeds: dict[str, np.ndarray], name: str):
        self.lib, self.model, self.feeds, self.name = lib, model, feeds, name

    def forward(self, wanted: np.ndarray, rounded: tuple[str, float] | None) -> float:
        off = np.array(
            np.abs(self.lib.run(self.model, self.feeds, [self.name], "f32")[0] - wanted.astype(np.float64))
        )
        if rounded and off.any():
            raw, quantum = rounded
            code = self.lib.run(self.model, self.feeds, [raw], "f64")[0].reshape(wanted.shape) / quantum
            tie = np.abs(code - np.floor(code) - 0.5) < TIE
            off[tie & (off < 1.001 * quantum)] = 0
        return float(off.max()) / (float(np.abs(wanted).max()) or 1.0)

    def gradient(self, values: np.ndarray) -> float:
        inside = (values > values.min()) & (values < values.max())  # at the ends of the range gradients stop
        index = np.unravel_index(int(np.argmax(np.where(inside, np.abs(values), -1))), values.shape)
        target = f"{self.name}[{','.join(map(str, index))}]"
        single, double = (
            list(self.lib.gradient(self.model, self.feeds, target, p).values()) for p in ("f32", "f64")
        )
        return worst(single, double)
