/* factorize.c - deep feature factorisation (Collins, Achanta, Suesstrunk 2018): the concepts that a layer
 * sees in this input, each with the positions where it is.
 *
 *   A - c ~ W H,  W (positions, k) and H (k, channels) without negative numbers
 *
 * c is 0 where a channel is never negative, else its smallest value (variant=pgc: always that). Row j of H is
 * concept j, column j of W says where it is; they are scaled so that the largest number of each column is
 * 1: H + c is then the activation of the concept at full strength. What a concept means for the target is
 * the score with this activation at every position, so only what follows the layer is computed again.
 * Concepts come in the order of their scores. */
#include "explain/cam.h"
#include "explain/path.h"

#include "base/strbuf.h"
#include "signal/factor.h"
#include <math.h>
#include <string.h>

enum { MAX_CONCEPTS = 64, MAX_TOLD = 4 };

typedef struct concepts { /* of one item */
    size_t positions, channels, k;
    double *x, *least; /* (positions, channels), (channels) */
    double *w, *h;     /* (positions, k), (k, channels) */
    double score[MAX_CONCEPTS];
    size_t order[MAX_CONCEPTS]; /* from the largest score */
} concepts;

/* Elements of a row of the layer from (outer, channels, inner); those of the prefix come first. */
typedef struct row_view {
    size_t outer, channels, inner, prefix;
} row_view;

static row_view view_of(const oxp_drive *d, size_t layer)
{
    const oxp_shape *row = &d->row_shape[layer];
    const int channel = d->feed_roles[layer].channel - 1;
    row_view v = {1, (size_t)row->dim[channel], 1, 0};
    for (int a = 0; a < row->rank; a++)
        if (a != channel) *(a < channel ? &v.outer : &v.inner) *= (size_t)row->dim[a];
    if (d->feed_roles[layer].tokens) v.prefix = (size_t)d->feed_roles[layer].prefix;
    return v;
}

static size_t element(const row_view *v, size_t position, size_t channel)
{
    const size_t p = position + v->prefix;
    return (p / v->inner * v->channels + channel) * v->inner + p % v->inner;
}

static void read_layer(const oxp_drive *d, const row_view *v, const double *a, concepts *c)
{
    const bool always = oxp_param_is(d->params, "variant", "pgc");
    for (size_t ch = 0; ch < c->channels; ch++) {
        double least = a[element(v, 0, ch)];
        for (size_t p = 1; p < c->positions; p++) least = fmin(least, a[element(v, p, ch)]);
        c->least[ch] = always || least < 0.0 ? least : 0.0;
        for (size_t p = 0; p < c->positions; p++)
            c->x[p * c->channels + ch] = a[element(v, p, ch)] - c->least[ch];
    }
}

/* The largest number of each column of w becomes 1. */
static void scale_concepts(concepts *c)
{
    for (size_t j = 0; j < c->k; j++) {
        double most = 0.0;
        for (size_t p = 0; p < c->positions; p++) most = fmax(most, c->w[p * c->k + j]);
        for (size_t p = 0; p < c->positions; p++) c->w[p * c->k + j] /= most > 0.0 ? most : 1.0;
        for (size_t ch = 0; ch < c->channels; ch++) c->h[j * c->channels + ch] *= most;
    }
}

/* The score with each concept everywhere. */
static oxp_status score_concepts(oxp_drive *d, const oxp_chunk *chunk, size_t layer, size_t item,
                                 const row_view *v, concepts *c)
{
    for (size_t first = 0; first < c->k; first += chunk->width) {
        const size_t rows = c->k - first < chunk->width ? c->k - first : chunk->width;
        for (size_t r = 0; r < rows; r++) {
            oxp_chunk_item(d, chunk, r, item);
            double *a = chunk->feed[layer] + r * (size_t)d->count[layer];
            const double *h = c->h + (first + r) * c->channels;
            for (size_t p = 0; p < c->positions; p++)
                for (size_t ch = 0; ch < c->channels; ch++)
                    a[element(v, p, ch)] = h[ch] + c->least[ch];
        }
        OXP_TRY(oxp_rows_run(d, rows, chunk->feed, chunk->side, NULL, c->score + first));
    }
    for (size_t j = 0; j < c->k; j++) { /* insertion, ties as they are */
        size_t at = j;
        while (at > 0 && c->score[c->order[at - 1]] < c->score[j]) {
            c->order[at] = c->order[at - 1];
            at--;
        }
        c->order[at] = j;
    }
    return OXP_OK;
}

/* No more than the layer has positions or channels. */
static size_t count_of(const oxp_params *p, size_t positions, size_t channels)
{
    const size_t asked = (size_t)oxp_param_int(p, "components");
    const size_t most = positions < channels ? positions : channels;
    return asked < most ? asked : most;
}

