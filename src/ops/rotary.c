/* rotary.c - RotaryEmbedding (x, cos, sin, positions?): turns pairs (x1, x2) of each head's cells by an
 * angle that grows with the position.
 *
 *   y1 = cos x1 - sin x2, y2 = sin x1 + cos x2; pairs are neighbours (interleaved) or half a head apart */
#include "ops/rotary.h"

#include "ops/infer.h"

#define SHAPE4(j, k, m, n) (&(oxp_shape){.rank = 4, .dim = {(j), (k), (m), (n)}})

typedef struct rotary {
    bool flat, interleaved; /* (B, steps, heads * d), else (B, heads, steps, d) */
    int64_t batch, steps, heads, d, turned;
} rotary;

static oxp_status read_rotary(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                              const oxp_shape *cache, const oxp_shape *positions, rotary *r)
{
    *r = (rotary){.flat = x->rank == 3,
                  .interleaved = oxp_attr_int(node, "interleaved", 0) != 0,
                  .heads = oxp_attr_int(node, "num_heads", 0)};
    bool fits = x->rank == 4 || (x->rank == 3 && r->heads > 0 && x->dim[2] % r->heads == 0);
    if (fits) {
        r->batch = x->dim[0];
        r->steps = x->dim[r->flat ? 1 : 2];
        r->d = r->flat ? x->dim[2] / r->heads : x->dim[3];
        if (!r->flat) r->heads = x->dim[1];
        r->turned = oxp_attr_int(node, "rotary_embedding_dim", 0);
        if (r->turned == 0) r->turned = r->d;
    }
    fits = fits && r->turned > 0 && r->turned <= r->d && r->turned % 2 == 0;
    fits =
        fits && cache->rank == (positions ? 2 : 3) && cache->dim[cache->rank - 1] == r->turned / 2;
    const oxp_shape *at = positions ? positions : cache;
    fits = fits && at->rank >= 2 && at->dim[0] == r->batch && at->dim[1] == r->steps;
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EINVAL, "has %s that do not fit together",
                     "an input, angles and positions");
    return OXP_OK;
}

static oxp_status infer_rotary(oxp_infer *inf)
{
    rotary r;
    const bool placed = oxp_infer_has(inf, 3);
    for (size_t i = 0; i < 3; i++) OXP_TRY(oxp_infer_float(inf, i));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     (placed && oxp_infer_dtype(inf, 3) != OXP_I64) ||
                         !oxp_shape_equal(oxp_infer_shape(inf, 1), oxp_infer_shape(inf, 2)),
                     OXP_EINVAL, "expects cosines and sines of one shape, and %s",
                     "whole numbers as positions");
    OXP_TRY(read_rotary(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1),
                        placed ? oxp_infer_shape(inf, 3) : NULL, &r));
    return oxp_infer_same(inf);
}

static oxp_status ref_rotary(const oxp_call *call)
{
    rotary r;
    const double *positions = call->node->n_in > 3 ? call->in[3] : NULL;
    OXP_TRY(read_rotary(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1],
                        positions ? &call->in_shape[3] : NULL, &r));
    const int64_t half = r.turned / 2;
    for (int64_t row = 0; row < r.batch * r.steps * r.heads; row++) {
        const int64_t b = row / (r.steps * r.heads), t = row / r.heads % r.steps, n = row % r.heads;
        const int64_t at = (r.flat ? row : (b * r.heads + n) * r.steps + t) * r.d;
        const int64_t most = call->in_shape[1].dim[0];
        double place = positions ? positions[b * r.steps + t] : (double)(b * r.steps + t);
        if (positions && place < 0.0) place += (double)most;
        OXP_NODE_FAIL_IF(call->ctx, call->node,
                         positions && !(place >= 0.0 && place < (double)most), OXP_EINVAL,
                         "is given position %.0f of %lld", place, (long long)most);
        const double *x = call->in[0] + at, *cosine = call->in[1] + (int64_t)place * half,
                     *sine = call->in[2] + (int64_t)place * half;
        double *y = call->out[0] + at;
        for (int64_t k = 0; k < half; k++) {
            const int64_t i = r.interleaved ? 2 * k : k, j = r.interleaved ? 2 * k + 1 : half + k;
            y[i] = cosine[k] * x[i] - sine[k] * x[j];
            y[j] = sine[k] * x[i] + cosine[k] * x[j];
        }
        for (int64_t k = r.turned; k < r.d; k++) y[k] = x[k];
    }
    return OXP_OK;
}

