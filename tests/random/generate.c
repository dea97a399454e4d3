/* generate.c - a random graph, step by step; see random.h. */
#include "random/random.h"

#include "base/rng.h"
#include "support/oracle.h"
#include <math.h>
#include <string.h>

#define MOST_ELEMENTS  1500
#define MOST_MAGNITUDE 30.0

/* ---- dice ---- */

uint64_t draw_below(maker *m, uint64_t n)
{
    const oxp_rng rng = {.seed = m->seed, .item = 1};
    return oxp_rng_below(&rng, m->drawn++, n);
}

int64_t draw_int(maker *m, int64_t low, int64_t high)
{
    return low + (int64_t)draw_below(m, (uint64_t)(high - low + 1));
}

double draw_real(maker *m, double low, double high)
{
    const oxp_rng rng = {.seed = m->seed, .item = 2};
    return (double)(float)(low + (high - low) * oxp_rng_uniform(&rng, m->drawn++));
}

bool draw_chance(maker *m, double p)
{
    return draw_real(m, 0.0, 1.0) < p;
}

/* ---- values ---- */

/* Room for what v holds; zeroed. */
static double *hold(maker *m, oxp_val v)
{
    while (m->cap_values <= v)
        if (!oxp_arena_grow(m->arena, &m->value, m->cap_values, &m->cap_values, sizeof *m->value))
            return NULL;
    m->value[v] = OXP_NEW(m->arena, double, oxp_shape_elements(oxp_shape_at(m->b.g, v)) + 1);
    return m->value[v];
}

static void out_of_memory(maker *m)
{
    m->b.status = oxp_ctx_fail(m->ctx, OXP_ENOMEM, "out of memory");
}

oxp_val make_input(maker *m, const oxp_shape *shape, double low, double high)
{
    oxp_val v = OXP_NO_VAL;
    if (m->b.status != OXP_OK) return v;
    m->b.status = oxp_graph_add_value(m->ctx, m->b.g, NULL, OXP_VALUE_INPUT, OXP_F32, shape, &v);
    double *data = m->b.status == OXP_OK ? hold(m, v) : NULL;
    if (!data) {
        out_of_memory(m);
        return OXP_NO_VAL;
    }
    for (int64_t i = 0; i < oxp_shape_elements(shape); i++) data[i] = draw_real(m, low, high);
    return v;
}

oxp_val make_const_of(maker *m, oxp_dtype dtype, const oxp_shape *shape, const double *values)
{
    oxp_tensor *t = OXP_NEW(m->arena, oxp_tensor, 1);
    if (m->b.status != OXP_OK) return OXP_NO_VAL;
    if (!t || oxp_tensor_new(m->ctx, m->arena, dtype, shape, t) != OXP_OK) {
        out_of_memory(m);
        return OXP_NO_VAL;
    }
    oxp_convert((void *)(uintptr_t)t->data, dtype, values, OXP_F64, oxp_shape_elements(shape));
    return oxp_b_const(&m->b, dtype, t);
}

oxp_val make_const(maker *m, const oxp_shape *shape, double low, double high)
{
    const int64_t n = oxp_shape_elements(shape);
    double *data = OXP_NEW(m->arena, double, n + 1);
    if (!data) out_of_memory(m);
    for (int64_t i = 0; data && i < n; i++) data[i] = draw_real(m, low, high);
    return make_const_of(m, OXP_F32, shape, data);
}

oxp_val pick_value(maker *m)
{
    enum { RECENT = 6 };
    const oxp_graph *g = m->b.g;
    oxp_val found[RECENT];
    size_t n = 0;
    for (size_t v = g->n_values; v-- > 1 && n < RECENT;) {
        const oxp_value *value = g->values[v];
        if (value->kind != OXP_VALUE_CONST && value->dtype == OXP_F32 &&
            oxp_shape_elements(&value->shape) > 0)
            found[n++] = (oxp_val)v;
    }
    return found[draw_below(m, n)];
}

oxp_val bend(maker *m, oxp_val x, const oxp_shape *shape)
{
    oxp_build *b = &m->b;
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const int64_t n = oxp_shape_elements(oxp_b_shape(b, x)), want = oxp_shape_elements(shape);
    const oxp_shape flat = oxp_shape_of(1, &n);
    x = oxp_b_reshape(b, x, &flat);
    if (n < want) {
        const int64_t times = (want + n - 1) / n;
        x = OXP_EMIT1(b, &oxp_op_Tile, x, OXP_INTS("repeats", &times, 1));
    }
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const int64_t have = oxp_b_shape(b, x)->dim[0], start = draw_int(m, 0, have - want);
    if (have > want) x = oxp_b_slice(b, x, 0, start, start + want);
    return oxp_b_reshape(b, x, shape);
}

/* ---- steps ---- */

static oxp_val plus(maker *m, oxp_val x, double term)
{
    return oxp_b_add(&m->b, x, oxp_b_scalar(&m->b, term));
}

/* x where an operator's domain wants it. */
static oxp_val into_domain(maker *m, oxp_val x, case_domain domain)
{
    oxp_build *b = &m->b;
    if (domain == CASE_UNIT) {
        const oxp_val unit = oxp_b_unary(b, &oxp_op_Sigmoid, x);
        return plus(m, oxp_b_mul(b, unit, oxp_b_scalar(b, 0.9)), 0.05);
    }
    return domain == CASE_ANY ? x : plus(m, oxp_b_unary(b, &oxp_op_Abs, x), 0.5);
}

