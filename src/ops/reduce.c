/* reduce.c - reductions over axes.
 *
 * Axes come as the attribute `axes` (older opsets) or as a constant input that specialisation
 * turns into it; none means all, unless noop_with_empty_axes: then each element is a group of its own.
 * The norms, ReduceLogSum and ReduceLogSumExp are composites. Pinned: the gradient of ReduceMax and ReduceMin is split equally among ties; that
 * of ReduceL2 at the zero vector is zero. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

/* ---- which axes ---- */

typedef struct reduction {
    uint32_t mask;              /* bit a: axis a is reduced */
    int64_t axes[OXP_MAX_RANK]; /* the same as a list */
    size_t n;
    int64_t count;  /* elements per result; of one group */
    oxp_shape kept; /* x's shape with reduced axes 1 */
    oxp_shape out;  /* as keepdims says */
} reduction;

static oxp_status read_mask(oxp_ctx *ctx, const oxp_node *node, int rank, uint32_t *mask)
{
    size_t n;
    const int64_t *axes = oxp_attr_ints(node, "axes", &n);
    *mask = 0;
    if (n == 0 && !oxp_attr_int(node, "noop_with_empty_axes", 0)) *mask = (1u << rank) - 1u;
    for (size_t i = 0; i < n; i++) {
        int axis;
        OXP_TRY(oxp_norm_axis(ctx, axes[i], rank, &axis));
        *mask |= 1u << axis;
    }
    return OXP_OK;
}

static oxp_status read_reduction(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                                 reduction *r)
{
    *r = (reduction){.count = 1, .kept = *x};
    OXP_TRY(read_mask(ctx, node, x->rank, &r->mask));
    const bool keep = oxp_attr_int(node, "keepdims", 1) != 0;
    for (int a = 0; a < x->rank; a++) {
        const bool reduced = (r->mask >> a) & 1u;
        if (reduced) {
            r->axes[r->n++] = a;
            r->count *= x->dim[a];
            r->kept.dim[a] = 1;
        }
        if (!reduced || keep) r->out.dim[r->out.rank++] = r->kept.dim[a];
    }
    return OXP_OK;
}

/* Also of booleans: the largest says whether any is true, the smallest whether all are. */
static oxp_status infer_extremum(oxp_infer *inf)
{
    reduction r;
    OXP_TRY(read_reduction(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &r));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &r.out);
}

static oxp_status infer_reduce(oxp_infer *inf)
{
    OXP_FAIL_IF(inf->ctx, oxp_infer_dtype(inf, 0) == OXP_BOOL, OXP_EINVAL,
                "%s '%s' expects numbers, found bool", inf->node->op->name, inf->node->origin);
    return infer_extremum(inf);
}

static oxp_status infer_reduce_float(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 0));
    return infer_reduce(inf);
}

/* ---- gradients ---- */

/* The node's reduction, and dy with the reduced axes back as 1. False when there is nothing to
 * do. */
static bool begin(oxp_grad *g, reduction *r, oxp_val *dy)
{
    oxp_build *b = g->b;
    if (!g->wants[0] || g->dy[0] == OXP_NO_VAL || b->status != OXP_OK) return false;
    b->status = read_reduction(b->ctx, g->node, oxp_b_shape(b, g->node->in[0]), r);
    *dy = oxp_b_reshape(b, g->dy[0], &r->kept);
    return b->status == OXP_OK;
}

static const oxp_shape *x_shape(const oxp_grad *g)
{
    return oxp_b_shape(g->b, g->node->in[0]);
}

/* y = sum_i x_i:  dx_i = dy */
static oxp_status sum_grad(oxp_grad *g)
{
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy)) g->dx[0] = oxp_b_expand(g->b, dy, x_shape(g));
    return g->b->status;
}

/* y = sum_i x_i / n:  dx_i = dy / n */
static oxp_status mean_grad(oxp_grad *g)
{
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy)) {
        const oxp_val share = oxp_b_mul(g->b, dy, oxp_b_scalar(g->b, 1.0 / (double)r.count));
        g->dx[0] = oxp_b_expand(g->b, share, x_shape(g));
    }
    return g->b->status;
}

/* y = max_i x_i:  dx_i = [x_i = y] dy / |{j: x_j = y}| */
static oxp_status extremum_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy)) {
        const oxp_val y = oxp_b_reshape(b, g->node->out[0], &r.kept);
        const oxp_val hit = oxp_b_cast(b, oxp_b_equal(b, g->node->in[0], y), OXP_F32);
        const oxp_val ties = oxp_b_reduce_sum(b, hit, r.axes, r.n, true);
        g->dx[0] = oxp_b_mul(b, hit, oxp_b_div(b, dy, ties));
    }
    return b->status;
}

