/* contrib_norm.c - normalisations as ONNX Runtime's optimiser writes them, put back into their parts by
 * specialisation:
 *
 *   SimplifiedLayerNormalization     RMSNormalization (written without a domain)
 *   SkipLayerNormalization           LayerNormalization of s = input + skip + bias
 *   SkipSimplifiedLayerNormalization RMSNormalization of s
 *   EmbedLayerNormalization          LayerNormalization of the sum of three rows of tables: for the word,
 *                                    its position and its segment
 *
 * Further outputs are the statistics per row (mean, 1 / sqrt(...)), s itself, and how many tokens a mask
 * lets through. */
#include "ops/norm.h"

#include <math.h>

/* y = xhat gamma + beta of one row of n numbers; `simple`: only scaled. gamma, beta may be NULL. */
static void normalise_row(const double *x, int64_t n, const double *gamma, const double *beta,
                          double epsilon, bool simple, double *y, double *mean, double *rate)
{
    oxp_norm_moments(x, n, epsilon, mean, rate);
    double square = 0.0;
    for (int64_t i = 0; i < n; i++) square += x[i] * x[i];
    if (simple) *rate = 1.0 / sqrt(square / (double)n + epsilon);
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - (simple ? 0.0 : *mean)) * *rate * (gamma ? gamma[i] : 1.0) +
               (beta ? beta[i] : 0.0);
}

static const double *param(const oxp_call *call, uint32_t i)
{
    return i < call->node->n_in ? call->in[i] : NULL;
}

static void keep_output(const oxp_call *call, uint32_t k, int64_t at, double value)
{
    if (k < call->node->n_out && call->out[k]) call->out[k][at] = value;
}

/* (n), the last axis of x */
static oxp_status check_row(const oxp_infer *inf, size_t i, int64_t n)
{
    char found[OXP_SHAPE_TEXT];
    if (!oxp_infer_has(inf, i)) return OXP_OK;
    const oxp_shape *s = oxp_infer_shape(inf, i);
    OXP_TRY(oxp_infer_float(inf, i));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, s->rank != 1 || s->dim[0] != n, OXP_EINVAL,
                     "expects [%lld] as input %zu, found %s", (long long)n, i,
                     oxp_shape_text(s, found));
    return OXP_OK;
}

static oxp_attr epsilon_attr(const oxp_node *node)
{
    return OXP_FLOAT("epsilon", oxp_norm_epsilon(node));
}

/* 1 / sqrt(mean of x^2 over `axes` + epsilon) */
static oxp_val rms_rate(oxp_build *b, const oxp_node *node, oxp_val x, const int64_t *axes,
                        size_t n)
{
    const oxp_val square = oxp_b_reduce_mean(b, oxp_b_mul(b, x, x), axes, n, true);
    const oxp_val safe = oxp_b_add(b, square, oxp_b_scalar(b, oxp_norm_epsilon(node)));
    return oxp_b_unary(b, &oxp_op_Reciprocal, oxp_b_unary(b, &oxp_op_Sqrt, safe));
}

/* ---- SimplifiedLayerNormalization ---- */

static oxp_status simplified_infer(oxp_infer *inf)
{
    int axis;
    OXP_TRY(oxp_op_RMSNormalization.infer(inf));
    oxp_shape rows = *oxp_infer_shape(inf, 0);
    OXP_TRY(oxp_norm_axis(inf->ctx, oxp_attr_int(inf->node, "axis", -1), rows.rank, &axis));
    for (int a = axis; a < rows.rank; a++) rows.dim[a] = 1;
    return inf->node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_F32, &rows) : OXP_OK;
}

static oxp_status simplified_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    int axis;
    int64_t rows = 1, n = 1;
    OXP_TRY(oxp_op_RMSNormalization.ref(call));
    OXP_TRY(oxp_norm_axis(call->ctx, oxp_attr_int(call->node, "axis", -1), x->rank, &axis));
    for (int a = 0; a < x->rank; a++) *(a < axis ? &rows : &n) *= x->dim[a];
    for (int64_t r = 0; r < rows; r++) {
        double square = 0.0;
        for (int64_t i = r * n; i < (r + 1) * n; i++) square += call->in[0][i] * call->in[0][i];
        keep_output(call, 1, r, 1.0 / sqrt(square / (double)n + oxp_norm_epsilon(call->node)));
    }
    return OXP_OK;
}

