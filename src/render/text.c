/* text.c - see text.h. Glyphs are hinted vertically only (FreeType's light mode) and shifted to
 * their exact horizontal place before rasterising, which keeps letter spacing even at small sizes.
 * Nothing is cached: a sheet has a few hundred glyphs of about ten microseconds each. */
#include "render/text.h"
#include "render/font_data.h"
#include <math.h>
#include <string.h>

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_MODULE_H
#include FT_OUTLINE_H

struct oxp_fonts {
    const oxp_allocator *hooks;
    struct FT_MemoryRec_ memory;
    FT_Library library;
    FT_Face face[2]; /* regular, bold */
    bool out_of_memory;
    FT_Error error; /* the first one */
};

static void *ft_alloc(FT_Memory memory, long size)
{
    oxp_fonts *fonts = memory->user;
    void *block = size > 0 ? oxp_mem_alloc(fonts->hooks, (size_t)size) : NULL;
    if (block == NULL) fonts->out_of_memory = true;
    return block;
}

static void ft_free(FT_Memory memory, void *block)
{
    const oxp_fonts *fonts = memory->user;
    oxp_mem_free(fonts->hooks, block);
}

static void *ft_realloc(FT_Memory memory, long had, long wanted, void *block)
{
    void *bigger = ft_alloc(memory, wanted);
    if (bigger == NULL) return NULL;
    memcpy(bigger, block, (size_t)(had < wanted ? had : wanted));
    ft_free(memory, block);
    return bigger;
}

static void close_fonts(void *user)
{
    oxp_fonts *fonts = user;
    if (fonts->library != NULL) FT_Done_Library(fonts->library); /* closes the faces too */
}

oxp_status oxp_fonts_status(oxp_ctx *ctx, const oxp_fonts *fonts)
{
    OXP_FAIL_IF(ctx, fonts->out_of_memory, OXP_ENOMEM, "out of memory");
    OXP_FAIL_IF(ctx, fonts->error != 0, OXP_EINTERNAL,
                "FreeType error 0x%02x in the embedded typeface", (unsigned)fonts->error);
    return OXP_OK;
}

/* False once anything went wrong; `error` of the next call is noted. */
static bool good(oxp_fonts *fonts, FT_Error error)
{
    if (fonts->error == 0) fonts->error = error;
    return fonts->error == 0 && !fonts->out_of_memory;
}

oxp_status oxp_fonts_open(oxp_ctx *ctx, oxp_arena *arena, oxp_fonts **out)
{
    oxp_fonts *fonts = OXP_NEW(arena, oxp_fonts, 1);
    OXP_NOMEM_IF(ctx, fonts);
    fonts->hooks = oxp_arena_hooks(arena);
    fonts->memory = (struct FT_MemoryRec_){fonts, ft_alloc, ft_free, ft_realloc};
    OXP_FAIL_IF(ctx, !oxp_arena_defer(arena, close_fonts, fonts), OXP_ENOMEM, "out of memory");
    if (good(fonts, FT_New_Library(&fonts->memory, &fonts->library))) {
        FT_Add_Default_Modules(fonts->library);
        good(fonts, FT_New_Memory_Face(fonts->library, oxp_font_sans, (FT_Long)oxp_font_sans_size,
                                       0, &fonts->face[0]));
        good(fonts, FT_New_Memory_Face(fonts->library, oxp_font_sans_bold,
                                       (FT_Long)oxp_font_sans_bold_size, 0, &fonts->face[1]));
    }
    OXP_TRY(oxp_fonts_status(ctx, fonts));
    *out = fonts;
    return OXP_OK;
}

/* DejaVu Sans: capitals with accents reach 0.93 em, descenders 0.24 em. */
int oxp_text_ascent(const oxp_style *style)
{
    return (style->size * 93 + 99) / 100;
}
int oxp_text_line_height(const oxp_style *style)
{
    return (style->size * 135 + 99) / 100;
}

/* Decodes one character and moves *s behind it; U+FFFD for a malformed byte, a space for
 * controls. */
static uint32_t next_char(const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    const int more = p[0] < 0x80 ? 0 : p[0] >= 0xF0 ? 3 : p[0] >= 0xE0 ? 2 : 1;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t c = more == 0 ? p[0] : p[0] & (0x3Fu >> more);
    bool ok = p[0] < 0x80 || (p[0] >= 0xC2 && p[0] <= 0xF4);
    for (int i = 1; ok && i <= more; i++) {
        ok = (p[i] & 0xC0) == 0x80;
        c = c << 6 | (p[i] & 0x3F);
    }
    ok = ok && c >= least[more] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
    *s += ok ? 1 + more : 1;
    return !ok ? 0xFFFD : c < 0x20 || c == 0x7F ? ' ' : c;
}

/* A pen that walks along a text and knows each glyph's place. */
typedef struct pen {
    oxp_fonts *fonts;
    FT_Face face;
    double x; /* from the start of the text */
    FT_UInt previous;
} pen;

static bool pen_start(pen *p, oxp_fonts *fonts, const oxp_style *style)
{
    *p = (pen){fonts, fonts->face[style->bold ? 1 : 0], 0, 0};
    return good(fonts, 0) && good(fonts, FT_Set_Pixel_Sizes(p->face, 0, (FT_UInt)style->size));
}

/* Loads the glyph of c and moves the pen to where it begins; the pen is advanced past it with
 * pen_advance. */
static bool pen_glyph(pen *p, uint32_t c)
{
    const FT_UInt glyph = FT_Get_Char_Index(p->face, c);
    FT_Vector kern = {0, 0};
    if (p->previous != 0 && glyph != 0)
        FT_Get_Kerning(p->face, p->previous, glyph, FT_KERNING_UNFITTED, &kern);
    p->x += (double)kern.x / 64;
    p->previous = glyph;
    return good(p->fonts, FT_Load_Glyph(p->face, glyph, FT_LOAD_TARGET_LIGHT | FT_LOAD_NO_BITMAP));
}

