/* result.c - from rows of doubles to an explanation: raw arrays, maps, predictions, notes. */
#include "explain/reduce.h"
#include "explain/session.h"

#include <math.h>
#include <string.h>

static oxp_status to_tensor(oxp_ctx *ctx, oxp_arena *arena, oxp_dtype dtype, const oxp_shape *shape,
                            const double *data, oxp_tensor *out)
{
    OXP_TRY(oxp_tensor_new(ctx, arena, dtype, shape, out));
    oxp_convert((void *)(uintptr_t)out->data, dtype, data, OXP_F64, oxp_shape_elements(shape));
    return OXP_OK;
}

/* (N, row...), or the row alone for one item of an input without a batch axis. */
static oxp_shape raw_shape(const oxp_core_out *out, size_t n, bool shared)
{
    oxp_shape s = {.rank = out->row.rank + 1, .dim = {(int64_t)n}};
    memcpy(s.dim + 1, out->row.dim, (size_t)out->row.rank * sizeof(int64_t));
    return shared && n == 1 ? out->row : s;
}

int oxp_input_grid(const oxp_core *core, int64_t dims[3])
{
    for (size_t f = 0; f < core->n_feeds; f++) {
        const oxp_roles *r = &core->feeds[f].roles;
        for (int a = 0; a < r->n_spatial; a++) dims[a] = core->feeds[f].row.dim[r->spatial[a] - 1];
        if (r->n_spatial > 0 && !r->tokens) return r->n_spatial;
    }
    return 0;
}

oxp_status oxp_items_finish(oxp_ctx *ctx, const oxp_session *s, const oxp_items *items, size_t o,
                            oxp_finished *out)
{
    const oxp_params *p = &s->params;
    const oxp_method *kind = p->inner ? p->inner : p->method;
    oxp_core_out *made = &out->out;
    if (items->finished) {
        *out = items->finished[o];
        return OXP_OK;
    }
    *out = (oxp_finished){s->core->outs[o], items->drive.out[o]};
    if (!kind->finish || made->output == SIZE_MAX) return OXP_OK;
    double *all = NULL;
    const size_t n = items->drive.n_items, in_count = (size_t)made->count;
    for (size_t i = 0; i < n; i++) {
        oxp_finish f = {.ctx = ctx, .arena = ctx->scratch, .params = p, .roles = &made->roles};
        f.in_shape = s->core->outs[o].row;
        f.in = items->drive.out[o] + i * in_count;
        f.item = (uint32_t)i;
        OXP_TRY(kind->finish(&f));
        made->row = f.out_shape;
        made->count = oxp_shape_elements(&f.out_shape);
        if (!all) all = oxp_arena_alloc(ctx->scratch, n * (size_t)made->count + 1, sizeof(double));
        OXP_NOMEM_IF(ctx, all);
        memcpy(all + i * (size_t)made->count, f.out, (size_t)made->count * sizeof(double));
    }
    out->rows = all;
    return OXP_OK;
}

static oxp_status make_map(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena, const oxp_items *items,
                           size_t o, oxp_attributed *map)
{
    oxp_finished made;
    const oxp_core_out *out = &made.out;
    const oxp_drive *d = &items->drive;
    OXP_TRY(oxp_items_finish(ctx, s, items, o, &made));
    const double *rows = made.rows;
    const size_t total = d->n_items * (size_t)out->count;
    for (size_t i = 0; i < total; i++)
        OXP_FAIL_IF(ctx, !isfinite(rows[i]), OXP_EINVAL, "the attribution of '%s' is not finite%s",
                    out->tensor,
                    s->params.method == &oxp_method_grad_cam_pp
                        ? ": the paper's denominator vanishes for layers with negative "
                          "activations; choose --set variant=pgc"
                        : "; the gradient overflows or divides by zero at this input");
    bool shared = false;
    for (size_t f = 0; f < s->core->n_feeds; f++)
        shared = shared || (s->core->feeds[f].out == (int)o && s->core->feeds[f].shared);
    const oxp_shape shape = raw_shape(out, d->n_items, shared);
    int64_t dims[3];
    const int n_dims = oxp_input_grid(s->core, dims);
    oxp_reduced reduced;
    OXP_TRY(oxp_reduce_map(ctx, ctx->scratch, &s->params, out, rows, d->n_items, dims, n_dims,
                           &reduced));
    map->tensor = oxp_arena_strdup(arena, out->tensor);
    OXP_NOMEM_IF(ctx, map->tensor);
    map->reduction = reduced.name;
    map->is_signed = reduced.is_signed;
    OXP_TRY(to_tensor(ctx, arena, s->settings.double_precision ? OXP_F64 : OXP_F32, &shape, rows,
                      &map->raw));
    return to_tensor(ctx, arena, OXP_F32, &reduced.shape, reduced.data, &map->map);
}