static oxp_val row_input(maker *m, const op_case *row, size_t i, oxp_val x)
{
    const case_input *in = &row->in[i];
    if (in->absent) return OXP_NO_VAL;
    const bool numbers = in->dtype == OXP_F32 && !in->values && oxp_shape_elements(&in->shape) > 0;
    if (numbers && !in->constant && (i == 0 || draw_chance(m, 0.5)))
        return into_domain(m, bend(m, i == 0 ? x : pick_value(m), &in->shape), in->domain);
    double *data = OXP_NEW(m->arena, double, oxp_shape_elements(&in->shape) + 1);
    if (!data) {
        out_of_memory(m);
        return OXP_NO_VAL;
    }
    case_fill(row, i, m->seed + m->drawn, true, data);
    return make_const_of(m, in->dtype, &in->shape, data);
}

/* A row of tests/ops/ *.cases. */
static void row_step(maker *m, oxp_val x)
{
    const op_case *row = &m->rows[draw_below(m, m->n_rows)];
    oxp_val in[CASE_MAX], outs[CASE_MAX];
    for (size_t i = 0; i < row->n_in; i++) in[i] = row_input(m, row, i, x);
    oxp_emit_multi(&m->b, row->op, in, row->n_in, row->attrs, row->n_attrs, row->n_out, outs);
}

/* ---- taking back ---- */

typedef struct mark {
    size_t nodes, values, inputs;
} mark;

static bool fits(const maker *m, oxp_val v)
{
    const oxp_value *value = oxp_value_of(m->b.g, v);
    const int64_t n = oxp_shape_elements(&value->shape);
    if (n > MOST_ELEMENTS) return false;
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(m->value[v][i]) <= MOST_MAGNITUDE)) return false;
    return true;
}

/* Evaluates what a step appended; false where it must not stay. */
static bool evaluate(maker *m, const mark *from)
{
    const oxp_graph *g = m->b.g;
    for (size_t v = from->values; v < g->n_values; v++) {
        const oxp_value *value = g->values[v];
        if (oxp_shape_elements(&value->shape) > MOST_ELEMENTS) return false;
        if (value->kind == OXP_VALUE_INPUT) continue;
        if (!hold(m, (oxp_val)v)) return false;
        if (value->kind == OXP_VALUE_CONST)
            oxp_convert(m->value[v], OXP_F64, value->constant->data, value->constant->dtype,
                        oxp_shape_elements(&value->shape));
    }
    for (size_t i = from->nodes; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        if (oxp_oracle_node(m->ctx, m->arena, g, node, m->value) != OXP_OK) return false;
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k] && !fits(m, node->out[k])) return false;
    }
    return true;
}

static void step(maker *m)
{
    oxp_graph *g = m->b.g;
    const mark from = {g->n_nodes, g->n_values, g->n_inputs};
    const oxp_val x = pick_value(m);
    if (draw_chance(m, 0.5))
        row_step(m, x);
    else
        family_step(m, x);
    if (m->b.status == OXP_OK && evaluate(m, &from)) return;
    m->b.status = OXP_OK;
    g->n_nodes = from.nodes;
    g->n_values = from.values;
    g->n_inputs = from.inputs;
}

/* ---- the graph ---- */

/* Floats that nothing reads. */
static void find_targets(const maker *m, problem *p)
{
    const oxp_graph *g = m->b.g;
    p->n_targets = 0;
    for (size_t v = g->n_values; v-- > 1 && p->n_targets < RANDOM_TARGETS;) {
        const oxp_value *value = g->values[v];
        bool read = value->kind != OXP_VALUE_NODE || value->dtype != OXP_F32;
        for (size_t i = 0; i < g->n_nodes && !read; i++)
            for (uint32_t k = 0; k < g->nodes[i]->n_in; k++) read = read || g->nodes[i]->in[k] == v;
        if (!read) p->target[p->n_targets++] = (oxp_val)v;
    }
}

oxp_status make_problem(oxp_ctx *ctx, oxp_arena *arena, const op_case *rows, size_t n_rows,
                        uint64_t seed, problem *out)
{
    maker m = {.ctx = ctx, .arena = arena, .seed = seed, .rows = rows, .n_rows = n_rows};
    oxp_graph *g = oxp_graph_new(arena);
    OXP_NOMEM_IF(ctx, g);
    oxp_build_init(&m.b, ctx, g);
    const int64_t inputs = draw_int(&m, 1, 3), steps = draw_int(&m, 2, 10);
    for (int64_t i = 0; i < inputs; i++) {
        oxp_shape shape = {.rank = (int)draw_int(&m, 1, 4)};
        for (int a = 0; a < shape.rank; a++) shape.dim[a] = draw_int(&m, 1, 5);
        make_input(&m, &shape, -2.0, 2.0);
    }
    OXP_TRY(m.b.status);
    for (int tries = 0; tries < 200 && (int64_t)g->n_nodes < steps; tries++) step(&m);
    *out = (problem){.g = g, .value = m.value, .seed = seed};
    find_targets(&m, out);
    return OXP_OK;
}
