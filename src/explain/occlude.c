/* occlude.c - occlusion: how much the score falls when a window of the input is replaced (Zeiler,
 * Fergus 2014).
 *
 *   attribution[p] = mean over the windows that cover p of Y(x) - Y(x with the window replaced)
 *
 * Windows slide over the spatial axes (features of a table, tokens of a text) and cover all
 * channels; the last one is cut at the border. A window is replaced in one tensor at a time. */
#include "explain/method.h"

#include <string.h>

/* over the spatial axes of one feed, in row coordinates (batch axis dropped) */
typedef struct windows {
    int axes;
    int axis[3];
    int64_t dim[3], window[3], stride[3], count[3];
    int64_t total;
} windows;

/* The a-th of a comma-separated list of positive numbers; the last repeats. 0: not given. */
static int64_t listed(const char *text, int a)
{
    int64_t value = 0;
    for (int i = 0; i <= a && *text; i++) {
        value = 0;
        while (*text >= '0' && *text <= '9') value = 10 * value + (*text++ - '0');
        if (*text == ',') text++;
    }
    return value;
}

/* Checks that the parameter is a list of whole numbers below 10^9. */
static oxp_status check_list(oxp_ctx *ctx, const oxp_params *p, const char *name)
{
    const char *text = oxp_param_text(p, name);
    int digits = 0;
    bool good = *text != '\0' && text[strlen(text) - 1] != ',';
    for (const char *c = text; good && *c; c++) {
        good = *c == ',' ? digits > 0 : *c >= '0' && *c <= '9' && digits < 9;
        digits = *c == ',' ? 0 : digits + 1;
    }
    OXP_FAIL_IF(ctx, !good, OXP_EINVAL,
                "occlusion: %s must be whole numbers separated by commas, found '%s'", name, text);
    return OXP_OK;
}

static oxp_status make_windows(const oxp_drive *d, size_t f, windows *w)
{
    const oxp_roles *roles = &d->feed_roles[f];
    const oxp_shape *row = &d->row_shape[f];
    *w = (windows){.axes = roles->n_spatial, .total = 1};
    for (int a = 0; a < w->axes; a++) w->axis[a] = roles->spatial[a] - 1;
    if (w->axes == 0 && row->rank > 0) /* a table: each feature is a position */
        w->axes = 1, w->axis[0] = 0;
    const bool grid = roles->n_spatial > 0 && !roles->tokens;
    for (int a = 0; a < w->axes; a++) {
        const int64_t dim = w->dim[a] = row->dim[w->axis[a]];
        int64_t window = listed(oxp_param_text(d->params, "window"), a),
                stride = listed(oxp_param_text(d->params, "stride"), a);
        if (window == 0) window = grid ? (dim + 13) / 14 : 1;
        window = window > dim ? dim : window < 1 ? 1 : window;
        if (stride == 0) stride = (window + 1) / 2;
        w->window[a] = window;
        w->stride[a] = stride;
        OXP_FAIL_IF(d->ctx, stride > window, OXP_EINVAL,
                    "occlusion: the stride %lld leaves gaps between windows of %lld",
                    (long long)stride, (long long)window);
        w->count[a] = dim == 0 ? 0 : 1 + (dim - window + stride - 1) / stride;
        w->total *= w->count[a];
    }
    return OXP_OK;
}

/* For every element of the row that window number `number` covers: data = value, sum += value
 * and one more hit (NULL: not). */
static void for_window(const oxp_shape *row, const windows *w, int64_t number, double *data,
                       double value, double *sum, double *hits)
{
    int64_t lo[OXP_MAX_RANK], hi[OXP_MAX_RANK], idx[OXP_MAX_RANK] = {0};
    for (int a = 0; a < row->rank; a++) {
        lo[a] = 0;
        hi[a] = row->dim[a];
    }
    for (int a = w->axes - 1; a >= 0; a--) {
        const int64_t start = (number % w->count[a]) * w->stride[a];
        number /= w->count[a];
        lo[w->axis[a]] = start;
        hi[w->axis[a]] = start + w->window[a] < w->dim[a] ? start + w->window[a] : w->dim[a];
    }
    memcpy(idx, lo, sizeof idx);
    for (;;) {
        int64_t offset = 0;
        for (int a = 0; a < row->rank; a++) offset = offset * row->dim[a] + idx[a];
        if (data) data[offset] = value;
        if (sum) {
            sum[offset] += value;
            hits[offset] += 1.0;
        }
        int a = row->rank - 1;
        while (a >= 0 && ++idx[a] >= hi[a]) {
            idx[a] = lo[a];
            a--;
        }
        if (a < 0) return;
    }
}

