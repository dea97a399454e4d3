/* grad.c - the reverse driver; see grad.h.
 *
 * adj[v] collects the contributions to the adjoint of v until v's producer is reached; then they
 * are summed, once. A node without a gradient of its own is expanded at the end of the graph and
 * the walk goes through its parts; rules do not see those parts. What the expansion recomputes
 * of the forward pass is merged with it, or dropped, by the optimiser. */
#include "grad/grad.h"

#include "ops/infer.h"
#include <string.h>

typedef struct contribution {
    oxp_val val;
    struct contribution *next;
} contribution;

typedef struct diff_state {
    oxp_build *b;
    oxp_diff *diff;
    oxp_arena *tmp;
    contribution **adj; /* [cap] by value */
    oxp_val *done;      /* [cap] the summed adjoint, once taken */
    bool *reach;        /* [cap] depends on something asked for */
    bool *linear;       /* [cap] a linear layer lies between it and what is asked for */
    size_t n, cap;
    size_t cap_touched;
} diff_state;

bool *oxp_reach_down(const oxp_graph *g, oxp_arena *arena, const oxp_val *from, size_t n)
{
    bool *reach = OXP_NEW(arena, bool, g->n_values);
    if (!reach) return NULL;
    for (size_t i = 0; i < n; i++) reach[from[i]] = true;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_in; k++) any = any || reach[node->in[k]];
        for (uint32_t k = 0; any && k < node->n_out; k++) reach[node->out[k]] = true;
    }
    reach[OXP_NO_VAL] = false;
    return reach;
}

bool *oxp_reach_up(const oxp_graph *g, oxp_arena *arena, oxp_val to)
{
    bool *reach = OXP_NEW(arena, bool, g->n_values);
    if (!reach) return NULL;
    reach[to] = true;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const oxp_node *node = g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_out; k++) any = any || reach[node->out[k]];
        for (uint32_t k = 0; any && k < node->n_in; k++) reach[node->in[k]] = true;
        reach[OXP_NO_VAL] = false;
    }
    return reach;
}

static bool is_linear_layer(const oxp_node *node)
{
    return oxp_op_is_conv(node->op) || node->op == &oxp_op_Gemm || node->op == &oxp_op_MatMul;
}

/* Room in the per-value arrays for values appended since. */
static oxp_status grow(diff_state *s)
{
    const size_t want = s->b->g->n_values;
    while (s->n < want) {
        size_t caps[4] = {s->cap, s->cap, s->cap, s->cap};
        const bool ok = oxp_arena_grow(s->tmp, &s->adj, s->n, &caps[0], sizeof *s->adj) &&
                        oxp_arena_grow(s->tmp, &s->done, s->n, &caps[1], sizeof *s->done) &&
                        oxp_arena_grow(s->tmp, &s->reach, s->n, &caps[2], sizeof *s->reach) &&
                        oxp_arena_grow(s->tmp, &s->linear, s->n, &caps[3], sizeof *s->linear);
        OXP_FAIL_IF(s->b->ctx, !ok, OXP_ENOMEM, "out of memory");
        s->cap = caps[0];
        s->adj[s->n] = NULL;
        s->done[s->n] = OXP_NO_VAL;
        s->reach[s->n] = s->linear[s->n] = false;
        s->n++;
    }
    return OXP_OK;
}

/* Forward marks for nodes [from, to): dependence on what is asked for, and on a linear layer
 * that itself depends on it. */
static void mark_forward(diff_state *s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const oxp_node *node = s->b->g->nodes[i];
        bool reach = false, linear = false;
        for (uint32_t k = 0; k < node->n_in; k++) {
            reach = reach || (node->in[k] && s->reach[node->in[k]]);
            linear = linear || (node->in[k] && s->linear[node->in[k]]);
        }
        for (uint32_t k = 0; k < node->n_out; k++) {
            s->reach[node->out[k]] = s->reach[node->out[k]] || reach;
            s->linear[node->out[k]] =
                s->linear[node->out[k]] || linear || (reach && is_linear_layer(node));
        }
    }
    s->reach[OXP_NO_VAL] = s->linear[OXP_NO_VAL] = false;
}

static oxp_status contribute(diff_state *s, oxp_val v, oxp_val adjoint)
{
    contribution *c = OXP_NEW(s->tmp, contribution, 1);
    OXP_NOMEM_IF(s->b->ctx, c);
    *c = (contribution){adjoint, s->adj[v]};
    s->adj[v] = c;
    return OXP_OK;
}

