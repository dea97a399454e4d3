/* canvas.c - see canvas.h. */
#include "render/canvas.h"
#include <math.h>
#include <string.h>

oxp_status oxp_canvas_new(oxp_ctx *ctx, oxp_arena *arena, int w, int h, oxp_rgba fill,
                          oxp_canvas *out)
{
    OXP_FAIL_IF(ctx, w < 1 || h < 1, OXP_EINVAL,
                "a picture needs at least one pixel, this one would be %dx%d", w, h);
    OXP_FAIL_IF(ctx,
                w > OXP_CANVAS_MAX_SIDE || h > OXP_CANVAS_MAX_SIDE ||
                    (int64_t)w * h > OXP_CANVAS_MAX_PIXELS,
                OXP_ELIMIT,
                "a picture of %dx%d pixels exceeds the limit of %d a side and %lld in all", w, h,
                OXP_CANVAS_MAX_SIDE, (long long)OXP_CANVAS_MAX_PIXELS);
    uint8_t *rgb = oxp_arena_alloc(arena, (size_t)w * (size_t)h, 3);
    OXP_NOMEM_IF(ctx, rgb);
    *out = (oxp_canvas){w, h, rgb};
    oxp_canvas_fill(out, oxp_canvas_rect(out), fill);
    return OXP_OK;
}

oxp_rect oxp_canvas_rect(const oxp_canvas *c)
{
    return (oxp_rect){0, 0, c->w, c->h};
}
oxp_picture oxp_canvas_picture(const oxp_canvas *c)
{
    return (oxp_picture){c->w, c->h, c->rgb};
}

oxp_rect oxp_rect_intersect(oxp_rect a, oxp_rect b)
{
    const int x0 = a.x > b.x ? a.x : b.x, y0 = a.y > b.y ? a.y : b.y;
    const int x1 = a.x + a.w < b.x + b.w ? a.x + a.w : b.x + b.w;
    const int y1 = a.y + a.h < b.y + b.h ? a.y + a.h : b.y + b.h;
    return (oxp_rect){x0, y0, x1 > x0 ? x1 - x0 : 0, y1 > y0 ? y1 - y0 : 0};
}

static uint8_t *pixel(const oxp_canvas *c, int x, int y)
{
    return c->rgb + 3 * ((size_t)y * (size_t)c->w + (size_t)x);
}

static uint8_t mix(uint8_t from, uint8_t to, int alpha)
{
    return (uint8_t)((from * (255 - alpha) + to * alpha + 127) / 255);
}

static void blend(uint8_t *px, oxp_rgba colour, int alpha)
{
    px[0] = mix(px[0], colour.r, alpha);
    px[1] = mix(px[1], colour.g, alpha);
    px[2] = mix(px[2], colour.b, alpha);
}

void oxp_canvas_blend(oxp_canvas *c, int x, int y, oxp_rgba colour, int coverage)
{
    if (x < 0 || y < 0 || x >= c->w || y >= c->h) return;
    blend(pixel(c, x, y), colour, (colour.a * coverage + 127) / 255);
}

void oxp_canvas_fill(oxp_canvas *c, oxp_rect r, oxp_rgba colour)
{
    r = oxp_rect_intersect(r, oxp_canvas_rect(c));
    for (int y = r.y; y < r.y + r.h; y++) {
        uint8_t *px = pixel(c, r.x, y);
        for (int x = 0; x < r.w; x++, px += 3) {
            if (colour.a == 255)
                memcpy(px, &colour, 3);
            else
                blend(px, colour, colour.a);
        }
    }
}

void oxp_canvas_blit(oxp_canvas *c, int x, int y, const oxp_picture *p)
{
    const oxp_rect r = oxp_rect_intersect((oxp_rect){x, y, p->w, p->h}, oxp_canvas_rect(c));
    for (int row = r.y; row < r.y + r.h && r.w > 0; row++) {
        const uint8_t *src = p->rgb + 3 * ((size_t)(row - y) * (size_t)p->w + (size_t)(r.x - x));
        memcpy(pixel(c, r.x, row), src, 3 * (size_t)r.w);
    }
}

/* Distance of (x,y) to the segment a-b. */
static double segment_distance(double x, double y, oxp_point a, oxp_point b)
{
    const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? ((x - a.x) * dx + (y - a.y) * dy) / length2 : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - a.x - t * dx, y - a.y - t * dy);
}

/* Pixels [from, to) of an axis of `size` that the interval lo..hi widened by `reach` touches. */
static void touched(double lo, double hi, double reach, int size, int *from, int *to)
{
    const double first = floor(fmin(lo, hi) - reach), last = ceil(fmax(lo, hi) + reach);
    *from = first < 0 ? 0 : first > size ? size : (int)first;
    *to = last < 0 ? 0 : last > size ? size : (int)last;
}

/* Coverage = width/2 + 1/2 - distance of the pixel centre, clamped to 0..1; lines thinner than a
 * pixel are paler. */
void oxp_canvas_line(oxp_canvas *c, oxp_point from, oxp_point to, double width, oxp_rgba colour)
{
    if (!isfinite(from.x + from.y + to.x + to.y) || !(width > 0)) return;
    const double half = fmax(width, 1) / 2 + 0.5, strength = fmin(width, 1) * 255;
    int x0, x1, y0, y1;
    touched(from.x, to.x, half, c->w, &x0, &x1);
    touched(from.y, to.y, half, c->h, &y0, &y1);
    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            const double cover = half - segment_distance(x + 0.5, y + 0.5, from, to);
            if (cover > 0)
                oxp_canvas_blend(c, x, y, colour, (int)(fmin(cover, 1) * strength + 0.5));
        }
    }
}
