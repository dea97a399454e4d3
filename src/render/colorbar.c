/* colorbar.c - see colorbar.h. The ground is a faint checkerboard, so that transparent is not
 * mistaken for white. */
#include "render/colorbar.h"
#include <stdio.h>

#define BAR_H 12
#define CELL  6

static void draw_ground(oxp_canvas *c, oxp_rect bar)
{
    for (int y = 0; y < bar.h; y += CELL) {
        for (int x = 0; x < bar.w; x += CELL) {
            const oxp_rect cell = {bar.x + x, bar.y + y, CELL, CELL};
            const bool dark = ((x + y) / CELL) % 2 == 1;
            oxp_canvas_fill(c, oxp_rect_intersect(cell, bar),
                            dark ? OXP_HEX(0xD4D4D4) : OXP_HEX(0xF4F4F4));
        }
    }
}

void oxp_colorbar_draw(const oxp_painter *p, oxp_rect to, const oxp_colormap *map, float alpha,
                       const char *most)
{
    const bool diverging = map->kind == OXP_DIVERGING;
    const oxp_rect bar = {to.x, to.y, to.w, BAR_H};
    draw_ground(p->canvas, bar);
    for (int x = 0; x < bar.w; x++) {
        const float t = ((float)x + 0.5f) / (float)bar.w, v = diverging ? 2 * t - 1 : t;
        oxp_rgba colour = oxp_colormap_at(map, v);
        colour.a = (uint8_t)(oxp_colormap_alpha(map, v, alpha) * 255 + 0.5f);
        oxp_canvas_fill(p->canvas, (oxp_rect){bar.x + x, bar.y, 1, bar.h}, colour);
    }
    const oxp_style style = {12, false, OXP_INK};
    const double baseline = to.y + BAR_H + 4 + oxp_text_ascent(&style);
    char least[64] = "0";
    if (diverging) {
        snprintf(least, sizeof least, "\xE2\x88\x92%.40s", most);
        oxp_text_draw(p->fonts, p->canvas, to.x + to.w / 2.0, baseline, OXP_ALIGN_CENTRE, &style,
                      "0");
    }
    oxp_text_draw(p->fonts, p->canvas, to.x, baseline, OXP_ALIGN_LEFT, &style, least);
    oxp_text_draw(p->fonts, p->canvas, to.x + to.w, baseline, OXP_ALIGN_RIGHT, &style, most);
}
