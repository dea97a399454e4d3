/* items.c - the items of one call: their data as rows of doubles, their targets, and the run. */
#include "explain/session.h"

#include "base/checked.h"
#include "explain/boundary.h"

#include <math.h>
#include <string.h>

/* A rectifier turns NaN into 0: the map would be silently wrong. */
static oxp_status check_finite(oxp_ctx *ctx, const oxp_session *s, size_t input, const double *data,
                               size_t n)
{
    const char *name = oxp_value_of(s->net.graph, s->net.graph->inputs[input])->name;
    for (size_t i = 0; i < n; i++)
        OXP_FAIL_IF(ctx, !isfinite(data[i]), OXP_EINVAL,
                    "element %zu of input '%s' is %s, expected finite numbers", i,
                    name ? name : "?", isnan(data[i]) ? "NaN" : "infinite");
    return OXP_OK;
}

/* Model inputs as doubles, a row for each item; one without a batch axis is repeated. */
static oxp_status input_rows(oxp_ctx *ctx, oxp_arena *arena, const oxp_session *s,
                             const oxp_tensor *inputs, size_t n_items, double ***out)
{
    *out = OXP_NEW(arena, double *, s->n_inputs);
    OXP_NOMEM_IF(ctx, *out);
    for (size_t i = 0; i < s->n_inputs; i++) {
        const size_t n = (size_t)oxp_shape_elements(&inputs[i].shape),
                     copies = s->shapes[i].shared ? n_items : 1;
        size_t total;
        OXP_FAIL_IF(ctx, !oxp_mul_size(n + 1, copies, &total), OXP_ELIMIT,
                    "%zu copies of an input of %zu numbers are too many", copies, n);
        (*out)[i] = oxp_arena_alloc(arena, total, sizeof(double));
        OXP_NOMEM_IF(ctx, (*out)[i]);
        oxp_convert((*out)[i], OXP_F64, inputs[i].data, inputs[i].dtype, (int64_t)n);
        OXP_TRY(check_finite(ctx, s, i, (*out)[i], n));
        for (size_t k = 1; k < copies; k++)
            memcpy((*out)[i] + k * n, (*out)[i], n * sizeof(double));
    }
    return OXP_OK;
}

static oxp_status make_feeds(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena,
                             const oxp_tensor *inputs, oxp_drive *d)
{
    const oxp_core *core = s->core;
    double **feed = OXP_NEW(arena, double *, core->n_feeds), **given;
    int64_t *count = OXP_NEW(arena, int64_t, core->n_feeds);
    oxp_shape *row = OXP_NEW(arena, oxp_shape, core->n_feeds);
    oxp_roles *roles = OXP_NEW(arena, oxp_roles, core->n_feeds);
    bool *varied = OXP_NEW(arena, bool, core->n_feeds);
    bool *starts = OXP_NEW(arena, bool, core->n_feeds),
         *whole = OXP_NEW(arena, bool, core->n_feeds);
    int *out_of = OXP_NEW(arena, int, core->n_feeds);
    const char **name = OXP_NEW(arena, const char *, core->n_feeds);
    OXP_FAIL_IF(
        ctx, !name || !feed || !count || !row || !roles || !varied || !starts || !whole || !out_of,
        OXP_ENOMEM, "out of memory");
    OXP_TRY(input_rows(ctx, arena, s, inputs, d->n_items, &given));
    for (size_t f = 0; f < core->n_feeds; f++) {
        count[f] = core->feeds[f].count;
        name[f] = core->feeds[f].input == SIZE_MAX ? NULL : core->feeds[f].name;
        row[f] = core->feeds[f].row;
        roles[f] = core->feeds[f].roles;
        varied[f] = core->feeds[f].varied;
        out_of[f] = core->feeds[f].out;
        whole[f] = core->feeds[f].dtype != OXP_F32;
        starts[f] =
            f < s->n_inputs && core->feeds[f].input != SIZE_MAX &&
            (!whole[f] || oxp_is_embedding_index(ctx, s->net.graph, core->feeds[f].model_val));
        feed[f] = f < s->n_inputs
                      ? given[f]
                      : oxp_arena_alloc(arena, d->n_items * (size_t)count[f] + 1, sizeof(double));
        OXP_NOMEM_IF(ctx, feed[f]);
    }
    d->n_feeds = core->n_feeds;
    d->feed = feed;
    d->count = count;
    d->feed_name = name;
    d->row_shape = row;
    d->feed_roles = roles;
    d->varied = varied;
    d->n_inputs = s->n_inputs;
    d->starts = starts;
    d->whole = whole;
    d->out_of_feed = out_of;
    return oxp_rows_head(d, d->n_items, feed);
}

