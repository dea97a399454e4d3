/* paint_volume.c - three orthogonal slices of a volume (D,H,W), side by side, through its focus:
 *
 *      (H,W) at d      (D,W) at h      (D,H) at w
 *
 * each a grey picture with its slice of the map over it. Slices of the map lie at the same relative
 * place, interpolated between its two nearest planes; voxels are taken as cubes. */
#include "render/paint.h"
#include <math.h>
#include <stdio.h>

#define GAP     8
#define LABEL_H 20

/* One slice: the axis that is cut, and those that run down and across. */
typedef struct cut {
    int axis, down, across;
} cut;
static const cut cuts[3] = {{0, 1, 2}, {1, 0, 2}, {2, 0, 1}};

/* out (h,w) = the plane of v (dim) at position `at` in 0..1 of the cut axis; linear between planes
 * where the map is coarser than what it lies on. */
static void slice(const float *v, const int64_t dim[3], cut c, double at, bool nearest, float *out)
{
    const int64_t stride[3] = {dim[1] * dim[2], dim[2], 1};
    const double centre = fmin(fmax(at * (double)dim[c.axis] - 0.5, 0), (double)(dim[c.axis] - 1));
    const int64_t i = nearest ? (int64_t)lround(centre) : (int64_t)centre;
    const int64_t j = nearest || i + 1 >= dim[c.axis] ? i : i + 1;
    const float f = nearest ? 0 : (float)(centre - (double)i);
    for (int64_t y = 0; y < dim[c.down]; y++) {
        for (int64_t x = 0; x < dim[c.across]; x++) {
            const float *p = v + y * stride[c.down] + x * stride[c.across];
            const float a = p[i * stride[c.axis]], b = p[j * stride[c.axis]];
            out[y * dim[c.across] + x] = a + f * (b - a);
        }
    }
}

static oxp_status slice_picture(oxp_ctx *ctx, const oxp_subject *s, cut c, float lo, float hi,
                                oxp_subject *out)
{
    const int64_t h = s->dim[c.down], w = s->dim[c.across];
    float *plane = oxp_arena_alloc(ctx->scratch, (size_t)(h * w), sizeof *plane);
    uint8_t *rgb = oxp_arena_alloc(ctx->scratch, (size_t)(h * w), 3);
    OXP_NOMEM_IF(ctx, plane);
    OXP_NOMEM_IF(ctx, rgb);
    slice(s->values, s->dim, c, s->focus[c.axis], true, plane);
    for (int64_t i = 0; i < h * w; i++) {
        const uint8_t grey = oxp_grey_byte(plane[i], lo, hi);
        rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey;
    }
    *out = (oxp_subject){.kind = OXP_SUBJECT_PICTURE, .picture = {(int)w, (int)h, rgb}};
    return OXP_OK;
}

static oxp_status slice_field(oxp_ctx *ctx, const oxp_field *f, cut c, double at, oxp_field *out)
{
    const int64_t h = f->raw.dim[c.down], w = f->raw.dim[c.across];
    *out = *f;
    out->raw.rank = 2;
    out->raw.dim[0] = h;
    out->raw.dim[1] = w;
    out->unit = oxp_arena_alloc(ctx->scratch, (size_t)(h * w), sizeof(float));
    OXP_NOMEM_IF(ctx, out->unit);
    slice(f->unit, f->raw.dim, c, at, false, out->unit);
    return OXP_OK;
}

static oxp_status paint_slice(const oxp_painter *p, oxp_rect to, const oxp_subject *s,
                              const oxp_field *field, cut c, float lo, float hi)
{
    oxp_subject picture;
    oxp_field plane;
    OXP_TRY(slice_picture(p->ctx, s, c, lo, hi, &picture));
    if (field != NULL) OXP_TRY(slice_field(p->ctx, field, c, s->focus[c.axis], &plane));
    OXP_TRY(oxp_paint_picture(p, to, &picture, field != NULL ? &plane : NULL));
    char text[32];
    const int64_t index =
        (int64_t)fmin(s->focus[c.axis] * (double)s->dim[c.axis], (double)(s->dim[c.axis] - 1));
    snprintf(text, sizeof text, "%c = %lld", "DHW"[c.axis], (long long)index);
    const oxp_style style = {11, false, OXP_INK_SOFT};
    oxp_text_draw_fit(p->fonts, p->canvas, to.x + to.w / 2.0,
                      to.y + to.h + 4 + oxp_text_ascent(&style), to.w, OXP_ALIGN_CENTRE, &style,
                      text);
    return OXP_OK;
}

oxp_status oxp_paint_volume(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                            const oxp_field *field)
{
    const int64_t *dim = subject->dim;
    float lo, hi;
    for (int i = 0; i < 3; i++)
        OXP_FAIL_IF(p->ctx, dim[i] > OXP_CANVAS_MAX_SIDE, OXP_ELIMIT,
                    "a volume with an axis of %lld voxels is too large to draw", (long long)dim[i]);
    /* Grey levels from minimum to maximum: a percentile window could hide a lesion. */
    oxp_finite_range(subject->values, dim[0] * dim[1] * dim[2], &lo, &hi);
    const double across = (double)(2 * dim[2] + dim[1]),
                 tallest = (double)(dim[1] > dim[0] ? dim[1] : dim[0]);
    const double scale = fmin((to.w - 2 * GAP) / across, (to.h - LABEL_H) / tallest);
    double x = to.x + (to.w - 2 * GAP - across * scale) / 2;
    oxp_canvas_fill(p->canvas, to, OXP_PAPER);
    for (int i = 0; i < 3; i++) {
        const double w = (double)dim[cuts[i].across] * scale, h = (double)dim[cuts[i].down] * scale;
        const oxp_rect r = {(int)lround(x), to.y + (int)lround((tallest * scale - h) / 2),
                            (int)lround(fmax(w, 1)), (int)lround(fmax(h, 1))};
        OXP_TRY(paint_slice(p, r, subject, field, cuts[i], lo, hi));
        x += w + GAP;
    }
    return OXP_OK;
}
