/* preprocess.c - presets, fitting to the model's input, and the pixel work; see preprocess.h. */
#include "media/preprocess.h"

#include "base/strbuf.h"
#include <math.h>
#include <string.h>

#define DEFAULT_SIDE 224 /* where neither source nor model fixes a size */

/* ---- presets --------------------------------------------------------------------------------- */

#define IMAGENET_GEOMETRY                                                                          \
    .resize = OXP_RESIZE_SHORTEST, .filter = OXP_FILTER_BILINEAR, .crop = true, .crop_pct = 0.875, \
    .crop_rounds_half_even = true, .dtype = OXP_F32
#define WHOLE_PICTURE .resize = OXP_RESIZE_EXACT, .filter = OXP_FILTER_BILINEAR, .dtype = OXP_F32

static const struct {
    const char *name;
    oxp_preprocess spec;
} presets[] = {
    {"imagenet",
     {IMAGENET_GEOMETRY, .source = "preset imagenet", .scale = 1.0 / 255,
      .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}}},
    {"caffe",
     {IMAGENET_GEOMETRY, .source = "preset caffe", .scale = 1.0, .channels = OXP_CHANNELS_BGR,
      .mean = {104, 117, 123}, .std = {1, 1, 1}}},
    {"tf",
     {WHOLE_PICTURE, .source = "preset tf", .scale = 1.0 / 127.5, .mean = {1, 1, 1},
      .std = {1, 1, 1}}},
    {"unit", {WHOLE_PICTURE, .source = "preset unit", .scale = 1.0 / 255, .std = {1, 1, 1}}},
    {"none", {WHOLE_PICTURE, .source = "preset none", .scale = 1.0, .std = {1, 1, 1}}},
};

const char *oxp_preprocess_presets(void)
{
    return "imagenet, caffe, tf, unit, none";
}

oxp_status oxp_preprocess_preset(oxp_ctx *ctx, const char *name, oxp_preprocess *out)
{
    for (size_t i = 0; i < OXP_COUNT(presets); i++)
        if (strcmp(presets[i].name, name) == 0) {
            *out = presets[i].spec;
            return OXP_OK;
        }
    OXP_FAIL(ctx, OXP_EINVAL, "unknown preprocessing preset '%s': expected one of %s", name,
             oxp_preprocess_presets());
}

/* ---- fitting to the model's input ------------------------------------------------------------ */

static bool picture_channels(int64_t dim)
{
    return dim == 1 || dim == 3;
}

static oxp_status fit_layout(oxp_ctx *ctx, const oxp_shape *input, oxp_image_layout layout,
                             oxp_preprocess *spec)
{
    if (spec->layout == OXP_IMAGE_LAYOUT_OPEN) spec->layout = layout;
    if (spec->layout != OXP_IMAGE_LAYOUT_OPEN) return OXP_OK;
    spec->layout = OXP_IMAGE_NCHW;
    if (input->rank < 0 || picture_channels(input->dim[1])) return OXP_OK;
    if (picture_channels(input->dim[3])) {
        spec->layout = OXP_IMAGE_NHWC;
        return OXP_OK;
    }
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, input->dim[1] != OXP_DIM_UNKNOWN, OXP_EINVAL,
                "model input %s has no axis of 1 or 3 channels: feed it a .npy array",
                oxp_shape_text(input, text));
    return OXP_OK;
}

static oxp_status fit_channels(oxp_ctx *ctx, int64_t channels, oxp_preprocess *spec)
{
    OXP_FAIL_IF(ctx, channels != OXP_DIM_UNKNOWN && !picture_channels(channels), OXP_EINVAL,
                "the model's input has %lld channels, a picture has 1 or 3: feed it a .npy array",
                (long long)channels);
    OXP_FAIL_IF(ctx, channels == 3 && spec->channels == OXP_CHANNELS_GREY, OXP_EINVAL,
                "preprocessing makes 1 grey channel, the model's input takes 3");
    if (channels == 1 && spec->channels != OXP_CHANNELS_GREY) {
        spec->channels = OXP_CHANNELS_GREY;
        spec->mean[0] = (spec->mean[0] + spec->mean[1] + spec->mean[2]) / 3;
        spec->std[0] = (spec->std[0] + spec->std[1] + spec->std[2]) / 3;
    }
    return OXP_OK;
}

