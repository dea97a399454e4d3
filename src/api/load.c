/* load.c - files to model inputs: which shape and type the model wants, then media/input.h. */
#include "api/api.h"

#include <string.h>

static oxp_status read_layout(oxp_ctx *ctx, const char *text, oxp_image_layout *out)
{
    *out = OXP_IMAGE_LAYOUT_OPEN;
    if (!text) return OXP_OK;
    *out = strcmp(text, "NHWC") == 0 ? OXP_IMAGE_NHWC : OXP_IMAGE_NCHW;
    OXP_FAIL_IF(ctx, *out == OXP_IMAGE_NCHW && strcmp(text, "NCHW") != 0, OXP_EINVAL,
                "layout must be NCHW or NHWC, found '%.60s'", text);
    return OXP_OK;
}

/* Where an input comes from: one of the three is there. */
typedef struct source {
    const char *path;
    const void *data;
    size_t size;
    const oxp_array *pixels;
} source;

static oxp_status read_source(oxp_ctx *ctx, oxp_input *in, const source *from,
                              const oxp_media_request *request)
{
    oxp_tensor pixels;
    if (from->path) return oxp_media_input_load(ctx, in->arena, from->path, request, &in->media);
    if (from->pixels) {
        OXP_TRY(oxp_ask_array(ctx, from->pixels, &pixels));
        return oxp_media_input_pixels(ctx, in->arena, &pixels, request, &in->media);
    }
    oxp_bytes bytes = {.size = from->size}; /* a copy: an array is taken where it lies */
    bytes.data = oxp_arena_memdup(in->arena, from->data, from->size);
    OXP_NOMEM_IF(ctx, bytes.data);
    return oxp_media_input_parse(ctx, in->arena, bytes, "bytes", request, &in->media);
}

static oxp_status load_in(oxp_ctx *ctx, oxp_input *in, const oxp_model *model, const source *from,
                          const oxp_input_options *o)
{
    const oxp_onnx_model *onnx = model->onnx;
    OXP_FAIL_IF(ctx, o->model_input < 0 || (size_t)o->model_input >= onnx->n_inputs, OXP_EINVAL,
                "the model has no input number %d: it takes %zu", o->model_input, onnx->n_inputs);
    const oxp_onnx_io *io = &onnx->inputs[o->model_input];
    oxp_shape *shapes;
    OXP_FAIL_IF(ctx, o->n_shapes > 0 && !o->shapes, OXP_EINVAL, "the shapes are missing (NULL)");
    OXP_TRY(oxp_ask_shapes(ctx, model, o->shapes, o->n_shapes, &shapes));
    oxp_media_request request = {.shape = shapes[o->model_input],
                                 .dtype = io->dtype,
                                 .preprocess = o->preprocess,
                                 .sidecar_dir = model->dir};
    OXP_TRY(read_layout(ctx, o->layout, &request.layout));
    in->path = from->path ? oxp_arena_strdup(in->arena, from->path) : NULL;
    in->model_input = oxp_arena_strdup(in->arena, io->name);
    OXP_FAIL_IF(ctx, (from->path && !in->path) || !in->model_input, OXP_ENOMEM, "out of memory");
    return read_source(ctx, in, from, &request);
}

static oxp_status load(oxp_ctx *ctx, oxp_input **out, const oxp_model *model, const source *from,
                       const oxp_input_options *options)
{
    oxp_input_options o;
    oxp_arena *arena;
    void *made;
    OXP_FAIL_IF(ctx, !out || (!from->path && !from->data && !from->pixels), OXP_EINVAL,
                "no input was given (NULL)");
    OXP_TRY(OXP_API_OPTIONS(ctx, oxp_input_options, n_shapes, options, &o));
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_input), &arena, &made));
    oxp_input *in = made;
    in->arena = arena;
    const oxp_status status = load_in(ctx, in, model, from, &o);
    if (status == OXP_OK)
        *out = in;
    else
        oxp_arena_free(arena);
    return status;
}

oxp_status oxp_input_load(oxp_input **out, const oxp_model *model, const char *path,
                          const oxp_input_options *options, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, load(&ctx, out, model, &(source){.path = path}, options));
}

oxp_status oxp_input_load_memory(oxp_input **out, const oxp_model *model, const void *data,
                                 size_t size, const oxp_input_options *options, oxp_error *error)
{
    oxp_ctx ctx;
    const source from = {.data = data, .size = size};
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, load(&ctx, out, model, &from, options));
}

oxp_status oxp_input_from_pixels(oxp_input **out, const oxp_model *model, const oxp_array *pixels,
                                 const oxp_input_options *options, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, load(&ctx, out, model, &(source){.pixels = pixels}, options));
}

static oxp_status fill(oxp_ctx *ctx, oxp_input **out, const oxp_input *like, const char *colour)
{
    static const struct {
        const char *name;
        uint8_t level;
    } colours[] = {{"black", 0}, {"grey", 128}, {"white", 255}};
    oxp_arena *arena;
    void *made;
    size_t c = 0;
    OXP_FAIL_IF(ctx, !out || !like || !colour, OXP_EINVAL, "an argument is missing (NULL)");
    while (c < OXP_COUNT(colours) && strcmp(colours[c].name, colour) != 0) c++;
    OXP_FAIL_IF(ctx, c == OXP_COUNT(colours), OXP_EINVAL,
                "a colour is black, grey or white, found '%.60s'", colour);
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_input), &arena, &made));
    oxp_input *in = made;
    in->arena = arena;
    in->path = oxp_arena_strdup(arena, colour);
    in->model_input = oxp_arena_strdup(arena, like->model_input);
    oxp_status status =
        oxp_media_input_fill(ctx, arena, &like->media, colours[c].level, &in->media);
    if (status == OXP_OK && (!in->path || !in->model_input))
        status = oxp_ctx_fail(ctx, OXP_ENOMEM, "out of memory");
    if (status == OXP_OK)
        *out = in;
    else
        oxp_arena_free(arena);
    return status;
}

oxp_status oxp_input_fill(oxp_input **out, const oxp_input *like, const char *colour,
                          oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin(&ctx, like ? oxp_arena_hooks(like->arena) : NULL, error));
    return oxp_api_end(&ctx, fill(&ctx, out, like, colour));
}

oxp_array oxp_input_array(const oxp_input *input)
{
    return input ? oxp_api_array(input->model_input, &input->media.tensor) : (oxp_array){0};
}

int oxp_input_assumed(const oxp_input *input)
{
    return input && input->media.assumed;
}

const char *oxp_input_description(const oxp_input *input)
{
    return input ? input->media.description : "";
}

void oxp_input_free(oxp_input *input)
{
    if (input) oxp_arena_free(input->arena);
}
