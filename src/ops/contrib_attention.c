/* contrib_attention.c - attention as ONNX Runtime's optimiser writes it, whole, put back into products and
 * a softmax by specialisation; so that its maps can be read, and `raise` finds _Attention where nobody does.
 *
 *   Attention           (x, W, bias?, mask?, past?, position bias?): q, k, v are columns of x W + bias
 *   MultiHeadAttention  (q, k, v, bias?, key mask?, position bias?, past k?, past v?); k and v may be packed
 *                       into one operand, and all three; or be (B,heads,T,size) as they are
 *
 * Masks: (B,T) or (B,S,T) with 1 where a key may be seen; (B): how many may; (2B): up to where and from
 * where on. What may not be seen gets mask_filter_value added, later tokens the lowest float. */
#include "ops/infer.h"
#include "ops/unary.h"

#include <math.h>
#include <string.h>

#define MASK_FILTER -10000.0
#define LOWEST      -3.4028234663852886e38

/* B items, S queries, L keys of this node, P keys of the past, N heads, H and E: sizes of keys and values */
typedef struct geometry {
    int64_t b, s, l, p, n, h, e;
    enum { APART, PACKED_KV, PACKED_QKV, HEADS_FIRST } form; /* of MultiHeadAttention's operands */
} geometry;

typedef struct places { /* which input is what; 99: there is none */
    size_t bias, mask, position_bias, past_k, past_v;
} places;

static const places of_attention = {2, 3, 5, 4, 99}, of_multi_head = {3, 4, 5, 6, 7};

static bool is_multi_head(const oxp_node *node)
{
    return node->op == &oxp_op_ms_MultiHeadAttention;
}

static const places *places_of(const oxp_node *node)
{
    return is_multi_head(node) ? &of_multi_head : &of_attention;
}

/* ---- geometry; shape[i] is NULL where input i is absent ---- */

enum { MOST_INPUTS = 8 };

/* q, k and v sizes of Attention, all heads together */
static bool read_sizes(const oxp_node *node, const oxp_shape *w, int64_t size[3])
{
    const oxp_attr *sizes = oxp_attr_find(node, "qkv_hidden_sizes");
    const bool given = sizes && sizes->n == 3;
    if (w->rank != 2 || (sizes && sizes->n > 0 && !given)) return false;
    for (int k = 0; k < 3; k++) size[k] = given ? sizes->ints[k] : w->dim[1] / 3;
    return size[0] > 0 && size[2] > 0 && size[0] == size[1] && size[0] <= w->dim[1] &&
           size[2] <= w->dim[1] && size[0] + size[1] + size[2] == w->dim[1];
}

static bool read_attention(const oxp_node *node, const oxp_shape *const *shape, geometry *g)
{
    const oxp_shape *x = shape[0], *w = shape[1], *past = shape[of_attention.past_k];
    int64_t size[3];
    if (x->rank != 3 || !read_sizes(node, w, size) || w->dim[0] != x->dim[2]) return false;
    if (size[0] % g->n != 0 || size[2] % g->n != 0) return false;
    g->b = x->dim[0];
    g->s = g->l = x->dim[1];
    g->h = size[0] / g->n;
    g->e = size[2] / g->n;
    if (!past) return true;
    g->p = past->dim[3];
    return past->rank == 5 && past->dim[0] == 2 && past->dim[1] == g->b && past->dim[2] == g->n &&
           past->dim[4] == g->h && g->h == g->e;
}

static bool read_packed(const oxp_shape *const *shape, geometry *g)
{
    const oxp_shape *q = shape[0], *k = shape[1];
    const oxp_shape *packed = k ? k : q;
    const int64_t parts = k ? 2 : 3;
    if (packed->rank != 5 || packed->dim[2] != g->n || packed->dim[3] != parts) return false;
    g->form = k ? PACKED_KV : PACKED_QKV;
    g->b = packed->dim[0];
    g->s = q->dim[1];
    g->l = packed->dim[1];
    g->h = g->e = packed->dim[4];
    return !k || (q->rank == 3 && q->dim[0] == g->b && q->dim[2] == g->n * g->h);
}

