"""The comparisons: one line each. A row runs on the cases that have all its words (`-word`: have it not);
`set` is what the command is given, the peer's options say the same. `known` names deviations: case or
word -> reason; they are listed, not failed."""

import dataclasses

from peers import (
    CONV,
    DENSE,
    cap,
    cap_activation,
    cap_contrast,
    cap_gradient_shap,
    cap_layer_cam,
    cap_lrp,
    cap_noise,
    cap_occlusion,
    finer,
    pgc,
    pgc_fullgrad,
    pgc_random,
    preset,
    rules,
    sum_and_log_softmax,
    zen,
    zen_integrated,
    zr,
)


@dataclasses.dataclass
class Row:
    method: str
    peer: str
    run: object
    on: str = ""
    set: str = ""
    flags: str = ""
    known: dict = dataclasses.field(default_factory=dict)
    sign: bool = True  # False: the peer leaves the sign open

    @property
    def title(self):
        return " ".join(filter(None, [f"`{self.method}`", self.set, self.flags]))


NEAREST = "Captum enlarges by torch's `nearest`, floor(i in / out); `upsample=nearest` takes the nearest centre. Equal where the size is a whole multiple."
TIES = "At the zero baseline all inner positions of the last max pool tie; PyTorch's convolution rounds the last few of a row differently (113 = 14 x 8 + 1), which breaks the tie by 1e-16. The first position wins here."
CLIP = "Clip(0, 6): deconvnet here ignores the upper bound as well as the lower (as Xplique does); Captum's hook sees the nn.ReLU only, and min(x, 6) masks. zennit with the upper bound passed is equal."
PAD = "TensorFlow's uneven padding is a module of its own in PyTorch: relevance that falls on padding, or bounds of the input's own shape, are not what they are for a padded convolution."
RAW = "relu=false"
EPS = 1e-2
DEEP = "-tokens -text -gates -raw_table -many"

