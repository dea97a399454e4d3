/* group_query.c - GroupQueryAttention of ONNX Runtime (com.microsoft): what exporters of language models write.
 *
 *   (q, k?, v?, past k?, past v?, lengths - 1, total; cos?, sin?, positions?, bias?, sink?) -> y, present k, present v
 *
 * q, k, v are (B,S,heads H), or all three packed in q; fewer heads of k and v are shared by groups of queries.
 * Each item has tokens of its own number, of which the last S are new: they are turned (do_rotary), written into
 * the cache (B,heads,L,H) behind its older ones, and attend to what is not later. Where S = total, all are
 * new, and those beyond an item's length are padding. Then softmax(softcap(scale q k') + bias) v, where a
 * sink adds to the denominator. As its authors' CPU code has it, one position stands for the first new token.
 *
 * Specialisation puts the parts in its place: a scatter into the cache and _Attention. */
#include "ops/infer.h"
#include "ops/rotary.h"
#include "ops/unary.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, PAST_K, PAST_V, LENGTHS, COS, SIN, POSITIONS, BIAS, SINK, INPUTS };

typedef struct grouped {
    int64_t batch, q_heads, heads, d; /* heads of queries, of keys and values; cells of each */
    int64_t s, total, past, kept;     /* new tokens, most of all, what the cache has had and has */
    int64_t turned;                   /* pairs of a head; 0: none */
    bool packed, prompt, causal, rotary, interleaved, smooth;
    int64_t window; /* tokens that one sees, itself among them; 0: all */
    double scale, cap;
} grouped;

static bool is_shape(const oxp_shape *s, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t want[] = {a, b, c, d};
    return s && s->rank == rank && memcmp(s->dim, want, (size_t)rank * sizeof *want) == 0;
}

static bool read_operands(const oxp_shape *const *in, grouped *g)
{
    const oxp_shape *q = in[Q], *past = in[PAST_K];
    if (q->rank != 3 || !in[K] != !in[V] || !past != !in[PAST_V]) return false;
    g->packed = !in[K];
    g->batch = q->dim[0];
    g->s = q->dim[1];
    const int64_t all = g->packed ? g->q_heads + 2 * g->heads : g->q_heads;
    g->d = q->dim[2] / all;
    if (g->d < 1 || g->d * all != q->dim[2]) return false;
    for (int i = K; !g->packed && i <= V; i++)
        if (!is_shape(in[i], 3, g->batch, g->s, g->heads * g->d, 0)) return false;
    if (!past) return true;
    g->past = past->rank == 4 ? past->dim[2] : 0;
    return is_shape(past, 4, g->batch, g->heads, g->past, g->d) &&
           oxp_shape_equal(past, in[PAST_V]);
}

/* The options, and what they read. */
static bool read_options(const oxp_node *node, const oxp_shape *const *in, grouped *g)
{
    const int64_t window = oxp_attr_int(node, "local_window_size", -1);
    g->scale = oxp_attr_float(node, "scale", 0.0);
    if (!(g->scale < 0.0 || g->scale > 0.0)) g->scale = 1.0 / sqrt((double)g->d);
    g->cap = oxp_attr_float(node, "softcap", 0.0);
    g->smooth = in[SINK] || oxp_attr_int(node, "smooth_softmax", 0) > 0;
    g->causal = oxp_attr_int(node, "causal", 1) != 0;
    g->window = window < 0 ? 0 : window;
    g->rotary = oxp_attr_int(node, "do_rotary", 0) != 0;
    g->interleaved = oxp_attr_int(node, "rotary_interleaved", 0) != 0;
    const oxp_shape *table = in[COS];
    if (g->rotary) {
        if (!table || !in[SIN] || table->rank != 2 || !oxp_shape_equal(table, in[SIN]))
            return false;
        g->turned = table->dim[1];
        if (g->turned < 1 || 2 * g->turned > g->d) return false;
        if (in[POSITIONS] && !is_shape(in[POSITIONS], 2, g->batch, g->s, 0, 0)) return false;
    }
    const oxp_shape scores = {.rank = 4, .dim = {g->batch, g->q_heads, g->s, g->total}};
    oxp_shape joined;
    if (in[BIAS] && (in[BIAS]->rank != 4 || !oxp_shape_broadcast(&scores, in[BIAS], &joined) ||
                     !oxp_shape_equal(&scores, &joined)))
        return false;
    return window != 0 && (g->causal || g->window == 0) &&
           (!in[SINK] || is_shape(in[SINK], 1, g->q_heads, 0, 0, 0));
}

