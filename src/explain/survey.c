/* survey.c - what of a model can be explained, without a method: where gradients begin and where they
 * stop, the score, the layers worth attributing to, the attention maps.
 *
 * The model is specialised for inputs of given shapes; nothing is run. Layers are sought among
 * composites as CAM methods see them, attention maps before composites swallow them. */
#include "explain/survey.h"

#include "explain/boundary.h"
#include "explain/roles.h"
#include "explain/target.h"
#include "opt/opt.h"

typedef struct state {
    oxp_ctx *ctx;
    const oxp_net *net;
    oxp_arena *arena; /* of the answer */
    oxp_survey *out;
    oxp_val *wrt; /* in the model graph */
    size_t n_wrt;
} state;

static oxp_status tell(state *s, const oxp_graph *g, oxp_val v, oxp_survey_tensor *out)
{
    const oxp_value *value = oxp_value_of(g, v);
    *out = (oxp_survey_tensor){oxp_arena_strdup(s->arena, value->name ? value->name : ""),
                               value->shape};
    OXP_NOMEM_IF(s->ctx, out->name);
    return OXP_OK;
}

/* Those of the values that have a name, in the same order. */
static oxp_status tell_named(state *s, const oxp_graph *g, const oxp_val *vals, size_t n,
                             oxp_survey_tensor **out, size_t *n_out)
{
    *out = OXP_NEW(s->arena, oxp_survey_tensor, n + 1);
    OXP_NOMEM_IF(s->ctx, *out);
    for (size_t i = 0; i < n; i++)
        if (oxp_value_of(g, vals[i])->name) OXP_TRY(tell(s, g, vals[i], &(*out)[(*n_out)++]));
    return OXP_OK;
}

static oxp_status count_stop(state *s, const oxp_node *node)
{
    oxp_survey *out = s->out;
    size_t k = 0;
    while (k < out->n_stops && out->stops[k].op != node->op->name) k++;
    if (k == out->n_stops) {
        const char *first = oxp_arena_strdup(s->arena, node->origin);
        OXP_NOMEM_IF(s->ctx, first);
        out->stops[out->n_stops++] = (oxp_survey_stop){node->op->name, first, 0};
    }
    out->stops[k].n_nodes++;
    return OXP_OK;
}

/* Follows derivatives from `from` to the target. `needed`: what the target depends on; operators
 * without a derivative on the way are counted. */
static oxp_status follow(state *s, const oxp_graph *g, oxp_val from, oxp_val target,
                         const bool *needed, bool *counted, oxp_survey_way *way)
{
    bool *smooth = OXP_NEW(s->ctx->scratch, bool, g->n_values);
    OXP_NOMEM_IF(s->ctx, smooth);
    smooth[from] = true;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        bool any = false, wanted = false;
        for (uint32_t k = 0; k < node->n_in; k++) any = any || smooth[node->in[k]];
        for (uint32_t k = 0; k < node->n_out; k++) wanted = wanted || needed[node->out[k]];
        if (!any || !wanted) continue;
        const bool stops = (node->op->flags & OXP_OP_NOT_DIFFERENTIABLE) != 0;
        if (stops && !counted[i]) OXP_TRY(count_stop(s, node));
        counted[i] = counted[i] || stops;
        for (uint32_t k = 0; !stops && k < node->n_out; k++) smooth[node->out[k]] = true;
        smooth[OXP_NO_VAL] = false;
    }
    *way = smooth[target] ? OXP_WAY_SMOOTH : needed[from] ? OXP_WAY_STOPPED : OXP_WAY_NONE;
    return OXP_OK;
}

static oxp_status survey_gradients(state *s, const oxp_special *special, oxp_val target)
{
    const oxp_graph *g = special->g;
    oxp_survey *out = s->out;
    const bool *needed = oxp_reach_up(g, s->ctx->scratch, target);
    bool *counted = OXP_NEW(s->ctx->scratch, bool, g->n_nodes + 1);
    out->wrt = OXP_NEW(s->arena, oxp_survey_tensor, s->n_wrt + 1);
    out->way = OXP_NEW(s->arena, oxp_survey_way, s->n_wrt + 1);
    out->stops = OXP_NEW(s->arena, oxp_survey_stop, g->n_nodes + 1);
    OXP_FAIL_IF(s->ctx, !needed || !counted || !out->wrt || !out->way || !out->stops, OXP_ENOMEM,
                "out of memory");
    for (size_t i = 0; i < s->n_wrt; i++) {
        const oxp_val v = special->map[s->wrt[i]];
        if (v == OXP_NO_VAL) continue; /* the target does not need it */
        OXP_TRY(tell(s, g, v, &out->wrt[out->n_wrt]));
        OXP_TRY(follow(s, g, v, target, needed, counted, &out->way[out->n_wrt++]));
    }
    return OXP_OK;
}

