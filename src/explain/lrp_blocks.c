/* lrp_blocks.c - relevance through everything that has no constant weights of its own.
 *
 *   sums, means, scaling    R_x = x . J' (R / stab(z))                     (Zennit's Norm)
 *   activations, rounding   R_x = R; Relu with beta-smooth: R sigmoid(beta x)
 *   movement, max, choice   R_x = J' R
 *   products z = a b        AttnLRP: R_a = a . (dz/da)' (R / stab(2 z)), R_b likewise
 *                           CP-LRP: a gate or attention weights b: R_a = a . (dz/da)' (R / stab(z))
 *   quotients z = a / b     the denominator is a constant; so is a factor that is a reciprocal
 *   softmax                 R_x = x . (R - y sum R)
 *   normalisation           R_x = x . J' (R / stab(z)), the standard deviation held constant
 *                           without a mean (RMS, Lp, LRN): R_x = R
 *   attention y = P v, P = softmax(S), S = scale q k' + mask:
 *                           AttnLRP: R_P = P . (n v'), R_v = v . (P' n), n = R / stab(2 y),
 *                           u = R_P - P sum R_P, R_q = q . (scale/2 u k), R_k = k . (scale/2 u' q)
 *                           CP-LRP: R_v = v . (P' (R / stab(y))) and nothing to q and k
 *
 * (Achtibat et al. 2024, arXiv:2402.05602; Ali et al. 2022, arXiv:2202.07304). */
#include "explain/lrp.h"

#include "ops/fn.h"
#include "ops/norm.h"
#include "ops/quantize.h"
#include <string.h>

static const oxp_lrp *options(const oxp_rule_context *rc)
{
    return rc->params;
}

static bool is_op(const oxp_rule_context *rc, const oxp_op *op)
{
    return rc->node->op == op;
}

static uint32_t wanted(const oxp_rule_context *rc)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < rc->node->n_in; k++) n += rc->grad->wants[k];
    return n;
}

oxp_status oxp_lrp_share_linear(oxp_rule_context *rc, double factor, const bool *held)
{
    oxp_build *b = rc->b;
    const oxp_node *node = rc->node;
    const oxp_val z = oxp_b_mul(b, node->out[0], oxp_b_scalar(b, factor));
    const oxp_val s = oxp_lrp_share(b, rc->grad->dy[0], z, options(rc)->stabiliser);
    bool *wants = OXP_NEW(b->ctx->scratch, bool, node->n_in);
    OXP_NOMEM_IF(b->ctx, wants);
    for (uint32_t k = 0; k < node->n_in; k++) wants[k] = rc->grad->wants[k] && !(held && held[k]);
    oxp_grad own = {b, node, &s, wants, rc->grad->dx};
    OXP_TRY(oxp_gradient_of(&own));
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (rc->grad->dx[k] == OXP_NO_VAL || !wants[k]) continue;
        const oxp_shape shape = *oxp_b_shape(b, node->in[k]);
        const oxp_val back = oxp_b_unbroadcast(b, rc->grad->dx[k], &shape);
        rc->grad->dx[k] = oxp_b_mul(b, node->in[k], back);
    }
    return b->status;
}

/* ---- a bias added by a node of its own: the layer below accounts for it ---- */

static bool is_bias(const oxp_rule_context *rc)
{
    const oxp_lrp *lrp = options(rc);
    for (uint32_t k = 0; is_op(rc, &oxp_op_Add) && k < 2; k++)
        if (rc->node->in[k] < lrp->n_values && lrp->sum_of[rc->node->in[k]] == rc->node->out[0])
            return true;
    return false;
}

static oxp_status apply_bias(oxp_rule_context *rc)
{
    rc->grad->dx[oxp_lrp_is_const(rc, 0) ? 1 : 0] = rc->grad->dy[0];
    return OXP_OK;
}

/* ---- attention ---- */

static bool is_attention(const oxp_rule_context *rc)
{
    return is_op(rc, &oxp_op__Attention) && options(rc)->attention != OXP_LRP_REFUSE;
}

static oxp_val product(oxp_build *b, oxp_val x, bool tx, oxp_val y, bool ty, double scale)
{
    const oxp_attr attrs[] = {OXP_INT("trans_a", tx), OXP_INT("trans_b", ty),
                              OXP_FLOAT("scale", scale)};
    return oxp_emit(b, &oxp_op__MatMul, (const oxp_val[]){x, y}, 2, attrs, 3);
}

/* x - p sum x over the last axis: the softmax's share without its argument in front */
static oxp_val less_sum(oxp_build *b, oxp_val x, oxp_val p, const int64_t *axes, size_t n)
{
    return oxp_b_sub(b, x, oxp_b_mul(b, p, oxp_b_reduce_sum(b, x, axes, n, true)));
}

