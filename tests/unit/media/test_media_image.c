/* Decoding against Pillow's pixels; damaged, truncated and hostile files. */
#include "media/codec.h"
#include "media/image.h"
#include "support/alloc.h"
#include "unit/signal/array_test.h"

static oxp_image decode(bench *b, const char *name)
{
    oxp_image image;
    assert_ok(b, oxp_image_decode(&b->ctx, b->arena, bench_file(b, name), &image));
    return image;
}

/* ---- agreement with Pillow ------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool grey, alpha;
} pngs[] = {
    {"grey1", true, false},
    {"grey2", true, false},
    {"grey4", true, false},
    {"grey8", true, false},
    {"grey16", true, false},
    {"rgb8", false, false},
    {"rgb16", false, false},
    {"rgb8_trns", false, true},
    {"palette1", false, false},
    {"palette4", false, false},
    {"palette8_trns", false, true},
    {"grey_alpha8", true, true},
    {"grey_alpha16", true, true},
    {"rgba8", false, true},
    {"rgba16", false, true},
    {"rgb8_interlaced", false, false},
    {"palette4_interlaced", false, false},
    {"grey1_interlaced", true, false},
};

static void png_variants_agree(void **state)
{
    bench *b = *state;
    const oxp_tensor expected = bench_array(b, "png_expected.npy"); /* (n,9,13,3) */
    assert_int_equal(expected.shape.dim[0], OXP_COUNT(pngs));
    for (size_t i = 0; i < OXP_COUNT(pngs); i++) {
        const oxp_image image = decode(b, oxp_arena_printf(b->arena, "%s.png", pngs[i].name));
        assert_int_equal(image.width, 13);
        assert_int_equal(image.height, 9);
        assert_string_equal(image.format, "PNG");
        assert_int_equal(image.was_grey, pngs[i].grey);
        assert_int_equal(image.had_alpha, pngs[i].alpha);
        assert_int_equal(image.orientation, 1);
        assert_memory_equal(image.rgb, (const uint8_t *)expected.data + i * 351, 351);
    }
}

/* At most 1 of 255: another libjpeg may round its DCT otherwise. */
static void assert_near(const uint8_t *got, const uint8_t *want, int n)
{
    for (int i = 0; i < n; i++) assert_in_range(got[i] - want[i] + 1, 0, 2);
}

static void jpeg_variants_agree(void **state)
{
    bench *b = *state;
    static const char *const names[] = {"rgb444", "rgb420", "progressive",
                                        "grey",   "cmyk",   "rgb422"};
    const oxp_tensor expected = bench_array(b, "jpeg_expected.npy"); /* (n,16,24,3) */
    assert_int_equal(expected.shape.dim[0], OXP_COUNT(names));
    for (size_t i = 0; i < OXP_COUNT(names); i++) {
        const oxp_image image = decode(b, oxp_arena_printf(b->arena, "%s.jpg", names[i]));
        assert_int_equal(image.width, 24);
        assert_int_equal(image.height, 16);
        assert_string_equal(image.format, "JPEG");
        assert_int_equal(image.was_grey, strcmp(names[i], "grey") == 0);
        assert_near(image.rgb, (const uint8_t *)expected.data + i * 1152, 1152);
    }
}

static void exif_orientations_agree(void **state)
{
    bench *b = *state;
    const oxp_tensor expected = bench_array(b, "exif_expected.npy"); /* (8,16*24*3) */
    for (int o = 1; o <= 8; o++) {
        const oxp_image image = decode(b, oxp_arena_printf(b->arena, "exif%d.jpg", o));
        assert_int_equal(image.orientation, o);
        assert_int_equal(image.width, o < 5 ? 24 : 16);
        assert_int_equal(image.height, o < 5 ? 16 : 24);
        assert_near(image.rgb, (const uint8_t *)expected.data + (o - 1) * 1152, 1152);
    }
    const oxp_image png = decode(b, "exif6.png");
    const oxp_tensor turned = bench_array(b, "exif6_png_expected.npy"); /* (13,9,3) */
    assert_int_equal(png.orientation, 6);
    assert_int_equal(png.width, 9);
    assert_memory_equal(png.rgb, turned.data, 351);
}

static void luma_is_itu_r_601(void **state)
{
    bench *b = *state;
    uint8_t rgb[] = {255, 255, 255, 0,   0,  0,  255, 0,  0,   0, 255,
                     0,   0,   0,   255, 77, 77, 77,  12, 200, 31};
    const uint8_t want[] = {255, 0, 76, 150, 29, 77, 125}; /* Pillow's convert("L") */
    const oxp_image image = {.width = 7, .height = 1, .rgb = rgb};
    uint8_t *grey;
    assert_ok(b, oxp_image_to_grey(&b->ctx, b->arena, &image, &grey));
    assert_memory_equal(grey, want, 7);
}

