/* core.c - the graph pipeline and the rows of core.h. */
#include "explain/core.h"

#include "base/checked.h"
#include "explain/boundary.h"
#include "explain/roles.h"
#include "ops/specialise.h"
#include "opt/opt.h"
#include <string.h>

typedef struct compile_state {
    oxp_ctx *ctx;
    oxp_core *core;
    const oxp_graph *model;
    const oxp_input_shape *inputs;
    const oxp_val *at; /* model values attributed to; n_at 0: auto layer */
    size_t n_at;
    bool varies; /* the drive changes what is fed */
    bool layered;
    bool attends, flows;       /* layers are attention maps; all of them give one attribution */
    bool crosses;              /* or one for each sequence of tokens */
    size_t n_beside;           /* 1: a layer helps to explain what is attributed to */
    oxp_val beside;            /* in the model; OXP_NO_VAL: to be found */
    bool tail;                 /* the layer itself is fed: what comes before it is left out */
    oxp_roles tail_roles;      /* of that layer, found where what comes before can be seen */
    oxp_core_trouble *trouble; /* NULL: not wanted */
    oxp_val *follow;           /* target, probability, at..., beside: values of the current graph */
} compile_state;

static oxp_shape with_batch(const oxp_shape *row, bool shared, size_t width)
{
    if (shared) return *row;
    oxp_shape s = {.rank = row->rank + 1, .dim = {(int64_t)width}};
    memcpy(s.dim + 1, row->dim, (size_t)row->rank * sizeof(int64_t));
    return s;
}

static bool has_batch(const oxp_shape *s, size_t width)
{
    return s->rank > 0 && s->dim[0] == (int64_t)width;
}

static oxp_shape without_batch(const oxp_shape *s, size_t width)
{
    return has_batch(s, width) ? oxp_shape_of(s->rank - 1, s->dim + 1) : *s;
}

static void add_note(oxp_core *core, const char *note)
{
    if (note && core->n_notes < OXP_COUNT(core->notes)) core->notes[core->n_notes++] = note;
}

/* ---- feeds ---- */

static int index_of(const oxp_val *list, size_t n, oxp_val v)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == v) return (int)i;
    return -1;
}

/* Shapes of inner tensors that are fed directly: from a forward-only specialisation. */
static oxp_status inner_shapes(compile_state *s, const oxp_feed *feeds, size_t n_feeds,
                               oxp_shape *shapes)
{
    oxp_arena *tmp = oxp_arena_new(s->core->net->hooks);
    OXP_NOMEM_IF(s->ctx, tmp);
    const oxp_cut cut = {feeds, n_feeds, s->at, s->n_at, s->core->settings->max_memory};
    oxp_special special;
    const oxp_status status = oxp_specialise(s->ctx, tmp, s->model, &cut, &special, NULL);
    for (size_t i = 0; status == OXP_OK && i < s->n_at; i++)
        shapes[i] = *oxp_shape_at(special.g, special.map[s->at[i]]);
    oxp_arena_free(tmp);
    return status;
}

static oxp_status add_feed(compile_state *s, oxp_val v, const oxp_shape *full, bool shared,
                           const oxp_tensor *fixed, oxp_feed *feed)
{
    oxp_core *core = s->core;
    oxp_core_feed *f = &core->feeds[core->n_feeds++];
    const oxp_value *value = oxp_value_of(s->model, v);
    *feed = (oxp_feed){v, *full, fixed};
    *f = (oxp_core_feed){.name = value->name, .model_val = v, .shared = shared, .out = -1};
    f->row = shared ? *full : without_batch(full, core->width);
    f->count = oxp_shape_elements(&f->row);
    const int at = index_of(s->at, s->n_at, v);
    const bool inputs_vary = s->layered && !s->tail;
    f->varied =
        inputs_vary ? value->kind == OXP_VALUE_INPUT && oxp_dtype_is_float(value->dtype) : at >= 0;
    f->out = inputs_vary ? -1 : at;
    return OXP_OK;
}

