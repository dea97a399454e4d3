/* subject.c - see subject.h. */
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INPUTS = 8, MAX_ELEMENTS = 1 << 20 };

static void *get(size_t bytes, void *user)
{
    (void)user;
    return bytes > PTRDIFF_MAX / 2 ? NULL : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void put(void *block, void *user)
{
    (void)user;
    free(block);
}

const oxp_allocator subject_c_library = {get, put, NULL};

static oxp_status load(subject *s, oxp_ctx *ctx, const char *path, uint64_t max_memory)
{
    char full[4096];
    snprintf(full, sizeof full, "%s%s%s", path[0] == '/' ? "" : OXP_SOURCE_DIR,
             path[0] == '/' ? "" : "/", path);
    oxp_bytes file;
    OXP_TRY(oxp_file_read(ctx, s->arena, full, 0, &file));
    const char *folder = oxp_path_dir(s->arena, full);
    OXP_NOMEM_IF(ctx, folder);
    OXP_TRY(oxp_import(ctx, s->arena, file, folder, max_memory, &s->model));
    s->net = (oxp_net){.graph = s->model->graph,
                       .weights = oxp_weights_new(&s->hooks),
                       .hooks = &s->hooks,
                       .max_memory = max_memory};
    OXP_NOMEM_IF(ctx, s->net.weights);
    return oxp_weights_keep(ctx, s->net.weights, s->net.graph);
}

oxp_status subject_open(subject *s, const oxp_allocator *hooks, const char *path,
                        uint64_t max_memory)
{
    *s = (subject){.hooks = *hooks, .arena = oxp_arena_new(hooks)};
    oxp_ctx ctx = {.error = &s->error, .hooks = &s->hooks, .scratch = oxp_arena_new(hooks)};
    const oxp_status status = s->arena && ctx.scratch
                                  ? load(s, &ctx, path, max_memory)
                                  : oxp_ctx_fail(&ctx, OXP_ENOMEM, "out of memory");
    oxp_arena_free(ctx.scratch);
    return status;
}

void subject_close(subject *s)
{
    oxp_weights_free(s->net.weights);
    oxp_arena_free(s->arena);
}

oxp_status subject_session(subject *s, const question *q, oxp_session **out)
{
    oxp_ctx ctx = {.error = &s->error, .hooks = &s->hooks, .scratch = oxp_arena_new(&s->hooks)};
    oxp_settings set = {.method = oxp_methods_find(q->method),
                        .params = q->params,
                        .threads = q->threads,
                        .double_precision = q->plain,
                        .max_memory = q->max_memory,
                        .top_k = 3};
    assert_non_null(set.method);
    while (set.n_params < 4 && q->params[set.n_params]) set.n_params++;
    const oxp_status status = ctx.scratch ? oxp_session_new(&ctx, &s->net, &set, out)
                                          : oxp_ctx_fail(&ctx, OXP_ENOMEM, "out of memory");
    oxp_arena_free(ctx.scratch);
    return status;
}

oxp_status subject_explain(subject *s, oxp_session *session, const oxp_tensor *inputs,
                           size_t n_inputs, double *sum)
{
    const oxp_target top = {OXP_TARGET_TOP, 1};
    oxp_arena *result = oxp_arena_new(&s->hooks);
    oxp_ctx ctx = {.error = &s->error, .hooks = &s->hooks, .scratch = oxp_arena_new(&s->hooks)};
    oxp_explanation out;
    const oxp_status status =
        result && ctx.scratch
            ? oxp_session_explain(&ctx, session, result, inputs, n_inputs, top, top, &out)
            : oxp_ctx_fail(&ctx, OXP_ENOMEM, "out of memory");
    *sum = 0.0;
    for (size_t m = 0; status == OXP_OK && m < out.n_maps; m++) {
        const oxp_tensor *raw = &out.maps[m].raw;
        for (int64_t i = 0; i < oxp_shape_elements(&raw->shape); i++)
            *sum += oxp_tensor_get(raw, i) * (double)(i % 97 + 1);
    }
    oxp_arena_free(ctx.scratch);
    oxp_arena_free(result);
    return status;
}

bool subject_ones(const subject *s, oxp_tensor *inputs)
{
    const oxp_graph *g = s->net.graph;
    if (g->n_inputs > MAX_INPUTS) return false;
    for (size_t i = 0; i < g->n_inputs; i++) {
        oxp_tensor *t = &inputs[i];
        *t = (oxp_tensor){.dtype = OXP_F32, .shape = oxp_value_of(g, g->inputs[i])->shape};
        if (t->shape.rank < 0) t->shape = oxp_shape_of(2, (const int64_t[]){1, 1});
        for (int a = 0; a < t->shape.rank; a++)
            if (t->shape.dim[a] == OXP_DIM_UNKNOWN) t->shape.dim[a] = 1;
        int64_t n;
        float *ones = NULL;
        if (oxp_shape_count(&t->shape, &n) && n <= MAX_ELEMENTS) ones = malloc((size_t)n * 4 + 1);
        for (int64_t k = 0; ones && k < n; k++) ones[k] = 1.0f;
        t->data = ones;
        if (ones) continue;
        while (i-- > 0) free((void *)(uintptr_t)inputs[i].data);
        return false;
    }
    return true;
}

void subject_free_ones(const subject *s, oxp_tensor *inputs)
{
    for (size_t i = 0; i < s->net.graph->n_inputs; i++) free((void *)(uintptr_t)inputs[i].data);
}

void subject_check_message(const subject *s, const char *what)
{
    const unsigned char *text = (const unsigned char *)s->error.message;
    if (*text == '\0') fail_msg("%s: an error without a message", what);
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text == 127) fail_msg("%s: not one line: %s", what, s->error.message);
}
