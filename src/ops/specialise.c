/* specialise.c - see specialise.h. One walk backwards marks what the cut needs, one walk
 * forwards re-emits it with shapes. */
#include "ops/specialise.h"

#include "ops/infer.h"
#include <string.h>

typedef struct special_state {
    oxp_ctx *ctx;
    const oxp_graph *model;
    oxp_build b;
    oxp_val *map;
    oxp_dtype *type; /* [model->n_values] */
    bool *needed;
    const oxp_cut *cut;
    bool *needs_data; /* [cut->n_feeds] or NULL */
} special_state;

/* A needed value that nobody feeds pulls in its producer's inputs. Nodes are in topological
 * order, so one backward walk does. */
static void mark_needed(special_state *s, const bool *fed)
{
    const oxp_graph *m = s->model;
    for (size_t i = m->n_nodes; i-- > 0;) {
        const oxp_node *node = m->nodes[i];
        bool wanted = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            wanted = wanted || (node->out[k] && s->needed[node->out[k]] && !fed[node->out[k]]);
        for (uint32_t k = 0; wanted && k < node->n_in; k++) s->needed[node->in[k]] = true;
    }
    s->needed[OXP_NO_VAL] = false;
}

static oxp_status add_feeds(special_state *s, const oxp_cut *cut)
{
    for (size_t i = 0; i < cut->n_feeds; i++) {
        const oxp_feed *feed = &cut->feeds[i];
        const oxp_value *v = oxp_value_of(s->model, feed->val);
        const oxp_dtype dtype =
            v->dtype == OXP_DTYPE_NONE ? OXP_F32 : oxp_dtype_canonical(v->dtype);
        s->type[feed->val] = v->dtype == OXP_DTYPE_NONE ? OXP_F32 : v->dtype;
        oxp_val *to = &s->map[feed->val];
        if (feed->fixed)
            OXP_TRY(oxp_graph_add_const(s->ctx, s->b.g, v->name, dtype, feed->fixed, to));
        else
            OXP_TRY(oxp_graph_add_value(s->ctx, s->b.g, v->name, OXP_VALUE_INPUT, dtype,
                                        &feed->shape, to));
    }
    return OXP_OK;
}

static oxp_status add_constants(special_state *s)
{
    for (size_t v = 1; v < s->model->n_values; v++) {
        const oxp_value *value = s->model->values[v];
        if (!s->needed[v] || s->map[v] != OXP_NO_VAL) continue;
        OXP_FAIL_IF(s->ctx, value->kind == OXP_VALUE_INPUT, OXP_EINVAL,
                    "the model's input '%s' is needed but was not given",
                    value->name ? value->name : "?");
        if (value->kind != OXP_VALUE_CONST) continue;
        s->type[v] = value->dtype;
        OXP_TRY(oxp_graph_add_const(s->ctx, s->b.g, value->name, oxp_dtype_canonical(value->dtype),
                                    value->constant, &s->map[v]));
    }
    return OXP_OK;
}

/* The constant tensor behind new value v as an attribute of the wanted type. */
static oxp_status attr_from_tensor(special_state *s, const oxp_const_in *ci, const oxp_tensor *t,
                                   oxp_attr *out)
{
    const size_t n = (size_t)oxp_shape_elements(&t->shape);
    *out = (oxp_attr){.name = ci->attr, .type = ci->type, .n = n};
    if (ci->type == OXP_ATTR_INT || ci->type == OXP_ATTR_FLOAT) {
        OXP_FAIL_IF(s->ctx, n != 1, OXP_EINVAL, "'%s' must be a single number, found %zu", ci->attr,
                    n);
        out->i = oxp_tensor_get_int(t, 0);
        out->f = oxp_tensor_get(t, 0);
        return OXP_OK;
    }
    int64_t *ints = OXP_NEW(s->ctx->scratch, int64_t, n + 1);
    double *floats = OXP_NEW(s->ctx->scratch, double, n + 1);
    OXP_FAIL_IF(s->ctx, !ints || !floats, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        ints[i] = oxp_tensor_get_int(t, (int64_t)i);
        floats[i] = oxp_tensor_get(t, (int64_t)i);
    }
    out->ints = ints;
    out->floats = floats;
    return OXP_OK;
}

