/* convert.c - exact element conversion between every pair of dtypes.
 *
 * Pairs that carry bulk data (float16 / bfloat16 / float64 / uint8 weights and pictures to float32
 * and back) have loops of their own. The rest goes in blocks through int64 (integers among
 * themselves) or double, both of which hold every value of the types they stand for but uint64 and
 * int64 to float, which therefore have direct loops: nothing is rounded twice. */
#include "base/checked.h"
#include "tensor/narrow.h"
#include "tensor/tensor.h"
#include <math.h>
#include <string.h>

static float bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t float_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* ---- float16, bfloat16: one value; branch-free, so that the loops below vectorise ---- */

static inline float half_value(uint16_t h)
{
    const uint32_t magnitude = (uint32_t)(h & 0x7FFFu) << 13, exponent = magnitude & 0x0F800000u;
    /* Normal: exponent rebased by 127 - 15. Infinity, NaN: rebased twice. Subnormal: 2^-14 is added
     * by the exponent bits and taken away again, which normalises. */
    const uint32_t normal = magnitude + (112u << 23), special = normal + (112u << 23);
    const uint32_t subnormal =
        float_to_bits(bits_to_float(magnitude + (113u << 23)) - bits_to_float(113u << 23));
    uint32_t bits = exponent == 0x0F800000u ? special : normal;
    bits = exponent == 0 ? subnormal : bits;
    return bits_to_float(bits | (uint32_t)(h & 0x8000u) << 16);
}

