/* qlinear.c - operators that take codes and mostly give codes: QLinearConv, MatMulInteger and alike, and those
 * that ONNX Runtime's quantiser writes. See quantize.h.
 *
 * Each is a float operator between dequantised operands, whose result may be quantised again:
 *
 *   QLinearX(q...) = QuantizeLinear(X(DequantizeLinear(q)...)),  XInteger(q...) = X(q - z ...)
 *
 * What stands where is one row of a table; shapes, the reference and the expansion follow from it. In
 * specialised graphs only the expansion is left, so that rules, gradients and kernels see X. */
#include "ops/infer.h"
#include "ops/quantize.h"

#include <math.h>
#include <string.h>

enum { NONE = -1, UNIT = -2, SHARED = -3, PER_TENSOR = 99 };

typedef struct operand {
    int code; /* which input */
    int scale; /* NONE: a float already; UNIT: 1; SHARED: alpha times those of the first two operands */
    int zero; /* NONE: 0 */
    int axis; /* of a scale or zero point that is a vector; MatMul's counts from the end */
} operand;

typedef struct row {
    const oxp_op *whole, *of;
    operand in[3];
    int n_in;
    int scale, zero; /* of the result; NONE: it stays as it is */
    int bias;        /* which input is added to the result; NONE */
} row;

/* clang-format off */
static const row rows[] = {
    {&oxp_op_QLinearConv, &oxp_op_Conv, {{0, 1, 2, PER_TENSOR}, {3, 4, 5, 0}, {8, SHARED, NONE, 0}}, 3, 6, 7, NONE},
    {&oxp_op_ms_QLinearConv, &oxp_op_Conv, {{0, 1, 2, PER_TENSOR}, {3, 4, 5, 0}, {8, SHARED, NONE, 0}}, 3, 6, 7, NONE},
    {&oxp_op_ConvInteger, &oxp_op_Conv, {{0, UNIT, 2, PER_TENSOR}, {1, UNIT, 3, 0}}, 2, NONE, NONE, NONE},
    {&oxp_op_QLinearMatMul, &oxp_op_MatMul, {{0, 1, 2, -2}, {3, 4, 5, -1}}, 2, 6, 7, NONE},
    {&oxp_op_MatMulInteger, &oxp_op_MatMul, {{0, UNIT, 2, -2}, {1, UNIT, 3, -1}}, 2, NONE, NONE, NONE},
    {&oxp_op_ms_MatMulIntegerToFloat, &oxp_op_MatMul, {{0, 2, 4, -2}, {1, 3, 5, -1}}, 2, NONE, NONE, 6},
    {&oxp_op_ms_QGemm, &oxp_op_Gemm, {{0, 1, 2, -2}, {3, 4, 5, -1}, {6, SHARED, NONE, -1}}, 3, 7, 8, NONE},
    {&oxp_op_ms_QLinearAdd, &oxp_op_Add, {{0, 1, 2, PER_TENSOR}, {3, 4, 5, PER_TENSOR}}, 2, 6, 7, NONE},
    {&oxp_op_ms_QLinearMul, &oxp_op_Mul, {{0, 1, 2, PER_TENSOR}, {3, 4, 5, PER_TENSOR}}, 2, 6, 7, NONE},
    {&oxp_op_ms_QLinearGlobalAveragePool, &oxp_op_GlobalAveragePool, {{0, 1, 2, PER_TENSOR}}, 1, 3, 4, NONE},
    {&oxp_op_ms_QLinearAveragePool, &oxp_op_AveragePool, {{0, 1, 2, PER_TENSOR}}, 1, 3, 4, NONE},
    {&oxp_op_ms_QLinearSigmoid, &oxp_op_Sigmoid, {{0, 1, 2, PER_TENSOR}}, 1, 3, 4, NONE},
    {&oxp_op_ms_QLinearLeakyRelu, &oxp_op_LeakyRelu, {{0, 1, 2, PER_TENSOR}}, 1, 3, 4, NONE},
    {&oxp_op_ms_QLinearSoftmax, &oxp_op_Softmax, {{0, 1, 2, PER_TENSOR}}, 1, 3, 4, NONE},
    {&oxp_op_ms_QLinearConcat, &oxp_op_Concat, {{2, 3, 4, PER_TENSOR}}, 1, 0, 1, NONE},
};
/* clang-format on */

