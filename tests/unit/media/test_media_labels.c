/* Class names from text and JSON, and finding a class by what a user types. */
#include "media/labels.h"
#include "unit/signal/array_test.h"

static oxp_bytes text(const char *s)
{
    return (oxp_bytes){(const uint8_t *)s, strlen(s)};
}

static oxp_labels parse(bench *b, const char *s)
{
    oxp_labels labels;
    bool found;
    assert_ok(b, oxp_labels_parse(&b->ctx, b->arena, text(s), "labels.txt", &found, &labels));
    assert_true(found);
    return labels;
}

static void lines_are_labels(void **state)
{
    bench *b = *state;
    static const char *const spellings[] = {"cat\ndog\n\nbird", "cat\r\ndog\r\n\r\nbird\r\n",
                                            "\357\273\277cat\ndog\n\nbird\n\n \n"};
    for (size_t i = 0; i < OXP_COUNT(spellings); i++) {
        const oxp_labels labels = parse(b, spellings[i]);
        assert_int_equal(labels.count, 4);
        assert_string_equal(oxp_labels_get(&labels, 0), "cat");
        assert_string_equal(oxp_labels_get(&labels, 1), "dog");
        assert_string_equal(oxp_labels_get(&labels, 2), "");
        assert_string_equal(oxp_labels_get(&labels, 3), "bird");
        assert_null(oxp_labels_get(&labels, 4));
        assert_null(oxp_labels_get(&labels, -1));
    }
    const oxp_labels control = parse(b, "a\tb\x1b[31mc\n");
    assert_string_equal(oxp_labels_get(&control, 0), "a b [31mc");
}

static void json_maps_are_labels(void **state)
{
    bench *b = *state;
    static const char *const spellings[] = {
        "{\"id2label\": {\"2\": \"bird\", \"0\": \"cat\"}, \"other\": [1]}",
        "{\"2\": \"bird\", \"0\": \"cat\"}",
        " {\"0\": [\"n02\", \"cat\"], \"2\": [\"n01\", \"bird\"]}",
    };
    for (size_t i = 0; i < OXP_COUNT(spellings); i++) {
        const oxp_labels labels = parse(b, spellings[i]);
        assert_int_equal(labels.count, 3);
        assert_string_equal(oxp_labels_get(&labels, 0), "cat");
        assert_null(oxp_labels_get(&labels, 1));
        assert_string_equal(oxp_labels_get(&labels, 2), "bird");
    }
    oxp_labels labels;
    bool found;
    const oxp_bytes silent = text("{\"model_type\": \"vit\"}");
    assert_ok(b, oxp_labels_parse(&b->ctx, b->arena, silent, "config.json", &found, &labels));
    assert_false(found);
    assert_int_equal(labels.count, 0);
}

static void check_refused(bench *b, oxp_bytes bytes, oxp_status status, const char *part)
{
    oxp_labels labels;
    bool found;
    assert_fails(b, oxp_labels_parse(&b->ctx, b->arena, bytes, "config.json", &found, &labels),
                 status, part);
}

static void hostile_files_are_refused(void **state)
{
    bench *b = *state;
    check_refused(b, text("{\"0\": \"a\", \"x\": \"b\"}"), OXP_ECORRUPT, "\"x\"");
    check_refused(b, text("{\"0\": \"a\", \"-1\": \"b\"}"), OXP_ECORRUPT, "\"-1\"");
    check_refused(b, text("{\"99999999999\": \"a\"}"), OXP_ECORRUPT, "99999999999");
    check_refused(b, text("{\"0\": 7}"), OXP_ECORRUPT, "class 0");
    check_refused(b, text("{\"id2label\": {\"0\": []}}"), OXP_ECORRUPT, "class 0");
    check_refused(b, text("{\"0\": \"a\""), OXP_ECORRUPT, "config.json is not valid JSON: line 1");
    check_refused(b, (oxp_bytes){(const uint8_t *)"a\0b", 3}, OXP_ECORRUPT, "zero byte");

    char *longest = oxp_arena_zalloc(b->arena, 1002, 1);
    memset(longest, 'x', 1001);
    check_refused(b, text(longest), OXP_ECORRUPT, "1001 bytes");
    char *many = oxp_arena_zalloc(b->arena, (1 << 20) + 2, 1);
    memset(many, '\n', 1 << 20);
    many[1 << 20] = 'a';
    check_refused(b, text(many), OXP_ELIMIT, "1048577 lines");

    oxp_labels labels;
    assert_fails(b, oxp_labels_read(&b->ctx, b->arena, "/nonexistent/labels.txt", &labels), OXP_EIO,
                 "labels.txt");
}

static void a_name_finds_its_class(void **state)
{
    bench *b = *state;
    const oxp_labels labels = parse(b, "tabby, tabby cat\ntiger cat\nEgyptian cat\ncrane\n"
                                       "tower crane, derrick\ncrane\ncat\nespresso");
    static const struct {
        const char *wanted;
        int64_t index;
    } found[] = {
        {"tabby, tabby cat", 0}, {"tabby", 0}, {"TABBY CAT", 0}, {"tiger", 1}, {"egyptian CAT", 2},
        {"derrick", 4},          {"tower", 4}, {"cat", 6},       {"press", 7}, {"Espresso", 7}};
    for (size_t i = 0; i < OXP_COUNT(found); i++) {
        int64_t index = -1;
        assert_ok(b, oxp_labels_find(&b->ctx, &labels, found[i].wanted, &index));
        assert_int_equal(index, found[i].index);
    }
}

static void check_unclear(bench *b, const oxp_labels *labels, const char *wanted, const char *part)
{
    int64_t index;
    assert_fails(b, oxp_labels_find(&b->ctx, labels, wanted, &index), OXP_EINVAL, part);
}

static void an_unclear_name_names_the_candidates(void **state)
{
    bench *b = *state;
    const oxp_labels labels = parse(b, "tabby\ntiger cat\nEgyptian cat\ncrane\nbox\ncrane\nox\n"
                                       "foxglove\nfox a\nfox b\nfox c\nfox d");
    const oxp_labels none = {0, NULL};
    check_unclear(b, &labels, "crane", "any of 2: 'crane' (3), 'crane' (5);");
    check_unclear(b, &labels, "cat", "'tiger cat' (1), 'Egyptian cat' (2)");
    check_unclear(b, &labels, "fo", "any of 5: 'foxglove' (7)");
    check_unclear(b, &labels, "o", "'fox a' (8), 'fox b' (9), ...");
    check_unclear(b, &labels, "tiger cot", "did you mean 'tiger cat'?");
    check_unclear(b, &labels, "zebra finch", "12 classes");
    check_unclear(b, &labels, "", "name or a number");
    check_unclear(b, &none, "cat", "not known");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_labels),
        TEST(json_maps_are_labels),
        TEST(hostile_files_are_refused),
        TEST(a_name_finds_its_class),
        TEST(an_unclear_name_names_the_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
