/* integrate.c - integrated gradients: the gradient averaged along the straight line from a baseline
 * to the input.
 *
 *   IG(x) = (x - x0) . sum_s w_s dY/dx (x0 + a_s (x - x0))
 *
 * Nodes a_s and weights w_s are Gauss-Legendre by default, computed in double. The completeness gap
 * |sum IG - (Y(x) - Y(x0))| / |Y(x) - Y(x0)| comes with the result. */
#include "explain/method.h"

#include <math.h>
#include <string.h>

typedef struct quadrature {
    size_t n;
    double *a, *w;
} quadrature;

/* Roots of the Legendre polynomial P_n by Newton's method from the usual cosine guess, mapped to
 * (0, 1). */
static void gauss_legendre(quadrature *q)
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

static oxp_status make_rule(oxp_drive *d, quadrature *q)
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

typedef struct line { /* buffers for one chunk of steps */
    double **feed, **out;
    oxp_side *side;
    double *score;
} line;

static oxp_status new_line(oxp_drive *d, size_t rows, line *l)
{
    oxp_arena *tmp = d->ctx->scratch;
    l->feed = OXP_NEW(tmp, double *, d->n_feeds);
    l->out = OXP_NEW(tmp, double *, d->n_out + 1);
    l->side = OXP_NEW(tmp, oxp_side, rows);
    l->score = OXP_NEW(tmp, double, rows);
    OXP_FAIL_IF(d->ctx, !l->feed || !l->out || !l->side || !l->score, OXP_ENOMEM, "out of memory");
    for (size_t f = 0; f < d->n_feeds; f++) {
        l->feed[f] = oxp_arena_alloc(tmp, rows * (size_t)d->count[f] + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, l->feed[f]);
    }
    for (size_t o = 0; o < d->n_out; o++) {
        l->out[o] = oxp_arena_alloc(tmp, rows * (size_t)d->out_count[o] + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, l->out[o]);
    }
    return OXP_OK;
}

/* Row `row` of the chunk: x0 + a (x - x0) in the varied feeds, x in the others. The baseline is
 * a constant. */
static void fill_row(const oxp_drive *d, const line *l, size_t row, size_t item, double a,
                     double baseline)
{
    for (size_t f = 0; f < d->n_feeds; f++) {
        const size_t n = (size_t)d->count[f];
        const double *x = d->feed[f] + item * n;
        double *to = l->feed[f] + row * n;
        if (!d->varied[f]) {
            memcpy(to, x, n * sizeof(double));
            continue;
        }
        for (size_t i = 0; i < n; i++) to[i] = baseline + a * (x[i] - baseline);
    }
    l->side[row] = d->side[item];
}

static oxp_status integrate_item(oxp_drive *d, const quadrature *q, const line *l, size_t width,
                                 size_t item, double baseline)
{
    for (size_t o = 0; o < d->n_out; o++)
        memset(d->out[o] + item * (size_t)d->out_count[o], 0,
               (size_t)d->out_count[o] * sizeof(double));
    for (size_t s = 0; s < q->n; s += width) {
        const size_t rows = q->n - s < width ? q->n - s : width;
        for (size_t r = 0; r < rows; r++) fill_row(d, l, r, item, q->a[s + r], baseline);
        OXP_TRY(oxp_rows_run(d, rows, l->feed, l->side, l->out, NULL));
        for (size_t o = 0; o < d->n_out; o++) {
            const size_t n = (size_t)d->out_count[o];
            double *to = d->out[o] + item * n;
            for (size_t r = 0; r < rows; r++)
                for (size_t i = 0; i < n; i++) to[i] += q->w[s + r] * l->out[o][r * n + i];
        }
        OXP_TRY(oxp_ctx_progress(d->ctx, "integrated-gradients", item * q->n + s + rows,
                                 d->n_items * q->n));
    }
    return OXP_OK;
}

/* Multiplies by (x - x0), then compares the sum with the change of the score. */
static oxp_status finish_item(oxp_drive *d, const line *l, size_t item, double baseline)
{
    const bool multiply = oxp_param_bool(d->params, "multiply");
    double sum = 0.0, ends[2];
    for (size_t f = 0; f < d->n_feeds; f++) {
        if (!d->varied[f]) continue;
        const size_t n = (size_t)d->count[f];
        const double *x = d->feed[f] + item * n;
        double *to = d->out[d->out_of_feed[f]] + item * n;
        for (size_t i = 0; i < n; i++) {
            sum += to[i] * (x[i] - baseline);
            to[i] *= multiply ? x[i] - baseline : 1.0;
        }
    }
    for (int end = 0; end < 2; end++) {
        fill_row(d, l, 0, item, (double)end, baseline);
        OXP_TRY(oxp_rows_run(d, 1, l->feed, l->side, NULL, &ends[end]));
    }
    const double change = ends[1] - ends[0];
    d->score[item] = ends[1];
    d->gap[item] = fabs(sum - change) / (fabs(change) > 0.0 ? fabs(change) : 1.0);
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    quadrature q;
    line l;
    OXP_TRY(make_rule(d, &q));
    const size_t width = oxp_rows_width(d);
    const double baseline = oxp_param_number(d->params, "baseline");
    OXP_TRY(new_line(d, width, &l));
    for (size_t item = 0; item < d->n_items; item++) {
        OXP_TRY(integrate_item(d, &q, &l, width, item, baseline));
        OXP_TRY(finish_item(d, &l, item, baseline));
    }
    return OXP_OK;
}

static const oxp_param_info params[] = {
    {"steps", "points on the line", OXP_PARAM_INT, 1, 10000, "50", NULL},
    {"rule", "quadrature", OXP_PARAM_CHOICE, 0, 0, "gauss-legendre",
     "gauss-legendre,left,right,middle,trapezoid"},
    {"baseline", "the value every element starts from, in the model's input tensor",
     OXP_PARAM_FLOAT, -1e30, 1e30, "0", NULL},
    {"multiply", "multiply by x - baseline", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_integrated_gradients = {
    .info = {.name = "integrated-gradients",
             .title = "Integrated gradients",
             .param_count = OXP_COUNT(params),
             .is_signed = 1,
             .sentence =
                 "Each input value's share of the score's change from a baseline: shares add up.",
             .definition =
                 "(x - x0) . integral over a of dY/dx at x0 + a (x - x0); map: sum over channels",
             .paper = "Sundararajan, Taly, Yan 2017, arXiv:1703.01365",
             .equals = "Captum IntegratedGradients (gausslegendre)",
             .cost = "steps forward, steps backward",
             .weakness = "depends on the baseline; noisy along the path in deep networks"},
    .params = params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = oxp_plan_gradient,
    .drive = drive,
};
