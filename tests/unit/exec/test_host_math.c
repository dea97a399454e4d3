/* The vector functions against the double ones of math.h: relative error over wide ranges, and
 * the special values. */
#include "exec/host_math.h"
#include "support/support.h"

#include <float.h>

typedef struct math_case {
    const char *name;
    float (*f)(float);
    double (*want)(double);
    float lo, hi;
    double tolerance; /* relative */
} math_case;

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double softplus(double x)
{
    return log1p(exp(-fabs(x))) + (x < 0.0 ? 0.0 : x);
}

static void test_relative_error(void **state)
{
    (void)state;
    const math_case cases[] = {
        {"exp", oxp_expf, exp, -87.0f, 88.7f, 2e-7},
        {"log", oxp_logf, log, 1e-3f, 30.0f, 2e-7},
        {"log small", oxp_logf, log, 1e-38f, 1e-37f, 2e-7},
        {"log large", oxp_logf, log, 1e20f, 3e38f, 2e-7},
        {"log at 1", oxp_logf, log, 0.999f, 1.001f, 2e-7},
        {"log1p", oxp_log1pf, log1p, 0.0f, 1.0f, 3e-7},
        {"log1p small", oxp_log1pf, log1p, 1e-30f, 1e-3f, 3e-7},
        {"tanh", oxp_tanhf, tanh, -12.0f, 12.0f, 3e-7},
        {"tanh small", oxp_tanhf, tanh, -1e-3f, 1e-3f, 2e-7},
        {"sigmoid", oxp_sigmoidf, sigmoid, -80.0f, 80.0f, 3e-7},
        {"softplus", oxp_softplusf, softplus, -80.0f, 30.0f, 4e-7},
        {"erf", oxp_erff, erf, -6.0f, 6.0f, 3e-7},
        {"erf small", oxp_erff, erf, -1e-3f, 1e-3f, 2e-7},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const math_case *c = &cases[k];
        double worst = 0.0;
        enum { N = 200001 };
        for (int i = 0; i < N; i++) {
            const float x = c->lo + (c->hi - c->lo) * ((float)i / (N - 1));
            const double want = c->want((double)x), got = (double)c->f(x);
            const double error = want == 0.0 ? fabs(got) : fabs(got - want) / fabs(want);
            if (!(error <= worst)) worst = error;
        }
        if (!(worst <= c->tolerance))
            fail_msg("%s: relative error %g exceeds %g", c->name, worst, c->tolerance);
    }
}

static void test_special_values(void **state)
{
    (void)state;
    assert_true(isnan(oxp_expf(NAN)) && isnan(oxp_logf(NAN)) && isnan(oxp_tanhf(NAN)) &&
                isnan(oxp_erff(NAN)));
    assert_true(isnan(oxp_sigmoidf(NAN)) && isnan(oxp_softplusf(NAN)) && isnan(oxp_logf(-1.0f)));
    assert_true(oxp_expf(INFINITY) == INFINITY && oxp_expf(100.0f) == INFINITY);
    assert_true(oxp_expf(-INFINITY) < 1e-44f && oxp_expf(-1000.0f) >= 0.0f);
    assert_true(oxp_expf(0.0f) == 1.0f && oxp_logf(1.0f) == 0.0f);
    assert_true(oxp_logf(0.0f) == -INFINITY && oxp_logf(INFINITY) == INFINITY);
    assert_true(fabs((double)oxp_logf(FLT_TRUE_MIN) - log((double)FLT_TRUE_MIN)) < 1e-5);
    assert_true(oxp_tanhf(INFINITY) == 1.0f && oxp_tanhf(-INFINITY) == -1.0f &&
                oxp_tanhf(0.0f) == 0.0f);
    assert_true(oxp_erff(INFINITY) == 1.0f && oxp_erff(-INFINITY) == -1.0f &&
                signbit(oxp_erff(-0.0f)));
    assert_true(oxp_sigmoidf(INFINITY) == 1.0f && oxp_sigmoidf(-INFINITY) == 0.0f);
    /* Denormal results lose digits but not their size. */
    assert_true(fabs((double)oxp_expf(-95.0f) / exp(-95.0) - 1.0) < 1e-2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relative_error),
        cmocka_unit_test(test_special_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
