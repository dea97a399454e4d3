/* guided.c - guided backpropagation, deconvnet and smoothed rectifiers: the gradient with another rule at
 * rectifiers.
 *
 *   guided       dx = max(dy, 0) . f'(x) . 1[x > t]   (Springenberg et al. 2015)
 *   deconvnet    dx = max(dy, 0)                      (Zeiler, Fergus 2014)
 *   beta-smooth  dx = dy . sigmoid(beta x), at Relu and Max(x, 0) only   (Dombrowski et al. 2019)
 *
 * Deconvnet ignores the forward mask. Rectifiers are the activations that let positive inputs
 * through: Relu, Clip with lower bound 0, Max(x, 0), LeakyRelu, PRelu, Elu, Celu, Selu, GELU, SiLU,
 * HardSwish, Mish, Softplus (which has no mask of its own); t = 0. ThresholdedRelu: t = alpha. HardSigmoid, Sigmoid and gates are not
 * rectifiers. A recurrent cell whose activations are some is seen in its parts. */
#include "explain/method.h"

#include "ops/cell.h"
#include "ops/fn.h"
#include "ops/infer.h"

/* Max(x, 0): the index of x, or -1 when the node is something else. */
static int max_with_zero(const oxp_graph *g, const oxp_node *node)
{
    for (uint32_t k = 0; node->op == &oxp_op_Max && node->n_in == 2 && k < 2; k++) {
        const oxp_value *other = oxp_value_of(g, node->in[1 - k]);
        if (other->kind != OXP_VALUE_CONST || oxp_shape_elements(&other->shape) != 1) continue;
        const double bound = oxp_tensor_get(other->constant, 0);
        if (bound >= 0.0 && bound <= 0.0) return (int)k;
    }
    return -1;
}

static bool is_rectifier(const oxp_rule_context *rc)
{
    double alpha, beta;
    switch (oxp_node_fn(rc->node, &alpha, &beta)) {
    case OXP_FN_RELU:
    case OXP_FN_LEAKY_RELU:
    case OXP_FN_ELU:
    case OXP_FN_CELU:
    case OXP_FN_SELU:
    case OXP_FN_THRESHOLDED_RELU:
    case OXP_FN_GELU:
    case OXP_FN_GELU_TANH:
    case OXP_FN_SILU:
    case OXP_FN_HARD_SWISH:
    case OXP_FN_MISH:
    case OXP_FN_SOFTPLUS:
        return true;
    case OXP_FN_CLIP:
        return alpha >= 0.0 && alpha <= 0.0;
    default:
        return rc->node->op == &oxp_op_PRelu || max_with_zero(rc->b->g, rc->node) >= 0;
    }
}

/* Is one of the cell's activations among these? */
static bool has_act(const oxp_rule_context *rc, const oxp_act_fn *fns, size_t n)
{
    oxp_recurrence r;
    const oxp_node *node = rc->node;
    if (node->op != &oxp_op__Recurrence ||
        oxp_recurrence_read(rc->b->ctx, node, oxp_b_shape(rc->b, node->in[0]), &r) != OXP_OK)
        return false;
    for (int i = 0; i < r.n_acts; i++)
        for (size_t k = 0; k < n; k++)
            if (r.act[i].fn == fns[k]) return true;
    return false;
}

static bool is_rectified_cell(const oxp_rule_context *rc)
{
    static const oxp_act_fn fns[] = {OXP_ACT_RELU, OXP_ACT_LEAKY_RELU, OXP_ACT_ELU,
                                     OXP_ACT_SOFTPLUS, OXP_ACT_THRESHOLDED_RELU};
    return has_act(rc, fns, OXP_COUNT(fns));
}

static bool is_relu_cell(const oxp_rule_context *rc)
{
    static const oxp_act_fn relu = OXP_ACT_RELU;
    return has_act(rc, &relu, 1);
}

static oxp_val positive(oxp_build *b, oxp_val x)
{
    return oxp_b_unary(b, &oxp_op_Relu, x);
}

/* The operator's own gradient at max(dy, 0), where x > 0. */
static oxp_status apply_guided(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const int max_k = max_with_zero(b->g, rc->node);
    const uint32_t k = max_k < 0 ? 0 : (uint32_t)max_k;
    const oxp_val dy = positive(b, rc->grad->dy[0]);
    double alpha, beta;
    const oxp_fn fn = oxp_node_fn(rc->node, &alpha, &beta);
    if (fn == OXP_FN_RELU || max_k >= 0) { /* f' = 1[x > 0] = 1[y > 0] is the mask */
        rc->grad->dx[k] = oxp_emit(b, &oxp_op__UnaryGrad, (const oxp_val[]){rc->node->out[0], dy},
                                   2, (const oxp_attr[]){OXP_STR("fn", "Relu")}, 1);
        return b->status;
    }
    const oxp_val guided_dy[1] = {dy};
    bool wants[2] = {rc->grad->wants[0], false};
    oxp_grad own = {b, rc->node, guided_dy, wants, rc->grad->dx};
    OXP_TRY(rc->node->op->grad(&own));
    /* Clip' is 0 below 0 already, ThresholdedRelu' below t; Softplus has no mask */
    if (fn == OXP_FN_CLIP || fn == OXP_FN_THRESHOLDED_RELU || fn == OXP_FN_SOFTPLUS)
        return b->status;
    const oxp_val zero = oxp_b_scalar(b, 0.0);
    rc->grad->dx[0] =
        oxp_b_where(b, oxp_b_greater(b, rc->node->in[0], zero), rc->grad->dx[0], zero);
    return b->status;
}

