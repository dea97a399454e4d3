/* attention_relevance.c - transformer attribution (Chefer, Gur, Wolf 2021, CVPR): the flow through the
 * attention of all layers, each map weighted by its relevance instead of by itself.
 *
 *   a_l = mean_h relu(dY/dA_l . R_l);  out = q (I + a_L) ... (I + a_1)
 *
 * R_l is the relevance of A_l, handed down from R = 1 at the target. rules=chefer is what the paper's own code
 * does for every architecture:
 *
 *   layers with weights       z+, biases left out
 *   product z = u v           half of x . J' (R / z) to each factor
 *   sum z = u + v (residual)  r_u = u R / z, then r_u |sum r_u| / (|sum r_u| + |sum r_v|) sum R / sum r_u, and
 *                             likewise for v: both together keep sum R, however small z is somewhere
 *   softmax, normalisation, activation   R
 *
 * rules=attnlrp takes epsilon and the AttnLRP rules (lrp_blocks.c). */
#include "explain/attention.h"

#include "explain/lrp.h"
#include "ops/ops.h"
#include <string.h>

typedef struct attribution {
    oxp_lrp lrp; /* first: the rules of lrp.h read it */
    const oxp_sequences *axes;
    uint32_t batch; /* the sequence of items */
    int64_t width;
} attribution;

static bool has_weights(const oxp_rule_context *rc)
{
    return oxp_lrp_rule_of(rc) != NULL;
}

static bool passes_on(const oxp_rule_context *rc)
{
    return rc->node->op == &oxp_op_Softmax || oxp_lrp_normalises(rc->node);
}

static oxp_status apply_pass(oxp_rule_context *rc)
{
    rc->grad->dx[0] = rc->grad->dy[0];
    return OXP_OK;
}

/* Of a map and its values each takes half, also where no lower map depends on the values. */
static bool is_mixing(const oxp_rule_context *rc)
{
    return rc->node->op == &oxp_op_MatMul && !oxp_lrp_is_const(rc, 0) && !oxp_lrp_is_const(rc, 1);
}

static oxp_status apply_mixing(oxp_rule_context *rc)
{
    return oxp_lrp_share_linear(rc, 2.0, NULL);
}

/* ---- sums ---- */

static bool is_sum(const oxp_rule_context *rc)
{
    return rc->node->op == &oxp_op_Add || rc->node->op == &oxp_op_Sum;
}

/* The shape in which one axis counts the items, and the others, which are listed: v's own, or with items
 * that are merged into the first axis split off. */
static oxp_status by_item(const oxp_rule_context *rc, oxp_val v, oxp_shape *shape, int64_t *others,
                          size_t *n)
{
    const attribution *a = rc->params;
    int items = -1;
    *shape = *oxp_b_shape(rc->b, v);
    for (int k = shape->rank; k-- > 0;)
        if (shape->dim[k] == a->width && oxp_sequence_of(a->axes, v, k) == a->batch) items = k;
    if (items < 0 && shape->rank > 0 && shape->dim[0] == a->width) items = 0;
    if (items < 0 && shape->rank > 0 && shape->rank < OXP_MAX_RANK &&
        shape->dim[0] % a->width == 0) {
        for (int k = shape->rank++; k > 0; k--) shape->dim[k] = shape->dim[k - 1];
        shape->dim[1] /= a->width;
        shape->dim[0] = a->width;
        items = 0;
    }
    OXP_FAIL_IF(
        rc->b->ctx, items < 0 && a->width > 1, OXP_EUNSUPPORTED,
        "transformer-attribution cannot tell the items of the batch apart in '%s': explain one at "
        "a time",
        rc->node->origin);
    *n = 0;
    for (int k = 0; k < shape->rank; k++)
        if (k != items || a->width == 1) others[(*n)++] = k;
    return OXP_OK;
}

/* r_k = x_k R / z of each summand that is computed, scaled by sign(sum r_k) sum R / sum_j |sum r_j| */
static oxp_status apply_sum(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_node *node = rc->node;
    const oxp_val z = node->out[0], relevance = rc->grad->dy[0];
    const oxp_shape whole = *oxp_b_shape(b, z);
    oxp_val *parts = OXP_NEW(b->ctx->scratch, oxp_val, node->n_in);
    oxp_val *sums = OXP_NEW(b->ctx->scratch, oxp_val, node->n_in);
    oxp_shape folded;
    int64_t others[OXP_MAX_RANK];
    size_t n_others;
    OXP_FAIL_IF(b->ctx, !parts || !sums, OXP_ENOMEM, "out of memory");
    OXP_TRY(by_item(rc, z, &folded, others, &n_others));
    const oxp_val s = oxp_lrp_share(b, relevance, z, 0.0);
    oxp_val sizes = OXP_NO_VAL;
    uint32_t computed = 0, only = 0;
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (oxp_lrp_is_const(rc, k)) continue;
        computed++;
        only = k;
        parts[k] = oxp_b_reshape(b, oxp_b_mul(b, s, node->in[k]), &folded);
        sums[k] = oxp_b_reduce_sum(b, parts[k], others, n_others, true);
        const oxp_val size = oxp_b_unary(b, &oxp_op_Abs, sums[k]);
        sizes = sizes == OXP_NO_VAL ? size : oxp_b_add(b, sizes, size);
    }
    if (computed == 1) {
        rc->grad->dx[only] = relevance;
        return b->status;
    }
    const oxp_val all = oxp_b_reduce_sum(b, oxp_b_reshape(b, relevance, &folded), others, n_others,
                                         true),
                  factor = oxp_lrp_share(b, all, sizes, 0.0);
    for (uint32_t k = 0; b->status == OXP_OK && k < node->n_in; k++) {
        if (!parts[k] || !rc->grad->wants[k]) continue;
        const oxp_val sign = oxp_b_unary(b, &oxp_op_Sign, sums[k]);
        const oxp_val scaled = oxp_b_mul(b, parts[k], oxp_b_mul(b, sign, factor));
        rc->grad->dx[k] = oxp_b_reshape(b, scaled, &whole);
    }
    return b->status;
}

