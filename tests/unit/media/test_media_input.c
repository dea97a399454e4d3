/* Files to model inputs: pictures, arrays, and what cannot be read. */
#include "media/input.h"
#include "support/alloc.h"
#include "unit/signal/array_test.h"

static oxp_media_request request_for(oxp_dtype dtype, const char *preprocess)
{
    const int64_t dims[] = {1, 3, 32, 32};
    return (oxp_media_request){
        .shape = oxp_shape_of(4, dims), .dtype = dtype, .preprocess = preprocess};
}

static void a_picture_becomes_an_input(void **state)
{
    bench *b = *state;
    const oxp_media_request request = request_for(OXP_F32, "imagenet");
    const oxp_tensor want = bench_array(b, "pre_imagenet.npy");
    oxp_media_input input;
    assert_ok(b, oxp_media_input_load(&b->ctx, b->arena, FIXTURES "/scene.png", &request, &input));
    assert_true(input.has_image);
    assert_false(input.assumed);
    assert_int_equal(input.image.width, 61);
    assert_int_equal(input.geometry.picture_height, 47);
    assert_true(oxp_shape_equal(&input.tensor.shape, &want.shape));
    assert_close_f32((const float *)input.tensor.data, (const float *)want.data, 3 * 32 * 32, 1e-6);
    assert_non_null(strstr(input.description, "61 x 47 PNG"));
    assert_ok(b, oxp_media_input_load(&b->ctx, b->arena, FIXTURES "/exif6.jpg", &request, &input));
    assert_non_null(strstr(input.description, "16 x 24 JPEG (turned as EXIF says)"));
}

/* One colour everywhere, made ready as the picture was: (level/255 - mean) / std. */
static void a_colour_becomes_an_input(void **state)
{
    bench *b = *state;
    static const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
    const oxp_media_request request = request_for(OXP_F32, "imagenet");
    oxp_media_input input, grey;
    assert_ok(b, oxp_media_input_load(&b->ctx, b->arena, FIXTURES "/scene.png", &request, &input));
    assert_ok(b, oxp_media_input_fill(&b->ctx, b->arena, &input, 128, &grey));
    assert_true(oxp_shape_equal(&grey.tensor.shape, &input.tensor.shape));
    for (int64_t i = 0; i < 3 * 32 * 32; i++) {
        const double want = (128.0 / 255.0 - mean[i / 1024]) / std[i / 1024];
        const double difference = oxp_tensor_get(&grey.tensor, i) - want;
        assert_true(difference < 1e-5 && difference > -1e-5);
    }
    assert_non_null(strstr(grey.description, "128 everywhere"));
    assert_int_equal(oxp_media_input_fill(&b->ctx, b->arena, &(oxp_media_input){0}, 0, &grey),
                     OXP_EINVAL);
}

/* What a decoder gives, handed over as an array, becomes the same input as the file; grey and alpha as in files. */
static void pixels_become_an_input(void **state)
{
    bench *b = *state;
    const oxp_media_request request = request_for(OXP_F32, "imagenet");
    oxp_media_input file, made;
    assert_ok(b, oxp_media_input_load(&b->ctx, b->arena, FIXTURES "/scene.png", &request, &file));
    const int64_t dims[] = {file.image.height, file.image.width, 4};
    const size_t n = (size_t)(dims[0] * dims[1]);
    uint8_t *four = oxp_arena_alloc(b->arena, n, 4), *one = oxp_arena_alloc(b->arena, n, 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(four + 4 * i, file.image.rgb + 3 * i, 3);
        four[4 * i + 3] = (uint8_t)i;
        one[i] = 128;
    }
    oxp_tensor pixels = {OXP_U8, oxp_shape_of(3, (const int64_t[]){dims[0], dims[1], 3}),
                         file.image.rgb};
    assert_ok(b, oxp_media_input_pixels(&b->ctx, b->arena, &pixels, &request, &made));
    assert_memory_equal(made.tensor.data, file.tensor.data, oxp_tensor_bytes(&file.tensor));
    assert_non_null(strstr(made.description, "61 x 47 pixels"));
    assert_false(made.image.had_alpha);
    pixels = (oxp_tensor){OXP_U8, oxp_shape_of(3, dims), four};
    assert_ok(b, oxp_media_input_pixels(&b->ctx, b->arena, &pixels, &request, &made));
    assert_memory_equal(made.tensor.data, file.tensor.data, oxp_tensor_bytes(&file.tensor));
    assert_true(made.image.had_alpha);
    oxp_media_input grey;
    assert_ok(b, oxp_media_input_fill(&b->ctx, b->arena, &file, 128, &grey));
    pixels = (oxp_tensor){OXP_U8, oxp_shape_of(2, dims), one};
    assert_ok(b, oxp_media_input_pixels(&b->ctx, b->arena, &pixels, &request, &made));
    assert_memory_equal(made.tensor.data, grey.tensor.data, oxp_tensor_bytes(&grey.tensor));
    assert_true(made.image.was_grey);
}

