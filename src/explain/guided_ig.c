/* guided_ig.c - guided integrated gradients: a path that moves first what the score is least
 * sensitive to (Kapishnikov et al. 2021).
 *
 * Every step brings the L1 distance to the input down by 1/steps of its whole: of the elements not
 * yet at the step's furthest point, the `fraction` with the smallest |gradient| moves towards it,
 * again and again until the distance is reached. No element strays more than `max_dist` (in units
 * of its own way) from the straight line.
 *
 *   attribution += gradient at the step's start . move of each element
 *
 * All attributed tensors are one vector. Items advance together, one row each. */
#include "explain/path.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct guided { /* of one item: n elements of all varied feeds */
    size_t n;
    double *x, *x0, *end; /* where the path is, starts and ends */
    double *size;         /* |gradient|; infinite once an element has gone as far as it may */
    double *slope;        /* the gradient */
    double *attribution, *before;
    uint32_t *bins; /* for quantiles */
} guided;

enum { BITS = 16, BINS = 1 << BITS };

static uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

/* The k-th smallest (from 0) of n values that are not negative: their bits sort as they do, so it is
 * found 16 bits at a time. */
static double kth_smallest(const double *v, size_t n, size_t k, uint32_t *bins)
{
    uint64_t prefix = 0;
    for (int shift = 64 - BITS; shift >= 0; shift -= BITS) {
        memset(bins, 0, BINS * sizeof *bins);
        for (size_t i = 0; i < n; i++) {
            const uint64_t u = bits_of(v[i]);
            if (shift + BITS == 64 || u >> (shift + BITS) == prefix)
                bins[u >> shift & (BINS - 1)]++;
        }
        uint64_t bin = 0;
        while (bin + 1 < BINS && k >= bins[bin]) k -= bins[bin++];
        prefix = prefix << BITS | bin;
    }
    double found;
    memcpy(&found, &prefix, sizeof found);
    return found;
}

/* Along its own way from x0 (0) to the end (1); elements that have no way to go count as ahead. */
static double progress_of(const guided *g, size_t i)
{
    const double way = g->end[i] - g->x0[i];
    return fabs(way) > 0.0 ? (g->x[i] - g->x0[i]) / way : (double)INFINITY;
}

static double point_at(const guided *g, size_t i, double a)
{
    return g->x0[i] + a * (g->end[i] - g->x0[i]);
}

/* Moves the least sensitive elements towards `far` until the distance is `wanted` or they are all
 * there; true when another round is needed. */
static bool move_round(guided *g, double near, double far, double wanted, double fraction)
{
    double distance = 0.0, reach = 0.0;
    for (size_t i = 0; i < g->n; i++) {
        if (progress_of(g, i) < near) g->x[i] = point_at(g, i, near);
        distance += fabs(g->end[i] - g->x[i]);
    }
    const double scale = fabs(distance) > fabs(wanted) ? fabs(distance) : fabs(wanted);
    if (fabs(distance - wanted) <= 1e-9 * (scale > 1.0 ? scale : 1.0)) return false;
    for (size_t i = 0; i < g->n; i++)
        if (!(fabs(g->x[i] - point_at(g, i, far)) > 0.0)) g->size[i] = (double)INFINITY;
    /* where more than 1 - fraction of the elements stand at the end, all others move */
    const double most = fmin(
        kth_smallest(g->size, g->n, (size_t)(fraction * (double)(g->n - 1)), g->bins), DBL_MAX);
    for (size_t i = 0; i < g->n; i++)
        if (g->size[i] <= most) reach += fabs(g->x[i] - point_at(g, i, far));
    if (!(reach > 0.0)) return false;
    const double gamma = (distance - wanted) / reach;
    if (!(gamma > 0.0)) return false;
    for (size_t i = 0; i < g->n; i++) {
        if (!(g->size[i] <= most)) continue;
        const double to = point_at(g, i, far);
        g->x[i] = gamma > 1.0 ? to : g->x[i] + gamma * (to - g->x[i]);
    }
    return gamma > 1.0;
}

static void advance(guided *g, size_t step, size_t steps, double whole, const oxp_params *p)
{
    const double a = (double)(step + 1) / (double)steps, stray = oxp_param_number(p, "max-dist"),
                 near = a - stray > 0.0 ? a - stray : 0.0, far = a + stray < 1.0 ? a + stray : 1.0;
    memcpy(g->before, g->x, g->n * sizeof(double));
    for (size_t i = 0; i < g->n; i++) g->size[i] = fabs(g->slope[i]);
    while (move_round(g, near, far, whole * (1.0 - a), oxp_param_number(p, "fraction"))) {
    }
    for (size_t i = 0; i < g->n; i++) g->attribution[i] += (g->x[i] - g->before[i]) * g->slope[i];
}

/* ---- between items' vectors and rows ---- */