typedef struct occluded { /* one chunk of windows */
    double **feed, *score, *hits;
    oxp_side *side;
    size_t width;
} occluded;

static oxp_status new_occluded(oxp_drive *d, occluded *c)
{
    oxp_arena *tmp = d->ctx->scratch;
    size_t most = 1;
    c->width = oxp_rows_width(d);
    c->feed = OXP_NEW(tmp, double *, d->n_feeds);
    c->score = OXP_NEW(tmp, double, c->width);
    c->side = OXP_NEW(tmp, oxp_side, c->width);
    OXP_FAIL_IF(d->ctx, !c->feed || !c->score || !c->side, OXP_ENOMEM, "out of memory");
    for (size_t f = 0; f < d->n_feeds; f++) {
        const size_t n = (size_t)d->count[f];
        most = n > most ? n : most;
        c->feed[f] = oxp_arena_alloc(tmp, c->width * n + 1, sizeof(double));
        OXP_NOMEM_IF(d->ctx, c->feed[f]);
    }
    c->hits = OXP_NEW(tmp, double, most);
    OXP_NOMEM_IF(d->ctx, c->hits);
    return OXP_OK;
}

static oxp_status occlude_feed(oxp_drive *d, occluded *c, size_t item, size_t f, double baseline)
{
    windows w;
    OXP_TRY(make_windows(d, f, &w));
    const size_t n = (size_t)d->count[f];
    double *to = d->out[d->out_of_feed[f]] + item * n;
    memset(to, 0, n * sizeof(double));
    memset(c->hits, 0, n * sizeof(double));
    for (int64_t first = 0; n > 0 && first < w.total; first += (int64_t)c->width) {
        const size_t rows =
            (size_t)(w.total - first) < c->width ? (size_t)(w.total - first) : c->width;
        for (size_t r = 0; r < rows; r++) {
            for (size_t other = 0; other < d->n_feeds; other++)
                memcpy(c->feed[other] + r * (size_t)d->count[other],
                       d->feed[other] + item * (size_t)d->count[other],
                       (size_t)d->count[other] * sizeof(double));
            for_window(&d->row_shape[f], &w, first + (int64_t)r, c->feed[f] + r * n, baseline, NULL,
                       NULL);
            c->side[r] = d->side[item];
        }
        OXP_TRY(oxp_rows_run(d, rows, c->feed, c->side, NULL, c->score));
        for (size_t r = 0; r < rows; r++)
            for_window(&d->row_shape[f], &w, first + (int64_t)r, NULL, d->score[item] - c->score[r],
                       to, c->hits);
        OXP_TRY(oxp_ctx_progress(d->ctx, "occlusion", (uint64_t)first + rows, (uint64_t)w.total));
    }
    for (size_t i = 0; i < n; i++) to[i] = c->hits[i] > 0.0 ? to[i] / c->hits[i] : 0.0;
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    occluded c;
    OXP_TRY(new_occluded(d, &c));
    for (size_t item = 0; item < d->n_items; item++)
        for (size_t f = 0; f < d->n_feeds; f++)
            if (d->varied[f])
                OXP_TRY(occlude_feed(d, &c, item, f, oxp_param_number(d->params, "baseline")));
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    OXP_TRY(check_list(t->ctx, t->params, "window"));
    OXP_TRY(check_list(t->ctx, t->params, "stride"));
    return oxp_plan_score(t);
}

static const oxp_param_info params[] = {
    {"window",
     "size along each spatial axis, like 16 or 8,8; 0: a 14th of the axis (1 for tables and "
     "tokens)",
     OXP_PARAM_TEXT, 0, 0, "0", NULL},
    {"stride", "step along each spatial axis; 0: half the window", OXP_PARAM_TEXT, 0, 0, "0", NULL},
    {"baseline", "the value put in the window, in the model's input tensor", OXP_PARAM_FLOAT, -1e30,
     1e30, "0", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "mean",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_occlusion = {
    .info =
        {.name = "occlusion",
         .is_main = 1,
         .title = "Occlusion",
         .param_count = OXP_COUNT(params),
         .is_signed = 1,
         .sentence =
             "How much the score falls when a window of the input is hidden: no gradient involved.",
         .definition = "Y(x) - Y(x with a window replaced), overlapping windows averaged",
         .paper = "Zeiler, Fergus 2014, arXiv:1311.2901",
         .equals = "Captum Occlusion",
         .cost = "1 forward per window, 1 for the input",
         .weakness = "sees only what one window covers; the replacement may be an unlikely input"},
    .params = params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = plan,
    .drive = drive,
};
