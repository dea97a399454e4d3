"""Explanations: the numbers against finite differences and against each other, however the inputs are
given."""

import io
import shutil

import numpy as np
import pytest
from conftest import PHOTO, ROOT, TOYS, slope, toy, values

import onnxplain as ox


def test_saliency_is_the_slope_of_the_score(cnn):
    x = values(1, 2, 10, 12)
    for target in (0, 2):
        found = cnn.explain(x, method="saliency", target=target, precision="f64").attribution
        assert found.shape == x.shape and found.dtype == np.float64
        np.testing.assert_allclose(found, slope(cnn, x, "logits", (0, target)), atol=1e-8)
    single = cnn.explain(x, target=2)
    np.testing.assert_allclose(single.attribution, found, rtol=1e-4, atol=1e-5)
    assert single.map.shape == (1, 10, 12) and single.map.dtype == np.float32
    np.testing.assert_allclose(single.map[0], np.abs(single.attribution[0]).max(0), rtol=1e-6)


def test_gradients_of_any_tensor_by_any_tensor(cnn):
    x = values(1, 2, 10, 12)
    found = cnn.gradient(x, "logits[0,1]", wrt=["x", "relu3"], precision="f64")
    assert list(found) == ["x", "relu3"]
    np.testing.assert_allclose(found["x"], slope(cnn, x, "logits", (0, 1)), atol=1e-8)
    hidden = cnn.run(x, "relu3", precision="f64")["relu3"]
    low = cnn.run(feeds={"relu3": hidden}, outputs="logits", precision="f64")["logits"]
    for i in [(0, 0, 0, 0), (0, 2, 3, 1), (0, 5, 2, 4)]:
        moved = hidden.copy()
        moved[i] += 1.0  # linear from there
        high = cnn.run(feeds={"relu3": moved}, outputs="logits", precision="f64")["logits"]
        assert found["relu3"][i] == pytest.approx((high - low)[0, 1], abs=1e-12) != 0
    by_layer = cnn.gradient(x, "sum:relu3", wrt="x", precision="f64")["x"]
    assert np.abs(by_layer).max() > 0


def test_a_run_is_cut_anywhere(cnn):
    x = values(2, 2, 10, 12)
    whole = cnn.run(x)
    assert list(whole) == ["logits"] and whole["logits"].shape == (2, 3)
    inner = cnn.run(x, ["relu3", "logits"])
    assert list(inner) == ["relu3", "logits"]
    np.testing.assert_array_equal(inner["logits"], whole["logits"])
    again = cnn.run(feeds={"relu3": inner["relu3"]}, outputs="logits")["logits"]
    np.testing.assert_allclose(again, whole["logits"], rtol=1e-5)
    doubled = cnn.run(x, "logits", {"relu3": 2 * inner["relu3"]})["logits"]
    assert np.abs(doubled - whole["logits"]).max() > 1e-3


def test_a_photo_given_in_every_way_is_one_photo(photos):
    Image = pytest.importorskip("PIL.Image")
    want = photos.explain(str(PHOTO), method="grad-cam", target="Egyptian cat")
    image = Image.open(PHOTO)
    ways = [
        PHOTO,
        PHOTO.read_bytes(),
        memoryview(PHOTO.read_bytes()),
        image,
        np.asarray(image.convert("RGB")),
    ]
    for way in [*ways, photos.load(PHOTO), {"images": PHOTO}]:
        got = photos.explain(way, method="grad-cam", target=285)
        assert got.map.shape == (224, 224)
        np.testing.assert_array_equal(got.map, want.map)