/* Copies row `row` of the varied feeds (or of their attributions, for_out) to or from a vector. */
static void move_rows(const oxp_drive *d, double *const *rows, size_t row, bool for_out,
                      bool to_vector, double *vector)
{
    for (size_t f = 0; f < d->n_feeds; f++) {
        if (!d->varied[f]) continue;
        const size_t n = (size_t)d->count[f];
        double *at = rows[for_out ? (size_t)d->out_of_feed[f] : f] + row * n;
        memcpy(to_vector ? vector : at, to_vector ? at : vector, n * sizeof(double));
        vector += n;
    }
}

static oxp_status new_guided(oxp_drive *d, guided *g, uint32_t *bins)
{
    for (size_t f = 0; f < d->n_feeds; f++) g->n += d->varied[f] ? (size_t)d->count[f] : 0;
    double **const parts[] = {&g->x,     &g->x0,          &g->end,   &g->size,
                              &g->slope, &g->attribution, &g->before};
    g->bins = bins;
    for (size_t k = 0; k < OXP_COUNT(parts); k++) {
        *parts[k] = OXP_NEW(d->ctx->scratch, double, g->n + 1);
        OXP_NOMEM_IF(d->ctx, *parts[k]);
    }
    return OXP_OK;
}

static oxp_status start(oxp_drive *d, guided *g, double *const *x0, double *whole)
{
    uint32_t *bins = OXP_NEW(d->ctx->scratch, uint32_t, BINS);
    OXP_NOMEM_IF(d->ctx, bins);
    for (size_t item = 0; item < d->n_items; item++) {
        guided *at = &g[item];
        OXP_TRY(new_guided(d, at, bins));
        OXP_TRY(oxp_baseline_fill(d, oxp_param_text(d->params, "baseline"), item, 0, x0));
        move_rows(d, x0, 0, false, true, at->x0);
        move_rows(d, d->feed, item, false, true, at->end);
        memcpy(at->x, at->x0, at->n * sizeof(double));
        whole[item] = 0.0;
        for (size_t i = 0; i < at->n; i++) whole[item] += fabs(at->end[i] - at->x0[i]);
    }
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    const size_t steps = (size_t)oxp_param_int(d->params, "steps"), n = d->n_items;
    guided *g = OXP_NEW(d->ctx->scratch, guided, n);
    double **x0, *whole = OXP_NEW(d->ctx->scratch, double, n),
                 *first = OXP_NEW(d->ctx->scratch, double, n);
    oxp_chunk c;
    OXP_FAIL_IF(d->ctx, !g || !whole || !first, OXP_ENOMEM, "out of memory");
    OXP_TRY(oxp_baseline_new(d, &x0));
    OXP_TRY(oxp_chunk_new(d, n, &c));
    OXP_TRY(start(d, g, x0, whole));
    for (size_t item = 0; item < n; item++) oxp_chunk_item(d, &c, item, item);
    for (size_t step = 0; step < steps; step++) {
        for (size_t item = 0; item < n; item++) move_rows(d, c.feed, item, false, false, g[item].x);
        OXP_TRY(oxp_rows_run(d, n, c.feed, c.side, c.out, step == 0 ? first : c.score));
        for (size_t item = 0; item < n; item++) {
            move_rows(d, c.out, item, true, true, g[item].slope);
            if (whole[item] > 0.0) advance(&g[item], step, steps, whole[item], d->params);
        }
        OXP_TRY(oxp_ctx_progress(d->ctx, "guided-ig", step + 1, steps));
    }
    for (size_t item = 0; item < n; item++) {
        double sum = 0.0;
        for (size_t i = 0; i < g[item].n; i++) sum += g[item].attribution[i];
        move_rows(d, d->out, item, true, false, g[item].attribution);
        d->attributed[item] = sum;
        d->expected[item] = d->score[item] - first[item];
    }
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    OXP_TRY(oxp_baseline_check(t->ctx, t->params));
    return oxp_plan_gradient(t);
}

static const oxp_param_info params[] = {
    {"steps", "steps of the path", OXP_PARAM_INT, 1, 100000, "200", NULL},
    {"fraction", "how many of the elements move at a time, those with the smallest gradients",
     OXP_PARAM_FLOAT, 0, 1, "0.25", NULL},
    {"max-dist", "how far an element may stray from the straight line, in units of its way",
     OXP_PARAM_FLOAT, 0, 1, "0.02", NULL},
    OXP_BASELINE_PARAMS("zero"),
    OXP_BASELINE_SEED,
    OXP_BASELINE_AT,
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_guided_ig = {
    .info = {.name = "guided-ig",
             .title = "Guided integrated gradients",
             .param_count = OXP_COUNT(params),
             .is_signed = 1,
             .sentence = "Integrated gradients along a path that avoids steep, noisy directions.",
             .definition = "sum over steps of dY/dx . move; each step moves the fraction of "
                           "elements with the smallest gradients",
             .paper = "Kapishnikov et al. 2021, arXiv:2106.09788",
             .equals = "PAIR GuidedIG",
             .cost = "steps forward, steps backward, one after the other",
             .weakness = "its path follows the model, so two models that compute the same may get "
                         "different maps; depends on the baseline"},
    .params = params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS | OXP_METHOD_LOCKSTEP,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan,
    .drive = drive,
};