static oxp_status read_grouped(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *const *in,
                               grouped *g)
{
    *g = (grouped){.q_heads = oxp_attr_int(node, "num_heads", 0),
                   .heads = oxp_attr_int(node, "kv_num_heads", 0),
                   .total = oxp_attr_int(node, "total_sequence_length", 0)};
    OXP_NODE_FAIL_IF(ctx, node,
                     g->heads < 1 || g->q_heads < 1 || g->q_heads % g->heads != 0 ||
                         g->q_heads > INT32_MAX,
                     OXP_EINVAL, "has %lld heads of queries for %lld of keys",
                     (long long)g->q_heads, (long long)g->heads);
    OXP_NODE_FAIL_IF(ctx, node,
                     !read_operands(in, g) || !is_shape(in[LENGTHS], 1, g->batch, 0, 0, 0),
                     OXP_EINVAL, "has %s that do not fit together for its heads",
                     "queries, keys, values, a cache or lengths");
    OXP_NODE_FAIL_IF(ctx, node, g->total < g->s || g->total > g->past + g->s, OXP_EINVAL,
                     "has %lld tokens in all, %lld of them new and at most %lld old",
                     (long long)g->total, (long long)g->s, (long long)g->past);
    g->prompt = g->s == g->total;
    g->kept = g->past > g->total ? g->past : g->total;
    OXP_NODE_FAIL_IF(ctx, node, !read_options(node, in, g), OXP_EINVAL, "has %s that do not fit",
                     "angles, positions, a bias, a sink or a window");
    return OXP_OK;
}

static oxp_status infer_grouped(oxp_infer *inf)
{
    const oxp_shape *in[INPUTS] = {NULL};
    grouped g;
    for (uint32_t i = 0; i < inf->node->n_in; i++) {
        if (!oxp_infer_has(inf, i)) continue;
        in[i] = oxp_infer_shape(inf, i);
        const bool whole = i == LENGTHS || i == POSITIONS;
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         oxp_infer_dtype(inf, i) != (whole ? OXP_I64 : OXP_F32), OXP_EUNSUPPORTED,
                         "expects %s as input %u", whole ? "whole numbers" : "floats", i);
    }
    OXP_TRY(read_grouped(inf->ctx, inf->node, in, &g));
    const oxp_shape y = {.rank = 3, .dim = {g.batch, g.s, g.q_heads * g.d}};
    const oxp_shape present = {.rank = 4, .dim = {g.batch, g.heads, g.kept, g.d}};
    OXP_TRY(oxp_infer_out(inf, 0, OXP_F32, &y));
    for (uint32_t k = 1; k < inf->node->n_out; k++)
        OXP_TRY(oxp_infer_out(inf, k, OXP_F32, &present));
    return OXP_OK;
}

/* ---- ref ---- */

static const double *operand(const oxp_call *call, size_t i)
{
    return i < call->node->n_in ? call->in[i] : NULL;
}

/* Cells of head n at new token s, before they are turned; which: Q, K or V. */
static const double *fresh(const oxp_call *call, const grouped *g, int which, int64_t b, int64_t s,
                           int64_t n)
{
    const int64_t row = b * g->s + s;
    if (!g->packed) return call->in[which] + (row * (which ? g->heads : g->q_heads) + n) * g->d;
    const int64_t before = which == Q ? 0 : g->q_heads + (which - K) * g->heads;
    return call->in[Q] + (row * (g->q_heads + 2 * g->heads) + before + n) * g->d;
}