ROWS = [
    Row("saliency", "captum Saliency(abs=False)", cap("Saliency", abs=False)),
    Row("input-x-gradient", "captum InputXGradient", cap("InputXGradient")),
    Row("guided-backprop", "captum GuidedBackprop", cap("GuidedBackprop"), "-tokens -text -gates"),
    Row(
        "guided-backprop",
        "zennit GuidedBackprop",
        zen(preset("GuidedBackprop"), False, False),
        "-tokens -text -gates -many",
    ),
    Row(
        "deconvnet",
        "captum Deconvolution",
        cap("Deconvolution"),
        "-tokens -text -gates",
        known={"relu6": CLIP},
    ),
    Row("deconvnet", "zennit DeconvNet", zen(preset("DeconvNet"), False), "-tokens -text -gates -many"),
    Row(
        "contrastive-gradient",
        "captum Saliency of a difference",
        cap_contrast("Saliency", 1, abs=False),
        "-cheap",
        flags="--contrast 1",
    ),
    Row(
        "contrastive-input-x-gradient",
        "captum InputXGradient of a difference",
        cap_contrast("InputXGradient", 0),
        "text",
        flags="--contrast 0",
    ),
    Row("grad-cam", "captum LayerGradCam", cap_layer_cam, "layer -tokens", RAW),
    Row("grad-cam", "pytorch-grad-cam GradCAM", pgc("GradCAM"), "layer -many", RAW),
    Row(
        "grad-cam++",
        "pytorch-grad-cam GradCAMPlusPlus",
        pgc("GradCAMPlusPlus"),
        "layer -many",
        RAW + " variant=pgc",
    ),
    Row("hirescam", "pytorch-grad-cam HiResCAM", pgc("HiResCAM"), "layer -many", RAW),
    Row(
        "gradcam-elementwise",
        "pytorch-grad-cam GradCAMElementWise",
        pgc("GradCAMElementWise"),
        "layer -many",
        RAW,
    ),
    Row("layercam", "pytorch-grad-cam LayerCAM", pgc("LayerCAM"), "layer -many", RAW),
    Row("xgradcam", "pytorch-grad-cam XGradCAM", pgc("XGradCAM"), "layer -many", RAW + " variant=pgc"),
    Row("eigencam", "pytorch-grad-cam EigenCAM", pgc("EigenCAM"), "layer -many", RAW, sign=False),
    Row("eigengradcam", "pytorch-grad-cam EigenGradCAM", pgc("EigenGradCAM"), "layer -many", RAW, sign=False),
    Row("kpca-cam", "pytorch-grad-cam KPCA_CAM", pgc("KPCA_CAM"), "layer -many", RAW, sign=False),
    Row("scorecam", "pytorch-grad-cam ScoreCAM", pgc("ScoreCAM"), "layer 2d relu_layer", RAW),
    Row("ablationcam", "pytorch-grad-cam AblationCAM", pgc("AblationCAM"), "layer 2d relu_layer", RAW),
    Row("fem", "pytorch-grad-cam FEM", pgc("FEM"), "layer -many", RAW),
    Row("random-cam", "pytorch-grad-cam RandomCAM, our numbers", pgc_random, "layer -many", RAW),
    Row("finer-cam", "pytorch-grad-cam FinerCAM", pgc("GradCAM", finer), "layer large", RAW),
    Row(
        "shapley-cam",
        "pytorch-grad-cam ShapleyCAM",
        pgc("ShapleyCAM", sum_and_log_softmax),
        "layer conv -1d -many",
        RAW,
    ),
    Row("fullgrad", "pytorch-grad-cam FullGrad", pgc_fullgrad, "conv 2d large"),
    Row(
        "guided-grad-cam",
        "captum GuidedGradCam",
        cap("GuidedGradCam", layer=True),
        "layer conv",
        "upsample=nearest",
        known={"cnn3d": NEAREST, "ECG CNN": NEAREST},
    ),
    Row("integrated-gradients", "captum IntegratedGradients, 50 steps", cap("IntegratedGradients"), "-large"),
    Row(
        "integrated-gradients",
        "captum IntegratedGradients, 10 steps",
        cap("IntegratedGradients", n_steps=10),
        "large",
        "steps=10",
    ),
    Row(
        "integrated-gradients",
        "captum riemann_left",
        cap("IntegratedGradients", n_steps=10, method="riemann_left"),
        "-large",
        "steps=10 rule=left",
        known={"ECG CNN": TIES},
    ),
    Row(
        "integrated-gradients",
        "captum riemann_right",
        cap("IntegratedGradients", n_steps=10, method="riemann_right"),
        "-large",
        "steps=10 rule=right",
    ),
    Row(
        "integrated-gradients",
        "captum riemann_middle",
        cap("IntegratedGradients", n_steps=10, method="riemann_middle"),
        "-large",
        "steps=10 rule=middle",
    ),
    Row(
        "integrated-gradients",
        "zennit IntegratedGradients",
        zen_integrated(10),
        "-large -many",
        "steps=10 rule=right",
    ),
    Row(
        "gradient-shap",
        "captum GradientShap, our samples",
        cap_gradient_shap(5),
        "-many",
        "samples=5 baseline=zero",
    ),
    Row("activation", "captum LayerActivation", cap_activation, "layer"),
    Row(
        "gradient-x-activation",
        "captum LayerGradientXActivation",
        cap("LayerGradientXActivation", layer=True),
        "layer",
    ),
    Row(
        "internal-influence",
        "captum InternalInfluence",
        cap("InternalInfluence", layer=True, n_steps=10),
        "layer -large",
        "steps=10",
    ),
    Row(
        "conductance",
        "captum LayerConductance",
        cap("LayerConductance", layer=True, n_steps=10, method="riemann_trapezoid"),
        "layer -large",
        "steps=10 rule=left",
        known={"ECG CNN": TIES},
    ),
    Row(
        "smoothgrad",
        "captum NoiseTunnel, our noise",
        cap_noise("smoothgrad", 5, 0.2),
        "-many",
        "samples=5 noise=absolute level=0.2",
    ),
    Row(
        "smoothgrad-squared",
        "captum NoiseTunnel, our noise",
        cap_noise("smoothgrad_sq", 5, 0.2),
        "-many",
        "samples=5 noise=absolute level=0.2",
    ),
    Row(
        "vargrad",
        "captum NoiseTunnel, our noise",
        cap_noise("vargrad", 5, 0.2),
        "-many",
        "samples=5 noise=absolute level=0.2",
    ),
    Row("occlusion", "captum Occlusion", cap_occlusion(4, 2), "small -many -table", "window=4 stride=2"),
    Row("occlusion", "captum Occlusion", cap_occlusion(1, 1), "table"),
    Row("occlusion", "captum Occlusion", cap_occlusion(32, 16), "2d large", "window=32 stride=16"),
    Row("lrp", "captum LRP", cap_lrp(EPS), "captum_lrp", f"epsilon={EPS}"),
    Row("lrp", "zennit Epsilon", zen(rules((DENSE + CONV, zr.Epsilon(EPS)))), DEEP, f"epsilon={EPS}"),
    Row("lrp", "zennit ZPlus", zen(rules((DENSE + CONV, zr.ZPlus()))), DEEP, "rule=zplus"),
    Row("lrp", "zennit Gamma", zen(rules((DENSE + CONV, zr.Gamma(0.25)))), DEEP, "rule=gamma"),
    Row("lrp", "zennit AlphaBeta", zen(rules((DENSE + CONV, zr.AlphaBeta(2, 1)))), DEEP, "rule=alpha-beta"),
    Row(
        "lrp",
        "zennit WSquare",
        zen(rules((DENSE + CONV, zr.WSquare()))),
        DEEP,
        "rule=w2",
        known={"relu6": PAD},
    ),
    Row("lrp", "zennit Flat", zen(rules((DENSE + CONV, zr.Flat()))), DEEP, "rule=flat", known={"relu6": PAD}),
    Row(
        "lrp",
        "zennit EpsilonPlus",
        zen(preset("EpsilonPlus", epsilon=EPS)),
        DEEP,
        f"composite=epsilon-plus epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit EpsilonPlusFlat",
        zen(preset("EpsilonPlusFlat", epsilon=EPS)),
        DEEP,
        f"composite=epsilon-plus-flat epsilon={EPS}",
        known={"relu6": PAD},
    ),
    Row(
        "lrp",
        "zennit EpsilonGammaBox",
        zen(preset("EpsilonGammaBox", epsilon=EPS, bounds=(-3, 3))),
        DEEP + " conv",
        f"composite=epsilon-gamma-box epsilon={EPS} low=-3 high=3",
        known={"relu6": PAD},
    ),
    Row(
        "lrp",
        "zennit EpsilonAlpha2Beta1",
        zen(preset("EpsilonAlpha2Beta1", epsilon=EPS)),
        DEEP,
        f"composite=epsilon-alpha2-beta1 epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit EpsilonAlpha2Beta1Flat",
        zen(preset("EpsilonAlpha2Beta1Flat", epsilon=EPS)),
        DEEP,
        f"composite=epsilon-alpha2-beta1-flat epsilon={EPS}",
        known={"relu6": PAD},
    ),
    Row(
        "excitation-backprop",
        "zennit ExcitationBackprop",
        zen(preset("ExcitationBackprop", zero_params="bias"), False),
        DEEP,
    ),
    Row("deeplift", "captum DeepLift", cap("DeepLift"), DEEP),
]
