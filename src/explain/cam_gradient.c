/* cam_gradient.c - relatives of Grad-CAM that combine the same two arrays, the activation A of a
 * layer and its adjoint g, in one backward pass: HiResCAM, element-wise Grad-CAM, LayerCAM,
 * XGrad-CAM.
 *
 * They differ in what is averaged before the product and what is rectified:
 *
 *   hirescam               sum_k g A                       nothing averaged
 *   gradcam-elementwise    sum_k relu(g A)
 *   layercam               sum_k relu(g) A
 *   xgradcam               sum_k w_k A, w_k = sum(g A) / sum A   (Grad-CAM's mean, weighted by
 *                          A) */
#include "explain/cam.h"

#include "ops/ops.h"

static oxp_val hirescam(oxp_task *t, const oxp_cam *c)
{
    return oxp_cam_map(t, c, oxp_b_mul(t->b, c->g, c->a));
}

static oxp_val elementwise(oxp_task *t, const oxp_cam *c)
{
    return oxp_cam_map(t, c, oxp_b_unary(t->b, &oxp_op_Relu, oxp_b_mul(t->b, c->g, c->a)));
}

static oxp_val layercam(oxp_task *t, const oxp_cam *c)
{
    return oxp_cam_map(t, c, oxp_b_mul(t->b, oxp_b_unary(t->b, &oxp_op_Relu, c->g), c->a));
}

/* Channels that sum to nothing get no weight; variant pgc adds its 1e-7 to the sum instead. */
static oxp_val xgradcam(oxp_task *t, const oxp_cam *c)
{
    oxp_build *b = t->b;
    const oxp_val above = oxp_cam_sum(t, c, oxp_b_mul(b, c->g, c->a)), zero = oxp_b_scalar(b, 0.0);
    const oxp_val below = oxp_cam_sum(t, c, c->a);
    oxp_val w;
    if (oxp_param_is(t->params, "variant", "pgc"))
        w = oxp_b_div(b, above, oxp_b_add(b, below, oxp_b_scalar(b, 1e-7)));
    else
        w = oxp_b_where(b, oxp_b_equal(b, below, zero), zero, oxp_b_div(b, above, below));
    return oxp_cam_map(t, c, oxp_b_mul(b, w, c->a));
}

static oxp_status plan_hirescam(oxp_task *t)
{
    return oxp_cam_plan(t, hirescam);
}

static oxp_status plan_elementwise(oxp_task *t)
{
    return oxp_cam_plan(t, elementwise);
}

static oxp_status plan_layercam(oxp_task *t)
{
    return oxp_cam_plan(t, layercam);
}

static oxp_status plan_xgradcam(oxp_task *t)
{
    return oxp_cam_plan(t, xgradcam);
}

static const oxp_param_info params[] = {
    OXP_CAM_RELU("true"), OXP_CAM_UPSAMPLE, OXP_CAM_AUGMENT, OXP_CAM_JOIN("mean"), OXP_CAM_EIGEN,
};

static const oxp_param_info layercam_params[] = {
    OXP_CAM_RELU("true"),     OXP_CAM_UPSAMPLE, OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("tanh-max"), OXP_CAM_EIGEN,
};

static const oxp_param_info xgradcam_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    OXP_CAM_EIGEN,
    {"variant", "the paper's weights, or pytorch-grad-cam's with 1e-7 below", OXP_PARAM_CHOICE, 0,
     0, "paper", "paper,pgc"},
};

#define ONE_PASS "1 forward, backward down to the layer"

const oxp_method oxp_method_hirescam = {
    .info = {.name = "hirescam",
             .title = "HiResCAM",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "Grad-CAM without averaging gradients: shows only positions that the "
                         "score really uses.",
             .definition = "map = relu(sum_k g_k . A_k), g = dY/dA",
             .paper = "Draelos, Carin 2020, arXiv:2011.08891",
             .equals = "pytorch-grad-cam HiResCAM",
             .cost = ONE_PASS,
             .weakness = "as noisy as the gradient where several layers follow"},
    .params = params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_hirescam,
    .finish = oxp_cam_finish,
};

const oxp_method oxp_method_gradcam_elementwise = {
    .info = {.name = "gradcam-elementwise",
             .title = "Element-wise Grad-CAM",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "Everything in the layer that speaks for the score, channel by channel.",
             .definition = "map = sum_k relu(g_k . A_k), g = dY/dA",
             .paper = "no paper; defined by pytorch-grad-cam",
             .equals = "pytorch-grad-cam GradCAMElementWise",
             .cost = ONE_PASS,
             .weakness = "what speaks against the score does not weigh against it"},
    .params = params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_elementwise,
    .finish = oxp_cam_finish,
};

const oxp_method oxp_method_layercam = {
    .info = {.name = "layercam",
             .title = "LayerCAM",
             .param_count = OXP_COUNT(layercam_params),
             .needs_layer = 1,
             .sentence = "Activations weighted position by position with positive gradients: works "
                         "in early layers too.",
             .definition = "map = relu(sum_k relu(g_k) . A_k), g = dY/dA; several layers: max of "
                           "tanh(2 map / max)",
             .paper = "Jiang et al. 2021, IEEE TIP 30:5875, doi:10.1109/TIP.2021.3089943",
             .equals = "pytorch-grad-cam LayerCAM (one layer); torchcam LayerCAM (also fused)",
             .cost = ONE_PASS,
             .weakness = "what speaks against the score is ignored"},
    .params = layercam_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_layercam,
    .finish = oxp_cam_finish,
};

const oxp_method oxp_method_xgradcam = {
    .info = {.name = "xgradcam",
             .title = "XGrad-CAM",
             .param_count = OXP_COUNT(xgradcam_params),
             .needs_layer = 1,
             .sentence = "Grad-CAM whose channel weights add up best to the score.",
             .definition =
                 "w_k = sum(g_k . A_k) / sum(A_k) over positions; map = relu(sum_k w_k A_k)",
             .paper = "Fu et al. 2020, arXiv:2008.02312",
             .equals = "pytorch-grad-cam XGradCAM with variant=pgc; torchcam XGradCAM",
             .cost = ONE_PASS,
             .weakness = "weights grow without bound where a channel's activations nearly cancel"},
    .params = xgradcam_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_xgradcam,
    .finish = oxp_cam_finish,
};