/* What the attributions of an item add up to, against what they should add up to. Layers above each
 * other would count the same influence several times: only inputs, or one tensor. */
static void check_sum(const oxp_session *s, const oxp_items *items, size_t i, oxp_item *item)
{
    const oxp_drive *d = &items->drive;
    item->attributed = item->expected = item->gap = (double)NAN;
    const bool told = !isnan(d->attributed[i]); /* by the method */
    if (isnan(d->expected[i]) || (!told && s->settings.n_wrt > 1)) return;
    item->expected = d->expected[i];
    item->attributed = told ? d->attributed[i] : 0.0;
    for (size_t o = 0; !told && o < d->n_out; o++)
        for (int64_t k = 0; k < d->out_count[o]; k++)
            item->attributed += d->out[o][(int64_t)i * d->out_count[o] + k];
    const double size = fabs(item->expected);
    item->gap = fabs(item->attributed - item->expected) / (size > 0.0 ? size : 1.0);
}

static oxp_status make_items(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena, const oxp_items *items,
                             oxp_explanation *e)
{
    const oxp_core *core = s->core;
    const oxp_drive *d = &items->drive;
    e->items = OXP_NEW(arena, oxp_item, d->n_items);
    OXP_NOMEM_IF(ctx, e->items);
    for (size_t i = 0; i < d->n_items; i++) {
        oxp_item *item = &e->items[i];
        const double *row = items->top_rows + i * (size_t)core->classes.count;
        const double *prob = core->prob_output == SIZE_MAX
                                 ? NULL
                                 : items->prob_rows + i * (size_t)core->classes.count;
        *item = (oxp_item){.target = d->side[i].index, .contrast = d->side[i].contrast};
        check_sum(s, items, i, item);
        item->score =
            oxp_target_score(&core->classes, core->score.space, d->target->kind, item->target, row);
        if (item->contrast >= 0)
            item->contrast_score = oxp_target_score(&core->classes, core->score.space,
                                                    d->contrast->kind, item->contrast, row);
        item->top = OXP_NEW(arena, oxp_top, s->settings.top_k + 1);
        OXP_NOMEM_IF(ctx, item->top);
        if (s->settings.target_tensor == OXP_NO_VAL)
            item->n_top = oxp_top_classes(&core->classes, &core->score, row, prob, item->top,
                                          s->settings.top_k);
    }
    return OXP_OK;
}

static oxp_status list_params(oxp_ctx *ctx, oxp_arena *arena, const oxp_params *p,
                              oxp_explanation *e)
{
    const oxp_method *const methods[2] = {p->method, p->inner};
    size_t room = p->method->info.param_count + (p->inner ? p->inner->info.param_count : 0);
    const char **list = OXP_NEW(arena, const char *, room + 1);
    OXP_NOMEM_IF(ctx, list);
    for (int m = 0; m < 2; m++)
        for (size_t i = 0; methods[m] && i < methods[m]->info.param_count; i++) {
            const char *name = methods[m]->params[i].name;
            bool listed = false;
            for (size_t k = 0; k < e->n_params; k++)
                listed = listed || (strncmp(list[k], name, strlen(name)) == 0 &&
                                    list[k][strlen(name)] == '=');
            if (listed) continue;
            list[e->n_params] = oxp_arena_printf(arena, "%s=%s", name, oxp_param_text(p, name));
            OXP_NOMEM_IF(ctx, list[e->n_params]);
            e->n_params++;
        }
    e->params = list;
    return OXP_OK;
}

static oxp_status list_touched(oxp_ctx *ctx, oxp_arena *arena, const oxp_core *core,
                               oxp_explanation *e)
{
    oxp_touch *list = OXP_NEW(arena, oxp_touch, core->n_touched + 1);
    OXP_NOMEM_IF(ctx, list);
    e->touched = list;
    for (; e->n_touched < core->n_touched; e->n_touched++) {
        const oxp_touch *from = &core->touched[e->n_touched];
        const oxp_touch to = {oxp_arena_strdup(arena, from->rule),
                              oxp_arena_strdup(arena, from->op),
                              oxp_arena_strdup(arena, from->origin)};
        OXP_FAIL_IF(ctx, !to.rule || !to.op || !to.origin, OXP_ENOMEM, "out of memory");
        list[e->n_touched] = to;
    }
    return OXP_OK;
}