/* The same turned by the angle of its position. */
static oxp_status turn(const oxp_call *call, const grouped *g, const double *x, int64_t b,
                       int64_t s, int64_t start, double *y)
{
    memcpy(y, x, (size_t)g->d * sizeof *y);
    if (!g->rotary) return OXP_OK;
    const double *given = operand(call, POSITIONS);
    double at = (double)(start + s);
    if (given) at = g->prompt ? given[0] + (double)s : given[b * g->s + s];
    OXP_NODE_FAIL_IF(call->ctx, call->node, !(at >= 0.0 && at < (double)call->in_shape[COS].dim[0]),
                     OXP_EINVAL, "has no angles for position %.0f", at);
    for (int64_t k = 0; k < g->turned; k++) {
        const int64_t i = g->interleaved ? 2 * k : k, j = g->interleaved ? i + 1 : k + g->turned;
        const double c = call->in[COS][(int64_t)at * g->turned + k];
        const double d = call->in[SIN][(int64_t)at * g->turned + k];
        y[i] = c * x[i] - d * x[j];
        y[j] = d * x[i] + c * x[j];
    }
    return OXP_OK;
}

/* The caches of item b, (heads,kept,d): what was there, zeros, and the new tokens from `start` on. */
static oxp_status fill_cache(const oxp_call *call, const grouped *g, int64_t b, int64_t start,
                             double *k, double *v)
{
    double *const to[] = {k, v};
    for (int which = 0; which < 2; which++) {
        const double *past = operand(call, (size_t)(PAST_K + which));
        for (int64_t n = 0; n < g->heads; n++) {
            double *rows = to[which] + n * g->kept * g->d;
            memset(rows, 0, (size_t)(g->kept * g->d) * sizeof *rows);
            if (g->past)
                memcpy(rows, past + (b * g->heads + n) * g->past * g->d,
                       (size_t)(g->past * g->d) * sizeof *rows);
            for (int64_t s = 0; s < g->s; s++) {
                double *row = rows + (start + s) * g->d;
                const double *x = fresh(call, g, K + which, b, s, n);
                if (which)
                    memcpy(row, x, (size_t)g->d * sizeof *row);
                else
                    OXP_TRY(turn(call, g, x, b, s, start, row));
            }
        }
    }
    return OXP_OK;
}

/* One query, turned; p: room for the weights */
static void attend(const oxp_call *call, const grouped *g, const int64_t at[OXP_MAX_RANK],
                   const double *q, const double *k, const double *v, int64_t last, double *p)
{
    const int64_t b = at[0], n = at[1], s = at[2], group = n / (g->q_heads / g->heads);
    const int64_t first = g->window > 0 && last + 1 > g->window ? last + 1 - g->window : 0;
    const double *sink = operand(call, SINK), *bias = operand(call, BIAS);
    const oxp_shape scores = {.rank = 4, .dim = {g->batch, g->q_heads, g->s, g->total}};
    double top = g->smooth ? (sink ? sink[n] : 0.0) : (double)-INFINITY, sum = 0.0;
    const double extra = top;
    for (int64_t j = first; j <= last; j++) {
        const int64_t cell[OXP_MAX_RANK] = {b, n, s, j};
        p[j] = 0.0;
        for (int64_t c = 0; c < g->d; c++) p[j] += q[c] * k[(group * g->kept + j) * g->d + c];
        p[j] *= g->scale;
        if (g->cap > 0.0) p[j] = g->cap * tanh(p[j] / g->cap);
        if (bias) p[j] += bias[oxp_index_broadcast(&call->in_shape[BIAS], &scores, cell)];
        top = fmax(top, p[j]);
    }
    if (g->smooth) sum = exp(extra - top);
    for (int64_t j = first; j <= last; j++) sum += p[j] = exp(p[j] - top);
    for (int64_t c = 0; c < g->d; c++) {
        double y = 0.0;
        for (int64_t j = first; j <= last; j++)
            y += p[j] / sum * v[(group * g->kept + j) * g->d + c];
        call->out[0][((b * g->s + s) * g->q_heads + n) * g->d + c] = y;
    }
}