static oxp_status make_feeds(compile_state *s, oxp_feed **feeds)
{
    oxp_core *core = s->core;
    const size_t n_in = s->model->n_inputs;
    core->feeds = OXP_NEW(core->arena, oxp_core_feed, n_in + s->n_at);
    oxp_shape *shapes = OXP_NEW(s->ctx->scratch, oxp_shape, s->n_at + 1);
    *feeds = OXP_NEW(s->ctx->scratch, oxp_feed, n_in + s->n_at);
    OXP_FAIL_IF(s->ctx, !core->feeds || !*feeds || !shapes, OXP_ENOMEM, "out of memory");
    bool inner = false;
    for (size_t i = 0; i < n_in; i++) {
        const oxp_shape full = with_batch(&s->inputs[i].row, s->inputs[i].shared, core->width);
        OXP_TRY(add_feed(s, s->model->inputs[i], &full, s->inputs[i].shared, s->inputs[i].fixed,
                         &(*feeds)[i]));
    }
    for (size_t i = 0; i < s->n_at; i++)
        inner = inner || index_of(s->model->inputs, n_in, s->at[i]) < 0;
    if (!s->varies || (s->layered && !s->tail) || !inner) return OXP_OK;
    OXP_TRY(inner_shapes(s, *feeds, n_in, shapes));
    for (size_t i = 0; i < s->n_at; i++)
        if (index_of(s->model->inputs, n_in, s->at[i]) < 0)
            OXP_TRY(add_feed(s, s->at[i], &shapes[i], false, NULL, &(*feeds)[core->n_feeds]));
    return OXP_OK;
}

/* ---- the pipeline ---- */

static oxp_status run_passes(compile_state *s, const oxp_pass_fn *passes, size_t n, size_t n_follow)
{
    return oxp_opt_run(s->ctx, s->core->arena, passes, n, &s->core->g, s->follow, n_follow);
}

/* Specialises; when a shape needs data, notes of which inputs. */
static oxp_status specialise(compile_state *s, const oxp_cut *cut, oxp_special *special)
{
    const size_t n_in = s->model->n_inputs;
    bool *needs = OXP_NEW(s->ctx->scratch, bool, cut->n_feeds + 1);
    OXP_NOMEM_IF(s->ctx, needs);
    const oxp_status status = oxp_specialise(s->ctx, s->core->arena, s->model, cut, special, needs);
    for (size_t i = 0; s->trouble && i < n_in; i++)
        s->trouble->needs_data[i] = s->trouble->needs_data[i] || needs[i];
    OXP_TRY(status);
    for (size_t i = 0; i < s->n_at; i++) {
        const oxp_value *at = oxp_value_of(special->g, special->map[s->at[i]]);
        OXP_FAIL_IF(s->ctx,
                    at->kind == OXP_VALUE_CONST &&
                        oxp_value_of(s->model, s->at[i])->kind != OXP_VALUE_CONST,
                    OXP_EUNSUPPORTED,
                    "'%s' is computed from constants, or from integers that also decide shapes: "
                    "name another tensor to attribute to",
                    at->name ? at->name : "?");
    }
    return OXP_OK;
}

static oxp_status forward_graph(compile_state *s, oxp_val output)
{
    oxp_core *core = s->core;
    oxp_feed *feeds;
    OXP_TRY(make_feeds(s, &feeds));
    oxp_val *wanted = OXP_NEW(s->ctx->scratch, oxp_val, s->n_at + 2);
    s->follow = OXP_NEW(core->arena, oxp_val, s->n_at + 3);
    OXP_FAIL_IF(s->ctx, !wanted || !s->follow, OXP_ENOMEM, "out of memory");
    wanted[0] = output;
    for (size_t i = 0; i < s->n_at; i++) wanted[i + 1] = s->at[i];
    const bool named = s->beside != OXP_NO_VAL;
    if (named) wanted[s->n_at + 1] = s->beside;
    const oxp_cut cut = {feeds, core->n_feeds, wanted, s->n_at + (named ? 2 : 1),
                         core->settings->max_memory};
    oxp_special special;
    OXP_TRY(specialise(s, &cut, &special));
    core->g = special.g;
    size_t next = 0;
    for (size_t f = 0; f < core->n_feeds; f++) {
        core->feeds[f].input = feeds[f].fixed ? SIZE_MAX : next++;
        core->feeds[f].dtype = oxp_value_of(core->g, special.map[core->feeds[f].model_val])->dtype;
    }
    s->follow[0] = special.map[output];
    s->follow[1] = OXP_NO_VAL;
    for (size_t i = 0; i < s->n_at; i++) s->follow[i + 2] = special.map[s->at[i]];
    s->follow[s->n_at + 2] = named ? special.map[s->beside] : OXP_NO_VAL;
    const oxp_pass_fn raise[] = {s->attends ? oxp_opt_raise_open : oxp_opt_raise};
    return run_passes(s, raise, 1, s->n_at + 2 + s->n_beside);
}

