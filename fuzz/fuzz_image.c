/*
 * JPEG, PNG and .npy bytes through the whole way of an input: decode, preprocess for a small model, describe. What is
 * accepted must have the promised size and pixels that can be read.
 */
#include "media/input.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define MAX_PIXELS (1 << 20) /* keeps one run short */

static void check_picture(oxp_ctx *ctx, const oxp_image *image)
{
    const int64_t dims[] = {1, 3, 8, 8};
    const oxp_shape shape = oxp_shape_of(4, dims);
    oxp_preprocess spec;
    oxp_tensor tensor;
    oxp_geometry geometry;
    if (oxp_preprocess_resolve(ctx, ctx->scratch, "imagenet;resample=bicubic", NULL, &shape,
                               OXP_F32, OXP_IMAGE_LAYOUT_OPEN, &spec) != OXP_OK)
        abort();
    /* Only a picture so long and thin that the limit on pixels stops it may fail here. */
    if (oxp_preprocess_apply(ctx, ctx->scratch, &spec, image, &tensor, &geometry) != OXP_OK) return;
    if (!oxp_shape_equal(&tensor.shape, &shape)) abort();
    if (!oxp_preprocess_describe(ctx->scratch, &spec, image, &geometry)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    oxp_arena *arena = oxp_arena_new(NULL);
    if (!arena) return 0;
    oxp_ctx ctx = {.scratch = arena};
    oxp_image image;
    if (oxp_image_decode_max(&ctx, arena, (oxp_bytes){bytes, size}, MAX_PIXELS, &image) == OXP_OK) {
        if ((int64_t)image.width * image.height > MAX_PIXELS || image.width < 1 || image.height < 1)
            abort();
        check_picture(&ctx, &image);
    }
    oxp_arena_free(arena);
    return 0;
}
