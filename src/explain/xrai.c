/* xrai.c - XRAI: integrated gradients summed over regions of the picture, best regions first
 * (Kapishnikov et al. 2019).
 *
 *   a = max over channels of the mean of integrated gradients from the smallest and from the largest
 *       value of x (black and white)
 *   regions: Felzenszwalb at six scales on x scaled to [-1, 1] and resized to 224 x 224, each grown
 *       by a disk
 *   again and again the region whose pixels not yet covered have the largest mean of a is added, and
 *       they get that mean; what is never covered gets its own: the sum of a is kept
 *
 * Every channel of the raw array holds the same map. */
#include "explain/path.h"

#include "signal/resize.h"
#include "signal/segment.h"
#include <math.h>
#include <string.h>

static const double scales[] = {50, 100, 150, 250, 500, 1200};

typedef struct picture { /* one feed's row as planes */
    int64_t channels, height, width, pixels;
    int64_t side;     /* of the square that is segmented */
    int channel_axis; /* within the row: 0 (C,H,W) or 2 (H,W,C) */
} picture;

typedef struct mask {
    int32_t *pixel; /* those not yet covered */
    size_t n;
} mask;

static int64_t index_of(const picture *p, int64_t c, int64_t pixel)
{
    return p->channel_axis == 0 ? c * p->pixels + pixel : pixel * p->channels + c;
}

/* ---- regions ---- */

/* x scaled to [-1, 1], planes, resized to the square. */
static oxp_status normalised(oxp_ctx *ctx, const picture *p, const double *x, double *to)
{
    const int64_t small[2] = {p->height, p->width}, large[2] = {p->side, p->side};
    double *plane = OXP_NEW(ctx->scratch, double, p->pixels), lo = x[0], hi = x[0];
    OXP_NOMEM_IF(ctx, plane);
    for (int64_t i = 0; i < p->channels * p->pixels; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    for (int64_t c = 0; c < p->channels; c++) {
        for (int64_t i = 0; i < p->pixels; i++)
            plane[i] = hi > lo ? 2.0 * (x[index_of(p, c, i)] - lo) / (hi - lo) - 1.0 : 0.0;
        oxp_resize_linear_f64(plane, 2, small, large, to + c * p->side * p->side);
    }
    return OXP_OK;
}

/* The label of every pixel of the picture, from the segments of the square. */
static void back_to_size(const picture *p, const int32_t *from, int32_t *to)
{
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++)
            to[y * p->width + x] = from[(2 * y + 1) * p->side / (2 * p->height) * p->side +
                                        (2 * x + 1) * p->side / (2 * p->width)];
}

/* Visits every pixel within `radius` of label `which`; stamp keeps each from being visited twice.
 * Returns how many; `list` may be NULL. */
static size_t dilate(const picture *p, const int32_t *label, int32_t which, int64_t radius,
                     int32_t stamp, int32_t *stamps, int32_t *list)
{
    size_t n = 0;
    for (int64_t i = 0; i < p->pixels; i++) {
        if (label[i] != which) continue;
        const int64_t y = i / p->width, x = i % p->width;
        const bool inside = y > 0 && x > 0 && y + 1 < p->height && x + 1 < p->width &&
                            label[i - 1] == which && label[i + 1] == which &&
                            label[i - p->width] == which && label[i + p->width] == which;
        const int64_t reach = inside ? 0 : radius; /* only the rim grows */
        for (int64_t dy = -reach; dy <= reach; dy++)
            for (int64_t dx = -reach; dx <= reach; dx++) {
                const int64_t at_y = y + dy, at_x = x + dx, at = at_y * p->width + at_x;
                if (dy * dy + dx * dx > reach * reach || at_y < 0 || at_x < 0 ||
                    at_y >= p->height || at_x >= p->width || stamps[at] == stamp)
                    continue;
                stamps[at] = stamp;
                if (list) list[n] = (int32_t)at;
                n++;
            }
    }
    return n;
}

typedef struct masks {
    mask *list;
    size_t n, cap;
} masks;

static oxp_status add_masks(oxp_drive *d, const picture *p, const int32_t *label, int32_t n,
                            int32_t *stamps, masks *m)
{
    const int64_t radius = oxp_param_int(d->params, "dilation");
    oxp_arena *tmp = d->ctx->scratch;
    for (int32_t k = 0; k < n; k++) {
        OXP_FAIL_IF(d->ctx, !oxp_arena_grow(tmp, &m->list, m->n, &m->cap, sizeof(mask)), OXP_ENOMEM,
                    "out of memory");
        mask *to = &m->list[m->n];
        const int32_t stamp = 2 * (int32_t)m->n++;
        to->n = dilate(p, label, k, radius, stamp + 1, stamps, NULL);
        to->pixel = oxp_arena_alloc(tmp, to->n + 1, sizeof(int32_t));
        OXP_NOMEM_IF(d->ctx, to->pixel);
        dilate(p, label, k, radius, stamp + 2, stamps, to->pixel);
    }
    return OXP_OK;
}

