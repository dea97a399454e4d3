/* canvas.h - an opaque 8-bit RGB picture in an arena, and the few drawing verbs that the pictures
 * of this room need.
 *
 * A canvas has no alpha channel: colours do, and every verb blends over what is there. Everything
 * is clipped to the canvas, so callers may draw past its edges. Coordinates: (0,0) is the top left
 * corner of the top left pixel, whose centre is (0.5,0.5); integer rectangles cover whole pixels.
 * Text is in text.h, resampled pictures in resample.h. */
#ifndef OXP_RENDER_CANVAS_H
#define OXP_RENDER_CANVAS_H

#include "base/ctx.h"

#define OXP_CANVAS_MAX_SIDE   32768
#define OXP_CANVAS_MAX_PIXELS ((int64_t)1 << 28)

typedef struct oxp_rgba {
    uint8_t r, g, b, a;
} oxp_rgba;

/* 0xRRGGBB, opaque. */
#define OXP_HEX(rgb) \
    ((oxp_rgba){(uint8_t)((rgb) >> 16), (uint8_t)((rgb) >> 8), (uint8_t)(rgb), 255})

typedef struct oxp_rect {
    int x, y, w, h;
} oxp_rect;

typedef struct oxp_canvas {
    int w, h;
    uint8_t *rgb; /* (h,w,3) */
} oxp_canvas;

/* A picture lent by the caller. */
typedef struct oxp_picture {
    int w, h;
    const uint8_t *rgb; /* (h,w,3) */
} oxp_picture;

/* OXP_ELIMIT above the limits, OXP_EINVAL for an empty one. */
oxp_status oxp_canvas_new(oxp_ctx *ctx, oxp_arena *arena, int w, int h, oxp_rgba fill,
                          oxp_canvas *out);
oxp_rect oxp_rect_intersect(oxp_rect a, oxp_rect b);
oxp_rect oxp_canvas_rect(const oxp_canvas *c);
oxp_picture oxp_canvas_picture(const oxp_canvas *c);

/* dst = dst + (colour - dst) * colour.a * coverage, coverage 0..255; outside the canvas nothing
 * happens. */
void oxp_canvas_blend(oxp_canvas *c, int x, int y, oxp_rgba colour, int coverage);
void oxp_canvas_fill(oxp_canvas *c, oxp_rect r, oxp_rgba colour);
/* Copies the picture so that its top left corner lies at (x,y). */
void oxp_canvas_blit(oxp_canvas *c, int x, int y, const oxp_picture *p);

typedef struct oxp_point {
    double x, y;
} oxp_point;

/* An anti-aliased line with round ends. */
void oxp_canvas_line(oxp_canvas *c, oxp_point from, oxp_point to, double width, oxp_rgba colour);

#endif
