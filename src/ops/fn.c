/* fn.c - the scalar functions of fn.h and their derivatives, in double.
 *
 * This is the oracle: one formula per function, as numerically careful as a scalar needs to be
 * (Softplus and Sigmoid do not overflow), no vector code. NaN goes in and comes out. */
#include "ops/fn.h"
#include "base/compiler.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define SQRT_2            1.4142135623730951
#define SQRT_2_OVER_PI    0.7978845608028654
#define TWO_OVER_SQRT_PI  1.1283791670955126
#define ONE_OVER_SQRT_2PI 0.3989422804014327
#define GELU_CUBIC        0.044715

typedef struct fn_row {
    const char *name;
    bool from_y;
} fn_row;

static const fn_row rows[OXP_FN_COUNT] = {{"", false},
#define ROW(symbol, name, from_y) {name, from_y},
                                          OXP_FN_TABLE(ROW)
#undef ROW
};

const char *oxp_fn_name(oxp_fn fn)
{
    return rows[fn].name;
}

bool oxp_fn_grad_from_y(oxp_fn fn)
{
    return rows[fn].from_y;
}

oxp_fn oxp_fn_find(const char *name)
{
    for (int fn = OXP_FN_NONE + 1; fn < OXP_FN_COUNT; fn++)
        if (strcmp(rows[fn].name, name) == 0) return (oxp_fn)fn;
    return OXP_FN_NONE;
}

static double sigmoid(double x)
{
    const double e = exp(-fabs(x));
    return x < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

/* log(1 + e^x) */
static double softplus(double x)
{
    return log1p(exp(-fabs(x))) + (x < 0.0 ? 0.0 : x);
}

/* NaN passes; lo > hi gives hi, as ONNX says. */
static double clip(double x, double lo, double hi)
{
    const double raised = x < lo ? lo : x;
    return raised > hi ? hi : raised;
}

/* NaN passes. */
static double shrink(double x, double lambda, double bias)
{
    if (x < -lambda) return x + bias;
    if (x > lambda) return x - bias;
    return isnan(x) ? x : 0.0;
}

/* +-1 at the infinities */
static double softsign(double x)
{
    return isinf(x) ? copysign(1.0, x) : x / (1.0 + fabs(x));
}

/* Phi(x), the normal distribution function */
static double normal_cdf(double x)
{
    return 0.5 * erfc(-x / SQRT_2);
}

static double normal_pdf(double x)
{
    return ONE_OVER_SQRT_2PI * exp(-0.5 * x * x);
}

static double gelu_tanh_inner(double x)
{
    return tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x));
}

static double sign(double x)
{
    return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x;
}

/* alpha of Silu: 0 means 1 */
static double silu_rate(double alpha)
{
    return alpha < 0.0 || alpha > 0.0 ? alpha : 1.0;
}

/* clang-format off */
double oxp_fn_eval(oxp_fn fn, double alpha, double beta, double x)
{
    switch (fn) {
    case OXP_FN_NEG: return -x;
    case OXP_FN_ABS: return fabs(x);
    case OXP_FN_SQRT: return sqrt(x);
    case OXP_FN_EXP: return exp(x);
    case OXP_FN_LOG: return log(x);
    case OXP_FN_RECIPROCAL: return 1.0 / x;
    case OXP_FN_RELU: return x < 0.0 ? 0.0 : x;
    case OXP_FN_LEAKY_RELU: return x < 0.0 ? alpha * x : x;
    case OXP_FN_ELU: return x < 0.0 ? alpha * expm1(x) : x;
    case OXP_FN_CELU: return x < 0.0 ? alpha * expm1(x / alpha) : x;
    case OXP_FN_SELU: return beta * (x < 0.0 ? alpha * expm1(x) : x);
    case OXP_FN_CLIP: return clip(x, alpha, beta);
    case OXP_FN_SIGMOID: return sigmoid(x);
    case OXP_FN_HARD_SIGMOID: return clip(alpha * x + beta, 0.0, 1.0);
    case OXP_FN_HARD_SWISH: return x * clip(x / 6.0 + 0.5, 0.0, 1.0);
    case OXP_FN_THRESHOLDED_RELU: return x <= alpha ? 0.0 : x;
    case OXP_FN_SHRINK: return shrink(x, alpha, beta);
    case OXP_FN_SOFTPLUS: return softplus(x);
    case OXP_FN_SOFTSIGN: return softsign(x);
    case OXP_FN_TANH: return tanh(x);
    case OXP_FN_ERF: return erf(x);
    case OXP_FN_GELU: return x * normal_cdf(x);
    case OXP_FN_GELU_TANH: return 0.5 * x * (1.0 + gelu_tanh_inner(x));
    case OXP_FN_SILU: return x * sigmoid(silu_rate(alpha) * x);
    case OXP_FN_MISH: return x * tanh(softplus(x));
    case OXP_FN_FLOOR: return floor(x);
    case OXP_FN_CEIL: return ceil(x);
    case OXP_FN_ROUND: return nearbyint(x); /* half to even */
    case OXP_FN_SIGN: return sign(x);
    case OXP_FN_SIN: return sin(x);
    case OXP_FN_COS: return cos(x);
    case OXP_FN_TAN: return tan(x);
    case OXP_FN_ASIN: return asin(x);
    case OXP_FN_ACOS: return acos(x);
    case OXP_FN_ATAN: return atan(x);
    case OXP_FN_SINH: return sinh(x);
    case OXP_FN_COSH: return cosh(x);
    case OXP_FN_ASINH: return asinh(x);
    case OXP_FN_ACOSH: return acosh(x);
    case OXP_FN_ATANH: return atanh(x);
    case OXP_FN_NONE:
    case OXP_FN_COUNT: break;
    }
    return x;
}

