/* cam_perturb.c - maps without gradients: Score-CAM, SS-CAM, IS-CAM. Every channel of the layer,
 * enlarged to the input and scaled to 0 .. 1, is a mask M_k; its weight is what the model scores
 * for the input behind it.
 *
 *   w = softmax over k of s_k,    map = relu(sum_k w_k A_k)
 *   scorecam   s_k = Y(M_k x)
 *   ss-cam     s_k = mean over samples of Y((M_k + N(0, noise^2)) x)
 *   is-cam     s_k = mean over i = 1 .. samples of Y(i / samples M_k x)
 *
 * One forward pass per channel (and sample); `top` keeps only the channels that vary most.
 * Subtracting a baseline's score, as the papers write, cancels in the softmax. */
#include "explain/cam.h"

#include "explain/path.h"
#include "signal/resize.h"
#include <math.h>
#include <string.h>

typedef struct channels { /* of one layer */
    size_t outer, n, inner, positions;
    int axes;
    int64_t dims[3]; /* of a map */
} channels;

typedef struct mask { /* where it falls on the fed tensors */
    int axes;
    int64_t dims[3];
    size_t cells;
    size_t **cell; /* [n_feeds][count] cell of each element; NULL: not masked */
    double *values;
} mask;

static channels channels_of(const oxp_drive *d, size_t o)
{
    const oxp_roles *r = &d->out_roles[o];
    const oxp_shape *s = &d->out_shape[o];
    channels c = {.outer = 1, .n = (size_t)s->dim[r->channel - 1], .inner = 1};
    for (int a = 0; a < s->rank; a++) {
        if (a == r->channel - 1) continue;
        *(a < r->channel - 1 ? &c.outer : &c.inner) *= (size_t)s->dim[a];
        c.dims[c.axes++] = s->dim[a];
    }
    c.positions = c.outer * c.inner;
    if (r->tokens && r->n_grid > 0) {
        c.axes = r->n_grid;
        memcpy(c.dims, r->grid, sizeof c.dims);
    }
    return c;
}

static void take_channel(const channels *c, const double *row, size_t k, double *to)
{
    for (size_t o = 0; o < c->outer; o++)
        memcpy(to + o * c->inner, row + (o * c->n + k) * c->inner, c->inner * sizeof(double));
}

/* The cell under each element of feed f: its coordinates along the spatial axes. */
static oxp_status place_mask(const oxp_drive *d, size_t f, mask *m)
{
    const oxp_roles *r = &d->feed_roles[f];
    const oxp_shape *s = &d->row_shape[f];
    m->cell[f] = OXP_NEW(d->ctx->scratch, size_t, (size_t)d->count[f] + 1);
    OXP_NOMEM_IF(d->ctx, m->cell[f]);
    for (size_t i = 0; i < (size_t)d->count[f]; i++) {
        size_t rest = i, cell = 0, step = 1;
        int64_t at[OXP_MAX_RANK];
        for (int a = s->rank; a-- > 0; rest /= (size_t)s->dim[a])
            at[a] = (int64_t)(rest % (size_t)s->dim[a]);
        for (int a = r->n_spatial; a-- > 0; step *= (size_t)m->dims[a])
            cell += step * (size_t)at[r->spatial[a] - 1];
        m->cell[f][i] = cell;
    }
    return OXP_OK;
}

/* The mask has the resolution of the first varied input with as many axes as the map; every input
 * of that resolution lies behind it. */
static oxp_status new_mask(const oxp_drive *d, const channels *c, mask *m)
{
    *m = (mask){.cells = 1, .cell = OXP_NEW(d->ctx->scratch, size_t *, d->n_feeds + 1)};
    OXP_NOMEM_IF(d->ctx, m->cell);
    for (size_t f = 0; f < d->n_feeds; f++) {
        const oxp_roles *r = &d->feed_roles[f];
        int64_t dims[3] = {1, 1, 1};
        if (!d->varied[f] || r->tokens || r->n_spatial != c->axes) continue;
        for (int a = 0; a < r->n_spatial; a++) dims[a] = d->row_shape[f].dim[r->spatial[a] - 1];
        if (m->axes > 0 && memcmp(dims, m->dims, (size_t)m->axes * sizeof *dims) != 0) continue;
        m->axes = r->n_spatial;
        memcpy(m->dims, dims, sizeof dims);
        OXP_TRY(place_mask(d, f, m));
    }
    OXP_FAIL_IF(d->ctx, m->axes == 0, OXP_EUNSUPPORTED,
                "%s masks a picture, volume or series: no float input has the %d axes of the layer",
                d->method->info.name, c->axes);
    for (int a = 0; a < m->axes; a++) m->cells *= (size_t)m->dims[a];
    m->values = OXP_NEW(d->ctx->scratch, double, m->cells + 1);
    OXP_NOMEM_IF(d->ctx, m->values);
    return OXP_OK;
}

