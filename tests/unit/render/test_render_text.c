/* Text: extents against what is drawn, malformed UTF-8, cutting and wrapping. And PNG: pixels and
 * notes read back with libpng. */
#include "render/png.h"
#include "render/text.h"
#include "unit/render/fixture.h"
#include <png.h>

static const oxp_style plain = {20, false, {0, 0, 0, 255}}, bold = {20, true, {0, 0, 0, 255}};

/* The box of everything darker than white; w == 0: none. */
static oxp_rect inked(const oxp_canvas *c)
{
    int x0 = c->w, y0 = c->h, x1 = 0, y1 = 0;
    for (int y = 0; y < c->h; y++) {
        for (int x = 0; x < c->w; x++) {
            if (c->rgb[3 * (y * c->w + x)] > 250) continue;
            x0 = x < x0 ? x : x0;
            x1 = x + 1 > x1 ? x + 1 : x1;
            y0 = y < y0 ? y : y0;
            y1 = y + 1 > y1 ? y + 1 : y1;
        }
    }
    return x1 > x0 ? (oxp_rect){x0, y0, x1 - x0, y1 - y0} : (oxp_rect){0, 0, 0, 0};
}

static oxp_fonts *open_fonts(fixture *f)
{
    oxp_fonts *fonts = NULL;
    assert_int_equal(oxp_fonts_open(&f->ctx, f->arena, &fonts), OXP_OK);
    return fonts;
}

static void test_extents(void **state)
{
    fixture *f = *state;
    oxp_fonts *fonts = open_fonts(f);
    static const char *const texts[] = {"Hxg", "\xC3\x89tat \xC3\x84pfel", "input-x-gradient",
                                        "0.0132"};
    for (size_t i = 0; i < OXP_COUNT(texts); i++) {
        const double width = oxp_text_width(fonts, &plain, texts[i]);
        for (int align = OXP_ALIGN_LEFT; align <= OXP_ALIGN_RIGHT; align++) {
            oxp_canvas c;
            assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 500, 80, OXP_HEX(0xFFFFFF), &c),
                             OXP_OK);
            oxp_text_draw(fonts, &c, 250, 50, (oxp_align)align, &plain, texts[i]);
            const oxp_rect box = inked(&c);
            const double left = 250 - (align == OXP_ALIGN_LEFT     ? 0
                                       : align == OXP_ALIGN_CENTRE ? width / 2
                                                                   : width);
            assert_true(fabs(box.x - left) < 4 && fabs(box.x + box.w - (left + width)) < 4);
            assert_true(box.y >= 50 - oxp_text_ascent(&plain));
            assert_true(box.y + box.h <=
                        50 - oxp_text_ascent(&plain) + oxp_text_line_height(&plain));
        }
    }
    assert_true(oxp_text_width(fonts, &bold, "Hxg") > oxp_text_width(fonts, &plain, "Hxg"));
    assert_true(oxp_text_width(fonts, &plain, "AVAV") <
                2 * oxp_text_width(fonts, &plain, "A") + 2 * oxp_text_width(fonts, &plain, "V"));
    assert_int_equal(oxp_fonts_status(&f->ctx, fonts), OXP_OK);
}

static void test_any_bytes_are_drawn(void **state)
{
    fixture *f = *state;
    oxp_fonts *fonts = open_fonts(f);
    const double bad = oxp_text_width(fonts, &plain, "\xEF\xBF\xBD"); /* U+FFFD */
    static const struct {
        const char *bytes;
        int n;
    } cases[] = {{"\xC3", 1},     {"\xFF\xFE", 2},     {"\xE2\x82", 2},
                 {"\xC0\x80", 2}, {"\xED\xA0\x80", 3}, {"\xF4\x90\x80\x80", 4}};
    for (size_t i = 0; i < OXP_COUNT(cases); i++)
        assert_true(fabs(oxp_text_width(fonts, &plain, cases[i].bytes) - cases[i].n * bad) < 1e-6);
    assert_true(oxp_text_width(fonts, &plain, "a\nb") == oxp_text_width(fonts, &plain, "a b"));
    oxp_canvas c;
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 60, 30, OXP_HEX(0xFFFFFF), &c), OXP_OK);
    oxp_text_draw(fonts, &c, -30, 200, OXP_ALIGN_LEFT, &plain, "outside");
    assert_int_equal(inked(&c).w, 0);
    oxp_text_draw(fonts, &c, 5, 22, OXP_ALIGN_LEFT, &plain,
                  "\xF0\x9F\x90\x88"); /* not in the typeface */
    assert_true(inked(&c).w > 0);
    assert_int_equal(oxp_fonts_status(&f->ctx, fonts), OXP_OK);
}

