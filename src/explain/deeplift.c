/* deeplift.c - DeepLIFT (Shrikumar et al. 2017), and its mean over several baselines (DeepLIFT-SHAP,
 * Lundberg, Lee 2017).
 *
 * Every value has a twin v0 at the baseline x0; d v = v - v0. A multiplier m_v says what one unit of
 * dv contributes to the change of the score; the attribution is dx . m_x, and adds up to that change.
 * The rules for m are in deeplift_rules.c. Softmax, attention and normalisation are split into
 * products, quotients and functions, so completeness holds through them. */
#include "explain/deeplift.h"
#include "explain/path.h"
#include "explain/roles.h"
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

/* What is at a baseline: the values attributed to, or with baseline-at=input the model's float
 * inputs. */
typedef struct starts {
    const oxp_val *at;
    oxp_val *at0;
    oxp_roles *roles;
    size_t n;
} starts;

static oxp_status find_starts(oxp_task *t, starts *s)
{
    const oxp_graph *g = t->b->g;
    const bool inner = !oxp_baseline_is_at_input(t->params);
    const size_t most = inner ? t->n_at : g->n_inputs;
    oxp_val *at = OXP_NEW(t->ctx->scratch, oxp_val, most + 1);
    *s = (starts){.at = at,
                  .at0 = OXP_NEW(t->ctx->scratch, oxp_val, most + 1),
                  .roles = OXP_NEW(t->ctx->scratch, oxp_roles, most + 1)};
    OXP_FAIL_IF(t->ctx, !at || !s->at0 || !s->roles, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < most; i++) {
        const oxp_val v = inner ? t->at[i] : g->inputs[i];
        const oxp_value *value = oxp_value_of(g, v);
        if (!inner && (value->kind != OXP_VALUE_INPUT || value->dtype != OXP_F32)) continue;
        s->roles[s->n] = inner ? t->roles[i] : oxp_roles_of(g, v);
        at[s->n++] = v;
    }
    OXP_FAIL_IF(t->ctx, s->n == 0, OXP_EINVAL,
                "%s: the model has no float input that could be at a baseline: use "
                "baseline-at=tensor",
                t->params->method->info.name);
    return OXP_OK;
}

/* x - x + number: not a constant, so that the second run is left to the executor. */
static oxp_val constant_baseline(oxp_task *t, oxp_val x, oxp_val number)
{
    return oxp_b_add(t->b, oxp_b_sub(t->b, x, x), number);
}

/* How many baselines were handed over for x; `one`: the shape of x for a single item, `row`: of a row. */
static oxp_status count_handed(oxp_task *t, oxp_val x, oxp_shape *one, oxp_shape *row, size_t *n)
{
    const oxp_shape full = *oxp_b_shape(t->b, x);
    const bool batched = full.rank > 0 && full.dim[0] == (int64_t)t->width;
    *one = full;
    if (batched) one->dim[0] = 1;
    *row = batched ? oxp_shape_of(full.rank - 1, full.dim + 1) : full;
    return oxp_reference_count(t->ctx, t->params, oxp_value_of(t->b->g, x)->name, row, n);
}

/* Number `which` of those handed over. */
static oxp_status handed_baseline(oxp_task *t, oxp_val x, size_t which, oxp_val *out)
{
    oxp_build *b = t->b;
    const char *name = oxp_value_of(b->g, x)->name;
    oxp_shape one, row;
    size_t n;
    OXP_TRY(count_handed(t, x, &one, &row, &n));
    OXP_FAIL_IF(t->ctx, which >= n, OXP_EINVAL, "%s: '%s' has %zu baselines, another tensor more",
                t->params->method->info.name, name, n);
    oxp_tensor *c = OXP_NEW(b->g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(t->ctx, c);
    OXP_TRY(oxp_tensor_new(t->ctx, b->g->arena, OXP_F64, &one, c));
    oxp_reference_read(t->params, name, &row, which, (double *)(uintptr_t)c->data);
    *out = constant_baseline(t, x, oxp_b_const(b, OXP_F32, c));
    return b->status;
}

static bool is_own_level(const char *text)
{
    return strcmp(text, "mean") == 0 || strcmp(text, "min") == 0 || strcmp(text, "max") == 0;
}

/* zero, a number, min, max, mean of the item's own values (mean: of each channel), or an array
 * handed over: number `which` of them */
static oxp_status baseline_of(oxp_task *t, const starts *s, size_t i, const char *text,
                              size_t which)
{
    oxp_build *b = t->b;
    const oxp_val x = s->at[i];
    const oxp_shape shape = *oxp_b_shape(b, x);
    const bool mean = strcmp(text, "mean") == 0, low = strcmp(text, "min") == 0;
    double number = 0.0;
    if (strcmp(text, "zero") == 0 || oxp_parse_double(text, &number)) {
        s->at0[i] = constant_baseline(t, x, oxp_b_scalar(b, number));
        return b->status;
    }
    OXP_FAIL_IF(
        t->ctx, !is_own_level(text) && t->params->n_references == 0, OXP_EINVAL,
        "%s: a baseline is zero, a number, min, max or mean (in the command also black, white, "
        "grey for pictures, and files), found '%s'",
        t->params->method->info.name, text);
    if (!is_own_level(text)) return handed_baseline(t, x, which, &s->at0[i]);
    int64_t axes[OXP_MAX_RANK];
    size_t n = 0;
    for (int a = 1; a < shape.rank; a++)
        if (!mean || a != s->roles[i].channel) axes[n++] = a;
    const oxp_op *op = mean ? &oxp_op_ReduceMean : low ? &oxp_op_ReduceMin : &oxp_op_ReduceMax;
    const oxp_val level =
        n == 0 ? x : OXP_EMIT1(b, op, x, OXP_INTS("axes", axes, n), OXP_INT("keepdims", 1));
    s->at0[i] = oxp_b_expand(b, level, &shape);
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

/* Adds weight times the attributions against one baseline to t->out; which: of those handed over. */
static oxp_status add_baseline(oxp_task *t, const char *text, size_t which, double weight,
                               bool multiply)
{
    oxp_build *b = t->b;
    oxp_val *at = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at);
    oxp_val *m = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at);
    OXP_FAIL_IF(t->ctx, !at || !m, OXP_ENOMEM, "out of memory");
    starts s;
    OXP_TRY(find_starts(t, &s));
    for (size_t i = 0; i < s.n; i++) OXP_TRY(baseline_of(t, &s, i, text, which));
    oxp_twin twin;
    OXP_TRY(oxp_twin_make(t, s.at, s.at0, s.n, is_split, &twin));
    oxp_lift l;
    OXP_TRY(read_lift(t, &l));
    const oxp_rule_set set = {oxp_lift_rules, OXP_LIFT_RULES, &l, twin.of};
    oxp_task first = *t;
    for (size_t i = 0; i < t->n_at; i++) at[i] = twin.now[t->at[i]];
    first.target = twin.target;
    first.at = at;
    OXP_TRY(oxp_task_backward(&first, &set, OXP_NO_VAL, m));
    t->touched = first.touched;
    t->n_touched = first.n_touched;
    t->stopped = t->stopped || first.stopped;
    const oxp_val scale = oxp_b_scalar(b, weight);
    for (size_t i = 0; i < t->n_at; i++) {
        if (m[i] == OXP_NO_VAL) continue;
        const oxp_val change = oxp_b_sub(b, at[i], twin.of[at[i]]);
        const oxp_val part = multiply ? oxp_b_mul(b, m[i], change) : m[i];
        const oxp_val share = oxp_b_mul(b, part, scale);
        t->out[i] = t->out[i] == OXP_NO_VAL ? share : oxp_b_add(b, t->out[i], share);
    }
    const oxp_val change = oxp_b_sub(b, twin.target, twin.of[twin.target]);
    const oxp_val expected = oxp_b_mul(b, oxp_b_mul(b, change, t->seed), scale);
    if (multiply)
        t->expected = t->expected == OXP_NO_VAL ? expected : oxp_b_add(b, t->expected, expected);
    return b->status;
}

