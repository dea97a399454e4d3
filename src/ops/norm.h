/* norm.h - what the normalisations share. */
#ifndef OXP_OPS_NORM_H
#define OXP_OPS_NORM_H

#include "ops/infer.h"

/* Fails unless input i is one number per channel (axis 1 of x), or with groups > 0 one per group. */
oxp_status oxp_norm_check_channels(const oxp_infer *inf, size_t i, int64_t groups);
/* Every output has the shape of input 0, and only the first may be asked for: the others are
 * statistics of training. */
oxp_status oxp_norm_infer(oxp_infer *inf);
double oxp_norm_epsilon(const oxp_node *node);

/* InstanceNormalization, GroupNormalization, _GroupNorm: into how many groups the channels of x are
 * divided; 0 when they cannot be. */
int64_t oxp_norm_groups(const oxp_node *node, const oxp_shape *x);

/* v (C), or (groups) with each number repeated, as (1,C,1,...) beside x (N,C,...) */
oxp_val oxp_norm_across(oxp_build *b, oxp_val v, const oxp_shape *x);
/* LayerNormalization without scale and bias. */
oxp_val oxp_norm_emit(oxp_build *b, oxp_val x, int64_t axis, double epsilon);

/* Mean and 1 / sqrt(variance + epsilon) of n numbers. */
void oxp_norm_moments(const double *x, int64_t n, double epsilon, double *mean, double *rstd);

#endif
