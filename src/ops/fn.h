/* fn.h - scalar functions of one variable with up to two parameters, and their derivatives: one
 * table for the operators of unary.c, the activations fused into convolutions and matmuls, and
 * the vector loops of exec/.
 *
 * Derivatives at kinks are pinned: Relu'(0) = 0, LeakyRelu'(0) = alpha, Abs'(0) = 0, Clip' =
 * 1[lo < x < hi], HardSigmoid' and HardSwish' use strict inequalities likewise, Elu'(0) = Celu'(0) =
 * 1, Selu'(0) = beta, ThresholdedRelu'(alpha) = 0, Shrink'(+-alpha) = 0. */
#ifndef OXP_OPS_FN_H
#define OXP_OPS_FN_H

#include <stdbool.h>

/* OXP_FN(symbol, ONNX or internal name, derivative is computed from the output y instead of the
 * input x) */
#define OXP_FN_TABLE(OXP_FN)                                                                  \
    OXP_FN(NEG, "Neg", false)                                                                 \
    OXP_FN(ABS, "Abs", false)                                                                 \
    OXP_FN(SQRT, "Sqrt", true)                                                                \
    OXP_FN(EXP, "Exp", true)                                                                  \
    OXP_FN(LOG, "Log", false)                                                                 \
    OXP_FN(RECIPROCAL, "Reciprocal", true)                                                    \
    OXP_FN(RELU, "Relu", true)                                                                \
    OXP_FN(LEAKY_RELU, "LeakyRelu", false) /* alpha = slope */                                \
    OXP_FN(ELU, "Elu", false)              /* alpha */                                        \
    OXP_FN(CELU, "Celu", false)            /* x < 0 ? alpha (e^(x / alpha) - 1) : x */        \
    OXP_FN(SELU, "Selu", false)            /* beta (x < 0 ? alpha (e^x - 1) : x) */           \
    OXP_FN(CLIP, "Clip", true) /* alpha = lo, beta = hi; lo < y < hi iff lo < x < hi */       \
    OXP_FN(SIGMOID, "Sigmoid", true)                                                          \
    OXP_FN(HARD_SIGMOID, "HardSigmoid", false)         /* max(0, min(1, alpha x + beta)) */   \
    OXP_FN(HARD_SWISH, "HardSwish", false)             /* x HardSigmoid(x; 1/6, 1/2) */       \
    OXP_FN(THRESHOLDED_RELU, "ThresholdedRelu", false) /* x > alpha ? x : 0 */                \
    OXP_FN(SHRINK, "Shrink", false) /* x < -alpha ? x + beta : x > alpha ? x - beta : 0 */    \
    OXP_FN(SOFTPLUS, "Softplus", false)                                                       \
    OXP_FN(SOFTSIGN, "Softsign", false) /* x / (1 + |x|) */                                   \
    OXP_FN(TANH, "Tanh", true)                                                                \
    OXP_FN(ERF, "Erf", false)                                                                 \
    OXP_FN(GELU, "_Gelu", false)          /* x Phi(x) */                                      \
    OXP_FN(GELU_TANH, "_GeluTanh", false) /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */ \
    OXP_FN(SILU, "_Silu", false)          /* x sigmoid(alpha x); alpha 0 means 1 */           \
    OXP_FN(MISH, "_Mish", false)          /* x tanh(softplus(x)) */                           \
    OXP_FN(FLOOR, "Floor", false)                                                             \
    OXP_FN(CEIL, "Ceil", false)                                                               \
    OXP_FN(ROUND, "Round", false)                                                             \
    OXP_FN(SIGN, "Sign", false)                                                               \
    OXP_FN(SIN, "Sin", false)                                                                 \
    OXP_FN(COS, "Cos", false)                                                                 \
    OXP_FN(TAN, "Tan", true)                                                                  \
    OXP_FN(ASIN, "Asin", false)                                                               \
    OXP_FN(ACOS, "Acos", false)                                                               \
    OXP_FN(ATAN, "Atan", false)                                                               \
    OXP_FN(SINH, "Sinh", false)                                                               \
    OXP_FN(COSH, "Cosh", false)                                                               \
    OXP_FN(ASINH, "Asinh", false)                                                             \
    OXP_FN(ACOSH, "Acosh", false)                                                             \
    OXP_FN(ATANH, "Atanh", false)

#define OXP_FN_ENUM(symbol, name, from_y) OXP_FN_##symbol,
typedef enum oxp_fn { OXP_FN_NONE, OXP_FN_TABLE(OXP_FN_ENUM) OXP_FN_COUNT } oxp_fn;
#undef OXP_FN_ENUM

const char *oxp_fn_name(oxp_fn fn);
oxp_fn oxp_fn_find(const char *name); /* OXP_FN_NONE when unknown */
bool oxp_fn_grad_from_y(oxp_fn fn);
double oxp_fn_eval(oxp_fn fn, double alpha, double beta, double x);
/* f'(x); v is y when oxp_fn_grad_from_y(fn), else x. */
double oxp_fn_grad(oxp_fn fn, double alpha, double beta, double v);

typedef enum oxp_bin {
    OXP_BIN_ADD,
    OXP_BIN_SUB,
    OXP_BIN_MUL,
    OXP_BIN_DIV,
    OXP_BIN_POW,
    OXP_BIN_MIN,
    OXP_BIN_MAX,
    OXP_BIN_FMOD,  /* the remainder with the sign of x */
    OXP_BIN_MOD,   /* with the sign of y */
    OXP_BIN_PRELU, /* x < 0 ? x y : x */
    OXP_BIN_EQ,
    OXP_BIN_GT,
    OXP_BIN_GE,
    OXP_BIN_LT,
    OXP_BIN_LE,
    OXP_BIN_AND,
    OXP_BIN_OR,
    OXP_BIN_XOR
} oxp_bin;

/* NaN in either operand of MIN and MAX comes out; comparisons and logic give 0 or 1. */
double oxp_bin_eval(oxp_bin bin, double a, double b);

#endif
