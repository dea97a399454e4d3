/* norm.c - BatchNormalization at inference, LayerNormalization with its adjoint,
 * InstanceNormalization and GroupNorm.
 *
 * BatchNormalization is an affine map per channel: with constant parameters its expansion folds
 * to Mul and Add by two constants, which an optimisation pass moves into a convolution before.
 * Instance and group normalisation are layer normalisations of a reshaped input (without scale),
 * then scaled. In this IR LayerNormalization may lack its scale; ONNX's always has one. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

/* ---- shared ---- */

/* Input i, a vector over channels (axis 1 of x), or absent. */
static oxp_status check_per_channel(const oxp_infer *inf, size_t i)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(inf->ctx, x->rank < 2, OXP_EINVAL,
                "%s '%s' expects (batch, channels, ...), found %s", inf->node->op->name,
                inf->node->origin, oxp_shape_text(x, text));
    OXP_TRY(oxp_infer_float(inf, i));
    const oxp_shape *s = oxp_infer_shape(inf, i);
    OXP_FAIL_IF(inf->ctx, s->rank != 1 || s->dim[0] != x->dim[1], OXP_EINVAL,
                "%s '%s' expects one number per channel (%lld) as input %zu, found shape %s",
                inf->node->op->name, inf->node->origin, (long long)x->dim[1], i,
                oxp_shape_text(s, text));
    return OXP_OK;
}

/* Only the first output exists at inference. */
static oxp_status check_one_output(const oxp_infer *inf)
{
    for (uint32_t i = 1; i < inf->node->n_out; i++)
        OXP_FAIL_IF(
            inf->ctx, inf->node->out[i] != OXP_NO_VAL, OXP_EUNSUPPORTED,
            "%s '%s' is asked for its statistics (output %u): only the normalised output is "
            "supported",
            inf->node->op->name, inf->node->origin, i);
    return OXP_OK;
}

/* Outputs that nobody wants still need a shape. */
static oxp_status infer_outputs(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(check_one_output(inf));
    for (uint32_t i = 0; i < inf->node->n_out; i++)
        OXP_TRY(oxp_infer_out(inf, i, OXP_F32, oxp_infer_shape(inf, 0)));
    return OXP_OK;
}

/* v (C) as (1,C,1,...) beside x (N,C,...) */
static oxp_val per_channel(oxp_build *b, oxp_val v, const oxp_shape *x)
{
    oxp_shape s = {.rank = x->rank};
    for (int a = 0; a < x->rank; a++) s.dim[a] = a == 1 ? x->dim[1] : 1;
    return oxp_b_reshape(b, v, &s);
}

static double epsilon_of(const oxp_node *node)
{
    return oxp_attr_float(node, "epsilon", 1e-5);
}

/* ---- BatchNormalization ---- */

static oxp_status batch_norm_infer(oxp_infer *inf)
{
    for (size_t i = 1; i < 5; i++) OXP_TRY(check_per_channel(inf, i));
    return infer_outputs(inf);
}

/* scale / sqrt(var + epsilon), (C) */
static oxp_val batch_norm_factor(oxp_build *b, const oxp_node *node)
{
    const oxp_val var = oxp_b_add(b, node->in[4], oxp_b_scalar(b, epsilon_of(node)));
    return oxp_b_div(b, node->in[1], oxp_b_unary(b, &oxp_op_Sqrt, var));
}

/* y = x s + t, s = scale / sqrt(var + epsilon), t = bias - mean s */
static oxp_status batch_norm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const oxp_val s = batch_norm_factor(b, node);
    const oxp_val t = oxp_b_sub(b, node->in[2], oxp_b_mul(b, node->in[3], s));
    const oxp_val scaled = oxp_b_mul(b, node->in[0], per_channel(b, s, &x));
    out[0] = oxp_b_add(b, scaled, per_channel(b, t, &x));
    return b->status;
}

/* dx = dy s; the parameters are constants of inference */
static oxp_status batch_norm_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    for (size_t i = 1; i < 5; i++)
        OXP_FAIL_IF(b->ctx, g->wants[i], OXP_EUNSUPPORTED,
                    "BatchNormalization '%s': gradients of its parameters are not supported",
                    g->node->origin);
    if (g->wants[0] && g->dy[0] != OXP_NO_VAL) {
        const oxp_shape x = *oxp_b_shape(b, g->node->in[0]);
        g->dx[0] = oxp_b_mul(b, g->dy[0], per_channel(b, batch_norm_factor(b, g->node), &x));
    }
    return b->status;
}

static oxp_status batch_norm_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const int64_t n = oxp_shape_elements(x), channels = x->dim[1];
    int64_t inner = 1;
    for (int a = 2; a < x->rank; a++) inner *= x->dim[a];
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = i / inner % channels;
        const double s = call->in[1][c] / sqrt(call->in[4][c] + epsilon_of(call->node));
        call->out[0][i] = (call->in[0][i] - call->in[3][c]) * s + call->in[2][c];
    }
    return OXP_OK;
}

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
    return infer_outputs(inf);
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
    return infer_outputs(inf);
}

