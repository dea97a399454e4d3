/* drive.c - rows for methods: chunks of rows through a core, targets as seeds. */
#include "explain/core.h"

#include <math.h>
#include <string.h>

size_t oxp_rows_width(const oxp_drive *d)
{
    return d->core->width;
}

double oxp_side_score(const oxp_drive *d, const oxp_side *side, const double *row)
{
    const double score = oxp_target_score(&d->core->classes, d->core->score.space, d->target->kind,
                                          side->index, row);
    return side->contrast < 0 ? score
                              : score - oxp_target_score(&d->core->classes, d->core->score.space,
                                                         d->contrast->kind, side->contrast, row);
}

void oxp_side_seed(const oxp_drive *d, const oxp_side *side, double *seed)
{
    oxp_seed_add(&d->core->classes, d->target->kind, side->index, 1.0, seed);
    if (side->contrast >= 0)
        oxp_seed_add(&d->core->classes, d->contrast->kind, side->contrast, -1.0, seed);
}

static oxp_status run_chunk(oxp_drive *d, size_t first, size_t n, double *const *feed,
                            const oxp_side *side, double *const *out, double *score)
{
    oxp_core *core = d->core;
    const size_t count = (size_t)core->classes.count;
    for (size_t f = 0; f < d->n_feeds; f++) core->at[f] = feed[f] + first * (size_t)d->count[f];
    for (size_t o = 0; out && o < d->n_out; o++)
        core->to[o] = out[o] + first * (size_t)d->out_count[o];
    OXP_TRY(oxp_core_forward(d->ctx, core, n, core->at, core->rows, NULL));
    memset(core->seeds, 0, n * count * sizeof(double));
    for (size_t r = 0; r < n; r++) {
        if (score) score[first + r] = oxp_side_score(d, &side[first + r], core->rows + r * count);
        oxp_side_seed(d, &side[first + r], core->seeds + r * count);
    }
    return out ? oxp_core_backward(d->ctx, core, n, core->seeds, core->to) : OXP_OK;
}

oxp_status oxp_rows_run(oxp_drive *d, size_t n, double *const *feed, oxp_side *side,
                        double *const *out, double *score)
{
    for (size_t first = 0; first < n; first += d->core->width) {
        const size_t rows = n - first < d->core->width ? n - first : d->core->width;
        OXP_TRY(run_chunk(d, first, rows, feed, side, out, score));
    }
    return OXP_OK;
}

oxp_status oxp_rows_head(oxp_drive *d, size_t n, double *const *feed)
{
    oxp_core *head = d->head;
    if (!head) return OXP_OK;
    double **at = OXP_NEW(d->ctx->scratch, double *, head->n_feeds),
           **to = OXP_NEW(d->ctx->scratch, double *, head->n_outs);
    OXP_FAIL_IF(d->ctx, !at || !to, OXP_ENOMEM, "out of memory");
    for (size_t first = 0; first < n; first += head->width) {
        const size_t rows = n - first < head->width ? n - first : head->width;
        for (size_t f = 0; f < head->n_feeds; f++)
            at[f] = feed[f] + first * (size_t)head->feeds[f].count;
        for (size_t o = 0; o < head->n_outs; o++)
            to[o] = feed[head->n_feeds + o] + first * (size_t)head->outs[o].count;
        OXP_TRY(oxp_core_forward(d->ctx, head, rows, at, NULL, NULL));
        OXP_TRY(oxp_core_backward(d->ctx, head, rows, NULL, to));
    }
    return OXP_OK;
}

oxp_status oxp_drive_method(oxp_drive *d, const oxp_method *method)
{
    if (!method->drive) return oxp_rows_run(d, d->n_items, d->feed, d->side, d->out, d->score);
    oxp_drive inner = *d;
    oxp_ctx ctx = *d->ctx;
    ctx.scratch = oxp_arena_new(oxp_arena_hooks(d->ctx->scratch)); /* of this one drive */
    OXP_NOMEM_IF(d->ctx, ctx.scratch);
    inner.ctx = &ctx;
    inner.method = method;
    oxp_status status = oxp_rows_run(&inner, d->n_items, d->feed, d->side,
                                     method->flags & OXP_METHOD_STARTS ? d->out : NULL, d->score);
    if (status == OXP_OK) status = method->drive(&inner);
    oxp_arena_free(ctx.scratch);
    return status;
}
