/* unroll.c - If, Loop and Scan while specialising: the branch that runs, or the body once for each time
 * that it runs, stands in the place of the node.
 *
 * Conditions and numbers of trips are known then: they follow from constants and shapes, from integers
 * that are asked for, or were computed from the data at hand (pin.c). Here are the graphs, what trips
 * leave behind, and If. */
#include "ops/unroll.h"

#include "ops/infer.h"

#include <string.h>

enum { MAX_UNROLLED = 1 << 18 /* nodes */ };

/* ---- one graph in the place of a node ---- */

oxp_status oxp_body_open(oxp_specialiser *s, const oxp_node *node, const char *attr,
                         const bool *wanted, size_t n_wanted, bool named, oxp_unrolled *out)
{
    const oxp_attr *a = oxp_attr_find(node, attr);
    const size_t n = (size_t)oxp_attr_int(node, "captures", 0);
    OXP_NODE_FAIL_IF(s->ctx, node, !a || a->type != OXP_ATTR_GRAPH, OXP_ECORRUPT, "lacks its %s",
                     attr);
    const oxp_graph *g = a->g;
    OXP_NODE_FAIL_IF(s->ctx, node, n > node->n_in || n > g->n_inputs, OXP_EINTERNAL,
                     "says that it captures %zu tensors", n);
    *out = (oxp_unrolled){.g = g, .n_captures = n};
    oxp_arena *tmp = s->ctx->scratch;
    oxp_val *captures = OXP_NEW(tmp, oxp_val, n + 1);
    oxp_dtype *types = OXP_NEW(tmp, oxp_dtype, n + 1);
    oxp_level *level = &out->level;
    *level = (oxp_level){.graph = g,
                         .map = OXP_NEW(tmp, oxp_val, g->n_values),
                         .type = OXP_NEW(tmp, oxp_dtype, g->n_values),
                         .needed = OXP_NEW(tmp, bool, g->n_values),
                         .named = named};
    out->constants = OXP_NEW(tmp, oxp_val, g->n_values);
    OXP_FAIL_IF(s->ctx,
                !captures || !types || !level->map || !level->type || !level->needed ||
                    !out->constants,
                OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        captures[i] = s->at->map[node->in[node->n_in - n + i]];
        types[i] = s->at->type[node->in[node->n_in - n + i]];
    }
    out->captures = captures;
    out->types = types;
    for (size_t i = 0; i < g->n_outputs && i < n_wanted; i++)
        level->needed[g->outputs[i]] = level->needed[g->outputs[i]] || wanted[i];
    OXP_TRY(oxp_level_begin(s, level));
    memcpy(out->constants, level->map, g->n_values * sizeof(oxp_val));
    return OXP_OK;
}

oxp_status oxp_body_run(oxp_specialiser *s, const oxp_node *node, oxp_unrolled *b,
                        const oxp_val *in, const oxp_dtype *in_type, size_t n_in, oxp_val *outs,
                        oxp_dtype *types)
{
    const oxp_graph *g = b->g;
    oxp_level *level = &b->level;
    OXP_NODE_FAIL_IF(s->ctx, node, n_in + b->n_captures != g->n_inputs, OXP_ECORRUPT,
                     "gives its body %zu inputs, the body has %zu", n_in,
                     g->n_inputs - b->n_captures);
    s->n_unrolled += g->n_nodes;
    OXP_NODE_FAIL_IF(s->ctx, node, s->n_unrolled > MAX_UNROLLED, OXP_ELIMIT,
                     "makes more than %d nodes with all its trips: use a shorter input",
                     MAX_UNROLLED);
    memcpy(level->map, b->constants, g->n_values * sizeof(oxp_val));
    for (size_t i = 0; i < g->n_inputs; i++) {
        level->map[g->inputs[i]] = i < n_in ? in[i] : b->captures[i - n_in];
        level->type[g->inputs[i]] = i < n_in ? in_type[i] : b->types[i - n_in];
    }
    OXP_TRY(oxp_level_emit(s, level));
    for (size_t i = 0; i < g->n_outputs; i++) {
        outs[i] = level->needed[g->outputs[i]] ? level->map[g->outputs[i]] : OXP_NO_VAL;
        types[i] = level->type[g->outputs[i]];
    }
    s->ctx->node = s->b.origin = node->origin;
    s->ctx->op = node->op->name;
    return OXP_OK;
}

oxp_status oxp_unroll_numbers(oxp_specialiser *s, const oxp_node *node, const char *what, oxp_val v,
                              int64_t n, int64_t **out)
{
    oxp_val known;
    OXP_NODE_FAIL_IF(s->ctx, node, v == OXP_NO_VAL, OXP_EINVAL, "lacks its %s", what);
    OXP_TRY(oxp_pin_values(s, node, what, &v, 1, &known));
    const oxp_tensor *t = oxp_value_of(s->b.g, known)->constant;
    OXP_NODE_FAIL_IF(s->ctx, node, oxp_shape_elements(&t->shape) != n, OXP_EINVAL,
                     "takes %lld as its %s, found %lld numbers", (long long)n, what,
                     (long long)oxp_shape_elements(&t->shape));
    *out = OXP_NEW(s->ctx->scratch, int64_t, (size_t)n + 1);
    OXP_NOMEM_IF(s->ctx, *out);
    for (int64_t i = 0; i < n; i++) (*out)[i] = oxp_tensor_get_int(t, i);
    return OXP_OK;
}

oxp_status oxp_unroll_number(oxp_specialiser *s, const oxp_node *node, const char *what, oxp_val v,
                             int64_t *out)
{
    int64_t *one;
    OXP_TRY(oxp_unroll_numbers(s, node, what, v, 1, &one));
    *out = *one;
    return OXP_OK;
}

