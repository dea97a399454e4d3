/* segment.h - pictures cut into regions: efficient graph-based segmentation (Felzenszwalb,
 * Huttenlocher 2004), as scikit-image does it. */
#ifndef OXP_SIGNAL_SEGMENT_H
#define OXP_SIGNAL_SEGMENT_H

#include "base/ctx.h"

/* image: planes (C,H,W). Smoothed by sigma, then neighbours (8 of them) are joined in the order of
 * their difference d as long as d < min over both regions of (largest d inside + scale / (255
 * pixels)); regions of fewer than min_size pixels join a neighbour. labels: [H * W], 0 to *n - 1 in
 * the order of first pixels. Errors: OXP_EINVAL (sizes), OXP_ENOMEM. */
oxp_status oxp_segment_felzenszwalb(oxp_ctx *ctx, const double *image, int64_t channels,
                                    int64_t height, int64_t width, double scale, double sigma,
                                    int64_t min_size, int32_t *labels, int32_t *n);

#endif
