/* cut.c - from the model to the graph that a method plans on: what is fed and wanted, the specialised graph with composites
 * raised, the score behind the output, the layers. See compile.h. */
#include "explain/compile.h"

#include "explain/roles.h"
#include "ops/specialise.h"
#include <string.h>

/* ---- shapes with and without the batch ---- */

oxp_shape oxp_core_full(const oxp_shape *row, bool shared, size_t width)
{
    if (shared) return *row;
    oxp_shape s = {.rank = row->rank + 1, .dim = {(int64_t)width}};
    memcpy(s.dim + 1, row->dim, (size_t)row->rank * sizeof(int64_t));
    return s;
}

bool oxp_core_batched(const oxp_shape *s, size_t width)
{
    return s->rank > 0 && s->dim[0] == (int64_t)width;
}

oxp_shape oxp_core_row(const oxp_shape *s, size_t width)
{
    return oxp_core_batched(s, width) ? oxp_shape_of(s->rank - 1, s->dim + 1) : *s;
}

void oxp_core_note(oxp_core *core, const char *note)
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

/* The data of the first n of `feeds`: those of the model's inputs. */
static oxp_status fed_of(oxp_compile *s, oxp_arena *arena, const oxp_feed *feeds, size_t n_feeds,
                         oxp_fed *fed)
{
    const oxp_tensor **data = OXP_NEW(arena, const oxp_tensor *, n_feeds + 1);
    OXP_NOMEM_IF(s->ctx, data);
    for (size_t i = 0; i < n_feeds && i < s->model->n_inputs; i++) data[i] = s->inputs[i].data;
    *fed = (oxp_fed){s->core->net, arena, feeds,
                     n_feeds,      data,  s->trouble ? &s->trouble->misfit : NULL};
    return OXP_OK;
}

/* The model from its inputs to `wanted`, forward only. */
static oxp_status specialise_plainly(oxp_compile *s, oxp_arena *tmp, const oxp_feed *feeds,
                                     size_t n_feeds, const oxp_val *wanted, size_t n_wanted,
                                     bool alone, oxp_special *special)
{
    oxp_fed fed;
    OXP_TRY(fed_of(s, tmp, feeds, n_feeds, &fed));
    const oxp_cut cut = {.feeds = feeds,
                         .n_feeds = n_feeds,
                         .wanted = wanted,
                         .n_wanted = n_wanted,
                         .max_bytes = s->core->settings->max_memory,
                         .alone = alone ? NULL : s->alone,
                         .width = (int64_t)s->core->width,
                         .evaluate = oxp_fed_evaluate,
                         .evaluate_arg = &fed};
    return oxp_specialise(s->ctx, tmp, s->model, &cut, special, NULL);
}

/* What the drive varies: of layer methods the line, of others what they attribute to. */
static bool on_line(const oxp_compile *s)
{
    return s->layered && !s->tail;
}

/* Shapes of inner tensors that are fed directly: from a forward-only specialisation. */
static oxp_status inner_shapes(oxp_compile *s, const oxp_feed *feeds, size_t n_feeds,
                               const oxp_val *vals, size_t n, oxp_shape *shapes)
{
    oxp_arena *tmp = oxp_arena_new(s->core->net->hooks);
    OXP_NOMEM_IF(s->ctx, tmp);
    oxp_special special;
    const oxp_status status = specialise_plainly(s, tmp, feeds, n_feeds, vals, n, false, &special);
    for (size_t i = 0; status == OXP_OK && i < n; i++)
        shapes[i] = *oxp_shape_at(special.g, special.map[vals[i]]);
    oxp_arena_free(tmp);
    return status;
}

bool oxp_holds_one(const oxp_shape *declared)
{
    return declared->rank > 0 && declared->dim[0] == 1;
}