/* Round to nearest even; overflow gives infinity, a NaN stays one. */
static inline uint16_t half_of(float f)
{
    const uint32_t all = float_to_bits(f), magnitude = all & 0x7FFFFFFFu;
    /* 0.5 has the ulp of float16's subnormals in its last bit: adding it rounds them. */
    const uint32_t subnormal = float_to_bits(bits_to_float(magnitude) + 0.5f) - float_to_bits(0.5f);
    const uint32_t normal = (magnitude - (112u << 23) + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    uint32_t h = magnitude < (113u << 23) ? subnormal : normal;
    h = magnitude >= 0x477FF000u ? 0x7C00u : h; /* 65520 and more */
    h = magnitude > 0x7F800000u ? 0x7E00u | (magnitude >> 13 & 0x3FFu) : h;
    return (uint16_t)(h | (all >> 16 & 0x8000u));
}

static inline float bfloat_value(uint16_t b)
{
    return bits_to_float((uint32_t)b << 16);
}

static inline uint16_t bfloat_of(float f)
{
    const uint32_t all = float_to_bits(f);
    const uint32_t rounded = (all + 0x7FFFu + (all >> 16 & 1u)) >> 16;
    return (uint16_t)((all & 0x7FFFFFFFu) > 0x7F800000u ? all >> 16 | 0x40u : rounded);
}

/* double -> float with the sticky bit in the last place (round to odd), so that a second, narrower
 * rounding is exact. */
static float round_to_odd(double d)
{
    const float f = (float)d;
    const uint32_t bits = float_to_bits(f);
    if (isnan(d) || (double)f == d || (bits & 1u) != 0) return f;
    return bits_to_float(fabs((double)f) > fabs(d) ? bits - 1 : bits + 1);
}

float oxp_half_to_float(uint16_t h)
{
    return half_value(h);
}

uint16_t oxp_float_to_half(float f)
{
    return half_of(f);
}

/* ---- bulk loops ---- */

/* dst[i] = expression of x = src[i]; memcpy because src may be unaligned. */
#define BULK(name, to_type, from_type, expression)                                     \
    OXP_SIMD static void name(void *restrict dst, const void *restrict src, int64_t n) \
    {                                                                                  \
        to_type *restrict out = dst;                                                   \
        const char *restrict in = src;                                                 \
        for (int64_t i = 0; i < n; i++) {                                              \
            from_type x;                                                               \
            memcpy(&x, in + (size_t)i * sizeof x, sizeof x);                           \
            out[i] = (expression);                                                     \
        }                                                                              \
    }

BULK(bulk_f16_f32, float, uint16_t, half_value(x))
BULK(bulk_bf16_f32, float, uint16_t, bfloat_value(x))
BULK(bulk_f64_f32, float, double, (float)x)
BULK(bulk_u8_f32, float, uint8_t, (float)x)
BULK(bulk_i64_f32, float, int64_t, (float)x)
BULK(bulk_u64_f32, float, uint64_t, (float)x)
BULK(bulk_u64_f64, double, uint64_t, (double)x)
BULK(bulk_f32_f16, uint16_t, float, half_of(x))
BULK(bulk_f32_bf16, uint16_t, float, bfloat_of(x))
BULK(bulk_f32_f64, double, float, (double)x)

static const struct {
    oxp_dtype to, from;
    void (*run)(void *restrict, const void *restrict, int64_t);
} bulk_loops[] = {
    {OXP_F32, OXP_F16, bulk_f16_f32},   {OXP_F32, OXP_BF16, bulk_bf16_f32},
    {OXP_F32, OXP_F64, bulk_f64_f32},   {OXP_F32, OXP_U8, bulk_u8_f32},
    {OXP_F32, OXP_I64, bulk_i64_f32},   {OXP_F32, OXP_U64, bulk_u64_f32},
    {OXP_F64, OXP_U64, bulk_u64_f64},   {OXP_F16, OXP_F32, bulk_f32_f16},
    {OXP_BF16, OXP_F32, bulk_f32_bf16}, {OXP_F64, OXP_F32, bulk_f32_f64},
};

/* ---- any pair ---- */

/* case dtype: return `value` of x, element i of src. */
#define LOAD(dtype, type, value)                                        \
    case dtype: {                                                       \
        type x;                                                         \
        memcpy(&x, (const char *)src + (size_t)i * sizeof x, sizeof x); \
        return value;                                                   \
    }

/* An integer or bool element; uint64 beyond int64 saturates, which every other integer type does
 * further on. */
static int64_t load_int(const void *src, oxp_dtype from, int64_t i)
{
    switch (from) {
        LOAD(OXP_U8, uint8_t, x)
        LOAD(OXP_I8, int8_t, x)
        LOAD(OXP_U16, uint16_t, x)
        LOAD(OXP_I16, int16_t, x)
        LOAD(OXP_I32, int32_t, x)
        LOAD(OXP_U32, uint32_t, x)
        LOAD(OXP_I64, int64_t, x)
        LOAD(OXP_U64, uint64_t, x > INT64_MAX ? INT64_MAX : (int64_t)x)
        LOAD(OXP_BOOL, uint8_t, x != 0)
        LOAD(OXP_U4, uint8_t, x & 15)
        LOAD(OXP_U2, uint8_t, x & 3)
        LOAD(OXP_I4, uint8_t, (x & 15) - ((x & 8) << 1))
        LOAD(OXP_I2, uint8_t, (x & 3) - ((x & 2) << 1))
    default:
        return 0;
    }
}

static double load_double(const void *src, oxp_dtype from, int64_t i)
{
    switch (from) {
        LOAD(OXP_F32, float, (double)x)
        LOAD(OXP_F64, double, x)
        LOAD(OXP_F16, uint16_t, (double)half_value(x))
        LOAD(OXP_BF16, uint16_t, (double)bfloat_value(x))
        LOAD(OXP_U64, uint64_t, (double)x)
    default:
        if (oxp_narrow_is(from)) return oxp_narrow_value(from, ((const uint8_t *)src)[i]);
        return (double)load_int(src, from, i);
    }
}

/* The ends of an integer dtype's range, as far as int64 goes. above: the first double beyond it. */
typedef struct int_range {
    int64_t low, high;
    double above;
} int_range;

static int_range range_of(oxp_dtype dtype)
{
    static const int_range ranges[OXP_DTYPE_LAST + 1] = {
        [OXP_BOOL] = {0, 1, 2},
        [OXP_U8] = {0, UINT8_MAX, 0x1p8},
        [OXP_I8] = {INT8_MIN, INT8_MAX, 0x1p7},
        [OXP_U16] = {0, UINT16_MAX, 0x1p16},
        [OXP_I16] = {INT16_MIN, INT16_MAX, 0x1p15},
        [OXP_U32] = {0, UINT32_MAX, 0x1p32},
        [OXP_I32] = {INT32_MIN, INT32_MAX, 0x1p31},
        [OXP_U64] = {0, INT64_MAX, 0x1p63},
        [OXP_I64] = {INT64_MIN, INT64_MAX, 0x1p63},
        [OXP_U4] = {0, 15, 16},
        [OXP_I4] = {-8, 7, 8},
        [OXP_U2] = {0, 3, 4},
        [OXP_I2] = {-2, 1, 2},
    };
    return ranges[dtype];
}

static int64_t saturate(double x, int_range range)
{
    if (isnan(x)) return 0;
    return x >= range.above ? range.high : x <= (double)range.low ? range.low : (int64_t)x;
}

/* case dtype: element i of dst = value. */
#define STORE(dtype, type, value)         \
    case dtype:                           \
        ((type *)dst)[i] = (type)(value); \
        break;

static void store_int(void *dst, oxp_dtype to, int64_t i, int64_t x)
{
    switch (to) {
        STORE(OXP_U8, uint8_t, x)
        STORE(OXP_I8, int8_t, x)
        STORE(OXP_U16, uint16_t, x)
        STORE(OXP_I16, int16_t, x)
        STORE(OXP_I32, int32_t, x)
        STORE(OXP_U32, uint32_t, x)
        STORE(OXP_I64, int64_t, x)
        STORE(OXP_U64, uint64_t, x)
        STORE(OXP_BOOL, uint8_t, x != 0)
        STORE(OXP_U4, uint8_t, x)
        STORE(OXP_U2, uint8_t, x)
        STORE(OXP_I4, int8_t, x)
        STORE(OXP_I2, int8_t, x)
    default:
        break;
    }
}

static void store_double(void *dst, oxp_dtype to, int64_t i, double x)
{
    if (to == OXP_U64 && x >= 0x1p63) { /* the half of its range that int64 lacks */
        ((uint64_t *)dst)[i] = x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
        return;
    }
    switch (to) {
        STORE(OXP_F32, float, x)
        STORE(OXP_F64, double, x)
        STORE(OXP_F16, uint16_t, half_of(round_to_odd(x)))
        STORE(OXP_BF16, uint16_t, bfloat_of(round_to_odd(x)))
        STORE(OXP_BOOL, uint8_t, x != 0)
    default:
        if (oxp_narrow_is(to))
            ((uint8_t *)dst)[i] = oxp_narrow_code(to, x, true, OXP_NARROW_UP);
        else
            store_int(dst, to, i, saturate(x, range_of(to)));
    }
}

static void convert_ints(void *dst, oxp_dtype to, const void *src, oxp_dtype from, int64_t n)
{
    const int_range range = range_of(to);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = load_int(src, from, i);
        if (to != OXP_BOOL) x = x < range.low ? range.low : x > range.high ? range.high : x;
        store_int(dst, to, i, x);
    }
}

