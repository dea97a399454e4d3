/* mixing.c - do items that run side by side get what each would get alone? Asked with numbers, on the target
 * tensor. See session.h. */
#include "explain/session.h"

#include <math.h>
#include <string.h>

/* The same but for rounding; what is infinite or no number alone tells nothing. */
static bool same_scores(const double *alone, const double *beside, size_t n)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) most = fmax(most, isfinite(alone[i]) ? fabs(alone[i]) : 0.0);
    for (size_t i = 0; i < n; i++)
        if (isfinite(alone[i]) && !(fabs(alone[i] - beside[i]) <= 1e-4 * most)) return false;
    return true;
}

oxp_status oxp_session_mixes(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs, bool *mixes)
{
    oxp_core *core = s->core;
    const size_t count = (size_t)core->classes.count;
    oxp_items items;
    OXP_TRY(oxp_items_make(ctx, s, ctx->scratch, inputs, 1, &items));
    double *rows[2], **feed = OXP_NEW(ctx->scratch, double *, core->n_feeds);
    for (int k = 0; k < 2; k++) {
        rows[k] = OXP_NEW(ctx->scratch, double, core->width *count + 1);
        OXP_NOMEM_IF(ctx, rows[k]);
    }
    OXP_NOMEM_IF(ctx, feed);
    for (int run = 0; run < 2; run++) {
        for (size_t f = 0; f < core->n_feeds; f++) {
            const size_t n = (size_t)core->feeds[f].count,
                         copies = core->feeds[f].shared ? 1 : core->width;
            feed[f] = oxp_arena_zalloc(ctx->scratch, copies * n + 1, sizeof(double));
            OXP_NOMEM_IF(ctx, feed[f]);
            for (size_t r = 0; r < (run ? 1 : copies); r++)
                memcpy(feed[f] + r * n, items.drive.feed[f], n * sizeof(double));
        }
        OXP_TRY(oxp_core_forward(ctx, core, core->width, feed, rows[run], NULL));
    }
    *mixes = !same_scores(rows[0], rows[1], count);
    s->mix_checked = true;
    return OXP_OK;
}

/* ---- models declared for one item ---- */

/* The inputs' first item, and one unlike it: of the same numbers backwards, floats at half their size and
 * shifted. */
static oxp_status two_items(oxp_ctx *ctx, const oxp_session *s, const oxp_tensor *inputs,
                            oxp_tensor **out)
{
    oxp_tensor *two = *out = OXP_NEW(ctx->scratch, oxp_tensor, s->n_inputs + 1);
    OXP_NOMEM_IF(ctx, two);
    for (size_t i = 0; i < s->n_inputs; i++) {
        const bool real = oxp_dtype_is_float(inputs[i].dtype);
        const int64_t n = oxp_shape_elements(&s->shapes[i].row);
        two[i] = inputs[i];
        if (s->shapes[i].shared) continue;
        double *rows = oxp_arena_alloc(ctx->scratch, 2 * (size_t)n + 1, sizeof(double)), most = 0.0;
        OXP_NOMEM_IF(ctx, rows);
        for (int64_t k = 0; k < n; k++) {
            rows[k] = oxp_tensor_get(&inputs[i], k);
            most = fmax(most, fabs(rows[k]));
        }
        most = most > 0.0 ? most : 1.0;
        for (int64_t k = 0; k < n; k++)
            rows[n + k] = real ? 0.5 * (rows[n - 1 - k] + (k % 2 ? most : 0.0)) : rows[n - 1 - k];
        two[i] = (oxp_tensor){OXP_F64, inputs[i].shape, rows};
        two[i].shape.dim[0] = 2;
    }
    return OXP_OK;
}

/* What the core at hand, of any width, gives for two items: [2][classes.count]. */
static oxp_status score_two(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *two, double **out)
{
    oxp_core *core = s->core;
    const size_t count = (size_t)core->classes.count, step = core->width < 2 ? 1 : 2;
    oxp_items items;
    double **feed = OXP_NEW(ctx->scratch, double *, core->n_feeds + 1);
    *out = OXP_NEW(ctx->scratch, double, 2 * count + 1);
    OXP_FAIL_IF(ctx, !feed || !*out, OXP_ENOMEM, "out of memory");
    OXP_TRY(oxp_items_make(ctx, s, ctx->scratch, two, 2, &items));
    for (size_t r = 0; r < 2; r += step) {
        for (size_t f = 0; f < core->n_feeds; f++)
            feed[f] = items.drive.feed[f] + r * (size_t)core->feeds[f].count;
        OXP_TRY(oxp_core_forward(ctx, core, step, feed, *out + r * count, NULL));
    }
    return OXP_OK;
}

/* The numbers in a row of the target, of what is attributed to and of what is fed. */
static oxp_status row_counts(oxp_ctx *ctx, const oxp_core *core, int64_t **out, size_t *n)
{
    *n = 0;
    *out = OXP_NEW(ctx->scratch, int64_t, 1 + core->n_outs + core->n_feeds);
    OXP_NOMEM_IF(ctx, *out);
    (*out)[(*n)++] = core->classes.count;
    for (size_t o = 0; o < core->n_outs; o++) (*out)[(*n)++] = core->outs[o].count;
    for (size_t f = 0; f < core->n_feeds; f++) (*out)[(*n)++] = core->feeds[f].count;
    return OXP_OK;
}

oxp_status oxp_alone_run(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs, oxp_alone *a)
{
    const size_t count = (size_t)s->core->classes.count;
    OXP_TRY(row_counts(ctx, s->core, &a->counts, &a->n));
    OXP_TRY(two_items(ctx, s, inputs, &a->two));
    OXP_TRY(score_two(ctx, s, a->two, &a->scores));
    a->telling = !same_scores(a->scores, a->scores + count, count);
    return OXP_OK;
}

oxp_status oxp_alone_check(oxp_ctx *ctx, oxp_session *s, const oxp_alone *a, bool *same)
{
    size_t n;
    int64_t *counts;
    double *scores;
    OXP_TRY(row_counts(ctx, s->core, &counts, &n));
    *same = n == a->n && memcmp(counts, a->counts, n * sizeof *counts) == 0;
    if (!*same) return OXP_OK;
    OXP_TRY(score_two(ctx, s, a->two, &scores));
    *same = same_scores(a->scores, scores, 2 * (size_t)s->core->classes.count);
    return OXP_OK;
}