def test_pixels_and_bytes_are_the_file(photos):
    """As above where there is no Pillow."""
    want = photos.load(PHOTO)
    assert want.array.shape == (1, 3, 224, 224) and want.name == "images" and not want.assumed
    assert "PNG" in want.description
    np.testing.assert_array_equal(photos.load(PHOTO.read_bytes()).array, want.array)
    grey = np.full((30, 40), 128, np.uint8)
    colour = np.full((30, 40, 3), 128, np.uint8)
    np.testing.assert_array_equal(photos.load(grey).array, photos.load(colour).array)
    np.testing.assert_allclose(photos.load(grey).array, want.fill("grey").array, atol=1e-6)


def test_a_result_says_what_was_asked_and_found(photos):
    r = photos.explain(PHOTO, method="grad-cam", target="Egyptian cat", contrast="tabby", top_k=5)
    assert (r.method, r.target, r.label, r.contrast, r.contrast_label) == (
        "grad-cam",
        285,
        "Egyptian cat",
        281,
        "tabby",
    )
    scores = photos.run(PHOTO)["logits"][0]
    assert r.score == pytest.approx(scores[285], rel=1e-5) and r.contrast_score == pytest.approx(
        scores[281], rel=1e-5
    )
    best = np.argsort(scores)[::-1][:5]
    assert [p.index for p in r.top] == list(best)
    probability = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    assert [p.probability for p in r.top] == pytest.approx(list(probability[best]), rel=1e-4)
    assert (
        r.top[0].label == photos.label(int(best[0]))
        and r.space == "output"
        and r.layer
        and r.tensor == "logits"
    )
    assert r.parameters["upsample"] == "linear" and r.passes == 1 and r.seconds > 0 and r.notes
    assert r.to_dict()["question"]["target"] == "Egyptian cat"
    assert "285 'Egyptian cat' against 281" in repr(r)


def test_checks_are_completeness(cnn):
    x = values(1, 2, 10, 12)
    steps = [cnn.explain(x, method="integrated-gradients", steps=n, precision="f64") for n in (4, 200)]
    gaps = [s.checks.completeness_gap for s in steps]
    assert gaps[1] < 0.01 and gaps[1] < gaps[0]
    total = steps[1].attribution.sum()
    change = cnn.run(x)["logits"][0] - cnn.run(np.zeros_like(x))["logits"][0]
    assert total == pytest.approx(change[steps[1].target], rel=0.02)
    assert np.isnan(cnn.explain(x).checks.completeness_gap)


