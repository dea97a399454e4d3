/* paint.c - what the painters share: fields, subjects from tensors, sizes, dispatch by kind. */
#include "render/paint.h"
#include <math.h>

typedef struct painter_kind {
    const char *noun;
    int rank, other_rank; /* of its attribution; other_rank 0: only one */
    oxp_status (*paint)(const oxp_painter *, oxp_rect, const oxp_subject *, const oxp_field *);
} painter_kind;

static const painter_kind kinds[OXP_SUBJECT_KINDS] = {
    [OXP_SUBJECT_PICTURE] = {"picture", 2, 0, oxp_paint_picture},
    [OXP_SUBJECT_SERIES] = {"series", 1, 2, oxp_paint_series},
    [OXP_SUBJECT_VOLUME] = {"volume", 3, 0, oxp_paint_volume},
    [OXP_SUBJECT_TABLE] = {"table row", 1, 0, oxp_paint_table},
    [OXP_SUBJECT_TEXT] = {"text", 1, 0, oxp_paint_text},
};

static int64_t count_of(const oxp_attribution *a)
{
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++) n *= a->dim[i];
    return n;
}

oxp_status oxp_field_new(oxp_ctx *ctx, oxp_arena *arena, const oxp_subject *subject,
                         const oxp_attribution *a, const oxp_look *look, oxp_field *out)
{
    const painter_kind *kind = &kinds[subject->kind];
    OXP_FAIL_IF(ctx,
                a->rank != kind->rank && (kind->other_rank == 0 || a->rank != kind->other_rank),
                OXP_EINVAL, "a map over a %s has rank %d, this one has %d", kind->noun, kind->rank,
                a->rank);
    for (int i = 0; i < a->rank; i++)
        OXP_FAIL_IF(ctx, a->dim[i] < 1 || a->dim[i] > INT32_MAX / 4, OXP_EINVAL,
                    "a map needs 1 to %d values along each axis, this one has %lld", INT32_MAX / 4,
                    (long long)a->dim[i]);
    const bool each = subject->kind == OXP_SUBJECT_TABLE || subject->kind == OXP_SUBJECT_TEXT;
    OXP_FAIL_IF(ctx, each && a->dim[0] != subject->dim[0], OXP_EINVAL,
                "%lld attributions for a %s of %lld %s", (long long)a->dim[0], kind->noun,
                (long long)subject->dim[0],
                subject->kind == OXP_SUBJECT_TEXT ? "tokens" : "features");
    const int64_t n = count_of(a);
    *out = (oxp_field){.raw = *a};
    OXP_TRY(oxp_colormap_find(ctx, look->colormap, a->is_signed ? OXP_DIVERGING : OXP_SEQUENTIAL,
                              &out->map));
    /* Bars show their number by length: none may be clipped. */
    const double percentile = subject->kind == OXP_SUBJECT_TABLE ? 100 : look->percentile;
    OXP_TRY(oxp_scale_find(ctx, a->v, n, percentile, &out->scale));
    if (a->clip > 0) out->scale.clip = a->clip;
    out->alpha = look->alpha > 0 ? (float)fmin(look->alpha, 1) : 0.7f;
    out->unit = oxp_arena_alloc(arena, (size_t)n, sizeof(float));
    OXP_NOMEM_IF(ctx, out->unit);
    oxp_scale_apply(&out->scale, out->map.kind == OXP_DIVERGING, a->v, n, out->unit);
    return OXP_OK;
}

uint8_t oxp_grey_byte(float v, float lo, float hi)
{
    if (!isfinite(v) || !(hi > lo)) return 128;
    return (uint8_t)(((double)v - (double)lo) / ((double)hi - (double)lo) * 255 + 0.5);
}

