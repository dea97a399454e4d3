/* attention.c - attention maps found in the graph, in any exporter's spelling; and the words in
 * which the methods on them are written (attention.h).
 *
 * A map is a Softmax over the last axis of scores that go back to a product of two computed
 * tensors (queries and keys; scales, masks and biases on the way) and whose values go on, but for
 * dropout, masks and merged axes, to a product with a computed tensor (the values). So a classifier's
 * Softmax or a gate is none; a pooling with fixed queries is one where it is named, and for methods
 * that go from one sequence of tokens to another. It must be one matrix per row and head:
 * (N,heads,Tq,Tk), (heads,Tq,Tk) or (N heads,Tq,Tk); attention in windows is refused, since it has
 * no row over the whole input. */
#include "explain/attention.h"

#include "explain/roles.h"
#include "ops/ops.h"

enum { MAX_STEPS = 12 };

/* Passes an attention map or its scores on, element by element or with axes merged. */
static bool hands_on(const oxp_node *node)
{
    return (node->op->flags & (OXP_OP_ELEMENTWISE | OXP_OP_IDENTITY | OXP_OP_SHAPE_ONLY)) != 0;
}

/* fixed_queries: the left operand may be constant, with a matrix per head. */
static bool is_product(const oxp_graph *g, const oxp_node *node, const bool *computed,
                       bool fixed_queries)
{
    return node->op == &oxp_op_MatMul && computed[node->in[1]] &&
           (computed[node->in[0]] || (fixed_queries && oxp_shape_at(g, node->in[0])->rank >= 3));
}

/* The product of queries and keys that the scores v go back to; NULL when there is none. */
static const oxp_node *from_product(const oxp_graph *g, oxp_val v, const bool *computed,
                                    bool fixed_queries, int steps)
{
    if (oxp_value_of(g, v)->kind != OXP_VALUE_NODE || steps == 0) return NULL;
    const oxp_node *node = g->nodes[oxp_value_of(g, v)->producer];
    if (is_product(g, node, computed, fixed_queries)) return node;
    for (uint32_t k = 0; hands_on(node) && k < node->n_in; k++) {
        if (!node->in[k] || !computed[node->in[k]]) continue;
        const oxp_node *found = from_product(g, node->in[k], computed, fixed_queries, steps - 1);
        if (found) return found;
    }
    return NULL;
}

/* The product with values that the map v goes on to, likewise. */
static const oxp_node *to_product(const oxp_graph *g, oxp_val v, const bool *computed, int steps)
{
    if (steps == 0) return NULL;
    for (size_t i = (size_t)oxp_value_of(g, v)->producer + 1; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        bool reads = false;
        for (uint32_t k = 0; k < node->n_in; k++) reads = reads || node->in[k] == v;
        if (!reads) continue;
        if (is_product(g, node, computed, false)) return node;
        const oxp_node *found =
            hands_on(node) ? to_product(g, node->out[0], computed, steps - 1) : NULL;
        if (found) return found;
    }
    return NULL;
}

static bool is_map(const oxp_graph *g, const oxp_node *node, const bool *computed,
                   bool fixed_queries)
{
    if (node->op != &oxp_op_Softmax || !computed[node->in[0]]) return false;
    const int rank = oxp_shape_at(g, node->out[0])->rank;
    const int64_t axis = oxp_attr_int(node, "axis", oxp_attr_int(node, "span", 0) ? 1 : -1);
    return rank >= 3 && (axis == -1 || axis == rank - 1) &&
           from_product(g, node->in[0], computed, fixed_queries, MAX_STEPS) &&
           to_product(g, node->out[0], computed, MAX_STEPS);
}

