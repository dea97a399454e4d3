/* bitcast.c - BitCast: the bits of each element read as another type of the same width. The types are
 * those of the file, which specialisation gives (OXP_OP_TYPED); in the fast executor a float64 has
 * been rounded to float first. No gradient. */
#include "ops/infer.h"
#include "ops/lower.h"
#include <string.h>

static oxp_dtype bit_cast_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(in);
    OXP_UNUSED(k);
    return (oxp_dtype)oxp_attr_int(node, "to", 0);
}

static oxp_status bit_cast_infer(oxp_infer *inf)
{
    const int64_t to = oxp_attr_int(inf->node, "to", 0);
    const oxp_dtype from =
        (oxp_dtype)oxp_attr_int(inf->node, "from", (int64_t)oxp_infer_dtype(inf, 0));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_dtype_of_onnx(to) == OXP_DTYPE_NONE, OXP_EUNSUPPORTED,
                     "reads bits as type %lld: only numbers and bool are supported", (long long)to);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_dtype_size(from) != oxp_dtype_size((oxp_dtype)to) ||
                         oxp_dtype_canonical(from) != oxp_infer_dtype(inf, 0),
                     OXP_EINVAL, "cannot read the bits of %s as %s", oxp_dtype_name(from),
                     oxp_dtype_name((oxp_dtype)to));
    return oxp_infer_out(inf, 0, oxp_dtype_of_onnx(to), oxp_infer_shape(inf, 0));
}

static oxp_status bit_cast_ref(const oxp_call *call)
{
    const oxp_dtype to = (oxp_dtype)oxp_attr_int(call->node, "to", 0);
    const oxp_dtype from = (oxp_dtype)oxp_attr_int(call->node, "from", (int64_t)call->in_dtype[0]);
    for (int64_t i = 0; i < oxp_shape_elements(&call->out_shape[0]); i++) {
        uint64_t bits = 0; /* little-endian, as dtype.c asserts: a narrow element lies in front */
        oxp_convert(&bits, from, &call->in[0][i], OXP_F64, 1);
        oxp_convert(&call->out[0][i], OXP_F64, &bits, to, 1);
    }
    return OXP_OK;
}

/* clang-format off */
static const oxp_attr_spec bit_cast_attrs[] = {
    {"to", OXP_ATTR_INT, NULL}, {"from", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_BitCast = {
    .name = "BitCast", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 26,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_NOT_DIFFERENTIABLE | OXP_OP_TYPED, .attrs = bit_cast_attrs,
    .exact = bit_cast_exact, .infer = bit_cast_infer, .ref = bit_cast_ref, .lower = oxp_lower_by_ref};
/* clang-format on */
