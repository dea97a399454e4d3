"""Definitions of software that cannot be imported here (docs/parity.md names it), written out from the papers:
vit-explain, Transformer-Explainability and Transformer-MM-Explainability, LeGrad, AttnLRP and CP-LRP, the efficient
form as modified gradients, xplique, and papers whose formula no peer computes. Nothing here is shared with onnxplain."""

import noise
import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from net import Net
from peers import arrays
from torch import nn

# ---- attention: A (N,heads,T,T), g its gradient; the token read is the first ----


def attention_of(c):
    """A and dY/dA of every layer, and all tensors of the run."""
    env = c.net.run(*c.x)
    softmaxes = [n for n, op in zip(c.net.names, c.net.ops) if op == "Softmax" and env[n].dim() == 4]
    maps = [env[n] for n in softmaxes]
    grads = torch.autograd.grad(env[c.net.out][:, c.target].sum(), maps, retain_graph=True)
    return [m.detach() for m in maps], list(grads), maps, env


def first_row(c, matrix):
    """(N,T,T) as the row of token 0, tokens of the grid only."""
    return arrays(matrix[:, 0, c.prefix :])


def raw_attention(c):
    return first_row(c, attention_of(c)[0][-1].mean(1))


def attention_grad_cam(c):
    a, g, _, _ = attention_of(c)
    weight = g[-1][:, :, 0, c.prefix :].mean(-1, keepdim=True)
    return arrays((weight * a[-1][:, :, 0, c.prefix :]).mean(1).relu())


def fuse(a, heads):
    return a.mean(1) if heads == "mean" else a.amax(1) if heads == "max" else a.amin(1)


def discarded(m, share):
    """The floor(share T T) smallest entries become 0, entry (0, 0) never."""
    flat = m.flatten(1).clone()
    for row in flat:
        gone = torch.sort(row, stable=True).indices[: int(share * row.numel())]
        row[gone[gone != 0]] = 0
    return flat.view_as(m)


def rollout(heads="mean", discard=0.0, columns=False, gradient=False):
    """vit-explain divides column j by the sum of row j (`columns`)."""

    def run(c):
        a, g, _, _ = attention_of(c)
        total = torch.eye(a[0].shape[-1], dtype=a[0].dtype).expand(len(a[0]), -1, -1)
        for layer, grad in zip(a, g):
            m = fuse(layer * grad, heads).relu() if gradient else fuse(layer, heads)
            m = (discarded(m, discard) + torch.eye(m.shape[-1], dtype=m.dtype)) / 2
            sums = m.sum(-1)
            total = m / (sums[:, None, :] if columns else sums[:, :, None]) @ total
        return first_row(c, total)

    return run


def tmme(c):
    """Rules 5 to 7; the token's own relevance is not shown."""
    a, g, _, _ = attention_of(c)
    total = torch.eye(a[0].shape[-1], dtype=a[0].dtype).expand(len(a[0]), -1, -1)
    for layer, grad in zip(a, g):
        total = total + (layer * grad).relu().mean(1) @ total
    total = total.clone()
    total[:, 0, 0] = 0
    return first_row(c, total)


def tmme_streams(c):
    """Rules 6 to 11 on the two-stream transformer: (image, text) as token 0 of the text holds them."""
    env = c.net.run(*c.x)
    names = [n for n in c.net.names if n.endswith(".weights")]
    grads = torch.autograd.grad(env[c.net.out][:, c.target].sum(), [env[n] for n in names])
    a = {n[: -len(".weights")]: (g * env[n].detach()).relu().mean(1) for n, g in zip(names, grads)}
    text, image = (torch.eye(a[n].shape[-1], dtype=a[n].dtype) for n in ("text.first", "image.first"))
    of_image = of_text = 0  # what the text holds of the image, and the image of the text

    def rows(r):
        """N(R): what was gathered beyond the identity, rows scaled to 1."""
        eye = torch.eye(r.shape[-1], dtype=r.dtype)
        return (r - eye) / (r - eye).sum(-1, keepdim=True) + eye

    text, image = text + a["text.first"] @ text, image + a["image.first"] @ image
    gained = rows(text).mT @ a["text.cross"] @ rows(image), rows(image).mT @ a["image.cross"] @ rows(text)
    of_image, of_text = of_image + gained[0], of_text + gained[1]
    gained = rows(text).mT @ a["text.again"] @ rows(image), a["text.again"] @ of_text
    of_image, text = of_image + gained[0], text + gained[1]
    of_image, text = of_image + a["text.last"] @ of_image, text + a["text.last"] @ text
    text = text.clone()
    text[:, 0, 0] = 0
    return arrays((of_image[:, 0], text[:, 0]))


