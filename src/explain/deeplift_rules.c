/* deeplift_rules.c - multipliers through every kind of node: the rescale and the reveal-cancel rule
 * (Shrikumar et al. 2017), and what products, quotients and maxima need to stay complete.
 *
 * Every value has a twin v0 at the baseline x0; d v = v - v0. A multiplier m_v says what one unit of
 * dv contributes to the change of the score; the attribution is dx . m_x, and adds up to that change.
 *
 *   linear                 m_x = J' m_y
 *   y = f(x), elementwise  m_x = m_y dy / dx; where |dx| < 1e-10: m_y f'(x); smooth f and |dx| below
 *                          1e-3: m_y f'((x + x0) / 2), the same to 1e-7
 *   y = a b, both vary     m_a = (b + b0)/2 m_y, m_b = (a + a0)/2 m_y   (also matrix products)
 *   y = a / b              as a . (1/b), the reciprocal by the rule for f
 *   y = max of some x      with c = max(y, y0): [to the winner now  m_y (c - y0)
 *                          + to the winner then  m_y (y - c)] / dx; where |dx| < 1e-10: J' m_y
 *
 *   y = f(z), z = W x + b, with reveal-cancel: dz+ = W+ dx+ + W- dx-, dz- = W- dx+ + W+ dx-,
 *                          dy+ = (f(z0 + dz+) - f(z0) + f(z) - f(z0 + dz-)) / 2, dy- with dz- and dz+
 *                          exchanged, m+ = m_y dy+ / dz+, m- = m_y dy- / dz-;
 *                          m_x = W+' m+ + W-' m- where dx > 0, W-' m+ + W+' m- where dx < 0, their
 *                          mean where dx = 0 */
#include "explain/deeplift.h"
#include "explain/linear.h"

#include "ops/infer.h"
#include "ops/quantize.h"

#define SMALL 1e-10

static oxp_val twin_of(const oxp_rule_context *rc, oxp_val v)
{
    return v == OXP_NO_VAL ? v : rc->twin[v];
}

static bool is_op(const oxp_rule_context *rc, const oxp_op *op)
{
    return rc->node->op == op;
}

static oxp_val change_of(const oxp_rule_context *rc, oxp_val v)
{
    return oxp_b_sub(rc->b, v, twin_of(rc, v));
}

/* share / change, or `slope` where the change is not above `limit`, too small to divide by. Where both runs
 * hold the same infinity (a mask hides a score) the change is not a number, and there is no share either. */
static oxp_val ratio(oxp_build *b, oxp_val share, oxp_val change, oxp_val slope, oxp_val limit)
{
    const oxp_val large = oxp_b_greater(b, oxp_b_unary(b, &oxp_op_Abs, change), limit);
    const oxp_val safe = oxp_b_where(b, large, change, oxp_b_scalar(b, 1.0));
    return oxp_b_where(b, large, oxp_b_div(b, share, safe), slope);
}

/* The operator's own gradient with other inputs, outputs and adjoint of the first output. */
static oxp_status gradient_at(const oxp_rule_context *rc, oxp_val *in, oxp_val *out, oxp_val dy,
                              oxp_val *dx)
{
    oxp_node node = *rc->node;
    node.in = in;
    node.out = out;
    oxp_val *adjoints = OXP_NEW(rc->b->ctx->scratch, oxp_val, node.n_out);
    OXP_NOMEM_IF(rc->b->ctx, adjoints);
    adjoints[0] = dy;
    oxp_grad own = {rc->b, &node, adjoints, rc->grad->wants, dx};
    OXP_TRY(oxp_gradient_of(&own));
    return rc->b->status;
}

/* y = f(x) for every element on its own */
static bool is_scalar_function(const oxp_rule_context *rc)
{
    double alpha, beta;
    const oxp_fn fn = oxp_node_fn(rc->node, &alpha, &beta);
    if (fn != OXP_FN_NONE) return fn != OXP_FN_NEG;
    return (is_op(rc, &oxp_op_Pow) || is_op(rc, &oxp_op_PRelu)) && rc->grad->wants[0] &&
           !rc->grad->wants[1];
}

/* Rounding to codes is a function of one number too, but none that a layer reveals anything through. */
static bool is_rounding(const oxp_rule_context *rc)
{
    return oxp_op_rounds(rc->node->op) && oxp_grad_wants_first(rc->grad);
}

static oxp_val middle(const oxp_rule_context *rc, oxp_val v)
{
    return oxp_b_mul(rc->b, oxp_b_add(rc->b, v, twin_of(rc, v)), oxp_b_scalar(rc->b, 0.5));
}

