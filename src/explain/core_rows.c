/* core_rows.c - rows in and out of a compiled core: feeding, the two phases, what they left. */
#include "explain/compile.h"

#include <string.h>

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
            oxp_core_full(&cf->row,
                          cf->shared ||
                              !oxp_core_batched(oxp_shape_at(core->g, core->g->inputs[cf->input]),
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
