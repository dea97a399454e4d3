/* const.c - Cast, and the operators that make tensors from numbers.
 *
 * In a specialised graph all floats are one kind, so a Cast between floats passes values on,
 * whatever their widths in the file, down to 16 bits; one to 8 bits and fewer rounds, and its adjoint
 * passes straight through. A Cast to a narrow integer wraps as C does. Range needs
 * constant inputs: its length is theirs; it is folded where it stands. */
#include "ops/infer.h"
#include "ops/lower.h"
#include "tensor/narrow.h"

#include <math.h>
#include <string.h>

/* ---- Cast ---- */

oxp_dtype oxp_dtype_of_onnx(int64_t onnx_type)
{
    if (onnx_type <= 0 || onnx_type > OXP_DTYPE_LAST || oxp_dtype_size((oxp_dtype)onnx_type) == 0)
        return OXP_DTYPE_NONE;
    if (onnx_type == OXP_BOOL) return OXP_BOOL;
    return oxp_dtype_is_float((oxp_dtype)onnx_type) ? OXP_F32 : OXP_I64;
}

static oxp_status cast_infer(oxp_infer *inf)
{
    const int64_t to = oxp_attr_int(inf->node, "to", 0);
    OXP_FAIL_IF(inf->ctx, oxp_dtype_of_onnx(to) == OXP_DTYPE_NONE, OXP_EUNSUPPORTED,
                "Cast '%s' to type %lld: only numbers and bool are supported", inf->node->origin,
                (long long)to);
    return oxp_infer_out(inf, 0, oxp_dtype_of_onnx(to), oxp_infer_shape(inf, 0));
}

static oxp_dtype cast_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(in);
    OXP_UNUSED(k);
    return (oxp_dtype)oxp_attr_int(node, "to", 0);
}

/* dx = dy between floats; integers and booleans have no gradient */
static oxp_status cast_grad(oxp_grad *g)
{
    const oxp_graph *graph = g->b->g;
    if (g->wants[0] && oxp_value_of(graph, g->node->in[0])->dtype == OXP_F32 &&
        oxp_value_of(graph, g->node->out[0])->dtype == OXP_F32)
        g->dx[0] = g->dy[0];
    return OXP_OK;
}

/* Does the type hold every value of its kind in a graph: 64-bit integers, and floats of 16 bits and
 * more, which are all one? */
static bool is_whole_kind(oxp_dtype to)
{
    return oxp_dtype_is_int(to) ? oxp_dtype_bits(to) == 64 : !oxp_narrow_is(to);
}

bool oxp_cast_passes(const oxp_node *node, oxp_dtype from)
{
    const int64_t to = oxp_attr_int(node, "to", 0);
    return oxp_dtype_of_onnx(to) == from && is_whole_kind((oxp_dtype)to);
}

/* x cut towards zero, modulo 2^bits, into the range of the type. */
static double wrap(double x, oxp_dtype to)
{
    if (isnan(x)) return 0.0;
    x = trunc(x);
    if (oxp_dtype_bits(to) == 64) return x;
    const double range = ldexp(1.0, oxp_dtype_bits(to));
    if (isinf(x)) return 0.0;
    x -= floor(x / range) * range;
    return oxp_dtype_is_signed(to) && x >= 0.5 * range ? x - range : x;
}

static double to_narrow(double x, oxp_dtype to, const oxp_node *node)
{
    const char *mode = oxp_attr_string(node, "round_mode", "up");
    return oxp_narrow_value(to, oxp_narrow_code(to, x, oxp_attr_int(node, "saturate", 1) != 0,
                                                strcmp(mode, "up") == 0     ? OXP_NARROW_UP
                                                : strcmp(mode, "down") == 0 ? OXP_NARROW_DOWN
                                                                            : OXP_NARROW_NEAREST));
}

static void cast_values(const oxp_call *call, oxp_dtype to)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    const bool narrow = oxp_narrow_is(to), whole = oxp_dtype_is_int(to);
    for (int64_t i = 0; i < n; i++) {
        const double x = call->in[0][i];
        call->out[0][i] = to == OXP_BOOL ? x != 0.0
                          : whole        ? wrap(x, to)
                          : narrow       ? to_narrow(x, to, call->node)
                                         : x;
    }
}

