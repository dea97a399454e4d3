/* attention.c - Attention as ONNX has it since opset 23.
 *
 *   Attention (q, k, v, mask?, past k?, past v?, lengths?) -> y, present k, present v, scores
 *     softmax(softcap(scale q k') + bias) v, per head; k and v behind what is past; fewer heads of k and
 *     v are shared by groups of queries. bias: the mask, causal order, windows and lengths together; a
 *     query that may see nothing gives 0.
 *
 * Specialisation puts the expansion in its place: _Attention where the scores are not asked for or
 * capped, so that methods for attention find it. */
#include "ops/infer.h"
#include "ops/lower.h"
#include "ops/slice.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, MASK, PAST_K, PAST_V, LENGTHS };

typedef struct heads {
    bool flat;                     /* (B, sequence, heads * d), else (B, heads, sequence, d) */
    int64_t batch, q_heads, heads; /* of k and v */
    int64_t l, fresh, past, s;     /* queries; keys given, kept and in all */
    int64_t d, e;                  /* cells of a key and of a value */
    double scale, cap;
    bool causal;
    int64_t left, right; /* window, -1: open */
    int mode;            /* of the scores asked for */
} heads;

static bool split_heads(const oxp_shape *x, bool flat, int64_t count, int64_t *n, int64_t *steps,
                        int64_t *cells)
{
    *n = flat ? count : x->dim[1];
    *steps = x->dim[flat ? 1 : 2];
    *cells = flat ? (count > 0 ? x->dim[2] / count : 0) : x->dim[3];
    return !flat || (count > 0 && x->dim[2] % count == 0);
}

static oxp_status read_heads(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *const *in,
                             heads *h)
{
    const oxp_shape *q = in[Q], *k = in[K], *v = in[V], *past = in[PAST_K];
    int64_t v_heads, v_steps;
    *h = (heads){.flat = q->rank == 3};
    bool fits = (q->rank == 3 || q->rank == 4) && k->rank == q->rank && v->rank == q->rank;
    fits = fits &&
           split_heads(q, h->flat, oxp_attr_int(node, "q_num_heads", 0), &h->q_heads, &h->l, &h->d);
    const int64_t kv = oxp_attr_int(node, "kv_num_heads", 0);
    int64_t d = 0;
    fits = fits && split_heads(k, h->flat, kv, &h->heads, &h->fresh, &d) && d == h->d &&
           split_heads(v, h->flat, kv, &v_heads, &v_steps, &h->e) && v_heads == h->heads &&
           v_steps == h->fresh && k->dim[0] == q->dim[0] && v->dim[0] == q->dim[0] &&
           h->heads > 0 && h->q_heads % h->heads == 0 && !past == !in[PAST_V];
    if (fits) h->batch = q->dim[0];
    h->past = fits && past && past->rank == 4 ? past->dim[2] : 0;
    const int64_t want[] = {h->batch, h->heads, h->past, h->d};
    const int64_t want_v[] = {h->batch, h->heads, h->past, h->e};
    const oxp_shape pk = oxp_shape_of(4, want), pv = oxp_shape_of(4, want_v);
    fits = fits && (!past || (oxp_shape_equal(past, &pk) && oxp_shape_equal(in[PAST_V], &pv)));
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EINVAL, "has %s that do not fit together",
                     "queries, keys, values or kept ones");
    h->s = h->past + h->fresh;
    h->scale = oxp_attr_float(node, "scale", 1.0 / sqrt((double)h->d));
    h->cap = oxp_attr_float(node, "softcap", 0.0);
    h->causal = oxp_attr_int(node, "is_causal", 0) != 0;
    h->left = oxp_attr_int(node, "left_window_size", -1);
    h->right = oxp_attr_int(node, "right_window_size", -1);
    h->mode = (int)oxp_attr_int(node, "qk_matmul_output_mode", 0);
    const oxp_shape *mask = in[MASK], *lengths = in[LENGTHS];
    oxp_shape full = {.rank = 4, .dim = {h->batch, h->q_heads, h->l, h->s}}, joined;
    oxp_shape padded = mask ? *mask : full;
    if (mask && mask->rank > 0 && padded.dim[mask->rank - 1] < h->s &&
        padded.dim[mask->rank - 1] != 1)
        padded.dim[mask->rank - 1] = h->s;
    OXP_NODE_FAIL_IF(ctx, node,
                     !oxp_shape_broadcast(&full, &padded, &joined) ||
                         !oxp_shape_equal(&full, &joined),
                     OXP_EINVAL, "has a mask of %d axes that does not fit its scores", padded.rank);
    OXP_NODE_FAIL_IF(
        ctx, node, lengths && (lengths->rank != 1 || lengths->dim[0] != h->batch || past),
        OXP_EINVAL, "expects %lld lengths, and no kept keys beside them", (long long)h->batch);
    return OXP_OK;
}

