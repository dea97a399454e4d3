/* order.c - what stands where in the order along one axis: ArgMax, ArgMin and TopK.
 *
 * Of equal elements the one with the lower index comes first (ArgMax with select_last_index: the
 * last). TopK's values are elements of its input, so their adjoint goes back to where they came from;
 * indices have none. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>
#include <string.h>

/* ---- ArgMax, ArgMin ---- */

static oxp_status infer_arg(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    int axis;
    OXP_TRY(oxp_norm_axis(inf->ctx, oxp_attr_int(inf->node, "axis", 0), x->rank, &axis));
    OXP_FAIL_IF(inf->ctx, x->dim[axis] == 0, OXP_EINVAL, "%s '%s' searches an empty axis",
                inf->node->op->name, inf->node->origin);
    oxp_shape y = {.rank = 0};
    const bool keep = oxp_attr_int(inf->node, "keepdims", 1) != 0;
    for (int a = 0; a < x->rank; a++)
        if (a != axis || keep) y.dim[y.rank++] = a == axis ? 1 : x->dim[a];
    return oxp_infer_out(inf, 0, OXP_I64, &y);
}

static oxp_status arg_ref(const oxp_call *call, bool largest)
{
    const oxp_shape *x = &call->in_shape[0];
    const bool last = oxp_attr_int(call->node, "select_last_index", 0) != 0;
    int axis;
    OXP_TRY(oxp_norm_axis(call->ctx, oxp_attr_int(call->node, "axis", 0), x->rank, &axis));
    int64_t inner = 1;
    for (int a = axis + 1; a < x->rank; a++) inner *= x->dim[a];
    const int64_t length = x->dim[axis], n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) {
        const double *row = call->in[0] + i / inner * length * inner + i % inner;
        int64_t best = 0;
        for (int64_t k = 1; k < length; k++) {
            const double candidate = row[k * inner], found = row[best * inner];
            const bool better = largest ? candidate > found : candidate < found;
            if (better || (last && candidate == found)) best = k;
        }
        call->out[0][i] = (double)best;
    }
    return OXP_OK;
}

static oxp_status arg_max_ref(const oxp_call *call)
{
    return arg_ref(call, true);
}
static oxp_status arg_min_ref(const oxp_call *call)
{
    return arg_ref(call, false);
}

/* ---- TopK: k has become the attribute `k` ---- */

typedef struct rows { /* x as (outer, length, inner): each row of `length` elements is ordered */
    int axis;
    int64_t outer, length, inner, k;
} rows;

static oxp_status read_rows(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, rows *r)
{
    *r = (rows){.outer = 1, .inner = 1, .k = oxp_attr_int(node, "k", -1)};
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", -1), x->rank, &r->axis));
    r->length = x->dim[r->axis];
    OXP_NODE_FAIL_IF(ctx, node, r->k < 0 || r->k > r->length, OXP_EINVAL,
                     "asks for %lld of the %lld elements along axis %d", (long long)r->k,
                     (long long)r->length, r->axis);
    for (int a = 0; a < x->rank; a++)
        if (a != r->axis) *(a < r->axis ? &r->outer : &r->inner) *= x->dim[a];
    return OXP_OK;
}

static oxp_status infer_topk(oxp_infer *inf)
{
    rows r;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, 0) == OXP_BOOL, OXP_EINVAL,
                     "expects numbers, found %s", oxp_dtype_name(OXP_BOOL));
    OXP_TRY(read_rows(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &r));
    oxp_shape y = *oxp_infer_shape(inf, 0);
    y.dim[r.axis] = r.k;
    OXP_TRY(oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y));
    return inf->node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_I64, &y) : OXP_OK;
}