def test_a_batch_is_its_items(cnn):
    x = values(3, 2, 10, 12)
    whole = cnn.explain(x, target="top1")
    assert len(whole) == 3 and whole.map.shape == (3, 10, 12)
    for i, item in enumerate(whole):
        alone = cnn.explain(x[i : i + 1], target="top1")
        assert item.target == alone.target and item.score == pytest.approx(alone.score, rel=1e-5)
        assert item.map.shape == (10, 12)
        np.testing.assert_allclose(item.attribution, alone.attribution[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(whole[-1].map, whole[2].map)
    parts = cnn.explain([x[0], x[1], x[2]], target="top1")
    np.testing.assert_array_equal(parts.attribution, whole.attribution)
    np.testing.assert_array_equal(cnn.explain([x[:2], x[2:]], target="top1").attribution, whole.attribution)


def test_many_inputs_and_methods(photos):
    paths = [ROOT / f"photos/{name}.png" for name in ("coffee", "chelsea", "astronaut")]
    methods = ["saliency", "grad-cam"]
    found = list(photos.explain_many(paths, method=methods, batch=2))
    assert [r.method for r in found] == methods * 3
    for i, path in enumerate(paths):
        alone = photos.explain(path, method="grad-cam")
        assert found[2 * i + 1].label == alone.label
        np.testing.assert_allclose(found[2 * i + 1].map, alone.map, atol=1e-4 * alone.map.max())
    assert found[0].to_png() != found[2].to_png()  # each over its own photo
    assert found[1]._given is found[0]._given  # read once for all methods
    lazily = photos.explain_many(iter([paths[0], "nowhere.png"]), method="grad-cam")
    assert next(lazily).label == "espresso"
    with pytest.raises(ox.FileError):
        next(lazily)


def test_models_with_several_inputs_take_them_by_name():
    model = toy("basic_model2")
    x1, x2 = np.float32([[3.0], [5.0]]), np.float32([[1.0], [1.0]])
    r = model.explain({"x2": x2, "x1": x1}, method="input-x-gradient")
    assert set(r.attributions) == {"x1", "x2"}
    np.testing.assert_allclose(r.attributions["x1"][:, 0], [3.0, 5.0])
    items = [{"x1": x1[:1], "x2": x2[:1]}, {"x1": x1[1:], "x2": x2[1:]}]
    many = list(model.explain_many(items, method="input-x-gradient", batch=2))
    np.testing.assert_allclose([m.attributions["x1"][0] for m in many], [3.0, 5.0])
    with pytest.raises(ox.InvalidArgument, match="by name"):
        model.explain(x1)
    with pytest.raises(ox.InvalidArgument, match="'x2' was not given"):
        model.explain({"x1": x1})


def test_baselines_of_every_kind(cnn):
    x = values(1, 2, 10, 12)
    ask = {"method": "integrated-gradients", "precision": "f64", "steps": 3, "target": 0}
    zero = cnn.explain(x, **ask).attribution
    array = np.full((2, 10, 12), 0.5, np.float32)
    by_array = cnn.explain(x, baseline=array, **ask).attribution
    np.testing.assert_allclose(cnn.explain(x, baseline=0.5, **ask).attribution, by_array, atol=1e-9)
    np.testing.assert_allclose(cnn.explain(x, baseline=[0.5, 0.5], **ask).attribution, by_array, atol=1e-9)
    np.testing.assert_allclose(cnn.explain(x, baseline={"x": array}, **ask).attribution, by_array, atol=1e-9)
    np.testing.assert_allclose(
        cnn.explain(x, baseline=np.zeros_like(array), **ask).attribution, zero, atol=1e-9
    )
    assert np.abs(by_array - zero).max() > 1e-3
    other = cnn.explain(x, baseline=array + 1, **ask).attribution  # not the compiled one of before
    assert np.abs(by_array - other).max() > 1e-3
    with pytest.raises(ox.InvalidArgument, match="colour"):
        cnn.explain(x, baseline="black", **ask)


def test_colours_are_baselines_of_pictures(photos):
    ask = {"method": "integrated-gradients", "steps": 2, "target": 285}
    shown = photos.load(PHOTO)
    black = photos.explain(PHOTO, baseline="black", **ask)
    np.testing.assert_array_equal(
        black.map, photos.explain(shown, baseline=shown.fill("black").array, **ask).map
    )


def test_parameters_come_as_python_values(cnn):
    x = values(1, 2, 10, 12)
    cam = cnn.explain(x, method="grad-cam", relu=False, upsample="none", layer="relu2")
    assert cam.parameters["relu"] == "false" and cam.layer == "relu2" and cam.map.shape[1:] != (10, 12)
    wrapped = cnn.explain(
        x, method="smoothgrad", method_="input-x-gradient", samples=2, level=np.float32(0.25)
    )
    assert wrapped.parameters["method"] == "input-x-gradient" and wrapped.parameters["level"] == "0.25"
    same = cnn.explain(
        x, "smoothgrad", parameters={"method": "input-x-gradient", "samples": 2, "level": 0.25}
    )
    np.testing.assert_array_equal(same.map, wrapped.map)
    inner = cnn.explain(x, "smoothgrad", method_="integrated-gradients", samples=2, steps=3)
    assert (
        inner.passes < cnn.explain(x, "smoothgrad", method_="integrated-gradients", samples=2, steps=9).passes
    )
    window = cnn.explain(x, method="occlusion", window=[2, 3], stride=(1, 3))
    assert window.parameters["window"] == "2,3"


def test_compare_passes_over_what_does_not_apply(cnn):
    x = values(1, 2, 10, 12)
    c = cnn.compare(x, ["saliency", "attention-rollout", "grad-cam"], layer="relu2", relu=False)
    assert [r.method for r in c] == ["saliency", "grad-cam"] and list(c.refused) == ["attention-rollout"]
    assert c[1].layer == "relu2" and c.to_png()[:4] == b"\x89PNG"
    assert ox.compare(c[1]).to_png() != c.to_png()
    with pytest.raises(ox.InvalidArgument):
        cnn.compare(x, ["attention-rollout", "tmme"])
    with pytest.raises(ox.InvalidArgument, match="none of saliency, grad-cam has a parameter 'reluu'"):
        cnn.compare(x, ["saliency", "grad-cam"], reluu=False)
    assert len(cnn.compare(x)) >= 8


def test_estimate_is_what_a_run_takes(cnn):
    x = values(1, 2, 10, 12)
    cost = cnn.estimate(x, "occlusion", window=5)
    assert cost.passes == cnn.explain(x, "occlusion", window=5).passes and cost.flops > 1000


def test_a_model_from_bytes_and_its_facts(tmp_path):
    path = TOYS / "cnn2d.onnx"
    model = ox.Model(path.read_bytes(), labels=["a", "b", "c"])
    assert model.inputs == [("x", "float32", ("N", 2, 10, 12))] and model.outputs[0].name == "logits"
    assert model.labels == ["a", "b", "c"] and model.label(3) is None
    assert ox.Model(path, labels=["a", None, "c"]).labels == ["a", None, "c"]
    assert "relu3" in model.tensors and "relu3" in model.inspect("layers")
    assert model.outputs[0].shape == ("N", 3)
    first = model.layers()[0]
    assert first.name == model.explain(values(1, 2, 10, 12), "grad-cam").layer and first.shape[0] == 1
    assert model.facts()["score"]["classes"] == 3 and model.word(0) is None
    x = values(1, 2, 10, 12)
    assert model.explain(x, target="b").target == 1
    with toy("cnn2d") as other:
        np.testing.assert_array_equal(other.run(x)["logits"], model.run(x)["logits"])
    copied = shutil.copy(path, tmp_path / "m.onnx")
    (tmp_path / "names.txt").write_text("x\ny\nz\n")
    assert ox.Model(copied, labels=tmp_path / "names.txt").labels == ["x", "y", "z"]


def test_the_log_is_heard():
    heard = []
    model = ox.Model(TOYS / "cnn2d.onnx", log=lambda topic, line: heard.append(topic))
    model.explain(values(1, 2, 10, 12))
    assert "compile" in heard


def test_npy_files_are_arrays(cnn, tmp_path):
    x = values(1, 2, 10, 12)
    np.save(tmp_path / "x.npy", x)
    file = io.BytesIO()
    np.save(file, x)
    want = cnn.explain(x).attribution[0]
    np.testing.assert_array_equal(cnn.explain(tmp_path / "x.npy").attribution, want)
    np.testing.assert_array_equal(cnn.explain(file.getvalue()).attribution, want)


def test_pictures_of_results(cnn, photos, tmp_path):
    r = photos.explain(PHOTO, method="grad-cam")
    data = r.to_png(tmp_path / "cat.png", colormap="viridis" if "viridis" in ox.colormaps() else None)
    assert (tmp_path / "cat.png").read_bytes() == data and data[:4] == b"\x89PNG"
    assert r._repr_png_()[:4] == b"\x89PNG" and "tiger cat" in r._repr_html_()
    batch = cnn.explain(values(2, 2, 10, 12))
    assert batch._repr_png_() is None and batch._repr_html_().count("<img") == 2
    with pytest.raises(ox.InvalidArgument, match="take one"):
        batch.to_png()


def test_versions():
    assert ox.__version__.count(".") == 2
    assert "oneDNN" in ox.build_info() and "heat" in ox.colormaps()
