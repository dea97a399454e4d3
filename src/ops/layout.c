/* layout.c - operators that rename axes or repeat elements: Reshape, Flatten, Squeeze, Unsqueeze,
 * Transpose, Expand; and Identity, Dropout, Shape, Size.
 *
 * The fast executor turns all of them into views: strides are permuted, split, joined or set to 0.
 * Only a Reshape that no strides can express (channels-last to flat) copies its operand to rows
 * first. Dropout is that of inference: the identity. */
#include "ops/layout.h"

#include "ops/infer.h"
#include <string.h>

oxp_layout oxp_layout_of(oxp_lower *lw, oxp_val v)
{
    const int rank = oxp_shape_at(oxp_lower_graph(lw), v)->rank;
    if (rank < 3 || !oxp_lower_is(lw, v, OXP_LAYOUT_CHANNELS_LAST)) return OXP_LAYOUT_ROWS;
    return rank > 3 || !oxp_lower_is(lw, v, OXP_LAYOUT_ROWS) ? OXP_LAYOUT_CHANNELS_LAST
                                                             : OXP_LAYOUT_ROWS;
}

/* Walks both shapes from the left in groups of axes with the same product; a group can be regrouped
 * when its old axes are dense among themselves. */
bool oxp_place_reshape(const oxp_shape *from, const oxp_place *at, const oxp_shape *to,
                       oxp_place *out)
{
    oxp_shape old = {0};
    int64_t stride[OXP_MAX_RANK];
    *out = (oxp_place){.offset = at->offset};
    if (oxp_shape_elements(from) == 0) return true;
    for (int a = 0; a < from->rank; a++) {
        if (from->dim[a] == 1) continue;
        stride[old.rank] = at->stride[a];
        old.dim[old.rank++] = from->dim[a];
    }
    int i = 0, j = 0;
    while (i < old.rank) {
        int i_end = i + 1, j_end = j + 1;
        int64_t have = old.dim[i], want = to->dim[j];
        while (have != want) {
            if (have < want)
                have *= old.dim[i_end++];
            else
                want *= to->dim[j_end++];
        }
        for (int a = i; a + 1 < i_end; a++)
            if (stride[a] != old.dim[a + 1] * stride[a + 1]) return false;
        int64_t step = stride[i_end - 1];
        for (int a = j_end - 1; a >= j; a--) {
            out->stride[a] = step;
            step *= to->dim[a];
        }
        i = i_end;
        j = j_end;
    }
    return true; /* trailing axes of size 1 keep stride 0 */
}

void oxp_ref_copy(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    if (n) memcpy(call->out[0], call->in[0], (size_t)n * sizeof(double));
}

/* ---- the Reshape family: infer ---- */

static oxp_status infer_reshaped(oxp_infer *inf, const oxp_shape *y)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    int64_t n;
    char xs[OXP_SHAPE_TEXT], ys[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_count(y, &n) || n != oxp_shape_elements(x),
                     OXP_EINVAL, "cannot reshape %s to %s", oxp_shape_text(x, xs),
                     oxp_shape_text(y, ys));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), y);
}

static oxp_status need_ints(const oxp_infer *inf, const char *name, size_t max, const int64_t **v,
                            size_t *n)
{
    *v = oxp_attr_ints(inf->node, name, n);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_attr_find(inf->node, name) || *n > max, OXP_EINVAL,
                     "has no %s of at most %zu numbers", name, max);
    return OXP_OK;
}

/* 0 takes the axis of the input (unless allowzero), one -1 takes what is left. */
static oxp_status infer_reshape(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const int64_t *dims;
    size_t n;
    OXP_TRY(need_ints(inf, "shape", OXP_MAX_RANK, &dims, &n));
    const bool allow_zero = oxp_attr_int(inf->node, "allowzero", 0) != 0;
    oxp_shape y = oxp_shape_of((int)n, dims), rest = y;
    int free_axis = -1;
    for (int a = 0; a < y.rank; a++) {
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         y.dim[a] < -1 || (y.dim[a] == -1 && free_axis >= 0) ||
                             (y.dim[a] == 0 && !allow_zero && a >= x->rank),
                         OXP_EINVAL, "asks for size %lld on axis %d", (long long)y.dim[a], a);
        if (y.dim[a] == 0 && !allow_zero) y.dim[a] = x->dim[a];
        if (y.dim[a] == -1) free_axis = a;
        rest.dim[a] = y.dim[a] == -1 ? 1 : y.dim[a];
    }
    if (free_axis >= 0) {
        int64_t taken;
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_count(&rest, &taken) || taken == 0,
                         OXP_EINVAL, "cannot tell the size of axis %d", free_axis);
        y.dim[free_axis] = oxp_shape_elements(x) / taken;
    }
    return infer_reshaped(inf, &y);
}

