/* attention_flow.c - what flows through the attention of all layers: rollout and gradient rollout.
 *
 * Each is a product of one matrix per layer, from the last to the first, of which the row q is
 * wanted: r = q M_L ... M_1. The identity in M stands for the residual connection. Where small
 * attention is to be discarded, which takes sorting, the rollout is done on the host. */
#include "explain/attention.h"

#include "ops/ops.h"
#include <stdlib.h>
#include <string.h>

oxp_status oxp_attention_chain(oxp_task *t)
{
    const oxp_graph *g = t->b->g;
    const oxp_shape *first = oxp_shape_at(g, t->at[0]);
    for (size_t i = 0; i < t->n_at; i++) {
        const oxp_value *v = oxp_value_of(g, t->at[i]);
        const char *name = v->name ? v->name : "?";
        const int rank = v->shape.rank;
        char text[OXP_SHAPE_TEXT];
        OXP_FAIL_IF(t->ctx,
                    v->shape.dim[rank - 1] != v->shape.dim[rank - 2] ||
                        v->shape.dim[rank - 1] != first->dim[first->rank - 1],
                    OXP_EINVAL,
                    "the attention map '%s' of shape %s does not continue the %lld tokens of the "
                    "first: name the maps of one encoder with --layer",
                    name, oxp_shape_text(&v->shape, text), (long long)first->dim[first->rank - 1]);
        if (i == 0) continue;
        const bool *after = oxp_reach_down(g, t->ctx->scratch, &t->at[i - 1], 1);
        OXP_NOMEM_IF(t->ctx, after);
        const char *before = oxp_value_of(g, t->at[i - 1])->name;
        OXP_FAIL_IF(t->ctx, !after[t->at[i]], OXP_EINVAL,
                    "the attention map '%s' does not build on '%s': name the maps of one encoder "
                    "with --layer",
                    name, before ? before : "?");
    }
    return OXP_OK;
}

oxp_status oxp_attention_flow(oxp_task *t, const oxp_val *a, oxp_attention_step step)
{
    oxp_val r, query;
    OXP_TRY(oxp_attention_query(t, &query));
    r = query;
    for (size_t l = t->n_at; l-- > 0;)
        if (a[l] != OXP_NO_VAL) r = step(t, r, a[l]);
    const bool none = r == query;
    if (!none && oxp_param_known(t->params, "self") && !oxp_param_bool(t->params, "self"))
        r = oxp_attention_others(t, r, query);
    t->out[0] = none ? OXP_NO_VAL : oxp_attention_tokens(t, r);
    return t->b->status;
}

oxp_val oxp_attention_residual(oxp_task *t, oxp_val r, oxp_val a)
{
    return oxp_b_add(t->b, oxp_b_matmul(t->b, r, a), r);
}

/* (N,1,T): the row sums of a + I */
static oxp_val row_sums(oxp_task *t, oxp_val a)
{
    const int64_t keys = 2;
    const oxp_shape *s = oxp_b_shape(t->b, a);
    if (t->b->status != OXP_OK) return OXP_NO_VAL;
    const oxp_shape as_row = {.rank = 3, .dim = {s->dim[0], 1, s->dim[1]}};
    const oxp_val sums = oxp_b_reduce_sum(t->b, a, &keys, 1, true);
    return oxp_b_add(t->b, oxp_b_reshape(t->b, sums, &as_row), oxp_b_scalar(t->b, 1.0));
}

oxp_val oxp_attention_normalised(oxp_task *t, oxp_val r, oxp_val a)
{
    return oxp_attention_residual(t, oxp_b_div(t->b, r, row_sums(t, a)), a);
}

/* vit-explain divides the columns by the sums of rows: r' = (r a + r) / D. */
static oxp_val rollout_step(oxp_task *t, oxp_val r, oxp_val a)
{
    if (!oxp_param_is(t->params, "normalise", "columns")) return oxp_attention_normalised(t, r, a);
    return oxp_b_div(t->b, oxp_attention_residual(t, r, a), row_sums(t, a));
}

/* The rollout of maps a (N,T,T): in the graph, or, for the host, all of them and q below each
 * other, (N, n_at T + 1, T). */
static oxp_status roll_out(oxp_task *t, const oxp_val *a)
{
    if (!(oxp_param_number(t->params, "discard") > 0.0))
        return oxp_attention_flow(t, a, rollout_step);
    const oxp_shape *s = oxp_b_shape(t->b, t->at[0]);
    const int64_t rows = (int64_t)t->width, tokens = s->dim[s->rank - 1];
    const oxp_shape one_map = {.rank = 3, .dim = {rows, tokens, tokens}},
                    one_row = {.rank = 3, .dim = {rows, 1, tokens}};
    oxp_val query, *all = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at + 1);
    OXP_NOMEM_IF(t->ctx, all);
    OXP_TRY(oxp_attention_query(t, &query));
    for (size_t l = 0; l < t->n_at; l++)
        all[l] = a[l] != OXP_NO_VAL ? a[l] : oxp_b_full(t->b, &one_map, 0.0);
    all[t->n_at] = oxp_b_expand(t->b, query, &one_row);
    t->out[0] = oxp_b_concat(t->b, all, t->n_at + 1, 1);
    return t->b->status;
}

typedef struct entry {
    double value;
    size_t at;
} entry;

static int by_value(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    if (a->value < b->value || a->value > b->value) return a->value < b->value ? -1 : 1;
    return a->at < b->at ? -1 : 1;
}

/* The lowest `share` of the n entries of a become 0, the first entry never (vit-explain). */
static void discard_lowest(double *a, size_t n, double share, entry *sorted)
{
    for (size_t i = 0; i < n; i++) sorted[i] = (entry){a[i], i};
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < (size_t)((double)n * share); i++)
        if (sorted[i].at > 0) a[sorted[i].at] = 0.0;
}