static oxp_status infer_attention(oxp_infer *inf)
{
    const oxp_shape *in[LENGTHS + 1] = {NULL};
    heads h;
    for (uint32_t i = 0; i < inf->node->n_in; i++) {
        if (!oxp_infer_has(inf, i)) continue;
        in[i] = oxp_infer_shape(inf, i);
        const oxp_dtype dtype = oxp_infer_dtype(inf, i);
        const bool right = i == LENGTHS ? dtype == OXP_I64
                           : i == MASK  ? dtype != OXP_I64
                                        : dtype == OXP_F32;
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !right, OXP_EINVAL, "cannot take %s as input %u",
                         oxp_dtype_name(dtype), i);
    }
    OXP_TRY(read_heads(inf->ctx, inf->node, in, &h));
    const oxp_shape y = h.flat ? (oxp_shape){3, {h.batch, h.l, h.q_heads * h.e}}
                               : (oxp_shape){4, {h.batch, h.q_heads, h.l, h.e}};
    const oxp_shape out[] = {y,
                             {4, {h.batch, h.heads, h.s, h.d}},
                             {4, {h.batch, h.heads, h.s, h.e}},
                             {4, {h.batch, h.q_heads, h.l, h.s}}};
    for (uint32_t i = 0; i < inf->node->n_out; i++)
        OXP_TRY(oxp_infer_out(inf, i, OXP_F32, &out[i]));
    return OXP_OK;
}

/* ---- ref ---- */

/* Cell c of step t of head n: where it lies in an operand of `count` heads. */
static int64_t place(const heads *h, int64_t count, int64_t steps, int64_t cells, int64_t b,
                     int64_t n, int64_t t, int64_t c)
{
    return h->flat ? ((b * steps + t) * count + n) * cells + c
                   : ((b * count + n) * steps + t) * cells + c;
}

/* Keys or values, kept and fresh, as (B,heads,s,cells). */
static oxp_status join_past(const oxp_call *call, const heads *h, int fresh, int past,
                            int64_t cells, double **out)
{
    double *to = *out =
        OXP_NEW(call->scratch, double, (size_t)(h->batch * h->heads * h->s * cells) + 1);
    OXP_NOMEM_IF(call->ctx, to);
    for (int64_t b = 0; b < h->batch; b++)
        for (int64_t n = 0; n < h->heads; n++)
            for (int64_t t = 0; t < h->s; t++)
                for (int64_t c = 0; c < cells; c++)
                    *to++ = t < h->past
                                ? call->in[past][((b * h->heads + n) * h->past + t) * cells + c]
                                : call->in[fresh][place(h, h->heads, h->fresh, cells, b, n,
                                                        t - h->past, c)];
    return OXP_OK;
}

static double bias_at(const oxp_call *call, const heads *h, const int64_t at[OXP_MAX_RANK])
{
    const double *lengths = call->node->n_in > LENGTHS ? call->in[LENGTHS] : NULL;
    const double length = lengths ? lengths[at[0]] : (double)h->s;
    const double here = (double)at[2] + (lengths ? length - (double)h->l : (double)h->past);
    const double back = here - (double)at[3];
    double bias = 0.0;
    if (call->node->n_in > MASK && call->in[MASK]) {
        const oxp_shape *m = &call->in_shape[MASK];
        const int64_t last = m->rank ? m->dim[m->rank - 1] : 1;
        oxp_shape full = {.rank = 4, .dim = {h->batch, h->q_heads, h->l, last == 1 ? h->s : last}};
        const bool inside = last == 1 || at[3] < last;
        const double v = inside ? call->in[MASK][oxp_index_broadcast(m, &full, at)] : 0.0;
        const bool flag = call->in_dtype[MASK] == OXP_BOOL;
        bias = !inside || (flag && !(fabs(v) > 0.0)) ? (double)-INFINITY : flag ? 0.0 : v;
    }
    const bool hidden = (h->causal && back < 0.0) || (h->left >= 0 && back > (double)h->left) ||
                        (h->right >= 0 && -back > (double)h->right) || (double)at[3] >= length;
    return hidden ? (double)-INFINITY : bias;
}

