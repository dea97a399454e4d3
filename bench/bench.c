/* bench.c - ours against the bare kernels, in one process: for each model the forward pass, saliency and Grad-CAM at
 * the last convolution, beside the summed time of the oneDNN primitives that each needs, and the measured FMA peak.
 *
 * All variants take turns, round after round, so that a slow spell of the machine hits all of them; minima and medians
 * are printed. Explanations are timed whole: feeding, both halves, the map. Kernel times are those of the convolution and
 * matmul steps of the same program, the best round. */
#include "bench/model.h"
#include "bench/peak.h"
#include "explain/method.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROUNDS = 200, TARGET = 285 };

typedef struct series { /* of one variant; seconds */
    double t[MOST_ROUNDS];
    int n;
    double kernels; /* best */
    double last;    /* sum at the end of the round before */
    uint64_t flops;
    oxp_cost cost;
} series;

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const series *s)
{
    double sorted[MOST_ROUNDS];
    memcpy(sorted, s->t, (size_t)s->n * sizeof *sorted);
    qsort(sorted, (size_t)s->n, sizeof *sorted, by_size);
    return sorted[s->n / 2];
}

static double least(const series *s)
{
    double best = s->t[0];
    for (int i = 1; i < s->n; i++) best = s->t[i] < best ? s->t[i] : best;
    return best;
}

/* ---- the forward pass alone ---- */

static void note_kernels(series *s, const oxp_program *p)
{
    const double sum = oxp_program_seconds(p, "conv") + oxp_program_seconds(p, "matmul");
    const double spent = sum - s->last;
    if (s->n > 0 && (s->kernels <= 0.0 || spent < s->kernels)) s->kernels = spent;
    s->last = sum;
    s->cost = oxp_program_cost(p);
    s->flops = s->cost.flops;
}

static void note(series *s, double seconds, bool warm)
{
    if (warm && s->n < MOST_ROUNDS) s->t[s->n++] = seconds;
}

static void run_forward(bench_model *m, oxp_program *p, float *y, series *s, bool warm)
{
    const double before = bench_now();
    bench_must(m, oxp_program_feed(&m->ctx, p, 0, &m->input), "feeding");
    bench_must(m, oxp_program_run(&m->ctx, p, 0), "running");
    bench_must(m, oxp_program_read(&m->ctx, p, 0, OXP_F32, y), "reading");
    note(s, bench_now() - before, warm);
    note_kernels(s, p);
}

/* ---- explanations ---- */

static void run_session(bench_model *m, oxp_session *session, series *s, bool warm)
{
    const oxp_target target = {OXP_TARGET_CLASS, TARGET}, none = {OXP_TARGET_TOP, 2};
    oxp_explanation e;
    oxp_arena *arena = oxp_arena_new(NULL);
    const double before = bench_now();
    bench_must(m, oxp_session_explain(&m->ctx, session, arena, &m->input, 1, target, none, &e),
               "explaining");
    note(s, bench_now() - before, warm);
    note_kernels(s, session->core->program);
    oxp_arena_free(arena);
    oxp_arena_reset(m->ctx.scratch);
}

/* ---- the table ---- */

static void print_row(const char *what, const series *s, const series *forward, double peak)
{
    printf("  %-9s %8.2f %8.2f %9.2f %7.2f %8.2f %7.0f %7.1f %9.1f %6u\n", what, 1e3 * least(s),
           1e3 * median(s), 1e3 * s->kernels, least(s) / s->kernels, least(s) / least(forward),
           (double)s->flops / least(s) * 1e-9, 100e-9 * (double)s->flops / least(s) / peak,
           (double)s->cost.workspace_bytes / 1048576.0, s->cost.reorders);
}

static void bench_file(const char *path, int threads, double seconds)
{
    static series forward, saliency, cam;
    bench_model m;
    memset(&forward, 0, sizeof forward);
    memset(&saliency, 0, sizeof saliency);
    memset(&cam, 0, sizeof cam);
    bench_load(&m, path, threads);
    oxp_program *p = bench_forward(&m);
    oxp_session *s = bench_session(&m, &oxp_method_saliency);
    oxp_session *c = bench_session(&m, &oxp_method_grad_cam);
    int64_t n = oxp_shape_elements(oxp_shape_at(m.onnx->graph, m.onnx->graph->outputs[0]));
    float *y = OXP_NEW(m.arena, float, n > 1000000 ? n : 1000000);
    double peak = bench_peak_gflops(threads, 0.3), end = 0.0;
    for (int round = -2; round < 5 || (round < MOST_ROUNDS && bench_now() < end); round++) {
        if (round == 0) end = bench_now() + seconds;
        run_forward(&m, p, y, &forward, round >= 0);
        run_session(&m, s, &saliency, round >= 0);
        run_session(&m, c, &cam, round >= 0);
        const double again = bench_peak_gflops(threads, 0.01);
        peak = again > peak ? again : peak;
    }
    printf("%s: %.2f GFLOP forward, %d rounds, FMA peak %.0f GFLOP/s on %d threads\n", m.name,
           (double)forward.flops * 1e-9, forward.n, peak, threads);
    printf("            least ms   median   kernels   ratio  forward GFLOP/s  %% peak  MiB work "
           "reorders\n");
    print_row("forward", &forward, &forward, peak);
    print_row("saliency", &saliency, &forward, peak);
    print_row("grad-cam", &cam, &forward, peak);
    oxp_session_free(c);
    oxp_session_free(s);
    oxp_program_free(p);
    bench_unload(&m);
}

int main(int argc, char **argv)
{
    const char *threads = getenv("THREADS"), *seconds = getenv("SECONDS_PER_MODEL");
    if (argc < 2) {
        fprintf(stderr,
                "usage: oxp-bench MODEL.onnx... (environment: THREADS, SECONDS_PER_MODEL)\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        bench_file(argv[i], threads != NULL ? atoi(threads) : omp_get_num_procs(),
                   seconds != NULL ? atof(seconds) : 10.0);
    return 0;
}
