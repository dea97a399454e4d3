/* resize.h - resampling: pictures as Pillow does it, arrays as cv2.resize and ONNX Resize do it.
 *
 * Two families that must not be mixed up. Pictures (8 bits) are resampled with a filter that
 * widens when the picture shrinks (antialiased); this is what training pipelines do before a
 * model sees the picture. Maps (float) are enlarged by interpolating between the two nearest
 * samples per axis, never widened; this is how heatmaps are brought to an input's resolution.
 * Both place sample i at i + 0.5 (half-pixel centres). */
#ifndef OXP_SIGNAL_RESIZE_H
#define OXP_SIGNAL_RESIZE_H

#include "base/ctx.h"

/* Numbers as in Pillow and in preprocessor_config.json's "resample". */
typedef enum oxp_filter {
    OXP_FILTER_NEAREST = 0,
    OXP_FILTER_LANCZOS = 1,
    OXP_FILTER_BILINEAR = 2,
    OXP_FILTER_BICUBIC = 3,
    OXP_FILTER_BOX = 4,
    OXP_FILTER_HAMMING = 5
} oxp_filter;
#define OXP_FILTER_COUNT 6

const char *oxp_filter_name(oxp_filter filter); /* "bilinear" */
bool oxp_filter_find(const char *name, oxp_filter *out);

/* A picture of `channels` interleaved bytes per pixel: (H,W,C). */
typedef struct oxp_raster {
    uint8_t *data;
    int32_t width, height, channels;
} oxp_raster;

/* dst->data is taken from `arena`; when the size does not change it is src's own. Sides are at
 * most 2^24, channels 1 to 4. Agrees with Pillow's Image.resize bit for bit. Errors: OXP_EINVAL,
 * OXP_ENOMEM. */
oxp_status oxp_resize_u8(oxp_ctx *ctx, oxp_arena *arena, const oxp_raster *src, int32_t width,
                         int32_t height, oxp_filter filter, oxp_raster *dst);

/* Row-major arrays of 1 to 3 axes, every dim >= 1; dst holds the product of dst_dims elements.
 * Outside the array the border repeats. Linear interpolates in double; nearest takes floor((i +
 * 0.5) * src / dst). */
void oxp_resize_linear(const float *src, int axes, const int64_t *src_dims, const int64_t *dst_dims,
                       float *dst);
void oxp_resize_linear_f64(const double *src, int axes, const int64_t *src_dims,
                           const int64_t *dst_dims, double *dst);
/* Linear with the corner samples of both arrays on each other (align_corners). */
void oxp_resize_corners_f64(const double *src, int axes, const int64_t *src_dims,
                            const int64_t *dst_dims, double *dst);
void oxp_resize_nearest(const float *src, int axes, const int64_t *src_dims,
                        const int64_t *dst_dims, float *dst);
void oxp_resize_nearest_f64(const double *src, int axes, const int64_t *src_dims,
                            const int64_t *dst_dims, double *dst);

#endif
