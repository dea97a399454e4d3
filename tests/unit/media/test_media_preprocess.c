/* Presets, fitting, text overrides and pixel work against Pillow + NumPy recipes; the geometry
 * back. */
#include "media/preprocess.h"
#include "unit/signal/array_test.h"

#include <math.h>

static oxp_shape shape4(int64_t n, int64_t a, int64_t b, int64_t c)
{
    const int64_t dims[] = {n, a, b, c};
    return oxp_shape_of(4, dims);
}

static oxp_image scene(bench *b) /* 61 x 47 */
{
    oxp_image image;
    assert_ok(b, oxp_image_decode(&b->ctx, b->arena, bench_file(b, "scene.png"), &image));
    return image;
}

typedef struct result {
    oxp_preprocess spec;
    oxp_tensor tensor;
    oxp_geometry geometry;
    const char *description;
} result;

static result run(bench *b, const char *text, oxp_shape input, oxp_dtype dtype)
{
    result r;
    const oxp_image image = scene(b);
    assert_ok(b, oxp_preprocess_resolve(&b->ctx, b->arena, text, NULL, &input, dtype,
                                        OXP_IMAGE_LAYOUT_OPEN, &r.spec));
    assert_ok(b, oxp_preprocess_apply(&b->ctx, b->arena, &r.spec, &image, &r.tensor, &r.geometry));
    r.description = oxp_preprocess_describe(b->arena, &r.spec, &image, &r.geometry);
    return r;
}

static void check_values(bench *b, const result *r, const char *fixture)
{
    const oxp_tensor want = bench_array(b, fixture);
    char got_shape[OXP_SHAPE_TEXT], want_shape[OXP_SHAPE_TEXT];
    assert_string_equal(oxp_shape_text(&r->tensor.shape, got_shape),
                        oxp_shape_text(&want.shape, want_shape));
    assert_int_equal(r->tensor.dtype, OXP_F32);
    assert_close_f32((const float *)r->tensor.data, (const float *)want.data,
                     (size_t)oxp_shape_elements(&want.shape), 1e-6);
}

/* ---- recipes --------------------------------------------------------------------------------- */

static void presets_agree_with_pillow_and_numpy(void **state)
{
    bench *b = *state;
    result r = run(b, "imagenet", shape4(1, 3, 32, 32), OXP_F32);
    check_values(b, &r, "pre_imagenet.npy");
    assert_string_equal(
        r.description,
        "61 x 47 PNG, resized to 46 x 36 (bilinear), centre 32 x 32, RGB / 255, minus mean "
        "0.485,0.456,0.406, over std 0.229,0.224,0.225, NCHW (preset imagenet)");
    r = run(b, "imagenet;size=34;crop=29", shape4(1, 3, 29, 29),
            OXP_F32); /* half pixels to spare */
    check_values(b, &r, "pre_odd.npy");
    r = run(b, "caffe", shape4(OXP_DIM_UNKNOWN, 3, 32, 32), OXP_F32);
    check_values(b, &r, "pre_caffe.npy");
    r = run(b, "tf", shape4(1, 3, 18, 24), OXP_F32);
    check_values(b, &r, "pre_tf.npy");
    assert_string_equal(r.description, "61 x 47 PNG, resized to 24 x 18 (bilinear), RGB / 127.5, "
                                       "minus mean 1,1,1, NCHW (preset tf)");
    r = run(b, "unit", shape4(1, 1, 28, 28), OXP_F32);
    check_values(b, &r, "pre_grey.npy");
    r = run(b, "unit;size=20;resample=bicubic;mean=0.5;std=0.5",
            shape4(1, 3, OXP_DIM_UNKNOWN, OXP_DIM_UNKNOWN), OXP_F32);
    check_values(b, &r, "pre_vit.npy");
}

