/* preprocess_config.c - preprocessing from the JSON files beside a model: Hugging Face's
 * preprocessor_config.json (image processors and the older feature extractors) and timm's
 * pretrained_cfg.
 *
 * Where a field is absent the processor's own default holds; those that differ between processor
 * classes are told apart by image_processor_type / feature_extractor_type. */
#include "media/preprocess.h"
#include "media/sidecar.h"

#include <string.h>

/* ---- small readers --------------------------------------------------------------------------- */

/* Values of 1 (for all channels) or 3 numbers. */
static oxp_status read_channels(const oxp_sidecar *json, const char *key, bool positive,
                                double out[3])
{
    const json_t *value = oxp_sidecar_get(json, key);
    if (!value) return OXP_OK;
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;
    OXP_FAIL_IF(json->ctx, n != 1 && n != 3, OXP_ECORRUPT,
                "%s: \"%s\": expected 1 or 3 numbers, found %zu", json->what, key, n);
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, n == 3 ? i : 0) : value;
        const double number = json_number_value(item);
        OXP_FAIL_IF(json->ctx, !json_is_number(item) || (positive && !(number > 0.0)), OXP_ECORRUPT,
                    "%s: \"%s\": expected %snumbers", json->what, key, positive ? "positive " : "");
        out[i] = number;
    }
    return OXP_OK;
}

typedef struct size_field {
    bool present, square; /* square: a single number, whose meaning depends on the processor */
    int32_t shortest;     /* {"shortest_edge": n} */
    int32_t width, height;
} size_field;

static oxp_status check_side(const oxp_sidecar *json, const json_t *value, const char *key,
                             int32_t *out)
{
    const json_int_t side = json_integer_value(value);
    OXP_FAIL_IF(json->ctx, !json_is_integer(value) || side < 1 || side > OXP_PREPROCESS_MAX_SIDE,
                OXP_ECORRUPT, "%s: \"%s\": expected whole numbers of pixels, 1 to %d", json->what,
                key, OXP_PREPROCESS_MAX_SIDE);
    *out = (int32_t)side;
    return OXP_OK;
}

/* n, [height, width], {"height", "width"} or {"shortest_edge"}. */
static oxp_status read_size(const oxp_sidecar *json, const char *key, size_field *out)
{
    const json_t *value = oxp_sidecar_get(json, key);
    *out = (size_field){0};
    if (!value) return OXP_OK;
    out->present = true;
    if (json_is_array(value) && json_array_size(value) == 2) {
        OXP_TRY(check_side(json, json_array_get(value, 0), key, &out->height));
        return check_side(json, json_array_get(value, 1), key, &out->width);
    }
    if (!json_is_object(value)) {
        out->square = true;
        OXP_TRY(check_side(json, value, key, &out->height));
        out->width = out->height;
        return OXP_OK;
    }
    OXP_FAIL_IF(json->ctx, json_object_get(value, "longest_edge"), OXP_EUNSUPPORTED,
                "%s: \"%s\": longest_edge is not supported: give size= and resize=exact",
                json->what, key);
    if (json_object_get(value, "shortest_edge"))
        return check_side(json, json_object_get(value, "shortest_edge"), key, &out->shortest);
    OXP_TRY(check_side(json, json_object_get(value, "height"), key, &out->height));
    return check_side(json, json_object_get(value, "width"), key, &out->width);
}

/* ---- Hugging Face ---------------------------------------------------------------------------- */

/* Processors that read a bare size as the shortest edge; the others make a square of it. */
static bool bare_size_is_edge(const char *type, bool crops)
{
    static const char *const names[] = {
        "CLIP",      "ChineseCLIP", "AltCLIP",     "OwlViT", "ConvNext", "Levit",   "PoolFormer",
        "MobileViT", "MobileNetV1", "MobileNetV2", "Bit",    "Vilt",     "VideoMAE"};
    if (!*type) return crops;
    for (size_t i = 0; i < OXP_COUNT(names); i++)
        if (strncmp(type, names[i], strlen(names[i])) == 0) return true;
    return false;
}