static oxp_status apply_attention(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_node *node = rc->node;
    const oxp_val q = node->in[0], k = node->in[1], v = node->in[2], y = node->out[0];
    const double scale = oxp_attr_float(node, "scale", 1.0), epsilon = options(rc)->stabiliser;
    const bool cp = options(rc)->attention == OXP_LRP_CP;
    oxp_val scores = product(b, q, false, k, true, scale);
    if (oxp_node_has(node, 3)) scores = oxp_b_add(b, scores, node->in[3]);
    const oxp_val p = OXP_EMIT1(b, &oxp_op_Softmax, scores, OXP_INT("axis", -1));
    const oxp_val z = oxp_b_mul(b, y, oxp_b_scalar(b, cp ? 1.0 : 2.0));
    const oxp_val n = oxp_lrp_share(b, rc->grad->dy[0], z, epsilon);
    if (rc->grad->wants[2]) rc->grad->dx[2] = oxp_b_mul(b, v, product(b, p, true, n, false, 1.0));
    if (cp || !(rc->grad->wants[0] || rc->grad->wants[1])) return b->status;
    const oxp_val rp = oxp_b_mul(b, p, product(b, n, false, v, true, 1.0));
    const oxp_val u = less_sum(b, rp, p, (const int64_t[]){-1}, 1);
    if (rc->grad->wants[0])
        rc->grad->dx[0] = oxp_b_mul(b, q, product(b, u, false, k, false, 0.5 * scale));
    if (rc->grad->wants[1])
        rc->grad->dx[1] = oxp_b_mul(b, k, product(b, u, true, q, false, 0.5 * scale));
    return b->status;
}

/* ---- softmax on its own ---- */

static bool is_softmax(const oxp_rule_context *rc)
{
    return is_op(rc, &oxp_op_Softmax) && options(rc)->attention != OXP_LRP_REFUSE;
}

static oxp_status apply_softmax(oxp_rule_context *rc)
{
    const oxp_node *node = rc->node;
    const int rank = oxp_b_shape(rc->b, node->in[0])->rank;
    const bool span = oxp_attr_int(node, "span", 0) != 0;
    int64_t axes[OXP_MAX_RANK];
    int axis;
    OXP_TRY(oxp_norm_axis(rc->b->ctx, oxp_attr_int(node, "axis", span ? 1 : -1), rank, &axis));
    size_t n = 0;
    for (int a = axis; a < (span ? rank : axis + 1); a++) axes[n++] = a;
    const oxp_val rest = less_sum(rc->b, rc->grad->dy[0], node->out[0], axes, n);
    /* where y is 0 so is the rest, but x, masked out, may be infinite */
    const oxp_val zero = oxp_b_scalar(rc->b, 0.0), masked = oxp_b_equal(rc->b, node->out[0], zero);
    const oxp_val x = oxp_b_where(rc->b, masked, zero, node->in[0]);
    rc->grad->dx[0] = oxp_b_mul(rc->b, x, rest);
    return rc->b->status;
}

/* ---- normalisation by statistics of the data ---- */

bool oxp_lrp_normalises(const oxp_node *node)
{
    return node->op == &oxp_op_LayerNormalization || node->op == &oxp_op_InstanceNormalization ||
           node->op == &oxp_op__GroupNorm || node->op == &oxp_op_GroupNormalization ||
           node->op == &oxp_op_MeanVarianceNormalization;
}

static bool is_normalisation(const oxp_rule_context *rc)
{
    return oxp_lrp_normalises(rc->node) && options(rc)->attention != OXP_LRP_REFUSE;
}

/* x folded so that each group to be normalised is what lies along the last axes, which are listed */
static oxp_shape groups_of(const oxp_node *node, const oxp_shape *x, int64_t *axes, size_t *n)
{
    *n = 0;
    if (node->op == &oxp_op_LayerNormalization) {
        const int64_t axis = oxp_attr_int(node, "axis", -1);
        for (int64_t a = axis < 0 ? axis + x->rank : axis; a < x->rank; a++) axes[(*n)++] = a;
        return *x;
    }
    if (node->op == &oxp_op_MeanVarianceNormalization) {
        static const int64_t usual[] = {0, 2, 3};
        const int64_t *given = oxp_attr_ints(node, "axes", n);
        if (!given) *n = OXP_COUNT(usual);
        memcpy(axes, given ? given : usual, *n * sizeof *axes);
        return *x;
    }
    const int64_t groups = oxp_norm_groups(node, x);
    axes[(*n)++] = 2;
    const int64_t rows = x->dim[0] * groups;
    return oxp_shape_of(
        3, (const int64_t[]){x->dim[0], groups, rows ? oxp_shape_elements(x) / rows : 0});
}

