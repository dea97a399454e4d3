/* attention_legrad.c - LeGrad (Bousselham et al. 2024): how the score that each layer would give
 * answers to its attention.
 *
 *   s_l = the score read from the tokens behind block l, by what reads those behind the last block
 *   out = mean over layers of mean over heads and queries of relu(ds_l / dA_l)
 *
 * The tokens behind block l are the last tensor (N,T,D) that everything goes through which A_l
 * influences, and on which A_{l+1} builds. Behind the last block it is the last such tensor that an
 * operator of the same kind makes (the residual sum, or the norm after it); what follows is copied for
 * each layer before. */
#include "explain/attention.h"

#include "explain/roles.h"
#include "ops/ops.h"

typedef struct stream {
    oxp_task *t;
    oxp_graph *g;
    size_t n_nodes; /* of the model: copies come after */
    oxp_val *maps;  /* all that the target depends on, [n_maps] */
    size_t n_maps;
    oxp_val *behind; /* [n_maps] the tokens behind each block */
} stream;

/* Does everything that v influences reach the target through w only? */
static bool passes(const stream *s, oxp_val v, oxp_val w, bool *reach)
{
    for (size_t i = 0; i < s->g->n_values; i++) reach[i] = i == v;
    for (size_t i = 0; i < s->n_nodes; i++) {
        const oxp_node *node = s->g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_in; k++) any = any || reach[node->in[k]];
        for (uint32_t k = 0; any && k < node->n_out; k++) reach[node->out[k]] = node->out[k] != w;
        reach[OXP_NO_VAL] = false;
    }
    return !reach[s->t->target];
}

static const oxp_op *maker(const stream *s, oxp_val v)
{
    return s->g->nodes[oxp_value_of(s->g, v)->producer]->op;
}

/* The last (N,T,D) that map l goes through; next: a map that must build on it (OXP_NO_VAL: none), op: what
 * makes it (NULL: anything). */
static oxp_status find_behind(const stream *s, size_t l, oxp_val next, const oxp_op *op,
                              oxp_val *behind)
{
    oxp_ctx *ctx = s->t->ctx;
    bool *after = oxp_reach_down(s->g, ctx->scratch, &s->maps[l], 1);
    bool *reach = OXP_NEW(ctx->scratch, bool, s->g->n_values);
    OXP_FAIL_IF(ctx, !after || !reach, OXP_ENOMEM, "out of memory");
    const oxp_shape *map = oxp_shape_at(s->g, s->maps[l]);
    *behind = OXP_NO_VAL;
    for (size_t i = s->n_nodes; i-- > 0 && *behind == OXP_NO_VAL;) {
        const oxp_val v = s->g->nodes[i]->out[0];
        const oxp_shape *shape = oxp_shape_at(s->g, v);
        if (!after[v] || shape->rank != 3 || shape->dim[1] != map->dim[map->rank - 2] ||
            (op && s->g->nodes[i]->op != op) || !passes(s, s->maps[l], v, reach))
            continue;
        const bool *later = oxp_reach_down(s->g, ctx->scratch, &v, 1);
        OXP_NOMEM_IF(ctx, later);
        if (next == OXP_NO_VAL || later[next]) *behind = v;
    }
    const char *name = oxp_value_of(s->g, s->maps[l])->name;
    OXP_FAIL_IF(ctx, *behind == OXP_NO_VAL, OXP_EUNSUPPORTED,
                "legrad: no tensor of tokens that all of the attention '%s' goes through: use "
                "tmme or attention-rollout",
                name ? name : "?");
    return OXP_OK;
}

static oxp_status find_stream(oxp_task *t, stream *s)
{
    *s = (stream){.t = t, .g = t->b->g, .n_nodes = t->b->g->n_nodes};
    OXP_TRY(oxp_attention_maps(t->ctx, s->g, t->target, t->width, false, &s->maps, &s->n_maps));
    s->behind = OXP_NEW(t->ctx->scratch, oxp_val, s->n_maps);
    OXP_NOMEM_IF(t->ctx, s->behind);
    for (size_t l = 0; l + 1 < s->n_maps; l++)
        OXP_TRY(find_behind(s, l, s->maps[l + 1], NULL, &s->behind[l]));
    if (s->n_maps < 2) return OXP_OK;
    const size_t last = s->n_maps - 1;
    return find_behind(s, last, OXP_NO_VAL, maker(s, s->behind[last - 1]), &s->behind[last]);
}

/* What leads from the tokens behind the last block to the target, once more, from `tokens`. */
static oxp_status copy_tail(const stream *s, oxp_val tokens, oxp_val *score)
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
static oxp_status layer_map(const stream *s, size_t l, oxp_val *out)
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
    stream s;
    OXP_TRY(oxp_attention_chain(t));
    OXP_TRY(find_stream(t, &s));
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
