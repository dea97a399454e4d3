/* rewrite.c - the frame of a pass, and the loop that runs them. See rewrite.h, opt.h. */
#include "opt/rewrite.h"

#include "ops/infer.h"
#include <string.h>

static void mark_live(oxp_rewrite *rw)
{
    const oxp_graph *g = rw->from;
    for (size_t i = 0; i < g->n_outputs; i++) {
        rw->live[g->outputs[i]] = true;
        rw->uses[g->outputs[i]]++;
    }
    for (size_t v = 1; rw->pass->keep && v < g->n_values; v++)
        rw->live[v] = rw->live[v] || rw->pass->keep[v];
    for (size_t i = g->n_nodes; i-- > 0;) {
        oxp_node *node = g->nodes[i];
        if (!oxp_rewrite_live(rw, node)) continue;
        for (uint32_t k = 0; k < node->n_in; k++) {
            rw->live[node->in[k]] = true;
            rw->uses[node->in[k]]++;
            if (!rw->user[node->in[k]]) rw->user[node->in[k]] = node;
        }
    }
    rw->live[OXP_NO_VAL] = false;
}

oxp_status oxp_rewrite_begin(oxp_rewrite *rw, oxp_pass *pass)
{
    oxp_ctx *ctx = pass->ctx;
    const oxp_graph *from = pass->in;
    *rw = (oxp_rewrite){.pass = pass, .from = from};
    oxp_graph *to = oxp_graph_after(pass->arena, from);
    rw->map = OXP_NEW(pass->arena, oxp_val, from->n_values);
    rw->live = OXP_NEW(ctx->scratch, bool, from->n_values);
    rw->uses = OXP_NEW(ctx->scratch, uint32_t, from->n_values);
    rw->user = OXP_NEW(ctx->scratch, oxp_node *, from->n_values);
    rw->absorbed = OXP_NEW(ctx->scratch, bool, from->n_nodes + 1);
    OXP_FAIL_IF(ctx, !to || !rw->map || !rw->live || !rw->uses || !rw->user || !rw->absorbed,
                OXP_ENOMEM, "out of memory");
    oxp_build_init(&rw->b, ctx, to);
    mark_live(rw);
    /* all inputs stay, in order, so that feeds keep their index */
    for (size_t i = 0; i < from->n_inputs; i++) {
        const oxp_value *v = oxp_value_of(from, from->inputs[i]);
        OXP_TRY(oxp_graph_add_value(ctx, to, v->name, v->kind, v->dtype, &v->shape,
                                    &rw->map[from->inputs[i]]));
    }
    return OXP_OK;
}

oxp_val oxp_rewrite_val(oxp_rewrite *rw, oxp_val old)
{
    if (old == OXP_NO_VAL || rw->map[old] != OXP_NO_VAL || rw->b.status != OXP_OK)
        return old == OXP_NO_VAL ? OXP_NO_VAL : rw->map[old];
    const oxp_value *v = oxp_value_of(rw->from, old);
    if (v->kind != OXP_VALUE_CONST) {
        rw->b.status =
            oxp_ctx_fail(rw->b.ctx, OXP_EINTERNAL, "a pass reads %%%u before it was emitted", old);
        return OXP_NO_VAL;
    }
    rw->b.status =
        oxp_graph_add_const(rw->b.ctx, rw->b.g, v->name, v->dtype, v->constant, &rw->map[old]);
    return rw->map[old];
}

void oxp_rewrite_set(oxp_rewrite *rw, oxp_val from, oxp_val to)
{
    rw->map[from] = to;
    if (to == OXP_NO_VAL) return;
    oxp_value *made = oxp_value_of(rw->b.g, to);
    if (!made->name) made->name = oxp_value_of(rw->from, from)->name;
}

oxp_status oxp_rewrite_copy(oxp_rewrite *rw, const oxp_node *node)
{
    oxp_arena *tmp = rw->pass->ctx->scratch;
    oxp_val *in = OXP_NEW(tmp, oxp_val, node->n_in + 1), *outs = OXP_NEW(tmp, oxp_val, node->n_out);
    OXP_FAIL_IF(rw->pass->ctx, !in || !outs, OXP_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < node->n_in; k++) in[k] = oxp_rewrite_val(rw, node->in[k]);
    rw->b.origin = node->origin;
    rw->b.flags = node->flags;
    OXP_TRY(oxp_emit_multi(&rw->b, node->op, in, node->n_in, node->attrs, node->n_attrs,
                           node->n_out, outs));
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] != OXP_NO_VAL) oxp_rewrite_set(rw, node->out[k], outs[k]);
    return OXP_OK;
}

oxp_status oxp_rewrite_end(oxp_rewrite *rw)
{
    OXP_TRY(rw->b.status);
    for (size_t i = 0; i < rw->from->n_outputs; i++)
        OXP_TRY(oxp_graph_add_output(rw->pass->ctx, rw->b.g,
                                     oxp_rewrite_val(rw, rw->from->outputs[i])));
    OXP_TRY(rw->b.status);
    rw->pass->out = rw->b.g;
    rw->pass->map = rw->map;
    return oxp_graph_verify(rw->pass->ctx, rw->b.g);
}

bool oxp_rewrite_live(const oxp_rewrite *rw, const oxp_node *node)
{
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] && rw->live[node->out[k]]) return true;
    return false;
}

bool oxp_rewrite_private(const oxp_rewrite *rw, oxp_val v)
{
    return rw->uses[v] == 1 && rw->user[v] && !(rw->pass->keep && rw->pass->keep[v]);
}

oxp_node *oxp_producer(const oxp_graph *g, oxp_val v)
{
    if (v == OXP_NO_VAL || g->values[v]->kind != OXP_VALUE_NODE) return NULL;
    return g->nodes[g->values[v]->producer];
}

const oxp_tensor *oxp_const_of(const oxp_graph *g, oxp_val v)
{
    return v != OXP_NO_VAL && g->values[v]->kind == OXP_VALUE_CONST ? g->values[v]->constant : NULL;
}

oxp_status oxp_opt_run(oxp_ctx *ctx, oxp_arena *arena, const oxp_pass_fn *passes, size_t n_passes,
                       oxp_graph **g, oxp_val *follow, size_t n_follow)
{
    ctx->stage = OXP_STAGE_OPT;
    for (size_t p = 0; p < n_passes; p++) {
        bool *keep = OXP_NEW(ctx->scratch, bool, (*g)->n_values);
        OXP_NOMEM_IF(ctx, keep);
        for (size_t i = 0; i < n_follow; i++) keep[follow[i]] = follow[i] != OXP_NO_VAL;
        oxp_pass pass = {.ctx = ctx, .arena = arena, .in = *g, .keep = keep};
        OXP_TRY(passes[p](&pass));
        for (size_t i = 0; i < n_follow; i++)
            follow[i] = follow[i] == OXP_NO_VAL ? OXP_NO_VAL : pass.map[follow[i]];
        *g = pass.out;
    }
    return OXP_OK;
}