/* y = prod_i x_i:  dx_i = dy prod_{j != i} x_j. With z_j = [x_j = 0] and P the product of the
 * factors that are not zero, the product of the others is P / (x_i or 1 where it is zero) if
 * none of the others is zero, that is if sum z = z_i, else 0. Second derivatives taken through
 * this are right where no factor is zero. */
static oxp_status prod_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy)) {
        const oxp_val x = g->node->in[0], zero = oxp_b_scalar(b, 0.0);
        const oxp_val is_zero = oxp_b_equal(b, x, zero);
        const oxp_val z = oxp_b_cast(b, is_zero, OXP_F32);
        const oxp_val safe = oxp_b_where(b, is_zero, oxp_b_scalar(b, 1.0), x);
        const oxp_val product =
            r.n == 0 ? safe
                     : OXP_EMIT1(b, &oxp_op_ReduceProd, safe, OXP_INTS("axes", r.axes, r.n),
                                 OXP_INT("keepdims", 1));
        const oxp_val alone = oxp_b_equal(b, oxp_b_reduce_sum(b, z, r.axes, r.n, true), z);
        const oxp_val others = oxp_b_where(b, alone, oxp_b_div(b, product, safe), zero);
        g->dx[0] = oxp_b_mul(b, dy, others);
    }
    return b->status;
}

/* y = sum_i x_i^2:  dx_i = 2 x_i dy */
static oxp_status sum_square_grad(oxp_grad *g)
{
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy))
        g->dx[0] = oxp_b_mul(g->b, g->node->in[0], oxp_b_mul(g->b, dy, oxp_b_scalar(g->b, 2.0)));
    return g->b->status;
}

/* y = (sum_i x_i^2)^(1/2):  dx_i = x_i dy / y, 0 where y = 0 (all x_i are zero then) */
static oxp_status l2_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy)) {
        const oxp_val y = oxp_b_reshape(b, g->node->out[0], &r.kept);
        const oxp_val zero = oxp_b_equal(b, y, oxp_b_scalar(b, 0.0));
        const oxp_val safe = oxp_b_where(b, zero, oxp_b_scalar(b, 1.0), y);
        g->dx[0] = oxp_b_mul(b, g->node->in[0], oxp_b_div(b, dy, safe));
    }
    return b->status;
}

/* y = sum_i |x_i|:  dx_i = sign(x_i) dy */
static oxp_status l1_grad(oxp_grad *g)
{
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy))
        g->dx[0] = oxp_b_mul(g->b, oxp_b_unary(g->b, &oxp_op_Sign, g->node->in[0]), dy);
    return g->b->status;
}

/* y = log sum_i x_i:  dx_i = dy / sum_i x_i */
static oxp_status log_sum_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy)) {
        const oxp_val sum = oxp_b_reduce_sum(b, g->node->in[0], r.axes, r.n, true);
        g->dx[0] = oxp_b_expand(b, oxp_b_div(b, dy, sum), x_shape(g));
    }
    return b->status;
}

/* y = log sum_i e^(x_i):  dx_i = e^(x_i - y) dy */
static oxp_status log_sum_exp_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    reduction r;
    oxp_val dy;
    if (begin(g, &r, &dy)) {
        const oxp_val y = oxp_b_reshape(b, g->node->out[0], &r.kept);
        const oxp_val share = oxp_b_unary(b, &oxp_op_Exp, oxp_b_sub(b, g->node->in[0], y));
        g->dx[0] = oxp_b_mul(b, share, dy);
    }
    return b->status;
}

/* ---- references ---- */

/* out = start, then out <- step(out, x) over the elements that fall on it. */
static oxp_status ref_fold(const oxp_call *call, double start, double (*step)(double, double),
                           reduction *r)
{
    OXP_TRY(read_reduction(call->ctx, call->node, &call->in_shape[0], r));
    const int64_t n_out = oxp_shape_elements(&call->out_shape[0]);
    const int64_t n_in = oxp_shape_elements(&call->in_shape[0]);
    int64_t idx[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n_out; i++) call->out[0][i] = start;
    for (int64_t i = 0; i < n_in; i++, oxp_index_next(&call->in_shape[0], idx)) {
        double *y = &call->out[0][oxp_index_broadcast(&r->kept, &call->in_shape[0], idx)];
        *y = step(*y, call->in[0][i]);
    }
    return OXP_OK;
}

