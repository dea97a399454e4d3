/*
 * String buffers, string maps, nearest names and numbers from text.
 */
#include "base/compiler.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strmap.h"
#include "support/alloc.h"
#include "support/support.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>

static void test_strbuf_grows(void **state)
{
    (void)state;
    oxp_arena *arena = oxp_arena_new(NULL);
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, arena);
    assert_string_equal(oxp_strbuf_str(&sb), "");
    for (int i = 0; i < 500; i++) {
        oxp_strbuf_puts(&sb, "ab");
        oxp_strbuf_printf(&sb, "%03d", i);
        oxp_strbuf_add(&sb, "\0", 1);
    }
    assert_int_equal(sb.len, 500 * 6);
    for (int i = 0; i < 500; i++) {
        char want[16];
        snprintf(want, sizeof want, "ab%03d", i);
        assert_memory_equal(sb.data + (ptrdiff_t)i * 6, want, 6);
    }
    assert_int_equal(sb.data[sb.len], 0);
    oxp_arena_free(arena);
}

static void test_strbuf_remembers_failure(void **state)
{
    (void)state;
    oxp_test_alloc a = {.fail_at = 2};
    const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
    oxp_arena *arena = oxp_arena_new(&hooks);
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, arena);
    oxp_strbuf_puts(&sb, "kept");
    oxp_strbuf_printf(&sb, "%09000d", 1);
    assert_true(a.failed);
    oxp_strbuf_puts(&sb, "late"); /* memory is there again, but the text has a hole */
    assert_null(oxp_strbuf_str(&sb));
    oxp_strbuf_add(&sb, "", SIZE_MAX);
    oxp_arena_free(arena);
    assert_int_equal(a.live, 0);
}

static void test_strmap_finds_what_was_put(void **state)
{
    (void)state;
    enum { N = 5000 };
    oxp_arena *arena = oxp_arena_new(NULL);
    oxp_strmap map;
    oxp_strmap_init(&map, arena);
    uint32_t value = 77;
    assert_false(oxp_strmap_get(&map, "x", &value));
    for (uint32_t i = 0; i < N; i++)
        assert_true(oxp_strmap_put(&map, oxp_arena_printf(arena, "node_%u", i), i));
    char name[32];
    for (uint32_t i = 0; i < N; i += 2) {
        snprintf(name, sizeof name, "node_%u", i);
        assert_true(oxp_strmap_put(&map, oxp_arena_strdup(arena, name), i + N));
    }
    assert_int_equal(map.n, N);
    for (uint32_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "node_%u", i);
        assert_true(oxp_strmap_get(&map, name, &value));
        assert_int_equal(value, i % 2 == 0 ? i + N : i);
    }
    assert_false(oxp_strmap_get(&map, "node_5000", &value));
    assert_false(oxp_strmap_get(&map, "", NULL));
    assert_true(oxp_strmap_put(&map, "", 3));
    assert_true(oxp_strmap_get(&map, "", NULL));
    oxp_arena_free(arena);
}

static void test_strmap_survives_each_failure(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k",
                                       "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v"};
    for (int64_t fail_at = 1;; fail_at++) {
        oxp_test_alloc a = {.fail_at = fail_at};
        const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
        oxp_arena *arena = oxp_arena_new(&hooks);
        oxp_strmap map;
        oxp_strmap_init(&map, arena);
        uint32_t put = 0, value;
        while (put < OXP_COUNT(keys) && oxp_strmap_put(&map, keys[put], put)) put++;
        assert_int_equal(put == OXP_COUNT(keys), !a.failed);
        for (uint32_t i = 0; i < OXP_COUNT(keys); i++) {
            assert_int_equal(oxp_strmap_get(&map, keys[i], &value), i < put);
            if (i < put) assert_int_equal(value, i);
        }
        oxp_arena_free(arena);
        if (!a.failed) break;
    }
}