static oxp_status find_masks(oxp_drive *d, const picture *p, const double *x, masks *m)
{
    oxp_arena *tmp = d->ctx->scratch;
    double *image = OXP_NEW(tmp, double, p->channels * p->side * p->side);
    int32_t *segments = OXP_NEW(tmp, int32_t, p->side * p->side),
            *label = OXP_NEW(tmp, int32_t, p->pixels), *stamps = OXP_NEW(tmp, int32_t, p->pixels),
            n;
    OXP_FAIL_IF(d->ctx, !image || !segments || !label || !stamps, OXP_ENOMEM, "out of memory");
    OXP_TRY(normalised(d->ctx, p, x, image));
    for (size_t s = 0; s < OXP_COUNT(scales); s++) {
        OXP_TRY(oxp_segment_felzenszwalb(d->ctx, image, p->channels, p->side, p->side, scales[s],
                                         0.8, oxp_param_int(d->params, "min-size"), segments, &n));
        back_to_size(p, segments, label);
        OXP_TRY(add_masks(d, p, label, n, stamps, m));
    }
    return OXP_OK;
}

/* ---- best first ---- */

/* Drops the pixels covered since; the mean of the others. */
static double density(mask *m, const bool *covered, const double *a)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (covered[m->pixel[i]]) continue;
        sum += a[m->pixel[i]];
        m->pixel[n++] = m->pixel[i];
    }
    m->n = n;
    return n ? sum / (double)n : -(double)INFINITY;
}

/* map: [pixels], from a. */
static oxp_status add_regions(oxp_drive *d, const picture *p, masks *m, const double *a,
                              double *map)
{
    const size_t least = (size_t)oxp_param_int(d->params, "min-diff");
    bool *covered = OXP_NEW(d->ctx->scratch, bool, p->pixels);
    OXP_NOMEM_IF(d->ctx, covered);
    for (;;) {
        double most = -(double)INFINITY;
        mask *best = NULL;
        for (size_t k = 0; k < m->n; k++) {
            const double gain = m->list[k].n ? density(&m->list[k], covered, a) : 0.0;
            if (m->list[k].n < least) m->list[k].n = 0;
            if (m->list[k].n == 0 || !(gain > most)) continue;
            most = gain;
            best = &m->list[k];
        }
        if (!best) break;
        for (size_t i = 0; i < best->n; i++) {
            covered[best->pixel[i]] = true;
            map[best->pixel[i]] = most;
        }
        best->n = 0;
    }
    double sum = 0.0, n = 0.0;
    for (int64_t i = 0; i < p->pixels; i++) {
        sum += covered[i] ? 0.0 : a[i];
        n += covered[i] ? 0.0 : 1.0;
    }
    for (int64_t i = 0; i < p->pixels; i++) map[i] = covered[i] ? map[i] : sum / n;
    return OXP_OK;
}

/* From the attribution in d->out to the map, in its place. */
static oxp_status regions_of(oxp_drive *d, size_t f, size_t item)
{
    const oxp_shape *row = &d->row_shape[f];
    const int axis = d->feed_roles[f].channel - 1;
    double *to = d->out[d->out_of_feed[f]] + item * (size_t)d->count[f];
    picture p = {.channels = row->dim[axis], .channel_axis = axis};
    p.height = row->dim[axis == 0 ? 1 : 0];
    p.width = row->dim[axis == 0 ? 2 : 1];
    p.pixels = p.height * p.width;
    p.side = oxp_param_int(d->params, "side");
    double *a = OXP_NEW(d->ctx->scratch, double, p.pixels),
           *map = OXP_NEW(d->ctx->scratch, double, p.pixels);
    masks m = {0};
    OXP_FAIL_IF(d->ctx, !a || !map, OXP_ENOMEM, "out of memory");
    for (int64_t i = 0; i < p.pixels; i++) {
        a[i] = to[index_of(&p, 0, i)];
        for (int64_t c = 1; c < p.channels; c++) a[i] = fmax(a[i], to[index_of(&p, c, i)]);
    }
    OXP_TRY(find_masks(d, &p, d->feed[f] + item * (size_t)d->count[f], &m));
    OXP_TRY(add_regions(d, &p, &m, a, map));
    for (int64_t c = 0; c < p.channels; c++)
        for (int64_t i = 0; i < p.pixels; i++) to[index_of(&p, c, i)] = map[i];
    return OXP_OK;
}

