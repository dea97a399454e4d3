"""PAIR's saliency package, fed with gradients of the module. Items one by one, channels last where it wants pictures."""

from unittest import mock

import numpy as np
import saliency.core as pair
import torch
from numpy.polynomial.legendre import leggauss


def gradient(c, x):
    """dY/dx at a batch of points, as an array."""
    x = torch.from_numpy(np.ascontiguousarray(x)).to(c.x[0].dtype).requires_grad_()
    return torch.autograd.grad(c.net(x)[:, c.target].sum(), x)[0].double().numpy()


def model(c, last):
    """Its call_model_function; `last`: points have their channels last."""

    def call(points, call_model_args=None, expected_keys=None):
        points = np.moveaxis(points, -1, 1) if last else points
        found = gradient(c, points)
        return {pair.INPUT_OUTPUT_GRADIENTS: np.moveaxis(found, 1, -1) if last else found}

    return call


def lower_quantile():
    """np.quantile under the argument's old name, which its guided_ig uses."""
    own = np.quantile
    return mock.patch("numpy.quantile", lambda a, q, interpolation: own(a, q, method=interpolation))


def items(c):
    return c.x[0].detach().double().numpy()


def guided_ig(steps, fraction=0.25, max_dist=0.02):
    def run(c):
        with lower_quantile():
            made = pair.GuidedIG()
            one = lambda x: made.GetMask(x, model(c, False), None, None, steps, fraction, max_dist)  # noqa: E731
            return [np.stack([one(x) for x in items(c)])]

    return run


def blur_ig(steps, max_sigma):
    def run(c):
        made = pair.BlurIG()
        one = lambda x: made.GetMask(x, model(c, True), None, max_sigma, steps)  # noqa: E731
        return [np.stack([np.moveaxis(one(np.moveaxis(x, 0, -1)), -1, 0) for x in items(c)])]

    return run


def xrai(steps):
    """Its regions and their greedy order, on integrated gradients (Gauss-Legendre) from black and white."""

    def run(c):
        nodes, weights = leggauss(steps)
        maps = []
        for x in items(c):
            ends = [np.full_like(x, end) for end in (x.min(), x.max())]
            total = np.zeros_like(x)
            for node, weight in zip((1 + nodes) / 2, weights / 2):
                for x0 in ends:
                    total += weight * (x - x0) * gradient(c, (x0 + node * (x - x0))[None])[0] / len(ends)
            last = np.moveaxis(x, 0, -1), np.moveaxis(total, 0, -1)
            found = pair.XRAI().GetMask(last[0], None, base_attribution=last[1])
            maps.append(np.broadcast_to(found, x.shape))
        return [np.stack(maps)]

    return run
