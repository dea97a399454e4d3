/* blur.c - separable Gaussian smoothing; see blur.h.
 *
 * Per axis y_i = sum_k w_k x_{i+k}, k = -r..r, r = floor(truncate sigma + 1/2), w_k = exp(-k^2 /
 * (2 sigma^2)) / sum. Each line along the axis is copied into a padded buffer in double, so that
 * the border rule is applied once per line and the inner loop has no branches. Between axes the
 * array keeps its type, as in scipy. */
#include "signal/blur.h"

#include <math.h>
#include <string.h>

#define MAX_RADIUS (1 << 20)

/* Index of the element that position p (any integer) of a line of n elements shows, or -1 for
 * zero. */
static int64_t border_index(int64_t p, int64_t n, oxp_border border)
{
    if (p >= 0 && p < n) return p;
    int64_t period, q;
    switch (border) {
    case OXP_BORDER_NEAREST:
        return p < 0 ? 0 : n - 1;
    case OXP_BORDER_WRAP:
        q = p % n;
        return q < 0 ? q + n : q;
    case OXP_BORDER_MIRROR:
        if (n == 1) return 0;
        period = 2 * (n - 1);
        q = (p % period + period) % period;
        return q < n ? q : period - q;
    case OXP_BORDER_REFLECT:
        period = 2 * n;
        q = (p % period + period) % period;
        return q < n ? q : period - 1 - q;
    default:
        return -1;
    }
}

static void make_kernel(double *w, int64_t radius, double sigma)
{
    double sum = 0.0;
    for (int64_t k = -radius; k <= radius; k++)
        sum += w[k + radius] = exp(-0.5 * (double)(k * k) / (sigma * sigma));
    for (int64_t k = 0; k <= 2 * radius; k++) w[k] /= sum;
}

/* Elements of either type. */
typedef struct elements {
    float *f32; /* or NULL */
    double *f64;
} elements;

/* Blurs, in place, every line of `data` seen as (outer, n, inner) along its middle axis. */
static void blur_axis(elements data, int64_t outer, int64_t n, int64_t inner, const double *w,
                      int64_t radius, oxp_border border, double *line)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const int64_t first = o * n * inner + i;
            for (int64_t p = -radius; p < n + radius; p++) {
                const int64_t at = border_index(p, n, border), e = first + at * inner;
                line[p + radius] = at < 0 ? 0.0 : data.f32 ? (double)data.f32[e] : data.f64[e];
            }
            for (int64_t p = 0; p < n; p++) {
                double sum = 0.0;
                for (int64_t k = 0; k <= 2 * radius; k++) sum += w[k] * line[p + k];
                if (data.f32)
                    data.f32[first + p * inner] = (float)sum;
                else
                    data.f64[first + p * inner] = sum;
            }
        }
}

static oxp_status blur(oxp_ctx *ctx, elements data, int64_t total, int axes, const int64_t *dims,
                       const double *sigma, double truncate, oxp_border border)
{
    int64_t outer = 1;
    for (int a = 0; a < axes; outer *= dims[a++]) {
        const double reach = truncate * sigma[a];
        OXP_FAIL_IF(
            ctx, !(sigma[a] >= 0.0 && reach >= 0.0 && reach < MAX_RADIUS), OXP_EINVAL,
            "blur: sigma %g (truncated at %g sigma) is out of range: expected 0 to %d samples",
            sigma[a], truncate, MAX_RADIUS);
        if (sigma[a] < 1e-15) continue;
        const int64_t radius = (int64_t)(reach + 0.5), inner = total / (outer * dims[a]);
        double *w = oxp_arena_alloc(ctx->scratch, (size_t)(2 * radius + 1), sizeof(double));
        double *line =
            oxp_arena_alloc(ctx->scratch, (size_t)(dims[a] + 2 * radius), sizeof(double));
        if (!w || !line) OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
        make_kernel(w, radius, sigma[a]);
        blur_axis(data, outer, dims[a], inner, w, radius, border, line);
    }
    return OXP_OK;
}

static int64_t count_of(int axes, const int64_t *dims)
{
    int64_t total = 1;
    for (int a = 0; a < axes; a++) total *= dims[a];
    return total;
}

oxp_status oxp_blur_gaussian(oxp_ctx *ctx, const float *src, int axes, const int64_t *dims,
                             const double *sigma, double truncate, oxp_border border, float *dst)
{
    const int64_t total = count_of(axes, dims);
    if (total == 0) return OXP_OK;
    if (dst != src) memcpy(dst, src, (size_t)total * sizeof *dst);
    return blur(ctx, (elements){.f32 = dst}, total, axes, dims, sigma, truncate, border);
}

oxp_status oxp_blur_gaussian_f64(oxp_ctx *ctx, const double *src, int axes, const int64_t *dims,
                                 const double *sigma, double truncate, oxp_border border,
                                 double *dst)
{
    const int64_t total = count_of(axes, dims);
    if (total == 0) return OXP_OK;
    if (dst != src) memcpy(dst, src, (size_t)total * sizeof *dst);
    return blur(ctx, (elements){.f64 = dst}, total, axes, dims, sigma, truncate, border);
}
