/* scale_norm.c - normalisations that only scale: RMSNormalization, LpNormalization and LRN (over
 * neighbouring channels).
 *
 *   RMSNormalization   y = x / sqrt(mean of x^2 over the axes from `axis` on + epsilon) scale
 *   LpNormalization    y = x / |x|_p along `axis`, p = 1 or 2; 0 where the norm is 0
 *   LRN                y = x s^-beta, s_c = bias + alpha / size (sum of x_j^2 over the channels j from
 *                      c - floor((size - 1) / 2) to c + ceil((size - 1) / 2)) */
#include "ops/norm.h"

#include "ops/slice.h"
#include <math.h>

/* ---- RMSNormalization ---- */

static oxp_status rms_axis(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, int *axis)
{
    return oxp_norm_axis(ctx, oxp_attr_int(node, "axis", -1), x->rank, axis);
}

static oxp_status rms_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0), *scale = oxp_infer_shape(inf, 1);
    char xs[OXP_SHAPE_TEXT], ss[OXP_SHAPE_TEXT];
    oxp_shape joined;
    int axis;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_TRY(rms_axis(inf->ctx, inf->node, x, &axis));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     !oxp_shape_broadcast(x, scale, &joined) || !oxp_shape_equal(x, &joined),
                     OXP_EINVAL, "has a scale %s that does not broadcast to %s",
                     oxp_shape_text(scale, ss), oxp_shape_text(x, xs));
    return oxp_infer_same(inf);
}

static oxp_status rms_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    int axis;
    int64_t rows = 1, n = 1, at[OXP_MAX_RANK] = {0};
    OXP_TRY(rms_axis(call->ctx, call->node, x, &axis));
    for (int a = 0; a < x->rank; a++) *(a < axis ? &rows : &n) *= x->dim[a];
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0.0;
        for (int64_t i = r * n; i < (r + 1) * n; i++) sum += call->in[0][i] * call->in[0][i];
        const double rms = sqrt(sum / (double)n + oxp_norm_epsilon(call->node));
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            const double scale = call->in[1][oxp_index_broadcast(&call->in_shape[1], x, at)];
            call->out[0][i] = call->in[0][i] / rms * scale;
            oxp_index_next(x, at);
        }
    }
    return OXP_OK;
}

static oxp_status rms_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val x = node->in[0];
    const oxp_shape *s = oxp_b_shape(b, x);
    int64_t axes[OXP_MAX_RANK];
    size_t n = 0;
    int axis;
    OXP_TRY(rms_axis(b->ctx, node, s, &axis));
    for (int a = axis; a < s->rank; a++) axes[n++] = a;
    const oxp_val square = oxp_b_reduce_mean(b, oxp_b_mul(b, x, x), axes, n, true);
    const oxp_val safe = oxp_b_add(b, square, oxp_b_scalar(b, oxp_norm_epsilon(node)));
    const oxp_val hat = oxp_b_div(b, x, oxp_b_unary(b, &oxp_op_Sqrt, safe));
    out[0] = oxp_b_mul(b, hat, node->in[1]);
    return b->status;
}

/* ---- LpNormalization ---- */

static oxp_status lp_infer(oxp_infer *inf)
{
    int axis;
    const int64_t p = oxp_attr_int(inf->node, "p", 2);
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_norm_axis(inf->ctx, oxp_attr_int(inf->node, "axis", -1),
                          oxp_infer_shape(inf, 0)->rank, &axis));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, p != 1 && p != 2, OXP_EINVAL, "has p = %lld, not 1 or 2",
                     (long long)p);
    return oxp_infer_same(inf);
}

static oxp_status lp_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const bool squares = oxp_attr_int(call->node, "p", 2) == 2;
    int axis;
    int64_t outer = 1, inner = 1;
    OXP_TRY(oxp_norm_axis(call->ctx, oxp_attr_int(call->node, "axis", -1), x->rank, &axis));
    for (int a = 0; a < x->rank; a++)
        if (a != axis) *(a < axis ? &outer : &inner) *= x->dim[a];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const int64_t first = o * x->dim[axis] * inner + i;
            double sum = 0.0;
            for (int64_t k = 0; k < x->dim[axis]; k++) {
                const double v = call->in[0][first + k * inner];
                sum += squares ? v * v : fabs(v);
            }
            const double norm = squares ? sqrt(sum) : sum;
            for (int64_t k = 0; k < x->dim[axis]; k++)
                call->out[0][first + k * inner] =
                    norm > 0.0 ? call->in[0][first + k * inner] / norm : 0.0;
        }
    return OXP_OK;
}

static oxp_status lp_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val x = node->in[0], zero = oxp_b_scalar(b, 0.0);
    const int64_t axis = oxp_attr_int(node, "axis", -1);
    const oxp_val norm =
        oxp_attr_int(node, "p", 2) == 1
            ? oxp_b_reduce_sum(b, oxp_b_unary(b, &oxp_op_Abs, x), &axis, 1, true)
            : OXP_EMIT1(b, &oxp_op_ReduceL2, x, OXP_INTS("axes", &axis, 1), OXP_INT("keepdims", 1));
    const oxp_val none = oxp_b_equal(b, norm, zero);
    const oxp_val safe = oxp_b_where(b, none, oxp_b_scalar(b, 1.0), norm);
    out[0] = oxp_b_where(b, none, zero, oxp_b_div(b, x, safe));
    return b->status;
}

/* ---- LRN ---- */