/* The adjoint of v: the sum of what its consumers contributed, made when first asked for. */
static oxp_status take(diff_state *s, oxp_val v, oxp_val *out)
{
    *out = s->done[v];
    if (s->done[v] != OXP_NO_VAL || !s->adj[v]) return OXP_OK;
    size_t n = 0;
    for (const contribution *c = s->adj[v]; c; c = c->next) n++;
    oxp_val *parts = OXP_NEW(s->tmp, oxp_val, n);
    OXP_NOMEM_IF(s->b->ctx, parts);
    size_t i = n; /* the list is newest first; sum in the order of contribution */
    for (const contribution *c = s->adj[v]; c; c = c->next) parts[--i] = c->val;
    const oxp_val sum = oxp_b_sum(s->b, parts, n);
    OXP_TRY(s->b->status);
    OXP_TRY(grow(s));
    *out = s->done[v] = sum;
    return OXP_OK;
}

static oxp_status report(diff_state *s, const char *rule, const oxp_node *node)
{
    oxp_diff *d = s->diff;
    OXP_FAIL_IF(s->b->ctx,
                !oxp_arena_grow(s->b->g->arena, &d->touched, d->n_touched, &s->cap_touched,
                                sizeof(oxp_touch)),
                OXP_ENOMEM, "out of memory");
    d->touched[d->n_touched++] = (oxp_touch){rule, node->op->name, node->origin};
    return OXP_OK;
}

static oxp_status apply_rules(diff_state *s, oxp_grad *grad, bool *applied, bool *parts)
{
    const oxp_rule_set *set = s->diff->rules;
    const oxp_node *node = grad->node;
    bool below = false; /* a linear layer between this node's inputs and what is asked for */
    for (uint32_t k = 0; k < node->n_in; k++)
        below = below || (node->in[k] && s->linear[node->in[k]]);
    oxp_rule_context rc = {s->b,      grad,       node, is_linear_layer(node) && !below,
                           set->twin, set->params};
    for (size_t i = 0; i < set->n_rules; i++) {
        if (!set->rules[i].match(&rc)) continue;
        *applied = true;
        *parts = !set->rules[i].apply;
        if (*parts) return OXP_OK;
        OXP_TRY(report(s, set->rules[i].name, node));
        return set->rules[i].apply(&rc);
    }
    return OXP_OK;
}

static oxp_status walk(diff_state *s, size_t from, size_t to, bool rules);

/* Replaces the node by its parts, appended to the graph, and walks back through those. */
static oxp_status walk_expanded(diff_state *s, const oxp_node *node, const oxp_val *dy, bool rules)
{
    OXP_FAIL_IF(s->b->ctx, !node->op->expand, OXP_EINTERNAL,
                "%s has neither a gradient nor an expansion", node->op->name);
    const size_t from = s->b->g->n_nodes;
    oxp_val *parts = OXP_NEW(s->tmp, oxp_val, node->n_out);
    OXP_NOMEM_IF(s->b->ctx, parts);
    const uint32_t flags = s->b->flags;
    s->b->flags &= ~(uint32_t)OXP_NODE_ADJOINT;
    const oxp_status status = node->op->expand(s->b, node, parts);
    s->b->flags = flags;
    OXP_TRY(status);
    OXP_TRY(s->b->status);
    OXP_TRY(grow(s));
    const size_t to = s->b->g->n_nodes;
    mark_forward(s, from, to);
    for (uint32_t k = 0; k < node->n_out; k++)
        if (dy[k] != OXP_NO_VAL && s->reach[parts[k]]) OXP_TRY(contribute(s, parts[k], dy[k]));
    return walk(s, from, to, rules);
}

static oxp_status scatter(diff_state *s, const oxp_grad *grad)
{
    for (uint32_t k = 0; k < grad->node->n_in; k++) {
        if (!grad->wants[k] || grad->dx[k] == OXP_NO_VAL) continue;
        const oxp_shape shape = *oxp_b_shape(s->b, grad->node->in[k]);
        const oxp_val dx = oxp_b_unbroadcast(s->b, grad->dx[k], &shape);
        OXP_TRY(s->b->status);
        OXP_TRY(grow(s));
        OXP_TRY(contribute(s, grad->node->in[k], dx));
    }
    return OXP_OK;
}

