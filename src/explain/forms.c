/* forms.c - attribution to the units of a layer: activation, gradient x activation, internal
 * influence, conductance.
 *
 *   activation            A
 *   gradient-x-activation A . g,  g = dY/dA
 *   internal-influence    mean over the line from x0 to x of g
 *   conductance           sum over cells [a_s, a_s+1] of the line of g . (A(a_s+1) - A(a_s))
 *
 * Conductance runs once at each of steps + 1 evenly spaced points and takes g of a cell as the mean
 * of both its ends (rule=left, right: of one). Its sum over a layer that all paths pass is the
 * change of the score. The map is the sum over channels, enlarged to the input. */
#include "explain/path.h"

#include <math.h>
#include <string.h>

static oxp_status plan_activation(oxp_task *t)
{
    for (size_t i = 0; i < t->n_at; i++) t->out[i] = t->at[i];
    return OXP_OK;
}

static oxp_status plan_influence(oxp_task *t)
{
    OXP_TRY(oxp_baseline_check(t->ctx, t->params));
    return oxp_plan_gradient(t);
}

/* out = (A, g) side by side, (N,2,...): the drive needs both */
static oxp_status plan_conductance(oxp_task *t)
{
    OXP_TRY(oxp_baseline_check(t->ctx, t->params));
    OXP_TRY(oxp_plan_gradient(t));
    for (size_t i = 0; i < t->n_at; i++) {
        if (t->out[i] == OXP_NO_VAL) continue;
        const oxp_shape *from = oxp_b_shape(t->b, t->at[i]);
        OXP_FAIL_IF(t->ctx, from->rank < 1 || from->rank >= OXP_MAX_RANK, OXP_EUNSUPPORTED,
                    "conductance: the layer has %d axes, expected 1 to %d", from->rank,
                    OXP_MAX_RANK - 1);
        oxp_shape to = {.rank = from->rank + 1, .dim = {from->dim[0], 1}};
        memcpy(to.dim + 2, from->dim + 1, (size_t)(from->rank - 1) * sizeof(int64_t));
        const oxp_val both[2] = {oxp_b_reshape(t->b, t->at[i], &to),
                                 oxp_b_reshape(t->b, t->out[i], &to)};
        t->out[i] = oxp_b_concat(t->b, both, 2, 1);
    }
    return t->b->status;
}

/* The first half of a row, where the drive leaves the conductance. */
static oxp_status finish_conductance(oxp_finish *f)
{
    f->out_shape = oxp_shape_of(f->in_shape.rank - 1, f->in_shape.dim + 1);
    f->out = oxp_arena_memdup(f->arena, f->in,
                              (size_t)oxp_shape_elements(&f->out_shape) * sizeof(double));
    OXP_NOMEM_IF(f->ctx, f->out);
    return OXP_OK;
}

static oxp_status drive_influence(oxp_drive *d)
{
    oxp_quadrature q;
    oxp_chunk c;
    double **x0, **to = OXP_NEW(d->ctx->scratch, double *, d->n_out + 1);
    OXP_NOMEM_IF(d->ctx, to);
    OXP_TRY(oxp_quadrature_make(d, &q));
    OXP_TRY(oxp_baseline_new(d, &x0));
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &c));
    for (size_t item = 0; item < d->n_items; item++) {
        OXP_TRY(oxp_baseline_fill(d, oxp_param_text(d->params, "baseline"), item, 0, x0));
        for (size_t o = 0; o < d->n_out; o++) to[o] = d->out[o] + item * (size_t)d->out_count[o];
        OXP_TRY(oxp_line_mean(d, &q, &c, item, x0, to, NULL, item * q.n, d->n_items * q.n));
    }
    return OXP_OK;
}

/* One cell: from the row `last` to the row `now`, each (A, g) of `units` units. */
static void add_cell(const oxp_params *p, size_t units, const double *last, const double *now,
                     double *to)
{
    const double left = oxp_param_is(p, "rule", "left")    ? 1.0
                        : oxp_param_is(p, "rule", "right") ? 0.0
                                                           : 0.5;
    for (size_t i = 0; i < units; i++)
        to[i] += (left * last[units + i] + (1.0 - left) * now[units + i]) * (now[i] - last[i]);
}

/* Points 0 to steps of one item; last[o] keeps the row before across chunks. */
static oxp_status conduct_item(oxp_drive *d, const oxp_chunk *c, size_t item, double *const *x0,
                               double *const *last)
{
    const size_t steps = (size_t)oxp_param_int(d->params, "steps"), width = oxp_rows_width(d);
    double ends[2] = {0}, sum = 0.0;
    for (size_t o = 0; o < d->n_out; o++)
        memset(d->out[o] + item * (size_t)d->out_count[o], 0,
               (size_t)d->out_count[o] * sizeof(double));
    for (size_t k = 0; k <= steps; k += width) {
        const size_t rows = steps + 1 - k < width ? steps + 1 - k : width;
        for (size_t r = 0; r < rows; r++)
            oxp_chunk_line(d, c, r, item, x0, (double)(k + r) / (double)steps);
        OXP_TRY(oxp_rows_run(d, rows, c->feed, c->side, c->out, c->score));
        if (k == 0) ends[0] = c->score[0];
        ends[1] = c->score[rows - 1];
        for (size_t o = 0; o < d->n_out; o++) {
            const size_t n = (size_t)d->out_count[o];
            for (size_t r = 0; r < rows; r++) {
                const double *now = c->out[o] + r * n;
                if (k + r > 0) add_cell(d->params, n / 2, last[o], now, d->out[o] + item * n);
                memcpy(last[o], now, n * sizeof(double));
            }
        }
        OXP_TRY(oxp_ctx_progress(d->ctx, d->method->info.name, item * (steps + 1) + k + rows,
                                 d->n_items * (steps + 1)));
    }
    for (size_t i = 0; d->n_out == 1 && i < (size_t)d->out_count[0] / 2; i++)
        sum += d->out[0][item * (size_t)d->out_count[0] + i];
    if (d->n_out == 1) {
        d->attributed[item] = sum;
        d->expected[item] = ends[1] - ends[0];
    }
    return OXP_OK;
}

