/* subject.c - building the graph of a case and evaluating it; see subject.h. */
#include "ops/subject.h"

#include "base/rng.h"
#include "grad/grad.h"
#include "ops/infer.h"
#include "support/oracle.h"
#include <math.h>

/* ---- building ---- */

static oxp_status add_constant(oxp_build *b, oxp_arena *arena, const case_input *in,
                               const double *data, oxp_val *out)
{
    oxp_tensor *t = OXP_NEW(arena, oxp_tensor, 1);
    OXP_NOMEM_IF(b->ctx, t);
    OXP_TRY(
        oxp_tensor_new(b->ctx, arena, in->dtype == OXP_F32 ? OXP_F64 : in->dtype, &in->shape, t));
    oxp_convert((void *)(uintptr_t)t->data, t->dtype, data, OXP_F64,
                oxp_shape_elements(&in->shape));
    *out = oxp_b_const(b, in->dtype, t);
    return b->status;
}

static oxp_status add_inputs(oxp_build *b, oxp_arena *arena, subject *s, double *const *data)
{
    for (size_t i = 0; i < s->c->n_in; i++) {
        const case_input *in = &s->c->in[i];
        if (in->absent) continue;
        if (in->constant)
            OXP_TRY(add_constant(b, arena, in, data[i], &s->in[i]));
        else
            OXP_TRY(oxp_graph_add_value(b->ctx, b->g, in->name, OXP_VALUE_INPUT, in->dtype,
                                        &in->shape, &s->in[i]));
        s->wants[i] = in->dtype == OXP_F32 && !in->constant;
    }
    return OXP_OK;
}

static oxp_status add_operator(oxp_build *b, subject *s, subject_form form)
{
    const op_case *c = s->c;
    if (form == SUBJECT_DIRECT) { /* even when all inputs are constants */
        b->fold = false;
        const oxp_status status =
            oxp_emit_multi(b, c->op, s->in, c->n_in, c->attrs, c->n_attrs, c->n_out, s->out);
        b->fold = true;
        return status;
    }
    oxp_val in[CASE_MAX];
    oxp_attr attrs[CASE_MAX];
    for (size_t i = 0; i < c->n_in; i++) in[i] = s->in[i];
    for (size_t i = 0; i < c->n_attrs; i++) attrs[i] = c->attrs[i];
    const oxp_node node = {.op = c->op,
                           .n_in = (uint32_t)c->n_in,
                           .n_out = (uint32_t)c->n_out,
                           .in = in,
                           .out = s->out,
                           .attrs = attrs,
                           .n_attrs = c->n_attrs,
                           .origin = ""};
    OXP_TRY(c->op->expand(b, &node, s->out));
    return b->status;
}

static bool is_float(const subject *s, oxp_val v)
{
    return v != OXP_NO_VAL && oxp_value_of(s->g, v)->dtype == OXP_F32;
}

static oxp_status add_gradient(oxp_build *b, subject *s)
{
    oxp_val target[CASE_MAX], seed[CASE_MAX], wrt[CASE_MAX];
    oxp_diff diff = {.target = target, .seed = seed, .wrt = wrt};
    for (size_t k = 0; k < s->c->n_out; k++) {
        if (!is_float(s, s->out[k])) continue;
        OXP_TRY(oxp_graph_add_value(b->ctx, b->g, NULL, OXP_VALUE_INPUT, OXP_F32,
                                    oxp_shape_at(b->g, s->out[k]), &s->w[k]));
        target[diff.n_target] = s->out[k];
        seed[diff.n_target++] = s->w[k];
    }
    for (size_t i = 0; i < s->c->n_in; i++)
        if (s->wants[i]) wrt[diff.n_wrt++] = s->in[i];
    OXP_TRY(oxp_differentiate(b, &diff));
    for (size_t i = 0, k = 0; i < s->c->n_in; i++)
        if (s->wants[i]) s->dx[i] = diff.adjoint[k++];
    for (size_t i = 0; i < s->c->n_in; i++)
        if (s->dx[i] != OXP_NO_VAL)
            OXP_FAIL_IF(b->ctx, !oxp_shape_equal(oxp_shape_at(b->g, s->dx[i]), &s->c->in[i].shape),
                        OXP_EINTERNAL, "the adjoint of input %zu has another shape", i);
    return OXP_OK;
}

oxp_status subject_build(oxp_ctx *ctx, oxp_arena *arena, const op_case *c, subject_form form,
                         bool with_grad, double *const *data, subject *out)
{
    *out = (subject){.c = c, .g = oxp_graph_new(arena)};
    OXP_NOMEM_IF(ctx, out->g);
    oxp_build b;
    oxp_build_init(&b, ctx, out->g);
    OXP_TRY(add_inputs(&b, arena, out, data));
    OXP_TRY(add_operator(&b, out, form));
    if (with_grad) OXP_TRY(add_gradient(&b, out));
    for (size_t k = 0; k < c->n_out; k++) OXP_TRY(oxp_graph_add_output(ctx, out->g, out->out[k]));
    for (size_t i = 0; i < c->n_in; i++)
        if (out->dx[i] != OXP_NO_VAL) OXP_TRY(oxp_graph_add_output(ctx, out->g, out->dx[i]));
    return oxp_graph_verify(ctx, out->g);
}