void oxp_convert(void *dst, oxp_dtype to, const void *src, oxp_dtype from, int64_t n)
{
    if (n <= 0) return;
    if (to == from) {
        memcpy(dst, src, (size_t)n * oxp_dtype_size(to));
        return;
    }
    for (size_t k = 0; k < OXP_COUNT(bulk_loops); k++)
        if (bulk_loops[k].to == to && bulk_loops[k].from == from) {
            bulk_loops[k].run(dst, src, n);
            return;
        }
    if (!oxp_dtype_is_float(to) && !oxp_dtype_is_float(from))
        convert_ints(dst, to, src, from, n);
    else
        for (int64_t i = 0; i < n; i++) store_double(dst, to, i, load_double(src, from, i));
}

double oxp_dtype_round(oxp_dtype dtype, double x)
{
    double whole, rounded;
    const double in = oxp_dtype_is_int(dtype) ? nearbyint(x) : x;
    oxp_convert(&whole, dtype, &in, OXP_F64, 1); /* `whole`: room for any element */
    oxp_convert(&rounded, OXP_F64, &whole, dtype, 1);
    return rounded;
}

double oxp_tensor_get(const oxp_tensor *t, int64_t index)
{
    return load_double(t->data, t->dtype, index);
}

int64_t oxp_tensor_get_int(const oxp_tensor *t, int64_t index)
{
    if (oxp_dtype_is_float(t->dtype))
        return saturate(load_double(t->data, t->dtype, index), range_of(OXP_I64));
    return load_int(t->data, t->dtype, index);
}