static bool read_multi_head(const oxp_shape *const *shape, geometry *g)
{
    const oxp_shape *q = shape[0], *k = shape[1], *v = shape[2], *past_k = shape[6],
                    *past_v = shape[7];
    if (!v) {
        if (!read_packed(shape, g)) return false;
    } else {
        if (!k || q->rank != 3 || k->rank != v->rank || q->dim[2] % g->n != 0) return false;
        g->b = q->dim[0];
        g->s = q->dim[1];
        g->h = q->dim[2] / g->n;
        g->form = k->rank == 4 ? HEADS_FIRST : APART;
        if (k->rank != 3 && k->rank != 4) return false;
        const bool first = k->rank == 4;
        if (k->dim[0] != g->b || v->dim[0] != g->b || (!first && v->dim[2] % g->n != 0))
            return false;
        if (first && (k->dim[1] != g->n || v->dim[1] != g->n)) return false;
        g->l = k->dim[first ? 2 : 1];
        g->e = first ? v->dim[3] : v->dim[2] / g->n;
        if (k->dim[first ? 3 : 2] != (first ? g->h : g->n * g->h)) return false;
        if (v->dim[first ? 2 : 1] != g->l) return false;
    }
    if (!past_k != !past_v) return false;
    if (!past_k) return true;
    g->p = past_k->dim[2];
    return past_k->rank == 4 && past_v->rank == 4 && past_k->dim[0] == g->b &&
           past_v->dim[0] == g->b && past_k->dim[1] == g->n && past_v->dim[1] == g->n &&
           past_v->dim[2] == g->p && past_k->dim[3] == g->h && past_v->dim[3] == g->e;
}

static bool read_mask(const oxp_shape *m, const geometry *g)
{
    const int64_t all = g->p + g->l;
    if (!m) return true;
    if (m->rank == 1) return m->dim[0] == g->b || m->dim[0] == 2 * g->b;
    if (m->rank == 2) return m->dim[0] == g->b && m->dim[1] == all;
    return m->rank == 3 && m->dim[0] == g->b && m->dim[1] == g->s && m->dim[2] == all;
}

static bool read_geometry(const oxp_node *node, const oxp_shape *const *shape, geometry *g)
{
    const places *at = places_of(node);
    *g = (geometry){.n = oxp_attr_int(node, "num_heads", 0), .form = APART};
    if (g->n < 1 || g->n > INT32_MAX) return false;
    if (!(is_multi_head(node) ? read_multi_head(shape, g) : read_attention(node, shape, g)))
        return false;
    const oxp_shape *bias = shape[at->bias], *extra = shape[at->position_bias];
    const int64_t width = g->n * (2 * g->h + g->e);
    if (bias && (bias->rank != 1 || bias->dim[0] != width)) return false;
    const oxp_shape scores = {.rank = 4, .dim = {g->b, g->n, g->s, g->p + g->l}};
    oxp_shape joined;
    if (extra &&
        (!oxp_shape_broadcast(&scores, extra, &joined) || !oxp_shape_equal(&scores, &joined)))
        return false;
    return read_mask(shape[at->mask], g);
}

static double scale_of(const oxp_node *node, const geometry *g)
{
    const double scale = oxp_attr_float(node, "scale", 0.0);
    return scale < 0.0 || scale > 0.0 ? scale : 1.0 / sqrt((double)g->h);
}

static oxp_status infer_attention(oxp_infer *inf)
{
    const oxp_shape *shape[MOST_INPUTS] = {NULL};
    const places *at = places_of(inf->node);
    geometry g;
    for (size_t i = 0; i < MOST_INPUTS; i++) {
        if (!oxp_infer_has(inf, i)) continue;
        shape[i] = oxp_infer_shape(inf, i);
        const bool mask = i == at->mask;
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, i) != (mask ? OXP_I64 : OXP_F32),
                         OXP_EUNSUPPORTED, "expects %s as input %zu", mask ? "integers" : "floats",
                         i);
    }
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !read_geometry(inf->node, shape, &g), OXP_EUNSUPPORTED,
                     "has operands that do not fit together for its %lld heads",
                     (long long)oxp_attr_int(inf->node, "num_heads", 0));
    const oxp_shape y = {.rank = 3, .dim = {g.b, g.s, g.n * g.e}};
    OXP_TRY(oxp_infer_out(inf, 0, OXP_F32, &y));
    const int64_t all = g.p + g.l;
    if (!is_multi_head(inf->node)) {
        const oxp_shape present = {.rank = 5, .dim = {2, g.b, g.n, all, g.h}};
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, inf->node->n_out > 1 && g.h != g.e, OXP_EUNSUPPORTED,
                         "keeps keys and values of different %s", "sizes");
        return inf->node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_F32, &present) : OXP_OK;
    }
    for (uint32_t k = 1; k < inf->node->n_out; k++) {
        const oxp_shape present = {.rank = 4, .dim = {g.b, g.n, all, k == 1 ? g.h : g.e}};
        OXP_TRY(oxp_infer_out(inf, k, OXP_F32, &present));
    }
    return OXP_OK;
}

