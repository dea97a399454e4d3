/* cam.c - Grad-CAM and Grad-CAM++: a weighted sum of a layer's channels.
 *
 * A is the activation (N,K,space...) or (N,T,K) for tokens, g its adjoint. Tokens before the grid
 * (class token, registers) take part in neither the means nor the map. The raw attribution is
 * the map at the layer's resolution, (N, space...) or (N, T - prefix). */
#include "explain/method.h"

#include "ops/ops.h"

typedef struct cam {
    oxp_val a, g; /* prefix tokens dropped */
    int64_t space[3];
    size_t n_space;
    int64_t channel;
} cam;

static cam cam_of(oxp_task *t, size_t i, oxp_val adjoint)
{
    const oxp_roles *r = &t->roles[i];
    cam c = {.a = t->at[i], .g = adjoint, .n_space = (size_t)r->n_spatial, .channel = r->channel};
    for (int s = 0; s < r->n_spatial; s++) c.space[s] = r->spatial[s];
    if (r->tokens && r->prefix > 0) {
        const int64_t end = oxp_b_shape(t->b, c.a)->dim[r->spatial[0]];
        c.a = oxp_b_slice(t->b, c.a, r->spatial[0], r->prefix, end);
        c.g = oxp_b_slice(t->b, c.g, r->spatial[0], r->prefix, end);
    }
    return c;
}

/* relu(sum_k w_k A_k); w keeps A's rank with the spatial axes 1. */
static oxp_val weighted_map(oxp_task *t, const cam *c, oxp_val w)
{
    const oxp_val map = oxp_b_reduce_sum(t->b, oxp_b_mul(t->b, w, c->a), &c->channel, 1, false);
    return oxp_param_bool(t->params, "relu") ? oxp_b_unary(t->b, &oxp_op_Relu, map) : map;
}

/* w_k = mean over positions of dY/dA_k */
static oxp_status plan_grad_cam(oxp_task *t)
{
    OXP_TRY(oxp_task_backward(t, NULL, OXP_NO_VAL, t->out));
    for (size_t i = 0; i < t->n_at; i++) {
        if (t->out[i] == OXP_NO_VAL) continue;
        const cam c = cam_of(t, i, t->out[i]);
        t->out[i] = weighted_map(t, &c, oxp_b_reduce_mean(t->b, c.g, c.space, c.n_space, true));
    }
    return t->b->status;
}

/* sum over positions of alpha relu(g), S_k = sum of A_k over positions; z = 1[g > 0]:
 *   paper    alpha relu(g) = z g / (2 + S g)
 *   pgc      alpha = g^2 / (2 g^2 + S g^3 + 1e-6), 0 where g = 0 (pytorch-grad-cam)
 *   xplique  as paper with the mean of A in place of S, and a mean over positions */
static oxp_val plus_plus_weights(oxp_task *t, const cam *c)
{
    oxp_build *b = t->b;
    const bool xplique = oxp_param_is(t->params, "variant", "xplique");
    const oxp_val s = xplique ? oxp_b_reduce_mean(b, c->a, c->space, c->n_space, true)
                              : oxp_b_reduce_sum(b, c->a, c->space, c->n_space, true);
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
    return xplique ? oxp_b_reduce_mean(b, w, c->space, c->n_space, true)
                   : oxp_b_reduce_sum(b, w, c->space, c->n_space, true);
}

/* Where some S_k < 0 the paper's denominator can vanish, so then the formula must be chosen. */
static oxp_status plan_grad_cam_pp(oxp_task *t)
{
    OXP_TRY(oxp_task_backward(t, NULL, OXP_NO_VAL, t->out));
    for (size_t i = 0; i < t->n_at; i++) {
        if (t->out[i] == OXP_NO_VAL) continue;
        const cam c = cam_of(t, i, t->out[i]);
        t->out[i] = weighted_map(t, &c, plus_plus_weights(t, &c));
        if (!oxp_param_given(t->params, "variant"))
            t->guard[i] = oxp_b_reduce_sum(t->b, c.a, c.space, c.n_space, false);
    }
    return t->b->status;
}

static const oxp_param_info cam_params[] = {
    {"relu", "keep only what speaks for the target", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"upsample", "how the map reaches the input's resolution", OXP_PARAM_CHOICE, 0, 0, "linear",
     "linear,nearest,none"},
};

static const oxp_param_info plus_params[] = {
    {"relu", "keep only what speaks for the target", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"upsample", "how the map reaches the input's resolution", OXP_PARAM_CHOICE, 0, 0, "linear",
     "linear,nearest,none"},
    {"variant",
     "whose formula: the paper's, pytorch-grad-cam's (epsilon 1e-6) or xplique's (means)",
     OXP_PARAM_CHOICE, 0, 0, "paper", "paper,pgc,xplique"},
};

const oxp_method oxp_method_grad_cam = {
    .info =
        {.name = "grad-cam",
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
};

const oxp_method oxp_method_grad_cam_pp = {
    .info = {.name = "grad-cam++",
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
    .guard = "has channels whose activations sum to less than zero, where the paper's denominator "
             "can vanish: choose --set variant=paper, pgc or xplique, or another --layer",
};
