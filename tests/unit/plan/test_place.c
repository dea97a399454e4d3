/* Placement of buffers: known plans, random plans against a quadratic check, and plans that must
 * be refused. */
#include "plan/plan.h"
#include "support/support.h"

#include <stdlib.h>

static oxp_ctx new_ctx(oxp_error *error)
{
    return (oxp_ctx){.error = error, .scratch = oxp_arena_new(NULL), .stage = OXP_STAGE_PLAN};
}

static bool collide(const oxp_buffer *a, const oxp_buffer *b)
{
    return a->bytes != 0 && b->bytes != 0 && a->first <= b->last && b->first <= a->last &&
           a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static void test_chain_uses_two_buffers(void **state)
{
    (void)state;
    oxp_error error = {0};
    oxp_ctx ctx = new_ctx(&error);
    oxp_buffer b[6];
    for (uint32_t i = 0; i < 6; i++) b[i] = (oxp_buffer){.bytes = 640, .first = i, .last = i + 1};
    size_t total = 0;
    assert_int_equal(oxp_plan_place(&ctx, b, 6, &total), OXP_OK);
    assert_int_equal(total, 1280);
    oxp_arena_free(ctx.scratch);
}

static void test_small_fills_the_gap(void **state)
{
    (void)state;
    oxp_ctx ctx = new_ctx(NULL);
    /* The second large buffer dies; the small one fits where it lay. */
    oxp_buffer b[3] = {{.bytes = 1000, .first = 0, .last = 9},
                       {.bytes = 900, .first = 0, .last = 3},
                       {.bytes = 100, .first = 4, .last = 9}};
    size_t total = 0;
    assert_int_equal(oxp_plan_place(&ctx, b, 3, &total), OXP_OK);
    assert_int_equal(b[0].offset, 0);
    assert_int_equal(b[1].offset, 1024);
    assert_int_equal(b[2].offset, 1024);
    assert_int_equal(total, 1924);
    oxp_arena_free(ctx.scratch);
}

static void test_random_plans(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 60; round++) {
        oxp_ctx ctx = new_ctx(NULL);
        enum { N = 150 };
        oxp_buffer b[N];
        size_t live_peak = 0, total = 0;
        for (int i = 0; i < N; i++) {
            const uint32_t first = (uint32_t)(rand() % 100);
            b[i] = (oxp_buffer){.bytes = (size_t)(rand() % 5000),
                                .first = first,
                                .last = first + (uint32_t)(rand() % (round + 1))};
        }
        assert_int_equal(oxp_plan_place(&ctx, b, N, &total), OXP_OK);
        for (int i = 0; i < N; i++) {
            assert_int_equal(b[i].offset % 64, 0);
            for (int j = 0; j < i; j++) assert_false(collide(&b[i], &b[j]));
        }
        for (uint32_t t = 0; t < 160; t++) {
            size_t live = 0;
            for (int i = 0; i < N; i++) live += b[i].first <= t && t <= b[i].last ? b[i].bytes : 0;
            if (live > live_peak) live_peak = live;
        }
        assert_true(total >= live_peak);
        assert_true((double)total <= 1.5 * (double)live_peak + 64.0 * N);
        oxp_arena_free(ctx.scratch);
    }
}

static void test_check_agrees_with_brute_force(void **state)
{
    (void)state;
    srand(11);
    int refused = 0;
    for (int round = 0; round < 400; round++) {
        oxp_error error = {0};
        oxp_ctx ctx = new_ctx(&error);
        enum { N = 8 };
        oxp_buffer b[N];
        bool clash = false;
        for (int i = 0; i < N; i++) {
            const uint32_t first = (uint32_t)(rand() % 20);
            b[i] = (oxp_buffer){.bytes = (size_t)(rand() % 3) * 64,
                                .first = first,
                                .last = first + (uint32_t)(rand() % 4),
                                .offset = (size_t)(rand() % 20) * 64};
            for (int j = 0; j < i; j++) clash = clash || collide(&b[i], &b[j]);
        }
        const oxp_status status = oxp_plan_check(&ctx, b, N, 22 * 64);
        assert_int_equal(status, clash ? OXP_EINTERNAL : OXP_OK);
        refused += clash;
        oxp_arena_free(ctx.scratch);
    }
    assert_in_range(refused, 50, 350);
}

static void test_refusals(void **state)
{
    (void)state;
    oxp_error error = {0};
    oxp_ctx ctx = new_ctx(&error);
    size_t total = 0;
    oxp_buffer backwards = {.bytes = 64, .first = 3, .last = 2};
    assert_int_equal(oxp_plan_place(&ctx, &backwards, 1, &total), OXP_EINTERNAL);
    oxp_buffer huge[2] = {{.bytes = SIZE_MAX / 2, .last = 1},
                          {.bytes = SIZE_MAX / 2 + 2, .last = 1}};
    assert_int_equal(oxp_plan_place(&ctx, huge, 2, &total), OXP_ELIMIT);
    oxp_buffer outside = {.bytes = 128, .offset = 64, .last = 1};
    assert_int_equal(oxp_plan_check(&ctx, &outside, 1, 128), OXP_EINTERNAL);
    assert_int_equal(oxp_plan_check(&ctx, &outside, 1, 192), OXP_OK);
    assert_int_equal(oxp_plan_place(&ctx, &outside, 0, &total), OXP_OK);
    assert_int_equal(total, 0);
    oxp_arena_free(ctx.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_uses_two_buffers),
        cmocka_unit_test(test_small_fills_the_gap),
        cmocka_unit_test(test_random_plans),
        cmocka_unit_test(test_check_agrees_with_brute_force),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
