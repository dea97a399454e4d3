/* stats.c - percentile by radix selection, Spearman's rank correlation; see stats.h. */
#include "signal/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Floats as unsigned integers in the same order: flip all bits of negatives, the sign bit of the
 * others. */
static uint32_t ordered_bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float from_ordered_bits(uint32_t ordered)
{
    const uint32_t bits = ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The k-th smallest value (0-based): fixes one byte of its ordered bits per pass, from the top. */
static float kth_smallest(const float *values, int64_t n, int64_t k)
{
    uint32_t prefix = 0, known = 0; /* the bits found so far, and which they are */
    for (int shift = 24; shift >= 0; shift -= 8) {
        int64_t histogram[256] = {0};
        for (int64_t i = 0; i < n; i++) {
            const uint32_t bits = ordered_bits(values[i]);
            if ((bits & known) == prefix) histogram[bits >> shift & 255]++;
        }
        uint32_t digit = 0;
        while (k >= histogram[digit]) k -= histogram[digit++];
        prefix |= digit << shift;
        known |= 255u << shift;
    }
    return from_ordered_bits(prefix);
}

double oxp_percentile(const float *values, int64_t n, double q)
{
    if (n <= 0) return (double)NAN;
    for (int64_t i = 0; i < n; i++)
        if (isnan(values[i])) return (double)NAN;
    const double at = fmin(fmax(q, 0.0), 100.0) / 100.0 * (double)(n - 1);
    const int64_t k = (int64_t)at;
    const double t = at - (double)k, lo = (double)kth_smallest(values, n, k);
    if (t == 0.0) return lo;
    return lo + ((double)kth_smallest(values, n, k + 1) - lo) * t;
}

typedef struct ranked {
    float value;
    int64_t at;
} ranked;

static int by_value(const void *a, const void *b)
{
    const float x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

/* rank[i] = mean 1-based position of values[i] in the sorted order. */
static void rank_values(const float *values, int64_t n, ranked *order, double *rank)
{
    for (int64_t i = 0; i < n; i++) order[i] = (ranked){values[i], i};
    qsort(order, (size_t)n, sizeof *order, by_value);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && order[j].value == order[i].value;) j++;
        for (int64_t k = i; k < j; k++) rank[order[k].at] = 0.5 * (double)(i + j + 1);
    }
}

oxp_status oxp_spearman(oxp_ctx *ctx, const float *a, const float *b, int64_t n, double *rho)
{
    *rho = (double)NAN;
    if (n < 2) return OXP_OK;
    for (int64_t i = 0; i < n; i++)
        if (isnan(a[i]) || isnan(b[i])) return OXP_OK;
    ranked *order = oxp_arena_alloc(ctx->scratch, (size_t)n, sizeof *order);
    double *ra = oxp_arena_alloc(ctx->scratch, (size_t)n, sizeof *ra);
    double *rb = oxp_arena_alloc(ctx->scratch, (size_t)n, sizeof *rb);
    if (!order || !ra || !rb) OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    rank_values(a, n, order, ra);
    rank_values(b, n, order, rb);

    const double mean = 0.5 * (double)(n + 1);
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (int64_t i = 0; i < n; i++) {
        ab += (ra[i] - mean) * (rb[i] - mean);
        aa += (ra[i] - mean) * (ra[i] - mean);
        bb += (rb[i] - mean) * (rb[i] - mean);
    }
    if (aa > 0.0 && bb > 0.0) *rho = ab / sqrt(aa * bb);
    return OXP_OK;
}
