/* softmax.c - Softmax, LogSoftmax, Hardmax, their adjoints, and the attention core as one composite.
 *
 * `axis` is normalised over; the internal attribute `span` = 1 says that all axes from `axis` on
 * are normalised over together, which is what opsets below 13 mean (import sets it). Attention
 * is softmax(scale q k' + mask) v over the last two axes; leading axes (batch, heads) broadcast. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

/* ---- what is normalised ---- */

typedef struct groups { /* x seen as (outer, n, inner): each column of n elements is normalised */
    int axis;
    bool span;
    int64_t outer, n, inner;
    int64_t axes[OXP_MAX_RANK]; /* as a list */
    size_t n_axes;
} groups;

static oxp_status read_groups(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, groups *g)
{
    *g = (groups){.outer = 1, .n = 1, .inner = 1};
    g->span = oxp_attr_int(node, "span", 0) != 0;
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", g->span ? 1 : -1), x->rank, &g->axis));
    for (int a = 0; a < x->rank; a++) {
        const bool inside = a == g->axis || (g->span && a > g->axis);
        if (inside) g->axes[g->n_axes++] = a;
        *(inside ? &g->n : a < g->axis ? &g->outer : &g->inner) *= x->dim[a];
    }
    return OXP_OK;
}

static oxp_status infer_softmax(oxp_infer *inf)
{
    groups g;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_groups(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &g));
    return oxp_infer_same(inf);
}

static oxp_status infer_softmax_grad(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_FAIL_IF(inf->ctx, !oxp_shape_equal(oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1)),
                OXP_EINVAL, "%s '%s' expects y and dy of one shape", inf->node->op->name,
                inf->node->origin);
    return infer_softmax(inf);
}

/* ---- references: a column at a time ---- */

typedef void (*column_fn)(const groups *g, const double *a, const double *b, double *out);

static oxp_status ref_columns(const oxp_call *call, column_fn column)
{
    groups g;
    OXP_TRY(read_groups(call->ctx, call->node, &call->in_shape[0], &g));
    for (int64_t o = 0; o < g.outer; o++)
        for (int64_t i = 0; i < g.inner; i++) {
            const int64_t at = o * g.n * g.inner + i;
            const double *second = call->node->n_in > 1 ? call->in[1] + at : NULL;
            column(&g, call->in[0] + at, second, call->out[0] + at);
        }
    return OXP_OK;
}

/* log sum exp of a column less its maximum, which goes to *top */
static double column_lse(const groups *g, const double *x, double *top)
{
    double sum = 0.0;
    *top = -(double)INFINITY;
    for (int64_t k = 0; k < g->n; k++) *top = oxp_bin_eval(OXP_BIN_MAX, *top, x[k * g->inner]);
    for (int64_t k = 0; k < g->n; k++) sum += exp(x[k * g->inner] - *top);
    return log(sum);
}

static void softmax_column(const groups *g, const double *x, const double *unused, double *y)
{
    OXP_UNUSED(unused);
    double top;
    const double lse = column_lse(g, x, &top);
    for (int64_t k = 0; k < g->n; k++) y[k * g->inner] = exp(x[k * g->inner] - top - lse);
}

static void log_softmax_column(const groups *g, const double *x, const double *unused, double *y)
{
    OXP_UNUSED(unused);
    double top;
    const double lse = column_lse(g, x, &top);
    for (int64_t k = 0; k < g->n; k++) y[k * g->inner] = x[k * g->inner] - top - lse;
}

static void softmax_grad_column(const groups *g, const double *y, const double *dy, double *dx)
{
    double dot = 0.0;
    for (int64_t k = 0; k < g->n; k++) dot += y[k * g->inner] * dy[k * g->inner];
    for (int64_t k = 0; k < g->n; k++)
        dx[k * g->inner] = y[k * g->inner] * (dy[k * g->inner] - dot);
}

static void log_softmax_grad_column(const groups *g, const double *y, const double *dy, double *dx)
{
    double sum = 0.0;
    for (int64_t k = 0; k < g->n; k++) sum += dy[k * g->inner];
    for (int64_t k = 0; k < g->n; k++)
        dx[k * g->inner] = dy[k * g->inner] - exp(y[k * g->inner]) * sum;
}

