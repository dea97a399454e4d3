#!/usr/bin/env python3
"""What the methods on attention must give on the transformers of tests/data/toy, by dense formulas.

    python3 tools/make_attention_refs.py tests/data/toy

Needs numpy and onnx (for the weights only). The forward passes are written out here in double;
derivatives are complex steps, exact to rounding. Writes NAME.io/ref_METHOD[_WHAT].npy with one row
per item, for class 1 (the sum over its tokens where a model has scores per token).
"""

import math
import pathlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper

HEADS = 2
STEP = 1e-30


class Model:
    """The weights of one toy, and what the last forward pass saw."""

    def __init__(self, folder, name):
        model = onnx.load(folder / f"{name}.onnx")
        self.w = {i.name: numpy_helper.to_array(i).astype(float) for i in model.graph.initializer}
        self.io = folder / f"{name}.io"
        self.tap = {}  # added to a map
        self.zeroed = {}  # name of an attention: the token whose value is zero
        self.seen = {}

    def input(self, name):
        return np.load(self.io / f"input__{name}.npy").astype(float)

    def save(self, name, rows):
        np.save(self.io / f"ref_{name}.npy", np.array(rows))

    # ---- the forward pass of one item ----

    def dense(self, name, x):
        self.seen[f"{name}.x"] = x
        return x @ self.w[f"{name}.w"] + self.w[f"{name}.b"]

    def norm(self, name, x):
        self.seen[f"{name}.x"] = x
        d = x - x.mean(-1, keepdims=True)
        d = d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)
        return d * self.w[f"{name}.scale"] + self.w[f"{name}.bias"]

    def attend(self, name, q, k=None, v=None):
        k = q if k is None else k
        v = k if v is None else v
        q, k, v = (
            heads(self.dense(f"{name}.{role}", x)) for role, x in (("q", q), ("k", k), ("v", v))
        )
        if name in self.zeroed:
            v = v.copy()
            v[:, self.zeroed[name]] = 0
        e = np.exp(q @ k.swapaxes(1, 2) * self.w[f"{name}.scale"])
        a = e / e.sum(-1, keepdims=True) + self.tap.get(name, 0)
        self.seen.update({f"{name}.q": q, f"{name}.k": k, f"{name}.v": v, f"{name}.map": a})
        return self.dense(f"{name}.o", merged(a @ v))

    def mlp(self, name, x):
        h = self.dense(f"{name}.up", x)
        return self.dense(f"{name}.down", h * 0.5 * (1 + erf(h / math.sqrt(2))))

    def block_pre(self, name, x):
        a = self.attend(name, self.norm(f"{name}.n1", x))
        self.seen[f"{name}.sum1"] = x, a
        x = x + a
        m = self.mlp(f"{name}.m", self.norm(f"{name}.n2", x))
        self.seen[f"{name}.sum2"] = x, m
        return x + m

    def block_post(self, name, x):
        a = self.attend(name, x)
        self.seen[f"{name}.sum1"] = x, a
        x = self.norm(f"{name}.1.n", x + a)
        m = self.mlp(f"{name}.m", x)
        self.seen[f"{name}.sum2"] = x, m
        return self.norm(f"{name}.2.n", x + m)

    def first(self, x):
        self.seen["fc.x"] = x[0]
        return x[0] @ self.w["fc.weight"].T + self.w["fc.bias"]

    # ---- rule 5 ----

    def positive(self, forward, names):
        """mean over heads of relu(dY/dA . A) of each map; Y = forward()."""
        self.tap = {}
        forward()
        maps = {name: self.seen[f"{name}.map"] for name in names}
        return {name: self.weighted(forward, name, maps[name], maps[name]) for name in names}

    def weighted(self, forward, name, a, x):
        g = np.zeros(a.shape)
        for at in np.ndindex(a.shape):
            tap = np.zeros(a.shape, complex)
            tap[at] = 1j * STEP
            self.tap = {name: tap}
            g[at] = forward().imag / STEP
        self.tap = {}
        return np.maximum(g * x, 0).mean(0)


def heads(x):
    return x.reshape(len(x), HEADS, -1).swapaxes(0, 1)


def merged(x):
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)


def erf(x):
    real = np.vectorize(math.erf)(x.real)
    slope = 2 / math.sqrt(math.pi) * np.exp(-(x.real**2))
    return real + 1j * x.imag * slope if np.iscomplexobj(x) else real


