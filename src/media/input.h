/* input.h - a file made ready for a model's input: a JPEG or PNG through preprocessing, or a
 * .npy as it is. */
#ifndef OXP_MEDIA_INPUT_H
#define OXP_MEDIA_INPUT_H

#include "media/preprocess.h"

typedef struct oxp_media_request {
    oxp_shape shape;         /* the model's input; rank -1: unknown */
    oxp_dtype dtype;         /* the model's input */
    oxp_image_layout layout; /* known axis roles, or OXP_IMAGE_LAYOUT_OPEN */
    const char *preprocess;  /* see oxp_preprocess_resolve; NULL: sidecar or guess */
    const char *sidecar_dir; /* the model's folder, or NULL */
} oxp_media_request;

typedef struct oxp_media_input {
    oxp_tensor tensor;       /* (1,C,H,W) or (1,H,W,C) of a picture, else the array's own shape */
    bool has_image;          /* then `image`, `spec` and `geometry` are set */
    oxp_image image;         /* upright, at its own resolution */
    oxp_preprocess spec;     /* fitted */
    oxp_geometry geometry;   /* where the model looked */
    bool assumed;            /* preprocessing was guessed */
    const char *description; /* one line: what was done to the file */
} oxp_media_input;

/* Everything returned lives in `arena`. float64 and float16 arrays become float32 (the
 * description says so) unless the model takes their own type. Messages about its bytes begin
 * with its name. Errors: OXP_EIO, OXP_ECORRUPT, OXP_EUNSUPPORTED, OXP_ELIMIT, OXP_EINVAL,
 * OXP_ENOMEM. */
oxp_status oxp_media_input_load(oxp_ctx *ctx, oxp_arena *arena, const char *path,
                                const oxp_media_request *request, oxp_media_input *out);

/* The same from bytes; `name` stands for the file in messages. */
oxp_status oxp_media_input_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *name,
                                 const oxp_media_request *request, oxp_media_input *out);

/* The same from uint8 pixels; see oxp_image_from_pixels. */
oxp_status oxp_media_input_pixels(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *pixels,
                                  const oxp_media_request *request, oxp_media_input *out);

/* A picture of one grey level everywhere, of the size of `like` and made ready as it was.
 * OXP_EINVAL: `like` is an array, not a picture. */
oxp_status oxp_media_input_fill(oxp_ctx *ctx, oxp_arena *arena, const oxp_media_input *like,
                                uint8_t level, oxp_media_input *out);

#endif
