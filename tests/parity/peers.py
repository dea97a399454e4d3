"""The peers, called on a case: each function here returns the function case -> raw array(s).

Scores are the target's logit, and what a peer does after its raw array (scaling to 0 .. 1, a relu, enlarging)
is left out. torch-cpu has no torchvision of its own in the package index; pytorch-grad-cam and zennit
import names of it that nothing here runs, so that declaring its two operators is enough.
"""

import contextlib
import io
import warnings
from unittest import mock

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    import sys

    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import noise  # noqa: E402
import pytorch_grad_cam as pgc_package  # noqa: E402
import zennit.composites as zc  # noqa: E402
import zennit.rules as zr  # noqa: E402
from captum import attr as captum  # noqa: E402
from captum.attr._utils.custom_modules import Addition_Module  # noqa: E402
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule  # noqa: E402, F401
from net import Ceiling  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget, FinerWeightedTarget  # noqa: E402
from torch import nn  # noqa: E402
from zennit.attribution import Gradient, IntegratedGradients  # noqa: E402
from zennit.canonizers import SequentialMergeBatchNorm  # noqa: E402
from zennit.layer import Sum  # noqa: E402
from zennit.types import Convolution  # noqa: E402

warnings.filterwarnings("ignore")


@contextlib.contextmanager
def merged(net):
    """Batch norms merged by zennit's canonizer, less what it leaves behind: 1 / sqrt(1 + eps) each."""
    done, norms = SequentialMergeBatchNorm().apply(net), {}
    for one in done:
        norms[one.batch_norm] = one.batch_norm.eps
        one.batch_norm.eps = 0.0
    try:
        yield
    finally:
        for one in reversed(done):
            one.remove()
            one.batch_norm.eps = norms[one.batch_norm]


def arrays(result):
    parts = result if isinstance(result, tuple) else (result,)
    return [np.asarray(p.detach() if isinstance(p, torch.Tensor) else p) for p in parts]


# ---- captum ----


def cap(name, *, layer=False, **options):
    """captum.attr.NAME(net).attribute(inputs, target, **options)."""

    def run(c):
        explainer = getattr(captum, name)(c.net, c.step) if layer else getattr(captum, name)(c.net)
        c.net.sums("captum")
        return arrays(explainer.attribute(c.inputs(), target=c.target, **options))

    return run


def cap_layer_cam(c):
    """Tokens and all: LayerGradCam without its relu, (N,1,...) as (N,...)."""
    return [a[:, 0] for a in cap("LayerGradCam", layer=True)(c)]


def cap_activation(c):
    return arrays(captum.LayerActivation(c.net, c.step).attribute(c.inputs()))


def cap_contrast(name, other, **options):
    def run(c):
        forward = lambda *x: c.net(*x)[:, c.target] - c.net(*x)[:, other]  # noqa: E731
        return arrays(getattr(captum, name)(forward).attribute(c.inputs(), **options))

    return run


def cap_noise(kind, samples, stdev):
    def run(c):
        tunnel = captum.NoiseTunnel(captum.Saliency(c.net))
        feed = len(c.feeds) if c.wrt else 0
        with noise.torch_normal(c.inputs(), samples, feed):
            return arrays(
                tunnel.attribute(
                    c.inputs(), nt_type=kind, nt_samples=samples, stdevs=stdev, target=c.target, abs=False
                )
            )

    return run


def cap_gradient_shap(samples):
    def run(c):
        x = c.inputs()
        places = [noise.uniform(1 << 56, i, s, 1)[0] for i in range(len(x)) for s in range(samples)]
        with noise.numpy_uniform(np.array(places)):
            shap = captum.GradientShap(c.net)
            return arrays(shap.attribute(x, torch.zeros_like(x[:1]), samples, 0.0, c.target))

    return run


def cap_occlusion(size, step):
    def run(c):
        x = c.inputs()
        axes = x.dim() - 2
        window = (x.shape[1], *[min(size, n) for n in x.shape[2:]]) if axes > 0 else (1,)
        stride = (x.shape[1], *[step] * axes) if axes > 0 else (1,)
        with torch.no_grad():
            return arrays(captum.Occlusion(c.net).attribute(x.detach(), window, stride, 0, c.target))

    return run


