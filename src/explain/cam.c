/* cam.c - what cam.h promises; Grad-CAM, Grad-CAM++ and its product over layers, RefineCAM.
 *
 * A is the activation (N,K,space...) or (N,T,K) for tokens, g its adjoint. Tokens before the grid
 * (class token, registers) take part in neither the means nor the map. The raw attribution is
 * the map at the layer's resolution, (N, space...) or (N, T - prefix). */
#include "explain/cam.h"

#include "ops/ops.h"
#include <string.h>

oxp_cam oxp_cam_of(oxp_task *t, size_t i, oxp_val adjoint)
{
    const oxp_roles *r = &t->roles[i];
    oxp_cam c = {
        .a = t->at[i], .g = adjoint, .n_space = (size_t)r->n_spatial, .channel = r->channel};
    for (int s = 0; s < r->n_spatial; s++) c.space[s] = r->spatial[s];
    if (r->tokens && r->prefix > 0) {
        const int64_t end = oxp_b_shape(t->b, c.a)->dim[r->spatial[0]];
        c.a = oxp_b_slice(t->b, c.a, r->spatial[0], r->prefix, end);
        if (adjoint) c.g = oxp_b_slice(t->b, c.g, r->spatial[0], r->prefix, end);
    }
    return c;
}

oxp_val oxp_cam_map(oxp_task *t, const oxp_cam *c, oxp_val x)
{
    if (oxp_param_bool(t->params, "eigen")) return x;
    const oxp_val map = oxp_b_reduce_sum(t->b, x, &c->channel, 1, false);
    return oxp_param_bool(t->params, "relu") ? oxp_b_unary(t->b, &oxp_op_Relu, map) : map;
}

oxp_val oxp_cam_sum(oxp_task *t, const oxp_cam *c, oxp_val x)
{
    return oxp_b_reduce_sum(t->b, x, c->space, c->n_space, true);
}

oxp_val oxp_cam_mean(oxp_task *t, const oxp_cam *c, oxp_val x)
{
    return oxp_b_reduce_mean(t->b, x, c->space, c->n_space, true);
}

oxp_status oxp_cam_check(oxp_task *t, size_t i)
{
    const oxp_value *v = oxp_value_of(t->b->g, t->at[i]);
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(t->ctx, t->roles[i].channel < 0 || t->roles[i].n_spatial == 0, OXP_EINVAL,
                "layer '%s' has no positions and channels (shape %s): name one with --layer",
                v->name ? v->name : "", oxp_shape_text(&v->shape, text));
    return OXP_OK;
}

oxp_status oxp_cam_plan(oxp_task *t, oxp_cam_formula formula)
{
    return oxp_cam_plan_seeded(t, OXP_NO_VAL, formula);
}

oxp_status oxp_cam_plan_seeded(oxp_task *t, oxp_val seed, oxp_cam_formula formula)
{
    OXP_TRY(oxp_task_backward(t, NULL, seed, t->out));
    for (size_t i = 0; i < t->n_at; i++) {
        OXP_TRY(oxp_cam_check(t, i));
        if (t->out[i] == OXP_NO_VAL) continue;
        const oxp_cam c = oxp_cam_of(t, i, t->out[i]);
        t->out[i] = formula(t, &c);
    }
    return t->b->status;
}

oxp_status oxp_cam_plan_forward(oxp_task *t, oxp_cam_formula formula)
{
    for (size_t i = 0; i < t->n_at; i++) {
        OXP_TRY(oxp_cam_check(t, i));
        const oxp_cam c = oxp_cam_of(t, i, OXP_NO_VAL);
        t->out[i] = formula(t, &c);
    }
    return t->b->status;
}

oxp_val oxp_cam_activation(oxp_task *t, const oxp_cam *c)
{
    OXP_UNUSED(t);
    return c->a;
}

/* ---- on the host ---- */

