/* unroll_loop.c - Loop while specialising: its body once for each trip.
 *
 * Scan outputs are joined. A body that never runs is emitted once and taken back, to know the shapes of
 * what it would have made. */
#include "ops/infer.h"
#include "ops/unroll.h"

#include <string.h>

/* ---- Loop (trips?, condition?, state...; captures) -> state..., series... ----
 * body (trip, condition, state...) -> condition, state..., series... */

typedef struct looping {
    const oxp_node *node;
    oxp_unrolled b;
    size_t n_state, n_series;
    oxp_val *in, *out; /* of the body */
    oxp_dtype *in_type, *out_type;
    oxp_series *all; /* [n_series] */
    bool conditional;
} looping;

static oxp_status open_loop(oxp_specialiser *s, const oxp_node *node, looping *l)
{
    const size_t captures = (size_t)oxp_attr_int(node, "captures", 0);
    const size_t own = node->n_in - captures;
    bool *wanted;
    *l = (looping){.node = node, .n_state = own < 2 ? 0 : own - 2};
    l->conditional = own > 1 && node->in[1] != OXP_NO_VAL;
    const oxp_attr *a = oxp_attr_find(node, "body");
    const size_t n_out = a && a->type == OXP_ATTR_GRAPH ? a->g->n_outputs : 0;
    OXP_NODE_FAIL_IF(s->ctx, node, n_out < 1 + l->n_state || node->n_out + 1 > n_out, OXP_ECORRUPT,
                     "has %zu states and %u outputs, its body makes %zu", l->n_state, node->n_out,
                     n_out);
    l->n_series = n_out - 1 - l->n_state;
    OXP_TRY(oxp_unroll_wanted(s, node, 1, &wanted));
    wanted[0] = l->conditional;
    /* a state is needed by the next trip, whoever reads the last one */
    bool *all = OXP_NEW(s->ctx->scratch, bool, n_out + 1);
    OXP_NOMEM_IF(s->ctx, all);
    for (size_t i = 0; i < n_out; i++)
        all[i] = (i > 0 && i <= l->n_state) || (i < node->n_out + 1 && wanted[i]);
    OXP_TRY(oxp_body_open(s, node, "body", all, n_out, false, &l->b));
    l->in = OXP_NEW(s->ctx->scratch, oxp_val, l->n_state + 2);
    l->in_type = OXP_NEW(s->ctx->scratch, oxp_dtype, l->n_state + 2);
    l->out = OXP_NEW(s->ctx->scratch, oxp_val, n_out);
    l->out_type = OXP_NEW(s->ctx->scratch, oxp_dtype, n_out);
    l->all = OXP_NEW(s->ctx->scratch, oxp_series, l->n_series + 1);
    OXP_FAIL_IF(s->ctx, !l->in || !l->in_type || !l->out || !l->out_type || !l->all, OXP_ENOMEM,
                "out of memory");
    for (size_t i = 0; i < l->n_state; i++) {
        l->in[2 + i] = s->at->map[node->in[2 + i]];
        l->in_type[2 + i] = s->at->type[node->in[2 + i]];
    }
    return OXP_OK;
}

/* A constant of one number, of rank 0. */
static oxp_val scalar(oxp_specialiser *s, oxp_dtype dtype, int64_t value)
{
    oxp_tensor *t = OXP_NEW(s->b.g->arena, oxp_tensor, 1);
    const oxp_shape none = {.rank = 0};
    const double wide = (double)value;
    if (!t) s->b.status = oxp_ctx_fail(s->ctx, OXP_ENOMEM, "out of memory");
    if (s->b.status == OXP_OK) s->b.status = oxp_tensor_new(s->ctx, s->b.g->arena, dtype, &none, t);
    if (s->b.status != OXP_OK) return OXP_NO_VAL;
    oxp_convert((void *)(uintptr_t)t->data, dtype, &wide, OXP_F64, 1);
    return oxp_b_const(&s->b, dtype, t);
}

