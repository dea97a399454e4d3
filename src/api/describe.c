/* describe.c - text about a model: its operators, layers, compiled graph and plan. */
#include "api/api.h"

#include "explain/survey.h"
#include "ops/ops.h"
#include <stdio.h>
#include <string.h>

/* ---- operators ---- */

static const char *gradient_of(const oxp_op *op)
{
    if (op->flags & OXP_OP_NOT_DIFFERENTIABLE) return "non-differentiable";
    const bool parts = op->expand || (op->flags & OXP_OP_CONTROL);
    return op->grad ? "rule" : parts ? "by its parts" : "";
}

static const char *forward_of(const oxp_op *op)
{
    const bool parts = op->expand || (op->flags & OXP_OP_CONTROL);
    return op->lower ? "kernel" : parts ? "by its parts" : "reference";
}

/* The library's own operators (names with _) are not ONNX and not listed. */
static void list_supported(oxp_strbuf *sb)
{
    oxp_strbuf_printf(sb, "%-24s %-9s %-13s %s\n", "operator", "opsets", "forward", "gradient");
    for (size_t i = 0; i < oxp_op_count(); i++) {
        const oxp_op *op = oxp_op_at(i);
        char opsets[16];
        if ((op->flags & OXP_OP_INTERNAL) || (op->since == 0 && op->until == 0)) continue;
        if (op->until)
            snprintf(opsets, sizeof opsets, "%d-%d", op->since, op->until);
        else
            snprintf(opsets, sizeof opsets, "%d-", op->since);
        oxp_strbuf_printf(sb, "%-24s %-9s %-13s %s\n", op->name, opsets, forward_of(op),
                          gradient_of(op));
    }
}

static oxp_status list_used(oxp_ctx *ctx, const oxp_graph *g, oxp_strbuf *sb)
{
    uint32_t *count = OXP_NEW(ctx->scratch, uint32_t, oxp_op_count());
    OXP_NOMEM_IF(ctx, count);
    oxp_strbuf_printf(sb, "%6s  %-24s %-13s %s\n", "nodes", "operator", "forward", "gradient");
    for (size_t n = 0; n < g->n_nodes; n++)
        for (size_t i = 0; i < oxp_op_count(); i++) count[i] += g->nodes[n]->op == oxp_op_at(i);
    for (size_t i = 0; i < oxp_op_count(); i++)
        if (count[i] > 0)
            oxp_strbuf_printf(sb, "%6u  %-24s %-13s %s\n", count[i], oxp_op_at(i)->name,
                              forward_of(oxp_op_at(i)), gradient_of(oxp_op_at(i)));
    return OXP_OK;
}

/* ---- a model ---- */

oxp_status oxp_api_blank_inputs(oxp_ctx *ctx, const oxp_model *m, const char *const *shapes,
                                size_t n_shapes, oxp_tensor **out)
{
    const oxp_onnx_model *o = m->onnx;
    oxp_shape *shape;
    OXP_TRY(oxp_ask_shapes(ctx, m, shapes, n_shapes, &shape));
    oxp_tensor *list = OXP_NEW(ctx->scratch, oxp_tensor, o->n_inputs + 1);
    OXP_NOMEM_IF(ctx, list);
    for (size_t i = 0; i < o->n_inputs; i++) {
        char text[OXP_SHAPE_TEXT];
        if (shape[i].rank > 0 && shape[i].dim[0] == OXP_DIM_UNKNOWN) shape[i].dim[0] = 1;
        OXP_FAIL_IF(ctx, !oxp_shape_known(&shape[i]), OXP_EINVAL,
                    "input '%.120s' has the shape %s: give it as --shape %.120s=DIMS",
                    o->inputs[i].name, oxp_shape_text(&shape[i], text), o->inputs[i].name);
        OXP_TRY(oxp_tensor_new(ctx, ctx->scratch, o->inputs[i].dtype, &shape[i], &list[i]));
    }
    *out = list;
    return OXP_OK;
}

