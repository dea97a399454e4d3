/* bitwise.c - logic and shifts on the bits of integers.
 *
 * All integers of a specialised graph are int64. Where the file's type decides the result (the
 * complement of an unsigned number, what a shift pushes out) specialisation names it in the attribute
 * `type` (OXP_OP_TYPED), as ONNX numbers types; without it they are int64. None has a gradient. */
#include "ops/infer.h"
#include "ops/lower.h"
#include <string.h>

static oxp_status check_integers(const oxp_infer *inf)
{
    for (uint32_t i = 0; i < inf->node->n_in; i++)
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, i) != OXP_I64, OXP_EINVAL,
                         "expects integers, found %s", oxp_dtype_name(oxp_infer_dtype(inf, i)));
    return OXP_OK;
}

static oxp_status infer_bits(oxp_infer *inf)
{
    OXP_TRY(check_integers(inf));
    return oxp_infer_broadcast(inf);
}

/* ---- the file's integer type ---- */

static oxp_dtype type_of(const oxp_node *node)
{
    const oxp_dtype type = (oxp_dtype)oxp_attr_int(node, "type", OXP_I64);
    return oxp_dtype_is_int(type) ? type : OXP_I64;
}

static bool is_signed(oxp_dtype type)
{
    return type == OXP_I8 || type == OXP_I16 || type == OXP_I32 || type == OXP_I64;
}

/* The lowest bits of x as a number of the type. */
static double as_type(uint64_t x, oxp_dtype type)
{
    const int unused = 64 - 8 * (int)oxp_dtype_size(type);
    const uint64_t high = x << unused;
    if (!is_signed(type)) return (double)(high >> unused);
    const uint64_t sign = high >> 63 && unused ? ~(uint64_t)0 << (64 - unused) : 0;
    const uint64_t bits = high >> unused | sign;
    return bits >> 63 ? -(double)(~bits) - 1.0 : (double)bits;
}

/* Integers reach `ref` as doubles: beyond what int64 and uint64 hold they saturate. */
static uint64_t bits_of(double x)
{
    if (x < 0.0) return x <= -9223372036854775808.0 ? (uint64_t)1 << 63 : (uint64_t)(int64_t)x;
    return x >= 18446744073709551616.0 ? ~(uint64_t)0 : (uint64_t)x;
}

/* ---- references ---- */

typedef uint64_t (*bit_fn)(const oxp_node *node, uint64_t a, uint64_t b);

static oxp_status ref_bits(const oxp_call *call, bit_fn fn)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    const oxp_dtype type = type_of(call->node);
    int64_t idx[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(&call->out_shape[0], idx)) {
        uint64_t operand[2] = {0, 0};
        for (uint32_t k = 0; k < call->node->n_in; k++)
            operand[k] = bits_of(
                call->in[k][oxp_index_broadcast(&call->in_shape[k], &call->out_shape[0], idx)]);
        call->out[0][i] = as_type(fn(call->node, operand[0], operand[1]), type);
    }
    return OXP_OK;
}

/* As a sign-extended or zero-extended number of the type is shifted; a shift by its width or more, or
 * by a negative number, pushes all bits out. */
static uint64_t shift(const oxp_node *node, uint64_t a, uint64_t b)
{
    const bool left = strcmp(oxp_attr_string(node, "direction", "LEFT"), "LEFT") == 0;
    const bool negative = is_signed(type_of(node)) && a >> 63;
    const bool out = b >= 8 * oxp_dtype_size(type_of(node));
    const uint64_t fill = negative && !left ? ~(uint64_t)0 : 0;
    if (out) return fill;
    if (left) return a << b;
    return b ? a >> b | fill << (64 - b) : a;
}

/* clang-format off */
static uint64_t both(const oxp_node *n, uint64_t a, uint64_t b) { OXP_UNUSED(n); return a & b; }
static uint64_t either(const oxp_node *n, uint64_t a, uint64_t b) { OXP_UNUSED(n); return a | b; }
static uint64_t one_of(const oxp_node *n, uint64_t a, uint64_t b) { OXP_UNUSED(n); return a ^ b; }
static uint64_t complement(const oxp_node *n, uint64_t a, uint64_t b) { OXP_UNUSED(n); OXP_UNUSED(b); return ~a; }

static oxp_status and_ref(const oxp_call *call) { return ref_bits(call, both); }
static oxp_status or_ref(const oxp_call *call) { return ref_bits(call, either); }
static oxp_status xor_ref(const oxp_call *call) { return ref_bits(call, one_of); }
static oxp_status not_ref(const oxp_call *call) { return ref_bits(call, complement); }
static oxp_status shift_ref(const oxp_call *call) { return ref_bits(call, shift); }

/* ---- descriptors ---- */

static const oxp_attr_spec bits_attrs[] = {{"type", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec shift_attrs[] = {
    {"direction", OXP_ATTR_STRING, "LEFT,RIGHT"}, {"type", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

#define BITS(symbol, operands, version, attributes, reference)                                                         \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = operands, .max_in = operands, .min_out = 1, .max_out = 1, .since = version,         \
        .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE | OXP_OP_TYPED, .attrs = attributes,                   \
        .infer = infer_bits,                                                                                           \
        .ref = reference, .lower = oxp_lower_by_ref}

BITS(BitwiseAnd, 2, 18, bits_attrs, and_ref);
BITS(BitwiseOr, 2, 18, bits_attrs, or_ref);
BITS(BitwiseXor, 2, 18, bits_attrs, xor_ref);
BITS(BitwiseNot, 1, 18, bits_attrs, not_ref);
BITS(BitShift, 2, 11, shift_attrs, shift_ref);
/* clang-format on */