static const oxp_const_in *const_input(const oxp_op *op, uint32_t index)
{
    for (const oxp_const_in *ci = op->const_in; ci && ci->attr; ci++)
        if (ci->index == (int)index) return ci;
    return NULL;
}

/* Marks the fed integers that new value v is computed from, and floats that are settings (a depth, the
 * scales of a resize): one number or a row of them. */
static oxp_status mark_sources(special_state *s, oxp_val v)
{
    const oxp_graph *g = s->b.g;
    if (!s->needs_data) return OXP_OK;
    bool *source = OXP_NEW(s->ctx->scratch, bool, g->n_values);
    OXP_NOMEM_IF(s->ctx, source);
    source[v] = true;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const oxp_node *node = g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            any = any || (node->out[k] && source[node->out[k]]);
        for (uint32_t k = 0; any && k < node->n_in; k++) source[node->in[k]] = true;
    }
    for (size_t i = 0; i < s->cut->n_feeds; i++) {
        const oxp_val feed = s->map[s->cut->feeds[i].val];
        const oxp_value *value = oxp_value_of(g, feed);
        if (source[feed] && (value->dtype != OXP_F32 || value->shape.rank <= 1))
            s->needs_data[i] = true;
    }
    return OXP_OK;
}

typedef struct resolved { /* a node's inputs and attributes in the new graph */
    oxp_val *in;
    size_t n_in;
    oxp_attr *attrs;
    size_t n_attrs;
    bool varies; /* an input that is a constant elsewhere is none here (OXP_OP_MAY_VARY) */
} resolved;

static oxp_status resolve(special_state *s, const oxp_node *node, resolved *r)
{
    r->in = OXP_NEW(s->ctx->scratch, oxp_val, node->n_in + 1);
    r->attrs = OXP_NEW(s->ctx->scratch, oxp_attr, node->n_attrs + node->n_in + 2);
    OXP_FAIL_IF(s->ctx, !r->in || !r->attrs, OXP_ENOMEM, "out of memory");
    r->n_in = 0;
    r->varies = false;
    r->n_attrs = node->n_attrs;
    if (node->n_attrs) memcpy(r->attrs, node->attrs, node->n_attrs * sizeof(oxp_attr));
    for (uint32_t k = 0; k < node->n_in; k++) {
        const oxp_val v = node->in[k] == OXP_NO_VAL ? OXP_NO_VAL : s->map[node->in[k]];
        const oxp_const_in *ci = const_input(node->op, k);
        if (!ci) {
            r->in[r->n_in++] = v;
            continue;
        }
        const bool may_vary = (node->op->flags & OXP_OP_MAY_VARY) != 0;
        if (may_vary) r->in[r->n_in++] = OXP_NO_VAL; /* keeps the places of those behind it */
        if (v == OXP_NO_VAL) continue;
        const oxp_value *value = oxp_value_of(s->b.g, v);
        if (may_vary && value->kind != OXP_VALUE_CONST) {
            r->in[r->n_in - 1] = v;
            r->varies = true;
            continue;
        }
        if (value->kind != OXP_VALUE_CONST) OXP_TRY(mark_sources(s, v));
        OXP_FAIL_IF(s->ctx, value->kind != OXP_VALUE_CONST, OXP_EUNSUPPORTED,
                    "%s '%s' takes its %s from the data of an input; it must be constant",
                    node->op->name, node->origin, ci->attr);
        OXP_TRY(attr_from_tensor(s, ci, value->constant, &r->attrs[r->n_attrs++]));
    }
    while (r->n_in > 0 && r->in[r->n_in - 1] == OXP_NO_VAL) r->n_in--;
    return OXP_OK;
}

/* ---- exact types ---- */

/* The exact types of a node's outputs. `kind`: the dtypes that its inference gave, NULL: not yet
 * known. */