/* (product of the axes before `axis`, product of the rest); axis may be the rank. */
static oxp_status infer_flatten(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    int64_t axis = oxp_attr_int(inf->node, "axis", 1);
    if (axis < 0) axis += x->rank;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, axis < 0 || axis > x->rank, OXP_EINVAL,
                     "has axis %lld of an input of rank %d", (long long)axis, x->rank);
    oxp_shape y = {.rank = 2, .dim = {1, 1}};
    for (int a = 0; a < x->rank; a++) y.dim[a >= axis] *= x->dim[a];
    return infer_reshaped(inf, &y);
}

/* The axes attribute as a set, counted over `rank`; the same axis twice is refused. */
static oxp_status axis_set(const oxp_infer *inf, int rank, bool set[OXP_MAX_RANK], size_t *n)
{
    const int64_t *axes;
    OXP_TRY(need_ints(inf, "axes", (size_t)rank, &axes, n));
    for (size_t i = 0; i < *n; i++) {
        int a;
        OXP_TRY(oxp_norm_axis(inf->ctx, axes[i], rank, &a));
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, set[a], OXP_EINVAL, "names axis %d twice", a);
        set[a] = true;
    }
    return OXP_OK;
}

/* Without axes every axis of size 1 goes. */
static oxp_status infer_squeeze(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const bool all = !oxp_attr_find(inf->node, "axes");
    bool gone[OXP_MAX_RANK] = {false};
    size_t n;
    if (!all) OXP_TRY(axis_set(inf, x->rank, gone, &n));
    oxp_shape y = {0};
    for (int a = 0; a < x->rank; a++) {
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, gone[a] && x->dim[a] != 1, OXP_EINVAL,
                         "removes axis %d of size %lld", a, (long long)x->dim[a]);
        if (!gone[a] && !(all && x->dim[a] == 1)) y.dim[y.rank++] = x->dim[a];
    }
    return infer_reshaped(inf, &y);
}

static oxp_status infer_unsqueeze(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const int64_t *axes;
    bool added[OXP_MAX_RANK] = {false};
    size_t n;
    OXP_TRY(need_ints(inf, "axes", (size_t)(OXP_MAX_RANK - x->rank), &axes, &n));
    oxp_shape y = {.rank = x->rank + (int)n};
    OXP_TRY(axis_set(inf, y.rank, added, &n));
    for (int a = 0, from = 0; a < y.rank; a++) y.dim[a] = added[a] ? 1 : x->dim[from++];
    return infer_reshaped(inf, &y);
}

/* ---- the Reshape family: grad, ref, lower ---- */

/* dx = dy in x's shape */
static oxp_status grad_reshape(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    g->dx[0] = oxp_b_reshape(g->b, g->dy[0], &x);
    return g->b->status;
}

static oxp_status ref_same(const oxp_call *call)
{
    oxp_ref_copy(call);
    return OXP_OK;
}

/* Axes into which those of both shapes can be split; false when there are none, or too many. */
static bool refine(const oxp_shape *from, const oxp_shape *to, oxp_shape *out)
{
    int i = 0, j = 0;
    int64_t a = 1, b = 1; /* what is left of axis i - 1 of one, j - 1 of the other */
    *out = (oxp_shape){0};
    for (;;) {
        while (a == 1 && i < from->rank) a = from->dim[i++];
        while (b == 1 && j < to->rank) b = to->dim[j++];
        if (a == 1 && b == 1) return true;
        const int64_t part = a < b ? a : b;
        if (part == 0 || a % part != 0 || b % part != 0 || out->rank == OXP_MAX_RANK) return false;
        out->dim[out->rank++] = part;
        a /= part;
        b /= part;
    }
}

/* What no view can say but a channels-last reader wants: one copy, straight to where it goes. */
static oxp_status copy_reshaped(oxp_lower *lw, oxp_val x, oxp_val y, const oxp_shape *axes)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    oxp_part from = {.val = x, .rank = axes->rank}, to = {.val = y, .rank = axes->rank};
    OXP_TRY(oxp_lower_result(lw, y, OXP_LAYOUT_CHANNELS_LAST));
    oxp_place_reshape(oxp_shape_at(g, x), oxp_lower_place(lw, x), axes, &from.place);
    oxp_place_reshape(oxp_shape_at(g, y), oxp_lower_place(lw, y), axes, &to.place);
    memcpy(from.dim, axes->dim, sizeof from.dim);
    memcpy(to.dim, axes->dim, sizeof to.dim);
    return oxp_lower_copy(lw, &from, &to);
}

