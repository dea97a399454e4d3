"""The models of the comparison: file, inputs, target, layer, and the module that peers hook."""

import dataclasses
import functools
import pathlib

import numpy as np
import torch
from graphs import GRAPHS, REGIONS, SIDE, STREAM, TOKENS, WORDS
from net import Net

DATA = pathlib.Path("tests/data")
WORK = pathlib.Path("build-parity")  # made models and inputs, and what the command writes


@dataclasses.dataclass
class Case:
    name: str
    path: pathlib.Path
    feeds: dict  # tensor -> .npy file
    target: int
    layer: str = ""  # a tensor with positions; empty: no row of layers
    wrt: str = ""  # the tensor attributed to; empty: the inputs
    kinds: str = ""  # words that rows select by
    prefix: int = 0  # tokens before those of the grid
    square: tuple = ()  # the grid of those tokens
    blocks: tuple = ()  # of a transformer: the tokens behind each block

    @functools.cached_property
    def net(self):
        feeds = {k: np.load(v) for k, v in self.feeds.items()}
        floats = [k for k, v in feeds.items() if v.dtype.kind == "f"]
        net = Net(self.path, feeds, [self.wrt] if self.wrt else floats)
        start = [net.values[n] for n in net.inputs]
        gap = (net(*start) - net.values[net.out]).abs().max()
        assert gap < 1e-9, f"{self.name}: the module differs from its graph by {gap}"
        return net

    @functools.cached_property
    def x(self):
        return tuple(self.net.values[n].detach().clone().requires_grad_() for n in self.net.inputs)

    @property
    def step(self):
        return self.net.step(self.layer)

    def inputs(self):
        return self.x if len(self.x) > 1 else self.x[0]

    def classes(self):
        return self.net.values[self.net.out].shape[1]

    def single(self, nudge=0):
        """The same case in float32, to see what rounding alone does to the peer; `nudge`: the input's last digits moved
        up or down, another draw for each number."""
        other = dataclasses.replace(self)
        other.net.float()
        torch.manual_seed(nudge)
        move = lambda x: x * (1 + 2.0**-23 * (2 * torch.randint(0, 2, x.shape) - 1)) if nudge else x  # noqa: E731
        other.x = tuple(move(x.detach().float()).requires_grad_() for x in other.x)
        return other

    def grid(self, t):
        """(N,C,L) as (N,C,L,1) and tokens (N,T,C) as (N,C,H,W); others as they are."""
        if self.square:
            return t[:, self.prefix :].transpose(1, 2).reshape(len(t), -1, *self.square)
        return t.unsqueeze(-1) if t.dim() == 3 else t

    def has(self, words):
        kinds = self.kinds.split() + ["at_layer"] * bool(self.layer)
        return all((w[1:] not in kinds) if w[0] == "-" else w in kinds for w in words.split())


def sample(name, tensors, folder="samples", **more):
    path = DATA / folder / f"{name}.onnx"
    io = path.with_suffix(".io")
    feeds = {t: io / f"input__{t}.npy" for t in tensors}
    if more.pop("first", False):  # captum repeats inputs, not what else a graph was given
        for tensor, file in feeds.items():
            feeds[tensor] = WORK / f"{name}.{tensor}.npy"
            np.save(feeds[tensor], np.load(file)[:1])
    return Case(more.pop("title", name), path, feeds, **more)


def graph(name):
    """The file of a made model, written when it is missing or older than what writes it."""
    path, source = WORK / f"{name}.onnx", pathlib.Path(__file__).with_name("graphs.py")
    if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
        GRAPHS[name]().write(WORK)
    return path


def made(name, **more):
    path, x = graph(name), WORK / "picture.npy"
    if not x.exists():
        np.save(x, np.random.default_rng(1).standard_normal((1, 3, SIDE, SIDE), np.float32))
    return Case(name, path, {"input": x}, target=3, **more)