static oxp_status find_score(compile_state *s)
{
    oxp_core *core = s->core;
    oxp_build b;
    oxp_build_init(&b, s->ctx, core->g);
    const bool named = core->settings->target_tensor != OXP_NO_VAL,
               probability = (core->params->method->flags & OXP_METHOD_PROBABILITY) != 0;
    const oxp_space space = probability && core->settings->space == OXP_SPACE_LOGIT
                                ? OXP_SPACE_PROB
                                : core->settings->space;
    OXP_TRY(oxp_score_find(&b, s->follow[0], space, named, core->width, &core->score));
    add_note(core, core->score.note);
    const oxp_shape *shape = oxp_shape_at(core->g, core->score.target);
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(
        s->ctx, oxp_value_of(core->g, core->score.target)->dtype != OXP_F32, OXP_EINVAL,
        "the target tensor holds %s, expected floats: name another with --target 'tensor[...]'",
        oxp_dtype_name(oxp_value_of(core->g, core->score.target)->dtype));
    if (core->width > 1 && !has_batch(shape, core->width)) {
        if (s->trouble) s->trouble->no_batch = true;
        if (s->trouble) s->trouble->target_count = oxp_shape_elements(shape);
        OXP_FAIL(s->ctx, OXP_EINVAL, "the target tensor %s does not keep the batch of %zu",
                 oxp_shape_text(shape, text), core->width);
    }
    core->classes = oxp_classes_of(shape, &core->score, has_batch(shape, core->width));
    s->follow[0] = core->score.target;
    s->follow[1] = core->score.probability;
    return OXP_OK;
}

/* Rows of a tensor that is attributed to must lie apart. */
static oxp_status check_apart(compile_state *s, const char *name, const oxp_shape *shape)
{
    const size_t width = s->core->width;
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(s->ctx, width > 1 && !has_batch(shape, width), OXP_EINVAL,
                "'%s' of shape %s does not keep the %zu items of the batch apart: name another "
                "tensor to attribute to",
                name ? name : "?", oxp_shape_text(shape, text), width);
    return OXP_OK;
}

static oxp_status check_feeds(compile_state *s)
{
    const oxp_core *core = s->core;
    for (size_t f = 0; s->varies && f < core->n_feeds; f++)
        if (core->feeds[f].varied && core->feeds[f].input != SIZE_MAX)
            OXP_TRY(check_apart(s, core->feeds[f].name,
                                oxp_shape_at(core->g, core->g->inputs[core->feeds[f].input])));
    return OXP_OK;
}

/* What a flow rests on, since it was found and not said. */
static oxp_status note_flow(compile_state *s)
{
    oxp_core *core = s->core;
    const char *first = oxp_value_of(core->g, s->follow[2])->name;
    const char *last = oxp_value_of(core->g, s->follow[s->n_at + 1])->name;
    const char *note =
        oxp_arena_printf(core->arena, "attention maps of %zu layer%s, '%s' to '%s'", s->n_at,
                         s->n_at == 1 ? "" : "s", first ? first : "?", last ? last : "?");
    OXP_NOMEM_IF(s->ctx, note);
    add_note(core, note);
    return OXP_OK;
}

/* The attention maps that were named, in the order of computation; when none was, the last, or for
 * flows all of them. */
static oxp_status choose_attention(compile_state *s)
{
    oxp_core *core = s->core;
    oxp_val *maps;
    size_t n, taken = 0;
    OXP_TRY(oxp_attention_maps(s->ctx, core->g, s->follow[0], core->width, s->crosses || s->n_at,
                               &maps, &n));
    oxp_val *follow = OXP_NEW(core->arena, oxp_val, n + 2);
    OXP_NOMEM_IF(s->ctx, follow);
    for (size_t i = 0; i < s->n_at; i++) {
        const char *name = oxp_value_of(core->g, s->follow[i + 2])->name;
        const char *other = oxp_value_of(core->g, maps[n - 1])->name;
        OXP_FAIL_IF(s->ctx, index_of(maps, n, s->follow[i + 2]) < 0, OXP_EINVAL,
                    "layer '%s' is not an attention map that the target depends on; '%s' is one",
                    name ? name : "?", other ? other : "?");
    }
    for (size_t i = 0; i < n; i++) {
        const bool named = index_of(s->follow + 2, s->n_at, maps[i]) >= 0;
        if (named || (s->n_at == 0 && (s->flows || i + 1 == n))) follow[2 + taken++] = maps[i];
    }
    follow[0] = s->follow[0];
    follow[1] = s->follow[1];
    s->follow = follow;
    s->n_at = taken;
    return s->flows ? note_flow(s) : OXP_OK;
}