static oxp_status lower_reshape(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_shape *from = oxp_shape_at(g, node->in[0]), *to = oxp_shape_at(g, node->out[0]);
    oxp_val x = node->in[0];
    oxp_shape axes;
    oxp_place place;
    if (oxp_lower_wants_channels_last(lw, node->out[0]) &&
        !oxp_place_reshape(from, oxp_lower_place(lw, x), to, &place) && refine(from, to, &axes))
        return copy_reshaped(lw, x, node->out[0], &axes);
    if (!oxp_place_reshape(from, oxp_lower_place(lw, x), to, &place)) {
        OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_ROWS, &x));
        OXP_NODE_FAIL_IF(oxp_lower_ctx(lw), node,
                         !oxp_place_reshape(from, oxp_lower_place(lw, x), to, &place),
                         OXP_EINTERNAL, "has an operand that is not dense in %s", "rows");
    }
    return oxp_lower_alias(lw, node->out[0], x, &place);
}

/* ---- Transpose ---- */

static oxp_status read_perm(oxp_ctx *ctx, const oxp_node *node, int rank,
                            int64_t perm[OXP_MAX_RANK])
{
    size_t n;
    const int64_t *given = oxp_attr_ints(node, "perm", &n);
    bool seen[OXP_MAX_RANK] = {false};
    OXP_NODE_FAIL_IF(ctx, node, given && n != (size_t)rank, OXP_EINVAL, "permutes %zu axes of %d",
                     n, rank);
    for (int a = 0; a < rank; a++) {
        perm[a] = given ? given[a] : rank - 1 - a;
        OXP_NODE_FAIL_IF(ctx, node, perm[a] < 0 || perm[a] >= rank || seen[perm[a]], OXP_EINVAL,
                         "has a perm that is no permutation at position %d", a);
        seen[perm[a]] = true;
    }
    return OXP_OK;
}

static oxp_status infer_transpose(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    int64_t perm[OXP_MAX_RANK];
    OXP_TRY(read_perm(inf->ctx, inf->node, x->rank, perm));
    oxp_shape y = {.rank = x->rank};
    for (int a = 0; a < y.rank; a++) y.dim[a] = x->dim[perm[a]];
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

/* dx = Transpose(dy, inverse perm) */
static oxp_status grad_transpose(oxp_grad *g)
{
    const int rank = oxp_b_shape(g->b, g->node->in[0])->rank;
    int64_t perm[OXP_MAX_RANK], inverse[OXP_MAX_RANK] = {0};
    OXP_TRY(read_perm(g->b->ctx, g->node, rank, perm));
    for (int a = 0; a < rank; a++) inverse[perm[a]] = a;
    g->dx[0] = oxp_b_transpose(g->b, g->dy[0], inverse);
    return g->b->status;
}

static oxp_status ref_transpose(const oxp_call *call)
{
    const oxp_shape *y = &call->out_shape[0];
    int64_t perm[OXP_MAX_RANK], stride[OXP_MAX_RANK], at[OXP_MAX_RANK] = {0}, o = 0;
    OXP_TRY(read_perm(call->ctx, call->node, y->rank, perm));
    oxp_shape_strides(&call->in_shape[0], stride);
    if (oxp_shape_elements(y) == 0) return OXP_OK;
    do {
        int64_t i = 0;
        for (int a = 0; a < y->rank; a++) i += at[a] * stride[perm[a]];
        call->out[0][o++] = call->in[0][i];
    } while (oxp_index_next(y, at));
    return OXP_OK;
}

static oxp_status lower_transpose(oxp_lower *lw, const oxp_node *node)
{
    const int rank = oxp_shape_at(oxp_lower_graph(lw), node->in[0])->rank;
    int64_t perm[OXP_MAX_RANK];
    OXP_TRY(read_perm(oxp_lower_ctx(lw), node, rank, perm));
    const oxp_place *from = oxp_lower_place(lw, node->in[0]);
    oxp_place place = {.offset = from->offset};
    for (int a = 0; a < rank; a++) place.stride[a] = from->stride[perm[a]];
    return oxp_lower_alias(lw, node->out[0], node->in[0], &place);
}

/* ---- Expand ---- */

static oxp_status infer_expand(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const int64_t *dims;
    size_t n;
    char xs[OXP_SHAPE_TEXT], ws[OXP_SHAPE_TEXT];
    OXP_TRY(need_ints(inf, "shape", OXP_MAX_RANK, &dims, &n));
    const oxp_shape want = oxp_shape_of((int)n, dims);
    oxp_shape y;
    int64_t count;
    OXP_NODE_FAIL_IF(
        inf->ctx, inf->node, !oxp_shape_count(&want, &count) || !oxp_shape_broadcast(x, &want, &y),
        OXP_EINVAL, "cannot broadcast %s to %s", oxp_shape_text(x, xs), oxp_shape_text(&want, ws));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

/* dx = dy; the driver sums over the broadcast axes */
static oxp_status grad_pass(oxp_grad *g)
{
    g->dx[0] = g->dy[0];
    return OXP_OK;
}

static oxp_status ref_expand(const oxp_call *call)
{
    const oxp_shape *y = &call->out_shape[0];
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    if (oxp_shape_elements(y) == 0) return OXP_OK;
    do call->out[0][o++] = call->in[0][oxp_index_broadcast(&call->in_shape[0], y, at)];
    while (oxp_index_next(y, at));
    return OXP_OK;
}

static oxp_status lower_expand(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_shape *x = oxp_shape_at(g, node->in[0]), *y = oxp_shape_at(g, node->out[0]);
    const oxp_place *from = oxp_lower_place(lw, node->in[0]);
    const int lead = y->rank - x->rank;
    oxp_place place = {.offset = from->offset};
    for (int a = lead; a < y->rank; a++)
        place.stride[a] = x->dim[a - lead] == 1 ? 0 : from->stride[a - lead];
    return oxp_lower_alias(lw, node->out[0], node->in[0], &place);
}

/* ---- Identity, Dropout ---- */

static oxp_status infer_dropout(oxp_infer *inf)
{
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_attr_int(inf->node, "training_mode", 0) != 0,
                     OXP_EUNSUPPORTED, "has training_mode %d; only inference can be explained", 1);
    OXP_TRY(oxp_infer_same(inf));
    return inf->node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_BOOL, oxp_infer_shape(inf, 0)) : OXP_OK;
}

