/* colorbar.h - the legend of a colour map: the bar as it lies on a light ground, and labels. */
#ifndef OXP_RENDER_COLORBAR_H
#define OXP_RENDER_COLORBAR_H

#include "render/paint.h"

/* Bar and labels need this height. */
#define OXP_COLORBAR_H 34

/* Into the rectangle to.x, to.y, to.w: magnitudes are labelled "0" and `most`, signed maps "-most",
 * "0" and `most` (with a minus sign). */
void oxp_colorbar_draw(const oxp_painter *p, oxp_rect to, const oxp_colormap *map, float alpha,
                       const char *most);

#endif