/* One query: p its weights, `shown` what is asked for of the scores. */
static void attend(const oxp_call *call, const heads *h, const double *k, const double *v,
                   const int64_t at[OXP_MAX_RANK], double *p, double *shown)
{
    const int64_t b = at[0], n = at[1], i = at[2], group = n / (h->q_heads / h->heads);
    double top = (double)-INFINITY, top_bias = (double)-INFINITY, sum = 0.0;
    for (int64_t j = 0; j < h->s; j++) {
        const int64_t cell[OXP_MAX_RANK] = {b, n, i, j};
        double score = 0.0;
        for (int64_t c = 0; c < h->d; c++)
            score += call->in[Q][place(h, h->q_heads, h->l, h->d, b, n, i, c)] *
                     k[((b * h->heads + group) * h->s + j) * h->d + c];
        score *= h->scale;
        if (h->cap > 0.0) score = h->cap * tanh(score / h->cap);
        const double bias = bias_at(call, h, cell);
        p[j] = score + bias;
        if (shown) shown[j] = h->mode == 2 ? p[j] : score;
        top = p[j] > top ? p[j] : top;
        top_bias = bias > top_bias ? bias : top_bias;
    }
    const bool blind = isinf(top_bias) && top_bias < 0.0;
    for (int64_t j = 0; j < h->s; j++) sum += p[j] = blind ? 0.0 : exp(p[j] - top);
    for (int64_t j = 0; j < h->s; j++) p[j] = blind ? 0.0 : p[j] / sum;
    for (int64_t j = 0; shown && h->mode == 3 && j < h->s; j++) shown[j] = p[j];
    for (int64_t c = 0; c < h->e; c++) {
        double y = 0.0;
        for (int64_t j = 0; j < h->s; j++)
            y += p[j] * v[((b * h->heads + group) * h->s + j) * h->e + c];
        if (call->out[0]) call->out[0][place(h, h->q_heads, h->l, h->e, b, n, i, c)] = y;
    }
}

static oxp_status ref_attention(const oxp_call *call)
{
    const oxp_shape *in[LENGTHS + 1] = {NULL};
    heads h;
    double *k, *v;
    for (uint32_t i = 0; i < call->node->n_in; i++)
        if (call->in[i]) in[i] = &call->in_shape[i];
    OXP_TRY(read_heads(call->ctx, call->node, in, &h));
    OXP_TRY(join_past(call, &h, K, PAST_K, h.d, &k));
    OXP_TRY(join_past(call, &h, V, PAST_V, h.e, &v));
    double *p = OXP_NEW(call->scratch, double, (size_t)h.s + 1);
    OXP_NOMEM_IF(call->ctx, p);
    const uint32_t n_out = call->node->n_out;
    double *scores = n_out > 3 ? call->out[3] : NULL;
    for (int64_t row = 0; row < h.batch * h.q_heads * h.l; row++) {
        const int64_t at[OXP_MAX_RANK] = {row / (h.q_heads * h.l), row / h.l % h.q_heads, row % h.l,
                                          0};
        attend(call, &h, k, v, at, p, scores ? scores + row * h.s : NULL);
    }
    const size_t rows = (size_t)(h.batch * h.heads * h.s);
    if (n_out > 1 && call->out[1]) memcpy(call->out[1], k, rows * (size_t)h.d * sizeof(double));
    if (n_out > 2 && call->out[2]) memcpy(call->out[2], v, rows * (size_t)h.e * sizeof(double));
    return OXP_OK;
}

/* ---- expand ---- */

#define SHAPE4(j, k, m, n) (&(oxp_shape){.rank = 4, .dim = {(j), (k), (m), (n)}})

/* (B,heads,steps,cells), behind what is kept. */
static oxp_val by_head(oxp_build *b, const heads *h, oxp_val x, oxp_val past, int64_t count,
                       int64_t steps, int64_t cells)
{
    if (h->flat) {
        x = oxp_b_reshape(b, x, SHAPE4(h->batch, steps, count, cells));
        x = oxp_b_transpose(b, x, (const int64_t[]){0, 2, 1, 3});
    }
    return past ? oxp_b_concat(b, (const oxp_val[]){past, x}, 2, 2) : x;
}