static oxp_status cast_ref(const oxp_call *call)
{
    cast_values(call, (oxp_dtype)oxp_attr_int(call->node, "to", 0));
    return OXP_OK;
}

static oxp_status cast_lower(oxp_lower *lw, const oxp_node *node)
{
    const oxp_val x = node->in[0], y = node->out[0];
    if (oxp_cast_passes(node, oxp_value_of(oxp_lower_graph(lw), x)->dtype))
        return oxp_lower_alias(lw, y, x, oxp_lower_place(lw, x));
    return is_whole_kind((oxp_dtype)oxp_attr_int(node, "to", 0)) ? oxp_lower_cast(lw, x, y)
                                                                 : oxp_lower_by_ref(lw, node);
}

/* ---- CastLike: Cast to the type of the second input, which specialisation gives as `type` ---- */

static oxp_dtype cast_like_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(node);
    OXP_UNUSED(k);
    return in[1];
}

static oxp_status cast_like_infer(oxp_infer *inf)
{
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 1), oxp_infer_shape(inf, 0));
}

static oxp_status cast_like_ref(const oxp_call *call)
{
    cast_values(call, (oxp_dtype)oxp_attr_int(call->node, "type", call->out_dtype[0]));
    return OXP_OK;
}

static oxp_status cast_like_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_dtype to = oxp_value_of(b->g, node->in[1])->dtype;
    out[0] = node->in[0];
    if (is_whole_kind((oxp_dtype)oxp_attr_int(node, "type", to)) &&
        to == oxp_value_of(b->g, node->in[0])->dtype)
        return b->status;
    out[0] = OXP_EMIT1(b, &oxp_op_Cast, node->in[0], OXP_INT("to", oxp_attr_int(node, "type", to)),
                       OXP_INT("saturate", oxp_attr_int(node, "saturate", 1)),
                       OXP_STR("round_mode", oxp_attr_string(node, "round_mode", "up")));
    return b->status;
}

/* ---- ConstantOfShape: a tensor of one number; its shape has become the attribute `shape` ---- */

static oxp_status fill_infer(oxp_infer *inf)
{
    size_t n;
    const int64_t *dims = oxp_attr_ints(inf->node, "shape", &n);
    const oxp_attr *shape = oxp_attr_find(inf->node, "shape"),
                   *value = oxp_attr_find(inf->node, "value");
    OXP_FAIL_IF(inf->ctx, !shape || n > OXP_MAX_RANK, OXP_EUNSUPPORTED,
                "ConstantOfShape '%s' expects a known shape of at most %d axes", inf->node->origin,
                OXP_MAX_RANK);
    for (size_t i = 0; i < n; i++)
        OXP_FAIL_IF(inf->ctx, dims[i] < 0, OXP_EINVAL, "ConstantOfShape '%s' has a negative axis",
                    inf->node->origin);
    const oxp_dtype dtype = value ? oxp_dtype_of_onnx(value->t->dtype) : OXP_F32;
    OXP_FAIL_IF(
        inf->ctx, dtype == OXP_DTYPE_NONE || (value && oxp_shape_elements(&value->t->shape) != 1),
        OXP_EINVAL, "ConstantOfShape '%s' expects one number as its value", inf->node->origin);
    const oxp_shape y = oxp_shape_of((int)n, dims);
    return oxp_infer_out(inf, 0, dtype, &y);
}

static double fill_value(const oxp_node *node)
{
    const oxp_attr *value = oxp_attr_find(node, "value");
    return value ? oxp_tensor_get(value->t, 0) : 0.0;
}

static oxp_status fill_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = fill_value(call->node);
    return OXP_OK;
}

static oxp_dtype fill_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(in);
    OXP_UNUSED(k);
    const oxp_attr *value = oxp_attr_find(node, "value");
    return value ? value->t->dtype : OXP_F32;
}

static oxp_status fill_lower(oxp_lower *lw, const oxp_node *node)
{
    if (oxp_value_of(oxp_lower_graph(lw), node->out[0])->dtype != OXP_F32)
        return oxp_lower_by_ref(lw, node);
    OXP_TRY(oxp_lower_result(lw, node->out[0], OXP_LAYOUT_ANY));
    return oxp_lower_fill(lw, node->out[0], fill_value(node));
}

