/* guided_cam.c - guided Grad-CAM: guided backpropagation where Grad-CAM looks (Selvaraju et al.
 * 2017).
 *
 *   out = guided backprop of x . Grad-CAM of the layer, enlarged to x's positions
 *
 * One joint graph: one forward pass, and two backward walks that share what they have in common. */
#include "explain/cam.h"

#include "ops/ops.h"
#include <string.h>

/* relu(Grad-CAM) of the layer beside, (N, positions...); tokens unfolded to their grid. */
static oxp_status layer_map(oxp_task *t, oxp_val *map)
{
    oxp_val guard = OXP_NO_VAL;
    oxp_task layer = *t;
    layer.at = &t->beside;
    layer.roles = &t->beside_roles;
    layer.n_at = 1;
    layer.out = map;
    layer.guard = &guard;
    OXP_TRY(oxp_method_grad_cam.plan(&layer));
    const oxp_roles *r = &t->beside_roles;
    if (*map == OXP_NO_VAL || !r->tokens || r->n_grid == 0) return t->b->status;
    oxp_shape grid = {.rank = 1 + r->n_grid, .dim = {oxp_b_shape(t->b, *map)->dim[0]}};
    memcpy(grid.dim + 1, r->grid, (size_t)r->n_grid * sizeof(int64_t));
    *map = oxp_b_reshape(t->b, *map, &grid);
    return t->b->status;
}

oxp_val oxp_cam_enlarge(oxp_task *t, oxp_val map, oxp_val x, const oxp_roles *r)
{
    const oxp_shape *large = oxp_b_shape(t->b, x);
    oxp_shape small = {.rank = large->rank}, to = *large;
    for (int a = 0; a < small.rank; a++) small.dim[a] = a == 0 ? large->dim[0] : 1;
    for (int s = 0; s < r->n_spatial; s++)
        small.dim[r->spatial[s]] = oxp_b_shape(t->b, map)->dim[s + 1];
    to.dim[r->channel] = 1;
    const bool nearest = oxp_param_is(t->params, "upsample", "nearest");
    return OXP_EMIT1(t->b, &oxp_op_Resize, oxp_b_reshape(t->b, map, &small),
                     OXP_STR("mode", nearest ? "nearest" : "linear"),
                     OXP_STR("coordinate_transformation_mode", "half_pixel"),
                     OXP_INTS("sizes", to.dim, (size_t)to.rank));
}

static oxp_status plan(oxp_task *t)
{
    oxp_val map = OXP_NO_VAL;
    OXP_TRY(layer_map(t, &map));
    OXP_TRY(oxp_method_guided_backprop.plan(t));
    for (size_t i = 0; i < t->n_at; i++) {
        const oxp_roles *r = &t->roles[i];
        if (t->out[i] == OXP_NO_VAL || map == OXP_NO_VAL) {
            t->out[i] = OXP_NO_VAL;
            continue;
        }
        OXP_FAIL_IF(t->ctx,
                    r->channel < 0 || r->tokens || r->n_spatial + 1 != oxp_b_shape(t->b, map)->rank,
                    OXP_EINVAL,
                    "guided-grad-cam: the layer's map and the input have no positions in common: "
                    "name a layer of a picture, volume or series with --layer");
        t->out[i] = oxp_b_mul(t->b, t->out[i], oxp_cam_enlarge(t, map, t->at[i], r));
    }
    return t->b->status;
}

static const oxp_param_info params[] = {
    {"relu", "keep only what speaks for the target in the layer's map", OXP_PARAM_BOOL, 0, 1,
     "true", NULL},
    {"upsample", "how the layer's map reaches the input's resolution", OXP_PARAM_CHOICE, 0, 0,
     "linear", "linear,nearest"},
    {"abs", "take magnitudes before reducing channels", OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "max",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_guided_grad_cam = {
    .info = {.name = "guided-grad-cam",
             .title = "Guided Grad-CAM",
             .param_count = OXP_COUNT(params),
             .needs_layer = 2,
             .sentence = "Fine structures of the input inside the regions that Grad-CAM finds.",
             .definition = "guided backprop of x . enlarged relu(Grad-CAM) of a layer",
             .paper = "Selvaraju et al. 2017, arXiv:1610.02391",
             .equals = "Captum GuidedGradCam with upsample=nearest; pytorch-grad-cam's product",
             .cost = "1 forward, 1 backward, and another down to the layer",
             .weakness = "its fine structure is guided backprop's: it fails the model "
                         "randomisation test"},
    .params = params,
    .flags = OXP_METHOD_BESIDE,
    .channels = OXP_CHANNELS_MAX,
    .features = OXP_CHANNELS_L2,
    .plan = plan,
};
