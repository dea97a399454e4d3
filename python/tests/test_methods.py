"""Methods as the library lists them, and what is generated from the list."""

import ast
import inspect
import pathlib

import numpy as np
import pytest
from conftest import toy, values

import onnxplain as ox
from onnxplain import _explain, _methods, _question

STUB = pathlib.Path(_explain.__file__).with_suffix(".pyi")


def test_methods_are_described():
    names = [m.name for m in ox.methods()]
    assert len(names) == len(set(names)) > 50 and {"saliency", "grad-cam", "lrp"} <= set(names)
    cam = ox.method("grad-cam")
    assert cam.needs_layer == 1 and cam.is_main and cam.family and "1 forward" in cam.cost
    relu = cam.parameters[0]
    assert (relu.name, relu.default, relu.type.name) == ("relu", True, "BOOL")
    join = next(p for p in cam.parameters if p.name == "join")
    assert join.default in join.choices
    steps = next(p for p in ox.method("integrated-gradients").parameters if p.name == "steps")
    assert isinstance(steps.default, int) and steps.min <= steps.default <= steps.max
    assert "relu=True" in str(cam) and cam.definition in str(cam)


def test_every_parameter_can_be_a_keyword():
    for m in ox.methods():
        words = [p.keyword for p in m.parameters]
        assert len(set(words)) == len(words)
        assert all(word.isidentifier() and word not in _methods.RESERVED for word in words)
        assert [_methods.name_of(word) for word in words] == [p.name for p in m.parameters]
    fields = set(_question.Question.__dataclass_fields__)
    assert fields == _methods.RESERVED


def test_the_signature_is_explicit():
    signature = inspect.signature(ox.Model.explain)
    assert signature.parameters["method"].default == "saliency"
    assert set(signature.parameters) > _methods.RESERVED
    assert "grad-cam:" in ox.Model.explain.__doc__


def overloads():
    tree = ast.parse(STUB.read_text())
    explains = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Explains")
    return [n for n in explains.body if isinstance(n, ast.FunctionDef) and n.name == "explain"]


def test_stubs_know_every_method_and_parameter():
    found = {}
    for function in overloads():
        method = next(a for a in function.args.args if a.arg == "method")
        name = (
            ast.literal_eval(method.annotation.slice)
            if isinstance(method.annotation, ast.Subscript)
            else None
        )
        ours = [a.arg for a in function.args.kwonlyargs if a.arg not in _methods.RESERVED]
        defaults = dict(
            zip([a.arg for a in function.args.kwonlyargs], function.args.kw_defaults, strict=True)
        )
        found[name] = {word: ast.literal_eval(defaults[word]) for word in ours}
    assert found.pop(None) == {}
    assert found == {m.name: {p.keyword: p.default for p in m.parameters} for m in ox.methods()}


def test_defaults_are_accepted():
    """What the stub says is the default gives what leaving it out gives."""
    model, x = toy("cnn2d"), values(1, 2, 10, 12)
    for name in ("grad-cam", "integrated-gradients", "lrp", "occlusion", "smoothgrad", "deeplift"):
        said = {p.keyword: p.default for p in ox.method(name).parameters}
        bare, full = model.explain(x, name), model.explain(x, name, parameters=said)
        kinds = {p.name: p.type for p in ox.method(name).parameters}
        for word, kind in kinds.items():
            want = _methods.value_of(kind, bare.parameters[word])
            assert _methods.value_of(kind, full.parameters[word]) == want
        np.testing.assert_array_equal(bare.map, full.map)


@pytest.mark.parametrize("name", ["saliency", "grad-cam"])
def test_a_name_given_while_running_is_as_good(name):
    assert toy("cnn2d").explain(values(1, 2, 10, 12), name).method == name
