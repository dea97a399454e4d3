/* Picture resampling against Pillow's own results (bit for bit), array resampling against
 * NumPy's. */
#include "signal/resize.h"
#include "unit/signal/array_test.h"

static const int32_t sizes[][2] = {{9, 6}, {46, 35}, {23, 5}, {7, 17}, {1, 1}, {40, 3}};

static oxp_raster source_picture(bench *b)
{
    const oxp_tensor t = bench_array(b, "picture.npy"); /* (17,23,3) */
    return (oxp_raster){(uint8_t *)(uintptr_t)t.data, 23, 17, 3};
}

static void check_filter(bench *b, oxp_filter filter)
{
    const oxp_raster source = source_picture(b);
    const oxp_tensor expected =
        bench_array(b, oxp_arena_printf(b->arena, "resized_%s.npy", oxp_filter_name(filter)));
    const uint8_t *want = expected.data;
    for (size_t i = 0; i < OXP_COUNT(sizes); i++) {
        oxp_raster got;
        const size_t n = (size_t)(sizes[i][0] * sizes[i][1] * 3);
        assert_ok(
            b, oxp_resize_u8(&b->ctx, b->arena, &source, sizes[i][0], sizes[i][1], filter, &got));
        assert_int_equal(got.width, sizes[i][0]);
        assert_int_equal(got.height, sizes[i][1]);
        assert_memory_equal(got.data, want, n);
        want += n;
    }
    assert_ptr_equal(want, (const uint8_t *)expected.data + oxp_tensor_bytes(&expected));
}

static void agrees_with_pillow(void **state)
{
    for (int filter = 0; filter < OXP_FILTER_COUNT; filter++)
        check_filter(*state, (oxp_filter)filter);
}

static uint64_t fnv1a(const uint8_t *data, size_t n)
{
    uint64_t value = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < n; i++) value = (value ^ data[i]) * UINT64_C(0x100000001B3);
    return value;
}

static void agrees_with_pillow_on_large_pictures(void **state)
{
    bench *b = *state;
    const int32_t width = 451, height = 300;
    uint8_t *pixels = oxp_arena_alloc(b->arena, (size_t)width * (size_t)height, 3), *p = pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                *p++ = (uint8_t)((x * x + 3 * y * y + 7 * x * y / 5 + 50 * c) >> 3);
    const oxp_raster source = {pixels, width, height, 3};

    FILE *table = fopen(FIXTURES "/resized_large.txt", "r");
    assert_non_null(table);
    char name[16];
    int w, h, rows = 0;
    unsigned long long want;
    for (; fscanf(table, "%15s %d %d %llx", name, &w, &h, &want) == 4; rows++) {
        oxp_filter filter;
        oxp_raster got;
        assert_true(oxp_filter_find(name, &filter));
        assert_ok(b, oxp_resize_u8(&b->ctx, b->arena, &source, w, h, filter, &got));
        assert_int_equal(fnv1a(got.data, (size_t)w * (size_t)h * 3), want);
    }
    fclose(table);
    assert_int_equal(rows, 6);
}

/* Channels are independent: a plane resampled alone equals that plane of the whole. */
static void channel_count_does_not_matter(void **state)
{
    bench *b = *state;
    const oxp_raster rgb = source_picture(b);
    const size_t n = (size_t)rgb.width * (size_t)rgb.height;
    oxp_raster whole;
    assert_ok(b, oxp_resize_u8(&b->ctx, b->arena, &rgb, 11, 29, OXP_FILTER_BICUBIC, &whole));
    for (int32_t channels = 1; channels <= 4; channels++) {
        uint8_t *pixels = oxp_arena_alloc(b->arena, n, (size_t)channels);
        for (size_t i = 0; i < n; i++)
            for (int32_t c = 0; c < channels; c++)
                pixels[i * (size_t)channels + (size_t)c] = rgb.data[3 * i + (size_t)(c % 3)];
        const oxp_raster planes = {pixels, rgb.width, rgb.height, channels};
        oxp_raster got;
        assert_ok(b, oxp_resize_u8(&b->ctx, b->arena, &planes, 11, 29, OXP_FILTER_BICUBIC, &got));
        for (int32_t i = 0; i < 11 * 29; i++)
            for (int32_t c = 0; c < channels; c++)
                assert_int_equal(got.data[i * channels + c], whole.data[3 * i + c % 3]);
    }
}

static void same_size_is_the_same_picture(void **state)
{
    bench *b = *state;
    const oxp_raster source = source_picture(b);
    oxp_raster got;
    assert_ok(b, oxp_resize_u8(&b->ctx, b->arena, &source, 23, 17, OXP_FILTER_LANCZOS, &got));
    assert_ptr_equal(got.data, source.data);
}

