/* batch_norm.c - BatchNormalization at inference, of cells, and in training mode.
 *
 * At inference it is an affine map per channel: with constant parameters its expansion folds to Mul
 * and Add by two constants, which an optimisation pass moves into a convolution before. In training
 * mode (an operator of its own, so that no rule takes it for linear) the statistics are those of x;
 * deployed models standardise weights with it. */
#include "ops/norm.h"

#include <math.h>

/* ---- BatchNormalization at inference ---- */

static oxp_status batch_norm_infer(oxp_infer *inf)
{
    for (size_t i = 1; i < 5; i++) OXP_TRY(oxp_norm_check_channels(inf, i, 0));
    return oxp_norm_infer(inf);
}

/* scale / sqrt(var + epsilon), (C) */
static oxp_val batch_norm_factor(oxp_build *b, const oxp_node *node)
{
    const oxp_val var = oxp_b_add(b, node->in[4], oxp_b_scalar(b, oxp_norm_epsilon(node)));
    return oxp_b_div(b, node->in[1], oxp_b_unary(b, &oxp_op_Sqrt, var));
}

/* y = x s + t, s = scale / sqrt(var + epsilon), t = bias - mean s */
static oxp_status batch_norm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const oxp_val s = batch_norm_factor(b, node);
    const oxp_val t = oxp_b_sub(b, node->in[2], oxp_b_mul(b, node->in[3], s));
    const oxp_val scaled = oxp_b_mul(b, node->in[0], oxp_norm_across(b, s, &x));
    out[0] = oxp_b_add(b, scaled, oxp_norm_across(b, t, &x));
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
        g->dx[0] = oxp_b_mul(b, g->dy[0], oxp_norm_across(b, batch_norm_factor(b, g->node), &x));
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
        const double s = call->in[1][c] / sqrt(call->in[4][c] + oxp_norm_epsilon(call->node));
        call->out[0][i] = (call->in[0][i] - call->in[3][c]) * s + call->in[2][c];
    }
    return OXP_OK;
}

/* ---- _CellNorm: the same with parameters for every cell of an item, (C,D1,...) ---- */

static oxp_status cell_norm_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    char found[OXP_SHAPE_TEXT], wanted[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, x->rank < 2, OXP_EINVAL,
                     "expects items of channels, found %s", oxp_shape_text(x, found));
    const oxp_shape want = oxp_shape_of(x->rank - 1, x->dim + 1);
    for (size_t i = 1; i < 5; i++) {
        OXP_TRY(oxp_infer_float(inf, i));
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(&want, oxp_infer_shape(inf, i)),
                         OXP_EINVAL, "with spatial 0 expects shape %s as input %zu, found %s",
                         oxp_shape_text(&want, wanted), i,
                         oxp_shape_text(oxp_infer_shape(inf, i), found));
    }
    return oxp_norm_infer(inf);
}

static oxp_status cell_norm_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->in_shape[0]);
    const int64_t cells = oxp_shape_elements(&call->in_shape[1]);
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = i % cells;
        const double std = sqrt(call->in[4][c] + oxp_norm_epsilon(call->node));
        call->out[0][i] = (call->in[0][i] - call->in[3][c]) / std * call->in[1][c] + call->in[2][c];
    }
    return OXP_OK;
}

static oxp_status cell_norm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_val s = batch_norm_factor(b, node);
    const oxp_val t = oxp_b_sub(b, node->in[2], oxp_b_mul(b, node->in[3], s));
    out[0] = oxp_b_add(b, oxp_b_mul(b, node->in[0], s), t);
    return b->status;
}

/* ---- _BatchNormTraining: statistics of x (N,C,...) over all axes but that of channels ---- */

static double momentum_of(const oxp_node *node)
{
    return oxp_attr_float(node, "momentum", (double)0.9F);
}

static oxp_status training_infer(oxp_infer *inf)
{
    for (size_t i = 1; i < 5; i++) OXP_TRY(oxp_norm_check_channels(inf, i, 0));
    OXP_TRY(oxp_infer_float(inf, 0));
    const oxp_shape *x = oxp_infer_shape(inf, 0), each = oxp_shape_of(1, &x->dim[1]);
    for (uint32_t i = 0; i < inf->node->n_out; i++)
        OXP_TRY(oxp_infer_out(inf, i, OXP_F32, i == 0 ? x : &each));
    return OXP_OK;
}