/* v (C,H,W), C = 1 or 3, to a picture. */
static oxp_status picture_of(oxp_ctx *ctx, oxp_arena *arena, const float *v, int64_t channels,
                             int64_t h, int64_t w, oxp_subject *out)
{
    OXP_FAIL_IF(ctx, h > OXP_CANVAS_MAX_SIDE || w > OXP_CANVAS_MAX_SIDE, OXP_ELIMIT,
                "an input of %lldx%lld is too large to draw", (long long)w, (long long)h);
    const int64_t plane = h * w;
    float lo, hi;
    oxp_finite_range(v, channels * plane, &lo, &hi);
    uint8_t *rgb = oxp_arena_alloc(arena, (size_t)plane, 3);
    OXP_NOMEM_IF(ctx, rgb);
    for (int64_t i = 0; i < plane; i++)
        for (int64_t c = 0; c < 3; c++)
            rgb[3 * i + c] = oxp_grey_byte(v[(channels == 3 ? c * plane : 0) + i], lo, hi);
    const int64_t longest = h > w ? h : w;
    *out = (oxp_subject){.kind = OXP_SUBJECT_PICTURE, .picture = {(int)w, (int)h, rgb}};
    out->zoom = longest < 128 ? (int)((384 + longest - 1) / longest) : 1;
    return OXP_OK;
}

/* t as float32 with its channel axis first, averaged to one channel unless it has one or `keep`. */
static oxp_status channels_first(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *t, int axis,
                                 bool keep, float **out)
{
    const int64_t n = oxp_shape_elements(&t->shape), c = axis < 0 ? 1 : t->shape.dim[axis];
    int64_t inner = 1;
    for (int i = axis + 1; axis >= 0 && i < t->shape.rank; i++) inner *= t->shape.dim[i];
    const int64_t plane = n / c, outer = axis < 0 ? 1 : plane / inner;
    float *v = oxp_arena_alloc(arena, (size_t)n, sizeof *v), *first = v;
    OXP_NOMEM_IF(ctx, v);
    oxp_convert(v, OXP_F32, t->data, t->dtype, n);
    if (c > 1 && outer > 1) {
        first = oxp_arena_alloc(arena, (size_t)n, sizeof *first);
        OXP_NOMEM_IF(ctx, first);
        for (int64_t o = 0; o < outer; o++)
            for (int64_t k = 0; k < c; k++)
                for (int64_t i = 0; i < inner; i++)
                    first[k * plane + o * inner + i] = v[(o * c + k) * inner + i];
    }
    for (int64_t i = 0; i < plane && c > 1 && !keep; i++) {
        double sum = 0;
        for (int64_t k = 0; k < c; k++) sum += (double)first[k * plane + i];
        first[i] = (float)(sum / (double)c);
    }
    *out = first;
    return OXP_OK;
}

oxp_status oxp_subject_of_tensor(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *t,
                                 int channel_axis, oxp_subject *out)
{
    const int axis = channel_axis < t->shape.rank ? channel_axis : -1;
    const int spatial = t->shape.rank - (axis >= 0);
    OXP_FAIL_IF(ctx, t->shape.rank < 1 || spatial > 3 || oxp_shape_elements(&t->shape) < 1,
                OXP_EINVAL, "cannot draw an input with %d spatial axes; 0 to 3 are drawn", spatial);
    int64_t dim[4] = {0};
    for (int i = 0, k = 0; i < t->shape.rank; i++)
        if (i != axis) dim[k++] = t->shape.dim[i];
    const int64_t c = axis < 0 ? 1 : t->shape.dim[axis];
    const bool table = spatial == 0 || (spatial == 1 && axis < 0);
    float *v;
    const bool keep = spatial <= 1 || (spatial == 2 && c == 3);
    OXP_TRY(channels_first(ctx, arena, t, axis, keep, &v));
    if (spatial == 2) return picture_of(ctx, arena, v, keep ? 3 : 1, dim[0], dim[1], out);
    *out = (oxp_subject){.values = v, .focus = {0.5, 0.5, 0.5}};
    if (spatial == 3) {
        out->kind = OXP_SUBJECT_VOLUME;
        for (int i = 0; i < 3; i++) out->dim[i] = dim[i];
    } else {
        out->kind = table ? OXP_SUBJECT_TABLE : OXP_SUBJECT_SERIES;
        out->dim[0] = table ? oxp_shape_elements(&t->shape) : c;
        out->dim[1] = table ? 1 : dim[0];
        out->dim[2] = 1;
    }
    return OXP_OK;
}

