/* pin.c - values that decide shapes or branches: what is asked for as the data of inputs, and what is
 * computed from the data at hand and pinned. See specialise.h.
 *
 * Whole numbers that a shape follows from are mostly inputs themselves (ids, a length, a rate): they
 * become guarded constants, and all that depends on them disappears. Where floats are involved only the
 * value at that place becomes a constant: the rest still depends on the input, and has a gradient. */
#include "ops/infer.h"
#include "ops/special.h"

#include <string.h>

/* Marks what the values are computed from: [n_values]. */
static oxp_status mark_sources(const oxp_specialiser *s, const oxp_val *vals, size_t n, bool **out)
{
    const oxp_graph *g = s->b.g;
    bool *source = *out = OXP_NEW(s->ctx->scratch, bool, g->n_values);
    OXP_NOMEM_IF(s->ctx, source);
    for (size_t i = 0; i < n; i++) source[vals[i]] = true;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const oxp_node *node = g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            any = any || (node->out[k] && source[node->out[k]]);
        for (uint32_t k = 0; any && k < node->n_in; k++) source[node->in[k]] = true;
    }
    return OXP_OK;
}

/* Integers may become constants; floats where nobody computes and they are settings (a depth, the scales
 * of a resize): one number or a row of them. */
static bool may_be_fixed(const oxp_specialiser *s, oxp_val feed)
{
    const oxp_value *v = oxp_value_of(s->b.g, feed);
    return v->dtype != OXP_F32 || (!s->cut->evaluate && v->shape.rank <= 1);
}

/* Asks for the data of the inputs that vals are computed from; *all: that is enough to know them. */
static oxp_status ask_for_data(oxp_specialiser *s, const oxp_val *vals, size_t n, bool *all)
{
    bool *source;
    *all = true;
    OXP_TRY(mark_sources(s, vals, n, &source));
    for (size_t i = 0; i < s->cut->n_feeds; i++) {
        const oxp_val feed = s->top.map[s->cut->feeds[i].val];
        *all = *all && (!source[feed] || oxp_value_of(s->b.g, feed)->kind == OXP_VALUE_CONST ||
                        may_be_fixed(s, feed));
    }
    *all = *all && s->needs_data;
    const bool mark = *all || !s->cut->evaluate;
    for (size_t i = 0; mark && s->needs_data && i < s->cut->n_feeds; i++) {
        const oxp_val feed = s->top.map[s->cut->feeds[i].val];
        if (source[feed] && may_be_fixed(s, feed)) s->needs_data[i] = true;
    }
    return OXP_OK;
}

static oxp_status add_pin(oxp_specialiser *s, oxp_pin pin)
{
    oxp_arena *arena = s->b.g->arena;
    OXP_FAIL_IF(s->ctx, !oxp_arena_grow(arena, &s->pins, s->n_pins, &s->cap_pins, sizeof *s->pins),
                OXP_ENOMEM, "out of memory");
    s->pins[s->n_pins++] = pin;
    return OXP_OK;
}

/* The values that are not constants; *n of them, in the graph's arena. */
static oxp_status unknown(const oxp_specialiser *s, const oxp_val *vals, size_t n, oxp_val **out,
                          size_t *n_out)
{
    *out = OXP_NEW(s->b.g->arena, oxp_val, n + 1);
    OXP_NOMEM_IF(s->ctx, *out);
    *n_out = 0;
    for (size_t i = 0; i < n; i++)
        if (vals[i] && oxp_value_of(s->b.g, vals[i])->kind != OXP_VALUE_CONST)
            (*out)[(*n_out)++] = vals[i];
    return OXP_OK;
}

oxp_status oxp_pin_values(oxp_specialiser *s, const oxp_node *node, const char *what,
                          const oxp_val *vals, size_t n, oxp_val *out)
{
    oxp_ctx *ctx = s->ctx;
    oxp_graph *g = s->b.g;
    oxp_val *open;
    size_t n_open;
    bool by_inputs;
    memcpy(out, vals, n * sizeof *out);
    OXP_TRY(unknown(s, vals, n, &open, &n_open));
    if (n_open == 0) return OXP_OK;
    OXP_TRY(ask_for_data(s, open, n_open, &by_inputs));
    OXP_FAIL_IF(ctx, by_inputs || !s->cut->evaluate, OXP_EUNSUPPORTED,
                "%s '%s' takes its %s from the data of an input; it must be constant",
                node->op->name, node->origin, what);
    oxp_tensor *data = OXP_NEW(g->arena, oxp_tensor, n_open);
    const oxp_tensor **list = OXP_NEW(g->arena, const oxp_tensor *, n_open);
    OXP_FAIL_IF(ctx, !data || !list, OXP_ENOMEM, "out of memory");
    const char *origin = ctx->node, *op = ctx->op;
    OXP_TRY(s->cut->evaluate(ctx, s->cut->evaluate_arg, g, open, n_open, data));
    ctx->node = origin;
    ctx->op = op;
    ctx->stage = OXP_STAGE_INFER;
    oxp_ctx_log(ctx, "compile", "%s '%s': %s computed from the input at hand, and pinned",
                node->op->name, node->origin, what);
    size_t next = 0;
    for (size_t i = 0; i < n; i++) {
        if (vals[i] == OXP_NO_VAL || oxp_value_of(g, vals[i])->kind == OXP_VALUE_CONST) continue;
        list[next] = &data[next];
        OXP_TRY(oxp_graph_add_const(ctx, g, NULL, oxp_value_of(g, vals[i])->dtype, list[next++],
                                    &out[i]));
    }
    if (node->op->flags & OXP_OP_DATA_SHAPED) return OXP_OK;
    return add_pin(s, (oxp_pin){open, n_open, NULL, list});
}