/* Steps that change pixels and are not built: better refused than left out. */
static oxp_status refuse_other_steps(const oxp_sidecar *json, const char *type)
{
    static const char *const steps[] = {
        "do_pad",         "do_thumbnail",      "do_align_long_axis",
        "do_crop_margin", "do_color_quantize", "do_image_splitting"};
    for (size_t i = 0; i < OXP_COUNT(steps); i++) {
        bool on = false;
        OXP_TRY(oxp_sidecar_bool(json, steps[i], &on));
        OXP_FAIL_IF(json->ctx, on, OXP_EUNSUPPORTED,
                    "%s: \"%s\" is not supported: give a preset or key=value pairs", json->what,
                    steps[i]);
    }
    OXP_FAIL_IF(
        json->ctx, oxp_sidecar_get(json, "size_divisor") || strncmp(type, "Perceiver", 9) == 0,
        OXP_EUNSUPPORTED, "%s: %s preprocessing is not supported: give a preset or key=value pairs",
        json->what, *type ? type : "size_divisor");
    return OXP_OK;
}

static void set_exact(oxp_preprocess *spec, int32_t width, int32_t height)
{
    spec->resize = OXP_RESIZE_EXACT;
    spec->resize_width = width;
    spec->resize_height = height;
}

static void set_edge(oxp_preprocess *spec, int32_t edge)
{
    set_exact(spec, edge, edge);
    spec->resize = OXP_RESIZE_SHORTEST;
}

static void set_crop(oxp_preprocess *spec, int32_t width, int32_t height)
{
    spec->crop = true;
    spec->crop_width = width;
    spec->crop_height = height;
}

/* ConvNeXt's rule: below 384 pixels enlarge by 1 / crop_pct and crop back, from there on
 * squeeze. */
static void set_convnext(oxp_preprocess *spec, int32_t side, double crop_pct)
{
    if (side >= 384) {
        set_exact(spec, side, side);
        return;
    }
    set_edge(spec, (int32_t)(side / crop_pct));
    set_crop(spec, side, side);
}

static oxp_status read_geometry(const oxp_sidecar *json, const char *type, oxp_preprocess *spec)
{
    size_field size, crop;
    OXP_TRY(read_size(json, "size", &size));
    OXP_TRY(read_size(json, "crop_size", &crop));
    bool resizes = size.present, crops = crop.present;
    int32_t resample = OXP_FILTER_BILINEAR;
    double crop_pct = 0.0;
    OXP_TRY(oxp_sidecar_bool(json, "do_resize", &resizes));
    OXP_TRY(oxp_sidecar_bool(json, "do_center_crop", &crops));
    OXP_TRY(oxp_sidecar_int(json, "resample", 0, OXP_FILTER_COUNT - 1, &resample));
    OXP_TRY(oxp_sidecar_double(json, "crop_pct", 0.05, 1.0, &crop_pct));
    spec->filter = (oxp_filter)resample;

    /* Fields that are on but give no size leave it to the model's input. */
    if (crops)
        set_crop(spec, crop.present ? crop.width : size.width,
                 crop.present ? crop.height : size.height);
    if (crop.shortest) set_crop(spec, crop.shortest, crop.shortest);
    if (!resizes) return OXP_OK;
    if (size.square && bare_size_is_edge(type, crops)) size.shortest = size.height;
    if (size.shortest && crop_pct > 0.0 && strncmp(type, "ConvNext", 8) == 0)
        set_convnext(spec, size.shortest, crop_pct);
    else if (size.shortest && crop_pct > 0.0)
        set_edge(spec, (int32_t)(size.shortest / crop_pct));
    else if (size.shortest && strncmp(type, "Levit", 5) == 0)
        set_edge(spec, size.shortest * 256 / 224); /* LeViT's fixed margin */
    else if (size.shortest)
        set_edge(spec, size.shortest);
    else
        set_exact(spec, size.width, size.height);
    return OXP_OK;
}

