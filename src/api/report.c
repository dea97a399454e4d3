/* report.c - what a result says: accessors, and the JSON that makes it self-describing. */
#include "api/api.h"

#include "base/json.h"
#include <math.h>
#include <string.h>

/* ---- accessors ---- */

static const oxp_explanation *of(const oxp_result *result)
{
    static const oxp_explanation none = {0};
    return result ? result->explanation : &none;
}

size_t oxp_result_map_count(const oxp_result *result)
{
    return of(result)->n_maps;
}

oxp_map oxp_result_map(const oxp_result *result, size_t index)
{
    if (index >= of(result)->n_maps) return (oxp_map){0};
    const oxp_attributed *a = &of(result)->maps[index];
    return (oxp_map){.tensor = a->tensor,
                     .attribution = oxp_api_array(a->tensor, &a->raw),
                     .map = oxp_api_array(a->tensor, &a->map),
                     .reduction = a->reduction};
}

int oxp_result_map_is_signed(const oxp_result *result, size_t index)
{
    return index < of(result)->n_maps && of(result)->maps[index].is_signed;
}

size_t oxp_result_batch(const oxp_result *result)
{
    return of(result)->n_items;
}

size_t oxp_result_top_count(const oxp_result *result)
{
    return of(result)->n_items ? of(result)->items[0].n_top : 0;
}

oxp_prediction oxp_result_top(const oxp_result *result, size_t item, size_t rank)
{
    if (item >= of(result)->n_items || rank >= of(result)->items[item].n_top)
        return (oxp_prediction){-1, (double)NAN, (double)NAN};
    const oxp_top *t = &of(result)->items[item].top[rank];
    return (oxp_prediction){t->index, t->score, t->probability};
}

/* Elements and sums have no class. */
int64_t oxp_result_target(const oxp_result *result, size_t item)
{
    const oxp_explanation *e = of(result);
    return item < e->n_items && e->classes > 0 ? e->items[item].target : -1;
}

int64_t oxp_result_contrast(const oxp_result *result, size_t item)
{
    const oxp_explanation *e = of(result);
    return item < e->n_items && e->classes > 0 ? e->items[item].contrast : -1;
}

oxp_checks oxp_result_checks(const oxp_result *result, size_t item)
{
    const double none = (double)NAN;
    if (item >= of(result)->n_items) return (oxp_checks){none, none, none, none, none};
    const oxp_item *i = &of(result)->items[item];
    return (oxp_checks){.score = i->score,
                        .contrast_score = i->contrast >= 0 ? i->contrast_score : none,
                        .attributed = i->attributed,
                        .expected = i->expected,
                        .completeness_gap = i->gap};
}

/* What the model could not read beside it is noted in every result. */
static size_t model_notes(const oxp_result *r, const char *notes[2])
{
    size_t n = 0;
    if (r && r->model->label_note) notes[n++] = r->model->label_note;
    if (r && r->model->word_note) notes[n++] = r->model->word_note;
    return n;
}

size_t oxp_result_note_count(const oxp_result *result)
{
    const char *notes[2];
    return of(result)->n_notes + model_notes(result, notes);
}

const char *oxp_result_note(const oxp_result *result, size_t index)
{
    const char *notes[2];
    const size_t own = of(result)->n_notes, n = model_notes(result, notes);
    if (index < own) return of(result)->notes[index];
    return index - own < n ? notes[index - own] : NULL;
}

const char *oxp_result_method(const oxp_result *result)
{
    return result ? of(result)->method->info.name : NULL;
}

const char *oxp_result_space(const oxp_result *result)
{
    return of(result)->space;
}

const char *oxp_result_tensor(const oxp_result *result)
{
    return of(result)->target_tensor;
}

const char *oxp_result_layer(const oxp_result *result)
{
    return of(result)->layer;
}

size_t oxp_result_param_count(const oxp_result *result)
{
    return of(result)->n_params;
}

const char *oxp_result_param(const oxp_result *result, size_t index)
{
    return index < of(result)->n_params ? of(result)->params[index] : NULL;
}

uint64_t oxp_result_passes(const oxp_result *result)
{
    return of(result)->passes;
}

double oxp_result_seconds(const oxp_result *result)
{
    return of(result)->seconds;
}

void oxp_result_free(oxp_result *result)
{
    if (result) oxp_arena_free(result->arena);
}

/* ---- JSON ---- */

static void put_text(oxp_json *j, const char *key, const char *value)
{
    oxp_json_key(j, key);
    oxp_json_string(j, value);
}

