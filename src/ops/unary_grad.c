/* unary_grad.c - the common adjoint of the scalar functions of unary.c.
 *
 *   _UnaryGrad(v, dy...) = f'(v) (dy + ...)
 *
 * v is the output y for functions whose derivative is a formula in y (then x need not be kept), else
 * the input x. Several dy are summed on the way, because accumulation is the commonest neighbour of
 * an activation's backward pass. Kinks are pinned in fn.h. */
#include "ops/infer.h"
#include "ops/lower.h"
#include "ops/unary.h"

#include <math.h>

#define TWO_OVER_SQRT_PI  1.1283791670955126
#define ONE_OVER_SQRT_2PI 0.3989422804014327

static oxp_fn grad_fn(const oxp_node *node, double *alpha, double *beta)
{
    *alpha = oxp_attr_float(node, "alpha", 0.0);
    *beta = oxp_attr_float(node, "beta", 0.0);
    return oxp_fn_find(oxp_attr_string(node, "fn", ""));
}

static oxp_status unary_grad_infer(oxp_infer *inf)
{
    const oxp_node *node = inf->node;
    double alpha, beta;
    OXP_FAIL_IF(inf->ctx, grad_fn(node, &alpha, &beta) == OXP_FN_NONE, OXP_EINVAL,
                "_UnaryGrad '%s' names no function of the table", node->origin);
    for (uint32_t i = 0; i < node->n_in; i++) {
        OXP_FAIL_IF(inf->ctx, !oxp_node_has(node, i), OXP_EINVAL, "_UnaryGrad '%s' lacks input %u",
                    node->origin, i);
        OXP_TRY(oxp_infer_float(inf, i));
        OXP_FAIL_IF(inf->ctx, !oxp_shape_equal(oxp_infer_shape(inf, i), oxp_infer_shape(inf, 0)),
                    OXP_EINVAL, "_UnaryGrad '%s' expects inputs of one shape", node->origin);
    }
    return oxp_infer_same(inf);
}

static oxp_status unary_grad_ref(const oxp_call *call)
{
    double alpha, beta;
    const oxp_fn fn = grad_fn(call->node, &alpha, &beta);
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) {
        double dy = 0.0;
        for (uint32_t k = 1; k < call->node->n_in; k++) dy += call->in[k][i];
        const double slope = oxp_fn_grad(fn, alpha, beta, call->in[0][i]);
        call->out[0][i] = slope == 0.0 ? 0.0 : slope * dy; /* as the Where of the expansion */
    }
    return OXP_OK;
}

static oxp_status unary_grad_lower(oxp_lower *lw, const oxp_node *node)
{
    double alpha, beta;
    const oxp_fn fn = grad_fn(node, &alpha, &beta);
    return oxp_lower_unary_grad(lw, fn, alpha, beta, node->in[0], node->in + 1, node->n_in - 1,
                                node->out[0]);
}

/* inside ? dy : 0, where inside = lo < v < hi; an infinite bound is none. */
static oxp_val where_between(oxp_build *b, oxp_val v, double lo, double hi, oxp_val dy)
{
    if (isfinite(hi))
        dy = oxp_b_where(b, oxp_b_greater(b, oxp_b_scalar(b, hi), v), dy, oxp_b_scalar(b, 0.0));
    if (isfinite(lo))
        dy = oxp_b_where(b, oxp_b_greater(b, v, oxp_b_scalar(b, lo)), dy, oxp_b_scalar(b, 0.0));
    return dy;
}

/* v < 0 ? factor e^(rate v) dy : dy. The exponent is cut off at 0, so that the branch not taken
 * stays finite. */
static oxp_val elu_slope(oxp_build *b, oxp_val v, double rate, double factor, oxp_val dy)
{
    const oxp_val zero = oxp_b_scalar(b, 0.0);
    const oxp_val low = oxp_emit(b, &oxp_op_Min, (const oxp_val[]){v, zero}, 2, NULL, 0);
    const oxp_val power = oxp_b_unary(b, &oxp_op_Exp, oxp_b_scaled(b, low, rate));
    const oxp_val slope = oxp_b_scaled(b, power, factor);
    return oxp_b_where(b, oxp_b_greater(b, zero, v), oxp_b_mul(b, slope, dy), dy);
}

/* |v| > lambda ? dy : 0 */
static oxp_val shrink_slope(oxp_build *b, oxp_val v, double lambda, oxp_val dy)
{
    const oxp_val above = oxp_b_greater(b, v, oxp_b_scalar(b, lambda));
    const oxp_val below = oxp_b_greater(b, oxp_b_scalar(b, -lambda), v);
    return oxp_b_where(b, above, dy, oxp_b_where(b, below, dy, oxp_b_scalar(b, 0.0)));
}