/* The row with what is absent taken out. */
typedef struct form {
    const oxp_op *of;
    operand *in; /* [n_in] */
    int n_in;
    int scale, zero, bias;
    oxp_attr *attrs; /* of the float operator */
    size_t n_attrs;
    bool trans[2]; /* Gemm's */
} form;

static int if_present(const oxp_node *node, int input)
{
    return input >= 0 && oxp_node_has(node, (size_t)input) ? input : input < NONE ? input : NONE;
}

static bool is_own_attr(const oxp_op *of, const char *name)
{
    for (const oxp_attr_spec *spec = of->attrs; spec && spec->name; spec++)
        if (strcmp(spec->name, name) == 0) return true;
    return false;
}

/* The float operator's attributes. Softmax says for which opset it was written. */
static oxp_status read_attrs(oxp_ctx *ctx, const oxp_node *node, form *f)
{
    f->attrs = OXP_NEW(ctx->scratch, oxp_attr, node->n_attrs + 3);
    OXP_NOMEM_IF(ctx, f->attrs);
    for (size_t i = 0; i < node->n_attrs; i++)
        if (is_own_attr(f->of, node->attrs[i].name)) f->attrs[f->n_attrs++] = node->attrs[i];
    if (f->of == &oxp_op_Softmax && oxp_attr_int(node, "opset", 13) < 13) {
        if (!oxp_attr_find(node, "axis")) f->attrs[f->n_attrs++] = OXP_INT("axis", 1);
        f->attrs[f->n_attrs++] = OXP_INT("span", 1);
    }
    f->trans[0] = oxp_attr_int(node, "transA", 0) != 0;
    f->trans[1] = oxp_attr_int(node, "transB", 0) != 0;
    return OXP_OK;
}

static oxp_status read_form(oxp_ctx *ctx, const oxp_node *node, form *f)
{
    size_t k = 0;
    while (rows[k].whole != node->op) k++;
    const row *r = &rows[k];
    const int n = r->of == &oxp_op_Concat ? ((int)node->n_in - 2) / 3 : r->n_in;
    OXP_NODE_FAIL_IF(ctx, node, r->of == &oxp_op_Concat && (n < 1 || (int)node->n_in != 2 + 3 * n),
                     OXP_EINVAL, "expects three inputs for each part, found %u", node->n_in - 2);
    *f = (form){.of = r->of,
                .in = OXP_NEW(ctx->scratch, operand, n),
                .scale = if_present(node, r->scale),
                .zero = if_present(node, r->zero),
                .bias = if_present(node, r->bias)};
    OXP_NOMEM_IF(ctx, f->in);
    for (int i = 0; i < n; i++) {
        operand o = r->in[i < r->n_in ? i : 0];
        if (i >= r->n_in) o = (operand){o.code + 3 * i, o.scale + 3 * i, o.zero + 3 * i, o.axis};
        if (if_present(node, o.code) == NONE && o.scale == SHARED) continue; /* no bias */
        OXP_NODE_FAIL_IF(ctx, node,
                         if_present(node, o.code) == NONE ||
                             (o.scale >= 0 && if_present(node, o.scale) == NONE),
                         OXP_EINVAL, "lacks input %d or its scale", o.code);
        o.zero = if_present(node, o.zero);
        f->in[f->n_in++] = o;
    }
    OXP_NODE_FAIL_IF(ctx, node, r->scale >= 0 && f->scale < 0 && r->of != &oxp_op_Gemm, OXP_EINVAL,
                     "lacks the scale of its result, input %d", r->scale);
    return read_attrs(ctx, node, f);
}