def cap_expected(samples, stdev=0.0):
    """GradientShap over one random baseline per draw: our baselines, places and noise."""

    def run(c):
        x, feed = c.inputs(), len(c.feeds) if c.wrt else 0
        flat = x.detach().flatten(1)
        low, high = (f(1).view(-1, 1, *[1] * (x.dim() - 1)) for f in (flat.amin, flat.amax))
        starts = (low + (high - low) * noise.draws(noise.uniform, x, samples, feed=feed)).flatten(0, 1)
        places = noise.draws(noise.uniform, x, samples, 1 << 56).flatten(2)[:, :, 0].flatten()
        order = mock.patch("numpy.random.choice", lambda n, *a, **k: np.arange(n))
        added = noise.torch_normal(x, samples, feed, 2 << 56)
        with noise.numpy_uniform(places.double().numpy()), order, added:
            return arrays(captum.GradientShap(c.net).attribute(x, starts, samples, stdev, c.target))

    return run


def groups(c, kind, patch):
    """The mask of captum's ablation: every element, every channel, or patches of all channels its own group."""
    shape = c.inputs().shape[1:]
    if kind == "each":
        return torch.arange(c.inputs()[0].numel()).view(1, *shape)
    if kind == "channels":
        return torch.arange(shape[0]).view(1, -1, *[1] * (len(shape) - 1)).expand(1, *shape).contiguous()
    label = torch.zeros(1, *shape, dtype=torch.long)
    for axis, size in enumerate(shape[1:], 2):
        at = (torch.arange(size) // patch).view(*[-1 if a == axis else 1 for a in range(len(shape) + 1)])
        label = label * (at.max() + 1) + at
    return label


def cap_ablation(kind, patch=0):
    def run(c):
        with torch.no_grad():
            x = c.inputs().detach()
            ablation = captum.FeatureAblation(c.net)
            return arrays(ablation.attribute(x, target=c.target, feature_mask=groups(c, kind, patch)))

    return run


class Same(nn.Module):
    def forward(self, x):
        return x * 1.0


@contextlib.contextmanager
def apart(net):
    """An identity in front of every max pool, so that captum's hooks of a rectifier and the pool behind it meet
    different tensors."""
    pools = {i: m for i, m in enumerate(net.steps) if type(m).__name__.startswith("MaxPool")}
    for i, m in pools.items():
        net.steps[i] = nn.Sequential(Same(), m)
    try:
        yield
    finally:
        for i, m in pools.items():
            net.steps[i] = m


def cap_deeplift(separate):
    def run(c):
        with apart(c.net) if separate else contextlib.nullcontext():
            return cap("DeepLift")(c)

    return run


def cap_deeplift_shap(c):
    """Zero and the item's own minimum, maximum and mean of each channel, item by item."""
    c.net.sums("captum")
    found = []
    for x in c.x[0].detach():
        mean = x.flatten(1).mean(1) if x.dim() > 1 else x.mean()
        mean = mean.view(-1, *[1] * (x.dim() - 1)).expand_as(x) if x.dim() > 1 else mean.expand_as(x)
        ends = torch.stack([0 * x, x.amin().expand_as(x), x.amax().expand_as(x), mean])
        with apart(c.net):
            shap = captum.DeepLiftShap(c.net)
            found.append(shap.attribute(x[None].requires_grad_(), ends, target=c.target)[0].detach())
    return arrays(torch.stack(found))


def cap_lrp(epsilon, rule=None):
    """Its epsilon rule: `epsilon` at layers with weights (or another rule there), onnxplain's stabiliser at sums, next
    to 0 elsewhere."""

    def run(c):
        for module in c.net.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.MaxPool2d, nn.Flatten, Sum)):
                module.rule = EpsilonRule(1e-12)
            elif isinstance(module, (nn.AdaptiveAvgPool2d, Addition_Module)):
                module.rule = EpsilonRule(1e-9 if rule else 1e-6)
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                module.rule = rule() if rule else EpsilonRule(epsilon)
        with merged(c.net):
            return cap("LRP")(c)

    return run


# ---- zennit ----

DENSE, CONV = (nn.Linear,), (Convolution,)


def rules(*map_):
    """A composite of rules by kind of layer, everything else as in zennit's own composites."""
    return lambda c: dict(layer_map=list(map_) + zc.layer_map_base(), base=zc.LayerMapComposite)


