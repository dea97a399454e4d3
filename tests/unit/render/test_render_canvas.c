/* Canvas verbs, resampling and colour maps. */
#include "render/axis.h"
#include "render/colormap.h"
#include "render/resample.h"
#include "unit/render/fixture.h"

static void test_canvas_limits(void **state)
{
    fixture *f = *state;
    oxp_canvas c;
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 0, 5, OXP_HEX(0), &c), OXP_EINVAL);
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 40000, 5, OXP_HEX(0), &c), OXP_ELIMIT);
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 30000, 30000, OXP_HEX(0), &c), OXP_ELIMIT);
    assert_non_null(strstr(f->error.message, "30000x30000"));
}

static void test_fill_blend_and_clip(void **state)
{
    fixture *f = *state;
    oxp_canvas c;
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 8, 6, OXP_HEX(0xFFFFFF), &c), OXP_OK);
    oxp_canvas_fill(&c, (oxp_rect){-3, -3, 5, 5}, OXP_HEX(0x102030));
    assert_true(same_colour(pixel_at(&c, 1, 1), OXP_HEX(0x102030)));
    assert_true(same_colour(pixel_at(&c, 2, 1), OXP_HEX(0xFFFFFF)));
    oxp_rgba half = OXP_HEX(0x000000);
    half.a = 128;
    oxp_canvas_fill(&c, (oxp_rect){4, 4, 100, 100}, half);
    assert_true(same_colour(pixel_at(&c, 7, 5), OXP_HEX(0x7F7F7F)));
    oxp_canvas_blend(&c, -1, 0, half, 255);
    oxp_canvas_blend(&c, 0, 6, half, 255);
    oxp_canvas_fill(&c, (oxp_rect){20, 20, 4, 4}, half);
    const oxp_picture self = oxp_canvas_picture(&c);
    oxp_canvas copy;
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 8, 6, OXP_HEX(0), &copy), OXP_OK);
    oxp_canvas_blit(&copy, -2, 3, &self);
    assert_true(same_colour(pixel_at(&copy, 0, 3), pixel_at(&c, 2, 0)));
    assert_true(same_colour(pixel_at(&copy, 0, 2), OXP_HEX(0)));
}

static double ink(const oxp_canvas *c)
{
    double sum = 0;
    for (int i = 0; i < c->w * c->h; i++) sum += (255 - c->rgb[3 * i]) / 255.0;
    return sum;
}

/* The ink of an anti-aliased line is its area: length times width, plus the round ends. */
static void test_line_area(void **state)
{
    fixture *f = *state;
    static const oxp_point ends[][2] = {
        {{10, 20.3}, {50, 20.3}}, {{10, 10}, {40, 50}}, {{33.2, 5}, {33.2, 55}}};
    for (size_t i = 0; i < OXP_COUNT(ends); i++) {
        for (double width = 1; width < 5; width += 1.5) {
            oxp_canvas c;
            assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 64, 64, OXP_HEX(0xFFFFFF), &c),
                             OXP_OK);
            oxp_canvas_line(&c, ends[i][0], ends[i][1], width, OXP_HEX(0));
            const double length = hypot(ends[i][1].x - ends[i][0].x, ends[i][1].y - ends[i][0].y);
            const double area = length * width + 3.14159 * width * width / 4;
            assert_true(fabs(ink(&c) - area) < 0.04 * area);
        }
    }
    oxp_canvas c;
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 16, 16, OXP_HEX(0xFFFFFF), &c), OXP_OK);
    oxp_canvas_line(&c, (oxp_point){(double)NAN, 0}, (oxp_point){9, 9}, 2, OXP_HEX(0));
    oxp_canvas_line(&c, (oxp_point){-1e12, -40}, (oxp_point){1e12, -30}, 2, OXP_HEX(0));
    assert_true(ink(&c) == 0);
}

typedef struct rows {
    int w, channels;
    float *v;
} rows;

static void keep_row(void *user, int y, const float *row)
{
    const rows *r = user;
    memcpy(r->v + (size_t)(y * r->w * r->channels), row,
           sizeof(float) * (size_t)(r->w * r->channels));
}