static oxp_status trip(oxp_specialiser *s, looping *l, int64_t i)
{
    l->in[0] = scalar(s, OXP_I64, i);
    l->in[1] = scalar(s, OXP_BOOL, 1);
    l->in_type[0] = OXP_I64;
    l->in_type[1] = OXP_BOOL;
    OXP_TRY(s->b.status);
    return oxp_body_run(s, l->node, &l->b, l->in, l->in_type, l->n_state + 2, l->out, l->out_type);
}

/* The series of a loop that never ran: the body is emitted for their shapes, and taken back. */
static oxp_status no_trips(oxp_specialiser *s, looping *l, oxp_val *outs, oxp_dtype *types)
{
    oxp_graph *g = s->b.g;
    const size_t nodes = g->n_nodes, values = g->n_values, pins = s->n_pins;
    const size_t first = l->n_state;
    oxp_value *like = OXP_NEW(s->ctx->scratch, oxp_value, l->n_series + 1);
    OXP_NOMEM_IF(s->ctx, like);
    bool any = false;
    for (size_t k = first; k < l->node->n_out; k++)
        any = any || l->b.level.needed[l->b.g->outputs[1 + k]];
    if (!any) return OXP_OK;
    OXP_TRY(trip(s, l, 0));
    for (size_t k = first; k < l->node->n_out; k++)
        if (l->out[1 + k]) like[k - first] = *oxp_value_of(g, l->out[1 + k]);
    g->n_nodes = nodes;
    g->n_values = values;
    s->n_pins = pins;
    for (size_t k = first; k < l->node->n_out; k++) {
        types[k] = l->out_type[1 + k];
        if (like[k - first].dtype != OXP_DTYPE_NONE)
            OXP_TRY(oxp_series_empty(s, l->node, &like[k - first], 0, &outs[k]));
    }
    return OXP_OK;
}

oxp_status oxp_unroll_loop(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                           oxp_dtype *types)
{
    looping l;
    int64_t trips = OXP_MAX_TRIPS + 1, on = 1, i = 0;
    OXP_TRY(open_loop(s, node, &l));
    const size_t own = node->n_in - l.b.n_captures;
    if (own > 0 && node->in[0] != OXP_NO_VAL)
        OXP_TRY(oxp_unroll_number(s, node, "number of trips", s->at->map[node->in[0]], &trips));
    if (l.conditional)
        OXP_TRY(oxp_unroll_number(s, node, "condition", s->at->map[node->in[1]], &on));
    for (; i < trips && on; i++) {
        OXP_NODE_FAIL_IF(s->ctx, node, i >= OXP_MAX_TRIPS, OXP_ELIMIT, "runs more than %d times",
                         OXP_MAX_TRIPS);
        OXP_TRY(trip(s, &l, i));
        if (l.n_state) {
            memcpy(l.in + 2, l.out + 1, l.n_state * sizeof *l.in);
            memcpy(l.in_type + 2, l.out_type + 1, l.n_state * sizeof *l.in_type);
        }
        for (size_t k = 0; k < l.n_series; k++)
            if (l.out[1 + l.n_state + k])
                OXP_TRY(oxp_series_add(s, &l.all[k], l.out[1 + l.n_state + k]));
        if (l.conditional) OXP_TRY(oxp_unroll_number(s, node, "condition", l.out[0], &on));
    }
    for (uint32_t k = 0; k < node->n_out && k < l.n_state; k++) {
        outs[k] = l.in[2 + k];
        types[k] = l.in_type[2 + k];
    }
    if (i == 0) return no_trips(s, &l, outs, types);
    for (size_t k = l.n_state; k < node->n_out; k++) {
        types[k] = l.out_type[1 + k];
        if (l.all[k - l.n_state].n)
            OXP_TRY(oxp_series_join(s, node, &l.all[k - l.n_state], 0, false, &outs[k]));
    }
    return OXP_OK;
}
