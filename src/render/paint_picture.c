/* paint_picture.c - a map over a picture.
 *
 * The picture fills the rectangle; the map lies on its crop box only, interpolated, its opacity
 * growing with strength. Outside the crop box the picture is greyed and darkened: the model never
 * saw that part. Under a signed map the picture is grey and paler, because blue and red over a
 * coloured photo cannot be told from the photo's own colours. */
#include "render/paint.h"
#include <math.h>

static uint8_t luma(const uint8_t *px)
{
    return (uint8_t)((299 * px[0] + 587 * px[1] + 114 * px[2] + 500) / 1000);
}

static oxp_rect inside_of(oxp_rect to, const oxp_subject *s)
{
    if (s->crop.w <= 0 || s->crop.h <= 0) return to;
    const double sx = (double)to.w / s->picture.w, sy = (double)to.h / s->picture.h;
    const double x0 = fmin(fmax(s->crop.x * sx, 0), to.w), y0 = fmin(fmax(s->crop.y * sy, 0), to.h);
    const double x1 = fmin(fmax((s->crop.x + s->crop.w) * sx, 0), to.w);
    const double y1 = fmin(fmax((s->crop.y + s->crop.h) * sy, 0), to.h);
    return (oxp_rect){to.x + (int)lround(x0), to.y + (int)lround(y0),
                      (int)lround(x1) - (int)lround(x0), (int)lround(y1) - (int)lround(y0)};
}

static void tone(uint8_t *px, int grey_percent, int towards, int towards_percent)
{
    const int grey = luma(px);
    for (int c = 0; c < 3; c++) {
        const int v = px[c] + (grey - px[c]) * grey_percent / 100;
        px[c] = (uint8_t)(v + (towards - v) * towards_percent / 100);
    }
}

static bool holds(oxp_rect r, int x, int y)
{
    return x >= r.x && x < r.x + r.w && y >= r.y && y < r.y + r.h;
}

/* Greys what the model did not see, and fades what lies under a signed map. */
static void prepare_base(const oxp_painter *p, oxp_rect to, oxp_rect inside, bool fade)
{
    const oxp_rect r = oxp_rect_intersect(to, oxp_canvas_rect(p->canvas));
    for (int y = r.y; y < r.y + r.h; y++) {
        uint8_t *px = p->canvas->rgb + 3 * ((size_t)y * (size_t)p->canvas->w + (size_t)r.x);
        for (int x = r.x; x < r.x + r.w; x++, px += 3) {
            if (!holds(inside, x, y))
                tone(px, 80, 60, 45);
            else if (fade)
                tone(px, 85, 255, 45);
        }
    }
}

typedef struct veil {
    oxp_canvas *canvas;
    oxp_rect to;
    const oxp_field *field;
} veil;

/* row: (w,2) value times validity, validity. What is not finite is hatched grey. */
static void lay_row(void *user, int y, const float *row)
{
    const veil *v = user;
    for (int x = 0; x < v->to.w; x++, row += 2) {
        if (row[1] < 0.5f) {
            const oxp_rgba hatch = (x + y) / 3 % 2 == 0 ? OXP_BAD_COLOUR : OXP_HEX(0x4A4A4A);
            oxp_canvas_blend(v->canvas, v->to.x + x, v->to.y + y, hatch, 255);
            continue;
        }
        const float unit = row[0] / row[1];
        const float alpha = oxp_colormap_alpha(&v->field->map, unit, v->field->alpha);
        oxp_canvas_blend(v->canvas, v->to.x + x, v->to.y + y, oxp_colormap_at(&v->field->map, unit),
                         (int)(alpha * 255 + 0.5f));
    }
}

/* The map over `inside`, which shows the part `crop` of the picture drawn in `to`. */
static oxp_status lay_map(const oxp_painter *p, oxp_rect to, oxp_rect inside, const oxp_subject *s,
                          const oxp_field *field)
{
    const int h = (int)field->raw.dim[0], w = (int)field->raw.dim[1];
    const size_t n = (size_t)h * (size_t)w;
    float *pairs = oxp_arena_alloc(p->ctx->scratch, n, 2 * sizeof(float)); /* (h,w,2) */
    OXP_NOMEM_IF(p->ctx, pairs);
    for (size_t i = 0; i < n; i++) {
        const bool good = !isnan(field->unit[i]);
        pairs[2 * i] = good ? field->unit[i] : 0;
        pairs[2 * i + 1] = good;
    }
    const bool all = s->crop.w <= 0 || s->crop.h <= 0;
    const oxp_box crop = all ? (oxp_box){0, 0, s->picture.w, s->picture.h} : s->crop;
    const double px = (double)s->picture.w / to.w, py = (double)s->picture.h / to.h;
    const double fx = w / crop.w, fy = h / crop.h; /* map samples per picture pixel */
    const oxp_box box = {((inside.x - to.x) * px - crop.x) * fx,
                         ((inside.y - to.y) * py - crop.y) * fy, inside.w * px * fx,
                         inside.h * py * fy};
    const oxp_samples src = {w, h, 2, NULL, pairs};
    veil v = {p->canvas, inside, field};
    return oxp_resample(p->ctx, &src, box, inside.w, inside.h, lay_row, &v);
}

oxp_status oxp_paint_picture(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                             const oxp_field *field)
{
    OXP_TRY(oxp_canvas_blit_scaled(p->ctx, p->canvas, to, &subject->picture));
    if (field == NULL) return OXP_OK;
    const oxp_rect inside = inside_of(to, subject);
    prepare_base(p, to, inside, field->map.kind == OXP_DIVERGING);
    return lay_map(p, to, inside, subject, field);
}
