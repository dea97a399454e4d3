/* paint_series.c - a plotted curve per channel, coloured and thickened by its attribution, over a
 * strip that shows the attribution alone.
 *
 *      name  | curve of channel 0                      |   y labels: minimum and maximum
 *      name  | curve of channel 1                      |
 *            | strip: attribution (strongest channel)  |
 *            0        200        400        600            x: sample index
 *
 * More samples than pixel columns: each column draws the span of its samples. */
#include "render/axis.h"
#include "render/paint.h"
#include <math.h>
#include <stdio.h>

#define STRIP_H 16
#define TICKS_H 20

typedef struct plot {
    const oxp_painter *p;
    const oxp_subject *s;
    const oxp_field *field; /* or NULL */
    oxp_rect area;          /* of all curves */
    int64_t length;
    oxp_style label, name;
    double name_w; /* left of the curves; 0: one nameless channel */
} plot;

/* Attribution at x in [0,1] of the axis; channel -1: the strongest channel's. */
static float unit_at(const plot *g, int64_t channel, double x)
{
    const oxp_attribution *a = &g->field->raw;
    const int64_t n = a->dim[a->rank - 1], rows = a->rank == 2 ? a->dim[0] : 1;
    const double at = fmin(fmax(x * (double)n - 0.5, 0), (double)(n - 1));
    const int64_t i = (int64_t)at, j = i + 1 < n ? i + 1 : i;
    const float f = (float)(at - (double)i);
    const bool one = rows == 1 || (channel >= 0 && channel < rows);
    const int64_t from = !one || rows == 1 ? 0 : channel, to = one ? from + 1 : rows;
    float best = 0;
    for (int64_t r = from; r < to; r++) {
        const float *row = g->field->unit + r * n;
        const float v = row[i] + f * (row[j] - row[i]);
        if (isnan(v)) return NAN;
        if (fabsf(v) > fabsf(best)) best = v;
    }
    return best;
}

typedef struct mark {
    oxp_rgba colour;
    double width;
} mark;

/* How the curve looks at x in [0,1]: dark alone, else pale and thin where nothing is attributed. */
static mark mark_at(const plot *g, int64_t channel, double x)
{
    if (g->field == NULL) return (mark){OXP_HEX(0x303030), 1.4};
    const float unit = unit_at(g, channel, x);
    const double strength = isnan(unit) ? 0 : (double)oxp_colormap_alpha(&g->field->map, unit, 1);
    return (mark){oxp_mark_colour(g->field, unit, OXP_HEX(0x8A8A8A)), 1.4 + 1.4 * strength};
}

/* One step per sample or, where columns hold several samples, per column: its span and the way to
 * its first sample. A sample that is not finite lifts the pen. */
static void draw_curve(const plot *g, oxp_rect r, int64_t channel, double lo, double hi)
{
    const float *v = g->s->values + channel * g->length;
    const int64_t n = g->length, steps = n > 2 * (int64_t)r.w ? r.w : n;
    const double scale = hi > lo ? (r.h - 5) / (hi - lo) : 0;
    const double base = r.y + r.h - 2.5 - (hi > lo ? 0 : (r.h - 5) / 2.0);
    oxp_point previous = {0, 0};
    bool pen_down = false;
    for (int64_t i = 0; i < steps; i++) {
        const int64_t from = i * n / steps, to = (i + 1) * n / steps;
        const double along = ((double)i + 0.5) / (double)steps, x = r.x + along * r.w;
        float least, most;
        if (!isfinite(v[from]) || !oxp_finite_range(v + from, to - from, &least, &most)) {
            pen_down = false;
            continue;
        }
        const oxp_point here = {x, base - ((double)v[from] - lo) * scale};
        const oxp_point low = {x, base - ((double)least - lo) * scale};
        const oxp_point high = {x, base - ((double)most - lo) * scale};
        const mark m = mark_at(g, channel, along);
        if (pen_down) oxp_canvas_line(g->p->canvas, previous, here, m.width, m.colour);
        if (to - from > 1) oxp_canvas_line(g->p->canvas, low, high, m.width, m.colour);
        if (n == 1) oxp_canvas_line(g->p->canvas, here, here, 4, m.colour);
        previous = here;
        pen_down = true;
    }
}

static const char *channel_name(const oxp_subject *s, int64_t channel, char buf[OXP_LABEL_TEXT])
{
    if (s->names != NULL) return s->names[channel];
    snprintf(buf, OXP_LABEL_TEXT, "%lld", (long long)channel);
    return buf;
}

/* Room for the widest name, at most a fifth of the drawing. */
static double name_width(const plot *g, int64_t channels, int w)
{
    double widest = 0;
    char text[OXP_LABEL_TEXT];
    if (g->s->dim[0] == 1 && g->s->names == NULL) return 0;
    for (int64_t c = 0; c < channels; c++)
        widest =
            fmax(widest, oxp_text_width(g->p->fonts, &g->name, channel_name(g->s, c, text)) + 1);
    return fmin(widest, w / 5.0);
}