/* Fills the sizes that are still 0, from the output inwards. */
static void fit_sizes(oxp_preprocess *spec)
{
    if (spec->crop) {
        if (!spec->crop_height) spec->crop_height = spec->model_height;
        if (!spec->crop_width) spec->crop_width = spec->model_width;
        if (!spec->crop_height) spec->crop_height = DEFAULT_SIDE;
        if (!spec->crop_width) spec->crop_width = DEFAULT_SIDE;
    }
    if (spec->resize == OXP_RESIZE_NONE || spec->resize_height) return;
    int32_t width = spec->crop ? spec->crop_width : spec->model_width;
    int32_t height = spec->crop ? spec->crop_height : spec->model_height;
    if (spec->crop && spec->crop_pct > 0.0) {
        width = (int32_t)(width / spec->crop_pct);
        height = (int32_t)(height / spec->crop_pct);
    }
    if (spec->resize == OXP_RESIZE_SHORTEST) width = height = width > height ? width : height;
    if (width && height) {
        spec->resize_width = width;
        spec->resize_height = height;
    } else {
        spec->resize = OXP_RESIZE_NONE; /* the model takes any size: the picture keeps its own */
    }
}

static oxp_status check_output_size(oxp_ctx *ctx, const oxp_preprocess *spec, int32_t width,
                                    int32_t height)
{
    const bool fits = (!spec->model_width || width == spec->model_width) &&
                      (!spec->model_height || height == spec->model_height);
    OXP_FAIL_IF(ctx, !fits, OXP_EINVAL,
                "preprocessing (%s) makes %d x %d pixels (width x height), the model's input takes "
                "%d x %d: give size= and crop=, or resize=exact",
                spec->source, (int)width, (int)height, (int)spec->model_width,
                (int)spec->model_height);
    return OXP_OK;
}

static oxp_status side_of(oxp_ctx *ctx, int64_t dim, int32_t *side)
{
    OXP_FAIL_IF(ctx, dim == 0 || dim > OXP_PREPROCESS_MAX_SIDE, OXP_EINVAL,
                "the model's input is %lld pixels high or wide: expected 1 to %d", (long long)dim,
                OXP_PREPROCESS_MAX_SIDE);
    *side = dim == OXP_DIM_UNKNOWN ? 0 : (int32_t)dim;
    return OXP_OK;
}

oxp_status oxp_preprocess_fit(oxp_ctx *ctx, const oxp_shape *input, oxp_dtype dtype,
                              oxp_image_layout layout, oxp_preprocess *spec)
{
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, input->rank >= 0 && input->rank != 4, OXP_EINVAL,
                "the model's input has shape %s, a picture makes 4 axes: feed it a .npy array",
                oxp_shape_text(input, text));
    OXP_TRY(fit_layout(ctx, input, layout, spec));
    const int c = spec->layout == OXP_IMAGE_NCHW ? 1 : 3,
              h = spec->layout == OXP_IMAGE_NCHW ? 2 : 1;
    spec->dtype = oxp_dtype_is_int(dtype) ? dtype : OXP_F32;
    if (input->rank == 4) {
        OXP_TRY(fit_channels(ctx, input->dim[c], spec));
        OXP_TRY(side_of(ctx, input->dim[h], &spec->model_height));
        OXP_TRY(side_of(ctx, input->dim[h + 1], &spec->model_width));
    }
    fit_sizes(spec);
    if (spec->crop) return check_output_size(ctx, spec, spec->crop_width, spec->crop_height);
    if (spec->resize == OXP_RESIZE_EXACT)
        return check_output_size(ctx, spec, spec->resize_width, spec->resize_height);
    return OXP_OK; /* depends on the picture: checked when applied */
}

/* ---- applying -------------------------------------------------------------------------------- */