/* ---- reference ---- */

static const double *param(const oxp_call *call, size_t i)
{
    return i < call->node->n_in ? call->in[i] : NULL;
}

/* Element c of q, k or v (which = 0, 1, 2) of head n of item b at token t, which is not of the past. */
static double element(const oxp_call *call, const geometry *g, int which, int64_t b, int64_t n,
                      int64_t t, int64_t c)
{
    const int64_t size = which == 2 ? g->e : g->h, column = n * size + c;
    const double *bias = param(call, places_of(call->node)->bias);
    const int64_t first = which * g->n * g->h; /* of its columns among those of all three */
    double v = bias ? bias[first + column] : 0.0;
    if (!is_multi_head(call->node)) {
        const int64_t width = g->n * (2 * g->h + g->e), d = call->in_shape[0].dim[2];
        for (int64_t i = 0; i < d; i++)
            v += call->in[0][(b * g->s + t) * d + i] * call->in[1][i * width + first + column];
        return v;
    }
    const int64_t tokens = which ? g->l : g->s, row = b * tokens + t;
    if (g->form == PACKED_QKV) return v + call->in[0][((row * g->n + n) * 3 + which) * size + c];
    if (g->form == PACKED_KV && which)
        return v + call->in[1][((row * g->n + n) * 2 + which - 1) * size + c];
    if (g->form == HEADS_FIRST && which)
        return v + call->in[which][((b * g->n + n) * tokens + t) * size + c];
    return v + call->in[which][row * g->n * size + column];
}

/* The same of key or value t, the past's first. */
static double cached(const oxp_call *call, const geometry *g, int which, int64_t b, int64_t n,
                     int64_t t, int64_t c)
{
    const int64_t size = which == 2 ? g->e : g->h;
    if (t >= g->p) return element(call, g, which, b, n, t - g->p, c);
    const places *at = places_of(call->node);
    const int64_t part = at->past_v > MOST_INPUTS && which == 2 ? g->b : 0;
    const double *past = call->in[part || which == 1 ? at->past_k : at->past_v];
    return past[(((part + b) * g->n + n) * g->p + t) * size + c];
}

/* What masks add to the score of query s and key t. */
static double masked(const oxp_call *call, const geometry *g, int64_t b, int64_t s, int64_t t)
{
    const places *at = places_of(call->node);
    const double *m = param(call, at->mask);
    const oxp_shape *shape = &call->in_shape[at->mask];
    const int64_t all = g->p + g->l;
    bool seen = true;
    if (m && shape->rank == 1)
        seen = (double)t < m[b] && (shape->dim[0] == g->b || (double)t >= m[g->b + b]);
    else if (m)
        seen = m[shape->rank == 2 ? b * all + t : (b * g->s + s) * all + t] > 0.0;
    double sum = seen ? 0.0 : oxp_attr_float(call->node, "mask_filter_value", MASK_FILTER);
    if (oxp_attr_int(call->node, "unidirectional", 0) && t > g->p + s) sum += LOWEST;
    return sum;
}

/* p: room for all scores of one query */
static void attend(const oxp_call *call, const geometry *g, int64_t b, int64_t n, int64_t s,
                   double *p)
{
    const size_t extra = places_of(call->node)->position_bias;
    const int64_t all = g->p + g->l;
    const oxp_shape scores = {.rank = 4, .dim = {g->b, g->n, g->s, all}};
    double top = -(double)INFINITY, sum = 0.0;
    for (int64_t t = 0; t < all; t++) {
        double dot = 0.0;
        for (int64_t c = 0; c < g->h; c++)
            dot += element(call, g, 0, b, n, s, c) * cached(call, g, 1, b, n, t, c);
        p[t] = dot * scale_of(call->node, g) + masked(call, g, b, s, t);
        const int64_t at[OXP_MAX_RANK] = {b, n, s, t};
        if (param(call, extra))
            p[t] += call->in[extra][oxp_index_broadcast(&call->in_shape[extra], &scores, at)];
        top = fmax(top, p[t]);
    }
    for (int64_t t = 0; t < all; t++) sum += p[t] = exp(p[t] - top);
    for (int64_t c = 0; c < g->e; c++) {
        double y = 0.0;
        for (int64_t t = 0; t < all; t++) y += p[t] / sum * cached(call, g, 2, b, n, t, c);
        call->out[0][((b * g->s + s) * g->n + n) * g->e + c] = y;
    }
}

