/* host_unary.c - functions of one variable and their derivatives (ops/fn.h) over dense blocks.
 *
 * One pair of inline functions per row of OXP_FN_TABLE, written without branches; the table makes
 * a vector loop of each. Kinks and NaN follow ops/fn.c, the oracle. */
#include "exec/host.h"
#include "exec/host_math.h"

typedef struct fn_args {
    float alpha, beta;
    int n_dy;
} fn_args;

/* Phi(x) and phi(x) of the normal distribution */
static inline float normal_cdf(float x)
{
    return 0.5f * (1.0f + oxp_erff(x * 0.707106781f));
}

static inline float normal_pdf(float x)
{
    return 0.398942280f * oxp_expf(-0.5f * x * x);
}

static inline float clip(float x, float lo, float hi)
{
    const float raised = x < lo ? lo : x;
    return raised > hi ? hi : raised;
}

static inline float sign(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

/* e^x - 1: by its series where the difference would cancel */
static inline float exp_less_1(float x)
{
    const float series =
        x * (1.0f +
             x * (0.5f + x * (1.66666667e-1f +
                              x * (4.16666667e-2f + x * (8.33333333e-3f + x * 1.38888889e-3f)))));
    return fabsf(x) < 0.35f ? series : oxp_expf(x) - 1.0f;
}

static inline float shrink(float x, float lambda, float bias)
{
    const float inside = isnan(x) ? x : 0.0f;
    return x < -lambda ? x + bias : x > lambda ? x - bias : inside;
}

/* x / (1 + |x|); the bound makes it +-1 at the infinities */
static inline float softsign(float x)
{
    const float c = clip(x, -3.0e38f, 3.0e38f);
    return c / (1.0f + fabsf(c));
}

/* tanh(softplus(x)) = n / (n + 2), n = e^x (e^x + 2); 1 in float from x = 10 on */
static inline float mish_n(float x)
{
    const float e = oxp_expf(x > 20.0f ? 20.0f : x);
    return e * (e + 2.0f);
}

/* (1 + tanh u) / 2 = sigmoid(2 u), which keeps its digits for negative x */
static inline float gelu_tanh_gate(float x)
{
    return oxp_sigmoidf(1.595769122f * (x + 0.044715f * x * x * x));
}

#define USES(a, b) ((void)(a), (void)(b))

/* f(x; a, b) */
#define DEFINE_F(symbol, expression)                          \
    static inline float f_##symbol(float x, float a, float b) \
    {                                                         \
        USES(a, b);                                           \
        return expression;                                    \
    }
DEFINE_F(NEG, -x)
DEFINE_F(ABS, fabsf(x))
DEFINE_F(SQRT, sqrtf(x))
DEFINE_F(EXP, oxp_expf(x))
DEFINE_F(LOG, oxp_logf(x))
DEFINE_F(RECIPROCAL, 1.0f / x)
DEFINE_F(RELU, x < 0.0f ? 0.0f : x)
DEFINE_F(LEAKY_RELU, x < 0.0f ? a * x : x)
DEFINE_F(ELU, x < 0.0f ? a * exp_less_1(x) : x)
DEFINE_F(CELU, x < 0.0f ? a * exp_less_1(x / a) : x)
DEFINE_F(SELU, b *(x < 0.0f ? a * exp_less_1(x) : x))
DEFINE_F(CLIP, clip(x, a, b))
DEFINE_F(SIGMOID, oxp_sigmoidf(x))
DEFINE_F(HARD_SIGMOID, clip(a *x + b, 0.0f, 1.0f))
DEFINE_F(HARD_SWISH, x *clip(x *(1.0f / 6.0f) + 0.5f, 0.0f, 1.0f))
DEFINE_F(THRESHOLDED_RELU, x <= a ? 0.0f : x)
DEFINE_F(SHRINK, shrink(x, a, b))
DEFINE_F(SOFTPLUS, oxp_softplusf(x))
DEFINE_F(SOFTSIGN, softsign(x))
DEFINE_F(TANH, oxp_tanhf(x))
DEFINE_F(ERF, oxp_erff(x))
DEFINE_F(GELU, x *normal_cdf(x))
DEFINE_F(GELU_TANH, x *gelu_tanh_gate(x))
DEFINE_F(SILU, x *oxp_sigmoidf(a *x))
DEFINE_F(MISH, x *(mish_n(x) / (mish_n(x) + 2.0f)))
DEFINE_F(FLOOR, floorf(x))
DEFINE_F(CEIL, ceilf(x))
DEFINE_F(ROUND, rintf(x))
DEFINE_F(SIGN, sign(x))
DEFINE_F(SIN, sinf(x))
DEFINE_F(COS, cosf(x))
DEFINE_F(TAN, tanf(x))
DEFINE_F(ASIN, asinf(x))
DEFINE_F(ACOS, acosf(x))
DEFINE_F(ATAN, atanf(x))
DEFINE_F(SINH, sinhf(x))
DEFINE_F(COSH, coshf(x))
DEFINE_F(ASINH, asinhf(x))
DEFINE_F(ACOSH, acoshf(x))
DEFINE_F(ATANH, atanhf(x))

/* s + x s (1 - s) (2 u)', s = sigmoid(2 u) */
static inline float gelu_tanh_grad(float x)
{
    const float s = gelu_tanh_gate(x);
    return s + x * s * (1.0f - s) * 1.595769122f * (1.0f + 0.134145f * x * x);
}

static inline float silu_grad(float x, float rate)
{
    const float s = oxp_sigmoidf(rate * x);
    return s + rate * x * s * (1.0f - s);
}

/* t + x sigmoid(x) (1 - t^2), with 1 - t^2 = 4 (n + 1) / (n + 2)^2 */
static inline float mish_grad(float x)
{
    const float n = mish_n(x), q = 1.0f / (n + 2.0f);
    return n * q + x * oxp_sigmoidf(x) * (4.0f * (n + 1.0f) * q * q);
}

/* f'(x), from v = y or v = x as ops/fn.h says */
#define DEFINE_G(symbol, expression)                          \
    static inline float g_##symbol(float v, float a, float b) \
    {                                                         \
        USES(a, b);                                           \
        OXP_UNUSED(v);                                        \
        return expression;                                    \
    }
DEFINE_G(NEG, -1.0f)
DEFINE_G(ABS, sign(v))
DEFINE_G(SQRT, 0.5f / v)
DEFINE_G(EXP, v)
DEFINE_G(LOG, 1.0f / v)
DEFINE_G(RECIPROCAL, -v *v)
DEFINE_G(RELU, v > 0.0f ? 1.0f : 0.0f)
DEFINE_G(LEAKY_RELU, v > 0.0f ? 1.0f : a)
DEFINE_G(ELU, v < 0.0f ? a * oxp_expf(v) : 1.0f)
DEFINE_G(CELU, v < 0.0f ? oxp_expf(v / a) : 1.0f)
DEFINE_G(SELU, b *(v < 0.0f ? a * oxp_expf(v) : 1.0f))
DEFINE_G(CLIP, v > a && v < b ? 1.0f : 0.0f)
DEFINE_G(SIGMOID, v *(1.0f - v))
DEFINE_G(HARD_SIGMOID, a *v + b > 0.0f && a * v + b < 1.0f ? a : 0.0f)
DEFINE_G(HARD_SWISH, v <= -3.0f ? 0.0f : v >= 3.0f ? 1.0f : v * (1.0f / 3.0f) + 0.5f)
DEFINE_G(THRESHOLDED_RELU, v > a ? 1.0f : 0.0f)
DEFINE_G(SHRINK, v > a || v < -a ? 1.0f : 0.0f)
DEFINE_G(SOFTPLUS, oxp_sigmoidf(v))
DEFINE_G(SOFTSIGN, 1.0f / ((1.0f + fabsf(v)) * (1.0f + fabsf(v))))
DEFINE_G(TANH, 1.0f - v * v)
DEFINE_G(ERF, 1.12837917f * oxp_expf(-v * v))
DEFINE_G(GELU, normal_cdf(v) + v * normal_pdf(v))
DEFINE_G(GELU_TANH, gelu_tanh_grad(v))
DEFINE_G(SILU, silu_grad(v, a))
DEFINE_G(MISH, mish_grad(v))
DEFINE_G(FLOOR, 0.0f)
DEFINE_G(CEIL, 0.0f)
DEFINE_G(ROUND, 0.0f)
DEFINE_G(SIGN, 0.0f)
DEFINE_G(SIN, cosf(v))
DEFINE_G(COS, -sinf(v))
DEFINE_G(TAN, 1.0f + v * v)
DEFINE_G(ASIN, 1.0f / sqrtf((1.0f - v) * (1.0f + v)))
DEFINE_G(ACOS, -1.0f / sqrtf((1.0f - v) * (1.0f + v)))
DEFINE_G(ATAN, 1.0f / (1.0f + v * v))
DEFINE_G(SINH, coshf(v))
DEFINE_G(COSH, sinhf(v))
DEFINE_G(ASINH, 1.0f / sqrtf(v * v + 1.0f))
DEFINE_G(ACOSH, 1.0f / sqrtf((v - 1.0f) * (v + 1.0f)))
DEFINE_G(ATANH, 1.0f / ((1.0f - v) * (1.0f + v)))

/* ---- loops ---- */

/* Of the C library's tan, asin, sinh ... clang knows no vector form: those loops run one by one, and it
 * would say so for each. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

#define DEFINE_EVAL(symbol, name, from_y)                                                  \
    OXP_SIMD static void eval_##symbol(const void *args, int64_t n, const void *const *in, \
                                       void *out)                                          \
    {                                                                                      \
        const float a = ((const fn_args *)args)->alpha, b = ((const fn_args *)args)->beta; \
        const float *x = in[0];                                                            \
        float *y = out;                                                                    \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = f_##symbol(x[i], a, b); \
    }
OXP_FN_TABLE(DEFINE_EVAL)

/* dx = f'(v) * dy, 0 where f'(v) is 0, whatever dy: behind a mask an infinite adjoint is none */
#define DEFINE_GRAD(symbol, name, from_y)                                                  \
    OXP_SIMD static void grad_##symbol(const void *args, int64_t n, const void *const *in, \
                                       void *out)                                          \
    {                                                                                      \
        const float a = ((const fn_args *)args)->alpha, b = ((const fn_args *)args)->beta; \
        const float *v = in[0], *dy = in[1];                                               \
        float *dx = out;                                                                   \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++)                                \
        {                                                                                  \
            const float slope = g_##symbol(v[i], a, b), product = slope * dy[i];           \
            dx[i] = slope == 0.0f ? 0.0f : product;                                        \
        }                                                                                  \
    }