/* Half-pixel bilinear, the convention of torch's interpolate(align_corners=False). */
static void test_enlarging_is_bilinear(void **state)
{
    fixture *f = *state;
    static const float in[] = {0, 1, 2, 3};
    static const float want[] = {0,    0.25f, 0.75f, 1,    0.5f, 0.75f, 1.25f, 1.5f,
                                 1.5f, 1.75f, 2.25f, 2.5f, 2,    2.25f, 2.75f, 3};
    float out[16];
    rows r = {4, 1, out};
    const oxp_samples src = {2, 2, 1, NULL, in};
    assert_int_equal(oxp_resample(&f->ctx, &src, (oxp_box){0, 0, 2, 2}, 4, 4, keep_row, &r),
                     OXP_OK);
    assert_close_f32(out, want, 16, 1e-6);
}

static void test_shrinking_keeps_the_mean(void **state)
{
    fixture *f = *state;
    float in[60 * 60], out[36];
    for (int i = 0; i < 3600; i++) in[i] = (float)((i % 60 + i / 60) % 2); /* a pixel chessboard */
    rows r = {6, 1, out};
    const oxp_samples src = {60, 60, 1, NULL, in};
    assert_int_equal(oxp_resample(&f->ctx, &src, (oxp_box){0, 0, 60, 60}, 6, 6, keep_row, &r),
                     OXP_OK);
    for (int i = 0; i < 36; i++) assert_true(fabsf(out[i] - 0.5f) < 0.01f);
}

/* A box of the source, edges included, samples the same plane as the whole: a linear ramp stays it.
 */
static void test_box_and_edges(void **state)
{
    fixture *f = *state;
    float in[16], out[4];
    for (int i = 0; i < 16; i++) in[i] = (float)i;
    rows r = {4, 1, out};
    const oxp_samples src = {16, 1, 1, NULL, in};
    const float want[] = {4, 5, 6, 7}, edge[] = {0, 0, 0, 1};
    assert_int_equal(oxp_resample(&f->ctx, &src, (oxp_box){4, 0, 4, 1}, 4, 1, keep_row, &r),
                     OXP_OK);
    assert_close_f32(out, want, 4, 1e-6);
    assert_int_equal(oxp_resample(&f->ctx, &src, (oxp_box){-2, 0, 4, 1}, 4, 1, keep_row, &r),
                     OXP_OK);
    assert_close_f32(out, edge, 4, 1e-6);
    assert_int_equal(oxp_resample(&f->ctx, &src, (oxp_box){0, 0, 0, 1}, 4, 1, keep_row, &r),
                     OXP_EINVAL);
}

static void test_scaled_blit(void **state)
{
    fixture *f = *state;
    static const uint8_t rgb[] = {255, 0, 0, 0, 0, 255};
    const oxp_picture two = {2, 1, rgb};
    oxp_canvas c;
    assert_int_equal(oxp_canvas_new(&f->ctx, f->arena, 10, 6, OXP_HEX(0xFFFFFF), &c), OXP_OK);
    assert_int_equal(oxp_canvas_blit_scaled(&f->ctx, &c, (oxp_rect){1, 1, 8, 4}, &two), OXP_OK);
    assert_true(same_colour(pixel_at(&c, 4, 4), OXP_HEX(0xFF0000))); /* crisp pixels */
    assert_true(same_colour(pixel_at(&c, 5, 1), OXP_HEX(0x0000FF)));
    assert_true(same_colour(pixel_at(&c, 0, 0), OXP_HEX(0xFFFFFF)));
    assert_true(same_colour(pixel_at(&c, 9, 5), OXP_HEX(0xFFFFFF)));
    assert_int_equal(oxp_canvas_blit_scaled(&f->ctx, &c, (oxp_rect){0, 0, 1, 1}, &two), OXP_OK);
    assert_true(same_colour(pixel_at(&c, 0, 0), OXP_HEX(0x800080))); /* the mean */
}