/* old momentum + new (1 - momentum), (C) */
static oxp_val running(oxp_build *b, const oxp_node *node, size_t input, oxp_val current)
{
    const double momentum = momentum_of(node);
    const oxp_val old = oxp_b_mul(b, node->in[input], oxp_b_scalar(b, momentum));
    const oxp_val flat = oxp_b_reshape(b, current, oxp_b_shape(b, node->in[input]));
    return oxp_b_add(b, old, oxp_b_mul(b, flat, oxp_b_scalar(b, 1.0 - momentum)));
}

/* y = (x - mean) / sqrt(var + epsilon) scale + bias */
static oxp_status training_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    int64_t axes[OXP_MAX_RANK];
    size_t n = 0;
    for (int a = 0; a < x.rank; a++)
        if (a != 1) axes[n++] = a;
    const oxp_val mean = oxp_b_reduce_mean(b, node->in[0], axes, n, true);
    const oxp_val centred = oxp_b_sub(b, node->in[0], mean);
    const oxp_val var = oxp_b_reduce_mean(b, oxp_b_mul(b, centred, centred), axes, n, true);
    const oxp_val safe = oxp_b_add(b, var, oxp_b_scalar(b, oxp_norm_epsilon(node)));
    const oxp_val hat = oxp_b_div(b, centred, oxp_b_unary(b, &oxp_op_Sqrt, safe));
    const oxp_val scaled = oxp_b_mul(b, hat, oxp_norm_across(b, node->in[1], &x));
    out[0] = oxp_b_add(b, scaled, oxp_norm_across(b, node->in[2], &x));
    if (node->n_out > 1) out[1] = running(b, node, 3, mean);
    if (node->n_out > 2) out[2] = running(b, node, 4, var);
    return b->status;
}

static oxp_status training_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const int64_t items = x->dim[0], channels = x->dim[1];
    const double momentum = momentum_of(call->node);
    int64_t inner = 1;
    for (int a = 2; a < x->rank; a++) inner *= x->dim[a];
    for (int64_t c = 0; c < channels; c++) {
        const double share = 1.0 / (double)(items * inner);
        double mean = 0.0, var = 0.0;
        for (int pass = 0; pass < 3; pass++) {
            const double s = call->in[1][c] / sqrt(var + oxp_norm_epsilon(call->node));
            for (int64_t i = 0; i < items * inner; i++) {
                const int64_t at = (i / inner * channels + c) * inner + i % inner;
                const double v = call->in[0][at];
                if (pass == 0) mean += v * share;
                if (pass == 1) var += (v - mean) * (v - mean) * share;
                if (pass == 2) call->out[0][at] = (v - mean) * s + call->in[2][c];
            }
        }
        if (call->node->n_out > 1 && call->out[1])
            call->out[1][c] = call->in[3][c] * momentum + mean * (1.0 - momentum);
        if (call->node->n_out > 2 && call->out[2])
            call->out[2][c] = call->in[4][c] * momentum + var * (1.0 - momentum);
    }
    return OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec batch_norm_attrs[] = {
    {"epsilon", OXP_ATTR_FLOAT, NULL}, {"momentum", OXP_ATTR_FLOAT, NULL}, {"training_mode", OXP_ATTR_INT, "0,1"},
    {NULL, 0, NULL}};
static const oxp_attr_spec training_attrs[] = {
    {"epsilon", OXP_ATTR_FLOAT, NULL}, {"momentum", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_BatchNormalization = {
    .name = "BatchNormalization", .min_in = 5, .max_in = 5, .min_out = 1, .max_out = 5, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_LINEAR, .attrs = batch_norm_attrs,
    .infer = batch_norm_infer, .grad = batch_norm_grad, .ref = batch_norm_ref, .expand = batch_norm_expand};

const oxp_op oxp_op__CellNorm = {
    .name = "_CellNorm", .min_in = 5, .max_in = 5, .min_out = 1, .max_out = 5,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE | OXP_OP_OPEN | OXP_OP_LINEAR, .attrs = batch_norm_attrs,
    .infer = cell_norm_infer, .ref = cell_norm_ref, .expand = cell_norm_expand};

const oxp_op oxp_op__BatchNormTraining = {
    .name = "_BatchNormTraining", .min_in = 5, .max_in = 5, .min_out = 1, .max_out = 3,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = training_attrs,
    .infer = training_infer, .ref = training_ref, .expand = training_expand};
/* clang-format on */