static oxp_status read_values(const oxp_sidecar *json, oxp_preprocess *spec)
{
    bool rescales = true, offsets = false, twice = false, flips = false;
    bool normalises = oxp_sidecar_get(json, "image_mean") != NULL;
    double factor = 1.0 / 255;
    OXP_TRY(oxp_sidecar_bool(json, "do_rescale", &rescales));
    OXP_TRY(oxp_sidecar_bool(json, "do_normalize", &normalises));
    OXP_TRY(oxp_sidecar_bool(json, "rescale_offset", &offsets));
    OXP_TRY(oxp_sidecar_bool(json, "include_top", &twice));
    OXP_TRY(oxp_sidecar_bool(json, "do_flip_channel_order", &flips));
    OXP_TRY(oxp_sidecar_double(json, "rescale_factor", 1e-9, 1e9, &factor));
    if (rescales) spec->scale = factor;
    if (flips) spec->channels = OXP_CHANNELS_BGR;
    if (normalises) {
        for (int c = 0; c < 3; c++) spec->mean[c] = spec->std[c] = 0.5;
        OXP_TRY(read_channels(json, "image_mean", false, spec->mean));
        OXP_TRY(read_channels(json, "image_std", true, spec->std));
    }
    /* EfficientNet: x * factor - 1 first, and over image_std once more at the end. */
    double again[3] = {1, 1, 1};
    if (twice) OXP_TRY(read_channels(json, "image_std", true, again));
    for (int c = 0; c < 3; c++) {
        if (rescales && offsets) spec->mean[c] += 1.0;
        spec->std[c] *= again[c];
    }
    return OXP_OK;
}

/* ---- timm ------------------------------------------------------------------------------------ */

static oxp_status read_timm(const oxp_sidecar *json, oxp_preprocess *spec)
{
    const char *interpolation = "", *mode = "";
    OXP_TRY(oxp_sidecar_text(json, "interpolation", &interpolation));
    OXP_TRY(oxp_sidecar_text(json, "crop_mode", &mode));
    spec->crop_pct = 0.875;
    OXP_TRY(oxp_sidecar_double(json, "crop_pct", 0.05, 1.0, &spec->crop_pct));
    OXP_FAIL_IF(json->ctx, *interpolation && !oxp_filter_find(interpolation, &spec->filter),
                OXP_EUNSUPPORTED, "%s: \"interpolation\": '%s' is not known", json->what,
                interpolation);
    OXP_FAIL_IF(json->ctx, *mode && strcmp(mode, "center") != 0 && strcmp(mode, "squash") != 0,
                OXP_EUNSUPPORTED,
                "%s: \"crop_mode\": '%s' is not supported: give size= and crop=", json->what, mode);

    int32_t side[2] = {0, 0}; /* height, width; 0: from the model */
    const json_t *input = oxp_sidecar_get(json, "input_size");
    if (json_is_array(input) && json_array_size(input) == 3)
        for (size_t i = 0; i < 2; i++)
            OXP_TRY(check_side(json, json_array_get(input, i + 1), "input_size", &side[i]));
    set_crop(spec, side[1], side[0]);
    spec->crop_rounds_half_even = true;
    spec->resize = strcmp(mode, "squash") == 0 ? OXP_RESIZE_EXACT : OXP_RESIZE_SHORTEST;
    spec->scale = 1.0 / 255;
    OXP_TRY(read_channels(json, "mean", false, spec->mean));
    return read_channels(json, "std", true, spec->std);
}

/* ---- public ---------------------------------------------------------------------------------- */

static bool speaks_of_pictures(const oxp_sidecar *json)
{
    static const char *const keys[] = {"do_resize", "size",         "do_center_crop",
                                       "crop_size", "do_normalize", "image_mean",
                                       "image_std", "do_rescale"};
    for (size_t i = 0; i < OXP_COUNT(keys); i++)
        if (oxp_sidecar_get(json, keys[i])) return true;
    return false;
}

oxp_status oxp_preprocess_parse_json(oxp_ctx *ctx, oxp_bytes bytes, const char *source, bool *found,
                                     oxp_preprocess *out)
{
    oxp_sidecar json;
    OXP_TRY(oxp_sidecar_parse(ctx, bytes, source, &json));
    oxp_preprocess spec = {.source = source,
                           .filter = OXP_FILTER_BILINEAR,
                           .scale = 1.0,
                           .std = {1, 1, 1},
                           .dtype = OXP_F32};
    const json_t *timm = oxp_sidecar_get(&json, "pretrained_cfg");
    *found = json_is_object(timm) || speaks_of_pictures(&json);
    if (!*found) return OXP_OK;
    if (json_is_object(timm)) {
        json.object = timm;
        OXP_TRY(read_timm(&json, &spec));
    } else {
        const char *type = "";
        OXP_TRY(oxp_sidecar_text(&json, "feature_extractor_type", &type));
        OXP_TRY(oxp_sidecar_text(&json, "image_processor_type", &type));
        OXP_TRY(refuse_other_steps(&json, type));
        OXP_TRY(read_geometry(&json, type, &spec));
        OXP_TRY(read_values(&json, &spec));
    }
    *out = spec;
    return OXP_OK;
}
