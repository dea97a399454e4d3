/* sheet.h - a comparison sheet: the input and any number of maps over it in one titled grid.
 *
 *      title
 *      caption (model, space, layer ...)
 *      input          method A         method B        ...
 *                     target, p        target, p
 *      [picture]      [overlay]        [overlay]
 *                     max = 0.013      max = 2.1
 *      [bar] 0 .. max     [bar] -max .. 0 .. max
 *
 * Each map has its own scale unless its attribution sets `clip`; the number beneath it says which.
 * Widths are chosen for reading at 100 %: 260 pixels or more a panel, at most five to a row. */
#ifndef OXP_RENDER_SHEET_H
#define OXP_RENDER_SHEET_H

#include "render/paint.h"

#define OXP_SHEET_MAX_PANELS 240

typedef struct oxp_panel {
    const char *title;    /* the method */
    const char *subtitle; /* target label and probability, layer; NULL: none; up to two lines */
    oxp_attribution attribution;
} oxp_panel;

typedef struct oxp_sheet {
    const char *title;   /* NULL: none */
    const char *caption; /* NULL: none; up to three lines */
    const oxp_subject *subject;
    const char *input_title, *input_subtitle; /* NULL: "input", none */
    const oxp_panel *panels;
    size_t n_panels;
    /* A colour map named here draws the maps of its kind, the others keep their default. */
    oxp_look look;
} oxp_sheet;

oxp_status oxp_sheet_draw(oxp_ctx *ctx, oxp_arena *arena, const oxp_sheet *sheet, oxp_canvas *out);

#endif
