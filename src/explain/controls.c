/* controls.c - what an explanation must beat: noise, an edge detector, and nothing.
 *
 *   random    u ~ U[0, 1) for every element
 *   sobel     sqrt(sum over the spatial axes of S_a(x)^2), S_a: [-1 0 1] along a, [1 2 1] along the
 *             others, the border repeated (per channel)
 *   constant  1
 *
 * None looks at the model: a method whose score or picture is no better explains nothing. */
#include "explain/method.h"

#include "ops/ops.h"

/* x with position p showing p + 1 (ahead) or p - 1, the border repeated. */
static oxp_val shifted(oxp_build *b, oxp_val x, int64_t axis, bool ahead)
{
    const int64_t n = oxp_b_shape(b, x)->dim[axis];
    if (n < 2) return x;
    const oxp_val part[2] = {oxp_b_slice(b, x, axis, ahead ? 1 : 0, ahead ? n : 1),
                             oxp_b_slice(b, x, axis, ahead ? n - 1 : 0, ahead ? n : n - 1)};
    return oxp_b_concat(b, part, 2, axis);
}

static oxp_val edges(oxp_build *b, oxp_val x, const oxp_roles *r)
{
    oxp_val squares[3];
    for (int s = 0; s < r->n_spatial; s++) {
        oxp_val v = x;
        for (int a = 0; a < r->n_spatial; a++) {
            const oxp_val next = shifted(b, v, r->spatial[a], true),
                          last = shifted(b, v, r->spatial[a], false);
            v = a == s
                    ? oxp_b_sub(b, next, last)
                    : oxp_b_add(b, oxp_b_mul(b, oxp_b_scalar(b, 2.0), v), oxp_b_add(b, next, last));
        }
        squares[s] = oxp_b_mul(b, v, v);
    }
    return oxp_b_unary(b, &oxp_op_Sqrt, oxp_b_sum(b, squares, (size_t)r->n_spatial));
}

static oxp_status plan_sobel(oxp_task *t)
{
    for (size_t i = 0; i < t->n_at; i++) {
        const oxp_roles *r = &t->roles[i];
        OXP_FAIL_IF(t->ctx, r->n_spatial == 0, OXP_EINVAL,
                    "sobel: the tensor has no positions that edges could lie between");
        t->out[i] = edges(t->b, t->at[i], r);
    }
    return t->b->status;
}

static oxp_status drive_random(oxp_drive *d)
{
    for (size_t o = 0; o < d->n_out; o++)
        for (size_t item = 0; item < d->n_items; item++) {
            const oxp_rng rng = {(uint64_t)oxp_param_int(d->params, "seed"),
                                 d->item_base + (uint32_t)item, 0};
            double *to = d->out[o] + item * (size_t)d->out_count[o];
            for (size_t i = 0; i < (size_t)d->out_count[o]; i++)
                to[i] = oxp_rng_uniform(&rng, ((uint64_t)o << 40) | i);
        }
    return OXP_OK;
}

static oxp_status drive_constant(oxp_drive *d)
{
    for (size_t o = 0; o < d->n_out; o++)
        for (size_t i = 0; i < d->n_items * (size_t)d->out_count[o]; i++) d->out[o][i] = 1.0;
    return OXP_OK;
}

static const oxp_param_info random_params[] = {
    {"seed", "of the random numbers", OXP_PARAM_INT, 0, 9007199254740992.0, "0", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "mean",
     "max,sum,mean,l1,l2,none"},
};

static const oxp_param_info plain_params[] = {
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "mean",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_random = {
    .info = {.name = "random",
             .title = "Random map",
             .param_count = OXP_COUNT(random_params),
             .sentence = "Noise: what every explanation must be better than.",
             .definition = "u ~ U[0, 1) for every element",
             .paper = "a control; see Hooker et al. 2019, arXiv:1806.10758",
             .equals = "",
             .cost = "1 forward, for the prediction",
             .weakness = "explains nothing, on purpose"},
    .params = random_params,
    .flags = OXP_METHOD_FEEDS | OXP_METHOD_LOCKSTEP,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = oxp_plan_score,
    .drive = drive_random,
};

const oxp_method oxp_method_sobel = {
    .info = {.name = "sobel",
             .title = "Sobel edges",
             .param_count = OXP_COUNT(plain_params),
             .sentence = "Edges of the input, without looking at the model: maps that look like "
                         "this may be nothing more.",
             .definition = "sqrt(sum over spatial axes of S_a(x)^2), S_a = [-1 0 1] along a, "
                           "[1 2 1] along the others",
             .paper = "a control; see Adebayo et al. 2018, arXiv:1810.03292",
             .equals = "scipy.ndimage.sobel per axis, root of the sum of squares",
             .cost = "1 forward, for the prediction",
             .weakness = "explains nothing, on purpose"},
    .params = plain_params,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_L2,
    .plan = plan_sobel,
};

const oxp_method oxp_method_constant = {
    .info = {.name = "constant",
             .title = "Constant map",
             .param_count = OXP_COUNT(plain_params),
             .sentence = "The same everywhere: what scores must beat by more than luck.",
             .definition = "1 for every element",
             .paper = "a control; see Hooker et al. 2019, arXiv:1806.10758",
             .equals = "",
             .cost = "1 forward, for the prediction",
             .weakness = "explains nothing, on purpose"},
    .params = plain_params,
    .flags = OXP_METHOD_FEEDS | OXP_METHOD_LOCKSTEP,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = oxp_plan_score,
    .drive = drive_constant,
};
