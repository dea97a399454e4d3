#!/usr/bin/env python3
"""Writes reference gradients and Grad-CAM maps by PyTorch autograd, in double, beside the models.

    python3 tools/make_refs.py            # from the repository's root

Needs numpy, onnx, torch (2.13, CPU) and pillow. Class indices and layers are in the file names:
ref_grad_class1.npy is d (score of class 1) / d input, ref_gradcam_class1_LAYER.npy the map at that
layer; the score is the tensor `logits` where there is one. Inputs of the ECG and text models are
made up here, so that no one's records are needed.
"""

import pathlib
import re

import numpy as np
from PIL import Image

from toys.torch_run import Run

TOY, SAMPLES = pathlib.Path("tests/data/toy"), pathlib.Path("tests/data/samples")
MEAN, STD = np.float32(127 / 255), np.float32(128 / 255)


def save(folder, name, array):
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array, np.float32))


def layer_name(tensor):
    return re.sub(r"[^A-Za-z0-9.]+", "_", tensor).strip("_")


def toys():
    """Gradients for every spelling of every composite; Grad-CAM for the CNNs."""
    for path in sorted([*TOY.glob("composite_*.onnx"), *TOY.glob("cnn*.onnx")]):
        io = path.with_suffix(".io")
        run = Run(path, {"x": np.load(io / "input__x.npy")})
        for name in run.outputs:
            ours = run.values[name].detach().numpy()
            np.testing.assert_allclose(ours, np.load(io / f"output__{name}.npy"), 1e-4, 1e-5)
        save(io, "ref_grad_class1", run.grad("logits", 1, "x"))
        if path.stem.startswith("cnn"):
            for layer in ("conv1", "bn1", "relu2", "relu3"):
                save(io, f"ref_gradcam_class1_{layer}", run.grad_cam("logits", 1, layer))


def ecg_trace(beats):
    """A made-up lead: a small P wave, a sharp R peak and a T wave per beat, z-scored."""
    time = np.arange(900) / 360
    trace = 0.02 * np.sin(2 * np.pi * 0.4 * time)
    for beat in beats:
        for shift, height, width in ((-0.16, 0.12, 0.025), (0, 1.0, 0.012), (0.25, 0.3, 0.045)):
            trace += height * np.exp(-(((time - beat - shift) / width) ** 2) / 2)
    return (trace - trace.mean()) / trace.std()


def ecg():
    path = SAMPLES / "ecg_apc_cnn1d_rec100.onnx"
    io = path.with_suffix(".io")
    traces = np.float32([[ecg_trace([0.2, 1.25, 2.3])], [ecg_trace([0.75, 1.25, 2.3])]])
    run = Run(path, {"ecg": traces})
    save(io, "input__ecg", traces)
    save(io, "output__logits", run.values["logits"].detach())
    save(io, "ref_grad_class1", run.grad("logits", 1, "ecg"))
    save(io, "ref_gradcam_class1_last_relu", run.grad_cam("logits", 1, "/7/Relu_output_0"))


def text():
    path = SAMPLES / "bert_tiny_sms_spam.onnx"
    io = path.with_suffix(".io")
    words = (SAMPLES / "bert_tiny_vocab.txt").read_text(encoding="utf-8").split("\n")
    messages = (
        "free cash prize ! call 0 8 0 0 1 2 3 4 5 6 now to claim",
        "are you free for lunch tomorrow ?",
    )
    ids, mask = np.zeros((2, 64), np.int64), np.zeros((2, 64), np.int64)
    for row, message in enumerate(messages):
        tokens = ["[CLS]", *message.split(), "[SEP]"]
        ids[row, : len(tokens)] = [words.index(t) for t in tokens]
        mask[row, : len(tokens)] = 1
    run = Run(path, {"input_ids": ids, "attention_mask": mask})
    embedding = "/word_embeddings/Gather_output_0"
    io.mkdir(exist_ok=True)
    np.save(io / "input__input_ids.npy", ids)
    np.save(io / "input__attention_mask.npy", mask)
    save(io, "output__logits", run.values["logits"].detach())
    save(io, "ref_grad_class1_wrt_word_embedding", run.grad("logits", 1, embedding))


def cropped(path):
    """The demo model's preprocessing: shortest side 256, bicubic, centre 224."""
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([int(s * scale) for s in image.size], Image.Resampling.BICUBIC)
    left, top = ((s - 224) // 2 for s in image.size)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)[None]


def photo(name, index):
    """The input is stored as float16 and is exactly that; the gradient at every eighth pixel."""
    model = pathlib.Path("models/efficientnet-lite0.onnx")
    io = SAMPLES / f"efficientnet-lite0.{name}"
    image = cropped(f"photos/{name}.png").astype(np.float16)
    run = Run(model, {"images": image.astype(np.float32)})
    io.mkdir(exist_ok=True)
    np.save(io / "input__images.npy", image)
    save(io, "output__logits", run.values["logits"].detach())
    grad = run.grad("logits", index, "images")
    save(io, f"ref_grad_class{index}_every8", grad[:, :, ::8, ::8])
    save(io, f"ref_grad_class{index}_wrt_blocks.10", run.grad("logits", index, "blocks.10"))
    for layer in ("blocks.10", "blocks.15", "head.conv", "head"):
        save(
            io,
            f"ref_gradcam_class{index}_{layer_name(layer)}",
            run.grad_cam("logits", index, layer),
        )


def main():
    toys()
    ecg()
    text()
    photo("chelsea", 282)


if __name__ == "__main__":
    main()
