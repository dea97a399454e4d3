/* overlay.c - see overlay.h. */
#include "render/overlay.h"
#include "render/axis.h"
#include "render/colorbar.h"

#define MARGIN 20

static oxp_status draw_picture(const oxp_painter *p, oxp_arena *arena, const oxp_subject *s,
                               const oxp_field *field)
{
    int w, h;
    oxp_subject_size(s, p->fonts, &w, &h);
    OXP_TRY(oxp_canvas_new(p->ctx, arena, w, h, OXP_PAPER, p->canvas));
    return oxp_paint(p, oxp_canvas_rect(p->canvas), s, field);
}

static oxp_status draw_plot(const oxp_painter *p, oxp_arena *arena, const oxp_subject *s,
                            const oxp_field *field, const char *title)
{
    const oxp_style head = {16, true, OXP_INK};
    const int top = title == NULL ? MARGIN : MARGIN + oxp_text_line_height(&head) + 8;
    const float alpha = s->kind == OXP_SUBJECT_VOLUME ? field->alpha : 1;
    char most[OXP_LABEL_TEXT];
    int w, h;
    oxp_subject_size(s, p->fonts, &w, &h);
    const bool bar = s->kind != OXP_SUBJECT_TABLE; /* bars carry their numbers */
    OXP_TRY(oxp_canvas_new(p->ctx, arena, w + 2 * MARGIN,
                           top + h + (bar ? 12 + OXP_COLORBAR_H : 0) + MARGIN, OXP_PAPER,
                           p->canvas));
    if (title != NULL)
        oxp_text_draw_fit(p->fonts, p->canvas, MARGIN, MARGIN + oxp_text_ascent(&head), w,
                          OXP_ALIGN_LEFT, &head, title);
    OXP_TRY(oxp_paint(p, (oxp_rect){MARGIN, top, w, h}, s, field));
    if (bar)
        oxp_colorbar_draw(p, (oxp_rect){MARGIN + w - 240, top + h + 12, 240, OXP_COLORBAR_H},
                          &field->map, alpha, oxp_number_label(field->scale.clip, most));
    return OXP_OK;
}

oxp_status oxp_overlay_draw(oxp_ctx *ctx, oxp_arena *arena, const oxp_subject *subject,
                            const oxp_attribution *attribution, const oxp_look *look,
                            const char *title, oxp_canvas *out, oxp_scale *scale)
{
    oxp_subject focused = *subject;
    oxp_subject_set_focus(&focused, attribution);
    oxp_field field;
    OXP_TRY(oxp_field_new(ctx, ctx->scratch, subject, attribution, look, &field));
    oxp_painter p = {ctx, out, NULL};
    if (subject->kind == OXP_SUBJECT_PICTURE) {
        OXP_TRY(draw_picture(&p, arena, subject, &field));
    } else {
        OXP_TRY(oxp_fonts_open(ctx, ctx->scratch, &p.fonts));
        OXP_TRY(draw_plot(&p, arena, &focused, &field, title));
        OXP_TRY(oxp_fonts_status(ctx, p.fonts));
    }
    if (scale != NULL) *scale = field.scale;
    return OXP_OK;
}
