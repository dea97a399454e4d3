/* group_norm.c - normalisation over groups of channels and their positions: InstanceNormalization,
 * GroupNormalization, _GroupNorm (what exporters' spellings of it are raised to) and
 * MeanVarianceNormalization; and what all normalisations share.
 *
 * The first three are layer normalisations of a reshaped input (without scale), then scaled.
 * GroupNormalization has one scale and bias per group until opset 20, one per channel since. */
#include "ops/norm.h"

#include <math.h>

/* ---- shared ---- */

oxp_status oxp_norm_check_channels(const oxp_infer *inf, size_t i, int64_t groups)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(inf->ctx, x->rank < 2, OXP_EINVAL,
                "%s '%s' expects (batch, channels, ...), found %s", inf->node->op->name,
                inf->node->origin, oxp_shape_text(x, text));
    OXP_TRY(oxp_infer_float(inf, i));
    const oxp_shape *s = oxp_infer_shape(inf, i);
    const bool fits = s->rank == 1 && (s->dim[0] == x->dim[1] || s->dim[0] == groups);
    OXP_FAIL_IF(inf->ctx, !fits, OXP_EINVAL,
                "%s '%s' expects one number per channel (%lld) as input %zu, found shape %s",
                inf->node->op->name, inf->node->origin, (long long)x->dim[1], i,
                oxp_shape_text(s, text));
    return OXP_OK;
}

oxp_status oxp_norm_infer(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 0));
    for (uint32_t i = 1; i < inf->node->n_out; i++)
        OXP_FAIL_IF(inf->ctx, inf->node->out[i] != OXP_NO_VAL, OXP_EUNSUPPORTED,
                    "%s '%s' is asked for its statistics (output %u): only the normalised output "
                    "is supported",
                    inf->node->op->name, inf->node->origin, i);
    for (uint32_t i = 0; i < inf->node->n_out; i++) /* those that nobody wants need a shape too */
        OXP_TRY(oxp_infer_out(inf, i, OXP_F32, oxp_infer_shape(inf, 0)));
    return OXP_OK;
}

double oxp_norm_epsilon(const oxp_node *node)
{
    return oxp_attr_float(node, "epsilon", 1e-5);
}

oxp_val oxp_norm_across(oxp_build *b, oxp_val v, const oxp_shape *x)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    oxp_shape s = {.rank = x->rank};
    for (int a = 0; a < x->rank; a++) s.dim[a] = a == 1 ? x->dim[1] : 1;
    const int64_t n = oxp_b_shape(b, v)->dim[0];
    if (n != x->dim[1]) {
        const oxp_shape column = oxp_shape_of(2, (const int64_t[]){n, 1});
        const oxp_shape each = oxp_shape_of(2, (const int64_t[]){n, x->dim[1] / n});
        v = oxp_b_expand(b, oxp_b_reshape(b, v, &column), &each);
    }
    return oxp_b_reshape(b, v, &s);
}

oxp_val oxp_norm_emit(oxp_build *b, oxp_val x, int64_t axis, double epsilon)
{
    return OXP_EMIT1(b, &oxp_op_LayerNormalization, x, OXP_INT("axis", axis),
                     OXP_FLOAT("epsilon", epsilon));
}

void oxp_norm_moments(const double *x, int64_t n, double epsilon, double *mean, double *rstd)
{
    double sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *rstd = 1.0 / sqrt(squares / (double)n + epsilon);
}

/* ---- InstanceNormalization, GroupNormalization, _GroupNorm: x (N,C,...), scale, bias ---- */

int64_t oxp_norm_groups(const oxp_node *node, const oxp_shape *x)
{
    if (node->op == &oxp_op_InstanceNormalization) return x->dim[1];
    const bool ours = node->op == &oxp_op__GroupNorm;
    const int64_t groups = oxp_attr_int(node, ours ? "groups" : "num_groups", 0);
    return groups > 0 && x->dim[1] % groups == 0 ? groups : 0;
}

