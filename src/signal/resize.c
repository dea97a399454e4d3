/* resize.c - 8-bit picture resampling that agrees with Pillow bit for bit.
 *
 * Two passes, along rows and then along columns, each rounded to 8 bits. Output pixel i of an
 * axis is a weighted sum of source pixels around its centre c = (i + 0.5) s, s = src / dst:
 *
 *     w_j = f((j + 0.5 - c) / max(s, 1)),  r = support * max(s, 1),
 *     j from floor(c - r + 0.5) up to, but not including, floor(c + r + 0.5)
 *
 * normalised to sum 1, then quantised to 22 fractional bits: 32 bits less 8 for the pixel and 2
 * of headroom for the negative lobes of bicubic and Lanczos. Quantising is part of the contract:
 * it decides the last bit of the result. `nearest` is no filter but a lookup with an accumulated
 * position, again as Pillow walks it. No colour management. */
#include "signal/resize.h"

#include "base/checked.h"
#include <math.h>
#include <string.h>

#define FRACTION_BITS 22
#define MAX_SIDE      (1 << 24)
static const double pi = 3.14159265358979323846;

/* ---- filters: f(x), zero outside [-support, support] ----------------------------------------- */

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double triangle(double x)
{
    return fabs(x) < 1.0 ? 1.0 - fabs(x) : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x *= pi;
    /* Single-precision window constants, as in the reference. */
    return sin(x) / x * ((double)0.54f + (double)0.46f * cos(x));
}

/* Keys' cubic convolution with a = -1/2. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double sinc(double x)
{
    return x == 0.0 ? 1.0 : sin(x * pi) / (x * pi);
}

static double lanczos3(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

static const struct {
    const char *name;
    double (*weight)(double x);
    double support;
} filters[OXP_FILTER_COUNT] = {
    [OXP_FILTER_NEAREST] = {"nearest", NULL, 0.0},
    [OXP_FILTER_LANCZOS] = {"lanczos", lanczos3, 3.0},
    [OXP_FILTER_BILINEAR] = {"bilinear", triangle, 1},
    [OXP_FILTER_BICUBIC] = {"bicubic", cubic, 2.0},
    [OXP_FILTER_BOX] = {"box", box, 0.5},
    [OXP_FILTER_HAMMING] = {"hamming", hamming, 1.0},
};

const char *oxp_filter_name(oxp_filter filter)
{
    return (unsigned)filter < OXP_FILTER_COUNT ? filters[filter].name : "unknown";
}

bool oxp_filter_find(const char *name, oxp_filter *out)
{
    for (int i = 0; i < OXP_FILTER_COUNT; i++) {
        if (strcmp(filters[i].name, name) != 0) continue;
        *out = (oxp_filter)i;
        return true;
    }
    return false;
}

/* ---- weights of one axis --------------------------------------------------------------------- */

typedef struct axis_weights {
    int32_t *first;  /* (dst) the first source pixel */
    int32_t *count;  /* (dst) how many from there */
    int32_t *weight; /* (dst, taps), fixed point */
    int32_t taps;
} axis_weights;