static void test_colormaps_are_even(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < oxp_colormap_count(); i++) {
        oxp_colormap m;
        assert_int_equal(oxp_colormap_find(&f->ctx, oxp_colormap_name(i), OXP_SEQUENTIAL, &m),
                         OXP_OK);
        assert_string_equal(m.name, oxp_colormap_name(i));
        assert_non_null(strstr(oxp_colormap_list(), m.name));
        const int last = OXP_COLORMAP_STEPS - 1, turn = m.kind == OXP_DIVERGING ? last / 2 : 0;
        double L[OXP_COLORMAP_STEPS];
        for (int k = 0; k <= last; k++)
            L[k] = oxp_lightness((oxp_rgba){m.rgb[k][0], m.rgb[k][1], m.rgb[k][2], 255});
        for (int k = 1; k <= last; k++) {
            const double sign = m.kind == OXP_DIVERGING && k > turn ? -1 : 1;
            assert_true(sign * (L[k] - L[k - 1]) > -0.004); /* monotonic but for 8-bit rounding */
        }
        for (int k = turn; k <= last; k++) { /* and linear, but for what sRGB cannot show */
            const double want = L[turn] + (L[last] - L[turn]) * (k - turn) / (last - turn);
            assert_true(fabs(L[k] - want) < 0.005);
        }
        if (m.kind == OXP_DIVERGING)
            assert_true(fabs(L[0] - L[last]) < 0.04); /* arms weigh the same */
    }
}

static void test_colormap_ends(void **state)
{
    fixture *f = *state;
    oxp_colormap m;
    assert_int_equal(oxp_colormap_find(&f->ctx, NULL, OXP_SEQUENTIAL, &m), OXP_OK);
    assert_string_equal(m.name, "heat");
    assert_true(same_colour(oxp_colormap_at(&m, 0), OXP_HEX(0x0C0C7C)));
    assert_true(same_colour(oxp_colormap_at(&m, 1), OXP_HEX(0xFF5A14)));
    assert_true(same_colour(oxp_colormap_at(&m, 7), oxp_colormap_at(&m, 1)));
    assert_true(same_colour(oxp_colormap_at(&m, NAN), OXP_BAD_COLOUR));
    assert_true(oxp_colormap_alpha(&m, 0, 0.7f) == 0);
    assert_true(oxp_colormap_alpha(&m, 0.02f, 0.7f) < 0.005f);
    assert_true(oxp_colormap_alpha(&m, 1, 0.7f) == 0.7f);
    assert_int_equal(oxp_colormap_find(&f->ctx, "", OXP_DIVERGING, &m), OXP_OK);
    assert_string_equal(m.name, "blue-red");
    const oxp_rgba zero = oxp_colormap_at(&m, 0), low = oxp_colormap_at(&m, -1),
                   high = oxp_colormap_at(&m, 1);
    assert_true(same_colour(zero, OXP_HEX(0xF7F7F7)));
    assert_true(low.b > 2 * low.r && high.r > 2 * high.b);
    assert_true(oxp_colormap_alpha(&m, -0.2f, 1) == oxp_colormap_alpha(&m, 0.2f, 1));
    assert_int_equal(oxp_colormap_find(&f->ctx, "heaat", OXP_SEQUENTIAL, &m), OXP_EINVAL);
    assert_non_null(strstr(f->error.message, "did you mean 'heat'"));
}

static void test_labels(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "0"},
        {0.5, "0.5"},
        {-1.2345, "\xE2\x88\x92"
                  "1.23"},
        {1234.4, "1234"},
        {999.7, "1000"},
        {9.97e-5, "1e\xE2\x88\x92"
                  "4"},
        {3.4028e38, "3.4e38"},
        {99999, "99999"},
        {100000, "1e5"},
        {0.001, "0.001"},
        {0.00012345, "1.2e\xE2\x88\x92"
                     "4"},
        {1e-7, "1e\xE2\x88\x92"
               "7"},
    };
    char buf[OXP_LABEL_TEXT];
    for (size_t i = 0; i < OXP_COUNT(cases); i++)
        assert_string_equal(oxp_number_label(cases[i].v, buf), cases[i].text);
    assert_string_equal(oxp_number_label((double)NAN, buf), "n/a");
    assert_true(oxp_axis_step(900, 9) == 100);
    assert_true(oxp_axis_step(28, 9) == 5);
    assert_true(oxp_axis_step(1000, 6) == 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_canvas_limits),
        TEST(test_fill_blend_and_clip),
        TEST(test_line_area),
        TEST(test_enlarging_is_bilinear),
        TEST(test_shrinking_keeps_the_mean),
        TEST(test_box_and_edges),
        TEST(test_scaled_blit),
        TEST(test_colormaps_are_even),
        TEST(test_colormap_ends),
        TEST(test_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
