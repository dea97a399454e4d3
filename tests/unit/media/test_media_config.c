/* preprocessor_config.json in the forms in which processors save it, timm's config, sidecar
 * lookup. */
#include "media/preprocess.h"
#include "unit/signal/array_test.h"

#define HF_VALUES \
    "\"do_rescale\": true, \"rescale_factor\": 0.00392156862745098, \"do_normalize\": true, "
#define IMAGENET_VALUES \
    HF_VALUES "\"image_mean\": [0.485, 0.456, 0.406], \"image_std\": [0.229, 0.224, 0.225]"

static oxp_bytes text(const char *s)
{
    return (oxp_bytes){(const uint8_t *)s, strlen(s)};
}

static oxp_preprocess parse(bench *b, const char *json)
{
    oxp_preprocess spec;
    bool found;
    assert_ok(b, oxp_preprocess_parse_json(&b->ctx, text(json), "preprocessor_config.json", &found,
                                           &spec));
    assert_true(found);
    assert_string_equal(spec.source, "preprocessor_config.json");
    assert_false(spec.assumed);
    return spec;
}

/* ---- geometry, as each kind of processor spells it ------------------------------------------- */

static const struct {
    const char *json;
    oxp_resize_mode mode;
    int32_t height, width, crop_height, crop_width; /* crop 0: none */
    oxp_filter filter;
} geometries[] = {
    /* today's spelling */
    {"{\"do_resize\": true, \"size\": {\"height\": 224, \"width\": 192}, \"resample\": 2}",
     OXP_RESIZE_EXACT, 224, 192, 0, 0, OXP_FILTER_BILINEAR},
    {"{\"do_resize\": true, \"size\": {\"shortest_edge\": 256}, \"resample\": 3, "
     "\"do_center_crop\": true, \"crop_size\": "
     "{\"height\": 224, \"width\": 220}}",
     OXP_RESIZE_SHORTEST, 256, 256, 224, 220, OXP_FILTER_BICUBIC},
    {"{\"do_resize\": false, \"size\": {\"shortest_edge\": 256}, \"do_center_crop\": false, "
     "\"crop_size\": 224}",
     OXP_RESIZE_NONE, 0, 0, 0, 0, OXP_FILTER_BILINEAR},
    /* a bare number: a square, or the shortest edge, by the processor's class */
    {"{\"feature_extractor_type\": \"ViTFeatureExtractor\", \"size\": 224, \"resample\": 2}",
     OXP_RESIZE_EXACT, 224, 224, 0, 0, OXP_FILTER_BILINEAR},
    {"{\"feature_extractor_type\": \"CLIPFeatureExtractor\", \"size\": 224, \"resample\": 3, "
     "\"crop_size\": 224, "
     "\"do_center_crop\": true}",
     OXP_RESIZE_SHORTEST, 224, 224, 224, 224, OXP_FILTER_BICUBIC},
    {"{\"feature_extractor_type\": \"DeiTFeatureExtractor\", \"size\": 256, \"resample\": 3, "
     "\"crop_size\": 224, "
     "\"do_center_crop\": true}",
     OXP_RESIZE_EXACT, 256, 256, 224, 224, OXP_FILTER_BICUBIC},
    {"{\"size\": 256, \"crop_size\": 224}", OXP_RESIZE_SHORTEST, 256, 256, 224, 224,
     OXP_FILTER_BILINEAR},
    {"{\"size\": 64, \"resample\": 1}", OXP_RESIZE_EXACT, 64, 64, 0, 0, OXP_FILTER_LANCZOS},
    {"{\"size\": [48, 96], \"resample\": 0}", OXP_RESIZE_EXACT, 48, 96, 0, 0, OXP_FILTER_NEAREST},
    /* ConvNeXt's crop_pct, below and from 384 */
    {"{\"image_processor_type\": \"ConvNextImageProcessor\", \"size\": {\"shortest_edge\": 224}, "
     "\"crop_pct\": 0.875}",
     OXP_RESIZE_SHORTEST, 256, 256, 224, 224, OXP_FILTER_BILINEAR},
    {"{\"image_processor_type\": \"ConvNextImageProcessor\", \"size\": {\"shortest_edge\": 384}, "
     "\"crop_pct\": 1.0}",
     OXP_RESIZE_EXACT, 384, 384, 0, 0, OXP_FILTER_BILINEAR},
    {"{\"feature_extractor_type\": \"PoolFormerFeatureExtractor\", \"size\": 224, \"crop_pct\": "
     "0.9, \"crop_size\": 224}",
     OXP_RESIZE_SHORTEST, 248, 248, 224, 224, OXP_FILTER_BILINEAR},
    {"{\"feature_extractor_type\": \"LevitFeatureExtractor\", \"size\": 224, \"do_center_crop\": "
     "true}",
     OXP_RESIZE_SHORTEST, 256, 256, 224, 224, OXP_FILTER_BILINEAR},
    /* null is absent */
    {"{\"size\": null, \"crop_size\": null, \"resample\": null, \"do_resize\": null, "
     "\"do_normalize\": false}",
     OXP_RESIZE_NONE, 0, 0, 0, 0, OXP_FILTER_BILINEAR},
    /* timm */
    {"{\"pretrained_cfg\": {\"input_size\": [3, 240, 240], \"crop_pct\": 0.95, \"interpolation\": "
     "\"bicubic\"}}",
     OXP_RESIZE_SHORTEST, 252, 252, 240, 240, OXP_FILTER_BICUBIC},
    {"{\"pretrained_cfg\": {\"input_size\": [3, 240, 240], \"crop_pct\": 1.0, \"crop_mode\": "
     "\"squash\"}}",
     OXP_RESIZE_EXACT, 240, 240, 240, 240, OXP_FILTER_BILINEAR},
};

