/* dnnl_fixture.h - one node as a graph, computed by both executors: the fused one against the double
 * oracle, with the plan's text to look at. Everything lives until fixture_free. */
#ifndef OXP_TEST_DNNL_FIXTURE_H
#define OXP_TEST_DNNL_FIXTURE_H

#include "exec/program.h"
#include "ops/build.h"
#include "ops/ops.h"
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_INPUTS = 6 };

typedef struct fixture {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
    oxp_graph *g;
    oxp_build b;
    oxp_tensor data[FIXTURE_INPUTS]; /* of the graph's inputs, in order */
    char *log;                       /* what the executor said, a line each */
    size_t log_len;
} fixture;

static inline void fixture_log(const char *topic, const char *line, void *user)
{
    fixture *f = user;
    const size_t n = strlen(topic) + strlen(line) + 3;
    f->log = realloc(f->log, f->log_len + n + 1);
    assert_non_null(f->log);
    f->log_len += (size_t)snprintf(f->log + f->log_len, n + 1, "%s: %s\n", topic, line);
}

static inline void fixture_init(fixture *f)
{
    *f = (fixture){0};
    f->arena = oxp_arena_new(NULL);
    f->ctx = (oxp_ctx){.error = &f->error, .log = fixture_log, .log_user = f};
    f->ctx.scratch = oxp_arena_new(NULL);
    f->g = oxp_graph_new(f->arena);
    oxp_build_init(&f->b, &f->ctx, f->g);
}

static inline void fixture_free(fixture *f)
{
    oxp_arena_free(f->ctx.scratch);
    oxp_arena_free(f->arena);
    free(f->log);
}

/* Small integers: every product and sum below is exact in float. */
static inline oxp_tensor fixture_numbers(fixture *f, const oxp_shape *shape, uint64_t seed)
{
    const int64_t n = oxp_shape_elements(shape);
    float *v = OXP_NEW(f->arena, float, n + 1);
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (int64_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        v[i] = (float)((int64_t)(x >> 61) - 4);
    }
    return (oxp_tensor){OXP_F32, *shape, v};
}

static inline oxp_val fixture_const(fixture *f, const oxp_shape *shape, uint64_t seed)
{
    const oxp_tensor t = fixture_numbers(f, shape, seed);
    oxp_tensor *kept = oxp_arena_memdup(f->arena, &t, sizeof t);
    oxp_val v;
    assert_int_equal(oxp_graph_add_const(&f->ctx, f->g, NULL, OXP_F32, kept, &v), OXP_OK);
    return v;
}

static inline oxp_val fixture_input(fixture *f, const oxp_shape *shape, uint64_t seed)
{
    oxp_val v;
    f->data[f->g->n_inputs] = fixture_numbers(f, shape, seed);
    assert_int_equal(oxp_graph_add_value(&f->ctx, f->g, NULL, OXP_VALUE_INPUT, OXP_F32, shape, &v),
                     OXP_OK);
    return v;
}

static inline void fixture_must(const fixture *f, oxp_status status, const char *what)
{
    if (status != OXP_OK) fail_msg("%s: status %d: %s", what, (int)status, f->error.message);
}

/* Compiles and runs; output 0 as doubles in the fixture's arena, the plan's text in *plan (may be NULL). */
static inline double *fixture_compute(fixture *f, oxp_exec_kind kind, int threads,
                                      oxp_weights *weights, const char *what, oxp_cost *cost,
                                      const char **plan)
{
    oxp_program *p;
    const oxp_exec_options options = {.kind = kind, .threads = threads};
    const int64_t n = oxp_shape_elements(oxp_shape_at(f->g, f->g->outputs[0]));
    double *out = OXP_NEW(f->arena, double, n + 1);
    oxp_strbuf text;
    fixture_must(f, oxp_program_new(&f->ctx, f->g, weights, &options, &p), what);
    for (size_t i = 0; i < f->g->n_inputs; i++)
        fixture_must(f, oxp_program_feed(&f->ctx, p, i, &f->data[i]), what);
    fixture_must(f, oxp_program_run(&f->ctx, p, 0), what);
    fixture_must(f, oxp_program_run(&f->ctx, p, 0),
                 what); /* a second run sees what the first left */
    fixture_must(f, oxp_program_read(&f->ctx, p, 0, OXP_F64, out), what);
    if (cost != NULL) *cost = oxp_program_cost(p);
    if (plan != NULL) {
        oxp_strbuf_init(&text, f->arena);
        oxp_program_print(p, &text);
        *plan = oxp_strbuf_str(&text);
    }
    oxp_program_free(p);
    return out;
}

/* Fused with 1 and 2 threads against the oracle; tolerance 0: exactly. Returns the plan of the last. */
static inline const char *fixture_check(fixture *f, const char *what, double tolerance,
                                        oxp_cost *cost)
{
    const size_t n = (size_t)oxp_shape_elements(oxp_shape_at(f->g, f->g->outputs[0]));
    oxp_weights *weights = oxp_weights_new(NULL);
    const char *plan = NULL;
    const double *want = fixture_compute(f, OXP_EXEC_PLAIN, 1, weights, what, NULL, NULL);
    for (int threads = 1; threads <= 2; threads++) {
        const double *got = fixture_compute(f, OXP_EXEC_FUSED, threads, weights, what, cost, &plan);
        const double error = oxp_test_error_f64(got, want, n);
        if (!(error <= tolerance))
            fail_msg("%s, %d threads: error %g of the maximum, at most %g allowed\n%s", what,
                     threads, error, tolerance, plan);
    }
    oxp_weights_free(weights);
    return plan;
}

#endif
