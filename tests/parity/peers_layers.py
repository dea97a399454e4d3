"""Captum's layer and neuron classes, and what works on copies of the input."""

import numpy as np
from captum import attr as captum
from formulas import layer_of
from peers import apart, arrays


def cap_layer_deeplift(c):
    c.net.sums("captum")
    with apart(c.net):
        return arrays(captum.LayerDeepLift(c.net, c.step).attribute(c.inputs(), target=c.target))


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