bool oxp_qlinear_code(const oxp_node *node, uint32_t k, int *scale, int *zero)
{
    for (size_t r = 0; r < OXP_COUNT(rows); r++) {
        if (rows[r].whole != node->op) continue;
        const bool many = rows[r].of == &oxp_op_Concat && k >= 2 && (k - 2) % 3 == 0;
        for (int i = 0; i < rows[r].n_in; i++) {
            const operand *o = &rows[r].in[i];
            if ((!many && o->code != (int)k) || o->scale == SHARED) continue;
            *scale = many ? (int)k + 1 : if_present(node, o->scale);
            *zero = if_present(node, many ? (int)k + 2 : o->zero);
            return true;
        }
    }
    return false;
}

/* The axis of operand i along which a scale of this shape lies, as oxp_spread_read wants it. */
static oxp_status read_spread(oxp_ctx *ctx, const oxp_node *node, const form *f, int i,
                              const oxp_shape *x, const oxp_shape *v, oxp_spread *out)
{
    const int axis = f->in[i].axis;
    *out = (oxp_spread){-1, 0};
    if (oxp_shape_elements(v) == 1) return OXP_OK;
    out->axis = axis >= 0 ? axis : x->rank + (i < 2 && f->trans[i] ? -3 - axis : axis);
    const bool fits = axis != PER_TENSOR && out->axis >= 0 && out->axis < x->rank && v->rank == 1 &&
                      v->dim[0] == x->dim[out->axis];
    char text[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(
        ctx, node, !fits, OXP_EUNSUPPORTED,
        "has scales or zero points of shape %s for input %d, where one number is expected, or "
        "for weights one per row or column",
        oxp_shape_text(v, text), f->in[i].code);
    return OXP_OK;
}

/* ---- shapes: those of the float operator ---- */

static oxp_node float_node(const oxp_node *node, const form *f, oxp_val *in)
{
    oxp_node inner = *node;
    inner.op = f->of;
    inner.in = in;
    inner.n_in = (uint32_t)f->n_in;
    inner.attrs = f->attrs;
    inner.n_attrs = f->n_attrs;
    return inner;
}

static oxp_status infer(oxp_infer *inf)
{
    const oxp_node *node = inf->node;
    form f;
    OXP_TRY(read_form(inf->ctx, node, &f));
    for (uint32_t k = 0; k < node->n_in; k++)
        if (oxp_infer_has(inf, k)) OXP_TRY(oxp_infer_float(inf, k));
    oxp_val *in = OXP_NEW(inf->ctx->scratch, oxp_val, f.n_in + 1);
    OXP_NOMEM_IF(inf->ctx, in);
    for (int i = 0; i < f.n_in; i++) {
        oxp_spread spread;
        const operand *o = &f.in[i];
        in[i] = node->in[o->code];
        const oxp_shape *x = oxp_infer_shape(inf, (size_t)o->code);
        if (o->scale >= 0)
            OXP_TRY(read_spread(inf->ctx, node, &f, i, x, oxp_infer_shape(inf, (size_t)o->scale),
                                &spread));
        if (o->zero >= 0)
            OXP_TRY(read_spread(inf->ctx, node, &f, i, x, oxp_infer_shape(inf, (size_t)o->zero),
                                &spread));
    }
    OXP_NODE_FAIL_IF(inf->ctx, node,
                     f.scale >= 0 && oxp_shape_elements(oxp_infer_shape(inf, (size_t)f.scale)) != 1,
                     OXP_EUNSUPPORTED, "expects %s for its result", "one scale");
    const oxp_node inner = float_node(node, &f, in);
    oxp_infer of = *inf;
    of.node = &inner;
    return f.of->infer(&of);
}

/* ---- the expansion ---- */

/* A scale or zero point beside x. */
static oxp_val beside(oxp_build *b, const oxp_node *node, const form *f, int i, oxp_val v)
{
    oxp_spread spread;
    const oxp_shape x = *oxp_b_shape(b, node->in[f->in[i].code]);
    if (b->status == OXP_OK)
        b->status = read_spread(b->ctx, node, f, i, &x, oxp_b_shape(b, v), &spread);
    return b->status == OXP_OK ? oxp_b_spread(b, v, &x, spread) : OXP_NO_VAL;
}

/* alpha s0 s1, a number or a vector */
static oxp_val shared_scale(oxp_build *b, const oxp_node *node, const form *f)
{
    const oxp_val s = oxp_b_mul(b, node->in[f->in[0].scale], node->in[f->in[1].scale]);
    const double alpha = f->of == &oxp_op_Gemm ? oxp_attr_float(node, "alpha", 1.0) : 1.0;
    return oxp_b_mul(b, s, oxp_b_scalar(b, alpha));
}

static oxp_val dequantized(oxp_build *b, const oxp_node *node, const form *f, int i)
{
    const operand *o = &f->in[i];
    const oxp_val q = node->in[o->code];
    if (b->status != OXP_OK || o->scale == NONE) return q;
    const oxp_val zero = o->zero >= 0 ? node->in[o->zero] : OXP_NO_VAL;
    const oxp_shape x = *oxp_b_shape(b, q);
    oxp_val scale = o->scale == SHARED ? shared_scale(b, node, f)
                    : o->scale == UNIT ? oxp_b_scalar(b, 1.0)
                                       : node->in[o->scale];
    if (b->status != OXP_OK) return q;
    oxp_spread spread, other;
    b->status = read_spread(b->ctx, node, f, i, &x, oxp_b_shape(b, scale), &spread);
    if (zero && b->status == OXP_OK)
        b->status = read_spread(b->ctx, node, f, i, &x, oxp_b_shape(b, zero), &other);
    if (b->status != OXP_OK) return q;
    if (!zero || (spread.axis < 0) == (other.axis < 0))
        return oxp_b_dequantize(b, q, scale, zero, spread.axis < 0 ? 0 : spread.axis);
    /* a number beside a vector */
    return oxp_b_mul(b, oxp_b_sub(b, q, beside(b, node, f, i, zero)), beside(b, node, f, i, scale));
}

static oxp_status expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    form f;
    OXP_TRY(read_form(b->ctx, node, &f));
    oxp_val *in = OXP_NEW(b->ctx->scratch, oxp_val, f.n_in + 1);
    OXP_NOMEM_IF(b->ctx, in);
    for (int i = 0; i < f.n_in; i++) in[i] = dequantized(b, node, &f, i);
    oxp_val y = oxp_emit(b, f.of, in, (size_t)f.n_in, f.attrs, f.n_attrs);
    if (f.bias >= 0) y = oxp_b_add(b, y, node->in[f.bias]);
    const oxp_dtype type = (oxp_dtype)oxp_attr_int(node, "type", OXP_U8);
    out[0] = f.scale < 0 ? y
                         : oxp_b_quantize(b, y, node->in[f.scale],
                                          f.zero >= 0 ? node->in[f.zero] : OXP_NO_VAL, type, 0);
    return b->status;
}