static double add(double acc, double x)
{
    return acc + x;
}
static double multiply(double acc, double x)
{
    return acc * x;
}
static double larger(double acc, double x)
{
    return oxp_bin_eval(OXP_BIN_MAX, acc, x);
}
static double smaller(double acc, double x)
{
    return oxp_bin_eval(OXP_BIN_MIN, acc, x);
}
static double add_square(double acc, double x)
{
    return acc + x * x;
}

static double add_size(double acc, double x)
{
    return acc + fabs(x);
}

static oxp_status sum_ref(const oxp_call *call)
{
    reduction r;
    return ref_fold(call, 0.0, add, &r);
}

static oxp_status prod_ref(const oxp_call *call)
{
    reduction r;
    return ref_fold(call, 1.0, multiply, &r);
}

/* Of nothing: the least number there is, false for booleans. */
static oxp_status max_ref(const oxp_call *call)
{
    reduction r;
    const bool logic = call->out_dtype[0] == OXP_BOOL;
    return ref_fold(call, logic ? 0.0 : -(double)INFINITY, larger, &r);
}

static oxp_status min_ref(const oxp_call *call)
{
    reduction r;
    const bool logic = call->out_dtype[0] == OXP_BOOL;
    return ref_fold(call, logic ? 1.0 : (double)INFINITY, smaller, &r);
}

static oxp_status sum_square_ref(const oxp_call *call)
{
    reduction r;
    return ref_fold(call, 0.0, add_square, &r);
}

static oxp_status mean_ref(const oxp_call *call)
{
    reduction r;
    OXP_TRY(ref_fold(call, 0.0, add, &r));
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) {
        call->out[0][i] /= (double)r.count;
        if (call->out_dtype[0] == OXP_I64) call->out[0][i] = trunc(call->out[0][i]);
    }
    return OXP_OK;
}

/* A fold, then a function of each result. */
static oxp_status ref_fold_then(const oxp_call *call, double (*step)(double, double),
                                double (*last)(double))
{
    reduction r;
    OXP_TRY(ref_fold(call, 0.0, step, &r));
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = last(call->out[0][i]);
    return OXP_OK;
}

static oxp_status l1_ref(const oxp_call *call)
{
    reduction r;
    return ref_fold(call, 0.0, add_size, &r);
}

static oxp_status l2_ref(const oxp_call *call)
{
    return ref_fold_then(call, add_square, sqrt);
}

static oxp_status log_sum_ref(const oxp_call *call)
{
    return ref_fold_then(call, add, log);
}

/* log(e^acc + e^x), the sum so far kept as its logarithm */
static double add_exponential(double acc, double x)
{
    const double high = larger(acc, x), low = smaller(acc, x);
    return isinf(high) ? high : high + log1p(exp(low - high));
}

static oxp_status log_sum_exp_ref(const oxp_call *call)
{
    reduction r;
    return ref_fold(call, -(double)INFINITY, add_exponential, &r);
}

/* ---- lowering and expansions ---- */

static oxp_status lower_reduce(oxp_lower *lw, const oxp_node *node, oxp_reduce kind)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_val x = node->in[0], y = node->out[0];
    uint32_t mask;
    OXP_TRY(read_mask(oxp_lower_ctx(lw), node, oxp_shape_at(g, x)->rank, &mask));
    if (mask == 0) return oxp_lower_alias(lw, y, x, oxp_lower_place(lw, x));
    if (!oxp_node_all_float(g, node)) return oxp_lower_by_ref(lw, node);
    return oxp_lower_reduce(lw, kind, mask, x, y);
}

/* clang-format off */
static oxp_status sum_lower(oxp_lower *lw, const oxp_node *n) { return lower_reduce(lw, n, OXP_REDUCE_SUM); }
static oxp_status mean_lower(oxp_lower *lw, const oxp_node *n) { return lower_reduce(lw, n, OXP_REDUCE_MEAN); }
static oxp_status max_lower(oxp_lower *lw, const oxp_node *n) { return lower_reduce(lw, n, OXP_REDUCE_MAX); }
static oxp_status min_lower(oxp_lower *lw, const oxp_node *n) { return lower_reduce(lw, n, OXP_REDUCE_MIN); }
static oxp_status prod_lower(oxp_lower *lw, const oxp_node *n) { return lower_reduce(lw, n, OXP_REDUCE_PROD); }
/* clang-format on */

/* sum x x, over the same axes */
static oxp_val sum_of_squares(oxp_build *b, const oxp_node *node)
{
    const oxp_val square = oxp_b_mul(b, node->in[0], node->in[0]);
    return oxp_emit(b, &oxp_op_ReduceSum, &square, 1, node->attrs, node->n_attrs);
}

