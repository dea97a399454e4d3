/* gradient.c - the plain gradient and what is made of it by multiplication: saliency, input x
 * gradient and the contrastive pair.
 *
 * A contrast is not another computation: the seed holds +1 at the target and -1 at the foil, so
 * the same graph gives d(Y_c - Y_c')/dx. */
#include "explain/method.h"

oxp_status oxp_task_backward(oxp_task *t, const oxp_rule_set *rules, oxp_val seed, oxp_val *adjoint)
{
    const oxp_val from = seed == OXP_NO_VAL ? t->seed : seed;
    oxp_diff diff = {.target = &t->target,
                     .seed = &from,
                     .n_target = 1,
                     .wrt = t->at,
                     .n_wrt = t->n_at,
                     .rules = rules};
    OXP_TRY(oxp_differentiate(t->b, &diff));
    for (size_t i = 0; i < t->n_at; i++) adjoint[i] = diff.adjoint[i];
    t->touched = diff.touched;
    t->n_touched = diff.n_touched;
    t->stopped = diff.stopped;
    return OXP_OK;
}

/* out = dY/dx */
oxp_status oxp_plan_gradient(oxp_task *t)
{
    return oxp_task_backward(t, NULL, OXP_NO_VAL, t->out);
}

oxp_status oxp_plan_score(oxp_task *t)
{
    for (size_t i = 0; i < t->n_at; i++) t->out[i] = OXP_NO_VAL;
    t->only_scores = true;
    return OXP_OK;
}

/* out = x . dY/dx */
oxp_status oxp_plan_input_x_gradient(oxp_task *t)
{
    OXP_TRY(oxp_plan_gradient(t));
    for (size_t i = 0; i < t->n_at; i++)
        if (t->out[i] != OXP_NO_VAL) t->out[i] = oxp_b_mul(t->b, t->at[i], t->out[i]);
    return t->b->status;
}

static const oxp_param_info magnitude_params[] = {
    {"abs", "take magnitudes before reducing channels", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "max",
     "max,sum,mean,l1,l2,none"},
};

static const oxp_param_info signed_params[] = {
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",
     "max,sum,mean,l1,l2,none"},
};

static const oxp_param_info contrast_params[] = {
    {"abs", "take magnitudes before reducing channels", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "max",
     "max,sum,mean,l1,l2,none"},
    {"norm", "how a token's embedding dimensions become one number", OXP_PARAM_CHOICE, 0, 0, "l1",
     "l1,l2"},
};

const oxp_method oxp_method_saliency = {
    .info = {.name = "saliency",
             .is_main = 1,
             .title = "Saliency",
             .param_count = OXP_COUNT(magnitude_params),
             .sentence = "Which input values change the score most when nudged.",
             .definition = "dY/dx; map: maximum over channels of the magnitude",
             .paper = "Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034",
             .equals = "Captum Saliency (abs, then the maximum over channels)",
             .cost = "1 forward, 1 backward",
             .weakness = "noisy; near zero where the model saturates"},
    .params = magnitude_params,
    .channels = OXP_CHANNELS_MAX,
    .features = OXP_CHANNELS_L2,
    .plan = oxp_plan_gradient,
};

const oxp_method oxp_method_input_x_gradient = {
    .info = {.name = "input-x-gradient",
             .is_main = 1,
             .title = "Input x gradient",
             .param_count = OXP_COUNT(signed_params),
             .is_signed = 1,
             .sentence = "What each input value contributes to the score, to first order.",
             .definition = "x . dY/dx; map: sum over channels",
             .paper = "Shrikumar et al. 2016, arXiv:1605.01713",
             .equals = "Captum InputXGradient",
             .cost = "1 forward, 1 backward",
             .weakness =
                 "inputs at zero get nothing; not complete for models with biases or saturation; "
                 "fails input shift invariance (Kindermans 2017)"},
    .params = signed_params,
    .flags = OXP_METHOD_SIGNED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = oxp_plan_input_x_gradient,
};

const oxp_method oxp_method_contrastive_gradient = {
    .info = {.name = "contrastive-gradient",
             .is_main = 1,
             .title = "Contrastive gradient",
             .param_count = OXP_COUNT(contrast_params),
             .is_contrastive = 1,
             .sentence = "Which input values decide between the target and another class.",
             .definition =
                 "d(Y_c - Y_c')/dx; map: maximum over channels of the magnitude (tokens: L1 norm)",
             .paper = "Yin, Neubig 2022, arXiv:2202.10419",
             .equals = "interpret-lm (L1 norm over an embedding)",
             .cost = "1 forward, 1 backward",
             .weakness = "noisy like every plain gradient"},
    .params = contrast_params,
    .flags = OXP_METHOD_CONTRASTIVE,
    .channels = OXP_CHANNELS_MAX,
    .features = OXP_CHANNELS_L1,
    .plan = oxp_plan_gradient,
};

const oxp_method oxp_method_contrastive_input_x_gradient = {
    .info = {.name = "contrastive-input-x-gradient",
             .is_main = 1,
             .title = "Contrastive input x gradient",
             .param_count = OXP_COUNT(signed_params),
             .is_contrastive = 1,
             .is_signed = 1,
             .sentence =
                 "What each input value contributes to the target's lead over another class.",
             .definition = "x . d(Y_c - Y_c')/dx; map: sum over channels",
             .paper = "Yin, Neubig 2022, arXiv:2202.10419",
             .equals = "interpret-lm",
             .cost = "1 forward, 1 backward",
             .weakness = "inputs at zero get nothing"},
    .params = signed_params,
    .flags = OXP_METHOD_CONTRASTIVE | OXP_METHOD_SIGNED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = oxp_plan_input_x_gradient,
};
