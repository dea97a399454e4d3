/* compute.c - forward runs between any tensors of the model, once or with what was compiled kept. */
#include "api/api.h"

#include <string.h>

struct oxp_runner {
    oxp_arena *arena;
    const oxp_model *model;
    const char **names; /* [n] of the outputs */
    size_t n;
    oxp_forward *forward;
};

static oxp_status read_feeds(oxp_ctx *ctx, const oxp_model *m, const oxp_array *feeds, size_t n,
                             oxp_val **vals, oxp_tensor **data)
{
    const char **names = OXP_NEW(ctx->scratch, const char *, n + 1);
    *data = OXP_NEW(ctx->scratch, oxp_tensor, n + 1);
    OXP_FAIL_IF(ctx, !names || !*data, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        OXP_FAIL_IF(ctx, !feeds[i].name && i >= m->onnx->n_inputs, OXP_EINVAL,
                    "feed %zu has no name, and the model has only %zu inputs", i,
                    m->onnx->n_inputs);
        names[i] = feeds[i].name ? feeds[i].name : m->onnx->inputs[i].name;
        OXP_TRY(oxp_ask_array(ctx, &feeds[i], &(*data)[i]));
    }
    return oxp_ask_tensors(ctx, m, names, n, vals);
}

/* The model's own outputs, which may be constants, unlike tensors that are asked for by name. */
static oxp_status all_outputs(oxp_ctx *ctx, const oxp_model *m, oxp_val **out)
{
    *out = OXP_NEW(ctx->scratch, oxp_val, m->onnx->n_outputs + 1);
    OXP_NOMEM_IF(ctx, *out);
    for (size_t i = 0; i < m->onnx->n_outputs; i++) (*out)[i] = m->onnx->outputs[i].value;
    return OXP_OK;
}

static oxp_status copy_names(oxp_ctx *ctx, oxp_arena *arena, const char *const *from, size_t n,
                             const char ***to)
{
    *to = OXP_NEW(arena, const char *, n + 1);
    OXP_NOMEM_IF(ctx, *to);
    for (size_t i = 0; i < n; i++) {
        (*to)[i] = from[i] ? oxp_arena_strdup(arena, from[i]) : NULL;
        OXP_FAIL_IF(ctx, from[i] && !(*to)[i], OXP_ENOMEM, "out of memory");
    }
    return OXP_OK;
}

/* ---- a cut that is kept ---- */

static oxp_status fill_runner(oxp_ctx *ctx, oxp_runner *r, const char *const *outputs,
                              size_t n_outputs, const oxp_run_options *o)
{
    const oxp_model *m = r->model;
    const bool is_double = o->precision && strcmp(o->precision, "f64") == 0;
    oxp_val *wanted;
    OXP_FAIL_IF(ctx, o->precision && !is_double && strcmp(o->precision, "f32") != 0, OXP_EINVAL,
                "precision must be f32 or f64, found '%.60s'", o->precision);
    r->n = n_outputs ? n_outputs : m->onnx->n_outputs;
    if (n_outputs) {
        OXP_TRY(oxp_ask_tensors(ctx, m, outputs, n_outputs, &wanted));
    } else {
        const char **own = OXP_NEW(ctx->scratch, const char *, r->n + 1);
        OXP_NOMEM_IF(ctx, own);
        for (size_t i = 0; i < r->n; i++) own[i] = m->onnx->outputs[i].name;
        outputs = own;
        OXP_TRY(all_outputs(ctx, m, &wanted));
    }
    OXP_TRY(copy_names(ctx, r->arena, outputs, r->n, &r->names));
    return oxp_forward_new(ctx, &m->net, wanted, r->n, o->threads, is_double, &r->forward);
}

