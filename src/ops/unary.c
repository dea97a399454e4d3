/* unary.c - operators that apply one scalar function to each element, their common adjoint, and
 * the composites among them.
 *
 * Which function an operator applies is a row of the table in fn.h, found by the operator's
 * name; shapes, gradient, reference and lowering are the same for all. The adjoint is one
 * operator, _UnaryGrad(v, dy...) = f'(v) (dy + ...), where v is the output y for functions whose
 * derivative is a formula in y (then x need not be kept), else the input x. Several dy are
 * summed on the way, because accumulation is the commonest neighbour of an activation's backward
 * pass. Floor, Ceil, Round and Sign stop gradients. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

#define SQRT_2            1.4142135623730951
#define SQRT_2_OVER_PI    0.7978845608028654
#define TWO_OVER_SQRT_PI  1.1283791670955126
#define ONE_OVER_SQRT_2PI 0.3989422804014327
#define GELU_CUBIC        0.044715

oxp_fn oxp_node_fn(const oxp_node *node, double *alpha, double *beta)
{
    const oxp_fn fn = oxp_fn_find(node->op->name);
    *alpha = *beta = 0.0;
    switch (fn) {
    case OXP_FN_LEAKY_RELU:
        *alpha = oxp_attr_float(node, "alpha", 0.01);
        break;
    case OXP_FN_ELU:
    case OXP_FN_SILU:
        *alpha = oxp_attr_float(node, "alpha", 1.0);
        break;
    case OXP_FN_HARD_SIGMOID:
        *alpha = oxp_attr_float(node, "alpha", 0.2);
        *beta = oxp_attr_float(node, "beta", 0.5);
        break;
    case OXP_FN_CLIP:
        *alpha = oxp_attr_float(node, "min", -(double)INFINITY);
        *beta = oxp_attr_float(node, "max", (double)INFINITY);
        break;
    default:
        break;
    }
    return fn;
}

/* ---- shared by all rows ---- */

static oxp_status infer_float(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 0));
    return oxp_infer_same(inf);
}

/* dx = f'(x) dy */
static oxp_status unary_grad(oxp_grad *g)
{
    double alpha, beta;
    const oxp_fn fn = oxp_node_fn(g->node, &alpha, &beta);
    const oxp_val v = oxp_fn_grad_from_y(fn) ? g->node->out[0] : g->node->in[0];
    if (g->wants[0] && g->dy[0] != OXP_NO_VAL)
        g->dx[0] = oxp_emit(g->b, &oxp_op__UnaryGrad, (const oxp_val[]){v, g->dy[0]}, 2,
                            (const oxp_attr[]){OXP_STR("fn", oxp_fn_name(fn)),
                                               OXP_FLOAT("alpha", alpha), OXP_FLOAT("beta", beta)},
                            3);
    return g->b->status;
}

/* dx = -dy */
static oxp_status neg_grad(oxp_grad *g)
{
    if (g->wants[0] && g->dy[0] != OXP_NO_VAL) g->dx[0] = oxp_b_unary(g->b, &oxp_op_Neg, g->dy[0]);
    return g->b->status;
}

static oxp_status unary_ref(const oxp_call *call)
{
    double alpha, beta;
    const oxp_fn fn = oxp_node_fn(call->node, &alpha, &beta);
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = oxp_fn_eval(fn, alpha, beta, call->in[0][i]);
    return OXP_OK;
}

static oxp_status unary_lower(oxp_lower *lw, const oxp_node *node)
{
    double alpha, beta;
    const oxp_fn fn = oxp_node_fn(node, &alpha, &beta);
    if (!oxp_node_all_float(oxp_lower_graph(lw), node)) return oxp_lower_by_ref(lw, node);
    return oxp_lower_unary(lw, fn, alpha, beta, node->in[0], node->out[0]);
}

/* ---- composites in primitives ---- */

static oxp_val number(oxp_build *b, double value)
{
    return oxp_b_scalar(b, value);
}

static oxp_val scaled(oxp_build *b, oxp_val x, double factor)
{
    return oxp_b_mul(b, x, number(b, factor));
}