/* HardSwish: v >= 3 ? dy : v > -3 ? (v/3 + 1/2) dy : 0 */
static oxp_val hard_swish_slope(oxp_build *b, oxp_val v, oxp_val dy)
{
    const oxp_val middle = oxp_b_mul(b, oxp_b_shifted(b, oxp_b_scaled(b, v, 1.0 / 3.0), 0.5), dy);
    const oxp_val below = oxp_b_greater(b, oxp_b_scalar(b, 3.0), v);
    return oxp_b_where(b, below, where_between(b, v, -3.0, (double)INFINITY, middle), dy);
}

/* (1 - v) (1 + v) = 1 - v^2, without cancellation near 1 */
static oxp_val one_less_square(oxp_build *b, oxp_val v)
{
    return oxp_b_mul(b, oxp_b_sub(b, oxp_b_scalar(b, 1.0), v), oxp_b_shifted(b, v, 1.0));
}

static oxp_val one_plus_square(oxp_build *b, oxp_val v)
{
    return oxp_b_shifted(b, oxp_b_mul(b, v, v), 1.0);
}

static oxp_val reciprocal_root(oxp_build *b, oxp_val x)
{
    return oxp_b_unary(b, &oxp_op_Reciprocal, oxp_b_unary(b, &oxp_op_Sqrt, x));
}

/* f'(v) of the trigonometric and hyperbolic functions and their inverses. */
static oxp_val circular_slope(oxp_build *b, oxp_fn fn, oxp_val v)
{
    /* clang-format off */
    switch (fn) {
    case OXP_FN_SIN: return oxp_b_unary(b, &oxp_op_Cos, v);
    case OXP_FN_COS: return oxp_b_unary(b, &oxp_op_Neg, oxp_b_unary(b, &oxp_op_Sin, v));
    case OXP_FN_TAN: return one_plus_square(b, v);
    case OXP_FN_ASIN: return reciprocal_root(b, one_less_square(b, v));
    case OXP_FN_ACOS: return oxp_b_unary(b, &oxp_op_Neg, reciprocal_root(b, one_less_square(b, v)));
    case OXP_FN_ATAN: return oxp_b_unary(b, &oxp_op_Reciprocal, one_plus_square(b, v));
    case OXP_FN_SINH: return oxp_b_unary(b, &oxp_op_Cosh, v);
    case OXP_FN_COSH: return oxp_b_unary(b, &oxp_op_Sinh, v);
    case OXP_FN_ASINH: return reciprocal_root(b, one_plus_square(b, v));
    case OXP_FN_ACOSH:
        return reciprocal_root(b, oxp_b_mul(b, oxp_b_shifted(b, v, -1.0), oxp_b_shifted(b, v, 1.0)));
    case OXP_FN_ATANH: return oxp_b_unary(b, &oxp_op_Reciprocal, one_less_square(b, v));
    default: return oxp_b_scalar(b, 0.0); /* Floor, Ceil, Round, Sign: piecewise constant */
    }
    /* clang-format on */
}

