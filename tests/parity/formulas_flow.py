"""Transformer attribution (Chefer 2021, CVPR: Transformer-Explainability) and value zeroing (Mohebbi 2023), written out
from the papers and the authors' repositories. Nothing here is shared with onnxplain."""

import torch
from formulas import attention_of, attnlrp_instead, first_row, identity
from torch import nn
from torch.nn import functional as F


def chain(matrices, add_identity):
    size = matrices[0].shape[-1]
    eye = torch.eye(size, dtype=matrices[0].dtype).expand(len(matrices[0]), -1, -1)
    total = eye
    for m in matrices:
        total = (m + eye if add_identity else m) @ total
    return total


# ---- value zeroing ----


def until(net, env, name, value, end):
    """The tensor `end` with `value` in place of the tensor `name` of a run."""
    env, changed = env | {name: value}, {name}
    for step, out, args in zip(net.steps, net.names, net.args):
        if out not in changed and changed.intersection(args):
            env[out] = step(*(env[a] for a in args))
            changed.add(out)
        if out == end:
            return env[end]


def value_zeroing(c):
    """1 - cos of the tokens behind a block with and without one token's value; rows scaled to 1, all layers in turn."""
    with torch.no_grad():
        env = c.net.run(*c.x)
        maps = [n for n, op in zip(c.net.names, c.net.ops) if op == "Softmax" and env[n].dim() == 4]
        values = [next(a[1] for a in c.net.args if a and a[0] == m) for m in maps]
        found = []
        for value, end in zip(values, c.blocks):
            columns = []
            for j in range(env[value].shape[2]):
                without = env[value].clone()
                without[:, :, j] = 0
                moved = until(c.net, env, value, without, end)
                columns.append(1 - F.cosine_similarity(env[end], moved, dim=-1, eps=1e-300))
            m = torch.stack(columns, -1)
            found.append(m / m.sum(-1, keepdim=True))
    return first_row(c, chain(found, False))


# ---- transformer attribution: relevance as input x modified gradient ----


class Residual(torch.autograd.Function):
    """z = u + v: r_u = u R / z first, then both scaled by sums over the item so that together they keep sum R."""

    @staticmethod
    def forward(ctx, u, v):
        ctx.save_for_backward(u, v)
        return u + v

    @staticmethod
    def backward(ctx, g):
        u, v = ctx.saved_tensors
        total = lambda t: t.flatten(1).sum(1).view(-1, *[1] * (t.dim() - 1))  # noqa: E731
        r, su, sv = total((u + v) * g), total(u * g), total(v * g)
        both = su.abs() + sv.abs()
        return g * su.sign() * r / both, g * sv.sign() * r / both


def ends_of(net):
    """What a normalisation or a GELU spelled in primitives ends in -> what it reads."""
    made = dict(zip(net.names, zip(net.ops, net.args)))
    readers = {}
    for name, (_, args) in made.items():
        for a in args:
            readers.setdefault(a, []).append(name)
    next_of = lambda n, op: next((r for r in readers.get(n, []) if made[r][0] == op), None)  # noqa: E731
    found = {}
    for name, (op, args) in made.items():
        if op == "Sub" and len(args) == 2 and made.get(args[1], ("",))[0] == "ReduceMean":
            found[next_of(next_of(next_of(name, "Div"), "Mul"), "Add")] = args[0]
        if op == "Erf":
            product = next_of(next_of(name, "Add"), "Mul")
            half = next_of(product, "Mul")
            found[half or product] = made[args[0]][1][0]
    return found


def favoured(step, x):
    """z+ without biases: the positive terms of W x, with the layer's own value."""
    up, w = step.weight.clamp(min=0), step.weight
    d = F.linear(x.clamp(min=0), up) + F.linear(x.clamp(max=0), w - up)
    y = step(x).detach()
    return d * torch.where(d == 0, torch.zeros_like(y), y / torch.where(d == 0, torch.ones_like(d), d)).detach()


def chefer_run(c):
    net, ends = c.net, ends_of(c.net)
    env = dict(zip(net.inputs, [x.detach().requires_grad_() for x in c.x]))
    for step, name, args, op in zip(net.steps, net.names, net.args, net.ops):
        given = [env[a] for a in args]
        y = step(*given)
        if name in ends:
            y = identity(env[ends[name]], y)
        elif isinstance(step, nn.Linear):
            y = favoured(step, *given)
        elif op in ("Softmax", "Tanh", "Relu") or (op == "Add" and len(given) == 1):
            y = identity(given[0], y)
        elif op == "Add":
            y = Residual.apply(*given)
        elif op == "MatMul":
            y = y / 2 + (y / 2).detach()
        env[name] = y
    return env


def transformer_attribution(rules):
    def run(c):
        if rules == "chefer":
            env = chefer_run(c)
        else:
            env = c.net.run(*[x.detach().requires_grad_() for x in c.x], instead=attnlrp_instead(False))
        maps = [env[n] for n, op in zip(c.net.names, c.net.ops) if op == "Softmax" and env[n].dim() == 4]
        y = env[c.net.out][:, c.target]
        start = (y / y.detach()).sum()  # relevance 1 at the target
        relevance = [m.detach() * g for m, g in zip(maps, torch.autograd.grad(start, maps))]
        _, grads, _, _ = attention_of(c)
        total = chain([(g * r).relu().mean(1) for g, r in zip(grads, relevance)], True).clone()
        total[:, 0, 0] = 0
        return first_row(c, total)

    return run