/* ---- EXIF parser ----------------------------------------------------------------------------- */

static void exif_parser_is_bounded(void **state)
{
    bench *b = *state;
    uint8_t block[] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0";
    const size_t n = sizeof block - 1, entry = 16;
    assert_int_equal(oxp_exif_orientation((oxp_bytes){block, n}), 6);
    assert_int_equal(oxp_exif_orientation((oxp_bytes){block + 6, n - 6}), 6);
    for (size_t cut = 0; cut < n; cut++) { /* copies of the exact size: ASan sees each overrun */
        const uint8_t *copy = oxp_arena_memdup(b->arena, block, cut ? cut : 1);
        assert_int_equal(oxp_exif_orientation((oxp_bytes){copy, cut}), cut < entry + 10 ? 1 : 6);
    }
    static const struct {
        size_t at;
        uint8_t value;
    } damage[] = {{6, 'X'}, {8, '+'}, {10, 200}, {13, 255}, {18, 4},
                  {20, 2},  {24, 9},  {24, 0},   {25, 1}};
    for (size_t i = 0; i < OXP_COUNT(damage); i++) {
        const uint8_t saved = block[damage[i].at];
        block[damage[i].at] = damage[i].value;
        assert_int_equal(oxp_exif_orientation((oxp_bytes){block, n}), 1);
        block[damage[i].at] = saved;
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

static const char *const all_files[] = {
    "rgb444.jpg",          "rgb420.jpg", "progressive.jpg", "grey.jpg",   "cmyk.jpg",
    "exif6.jpg",           "rgb8.png",   "grey1.png",       "rgba16.png", "palette8_trns.png",
    "rgb8_interlaced.png", "exif6.png"};

/* A prefix of a file is refused with one line, or (a JPEG that lacks no more than its end marker)
 * decodes to the same pixels. */
static void truncated_files_are_refused(void **state)
{
    bench *b = *state;
    for (size_t f = 0; f < OXP_COUNT(all_files); f++) {
        const oxp_bytes whole = bench_file(b, all_files[f]);
        const oxp_image want = decode(b, all_files[f]);
        oxp_image got;
        for (size_t cut = 0; cut < whole.size; cut++) {
            const oxp_bytes part = {oxp_arena_memdup(b->arena, whole.data, cut ? cut : 1), cut};
            const oxp_status status = oxp_image_decode(&b->ctx, b->arena, part, &got);
            if (status != OXP_OK) {
                assert_fails(b, status, OXP_ECORRUPT, "");
                continue;
            }
            assert_string_equal(want.format, "JPEG");
            assert_true(cut + 2 >= whole.size);
            assert_memory_equal(got.rgb, want.rgb, (size_t)want.width * (size_t)want.height * 3);
        }
        const oxp_bytes part = {whole.data, whole.size - whole.size / 5};
        assert_fails(b, oxp_image_decode(&b->ctx, b->arena, part, &got), OXP_ECORRUPT, "truncated");
    }
}

/* Flipping a bit of any byte gives pixels or one line. */
static void flipped_bits_are_survived(void **state)
{
    bench *b = *state;
    for (size_t f = 0; f < OXP_COUNT(all_files); f++) {
        const oxp_bytes whole = bench_file(b, all_files[f]);
        uint8_t *copy = oxp_arena_memdup(b->arena, whole.data, whole.size);
        size_t refused = 0;
        for (size_t i = 0; i < whole.size; i++) {
            const uint8_t bit = (uint8_t)(1u << i % 8);
            oxp_image got;
            copy[i] ^= bit;
            oxp_arena_reset(b->ctx.scratch);
            const oxp_status status = oxp_image_decode_max(
                &b->ctx, b->ctx.scratch, (oxp_bytes){copy, whole.size}, 1 << 20, &got);
            copy[i] ^= bit;
            refused += status != OXP_OK;
            if (status == OXP_OK)
                assert_true(got.width > 0 && got.height > 0);
            else if (status != OXP_ELIMIT && status != OXP_EUNSUPPORTED)
                assert_fails(b, status, OXP_ECORRUPT, "");
        }
        assert_true(refused > 8);
    }
}

/* Checksums cover every byte of a PNG that has only critical chunks. */
static void a_damaged_png_is_always_refused(void **state)
{
    bench *b = *state;
    const oxp_bytes whole = bench_file(b, "rgb8.png");
    uint8_t *copy = oxp_arena_memdup(b->arena, whole.data, whole.size);
    for (size_t i = 0; i < whole.size; i++) {
        oxp_image got;
        copy[i] ^= 0x10;
        const oxp_status status =
            oxp_image_decode_max(&b->ctx, b->arena, (oxp_bytes){copy, whole.size}, 1 << 20, &got);
        copy[i] ^= 0x10;
        assert_int_not_equal(status, OXP_OK);
    }
}

static void bombs_are_refused_before_memory_is_taken(void **state)
{
    bench *b = *state;
    oxp_image got;
    const oxp_bytes jpeg = bench_file(b, "rgb420.jpg"), png = bench_file(b, "rgb8.png");
    uint8_t *copy = oxp_arena_memdup(b->arena, jpeg.data, jpeg.size), *frame = copy;
    const oxp_bytes bomb = {copy, jpeg.size};
    while (!(frame[0] == 0xff && frame[1] == 0xc0)) frame++;
    const size_t before = oxp_arena_bytes(b->arena);
    memcpy(frame + 5, "\xff\xff\xff\xff", 4);
    assert_fails(b, oxp_image_decode(&b->ctx, b->arena, bomb, &got), OXP_ELIMIT, "65500");
    memcpy(frame + 5, "\xff\0\xff\0", 4);
    assert_fails(b, oxp_image_decode(&b->ctx, b->arena, bomb, &got), OXP_ELIMIT, "65280 x 65280");
    memcpy(frame + 5, "\x1f\xff\x1f\xff", 4); /* 8191 x 8191: allowed, but not in 776 bytes */
    assert_fails(b, oxp_image_decode(&b->ctx, b->arena, bomb, &got), OXP_ECORRUPT, "truncated");
    assert_fails(b, oxp_image_decode_max(&b->ctx, b->arena, png, 116, &got), OXP_ELIMIT, "13 x 9");
    assert_int_equal(oxp_arena_bytes(b->arena), before);
    assert_ok(b, oxp_image_decode_max(&b->ctx, b->arena, png, 117, &got));
}

static void other_formats_are_named(void **state)
{
    bench *b = *state;
    static const struct {
        const char *bytes, *part;
        size_t n;
        oxp_status status;
    } files[] = {
        {"GIF89a....", "GIF", 10, OXP_EUNSUPPORTED},
        {"RIFF....WEBPVP8 ", "WebP", 16, OXP_EUNSUPPORTED},
        {"II*\0........", "TIFF", 12, OXP_EUNSUPPORTED},
        {"\0\0\0(ftypheic....", "HEIC", 16, OXP_EUNSUPPORTED},
        {"BM..", "BMP", 4, OXP_EUNSUPPORTED},
        {"hello", "JPEG or PNG", 5, OXP_ECORRUPT},
        {"", "0 bytes", 0, OXP_ECORRUPT},
        {"\xff\xd8\xff", "JPEG", 3, OXP_ECORRUPT},
        {"\x89PNG\r\n\x1a\n", "PNG", 8, OXP_ECORRUPT},
    };
    for (size_t i = 0; i < OXP_COUNT(files); i++) {
        oxp_image got;
        const oxp_bytes bytes = {(const uint8_t *)files[i].bytes, files[i].n};
        assert_fails(b, oxp_image_decode(&b->ctx, b->arena, bytes, &got), files[i].status,
                     files[i].part);
    }
}

/* Each allocation of ours failed once: OXP_ENOMEM, and nothing is left behind. */
static void failing_allocations_are_survived(void **state)
{
    bench *b = *state;
    static const char *const names[] = {"cmyk.jpg", "exif6.jpg", "exif6.png"};
    for (size_t f = 0; f < OXP_COUNT(names); f++) {
        const oxp_bytes bytes = bench_file(b, names[f]);
        for (int64_t fail_at = 0;; fail_at++) {
            oxp_test_alloc counter = {.fail_at = fail_at};
            const oxp_allocator hooks = oxp_test_alloc_hooks(&counter);
            oxp_error error = {0};
            oxp_ctx ctx = {.error = &error, .hooks = &hooks, .scratch = oxp_arena_new(&hooks)};
            oxp_arena *arena = ctx.scratch ? oxp_arena_new(&hooks) : NULL;
            oxp_image got;
            if (arena) {
                const oxp_status status = oxp_image_decode(&ctx, arena, bytes, &got);
                assert_int_equal(status, counter.failed ? OXP_ENOMEM : OXP_OK);
            }
            oxp_arena_free(arena);
            oxp_arena_free(ctx.scratch);
            assert_int_equal(counter.live, 0);
            if (!counter.failed) break;
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(png_variants_agree),
        TEST(jpeg_variants_agree),
        TEST(exif_orientations_agree),
        TEST(luma_is_itu_r_601),
        TEST(exif_parser_is_bounded),
        TEST(truncated_files_are_refused),
        TEST(flipped_bits_are_survived),
        TEST(a_damaged_png_is_always_refused),
        TEST(bombs_are_refused_before_memory_is_taken),
        TEST(other_formats_are_named),
        TEST(failing_allocations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
