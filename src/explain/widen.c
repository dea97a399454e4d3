/* widen.c - see widen.h: each node again with one more axis in front of what depends on the variants.
 *
 * Elementwise operators and products broadcast as they are, once the axis stands in front of all others;
 * what names axes has them moved by one; what takes the first axis for a batch gets the variants as
 * more of it. */
#include "explain/widen.h"

#include "grad/grad.h"
#include "ops/infer.h"
#include "ops/ops.h"
#include <string.h>

enum { MAX_ATTRS = 16 };

typedef struct state {
    oxp_build *b;
    const char *who;
    oxp_val
        *wide; /* [values of the graph] with the variants in front; OXP_NO_VAL: the same for all */
    int64_t variants;
} state;

static oxp_val wide_of(const state *s, const oxp_node *node, uint32_t k)
{
    return oxp_node_has(node, k) ? s->wide[node->in[k]] : OXP_NO_VAL;
}

static oxp_shape in_front(const state *s, const oxp_shape *shape)
{
    oxp_shape out = {.rank = shape->rank + 1, .dim = {s->variants}};
    memcpy(out.dim + 1, shape->dim, (size_t)shape->rank * sizeof(int64_t));
    return out;
}

static bool only_first(const state *s, const oxp_node *node)
{
    bool others = false;
    for (uint32_t k = 1; k < node->n_in; k++) others = others || wide_of(s, node, k) != OXP_NO_VAL;
    return wide_of(s, node, 0) != OXP_NO_VAL && !others;
}

static bool is_one_of(const oxp_op *op, const oxp_op *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == op) return true;
    return false;
}

/* ---- attributes that name axes ---- */

/* Sets an attribute in a copy of the node's. */
static oxp_status set_attr(const state *s, oxp_attr *attrs, size_t *n, oxp_attr attr)
{
    size_t i = 0;
    while (i < *n && strcmp(attrs[i].name, attr.name) != 0) i++;
    OXP_FAIL_IF(s->b->ctx, i == MAX_ATTRS, OXP_EINTERNAL, "too many attributes");
    attrs[i] = attr;
    *n = i == *n ? *n + 1 : *n;
    return OXP_OK;
}

/* Axes counted from the end stay; the others move. `axis` and `axes`, present or by default. */
static oxp_status move_axes(const state *s, const oxp_node *node, int64_t axis, bool all_axes,
                            oxp_attr *attrs, size_t *n)
{
    const int rank = oxp_shape_at(s->b->g, node->in[0])->rank;
    size_t n_axes;
    const int64_t *axes = oxp_attr_ints(node, "axes", &n_axes);
    OXP_FAIL_IF(s->b->ctx, node->n_attrs > MAX_ATTRS, OXP_EINTERNAL, "too many attributes");
    if (node->n_attrs) memcpy(attrs, node->attrs, node->n_attrs * sizeof *attrs);
    *n = node->n_attrs;
    if (all_axes) {
        int64_t *moved = OXP_NEW(s->b->ctx->scratch, int64_t, OXP_MAX_RANK);
        OXP_NOMEM_IF(s->b->ctx, moved);
        if (!axes) n_axes = (size_t)rank;
        for (size_t i = 0; i < n_axes; i++) {
            const int64_t given = axes ? axes[i] : (int64_t)i;
            moved[i] = given < 0 ? given : given + 1;
        }
        return set_attr(s, attrs, n, OXP_INTS("axes", moved, n_axes));
    }
    const int64_t given = oxp_attr_int(node, "axis", axis);
    return set_attr(s, attrs, n, OXP_INT("axis", given < 0 ? given : given + 1));
}

/* ---- kinds of operators ---- */

static oxp_status emit(const state *s, const oxp_node *node, const oxp_val *in,
                       const oxp_attr *attrs, size_t n_attrs, oxp_val *out)
{
    return oxp_emit_multi(s->b, node->op, in, node->n_in, attrs, n_attrs, node->n_out, out);
}

