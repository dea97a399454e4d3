"""How rows of models.tsv become torch modules and inputs. Everything is small: random weights, few layers.

A row's `model` is an expression over the names below; its `input` one of the kinds of `inputs`.
"""

import sys
import warnings

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")

try:
    import torchvision
except (
    RuntimeError
):  # the package index has no torchvision for torch-cpu: its two operators are declared, not run
    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401

import timm  # noqa: E402
import torchvision.models as tv  # noqa: E402
import torchvision.models.segmentation as seg  # noqa: E402
import torchvision.models.video as video  # noqa: E402
import transformers as hf  # noqa: E402

CLASSES = 10


class First(nn.Module):
    """The first tensor of what a module returns: of tuples, dictionaries, dataclasses."""

    def __init__(self, net, names, key=None):
        super().__init__()
        self.net, self.names, self.key = net, names, key

    def forward(self, *inputs):
        out = self.net(**dict(zip(self.names, inputs, strict=True))) if self.names else self.net(*inputs)
        if self.key:
            return out[self.key]
        while not isinstance(out, torch.Tensor):
            out = next(iter(out.values())) if hasattr(out, "values") else out[0]
        return out


def image(model: nn.Module, key: str | None = None) -> First:
    return First(model, None, key)


def timm_model(name: str, **kw) -> nn.Module:
    return timm.create_model(name, num_classes=CLASSES, **kw)


TINY = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    vocab_size=100,
    max_position_embeddings=64,
)


def text(kind: str, names: tuple[str, ...] = ("input_ids", "attention_mask"), **kw) -> First:
    """A model of transformers by the name of its head's class, eager attention, small."""
    head = getattr(hf, kind)
    config = head.config_class(**kw)
    for known, value in (("use_cache", False), ("return_dict", True), ("pad_token_id", 0)):
        try:
            setattr(config, known, value)
        except (AttributeError, ValueError):
            pass
    config._attn_implementation = "eager"
    return First(head(config), names)


def bert_like(kind: str, **kw) -> First:
    return text(kind, **{**TINY, "num_labels": 3, **kw})


# ---- nets of our own -------------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, kind, both, layers=2):
        super().__init__()
        self.rnn = kind(4, 12, num_layers=layers, bidirectional=both, batch_first=True)
        self.head = nn.Linear(12 * (1 + both), 5)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Tcn(nn.Module):
    """Dilated causal convolutions with residuals (Bai et al. 2018)."""

    def __init__(self, channels=8, levels=4):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.ConstantPad1d((2 * 2**i, 0), 0.0),
                nn.Conv1d(3 if i == 0 else channels, channels, 3, dilation=2**i),
                nn.ReLU(),
            )
            for i in range(levels)
        )
        self.head = nn.Linear(channels, 5)

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            y = layer(x)
            x = y if i == 0 else x + y
        return self.head(x.mean(2))


class Unet(nn.Module):
    def __init__(self, axes, width=6, up="transpose"):
        super().__init__()
        conv, norm = getattr(nn, f"Conv{axes}d"), getattr(nn, f"BatchNorm{axes}d")
        self.pool = getattr(nn, f"MaxPool{axes}d")(2)

        def block(a, b):
            return nn.Sequential(
                conv(a, b, 3, padding=1), norm(b), nn.ReLU(), conv(b, b, 3, padding=1), nn.ReLU()
            )

        self.down = nn.ModuleList([block(1, width), block(width, 2 * width)])
        self.middle = block(2 * width, 4 * width)
        if up == "transpose":
            make = getattr(nn, f"ConvTranspose{axes}d")
            self.up = nn.ModuleList(
                [make(4 * width, 2 * width, 2, stride=2), make(2 * width, width, 2, stride=2)]
            )
        else:
            mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
            self.up = nn.ModuleList(
                nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), conv(a, a // 2, 1))
                for a in (4 * width, 2 * width)
            )
        self.join = nn.ModuleList([block(4 * width, 2 * width), block(2 * width, width)])
        self.head = conv(width, 3, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.middle(x)
        for up, join, skip in zip(self.up, self.join, reversed(skips), strict=True):
            x = join(torch.cat([skip, up(x)], 1))
        return self.head(x)


class Autoencoder(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.InstanceNorm2d(8, affine=True),
            nn.ELU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.GroupNorm(3, 12),
            nn.SELU(),
            nn.ConvTranspose2d(12, 8, 3, stride=2, padding=1, output_padding=1),
            nn.Softplus(),
            nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1),
            nn.Tanh(),
        )


