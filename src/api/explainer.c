/* explainer.c - a method on a model: options to settings, calls to sessions, sessions to results.
 *
 * A session is compiled for one target tensor and for "with or without contrast"; an explainer keeps
 * the last one and makes another only when these change. Other classes never recompile. */
#include "api/api.h"

#include <string.h>

struct oxp_explainer {
    oxp_arena *arena;
    const oxp_model *model;
    oxp_settings settings;
    const char *target, *contrast; /* defaults; contrast NULL: none */
    const char *precision;
    oxp_progress_fn progress;
    void *progress_user;
    oxp_session *session; /* NULL before the first call */
    oxp_val session_tensor;
    bool session_contrast;
};

/* ---- options ---- */

static oxp_status find_method(oxp_ctx *ctx, const char *name, const oxp_method **out)
{
    if (!name) name = "saliency";
    *out = oxp_methods_find(name);
    if (*out) return OXP_OK;
    const char **names = OXP_NEW(ctx->scratch, const char *, oxp_methods_count());
    OXP_NOMEM_IF(ctx, names);
    for (size_t i = 0; i < oxp_methods_count(); i++) names[i] = oxp_methods_at(i)->info.name;
    const int near = oxp_nearest_name(name, names, oxp_methods_count());
    OXP_FAIL_IF(ctx, near >= 0, OXP_EINVAL, "there is no method '%.60s': did you mean '%s'?", name,
                names[near]);
    OXP_FAIL(ctx, OXP_EINVAL, "there is no method '%.60s': 'onnxplain methods' lists them", name);
}

static oxp_status read_space(oxp_ctx *ctx, const char *text, oxp_space *out)
{
    static const char *const names[] = {"logit", "prob", "output"};
    *out = OXP_SPACE_LOGIT;
    if (!text) return OXP_OK;
    for (size_t i = 0; i < OXP_COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (oxp_space)i;
            return OXP_OK;
        }
    OXP_FAIL(ctx, OXP_EINVAL, "space must be logit, prob or output, found '%.60s'", text);
}

static oxp_status read_precision(oxp_ctx *ctx, const char *text, bool *is_double)
{
    *is_double = text && strcmp(text, "f64") == 0;
    OXP_FAIL_IF(ctx, text && !*is_double && strcmp(text, "f32") != 0, OXP_EINVAL,
                "precision must be f32 or f64, found '%.60s'", text);
    return OXP_OK;
}