/* clang-format on */

/* f(x) = x/2 (1 + t), t = tanh(u(x)):  f' = (1 + t)/2 + x/2 (1 - t^2) u' */
static double gelu_tanh_grad(double x)
{
    const double t = gelu_tanh_inner(x);
    const double du = SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * x * x);
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * du;
}

static double silu_grad(double rate, double x)
{
    const double s = sigmoid(rate * x);
    return s + rate * x * s * (1.0 - s);
}

static double mish_grad(double x)
{
    const double t = tanh(softplus(x));
    return t + x * sigmoid(x) * (1.0 - t * t);
}

/* clang-format off */
double oxp_fn_grad(oxp_fn fn, double alpha, double beta, double v)
{
    switch (fn) {
    case OXP_FN_NONE: return 1.0;
    case OXP_FN_NEG: return -1.0;
    case OXP_FN_ABS: return sign(v);
    case OXP_FN_SQRT: return 0.5 / v;
    case OXP_FN_EXP: return v;
    case OXP_FN_LOG: return 1.0 / v;
    case OXP_FN_RECIPROCAL: return -v * v;
    case OXP_FN_RELU: return v > 0.0 ? 1.0 : 0.0;
    case OXP_FN_LEAKY_RELU: return v > 0.0 ? 1.0 : alpha;
    case OXP_FN_ELU: return v < 0.0 ? alpha * exp(v) : 1.0;
    case OXP_FN_CELU: return v < 0.0 ? exp(v / alpha) : 1.0;
    case OXP_FN_SELU: return beta * (v < 0.0 ? alpha * exp(v) : 1.0);
    case OXP_FN_CLIP: return v > alpha && v < beta ? 1.0 : 0.0;
    case OXP_FN_SIGMOID: return v * (1.0 - v);
    case OXP_FN_HARD_SIGMOID: return alpha * v + beta > 0.0 && alpha * v + beta < 1.0 ? alpha : 0.0;
    case OXP_FN_HARD_SWISH: return v <= -3.0 ? 0.0 : v >= 3.0 ? 1.0 : v / 3.0 + 0.5;
    case OXP_FN_THRESHOLDED_RELU: return v > alpha ? 1.0 : 0.0;
    case OXP_FN_SHRINK: return v > alpha || v < -alpha ? 1.0 : 0.0;
    case OXP_FN_SOFTPLUS: return sigmoid(v);
    case OXP_FN_SOFTSIGN: return 1.0 / ((1.0 + fabs(v)) * (1.0 + fabs(v)));
    case OXP_FN_TANH: return 1.0 - v * v;
    case OXP_FN_ERF: return TWO_OVER_SQRT_PI * exp(-v * v);
    case OXP_FN_GELU: return normal_cdf(v) + v * normal_pdf(v);
    case OXP_FN_GELU_TANH: return gelu_tanh_grad(v);
    case OXP_FN_SILU: return silu_grad(silu_rate(alpha), v);
    case OXP_FN_MISH: return mish_grad(v);
    case OXP_FN_SIN: return cos(v);
    case OXP_FN_COS: return -sin(v);
    case OXP_FN_TAN: return 1.0 + v * v;
    case OXP_FN_ASIN: return 1.0 / sqrt((1.0 - v) * (1.0 + v));
    case OXP_FN_ACOS: return -1.0 / sqrt((1.0 - v) * (1.0 + v));
    case OXP_FN_ATAN: return 1.0 / (1.0 + v * v);
    case OXP_FN_SINH: return cosh(v);
    case OXP_FN_COSH: return sinh(v);
    case OXP_FN_ASINH: return 1.0 / sqrt(v * v + 1.0);
    case OXP_FN_ACOSH: return 1.0 / sqrt((v - 1.0) * (v + 1.0));
    case OXP_FN_ATANH: return 1.0 / ((1.0 - v) * (1.0 + v));
    case OXP_FN_FLOOR:
    case OXP_FN_CEIL:
    case OXP_FN_ROUND:
    case OXP_FN_SIGN:
    case OXP_FN_COUNT: break;
    }
    return 0.0; /* piecewise constant */
}

/* a - floor(a / b) b */
static double floor_mod(double a, double b)
{
    const double r = fmod(a, b);
    return (r < 0.0 && b > 0.0) || (r > 0.0 && b < 0.0) ? r + b : r;
}

double oxp_bin_eval(oxp_bin bin, double a, double b)
{
    const bool p = a < 0.0 || a > 0.0, q = b < 0.0 || b > 0.0;
    switch (bin) {
    case OXP_BIN_ADD: return a + b;
    case OXP_BIN_SUB: return a - b;
    case OXP_BIN_MUL: return a * b;
    case OXP_BIN_DIV: return a / b;
    case OXP_BIN_POW: return pow(a, b);
    case OXP_BIN_MIN: return isnan(a) || a <= b ? a : b;
    case OXP_BIN_MAX: return isnan(a) || a >= b ? a : b;
    case OXP_BIN_FMOD: return fmod(a, b);
    case OXP_BIN_MOD: return floor_mod(a, b);
    case OXP_BIN_PRELU: return a < 0.0 ? a * b : a;
    case OXP_BIN_EQ: return a <= b && a >= b;
    case OXP_BIN_GT: return a > b;
    case OXP_BIN_GE: return a >= b;
    case OXP_BIN_LT: return a < b;
    case OXP_BIN_LE: return a <= b;
    case OXP_BIN_AND: return p && q;
    case OXP_BIN_OR: return p || q;
    case OXP_BIN_XOR: return p != q;
    }
    return 0.0;
}
/* clang-format on */
