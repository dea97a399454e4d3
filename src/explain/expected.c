/* expected.c - gradients averaged over baselines drawn at random: expected gradients and
 * GradientSHAP.
 *
 *   expected-gradients  mean over s of (x - x0_s) . dY/dx(x0_s + a_s (x - x0_s))
 *   gradient-shap       the same with x + n_s in place of x, n_s ~ N(0, stdev^2)
 *
 * a_s ~ U[0, 1), one per sample; x0_s is drawn as the parameter `baseline` says: random ones differ
 * from sample to sample, the others are the same each time. */
#include "explain/path.h"

#include <string.h>

enum { DRAW_POSITION = 1, DRAW_NOISE = 2 }; /* different streams of one seed */

/* Row r becomes sample s; `delta` keeps x + n - x0 of the varied feeds. */
static oxp_status fill_sample(oxp_drive *d, const oxp_chunk *c, size_t r, size_t item, uint32_t s,
                              double *const *x0, double *const *delta)
{
    const uint64_t seed = (uint64_t)oxp_param_int(d->params, "seed");
    const oxp_rng place = {seed ^ ((uint64_t)DRAW_POSITION << 56), d->item_base + (uint32_t)item,
                           s};
    const oxp_rng noise = {seed ^ ((uint64_t)DRAW_NOISE << 56), d->item_base + (uint32_t)item, s};
    const double stdev = oxp_param_number(d->params, "stdev"), a = oxp_rng_uniform(&place, 0);
    OXP_TRY(oxp_baseline_fill(d, oxp_param_text(d->params, "baseline"), item, s, x0));
    oxp_chunk_item(d, c, r, item);
    for (size_t f = 0; f < d->n_feeds; f++) {
        const size_t n = (size_t)d->count[f];
        double *x = c->feed[f] + r * n;
        for (size_t i = 0; d->varied[f] && i < n; i++) {
            if (stdev > 0.0) x[i] += stdev * oxp_rng_normal(&noise, ((uint64_t)f << 40) | i);
            delta[f][r * n + i] = x[i] - x0[f][i];
            x[i] = x0[f][i] + a * delta[f][r * n + i];
        }
    }
    return OXP_OK;
}

static void accumulate(const oxp_drive *d, const oxp_chunk *c, size_t rows, size_t item,
                       double *const *delta, double weight)
{
    for (size_t f = 0; f < d->n_feeds; f++) {
        if (!d->varied[f]) continue;
        const size_t n = (size_t)d->count[f];
        const double *g = c->out[d->out_of_feed[f]];
        double *to = d->out[d->out_of_feed[f]] + item * n;
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < n; i++) to[i] += weight * g[r * n + i] * delta[f][r * n + i];
    }
}

static oxp_status new_delta(oxp_drive *d, size_t width, double ***delta)
{
    *delta = OXP_NEW(d->ctx->scratch, double *, d->n_feeds + 1);
    OXP_NOMEM_IF(d->ctx, *delta);
    for (size_t f = 0; f < d->n_feeds; f++) {
        (*delta)[f] =
            oxp_arena_alloc(d->ctx->scratch, width * (size_t)d->count[f] + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, (*delta)[f]);
    }
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    const size_t samples = (size_t)oxp_param_int(d->params, "samples"), width = oxp_rows_width(d);
    double **x0, **delta;
    oxp_chunk c;
    OXP_TRY(oxp_baseline_new(d, &x0));
    OXP_TRY(new_delta(d, width, &delta));
    OXP_TRY(oxp_chunk_new(d, width, &c));
    for (size_t item = 0; item < d->n_items; item++) {
        for (size_t o = 0; o < d->n_out; o++)
            memset(d->out[o] + item * (size_t)d->out_count[o], 0,
                   (size_t)d->out_count[o] * sizeof(double));
        for (size_t s = 0; s < samples; s += width) {
            const size_t rows = samples - s < width ? samples - s : width;
            for (size_t r = 0; r < rows; r++)
                OXP_TRY(fill_sample(d, &c, r, item, (uint32_t)(s + r), x0, delta));
            OXP_TRY(oxp_rows_run(d, rows, c.feed, c.side, c.out, NULL));
            accumulate(d, &c, rows, item, delta, 1.0 / (double)samples);
            OXP_TRY(oxp_ctx_progress(d->ctx, d->method->info.name, item * samples + s + rows,
                                     d->n_items * samples));
        }
    }
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    OXP_TRY(oxp_baseline_check(t->ctx, t->params));
    return oxp_plan_gradient(t);
}

/* clang-format off */
#define DRAWN_PARAMS(samples)                                                                      \
    {"samples", "draws", OXP_PARAM_INT, 1, 1000000, samples, NULL},                                \
    OXP_BASELINE_PARAMS("random"),                                                                 \
    OXP_BASELINE_AT,                                                                               \
    {"seed", "of the random numbers", OXP_PARAM_INT, 0, 9007199254740992.0, "0", NULL},            \
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",                     \
     "max,sum,mean,l1,l2,none"}
/* clang-format on */

static const oxp_param_info expected_params[] = {DRAWN_PARAMS("200")};

static const oxp_param_info shap_params[] = {
    DRAWN_PARAMS("50"),
    {"stdev", "standard deviation of the noise added to the input", OXP_PARAM_FLOAT, 0, 1e30, "0",
     NULL},
};

const oxp_method oxp_method_expected_gradients = {
    .info = {.name = "expected-gradients",
             .title = "Expected gradients",
             .param_count = OXP_COUNT(expected_params),
             .is_signed = 1,
             .sentence = "Integrated gradients averaged over many baselines, a random point of "
                         "each path.",
             .definition = "mean over draws of (x - x0) . dY/dx(x0 + a (x - x0)), a ~ U[0, 1)",
             .paper = "Erion et al. 2021, arXiv:1906.10670",
             .equals = "Captum GradientShap with stdevs=0, on the same draws",
             .cost = "samples forward, samples backward",
             .weakness = "adds up to the score's change only on average; its baselines are noise "
                         "in the input's range, not a data set"},
    .params = expected_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan,
    .drive = drive,
};

const oxp_method oxp_method_gradient_shap = {
    .info = {.name = "gradient-shap",
             .title = "GradientSHAP",
             .param_count = OXP_COUNT(shap_params),
             .is_signed = 1,
             .sentence = "An estimate of Shapley values from gradients on the way from random "
                         "baselines to noisy copies of the input.",
             .definition = "mean over draws of (x + n - x0) . dY/dx(x0 + a (x + n - x0)), a ~ "
                           "U[0, 1), n ~ N(0, stdev^2)",
             .paper = "Lundberg, Lee 2017, arXiv:1705.07874",
             .equals = "Captum GradientShap, on the same draws",
             .cost = "samples forward, samples backward",
             .weakness = "assumes independent features and a model linear between baseline and "
                         "input; another seed gives another map"},
    .params = shap_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan,
    .drive = drive,
};