/* 1 at the first of the largest elements, 0 elsewhere */
static void hardmax_column(const groups *g, const double *x, const double *unused, double *y)
{
    OXP_UNUSED(unused);
    int64_t best = 0;
    for (int64_t k = 1; k < g->n; k++)
        if (x[k * g->inner] > x[best * g->inner]) best = k;
    for (int64_t k = 0; k < g->n; k++) y[k * g->inner] = k == best;
}

/* clang-format off */
static oxp_status hardmax_ref(const oxp_call *call) { return ref_columns(call, hardmax_column); }
static oxp_status softmax_ref(const oxp_call *call) { return ref_columns(call, softmax_column); }
static oxp_status log_softmax_ref(const oxp_call *call) { return ref_columns(call, log_softmax_column); }
static oxp_status softmax_grad_ref(const oxp_call *call) { return ref_columns(call, softmax_grad_column); }
static oxp_status log_softmax_grad_ref(const oxp_call *call) { return ref_columns(call, log_softmax_grad_column); }
/* clang-format on */

/* ---- gradients ---- */

static oxp_status emit_grad(oxp_grad *g, const oxp_op *adjoint)
{
    if (!g->wants[0] || g->dy[0] == OXP_NO_VAL) return OXP_OK;
    const oxp_val in[] = {g->node->out[0], g->dy[0]};
    g->dx[0] = oxp_emit(g->b, adjoint, in, 2, g->node->attrs, g->node->n_attrs);
    return g->b->status;
}

/* dx = y (dy - sum y dy) */
static oxp_status softmax_grad(oxp_grad *g)
{
    return emit_grad(g, &oxp_op__SoftmaxGrad);
}

/* dx = dy - e^y sum dy */
static oxp_status log_softmax_grad(oxp_grad *g)
{
    return emit_grad(g, &oxp_op__LogSoftmaxGrad);
}

/* ---- lowering ---- */

static oxp_status softmax_lower(oxp_lower *lw, const oxp_node *node)
{
    groups g;
    const oxp_shape *x = oxp_shape_at(oxp_lower_graph(lw), node->in[0]);
    OXP_TRY(read_groups(oxp_lower_ctx(lw), node, x, &g));
    return oxp_lower_softmax(lw, g.axis, g.span, node->op == &oxp_op_LogSoftmax, node->in[0],
                             node->out[0]);
}

static oxp_status softmax_grad_lower(oxp_lower *lw, const oxp_node *node)
{
    groups g;
    const oxp_shape *y = oxp_shape_at(oxp_lower_graph(lw), node->in[0]);
    OXP_TRY(read_groups(oxp_lower_ctx(lw), node, y, &g));
    return oxp_lower_softmax_grad(lw, g.axis, g.span, node->op == &oxp_op__LogSoftmaxGrad,
                                  node->in[0], node->in[1], node->out[0]);
}

/* ---- expansions ---- */

static bool begin(oxp_build *b, const oxp_node *node, groups *g)
{
    if (b->status == OXP_OK) b->status = read_groups(b->ctx, node, oxp_b_shape(b, node->in[0]), g);
    return b->status == OXP_OK;
}

/* y = e / sum e, e = exp(x - max x) */
static oxp_status softmax_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    groups g;
    if (!begin(b, node, &g)) return b->status;
    const oxp_val top = OXP_EMIT1(b, &oxp_op_ReduceMax, node->in[0],
                                  OXP_INTS("axes", g.axes, g.n_axes), OXP_INT("keepdims", 1));
    const oxp_val centred = oxp_b_sub(b, node->in[0], top);
    const oxp_val e = oxp_b_unary(b, &oxp_op_Exp, centred);
    const oxp_val sum = oxp_b_reduce_sum(b, e, g.axes, g.n_axes, true);
    out[0] = node->op == &oxp_op_Softmax ? oxp_b_div(b, e, sum)
                                         : oxp_b_sub(b, centred, oxp_b_unary(b, &oxp_op_Log, sum));
    return b->status;
}

/* y (dy - sum y dy) */
static oxp_status softmax_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    groups g;
    if (!begin(b, node, &g)) return b->status;
    const oxp_val y = node->in[0], dy = node->in[1];
    const oxp_val dot = oxp_b_reduce_sum(b, oxp_b_mul(b, y, dy), g.axes, g.n_axes, true);
    out[0] = oxp_b_mul(b, y, oxp_b_sub(b, dy, dot));
    return b->status;
}