static oxp_status choose_layer(compile_state *s)
{
    if (s->attends) return choose_attention(s);
    if (s->n_beside && s->beside == OXP_NO_VAL)
        return oxp_auto_layer(s->ctx, s->core->g, s->follow[0], &s->follow[s->n_at + 2]);
    if (!s->layered || s->n_at > 0) return OXP_OK;
    OXP_TRY(oxp_auto_layer(s->ctx, s->core->g, s->follow[0], &s->follow[2]));
    s->n_at = 1;
    return OXP_OK;
}

/* For methods that recompute only what follows the layer: from the whole graph, what the layer is;
 * then a graph that starts there. */
static oxp_status cut_at_layer(compile_state *s, oxp_val output)
{
    oxp_core *core = s->core;
    const char *name = oxp_value_of(core->g, s->follow[2])->name;
    oxp_val *layer = OXP_NEW(core->arena, oxp_val, 1);
    OXP_NOMEM_IF(s->ctx, layer);
    OXP_FAIL_IF(s->ctx, s->n_at > 1, OXP_EUNSUPPORTED,
                "%s recomputes what follows one layer: give one --layer, found %zu",
                core->params->method->info.name, s->n_at);
    *layer = core->settings->n_layers ? core->settings->layers[0]
             : name                   ? oxp_graph_find(s->model, name)
                                      : OXP_NO_VAL;
    OXP_FAIL_IF(s->ctx, *layer == OXP_NO_VAL, OXP_EINVAL,
                "the layer found has no name in the model: give one with --layer");
    s->tail_roles = oxp_roles_of(core->g, s->follow[2]);
    s->tail = true;
    s->at = layer;
    core->n_feeds = core->n_notes = 0;
    OXP_TRY(forward_graph(s, output));
    OXP_TRY(find_score(s));
    return check_feeds(s);
}

/* One more attribution: the method's value `out` for `at`, and what must not be negative in it. */
static oxp_status add_out(compile_state *s, oxp_val at, oxp_val out, oxp_val guard,
                          const oxp_roles *roles)
{
    oxp_core *core = s->core;
    oxp_graph *g = core->g;
    oxp_core_out *o = &core->outs[core->n_outs++];
    const char *name = oxp_value_of(g, at)->name;
    *o = (oxp_core_out){
        .tensor = name ? name : "", .output = SIZE_MAX, .guard = SIZE_MAX, .roles = *roles};
    o->row = without_batch(oxp_shape_at(g, out == OXP_NO_VAL ? at : out), core->width);
    o->count = oxp_shape_elements(&o->row);
    if (out == OXP_NO_VAL) return OXP_OK;
    OXP_TRY(check_apart(s, name, oxp_shape_at(g, out)));
    if (guard != OXP_NO_VAL) OXP_TRY(check_apart(s, name, oxp_shape_at(g, guard)));
    o->output = g->n_outputs;
    OXP_TRY(oxp_graph_add_output(s->ctx, g, out));
    if (guard == OXP_NO_VAL) return OXP_OK;
    const oxp_shape row = without_batch(oxp_shape_at(g, guard), core->width);
    o->guard = g->n_outputs;
    o->guard_count = oxp_shape_elements(&row);
    return oxp_graph_add_output(s->ctx, g, guard);
}

/* The method's own nodes, and the outputs of the joint graph: target, probability, then what the
 * method made. */
static oxp_status plan_method(compile_state *s)
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
    const oxp_shape row = without_batch(oxp_shape_at(g, task.expected), core->width);
    core->expected_output = g->n_outputs;
    core->expected_count = oxp_shape_elements(&row);
    return oxp_graph_add_output(s->ctx, g, task.expected);
}

static oxp_status warn(compile_state *s)
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
        add_note(core, note);
    }
    if (core->stopped)
        add_note(core, "warning: a path from the input goes through a step function (rounding, "
                       "sign), whose derivative is zero: its influence is not in the map");
    const bool guided = kind == &oxp_method_guided_backprop || kind == &oxp_method_deconvnet ||
                        kind == &oxp_method_guided_grad_cam;
    if (guided && !core->only_scores && core->n_touched == 0)
        add_note(core,
                 "warning: the model has no rectifier on the path: this is the plain gradient");
    return OXP_OK;
}

static oxp_status make_staging(compile_state *s)
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

