/* plain.c - the plain executor: every value an array of doubles, every operator its `ref`. The
 * oracle.
 *
 * No fusion, no rounding to float, no kernels: constants are read from their own tensors. Values
 * share one planned workspace by lifetime, as in the fused executor; a constant that is not
 * stored as doubles gets room for the duration of each node that reads it. Slow on purpose. */
#include "base/checked.h"
#include "exec/step.h"
#include "plan/plan.h"
#include <string.h>

typedef struct plain_node {
    const oxp_node *node;
    const double **in;
    double **out;
    oxp_shape *shape; /* inputs, then outputs */
    oxp_dtype *dtype;
    size_t *
        constant; /* [n_in] buffer that this node widens its constant input into; NO_BUFFER: none */
} plain_node;

#define NO_BUFFER SIZE_MAX

typedef struct plain {
    plain_node *nodes;
    size_t n_nodes, n_phase0;
    oxp_buffer *buffers; /* [n_values] values (no bytes for constants), then widened constants */
    size_t n_buffers, cap_buffers;
    oxp_arena *scratch; /* for `ref`; reset after each node */
} plain;

static bool runs(const oxp_op *op)
{
    return op->ref != NULL;
}

/* ---- compiling ---- */

static oxp_status bytes_of(oxp_ctx *ctx, const oxp_shape *shape, size_t *bytes)
{
    int64_t n;
    const bool fits = oxp_shape_count(shape, &n) && oxp_mul_size((size_t)n, sizeof(double), bytes);
    OXP_FAIL_IF(ctx, !fits, OXP_ELIMIT, "a value of this graph exceeds the address space");
    return OXP_OK;
}

/* A constant whose bytes can be read as they are. */
static const double *own_doubles(const oxp_value *v)
{
    const oxp_tensor *t = v->constant;
    return t != NULL && t->dtype == OXP_F64 && (uintptr_t)t->data % sizeof(double) == 0 ? t->data
                                                                                        : NULL;
}

static oxp_status add_values(oxp_ctx *ctx, const oxp_program *p, plain *s,
                             const oxp_schedule *order)
{
    const oxp_graph *g = p->g;
    const uint32_t end = (uint32_t)order->n;
    for (size_t v = 1; v < g->n_values; v++)
        if (g->values[v]->kind != OXP_VALUE_CONST) {
            const uint32_t last = order->last_use[v];
            OXP_TRY(bytes_of(ctx, &g->values[v]->shape, &s->buffers[v].bytes));
            s->buffers[v].last = last == OXP_FOREVER ? end : last;
        }
    for (uint32_t at = 0; at < order->n; at++)
        for (uint32_t i = 0; i < order->node[at]->n_out; i++) {
            const oxp_val v = order->node[at]->out[i];
            if (v == OXP_NO_VAL) continue;
            oxp_buffer *b = &s->buffers[v];
            b->first = at;
            if (b->last < at) b->last = at;
            if (at < order->n_phase0 && b->last >= order->n_phase0) b->last = end;
        }
    return OXP_OK;
}

static oxp_status add_constant(oxp_ctx *ctx, const oxp_program *p, plain *s, uint32_t at,
                               const oxp_shape *shape, size_t *out)
{
    OXP_FAIL_IF(
        ctx,
        !oxp_arena_grow(p->arena, &s->buffers, s->n_buffers, &s->cap_buffers, sizeof *s->buffers),
        OXP_ENOMEM, "out of memory");
    oxp_buffer *b = &s->buffers[s->n_buffers];
    *b = (oxp_buffer){.first = at, .last = at};
    OXP_TRY(bytes_of(ctx, shape, &b->bytes));
    *out = s->n_buffers++;
    return OXP_OK;
}

static oxp_status describe_node(oxp_ctx *ctx, const oxp_program *p, plain *s, uint32_t at,
                                const oxp_node *node)
{
    plain_node *n = &s->nodes[at];
    const size_t count = node->n_in + node->n_out;
    *n = (plain_node){node,
                      OXP_NEW(p->arena, const double *, node->n_in + 1),
                      OXP_NEW(p->arena, double *, node->n_out),
                      OXP_NEW(p->arena, oxp_shape, count),
                      OXP_NEW(p->arena, oxp_dtype, count),
                      OXP_NEW(p->arena, size_t, node->n_in + 1)};
    OXP_FAIL_IF(ctx, !n->in || !n->out || !n->shape || !n->dtype || !n->constant, OXP_ENOMEM,
                "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        const oxp_val v = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
        if (i < node->n_in) n->constant[i] = NO_BUFFER;
        if (v == OXP_NO_VAL) continue;
        const oxp_value *value = oxp_value_of(p->g, v);
        n->shape[i] = value->shape;
        n->dtype[i] = value->dtype;
        if (value->kind == OXP_VALUE_CONST && own_doubles(value) == NULL)
            OXP_TRY(add_constant(ctx, p, s, at, &value->shape, &n->constant[i]));
    }
    return OXP_OK;
}

static double *doubles_at(const oxp_program *p, size_t buffer)
{
    const plain *s = p->state;
    return (double *)(void *)(p->workspace + s->buffers[buffer].offset);
}