static void pen_advance(pen *p)
{
    p->x += (double)p->face->glyph->linearHoriAdvance / 65536;
}

/* Width of the first n bytes. */
static double width_n(oxp_fonts *fonts, const oxp_style *style, const char *text, size_t n)
{
    pen p;
    if (!pen_start(&p, fonts, style)) return 0;
    for (const char *s = text; s < text + n;) {
        if (!pen_glyph(&p, next_char(&s))) return 0;
        pen_advance(&p);
    }
    return p.x;
}

double oxp_text_width(oxp_fonts *fonts, const oxp_style *style, const char *text)
{
    return width_n(fonts, style, text, strlen(text));
}

static void stamp(oxp_canvas *c, const FT_Bitmap *bitmap, int left, int top, oxp_rgba colour)
{
    for (unsigned y = 0; y < bitmap->rows; y++)
        for (unsigned x = 0; x < bitmap->width; x++)
            oxp_canvas_blend(c, left + (int)x, top + (int)y, colour,
                             bitmap->buffer[(int)y * bitmap->pitch + (int)x]);
}

void oxp_text_draw(oxp_fonts *fonts, oxp_canvas *c, double x, double baseline, oxp_align align,
                   const oxp_style *style, const char *text)
{
    if (align != OXP_ALIGN_LEFT)
        x -= oxp_text_width(fonts, style, text) * (align == OXP_ALIGN_CENTRE ? 0.5 : 1);
    const int base = (int)floor(baseline + 0.5);
    pen p;
    if (!pen_start(&p, fonts, style)) return;
    while (*text != '\0') {
        if (!pen_glyph(&p, next_char(&text))) return;
        const double at = x + p.x;
        const FT_GlyphSlot slot = p.face->glyph;
        pen_advance(&p);
        if (slot->format != FT_GLYPH_FORMAT_OUTLINE) continue;
        FT_Outline_Translate(&slot->outline, (FT_Pos)((at - floor(at)) * 64), 0);
        if (!good(fonts, FT_Render_Glyph(slot, FT_RENDER_MODE_NORMAL))) return;
        stamp(c, &slot->bitmap, (int)floor(at) + slot->bitmap_left, base - slot->bitmap_top,
              style->colour);
    }
}

static const char ellipsis[] = "\xE2\x80\xA6";

/* The longest prefix (in bytes) whose width plus `extra` fits; whole characters. */
static size_t prefix_that_fits(oxp_fonts *fonts, const oxp_style *style, const char *text,
                               double extra, double width)
{
    pen p;
    const char *s = text;
    size_t fits = 0;
    if (!pen_start(&p, fonts, style)) return 0;
    while (*s != '\0') {
        if (!pen_glyph(&p, next_char(&s))) break;
        pen_advance(&p);
        if (p.x + extra > width) break;
        fits = (size_t)(s - text);
    }
    return fits;
}

char *oxp_text_fit(oxp_fonts *fonts, oxp_arena *arena, const oxp_style *style, const char *text,
                   double width)
{
    const size_t n = strlen(text);
    if (prefix_that_fits(fonts, style, text, 0, width) == n) return oxp_arena_strdup(arena, text);
    const double dots = oxp_text_width(fonts, style, ellipsis);
    size_t fits = prefix_that_fits(fonts, style, text, dots, width);
    while (fits > 0 && text[fits - 1] == ' ') fits--;
    return oxp_arena_printf(arena, "%.*s%s", (int)fits, text, ellipsis);
}

void oxp_text_draw_fit(oxp_fonts *fonts, oxp_canvas *c, double x, double baseline, double width,
                       oxp_align align, const oxp_style *style, const char *text)
{
    oxp_arena *arena = oxp_arena_new(fonts->hooks);
    const char *cut = arena == NULL ? NULL : oxp_text_fit(fonts, arena, style, text, width);
    if (cut == NULL)
        fonts->out_of_memory = true;
    else
        oxp_text_draw(fonts, c, x, baseline, align, style, cut);
    oxp_arena_free(arena);
}

/* Bytes of the next line of text: up to the last space before which it fits, else as many
 * characters as fit, at least one. */
static size_t line_length(oxp_fonts *fonts, const oxp_style *style, const char *text, double width)
{
    const size_t fits = prefix_that_fits(fonts, style, text, 0, width);
    if (text[fits] == '\0' || text[fits] == ' ') return fits;
    for (size_t i = fits; i > 0; i--)
        if (text[i - 1] == ' ') return i - 1;
    const char *one = text;
    next_char(&one);
    return fits > 0 ? fits : (size_t)(one - text);
}

oxp_status oxp_text_wrap(oxp_ctx *ctx, oxp_fonts *fonts, oxp_arena *arena, const oxp_style *style,
                         const char *text, double width, int max_lines, oxp_lines *out)
{
    *out = (oxp_lines){OXP_NEW(arena, char *, max_lines), 0};
    OXP_NOMEM_IF(ctx, out->line);
    while (*text == ' ') text++;
    while (*text != '\0' && out->n < max_lines) {
        const bool last = out->n == max_lines - 1;
        const size_t n = line_length(fonts, style, text, width);
        char *line = last ? oxp_text_fit(fonts, arena, style, text, width)
                          : oxp_arena_strndup(arena, text, n);
        OXP_NOMEM_IF(ctx, line);
        out->line[out->n++] = line;
        text += n;
        while (*text == ' ') text++;
    }
    return oxp_fonts_status(ctx, fonts);
}
