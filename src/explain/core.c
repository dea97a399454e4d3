/* core.c - a core from its settings: the pipeline of core.h in order, the method's own nodes, the program. */
#include "explain/compile.h"

#include "base/checked.h"
#include "explain/boundary.h"
#include "explain/roles.h"

/* One more attribution: the method's value `out` for `at`, and what must not be negative in it. */
static oxp_status add_out(oxp_compile *s, oxp_val at, oxp_val out, oxp_val guard,
                          const oxp_roles *roles)
{
    oxp_core *core = s->core;
    oxp_graph *g = core->g;
    oxp_core_out *o = &core->outs[core->n_outs++];
    const char *name = oxp_value_of(g, at)->name;
    *o = (oxp_core_out){
        .tensor = name ? name : "", .output = SIZE_MAX, .guard = SIZE_MAX, .roles = *roles};
    o->row = oxp_core_row(oxp_shape_at(g, out == OXP_NO_VAL ? at : out), core->width);
    o->count = oxp_shape_elements(&o->row);
    if (out == OXP_NO_VAL) return OXP_OK;
    OXP_TRY(oxp_compile_apart(s, name, oxp_shape_at(g, out)));
    if (guard != OXP_NO_VAL) OXP_TRY(oxp_compile_apart(s, name, oxp_shape_at(g, guard)));
    o->output = g->n_outputs;
    OXP_TRY(oxp_graph_add_output(s->ctx, g, out));
    if (guard == OXP_NO_VAL) return OXP_OK;
    const oxp_shape row = oxp_core_row(oxp_shape_at(g, guard), core->width);
    o->guard = g->n_outputs;
    o->guard_count = oxp_shape_elements(&row);
    return oxp_graph_add_output(s->ctx, g, guard);
}

/* The method's own nodes, and the outputs of the joint graph: target, probability, then what the
 * method made. */
static oxp_status plan_method(oxp_compile *s)
{
    oxp_core *core = s->core;
    oxp_graph *g = core->g;
    const oxp_method *method = core->params->method;
    oxp_val seed, *out = OXP_NEW(s->ctx->scratch, oxp_val, s->n_at);
    oxp_val *guard = OXP_NEW(s->ctx->scratch, oxp_val, s->n_at);
    oxp_roles *roles = OXP_NEW(s->ctx->scratch, oxp_roles, s->n_at);
    core->outs = OXP_NEW(core->arena, oxp_core_out, s->n_at);
    OXP_FAIL_IF(s->ctx, !out || !guard || !roles || !core->outs, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < s->n_at; i++) {
        if (s->attends)
            OXP_TRY(oxp_attention_roles(s->ctx, g, s->follow[i + 2], &roles[i]));
        else
            roles[i] = s->tail ? s->tail_roles : oxp_roles_of(g, s->follow[i + 2]);
    }
    OXP_TRY(oxp_graph_add_value(s->ctx, g, NULL, OXP_VALUE_SEED, OXP_F32,
                                oxp_shape_at(g, s->follow[0]), &seed));
    core->seed_input = g->n_inputs - 1;
    oxp_build b;
    oxp_build_init(&b, s->ctx, g);
    b.flags = OXP_NODE_METHOD;
    oxp_task task = {.ctx = s->ctx,
                     .b = &b,
                     .params = core->params,
                     .target = s->follow[0],
                     .seed = seed,
                     .at = s->follow + 2,
                     .roles = roles,
                     .n_at = s->n_at,
                     .width = core->width,
                     .beside = s->n_beside ? s->follow[s->n_at + 2] : OXP_NO_VAL,
                     .out = out,
                     .guard = guard};
    if (s->n_beside) task.beside_roles = oxp_roles_of(g, task.beside);
    OXP_TRY(core->settings->predict_only ? oxp_plan_score(&task) : method->plan(&task));
    OXP_TRY(b.status);
    core->touched = task.touched;
    core->n_touched = task.n_touched;
    core->stopped = task.stopped;
    core->only_scores = task.only_scores;
    g->n_outputs = 0;
    core->target_output = 0;
    OXP_TRY(oxp_graph_add_output(s->ctx, g, s->follow[0]));
    core->prob_output = s->follow[1] == OXP_NO_VAL ? SIZE_MAX : 1;
    if (s->follow[1] != OXP_NO_VAL) OXP_TRY(oxp_graph_add_output(s->ctx, g, s->follow[1]));
    const size_t last = s->n_at - 1; /* what a flow is said to attribute to, unless it has parts */
    if (s->flows && !task.parts)
        OXP_TRY(add_out(s, s->follow[last + 2], out[0], guard[0], &roles[last]));
    for (size_t i = 0; i < s->n_at; i++)
        if (task.parts ? task.parts[i] : !s->flows)
            OXP_TRY(add_out(s, s->follow[i + 2], out[i], guard[i], &roles[i]));
    core->expected_output = SIZE_MAX;
    if (task.expected == OXP_NO_VAL) return OXP_OK;
    const oxp_shape row = oxp_core_row(oxp_shape_at(g, task.expected), core->width);
    core->expected_output = g->n_outputs;
    core->expected_count = oxp_shape_elements(&row);
    return oxp_graph_add_output(s->ctx, g, task.expected);
}