/* ---- the reference: operands in double, the float operator's reference, codes ---- */

static double setting(const oxp_call *call, int input, oxp_spread spread, const int64_t *idx)
{
    return call->in[input][oxp_spread_index(spread, &call->in_shape[input], idx)];
}

/* The scale of operand i at idx. */
static oxp_status scale_at(const oxp_call *call, const form *f, int i, const oxp_shape *x,
                           const int64_t *idx, double *s)
{
    const int scale = f->in[i].scale;
    oxp_spread spread;
    *s = 1.0;
    if (scale == UNIT) return OXP_OK;
    if (scale == SHARED) {
        *s = f->of == &oxp_op_Gemm ? oxp_attr_float(call->node, "alpha", 1.0) : 1.0;
        for (int k = 0; k < 2; k++) { /* a vector follows the channels of this operand */
            const int own = f->in[k].scale;
            const int64_t n = oxp_shape_elements(&call->in_shape[own]);
            const int axis = f->in[i].axis < 0 ? x->rank + f->in[i].axis : f->in[i].axis;
            *s *= call->in[own][n == 1 ? 0 : idx[axis]];
        }
        return OXP_OK;
    }
    OXP_TRY(read_spread(call->ctx, call->node, f, i, x, &call->in_shape[scale], &spread));
    *s = setting(call, scale, spread, idx);
    return OXP_OK;
}

