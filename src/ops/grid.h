/* grid.h - where GridSample reads along one axis; shared with the fast executor's loops. */
#ifndef OXP_OPS_GRID_H
#define OXP_OPS_GRID_H

#include "base/checked.h"
#include "ops/lower.h"

typedef struct oxp_grid_tap { /* a cell, its weight, and the derivative of that by the coordinate */
    int64_t cell;
    double w, dw;
} oxp_grid_tap;

/* The 1, 2 or 4 cells that coordinate (in [-1,1]) of an axis reads. Returns how many. */
int oxp_grid_taps(const oxp_grid *g, int axis, double coordinate, oxp_grid_tap tap[4]);

#endif
