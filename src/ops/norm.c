/* norm.c - LayerNormalization with its adjoint. In this IR it may lack its scale; ONNX's always has
 * one. */
#include "ops/norm.h"

#include "ops/lower.h"

#include <math.h>

/* ---- LayerNormalization: over all axes from `axis` on ---- */

typedef struct layer { /* x seen as (outer, n) */
    int axis;
    int64_t outer, n;
    int64_t axes[OXP_MAX_RANK];
    size_t n_axes;
} layer;

static oxp_status read_layer(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, layer *l)
{
    *l = (layer){.outer = 1, .n = 1};
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", -1), x->rank, &l->axis));
    for (int a = 0; a < x->rank; a++) {
        *(a < l->axis ? &l->outer : &l->n) *= x->dim[a];
        if (a >= l->axis) l->axes[l->n_axes++] = a;
    }
    return OXP_OK;
}

/* Scale and bias have exactly the normalised axes' shape (ONNX allows a broadcast; no exporter
 * makes one). */
static oxp_status check_layer_param(const oxp_infer *inf, size_t i, int axis)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    if (!oxp_infer_has(inf, i)) return OXP_OK;
    OXP_TRY(oxp_infer_float(inf, i));
    const oxp_shape want = oxp_shape_of(x->rank - axis, x->dim + axis);
    char found[OXP_SHAPE_TEXT], wanted[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(inf->ctx, !oxp_shape_equal(&want, oxp_infer_shape(inf, i)), OXP_EUNSUPPORTED,
                "%s '%s' expects shape %s as input %zu, found %s", inf->node->op->name,
                inf->node->origin, oxp_shape_text(&want, wanted), i,
                oxp_shape_text(oxp_infer_shape(inf, i), found));
    return OXP_OK;
}

static oxp_status layer_norm_infer(oxp_infer *inf)
{
    layer l;
    OXP_TRY(read_layer(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &l));
    OXP_TRY(check_layer_param(inf, 1, l.axis));
    OXP_TRY(check_layer_param(inf, 2, l.axis));
    OXP_TRY(oxp_infer_float(inf, 0));
    oxp_shape rows = *oxp_infer_shape(inf, 0);
    for (int a = l.axis; a < rows.rank; a++) rows.dim[a] = 1;
    for (uint32_t i = 0; i < inf->node->n_out; i++)
        OXP_TRY(oxp_infer_out(inf, i, OXP_F32, i == 0 ? oxp_infer_shape(inf, 0) : &rows));
    return OXP_OK;
}

/* (x, scale?, dy) */
static oxp_status layer_norm_grad_infer(oxp_infer *inf)
{
    layer l;
    OXP_TRY(read_layer(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &l));
    OXP_TRY(check_layer_param(inf, 1, l.axis));
    OXP_FAIL_IF(inf->ctx, !oxp_infer_has(inf, 2), OXP_EINVAL, "_LayerNormGrad '%s' lacks dy",
                inf->node->origin);
    OXP_TRY(oxp_infer_float(inf, 2));
    OXP_FAIL_IF(inf->ctx, !oxp_shape_equal(oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 2)),
                OXP_EINVAL, "_LayerNormGrad '%s' expects x and dy of one shape", inf->node->origin);
    return oxp_norm_infer(inf);
}

/* xhat and 1 / r as values */
static bool emit_moments(oxp_build *b, const oxp_node *node, layer *l, oxp_val *xhat, oxp_val *std,
                         oxp_val *mean)
{
    if (b->status == OXP_OK) b->status = read_layer(b->ctx, node, oxp_b_shape(b, node->in[0]), l);
    if (b->status != OXP_OK) return false;
    *mean = oxp_b_reduce_mean(b, node->in[0], l->axes, l->n_axes, true);
    const oxp_val centred = oxp_b_sub(b, node->in[0], *mean);
    const oxp_val square = oxp_b_mul(b, centred, centred);
    const oxp_val var = oxp_b_reduce_mean(b, square, l->axes, l->n_axes, true);
    const oxp_val safe = oxp_b_add(b, var, oxp_b_scalar(b, oxp_norm_epsilon(node)));
    *std = oxp_b_unary(b, &oxp_op_Sqrt, safe);
    *xhat = oxp_b_div(b, centred, *std);
    return true;
}

