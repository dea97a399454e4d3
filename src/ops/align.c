/* align.c - _Align: how operators broadcast before opset 7, when the axes of the second operand
 * could be laid against inner axes of the first. The importer puts it before such nodes, and
 * specialisation makes a Reshape of it: nothing to the right ever sees it. */
#include "ops/infer.h"
#include "ops/layout.h"

/* b's axes against a's from `axis` on, then ones; a single element fits anywhere. */
static oxp_status aligned_shape(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *b,
                                const oxp_shape *a, oxp_shape *out)
{
    const bool single = oxp_shape_elements(b) == 1;
    int64_t axis = oxp_attr_int(node, "axis", 0);
    if (axis < 0) axis += a->rank;
    *out = (oxp_shape){.rank = single ? 0 : a->rank - (int)axis};
    OXP_NODE_FAIL_IF(ctx, node, !single && (axis < 0 || axis + b->rank > a->rank), OXP_EINVAL,
                     "cannot lay a tensor of %d axes against axis %lld of one with %d", b->rank,
                     (long long)axis, a->rank);
    for (int i = 0; i < out->rank; i++) out->dim[i] = i < b->rank ? b->dim[i] : 1;
    return OXP_OK;
}

static oxp_status align_infer(oxp_infer *inf)
{
    oxp_shape y;
    OXP_TRY(
        aligned_shape(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &y));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status align_ref(const oxp_call *call)
{
    oxp_ref_copy(call);
    return OXP_OK;
}

/* db = dy in b's shape */
static oxp_status align_grad(oxp_grad *g)
{
    if (g->wants[0] && g->dy[0] != OXP_NO_VAL)
        g->dx[0] = oxp_b_reshape(g->b, g->dy[0], oxp_b_shape(g->b, g->node->in[0]));
    return g->b->status;
}

static oxp_status align_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_shape y;
    OXP_TRY(
        aligned_shape(b->ctx, node, oxp_b_shape(b, node->in[0]), oxp_b_shape(b, node->in[1]), &y));
    out[0] = oxp_b_reshape(b, node->in[0], &y);
    return b->status;
}

/* clang-format off */
static const oxp_attr_spec align_attrs[] = {{"axis", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op__Align = {
    .name = "_Align", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE | OXP_OP_SHAPE_ONLY, .attrs = align_attrs,
    .infer = align_infer, .ref = align_ref, .grad = align_grad, .expand = align_expand};
/* clang-format on */