oxp_status oxp_cam_positions(oxp_finish *f, oxp_cam_rows *rows)
{
    const int channel = f->roles->channel - 1; /* within the row */
    size_t outer = 1, inner = 1;
    f->out_shape = (oxp_shape){.rank = 0};
    for (int a = 0; a < f->in_shape.rank; a++) {
        if (a == channel) continue;
        *(a < channel ? &outer : &inner) *= (size_t)f->in_shape.dim[a];
        f->out_shape.dim[f->out_shape.rank++] = f->in_shape.dim[a];
    }
    const size_t channels = (size_t)f->in_shape.dim[channel];
    *rows = (oxp_cam_rows){.positions = outer * inner, .channels = channels};
    rows->at = OXP_NEW(f->arena, double, rows->positions *channels + 1);
    f->out = OXP_NEW(f->arena, double, rows->positions + 1);
    OXP_FAIL_IF(f->ctx, !rows->at || !f->out, OXP_ENOMEM, "out of memory");
    for (size_t o = 0; o < outer; o++)
        for (size_t c = 0; c < channels; c++)
            for (size_t i = 0; i < inner; i++)
                rows->at[(o * inner + i) * channels + c] = f->in[(o * channels + c) * inner + i];
    return OXP_OK;
}

oxp_status oxp_cam_finish(oxp_finish *f)
{
    if (oxp_param_bool(f->params, "eigen")) return oxp_cam_finish_component(f);
    f->out_shape = f->in_shape;
    f->out = oxp_arena_memdup(f->arena, f->in,
                              (size_t)oxp_shape_elements(&f->in_shape) * sizeof(double));
    OXP_NOMEM_IF(f->ctx, f->out);
    return OXP_OK;
}

oxp_status oxp_cam_finish_sum(oxp_finish *f)
{
    oxp_cam_rows rows;
    OXP_TRY(oxp_cam_positions(f, &rows));
    const bool relu = oxp_param_bool(f->params, "relu");
    for (size_t p = 0; p < rows.positions; p++) {
        double sum = 0.0;
        for (size_t c = 0; c < rows.channels; c++) sum += rows.at[p * rows.channels + c];
        f->out[p] = relu && sum < 0.0 ? 0.0 : sum;
    }
    return OXP_OK;
}

/* ---- Grad-CAM ---- */

/* w_k = mean over positions of dY/dA_k */
static oxp_val grad_cam(oxp_task *t, const oxp_cam *c)
{
    return oxp_cam_map(t, c, oxp_b_mul(t->b, oxp_cam_mean(t, c, c->g), c->a));
}

static oxp_status plan_grad_cam(oxp_task *t)
{
    return oxp_cam_plan(t, grad_cam);
}

/* sum over positions of alpha relu(g), S_k = sum of A_k over positions; z = 1[g > 0]:
 *   paper    alpha relu(g) = z g / (2 + S g)
 *   pgc      alpha = g^2 / (2 g^2 + S g^3 + 1e-6), 0 where g = 0 (pytorch-grad-cam)
 *   xplique  as paper with the mean of A in place of S, and a mean over positions */
static oxp_val plus_plus_weights(oxp_task *t, const oxp_cam *c)
{
    oxp_build *b = t->b;
    const bool xplique = oxp_param_is(t->params, "variant", "xplique");
    const oxp_val s = xplique ? oxp_cam_mean(t, c, c->a) : oxp_cam_sum(t, c, c->a);
    const oxp_val zero = oxp_b_scalar(b, 0.0), two = oxp_b_scalar(b, 2.0), g = c->g;
    const oxp_val rectified = oxp_b_unary(b, &oxp_op_Relu, g);
    oxp_val w;
    if (oxp_param_is(t->params, "variant", "pgc")) {
        const oxp_val g2 = oxp_b_mul(b, g, g), g3 = oxp_b_mul(b, g2, g);
        oxp_val denominator = oxp_b_add(b, oxp_b_mul(b, two, g2), oxp_b_mul(b, s, g3));
        denominator = oxp_b_add(b, denominator, oxp_b_scalar(b, 1e-6));
        w = oxp_b_mul(b, oxp_b_div(b, g2, denominator), rectified);
    } else {
        w = oxp_b_div(b, rectified, oxp_b_add(b, two, oxp_b_mul(b, s, g)));
    }
    /* also where the denominator vanishes at g <= 0 */
    w = oxp_b_where(b, oxp_b_greater(b, g, zero), w, zero);
    return xplique ? oxp_cam_mean(t, c, w) : oxp_cam_sum(t, c, w);
}

static oxp_val grad_cam_pp(oxp_task *t, const oxp_cam *c)
{
    return oxp_cam_map(t, c, oxp_b_mul(t->b, plus_plus_weights(t, c), c->a));
}