bool subject_differentiable(const op_case *c)
{
    if (c->refused || (c->op->flags & OXP_OP_NOT_DIFFERENTIABLE)) return false;
    bool any = false;
    for (size_t i = 0; i < c->n_in; i++)
        any = any || (!c->in[i].absent && !c->in[i].constant && c->in[i].dtype == OXP_F32);
    return any;
}

/* ---- data ---- */

oxp_status feed_new(oxp_ctx *ctx, oxp_arena *arena, const op_case *c, uint64_t seed, bool real,
                    feed *out)
{
    *out = (feed){{NULL}, {NULL}};
    for (size_t i = 0; i < c->n_in; i++) {
        if (c->in[i].absent) continue;
        out->data[i] = OXP_NEW(arena, double, oxp_shape_elements(&c->in[i].shape) + 1);
        OXP_NOMEM_IF(ctx, out->data[i]);
        case_fill(c, i, seed, real, out->data[i]);
    }
    return OXP_OK;
}

oxp_status feed_weights(oxp_ctx *ctx, oxp_arena *arena, const subject *s, uint64_t seed, bool real,
                        feed *f)
{
    for (size_t k = 0; k < s->c->n_out; k++) {
        if (!is_float(s, s->out[k])) continue;
        const oxp_rng rng = {.seed = seed, .item = (uint32_t)k, .sample = 1};
        const int64_t n = oxp_shape_elements(oxp_shape_at(s->g, s->out[k]));
        f->weight[k] = OXP_NEW(arena, double, n + 1);
        OXP_NOMEM_IF(ctx, f->weight[k]);
        for (int64_t i = 0; i < n; i++)
            f->weight[k][i] = real ? oxp_rng_uniform(&rng, (uint64_t)i) * 2.0 - 1.0
                                   : (double)oxp_rng_below(&rng, (uint64_t)i, 9) - 4.0;
    }
    return OXP_OK;
}

/* Numbers for graph input v. */
static const double *fed(const subject *s, const feed *f, oxp_val v)
{
    for (size_t i = 0; i < CASE_MAX; i++) {
        if (s->in[i] == v) return f->data[i];
        if (s->w[i] == v) return f->weight[i];
    }
    return NULL;
}

/* ---- the oracle ---- */

oxp_status subject_oracle(oxp_ctx *ctx, oxp_arena *arena, const subject *s, const feed *f,
                          value_set *out)
{
    const oxp_graph *g = s->g;
    value_set values = OXP_NEW(arena, double *, g->n_values);
    OXP_NOMEM_IF(ctx, values);
    for (size_t v = 1; v < g->n_values; v++) {
        const oxp_value *value = g->values[v];
        const int64_t n = oxp_shape_elements(&value->shape);
        const double *given = fed(s, f, (oxp_val)v);
        values[v] = OXP_NEW(arena, double, n + 1);
        OXP_NOMEM_IF(ctx, values[v]);
        if (value->kind == OXP_VALUE_CONST)
            oxp_convert(values[v], OXP_F64, value->constant->data, value->constant->dtype, n);
        else
            for (int64_t i = 0; i < n; i++) values[v][i] = given ? given[i] : (double)NAN;
    }
    for (size_t i = 0; i < g->n_nodes; i++)
        OXP_TRY(oxp_oracle_node(ctx, arena, g, g->nodes[i], values));
    *out = values;
    return OXP_OK;
}

/* ---- executors ---- */

static void end_program(void *p)
{
    oxp_program_free(p);
}

oxp_status subject_program(oxp_ctx *ctx, oxp_arena *arena, const subject *s, oxp_exec_kind kind,
                           int threads, oxp_weights *weights, oxp_program **out)
{
    const oxp_exec_options options = {.kind = kind, .threads = threads};
    OXP_TRY(oxp_program_new(ctx, s->g, weights, &options, out));
    OXP_FAIL_IF(ctx, !oxp_arena_defer(arena, end_program, *out), OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

oxp_status subject_run(oxp_ctx *ctx, oxp_arena *arena, const subject *s, oxp_program *p,
                       const feed *f, value_set *out)
{
    const oxp_graph *g = s->g;
    for (size_t i = 0; i < g->n_inputs; i++) {
        const oxp_value *value = oxp_value_of(g, g->inputs[i]);
        oxp_tensor t;
        OXP_TRY(oxp_tensor_new(ctx, arena, value->dtype == OXP_F32 ? OXP_F64 : value->dtype,
                               &value->shape, &t));
        oxp_convert((void *)(uintptr_t)t.data, t.dtype, fed(s, f, g->inputs[i]), OXP_F64,
                    oxp_shape_elements(&value->shape));
        OXP_TRY(oxp_program_feed(ctx, p, i, &t));
    }
    OXP_TRY(oxp_program_run(ctx, p, 0));
    OXP_TRY(oxp_program_run(ctx, p, 1));
    *out = OXP_NEW(arena, double *, g->n_values);
    OXP_NOMEM_IF(ctx, *out);
    for (size_t i = 0; i < g->n_outputs; i++) {
        const oxp_val v = g->outputs[i];
        (*out)[v] = OXP_NEW(arena, double, oxp_shape_elements(oxp_shape_at(g, v)) + 1);
        OXP_NOMEM_IF(ctx, (*out)[v]);
        OXP_TRY(oxp_program_read(ctx, p, i, OXP_F64, (*out)[v]));
    }
    return OXP_OK;
}