static oxp_status apply_deconvnet(oxp_rule_context *rc)
{
    const int max_k = max_with_zero(rc->b->g, rc->node);
    rc->grad->dx[max_k < 0 ? 0 : max_k] = positive(rc->b, rc->grad->dy[0]);
    return rc->b->status;
}

static oxp_status plan_guided(oxp_task *t)
{
    const oxp_rule rules[] = {{"guided", is_rectifier, apply_guided},
                              {"guided", is_rectified_cell, NULL}};
    const oxp_rule_set set = {rules, OXP_COUNT(rules), NULL, NULL};
    return oxp_task_backward(t, &set, OXP_NO_VAL, t->out);
}

static oxp_status plan_deconvnet(oxp_task *t)
{
    const oxp_rule rules[] = {{"deconvnet", is_rectifier, apply_deconvnet},
                              {"deconvnet", is_rectified_cell, NULL}};
    const oxp_rule_set set = {rules, OXP_COUNT(rules), NULL, NULL};
    return oxp_task_backward(t, &set, OXP_NO_VAL, t->out);
}

oxp_val oxp_b_beta_smooth(oxp_build *b, oxp_val x, oxp_val dy, double beta)
{
    const oxp_val steep = oxp_b_mul(b, x, oxp_b_scalar(b, beta));
    return oxp_b_mul(b, dy, oxp_b_unary(b, &oxp_op_Sigmoid, steep));
}

static bool is_relu(const oxp_rule_context *rc)
{
    double alpha, beta;
    return oxp_node_fn(rc->node, &alpha, &beta) == OXP_FN_RELU ||
           max_with_zero(rc->b->g, rc->node) >= 0;
}

static oxp_status apply_beta_smooth(oxp_rule_context *rc)
{
    const int max_k = max_with_zero(rc->b->g, rc->node);
    const uint32_t k = max_k < 0 ? 0 : (uint32_t)max_k;
    const double *beta = rc->params;
    rc->grad->dx[k] = oxp_b_beta_smooth(rc->b, rc->node->in[k], rc->grad->dy[0], *beta);
    return rc->b->status;
}

static oxp_status plan_beta_smooth(oxp_task *t)
{
    const double beta = oxp_param_number(t->params, "beta");
    const oxp_rule rules[] = {{"beta-smooth", is_relu, apply_beta_smooth},
                              {"beta-smooth", is_relu_cell, NULL}};
    const oxp_rule_set set = {rules, OXP_COUNT(rules), &beta, NULL};
    return oxp_task_backward(t, &set, OXP_NO_VAL, t->out);
}

static const oxp_param_info smooth_params[] = {
    {"beta", "sharpness: large values come near the gradient", OXP_PARAM_FLOAT, 0, 1e6, "10", NULL},
    {"abs", "take magnitudes before reducing channels", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "max",
     "max,sum,mean,l1,l2,none"},
};

static const oxp_param_info params[] = {
    {"abs", "take magnitudes before reducing channels", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "max",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_guided_backprop = {
    .info = {.name = "guided-backprop",
             .is_main = 1,
             .title = "Guided backprop",
             .param_count = OXP_COUNT(params),
             .sentence = "The gradient through active units that help the score only: sharp, but "
                         "weakly tied to the class.",
             .definition = "the gradient with dx = max(dy,0) . f'(x) . 1[x>0] at every rectifier",
             .paper = "Springenberg et al. 2015, arXiv:1412.6806",
             .equals = "Captum GuidedBackprop, Zennit, PAIR (on Relu)",
             .cost = "1 forward, 1 backward",
             .weakness = "fails the model randomisation test: close to an edge detector, weakly "
                         "tied to class and weights"},
    .params = params,
    .channels = OXP_CHANNELS_MAX,
    .features = OXP_CHANNELS_L2,
    .plan = plan_guided,
};

const oxp_method oxp_method_deconvnet = {
    .info = {.name = "deconvnet",
             .is_main = 1,
             .title = "Deconvnet",
             .param_count = OXP_COUNT(params),
             .sentence = "The gradient with rectified backward signals: shows what pattern would "
                         "excite the score.",
             .definition =
                 "the gradient with dx = max(dy,0) at every rectifier, forward mask ignored",
             .paper = "Zeiler, Fergus 2014, arXiv:1311.2901",
             .equals = "Captum Deconvolution, Zennit",
             .cost = "1 forward, 1 backward",
             .weakness = "fails the model randomisation test"},
    .params = params,
    .channels = OXP_CHANNELS_MAX,
    .features = OXP_CHANNELS_L2,
    .plan = plan_deconvnet,
};

const oxp_method oxp_method_beta_smooth = {
    .info = {.name = "beta-smooth",
             .title = "Gradient with smooth rectifiers",
             .param_count = OXP_COUNT(smooth_params),
             .sentence = "The gradient as if every rectifier were rounded off at zero: harder to "
                         "manipulate, less noisy.",
             .definition = "the gradient with dx = dy . sigmoid(beta x) at every Relu",
             .paper = "Dombrowski et al. 2019, arXiv:1906.07983",
             .equals = "Zennit BetaSmooth",
             .cost = "1 forward, 1 backward",
             .weakness = "explains a smoother model than the one that answered; other activations "
                         "keep their own derivative"},
    .params = smooth_params,
    .channels = OXP_CHANNELS_MAX,
    .features = OXP_CHANNELS_L2,
    .plan = plan_beta_smooth,
};