# ---- TMME, rules 6 to 11, in the order of the papers' own code ----


def normalised(r):
    rest = r - np.eye(len(r))
    total = rest.sum(-1, keepdims=True)
    return np.divide(rest, total, out=np.zeros_like(rest), where=total != 0) + np.eye(len(r))


def tmme_coattention(a, normalise=True, own=True):
    """Rows 0 of R_tt, less the token's own entry, and of R_ti."""
    norm = normalised if normalise else lambda r: r
    t, i = a["t1"].shape[0], a["i1"].shape[0]
    tt, ii, ti, it = np.eye(t) + a["t1"], np.eye(i) + a["i1"], np.zeros((t, i)), np.zeros((i, t))
    more_ti = norm(tt).T @ a["tc1"] @ norm(ii) if own else a["tc1"]
    more_it = norm(ii).T @ a["ic1"] @ norm(tt) if own else a["ic1"]
    more_tt, more_ii = a["tc1"] @ it, a["ic1"] @ ti
    ti, it, tt, ii = ti + more_ti, it + more_it, tt + more_tt, ii + more_ii
    tt, ti = tt + a["ts1"] @ tt, ti + a["ts1"] @ ti
    ii, it = ii + a["is1"] @ ii, it + a["is1"] @ it
    more_ti = norm(tt).T @ a["tc2"] @ norm(ii) if own else a["tc2"]
    tt, ti = tt + a["tc2"] @ it, ti + more_ti
    tt, ti = tt + a["ts2"] @ tt, ti + a["ts2"] @ ti
    tt[0, 0] = 0
    return tt[0], ti[0]


def tmme_decoder(encoder, decoder, queries):
    """R_qq, R_qi after encoder layers (a_ii) and decoder layers (a_qq or None, a_qi)."""
    ii = np.eye(len(encoder[0]))
    for a in encoder:
        ii = ii + a @ ii
    qq, qi = np.eye(queries), np.zeros((queries, len(ii)))
    for own, cross in decoder:
        if own is not None:
            qq, qi = qq + own @ qq, qi + own @ qi
        qi = qi + normalised(qq).T @ cross @ normalised(ii)
    return qq, qi


# ---- relevance: Chefer et al. 2021 (CVPR), and AttnLRP ----


def shared(r, z):
    return np.divide(r, z, out=np.zeros_like(r), where=z != 0)


def stabilised(r, z):
    return r / (z + np.where(z < 0, -1e-6, 1e-6))


def zplus(x, w, b, r):
    pw, nw, px, nx = np.maximum(w, 0), np.minimum(w, 0), np.maximum(x, 0), np.minimum(x, 0)
    s = shared(r, px @ pw + nx @ nw)
    return px * (s @ pw.T) + nx * (s @ nw.T)


def split(x, y, r):
    """Residuals: each in proportion, then scaled so that together they are sum R."""
    s = shared(r, x + y)
    x, y = x * s, y * s
    total = abs(x.sum()) + abs(y.sum())
    return x * np.sign(x.sum()) * r.sum() / total, y * np.sign(y.sum()) * r.sum() / total


class Chefer:
    start = staticmethod(lambda y: 1.0)
    dense = staticmethod(zplus)
    add = staticmethod(split)
    norm = staticmethod(lambda x, scale, bias, r: r)
    softmax = staticmethod(lambda x, a, r: r)

    @staticmethod
    def product(x, y, r):
        s = shared(r, x @ y) / 2
        return x * (s @ y.swapaxes(1, 2)), y * (x.swapaxes(1, 2) @ s)


class AttnLrp:
    start = staticmethod(lambda y: 1.0)
    softmax = staticmethod(lambda x, a, r: x * (r - a * r.sum(-1, keepdims=True)))

    @staticmethod
    def dense(x, w, b, r):
        return x * (stabilised(r, x @ w + b) @ w.T)

    @staticmethod
    def add(x, y, r):
        s = stabilised(r, x + y)
        return x * s, y * s

    @staticmethod
    def norm(x, scale, bias, r):
        d = x - x.mean(-1, keepdims=True)
        root = np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)
        g = stabilised(r, d / root * scale + bias) * scale / root
        return x * (g - g.mean(-1, keepdims=True))

    @staticmethod
    def product(x, y, r):
        s = stabilised(r, 2 * (x @ y))
        return x * (s @ y.swapaxes(1, 2)), y * (x.swapaxes(1, 2) @ s)


