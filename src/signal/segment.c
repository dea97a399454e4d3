/* segment.c - see segment.h. Edges are sorted by the bits of their differences, 16 at a time, so that
 * equal ones keep their order: to the right, down, down-right, up-right, each row by row. */
#include "signal/segment.h"

#include "signal/blur.h"
#include <math.h>
#include <string.h>

enum { DIGIT_BITS = 16, DIGITS = 1 << DIGIT_BITS };

typedef struct edge {
    double cost;
    int32_t from, to;
} edge;

typedef struct regions { /* union-find over pixels; a root is its region's first pixel */
    int32_t *parent;
    int64_t *size;
    double *inner; /* the largest difference inside */
} regions;

static int32_t root_of(regions *r, int32_t p)
{
    while (r->parent[p] != p) {
        r->parent[p] = r->parent[r->parent[p]];
        p = r->parent[p];
    }
    return p;
}

static void join(regions *r, int32_t a, int32_t b, double cost)
{
    const int32_t root = a < b ? a : b, other = a < b ? b : a;
    r->parent[other] = root;
    r->size[root] += r->size[other];
    r->inner[root] = cost;
}

static double difference(const double *image, int64_t channels, int64_t plane, int64_t p, int64_t q)
{
    double sum = 0.0;
    for (int64_t c = 0; c < channels; c++) {
        const double d = image[c * plane + p] - image[c * plane + q];
        sum += d * d;
    }
    return sqrt(sum);
}

static size_t make_edges(const double *image, int64_t channels, int64_t height, int64_t width,
                         edge *edges)
{
    static const int step[4][2] = {{0, 1}, {1, 0}, {1, 1}, {-1, 1}}; /* rows, columns */
    size_t n = 0;
    for (int k = 0; k < 4; k++)
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++) {
                const int64_t to_y = y + step[k][0], to_x = x + step[k][1];
                if (to_y < 0 || to_y >= height || to_x >= width) continue;
                const int64_t p = y * width + x, q = to_y * width + to_x;
                edges[n++] = (edge){difference(image, channels, height * width, p, q), (int32_t)p,
                                    (int32_t)q};
            }
    return n;
}

static uint64_t digit_of(double cost, int shift)
{
    uint64_t bits; /* of numbers that are not negative: they sort as the numbers do */
    memcpy(&bits, &cost, sizeof bits);
    return bits >> shift & (DIGITS - 1);
}

/* Stable radix sort; an even number of rounds leaves the result in `edges`. */
static void sort_edges(edge *edges, edge *other, size_t n, size_t *start)
{
    for (int shift = 0; shift < 64; shift += DIGIT_BITS) {
        memset(start, 0, (DIGITS + 1) * sizeof *start);
        for (size_t i = 0; i < n; i++) start[digit_of(edges[i].cost, shift) + 1]++;
        for (size_t d = 0; d < DIGITS; d++) start[d + 1] += start[d];
        for (size_t i = 0; i < n; i++) other[start[digit_of(edges[i].cost, shift)]++] = edges[i];
        edge *swap = edges;
        edges = other;
        other = swap;
    }
}

static void grow(regions *r, const edge *edges, size_t n, double scale, int64_t min_size)
{
    for (size_t i = 0; i < n; i++) {
        const int32_t a = root_of(r, edges[i].from), b = root_of(r, edges[i].to);
        if (a == b) continue;
        const double in_a = r->inner[a] + scale / (double)r->size[a],
                     in_b = r->inner[b] + scale / (double)r->size[b];
        if (edges[i].cost < (in_a < in_b ? in_a : in_b)) join(r, a, b, edges[i].cost);
    }
    for (size_t i = 0; i < n; i++) {
        const int32_t a = root_of(r, edges[i].from), b = root_of(r, edges[i].to);
        if (a != b && (r->size[a] < min_size || r->size[b] < min_size))
            join(r, a, b, edges[i].cost);
    }
}

oxp_status oxp_segment_felzenszwalb(oxp_ctx *ctx, const double *image, int64_t channels,
                                    int64_t height, int64_t width, double scale, double sigma,
                                    int64_t min_size, int32_t *labels, int32_t *n)
{
    OXP_FAIL_IF(ctx,
                channels < 1 || channels > 4096 || height < 1 || width < 1 || height > 1 << 14 ||
                    width > 1 << 14 || !(scale >= 0.0),
                OXP_EINVAL,
                "segmentation: a picture of %lld x %lld pixels, %lld channels, scale %g",
                (long long)height, (long long)width, (long long)channels, scale);
    oxp_arena *tmp = ctx->scratch;
    const size_t pixels = (size_t)(height * width);
    double *smooth = oxp_arena_alloc(tmp, pixels * (size_t)channels, sizeof *smooth);
    edge *edges = oxp_arena_alloc(tmp, 4 * pixels, sizeof *edges);
    edge *other = oxp_arena_alloc(tmp, 4 * pixels, sizeof *other);
    size_t *start = oxp_arena_alloc(tmp, DIGITS + 1, sizeof *start);
    regions r = {oxp_arena_alloc(tmp, pixels, sizeof(int32_t)),
                 oxp_arena_alloc(tmp, pixels, sizeof(int64_t)),
                 oxp_arena_zalloc(tmp, pixels, sizeof(double))};
    OXP_FAIL_IF(ctx, !smooth || !edges || !other || !start || !r.parent || !r.size || !r.inner,
                OXP_ENOMEM, "out of memory");
    OXP_TRY(oxp_blur_gaussian_f64(ctx, image, 3, (const int64_t[]){channels, height, width},
                                  (const double[]){0.0, sigma, sigma}, 4.0, OXP_BORDER_REFLECT,
                                  smooth));
    const size_t n_edges = make_edges(smooth, channels, height, width, edges);
    sort_edges(edges, other, n_edges, start);
    for (size_t p = 0; p < pixels; p++) {
        r.parent[p] = (int32_t)p;
        r.size[p] = 1;
    }
    grow(&r, edges, n_edges, scale / 255.0, min_size);
    *n = 0;
    for (size_t p = 0; p < pixels; p++) { /* a root comes before the rest of its region */
        const int32_t root = root_of(&r, (int32_t)p);
        labels[p] = root == (int32_t)p ? (*n)++ : labels[root];
    }
    return OXP_OK;
}
