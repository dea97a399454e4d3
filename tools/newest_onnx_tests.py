#!/usr/bin/env python3
"""Writes the operator tests of the installed `onnx` package as a folder of files, as Debian's libonnx-testdata has those of an
older version: OUT/node/TEST/model.onnx, test_data_set_0/input_0.pb ... output_0.pb.

    newest_onnx_tests.py OUT
"""
import pathlib
import shutil
import sys

import onnx.backend.test.loader as loader
from onnx import TensorProto, numpy_helper


def to_message(value, declared):
    kind = declared.type.WhichOneof("value")
    if kind == "map_type":
        return numpy_helper.from_dict(value, declared.name)
    if kind == "sequence_type":
        return numpy_helper.from_list(value, declared.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, declared.name)
    return value if isinstance(value, TensorProto) else numpy_helper.from_array(value, declared.name)


def main():
    out = pathlib.Path(sys.argv[1])
    for case in loader.load_model_tests(kind="node"):
        folder = out / "node" / case.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(case.model.SerializeToString())
        graph = case.model.graph
        for i, (inputs, outputs) in enumerate(case.data_sets):
            data = folder / f"test_data_set_{i}"
            data.mkdir()
            for kind, values, declared in (("input", inputs, graph.input), ("output", outputs, graph.output)):
                for j, (value, d) in enumerate(zip(values, declared)):
                    (data / f"{kind}_{j}.pb").write_bytes(to_message(value, d).SerializeToString())


if __name__ == "__main__":
    main()