/* f'(v) of the functions that are smooth, as a value. */
static oxp_val smooth_slope(oxp_build *b, oxp_fn fn, double alpha, oxp_val v)
{
    const oxp_val one = oxp_b_scalar(b, 1.0);
    /* clang-format off */
    switch (fn) {
    case OXP_FN_SQRT: return oxp_b_div(b, oxp_b_scalar(b, 0.5), v);
    case OXP_FN_EXP: return v;
    case OXP_FN_LOG: return oxp_b_div(b, one, v);
    case OXP_FN_RECIPROCAL: return oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, v, v));
    case OXP_FN_SIGMOID: return oxp_b_mul(b, v, oxp_b_sub(b, one, v));
    case OXP_FN_SOFTPLUS: return oxp_b_unary(b, &oxp_op_Sigmoid, v);
    case OXP_FN_TANH: return oxp_b_sub(b, one, oxp_b_mul(b, v, v));
    case OXP_FN_SOFTSIGN: { /* 1 / (1 + |v|)^2 */
        const oxp_val size = oxp_b_shifted(b, oxp_b_unary(b, &oxp_op_Abs, v), 1.0);
        return oxp_b_unary(b, &oxp_op_Reciprocal, oxp_b_mul(b, size, size));
    }
    case OXP_FN_ERF: { /* 2/sqrt(pi) e^(-v^2) */
        const oxp_val e = oxp_b_unary(b, &oxp_op_Exp, oxp_b_scaled(b, oxp_b_mul(b, v, v), -1.0));
        return oxp_b_scaled(b, e, TWO_OVER_SQRT_PI);
    }
    case OXP_FN_GELU: { /* Phi(v) + v phi(v) */
        const oxp_val e = oxp_b_unary(b, &oxp_op_Exp, oxp_b_scaled(b, oxp_b_mul(b, v, v), -0.5));
        const oxp_val tail = oxp_b_mul(b, v, oxp_b_scaled(b, e, ONE_OVER_SQRT_2PI));
        return oxp_b_add(b, oxp_b_normal_cdf(b, v), tail);
    }
    case OXP_FN_GELU_TANH: { /* (1 + t)/2 + v/2 (1 - t^2) sqrt(2/pi) (1 + 3 0.044715 v^2) */
        const oxp_val t = oxp_b_gelu_tanh_inner(b, v), square = oxp_b_mul(b, v, v);
        const oxp_val du = oxp_b_scaled(b, oxp_b_shifted(b, oxp_b_scaled(b, square, 3.0 * OXP_GELU_CUBIC), 1.0),
                                  0.5 * OXP_SQRT_2_OVER_PI);
        const oxp_val tail = oxp_b_mul(b, oxp_b_sub(b, one, oxp_b_mul(b, t, t)), du);
        return oxp_b_add(b, oxp_b_scaled(b, oxp_b_shifted(b, t, 1.0), 0.5), oxp_b_mul(b, v, tail));
    }
    case OXP_FN_SILU: { /* s + alpha v s (1 - s) */
        const double rate = alpha == 0.0 ? 1.0 : alpha;
        const oxp_val s = oxp_b_unary(b, &oxp_op_Sigmoid, oxp_b_scaled(b, v, rate));
        const oxp_val tail = oxp_b_mul(b, oxp_b_scaled(b, v, rate), oxp_b_sub(b, one, s));
        return oxp_b_mul(b, s, oxp_b_shifted(b, tail, 1.0));
    }
    case OXP_FN_MISH: { /* t + v sigmoid(v) (1 - t^2), t = tanh(softplus(v)) */
        const oxp_val t = oxp_b_unary(b, &oxp_op_Tanh, oxp_b_unary(b, &oxp_op_Softplus, v));
        const oxp_val s = oxp_b_mul(b, v, oxp_b_unary(b, &oxp_op_Sigmoid, v));
        return oxp_b_add(b, t, oxp_b_mul(b, s, oxp_b_sub(b, one, oxp_b_mul(b, t, t))));
    }
    default: return circular_slope(b, fn, v);
    }
    /* clang-format on */
}

static oxp_status unary_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    double alpha, beta;
    const oxp_fn fn = grad_fn(node, &alpha, &beta);
    const oxp_val v = node->in[0], dy = oxp_b_sum(b, node->in + 1, node->n_in - 1);
    const double inf = (double)INFINITY;
    switch (fn) {
    case OXP_FN_NEG:
        out[0] = oxp_b_unary(b, &oxp_op_Neg, dy);
        break;
    case OXP_FN_ABS:
        out[0] = oxp_b_mul(b, oxp_b_unary(b, &oxp_op_Sign, v), dy);
        break;
    case OXP_FN_RELU:
        out[0] = where_between(b, v, 0.0, inf, dy);
        break;
    case OXP_FN_LEAKY_RELU:
        out[0] = oxp_b_where(b, oxp_b_greater(b, v, oxp_b_scalar(b, 0.0)), dy,
                             oxp_b_scaled(b, dy, alpha));
        break;
    case OXP_FN_ELU:
        out[0] = elu_slope(b, v, 1.0, alpha, dy);
        break;
    case OXP_FN_CELU:
        out[0] = elu_slope(b, v, 1.0 / alpha, 1.0, dy);
        break;
    case OXP_FN_SELU:
        out[0] = elu_slope(b, v, 1.0, alpha, oxp_b_scaled(b, dy, beta));
        break;
    case OXP_FN_THRESHOLDED_RELU:
        out[0] = where_between(b, v, alpha, inf, dy);
        break;
    case OXP_FN_SHRINK:
        out[0] = shrink_slope(b, v, alpha, dy);
        break;
    case OXP_FN_CLIP:
        out[0] = where_between(b, v, alpha, beta, dy);
        break;
    case OXP_FN_HARD_SIGMOID:
        out[0] = where_between(b, oxp_b_shifted(b, oxp_b_scaled(b, v, alpha), beta), 0.0, 1.0,
                               oxp_b_scaled(b, dy, alpha));
        break;
    case OXP_FN_HARD_SWISH:
        out[0] = hard_swish_slope(b, v, dy);
        break;
    default:
        out[0] = oxp_b_mul(b, smooth_slope(b, fn, alpha, v), dy);
        break;
    }
    return b->status;
}

/* ---- descriptor ---- */

/* clang-format off */
static const oxp_attr_spec unary_grad_attrs[] = {
    {"fn", OXP_ATTR_STRING, NULL}, {"alpha", OXP_ATTR_FLOAT, NULL}, {"beta", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};


const oxp_op oxp_op__UnaryGrad = {
    .name = "_UnaryGrad", .min_in = 2, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_ELEMENTWISE, .attrs = unary_grad_attrs,
    .infer = unary_grad_infer, .ref = unary_grad_ref, .lower = unary_grad_lower, .expand = unary_grad_expand};
/* clang-format on */
