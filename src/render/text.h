/* text.h - titles and labels: UTF-8 text in the embedded DejaVu Sans, drawn with FreeType.
 *
 * Left to right, one style per call, pair kerning, sub-pixel positions. Bytes that are not UTF-8
 * show as U+FFFD, line breaks and other control characters as spaces, characters that the typeface
 * lacks as its box. FreeType's memory comes from the caller's allocator and ends with the arena.
 * Drawing calls return nothing: the first failure sticks to the fonts object, draws nothing more,
 * and is reported once by oxp_fonts_status. */
#ifndef OXP_RENDER_TEXT_H
#define OXP_RENDER_TEXT_H

#include "render/canvas.h"

typedef struct oxp_fonts oxp_fonts;

typedef struct oxp_style {
    int size; /* pixels per em */
    bool bold;
    oxp_rgba colour;
} oxp_style;

typedef enum oxp_align { OXP_ALIGN_LEFT, OXP_ALIGN_CENTRE, OXP_ALIGN_RIGHT } oxp_align;

oxp_status oxp_fonts_open(oxp_ctx *ctx, oxp_arena *arena, oxp_fonts **out);
oxp_status oxp_fonts_status(oxp_ctx *ctx, const oxp_fonts *fonts);

/* Whole pixels from the baseline up to the top of capitals and accents, and from one baseline to
 * the next. */
int oxp_text_ascent(const oxp_style *style);
int oxp_text_line_height(const oxp_style *style);
/* Advance width in pixels. */
double oxp_text_width(oxp_fonts *fonts, const oxp_style *style, const char *text);

/* Draws with the baseline's left (centre, right) end at (x, baseline). */
void oxp_text_draw(oxp_fonts *fonts, oxp_canvas *c, double x, double baseline, oxp_align align,
                   const oxp_style *style, const char *text);
/* As above, shortened with an ellipsis to at most `width` pixels. */
void oxp_text_draw_fit(oxp_fonts *fonts, oxp_canvas *c, double x, double baseline, double width,
                       oxp_align align, const oxp_style *style, const char *text);

/* text cut to at most `width` pixels, "..." (one character) at its end if it was cut; in the arena.
 * NULL: out of memory. */
char *oxp_text_fit(oxp_fonts *fonts, oxp_arena *arena, const oxp_style *style, const char *text,
                   double width);

/* Breaks at spaces (a word wider than the line is broken anywhere) into at most max_lines lines,
 * the last one cut with an ellipsis. */
typedef struct oxp_lines {
    char **line;
    int n;
} oxp_lines;
oxp_status oxp_text_wrap(oxp_ctx *ctx, oxp_fonts *fonts, oxp_arena *arena, const oxp_style *style,
                         const char *text, double width, int max_lines, oxp_lines *out);

#endif
