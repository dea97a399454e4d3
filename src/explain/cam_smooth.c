/* cam_smooth.c - Smooth Grad-CAM++: Grad-CAM++ whose derivatives are averaged over noisy copies of the
 * input before they are combined; the activations are those of the input itself.
 *
 *   D_n = mean over copies of g^n,   S_k = sum of A_k over positions
 *   w_k = sum over positions of relu(D_1) D_2 / (2 D_2 + S_k D_3),   map = relu(sum_k w_k A_k)
 *
 * A position counts where D_1 > 0. Variant torchcam takes sum(A_k D_3) for S_k D_3, adds 1e-8 below, and
 * takes g of the last copy for D_1. Noise as in smooth.c. One pass gives A and g side by side, along
 * the channels; drive leaves A and each position's part of w_k there, and finish puts them together. */
#include "explain/cam.h"

#include "explain/path.h"
#include <string.h>

static oxp_val activation_and_adjoint(oxp_task *t, const oxp_cam *c)
{
    const oxp_val both[2] = {c->a, c->g};
    return oxp_b_concat(t->b, both, 2, c->channel);
}

/* The paper's denominator can vanish where some S_k < 0, so then the formula must be chosen. */
static oxp_status plan(oxp_task *t)
{
    OXP_TRY(oxp_cam_plan(t, activation_and_adjoint));
    if (oxp_param_given(t->params, "variant")) return OXP_OK;
    for (size_t i = 0; i < t->n_at; i++) {
        if (t->out[i] == OXP_NO_VAL) continue;
        const oxp_cam c = oxp_cam_of(t, i, OXP_NO_VAL);
        t->guard[i] = oxp_b_reduce_sum(t->b, c.a, c.space, c.n_space, false);
    }
    return t->b->status;
}

typedef struct moments { /* of one output: [outer][2 channels][inner] per row */
    size_t outer, channels, inner;
    bool torchcam;
    double *d[3]; /* D_1, D_2, D_3: [outer][channels][inner] */
} moments;

static oxp_status new_moments(const oxp_drive *d, size_t o, moments *m)
{
    const oxp_shape *s = &d->out_shape[o];
    const int axis = d->out_roles[o].channel - 1;
    *m = (moments){.outer = 1, .channels = (size_t)s->dim[axis] / 2, .inner = 1};
    m->torchcam = oxp_param_is(d->params, "variant", "torchcam");
    for (int a = 0; a < s->rank; a++)
        if (a != axis) *(a < axis ? &m->outer : &m->inner) *= (size_t)s->dim[a];
    for (int k = 0; k < 3; k++) {
        m->d[k] = OXP_NEW(d->ctx->scratch, double, m->outer * m->channels * m->inner + 1);
        OXP_NOMEM_IF(d->ctx, m->d[k]);
    }
    return OXP_OK;
}

/* Start of channel c of a row's second half, g. */
static size_t adjoint_at(const moments *m, size_t outer, size_t c)
{
    return (outer * 2 * m->channels + m->channels + c) * m->inner;
}

static void enter(const moments *m, const double *row, double weight)
{
    for (size_t o = 0; o < m->outer; o++)
        for (size_t c = 0; c < m->channels; c++)
            for (size_t i = 0; i < m->inner; i++) {
                const double g = row[adjoint_at(m, o, c) + i];
                const size_t at = (o * m->channels + c) * m->inner + i;
                m->d[0][at] = m->torchcam ? g : m->d[0][at] + weight * g;
                m->d[1][at] += weight * g * g;
                m->d[2][at] += weight * g * g * g;
            }
}

/* The second half of the clean row becomes each position's part of w_k. */
static void combine(const moments *m, double *row)
{
    for (size_t c = 0; c < m->channels; c++) {
        double s = 0.0, third = 0.0;
        for (size_t o = 0; o < m->outer; o++)
            for (size_t i = 0; i < m->inner; i++) {
                const double a = row[(o * 2 * m->channels + c) * m->inner + i];
                s += a;
                third += a * m->d[2][(o * m->channels + c) * m->inner + i];
            }
        for (size_t o = 0; o < m->outer; o++)
            for (size_t i = 0; i < m->inner; i++) {
                const size_t at = (o * m->channels + c) * m->inner + i;
                const double first = m->d[0][at], second = m->d[1][at];
                const double below = 2.0 * second + (m->torchcam ? third + 1e-8 : s * m->d[2][at]);
                row[adjoint_at(m, o, c) + i] = first > 0.0 ? first * second / below : 0.0;
            }
    }
}

