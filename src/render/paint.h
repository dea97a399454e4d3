/* paint.h - one input with one attribution drawn over it, into a rectangle of a canvas.
 *
 * A subject is what the model looked at: a picture, a series, a volume, a table row or a text. A field is
 * the attribution made ready for drawing: raw values, values on the scale of a colour map, and
 * that scale. One painter per kind of subject, in paint_<kind>.c; overlay.h and sheet.h arrange
 * rectangles and never look at the kind. */
#ifndef OXP_RENDER_PAINT_H
#define OXP_RENDER_PAINT_H

#include "render/canvas.h"
#include "render/colormap.h"
#include "render/normalise.h"
#include "render/resample.h"
#include "render/text.h"
#include "tensor/tensor.h"

typedef enum oxp_subject_kind {
    OXP_SUBJECT_PICTURE,
    OXP_SUBJECT_SERIES,
    OXP_SUBJECT_VOLUME,
    OXP_SUBJECT_TABLE,
    OXP_SUBJECT_TEXT,
    OXP_SUBJECT_KINDS
} oxp_subject_kind;

typedef struct oxp_subject {
    oxp_subject_kind kind;
    oxp_picture picture; /* PICTURE */
    oxp_box crop;        /* PICTURE: what the model saw, in picture pixels; w == 0: all of it */
    int zoom;            /* PICTURE: enlargement of its own overlay; 0: none */
    const float *values; /* SERIES (C,L), VOLUME (D,H,W), TABLE (F) */
    int64_t dim[3];      /* of values; TEXT: T */
    /* SERIES: C, TABLE: F; NULL: numbers. TEXT: the T tokens, free of control characters */
    const char *const *names;
    const bool *starts; /* TEXT: T, a space stands before the token */
    double focus[3];    /* VOLUME: where the three slices cross, 0..1 along D, H, W */
} oxp_subject;

/* Raw attribution: PICTURE (H,W), SERIES (L) or (C,L), VOLUME (D,H,W), TABLE (F), TEXT (T); any
 * resolution but those of table and text, the drawing interpolates. */
typedef struct oxp_attribution {
    const float *v;
    int rank;
    int64_t dim[3];
    bool is_signed;
    double clip; /* |value| drawn at full strength; 0: the percentile decides */
} oxp_attribution;

typedef struct oxp_look {
    const char *colormap; /* NULL: the default of the attribution's kind */
    double percentile;    /* 0: 99 */
    double alpha;         /* strongest opacity over a picture; 0: 0.7 */
} oxp_look;

typedef struct oxp_field {
    oxp_attribution raw;
    oxp_colormap map; /* a sequential one draws |value| */
    oxp_scale scale;
    float alpha;
    float *unit; /* raw on the colour map's scale, NaN where not finite */
} oxp_field;

typedef struct oxp_painter {
    oxp_ctx *ctx;
    oxp_canvas *canvas;
    oxp_fonts *fonts;
} oxp_painter;

/* A subject from a tensor taken as is (one item, batch dim removed): channel_axis -1 when it has
 * none. Two spatial axes make a grey or RGB picture, one a series, three a volume, none a table.
 * Values are stretched to 8 bits from their own minimum and maximum. */
oxp_status oxp_subject_of_tensor(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *t,
                                 int channel_axis, oxp_subject *out);
/* For volumes: slices cross at the strongest attribution. Nothing for other kinds. */
void oxp_subject_set_focus(oxp_subject *subject, const oxp_attribution *a);

/* OXP_EINVAL when the attribution's rank does not go with the subject. In the arena. */
oxp_status oxp_field_new(oxp_ctx *ctx, oxp_arena *arena, const oxp_subject *subject,
                         const oxp_attribution *a, const oxp_look *look, oxp_field *out);

/* Size of a drawing of its own, with all detail. fonts: to measure words; NULL will do for pictures. */
void oxp_subject_size(const oxp_subject *subject, oxp_fonts *fonts, int *w, int *h);
/* Height of a drawing of width w inside a sheet. */
int oxp_subject_height(const oxp_subject *subject, oxp_fonts *fonts, int w);
/* field NULL: the subject alone. */
oxp_status oxp_paint(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                     const oxp_field *field);

/* The painters behind oxp_paint. */
oxp_status oxp_paint_picture(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                             const oxp_field *field);
oxp_status oxp_paint_series(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                            const oxp_field *field);
oxp_status oxp_paint_volume(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                            const oxp_field *field);
oxp_status oxp_paint_table(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                           const oxp_field *field);
oxp_status oxp_paint_text(const oxp_painter *p, oxp_rect to, const oxp_subject *subject,
                          const oxp_field *field);

/* ---- tokens (paint_text.c) ---- */

int oxp_text_height(const oxp_subject *subject, oxp_fonts *fonts, int w);
/* How many equal tokens from `at` on are shown as one: 1 for short runs. */
int64_t oxp_text_run(const oxp_subject *subject, int64_t at);
float oxp_text_strongest(const oxp_field *field, int64_t at, int64_t n);
/* The ground behind a token, pale near zero, and what is readable on it. */
oxp_rgba oxp_text_colour(const oxp_field *field, float unit);
oxp_rgba oxp_text_ink(oxp_rgba paper);

/* lo..hi to 0..255; the middle for a constant input and for what is not finite. */
uint8_t oxp_grey_byte(float v, float lo, float hi);

/* Colours of marks on white for a value on the map's scale. A bar shows its value by length and is
 * never pale; a curve is `plain` near zero. */
oxp_rgba oxp_bar_colour(const oxp_field *field, float unit);
oxp_rgba oxp_mark_colour(const oxp_field *field, float unit, oxp_rgba plain);

#define OXP_INK      OXP_HEX(0x1A1A1A)
#define OXP_INK_SOFT OXP_HEX(0x5C5C5C)
#define OXP_RULE     OXP_HEX(0xD9D9D9)
#define OXP_PAPER    OXP_HEX(0xFFFFFF)

#define OXP_SERIES_MAX_CHANNELS 12
#define OXP_TABLE_MAX_ROWS      24

#endif
