/* deeplift.c - DeepLIFT (Shrikumar et al. 2017), and its mean over several baselines (DeepLIFT-SHAP,
 * Lundberg, Lee 2017).
 *
 * Every value has a twin v0 at the baseline x0; d v = v - v0. A multiplier m_v says what one unit of
 * dv contributes to the change of the score; the attribution is dx . m_x, and adds up to that change.
 * The rules for m are in deeplift_rules.c. Softmax, attention and normalisation are split into
 * products, quotients and functions, so completeness holds through them. */
#include "explain/deeplift.h"
#include "explain/twin.h"

#include "base/parse.h"
#include "ops/infer.h"
#include <string.h>

/* Composites that are no function of one number, nor linear. */
static bool is_split(const oxp_op *op)
{
    const uint32_t whole = OXP_OP_ELEMENTWISE | OXP_OP_LINEAR | OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY;
    return (op->flags & OXP_OP_COMPOSITE) && !(op->flags & whole) && op->expand &&
           op != &oxp_op_Gemm;
}

/* ---- baselines ---- */

/* x - x + number: not a constant, so that the second run is left to the executor. */
static oxp_val constant_baseline(oxp_task *t, size_t i, double number)
{
    const oxp_val zero = oxp_b_sub(t->b, t->at[i], t->at[i]);
    return oxp_b_add(t->b, zero, oxp_b_scalar(t->b, number));
}

/* zero, a number, or min, max, mean of the item's own values (mean: of each channel) */
static oxp_status baseline_of(oxp_task *t, size_t i, const char *text, oxp_val *out)
{
    oxp_build *b = t->b;
    const oxp_shape shape = *oxp_b_shape(b, t->at[i]);
    const bool mean = strcmp(text, "mean") == 0, low = strcmp(text, "min") == 0;
    double number = 0.0;
    if (strcmp(text, "zero") == 0 || oxp_parse_double(text, &number)) {
        *out = constant_baseline(t, i, number);
        return b->status;
    }
    OXP_FAIL_IF(t->ctx, !mean && !low && strcmp(text, "max") != 0, OXP_EINVAL,
                "%s: a baseline is zero, a number, min, max or mean, found '%s'",
                t->params->method->info.name, text);
    int64_t axes[OXP_MAX_RANK];
    size_t n = 0;
    for (int a = 1; a < shape.rank; a++)
        if (!mean || a != t->roles[i].channel) axes[n++] = a;
    const oxp_op *op = mean ? &oxp_op_ReduceMean : low ? &oxp_op_ReduceMin : &oxp_op_ReduceMax;
    const oxp_val level =
        n == 0 ? t->at[i]
               : OXP_EMIT1(b, op, t->at[i], OXP_INTS("axes", axes, n), OXP_INT("keepdims", 1));
    *out = oxp_b_expand(b, level, &shape);
    return b->status;
}

/* ---- the methods ---- */

static oxp_status read_lift(oxp_task *t, oxp_lift *l)
{
    const oxp_graph *g = t->b->g;
    uint32_t *uses = OXP_NEW(t->ctx->scratch, uint32_t, g->n_values);
    *l = (oxp_lift){.n = g->n_values,
                    .uses = uses,
                    .plus = OXP_NEW(t->ctx->scratch, oxp_val, g->n_values),
                    .minus = OXP_NEW(t->ctx->scratch, oxp_val, g->n_values)};
    OXP_FAIL_IF(t->ctx, !uses || !l->plus || !l->minus, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i]->n_in; k++) uses[g->nodes[i]->in[k]]++;
    l->conv = oxp_param_is(t->params, "rule", "reveal-cancel");
    l->dense = l->conv || oxp_param_is(t->params, "rule", "reveal-cancel-dense");
    return OXP_OK;
}