static oxp_status dequantized_data(const oxp_call *call, const form *f, int i, const double **out)
{
    const operand *o = &f->in[i];
    const oxp_shape *x = &call->in_shape[o->code];
    *out = call->in[o->code];
    if (o->scale == NONE || oxp_shape_elements(x) == 0) return OXP_OK;
    double *y = OXP_NEW(call->scratch, double, oxp_shape_elements(x));
    OXP_NOMEM_IF(call->ctx, y);
    int64_t idx[OXP_MAX_RANK] = {0}, at = 0;
    do {
        double s, z = 0.0;
        oxp_spread spread;
        OXP_TRY(scale_at(call, f, i, x, idx, &s));
        if (o->zero >= 0) {
            OXP_TRY(read_spread(call->ctx, call->node, f, i, x, &call->in_shape[o->zero], &spread));
            z = setting(call, o->zero, spread, idx);
        }
        y[at] = (call->in[o->code][at] - z) * s;
        at++;
    } while (oxp_index_next(x, idx));
    *out = y;
    return OXP_OK;
}

static void finish(const oxp_call *call, const form *f)
{
    const oxp_shape *y = &call->out_shape[0];
    const oxp_range range = oxp_range_of((oxp_dtype)oxp_attr_int(call->node, "type", OXP_U8));
    const double z = f->zero >= 0 ? call->in[f->zero][0] : 0.0;
    int64_t idx[OXP_MAX_RANK] = {0}, i = 0;
    if (oxp_shape_elements(y) == 0) return;
    do {
        double v = call->out[0][i];
        if (f->bias >= 0)
            v += call->in[f->bias][oxp_index_broadcast(&call->in_shape[f->bias], y, idx)];
        if (f->scale >= 0) {
            v = nearbyint((double)((float)v / (float)call->in[f->scale][0])) + z;
            v = v < range.lo ? range.lo : v > range.hi ? range.hi : v;
        }
        call->out[0][i++] = v;
    } while (oxp_index_next(y, idx));
}

static oxp_status ref(const oxp_call *call)
{
    const oxp_node *node = call->node;
    form f;
    OXP_TRY(read_form(call->ctx, node, &f));
    const double **in = OXP_NEW(call->scratch, const double *, f.n_in + 1);
    oxp_val *vals = OXP_NEW(call->scratch, oxp_val, f.n_in + 1);
    oxp_shape *shape = OXP_NEW(call->scratch, oxp_shape, f.n_in + 1);
    oxp_dtype *dtype = OXP_NEW(call->scratch, oxp_dtype, f.n_in + 1);
    OXP_FAIL_IF(call->ctx, !in || !vals || !shape || !dtype, OXP_ENOMEM, "out of memory");
    for (int i = 0; i < f.n_in; i++) {
        OXP_TRY(dequantized_data(call, &f, i, &in[i]));
        vals[i] = node->in[f.in[i].code];
        shape[i] = call->in_shape[f.in[i].code];
        dtype[i] = OXP_F32;
    }
    const oxp_node inner = float_node(node, &f, vals);
    oxp_call of = *call;
    of.node = &inner;
    of.in = in;
    of.in_shape = shape;
    of.in_dtype = dtype;
    OXP_TRY(f.of->ref(&of));
    finish(call, &f);
    return OXP_OK;
}

/* ---- types: of the result's zero point; without a scale int32, or float where operands have scales ---- */