/* How close x and x0 may be for f'((x + x0) / 2) to stand for dy / dx: to 1e-7 of it where f is
 * smooth, and free of the cancellation that the quotient suffers in float. At kinks: only where the
 * quotient is not defined. */
static oxp_val closeness(const oxp_rule_context *rc, bool *smooth)
{
    double alpha, beta;
    oxp_build *b = rc->b;
    *smooth = true;
    switch (oxp_node_fn(rc->node, &alpha, &beta)) {
    case OXP_FN_SIGMOID:
    case OXP_FN_TANH:
    case OXP_FN_ERF:
    case OXP_FN_EXP:
    case OXP_FN_SOFTPLUS:
    case OXP_FN_GELU:
    case OXP_FN_GELU_TANH:
    case OXP_FN_SILU:
    case OXP_FN_MISH:
    case OXP_FN_ATAN:
    case OXP_FN_SINH:
    case OXP_FN_COSH:
    case OXP_FN_ASINH:
        return oxp_b_scalar(b, 1e-3);
    case OXP_FN_SQRT:
    case OXP_FN_LOG:
    case OXP_FN_RECIPROCAL:
        return oxp_b_mul(b, oxp_b_unary(b, &oxp_op_Abs, rc->node->in[0]), oxp_b_scalar(b, 1e-3));
    default:
        *smooth = false;
        return oxp_b_scalar(b, SMALL);
    }
}

static oxp_status apply_rescale(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_node *node = rc->node;
    const oxp_val dy = rc->grad->dy[0], share = oxp_b_mul(b, dy, change_of(rc, node->out[0]));
    bool smooth;
    const oxp_val limit = closeness(rc, &smooth);
    if (smooth) {
        oxp_val x[1] = {middle(rc, node->in[0])}, y[1];
        y[0] = oxp_emit(b, node->op, x, 1, node->attrs, node->n_attrs);
        OXP_TRY(gradient_at(rc, x, y, dy, rc->grad->dx));
    } else {
        OXP_TRY(gradient_at(rc, node->in, node->out, dy, rc->grad->dx));
    }
    rc->grad->dx[0] = ratio(b, share, change_of(rc, node->in[0]), rc->grad->dx[0], limit);
    return b->status;
}

/* ---- reveal-cancel: the layer below, and the function above it ---- */

/* The layer whose output (plus a constant) this is, if nobody else looks at it and the rule holds
 * there. */
static const oxp_node *layer_below(const oxp_rule_context *rc, oxp_val z)
{
    const oxp_lift *l = rc->params;
    const oxp_graph *g = rc->b->g;
    for (int step = 0; step < 2; step++) {
        const uint32_t producer = oxp_value_of(g, z)->producer;
        if (producer == OXP_NO_NODE || z >= l->n || l->uses[z] != 1) return NULL;
        const oxp_node *node = g->nodes[producer];
        if (oxp_linear_is(g, node))
            return (oxp_op_is_conv(node->op) ? l->conv : l->dense) ? node : NULL;
        if (node->op != &oxp_op_Add) return NULL;
        const bool first = oxp_value_of(g, node->in[0])->kind == OXP_VALUE_CONST;
        if (!first && oxp_value_of(g, node->in[1])->kind != OXP_VALUE_CONST) return NULL;
        z = node->in[first ? 1 : 0];
    }
    return NULL;
}

static bool is_revealed(const oxp_rule_context *rc)
{
    return is_scalar_function(rc) && layer_below(rc, rc->node->in[0]) != NULL;
}

/* f(v), f being what this node applies to its first input */
static oxp_val apply_function(const oxp_rule_context *rc, oxp_val v)
{
    const oxp_val in[2] = {v, rc->node->n_in > 1 ? rc->node->in[1] : OXP_NO_VAL};
    return oxp_emit(rc->b, rc->node->op, in, rc->node->n_in, rc->node->attrs, rc->node->n_attrs);
}

/* (f(now) - f(before) + y - other) / 2 . m / change */
static oxp_val half_share(const oxp_rule_context *rc, oxp_val now, oxp_val before, oxp_val other,
                          oxp_val change, oxp_val slope)
{
    oxp_build *b = rc->b;
    const oxp_val rise = oxp_b_sub(b, now, before), rest = oxp_b_sub(b, rc->node->out[0], other);
    const oxp_val both = oxp_b_mul(b, oxp_b_add(b, rise, rest), oxp_b_scalar(b, 0.5));
    return ratio(b, oxp_b_mul(b, both, rc->grad->dy[0]), change, slope, oxp_b_scalar(b, SMALL));
}

