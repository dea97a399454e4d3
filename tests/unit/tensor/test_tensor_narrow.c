/*
 * Floats of 8 bits and fewer, and integers of 4 and 2: what codes mean, rounding, saturation, .npy.
 * The numbers are those of ONNX's document on float8 and of the OCP's on microscaling formats.
 */
#include "support/support.h"
#include "tensor/narrow.h"
#include <math.h>

static const oxp_dtype floats[] = {OXP_F8E4M3FN, OXP_F8E4M3FNUZ, OXP_F8E5M2, OXP_F8E5M2FNUZ,
                                   OXP_F4E2M1,   OXP_F6E2M3,     OXP_F6E3M2, OXP_F8E8M0};

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b;
}

static void test_what_codes_mean(void **state)
{
    (void)state;
    static const struct {
        oxp_dtype dtype;
        uint8_t code;
        double value;
    } cases[] = {
        {OXP_F8E4M3FN, 0x7E, 448},
        {OXP_F8E4M3FN, 0x7F, (double)NAN},
        {OXP_F8E4M3FN, 0x01, 0x1p-9},
        {OXP_F8E4M3FN, 0xB8, -1},
        {OXP_F8E4M3FNUZ, 0x7F, 240},
        {OXP_F8E4M3FNUZ, 0x80, (double)NAN},
        {OXP_F8E4M3FNUZ, 0x01, 0x1p-10},
        {OXP_F8E4M3FNUZ, 0xC0, -1},
        {OXP_F8E5M2, 0x7B, 57344},
        {OXP_F8E5M2, 0x7C, (double)INFINITY},
        {OXP_F8E5M2, 0xFC, -(double)INFINITY},
        {OXP_F8E5M2, 0x7D, (double)NAN},
        {OXP_F8E5M2, 0x01, 0x1p-16},
        {OXP_F8E5M2FNUZ, 0x7F, 57344},
        {OXP_F8E5M2FNUZ, 0x80, (double)NAN},
        {OXP_F8E5M2FNUZ, 0x01, 0x1p-17},
        {OXP_F4E2M1, 0x01, 0.5},
        {OXP_F4E2M1, 0x07, 6},
        {OXP_F4E2M1, 0x0A, -1},
        {OXP_F6E2M3, 0x1F, 7.5},
        {OXP_F6E2M3, 0x01, 0.125},
        {OXP_F6E3M2, 0x1F, 28},
        {OXP_F6E3M2, 0x21, -0.0625},
        {OXP_F8E8M0, 0x00, 0x1p-127},
        {OXP_F8E8M0, 0x7F, 1},
        {OXP_F8E8M0, 0xFF, (double)NAN},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++)
        if (!same(oxp_narrow_value(cases[i].dtype, cases[i].code), cases[i].value))
            fail_msg("%s code 0x%02x is %g, expected %g", oxp_dtype_name(cases[i].dtype),
                     cases[i].code, oxp_narrow_value(cases[i].dtype, cases[i].code),
                     cases[i].value);
}

/* Every code's number is encoded as that code again, and the middle of two neighbours as the even
 * one. */
static void test_encoding_is_nearest(void **state)
{
    (void)state;
    for (size_t k = 0; k < OXP_COUNT(floats); k++) {
        const oxp_dtype dtype = floats[k];
        const unsigned codes = 1u << oxp_dtype_bits(dtype);
        for (unsigned c = 0; c < codes; c++) {
            const double x = oxp_narrow_value(dtype, (uint8_t)c);
            const uint8_t back = oxp_narrow_code(dtype, x, false, OXP_NARROW_NEAREST);
            assert_true(same(oxp_narrow_value(dtype, back), x));
            if (!isfinite(x)) continue;
            assert_int_equal(back, c);
            const double y =
                c + 1 < codes ? oxp_narrow_value(dtype, (uint8_t)(c + 1)) : (double)NAN;
            if (dtype == OXP_F8E8M0 || !isfinite(y) || fabs(y) <= fabs(x) || x * y < 0) continue;
            assert_int_equal(oxp_narrow_code(dtype, x + (y - x) * 0.5, false, OXP_NARROW_NEAREST),
                             c & 1 ? c + 1 : c);
            assert_int_equal(oxp_narrow_code(dtype, x + (y - x) * 0.501, true, OXP_NARROW_UP),
                             c + 1);
            assert_int_equal(oxp_narrow_code(dtype, x + (y - x) * 0.499, true, OXP_NARROW_UP), c);
        }
    }
}

