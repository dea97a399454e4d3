/* shrink.c - the smallest part of a graph that still fails: ever fewer nodes are kept, and what was
 * computed before them becomes an input with the same numbers. */
#include "random/random.h"

#include "support/oracle.h"
#include <string.h>

/* ---- a part of a graph ---- */

static bool *needed_values(oxp_arena *arena, const problem *from, const bool *cut,
                           const oxp_val *target, size_t n_targets)
{
    const oxp_graph *g = from->g;
    bool *needed = OXP_NEW(arena, bool, g->n_values);
    if (!needed) return NULL;
    for (size_t k = 0; k < n_targets; k++) needed[target[k]] = true;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const oxp_node *node = g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            any = any || (needed[node->out[k]] && !(cut && cut[node->out[k]]));
        for (uint32_t k = 0; any && k < node->n_in; k++) needed[node->in[k]] = true;
        needed[OXP_NO_VAL] = false;
    }
    return needed;
}

static oxp_status copy_source(oxp_ctx *ctx, const problem *from, oxp_val v, bool cut, oxp_graph *g,
                              oxp_val *to)
{
    const oxp_value *value = oxp_value_of(from->g, v);
    if (value->kind == OXP_VALUE_CONST)
        return oxp_graph_add_const(ctx, g, NULL, value->dtype, value->constant, to);
    if (value->kind == OXP_VALUE_NODE && !cut) return OXP_OK;
    return oxp_graph_add_value(ctx, g, NULL, OXP_VALUE_INPUT, value->dtype, &value->shape, to);
}

static oxp_status copy_node(oxp_ctx *ctx, oxp_arena *arena, oxp_build *b, const oxp_node *node,
                            oxp_val *map)
{
    oxp_val *in = OXP_NEW(arena, oxp_val, node->n_in + 1);
    oxp_val *out = OXP_NEW(arena, oxp_val, node->n_out + 1);
    OXP_FAIL_IF(ctx, !in || !out, OXP_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < node->n_in; k++) in[k] = map[node->in[k]];
    OXP_TRY(
        oxp_emit_multi(b, node->op, in, node->n_in, node->attrs, node->n_attrs, node->n_out, out));
    for (uint32_t k = 0; k < node->n_out; k++)
        if (map[node->out[k]] == OXP_NO_VAL) map[node->out[k]] = out[k];
    return OXP_OK;
}

oxp_status problem_part(oxp_ctx *ctx, oxp_arena *arena, const problem *from, const bool *cut,
                        const oxp_val *target, size_t n_targets, problem *out)
{
    const oxp_graph *g = from->g;
    bool *needed = needed_values(arena, from, cut, target, n_targets);
    oxp_val *map = OXP_NEW(arena, oxp_val, g->n_values);
    oxp_graph *to = oxp_graph_new(arena);
    oxp_build b;
    OXP_FAIL_IF(ctx, !needed || !map || !to, OXP_ENOMEM, "out of memory");
    oxp_build_init(&b, ctx, to);
    for (size_t v = 1; v < g->n_values; v++)
        if (needed[v]) OXP_TRY(copy_source(ctx, from, (oxp_val)v, cut && cut[v], to, &map[v]));
    for (size_t i = 0; i < g->n_nodes; i++) {
        bool any = false;
        for (uint32_t k = 0; k < g->nodes[i]->n_out; k++)
            any = any || (needed[g->nodes[i]->out[k]] && !(cut && cut[g->nodes[i]->out[k]]));
        if (any) OXP_TRY(copy_node(ctx, arena, &b, g->nodes[i], map));
    }
    *out = (problem){.g = to, .n_targets = n_targets, .seed = from->seed};
    out->value = OXP_NEW(arena, double *, to->n_values);
    OXP_NOMEM_IF(ctx, out->value);
    for (size_t v = 1; v < g->n_values; v++)
        if (map[v] && from->value[v]) out->value[map[v]] = from->value[v];
    for (size_t k = 0; k < n_targets; k++) {
        out->target[k] = map[target[k]];
        OXP_TRY(oxp_graph_add_output(ctx, to, out->target[k]));
    }
    return oxp_graph_verify(ctx, to);
}

oxp_status problem_values(oxp_ctx *ctx, oxp_arena *arena, problem *p)
{
    for (size_t v = 1; v < p->g->n_values; v++) {
        const oxp_value *value = p->g->values[v];
        const int64_t n = oxp_shape_elements(&value->shape);
        if (value->kind != OXP_VALUE_INPUT) p->value[v] = OXP_NEW(arena, double, n + 1);
        OXP_NOMEM_IF(ctx, p->value[v]);
        if (value->kind == OXP_VALUE_CONST)
            oxp_convert(p->value[v], OXP_F64, value->constant->data, value->constant->dtype, n);
    }
    for (size_t i = 0; i < p->g->n_nodes; i++)
        OXP_TRY(oxp_oracle_node(ctx, arena, p->g, p->g->nodes[i], p->value));
    return OXP_OK;
}

/* ---- the search ---- */

static bool still_fails(oxp_ctx *ctx, const problem *p, verdict *why)
{
    verdict v;
    check_problem(ctx, p, &v);
    if (v.failed) *why = v;
    return v.failed;
}

/* The first node whose result alone fails. */
static oxp_status one_target(oxp_ctx *ctx, oxp_arena *arena, problem *p, verdict *why)
{
    for (size_t i = 0; i < p->g->n_nodes; i++)
        for (uint32_t k = 0; k < p->g->nodes[i]->n_out; k++) {
            const oxp_val v = p->g->nodes[i]->out[k];
            problem part;
            if (!v || oxp_value_of(p->g, v)->dtype != OXP_F32) continue;
            OXP_TRY(problem_part(ctx, arena, p, NULL, &v, 1, &part));
            if (!still_fails(ctx, &part, why)) continue;
            *p = part;
            return problem_values(ctx, arena, p);
        }
    return OXP_OK;
}

/* The last value that can be an input instead, with all before it gone. */
static oxp_status one_cut(oxp_ctx *ctx, oxp_arena *arena, problem *p, verdict *why, bool *found)
{
    *found = false;
    for (size_t v = p->g->n_values; v-- > 1;) {
        const oxp_value *value = p->g->values[v];
        problem part;
        bool *cut = OXP_NEW(arena, bool, p->g->n_values);
        OXP_NOMEM_IF(ctx, cut);
        if (value->kind != OXP_VALUE_NODE || p->target[0] == v) continue;
        cut[v] = true;
        OXP_TRY(problem_part(ctx, arena, p, cut, p->target, p->n_targets, &part));
        if (part.g->n_nodes >= p->g->n_nodes || !still_fails(ctx, &part, why)) continue;
        *p = part;
        *found = true;
        return problem_values(ctx, arena, p);
    }
    return OXP_OK;
}

oxp_status problem_shrink(oxp_ctx *ctx, oxp_arena *arena, const problem *from, problem *out,
                          verdict *why)
{
    *out = *from;
    OXP_TRY(one_target(ctx, arena, out, why));
    for (bool found = true; found;) OXP_TRY(one_cut(ctx, arena, out, why, &found));
    return OXP_OK;
}
