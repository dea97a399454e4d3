/* preprocess.h - how a picture becomes a model's input: a specification, its sources, its use.
 *
 *   resize (none | shortest edge | exact) -> centre crop -> channels (RGB | BGR | grey)
 *          -> (value * scale - mean[c]) / std[c] -> (1,C,H,W) or (1,H,W,C)
 *
 * A specification comes from a preset, a Hugging Face preprocessor_config.json, a timm config.json
 * or "key=value;..." text, and is then fitted to the model's input: sizes that the source left open
 * follow the model, sizes that contradict it are an error. Wrong preprocessing is the commonest
 * silent wrong map; so what was guessed says `assumed`, and all that was done is told in one
 * line. */
#ifndef OXP_MEDIA_PREPROCESS_H
#define OXP_MEDIA_PREPROCESS_H

#include "media/geometry.h"
#include "media/image.h"
#include "signal/resize.h"
#include "tensor/tensor.h"

#define OXP_PREPROCESS_MAX_SIDE 65535 /* of a resize, a crop, or a model's input */

typedef enum oxp_resize_mode {
    OXP_RESIZE_NONE,
    OXP_RESIZE_SHORTEST, /* the shorter side becomes resize_height, the aspect ratio stays */
    OXP_RESIZE_EXACT     /* to resize_width x resize_height, whatever the aspect ratio */
} oxp_resize_mode;

typedef enum oxp_channel_order {
    OXP_CHANNELS_RGB,
    OXP_CHANNELS_BGR,
    OXP_CHANNELS_GREY
} oxp_channel_order;

typedef enum oxp_image_layout {
    OXP_IMAGE_LAYOUT_OPEN, /* found from the model's input when fitted */
    OXP_IMAGE_NCHW,
    OXP_IMAGE_NHWC
} oxp_image_layout;

typedef struct oxp_preprocess {
    const char *source; /* "preset imagenet", a file's name: for the description */
    bool assumed;       /* nobody said so: it is a guess */

    oxp_resize_mode resize;
    int32_t resize_width, resize_height; /* 0: from the crop and crop_pct, or from the model */
    oxp_filter filter;
    bool crop;
    int32_t crop_width, crop_height; /* 0: from the model */
    double crop_pct;                 /* crop side / resized side, where resize_* is 0 */
    bool crop_rounds_half_even;      /* torchvision's rounding of the offset; else down */

    oxp_channel_order channels;
    double scale;
    double mean[3], std[3]; /* in the order of the output's channels */

    oxp_image_layout layout;
    oxp_dtype dtype;                   /* of the tensor made: OXP_F32 or an integer type */
    int32_t model_width, model_height; /* 0: the model takes any */
} oxp_preprocess;

/* Presets: imagenet (shortest edge 256, crop 224, x/255, ImageNet mean and std), caffe (same
 * geometry, BGR minus 104,117,123), tf (x/127.5 - 1), unit (x/255), none (0..255); the last
 * three resize to the model's size exactly. All bilinear. OXP_EINVAL for another name. */
oxp_status oxp_preprocess_preset(oxp_ctx *ctx, const char *name, oxp_preprocess *out);
const char *oxp_preprocess_presets(void); /* "imagenet, caffe, tf, unit, none" */

/* preprocessor_config.json (any image processor's; unknown fields are ignored, fields that would
 * change pixels in a way not built here are OXP_EUNSUPPORTED), or a config.json with timm's
 * pretrained_cfg. *found is false, and *out untouched, when the file says nothing about
 * preprocessing. `source` (kept) names it in messages and in the description. */
oxp_status oxp_preprocess_parse_json(oxp_ctx *ctx, oxp_bytes bytes, const char *source, bool *found,
                                     oxp_preprocess *out);

/* Changes `spec` by "key=value;...": size, crop (N, HxW or none), crop_pct, resize (none,
 * shortest, exact), resample, mean, std, rescale (a number or 1/255), channels (rgb, bgr, grey),
 * layout (NCHW, NHWC). A new resize mode forgets the sizes of the old one; otherwise the order
 * of the pairs does not matter. */
oxp_status oxp_preprocess_override(oxp_ctx *ctx, const char *text, oxp_preprocess *spec);

/* What the user and the model's folder say together, fitted. text: NULL, a preset, the path of a
 * .json file, or "preset;key=value;..." (without a preset the pairs change what would have been
 * used). dir: the folder for sidecars, or NULL. With neither: a guess from the model's input,
 * marked `assumed`. */
oxp_status oxp_preprocess_resolve(oxp_ctx *ctx, oxp_arena *arena, const char *text, const char *dir,
                                  const oxp_shape *input, oxp_dtype dtype, oxp_image_layout layout,
                                  oxp_preprocess *out);

/* Fits sizes, layout, channels and dtype to a model input of rank 4 (unknown dims allowed; rank
 * -1: nothing known). `layout`: known axis roles, or OXP_IMAGE_LAYOUT_OPEN: found by where 1 or
 * 3 channels are. OXP_EINVAL on contradictions. */
oxp_status oxp_preprocess_fit(oxp_ctx *ctx, const oxp_shape *input, oxp_dtype dtype,
                              oxp_image_layout layout, oxp_preprocess *spec);

/* Of a fitted specification. The tensor is (1,C,H,W) or (1,H,W,C), in `arena`. */
oxp_status oxp_preprocess_apply(oxp_ctx *ctx, oxp_arena *arena, const oxp_preprocess *spec,
                                const oxp_image *image, oxp_tensor *tensor, oxp_geometry *geometry);

/* One line: what was done to this picture; NULL when out of memory. */
const char *oxp_preprocess_describe(oxp_arena *arena, const oxp_preprocess *spec,
                                    const oxp_image *image, const oxp_geometry *geometry);

#endif