/* out = mean over both baselines of integrated gradients */
static oxp_status integrate(oxp_drive *d, const oxp_quadrature *q, const oxp_chunk *c, size_t item,
                            double *const *x0, double *const *to)
{
    static const char *const ends[] = {"min", "max"};
    for (size_t o = 0; o < d->n_out; o++)
        memset(d->out[o] + item * (size_t)d->out_count[o], 0,
               (size_t)d->out_count[o] * sizeof(double));
    for (size_t k = 0; k < OXP_COUNT(ends); k++) {
        OXP_TRY(oxp_baseline_fill(d, ends[k], item, 0, x0));
        OXP_TRY(oxp_line_mean(d, q, c, item, x0, to, NULL, (item * 2 + k) * q->n,
                              d->n_items * 2 * q->n));
        for (size_t f = 0; f < d->n_feeds; f++) {
            if (!d->varied[f]) continue;
            const size_t n = (size_t)d->count[f], o = (size_t)d->out_of_feed[f];
            const double *x = d->feed[f] + item * n;
            for (size_t i = 0; i < n; i++)
                d->out[o][item * n + i] += 0.5 * (x[i] - x0[f][i]) * to[o][i];
        }
    }
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    oxp_quadrature q;
    oxp_chunk c;
    double **x0, **to = OXP_NEW(d->ctx->scratch, double *, d->n_out + 1);
    OXP_NOMEM_IF(d->ctx, to);
    for (size_t o = 0; o < d->n_out; o++) {
        to[o] = OXP_NEW(d->ctx->scratch, double, d->out_count[o] + 1);
        OXP_NOMEM_IF(d->ctx, to[o]);
    }
    OXP_TRY(oxp_quadrature_make(d, &q));
    OXP_TRY(oxp_baseline_new(d, &x0));
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &c));
    for (size_t item = 0; item < d->n_items; item++) {
        OXP_TRY(integrate(d, &q, &c, item, x0, to));
        oxp_drive one = *d;
        oxp_ctx ctx = *d->ctx; /* masks of one item live no longer than it */
        ctx.scratch = oxp_arena_new(oxp_arena_hooks(d->ctx->scratch));
        OXP_NOMEM_IF(d->ctx, ctx.scratch);
        one.ctx = &ctx;
        oxp_status status = OXP_OK;
        for (size_t f = 0; status == OXP_OK && f < d->n_feeds; f++)
            if (d->varied[f]) status = regions_of(&one, f, item);
        oxp_arena_free(ctx.scratch);
        OXP_TRY(status);
    }
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    for (size_t i = 0; i < t->n_at; i++)
        OXP_FAIL_IF(t->ctx,
                    t->roles[i].tokens || t->roles[i].n_spatial != 2 || t->roles[i].channel == 2,
                    OXP_EINVAL, "xrai: needs pictures, (N,C,H,W) or (N,H,W,C)");
    return oxp_plan_gradient(t);
}

static const oxp_param_info params[] = {
    {"steps", "points on each line of the integrated gradients", OXP_PARAM_INT, 1, 100000, "100",
     NULL},
    {"rule", "quadrature", OXP_PARAM_CHOICE, 0, 0, "gauss-legendre",
     "gauss-legendre,left,right,middle,trapezoid"},
    {"side", "of the square that the picture is resized to for its segmentation", OXP_PARAM_INT, 8,
     4096, "224", NULL},
    {"min-size", "pixels of the smallest segment there", OXP_PARAM_INT, 1, 1e9, "150", NULL},
    {"dilation", "radius in pixels by which regions grow", OXP_PARAM_INT, 0, 1000, "5", NULL},
    {"min-diff", "new pixels that a region must add", OXP_PARAM_INT, 1, 1e9, "50", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "mean",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_xrai = {
    .info = {.name = "xrai",
             .title = "XRAI",
             .param_count = OXP_COUNT(params),
             .is_signed = 1,
             .sentence = "Regions of the picture, ranked by the integrated gradients inside them.",
             .definition = "greedy cover by segments of several scales; every pixel gets the mean "
                           "of max-over-channels integrated gradients its region added",
             .paper = "Kapishnikov et al. 2019, arXiv:1906.02825",
             .equals = "PAIR XRAI but for resampling to 224 x 224 (linear here, cubic there)",
             .cost = "2 steps forward, 2 steps backward, 6 segmentations",
             .weakness = "as coarse as the picture's segments: what has no edges of its own cannot "
                         "be told apart"},
    .params = params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = plan,
    .drive = drive,
};