/* Each head of keys or values for all heads of queries that share it. */
static oxp_val for_queries(oxp_build *b, const heads *h, oxp_val x, int64_t cells)
{
    const int64_t group = h->q_heads / h->heads;
    if (group == 1) return x;
    const oxp_shape one = {.rank = 5, .dim = {h->batch, h->heads, 1, h->s, cells}},
                    all = {.rank = 5, .dim = {h->batch, h->heads, group, h->s, cells}};
    return oxp_b_reshape(b, oxp_b_expand(b, oxp_b_reshape(b, x, &one), &all),
                         SHAPE4(h->batch, h->q_heads, h->s, cells));
}

/* 0 where allowed, else -infinity. */
static oxp_val bias_of(oxp_build *b, oxp_val allowed)
{
    return oxp_b_where(b, allowed, oxp_b_scalar(b, 0.0), oxp_b_scalar(b, (double)-INFINITY));
}

static oxp_val added(oxp_build *b, oxp_val x, oxp_val y)
{
    return x == OXP_NO_VAL ? y : y == OXP_NO_VAL ? x : oxp_b_add(b, x, y);
}

/* 0, 1, 2 ... n - 1 as a column or a row. */
static oxp_val count_to(oxp_build *b, int64_t n, bool column)
{
    const oxp_shape line = {.rank = 2, .dim = {column ? n : 1, column ? 1 : n}};
    return oxp_b_reshape(b, oxp_b_count(b, n), &line);
}

/* Causal order, windows and lengths. */
static oxp_val order_bias(oxp_build *b, const oxp_node *node, const heads *h)
{
    const bool windows = h->left >= 0 || h->right >= 0, given = oxp_node_has(node, LENGTHS);
    oxp_val bias = OXP_NO_VAL, length = OXP_NO_VAL;
    if (given) length = oxp_b_reshape(b, node->in[LENGTHS], SHAPE4(h->batch, 1, 1, 1));
    const oxp_val key = count_to(b, h->s, false);
    if (given) bias = bias_of(b, oxp_b_greater(b, length, key));
    if (!h->causal && !windows) return bias;
    const oxp_val before =
        given ? oxp_b_sub(b, length, oxp_b_ints(b, &h->l, 1)) : oxp_b_ints(b, &h->past, 1);
    const oxp_val back = oxp_b_sub(b, oxp_b_add(b, count_to(b, h->l, true), before), key);
    const int64_t least = -1, left = h->left + 1, right = -h->right - 1;
    if (h->causal)
        bias = added(b, bias, bias_of(b, oxp_b_greater(b, back, oxp_b_ints(b, &least, 1))));
    if (h->left >= 0)
        bias = added(b, bias, bias_of(b, oxp_b_greater(b, oxp_b_ints(b, &left, 1), back)));
    if (h->right >= 0)
        bias = added(b, bias, bias_of(b, oxp_b_greater(b, back, oxp_b_ints(b, &right, 1))));
    return bias;
}

static oxp_val mask_bias(oxp_build *b, const oxp_node *node, const heads *h)
{
    if (!oxp_node_has(node, MASK) || b->status != OXP_OK) return OXP_NO_VAL;
    oxp_val mask = node->in[MASK];
    if (oxp_value_of(b->g, mask)->dtype == OXP_BOOL) mask = bias_of(b, mask);
    const oxp_shape *s = oxp_b_shape(b, mask);
    const int64_t last = s->rank ? s->dim[s->rank - 1] : 1;
    int64_t pads[2 * OXP_MAX_RANK] = {0};
    if (last == 1 || last == h->s) return mask;
    pads[2 * s->rank - 1] = h->s - last;
    return oxp_b_pad(b, mask, pads, (double)-INFINITY);
}

static oxp_val softmax(oxp_build *b, oxp_val x)
{
    return OXP_EMIT1(b, &oxp_op_Softmax, x, OXP_INT("axis", -1));
}

