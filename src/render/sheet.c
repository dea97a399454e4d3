/* sheet.c - see sheet.h. First everything is measured (texts wrapped, rows and columns chosen),
 * then the canvas is made and drawn on, so that no text is ever cut by an edge. */
#include "render/sheet.h"
#include "render/axis.h"
#include "render/colorbar.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MARGIN       28
#define GAP_X        22
#define GAP_Y        26
#define SUBTITLE_MAX 2
#define TITLE_MAX    2
#define CAPTION_MAX  3
#define BAR_W        240

static const oxp_style title_style = {22, true, {0x1A, 0x1A, 0x1A, 255}};
static const oxp_style caption_style = {14, false, {0x5C, 0x5C, 0x5C, 255}};
static const oxp_style head_style = {15, true, {0x1A, 0x1A, 0x1A, 255}};
static const oxp_style sub_style = {13, false, {0x45, 0x45, 0x45, 255}};
static const oxp_style note_style = {12, false, {0x5C, 0x5C, 0x5C, 255}};

typedef struct cell {
    const char *title;
    oxp_lines subtitle;
    char *note;
    oxp_field *field; /* NULL: the input */
} cell;

typedef struct layout {
    const oxp_sheet *sheet;
    oxp_subject subject;
    oxp_painter p;
    size_t n;
    cell *cells;
    oxp_lines title, caption;
    int cols, rows, cell_w, pic_h, footer_h;
    int *sub_lines; /* (rows) subtitle lines of each row of cells */
    int grid_y, w, h;
} layout;

/* Widest useful number of columns with the fewest empty places, for one row more at most. */
static int choose_columns(int n, int most)
{
    if (n <= most) return n;
    const int fewest = (n + most - 1) / most;
    int best = most, empty = INT32_MAX;
    for (int cols = most; cols >= (most + 1) / 2; cols--) {
        const int rows = (n + cols - 1) / cols;
        if (rows <= fewest + 1 && rows * cols - n < empty) {
            best = cols;
            empty = rows * cols - n;
        }
    }
    return best;
}

static void choose_grid(layout *g)
{
    const int n = (int)g->n;
    switch (g->subject.kind) {
    case OXP_SUBJECT_SERIES:
        g->cell_w = 620;
        g->cols = choose_columns(n, n > 16 ? 3 : 2);
        break;
    case OXP_SUBJECT_PICTURE:
        g->cell_w = n <= 2 ? 420 : n == 3 ? 360 : n == 4 ? 310 : 264;
        g->cols = choose_columns(n, 5);
        break;
    default:
        g->cell_w = 460;
        g->cols = choose_columns(n, n > 24 ? 4 : 3);
        break;
    }
    g->rows = (n + g->cols - 1) / g->cols;
    g->pic_h = oxp_subject_height(&g->subject, g->p.fonts, g->cell_w);
}

static oxp_status note_of(const layout *g, const oxp_field *f, char **out)
{
    char most[OXP_LABEL_TEXT], bad[64] = "";
    if (f->scale.bad > 0)
        snprintf(bad, sizeof bad, ", %lld not finite (grey)", (long long)f->scale.bad);
    *out = f->scale.clip > 0 ? oxp_arena_printf(g->p.ctx->scratch, "max = %s%s",
                                                oxp_number_label(f->scale.clip, most), bad)
                             : oxp_arena_printf(g->p.ctx->scratch, "all zero%s", bad);
    OXP_NOMEM_IF(g->p.ctx, *out);
    return OXP_OK;
}

/* The sheet's colour map for maps of its own kind, NULL (the default) for the others. */
static oxp_status look_for(const layout *g, bool is_signed, oxp_look *look)
{
    oxp_colormap named;
    const oxp_colormap_kind kind = is_signed ? OXP_DIVERGING : OXP_SEQUENTIAL;
    *look = g->sheet->look;
    OXP_TRY(oxp_colormap_find(g->p.ctx, look->colormap, kind, &named));
    if (named.kind != kind) look->colormap = NULL;
    return OXP_OK;
}

static oxp_status measure_cells(layout *g)
{
    oxp_ctx *ctx = g->p.ctx;
    const oxp_sheet *s = g->sheet;
    g->cells = OXP_NEW(ctx->scratch, cell, g->n);
    g->sub_lines = OXP_NEW(ctx->scratch, int, g->rows);
    OXP_NOMEM_IF(ctx, g->cells);
    OXP_NOMEM_IF(ctx, g->sub_lines);
    for (size_t i = 0; i < g->n; i++) {
        cell *c = &g->cells[i];
        const oxp_panel *panel = i == 0 ? NULL : &s->panels[i - 1];
        const char *subtitle = panel == NULL ? s->input_subtitle : panel->subtitle;
        c->title = panel != NULL ? panel->title : s->input_title != NULL ? s->input_title : "input";
        if (subtitle != NULL)
            OXP_TRY(oxp_text_wrap(ctx, g->p.fonts, ctx->scratch, &sub_style, subtitle, g->cell_w,
                                  SUBTITLE_MAX, &c->subtitle));
        int *lines = &g->sub_lines[i / (size_t)g->cols];
        *lines = c->subtitle.n > *lines ? c->subtitle.n : *lines;
        if (panel == NULL) continue;
        oxp_look look;
        OXP_TRY(look_for(g, panel->attribution.is_signed, &look));
        c->field = OXP_NEW(ctx->scratch, oxp_field, 1);
        OXP_NOMEM_IF(ctx, c->field);
        OXP_TRY(
            oxp_field_new(ctx, ctx->scratch, &g->subject, &panel->attribution, &look, c->field));
        OXP_TRY(note_of(g, c->field, &c->note));
    }
    return OXP_OK;
}