static oxp_status simplified_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const int64_t axis = oxp_attr_int(node, "axis", -1);
    const oxp_attr attrs[] = {OXP_INT("axis", axis), epsilon_attr(node)};
    out[0] = oxp_emit(b, &oxp_op_RMSNormalization, node->in, 2, attrs, 2);
    if (node->n_out < 2 || b->status != OXP_OK) return b->status;
    const int rank = oxp_b_shape(b, node->in[0])->rank;
    int64_t axes[OXP_MAX_RANK];
    size_t n = 0;
    for (int64_t a = axis < 0 ? axis + rank : axis; a < rank; a++) axes[n++] = a;
    out[1] = rms_rate(b, node, node->in[0], axes, n);
    return b->status;
}

/* ---- SkipLayerNormalization (input, skip, gamma, beta?, bias?), the simplified one without beta ---- */

static bool is_simple(const oxp_node *node)
{
    return node->op == &oxp_op_ms_SkipSimplifiedLayerNormalization;
}

static oxp_status skip_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0), *skip = oxp_infer_shape(inf, 1);
    char xs[OXP_SHAPE_TEXT], ss[OXP_SHAPE_TEXT];
    oxp_shape joined;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_NODE_FAIL_IF(
        inf->ctx, inf->node,
        x->rank < 1 || !oxp_shape_broadcast(x, skip, &joined) || !oxp_shape_equal(x, &joined),
        OXP_EINVAL, "cannot add %s to %s", oxp_shape_text(skip, ss), oxp_shape_text(x, xs));
    for (size_t i = 2; i < inf->node->n_in; i++) OXP_TRY(check_row(inf, i, x->dim[x->rank - 1]));
    oxp_shape rows = *x;
    rows.dim[rows.rank - 1] = 1;
    for (uint32_t k = 0; k < inf->node->n_out; k++)
        OXP_TRY(oxp_infer_out(inf, k, OXP_F32, k == 0 || k == 3 ? x : &rows));
    return OXP_OK;
}

static oxp_status skip_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const bool simple = is_simple(call->node);
    const double *bias = param(call, simple ? 3 : 4), *beta = simple ? NULL : param(call, 3);
    const int64_t n = x->dim[x->rank - 1], rows = n ? oxp_shape_elements(x) / n : 0;
    double *sum = oxp_arena_alloc(call->scratch, (size_t)n + 1, sizeof(double));
    int64_t at[OXP_MAX_RANK] = {0};
    OXP_NOMEM_IF(call->ctx, sum);
    for (int64_t r = 0; r < rows; r++) {
        double mean, rate;
        for (int64_t i = 0; i < n; i++, oxp_index_next(x, at)) {
            sum[i] = call->in[0][r * n + i] + (bias ? bias[i] : 0.0) +
                     call->in[1][oxp_index_broadcast(&call->in_shape[1], x, at)];
            keep_output(call, 3, r * n + i, sum[i]);
        }
        normalise_row(sum, n, call->in[2], beta, oxp_norm_epsilon(call->node), simple,
                      call->out[0] + r * n, &mean, &rate);
        keep_output(call, 1, r, mean);
        keep_output(call, 2, r, rate);
    }
    return OXP_OK;
}

static oxp_status skip_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const bool simple = is_simple(node);
    const size_t bias = simple ? 3 : 4;
    const oxp_attr attrs[] = {OXP_INT("axis", -1), epsilon_attr(node)};
    oxp_val sum = node->in[0], made[3] = {0};
    /* the bias belongs to the product that is the input, and what follows both is the skip connection */
    if (oxp_node_has(node, bias)) sum = oxp_b_add(b, sum, node->in[bias]);
    sum = oxp_b_add(b, sum, node->in[1]);
    const oxp_val in[] = {sum, node->in[2],
                          !simple && oxp_node_has(node, 3) ? node->in[3] : OXP_NO_VAL};
    const size_t n_out = node->n_out > 2 ? 3 : node->n_out;
    if (simple) {
        made[0] = oxp_emit(b, &oxp_op_RMSNormalization, in, 2, attrs, 2);
        if (n_out > 1) made[1] = oxp_b_reduce_mean(b, sum, (const int64_t[]){-1}, 1, true);
        if (n_out > 2) made[2] = rms_rate(b, node, sum, (const int64_t[]){-1}, 1);
    } else {
        OXP_TRY(oxp_emit_multi(b, &oxp_op_LayerNormalization, in, in[2] ? 3 : 2, attrs, 2, n_out,
                               made));
    }
    for (size_t k = 0; k < n_out; k++) out[k] = made[k];
    if (node->n_out > 3) out[3] = sum;
    return b->status;
}

/* ---- EmbedLayerNormalization ---- */

enum { IDS, SEGMENTS, WORDS, PLACES, KINDS, GAMMA, BETA, MASK, POSITIONS }; /* its inputs */