/* What the statistics m and r add to dx: dm / n - dr r^2 xhat / n, n numbers in a row */
static oxp_val statistics_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    layer l;
    oxp_val xhat, std, mean, dx = OXP_NO_VAL;
    if (!emit_moments(b, g->node, &l, &xhat, &std, &mean)) return OXP_NO_VAL;
    const oxp_val share = oxp_b_scalar(b, 1.0 / (double)l.n);
    if (g->dy[1] != OXP_NO_VAL)
        dx = oxp_b_expand(b, oxp_b_mul(b, g->dy[1], share), oxp_b_shape(b, xhat));
    if (g->node->n_out < 3 || g->dy[2] == OXP_NO_VAL) return dx;
    const oxp_val rate = oxp_b_div(b, oxp_b_mul(b, g->dy[2], share), oxp_b_mul(b, std, std));
    const oxp_val fall = oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, rate, xhat));
    return dx == OXP_NO_VAL ? fall : oxp_b_add(b, dx, fall);
}

/* y = xhat scale + bias:  dx by _LayerNormGrad, dscale = dy xhat, dbias = dy (the driver sums
 * over the leading axes) */
static oxp_status layer_norm_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_node *node = g->node;
    const oxp_val x = node->in[0], dy = g->dy[0];
    const int64_t axis = oxp_attr_int(node, "axis", -1);
    oxp_val more = OXP_NO_VAL;
    if (g->wants[0] && node->n_out > 1) more = statistics_grad(g);
    if (dy == OXP_NO_VAL) {
        g->dx[0] = more;
        return b->status;
    }
    if (g->wants[0]) {
        const oxp_val scale = oxp_node_has(node, 1) ? node->in[1] : OXP_NO_VAL;
        const oxp_attr attrs[] = {OXP_INT("axis", axis),
                                  OXP_FLOAT("epsilon", oxp_norm_epsilon(node))};
        g->dx[0] =
            oxp_emit(b, &oxp_op__LayerNormGrad, (const oxp_val[]){x, scale, dy}, 3, attrs, 2);
        if (more != OXP_NO_VAL) g->dx[0] = oxp_b_add(b, g->dx[0], more);
    }
    if (node->n_in > 1 && g->wants[1])
        g->dx[1] = oxp_b_mul(b, dy, oxp_norm_emit(b, x, axis, oxp_norm_epsilon(node)));
    if (node->n_in > 2 && g->wants[2]) g->dx[2] = dy;
    return b->status;
}

/* Input i of a call, or NULL. */
static const double *param(const oxp_call *call, uint32_t i)
{
    return i < call->node->n_in ? call->in[i] : NULL;
}

static oxp_status layer_norm_ref(const oxp_call *call)
{
    layer l;
    OXP_TRY(read_layer(call->ctx, call->node, &call->in_shape[0], &l));
    const double *scale = param(call, 1), *bias = param(call, 2);
    for (int64_t o = 0; o < l.outer; o++) {
        const double *x = call->in[0] + o * l.n;
        double *y = call->out[0] + o * l.n, mean, rstd;
        oxp_norm_moments(x, l.n, oxp_norm_epsilon(call->node), &mean, &rstd);
        if (call->node->n_out > 1 && call->out[1]) call->out[1][o] = mean;
        if (call->node->n_out > 2 && call->out[2]) call->out[2][o] = rstd;
        for (int64_t i = 0; i < l.n; i++)
            y[i] = (x[i] - mean) * rstd * (scale ? scale[i] : 1.0) + (bias ? bias[i] : 0.0);
    }
    return OXP_OK;
}

/* With g = dy scale and xhat = (x - mean) r, r = 1 / sqrt(var + epsilon):  dx = r (g - mean(g) -
 * xhat mean(g xhat)) */