/* (x - min) / (max - min + 1e-8) */
static void scale_to_unit(double *x, size_t n)
{
    double lo = x[0], hi = x[0];
    for (size_t i = 1; i < n; i++) {
        lo = fmin(lo, x[i]);
        hi = fmax(hi, x[i]);
    }
    for (size_t i = 0; i < n; i++) x[i] = (x[i] - lo) / (hi - lo + 1e-8);
}

/* pgc enlarges with the corners on each other, then scales; torchcam scales, then enlarges with
 * half-pixel centres. */
static void fill_mask(const oxp_drive *d, const channels *c, double *channel, mask *m)
{
    if (oxp_param_is(d->params, "variant", "torchcam")) {
        scale_to_unit(channel, c->positions);
        oxp_resize_linear_f64(channel, m->axes, c->dims, m->dims, m->values);
    } else {
        oxp_resize_corners_f64(channel, m->axes, c->dims, m->dims, m->values);
        scale_to_unit(m->values, m->cells);
    }
}

typedef struct scorer {
    channels layer;
    mask mask;
    oxp_chunk chunk;
    size_t samples;
    bool noisy, integrates;
    double *channel; /* [positions] */
    double *score;   /* [channels] */
    double *spread;  /* [channels] variance over positions */
    bool *used;      /* [channels] */
    uint64_t done, total;
} scorer;

/* Row `row` of the chunk: the item behind the mask, as the method changes it for this sample. */
static void fill_row(const oxp_drive *d, const scorer *s, size_t row, size_t item, size_t k,
                     size_t sample)
{
    const double noise = s->noisy ? oxp_param_number(d->params, "noise") : 0.0;
    const double scale = s->integrates ? (double)(sample + 1) / (double)s->samples : 1.0;
    const oxp_rng rng = {s->noisy ? (uint64_t)oxp_param_int(d->params, "seed") : 0,
                         d->item_base + (uint32_t)item, (uint32_t)sample};
    oxp_chunk_item(d, &s->chunk, row, item);
    for (size_t f = 0; f < d->n_feeds; f++) {
        double *x = s->chunk.feed[f] + row * (size_t)d->count[f];
        for (size_t i = 0; s->mask.cell[f] && i < (size_t)d->count[f]; i++) {
            const size_t cell = s->mask.cell[f][i];
            double m = scale * s->mask.values[cell];
            if (s->noisy) m += noise * oxp_rng_normal(&rng, ((uint64_t)k << 40) | cell);
            x[i] *= m;
        }
    }
}

static oxp_status run_rows(oxp_drive *d, scorer *s, size_t rows, const size_t *channel_of_row)
{
    OXP_TRY(oxp_rows_run(d, rows, s->chunk.feed, s->chunk.side, NULL, s->chunk.score));
    for (size_t r = 0; r < rows; r++)
        s->score[channel_of_row[r]] += s->chunk.score[r] / (double)s->samples;
    s->done += rows;
    return oxp_ctx_progress(d->ctx, d->method->info.name, s->done, s->total);
}

