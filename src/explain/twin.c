/* twin.c - the second run of twin.h.
 *
 * Nodes between what is attributed to and the target are emitted again with the baseline's values.
 * A composite that is split is emitted in parts for both runs; the parts come in the same order, so
 * the k-th node of one corresponds to the k-th of the other. */
#include "explain/twin.h"

#include <string.h>

typedef struct twin_state {
    oxp_build *b;
    bool (*split)(const oxp_op *op);
    /* by value: what stands for it in the first and in the second run; its twin */
    oxp_val *run[2], *of;
    size_t n, cap;
} twin_state;

/* Values made meanwhile stand for themselves and are their own twins unless said otherwise. */
static oxp_status note_values(twin_state *s)
{
    oxp_arena *arena = s->b->g->arena;
    while (s->n < s->b->g->n_values) {
        size_t caps[3] = {s->cap, s->cap, s->cap};
        const bool ok = oxp_arena_grow(arena, &s->run[0], s->n, &caps[0], sizeof(oxp_val)) &&
                        oxp_arena_grow(arena, &s->run[1], s->n, &caps[1], sizeof(oxp_val)) &&
                        oxp_arena_grow(arena, &s->of, s->n, &caps[2], sizeof(oxp_val));
        OXP_FAIL_IF(s->b->ctx, !ok, OXP_ENOMEM, "out of memory");
        s->cap = caps[0];
        s->run[0][s->n] = s->run[1][s->n] = s->of[s->n] = (oxp_val)s->n;
        s->n++;
    }
    return OXP_OK;
}

/* Some input is another value in this run. */
static bool is_moved(const twin_state *s, const oxp_node *node, int which)
{
    for (uint32_t k = 0; k < node->n_in; k++)
        if (s->run[which][node->in[k]] != node->in[k]) return true;
    return false;
}

static oxp_status emit_again(twin_state *s, const oxp_node *node, int which);

/* The parts of a composite; parts that are to be split themselves are, and what follows them. */
static oxp_status emit_parts(twin_state *s, const oxp_node *node, int which, oxp_val *out)
{
    const oxp_graph *g = s->b->g;
    const size_t from = g->n_nodes;
    OXP_TRY(node->op->expand(s->b, node, out));
    OXP_TRY(s->b->status);
    OXP_TRY(note_values(s));
    const size_t to = g->n_nodes;
    for (size_t i = from; i < to; i++)
        if (s->split(g->nodes[i]->op) || is_moved(s, g->nodes[i], which))
            OXP_TRY(emit_again(s, g->nodes[i], which));
    for (uint32_t k = 0; k < node->n_out; k++) out[k] = s->run[which][out[k]];
    return OXP_OK;
}

/* The node once more, with its inputs as in this run; its outputs go there too. */
static oxp_status emit_again(twin_state *s, const oxp_node *node, int which)
{
    oxp_build *b = s->b;
    oxp_val *out = OXP_NEW(b->ctx->scratch, oxp_val, node->n_out + 1);
    oxp_node again = *node;
    again.in = OXP_NEW(b->ctx->scratch, oxp_val, node->n_in + 1);
    OXP_FAIL_IF(b->ctx, !again.in || !out, OXP_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < node->n_in; k++) again.in[k] = s->run[which][node->in[k]];
    b->origin = node->origin;
    OXP_TRY(s->split(node->op) ? emit_parts(s, &again, which, out)
                               : oxp_emit_multi(b, node->op, again.in, node->n_in, node->attrs,
                                                node->n_attrs, node->n_out, out));
    OXP_TRY(note_values(s));
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] != OXP_NO_VAL) s->run[which][node->out[k]] = out[k];
    return OXP_OK;
}

/* Pairs the outputs of nodes [from, from + n) with those of [to, to + n). */
static void pair_nodes(twin_state *s, size_t from, size_t to, size_t n)
{
    oxp_node *const *nodes = s->b->g->nodes;
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < nodes[from + i]->n_out; k++)
            if (nodes[from + i]->out[k] != OXP_NO_VAL)
                s->of[nodes[from + i]->out[k]] = nodes[to + i]->out[k];
}

static oxp_status twin_node(twin_state *s, const oxp_node *node)
{
    const oxp_graph *g = s->b->g;
    const bool moved = s->split(node->op) || is_moved(s, node, 0);
    const size_t from = g->n_nodes;
    if (moved) OXP_TRY(emit_again(s, node, 0));
    const size_t to = g->n_nodes;
    OXP_TRY(emit_again(s, node, 1));
    OXP_FAIL_IF(s->b->ctx, moved && g->n_nodes - to != to - from, OXP_EINTERNAL,
                "%s '%s' does not expand twice alike", node->op->name, node->origin);
    if (moved) pair_nodes(s, from, to, to - from);
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] != OXP_NO_VAL) s->of[s->run[0][node->out[k]]] = s->run[1][node->out[k]];
    return OXP_OK;
}

/* Does the target depend on it? */
static bool *reach_up(const oxp_graph *g, oxp_arena *arena, oxp_val target)
{
    bool *up = OXP_NEW(arena, bool, g->n_values);
    if (!up) return NULL;
    up[target] = true;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const oxp_node *node = g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_out; k++) any = any || up[node->out[k]];
        for (uint32_t k = 0; any && k < node->n_in; k++) up[node->in[k]] = true;
        up[OXP_NO_VAL] = false;
    }
    return up;
}

oxp_status oxp_twin_make(oxp_task *t, const oxp_val *at, const oxp_val *at0, size_t n_at,
                         bool (*split)(const oxp_op *op), oxp_twin *out)
{
    const oxp_graph *g = t->b->g;
    const size_t n_nodes = g->n_nodes;
    const bool *down = oxp_reach_down(g, t->ctx->scratch, at, n_at);
    const bool *up = reach_up(g, t->ctx->scratch, t->target);
    bool *fixed = OXP_NEW(t->ctx->scratch, bool, g->n_values);
    OXP_FAIL_IF(t->ctx, !down || !up || !fixed, OXP_ENOMEM, "out of memory");
    twin_state s = {.b = t->b, .split = split};
    OXP_TRY(note_values(&s));
    for (size_t i = 0; i < n_at; i++) {
        s.run[1][at[i]] = s.of[at[i]] = at0[i];
        fixed[at[i]] = true;
    }
    const char *origin = t->b->origin;
    for (size_t i = 0; i < n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        bool between = false;
        for (uint32_t k = 0; k < node->n_out; k++) {
            const oxp_val v = node->out[k];
            between = between || (v && down[v] && up[v] && !fixed[v]);
        }
        if (between) OXP_TRY(twin_node(&s, node));
    }
    t->b->origin = origin;
    *out = (oxp_twin){s.run[0][t->target], s.of, s.run[0]};
    return OXP_OK;
}