def legrad(c):
    _, _, maps, env = attention_of(c)
    found = []
    for a, tokens in zip(maps, c.blocks):
        score = c.net.replay(env, c.blocks[-1], env[tokens])[:, c.target].sum()
        grad = torch.autograd.grad(score, a, retain_graph=True)[0]
        found.append(grad.relu().mean((1, 2)))
    return arrays(torch.stack(found).mean(0)[:, c.prefix :])


# ---- LRP of transformers and gates as input x modified gradient, every stabiliser 0 ----


def identity(x, y):
    """y = f(x) hands its relevance on as it is: the gradient is y / x."""
    return x * torch.where(x == 0, torch.zeros_like(x), y / torch.where(x == 0, torch.ones_like(x), x)).detach()


def attnlrp_instead(cp):
    def instead(op, step, args):
        moving = sum(a.requires_grad for a in args)
        if op in ("Erf", "Sqrt") or (cp and op in ("Softmax", "HardSigmoid")):
            return step(*args).detach()  # the gate of a GELU, the deviation of a normalisation
        if op in ("Tanh", "HardSigmoid", "HardSwish"):
            return identity(args[0], step(*args))
        if op in ("MatMul", "Mul") and moving == 2:  # each factor gets half
            y = step(*args) / 2
            return y + y.detach()
        return None

    return instead


def attnlrp(cp=False):
    def run(c):
        x = c.x[0].detach().requires_grad_()
        y = c.net.run(x, instead=attnlrp_instead(cp))[c.net.out][:, c.target].sum()
        return arrays(x * torch.autograd.grad(y, x)[0])

    return run


# ---- class activation maps ----


def layer_of(c, x=None):
    """A and dY/dA at the layer, (N,K,...)."""
    env = c.net.run(*((c.x) if x is None else (x,)))
    a = env[c.layer]
    g = torch.autograd.grad(env[c.net.out][:, c.target].sum(), a)[0]
    return c.grid(a.detach()).flatten(2), c.grid(g).flatten(2)


def weighted(w, a):
    return arrays((w[:, :, None] * a).sum(1))


def grad_cam_pp(c):
    """Equation 19 for an exponential score: g / (2 + S g) where g > 0."""
    a, g = layer_of(c)
    g = g.relu()
    return weighted((g / (2 + a.sum(2, keepdim=True) * g)).sum(2), a)


def grad_cam_pp_xplique(c):
    """Means of A and over positions where the paper has sums."""
    a, g = layer_of(c)
    below = 2 * g**2 + a.mean(2, keepdim=True) * g**3
    return weighted((g**2 / torch.where(below == 0, 1e-4, below) * g.relu()).mean(2), a)


def smooth_grad_cam_pp(samples, level):
    def run(c):
        a, x = layer_of(c)[0], c.inputs().detach()
        copies = (x[:, None] + level * noise.draws(noise.normal, x, samples)).transpose(0, 1)
        grads = [layer_of(c, copy.requires_grad_())[1] for copy in copies]
        d1, d2, d3 = (torch.stack([g**n for g in grads]).mean(0) for n in (1, 2, 3))
        below = 2 * d2 + a.sum(2, keepdim=True) * d3
        alpha = torch.where(d2 > 0, d1.relu() * d2 / torch.where(d2 > 0, below, 1), 0)
        return weighted(alpha.sum(2), a)

    return run


def is_cam(samples):
    """Scores at i / n of the mask, i = 1 .. n; masks as torchcam makes them."""

    def run(c):
        x, a = c.inputs().detach(), c.net.values[c.layer]
        low, high = a.amin((2, 3), keepdim=True), a.amax((2, 3), keepdim=True)
        masks = F.interpolate((a - low) / (high - low + 1e-8), x.shape[2:], mode="bilinear")
        strengths = [(i + 1) / samples for i in range(samples)]
        with torch.no_grad():
            score = lambda k: sum(c.net(s * masks[:, k : k + 1] * x)[:, c.target] for s in strengths) / samples  # noqa: E731
            w = torch.stack([score(k) for k in range(a.shape[1])], 1).softmax(1)
        return weighted(w, a.flatten(2))

    return run


