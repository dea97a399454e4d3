/* path.c - quadrature rules and chunks of rows on a line; see path.h. */
#include "explain/path.h"

#include <math.h>
#include <string.h>

/* ---- quadrature ---- */

/* Roots of the Legendre polynomial P_n by Newton's method from the usual cosine guess, mapped to
 * (0, 1). */
static void gauss_legendre(oxp_quadrature *q)
{
    const double pi = 3.14159265358979323846;
    const double n = (double)q->n;
    for (size_t i = 0; i < q->n; i++) {
        double x = cos(pi * ((double)i + 0.75) / (n + 0.5)), slope = 1.0;
        for (int iteration = 0; iteration < 100; iteration++) {
            double p = 1.0, before = 0.0;
            for (size_t k = 1; k <= q->n; k++) {
                const double next =
                    ((2.0 * (double)k - 1.0) * x * p - ((double)k - 1.0) * before) / (double)k;
                before = p;
                p = next;
            }
            slope = n * (x * p - before) / (x * x - 1.0);
            const double move = p / slope;
            x -= move;
            if (fabs(move) < 1e-16) break;
        }
        q->a[q->n - 1 - i] = 0.5 * (1.0 + x);
        q->w[q->n - 1 - i] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
}

oxp_status oxp_quadrature_make(oxp_drive *d, oxp_quadrature *q)
{
    const oxp_params *p = d->params;
    q->n = (size_t)oxp_param_int(p, "steps");
    q->a = OXP_NEW(d->ctx->scratch, double, q->n);
    q->w = OXP_NEW(d->ctx->scratch, double, q->n);
    OXP_FAIL_IF(d->ctx, !q->a || !q->w, OXP_ENOMEM, "out of memory");
    const double n = (double)q->n;
    if (oxp_param_is(p, "rule", "gauss-legendre")) {
        gauss_legendre(q);
        return OXP_OK;
    }
    for (size_t i = 0; i < q->n; i++) {
        const double k = (double)i;
        q->w[i] = 1.0 / n;
        if (oxp_param_is(p, "rule", "left"))
            q->a[i] = k / n;
        else if (oxp_param_is(p, "rule", "right"))
            q->a[i] = (k + 1.0) / n;
        else if (oxp_param_is(p, "rule", "middle"))
            q->a[i] = (k + 0.5) / n;
        else { /* trapezoid: both ends, half weight each */
            q->a[i] = q->n > 1 ? k / (n - 1.0) : 0.5;
            q->w[i] = q->n > 1 ? (i == 0 || i + 1 == q->n ? 0.5 : 1.0) / (n - 1.0) : 1.0;
        }
    }
    return OXP_OK;
}

/* ---- chunks ---- */

oxp_status oxp_chunk_new(oxp_drive *d, size_t width, oxp_chunk *c)
{
    oxp_arena *tmp = d->ctx->scratch;
    c->width = width;
    c->feed = OXP_NEW(tmp, double *, d->n_feeds + 1);
    c->out = OXP_NEW(tmp, double *, d->n_out + 1);
    c->side = OXP_NEW(tmp, oxp_side, width);
    c->score = OXP_NEW(tmp, double, width);
    OXP_FAIL_IF(d->ctx, !c->feed || !c->out || !c->side || !c->score, OXP_ENOMEM, "out of memory");
    for (size_t f = 0; f < d->n_feeds; f++) {
        c->feed[f] = oxp_arena_alloc(tmp, width * (size_t)d->count[f] + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, c->feed[f]);
    }
    for (size_t o = 0; o < d->n_out; o++) {
        c->out[o] = oxp_arena_alloc(tmp, width * (size_t)d->out_count[o] + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, c->out[o]);
    }
    return OXP_OK;
}

void oxp_chunk_item(const oxp_drive *d, const oxp_chunk *c, size_t row, size_t item)
{
    for (size_t f = 0; f < d->n_feeds; f++) {
        const size_t n = (size_t)d->count[f];
        memcpy(c->feed[f] + row * n, d->feed[f] + item * n, n * sizeof(double));
    }
    c->side[row] = d->side[item];
}

void oxp_chunk_line(const oxp_drive *d, const oxp_chunk *c, size_t row, size_t item,
                    double *const *x0, double a)
{
    oxp_chunk_item(d, c, row, item);
    for (size_t f = 0; f < d->n_feeds; f++) {
        if (!d->varied[f]) continue;
        const size_t n = (size_t)d->count[f];
        double *to = c->feed[f] + row * n;
        for (size_t i = 0; i < n; i++) to[i] = x0[f][i] + a * (to[i] - x0[f][i]);
    }
}

/* ---- lines ---- */

oxp_status oxp_line_mean(oxp_drive *d, const oxp_quadrature *q, const oxp_chunk *c, size_t item,
                         double *const *x0, double *const *to, double *start, uint64_t done,
                         uint64_t total)
{
    const size_t width = oxp_rows_width(d), all = q->n + (start != NULL);
    for (size_t o = 0; o < d->n_out; o++) memset(to[o], 0, (size_t)d->out_count[o] * sizeof **to);
    for (size_t s = 0; s < all; s += width) {
        const size_t rows = all - s < width ? all - s : width;
        for (size_t r = 0; r < rows;
             r++) /* x0 itself comes last: mostly into a row that is left over */
            oxp_chunk_line(d, c, r, item, x0, s + r < q->n ? q->a[s + r] : 0.0);
        OXP_TRY(oxp_rows_run(d, rows, c->feed, c->side, s < q->n ? c->out : NULL, c->score));
        if (start && s + rows == all) *start = c->score[rows - 1];
        for (size_t o = 0; o < d->n_out; o++) {
            const size_t n = (size_t)d->out_count[o];
            for (size_t r = 0; r < rows && s + r < q->n; r++)
                for (size_t i = 0; i < n; i++) to[o][i] += q->w[s + r] * c->out[o][r * n + i];
        }
        const uint64_t step = s + rows < q->n ? s + rows : q->n;
        OXP_TRY(oxp_ctx_progress(d->ctx, d->method->info.name, done + step, total));
    }
    return OXP_OK;
}