oxp_status oxp_attention_maps(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, size_t width,
                              bool fixed_queries, oxp_val **maps, size_t *n)
{
    const bool *computed = oxp_reach_down(g, ctx->scratch, g->inputs, g->n_inputs);
    const bool *used = oxp_reach_up(g, ctx->scratch, target);
    *maps = OXP_NEW(ctx->scratch, oxp_val, g->n_nodes + 1);
    OXP_FAIL_IF(ctx, !computed || !used || !*maps, OXP_ENOMEM, "out of memory");
    *n = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_val v = g->nodes[i]->out[0];
        if (!used[v] || !is_map(g, g->nodes[i], computed, fixed_queries)) continue;
        const oxp_value *map = oxp_value_of(g, v);
        const int64_t rows = (int64_t)width;
        char text[OXP_SHAPE_TEXT];
        OXP_FAIL_IF(ctx,
                    !(map->shape.rank == 4 && map->shape.dim[0] == rows) &&
                        !(map->shape.rank == 3 && map->shape.dim[0] % rows == 0),
                    OXP_EUNSUPPORTED,
                    "the attention map '%s' of shape %s is not one matrix per item and head: "
                    "attention in windows has no map over the whole input",
                    map->name ? map->name : "?", oxp_shape_text(&map->shape, text));
        (*maps)[(*n)++] = v;
    }
    OXP_FAIL_IF(ctx, *n == 0, OXP_EINVAL,
                "the model has no attention (a Softmax between two products of computed tensors) "
                "on the way to the target: use a method without it");
    return OXP_OK;
}

oxp_status oxp_attention_parts(oxp_ctx *ctx, const oxp_graph *g, oxp_val map,
                               const oxp_node **scores, const oxp_node **mixed)
{
    const bool *computed = oxp_reach_down(g, ctx->scratch, g->inputs, g->n_inputs);
    OXP_NOMEM_IF(ctx, computed);
    const oxp_node *softmax = g->nodes[oxp_value_of(g, map)->producer];
    *scores = from_product(g, softmax->in[0], computed, true, MAX_STEPS);
    *mixed = to_product(g, map, computed, MAX_STEPS);
    OXP_FAIL_IF(ctx, !*scores || !*mixed, OXP_EINTERNAL, "an attention map without products");
    return OXP_OK;
}

/* Do the keys of a map come from a convolution otherwise than through attention? */
static oxp_status keys_are_patches(oxp_ctx *ctx, const oxp_graph *g, oxp_val map, bool *patches)
{
    const oxp_node *scores, *mixed;
    OXP_TRY(oxp_attention_parts(ctx, g, map, &scores, &mixed));
    const bool *computed = oxp_reach_down(g, ctx->scratch, g->inputs, g->n_inputs);
    bool *reach = OXP_NEW(ctx->scratch, bool, g->n_values);
    OXP_FAIL_IF(ctx, !computed || !reach, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        bool any = node->op == &oxp_op_Conv;
        for (uint32_t k = 0; k < node->n_in; k++) any = any || reach[node->in[k]];
        if (node->op == &oxp_op_MatMul && computed[node->in[0]] && computed[node->in[1]]) continue;
        for (uint32_t k = 0; any && k < node->n_out; k++) reach[node->out[k]] = true;
        reach[OXP_NO_VAL] = false;
    }
    *patches = reach[scores->in[1]];
    return OXP_OK;
}

oxp_status oxp_attention_roles(oxp_ctx *ctx, const oxp_graph *g, oxp_val map, oxp_roles *out)
{
    const oxp_shape *s = oxp_shape_at(g, map);
    const oxp_roles plain = {.axes = OXP_AXES_FEATURES,
                             .channel = -1,
                             .tokens = true,
                             .n_spatial = 1,
                             .spatial = {s->rank - 1}};
    bool patches = false;
    *out = plain;
    oxp_token_grid(g, s->dim[s->rank - 1], out);
    if (out->n_grid > 0) OXP_TRY(keys_are_patches(ctx, g, map, &patches));
    if (!patches) *out = plain;
    return OXP_OK;
}

/* ---- the words ---- */

oxp_val oxp_attention_heads(oxp_task *t, oxp_val map)
{
    const oxp_shape *s = oxp_b_shape(t->b, map);
    if (s->rank == 4 || t->b->status != OXP_OK) return map;
    const int64_t rows = (int64_t)t->width;
    return oxp_b_reshape(
        t->b, map, &(oxp_shape){.rank = 4, .dim = {rows, s->dim[0] / rows, s->dim[1], s->dim[2]}});
}

oxp_val oxp_attention_fuse(oxp_task *t, oxp_val heads)
{
    const int64_t axis = 1;
    if (oxp_param_is(t->params, "heads", "mean"))
        return oxp_b_reduce_mean(t->b, heads, &axis, 1, false);
    return OXP_EMIT1(
        t->b, oxp_param_is(t->params, "heads", "max") ? &oxp_op_ReduceMax : &oxp_op_ReduceMin,
        heads, OXP_INTS("axes", &axis, 1), OXP_INT("keepdims", 0));
}

