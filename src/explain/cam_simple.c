/* cam_simple.c - maps that need no backward pass worth the name: FEM (which positions are unusually
 * active), the original CAM (the classifier's own weights), and random weights as a control. */
#include "explain/cam.h"

#include "ops/ops.h"
#include "ops/quantize.h"
#include <string.h>

/* w_k = share of positions with A > mean + k std, map = sum_k w_k A_k */
static oxp_val fem(oxp_task *t, const oxp_cam *c)
{
    oxp_build *b = t->b;
    const oxp_val centred = oxp_b_sub(b, c->a, oxp_cam_mean(t, c, c->a));
    const oxp_val variance = oxp_cam_mean(t, c, oxp_b_mul(b, centred, centred));
    const oxp_val std = oxp_b_unary(b, &oxp_op_Sqrt, variance),
                  k = oxp_b_scalar(b, oxp_param_number(t->params, "k"));
    const oxp_val mask = oxp_b_cast(b, oxp_b_greater(b, centred, oxp_b_mul(b, k, std)), OXP_F32);
    return oxp_cam_map(t, c, oxp_b_mul(b, oxp_cam_mean(t, c, mask), c->a));
}

static oxp_status plan_fem(oxp_task *t)
{
    return oxp_cam_plan_forward(t, fem);
}

/* ---- CAM ---- */

/* The one node that reads v, or NULL. */
static const oxp_node *reader_of(const oxp_graph *g, oxp_val v)
{
    const oxp_node *found = NULL;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i]->n_in; k++) {
            if (g->nodes[i]->in[k] != v) continue;
            if (found) return NULL;
            found = g->nodes[i];
        }
    return found;
}

static bool is_const(const oxp_graph *g, const oxp_node *node, uint32_t k)
{
    return k >= node->n_in || node->in[k] == OXP_NO_VAL ||
           oxp_value_of(g, node->in[k])->kind == OXP_VALUE_CONST;
}

/* All positions become one, and nothing else is averaged. */
static bool averages_positions(const oxp_graph *g, const oxp_node *node, const oxp_roles *r)
{
    const oxp_op *op = node->op;
    if (op != &oxp_op_GlobalAveragePool && op != &oxp_op_ReduceMean && op != &oxp_op_AveragePool)
        return false;
    const oxp_shape *in = oxp_shape_at(g, node->in[0]);
    int64_t positions = 1;
    for (int s = 0; s < r->n_spatial; s++) positions *= in->dim[r->spatial[s]];
    const int64_t left = oxp_shape_elements(oxp_shape_at(g, node->out[0]));
    if (left * positions != oxp_shape_elements(in)) return false;
    size_t n;
    const int64_t *axes = oxp_attr_ints(node, "axes", &n);
    for (size_t i = 0; axes && i < n; i++)
        if ((axes[i] + in->rank) % in->rank == 0 || (axes[i] + in->rank) % in->rank == r->channel)
            return false;
    return true;
}

/* Operators that multiply by constant weights, or add constants. */
static bool is_linear(const oxp_graph *g, const oxp_node *node)
{
    const oxp_op *op = node->op;
    if (op == &oxp_op_MatMul || op == &oxp_op_Gemm || oxp_op_is_conv(op))
        return is_const(g, node, 1) && is_const(g, node, 2);
    return op == &oxp_op_Add && (is_const(g, node, 0) || is_const(g, node, 1));
}

static bool only_moves(const oxp_node *node)
{
    const oxp_op *op = node->op;
    return (op->flags & OXP_OP_IDENTITY) || oxp_op_rounds(op) || op == &oxp_op_Reshape ||
           op == &oxp_op_Flatten || op == &oxp_op_Squeeze || op == &oxp_op_Unsqueeze ||
           op == &oxp_op_Transpose;
}

/* The layer is averaged over positions, then only linear layers lead to the target. */
static bool is_pooled_linearly(const oxp_task *t, size_t i)
{
    const oxp_graph *g = t->b->g;
    const oxp_node *node = reader_of(g, t->at[i]);
    if (!node || !averages_positions(g, node, &t->roles[i])) return false;
    while (node && node->out[0] != t->target) {
        node = reader_of(g, node->out[0]);
        if (node && !only_moves(node) && !is_linear(g, node)) return false;
    }
    return node != NULL;
}

