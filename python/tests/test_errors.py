"""What goes wrong: each mistake is an exception of its own kind, and says what would be right."""

import pickle

import numpy as np
import pytest
from conftest import PHOTO, ROOT, TOYS, toy, values

import onnxplain as ox


def refuse(kind, match, function, *args, **options):
    with pytest.raises(kind, match=match) as caught:
        function(*args, **options)
    error = caught.value
    assert isinstance(error, ox.Error) and error.code != ox.Status.OK and "\n" not in str(error)
    return error


def test_unknown_names_suggest_the_nearest(cnn, photos):
    x = values(1, 2, 10, 12)
    bad = ox.InvalidArgument
    refuse(bad, "did you mean 'grad-cam'", cnn.explain, x, method="gradcam")
    refuse(bad, "did you mean 'grad-cam'", ox.method, "gradcam")
    refuse(bad, "did you mean 'relu3'", cnn.explain, x, wrt="relu33")
    refuse(bad, "did you mean 'relu3'", cnn.run, x, "reluu3")
    refuse(bad, "did you mean 'relu3'", cnn.explain, x, method="grad-cam", layer="relu3x")
    refuse(bad, "did you mean '?Egyptian cat", photos.explain, PHOTO, target="Egyptian catt")
    refuse(bad, "steps", cnn.explain, x, method="integrated-gradients", stepps=5)
    refuse(bad, "its inputs are x", cnn.explain, {"y": x})


def test_wrong_values_are_named(cnn):
    x, bad = values(1, 2, 10, 12), ox.InvalidArgument
    refuse(bad, "3 classes|class", cnn.explain, x, target=7)
    refuse(bad, "steps", cnn.explain, x, method="integrated-gradients", steps=0)
    refuse(bad, "channels", cnn.explain, x, channels="median")
    refuse(bad, "space must be", cnn.explain, x, space="logits")
    refuse(bad, "precision must be", cnn.explain, x, precision="f16")
    refuse(bad, "a class number or a text", cnn.explain, x, target=2.5)
    refuse(bad, "a class number or a text", cnn.explain, x, target=True)
    refuse(bad, "a method is a name", cnn.explain, x, method=["saliency", "grad-cam"])
    refuse(bad, "a method is a name", cnn.estimate, x, method=None)
    refuse(bad, "zero byte", cnn.explain, x, target="a\0b")
    refuse(bad, "zero byte", cnn.explain, "a\0b.png")
    refuse(bad, "at least one", cnn.explain_many, [x], method=[])
    refuse(bad, "at least one", cnn.compare, x, [])
    refuse(bad, "batch must be", cnn.explain_many, [x], batch=0)


def test_wrong_arrays_are_named(cnn):
    x, bad = values(1, 2, 10, 12), ox.InvalidArgument
    error = refuse(bad, "10.*12|shape", cnn.explain, x[:, :1])
    assert isinstance(error, ValueError)
    refuse(bad, "expected floats", cnn.explain, x.astype(np.complex64))
    refuse(bad, "expected floats", cnn.explain, np.array(["a"]))
    refuse(bad, "expected floats", cnn.explain, x.astype(object))
    refuse(bad, "array of numbers", cnn.explain, [object()])
    refuse(bad, "cannot make an array", cnn.explain, [[1.0, 2.0], [3.0]])
    refuse(bad, "at most 8", cnn.explain, np.zeros((1,) * 9, np.float32))
    refuse(bad, "one by one", cnn.explain, [x[0], x[0, :, :5]])
    refuse(bad, "finite", cnn.explain, x * np.nan)
    refuse(bad, "int64", toy("ask_count_input").explain, {"x": x[0, 0, :3, :3], "n": np.float32(2)})


def test_files_that_are_not_there_or_not_right(tmp_path, photos):
    error = refuse(ox.FileError, "nowhere.onnx", ox.Model, tmp_path / "nowhere.onnx")
    assert isinstance(error, OSError) and error.code == ox.Status.EIO
    damaged = (TOYS / "cnn2d.onnx").read_bytes()[:-40]
    error = refuse(ox.Corrupt, "past the end at byte 18", ox.Model, damaged)
    assert error.stage == ox.Stage.PARSE and error.offset > 0
    refuse(ox.Corrupt, "JPEG or PNG", photos.explain, b"no picture at all")
    refuse(ox.FileError, "labels.txt", ox.Model, TOYS / "cnn2d.onnx", labels=tmp_path / "labels.txt")
    refuse(ox.InvalidArgument, "preprocess|preset", photos.explain, PHOTO, preprocess="imagenette")


def test_what_is_not_supported_is_all_listed():
    net = ROOT / "tests/data/toy"
    model = (net / "cnn2d.onnx").read_bytes().replace(b"MaxPool", b"MaxPowl")
    error = refuse(ox.Unsupported, "MaxPowl", ox.Model, model)
    assert isinstance(error, NotImplementedError) and error.stage == ox.Stage.IMPORT


def test_limits_and_methods_that_do_not_apply(cnn):
    x = values(1, 2, 10, 12)
    error = refuse(ox.LimitExceeded, "100", cnn.explain, x, max_memory=100)
    assert error.code == ox.Status.ELIMIT
    refuse(ox.Error, "attention", cnn.explain, x, method="attention-rollout")


def test_closed_models_and_results_say_so():
    x = values(1, 2, 10, 12)
    with toy("cnn2d") as model:
        r = model.explain(x)
        kept = r.map
    for function in (model.explain, model.run, model.gradient, model.predict, model.estimate, model.load):
        refuse(ox.InvalidArgument, "the model is closed", function, x)
    refuse(ox.InvalidArgument, "the model is closed", model.label, 0)
    refuse(ox.InvalidArgument, "the model is closed", model.inspect)
    assert "closed" in repr(model)
    model.close()  # again: nothing to do
    assert r.target is not None and r.map is not None  # what was found stays
    before = kept.copy()
    r.close()
    refuse(ox.InvalidArgument, "the result is closed", lambda: r.map)
    refuse(ox.InvalidArgument, "the result is closed", r.to_png)
    np.testing.assert_array_equal(kept, before)


def test_errors_can_be_pickled():
    error = refuse(ox.Corrupt, "unknown wire type at byte 2", ox.Model, b"\x08\x07garbage")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ox.Corrupt and (again.code, again.stage, str(again)) == (
        error.code,
        error.stage,
        str(error),
    )
