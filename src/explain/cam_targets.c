/* cam_targets.c - Grad-CAM of another scalar than the score: Finer-CAM (what sets the class apart
 * from the classes most like it) and ShapleyCAM (the gradient corrected by the curvature).
 *
 * The scalar is never built: only its derivative with respect to the scores y (N, classes) is, as a
 * seed to start the backward pass from. s is the task's own seed: 1 at the target. */
#include "explain/cam.h"

#include "ops/ops.h"

enum { SCORES = 1 }; /* the axis of classes */

static oxp_val over_classes(oxp_build *b, const oxp_op *op, oxp_val x)
{
    const int64_t axis = SCORES;
    return OXP_EMIT1(b, op, x, OXP_INTS("axes", &axis, 1), OXP_INT("keepdims", 1));
}

static oxp_status check_classes(oxp_task *t)
{
    const oxp_shape *s = oxp_b_shape(t->b, t->target);
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(t->ctx, s->rank != 2 || s->dim[SCORES] < 2, OXP_EUNSUPPORTED,
                "%s compares classes: expected a target of shape (items, classes), found %s",
                t->params->method->info.name, oxp_shape_text(s, text));
    return OXP_OK;
}

static oxp_val mean_weighted(oxp_task *t, const oxp_cam *c)
{
    return oxp_cam_map(t, c, oxp_b_mul(t->b, oxp_cam_mean(t, c, c->g), c->a));
}

/* ---- Finer-CAM ---- */

/* 1 at the `count` classes whose scores are nearest to the target's (equally near ones together);
 * with a contrast, at that class alone. */
static oxp_val reference_classes(oxp_task *t, oxp_val y, oxp_val is_target, int64_t count)
{
    oxp_build *b = t->b;
    const double far = 1e30;
    const oxp_val score = over_classes(b, &oxp_op_ReduceSum, oxp_b_mul(b, y, is_target));
    const oxp_val away = oxp_b_unary(b, &oxp_op_Abs, oxp_b_sub(b, y, score));
    const oxp_val zero = oxp_b_scalar(b, 0.0), one = oxp_b_scalar(b, 1.0);
    const oxp_val out_of_reach = oxp_b_scalar(b, far), limit = oxp_b_scalar(b, 0.5 * far);
    oxp_val rest = oxp_b_where(b, oxp_b_greater(b, is_target, zero), out_of_reach, away);
    oxp_val chosen = oxp_b_mul(b, is_target, zero);
    for (int64_t k = 0; k < count; k++) {
        const oxp_val nearest = over_classes(b, &oxp_op_ReduceMin, rest);
        /* not (rest > nearest), and not used up */
        const oxp_val here = oxp_b_where(b, oxp_b_greater(b, rest, nearest), zero,
                                         oxp_b_where(b, oxp_b_greater(b, rest, limit), zero, one));
        const oxp_val taken = oxp_b_greater(b, here, zero);
        chosen = oxp_b_add(b, chosen, here);
        rest = oxp_b_where(b, taken, out_of_reach, rest);
    }
    const oxp_val foil = oxp_b_unary(b, &oxp_op_Relu, oxp_b_unary(b, &oxp_op_Neg, t->seed));
    const oxp_val has_foil = oxp_b_greater(b, over_classes(b, &oxp_op_ReduceMax, foil), zero);
    return oxp_b_where(b, has_foil, foil, chosen);
}

/* F = sum_i q_i r_i / D over references i, with
 * q_i = p_i, r_i = y_target - alpha y_i, D = sum q_i + 1e-9:
 *
 *   dF/dy_j = 1[j = target] sum_i q_i / D - alpha q_j / D + q_j (r_j - F) / D - p_j e / D
 *   e = sum_i q_i (r_i - F)
 *
 * the last two terms because p = softmax(y) also depends on y. */
static oxp_val finer_seed(oxp_task *t)
{
    oxp_build *b = t->b;
    const oxp_val y = t->target;
    const oxp_val alpha = oxp_b_scalar(b, oxp_param_number(t->params, "alpha"));
    const oxp_val is_target = oxp_b_unary(b, &oxp_op_Relu, t->seed);
    const oxp_val p = OXP_EMIT1(b, &oxp_op_Softmax, y, OXP_INT("axis", SCORES));
    const oxp_val chosen =
        reference_classes(t, y, is_target, oxp_param_int(t->params, "references"));
    const oxp_val q = oxp_b_mul(b, chosen, p);
    const oxp_val sum_q = over_classes(b, &oxp_op_ReduceSum, q);
    const oxp_val d = oxp_b_add(b, sum_q, oxp_b_scalar(b, 1e-9));
    const oxp_val score = over_classes(b, &oxp_op_ReduceSum, oxp_b_mul(b, y, is_target));
    const oxp_val r = oxp_b_sub(b, score, oxp_b_mul(b, alpha, y));
    const oxp_val f = oxp_b_div(b, over_classes(b, &oxp_op_ReduceSum, oxp_b_mul(b, q, r)), d);
    const oxp_val pull = oxp_b_mul(b, q, oxp_b_sub(b, r, f));
    const oxp_val e = over_classes(b, &oxp_op_ReduceSum, pull);
    const oxp_val terms[] = {oxp_b_mul(b, is_target, sum_q),
                             oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, alpha, q)), pull,
                             oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, p, e))};
    return oxp_b_div(b, oxp_b_sum(b, terms, OXP_COUNT(terms)), d);
}

