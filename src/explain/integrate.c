/* integrate.c - integrated gradients: the gradient averaged along the straight line from a baseline
 * to the input.
 *
 *   IG(x) = (x - x0) . sum_s w_s dY/dx (x0 + a_s (x - x0))
 *
 * Nodes a_s and weights w_s are Gauss-Legendre by default, computed in double. The completeness gap
 * |sum IG - (Y(x) - Y(x0))| / |Y(x) - Y(x0)| comes with the result. */
#include "explain/path.h"

/* Multiplies by (x - x0), then compares the sum with the change of the score (of methods that look at a
 * part of it: nothing to compare). */
static void finish_item(oxp_drive *d, size_t item, double *const *x0, double start)
{
    const bool part = oxp_param_known(d->params, "neuron") && oxp_param_given(d->params, "neuron");
    const bool multiply =
        !oxp_param_known(d->params, "multiply") || oxp_param_bool(d->params, "multiply");
    double sum = 0.0;
    for (size_t f = 0; f < d->n_feeds; f++) {
        if (!d->varied[f]) continue;
        const size_t n = (size_t)d->count[f];
        const double *x = d->feed[f] + item * n;
        double *to = d->out[d->out_of_feed[f]] + item * n;
        for (size_t i = 0; i < n; i++) {
            sum += to[i] * (x[i] - x0[f][i]);
            to[i] *= multiply ? x[i] - x0[f][i] : 1.0;
        }
    }
    if (part) return;
    d->attributed[item] = sum;
    d->expected[item] = d->score[item] - start;
}

oxp_status oxp_integrate_drive(oxp_drive *d)
{
    oxp_quadrature q;
    oxp_chunk c;
    double **x0, **to = OXP_NEW(d->ctx->scratch, double *, d->n_out + 1);
    OXP_NOMEM_IF(d->ctx, to);
    OXP_TRY(oxp_quadrature_make(d, &q));
    OXP_TRY(oxp_baseline_new(d, &x0));
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &c));
    for (size_t item = 0; item < d->n_items; item++) {
        OXP_TRY(oxp_baseline_fill(d, oxp_param_text(d->params, "baseline"), item, 0, x0));
        for (size_t o = 0; o < d->n_out; o++) to[o] = d->out[o] + item * (size_t)d->out_count[o];
        double start;
        OXP_TRY(oxp_line_mean(d, &q, &c, item, x0, to, &start, item * q.n, d->n_items * q.n));
        finish_item(d, item, x0, start);
    }
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    OXP_TRY(oxp_baseline_check(t->ctx, t->params));
    return oxp_plan_gradient(t);
}

static const oxp_param_info params[] = {
    OXP_LINE_PARAMS,
    OXP_BASELINE_PARAMS("zero"),
    OXP_BASELINE_SEED,
    OXP_BASELINE_AT,
    {"multiply", "multiply by x - baseline", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_integrated_gradients = {
    .info = {.name = "integrated-gradients",
             .is_main = 1,
             .title = "Integrated gradients",
             .param_count = OXP_COUNT(params),
             .is_signed = 1,
             .sentence =
                 "Each input value's share of the score's change from a baseline: shares add up.",
             .definition =
                 "(x - x0) . integral over a of dY/dx at x0 + a (x - x0); map: sum over channels",
             .paper = "Sundararajan, Taly, Yan 2017, arXiv:1703.01365",
             .equals = "Captum IntegratedGradients (gausslegendre)",
             .cost = "steps + 1 forward, steps backward",
             .weakness = "depends on the baseline; noisy along the path in deep networks"},
    .params = params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan,
    .drive = oxp_integrate_drive,
};