/* With g = scale R / stab(z), r = 1 / sqrt(var + epsilon):  R_x = x . r (g - mean g) */
static oxp_status apply_normalisation(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_node *node = rc->node;
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    int64_t axes[OXP_MAX_RANK];
    size_t n;
    const oxp_shape folded = groups_of(node, &x, axes, &n);
    oxp_val g = oxp_lrp_share(b, rc->grad->dy[0], node->out[0], options(rc)->stabiliser);
    if (oxp_node_has(node, 1)) {
        const bool rows = node->op == &oxp_op_LayerNormalization;
        g = oxp_b_mul(b, g, rows ? node->in[1] : oxp_norm_across(b, node->in[1], &x));
    }
    g = oxp_b_reshape(b, g, &folded);
    const oxp_val in = oxp_b_reshape(b, node->in[0], &folded);
    const oxp_val centred = oxp_b_sub(b, in, oxp_b_reduce_mean(b, in, axes, n, true));
    const oxp_val var = oxp_b_reduce_mean(b, oxp_b_mul(b, centred, centred), axes, n, true);
    const bool bare = node->op == &oxp_op_MeanVarianceNormalization;
    const double epsilon = bare ? 1e-18 : oxp_norm_epsilon(node);
    const oxp_val safe = oxp_b_add(b, var, oxp_b_scalar(b, epsilon));
    const oxp_val rest = oxp_b_sub(b, g, oxp_b_reduce_mean(b, g, axes, n, true));
    const oxp_val back = oxp_b_div(b, rest, oxp_b_unary(b, &oxp_op_Sqrt, safe));
    rc->grad->dx[0] = oxp_b_mul(b, node->in[0], oxp_b_reshape(b, back, &x));
    return b->status;
}

/* Without a mean the deviation only scales, and what is scaled keeps its relevance. */
static bool is_scaling(const oxp_rule_context *rc)
{
    return (is_op(rc, &oxp_op_RMSNormalization) || is_op(rc, &oxp_op_LpNormalization) ||
            is_op(rc, &oxp_op_LRN)) &&
           options(rc)->attention != OXP_LRP_REFUSE && rc->grad->wants[0];
}

/* ---- products of two things that both depend on the input ---- */

typedef bool (*kind_fn)(const oxp_graph *g, const oxp_node *node);

/* What made v, looking through movement and scaling by constants. */
static bool made_by(const oxp_graph *g, oxp_val v, kind_fn kind, int depth)
{
    const oxp_value *value = oxp_value_of(g, v);
    if (depth == 0 || value->producer == OXP_NO_NODE) return false;
    const oxp_node *node = g->nodes[value->producer];
    if (kind(g, node)) return true;
    const bool moves = (node->op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) && node->n_in > 0;
    return moves && made_by(g, node->in[0], kind, depth - 1);
}

static bool is_gate(const oxp_graph *g, const oxp_node *node)
{
    OXP_UNUSED(g);
    return node->op == &oxp_op_Sigmoid || node->op == &oxp_op_HardSigmoid ||
           node->op == &oxp_op_Softmax;
}

static bool is_reciprocal(const oxp_graph *g, const oxp_node *node)
{
    if (node->op == &oxp_op_Reciprocal) return true;
    if (node->op == &oxp_op_Div) return oxp_value_of(g, node->in[0])->kind == OXP_VALUE_CONST;
    if (node->op != &oxp_op_Pow) return false;
    const oxp_value *power = oxp_value_of(g, node->in[1]);
    return power->kind == OXP_VALUE_CONST && oxp_shape_elements(&power->shape) == 1 &&
           oxp_tensor_get(power->constant, 0) < 0.0;
}

static bool is_product(const oxp_rule_context *rc)
{
    const bool known = is_op(rc, &oxp_op_Mul) || is_op(rc, &oxp_op_MatMul) ||
                       is_op(rc, &oxp_op_Gemm) || is_op(rc, &oxp_op_Div) ||
                       oxp_op_is_conv(rc->node->op);
    return known && rc->grad->wants[0] && rc->grad->wants[1] &&
           options(rc)->attention != OXP_LRP_REFUSE;
}

static oxp_status apply_product(oxp_rule_context *rc)
{
    const oxp_graph *g = rc->b->g;
    const bool cp = options(rc)->attention == OXP_LRP_CP;
    bool held[3] = {false, is_op(rc, &oxp_op_Div), false};
    for (uint32_t k = 0; k < 2 && !held[1]; k++)
        held[k] = made_by(g, rc->node->in[k], is_reciprocal, 6) ||
                  (cp && made_by(g, rc->node->in[k], is_gate, 6));
    if (held[0] && held[1]) held[0] = held[1] = false;
    return oxp_lrp_share_linear(rc, held[0] || held[1] ? 1.0 : 2.0, held);
}

/* ---- linear without weights ---- */