static void other_arrays_are_no_pixels(void **state)
{
    bench *b = *state;
    const oxp_media_request request = request_for(OXP_F32, "imagenet");
    static const uint8_t bytes[24];
    static const struct {
        int rank;
        int64_t dims[4];
        oxp_dtype dtype;
        oxp_status status;
    } cases[] = {{3, {2, 4, 3}, OXP_I8, OXP_EINVAL},
                 {3, {2, 4, 2}, OXP_U8, OXP_EINVAL},
                 {4, {1, 2, 4, 3}, OXP_U8, OXP_EINVAL},
                 {3, {0, 4, 3}, OXP_U8, OXP_EINVAL},
                 {2, {INT64_C(1) << 31, 1}, OXP_U8, OXP_ELIMIT},
                 {2, {1 << 14, 1 << 14}, OXP_U8, OXP_ELIMIT}};
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        const oxp_tensor pixels = {cases[i].dtype, oxp_shape_of(cases[i].rank, cases[i].dims),
                                   bytes};
        oxp_media_input input;
        assert_int_equal(oxp_media_input_pixels(&b->ctx, b->arena, &pixels, &request, &input),
                         cases[i].status);
        assert_true(b->error.stage == OXP_STAGE_MEDIA);
        assert_non_null(strstr(b->error.message, "pixels"));
    }
}

/* An array in `dtype` holding 0, 1.5, -2, as .npy bytes. */
static oxp_bytes array_file(bench *b, oxp_dtype dtype)
{
    const double values[] = {0, 1.5, -2};
    const int64_t dims[] = {1, 3};
    const oxp_shape shape = oxp_shape_of(2, dims);
    oxp_tensor t;
    oxp_bytes file;
    assert_ok(b, oxp_tensor_new(&b->ctx, b->arena, dtype, &shape, &t));
    oxp_convert((void *)(uintptr_t)t.data, dtype, values, OXP_F64, 3);
    assert_ok(b, oxp_npy_format(&b->ctx, b->arena, &t, &file));
    return file;
}

static void arrays_are_taken_as_they_are(void **state)
{
    bench *b = *state;
    static const struct {
        oxp_dtype file, model, result;
        const char *notice;
    } rows[] = {
        {OXP_F32, OXP_F32, OXP_F32, "array (1,3) float32, taken as it is"},
        {OXP_F64, OXP_F32, OXP_F32, "array (1,3) float64 converted to float32, taken as it is"},
        {OXP_F16, OXP_F32, OXP_F32, "array (1,3) float16 converted to float32, taken as it is"},
        {OXP_F64, OXP_F64, OXP_F64, "array (1,3) float64, taken as it is"},
        {OXP_F16, OXP_F16, OXP_F16, "array (1,3) float16, taken as it is"},
        {OXP_I64, OXP_I64, OXP_I64, "array (1,3) int64, taken as it is"},
    };
    for (size_t i = 0; i < OXP_COUNT(rows); i++) {
        const oxp_media_request request = request_for(rows[i].model, NULL);
        oxp_media_input input;
        assert_ok(b, oxp_media_input_parse(&b->ctx, b->arena, array_file(b, rows[i].file), "x.npy",
                                           &request, &input));
        assert_int_equal(input.tensor.dtype, rows[i].result);
        assert_string_equal(input.description, rows[i].notice);
        assert_false(input.has_image || input.assumed);
        assert_true(oxp_tensor_get(&input.tensor, 1) == (rows[i].file == OXP_I64 ? 1.0 : 1.5));
        assert_true(oxp_tensor_get(&input.tensor, 2) == -2.0);
    }
}