static oxp_status check_pixels(oxp_ctx *ctx, int64_t width, int64_t height)
{
    OXP_FAIL_IF(ctx, (uint64_t)width * (uint64_t)height > OXP_IMAGE_MAX_PIXELS, OXP_ELIMIT,
                "preprocessing would make a picture of %lld x %lld pixels: more than %llu in all",
                (long long)width, (long long)height, (unsigned long long)OXP_IMAGE_MAX_PIXELS);
    return OXP_OK;
}

static oxp_status resize_picture(oxp_ctx *ctx, const oxp_preprocess *spec, const oxp_image *image,
                                 oxp_raster *out)
{
    oxp_raster whole = {image->rgb, image->width, image->height, 3};
    if (spec->channels == OXP_CHANNELS_GREY) {
        whole.channels = 1;
        OXP_TRY(oxp_image_to_grey(ctx, ctx->scratch, image, &whole.data));
    }
    int64_t w = image->width, h = image->height;
    if (spec->resize == OXP_RESIZE_EXACT) {
        w = spec->resize_width;
        h = spec->resize_height;
    } else if (spec->resize == OXP_RESIZE_SHORTEST) { /* the longer side is rounded down */
        const int64_t edge = spec->resize_height;
        const int64_t shorter = w < h ? w : h, longer = edge * (w < h ? h : w) / shorter;
        const bool tall = w < h;
        w = tall ? edge : longer;
        h = tall ? longer : edge;
    }
    OXP_TRY(check_pixels(ctx, w, h));
    return oxp_resize_u8(ctx, ctx->scratch, &whole, (int32_t)w, (int32_t)h, spec->filter, out);
}

/* Where the crop begins; negative where the picture is smaller and will be padded with zeros. */
static int32_t crop_offset(int32_t side, int32_t crop, bool half_even)
{
    const int32_t spare = side - crop;
    if (spare < 0) return half_even ? -(-spare / 2) : -((-spare + 1) / 2);
    const bool round_up = half_even && spare % 4 == 3; /* n + 1/2 with n odd goes to n + 1 */
    return spare / 2 + round_up;
}

/* What byte v of output channel c becomes, for all 256 bytes at once. */
static void fill_table(const oxp_preprocess *spec, int c, float table[256])
{
    for (int v = 0; v < 256; v++) {
        const double x = (v * spec->scale - spec->mean[c]) / spec->std[c];
        table[v] = (float)(spec->dtype == OXP_F32 ? x : rint(x));
    }
}

/* box (H,W,channels) at (left, top) of the raster -> out (C,H,W) or (H,W,C), zero bytes outside. */
static void normalise(const oxp_preprocess *spec, const oxp_raster *raster, int32_t left,
                      int32_t top, int32_t width, int32_t height, float *out)
{
    const int channels = raster->channels;
    const bool planar = spec->layout != OXP_IMAGE_NHWC;
    for (int c = 0; c < channels; c++) {
        float table[256];
        fill_table(spec, c, table);
        const int from = spec->channels == OXP_CHANNELS_BGR ? 2 - c : c;
        float *to = planar ? out + (size_t)c * (size_t)width * (size_t)height : out + c;
        const size_t step = planar ? 1 : (size_t)channels;
        for (int32_t y = top; y < top + height; y++)
            for (int32_t x = left; x < left + width; x++, to += step) {
                const bool inside = x >= 0 && x < raster->width && y >= 0 && y < raster->height;
                const size_t at =
                    ((size_t)y * (size_t)raster->width + (size_t)x) * (size_t)channels;
                *to = table[inside ? raster->data[at + (size_t)from] : 0];
            }
    }
}

