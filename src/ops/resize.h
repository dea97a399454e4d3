/* resize.h - operators whose result cells read one or two input cells per axis, by table: Resize,
 * Upsample, and padding by reflection or by the edge. One set of tables serves the reference, the
 * lowering, and the adjoint written out in standard operators. */
#ifndef OXP_OPS_RESIZE_H
#define OXP_OPS_RESIZE_H

#include "ops/build.h"
#include "ops/lower.h"

/* y = T x, or backwards x = T' y (`to` is overwritten in both cases). */
void oxp_tables_apply(const oxp_resize *t, bool back, const oxp_shape *x, const oxp_shape *y,
                      const double *from, double *to);
/* T' dy as one MatMul per axis. */
oxp_val oxp_b_tables_adjoint(oxp_build *b, const oxp_resize *t, const oxp_shape *x, oxp_val dy);

#endif
