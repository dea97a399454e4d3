/* normalise.c - see normalise.h. */
#include "render/normalise.h"
#include <math.h>

static void swap(float *a, float *b)
{
    const float t = *a;
    *a = *b;
    *b = t;
}

/* Puts the element of rank k (0-based) at v[k], smaller ones before it, larger ones behind it
 * (Hoare's selection with the median of three as pivot). */
static void select_rank(float *v, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (v[mid] < v[lo]) swap(&v[mid], &v[lo]);
        if (v[hi] < v[lo]) swap(&v[hi], &v[lo]);
        if (v[hi] < v[mid]) swap(&v[hi], &v[mid]);
        const float pivot = v[mid];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i <= j) swap(&v[i++], &v[j--]);
        }
        if (k <= j)
            hi = j;
        else if (k >= i)
            lo = i;
        else
            return;
    }
}

/* Percentile with linear interpolation: position p/100 (n-1) between the two neighbouring ranks.
 * Reorders v. */
static double percentile_of(float *v, int64_t n, double percentile)
{
    const double position = percentile / 100 * (double)(n - 1);
    const int64_t k = (int64_t)position;
    select_rank(v, n, k);
    if (k + 1 >= n) return (double)v[k];
    float next = v[k + 1];
    for (int64_t i = k + 2; i < n; i++) next = v[i] < next ? v[i] : next;
    return (double)v[k] + (position - (double)k) * ((double)next - (double)v[k]);
}

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
    if (finite > 0) out->clip = percentile_of(magnitude, finite, p);
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
