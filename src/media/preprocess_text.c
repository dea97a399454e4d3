/* preprocess_text.c - preprocessing as a user says it: "key=value;..." pairs, and the order in
 * which the user's word, the sidecar files and a guess from the model's input are heard. */
#include "base/parse.h"
#include "base/strmap.h"
#include "media/preprocess.h"

#include <string.h>

#define MAX_JSON_BYTES ((size_t)8 << 20) /* config.json of a large classifier holds its labels */

/* ---- values ---------------------------------------------------------------------------------- */

static oxp_status parse_number(oxp_ctx *ctx, const char *key, const char *text, double *out)
{
    OXP_FAIL_IF(ctx, !oxp_parse_double(text, out), OXP_EINVAL,
                "preprocess: %s=%s: expected a number", key, text);
    return OXP_OK;
}

/* "a" or "a,b,c". */
static oxp_status parse_channels(oxp_ctx *ctx, const char *key, char *text, double out[3])
{
    int n = 0;
    for (char *item = text, *comma; item; item = comma) {
        comma = strchr(item, ',');
        if (comma) *comma++ = '\0';
        OXP_FAIL_IF(ctx, n == 3, OXP_EINVAL, "preprocess: %s: expected 1 or 3 numbers", key);
        OXP_TRY(parse_number(ctx, key, item, &out[n++]));
    }
    OXP_FAIL_IF(ctx, n == 2, OXP_EINVAL, "preprocess: %s: expected 1 or 3 numbers", key);
    if (n == 1) out[1] = out[2] = out[0];
    return OXP_OK;
}

/* "N" or "HxW" (height first, as shapes are written). */
static oxp_status parse_size(oxp_ctx *ctx, const char *key, char *text, int32_t *height,
                             int32_t *width)
{
    int64_t h = 0, w = 0;
    char *times = strchr(text, 'x');
    if (times) *times++ = '\0';
    const bool ok = oxp_parse_i64(text, &h) && oxp_parse_i64(times ? times : text, &w) && h >= 1 &&
                    w >= 1 && h <= OXP_PREPROCESS_MAX_SIDE && w <= OXP_PREPROCESS_MAX_SIDE;
    OXP_FAIL_IF(ctx, !ok, OXP_EINVAL, "preprocess: %s: expected N or HxW pixels, 1 to %d", key,
                OXP_PREPROCESS_MAX_SIDE);
    *height = (int32_t)h;
    *width = (int32_t)w;
    return OXP_OK;
}

/* One of `n` words, case as written. */
static oxp_status parse_word(oxp_ctx *ctx, const char *key, const char *text,
                             const char *const *words, int n, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(words[*out], text) == 0) return OXP_OK;
    OXP_FAIL(ctx, OXP_EINVAL, "preprocess: %s=%s is not known: expected %s, %s ...", key, text,
             words[0], words[1]);
}

/* ---- keys ------------------------------------------------------------------------------------ */

typedef oxp_status setter(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec);

static oxp_status set_size(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    const bool both = strchr(value, 'x') != NULL;
    OXP_TRY(parse_size(ctx, key, value, &spec->resize_height, &spec->resize_width));
    if (both || spec->resize == OXP_RESIZE_NONE) spec->resize = OXP_RESIZE_EXACT;
    return OXP_OK;
}

static oxp_status set_crop(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    spec->crop = strcmp(value, "none") != 0;
    return spec->crop ? parse_size(ctx, key, value, &spec->crop_height, &spec->crop_width) : OXP_OK;
}

static oxp_status set_crop_pct(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    double pct;
    OXP_TRY(parse_number(ctx, key, value, &pct));
    OXP_FAIL_IF(ctx, !(pct >= 0.05 && pct <= 1.0), OXP_EINVAL,
                "preprocess: crop_pct=%g: expected 0.05 to 1", pct);
    spec->crop = true;
    spec->crop_pct = pct;
    spec->resize_width = spec->resize_height = 0;
    return OXP_OK;
}