# ---- others ----


def reveal_cancel(c):
    """DeepLIFT's second rule (Shrikumar 2017, 3.5.3) from zero, on dense layers with rectifiers between."""
    dense = [m for m in c.net.steps if isinstance(m, nn.Linear)]
    found = []
    for x in c.x[0].detach():
        zs, z0s, dxs = [], [], []
        y, y0 = x, torch.zeros_like(x)
        for layer in dense:
            dxs.append(y - y0)
            zs.append(layer(y))
            z0s.append(layer(y0))
            y, y0 = zs[-1].relu(), z0s[-1].relu()
        m = dense[-1].weight[c.target]  # of the last layer's input
        for layer, z, z0, dx in list(zip(dense, zs, z0s, dxs))[-2::-1]:
            w, up, down = layer.weight, dx.relu(), -(-dx).relu()
            plus = w.relu() @ up - (-w).relu() @ down
            minus = -(-w).relu() @ up + w.relu() @ down
            f = torch.relu
            rise = (f(z0 + plus) - f(z0) + f(z) - f(z0 + minus)) / 2
            fall = (f(z0 + minus) - f(z0) + f(z) - f(z0 + plus)) / 2
            share = lambda part, d: torch.where(d.abs() < 1e-10, (z > 0) * 1.0, part / torch.where(d == 0, 1, d))  # noqa: E731
            mp, mm = m * share(rise, plus), m * share(fall, minus)
            risen = w.relu().T @ mp - (-w).relu().T @ mm
            fallen = -(-w).relu().T @ mp + w.relu().T @ mm
            m = torch.where(dx > 0, risen, torch.where(dx < 0, fallen, (risen + fallen) / 2))
        found.append(m * dxs[0])
    return arrays(torch.stack(found))


def blur_ig(steps, max_sigma, step=0.01):
    """PAIR's sum on any number of positions."""

    def run(c):
        x = c.x[0].detach().double().numpy()
        axes = range(2, x.ndim)
        blurred = lambda s: scipy.ndimage.gaussian_filter(x, s, axes=axes, mode="constant") if s > 0 else x  # noqa: E731
        total = np.zeros_like(x)
        for s in [i * max_sigma / steps for i in range(steps)]:
            at = torch.from_numpy(blurred(s)).to(c.x[0].dtype).requires_grad_()
            g = torch.autograd.grad(c.net(at)[:, c.target].sum(), at)[0].double().numpy()
            total -= max_sigma / steps * (blurred(s + step) - blurred(s)) / step * g
        return [total]

    return run


def erasure(contrast=None):
    """Drop of p_c - p_f (of the score without a contrast) when a token's entry in the mask is 0, or a table's feature."""

    def run(c):
        def lead(logits):
            logits = logits.to(c.x[0].dtype)
            p = logits if contrast is None else logits.softmax(-1)
            return p[:, c.target] - (0 if contrast is None else p[:, contrast])

        if not c.has("text"):
            x = c.inputs().detach()
            keep = 1 - torch.eye(x.shape[1], dtype=x.dtype)
            return arrays(torch.stack([lead(c.net(x)) - lead(c.net(x * k)) for k in keep], 1))
        feeds = {k: np.load(v) for k, v in c.feeds.items()}
        mask, lost = feeds["attention_mask"], []
        full = lead(Net.values_of(c.path, feeds))
        for i in range(mask.shape[1]):
            erased = mask.copy()
            erased[:, i] = 0
            lost.append(full - lead(Net.values_of(c.path, feeds | {"attention_mask": erased})))
        return arrays(torch.stack(lost, 1)[:, :, None].expand_as(c.x[0]))

    return run


def uniform_control(c):
    return arrays(noise.draws(noise.uniform, c.inputs(), 1)[:, 0])


def sobel(c):
    x = c.inputs().detach().double().numpy()
    one = lambda v: np.sqrt(sum(scipy.ndimage.sobel(v, a, mode="nearest") ** 2 for a in range(v.ndim)))  # noqa: E731
    return [np.stack([np.stack([one(v) for v in item]) for item in x])]


def constant(c):
    return arrays(torch.ones_like(c.inputs()))
