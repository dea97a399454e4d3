/* linear.c - see linear.h. */
#include "explain/linear.h"

#include "ops/infer.h"

/* ---- parts ---- */

oxp_val oxp_const_part(oxp_build *b, oxp_val v, bool positive)
{
    if (b->status != OXP_OK || v == OXP_NO_VAL) return OXP_NO_VAL;
    const oxp_tensor *from = oxp_value_of(b->g, v)->constant;
    const int64_t n = oxp_shape_elements(&from->shape);
    const oxp_dtype dtype = from->dtype == OXP_F64 ? OXP_F64 : OXP_F32;
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    if (t) b->status = oxp_tensor_new(b->ctx, b->g->arena, dtype, &from->shape, t);
    if (!t) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    for (int64_t i = 0; b->status == OXP_OK && i < n; i++) {
        const double x = oxp_tensor_get(from, i), part = (x > 0.0) == positive ? x : 0.0;
        if (dtype == OXP_F64)
            ((double *)(uintptr_t)t->data)[i] = part;
        else
            ((float *)(uintptr_t)t->data)[i] = (float)part;
    }
    return oxp_b_const(b, OXP_F32, t);
}

oxp_val oxp_positive_part(oxp_build *b, oxp_val x)
{
    return oxp_b_unary(b, &oxp_op_Relu, x);
}

oxp_val oxp_negative_part(oxp_build *b, oxp_val x)
{
    return oxp_b_unary(b, &oxp_op_Neg, oxp_positive_part(b, oxp_b_unary(b, &oxp_op_Neg, x)));
}

/* ---- finding and reading ---- */

static bool is_constant(const oxp_graph *g, const oxp_node *node, uint32_t k)
{
    return oxp_node_has(node, k) && oxp_value_of(g, node->in[k])->kind == OXP_VALUE_CONST;
}

bool oxp_linear_is(const oxp_graph *g, const oxp_node *node)
{
    const bool bias = !oxp_node_has(node, 2) || is_constant(g, node, 2);
    if (oxp_op_is_conv(node->op)) return is_constant(g, node, 1) && bias;
    if (node->op != &oxp_op_Gemm && node->op != &oxp_op_MatMul) return false;
    return bias && is_constant(g, node, 0) != is_constant(g, node, 1);
}

static oxp_val scaled(oxp_build *b, oxp_val v, double factor)
{
    return v == OXP_NO_VAL ? v : oxp_b_mul(b, v, oxp_b_scalar(b, factor));
}

/* Gemm becomes the general product, its factors moved into weights and bias. */
void oxp_linear_read(oxp_build *b, const oxp_node *node, oxp_linear *l)
{
    *l = (oxp_linear){.b = b, .node = node, .op = node->op, .attrs = node->attrs};
    l->n_attrs = node->n_attrs;
    l->xk = is_constant(b->g, node, 0) ? 1 : 0;
    l->x = node->in[l->xk];
    l->w = node->in[1 - l->xk];
    l->bias = oxp_node_has(node, 2) ? node->in[2] : OXP_NO_VAL;
    l->out = node->out[0];
    if (node->op != &oxp_op_Gemm) return;
    l->w = scaled(b, l->w, oxp_attr_float(node, "alpha", 1.0));
    l->bias = scaled(b, l->bias, oxp_attr_float(node, "beta", 1.0));
    l->op = &oxp_op__MatMul;
    l->own[0] = OXP_INT("trans_a", oxp_attr_int(node, "transA", 0));
    l->own[1] = OXP_INT("trans_b", oxp_attr_int(node, "transB", 0));
    l->attrs = l->own;
    l->n_attrs = 2;
}

/* ---- again ---- */

oxp_val oxp_linear_forward(const oxp_linear *l, oxp_val x, oxp_val w, oxp_val bias)
{
    const oxp_val in[3] = {l->xk == 0 ? x : w, l->xk == 0 ? w : x, bias};
    const bool inside =
        oxp_op_is_conv(l->op) && bias != OXP_NO_VAL && oxp_b_shape(l->b, bias)->rank == 1;
    const oxp_val y = oxp_emit(l->b, l->op, in, inside ? 3 : 2, l->attrs, l->n_attrs);
    return inside || bias == OXP_NO_VAL ? y : oxp_b_add(l->b, y, bias);
}

oxp_val oxp_linear_backward(const oxp_linear *l, oxp_val s, oxp_val w)
{
    oxp_val in[2] = {l->xk == 0 ? l->x : w, l->xk == 0 ? w : l->x}, out[1] = {l->out};
    oxp_val dx[2] = {OXP_NO_VAL, OXP_NO_VAL};
    bool wants[2] = {l->xk == 0, l->xk == 1};
    oxp_node node = *l->node;
    node.op = l->op;
    node.in = in;
    node.n_in = 2;
    node.out = out;
    node.n_out = 1;
    node.attrs = (oxp_attr *)(uintptr_t)l->attrs;
    node.n_attrs = l->n_attrs;
    oxp_grad grad = {l->b, &node, &s, wants, dx};
    if (l->b->status == OXP_OK) l->b->status = l->op->grad(&grad);
    if (l->b->status != OXP_OK) return OXP_NO_VAL;
    return dx[l->xk];
}
