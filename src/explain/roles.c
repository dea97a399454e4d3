/* roles.c - axis roles by looking around in the graph; see roles.h.
 *
 * From a value we follow readers, then the producer, through operators that keep or permute axes,
 * until something that knows its axes: a convolution, pool or batch norm (axis 1 is the channel)
 * or a layer norm or matmul (the last axis is the feature). Hops and visits are limited, so that a
 * dense web of additions costs no more than a chain. */
#include "explain/roles.h"

#include "ops/ops.h"
#include <string.h>

enum { MAX_HOPS = 12, MAX_VISITS = 256, MAX_PREFIX = 8 };

static oxp_axes kind_of_op(const oxp_node *node)
{
    const oxp_op *op = node->op;
    if (oxp_op_is_conv(op) || op == &oxp_op_MaxPool || op == &oxp_op_AveragePool ||
        op == &oxp_op_GlobalAveragePool || op == &oxp_op_GlobalMaxPool ||
        op == &oxp_op_BatchNormalization || op == &oxp_op_InstanceNormalization ||
        op == &oxp_op_GroupNormalization || op == &oxp_op__GroupNorm || op == &oxp_op_LRN ||
        op == &oxp_op_LpPool || op == &oxp_op_GlobalLpPool || op == &oxp_op_MaxUnpool ||
        op == &oxp_op_GridSample || op == &oxp_op_RoiAlign || op == &oxp_op_MaxRoiPool ||
        op == &oxp_op_DepthToSpace || op == &oxp_op_SpaceToDepth)
        return OXP_AXES_CHANNELS;
    return op == &oxp_op_LayerNormalization || op == &oxp_op_RMSNormalization ||
                   op == &oxp_op_MatMul
               ? OXP_AXES_FEATURES
               : OXP_AXES_UNKNOWN;
}

/* Same rank and axes in and out: activations, arithmetic, padding, slicing, resizing. */
static bool keeps_axes(const oxp_graph *g, const oxp_node *node, oxp_val in)
{
    const oxp_op *op = node->op;
    const bool fits = (op->flags & (OXP_OP_ELEMENTWISE | OXP_OP_IDENTITY)) || op == &oxp_op_Pad ||
                      op == &oxp_op_Slice || op == &oxp_op_Concat || op == &oxp_op_Resize ||
                      op == &oxp_op_Split;
    return fits && oxp_shape_at(g, in)->rank == oxp_shape_at(g, node->out[0])->rank;
}

/* v enters this node as the tensor whose axes the node knows or keeps. */
static bool reads(const oxp_node *node, oxp_val v)
{
    return (node->n_in > 0 && node->in[0] == v) ||
           (node->n_in > 1 && node->in[1] == v && (node->op->flags & OXP_OP_ELEMENTWISE));
}

/* axis[a] (of the operand) moved to where the Transpose puts it. */
static void permute(const oxp_node *node, int rank, int *axis)
{
    size_t n;
    const int64_t *perm = oxp_attr_ints(node, "perm", &n);
    int moved[OXP_MAX_RANK];
    memcpy(moved, axis, sizeof moved);
    for (int a = 0; a < rank; a++)
        for (int to = 0; to < rank; to++)
            if ((perm ? perm[to] : rank - 1 - to) == axis[a]) moved[a] = to;
    memcpy(axis, moved, sizeof moved);
}

/* The kind of axes of v; axis[a]: where axis a of the first value has gone in v. */
static oxp_axes look_down(const oxp_graph *g, oxp_val v, int *axis, int hops, int *visits)
{
    const oxp_value *value = oxp_value_of(g, v);
    const size_t first = value->kind == OXP_VALUE_NODE ? (size_t)value->producer + 1 : 0;
    if (hops == 0 || --*visits < 0) return OXP_AXES_UNKNOWN;
    for (size_t i = first; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        if (!reads(node, v)) continue;
        const oxp_axes kind = kind_of_op(node);
        if (kind != OXP_AXES_UNKNOWN) return kind;
        int saved[OXP_MAX_RANK];
        memcpy(saved, axis, sizeof saved);
        if (node->op == &oxp_op_Transpose)
            permute(node, value->shape.rank, axis);
        else if (!keeps_axes(g, node, v))
            continue;
        const oxp_axes below = look_down(g, node->out[0], axis, hops - 1, visits);
        if (below != OXP_AXES_UNKNOWN) return below;
        memcpy(axis, saved, sizeof saved);
    }
    return OXP_AXES_UNKNOWN;
}

