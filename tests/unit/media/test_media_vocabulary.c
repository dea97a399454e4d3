/* Tokens from vocab.txt and tokenizer.json, in the three ways in which pieces of words are written. */
#include "media/vocabulary.h"
#include "unit/signal/array_test.h"

static oxp_bytes text(const char *s)
{
    return (oxp_bytes){(const uint8_t *)s, strlen(s)};
}

static oxp_vocabulary parse(bench *b, const char *s)
{
    oxp_vocabulary v;
    bool found;
    assert_ok(b, oxp_vocabulary_parse(&b->ctx, b->arena, text(s), "vocab", &found, &v));
    assert_true(found);
    return v;
}

static void check(const oxp_vocabulary *v, size_t id, const char *piece, bool starts)
{
    assert_in_range(id, 0, v->count - 1);
    assert_string_equal(v->piece[id], piece);
    assert_int_equal(v->starts[id], starts);
}

static void word_pieces_go_on(void **state)
{
    bench *b = *state;
    const oxp_vocabulary v = parse(b, "[PAD]\r\nplay\n##ing\n##\n\n\xc3\xa9t\xc3\xa9\n");
    assert_int_equal(v.count, 6);
    check(&v, 0, "[PAD]", true);
    check(&v, 1, "play", true);
    check(&v, 2, "ing", false);
    check(&v, 3, "##", true);
    check(&v, 4, "\xe2\x90\xa3", true);
    check(&v, 5, "\xc3\xa9t\xc3\xa9", true);
}

/* U+0120 is a space, U+010A a line break, U+00C3 U+00A9 the two bytes of an e with an accent. */
static void bytes_are_characters(void **state)
{
    bench *b = *state;
    const oxp_vocabulary v =
        parse(b, "{\"model\": {\"vocab\": {\"low\": 0, \"\xc4\xa0low\": 1, \"\xc4\xa0\": 2, "
                 "\"\xc4\x8a\": 3, \"\xc3\x83\xc2\xa9\": 4, \"\xc3\x83\": 5}}, "
                 "\"added_tokens\": [{\"id\": 7, \"content\": \"<|end|>\"}]}");
    assert_int_equal(v.count, 8);
    check(&v, 0, "low", false);
    check(&v, 1, "low", true);
    check(&v, 2, "\xe2\x90\xa3", true);
    check(&v, 3, "\xe2\x86\xb5", false);
    check(&v, 4, "\xc3\xa9", false);
    check(&v, 5, "\xef\xbf\xbd", false); /* half a character */
    assert_null(v.piece[6]);
    check(&v, 7, "<|end|>", true);
}

static void spaces_are_marked(void **state)
{
    bench *b = *state;
    const oxp_vocabulary v = parse(b, "{\"model\": {\"vocab\": [[\"<s>\", 0.0], "
                                      "[\"\xe2\x96\x81the\", -1.5], [\"re\", -2], "
                                      "[\"\xe2\x96\x81\", -3]]}}");
    check(&v, 0, "<s>", false);
    check(&v, 1, "the", true);
    check(&v, 2, "re", false);
    check(&v, 3, "\xe2\x90\xa3", true);
}

/* What could move a terminal's cursor never arrives there. */
static void control_characters_are_replaced(void **state)
{
    bench *b = *state;
    const oxp_vocabulary v = parse(b, "a\x1b[31mb\nc\xc2\x9b"
                                      "d\n\xff\xc0\x80\n\x7f\n");
    check(&v, 0, "a [31mb", true);
    check(&v, 1, "c d", true);
    check(&v, 2, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", true);
    check(&v, 3, "\xe2\x90\xa3", true);
}

static void hostile_files_are_refused(void **state)
{
    bench *b = *state;
    static const char *const bad[] = {
        "{\"model\": {\"vocab\": {\"a\": \"b\"}}}",
        "{\"model\": {\"vocab\": {\"a\": -1}}}",
        "{\"model\": {\"vocab\": {\"a\": 99999999999}}}",
        "{\"model\": {\"vocab\": [\"a\"]}}",
        "{\"added_tokens\": [{\"id\": 1}]}",
        "{\"model\": ",
    };
    oxp_vocabulary v;
    bool found;
    for (size_t i = 0; i < OXP_COUNT(bad); i++) {
        const oxp_status status =
            oxp_vocabulary_parse(&b->ctx, b->arena, text(bad[i]), "vocab", &found, &v);
        assert_true(status == OXP_ECORRUPT || status == OXP_ELIMIT);
        assert_non_null(strstr(b->error.message, "vocab"));
    }
    const oxp_bytes zero = {(const uint8_t *)"a\0b\n", 4};
    assert_int_equal(oxp_vocabulary_parse(&b->ctx, b->arena, zero, "vocab", &found, &v),
                     OXP_ECORRUPT);
    assert_ok(b, oxp_vocabulary_parse(&b->ctx, b->arena, text("{\"x\": 1}"), "vocab", &found, &v));
    assert_false(found);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(word_pieces_go_on),         TEST(bytes_are_characters),
        TEST(spaces_are_marked),         TEST(control_characters_are_replaced),
        TEST(hostile_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