static oxp_status survey_attention(state *s, const oxp_graph *g, oxp_val target)
{
    oxp_error why = {0}, *const outer = s->ctx->error;
    oxp_val *maps;
    size_t n;
    s->ctx->error = &why;
    const oxp_status status = oxp_attention_maps(s->ctx, g, target, 1, true, &maps, &n);
    s->ctx->error = outer;
    if (status == OXP_OK)
        return tell_named(s, g, maps, n, &s->out->attention, &s->out->n_attention);
    OXP_FAIL_IF(s->ctx, status == OXP_ENOMEM, OXP_ENOMEM, "out of memory");
    if (status == OXP_EINVAL) return OXP_OK; /* no attention at all */
    s->out->attention_note = oxp_arena_strdup(s->arena, why.message);
    OXP_NOMEM_IF(s->ctx, s->out->attention_note);
    return OXP_OK;
}

static oxp_status survey_score(state *s, oxp_graph *g, oxp_val output, oxp_score *score)
{
    oxp_build b;
    oxp_build_init(&b, s->ctx, g);
    OXP_TRY(oxp_score_find(&b, output, OXP_SPACE_LOGIT, false, 1, score));
    OXP_TRY(tell(s, g, score->target, &s->out->target));
    const bool batched = s->out->target.shape.rank > 1;
    const oxp_classes classes = oxp_classes_of(&s->out->target.shape, score, batched);
    s->out->space = score->space;
    s->out->classes = score->class_axis < 0 && !score->binary ? 0
                      : score->binary                         ? 2
                                                              : classes.classes;
    return OXP_OK;
}

static oxp_status survey_in(state *s, oxp_cut_data *cut, oxp_arena *tmp)
{
    oxp_special special;
    oxp_score score;
    oxp_val *layers;
    size_t n;
    OXP_TRY(oxp_cut_specialise(s->ctx, tmp, cut, &special));
    oxp_graph *g = special.g;
    oxp_val output = g->outputs[0];
    OXP_TRY(survey_gradients(s, &special, output));
    OXP_TRY(survey_attention(s, g, output));
    OXP_TRY(oxp_opt_run(s->ctx, tmp, (const oxp_pass_fn[]){oxp_opt_raise}, 1, &g, &output, 1));
    OXP_TRY(survey_score(s, g, output, &score));
    OXP_TRY(oxp_layer_candidates(s->ctx, g, score.target, &layers, &n));
    return tell_named(s, g, layers, n, &s->out->layers, &s->out->n_layers);
}

oxp_status oxp_survey_net(oxp_ctx *ctx, const oxp_net *net, const oxp_tensor *inputs,
                          size_t n_inputs, oxp_arena *arena, oxp_survey *out)
{
    *out = (oxp_survey){0};
    state s = {.ctx = ctx, .net = net, .arena = arena, .out = out};
    oxp_status status = oxp_default_wrt(ctx, ctx->scratch, net->graph, &s.wrt, &s.n_wrt);
    if (status == OXP_ENOMEM) return status;
    if (status != OXP_OK) s.n_wrt = 0; /* no input is differentiable: the answer says so */
    oxp_val *wanted = OXP_NEW(ctx->scratch, oxp_val, s.n_wrt + 1);
    OXP_NOMEM_IF(ctx, wanted);
    wanted[0] = net->graph->outputs[0];
    oxp_cut_data cut = {net, NULL, inputs, n_inputs, wanted, 1};
    OXP_TRY(oxp_cut_feeds(ctx, net->graph->inputs, &cut));
    oxp_arena *tmp = oxp_arena_new(net->hooks);
    OXP_NOMEM_IF(ctx, tmp);
    status = survey_in(&s, &cut, tmp);
    oxp_arena_free(tmp);
    return status;
}
