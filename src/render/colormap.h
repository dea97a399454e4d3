/* colormap.h - numbers to colours: perceptual colour maps, listed in colormaps.def.
 *
 * A map is a few control colours joined in OKLab (Ottosson 2020) such that lightness is linear in
 * the value: equal steps of the value are equal steps to the eye, in grey print as well. Sequential
 * maps take magnitudes in [0,1], diverging ones signed values in [-1,1]. How opaque a value lies on
 * a picture is oxp_colormap_alpha: near zero is transparent, so that unimportant regions stay
 * visible as they are. */
#ifndef OXP_RENDER_COLORMAP_H
#define OXP_RENDER_COLORMAP_H

#include "render/canvas.h"

typedef enum oxp_colormap_kind { OXP_SEQUENTIAL, OXP_DIVERGING } oxp_colormap_kind;

#define OXP_COLORMAP_STEPS 257 /* odd: zero of a diverging map is an entry of its own */

typedef struct oxp_colormap {
    const char *name;
    oxp_colormap_kind kind;
    uint8_t rgb[OXP_COLORMAP_STEPS][3];
} oxp_colormap;

/* What stands for NaN and infinities. */
#define OXP_BAD_COLOUR OXP_HEX(0x8C8C8C)

/* name NULL or "": the default of the kind; a name may be of the other kind.
 * OXP_EINVAL for an unknown name. */
oxp_status oxp_colormap_find(oxp_ctx *ctx, const char *name, oxp_colormap_kind kind,
                             oxp_colormap *out);
size_t oxp_colormap_count(void);
const char *oxp_colormap_name(size_t index);
const char *oxp_colormap_list(void); /* "heat,ember,...": in the table's order */

/* v in [0,1] or [-1,1], clamped; NaN: OXP_BAD_COLOUR. Opaque. */
oxp_rgba oxp_colormap_at(const oxp_colormap *map, float v);
/* Opacity in [0,strongest] of a value over a picture: 0 and flat at 0. A sequential map is opaque
 * from 0.65 on; a diverging one, whose colours pale towards zero by themselves, from 0.35 on. */
float oxp_colormap_alpha(const oxp_colormap *map, float v, float strongest);

/* OKLab lightness of a colour, 0 (black) to 1 (white). */
double oxp_lightness(oxp_rgba colour);

#endif