static oxp_status exact_types(special_state *s, const oxp_node *node, const oxp_dtype *kind,
                              uint32_t n_out, oxp_dtype *out)
{
    oxp_dtype *in = OXP_NEW(s->ctx->scratch, oxp_dtype, node->n_in + 1);
    OXP_NOMEM_IF(s->ctx, in);
    for (uint32_t i = 0; i < node->n_in; i++) in[i] = s->type[node->in[i]];
    for (uint32_t k = 0; k < n_out; k++) {
        out[k] = kind ? kind[k] : OXP_F32;
        const oxp_dtype special = node->op->exact ? node->op->exact(node, in, k) : OXP_DTYPE_NONE;
        if (special != OXP_DTYPE_NONE) {
            out[k] = special;
            continue;
        }
        for (uint32_t i = node->n_in; i-- > 0;)
            if (in[i] != OXP_DTYPE_NONE && (!kind || oxp_dtype_canonical(in[i]) == kind[k]))
                out[k] = in[i];
    }
    return OXP_OK;
}

/* The exact type of the first output as the attribute `type`; what a file may have said is
 * replaced. */
static oxp_status add_type(special_state *s, const oxp_node *node, resolved *r)
{
    oxp_dtype type;
    OXP_TRY(exact_types(s, node, NULL, 1, &type));
    for (size_t i = 0; i < r->n_attrs; i++)
        if (strcmp(r->attrs[i].name, "type") == 0) r->attrs[i] = r->attrs[--r->n_attrs];
    r->attrs[r->n_attrs++] = OXP_INT("type", type);
    return OXP_OK;
}

static bool is_narrow(oxp_dtype type)
{
    return oxp_dtype_is_int(type) && oxp_dtype_bits(type) < 64;
}

/* Records the exact types of the outputs, and wraps narrow integers around where they may have
 * left their range. */
static oxp_status settle_types(special_state *s, const oxp_node *node, uint32_t n_out,
                               oxp_val *outs)
{
    oxp_dtype *kind = OXP_NEW(s->ctx->scratch, oxp_dtype, 2 * (size_t)n_out);
    OXP_NOMEM_IF(s->ctx, kind);
    oxp_dtype *type = kind + n_out;
    for (uint32_t k = 0; k < n_out; k++)
        kind[k] = outs[k] ? oxp_value_of(s->b.g, outs[k])->dtype : OXP_DTYPE_NONE;
    OXP_TRY(exact_types(s, node, kind, n_out, type));
    for (uint32_t k = 0; k < n_out; k++) {
        if (node->out[k] == OXP_NO_VAL) continue;
        s->type[node->out[k]] = oxp_dtype_canonical(type[k]) == kind[k] ? type[k] : kind[k];
        if ((node->op->flags & OXP_OP_WRAPS) && kind[k] == OXP_I64 && is_narrow(type[k]))
            outs[k] = OXP_EMIT1(&s->b, &oxp_op_Cast, outs[k], OXP_INT("to", type[k]));
    }
    return s->b.status;
}

/* ---- nodes ---- */

/* Identity, Dropout (unless it asks for training: its infer refuses that), and Cast between
 * float types, which are all one "float". */
static bool passes_through(const special_state *s, const oxp_node *node, const resolved *r)
{
    const oxp_val x = r->in[0];
    for (size_t i = 0; i < r->n_attrs; i++)
        if (node->op == &oxp_op_Dropout && strcmp(r->attrs[i].name, "training_mode") == 0 &&
            r->attrs[i].i != 0)
            return false;
    if (node->op != &oxp_op_Cast) return (node->op->flags & OXP_OP_IDENTITY) != 0;
    return oxp_cast_passes(node, oxp_value_of(s->b.g, x)->dtype);
}

/* The node in the new graph; or its expansion, where a setting varies or the operator only stands for
 * others. */
static oxp_status emit_resolved(special_state *s, const oxp_node *node, const resolved *r,
                                uint32_t n_out, oxp_val *outs)
{
    oxp_graph *g = s->b.g;
    const size_t nodes = g->n_nodes, values = g->n_values;
    oxp_node whole = *node;
    if (!r->varies) {
        OXP_TRY(oxp_emit_multi(&s->b, node->op, r->in, r->n_in, r->attrs, r->n_attrs, n_out, outs));
        if (!(node->op->flags & OXP_OP_OPEN) || g->n_nodes == nodes) return OXP_OK;
        whole = *g->nodes[nodes]; /* inferred, so it is sound: now taken back */
        g->n_nodes = nodes;
        g->n_values = values;
    } else {
        whole.n_in = (uint32_t)r->n_in;
        whole.in = r->in;
        whole.n_out = n_out;
        whole.attrs = r->attrs;
        whole.n_attrs = r->n_attrs;
    }
    OXP_TRY(node->op->expand(&s->b, &whole, outs));
    return s->b.status;
}

