/* Normalisation, overlays on each kind of subject, subjects from tensors. */
#include "render/ansi.h"
#include "render/overlay.h"
#include "unit/render/fixture.h"

static void test_scale(void **state)
{
    fixture *f = *state;
    float v[201];
    oxp_scale s;
    for (int i = 0; i <= 200; i++) v[i] = (float)((i * 77) % 201 - 100); /* -100..100, shuffled */
    assert_int_equal(oxp_scale_find(&f->ctx, v, 201, 0, &s), OXP_OK);
    assert_true(s.min == -100 && s.max == 100 && s.bad == 0);
    assert_true(s.clip == 99); /* numpy.percentile(abs(v), 99) */
    assert_int_equal(oxp_scale_find(&f->ctx, v, 201, 33.3, &s), OXP_OK);
    assert_true(fabs(s.clip - 33.6) < 1e-5); /* position 66.6, between 33 and 34 */
    assert_int_equal(oxp_scale_find(&f->ctx, v, 201, 101, &s), OXP_EINVAL);
}

static void test_scale_edges(void **state)
{
    fixture *f = *state;
    oxp_scale s;
    float sparse[300] = {0}, out[5];
    sparse[7] = -2;
    assert_int_equal(oxp_scale_find(&f->ctx, sparse, 300, 99, &s), OXP_OK);
    assert_true(s.clip == 2); /* the percentile is 0: the maximum instead */
    const float mixed[] = {NAN, 4, -8, INFINITY, 0};
    assert_int_equal(oxp_scale_find(&f->ctx, mixed, 5, 100, &s), OXP_OK);
    assert_int_equal(s.bad, 2);
    assert_true(s.clip == 8);
    oxp_scale_apply(&s, true, mixed, 5, out);
    assert_true(isnan(out[0]) && out[1] == 0.5f && out[2] == -1 && isnan(out[3]) && out[4] == 0);
    oxp_scale_apply(&s, false, mixed, 5, out);
    assert_true(out[2] == 1 && out[4] == 0);
    const float zero[] = {0, -0.0f, NAN};
    assert_int_equal(oxp_scale_find(&f->ctx, zero, 3, 99, &s), OXP_OK);
    oxp_scale_apply(&s, true, zero, 3, out);
    assert_true(s.clip == 0 && out[0] == 0 && out[1] == 0 && isnan(out[2]));
    assert_int_equal(oxp_scale_find(&f->ctx, zero + 2, 1, 99, &s), OXP_OK);
    assert_true(s.clip == 0 && s.bad == 1);
}

enum { W = 60, H = 40 };

/* A colourful photo. */
static oxp_subject photo(fixture *f)
{
    uint8_t *rgb = oxp_arena_alloc(f->arena, W * H, 3);
    assert_non_null(rgb);
    for (int i = 0; i < W * H; i++) {
        rgb[3 * i] = (uint8_t)(i % W * 4);
        rgb[3 * i + 1] = (uint8_t)(i / W * 6);
        rgb[3 * i + 2] = 90;
    }
    return (oxp_subject){.kind = OXP_SUBJECT_PICTURE, .picture = {W, H, rgb}};
}

static oxp_canvas draw(fixture *f, const oxp_subject *s, oxp_attribution a, oxp_scale *scale)
{
    const oxp_look look = {NULL, 100, 0};
    oxp_canvas c;
    assert_int_equal(oxp_overlay_draw(&f->ctx, f->arena, s, &a, &look, "title", &c, scale), OXP_OK);
    return c;
}

static void test_zero_map_leaves_the_picture(void **state)
{
    fixture *f = *state;
    const oxp_subject s = photo(f);
    const float zero[12] = {0};
    oxp_scale scale;
    const oxp_canvas c = draw(f, &s, (oxp_attribution){zero, 2, {3, 4}, false, 0}, &scale);
    assert_int_equal(c.w, W);
    assert_int_equal(c.h, H);
    assert_memory_equal(c.rgb, s.picture.rgb, W * H * 3);
    assert_true(scale.clip == 0);
}

/* The map touches its crop box only; outside, the picture is the same whatever the map says, and
 * grey. */