static void keep_present(const oxp_call *call, const geometry *g)
{
    const int64_t all = g->p + g->l;
    const bool apart = is_multi_head(call->node);
    for (int which = 1; which <= 2; which++) {
        const uint32_t k = apart ? (uint32_t)which : 1;
        const int64_t size = which == 2 ? g->e : g->h;
        if (k >= call->node->n_out || !call->out[k]) continue;
        double *to = call->out[k] + (apart || which == 1 ? 0 : g->b * g->n * all * size);
        for (int64_t b = 0; b < g->b; b++)
            for (int64_t n = 0; n < g->n; n++)
                for (int64_t t = 0; t < all; t++)
                    for (int64_t c = 0; c < size; c++) *to++ = cached(call, g, which, b, n, t, c);
    }
}

static oxp_status ref_attention(const oxp_call *call)
{
    const oxp_shape *shape[MOST_INPUTS] = {NULL};
    geometry g;
    for (size_t i = 0; i < MOST_INPUTS; i++)
        if (param(call, i)) shape[i] = &call->in_shape[i];
    OXP_FAIL_IF(call->ctx, !read_geometry(call->node, shape, &g), OXP_EINTERNAL,
                "attention: shapes changed");
    double *p = oxp_arena_alloc(call->scratch, (size_t)(g.p + g.l) + 1, sizeof(double));
    OXP_NOMEM_IF(call->ctx, p);
    for (int64_t b = 0; b < g.b; b++)
        for (int64_t n = 0; n < g.n; n++)
            for (int64_t s = 0; s < g.s; s++) attend(call, &g, b, n, s, p);
    keep_present(call, &g);
    return OXP_OK;
}

/* ---- expansion ---- */

static oxp_val input(const oxp_node *node, size_t i)
{
    return oxp_node_has(node, i) ? node->in[i] : OXP_NO_VAL;
}

/* (B,T,N size) -> (B,N,T,size) */
static oxp_val split_heads(oxp_build *b, const geometry *g, oxp_val x, int64_t tokens, int64_t size)
{
    const oxp_shape apart = {.rank = 4, .dim = {g->b, tokens, g->n, size}};
    return oxp_b_transpose(b, oxp_b_reshape(b, x, &apart), (const int64_t[]){0, 2, 1, 3});
}

/* Part `which` of a packed operand (B,T,N,parts,size) as (B,N,T,size) */
static oxp_val unpacked(oxp_build *b, const geometry *g, oxp_val x, int64_t which, int64_t tokens)
{
    const oxp_shape rows = {.rank = 3, .dim = {g->b, tokens, g->n * g->h}};
    x = oxp_b_reshape(b, oxp_b_slice(b, x, 3, which, which + 1), &rows);
    return split_heads(b, g, x, tokens, g->h);
}

/* Adds columns [first, first + N size) of the bias to x, (B,T,N size), or heads first. */
static oxp_val biased(oxp_build *b, const geometry *g, oxp_val x, oxp_val bias, int64_t first,
                      int64_t size, bool heads_first)
{
    if (bias == OXP_NO_VAL) return x;
    oxp_val part = oxp_b_slice(b, bias, 0, first, first + g->n * size);
    const oxp_shape lead = {.rank = 4, .dim = {1, g->n, 1, size}};
    if (heads_first) part = oxp_b_reshape(b, part, &lead);
    return oxp_b_add(b, x, part);
}