static void test_beyond_the_largest(void **state)
{
    (void)state;
    static const struct {
        oxp_dtype dtype;
        double x, saturated, loose;
    } cases[] = {
        {OXP_F8E4M3FN, 464, 448, 448},
        {OXP_F8E4M3FN, 465, 448, (double)NAN},
        {OXP_F8E4M3FN, -1e9, -448, (double)NAN},
        {OXP_F8E4M3FN, (double)INFINITY, 448, (double)NAN},
        {OXP_F8E4M3FNUZ, 248, 240, (double)NAN},
        {OXP_F8E4M3FNUZ, 247, 240, 240},
        {OXP_F8E5M2, 61440, 57344, (double)INFINITY},
        {OXP_F8E5M2, -61439, -57344, -57344},
        {OXP_F8E5M2, -(double)INFINITY, -57344, -(double)INFINITY},
        {OXP_F8E5M2FNUZ, 1e9, 57344, (double)NAN},
        {OXP_F4E2M1, -100, -6, -6},
        {OXP_F6E3M2, (double)INFINITY, 28, 28},
        {OXP_F8E4M3FN, (double)NAN, (double)NAN, (double)NAN},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        const oxp_dtype d = cases[i].dtype;
        assert_true(same(oxp_narrow_value(d, oxp_narrow_code(d, cases[i].x, true, OXP_NARROW_UP)),
                         cases[i].saturated));
        assert_true(same(oxp_narrow_value(d, oxp_narrow_code(d, cases[i].x, false, OXP_NARROW_UP)),
                         cases[i].loose));
    }
    assert_int_equal(oxp_narrow_code(OXP_F8E4M3FNUZ, -0.0, true, OXP_NARROW_UP), 0);
    assert_int_equal(oxp_narrow_code(OXP_F8E4M3FN, -0.0, true, OXP_NARROW_UP), 0x80);
}

static void test_powers_of_two(void **state)
{
    (void)state;
    static const struct {
        double x;
        uint8_t up, down, nearest;
    } cases[] = {{1, 127, 127, 127},         {1.25, 128, 127, 127},
                 {1.5, 128, 127, 128},       {1.75, 128, 127, 128},
                 {0x1p-127, 0, 0, 0},        {0, 0, 0, 0},
                 {0x1.8p127, 254, 254, 254}, {(double)INFINITY, 255, 255, 255}};
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        assert_int_equal(oxp_narrow_code(OXP_F8E8M0, cases[i].x, true, OXP_NARROW_UP), cases[i].up);
        assert_int_equal(oxp_narrow_code(OXP_F8E8M0, cases[i].x, true, OXP_NARROW_DOWN),
                         cases[i].down);
        assert_int_equal(oxp_narrow_code(OXP_F8E8M0, cases[i].x, true, OXP_NARROW_NEAREST),
                         cases[i].nearest);
    }
}

static void test_conversions(void **state)
{
    (void)state;
    static const uint8_t codes[] = {0x38, 0xB8, 0x7E};
    static const float numbers[] = {1.0f, -1.06f, 1e9f};
    float f[3];
    uint8_t c[3];
    oxp_convert(f, OXP_F32, codes, OXP_F8E4M3FN, 3);
    assert_true(same((double)f[0], 1) && same((double)f[1], -1) && same((double)f[2], 448));
    oxp_convert(c, OXP_F8E4M3FN, numbers, OXP_F32, 3);
    assert_int_equal(c[0], 0x38);
    assert_int_equal(c[1], 0xB8);
    assert_int_equal(c[2], 0x7E);
    static const float wide[] = {-9.0f, 7.9f, 16.0f};
    int8_t nibble[3];
    oxp_convert(nibble, OXP_I4, wide, OXP_F32, 3);
    assert_int_equal(nibble[0], -8);
    assert_int_equal(nibble[1], 7);
    oxp_convert(nibble, OXP_U4, wide, OXP_F32, 3);
    assert_int_equal(nibble[0], 0);
    assert_int_equal(nibble[2], 15);
    assert_true(same(oxp_dtype_round(OXP_I2, 5.5), 1) && same(oxp_dtype_round(OXP_U8, 2.5), 2) &&
                same(oxp_dtype_round(OXP_I8, -300.0), -128) &&
                same(oxp_dtype_round(OXP_F4E2M1, 2.4), 2));
}

static void test_npy_writes_wider(void **state)
{
    (void)state;
    static const uint8_t codes[] = {0x38}, nibble[] = {0xF8};
    const oxp_tensor f8 = {OXP_F8E4M3FN, {.rank = 1, .dim = {1}}, codes},
                     i4 = {OXP_I4, {.rank = 1, .dim = {1}}, nibble};
    oxp_ctx ctx = {.scratch = oxp_arena_new(NULL)};
    oxp_bytes file;
    oxp_tensor back;
    assert_int_equal(oxp_npy_format(&ctx, ctx.scratch, &f8, &file), OXP_OK);
    assert_int_equal(oxp_npy_parse(&ctx, ctx.scratch, file, &back), OXP_OK);
    assert_int_equal(back.dtype, OXP_F32);
    assert_true(same(oxp_tensor_get(&back, 0), 1));
    assert_int_equal(oxp_npy_format(&ctx, ctx.scratch, &i4, &file), OXP_OK);
    assert_int_equal(oxp_npy_parse(&ctx, ctx.scratch, file, &back), OXP_OK);
    assert_int_equal(back.dtype, OXP_I8);
    assert_true(same(oxp_tensor_get(&back, 0), -8));
    oxp_arena_free(ctx.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_codes_mean),    cmocka_unit_test(test_encoding_is_nearest),
        cmocka_unit_test(test_beyond_the_largest), cmocka_unit_test(test_powers_of_two),
        cmocka_unit_test(test_conversions),        cmocka_unit_test(test_npy_writes_wider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