static oxp_status copy_text(oxp_ctx *ctx, oxp_arena *arena, const char *from, const char **to)
{
    *to = from ? oxp_arena_strdup(arena, from) : NULL;
    OXP_FAIL_IF(ctx, from && !*to, OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

static oxp_status copy_texts(oxp_ctx *ctx, oxp_arena *arena, const char *const *from, size_t n,
                             const char *const **to)
{
    const char **list = OXP_NEW(arena, const char *, n + 1);
    OXP_NOMEM_IF(ctx, list);
    for (size_t i = 0; i < n; i++) {
        OXP_FAIL_IF(ctx, !from || !from[i], OXP_EINVAL, "a parameter is missing (NULL)");
        OXP_TRY(copy_text(ctx, arena, from[i], &list[i]));
    }
    *to = list;
    return OXP_OK;
}

static oxp_status copy_values(oxp_ctx *ctx, oxp_explainer *e, const char *const *names, size_t n,
                              const oxp_val **out)
{
    oxp_val *found;
    OXP_FAIL_IF(ctx, n > 0 && !names, OXP_EINVAL, "a list of tensor names is missing (NULL)");
    OXP_TRY(oxp_ask_tensors(ctx, e->model, names, n, &found));
    oxp_val *list = OXP_NEW(e->arena, oxp_val, n + 1);
    OXP_NOMEM_IF(ctx, list);
    memcpy(list, found, n * sizeof *list);
    *out = list;
    return OXP_OK;
}

/* Copies of the baselines, each with the name of its tensor. */
static oxp_status read_baselines(oxp_ctx *ctx, oxp_explainer *e, const oxp_explain_options *o)
{
    oxp_reference *list = OXP_NEW(e->arena, oxp_reference, o->n_baselines + 1);
    OXP_NOMEM_IF(ctx, list);
    OXP_FAIL_IF(ctx, o->n_baselines > 0 && !o->baselines, OXP_EINVAL,
                "the baselines are missing (NULL)");
    for (size_t i = 0; i < o->n_baselines; i++) {
        oxp_val tensor;
        oxp_tensor *t = &list[i].data;
        const char *name = o->baselines[i].name;
        if (!name && e->model->onnx->n_inputs > 0) name = e->model->onnx->inputs[0].name;
        OXP_TRY(oxp_ask_tensor(ctx, e->model, name, &tensor));
        OXP_TRY(oxp_ask_array(ctx, &o->baselines[i], t));
        OXP_TRY(copy_text(ctx, e->arena, name, &list[i].tensor));
        t->data = oxp_arena_memdup(e->arena, t->data, oxp_tensor_bytes(t));
        OXP_NOMEM_IF(ctx, t->data);
    }
    e->settings.references = list;
    e->settings.n_references = o->n_baselines;
    return OXP_OK;
}

static oxp_status read_options(oxp_ctx *ctx, oxp_explainer *e, const oxp_explain_options *o)
{
    oxp_settings *s = &e->settings;
    OXP_TRY(find_method(ctx, o->predict_only ? NULL : o->method, &s->method));
    OXP_TRY(read_space(ctx, o->space, &s->space));
    OXP_TRY(read_precision(ctx, o->precision, &s->double_precision));
    OXP_TRY(copy_texts(ctx, e->arena, o->params, o->n_params, &s->params));
    OXP_TRY(read_baselines(ctx, e, o));
    OXP_TRY(copy_values(ctx, e, o->layers, o->n_layers, &s->layers));
    OXP_TRY(copy_values(ctx, e, o->wrt, o->n_wrt, &s->wrt));
    OXP_TRY(copy_text(ctx, e->arena, o->target, &e->target));
    OXP_TRY(copy_text(ctx, e->arena, o->contrast, &e->contrast));
    OXP_FAIL_IF(ctx, o->threads < 0, OXP_EINVAL, "threads must be 0 (all cores) or more, found %d",
                o->threads);
    OXP_FAIL_IF(ctx, o->top_k < 0, OXP_EINVAL, "top_k must be 0 (default) or more, found %d",
                o->top_k);
    OXP_FAIL_IF(ctx,
                o->n_layers > 0 && !o->predict_only && !s->method->info.needs_layer &&
                    !(s->method->flags & OXP_METHOD_WRAPPER),
                OXP_EINVAL, "%s does not use a layer: to attribute to an inner tensor use wrt",
                s->method->info.name);
    OXP_FAIL_IF(ctx, o->n_wrt > 0 && s->method->info.needs_layer == 1, OXP_EINVAL,
                "%s attributes to a layer: name it as layer, not as wrt", s->method->info.name);
    s->n_params = o->n_params;
    s->n_layers = o->n_layers;
    s->n_wrt = o->n_wrt;
    s->threads = o->threads;
    s->no_optimise = o->no_optimise != 0;
    s->predict_only = o->predict_only != 0;
    s->max_memory = o->max_memory;
    s->top_k = o->top_k ? (uint32_t)o->top_k : 3;
    e->precision = s->double_precision ? "f64" : "f32";
    e->progress = o->progress;
    e->progress_user = o->progress_user;
    oxp_params checked;
    return oxp_params_check(ctx, s, &checked);
}

static oxp_status make_explainer(oxp_ctx *ctx, oxp_explainer **out, const oxp_model *model,
                                 const oxp_explain_options *options)
{
    oxp_explain_options o;
    oxp_arena *arena;
    void *made;
    OXP_FAIL_IF(ctx, !out, OXP_EINVAL, "there is no place for the explainer (NULL)");
    OXP_TRY(OXP_API_OPTIONS(ctx, oxp_explain_options, n_baselines, options, &o));
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_explainer), &arena, &made));
    oxp_explainer *e = made;
    e->arena = arena;
    e->model = model;
    const oxp_status status = read_options(ctx, e, &o);
    if (status == OXP_OK)
        *out = e;
    else
        oxp_explainer_free(e);
    return status;
}

oxp_status oxp_explainer_new(oxp_explainer **out, const oxp_model *model,
                             const oxp_explain_options *options, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, make_explainer(&ctx, out, model, options));
}

void oxp_explainer_free(oxp_explainer *explainer)
{
    if (!explainer) return;
    oxp_session_free(explainer->session);
    oxp_arena_free(explainer->arena);
}

/* ---- calls ---- */

typedef struct question { /* of one call */
    oxp_tensor *inputs;
    size_t n_inputs;
    const char *target_text, *contrast_text;
    oxp_asked_target target, contrast;
} question;

static bool is_element(const oxp_asked_target *t)
{
    return t->target.kind == OXP_TARGET_ELEMENT || t->target.kind == OXP_TARGET_SUM;
}

static oxp_status read_question(oxp_ctx *ctx, const oxp_explainer *e, const oxp_array *inputs,
                                size_t n_inputs, const char *target, const char *contrast,
                                question *q)
{
    const bool contrastive = (e->settings.method->flags & OXP_METHOD_CONTRASTIVE) != 0;
    *q = (question){.n_inputs = e->model->onnx->n_inputs};
    q->target_text = target ? target : e->target ? e->target : "top1";
    q->contrast_text = contrast ? contrast : e->contrast ? e->contrast : contrastive ? "" : NULL;
    OXP_TRY(oxp_ask_inputs(ctx, e->model, inputs, n_inputs, &q->inputs));
    OXP_TRY(oxp_ask_target(ctx, e->model, q->inputs, q->target_text, &q->target));
    if (!q->contrast_text) return OXP_OK;
    OXP_FAIL_IF(ctx, is_element(&q->target) && q->contrast_text[0] == '\0', OXP_EINVAL,
                "target '%.60s' is not a class, so there is no runner-up: name the contrast",
                q->target_text);
    OXP_TRY(oxp_ask_target(ctx, e->model, q->inputs, q->contrast_text, &q->contrast));
    OXP_FAIL_IF(ctx, q->contrast.tensor != q->target.tensor, OXP_EINVAL,
                "target '%.60s' and contrast '%.60s' lie in different tensors", q->target_text,
                q->contrast_text);
    return OXP_OK;
}

