/* slice.h - building blocks of slice.c that other families' expansions use. */
#ifndef OXP_OPS_SLICE_H
#define OXP_OPS_SLICE_H

#include "ops/build.h"

/* step - 1 zeros between the cells of `axis`: size n becomes (n - 1) step + 1. */
oxp_val oxp_b_dilate(oxp_build *b, oxp_val x, int axis, int64_t step);
/* ONNX pads, 2 per axis: all before, then all after; negative ones crop. */
oxp_val oxp_b_pad(oxp_build *b, oxp_val x, const int64_t *pads, double value);

#endif