oxp_val oxp_b_turn(oxp_build *b, oxp_val x, const oxp_val table[2], oxp_val positions,
                   bool interleaved)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const oxp_shape whole = *oxp_b_shape(b, x), *t = oxp_b_shape(b, table[0]);
    const int64_t half = t->dim[t->rank - 1], axis = interleaved ? 4 : 3;
    oxp_val angle[2]; /* (B or 1,steps,1,half,1) or (..,1,1,half): along the pairs of x */
    for (int k = 0; k < 2; k++) {
        angle[k] = table[k];
        if (positions)
            angle[k] = oxp_emit(b, &oxp_op_Gather, (const oxp_val[]){table[k], positions}, 2,
                                (const oxp_attr[]){OXP_INT("axis", 0)}, 1);
        if (b->status != OXP_OK) return OXP_NO_VAL;
        const oxp_shape along = {.rank = 5,
                                 .dim = {oxp_b_shape(b, angle[k])->dim[0], whole.dim[1], 1,
                                         interleaved ? half : 1, interleaved ? 1 : half}};
        angle[k] = oxp_b_reshape(b, angle[k], &along);
    }
    const bool part = 2 * half < whole.dim[3];
    const oxp_val rest = part ? oxp_b_slice(b, x, 3, 2 * half, whole.dim[3]) : OXP_NO_VAL;
    const oxp_shape pairs = {.rank = 5,
                             .dim = {whole.dim[0], whole.dim[1], whole.dim[2],
                                     interleaved ? half : 2, interleaved ? 2 : half}};
    x = oxp_b_reshape(b, oxp_b_slice(b, x, 3, 0, 2 * half), &pairs);
    const oxp_val x1 = oxp_b_slice(b, x, axis, 0, 1), x2 = oxp_b_slice(b, x, axis, 1, 2);
    const oxp_val turned[] = {oxp_b_sub(b, oxp_b_mul(b, angle[0], x1), oxp_b_mul(b, angle[1], x2)),
                              oxp_b_add(b, oxp_b_mul(b, angle[1], x1), oxp_b_mul(b, angle[0], x2))};
    const oxp_val y = oxp_b_reshape(b, oxp_b_concat(b, turned, 2, axis),
                                    SHAPE4(whole.dim[0], whole.dim[1], whole.dim[2], 2 * half));
    return rest ? oxp_b_concat(b, (const oxp_val[]){y, rest}, 2, 3) : y;
}

static oxp_status expand_rotary(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    rotary r;
    oxp_val x = node->in[0];
    const oxp_val positions = oxp_node_has(node, 3) ? node->in[3] : OXP_NO_VAL;
    OXP_TRY(b->status);
    OXP_TRY(read_rotary(b->ctx, node, oxp_b_shape(b, x), oxp_b_shape(b, node->in[1]),
                        positions ? oxp_b_shape(b, positions) : NULL, &r));
    const oxp_shape whole = *oxp_b_shape(b, x);
    x = r.flat ? oxp_b_reshape(b, x, SHAPE4(r.batch, r.steps, r.heads, r.d))
               : oxp_b_transpose(b, x, (const int64_t[]){0, 2, 1, 3});
    x = oxp_b_turn(b, x, node->in + 1, positions, r.interleaved);
    out[0] =
        r.flat ? oxp_b_reshape(b, x, &whole) : oxp_b_transpose(b, x, (const int64_t[]){0, 2, 1, 3});
    return b->status;
}

/* ---- descriptor ---- */

/* clang-format off */
static const oxp_attr_spec rotary_attrs[] = {
    {"interleaved", OXP_ATTR_INT, NULL}, {"num_heads", OXP_ATTR_INT, NULL},
    {"rotary_embedding_dim", OXP_ATTR_INT, NULL}, {NULL, OXP_ATTR_INT, NULL}};

const oxp_op oxp_op_RotaryEmbedding = {
    .name = "RotaryEmbedding", .min_in = 3, .max_in = 4, .min_out = 1, .max_out = 1, .since = 23,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = rotary_attrs, .infer = infer_rotary,
    .ref = ref_rotary, .expand = expand_rotary};
/* clang-format on */