static oxp_status list_layers(oxp_ctx *ctx, const oxp_model *m, const oxp_tensor *inputs,
                              oxp_strbuf *sb)
{
    oxp_survey survey;
    char text[OXP_SHAPE_TEXT];
    OXP_TRY(oxp_survey_net(ctx, &m->net, inputs, m->onnx->n_inputs, ctx->scratch, &survey));
    for (size_t i = 0; i < survey.n_layers; i++)
        oxp_strbuf_printf(sb, "%-40s %s%s\n", survey.layers[i].name,
                          oxp_shape_text(&survey.layers[i].shape, text), i == 0 ? "  (auto)" : "");
    return OXP_OK;
}

/* The graph and plan shown are those of saliency: forward and backward in full. */
static oxp_status print_session(oxp_ctx *ctx, const oxp_model *m, const oxp_tensor *inputs,
                                bool plan, oxp_strbuf *sb)
{
    const oxp_settings settings = {.method = &oxp_method_saliency, .top_k = 1};
    oxp_session *session;
    OXP_TRY(oxp_session_new(ctx, &m->net, &settings, &session));
    const oxp_status status = oxp_session_print(ctx, session, inputs, m->onnx->n_inputs, plan, sb);
    oxp_session_free(session);
    return status;
}

static oxp_status write_view(oxp_ctx *ctx, const oxp_model *m, const char *view,
                             const char *const *shapes, size_t n_shapes, oxp_strbuf *sb)
{
    oxp_tensor *inputs;
    OXP_FAIL_IF(ctx, n_shapes > 0 && !shapes, OXP_EINVAL, "the shapes are missing (NULL)");
    if (strcmp(view, "ops") == 0 && !m) {
        list_supported(sb);
        return OXP_OK;
    }
    OXP_FAIL_IF(ctx, !m, OXP_EINVAL, "the view '%.60s' needs a model", view);
    if (strcmp(view, "ops") == 0) return list_used(ctx, m->net.graph, sb);
    if (strcmp(view, "summary") == 0) return oxp_api_summary(ctx, m, shapes, n_shapes, sb);
    const bool plan = strcmp(view, "plan") == 0, layers = strcmp(view, "layers") == 0,
               json = strcmp(view, "json") == 0;
    OXP_FAIL_IF(ctx, !plan && !layers && !json && strcmp(view, "ir") != 0, OXP_EINVAL,
                "view must be summary, json, ops, layers, ir or plan, found '%.60s'", view);
    OXP_TRY(oxp_api_blank_inputs(ctx, m, shapes, n_shapes, &inputs));
    if (json) return oxp_api_facts(ctx, m, inputs, sb);
    return layers ? list_layers(ctx, m, inputs, sb) : print_session(ctx, m, inputs, plan, sb);
}

oxp_status oxp_inspect(oxp_text **out, const oxp_model *model, const char *view,
                       const char *const *shapes, size_t n_shapes, oxp_error *error)
{
    oxp_ctx ctx = {.error = error, .stage = OXP_STAGE_ARG};
    OXP_FAIL_IF(&ctx, !out || !view, OXP_EINVAL, "an argument is missing (NULL)");
    OXP_TRY(model ? oxp_api_begin_model(&ctx, model, error) : oxp_api_begin(&ctx, NULL, error));
    oxp_arena *arena = oxp_arena_new(ctx.hooks);
    if (!arena) return oxp_api_end(&ctx, oxp_ctx_fail(&ctx, OXP_ENOMEM, "out of memory"));
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, arena);
    oxp_status status = write_view(&ctx, model, view, shapes, n_shapes, &sb);
    if (status == OXP_OK)
        status = oxp_api_text(&ctx, arena, &sb, out);
    else
        oxp_arena_free(arena);
    return oxp_api_end(&ctx, status);
}