static oxp_status emit_node(special_state *s, const oxp_node *node)
{
    resolved r;
    s->ctx->node = node->origin;
    s->ctx->op = node->op->name;
    OXP_TRY(resolve(s, node, &r));
    s->b.origin = node->origin;
    /* trailing outputs that nobody needs are not asked for; Split counts its own */
    uint32_t n_out = node->n_out;
    while (n_out > 1 && node->op->max_out != OXP_VARIADIC &&
           (node->out[n_out - 1] == OXP_NO_VAL || !s->needed[node->out[n_out - 1]]) &&
           n_out > node->op->min_out)
        n_out--;
    oxp_val *outs = OXP_NEW(s->ctx->scratch, oxp_val, n_out);
    OXP_NOMEM_IF(s->ctx, outs);
    if (n_out == 1 && passes_through(s, node, &r)) {
        outs[0] = s->map[node->out[0]] = r.in[0];
        return settle_types(s, node, 1, outs);
    }
    if (node->op->flags & OXP_OP_TYPED) OXP_TRY(add_type(s, node, &r));
    const oxp_status status = emit_resolved(s, node, &r, n_out, outs);
    for (size_t k = 0; status == OXP_EUNSUPPORTED && k < r.n_in; k++) /* Range infers from data */
        if (r.in[k] && oxp_value_of(s->b.g, r.in[k])->kind != OXP_VALUE_CONST)
            OXP_TRY(mark_sources(s, r.in[k]));
    OXP_TRY(status);
    OXP_TRY(settle_types(s, node, n_out, outs));
    for (uint32_t k = 0; k < n_out; k++) {
        if (node->out[k] == OXP_NO_VAL || s->map[node->out[k]] != OXP_NO_VAL)
            continue; /* absent, or fed by the cut */
        oxp_value *made = oxp_value_of(s->b.g, outs[k]);
        s->map[node->out[k]] = outs[k];
        if (!made->name) made->name = oxp_value_of(s->model, node->out[k])->name;
    }
    return OXP_OK;
}

static oxp_status emit_all(special_state *s, const bool *fed)
{
    for (size_t i = 0; i < s->model->n_nodes; i++) {
        const oxp_node *node = s->model->nodes[i];
        bool wanted = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            wanted = wanted || (node->out[k] && s->needed[node->out[k]] && !fed[node->out[k]]);
        if (wanted) OXP_TRY(emit_node(s, node));
    }
    return OXP_OK;
}

oxp_status oxp_specialise(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *model,
                          const oxp_cut *cut, oxp_special *out, bool *needs_data)
{
    ctx->stage = OXP_STAGE_INFER;
    special_state s = {.ctx = ctx, .model = model, .cut = cut, .needs_data = needs_data};
    bool *fed = OXP_NEW(ctx->scratch, bool, model->n_values);
    s.needed = OXP_NEW(ctx->scratch, bool, model->n_values);
    s.map = OXP_NEW(arena, oxp_val, model->n_values);
    s.type = OXP_NEW(arena, oxp_dtype, model->n_values);
    oxp_graph *g = oxp_graph_new(arena);
    OXP_FAIL_IF(ctx, !fed || !s.needed || !s.map || !s.type || !g, OXP_ENOMEM, "out of memory");
    oxp_build_init(&s.b, ctx, g);
    g->max_bytes = cut->max_bytes;
    for (size_t i = 0; i < cut->n_feeds; i++) fed[cut->feeds[i].val] = true;
    for (size_t i = 0; i < cut->n_wanted; i++) s.needed[cut->wanted[i]] = true;
    mark_needed(&s, fed);
    OXP_TRY(add_feeds(&s, cut));
    OXP_TRY(add_constants(&s));
    OXP_TRY(emit_all(&s, fed));
    for (size_t i = 0; i < cut->n_wanted; i++)
        OXP_TRY(oxp_graph_add_output(ctx, g, s.map[cut->wanted[i]]));
    ctx->node = ctx->op = NULL;
    *out = (oxp_special){g, s.map, s.type};
    return oxp_graph_verify(ctx, g);
}
