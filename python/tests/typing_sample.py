"""Calls that mypy accepts, and those marked `# refused`, which it must not; see check_types.py. Never run."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import onnxplain as ox

model = ox.Model("model.onnx", labels=["cat", "dog"], log=lambda topic, line: print(topic, line))
r = model.explain("photo.png", method="grad-cam", target="cat", relu=False)
array: NDArray[Any] = r.map
label: str | None = r.label
score: float = r.score
number: int | None = r.target
first: ox.Prediction = r.top[0]
model.explain(np.zeros((1, 3, 8, 8)), "integrated-gradients", steps=20, baseline="black", contrast="")
model.explain(b"...", "smoothgrad", method_="saliency", samples=4, level=0.1)
model.explain({"ids": [[1, 2]]}, "lrp", composite="none", precision="f64", layer=["a", "b"])
for item in model.explain_many(["a.png", "b.png"], method=["saliency", "grad-cam"], batch=8, top_k=1):
    print(item.label, item.checks.completeness_gap)
raw: dict[str, NDArray[Any]] = model.gradient("photo.png", 281, wrt=["images", "features.3"])
out: NDArray[Any] = model.run("photo.png", "logits", feeds={"features.3": array})["logits"]
sheet: bytes = model.compare("photo.png", ["saliency", "grad-cam"], target=3).to_png("sheet.png")
name: str = input()
model.explain("photo.png", method=name, parameters={"steps": 3})
cost: int = model.estimate("photo.png", "occlusion", window=8).passes

model.explain("photo.png", method="grad-cam", rellu=False)  # refused
model.explain("photo.png", method="integrated-gradients", steps="20")  # refused
model.explain("photo.png", channels="median")  # refused
model.explain("photo.png", method="saliency", steps=3)  # refused
model.explain("photo.png", target=["cat"])  # refused
model.explain("photo.png", progress=3, layer=3)  # refused
wrong: int = r.score  # refused