static oxp_status step_back(diff_state *s, const oxp_node *node, bool rules)
{
    oxp_ctx *ctx = s->b->ctx;
    oxp_val *dy = OXP_NEW(s->tmp, oxp_val, node->n_out);
    oxp_val *dx = OXP_NEW(s->tmp, oxp_val, node->n_in);
    bool *wants = OXP_NEW(s->tmp, bool, node->n_in);
    OXP_FAIL_IF(ctx, !dy || !dx || !wants, OXP_ENOMEM, "out of memory");
    bool any_dy = false, any_want = false;
    for (uint32_t k = 0; k < node->n_out; k++) {
        if (node->out[k] != OXP_NO_VAL) OXP_TRY(take(s, node->out[k], &dy[k]));
        any_dy = any_dy || dy[k] != OXP_NO_VAL;
    }
    for (uint32_t k = 0; k < node->n_in; k++) {
        const oxp_val v = node->in[k];
        wants[k] = v != OXP_NO_VAL && s->reach[v] && oxp_value_of(s->b->g, v)->dtype == OXP_F32;
        any_want = any_want || wants[k];
    }
    if (!any_dy || !any_want) return OXP_OK;
    ctx->node = s->b->origin = node->origin;
    ctx->op = node->op->name;
    oxp_grad grad = {s->b, node, dy, wants, dx};
    bool applied = false, parts = false;
    if (rules) OXP_TRY(apply_rules(s, &grad, &applied, &parts));
    if (parts) return walk_expanded(s, node, dy, true);
    const uint32_t adjoint = OXP_OP_INTERNAL | OXP_OP_NOT_DIFFERENTIABLE;
    OXP_FAIL_IF(ctx, !applied && (node->op->flags & adjoint) == adjoint, OXP_EUNSUPPORTED,
                "there is no second derivative through '%s' (%s): choose a method of first ones",
                node->origin, node->op->name);
    if (!applied && (node->op->flags & OXP_OP_NOT_DIFFERENTIABLE)) {
        s->diff->stopped = true;
        return OXP_OK;
    }
    if (!applied && !node->op->grad) return walk_expanded(s, node, dy, false);
    if (!applied) OXP_TRY(node->op->grad(&grad));
    OXP_TRY(s->b->status);
    OXP_TRY(grow(s));
    return scatter(s, &grad);
}

static oxp_status walk(diff_state *s, size_t from, size_t to, bool rules)
{
    for (size_t i = to; i-- > from;) OXP_TRY(step_back(s, s->b->g->nodes[i], rules));
    return OXP_OK;
}

static oxp_status differentiate(diff_state *s)
{
    oxp_diff *d = s->diff;
    oxp_graph *g = s->b->g;
    d->adjoint = OXP_NEW(g->arena, oxp_val, d->n_wrt);
    OXP_NOMEM_IF(s->b->ctx, d->adjoint);
    d->touched = NULL;
    d->n_touched = 0;
    d->stopped = false;
    const size_t primal = g->n_nodes;
    OXP_TRY(grow(s));
    for (size_t i = 0; i < d->n_wrt; i++) s->reach[d->wrt[i]] = true;
    mark_forward(s, 0, primal);
    for (size_t i = 0; i < d->n_target; i++) OXP_TRY(contribute(s, d->target[i], d->seed[i]));
    OXP_TRY(walk(s, 0, primal, d->rules != NULL));
    for (size_t i = 0; i < d->n_wrt; i++) OXP_TRY(take(s, d->wrt[i], &d->adjoint[i]));
    return OXP_OK;
}

oxp_status oxp_differentiate(oxp_build *b, oxp_diff *diff)
{
    OXP_TRY(b->status);
    diff_state s = {.b = b, .diff = diff, .tmp = oxp_arena_new(oxp_arena_hooks(b->g->arena))};
    OXP_NOMEM_IF(b->ctx, s.tmp);
    const char *origin = b->origin;
    const uint32_t flags = b->flags;
    b->ctx->stage = OXP_STAGE_GRAD;
    b->flags = OXP_NODE_ADJOINT;
    const oxp_status status = differentiate(&s);
    b->origin = origin;
    b->flags = flags;
    b->ctx->node = b->ctx->op = NULL;
    oxp_arena_free(s.tmp);
    return status;
}

/* The expansion on its own: what its inputs come from is not looked at. */
static oxp_status through_parts(diff_state *s, oxp_grad *g)
{
    OXP_TRY(grow(s));
    for (uint32_t k = 0; k < g->node->n_in; k++)
        if (g->wants[k]) s->reach[g->node->in[k]] = true;
    OXP_TRY(walk_expanded(s, g->node, g->dy, false));
    for (uint32_t k = 0; k < g->node->n_in; k++) {
        bool again = false; /* the same value twice has all of its adjoint already */
        for (uint32_t i = 0; i < k; i++)
            again = again || (g->wants[i] && g->node->in[i] == g->node->in[k]);
        if (g->wants[k] && !again) OXP_TRY(take(s, g->node->in[k], &g->dx[k]));
    }
    return s->b->status;
}

oxp_status oxp_gradient_of(oxp_grad *g)
{
    if (g->node->op->grad) return g->node->op->grad(g);
    oxp_diff none = {0};
    diff_state s = {
        .b = g->b, .diff = &none, .tmp = oxp_arena_new(oxp_arena_hooks(g->b->g->arena))};
    OXP_NOMEM_IF(g->b->ctx, s.tmp);
    const oxp_status status = through_parts(&s, g);
    oxp_arena_free(s.tmp);
    return status;
}