/* The same numbers, channels last: found from the model's shape or asked for. */
static void layouts_hold_the_same_numbers(void **state)
{
    bench *b = *state;
    const result planar = run(b, "imagenet", shape4(1, 3, 32, 32), OXP_F32);
    const result found = run(b, "imagenet", shape4(1, 32, 32, 3), OXP_F32);
    const result asked = run(b, "imagenet;layout=NHWC",
                             shape4(1, OXP_DIM_UNKNOWN, OXP_DIM_UNKNOWN, OXP_DIM_UNKNOWN), OXP_F32);
    const float *p = planar.tensor.data, *f = found.tensor.data;
    for (int i = 0; i < 32 * 32; i++)
        for (int c = 0; c < 3; c++) assert_true(f[3 * i + c] == p[c * 32 * 32 + i]);
    assert_int_equal(asked.tensor.shape.dim[3], 3);
    assert_int_equal(asked.tensor.shape.dim[1], 224); /* nothing fixes a size */
    assert_non_null(strstr(asked.description, "preset imagenet with layout=NHWC"));
}

static void byte_models_get_bytes(void **state)
{
    bench *b = *state;
    const result floats = run(b, "none", shape4(1, 18, 24, 3), OXP_F32);
    const result bytes = run(b, NULL, shape4(1, 18, 24, 3), OXP_U8);
    const result centred = run(b, "none;mean=128", shape4(1, 18, 24, 3), OXP_I8);
    const float *f = floats.tensor.data;
    assert_int_equal(bytes.tensor.dtype, OXP_U8);
    assert_true(bytes.spec.assumed);
    for (int i = 0; i < 18 * 24 * 3; i++) {
        assert_true((float)((const uint8_t *)bytes.tensor.data)[i] == f[i]);
        assert_true((float)((const int8_t *)centred.tensor.data)[i] == f[i] - 128.0f);
    }
}

