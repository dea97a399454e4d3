/* baseline.c - where paths start; see path.h.
 *
 * All baselines live in the tensor that is attributed to. What is black or white there depends on
 * how the picture was made ready, which this room does not know: give the numbers per channel. */
#include "explain/path.h"

#include "base/parse.h"
#include "signal/blur.h"
#include <string.h>

static const char *const kinds[] = {"zero", "min", "max", "mean", "blur", "random"};

/* The k-th number of "a,b,c"; *n: how many there are. False: not numbers. */
static bool number_in(const char *text, size_t k, double *value, size_t *n)
{
    char item[64];
    for (*n = 0;; (*n)++) {
        const size_t length = strcspn(text, ",");
        double number;
        if (length == 0 || length >= sizeof item) return false;
        memcpy(item, text, length);
        item[length] = '\0';
        if (!oxp_parse_double(item, &number)) return false;
        if (*n == k) *value = number;
        if (text[length] == '\0') break;
        text += length + 1;
    }
    (*n)++;
    return true;
}

oxp_status oxp_baseline_check(oxp_ctx *ctx, const oxp_params *p)
{
    const char *text = oxp_param_text(p, "baseline");
    double value;
    size_t n;
    for (size_t i = 0; i < OXP_COUNT(kinds); i++)
        if (strcmp(text, kinds[i]) == 0) return OXP_OK;
    OXP_FAIL_IF(ctx, !number_in(text, 0, &value, &n), OXP_EINVAL,
                "%s: baseline must be zero, min, max, mean, blur, random, a number or numbers per "
                "channel like 0.1,0.2,0.3, found '%s'",
                p->method->info.name, text);
    return OXP_OK;
}

oxp_status oxp_baseline_new(oxp_drive *d, double ***x0)
{
    *x0 = OXP_NEW(d->ctx->scratch, double *, d->n_feeds + 1);
    OXP_NOMEM_IF(d->ctx, *x0);
    for (size_t f = 0; f < d->n_feeds; f++) {
        (*x0)[f] = OXP_NEW(d->ctx->scratch, double, d->count[f] + 1);
        OXP_NOMEM_IF(d->ctx, (*x0)[f]);
    }
    return OXP_OK;
}

/* A row seen as (outer, channels, inner). */
typedef struct row_view {
    size_t outer, channels, inner;
} row_view;

static row_view view_of(const oxp_drive *d, size_t f)
{
    const oxp_shape *row = &d->row_shape[f];
    const int channel = d->feed_roles[f].channel - 1;
    row_view v = {1, 1, 1};
    for (int a = 0; a < row->rank; a++)
        *(a < channel ? &v.outer : a > channel ? &v.inner : &v.channels) *= (size_t)row->dim[a];
    if (channel < 0) v = (row_view){1, 1, (size_t)d->count[f]};
    return v;
}

static void mean_of_channels(const row_view *v, const double *x, double *to)
{
    for (size_t c = 0; c < v->channels; c++) {
        double sum = 0.0;
        for (size_t o = 0; o < v->outer; o++)
            for (size_t i = 0; i < v->inner; i++) sum += x[(o * v->channels + c) * v->inner + i];
        sum /= (double)(v->outer * v->inner);
        for (size_t o = 0; o < v->outer; o++)
            for (size_t i = 0; i < v->inner; i++) to[(o * v->channels + c) * v->inner + i] = sum;
    }
}

static oxp_status numbers(oxp_drive *d, const char *text, size_t f, const row_view *v, double *to)
{
    double value = 0.0;
    size_t n = 0;
    number_in(text, 0, &value, &n);
    const bool each = n > 1 && v->channels == 1 && n == (size_t)d->count[f];
    OXP_FAIL_IF(d->ctx, n != 1 && n != v->channels && !each, OXP_EINVAL,
                "%s: baseline has %zu numbers, expected one or one per channel (%zu)",
                d->params->method->info.name, n, v->channels);
    for (size_t i = 0; i < (size_t)d->count[f]; i++) {
        if (n > 1) number_in(text, each ? i : i / v->inner % v->channels, &value, &n);
        to[i] = value;
    }
    return OXP_OK;
}

static oxp_status blurred(oxp_drive *d, size_t f, const double *x, double *to)
{
    const oxp_roles *roles = &d->feed_roles[f];
    double sigma[OXP_MAX_RANK] = {0};
    const double given = oxp_param_number(d->params, "sigma");
    for (int a = 0; a < roles->n_spatial; a++) sigma[roles->spatial[a] - 1] = given;
    if (roles->n_spatial == 0 && d->row_shape[f].rank > 0) sigma[0] = given;
    return oxp_blur_gaussian_f64(d->ctx, x, d->row_shape[f].rank, d->row_shape[f].dim, sigma, 4.0,
                                 OXP_BORDER_REFLECT, to);
}

static oxp_status fill_feed(oxp_drive *d, const char *kind, size_t f, size_t item, uint32_t sample,
                            double *to)
{
    const size_t n = (size_t)d->count[f];
    const double *x = d->feed[f] + item * n;
    const row_view v = view_of(d, f);
    if (n == 0) return OXP_OK;
    double lo = x[0], hi = x[0];
    for (size_t i = 1; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    if (strcmp(kind, "mean") == 0) {
        mean_of_channels(&v, x, to);
    } else if (strcmp(kind, "blur") == 0) {
        return blurred(d, f, x, to);
    } else if (strcmp(kind, "random") == 0) {
        const oxp_rng rng = {(uint64_t)oxp_param_int(d->params, "seed"),
                             d->item_base + (uint32_t)item, sample};
        for (size_t i = 0; i < n; i++)
            to[i] = lo + (hi - lo) * oxp_rng_uniform(&rng, ((uint64_t)f << 40) | i);
    } else if (strcmp(kind, "zero") == 0 || strcmp(kind, "min") == 0 || strcmp(kind, "max") == 0) {
        const double value = kind[0] == 'z' ? 0.0 : kind[1] == 'i' ? lo : hi;
        for (size_t i = 0; i < n; i++) to[i] = value;
    } else {
        return numbers(d, kind, f, &v, to);
    }
    return OXP_OK;
}

oxp_status oxp_baseline_fill(oxp_drive *d, const char *kind, size_t item, uint32_t sample,
                             double *const *x0)
{
    for (size_t f = 0; f < d->n_feeds; f++)
        if (d->varied[f]) OXP_TRY(fill_feed(d, kind, f, item, sample, x0[f]));
    return OXP_OK;
}