static void refuses_impossible_sizes(void **state)
{
    bench *b = *state;
    const oxp_raster source = source_picture(b), flat = {source.data, 23, 0, 3},
                     deep = {source.data, 1, 1, 5};
    oxp_raster got;
    assert_fails(b, oxp_resize_u8(&b->ctx, b->arena, &source, 0, 5, OXP_FILTER_BOX, &got),
                 OXP_EINVAL, "0 x 5");
    assert_fails(b, oxp_resize_u8(&b->ctx, b->arena, &source, 5, -1, OXP_FILTER_BOX, &got),
                 OXP_EINVAL, "5 x -1");
    assert_fails(b, oxp_resize_u8(&b->ctx, b->arena, &flat, 5, 5, OXP_FILTER_BOX, &got), OXP_EINVAL,
                 "23 x 0");
    assert_fails(b, oxp_resize_u8(&b->ctx, b->arena, &deep, 5, 5, OXP_FILTER_BOX, &got), OXP_EINVAL,
                 "got 5");
    assert_fails(b, oxp_resize_u8(&b->ctx, b->arena, &source, 5, 5, (oxp_filter)6, &got),
                 OXP_EINVAL, "number 6");
}

static void filters_have_names(void **state)
{
    (void)state;
    oxp_filter filter;
    for (int i = 0; i < OXP_FILTER_COUNT; i++) {
        assert_true(oxp_filter_find(oxp_filter_name((oxp_filter)i), &filter));
        assert_int_equal(filter, i);
    }
    assert_false(oxp_filter_find("cubic", &filter));
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static void linear_agrees_with_numpy(void **state)
{
    bench *b = *state;
    static const char *const names[] = {"linear_7", "linear_5x4", "linear_3x4x2", "linear_9x8"};
    for (size_t i = 0; i < OXP_COUNT(names); i++) {
        const oxp_tensor x = bench_array(b, oxp_arena_printf(b->arena, "%s.npy", names[i]));
        const oxp_tensor want =
            bench_array(b, oxp_arena_printf(b->arena, "%s_expected.npy", names[i]));
        const size_t n = (size_t)oxp_shape_elements(&want.shape),
                     m = (size_t)oxp_shape_elements(&x.shape);
        float *got = oxp_arena_alloc(b->arena, n, sizeof *got);
        oxp_resize_linear(x.data, x.shape.rank, x.shape.dim, want.shape.dim, got);
        assert_close_f32(got, (const float *)want.data, n, 1e-6);

        double *x64 = oxp_arena_alloc(b->arena, m, sizeof *x64),
               *got64 = oxp_arena_alloc(b->arena, n, sizeof *got64);
        oxp_convert(x64, OXP_F64, x.data, OXP_F32, (int64_t)m);
        oxp_resize_linear_f64(x64, x.shape.rank, x.shape.dim, want.shape.dim, got64);
        for (size_t k = 0; k < n; k++) assert_true((float)got64[k] == got[k]);
    }
}

/* The 4 x 4 maps of Grad-CAM's toy: by half-pixel centres, and corner on corner. */
static void linear_of_the_toy_map(void **state)
{
    (void)state;
    const double map[] = {0, 2.0 / 16.25, 14.0 / 16.25, 1}; /* corners of the pinned table */
    const double pinned[] = {0,      .03077, .09231, .12308, .21538, .24712, .31058, .34231,
                             .64615, .67981, .74712, .78077, .86154, .89615, .96538, 1};
    const double corners[] = {0,      .04103, .08205, .12308, .28718, .32991, .37265, .41538,
                              .57436, .6188,  .66325, .70769, .86154, .90769, .95385, 1};
    const int64_t from[] = {2, 2}, to[] = {4, 4};
    double got[16];
    oxp_resize_linear_f64(map, 2, from, to, got);
    assert_close_f64(got, pinned, 16, 1e-5);
    oxp_resize_corners_f64(map, 2, from, to, got);
    assert_close_f64(got, corners, 16, 1e-5);
}

static void nearest_repeats_cells(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4, 5, 6};
    const int64_t from[] = {2, 3}, up[] = {4, 6}, down[] = {1, 2};
    const float doubled[] = {1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3,
                             4, 4, 5, 5, 6, 6, 4, 4, 5, 5, 6, 6};
    const float reduced[] = {4, 6};
    float got[24];
    oxp_resize_nearest(x, 2, from, up, got);
    assert_memory_equal(got, doubled, sizeof doubled);
    oxp_resize_nearest(x, 2, from, down, got);
    assert_memory_equal(got, reduced, sizeof reduced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agrees_with_pillow, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(agrees_with_pillow_on_large_pictures, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(channel_count_does_not_matter, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(same_size_is_the_same_picture, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(refuses_impossible_sizes, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(linear_agrees_with_numpy, bench_open, bench_close),
        cmocka_unit_test(filters_have_names),
        cmocka_unit_test(linear_of_the_toy_map),
        cmocka_unit_test(nearest_repeats_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
