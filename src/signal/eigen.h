/* eigen.h - the leading eigenvector of a symmetric matrix, in double: what principal components of
 * activations need. Not a general eigensolver. */
#ifndef OXP_SIGNAL_EIGEN_H
#define OXP_SIGNAL_EIGEN_H

#include "base/ctx.h"

/* a: (n, n) symmetric, n >= 1. vector: (n), of length 1, for the algebraically largest eigenvalue
 * *value; its residual is about 1e-13 of it. The sign is arbitrary; among equal eigenvalues so is
 * the vector. Same input, same result. Errors: OXP_ENOMEM. */
oxp_status oxp_eigen_top(oxp_ctx *ctx, const double *a, size_t n, double *vector, double *value);

#endif
