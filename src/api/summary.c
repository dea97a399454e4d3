/* summary.c - a model on one screen: where it comes from, what goes in and out, whether and how it can
 * be explained, and what that costs. */
#include "api/api.h"

#include "explain/survey.h"
#include "ops/ops.h"
#include <string.h>

enum { OPS_SHOWN = 6, STOPS_SHOWN = 4, METADATA_SHOWN = 4, VALUE_SHOWN = 80 };

static void label(oxp_strbuf *sb, const char *what)
{
    oxp_strbuf_printf(sb, "%-12s ", what);
}

static void put_shape(oxp_strbuf *sb, const oxp_shape *shape)
{
    char text[OXP_SHAPE_TEXT];
    oxp_strbuf_printf(sb, "%s", oxp_shape_text(shape, text));
}

/* 1234567 as "1.23 M" */
static void put_amount(oxp_strbuf *sb, double amount, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    size_t k = 0;
    while (amount >= 999.5 && k + 1 < OXP_COUNT(prefixes)) {
        amount /= 1000.0;
        k++;
    }
    oxp_strbuf_printf(sb, "%.3g %s%s", amount, prefixes[k], unit);
}

static void put_others(oxp_strbuf *sb, size_t n)
{
    oxp_strbuf_printf(sb, ", %zu other kind%s", n, n == 1 ? "" : "s");
}

/* ---- what the file says of itself ---- */

static void describe_io(oxp_strbuf *sb, const char *what, const oxp_onnx_io *io)
{
    label(sb, what);
    oxp_strbuf_printf(sb, "%s %s ", io->name, oxp_dtype_name(io->dtype));
    for (int a = 0; a < io->shape.rank; a++) {
        oxp_strbuf_puts(sb, a ? "," : "(");
        if (io->shape.dim[a] != OXP_DIM_UNKNOWN)
            oxp_strbuf_printf(sb, "%lld", (long long)io->shape.dim[a]);
        else
            oxp_strbuf_puts(sb, io->symbols[a] && io->symbols[a][0] ? io->symbols[a] : "?");
    }
    oxp_strbuf_puts(sb, io->shape.rank > 0 ? ")\n" : io->shape.rank == 0 ? "()\n" : "(any)\n");
}

static void describe_origin(oxp_strbuf *sb, const char *path, const oxp_onnx_model *o)
{
    if (path) {
        label(sb, "file");
        oxp_strbuf_printf(sb, "%s\n", path);
    }
    label(sb, "producer");
    oxp_strbuf_printf(sb, "%s%s%s\n", o->producer[0] ? o->producer : "unknown",
                      o->producer_version[0] ? " " : "", o->producer_version);
    label(sb, "opset");
    oxp_strbuf_printf(sb, "%lld (IR version %lld)\n", (long long)o->opset,
                      (long long)o->ir_version);
}

static void describe_parameters(oxp_strbuf *sb, const oxp_onnx_model *o)
{
    label(sb, "parameters");
    oxp_strbuf_printf(sb, "%llu (", (unsigned long long)o->parameters);
    put_amount(sb, (double)o->parameter_bytes, "B");
    oxp_strbuf_puts(sb, ")\n");
}

static void describe_rest(oxp_strbuf *sb, const oxp_onnx_model *o)
{
    for (size_t i = 0; i < o->n_inputs; i++) describe_io(sb, "input", &o->inputs[i]);
    for (size_t i = 0; i < o->n_outputs; i++) describe_io(sb, "output", &o->outputs[i]);
    for (size_t i = 0; i < o->n_metadata && i < METADATA_SHOWN; i++) {
        const size_t line = strcspn(o->metadata[i].value, "\r\n");
        label(sb, "metadata");
        oxp_strbuf_printf(sb, "%s = %.*s\n", o->metadata[i].key,
                          (int)(line < VALUE_SHOWN ? line : VALUE_SHOWN), o->metadata[i].value);
    }
    if (o->n_metadata > METADATA_SHOWN) {
        label(sb, "");
        oxp_strbuf_printf(sb, "and %zu more\n", o->n_metadata - METADATA_SHOWN);
    }
}

/* The commonest operators with their counts. */
static oxp_status describe_nodes(oxp_ctx *ctx, const oxp_graph *g, oxp_strbuf *sb)
{
    uint32_t *count = OXP_NEW(ctx->scratch, uint32_t, oxp_op_count());
    OXP_NOMEM_IF(ctx, count);
    size_t kinds = 0;
    for (size_t n = 0; n < g->n_nodes; n++)
        for (size_t i = 0; i < oxp_op_count(); i++)
            if (g->nodes[n]->op == oxp_op_at(i)) kinds += count[i]++ == 0;
    label(sb, "nodes");
    oxp_strbuf_printf(sb, "%zu", g->n_nodes);
    for (size_t shown = 0; shown < kinds && shown < OPS_SHOWN; shown++) {
        size_t most = 0;
        for (size_t i = 1; i < oxp_op_count(); i++)
            if (count[i] > count[most]) most = i;
        oxp_strbuf_printf(sb, "%s%u %s", shown ? ", " : ": ", count[most], oxp_op_at(most)->name);
        count[most] = 0;
    }
    if (kinds > OPS_SHOWN) put_others(sb, kinds - OPS_SHOWN);
    oxp_strbuf_puts(sb, "\n");
    return OXP_OK;
}

