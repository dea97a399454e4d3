/* image.c - picks the decoder by the first bytes, bounds the size, turns the picture upright;
 * see image.h. */
#include "media/image.h"

#include "base/checked.h"
#include "media/codec.h"
#include <string.h>

/* ---- what kind of file ----------------------------------------------------------------------- */

static bool starts_with(oxp_bytes bytes, const char *magic, size_t n)
{
    return bytes.size >= n && memcmp(bytes.data, magic, n) == 0;
}

oxp_media_kind oxp_media_sniff(oxp_bytes bytes)
{
    if (starts_with(bytes, "\xff\xd8\xff", 3)) return OXP_MEDIA_JPEG;
    if (starts_with(bytes, "\x89PNG\r\n\x1a\n", 8)) return OXP_MEDIA_PNG;
    if (starts_with(bytes, "\x93NUMPY", 6)) return OXP_MEDIA_NPY;
    return OXP_MEDIA_UNKNOWN;
}

/* Formats people do try, so that the message can name them. */
static const char *foreign_format(oxp_bytes bytes)
{
    static const struct {
        const char *magic, *name;
        size_t at, n;
    } formats[] = {
        {"GIF8", "a GIF", 0, 4},      {"BM", "a BMP", 0, 2},        {"WEBP", "a WebP", 8, 4},
        {"II*\0", "a TIFF", 0, 4},    {"MM\0*", "a TIFF", 0, 4},    {"ftypavif", "an AVIF", 4, 8},
        {"ftypheic", "a HEIC", 4, 8}, {"ftypmif1", "a HEIF", 4, 8}, {"%PDF", "a PDF", 0, 4},
    };
    for (size_t i = 0; i < OXP_COUNT(formats); i++)
        if (bytes.size >= formats[i].at + formats[i].n &&
            memcmp(bytes.data + formats[i].at, formats[i].magic, formats[i].n) == 0)
            return formats[i].name;
    return NULL;
}

/* ---- memory ---------------------------------------------------------------------------------- */

oxp_status oxp_image_new(oxp_ctx *ctx, oxp_arena *arena, uint64_t width, uint64_t height,
                         size_t packed_bytes, uint64_t max_pixels, oxp_image *out)
{
    const uint64_t pixels = width * height; /* both are below 2^31 */
    OXP_FAIL_IF(ctx, pixels == 0, OXP_ECORRUPT, "%s picture is empty: %llu x %llu pixels",
                out->format, (unsigned long long)width, (unsigned long long)height);
    OXP_FAIL_IF(ctx, width >= INT32_MAX || height >= INT32_MAX || pixels > max_pixels, OXP_ELIMIT,
                "%s picture of %llu x %llu pixels exceeds the limit of %llu pixels", out->format,
                (unsigned long long)width, (unsigned long long)height,
                (unsigned long long)max_pixels);
    OXP_FAIL_IF(ctx, pixels / 10000 > packed_bytes, OXP_ECORRUPT,
                "%s is truncated: it claims %llu x %llu pixels but holds %zu bytes", out->format,
                (unsigned long long)width, (unsigned long long)height, packed_bytes);
    out->rgb = oxp_arena_zalloc(arena, (size_t)pixels, 3);
    OXP_NOMEM_IF(ctx, out->rgb);
    out->width = (int32_t)width;
    out->height = (int32_t)height;
    return OXP_OK;
}

/* ---- orientation ----------------------------------------------------------------------------- */

/* The upright picture's pixel (x, y) is the stored picture's pixel (origin + x dx + y dy), in
 * pixels from the first one. Orientation o: 1 as is, 2 mirrored, 3 turned by 180 degrees, 4
 * flipped, 5 transposed, 6 to be turned right, 7 transversed, 8 to be turned left. */