/* q, k, v as (B,N,T,size), without the past */
static void emit_operands(oxp_build *b, const oxp_node *node, const geometry *g, oxp_val qkv[3])
{
    const oxp_val bias = input(node, places_of(node)->bias);
    oxp_val all = OXP_NO_VAL;
    if (!is_multi_head(node)) {
        all = oxp_b_matmul(b, node->in[0], node->in[1]);
        if (bias != OXP_NO_VAL) all = oxp_b_add(b, all, bias);
    }
    for (int k = 0; k < 3; k++) {
        const int64_t size = k == 2 ? g->e : g->h, tokens = k ? g->l : g->s;
        const int64_t first = k * g->n * g->h;
        if (all != OXP_NO_VAL) {
            const oxp_val part = oxp_b_slice(b, all, 2, first, first + g->n * size);
            qkv[k] = split_heads(b, g, part, tokens, size);
        } else if (g->form == PACKED_QKV || (g->form == PACKED_KV && k)) {
            const bool whole = g->form == PACKED_QKV;
            qkv[k] = unpacked(b, g, node->in[whole ? 0 : 1], whole ? k : k - 1, tokens);
            qkv[k] = biased(b, g, qkv[k], bias, first, size, true);
        } else if (g->form == HEADS_FIRST && k) {
            qkv[k] = biased(b, g, node->in[k], bias, first, size, true);
        } else {
            const oxp_val x = biased(b, g, node->in[k], bias, first, size, false);
            qkv[k] = split_heads(b, g, x, tokens, size);
        }
    }
}

/* k and v with the past before them */
static void emit_past(oxp_build *b, const oxp_node *node, const geometry *g, oxp_val qkv[3])
{
    const places *at = places_of(node);
    if (input(node, at->past_k) == OXP_NO_VAL) return;
    for (int k = 1; k <= 2; k++) {
        oxp_val past = input(node, k == 1 ? at->past_k : at->past_v);
        if (!is_multi_head(node)) {
            const oxp_shape one = {.rank = 4, .dim = {g->b, g->n, g->p, g->h}};
            past = oxp_b_reshape(b, oxp_b_slice(b, node->in[at->past_k], 0, k - 1, k), &one);
        }
        qkv[k] = oxp_b_concat(b, (const oxp_val[]){past, qkv[k]}, 2, 2);
    }
}

/* 1 where entry t of a row of `all` keys is below the limit (B,1,1,1), as a boolean */
static oxp_val before(oxp_build *b, oxp_val limit, int64_t first, const geometry *g)
{
    const int64_t all = g->p + g->l;
    const oxp_shape per_item = {.rank = 4, .dim = {g->b, 1, 1, 1}};
    limit = oxp_b_reshape(b, oxp_b_slice(b, limit, 0, first, first + g->b), &per_item);
    return oxp_b_greater(b, limit, oxp_b_count(b, all));
}

/* What the mask adds to the scores: 0 or the filter */
static oxp_val emit_mask(oxp_build *b, const oxp_node *node, const geometry *g)
{
    const oxp_val mask = input(node, places_of(node)->mask);
    if (mask == OXP_NO_VAL || b->status != OXP_OK) return OXP_NO_VAL;
    const oxp_shape m = *oxp_b_shape(b, mask);
    const int64_t zero = 0, all = g->p + g->l;
    const oxp_shape rows = {.rank = 4, .dim = {g->b, 1, m.rank == 3 ? g->s : 1, all}};
    const oxp_val none = oxp_b_scalar(b, 0.0);
    const oxp_val filter = oxp_b_scalar(b, oxp_attr_float(node, "mask_filter_value", MASK_FILTER));
    if (m.rank > 1) {
        const oxp_val seen =
            oxp_b_greater(b, oxp_b_reshape(b, mask, &rows), oxp_b_ints(b, &zero, 1));
        return oxp_b_where(b, seen, none, filter);
    }
    const oxp_val ends = oxp_b_where(b, before(b, mask, 0, g), none, filter);
    if (m.dim[0] == g->b) return ends;
    return oxp_b_where(b, before(b, mask, g->b, g), filter, ends);
}

/* (S, P + L): the lowest float where the key comes after the query */
static oxp_val emit_order(oxp_build *b, const geometry *g)
{
    const int64_t all = g->p + g->l;
    const oxp_shape shape = {.rank = 2, .dim = {g->s, all}};
    if (b->status != OXP_OK) return OXP_NO_VAL;
    oxp_tensor *order = OXP_NEW(b->g->arena, oxp_tensor, 1);
    b->status = order ? oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &shape, order)
                      : oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status != OXP_OK) return OXP_NO_VAL;
    double *v = (double *)(uintptr_t)order->data;
    for (int64_t s = 0; s < g->s; s++)
        for (int64_t t = 0; t < all; t++) v[s * all + t] = t > g->p + s ? LOWEST : 0.0;
    return oxp_b_const(b, OXP_F32, order);
}

