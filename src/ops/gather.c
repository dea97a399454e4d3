/* gather.c - Gather and its adjoint. The index is any integer tensor, also one computed at run
 * time; an index outside the axis is an error of the run, never an access. A constant scalar index
 * (a class token, one time step) is a view, and its adjoint a Pad.
 *
 *   y[before, j..., after] = x[before, index[j...], after]; negative indices count from the end */
#include "ops/infer.h"
#include "ops/lower.h"
#include "ops/slice.h"
#include <string.h>

/* ---- geometry ---- */

typedef struct gathering {
    int axis;
    int64_t before, dim, after; /* x as (before, dim, after) */
    oxp_shape y;
} gathering;

static oxp_status read_gather(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                              const oxp_shape *index, gathering *g)
{
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", 0), x->rank, &g->axis));
    OXP_NODE_FAIL_IF(ctx, node, x->rank - 1 + index->rank > OXP_MAX_RANK, OXP_ELIMIT,
                     "would make a tensor of rank %d, the limit is %d", x->rank - 1 + index->rank,
                     OXP_MAX_RANK);
    g->before = g->after = 1;
    g->dim = x->dim[g->axis];
    g->y = (oxp_shape){.rank = 0};
    for (int a = 0; a < x->rank; a++) {
        if (a == g->axis)
            for (int i = 0; i < index->rank; i++) g->y.dim[g->y.rank++] = index->dim[i];
        else
            g->y.dim[g->y.rank++] = x->dim[a];
        if (a != g->axis) *(a < g->axis ? &g->before : &g->after) *= x->dim[a];
    }
    return OXP_OK;
}

/* The constant scalar index behind v, in [0, dim); -1 when it is none. */
static int64_t fixed_index(const oxp_graph *g, oxp_val v, int64_t dim)
{
    const oxp_value *value = oxp_value_of(g, v);
    if (value->kind != OXP_VALUE_CONST || value->shape.rank != 0) return -1;
    const int64_t i = oxp_tensor_get_int(value->constant, 0);
    return i < -dim || i >= dim ? -1 : i < 0 ? i + dim : i;
}

/* ---- infer ---- */

static oxp_status need_integer_index(const oxp_infer *inf)
{
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, 1) != OXP_I64, OXP_EINVAL,
                     "expects integers as index, found %s",
                     oxp_dtype_name(oxp_infer_dtype(inf, 1)));
    return OXP_OK;
}

static oxp_status infer_gather(oxp_infer *inf)
{
    gathering g;
    OXP_TRY(need_integer_index(inf));
    OXP_TRY(read_gather(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &g));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &g.y);
}

static oxp_status infer_gather_grad(oxp_infer *inf)
{
    gathering g;
    OXP_TRY(need_integer_index(inf));
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    OXP_TRY(read_gather(inf->ctx, inf->node, &inf->shape[0], oxp_infer_shape(inf, 1), &g));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(oxp_infer_shape(inf, 0), &g.y),
                     OXP_EINTERNAL, "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

/* ---- grad ---- */

/* dx = _GatherGrad(dy, index);  for a constant scalar index i: dy padded by i and dim - 1 - i along
 * the axis */
static oxp_status grad_gather(oxp_grad *g)
{
    const oxp_val index = g->node->in[1];
    oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    gathering at;
    OXP_TRY(read_gather(g->b->ctx, g->node, &x, oxp_b_shape(g->b, index), &at));
    const int64_t i = fixed_index(g->b->g, index, at.dim);
    if (i >= 0) {
        x.dim[at.axis] = 1;
        g->dx[0] =
            oxp_b_pad_zero(g->b, oxp_b_reshape(g->b, g->dy[0], &x), at.axis, i, at.dim - 1 - i);
        return g->b->status;
    }
    g->dx[0] = oxp_emit(g->b, &oxp_op__GatherGrad, (const oxp_val[]){g->dy[0], index}, 2,
                        (const oxp_attr[]){OXP_INT("axis", at.axis),
                                           OXP_INTS("input_shape", x.dim, (size_t)x.rank)},
                        2);
    return g->b->status;
}

/* Linear in dy: the adjoint of the adjoint is Gather. */
static oxp_status grad_gather_grad(oxp_grad *g)
{
    g->dx[0] = oxp_emit(g->b, &oxp_op_Gather, (const oxp_val[]){g->dy[0], g->node->in[1]}, 2,
                        (const oxp_attr[]){OXP_INT("axis", oxp_attr_int(g->node, "axis", 0))}, 1);
    return g->b->status;
}

/* ---- ref ---- */

/* Rows of `after` numbers: y = x, or back: x += y. */
static oxp_status move_rows(const oxp_call *call, const gathering *g, bool back)
{
    const int64_t n = oxp_shape_elements(&call->in_shape[1]);
    for (int64_t b = 0; b < g->before; b++)
        for (int64_t j = 0; j < n; j++) {
            const double i = call->in[1][j] < 0 ? call->in[1][j] + (double)g->dim : call->in[1][j];
            OXP_NODE_FAIL_IF(call->ctx, call->node, !(i >= 0 && i < (double)g->dim), OXP_EINVAL,
                             "is given index %.0f for an axis of %lld cells", call->in[1][j],
                             (long long)g->dim);
            const int64_t x = (b * g->dim + (int64_t)i) * g->after, y = (b * n + j) * g->after;
            for (int64_t k = 0; k < g->after; k++) {
                if (back)
                    call->out[0][x + k] += call->in[0][y + k];
                else
                    call->out[0][y + k] = call->in[0][x + k];
            }
        }
    return OXP_OK;
}

static oxp_status ref_gather(const oxp_call *call)
{
    gathering g;
    OXP_TRY(read_gather(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1], &g));
    return move_rows(call, &g, false);
}

