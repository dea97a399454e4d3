/* Comparison sheets: size, grid, legend; and every allocation of a sheet and its PNG failed once.
 */
#include "render/png.h"
#include "render/sheet.h"
#include "unit/render/fixture.h"

enum { W = 90, H = 60 };
static uint8_t rgb[W * H * 3];
static float blob[64], other[64];

static void fill_inputs(void)
{
    for (int i = 0; i < W * H * 3; i++) rgb[i] = (uint8_t)(i / 64);
    for (int i = 0; i < 64; i++) {
        blob[i] = (float)(i % 8) / 7;
        other[i] = (float)(i - 32);
    }
}

/* n panels, magnitude and signed by turns. */
static oxp_status draw(fixture *f, size_t n, const char *caption, oxp_canvas *out)
{
    static oxp_panel panels[12];
    const oxp_subject subject = {
        .kind = OXP_SUBJECT_PICTURE, .picture = {W, H, rgb}, .crop = {15, 0, 60, 60}};
    for (size_t i = 0; i < n; i++)
        panels[i] = (oxp_panel){"grad-cam",
                                "Egyptian cat, p = 0.58",
                                {i % 2 == 0 ? blob : other, 2, {8, 8}, i % 2 == 1, 0}};
    const oxp_sheet sheet = {.title = "Why Egyptian cat?",
                             .caption = caption,
                             .subject = &subject,
                             .input_subtitle = "chelsea.png",
                             .panels = panels,
                             .n_panels = n};
    return oxp_sheet_draw(&f->ctx, f->arena, &sheet, out);
}

static bool white(const oxp_canvas *c, oxp_rect r)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            if (!same_colour(pixel_at(c, x, y), OXP_HEX(0xFFFFFF))) return false;
    return true;
}

static void test_sizes(void **state)
{
    fixture *f = *state;
    int before = 0;
    for (size_t n = 0; n <= 11; n++) {
        oxp_canvas c;
        assert_int_equal(draw(f, n, "model resnet50.onnx, score logit", &c), OXP_OK);
        assert_in_range(c.w, 500, 1500); /* readable at 100 % on a common screen */
        assert_true(c.w * c.h >= before / 2);
        before = c.w * c.h;
        /* Nothing touches the edges. */
        assert_true(white(&c, (oxp_rect){0, 0, c.w, 20}) &&
                    white(&c, (oxp_rect){0, c.h - 20, c.w, 20}));
        assert_true(white(&c, (oxp_rect){0, 0, 20, c.h}) &&
                    white(&c, (oxp_rect){c.w - 20, 0, 20, c.h}));
        assert_false(white(&c, (oxp_rect){0, 0, c.w, 60})); /* the title */
    }
}

static void test_caption_makes_room(void **state)
{
    fixture *f = *state;
    oxp_canvas a, b;
    char text[600];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 9; i < sizeof text - 1; i += 10) text[i] = ' ';
    assert_int_equal(draw(f, 3, NULL, &a), OXP_OK);
    assert_int_equal(draw(f, 3, text, &b), OXP_OK);
    assert_true(b.h > a.h + 40);
    assert_true(white(&b, (oxp_rect){b.w - 20, 0, 20, b.h}));
}

/* Both legends when both kinds are there: blue and red at the foot of the sheet. */
static void test_legend(void **state)
{
    fixture *f = *state;
    oxp_canvas one, two;
    assert_int_equal(draw(f, 1, NULL, &one), OXP_OK);
    assert_int_equal(draw(f, 2, NULL, &two), OXP_OK);
    int orange[2] = {0, 0}, blue[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        const oxp_canvas *c = k == 0 ? &one : &two;
        for (int y = c->h - 100; y < c->h - 50; y++) {
            for (int x = 28; x < c->w - 28; x++) {
                const oxp_rgba p = pixel_at(c, x, y);
                orange[k] += p.r > 220 && p.b < 120;
                blue[k] += p.b > 150 && p.r < 110;
            }
        }
    }
    assert_true(orange[0] > 50 && orange[1] > 50);
    assert_true(blue[0] == 0 && blue[1] > 50);
}

static void test_too_many(void **state)
{
    fixture *f = *state;
    const oxp_subject subject = {.kind = OXP_SUBJECT_PICTURE, .picture = {W, H, rgb}};
    const oxp_sheet sheet = {.subject = &subject, .n_panels = OXP_SHEET_MAX_PANELS + 1};
    oxp_canvas c;
    assert_int_equal(oxp_sheet_draw(&f->ctx, f->arena, &sheet, &c), OXP_ELIMIT);
}

static oxp_status sheet_to_png(fixture *f)
{
    oxp_canvas c;
    oxp_bytes png;
    const oxp_png_text note = {"Software", "onnxplain"};
    OXP_TRY(draw(f, 2, "a caption", &c));
    const oxp_picture p = oxp_canvas_picture(&c);
    return oxp_png_encode(&f->ctx, f->arena, &p, &note, 1, &png);
}

/* Allocation number k fails: the call says OXP_ENOMEM, nothing crashes, nothing leaks. */
static void test_each_allocation_fails_once(void **state)
{
    OXP_UNUSED(state);
    fixture f;
    long failures = 0;
    for (long k = 1;; k++) {
        const bool opened = fixture_open(&f, k);
        const oxp_status status = opened ? sheet_to_png(&f) : OXP_ENOMEM;
        const bool reached = f.made >= k;
        fixture_close(&f);
        if (!reached) {
            assert_int_equal(status, OXP_OK);
            break;
        }
        assert_int_equal(status, OXP_ENOMEM);
        failures++;
    }
    assert_true(failures > 30); /* fonts, libpng and our arenas all go through the hooks */
}

int main(void)
{
    fill_inputs();
    const struct CMUnitTest tests[] = {
        TEST(test_sizes),
        TEST(test_caption_makes_room),
        TEST(test_legend),
        TEST(test_too_many),
        cmocka_unit_test(test_each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
