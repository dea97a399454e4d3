/* stats.h - order statistics and rank correlation of float arrays. */
#ifndef OXP_SIGNAL_STATS_H
#define OXP_SIGNAL_STATS_H

#include "base/ctx.h"

/* q-th percentile, q in [0, 100], with linear interpolation between order statistics (numpy's
 * default). Neither copies nor sorts: four passes over the values. NaN when n is 0 or a value is
 * NaN. */
double oxp_percentile(const float *values, int64_t n, double q);

/* Spearman's rho: Pearson's correlation of the ranks, ties sharing their mean rank. NaN when n <
 * 2, when an array is constant, or when a value is NaN. Errors: OXP_ENOMEM. */
oxp_status oxp_spearman(oxp_ctx *ctx, const float *a, const float *b, int64_t n, double *rho);

#endif
