/* blur.h - separable Gaussian smoothing of arrays, as scipy.ndimage.gaussian_filter does
 * it. */
#ifndef OXP_SIGNAL_BLUR_H
#define OXP_SIGNAL_BLUR_H

#include "base/ctx.h"

/* What lies outside (a b c d): */
typedef enum oxp_border {
    OXP_BORDER_REFLECT, /* d c b a | a b c d | d c b a   (scipy's default) */
    OXP_BORDER_MIRROR,  /*   d c b | a b c d | c b a     */
    OXP_BORDER_NEAREST, /* a a a a | a b c d | d d d d   */
    OXP_BORDER_WRAP,    /* a b c d | a b c d | a b c d   */
    OXP_BORDER_ZERO     /* 0 0 0 0 | a b c d | 0 0 0 0   */
} oxp_border;

/* Row-major array of `axes` (1 to OXP_MAX_RANK) axes; sigma holds one standard deviation per
 * axis in samples, 0 leaves that axis alone. The kernel ends at `truncate` sigma (scipy: 4.0).
 * dst may be src. Sums are in double. Errors: OXP_EINVAL (sigma not finite, negative or wider
 * than 2^20 samples), OXP_ENOMEM. */
oxp_status oxp_blur_gaussian(oxp_ctx *ctx, const float *src, int axes, const int64_t *dims,
                             const double *sigma, double truncate, oxp_border border, float *dst);
oxp_status oxp_blur_gaussian_f64(oxp_ctx *ctx, const double *src, int axes, const int64_t *dims,
                                 const double *sigma, double truncate, oxp_border border,
                                 double *dst);

#endif
