"""onnxplain's random numbers (Philox 4x32-10 by seed, item, sample, element), so that peers draw the same."""

import contextlib
from unittest import mock

import numpy as np
import torch

LOW = np.uint64(0xFFFFFFFF)


def bits(seed, item, sample, count, feed=0):
    """Two 64-bit words per element; tensors named by --wrt are feeds behind the model's inputs."""
    e = np.arange(count, dtype=np.uint64) | np.uint64(feed << 40)
    x = [e & LOW, e >> np.uint64(32), np.full(count, item, np.uint64), np.full(count, sample, np.uint64)]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        x = [high1 ^ x[1] ^ np.uint64(k[0]), p1 & LOW, high0 ^ x[3] ^ np.uint64(k[1]), p0 & LOW]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return x[1] << np.uint64(32) | x[0], x[3] << np.uint64(32) | x[2]


def unit(words):
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniform(seed, item, sample, count, feed=0):
    return unit(bits(seed, item, sample, count, feed)[0])


def normal(seed, item, sample, count, feed):
    u, v = (unit(w) for w in bits(seed, item, sample, count, feed))
    return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)


@contextlib.contextmanager
def torch_normal(x, samples, feed, seed=0):
    """torch.normal(0, stdev) gives our noise: all samples of an item, then those of the next."""
    keys = [(item, sample) for item in range(len(x)) for sample in range(samples)]
    draws = np.stack([normal(seed, *key, x[0].numel(), feed) for key in keys])
    noise = torch.from_numpy(draws.reshape(-1, *x.shape[1:]))
    with mock.patch("torch.normal", lambda mean, stdev: (stdev.double() * noise).to(x.dtype)):
        yield


def draws(function, x, samples, seed=0, feed=0):
    """(N, samples, ...) of `function` = uniform or normal, as a tensor of x's shape and dtype."""
    found = [[function(seed, i, s, x[0].numel(), feed) for s in range(samples)] for i in range(len(x))]
    return torch.from_numpy(np.array(found).reshape(len(x), samples, *x.shape[1:])).to(x.dtype)


@contextlib.contextmanager
def numpy_uniform(values):
    with mock.patch("numpy.random.uniform", lambda *a, **k: values):
        yield