/* ---- the method ---- */

static oxp_status set_rules(oxp_task *t, attribution *a, bool chefer, oxp_rule *rules, size_t *n)
{
    static const oxp_rule weights = {"layer", has_weights, oxp_lrp_apply_layer},
                          mixing = {"product", is_mixing, apply_mixing},
                          pass = {"pass", passes_on, apply_pass}, sum = {"sum", is_sum, apply_sum};
    oxp_sequences *axes;
    OXP_TRY(oxp_sequences_find(t->ctx, t->b->g, &axes));
    const double epsilon = oxp_param_number(t->params, "epsilon");
    const oxp_lrp_rule rule = {.kind = chefer ? OXP_LRP_ZPLUS : OXP_LRP_EPSILON, .a = epsilon};
    *a = (attribution){.lrp = {.method = "transformer-attribution",
                               .first_conv = rule,
                               .first_dense = rule,
                               .conv = rule,
                               .dense = rule,
                               .stabiliser = chefer ? 0.0 : epsilon,
                               .zero_bias = chefer,
                               .attention = OXP_LRP_ATTNLRP},
                       .axes = axes,
                       .batch = oxp_sequence_of(axes, t->target, 0),
                       .width = (int64_t)t->width};
    OXP_TRY(oxp_lrp_find_biases(t, &a->lrp));
    *n = 0;
    rules[(*n)++] = weights;
    rules[(*n)++] = oxp_lrp_blocks[0]; /* biases that stand alone */
    rules[(*n)++] = mixing;
    if (chefer) rules[(*n)++] = pass;
    if (chefer) rules[(*n)++] = sum;
    memcpy(rules + *n, oxp_lrp_blocks + 1, (OXP_LRP_BLOCKS - 1) * sizeof *rules);
    *n += OXP_LRP_BLOCKS - 1;
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    attribution a;
    oxp_rule rules[OXP_LRP_BLOCKS + 4];
    size_t n;
    oxp_val *relevance = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at);
    OXP_NOMEM_IF(t->ctx, relevance);
    OXP_TRY(oxp_attention_chain(t));
    OXP_TRY(set_rules(t, &a, oxp_param_is(t->params, "rules", "chefer"), rules, &n));
    const oxp_rule_set set = {rules, n, &a, NULL};
    OXP_TRY(oxp_task_backward(t, &set, OXP_NO_VAL, relevance));
    const oxp_touch *touched = t->touched;
    const size_t n_touched = t->n_touched;
    OXP_TRY(oxp_task_backward(t, NULL, OXP_NO_VAL, t->out));
    t->touched = touched;
    t->n_touched = n_touched;
    for (size_t l = 0; l < t->n_at; l++)
        t->out[l] = t->out[l] != OXP_NO_VAL && relevance[l] != OXP_NO_VAL
                        ? oxp_attention_positive(t, t->out[l], relevance[l])
                        : OXP_NO_VAL;
    return oxp_attention_flow(t, t->out,
                              oxp_param_is(t->params, "normalise", "rows")
                                  ? oxp_attention_normalised
                                  : oxp_attention_residual);
}

static const oxp_param_info params[] = {
    {"rules", "how relevance is handed down: as the paper's code does, or by AttnLRP",
     OXP_PARAM_CHOICE, 0, 0, "chefer", "chefer,attnlrp"},
    {"epsilon", "rules=attnlrp: what is added to denominators, away from zero", OXP_PARAM_FLOAT, 0,
     1e6, "1e-6", NULL},
    {"normalise", "rows of I + a divided by their sums, or as they are", OXP_PARAM_CHOICE, 0, 0,
     "none", "none,rows"},
    {"self", "keep the relevance that the token shown has for itself, 1 from the start",
     OXP_PARAM_BOOL, 0, 1, "false", NULL},
    OXP_ATTENTION_QUERY,
    OXP_CAM_UPSAMPLE,
};

const oxp_method oxp_method_transformer_attribution = {
    .info = {.name = "transformer-attribution",
             .title = "Transformer attribution",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence =
                 "Relevance carried through all layers by the attention that holds relevance "
                 "for the class and raises its score.",
             .definition =
                 "the read row of (I + a_L) ... (I + a_1) without its own entry, a = mean_h "
                 "relu(g_h . R_h), R_h the LRP relevance of the map A_h",
             .paper = "Chefer, Gur, Wolf 2021, arXiv:2012.09838",
             .equals = "Transformer-Explainability, ViT_LRP with transformer_attribution; "
                       "normalise=rows: BERT; before its normalisation",
             .cost =
                 "1 forward, 2 backward down to the first attention, up to 2 forward and backward "
                 "more of each layer for parts of weights",
             .weakness = "positive evidence only; z+ is weakly tied to the class, so most of that "
                         "comes from the gradient"},
    .params = params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION | OXP_METHOD_ATTENTION_FLOW,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
};
