/* specialise.c - see specialise.h. One walk backwards marks what the cut needs, one walk
 * forwards re-emits it with shapes. */
#include "ops/special.h"

#include "ops/infer.h"
#include "ops/quantize.h"
#include "tensor/narrow.h"
#include <string.h>

/* Is an output of the node needed, and not fed? */
static bool is_wanted(const oxp_level *at, const oxp_node *node)
{
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] && at->needed[node->out[k]] && !(at->fed && at->fed[node->out[k]]))
            return true;
    return false;
}

/* A needed value that nobody feeds pulls in its producer's inputs. Nodes are in topological
 * order, so one backward walk does. */
static void mark_needed(oxp_level *at)
{
    const oxp_graph *m = at->graph;
    for (size_t i = m->n_nodes; i-- > 0;)
        for (uint32_t k = 0; is_wanted(at, m->nodes[i]) && k < m->nodes[i]->n_in; k++)
            at->needed[m->nodes[i]->in[k]] = true;
    at->needed[OXP_NO_VAL] = false;
}

static oxp_status add_feeds(oxp_specialiser *s, const oxp_cut *cut)
{
    for (size_t i = 0; i < cut->n_feeds; i++) {
        const oxp_feed *feed = &cut->feeds[i];
        const oxp_value *v = oxp_value_of(s->top.graph, feed->val);
        const oxp_dtype dtype =
            v->dtype == OXP_DTYPE_NONE ? OXP_F32 : oxp_dtype_canonical(v->dtype);
        s->top.type[feed->val] = v->dtype == OXP_DTYPE_NONE ? OXP_F32 : v->dtype;
        oxp_val *to = &s->top.map[feed->val];
        if (feed->fixed)
            OXP_TRY(oxp_graph_add_const(s->ctx, s->b.g, v->name, dtype, feed->fixed, to));
        else
            OXP_TRY(oxp_graph_add_value(s->ctx, s->b.g, v->name, OXP_VALUE_INPUT, dtype,
                                        &feed->shape, to));
    }
    return OXP_OK;
}

oxp_status oxp_level_begin(oxp_specialiser *s, oxp_level *level)
{
    const oxp_graph *g = level->graph;
    mark_needed(level);
    for (size_t v = 1; v < g->n_values; v++) {
        const oxp_value *value = g->values[v];
        if (!level->needed[v] || level->map[v] != OXP_NO_VAL || value->kind != OXP_VALUE_CONST)
            continue;
        level->type[v] = value->dtype;
        const char *name = level == &s->top ? value->name : NULL;
        OXP_TRY(oxp_graph_add_const(s->ctx, s->b.g, name, oxp_dtype_canonical(value->dtype),
                                    value->constant, &level->map[v]));
    }
    return OXP_OK;
}