static oxp_dtype exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(k);
    size_t i = 0;
    while (rows[i].whole != node->op) i++;
    const row *r = &rows[i];
    if (if_present(node, r->scale) < 0) return r->in[0].scale == UNIT ? OXP_I32 : OXP_F32;
    return if_present(node, r->zero) >= 0 ? in[r->zero] : OXP_U8;
}

/* ---- DynamicQuantizeMatMul: (a float, b, b scale, b zero?, bias?) ---- */

static oxp_status dynamic_infer(oxp_infer *inf)
{
    const oxp_node *node = inf->node;
    for (uint32_t k = 0; k < node->n_in; k++)
        if (oxp_infer_has(inf, k)) OXP_TRY(oxp_infer_float(inf, k));
    oxp_node inner = *node;
    inner.op = &oxp_op_MatMul;
    inner.n_in = 2;
    inner.n_attrs = 0;
    oxp_infer of = *inf;
    of.node = &inner;
    return oxp_op_MatMul.infer(&of);
}

static oxp_status dynamic_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_val q[3], in[7] = {OXP_NO_VAL};
    OXP_TRY(oxp_emit_multi(b, &oxp_op_DynamicQuantizeLinear, node->in, 1, NULL, 0, 3, q));
    in[0] = q[0];
    in[1] = node->in[1];
    in[2] = q[1];
    in[3] = node->in[2];
    in[4] = q[2];
    if (oxp_node_has(node, 3)) in[5] = node->in[3];
    if (oxp_node_has(node, 4)) in[6] = node->in[4];
    const oxp_node inner = {.op = &oxp_op_ms_MatMulIntegerToFloat,
                            .n_in = 7,
                            .in = in,
                            .n_out = 1,
                            .out = node->out,
                            .origin = node->origin};
    return expand(b, &inner, out);
}

static oxp_status dynamic_ref(const oxp_call *call)
{
    const oxp_node *node = call->node;
    const int64_t n = oxp_shape_elements(&call->in_shape[0]);
    const oxp_shape number = oxp_shape_of(0, NULL);
    double *q = OXP_NEW(call->scratch, double, n + 1), s, z;
    OXP_NOMEM_IF(call->ctx, q);
    double *const outs[] = {q, &s, &z};
    oxp_node part = {.op = &oxp_op_DynamicQuantizeLinear,
                     .n_in = 1,
                     .in = node->in,
                     .n_out = 3,
                     .origin = node->origin};
    oxp_call dynamic = *call;
    dynamic.node = &part;
    dynamic.out = outs;
    OXP_TRY(part.op->ref(&dynamic));
    oxp_val vals[7] = {1, 1, 1, 1, 1, OXP_NO_VAL, OXP_NO_VAL};
    const double *in[7] = {q, call->in[1], &s, call->in[2], &z};
    oxp_shape shape[7] = {call->in_shape[0], call->in_shape[1], number, call->in_shape[2], number};
    for (int k = 3; k < 5; k++) {
        if (!oxp_node_has(node, (size_t)k)) continue;
        vals[k + 2] = 1;
        in[k + 2] = call->in[k];
        shape[k + 2] = call->in_shape[k];
    }
    part = (oxp_node){.op = &oxp_op_ms_MatMulIntegerToFloat,
                      .n_in = 7,
                      .in = vals,
                      .n_out = 1,
                      .origin = node->origin};
    oxp_call product = *call;
    product.node = &part;
    product.in = in;
    product.in_shape = shape;
    return ref(&product);
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, 0, NULL}
#define CONV {"auto_pad", OXP_ATTR_STRING, NULL}, {"dilations", OXP_ATTR_INTS, NULL}, {"group", OXP_ATTR_INT, NULL}, \
             {"kernel_shape", OXP_ATTR_INTS, NULL}, {"pads", OXP_ATTR_INTS, NULL}, {"strides", OXP_ATTR_INTS, NULL}
