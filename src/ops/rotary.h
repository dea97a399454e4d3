/* rotary.h - turning the cells of heads by angles, for the operators that do so on the way. */
#ifndef OXP_OPS_ROTARY_H
#define OXP_OPS_ROTARY_H

#include "ops/build.h"

/* x (B,steps,heads,d) with the first cells of each head turned: neighbours (interleaved) or the halves of what
 * is turned. table: cosines and sines (positions,half), of which `positions` (B or 1,steps) names rows; or as
 * they are, (B,steps,half), when that is OXP_NO_VAL. */
oxp_val oxp_b_turn(oxp_build *b, oxp_val x, const oxp_val table[2], oxp_val positions,
                   bool interleaved);

#endif
