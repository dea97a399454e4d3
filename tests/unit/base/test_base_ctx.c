/*
 * Errors, log lines and progress of a call; size arithmetic.
 */
#include "base/checked.h"
#include "base/ctx.h"
#include "support/support.h"
#include <string.h>

static oxp_status refuse(oxp_ctx *ctx, int x)
{
    OXP_FAIL_IF(ctx, x > 3, OXP_ELIMIT, "expected at most 3, found %d", x);
    OXP_NOMEM_IF(ctx, x < 0 ? NULL : &x);
    return OXP_OK;
}

static oxp_status pass_up(oxp_ctx *ctx, int x)
{
    OXP_TRY(refuse(ctx, x));
    return OXP_OK;
}

static void test_failures_carry_their_place(void **state)
{
    (void)state;
    oxp_error e = {0};
    oxp_ctx ctx = {
        .error = &e, .stage = OXP_STAGE_IMPORT, .node = "/conv1", .op = "Conv", .offset = 99};
    assert_int_equal(pass_up(&ctx, 3), OXP_OK);
    assert_int_equal(e.code, OXP_OK);
    assert_int_equal(pass_up(&ctx, 4), OXP_ELIMIT);
    assert_int_equal(e.code, OXP_ELIMIT);
    assert_int_equal(e.stage, OXP_STAGE_IMPORT);
    assert_string_equal(e.node, "/conv1");
    assert_string_equal(e.op, "Conv");
    assert_string_equal(e.message, "expected at most 3, found 4");
    assert_int_equal(e.offset, 0);
    assert_int_equal(pass_up(&ctx, -1), OXP_ENOMEM);
    ctx.stage = OXP_STAGE_PARSE;
    ctx.node = ctx.op = NULL;
    assert_int_equal(pass_up(&ctx, 5), OXP_ELIMIT);
    assert_int_equal(e.offset, 99);
    assert_string_equal(e.node, "");
    ctx.error = NULL;
    assert_int_equal(pass_up(&ctx, 5), OXP_ELIMIT);
    assert_int_equal(oxp_ctx_fail(NULL, OXP_EIO, "nobody listens"), OXP_EIO);
}

/* Hostile names: no second line, no escape sequences, no half characters. */
static void test_messages_stay_one_clean_line(void **state)
{
    (void)state;
    oxp_error e = {0};
    char name[3000];
    oxp_ctx ctx = {.error = &e, .node = "a\nb\x1b[31m"};
    oxp_ctx_fail(&ctx, OXP_ECORRUPT, "node '%s'\r\n", "x\ty");
    assert_string_equal(e.message, "node 'x y'  ");
    assert_string_equal(e.node, "a b [31m");
    for (size_t shift = 0; shift < 3; shift++) {
        size_t n = 0;
        while (n < shift) name[n++] = 'a';
        for (; n + 4 < sizeof name; n += 3) memcpy(name + n, "\xE2\x82\xAC", 3); /* euro signs */
        name[n] = '\0';
        ctx.node = name;
        oxp_ctx_fail(&ctx, OXP_ECORRUPT, "%s", name);
        assert_int_equal((strlen(e.message) - shift) % 3, 0);
        assert_int_equal((strlen(e.node) - shift) % 3, 0);
        assert_true(strlen(e.message) + 3 >= sizeof e.message);
        assert_memory_equal(e.message, name, strlen(e.message));
    }
}

static void keep_line(const char *topic, const char *line, void *user)
{
    strcpy(user, topic);
    strcat(user, ": ");
    strcat(user, line);
}

static int stop_at_two(const char *what, uint64_t done, uint64_t total, void *user)
{
    assert_string_equal(what, "steps");
    assert_int_equal(total, 5);
    *(uint64_t *)user = done;
    return done == 2;
}

static void test_log_and_progress(void **state)
{
    (void)state;
    char line[2000] = "";
    uint64_t seen = 0;
    oxp_error e = {0};
    oxp_ctx ctx = {.error = &e};
    oxp_ctx_log(&ctx, "compile", "%d", 1);
    assert_int_equal(oxp_ctx_progress(&ctx, "steps", 2, 5), OXP_OK);
    ctx.log = keep_line;
    ctx.log_user = line;
    ctx.progress = stop_at_two;
    ctx.progress_user = &seen;
    oxp_ctx_log(&ctx, "compile", "%d primitives\n", 7);
    assert_string_equal(line, "compile: 7 primitives ");
    assert_int_equal(oxp_ctx_progress(&ctx, "steps", 1, 5), OXP_OK);
    assert_int_equal(oxp_ctx_progress(&ctx, "steps", 2, 5), OXP_ECANCELLED);
    assert_int_equal(seen, 2);
    assert_string_equal(e.message, "cancelled at 2 of 5 steps");
}

static void test_checked_arithmetic(void **state)
{
    (void)state;
    size_t s = 7;
    int64_t i = 7;
    assert_false(oxp_mul_size(SIZE_MAX, 2, &s));
    assert_false(oxp_add_size(SIZE_MAX, 1, &s));
    assert_false(oxp_mul_i64(INT64_MAX, 2, &i));
    assert_false(oxp_mul_i64(-1, 2, &i));
    assert_false(oxp_add_i64(INT64_MAX, 1, &i));
    assert_false(oxp_add_i64(INT64_MIN, -1, &i));
    assert_int_equal(s, 7);
    assert_int_equal(i, 7);
    assert_true(oxp_mul_size(SIZE_MAX, 1, &s) && s == SIZE_MAX);
    assert_true(oxp_mul_size(SIZE_MAX, 0, &s) && s == 0);
    assert_true(oxp_add_size(SIZE_MAX - 1, 1, &s) && s == SIZE_MAX);
    assert_true(oxp_mul_i64(INT64_MAX / 3, 3, &i) && i == INT64_MAX / 3 * 3);
    assert_true(oxp_add_i64(INT64_MAX, INT64_MIN, &i) && i == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_carry_their_place),
        cmocka_unit_test(test_messages_stay_one_clean_line),
        cmocka_unit_test(test_log_and_progress),
        cmocka_unit_test(test_checked_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