static void test_crop_box(void **state)
{
    fixture *f = *state;
    oxp_subject s = photo(f);
    s.crop = (oxp_box){10.4, 0, 40, 40};
    const float one[] = {1, 1, 1, 1}, other[] = {0, 1, 0.5f, 0.2f};
    const oxp_canvas a = draw(f, &s, (oxp_attribution){one, 2, {2, 2}, false, 0}, NULL);
    const oxp_canvas b = draw(f, &s, (oxp_attribution){other, 2, {2, 2}, false, 0}, NULL);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            const oxp_rgba p = pixel_at(&a, x, y),
                           was = pixel_at(&(oxp_canvas){W, H, (uint8_t *)(uintptr_t)s.picture.rgb},
                                          x, y);
            if (x >= 10 && x < 50) {
                assert_true(fabs(p.r - (was.r + 0.7 * (255 - was.r))) < 2); /* heat(1) at 0.7 */
                continue;
            }
            assert_true(same_colour(p, pixel_at(&b, x, y)));
            const int spread = abs(p.r - p.g) + abs(p.g - p.b),
                      had = abs(was.r - was.g) + abs(was.g - was.b);
            assert_true(spread <= had / 2 + 2);
        }
    }
}

/* A single hot cell lies where it should: the centre of mass of what changed. */
static void test_place(void **state)
{
    fixture *f = *state;
    oxp_subject s = photo(f);
    s.crop = (oxp_box){20, 10, 30, 30};
    float v[36] = {0};
    v[1 * 6 + 4] = 1; /* cell (1,4) of 6x6: centre at crop + ((4.5, 1.5) / 6) of 30 */
    const oxp_canvas hot = draw(f, &s, (oxp_attribution){v, 2, {6, 6}, false, 0}, NULL);
    v[10] = 0;
    const oxp_canvas cold = draw(f, &s, (oxp_attribution){v, 2, {6, 6}, false, 0}, NULL);
    double mass = 0, mx = 0, my = 0;
    for (int i = 0; i < W * H; i++) {
        const double d = fabs((double)hot.rgb[3 * i] - cold.rgb[3 * i]) > 0;
        mass += d;
        mx += d * (i % W + 0.5);
        my += d * (i / W + 0.5);
    }
    assert_true(mass > 20);
    assert_true(fabs(mx / mass - 42.5) < 1 && fabs(my / mass - 17.5) < 1);
}

static void test_signs_and_bad_values(void **state)
{
    fixture *f = *state;
    const oxp_subject s = photo(f);
    const float v[] = {-1, 0, 1, NAN};
    oxp_scale scale;
    const oxp_canvas c = draw(f, &s, (oxp_attribution){v, 2, {1, 4}, true, 0}, &scale);
    const oxp_rgba negative = pixel_at(&c, 2, 20), positive = pixel_at(&c, 37, 20),
                   bad = pixel_at(&c, 57, 20);
    assert_true(negative.b > negative.r + 60);
    assert_true(positive.r > positive.b + 60);
    assert_true(bad.r == bad.g && bad.g == bad.b);
    assert_int_equal(scale.bad, 1);
}

static void test_wrong_shapes(void **state)
{
    fixture *f = *state;
    const oxp_subject s = photo(f);
    const float v[4] = {0}, row[3] = {1, 2, 3};
    const oxp_look look = {0};
    oxp_canvas c;
    oxp_attribution a = {v, 1, {4}, false, 0};
    assert_int_equal(oxp_overlay_draw(&f->ctx, f->arena, &s, &a, &look, NULL, &c, NULL),
                     OXP_EINVAL);
    assert_non_null(strstr(f->error.message, "rank 2, this one has 1"));
    a = (oxp_attribution){v, 2, {0, 4}, false, 0};
    assert_int_equal(oxp_overlay_draw(&f->ctx, f->arena, &s, &a, &look, NULL, &c, NULL),
                     OXP_EINVAL);
    const oxp_subject table = {.kind = OXP_SUBJECT_TABLE, .values = row, .dim = {3, 1, 1}};
    a = (oxp_attribution){v, 1, {4}, false, 0};
    assert_int_equal(oxp_overlay_draw(&f->ctx, f->arena, &table, &a, &look, NULL, &c, NULL),
                     OXP_EINVAL);
}