/* The constant tensor behind new value v as an attribute of the wanted type. */
static oxp_status attr_from_tensor(oxp_specialiser *s, const oxp_const_in *ci, const oxp_tensor *t,
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

typedef struct resolved { /* a node's inputs and attributes in the new graph */
    oxp_val *in;
    size_t n_in;
    oxp_attr *attrs;
    size_t n_attrs;
    bool varies; /* an input that is a constant elsewhere is none here (OXP_OP_MAY_VARY) */
} resolved;

/* ---- codes: quantised integers that are floats here ---- */

/* Whether an operator takes codes as they are: it knows them, moves them, or chooses among them. */
static bool takes_codes(const oxp_op *op)
{
    static const oxp_op *const choose[] = {&oxp_op_MaxPool, &oxp_op_Pad,       &oxp_op_Where,
                                           &oxp_op_Max,     &oxp_op_Min,       &oxp_op_Clip,
                                           &oxp_op_Relu,    &oxp_op_ReduceMax, &oxp_op_ReduceMin};
    for (size_t i = 0; i < OXP_COUNT(choose); i++)
        if (op == choose[i]) return true;
    return (op->flags & (OXP_OP_CODES | OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) != 0;
}

static bool is_code(const oxp_specialiser *s, oxp_val v)
{
    return s->at->map[v] != OXP_NO_VAL && oxp_dtype_is_int(s->at->type[v]) &&
           oxp_value_of(s->b.g, s->at->map[v])->dtype == OXP_F32;
}

/* Integers as floats; constants share their data. */
static oxp_val as_code(oxp_specialiser *s, oxp_val v)
{
    const oxp_value *value = oxp_value_of(s->b.g, v);
    return value->kind == OXP_VALUE_CONST ? oxp_b_const(&s->b, OXP_F32, value->constant)
                                          : oxp_b_cast(&s->b, v, OXP_F32);
}

/* Input k, which ONNX has as a float. Where the node expects codes, somebody feeds what they mean: the codes
 * are then those that mean it, whole or not. */
static oxp_val fed_code(oxp_specialiser *s, const oxp_node *node, uint32_t k)
{
    int scale, zero;
    const oxp_val real = s->at->map[node->in[k]];
    if (!oxp_node_code(node, k, &scale, &zero) || s->b.status != OXP_OK) return real;
    if (scale < 0) {
        const char *name = oxp_value_of(s->at->graph, node->in[k])->name;
        s->b.status =
            oxp_ctx_fail(s->ctx, OXP_EUNSUPPORTED,
                         "'%s' holds integers whose scale is applied later: name another tensor",
                         name ? name : "?");
        return real;
    }
    const oxp_val number = s->at->map[node->in[scale]];
    const oxp_val q = oxp_b_div(&s->b, real, number);
    const oxp_val z = zero < 0 ? OXP_NO_VAL : s->at->map[node->in[zero]];
    if (z == OXP_NO_VAL || s->b.status != OXP_OK) return q;
    return oxp_b_add(&s->b, q, oxp_value_of(s->b.g, z)->dtype == OXP_I64 ? as_code(s, z) : z);
}

/* Input k of the node, a model value, in the new graph as this node wants it: an operator that knows codes gets its integers as
 * floats, and so does one that moves them where another of its operands is a code of the same type; any
 * other operator gets integers. `codes`: the type of the node's codes, NONE: it has none. */
static oxp_val operand(oxp_specialiser *s, const oxp_node *node, uint32_t k, oxp_dtype codes)
{
    const oxp_val v = node->in[k];
    const oxp_val now = s->at->map[v];
    if (now == OXP_NO_VAL) return now;
    if (oxp_dtype_is_float(s->at->type[v]) && !oxp_narrow_is(s->at->type[v]))
        return fed_code(s, node, k);
    const bool knows = (node->op->flags & OXP_OP_CODES) != 0;
    const bool whole = oxp_value_of(s->b.g, now)->dtype == OXP_I64;
    if (whole) return knows || s->at->type[v] == codes ? as_code(s, now) : now;
    return is_code(s, v) && !takes_codes(node->op) ? oxp_b_cast(&s->b, now, OXP_I64) : now;
}

/* The type of the codes that this node moves about; NONE: it moves none, or knows them anyway. */
static oxp_dtype moved_codes(const oxp_specialiser *s, const oxp_node *node)
{
    for (uint32_t k = 0; takes_codes(node->op) && k < node->n_in; k++)
        if (is_code(s, node->in[k])) return s->at->type[node->in[k]];
    return OXP_DTYPE_NONE;
}

static oxp_status resolve(oxp_specialiser *s, const oxp_node *node, resolved *r)
{
    const oxp_dtype codes = moved_codes(s, node);
    r->in = OXP_NEW(s->ctx->scratch, oxp_val, node->n_in + 1);
    r->attrs = OXP_NEW(s->ctx->scratch, oxp_attr, node->n_attrs + node->n_in + 3);
    OXP_FAIL_IF(s->ctx, !r->in || !r->attrs, OXP_ENOMEM, "out of memory");
    r->n_in = 0;
    r->varies = false;
    r->n_attrs = node->n_attrs;
    if (node->n_attrs) memcpy(r->attrs, node->attrs, node->n_attrs * sizeof(oxp_attr));
    for (uint32_t k = 0; k < node->n_in; k++) {
        const oxp_const_in *ci = const_input(node->op, k);
        if (!ci) {
            r->in[r->n_in++] = operand(s, node, k, codes);
            continue;
        }
        const oxp_val v = s->at->map[node->in[k]];
        const bool may_vary = (node->op->flags & OXP_OP_MAY_VARY) != 0;
        if (may_vary) r->in[r->n_in++] = OXP_NO_VAL; /* keeps the places of those behind it */
        if (v == OXP_NO_VAL) continue;
        const oxp_value *value = oxp_value_of(s->b.g, v);
        if (may_vary && value->kind != OXP_VALUE_CONST) {
            r->in[r->n_in - 1] = v;
            r->varies = true;
            continue;
        }
        oxp_val known;
        OXP_TRY(oxp_pin_values(s, node, ci->attr, &v, 1, &known));
        OXP_TRY(attr_from_tensor(s, ci, oxp_value_of(s->b.g, known)->constant,
                                 &r->attrs[r->n_attrs++]));
    }
    while (r->n_in > 0 && r->in[r->n_in - 1] == OXP_NO_VAL) r->n_in--;
    return s->b.status;
}

/* ---- exact types ---- */

/* The kind of the node's input i; as this node sees it, codes are floats only where they are taken as such. */
static oxp_dtype kind_in(const oxp_specialiser *s, const oxp_node *node, uint32_t i)
{
    const oxp_dtype type = s->at->type[node->in[i]];
    const bool whole =
        !(node->op->flags & OXP_OP_CODES) && !(is_code(s, node->in[i]) && takes_codes(node->op));
    return whole || !oxp_dtype_is_int(type) ? oxp_dtype_canonical(type) : OXP_F32;
}

/* The exact types of a node's outputs. `kind`: the dtypes that its inference gave, NULL: not yet
 * known. */
static oxp_status exact_types(oxp_specialiser *s, const oxp_node *node, const oxp_dtype *kind,
                              uint32_t n_out, oxp_dtype *out)
{
    oxp_dtype *in = OXP_NEW(s->ctx->scratch, oxp_dtype, node->n_in + 1);
    OXP_NOMEM_IF(s->ctx, in);
    for (uint32_t i = 0; i < node->n_in; i++) in[i] = s->at->type[node->in[i]];
    for (uint32_t k = 0; k < n_out; k++) {
        out[k] = kind ? kind[k] : OXP_F32;
        const oxp_dtype special = node->op->exact ? node->op->exact(node, in, k) : OXP_DTYPE_NONE;
        if (special != OXP_DTYPE_NONE) {
            out[k] = special;
            continue;
        }
        for (uint32_t i = node->n_in; i-- > 0;)
            if (in[i] != OXP_DTYPE_NONE && (!kind || kind_in(s, node, i) == kind[k]))
                out[k] = in[i];
    }
    return OXP_OK;
}

/* What a file may have said under that name is replaced. */
static void set_attr(resolved *r, oxp_attr attr)
{
    for (size_t i = 0; i < r->n_attrs; i++)
        if (strcmp(r->attrs[i].name, attr.name) == 0) r->attrs[i] = r->attrs[--r->n_attrs];
    r->attrs[r->n_attrs++] = attr;
}

/* The exact types of the first output and the first input as attributes. */
static oxp_status add_types(oxp_specialiser *s, const oxp_node *node, resolved *r)
{
    oxp_dtype type;
    OXP_TRY(exact_types(s, node, NULL, 1, &type));
    set_attr(r, OXP_INT("type", type));
    if (node->n_in > 0) set_attr(r, OXP_INT("from", s->at->type[node->in[0]]));
    return OXP_OK;
}

static bool is_narrow(oxp_dtype type)
{
    return oxp_dtype_is_int(type) && oxp_dtype_bits(type) < 64;
}

/* Records the exact types of the outputs, and wraps narrow integers around where they may have
 * left their range. */
static oxp_status settle_types(oxp_specialiser *s, const oxp_node *node, uint32_t n_out,
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
        const bool code = kind[k] == OXP_F32 && oxp_dtype_is_int(type[k]) && takes_codes(node->op);
        s->at->type[node->out[k]] =
            code || oxp_dtype_canonical(type[k]) == kind[k] ? type[k] : kind[k];
        if ((node->op->flags & OXP_OP_WRAPS) && kind[k] == OXP_I64 && is_narrow(type[k]))
            outs[k] = OXP_EMIT1(&s->b, &oxp_op_Cast, outs[k], OXP_INT("to", type[k]));
    }
    return s->b.status;
}

/* ---- nodes ---- */

/* Identity, Dropout (unless it asks for training: its infer refuses that), and Cast between
 * float types, which are all one "float". */
static bool passes_through(const oxp_specialiser *s, const oxp_node *node, const resolved *r)
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
static oxp_status emit_resolved(oxp_specialiser *s, const oxp_node *node, const resolved *r,
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

/* Gives the outputs the values made of them, unless absent or fed by the cut, and their names: an
 * outer tensor's rather than that of the one inside a branch that it is. */
static oxp_status bind_outputs(oxp_specialiser *s, const oxp_node *node, const oxp_val *outs,
                               uint32_t n_out, size_t before)
{
    oxp_level *at = s->at;
    for (uint32_t k = 0; k < n_out; k++) {
        if (!node->out[k] || !outs[k] || at->map[node->out[k]] != OXP_NO_VAL) continue;
        at->map[node->out[k]] = outs[k];
        oxp_value *made = oxp_value_of(s->b.g, outs[k]);
        const char *name = oxp_value_of(at->graph, node->out[k])->name;
        if (!name || !at->named || (made->name && outs[k] < before)) continue;
        if (at != &s->top) {
            if (oxp_strmap_get(&s->names, name, NULL)) continue;
            OXP_FAIL_IF(s->ctx, !oxp_strmap_put(&s->names, name, 1), OXP_ENOMEM, "out of memory");
        }
        made->name = name;
    }
    return OXP_OK;
}

/* Trailing outputs that nobody needs are not asked for; Split counts its own. */
static uint32_t outputs_asked(const oxp_specialiser *s, const oxp_node *node)
{
    uint32_t n = node->n_out;
    while (n > 1 && node->op->max_out != OXP_VARIADIC &&
           (node->out[n - 1] == OXP_NO_VAL || !s->at->needed[node->out[n - 1]]) &&
           n > node->op->min_out)
        n--;
    return n;
}

static oxp_status emit_node(oxp_specialiser *s, const oxp_node *node)
{
    resolved r;
    const size_t before = s->b.g->n_values;
    const uint32_t n_out = outputs_asked(s, node);
    oxp_val *outs = OXP_NEW(s->ctx->scratch, oxp_val, node->n_out);
    OXP_NOMEM_IF(s->ctx, outs);
    s->ctx->node = node->origin;
    s->ctx->op = node->op->name;
    s->b.origin = node->origin;
    if (node->op->flags & OXP_OP_CONTROL) {
        oxp_dtype *types = OXP_NEW(s->ctx->scratch, oxp_dtype, node->n_out);
        OXP_NOMEM_IF(s->ctx, types);
        OXP_TRY(oxp_unroll(s, node, outs, types));
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k]) s->at->type[node->out[k]] = types[k];
        return bind_outputs(s, node, outs, node->n_out, before);
    }
    OXP_TRY(resolve(s, node, &r));
    OXP_TRY(oxp_rebatch(s, node, r.in, r.n_in, r.attrs, r.n_attrs));
    if (n_out == 1 && passes_through(s, node, &r)) {
        outs[0] = s->at->map[node->out[0]] = r.in[0];
        return settle_types(s, node, 1, outs);
    }
    if (node->op->flags & OXP_OP_TYPED) OXP_TRY(add_types(s, node, &r));
    const bool by_data = (node->op->flags & OXP_OP_DATA_SHAPED) != 0;
    const oxp_val *given = r.in;
    if (by_data) {
        r.in = OXP_NEW(s->ctx->scratch, oxp_val, r.n_in + 1);
        OXP_NOMEM_IF(s->ctx, r.in);
        OXP_TRY(oxp_pin_values(s, node, "data", given, r.n_in, r.in));
    }
    OXP_TRY(emit_resolved(s, node, &r, n_out, outs));
    if (by_data) OXP_TRY(oxp_pin_results(s, node, given, r.n_in, r.attrs, r.n_attrs, outs, n_out));
    OXP_TRY(settle_types(s, node, n_out, outs));
    return bind_outputs(s, node, outs, n_out, before);
}