static void bind(const oxp_program *p, plain *s)
{
    for (size_t at = 0; at < s->n_nodes; at++) {
        const plain_node *n = &s->nodes[at];
        for (uint32_t i = 0; i < n->node->n_in; i++) {
            const oxp_val v = n->node->in[i];
            if (v == OXP_NO_VAL) continue;
            n->in[i] = n->constant[i] != NO_BUFFER ? doubles_at(p, n->constant[i])
                                                   : own_doubles(oxp_value_of(p->g, v));
            if (n->in[i] == NULL) n->in[i] = doubles_at(p, v);
        }
        for (uint32_t i = 0; i < n->node->n_out; i++)
            if (n->node->out[i] != OXP_NO_VAL) n->out[i] = doubles_at(p, n->node->out[i]);
    }
}

static oxp_status compile(oxp_ctx *ctx, oxp_program *p)
{
    oxp_schedule order;
    size_t total;
    plain *s = OXP_NEW(p->arena, plain, 1);
    OXP_NOMEM_IF(ctx, s);
    p->state = s;
    OXP_TRY(oxp_schedule_make(ctx, p->arena, p->g, &order));
    s->n_nodes = order.n;
    s->n_phase0 = order.n_phase0;
    s->n_buffers = s->cap_buffers = p->g->n_values;
    s->buffers = OXP_NEW(p->arena, oxp_buffer, s->n_buffers);
    s->nodes = OXP_NEW(p->arena, plain_node, order.n + 1);
    s->scratch = oxp_arena_new(oxp_arena_hooks(p->arena));
    OXP_NOMEM_IF(ctx, s->scratch);
    const bool owned = oxp_arena_defer(p->arena, oxp_arena_end, s->scratch);
    OXP_FAIL_IF(ctx, !owned || s->buffers == NULL || s->nodes == NULL, OXP_ENOMEM, "out of memory");
    OXP_TRY(add_values(ctx, p, s, &order));
    for (uint32_t at = 0; at < order.n; at++) OXP_TRY(describe_node(ctx, p, s, at, order.node[at]));
    for (size_t i = 0; i < s->n_buffers; i++) p->cost.unplanned_bytes += s->buffers[i].bytes;
    OXP_TRY(oxp_plan_place(ctx, s->buffers, s->n_buffers, &total));
    OXP_TRY(oxp_program_workspace(ctx, p, total));
    bind(p, s);
    p->cost.steps = (uint32_t)order.n;
    return OXP_OK;
}

/* ---- running ---- */

static oxp_status run_node(oxp_ctx *ctx, const oxp_program *p, plain *s, const plain_node *n)
{
    const oxp_node *node = n->node;
    if (oxp_node_is_empty(p->g, node)) return OXP_OK;
    ctx->node = node->origin;
    ctx->op = node->op->name;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (n->constant[i] == NO_BUFFER) continue;
        const oxp_tensor *t = oxp_value_of(p->g, node->in[i])->constant;
        oxp_convert(doubles_at(p, n->constant[i]), OXP_F64, t->data, t->dtype,
                    oxp_shape_elements(&n->shape[i]));
    }
    for (uint32_t i = 0; i < node->n_out; i++)
        if (n->out[i] != NULL)
            memset(n->out[i], 0,
                   (size_t)oxp_shape_elements(&n->shape[node->n_in + i]) * sizeof(double));
    const oxp_call call = {ctx,
                           s->scratch,
                           node,
                           n->in,
                           n->shape,
                           n->dtype,
                           n->out,
                           n->shape + node->n_in,
                           n->dtype + node->n_in};
    const oxp_status status = node->op->ref(&call);
    oxp_arena_reset(s->scratch);
    return status;
}

static oxp_status run(oxp_ctx *ctx, oxp_program *p, int phase)
{
    plain *s = p->state;
    const size_t end = phase == 0 ? s->n_phase0 : s->n_nodes;
    for (size_t at = phase == 0 ? 0 : s->n_phase0; at < end; at++)
        OXP_TRY(run_node(ctx, p, s, &s->nodes[at]));
    return OXP_OK;
}

static oxp_status feed(oxp_ctx *ctx, oxp_program *p, size_t index, const oxp_tensor *t)
{
    OXP_UNUSED(ctx);
    oxp_convert(doubles_at(p, p->g->inputs[index]), OXP_F64, t->data, t->dtype,
                oxp_shape_elements(&t->shape));
    return OXP_OK;
}

static oxp_status read_out(oxp_ctx *ctx, const oxp_program *p, size_t index, oxp_dtype dtype,
                           void *data)
{
    OXP_UNUSED(ctx);
    const oxp_val v = p->g->outputs[index];
    const oxp_value *value = oxp_value_of(p->g, v);
    const int64_t n = oxp_shape_elements(&value->shape);
    if (value->kind == OXP_VALUE_CONST)
        oxp_convert(data, dtype, value->constant->data, value->constant->dtype, n);
    else
        oxp_convert(data, dtype, doubles_at(p, v), OXP_F64, n);
    return OXP_OK;
}

static void print(const oxp_program *p, oxp_strbuf *out)
{
    const plain *s = p->state;
    for (size_t at = 0; at < s->n_nodes; at++) {
        const plain_node *n = &s->nodes[at];
        const oxp_buffer *b = &s->buffers[n->node->out[0]];
        char text[OXP_SHAPE_TEXT];
        oxp_strbuf_printf(out, "%d %-18s ref %-18s at %zu, %zu bytes  # %s\n", at >= s->n_phase0,
                          n->node->op->name, oxp_shape_text(&n->shape[n->node->n_in], text),
                          b->offset, b->bytes, n->node->origin);
    }
}

const oxp_executor oxp_executor_plain = {
    .runs = runs, .compile = compile, .feed = feed, .run = run, .read = read_out, .print = print};
