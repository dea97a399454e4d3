/* facts.c - the view "json" of oxp_inspect: what a model holds and what can be explained in it, for programs. The same
 * facts as the summary's and the list of layers, in full. */
#include "api/api.h"

#include "base/json.h"
#include "explain/survey.h"

static void put_text(oxp_json *j, const char *key, const char *value)
{
    oxp_json_key(j, key);
    oxp_json_string(j, value);
}

static void put_count(oxp_json *j, const char *key, uint64_t value)
{
    oxp_json_key(j, key);
    oxp_json_uint(j, value);
}

/* Symbolic axes by their names, others that are not known as null. */
static void put_dims(oxp_json *j, const oxp_shape *shape, const char *const *symbols)
{
    oxp_json_key(j, "shape");
    if (shape->rank < 0) {
        oxp_json_null(j);
        return;
    }
    oxp_json_begin_array(j);
    for (int a = 0; a < shape->rank; a++)
        if (shape->dim[a] != OXP_DIM_UNKNOWN)
            oxp_json_int(j, shape->dim[a]);
        else
            oxp_json_string(j, symbols && symbols[a] && symbols[a][0] ? symbols[a] : NULL);
    oxp_json_end_array(j);
}

static void put_ios(oxp_json *j, const char *key, const oxp_onnx_io *io, size_t n)
{
    oxp_json_key(j, key);
    oxp_json_begin_array(j);
    for (size_t i = 0; i < n; i++) {
        oxp_json_begin_object(j);
        put_text(j, "name", io[i].name);
        put_text(j, "dtype", io[i].dtype == OXP_DTYPE_NONE ? NULL : oxp_dtype_name(io[i].dtype));
        put_dims(j, &io[i].shape, io[i].symbols);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
}

static void begin_tensor(oxp_json *j, const oxp_survey_tensor *t)
{
    oxp_json_begin_object(j);
    put_text(j, "tensor", t->name[0] ? t->name : NULL);
    put_dims(j, &t->shape, NULL);
}

static void put_tensors(oxp_json *j, const char *key, const oxp_survey_tensor *list, size_t n)
{
    oxp_json_key(j, key);
    oxp_json_begin_array(j);
    for (size_t i = 0; i < n; i++) {
        begin_tensor(j, &list[i]);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
}

static void put_survey(oxp_json *j, const oxp_survey *s)
{
    static const char *const spaces[] = {"logit", "prob", "output"}, *const ways[] = {"smooth",
                                                                                      "stopped",
                                                                                      "none"};
    oxp_json_key(j, "score");
    begin_tensor(j, &s->target);
    put_text(j, "space", spaces[s->space]);
    put_count(j, "classes", (uint64_t)s->classes);
    oxp_json_end_object(j);
    oxp_json_key(j, "gradients");
    oxp_json_begin_array(j);
    for (size_t i = 0; i < s->n_wrt; i++) {
        begin_tensor(j, &s->wrt[i]);
        put_text(j, "way", ways[s->way[i]]);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
    oxp_json_key(j, "stops");
    oxp_json_begin_array(j);
    for (size_t i = 0; i < s->n_stops; i++) {
        oxp_json_begin_object(j);
        put_text(j, "op", s->stops[i].op);
        put_text(j, "first", s->stops[i].first);
        put_count(j, "nodes", s->stops[i].n_nodes);
        oxp_json_end_object(j);
    }
    oxp_json_end_array(j);
    put_tensors(j, "layers", s->layers, s->n_layers);
    put_tensors(j, "attention", s->attention, s->n_attention);
    put_text(j, "attention_note", s->attention_note);
}

oxp_status oxp_api_facts(oxp_ctx *ctx, const oxp_model *m, const oxp_tensor *inputs, oxp_strbuf *sb)
{
    const oxp_onnx_model *o = m->onnx;
    oxp_survey survey;
    oxp_json j;
    OXP_TRY(oxp_survey_net(ctx, &m->net, inputs, o->n_inputs, ctx->scratch, &survey));
    oxp_json_init(&j, sb, 2);
    oxp_json_begin_object(&j);
    put_text(&j, "file", m->path);
    put_text(&j, "producer", o->producer[0] ? o->producer : NULL);
    put_count(&j, "opset", (uint64_t)o->opset);
    put_count(&j, "nodes", o->graph->n_nodes);
    put_count(&j, "parameters", o->parameters);
    put_count(&j, "labels", m->labels.count);
    put_count(&j, "words", m->words.count);
    put_ios(&j, "inputs", o->inputs, o->n_inputs);
    put_ios(&j, "outputs", o->outputs, o->n_outputs);
    put_survey(&j, &survey);
    oxp_json_end_object(&j);
    oxp_strbuf_puts(sb, "\n");
    return OXP_OK;
}
