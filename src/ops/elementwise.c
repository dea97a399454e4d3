/* elementwise.c - arithmetic of two or more tensors, broadcasting as ONNX does, and Where.
 *
 * Gradient rules give adjoints in the broadcast shape; the driver sums them back to the input's
 * shape. Floats go to the vector loops; integers, which are small shape arithmetic, are
 * evaluated by `ref`. Integers divide towards zero. Max and Min are pinned: the first argument
 * wins ties. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

/* ---- shared with logic.c ---- */

bool oxp_node_all_float(const oxp_graph *g, const oxp_node *node)
{
    for (uint32_t i = 0; i < node->n_in; i++)
        if (oxp_node_has(node, i) && oxp_value_of(g, node->in[i])->dtype != OXP_F32) return false;
    return true;
}

/* Element i of the broadcast of operand k. */
static double operand(const oxp_call *call, size_t k, const int64_t idx[OXP_MAX_RANK])
{
    return call->in[k][oxp_index_broadcast(&call->in_shape[k], &call->out_shape[0], idx)];
}

oxp_status oxp_ref_binary(const oxp_call *call, oxp_bin bin)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    int64_t idx[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(&call->out_shape[0], idx))
        call->out[0][i] = oxp_bin_eval(bin, operand(call, 0, idx), operand(call, 1, idx));
    return OXP_OK;
}

/* ---- inference ---- */

/* All inputs from number `from` on are present and of one kind. */
static oxp_status check_kinds(const oxp_infer *inf, uint32_t from)
{
    const oxp_node *node = inf->node;
    for (uint32_t i = 0; i < node->n_in; i++) {
        OXP_FAIL_IF(inf->ctx, !oxp_node_has(node, i), OXP_EINVAL, "%s '%s' lacks input %u",
                    node->op->name, node->origin, i);
        OXP_FAIL_IF(inf->ctx, i >= from && oxp_infer_dtype(inf, i) != oxp_infer_dtype(inf, from),
                    OXP_EINVAL, "%s '%s' expects inputs of one type, found %s and %s",
                    node->op->name, node->origin, oxp_dtype_name(oxp_infer_dtype(inf, from)),
                    oxp_dtype_name(oxp_infer_dtype(inf, i)));
    }
    OXP_FAIL_IF(inf->ctx, from == 0 && oxp_infer_dtype(inf, 0) == OXP_BOOL, OXP_EINVAL,
                "%s '%s' expects numbers, found bool", node->op->name, node->origin);
    return OXP_OK;
}

static oxp_status infer_arithmetic(oxp_infer *inf)
{
    OXP_TRY(check_kinds(inf, 0));
    return oxp_infer_broadcast(inf);
}

/* The exponent may be of another kind than the base. */
static oxp_status infer_pow(oxp_infer *inf)
{
    OXP_TRY(check_kinds(inf, 1));
    return oxp_infer_broadcast(inf);
}

static oxp_status infer_mean(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 0));
    return infer_arithmetic(inf);
}

/* The slope broadcasts to x, not x to the slope. */
static oxp_status infer_prelu(oxp_infer *inf)
{
    OXP_TRY(infer_mean(inf));
    OXP_FAIL_IF(inf->ctx, !oxp_shape_equal(&inf->shape[0], oxp_infer_shape(inf, 0)), OXP_EINVAL,
                "PRelu '%s' expects a slope that broadcasts to its input", inf->node->origin);
    return OXP_OK;
}

static oxp_status infer_where(oxp_infer *inf)
{
    OXP_TRY(check_kinds(inf, 1));
    OXP_FAIL_IF(inf->ctx, oxp_infer_dtype(inf, 0) != OXP_BOOL, OXP_EINVAL,
                "Where '%s' expects a bool condition, found %s", inf->node->origin,
                oxp_dtype_name(oxp_infer_dtype(inf, 0)));
    OXP_TRY(oxp_infer_broadcast(inf));
    inf->dtype[0] = oxp_infer_dtype(inf, 1);
    return OXP_OK;
}

/* ---- gradients ---- */

/* The adjoint arrives and input i wants its share. */
static bool wants(const oxp_grad *g, size_t i)
{
    return g->wants[i] && g->dy[0] != OXP_NO_VAL;
}