static oxp_status plan_finer(oxp_task *t)
{
    OXP_TRY(check_classes(t));
    const oxp_val seed = finer_seed(t);
    OXP_TRY(t->b->status);
    return oxp_cam_plan_seeded(t, seed, mean_weighted);
}

/* ---- ShapleyCAM ---- */

/* d(y_c + log softmax(y)_c)/dy = 2 s - p sum(s) */
static oxp_val shapley_seed(oxp_task *t)
{
    oxp_build *b = t->b;
    if (oxp_param_is(t->params, "score", "logit")) return t->seed;
    const oxp_val p = OXP_EMIT1(b, &oxp_op_Softmax, t->target, OXP_INT("axis", SCORES));
    const oxp_val total = over_classes(b, &oxp_op_ReduceSum, t->seed);
    return oxp_b_sub(b, oxp_b_mul(b, oxp_b_scalar(b, 2.0), t->seed), oxp_b_mul(b, p, total));
}

/* w_k = mean over positions of (g - H A / 2)_k. The product of the Hessian and A is the adjoint,
 * with respect to A, of the adjoint g, started from A: the gradient graph is differentiated. */
static oxp_status plan_shapley(oxp_task *t)
{
    if (!oxp_param_is(t->params, "score", "logit")) OXP_TRY(check_classes(t));
    const oxp_val seed = shapley_seed(t);
    OXP_TRY(t->b->status);
    OXP_TRY(oxp_task_backward(t, NULL, seed, t->out));
    for (size_t i = 0; i < t->n_at; i++) {
        OXP_TRY(oxp_cam_check(t, i));
        if (t->out[i] == OXP_NO_VAL) continue;
        oxp_val curved = OXP_NO_VAL;
        oxp_diff diff = {
            .target = &t->out[i], .seed = &t->at[i], .n_target = 1, .wrt = &t->at[i], .n_wrt = 1};
        OXP_TRY(oxp_differentiate(t->b, &diff));
        if (diff.adjoint[0] != OXP_NO_VAL)
            curved = oxp_b_mul(t->b, oxp_b_scalar(t->b, 0.5), diff.adjoint[0]);
        const oxp_val corrected =
            curved == OXP_NO_VAL ? t->out[i] : oxp_b_sub(t->b, t->out[i], curved);
        const oxp_cam c = oxp_cam_of(t, i, corrected);
        t->out[i] = mean_weighted(t, &c);
    }
    return t->b->status;
}

static const oxp_param_info finer_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    OXP_CAM_EIGEN,
    {"alpha", "how much of the other classes' scores is taken away", OXP_PARAM_FLOAT, 0, 1e6, "1",
     NULL},
    {"references", "how many classes of nearest score to compare with; a contrast replaces them",
     OXP_PARAM_INT, 1, 100, "3", NULL},
};

static const oxp_param_info shapley_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    OXP_CAM_EIGEN,
    {"score", "what is differentiated: the target's logit plus its log-softmax, or the logit alone",
     OXP_PARAM_CHOICE, 0, 0, "logit+log-softmax", "logit+log-softmax,logit"},
};

const oxp_method oxp_method_finer_cam = {
    .info = {.name = "finer-cam",
             .title = "Finer-CAM",
             .param_count = OXP_COUNT(finer_params),
             .needs_layer = 1,
             .sentence = "Grad-CAM of what sets the class apart from the classes most like it.",
             .definition = "Grad-CAM of sum_i p_i (y - alpha y_i) / sum_i p_i over the 3 classes i "
                           "of nearest score, p = softmax(y)",
             .paper = "Zhang et al. 2025, arXiv:2501.11309",
             .equals = "pytorch-grad-cam FinerCAM over GradCAM",
             .cost = "1 forward, backward down to the layer",
             .weakness = "shows little where the classes nearest in score look alike by chance"},
    .params = finer_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_finer,
    .finish = oxp_cam_finish,
};

const oxp_method oxp_method_shapley_cam = {
    .info = {.name = "shapley-cam",
             .title = "ShapleyCAM",
             .param_count = OXP_COUNT(shapley_params),
             .needs_layer = 1,
             .sentence = "Grad-CAM corrected by the curvature of the score, as a Shapley value of "
                         "channels would be.",
             .definition =
                 "w_k = mean over positions of (g - H A / 2)_k, g and H the first and "
                 "second derivative by A of logit + log-softmax; map = relu(sum_k w_k A_k)",
             .paper = "Cai 2025, arXiv:2501.06261",
             .equals = "pytorch-grad-cam ShapleyCAM on the same target",
             .cost = "1 forward, backward down to the layer, and the derivative of that",
             .weakness = "a second-order expansion around the input; on a logit behind ReLU and "
                         "pooling it is Grad-CAM"},
    .params = shapley_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_shapley,
    .finish = oxp_cam_finish,
};
