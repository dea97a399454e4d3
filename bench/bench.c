/* bench.c - ours against the bare kernels, in one process: for each model the forward pass, saliency and Grad-CAM at
 * the last convolution, beside the summed time of the oneDNN primitives that each needs, and the measured FMA peak.
 *
 * All variants take turns, round after round, so that a slow spell of the machine hits all of them; minima and medians
 * are printed. Explanations are timed whole: feeding, both halves, the map. Kernel times are those of the convolution and
 * matmul steps of the same program, the best round. */
#include "bench/peak.h"
#include "explain/method.h"
#include "explain/session.h"
#include "onnx/import.h"
#include "ops/specialise.h"
#include "opt/opt.h"
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

typedef struct model {
    const char *name;
    oxp_ctx ctx;
    oxp_error error;
    oxp_arena *arena;
    oxp_onnx_model *onnx;
    oxp_net net;
    oxp_tensor input;
    int threads;
} model;

static void must(const model *m, oxp_status status, const char *what)
{
    if (status == OXP_OK) return;
    fprintf(stderr, "bench: %s: %s: %s\n", m->name, what, m->error.message);
    exit(1);
}

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

/* Asking for a log turns the steps' clocks on. */
static void ignore_log(const char *topic, const char *line, void *user)
{
    OXP_UNUSED(topic);
    OXP_UNUSED(line);
    OXP_UNUSED(user);
}

/* ---- loading ---- */

static void load(model *m, const char *path, int threads)
{
    oxp_bytes file;
    memset(m, 0, sizeof *m);
    const char *slash = strrchr(path, '/');
    m->name = slash != NULL ? slash + 1 : path;
    m->threads = threads;
    m->arena = oxp_arena_new(NULL);
    m->ctx = (oxp_ctx){.error = &m->error, .scratch = oxp_arena_new(NULL), .log = ignore_log};
    must(m, oxp_file_read(&m->ctx, m->arena, path, 0, &file), "reading");
    must(m, oxp_import(&m->ctx, m->arena, file, NULL, 0, &m->onnx), "importing");
    m->net = (oxp_net){.graph = m->onnx->graph, .weights = oxp_weights_new(NULL)};
    must(m, oxp_weights_keep(&m->ctx, m->net.weights, m->onnx->graph), "weights");
    oxp_shape shape = m->onnx->inputs[0].shape;
    for (int a = 0; a < shape.rank; a++)
        if (shape.dim[a] == OXP_DIM_UNKNOWN) shape.dim[a] = 1;
    const int64_t n = oxp_shape_elements(&shape);
    float *x = OXP_NEW(m->arena, float, n);
    uint32_t state = 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / (float)(1 << 23) - 1.0f;
    }
    m->input = (oxp_tensor){OXP_F32, shape, x};
}

static void unload(model *m)
{
    oxp_weights_free(m->net.weights);
    oxp_arena_free(m->ctx.scratch);
    oxp_arena_free(m->arena);
}

/* ---- the forward pass alone ---- */

static oxp_program *compile_forward(model *m)
{
    static const oxp_pass_fn passes[] = {oxp_opt_raise, oxp_opt_merge, oxp_opt_tidy, oxp_opt_fuse};
    const oxp_feed feed = {m->onnx->graph->inputs[0], m->input.shape, NULL};
    const oxp_cut cut = {&feed, 1, m->onnx->graph->outputs, 1, 0};
    oxp_special special;
    oxp_program *p;
    must(m, oxp_specialise(&m->ctx, m->arena, m->onnx->graph, &cut, &special, NULL), "shapes");
    oxp_graph *g = special.g;
    must(m, oxp_opt_run(&m->ctx, m->arena, passes, OXP_COUNT(passes), &g, NULL, 0), "optimising");
    const oxp_exec_options options = {.threads = m->threads, .profile = true};
    must(m, oxp_program_new(&m->ctx, g, m->net.weights, &options, &p), "compiling");
    return p;
}

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

static void run_forward(model *m, oxp_program *p, float *y, series *s, bool warm)
{
    const double before = bench_now();
    must(m, oxp_program_feed(&m->ctx, p, 0, &m->input), "feeding");
    must(m, oxp_program_run(&m->ctx, p, 0), "running");
    must(m, oxp_program_read(&m->ctx, p, 0, OXP_F32, y), "reading");
    note(s, bench_now() - before, warm);
    note_kernels(s, p);
}

/* ---- explanations ---- */

static oxp_session *open_session(model *m, const oxp_method *method)
{
    const oxp_settings settings = {.method = method, .threads = m->threads, .top_k = 3};
    oxp_session *s;
    must(m, oxp_session_new(&m->ctx, &m->net, &settings, &s), "session");
    return s;
}

static void run_session(model *m, oxp_session *session, series *s, bool warm)
{
    const oxp_target target = {OXP_TARGET_CLASS, TARGET}, none = {OXP_TARGET_TOP, 2};
    oxp_explanation e;
    oxp_arena *arena = oxp_arena_new(NULL);
    const double before = bench_now();
    must(m, oxp_session_explain(&m->ctx, session, arena, &m->input, 1, target, none, &e),
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

static void bench_model(const char *path, int threads, double seconds)
{
    static series forward, saliency, cam;
    model m;
    memset(&forward, 0, sizeof forward);
    memset(&saliency, 0, sizeof saliency);
    memset(&cam, 0, sizeof cam);
    load(&m, path, threads);
    oxp_program *p = compile_forward(&m);
    oxp_session *s = open_session(&m, &oxp_method_saliency);
    oxp_session *c = open_session(&m, &oxp_method_grad_cam);
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
    unload(&m);
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
        bench_model(argv[i], threads != NULL ? atoi(threads) : omp_get_num_procs(),
                    seconds != NULL ? atof(seconds) : 10.0);
    return 0;
}