/* The bars of a table carry their numbers; other maps need the legend. */
static bool has_scale(const layout *g)
{
    return g->subject.kind != OXP_SUBJECT_TABLE && g->n > 1;
}

static int head_height(const layout *g, int row)
{
    return oxp_text_line_height(&head_style) +
           g->sub_lines[row] * oxp_text_line_height(&sub_style) + 6;
}

static int row_height(const layout *g, int row)
{
    const int note = has_scale(g) ? 4 + oxp_text_line_height(&note_style) : 0;
    return head_height(g, row) + g->pic_h + note;
}

/* A tall picture is narrower than its cell: it keeps its shape and stands at the left. */
static oxp_rect picture_rect(const layout *g, int x, int y)
{
    oxp_rect r = {x, y, g->cell_w, g->pic_h};
    if (g->subject.kind == OXP_SUBJECT_PICTURE) {
        const oxp_picture *p = &g->subject.picture;
        if ((double)g->cell_w * p->h / p->w > g->pic_h + 1)
            r.w = (int)fmax(1, lround((double)g->pic_h * p->w / p->h));
    }
    return r;
}

/* Every cell shows the same picture: it is scaled once, its crop box with it. */
static oxp_status prescale(layout *g)
{
    if (g->subject.kind != OXP_SUBJECT_PICTURE) return OXP_OK;
    oxp_ctx *ctx = g->p.ctx;
    const oxp_picture full = g->subject.picture;
    const oxp_rect r = picture_rect(g, 0, 0);
    oxp_canvas small;
    OXP_TRY(oxp_canvas_new(ctx, ctx->scratch, r.w, r.h, OXP_PAPER, &small));
    OXP_TRY(oxp_canvas_blit_scaled(ctx, &small, r, &full));
    const double sx = (double)r.w / full.w, sy = (double)r.h / full.h;
    const oxp_box crop = g->subject.crop;
    g->subject.crop = (oxp_box){crop.x * sx, crop.y * sy, crop.w * sx, crop.h * sy};
    g->subject.picture = oxp_canvas_picture(&small);
    return OXP_OK;
}

static oxp_status measure(layout *g)
{
    const oxp_sheet *s = g->sheet;
    choose_grid(g);
    OXP_TRY(prescale(g));
    OXP_TRY(measure_cells(g));
    g->w = 2 * MARGIN + g->cols * g->cell_w + (g->cols - 1) * GAP_X;
    const int least = 2 * MARGIN + 2 * BAR_W + 3 * GAP_X;
    g->w = g->w < least ? least : g->w;
    if (s->caption != NULL)
        OXP_TRY(oxp_text_wrap(g->p.ctx, g->p.fonts, g->p.ctx->scratch, &caption_style, s->caption,
                              g->w - 2 * MARGIN, CAPTION_MAX, &g->caption));
    if (s->title != NULL)
        OXP_TRY(oxp_text_wrap(g->p.ctx, g->p.fonts, g->p.ctx->scratch, &title_style, s->title,
                              g->w - 2 * MARGIN, TITLE_MAX, &g->title));
    const int title_h = g->title.n * oxp_text_line_height(&title_style) + (g->title.n > 0 ? 2 : 0);
    const int caption_h = g->caption.n * oxp_text_line_height(&caption_style);
    g->grid_y = MARGIN + title_h + caption_h + (title_h + caption_h > 0 ? 18 : 0);
    g->footer_h = has_scale(g) ? GAP_Y + OXP_COLORBAR_H + oxp_text_line_height(&note_style) : 0;
    g->h = g->grid_y - GAP_Y + g->footer_h + MARGIN;
    for (int row = 0; row < g->rows; row++) g->h += GAP_Y + row_height(g, row);
    return OXP_OK;
}

/* Lines from y down; returns where the next one would begin. */
static int draw_lines(const layout *g, const oxp_lines *lines, const oxp_style *style, int x, int y)
{
    for (int i = 0; i < lines->n; i++, y += oxp_text_line_height(style))
        oxp_text_draw(g->p.fonts, g->p.canvas, x, y + oxp_text_ascent(style), OXP_ALIGN_LEFT, style,
                      lines->line[i]);
    return y;
}