OXP_FN_TABLE(DEFINE_GRAD)

#define EVAL_ROW(symbol, name, from_y) [OXP_FN_##symbol] = eval_##symbol,
#define GRAD_ROW(symbol, name, from_y) [OXP_FN_##symbol] = grad_##symbol,
static const oxp_block_fn eval_loops[OXP_FN_COUNT] = {OXP_FN_TABLE(EVAL_ROW)};
static const oxp_block_fn grad_loops[OXP_FN_COUNT] = {OXP_FN_TABLE(GRAD_ROW)};

typedef struct grad_args {
    fn_args fn; /* first: the loops read it */
    oxp_block_fn loop;
} grad_args;

OXP_SIMD static void sum_run(float *sum, const void *const *x, int n_x, int64_t at, int64_t n)
{
    const float *first = x[0], *second = x[1];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) sum[i] = first[at + i] + second[at + i];
    for (int k = 2; k < n_x; k++) {
        const float *next = x[k];
#pragma omp simd
        for (int64_t i = 0; i < n; i++) sum[i] += next[at + i];
    }
}

enum { RUN = 512 };

/* Several dy: summed in a buffer first, since dx may lie in the place of any of them. */
static void grad_of_sum(const void *args, int64_t n, const void *const *in, void *out)
{
    const grad_args *a = args;
    float sum[RUN];
    for (int64_t at = 0; at < n; at += RUN) {
        const int64_t m = n - at < RUN ? n - at : RUN;
        sum_run(sum, in + 1, a->fn.n_dy, at, m);
        a->loop(&a->fn, m, (const void *const[]){(const float *)in[0] + at, sum},
                (float *)out + at);
    }
}