static oxp_status make_upright(oxp_ctx *ctx, oxp_arena *arena, oxp_image *image)
{
    const int o = image->orientation;
    if (o == 1) return OXP_OK;
    const ptrdiff_t w = image->width, h = image->height;
    const bool swap = o >= 5;
    const bool mirror_x = o == 2 || o == 3 || o == 7 || o == 8; /* walk stored columns backwards */
    const bool mirror_y = o == 3 || o == 4 || o == 6 || o == 7; /* walk stored rows backwards */
    const ptrdiff_t column = mirror_x ? -1 : 1, row = mirror_y ? -w : w;
    const ptrdiff_t dx = swap ? row : column, dy = swap ? column : row;
    const ptrdiff_t origin = (mirror_x ? w - 1 : 0) + (mirror_y ? (h - 1) * w : 0);

    uint8_t *upright = oxp_arena_alloc(arena, (size_t)(w * h), 3);
    OXP_NOMEM_IF(ctx, upright);
    image->width = (int32_t)(swap ? h : w);
    image->height = (int32_t)(swap ? w : h);
    uint8_t *to = upright;
    for (ptrdiff_t y = 0; y < image->height; y++)
        for (ptrdiff_t x = 0; x < image->width; x++, to += 3)
            memcpy(to, image->rgb + 3 * (origin + x * dx + y * dy), 3);
    image->rgb = upright;
    return OXP_OK;
}

/* ---- public ---------------------------------------------------------------------------------- */

oxp_status oxp_image_decode_max(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes,
                                uint64_t max_pixels, oxp_image *out)
{
    *out = (oxp_image){.orientation = 1};
    switch (oxp_media_sniff(bytes)) {
    case OXP_MEDIA_JPEG:
        out->format = "JPEG";
        OXP_TRY(oxp_jpeg_decode(ctx, arena, bytes, max_pixels, out));
        break;
    case OXP_MEDIA_PNG:
        out->format = "PNG";
        OXP_TRY(oxp_png_decode(ctx, arena, bytes, max_pixels, out));
        break;
    default: {
        const char *name = foreign_format(bytes);
        OXP_FAIL_IF(ctx, name, OXP_EUNSUPPORTED,
                    "this is %s file: expected a JPEG or PNG picture (convert it first)", name);
        OXP_FAIL(ctx, OXP_ECORRUPT, "expected a JPEG or PNG picture, found %zu bytes of neither",
                 bytes.size);
    }
    }
    return make_upright(ctx, arena, out);
}

oxp_status oxp_image_decode(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, oxp_image *out)
{
    return oxp_image_decode_max(ctx, arena, bytes, OXP_IMAGE_MAX_PIXELS, out);
}

oxp_status oxp_image_from_pixels(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *pixels,
                                 oxp_image *out)
{
    char text[OXP_SHAPE_TEXT];
    const oxp_shape *s = &pixels->shape;
    const int64_t channels = s->rank == 3 ? s->dim[2] : 1;
    const bool fits = (s->rank == 2 || s->rank == 3) && s->dim[0] > 0 && s->dim[1] > 0 &&
                      (channels == 1 || channels == 3 || channels == 4);
    OXP_FAIL_IF(ctx, pixels->dtype != OXP_U8 || !fits, OXP_EINVAL,
                "pixels are uint8 (H,W), (H,W,1), (H,W,3) or (H,W,4), found %s %s",
                oxp_dtype_name(pixels->dtype), oxp_shape_text(s, text));
    *out = (oxp_image){.orientation = 1, .format = "pixels"};
    OXP_FAIL_IF(ctx, s->dim[0] >= INT32_MAX || s->dim[1] >= INT32_MAX, OXP_ELIMIT,
                "pixels: a side of %s is too long", oxp_shape_text(s, text));
    OXP_TRY(oxp_image_new(ctx, arena, (uint64_t)s->dim[1], (uint64_t)s->dim[0], SIZE_MAX,
                          OXP_IMAGE_MAX_PIXELS, out));
    out->was_grey = channels == 1;
    out->had_alpha = channels == 4;
    const uint8_t *from = pixels->data;
    const size_t n = (size_t)s->dim[0] * (size_t)s->dim[1], step = (size_t)channels;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            out->rgb[3 * i + c] = from[step * i + (channels == 1 ? 0 : c)];
    return OXP_OK;
}

oxp_status oxp_image_to_grey(oxp_ctx *ctx, oxp_arena *arena, const oxp_image *image, uint8_t **out)
{
    const size_t n = (size_t)image->width * (size_t)image->height;
    *out = oxp_arena_alloc(arena, n, 1);
    OXP_NOMEM_IF(ctx, *out);
    /* L = 0.299 R + 0.587 G + 0.114 B in units of 2^-16, rounded. */
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = image->rgb + 3 * i;
        (*out)[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    }
    return OXP_OK;
}