/* Channels in order of their variance over positions: the `top` first are used (0: all). */
static void choose_channels(const oxp_drive *d, scorer *s, const double *row)
{
    const size_t n = s->layer.n, top = (size_t)oxp_param_int(d->params, "top");
    for (size_t k = 0; k < n; k++) {
        double mean = 0.0, sum = 0.0;
        take_channel(&s->layer, row, k, s->channel);
        for (size_t p = 0; p < s->layer.positions; p++)
            mean += s->channel[p] / (double)s->layer.positions;
        for (size_t p = 0; p < s->layer.positions; p++)
            sum += (s->channel[p] - mean) * (s->channel[p] - mean);
        s->spread[k] = sum;
        s->score[k] = 0.0;
        s->used[k] = top == 0 || top >= n;
    }
    for (size_t chosen = 0; top < n && chosen < top; chosen++) {
        size_t best = SIZE_MAX;
        for (size_t k = 0; k < n; k++)
            if (!s->used[k] && (best == SIZE_MAX || s->spread[k] > s->spread[best])) best = k;
        s->used[best] = true;
    }
}

/* score becomes softmax over the channels in use, 0 for the others. */
static void softmax(const scorer *s)
{
    double most = (double)-INFINITY, sum = 0.0;
    for (size_t k = 0; k < s->layer.n; k++)
        if (s->used[k]) most = fmax(most, s->score[k]);
    for (size_t k = 0; k < s->layer.n; k++) {
        s->score[k] = s->used[k] ? exp(s->score[k] - most) : 0.0;
        sum += s->score[k];
    }
    for (size_t k = 0; k < s->layer.n; k++) s->score[k] /= sum;
}

/* A of one item and layer, in d->out, becomes w_k A_k. */
static oxp_status score_item(oxp_drive *d, scorer *s, size_t o, size_t item)
{
    double *row = d->out[o] + item * (size_t)d->out_count[o];
    size_t rows = 0, *channel_of_row = OXP_NEW(d->ctx->scratch, size_t, s->chunk.width);
    OXP_NOMEM_IF(d->ctx, channel_of_row);
    choose_channels(d, s, row);
    for (size_t k = 0; k < s->layer.n; k++) {
        if (!s->used[k]) continue;
        take_channel(&s->layer, row, k, s->channel);
        fill_mask(d, &s->layer, s->channel, &s->mask);
        for (size_t sample = 0; sample < s->samples; sample++) {
            fill_row(d, s, rows, item, k, sample);
            channel_of_row[rows++] = k;
            if (rows < s->chunk.width) continue;
            OXP_TRY(run_rows(d, s, rows, channel_of_row));
            rows = 0;
        }
    }
    if (rows > 0) OXP_TRY(run_rows(d, s, rows, channel_of_row));
    softmax(s);
    for (size_t outer = 0; outer < s->layer.outer; outer++)
        for (size_t k = 0; k < s->layer.n; k++)
            for (size_t i = 0; i < s->layer.inner; i++)
                row[(outer * s->layer.n + k) * s->layer.inner + i] *= s->score[k];
    return OXP_OK;
}

static oxp_status new_scorer(oxp_drive *d, size_t o, scorer *s)
{
    const size_t top = (size_t)oxp_param_int(d->params, "top");
    oxp_arena *tmp = d->ctx->scratch;
    *s = (scorer){.layer = channels_of(d, o), .samples = 1};
    s->noisy = oxp_param_known(d->params, "noise");
    s->integrates = !s->noisy && oxp_param_known(d->params, "samples");
    if (s->noisy || s->integrates) s->samples = (size_t)oxp_param_int(d->params, "samples");
    s->channel = OXP_NEW(tmp, double, s->layer.positions + 1);
    s->score = OXP_NEW(tmp, double, s->layer.n + 1);
    s->spread = OXP_NEW(tmp, double, s->layer.n + 1);
    s->used = OXP_NEW(tmp, bool, s->layer.n + 1);
    OXP_FAIL_IF(d->ctx, !s->channel || !s->score || !s->spread || !s->used, OXP_ENOMEM,
                "out of memory");
    const size_t channels_used = top > 0 && top < s->layer.n ? top : s->layer.n;
    s->total = (uint64_t)d->n_items * channels_used * s->samples;
    OXP_TRY(new_mask(d, &s->layer, &s->mask));
    return oxp_chunk_new(d, oxp_rows_width(d), &s->chunk);
}

static oxp_status drive(oxp_drive *d)
{
    for (size_t o = 0; o < d->n_out; o++) {
        scorer s;
        OXP_TRY(new_scorer(d, o, &s));
        for (size_t item = 0; item < d->n_items; item++) OXP_TRY(score_item(d, &s, o, item));
    }
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    return oxp_cam_plan_forward(t, oxp_cam_activation);
}

