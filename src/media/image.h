/* image.h - pictures: JPEG and PNG bytes in, 8-bit RGB out, upright.
 *
 * Pixels agree with Pillow's ImageOps.exif_transpose(Image.open(f)).convert("RGB"): alpha is
 * dropped (not composited), palettes and grey become RGB, CMYK is read with Adobe's inverted ink
 * values. One difference: 16-bit grey keeps its high byte, like 16-bit colour, where Pillow
 * clips it to white. Colour profiles and gamma are ignored, as in the training pipelines.
 * Damaged files are refused, not half-decoded: a map drawn on grey filler would look like an
 * explanation. */
#ifndef OXP_MEDIA_IMAGE_H
#define OXP_MEDIA_IMAGE_H

#include "base/ctx.h"
#include "base/file.h"
#include "tensor/tensor.h"

#define OXP_IMAGE_MAX_PIXELS (UINT64_C(64) << 20)

typedef struct oxp_image {
    int32_t width, height;
    uint8_t *rgb;       /* (H,W,3), in the arena given to the decoder */
    const char *format; /* "JPEG", "PNG", "pixels" */
    int orientation;    /* EXIF orientation found and applied: 1 (upright) to 8 */
    bool was_grey;      /* R == G == B by construction */
    bool had_alpha;     /* dropped */
} oxp_image;

typedef enum oxp_media_kind {
    OXP_MEDIA_UNKNOWN,
    OXP_MEDIA_JPEG,
    OXP_MEDIA_PNG,
    OXP_MEDIA_NPY
} oxp_media_kind;

/* By the first bytes; a file's name says nothing. */
oxp_media_kind oxp_media_sniff(oxp_bytes bytes);

/* Errors: OXP_ECORRUPT (damaged, truncated), OXP_EUNSUPPORTED (another format), OXP_ELIMIT (more
 * than OXP_IMAGE_MAX_PIXELS, or `max_pixels`), OXP_ENOMEM. */
oxp_status oxp_image_decode(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, oxp_image *out);
oxp_status oxp_image_decode_max(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes,
                                uint64_t max_pixels, oxp_image *out);

/* uint8 (H,W), (H,W,1), (H,W,3) or (H,W,4), copied; alpha is dropped. OXP_EINVAL for other arrays,
 * OXP_ELIMIT as above. */
oxp_status oxp_image_from_pixels(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *pixels,
                                 oxp_image *out);

/* (H,W) luma, ITU-R 601 in 16-bit fixed point, as Pillow's convert("L"). */
oxp_status oxp_image_to_grey(oxp_ctx *ctx, oxp_arena *arena, const oxp_image *image, uint8_t **out);

#endif