/* Where some S_k < 0 the paper's denominator can vanish, so then the formula must be chosen. */
static oxp_status plan_grad_cam_pp(oxp_task *t)
{
    OXP_TRY(oxp_cam_plan(t, grad_cam_pp));
    if (oxp_param_given(t->params, "variant")) return OXP_OK;
    for (size_t i = 0; i < t->n_at; i++) {
        if (t->out[i] == OXP_NO_VAL) continue;
        const oxp_cam c = oxp_cam_of(t, i, OXP_NO_VAL);
        t->guard[i] = oxp_b_reduce_sum(t->b, c.a, c.space, c.n_space, false);
    }
    return t->b->status;
}

static const oxp_param_info cam_params[] = {
    OXP_CAM_RELU("true"), OXP_CAM_UPSAMPLE, OXP_CAM_AUGMENT, OXP_CAM_JOIN("mean"), OXP_CAM_EIGEN,
};

#define VARIANT                                                                                   \
    {                                                                                             \
        "variant",                                                                                \
            "whose formula: the paper's, pytorch-grad-cam's (epsilon 1e-6) or xplique's (means)", \
            OXP_PARAM_CHOICE, 0, 0, "paper", "paper,pgc,xplique"                                  \
    }

static const oxp_param_info plus_params[] = {
    OXP_CAM_RELU("true"), OXP_CAM_UPSAMPLE, OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"), OXP_CAM_EIGEN,    VARIANT,
};

static const oxp_param_info refine_params[] = {
    OXP_CAM_RELU("true"),    OXP_CAM_UPSAMPLE, OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("product"), OXP_CAM_EIGEN,    VARIANT,
};

#define GUARD                                                                                  \
    "has channels whose activations sum to less than zero, where the paper's denominator can " \
    "vanish: choose --set variant=paper, pgc or xplique, or another --layer"

const oxp_method oxp_method_grad_cam = {
    .info =
        {.name = "grad-cam",
         .is_main = 1,
         .title = "Grad-CAM",
         .param_count = OXP_COUNT(cam_params),
         .needs_layer = 1,
         .sentence =
             "Where the layer's features that raise the score are active: coarse, class-specific.",
         .definition = "w_k = mean of dY/dA_k over positions; map = relu(sum_k w_k A_k)",
         .paper = "Selvaraju et al. 2017, arXiv:1610.02391",
         .equals =
             "pytorch-grad-cam GradCAM before its normalisation; Captum LayerGradCam with relu",
         .cost = "1 forward, backward down to the layer",
         .weakness = "coarse; a mean of gradients can hide what single positions do"},
    .params = cam_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_grad_cam,
    .finish = oxp_cam_finish,
};

const oxp_method oxp_method_grad_cam_pp = {
    .info = {.name = "grad-cam++",
             .is_main = 1,
             .title = "Grad-CAM++",
             .param_count = OXP_COUNT(plus_params),
             .needs_layer = 1,
             .sentence = "Grad-CAM with positions weighted by positive gradients: better for "
                         "several objects of one class.",
             .definition = "w_k = sum of relu(g) g^2 / (2 g^2 + S_k g^3); map = relu(sum_k w_k "
                           "A_k); S_k = sum of A_k",
             .paper = "Chattopadhay et al. 2018, arXiv:1710.11063",
             .equals =
                 "pytorch-grad-cam GradCAMPlusPlus with variant=pgc; xplique with variant=xplique",
             .cost = "1 forward, backward down to the layer",
             .weakness = "coarse; its weights assume activations that are not negative"},
    .params = plus_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_grad_cam_pp,
    .finish = oxp_cam_finish,
    .guard = GUARD,
};

/* Maps of several layers, fine and coarse, multiplied: what all of them show stays. */
const oxp_method oxp_method_refine_cam = {
    .info = {.name = "refine-cam",
             .title = "RefineCAM",
             .param_count = OXP_COUNT(refine_params),
             .needs_layer = 1,
             .sentence = "Grad-CAM++ at several layers, multiplied: the detail of early layers "
                         "where late ones agree.",
             .definition = "product over layers of map / max(map), map = Grad-CAM++ enlarged to "
                           "the input",
             .paper = "How to Evaluate and Refine your CAM 2026, arXiv:2605.14641",
             .equals = "torchcam RefineCAM over layers of the input's size; pytorch-grad-cam "
                       "RefineCAM up to its last scaling",
             .cost = "1 forward, backward down to the first layer",
             .weakness = "one layer that shows nothing empties the map; with one layer it is "
                         "Grad-CAM++"},
    .params = refine_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_grad_cam_pp,
    .finish = oxp_cam_finish,
    .guard = GUARD,
};
