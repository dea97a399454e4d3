/* lp_pool.c - LpPool and GlobalLpPool: y = (sum over the window of |x|^p)^(1/p).
 *
 * Written as the average of full windows over an input that is padded with zeros, so there is no kernel of
 * its own. Where y = 0 the derivative is taken to be 0. */
#include "ops/infer.h"
#include "ops/lower.h"
#include "ops/slice.h"
#include "ops/window.h"
#include <math.h>
#include <string.h>

typedef struct lp_pool {
    int64_t p;
    int axes;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3];
    double cells; /* of a window */
    int64_t pads[2 * OXP_MAX_RANK],
        crop[2 * OXP_MAX_RANK]; /* to what the windows cover, and back */
    oxp_shape padded, y;
} lp_pool;

static oxp_status read_lp(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, lp_pool *out)
{
    const bool global = node->op == &oxp_op_GlobalLpPool;
    const bool up = oxp_attr_int(node, "ceil_mode", 0) != 0;
    char text[OXP_SHAPE_TEXT];
    lp_pool l = {.p = oxp_attr_int(node, "p", 2), .axes = x->rank - 2, .cells = 1};
    OXP_NODE_FAIL_IF(
        ctx, node, x->rank < 3 || x->rank > 5 || l.p < 1 || l.p > INT16_MAX, OXP_EUNSUPPORTED,
        "has p = %lld and input %s; a positive p and 1 to 3 spatial axes are supported",
        (long long)l.p, oxp_shape_text(x, text));
    OXP_TRY(oxp_window_kernel(ctx, node, l.axes, global ? &x->dim[2] : NULL, l.kernel));
    l.padded = l.y = *x;
    for (int a = 0; a < 3; a++) {
        oxp_window w = {1, 1, 1, 1, 1, 0, 0};
        if (a < l.axes)
            OXP_TRY(oxp_window_read(ctx, node, l.axes, a, x->dim[2 + a], l.kernel[a], up, &w));
        l.in[a] = w.in;
        l.out[a] = w.out;
        l.kernel[a] = w.kernel;
        l.stride[a] = w.stride;
        l.dilation[a] = w.dilation;
        l.pad_begin[a] = w.pad_begin;
        l.cells *= (double)w.kernel;
        if (a >= l.axes) continue;
        const int64_t cover = (w.out - 1) * w.stride + w.dilation * (w.kernel - 1) + 1;
        l.pads[2 + a] = w.pad_begin;
        l.pads[x->rank + 2 + a] = cover - w.in - w.pad_begin;
        l.padded.dim[2 + a] = cover;
        l.y.dim[2 + a] = w.out;
    }
    for (int i = 0; i < 2 * x->rank; i++) l.crop[i] = -l.pads[i];
    *out = l;
    return OXP_OK;
}

static oxp_status infer_lp(oxp_infer *inf)
{
    lp_pool l;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_lp(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &l));
    return oxp_infer_out(inf, 0, OXP_F32, &l.y);
}

static oxp_status ref_lp(const oxp_call *call)
{
    lp_pool l;
    OXP_TRY(read_lp(call->ctx, call->node, &call->in_shape[0], &l));
    const oxp_shape y = {.rank = 5, .dim = {l.y.dim[0], l.y.dim[1], l.out[0], l.out[1], l.out[2]}};
    const oxp_shape window = {.rank = 3, .dim = {l.kernel[0], l.kernel[1], l.kernel[2]}};
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    if (oxp_shape_elements(&y) == 0) return OXP_OK;
    do {
        int64_t k[OXP_MAX_RANK] = {0};
        double sum = 0;
        do {
            int64_t i = at[0] * y.dim[1] + at[1];
            bool inside = true;
            for (int a = 0; a < 3; a++) {
                const int64_t cell =
                    at[2 + a] * l.stride[a] - l.pad_begin[a] + k[a] * l.dilation[a];
                inside = inside && cell >= 0 && cell < l.in[a];
                i = i * l.in[a] + cell;
            }
            if (inside) sum += pow(fabs(call->in[0][i]), (double)l.p);
        } while (oxp_index_next(&window, k));
        call->out[0][o++] = pow(sum, 1 / (double)l.p);
    } while (oxp_index_next(&y, at));
    return OXP_OK;
}