/* dy - e^y sum dy */
static oxp_status log_softmax_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    groups g;
    if (!begin(b, node, &g)) return b->status;
    const oxp_val p = oxp_b_unary(b, &oxp_op_Exp, node->in[0]);
    const oxp_val sum = oxp_b_reduce_sum(b, node->in[1], g.axes, g.n_axes, true);
    out[0] = oxp_b_sub(b, node->in[1], oxp_b_mul(b, p, sum));
    return b->status;
}

/* ---- _Attention ---- */

typedef struct attention { /* q (..., l, d), k (..., s, d), v (..., s, e), y (..., l, e) */
    oxp_shape lead;        /* the leading axes, broadcast */
    int64_t l, s, d, e;
} attention;

/* A shape without its last two axes. */
static oxp_shape leading(const oxp_shape *s)
{
    return oxp_shape_of(s->rank - 2, s->dim);
}

static oxp_shape with_tail(const oxp_shape *lead, int64_t rows, int64_t cols)
{
    oxp_shape s = *lead;
    s.dim[s.rank] = rows;
    s.dim[s.rank + 1] = cols;
    s.rank += 2;
    return s;
}

static bool read_attention(const oxp_shape *q, const oxp_shape *k, const oxp_shape *v,
                           const oxp_shape *mask, attention *a)
{
    if (q->rank < 2 || k->rank < 2 || v->rank < 2) return false;
    const oxp_shape ql = leading(q), kl = leading(k), vl = leading(v);
    oxp_shape qk, joined;
    if (!oxp_shape_broadcast(&ql, &kl, &qk) || !oxp_shape_broadcast(&qk, &vl, &a->lead))
        return false;
    a->l = q->dim[q->rank - 2];
    a->d = q->dim[q->rank - 1];
    a->s = k->dim[k->rank - 2];
    a->e = v->dim[v->rank - 1];
    const oxp_shape scores = with_tail(&a->lead, a->l, a->s);
    const bool fits =
        !mask || (oxp_shape_broadcast(&scores, mask, &joined) && oxp_shape_equal(&scores, &joined));
    return fits && k->dim[k->rank - 1] == a->d && v->dim[v->rank - 2] == a->s;
}

static oxp_status infer_attention(oxp_infer *inf)
{
    attention a;
    const bool masked = oxp_infer_has(inf, 3);
    for (size_t i = 0; i < (masked ? 4u : 3u); i++) OXP_TRY(oxp_infer_float(inf, i));
    OXP_FAIL_IF(inf->ctx,
                !read_attention(oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1),
                                oxp_infer_shape(inf, 2), masked ? oxp_infer_shape(inf, 3) : NULL,
                                &a),
                OXP_EINVAL, "_Attention '%s': queries, keys, values and mask do not fit together",
                inf->node->origin);
    const oxp_shape y = with_tail(&a.lead, a.l, a.e);
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

/* One query: p = softmax(scale k q + mask), y = p v. p has room for s numbers. */
static void attend(const oxp_call *call, const attention *a, const oxp_shape *scores,
                   int64_t at[OXP_MAX_RANK], double *p)
{
    const int r = scores->rank;
    const double scale = oxp_attr_float(call->node, "scale", 1.0);
    const oxp_shape tails[] = {with_tail(&a->lead, a->l, a->d), with_tail(&a->lead, a->s, a->d),
                               with_tail(&a->lead, a->s, a->e), with_tail(&a->lead, a->l, a->e)};
    const int64_t row = at[r - 2];
    at[r - 1] = 0;
    const double *q = call->in[0] + oxp_index_broadcast(&call->in_shape[0], &tails[0], at);
    const groups column = {.n = a->s, .inner = 1};
    for (int64_t j = 0; j < a->s; j++) {
        at[r - 1] = j;
        p[j] = call->node->n_in > 3 && call->in[3]
                   ? call->in[3][oxp_index_broadcast(&call->in_shape[3], scores, at)]
                   : 0.0;
        at[r - 2] = j;
        at[r - 1] = 0;
        const double *k = call->in[1] + oxp_index_broadcast(&call->in_shape[1], &tails[1], at);
        for (int64_t i = 0; i < a->d; i++) p[j] += scale * q[i] * k[i];
        at[r - 2] = row;
    }
    softmax_column(&column, p, NULL, p);
    at[r - 1] = 0;
    double *y = call->out[0] + oxp_index_broadcast(&call->out_shape[0], &tails[3], at);
    at[r - 2] = 0;
    const double *v = call->in[2] + oxp_index_broadcast(&call->in_shape[2], &tails[2], at);
    for (int64_t i = 0; i < a->e; i++) {
        y[i] = 0.0;
        for (int64_t j = 0; j < a->s; j++) y[i] += p[j] * v[j * a->e + i];
    }
    at[r - 2] = row;
}

