/* attention_zeroing.c - value zeroing (Mohebbi et al. 2023): how far each token behind a block moves
 * when the value of another is taken out of the attention.
 *
 *   C_l[i,j] = 1 - cos(x_i, x_i without the value of j in all heads of block l), x behind the block, input
 *              and map of the block as they are; rows divided by their sums
 *   out = q C_L ... C_1
 *
 * 1 - cos(x, y) = |x/|x| - y/|y||^2 / 2, which loses no digits where the two are close. The block from the
 * product with the values on is computed for many zeroed tokens at once (widen.h), as many as fit. */
#include "explain/attention.h"

#include "explain/roles.h"
#include "explain/widen.h"
#include "ops/ops.h"

enum { MOST = 1 << 24 }; /* elements of a block's tokens in all variants computed at once */

/* x / |x| along the last axis; zero stays */
static oxp_val unit(oxp_build *b, oxp_val x)
{
    const int64_t last = -1;
    const oxp_val square = oxp_b_reduce_sum(b, oxp_b_mul(b, x, x), &last, 1, true),
                  none = oxp_b_equal(b, square, oxp_b_scalar(b, 0.0)),
                  safe = oxp_b_where(b, none, oxp_b_scalar(b, 1.0), square);
    return oxp_b_div(b, x, oxp_b_unary(b, &oxp_op_Sqrt, safe));
}

/* (V,1,...,T,1): variant k is zero at token first + k, else one */
static oxp_val mask(oxp_task *t, int64_t first, int64_t variants, int64_t tokens, int rank)
{
    oxp_tensor *held = OXP_NEW(t->b->g->arena, oxp_tensor, 1);
    oxp_shape shape = {.rank = rank + 1};
    for (int a = 0; a <= rank; a++) shape.dim[a] = a == 0 ? variants : a == rank - 1 ? tokens : 1;
    if (!held) t->b->status = oxp_ctx_fail(t->ctx, OXP_ENOMEM, "out of memory");
    if (t->b->status == OXP_OK)
        t->b->status = oxp_tensor_new(t->ctx, t->b->g->arena, OXP_F64, &shape, held);
    if (t->b->status != OXP_OK) return OXP_NO_VAL;
    for (int64_t k = 0; k < variants; k++)
        for (int64_t j = 0; j < tokens; j++)
            ((double *)(uintptr_t)held->data)[k * tokens + j] = j == first + k ? 0.0 : 1.0;
    return oxp_b_const(t->b, OXP_F32, held);
}

/* The map's product with its values, the map on the left. */
static oxp_status values_of(const oxp_attention_blocks *s, oxp_val map, const oxp_node **mixed)
{
    const oxp_node *scores;
    OXP_TRY(oxp_attention_parts(s->t->ctx, s->g, map, &scores, mixed));
    const bool *after = oxp_reach_down(s->g, s->t->ctx->scratch, &map, 1);
    OXP_NOMEM_IF(s->t->ctx, after);
    const char *name = oxp_value_of(s->g, map)->name;
    OXP_FAIL_IF(s->t->ctx,
                !after[(*mixed)->in[0]] || after[(*mixed)->in[1]] ||
                    oxp_shape_at(s->g, (*mixed)->in[1])->rank == OXP_MAX_RANK,
                OXP_EUNSUPPORTED,
                "value-zeroing: the attention '%s' does not come left of its values: use "
                "attention-rollout",
                name ? name : "?");
    return OXP_OK;
}

/* (N,Tq,V): how far each token moves without the value of each of [first, first + variants) */
static oxp_status moved(const oxp_attention_blocks *s, size_t l, const oxp_node *mixed,
                        int64_t first, int64_t variants, oxp_val *out)
{
    oxp_build *b = s->t->b;
    const oxp_shape *v = oxp_shape_at(s->g, mixed->in[1]);
    const int64_t last = -1;
    const oxp_val zeroed =
        oxp_b_mul(b, mixed->in[1], mask(s->t, first, variants, v->dim[v->rank - 2], v->rank));
    oxp_val wide;
    OXP_TRY(oxp_widen(b, s->method, s->n_nodes, mixed->out[0], s->behind[l],
                      oxp_b_matmul(b, mixed->in[0], zeroed), &wide));
    const oxp_val apart = oxp_b_sub(b, unit(b, wide), unit(b, s->behind[l]));
    const oxp_val square = oxp_b_reduce_sum(b, oxp_b_mul(b, apart, apart), &last, 1, false);
    const bool first_axis = oxp_attention_token_axis(s, s->behind[l], s->maps[l]) == 0;
    const int64_t perm[] = {first_axis ? 2 : 1, first_axis ? 1 : 2, 0};
    *out = oxp_b_transpose(b, oxp_b_mul(b, square, oxp_b_scalar(b, 0.5)), perm);
    return b->status;
}

