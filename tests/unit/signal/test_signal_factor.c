/* Non-negative factorisation: exact where there is an exact one, no worse than scikit-learn on a small
 * matrix, and non-negative always. */
#include "signal/factor.h"
#include "unit/signal/array_test.h"

#include <math.h>

static double factor(bench *b, const double *x, size_t m, size_t n, size_t k, double *w, double *h)
{
    double error;
    assert_ok(b, oxp_factor(&b->ctx, x, m, n, k, 1000, w, h, &error));
    double sum = 0.0;
    for (size_t i = 0; i < m; i++)
        for (size_t c = 0; c < n; c++) {
            double d = x[i * n + c];
            for (size_t j = 0; j < k; j++) d -= w[i * k + j] * h[j * n + c];
            sum += d * d;
        }
    assert_true(fabs(sqrt(sum) - error) < 1e-12 * (1.0 + error));
    for (size_t i = 0; i < m * k; i++) assert_true(w[i] >= 0.0);
    for (size_t i = 0; i < k * n; i++) assert_true(h[i] >= 0.0);
    return error;
}

/* x = w h of rank 1, found exactly, and of rank 2, come near; a third component finds nothing left. */
static void products_are_found(void **state)
{
    bench *b = *state;
    static const double one[12] = {0, 0, 0, 1, 2, 3, 2, 4, 6, 4, 8, 12};
    static const double two[12] = {1, 0, 2, 0, 3, 0, 2, 3, 4, 3, 6, 6};
    double w[16], h[16];
    assert_true(factor(b, one, 4, 3, 1, w, h) < 1e-12);
    for (int i = 1; i < 4; i++) assert_true(fabs(w[i] / w[1] - (i == 3 ? 4 : i)) < 1e-12);
    for (int c = 0; c < 3; c++) assert_true(fabs(h[c] / h[0] - (c + 1)) < 1e-12);
    assert_true(factor(b, two, 4, 3, 2, w, h) < 1e-4);
    assert_true(factor(b, two, 4, 3, 3, w, h) < 1e-4);
    assert_true(factor(b, (double[12]){0}, 4, 3, 2, w, h) <= 0.0);
}

/* scikit-learn 1.x, NMF(k, init='random', random_state=0) as pytorch-grad-cam calls it, and with
 * init='nndsvd', tol=1e-10: the better one. */
static void no_worse_than_scikit_learn(void **state)
{
    bench *b = *state;
    static const double known[] = {14.730188983467503, 8.453161302861282, 5.4405830503722195};
    double x[30], turned[30], w[18], h[18];
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 5; j++)
            turned[j * 6 + i] = x[i * 5 + j] = (3 * i * i + 5 * j + 2 * i * j) % 11;
    for (size_t k = 1; k <= 3; k++) {
        const double error = factor(b, x, 6, 5, k, w, h);
        if (!(error <= known[k - 1] * (1 + 1e-9))) fail_msg("k = %zu: %.12g", k, error);
        assert_true(factor(b, turned, 5, 6, k, w, h) <= known[k - 1] * (1 + 1e-4));
    }
}

static void errors_do_not_grow_with_more_components(void **state)
{
    bench *b = *state;
    double x[120], w[120], h[120], last = (double)INFINITY;
    for (int i = 0; i < 120; i++) x[i] = (double)((i * 7919) % 101) / 10.0;
    for (size_t k = 1; k <= 8; k++) {
        const double error = factor(b, x, 12, 10, k, w, h);
        assert_true(error <= last * (1.0 + 1e-9));
        last = error;
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(products_are_found), TEST(no_worse_than_scikit_learn),
                                       TEST(errors_do_not_grow_with_more_components)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
