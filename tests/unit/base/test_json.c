/* The JSON writer: layout, escaping, numbers that read back, misuse, out of memory. */
#include "base/json.h"
#include "base/parse.h"
#include "base/rng.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct sheet {
    oxp_arena *arena;
    oxp_strbuf sb;
    oxp_json json;
} sheet;

static void start(sheet *s, int indent)
{
    s->arena = oxp_arena_new(NULL);
    assert_non_null(s->arena);
    oxp_strbuf_init(&s->sb, s->arena);
    oxp_json_init(&s->json, &s->sb, indent);
}

static void expect(sheet *s, const char *text)
{
    assert_true(oxp_json_ok(&s->json));
    assert_string_equal(oxp_strbuf_str(&s->sb), text);
    oxp_arena_free(s->arena);
}

static void write_example(oxp_json *j)
{
    oxp_json_begin_object(j);
    oxp_json_key(j, "b");
    oxp_json_int(j, -3);
    oxp_json_key(j, "a");
    oxp_json_begin_array(j);
    oxp_json_double(j, 0.1);
    oxp_json_bool(j, true);
    oxp_json_null(j);
    oxp_json_begin_object(j);
    oxp_json_end_object(j);
    oxp_json_end_array(j);
    oxp_json_key(j, "u");
    oxp_json_uint(j, UINT64_MAX);
    oxp_json_key(j, "s");
    oxp_json_string(j, NULL);
    oxp_json_end_object(j);
}

static void test_layout(void **state)
{
    OXP_UNUSED(state);
    sheet s;
    start(&s, 0);
    write_example(&s.json);
    expect(&s, "{\"b\":-3,\"a\":[0.1,true,null,{}],\"u\":18446744073709551615,\"s\":null}");
    start(&s, 2);
    write_example(&s.json);
    expect(&s, "{\n  \"b\": -3,\n  \"a\": [\n    0.1,\n    true,\n    null,\n    {}\n  ],\n"
               "  \"u\": 18446744073709551615,\n  \"s\": null\n}");
}

static void test_strings(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\""},
        {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
        {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\""},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x88",
         "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x88\""},
        {"\xc3", "\"\\ufffd\""},
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80x", "\"\\ufffd\\ufffd\\ufffd\\ufffdx\""},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        sheet s;
        start(&s, 0);
        oxp_json_string(&s.json, cases[i].in);
        expect(&s, cases[i].out);
    }
    sheet s;
    start(&s, 0);
    oxp_json_string_n(&s.json, "a\0b", 3);
    expect(&s, "\"a\\u0000b\"");
}

static void test_numbers(void **state)
{
    OXP_UNUSED(state);
    sheet s;
    start(&s, 0);
    oxp_json_begin_array(&s.json);
    oxp_json_double(&s.json, 1.0 / 3);
    oxp_json_double(&s.json, 1e22);
    oxp_json_double(&s.json, (double)NAN);
    oxp_json_double(&s.json, -(double)INFINITY);
    oxp_json_float(&s.json, 0.1f);
    oxp_json_float(&s.json, 16777216.0f);
    oxp_json_float(&s.json, NAN);
    oxp_json_int(&s.json, INT64_MIN);
    oxp_json_end_array(&s.json);
    expect(&s, "[0.3333333333333333,1e+22,null,null,0.1,16777216,null,-9223372036854775808]");
}

static void test_doubles_read_back(void **state)
{
    OXP_UNUSED(state);
    const oxp_rng rng = {7, 0, 0};
    char text[OXP_NUMBER_TEXT];
    for (uint64_t i = 0; i < 20000; i++) {
        const uint64_t bits = oxp_rng_below(&rng, 2 * i, UINT64_MAX);
        double v, back = 0;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        oxp_double_text(v, text);
        assert_true(oxp_parse_double(text, &back));
        assert_memory_equal(&back, &v, sizeof v);
    }
}

static void test_misuse_shows(void **state)
{
    OXP_UNUSED(state);
    sheet s;
    start(&s, 0);
    oxp_json_begin_object(&s.json);
    oxp_json_int(&s.json, 1); /* no key */
    oxp_json_end_object(&s.json);
    assert_false(oxp_json_ok(&s.json));
    oxp_json_init(&s.json, &s.sb, 0);
    oxp_json_begin_array(&s.json);
    assert_false(oxp_json_ok(&s.json)); /* still open */
    oxp_json_end_object(&s.json);
    oxp_json_end_array(&s.json);
    assert_false(oxp_json_ok(&s.json));
    oxp_json_init(&s.json, &s.sb, 0);
    for (int i = 0; i <= OXP_JSON_MAX_DEPTH; i++) oxp_json_begin_array(&s.json);
    for (int i = 0; i < OXP_JSON_MAX_DEPTH; i++) oxp_json_end_array(&s.json);
    assert_false(oxp_json_ok(&s.json)); /* too deep */
    oxp_json_init(&s.json, &s.sb, 0);
    oxp_json_null(&s.json);
    oxp_json_null(&s.json);
    assert_false(oxp_json_ok(&s.json)); /* two values */
    oxp_arena_free(s.arena);
}

static void *refuse(size_t bytes, void *user)
{
    OXP_UNUSED(bytes);
    int *left = user;
    return (*left)-- > 0 ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
}

static void release(void *block, void *user)
{
    OXP_UNUSED(user);
    free(block);
}

static void test_out_of_memory(void **state)
{
    OXP_UNUSED(state);
    int left = 1;
    const oxp_allocator hooks = {refuse, release, &left};
    oxp_arena *arena = oxp_arena_new(&hooks);
    assert_non_null(arena);
    oxp_strbuf sb;
    oxp_json json;
    oxp_strbuf_init(&sb, arena);
    oxp_json_init(&json, &sb, 0);
    oxp_json_begin_array(&json);
    for (int i = 0; i < 100000; i++) oxp_json_int(&json, i);
    oxp_json_end_array(&json);
    assert_null(oxp_strbuf_str(&sb));
    oxp_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),       cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_doubles_read_back),
        cmocka_unit_test(test_misuse_shows), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