/* Half of the score gone is no rounding: says so, and what could be done. NULL: sums are as they should be. */
static oxp_status note_gap(oxp_ctx *ctx, const oxp_session *s, oxp_arena *arena,
                           const oxp_explanation *e, const char **out)
{
    enum { TOLD_PERCENT = 50 };
    const oxp_item *worst = NULL;
    for (size_t i = 0; i < e->n_items; i++)
        if (e->items[i].gap > TOLD_PERCENT / 100.0 && (!worst || e->items[i].gap > worst->gap))
            worst = &e->items[i];
    *out = NULL;
    if (!worst) return OXP_OK;
    const char *hint =
        oxp_param_known(&s->params, "bias") && oxp_param_is(&s->params, "bias", "keep")
            ? "biases took the rest; bias=zero leaves them out"
        : oxp_param_known(&s->params, "steps") ? "take more steps, or another baseline"
                                               : "the rest ended on the way";
    *out = oxp_arena_printf(
        arena, "warning: the attributions add up to %.3g, where %.3g was to be shared out: %s",
        worst->attributed, worst->expected, hint);
    OXP_NOMEM_IF(ctx, *out);
    return OXP_OK;
}

static oxp_status list_notes(oxp_ctx *ctx, const oxp_session *s, oxp_arena *arena,
                             const char *warning, oxp_explanation *e)
{
    const oxp_core *core = s->core;
    const char **notes = OXP_NEW(arena, const char *, OXP_COUNT(core->notes) + 4 + e->n_maps);
    OXP_NOMEM_IF(ctx, notes);
    for (size_t i = 0; i < core->n_notes; i++) {
        notes[e->n_notes] = oxp_arena_strdup(arena, core->notes[i]);
        OXP_NOMEM_IF(ctx, notes[e->n_notes++]);
    }
    if (warning) notes[e->n_notes++] = warning;
    if (s->one_by_one && e->n_items > 1) notes[e->n_notes++] = s->one_by_one;
    OXP_TRY(note_gap(ctx, s, arena, e, &notes[e->n_notes]));
    if (notes[e->n_notes]) e->n_notes++;
    for (size_t m = 0; m < e->n_maps; m++) {
        const float *data = e->maps[m].map.data;
        const int64_t n = oxp_shape_elements(&e->maps[m].map.shape);
        bool zero = true;
        for (int64_t i = 0; zero && i < n; i++) zero = !(data[i] > 0.0f || data[i] < 0.0f);
        if (!zero) continue;
        notes[e->n_notes] = oxp_arena_printf(
            arena,
            "warning: the map of '%s' is zero everywhere: try another layer, target or method",
            e->maps[m].tensor);
        OXP_NOMEM_IF(ctx, notes[e->n_notes++]);
    }
    e->notes = notes;
    return OXP_OK;
}

static const char *space_name(const oxp_core *core, bool named)
{
    static const char *const names[] = {"logit", "prob", "output"};
    return named ? "output" : names[core->score.space];
}

oxp_status oxp_result_make(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena, const oxp_items *items,
                           oxp_explanation *out)
{
    const oxp_core *core = s->core;
    const oxp_value *target = oxp_value_of(core->g, core->g->outputs[core->target_output]);
    const bool join =
        oxp_param_known(&s->params, "join") && core->n_outs > 1 && !s->settings.predict_only;
    const size_t first = join ? 1 : 0;
    *out = (oxp_explanation){.method = s->params.method,
                             .n_items = items->drive.n_items,
                             .n_maps = s->settings.predict_only ? 0 : core->n_outs + first,
                             .cost = oxp_program_cost(core->program)};
    out->space = space_name(core, s->settings.target_tensor != OXP_NO_VAL);
    out->classes = s->settings.target_tensor != OXP_NO_VAL ? 0
                   : core->classes.binary                  ? 2
                                                           : core->classes.classes;
    out->target_tensor = target->name ? oxp_arena_strdup(arena, target->name) : "";
    out->layer = core->layer ? oxp_arena_strdup(arena, core->layer) : NULL;
    out->maps = OXP_NEW(arena, oxp_attributed, out->n_maps);
    OXP_FAIL_IF(ctx, !out->maps || !out->target_tensor || (core->layer && !out->layer), OXP_ENOMEM,
                "out of memory");
    for (size_t o = 0; o + first < out->n_maps; o++)
        OXP_TRY(make_map(ctx, s, arena, items, o, &out->maps[first + o]));
    if (join) OXP_TRY(oxp_join_maps(ctx, arena, &s->params, out->n_items, out->maps, core->n_outs));
    OXP_TRY(make_items(ctx, s, arena, items, out));
    OXP_TRY(list_params(ctx, arena, &s->params, out));
    OXP_TRY(list_touched(ctx, arena, core, out));
    return list_notes(ctx, s, arena, items->warning, out);
}