static oxp_status build_program(compile_state *s)
{
    oxp_core *core = s->core;
    const oxp_settings *set = core->settings;
    const bool optimise = !set->no_optimise && !set->double_precision;
    const oxp_pass_fn joint[] = {oxp_opt_tidy, oxp_opt_fuse};
    OXP_TRY(run_passes(s, joint, optimise ? 2 : 1, 0));
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
static oxp_status beside_of(compile_state *s, const oxp_method *kind)
{
    const oxp_settings *set = s->core->settings;
    if (!(kind->flags & OXP_METHOD_BESIDE)) return OXP_OK;
    OXP_FAIL_IF(s->ctx, set->n_layers > 1, OXP_EINVAL, "%s uses one layer, found %zu",
                kind->info.name, set->n_layers);
    s->n_beside = 1;
    s->beside = set->n_layers ? set->layers[0] : OXP_NO_VAL;
    return OXP_OK;
}

static oxp_status compile(compile_state *s)
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
    OXP_TRY(beside_of(s, kind));
    const oxp_val output = set->target_tensor ? set->target_tensor : s->model->outputs[0];
    OXP_TRY(forward_graph(s, output));
    OXP_TRY(find_score(s));
    OXP_TRY(check_feeds(s));
    OXP_TRY(choose_layer(s));
    if (kind->flags & OXP_METHOD_TAIL) OXP_TRY(cut_at_layer(s, output));
    const oxp_pass_fn merge[] = {set->double_precision ? oxp_opt_merge_exact : oxp_opt_merge};
    const bool optimise = !set->double_precision && !set->no_optimise;
    if (optimise || (kind->flags & OXP_METHOD_MERGED))
        OXP_TRY(run_passes(s, merge, 1, s->n_at + 2 + s->n_beside));
    else
        OXP_TRY(run_passes(s, (const oxp_pass_fn[]){oxp_opt_tidy}, 1, s->n_at + 2 + s->n_beside));
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
    compile_state s = {.ctx = ctx, .core = core, .inputs = inputs, .trouble = trouble};
    const oxp_status status = compile(&s);
    if (status != OXP_OK) {
        oxp_core_free(core);
        return status;
    }
    *out = core;
    return OXP_OK;
}