/* y = x0 + x1 + ...:  dx_i = dy */
static oxp_status sum_grad(oxp_grad *g)
{
    for (uint32_t i = 0; i < g->node->n_in; i++)
        if (wants(g, i)) g->dx[i] = g->dy[0];
    return OXP_OK;
}

/* y = a - b:  da = dy, db = -dy */
static oxp_status sub_grad(oxp_grad *g)
{
    if (wants(g, 0)) g->dx[0] = g->dy[0];
    if (wants(g, 1)) g->dx[1] = oxp_b_unary(g->b, &oxp_op_Neg, g->dy[0]);
    return g->b->status;
}

/* y = a b:  da = dy b, db = dy a */
static oxp_status mul_grad(oxp_grad *g)
{
    for (int i = 0; i < 2; i++)
        if (wants(g, (size_t)i)) g->dx[i] = oxp_b_mul(g->b, g->dy[0], g->node->in[1 - i]);
    return g->b->status;
}

/* y = a / b:  da = dy / b, db = -dy y / b */
static oxp_status div_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    if (g->dy[0] == OXP_NO_VAL) return OXP_OK;
    const oxp_val share = oxp_b_div(b, g->dy[0], g->node->in[1]);
    if (wants(g, 0)) g->dx[0] = share;
    if (wants(g, 1)) g->dx[1] = oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, share, g->node->out[0]));
    return b->status;
}

/* y = a - q b, q = a / b rounded down or towards zero:  da = dy, db = -q dy */
static oxp_status mod_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    if (wants(g, 0)) g->dx[0] = g->dy[0];
    if (wants(g, 1)) {
        const oxp_val multiple = oxp_b_sub(b, g->node->out[0], g->node->in[0]);
        const oxp_val q = oxp_b_unary(b, &oxp_op_Round, oxp_b_div(b, multiple, g->node->in[1]));
        g->dx[1] = oxp_b_mul(b, g->dy[0], q);
    }
    return b->status;
}

/* The one number that a constant holds. */
static bool constant_number(const oxp_graph *g, oxp_val v, double *number)
{
    const oxp_value *value = oxp_value_of(g, v);
    if (value->kind != OXP_VALUE_CONST || oxp_shape_elements(&value->shape) != 1) return false;
    *number = oxp_tensor_get(value->constant, 0);
    return true;
}

/* da = dy p a^(p - 1), 0 where p = 0; the usual constant exponents without a power. */
static oxp_val pow_grad_base(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_val a = g->node->in[0], y = g->node->out[0], dy = g->dy[0];
    double p;
    if (constant_number(b->g, g->node->in[1], &p)) {
        const oxp_val pdy = oxp_b_mul(b, dy, oxp_b_scalar(b, p));
        if (p == 0.0) return OXP_NO_VAL;
        if (p == 1.0) return dy;
        if (p == 2.0) return oxp_b_mul(b, pdy, a);
        if (p == 0.5) return oxp_b_div(b, pdy, y);
        return oxp_b_mul(b, pdy, oxp_b_pow(b, a, oxp_b_scalar(b, p - 1.0)));
    }
    const oxp_val q = oxp_b_cast(b, g->node->in[1], OXP_F32), zero = oxp_b_scalar(b, 0.0);
    const oxp_val power = oxp_b_pow(b, a, oxp_b_sub(b, q, oxp_b_scalar(b, 1.0)));
    const oxp_val slope = oxp_b_where(b, oxp_b_equal(b, q, zero), zero, oxp_b_mul(b, q, power));
    return oxp_b_mul(b, dy, slope);
}

/* y = a^p:  da as above; dp = dy y log a, 0 where a <= 0 (log is taken of 1 there, so that
 * nothing becomes NaN). */
static oxp_status pow_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    if (wants(g, 0)) g->dx[0] = pow_grad_base(g);
    if (wants(g, 1)) {
        const oxp_val a = g->node->in[0];
        const oxp_val positive = oxp_b_greater(b, a, oxp_b_scalar(b, 0.0));
        const oxp_val safe = oxp_b_where(b, positive, a, oxp_b_scalar(b, 1.0));
        const oxp_val slope = oxp_b_mul(b, g->node->out[0], oxp_b_unary(b, &oxp_op_Log, safe));
        g->dx[1] = oxp_b_mul(b, g->dy[0], slope);
    }
    return b->status;
}

