/* blur_ig.c - blur integrated gradients: the path is the input coming into focus (Xu, Venugopalan,
 * Sundararajan 2020).
 *
 *   attribution = - sum_s (sigma_s+1 - sigma_s) . dL/dsigma(sigma_s) . dY/dL
 *
 * L(sigma) is the input blurred by a Gaussian of that width, zeros outside; sigma_s = s max / steps;
 * dL/dsigma = (L(sigma + d) - L(sigma)) / d. No baseline has to be chosen. */
#include "explain/path.h"

#include "signal/blur.h"
#include <string.h>

/* x of feed f blurred along its positions. */
static oxp_status blurred(oxp_drive *d, size_t f, const double *x, double sigma, double *to)
{
    const oxp_roles *roles = &d->feed_roles[f];
    double widths[OXP_MAX_RANK] = {0};
    for (int a = 0; a < roles->n_spatial; a++) widths[roles->spatial[a] - 1] = sigma;
    return oxp_blur_gaussian_f64(d->ctx, x, d->row_shape[f].rank, d->row_shape[f].dim, widths, 4.0,
                                 OXP_BORDER_ZERO, to);
}

/* Adds one step's share, with the gradient g at L(sigma) = `at`; `next` is room for L(sigma + d). */
static oxp_status add_step(oxp_drive *d, size_t f, size_t item, double sigma, double width,
                           const double *at, const double *g, double *next)
{
    const size_t n = (size_t)d->count[f];
    const double by = oxp_param_number(d->params, "grad-step");
    double *to = d->out[d->out_of_feed[f]] + item * n;
    OXP_TRY(blurred(d, f, d->feed[f] + item * n, sigma + by, next));
    for (size_t i = 0; i < n; i++) to[i] -= width * (next[i] - at[i]) / by * g[i];
    return OXP_OK;
}

static oxp_status blur_item(oxp_drive *d, const oxp_chunk *c, size_t item, double *const *next)
{
    const size_t steps = (size_t)oxp_param_int(d->params, "steps"), width = oxp_rows_width(d);
    const double cell = oxp_param_number(d->params, "max-sigma") / (double)steps;
    for (size_t o = 0; o < d->n_out; o++)
        memset(d->out[o] + item * (size_t)d->out_count[o], 0,
               (size_t)d->out_count[o] * sizeof(double));
    for (size_t s = 0; s < steps; s += width) {
        const size_t rows = steps - s < width ? steps - s : width;
        for (size_t r = 0; r < rows; r++) {
            oxp_chunk_item(d, c, r, item);
            for (size_t f = 0; f < d->n_feeds; f++)
                if (d->varied[f])
                    OXP_TRY(blurred(d, f, d->feed[f] + item * (size_t)d->count[f],
                                    cell * (double)(s + r), c->feed[f] + r * (size_t)d->count[f]));
        }
        OXP_TRY(oxp_rows_run(d, rows, c->feed, c->side, c->out, NULL));
        for (size_t f = 0; f < d->n_feeds; f++)
            for (size_t r = 0; d->varied[f] && r < rows; r++)
                OXP_TRY(add_step(d, f, item, cell * (double)(s + r), cell,
                                 c->feed[f] + r * (size_t)d->count[f],
                                 c->out[d->out_of_feed[f]] + r * (size_t)d->count[f], next[f]));
        OXP_TRY(oxp_ctx_progress(d->ctx, "blur-ig", item * steps + s + rows, d->n_items * steps));
    }
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    oxp_chunk c;
    double **next;
    OXP_TRY(oxp_baseline_new(d, &next));
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &c));
    for (size_t item = 0; item < d->n_items; item++) OXP_TRY(blur_item(d, &c, item, next));
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    for (size_t i = 0; i < t->n_at; i++)
        OXP_FAIL_IF(t->ctx, t->roles[i].n_spatial == 0, OXP_EINVAL,
                    "blur-ig: the tensor has no positions that could be blurred");
    return oxp_plan_gradient(t);
}

static const oxp_param_info params[] = {
    {"steps", "widths of the blur", OXP_PARAM_INT, 1, 100000, "100", NULL},
    {"max-sigma", "the widest, in positions", OXP_PARAM_FLOAT, 1e-6, 1e4, "50", NULL},
    {"grad-step", "difference of widths that stands for the derivative", OXP_PARAM_FLOAT, 1e-6, 10,
     "0.01", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_blur_ig = {
    .info = {.name = "blur-ig",
             .title = "Blur integrated gradients",
             .param_count = OXP_COUNT(params),
             .is_signed = 1,
             .sentence = "Each input value's share of the score as the input comes into focus.",
             .definition = "-sum over widths of the blur's derivative . dY/dL(sigma) . step",
             .paper = "Xu, Venugopalan, Sundararajan 2020, arXiv:2004.03383",
             .equals = "PAIR BlurIG",
             .cost = "steps forward, steps backward",
             .weakness = "a left sum: misses some of the score's change; flat regions get "
                         "nothing however important"},
    .params = params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan,
    .drive = drive,
};