typedef struct local {
    int64_t before, after;     /* neighbours on either side */
    double factor, beta, bias; /* factor: alpha / size */
} local;

static oxp_status read_local(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, local *l)
{
    const int64_t size = oxp_attr_int(node, "size", 0);
    char text[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(ctx, node, size < 1 || x->rank < 2, OXP_EINVAL,
                     "has size %lld and input %s, expected a positive size and (N,C,...)",
                     (long long)size, oxp_shape_text(x, text));
    *l = (local){.before = (size - 1) / 2, .after = size / 2};
    if (l->before > x->dim[1]) l->before = x->dim[1];
    if (l->after > x->dim[1]) l->after = x->dim[1];
    l->factor = oxp_attr_float(node, "alpha", 1e-4) / (double)size;
    l->beta = oxp_attr_float(node, "beta", 0.75);
    l->bias = oxp_attr_float(node, "bias", 1.0);
    return OXP_OK;
}

static oxp_status lrn_infer(oxp_infer *inf)
{
    local l;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_local(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &l));
    return oxp_infer_same(inf);
}

static oxp_status lrn_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const int64_t channels = x->dim[1], total = oxp_shape_elements(x);
    local l;
    OXP_TRY(read_local(call->ctx, call->node, x, &l));
    if (total == 0) return OXP_OK;
    const int64_t inner = total / (x->dim[0] * channels);
    for (int64_t i = 0; i < total; i++) {
        const int64_t c = i / inner % channels;
        double sum = 0.0;
        for (int64_t j = c - l.before; j <= c + l.after; j++)
            if (j >= 0 && j < channels)
                sum += call->in[0][i + (j - c) * inner] * call->in[0][i + (j - c) * inner];
        call->out[0][i] = call->in[0][i] * pow(l.bias + l.factor * sum, -l.beta);
    }
    return OXP_OK;
}

/* The sum over the channels from c - before to c + after, at each channel c: shifted views of v
 * between zeros, added in one pass. */
static oxp_val neighbours(oxp_build *b, oxp_val v, int64_t before, int64_t after)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const int64_t channels = oxp_b_shape(b, v)->dim[1], n = before + after + 1;
    oxp_val *parts = OXP_NEW(b->ctx->scratch, oxp_val, n);
    if (!parts) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    v = oxp_b_pad_zero(b, v, 1, before, after);
    for (int64_t i = 0; b->status == OXP_OK && i < n; i++)
        parts[i] = oxp_b_slice(b, v, 1, i, i + channels);
    return b->status == OXP_OK ? oxp_b_sum(b, parts, (size_t)n) : OXP_NO_VAL;
}

/* s of x */
static oxp_val local_sums(oxp_build *b, const local *l, oxp_val x)
{
    const oxp_val sum = neighbours(b, oxp_b_mul(b, x, x), l->before, l->after);
    return oxp_b_add(b, oxp_b_mul(b, sum, oxp_b_scalar(b, l->factor)), oxp_b_scalar(b, l->bias));
}

static oxp_status lrn_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    local l;
    OXP_TRY(read_local(b->ctx, node, oxp_b_shape(b, node->in[0]), &l));
    const oxp_val s = local_sums(b, &l, node->in[0]);
    out[0] = oxp_b_mul(b, node->in[0], oxp_b_pow(b, s, oxp_b_scalar(b, -l.beta)));
    return b->status;
}

/* dx_c = dy_c s_c^-beta - 2 factor beta x_c (sum of dy_j y_j / s_j over the channels j that c is a
 * neighbour of) */
static oxp_status lrn_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_val x = g->node->in[0], y = g->node->out[0], dy = g->dy[0];
    local l;
    OXP_TRY(read_local(b->ctx, g->node, oxp_b_shape(b, x), &l));
    const oxp_val s = local_sums(b, &l, x);
    const oxp_val own = oxp_b_mul(b, dy, oxp_b_pow(b, s, oxp_b_scalar(b, -l.beta)));
    const oxp_val each = oxp_b_div(b, oxp_b_mul(b, dy, y), s);
    const oxp_val others = neighbours(b, each, l.after, l.before);
    const oxp_val pull = oxp_b_mul(b, x, oxp_b_scalar(b, 2.0 * l.factor * l.beta));
    g->dx[0] = oxp_b_sub(b, own, oxp_b_mul(b, pull, others));
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec rms_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {"stash_type", OXP_ATTR_INT, "1"}, END};
static const oxp_attr_spec lp_attrs[] = {{"axis", OXP_ATTR_INT, NULL}, {"p", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec lrn_attrs[] = {
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"beta", OXP_ATTR_FLOAT, NULL}, {"bias", OXP_ATTR_FLOAT, NULL},
    {"size", OXP_ATTR_INT, NULL}, END};

const oxp_op oxp_op_RMSNormalization = {
    .name = "RMSNormalization", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 23,
    .flags = OXP_OP_COMPOSITE, .attrs = rms_attrs, .infer = rms_infer, .ref = rms_ref, .expand = rms_expand};
const oxp_op oxp_op_LpNormalization = {
    .name = "LpNormalization", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE, .attrs = lp_attrs, .infer = lp_infer, .ref = lp_ref, .expand = lp_expand};
const oxp_op oxp_op_LRN = {
    .name = "LRN", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE, .attrs = lrn_attrs, .infer = lrn_infer, .grad = lrn_grad, .ref = lrn_ref,
    .expand = lrn_expand};
/* clang-format on */
