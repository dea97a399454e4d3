/* mask.c - operators that decide by position: OneHot, Trilu, EyeLike.
 *
 *   OneHot   y[..., c, ...] = values[1] where c is the index, else values[0]
 *   Trilu    y[i, j] = x[i, j] where j - i >= k (upper) or j - i <= k (lower), else 0
 *   EyeLike  y[i, j] = 1 where j - i = k, else 0: depends on the shape of its input only */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

/* ---- OneHot: depth has become the attribute `depth` ---- */

typedef struct one_hot {
    int axis;
    int64_t depth;
    oxp_shape index, y; /* the indices with a 1 in the new axis; the result */
} one_hot;

static oxp_status read_one_hot(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *indices,
                               one_hot *h)
{
    OXP_NODE_FAIL_IF(ctx, node, indices->rank >= OXP_MAX_RANK, OXP_ELIMIT,
                     "would make a tensor of rank %d, the limit is %d", indices->rank + 1,
                     OXP_MAX_RANK);
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", -1), indices->rank + 1, &h->axis));
    h->depth = oxp_attr_int(node, "depth", -1);
    OXP_NODE_FAIL_IF(ctx, node, h->depth < 0, OXP_EINVAL,
                     "expects a known depth that is not negative, found %lld", (long long)h->depth);
    h->index = (oxp_shape){.rank = indices->rank + 1};
    for (int a = 0; a <= indices->rank; a++)
        h->index.dim[a] = a == h->axis ? 1 : indices->dim[a < h->axis ? a : a - 1];
    h->y = h->index;
    h->y.dim[h->axis] = h->depth;
    return OXP_OK;
}

/* (indices, values): the depth is no input any more */
static oxp_status infer_one_hot(oxp_infer *inf)
{
    one_hot h;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, 0) == OXP_BOOL, OXP_EINVAL,
                     "expects numbers as indices, found %s", oxp_dtype_name(OXP_BOOL));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_shape_elements(oxp_infer_shape(inf, 1)) != 2,
                     OXP_EINVAL, "expects two values, found %lld",
                     (long long)oxp_shape_elements(oxp_infer_shape(inf, 1)));
    OXP_TRY(read_one_hot(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &h));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 1), &h.y);
}

/* Indices below 0 count from the end; those outside mark no cell. */
static oxp_status one_hot_ref(const oxp_call *call)
{
    one_hot h;
    OXP_TRY(read_one_hot(call->ctx, call->node, &call->in_shape[0], &h));
    const int64_t n = oxp_shape_elements(&h.y);
    int64_t idx[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(&h.y, idx)) {
        const double given = trunc(call->in[0][oxp_index_broadcast(&h.index, &h.y, idx)]);
        const double cell = given < 0.0 ? given + (double)h.depth : given;
        const double off = cell - (double)idx[h.axis];
        call->out[0][i] = call->in[1][off >= 0.0 && off <= 0.0];
    }
    return OXP_OK;
}

/* 0, 1, ... n - 1 along the axis of a tensor of the given rank */
static oxp_val cells_along(oxp_build *b, int axis, int rank, int64_t n)
{
    oxp_shape s = {.rank = rank};
    for (int a = 0; a < rank; a++) s.dim[a] = a == axis ? n : 1;
    return oxp_b_reshape(b, oxp_b_count(b, n), &s);
}

static oxp_status one_hot_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    one_hot h;
    const oxp_shape scalar = oxp_shape_of(0, NULL), pair = oxp_shape_of(1, (const int64_t[]){2});
    OXP_TRY(read_one_hot(b->ctx, node, oxp_b_shape(b, node->in[0]), &h));
    oxp_val index = oxp_b_reshape(b, oxp_b_cast(b, node->in[0], OXP_I64), &h.index);
    const oxp_val zero = oxp_b_reshape(b, oxp_b_ints(b, (const int64_t[]){0}, 1), &scalar);
    const oxp_val depth = oxp_b_reshape(b, oxp_b_ints(b, &h.depth, 1), &scalar);
    index = oxp_b_where(b, oxp_b_greater(b, zero, index), oxp_b_add(b, index, depth), index);
    const oxp_val hit = oxp_b_equal(b, index, cells_along(b, h.axis, h.y.rank, h.depth));
    const oxp_val values = oxp_b_reshape(b, node->in[1], &pair);
    const oxp_val on = oxp_b_reshape(b, oxp_b_slice(b, values, 0, 1, 2), &scalar);
    const oxp_val off = oxp_b_reshape(b, oxp_b_slice(b, values, 0, 0, 1), &scalar);
    out[0] = oxp_b_where(b, hit, on, off);
    return b->status;
}

/* ---- Trilu: k has become the attribute `k` ---- */

static oxp_status infer_trilu(oxp_infer *inf)
{
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_shape(inf, 0)->rank < 2, OXP_EINVAL,
                     "expects matrices, found rank %d", oxp_infer_shape(inf, 0)->rank);
    return oxp_infer_same(inf);
}

