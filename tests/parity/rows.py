"""The comparisons: one line each. A row runs on the cases that have all its words (`-word`: have it not);
`set` is what the command is given, the peer's options say the same. `known` names deviations: case or
word -> reason; they are listed, not failed."""

import dataclasses

import formulas
from peers import (
    CONV,
    DENSE,
    Alpha1_Beta0_Rule,
    GammaRule,
    cap,
    cap_ablation,
    cap_activation,
    cap_contrast,
    cap_deeplift,
    cap_deeplift_shap,
    cap_expected,
    cap_gradient_shap,
    cap_layer_cam,
    cap_lrp,
    cap_noise,
    cap_occlusion,
    finer,
    first_apart,
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
from formulas_flow import transformer_attribution, value_zeroing
from peers_layers import augmented, cap_layer_deeplift, factorized, pgc_augmented
from peers_lone import zen_lone
from peers_pair import blur_ig, guided_ig, xrai
from peers_torchcam import tcm, tcm_cam, tcm_smooth, tcm_sscam


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
    enlarged: bool = False  # compared at the resolution of the input, where maps are float32
    limit: float = 0.0  # of the f64 error where the peer's own constants allow no better, and why
    why: str = ""

    @property
    def title(self):
        return " ".join(filter(None, [f"`{self.method}`", self.set, self.flags]))

    @property
    def layered(self):
        """The method attributes to a layer (of attention, without saying so)."""
        return not {"layer", "attention"}.isdisjoint(self.on.split())


NEAREST = "Captum enlarges by torch's `nearest`, floor(i in / out); `upsample=nearest` takes the nearest centre. Equal where the size is a whole multiple."
TIES = "At a constant baseline all inner positions of the last max pool tie; PyTorch's convolution rounds the last few of a row differently (113 = 14 x 8 + 1), which breaks the tie by 1e-16. The first position wins here. From a noisy baseline the same rows of VGG-11 agree to 1e-13."
CLIP = "Clip(0, 6): deconvnet here ignores the upper bound as well as the lower (as Xplique does); Captum's hook sees the nn.ReLU only, and min(x, 6) masks. zennit with the upper bound passed is equal."
POOL = "Captum's hook of a rectifier right in front of a max pool reads the gradient before the pool's hook has replaced it, so the plain gradient takes the multiplier's place there; the sum then misses the change of the score where the pool's output falls below the baseline's. With an identity between the two the arrays are equal: the next row."
COPY = "torchcam divides a copy of its weights (`alpha[mask].div_()`), so that w_k = sum of relu(g)^3; the paper's quotient is the other row."
STRENGTH = "torchcam lets the strength i / n accumulate (up to 5.5 for n = 10); the paper integrates from 0 to 1: the other row."
STEPS = "Captum keeps its step sizes in float32."
FLOAT = "pytorch-grad-cam returns float32."
CEILING = "Clip(0, 6): Captum's rule sees the nn.ReLU only and takes the plain gradient of min(x, 6), so that its sum misses the change of the score; here Clip is one function with one quotient."
OVERLAP = "Captum unpools with F.max_unpool, which keeps one of several overlapping windows (3 x 3, stride 2) that share their maximum; its sum then misses the change of the score. Equal where windows do not overlap."
LONE = "zennit passes relevance whole through a batch norm that no layer with weights stands before; here, as in Captum, its bias and mean take their share, as of any scaling by constants. With zennit's Norm there the arrays are equal: the rows that say so."
LAST = "torchcam multiplies its weights with the layer at the last noisy copy; the paper (and its own stored `init_fmap`) means the input: the next row."
SUMS = "torchcam adds 1e-8 below, and sums in another order where a channel's sum is near 0."
STABLE = "The formula has no stabiliser, onnxplain's is 1e-6 here."
COUNTS = "Captum counts windows in float32."
DIVISOR = "pytorch-grad-cam's 1e-9 below sum p is not in torchcam."
TINY = "Captum's rules add their epsilon where nothing needs it (batch norm, pools): 1e-12 here."
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
    Row("eigencam", "pytorch-grad-cam EigenCAM", pgc("EigenCAM"), "layer -many", RAW, sign=False, limit=2e-7, why=FLOAT),
    Row("eigengradcam", "pytorch-grad-cam EigenGradCAM", pgc("EigenGradCAM"), "layer -many", RAW, sign=False, limit=2e-7, why=FLOAT),
    Row("kpca-cam", "pytorch-grad-cam KPCA_CAM", pgc("KPCA_CAM"), "layer -many", RAW, sign=False, limit=2e-7, why=FLOAT),
    Row("scorecam", "pytorch-grad-cam ScoreCAM", pgc("ScoreCAM"), "layer 2d score", RAW, limit=2e-7, why=FLOAT),
    Row("ablationcam", "pytorch-grad-cam AblationCAM", pgc("AblationCAM"), "layer 2d score", RAW, limit=1e-6, why=FLOAT),
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
    Row("fullgrad", "pytorch-grad-cam FullGrad", pgc_fullgrad, "conv 2d large", limit=1e-6, why=FLOAT),
    Row(
        "guided-grad-cam",
        "captum GuidedGradCam",
        cap("GuidedGradCam", layer=True),
        "layer conv",
        "upsample=nearest",
        known={"cnn3d": NEAREST, "ECG CNN": NEAREST},
    ),
    Row(
        "integrated-gradients",
        "captum IntegratedGradients, 50 steps",
        cap("IntegratedGradients"),
        "-large",
        limit=1e-7,
        why=STEPS,
    ),
    Row(
        "integrated-gradients",
        "captum IntegratedGradients, 10 steps",
        cap("IntegratedGradients", n_steps=10),
        "large",
        "steps=10",
        limit=1e-7,
        why=STEPS,
    ),
    Row(
        "integrated-gradients",
        "captum riemann_left",
        cap("IntegratedGradients", n_steps=8, method="riemann_left"),
        "-large",
        "steps=8 rule=left",
        known={"ECG CNN": TIES},
    ),
    Row(
        "integrated-gradients",
        "captum riemann_right",
        cap("IntegratedGradients", n_steps=8, method="riemann_right"),
        "-large",
        "steps=8 rule=right",
    ),
    Row(
        "integrated-gradients",
        "captum riemann_middle",
        cap("IntegratedGradients", n_steps=8, method="riemann_middle"),
        "-large",
        "steps=8 rule=middle",
    ),
    Row(
        "integrated-gradients",
        "zennit IntegratedGradients",
        zen_integrated(8),
        "-large -many",
        "steps=8 rule=right",
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
        limit=1e-7,
        why=STEPS,
    ),
    Row(
        "conductance",
        "captum LayerConductance",
        cap("LayerConductance", layer=True, n_steps=8, method="riemann_trapezoid"),
        "layer -large",
        "steps=8 rule=left",
        known={"ECG CNN": TIES},
    ),
    Row(
        "smoothgrad",
        "captum NoiseTunnel, our noise",
        cap_noise("smoothgrad", 5, 0.25),
        "-many",
        "samples=5 noise=absolute level=0.25",
    ),
    Row(
        "smoothgrad-squared",
        "captum NoiseTunnel, our noise",
        cap_noise("smoothgrad_sq", 5, 0.25),
        "-many -heavy",
        "samples=5 noise=absolute level=0.25",
    ),
    Row(
        "vargrad",
        "captum NoiseTunnel, our noise",
        cap_noise("vargrad", 5, 0.25),
        "-many -heavy",
        "samples=5 noise=absolute level=0.25",
    ),
    Row("occlusion", "captum Occlusion", cap_occlusion(4, 2), "small -many -table", "window=4 stride=2", limit=1e-7, why=COUNTS),
    Row("occlusion", "captum Occlusion", cap_occlusion(1, 1), "table", limit=1e-7, why=COUNTS),
    Row("occlusion", "captum Occlusion", cap_occlusion(32, 32), "2d large", "window=32 stride=32", limit=1e-7, why=COUNTS),
    Row("lrp", "captum LRP", cap_lrp(EPS), "captum_lrp", f"epsilon={EPS}"),
    Row("lrp", "zennit Epsilon", zen(rules((DENSE + CONV, zr.Epsilon(EPS)))), DEEP + " -dense_bn", f"epsilon={EPS}"),
    Row("lrp", "zennit ZPlus", zen(rules((DENSE + CONV, zr.ZPlus()))), DEEP + " -dense_bn", "rule=zplus"),
    Row("lrp", "zennit Gamma", zen(rules((DENSE + CONV, zr.Gamma(0.25)))), DEEP + " -dense_bn", "rule=gamma"),
    Row("lrp", "zennit AlphaBeta", zen(rules((DENSE + CONV, zr.AlphaBeta(2, 1)))), DEEP + " -dense_bn", "rule=alpha-beta"),
    Row(
        "lrp",
        "zennit WSquare",
        zen(rules((DENSE + CONV, zr.WSquare()))),
        DEEP + " -dense_bn",
        "rule=w2",
    ),
    Row("lrp", "zennit Flat", zen(rules((DENSE + CONV, zr.Flat()))), DEEP + " -dense_bn", "rule=flat"),
    Row(
        "lrp",
        "zennit EpsilonPlus",
        zen(preset("EpsilonPlus", epsilon=EPS)),
        DEEP + " -dense_bn",
        f"composite=epsilon-plus epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit EpsilonPlusFlat",
        zen(preset("EpsilonPlusFlat", epsilon=EPS)),
        DEEP + " -dense_bn",
        f"composite=epsilon-plus-flat epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit EpsilonGammaBox",
        zen(preset("EpsilonGammaBox", epsilon=EPS, bounds=(-3, 3))),
        DEEP + " conv -dense_bn",
        f"composite=epsilon-gamma-box epsilon={EPS} low=-3 high=3",
    ),
    Row(
        "lrp",
        "zennit EpsilonAlpha2Beta1",
        zen(preset("EpsilonAlpha2Beta1", epsilon=EPS)),
        DEEP + " -dense_bn",
        f"composite=epsilon-alpha2-beta1 epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit EpsilonAlpha2Beta1Flat",
        zen(preset("EpsilonAlpha2Beta1Flat", epsilon=EPS)),
        DEEP + " -dense_bn",
        f"composite=epsilon-alpha2-beta1-flat epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit Epsilon, its own rule at lone batch norms",
        zen(rules((DENSE + CONV, zr.Epsilon(EPS)))),
        "dense_bn",
        f"epsilon={EPS}",
        known={"dense_bn": LONE},
    ),
    Row(
        "lrp",
        "zennit Epsilon, Norm at lone batch norms",
        zen_lone(rules((DENSE + CONV, zr.Epsilon(EPS)))),
        "dense_bn",
        f"epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit ZPlus, Norm at lone batch norms",
        zen_lone(rules((DENSE + CONV, zr.ZPlus()))),
        "dense_bn",
        "rule=zplus",
    ),
    Row(
        "lrp",
        "zennit AlphaBeta, Norm at lone batch norms",
        zen_lone(rules((DENSE + CONV, zr.AlphaBeta(2, 1)))),
        "dense_bn",
        "rule=alpha-beta",
    ),
    Row(
        "lrp",
        "zennit EpsilonPlusFlat, Norm at lone batch norms",
        zen_lone(preset("EpsilonPlusFlat", epsilon=EPS)),
        "dense_bn",
        f"composite=epsilon-plus-flat epsilon={EPS}",
    ),
    Row(
        "lrp",
        "zennit EpsilonGammaBox, Norm at lone batch norms",
        zen_lone(preset("EpsilonGammaBox", epsilon=EPS, bounds=(-3, 3))),
        "dense_bn",
        f"composite=epsilon-gamma-box epsilon={EPS} low=-3 high=3",
    ),
    Row(
        "excitation-backprop",
        "zennit ExcitationBackprop",
        zen(preset("ExcitationBackprop", zero_params="bias"), False),
        DEEP,
        known={"dense_bn": LONE},
    ),
    Row("deeplift", "captum DeepLift", cap_deeplift(False), "conv -large", known={"pooled": POOL}),
    Row(
        "deeplift",
        "captum DeepLift, an identity before max pools",
        cap_deeplift(True),
        DEEP,
        known={"vgg11_bn": TIES, "overlap": OVERLAP, "relu6": CEILING},
    ),
    Row(
        "deeplift",
        "formula: reveal-cancel (Shrikumar 2017)",
        formulas.reveal_cancel,
        "dense",
        "rule=reveal-cancel",
    ),
    Row(
        "deeplift-shap",
        "captum DeepLiftShap, identity likewise",
        cap_deeplift_shap,
        DEEP + " -heavy",
        known={"ECG CNN": TIES, "vgg11_bn": TIES, "overlap": OVERLAP},
    ),
    Row(
        "lrp",
        "captum GammaRule",
        cap_lrp(1e-9, lambda: GammaRule(0.25)),
        "captum_lrp",
        "rule=gamma variant=captum stabiliser=1e-9",
    ),
    Row(
        "lrp",
        "captum Alpha1_Beta0_Rule",
        cap_lrp(1e-9, Alpha1_Beta0_Rule),
        "captum_lrp",
        "rule=alpha-beta alpha=1 beta=0 variant=captum stabiliser=1e-9",
    ),
    Row(
        "lrp",
        "zennit Epsilon, zero_params bias",
        zen(rules((DENSE + CONV, zr.Epsilon(EPS, zero_params="bias")))),
        DEEP + " -dense_bn",
        f"epsilon={EPS} bias=zero",
    ),
    Row(
        "lrp",
        "formula: AttnLRP (Achtibat 2024)",
        formulas.attnlrp(),
        "attention -masked",
        "epsilon=0 stabiliser=0",
    ),
    Row(
        "lrp",
        "formula: CP-LRP (Ali 2022)",
        formulas.attnlrp(cp=True),
        "attention -masked",
        "epsilon=0 stabiliser=0 attention=cp",
    ),
    Row(
        "deep-taylor",
        "zennit WSquare first, then ZPlus, no biases",
        zen(first_apart(zr.WSquare(zero_params="bias"), zr.ZPlus(zero_params="bias"))),
        DEEP,
        known={"dense_bn": LONE},
    ),
    Row(
        "deep-taylor",
        "zennit ZBox first, then ZPlus, no biases",
        zen(first_apart(zr.ZBox(-3.0, 3.0), zr.ZPlus(zero_params="bias"))),
        DEEP + " conv",
        "input=bounded low=-3 high=3",
        known={"dense_bn": LONE},
    ),
    Row("grad-cam", "torchcam GradCAM", tcm("GradCAM"), "layer -many", RAW),
    Row("layercam", "torchcam LayerCAM", tcm("LayerCAM"), "layer -many", RAW),
    Row("xgradcam", "torchcam XGradCAM", tcm("XGradCAM"), "layer -many conv", RAW, limit=1e-6, why=SUMS),
    Row("grad-cam++", "formula: the paper, equation 19", formulas.grad_cam_pp, "layer -many relu_layer", RAW),
    Row(
        "grad-cam++",
        "torchcam GradCAMpp",
        tcm("GradCAMpp"),
        "layer -many relu_layer",
        RAW,
        known={"relu_layer": COPY},
    ),
    Row(
        "grad-cam++",
        "formula: xplique GradCAMPP",
        formulas.grad_cam_pp_xplique,
        "layer -many relu_layer",
        RAW + " variant=xplique",
    ),
    Row(
        "refine-cam",
        "pytorch-grad-cam GradCAMPlusPlus, one layer",
        pgc("GradCAMPlusPlus"),
        "layer -many relu_layer",
        RAW + " variant=pgc",
    ),
    Row(
        "smooth-grad-cam++",
        "torchcam SmoothGradCAMpp, our noise",
        tcm_smooth(4, 0.3, False),
        "layer -many relu_layer",
        RAW + " variant=torchcam samples=4 noise=absolute level=0.3",
        known={"relu_layer": LAST},
    ),
    Row(
        "smooth-grad-cam++",
        "its weights on the layer at the input",
        tcm_smooth(4, 0.3, True),
        "layer -many relu_layer",
        RAW + " variant=torchcam samples=4 noise=absolute level=0.3",
    ),
    Row(
        "smooth-grad-cam++",
        "formula: Omeiza 2019, our noise",
        formulas.smooth_grad_cam_pp(4, 0.3),
        "layer -many relu_layer",
        RAW + " samples=4 noise=absolute level=0.3",
    ),
    Row(
        "finer-cam",
        "torchcam FinerCAM",
        tcm("FinerCAM", gamma=0.6, num_references=1),
        "layer large",
        RAW + " references=1 alpha=0.6",
        limit=1e-6,
        why=DIVISOR,
    ),
    Row("cam", "torchcam CAM", tcm_cam, "layer cam"),
    Row("scorecam", "torchcam ScoreCAM", tcm("ScoreCAM"), "layer 2d score", RAW + " variant=torchcam"),
    Row(
        "ss-cam",
        "torchcam SSCAM, our noise",
        tcm_sscam(3, 2.0),
        "layer 2d score cheap",
        RAW + " variant=torchcam samples=3",
    ),
    Row(
        "is-cam",
        "formula: Naidu 2020, masks as torchcam's",
        formulas.is_cam(4),
        "layer 2d score cheap",
        RAW + " variant=torchcam samples=4",
    ),
    Row(
        "is-cam",
        "torchcam ISCAM",
        tcm("ISCAM", num_samples=4),
        "layer 2d score cheap",
        RAW + " variant=torchcam samples=4",
        known={"score": STRENGTH},
    ),
    Row(
        "expected-gradients",
        "captum GradientShap, our samples",
        cap_expected(5),
        "-many",
        "samples=5",
    ),
    Row(
        "gradient-shap",
        "captum GradientShap, our samples and noise",
        cap_expected(5, 0.125),
        "-many -heavy",
        "samples=5 stdev=0.125",
    ),
    Row(
        "guided-ig",
        "PAIR GuidedIG",
        guided_ig(20),
        "-many -text -large",
        "steps=20",
        known={"ECG CNN": TIES},
    ),
    Row("guided-ig", "PAIR GuidedIG", guided_ig(10), "large", "steps=10", known={"vgg11_bn": TIES}),
    Row(
        "guided-ig",
        "PAIR GuidedIG",
        guided_ig(10, 0.1, 0.2),
        "-many -text -large",
        "steps=10 fraction=0.1 max-dist=0.2",
        known={"ECG CNN": TIES},
    ),
    Row("blur-ig", "PAIR BlurIG", blur_ig(6, 3.0), "2d", "steps=6 max-sigma=3"),
    Row(
        "blur-ig",
        "formula: PAIR BlurIG on any positions",
        formulas.blur_ig(6, 3.0),
        "conv small cheap",
        "steps=6 max-sigma=3",
    ),
    Row("xrai", "PAIR XRAI on Gauss-Legendre gradients", xrai(5), "picture", "steps=5"),
    Row("feature-ablation", "captum FeatureAblation", cap_ablation("each"), "table", "groups=each"),
    Row("feature-ablation", "captum FeatureAblation", cap_ablation("channels"), "conv", "groups=channels"),
    Row("feature-ablation", "captum FeatureAblation", cap_ablation("patch", 4), "conv small", "patch=4"),
    Row("feature-ablation", "captum FeatureAblation", cap_ablation("patch", 16), "conv large -heavy", "patch=16"),
    Row("feature-ablation", "formula: tokens by the mask", formulas.erasure(), "masked"),
    Row(
        "contrastive-erasure",
        "formula: Yin, Neubig 2022, tokens by the mask",
        formulas.erasure(0),
        "masked",
        flags="--contrast 0 --space prob",
    ),
    Row(
        "contrastive-erasure",
        "formula: Yin, Neubig 2022",
        formulas.erasure(1),
        "table",
        flags="--contrast 1 --space prob",
    ),
    Row("attention", "formula: mean of heads, last layer", formulas.raw_attention, "attention"),
    Row(
        "attention-grad-cam",
        "formula: Transformer-Explainability GradCAM",
        formulas.attention_grad_cam,
        "attention",
    ),
    Row("attention-rollout", "formula: Abnar 2020", formulas.rollout(), "attention"),
    Row(
        "attention-rollout",
        "formula: vit-explain, largest heads",
        formulas.rollout("max", 0.5, columns=True),
        "attention",
        "heads=max discard=0.5 normalise=columns",
    ),
    Row(
        "attention-rollout",
        "formula: vit-explain, smallest heads",
        formulas.rollout("min", 0.9, columns=True),
        "attention",
        "heads=min discard=0.9 normalise=columns",
    ),
    Row(
        "gradient-rollout",
        "formula: vit-explain",
        formulas.rollout("mean", 0.9, columns=True, gradient=True),
        "attention",
        "discard=0.9 normalise=columns",
    ),
    Row("tmme", "formula: Transformer-MM-Explainability, rules 5-7", formulas.tmme, "attention"),
    Row("tmme", "formula: Transformer-MM-Explainability, rules 6-11", formulas.tmme_streams, "streams"),
    Row(
        "transformer-attribution",
        "formula: Transformer-Explainability",
        transformer_attribution("chefer"),
        "attention",
    ),
    Row(
        "transformer-attribution",
        "formula: the same on AttnLRP",
        transformer_attribution("attnlrp"),
        "attention",
        "rules=attnlrp epsilon=0",
    ),
    Row("value-zeroing", "formula: Mohebbi 2023", value_zeroing, "attention"),
    Row("beta-smooth", "zennit BetaSmooth", zen(preset("BetaSmooth"), False), "conv -relu6 -many"),
    Row(
        "integrated-gradients",
        "captum LayerIntegratedGradients",
        cap("LayerIntegratedGradients", layer=True, n_steps=8, method="riemann_middle"),
        "at_layer conv -large",
        "steps=8 rule=middle baseline-at=input",
    ),
    Row("deeplift", "captum LayerDeepLift", cap_layer_deeplift, "at_layer conv -large", "baseline-at=input"),
    Row(
        "neuron-conductance",
        "captum NeuronConductance",
        cap("NeuronConductance", layer=True, neuron_selector=(0, 1, 1), n_steps=8, method="riemann_middle"),
        "layer conv 2d -large",
        "neuron=0,1,1 steps=8 rule=middle",
    ),
    Row(
        "neuron-conductance",
        "captum NeuronConductance",
        cap("NeuronConductance", layer=True, neuron_selector=(0, 1), n_steps=8, method="riemann_middle"),
        "layer conv 1d -large",
        "neuron=0,1 steps=8 rule=middle",
    ),
    Row(
        "feature-factorization",
        "pytorch-grad-cam dff, one concept",
        factorized,
        "layer",
        "components=1 rounds=2000 variant=pgc upsample=none",
    ),
    Row(
        "grad-cam",
        "pytorch-grad-cam aug_smooth",
        pgc_augmented,
        "layer conv 2d",
        "augment=pgc",
        enlarged=True,
        limit=1e-5,
        why=FLOAT,
    ),
    Row("grad-cam", "formula: mean over six copies", augmented, "layer conv", RAW + " augment=mean"),
    Row(
        "lrp",
        "zennit Gamma, chosen by name here",
        zen(rules((DENSE + CONV, zr.Gamma(0.25)))),
        DEEP + " -large",
        "names=*=gamma",
    ),
    Row("legrad", "formula: LeGrad (Bousselham 2024)", formulas.legrad, "attention"),
    Row("random", "our numbers", formulas.uniform_control, "small -many"),
    Row("sobel", "scipy.ndimage.sobel", formulas.sobel, "conv"),
    Row("constant", "1", formulas.constant, "small -many"),
]