/* C_l (N,Tq,Tk); a row that nothing moves stays zero */
static oxp_status mixing(const oxp_attention_blocks *s, size_t l, oxp_val *out)
{
    oxp_build *b = s->t->b;
    const oxp_node *mixed;
    OXP_TRY(values_of(s, s->maps[l], &mixed));
    const oxp_shape *map = oxp_shape_at(s->g, s->maps[l]);
    const int64_t tokens = map->dim[map->rank - 1], keys = 2,
                  each = oxp_shape_elements(oxp_shape_at(s->g, s->behind[l]));
    const int64_t fit = MOST / (each > 0 ? each : 1), most = fit < 1 ? 1 : fit;
    oxp_val *parts = OXP_NEW(s->t->ctx->scratch, oxp_val, tokens + 1);
    OXP_NOMEM_IF(s->t->ctx, parts);
    size_t n = 0;
    for (int64_t first = 0; first < tokens; first += most)
        OXP_TRY(
            moved(s, l, mixed, first, tokens - first < most ? tokens - first : most, &parts[n++]));
    const oxp_val all = n == 1 ? parts[0] : oxp_b_concat(b, parts, n, 2);
    const oxp_val sum = oxp_b_reduce_sum(b, all, &keys, 1, true),
                  none = oxp_b_equal(b, sum, oxp_b_scalar(b, 0.0));
    *out = oxp_b_div(b, all, oxp_b_where(b, none, oxp_b_scalar(b, 1.0), sum));
    return b->status;
}

static oxp_val step(oxp_task *t, oxp_val r, oxp_val c)
{
    return oxp_b_matmul(t->b, r, c);
}

static oxp_status plan(oxp_task *t)
{
    oxp_attention_blocks s;
    size_t n = 0;
    OXP_TRY(oxp_attention_chain(t));
    OXP_TRY(oxp_attention_blocks_find(t, "value-zeroing", &s));
    oxp_val *maps = OXP_NEW(t->ctx->scratch, oxp_val, t->n_at);
    OXP_NOMEM_IF(t->ctx, maps);
    for (size_t l = 0; l < s.n_maps && n < t->n_at; l++)
        if (s.maps[l] == t->at[n]) OXP_TRY(mixing(&s, l, &maps[n++]));
    OXP_FAIL_IF(t->ctx, n < t->n_at, OXP_EUNSUPPORTED,
                "value-zeroing needs queries that depend on the input");
    return oxp_attention_flow(t, maps, step);
}

static const oxp_param_info params[] = {
    OXP_ATTENTION_QUERY,
    OXP_CAM_UPSAMPLE,
};

const oxp_method oxp_method_value_zeroing = {
    .info = {.name = "value-zeroing",
             .title = "Value zeroing",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence =
                 "How much the tokens' values, with all that a block makes of them, move the "
                 "token that the target reads.",
             .definition =
                 "the read row of C_L ... C_1, C[i,j] = 1 - cos(x_i, x_i with the value of "
                 "token j zero), x behind the block, rows normalised",
             .paper = "Mohebbi, Zuidema, Chrupala, Alishahi 2023, arXiv:2301.12971",
             .equals = "ValueZeroing's demo (rollout with res=False); with --layer inseq's "
                       "value_zeroing of that layer",
             .cost = "1 forward, and per layer the block once for every token",
             .weakness = "not specific to a class; a block at a time, so what later blocks do with "
                         "a token counts only through the rollout"},
    .params = params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION | OXP_METHOD_ATTENTION_FLOW,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
};