/* y = max(x0, x1, ...):  dx_i = dy where x_i is the first that equals y, else 0. What is left of
 * dy is handed on. */
static oxp_status extremum_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    if (g->dy[0] == OXP_NO_VAL) return OXP_OK;
    const oxp_val zero = oxp_b_scalar(b, 0.0);
    oxp_val rest = g->dy[0];
    for (uint32_t i = 0; i < g->node->n_in; i++) {
        const oxp_val hit = oxp_b_equal(b, g->node->in[i], g->node->out[0]);
        if (g->wants[i]) g->dx[i] = oxp_b_where(b, hit, rest, zero);
        if (i + 1 < g->node->n_in) rest = oxp_b_where(b, hit, zero, rest);
    }
    return b->status;
}

/* y = (x0 + x1 + ...) / n:  dx_i = dy / n */
static oxp_status mean_grad(oxp_grad *g)
{
    if (g->dy[0] == OXP_NO_VAL) return OXP_OK;
    const oxp_val share =
        oxp_b_mul(g->b, g->dy[0], oxp_b_scalar(g->b, 1.0 / (double)g->node->n_in));
    for (uint32_t i = 0; i < g->node->n_in; i++)
        if (g->wants[i]) g->dx[i] = share;
    return g->b->status;
}

/* y = x < 0 ? s x : x:  dx = x > 0 ? dy : s dy, ds = x < 0 ? x dy : 0 */
static oxp_status prelu_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_val x = g->node->in[0], slope = g->node->in[1], dy = g->dy[0];
    const oxp_val zero = oxp_b_scalar(b, 0.0);
    if (wants(g, 0))
        g->dx[0] = oxp_b_where(b, oxp_b_greater(b, x, zero), dy, oxp_b_mul(b, slope, dy));
    if (wants(g, 1))
        g->dx[1] = oxp_b_where(b, oxp_b_greater(b, zero, x), oxp_b_mul(b, x, dy), zero);
    return b->status;
}

/* y = c ? a : b:  da = c ? dy : 0, db = c ? 0 : dy */
static oxp_status where_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_val zero = oxp_b_scalar(b, 0.0);
    if (wants(g, 1)) g->dx[1] = oxp_b_where(b, g->node->in[0], g->dy[0], zero);
    if (wants(g, 2)) g->dx[2] = oxp_b_where(b, g->node->in[0], zero, g->dy[0]);
    return b->status;
}

/* ---- references ---- */

/* Left to right over all inputs. */
static oxp_status ref_chain(const oxp_call *call, oxp_bin bin)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    int64_t idx[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(&call->out_shape[0], idx)) {
        double y = operand(call, 0, idx);
        for (uint32_t k = 1; k < call->node->n_in; k++)
            y = oxp_bin_eval(bin, y, operand(call, k, idx));
        call->out[0][i] = y;
    }
    return OXP_OK;
}

static void truncate_ints(const oxp_call *call)
{
    if (call->out_dtype[0] != OXP_I64) return;
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = trunc(call->out[0][i]);
}

static oxp_status check_divisors(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->in_shape[1]);
    for (int64_t i = 0; call->in_dtype[1] == OXP_I64 && i < n; i++)
        OXP_FAIL_IF(call->ctx, call->in[1][i] == 0.0, OXP_EINVAL,
                    "%s '%s' divides an integer by zero", call->node->op->name, call->node->origin);
    return OXP_OK;
}

static oxp_bin mod_bin(const oxp_node *node)
{
    return oxp_attr_int(node, "fmod", 0) != 0 ? OXP_BIN_FMOD : OXP_BIN_MOD;
}

static oxp_status mod_ref(const oxp_call *call)
{
    OXP_TRY(check_divisors(call));
    return oxp_ref_binary(call, mod_bin(call->node));
}

static oxp_status div_ref(const oxp_call *call)
{
    OXP_TRY(check_divisors(call));
    OXP_TRY(oxp_ref_binary(call, OXP_BIN_DIV));
    truncate_ints(call);
    return OXP_OK;
}

static oxp_status pow_ref(const oxp_call *call)
{
    OXP_TRY(oxp_ref_binary(call, OXP_BIN_POW));
    truncate_ints(call);
    return OXP_OK;
}