static void test_fit(void **state)
{
    fixture *f = *state;
    oxp_fonts *fonts = open_fonts(f);
    const char *text = "contrastive-input-x-gradient of \xC3\x84gyptian cats";
    const double whole = oxp_text_width(fonts, &plain, text);
    assert_string_equal(oxp_text_fit(fonts, f->arena, &plain, text, whole + 1), text);
    for (double width = 30; width < whole; width += 37) {
        const char *cut = oxp_text_fit(fonts, f->arena, &plain, text, width);
        assert_true(oxp_text_width(fonts, &plain, cut) <= width);
        assert_true(strcmp(cut + strlen(cut) - 3, "\xE2\x80\xA6") == 0);
        assert_memory_equal(cut, text, strlen(cut) - 3);
    }
    assert_string_equal(oxp_text_fit(fonts, f->arena, &plain, text, 0), "\xE2\x80\xA6");
}

static void test_wrap(void **state)
{
    fixture *f = *state;
    oxp_fonts *fonts = open_fonts(f);
    oxp_lines lines;
    const char *text =
        "Egyptian cat against tabby, tabby cat and averyveryverylongwordthatfitsnowhere indeed";
    assert_int_equal(oxp_text_wrap(&f->ctx, fonts, f->arena, &plain, text, 160, 20, &lines),
                     OXP_OK);
    assert_true(lines.n > 4 && lines.n < 12);
    char joined[200] = "";
    for (int i = 0; i < lines.n; i++) {
        assert_true(oxp_text_width(fonts, &plain, lines.line[i]) <= 160);
        strcat(joined, lines.line[i]);
    }
    size_t letters = 0, kept = 0; /* nothing but spaces is lost */
    for (const char *s = text; *s != '\0'; s++) letters += *s != ' ';
    for (const char *s = joined; *s != '\0'; s++) kept += *s != ' ';
    assert_int_equal(kept, letters);
    assert_int_equal(oxp_text_wrap(&f->ctx, fonts, f->arena, &plain, text, 160, 2, &lines), OXP_OK);
    assert_int_equal(lines.n, 2);
    assert_string_equal(lines.line[0], "Egyptian cat");
    assert_non_null(strstr(lines.line[1], "\xE2\x80\xA6"));
    assert_int_equal(oxp_text_wrap(&f->ctx, fonts, f->arena, &plain, "", 160, 2, &lines), OXP_OK);
    assert_int_equal(lines.n, 0);
}

static void encode_sample(fixture *f, oxp_canvas *c, oxp_bytes *out)
{
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 61, 37, OXP_HEX(0xFFFFFF), c), OXP_OK);
    for (int i = 0; i < 61 * 37 * 3; i++) c->rgb[i] = (uint8_t)(i * i / 7);
    const oxp_png_text texts[] = {{"Software", "onnxplain"}, {"Target", "\xC3\x84gyptian cat"}};
    const oxp_picture p = oxp_canvas_picture(c);
    assert_int_equal(oxp_png_encode(&f->ctx, f->arena, &p, texts, 2, out), OXP_OK);
}

static void test_png_reads_back(void **state)
{
    fixture *f = *state;
    oxp_canvas c;
    oxp_bytes bytes;
    encode_sample(f, &c, &bytes);
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    assert_int_not_equal(png_image_begin_read_from_memory(&image, bytes.data, bytes.size), 0);
    assert_int_equal(image.width, 61);
    assert_int_equal(image.height, 37);
    image.format = PNG_FORMAT_RGB;
    uint8_t back[61 * 37 * 3];
    assert_int_not_equal(png_image_finish_read(&image, NULL, back, 0, NULL), 0);
    assert_memory_equal(back, c.rgb, sizeof back);
}

static bool contains(oxp_bytes bytes, const char *what)
{
    const size_t n = strlen(what);
    for (size_t i = 0; i + n <= bytes.size; i++)
        if (memcmp(bytes.data + i, what, n) == 0) return true;
    return false;
}

static void test_png_notes_and_determinism(void **state)
{
    fixture *f = *state;
    oxp_canvas c;
    oxp_bytes first, second;
    encode_sample(f, &c, &first);
    encode_sample(f, &c, &second);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    assert_true(contains(first, "tEXtSoftware"));
    assert_true(contains(first, "iTXtTarget"));
    assert_true(contains(first, "\xC3\x84gyptian cat"));
    assert_false(contains(first, "tIME"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_extents), TEST(test_any_bytes_are_drawn), TEST(test_fit),
        TEST(test_wrap),    TEST(test_png_reads_back),      TEST(test_png_notes_and_determinism),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
