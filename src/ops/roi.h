/* roi.h - which cells a bin of a region reads; shared with the fast executor's loops. */
#ifndef OXP_OPS_ROI_H
#define OXP_OPS_ROI_H

#include "ops/lower.h"

typedef struct oxp_roi_tap {
    int64_t cell; /* row of the (H,W) plane */
    double w;
} oxp_roi_tap;

typedef struct oxp_roi_bin {
    const oxp_roi *roi;
    double start[2], step[2]; /* of the first sample, and between samples */
    int64_t count[2], at;     /* samples along each axis, and how many have been read */
} oxp_roi_bin;

/* The bin (row, column) of a box as the operator's input has it: x1, y1, x2, y2. */
oxp_roi_bin oxp_roi_begin(const oxp_roi *roi, const double box[4], int64_t row, int64_t column);
/* The taps of the next sample of the bin: 1 or 4; 0 when there are no more. */
int oxp_roi_next(oxp_roi_bin *bin, oxp_roi_tap tap[4]);
/* By what a sum over all samples is divided. */
double oxp_roi_divisor(const oxp_roi_bin *bin);

#endif