static oxp_status mean_ref(const oxp_call *call)
{
    OXP_TRY(ref_chain(call, OXP_BIN_ADD));
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] /= (double)call->node->n_in;
    return OXP_OK;
}

static oxp_status where_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    int64_t idx[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(&call->out_shape[0], idx))
        call->out[0][i] = operand(call, operand(call, 0, idx) != 0.0 ? 1 : 2, idx);
    return OXP_OK;
}

/* clang-format off */
static oxp_status add_ref(const oxp_call *call) { return oxp_ref_binary(call, OXP_BIN_ADD); }
static oxp_status sub_ref(const oxp_call *call) { return oxp_ref_binary(call, OXP_BIN_SUB); }
static oxp_status mul_ref(const oxp_call *call) { return oxp_ref_binary(call, OXP_BIN_MUL); }
static oxp_status prelu_ref(const oxp_call *call) { return oxp_ref_binary(call, OXP_BIN_PRELU); }
static oxp_status min_ref(const oxp_call *call) { return ref_chain(call, OXP_BIN_MIN); }
static oxp_status max_ref(const oxp_call *call) { return ref_chain(call, OXP_BIN_MAX); }
static oxp_status sum_ref(const oxp_call *call) { return ref_chain(call, OXP_BIN_ADD); }
/* clang-format on */

/* ---- lowering ---- */

static oxp_status lower_binary(oxp_lower *lw, const oxp_node *node, oxp_bin bin)
{
    if (!oxp_node_all_float(oxp_lower_graph(lw), node)) return oxp_lower_by_ref(lw, node);
    return oxp_lower_binary(lw, bin, node->in[0], node->in[1], node->out[0]);
}

/* clang-format off */
static oxp_status add_lower(oxp_lower *lw, const oxp_node *n) { return lower_binary(lw, n, OXP_BIN_ADD); }
static oxp_status sub_lower(oxp_lower *lw, const oxp_node *n) { return lower_binary(lw, n, OXP_BIN_SUB); }
static oxp_status mul_lower(oxp_lower *lw, const oxp_node *n) { return lower_binary(lw, n, OXP_BIN_MUL); }
static oxp_status div_lower(oxp_lower *lw, const oxp_node *n) { return lower_binary(lw, n, OXP_BIN_DIV); }
static oxp_status mod_lower(oxp_lower *lw, const oxp_node *n) { return lower_binary(lw, n, mod_bin(n)); }
static oxp_status prelu_lower(oxp_lower *lw, const oxp_node *n) { return lower_binary(lw, n, OXP_BIN_PRELU); }
/* clang-format on */

/* The usual constant exponents need no power function. */
static oxp_status pow_lower(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_val x = node->in[0], y = node->out[0];
    double p;
    if (oxp_value_of(g, x)->dtype == OXP_F32 && constant_number(g, node->in[1], &p) &&
        oxp_shape_equal(oxp_shape_at(g, x), oxp_shape_at(g, y))) {
        if (p == 2.0) return oxp_lower_binary(lw, OXP_BIN_MUL, x, x, y);
        if (p == 0.5) return oxp_lower_unary(lw, OXP_FN_SQRT, 0.0, 0.0, x, y);
        if (p == -1.0) return oxp_lower_unary(lw, OXP_FN_RECIPROCAL, 0.0, 0.0, x, y);
    }
    return lower_binary(lw, node, OXP_BIN_POW);
}

/* One input is passed on; more are a loop for each but the first. */
static oxp_status lower_chain(oxp_lower *lw, const oxp_node *node, oxp_bin bin)
{
    if (node->n_in == 1)
        return oxp_lower_alias(lw, node->out[0], node->in[0], oxp_lower_place(lw, node->in[0]));
    if (!oxp_node_all_float(oxp_lower_graph(lw), node)) return oxp_lower_by_ref(lw, node);
    return oxp_lower_chain(lw, bin, node->in, node->n_in, node->out[0]);
}

static oxp_status min_lower(oxp_lower *lw, const oxp_node *n)
{
    return lower_chain(lw, n, OXP_BIN_MIN);
}
static oxp_status max_lower(oxp_lower *lw, const oxp_node *n)
{
    return lower_chain(lw, n, OXP_BIN_MAX);
}