static int coloured(const oxp_canvas *c, int y0, int y1)
{
    int n = 0;
    for (int i = y0 * c->w; i < y1 * c->w; i++) {
        const uint8_t *p = c->rgb + 3 * i;
        n += abs(p[0] - p[1]) > 40 || abs(p[1] - p[2]) > 40;
    }
    return n;
}

/* Six words and some padding: long texts break into lines, runs of a token are one, and the terminal
 * gets what is attributed in colour and the rest plain. */
static void test_words(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"play", "ing", "a", "<p>", "<p>", "<p>", "<p>"};
    static const bool starts[] = {true, false, true, true, true, true, true};
    static const char *const long_names[] = {"an", "unbelievably", "longwinded"};
    const float v[] = {1, 0, -1, 0, 0, 0, 0};
    oxp_subject s = {.kind = OXP_SUBJECT_TEXT, .dim = {7, 1, 1}, .names = names, .starts = starts};
    const oxp_attribution a = {v, 1, {7}, true, 0};
    const oxp_look look = {"blue-red", 100, 0};
    const oxp_canvas c = draw(f, &s, a, NULL);
    assert_true(coloured(&c, 0, c.h - 60) > 300);
    assert_int_equal(oxp_text_run(&s, 0), 1);
    assert_int_equal(oxp_text_run(&s, 3), 4);
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, f->arena);
    assert_int_equal(oxp_ansi_text(&f->ctx, &s, &a, &look, &sb), OXP_OK);
    const char *line = oxp_strbuf_str(&sb);
    assert_non_null(strstr(line, "mplay\033[0ming \033[48;2;"));
    assert_non_null(strstr(line, "ma\033[0m <p>\303\2274\n"));

    s = (oxp_subject){
        .kind = OXP_SUBJECT_TEXT, .dim = {3, 1, 1}, .names = long_names, .starts = starts};
    oxp_fonts *fonts;
    assert_int_equal(oxp_fonts_open(&f->ctx, f->arena, &fonts), OXP_OK);
    const int wide = oxp_subject_height(&s, fonts, 400);
    assert_true(wide < oxp_subject_height(&s, fonts, 120));
    assert_int_equal(oxp_subject_height(&s, fonts, 20), 3 * wide);
    const oxp_attribution wrong = {v, 1, {7}, true, 0};
    assert_int_equal(oxp_ansi_text(&f->ctx, &s, &wrong, &look, &sb), OXP_EINVAL);

    /* where "words <pad>" just fits, "x 4" does not go to the next line without its token */
    static const char *const run[] = {"words", "<pad>", "<pad>", "<pad>", "<pad>", "words"};
    static const bool all_start[] = {true, true, true, true, true, true};
    s = (oxp_subject){
        .kind = OXP_SUBJECT_TEXT, .dim = {2, 1, 1}, .names = run, .starts = all_start};
    int width = 40;
    while (oxp_subject_height(&s, fonts, width) > wide) width++;
    s.dim[0] = 6;
    assert_int_equal(oxp_subject_height(&s, fonts, width), 3 * wide);
    const oxp_subject picture = photo(f);
    assert_int_equal(oxp_ansi_text(&f->ctx, &picture, &wrong, &look, &sb), OXP_EINVAL);
}

