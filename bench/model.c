/* model.c - see model.h. */
#include "bench/model.h"
#include "ops/specialise.h"
#include "opt/opt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_must(const bench_model *m, oxp_status status, const char *what)
{
    if (status == OXP_OK) return;
    fprintf(stderr, "bench: %s: %s: %s\n", m->name, what, m->error.message);
    exit(1);
}

/* Asking for a log turns the steps' clocks on. */
static void ignore_log(const char *topic, const char *line, void *user)
{
    OXP_UNUSED(topic);
    OXP_UNUSED(line);
    OXP_UNUSED(user);
}

void bench_load(bench_model *m, const char *path, int threads)
{
    oxp_bytes file;
    memset(m, 0, sizeof *m);
    const char *slash = strrchr(path, '/');
    m->name = slash != NULL ? slash + 1 : path;
    m->threads = threads;
    m->arena = oxp_arena_new(NULL);
    m->ctx = (oxp_ctx){.error = &m->error, .scratch = oxp_arena_new(NULL), .log = ignore_log};
    bench_must(m, oxp_file_read(&m->ctx, m->arena, path, 0, &file), "reading");
    bench_must(m, oxp_import(&m->ctx, m->arena, file, NULL, 0, &m->onnx), "importing");
    m->net = (oxp_net){.graph = m->onnx->graph, .weights = oxp_weights_new(NULL)};
    bench_must(m, oxp_weights_keep(&m->ctx, m->net.weights, m->onnx->graph), "weights");
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

void bench_unload(bench_model *m)
{
    oxp_weights_free(m->net.weights);
    oxp_arena_free(m->ctx.scratch);
    oxp_arena_free(m->arena);
}

oxp_program *bench_forward(bench_model *m)
{
    static const oxp_pass_fn passes[] = {oxp_opt_raise, oxp_opt_merge, oxp_opt_tidy, oxp_opt_fuse};
    const oxp_feed feed = {m->onnx->graph->inputs[0], m->input.shape, NULL};
    const oxp_cut cut = {
        .feeds = &feed, .n_feeds = 1, .wanted = m->onnx->graph->outputs, .n_wanted = 1};
    oxp_special special;
    oxp_program *p;
    bench_must(m, oxp_specialise(&m->ctx, m->arena, m->onnx->graph, &cut, &special, NULL),
               "shapes");
    oxp_graph *g = special.g;
    bench_must(m, oxp_opt_run(&m->ctx, m->arena, passes, OXP_COUNT(passes), &g, NULL, 0),
               "optimising");
    const oxp_exec_options options = {.threads = m->threads, .profile = true};
    bench_must(m, oxp_program_new(&m->ctx, g, m->net.weights, &options, &p), "compiling");
    return p;
}

oxp_session *bench_session(bench_model *m, const oxp_method *method)
{
    const oxp_settings settings = {.method = method, .threads = m->threads, .top_k = 3};
    oxp_session *s;
    bench_must(m, oxp_session_new(&m->ctx, &m->net, &settings, &s), "session");
    return s;
}
