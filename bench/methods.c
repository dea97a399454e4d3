/* methods.c - what each method costs on one model and one item: passes forward and backward, their rows and work, and
 * seconds, beside one forward pass of the item.
 *
 * Passes and work are counted and the same on every machine. Seconds are those of one run, compiled before; a run that takes
 * longer than SECONDS is stopped, and the rest inferred from the share that it had reported as done: marked "~". */
#include "bench/model.h"
#include "bench/peak.h"
#include "explain/method.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { TARGET = 285 };

typedef struct run { /* of one method */
    double seconds, start, first_at;
    uint64_t first, done, total;
    double limit;
    bool inferred;
} run;

static int follow(const char *what, uint64_t done, uint64_t total, void *user)
{
    run *r = user;
    const double now = bench_now();
    OXP_UNUSED(what);
    if (r->total == 0) {
        r->first = done;
        r->first_at = now;
    }
    r->done = done;
    r->total = total;
    return done < total && done > r->first && now - r->start > r->limit;
}

static oxp_status explain(bench_model *m, oxp_session *s, run *r)
{
    const oxp_target target = {OXP_TARGET_CLASS, TARGET}, none = {OXP_TARGET_TOP, 2};
    oxp_explanation e;
    oxp_arena *arena = oxp_arena_new(NULL);
    m->ctx.progress = follow;
    m->ctx.progress_user = r;
    r->start = bench_now();
    oxp_status status = oxp_session_explain(&m->ctx, s, arena, &m->input, 1, target, none, &e);
    r->seconds = bench_now() - r->start;
    if (status == OXP_ECANCELLED) {
        const double each = (r->start + r->seconds - r->first_at) / (double)(r->done - r->first);
        r->seconds += each * (double)(r->total - r->done);
        r->inferred = true;
        status = OXP_OK;
    }
    m->ctx.progress = NULL;
    oxp_arena_free(arena);
    return status;
}

static double time_forward(bench_model *m, uint64_t *flops)
{
    oxp_program *p = bench_forward(m);
    double best = 1e30;
    for (int i = 0; i < 10; i++) {
        const double before = bench_now();
        bench_must(m, oxp_program_feed(&m->ctx, p, 0, &m->input), "feeding");
        bench_must(m, oxp_program_run(&m->ctx, p, 0), "running");
        const double spent = bench_now() - before;
        best = spent < best ? spent : best;
    }
    *flops = oxp_program_cost(p).flops;
    oxp_program_free(p);
    return best;
}

/* Does anything depend on the seed? */
static bool goes_back(const oxp_core *core)
{
    const oxp_graph *g = core->g;
    for (size_t i = 0; core->seed_input != SIZE_MAX && i < g->n_nodes; i++)
        for (size_t k = 0; k < g->nodes[i]->n_in; k++)
            if (g->nodes[i]->in[k] == g->inputs[core->seed_input]) return true;
    return false;
}

/* Passes of one item. A rehearsal that was cut short counted only some; the rest goes backward if most of these did. */
static oxp_status count_passes(bench_model *m, oxp_session *s, uint32_t *passes, uint32_t *back,
                               oxp_cost *cost)
{
    const oxp_target target = {OXP_TARGET_CLASS, TARGET}, none = {OXP_TARGET_TOP, 2};
    size_t items;
    *back = 0;
    OXP_TRY(oxp_session_compile(&m->ctx, s, &m->input, 1, &items));
    const uint32_t before = s->core->passes;
    OXP_TRY(oxp_session_cost(&m->ctx, s, &m->input, 1, target, none, cost, passes));
    const uint32_t counted = s->core->passes - before, rest = *passes - counted;
    if (goes_back(s->core))
        *back = s->core->backwards + (2 * s->core->backwards > counted ? rest : 0);
    return OXP_OK;
}

static void bench_method(bench_model *m, const oxp_method *method, double forward, uint64_t flops,
                         double limit)
{
    oxp_session *s = bench_session(m, method);
    oxp_cost cost;
    uint32_t passes, back;
    run r = {.limit = limit};
    oxp_status status = count_passes(m, s, &passes, &back, &cost);
    if (status == OXP_OK) status = explain(m, s, &r);
    if (status == OXP_OK) {
        const double work = (double)passes * (double)cost.flops / (double)flops;
        printf("%-28s %7u %8u %5zu %9.1f %s%9.3f %9.1f\n", method->info.name, passes, back,
               s->core->width, work, r.inferred ? "~" : " ", r.seconds, r.seconds / forward);
    } else
        printf("%-28s does not apply: %s\n", method->info.name, m->error.message);
    fflush(stdout);
    oxp_session_free(s);
    oxp_arena_reset(m->ctx.scratch);
}

int main(int argc, char **argv)
{
    const char *threads = getenv("THREADS"), *seconds = getenv("SECONDS_PER_METHOD");
    if (argc != 2) {
        fprintf(stderr,
                "usage: oxp-bench-methods MODEL.onnx (environment: THREADS, SECONDS_PER_METHOD)\n");
        return 2;
    }
    bench_model m;
    uint64_t flops;
    const int n = threads ? atoi(threads) : omp_get_num_procs();
    bench_load(&m, argv[1], n);
    m.ctx.log = NULL; /* no clocks on steps */
    const double forward = time_forward(&m, &flops);
    printf("%s: one item forward: %.2f GFLOP, %.1f ms on %d threads\n", m.name,
           (double)flops * 1e-9, 1e3 * forward, n);
    printf("%-28s %7s %8s %5s %9s %10s %9s\n", "method", "forward", "backward", "rows", "x work",
           "seconds", "x forward");
    for (size_t i = 0; i < oxp_methods_count(); i++)
        bench_method(&m, oxp_methods_at(i), forward, flops, seconds ? atof(seconds) : 4.0);
    bench_unload(&m);
    return 0;
}