static oxp_val emit_layer_norm(oxp_build *b, oxp_val x, int64_t axis, double epsilon)
{
    return OXP_EMIT1(b, &oxp_op_LayerNormalization, x, OXP_INT("axis", axis),
                     OXP_FLOAT("epsilon", epsilon));
}

/* y = xhat scale + bias:  dx by _LayerNormGrad, dscale = dy xhat, dbias = dy (the driver sums
 * over the leading axes) */
static oxp_status layer_norm_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_node *node = g->node;
    const oxp_val x = node->in[0], dy = g->dy[0];
    if (dy == OXP_NO_VAL) return OXP_OK;
    const int64_t axis = oxp_attr_int(node, "axis", -1);
    if (g->wants[0]) {
        const oxp_val scale = oxp_node_has(node, 1) ? node->in[1] : OXP_NO_VAL;
        const oxp_attr attrs[] = {OXP_INT("axis", axis), OXP_FLOAT("epsilon", epsilon_of(node))};
        g->dx[0] =
            oxp_emit(b, &oxp_op__LayerNormGrad, (const oxp_val[]){x, scale, dy}, 3, attrs, 2);
    }
    if (node->n_in > 1 && g->wants[1])
        g->dx[1] = oxp_b_mul(b, dy, emit_layer_norm(b, x, axis, epsilon_of(node)));
    if (node->n_in > 2 && g->wants[2]) g->dx[2] = dy;
    return b->status;
}

/* Mean and 1 / sqrt(variance + epsilon) of n numbers. */
static void moments(const double *x, int64_t n, double epsilon, double *mean, double *rstd)
{
    double sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *rstd = 1.0 / sqrt(squares / (double)n + epsilon);
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
        moments(x, l.n, epsilon_of(call->node), &mean, &rstd);
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
        moments(x, l.n, epsilon_of(call->node), &mean, &r);
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
    return oxp_lower_layer_norm(lw, l.axis, epsilon_of(node), node->in[0],
                                oxp_node_has(node, 1) ? node->in[1] : OXP_NO_VAL,
                                oxp_node_has(node, 2) ? node->in[2] : OXP_NO_VAL, node->out[0]);
}

static oxp_status layer_norm_grad_lower(oxp_lower *lw, const oxp_node *node)
{
    layer l;
    OXP_TRY(
        read_layer(oxp_lower_ctx(lw), node, oxp_shape_at(oxp_lower_graph(lw), node->in[0]), &l));
    return oxp_lower_layer_norm_grad(lw, l.axis, epsilon_of(node), node->in[0], node->in[1],
                                     node->in[2], node->out[0]);
}

/* xhat and 1 / r as values */
static bool emit_moments(oxp_build *b, const oxp_node *node, layer *l, oxp_val *xhat, oxp_val *std)
{
    if (b->status == OXP_OK) b->status = read_layer(b->ctx, node, oxp_b_shape(b, node->in[0]), l);
    if (b->status != OXP_OK) return false;
    const oxp_val mean = oxp_b_reduce_mean(b, node->in[0], l->axes, l->n_axes, true);
    const oxp_val centred = oxp_b_sub(b, node->in[0], mean);
    const oxp_val square = oxp_b_mul(b, centred, centred);
    const oxp_val var = oxp_b_reduce_mean(b, square, l->axes, l->n_axes, true);
    const oxp_val safe = oxp_b_add(b, var, oxp_b_scalar(b, epsilon_of(node)));
    *std = oxp_b_unary(b, &oxp_op_Sqrt, safe);
    *xhat = oxp_b_div(b, centred, *std);
    return true;
}

static oxp_status layer_norm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    layer l;
    oxp_val y, std;
    if (!emit_moments(b, node, &l, &y, &std)) return b->status;
    if (oxp_node_has(node, 1)) y = oxp_b_mul(b, y, node->in[1]);
    if (oxp_node_has(node, 2)) y = oxp_b_add(b, y, node->in[2]);
    out[0] = y;
    return b->status;
}

static oxp_status layer_norm_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    layer l;
    oxp_val xhat, std, g = node->in[2];
    if (!emit_moments(b, node, &l, &xhat, &std)) return b->status;
    if (oxp_node_has(node, 1)) g = oxp_b_mul(b, g, node->in[1]);
    const oxp_val mean = oxp_b_reduce_mean(b, g, l.axes, l.n_axes, true);
    const oxp_val dot = oxp_b_reduce_mean(b, oxp_b_mul(b, g, xhat), l.axes, l.n_axes, true);
    const oxp_val rest = oxp_b_sub(b, oxp_b_sub(b, g, mean), oxp_b_mul(b, xhat, dot));
    out[0] = oxp_b_div(b, rest, std);
    return b->status;
}