static void test_nearest_name(void **state)
{
    (void)state;
    static const char *const names[] = {"saliency", "grad-cam", "grad-cam++", "occlusion", "lrp"};
    const struct {
        const char *wanted;
        int nearest;
    } cases[] = {{"saliancy", 0},  {"gradcam", 1},  {"GRAD_CAM", 1}, {"grad-cam+", 1},
                 {"gradcam++", 2}, {"oclusion", 3}, {"lpr", -1},     {"lrpp", 4},
                 {"banana", -1},   {"", -1},        {"xyz", -1},     {"saliency", 0},
                 {"x", -1}};
    for (size_t i = 0; i < OXP_COUNT(cases); i++)
        if (oxp_nearest_name(cases[i].wanted, names, OXP_COUNT(names)) != cases[i].nearest)
            fail_msg("nearest name of '%s'", cases[i].wanted);
    char long_name[1000];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const lone[] = {long_name};
    assert_int_equal(oxp_nearest_name(long_name, lone, 1), -1);
    assert_int_equal(oxp_nearest_name("aaaa", lone, 1), -1);
    assert_int_equal(oxp_nearest_name("a", NULL, 0), -1);
}

static void test_parse_i64(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(oxp_parse_i64("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(oxp_parse_i64("-9223372036854775808", &v) && v == INT64_MIN);
    assert_true(oxp_parse_i64("+0042", &v) && v == 42);
    assert_true(oxp_parse_i64("-0", &v) && v == 0);
    v = 5;
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "--1",
                                      "1\n1",
                                      "nine",
                                      "٣",
                                      "1_0",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999999"};
    for (size_t i = 0; i < OXP_COUNT(bad); i++)
        if (oxp_parse_i64(bad[i], &v)) fail_msg("'%s' was taken for an integer", bad[i]);
    assert_int_equal(v, 5);
}

static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"conv1", "conv1", true},
        {"conv1", "conv10", false},
        {"conv?", "conv1", true},
        {"conv?", "conv", false},
        {"features.*", "features.0.conv", true},
        {"*.conv", "features.0.conv", true},
        {"*.conv", "features.0.conv2", false},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXcYb", false},
        {"**x**", "x", true},
        {"*ab", "aab", true},
    };
    (void)state;
    for (size_t i = 0; i < OXP_COUNT(cases); i++)
        if (oxp_glob(cases[i].pattern, cases[i].text) != cases[i].fits)
            fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].text);
}

static void test_parse_double(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},        {"-1.5", -1.5},  {".5", 0.5},
                {"5.", 5},       {"1e-3", 0.001}, {"+2.5E+2", 250},
                {"1e-400", 0.0}, {"0.1", 0.1},    {"9007199254740993", 9007199254740992.0}};
    static const char *const bad[] = {"",    ".",   "-",  "e5", "1e",    "1e+",   "0x1p3",  "inf",
                                      "nan", "1,5", " 1", "1 ", "1.2.3", "1e999", "-1e999", "1f"};
    /* A locale with a decimal comma, where the machine has one, must change nothing. */
    static const char *const locales[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8"};
    for (size_t l = 0; l < OXP_COUNT(locales); l++) {
        if (setlocale(LC_ALL, locales[l]) == NULL) continue;
        double v = 7;
        for (size_t i = 0; i < OXP_COUNT(bad); i++)
            if (oxp_parse_double(bad[i], &v)) fail_msg("'%s' was taken for a number", bad[i]);
        assert_true(v == 7);
        for (size_t i = 0; i < OXP_COUNT(good); i++)
            if (!oxp_parse_double(good[i].text, &v) || v != good[i].value)
                fail_msg("'%s' gave %.17g", good[i].text, v);
    }
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strbuf_grows),
        cmocka_unit_test(test_strbuf_remembers_failure),
        cmocka_unit_test(test_strmap_finds_what_was_put),
        cmocka_unit_test(test_strmap_survives_each_failure),
        cmocka_unit_test(test_nearest_name),
        cmocka_unit_test(test_parse_i64),
        cmocka_unit_test(test_parse_double),
        cmocka_unit_test(test_glob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