def first_apart(first, rest):
    """A rule of the first layer with weights, and one of the others."""
    return lambda c: dict(
        layer_map=[(DENSE + CONV, rest)] + zc.layer_map_base(),
        first_map=[(DENSE + CONV, first)],
        base=zc.SpecialFirstLayerMapComposite,
    )


def preset(name, *, bounds=None, **options):
    def make(c):
        low_high = {}
        if bounds:
            low_high = {k: torch.full_like(c.inputs(), v) for k, v in zip(("low", "high"), bounds)}
        return dict(base=getattr(zc, name), layer_map=[], **low_high, **options)

    return make


def zen(make, score=True, ceiling=True):
    """Relevance of the inputs; it starts as the target's score, or as 1. `ceiling`: min(x, 6) hands it on."""

    def run(c):
        c.net.sums("zennit")
        options = make(c)
        base, layers = options.pop("base"), options.pop("layer_map")
        layers = layers + [((Ceiling,), zr.Pass())] if ceiling else layers
        composite = base(layer_map=layers, **options)
        pick = nn.functional.one_hot(torch.tensor(c.target), c.classes()).to(c.x[0].dtype)
        start = (lambda out: out * pick) if score else (lambda out: pick.expand_as(out))
        with merged(c.net), Gradient(model=c.net, composite=composite) as attributor:
            return arrays(attributor(c.inputs().detach().clone(), start)[1])

    return run


def zen_integrated(steps):
    def run(c):
        pick = nn.functional.one_hot(torch.tensor(c.target), c.classes()).to(c.x[0].dtype)
        with IntegratedGradients(model=c.net, n_iter=steps) as attributor:
            return arrays(attributor(c.inputs().detach().clone(), lambda out: pick.expand_as(out))[1])

    return run


# ---- pytorch-grad-cam ----


def finer(c, outputs):
    near = [np.argsort(np.abs(o - o[c.target]), kind="stable")[1:4] for o in outputs.detach().numpy()]
    return [FinerWeightedTarget(c.target, [int(i) for i in n], 1) for n in near]


def sum_and_log_softmax(c, outputs):
    return [lambda o: o[c.target] + torch.log_softmax(o, -1)[c.target] for _ in outputs]


def plain(c, outputs):
    return [ClassifierOutputTarget(c.target) for _ in outputs]


def pgc(name, score=plain, **options):
    """get_cam_image of pytorch-grad-cam's class, before its relu and scaling."""

    def run(c):
        c.net.sums("captum")
        cam = getattr(pgc_package, name)(c.net, [c.step], reshape_transform=c.grid, **options)
        hooks, x = cam.activations_and_grads, c.inputs()
        outputs = hooks(x)
        targets = score(c, outputs)
        loss = sum(t(o) for t, o in zip(targets, outputs))
        torch.autograd.grad(loss, x, retain_graph=True, create_graph=not cam.detach)
        a, g = hooks.activations[0], hooks.gradients[0]
        if cam.detach:
            a, g = a.numpy(), g.numpy()
        if name == "AblationCAM":
            a = torch.from_numpy(a)  # as its own forward hands it on
        with contextlib.redirect_stderr(io.StringIO()):
            image = cam.get_cam_image(x.detach(), c.step, targets, a, g, False)
        hooks.activations, hooks.gradients = [], []
        hooks.release()
        return arrays(image)

    return run


def pgc_random(c):
    c.net
    channels = c.grid(c.net.values[c.layer]).shape[1]
    draws = np.stack([noise.uniform(0, i, 0, channels) for i in range(len(c.x[0]))])
    with noise.numpy_uniform(2 * draws - 1):
        return pgc("RandomCAM")(c)


def pgc_fullgrad(c):
    """The sum over layers, before it is scaled to 0 .. 1."""
    cam = pgc_package.FullGrad(c.net, [])
    x = c.inputs().detach().clone().requires_grad_()
    outputs = cam.activations_and_grads(x)
    sum(t(o) for t, o in zip(plain(c, outputs), outputs)).backward()
    image = cam.compute_cam_per_layer(x, None, False).sum(1)
    cam.activations_and_grads.release()
    return arrays(image)