static oxp_status ref_grouped(const oxp_call *call)
{
    const oxp_shape *in[INPUTS] = {NULL};
    grouped g;
    for (uint32_t i = 0; i < call->node->n_in; i++)
        if (call->in[i]) in[i] = &call->in_shape[i];
    OXP_TRY(read_grouped(call->ctx, call->node, in, &g));
    const int64_t cells = g.heads * g.kept * g.d;
    double *k = OXP_NEW(call->scratch, double, (size_t)(2 * cells + g.total + g.d) + 1);
    OXP_NOMEM_IF(call->ctx, k);
    double *v = k + cells, *p = v + cells, *q = p + g.total;
    for (int64_t b = 0; b < g.batch; b++) {
        const int64_t length = (int64_t)call->in[LENGTHS][b] + 1;
        const int64_t start = g.prompt ? 0 : length - g.s;
        OXP_NODE_FAIL_IF(call->ctx, call->node, length < 1 || length > g.total || start < 0,
                         OXP_EINVAL, "is given a length of %lld, of which %lld are new",
                         (long long)length, (long long)g.s);
        OXP_TRY(fill_cache(call, &g, b, start, k, v));
        for (int64_t i = 0; call->out[0] && i < g.s * g.q_heads; i++) {
            const int64_t s = i / g.q_heads, n = i % g.q_heads, own = start + s;
            const int64_t at[OXP_MAX_RANK] = {b, n, s, 0};
            OXP_TRY(turn(call, &g, fresh(call, &g, Q, b, s, n), b, s, start, q));
            attend(call, &g, at, q, k, v, !g.causal || own >= length ? length - 1 : own, p);
        }
        for (uint32_t o = 1; o < call->node->n_out; o++)
            if (call->out[o])
                memcpy(call->out[o] + b * cells, o == 1 ? k : v, (size_t)cells * sizeof *k);
    }
    return OXP_OK;
}

/* ---- expand ---- */

#define SHAPE4(j, k, m, n) (&(oxp_shape){.rank = 4, .dim = {(j), (k), (m), (n)}})

static oxp_val input(const oxp_node *node, size_t i)
{
    return oxp_node_has(node, i) ? node->in[i] : OXP_NO_VAL;
}

static oxp_val whole(oxp_build *b, int64_t v)
{
    return oxp_b_ints(b, &v, 1);
}

/* What is new of Q, K or V: (B,S,heads,d) */
static oxp_val emit_fresh(oxp_build *b, const oxp_node *node, const grouped *g, int which)
{
    const int64_t heads = which == Q ? g->q_heads : g->heads;
    const int64_t before = which == Q ? 0 : g->q_heads + (which - K) * g->heads;
    const oxp_val x = g->packed
                          ? oxp_b_slice(b, node->in[Q], 2, before * g->d, (before + heads) * g->d)
                          : node->in[which];
    return oxp_b_reshape(b, x, SHAPE4(g->batch, g->s, heads, g->d));
}

/* x (B,heads,S,d) in its cache, (B,heads,kept,d), from `start` (B,1,1,1) on. Where a length is not possible,
 * that is behind the end, and the scatter refuses it. */
static oxp_val emit_cache(oxp_build *b, const grouped *g, oxp_val past, oxp_val start, oxp_val x)
{
    if (g->past == 0) return x;
    const oxp_shape shape = {.rank = 4, .dim = {g->batch, g->heads, g->s, g->d}};
    const oxp_attr axis = OXP_INT("axis", 2);
    if (start) {
        const oxp_val end = whole(b, g->kept), first = whole(b, 0),
                      last = whole(b, g->total - g->s);
        const oxp_val early = oxp_b_greater(b, first, start), late = oxp_b_greater(b, start, last);
        start = oxp_b_where(b, early, end, oxp_b_where(b, late, end, start));
    }
    oxp_val at = oxp_b_reshape(b, oxp_b_count(b, g->s), SHAPE4(1, 1, g->s, 1));
    if (start) at = oxp_b_add(b, at, start);
    const oxp_val in[] = {oxp_b_pad_zero(b, past, 2, 0, g->kept - g->past),
                          oxp_b_expand(b, at, &shape), x};
    return oxp_emit(b, &oxp_op_ScatterElements, in, 3, &axis, 1);
}