static oxp_status ready_session(oxp_ctx *ctx, oxp_explainer *e, const question *q)
{
    const bool contrast = q->contrast_text != NULL;
    if (e->session && e->session_tensor == q->target.tensor && e->session_contrast == contrast)
        return OXP_OK;
    oxp_session_free(e->session);
    e->session = NULL;
    oxp_settings settings = e->settings;
    settings.target_tensor = e->session_tensor = q->target.tensor;
    settings.has_contrast = e->session_contrast = contrast;
    return oxp_session_new(ctx, &e->model->net, &settings, &e->session);
}

static oxp_status fill_result(oxp_ctx *ctx, oxp_explainer *e, const question *q, oxp_result *r)
{
    oxp_explanation *made = OXP_NEW(r->arena, oxp_explanation, 1);
    OXP_NOMEM_IF(ctx, made);
    OXP_TRY(ready_session(ctx, e, q));
    OXP_TRY(oxp_session_explain(ctx, e->session, r->arena, q->inputs, q->n_inputs, q->target.target,
                                q->contrast.target, made));
    r->model = (oxp_model *)(uintptr_t)e->model; /* its lazily made hash has a lock */
    r->explanation = made;
    r->threads = e->settings.threads;
    r->precision = e->precision;
    OXP_TRY(copy_text(ctx, r->arena, q->target_text, &r->target_text));
    return copy_text(ctx, r->arena, q->contrast_text, &r->contrast_text);
}

static oxp_status explain(oxp_ctx *ctx, oxp_result **out, oxp_explainer *e, const oxp_array *inputs,
                          size_t n_inputs, const char *target, const char *contrast)
{
    question q;
    oxp_arena *arena;
    void *made;
    OXP_FAIL_IF(ctx, !out, OXP_EINVAL, "there is no place for the result (NULL)");
    OXP_TRY(read_question(ctx, e, inputs, n_inputs, target, contrast, &q));
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_result), &arena, &made));
    oxp_result *r = made;
    r->arena = arena;
    const oxp_status status = fill_result(ctx, e, &q, r);
    if (status == OXP_OK)
        *out = r;
    else
        oxp_arena_free(arena);
    return status;
}

static oxp_status begin_explainer(oxp_ctx *ctx, const oxp_explainer *e, oxp_error *error)
{
    *ctx = (oxp_ctx){.error = error, .stage = OXP_STAGE_ARG};
    OXP_FAIL_IF(ctx, !e, OXP_EINVAL, "no explainer was given (NULL)");
    OXP_TRY(oxp_api_begin_model(ctx, e->model, error));
    ctx->progress = e->progress;
    ctx->progress_user = e->progress_user;
    return OXP_OK;
}

oxp_status oxp_explain(oxp_result **out, oxp_explainer *explainer, const oxp_array *inputs,
                       size_t n_inputs, const char *target, const char *contrast, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(begin_explainer(&ctx, explainer, error));
    return oxp_api_end(&ctx, explain(&ctx, out, explainer, inputs, n_inputs, target, contrast));
}

/* ---- cost ---- */

static oxp_status cost(oxp_ctx *ctx, oxp_estimate *out, oxp_explainer *e, const oxp_array *inputs,
                       size_t n_inputs)
{
    question q;
    oxp_cost c;
    uint32_t passes;
    OXP_FAIL_IF(ctx, !out, OXP_EINVAL, "there is no place for the estimate (NULL)");
    OXP_TRY(read_question(ctx, e, inputs, n_inputs, NULL, NULL, &q));
    OXP_TRY(ready_session(ctx, e, &q));
    OXP_TRY(oxp_session_cost(ctx, e->session, q.inputs, q.n_inputs, q.target.target,
                             q.contrast.target, &c, &passes));
    *out = (oxp_estimate){.passes = passes,
                          .flops = c.flops,
                          .workspace_bytes = c.workspace_bytes,
                          .weight_bytes = oxp_weights_bytes(e->model->net.weights),
                          .steps = c.steps,
                          .reorders = c.reorders};
    return OXP_OK;
}

oxp_status oxp_explainer_cost(oxp_estimate *out, oxp_explainer *explainer, const oxp_array *inputs,
                              size_t n_inputs, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(begin_explainer(&ctx, explainer, error));
    return oxp_api_end(&ctx, cost(&ctx, out, explainer, inputs, n_inputs));
}