/* Broadcasting counts from the end: shorter operands get ones behind the variants. */
static oxp_status widen_aligned(const state *s, const oxp_node *node, oxp_val *in, oxp_val *out)
{
    const int rank = oxp_shape_at(s->b->g, node->out[0])->rank;
    for (uint32_t k = 0; k < node->n_in; k++) {
        in[k] = node->in[k];
        if (wide_of(s, node, k) == OXP_NO_VAL) continue;
        const oxp_shape *own = oxp_shape_at(s->b->g, node->in[k]);
        oxp_shape shape = {.rank = rank + 1, .dim = {s->variants}};
        for (int a = 1; a <= rank; a++)
            shape.dim[a] = a <= rank - own->rank ? 1 : own->dim[a - 1 - (rank - own->rank)];
        in[k] = oxp_b_reshape(s->b, wide_of(s, node, k), &shape);
    }
    return emit(s, node, in, node->attrs, node->n_attrs, out);
}

/* The variants as more of the batch: (V,N,...) -> (V N,...) and back. */
static oxp_status widen_batch(const state *s, const oxp_node *node, oxp_val *in, oxp_val *out)
{
    oxp_shape folded = *oxp_shape_at(s->b->g, node->in[0]);
    folded.dim[0] *= s->variants;
    memcpy(in, node->in, node->n_in * sizeof *in);
    in[0] = oxp_b_reshape(s->b, wide_of(s, node, 0), &folded);
    OXP_TRY(emit(s, node, in, node->attrs, node->n_attrs, out));
    for (uint32_t k = 0; k < node->n_out; k++) {
        if (!node->out[k]) continue;
        const oxp_shape apart = in_front(s, oxp_shape_at(s->b->g, node->out[k]));
        out[k] = oxp_b_reshape(s->b, out[k], &apart);
    }
    return s->b->status;
}

static oxp_status widen_moved(const state *s, const oxp_node *node, int64_t axis, bool all_axes,
                              oxp_val *in, oxp_val *out)
{
    oxp_attr attrs[MAX_ATTRS + 1];
    size_t n_attrs;
    OXP_TRY(move_axes(s, node, axis, all_axes, attrs, &n_attrs));
    memcpy(in, node->in, node->n_in * sizeof *in);
    in[0] = wide_of(s, node, 0);
    return emit(s, node, in, attrs, n_attrs, out);
}

static oxp_status widen_concat(const state *s, const oxp_node *node, oxp_val *in, oxp_val *out)
{
    oxp_attr attrs[MAX_ATTRS + 1];
    size_t n_attrs;
    OXP_TRY(move_axes(s, node, 0, false, attrs, &n_attrs));
    for (uint32_t k = 0; k < node->n_in; k++) {
        const oxp_shape shape = in_front(s, oxp_shape_at(s->b->g, node->in[k]));
        const oxp_val wide = wide_of(s, node, k);
        in[k] = wide != OXP_NO_VAL ? wide : oxp_b_expand(s->b, node->in[k], &shape);
    }
    return emit(s, node, in, attrs, n_attrs, out);
}

static oxp_val widen_transposed(const state *s, const oxp_node *node)
{
    size_t n;
    const int rank = oxp_shape_at(s->b->g, node->in[0])->rank;
    const int64_t *perm = oxp_attr_ints(node, "perm", &n);
    int64_t moved[OXP_MAX_RANK] = {0};
    for (int a = 0; a < rank; a++) moved[a + 1] = 1 + (perm ? perm[a] : rank - 1 - a);
    return oxp_b_transpose(s->b, wide_of(s, node, 0), moved);
}

static const oxp_op *const reshapes[] = {&oxp_op_Reshape, &oxp_op_Flatten, &oxp_op_Squeeze,
                                         &oxp_op_Unsqueeze};
static const oxp_op *const batched[] = {
    &oxp_op_Conv,       &oxp_op_BatchNormalization, &oxp_op_InstanceNormalization,
    &oxp_op__GroupNorm, &oxp_op_GroupNormalization, &oxp_op_AveragePool,
    &oxp_op_MaxPool,    &oxp_op_GlobalAveragePool,  &oxp_op_GlobalMaxPool};
static const oxp_op *const last_axis[] = {&oxp_op_LayerNormalization, &oxp_op_RMSNormalization,
                                          &oxp_op_LpNormalization};
static const oxp_op *const first_axis[] = {&oxp_op_Split, &oxp_op_Gather};
static const oxp_op *const many_axes[] = {
    &oxp_op_ReduceMean, &oxp_op_ReduceSum,       &oxp_op_ReduceMax, &oxp_op_ReduceMin,
    &oxp_op_ReduceL2,   &oxp_op_ReduceSumSquare, &oxp_op_Slice};