static bool is_kept(const oxp_node *node, int64_t row, int64_t col)
{
    const int64_t k = oxp_attr_int(node, "k", 0);
    return oxp_attr_int(node, "upper", 1) != 0 ? col - row >= k : col - row <= k;
}

/* Linear: the adjoint keeps the same part. */
static oxp_status trilu_grad(oxp_grad *g)
{
    if (g->wants[0] && g->dy[0] != OXP_NO_VAL)
        g->dx[0] = oxp_emit(g->b, &oxp_op_Trilu, g->dy, 1, g->node->attrs, g->node->n_attrs);
    return g->b->status;
}

static oxp_status trilu_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const int64_t rows = x->dim[x->rank - 2], cols = x->dim[x->rank - 1];
    const int64_t n = oxp_shape_elements(x);
    for (int64_t i = 0; i < n; i++)
        call->out[0][i] = is_kept(call->node, i / cols % rows, i % cols) ? call->in[0][i] : 0.0;
    return OXP_OK;
}

/* Where(the part kept, x, 0) */
static oxp_status trilu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_value *x = oxp_value_of(b->g, node->in[0]);
    const oxp_shape shape = {
        .rank = 2, .dim = {x->shape.dim[x->shape.rank - 2], x->shape.dim[x->shape.rank - 1]}};
    oxp_tensor *kept = OXP_NEW(b->g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(b->ctx, kept);
    OXP_TRY(oxp_tensor_new(b->ctx, b->g->arena, OXP_BOOL, &shape, kept));
    uint8_t *mask = (uint8_t *)(uintptr_t)kept->data;
    for (int64_t i = 0; i < oxp_shape_elements(&shape); i++)
        mask[i] = is_kept(node, i / shape.dim[1], i % shape.dim[1]);
    const oxp_val zero = oxp_b_cast(b, oxp_b_scalar(b, 0.0), x->dtype);
    out[0] = oxp_b_where(b, oxp_b_const(b, OXP_BOOL, kept), node->in[0], zero);
    return b->status;
}

/* ---- EyeLike ---- */

static oxp_status infer_eye(oxp_infer *inf)
{
    const int64_t to = oxp_attr_int(inf->node, "dtype", 0);
    const oxp_dtype dtype = to ? oxp_dtype_of_onnx(to) : oxp_infer_dtype(inf, 0);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, dtype == OXP_DTYPE_NONE, OXP_EUNSUPPORTED,
                     "makes type %lld: only numbers and bool are supported", (long long)to);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_shape(inf, 0)->rank != 2, OXP_EINVAL,
                     "expects a matrix, found rank %d", oxp_infer_shape(inf, 0)->rank);
    return oxp_infer_out(inf, 0, dtype, oxp_infer_shape(inf, 0));
}

static oxp_status eye_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]), cols = call->out_shape[0].dim[1];
    const int64_t k = oxp_attr_int(call->node, "k", 0);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = i % cols - i / cols == k;
    return OXP_OK;
}

/* The type of the values, not that of the indices. */
static oxp_dtype one_hot_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(k);
    return node->n_in > 2 ? in[2] : OXP_DTYPE_NONE;
}

static oxp_dtype eye_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(k);
    return (oxp_dtype)oxp_attr_int(node, "dtype", in[0]);
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec one_hot_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"depth", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_const_in one_hot_const_in[] = {{1, "depth", OXP_ATTR_INT}, {0, NULL, 0}};
static const oxp_attr_spec trilu_attrs[] = {
    {"upper", OXP_ATTR_INT, NULL}, {"k", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_const_in trilu_const_in[] = {{1, "k", OXP_ATTR_INT}, {0, NULL, 0}};
static const oxp_attr_spec eye_attrs[] = {
    {"dtype", OXP_ATTR_INT, NULL}, {"k", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_OneHot = {
    .name = "OneHot", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = 9, .flags = OXP_OP_COMPOSITE,
    .attrs = one_hot_attrs, .const_in = one_hot_const_in, .exact = one_hot_exact, .infer = infer_one_hot,
    .ref = one_hot_ref, .expand = one_hot_expand};

const oxp_op oxp_op_Trilu = {
    .name = "Trilu", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 14,
    .flags = OXP_OP_COMPOSITE | OXP_OP_LINEAR,
    .attrs = trilu_attrs, .const_in = trilu_const_in, .infer = infer_trilu, .grad = trilu_grad, .ref = trilu_ref,
    .expand = trilu_expand};

const oxp_op oxp_op_EyeLike = {
    .name = "EyeLike", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 9,
    .flags = OXP_OP_NOT_DIFFERENTIABLE | OXP_OP_OF_SHAPE, .attrs = eye_attrs, .exact = eye_exact,
    .infer = infer_eye, .ref = eye_ref, .lower = oxp_lower_by_ref};
/* clang-format on */