/* The weighted sum and, on request, the scores; the bias hides no query altogether. */
static oxp_val weigh(oxp_build *b, const heads *h, oxp_val q, oxp_val k, oxp_val v, oxp_val bias,
                     oxp_val seeing, oxp_val *scores)
{
    if (!scores && !(h->cap > 0.0)) {
        const oxp_val in[] = {q, k, v, bias};
        return oxp_emit(b, &oxp_op__Attention, in, bias ? 4 : 3,
                        (const oxp_attr[]){OXP_FLOAT("scale", h->scale)}, 1);
    }
    const oxp_val kt = oxp_b_transpose(b, k, (const int64_t[]){0, 1, 3, 2});
    oxp_val raw = oxp_b_mul(b, oxp_b_matmul(b, q, kt), oxp_b_scalar(b, h->scale));
    const oxp_val cap = oxp_b_scalar(b, h->cap);
    if (h->cap > 0.0) raw = oxp_b_mul(b, oxp_b_unary(b, &oxp_op_Tanh, oxp_b_div(b, raw, cap)), cap);
    const oxp_val biased = added(b, raw, bias), p = softmax(b, biased);
    if (scores) {
        *scores = h->mode == 2 ? biased : h->mode == 3 ? p : raw;
        if (h->mode == 3 && seeing) *scores = oxp_b_where(b, seeing, p, oxp_b_scalar(b, 0.0));
    }
    return oxp_b_matmul(b, p, v);
}

static oxp_status expand_attention(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape *in[LENGTHS + 1] = {NULL};
    heads h;
    OXP_TRY(b->status);
    for (uint32_t i = 0; i < node->n_in; i++)
        if (oxp_node_has(node, i)) in[i] = oxp_b_shape(b, node->in[i]);
    OXP_TRY(read_heads(b->ctx, node, in, &h));
    const oxp_val q = by_head(b, &h, node->in[Q], OXP_NO_VAL, h.q_heads, h.l, h.d);
    const oxp_val k = by_head(b, &h, node->in[K], oxp_node_has(node, PAST_K) ? node->in[PAST_K] : 0,
                              h.heads, h.fresh, h.d);
    const oxp_val v = by_head(b, &h, node->in[V], oxp_node_has(node, PAST_V) ? node->in[PAST_V] : 0,
                              h.heads, h.fresh, h.e);
    oxp_val bias = added(b, mask_bias(b, node, &h), order_bias(b, node, &h)), seeing = OXP_NO_VAL;
    OXP_TRY(b->status);
    /* plain causal order hides no query from all keys; a mask may */
    const bool may_blind = bias && (oxp_node_has(node, MASK) || oxp_node_has(node, LENGTHS) ||
                                    h.left >= 0 || h.right >= 0);
    if (may_blind && h.s > 0) {
        const int64_t last = -1;
        const oxp_val top = OXP_EMIT1(b, &oxp_op_ReduceMax, bias, OXP_INTS("axes", &last, 1),
                                      OXP_INT("keepdims", 1));
        seeing = oxp_b_greater(b, top, oxp_b_scalar(b, (double)-INFINITY));
        if (!(node->n_out > 3 && h.mode == 2))
            bias = oxp_b_where(b, seeing, bias, oxp_b_scalar(b, 0.0));
    }
    out[0] = weigh(b, &h, q, for_queries(b, &h, k, h.d), for_queries(b, &h, v, h.e), bias, seeing,
                   node->n_out > 3 ? &out[3] : NULL);
    if (seeing) out[0] = oxp_b_where(b, seeing, out[0], oxp_b_scalar(b, 0.0));
    if (h.flat) {
        out[0] = oxp_b_transpose(b, out[0], (const int64_t[]){0, 2, 1, 3});
        out[0] = oxp_b_reshape(b, out[0],
                               &(oxp_shape){.rank = 3, .dim = {h.batch, h.l, h.q_heads * h.e}});
    }
    if (node->n_out > 1) out[1] = k;
    if (node->n_out > 2) out[2] = v;
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec attention_attrs[] = { /* floats are floats: softmax_precision changes nothing */
    {"is_causal", OXP_ATTR_INT, NULL}, {"kv_num_heads", OXP_ATTR_INT, NULL},
    {"q_num_heads", OXP_ATTR_INT, NULL}, {"qk_matmul_output_mode", OXP_ATTR_INT, "0,1,2,3"},
    {"scale", OXP_ATTR_FLOAT, NULL}, {"softcap", OXP_ATTR_FLOAT, NULL},
    {"softmax_precision", OXP_ATTR_INT, NULL}, {"left_window_size", OXP_ATTR_INT, NULL},
    {"right_window_size", OXP_ATTR_INT, NULL}, END};
const oxp_op oxp_op_Attention = {
    .name = "Attention", .min_in = 3, .max_in = 7, .min_out = 1, .max_out = 4, .since = 23,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = attention_attrs, .infer = infer_attention,
    .ref = ref_attention, .expand = expand_attention};
/* clang-format on */