oxp_status oxp_items_make(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena, const oxp_tensor *inputs,
                          size_t n_items, oxp_items *items)
{
    const oxp_core *core = s->core;
    const size_t cells = n_items * (size_t)core->classes.count + 1;
    double **out = OXP_NEW(arena, double *, core->n_outs + 1);
    int64_t *out_count = OXP_NEW(arena, int64_t, core->n_outs + 1);
    oxp_shape *out_shape = OXP_NEW(arena, oxp_shape, core->n_outs + 1);
    oxp_roles *out_roles = OXP_NEW(arena, oxp_roles, core->n_outs + 1);
    *items = (oxp_items){.top_rows = OXP_NEW(arena, double, cells),
                         .prob_rows = OXP_NEW(arena, double, cells),
                         .expected = OXP_NEW(arena, double, n_items)};
    oxp_drive *d = &items->drive;
    *d = (oxp_drive){.ctx = ctx,
                     .core = s->core,
                     .head = s->head,
                     .params = &s->params,
                     .method = s->params.method,
                     .n_items = n_items,
                     .n_out = core->n_outs,
                     .out = out,
                     .out_count = out_count,
                     .out_shape = out_shape,
                     .out_roles = out_roles,
                     .arena = arena,
                     .warning = &items->warning};
    d->side = OXP_NEW(arena, oxp_side, n_items);
    d->score = OXP_NEW(arena, double, n_items);
    d->attributed = OXP_NEW(arena, double, n_items);
    d->expected = items->expected;
    OXP_FAIL_IF(ctx,
                !out || !out_count || !out_shape || !out_roles || !items->top_rows ||
                    !items->prob_rows || !items->expected || !d->side || !d->score ||
                    !d->attributed,
                OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n_items; i++) d->attributed[i] = d->expected[i] = (double)NAN;
    for (size_t o = 0; o < core->n_outs; o++) {
        out_count[o] = core->outs[o].count;
        out_shape[o] = core->outs[o].row;
        out_roles[o] = core->outs[o].roles;
        out[o] = oxp_arena_zalloc(arena, n_items * (size_t)out_count[o] + 1, sizeof(double));
        OXP_NOMEM_IF(ctx, out[o]);
    }
    return make_feeds(ctx, s, arena, inputs, d);
}

static oxp_status resolve(oxp_ctx *ctx, const oxp_session *s, oxp_items *items, size_t item)
{
    const oxp_core *core = s->core;
    oxp_drive *d = &items->drive;
    const double *row = items->top_rows + item * (size_t)core->classes.count;
    oxp_side *side = &d->side[item];
    if (items->sides) {
        *side = items->sides[item];
        return OXP_OK;
    }
    for (int64_t i = 0; i < core->classes.count; i++)
        OXP_FAIL_IF(ctx, isnan(row[i]), OXP_EINVAL,
                    "the model's score %lld of item %zu is NaN: the input or a weight is not a "
                    "finite number",
                    (long long)i, item);
    OXP_TRY(oxp_target_resolve(ctx, &core->classes, core->score.space, *d->target, row, -1,
                               &side->index));
    side->contrast = -1;
    const double score =
        oxp_target_score(&core->classes, core->score.space, d->target->kind, side->index, row);
    OXP_FAIL_IF(ctx, !isfinite(score), OXP_EINVAL,
                "the explained score of item %zu is infinite: choose another target or space",
                item);
    if (!s->settings.has_contrast) return OXP_OK;
    const bool classes = d->target->kind == OXP_TARGET_TOP || d->target->kind == OXP_TARGET_CLASS;
    OXP_FAIL_IF(ctx, !classes && d->contrast->kind == OXP_TARGET_TOP, OXP_EINVAL,
                "the contrast to an element or a sum must be named: there is no runner-up");
    OXP_TRY(oxp_target_resolve(ctx, &core->classes, core->score.space, *d->contrast, row,
                               classes ? side->index : -1, &side->contrast));
    OXP_FAIL_IF(ctx,
                side->contrast == side->index &&
                    classes == (d->contrast->kind == OXP_TARGET_TOP ||
                                d->contrast->kind == OXP_TARGET_CLASS) &&
                    (classes || d->contrast->kind == d->target->kind),
                OXP_EINVAL, "target and contrast are the same %s %lld",
                classes ? "class" : "element", (long long)side->index);
    return OXP_OK;
}

oxp_status oxp_items_run(oxp_ctx *ctx, oxp_session *s, oxp_items *items)
{
    oxp_core *core = s->core;
    oxp_drive *d = &items->drive;
    const size_t count = (size_t)core->classes.count;
    const bool one_pass = !s->params.method->drive || s->settings.predict_only;
    const bool starts = one_pass || (s->params.method->flags & OXP_METHOD_STARTS);
    double **at = OXP_NEW(ctx->scratch, double *, d->n_feeds),
           **to = OXP_NEW(ctx->scratch, double *, d->n_out + 1);
    double *seeds = OXP_NEW(ctx->scratch, double, core->width *count + 1);
    OXP_FAIL_IF(ctx, !at || !to || !seeds, OXP_ENOMEM, "out of memory");
    for (size_t first = 0; first < d->n_items; first += core->width) {
        const size_t n = d->n_items - first < core->width ? d->n_items - first : core->width;
        for (size_t f = 0; f < d->n_feeds; f++) at[f] = d->feed[f] + first * (size_t)d->count[f];
        for (size_t o = 0; o < d->n_out; o++) to[o] = d->out[o] + first * (size_t)d->out_count[o];
        OXP_TRY(oxp_core_forward(ctx, core, n, at, items->top_rows + first * count,
                                 items->prob_rows + first * count));
        memset(seeds, 0, core->width * count * sizeof(double));
        for (size_t r = 0; r < n; r++) {
            OXP_TRY(resolve(ctx, s, items, first + r));
            oxp_side_seed(d, &d->side[first + r], seeds + r * count);
            d->score[first + r] =
                oxp_side_score(d, &d->side[first + r], items->top_rows + (first + r) * count);
        }
        if (starts) OXP_TRY(oxp_core_backward(ctx, core, n, seeds, to));
        if (one_pass) OXP_TRY(oxp_core_expected(ctx, core, n, items->expected + first));
        if (one_pass && d->n_items > core->width)
            OXP_TRY(oxp_ctx_progress(ctx, s->params.method->info.name, first + n, d->n_items));
    }
    return one_pass ? OXP_OK : s->params.method->drive(d);
}