static oxp_status attention_ref(const oxp_call *call)
{
    attention a;
    const bool masked = call->node->n_in > 3 && call->in[3];
    OXP_FAIL_IF(call->ctx,
                !read_attention(&call->in_shape[0], &call->in_shape[1], &call->in_shape[2],
                                masked ? &call->in_shape[3] : NULL, &a),
                OXP_EINTERNAL, "_Attention: shapes changed");
    double *p = oxp_arena_alloc(call->scratch, (size_t)a.s + 1, sizeof(double));
    OXP_NOMEM_IF(call->ctx, p);
    const oxp_shape scores = with_tail(&a.lead, a.l, a.s), queries = with_tail(&a.lead, a.l, 1);
    const int64_t n = a.e ? oxp_shape_elements(&queries) : 0;
    int64_t at[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(&queries, at)) {
        at[scores.rank - 1] = 0;
        attend(call, &a, &scores, at, p);
        at[scores.rank - 1] = 0;
    }
    return OXP_OK;
}

static oxp_status attention_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val q = node->in[0], k = node->in[1], v = node->in[2];
    const int rank = oxp_b_shape(b, k)->rank;
    int64_t perm[OXP_MAX_RANK];
    for (int a = 0; a < rank; a++) perm[a] = a;
    perm[rank - 2] = rank - 1;
    perm[rank - 1] = rank - 2;
    const oxp_val scale = oxp_b_scalar(b, oxp_attr_float(node, "scale", 1.0));
    oxp_val scores = oxp_b_mul(b, oxp_b_matmul(b, q, oxp_b_transpose(b, k, perm)), scale);
    if (oxp_node_has(node, 3)) scores = oxp_b_add(b, scores, node->in[3]);
    const oxp_val p = OXP_EMIT1(b, &oxp_op_Softmax, scores, OXP_INT("axis", -1));
    out[0] = oxp_b_matmul(b, p, v);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec softmax_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"span", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec attention_attrs[] = {{"scale", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};

#define SOFTMAX(symbol, lower_case)                                                                                    \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1, .attrs = softmax_attrs,     \
        .flags = OXP_OP_COMPOSITE, .infer = infer_softmax, .grad = lower_case##_grad, .ref = lower_case##_ref,         \
        .lower = softmax_lower, .expand = softmax_expand}
#define ADJOINT(symbol, lower_case)                                                                                    \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .attrs = softmax_attrs,                 \
        .flags = OXP_OP_INTERNAL, .infer = infer_softmax_grad, .ref = lower_case##_ref,                                \
        .lower = softmax_grad_lower, .expand = lower_case##_expand}

SOFTMAX(Softmax, softmax);
SOFTMAX(LogSoftmax, log_softmax);
ADJOINT(_SoftmaxGrad, softmax_grad);
ADJOINT(_LogSoftmaxGrad, log_softmax_grad);

const oxp_op oxp_op_Hardmax = {
    .name = "Hardmax", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1, .attrs = softmax_attrs,
    .flags = OXP_OP_NOT_DIFFERENTIABLE, .infer = infer_softmax, .ref = hardmax_ref, .lower = oxp_lower_by_ref};

const oxp_op oxp_op__Attention = {
    .name = "_Attention", .min_in = 3, .max_in = 4, .min_out = 1, .max_out = 1, .attrs = attention_attrs,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE,
    .infer = infer_attention, .ref = attention_ref, .expand = attention_expand};
/* clang-format on */