static void add_up(const void *args, int64_t n, const void *const *in, void *out)
{
    float sum[RUN];
    for (int64_t at = 0; at < n; at += RUN) {
        const int64_t m = n - at < RUN ? n - at : RUN;
        sum_run(sum, in, *(const int *)args, at, m);
        memcpy((float *)out + at, sum, (size_t)m * sizeof(float));
    }
}

/* ---- verbs ---- */

static float rate_of(oxp_fn fn, double alpha)
{
    const bool absent = !(alpha < 0.0 || alpha > 0.0);
    return fn == OXP_FN_SILU && absent ? 1.0f : (float)alpha;
}

oxp_status oxp_lower_unary(oxp_lower *lw, oxp_fn fn, double alpha, double beta, oxp_val x,
                           oxp_val y)
{
    const fn_args args = {rate_of(fn, alpha), (float)beta, 0};
    return oxp_lower_map(lw, oxp_fn_name(fn), eval_loops[fn], &args, sizeof args, &x, 1, y);
}

oxp_status oxp_lower_sum(oxp_lower *lw, const oxp_val *x, size_t n, oxp_val y)
{
    enum { MOST = OXP_NEST_OPS - 1 };
    oxp_val in[MOST];
    int count = 0;
    if (n == 1) {
        const oxp_part from = oxp_lower_whole(lw, x[0]);
        OXP_TRY(oxp_lower_result_like(lw, y, x[0], OXP_NO_VAL));
        const oxp_part to = oxp_lower_whole(lw, y);
        return oxp_lower_copy(lw, &from, &to);
    }
    /* in several steps: y must not lie where a later step still reads */
    if (n > MOST) OXP_TRY(oxp_lower_result_like(lw, y, x[0], OXP_NO_VAL));
    for (size_t i = 0; i < n; i++) {
        in[count++] = x[i];
        if (count < MOST && i + 1 < n) continue;
        OXP_TRY(oxp_lower_map(lw, "sum", add_up, &count, sizeof count, in, (size_t)count, y));
        in[0] = y;
        count = 1;
    }
    return OXP_OK;
}

oxp_status oxp_lower_unary_grad(oxp_lower *lw, oxp_fn fn, double alpha, double beta, oxp_val v,
                                const oxp_val *dy, size_t n, oxp_val dx)
{
    enum { MOST = OXP_NEST_OPS - 2 };
    const grad_args args = {{rate_of(fn, alpha), (float)beta, (int)n}, grad_loops[fn]};
    oxp_val in[OXP_NEST_OPS] = {v};
    if (n > MOST) {
        OXP_TRY(oxp_lower_sum(lw, dy, n, dx));
        return oxp_lower_unary_grad(lw, fn, alpha, beta, v, &dx, 1, dx);
    }
    memcpy(in + 1, dy, n * sizeof *dy);
    return oxp_lower_map(lw, "unary grad", n == 1 ? args.loop : grad_of_sum, &args, sizeof args, in,
                         n + 1, dx);
}
