/* logic.c - comparisons and boolean algebra, broadcasting as ONNX does, and the questions whether a
 * number is NaN or infinite. None of them has a gradient.
 *
 * Comparisons of floats and logic on booleans are vector loops; comparisons of integers, which
 * are small shape arithmetic, are evaluated by `ref`. NaN compares false. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

/* The operands are of one kind; `kind` is required unless NONE. */
static oxp_status infer_pair(oxp_infer *inf, oxp_dtype kind)
{
    const oxp_dtype a = oxp_infer_dtype(inf, 0), b = oxp_infer_dtype(inf, 1);
    OXP_FAIL_IF(inf->ctx, a != b || (kind != OXP_DTYPE_NONE && a != kind), OXP_EINVAL,
                "%s '%s' expects two inputs of %s, found %s and %s", inf->node->op->name,
                inf->node->origin, kind == OXP_DTYPE_NONE ? "one type" : oxp_dtype_name(kind),
                oxp_dtype_name(a), oxp_dtype_name(b));
    return oxp_infer_compare(inf);
}

static oxp_status infer_compare(oxp_infer *inf)
{
    return infer_pair(inf, OXP_DTYPE_NONE);
}

static oxp_status infer_logic(oxp_infer *inf)
{
    return infer_pair(inf, OXP_BOOL);
}

static oxp_status infer_not(oxp_infer *inf)
{
    OXP_FAIL_IF(inf->ctx, oxp_infer_dtype(inf, 0) != OXP_BOOL, OXP_EINVAL,
                "Not '%s' expects bool, found %s", inf->node->origin,
                oxp_dtype_name(oxp_infer_dtype(inf, 0)));
    return oxp_infer_same(inf);
}

static oxp_status not_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = call->in[0][i] == 0.0;
    return OXP_OK;
}

static oxp_status infer_kind_of_float(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_float(inf, 0));
    return oxp_infer_compare(inf);
}

static oxp_status is_nan_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = isnan(call->in[0][i]);
    return OXP_OK;
}

static oxp_status is_inf_ref(const oxp_call *call)
{
    const bool low = oxp_attr_int(call->node, "detect_negative", 1) != 0;
    const bool high = oxp_attr_int(call->node, "detect_positive", 1) != 0;
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++)
        call->out[0][i] = isinf(call->in[0][i]) && (call->in[0][i] < 0.0 ? low : high);
    return OXP_OK;
}

static oxp_status lower_compare(oxp_lower *lw, const oxp_node *node, oxp_bin bin)
{
    if (!oxp_node_all_float(oxp_lower_graph(lw), node)) return oxp_lower_by_ref(lw, node);
    return oxp_lower_binary(lw, bin, node->in[0], node->in[1], node->out[0]);
}

static oxp_status lower_logic(oxp_lower *lw, const oxp_node *node, oxp_bin bin)
{
    return oxp_lower_binary(lw, bin, node->in[0], node->in[1], node->out[0]);
}

/* ---- descriptors ---- */

/* clang-format off */
#define PAIR(symbol, bin, version, inf, verb)                                                                          \
    static oxp_status symbol##_ref(const oxp_call *call) { return oxp_ref_binary(call, bin); }                         \
    static oxp_status symbol##_lower(oxp_lower *lw, const oxp_node *node) { return verb(lw, node, bin); }              \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = version,                       \
        .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE, .infer = inf, .ref = symbol##_ref,                    \
        .lower = symbol##_lower}

PAIR(Equal, OXP_BIN_EQ, 1, infer_compare, lower_compare);
PAIR(Greater, OXP_BIN_GT, 1, infer_compare, lower_compare);
PAIR(GreaterOrEqual, OXP_BIN_GE, 12, infer_compare, lower_compare);
PAIR(Less, OXP_BIN_LT, 1, infer_compare, lower_compare);
PAIR(LessOrEqual, OXP_BIN_LE, 12, infer_compare, lower_compare);
PAIR(And, OXP_BIN_AND, 1, infer_logic, lower_logic);
PAIR(Or, OXP_BIN_OR, 1, infer_logic, lower_logic);
PAIR(Xor, OXP_BIN_XOR, 1, infer_logic, lower_logic);

const oxp_op oxp_op_Not = {
    .name = "Not", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE,
    .infer = infer_not, .ref = not_ref, .lower = oxp_lower_by_ref};

static const oxp_attr_spec is_inf_attrs[] = {
    {"detect_negative", OXP_ATTR_INT, NULL}, {"detect_positive", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_IsNaN = {
    .name = "IsNaN", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 9,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE,
    .infer = infer_kind_of_float, .ref = is_nan_ref, .lower = oxp_lower_by_ref};
const oxp_op oxp_op_IsInf = {
    .name = "IsInf", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 10,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE, .attrs = is_inf_attrs,
    .infer = infer_kind_of_float, .ref = is_inf_ref, .lower = oxp_lower_by_ref};
/* clang-format on */