static oxp_val shifted(oxp_build *b, oxp_val x, double term)
{
    return oxp_b_add(b, x, number(b, term));
}

static oxp_val hard_sigmoid(oxp_build *b, oxp_val x, double alpha, double beta)
{
    return OXP_EMIT1(b, &oxp_op_HardSigmoid, x, OXP_FLOAT("alpha", alpha), OXP_FLOAT("beta", beta));
}

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2 */
static oxp_val normal_cdf(oxp_build *b, oxp_val x)
{
    return scaled(b, shifted(b, oxp_b_unary(b, &oxp_op_Erf, scaled(b, x, 1.0 / SQRT_2)), 1.0), 0.5);
}

/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
static oxp_val gelu_tanh_inner(oxp_build *b, oxp_val x)
{
    const oxp_val cubic = shifted(b, scaled(b, oxp_b_mul(b, x, x), GELU_CUBIC), 1.0);
    return oxp_b_unary(b, &oxp_op_Tanh, scaled(b, oxp_b_mul(b, x, cubic), SQRT_2_OVER_PI));
}

/* x HardSigmoid(x; 1/6, 1/2) */
static oxp_status hard_swish_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = oxp_b_mul(b, node->in[0], hard_sigmoid(b, node->in[0], 1.0 / 6.0, 0.5));
    return b->status;
}

/* x Phi(x) */
static oxp_status gelu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = oxp_b_mul(b, node->in[0], normal_cdf(b, node->in[0]));
    return b->status;
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
static oxp_status gelu_tanh_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val gate = shifted(b, gelu_tanh_inner(b, node->in[0]), 1.0);
    out[0] = oxp_b_mul(b, scaled(b, node->in[0], 0.5), gate);
    return b->status;
}

/* x sigmoid(alpha x) */
static oxp_status silu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    double alpha, beta;
    oxp_node_fn(node, &alpha, &beta);
    const oxp_val gate = oxp_b_unary(b, &oxp_op_Sigmoid, scaled(b, node->in[0], alpha));
    out[0] = oxp_b_mul(b, node->in[0], gate);
    return b->status;
}

/* x tanh(softplus(x)) */
static oxp_status mish_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val softplus = oxp_b_unary(b, &oxp_op_Softplus, node->in[0]);
    out[0] = oxp_b_mul(b, node->in[0], oxp_b_unary(b, &oxp_op_Tanh, softplus));
    return b->status;
}

/* ---- _UnaryGrad: f'(v) (dy + ...) ---- */

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
    if (isfinite(hi)) dy = oxp_b_where(b, oxp_b_greater(b, number(b, hi), v), dy, number(b, 0.0));
    if (isfinite(lo)) dy = oxp_b_where(b, oxp_b_greater(b, v, number(b, lo)), dy, number(b, 0.0));
    return dy;
}

/* Elu: v < 0 ? alpha e^v dy : dy. The exponent is cut off at 0, so that the branch not taken
 * stays finite. */
static oxp_val elu_slope(oxp_build *b, oxp_val v, double alpha, oxp_val dy)
{
    const oxp_val zero = number(b, 0.0);
    const oxp_val low = oxp_emit(b, &oxp_op_Min, (const oxp_val[]){v, zero}, 2, NULL, 0);
    const oxp_val slope = scaled(b, oxp_b_unary(b, &oxp_op_Exp, low), alpha);
    return oxp_b_where(b, oxp_b_greater(b, zero, v), oxp_b_mul(b, slope, dy), dy);
}

/* HardSwish: v >= 3 ? dy : v > -3 ? (v/3 + 1/2) dy : 0 */
static oxp_val hard_swish_slope(oxp_build *b, oxp_val v, oxp_val dy)
{
    const oxp_val middle = oxp_b_mul(b, shifted(b, scaled(b, v, 1.0 / 3.0), 0.5), dy);
    const oxp_val below = oxp_b_greater(b, number(b, 3.0), v);
    return oxp_b_where(b, below, where_between(b, v, -3.0, (double)INFINITY, middle), dy);
}

