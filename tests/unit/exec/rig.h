/* rig.h - small graphs built by hand and run on both executors with the same random data. For the
 * tests of exec/ only. */
#ifndef OXP_TEST_EXEC_RIG_H
#define OXP_TEST_EXEC_RIG_H

#include "base/rng.h"
#include "exec/program.h"
#include "ops/build.h"
#include "ops/ops.h"
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct rig {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
    oxp_graph *g;
    oxp_build b;
    oxp_weights *weights;
    uint32_t draws; /* constants and feeds drawn so far */
    int threads;    /* of the fused executor: 1 and 2 in turn */
} rig;

static inline void rig_start(rig *r)
{
    static int rigs;
    memset(r, 0, sizeof *r);
    r->threads = 1 + rigs++ % 2;
    r->arena = oxp_arena_new(NULL);
    r->ctx = (oxp_ctx){.error = &r->error, .scratch = oxp_arena_new(NULL)};
    r->g = oxp_graph_new(r->arena);
    r->weights = oxp_weights_new(NULL);
    oxp_build_init(&r->b, &r->ctx, r->g);
    r->b.fold = false;
}

static inline void rig_end(rig *r)
{
    oxp_weights_free(r->weights);
    oxp_arena_free(r->arena);
    oxp_arena_free(r->ctx.scratch);
}

#define SHAPE(...)                                                          \
    oxp_shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
                 (int64_t[]){__VA_ARGS__})

static inline oxp_tensor rig_random(rig *r, oxp_shape shape, oxp_dtype dtype, double scale)
{
    oxp_tensor t;
    assert_int_equal(oxp_tensor_new(&r->ctx, r->arena, OXP_F64, &shape, &t), OXP_OK);
    const oxp_rng rng = {.seed = 5, .item = r->draws++};
    double *data = (double *)(uintptr_t)t.data;
    for (int64_t i = 0; i < oxp_shape_elements(&shape); i++)
        data[i] = (double)(float)(scale *
                                  oxp_rng_normal(&rng, (uint64_t)i)); /* exact in both executors */
    oxp_tensor out = t;
    if (dtype != OXP_F64) {
        assert_int_equal(oxp_tensor_new(&r->ctx, r->arena, dtype, &shape, &out), OXP_OK);
        oxp_convert((void *)(uintptr_t)out.data, dtype, data, OXP_F64, oxp_shape_elements(&shape));
    }
    return out;
}

static inline oxp_val rig_input(rig *r, oxp_shape shape, oxp_value_kind kind)
{
    oxp_val v;
    assert_int_equal(oxp_graph_add_value(&r->ctx, r->g, NULL, kind, OXP_F32, &shape, &v), OXP_OK);
    return v;
}

/* An input that lies channels-last: through a pooling that changes nothing. */
static inline oxp_val rig_last(rig *r, oxp_val x)
{
    const int64_t ones[3] = {1, 1, 1};
    const int axes = oxp_b_shape(&r->b, x)->rank - 2;
    return OXP_EMIT1(&r->b, &oxp_op_MaxPool, x, OXP_INTS("kernel_shape", ones, (size_t)axes));
}

static inline oxp_val rig_const(rig *r, oxp_shape shape, oxp_dtype stored)
{
    oxp_tensor *t = OXP_NEW(r->arena, oxp_tensor, 1);
    oxp_val v;
    *t = rig_random(r, shape, stored, 1.0);
    assert_int_equal(oxp_graph_add_const(&r->ctx, r->g, NULL, OXP_F32, t, &v), OXP_OK);
    return v;
}

static inline void rig_output(rig *r, oxp_val v)
{
    if (r->b.status != OXP_OK) fail_msg("building failed: %s", r->error.message);
    assert_int_equal(oxp_graph_add_output(&r->ctx, r->g, v), OXP_OK);
}

static inline oxp_program *rig_compile(rig *r, oxp_exec_kind kind, int threads)
{
    const oxp_exec_options options = {.kind = kind, .threads = threads};
    oxp_program *p;
    if (oxp_program_new(&r->ctx, r->g, r->weights, &options, &p) != OXP_OK)
        fail_msg("compiling failed: %s %s: %s", r->error.op, r->error.node, r->error.message);
    return p;
}

/* Feeds every input of the kind with the data of draw number `draw`. */
static inline void rig_feed(rig *r, oxp_program *p, oxp_value_kind kind, uint32_t draw)
{
    for (size_t i = 0; i < r->g->n_inputs; i++) {
        const oxp_value *v = oxp_value_of(r->g, r->g->inputs[i]);
        if (v->kind != kind) continue;
        r->draws = draw + (uint32_t)i;
        const oxp_tensor t = rig_random(r, v->shape, OXP_F64, 1.0);
        assert_int_equal(oxp_program_feed(&r->ctx, p, i, &t), OXP_OK);
    }
}

static inline void rig_run(rig *r, oxp_program *p, int phase)
{
    if (oxp_program_run(&r->ctx, p, phase) != OXP_OK)
        fail_msg("phase %d failed: %s: %s", phase, r->error.op, r->error.message);
}

static inline double *rig_read(rig *r, const oxp_program *p, size_t output, size_t *n)
{
    const oxp_shape *s = oxp_shape_at(r->g, r->g->outputs[output]);
    *n = (size_t)oxp_shape_elements(s);
    double *data = OXP_NEW(r->arena, double, *n + 1);
    assert_int_equal(oxp_program_read(&r->ctx, p, output, OXP_F64, data), OXP_OK);
    return data;
}

/* Runs both phases on both executors; every output must agree. Returns the fused program's cost. */
static inline oxp_cost rig_compare(rig *r, double tolerance, const char *what)
{
    oxp_program *plain = rig_compile(r, OXP_EXEC_PLAIN, 1),
                *fused = rig_compile(r, OXP_EXEC_FUSED, r->threads);
    oxp_program *const both[2] = {plain, fused};
    assert_int_equal(oxp_graph_verify(&r->ctx, r->g), OXP_OK);
    for (int k = 0; k < 2; k++) {
        rig_feed(r, both[k], OXP_VALUE_INPUT, 1000);
        rig_feed(r, both[k], OXP_VALUE_SEED, 2000);
        rig_run(r, both[k], 0);
        rig_run(r, both[k], 1);
    }
    for (size_t i = 0; i < r->g->n_outputs; i++) {
        size_t n;
        const double *want = rig_read(r, plain, i, &n), *got = rig_read(r, fused, i, &n);
        const double error = oxp_test_error_f64(got, want, n);
        if (!(error <= tolerance)) {
            oxp_strbuf text;
            oxp_strbuf_init(&text, r->arena);
            oxp_graph_print(r->g, &text);
            oxp_program_print(fused, &text);
            fail_msg("%s: output %zu differs by %g\n%s", what, i, error, oxp_strbuf_str(&text));
        }
    }
    const oxp_cost cost = oxp_program_cost(fused);
    oxp_program_free(plain);
    oxp_program_free(fused);
    return cost;
}

#endif
