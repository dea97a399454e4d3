/* overlay.h - one attribution over its input, as a picture of its own.
 *
 * A picture keeps its own resolution and nothing is added to it, so that pixel (x,y) of the overlay
 * is pixel (x,y) of the photo. Series, volumes and table rows become a plot with a colour bar. */
#ifndef OXP_RENDER_OVERLAY_H
#define OXP_RENDER_OVERLAY_H

#include "render/paint.h"

/* title: heads a plot (not a picture); NULL: none. scale (may be NULL): what was drawn, and how
 * many values were not finite. */
oxp_status oxp_overlay_draw(oxp_ctx *ctx, oxp_arena *arena, const oxp_subject *subject,
                            const oxp_attribution *attribution, const oxp_look *look,
                            const char *title, oxp_canvas *out, oxp_scale *scale);

#endif
