/* unary.c - operators that apply one scalar function to each element, and the composites among them.
 *
 * Which function an operator applies is a row of the table in fn.h, found by the operator's
 * name; shapes, gradient, reference and lowering are the same for all. The adjoint is one
 * operator, _UnaryGrad (unary_grad.c). Floor, Ceil, Round and Sign stop gradients. */
#include "ops/unary.h"
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>
#include <string.h>

#define SQRT_2 1.4142135623730951

/* ONNX's defaults are these floats. */
#define SELU_ALPHA 1.67326319217681884765625
#define SELU_GAMMA 1.05070102214813232421875

/* Gelu, Mish and Swish are ONNX's names of our composites, which import puts in their place. */
static oxp_fn fn_of(const oxp_node *node)
{
    if (node->op == &oxp_op_Mish) return OXP_FN_MISH;
    if (node->op == &oxp_op_Swish) return OXP_FN_SILU;
    if (node->op != &oxp_op_Gelu) return oxp_fn_find(node->op->name);
    const bool tanh = strcmp(oxp_attr_string(node, "approximate", "none"), "tanh") == 0;
    return tanh ? OXP_FN_GELU_TANH : OXP_FN_GELU;
}

oxp_fn oxp_node_fn(const oxp_node *node, double *alpha, double *beta)
{
    const oxp_fn fn = fn_of(node);
    *alpha = *beta = 0.0;
    switch (fn) {
    case OXP_FN_LEAKY_RELU:
        *alpha = oxp_attr_float(node, "alpha", 0.01);
        break;
    case OXP_FN_ELU:
    case OXP_FN_CELU:
    case OXP_FN_SILU:
    case OXP_FN_THRESHOLDED_RELU:
        *alpha = oxp_attr_float(node, "alpha", 1.0);
        break;
    case OXP_FN_SELU:
        *alpha = oxp_attr_float(node, "alpha", SELU_ALPHA);
        *beta = oxp_attr_float(node, "gamma", SELU_GAMMA);
        break;
    case OXP_FN_SHRINK:
        *alpha = oxp_attr_float(node, "lambd", 0.5);
        *beta = oxp_attr_float(node, "bias", 0.0);
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

oxp_val oxp_b_scaled(oxp_build *b, oxp_val x, double factor)
{
    return oxp_b_mul(b, x, oxp_b_scalar(b, factor));
}

oxp_val oxp_b_shifted(oxp_build *b, oxp_val x, double term)
{
    return oxp_b_add(b, x, oxp_b_scalar(b, term));
}

static oxp_val hard_sigmoid(oxp_build *b, oxp_val x, double alpha, double beta)
{
    return OXP_EMIT1(b, &oxp_op_HardSigmoid, x, OXP_FLOAT("alpha", alpha), OXP_FLOAT("beta", beta));
}

oxp_val oxp_b_normal_cdf(oxp_build *b, oxp_val x)
{
    const oxp_val erf = oxp_b_unary(b, &oxp_op_Erf, oxp_b_scaled(b, x, 1.0 / SQRT_2));
    return oxp_b_scaled(b, oxp_b_shifted(b, erf, 1.0), 0.5);
}

oxp_val oxp_b_gelu_tanh_inner(oxp_build *b, oxp_val x)
{
    const oxp_val cubic =
        oxp_b_shifted(b, oxp_b_scaled(b, oxp_b_mul(b, x, x), OXP_GELU_CUBIC), 1.0);
    const oxp_val u = oxp_b_scaled(b, oxp_b_mul(b, x, cubic), OXP_SQRT_2_OVER_PI);
    return oxp_b_unary(b, &oxp_op_Tanh, u);
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
    out[0] = oxp_b_mul(b, node->in[0], oxp_b_normal_cdf(b, node->in[0]));
    return b->status;
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
static oxp_status gelu_tanh_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val gate = oxp_b_shifted(b, oxp_b_gelu_tanh_inner(b, node->in[0]), 1.0);
    out[0] = oxp_b_mul(b, oxp_b_scaled(b, node->in[0], 0.5), gate);
    return b->status;
}

/* Gelu with its attribute `approximate` */
static oxp_status either_gelu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    double alpha, beta;
    const bool tanh = oxp_node_fn(node, &alpha, &beta) == OXP_FN_GELU_TANH;
    return tanh ? gelu_tanh_expand(b, node, out) : gelu_expand(b, node, out);
}

/* A bound of Clip: the input k, or the attribute as a number of the kind of x; NO_VAL: none. */
static oxp_val bound(oxp_build *b, const oxp_node *node, uint32_t k, const char *attr)
{
    if (oxp_node_has(node, k)) return node->in[k];
    if (!oxp_attr_find(node, attr)) return OXP_NO_VAL;
    const oxp_val number = oxp_b_scalar(b, oxp_attr_float(node, attr, 0.0));
    return b->status == OXP_OK ? oxp_b_cast(b, number, oxp_value_of(b->g, node->in[0])->dtype)
                               : OXP_NO_VAL;
}

/* min(hi, max(lo, x)): the bounds come first and win ties, so that Clip' is 0 at them */
static oxp_status clip_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val lo = bound(b, node, 1, "min"), hi = bound(b, node, 2, "max");
    out[0] = node->in[0];
    if (lo != OXP_NO_VAL)
        out[0] = oxp_emit(b, &oxp_op_Max, (const oxp_val[]){lo, out[0]}, 2, NULL, 0);
    if (hi != OXP_NO_VAL)
        out[0] = oxp_emit(b, &oxp_op_Min, (const oxp_val[]){hi, out[0]}, 2, NULL, 0);
    return b->status;
}