oxp_val oxp_attention_positive(oxp_task *t, oxp_val g, oxp_val x)
{
    const int64_t heads = 1;
    const oxp_val product = oxp_attention_heads(t, oxp_b_mul(t->b, g, x));
    return oxp_b_reduce_mean(t->b, oxp_b_unary(t->b, &oxp_op_Relu, product), &heads, 1, false);
}

static oxp_val weights_row(oxp_task *t, const double *weights, int64_t tokens)
{
    oxp_tensor *held = OXP_NEW(t->b->g->arena, oxp_tensor, 1);
    if (!held) {
        t->b->status = oxp_ctx_fail(t->ctx, OXP_ENOMEM, "out of memory");
        return OXP_NO_VAL;
    }
    *held = (oxp_tensor){OXP_F64, {.rank = 3, .dim = {1, 1, tokens}}, weights};
    return oxp_b_const(t->b, OXP_F32, held);
}

/* Which row of a map says what the target read: that of the token it reads, or where it reads all of
 * them, the mean of the grid's rows. */
oxp_status oxp_attention_row(oxp_task *t, size_t map, int64_t prefix, oxp_val *row)
{
    const oxp_shape *s = oxp_b_shape(t->b, t->at[map]);
    const int64_t tokens = s->dim[s->rank - 2];
    int64_t from = oxp_param_int(t->params, "query"), to = from + 1;
    OXP_FAIL_IF(t->ctx, to > tokens, OXP_EINVAL, "query is a token from 0 to %lld, found %lld",
                (long long)tokens - 1, (long long)from);
    if (from < 0) {
        bool first;
        OXP_TRY(oxp_reads_prefix(t->ctx, t->b->g, t->target, t->at[map], &first));
        from = first ? 0 : prefix < tokens ? prefix : 0;
        to = first ? 1 : tokens;
    }
    double *weights = OXP_NEW(t->b->g->arena, double, tokens);
    OXP_NOMEM_IF(t->ctx, weights);
    for (int64_t i = from; i < to; i++) weights[i] = 1.0 / (double)(to - from);
    *row = weights_row(t, weights, tokens);
    return t->b->status;
}

oxp_status oxp_attention_query(oxp_task *t, oxp_val *row)
{
    return oxp_attention_row(t, t->n_at - 1, t->roles[t->n_at - 1].prefix, row);
}

oxp_val oxp_attention_others(oxp_task *t, oxp_val row, oxp_val query)
{
    if (t->b->status != OXP_OK) return OXP_NO_VAL;
    const oxp_value *q = oxp_value_of(t->b->g, query);
    double *others = OXP_NEW(t->b->g->arena, double, q->shape.dim[2]);
    if (!others) {
        t->b->status = oxp_ctx_fail(t->ctx, OXP_ENOMEM, "out of memory");
        return OXP_NO_VAL;
    }
    for (int64_t i = 0; i < q->shape.dim[2]; i++)
        others[i] = oxp_tensor_get(q->constant, i) < 1.0 ? 1.0 : 0.0;
    return oxp_b_mul(t->b, row, weights_row(t, others, q->shape.dim[2]));
}

oxp_val oxp_attention_tokens_of(oxp_task *t, size_t map, oxp_val row)
{
    const oxp_roles *r = &t->roles[map];
    const oxp_shape *s = oxp_b_shape(t->b, row);
    if (t->b->status != OXP_OK) return OXP_NO_VAL;
    const int64_t tokens = s->dim[s->rank - 1];
    const oxp_shape flat = {.rank = 2, .dim = {(int64_t)t->width, tokens}};
    row = oxp_b_reshape(t->b, row, &flat);
    return r->n_grid > 0 ? oxp_b_slice(t->b, row, 1, r->prefix, tokens) : row;
}

oxp_val oxp_attention_tokens(oxp_task *t, oxp_val row)
{
    return oxp_attention_tokens_of(t, t->n_at - 1, row);
}

/* ---- one layer ---- */

