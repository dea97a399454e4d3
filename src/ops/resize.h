/* resize.h - operators whose result cells read a few input cells per axis, by table: Resize, Upsample, and
 * padding by reflection, by the edge or around. One set of tables serves the reference, the lowering,
 * and the adjoint written out in standard operators. */
#ifndef OXP_OPS_RESIZE_H
#define OXP_OPS_RESIZE_H

#include "ops/build.h"
#include "ops/lower.h"

/* y = T x, and the value of what is outside; or backwards x = T' y (`to` is overwritten in both cases). */
void oxp_tables_apply(const oxp_resize *t, bool back, const oxp_shape *x, const oxp_shape *y,
                      const double *from, double *to);
/* T' dy as one MatMul per axis. */
oxp_val oxp_b_tables_adjoint(oxp_build *b, const oxp_resize *t, const oxp_shape *x, oxp_val dy);

/* ---- Resize and Upsample (resize_table.c) ---- */

typedef enum oxp_resize_mode {
    OXP_RESIZE_NEAREST,
    OXP_RESIZE_LINEAR,
    OXP_RESIZE_CUBIC
} oxp_resize_mode;
typedef enum oxp_resize_place {
    OXP_PLACE_HALF_PIXEL,
    OXP_PLACE_SYMMETRIC,
    OXP_PLACE_PYTORCH,
    OXP_PLACE_ASYMMETRIC,
    OXP_PLACE_ALIGN_CORNERS,
    OXP_PLACE_TF_HALF_PIXEL,
    OXP_PLACE_CROP
} oxp_resize_place;
typedef enum oxp_resize_round {
    OXP_ROUND_PREFER_FLOOR,
    OXP_ROUND_PREFER_CEIL,
    OXP_ROUND_DOWN,
    OXP_ROUND_UP,
    OXP_ROUND_BY_DIRECTION
} oxp_resize_round;

typedef struct oxp_resize_axis {
    bool by_size; /* the scale is exactly out / in */
    double scale, out;
    double start, end; /* of what is cropped, in lengths of the axis */
} oxp_resize_axis;

typedef struct oxp_resizing {
    oxp_resize_mode mode;
    oxp_resize_place where;
    oxp_resize_round round;
    bool antialias, exclude;
    double cubic_a, outside;
    oxp_resize_axis axis[OXP_MAX_RANK];
} oxp_resizing;

oxp_status oxp_resizing_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                             oxp_resizing *r);
oxp_status oxp_resizing_shape(oxp_ctx *ctx, const oxp_node *node, const oxp_resizing *r,
                              const oxp_shape *x, oxp_shape *y);
/* For the forward shapes x -> y. An axis that stays as it is has no table. */
oxp_status oxp_resizing_tables(oxp_ctx *ctx, oxp_arena *arena, const oxp_resizing *r,
                               const oxp_shape *x, const oxp_shape *y, oxp_resize *t);

#endif
