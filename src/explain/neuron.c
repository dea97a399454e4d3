/* neuron.c - conductance of one unit: what the inputs do to the score through it alone (Dhamdhere,
 * Sundararajan, Yan 2018).
 *
 *   (x - x0) . sum_s w_s J' (u . g)   at x0 + a_s (x - x0)
 *
 * g = dY/dA at the layer, u = 1 at the units chosen and 0 elsewhere, J the derivative of the layer by the
 * input. Over all units of a layer that every path passes these add up to integrated gradients. */
#include "explain/path.h"

#include "base/parse.h"
#include <string.h>

/* "3" or "3,0,5": indices along the first axes of a row; the units that agree with them. */
static oxp_status parse_neuron(oxp_task *t, const oxp_shape *layer, oxp_shape *index)
{
    const char *text = oxp_param_text(t->params, "neuron");
    char shape[OXP_SHAPE_TEXT];
    *index = (oxp_shape){.rank = 0};
    while (*text) {
        const size_t n = strcspn(text, ",");
        const char *word = oxp_arena_strndup(t->ctx->scratch, text, n);
        const int axis = index->rank + 1; /* behind the batch */
        OXP_NOMEM_IF(t->ctx, word);
        OXP_FAIL_IF(
            t->ctx,
            axis >= layer->rank || !oxp_parse_i64(word, &index->dim[index->rank]) ||
                index->dim[index->rank] < 0 || index->dim[index->rank] >= layer->dim[axis],
            OXP_EINVAL,
            "neuron-conductance: neuron must be indices into an item of the layer, of shape "
            "%s with the batch, found '%s'",
            oxp_shape_text(layer, shape), oxp_param_text(t->params, "neuron"));
        index->rank++;
        text += text[n] ? n + 1 : n;
    }
    return OXP_OK;
}

/* 1 at the units chosen, (1,...) as the layer */
static oxp_status unit_mask(oxp_task *t, const oxp_shape *layer, oxp_val *mask)
{
    oxp_shape index, one = *layer;
    OXP_TRY(parse_neuron(t, layer, &index));
    one.dim[0] = 1;
    oxp_tensor *c = OXP_NEW(t->b->g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(t->ctx, c);
    OXP_TRY(oxp_tensor_new(t->ctx, t->b->g->arena, OXP_F32, &one, c));
    float *u = (float *)(uintptr_t)c->data;
    int64_t first = 0, count = oxp_shape_elements(&one);
    memset(u, 0, (size_t)count * sizeof *u);
    for (int a = 0; a < index.rank; a++) {
        count /= one.dim[a + 1];
        first += index.dim[a] * count;
    }
    for (int64_t i = first; i < first + count; i++) u[i] = 1.0F;
    *mask = oxp_b_const(t->b, OXP_F32, c);
    return t->b->status;
}

static oxp_status plan(oxp_task *t)
{
    OXP_TRY(oxp_baseline_check(t->ctx, t->params));
    const oxp_shape layer = *oxp_b_shape(t->b, t->beside);
    OXP_FAIL_IF(t->ctx, layer.rank < 1 || layer.dim[0] != (int64_t)t->width, OXP_EINVAL,
                "neuron-conductance: layer '%s' does not keep the items of the batch apart",
                oxp_value_of(t->b->g, t->beside)->name);
    oxp_val mask, g = OXP_NO_VAL;
    OXP_TRY(unit_mask(t, &layer, &mask));
    oxp_task above = *t, below = *t;
    above.at = &t->beside;
    above.n_at = 1;
    OXP_TRY(oxp_task_backward(&above, NULL, OXP_NO_VAL, &g));
    t->stopped = above.stopped;
    for (size_t i = 0; i < t->n_at; i++) t->out[i] = OXP_NO_VAL;
    if (g == OXP_NO_VAL) return OXP_OK;
    below.target = t->beside;
    OXP_TRY(oxp_task_backward(&below, NULL, oxp_b_mul(t->b, g, mask), t->out));
    t->stopped = t->stopped || below.stopped;
    return t->b->status;
}

static const oxp_param_info params[] = {
    {"neuron",
     "indices of the unit in an item of the layer, like 3 or 3,0,5; fewer than the layer has axes "
     "choose all units that agree (a channel), none the whole layer",
     OXP_PARAM_TEXT, 0, 0, "", NULL},
    OXP_LINE_PARAMS,
    OXP_BASELINE_PARAMS("zero"),
    OXP_BASELINE_SEED,
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum",
     "max,sum,mean,l1,l2,none"},
};

const oxp_method oxp_method_neuron_conductance = {
    .info = {.name = "neuron-conductance",
             .title = "Neuron conductance",
             .param_count = OXP_COUNT(params),
             .needs_layer = 2,
             .is_signed = 1,
             .sentence =
                 "Which input values move the score through one unit or channel of a layer.",
             .definition = "(x - x0) . integral over a of dY/dA_j . dA_j/dx at x0 + a (x - x0), "
                           "summed over the units j that are chosen",
             .paper = "Dhamdhere, Sundararajan, Yan 2018, arXiv:1805.12233",
             .equals = "Captum NeuronConductance",
             .cost = "steps forward, steps backward",
             .weakness =
                 "depends on the baseline; says nothing of what passes the layer elsewhere"},
    .params = params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS | OXP_METHOD_BESIDE,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan,
    .drive = oxp_integrate_drive,
};