static oxp_status build_head(compile_state *s, const oxp_core *core)
{
    oxp_core *head = s->core;
    const size_t n_in = s->model->n_inputs;
    oxp_val *wanted = OXP_NEW(s->ctx->scratch, oxp_val, core->n_feeds);
    OXP_NOMEM_IF(s->ctx, wanted);
    for (size_t f = n_in; f < core->n_feeds; f++) wanted[s->n_at++] = core->feeds[f].model_val;
    s->at = wanted;
    OXP_TRY(forward_graph(s, wanted[0]));
    head->outs = OXP_NEW(head->arena, oxp_core_out, s->n_at);
    OXP_NOMEM_IF(s->ctx, head->outs);
    head->g->n_outputs = 0;
    for (size_t i = 0; i < s->n_at; i++) {
        oxp_core_out *o = &head->outs[head->n_outs++];
        o->output = i;
        o->guard = SIZE_MAX;
        o->row = without_batch(oxp_shape_at(head->g, s->follow[i + 2]), head->width);
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
    compile_state s = {.ctx = ctx, .core = head, .model = core->net->graph, .inputs = inputs};
    const oxp_status status = build_head(&s, core);
    if (status != OXP_OK) {
        oxp_core_free(head);
        return status;
    }
    *out = head;
    return OXP_OK;
}

void oxp_core_free(oxp_core *core)
{
    if (!core) return;
    oxp_program_free(core->program);
    oxp_arena_free(core->arena);
}

/* ---- rows ---- */

/* Feeds n rows, repeating the first where the batch is wider. */
static oxp_status feed_rows(oxp_ctx *ctx, oxp_core *core, size_t n, double *const *feed)
{
    for (size_t f = 0; f < core->n_feeds; f++) {
        const oxp_core_feed *cf = &core->feeds[f];
        if (cf->input == SIZE_MAX) continue;
        const size_t count = (size_t)cf->count, rows = cf->shared ? 1 : core->width;
        double *data = feed[f];
        if (n < rows) {
            data = core->pad;
            for (size_t r = 0; r < rows; r++)
                memcpy(data + r * count, feed[f] + (r < n ? r : 0) * count, count * sizeof(double));
        }
        const oxp_tensor t = {
            OXP_F64,
            with_batch(&cf->row,
                       cf->shared || !has_batch(oxp_shape_at(core->g, core->g->inputs[cf->input]),
                                                core->width),
                       core->width),
            data};
        OXP_TRY(oxp_program_feed(ctx, core->program, cf->input, &t));
    }
    return OXP_OK;
}

/* Reads the first n rows of an output. */
static oxp_status read_rows(oxp_ctx *ctx, const oxp_core *core, size_t output, size_t n,
                            size_t count, double *to)
{
    if (n == core->width) return oxp_program_read(ctx, core->program, output, OXP_F64, to);
    OXP_TRY(oxp_program_read(ctx, core->program, output, OXP_F64, core->pad));
    memcpy(to, core->pad, n * count * sizeof(double));
    return OXP_OK;
}

oxp_status oxp_core_forward(oxp_ctx *ctx, oxp_core *core, size_t n, double *const *feed,
                            double *score_rows, double *prob_rows)
{
    ctx->stage = OXP_STAGE_RUN;
    const size_t count = (size_t)core->classes.count;
    core->passes++;
    if (core->rehearsal) {
        for (size_t i = 0; i < n * count; i++) {
            if (score_rows) score_rows[i] = 1.0 / (double)(1 + i % count);
            if (prob_rows) prob_rows[i] = 1.0 / (double)(1 + i % count);
        }
        return OXP_OK;
    }
    OXP_TRY(feed_rows(ctx, core, n, feed));
    OXP_TRY(oxp_program_run(ctx, core->program, 0));
    if (score_rows && core->target_output != SIZE_MAX)
        OXP_TRY(read_rows(ctx, core, core->target_output, n, count, score_rows));
    if (prob_rows && core->prob_output != SIZE_MAX)
        OXP_TRY(read_rows(ctx, core, core->prob_output, n, count, prob_rows));
    return OXP_OK;
}

/* The method's definition holds for these rows only where its guard is not negative. */
static oxp_status check_guard(oxp_ctx *ctx, const oxp_core *core, const oxp_core_out *out, size_t n)
{
    if (out->guard == SIZE_MAX) return OXP_OK;
    OXP_TRY(oxp_program_read(ctx, core->program, out->guard, OXP_F64, core->pad));
    const oxp_method *m = core->params->inner ? core->params->inner : core->params->method;
    for (size_t i = 0; i < n * (size_t)out->guard_count; i++)
        OXP_FAIL_IF(ctx, core->pad[i] < 0.0, OXP_EINVAL, "%s: layer '%s' %s", m->info.name,
                    out->tensor, m->guard);
    return OXP_OK;
}

oxp_status oxp_core_backward(oxp_ctx *ctx, oxp_core *core, size_t n, const double *seed_rows,
                             double *const *out)
{
    const size_t count = (size_t)core->classes.count;
    if (core->seed_input != SIZE_MAX) core->backwards++;
    if (core->seed_input != SIZE_MAX && !core->rehearsal) {
        memset(core->pad, 0, core->width * count * sizeof(double));
        memcpy(core->pad, seed_rows, n * count * sizeof(double));
        const oxp_tensor t = {OXP_F64, *oxp_shape_at(core->g, core->g->inputs[core->seed_input]),
                              core->pad};
        OXP_TRY(oxp_program_feed(ctx, core->program, core->seed_input, &t));
        OXP_TRY(oxp_program_run(ctx, core->program, 1));
    }
    for (size_t o = 0; o < core->n_outs; o++) {
        if (!core->rehearsal) OXP_TRY(check_guard(ctx, core, &core->outs[o], n));
        if (core->outs[o].output == SIZE_MAX || core->rehearsal)
            memset(out[o], 0, n * (size_t)core->outs[o].count * sizeof(double));
        else
            OXP_TRY(
                read_rows(ctx, core, core->outs[o].output, n, (size_t)core->outs[o].count, out[o]));
    }
    return OXP_OK;
}

oxp_status oxp_core_expected(oxp_ctx *ctx, const oxp_core *core, size_t n, double *sums)
{
    if (core->expected_output == SIZE_MAX) return OXP_OK;
    const size_t count = (size_t)core->expected_count;
    double *rows = oxp_arena_alloc(ctx->scratch, n * count + 1, sizeof(double));
    OXP_NOMEM_IF(ctx, rows);
    OXP_TRY(read_rows(ctx, core, core->expected_output, n, count, rows));
    for (size_t r = 0; r < n; r++) {
        sums[r] = 0.0;
        for (size_t i = 0; i < count; i++) sums[r] += rows[r * count + i];
    }
    return OXP_OK;
}
