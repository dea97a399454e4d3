/* smooth.c - SmoothGrad, its squared form and VarGrad: statistics of any method's attribution over
 * noisy copies of the input.
 *
 *   smoothgrad          mean of v            (Smilkov et al. 2017)
 *   smoothgrad-squared  mean of v^2          (Hooker et al. 2019)
 *   vargrad             mean of (v - mean)^2 (Adebayo et al. 2018)
 *
 * Noise is N(0, (level (max - min))^2) with the range taken per item and per tensor, or N(0,
 * level^2) with noise=absolute. v are raw signed attributions; magnitudes, if any, are taken
 * afterwards (of=abs: before). */
#include "explain/path.h"

#include <math.h>
#include <string.h>

static double noise_scale(const oxp_drive *d, size_t f, size_t item)
{
    const double level = oxp_param_number(d->params, "level");
    if (oxp_param_is(d->params, "noise", "absolute")) return level;
    const size_t n = (size_t)d->count[f];
    const double *x = d->feed[f] + item * n;
    double lo = x[0], hi = x[0];
    for (size_t i = 1; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    return level * (hi - lo);
}

/* The drive of the wrapped method over `rows` noisy copies of one item. */
static oxp_status new_copies(const oxp_drive *d, size_t rows, oxp_drive *inner)
{
    oxp_arena *tmp = d->ctx->scratch;
    double **feed = OXP_NEW(tmp, double *, d->n_feeds),
           **out = OXP_NEW(tmp, double *, d->n_out + 1);
    *inner = *d;
    inner->side = OXP_NEW(tmp, oxp_side, rows);
    inner->score = OXP_NEW(tmp, double, rows);
    inner->attributed = OXP_NEW(tmp, double, rows);
    inner->expected = OXP_NEW(tmp, double, rows);
    OXP_FAIL_IF(d->ctx,
                !feed || !out || !inner->side || !inner->score || !inner->attributed ||
                    !inner->expected,
                OXP_ENOMEM, "out of memory");
    for (size_t f = 0; f < d->n_feeds; f++) {
        feed[f] = oxp_arena_alloc(tmp, rows * (size_t)d->count[f] + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, feed[f]);
    }
    for (size_t o = 0; o < d->n_out; o++) {
        out[o] = oxp_arena_alloc(tmp, rows * (size_t)d->out_count[o] + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, out[o]);
    }
    inner->feed = feed;
    inner->out = out;
    return OXP_OK;
}

void oxp_noise_row(const oxp_drive *d, double *const *feed, size_t row, size_t item,
                   uint32_t sample)
{
    const oxp_rng rng = {(uint64_t)oxp_param_int(d->params, "seed"), d->item_base + (uint32_t)item,
                         sample};
    for (size_t f = 0; f < d->n_feeds; f++) {
        const size_t n = (size_t)d->count[f];
        const double *x = d->feed[f] + item * n,
                     scale = d->varied[f] ? noise_scale(d, f, item) : 0.0;
        double *to = feed[f] + row * n;
        memcpy(to, x, n * sizeof(double));
        for (size_t i = 0; scale > 0.0 && i < n; i++)
            to[i] += scale * oxp_rng_normal(&rng, ((uint64_t)f << 40) | i);
    }
}

/* The n-th sample (from 1) of one element enters the statistic kept in *to. The variance is updated
 * by Welford's recurrence, *mean beside it: M += (v - mean before) (v - mean after). */
static void enter_sample(const oxp_drive *d, double v, double n, double *to, double *mean)
{
    if (d->method == &oxp_method_vargrad) {
        const double before = v - *mean;
        *mean += before / n;
        *to += (before * (v - *mean) - *to) / n;
        return;
    }
    const bool squared = d->method == &oxp_method_smoothgrad_squared;
    v = squared ? v * v : oxp_param_is(d->params, "of", "abs") ? fabs(v) : v;
    *to += (v - *to) / n;
}

static void accumulate(const oxp_drive *d, const oxp_drive *inner, size_t rows, size_t item,
                       size_t sample, double *const *mean)
{
    for (size_t o = 0; o < d->n_out; o++) {
        const size_t n = (size_t)d->out_count[o];
        double *to = d->out[o] + item * n;
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < n; i++)
                enter_sample(d, inner->out[o][r * n + i], (double)(sample + r + 1), to + i,
                             mean[o] + i);
    }
}

/* Zeros for the statistic of one item and for the running means beside it. */
static void start_item(const oxp_drive *d, size_t item, double *const *mean)
{
    for (size_t o = 0; o < d->n_out; o++) {
        const size_t n = (size_t)d->out_count[o];
        memset(d->out[o] + item * n, 0, n * sizeof(double));
        memset(mean[o], 0, n * sizeof(double));
    }
}