/* w_k = dY / d(mean of A_k) = sum of g over positions: the classifier's weights. */
static oxp_val cam(oxp_task *t, const oxp_cam *c)
{
    return oxp_cam_map(t, c, oxp_b_mul(t->b, oxp_cam_sum(t, c, c->g), c->a));
}

static oxp_status plan_cam(oxp_task *t)
{
    for (size_t i = 0; i < t->n_at; i++) {
        const char *name = oxp_value_of(t->b->g, t->at[i])->name;
        OXP_FAIL_IF(t->ctx, !is_pooled_linearly(t, i), OXP_EUNSUPPORTED,
                    "cam needs a layer that is averaged over positions and then read by linear "
                    "layers only, but '%s' is not: use grad-cam",
                    name ? name : "");
    }
    return oxp_cam_plan(t, cam);
}

/* ---- random weights ---- */

static oxp_status plan_random(oxp_task *t)
{
    return oxp_cam_plan_forward(t, oxp_cam_activation);
}

/* map = sum_k w_k A_k, w_k uniform in [-1, 1) */
static oxp_status finish_random(oxp_finish *f)
{
    oxp_cam_rows rows;
    OXP_TRY(oxp_cam_positions(f, &rows));
    const bool relu = oxp_param_bool(f->params, "relu");
    const oxp_rng rng = {.seed = (uint64_t)oxp_param_int(f->params, "seed"), .item = f->item};
    for (size_t p = 0; p < rows.positions; p++) {
        double sum = 0.0;
        for (size_t c = 0; c < rows.channels; c++)
            sum += (2.0 * oxp_rng_uniform(&rng, c) - 1.0) * rows.at[p * rows.channels + c];
        f->out[p] = relu && sum < 0.0 ? 0.0 : sum;
    }
    return OXP_OK;
}

static const oxp_param_info fem_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    {"k", "how many standard deviations above its channel's mean a position counts from",
     OXP_PARAM_FLOAT, -1e6, 1e6, "2", NULL},
};

static const oxp_param_info cam_params[] = {
    OXP_CAM_RELU("false"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
};

static const oxp_param_info random_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    {"seed", "of the random numbers", OXP_PARAM_INT, 0, 9007199254740992.0, "0", NULL},
};

const oxp_method oxp_method_fem = {
    .info = {.name = "fem",
             .title = "FEM",
             .param_count = OXP_COUNT(fem_params),
             .needs_layer = 1,
             .sentence = "Channels weighted by how many of their positions are unusually active.",
             .definition = "w_k = share of positions with A_k > mean + k std of the channel; map = "
                           "relu(sum_k w_k A_k)",
             .paper = "Fuad et al. 2020, IPTA, doi:10.1109/IPTA50016.2020.9286629",
             .equals = "pytorch-grad-cam FEM",
             .cost = "1 forward",
             .weakness = "the same for every class; empty where no channel has outliers"},
    .params = fem_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_fem,
};

const oxp_method oxp_method_cam = {
    .info = {.name = "cam",
             .title = "CAM",
             .param_count = OXP_COUNT(cam_params),
             .needs_layer = 1,
             .is_signed = 1,
             .sentence = "The score itself, spread over positions: exact where an average and a "
                         "linear layer end the model.",
             .definition = "w_k = the classifier's weight of channel k; map = sum_k w_k A_k, whose "
                           "mean is the score less the bias",
             .paper = "Zhou et al. 2016, arXiv:1512.04150",
             .equals = "torchcam CAM with relu",
             .cost = "1 forward, backward through the classifier",
             .weakness = "only for models that end in global average pooling and linear layers"},
    .params = cam_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_SIGNED,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_cam,
};

const oxp_method oxp_method_random_cam = {
    .info = {.name = "random-cam",
             .title = "Random CAM",
             .param_count = OXP_COUNT(random_params),
             .needs_layer = 1,
             .sentence = "Channels with random weights: what a map owes to the layer alone.",
             .definition = "w_k uniform in [-1, 1); map = relu(sum_k w_k A_k)",
             .paper = "a control; defined by pytorch-grad-cam",
             .equals = "pytorch-grad-cam RandomCAM, on the same weights",
             .cost = "1 forward",
             .weakness = "explains nothing, on purpose"},
    .params = random_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_random,
    .finish = finish_random,
};
