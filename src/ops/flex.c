/* flex.c - FlexAttention (ai.onnx.preview), put into its parts while specialising.
 *
 *   y = prob_mod(softmax(score_mod(scale q k'))) v      q, k, v (B,heads,steps,cells)
 *
 * Fewer heads of k and v are shared by groups of queries. The modifiers are graphs of one tensor (B,heads,L,S) that
 * keeps its shape; without them all of it is one _Attention. */
#include "ops/infer.h"
#include "ops/unroll.h"

#include <math.h>

typedef struct flex {
    int64_t batch, q_heads, heads, l, s, d, e;
    double scale;
    oxp_dtype type; /* of the scores, in ONNX */
} flex;

static oxp_status read_flex(oxp_specialiser *s, const oxp_node *node, const oxp_val *in, flex *f)
{
    char qs[OXP_SHAPE_TEXT], ks[OXP_SHAPE_TEXT], vs[OXP_SHAPE_TEXT];
    const oxp_shape q = *oxp_b_shape(&s->b, in[0]), k = *oxp_b_shape(&s->b, in[1]),
                    v = *oxp_b_shape(&s->b, in[2]);
    bool fits = q.rank == 4 && k.rank == 4 && v.rank == 4;
    for (int i = 0; i < 3; i++) fits = fits && oxp_value_of(s->b.g, in[i])->dtype == OXP_F32;
    fits = fits && k.dim[0] == q.dim[0] && v.dim[0] == q.dim[0] && k.dim[1] == v.dim[1] &&
           k.dim[1] > 0 && q.dim[1] % k.dim[1] == 0 && k.dim[2] == v.dim[2] && k.dim[3] == q.dim[3];
    OXP_NODE_FAIL_IF(s->ctx, node, !fits, OXP_EINVAL,
                     "expects floats (B,heads,steps,cells) that fit, found %s, %s and %s",
                     oxp_shape_text(&q, qs), oxp_shape_text(&k, ks), oxp_shape_text(&v, vs));
    *f = (flex){q.dim[0], q.dim[1], k.dim[1], q.dim[2], k.dim[2], q.dim[3], v.dim[3], 0, OXP_F32};
    f->scale = oxp_attr_float(node, "scale", 1.0 / sqrt((double)f->d));
    const oxp_dtype own = s->at->type[node->in[0]] == OXP_F64 ? OXP_F64 : OXP_F32;
    f->type = (oxp_dtype)oxp_attr_int(node, "softmax_precision", own);
    OXP_NODE_FAIL_IF(s->ctx, node, !oxp_dtype_is_float(f->type), OXP_EINVAL,
                     "has softmax_precision %d, which is no float", (int)f->type);
    return OXP_OK;
}

/* Each head of keys or values for all heads of queries that share it. */
static oxp_val for_queries(oxp_build *b, const flex *f, oxp_val x, int64_t cells)
{
    const int64_t group = f->q_heads / f->heads;
    if (group == 1) return x;
    const oxp_shape one = {.rank = 5, .dim = {f->batch, f->heads, 1, f->s, cells}},
                    all = {.rank = 5, .dim = {f->batch, f->heads, group, f->s, cells}},
                    joined = {.rank = 4, .dim = {f->batch, f->q_heads, f->s, cells}};
    return oxp_b_reshape(b, oxp_b_expand(b, oxp_b_reshape(b, x, &one), &all), &joined);
}

/* *x through the graph in that attribute, if there is one. */
static oxp_status modify(oxp_specialiser *s, const oxp_node *node, const flex *f, const char *attr,
                         oxp_val *x)
{
    if (!oxp_attr_find(node, attr)) return OXP_OK;
    const bool wanted = true;
    const oxp_shape shape = {.rank = 4, .dim = {f->batch, f->q_heads, f->l, f->s}};
    char text[OXP_SHAPE_TEXT];
    oxp_unrolled graph;
    oxp_val y;
    oxp_dtype type;
    OXP_TRY(oxp_body_open(s, node, attr, &wanted, 1, false, &graph));
    OXP_NODE_FAIL_IF(s->ctx, node, graph.g->n_outputs != 1, OXP_ECORRUPT,
                     "expects one output of its %s, found %zu", attr, graph.g->n_outputs);
    OXP_TRY(oxp_body_run(s, node, &graph, x, &f->type, 1, &y, &type));
    OXP_NODE_FAIL_IF(s->ctx, node,
                     oxp_value_of(s->b.g, y)->dtype != OXP_F32 ||
                         !oxp_shape_equal(oxp_b_shape(&s->b, y), &shape),
                     OXP_EINVAL, "has a %s that makes %s of its scores", attr,
                     oxp_shape_text(oxp_b_shape(&s->b, y), text));
    *x = y;
    return OXP_OK;
}

oxp_status oxp_unroll_flex(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                           oxp_dtype *types)
{
    oxp_build *b = &s->b;
    oxp_val in[3];
    flex f;
    const int64_t own = (int64_t)node->n_in - oxp_attr_int(node, "captures", 0);
    OXP_NODE_FAIL_IF(s->ctx, node, own != 3, OXP_ECORRUPT, "has %lld inputs, expected 3",
                     (long long)own);
    for (int i = 0; i < 3; i++) {
        in[i] = s->at->map[node->in[i]];
        OXP_NODE_FAIL_IF(s->ctx, node, in[i] == OXP_NO_VAL, OXP_ECORRUPT, "lacks input %d", i);
    }
    OXP_TRY(read_flex(s, node, in, &f));
    const oxp_val k = for_queries(b, &f, in[1], f.d), v = for_queries(b, &f, in[2], f.e);
    types[0] = s->at->type[node->in[2]];
    if (!oxp_attr_find(node, "score_mod") && !oxp_attr_find(node, "prob_mod")) {
        const oxp_attr scale = OXP_FLOAT("scale", f.scale);
        outs[0] = oxp_emit(b, &oxp_op__Attention, (const oxp_val[]){in[0], k, v}, 3, &scale, 1);
        return b->status;
    }
    const oxp_val kt = oxp_b_transpose(b, k, (const int64_t[]){0, 1, 3, 2});
    oxp_val x = oxp_b_mul(b, oxp_b_matmul(b, in[0], kt), oxp_b_scalar(b, f.scale));
    OXP_TRY(b->status);
    OXP_TRY(modify(s, node, &f, "score_mod", &x));
    x = OXP_EMIT1(b, &oxp_op_Softmax, x, OXP_INT("axis", -1));
    OXP_TRY(b->status);
    OXP_TRY(modify(s, node, &f, "prob_mod", &x));
    outs[0] = oxp_b_matmul(b, x, v);
    return b->status;
}
