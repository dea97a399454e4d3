/* cache.c - what models that generate keep from call to call, beside the keys of Attention.
 *
 *   TensorScatter        (past, update, write indices?): update written into past along one axis, each item of the
 *                        batch from an index of its own on; circular: past the end it goes on at the start
 *   CausalConvWithState  (x, w (C,1,k), bias?, past (B,C,k-1)?) -> y, present: a depthwise convolution along the
 *                        last axis that looks back only; before x lies the past, or zeros; then perhaps x sigmoid(x)
 *
 * Specialisation puts their expansions in their place: a scatter, and a convolution that rules know. */
#include "ops/infer.h"

#include <math.h>
#include <string.h>

/* ---- TensorScatter ---- */

typedef struct writing {
    int axis;
    int64_t batch, before, after; /* cells between the batch and the axis, and behind it */
    int64_t size, n;              /* cells of the cache and of the update */
    bool circular;
} writing;

static oxp_status read_writing(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *past,
                               const oxp_shape *update, const oxp_shape *start, writing *w)
{
    char ps[OXP_SHAPE_TEXT], us[OXP_SHAPE_TEXT];
    *w = (writing){.before = 1, .after = 1};
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", -2), past->rank, &w->axis));
    OXP_NODE_FAIL_IF(ctx, node, w->axis == 0, OXP_EINVAL, "writes along axis %d, that of the batch",
                     w->axis);
    bool fits = past->rank == update->rank;
    for (int a = 0; fits && a < past->rank; a++)
        fits = a == w->axis ? update->dim[a] <= past->dim[a] : update->dim[a] == past->dim[a];
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EINVAL, "cannot write %s into %s along axis %d",
                     oxp_shape_text(update, us), oxp_shape_text(past, ps), w->axis);
    w->batch = past->dim[0];
    OXP_NODE_FAIL_IF(ctx, node, start && (start->rank != 1 || start->dim[0] != w->batch),
                     OXP_EINVAL, "expects %lld write indices, found %s", (long long)w->batch,
                     oxp_shape_text(start, ps));
    for (int a = 1; a < w->axis; a++) w->before *= past->dim[a];
    for (int a = w->axis + 1; a < past->rank; a++) w->after *= past->dim[a];
    w->size = past->dim[w->axis];
    w->n = update->dim[w->axis];
    w->circular = strcmp(oxp_attr_string(node, "mode", "linear"), "circular") == 0;
    return OXP_OK;
}

static oxp_status infer_scatter(oxp_infer *inf)
{
    const bool placed = oxp_infer_has(inf, 2);
    writing w;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, placed && oxp_infer_dtype(inf, 2) != OXP_I64, OXP_EINVAL,
                     "expects whole numbers as write indices, found %s",
                     oxp_dtype_name(oxp_infer_dtype(inf, 2)));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, 0) != oxp_infer_dtype(inf, 1),
                     OXP_EINVAL, "cannot write %s into %s", oxp_dtype_name(oxp_infer_dtype(inf, 1)),
                     oxp_dtype_name(oxp_infer_dtype(inf, 0)));
    OXP_TRY(read_writing(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1),
                         placed ? oxp_infer_shape(inf, 2) : NULL, &w));
    return oxp_infer_same(inf);
}

