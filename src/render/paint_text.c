/* paint_text.c - the tokens of a text in reading order, each on the colour of its attribution:
 *
 *      [CLS] reply to win £100 weekly! ... [SEP] [PAD] x 24
 *
 * Pieces of a word touch. Of a run of equal tokens, such as padding, one is drawn, in the colour of
 * the strongest. */
#include "render/axis.h"
#include "render/paint.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LINE_H = 26, BOX_H = 22, PAD = 3, SPACE = 6, LEAST_RUN = 4, MAX_LINES = 60 };

enum { WORD_SIZE = 15, COUNT_SIZE = 12 };

int64_t oxp_text_run(const oxp_subject *s, int64_t at)
{
    int64_t n = 1;
    while (at + n < s->dim[0] && strcmp(s->names[at], s->names[at + n]) == 0) n++;
    return n >= LEAST_RUN ? n : 1;
}

float oxp_text_strongest(const oxp_field *field, int64_t at, int64_t n)
{
    float most = field->unit[at];
    for (int64_t i = at + 1; i < at + n; i++)
        if (!(fabsf(most) >= fabsf(field->unit[i]))) most = field->unit[i];
    return most;
}

/* Where words go: left to right, then on. */
typedef struct flow {
    oxp_fonts *fonts;
    double width, x;
    int line;
} flow;

/* The place of a box of this width; `gap` before it unless it begins a line, and room for `rest` after
 * it. */
static double place(flow *f, double box, double gap, double rest)
{
    if (f->x > 0 && f->x + gap + box + rest > f->width) {
        f->x = 0;
        f->line++;
    } else if (f->x > 0) {
        f->x += gap;
    }
    const double x = f->x;
    f->x += fmin(box, f->width);
    return x;
}

static double box_width(const flow *f, const oxp_subject *s, int64_t at)
{
    const oxp_style style = {WORD_SIZE, false, OXP_INK};
    return oxp_text_width(f->fonts, &style, s->names[at]) + 2 * PAD;
}

static double gap_before(const oxp_subject *s, int64_t at)
{
    return s->starts[at] ? SPACE : 0;
}

static double count_width(const flow *f, int64_t n, char text[32])
{
    snprintf(text, 32, "\xc3\x97%lld", (long long)n); /* U+00D7 */
    const oxp_style style = {COUNT_SIZE, false, OXP_INK};
    return oxp_text_width(f->fonts, &style, text);
}

/* A token and the count of its run stand on one line. */
static double place_word(flow *f, const oxp_subject *s, int64_t at, int64_t n)
{
    char text[32];
    const double rest = n > 1 ? PAD + count_width(f, n, text) : 0;
    return place(f, box_width(f, s, at), gap_before(s, at), rest);
}

int oxp_text_height(const oxp_subject *s, oxp_fonts *fonts, int w)
{
    flow f = {fonts, w, 0, 0};
    char text[32];
    for (int64_t at = 0, n; at < s->dim[0] && f.line < MAX_LINES; at += n) {
        n = oxp_text_run(s, at);
        place_word(&f, s, at, n);
        if (n > 1) place(&f, count_width(&f, n, text), PAD, 0);
    }
    return (f.line < MAX_LINES ? f.line + 1 : MAX_LINES + 1) * LINE_H;
}

oxp_rgba oxp_text_colour(const oxp_field *field, float unit)
{
    if (isnan(unit)) return OXP_BAD_COLOUR;
    const float part = oxp_colormap_alpha(&field->map, unit, 1);
    const oxp_rgba full = oxp_colormap_at(&field->map, unit);
    return (oxp_rgba){(uint8_t)(255 + part * (full.r - 255) + 0.5f),
                      (uint8_t)(255 + part * (full.g - 255) + 0.5f),
                      (uint8_t)(255 + part * (full.b - 255) + 0.5f), 255};
}

oxp_rgba oxp_text_ink(oxp_rgba paper)
{
    return oxp_lightness(paper) < 0.6 ? OXP_PAPER : OXP_INK;
}

static void draw_word(const oxp_painter *p, oxp_rect box, const char *word, const oxp_field *field,
                      float unit)
{
    oxp_style style = {WORD_SIZE, false, OXP_INK};
    if (field) {
        const oxp_rgba paper = oxp_text_colour(field, unit);
        oxp_canvas_fill(p->canvas, box, paper);
        style.colour = oxp_text_ink(paper);
    }
    /* a pixel more than measured: boxes lie on whole pixels */
    oxp_text_draw_fit(p->fonts, p->canvas, box.x + PAD, box.y + 16, box.w - 2 * PAD + 1,
                      OXP_ALIGN_LEFT, &style, word);
}

oxp_status oxp_paint_text(const oxp_painter *p, oxp_rect to, const oxp_subject *s,
                          const oxp_field *field)
{
    const oxp_style count_style = {COUNT_SIZE, false, OXP_INK_SOFT};
    flow f = {p->fonts, to.w, 0, 0};
    char text[64];
    oxp_canvas_fill(p->canvas, to, OXP_PAPER);
    for (int64_t at = 0, n; at < s->dim[0]; at += n) {
        n = oxp_text_run(s, at);
        const double w = box_width(&f, s, at), x = place_word(&f, s, at, n);
        if (f.line >= MAX_LINES || (f.line + 1) * LINE_H > to.h) {
            snprintf(text, sizeof text, "and %lld more", (long long)(s->dim[0] - at));
            oxp_text_draw_fit(p->fonts, p->canvas, to.x, to.y + f.line * LINE_H + 16, to.w,
                              OXP_ALIGN_LEFT, &count_style, text);
            return OXP_OK;
        }
        const oxp_rect box = {to.x + (int)lround(x), to.y + f.line * LINE_H,
                              (int)lround(fmin(w, f.width)), BOX_H};
        draw_word(p, box, s->names[at], field, field ? oxp_text_strongest(field, at, n) : 0);
        if (n == 1) continue;
        const double count_x = place(&f, count_width(&f, n, text), PAD, 0);
        oxp_text_draw(p->fonts, p->canvas, to.x + count_x, to.y + f.line * LINE_H + 16,
                      OXP_ALIGN_LEFT, &count_style, text);
    }
    return OXP_OK;
}