static oxp_status sum_lower(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    bool same = oxp_node_all_float(g, node) && node->n_in > 1;
    for (uint32_t i = 0; i < node->n_in; i++)
        same = same && oxp_shape_equal(oxp_shape_at(g, node->in[i]), oxp_shape_at(g, node->out[0]));
    return same ? oxp_lower_sum(lw, node->in, node->n_in, node->out[0])
                : lower_chain(lw, node, OXP_BIN_ADD);
}

static oxp_status where_lower(oxp_lower *lw, const oxp_node *node)
{
    if (oxp_value_of(oxp_lower_graph(lw), node->in[1])->dtype != OXP_F32)
        return oxp_lower_by_ref(lw, node);
    return oxp_lower_where(lw, node->in[0], node->in[1], node->in[2], node->out[0]);
}

/* ---- expansions ---- */

/* Mean = Sum / n */
static oxp_status mean_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val sum = oxp_b_sum(b, node->in, node->n_in);
    out[0] = oxp_b_mul(b, sum, oxp_b_scalar(b, 1.0 / (double)node->n_in));
    return b->status;
}

/* ---- SwiGLU ---- */

static oxp_status infer_swiglu(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     !oxp_shape_equal(oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1)), OXP_EINVAL,
                     "expects inputs of one %s", "shape");
    return oxp_infer_same(inf);
}

static oxp_status swiglu_ref(const oxp_call *call)
{
    const double alpha = oxp_attr_float(call->node, "alpha", 1.0);
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) {
        const double a = call->in[0][i], b = call->in[1][i];
        call->out[0][i] = a / (1.0 + exp(-alpha * a)) * b;
    }
    return OXP_OK;
}

/* a sigmoid(alpha a) b */
static oxp_status swiglu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const double alpha = oxp_attr_float(node, "alpha", 1.0);
    const oxp_val gate = OXP_EMIT1(b, &oxp_op__Silu, node->in[0], OXP_FLOAT("alpha", alpha));
    out[0] = oxp_b_mul(b, gate, node->in[1]);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec mod_attrs[] = {{"fmod", OXP_ATTR_INT, "0,1"}, {NULL, 0, NULL}};

#define BINARY(symbol, inf, lower_case, ...)                                                                           \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,                                         \
        .flags = OXP_OP_ELEMENTWISE | OXP_OP_WRAPS, .infer = inf, .grad = lower_case##_grad, .ref = lower_case##_ref,  \
        .lower = lower_case##_lower, __VA_ARGS__}
#define CHAIN(symbol, lower_case, rule)                                                                                \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 1, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1, .since = 1,                  \
        .flags = OXP_OP_ELEMENTWISE | OXP_OP_WRAPS, .infer = infer_arithmetic, .grad = rule, .ref = lower_case##_ref,  \
        .lower = lower_case##_lower}
#define add_grad sum_grad /* two terms */

BINARY(Add, infer_arithmetic, add, .since = 1);
BINARY(Sub, infer_arithmetic, sub, .since = 1);
BINARY(Mul, infer_arithmetic, mul, .since = 1);
BINARY(Div, infer_arithmetic, div, .since = 1);
BINARY(Mod, infer_arithmetic, mod, .since = 10, .attrs = mod_attrs);
BINARY(Pow, infer_pow, pow, .since = 1);
BINARY(PRelu, infer_prelu, prelu, .since = 1);
CHAIN(Min, min, extremum_grad);
CHAIN(Max, max, extremum_grad);
CHAIN(Sum, sum, sum_grad);

const oxp_op oxp_op_Mean = {
    .name = "Mean", .min_in = 1, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE,
    .infer = infer_mean, .grad = mean_grad, .ref = mean_ref, .expand = mean_expand};

const oxp_op oxp_op_Where = {
    .name = "Where", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1, .since = 9, .flags = OXP_OP_ELEMENTWISE,
    .infer = infer_where, .grad = where_grad, .ref = where_ref, .lower = where_lower};

static const oxp_attr_spec swiglu_attrs[] = {{"alpha", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_SwiGLU = {
    .name = "SwiGLU", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 28, .attrs = swiglu_attrs,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE, .infer = infer_swiglu, .ref = swiglu_ref, .expand = swiglu_expand};
/* clang-format on */