static oxp_status make_tensor(oxp_ctx *ctx, oxp_arena *arena, const oxp_preprocess *spec,
                              const oxp_raster *raster, const oxp_geometry *g, int32_t left,
                              int32_t top, oxp_tensor *tensor)
{
    const int64_t c = raster->channels, h = g->input_height, w = g->input_width;
    const int64_t planar[] = {1, c, h, w}, interleaved[] = {1, h, w, c};
    const oxp_shape shape = oxp_shape_of(4, spec->layout == OXP_IMAGE_NHWC ? interleaved : planar);
    oxp_tensor floats;
    const bool converts = spec->dtype != OXP_F32;
    OXP_TRY(oxp_tensor_new(ctx, converts ? ctx->scratch : arena, OXP_F32, &shape, &floats));
    normalise(spec, raster, left, top, g->input_width, g->input_height,
              (float *)(uintptr_t)floats.data);
    if (!converts) {
        *tensor = floats;
        return OXP_OK;
    }
    OXP_TRY(oxp_tensor_new(ctx, arena, spec->dtype, &shape, tensor));
    oxp_convert((void *)(uintptr_t)tensor->data, spec->dtype, floats.data, OXP_F32, c * h * w);
    return OXP_OK;
}

oxp_status oxp_preprocess_apply(oxp_ctx *ctx, oxp_arena *arena, const oxp_preprocess *spec,
                                const oxp_image *image, oxp_tensor *tensor, oxp_geometry *geometry)
{
    oxp_raster raster;
    OXP_TRY(resize_picture(ctx, spec, image, &raster));
    int32_t left = 0, top = 0, width = raster.width, height = raster.height;
    if (spec->crop) {
        width = spec->crop_width;
        height = spec->crop_height;
        left = crop_offset(raster.width, width, spec->crop_rounds_half_even);
        top = crop_offset(raster.height, height, spec->crop_rounds_half_even);
    }
    OXP_TRY(check_output_size(ctx, spec, width, height));
    OXP_TRY(check_pixels(ctx, width, height));
    const double sx = (double)image->width / raster.width,
                 sy = (double)image->height / raster.height;
    *geometry = (oxp_geometry){.picture_width = image->width,
                               .picture_height = image->height,
                               .input_width = width,
                               .input_height = height,
                               .left = left * sx,
                               .top = top * sy,
                               .scale_x = sx,
                               .scale_y = sy};
    return make_tensor(ctx, arena, spec, &raster, geometry, left, top, tensor);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell_values(oxp_strbuf *sb, const char *what, const double *v, int n, double neutral)
{
    if (v[0] == neutral && (n == 1 || (v[1] == neutral && v[2] == neutral))) return;
    oxp_strbuf_printf(sb, ", %s %.4g", what, v[0]);
    for (int i = 1; i < n; i++) oxp_strbuf_printf(sb, ",%.4g", v[i]);
}

const char *oxp_preprocess_describe(oxp_arena *arena, const oxp_preprocess *spec,
                                    const oxp_image *image, const oxp_geometry *g)
{
    static const char *const orders[] = {"RGB", "BGR", "grey"};
    const int n = spec->channels == OXP_CHANNELS_GREY ? 1 : 3;
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, arena);
    oxp_strbuf_printf(&sb, "%d x %d %s%s%s", (int)image->width, (int)image->height, image->format,
                      image->orientation > 1 ? " (turned as EXIF says)" : "",
                      image->had_alpha ? " (alpha dropped)" : "");
    if (spec->resize != OXP_RESIZE_NONE)
        oxp_strbuf_printf(&sb, ", resized to %.0f x %.0f (%s)", image->width / g->scale_x,
                          image->height / g->scale_y, oxp_filter_name(spec->filter));
    if (spec->crop)
        oxp_strbuf_printf(&sb, ", centre %d x %d", (int)spec->crop_width, (int)spec->crop_height);
    oxp_strbuf_printf(&sb, ", %s", orders[spec->channels]);
    if (spec->scale < 1.0)
        oxp_strbuf_printf(&sb, " / %.5g", 1.0 / spec->scale);
    else if (spec->scale > 1.0)
        oxp_strbuf_printf(&sb, " * %.5g", spec->scale);
    tell_values(&sb, "minus mean", spec->mean, n, 0.0);
    tell_values(&sb, "over std", spec->std, n, 1.0);
    oxp_strbuf_printf(&sb, ", %s (%s%s)", spec->layout == OXP_IMAGE_NHWC ? "NHWC" : "NCHW",
                      spec->source, spec->assumed ? ", assumed" : "");
    return oxp_strbuf_str(&sb);
}
