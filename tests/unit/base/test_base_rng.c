/*
 * Philox 4x32-10 against the known answers its authors publish with Random123 (kat_vectors), and
 * the moments and independence of what is drawn from it.
 */
#include "base/compiler.h"
#include "base/rng.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>

static void test_known_answers(void **state)
{
    (void)state;
    const struct {
        uint32_t counter[4], key[2], want[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < OXP_COUNT(kat); i++) {
        uint32_t out[4];
        oxp_philox4x32(kat[i].counter, kat[i].key, out);
        assert_memory_equal(out, kat[i].want, sizeof out);
    }
}

/* The place of a draw is (element, item, sample) in the counter, the seed in the key. */
static void test_each_coordinate_matters(void **state)
{
    (void)state;
    const oxp_rng base = {.seed = 0x123456789abcdef0, .item = 3, .sample = 5};
    const double here = oxp_rng_uniform(&base, 7);
    assert_true(here == oxp_rng_uniform(&base, 7));
    oxp_rng other = base;
    other.seed ^= UINT64_C(1) << 63;
    assert_true(here != oxp_rng_uniform(&other, 7));
    other = base;
    other.item++;
    assert_true(here != oxp_rng_uniform(&other, 7));
    other = base;
    other.sample++;
    assert_true(here != oxp_rng_uniform(&other, 7));
    assert_true(here != oxp_rng_uniform(&base, 7 + (UINT64_C(1) << 32)));
}

static void test_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    const oxp_rng rng = {.seed = 42};
    double u1 = 0, u2 = 0, n1 = 0, n2 = 0, n4 = 0, pair = 0, before = 0;
    for (uint64_t i = 0; i < N; i++) {
        const double u = oxp_rng_uniform(&rng, i), n = oxp_rng_normal(&rng, i);
        assert_true(u >= 0 && u < 1 && isfinite(n));
        u1 += u / N;
        u2 += u * u / N;
        n1 += n / N;
        n2 += n * n / N;
        n4 += n * n * n * n / N;
        pair += n * before / N;
        before = n;
    }
    /* Bounds of about five standard errors. */
    assert_true(fabs(u1 - 0.5) < 0.0033 && fabs(u2 - 1.0 / 3) < 0.0034);
    assert_true(fabs(n1) < 0.0112 && fabs(n2 - 1) < 0.0159 && fabs(n4 - 3) < 0.11);
    assert_true(fabs(pair) < 0.0112);
}

static void test_below(void **state)
{
    (void)state;
    const oxp_rng rng = {.seed = 1, .sample = 9};
    int count[7] = {0};
    for (uint64_t i = 0; i < 70000; i++) {
        const uint64_t k = oxp_rng_below(&rng, i, 7);
        assert_true(k < 7);
        count[k]++;
    }
    for (int k = 0; k < 7; k++) assert_true(abs(count[k] - 10000) < 500);
    assert_int_equal(oxp_rng_below(&rng, 0, 1), 0);
    assert_int_equal(oxp_rng_below(&rng, 0, 0), 0);
    /* floor(bits n / 2^64) of the bits behind the uniform number: the product carries right. */
    for (uint64_t i = 0; i < 1000; i++) {
        const double u = oxp_rng_uniform(&rng, i), n = 0x1p63 + 0x1p40;
        const double got =
            (double)oxp_rng_below(&rng, i, (UINT64_C(1) << 63) + (UINT64_C(1) << 40));
        assert_true(fabs(got - u * n) <= 0x1p12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_each_coordinate_matters),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
