/* Percentiles and rank correlation against NumPy, and on cases small enough to see. */
#include "signal/stats.h"
#include "unit/signal/array_test.h"

#include <math.h>

static const double quantiles[] = {0, 1, 5, 37.5, 50, 99, 99.9, 100};

static void agree_with_numpy(void **state)
{
    bench *b = *state;
    const oxp_tensor values = bench_array(b, "stats.npy"),
                     expected = bench_array(b, "stats_expected.npy");
    const float *v = values.data;
    const double *want = expected.data;
    for (int row = 0; row < 2; row++)
        for (size_t i = 0; i < OXP_COUNT(quantiles); i++) {
            const double got = oxp_percentile(v + 501 * row, 501, quantiles[i]);
            assert_true(fabs(got - *want++) < 1e-9);
        }
    double rho;
    assert_ok(b, oxp_spearman(&b->ctx, v, v + 501, 501, &rho));
    assert_true(fabs(rho - *want) < 1e-12);
}

static void percentile_of_small_arrays(void **state)
{
    (void)state;
    const float v[] = {3.0f, -1.0f, 0.0f, -0.0f, -7.5f}, nan[] = {1.0f, NAN};
    assert_true(oxp_percentile(v, 5, 0) == -7.5);
    assert_true(oxp_percentile(v, 5, 25) == -1.0);
    assert_true(fabs(oxp_percentile(v, 5, 90) - 1.8) < 1e-12);
    assert_true(oxp_percentile(v, 5, 200) == 3.0);
    assert_true(oxp_percentile(v, 1, 33) == 3.0);
    assert_true(isnan(oxp_percentile(v, 0, 50)));
    assert_true(isnan(oxp_percentile(nan, 2, 50)));
}

static void spearman_of_small_arrays(void **state)
{
    bench *b = *state;
    const float up[] = {1, 2, 3, 40}, down[] = {9, 4, 1, 0}, ties[] = {0, 0, 2},
                pinned[] = {-1, 1, 1};
    const float flat[] = {5, 5, 5, 5};
    double rho;
    assert_ok(b, oxp_spearman(&b->ctx, up, up, 4, &rho));
    assert_true(rho == 1.0);
    assert_ok(b, oxp_spearman(&b->ctx, up, down, 4, &rho));
    assert_true(rho == -1.0);
    assert_ok(b, oxp_spearman(&b->ctx, pinned, ties, 3, &rho));
    assert_true(fabs(rho - 0.5) < 1e-12);
    assert_ok(b, oxp_spearman(&b->ctx, up, flat, 4, &rho));
    assert_true(isnan(rho));
    assert_ok(b, oxp_spearman(&b->ctx, up, up, 1, &rho));
    assert_true(isnan(rho));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agree_with_numpy, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(spearman_of_small_arrays, bench_open, bench_close),
        cmocka_unit_test(percentile_of_small_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
