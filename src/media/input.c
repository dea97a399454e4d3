/* input.c - files to model inputs; see input.h. */
#include "media/input.h"

#include <stdio.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)1 << 30)

/* Puts the file's name in front of a message about its bytes. */
static oxp_status name_file(oxp_ctx *ctx, const char *name, oxp_status status)
{
    if (status == OXP_OK || !ctx->error) return status;
    char message[sizeof ctx->error->message];
    memcpy(message, ctx->error->message, sizeof message);
    snprintf(ctx->error->message, sizeof ctx->error->message, "%.300s: %.700s", name, message);
    return status;
}

static oxp_status find_spec(oxp_ctx *ctx, oxp_arena *arena, const oxp_media_request *request,
                            oxp_preprocess *out)
{
    return oxp_preprocess_resolve(ctx, arena, request->preprocess, request->sidecar_dir,
                                  &request->shape, request->dtype, request->layout, out);
}

/* out->spec and out->image are there. */
static oxp_status make_ready(oxp_ctx *ctx, oxp_arena *arena, oxp_media_input *out)
{
    OXP_TRY(
        oxp_preprocess_apply(ctx, arena, &out->spec, &out->image, &out->tensor, &out->geometry));
    out->has_image = true;
    out->assumed = out->spec.assumed;
    out->description = oxp_preprocess_describe(arena, &out->spec, &out->image, &out->geometry);
    OXP_NOMEM_IF(ctx, out->description);
    return OXP_OK;
}

static oxp_status take_picture(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *name,
                               const oxp_media_request *request, oxp_media_input *out)
{
    OXP_TRY(find_spec(ctx, arena, request, &out->spec));
    OXP_TRY(name_file(ctx, name, oxp_image_decode(ctx, arena, bytes, &out->image)));
    return make_ready(ctx, arena, out);
}

static oxp_status take_array(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *name,
                             const oxp_media_request *request, oxp_media_input *out)
{
    char shape[OXP_SHAPE_TEXT];
    OXP_TRY(name_file(ctx, name, oxp_npy_parse(ctx, arena, bytes, &out->tensor)));
    const oxp_dtype found = out->tensor.dtype;
    const bool casts = (found == OXP_F64 || found == OXP_F16) && request->dtype != found;
    if (casts) {
        oxp_tensor floats;
        OXP_TRY(oxp_tensor_new(ctx, arena, OXP_F32, &out->tensor.shape, &floats));
        oxp_convert((void *)(uintptr_t)floats.data, OXP_F32, out->tensor.data, found,
                    oxp_shape_elements(&floats.shape));
        out->tensor = floats;
    }
    out->description = oxp_arena_printf(
        arena, "array %s %s%s, taken as it is", oxp_shape_text(&out->tensor.shape, shape),
        oxp_dtype_name(found), casts ? " converted to float32" : "");
    OXP_NOMEM_IF(ctx, out->description);
    return OXP_OK;
}

oxp_status oxp_media_input_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *name,
                                 const oxp_media_request *request, oxp_media_input *out)
{
    *out = (oxp_media_input){0};
    ctx->stage = OXP_STAGE_MEDIA;
    const bool array = oxp_media_sniff(bytes) == OXP_MEDIA_NPY;
    return array ? take_array(ctx, arena, bytes, name, request, out)
                 : take_picture(ctx, arena, bytes, name, request, out);
}

oxp_status oxp_media_input_pixels(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *pixels,
                                  const oxp_media_request *request, oxp_media_input *out)
{
    *out = (oxp_media_input){0};
    ctx->stage = OXP_STAGE_MEDIA;
    OXP_TRY(find_spec(ctx, arena, request, &out->spec));
    OXP_TRY(oxp_image_from_pixels(ctx, arena, pixels, &out->image));
    return make_ready(ctx, arena, out);
}

oxp_status oxp_media_input_load(oxp_ctx *ctx, oxp_arena *arena, const char *path,
                                const oxp_media_request *request, oxp_media_input *out)
{
    oxp_bytes bytes;
    ctx->stage = OXP_STAGE_MEDIA;
    OXP_TRY(oxp_file_read(ctx, arena, path, MAX_FILE_BYTES, &bytes));
    return oxp_media_input_parse(ctx, arena, bytes, path, request, out);
}

oxp_status oxp_media_input_fill(oxp_ctx *ctx, oxp_arena *arena, const oxp_media_input *like,
                                uint8_t level, oxp_media_input *out)
{
    ctx->stage = OXP_STAGE_MEDIA;
    OXP_FAIL_IF(ctx, !like->has_image, OXP_EINVAL,
                "the input is an array, taken as it is: what is black or white in it is not known; "
                "give numbers per channel or an array");
    const size_t n =
        (size_t)like->image.width * (size_t)like->image.height * 3; /* it was decoded */
    *out = (oxp_media_input){.has_image = true, .spec = like->spec, .assumed = like->assumed};
    out->image = like->image;
    out->image.was_grey = true;
    out->image.rgb = oxp_arena_alloc(arena, n + 1, 1);
    OXP_NOMEM_IF(ctx, out->image.rgb);
    memset(out->image.rgb, level, n);
    OXP_TRY(
        oxp_preprocess_apply(ctx, arena, &out->spec, &out->image, &out->tensor, &out->geometry));
    out->description = oxp_arena_printf(arena, "%d everywhere; %s", level, like->description);
    OXP_NOMEM_IF(ctx, out->description);
    return OXP_OK;
}
