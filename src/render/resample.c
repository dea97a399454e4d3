/* resample.c - see resample.h. First all needed rows are filtered horizontally, then each output
 * row is a weighted sum of those. Weights of one axis are computed once: for output i with centre
 * c = start + (i + 1/2) scale and reach s = max(1, scale), source k weighs
 * max(0, 1 - |k + 1/2 - c| / s), normalised to sum 1. */
#include "render/resample.h"
#include <math.h>
#include <string.h>

typedef struct taps {
    int reach;     /* most taps of one output */
    int *first;    /* (n) first source index */
    int *count;    /* (n) */
    float *weight; /* (n,reach) */
} taps;

static void weigh(const taps *t, int i, double centre, double support, int size)
{
    centre = centre < 0.5 ? 0.5 : centre > size - 0.5 ? size - 0.5 : centre;
    int from = (int)floor(centre - support), to = (int)ceil(centre + support);
    from = from < 0 ? 0 : from;
    to = to > size ? size : to;
    float *w = t->weight + (size_t)i * (size_t)t->reach;
    double sum = 0;
    for (int k = from; k < to; k++) sum += fmax(0, 1 - fabs(k + 0.5 - centre) / support);
    for (int k = from; k < to; k++)
        w[k - from] = (float)(fmax(0, 1 - fabs(k + 0.5 - centre) / support) / sum);
    t->first[i] = from;
    t->count[i] = to - from;
}

/* Taps of n outputs that cover [start, start + length) of an axis of `size`. */
static oxp_status make_taps(oxp_ctx *ctx, double start, double length, int n, int size, taps *t)
{
    const double scale = length / n, support = fmin(fmax(1, scale), size + 1.0);
    t->reach = 2 * (int)ceil(support) + 1;
    t->first = oxp_arena_alloc(ctx->scratch, (size_t)n, sizeof *t->first);
    t->count = oxp_arena_alloc(ctx->scratch, (size_t)n, sizeof *t->count);
    t->weight = oxp_arena_alloc(ctx->scratch, (size_t)n * (size_t)t->reach, sizeof *t->weight);
    OXP_NOMEM_IF(ctx, t->first);
    OXP_NOMEM_IF(ctx, t->count);
    OXP_NOMEM_IF(ctx, t->weight);
    for (int i = 0; i < n; i++) weigh(t, i, start + (i + 0.5) * scale, support, size);
    return OXP_OK;
}

static void load_row(const oxp_samples *src, int y, float *row /* (w,c) */)
{
    const size_t n = (size_t)src->w * (size_t)src->channels, at = (size_t)y * n;
    if (src->f32 != NULL) {
        memcpy(row, src->f32 + at, n * sizeof *row);
        return;
    }
    for (size_t i = 0; i < n; i++) row[i] = src->u8[at + i];
}

static void filter_row(const taps *t, int w, int channels, const float *row, float *out /* (w,c) */)
{
    for (int i = 0; i < w; i++) {
        const float *weight = t->weight + (size_t)i * (size_t)t->reach;
        const float *in = row + (size_t)t->first[i] * (size_t)channels;
        for (int ch = 0; ch < channels; ch++) {
            float sum = 0;
            for (int k = 0; k < t->count[i]; k++) sum += weight[k] * in[k * channels + ch];
            out[i * channels + ch] = sum;
        }
    }
}

oxp_status oxp_resample(oxp_ctx *ctx, const oxp_samples *src, oxp_box box, int w, int h,
                        oxp_row_fn emit, void *user)
{
    if (w < 1 || h < 1) return OXP_OK;
    OXP_FAIL_IF(ctx, src->w < 1 || src->h < 1 || !(box.w > 0) || !(box.h > 0), OXP_EINVAL,
                "cannot resample %gx%g of a %dx%d map", box.w, box.h, src->w, src->h);
    taps tx, ty;
    OXP_TRY(make_taps(ctx, box.x, box.w, w, src->w, &tx));
    OXP_TRY(make_taps(ctx, box.y, box.h, h, src->h, &ty));
    const int y0 = ty.first[0], y1 = ty.first[h - 1] + ty.count[h - 1];
    const size_t n = (size_t)w * (size_t)src->channels;
    float *wide =
        oxp_arena_alloc(ctx->scratch, (size_t)src->w, (size_t)src->channels * sizeof(float));
    float *rows =
        oxp_arena_alloc(ctx->scratch, (size_t)(y1 - y0), n * sizeof(float)); /* (y1-y0,w,c) */
    float *out = oxp_arena_alloc(ctx->scratch, n, sizeof(float));
    OXP_NOMEM_IF(ctx, wide);
    OXP_NOMEM_IF(ctx, rows);
    OXP_NOMEM_IF(ctx, out);
    for (int y = y0; y < y1; y++) {
        load_row(src, y, wide);
        filter_row(&tx, w, src->channels, wide, rows + (size_t)(y - y0) * n);
    }
    for (int y = 0; y < h; y++) {
        memset(out, 0, n * sizeof *out);
        for (int k = 0; k < ty.count[y]; k++) {
            const float weight = ty.weight[(size_t)y * (size_t)ty.reach + (size_t)k];
            const float *in = rows + (size_t)(ty.first[y] + k - y0) * n;
            for (size_t i = 0; i < n; i++) out[i] += weight * in[i];
        }
        emit(user, y, out);
    }
    return OXP_OK;
}

typedef struct target {
    oxp_canvas *canvas;
    oxp_rect to;
} target;

static void store_row(void *user, int y, const float *row /* (w,3) */)
{
    const target *t = user;
    for (int x = 0; x < t->to.w; x++, row += 3) {
        const oxp_rgba colour = {(uint8_t)(row[0] + 0.5f), (uint8_t)(row[1] + 0.5f),
                                 (uint8_t)(row[2] + 0.5f), 255};
        oxp_canvas_blend(t->canvas, t->to.x + x, t->to.y + y, colour, 255);
    }
}

static void blit_nearest(oxp_canvas *c, oxp_rect to, const oxp_picture *p)
{
    for (int y = 0; y < to.h; y++) {
        for (int x = 0; x < to.w; x++) {
            const int sx = (int)((int64_t)x * p->w / to.w), sy = (int)((int64_t)y * p->h / to.h);
            const uint8_t *px = p->rgb + 3 * ((size_t)sy * (size_t)p->w + (size_t)sx);
            oxp_canvas_blend(c, to.x + x, to.y + y, (oxp_rgba){px[0], px[1], px[2], 255}, 255);
        }
    }
}

oxp_status oxp_canvas_blit_scaled(oxp_ctx *ctx, oxp_canvas *c, oxp_rect to, const oxp_picture *p)
{
    if (to.w == p->w && to.h == p->h) {
        oxp_canvas_blit(c, to.x, to.y, p);
        return OXP_OK;
    }
    if (to.w >= 3 * p->w && to.h >= 3 * p->h) {
        blit_nearest(c, to, p);
        return OXP_OK;
    }
    const oxp_samples src = {p->w, p->h, 3, p->rgb, NULL};
    target t = {c, to};
    return oxp_resample(ctx, &src, (oxp_box){0, 0, p->w, p->h}, to.w, to.h, store_row, &t);
}