static void draw_channel(const plot *g, oxp_rect r, int64_t channel)
{
    float least, most;
    char text[OXP_LABEL_TEXT], number[OXP_LABEL_TEXT];
    oxp_finite_range(g->s->values + channel * g->length, g->length, &least, &most);
    const double lo = (double)least, hi = (double)most;
    oxp_canvas_fill(g->p->canvas, (oxp_rect){r.x, r.y + r.h - 1, r.w, 1}, OXP_RULE);
    if (lo < 0 && hi > 0) {
        const int zero = (int)lround(r.y + r.h - 2.5 + lo * (r.h - 5) / (hi - lo));
        oxp_canvas_fill(g->p->canvas, (oxp_rect){r.x, zero, r.w, 1}, OXP_HEX(0xECECEC));
    }
    draw_curve(g, r, channel, lo, hi);
    const double right = r.x - 6, ascent = oxp_text_ascent(&g->label);
    oxp_text_draw(g->p->fonts, g->p->canvas, right, r.y + ascent, OXP_ALIGN_RIGHT, &g->label,
                  oxp_number_label(hi, number));
    if (hi > lo)
        oxp_text_draw(g->p->fonts, g->p->canvas, right, r.y + r.h - 2, OXP_ALIGN_RIGHT, &g->label,
                      oxp_number_label(lo, number));
    if (g->name_w == 0) return;
    oxp_text_draw_fit(g->p->fonts, g->p->canvas, right, r.y + r.h / 2.0 + ascent / 2, g->name_w,
                      OXP_ALIGN_RIGHT, &g->name, channel_name(g->s, channel, text));
}

static void draw_strip(const plot *g, oxp_rect r)
{
    oxp_canvas_fill(g->p->canvas, r, OXP_HEX(0xF2F2F2));
    for (int x = 0; x < r.w; x++) {
        const float unit = unit_at(g, -1, (x + 0.5) / r.w);
        oxp_rgba colour = oxp_colormap_at(&g->field->map, unit);
        if (!isnan(unit))
            colour.a = (uint8_t)(oxp_colormap_alpha(&g->field->map, unit, 1) * 255 + 0.5f);
        oxp_canvas_fill(g->p->canvas, (oxp_rect){r.x + x, r.y, 1, r.h}, colour);
    }
}

static void draw_ticks(const plot *g, oxp_rect r)
{
    const int64_t step = (int64_t)fmax(1, oxp_axis_step((double)g->length, r.w / 70 + 1));
    char text[OXP_LABEL_TEXT];
    for (int64_t i = 0; i < g->length; i += step) {
        const double x = r.x + ((double)i + 0.5) / (double)g->length * r.w;
        oxp_canvas_fill(g->p->canvas, (oxp_rect){(int)x, r.y, 1, 4}, OXP_INK_SOFT);
        snprintf(text, sizeof text, "%lld", (long long)i);
        const double half = oxp_text_width(g->p->fonts, &g->label, text) / 2;
        if (x + half <= r.x + r.w + 4)
            oxp_text_draw(g->p->fonts, g->p->canvas, x, r.y + 5 + oxp_text_ascent(&g->label),
                          OXP_ALIGN_CENTRE, &g->label, text);
    }
}

oxp_status oxp_paint_series(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                            const oxp_field *field)
{
    const int64_t all = subject->dim[0];
    const int64_t channels = all < OXP_SERIES_MAX_CHANNELS ? all : OXP_SERIES_MAX_CHANNELS;
    const int size = to.w >= 600 ? 12 : 11, below = STRIP_H + 4 + TICKS_H;
    plot g = {.p = p,
              .s = subject,
              .field = field,
              .length = subject->dim[1],
              .label = {size, false, OXP_INK_SOFT},
              .name = {size, true, OXP_INK}};
    g.name_w = name_width(&g, channels, to.w);
    const int left = (int)fmax(to.w >= 240 ? 48 : 36, g.name_w + 8);
    g.area = (oxp_rect){to.x + left, to.y, to.w - left - 4, to.h - below};
    oxp_canvas_fill(p->canvas, to, OXP_PAPER);
    if (g.area.w < 8 || g.area.h < 8 * channels) return OXP_OK; /* no room for a legible plot */
    for (int64_t c = 0; c < channels; c++) {
        const int y0 = (int)(g.area.h * c / channels), y1 = (int)(g.area.h * (c + 1) / channels);
        draw_channel(
            &g, (oxp_rect){g.area.x, g.area.y + y0, g.area.w, y1 - y0 - (channels > 1 ? 4 : 0)}, c);
    }
    if (all > channels) {
        char text[64];
        snprintf(text, sizeof text, "first %lld of %lld channels", (long long)channels,
                 (long long)all);
        oxp_text_draw(p->fonts, p->canvas, g.area.x + g.area.w - 4,
                      g.area.y + oxp_text_ascent(&g.label) + 2, OXP_ALIGN_RIGHT, &g.label, text);
    }
    const int strip_y = g.area.y + g.area.h + 4;
    if (field != NULL) draw_strip(&g, (oxp_rect){g.area.x, strip_y, g.area.w, STRIP_H});
    const int ticks_y = strip_y + (field != NULL ? STRIP_H : -4);
    draw_ticks(&g, (oxp_rect){g.area.x, ticks_y, g.area.w, TICKS_H});
    return OXP_OK;
}
