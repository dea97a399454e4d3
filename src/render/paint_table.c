/* paint_table.c - horizontal bars, the features with the largest |attribution| first:
 *
 *      mean radius = 17.9   |##########| 0.41
 *      texture = 10.4    |##|            -0.08
 *
 * Bars of a signed map start at a common zero line; numbers are the raw attributions. */
#include "render/axis.h"
#include "render/paint.h"
#include <math.h>
#include <stdio.h>

#define ROW_H 22

static float rank_of(float v)
{
    return isfinite(v) ? fabsf(v) : -1;
}

/* order: feature indices by falling |attribution|, ties by index; the first `want` places only. */
static void order_rows(const float *v, int64_t n, int64_t want, int64_t *order)
{
    int64_t have = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = have;
        while (at > 0 &&
               (v == NULL ? 0 : rank_of(v[order[at - 1]])) < (v == NULL ? 0 : rank_of(v[i])))
            at--;
        if (at >= want) continue;
        have += have < want;
        for (int64_t k = have - 1; k > at; k--) order[k] = order[k - 1];
        order[at] = i;
    }
}

typedef struct bars {
    const oxp_painter *p;
    const oxp_subject *s;
    const oxp_field *field;
    oxp_style label, number;
    int label_x1;    /* right end of the labels */
    double zero, px; /* x of value 0; pixels per unit */
} bars;

static void draw_label(const bars *b, int64_t feature, int x0, int baseline)
{
    char text[OXP_LABEL_TEXT + 4], name[32], value[OXP_LABEL_TEXT];
    snprintf(name, sizeof name, "feature %lld", (long long)feature);
    snprintf(text, sizeof text, " = %s", oxp_number_label((double)b->s->values[feature], value));
    const double value_x0 = b->label_x1 - oxp_text_width(b->p->fonts, &b->number, text);
    oxp_text_draw(b->p->fonts, b->p->canvas, value_x0, baseline, OXP_ALIGN_LEFT, &b->number, text);
    oxp_text_draw_fit(b->p->fonts, b->p->canvas, value_x0, baseline, value_x0 - x0, OXP_ALIGN_RIGHT,
                      &b->label, b->s->names != NULL ? b->s->names[feature] : name);
}

static void draw_bar(const bars *b, int64_t feature, int y, int baseline)
{
    char value[OXP_LABEL_TEXT];
    const float raw = b->field->raw.v[feature], unit = b->field->unit[feature];
    const double length = isnan(unit) ? 0 : (double)unit * b->px;
    const double x0 = fmin(b->zero, b->zero + length), x1 = fmax(b->zero, b->zero + length);
    const oxp_rgba colour = oxp_bar_colour(b->field, unit);
    oxp_canvas_fill(
        b->p->canvas,
        (oxp_rect){(int)lround(x0), y + 4, (int)lround(x1) - (int)lround(x0), ROW_H - 8}, colour);
    const bool left = unit < 0;
    oxp_text_draw(b->p->fonts, b->p->canvas, left ? x0 - 5 : x1 + 5, baseline,
                  left ? OXP_ALIGN_RIGHT : OXP_ALIGN_LEFT, &b->number,
                  oxp_number_label((double)raw, value));
}

static void place_bars(bars *b, oxp_rect to)
{
    const int x0 = b->label_x1 + 12, room = 62; /* for a number beyond the longest bar */
    const bool both =
        b->field != NULL && b->field->map.kind == OXP_DIVERGING && b->field->scale.min < 0;
    const bool any_positive = b->field != NULL && b->field->scale.max > 0;
    const int left = both ? room : 0, right = any_positive || !both ? room : 0;
    const double width = fmax(to.x + to.w - x0 - left - right, 1);
    const double clip = b->field == NULL ? 1 : b->field->scale.clip;
    const double down = both && clip > 0 ? fmin(-b->field->scale.min / clip, 1) : 0;
    const double up = !both                      ? 1
                      : any_positive && clip > 0 ? fmin(b->field->scale.max / clip, 1)
                                                 : 0;
    b->px = down + up > 0 ? width / (down + up) : 0;
    b->zero = x0 + left + down * b->px;
}

oxp_status oxp_paint_table(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                           const oxp_field *field)
{
    const int64_t n = subject->dim[0];
    const int fit = to.h / ROW_H;
    int64_t rows = n < OXP_TABLE_MAX_ROWS ? n : OXP_TABLE_MAX_ROWS;
    rows = rows < fit ? rows : fit;
    if (n > rows && rows == fit && rows > 0) rows--; /* the last line says how many are not shown */
    int64_t order[OXP_TABLE_MAX_ROWS];
    bars b = {p,
              subject,
              field,
              {12, false, OXP_INK},
              {12, false, OXP_INK_SOFT},
              to.x + (int)(to.w * 0.45),
              0,
              0};
    oxp_canvas_fill(p->canvas, to, OXP_PAPER);
    order_rows(field == NULL ? NULL : field->raw.v, n, rows, order);
    place_bars(&b, to);
    for (int64_t i = 0; i < rows; i++) {
        const int y = to.y + (int)i * ROW_H, baseline = y + ROW_H / 2 + 4;
        draw_label(&b, order[i], to.x, baseline);
        if (field != NULL) draw_bar(&b, order[i], y, baseline);
    }
    if (field != NULL)
        oxp_canvas_fill(p->canvas, (oxp_rect){(int)lround(b.zero), to.y, 1, (int)rows * ROW_H},
                        OXP_INK_SOFT);
    if (n > rows) {
        char text[64];
        snprintf(text, sizeof text, "and %lld more", (long long)(n - rows));
        oxp_text_draw_fit(p->fonts, p->canvas, b.label_x1, to.y + (int)rows * ROW_H + ROW_H / 2 + 4,
                          b.label_x1 - to.x, OXP_ALIGN_RIGHT, &b.number, text);
    }
    return OXP_OK;
}
