"""torchcam's extractors, before their relu and scaling to 0 .. 1."""

import noise
import torch
import torchcam.methods
from peers import arrays
from torch import nn


def made(c, name, **options):
    c.net.sums("captum")
    transform = c.grid if c.has("tokens") else None
    cam = getattr(torchcam.methods, name)(c.net, c.step, reshape_transform=transform, **options)
    getattr(cam, "base_cam", cam)._relu = False
    return cam


def tcm(name, **options):
    def run(c):
        with made(c, name, **options) as cam:
            return arrays(cam(c.target, c.net(c.inputs()), normalized=False)[0])

    return run


def tcm_cam(c):
    """The weights of the last linear layer."""
    dense = [m for m in c.net.modules() if isinstance(m, nn.Linear)][-1]
    with made(c, "CAM", fc_layer=dense) as cam:
        c.net(c.inputs())
        return arrays(cam(c.target, normalized=False)[0])


class Draws:
    """In place of an extractor's normal distribution: our numbers, times its standard deviation."""

    def __init__(self, values):
        self.values = iter(values)

    def sample(self, size):
        return next(self.values).reshape(size)


def tcm_smooth(samples, std, clean):
    """`clean`: its weights on the layer at the input, as the paper has it, not at the last noisy copy."""

    def run(c):
        x = c.inputs()
        with made(c, "SmoothGradCAMpp", num_samples=samples, std=std) as cam:
            cam._distrib = Draws(std * noise.draws(noise.normal, x, samples).transpose(0, 1))
            c.net(x)
            a = cam.hook_a[0]
            if not clean:
                return arrays(cam(c.target, normalized=False)[0])
            w = cam._get_weights(c.target)[0]
            return arrays((w[(...,) + (None,) * (a.dim() - w.dim())] * a).sum(1))

    return run


def tcm_sscam(samples, std):
    """Its masks have one draw per sample, channel and position of the input."""

    def run(c):
        x = c.inputs()
        channels = c.net.values[c.layer].shape[1]
        by_channel = [noise.draws(noise.normal, x[:, :1], samples, feed=k) for k in range(channels)]
        with made(c, "SSCAM", num_samples=samples, std=std) as cam:
            cam._distrib = Draws(std * torch.cat(by_channel, 2).transpose(0, 1))
            with torch.no_grad():
                c.net(x)
            return arrays(cam(c.target, normalized=False)[0])

    return run