static oxp_status warn(oxp_compile *s)
{
    oxp_core *core = s->core;
    const oxp_method *kind = core->params->inner ? core->params->inner : core->params->method;
    for (size_t i = 0; !core->only_scores && i < core->n_outs; i++) {
        if (core->outs[i].output != SIZE_MAX) continue;
        const char *note = oxp_arena_printf(core->arena,
                                            "warning: the target does not depend differentiably "
                                            "on '%s': its attribution is zero",
                                            core->outs[i].tensor);
        OXP_NOMEM_IF(s->ctx, note);
        oxp_core_note(core, note);
    }
    if (core->n_pins > 0)
        oxp_core_note(core,
                      "warning: shapes or branches inside the model were computed from this input "
                      "and held: influence through them is not in the map");
    if (core->stopped)
        oxp_core_note(core,
                      "warning: a path from the input goes through a step function (rounding, "
                      "sign), whose derivative is zero: its influence is not in the map");
    const bool guided = kind == &oxp_method_guided_backprop || kind == &oxp_method_deconvnet ||
                        kind == &oxp_method_beta_smooth || kind == &oxp_method_guided_grad_cam;
    if (guided && !core->only_scores && core->n_touched == 0)
        oxp_core_note(
            core, "warning: the model has no rectifier on the path: this is the plain gradient");
    return OXP_OK;
}