static oxp_status ref_gather_grad(const oxp_call *call)
{
    gathering g;
    OXP_TRY(read_gather(call->ctx, call->node, &call->out_shape[0], &call->in_shape[1], &g));
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    return move_rows(call, &g, true);
}

/* ---- lower ---- */

static oxp_status lower_gather(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *graph = oxp_lower_graph(lw);
    oxp_val x = node->in[0], index = node->in[1];
    gathering g;
    OXP_TRY(read_gather(oxp_lower_ctx(lw), node, oxp_shape_at(graph, x), oxp_shape_at(graph, index),
                        &g));
    const int64_t i = fixed_index(graph, index, g.dim);
    if (i >= 0) { /* the axis disappears */
        oxp_part part = oxp_lower_whole(lw, x);
        oxp_part_narrow(&part, g.axis, i, 1, 1);
        memmove(&part.place.stride[g.axis], &part.place.stride[g.axis + 1],
                (size_t)(part.rank - 1 - g.axis) * sizeof(int64_t));
        return oxp_lower_alias(lw, node->out[0], x, &part.place);
    }
    if (oxp_value_of(graph, x)->dtype != OXP_F32) return oxp_lower_by_ref(lw, node);
    OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_ROWS, &x));
    OXP_TRY(oxp_lower_operand(lw, index, OXP_LAYOUT_ROWS, &index));
    OXP_TRY(oxp_lower_result(lw, node->out[0], OXP_LAYOUT_ROWS));
    return oxp_lower_gather(lw, x, index, g.axis, node->out[0]);
}

static oxp_status lower_gather_grad(oxp_lower *lw, const oxp_node *node)
{
    oxp_val dy, index;
    OXP_TRY(oxp_lower_operand(lw, node->in[0], OXP_LAYOUT_ROWS, &dy));
    OXP_TRY(oxp_lower_operand(lw, node->in[1], OXP_LAYOUT_ROWS, &index));
    OXP_TRY(oxp_lower_result(lw, node->out[0], OXP_LAYOUT_ROWS));
    return oxp_lower_gather_grad(lw, dy, index, (int)oxp_attr_int(node, "axis", 0), node->out[0]);
}

/* ---- expand ---- */

/* dx = H dy, H (dim, n) the one-hot matrix H[i][j] = (index[j] = i), dy as (before, n, after) */
static oxp_status expand_gather_grad(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = oxp_node_shape(node, "input_shape"), is = *oxp_b_shape(b, node->in[1]);
    gathering g;
    OXP_TRY(read_gather(b->ctx, node, &x, &is, &g));
    const int64_t n = oxp_shape_elements(&is);
    const oxp_val rows =
        oxp_b_reshape(b, oxp_b_count(b, g.dim), &(oxp_shape){.rank = 2, .dim = {g.dim, 1}});
    const oxp_val index = oxp_b_reshape(b, node->in[1], &(oxp_shape){.rank = 2, .dim = {1, n}});
    const oxp_val shifted = oxp_b_add(b, index, oxp_b_ints(b, &g.dim, 1));
    const oxp_val below = oxp_b_greater(b, oxp_b_ints(b, (const int64_t[]){0}, 1), index);
    const oxp_val hit = oxp_b_equal(b, oxp_b_where(b, below, shifted, index), rows);
    const oxp_shape three = {.rank = 3, .dim = {g.before, n, g.after}};
    out[0] = oxp_b_matmul(b, oxp_b_cast(b, hit, OXP_F32), oxp_b_reshape(b, node->in[0], &three));
    out[0] = oxp_b_reshape(b, out[0], &x);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec gather_attrs[] = {{"axis", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec gather_grad_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"input_shape", OXP_ATTR_INTS, NULL}, END};

const oxp_op oxp_op_Gather = {
    .name = "Gather", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_SHAPE_ONLY, .attrs = gather_attrs, .infer = infer_gather, .grad = grad_gather,
    .ref = ref_gather, .lower = lower_gather};
const oxp_op oxp_op__GatherGrad = {
    .name = "_GatherGrad", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = gather_grad_attrs, .infer = infer_gather_grad,
    .grad = grad_gather_grad, .ref = ref_gather_grad, .lower = lower_gather_grad,
    .expand = expand_gather_grad};
/* clang-format on */