#define IS_ONE_OF(op, list) is_one_of(op, list, OXP_COUNT(list))

static oxp_status widen_node(const state *s, const oxp_node *node, oxp_val *in, oxp_val *out)
{
    const oxp_op *op = node->op;
    const oxp_graph *g = s->b->g;
    const bool only = only_first(s, node);
    const oxp_shape wanted = in_front(s, oxp_shape_at(g, node->out[0]));
    if (op->flags & (OXP_OP_ELEMENTWISE | OXP_OP_IDENTITY)) return widen_aligned(s, node, in, out);
    if (op == &oxp_op_MatMul && oxp_shape_at(g, node->in[0])->rank >= 2 &&
        oxp_shape_at(g, node->in[1])->rank >= 2)
        return widen_aligned(s, node, in, out);
    if (op == &oxp_op_Concat) return widen_concat(s, node, in, out);
    if (only && (IS_ONE_OF(op, reshapes) || op == &oxp_op_Transpose)) {
        out[0] = op == &oxp_op_Transpose ? widen_transposed(s, node)
                                         : oxp_b_reshape(s->b, wide_of(s, node, 0), &wanted);
        return s->b->status;
    }
    if (only && IS_ONE_OF(op, batched)) return widen_batch(s, node, in, out);
    if (only && op == &oxp_op_Gemm && oxp_attr_int(node, "transA", 0) == 0 &&
        (!oxp_node_has(node, 2) || oxp_shape_at(g, node->in[2])->rank < 2 ||
         oxp_shape_at(g, node->in[2])->dim[0] == 1))
        return widen_batch(s, node, in, out);
    if (only && (op == &oxp_op_Softmax || op == &oxp_op_LogSoftmax))
        return widen_moved(s, node, oxp_attr_int(node, "span", 0) ? 1 : -1, false, in, out);
    if (only && IS_ONE_OF(op, last_axis)) return widen_moved(s, node, -1, false, in, out);
    if (only && IS_ONE_OF(op, first_axis)) return widen_moved(s, node, 0, false, in, out);
    if (only && IS_ONE_OF(op, many_axes)) return widen_moved(s, node, 0, true, in, out);
    OXP_FAIL(s->b->ctx, OXP_EUNSUPPORTED,
             "%s cannot compute %s '%s' for many variants at once: use another method", s->who,
             op->name, node->origin);
}

oxp_status oxp_widen(oxp_build *b, const char *who, size_t n_nodes, oxp_val from, oxp_val to,
                     oxp_val variants, oxp_val *out)
{
    OXP_TRY(b->status);
    oxp_arena *arena = b->ctx->scratch;
    const bool *after = oxp_reach_down(b->g, arena, &from, 1),
               *before = oxp_reach_up(b->g, arena, to);
    const size_t n_values = b->g->n_values;
    state s = {b, who, OXP_NEW(arena, oxp_val, n_values), oxp_b_shape(b, variants)->dim[0]};
    OXP_FAIL_IF(b->ctx, !after || !before || !s.wide, OXP_ENOMEM, "out of memory");
    s.wide[from] = variants;
    for (size_t i = 0; i < n_nodes; i++) {
        const oxp_node *node = b->g->nodes[i];
        bool needed = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            needed = needed || (node->out[k] && node->out[k] != from && after[node->out[k]] &&
                                before[node->out[k]]);
        if (!needed) continue;
        oxp_val *in = OXP_NEW(arena, oxp_val, node->n_in + 1);
        oxp_val *made = OXP_NEW(arena, oxp_val, node->n_out + 1);
        OXP_FAIL_IF(b->ctx, !in || !made, OXP_ENOMEM, "out of memory");
        for (uint32_t k = 0; k < node->n_in; k++)
            OXP_FAIL_IF(b->ctx,
                        node->in[k] && s.wide[node->in[k]] &&
                            oxp_shape_at(b->g, node->in[k])->rank == OXP_MAX_RANK,
                        OXP_EUNSUPPORTED, "%s: '%s' has too many axes", who, node->origin);
        OXP_TRY(widen_node(&s, node, in, made));
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k]) s.wide[node->out[k]] = made[k];
    }
    *out = s.wide[to];
    return b->status;
}