static oxp_status ref_dropout(const oxp_call *call)
{
    oxp_ref_copy(call);
    if (call->node->n_out < 2 || !call->out[1]) return OXP_OK;
    const int64_t n = oxp_shape_elements(&call->out_shape[1]);
    for (int64_t i = 0; i < n; i++) call->out[1][i] = 1;
    return OXP_OK;
}

static oxp_status lower_identity(oxp_lower *lw, const oxp_node *node)
{
    const oxp_place place = *oxp_lower_place(lw, node->in[0]);
    OXP_TRY(oxp_lower_alias(lw, node->out[0], node->in[0], &place));
    if (node->n_out < 2 || node->out[1] == OXP_NO_VAL) return OXP_OK;
    OXP_TRY(oxp_lower_result(lw, node->out[1], OXP_LAYOUT_ROWS));
    return oxp_lower_fill(lw, node->out[1], 1);
}

/* ---- Shape, Size: depend on the shape of their input only ---- */

/* [start, end) clamped to [0, rank], negative ones counted from the end */
static void shape_range(const oxp_node *node, int rank, int *from, int *to)
{
    int64_t start = oxp_attr_int(node, "start", 0), end = oxp_attr_int(node, "end", rank);
    if (start < 0) start += rank;
    if (end < 0) end += rank;
    *from = (int)(start < 0 ? 0 : start > rank ? rank : start);
    *to = (int)(end < *from ? *from : end > rank ? rank : end);
}

static oxp_status infer_shape(oxp_infer *inf)
{
    int from, to;
    shape_range(inf->node, oxp_infer_shape(inf, 0)->rank, &from, &to);
    return oxp_infer_out(inf, 0, OXP_I64, &(oxp_shape){.rank = 1, .dim = {to - from}});
}

static oxp_status ref_shape(const oxp_call *call)
{
    int from, to;
    shape_range(call->node, call->in_shape[0].rank, &from, &to);
    for (int a = from; a < to; a++) call->out[0][a - from] = (double)call->in_shape[0].dim[a];
    return OXP_OK;
}

static oxp_status infer_size(oxp_infer *inf)
{
    return oxp_infer_out(inf, 0, OXP_I64, &(oxp_shape){.rank = 0});
}