static void guesses_say_so(void **state)
{
    bench *b = *state;
    result r = run(b, NULL, shape4(1, 3, 32, 32), OXP_F32);
    assert_true(r.spec.assumed);
    assert_non_null(strstr(r.description, "(preset imagenet, assumed)"));
    check_values(b, &r, "pre_imagenet.npy");
    r = run(b, NULL, shape4(OXP_DIM_UNKNOWN, 1, 28, 28), OXP_F32);
    assert_true(r.spec.assumed);
    check_values(b, &r, "pre_grey.npy");
    r = run(b, "resample=bicubic", shape4(1, 3, 32, 32), OXP_F32);
    assert_true(r.spec.assumed); /* mean and std are still a guess */
    r = run(b, "rescale=1/255;mean=0.5;std=0.25", shape4(1, 3, 32, 32), OXP_F32);
    assert_false(r.spec.assumed);
    assert_false(run(b, "imagenet", shape4(1, 3, 32, 32), OXP_F32).spec.assumed);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static oxp_preprocess fitted(bench *b, const char *text, oxp_shape input)
{
    oxp_preprocess spec;
    assert_ok(b, oxp_preprocess_resolve(&b->ctx, b->arena, text, NULL, &input, OXP_F32,
                                        OXP_IMAGE_LAYOUT_OPEN, &spec));
    return spec;
}

static void sizes_follow_the_model(void **state)
{
    bench *b = *state;
    static const struct {
        const char *text;
        int64_t h, w;
        oxp_resize_mode mode;
        int32_t resize_h, resize_w, crop_h, crop_w;
    } rows[] = {
        {"imagenet", 224, 224, OXP_RESIZE_SHORTEST, 256, 256, 224, 224},
        {"imagenet", 299, 299, OXP_RESIZE_SHORTEST, 341, 341, 299, 299},
        {"imagenet", 96, 160, OXP_RESIZE_SHORTEST, 182, 182, 96, 160},
        {"imagenet", -1, -1, OXP_RESIZE_SHORTEST, 256, 256, 224, 224},
        {"imagenet;crop_pct=1", 224, 224, OXP_RESIZE_SHORTEST, 224, 224, 224, 224},
        {"imagenet;size=300", 224, 224, OXP_RESIZE_SHORTEST, 300, 300, 224, 224},
        {"imagenet;size=300;crop=288", -1, -1, OXP_RESIZE_SHORTEST, 300, 300, 288, 288},
        {"imagenet;resize=exact", 224, 192, OXP_RESIZE_EXACT, 224, 192, 0, 0},
        {"imagenet;size=40x50;crop=none", -1, -1, OXP_RESIZE_EXACT, 40, 50, 0, 0},
        {"unit", 224, 320, OXP_RESIZE_EXACT, 224, 320, 0, 0},
        {"unit", -1, -1, OXP_RESIZE_NONE, 0, 0, 0, 0},
        {"unit;resize=shortest;size=64", -1, -1, OXP_RESIZE_SHORTEST, 64, 64, 0, 0},
        {"unit;size=64;resize=shortest", -1, -1, OXP_RESIZE_SHORTEST, 64, 64, 0, 0},
    };
    for (size_t i = 0; i < OXP_COUNT(rows); i++) {
        const oxp_preprocess spec = fitted(b, rows[i].text, shape4(1, 3, rows[i].h, rows[i].w));
        assert_int_equal(spec.resize, rows[i].mode);
        if (spec.resize != OXP_RESIZE_NONE) {
            assert_int_equal(spec.resize_height, rows[i].resize_h);
            assert_int_equal(spec.resize_width, rows[i].resize_w);
        }
        assert_int_equal(spec.crop, rows[i].crop_h > 0);
        if (spec.crop) {
            assert_int_equal(spec.crop_height, rows[i].crop_h);
            assert_int_equal(spec.crop_width, rows[i].crop_w);
        }
    }
}

static void check_refused(bench *b, const char *text, oxp_shape input, const char *part)
{
    oxp_preprocess spec;
    assert_fails(b,
                 oxp_preprocess_resolve(&b->ctx, b->arena, text, NULL, &input, OXP_F32,
                                        OXP_IMAGE_LAYOUT_OPEN, &spec),
                 OXP_EINVAL, part);
}

static void contradictions_are_refused(void **state)
{
    bench *b = *state;
    const oxp_shape rgb = shape4(1, 3, 32, 32), any = {.rank = -1};
    check_refused(b, "imagenet;size=300;crop=288", rgb,
                  "makes 288 x 288 pixels (width x height), the model's input takes 32 x 32");
    check_refused(b, "unit;size=30x31", rgb, "makes 31 x 30");
    check_refused(b, "unit;channels=grey", rgb, "takes 3");
    check_refused(b, "imagenet", shape4(1, 12, 32, 32),
                  "(1,12,32,32) has no axis of 1 or 3 channels");
    check_refused(b, "imagenet;layout=NCHW", shape4(1, 32, 32, 3), "32 channels");
    check_refused(b, "imagenet", oxp_shape_of(2, rgb.dim), "4 axes");
    check_refused(b, "imagenet", shape4(1, 3, 1 << 20, 32), "1048576 pixels");
    check_refused(b, "imagnet", any, "unknown preprocessing preset 'imagnet'");
    check_refused(b, "imagenet;meen=1", any, "did you mean 'mean'?");
    check_refused(b, "imagenet;mean", any, "expected key=value");
    check_refused(b, "mean=1,2", any, "1 or 3 numbers");
    check_refused(b, "mean=1,2,3,4", any, "1 or 3 numbers");
    check_refused(b, "mean=x", any, "expected a number");
    check_refused(b, "std=1,0,1", any, "positive");
    check_refused(b, "rescale=1/0", any, "rescale");
    check_refused(b, "size=0", any, "1 to 65535");
    check_refused(b, "size=5x", any, "1 to 65535");
    check_refused(b, "crop=99999", any, "1 to 65535");
    check_refused(b, "crop_pct=2", any, "0.05 to 1");
    check_refused(b, "resize=bigger", any, "expected none, shortest");
    check_refused(b, "resample=cubic", any, "bicubic");
    check_refused(b, "channels=cmyk", any, "rgb");
    check_refused(b, "layout=CHWN", any, "NCHW");

    const oxp_image image = scene(b);
    oxp_preprocess spec = fitted(b, "unit;resize=none", rgb);
    oxp_tensor tensor;
    oxp_geometry geometry;
    assert_fails(b, oxp_preprocess_apply(&b->ctx, b->arena, &spec, &image, &tensor, &geometry),
                 OXP_EINVAL, "makes 61 x 47");
    const oxp_image line = {.width = 60000, .height = 1, .rgb = image.rgb};
    spec = fitted(b, "imagenet;size=60000", rgb);
    assert_fails(b, oxp_preprocess_apply(&b->ctx, b->arena, &spec, &line, &tensor, &geometry),
                 OXP_ELIMIT, "pixels");
}

/* A crop larger than the picture is padded with zero bytes, evenly. */
static void small_pictures_are_padded(void **state)
{
    bench *b = *state;
    const result r = run(b, "none;resize=none;crop=51x70", shape4(1, 3, -1, -1), OXP_F32);
    const oxp_image image = scene(b);
    const float *got = r.tensor.data;
    assert_int_equal(r.tensor.shape.dim[2], 51);
    assert_int_equal(r.tensor.shape.dim[3], 70);
    for (int y = 0; y < 51; y++)
        for (int x = 0; x < 70; x++) {
            const int px = x - 5, py = y - 2; /* (70 - 61 + 1) / 2, (51 - 47) / 2 */
            const bool inside = px >= 0 && px < 61 && py >= 0 && py < 47;
            const uint8_t want = inside ? image.rgb[(py * 61 + px) * 3] : 0;
            assert_true(got[y * 70 + x] == (float)want);
        }
    assert_true(r.geometry.left == -5.0 && r.geometry.top == -2.0);
}

/* ---- geometry -------------------------------------------------------------------------------- */

/* The model's x coordinate as a "map" comes back as each picture pixel's own coordinate. */
static void maps_return_to_their_pixels(void **state)
{
    bench *b = *state;
    const result r = run(b, "imagenet", shape4(1, 3, 32, 32), OXP_F32);
    const oxp_geometry *g = &r.geometry;
    assert_int_equal(g->picture_width, 61);
    assert_int_equal(g->input_height, 32);
    float map[32 * 32], out[61 * 47];
    for (int i = 0; i < 32 * 32; i++) map[i] = (float)(g->left + (i % 32 + 0.5) * g->scale_x);
    oxp_geometry_restore(g, map, 32, 32, out);
    const double right = g->left + 32 * g->scale_x;
    int seen = 0;
    for (int y = 0; y < 47; y++)
        for (int x = 0; x < 61; x++) {
            const double centre = x + 0.5, got = (double)out[y * 61 + x];
            const bool interior =
                centre > g->left + g->scale_x && centre < right - g->scale_x && y > 3 && y < 43;
            if (interior) assert_true(fabs(got - centre) < 1e-4);
            if (centre < g->left || centre > right) assert_true(got == 0.0);
            seen += interior;
        }
    assert_true(seen > 1000);
}

/* A layer's coarse grid: an even map stays even inside the box and is zero outside. */
static void coarse_maps_cover_the_box(void **state)
{
    (void)state;
    const oxp_geometry g = {.picture_width = 8,
                            .picture_height = 4,
                            .input_width = 4,
                            .input_height = 4,
                            .left = 2,
                            .top = 0,
                            .scale_x = 1,
                            .scale_y = 1};
    const float map[] = {1, 3, 1, 3};
    const float row[] = {0, 0, 1, 1.5f, 2.5f, 3, 0, 0};
    float out[32];
    oxp_geometry_restore(&g, map, 2, 2, out);
    for (int y = 0; y < 4; y++) assert_memory_equal(out + 8 * y, row, sizeof row);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(presets_agree_with_pillow_and_numpy),
        TEST(layouts_hold_the_same_numbers),
        TEST(byte_models_get_bytes),
        TEST(guesses_say_so),
        TEST(sizes_follow_the_model),
        TEST(contradictions_are_refused),
        TEST(small_pictures_are_padded),
        TEST(maps_return_to_their_pixels),
        TEST(coarse_maps_cover_the_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