static void draw_head(const layout *g)
{
    const int y = draw_lines(g, &g->title, &title_style, MARGIN, MARGIN);
    draw_lines(g, &g->caption, &caption_style, MARGIN, y + (g->title.n > 0 ? 2 : 0));
}

static oxp_status draw_cell(const layout *g, const cell *c, int x, int y, int head_h)
{
    oxp_text_draw_fit(g->p.fonts, g->p.canvas, x, y + oxp_text_ascent(&head_style), g->cell_w,
                      OXP_ALIGN_LEFT, &head_style, c->title);
    draw_lines(g, &c->subtitle, &sub_style, x, y + oxp_text_line_height(&head_style));
    y += head_h;
    OXP_TRY(oxp_paint(&g->p, picture_rect(g, x, y), &g->subject, c->field));
    if (c->note != NULL && has_scale(g))
        oxp_text_draw_fit(g->p.fonts, g->p.canvas, x,
                          y + g->pic_h + 4 + oxp_text_ascent(&note_style), g->cell_w,
                          OXP_ALIGN_LEFT, &note_style, c->note);
    return OXP_OK;
}

/* The first field of a kind, and whether all fields of that kind share its scale. */
static const oxp_field *field_of_kind(const layout *g, oxp_colormap_kind kind, bool *shared)
{
    const oxp_field *first = NULL;
    *shared = true;
    for (size_t i = 1; i < g->n; i++) {
        const oxp_field *f = g->cells[i].field;
        if (f->map.kind != kind) continue;
        if (first == NULL)
            first = f;
        else if (f->scale.clip != first->scale.clip)
            *shared = false;
    }
    return first;
}

static void draw_bars(const layout *g, int y)
{
    int x = MARGIN;
    bool any_own = false, any_percentile = false;
    for (int kind = OXP_SEQUENTIAL; kind <= OXP_DIVERGING; kind++) {
        bool shared;
        char most[OXP_LABEL_TEXT];
        const oxp_field *f = field_of_kind(g, (oxp_colormap_kind)kind, &shared);
        if (f == NULL) continue;
        any_own = any_own || !shared;
        any_percentile = any_percentile || f->raw.clip == 0;
        const float alpha =
            g->subject.kind == OXP_SUBJECT_SERIES || g->subject.kind == OXP_SUBJECT_TEXT ? 1
                                                                                         : f->alpha;
        oxp_colorbar_draw(&g->p, (oxp_rect){x, y, BAR_W, OXP_COLORBAR_H}, &f->map, alpha,
                          shared && f->scale.clip > 0 ? oxp_number_label(f->scale.clip, most)
                                                      : "max");
        x += BAR_W + 2 * GAP_X;
    }
    if (!any_percentile) return;
    char text[128], number[OXP_LABEL_TEXT];
    const double asked = g->sheet->look.percentile;
    const double percentile = asked == 0 ? OXP_PERCENTILE_DEFAULT : asked;
    snprintf(text, sizeof text, "max = percentile %s of |attribution|%s",
             oxp_number_label(percentile, number), any_own ? ", each map on its own scale" : "");
    oxp_text_draw_fit(g->p.fonts, g->p.canvas, MARGIN,
                      y + OXP_COLORBAR_H + oxp_text_ascent(&note_style), g->w - 2 * MARGIN,
                      OXP_ALIGN_LEFT, &note_style, text);
}

oxp_status oxp_sheet_draw(oxp_ctx *ctx, oxp_arena *arena, const oxp_sheet *sheet, oxp_canvas *out)
{
    OXP_FAIL_IF(ctx, sheet->n_panels > OXP_SHEET_MAX_PANELS, OXP_ELIMIT,
                "a sheet holds at most %d maps, not %zu: split it", OXP_SHEET_MAX_PANELS,
                sheet->n_panels);
    layout g = {.sheet = sheet, .subject = *sheet->subject, .n = sheet->n_panels + 1};
    g.p = (oxp_painter){ctx, out, NULL};
    if (sheet->n_panels > 0) oxp_subject_set_focus(&g.subject, &sheet->panels[0].attribution);
    OXP_TRY(oxp_fonts_open(ctx, ctx->scratch, &g.p.fonts));
    OXP_TRY(measure(&g));
    OXP_TRY(oxp_canvas_new(ctx, arena, g.w, g.h, OXP_PAPER, out));
    draw_head(&g);
    int y = g.grid_y;
    for (int row = 0; row < g.rows; row++) {
        for (int col = 0; col < g.cols && row * g.cols + col < (int)g.n; col++)
            OXP_TRY(draw_cell(&g, &g.cells[row * g.cols + col], MARGIN + col * (g.cell_w + GAP_X),
                              y, head_height(&g, row)));
        y += row_height(&g, row) + GAP_Y;
    }
    if (has_scale(&g)) draw_bars(&g, y);
    return oxp_fonts_status(ctx, g.p.fonts);
}
