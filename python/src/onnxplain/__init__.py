"""onnxplain: which part of an input made an ONNX model say so.

import onnxplain as ox

model = ox.Model("model.onnx")
result = model.explain("photo.jpg", method="grad-cam", target="tabby")
result.map, result.score, result.top
result.to_png("why.png")
"""

from ._abi import Stage, Status
from ._errors import (
    Cancelled,
    Corrupt,
    Error,
    FileError,
    InternalError,
    InvalidArgument,
    LimitExceeded,
    OutOfMemory,
    Unsupported,
)
from ._explain import Estimate
from ._inputs import Input
from ._library import lib as _lib
from ._methods import Method, Parameter, method, methods
from ._model import Layer, Model, TensorInfo
from ._result import Checks, Comparison, Prediction, Result

__version__: str = _lib.oxp_version().decode()


def build_info() -> dict[str, str]:
    """The libraries built in, with their versions."""
    lines = _lib.oxp_build_info().decode().splitlines()
    return {name: version for name, _, version in (line.partition(" ") for line in lines)}


def colormaps() -> list[str]:
    """Names for the option `colormap` of to_png."""
    return str(_lib.oxp_colormaps().decode()).split(",")


def compare(*results: Result) -> Comparison:
    """Results on the same input as one sheet, which shows itself in a notebook."""
    return Comparison(results)


__all__ = [
    "Cancelled",
    "Checks",
    "Comparison",
    "Corrupt",
    "Error",
    "Estimate",
    "FileError",
    "Input",
    "InternalError",
    "InvalidArgument",
    "Layer",
    "LimitExceeded",
    "Method",
    "Model",
    "OutOfMemory",
    "Parameter",
    "Prediction",
    "Result",
    "Stage",
    "Status",
    "TensorInfo",
    "Unsupported",
    "__version__",
    "build_info",
    "colormaps",
    "compare",
    "method",
    "methods",
]
