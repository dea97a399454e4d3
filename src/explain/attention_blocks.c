/* attention_blocks.c - what stands behind each block of an encoder: see oxp_attention_blocks. */
#include "explain/attention.h"

#include "explain/roles.h"

/* Does everything that v influences reach the target through w only? */
static bool passes(const oxp_attention_blocks *s, oxp_val v, oxp_val w, bool *reach)
{
    for (size_t i = 0; i < s->g->n_values; i++) reach[i] = i == v;
    for (size_t i = 0; i < s->n_nodes; i++) {
        const oxp_node *node = s->g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_in; k++) any = any || reach[node->in[k]];
        for (uint32_t k = 0; any && k < node->n_out; k++) reach[node->out[k]] = node->out[k] != w;
        reach[OXP_NO_VAL] = false;
    }
    return !reach[s->t->target];
}

static const oxp_op *maker(const oxp_attention_blocks *s, oxp_val v)
{
    return s->g->nodes[oxp_value_of(s->g, v)->producer]->op;
}

int oxp_attention_token_axis(const oxp_attention_blocks *s, oxp_val v, oxp_val map)
{
    const oxp_shape *shape = oxp_shape_at(s->g, v), *m = oxp_shape_at(s->g, map);
    const int64_t tokens = m->dim[m->rank - 2], items = (int64_t)s->t->width;
    const bool second = shape->dim[1] == tokens && shape->dim[0] == items,
               first = shape->dim[0] == tokens && shape->dim[1] == items;
    if (!first || !second) return second ? 1 : first ? 0 : -1;
    const uint32_t rows = oxp_sequence_of(s->axes, map, m->rank - 2);
    return oxp_sequence_of(s->axes, v, 0) == rows && oxp_sequence_of(s->axes, v, 1) != rows ? 0 : 1;
}

/* The last (N,T,D) or (T,N,D) that map l goes through; next: a map that must build on it (OXP_NO_VAL: none), op: what
 * makes it (NULL: anything). */
static oxp_status find_behind(const oxp_attention_blocks *s, size_t l, oxp_val next,
                              const oxp_op *op, oxp_val *behind)
{
    oxp_ctx *ctx = s->t->ctx;
    bool *after = oxp_reach_down(s->g, ctx->scratch, &s->maps[l], 1);
    bool *reach = OXP_NEW(ctx->scratch, bool, s->g->n_values);
    OXP_FAIL_IF(ctx, !after || !reach, OXP_ENOMEM, "out of memory");
    *behind = OXP_NO_VAL;
    for (size_t i = s->n_nodes; i-- > 0 && *behind == OXP_NO_VAL;) {
        const oxp_val v = s->g->nodes[i]->out[0];
        const oxp_shape *shape = oxp_shape_at(s->g, v);
        if (!after[v] || shape->rank != 3 || oxp_attention_token_axis(s, v, s->maps[l]) < 0 ||
            (op && s->g->nodes[i]->op != op) || !passes(s, s->maps[l], v, reach))
            continue;
        const bool *later = oxp_reach_down(s->g, ctx->scratch, &v, 1);
        OXP_NOMEM_IF(ctx, later);
        if (next == OXP_NO_VAL || later[next]) *behind = v;
    }
    const char *name = oxp_value_of(s->g, s->maps[l])->name;
    OXP_FAIL_IF(ctx, *behind == OXP_NO_VAL, OXP_EUNSUPPORTED,
                "%s: no tensor of tokens that all of the attention '%s' goes through: use "
                "tmme or attention-rollout",
                s->method, name ? name : "?");
    return OXP_OK;
}

oxp_status oxp_attention_blocks_find(oxp_task *t, const char *method, oxp_attention_blocks *s)
{
    *s =
        (oxp_attention_blocks){.t = t, .method = method, .g = t->b->g, .n_nodes = t->b->g->n_nodes};
    OXP_TRY(oxp_sequences_find(t->ctx, s->g, &s->axes));
    OXP_TRY(oxp_attention_maps(t->ctx, s->g, t->target, t->width, false, &s->maps, &s->n_maps));
    s->behind = OXP_NEW(t->ctx->scratch, oxp_val, s->n_maps);
    OXP_NOMEM_IF(t->ctx, s->behind);
    for (size_t l = 0; l + 1 < s->n_maps; l++)
        OXP_TRY(find_behind(s, l, s->maps[l + 1], NULL, &s->behind[l]));
    const size_t last = s->n_maps - 1;
    return find_behind(s, last, OXP_NO_VAL, last > 0 ? maker(s, s->behind[last - 1]) : NULL,
                       &s->behind[last]);
}
