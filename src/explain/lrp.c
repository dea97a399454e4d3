/* lrp.c - layer-wise relevance propagation with the epsilon rule (Bach et al. 2015).
 *
 * Relevance starts as the target's score and is passed down; z is the layer's output, bias
 * included:
 *
 *   linear layers, sums, means     R_x = x . J^T (R / stab(z))
 *   activations                    R_x = R
 *   movement, max pooling          R_x = J^T R
 *
 * with stab(z) = z + epsilon sign(z), sign(0) = +1.
 *
 * Batch norms are merged into convolutions first. Products of two activations, softmax and
 * normalisation by statistics of the data need rules of their own: models that have them on the
 * path are refused rather than explained wrongly. */
#include "explain/method.h"

#include "ops/fn.h"
#include "ops/infer.h"

static oxp_val stabilised(const oxp_rule_context *rc, oxp_val z)
{
    oxp_build *b = rc->b;
    const double epsilon = oxp_param_number(rc->params, "epsilon");
    const oxp_val below = oxp_b_greater(b, oxp_b_scalar(b, 0.0), z); /* 0 > z */
    const oxp_val shift =
        oxp_b_where(b, below, oxp_b_scalar(b, -epsilon), oxp_b_scalar(b, epsilon));
    return oxp_b_add(b, z, shift);
}

static bool is_const(const oxp_rule_context *rc, uint32_t k)
{
    return oxp_node_has(rc->node, k) &&
           oxp_value_of(rc->b->g, rc->node->in[k])->kind == OXP_VALUE_CONST;
}

/* Linear in what is wanted: everything else that enters is constant. */
static bool is_linear(const oxp_rule_context *rc)
{
    const oxp_op *op = rc->node->op;
    if (op == &oxp_op_Conv || op == &oxp_op_BatchNormalization) return is_const(rc, 1);
    if (op == &oxp_op_MatMul || op == &oxp_op_Gemm || op == &oxp_op_Mul)
        return is_const(rc, 0) || is_const(rc, 1);
    if (op == &oxp_op_Div) return is_const(rc, 1);
    return op == &oxp_op_Add || op == &oxp_op_Sub || op == &oxp_op_Sum || op == &oxp_op_Mean ||
           op == &oxp_op_AveragePool || op == &oxp_op_GlobalAveragePool ||
           op == &oxp_op_ReduceMean || op == &oxp_op_ReduceSum;
}

/* R_x = x . J^T (R / stab(z)) */
static oxp_status apply_epsilon(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_val z = rc->node->out[0];
    const oxp_val s = oxp_b_div(b, rc->grad->dy[0], stabilised(rc, z));
    oxp_grad own = {b, rc->node, &s, rc->grad->wants, rc->grad->dx};
    if (rc->node->op->grad) {
        OXP_TRY(rc->node->op->grad(&own));
    } else {
        OXP_FAIL(b->ctx, OXP_EINTERNAL, "%s has no direct gradient", rc->node->op->name);
    }
    for (uint32_t k = 0; k < rc->node->n_in; k++) {
        if (rc->grad->dx[k] == OXP_NO_VAL || !rc->grad->wants[k]) continue;
        const oxp_shape shape = *oxp_b_shape(b, rc->node->in[k]);
        const oxp_val back = oxp_b_unbroadcast(b, rc->grad->dx[k], &shape);
        rc->grad->dx[k] = oxp_b_mul(b, rc->node->in[k], back);
    }
    return b->status;
}

static bool is_activation(const oxp_rule_context *rc)
{
    double alpha, beta;
    const oxp_fn fn = oxp_node_fn(rc->node, &alpha, &beta);
    switch (fn) {
    case OXP_FN_RELU:
    case OXP_FN_LEAKY_RELU:
    case OXP_FN_ELU:
    case OXP_FN_CLIP:
    case OXP_FN_SIGMOID:
    case OXP_FN_HARD_SIGMOID:
    case OXP_FN_HARD_SWISH:
    case OXP_FN_SOFTPLUS:
    case OXP_FN_TANH:
    case OXP_FN_GELU:
    case OXP_FN_GELU_TANH:
    case OXP_FN_SILU:
    case OXP_FN_MISH:
        return true;
    default:
        return rc->node->op == &oxp_op_PRelu;
    }
}

static oxp_status apply_pass(oxp_rule_context *rc)
{
    rc->grad->dx[0] = rc->grad->dy[0];
    return OXP_OK;
}

/* Selecting and moving: the gradient is the rule. */
static bool is_transparent(const oxp_rule_context *rc)
{
    const oxp_op *op = rc->node->op;
    return (op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) || op == &oxp_op_MaxPool ||
           op == &oxp_op_GlobalMaxPool || op == &oxp_op_ReduceMax || op == &oxp_op_Resize ||
           op == &oxp_op_Upsample || op == &oxp_op_Neg;
}

static oxp_status apply_gradient(oxp_rule_context *rc)
{
    return rc->node->op->grad(rc->grad);
}

static bool is_anything(const oxp_rule_context *rc)
{
    return !(rc->node->op->flags & OXP_OP_NOT_DIFFERENTIABLE);
}

static oxp_status apply_refusal(oxp_rule_context *rc)
{
    OXP_FAIL(rc->b->ctx, OXP_EUNSUPPORTED,
             "lrp has no rule for %s '%s'; choose a gradient method such as input-x-gradient or "
             "integrated-gradients",
             rc->node->op->name, rc->node->origin);
}

static oxp_status plan_lrp(oxp_task *t)
{
    static const oxp_rule rules[] = {
        {"epsilon", is_linear, apply_epsilon},
        {"pass", is_activation, apply_pass},
        {"gradient", is_transparent, apply_gradient},
        {"refused", is_anything, apply_refusal},
    };
    const oxp_rule_set set = {rules, OXP_COUNT(rules), t->params, NULL};
    const oxp_val start = oxp_b_mul(t->b, t->seed, t->target);
    return oxp_task_backward(t, &set, start, t->out);
}

static const oxp_param_info params[] = {
    {"rule", "the propagation rule of linear layers", OXP_PARAM_CHOICE, 0, 0, "epsilon", "epsilon"},
    {"epsilon", "stabiliser added to each layer's output", OXP_PARAM_FLOAT, 0, 1e6, "1e-6", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_lrp = {
    .info = {.name = "lrp",
             .title = "LRP",
             .param_count = OXP_COUNT(params),
             .is_signed = 1,
             .sentence =
                 "The score itself, handed down layer by layer to the inputs that produced it.",
             .definition = "R_x = x . J^T (R / (z + epsilon sign z)) at linear layers, R unchanged "
                           "at activations",
             .paper = "Bach et al. 2015, doi:10.1371/journal.pone.0130140",
             .equals = "Zennit Epsilon, Captum LRP with EpsilonRule",
             .cost = "1 forward, 1 backward",
             .weakness = "biases absorb relevance; on ReLU networks close to input x gradient"},
    .params = params,
    .flags = OXP_METHOD_SIGNED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_lrp,
};
