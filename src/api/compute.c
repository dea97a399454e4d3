/* compute.c - forward runs between any tensors of the model. */
#include "api/api.h"

#include <string.h>

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
    *out = OXP_NEW(ctx->scratch, oxp_val, m->onnx->n_outputs);
    OXP_NOMEM_IF(ctx, *out);
    for (size_t i = 0; i < m->onnx->n_outputs; i++) (*out)[i] = m->onnx->outputs[i].value;
    return OXP_OK;
}

static oxp_status run_in(oxp_ctx *ctx, oxp_values *v, const oxp_model *m, const oxp_array *feeds,
                         size_t n_feeds, const char *const *outputs, size_t n_outputs,
                         const oxp_run_options *o)
{
    const bool is_double = o->precision && strcmp(o->precision, "f64") == 0;
    oxp_val *fed, *wanted;
    oxp_tensor *data;
    OXP_FAIL_IF(ctx, o->precision && !is_double && strcmp(o->precision, "f32") != 0, OXP_EINVAL,
                "precision must be f32 or f64, found '%.60s'", o->precision);
    OXP_TRY(read_feeds(ctx, m, feeds, n_feeds, &fed, &data));
    const char **names = OXP_NEW(v->arena, const char *, n_outputs + m->onnx->n_outputs + 1);
    OXP_NOMEM_IF(ctx, names);
    v->n = n_outputs ? n_outputs : m->onnx->n_outputs;
    for (size_t i = 0; i < v->n; i++) {
        const char *name = n_outputs ? outputs[i] : m->onnx->outputs[i].name;
        names[i] = name ? oxp_arena_strdup(v->arena, name) : NULL;
        OXP_FAIL_IF(ctx, name && !names[i], OXP_ENOMEM, "out of memory");
    }
    if (n_outputs)
        OXP_TRY(oxp_ask_tensors(ctx, m, names, v->n, &wanted));
    else
        OXP_TRY(all_outputs(ctx, m, &wanted));
    oxp_tensor *results = OXP_NEW(ctx->scratch, oxp_tensor, v->n + 1);
    v->arrays = OXP_NEW(v->arena, oxp_array, v->n + 1);
    OXP_FAIL_IF(ctx, !results || !v->arrays, OXP_ENOMEM, "out of memory");
    OXP_TRY(oxp_compute(ctx, &m->net, v->arena, fed, data, n_feeds, wanted, v->n, o->threads,
                        is_double, results));
    for (size_t i = 0; i < v->n; i++) v->arrays[i] = oxp_api_array(names[i], &results[i]);
    return OXP_OK;
}

static oxp_status run(oxp_ctx *ctx, oxp_values **out, const oxp_model *m, const oxp_array *feeds,
                      size_t n_feeds, const char *const *outputs, size_t n_outputs,
                      const oxp_run_options *options)
{
    oxp_run_options o;
    oxp_arena *arena;
    void *made;
    OXP_FAIL_IF(ctx, !out || (n_feeds > 0 && !feeds) || (n_outputs > 0 && !outputs), OXP_EINVAL,
                "an argument is missing (NULL)");
    OXP_TRY(OXP_API_OPTIONS(ctx, oxp_run_options, precision, options, &o));
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_values), &arena, &made));
    oxp_values *v = made;
    v->arena = arena;
    const oxp_status status = run_in(ctx, v, m, feeds, n_feeds, outputs, n_outputs, &o);
    if (status == OXP_OK)
        *out = v;
    else
        oxp_arena_free(arena);
    return status;
}

oxp_status oxp_run(oxp_values **out, const oxp_model *model, const oxp_array *feeds, size_t n_feeds,
                   const char *const *outputs, size_t n_outputs, const oxp_run_options *options,
                   oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, run(&ctx, out, model, feeds, n_feeds, outputs, n_outputs, options));
}

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
