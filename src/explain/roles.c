/* roles.c - axis roles by looking around in the graph; see roles.h.
 *
 * From a value we follow readers, then the producer, through operators that keep or permute axes,
 * until something that knows its axes: a convolution, pool or batch norm (axis 1 is the channel)
 * or a layer norm or matmul (the last axis is the feature). */
#include "explain/roles.h"

#include "ops/ops.h"
#include <string.h>

enum { MAX_HOPS = 12, MAX_PREFIX = 8 };

typedef enum axis_kind { AXES_UNKNOWN, AXES_CHANNELS_FIRST, AXES_FEATURES_LAST } axis_kind;

static axis_kind kind_of_op(const oxp_node *node)
{
    const oxp_op *op = node->op;
    if (op == &oxp_op_Conv || op == &oxp_op_MaxPool || op == &oxp_op_AveragePool ||
        op == &oxp_op_GlobalAveragePool || op == &oxp_op_GlobalMaxPool ||
        op == &oxp_op_BatchNormalization || op == &oxp_op_InstanceNormalization ||
        op == &oxp_op__GroupNorm)
        return AXES_CHANNELS_FIRST;
    return op == &oxp_op_LayerNormalization || op == &oxp_op_MatMul ? AXES_FEATURES_LAST
                                                                    : AXES_UNKNOWN;
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

/* The kind of axes of v; axis[a]: where axis a of v has gone in the value now looked at. */
static axis_kind look_down(const oxp_graph *g, oxp_val v, int *axis, int hops)
{
    if (hops == 0) return AXES_UNKNOWN;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        if (node->n_in == 0 || node->in[0] != v) {
            if (node->n_in < 2 || node->in[1] != v || !(node->op->flags & OXP_OP_ELEMENTWISE))
                continue;
        }
        const axis_kind kind = kind_of_op(node);
        if (kind != AXES_UNKNOWN) return kind;
        int saved[OXP_MAX_RANK];
        memcpy(saved, axis, sizeof saved);
        const int rank = oxp_shape_at(g, v)->rank;
        if (node->op == &oxp_op_Transpose) {
            size_t n;
            const int64_t *perm = oxp_attr_ints(node, "perm", &n);
            for (int a = 0; a < rank; a++)
                for (int to = 0; to < rank; to++)
                    if ((perm ? perm[to] : rank - 1 - to) == saved[a]) axis[a] = to;
        } else if (!keeps_axes(g, node, v)) {
            continue;
        }
        const axis_kind below = look_down(g, node->out[0], axis, hops - 1);
        if (below != AXES_UNKNOWN) return below;
        memcpy(axis, saved, sizeof saved);
    }
    return AXES_UNKNOWN;
}

static axis_kind look_up(const oxp_graph *g, oxp_val v, int hops)
{
    const oxp_value *value = oxp_value_of(g, v);
    if (value->kind != OXP_VALUE_NODE || hops == 0) return AXES_UNKNOWN;
    const oxp_node *node = g->nodes[value->producer];
    const axis_kind kind = node->op == &oxp_op_Gather ? AXES_FEATURES_LAST : kind_of_op(node);
    if (kind != AXES_UNKNOWN) return kind;
    for (uint32_t k = 0; k < node->n_in; k++)
        if (node->in[k] && keeps_axes(g, node, node->in[k])) {
            const axis_kind above = look_up(g, node->in[k], hops - 1);
            if (above != AXES_UNKNOWN) return above;
        }
    return AXES_UNKNOWN;
}

/* Tokens come from a patch embedding: the convolution whose output has T - prefix positions.
 * Earlier convolutions are tried first, since the embedding is the only one in a plain
 * transformer. */
static void find_grid(const oxp_graph *g, int64_t tokens, oxp_roles *r)
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

oxp_roles oxp_roles_of(const oxp_graph *g, oxp_val v)
{
    const oxp_shape *s = oxp_shape_at(g, v);
    oxp_roles r = {.channel = -1};
    if (s->rank < 3 || s->rank > 5) return r;
    int axis[OXP_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    axis_kind kind = AXES_UNKNOWN;
    if (s->rank > 3 || oxp_value_of(g, v)->kind != OXP_VALUE_NODE)
        kind = look_down(g, v, axis, MAX_HOPS);
    if (kind == AXES_UNKNOWN) kind = look_up(g, v, MAX_HOPS);
    if (kind == AXES_UNKNOWN && s->rank == 3) kind = look_down(g, v, axis, MAX_HOPS);
    if (kind == AXES_FEATURES_LAST && s->rank == 3) {
        r.channel = 2;
        r.tokens = true;
        r.n_spatial = 1;
        r.spatial[0] = 1;
        find_grid(g, s->dim[1], &r);
        return r;
    }
    r.channel = 1;
    for (int a = 1; a < s->rank; a++)
        if (kind == AXES_CHANNELS_FIRST ? axis[a] == 1
                                        : a == (kind == AXES_FEATURES_LAST ? s->rank - 1 : 1))
            r.channel = a;
    for (int a = 1; a < s->rank; a++)
        if (a != r.channel) r.spatial[r.n_spatial++] = a;
    return r;
}
