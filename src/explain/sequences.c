/* sequences.c - see sequences.h: a union of axes, one rule per kind of operator.
 *
 *   movement       an axis goes where the operator puts it; of axes that a Reshape merges the innermost
 *                  counts, since a batch is merged with the tokens behind it
 *   products       rows come from the left, columns from the right, and what is summed over is one
 *                  sequence on both sides: the keys of a map are the rows of its values
 *   anything else  axes of equal length at the same place, counted from the right */
#include "explain/sequences.h"

#include "ops/ops.h"

struct oxp_sequences {
    const oxp_graph *g;
    uint32_t *parent; /* [n_values][OXP_MAX_RANK] of every axis */
};

static uint32_t root(const oxp_sequences *s, uint32_t at)
{
    while (s->parent[at] != at) at = s->parent[at] = s->parent[s->parent[at]];
    return at;
}

uint32_t oxp_sequence_of(const oxp_sequences *s, oxp_val v, int axis)
{
    return root(s, v * OXP_MAX_RANK + (uint32_t)axis);
}

static bool is_const(const oxp_sequences *s, oxp_val v)
{
    return v == OXP_NO_VAL || oxp_value_of(s->g, v)->kind == OXP_VALUE_CONST;
}

static void join(oxp_sequences *s, oxp_val v, int axis, oxp_val w, int other)
{
    if (is_const(s, v) || is_const(s, w)) return;
    const uint32_t a = oxp_sequence_of(s, v, axis), b = oxp_sequence_of(s, w, other);
    s->parent[a > b ? a : b] = a > b ? b : a;
}

static void join_equal(oxp_sequences *s, oxp_val v, int axis, oxp_val w, int other)
{
    if (oxp_shape_at(s->g, v)->dim[axis] == oxp_shape_at(s->g, w)->dim[other])
        join(s, v, axis, w, other);
}

/* The innermost axis in [from, to) that is longer than 1, else from; *several: more than one is. */
static int innermost(const oxp_shape *shape, int from, int to, bool *several)
{
    int found = from, n = 0;
    for (int a = from; a < to; a++)
        if (shape->dim[a] > 1) {
            found = a;
            n++;
        }
    *several = n > 1;
    return found;
}

/* Runs of axes with the same number of elements belong together. */
static void join_reshaped(oxp_sequences *s, oxp_val x, oxp_val y)
{
    const oxp_shape *in = oxp_shape_at(s->g, x), *out = oxp_shape_at(s->g, y);
    for (int i = 0, j = 0; i < in->rank && j < out->rank;) {
        const int i0 = i, j0 = j;
        int64_t left = in->dim[i++], right = out->dim[j++];
        while (left != right && (left < right ? i < in->rank : j < out->rank))
            *(left < right ? &left : &right) *= left < right ? in->dim[i++] : out->dim[j++];
        if (left != right) return;
        bool several_in, several_out;
        const int a = innermost(in, i0, i, &several_in), b = innermost(out, j0, j, &several_out);
        if (!several_in || !several_out)
            join(s, x, a, y, b);
        else
            join_equal(s, x, a, y, b);
    }
}

static void join_transposed(oxp_sequences *s, const oxp_node *node)
{
    size_t n;
    const int rank = oxp_shape_at(s->g, node->in[0])->rank;
    const int64_t *perm = oxp_attr_ints(node, "perm", &n);
    for (int a = 0; a < rank; a++)
        join(s, node->in[0], perm ? (int)perm[a] : rank - 1 - a, node->out[0], a);
}

/* Axes before `rank` of x and y, the last `but` of both left out, aligned from the right. */
static void join_aligned(oxp_sequences *s, oxp_val x, oxp_val y, int but)
{
    const int rx = oxp_shape_at(s->g, x)->rank, ry = oxp_shape_at(s->g, y)->rank;
    for (int a = but + 1; a <= rx && a <= ry; a++) join_equal(s, x, rx - a, y, ry - a);
}

static void join_product(oxp_sequences *s, const oxp_node *node)
{
    const oxp_val x = node->in[0], w = node->in[1], y = node->out[0];
    const int rx = oxp_shape_at(s->g, x)->rank, rw = oxp_shape_at(s->g, w)->rank,
              ry = oxp_shape_at(s->g, y)->rank;
    const bool tx = oxp_attr_int(node, "transA", 0) != 0, tw = oxp_attr_int(node, "transB", 0) != 0;
    if (rx < 2 || rw < 2) return;
    join_aligned(s, x, y, 2);
    join_aligned(s, w, y, 2);
    join(s, x, tx ? rx - 1 : rx - 2, y, ry - 2);
    join(s, w, tw ? rw - 2 : rw - 1, y, ry - 1);
    join(s, x, tx ? rx - 2 : rx - 1, w, tw ? rw - 1 : rw - 2);
}

/* What is picked along the axis is another sequence; the axes around it stay. */
static void join_gathered(oxp_sequences *s, const oxp_node *node)
{
    const int rank = oxp_shape_at(s->g, node->in[0])->rank,
              added = oxp_shape_at(s->g, node->in[1])->rank - 1;
    const int64_t given = oxp_attr_int(node, "axis", 0);
    const int axis = (int)(given < 0 ? given + rank : given);
    for (int a = 0; a < rank; a++)
        if (a != axis) join(s, node->in[0], a, node->out[0], a < axis ? a : a + added);
}

static void join_node(oxp_sequences *s, const oxp_node *node)
{
    const oxp_op *op = node->op;
    if (op == &oxp_op_Transpose) {
        join_transposed(s, node);
    } else if (op == &oxp_op_Reshape || op == &oxp_op_Flatten || op == &oxp_op_Squeeze ||
               op == &oxp_op_Unsqueeze) {
        join_reshaped(s, node->in[0], node->out[0]);
    } else if (op == &oxp_op_MatMul || op == &oxp_op_Gemm) {
        join_product(s, node);
    } else if (op == &oxp_op_Gather) {
        join_gathered(s, node);
    } else {
        for (uint32_t k = 0; k < node->n_in; k++)
            for (uint32_t o = 0; node->in[k] && o < node->n_out; o++)
                if (node->out[o] && ((op->flags & OXP_OP_ELEMENTWISE) ||
                                     oxp_shape_at(s->g, node->in[k])->rank ==
                                         oxp_shape_at(s->g, node->out[o])->rank))
                    join_aligned(s, node->in[k], node->out[o], 0);
    }
}

oxp_status oxp_sequences_find(oxp_ctx *ctx, const oxp_graph *g, oxp_sequences **out)
{
    oxp_sequences *s = OXP_NEW(ctx->scratch, oxp_sequences, 1);
    OXP_NOMEM_IF(ctx, s);
    const size_t axes = g->n_values * OXP_MAX_RANK;
    *s = (oxp_sequences){.g = g, .parent = OXP_NEW(ctx->scratch, uint32_t, axes)};
    OXP_NOMEM_IF(ctx, s->parent);
    for (uint32_t a = 0; a < axes; a++) s->parent[a] = a;
    for (size_t i = 0; i < g->n_nodes; i++) join_node(s, g->nodes[i]);
    *out = s;
    return OXP_OK;
}