static int32_t quantise(double w)
{
    const double scaled = w * (double)(1 << FRACTION_BITS);
    return (int32_t)(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
}

static oxp_status weigh_axis(oxp_ctx *ctx, int32_t src, int32_t dst, oxp_filter filter,
                             axis_weights *out)
{
    const double scale = (double)src / dst;
    const double widen = scale > 1.0 ? scale : 1.0;
    const double support = filters[filter].support * widen;
    const double shrink = 1.0 / widen;
    out->taps = (int32_t)ceil(support) * 2 + 1;

    size_t total;
    OXP_FAIL_IF(ctx, !oxp_mul_size((size_t)dst, (size_t)out->taps, &total), OXP_ELIMIT,
                "picture resize: too large");
    out->first = oxp_arena_alloc(ctx->scratch, (size_t)dst, sizeof(int32_t));
    out->count = oxp_arena_alloc(ctx->scratch, (size_t)dst, sizeof(int32_t));
    out->weight = oxp_arena_alloc(ctx->scratch, total, sizeof(int32_t));
    double *exact = oxp_arena_alloc(ctx->scratch, (size_t)out->taps, sizeof(double));
    if (!out->first || !out->count || !out->weight || !exact)
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");

    for (int32_t i = 0; i < dst; i++) {
        const double centre = (i + 0.5) * scale;
        int32_t lo = (int32_t)(centre - support + 0.5), hi = (int32_t)(centre + support + 0.5);
        if (lo < 0) lo = 0;
        if (hi > src) hi = src;
        double sum = 0.0;
        for (int32_t j = lo; j < hi; j++)
            sum += exact[j - lo] = filters[filter].weight((j - centre + 0.5) * shrink);
        for (int32_t j = lo; j < hi; j++) {
            const double w = sum != 0.0 ? exact[j - lo] / sum : exact[j - lo];
            out->weight[(size_t)i * (size_t)out->taps + (size_t)(j - lo)] = quantise(w);
        }
        out->first[i] = lo;
        out->count[i] = hi - lo;
    }
    return OXP_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static uint8_t to_byte(int32_t fixed)
{
    const int32_t v = fixed >> FRACTION_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* (H,W,C) -> (H,dst->width,C). C is a literal in each call below, so that the loops over it
 * unroll. */
static inline void along_rows(const oxp_raster *src, const axis_weights *axis, oxp_raster *dst,
                              const int channels)
{
    for (int32_t y = 0; y < src->height; y++) {
        const uint8_t *row = src->data + (size_t)y * (size_t)src->width * (size_t)channels;
        uint8_t *out = dst->data + (size_t)y * (size_t)dst->width * (size_t)channels;
        for (int32_t x = 0; x < dst->width; x++) {
            const int32_t *weight = axis->weight + (size_t)x * (size_t)axis->taps;
            const uint8_t *in = row + (size_t)axis->first[x] * (size_t)channels;
            int32_t sum[4] = {1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1),
                              1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1)};
            for (int32_t k = 0; k < axis->count[x]; k++, in += channels)
                for (int c = 0; c < channels; c++) sum[c] += in[c] * weight[k];
            for (int c = 0; c < channels; c++) *out++ = to_byte(sum[c]);
        }
    }
}

/* (H,W,C) -> (dst->height,W,C): whole rows are added up in `sum` (W*C), which vectorises. */
OXP_SIMD static void along_columns(const oxp_raster *src, const axis_weights *axis, oxp_raster *dst,
                                   int32_t *sum)
{
    const size_t stride = (size_t)src->width * (size_t)src->channels;
    for (int32_t y = 0; y < dst->height; y++) {
        const int32_t *weight = axis->weight + (size_t)y * (size_t)axis->taps;
        const uint8_t *row = src->data + (size_t)axis->first[y] * stride;
        uint8_t *out = dst->data + (size_t)y * stride;
        for (size_t i = 0; i < stride; i++) sum[i] = 1 << (FRACTION_BITS - 1);
        for (int32_t k = 0; k < axis->count[y]; k++, row += stride)
            for (size_t i = 0; i < stride; i++) sum[i] += row[i] * weight[k];
        for (size_t i = 0; i < stride; i++) out[i] = to_byte(sum[i]);
    }
}

static oxp_status new_raster(oxp_ctx *ctx, oxp_arena *arena, int32_t width, int32_t height,
                             int32_t channels, oxp_raster *out)
{
    size_t row;
    OXP_FAIL_IF(ctx, !oxp_mul_size((size_t)width, (size_t)channels, &row), OXP_ELIMIT,
                "picture resize: too large");
    *out = (oxp_raster){oxp_arena_alloc(arena, (size_t)height, row), width, height, channels};
    OXP_NOMEM_IF(ctx, out->data);
    return OXP_OK;
}

static void take_nearest(const oxp_raster *src, const oxp_raster *dst, int32_t *column)
{
    const double step_x = (double)src->width / dst->width,
                 step_y = (double)src->height / dst->height;
    const size_t channels = (size_t)src->channels;
    double x = step_x * 0.5, y = step_y * 0.5;
    for (int32_t i = 0; i < dst->width; i++, x += step_x) {
        column[i] = (int32_t)x;
        if (column[i] >= src->width)
            column[i] = src->width - 1; /* the sum may end a rounding error beyond */
    }
    for (int32_t j = 0; j < dst->height; j++, y += step_y) {
        const int32_t line = (int32_t)y < src->height ? (int32_t)y : src->height - 1;
        const uint8_t *row = src->data + (size_t)line * (size_t)src->width * channels;
        uint8_t *out = dst->data + (size_t)j * (size_t)dst->width * channels;
        for (int32_t i = 0; i < dst->width; i++)
            memcpy(out + (size_t)i * channels, row + (size_t)column[i] * channels, channels);
    }
}

static oxp_status filter_raster(oxp_ctx *ctx, const oxp_raster *src, oxp_filter filter,
                                oxp_raster *dst)
{
    oxp_raster middle = *src;
    axis_weights axis;
    if (dst->width != src->width) {
        middle = *dst;
        if (dst->height != src->height)
            OXP_TRY(new_raster(ctx, ctx->scratch, dst->width, src->height, src->channels, &middle));
        OXP_TRY(weigh_axis(ctx, src->width, dst->width, filter, &axis));
        switch (src->channels) {
        case 1:
            along_rows(src, &axis, &middle, 1);
            break;
        case 2:
            along_rows(src, &axis, &middle, 2);
            break;
        case 3:
            along_rows(src, &axis, &middle, 3);
            break;
        default:
            along_rows(src, &axis, &middle, 4);
            break;
        }
    }
    if (dst->height != src->height) {
        OXP_TRY(weigh_axis(ctx, src->height, dst->height, filter, &axis));
        int32_t *sum = oxp_arena_alloc(ctx->scratch, (size_t)dst->width * (size_t)dst->channels,
                                       sizeof(int32_t));
        OXP_NOMEM_IF(ctx, sum);
        along_columns(&middle, &axis, dst, sum);
    }
    return OXP_OK;
}

oxp_status oxp_resize_u8(oxp_ctx *ctx, oxp_arena *arena, const oxp_raster *src, int32_t width,
                         int32_t height, oxp_filter filter, oxp_raster *dst)
{
    OXP_FAIL_IF(ctx, (unsigned)filter >= OXP_FILTER_COUNT, OXP_EINVAL,
                "unknown resampling filter number %d", (int)filter);
    OXP_FAIL_IF(ctx, src->channels < 1 || src->channels > 4, OXP_EINVAL,
                "picture resize takes 1 to 4 channels, got %d", (int)src->channels);
    OXP_FAIL_IF(
        ctx,
        src->width < 1 || src->height < 1 || width < 1 || height < 1 || src->width > MAX_SIDE ||
            src->height > MAX_SIDE || width > MAX_SIDE || height > MAX_SIDE,
        OXP_EINVAL, "cannot resize a %d x %d picture to %d x %d: sides must be 1 to %d pixels",
        (int)src->width, (int)src->height, (int)width, (int)height, MAX_SIDE);
    if (width == src->width && height == src->height) {
        *dst = *src;
        return OXP_OK;
    }
    OXP_TRY(new_raster(ctx, arena, width, height, src->channels, dst));
    if (filter != OXP_FILTER_NEAREST) return filter_raster(ctx, src, filter, dst);
    int32_t *column = oxp_arena_alloc(ctx->scratch, (size_t)width, sizeof(int32_t));
    OXP_NOMEM_IF(ctx, column);
    take_nearest(src, dst, column);
    return OXP_OK;
}