#define TOP                                                                                       \
    {                                                                                             \
        "top", "only the channels that vary most over positions, so many; 0: all", OXP_PARAM_INT, \
            0, 1e9, "0", NULL                                                                     \
    }
#define VARIANT                                                                                   \
    {                                                                                             \
        "variant",                                                                                \
            "how channels become masks: pytorch-grad-cam enlarges corner to corner, then scales " \
            "to 0 .. 1; "                                                                         \
            "torchcam scales, then enlarges by pixel centres",                                    \
            OXP_PARAM_CHOICE, 0, 0, "pgc", "pgc,torchcam"                                         \
    }

static const oxp_param_info score_params[] = {
    OXP_CAM_RELU("true"), OXP_CAM_UPSAMPLE, OXP_CAM_AUGMENT, OXP_CAM_JOIN("mean"), TOP, VARIANT,
};

static const oxp_param_info smooth_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    TOP,
    VARIANT,
    {"samples", "noisy masks per channel", OXP_PARAM_INT, 1, 1000000, "35", NULL},
    {"noise", "standard deviation of what is added to a mask of 0 .. 1", OXP_PARAM_FLOAT, 0, 1e6,
     "2", NULL},
    {"seed", "of the random numbers", OXP_PARAM_INT, 0, 9007199254740992.0, "0", NULL},
};

static const oxp_param_info integrated_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    TOP,
    VARIANT,
    {"samples", "strengths per mask", OXP_PARAM_INT, 1, 1000000, "10", NULL},
};

const oxp_method oxp_method_scorecam = {
    .info = {.name = "scorecam",
             .title = "Score-CAM",
             .param_count = OXP_COUNT(score_params),
             .needs_layer = 1,
             .sentence = "Channels weighted by the score of the input behind them: no gradients.",
             .definition =
                 "w = softmax over k of Y(M_k . x), M_k = A_k enlarged and scaled to 0 .. "
                 "1; map = relu(sum_k w_k A_k)",
             .paper = "Wang et al. 2020, arXiv:1910.01279",
             .equals = "pytorch-grad-cam ScoreCAM; torchcam ScoreCAM with variant=torchcam",
             .cost = "1 forward, and 1 forward per channel of the layer",
             .weakness = "slow; a softmax of logits often leaves one channel; masked inputs are "
                         "unlike what the model was trained on"},
    .params = score_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_FEEDS | OXP_METHOD_STARTS,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
    .drive = drive,
    .finish = oxp_cam_finish_sum,
};

const oxp_method oxp_method_ss_cam = {
    .info = {.name = "ss-cam",
             .title = "SS-CAM",
             .param_count = OXP_COUNT(smooth_params),
             .needs_layer = 1,
             .sentence = "Score-CAM with scores averaged over noisy masks.",
             .definition = "w = softmax over k of mean Y((M_k + N(0, noise^2)) . x); map = "
                           "relu(sum_k w_k A_k)",
             .paper = "Wang et al. 2020, arXiv:2006.14255",
             .equals = "torchcam SSCAM with variant=torchcam, on the same noise",
             .cost = "1 forward, and samples forward per channel of the layer",
             .weakness = "as Score-CAM, and samples times slower; another seed, another map"},
    .params = smooth_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_FEEDS | OXP_METHOD_STARTS,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
    .drive = drive,
    .finish = oxp_cam_finish_sum,
};

const oxp_method oxp_method_is_cam = {
    .info = {.name = "is-cam",
             .title = "IS-CAM",
             .param_count = OXP_COUNT(integrated_params),
             .needs_layer = 1,
             .sentence = "Score-CAM with scores integrated over the strength of each mask.",
             .definition = "w = softmax over k of mean over i = 1 .. n of Y(i / n M_k . x); map = "
                           "relu(sum_k w_k A_k)",
             .paper = "Naidu et al. 2020, arXiv:2010.03023",
             .equals = "",
             .cost = "1 forward, and samples forward per channel of the layer",
             .weakness = "as Score-CAM, and samples times slower"},
    .params = integrated_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_FEEDS | OXP_METHOD_STARTS,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
    .drive = drive,
    .finish = oxp_cam_finish_sum,
};
