/* conv.h - reading a convolution: its node's attributes against the shapes of its operands. */
#ifndef OXP_OPS_CONV_H
#define OXP_OPS_CONV_H

#include "ops/lower.h"

/* Of Conv and _Conv for x (N,C,axes...) and w (K,C/group,kernel...), and of _ConvGradX, whose x has
 * the shape `input_shape`. Resolves auto_pad and defaults; unused axes have size 1. Refuses what
 * does not fit together. */
oxp_status oxp_conv_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, const oxp_shape *w,
                         oxp_conv *out);

/* (N,K,axes...) */
oxp_shape oxp_conv_result(const oxp_conv *conv);

/* The convolution as attributes of Conv, nothing left to resolve; room for two more. Returns how
 * many. pads is filled and referred to. */
enum { OXP_CONV_ATTRS = 6 };
size_t oxp_conv_attrs(const oxp_conv *conv, int64_t pads[6], oxp_attr attrs[OXP_CONV_ATTRS]);

#endif