static oxp_status sum_square_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = sum_of_squares(b, node);
    return b->status;
}

static oxp_status l2_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = oxp_b_unary(b, &oxp_op_Sqrt, sum_of_squares(b, node));
    return b->status;
}

/* sum |x| */
static oxp_status l1_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val size = oxp_b_unary(b, &oxp_op_Abs, node->in[0]);
    out[0] = oxp_emit(b, &oxp_op_ReduceSum, &size, 1, node->attrs, node->n_attrs);
    return b->status;
}

/* log sum x */
static oxp_status log_sum_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val sum = oxp_emit(b, &oxp_op_ReduceSum, node->in, 1, node->attrs, node->n_attrs);
    out[0] = oxp_b_unary(b, &oxp_op_Log, sum);
    return b->status;
}

/* m + log sum e^(x - m), m = max x; kept finite, so that a group of infinities gives one */
static oxp_status log_sum_exp_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    reduction r;
    OXP_TRY(read_reduction(b->ctx, node, oxp_b_shape(b, node->in[0]), &r));
    oxp_val top = node->in[0];
    if (r.n)
        top = OXP_EMIT1(b, &oxp_op_ReduceMax, top, OXP_INTS("axes", r.axes, r.n),
                        OXP_INT("keepdims", 1));
    const double most = 3.4028234663852886e38; /* of a float */
    top = OXP_EMIT1(b, &oxp_op_Clip, top, OXP_FLOAT("min", -most), OXP_FLOAT("max", most));
    const oxp_val e = oxp_b_unary(b, &oxp_op_Exp, oxp_b_sub(b, node->in[0], top));
    const oxp_val sum = oxp_b_reduce_sum(b, e, r.axes, r.n, true);
    out[0] = oxp_b_reshape(b, oxp_b_add(b, oxp_b_unary(b, &oxp_op_Log, sum), top), &r.out);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec reduce_attrs[] = {
    {"axes", OXP_ATTR_INTS, NULL}, {"keepdims", OXP_ATTR_INT, NULL}, {"noop_with_empty_axes", OXP_ATTR_INT, NULL},
    {NULL, 0, NULL}};
static const oxp_const_in reduce_const_in[] = {{1, "axes", OXP_ATTR_INTS}, {0, NULL, 0}};

#define REDUCE(symbol, ...)                                                                                            \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 1, .attrs = reduce_attrs,      \
        .const_in = reduce_const_in, __VA_ARGS__}

REDUCE(ReduceSum, .flags = OXP_OP_LINEAR | OXP_OP_WRAPS, .infer = infer_reduce,
       .grad = sum_grad, .ref = sum_ref, .lower = sum_lower);
REDUCE(ReduceMean, .flags = OXP_OP_LINEAR | OXP_OP_WRAPS, .infer = infer_reduce,
       .grad = mean_grad, .ref = mean_ref, .lower = mean_lower);
REDUCE(ReduceMax, .infer = infer_extremum, .grad = extremum_grad, .ref = max_ref, .lower = max_lower);
REDUCE(ReduceMin, .infer = infer_extremum, .grad = extremum_grad, .ref = min_ref, .lower = min_lower);
REDUCE(ReduceProd, .flags = OXP_OP_WRAPS, .infer = infer_reduce,
       .grad = prod_grad, .ref = prod_ref, .lower = prod_lower);
REDUCE(ReduceSumSquare, .infer = infer_reduce, .flags = OXP_OP_COMPOSITE | OXP_OP_WRAPS,
       .grad = sum_square_grad,
       .ref = sum_square_ref, .expand = sum_square_expand);
REDUCE(ReduceL2, .infer = infer_reduce_float, .flags = OXP_OP_COMPOSITE, .grad = l2_grad, .ref = l2_ref, .expand = l2_expand);
REDUCE(ReduceL1, .infer = infer_reduce, .flags = OXP_OP_COMPOSITE | OXP_OP_WRAPS,
       .grad = l1_grad, .ref = l1_ref, .expand = l1_expand);
REDUCE(ReduceLogSum, .infer = infer_reduce_float, .flags = OXP_OP_COMPOSITE, .grad = log_sum_grad, .ref = log_sum_ref,
       .expand = log_sum_expand);
REDUCE(ReduceLogSumExp, .infer = infer_reduce_float, .flags = OXP_OP_COMPOSITE, .grad = log_sum_exp_grad,
       .ref = log_sum_exp_ref, .expand = log_sum_exp_expand);
/* clang-format on */
