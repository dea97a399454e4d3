/* cam_ablation.c - Ablation-CAM: a channel's weight is how much of the score is lost without it.
 *
 *   w_k = (Y - Y without A_k) / Y,    map = relu(sum_k w_k A_k)
 *
 * The layer itself is fed with one channel set to zero, so each pass computes only what follows it.
 * Tokens lose the channel everywhere, also before the grid. */
#include "explain/cam.h"

#include "explain/path.h"
#include <math.h>
#include <string.h>

/* Channel k of row x (shape s, channel axis `axis`) times w. */
static void scale_channel(const oxp_shape *s, int axis, size_t k, double w, double *x)
{
    size_t outer = 1, inner = 1;
    const size_t n = (size_t)s->dim[axis];
    for (int a = 0; a < s->rank; a++)
        if (a != axis) *(a < axis ? &outer : &inner) *= (size_t)s->dim[a];
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) x[(o * n + k) * inner + i] *= w;
}

static oxp_status ablate_item(oxp_drive *d, const oxp_chunk *c, size_t layer, size_t item)
{
    const oxp_shape *shape = &d->row_shape[layer];
    const int axis = d->feed_roles[layer].channel - 1;
    const size_t n = (size_t)shape->dim[axis], count = (size_t)d->count[layer],
                 mapped = (size_t)d->out_count[0];
    const double score = d->score[item];
    OXP_FAIL_IF(d->ctx, fabs(score) < 1e-30, OXP_EINVAL,
                "ablationcam divides by the score, which is 0: choose another target or method");
    if (score < 0.0)
        *d->warning = "warning: the explained score is negative, and ablationcam divides by it: "
                      "what speaks against the target shows as what speaks for it";
    /* prefix tokens come first in a row and are not mapped */
    double *out = d->out[0] + item * mapped;
    memcpy(out, d->feed[layer] + item * count + (count - mapped), mapped * sizeof(double));
    for (size_t k = 0; k < n; k += c->width) {
        const size_t rows = n - k < c->width ? n - k : c->width;
        for (size_t r = 0; r < rows; r++) {
            oxp_chunk_item(d, c, r, item);
            scale_channel(shape, axis, k + r, 0.0, c->feed[layer] + r * count);
        }
        OXP_TRY(oxp_rows_run(d, rows, c->feed, c->side, NULL, c->score));
        for (size_t r = 0; r < rows; r++)
            scale_channel(&d->out_shape[0], axis, k + r, (score - c->score[r]) / score, out);
        OXP_TRY(oxp_ctx_progress(d->ctx, "ablationcam", item * n + k + rows, d->n_items * n));
    }
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    oxp_chunk c;
    size_t layer = 0;
    while (layer + 1 < d->n_feeds && d->out_of_feed[layer] != 0) layer++;
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &c));
    for (size_t item = 0; item < d->n_items; item++) OXP_TRY(ablate_item(d, &c, layer, item));
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    return oxp_cam_plan_forward(t, oxp_cam_activation);
}

static const oxp_param_info params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
};

const oxp_method oxp_method_ablationcam = {
    .info = {.name = "ablationcam",
             .title = "Ablation-CAM",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "Channels weighted by how much of the score is lost without them.",
             .definition = "w_k = (Y - Y with A_k = 0) / Y; map = relu(sum_k w_k A_k)",
             .paper = "Desai, Ramaswamy 2020, WACV, doi:10.1109/WACV45572.2020.9093360",
             .equals = "pytorch-grad-cam AblationCAM where activations reach 0 (elsewhere it sets "
                       "channels to min - 1e7 instead of 0)",
             .cost = "1 forward, and the part behind the layer once per channel",
             .weakness = "slow for wide layers; divides by the score, so it needs a positive one"},
    .params = params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_FEEDS | OXP_METHOD_TAIL,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
    .drive = drive,
    .finish = oxp_cam_finish_sum,
};
