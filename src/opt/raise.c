/* raise.c - exporters' spellings become composites: the driver.
 *
 * Codes become what they mean (raise_quantised.c), then two sweeps over the graph, since some composites are made of others (Softmax in attention,
 * Softplus in Mish, LayerNormalization in GroupNorm). Each sweep looks at the nodes from last to
 * first, so that of two patterns that overlap the longer one, which ends later, is found first;
 * then the graph is copied, each group replaced where its last node stood. The composite keeps that
 * node's name and its value's name. */
#include "opt/raise.h"

#include "ops/infer.h"

typedef struct pattern {
    bool (*match)(oxp_match *m);
    oxp_val (*emit)(oxp_rewrite *rw, const oxp_match *m);
} pattern;

static oxp_val emit_plain(oxp_rewrite *rw, const oxp_match *m)
{
    oxp_val in[4];
    for (size_t k = 0; k < m->n_in; k++) in[k] = oxp_rewrite_val(rw, m->in[k]);
    return oxp_emit(&rw->b, m->op, in, m->n_in, m->attrs, m->n_attrs);
}

static const pattern parts[] = {
    {oxp_raise_logistic, emit_plain}, {oxp_raise_softplus, emit_plain},
    {oxp_raise_softsign, emit_plain}, {oxp_raise_layer_norm, oxp_emit_layer_norm},
    {oxp_raise_softmax, emit_plain},
};

static const pattern wholes[] = {
    {oxp_raise_gate, emit_plain},
    {oxp_raise_hard_sigmoid, emit_plain},
    {oxp_raise_log_softmax, emit_plain},
    {oxp_raise_group_norm, oxp_emit_group_norm},
    {oxp_raise_attention, oxp_emit_attention}, /* last: oxp_opt_raise_open leaves it out */
};

typedef struct found {
    const pattern *pattern; /* NULL: no group ends at this node */
    oxp_match match;
} found;

/* The group that ends at this node, if any, in *out. */
static oxp_status find_one(oxp_rewrite *rw, const pattern *patterns, size_t n, const oxp_node *root,
                           found **out)
{
    oxp_match m = {.rw = rw, .root = root};
    for (size_t p = 0; p < n; p++) {
        oxp_match_retry(&m);
        if (!patterns[p].match(&m)) continue;
        for (size_t i = 1; i < m.n_parts; i++)
            rw->absorbed[oxp_value_of(rw->from, m.parts[i]->out[0])->producer] = true;
        *out = OXP_NEW(rw->pass->ctx->scratch, found, 1);
        OXP_NOMEM_IF(rw->pass->ctx, *out);
        **out = (found){&patterns[p], m};
        break;
    }
    return OXP_OK;
}

static oxp_status emit_one(oxp_rewrite *rw, const found *f)
{
    rw->b.origin = f->match.root->origin;
    rw->b.flags = f->match.root->flags;
    oxp_rewrite_set(rw, f->match.root->out[0], f->pattern->emit(rw, &f->match));
    return rw->b.status;
}

static oxp_status sweep(oxp_pass *pass, const pattern *patterns, size_t n)
{
    oxp_rewrite rw;
    OXP_TRY(oxp_rewrite_begin(&rw, pass));
    const oxp_graph *g = pass->in;
    found **at = OXP_NEW(pass->ctx->scratch, found *, g->n_nodes + 1);
    OXP_NOMEM_IF(pass->ctx, at);
    for (size_t i = g->n_nodes; i-- > 0;)
        if (oxp_rewrite_live(&rw, g->nodes[i]) && !rw.absorbed[i])
            OXP_TRY(find_one(&rw, patterns, n, g->nodes[i], &at[i]));
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (at[i])
            OXP_TRY(emit_one(&rw, at[i]));
        else if (oxp_rewrite_live(&rw, g->nodes[i]) && !rw.absorbed[i])
            OXP_TRY(oxp_rewrite_copy(&rw, g->nodes[i]));
    }
    return oxp_rewrite_end(&rw);
}

/* The pass after `first`: on its graph, keeping the same values. */
static oxp_status next_pass(const oxp_pass *first, oxp_pass *next)
{
    bool *keep = OXP_NEW(first->ctx->scratch, bool, first->out->n_values);
    OXP_NOMEM_IF(first->ctx, keep);
    for (size_t v = 1; first->keep && v < first->in->n_values; v++)
        if (first->keep[v]) keep[first->map[v]] = true;
    *next = (oxp_pass){.ctx = first->ctx, .arena = first->arena, .in = first->out, .keep = keep};
    return OXP_OK;
}

/* What both passes together have done. */
static void join_passes(oxp_pass *first, const oxp_pass *second)
{
    for (size_t v = 1; v < first->in->n_values; v++) first->map[v] = second->map[first->map[v]];
    first->out = second->out;
}

static oxp_status raise_patterns(oxp_pass *pass, size_t n_wholes)
{
    oxp_pass second;
    OXP_TRY(sweep(pass, parts, OXP_COUNT(parts)));
    OXP_TRY(next_pass(pass, &second));
    OXP_TRY(sweep(&second, wholes, n_wholes));
    join_passes(pass, &second);
    return OXP_OK;
}

static oxp_status raise(oxp_pass *pass, size_t n_wholes)
{
    bool quantised;
    oxp_pass second;
    OXP_TRY(oxp_raise_quantised(pass, &quantised));
    if (!quantised) return raise_patterns(pass, n_wholes);
    OXP_TRY(next_pass(pass, &second));
    OXP_TRY(raise_patterns(&second, n_wholes));
    join_passes(pass, &second);
    return OXP_OK;
}

oxp_status oxp_opt_raise(oxp_pass *pass)
{
    return raise(pass, OXP_COUNT(wholes));
}

oxp_status oxp_opt_raise_open(oxp_pass *pass)
{
    return raise(pass, OXP_COUNT(wholes) - 1);
}