/* Linear in what is wanted: everything else that enters does not depend on it. */
static bool is_linear(const oxp_rule_context *rc)
{
    const oxp_op *op = rc->node->op;
    const bool mean = op == &oxp_op_RoiAlign && !oxp_node_chooses(rc->node);
    if ((op->flags & OXP_OP_LINEAR) || op == &oxp_op_Div || mean)
        return oxp_grad_wants_first(rc->grad);
    if (op == &oxp_op_MatMul || op == &oxp_op_Gemm || op == &oxp_op_Mul) return wanted(rc) == 1;
    return op == &oxp_op_Add || op == &oxp_op_Sub || op == &oxp_op_Sum || op == &oxp_op_Mean;
}

static oxp_status apply_linear(oxp_rule_context *rc)
{
    return oxp_lrp_share_linear(rc, 1.0, NULL);
}

/* ---- the rest ---- */

static bool is_activation(const oxp_rule_context *rc)
{
    double alpha, beta;
    switch (oxp_node_fn(rc->node, &alpha, &beta)) {
    case OXP_FN_NEG:
    case OXP_FN_RELU:
    case OXP_FN_LEAKY_RELU:
    case OXP_FN_ELU:
    case OXP_FN_CELU:
    case OXP_FN_SELU:
    case OXP_FN_THRESHOLDED_RELU:
    case OXP_FN_SHRINK:
    case OXP_FN_CLIP:
    case OXP_FN_SIGMOID:
    case OXP_FN_HARD_SIGMOID:
    case OXP_FN_HARD_SWISH:
    case OXP_FN_SOFTPLUS:
    case OXP_FN_SOFTSIGN:
    case OXP_FN_TANH:
    case OXP_FN_ATAN:
    case OXP_FN_ASINH:
    case OXP_FN_GELU:
    case OXP_FN_GELU_TANH:
    case OXP_FN_SILU:
    case OXP_FN_MISH:
        return true;
    default:
        return is_op(rc, &oxp_op_PRelu) || oxp_op_rounds(rc->node->op);
    }
}

static oxp_status apply_pass(oxp_rule_context *rc)
{
    rc->grad->dx[0] = rc->grad->dy[0];
    return OXP_OK;
}

static bool is_smoothed(const oxp_rule_context *rc)
{
    double alpha, beta;
    return options(rc)->beta_smooth > 0.0 && oxp_node_fn(rc->node, &alpha, &beta) == OXP_FN_RELU;
}

static oxp_status apply_smooth(oxp_rule_context *rc)
{
    rc->grad->dx[0] =
        oxp_b_beta_smooth(rc->b, rc->node->in[0], rc->grad->dy[0], options(rc)->beta_smooth);
    return rc->b->status;
}

/* Selecting and moving: the gradient is the rule. */
static bool is_transparent(const oxp_rule_context *rc)
{
    const oxp_op *op = rc->node->op;
    return (op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) || op == &oxp_op_MaxPool ||
           op == &oxp_op_GlobalMaxPool || op == &oxp_op_ReduceMax || op == &oxp_op_Max ||
           op == &oxp_op_Min || op == &oxp_op_Where || op == &oxp_op_Pad ||
           op == &oxp_op_ReduceMin || op == &oxp_op_TopK || oxp_node_chooses(rc->node);
}

static oxp_status apply_gradient(oxp_rule_context *rc)
{
    return oxp_gradient_of(rc->grad);
}

/* Step after step: gates, sums and products each have their rule. */
static bool is_recurrence(const oxp_rule_context *rc)
{
    return is_op(rc, &oxp_op__Recurrence);
}

static bool is_anything(const oxp_rule_context *rc)
{
    return !(rc->node->op->flags & OXP_OP_NOT_DIFFERENTIABLE);
}

static oxp_status apply_refusal(oxp_rule_context *rc)
{
    OXP_FAIL(rc->b->ctx, OXP_EUNSUPPORTED,
             "%s has no rule for %s '%s'; choose a gradient method such as input-x-gradient or "
             "integrated-gradients",
             options(rc)->method, rc->node->op->name, rc->node->origin);
}

const oxp_rule oxp_lrp_blocks[OXP_LRP_BLOCKS] = {
    {"bias", is_bias, apply_bias},
    {"attention", is_attention, apply_attention},
    {"softmax", is_softmax, apply_softmax},
    {"normalisation", is_normalisation, apply_normalisation},
    {"pass", is_scaling, apply_pass},
    {"product", is_product, apply_product},
    {"norm", is_linear, apply_linear},
    {"beta-smooth", is_smoothed, apply_smooth},
    {"pass", is_activation, apply_pass},
    {"gradient", is_transparent, apply_gradient},
    {"parts", is_recurrence, NULL},
    {"refused", is_anything, apply_refusal},
};