/* dx = dy put back to where the values came from */
static oxp_status topk_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_shape x = *oxp_b_shape(b, g->node->in[0]);
    rows r;
    if (!g->wants[0] || g->dy[0] == OXP_NO_VAL) return b->status;
    OXP_TRY(read_rows(b->ctx, g->node, &x, &r));
    oxp_val y[2] = {g->node->out[0], g->node->n_out > 1 ? g->node->out[1] : OXP_NO_VAL};
    if (y[1] == OXP_NO_VAL)
        OXP_TRY(oxp_emit_multi(b, &oxp_op_TopK, g->node->in, 1, g->node->attrs, g->node->n_attrs, 2,
                               y));
    g->dx[0] = oxp_emit(
        b, &oxp_op__ScatterAdd, (const oxp_val[]){g->dy[0], y[1]}, 2,
        (const oxp_attr[]){OXP_INT("axis", r.axis), OXP_INTS("input_shape", x.dim, (size_t)x.rank)},
        2);
    return b->status;
}

/* Indices are int64, values what the input is. */
static oxp_dtype topk_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(node);
    return k == 1 ? OXP_I64 : in[0];
}

/* Does candidate c come before element o? NaN counts as the largest number, as in NumPy. */
static bool precedes(double c, double o, bool largest)
{
    if (isnan(c) || isnan(o)) return largest ? isnan(c) && !isnan(o) : !isnan(c) && isnan(o);
    return largest ? c > o : c < o;
}

/* Keeps the best k of a row, in order, inserting each element behind those that are as good. */
static void order_row(const rows *r, const double *x, bool largest, int64_t *best)
{
    int64_t n = 0;
    for (int64_t i = 0; i < r->length; i++) {
        int64_t at = n;
        while (at > 0 && precedes(x[i * r->inner], x[best[at - 1] * r->inner], largest)) at--;
        if (at == r->k) continue;
        if (n < r->k) n++;
        memmove(best + at + 1, best + at, (size_t)(n - 1 - at) * sizeof *best);
        best[at] = i;
    }
}

static oxp_status topk_ref(const oxp_call *call)
{
    rows r;
    OXP_TRY(read_rows(call->ctx, call->node, &call->in_shape[0], &r));
    const bool largest = oxp_attr_int(call->node, "largest", 1) != 0;
    int64_t *best = OXP_NEW(call->scratch, int64_t, r.k + 1);
    OXP_NOMEM_IF(call->ctx, best);
    double *index = call->node->n_out > 1 ? call->out[1] : NULL;
    for (int64_t o = 0; o < r.outer; o++)
        for (int64_t i = 0; i < r.inner; i++) {
            const double *x = call->in[0] + o * r.length * r.inner + i;
            order_row(&r, x, largest, best);
            for (int64_t k = 0; k < r.k; k++) {
                const int64_t to = (o * r.k + k) * r.inner + i;
                if (call->out[0]) call->out[0][to] = x[best[k] * r.inner];
                if (index) index[to] = (double)best[k];
            }
        }
    return OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec arg_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"keepdims", OXP_ATTR_INT, NULL}, {"select_last_index", OXP_ATTR_INT, NULL},
    {NULL, 0, NULL}};
static const oxp_attr_spec topk_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"k", OXP_ATTR_INT, NULL}, {"largest", OXP_ATTR_INT, NULL},
    {"sorted", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_const_in topk_const_in[] = {{1, "k", OXP_ATTR_INT}, {0, NULL, 0}};

#define ARG(symbol, reference)                                                                                         \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1, .attrs = arg_attrs,         \
        .flags = OXP_OP_NOT_DIFFERENTIABLE, .exact = oxp_exact_int64, .infer = infer_arg, .ref = reference,            \
        .lower = oxp_lower_by_ref}

ARG(ArgMax, arg_max_ref);
ARG(ArgMin, arg_min_ref);

const oxp_op oxp_op_TopK = {
    .name = "TopK", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 2, .since = 1, .attrs = topk_attrs,
    .const_in = topk_const_in, .exact = topk_exact, .infer = infer_topk, .grad = topk_grad, .ref = topk_ref, .lower = oxp_lower_by_ref};
/* clang-format on */
