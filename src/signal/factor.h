/* factor.h - non-negative matrix factorisation: a matrix as a sum of few outer products without
 * negative numbers, in double. */
#ifndef OXP_SIGNAL_FACTOR_H
#define OXP_SIGNAL_FACTOR_H

#include "base/ctx.h"

/* x: (m, n), nothing negative; w: (m, k) and h: (k, n) to fill so that |x - w h| is small, k >= 1. At most
 * `rounds` rounds. *error: |x - w h|, the root of the sum of squares. Same input, same result; which local
 * minimum is found is decided by the start (NNDSVD), not by chance. Errors: OXP_ENOMEM. */
oxp_status oxp_factor(oxp_ctx *ctx, const double *x, size_t m, size_t n, size_t k, int rounds,
                      double *w, double *h, double *error);

#endif