static oxp_status layer_norm_grad_ref(const oxp_call *call)
{
    layer l;
    OXP_TRY(read_layer(call->ctx, call->node, &call->in_shape[0], &l));
    const double *scale = param(call, 1);
    for (int64_t o = 0; o < l.outer; o++) {
        const double *x = call->in[0] + o * l.n, *dy = call->in[2] + o * l.n;
        double *dx = call->out[0] + o * l.n, mean, r, sum = 0.0, dot = 0.0;
        oxp_norm_moments(x, l.n, oxp_norm_epsilon(call->node), &mean, &r);
        for (int64_t i = 0; i < l.n; i++) {
            const double g = dy[i] * (scale ? scale[i] : 1.0);
            sum += g;
            dot += g * (x[i] - mean) * r;
        }
        for (int64_t i = 0; i < l.n; i++) {
            const double g = dy[i] * (scale ? scale[i] : 1.0), xhat = (x[i] - mean) * r;
            dx[i] = r * (g - sum / (double)l.n - xhat * dot / (double)l.n);
        }
    }
    return OXP_OK;
}

static oxp_status layer_norm_lower(oxp_lower *lw, const oxp_node *node)
{
    layer l;
    OXP_TRY(
        read_layer(oxp_lower_ctx(lw), node, oxp_shape_at(oxp_lower_graph(lw), node->in[0]), &l));
    const oxp_val mean = node->n_out > 1 ? node->out[1] : OXP_NO_VAL;
    const oxp_val rate = node->n_out > 2 ? node->out[2] : OXP_NO_VAL;
    if (mean != OXP_NO_VAL || rate != OXP_NO_VAL)
        OXP_TRY(oxp_lower_moments(lw, l.axis, oxp_norm_epsilon(node), node->in[0], mean, rate));
    return oxp_lower_layer_norm(lw, l.axis, oxp_norm_epsilon(node), node->in[0],
                                oxp_node_has(node, 1) ? node->in[1] : OXP_NO_VAL,
                                oxp_node_has(node, 2) ? node->in[2] : OXP_NO_VAL, node->out[0]);
}

static oxp_status layer_norm_grad_lower(oxp_lower *lw, const oxp_node *node)
{
    layer l;
    OXP_TRY(
        read_layer(oxp_lower_ctx(lw), node, oxp_shape_at(oxp_lower_graph(lw), node->in[0]), &l));
    return oxp_lower_layer_norm_grad(lw, l.axis, oxp_norm_epsilon(node), node->in[0], node->in[1],
                                     node->in[2], node->out[0]);
}

static oxp_status layer_norm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    layer l;
    oxp_val y, std, mean;
    if (!emit_moments(b, node, &l, &y, &std, &mean)) return b->status;
    if (oxp_node_has(node, 1)) y = oxp_b_mul(b, y, node->in[1]);
    if (oxp_node_has(node, 2)) y = oxp_b_add(b, y, node->in[2]);
    out[0] = y;
    if (node->n_out > 1) out[1] = mean;
    if (node->n_out > 2) out[2] = oxp_b_unary(b, &oxp_op_Reciprocal, std);
    return b->status;
}

static oxp_status layer_norm_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    layer l;
    oxp_val xhat, std, centre, g = node->in[2];
    if (!emit_moments(b, node, &l, &xhat, &std, &centre)) return b->status;
    if (oxp_node_has(node, 1)) g = oxp_b_mul(b, g, node->in[1]);
    const oxp_val mean = oxp_b_reduce_mean(b, g, l.axes, l.n_axes, true);
    const oxp_val dot = oxp_b_reduce_mean(b, oxp_b_mul(b, g, xhat), l.axes, l.n_axes, true);
    const oxp_val rest = oxp_b_sub(b, oxp_b_sub(b, g, mean), oxp_b_mul(b, xhat, dot));
    out[0] = oxp_b_div(b, rest, std);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec layer_norm_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {"stash_type", OXP_ATTR_INT, "1"}, {NULL, 0, NULL}};
static const oxp_attr_spec layer_norm_grad_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_LayerNormalization = {
    .name = "LayerNormalization", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 3, .since = 1,
    .flags = OXP_OP_COMPOSITE, .attrs = layer_norm_attrs,
    .infer = layer_norm_infer, .grad = layer_norm_grad, .ref = layer_norm_ref, .lower = layer_norm_lower,
    .expand = layer_norm_expand};

const oxp_op oxp_op__LayerNormGrad = {
    .name = "_LayerNormGrad", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = layer_norm_grad_attrs,
    .infer = layer_norm_grad_infer, .ref = layer_norm_grad_ref, .lower = layer_norm_grad_lower,
    .expand = layer_norm_grad_expand};
/* clang-format on */