/* r' = r M as in rollout_step */
static void host_step(const double *a, size_t n, bool columns, const double *r, double *next)
{
    memset(next, 0, n * sizeof *next);
    for (size_t i = 0; i < n; i++) {
        double sum = 1.0;
        for (size_t j = 0; j < n; j++) sum += a[i * n + j];
        const double weight = columns ? r[i] : r[i] / sum;
        for (size_t j = 0; j < n; j++) next[j] += weight * a[i * n + j];
        next[i] += weight;
    }
    for (size_t j = 0; columns && j < n; j++) {
        double sum = 1.0;
        for (size_t k = 0; k < n; k++) sum += a[j * n + k];
        next[j] /= sum;
    }
}

static oxp_status finish_rollout(oxp_finish *f)
{
    const double share = oxp_param_number(f->params, "discard");
    const bool columns = oxp_param_is(f->params, "normalise", "columns");
    const size_t cells = (size_t)oxp_shape_elements(&f->in_shape);
    const size_t prefix = f->roles->n_grid > 0 ? (size_t)f->roles->prefix : 0;
    double *all = oxp_arena_memdup(f->arena, f->in, cells * sizeof(double));
    OXP_NOMEM_IF(f->ctx, all);
    f->out_shape = f->in_shape;
    f->out = all;
    if (!(share > 0.0)) return OXP_OK;
    const size_t n = (size_t)f->in_shape.dim[1], layers = (size_t)f->in_shape.dim[0] / n;
    double *r = all + layers * n * n, *next = OXP_NEW(f->arena, double, n);
    entry *sorted = OXP_NEW(f->arena, entry, n * n);
    OXP_FAIL_IF(f->ctx, !next || !sorted, OXP_ENOMEM, "out of memory");
    for (size_t l = layers; l-- > 0;) {
        discard_lowest(all + l * n * n, n * n, share, sorted);
        host_step(all + l * n * n, n, columns, r, next);
        memcpy(r, next, n * sizeof *r);
    }
    f->out = r + prefix;
    f->out_shape = (oxp_shape){.rank = 1, .dim = {(int64_t)(n - prefix)}};
    return OXP_OK;
}

static oxp_status plan_rollout(oxp_task *t)
{
    OXP_TRY(oxp_attention_chain(t));
    for (size_t l = 0; l < t->n_at; l++)
        t->out[l] = oxp_attention_fuse(t, oxp_attention_heads(t, t->at[l]));
    return roll_out(t, t->out);
}

/* a = relu(mean_h g . A) */
static oxp_status plan_gradient_rollout(oxp_task *t)
{
    OXP_TRY(oxp_attention_chain(t));
    OXP_TRY(oxp_task_backward(t, NULL, OXP_NO_VAL, t->out));
    for (size_t l = 0; l < t->n_at; l++) {
        if (t->out[l] == OXP_NO_VAL) continue;
        const oxp_val weighted = oxp_attention_heads(t, oxp_b_mul(t->b, t->at[l], t->out[l]));
        t->out[l] = oxp_b_unary(t->b, &oxp_op_Relu, oxp_attention_fuse(t, weighted));
    }
    return roll_out(t, t->out);
}

#define NORMALISE                                                                               \
    {                                                                                           \
        "normalise", "divide rows by their sums, or columns by the sums of rows (vit-explain)", \
            OXP_PARAM_CHOICE, 0, 0, "rows", "rows,columns"                                      \
    }

static const oxp_param_info rollout_params[] = {
    OXP_ATTENTION_HEADS,
    {"discard", "share of each layer's matrix, the smallest entries, that becomes 0",
     OXP_PARAM_FLOAT, 0, 1, "0", NULL},
    NORMALISE,
    OXP_ATTENTION_QUERY,
    OXP_CAM_UPSAMPLE,
};

const oxp_method oxp_method_attention_rollout = {
    .info = {.name = "attention-rollout",
             .title = "Attention rollout",
             .param_count = OXP_COUNT(rollout_params),
             .needs_layer = 1,
             .sentence = "How the attention of all layers, residuals included, mixes the tokens "
                         "into the one that the target reads.",
             .definition = "the read row of M_L ... M_1, M = A/2 + I/2 with rows normalised, A = "
                           "mean_h A_h",
             .paper = "Abnar, Zuidema 2020, arXiv:2005.00928",
             .equals = "Transformer-Explainability generate_rollout; vit-explain "
                       "VITAttentionRollout with normalise=columns, the same discard",
             .cost = "1 forward",
             .weakness = "not specific to a class; ignores values and feed-forward layers"},
    .params = rollout_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION | OXP_METHOD_ATTENTION_FLOW,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_rollout,
    .finish = finish_rollout,
};

const oxp_method oxp_method_gradient_rollout = {
    .info = {.name = "gradient-rollout",
             .title = "Gradient rollout",
             .param_count = OXP_COUNT(rollout_params),
             .needs_layer = 1,
             .sentence = "Attention rollout of the attention that raises the score.",
             .definition = "attention rollout with relu(mean_h g_h . A_h) in place of mean_h A_h",
             .paper = "Gildenblat 2020, github.com/jacobgil/vit-explain (gradient attention "
                      "rollout)",
             .equals = "vit-explain VITAttentionGradRollout with normalise=columns, the "
                       "same discard",
             .cost = "1 forward, backward down to the first attention",
             .weakness = "gradients are small beside the identity, so layers far from the score "
                         "hardly count"},
    .params = rollout_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION | OXP_METHOD_ATTENTION_FLOW,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_gradient_rollout,
    .finish = finish_rollout,
};