/* For several rows of a model that is declared for one: its shapes for one, s->alone. */
static oxp_status find_alone(oxp_compile *s, const oxp_val *wanted, size_t n_wanted)
{
    const oxp_graph *model = s->model;
    bool fixed = false;
    for (size_t i = 0; i < model->n_inputs; i++)
        fixed =
            fixed || (!s->inputs[i].shared && oxp_holds_one(oxp_shape_at(model, model->inputs[i])));
    if (s->alone || !fixed || s->core->width == 1) return OXP_OK;
    oxp_feed *feeds = OXP_NEW(s->ctx->scratch, oxp_feed, model->n_inputs + 1);
    oxp_shape *alone = OXP_NEW(s->core->arena, oxp_shape, model->n_values);
    oxp_arena *tmp = oxp_arena_new(s->core->net->hooks);
    OXP_FAIL_IF(s->ctx, !feeds || !alone || !tmp, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < model->n_inputs; i++)
        feeds[i] =
            (oxp_feed){model->inputs[i], oxp_core_full(&s->inputs[i].row, s->inputs[i].shared, 1),
                       s->inputs[i].fixed};
    oxp_special special;
    const oxp_status status =
        specialise_plainly(s, tmp, feeds, model->n_inputs, wanted, n_wanted, true, &special);
    for (size_t v = 1; status == OXP_OK && v < model->n_values; v++) {
        alone[v].rank = -1;
        if (special.map[v]) alone[v] = *oxp_shape_at(special.g, special.map[v]);
    }
    oxp_arena_free(tmp);
    s->alone = alone;
    return status;
}

static oxp_status add_feed(oxp_compile *s, oxp_val v, const oxp_shape *full, bool shared,
                           const oxp_tensor *fixed, oxp_feed *feed)
{
    oxp_core *core = s->core;
    oxp_core_feed *f = &core->feeds[core->n_feeds++];
    const oxp_value *value = oxp_value_of(s->model, v);
    *feed = (oxp_feed){v, *full, fixed};
    *f = (oxp_core_feed){.name = value->name, .model_val = v, .shared = shared, .out = -1};
    f->row = shared ? *full : oxp_core_row(full, core->width);
    f->count = oxp_shape_elements(&f->row);
    const int at = index_of(s->at, s->n_at, v);
    f->varied = on_line(s) ? index_of(s->line, s->n_line, v) >= 0 : at >= 0;
    f->out = on_line(s) ? -1 : at;
    return OXP_OK;
}

static oxp_status make_feeds(oxp_compile *s, oxp_feed **feeds)
{
    oxp_core *core = s->core;
    const size_t n_in = s->model->n_inputs;
    const oxp_val *vary = on_line(s) ? s->line : s->at;
    const size_t n = on_line(s) ? s->n_line : s->n_at;
    core->feeds = OXP_NEW(core->arena, oxp_core_feed, n_in + n);
    oxp_shape *shapes = OXP_NEW(s->ctx->scratch, oxp_shape, n + 1);
    *feeds = OXP_NEW(s->ctx->scratch, oxp_feed, n_in + n);
    OXP_FAIL_IF(s->ctx, !core->feeds || !*feeds || !shapes, OXP_ENOMEM, "out of memory");
    bool inner = false;
    for (size_t i = 0; i < n_in; i++) {
        const oxp_shape full = oxp_core_full(&s->inputs[i].row, s->inputs[i].shared, core->width);
        OXP_TRY(add_feed(s, s->model->inputs[i], &full, s->inputs[i].shared, s->inputs[i].fixed,
                         &(*feeds)[i]));
    }
    for (size_t i = 0; i < n; i++) inner = inner || index_of(s->model->inputs, n_in, vary[i]) < 0;
    if (!s->varies || !inner) return OXP_OK;
    OXP_TRY(inner_shapes(s, *feeds, n_in, vary, n, shapes));
    for (size_t i = 0; i < n; i++)
        if (index_of(s->model->inputs, n_in, vary[i]) < 0)
            OXP_TRY(add_feed(s, vary[i], &shapes[i], false, NULL, &(*feeds)[core->n_feeds]));
    return OXP_OK;
}

/* ---- the graph and its score ---- */

oxp_status oxp_compile_passes(oxp_compile *s, const oxp_pass_fn *passes, size_t n, size_t n_follow)
{
    return oxp_opt_run(s->ctx, s->core->arena, passes, n, &s->core->g, s->follow, n_follow);
}

/* Specialises; when a shape needs data, notes of which inputs. */
static oxp_status specialise(oxp_compile *s, const oxp_cut *cut, oxp_special *special)
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