/* (H,W,C) and (C,H,W) give the same picture; other ranks give the other kinds. */
static void test_subjects_of_tensors(void **state)
{
    fixture *f = *state;
    float chw[3 * 2 * 4], hwc[3 * 2 * 4];
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 8; i++) chw[c * 8 + i] = hwc[i * 3 + c] = (float)(c * 8 + i);
    oxp_tensor first = {OXP_F32, oxp_shape_of(3, (const int64_t[]){3, 2, 4}), chw};
    oxp_tensor last = {OXP_F32, oxp_shape_of(3, (const int64_t[]){2, 4, 3}), hwc};
    oxp_subject a, b;
    assert_int_equal(oxp_subject_of_tensor(&f->ctx, f->arena, &first, 0, &a), OXP_OK);
    assert_int_equal(oxp_subject_of_tensor(&f->ctx, f->arena, &last, 2, &b), OXP_OK);
    assert_int_equal(a.kind, OXP_SUBJECT_PICTURE);
    assert_int_equal(a.picture.w, 4);
    assert_int_equal(a.picture.h, 2);
    assert_memory_equal(a.picture.rgb, b.picture.rgb, 24);
    assert_int_equal(a.picture.rgb[0], 0);
    assert_int_equal(a.picture.rgb[23], 255);
    first.shape = oxp_shape_of(2, (const int64_t[]){3, 8});
    assert_int_equal(oxp_subject_of_tensor(&f->ctx, f->arena, &first, 0, &a), OXP_OK);
    assert_true(a.kind == OXP_SUBJECT_SERIES && a.dim[0] == 3 && a.dim[1] == 8);
    last.shape = oxp_shape_of(2, (const int64_t[]){8, 3});
    assert_int_equal(oxp_subject_of_tensor(&f->ctx, f->arena, &last, 1, &b), OXP_OK);
    assert_memory_equal(a.values, b.values, sizeof chw);
    first.shape = oxp_shape_of(1, (const int64_t[]){24});
    assert_int_equal(oxp_subject_of_tensor(&f->ctx, f->arena, &first, -1, &a), OXP_OK);
    assert_true(a.kind == OXP_SUBJECT_TABLE && a.dim[0] == 24);
    first.shape = oxp_shape_of(4, (const int64_t[]){3, 2, 2, 2});
    assert_int_equal(oxp_subject_of_tensor(&f->ctx, f->arena, &first, 0, &a), OXP_OK);
    assert_true(a.kind == OXP_SUBJECT_VOLUME && a.values[0] == 8); /* mean of 0, 8, 16 */
    first.shape = oxp_shape_of(4, (const int64_t[]){3, 2, 2, 2});
    assert_int_equal(oxp_subject_of_tensor(&f->ctx, f->arena, &first, -1, &a), OXP_EINVAL);
}

/* Plots of the other kinds: attributed parts are coloured, others are not. */
static void test_plots(void **state)
{
    fixture *f = *state;
    float wave[2 * 3000], at[100] = {0};
    for (int i = 0; i < 6000; i++) wave[i] = sinf((float)i * 0.01f);
    wave[5] = NAN;
    oxp_subject s = {.kind = OXP_SUBJECT_SERIES, .values = wave, .dim = {2, 3000, 1}};
    const oxp_canvas quiet = draw(f, &s, (oxp_attribution){at, 1, {100}, false, 0}, NULL);
    assert_int_equal(coloured(&quiet, 0, quiet.h - 60), 0); /* above the colour bar */
    at[50] = 3;
    const oxp_canvas loud = draw(f, &s, (oxp_attribution){at, 1, {100}, false, 0}, NULL);
    assert_true(coloured(&loud, 0, loud.h - 60) > 50);

    float row[30], bars[30];
    for (int i = 0; i < 30; i++) row[i] = bars[i] = (float)(i - 15);
    s = (oxp_subject){.kind = OXP_SUBJECT_TABLE, .values = row, .dim = {30, 1, 1}};
    const oxp_canvas table = draw(f, &s, (oxp_attribution){bars, 1, {30}, true, 0}, NULL);
    assert_true(coloured(&table, 0, table.h) > 2000);

    float volume[5 * 6 * 7], blob[8] = {0, 0, 0, 0, 0, 0, 1, 0};
    for (int i = 0; i < 210; i++) volume[i] = (float)i;
    s = (oxp_subject){.kind = OXP_SUBJECT_VOLUME, .values = volume, .dim = {5, 6, 7}};
    const oxp_attribution a = {blob, 3, {2, 2, 2}, false, 0};
    oxp_subject_set_focus(&s, &a);
    assert_true(s.focus[0] == 0.75 && s.focus[1] == 0.75 && s.focus[2] == 0.25);
    const oxp_canvas slices = draw(f, &s, a, NULL);
    assert_true(coloured(&slices, 0, slices.h - 60) > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_scale),
        TEST(test_scale_edges),
        TEST(test_zero_map_leaves_the_picture),
        TEST(test_crop_box),
        TEST(test_place),
        TEST(test_signs_and_bad_values),
        TEST(test_wrong_shapes),
        TEST(test_subjects_of_tensors),
        TEST(test_words),
        TEST(test_plots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
