/* host_math.h - single-precision functions without branches or calls, so that loops over them
 * become vector code.
 *
 * Polynomials are minimax fits (Remez, weighted for relative error) made for this file; the
 * approximation error of each is below 1e-8, so results are good to about two units in the last
 * place. NaN goes in and comes out, infinities behave as in math.h. */
#ifndef OXP_EXEC_HOST_MATH_H
#define OXP_EXEC_HOST_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float oxp_bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t oxp_float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* e^x = 2^n e^r, |r| <= ln 2 / 2. 2^n in two factors, so that denormal results and values next to
 * overflow come out. */
static inline float oxp_expf(float x)
{
    const float round =
        12582912.0f; /* 1.5 2^23: adding it leaves the nearest integer in the low bits */
    const float c = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
    const float t = c * 1.44269504f + round;
    const float n = t - round;
    const float r = (c - n * 0.693359375f) - n * -2.12194440e-4f;
    const uint32_t k = oxp_float_bits(t) - 0x4b400000u + 256u; /* n + 256 */
    const uint32_t half = k >> 1;
    const float s1 = oxp_bits_float((half - 1u) << 23), s2 = oxp_bits_float((k - half - 1u) << 23);
    const float q = 4.999999343e-01f +
                    r * (1.666652040e-01f +
                         r * (4.166839082e-02f + r * (8.368745145e-03f + r * 1.381453880e-03f)));
    return (1.0f + (r + r * r * q)) * s1 * s2;
}

/* log x = e ln 2 + log m, sqrt(1/2) <= m < sqrt(2) */
static inline float oxp_logf(float x)
{
    const int tiny = x < 1.17549435e-38f;
    const uint32_t u = oxp_float_bits(tiny ? x * 8388608.0f : x) - 0x3f3504f3u;
    const float e = (float)((int32_t)u >> 23) - (tiny ? 23.0f : 0.0f);
    const float f = oxp_bits_float((u & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    const float p =
        3.333331260e-01f +
        f * (-2.500000960e-01f +
             f * (2.000211864e-01f +
                  f * (-1.666799590e-01f +
                       f * (1.421955273e-01f +
                            f * (-1.240558824e-01f +
                                 f * (1.188815885e-01f +
                                      f * (-1.167565457e-01f + f * 6.746651524e-02f)))))));
    const float small = f * f * (f * p - 0.5f) + e * -2.12194440e-4f;
    const float y = (small + f) + e * 0.693359375f;
    const float special = x < 0.0f    ? NAN
                          : x > 0.0f  ? x
                          : x == 0.0f ? -INFINITY
                                      : x; /* also +inf, NaN */
    return x > 0.0f && x <= 3.40282347e+38f ? y : special;
}

/* log(1 + t) for t in [0, 1], to full relative precision */
static inline float oxp_log1pf(float t)
{
    const float u = 1.0f + t;
    return oxp_logf(u) + (t - (u - 1.0f)) / u;
}

static inline float oxp_copysignf(float magnitude, float sign)
{
    return oxp_bits_float((oxp_float_bits(magnitude) & 0x7fffffffu) |
                          (oxp_float_bits(sign) & 0x80000000u));
}

static inline float oxp_tanhf(float x)
{
    const float z = x * x, a = fabsf(x);
    const float small =
        x + x * z *
                (-3.333328393e-01f +
                 z * (1.333149129e-01f +
                      z * (-5.374349821e-02f + z * (2.065058770e-02f + z * -5.717045478e-03f))));
    const float large = oxp_copysignf(1.0f - 2.0f / (oxp_expf(a + a) + 1.0f), x);
    return a < 0.625f ? small : large;
}

static inline float oxp_sigmoidf(float x)
{
    return 1.0f / (1.0f + oxp_expf(-x));
}

static inline float oxp_softplusf(float x)
{
    return oxp_log1pf(oxp_expf(-fabsf(x))) + (x < 0.0f ? 0.0f : x);
}

/* Near 0 an odd polynomial; from 1 on 1 - e^p(x), p fitted to log erfc. */
static inline float oxp_erff(float x)
{
    const float z = x * x, a = fabsf(x), c = a > 4.0f ? 4.0f : a;
    const float small =
        x *
        (1.128379166e+00f +
         z * (-3.761262582e-01f +
              z * (1.128358515e-01f +
                   z * (-2.685381193e-02f +
                        z * (5.188327679e-03f + z * (-8.010193569e-04f + z * 7.853861180e-05f))))));
    const float p = 1.880361643e-04f +
                    c * (-1.129578406e+00f +
                         c * (-6.332199264e-01f +
                              c * (-1.084185436e-01f +
                                   c * (2.520823661e-02f +
                                        c * (-4.204554806e-03f +
                                             c * (4.413350254e-04f + c * -2.168674137e-05f))))));
    const float large = oxp_copysignf(1.0f - oxp_expf(p), x);
    return a < 1.0f ? small : large;
}

#endif