class Relevance:
    """R of the maps of an encoder, from the one-hot class down."""

    def __init__(self, model, rules):
        self.m, self.rules, self.map = model, rules, {}

    def dense(self, name, r):
        return self.rules.dense(
            self.m.seen[f"{name}.x"], self.m.w[f"{name}.w"], self.m.w[f"{name}.b"], r
        )

    def norm(self, name, r):
        w = self.m.w
        return self.rules.norm(self.m.seen[f"{name}.x"], w[f"{name}.scale"], w[f"{name}.bias"], r)

    def attend(self, name, r):
        seen = self.m.seen
        a, q, k = (seen[f"{name}.{role}"] for role in ("map", "q", "k"))
        r = heads(self.dense(f"{name}.o", r))
        self.map[name], rv = self.rules.product(a, seen[f"{name}.v"], r)
        scores = q @ k.swapaxes(1, 2) * self.m.w[f"{name}.scale"]
        rs = self.rules.softmax(scores, a, self.map[name])
        if self.rules is AttnLrp:  # the scale is a linear layer with a stabiliser of its own
            rs = scores * stabilised(rs, scores)
        rq, rk = self.rules.product(q, k.swapaxes(1, 2), rs)
        parts = (("q", rq), ("k", rk.swapaxes(1, 2)), ("v", rv))
        return sum(self.dense(f"{name}.{role}", merged(part)) for role, part in parts)

    def mlp(self, name, r):
        return self.dense(f"{name}.up", self.dense(f"{name}.down", r))

    def block_pre(self, name, r):
        r, m = self.rules.add(*self.m.seen[f"{name}.sum2"], r)
        r = r + self.norm(f"{name}.n2", self.mlp(f"{name}.m", m))
        r, a = self.rules.add(*self.m.seen[f"{name}.sum1"], r)
        return r + self.norm(f"{name}.n1", self.attend(name, a))

    def block_post(self, name, r):
        r, m = self.rules.add(*self.m.seen[f"{name}.sum2"], self.norm(f"{name}.2.n", r))
        r = r + self.mlp(f"{name}.m", m)
        r, a = self.rules.add(*self.m.seen[f"{name}.sum1"], self.norm(f"{name}.1.n", r))
        return r + self.attend(name, a)

    def first(self, tokens, start):
        w = self.m.w["fc.weight"].T
        r = np.zeros((tokens, len(w)))
        one_hot = np.eye(w.shape[1])[1] * start
        r[0] = self.rules.dense(self.m.seen["fc.x"], w, self.m.w["fc.bias"], one_hot)
        return r


def flow(maps, rows):
    r = np.eye(len(maps[0]))
    for a in maps:
        m = a + np.eye(len(a))
        r = (m / m.sum(-1, keepdims=True) if rows else m) @ r
    return r


# ---- value zeroing ----


def value_zeroing(model, block, name, x):
    """Row i, column j: how far the block's token i moves when the value of j is zero."""
    behind, out = block(name, x), np.zeros((len(x), len(x)))
    for j in range(len(x)):
        model.zeroed = {name: j}
        moved = block(name, x)
        model.zeroed = {}
        for i in range(len(x)):
            lengths = np.linalg.norm(behind[i]) * np.linalg.norm(moved[i])
            out[i, j] = 1 - behind[i] @ moved[i] / lengths
    return out / out.sum(-1, keepdims=True)


# ---- the models ----


def encoder(folder, name, kind):
    m = Model(folder, name)
    block = getattr(m, f"block_{kind}")
    rows = {}
    for x in m.input("x"):

        def end():
            y = block("b2", block("b1", x))
            return m.norm("last", y) if kind == "pre" else y

        def forward():
            return m.first(end())[1]

        def keep(what, row):
            rows.setdefault(what, []).append(row)

        for rules, word in ((Chefer, "attribution"), (AttnLrp, "attribution_attnlrp")):
            forward()
            relevance = Relevance(m, rules)
            r = relevance.first(len(x), 1.0)
            r = relevance.norm("last", r) if kind == "pre" else r
            back = getattr(relevance, f"block_{kind}")
            back("b1", back("b2", r))
            maps = [m.seen[f"{b}.map"] for b in ("b1", "b2")]
            a = [m.weighted(forward, b, at, relevance.map[b]) for b, at in zip(("b1", "b2"), maps)]
            keep(word, flow(a, False)[0])
            keep(f"{word}_rows", flow(a, True)[0])
        first = value_zeroing(m, block, "b1", x)
        second = value_zeroing(m, block, "b2", block("b1", x))
        keep("value_zeroing", (second @ first)[0])
        keep("value_zeroing_b1", first[0])
        keep("value_zeroing_b2", second[0])
    for what, values in rows.items():
        m.save(what, values)