static oxp_status ref_size(const oxp_call *call)
{
    call->out[0][0] = (double)oxp_shape_elements(&call->in_shape[0]);
    return OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
#define NO_MORE {0, NULL, OXP_ATTR_INT}
#define ONE_IN_ONE_OUT .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1
/* The second input becomes an attribute. */
#define WITH_SETTING .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1
#define RESHAPED                                                                                   \
    .flags = OXP_OP_SHAPE_ONLY, .grad = grad_reshape, .ref = ref_same, .lower = lower_reshape
static const oxp_attr_spec reshape_attrs[] = {
    {"shape", OXP_ATTR_INTS, NULL}, {"allowzero", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec flatten_attrs[] = {{"axis", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec axes_attrs[] = {{"axes", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec transpose_attrs[] = {{"perm", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec expand_attrs[] = {{"shape", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec dropout_attrs[] = {
    {"ratio", OXP_ATTR_FLOAT, NULL}, {"seed", OXP_ATTR_INT, NULL},
    {"training_mode", OXP_ATTR_INT, "0"}, END};
static const oxp_attr_spec shape_attrs[] = {
    {"start", OXP_ATTR_INT, NULL}, {"end", OXP_ATTR_INT, NULL}, END};
static const oxp_const_in shape_in[] = {{1, "shape", OXP_ATTR_INTS}, NO_MORE};
static const oxp_const_in axes_in[] = {{1, "axes", OXP_ATTR_INTS}, NO_MORE};
static const oxp_const_in dropout_in[] = {
    {2, "training_mode", OXP_ATTR_INT}, NO_MORE}; /* the ratio, input 1, means nothing here */

const oxp_op oxp_op_Reshape = {
    .name = "Reshape", WITH_SETTING, .since = 1, RESHAPED, .attrs = reshape_attrs,
    .const_in = shape_in, .infer = infer_reshape};
const oxp_op oxp_op_Flatten = {
    .name = "Flatten", ONE_IN_ONE_OUT, .since = 1, RESHAPED, .attrs = flatten_attrs,
    .infer = infer_flatten};
const oxp_op oxp_op_Squeeze = {
    .name = "Squeeze", WITH_SETTING, .since = 1, RESHAPED, .attrs = axes_attrs, .const_in = axes_in,
    .infer = infer_squeeze};
const oxp_op oxp_op_Unsqueeze = {
    .name = "Unsqueeze", WITH_SETTING, .since = 1, RESHAPED, .attrs = axes_attrs,
    .const_in = axes_in, .infer = infer_unsqueeze};
const oxp_op oxp_op_Transpose = {
    .name = "Transpose", ONE_IN_ONE_OUT, .since = 1, .flags = OXP_OP_SHAPE_ONLY,
    .attrs = transpose_attrs, .infer = infer_transpose, .grad = grad_transpose,
    .ref = ref_transpose, .lower = lower_transpose};
const oxp_op oxp_op_Expand = {
    .name = "Expand", WITH_SETTING, .since = 8, .flags = OXP_OP_SHAPE_ONLY, .attrs = expand_attrs,
    .const_in = shape_in, .infer = infer_expand, .grad = grad_pass, .ref = ref_expand,
    .lower = lower_expand};
const oxp_op oxp_op_Identity = {
    .name = "Identity", ONE_IN_ONE_OUT, .since = 1, .flags = OXP_OP_IDENTITY,
    .infer = oxp_infer_same, .grad = grad_pass, .ref = ref_same, .lower = lower_identity};
const oxp_op oxp_op_Dropout = {
    .name = "Dropout", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 2, .since = 1,
    .flags = OXP_OP_IDENTITY, .attrs = dropout_attrs, .const_in = dropout_in,
    .infer = infer_dropout, .grad = grad_pass, .ref = ref_dropout, .lower = lower_identity};
const oxp_op oxp_op_Shape = {
    .name = "Shape", ONE_IN_ONE_OUT, .since = 1,
    .flags = OXP_OP_NOT_DIFFERENTIABLE | OXP_OP_OF_SHAPE,
    .attrs = shape_attrs, .exact = oxp_exact_int64, .infer = infer_shape, .ref = ref_shape,
    .lower = oxp_lower_by_ref};
const oxp_op oxp_op_Size = {
    .name = "Size", ONE_IN_ONE_OUT, .since = 1,
    .flags = OXP_OP_NOT_DIFFERENTIABLE | OXP_OP_OF_SHAPE,
    .exact = oxp_exact_int64, .infer = infer_size, .ref = ref_size, .lower = oxp_lower_by_ref};
/* clang-format on */
