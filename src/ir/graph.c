/* graph.c - building and reading graphs. See graph.h for the law they obey; verify.c checks it. */
#include "ir/graph.h"

#include <string.h>

enum { MAX_VALUES = 1 << 20 };

oxp_graph *oxp_graph_new(oxp_arena *arena)
{
    oxp_graph *g = OXP_NEW(arena, oxp_graph, 1);
    if (!g) return NULL;
    g->arena = arena;
    if (!oxp_arena_grow(arena, &g->values, 0, &g->cap_values, sizeof(oxp_value *))) return NULL;
    g->values[0] = NULL;
    g->n_values = 1;
    return g;
}

oxp_graph *oxp_graph_after(oxp_arena *arena, const oxp_graph *from)
{
    oxp_graph *g = oxp_graph_new(arena);
    if (!g) return NULL;
    g->max_bytes = from->max_bytes;
    g->folded_bytes = from->folded_bytes;
    return g;
}

static oxp_status push_val(oxp_ctx *ctx, oxp_graph *g, oxp_val **list, size_t *n, size_t *cap,
                           oxp_val v)
{
    if (!oxp_arena_grow(g->arena, list, *n, cap, sizeof(oxp_val)))
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    (*list)[(*n)++] = v;
    return OXP_OK;
}

oxp_status oxp_graph_add_value(oxp_ctx *ctx, oxp_graph *g, const char *name, oxp_value_kind kind,
                               oxp_dtype dtype, const oxp_shape *shape, oxp_val *out)
{
    OXP_FAIL_IF(ctx, g->n_values >= MAX_VALUES, OXP_ELIMIT, "the graph has more than %d values",
                MAX_VALUES);
    OXP_FAIL_IF(
        ctx,
        !oxp_arena_grow(g->arena, &g->values, g->n_values, &g->cap_values, sizeof(oxp_value *)),
        OXP_ENOMEM, "out of memory");
    oxp_value *value = OXP_NEW(g->arena, oxp_value, 1);
    OXP_NOMEM_IF(ctx, value);
    if (name) {
        value->name = oxp_arena_strdup(g->arena, name);
        OXP_NOMEM_IF(ctx, value->name);
    }
    value->kind = kind;
    value->dtype = dtype;
    if (shape)
        value->shape = *shape;
    else
        value->shape.rank = -1;
    value->producer = OXP_NO_NODE;
    g->values[g->n_values] = value;
    const oxp_val v = (oxp_val)g->n_values++;
    if (kind == OXP_VALUE_INPUT || kind == OXP_VALUE_SEED)
        OXP_TRY(push_val(ctx, g, &g->inputs, &g->n_inputs, &g->cap_inputs, v));
    *out = v;
    return OXP_OK;
}

oxp_status oxp_graph_add_const(oxp_ctx *ctx, oxp_graph *g, const char *name, oxp_dtype dtype,
                               const oxp_tensor *t, oxp_val *out)
{
    OXP_TRY(oxp_graph_add_value(ctx, g, name, OXP_VALUE_CONST, dtype, &t->shape, out));
    g->values[*out]->constant = t;
    return OXP_OK;
}

oxp_status oxp_attr_copy(oxp_ctx *ctx, oxp_arena *arena, const oxp_attr *from, oxp_attr *to)
{
    *to = *from;
    to->name = oxp_arena_strdup(arena, from->name);
    OXP_NOMEM_IF(ctx, to->name);
    if (from->type == OXP_ATTR_STRING) {
        to->s = oxp_arena_strdup(arena, from->s);
        OXP_NOMEM_IF(ctx, to->s);
    } else if (from->type == OXP_ATTR_INTS) {
        to->ints = oxp_arena_memdup(arena, from->ints, from->n * sizeof(int64_t));
        OXP_NOMEM_IF(ctx, to->ints);
    } else if (from->type == OXP_ATTR_FLOATS) {
        to->floats = oxp_arena_memdup(arena, from->floats, from->n * sizeof(double));
        OXP_NOMEM_IF(ctx, to->floats);
    }
    return OXP_OK;
}

oxp_status oxp_graph_add_node(oxp_ctx *ctx, oxp_graph *g, const oxp_op *op, const oxp_val *in,
                              size_t n_in, size_t n_out, const oxp_attr *attrs, size_t n_attrs,
                              const char *origin, oxp_node **out)
{
    oxp_node *node = OXP_NEW(g->arena, oxp_node, 1);
    OXP_NOMEM_IF(ctx, node);
    node->op = op;
    node->n_in = (uint32_t)n_in;
    node->n_out = (uint32_t)n_out;
    node->n_attrs = n_attrs;
    node->in = OXP_NEW(g->arena, oxp_val, n_in + 1);
    node->out = OXP_NEW(g->arena, oxp_val, n_out + 1);
    node->attrs = OXP_NEW(g->arena, oxp_attr, n_attrs + 1);
    node->origin = oxp_arena_strdup(g->arena, origin ? origin : "");
    OXP_FAIL_IF(ctx, !node->in || !node->out || !node->attrs || !node->origin, OXP_ENOMEM,
                "out of memory");
    if (n_in) memcpy(node->in, in, n_in * sizeof(oxp_val));
    for (size_t i = 0; i < n_attrs; i++)
        OXP_TRY(oxp_attr_copy(ctx, g->arena, &attrs[i], &node->attrs[i]));
    OXP_FAIL_IF(ctx,
                !oxp_arena_grow(g->arena, &g->nodes, g->n_nodes, &g->cap_nodes, sizeof(oxp_node *)),
                OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n_out; i++) {
        OXP_TRY(
            oxp_graph_add_value(ctx, g, NULL, OXP_VALUE_NODE, OXP_DTYPE_NONE, NULL, &node->out[i]));
        g->values[node->out[i]]->producer = (uint32_t)g->n_nodes;
    }
    g->nodes[g->n_nodes++] = node;
    *out = node;
    return OXP_OK;
}

oxp_status oxp_graph_add_output(oxp_ctx *ctx, oxp_graph *g, oxp_val v)
{
    return push_val(ctx, g, &g->outputs, &g->n_outputs, &g->cap_outputs, v);
}

bool oxp_node_is_empty(const oxp_graph *g, const oxp_node *node)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != OXP_NO_VAL && oxp_shape_elements(oxp_shape_at(g, node->out[i])) > 0)
            return false;
    return true;
}

oxp_val oxp_graph_find(const oxp_graph *g, const char *name)
{
    for (size_t v = 1; v < g->n_values; v++)
        if (g->values[v]->name && strcmp(g->values[v]->name, name) == 0) return (oxp_val)v;
    return OXP_NO_VAL;
}

const oxp_attr *oxp_attr_find(const oxp_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_attrs; i++)
        if (strcmp(node->attrs[i].name, name) == 0) return &node->attrs[i];
    return NULL;
}

int64_t oxp_attr_int(const oxp_node *node, const char *name, int64_t fallback)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    return a && a->type == OXP_ATTR_INT ? a->i : fallback;
}

double oxp_attr_float(const oxp_node *node, const char *name, double fallback)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    return a && a->type == OXP_ATTR_FLOAT ? a->f : fallback;
}

const char *oxp_attr_string(const oxp_node *node, const char *name, const char *fallback)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    return a && a->type == OXP_ATTR_STRING ? a->s : fallback;
}

const int64_t *oxp_attr_ints(const oxp_node *node, const char *name, size_t *n)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    *n = a && a->type == OXP_ATTR_INTS ? a->n : 0;
    return a && a->type == OXP_ATTR_INTS ? a->ints : NULL;
}