static oxp_status new_concepts(oxp_drive *d, const row_view *v, concepts *c)
{
    oxp_arena *tmp = d->ctx->scratch;
    *c = (concepts){.positions = v->outer * v->inner - v->prefix, .channels = v->channels};
    c->k = count_of(d->params, c->positions, c->channels);
    OXP_FAIL_IF(d->ctx, (size_t)oxp_param_int(d->params, "component") >= c->k, OXP_EINVAL,
                "feature-factorization: there is no component %lld: the layer has 0 to %zu",
                (long long)oxp_param_int(d->params, "component"), c->k - 1);
    c->x = OXP_NEW(tmp, double, c->positions * c->channels + 1);
    c->least = OXP_NEW(tmp, double, c->channels + 1);
    c->w = OXP_NEW(tmp, double, c->positions * c->k + 1);
    c->h = OXP_NEW(tmp, double, c->k * c->channels + 1);
    OXP_FAIL_IF(d->ctx, !c->x || !c->least || !c->w || !c->h, OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

/* "concepts by their score for the target: 12.3, 4.5, -1.2; what they leave out: 8.1 %" */
static void tell(oxp_strbuf *sb, size_t item, const concepts *c, double error)
{
    double size = 0.0;
    for (size_t i = 0; i < c->positions * c->channels; i++) size += c->x[i] * c->x[i];
    if (item == MAX_TOLD) oxp_strbuf_puts(sb, " ...");
    if (item >= MAX_TOLD) return;
    oxp_strbuf_puts(sb, item ? "; " : "concepts by their score for the target:");
    for (size_t j = 0; j < c->k; j++)
        oxp_strbuf_printf(sb, "%s %.4g", j ? "," : "", c->score[c->order[j]]);
    oxp_strbuf_printf(sb, " (%.3g %% of the layer is left out)",
                      size > 0.0 ? 100.0 * error / sqrt(size) : 0.0);
}

static oxp_status drive(oxp_drive *d)
{
    oxp_chunk chunk;
    concepts c;
    oxp_strbuf sb;
    size_t layer = 0;
    while (layer + 1 < d->n_feeds && d->out_of_feed[layer] != 0) layer++;
    const row_view v = view_of(d, layer);
    oxp_strbuf_init(&sb, d->arena);
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &chunk));
    OXP_TRY(new_concepts(d, &v, &c));
    for (size_t item = 0; item < d->n_items; item++) {
        double error = 0.0, *out = d->out[0] + item * (size_t)d->out_count[0];
        read_layer(d, &v, d->feed[layer] + item * (size_t)d->count[layer], &c);
        OXP_TRY(oxp_factor(d->ctx, c.x, c.positions, c.channels, c.k,
                           (int)oxp_param_int(d->params, "rounds"), c.w, c.h, &error));
        scale_concepts(&c);
        OXP_TRY(score_concepts(d, &chunk, layer, item, &v, &c));
        for (size_t j = 0; j < c.k; j++)
            for (size_t p = 0; p < c.positions; p++)
                out[j * c.positions + p] = c.w[p * c.k + c.order[j]];
        tell(&sb, item, &c, error);
        OXP_TRY(oxp_ctx_progress(d->ctx, d->method->info.name, item + 1, d->n_items));
    }
    *d->warning = oxp_strbuf_str(&sb);
    OXP_NOMEM_IF(d->ctx, *d->warning);
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    return oxp_cam_plan_forward(t, oxp_cam_activation);
}

/* (k, positions...): where the drive left it, at the front of the row. */
static oxp_status finish(oxp_finish *f)
{
    oxp_cam_rows rows;
    OXP_TRY(oxp_cam_positions(f, &rows));
    const size_t k = count_of(f->params, rows.positions, rows.channels);
    memmove(f->out_shape.dim + 1, f->out_shape.dim, (size_t)f->out_shape.rank * sizeof(int64_t));
    f->out_shape.dim[0] = (int64_t)k;
    f->out_shape.rank++;
    f->out = oxp_arena_memdup(f->arena, f->in, k * rows.positions * sizeof(double));
    OXP_NOMEM_IF(f->ctx, f->out);
    return OXP_OK;
}

static const oxp_param_info params[] = {
    {"components", "how many concepts, at most as many as positions or channels", OXP_PARAM_INT, 1,
     MAX_CONCEPTS, "8", NULL},
    {"component", "which of them the map shows: 0 has the largest score", OXP_PARAM_INT, 0,
     MAX_CONCEPTS - 1, "0", NULL},
    {"rounds", "of the factorisation, at most", OXP_PARAM_INT, 1, 100000, "200", NULL},
    {"variant",
     "channels start at zero, or at their smallest value where that is negative (paper) or always "
     "(pgc)",
     OXP_PARAM_CHOICE, 0, 0, "paper", "paper,pgc"},
    OXP_CAM_UPSAMPLE,
};

const oxp_method oxp_method_feature_factorization = {
    .info = {.name = "feature-factorization",
             .title = "Deep feature factorization",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence =
                 "The concepts that a layer sees in the input, where each is, and what each "
                 "means for the score.",
             .definition = "A ~ W H, nothing negative; map: the column of W whose row of H, put "
                           "everywhere, gives the largest score",
             .paper = "Collins, Achanta, Suesstrunk 2018, arXiv:1806.10206",
             .equals = "pytorch-grad-cam DeepFeatureFactorization (variant=pgc) up to the local "
                       "minimum and scale",
             .cost = "1 forward, and the part behind the layer once per concept",
             .weakness = "concepts are what channels do together, not what the class needs; their "
                         "number is a choice, and with many of them small changes of the input "
                         "divide them otherwise"},
    .params = params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_FEEDS | OXP_METHOD_TAIL,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
    .drive = drive,
    .finish = finish,
};