/* f'(v) of the functions that are smooth, as a value. */
static oxp_val smooth_slope(oxp_build *b, oxp_fn fn, double alpha, oxp_val v)
{
    const oxp_val one = number(b, 1.0);
    /* clang-format off */
    switch (fn) {
    case OXP_FN_SQRT: return oxp_b_div(b, number(b, 0.5), v);
    case OXP_FN_EXP: return v;
    case OXP_FN_LOG: return oxp_b_div(b, one, v);
    case OXP_FN_RECIPROCAL: return oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, v, v));
    case OXP_FN_SIGMOID: return oxp_b_mul(b, v, oxp_b_sub(b, one, v));
    case OXP_FN_SOFTPLUS: return oxp_b_unary(b, &oxp_op_Sigmoid, v);
    case OXP_FN_TANH: return oxp_b_sub(b, one, oxp_b_mul(b, v, v));
    case OXP_FN_SIN: return oxp_b_unary(b, &oxp_op_Cos, v);
    case OXP_FN_COS: return oxp_b_unary(b, &oxp_op_Neg, oxp_b_unary(b, &oxp_op_Sin, v));
    case OXP_FN_ERF: { /* 2/sqrt(pi) e^(-v^2) */
        const oxp_val e = oxp_b_unary(b, &oxp_op_Exp, scaled(b, oxp_b_mul(b, v, v), -1.0));
        return scaled(b, e, TWO_OVER_SQRT_PI);
    }
    case OXP_FN_GELU: { /* Phi(v) + v phi(v) */
        const oxp_val e = oxp_b_unary(b, &oxp_op_Exp, scaled(b, oxp_b_mul(b, v, v), -0.5));
        const oxp_val tail = oxp_b_mul(b, v, scaled(b, e, ONE_OVER_SQRT_2PI));
        return oxp_b_add(b, normal_cdf(b, v), tail);
    }
    case OXP_FN_GELU_TANH: { /* (1 + t)/2 + v/2 (1 - t^2) sqrt(2/pi) (1 + 3 0.044715 v^2) */
        const oxp_val t = gelu_tanh_inner(b, v), square = oxp_b_mul(b, v, v);
        const oxp_val du = scaled(b, shifted(b, scaled(b, square, 3.0 * GELU_CUBIC), 1.0),
                                  0.5 * SQRT_2_OVER_PI);
        const oxp_val tail = oxp_b_mul(b, oxp_b_sub(b, one, oxp_b_mul(b, t, t)), du);
        return oxp_b_add(b, scaled(b, shifted(b, t, 1.0), 0.5), oxp_b_mul(b, v, tail));
    }
    case OXP_FN_SILU: { /* s + alpha v s (1 - s) */
        const double rate = alpha == 0.0 ? 1.0 : alpha;
        const oxp_val s = oxp_b_unary(b, &oxp_op_Sigmoid, scaled(b, v, rate));
        const oxp_val tail = oxp_b_mul(b, scaled(b, v, rate), oxp_b_sub(b, one, s));
        return oxp_b_mul(b, s, shifted(b, tail, 1.0));
    }
    case OXP_FN_MISH: { /* t + v sigmoid(v) (1 - t^2), t = tanh(softplus(v)) */
        const oxp_val t = oxp_b_unary(b, &oxp_op_Tanh, oxp_b_unary(b, &oxp_op_Softplus, v));
        const oxp_val s = oxp_b_mul(b, v, oxp_b_unary(b, &oxp_op_Sigmoid, v));
        return oxp_b_add(b, t, oxp_b_mul(b, s, oxp_b_sub(b, one, oxp_b_mul(b, t, t))));
    }
    default: return number(b, 0.0); /* Floor, Ceil, Round, Sign: piecewise constant */
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
        out[0] = oxp_b_where(b, oxp_b_greater(b, v, number(b, 0.0)), dy, scaled(b, dy, alpha));
        break;
    case OXP_FN_ELU:
        out[0] = elu_slope(b, v, alpha, dy);
        break;
    case OXP_FN_CLIP:
        out[0] = where_between(b, v, alpha, beta, dy);
        break;
    case OXP_FN_HARD_SIGMOID:
        out[0] =
            where_between(b, shifted(b, scaled(b, v, alpha), beta), 0.0, 1.0, scaled(b, dy, alpha));
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

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec alpha_attr[] = {{"alpha", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec alpha_beta_attrs[] = {
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"beta", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec clip_attrs[] = { /* before opset 11; inputs since */
    {"min", OXP_ATTR_FLOAT, NULL}, {"max", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_const_in clip_const_in[] = {
    {1, "min", OXP_ATTR_FLOAT}, {2, "max", OXP_ATTR_FLOAT}, {0, NULL, 0}};
static const oxp_attr_spec unary_grad_attrs[] = {
    {"fn", OXP_ATTR_STRING, NULL}, {"alpha", OXP_ATTR_FLOAT, NULL}, {"beta", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};

#define UNARY(symbol, ...)                                                                                             \
    const oxp_op oxp_op_##symbol = {.name = #symbol, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,             \
                                    .ref = unary_ref, .lower = unary_lower, __VA_ARGS__}
#define SMOOTH .flags = OXP_OP_ELEMENTWISE, .infer = infer_float, .grad = unary_grad
#define ANY_KIND .flags = OXP_OP_ELEMENTWISE, .infer = oxp_infer_same
#define STEPS .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE
#define PARTS(f) .flags = OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE, .infer = infer_float, .grad = unary_grad, .expand = f
#define OURS(f) .flags = OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE | OXP_OP_INTERNAL, .infer = infer_float,                \
                .grad = unary_grad, .expand = f

UNARY(Neg, ANY_KIND, .grad = neg_grad, .since = 1);
UNARY(Abs, ANY_KIND, .grad = unary_grad, .since = 1);
UNARY(Relu, ANY_KIND, .grad = unary_grad, .since = 1);
UNARY(Sqrt, SMOOTH, .since = 1);
UNARY(Exp, SMOOTH, .since = 1);
UNARY(Log, SMOOTH, .since = 1);
UNARY(Reciprocal, SMOOTH, .since = 1);
UNARY(LeakyRelu, SMOOTH, .since = 1, .attrs = alpha_attr);
UNARY(Elu, SMOOTH, .since = 1, .attrs = alpha_attr);
UNARY(Sigmoid, SMOOTH, .since = 1);
UNARY(HardSigmoid, SMOOTH, .since = 1, .attrs = alpha_beta_attrs);
UNARY(HardSwish, PARTS(hard_swish_expand), .since = 14);
UNARY(Softplus, SMOOTH, .since = 1);
UNARY(Tanh, SMOOTH, .since = 1);
UNARY(Erf, SMOOTH, .since = 9);
UNARY(Sin, SMOOTH, .since = 7);
UNARY(Cos, SMOOTH, .since = 7);
UNARY(Floor, STEPS, .infer = infer_float, .since = 1);
UNARY(Ceil, STEPS, .infer = infer_float, .since = 1);
UNARY(Round, STEPS, .infer = infer_float, .since = 11);
UNARY(Sign, STEPS, .infer = oxp_infer_same, .since = 9);
UNARY(_Gelu, OURS(gelu_expand));
UNARY(_GeluTanh, OURS(gelu_tanh_expand));
UNARY(_Silu, OURS(silu_expand), .attrs = alpha_attr);
UNARY(_Mish, OURS(mish_expand));

const oxp_op oxp_op_Clip = {
    .name = "Clip", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1, .since = 1, .flags = OXP_OP_ELEMENTWISE,
    .attrs = clip_attrs, .const_in = clip_const_in,
    .infer = oxp_infer_same, .grad = unary_grad, .ref = unary_ref, .lower = unary_lower};

const oxp_op oxp_op__UnaryGrad = {
    .name = "_UnaryGrad", .min_in = 2, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_ELEMENTWISE, .attrs = unary_grad_attrs,
    .infer = unary_grad_infer, .ref = unary_grad_ref, .lower = unary_grad_lower, .expand = unary_grad_expand};
/* clang-format on */
