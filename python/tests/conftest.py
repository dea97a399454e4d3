"""What the tests share: the models of tests/data/toy, the demo model and photos."""

import pathlib

import numpy as np
import pytest

import onnxplain as ox

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOYS = ROOT / "tests/data/toy"
PHOTO = ROOT / "photos/chelsea.png"


def toy(name):
    return ox.Model(TOYS / f"{name}.onnx")


def values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def slope(model, x, tensor, index, h=1e-5, **feeds):
    """d tensor[index] / dx by central differences of the double executor."""
    x = x.astype(np.float64)
    found = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][i] -= h
        moved[1][i] += h
        low, high = (model.run(m, tensor, feeds, precision="f64")[tensor][index] for m in moved)
        found[i] = (high - low) / (2 * h)
    return found


@pytest.fixture(scope="session")
def photos():
    """The demo model, which takes pictures."""
    return ox.Model(ROOT / "models/efficientnet-lite0.onnx")


@pytest.fixture(scope="session")
def cnn():
    return toy("cnn2d")
