/* test_signal_eigen.c - leading eigenvectors against closed forms, by both methods inside. */
#include "signal/eigen.h"
#include "support/support.h"

#include <math.h>
#include <string.h>

static double top(const double *a, size_t n, double *v)
{
    oxp_error error = {.code = OXP_OK};
    oxp_arena *scratch = oxp_arena_new(NULL);
    oxp_ctx ctx = {.error = &error, .scratch = scratch};
    double value = 0.0, length = 0.0;
    assert_int_equal(oxp_eigen_top(&ctx, a, n, v, &value), OXP_OK);
    for (size_t i = 0; i < n; i++) length += v[i] * v[i];
    assert_true(fabs(length - 1.0) < 1e-12);
    for (size_t i = 0; i < n; i++) { /* A v = value v */
        double sum = 0.0;
        for (size_t j = 0; j < n; j++) sum += a[i * n + j] * v[j];
        assert_true(fabs(sum - value * v[i]) <= 1e-11 * fmax(fabs(value), 1.0));
    }
    oxp_arena_free(scratch);
    return value;
}

static void small_ones(void **state)
{
    OXP_UNUSED(state);
    double v[3];
    assert_true(fabs(top((const double[]){2, 1, 1, 2}, 2, v) - 3.0) < 1e-14);
    assert_true(fabs(v[0] - v[1]) < 1e-14);
    /* the largest, not the largest magnitude */
    assert_true(fabs(top((const double[]){-9, 0, 0, 0, -1, 0, 0, 0, 4}, 3, v) - 4.0) < 1e-14);
    assert_true(fabs(fabs(v[2]) - 1.0) < 1e-14);
    assert_true(fabs(top((const double[]){-5}, 1, v) + 5.0) < 1e-14);
    assert_true(fabs(top((const double[9]){0}, 3, v)) < 1e-14);
}

/* tridiag(-1, 2, -1): value 2 + 2 cos(pi / (n + 1)), vector (-1)^i sin((i + 1) pi / (n + 1)); its
 * neighbours lie within 1e-3, so this asks for many rounds. */
static void second_differences(void **state)
{
    OXP_UNUSED(state);
    static const size_t sizes[] = {5, 40, 41, 200};
    static double a[200 * 200], v[200];
    for (size_t k = 0; k < OXP_COUNT(sizes); k++) {
        const size_t n = sizes[k];
        const double angle = 3.14159265358979323846 / (double)(n + 1);
        memset(a, 0, sizeof a);
        for (size_t i = 0; i < n; i++) {
            a[i * n + i] = 2.0;
            if (i + 1 < n) a[i * n + i + 1] = a[(i + 1) * n + i] = -1.0;
        }
        assert_true(fabs(top(a, n, v) - (2.0 + 2.0 * cos(angle))) < 1e-12);
        const double scale = sqrt(2.0 / (double)(n + 1)), sign = v[0] < 0.0 ? -1.0 : 1.0;
        for (size_t i = 0; i < n; i++)
            assert_true(fabs(sign * v[i] -
                             (i % 2 ? -1.0 : 1.0) * scale * sin((double)(i + 1) * angle)) < 1e-8);
    }
}

/* A matrix of rank one, and the zero matrix, end the basis early. */
static void low_rank(void **state)
{
    OXP_UNUSED(state);
    enum { N = 100 };
    static double a[N * N], v[N];
    double length = 0.0;
    for (size_t i = 0; i < N; i++) length += (double)(i * i);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) a[i * N + j] = (double)(i * j) / length;
    assert_true(fabs(top(a, N, v) - 1.0) < 1e-12);
    for (size_t i = 0; i < N; i++) assert_true(fabs(fabs(v[i]) - (double)i / sqrt(length)) < 1e-12);
    memset(a, 0, sizeof a);
    assert_true(fabs(top(a, N, v)) < 1e-14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_ones),
                                       cmocka_unit_test(second_differences),
                                       cmocka_unit_test(low_rank)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