oxp_status oxp_compile_forward(oxp_compile *s, oxp_val output)
{
    oxp_core *core = s->core;
    oxp_feed *feeds;
    oxp_val *wanted = OXP_NEW(s->ctx->scratch, oxp_val, s->n_at + 2);
    s->follow = OXP_NEW(core->arena, oxp_val, s->n_at + 3);
    OXP_FAIL_IF(s->ctx, !wanted || !s->follow, OXP_ENOMEM, "out of memory");
    wanted[0] = output;
    for (size_t i = 0; i < s->n_at; i++) wanted[i + 1] = s->at[i];
    const bool named = s->beside != OXP_NO_VAL;
    if (named) wanted[s->n_at + 1] = s->beside;
    const size_t n_wanted = s->n_at + (named ? 2 : 1);
    OXP_TRY(find_alone(s, wanted, n_wanted));
    OXP_TRY(make_feeds(s, &feeds));
    oxp_fed fed;
    OXP_TRY(fed_of(s, core->arena, feeds, core->n_feeds, &fed));
    const oxp_cut cut = {.feeds = feeds,
                         .n_feeds = core->n_feeds,
                         .wanted = wanted,
                         .n_wanted = n_wanted,
                         .max_bytes = core->settings->max_memory,
                         .alone = s->alone,
                         .width = (int64_t)core->width,
                         .evaluate = oxp_fed_evaluate,
                         .evaluate_arg = &fed};
    oxp_special special;
    OXP_TRY(specialise(s, &cut, &special));
    core->g = special.g;
    core->pinned = special.g;
    core->pins = special.pins;
    core->n_pins = special.n_pins;
    core->cut = oxp_arena_memdup(core->arena, feeds, core->n_feeds * sizeof *feeds);
    OXP_NOMEM_IF(s->ctx, core->cut);
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
    return oxp_compile_passes(s, raise, 1, s->n_at + 2 + s->n_beside);
}

oxp_status oxp_compile_score(oxp_compile *s)
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
    oxp_core_note(core, core->score.note);
    const oxp_shape *shape = oxp_shape_at(core->g, core->score.target);
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(
        s->ctx, oxp_value_of(core->g, core->score.target)->dtype != OXP_F32, OXP_EINVAL,
        "the target tensor holds %s, expected floats: name another with --target 'tensor[...]'",
        oxp_dtype_name(oxp_value_of(core->g, core->score.target)->dtype));
    if (core->width > 1 && !oxp_core_batched(shape, core->width)) {
        if (s->trouble) s->trouble->no_batch = true;
        if (s->trouble) s->trouble->target_count = oxp_shape_elements(shape);
        OXP_FAIL(s->ctx, OXP_EINVAL, "the target tensor %s does not keep the batch of %zu",
                 oxp_shape_text(shape, text), core->width);
    }
    core->classes = oxp_classes_of(shape, &core->score, oxp_core_batched(shape, core->width));
    s->follow[0] = core->score.target;
    s->follow[1] = core->score.probability;
    return OXP_OK;
}

/* Rows of a tensor that is attributed to must lie apart. */
oxp_status oxp_compile_apart(oxp_compile *s, const char *name, const oxp_shape *shape)
{
    const size_t width = s->core->width;
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(s->ctx, width > 1 && !oxp_core_batched(shape, width), OXP_EINVAL,
                "'%s' of shape %s does not keep the %zu items of the batch apart: name another "
                "tensor to attribute to",
                name ? name : "?", oxp_shape_text(shape, text), width);
    return OXP_OK;
}

oxp_status oxp_compile_check_feeds(oxp_compile *s)
{
    const oxp_core *core = s->core;
    for (size_t f = 0; s->varies && f < core->n_feeds; f++)
        if (core->feeds[f].varied && core->feeds[f].input != SIZE_MAX)
            OXP_TRY(
                oxp_compile_apart(s, core->feeds[f].name,
                                  oxp_shape_at(core->g, core->g->inputs[core->feeds[f].input])));
    return OXP_OK;
}

/* ---- layers ---- */

/* What a flow rests on, since it was found and not said. */
static oxp_status note_flow(oxp_compile *s)
{
    oxp_core *core = s->core;
    const char *first = oxp_value_of(core->g, s->follow[2])->name;
    const char *last = oxp_value_of(core->g, s->follow[s->n_at + 1])->name;
    const char *note =
        oxp_arena_printf(core->arena, "attention maps of %zu layer%s, '%s' to '%s'", s->n_at,
                         s->n_at == 1 ? "" : "s", first ? first : "?", last ? last : "?");
    OXP_NOMEM_IF(s->ctx, note);
    oxp_core_note(core, note);
    return OXP_OK;
}

/* The attention maps that were named, in the order of computation; when none was, the last, or for
 * flows all of them. */
static oxp_status choose_attention(oxp_compile *s)
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

oxp_status oxp_compile_layer(oxp_compile *s)
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
oxp_status oxp_compile_tail(oxp_compile *s, oxp_val output)
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
    OXP_TRY(oxp_compile_forward(s, output));
    OXP_TRY(oxp_compile_score(s));
    return oxp_compile_check_feeds(s);
}