/* softmax(scale q k' + mask + position bias) v, heads put together: (B,S,N E) */
static oxp_val emit_core(oxp_build *b, const oxp_node *node, const geometry *g,
                         const oxp_val qkv[3])
{
    const oxp_val keys = oxp_b_transpose(b, qkv[1], (const int64_t[]){0, 1, 3, 2});
    const oxp_val mask = emit_mask(b, node, g);
    const oxp_val bias = input(node, places_of(node)->position_bias);
    const bool ordered = oxp_attr_int(node, "unidirectional", 0) != 0;
    oxp_val extra = mask, scores = oxp_b_matmul(b, qkv[0], keys);
    scores = oxp_b_scaled(b, scores, scale_of(node, g));
    if (ordered) {
        const oxp_val order = emit_order(b, g);
        extra = extra == OXP_NO_VAL ? order : oxp_b_add(b, extra, order);
    }
    if (extra != OXP_NO_VAL) scores = oxp_b_add(b, scores, extra);
    if (bias != OXP_NO_VAL) scores = oxp_b_add(b, scores, bias);
    const oxp_val p = OXP_EMIT1(b, &oxp_op_Softmax, scores, OXP_INT("axis", -1));
    const oxp_val y = oxp_b_transpose(b, oxp_b_matmul(b, p, qkv[2]), (const int64_t[]){0, 2, 1, 3});
    const oxp_shape joined = {.rank = 3, .dim = {g->b, g->s, g->n * g->e}};
    return oxp_b_reshape(b, y, &joined);
}

static oxp_status expand_attention(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape *shape[MOST_INPUTS] = {NULL};
    geometry g;
    oxp_val qkv[3];
    if (b->status != OXP_OK) return b->status;
    for (size_t i = 0; i < MOST_INPUTS; i++)
        if (oxp_node_has(node, i)) shape[i] = oxp_b_shape(b, node->in[i]);
    OXP_FAIL_IF(b->ctx, !read_geometry(node, shape, &g), OXP_EINTERNAL,
                "attention: shapes changed");
    emit_operands(b, node, &g, qkv);
    emit_past(b, node, &g, qkv);
    out[0] = emit_core(b, node, &g, qkv);
    if (is_multi_head(node)) {
        for (uint32_t k = 1; k < node->n_out; k++) out[k] = qkv[k];
    } else if (node->n_out > 1) {
        const oxp_shape one = {.rank = 5, .dim = {1, g.b, g.n, g.p + g.l, g.h}};
        const oxp_val both[] = {oxp_b_reshape(b, qkv[1], &one), oxp_b_reshape(b, qkv[2], &one)};
        out[1] = oxp_b_concat(b, both, 2, 0);
    }
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec attention_attrs[] = {
    {"do_rotary", OXP_ATTR_INT, "0"}, {"mask_filter_value", OXP_ATTR_FLOAT, NULL}, {"num_heads", OXP_ATTR_INT, NULL},
    {"past_present_share_buffer", OXP_ATTR_INT, "0"}, {"qkv_hidden_sizes", OXP_ATTR_INTS, NULL},
    {"rotary_embedding_dim", OXP_ATTR_INT, "0"}, {"scale", OXP_ATTR_FLOAT, NULL},
    {"unidirectional", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec multi_head_attrs[] = {
    {"mask_filter_value", OXP_ATTR_FLOAT, NULL}, {"num_heads", OXP_ATTR_INT, NULL}, {"scale", OXP_ATTR_FLOAT, NULL},
    {"unidirectional", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
const oxp_op oxp_op_ms_Attention = {
    .name = "com.microsoft::Attention", .min_in = 2, .max_in = 6, .min_out = 1, .max_out = 2, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = attention_attrs,
    .infer = infer_attention, .ref = ref_attention, .expand = expand_attention};

const oxp_op oxp_op_ms_MultiHeadAttention = {
    .name = "com.microsoft::MultiHeadAttention", .min_in = 1, .max_in = 8, .min_out = 1, .max_out = 3, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = multi_head_attrs,
    .infer = infer_attention, .ref = ref_attention, .expand = expand_attention};
/* clang-format on */