/* ---- what can be explained ---- */

static void describe_score(const oxp_survey *s, oxp_strbuf *sb)
{
    static const char *const spaces[] = {"logits", "probabilities", "outputs"};
    label(sb, "score");
    if (s->classes > 1)
        oxp_strbuf_printf(sb, "%s of %lld classes", spaces[s->space], (long long)s->classes);
    else
        oxp_strbuf_puts(sb, "values");
    if (s->target.name[0]) oxp_strbuf_printf(sb, ": %s", s->target.name);
    oxp_strbuf_puts(sb, " ");
    put_shape(sb, &s->target.shape);
    oxp_strbuf_puts(sb, "\n");
}

static void describe_gradients(const oxp_survey *s, oxp_strbuf *sb)
{
    for (size_t i = 0; i < s->n_wrt; i++) {
        label(sb, "gradient");
        oxp_strbuf_printf(sb, "by %s ", s->wrt[i].name);
        put_shape(sb, &s->wrt[i].shape);
        oxp_strbuf_puts(sb, s->way[i] == OXP_WAY_SMOOTH ? "\n"
                            : s->way[i] == OXP_WAY_NONE
                                ? ": none, the score does not depend on it\n"
                                : ": none, all ways to the score end at operators without one\n");
    }
    if (s->n_wrt == 0) {
        label(sb, "gradient");
        oxp_strbuf_puts(sb, "none: no input of the score is differentiable; try --wrt\n");
    }
    if (s->n_stops == 0) return;
    label(sb, "stops at");
    for (size_t i = 0; i < s->n_stops && i < STOPS_SHOWN; i++)
        oxp_strbuf_printf(sb, "%s%zu %s ('%.60s')", i ? ", " : "", s->stops[i].n_nodes,
                          s->stops[i].op, s->stops[i].first);
    if (s->n_stops > STOPS_SHOWN) put_others(sb, s->n_stops - STOPS_SHOWN);
    oxp_strbuf_puts(sb, "\n");
}

static void describe_places(const oxp_survey *s, oxp_strbuf *sb)
{
    label(sb, "layers");
    if (s->n_layers == 0) oxp_strbuf_puts(sb, "none with positions in space or time");
    if (s->n_layers > 0) {
        oxp_strbuf_printf(sb, "%s ", s->layers[0].name);
        put_shape(sb, &s->layers[0].shape);
        oxp_strbuf_puts(sb, " by default");
    }
    if (s->n_layers > 1) oxp_strbuf_printf(sb, ", %zu others: --layers", s->n_layers - 1);
    oxp_strbuf_puts(sb, "\n");
    label(sb, "attention");
    if (s->attention_note)
        oxp_strbuf_puts(sb, s->attention_note);
    else if (s->n_attention == 0)
        oxp_strbuf_puts(sb, "none");
    else {
        oxp_strbuf_printf(sb, "%zu maps, the last %s ", s->n_attention,
                          s->attention[s->n_attention - 1].name);
        put_shape(sb, &s->attention[s->n_attention - 1].shape);
    }
    oxp_strbuf_puts(sb, "\n");
}

/* Forward only, then saliency: forward and backward in full. */
static oxp_status describe_work(oxp_ctx *ctx, const oxp_model *m, const oxp_tensor *inputs,
                                oxp_strbuf *sb)
{
    oxp_cost cost[2];
    for (int i = 0; i < 2; i++) {
        const oxp_settings settings = {
            .method = &oxp_method_saliency, .top_k = 1, .predict_only = i == 0};
        const oxp_target top = {OXP_TARGET_TOP, 1};
        oxp_session *session;
        uint32_t passes;
        OXP_TRY(oxp_session_new(ctx, &m->net, &settings, &session));
        const oxp_status status =
            oxp_session_cost(ctx, session, inputs, m->onnx->n_inputs, top, top, &cost[i], &passes);
        oxp_session_free(session);
        OXP_TRY(status);
    }
    label(sb, "work");
    put_amount(sb, (double)cost[0].flops, "FLOP forward, ");
    put_amount(sb, (double)cost[1].flops, "FLOP with saliency, in ");
    put_amount(sb, (double)cost[1].workspace_bytes, "B besides the weights\n");
    return OXP_OK;
}