static oxp_status smooth_item(oxp_drive *d, const oxp_chunk *chunk, const moments *m, size_t item)
{
    const size_t samples = (size_t)oxp_param_int(d->params, "samples");
    for (size_t o = 0; o < d->n_out; o++)
        for (int k = 0; k < 3; k++)
            memset(m[o].d[k], 0, m[o].outer * m[o].channels * m[o].inner * sizeof(double));
    for (size_t s = 0; s < samples; s += chunk->width) {
        const size_t rows = samples - s < chunk->width ? samples - s : chunk->width;
        for (size_t r = 0; r < rows; r++) {
            oxp_noise_row(d, chunk->feed, r, item, (uint32_t)(s + r));
            chunk->side[r] = d->side[item];
        }
        OXP_TRY(oxp_rows_run(d, rows, chunk->feed, chunk->side, chunk->out, NULL));
        for (size_t o = 0; o < d->n_out; o++)
            for (size_t r = 0; r < rows; r++)
                enter(&m[o], chunk->out[o] + r * (size_t)d->out_count[o], 1.0 / (double)samples);
        OXP_TRY(oxp_ctx_progress(d->ctx, d->method->info.name, item * samples + s + rows,
                                 d->n_items * samples));
    }
    for (size_t o = 0; o < d->n_out; o++)
        combine(&m[o], d->out[o] + item * (size_t)d->out_count[o]);
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    oxp_chunk chunk;
    moments *m = OXP_NEW(d->ctx->scratch, moments, d->n_out + 1);
    OXP_NOMEM_IF(d->ctx, m);
    for (size_t o = 0; o < d->n_out; o++) OXP_TRY(new_moments(d, o, &m[o]));
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &chunk));
    for (size_t item = 0; item < d->n_items; item++) OXP_TRY(smooth_item(d, &chunk, m, item));
    return OXP_OK;
}

/* map = relu(sum_k w_k A_k), w_k = sum over positions of the second half */
static oxp_status finish(oxp_finish *f)
{
    oxp_cam_rows both;
    OXP_TRY(oxp_cam_positions(f, &both));
    const size_t n = both.channels / 2;
    const bool relu = oxp_param_bool(f->params, "relu");
    for (size_t p = 0; p < both.positions; p++) f->out[p] = 0.0;
    for (size_t k = 0; k < n; k++) {
        double w = 0.0;
        for (size_t p = 0; p < both.positions; p++) w += both.at[p * both.channels + n + k];
        for (size_t p = 0; p < both.positions; p++) f->out[p] += w * both.at[p * both.channels + k];
    }
    for (size_t p = 0; p < both.positions; p++)
        if (relu && f->out[p] < 0.0) f->out[p] = 0.0;
    return OXP_OK;
}

static const oxp_param_info params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    {"samples", "noisy copies", OXP_PARAM_INT, 1, 1000000, "25", NULL},
    {"level", "standard deviation of the noise, relative to max - min of each input",
     OXP_PARAM_FLOAT, 0, 1e6, "0.15", NULL},
    {"noise", "what level is relative to", OXP_PARAM_CHOICE, 0, 0, "relative", "relative,absolute"},
    {"variant", "the paper's formula or torchcam's", OXP_PARAM_CHOICE, 0, 0, "paper",
     "paper,torchcam"},
    {"seed", "of the random numbers", OXP_PARAM_INT, 0, 9007199254740992.0, "0", NULL},
};

const oxp_method oxp_method_smooth_grad_cam_pp = {
    .info = {.name = "smooth-grad-cam++",
             .title = "Smooth Grad-CAM++",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "Grad-CAM++ with its derivatives averaged over noisy copies of the input.",
             .definition = "w_k = sum of relu(D1) D2 / (2 D2 + S_k D3), Dn = mean of g^n over x + "
                           "N(0, (level (max - min))^2); map = relu(sum_k w_k A_k)",
             .paper = "Omeiza et al. 2019, arXiv:1908.01224",
             .equals = "torchcam SmoothGradCAMpp with variant=torchcam, on the same noise",
             .cost = "samples + 1 forward, samples + 1 backward down to the layer",
             .weakness = "as Grad-CAM++; another seed gives another map"},
    .params = params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_FEEDS | OXP_METHOD_STARTS,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
    .drive = drive,
    .finish = finish,
    .guard = "has channels whose activations sum to less than zero, where the method's denominator "
             "can vanish: choose --set variant=paper or torchcam, or another --layer",
};