static oxp_status group_norm_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const int64_t groups = x->rank > 1 ? oxp_norm_groups(inf->node, x) : 0;
    OXP_TRY(oxp_norm_check_channels(inf, 1, groups));
    OXP_TRY(oxp_norm_check_channels(inf, 2, groups));
    OXP_FAIL_IF(inf->ctx, x->dim[1] > 0 && groups == 0, OXP_EINVAL,
                "%s '%s' cannot divide %lld channels into its groups", inf->node->op->name,
                inf->node->origin, (long long)x->dim[1]);
    return oxp_norm_infer(inf);
}

static oxp_status group_norm_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const int64_t total = oxp_shape_elements(x), channels = x->dim[1];
    if (total == 0) return OXP_OK;
    const int64_t rows = x->dim[0] * oxp_norm_groups(call->node, x), n = total / rows;
    const int64_t inner = total / (x->dim[0] * channels);
    const int64_t per_scale = channels / call->in_shape[1].dim[0];
    const int64_t per_bias = channels / call->in_shape[2].dim[0];
    for (int64_t row = 0; row < rows; row++) {
        double mean, rstd;
        oxp_norm_moments(call->in[0] + row * n, n, oxp_norm_epsilon(call->node), &mean, &rstd);
        for (int64_t i = row * n; i < (row + 1) * n; i++) {
            const int64_t c = i / inner % channels;
            call->out[0][i] = (call->in[0][i] - mean) * rstd * call->in[1][c / per_scale] +
                              call->in[2][c / per_bias];
        }
    }
    return OXP_OK;
}

/* Normalise (N, groups, rest) over its last axis, then scale and shift each channel. */
static oxp_status group_norm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const int64_t total = oxp_shape_elements(&x), groups = oxp_norm_groups(node, &x);
    const int64_t rows = x.dim[0] * groups;
    const oxp_shape folded =
        oxp_shape_of(3, (const int64_t[]){x.dim[0], groups, rows ? total / rows : 0});
    const oxp_val flat = oxp_b_reshape(b, node->in[0], &folded);
    const oxp_val hat = oxp_b_reshape(b, oxp_norm_emit(b, flat, 2, oxp_norm_epsilon(node)), &x);
    const oxp_val scaled = oxp_b_mul(b, hat, oxp_norm_across(b, node->in[1], &x));
    out[0] = oxp_b_add(b, scaled, oxp_norm_across(b, node->in[2], &x));
    return b->status;
}

/* ---- MeanVarianceNormalization: y = (x - mean) / (sqrt(mean (x - mean)^2) + 1e-9) ---- */

#define MVN_EPSILON 1e-9

static oxp_status read_axes(oxp_ctx *ctx, const oxp_node *node, int rank,
                            int64_t axes[OXP_MAX_RANK], size_t *n)
{
    static const int64_t usual[] = {0, 2, 3};
    const int64_t *given = oxp_attr_ints(node, "axes", n);
    bool seen[OXP_MAX_RANK] = {false};
    if (!given) {
        given = usual;
        *n = OXP_COUNT(usual);
    }
    for (size_t i = 0; i < *n; i++) {
        int a;
        OXP_TRY(oxp_norm_axis(ctx, given[i], rank, &a));
        OXP_NODE_FAIL_IF(ctx, node, seen[a], OXP_EINVAL, "names axis %d twice", a);
        seen[a] = true;
        axes[i] = a;
    }
    return OXP_OK;
}

static oxp_status mvn_infer(oxp_infer *inf)
{
    int64_t axes[OXP_MAX_RANK];
    size_t n;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_axes(inf->ctx, inf->node, oxp_infer_shape(inf, 0)->rank, axes, &n));
    return oxp_infer_same(inf);
}

