/* fullgrad.c - FullGrad: the gradient of the input and of every bias, gathered into one map.
 *
 *   map = sum over channels of n(|x . dY/dx|) + sum over layers, channels of up(n(|b . dY/dz|))
 *   n(v) = (v - min) / (1e-7 + max - min) over positions,  up: enlarged to the input
 *
 * z is the output of a convolution or batch norm, b its bias: a batch norm's is beta - mean gamma /
 * sqrt(var + epsilon). A convolution that only a batch norm reads is one layer with it, so that
 * merging the two changes nothing. Biases behind the last position (classifiers) are not in the
 * map. */
#include "explain/cam.h"

#include "ops/ops.h"

typedef struct biased { /* a layer: its output and the bias per channel */
    oxp_val z, bias;
} biased;

static bool has(const oxp_node *node, uint32_t k)
{
    return node->n_in > k && node->in[k] != OXP_NO_VAL;
}

/* The convolution that nothing but this batch norm reads, or NULL. */
static const oxp_node *convolution_before(const oxp_graph *g, const oxp_node *norm)
{
    const oxp_value *in = oxp_value_of(g, norm->in[0]);
    const oxp_node *conv = in->kind == OXP_VALUE_NODE ? g->nodes[in->producer] : NULL;
    size_t readers = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i]->n_in; k++)
            readers += g->nodes[i]->in[k] == norm->in[0];
    return conv && oxp_op_is_conv(conv->op) && readers == 1 ? conv : NULL;
}

/* (b - mean) gamma / sqrt(var + epsilon) + beta */
static oxp_val bias_of_norm(oxp_build *b, const oxp_node *norm, oxp_val before)
{
    const oxp_val spread =
        oxp_b_add(b, norm->in[4], oxp_b_scalar(b, oxp_attr_float(norm, "epsilon", 1e-5)));
    const oxp_val scale = oxp_b_div(b, norm->in[1], oxp_b_unary(b, &oxp_op_Sqrt, spread));
    const oxp_val shift = before == OXP_NO_VAL ? oxp_b_unary(b, &oxp_op_Neg, norm->in[3])
                                               : oxp_b_sub(b, before, norm->in[3]);
    return oxp_b_add(b, oxp_b_mul(b, shift, scale), norm->in[2]);
}

static oxp_status find_layers(oxp_task *t, biased *layers, size_t *n)
{
    const oxp_graph *g = t->b->g;
    const size_t n_nodes = g->n_nodes; /* of the model: formulas add more */
    bool *joined = OXP_NEW(t->ctx->scratch, bool, n_nodes + 1);
    OXP_NOMEM_IF(t->ctx, joined);
    *n = 0;
    for (size_t i = 0; i < n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        if (node->op != &oxp_op_BatchNormalization || oxp_shape_at(g, node->out[0])->rank < 3)
            continue;
        const oxp_node *conv = convolution_before(g, node);
        if (conv) joined[oxp_value_of(g, conv->out[0])->producer] = true;
        const oxp_val before = conv && has(conv, 2) ? conv->in[2] : OXP_NO_VAL;
        layers[(*n)++] = (biased){node->out[0], bias_of_norm(t->b, node, before)};
    }
    for (size_t i = 0; i < n_nodes; i++)
        if (oxp_op_is_conv(g->nodes[i]->op) && !joined[i] && has(g->nodes[i], 2))
            layers[(*n)++] = (biased){g->nodes[i]->out[0], g->nodes[i]->in[2]};
    return t->b->status;
}

/* sum over channels of n(|x|) */
static oxp_val spread_of(oxp_task *t, oxp_val x, const oxp_cam *axes)
{
    oxp_build *b = t->b;
    const oxp_val v = oxp_b_unary(b, &oxp_op_Abs, x);
    const oxp_attr over[] = {OXP_INTS("axes", axes->space, axes->n_space), OXP_INT("keepdims", 1)};
    const oxp_val low = oxp_emit(b, &oxp_op_ReduceMin, &v, 1, over, OXP_COUNT(over));
    const oxp_val raised = oxp_b_sub(b, v, low);
    const oxp_val high = oxp_emit(b, &oxp_op_ReduceMax, &raised, 1, over, OXP_COUNT(over));
    const oxp_val scaled = oxp_b_div(b, raised, oxp_b_add(b, high, oxp_b_scalar(b, 1e-7)));
    return oxp_b_reduce_sum(b, scaled, &axes->channel, 1, false);
}