/* Where a query (B,1,S,total) may see a key */
static oxp_val emit_seen(oxp_build *b, const grouped *g, oxp_val length, oxp_val start)
{
    const oxp_val key = oxp_b_reshape(b, oxp_b_count(b, g->total), SHAPE4(1, 1, 1, g->total));
    oxp_val end = length; /* behind the last key that is seen */
    if (!g->causal) return oxp_b_greater(b, length, key);
    end = oxp_b_reshape(b, oxp_b_count(b, g->s), SHAPE4(1, 1, g->s, 1));
    if (start) end = oxp_b_add(b, end, start);
    end = oxp_b_add(b, end, whole(b, 1));
    if (g->prompt) end = oxp_emit(b, &oxp_op_Min, (const oxp_val[]){end, length}, 2, NULL, 0);
    const oxp_val before = oxp_b_greater(b, end, key);
    if (g->window == 0) return before;
    const oxp_val near = oxp_b_greater(b, oxp_b_add(b, key, whole(b, g->window + 1)), end);
    return oxp_emit(b, &oxp_op_And, (const oxp_val[]){before, near}, 2, NULL, 0);
}

/* Each head of keys or values for all heads of queries that share it, without what lies behind the tokens. */
static oxp_val for_queries(oxp_build *b, const grouped *g, oxp_val x)
{
    const int64_t group = g->q_heads / g->heads;
    const oxp_shape one = {.rank = 5, .dim = {g->batch, g->heads, 1, g->total, g->d}},
                    all = {.rank = 5, .dim = {g->batch, g->heads, group, g->total, g->d}};
    x = oxp_b_slice(b, x, 2, 0, g->total);
    if (group == 1) return x;
    return oxp_b_reshape(b, oxp_b_expand(b, oxp_b_reshape(b, x, &one), &all),
                         SHAPE4(g->batch, g->q_heads, g->total, g->d));
}

/* softmax of the scores and of a score more, that of the sink, whose value is 0 */
static oxp_val weigh(oxp_build *b, const oxp_node *node, const grouped *g, oxp_val q, oxp_val k,
                     oxp_val v, oxp_val bias)
{
    const oxp_attr scale = OXP_FLOAT("scale", g->scale), axis = OXP_INT("axis", -1);
    if (!g->smooth && !(g->cap > 0.0))
        return oxp_emit(b, &oxp_op__Attention, (const oxp_val[]){q, k, v, bias}, 4, &scale, 1);
    const oxp_val kt = oxp_b_transpose(b, k, (const int64_t[]){0, 1, 3, 2});
    const oxp_val cap = oxp_b_scalar(b, g->cap);
    oxp_val p = oxp_b_scaled(b, oxp_b_matmul(b, q, kt), g->scale);
    if (g->cap > 0.0) p = oxp_b_mul(b, oxp_b_unary(b, &oxp_op_Tanh, oxp_b_div(b, p, cap)), cap);
    p = oxp_b_add(b, p, bias);
    if (g->smooth) {
        oxp_val sink = input(node, SINK);
        sink = sink ? oxp_b_reshape(b, sink, SHAPE4(1, g->q_heads, 1, 1)) : oxp_b_scalar(b, 0.0);
        sink = oxp_b_expand(b, sink, SHAPE4(g->batch, g->q_heads, g->s, 1));
        p = oxp_b_concat(b, (const oxp_val[]){p, sink}, 2, 3);
    }
    p = oxp_emit(b, &oxp_op_Softmax, &p, 1, &axis, 1);
    return oxp_b_matmul(b, oxp_b_slice(b, p, 3, 0, g->total), v);
}

static oxp_val emit_turned(oxp_build *b, const oxp_node *node, const grouped *g, oxp_val start,
                           oxp_val x)
{
    const oxp_shape line = {.rank = 2, .dim = {1, g->s}},
                    column = {.rank = 2, .dim = {g->batch, 1}};
    oxp_val at = input(node, POSITIONS);
    if (!g->rotary || b->status != OXP_OK) return x;
    if (at && g->prompt) {
        const oxp_shape one = {.rank = 2, .dim = {1, 1}};
        at = oxp_b_reshape(b, oxp_b_slice(b, oxp_b_slice(b, at, 0, 0, 1), 1, 0, 1), &one);
        at = oxp_b_add(b, at, oxp_b_reshape(b, oxp_b_count(b, g->s), &line));
    } else if (!at) {
        at = oxp_b_reshape(b, oxp_b_count(b, g->s), &line);
        if (start) at = oxp_b_add(b, at, oxp_b_reshape(b, start, &column));
    }
    return oxp_b_turn(b, x, node->in + COS, at, g->interleaved);
}