/* The same towards the inputs. A Transpose on the way is undone: where[a] is the axis of v that
 * axis a of the value now looked at has become. */
static oxp_axes look_up(const oxp_graph *g, oxp_val v, int *where, int hops, int *visits)
{
    const oxp_value *value = oxp_value_of(g, v);
    if (value->kind != OXP_VALUE_NODE || hops == 0 || --*visits < 0) return OXP_AXES_UNKNOWN;
    const oxp_node *node = g->nodes[value->producer];
    const oxp_axes kind = node->op == &oxp_op_Gather ? OXP_AXES_FEATURES : kind_of_op(node);
    if (kind != OXP_AXES_UNKNOWN) return kind;
    int saved[OXP_MAX_RANK];
    memcpy(saved, where, sizeof saved);
    if (node->op == &oxp_op_Transpose) {
        size_t n;
        const int64_t *perm = oxp_attr_ints(node, "perm", &n);
        const int rank = value->shape.rank;
        for (int a = 0; a < rank; a++) where[perm ? perm[a] : rank - 1 - a] = saved[a];
        const oxp_axes above = look_up(g, node->in[0], where, hops - 1, visits);
        if (above == OXP_AXES_UNKNOWN) memcpy(where, saved, sizeof saved);
        return above;
    }
    for (uint32_t k = 0; k < node->n_in; k++)
        if (node->in[k] && keeps_axes(g, node, node->in[k])) {
            const oxp_axes above = look_up(g, node->in[k], where, hops - 1, visits);
            if (above != OXP_AXES_UNKNOWN) return above;
        }
    return OXP_AXES_UNKNOWN;
}

/* Tokens come from a patch embedding: the convolution whose output has T - prefix positions.
 * Earlier convolutions are tried first, since the embedding is the only one in a plain
 * transformer. */
void oxp_token_grid(const oxp_graph *g, int64_t tokens, oxp_roles *r)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i]->op != &oxp_op_Conv) continue;
        const oxp_shape *s = oxp_shape_at(g, g->nodes[i]->out[0]);
        int64_t positions = 1;
        for (int a = 2; a < s->rank; a++) positions *= s->dim[a];
        if (positions < 2 || positions > tokens || tokens - positions > MAX_PREFIX) continue;
        r->prefix = tokens - positions;
        r->n_grid = s->rank - 2;
        for (int a = 0; a < r->n_grid; a++) r->grid[a] = s->dim[a + 2];
        return;
    }
}

/* The channel axis of v, and from what it is known. */
static oxp_axes find_channel(const oxp_graph *g, oxp_val v, int *channel)
{
    const int rank = oxp_shape_at(g, v)->rank;
    int axis[OXP_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7},
        where[OXP_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    int visits = MAX_VISITS;
    oxp_axes kind = OXP_AXES_UNKNOWN;
    /* what made a token sequence says more about it than what reads it, say a MatMul over tokens */
    const bool down_first = rank > 3 || oxp_value_of(g, v)->kind != OXP_VALUE_NODE;
    if (down_first) kind = look_down(g, v, axis, MAX_HOPS, &visits);
    if (kind == OXP_AXES_UNKNOWN) {
        visits = MAX_VISITS;
        kind = look_up(g, v, where, MAX_HOPS, &visits);
        if (kind != OXP_AXES_UNKNOWN) {
            *channel = where[kind == OXP_AXES_CHANNELS ? 1 : rank - 1];
            return kind;
        }
        visits = MAX_VISITS;
        if (!down_first) kind = look_down(g, v, axis, MAX_HOPS, &visits);
    }
    *channel = 1;
    for (int a = 1; kind != OXP_AXES_UNKNOWN && a < rank; a++)
        if (axis[a] == (kind == OXP_AXES_CHANNELS ? 1 : rank - 1)) *channel = a;
    return kind;
}

oxp_roles oxp_roles_of(const oxp_graph *g, oxp_val v)
{
    const oxp_shape *s = oxp_shape_at(g, v);
    oxp_roles r = {.channel = -1};
    if (s->rank < 3 || s->rank > 5) return r;
    r.axes = find_channel(g, v, &r.channel);
    for (int a = 1; a < s->rank; a++)
        if (a != r.channel) r.spatial[r.n_spatial++] = a;
    r.tokens = r.axes == OXP_AXES_FEATURES && s->rank == 3;
    if (r.tokens) oxp_token_grid(g, s->dim[r.spatial[0]], &r);
    return r;
}
