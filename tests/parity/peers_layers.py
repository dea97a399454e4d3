"""Captum's layer and neuron classes, and what works on copies of the input."""

import functools
from unittest import mock

import numpy as np
import pytorch_grad_cam.feature_factorization.deep_feature_factorization as pgc_dff
from captum import attr as captum
from formulas import layer_of
from peers import ClassifierOutputTarget, apart, arrays, pgc_package


def cap_layer_deeplift(c):
    c.net.sums("captum")
    with apart(c.net):
        return arrays(captum.LayerDeepLift(c.net, c.step).attribute(c.inputs(), target=c.target))


def factorized(c):
    """pytorch-grad-cam's factorisation into one concept, its heat at every position scaled to a maximum of 1. (One concept
    has one best factorisation; several have many local ones.) scikit-learn stops at 1e-4, here it goes to the end."""
    nmf = functools.partial(pgc_dff.NMF, tol=1e-14, max_iter=10000)
    a = c.grid(c.net.values[c.layer]).numpy()
    a = a[..., None] if a.ndim == 3 else a.reshape(*a.shape[:2], -1, a.shape[-1])
    with mock.patch.object(pgc_dff, "NMF", nmf):
        heats = [pgc_dff.dff(one[None].copy(), 1)[1].reshape(-1) for one in a]
    return [np.stack([h / h.max() for h in heats])]


def augmented(c):
    """Mean of Grad-CAM over the input and its mirror image, each times 1, 0.9 and 1.1; mirrored maps mirrored back."""
    x, maps = c.inputs().detach(), []
    for flip in (False, True):
        for factor in (1.0, 0.9, 1.1):
            copy = factor * (x.flip(-1) if flip else x)
            a, g = layer_of(c, copy.requires_grad_())
            one = (g.mean(2, keepdim=True) * a).sum(1).view(len(x), *c.net.values[c.layer].shape[2:])
            maps.append((one.flip(-1) if flip else one).numpy())
    return [np.mean(maps, 0)]


def pgc_augmented(c):
    """pytorch-grad-cam's GradCAM(aug_smooth=True)."""
    c.net.sums("captum")
    targets = [ClassifierOutputTarget(c.target)] * len(c.x[0])
    with pgc_package.GradCAM(c.net, [c.step], reshape_transform=c.grid) as cam:
        cam.compute_input_gradient = True  # the weights here are fixed
        return arrays(cam(c.inputs().detach(), targets, aug_smooth=True))
