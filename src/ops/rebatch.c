/* rebatch.c - a model declared for one item, specialised for `width` of them: constants that say "1 item"
 * grow along the axis in which the tensors lie item by item.
 *
 * That axis is not guessed from a 1 somewhere: each tensor's shape is compared with the one it has for a
 * single item (oxp_cut's `alone`). What results is as good as the shapes are telling, so whoever asks for
 * it compares results with those of items alone. */
#include "ops/special.h"

#include "ops/ops.h"
#include <string.h>

enum { INITIAL_STATE = 5, PEEPHOLES = 7 }; /* operands of LSTM: initial_h, initial_c, P */

/* The axis of model value v that is longer than for one item; -1: none, or not that alone. */
static int axis_of(const oxp_specialiser *s, oxp_val v)
{
    const oxp_shape *one = &s->cut->alone[v];
    if (v == OXP_NO_VAL || s->at->map[v] == OXP_NO_VAL) return -1;
    const oxp_shape *now = oxp_shape_at(s->b.g, s->at->map[v]);
    int axis = -1;
    if (one->rank != now->rank) return -1;
    for (int a = 0; a < one->rank; a++) {
        if (one->dim[a] == now->dim[a]) continue;
        if (axis >= 0 || now->dim[a] != one->dim[a] * s->cut->width) return -1;
        axis = a;
    }
    return axis;
}

/* The axis of `to` before which there are as many cells as before `axis` of `from`; -1: none. */
static int same_place(const oxp_shape *from, int axis, const oxp_shape *to)
{
    int64_t outer = 1, before = 1;
    for (int a = 0; a < axis; a++) outer *= from->dim[a];
    for (int a = 0; a < to->rank; a++) {
        if (before == outer) return a;
        before *= to->dim[a];
    }
    return -1;
}

/* The attribute of that name, of one number for each axis of `to`, becomes `to`; another stays. */
static oxp_status set_ints(oxp_specialiser *s, oxp_attr *attrs, size_t n_attrs, const char *name,
                           const oxp_shape *to)
{
    for (size_t i = 0; i < n_attrs; i++) {
        if (strcmp(attrs[i].name, name) != 0 || attrs[i].n != (size_t)to->rank) continue;
        int64_t *ints = OXP_NEW(s->ctx->scratch, int64_t, to->rank + 1);
        OXP_NOMEM_IF(s->ctx, ints);
        memcpy(ints, to->dim, (size_t)to->rank * sizeof *ints);
        attrs[i].ints = ints;
    }
    return OXP_OK;
}

/* Operands that are the same for all items and 1 long on the items' axis are repeated along it, for
 * operators that do not broadcast. */
static void widen(oxp_specialiser *s, const oxp_node *node, int axis, size_t first, oxp_val *in,
                  size_t n_in)
{
    for (size_t k = first; k < n_in && axis >= 0; k++) {
        if (in[k] == OXP_NO_VAL || axis_of(s, node->in[k]) >= 0) continue;
        oxp_shape shape = *oxp_shape_at(s->b.g, in[k]);
        if (axis >= shape.rank || shape.dim[axis] != 1) continue;
        shape.dim[axis] = s->cut->width;
        in[k] = oxp_b_expand(&s->b, in[k], &shape);
    }
}

oxp_status oxp_rebatch(oxp_specialiser *s, const oxp_node *node, oxp_val *in, size_t n_in,
                       oxp_attr *attrs, size_t n_attrs)
{
    const oxp_op *op = node->op;
    if (!s->cut->alone || s->at != &s->top || n_in == 0) return OXP_OK;
    const bool recurrent = op == &oxp_op_LSTM || op == &oxp_op_GRU || op == &oxp_op_RNN;
    int axis = axis_of(s, node->in[0]);
    oxp_shape to = s->cut->alone[node->out[0]];
    if (op == &oxp_op_Concat) {
        for (uint32_t k = 1; k < node->n_in && axis < 0; k++) axis = axis_of(s, node->in[k]);
        const int64_t along = oxp_attr_int(node, "axis", 0);
        if (along != axis && along + to.rank != axis) widen(s, node, axis, 0, in, n_in);
    } else if (recurrent) {
        widen(s, node, axis, INITIAL_STATE, in, n_in < PEEPHOLES ? n_in : PEEPHOLES);
    } else if (axis >= 0 && to.rank > 0 && (op == &oxp_op_Reshape || op == &oxp_op_Resize)) {
        const bool moves = op == &oxp_op_Reshape;
        const int at = moves ? same_place(&s->cut->alone[node->in[0]], axis, &to) : axis;
        if (at < 0) return s->b.status;
        to.dim[at] *= s->cut->width;
        OXP_TRY(set_ints(s, attrs, n_attrs, moves ? "shape" : "sizes", &to));
    }
    return s->b.status;
}