/* How many baselines were handed over for what is at a baseline. */
static oxp_status count_all(oxp_task *t, size_t *n)
{
    starts s;
    oxp_shape one, row;
    OXP_TRY(find_starts(t, &s));
    return count_handed(t, s.at[0], &one, &row, n);
}

static bool is_handed(const char *text)
{
    double number;
    return !is_own_level(text) && strcmp(text, "zero") != 0 && !oxp_parse_double(text, &number);
}

static oxp_status plan_deeplift(oxp_task *t)
{
    const char *text = oxp_param_text(t->params, "baseline");
    size_t n = 1;
    if (is_handed(text) && t->params->n_references > 0) OXP_TRY(count_all(t, &n));
    OXP_FAIL_IF(t->ctx, n > 1, OXP_EINVAL,
                "deeplift takes one baseline, found %zu: deeplift-shap takes several", n);
    return add_baseline(t, text, 0, 1.0, oxp_param_bool(t->params, "multiply"));
}

/* The k-th word of a list, in ctx->scratch; NULL: there are no more, or no memory. */
static const char *word_at(oxp_task *t, const char *list, size_t k)
{
    for (; k > 0 && list; k--) list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL;
    return list ? oxp_arena_strndup(t->ctx->scratch, list, strcspn(list, ",")) : NULL;
}

/* Words of the caller's own stand for the arrays handed over, in order; a single one for all. */
static oxp_status plan_deeplift_shap(oxp_task *t)
{
    const char *list = oxp_param_text(t->params, "baselines"), *word;
    size_t words = 1, handed = 0, used = 0, arrays = 0;
    for (const char *c = list; *c; c++) words += *c == ',';
    for (size_t k = 0; k < words && (word = word_at(t, list, k)); k++) handed += is_handed(word);
    if (handed > 0 && t->params->n_references > 0) OXP_TRY(count_all(t, &arrays));
    const bool all = handed == 1 && arrays > 1;
    OXP_FAIL_IF(t->ctx, arrays > 0 && !all && arrays != handed, OXP_EINVAL,
                "deeplift-shap: %zu baselines are named, %zu were handed over", handed, arrays);
    const double weight = 1.0 / (double)(words + (all ? arrays - 1 : 0));
    for (size_t k = 0; k < words; k++) {
        word = word_at(t, list, k);
        OXP_NOMEM_IF(t->ctx, word);
        const size_t times = is_handed(word) && all ? arrays : 1;
        for (size_t i = 0; i < times; i++)
            OXP_TRY(add_baseline(t, word, is_handed(word) ? used++ : 0, weight, true));
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
     "what the input is compared with: zero, a number, min, max or mean (of each channel); in the "
     "command also black, white, grey or a file",
     OXP_PARAM_TEXT, 0, 0, "zero", NULL},
    OXP_BASELINE_AT,
    {"multiply", "multiply by x - baseline; false gives the multipliers", OXP_PARAM_BOOL, 0, 1,
     "true", NULL},
    RULE,
    CHANNELS,
};

static const oxp_param_info shap_params[] = {
    {"baselines",
     "what the input is compared with, a list: zero, numbers, min, max, mean; in the command also "
     "black, white, grey and files",
     OXP_PARAM_TEXT, 0, 0, "zero,min,max,mean", NULL},
    OXP_BASELINE_AT,
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
