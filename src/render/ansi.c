/* ansi.c - see ansi.h. What the map says little about keeps the terminal's own colours. */
#include "render/ansi.h"

oxp_status oxp_ansi_text(oxp_ctx *ctx, const oxp_subject *s, const oxp_attribution *attribution,
                         const oxp_look *look, oxp_strbuf *out)
{
    oxp_field field;
    OXP_FAIL_IF(ctx, s->kind != OXP_SUBJECT_TEXT, OXP_EINVAL,
                "only tokens are written to a terminal: draw other maps as png");
    OXP_TRY(oxp_field_new(ctx, ctx->scratch, s, attribution, look, &field));
    for (int64_t at = 0, n; at < s->dim[0]; at += n) {
        n = oxp_text_run(s, at);
        const oxp_rgba paper = oxp_text_colour(&field, oxp_text_strongest(&field, at, n));
        const oxp_rgba ink = oxp_text_ink(paper);
        if (at > 0 && s->starts[at]) oxp_strbuf_puts(out, " ");
        if (paper.r > 240 && paper.g > 240 && paper.b > 240)
            oxp_strbuf_puts(out, s->names[at]);
        else
            oxp_strbuf_printf(out, "\x1b[48;2;%u;%u;%um\x1b[38;2;%u;%u;%um%s\x1b[0m", paper.r,
                              paper.g, paper.b, ink.r, ink.g, ink.b, s->names[at]);
        if (n > 1) oxp_strbuf_printf(out, "\xc3\x97%lld", (long long)n);
    }
    oxp_strbuf_puts(out, "\n");
    return OXP_OK;
}