void oxp_subject_set_focus(oxp_subject *subject, const oxp_attribution *a)
{
    if (subject->kind != OXP_SUBJECT_VOLUME || a->rank != 3) return;
    int64_t best = -1;
    const int64_t n = count_of(a);
    for (int64_t i = 0; i < n; i++)
        if (isfinite(a->v[i]) && (best < 0 || fabsf(a->v[i]) > fabsf(a->v[best]))) best = i;
    if (best < 0 || a->v[best] == 0) return;
    const int64_t h = a->dim[1], w = a->dim[2];
    const int64_t at[3] = {best / (h * w), best / w % h, best % w};
    for (int i = 0; i < 3; i++) subject->focus[i] = ((double)at[i] + 0.5) / (double)a->dim[i];
}

static int volume_height(const oxp_subject *s, int w)
{
    const double across = (double)(2 * s->dim[2] + s->dim[1]);
    const double tallest = (double)(s->dim[1] > s->dim[0] ? s->dim[1] : s->dim[0]);
    return (int)fmin(fmax(w * tallest / across, 1), 4.0 * w) + 20;
}

int oxp_subject_height(const oxp_subject *s, oxp_fonts *fonts, int w)
{
    const int64_t channels =
        s->dim[0] < OXP_SERIES_MAX_CHANNELS ? s->dim[0] : OXP_SERIES_MAX_CHANNELS;
    const int64_t rows = s->dim[0] < OXP_TABLE_MAX_ROWS ? s->dim[0] : OXP_TABLE_MAX_ROWS;
    switch (s->kind) {
    case OXP_SUBJECT_SERIES:
        return (channels == 1 ? 200 : (int)channels * 80) + 40;
    case OXP_SUBJECT_VOLUME:
        return volume_height(s, w);
    case OXP_SUBJECT_TABLE:
        return (int)rows * 22 + 22;
    case OXP_SUBJECT_TEXT:
        return oxp_text_height(s, fonts, w);
    default:
        return (int)fmin(fmax((double)w * s->picture.h / s->picture.w, 1), 1.6 * w);
    }
}

void oxp_subject_size(const oxp_subject *s, oxp_fonts *fonts, int *w, int *h)
{
    const int zoom = s->zoom > 1 ? s->zoom : 1;
    if (s->kind == OXP_SUBJECT_PICTURE) {
        *w = s->picture.w * zoom;
        *h = s->picture.h * zoom;
        return;
    }
    *w = s->kind == OXP_SUBJECT_TABLE || s->kind == OXP_SUBJECT_TEXT ? 760 : 1000;
    *h = oxp_subject_height(s, fonts, *w);
}

oxp_rgba oxp_bar_colour(const oxp_field *field, float unit)
{
    const float least = field->map.kind == OXP_DIVERGING ? 0.45f : 0.2f;
    const float strength = least + (1 - least) * fabsf(unit);
    return oxp_colormap_at(&field->map, unit < 0 ? -strength : strength);
}

oxp_rgba oxp_mark_colour(const oxp_field *field, float unit, oxp_rgba plain)
{
    if (isnan(unit)) return OXP_BAD_COLOUR;
    const float part = oxp_colormap_alpha(&field->map, unit, 1);
    const oxp_rgba full = oxp_bar_colour(field, unit);
    return (oxp_rgba){(uint8_t)(plain.r + part * (full.r - plain.r) + 0.5f),
                      (uint8_t)(plain.g + part * (full.g - plain.g) + 0.5f),
                      (uint8_t)(plain.b + part * (full.b - plain.b) + 0.5f), 255};
}

oxp_status oxp_paint(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                     const oxp_field *field)
{
    if (to.w < 1 || to.h < 1) return OXP_OK;
    return kinds[subject->kind].paint(p, to, subject, field);
}
