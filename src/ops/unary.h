/* unary.h - formulas that the scalar functions of unary.c and their adjoints of unary_grad.c share. */
#ifndef OXP_OPS_UNARY_H
#define OXP_OPS_UNARY_H

#include "ops/build.h"

oxp_val oxp_b_scaled(oxp_build *b, oxp_val x, double factor); /* x factor */
oxp_val oxp_b_shifted(oxp_build *b, oxp_val x, double term);  /* x + term */
/* Phi(x) = (1 + erf(x / sqrt 2)) / 2 */
oxp_val oxp_b_normal_cdf(oxp_build *b, oxp_val x);
/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
#define OXP_SQRT_2_OVER_PI 0.7978845608028654
#define OXP_GELU_CUBIC     0.044715
oxp_val oxp_b_gelu_tanh_inner(oxp_build *b, oxp_val x);

#endif