static oxp_status set_resize(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    static const char *const modes[] = {"none", "shortest", "exact"};
    int mode;
    OXP_TRY(parse_word(ctx, key, value, modes, 3, &mode));
    if (spec->resize != (oxp_resize_mode)mode) spec->resize_width = spec->resize_height = 0;
    spec->resize = (oxp_resize_mode)mode;
    if (spec->resize == OXP_RESIZE_EXACT) spec->crop = false;
    return OXP_OK;
}

static oxp_status set_resample(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    OXP_FAIL_IF(
        ctx, !oxp_filter_find(value, &spec->filter), OXP_EINVAL,
        "preprocess: %s=%s is not known: expected nearest, bilinear, bicubic, lanczos, box or "
        "hamming",
        key, value);
    return OXP_OK;
}

static oxp_status set_mean(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    return parse_channels(ctx, key, value, spec->mean);
}

static oxp_status set_std(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    OXP_TRY(parse_channels(ctx, key, value, spec->std));
    for (int c = 0; c < 3; c++)
        OXP_FAIL_IF(ctx, !(spec->std[c] > 0.0), OXP_EINVAL,
                    "preprocess: std: expected positive numbers");
    return OXP_OK;
}

static oxp_status set_rescale(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    double below = 1.0;
    char *slash = strchr(value, '/');
    if (slash) {
        *slash++ = '\0';
        OXP_TRY(parse_number(ctx, key, slash, &below));
    }
    OXP_TRY(parse_number(ctx, key, value, &spec->scale));
    spec->scale /= below;
    OXP_FAIL_IF(ctx, !(spec->scale > 0.0 && spec->scale <= 1e9), OXP_EINVAL,
                "preprocess: rescale: expected a positive number, like 1/255");
    return OXP_OK;
}

static oxp_status set_channels(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    static const char *const orders[] = {"rgb", "bgr", "grey", "gray"};
    int order;
    OXP_TRY(parse_word(ctx, key, value, orders, 4, &order));
    spec->channels = order == 3 ? OXP_CHANNELS_GREY : (oxp_channel_order)order;
    return OXP_OK;
}

static oxp_status set_layout(oxp_ctx *ctx, const char *key, char *value, oxp_preprocess *spec)
{
    static const char *const layouts[] = {"NCHW", "NHWC"};
    int layout;
    OXP_TRY(parse_word(ctx, key, value, layouts, 2, &layout));
    spec->layout = layout ? OXP_IMAGE_NHWC : OXP_IMAGE_NCHW;
    return OXP_OK;
}

static const struct {
    const char *key;
    setter *set;
} keys[] = {
    {"size", set_size},     {"crop", set_crop},         {"crop_pct", set_crop_pct},
    {"resize", set_resize}, {"resample", set_resample}, {"mean", set_mean},
    {"std", set_std},       {"rescale", set_rescale},   {"channels", set_channels},
    {"layout", set_layout},
};

static oxp_status set_pair(oxp_ctx *ctx, char *pair, oxp_preprocess *spec)
{
    const char *names[OXP_COUNT(keys)];
    char *value = strchr(pair, '=');
    OXP_FAIL_IF(ctx, !value, OXP_EINVAL, "preprocess: '%s': expected key=value", pair);
    *value++ = '\0';
    for (size_t i = 0; i < OXP_COUNT(keys); i++) {
        if (strcmp(keys[i].key, pair) == 0) return keys[i].set(ctx, pair, value, spec);
        names[i] = keys[i].key;
    }
    const int near = oxp_nearest_name(pair, names, OXP_COUNT(keys));
    OXP_FAIL(ctx, OXP_EINVAL,
             "preprocess: unknown key '%s'%s%s%s: expected size, crop, crop_pct, resize, resample, "
             "mean, "
             "std, rescale, channels or layout",
             pair, near < 0 ? "" : " (did you mean '", near < 0 ? "" : names[near],
             near < 0 ? "" : "'?)");
}

