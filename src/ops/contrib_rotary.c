/* contrib_rotary.c - RotaryEmbedding as ONNX Runtime had it before ONNX: (x, positions, cos, sin).
 *
 * Element i of a head's first R and its partner j (i + R/2; interleaved: its neighbour) become
 * x_i cos - x_j sin and x_j cos + x_i sin, with row `position` of the tables (positions, R/2). x is
 * (B,S,heads H) or (B,heads,S,H); one position is that of the first token. */
#include "ops/infer.h"
#include "ops/rotary.h"

#include <string.h>

typedef struct rotary {
    bool heads_first, interleaved;
    int64_t b, s, n, h, r; /* r: how many elements of a head turn */
    bool offset;           /* one position, that of the first token */
} rotary;

static bool read_rotary(const oxp_node *node, const oxp_shape *x, const oxp_shape *at,
                        const oxp_shape *table, rotary *r)
{
    const int64_t heads = oxp_attr_int(node, "num_heads", 0);
    const int64_t part = oxp_attr_int(node, "rotary_embedding_dim", 0);
    *r = (rotary){.heads_first = x->rank == 4,
                  .interleaved = oxp_attr_int(node, "interleaved", 0) != 0};
    if (table->rank != 2 || (x->rank != 3 && x->rank != 4) || heads < 0) return false;
    r->r = 2 * table->dim[1];
    r->b = x->dim[0];
    r->s = x->dim[r->heads_first ? 2 : 1];
    if (r->heads_first) {
        r->n = x->dim[1];
        r->h = x->dim[3];
    } else {
        r->n = heads ? heads : r->r ? x->dim[2] / r->r : 0;
        r->h = r->n ? x->dim[2] / r->n : 0;
        if (r->n * r->h != x->dim[2]) return false;
    }
    if (r->r < 2 || r->r > r->h || (part > 0 && part != r->r)) return false;
    r->offset = at->rank == 0 || (at->rank == 1 && at->dim[0] == 1);
    return r->offset || (at->rank == 2 && at->dim[0] == r->b && at->dim[1] == r->s);
}

static oxp_status infer_rotary(oxp_infer *inf)
{
    char xs[OXP_SHAPE_TEXT], ts[OXP_SHAPE_TEXT];
    const oxp_shape *x = oxp_infer_shape(inf, 0), *table = oxp_infer_shape(inf, 2);
    rotary r;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 2));
    OXP_TRY(oxp_infer_float(inf, 3));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_dtype(inf, 1) != OXP_I64 ||
                         !oxp_shape_equal(table, oxp_infer_shape(inf, 3)) ||
                         !read_rotary(inf->node, x, oxp_infer_shape(inf, 1), table, &r),
                     OXP_EINVAL, "cannot turn %s by its positions and tables %s",
                     oxp_shape_text(x, xs), oxp_shape_text(table, ts));
    return oxp_infer_same(inf);
}

static oxp_status ref_rotary(const oxp_call *call)
{
    rotary r;
    OXP_FAIL_IF(
        call->ctx,
        !read_rotary(call->node, &call->in_shape[0], &call->in_shape[1], &call->in_shape[2], &r),
        OXP_EINTERNAL, "RotaryEmbedding: shapes changed");
    const int64_t half = r.r / 2, rows = call->in_shape[2].dim[0];
    for (int64_t i = 0; i < r.b * r.s * r.n; i++) {
        const int64_t b = i / (r.s * r.n), rest = i % (r.s * r.n);
        const int64_t s = r.heads_first ? rest % r.s : rest / r.n;
        int64_t row = (int64_t)call->in[1][r.offset ? 0 : b * r.s + s] + (r.offset ? s : 0);
        const double *x = call->in[0] + i * r.h;
        double *y = call->out[0] + i * r.h;
        OXP_NODE_FAIL_IF(call->ctx, call->node, row < 0 || row >= rows, OXP_EINVAL,
                         "has no row for position %lld", (long long)row);
        memcpy(y, x, (size_t)r.h * sizeof *y);
        for (int64_t k = 0; k < half; k++) {
            const int64_t p = r.interleaved ? 2 * k : k, q = r.interleaved ? 2 * k + 1 : k + half;
            const double c = call->in[2][row * half + k], d = call->in[3][row * half + k];
            y[p] = x[p] * c - x[q] * d;
            y[q] = x[q] * c + x[p] * d;
        }
    }
    return OXP_OK;
}

static oxp_status expand_rotary(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    rotary r;
    if (b->status != OXP_OK) return b->status;
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    OXP_FAIL_IF(
        b->ctx,
        !read_rotary(node, &x, oxp_b_shape(b, node->in[1]), oxp_b_shape(b, node->in[2]), &r),
        OXP_EINTERNAL, "RotaryEmbedding: shapes changed");
    const int64_t swap[] = {0, 2, 1, 3};
    const oxp_shape heads = {.rank = 4, .dim = {r.b, r.s, r.n, r.h}};
    const oxp_shape line = {.rank = 2, .dim = {1, r.s}};
    oxp_val at = node->in[1], v = node->in[0];
    if (r.offset) at = oxp_b_reshape(b, oxp_b_add(b, at, oxp_b_count(b, r.s)), &line);
    v = r.heads_first ? oxp_b_transpose(b, v, swap) : oxp_b_reshape(b, v, &heads);
    v = oxp_b_turn(b, v, node->in + 2, at, r.interleaved);
    out[0] = r.heads_first ? oxp_b_transpose(b, v, swap) : oxp_b_reshape(b, v, &x);
    return b->status;
}

/* ---- descriptor ---- */

/* clang-format off */
static const oxp_attr_spec rotary_attrs[] = {
    {"interleaved", OXP_ATTR_INT, NULL}, {"is_packed_batching", OXP_ATTR_INT, "0"}, {"num_heads", OXP_ATTR_INT, NULL},
    {"rotary_embedding_dim", OXP_ATTR_INT, NULL}, {"scale", OXP_ATTR_FLOAT, "1"}, {NULL, 0, NULL}};

const oxp_op oxp_op_ms_RotaryEmbedding = {
    .name = "com.microsoft::RotaryEmbedding", .min_in = 4, .max_in = 4, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = rotary_attrs,
    .infer = infer_rotary, .ref = ref_rotary, .expand = expand_rotary};
/* clang-format on */