class Points(nn.Module):
    """A point cloud's global maximum feature (PointNet)."""

    def __init__(self):
        super().__init__()
        self.each = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 32, 1))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(self.each(x).amax(2))


class Wave(nn.Module):
    """Gated dilated convolutions (WaveNet) over a waveform."""

    def __init__(self, channels=8):
        super().__init__()
        self.first = nn.Conv1d(1, channels, 9, stride=4)
        self.gates = nn.ModuleList(
            nn.Conv1d(channels, 2 * channels, 3, padding=2**i, dilation=2**i) for i in range(4)
        )
        self.head = nn.Linear(channels, 5)

    def forward(self, x):
        x = self.first(x)
        for gate in self.gates:
            a, b = gate(x).chunk(2, 1)
            x = x + torch.tanh(a) * torch.sigmoid(b)
        return self.head(x.mean(2))


def encoder(norm_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=norm_first, activation="gelu")
    return nn.Sequential(
        nn.Linear(4, 16), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 3)
    )


class Tabular(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(12, 32),
            nn.BatchNorm1d(32),
            nn.LeakyReLU(0.1),
            nn.Linear(32, 16),
            nn.PReLU(),
            nn.Linear(16, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.net(x)


# ---- inputs ----------------------------------------------------------------------------------------


def inputs(kind: str, seed: int) -> dict[str, torch.Tensor]:
    """'image 64' -> names and tensors; integers are drawn once, floats may be drawn again by seed."""
    what, *size = kind.split()
    n = [int(v) for v in size]
    g = torch.Generator().manual_seed(seed)

    def floats(*shape):
        return torch.randn(*shape, generator=g)

    def ids(*shape):
        return torch.randint(3, 90, shape, generator=g)

    if what == "image":
        return {"x": floats(1, n[1] if len(n) > 1 else 3, n[0], n[0])}
    if what == "video":
        return {"x": floats(1, 3, n[0], n[1], n[1])}
    if what == "volume":
        return {"x": floats(1, 1, n[0], n[0], n[0])}
    if what == "array":
        return {"x": floats(1, *n)}
    if what == "ids":
        return {"input_ids": ids(1, n[0])}
    if what == "text":
        mask = torch.ones(1, n[0], dtype=torch.int64)
        mask[:, n[0] - 3 :] = 0
        return {"input_ids": ids(1, n[0]), "attention_mask": mask}
    if what == "translation":
        return {"input_ids": ids(1, n[0]), "decoder_input_ids": ids(1, n[1])}
    if what == "clip":
        return {"input_ids": ids(1, n[0]), "pixel_values": floats(1, 3, n[1], n[1])}
    if what == "speech":
        return {"input_features": floats(1, n[0], n[1]), "decoder_input_ids": ids(1, n[2])}
    raise ValueError(kind)


NAMES = dict(
    image=image,
    timm=timm_model,
    tv=tv,
    seg=seg,
    video=video,
    text=text,
    bert=bert_like,
    nn=nn,
    Recurrent=Recurrent,
    Tcn=Tcn,
    Unet=Unet,
    Autoencoder=Autoencoder,
    Points=Points,
    Wave=Wave,
    encoder=encoder,
    Tabular=Tabular,
    TINY=TINY,
)


def build(expression: str, seed: int) -> nn.Module:
    """The module with random weights, in eval mode, its batch norms fitted to noise."""
    torch.manual_seed(seed)
    return eval(expression, {**NAMES}).eval()  # the table is ours


def settle(net: nn.Module, kind: str, seed: int) -> None:
    """No weights of zero; batch norms get the statistics of random inputs, so that signals neither explode
    nor vanish. Settings (epsilons, slopes) are rounded to float32, as the exported file has them."""
    for m in net.modules():
        for name, value in vars(m).items():
            if type(value) is float:
                setattr(m, name, float(np.float32(value)))
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for p in net.parameters():  # heads that start at zero would hide the rest
        if p.ndim >= 2 and not p.detach().any():
            nn.init.normal_(p, 0, 0.05)
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
        m.train()
        if m.affine:
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, 1.0, 0.3)  # few units next to the kink: at 0, deep nets are chaotic
    with torch.no_grad():
        for k in range(2 if norms else 0):
            parts = [inputs(kind, seed + 100 + 4 * k + i) for i in range(4)]
            net(*[torch.cat([p[name] for p in parts]) for name in parts[0]])
    for m in norms:
        m.eval()
