/*
 * Conversions: every float16 and bfloat16 value, rounding at every border between two neighbours,
 * saturation, all pairs of dtypes, unaligned sources.
 */
#include "support/support.h"
#include "tensor/tensor.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const oxp_dtype all[] = {OXP_F32,  OXP_U8,  OXP_I8,  OXP_U16, OXP_I16, OXP_I32, OXP_I64,
                                OXP_BOOL, OXP_F16, OXP_F64, OXP_U32, OXP_U64, OXP_BF16};

/* The value of an IEEE format with `fraction` stored bits and the given exponent bias, by its
 * definition. */
static double decode(unsigned bits, int fraction, int bias, int exponents)
{
    const unsigned f = bits & ((1u << fraction) - 1),
                   e = bits >> fraction & ((1u << exponents) - 1);
    const double sign = bits >> (fraction + exponents) & 1 ? -1 : 1;
    if (e == (1u << exponents) - 1) return f != 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * ldexp((double)f + (e != 0 ? (1 << fraction) : 0),
                        (e != 0 ? (int)e : 1) - bias - fraction);
}

static double half(unsigned bits)
{
    return decode(bits, 10, 15, 5);
}

static double bfloat(unsigned bits)
{
    return decode(bits, 7, 127, 8);
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void test_every_16_bit_value_decodes(void **state)
{
    (void)state;
    static uint16_t bits[65536];
    static float f[2][65536];
    static double d[2][65536];
    for (unsigned i = 0; i < 65536; i++) bits[i] = (uint16_t)i;
    oxp_convert(f[0], OXP_F32, bits, OXP_F16, 65536);
    oxp_convert(f[1], OXP_F32, bits, OXP_BF16, 65536);
    oxp_convert(d[0], OXP_F64, bits, OXP_F16, 65536);
    oxp_convert(d[1], OXP_F64, bits, OXP_BF16, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        assert_true(same((double)f[0][i], half(i)) && same(d[0][i], half(i)));
        assert_true(same((double)f[1][i], bfloat(i)) && same(d[1][i], bfloat(i)));
        assert_true(same((double)oxp_half_to_float((uint16_t)i), half(i)));
    }
}

/* x must become `want`, whether it starts as float or as double. */
static void check_encode(oxp_dtype to, double x, uint16_t want)
{
    uint16_t from_double, from_float;
    const float f = (float)x;
    oxp_convert(&from_double, to, &x, OXP_F64, 1);
    if (from_double != want) fail_msg("%a became %04x, expected %04x", x, from_double, want);
    if ((double)f != x) return;
    oxp_convert(&from_float, to, &f, OXP_F32, 1);
    if (from_float != want) fail_msg("%a became %04x, expected %04x", x, from_float, want);
    if (to == OXP_F16) assert_int_equal(oxp_float_to_half(f), want);
}

/* Between each two neighbours a < b: the middle goes to the even one, anything beyond it to the
 * nearer one. */
static void check_borders(oxp_dtype to, double (*value)(unsigned), unsigned infinity)
{
    for (unsigned i = 0; i < infinity; i++) {
        const double a = value(i);
        /* Beyond the largest finite value the next one would have been the old step further. */
        const double b = i + 1 < infinity ? value(i + 1) : 2 * a - value(i - 1);
        const double middle = a + (b - a) / 2;
        for (unsigned sign = 0; sign <= 0x8000u; sign += 0x8000u) {
            const double s = sign != 0 ? -1 : 1;
            check_encode(to, s * a, (uint16_t)(sign | i));
            check_encode(to, s * middle, (uint16_t)(sign | (i + (i & 1))));
            check_encode(to, s * nextafter(middle, 0), (uint16_t)(sign | i));
            check_encode(to, s * nextafter(middle, b), (uint16_t)(sign | (i + 1)));
            check_encode(to, s * (double)nextafterf((float)middle, FLT_MAX),
                         (uint16_t)(sign | (i + 1)));
        }
    }
    check_encode(to, (double)INFINITY, (uint16_t)infinity);
    check_encode(to, -(double)INFINITY, (uint16_t)(infinity | 0x8000u));
    check_encode(to, 0x1p1000, (uint16_t)infinity);
    check_encode(to, -0x1p-1000, 0x8000u);
}

static void test_half_rounds_to_nearest_even(void **state)
{
    (void)state;
    check_borders(OXP_F16, half, 0x7C00);
}

static void test_bfloat_rounds_to_nearest_even(void **state)
{
    (void)state;
    check_borders(OXP_BF16, bfloat, 0x7F80);
}

static void test_nan_stays_nan(void **state)
{
    (void)state;
    static const uint32_t nans[] = {0x7F800001, 0x7FC00000, 0xFFFFFFFF, 0xFF800001, 0x7F801FFF};
    for (size_t i = 0; i < OXP_COUNT(nans); i++) {
        float f;
        double d;
        uint16_t h, b, dh, db;
        memcpy(&f, &nans[i], sizeof f);
        d = (double)f;
        oxp_convert(&h, OXP_F16, &f, OXP_F32, 1);
        oxp_convert(&b, OXP_BF16, &f, OXP_F32, 1);
        oxp_convert(&dh, OXP_F16, &d, OXP_F64, 1);
        oxp_convert(&db, OXP_BF16, &d, OXP_F64, 1);
        assert_true(isnan(half(h)) && isnan(bfloat(b)) && isnan(half(dh)) && isnan(bfloat(db)));
        assert_int_equal(h >> 15, nans[i] >> 31);
        assert_int_equal(b >> 15, nans[i] >> 31);
    }
}

/* Small integers that every dtype holds survive every pair, from an unaligned source. */
static void test_all_pairs(void **state)
{
    (void)state;
    enum { N = 37 };
    double source[N], back[N];
    for (int i = 0; i < N; i++) source[i] = i;
    for (size_t a = 0; a < OXP_COUNT(all); a++)
        for (size_t b = 0; b < OXP_COUNT(all); b++) {
            _Alignas(8) char first[N * 8], shifted[N * 8 + 1], second[N * 8];
            oxp_convert(first, all[a], source, OXP_F64, N);
            memcpy(shifted + 1, first, N * oxp_dtype_size(all[a]));
            oxp_convert(second, all[b], shifted + 1, all[a], N);
            oxp_convert(back, OXP_F64, second, all[b], N);
            const bool as_bool = all[a] == OXP_BOOL || all[b] == OXP_BOOL;
            for (int i = 0; i < N; i++)
                if (back[i] != (as_bool ? i != 0 : i))
                    fail_msg("%d: %s to %s gave %g", i, oxp_dtype_name(all[a]),
                             oxp_dtype_name(all[b]), back[i]);
        }
}

static void test_saturation(void **state)
{
    (void)state;
    const struct {
        oxp_dtype to;
        int64_t low;
        uint64_t high;
    } cases[] = {{OXP_U8, 0, UINT8_MAX},   {OXP_I8, INT8_MIN, INT8_MAX},
                 {OXP_U16, 0, UINT16_MAX}, {OXP_I16, INT16_MIN, INT16_MAX},
                 {OXP_U32, 0, UINT32_MAX}, {OXP_I32, INT32_MIN, INT32_MAX},
                 {OXP_U64, 0, UINT64_MAX}, {OXP_I64, INT64_MIN, INT64_MAX}};
    static const double beyond[] = {1e300,  -1e300, (double)INFINITY, -(double)INFINITY,
                                    0x1p64, -0x1p64};
    for (size_t c = 0; c < OXP_COUNT(cases); c++) {
        const size_t size = oxp_dtype_size(cases[c].to);
        uint64_t got = 0;
        for (size_t i = 0; i < OXP_COUNT(beyond); i++) {
            const uint64_t want = beyond[i] > 0 ? cases[c].high : (uint64_t)cases[c].low;
            oxp_convert(&got, cases[c].to, &beyond[i], OXP_F64, 1);
            assert_memory_equal(&got, &want, size);
        }
        static const int64_t ints[] = {INT64_MIN, -129, 300, INT64_MAX};
        for (size_t i = 0; i < OXP_COUNT(ints); i++) {
            const int64_t high = cases[c].high > INT64_MAX ? INT64_MAX : (int64_t)cases[c].high;
            int64_t want = ints[i] < cases[c].low ? cases[c].low : ints[i];
            want = want > high ? high : want;
            oxp_convert(&got, cases[c].to, &ints[i], OXP_I64, 1);
            assert_memory_equal(&got, &want, size);
        }
        const uint64_t most = UINT64_MAX;
        oxp_convert(&got, cases[c].to, &most, OXP_U64, 1);
        assert_memory_equal(&got, &cases[c].high, size);
        const double fractions[] = {2.9, (double)NAN};
        const uint64_t cut[] = {2, 0};
        for (int i = 0; i < 2; i++) {
            oxp_convert(&got, cases[c].to, &fractions[i], OXP_F64, 1);
            assert_memory_equal(&got, &cut[i], size);
        }
    }
    const double minus = -2.9;
    int32_t i32;
    oxp_convert(&i32, OXP_I32, &minus, OXP_F64, 1);
    assert_int_equal(i32, -2);
}

static void test_large_integers_round_once(void **state)
{
    (void)state;
    /* 2^60 + 2^36 + 1: a double drops the 1 (its step there is 256) and then looks like a tie of
     * two floats. */
    const int64_t i = (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1;
    const uint64_t u = (uint64_t)i + (UINT64_C(1) << 63);
    float f;
    double d;
    oxp_convert(&f, OXP_F32, &i, OXP_I64, 1);
    assert_true(f == 0x1.000002p60f);
    oxp_convert(&f, OXP_F32, &u, OXP_U64, 1);
    assert_true(f == 0x1.2p63f);
    oxp_convert(&d, OXP_F64, &u, OXP_U64, 1);
    assert_true(d == 0x1.2000002p63);
    const uint64_t exact = (UINT64_C(1) << 63) + 2048;
    const double same_as = 0x1p63 + 2048;
    uint64_t back;
    oxp_convert(&back, OXP_U64, &same_as, OXP_F64, 1);
    assert_int_equal(back, exact);
}

static void test_get(void **state)
{
    (void)state;
    const float f[] = {1.5f, -2.5f, 1e30f};
    const uint64_t u[] = {UINT64_MAX, 3};
    const uint8_t flags[] = {0, 7};
    const oxp_tensor tf = {OXP_F32, {1, {3}}, f}, tu = {OXP_U64, {1, {2}}, u},
                     tb = {OXP_BOOL, {1, {2}}, flags};
    assert_true(oxp_tensor_get(&tf, 1) == -2.5);
    assert_int_equal(oxp_tensor_get_int(&tf, 1), -2);
    assert_int_equal(oxp_tensor_get_int(&tf, 2), INT64_MAX);
    assert_true(oxp_tensor_get(&tu, 0) == 0x1p64);
    assert_int_equal(oxp_tensor_get_int(&tu, 0), INT64_MAX);
    assert_int_equal(oxp_tensor_get_int(&tu, 1), 3);
    assert_int_equal(oxp_tensor_get_int(&tb, 1), 1);
    assert_true(oxp_tensor_get(&tb, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_16_bit_value_decodes),
        cmocka_unit_test(test_half_rounds_to_nearest_even),
        cmocka_unit_test(test_bfloat_rounds_to_nearest_even),
        cmocka_unit_test(test_nan_stays_nan),
        cmocka_unit_test(test_all_pairs),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_large_integers_round_once),
        cmocka_unit_test(test_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