static void geometry_of_each_spelling(void **state)
{
    bench *b = *state;
    const oxp_shape any = {.rank = -1};
    for (size_t i = 0; i < OXP_COUNT(geometries); i++) {
        oxp_preprocess spec = parse(b, geometries[i].json);
        assert_ok(b, oxp_preprocess_fit(&b->ctx, &any, OXP_F32, OXP_IMAGE_LAYOUT_OPEN, &spec));
        assert_int_equal(spec.resize, geometries[i].mode);
        if (spec.resize != OXP_RESIZE_NONE) {
            assert_int_equal(spec.resize_height, geometries[i].height);
            assert_int_equal(spec.resize_width, geometries[i].width);
        }
        assert_int_equal(spec.crop, geometries[i].crop_height > 0);
        assert_int_equal(spec.crop ? spec.crop_height : 0, geometries[i].crop_height);
        assert_int_equal(spec.crop ? spec.crop_width : 0, geometries[i].crop_width);
        assert_int_equal(spec.filter, geometries[i].filter);
        assert_int_equal(spec.crop && spec.crop_rounds_half_even,
                         strstr(geometries[i].json, "pretrained") != NULL);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

/* What byte 51 (0.2) becomes in channel 0 and 2. */
static void check_value(bench *b, const char *json, double first, double last)
{
    const oxp_preprocess spec = parse(b, json);
    const double got[] = {(51 * spec.scale - spec.mean[0]) / spec.std[0],
                          (51 * spec.scale - spec.mean[2]) / spec.std[2]};
    const double want[] = {first, last};
    assert_close_f64(got, want, 2, 1e-12);
}

static void values_of_each_spelling(void **state)
{
    bench *b = *state;
    check_value(b, "{" IMAGENET_VALUES "}", (0.2 - 0.485) / 0.229, (0.2 - 0.406) / 0.225);
    check_value(b, "{\"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.25, 0.5, 1]}", -1.2, -0.3);
    check_value(b, "{\"do_normalize\": true}", -0.6, -0.6); /* the processors' default: 0.5 */
    check_value(b, "{\"do_normalize\": false, \"image_mean\": [0.5, 0.5, 0.5]}", 0.2, 0.2);
    check_value(b, "{\"do_rescale\": false, \"do_normalize\": false}", 51, 51);
    check_value(b, "{\"rescale_factor\": 0.5, \"do_normalize\": false}", 25.5, 25.5);
    check_value(b, "{\"image_mean\": 0.1, \"image_std\": [0.5]}", 0.2, 0.2);
    /* EfficientNet: x / 127.5 - 1, and divided by std twice */
    check_value(b,
                "{\"rescale_factor\": 0.00784313725490196, \"rescale_offset\": true, "
                "\"do_normalize\": false}",
                -0.6, -0.6);
    check_value(
        b, "{\"image_mean\": [0, 0, 0], \"image_std\": [0.5, 0.5, 0.1], \"include_top\": true}",
        0.8, 20);
    check_value(b, "{\"do_normalize\": false, \"image_std\": [0.5, 1, 0.1], \"include_top\": true}",
                0.4, 2);
    check_value(b, "{\"pretrained_cfg\": {\"mean\": [0.5, 0.5, 0.1], \"std\": [0.5, 0.5, 1]}}",
                -0.6, 0.1);
    assert_int_equal(parse(b, "{\"do_rescale\": true, \"do_flip_channel_order\": true}").channels,
                     OXP_CHANNELS_BGR);
}

static void a_whole_file_agrees_with_pillow_and_numpy(void **state)
{
    bench *b = *state;
    oxp_preprocess spec = parse(
        b,
        "{\"image_processor_type\": \"CLIPImageProcessor\", \"do_convert_rgb\": true, "
        "\"size\": {\"shortest_edge\": 24}, \"resample\": 3, \"do_center_crop\": true, "
        "\"crop_size\": {\"height\": 21, \"width\": 21}, \"unknown\": [{}], " IMAGENET_VALUES "}");
    const oxp_shape any = {.rank = -1};
    const oxp_tensor want = bench_array(b, "pre_clip.npy");
    oxp_image image;
    oxp_tensor got;
    oxp_geometry geometry;
    assert_ok(b, oxp_preprocess_fit(&b->ctx, &any, OXP_F32, OXP_IMAGE_LAYOUT_OPEN, &spec));
    assert_ok(b, oxp_image_decode(&b->ctx, b->arena, bench_file(b, "scene.png"), &image));
    assert_ok(b, oxp_preprocess_apply(&b->ctx, b->arena, &spec, &image, &got, &geometry));
    assert_true(oxp_shape_equal(&got.shape, &want.shape));
    assert_close_f32((const float *)got.data, (const float *)want.data, 3 * 21 * 21, 1e-6);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static void wrong_fields_are_named(void **state)
{
    bench *b = *state;
    static const struct {
        const char *json, *part;
        oxp_status status;
    } rows[] = {
        {"", "not valid JSON", OXP_ECORRUPT},
        {"[1, 2]", "expected a JSON object", OXP_ECORRUPT},
        {"{\"size\": ", "preprocessor_config.json is not valid JSON: line 1", OXP_ECORRUPT},
        {"{\"size\": \"big\"}", "preprocessor_config.json: \"size\"", OXP_ECORRUPT},
        {"{\"size\": -3}", "1 to 65535", OXP_ECORRUPT},
        {"{\"size\": 99999999999}", "1 to 65535", OXP_ECORRUPT},
        {"{\"size\": {\"height\": 3}}", "\"size\"", OXP_ECORRUPT},
        {"{\"size\": {\"shortest_edge\": 800, \"longest_edge\": 1333}}", "longest_edge",
         OXP_EUNSUPPORTED},
        {"{\"size\": 3, \"do_resize\": 1}", "\"do_resize\": expected true or false", OXP_ECORRUPT},
        {"{\"size\": 3, \"resample\": 9}", "0 to 5", OXP_ECORRUPT},
        {"{\"size\": 3, \"resample\": 1.5}", "whole number", OXP_ECORRUPT},
        {"{\"size\": 3, \"crop_pct\": 0}", "\"crop_pct\"", OXP_ECORRUPT},
        {"{\"image_mean\": [1, 2]}", "1 or 3 numbers, found 2", OXP_ECORRUPT},
        {"{\"image_mean\": [1, 2, \"x\"]}", "\"image_mean\"", OXP_ECORRUPT},
        {"{\"image_mean\": 0, \"image_std\": [1, 0, 1]}", "positive", OXP_ECORRUPT},
        {"{\"do_rescale\": true, \"rescale_factor\": 0}", "\"rescale_factor\"", OXP_ECORRUPT},
        {"{\"size\": 3, \"image_processor_type\": 3}", "expected a text", OXP_ECORRUPT},
        {"{\"size\": 3, \"do_pad\": true}", "\"do_pad\" is not supported", OXP_EUNSUPPORTED},
        {"{\"size\": 3, \"size_divisor\": 32}", "size_divisor", OXP_EUNSUPPORTED},
        {"{\"size\": 3, \"image_processor_type\": \"PerceiverImageProcessor\"}", "Perceiver",
         OXP_EUNSUPPORTED},
        {"{\"pretrained_cfg\": {\"crop_mode\": \"border\"}}", "border", OXP_EUNSUPPORTED},
        {"{\"pretrained_cfg\": {\"interpolation\": \"random\"}}", "random", OXP_EUNSUPPORTED},
        {"{\"pretrained_cfg\": {\"input_size\": [3, 0, 1]}}", "\"input_size\"", OXP_ECORRUPT},
    };
    for (size_t i = 0; i < OXP_COUNT(rows); i++) {
        oxp_preprocess spec;
        bool found;
        assert_fails(b,
                     oxp_preprocess_parse_json(&b->ctx, text(rows[i].json),
                                               "preprocessor_config.json", &found, &spec),
                     rows[i].status, rows[i].part);
    }
    char *deep = oxp_arena_zalloc(b->arena, 200001, 1); /* nesting is bounded by the parser */
    memset(deep, '[', 200000);
    oxp_preprocess spec;
    bool found;
    assert_fails(b, oxp_preprocess_parse_json(&b->ctx, text(deep), "deep.json", &found, &spec),
                 OXP_ECORRUPT, "deep.json");
}

/* ---- sidecars -------------------------------------------------------------------------------- */

static oxp_status resolve(bench *b, const char *what, const char *dir, oxp_preprocess *spec)
{
    const int64_t dims[] = {1, 3, 20, 20};
    const oxp_shape shape = oxp_shape_of(4, dims);
    return oxp_preprocess_resolve(&b->ctx, b->arena, what, dir, &shape, OXP_F32,
                                  OXP_IMAGE_LAYOUT_OPEN, spec);
}

static void write_file(const char *dir, const char *name, const char *content)
{
    char *path = oxp_test_path(dir, name);
    oxp_test_write(path, content, strlen(content));
    free(path);
}

static void sidecars_are_found_and_overridden(void **state)
{
    bench *b = *state;
    char *dir = oxp_test_tmpdir();
    oxp_preprocess spec;
    assert_ok(b, resolve(b, NULL, dir, &spec));
    assert_true(spec.assumed);

    write_file(dir, "config.json", "{\"id2label\": {\"0\": \"cat\"}}"); /* silent: still a guess */
    assert_ok(b, resolve(b, NULL, dir, &spec));
    assert_true(spec.assumed);
    write_file(dir, "config.json", "{\"pretrained_cfg\": {\"mean\": [0.1, 0.1, 0.1]}}");
    assert_ok(b, resolve(b, NULL, dir, &spec));
    assert_string_equal(spec.source, "config.json");
    write_file(dir, "preprocessor_config.json",
               "{\"size\": 20, \"resample\": 3, \"image_mean\": [0.2, 0.2, 0.2]}");
    assert_ok(b, resolve(b, NULL, dir, &spec));
    assert_string_equal(spec.source, "preprocessor_config.json");
    assert_false(spec.assumed);

    assert_ok(b, resolve(b, "resample=box;channels=bgr", dir, &spec));
    assert_string_equal(spec.source, "preprocessor_config.json with resample=box;channels=bgr");
    assert_int_equal(spec.filter, OXP_FILTER_BOX);
    assert_int_equal(spec.channels, OXP_CHANNELS_BGR);
    assert_true(spec.mean[1] == 0.2);
    assert_ok(b, resolve(b, "unit", dir, &spec)); /* a preset outranks the sidecar */
    assert_string_equal(spec.source, "preset unit");

    char *path = oxp_test_path(dir, "config.json");
    assert_ok(b, resolve(b, path, NULL, &spec));
    assert_string_equal(spec.source, "config.json");
    write_file(dir, "config.json", "{}");
    assert_fails(b, resolve(b, path, NULL, &spec), OXP_EINVAL, "says nothing about preprocessing");
    assert_fails(b, resolve(b, "/nonexistent/x.json", NULL, &spec), OXP_EIO, "x.json");
    write_file(dir, "preprocessor_config.json", "{\"size\": 21}");
    assert_fails(b, resolve(b, NULL, dir, &spec), OXP_EINVAL,
                 "(preprocessor_config.json) makes 21 x 21");
    free(path);
    oxp_test_rmtree(dir);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(geometry_of_each_spelling),
        TEST(values_of_each_spelling),
        TEST(a_whole_file_agrees_with_pillow_and_numpy),
        TEST(wrong_fields_are_named),
        TEST(sidecars_are_found_and_overridden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
