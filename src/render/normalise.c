/* normalise.c - see normalise.h. */
#include "render/normalise.h"

#include "signal/stats.h"
#include <math.h>

bool oxp_finite_range(const float *v, int64_t n, float *lo, float *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) continue;
        *lo = fminf(*lo, v[i]);
        *hi = fmaxf(*hi, v[i]);
    }
    const bool any = *hi >= *lo;
    if (!any) *lo = *hi = 0;
    return any;
}

oxp_status oxp_scale_find(oxp_ctx *ctx, const float *v, int64_t n, double percentile,
                          oxp_scale *out)
{
    const double p = percentile == 0 ? OXP_PERCENTILE_DEFAULT : percentile;
    OXP_FAIL_IF(ctx, !(p > 0 && p <= 100), OXP_EINVAL,
                "percentile must be above 0 and at most 100, got %g", p);
    *out = (oxp_scale){0, 0, 0, 0};
    float *magnitude = oxp_arena_alloc(ctx->scratch, (size_t)n, sizeof *magnitude);
    OXP_NOMEM_IF(ctx, magnitude);
    float lo, hi;
    oxp_finite_range(v, n, &lo, &hi);
    out->min = (double)lo;
    out->max = (double)hi;
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i])) magnitude[finite++] = fabsf(v[i]);
    out->bad = n - finite;
    if (finite > 0) out->clip = oxp_percentile(magnitude, finite, p);
    if (out->clip == 0) out->clip = fmax(fabs(out->min), fabs(out->max));
    return OXP_OK;
}

void oxp_scale_apply(const oxp_scale *scale, bool is_signed, const float *v, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)(is_signed ? v[i] : fabsf(v[i]));
        const double y = scale->clip > 0 ? x / scale->clip : 0;
        out[i] = isfinite(v[i]) ? (float)fmin(fmax(y, -1), 1) : NAN;
    }
}