/* Adds weight times the attributions against one baseline to t->out. */
static oxp_status add_baseline(oxp_task *t, const char *text, double weight, bool multiply)
{
    oxp_build *b = t->b;
    oxp_val *at0 = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at);
    oxp_val *m = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at);
    OXP_FAIL_IF(t->ctx, !at0 || !m, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < t->n_at; i++) OXP_TRY(baseline_of(t, i, text, &at0[i]));
    oxp_twin twin;
    OXP_TRY(oxp_twin_make(t, at0, is_split, &twin));
    oxp_lift l;
    OXP_TRY(read_lift(t, &l));
    const oxp_rule_set set = {oxp_lift_rules, OXP_LIFT_RULES, &l, twin.of};
    oxp_task first = *t;
    first.target = twin.target;
    OXP_TRY(oxp_task_backward(&first, &set, OXP_NO_VAL, m));
    t->touched = first.touched;
    t->n_touched = first.n_touched;
    t->stopped = t->stopped || first.stopped;
    const oxp_val scale = oxp_b_scalar(b, weight);
    for (size_t i = 0; i < t->n_at; i++) {
        if (m[i] == OXP_NO_VAL) continue;
        const oxp_val part = multiply ? oxp_b_mul(b, m[i], oxp_b_sub(b, t->at[i], at0[i])) : m[i];
        const oxp_val share = oxp_b_mul(b, part, scale);
        t->out[i] = t->out[i] == OXP_NO_VAL ? share : oxp_b_add(b, t->out[i], share);
    }
    const oxp_val change = oxp_b_sub(b, twin.target, twin.of[twin.target]);
    const oxp_val expected = oxp_b_mul(b, oxp_b_mul(b, change, t->seed), scale);
    if (multiply)
        t->expected = t->expected == OXP_NO_VAL ? expected : oxp_b_add(b, t->expected, expected);
    return b->status;
}

static oxp_status plan_deeplift(oxp_task *t)
{
    return add_baseline(t, oxp_param_text(t->params, "baseline"), 1.0,
                        oxp_param_bool(t->params, "multiply"));
}

static oxp_status plan_deeplift_shap(oxp_task *t)
{
    const char *text = oxp_param_text(t->params, "baselines");
    double n = 1.0;
    for (const char *c = text; *c; c++) n += *c == ',';
    while (text) {
        const size_t length = strcspn(text, ",");
        const char *one = oxp_arena_strndup(t->ctx->scratch, text, length);
        OXP_NOMEM_IF(t->ctx, one);
        OXP_TRY(add_baseline(t, one, 1.0 / n, true));
        text = text[length] ? text + length + 1 : NULL;
    }
    return OXP_OK;
}

#define RULE                                                                                       \
    {                                                                                              \
        "rule",                                                                                    \
            "at activations: rescale, or reveal-cancel (positive and negative parts apart) after " \
            "all "                                                                                 \
            "layers or dense ones",                                                                \
            OXP_PARAM_CHOICE, 0, 0, "rescale", "rescale,reveal-cancel,reveal-cancel-dense"         \
    }
#define CHANNELS                                                                  \
    {                                                                             \
        "channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum", \
            "max,sum,mean,l1,l2,none"                                             \
    }

static const oxp_param_info deeplift_params[] = {
    {"baseline",
     "what the input is compared with: zero, a number, min, max or mean (of each channel)",
     OXP_PARAM_TEXT, 0, 0, "zero", NULL},
    {"multiply", "multiply by x - baseline; false gives the multipliers", OXP_PARAM_BOOL, 0, 1,
     "true", NULL},
    RULE,
    CHANNELS,
};

static const oxp_param_info shap_params[] = {
    {"baselines", "what the input is compared with, a list: zero, numbers, min, max, mean",
     OXP_PARAM_TEXT, 0, 0, "zero,min,max,mean", NULL},
    RULE,
    CHANNELS,
};

const oxp_method oxp_method_deeplift = {
    .info = {.name = "deeplift",
             .title = "DeepLIFT",
             .param_count = OXP_COUNT(deeplift_params),
             .is_signed = 1,
             .sentence = "Each input value's share of the score's change from a baseline, from two "
                         "runs instead of a path.",
             .definition =
                 "dx . m_x; m_x = J^T m_y at linear layers, m_y dy / dx at activations, d "
                 "the difference from the baseline (rescale rule)",
             .paper = "Shrikumar et al. 2017, arXiv:1704.02685",
             .equals = "Captum DeepLift, but for softmax, where ours is complete",
             .cost = "2 forward, 1 backward; reveal-cancel: 2 more of each",
             .weakness =
                 "depends on the baseline; at saturated minima and maxima of two inputs one "
                 "of them gets nothing (reveal-cancel rule)"},
    .params = deeplift_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_MERGED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_deeplift,
};

const oxp_method oxp_method_deeplift_shap = {
    .info = {.name = "deeplift-shap",
             .title = "DeepLIFT-SHAP",
             .param_count = OXP_COUNT(shap_params),
             .is_signed = 1,
             .sentence = "DeepLIFT averaged over several baselines: approximate Shapley values.",
             .definition = "mean over baselines of DeepLIFT",
             .paper = "Lundberg, Lee 2017, arXiv:1705.07874",
             .equals = "Captum DeepLiftShap, at the same baselines",
             .cost = "1 + k forward, k backward for k baselines",
             .weakness = "as good as its baselines represent the data"},
    .params = shap_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_MERGED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_deeplift_shap,
};