static oxp_status apply_reveal(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_lift *l = rc->params;
    const oxp_val z = rc->node->in[0];
    const oxp_node *below = layer_below(rc, z);
    oxp_linear lin;
    oxp_linear_read(b, below, &lin);
    const oxp_val dx = change_of(rc, lin.x), up = oxp_positive_part(b, dx);
    const oxp_val down = oxp_negative_part(b, dx), z0 = twin_of(rc, z);
    const oxp_val p = oxp_const_part(b, lin.w, true), n = oxp_const_part(b, lin.w, false);
    const oxp_val dz_plus = oxp_b_add(b, oxp_linear_forward(&lin, up, p, OXP_NO_VAL),
                                      oxp_linear_forward(&lin, down, n, OXP_NO_VAL));
    const oxp_val dz_minus = oxp_b_add(b, oxp_linear_forward(&lin, up, n, OXP_NO_VAL),
                                       oxp_linear_forward(&lin, down, p, OXP_NO_VAL));
    const oxp_val f_plus = apply_function(rc, oxp_b_add(b, z0, dz_plus));
    const oxp_val f_minus = apply_function(rc, oxp_b_add(b, z0, dz_minus));
    const oxp_val y0 = twin_of(rc, rc->node->out[0]);
    OXP_TRY(gradient_at(rc, rc->node->in, rc->node->out, rc->grad->dy[0], rc->grad->dx));
    const oxp_val slope = rc->grad->dx[0], out = below->out[0];
    l->plus[out] = half_share(rc, f_plus, y0, f_minus, dz_plus, slope);
    l->minus[out] = half_share(rc, f_minus, y0, f_plus, dz_minus, slope);
    return b->status; /* the layer below takes these two instead of the adjoint left here */
}

static bool is_below_revealed(const oxp_rule_context *rc)
{
    const oxp_lift *l = rc->params;
    const oxp_val out = rc->node->out[0];
    return out < l->n && l->plus[out] != OXP_NO_VAL;
}

static oxp_status apply_below(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_lift *l = rc->params;
    oxp_linear lin;
    oxp_linear_read(b, rc->node, &lin);
    const oxp_val plus = l->plus[rc->node->out[0]], minus = l->minus[rc->node->out[0]];
    const oxp_val p = oxp_const_part(b, lin.w, true), n = oxp_const_part(b, lin.w, false);
    const oxp_shape shape = *oxp_b_shape(b, lin.x);
    oxp_val risen =
        oxp_b_add(b, oxp_linear_backward(&lin, plus, p), oxp_linear_backward(&lin, minus, n));
    oxp_val fallen =
        oxp_b_add(b, oxp_linear_backward(&lin, plus, n), oxp_linear_backward(&lin, minus, p));
    risen = oxp_b_unbroadcast(b, risen, &shape);
    fallen = oxp_b_unbroadcast(b, fallen, &shape);
    const oxp_val mean = oxp_b_mul(b, oxp_b_add(b, risen, fallen), oxp_b_scalar(b, 0.5));
    const oxp_val dx = change_of(rc, lin.x), zero = oxp_b_scalar(b, 0.0);
    const oxp_val rest = oxp_b_where(b, oxp_b_greater(b, zero, dx), fallen, mean);
    rc->grad->dx[lin.xk] = oxp_b_where(b, oxp_b_greater(b, dx, zero), risen, rest);
    return b->status;
}

/* ---- products, quotients, choices ---- */

static bool is_product(const oxp_rule_context *rc)
{
    return (is_op(rc, &oxp_op_Mul) || is_op(rc, &oxp_op_MatMul) || is_op(rc, &oxp_op_Gemm) ||
            oxp_op_is_conv(rc->node->op)) &&
           rc->grad->wants[0] && rc->grad->wants[1];
}

static oxp_status apply_product(oxp_rule_context *rc)
{
    oxp_val in[3] = {middle(rc, rc->node->in[0]), middle(rc, rc->node->in[1])};
    if (oxp_node_has(rc->node, 2)) in[2] = rc->node->in[2];
    return gradient_at(rc, in, rc->node->out, rc->grad->dy[0], rc->grad->dx);
}

static bool is_quotient(const oxp_rule_context *rc)
{
    return is_op(rc, &oxp_op_Div) && rc->grad->wants[1];
}

/* a . r with r = 1/b, for which dr / db is -r r0:  m_a = (r + r0)/2 m,  m_b = -(a + a0)/2 r r0 m */
static oxp_status apply_quotient(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_val d = rc->node->in[1], m = rc->grad->dy[0];
    const oxp_val r = oxp_b_unary(b, &oxp_op_Reciprocal, d);
    const oxp_val r0 = oxp_b_unary(b, &oxp_op_Reciprocal, twin_of(rc, d));
    rc->grad->dx[0] = oxp_b_mul(b, m, oxp_b_mul(b, oxp_b_add(b, r, r0), oxp_b_scalar(b, 0.5)));
    const oxp_val to_r = oxp_b_mul(b, m, middle(rc, rc->node->in[0]));
    rc->grad->dx[1] = oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, to_r, oxp_b_mul(b, r, r0)));
    return b->status;
}