/* ---- InstanceNormalization, _GroupNorm: x (N,C,...), scale (C), bias (C) ---- */

/* 0 when C cannot be divided. */
static int64_t groups_of(const oxp_node *node, const oxp_shape *x)
{
    if (node->op == &oxp_op_InstanceNormalization) return x->dim[1];
    const int64_t groups = oxp_attr_int(node, "groups", 0);
    return groups > 0 && x->dim[1] % groups == 0 ? groups : 0;
}

static oxp_status group_norm_infer(oxp_infer *inf)
{
    OXP_TRY(check_per_channel(inf, 1));
    OXP_TRY(check_per_channel(inf, 2));
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    OXP_FAIL_IF(inf->ctx, x->dim[1] > 0 && groups_of(inf->node, x) == 0, OXP_EINVAL,
                "%s '%s' cannot divide %lld channels into %lld groups", inf->node->op->name,
                inf->node->origin, (long long)x->dim[1],
                (long long)oxp_attr_int(inf->node, "groups", 0));
    return infer_outputs(inf);
}

static oxp_status group_norm_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const int64_t total = oxp_shape_elements(x), channels = x->dim[1];
    if (total == 0) return OXP_OK;
    const int64_t rows = x->dim[0] * groups_of(call->node, x), n = total / rows;
    const int64_t inner = total / (x->dim[0] * channels);
    for (int64_t row = 0; row < rows; row++) {
        double mean, rstd;
        moments(call->in[0] + row * n, n, epsilon_of(call->node), &mean, &rstd);
        for (int64_t i = row * n; i < (row + 1) * n; i++) {
            const int64_t c = i / inner % channels;
            call->out[0][i] = (call->in[0][i] - mean) * rstd * call->in[1][c] + call->in[2][c];
        }
    }
    return OXP_OK;
}

/* Normalise (N, groups, rest) over its last axis, then scale and shift each channel. */
static oxp_status group_norm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const int64_t total = oxp_shape_elements(&x), groups = groups_of(node, &x);
    const int64_t rows = x.dim[0] * groups;
    const oxp_shape folded =
        oxp_shape_of(3, (const int64_t[]){x.dim[0], groups, rows ? total / rows : 0});
    const oxp_val flat = oxp_b_reshape(b, node->in[0], &folded);
    const oxp_val hat = oxp_b_reshape(b, emit_layer_norm(b, flat, 2, epsilon_of(node)), &x);
    const oxp_val scaled = oxp_b_mul(b, hat, per_channel(b, node->in[1], &x));
    out[0] = oxp_b_add(b, scaled, per_channel(b, node->in[2], &x));
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec batch_norm_attrs[] = {
    {"epsilon", OXP_ATTR_FLOAT, NULL}, {"momentum", OXP_ATTR_FLOAT, NULL}, {"training_mode", OXP_ATTR_INT, "0"},
    {"spatial", OXP_ATTR_INT, "1"}, {NULL, 0, NULL}};
static const oxp_attr_spec layer_norm_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {"stash_type", OXP_ATTR_INT, "1"}, {NULL, 0, NULL}};
static const oxp_attr_spec layer_norm_grad_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec epsilon_attr[] = {{"epsilon", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec group_norm_attrs[] = {
    {"groups", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_BatchNormalization = {
    .name = "BatchNormalization", .min_in = 5, .max_in = 5, .min_out = 1, .max_out = 5, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_LINEAR, .attrs = batch_norm_attrs,
    .infer = batch_norm_infer, .grad = batch_norm_grad, .ref = batch_norm_ref, .expand = batch_norm_expand};

const oxp_op oxp_op_LayerNormalization = {
    .name = "LayerNormalization", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 3, .since = 17,
    .flags = OXP_OP_COMPOSITE, .attrs = layer_norm_attrs,
    .infer = layer_norm_infer, .grad = layer_norm_grad, .ref = layer_norm_ref, .lower = layer_norm_lower,
    .expand = layer_norm_expand};

const oxp_op oxp_op__LayerNormGrad = {
    .name = "_LayerNormGrad", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = layer_norm_grad_attrs,
    .infer = layer_norm_grad_infer, .ref = layer_norm_grad_ref, .lower = layer_norm_grad_lower,
    .expand = layer_norm_grad_expand};

const oxp_op oxp_op_InstanceNormalization = {
    .name = "InstanceNormalization", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE, .attrs = epsilon_attr,
    .infer = group_norm_infer, .ref = group_norm_ref, .expand = group_norm_expand};

const oxp_op oxp_op__GroupNorm = {
    .name = "_GroupNorm", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE, .attrs = group_norm_attrs,
    .infer = group_norm_infer, .ref = group_norm_ref, .expand = group_norm_expand};
/* clang-format on */