#define TYPE {"type", OXP_ATTR_INT, NULL}
#define FIRST {"channels_last", OXP_ATTR_INT, "0"}
static const oxp_attr_spec conv_attrs[] = {CONV, TYPE, END};
static const oxp_attr_spec ms_conv_attrs[] = {CONV, TYPE, FIRST, END};
static const oxp_attr_spec type_attr[] = {TYPE, END};
static const oxp_attr_spec gemm_attrs[] = {
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"transA", OXP_ATTR_INT, NULL}, {"transB", OXP_ATTR_INT, NULL}, TYPE, END};
static const oxp_attr_spec global_attrs[] = {TYPE, FIRST, END};
static const oxp_attr_spec pool_attrs[] = {
    {"auto_pad", OXP_ATTR_STRING, NULL}, {"ceil_mode", OXP_ATTR_INT, NULL}, {"count_include_pad", OXP_ATTR_INT, NULL},
    {"kernel_shape", OXP_ATTR_INTS, NULL}, {"pads", OXP_ATTR_INTS, NULL}, {"strides", OXP_ATTR_INTS, NULL}, TYPE, FIRST, END};
static const oxp_attr_spec leaky_attrs[] = {{"alpha", OXP_ATTR_FLOAT, NULL}, TYPE, END};
static const oxp_attr_spec softmax_attrs[] = {{"axis", OXP_ATTR_INT, NULL}, {"opset", OXP_ATTR_INT, NULL}, TYPE, END};
static const oxp_attr_spec axis_attrs[] = {{"axis", OXP_ATTR_INT, NULL}, TYPE, END};

#define QUANT .min_out = 1, .max_out = 1, .flags = OXP_OP_COMPOSITE | OXP_OP_CODES | OXP_OP_TYPED | OXP_OP_OPEN,      \
              .exact = exact, .infer = infer, .ref = ref, .expand = expand
/* Zero points in the middle may be absent: what else is needed is checked when the form is read. */
#define MS(symbol, least, most, list)                                                                                  \
    const oxp_op oxp_op_ms_##symbol = {.name = "com.microsoft::" #symbol, .min_in = least, .max_in = most, .since = 1, \
                                       .attrs = list, QUANT}

const oxp_op oxp_op_QLinearConv = {.name = "QLinearConv", .min_in = 8, .max_in = 9, .since = 10, .attrs = conv_attrs, QUANT};
const oxp_op oxp_op_ConvInteger = {.name = "ConvInteger", .min_in = 2, .max_in = 4, .since = 10, .attrs = conv_attrs, QUANT};
const oxp_op oxp_op_QLinearMatMul = {.name = "QLinearMatMul", .min_in = 8, .max_in = 8, .since = 10, .attrs = type_attr, QUANT};
const oxp_op oxp_op_MatMulInteger = {.name = "MatMulInteger", .min_in = 2, .max_in = 4, .since = 10, .attrs = type_attr, QUANT};
MS(QLinearConv, 8, 9, ms_conv_attrs);
MS(QLinearAdd, 2, 8, type_attr);
MS(QLinearMul, 2, 8, type_attr);
MS(QLinearConcat, 5, OXP_VARIADIC, axis_attrs);
MS(QLinearGlobalAveragePool, 2, 5, global_attrs);
MS(QLinearAveragePool, 2, 5, pool_attrs);
MS(QLinearSigmoid, 2, 5, type_attr);
MS(QLinearLeakyRelu, 2, 5, leaky_attrs);
MS(QLinearSoftmax, 2, 5, softmax_attrs);
MS(QGemm, 2, 9, gemm_attrs);
MS(MatMulIntegerToFloat, 4, 7, type_attr);

const oxp_op oxp_op_ms_DynamicQuantizeMatMul = {
    .name = "com.microsoft::DynamicQuantizeMatMul", .min_in = 3, .max_in = 5, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_CODES | OXP_OP_OPEN, .infer = dynamic_infer, .ref = dynamic_ref,
    .expand = dynamic_expand};
/* clang-format on */
