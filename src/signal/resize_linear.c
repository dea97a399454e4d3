/* resize_linear.c - linear and nearest resampling of arrays of 1 to 3 axes, without antialiasing;
 * see resize.h.
 *
 * Output i of an axis lies at p = (i + 0.5) src / dst - 0.5 in source samples, clamped to [0,
 * src - 1], between samples floor(p) and floor(p) + 1 with weight p - floor(p) on the second
 * (cv2.resize INTER_LINEAR; ONNX Resize with coordinate_transformation_mode half_pixel). Fewer
 * than 3 axes are padded with leading axes of length 1. */
#include "signal/resize.h"

typedef struct tap {
    int64_t lo, hi;
    double t; /* weight of hi */
} tap;

static tap tap_at(int64_t i, int64_t src, int64_t dst)
{
    const double p = ((double)i + 0.5) * (double)src / (double)dst - 0.5;
    if (p <= 0.0) return (tap){0, 0, 0.0};
    if (p >= (double)(src - 1)) return (tap){src - 1, src - 1, 0.0};
    const int64_t lo = (int64_t)p;
    return (tap){lo, lo + 1, p - (double)lo};
}

/* First and last samples of both arrays lie on each other: p = i (src - 1) / (dst - 1). */
static tap corner_tap_at(int64_t i, int64_t src, int64_t dst)
{
    const double p = dst > 1 ? (double)i * (double)(src - 1) / (double)(dst - 1) : 0.0;
    const int64_t lo = (int64_t)p < src - 1 ? (int64_t)p : src - 1;
    return (tap){lo, lo + 1 < src ? lo + 1 : lo, p - (double)lo};
}

static int64_t nearest_at(int64_t i, int64_t src, int64_t dst)
{
    const int64_t at = (int64_t)(((double)i + 0.5) * (double)src / (double)dst);
    return at < src ? at : src - 1;
}

static void pad_axes(int axes, const int64_t *dims, int64_t padded[3])
{
    for (int i = 0; i < 3; i++) padded[i] = i < 3 - axes ? 1 : dims[i - (3 - axes)];
}

static inline double mix(double a, double b, double t)
{
    return a + (b - a) * t;
}

/* One body for all: s (source dims) and d (destination dims) are (Z,Y,X). */
#define DEFINE_LINEAR(name, real, tap_at)                                                      \
    void name(const real *src, int axes, const int64_t *src_dims, const int64_t *dst_dims,     \
              real *dst)                                                                       \
    {                                                                                          \
        int64_t s[3], d[3];                                                                    \
        pad_axes(axes, src_dims, s);                                                           \
        pad_axes(axes, dst_dims, d);                                                           \
        for (int64_t iz = 0; iz < d[0]; iz++) {                                                \
            const tap z = tap_at(iz, s[0], d[0]);                                              \
            for (int64_t iy = 0; iy < d[1]; iy++) {                                            \
                const tap y = tap_at(iy, s[1], d[1]);                                          \
                const real *r00 = src + (z.lo * s[1] + y.lo) * s[2],                           \
                           *r01 = src + (z.lo * s[1] + y.hi) * s[2];                           \
                const real *r10 = src + (z.hi * s[1] + y.lo) * s[2],                           \
                           *r11 = src + (z.hi * s[1] + y.hi) * s[2];                           \
                for (int64_t ix = 0; ix < d[2]; ix++) {                                        \
                    const tap x = tap_at(ix, s[2], d[2]);                                      \
                    const double a = mix(mix((double)r00[x.lo], (double)r00[x.hi], x.t),       \
                                         mix((double)r01[x.lo], (double)r01[x.hi], x.t), y.t); \
                    const double b = mix(mix((double)r10[x.lo], (double)r10[x.hi], x.t),       \
                                         mix((double)r11[x.lo], (double)r11[x.hi], x.t), y.t); \
                    *dst++ = (real)mix(a, b, z.t);                                             \
                }                                                                              \
            }                                                                                  \
        }                                                                                      \
    }

#define DEFINE_NEAREST(suffix, real)                                                               \
    void oxp_resize_nearest##suffix(const real *src, int axes, const int64_t *src_dims,            \
                                    const int64_t *dst_dims, real *dst)                            \
    {                                                                                              \
        int64_t s[3], d[3];                                                                        \
        pad_axes(axes, src_dims, s);                                                               \
        pad_axes(axes, dst_dims, d);                                                               \
        for (int64_t iz = 0; iz < d[0]; iz++)                                                      \
            for (int64_t iy = 0; iy < d[1]; iy++) {                                                \
                const real *row =                                                                  \
                    src + (nearest_at(iz, s[0], d[0]) * s[1] + nearest_at(iy, s[1], d[1])) * s[2]; \
                for (int64_t ix = 0; ix < d[2]; ix++) *dst++ = row[nearest_at(ix, s[2], d[2])];    \
            }                                                                                      \
    }

/* clang-format off */
DEFINE_LINEAR(oxp_resize_linear, float, tap_at)
DEFINE_LINEAR(oxp_resize_linear_f64, double, tap_at)
DEFINE_LINEAR(oxp_resize_corners_f64, double, corner_tap_at)
DEFINE_NEAREST(, float)
DEFINE_NEAREST(_f64, double)