def text(name, **more):
    path, x = graph(name), WORK / "tokens.npy"
    np.save(x, np.random.default_rng(2).integers(0, WORDS, (1, TOKENS)))
    return Case(name, path, {"input_ids": x}, target=3, **more)


def streams(name, **more):
    path, feeds = graph(name), {}
    for index, (tensor, tokens) in enumerate((("image", REGIONS), ("text", TOKENS))):
        feeds[tensor] = WORK / f"{name}.{tensor}.npy"
        draw = np.random.default_rng(3 + index).standard_normal((1, tokens, STREAM), np.float32)
        np.save(feeds[tensor], draw)
    return Case("two streams", path, feeds, target=3, **more)


def cases():
    torch.set_num_threads(1)
    WORK.mkdir(exist_ok=True)
    conv = "layer conv small cheap"
    chelsea = DATA / "samples/efficientnet-lite0.chelsea/input__images.npy"
    picture = WORK / "chelsea.npy"
    np.save(picture, np.load(chelsea).astype(np.float32))
    return [
        sample(
            "oracle_conv",
            ["x"],
            "toy",
            target=0,
            layer="relu1",
            kinds=conv + " 2d oracle relu_layer captum_lrp score",
        ),
        sample(
            "oracle_conv_two_inputs",
            ["x", "y"],
            "toy",
            title="two inputs",
            target=0,
            layer="relu1",
            kinds="layer small cheap many",
        ),
        sample("cnn1d", ["x"], "toy", target=1, layer="relu3", kinds=conv + " 1d relu_layer pooled"),
        sample("cnn2d", ["x"], "toy", target=1, layer="relu3", kinds=conv + " 2d relu_layer bn captum_lrp score cam pooled"),
        sample("cnn3d", ["x"], "toy", target=1, layer="relu3", kinds=conv + " 3d relu_layer"),
        sample(
            "ecg_apc_cnn1d_rec100",
            ["ecg"],
            title="ECG CNN",
            target=1,
            layer="/7/Relu_output_0",
            kinds=conv + " 1d relu_layer pooled",
        ),
        sample(
            "breast_cancer_mlp",
            ["features"],
            title="table MLP",
            target=0,
            kinds="table small cheap raw_table",
        ),
        sample(
            "breast_cancer_mlp",
            ["features"],
            title="table MLP, standardised",
            target=0,
            wrt="/Div_output_0",
            kinds="table small cheap relevance captum_lrp dense",
        ),
        sample(
            "vit_tiny_fashion_mnist",
            ["image"],
            title="tiny ViT",
            target=3,
            layer="/b.2/n1/Add_1_output_0",
            kinds="tokens layer cheap attention",
            prefix=1,
            square=(4, 4),
            blocks=tuple(f"/b.{i}/Add_2_output_0" for i in range(3)),
        ),
        sample(
            "bert_tiny_sms_spam",
            ["input_ids", "attention_mask"],
            title="BERT-like",
            target=1,
            wrt="/word_embeddings/Gather_output_0",
            kinds="text cheap attention masked",
            first=True,
            blocks=tuple(f"/layer.{i}/n2/Add_1_output_0" for i in range(2)),
        ),
        Case(
            "EfficientNet-Lite0",
            pathlib.Path("models/efficientnet-lite0.onnx"),
            {"images": picture},
            282,
            "head",
            kinds="layer conv 2d large bn residual relu6 picture heavy",
        ),
        made("resnet18", layer="layer4.1", kinds="layer conv 2d large bn relu_layer residual cam overlap"),
        made("vgg11_bn", layer="relu11", kinds="layer conv 2d large bn relu_layer"),
        made("densenet121", layer="relu5", kinds="layer conv 2d large bn relu_layer dense_bn cam overlap"),
        made("mobilenetv3", layer="features.11", kinds="layer 2d large bn gates"),
        text(
            "bert_base",
            wrt="words",
            kinds="text large attention heavy",
            blocks=tuple(f"layer.{i}" for i in range(12)),
        ),
        streams("two_streams", kinds="streams many tokens text gates"),
    ]