static void unreadable_files_are_named(void **state)
{
    bench *b = *state;
    const oxp_media_request request = request_for(OXP_F32, NULL);
    const oxp_bytes npy = array_file(b, OXP_F32), png = bench_file(b, "scene.png");
    const oxp_bytes text = {(const uint8_t *)"hello", 5};
    oxp_media_input input;
    assert_fails(b,
                 oxp_media_input_load(&b->ctx, b->arena, "/nonexistent/cat.jpg", &request, &input),
                 OXP_EIO, "cat.jpg");
    assert_fails(b, oxp_media_input_load(&b->ctx, b->arena, FIXTURES, &request, &input), OXP_EIO,
                 "media");
    assert_fails(b, oxp_media_input_parse(&b->ctx, b->arena, text, "notes.txt", &request, &input),
                 OXP_ECORRUPT, "notes.txt: expected a JPEG or PNG");
    assert_int_equal(b->error.stage, OXP_STAGE_MEDIA);
    assert_fails(b,
                 oxp_media_input_parse(&b->ctx, b->arena, (oxp_bytes){png.data, 999}, "cat.png",
                                       &request, &input),
                 OXP_ECORRUPT, "cat.png: PNG is truncated");
    assert_fails(b,
                 oxp_media_input_parse(&b->ctx, b->arena, (oxp_bytes){npy.data, npy.size - 1},
                                       "x.npy", &request, &input),
                 OXP_ECORRUPT, "x.npy: ");
    const oxp_media_request wrong = request_for(OXP_F32, "imagnet");
    assert_fails(b, oxp_media_input_parse(&b->ctx, b->arena, png, "cat.png", &wrong, &input),
                 OXP_EINVAL, "'imagnet'");
}

/* Each allocation of the whole way failed once. */
static void failing_allocations_are_survived(void **state)
{
    bench *b = *state;
    const oxp_bytes files[] = {bench_file(b, "scene.png"), bench_file(b, "exif6.jpg"),
                               array_file(b, OXP_F64)};
    const oxp_media_request request = request_for(OXP_F32, "imagenet;mean=0.5;std=0.5");
    for (size_t f = 0; f < OXP_COUNT(files); f++)
        for (int64_t fail_at = 0;; fail_at++) {
            oxp_test_alloc counter = {.fail_at = fail_at};
            const oxp_allocator hooks = oxp_test_alloc_hooks(&counter);
            oxp_error error = {0};
            oxp_ctx ctx = {.error = &error, .hooks = &hooks, .scratch = oxp_arena_new(&hooks)};
            oxp_arena *arena = ctx.scratch ? oxp_arena_new(&hooks) : NULL;
            oxp_media_input input;
            if (arena) {
                const oxp_status status =
                    oxp_media_input_parse(&ctx, arena, files[f], "x", &request, &input);
                assert_int_equal(status, counter.failed ? OXP_ENOMEM : OXP_OK);
            }
            oxp_arena_free(arena);
            oxp_arena_free(ctx.scratch);
            assert_int_equal(counter.live, 0);
            if (!counter.failed) break;
        }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_picture_becomes_an_input),       TEST(a_colour_becomes_an_input),
        TEST(pixels_become_an_input),           TEST(other_arrays_are_no_pixels),
        TEST(arrays_are_taken_as_they_are),     TEST(unreadable_files_are_named),
        TEST(failing_allocations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