/* out = q fuse_h(A): q picks the row */
static oxp_status plan_attention(oxp_task *t)
{
    for (size_t i = 0; i < t->n_at; i++) {
        oxp_task one = *t;
        one.at += i;
        one.roles += i;
        one.n_at = 1;
        oxp_val query;
        OXP_TRY(oxp_attention_query(&one, &query));
        const oxp_val map = oxp_attention_fuse(&one, oxp_attention_heads(&one, one.at[0]));
        t->out[i] = oxp_attention_tokens(&one, oxp_b_matmul(t->b, query, map));
    }
    return t->b->status;
}

/* Over the keys of the grid: (N,heads,1,T - prefix) */
static oxp_val grid_keys(oxp_task *t, oxp_val x)
{
    const oxp_roles *r = t->roles;
    const oxp_shape *s = oxp_b_shape(t->b, x);
    if (t->b->status != OXP_OK || r->n_grid == 0) return x;
    return oxp_b_slice(t->b, x, 3, r->prefix, s->dim[3]);
}

/* w_h = mean over keys of q g_h; out = relu(mean_h w_h q A_h) */
static oxp_val attention_grad_cam(oxp_task *t, oxp_val query, oxp_val g)
{
    oxp_build *b = t->b;
    const int64_t keys = 3, heads = 1;
    const oxp_val a = oxp_b_matmul(b, query, oxp_attention_heads(t, t->at[0]));
    const oxp_val dy = oxp_b_matmul(b, query, oxp_attention_heads(t, g));
    const oxp_val weight = oxp_b_reduce_mean(b, grid_keys(t, dy), &keys, 1, true);
    const oxp_val map = oxp_b_reduce_mean(b, oxp_b_mul(b, weight, a), &heads, 1, false);
    return oxp_attention_tokens(
        t, oxp_param_bool(t->params, "relu") ? oxp_b_unary(b, &oxp_op_Relu, map) : map);
}

static oxp_status plan_attention_grad_cam(oxp_task *t)
{
    OXP_TRY(oxp_task_backward(t, NULL, OXP_NO_VAL, t->out));
    for (size_t i = 0; i < t->n_at; i++) {
        if (t->out[i] == OXP_NO_VAL) continue;
        oxp_task one = *t;
        one.at += i;
        one.roles += i;
        one.n_at = 1;
        oxp_val query;
        OXP_TRY(oxp_attention_query(&one, &query));
        t->out[i] = attention_grad_cam(&one, query, t->out[i]);
    }
    return t->b->status;
}

static const oxp_param_info attention_params[] = {
    OXP_ATTENTION_HEADS,
    OXP_ATTENTION_QUERY,
    OXP_CAM_UPSAMPLE,
    OXP_CAM_JOIN("mean"),
};

static const oxp_param_info grad_cam_params[] = {
    OXP_CAM_RELU("true"),
    OXP_ATTENTION_QUERY,
    OXP_CAM_UPSAMPLE,
    OXP_CAM_JOIN("mean"),
};

const oxp_method oxp_method_attention = {
    .info = {.name = "attention",
             .title = "Attention",
             .param_count = OXP_COUNT(attention_params),
             .needs_layer = 1,
             .sentence = "Which tokens a layer's attention looks at from the token that the "
                         "target reads.",
             .definition = "the row of the read token in mean_h A_h of the last attention",
             .paper = "Bahdanau, Cho, Bengio 2014, arXiv:1409.0473; Vaswani et al. 2017, "
                      "arXiv:1706.03762",
             .equals = "Transformers output_attentions, mean over heads, class-token row",
             .cost = "1 forward",
             .weakness = "not specific to a class; where a layer looks is not what it takes "
                         "(Jain, Wallace 2019)"},
    .params = attention_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_attention,
};

const oxp_method oxp_method_attention_grad_cam = {
    .info = {.name = "attention-grad-cam",
             .title = "Attention Grad-CAM",
             .param_count = OXP_COUNT(grad_cam_params),
             .needs_layer = 1,
             .sentence = "The last attention with heads weighted by how they raise the score.",
             .definition = "w_h = mean over keys of g_h in the read row; relu(mean_h w_h A_h)",
             .paper = "Chefer, Gur, Wolf 2021, arXiv:2012.09838 (baseline GradCAM)",
             .equals = "Transformer-Explainability GradCam.generate_cam_attn before its "
                       "normalisation",
             .cost = "1 forward, backward down to the last attention",
             .weakness = "one layer only; a mean of gradients can hide what single keys do"},
    .params = grad_cam_params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_attention_grad_cam,
};
