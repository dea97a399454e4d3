/* ansi.h - tokens on coloured ground for a terminal: ECMA-48 escape sequences with 24-bit colours. */
#ifndef OXP_RENDER_ANSI_H
#define OXP_RENDER_ANSI_H

#include "base/strbuf.h"
#include "render/paint.h"

/* One line of a text subject, with a line break at its end; the terminal breaks it further. The words are
 * written as they are: they must be free of control characters. OXP_EINVAL for other subjects. */
oxp_status oxp_ansi_text(oxp_ctx *ctx, const oxp_subject *subject,
                         const oxp_attribution *attribution, const oxp_look *look, oxp_strbuf *out);

#endif