static bool is_choice(const oxp_rule_context *rc)
{
    return is_op(rc, &oxp_op_MaxPool) || is_op(rc, &oxp_op_GlobalMaxPool) ||
           is_op(rc, &oxp_op_ReduceMax) || is_op(rc, &oxp_op_ReduceMin) || is_op(rc, &oxp_op_Max) ||
           is_op(rc, &oxp_op_Min) || is_op(rc, &oxp_op_TopK) || oxp_node_chooses(rc->node);
}

static oxp_status apply_choice(oxp_rule_context *rc)
{
    oxp_build *b = rc->b;
    const oxp_node *node = rc->node;
    const oxp_val y = node->out[0], y0 = twin_of(rc, y), m = rc->grad->dy[0];
    oxp_arena *tmp = b->ctx->scratch;
    const size_t n = node->n_in;
    oxp_val *in0 = OXP_NEW(tmp, oxp_val, n), *out0 = OXP_NEW(tmp, oxp_val, node->n_out);
    oxp_val *now = OXP_NEW(tmp, oxp_val, n), *then = OXP_NEW(tmp, oxp_val, n);
    OXP_FAIL_IF(b->ctx, !in0 || !out0 || !now || !then, OXP_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < n; k++) in0[k] = twin_of(rc, node->in[k]);
    for (uint32_t k = 0; k < node->n_out; k++) out0[k] = twin_of(rc, node->out[k]);
    const oxp_val c = oxp_emit(b, &oxp_op_Max, (const oxp_val[]){y, y0}, 2, NULL, 0);
    const oxp_val rise = oxp_b_mul(b, m, oxp_b_sub(b, c, y0));
    const oxp_val fall = oxp_b_mul(b, m, oxp_b_sub(b, y, c));
    OXP_TRY(gradient_at(rc, node->in, node->out, rise, now));
    OXP_TRY(gradient_at(rc, in0, out0, fall, then));
    OXP_TRY(gradient_at(rc, node->in, node->out, m, rc->grad->dx));
    for (uint32_t k = 0; k < n; k++) {
        if (!rc->grad->wants[k] || now[k] == OXP_NO_VAL) continue;
        const oxp_shape shape = *oxp_b_shape(b, node->in[k]);
        const oxp_val share = oxp_b_unbroadcast(b, oxp_b_add(b, now[k], then[k]), &shape);
        const oxp_val slope = oxp_b_unbroadcast(b, rc->grad->dx[k], &shape);
        rc->grad->dx[k] =
            ratio(b, share, change_of(rc, node->in[k]), slope, oxp_b_scalar(b, SMALL));
    }
    return b->status;
}

/* Linear in what varies: the gradient is the rule. */
static bool is_linear(const oxp_rule_context *rc)
{
    const oxp_op *op = rc->node->op;
    if (op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) return true;
    if ((op->flags & OXP_OP_LINEAR) || op == &oxp_op_RoiAlign)
        return oxp_grad_wants_first(rc->grad);
    return op == &oxp_op_MatMul || op == &oxp_op_Gemm || op == &oxp_op_Mul || op == &oxp_op_Div ||
           op == &oxp_op_Add || op == &oxp_op_Sub || op == &oxp_op_Sum || op == &oxp_op_Mean ||
           op == &oxp_op_Neg || op == &oxp_op_Pad || op == &oxp_op_Where;
}

static oxp_status apply_linear(oxp_rule_context *rc)
{
    OXP_TRY(oxp_gradient_of(rc->grad));
    return rc->b->status;
}

static bool is_anything(const oxp_rule_context *rc)
{
    return !(rc->node->op->flags & OXP_OP_NOT_DIFFERENTIABLE);
}

static oxp_status apply_refusal(oxp_rule_context *rc)
{
    OXP_FAIL(rc->b->ctx, OXP_EUNSUPPORTED,
             "deeplift has no rule for %s '%s'; choose integrated-gradients", rc->node->op->name,
             rc->node->origin);
}

const oxp_rule oxp_lift_rules[OXP_LIFT_RULES] = {
    {"reveal-cancel", is_revealed, apply_reveal},
    {"reveal-cancel", is_below_revealed, apply_below},
    {"rescale", is_scalar_function, apply_rescale},
    {"rescale", is_rounding, apply_rescale},
    {"product", is_product, apply_product},
    {"quotient", is_quotient, apply_quotient},
    {"choice", is_choice, apply_choice},
    {"linear", is_linear, apply_linear},
    {"refused", is_anything, apply_refusal},
};
