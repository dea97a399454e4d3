/* tidy.c - common subexpressions once, dead nodes gone.
 *
 * Two nodes are the same when operator, inputs and attributes are; two constants when they share a
 * tensor, or are small and hold the same bytes. Nothing here has side effects, so merging is
 * always right. */
#include "opt/rewrite.h"

#include <string.h>

enum { SMALL_CONST_BYTES = 512 };

static uint64_t mix(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static bool same_attr(const oxp_attr *a, const oxp_attr *b)
{
    if (a->type != b->type || strcmp(a->name, b->name) != 0) return false;
    switch (a->type) {
    case OXP_ATTR_INT:
        return a->i == b->i;
    case OXP_ATTR_FLOAT:
        return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case OXP_ATTR_STRING:
    case OXP_ATTR_STRINGS:
        return strcmp(a->s, b->s) == 0;
    case OXP_ATTR_INTS:
        return a->n == b->n && (a->n == 0 || memcmp(a->ints, b->ints, a->n * sizeof(int64_t)) == 0);
    case OXP_ATTR_FLOATS:
        return a->n == b->n &&
               (a->n == 0 || memcmp(a->floats, b->floats, a->n * sizeof(double)) == 0);
    case OXP_ATTR_TENSOR:
        return a->t == b->t;
    case OXP_ATTR_GRAPH:
        return a->g == b->g;
    }
    return false;
}

static bool same_node(const oxp_node *a, const oxp_node *b, const oxp_val *b_in)
{
    if (a->op != b->op || a->n_in != b->n_in || a->n_out != b->n_out || a->n_attrs != b->n_attrs)
        return false;
    if (a->n_in && memcmp(a->in, b_in, a->n_in * sizeof(oxp_val)) != 0) return false;
    for (size_t i = 0; i < a->n_attrs; i++)
        if (!same_attr(&a->attrs[i], &b->attrs[i])) return false;
    return true;
}

typedef struct node_table {
    const oxp_node **slots; /* nodes of the new graph, open addressing */
    size_t cap;
} node_table;

static const oxp_node **slot(const node_table *t, const oxp_node *node, const oxp_val *in)
{
    uint64_t h = mix(UINT64_C(0xcbf29ce484222325), &node->op, sizeof node->op);
    h = mix(h, in, node->n_in * sizeof(oxp_val));
    for (size_t i = (size_t)h & (t->cap - 1);; i = (i + 1) & (t->cap - 1))
        if (!t->slots[i] || same_node(t->slots[i], node, in)) return &t->slots[i];
}

static bool same_const(const oxp_value *a, const oxp_value *b)
{
    const oxp_tensor *s = a->constant, *t = b->constant;
    if (a->dtype != b->dtype || s->dtype != t->dtype || !oxp_shape_equal(&s->shape, &t->shape))
        return false;
    const size_t bytes = oxp_tensor_bytes(s);
    return s->data == t->data ||
           (bytes <= SMALL_CONST_BYTES && memcmp(s->data, t->data, bytes) == 0);
}

/* Constants that nodes share become one. Quadratic in their number only within equal hashes. */
static oxp_status merge_constants(oxp_rewrite *rw)
{
    const oxp_graph *g = rw->from;
    size_t cap = 64;
    while (cap < 2 * g->n_values) cap *= 2;
    oxp_val *table = OXP_NEW(rw->pass->ctx->scratch, oxp_val, cap);
    OXP_NOMEM_IF(rw->pass->ctx, table);
    for (size_t v = 1; v < g->n_values; v++) {
        const oxp_value *value = g->values[v];
        if (value->kind != OXP_VALUE_CONST || !rw->live[v]) continue;
        const size_t bytes = oxp_tensor_bytes(value->constant);
        uint64_t h = bytes <= SMALL_CONST_BYTES
                         ? mix(bytes, value->constant->data, bytes)
                         : mix(bytes, &value->constant->data, sizeof(void *));
        size_t i = (size_t)h & (cap - 1);
        while (table[i] && !same_const(g->values[table[i]], value)) i = (i + 1) & (cap - 1);
        if (!table[i]) table[i] = (oxp_val)v;
        rw->map[v] = oxp_rewrite_val(rw, table[i]);
        OXP_TRY(rw->b.status);
    }
    return OXP_OK;
}

static oxp_status tidy_node(oxp_rewrite *rw, node_table *table, const oxp_node *node)
{
    oxp_val *in = OXP_NEW(rw->pass->ctx->scratch, oxp_val, node->n_in + 1);
    OXP_NOMEM_IF(rw->pass->ctx, in);
    for (uint32_t k = 0; k < node->n_in; k++) in[k] = oxp_rewrite_val(rw, node->in[k]);
    const oxp_node **place = slot(table, node, in);
    if (*place) {
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k] && (*place)->out[k])
                oxp_rewrite_set(rw, node->out[k], (*place)->out[k]);
        return OXP_OK;
    }
    const size_t before = rw->b.g->n_nodes;
    OXP_TRY(oxp_rewrite_copy(rw, node));
    if (rw->b.g->n_nodes > before) *place = rw->b.g->nodes[before];
    return OXP_OK;
}

oxp_status oxp_opt_tidy(oxp_pass *pass)
{
    oxp_rewrite rw;
    OXP_TRY(oxp_rewrite_begin(&rw, pass));
    OXP_TRY(merge_constants(&rw));
    node_table table = {.cap = 64};
    while (table.cap < 2 * pass->in->n_nodes) table.cap *= 2;
    table.slots = OXP_NEW(pass->ctx->scratch, const oxp_node *, table.cap);
    OXP_NOMEM_IF(pass->ctx, table.slots);
    for (size_t i = 0; i < pass->in->n_nodes; i++) {
        const oxp_node *node = pass->in->nodes[i];
        if (oxp_rewrite_live(&rw, node)) OXP_TRY(tidy_node(&rw, &table, node));
    }
    return oxp_rewrite_end(&rw);
}