oxp_status oxp_preprocess_override(oxp_ctx *ctx, const char *text, oxp_preprocess *spec)
{
    /* The resize mode first: what "size" and "crop" mean depends on it. */
    for (int round = 0; round < 2; round++) {
        char *copy = oxp_arena_strdup(ctx->scratch, text);
        OXP_NOMEM_IF(ctx, copy);
        for (char *pair = copy, *end; pair; pair = end) {
            end = strchr(pair, ';');
            if (end) *end++ = '\0';
            const bool first = strncmp(pair, "resize=", 7) == 0;
            if (*pair && first == (round == 0)) OXP_TRY(set_pair(ctx, pair, spec));
        }
    }
    return OXP_OK;
}

/* ---- who is heard ---------------------------------------------------------------------------- */

static oxp_status read_json(oxp_ctx *ctx, oxp_arena *arena, const char *path, bool *found,
                            oxp_preprocess *out)
{
    oxp_bytes json;
    const char *slash = strrchr(path, '/');
    const char *name = oxp_arena_strdup(arena, slash ? slash + 1 : path);
    OXP_NOMEM_IF(ctx, name);
    OXP_TRY(oxp_file_read(ctx, ctx->scratch, path, MAX_JSON_BYTES, &json));
    return oxp_preprocess_parse_json(ctx, json, name, found, out);
}

/* The model folder's files, the more specific first. */
static oxp_status read_sidecar(oxp_ctx *ctx, oxp_arena *arena, const char *dir, bool *found,
                               oxp_preprocess *out)
{
    static const char *const names[] = {"preprocessor_config.json", "config.json"};
    *found = false;
    for (size_t i = 0; dir && i < OXP_COUNT(names) && !*found; i++) {
        const char *path = oxp_path_join(ctx->scratch, dir, names[i]);
        OXP_NOMEM_IF(ctx, path);
        if (oxp_file_exists(path)) OXP_TRY(read_json(ctx, arena, path, found, out));
    }
    return OXP_OK;
}

/* Nobody said anything: grey pictures as 0..1, bytes as bytes, everything else as ImageNet
 * models have it. */
static oxp_status guess(oxp_ctx *ctx, const oxp_shape *input, oxp_dtype dtype, oxp_preprocess *out)
{
    const bool grey =
        input->rank == 4 && input->dim[1] != 3 && (input->dim[1] == 1 || input->dim[3] == 1);
    OXP_TRY(oxp_preprocess_preset(ctx,
                                  oxp_dtype_is_int(dtype) ? "none"
                                  : grey                  ? "unit"
                                                          : "imagenet",
                                  out));
    out->assumed = true;
    return OXP_OK;
}

static bool ends_with(const char *text, const char *tail)
{
    const size_t n = strlen(text), k = strlen(tail);
    return n >= k && strcmp(text + n - k, tail) == 0;
}

oxp_status oxp_preprocess_resolve(oxp_ctx *ctx, oxp_arena *arena, const char *text, const char *dir,
                                  const oxp_shape *input, oxp_dtype dtype, oxp_image_layout layout,
                                  oxp_preprocess *out)
{
    bool found = false;
    if (!text) text = "";
    const size_t word = strcspn(text, ";=");
    if (ends_with(text, ".json")) {
        OXP_TRY(read_json(ctx, arena, text, &found, out));
        OXP_FAIL_IF(ctx, !found, OXP_EINVAL, "%s says nothing about preprocessing", text);
        text = "";
    } else if (word > 0 && text[word] != '=') {
        const char *name = oxp_arena_strndup(ctx->scratch, text, word);
        OXP_NOMEM_IF(ctx, name);
        OXP_TRY(oxp_preprocess_preset(ctx, name, out));
        text += word;
    } else {
        OXP_TRY(read_sidecar(ctx, arena, dir, &found, out));
        if (!found) OXP_TRY(guess(ctx, input, dtype, out));
    }
    OXP_TRY(oxp_preprocess_override(ctx, text, out));
    if (strstr(text, "mean=") || strstr(text, "rescale=")) out->assumed = false;
    if (*text &&
        !(out->source = oxp_arena_printf(arena, "%s with %s", out->source, text + (*text == ';'))))
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    return oxp_preprocess_fit(ctx, input, dtype, layout, out);
}
