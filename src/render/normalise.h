/* normalise.h - raw attribution to what a colour map takes: [0,1] for magnitudes, [-1,1] for signed
 * maps.
 *
 * The scale is the given percentile of |value| over the finite values (linear interpolation between
 * ranks, as NumPy's default), so that one hot pixel does not make the rest invisible; values beyond
 * are clipped. Zero stays zero. Nothing is shifted: no min-max, which would colour a map of
 * all-equal values. NaN and infinities become NaN, which is drawn grey, and are counted, never
 * averaged in. */
#ifndef OXP_RENDER_NORMALISE_H
#define OXP_RENDER_NORMALISE_H

#include "base/ctx.h"

#define OXP_PERCENTILE_DEFAULT 99.0

/* Least and largest of the finite values; false, and both 0, where there are none. */
bool oxp_finite_range(const float *v, int64_t n, float *lo, float *hi);

typedef struct oxp_scale {
    double clip;     /* the |value| drawn at full strength; 0: the map is all zero */
    double min, max; /* of the finite values, before clipping; 0 where there are none */
    int64_t bad;     /* NaN and infinities */
} oxp_scale;

/* percentile in (0,100], 0: the default. Where the percentile is 0 but some value is not (a sparse
 * map), the largest |value| is the scale. */
oxp_status oxp_scale_find(oxp_ctx *ctx, const float *v, int64_t n, double percentile,
                          oxp_scale *out);
/* out = v / clip, clipped; magnitudes: |v| / clip. out may be v. */
void oxp_scale_apply(const oxp_scale *scale, bool is_signed, const float *v, int64_t n, float *out);

#endif
