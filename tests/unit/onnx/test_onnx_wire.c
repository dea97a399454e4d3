/*
 * The wire reader: values of each kind, every way to be damaged, nesting, names.
 */
#include "base/compiler.h"
#include "onnx/wire.h"
#include "pb.h"
#include <stdlib.h>

typedef struct fixture {
    oxp_error error;
    oxp_ctx ctx;
    oxp_wire_file file;
    oxp_wire w;
} fixture;

static void open_bytes(fixture *f, const void *bytes, size_t n)
{
    *f = (fixture){.ctx = {.scratch = oxp_arena_new(NULL), .stage = OXP_STAGE_PARSE}};
    f->ctx.error = &f->error;
    f->file = (oxp_wire_file){&f->ctx, {bytes, n}, OXP_OK};
    f->w = oxp_wire_open(&f->file, f->file.bytes);
}

static void close_bytes(fixture *f)
{
    oxp_arena_free(f->ctx.scratch);
}

static void test_values(void **state)
{
    (void)state;
    pb b = {.n = 0}, inner = {.n = 0};
    pb_int(&inner, 1, 7);
    pb_int(&b, 1, -1);
    pb_int(&b, 2, INT64_MIN);
    pb_float(&b, 3, 0.5F);
    pb_text(&b, 4, "n\xc3\xa4me");
    pb_msg(&b, 5, &inner);
    pb_int(&b, 536870911, 1);
    fixture f;
    oxp_wire_field field;
    oxp_wire child;
    open_bytes(&f, b.data, b.n);
    assert_true(oxp_wire_next(&f.w, &field));
    assert_int_equal(oxp_wire_int(&f.w, &field), -1);
    assert_true(oxp_wire_next(&f.w, &field));
    assert_int_equal(oxp_wire_int(&f.w, &field), INT64_MIN);
    assert_true(oxp_wire_next(&f.w, &field));
    assert_true(oxp_wire_float(&f.w, &field) == 0.5);
    assert_true(oxp_wire_next(&f.w, &field));
    assert_string_equal(oxp_wire_text(&f.w, &field), "n\xc3\xa4me");
    assert_true(oxp_wire_next(&f.w, &field));
    assert_true(oxp_wire_enter(&f.w, &field, &child));
    assert_true(oxp_wire_next(&child, &field));
    assert_int_equal(oxp_wire_int(&child, &field), 7);
    assert_false(oxp_wire_next(&child, &field));
    assert_true(oxp_wire_next(&f.w, &field));
    assert_int_equal(field.number, 536870911);
    assert_false(oxp_wire_next(&f.w, &field));
    assert_int_equal(f.file.status, OXP_OK);
    close_bytes(&f);
}

static size_t read_list(fixture *f, oxp_wire_type type, uint64_t *got)
{
    size_t n = 0;
    for (oxp_wire_field field; oxp_wire_next(&f->w, &field);) {
        oxp_wire_numbers list = oxp_wire_list(&f->w, &field, type);
        while (oxp_wire_number(&list, &got[n])) n++;
    }
    return n;
}

static void test_lists_packed_and_not(void **state)
{
    (void)state;
    pb packed = {.n = 0}, b = {.n = 0};
    pb_varint(&packed, 300);
    pb_varint(&packed, 2);
    pb_int(&b, 1, 1);
    pb_msg(&b, 1, &packed);
    pb_bytes(&b, 1, "", 0);
    pb_int(&b, 1, 3);
    fixture f;
    uint64_t got[8];
    open_bytes(&f, b.data, b.n);
    assert_int_equal(read_list(&f, OXP_WIRE_VARINT, got), 4);
    assert_int_equal(got[0], 1);
    assert_int_equal(got[1], 300);
    assert_int_equal(got[2], 2);
    assert_int_equal(got[3], 3);
    close_bytes(&f);
    open_bytes(&f, "\x0a\x05\x00\x00\x80\x3f\x00", 7); /* one float and a quarter */
    assert_int_equal(read_list(&f, OXP_WIRE_FIXED32, got), 1);
    assert_int_equal(got[0], 0x3f800000);
    assert_int_equal(f.file.status, OXP_ECORRUPT);
    close_bytes(&f);
}

/* Reads field 1 as an integer, 2 as text, 3 as a message. */
static void read_all(fixture *f)
{
    for (oxp_wire_field field; oxp_wire_next(&f->w, &field);) {
        oxp_wire child;
        if (field.number == 1) oxp_wire_int(&f->w, &field);
        if (field.number == 2) assert_non_null(oxp_wire_text(&f->w, &field));
        if (field.number == 3) oxp_wire_enter(&f->w, &field, &child);
    }
}