/* |x|^n, n >= 0 */
static oxp_val power(oxp_build *b, oxp_val x, int64_t n)
{
    if (n == 2) return oxp_b_mul(b, x, x);
    const oxp_val size = oxp_b_unary(b, &oxp_op_Abs, x);
    return n == 1 ? size : oxp_b_pow(b, size, oxp_b_scalar(b, (double)n));
}

static size_t window_attrs(const lp_pool *l, oxp_attr attrs[4])
{
    const size_t axes = (size_t)l->axes;
    attrs[0] = OXP_INTS("kernel_shape", l->kernel, axes);
    attrs[1] = OXP_INTS("strides", l->stride, axes);
    attrs[2] = OXP_INTS("dilations", l->dilation, axes);
    return 3;
}

static oxp_status expand_lp(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    lp_pool l;
    oxp_attr attrs[4];
    OXP_TRY(read_lp(b->ctx, node, oxp_b_shape(b, node->in[0]), &l));
    const oxp_val terms = oxp_b_pad(b, power(b, node->in[0], l.p), l.pads, 0);
    const size_t n = window_attrs(&l, attrs);
    const oxp_val mean = oxp_emit(b, &oxp_op_AveragePool, &terms, 1, attrs, n);
    const oxp_val sum = oxp_b_mul(b, mean, oxp_b_scalar(b, l.cells));
    out[0] = l.p == 1   ? sum
             : l.p == 2 ? oxp_b_unary(b, &oxp_op_Sqrt, sum)
                        : oxp_b_pow(b, sum, oxp_b_scalar(b, 1 / (double)l.p));
    return b->status;
}

/* dx = sign(x) |x|^(p-1) (sum of dy / y^(p-1) over the windows that hold x), 0 for windows with y = 0 */
static oxp_status grad_lp(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_val x = g->node->in[0], y = g->node->out[0], zero = oxp_b_scalar(b, 0);
    const oxp_val one = oxp_b_scalar(b, 1);
    lp_pool l;
    oxp_attr attrs[4];
    OXP_TRY(read_lp(b->ctx, g->node, oxp_b_shape(b, x), &l));
    size_t n = window_attrs(&l, attrs);
    attrs[n++] = OXP_INTS("input_shape", l.padded.dim, (size_t)l.padded.rank);
    const oxp_val none = oxp_b_equal(b, y, zero);
    const oxp_val below = power(b, oxp_b_where(b, none, one, y), l.p - 1);
    const oxp_val ratio = l.p == 1 ? g->dy[0] : oxp_b_div(b, g->dy[0], below);
    const oxp_val each = oxp_b_mul(b, oxp_b_where(b, none, zero, ratio), oxp_b_scalar(b, l.cells));
    const oxp_val back =
        oxp_b_pad(b, oxp_emit(b, &oxp_op__AveragePoolGrad, &each, 1, attrs, n), l.crop, 0);
    oxp_val slope = x;
    if (l.p != 2) slope = oxp_b_unary(b, &oxp_op_Sign, x);
    if (l.p > 2) slope = oxp_b_mul(b, slope, power(b, x, l.p - 1));
    g->dx[0] = oxp_b_mul(b, back, slope);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec lp_attrs[] = {
    {"auto_pad", OXP_ATTR_STRING, NULL}, {"ceil_mode", OXP_ATTR_INT, NULL},
    {"dilations", OXP_ATTR_INTS, NULL}, {"kernel_shape", OXP_ATTR_INTS, NULL},
    {"p", OXP_ATTR_INT, NULL}, {"pads", OXP_ATTR_INTS, NULL}, {"strides", OXP_ATTR_INTS, NULL},
    {NULL, OXP_ATTR_INT, NULL}};
static const oxp_attr_spec global_attrs[] = {{"p", OXP_ATTR_INT, NULL}, {NULL, OXP_ATTR_INT, NULL}};

const oxp_op oxp_op_LpPool = {
    .name = "LpPool", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 2,
    .flags = OXP_OP_COMPOSITE | OXP_OP_CHANNELS_LAST, .attrs = lp_attrs, .infer = infer_lp,
    .grad = grad_lp, .ref = ref_lp, .expand = expand_lp};
const oxp_op oxp_op_GlobalLpPool = {
    .name = "GlobalLpPool", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 2,
    .flags = OXP_OP_COMPOSITE | OXP_OP_CHANNELS_LAST, .attrs = global_attrs, .infer = infer_lp,
    .grad = grad_lp, .ref = ref_lp, .expand = expand_lp};
/* clang-format on */
