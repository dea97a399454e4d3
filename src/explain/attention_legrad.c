/* attention_legrad.c - LeGrad (Bousselham et al. 2024): how the score that each layer would give
 * answers to its attention.
 *
 *   s_l = the score read from the tokens behind block l, by what reads those behind the last block
 *   out = mean over layers of mean over heads and queries of relu(ds_l / dA_l)
 *
 * What follows the last block is copied for each layer before. */
#include "explain/attention.h"

#include "ops/ops.h"

/* What leads from the tokens behind the last block to the target, once more, from `tokens`. */
static oxp_status copy_tail(const oxp_attention_blocks *s, oxp_val tokens, oxp_val *score)
{
    oxp_ctx *ctx = s->t->ctx;
    const oxp_val entry = s->behind[s->n_maps - 1];
    const bool *after = oxp_reach_down(s->g, ctx->scratch, &entry, 1);
    oxp_val *map = OXP_NEW(ctx->scratch, oxp_val, s->g->n_values);
    OXP_FAIL_IF(ctx, !after || !map, OXP_ENOMEM, "out of memory");
    map[entry] = tokens;
    for (size_t i = oxp_value_of(s->g, entry)->producer + 1; i < s->n_nodes; i++) {
        const oxp_node *node = s->g->nodes[i];
        oxp_val *in = OXP_NEW(ctx->scratch, oxp_val, node->n_in + 1);
        oxp_val *out = OXP_NEW(ctx->scratch, oxp_val, node->n_out + 1);
        OXP_FAIL_IF(ctx, !in || !out, OXP_ENOMEM, "out of memory");
        if (!after[node->out[0]]) continue;
        for (uint32_t k = 0; k < node->n_in; k++)
            in[k] = map[node->in[k]] ? map[node->in[k]] : node->in[k];
        OXP_TRY(oxp_emit_multi(s->t->b, node->op, in, node->n_in, node->attrs, node->n_attrs,
                               node->n_out, out));
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k]) map[node->out[k]] = out[k];
    }
    *score = map[s->t->target];
    return OXP_OK;
}

/* mean over heads and queries of relu(ds_l / dA_l): (N,T); OXP_NO_VAL: zero */
static oxp_status layer_map(const oxp_attention_blocks *s, size_t l, oxp_val *out)
{
    oxp_task one = *s->t;
    one.at = &s->maps[l];
    one.n_at = 1;
    if (l + 1 < s->n_maps) OXP_TRY(copy_tail(s, s->behind[l], &one.target));
    OXP_TRY(oxp_task_backward(&one, NULL, OXP_NO_VAL, out));
    s->t->stopped = s->t->stopped || one.stopped;
    if (*out == OXP_NO_VAL) return OXP_OK;
    const int64_t axes[] = {1, 2};
    const oxp_val positive = oxp_b_unary(s->t->b, &oxp_op_Relu, oxp_attention_heads(&one, *out));
    *out = oxp_b_reduce_mean(s->t->b, positive, axes, 2, false);
    return s->t->b->status;
}

static oxp_status plan(oxp_task *t)
{
    oxp_attention_blocks s;
    OXP_TRY(oxp_attention_chain(t));
    OXP_TRY(oxp_attention_blocks_find(t, "legrad", &s));
    oxp_val *layers = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at);
    OXP_NOMEM_IF(t->ctx, layers);
    size_t n = 0;
    for (size_t l = 0; l < s.n_maps; l++) {
        bool wanted = false;
        for (size_t k = 0; k < t->n_at; k++) wanted = wanted || t->at[k] == s.maps[l];
        if (!wanted) continue;
        OXP_TRY(layer_map(&s, l, &layers[n]));
        n += layers[n] != OXP_NO_VAL;
    }
    t->out[0] = OXP_NO_VAL;
    if (n == 0) return OXP_OK;
    const oxp_val sum = oxp_b_sum(t->b, layers, n);
    t->out[0] =
        oxp_attention_tokens(t, oxp_b_mul(t->b, sum, oxp_b_scalar(t->b, 1.0 / (double)t->n_at)));
    return t->b->status;
}

static const oxp_param_info params[] = {
    OXP_CAM_UPSAMPLE,
};

const oxp_method oxp_method_legrad = {
    .info = {.name = "legrad",
             .title = "LeGrad",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "Where more attention, in any layer, would raise the score read behind "
                         "that layer.",
             .definition = "mean over layers, heads and queries of relu(ds_l/dA_l), s_l the score "
                           "read behind block l",
             .paper = "Bousselham et al. 2024, arXiv:2404.03214",
             .equals = "torchcam LeGrad before its normalisation",
             .cost = "1 forward, the head once per layer, backward through one block per layer",
             .weakness = "the head never saw the tokens of early layers; positive evidence only"},
    .params = params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION | OXP_METHOD_ATTENTION_FLOW,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
};