static oxp_status make_staging(oxp_compile *s)
{
    oxp_core *core = s->core;
    size_t most = (size_t)core->classes.count;
    for (size_t f = 0; f < core->n_feeds; f++)
        most = most > (size_t)core->feeds[f].count ? most : (size_t)core->feeds[f].count;
    for (size_t o = 0; o < core->n_outs; o++) {
        most = most > (size_t)core->outs[o].count ? most : (size_t)core->outs[o].count;
        most = most > (size_t)core->outs[o].guard_count ? most : (size_t)core->outs[o].guard_count;
    }
    size_t room, cells;
    OXP_FAIL_IF(s->ctx,
                !oxp_mul_size(most + 1, core->width, &room) ||
                    !oxp_mul_size((size_t)core->classes.count + 1, core->width, &cells),
                OXP_ELIMIT, "%zu rows of %zu numbers are too many", core->width, most);
    core->pad = oxp_arena_alloc(core->arena, room, sizeof(double));
    core->rows = oxp_arena_alloc(core->arena, cells, sizeof(double));
    core->seeds = oxp_arena_alloc(core->arena, cells, sizeof(double));
    core->at = OXP_NEW(core->arena, double *, core->n_feeds + 1);
    core->to = OXP_NEW(core->arena, double *, core->n_outs + 1);
    OXP_FAIL_IF(s->ctx, !core->pad || !core->rows || !core->seeds || !core->at || !core->to,
                OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

static oxp_status build_program(oxp_compile *s)
{
    oxp_core *core = s->core;
    const oxp_settings *set = core->settings;
    const bool optimise = !set->no_optimise && !set->double_precision;
    const oxp_pass_fn joint[] = {oxp_opt_tidy, oxp_opt_fuse};
    OXP_TRY(oxp_compile_passes(s, joint, optimise ? 2 : 1, 0));
    const oxp_exec_options options = {.kind =
                                          set->double_precision ? OXP_EXEC_PLAIN : OXP_EXEC_FUSED,
                                      .threads = set->threads,
                                      .max_memory = set->max_memory,
                                      .profile = s->ctx->log != NULL};
    s->ctx->stage = OXP_STAGE_COMPILE;
    OXP_TRY(oxp_program_new(s->ctx, core->g, core->net->weights, &options, &core->program));
    return make_staging(s);
}

/* The layer that helps, for methods that want one besides what they attribute to. */
static oxp_status beside_of(oxp_compile *s, const oxp_method *kind)
{
    const oxp_settings *set = s->core->settings;
    if (!(kind->flags & OXP_METHOD_BESIDE)) return OXP_OK;
    OXP_FAIL_IF(s->ctx, set->n_layers > 1, OXP_EINVAL, "%s uses one layer, found %zu",
                kind->info.name, set->n_layers);
    s->n_beside = 1;
    s->beside = set->n_layers ? set->layers[0] : OXP_NO_VAL;
    return OXP_OK;
}

static oxp_status compile(oxp_compile *s)
{
    oxp_core *core = s->core;
    const oxp_settings *set = core->settings;
    const oxp_method *kind = core->params->inner ? core->params->inner : core->params->method;
    s->model = core->net->graph;
    s->varies = (core->params->method->flags & OXP_METHOD_FEEDS) != 0;
    s->layered = (kind->flags & OXP_METHOD_LAYER) != 0;
    s->attends = (kind->flags & OXP_METHOD_ATTENTION) != 0;
    s->flows = (kind->flags & OXP_METHOD_ATTENTION_FLOW) != 0;
    s->crosses = (kind->flags & OXP_METHOD_ATTENTION_CROSS) != 0;
    s->at = s->layered ? set->layers : set->wrt;
    s->n_at = s->layered ? set->n_layers : set->n_wrt;
    if (!s->layered && s->n_at == 0) {
        oxp_val *wrt;
        OXP_TRY(oxp_default_wrt(s->ctx, core->arena, s->model, &wrt, &s->n_at));
        s->at = wrt;
    }
    if (s->layered && s->varies && !(kind->flags & OXP_METHOD_TAIL)) {
        oxp_val *line;
        OXP_TRY(oxp_default_wrt(s->ctx, core->arena, s->model, &line, &s->n_line));
        s->line = line;
    }
    OXP_TRY(beside_of(s, kind));
    const oxp_val output = set->target_tensor ? set->target_tensor : s->model->outputs[0];
    OXP_TRY(oxp_compile_forward(s, output));
    OXP_TRY(oxp_compile_score(s));
    OXP_TRY(oxp_compile_check_feeds(s));
    OXP_TRY(oxp_compile_layer(s));
    if (kind->flags & OXP_METHOD_TAIL) OXP_TRY(oxp_compile_tail(s, output));
    const oxp_pass_fn merge[] = {set->double_precision ? oxp_opt_merge_exact : oxp_opt_merge};
    const bool optimise = !set->double_precision && !set->no_optimise;
    if (optimise || (kind->flags & OXP_METHOD_MERGED))
        OXP_TRY(oxp_compile_passes(s, merge, 1, s->n_at + 2 + s->n_beside));
    else
        OXP_TRY(oxp_compile_passes(s, (const oxp_pass_fn[]){oxp_opt_tidy}, 1,
                                   s->n_at + 2 + s->n_beside));
    for (size_t f = 0; f < core->n_feeds; f++)
        if (core->feeds[f].input != SIZE_MAX)
            core->feeds[f].roles =
                s->tail && core->feeds[f].varied
                    ? s->tail_roles
                    : oxp_roles_of(core->g, core->g->inputs[core->feeds[f].input]);
    const char *beside = s->n_beside ? oxp_value_of(core->g, s->follow[s->n_at + 2])->name : NULL;
    OXP_TRY(plan_method(s));
    core->layer = s->layered && !s->flows && core->n_outs > 0 ? core->outs[0].tensor : beside;
    OXP_TRY(warn(s));
    return build_program(s);
}

oxp_status oxp_core_new(oxp_ctx *ctx, const oxp_net *net, const oxp_settings *settings,
                        const oxp_params *params, const oxp_input_shape *inputs, size_t width,
                        oxp_core **out, oxp_core_trouble *trouble)
{
    oxp_arena *arena = oxp_arena_new(net->hooks);
    OXP_NOMEM_IF(ctx, arena);
    oxp_core *core = OXP_NEW(arena, oxp_core, 1);
    if (!core) {
        oxp_arena_free(arena);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    *core = (oxp_core){
        .arena = arena, .net = net, .settings = settings, .params = params, .width = width};
    oxp_compile s = {.ctx = ctx, .core = core, .inputs = inputs, .trouble = trouble};
    const oxp_status status = compile(&s);
    if (status != OXP_OK) {
        oxp_core_free(core);
        return status;
    }
    *out = core;
    return OXP_OK;
}

static oxp_status build_head(oxp_compile *s, const oxp_core *core)
{
    oxp_core *head = s->core;
    const size_t n_in = s->model->n_inputs;
    oxp_val *wanted = OXP_NEW(s->ctx->scratch, oxp_val, core->n_feeds);
    OXP_NOMEM_IF(s->ctx, wanted);
    for (size_t f = n_in; f < core->n_feeds; f++) wanted[s->n_at++] = core->feeds[f].model_val;
    s->at = wanted;
    OXP_TRY(oxp_compile_forward(s, wanted[0]));
    head->outs = OXP_NEW(head->arena, oxp_core_out, s->n_at);
    OXP_NOMEM_IF(s->ctx, head->outs);
    head->g->n_outputs = 0;
    for (size_t i = 0; i < s->n_at; i++) {
        oxp_core_out *o = &head->outs[head->n_outs++];
        o->output = i;
        o->guard = SIZE_MAX;
        o->row = oxp_core_row(oxp_shape_at(head->g, s->follow[i + 2]), head->width);
        o->count = oxp_shape_elements(&o->row);
        OXP_TRY(oxp_graph_add_output(s->ctx, head->g, s->follow[i + 2]));
    }
    head->seed_input = head->target_output = head->prob_output = head->expected_output = SIZE_MAX;
    return build_program(s);
}

oxp_status oxp_core_head(oxp_ctx *ctx, const oxp_core *core, const oxp_input_shape *inputs,
                         oxp_core **out)
{
    *out = NULL;
    if (core->n_feeds == core->net->graph->n_inputs) return OXP_OK;
    oxp_arena *arena = oxp_arena_new(core->net->hooks);
    OXP_NOMEM_IF(ctx, arena);
    oxp_core *head = OXP_NEW(arena, oxp_core, 1);
    if (!head) {
        oxp_arena_free(arena);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    *head = (oxp_core){
        .arena = arena, .net = core->net, .settings = core->settings, .width = core->width};
    oxp_compile s = {.ctx = ctx, .core = head, .model = core->net->graph, .inputs = inputs};
    const oxp_status status = build_head(&s, core);
    if (status != OXP_OK) {
        oxp_core_free(head);
        return status;
    }
    *out = head;
    return OXP_OK;
}

oxp_status oxp_core_holds(oxp_ctx *ctx, const oxp_core *core, const oxp_tensor *inputs, bool *holds)
{
    *holds = true;
    if (!core || core->n_pins == 0) return OXP_OK;
    const oxp_tensor **data = OXP_NEW(ctx->scratch, const oxp_tensor *, core->n_feeds + 1);
    OXP_NOMEM_IF(ctx, data);
    for (size_t i = 0; i < core->net->graph->n_inputs; i++) data[i] = &inputs[i];
    const oxp_fed fed = {core->net, ctx->scratch, core->cut, core->n_feeds, data, NULL};
    return oxp_fed_pins_hold(ctx, &fed, core->pinned, core->pins, core->n_pins, holds);
}

void oxp_core_free(oxp_core *core)
{
    if (!core) return;
    oxp_program_free(core->program);
    oxp_arena_free(core->arena);
}
