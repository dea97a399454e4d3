/* cumulate.c - running sums and products along one axis.
 *
 *   CumSum   y_i = x_0 + ... + x_i     exclusive: without x_i itself; reverse: from the end
 *   CumProd  y_i = x_0 ... x_i         likewise
 *
 * The axis is a constant input that has become an attribute. */
#include "ops/infer.h"
#include "ops/lower.h"

typedef struct running { /* x as (outer, n, inner) */
    int axis;
    bool exclusive, reverse;
    int64_t outer, n, inner;
} running;

static oxp_status read_running(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, running *r)
{
    *r = (running){.outer = 1, .inner = 1};
    OXP_NODE_FAIL_IF(ctx, node, !oxp_attr_find(node, "axis"), OXP_EINVAL, "has no %s", "axis");
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", 0), x->rank, &r->axis));
    r->exclusive = oxp_attr_int(node, "exclusive", 0) != 0;
    r->reverse = oxp_attr_int(node, "reverse", 0) != 0;
    r->n = x->dim[r->axis];
    for (int a = 0; a < x->rank; a++)
        if (a != r->axis) *(a < r->axis ? &r->outer : &r->inner) *= x->dim[a];
    return OXP_OK;
}

static oxp_status infer_running(oxp_infer *inf)
{
    running r;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, 0) == OXP_BOOL, OXP_EINVAL,
                     "expects numbers, found %s", oxp_dtype_name(OXP_BOOL));
    OXP_TRY(read_running(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &r));
    return oxp_infer_same(inf);
}

/* dx_i = dy_i + ... + dy_n: the same sum in the other direction */
static oxp_status cumsum_grad(oxp_grad *g)
{
    running r;
    if (!g->wants[0] || g->dy[0] == OXP_NO_VAL) return OXP_OK;
    OXP_TRY(read_running(g->b->ctx, g->node, oxp_b_shape(g->b, g->node->in[0]), &r));
    g->dx[0] = OXP_EMIT1(g->b, &oxp_op_CumSum, g->dy[0], OXP_INT("axis", r.axis),
                         OXP_INT("exclusive", r.exclusive), OXP_INT("reverse", !r.reverse));
    return g->b->status;
}

static oxp_status ref_running(const oxp_call *call, bool product)
{
    running r;
    OXP_TRY(read_running(call->ctx, call->node, &call->in_shape[0], &r));
    for (int64_t o = 0; o < r.outer; o++)
        for (int64_t i = 0; i < r.inner; i++) {
            double acc = product ? 1.0 : 0.0;
            for (int64_t k = 0; k < r.n; k++) {
                const int64_t at = (o * r.n + (r.reverse ? r.n - 1 - k : k)) * r.inner + i;
                const double next = product ? acc * call->in[0][at] : acc + call->in[0][at];
                call->out[0][at] = r.exclusive ? acc : next;
                acc = next;
            }
        }
    return OXP_OK;
}

static oxp_status cumsum_ref(const oxp_call *call)
{
    return ref_running(call, false);
}

static oxp_status cumprod_ref(const oxp_call *call)
{
    return ref_running(call, true);
}

static oxp_status cumsum_lower(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    running r;
    if (!oxp_node_all_float(g, node)) return oxp_lower_by_ref(lw, node);
    OXP_TRY(read_running(oxp_lower_ctx(lw), node, oxp_shape_at(g, node->in[0]), &r));
    return oxp_lower_cumsum(lw, r.axis, r.exclusive, r.reverse, node->in[0], node->out[0]);
}

/* One product per position, each of the one before it: exact, and differentiable also where factors
 * are zero. */
static oxp_status cumprod_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    running r;
    OXP_TRY(read_running(b->ctx, node, &x, &r));
    oxp_shape slice = x;
    slice.dim[r.axis] = 1;
    oxp_val *parts = OXP_NEW(b->ctx->scratch, oxp_val, r.n + 1);
    OXP_NOMEM_IF(b->ctx, parts);
    const bool real = oxp_value_of(b->g, node->in[0])->dtype == OXP_F32;
    const oxp_val one = real ? oxp_b_scalar(b, 1.0) : oxp_b_ints(b, (const int64_t[]){1}, 1);
    oxp_val acc = oxp_b_expand(b, one, &slice);
    for (int64_t k = 0; k < r.n; k++) {
        const int64_t at = r.reverse ? r.n - 1 - k : k;
        const oxp_val next = oxp_b_mul(b, acc, oxp_b_slice(b, node->in[0], r.axis, at, at + 1));
        parts[at] = r.exclusive ? acc : next;
        acc = next;
    }
    out[0] = r.n ? oxp_b_concat(b, parts, (size_t)r.n, r.axis) : node->in[0];
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec running_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"exclusive", OXP_ATTR_INT, NULL}, {"reverse", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_const_in running_const_in[] = {{1, "axis", OXP_ATTR_INT}, {0, NULL, 0}};

const oxp_op oxp_op_CumSum = {
    .name = "CumSum", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 11, .attrs = running_attrs,
    .flags = OXP_OP_LINEAR | OXP_OP_WRAPS, .const_in = running_const_in, .infer = infer_running, .grad = cumsum_grad, .ref = cumsum_ref,
    .lower = cumsum_lower};

const oxp_op oxp_op_CumProd = {
    .name = "CumProd", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 26, .attrs = running_attrs,
    .const_in = running_const_in, .flags = OXP_OP_COMPOSITE | OXP_OP_WRAPS, .infer = infer_running, .ref = cumprod_ref,
    .expand = cumprod_expand};
/* clang-format on */