static oxp_status describe_explanations(oxp_ctx *ctx, const oxp_model *m, const char *const *shapes,
                                        size_t n_shapes, oxp_strbuf *sb)
{
    oxp_tensor *inputs;
    oxp_survey survey;
    OXP_TRY(oxp_api_blank_inputs(ctx, m, shapes, n_shapes, &inputs));
    OXP_TRY(oxp_survey_net(ctx, &m->net, inputs, m->onnx->n_inputs, ctx->scratch, &survey));
    describe_score(&survey, sb);
    describe_gradients(&survey, sb);
    describe_places(&survey, sb);
    return describe_work(ctx, m, inputs, sb);
}

oxp_status oxp_api_summary(oxp_ctx *ctx, const oxp_model *m, const char *const *shapes,
                           size_t n_shapes, oxp_strbuf *sb)
{
    oxp_error why = {0}, *const outer = ctx->error;
    describe_origin(sb, m->path, m->onnx);
    OXP_TRY(describe_nodes(ctx, m->onnx->graph, sb));
    describe_parameters(sb, m->onnx);
    describe_rest(sb, m->onnx);
    label(sb, "supported");
    oxp_strbuf_puts(sb, "yes\n");
    if (m->labels.count) oxp_strbuf_printf(sb, "%-12s %zu\n", "labels", m->labels.count);
    if (m->words.count) oxp_strbuf_printf(sb, "%-12s %zu\n", "vocabulary", m->words.count);
    if (m->label_note) oxp_strbuf_printf(sb, "%-12s %s\n", "note", m->label_note);
    if (m->word_note) oxp_strbuf_printf(sb, "%-12s %s\n", "note", m->word_note);
    ctx->error = &why;
    const oxp_status status = describe_explanations(ctx, m, shapes, n_shapes, sb);
    ctx->error = outer;
    OXP_FAIL_IF(ctx, status == OXP_ENOMEM, OXP_ENOMEM, "out of memory");
    /* shapes that were given must fit; those that were not are asked for */
    OXP_FAIL_IF(ctx, status != OXP_OK && n_shapes > 0, status, "%s", why.message);
    if (status != OXP_OK) oxp_strbuf_printf(sb, "%-12s %s\n", "explain", why.message);
    return OXP_OK;
}

/* ---- any file ---- */

/* `why`: what opening the model said. */
static oxp_status describe_facts(oxp_ctx *ctx, const char *path, const oxp_error *why,
                                 oxp_strbuf *sb)
{
    oxp_bytes file;
    oxp_onnx_model *facts;
    OXP_TRY(oxp_file_read(ctx, ctx->scratch, path, OXP_API_MODEL_BYTES, &file));
    ctx->stage = OXP_STAGE_PARSE;
    OXP_TRY(oxp_import_facts(ctx, ctx->scratch, file, 0, &facts));
    describe_origin(sb, path, facts);
    describe_rest(sb, facts);
    label(sb, "supported");
    if (facts->n_lacks == 0) { /* nothing of the kind that is listed */
        oxp_strbuf_printf(sb, "no: %s\n", why->message);
        return OXP_OK;
    }
    oxp_strbuf_printf(sb, "no, for %zu reason%s\n", facts->n_lacks, facts->n_lacks == 1 ? "" : "s");
    for (size_t i = 0; i < facts->n_lacks; i++) {
        label(sb, "");
        oxp_strbuf_printf(sb, "%s\n", facts->lacks[i]);
    }
    return OXP_OK;
}

static oxp_status inspect_in(oxp_ctx *ctx, oxp_text **out, const char *path, const oxp_model *model,
                             const oxp_error *why, const char *const *shapes, size_t n_shapes)
{
    oxp_strbuf sb;
    oxp_arena *arena = oxp_arena_new(ctx->hooks);
    OXP_NOMEM_IF(ctx, arena);
    oxp_strbuf_init(&sb, arena);
    oxp_status status = model ? oxp_api_summary(ctx, model, shapes, n_shapes, &sb)
                              : describe_facts(ctx, path, why, &sb);
    if (status == OXP_OK) return oxp_api_text(ctx, arena, &sb, out);
    oxp_arena_free(arena);
    return status;
}

oxp_status oxp_inspect_file(oxp_text **out, const char *path, const oxp_model_options *options,
                            const char *const *shapes, size_t n_shapes, oxp_error *error)
{
    oxp_ctx ctx = {.error = error, .stage = OXP_STAGE_ARG};
    oxp_error why = {0};
    oxp_model *model = NULL;
    OXP_FAIL_IF(&ctx, !out || !path || (n_shapes > 0 && !shapes), OXP_EINVAL,
                "an argument is missing (NULL)");
    const oxp_status opened = oxp_model_open(&model, path, options, &why);
    if (opened != OXP_OK && opened != OXP_EUNSUPPORTED) {
        if (error) *error = why;
        return opened;
    }
    oxp_status status = oxp_api_begin(&ctx, NULL, error);
    if (status == OXP_OK) {
        status = inspect_in(&ctx, out, path, model, &why, shapes, n_shapes);
        status = oxp_api_end(&ctx, status);
    }
    oxp_model_free(model);
    return status;
}