oxp_status oxp_pin_results(oxp_specialiser *s, const oxp_node *node, const oxp_val *vals, size_t n,
                           const oxp_attr *attrs, size_t n_attrs, const oxp_val *outs, size_t n_out)
{
    oxp_graph *g = s->b.g;
    oxp_val *open;
    size_t n_open;
    OXP_TRY(unknown(s, vals, n, &open, &n_open));
    if (n_open == 0) return OXP_OK;
    oxp_node *made = oxp_arena_memdup(g->arena, node, sizeof *node);
    const oxp_tensor **data = OXP_NEW(g->arena, const oxp_tensor *, n_out);
    OXP_FAIL_IF(s->ctx, !made || !data, OXP_ENOMEM, "out of memory");
    made->in = oxp_arena_memdup(g->arena, vals, n * sizeof *vals);
    made->attrs = OXP_NEW(g->arena, oxp_attr, n_attrs + 1);
    OXP_FAIL_IF(s->ctx, !made->in || !made->attrs, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n_attrs; i++)
        OXP_TRY(oxp_attr_copy(s->ctx, g->arena, &attrs[i], &made->attrs[i]));
    made->n_in = (uint32_t)n;
    made->n_out = (uint32_t)n_out;
    made->n_attrs = n_attrs;
    for (size_t i = 0; i < n_out; i++) data[i] = oxp_value_of(g, outs[i])->constant;
    return add_pin(s, (oxp_pin){open, n_open, made, data});
}

/* ---- later data ---- */

static bool same_data(const oxp_tensor *a, const oxp_tensor *b)
{
    return a->dtype == b->dtype && oxp_shape_equal(&a->shape, &b->shape) &&
           memcmp(a->data, b->data, oxp_tensor_bytes(a)) == 0;
}

/* The node's results for these data, in a graph of their own. */
static oxp_status results(oxp_ctx *ctx, oxp_arena *tmp, const oxp_graph *g, const oxp_pin *pin,
                          const oxp_tensor *data, bool *holds)
{
    const oxp_node *node = pin->node;
    oxp_build b;
    oxp_graph *own = oxp_graph_new(tmp);
    oxp_val *in = OXP_NEW(tmp, oxp_val, node->n_in + 1), *outs = OXP_NEW(tmp, oxp_val, node->n_out);
    OXP_FAIL_IF(ctx, !own || !in || !outs, OXP_ENOMEM, "out of memory");
    oxp_build_init(&b, ctx, own);
    b.origin = node->origin;
    size_t next = 0;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == OXP_NO_VAL) continue;
        const oxp_value *v = oxp_value_of(g, node->in[i]);
        in[i] = oxp_b_const(&b, v->dtype, v->kind == OXP_VALUE_CONST ? v->constant : &data[next++]);
    }
    OXP_TRY(oxp_emit_multi(&b, node->op, in, node->n_in, node->attrs, node->n_attrs, node->n_out,
                           outs));
    for (uint32_t i = 0; *holds && i < node->n_out; i++)
        *holds = same_data(oxp_value_of(own, outs[i])->constant, pin->data[i]);
    return OXP_OK;
}

oxp_status oxp_pin_holds(oxp_ctx *ctx, const oxp_graph *g, const oxp_pin *pin,
                         const oxp_tensor *data, bool *holds)
{
    *holds = true;
    for (size_t i = 0; !pin->node && *holds && i < pin->n_vals; i++)
        *holds = same_data(&data[i], pin->data[i]);
    if (!pin->node) return OXP_OK;
    oxp_arena *tmp = oxp_arena_new(oxp_arena_hooks(g->arena));
    OXP_NOMEM_IF(ctx, tmp);
    const oxp_status status = results(ctx, tmp, g, pin, data, holds);
    oxp_arena_free(tmp);
    return status;
}
