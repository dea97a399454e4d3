"""Batch norms that no layer with weights stands before (DenseNet): zennit passes relevance through them whole. Here they
are a module of their own kind, so that a composite can treat them as any scaling by constants."""

import peers
from peers import zr
from torch import nn
from zennit.types import Convolution


class Lone(nn.BatchNorm2d):
    pass


def lone(make):
    """The composite of `make`, with zennit's Norm at lone batch norms: the bias takes its share."""

    def marked(c):
        before = None
        for module in c.net.steps:
            if type(module) is nn.BatchNorm2d and not isinstance(before, Convolution):
                module.__class__ = Lone
            before = module
        options = make(c)
        return options | {"layer_map": [((Lone,), zr.Norm()), *options["layer_map"]]}

    return marked


def zen_lone(make, score=True):
    return peers.zen(lone(make), score)