/* x sigmoid(alpha x) */
static oxp_status silu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    double alpha, beta;
    oxp_node_fn(node, &alpha, &beta);
    const oxp_val gate = oxp_b_unary(b, &oxp_op_Sigmoid, oxp_b_scaled(b, node->in[0], alpha));
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

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec alpha_attr[] = {{"alpha", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec alpha_beta_attrs[] = {
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"beta", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec selu_attrs[] = {
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"gamma", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec shrink_attrs[] = {
    {"lambd", OXP_ATTR_FLOAT, NULL}, {"bias", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec gelu_attrs[] = {{"approximate", OXP_ATTR_STRING, "none,tanh"}, {NULL, 0, NULL}};
static const oxp_attr_spec clip_attrs[] = { /* before opset 11; inputs since */
    {"min", OXP_ATTR_FLOAT, NULL}, {"max", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_const_in clip_const_in[] = {
    {1, "min", OXP_ATTR_FLOAT}, {2, "max", OXP_ATTR_FLOAT}, {0, NULL, 0}};
#define UNARY(symbol, ...)                                                                                             \
    const oxp_op oxp_op_##symbol = {.name = #symbol, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,             \
                                    .ref = unary_ref, .lower = unary_lower, __VA_ARGS__}
#define SMOOTH .flags = OXP_OP_ELEMENTWISE, .infer = infer_float, .grad = unary_grad
#define ANY_KIND .flags = OXP_OP_ELEMENTWISE, .infer = oxp_infer_same
#define WRAPPING .flags = OXP_OP_ELEMENTWISE | OXP_OP_WRAPS, .infer = oxp_infer_same
#define STEPS .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE
#define PARTS(f) .flags = OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE, .infer = infer_float, .grad = unary_grad, .expand = f
#define OURS(f) .flags = OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE | OXP_OP_INTERNAL, .infer = infer_float,                \
                .grad = unary_grad, .expand = f

UNARY(Neg, WRAPPING, .grad = neg_grad, .since = 1);
UNARY(Abs, WRAPPING, .grad = unary_grad, .since = 1);
UNARY(Relu, ANY_KIND, .grad = unary_grad, .since = 1);
UNARY(Sqrt, SMOOTH, .since = 1);
UNARY(Exp, SMOOTH, .since = 1);
UNARY(Log, SMOOTH, .since = 1);
UNARY(Reciprocal, SMOOTH, .since = 1);
UNARY(LeakyRelu, SMOOTH, .since = 1, .attrs = alpha_attr);
UNARY(Elu, SMOOTH, .since = 1, .attrs = alpha_attr);
UNARY(Sigmoid, SMOOTH, .since = 1);
UNARY(Celu, SMOOTH, .since = 12, .attrs = alpha_attr);
UNARY(Selu, SMOOTH, .since = 1, .attrs = selu_attrs);
UNARY(ThresholdedRelu, SMOOTH, .since = 10, .attrs = alpha_attr);
UNARY(Shrink, SMOOTH, .since = 9, .attrs = shrink_attrs);
UNARY(HardSigmoid, SMOOTH, .since = 1, .attrs = alpha_beta_attrs);
UNARY(HardSwish, PARTS(hard_swish_expand), .since = 14);
UNARY(Softplus, SMOOTH, .since = 1);
UNARY(Softsign, SMOOTH, .since = 1);
UNARY(Tanh, SMOOTH, .since = 1);
UNARY(Erf, SMOOTH, .since = 9);
UNARY(Sin, SMOOTH, .since = 7);
UNARY(Cos, SMOOTH, .since = 7);
UNARY(Tan, SMOOTH, .since = 7);
UNARY(Asin, SMOOTH, .since = 7);
UNARY(Acos, SMOOTH, .since = 7);
UNARY(Atan, SMOOTH, .since = 7);
UNARY(Sinh, SMOOTH, .since = 9);
UNARY(Cosh, SMOOTH, .since = 9);
UNARY(Asinh, SMOOTH, .since = 9);
UNARY(Acosh, SMOOTH, .since = 9);
UNARY(Atanh, SMOOTH, .since = 9);
UNARY(Floor, STEPS, .infer = infer_float, .since = 1);
UNARY(Ceil, STEPS, .infer = infer_float, .since = 1);
UNARY(Round, STEPS, .infer = infer_float, .since = 11);
UNARY(Sign, STEPS, .infer = oxp_infer_same, .since = 9);
UNARY(Gelu, PARTS(either_gelu_expand), .since = 20, .attrs = gelu_attrs);
UNARY(Mish, PARTS(mish_expand), .since = 18);
UNARY(Swish, PARTS(silu_expand), .since = 24, .attrs = alpha_attr);
UNARY(_Gelu, OURS(gelu_expand));
UNARY(_GeluTanh, OURS(gelu_tanh_expand));
UNARY(_Silu, OURS(silu_expand), .attrs = alpha_attr);
UNARY(_Mish, OURS(mish_expand));

const oxp_op oxp_op_Clip = {
    .name = "Clip", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_MAY_VARY, .attrs = clip_attrs, .const_in = clip_const_in,
    .infer = oxp_infer_same, .grad = unary_grad, .ref = unary_ref, .lower = unary_lower, .expand = clip_expand};
/* clang-format on */