oxp_status oxp_level_emit(oxp_specialiser *s, oxp_level *level)
{
    const oxp_graph *g = level->graph;
    oxp_level *around = s->at;
    s->at = level;
    for (size_t i = 0; i < g->n_inputs; i++) {
        const oxp_value *v = oxp_value_of(g, g->inputs[i]);
        OXP_FAIL_IF(s->ctx, level->needed[g->inputs[i]] && level->map[g->inputs[i]] == OXP_NO_VAL,
                    OXP_EINVAL, "the %s '%s' is needed but was not given",
                    level == &s->top ? "model's input" : "input", v->name ? v->name : "?");
    }
    for (size_t i = 0; i < g->n_nodes; i++)
        if (is_wanted(level, g->nodes[i])) OXP_TRY(emit_node(s, g->nodes[i]));
    s->at = around;
    return OXP_OK;
}

oxp_status oxp_specialise(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *model,
                          const oxp_cut *cut, oxp_special *out, bool *needs_data)
{
    ctx->stage = OXP_STAGE_INFER;
    oxp_specialiser s = {.ctx = ctx, .cut = cut, .needs_data = needs_data};
    bool *fed = OXP_NEW(ctx->scratch, bool, model->n_values);
    bool *needed = OXP_NEW(ctx->scratch, bool, model->n_values);
    oxp_val *map = OXP_NEW(arena, oxp_val, model->n_values);
    oxp_dtype *type = OXP_NEW(arena, oxp_dtype, model->n_values);
    oxp_graph *g = oxp_graph_new(arena);
    OXP_FAIL_IF(ctx, !fed || !needed || !map || !type || !g, OXP_ENOMEM, "out of memory");
    s.top = (oxp_level){model, map, type, needed, fed, true};
    s.at = &s.top;
    oxp_build_init(&s.b, ctx, g);
    g->max_bytes = cut->max_bytes;
    for (size_t i = 0; i < cut->n_feeds; i++) fed[cut->feeds[i].val] = true;
    for (size_t i = 0; i < cut->n_wanted; i++) needed[cut->wanted[i]] = true;
    OXP_TRY(add_feeds(&s, cut));
    OXP_TRY(oxp_level_begin(&s, &s.top));
    OXP_TRY(oxp_level_emit(&s, &s.top));
    for (size_t i = 0; i < cut->n_wanted; i++)
        OXP_TRY(oxp_graph_add_output(ctx, g, map[cut->wanted[i]]));
    ctx->node = ctx->op = NULL;
    *out = (oxp_special){g, map, type, s.pins, s.n_pins};
    return oxp_graph_verify(ctx, g);
}