/* For every cell of what the axes leave, its row of x is walked three times. */
static oxp_status mvn_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    oxp_shape kept = *x, row = *x;
    int64_t axes[OXP_MAX_RANK], stride[OXP_MAX_RANK], at[OXP_MAX_RANK] = {0};
    size_t n;
    OXP_TRY(read_axes(call->ctx, call->node, x->rank, axes, &n));
    if (oxp_shape_elements(x) == 0) return OXP_OK;
    oxp_shape_strides(x, stride);
    for (size_t i = 0; i < n; i++) kept.dim[axes[i]] = 1;
    for (int a = 0; a < x->rank; a++) row.dim[a] = x->dim[a] / kept.dim[a];
    do {
        double mean = 0.0, square = 0.0;
        for (int pass = 0; pass < 3; pass++) {
            int64_t in[OXP_MAX_RANK] = {0};
            do {
                int64_t i = 0;
                for (int a = 0; a < x->rank; a++) i += (at[a] + in[a]) * stride[a];
                const double v = call->in[0][i], share = 1.0 / (double)oxp_shape_elements(&row);
                if (pass == 0) mean += v * share;
                if (pass == 1) square += (v - mean) * (v - mean) * share;
                if (pass == 2) call->out[0][i] = (v - mean) / (sqrt(square) + MVN_EPSILON);
            } while (oxp_index_next(&row, in));
        }
    } while (oxp_index_next(&kept, at));
    return OXP_OK;
}

static oxp_status mvn_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    int64_t axes[OXP_MAX_RANK];
    size_t n;
    const oxp_val x = node->in[0];
    OXP_TRY(read_axes(b->ctx, node, oxp_b_shape(b, x)->rank, axes, &n));
    const oxp_val centred = oxp_b_sub(b, x, oxp_b_reduce_mean(b, x, axes, n, true));
    const oxp_val length = OXP_EMIT1(b, &oxp_op_ReduceL2, centred, OXP_INTS("axes", axes, n),
                                     OXP_INT("keepdims", 1)); /* its derivative at 0 is 0 */
    const double share = (double)oxp_shape_elements(oxp_b_shape(b, length)) /
                         (double)oxp_shape_elements(oxp_b_shape(b, x));
    const oxp_val std = oxp_b_mul(b, length, oxp_b_scalar(b, sqrt(share)));
    out[0] = oxp_b_div(b, centred, oxp_b_add(b, std, oxp_b_scalar(b, MVN_EPSILON)));
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec instance_attrs[] = {{"epsilon", OXP_ATTR_FLOAT, NULL}, END};
static const oxp_attr_spec group_attrs[] = {
    {"num_groups", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, {"stash_type", OXP_ATTR_INT, "1"}, END};
static const oxp_attr_spec own_attrs[] = {{"groups", OXP_ATTR_INT, NULL}, {"epsilon", OXP_ATTR_FLOAT, NULL}, END};
static const oxp_attr_spec mvn_attrs[] = {{"axes", OXP_ATTR_INTS, NULL}, END};

const oxp_op oxp_op_InstanceNormalization = {
    .name = "InstanceNormalization", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE, .attrs = instance_attrs,
    .infer = group_norm_infer, .ref = group_norm_ref, .expand = group_norm_expand};
const oxp_op oxp_op_GroupNormalization = {
    .name = "GroupNormalization", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1, .since = 18,
    .flags = OXP_OP_COMPOSITE, .attrs = group_attrs,
    .infer = group_norm_infer, .ref = group_norm_ref, .expand = group_norm_expand};
const oxp_op oxp_op__GroupNorm = {
    .name = "_GroupNorm", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE, .attrs = own_attrs,
    .infer = group_norm_infer, .ref = group_norm_ref, .expand = group_norm_expand};
const oxp_op oxp_op_MeanVarianceNormalization = {
    .name = "MeanVarianceNormalization", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 9,
    .flags = OXP_OP_COMPOSITE, .attrs = mvn_attrs, .infer = mvn_infer, .ref = mvn_ref, .expand = mvn_expand};
/* clang-format on */
