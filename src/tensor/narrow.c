/* narrow.c - see narrow.h. Encoding searches among the at most 255 magnitudes: plain, exact, and
 * never in the way, since such tensors are weights that are read once. */
#include "tensor/narrow.h"
#include <math.h>

typedef struct format {
    int exponent, mantissa; /* bits */
    int bias;
    uint8_t largest;  /* code of the largest number */
    uint8_t infinity; /* 0: none */
    uint8_t nan;      /* with the sign bit clear; 0: none */
    bool one_zero;    /* "FNUZ": the code of -0 is NaN instead */
    bool is_signed;
} format;

static const format *format_of(oxp_dtype dtype)
{
    static const format formats[OXP_DTYPE_LAST + 1] = {
        [OXP_F8E4M3FN] = {4, 3, 7, 0x7E, 0, 0x7F, false, true},
        [OXP_F8E4M3FNUZ] = {4, 3, 8, 0x7F, 0, 0x80, true, true},
        [OXP_F8E5M2] = {5, 2, 15, 0x7B, 0x7C, 0x7E, false, true},
        [OXP_F8E5M2FNUZ] = {5, 2, 16, 0x7F, 0, 0x80, true, true},
        [OXP_F4E2M1] = {2, 1, 1, 0x07, 0, 0, false, true},
        [OXP_F6E2M3] = {2, 3, 1, 0x1F, 0, 0, false, true},
        [OXP_F6E3M2] = {3, 2, 3, 0x1F, 0, 0, false, true},
        [OXP_F8E8M0] = {8, 0, 127, 0xFE, 0, 0xFF, false, false},
    };
    const bool known = (size_t)dtype < OXP_COUNT(formats) && formats[dtype].exponent > 0;
    return known ? &formats[dtype] : NULL;
}

bool oxp_narrow_is(oxp_dtype dtype)
{
    return format_of(dtype) != NULL;
}

static uint8_t sign_bit(const format *f)
{
    return f->is_signed ? (uint8_t)(1u << (f->exponent + f->mantissa)) : 0;
}

/* The number behind a code without sign; one past the largest continues the sequence. */
static double magnitude(const format *f, unsigned code)
{
    const int e = (int)(code >> f->mantissa);
    const int m = (int)(code & ((1u << f->mantissa) - 1u));
    if (!f->is_signed) return ldexp(1.0, e - f->bias); /* powers of two only, no zero */
    return e ? ldexp((double)(m + (1 << f->mantissa)), e - f->bias - f->mantissa)
             : ldexp((double)m, 1 - f->bias - f->mantissa);
}

double oxp_narrow_value(oxp_dtype dtype, uint8_t code)
{
    const format *f = format_of(dtype);
    const uint8_t sign = sign_bit(f), rest = (uint8_t)(code & (f->is_signed ? sign - 1 : 0xFF));
    if (f->one_zero && code == f->nan) return (double)NAN;
    if (f->infinity && rest == f->infinity)
        return code & sign ? -(double)INFINITY : (double)INFINITY;
    if (rest > f->largest) return (double)NAN;
    return code & sign ? -magnitude(f, rest) : magnitude(f, rest);
}

/* The largest code whose number is not above x >= 0; may be one past the largest. */
static unsigned floor_code(const format *f, double x)
{
    unsigned low = 0, high = f->largest + 1u;
    while (low < high) {
        const unsigned middle = (low + high + 1) / 2;
        if (magnitude(f, middle) <= x)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static unsigned round_code(const format *f, double x, oxp_narrow_mode mode)
{
    const unsigned low = floor_code(f, x);
    const double below = magnitude(f, low);
    if (low > f->largest || x <= below) return low;
    const double above = magnitude(f, low + 1), middle = below + 0.5 * (above - below);
    if (!f->is_signed)
        return low + (mode == OXP_NARROW_UP || (mode == OXP_NARROW_NEAREST && x >= middle));
    return low + (x > middle || (x >= middle && (low & 1u)));
}

uint8_t oxp_narrow_code(oxp_dtype dtype, double x, bool saturate, oxp_narrow_mode mode)
{
    const format *f = format_of(dtype);
    const uint8_t sign = signbit(x) ? sign_bit(f) : 0;
    if (isnan(x)) return f->one_zero ? f->nan : f->nan ? (uint8_t)(f->nan | sign) : 0;
    if (isinf(x) && !f->is_signed) return f->nan;
    unsigned code = round_code(f, fabs(x), mode);
    if (code > f->largest) {
        const uint8_t beyond = f->infinity ? f->infinity : f->nan;
        if (!saturate && beyond) return f->one_zero ? f->nan : (uint8_t)(beyond | sign);
        code = f->largest;
    }
    return f->one_zero && code == 0 ? 0 : (uint8_t)(code | sign);
}