oxp_status oxp_unroll_wanted(oxp_specialiser *s, const oxp_node *node, size_t room, bool **out)
{
    *out = OXP_NEW(s->ctx->scratch, bool, room + node->n_out + 1);
    OXP_NOMEM_IF(s->ctx, *out);
    for (uint32_t i = 0; i < node->n_out; i++)
        (*out)[room + i] = node->out[i] != OXP_NO_VAL && s->at->needed[node->out[i]];
    return OXP_OK;
}

/* ---- series: one value per trip, joined along a new axis ---- */

oxp_status oxp_series_add(oxp_specialiser *s, oxp_series *to, oxp_val v)
{
    OXP_FAIL_IF(s->ctx,
                !oxp_arena_grow(s->ctx->scratch, &to->steps, to->n, &to->cap, sizeof *to->steps),
                OXP_ENOMEM, "out of memory");
    to->steps[to->n++] = v;
    return OXP_OK;
}

/* shape with a new axis of n cells; false when it has no room for one. */
static bool with_axis(const oxp_shape *shape, int64_t axis, int64_t n, oxp_shape *out)
{
    const int rank = shape->rank + 1;
    if (axis < 0) axis += rank;
    if (rank > OXP_MAX_RANK || axis < 0 || axis >= rank) return false;
    *out = (oxp_shape){.rank = rank};
    for (int a = 0, k = 0; a < rank; a++) out->dim[a] = a == axis ? n : shape->dim[k++];
    return true;
}

oxp_status oxp_series_join(oxp_specialiser *s, const oxp_node *node, const oxp_series *from,
                           int64_t axis, bool backwards, oxp_val *out)
{
    oxp_val *parts = OXP_NEW(s->ctx->scratch, oxp_val, from->n + 1);
    OXP_NOMEM_IF(s->ctx, parts);
    for (size_t i = 0; i < from->n; i++) {
        oxp_shape one;
        const oxp_val v = from->steps[backwards ? from->n - 1 - i : i];
        OXP_NODE_FAIL_IF(s->ctx, node, !with_axis(oxp_b_shape(&s->b, v), axis, 1, &one), OXP_EINVAL,
                         "cannot join its results along axis %lld", (long long)axis);
        parts[i] = oxp_b_reshape(&s->b, v, &one);
    }
    *out = oxp_b_concat(&s->b, parts, from->n, axis);
    return s->b.status;
}

oxp_status oxp_series_empty(oxp_specialiser *s, const oxp_node *node, const oxp_value *like,
                            int64_t axis, oxp_val *out)
{
    oxp_shape none;
    OXP_NODE_FAIL_IF(s->ctx, node, !with_axis(&like->shape, axis, 0, &none), OXP_EINVAL,
                     "cannot join its results along axis %lld", (long long)axis);
    oxp_tensor *t = OXP_NEW(s->b.g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(s->ctx, t);
    const oxp_dtype dtype = like->dtype == OXP_F32 ? OXP_F64 : like->dtype;
    OXP_TRY(oxp_tensor_new(s->ctx, s->b.g->arena, dtype, &none, t));
    *out = oxp_b_const(&s->b, like->dtype, t);
    return s->b.status;
}

/* ---- If ---- */

static oxp_status unroll_if(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                            oxp_dtype *types)
{
    int64_t condition;
    bool *wanted;
    oxp_unrolled branch;
    OXP_TRY(oxp_unroll_number(s, node, "condition", s->at->map[node->in[0]], &condition));
    OXP_TRY(oxp_unroll_wanted(s, node, 0, &wanted));
    OXP_TRY(oxp_body_open(s, node, condition ? "then_branch" : "else_branch", wanted, node->n_out,
                          s->at->named, &branch));
    oxp_val *made = OXP_NEW(s->ctx->scratch, oxp_val, branch.g->n_outputs + 1);
    oxp_dtype *made_type = OXP_NEW(s->ctx->scratch, oxp_dtype, branch.g->n_outputs + 1);
    OXP_FAIL_IF(s->ctx, !made || !made_type, OXP_ENOMEM, "out of memory");
    OXP_NODE_FAIL_IF(s->ctx, node, branch.g->n_outputs < node->n_out, OXP_ECORRUPT,
                     "has %u outputs, its branch makes %zu", node->n_out, branch.g->n_outputs);
    OXP_TRY(oxp_body_run(s, node, &branch, NULL, NULL, 0, made, made_type));
    for (uint32_t i = 0; i < node->n_out; i++) {
        outs[i] = made[i];
        types[i] = made_type[i];
    }
    return OXP_OK;
}

/* ---- all ---- */

static oxp_status start_names(oxp_specialiser *s)
{
    const oxp_graph *g = s->top.graph;
    if (s->names.arena) return OXP_OK;
    oxp_strmap_init(&s->names, s->ctx->scratch);
    for (size_t v = 1; v < g->n_values; v++)
        OXP_FAIL_IF(s->ctx, g->values[v]->name && !oxp_strmap_put(&s->names, g->values[v]->name, 1),
                    OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

oxp_status oxp_unroll(oxp_specialiser *s, const oxp_node *node, oxp_val *outs, oxp_dtype *types)
{
    OXP_TRY(start_names(s));
    if (node->op == &oxp_op_If) return unroll_if(s, node, outs, types);
    if (node->op == &oxp_op_Loop) return oxp_unroll_loop(s, node, outs, types);
    if (node->op == &oxp_op_Scan) return oxp_unroll_scan(s, node, outs, types);
    return oxp_unroll_flex(s, node, outs, types);
}