static oxp_status expand_grouped(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape *in[INPUTS] = {NULL};
    const int64_t swap[] = {0, 2, 1, 3};
    grouped g;
    OXP_TRY(b->status);
    for (uint32_t i = 0; i < node->n_in; i++)
        if (oxp_node_has(node, i)) in[i] = oxp_b_shape(b, node->in[i]);
    OXP_TRY(read_grouped(b->ctx, node, in, &g));
    oxp_val length = oxp_b_reshape(b, node->in[LENGTHS], SHAPE4(g.batch, 1, 1, 1));
    length = oxp_b_add(b, length, whole(b, 1));
    const oxp_val start = g.prompt ? OXP_NO_VAL : oxp_b_sub(b, length, whole(b, g.s));
    const oxp_val q = emit_turned(b, node, &g, start, emit_fresh(b, node, &g, Q));
    oxp_val k = emit_turned(b, node, &g, start, emit_fresh(b, node, &g, K));
    k = emit_cache(b, &g, input(node, PAST_K), start, oxp_b_transpose(b, k, swap));
    const oxp_val v = emit_cache(b, &g, input(node, PAST_V), start,
                                 oxp_b_transpose(b, emit_fresh(b, node, &g, V), swap));
    const oxp_val bias = oxp_b_where(b, emit_seen(b, &g, length, start),
                                     in[BIAS] ? node->in[BIAS] : oxp_b_scalar(b, 0.0),
                                     oxp_b_scalar(b, (double)-INFINITY));
    const oxp_val y = weigh(b, node, &g, oxp_b_transpose(b, q, swap), for_queries(b, &g, k),
                            for_queries(b, &g, v), bias);
    const oxp_shape flat = {.rank = 3, .dim = {g.batch, g.s, g.q_heads * g.d}};
    out[0] = oxp_b_reshape(b, oxp_b_transpose(b, y, swap), &flat);
    if (node->n_out > 1) out[1] = k;
    if (node->n_out > 2) out[2] = v;
    return b->status;
}

/* ---- descriptor ---- */

/* clang-format off */
static const oxp_attr_spec group_attrs[] = { /* total_sequence_length: an input that decides shapes */
    {"causal", OXP_ATTR_INT, "0,1"}, {"do_rotary", OXP_ATTR_INT, NULL}, {"k_quant_type", OXP_ATTR_STRING, "NONE"},
    {"kv_cache_bit_width", OXP_ATTR_INT, "0"}, {"kv_num_heads", OXP_ATTR_INT, NULL},
    {"local_window_size", OXP_ATTR_INT, NULL}, {"num_heads", OXP_ATTR_INT, NULL}, {"qk_output", OXP_ATTR_INT, "0"},
    {"rotary_interleaved", OXP_ATTR_INT, NULL}, {"scale", OXP_ATTR_FLOAT, NULL},
    {"sliding_window_cache", OXP_ATTR_INT, "0"}, {"smooth_softmax", OXP_ATTR_INT, NULL},
    {"softcap", OXP_ATTR_FLOAT, NULL}, {"total_sequence_length", OXP_ATTR_INT, NULL},
    {"v_quant_type", OXP_ATTR_STRING, "NONE"}, {NULL, OXP_ATTR_INT, NULL}};
static const oxp_const_in group_in[] = {{6, "total_sequence_length", OXP_ATTR_INT}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_ms_GroupQueryAttention = {
    .name = "com.microsoft::GroupQueryAttention", .min_in = 1, .max_in = 12, .min_out = 1, .max_out = 3, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = group_attrs, .const_in = group_in,
    .infer = infer_grouped, .ref = ref_grouped, .expand = expand_grouped};
/* clang-format on */