static oxp_status drive_conductance(oxp_drive *d)
{
    oxp_chunk c;
    double **x0, **last = OXP_NEW(d->ctx->scratch, double *, d->n_out + 1);
    OXP_NOMEM_IF(d->ctx, last);
    for (size_t o = 0; o < d->n_out; o++) {
        last[o] = OXP_NEW(d->ctx->scratch, double, d->out_count[o] + 1);
        OXP_NOMEM_IF(d->ctx, last[o]);
    }
    OXP_TRY(oxp_baseline_new(d, &x0));
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &c));
    for (size_t item = 0; item < d->n_items; item++) {
        OXP_TRY(oxp_baseline_fill(d, oxp_param_text(d->params, "baseline"), item, 0, x0));
        OXP_TRY(conduct_item(d, &c, item, x0, last));
    }
    return OXP_OK;
}

/* clang-format off */
#define FORM_PARAMS                                                                                \
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",                     \
     "max,sum,mean,l1,l2,none"},                                                                   \
    {"upsample", "how the map reaches the input's resolution", OXP_PARAM_CHOICE, 0, 0, "linear",   \
     "linear,nearest,none"}
#define LINE_PARAMS(rule, rules)                                                                   \
    {"steps", "cells or points on the line", OXP_PARAM_INT, 1, 100000, "50", NULL},                \
    {"rule", "quadrature", OXP_PARAM_CHOICE, 0, 0, rule, rules},                                   \
    OXP_BASELINE_PARAMS("zero"),                                                                   \
    OXP_BASELINE_SEED
/* clang-format on */

static const oxp_param_info form_params[] = {FORM_PARAMS};
static const oxp_param_info influence_params[] = {
    LINE_PARAMS("gauss-legendre", "gauss-legendre,left,right,middle,trapezoid"), FORM_PARAMS};
static const oxp_param_info conductance_params[] = {
    LINE_PARAMS("trapezoid", "trapezoid,left,right"), FORM_PARAMS};

const oxp_method oxp_method_activation = {
    .info = {.name = "activation",
             .title = "Activation",
             .param_count = OXP_COUNT(form_params),
             .needs_layer = 1,
             .is_signed = 1,
             .sentence = "What the units of a layer hold, whatever the target.",
             .definition = "A; map: sum over channels",
             .paper = "Erhan et al. 2009, Visualizing Higher-Layer Features of a Deep Network",
             .equals = "Captum LayerActivation",
             .cost = "1 forward",
             .weakness = "the same for every class"},
    .params = form_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_SIGNED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_activation,
};

const oxp_method oxp_method_gradient_x_activation = {
    .info = {.name = "gradient-x-activation",
             .title = "Gradient x activation",
             .param_count = OXP_COUNT(form_params),
             .needs_layer = 1,
             .is_signed = 1,
             .sentence = "What each unit of a layer contributes to the score, to first order.",
             .definition = "A . dY/dA; map: sum over channels",
             .paper = "Shrikumar et al. 2016, arXiv:1605.01713, at a layer",
             .equals = "Captum LayerGradientXActivation",
             .cost = "1 forward, backward down to the layer",
             .weakness = "not complete where the model is curved above the layer"},
    .params = form_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_SIGNED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = oxp_plan_input_x_gradient,
};

const oxp_method oxp_method_internal_influence = {
    .info = {.name = "internal-influence",
             .title = "Internal influence",
             .param_count = OXP_COUNT(influence_params),
             .needs_layer = 1,
             .is_signed = 1,
             .sentence = "How much each unit of a layer moves the score, on average between a "
                         "baseline and the input.",
             .definition = "integral over a of dY/dA at x0 + a (x - x0); map: sum over channels",
             .paper = "Leino et al. 2018, arXiv:1802.03788",
             .equals = "Captum InternalInfluence",
             .cost = "steps forward, steps backward down to the layer",
             .weakness = "a sensitivity, not a share: says nothing of how active a unit is"},
    .params = influence_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_influence,
    .drive = drive_influence,
};

const oxp_method oxp_method_conductance = {
    .info = {.name = "conductance",
             .title = "Conductance",
             .param_count = OXP_COUNT(conductance_params),
             .needs_layer = 1,
             .is_signed = 1,
             .sentence = "How much of the score's change from a baseline flows through each unit "
                         "of a layer: shares add up.",
             .definition = "integral over a of dY/dA . dA/da on the line x0 + a (x - x0); map: sum "
                           "over channels",
             .paper = "Dhamdhere, Sundararajan, Yan 2018, arXiv:1805.12233",
             .equals = "Captum LayerConductance (riemann_left spacing with rule=left)",
             .cost = "steps + 1 forward, as many backward down to the layer",
             .weakness = "depends on the baseline; adds up only at layers that all paths pass"},
    .params = conductance_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_conductance,
    .drive = drive_conductance,
    .finish = finish_conductance,
};