/* Table `i` (rows, n), looked up by input `by` (B,S) or (1,S). */
static oxp_status check_table(const oxp_infer *inf, size_t i, size_t by, int64_t n)
{
    char found[OXP_SHAPE_TEXT];
    if (!oxp_infer_has(inf, i)) return OXP_OK;
    const oxp_shape *s = oxp_infer_shape(inf, i), *ids = oxp_infer_shape(inf, IDS);
    OXP_TRY(oxp_infer_float(inf, i));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, s->rank != 2 || s->dim[1] != n, OXP_EINVAL,
                     "expects a table of rows of %lld as input %zu, found %s", (long long)n, i,
                     oxp_shape_text(s, found));
    if (!oxp_infer_has(inf, by)) return OXP_OK;
    const oxp_shape *look = oxp_infer_shape(inf, by);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_dtype(inf, by) != OXP_I64 || look->rank != 2 ||
                         look->dim[1] != ids->dim[1] ||
                         (look->dim[0] != ids->dim[0] && look->dim[0] != 1),
                     OXP_EINVAL, "expects integers like the ids as input %zu, found %s", by,
                     oxp_shape_text(look, found));
    return OXP_OK;
}

static oxp_status embed_infer(oxp_infer *inf)
{
    static const size_t needed[] = {IDS, WORDS, PLACES, GAMMA, BETA};
    for (size_t i = 0; i < OXP_COUNT(needed); i++)
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_infer_has(inf, needed[i]), OXP_EINVAL,
                         "lacks input %zu", needed[i]);
    const oxp_shape *ids = oxp_infer_shape(inf, IDS), *words = oxp_infer_shape(inf, WORDS);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, ids->rank != 2 || words->rank != 2, OXP_EINVAL,
                     "expects ids and a table of rank 2, found ranks %d and %d", ids->rank,
                     words->rank);
    const int64_t n = words->dim[1], items = ids->dim[0], tokens = ids->dim[1];
    OXP_TRY(check_table(inf, WORDS, IDS, n));
    OXP_TRY(check_table(inf, PLACES, POSITIONS, n));
    OXP_TRY(check_table(inf, KINDS, SEGMENTS, n));
    OXP_TRY(check_row(inf, GAMMA, n));
    OXP_TRY(check_row(inf, BETA, n));
    const bool placed = oxp_infer_has(inf, POSITIONS);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !placed && oxp_infer_shape(inf, PLACES)->dim[0] < tokens,
                     OXP_EINVAL, "has fewer positions than its %lld tokens", (long long)tokens);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_has(inf, MASK) && !oxp_shape_equal(ids, oxp_infer_shape(inf, MASK)),
                     OXP_EINVAL, "expects a mask like its %s", "ids");
    const oxp_shape y = {.rank = 3, .dim = {items, tokens, n}},
                    counts = {.rank = 1, .dim = {items}};
    for (uint32_t k = 0; k < inf->node->n_out; k++)
        OXP_TRY(oxp_infer_out(inf, k, k == 1 ? OXP_I64 : OXP_F32, k == 1 ? &counts : &y));
    return OXP_OK;
}

/* Adds the row of table `i` that input `by` names for token t of item r; by itself: t. */
static oxp_status add_row(const oxp_call *call, uint32_t i, uint32_t by, int64_t r, int64_t t,
                          double *sum)
{
    const double *table = param(call, i), *look = param(call, by);
    if (!table) return OXP_OK;
    const oxp_shape *s = &call->in_shape[i];
    int64_t row = t;
    if (look) {
        const oxp_shape *l = &call->in_shape[by];
        row = (int64_t)look[(l->dim[0] == 1 ? 0 : r) * l->dim[1] + t];
    }
    if (row < 0) row += s->dim[0];
    OXP_NODE_FAIL_IF(call->ctx, call->node, row < 0 || row >= s->dim[0], OXP_EINVAL,
                     "looks up row %lld of a table of %lld", (long long)row, (long long)s->dim[0]);
    for (int64_t k = 0; k < s->dim[1]; k++) sum[k] += table[row * s->dim[1] + k];
    return OXP_OK;
}

static oxp_status embed_ref(const oxp_call *call)
{
    const int64_t items = call->out_shape[0].dim[0], tokens = call->out_shape[0].dim[1],
                  n = call->out_shape[0].dim[2];
    const double *mask = param(call, MASK);
    double *sum = oxp_arena_alloc(call->scratch, (size_t)n + 1, sizeof(double)), mean, rate;
    OXP_NOMEM_IF(call->ctx, sum);
    for (int64_t r = 0; r < items; r++) {
        double seen = 0.0;
        for (int64_t t = 0; t < tokens; t++) {
            const int64_t first = (r * tokens + t) * n;
            for (int64_t k = 0; k < n; k++) sum[k] = 0.0;
            OXP_TRY(add_row(call, WORDS, IDS, r, t, sum));
            OXP_TRY(add_row(call, PLACES, POSITIONS, r, t, sum));
            if (param(call, SEGMENTS)) OXP_TRY(add_row(call, KINDS, SEGMENTS, r, t, sum));
            normalise_row(sum, n, call->in[GAMMA], call->in[BETA], oxp_norm_epsilon(call->node),
                          false, call->out[0] + first, &mean, &rate);
            for (int64_t k = 0; k < n; k++) keep_output(call, 2, first + k, sum[k]);
            if (mask && mask[r * tokens + t] >= 1.0 && mask[r * tokens + t] <= 1.0) seen++;
        }
        keep_output(call, 1, r, seen);
    }
    return OXP_OK;
}

