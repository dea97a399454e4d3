/* schedule.c - what both executors do with a graph before they look at single operators: replace
 * nodes that they cannot run by their expansion, and order nodes by phase. */
#include "exec/step.h"
#include <string.h>

enum { MAX_EXPANSIONS = 16 }; /* levels of composites made of composites */

/* ---- expansion ---- */

typedef struct rewrite {
    oxp_ctx *ctx;
    const oxp_graph *from;
    oxp_graph *to;
    oxp_val *map; /* value of `from` -> value of `to` */
    bool (*runs)(const oxp_op *);
} rewrite;

static oxp_status copy_sources(rewrite *r)
{
    for (size_t i = 0; i < r->from->n_inputs; i++) {
        const oxp_val v = r->from->inputs[i];
        const oxp_value *value = oxp_value_of(r->from, v);
        OXP_TRY(oxp_graph_add_value(r->ctx, r->to, value->name, value->kind, value->dtype,
                                    &value->shape, &r->map[v]));
    }
    for (size_t v = 1; v < r->from->n_values; v++) {
        const oxp_value *value = r->from->values[v];
        if (value->kind == OXP_VALUE_CONST)
            OXP_TRY(oxp_graph_add_const(r->ctx, r->to, value->name, value->dtype, value->constant,
                                        &r->map[v]));
    }
    return OXP_OK;
}

static oxp_status copy_node(rewrite *r, const oxp_node *node, const oxp_val *in)
{
    oxp_node *copy;
    OXP_TRY(oxp_graph_add_node(r->ctx, r->to, node->op, in, node->n_in, node->n_out, node->attrs,
                               node->n_attrs, node->origin, &copy));
    copy->flags = node->flags;
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (node->out[i] == OXP_NO_VAL) {
            copy->out[i] = OXP_NO_VAL;
            continue;
        }
        const oxp_value *old = oxp_value_of(r->from, node->out[i]);
        oxp_value *value = oxp_value_of(r->to, copy->out[i]);
        value->dtype = old->dtype;
        value->shape = old->shape;
        value->name = old->name;
        r->map[node->out[i]] = copy->out[i];
    }
    return OXP_OK;
}

static oxp_status expand_node(rewrite *r, const oxp_node *node, oxp_val *in)
{
    oxp_val *out = OXP_NEW(r->ctx->scratch, oxp_val, node->n_out);
    oxp_node mapped = *node;
    oxp_build b;
    OXP_NOMEM_IF(r->ctx, out);
    OXP_FAIL_IF(r->ctx, node->op->expand == NULL, OXP_EUNSUPPORTED,
                "operator %s can neither be run nor expanded by this executor", node->op->name);
    oxp_build_init(&b, r->ctx, r->to);
    b.origin = node->origin;
    b.flags = node->flags;
    mapped.in = in;
    OXP_TRY(node->op->expand(&b, &mapped, out));
    OXP_TRY(b.status);
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != OXP_NO_VAL) r->map[node->out[i]] = out[i];
    return OXP_OK;
}

static oxp_status rewrite_nodes(rewrite *r)
{
    for (size_t n = 0; n < r->from->n_nodes; n++) {
        const oxp_node *node = r->from->nodes[n];
        oxp_val *in = OXP_NEW(r->ctx->scratch, oxp_val, node->n_in + 1);
        OXP_NOMEM_IF(r->ctx, in);
        for (uint32_t i = 0; i < node->n_in; i++)
            in[i] = node->in[i] != OXP_NO_VAL ? r->map[node->in[i]] : OXP_NO_VAL;
        r->ctx->node = node->origin;
        r->ctx->op = node->op->name;
        OXP_TRY(r->runs(node->op) ? copy_node(r, node, in) : expand_node(r, node, in));
    }
    for (size_t i = 0; i < r->from->n_outputs; i++)
        OXP_TRY(oxp_graph_add_output(r->ctx, r->to, r->map[r->from->outputs[i]]));
    r->ctx->node = r->ctx->op = NULL;
    return OXP_OK;
}

static bool runs_all(const oxp_graph *g, bool (*runs)(const oxp_op *))
{
    for (size_t n = 0; n < g->n_nodes; n++)
        if (!runs(g->nodes[n]->op)) return false;
    return true;
}

oxp_status oxp_graph_expand(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g,
                            bool (*runs)(const oxp_op *), const oxp_graph **out)
{
    for (int level = 0; !runs_all(g, runs); level++) {
        OXP_FAIL_IF(ctx, level == MAX_EXPANSIONS, OXP_EINTERNAL,
                    "operators are still composite after %d expansions", level);
        rewrite r = {ctx, g, oxp_graph_after(arena, g), OXP_NEW(ctx->scratch, oxp_val, g->n_values),
                     runs};
        OXP_FAIL_IF(ctx, r.to == NULL || r.map == NULL, OXP_ENOMEM, "out of memory");
        OXP_TRY(copy_sources(&r));
        OXP_TRY(rewrite_nodes(&r));
        g = r.to;
    }
    *out = g;
    return OXP_OK;
}

/* ---- order ---- */

static bool is_seeded(const oxp_schedule *s, const oxp_node *node)
{
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != OXP_NO_VAL && s->seeded[node->in[i]]) return true;
    return false;
}

static void order_nodes(const oxp_graph *g, oxp_schedule *s, bool phase1)
{
    for (size_t n = 0; n < g->n_nodes; n++) {
        const oxp_node *node = g->nodes[n];
        if (is_seeded(s, node) == phase1) s->node[s->n++] = node;
    }
}

oxp_status oxp_schedule_make(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g, oxp_schedule *s)
{
    *s = (oxp_schedule){.node = OXP_NEW(arena, const oxp_node *, g->n_nodes + 1),
                        .last_use = OXP_NEW(arena, uint32_t, g->n_values),
                        .seeded = OXP_NEW(arena, bool, g->n_values)};
    OXP_FAIL_IF(ctx, s->node == NULL || s->last_use == NULL || s->seeded == NULL, OXP_ENOMEM,
                "out of memory");
    for (size_t v = 1; v < g->n_values; v++) s->seeded[v] = g->values[v]->kind == OXP_VALUE_SEED;
    for (size_t n = 0; n < g->n_nodes; n++)
        for (uint32_t i = 0; is_seeded(s, g->nodes[n]) && i < g->nodes[n]->n_out; i++)
            if (g->nodes[n]->out[i] != OXP_NO_VAL) s->seeded[g->nodes[n]->out[i]] = true;
    order_nodes(g, s, false);
    s->n_phase0 = s->n;
    order_nodes(g, s, true);
    for (uint32_t at = 0; at < s->n; at++)
        for (uint32_t i = 0; i < s->node[at]->n_in; i++)
            if (s->node[at]->in[i] != OXP_NO_VAL) s->last_use[s->node[at]->in[i]] = at;
    for (size_t i = 0; i < g->n_inputs; i++) s->last_use[g->inputs[i]] = OXP_FOREVER;
    for (size_t i = 0; i < g->n_outputs; i++) s->last_use[g->outputs[i]] = OXP_FOREVER;
    return OXP_OK;
}
