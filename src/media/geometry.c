/* geometry.c - maps back to the original picture; see geometry.h. */
#include "media/geometry.h"

#include <stdbool.h>

typedef struct cell {
    int64_t lo, hi;
    double t; /* weight of hi */
    bool seen;
} cell;

/* Where the centre of picture pixel i falls in a map of n cells that covers `input` input
 * pixels. */
static cell cell_at(int32_t i, double start, double scale, int32_t input, int64_t n)
{
    const double u = (i + 0.5 - start) / scale; /* input coordinate */
    if (u < 0.0 || u > input) return (cell){0, 0, 0.0, false};
    const double p = u * (double)n / input - 0.5;
    if (p <= 0.0) return (cell){0, 0, 0.0, true};
    if (p >= (double)(n - 1)) return (cell){n - 1, n - 1, 0.0, true};
    const int64_t lo = (int64_t)p;
    return (cell){lo, lo + 1, p - (double)lo, true};
}

void oxp_geometry_restore(const oxp_geometry *g, const float *map, int64_t map_height,
                          int64_t map_width, float *out)
{
    for (int32_t j = 0; j < g->picture_height; j++) {
        const cell y = cell_at(j, g->top, g->scale_y, g->input_height, map_height);
        const float *upper = map + y.lo * map_width, *lower = map + y.hi * map_width;
        for (int32_t i = 0; i < g->picture_width; i++) {
            const cell x = cell_at(i, g->left, g->scale_x, g->input_width, map_width);
            const double a =
                (double)upper[x.lo] + x.t * ((double)upper[x.hi] - (double)upper[x.lo]);
            const double b =
                (double)lower[x.lo] + x.t * ((double)lower[x.hi] - (double)lower[x.lo]);
            *out++ = x.seen && y.seen ? (float)(a + y.t * (b - a)) : 0.0f;
        }
    }
}