static oxp_val looked_up(oxp_build *b, oxp_val table, oxp_val by)
{
    const oxp_attr axis = OXP_INT("axis", 0);
    return oxp_emit(b, &oxp_op_Gather, (const oxp_val[]){table, by}, 2, &axis, 1);
}

/* How many entries of the mask are 1; without a mask 0 */
static oxp_val mask_count(oxp_build *b, const oxp_node *node, int64_t items)
{
    const oxp_shape counts = {.rank = 1, .dim = {items}};
    if (!oxp_node_has(node, MASK)) return oxp_b_cast(b, oxp_b_full(b, &counts, 0.0), OXP_I64);
    const int64_t one = 1;
    const oxp_val seen = oxp_b_equal(b, node->in[MASK], oxp_b_ints(b, &one, 1));
    const oxp_val number = oxp_b_cast(b, seen, OXP_F32);
    return oxp_b_cast(b, oxp_b_reduce_sum(b, number, (const int64_t[]){1}, 1, false), OXP_I64);
}

static oxp_status embed_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_shape ids = *oxp_b_shape(b, node->in[IDS]);
    const oxp_attr attrs[] = {OXP_INT("axis", -1), epsilon_attr(node)};
    oxp_val sum = looked_up(b, node->in[WORDS], node->in[IDS]);
    const oxp_val places = oxp_node_has(node, POSITIONS)
                               ? looked_up(b, node->in[PLACES], node->in[POSITIONS])
                               : oxp_b_slice(b, node->in[PLACES], 0, 0, ids.dim[1]);
    sum = oxp_b_add(b, sum, places);
    if (oxp_node_has(node, KINDS) && oxp_node_has(node, SEGMENTS))
        sum = oxp_b_add(b, sum, looked_up(b, node->in[KINDS], node->in[SEGMENTS]));
    const oxp_val in[] = {sum, node->in[GAMMA], node->in[BETA]};
    out[0] = oxp_emit(b, &oxp_op_LayerNormalization, in, 3, attrs, 2);
    if (node->n_out > 1) out[1] = mask_count(b, node, ids.dim[0]);
    if (node->n_out > 2) out[2] = sum;
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec simplified_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {"stash_type", OXP_ATTR_INT, "1"}, {NULL, 0, NULL}};
static const oxp_attr_spec skip_attrs[] = {{"epsilon", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec embed_attrs[] = {
    {"epsilon", OXP_ATTR_FLOAT, NULL}, {"mask_index_type", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

#define OPEN OXP_OP_COMPOSITE | OXP_OP_OPEN

const oxp_op oxp_op_SimplifiedLayerNormalization = {
    .name = "SimplifiedLayerNormalization", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 2, .since = 1,
    .flags = OPEN, .attrs = simplified_attrs, .infer = simplified_infer, .ref = simplified_ref,
    .expand = simplified_expand};

const oxp_op oxp_op_ms_SkipLayerNormalization = {
    .name = "com.microsoft::SkipLayerNormalization", .min_in = 3, .max_in = 5, .min_out = 1, .max_out = 4,
    .since = 1, .flags = OPEN, .attrs = skip_attrs, .infer = skip_infer, .ref = skip_ref, .expand = skip_expand};

const oxp_op oxp_op_ms_SkipSimplifiedLayerNormalization = {
    .name = "com.microsoft::SkipSimplifiedLayerNormalization", .min_in = 3, .max_in = 4, .min_out = 1,
    .max_out = 4, .since = 1, .flags = OPEN, .attrs = skip_attrs, .infer = skip_infer, .ref = skip_ref,
    .expand = skip_expand};

const oxp_op oxp_op_ms_EmbedLayerNormalization = {
    .name = "com.microsoft::EmbedLayerNormalization", .min_in = 1, .max_in = 9, .min_out = 1, .max_out = 3,
    .since = 1, .flags = OPEN, .attrs = embed_attrs, .infer = embed_infer, .ref = embed_ref,
    .expand = embed_expand};
/* clang-format on */