/* ---- Range: start, start + delta, ... below limit ---- */

static oxp_status range_number(const oxp_infer *inf, size_t i, double *number)
{
    const oxp_value *v = oxp_value_of(inf->g, inf->node->in[i]);
    OXP_FAIL_IF(inf->ctx, v->kind != OXP_VALUE_CONST || oxp_shape_elements(&v->shape) != 1,
                OXP_EUNSUPPORTED, "Range '%s' expects constants: its length depends on data",
                inf->node->origin);
    OXP_FAIL_IF(inf->ctx, v->dtype == OXP_BOOL || v->dtype != oxp_infer_dtype(inf, 0), OXP_EINVAL,
                "Range '%s' expects three numbers of one type", inf->node->origin);
    *number = oxp_tensor_get(v->constant, 0);
    return OXP_OK;
}

static oxp_status range_infer(oxp_infer *inf)
{
    double start, limit, delta;
    OXP_TRY(range_number(inf, 0, &start));
    OXP_TRY(range_number(inf, 1, &limit));
    OXP_TRY(range_number(inf, 2, &delta));
    const double n = ceil((limit - start) / delta);
    OXP_FAIL_IF(inf->ctx, delta == 0.0 || isnan(n) || n > 1e9, OXP_EINVAL,
                "Range '%s' from %g to %g by %g has no usable length", inf->node->origin, start,
                limit, delta);
    const oxp_shape y = oxp_shape_of(1, (const int64_t[]){n > 0.0 ? (int64_t)n : 0});
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status range_ref(const oxp_call *call)
{
    for (int64_t i = 0; i < call->out_shape[0].dim[0]; i++)
        call->out[0][i] = call->in[0][0] + (double)i * call->in[2][0];
    return OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec cast_attrs[] = { /* all types but strings and complex numbers */
    {"to", OXP_ATTR_INT, "1,2,3,4,5,6,7,9,10,11,12,13,16,17,18,19,20,21,22,23,24,25,26,27,28"}, {"saturate", OXP_ATTR_INT, NULL},
    {"round_mode", OXP_ATTR_STRING, "up,down,nearest"}, {NULL, 0, NULL}};
static const oxp_attr_spec cast_like_attrs[] = { /* both are for 8-bit floats */
    {"saturate", OXP_ATTR_INT, NULL}, {"round_mode", OXP_ATTR_STRING, "up,down,nearest"}, {NULL, 0, NULL}};
static const oxp_attr_spec fill_attrs[] = {
    {"value", OXP_ATTR_TENSOR, NULL}, {"shape", OXP_ATTR_INTS, NULL}, {NULL, 0, NULL}};
static const oxp_const_in fill_const_in[] = {{0, "shape", OXP_ATTR_INTS}, {0, NULL, 0}};

const oxp_op oxp_op_Cast = {
    .name = "Cast", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_ELEMENTWISE | OXP_OP_IDENTITY, .attrs = cast_attrs,
    .exact = cast_exact, .infer = cast_infer, .grad = cast_grad, .ref = cast_ref, .lower = cast_lower};

const oxp_op oxp_op_CastLike = {
    .name = "CastLike", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 15,
    .flags = OXP_OP_COMPOSITE | OXP_OP_TYPED | OXP_OP_OPEN, .attrs = cast_like_attrs, .exact = cast_like_exact,
    .infer = cast_like_infer, .ref = cast_like_ref, .expand = cast_like_expand};

const oxp_op oxp_op_ConstantOfShape = {
    .name = "ConstantOfShape", .min_in = 0, .max_in = 1, .min_out = 1, .max_out = 1, .since = 9,
    .flags = OXP_OP_NOT_DIFFERENTIABLE, .attrs = fill_attrs, .const_in = fill_const_in,
    .exact = fill_exact, .infer = fill_infer, .ref = fill_ref, .lower = fill_lower};

const oxp_op oxp_op_Range = {
    .name = "Range", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1, .since = 11,
    .flags = OXP_OP_NOT_DIFFERENTIABLE | OXP_OP_DATA_SHAPED,
    .infer = range_infer, .ref = range_ref, .lower = oxp_lower_by_ref};
/* clang-format on */