static oxp_status ref_scatter(const oxp_call *call)
{
    const double *start = oxp_node_has(call->node, 2) ? call->in[2] : NULL;
    writing w;
    OXP_TRY(read_writing(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1],
                         start ? &call->in_shape[2] : NULL, &w));
    memcpy(call->out[0], call->in[0],
           (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    for (int64_t i = 0; i < w.batch * w.before * w.n; i++) {
        const int64_t row = i / w.n, first = start ? (int64_t)start[row / w.before] : 0;
        int64_t at = first + i % w.n;
        /* the remainder's sign is that of the size; without wrapping -1 is the last cell, as for any index */
        if (w.circular) at %= w.size;
        if (at < 0) at += w.size;
        OXP_NODE_FAIL_IF(call->ctx, call->node, at < 0 || at >= w.size, OXP_EINVAL,
                         "writes from cell %lld on, beyond the %lld of its cache", (long long)first,
                         (long long)w.size);
        memcpy(call->out[0] + (row * w.size + at) * w.after, call->in[1] + i * w.after,
               (size_t)w.after * sizeof(double));
    }
    return OXP_OK;
}

static oxp_status expand_scatter(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape update = *oxp_b_shape(b, node->in[1]);
    const bool placed = oxp_node_has(node, 2);
    writing w;
    OXP_TRY(read_writing(b->ctx, node, oxp_b_shape(b, node->in[0]), &update,
                         placed ? oxp_b_shape(b, node->in[2]) : NULL, &w));
    oxp_shape along = {.rank = update.rank}, items = along;
    for (int a = 0; a < update.rank; a++) {
        along.dim[a] = a == w.axis ? w.n : 1;
        items.dim[a] = a == 0 ? w.batch : 1;
    }
    oxp_val at = oxp_b_reshape(b, oxp_b_count(b, w.n), &along);
    if (placed) at = oxp_b_add(b, oxp_b_reshape(b, node->in[2], &items), at);
    if (w.circular)
        at = oxp_emit(b, &oxp_op_Mod, (const oxp_val[]){at, oxp_b_ints(b, &w.size, 1)}, 2, NULL, 0);
    const oxp_val in[] = {node->in[0], oxp_b_expand(b, at, &update), node->in[1]};
    const oxp_attr axis = OXP_INT("axis", w.axis);
    out[0] = oxp_emit(b, &oxp_op_ScatterElements, in, 3, &axis, 1);
    return b->status;
}

/* ---- CausalConvWithState ---- */

enum { X, W, BIAS, PAST };

static oxp_status check_causal(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *const *in)
{
    const oxp_shape *x = in[X], *w = in[W], *bias = in[BIAS], *past = in[PAST];
    char xs[OXP_SHAPE_TEXT], ws[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(ctx, node,
                     x->rank != 3 || w->rank != 3 || w->dim[0] != x->dim[1] || w->dim[1] != 1 ||
                         w->dim[2] < 1,
                     OXP_EINVAL, "expects (B,C,L) and weights (C,1,k), found %s and %s",
                     oxp_shape_text(x, xs), oxp_shape_text(w, ws));
    OXP_NODE_FAIL_IF(ctx, node, bias && (bias->rank != 1 || bias->dim[0] != x->dim[1]), OXP_EINVAL,
                     "has a bias %s for %lld channels", oxp_shape_text(bias, xs),
                     (long long)x->dim[1]);
    const oxp_shape kept = {.rank = 3, .dim = {x->dim[0], x->dim[1], w->dim[2] - 1}};
    OXP_NODE_FAIL_IF(ctx, node, past && !oxp_shape_equal(past, &kept), OXP_EINVAL,
                     "expects a past of %s, found %s", oxp_shape_text(&kept, xs),
                     oxp_shape_text(past, ws));
    return OXP_OK;
}

static oxp_status infer_causal(oxp_infer *inf)
{
    const oxp_shape *in[PAST + 1] = {NULL};
    for (uint32_t i = 0; i < inf->node->n_in; i++) {
        if (!oxp_infer_has(inf, i)) continue;
        OXP_TRY(oxp_infer_float(inf, i));
        in[i] = oxp_infer_shape(inf, i);
    }
    OXP_TRY(check_causal(inf->ctx, inf->node, in));
    oxp_shape present = *in[X];
    present.dim[2] = in[W]->dim[2] - 1;
    OXP_TRY(oxp_infer_out(inf, 0, OXP_F32, in[X]));
    return inf->node->n_out < 2 ? OXP_OK : oxp_infer_out(inf, 1, OXP_F32, &present);
}

static bool is_gated(const oxp_node *node)
{
    return strcmp(oxp_attr_string(node, "activation", "none"), "none") != 0;
}

static oxp_status ref_causal(const oxp_call *call)
{
    const oxp_node *node = call->node;
    const int64_t rows = call->in_shape[X].dim[0] * call->in_shape[X].dim[1];
    const int64_t channels = call->in_shape[X].dim[1], n = call->in_shape[X].dim[2];
    const int64_t k = call->in_shape[W].dim[2];
    const double *past = oxp_node_has(node, PAST) ? call->in[PAST] : NULL;
    const double *bias = oxp_node_has(node, BIAS) ? call->in[BIAS] : NULL;
    double *line = OXP_NEW(call->scratch, double, (size_t)(k - 1 + n) + 1);
    OXP_NOMEM_IF(call->ctx, line);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t t = 0; t < k - 1; t++) line[t] = past ? past[r * (k - 1) + t] : 0.0;
        for (int64_t t = 0; t < n; t++) line[k - 1 + t] = call->in[X][r * n + t];
        for (int64_t t = 0; call->out[0] && t < n; t++) {
            double y = bias ? bias[r % channels] : 0.0;
            for (int64_t i = 0; i < k; i++) y += call->in[W][r % channels * k + i] * line[t + i];
            call->out[0][r * n + t] = is_gated(node) ? y / (1.0 + exp(-y)) : y;
        }
        for (int64_t t = 0; node->n_out > 1 && call->out[1] && t < k - 1; t++)
            call->out[1][r * (k - 1) + t] = line[n + t];
    }
    return OXP_OK;
}

static oxp_status expand_causal(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[X]);
    const int64_t k = oxp_b_shape(b, node->in[W])->dim[2];
    const bool kept = oxp_node_has(node, PAST) && k > 1, padded = !kept && node->n_out > 1;
    const int64_t pads[] = {kept || padded ? 0 : k - 1, 0};
    oxp_val line = node->in[X];
    if (kept) line = oxp_b_concat(b, (const oxp_val[]){node->in[PAST], line}, 2, 2);
    if (padded) line = oxp_b_pad_zero(b, line, 2, k - 1, 0);
    if (node->n_out > 1) out[1] = oxp_b_slice(b, line, 2, x.dim[2], x.dim[2] + k - 1);
    const oxp_val in[] = {line, node->in[W], oxp_node_has(node, BIAS) ? node->in[BIAS] : 0};
    const oxp_attr attrs[] = {OXP_INT("group", x.dim[1]), OXP_INTS("pads", pads, 2)};
    out[0] = oxp_emit(b, &oxp_op_Conv, in, in[2] ? 3 : 2, attrs, 2);
    if (is_gated(node)) out[0] = OXP_EMIT1(b, &oxp_op__Silu, out[0], OXP_FLOAT("alpha", 1.0));
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec scatter_attrs[] = {
    {"mode", OXP_ATTR_STRING, "linear,circular"}, {"axis", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec causal_attrs[] = {{"activation", OXP_ATTR_STRING, "none,silu,swish"}, END};

const oxp_op oxp_op_TensorScatter = {
    .name = "TensorScatter", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = 24,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = scatter_attrs, .infer = infer_scatter,
    .ref = ref_scatter, .expand = expand_scatter};
const oxp_op oxp_op_CausalConvWithState = {
    .name = "CausalConvWithState", .min_in = 2, .max_in = 4, .min_out = 1, .max_out = 2, .since = 27,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = causal_attrs, .infer = infer_causal,
    .ref = ref_causal, .expand = expand_causal};
/* clang-format on */
