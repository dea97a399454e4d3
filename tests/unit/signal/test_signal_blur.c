/* Gaussian blur against NumPy's convolution with padded borders. */
#include "signal/blur.h"
#include "unit/signal/array_test.h"

#include <math.h>

static void agrees_with_numpy_at_each_border(void **state)
{
    bench *b = *state;
    const oxp_tensor x = bench_array(b, "blur.npy"), want = bench_array(b, "blur_expected.npy");
    const double sigma[] = {1.3, 0.6};
    for (int border = OXP_BORDER_REFLECT; border <= OXP_BORDER_ZERO; border++) {
        float got[63];
        assert_ok(b, oxp_blur_gaussian(&b->ctx, x.data, 2, x.shape.dim, sigma, 4.0,
                                       (oxp_border)border, got));
        assert_close_f32(got, (const float *)want.data + 63 * border, 63, 1e-6);
    }
}

/* The kernel is wider than the array: the border rule must fold more than once. */
static void agrees_with_numpy_beyond_the_array(void **state)
{
    bench *b = *state;
    const oxp_tensor x = bench_array(b, "blur.npy"),
                     want = bench_array(b, "blur_wide_expected.npy");
    const double sigma[] = {5.0, 4.0};
    float got[63];
    assert_ok(
        b, oxp_blur_gaussian(&b->ctx, x.data, 2, x.shape.dim, sigma, 4.0, OXP_BORDER_REFLECT, got));
    assert_close_f32(got, (const float *)want.data, 63, 1e-6);
}

static void leaves_axes_of_sigma_zero_alone(void **state)
{
    bench *b = *state;
    const oxp_tensor x = bench_array(b, "blur.npy");
    const double nothing[] = {0.0, 0.0}, rows[] = {0.0, 2.0};
    float got[63], line[7];
    memcpy(got, x.data, sizeof got);
    assert_ok(
        b, oxp_blur_gaussian(&b->ctx, got, 2, x.shape.dim, nothing, 4.0, OXP_BORDER_REFLECT, got));
    assert_memory_equal(got, x.data, sizeof got);
    assert_ok(b,
              oxp_blur_gaussian(&b->ctx, got, 2, x.shape.dim, rows, 4.0, OXP_BORDER_REFLECT, got));
    for (int r = 0; r < 9; r++) {
        assert_ok(b, oxp_blur_gaussian(&b->ctx, (const float *)x.data + 7 * r, 1, x.shape.dim + 1,
                                       rows + 1, 4.0, OXP_BORDER_REFLECT, line));
        assert_memory_equal(got + 7 * r, line, sizeof line);
    }
}

static void keeps_constants_and_sums(void **state)
{
    bench *b = *state;
    const int64_t dims[] = {3, 4, 5};
    const double sigma[] = {1, 2, 3};
    float x[60], got[60];
    for (int i = 0; i < 60; i++) x[i] = i == 17 ? 60.0f : 0.0f;
    assert_ok(b, oxp_blur_gaussian(&b->ctx, x, 3, dims, sigma, 4.0, OXP_BORDER_REFLECT, got));
    double sum = 0.0;
    for (int i = 0; i < 60; i++) sum += (double)got[i];
    assert_true(fabs(sum - 60.0) < 1e-4);
    for (int i = 0; i < 60; i++) x[i] = 2.5f;
    assert_ok(b, oxp_blur_gaussian(&b->ctx, x, 3, dims, sigma, 4.0, OXP_BORDER_MIRROR, got));
    assert_close_f32(got, x, 60, 1e-6);
}

static void refuses_bad_sigma(void **state)
{
    bench *b = *state;
    const int64_t dims[] = {2};
    float x[2] = {0, 0};
    const double bad[] = {-1.0, (double)NAN, (double)INFINITY, 1e9};
    for (size_t i = 0; i < OXP_COUNT(bad); i++)
        assert_fails(b, oxp_blur_gaussian(&b->ctx, x, 1, dims, &bad[i], 4.0, OXP_BORDER_REFLECT, x),
                     OXP_EINVAL, "sigma");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agrees_with_numpy_at_each_border, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(agrees_with_numpy_beyond_the_array, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(leaves_axes_of_sigma_zero_alone, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(keeps_constants_and_sums, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(refuses_bad_sigma, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