static void put_int(oxp_json *j, const char *key, int64_t value)
{
    oxp_json_key(j, key);
    oxp_json_int(j, value);
}

static void put_number(oxp_json *j, const char *key, double value)
{
    oxp_json_key(j, key);
    oxp_json_double(j, value);
}

static void put_dims(oxp_json *j, const char *key, const oxp_shape *s)
{
    oxp_json_key(j, key);
    oxp_json_begin_array(j);
    for (int i = 0; i < s->rank; i++) oxp_json_int(j, s->dim[i]);
    oxp_json_end_array(j);
}

static void put_model(oxp_json *j, const oxp_result *r)
{
    const oxp_onnx_model *onnx = r->model->onnx;
    oxp_json_key(j, "model");
    oxp_json_begin_object(j);
    put_text(j, "file", r->model->path);
    put_text(j, "sha256", oxp_api_sha256(r->model));
    put_text(j, "producer", onnx->producer);
    put_int(j, "opset", onnx->opset);
    put_int(j, "parameters", (int64_t)onnx->parameters);
    oxp_json_end_object(j);
}

static void put_inputs(oxp_json *j, const oxp_input *const *inputs, size_t n)
{
    oxp_json_key(j, "inputs");
    oxp_json_begin_array(j);
    for (size_t i = 0; i < n; i++) {
        const oxp_input *in = inputs[i];
        if (!in) continue;
        oxp_json_begin_object(j);
        put_text(j, "input", in->model_input);
        put_text(j, "file", in->path);
        put_dims(j, "shape", &in->media.tensor.shape);
        put_text(j, "preprocessing", in->media.description);
        oxp_json_key(j, "assumed");
        oxp_json_bool(j, in->media.assumed);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
}

/* A parameter with the type it is declared to have. */
static void put_param(oxp_json *j, const oxp_method *m, const char *text)
{
    const char *equals = strchr(text, '=');
    const size_t n = (size_t)(equals - text);
    char name[64] = "";
    memcpy(name, text, n < sizeof name ? n : sizeof name - 1);
    oxp_json_key(j, name);
    const char *one[1] = {text};
    const oxp_params p = {.method = m, .given = one, .n_given = 1};
    oxp_param_type type = OXP_PARAM_TEXT;
    for (size_t i = 0; i < m->info.param_count; i++)
        if (strcmp(m->params[i].name, name) == 0) type = m->params[i].type;
    if (type == OXP_PARAM_INT)
        oxp_json_int(j, oxp_param_int(&p, name));
    else if (type == OXP_PARAM_FLOAT)
        oxp_json_double(j, oxp_param_number(&p, name));
    else if (type == OXP_PARAM_BOOL)
        oxp_json_bool(j, oxp_param_bool(&p, name));
    else
        oxp_json_string(j, equals + 1);
}

static void put_method(oxp_json *j, const oxp_result *r)
{
    const oxp_explanation *e = of(r);
    oxp_json_key(j, "method");
    oxp_json_begin_object(j);
    put_text(j, "name", e->method->info.name);
    put_text(j, "definition", e->method->info.definition);
    put_text(j, "paper", e->method->info.paper);
    oxp_json_key(j, "parameters");
    oxp_json_begin_object(j);
    for (size_t i = 0; i < e->n_params; i++) put_param(j, e->method, e->params[i]);
    oxp_json_end_object(j);
    put_text(j, "layer", e->layer);
    oxp_json_key(j, "nodes_with_rules");
    oxp_json_begin_array(j);
    for (size_t i = 0; i < e->n_touched; i++) {
        oxp_json_begin_object(j);
        put_text(j, "rule", e->touched[i].rule);
        put_text(j, "op", e->touched[i].op);
        put_text(j, "node", e->touched[i].origin);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
    oxp_json_end_object(j);
}

static void put_side(oxp_json *j, const oxp_result *r, const char *key, int64_t index, double score)
{
    const bool is_class = of(r)->classes > 0;
    oxp_json_key(j, key);
    if (index < 0) {
        oxp_json_null(j);
        return;
    }
    oxp_json_begin_object(j);
    put_int(j, is_class ? "class" : "element", index);
    if (is_class) put_text(j, "label", oxp_model_label(r->model, index));
    put_number(j, "score", score);
    oxp_json_end_object(j);
}

static void put_items(oxp_json *j, const oxp_result *r)
{
    const oxp_explanation *e = of(r);
    oxp_json_key(j, "items");
    oxp_json_begin_array(j);
    for (size_t i = 0; i < e->n_items; i++) {
        const oxp_item *item = &e->items[i];
        oxp_json_begin_object(j);
        put_side(j, r, "target", item->target, item->score);
        put_side(j, r, "contrast", item->contrast, item->contrast_score);
        oxp_json_key(j, "top");
        oxp_json_begin_array(j);
        for (size_t k = 0; k < item->n_top; k++) {
            oxp_json_begin_object(j);
            put_int(j, "class", item->top[k].index);
            put_text(j, "label", oxp_model_label(r->model, item->top[k].index));
            put_number(j, "score", item->top[k].score);
            put_number(j, "probability", item->top[k].probability);
            oxp_json_end_object(j);
        }
        oxp_json_end_array(j);
        oxp_json_key(j, "checks");
        oxp_json_begin_object(j);
        put_number(j, "completeness_gap", item->gap);
        put_number(j, "attributed", item->attributed);
        put_number(j, "expected", item->expected);
        oxp_json_end_object(j);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
}

static void put_maps(oxp_json *j, const oxp_explanation *e)
{
    oxp_json_key(j, "maps");
    oxp_json_begin_array(j);
    for (size_t i = 0; i < e->n_maps; i++) {
        const oxp_attributed *a = &e->maps[i];
        oxp_json_begin_object(j);
        put_text(j, "tensor", a->tensor);
        put_dims(j, "attribution_shape", &a->raw.shape);
        put_dims(j, "map_shape", &a->map.shape);
        put_text(j, "reduction", a->reduction);
        oxp_json_key(j, "signed");
        oxp_json_bool(j, a->is_signed);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
}

static void put_run(oxp_json *j, const oxp_result *r)
{
    const oxp_explanation *e = of(r);
    oxp_json_key(j, "run");
    oxp_json_begin_object(j);
    put_number(j, "seconds", e->seconds);
    put_int(j, "passes", e->passes);
    put_int(j, "flops_per_pass", (int64_t)e->cost.flops);
    put_int(j, "workspace_bytes", (int64_t)e->cost.workspace_bytes);
    put_text(j, "precision", r->precision);
    oxp_json_key(j, "threads");
    if (r->threads)
        oxp_json_int(j, r->threads);
    else
        oxp_json_string(j, "all");
    oxp_json_end_object(j);
}

static void put_notes(oxp_json *j, const oxp_result *r)
{
    oxp_json_key(j, "notes");
    oxp_json_begin_array(j);
    for (size_t i = 0; i < oxp_result_note_count(r); i++) oxp_json_string(j, oxp_result_note(r, i));
    oxp_json_end_array(j);
}

static oxp_status write_json(oxp_ctx *ctx, oxp_text **out, const oxp_result *r,
                             const oxp_input *const *inputs, size_t n_inputs)
{
    OXP_FAIL_IF(ctx, !out || (n_inputs > 0 && !inputs), OXP_EINVAL,
                "an argument is missing (NULL)");
    oxp_arena *arena = oxp_arena_new(ctx->hooks);
    OXP_NOMEM_IF(ctx, arena);
    oxp_strbuf sb;
    oxp_json j;
    oxp_strbuf_init(&sb, arena);
    oxp_json_init(&j, &sb, 2);
    oxp_json_begin_object(&j);
    put_text(&j, "onnxplain", oxp_version());
    put_model(&j, r);
    put_inputs(&j, inputs, n_inputs);
    put_method(&j, r);
    oxp_json_key(&j, "question");
    oxp_json_begin_object(&j);
    put_text(&j, "target", r->target_text);
    put_text(&j, "contrast", r->contrast_text);
    put_text(&j, "tensor", of(r)->target_tensor);
    put_text(&j, "space", of(r)->space);
    oxp_json_end_object(&j);
    put_items(&j, r);
    put_maps(&j, of(r));
    put_run(&j, r);
    put_notes(&j, r);
    oxp_json_end_object(&j);
    oxp_strbuf_puts(&sb, "\n");
    return oxp_api_text(ctx, arena, &sb, out);
}

oxp_status oxp_result_json(oxp_text **out, const oxp_result *result, const oxp_input *const *inputs,
                           size_t n_inputs, oxp_error *error)
{
    oxp_ctx ctx = {.error = error, .stage = OXP_STAGE_ARG};
    OXP_FAIL_IF(&ctx, !result, OXP_EINVAL, "no result was given (NULL)");
    OXP_TRY(oxp_api_begin_model(&ctx, result->model, error));
    return oxp_api_end(&ctx, write_json(&ctx, out, result, inputs, n_inputs));
}