static oxp_status make_runner(oxp_ctx *ctx, oxp_runner **out, const oxp_model *m,
                              const char *const *outputs, size_t n_outputs,
                              const oxp_run_options *options)
{
    oxp_run_options o;
    oxp_arena *arena;
    void *made;
    OXP_FAIL_IF(ctx, !out || (n_outputs > 0 && !outputs), OXP_EINVAL,
                "an argument is missing (NULL)");
    OXP_TRY(OXP_API_OPTIONS(ctx, oxp_run_options, precision, options, &o));
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_runner), &arena, &made));
    oxp_runner *r = made;
    r->arena = arena;
    r->model = m;
    const oxp_status status = fill_runner(ctx, r, outputs, n_outputs, &o);
    if (status == OXP_OK)
        *out = r;
    else
        oxp_runner_free(r);
    return status;
}

oxp_status oxp_runner_new(oxp_runner **out, const oxp_model *model, const char *const *outputs,
                          size_t n_outputs, const oxp_run_options *options, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, make_runner(&ctx, out, model, outputs, n_outputs, options));
}

void oxp_runner_free(oxp_runner *runner)
{
    if (!runner) return;
    oxp_forward_free(runner->forward);
    oxp_arena_free(runner->arena);
}

/* ---- running ---- */

static oxp_status run_in(oxp_ctx *ctx, oxp_values *v, const oxp_runner *r, const oxp_array *feeds,
                         size_t n_feeds)
{
    oxp_val *fed;
    oxp_tensor *data;
    const char **names;
    OXP_TRY(read_feeds(ctx, r->model, feeds, n_feeds, &fed, &data));
    OXP_TRY(copy_names(ctx, v->arena, r->names, r->n, &names));
    oxp_tensor *results = OXP_NEW(ctx->scratch, oxp_tensor, r->n + 1);
    v->n = r->n;
    v->arrays = OXP_NEW(v->arena, oxp_array, v->n + 1);
    OXP_FAIL_IF(ctx, !results || !v->arrays, OXP_ENOMEM, "out of memory");
    OXP_TRY(oxp_forward_run(ctx, r->forward, v->arena, fed, data, n_feeds, results));
    for (size_t i = 0; i < v->n; i++) v->arrays[i] = oxp_api_array(names[i], &results[i]);
    return OXP_OK;
}

static oxp_status run(oxp_ctx *ctx, oxp_values **out, const oxp_runner *r, const oxp_array *feeds,
                      size_t n_feeds)
{
    oxp_arena *arena;
    void *made;
    OXP_FAIL_IF(ctx, !out || (n_feeds > 0 && !feeds), OXP_EINVAL, "an argument is missing (NULL)");
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_values), &arena, &made));
    oxp_values *v = made;
    v->arena = arena;
    const oxp_status status = run_in(ctx, v, r, feeds, n_feeds);
    if (status == OXP_OK)
        *out = v;
    else
        oxp_arena_free(arena);
    return status;
}

oxp_status oxp_runner_run(oxp_values **out, oxp_runner *runner, const oxp_array *feeds,
                          size_t n_feeds, oxp_error *error)
{
    oxp_ctx ctx = {.error = error, .stage = OXP_STAGE_ARG};
    OXP_FAIL_IF(&ctx, !runner, OXP_EINVAL, "no runner was given (NULL)");
    OXP_TRY(oxp_api_begin_model(&ctx, runner->model, error));
    return oxp_api_end(&ctx, run(&ctx, out, runner, feeds, n_feeds));
}

oxp_status oxp_run(oxp_values **out, const oxp_model *model, const oxp_array *feeds, size_t n_feeds,
                   const char *const *outputs, size_t n_outputs, const oxp_run_options *options,
                   oxp_error *error)
{
    oxp_runner *runner;
    OXP_TRY(oxp_runner_new(&runner, model, outputs, n_outputs, options, error));
    const oxp_status status = oxp_runner_run(out, runner, feeds, n_feeds, error);
    oxp_runner_free(runner);
    return status;
}

/* ---- values ---- */

size_t oxp_values_count(const oxp_values *values)
{
    return values ? values->n : 0;
}

oxp_array oxp_values_get(const oxp_values *values, size_t index)
{
    return index < oxp_values_count(values) ? values->arrays[index] : (oxp_array){0};
}

void oxp_values_free(oxp_values *values)
{
    if (values) oxp_arena_free(values->arena);
}