#define CASE(bytes, at, what)              \
    {                                      \
        bytes, sizeof(bytes) - 1, at, what \
    }

static void test_damage_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        uint64_t at;
        const char *what;
    } cases[] = {
        CASE("\x08", 1, "ends inside a number"),
        CASE("\x08\x80\x80", 1, "ends inside a number"),
        CASE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 1, "more than 64 bits"),
        CASE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 1, "more than 64 bits"),
        CASE("\x08\x01\x12\x05"
             "ab",
             2, "length runs past the end"),
        CASE("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, "length runs past the end"),
        CASE("\x25\x00\x00", 1, "ends inside a number"),
        CASE("\x21\x00\x00\x00\x00\x00\x00\x00", 1, "ends inside a number"),
        CASE("\x00\x01", 0, "field number"),
        CASE("\x80\x80\x80\x80\x10\x01", 0, "field number"),
        CASE("\x23", 0, "unknown wire type"), /* start of a group */
        CASE("\x24", 0, "unknown wire type"), /* its end */
        CASE("\x27", 0, "unknown wire type"),
        CASE("\x0a\x01\x01", 0, "wrong wire type"),
        CASE("\x10\x01", 0, "wrong wire type"),
        CASE("\x18\x01", 0, "wrong wire type"),
        CASE("\x12\x03"
             "a\0b",
             0, "not UTF-8"),
        CASE("\x12\x01\xff", 0, "not UTF-8"),
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        fixture f;
        open_bytes(&f, cases[i].bytes, cases[i].n);
        read_all(&f);
        assert_int_equal(f.file.status, OXP_ECORRUPT);
        assert_int_equal(f.error.offset, cases[i].at);
        if (!strstr(f.error.message, cases[i].what))
            fail_msg("case %zu: '%s' does not say '%s'", i, f.error.message, cases[i].what);
        close_bytes(&f);
    }
}

static void test_first_failure_sticks(void **state)
{
    (void)state;
    fixture f;
    oxp_wire_field field;
    open_bytes(&f, "\x27\x08\x01", 3);
    assert_false(oxp_wire_next(&f.w, &field));
    assert_false(oxp_wire_next(&f.w, &field));
    oxp_wire_fail(&f.file, f.file.bytes.data + 2, OXP_ELIMIT, "something else");
    assert_int_equal(f.error.code, OXP_ECORRUPT);
    assert_int_equal(f.error.offset, 0);
    close_bytes(&f);
}

static void test_nesting_is_limited(void **state)
{
    (void)state;
    static pb levels[64];
    for (int i = 1; i < 64; i++) pb_msg(&levels[i], 3, &levels[i - 1]);
    fixture f;
    open_bytes(&f, levels[63].data, levels[63].n);
    oxp_wire w = f.w, child;
    int depth = 0;
    for (oxp_wire_field field; oxp_wire_next(&w, &field) && oxp_wire_enter(&w, &field, &child);
         depth++)
        w = child;
    assert_int_equal(depth, 31);
    assert_int_equal(f.file.status, OXP_ECORRUPT);
    assert_non_null(strstr(f.error.message, "nested too deeply"));
    close_bytes(&f);
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool valid;
    } cases[] = {
        {"", true},
        {"ascii", true},
        {"\xc3\xa9", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"\x80", false},
        {"\xc3", false},
        {"\xc0\xaf", false},
        {"\xe0\x80\xaf", false},
        {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf0\x9f\x98", false},
        {"\xc3g", false},
        {"\xfe", false},
        {"\xf4\x8f\xbf\xbf", true},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++)
        assert_int_equal(oxp_utf8_valid((const uint8_t *)cases[i].s, strlen(cases[i].s)),
                         cases[i].valid);
}

/* Any bytes whatever: reading ends, inside them (the block has exactly their size). */
static void test_random_bytes(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        const size_t n = (size_t)round % 97 + 1;
        uint8_t *bytes = malloc(n);
        assert_non_null(bytes);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(seed >> 24) & (round % 2 ? 0x1f : 0xff);
        }
        fixture f;
        open_bytes(&f, bytes, n);
        read_all(&f);
        assert_true(f.file.status == OXP_OK ? f.w.at == f.w.end : f.error.offset <= n);
        close_bytes(&f);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_lists_packed_and_not),
        cmocka_unit_test(test_damage_is_named),
        cmocka_unit_test(test_first_failure_sticks),
        cmocka_unit_test(test_nesting_is_limited),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
