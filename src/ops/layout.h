/* layout.h - layouts and views, for the operators that move elements. */
#ifndef OXP_OPS_LAYOUT_H
#define OXP_OPS_LAYOUT_H

#include "ops/lower.h"

/* The layout that a value made from pieces of v, or of which v is a piece, should have: v's own.
 * Where both fit, images are channels-last and everything else is rows. */
oxp_layout oxp_layout_of(oxp_lower *lw, oxp_val v);

/* The place of the elements of `from`, lying at `at`, read in row-major order as shape `to` of the
 * same size; false when no strides can say that. */
bool oxp_place_reshape(const oxp_shape *from, const oxp_place *at, const oxp_shape *to,
                       oxp_place *out);

/* out = in, element by element; for ref functions. */
void oxp_ref_copy(const oxp_call *call);

#endif