static oxp_status drive(oxp_drive *d)
{
    const size_t samples = (size_t)oxp_param_int(d->params, "samples"), width = oxp_rows_width(d);
    double **mean = OXP_NEW(d->ctx->scratch, double *, d->n_out + 1);
    oxp_drive inner;
    OXP_NOMEM_IF(d->ctx, mean);
    OXP_TRY(new_copies(d, width, &inner));
    for (size_t o = 0; o < d->n_out; o++) {
        mean[o] = OXP_NEW(d->ctx->scratch, double, d->out_count[o] + 1);
        OXP_NOMEM_IF(d->ctx, mean[o]);
    }
    for (size_t item = 0; item < d->n_items; item++) {
        start_item(d, item, mean);
        for (size_t s = 0; s < samples; s += width) {
            const size_t rows = samples - s < width ? samples - s : width;
            for (size_t r = 0; r < rows; r++) {
                oxp_noise_row(d, inner.feed, r, item, (uint32_t)(s + r));
                inner.side[r] = d->side[item];
            }
            inner.n_items = rows;
            /* what the wrapped method draws is keyed by the copy, not by its place in the chunk */
            inner.item_base = (uint32_t)((d->item_base + item) * samples + s);
            OXP_TRY(oxp_drive_method(&inner, d->params->inner));
            accumulate(d, &inner, rows, item, s, mean);
            OXP_TRY(oxp_ctx_progress(d->ctx, d->method->info.name, item * samples + s + rows,
                                     d->n_items * samples));
        }
    }
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    return t->params->inner->plan(t);
}

/* clang-format off */
#define NOISE_PARAMS                                                                               \
    {"method", "the method that is sampled", OXP_PARAM_TEXT, 0, 0, "saliency", NULL},              \
    {"samples", "noisy copies", OXP_PARAM_INT, 1, 1000000, "25", NULL},                            \
    {"level", "standard deviation of the noise, relative to max - min of each input",              \
     OXP_PARAM_FLOAT, 0, 1e6, "0.15", NULL},                                                       \
    {"noise", "what level is relative to", OXP_PARAM_CHOICE, 0, 0, "relative",                     \
     "relative,absolute"},                                                                         \
    {"seed", "of the random numbers", OXP_PARAM_INT, 0, 9007199254740992.0, "0", NULL}
/* clang-format on */

/* A mean is reduced to a map as the wrapped method's own attribution is: by its parameters. */
static const oxp_param_info mean_params[] = {
    NOISE_PARAMS,
    {"of", "what is averaged", OXP_PARAM_CHOICE, 0, 0, "signed", "signed,abs"},
};

/* Squares and variances are never negative: their channels are averaged as they are. */
static const oxp_param_info moment_params[] = {
    NOISE_PARAMS,
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "mean",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_smoothgrad = {
    .info = {.name = "smoothgrad",
             .is_main = 1,
             .title = "SmoothGrad",
             .param_count = OXP_COUNT(mean_params),
             .sentence = "The gradient with its fine noise averaged away.",
             .definition = "mean of another method over x + N(0, (level (max - min))^2)",
             .paper = "Smilkov et al. 2017, arXiv:1706.03825",
             .equals = "PAIR SmoothGrad (magnitude=False), Zennit",
             .cost = "samples x the wrapped method",
             .weakness = "blurs what lies closer than the noise; another seed gives another map"},
    .params = mean_params,
    .flags = OXP_METHOD_WRAPPER | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_MAX,
    .features = OXP_CHANNELS_L2,
    .plan = plan,
    .drive = drive,
};

const oxp_method oxp_method_smoothgrad_squared = {
    .info = {.name = "smoothgrad-squared",
             .title = "SmoothGrad squared",
             .param_count = OXP_COUNT(moment_params),
             .sentence = "Where the gradient is large on average around the input, whatever its "
                         "sign.",
             .definition = "mean of the squares of another method over x + N(0, (level (max - "
                           "min))^2)",
             .paper = "Hooker et al. 2019, arXiv:1806.10758",
             .equals = "Captum NoiseTunnel smoothgrad_sq; PAIR SmoothGrad (magnitude=True)",
             .cost = "samples x the wrapped method",
             .weakness = "loses the sign; a few large gradients decide the map"},
    .params = moment_params,
    .flags = OXP_METHOD_WRAPPER | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = plan,
    .drive = drive,
};

const oxp_method oxp_method_vargrad = {
    .info = {.name = "vargrad",
             .title = "VarGrad",
             .param_count = OXP_COUNT(moment_params),
             .sentence = "Where the gradient changes most around the input.",
             .definition = "biased variance of another method over x + N(0, (level (max - min))^2)",
             .paper = "Adebayo et al. 2018, arXiv:1810.03307",
             .equals = "Captum NoiseTunnel vargrad",
             .cost = "samples x the wrapped method",
             .weakness = "nothing where the model is linear, however important; says nothing of "
                         "the gradient's size"},
    .params = moment_params,
    .flags = OXP_METHOD_WRAPPER | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = plan,
    .drive = drive,
};