def coattention(folder):
    m = Model(folder, "attn_coattention")
    rows = {}
    for t, i in zip(m.input("text"), m.input("image")):

        def forward():
            x, y = m.block_post("t1", t), m.block_post("i1", i)
            across = m.norm("tc1.x.n", x + m.attend("tc1", x, y))
            back = m.norm("ic1.x.n", y + m.attend("ic1", y, x))
            x, y = m.block_post("ts1", across), m.block_post("is1", back)
            x = m.norm("tc2.x.n", x + m.attend("tc2", x, y))
            return m.first(m.block_post("ts2", x))[1]

        a = m.positive(forward, ["t1", "i1", "tc1", "ic1", "ts1", "is1", "tc2", "ts2"])
        for word, flags in (("", (True, True)), ("_raw", (False, True)), ("_map", (True, False))):
            text, image = tmme_coattention(a, *flags)
            rows.setdefault(f"tmme_text{word}", []).append(text)
            rows.setdefault(f"tmme_image{word}", []).append(image)
    for what, values in rows.items():
        m.save(what, values)


def encoder_decoder(folder):
    m = Model(folder, "attn_encoder_decoder")
    rows = {"tmme_source": [], "tmme_target": []}
    for source, x0 in zip(m.input("source"), m.input("target")):

        def forward():
            x, memory = x0, m.norm("memory", m.block_pre("e1", source))
            for d in "12":
                x = x + m.attend(f"ds{d}", m.norm(f"d{d}.n1", x))
                x = x + m.attend(f"dc{d}", m.norm(f"d{d}.n2", x), memory)
                x = x + m.mlp(f"d{d}.m", m.norm(f"d{d}.n3", x))
            return m.dense("head", m.norm("last", x))[:, 1].sum()

        a = m.positive(forward, ["e1", "ds1", "dc1", "ds2", "dc2"])
        qq, qi = tmme_decoder([a["e1"]], [(a["ds1"], a["dc1"]), (a["ds2"], a["dc2"])], len(x0))
        rows["tmme_source"].append(qi[2])
        qq[2, 2] = 0
        rows["tmme_target"].append(qq[2])
    for what, values in rows.items():
        m.save(what, values)


def queries(folder):
    m = Model(folder, "attn_queries")
    rows = {"tmme_picture": [], "tmme_queries": []}
    places, asked = m.w["places"][0], m.w["queries"][0]
    for picture in m.input("picture"):
        patches = picture[0].reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
        embedded = patches @ m.w["patch.w"].reshape(-1, 4).T

        def forward():
            y = embedded + places
            y = m.norm("e1.1.n", embedded + m.attend("e1", y, y, embedded))
            y = m.norm("e1.2.n", y + m.mlp("e1.m", y))
            x = m.norm("q1.1.n", asked + m.attend("qc1", asked, y + places, y))
            x = m.norm("q1.2.n", x + m.mlp("q1.m", x))
            x = m.norm("q2.1.n", x + m.attend("qs2", x + asked, x + asked, x))
            x = m.norm("q2.2.n", x + m.attend("qc2", x + asked, y + places, y))
            return m.dense("head", x)[:, 1].sum()

        a = m.positive(forward, ["e1", "qc1", "qs2", "qc2"])
        qq, qi = tmme_decoder([a["e1"]], [(None, a["qc1"]), (a["qs2"], a["qc2"])], 3)
        rows["tmme_picture"].append(qi[1])
        qq[1, 1] = 0
        rows["tmme_queries"].append(qq[1])
    for what, values in rows.items():
        m.save(what, values)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    encoder(folder, "attn_encoder_pre", "pre")
    encoder(folder, "attn_encoder_post", "post")
    coattention(folder)
    encoder_decoder(folder)
    queries(folder)


if __name__ == "__main__":
    main()
