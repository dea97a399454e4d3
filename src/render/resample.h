/* resample.h - pictures and maps at another size: separable triangle filter with half-pixel
 * centres.
 *
 * When enlarging this is bilinear interpolation; when shrinking the triangle widens with the scale,
 * so that nothing is skipped. Edges: taps outside the source are dropped and the rest renormalised.
 * Rows are handed out one by one, top to bottom, so that a small map over a large photo never
 * exists at the photo's size. */
#ifndef OXP_RENDER_RESAMPLE_H
#define OXP_RENDER_RESAMPLE_H

#include "base/ctx.h"
#include "render/canvas.h"

/* Interleaved channels; exactly one of u8 and f32 is set. Values must be finite. */
typedef struct oxp_samples {
    int w, h, channels;
    const uint8_t *u8; /* (h,w,channels) */
    const float *f32;  /* (h,w,channels) */
} oxp_samples;

/* A box in source pixels; may reach past the source (the edge then continues). */
typedef struct oxp_box {
    double x, y, w, h;
} oxp_box;

typedef void (*oxp_row_fn)(void *user, int y, const float *row /* (w,channels) */);

/* Maps `box` of the source onto (h,w) and calls emit for each row. Temporaries: ctx->scratch. */
oxp_status oxp_resample(oxp_ctx *ctx, const oxp_samples *src, oxp_box box, int w, int h,
                        oxp_row_fn emit, void *user);

/* The whole picture onto a rectangle of the canvas; one enlarged three times or more keeps its
 * pixels visible as squares, which is what a reader of a 28x28 input wants to see. */
oxp_status oxp_canvas_blit_scaled(oxp_ctx *ctx, oxp_canvas *c, oxp_rect to, const oxp_picture *p);

#endif
