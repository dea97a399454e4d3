/* unpool.h - where MaxUnpool puts a maximum; shared with the fast executor's loop. */
#ifndef OXP_OPS_UNPOOL_H
#define OXP_OPS_UNPOOL_H

#include "ops/lower.h"

/* Do all places, counted in the shape asked for, lie in the windows that their maxima come from? */
bool oxp_unpool_fits(const oxp_unpool *u, const int64_t *place);
/* The cell of y that element i of x goes to; -1: none. `fits`: what oxp_unpool_fits said. */
int64_t oxp_unpool_target(const oxp_unpool *u, bool fits, int64_t place);

#endif