/* (N, positions...) of one layer */
static oxp_val layer_map(oxp_task *t, const biased *layer, oxp_val adjoint)
{
    oxp_cam axes = {.channel = 1};
    const oxp_shape *shape = oxp_b_shape(t->b, layer->z);
    oxp_shape across = {.rank = shape->rank};
    for (int a = 0; a < across.rank; a++) across.dim[a] = a == 1 ? shape->dim[1] : 1;
    for (int a = 2; a < across.rank; a++) axes.space[axes.n_space++] = a;
    const oxp_val bias = oxp_b_reshape(t->b, layer->bias, &across);
    return spread_of(t, oxp_b_mul(t->b, bias, adjoint), &axes);
}

/* Everything at the positions of x = at[i], with one channel. */
static oxp_status gather(oxp_task *t, size_t i, const biased *layers, const oxp_val *adjoint,
                         size_t n, oxp_val dx)
{
    const oxp_roles *r = &t->roles[i];
    const oxp_val x = t->at[i];
    oxp_val *terms = OXP_NEW(t->ctx->scratch, oxp_val, n + 1);
    size_t n_terms = 0, n_layers = 0;
    OXP_NOMEM_IF(t->ctx, terms);
    OXP_TRY(oxp_cam_check(t, i));
    const oxp_cam axes = oxp_cam_of(t, i, dx);
    if (dx != OXP_NO_VAL)
        terms[n_terms++] = oxp_cam_enlarge(t, spread_of(t, oxp_b_mul(t->b, x, dx), &axes), x, r);
    for (size_t k = 0; k < n; k++) {
        if (oxp_b_shape(t->b, layers[k].z)->rank != r->n_spatial + 2) continue;
        n_layers++;
        if (adjoint[k] == OXP_NO_VAL) continue;
        terms[n_terms++] = oxp_cam_enlarge(t, layer_map(t, &layers[k], adjoint[k]), x, r);
    }
    OXP_FAIL_IF(t->ctx, n_layers == 0 || r->tokens, OXP_EUNSUPPORTED,
                "fullgrad needs a picture, volume or series and convolutions or batch norms with "
                "biases: the model has none");
    t->out[i] = n_terms ? oxp_b_sum(t->b, terms, n_terms) : OXP_NO_VAL;
    return t->b->status;
}

static oxp_status plan(oxp_task *t)
{
    const size_t room = t->b->g->n_nodes + t->n_at;
    biased *layers = OXP_NEW(t->ctx->scratch, biased, room + 1);
    oxp_val *wrt = OXP_NEW(t->ctx->scratch, oxp_val, room + 1);
    size_t n;
    OXP_FAIL_IF(t->ctx, !layers || !wrt, OXP_ENOMEM, "out of memory");
    OXP_TRY(find_layers(t, layers, &n));
    for (size_t i = 0; i < n; i++) wrt[i] = layers[i].z;
    for (size_t i = 0; i < t->n_at; i++) wrt[n + i] = t->at[i];
    oxp_diff diff = {
        .target = &t->target, .seed = &t->seed, .n_target = 1, .wrt = wrt, .n_wrt = n + t->n_at};
    OXP_TRY(oxp_differentiate(t->b, &diff));
    t->stopped = diff.stopped;
    for (size_t i = 0; i < t->n_at; i++)
        OXP_TRY(gather(t, i, layers, diff.adjoint, n, diff.adjoint[n + i]));
    return OXP_OK;
}

const oxp_method oxp_method_fullgrad = {
    .info = {.name = "fullgrad",
             .title = "FullGrad",
             .sentence = "Where the input and every layer's biases move the score, in one map.",
             .definition = "sum over channels of n(|x . dY/dx|) + sum over layers of up(sum over "
                           "channels of n(|b . dY/dz|)), n: 0 .. 1 over positions",
             .paper = "Srinivas, Fleuret 2019, arXiv:1905.00780",
             .equals = "pytorch-grad-cam FullGrad before its last scaling, for convolutions "
                       "without bias in front of batch norms",
             .cost = "1 forward, 1 backward",
             .weakness = "magnitudes: does not say what speaks against the score; every layer "
                         "counts the same after scaling"},
    .channels = OXP_CHANNELS_L1,
    .features = OXP_CHANNELS_L1,
    .plan = plan,
};
