"""Who keeps whom alive, what is copied, and what threads share."""

import gc
import threading

import numpy as np
import pytest
from conftest import TOYS, toy, values

import onnxplain as ox
from onnxplain import _abi, _library


def test_views_keep_their_result_alive():
    model = toy("cnn2d")
    x = values(1, 2, 10, 12)
    r = model.explain(x, target=0)
    kept, want = [r.map, r.attribution, *r.maps.values()], [r.map.copy(), r.attribution.copy(), r.map.copy()]
    part = r.attribution[0, 1, ::2]
    expected = part.copy()
    model.close()
    del r, model
    gc.collect()
    for _ in range(50):  # would reuse freed memory
        toy("cnn2d").explain(x + 1, target=1)
    for array, copy in zip(kept, want, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(part, expected)
    with pytest.raises(ValueError, match="read-only"):
        kept[0][:] = 0


def test_values_of_a_run_live_alone(cnn):
    x = values(1, 2, 10, 12)
    out = cnn.run(x, ["relu3"])["relu3"]
    copy = out.copy()
    for _ in range(50):
        cnn.run(x + 1, ["relu3"])
    np.testing.assert_array_equal(out, copy)


def test_objects_go_with_their_last_user(monkeypatch):
    """Also in a cycle, where Python ends objects in any order: the model goes last."""
    freed = []

    class Freed(_library.Handle):
        def __init__(self, name, *parents):
            super().__init__(name, "model", *parents)
            self._free = freed.append

    model = Freed("model")
    loop = [model, Freed("result", model)]
    loop[0].__class__.again = loop  # not in the cycle yet
    del Freed.again
    loop.append(loop)
    del model, loop
    gc.collect()
    assert freed == ["result", "model"]
    model = Freed("model")
    result = Freed("result", model)
    with model as pointer:
        assert pointer == "model"
        model.release()
        assert freed[2:] == []
        result.release()
        assert freed[2:] == ["result"]
    assert freed[2:] == ["result", "model"]
    with pytest.raises(ox.InvalidArgument, match="closed"), model:
        pass


def test_contiguous_arrays_are_not_copied():
    to = _abi.oxp_array()
    x = values(2, 3, 4)
    assert _library.describe(to, b"x", x) is x and to.data == x.ctypes.data
    assert list(to.dims[:3]) == [2, 3, 4] and to.dtype == _abi.Dtype.F32
    turned = x.transpose(2, 1, 0)
    copy = _library.describe(to, b"x", turned)
    assert to.data == copy.ctypes.data != x.ctypes.data
    np.testing.assert_array_equal(copy, turned)


def test_any_layout_and_byte_order_is_the_same_array(cnn):
    x = values(1, 2, 10, 12)
    want = cnn.explain(x).attribution
    wide = np.zeros((1, 2, 10, 24), np.float32)
    wide[..., ::2] = x
    ways = [np.asfortranarray(x), wide[..., ::2], x.astype(">f4"), x.astype(np.float64), x.tolist()]
    for way in ways:
        np.testing.assert_array_equal(cnn.explain(way).attribution, want)
    np.testing.assert_allclose(cnn.explain(x.astype(np.float16)).attribution, want, atol=1e-2)


def test_four_threads_on_one_model_agree():
    model = toy("cnn2d")
    asks = [("saliency", 0), ("grad-cam", 1), ("integrated-gradients", 2), ("saliency", 2)]
    inputs = [values(1, 2, 10, 12, seed=s) for s in range(6)]
    want = {
        (i, a): model.explain(x, *a[:1], target=a[1]).attribution.copy()
        for i, x in enumerate(inputs)
        for a in asks
    }
    wrong = []

    def work(number):
        for turn in range(40):
            i, ask = (turn + number) % 6, asks[(turn * 7 + number) % 4]
            got = model.explain(inputs[i], ask[0], target=ask[1]).attribution
            if not np.array_equal(got, want[i, ask]):
                wrong.append((i, ask))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_a_model_may_be_closed_while_threads_use_it():
    model, ends = toy("cnn2d"), []
    x = values(1, 2, 10, 12)

    def work():
        try:
            for _ in range(10000):
                model.explain(x)
        except ox.InvalidArgument as error:
            ends.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    while not len(model._pool):
        pass
    model.close()
    for t in threads:
        t.join()
    assert ends == ["the model is closed"] * 3


def test_a_second_call_compiles_nothing_and_the_cache_is_bounded():
    lines = []
    model = ox.Model(TOYS / "cnn2d.onnx", log=lambda topic, line: lines.append(topic), cache=3)
    x = values(1, 2, 10, 12)
    model.explain(x, target=0)
    compiled = lines.count("compile")
    assert compiled > 0
    model.explain(x + 1, target=2)
    model.explain(x + 1, target="top2")
    assert lines.count("compile") == compiled
    for _ in range(2):
        runs = lines.count("compile")
        model.run(x, "relu3")
        model.run(x + 1, "relu3")
    assert lines.count("compile") == runs  # of the second turn: nothing
    for steps in range(2, 9):
        model.explain(x, "integrated-gradients", steps=steps)
    assert len(model._pool) == 3
    model.clear_cache()
    assert len(model._pool) == 0
    for n in (1, 2, 3, 4, 2, 2):  # of one question: the last two shapes
        model.run(values(n, 2, 10, 12))
    assert len(model._pool) == 2
    before = lines.count("compile")
    model.run(values(4, 2, 10, 12))
    assert lines.count("compile") == before
    model.explain(x, target=0)
    assert lines.count("compile") > compiled
