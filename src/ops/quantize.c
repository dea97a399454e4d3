/* quantize.c - QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, and what they are made of.
 *
 *   _Quantize(x, s, z)           q = min(max(round(x / s) + z, lo), hi), ties to even
 *   _FakeQuant(x, s, z)          (q - z) s: there and back
 *   _QuantizeGrad(x, s, z, dy)   lo <= round(x / s) + z <= hi ? dy : 0
 *
 * Here s and z broadcast to x; in ONNX's operators they are numbers, vectors along an axis, or blocks.
 * The quotient is one of floats in the reference too: which way a tie goes must not depend on the executor. */
#include "ops/quantize.h"

#include "ops/infer.h"
#include "ops/lower.h"
#include "tensor/narrow.h"

#include <math.h>
#include <string.h>

/* ---- the range of a type, the spread of a scale ---- */

oxp_range oxp_range_of(oxp_dtype type)
{
    if (oxp_narrow_is(type)) {
        const double most = oxp_dtype_round(type, 1e30);
        return (oxp_range){-most, most, true};
    }
    const int bits = oxp_dtype_bits(type);
    if (!oxp_dtype_is_signed(type)) return (oxp_range){0.0, ldexp(1.0, bits) - 1.0, false};
    return (oxp_range){-ldexp(1.0, bits - 1), ldexp(1.0, bits - 1) - 1.0, false};
}

oxp_status oxp_spread_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                           const oxp_shape *v, oxp_spread *out)
{
    *out = (oxp_spread){-1, 0};
    if (oxp_shape_elements(v) == 1) return OXP_OK;
    char text[OXP_SHAPE_TEXT], found[OXP_SHAPE_TEXT];
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", 1), x->rank, &out->axis));
    const int64_t block = oxp_attr_int(node, "block_size", 0);
    bool fits = v->rank == 1 && v->dim[0] == x->dim[out->axis];
    if (block > 0) {
        out->block = block;
        fits = v->rank == x->rank && x->rank < OXP_MAX_RANK;
        for (int a = 0; fits && a < x->rank; a++)
            fits = v->dim[a] == (a == out->axis ? (x->dim[a] + block - 1) / block : x->dim[a]);
    }
    OXP_NODE_FAIL_IF(
        ctx, node, !fits, OXP_EINVAL,
        "expects one scale and zero point, one for each position of axis %d of %s, or for "
        "each block of %lld; found %s",
        out->axis, oxp_shape_text(x, text), (long long)block, oxp_shape_text(v, found));
    return OXP_OK;
}

oxp_val oxp_b_spread(oxp_build *b, oxp_val v, const oxp_shape *x, oxp_spread spread)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const int axis = spread.axis;
    oxp_shape s = {.rank = 0};
    if (axis < 0) return oxp_b_reshape(b, v, &s);
    if (!spread.block) {
        s.rank = x->rank;
        for (int a = 0; a < s.rank; a++) s.dim[a] = a == axis ? x->dim[a] : 1;
        return oxp_b_reshape(b, v, &s);
    }
    s = *oxp_b_shape(b, v);
    oxp_shape apart = {.rank = s.rank + 1};
    for (int a = 0; a < apart.rank; a++)
        apart.dim[a] = a <= axis ? s.dim[a] : a == axis + 1 ? 1 : s.dim[a - 1];
    v = oxp_b_reshape(b, v, &apart);
    apart.dim[axis + 1] = spread.block;
    v = oxp_b_expand(b, v, &apart);
    s.dim[axis] *= spread.block;
    v = oxp_b_reshape(b, v, &s);
    return s.dim[axis] == x->dim[axis] ? v : oxp_b_slice(b, v, axis, 0, x->dim[axis]);
}

int64_t oxp_spread_index(oxp_spread spread, const oxp_shape *v, const int64_t *idx)
{
    if (spread.axis < 0) return 0;
    if (!spread.block) return idx[spread.axis];
    int64_t at = 0;
    for (int a = 0; a < v->rank; a++)
        at = at * v->dim[a] + (a == spread.axis ? idx[a] / spread.block : idx[a]);
    return at;
}

bool oxp_op_rounds(const oxp_op *op)
{
    return op == &oxp_op__FakeQuant || op == &oxp_op__Quantize || op == &oxp_op_QuantizeLinear ||
           op == &oxp_op_DequantizeLinear;
}

bool oxp_is_unsigned(const oxp_graph *g, const oxp_node *fake_quant)
{
    const oxp_tensor *zero = oxp_value_of(g, fake_quant->in[2])->constant;
    const double lo = oxp_attr_float(fake_quant, "lo", 0.0);
    for (int64_t i = 0; zero && i < oxp_shape_elements(&zero->shape); i++)
        if (oxp_tensor_get(zero, i) > lo) return false;
    return zero != NULL;
}

/* ---- one number ---- */

/* round(x / s), ties to even */
static double steps(double x, double s)
{
    return nearbyint((double)((float)x / (float)s));
}

static double saturate(double q, double lo, double hi)
{
    return q < lo ? lo : q > hi ? hi : q; /* NaN passes */
}

/* ---- _Quantize, _FakeQuant, _QuantizeGrad: s and z broadcast to x ---- */

static oxp_status infer_steps(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    for (uint32_t k = 0; k < inf->node->n_in; k++) {
        oxp_shape joined;
        OXP_TRY(oxp_infer_float(inf, k));
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         !oxp_shape_broadcast(x, oxp_infer_shape(inf, k), &joined) ||
                             !oxp_shape_equal(&joined, x),
                         OXP_EINVAL, "expects %s of input %u to broadcast to input 0", "the shape",
                         k);
    }
    return oxp_infer_same(inf);
}

/* y = of(x, s, z, dy) for each element */
static oxp_status map_steps(const oxp_call *call,
                            double (*of)(const double v[4], double lo, double hi))
{
    const oxp_shape *y = &call->out_shape[0];
    const double lo = oxp_attr_float(call->node, "lo", 0.0),
                 hi = oxp_attr_float(call->node, "hi", 0.0);
    int64_t idx[OXP_MAX_RANK] = {0}, i = 0;
    if (oxp_shape_elements(y) == 0) return OXP_OK;
    do {
        double v[4] = {0};
        for (uint32_t k = 0; k < call->node->n_in; k++)
            v[k] = call->in[k][oxp_index_broadcast(&call->in_shape[k], y, idx)];
        call->out[0][i++] = of(v, lo, hi);
    } while (oxp_index_next(y, idx));
    return OXP_OK;
}

static double code_of(const double v[4], double lo, double hi)
{
    return saturate(steps(v[0], v[1]) + v[2], lo, hi);
}

static double fake_of(const double v[4], double lo, double hi)
{
    return (code_of(v, lo, hi) - v[2]) * v[1];
}

static double grad_of(const double v[4], double lo, double hi)
{
    const double q = steps(v[0], v[1]) + v[2];
    return q < lo || q > hi ? 0.0 : v[3];
}

static oxp_status quantize_ref(const oxp_call *call)
{
    return map_steps(call, code_of);
}
static oxp_status fake_ref(const oxp_call *call)
{
    return map_steps(call, fake_of);
}
static oxp_status quantize_grad_ref(const oxp_call *call)
{
    return map_steps(call, grad_of);
}

/* round(x / s) + z */
static oxp_val unsaturated(oxp_build *b, const oxp_node *node)
{
    const oxp_val rounded = oxp_b_unary(b, &oxp_op_Round, oxp_b_div(b, node->in[0], node->in[1]));
    return oxp_b_add(b, rounded, node->in[2]);
}

static oxp_status quantize_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = OXP_EMIT1(b, &oxp_op_Clip, unsaturated(b, node),
                       OXP_FLOAT("min", oxp_attr_float(node, "lo", 0.0)),
                       OXP_FLOAT("max", oxp_attr_float(node, "hi", 0.0)));
    return b->status;
}

static oxp_status fake_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    OXP_TRY(quantize_expand(b, node, out));
    out[0] = oxp_b_mul(b, oxp_b_sub(b, out[0], node->in[2]), node->in[1]);
    return b->status;
}

static oxp_status quantize_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val q = unsaturated(b, node), zero = oxp_b_scalar(b, 0.0);
    const oxp_val lo = oxp_b_scalar(b, oxp_attr_float(node, "lo", 0.0)),
                  hi = oxp_b_scalar(b, oxp_attr_float(node, "hi", 0.0));
    const oxp_val below = oxp_b_where(b, oxp_b_greater(b, q, hi), zero, node->in[3]);
    out[0] = oxp_b_where(b, oxp_b_greater(b, lo, q), zero, below);
    return b->status;
}

/* dx = dy where the code is in range; of a code, that divided by s */
static oxp_status steps_grad(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_node *node = g->node;
    if (!g->wants[0] || g->dy[0] == OXP_NO_VAL) return b->status;
    const oxp_val in[4] = {node->in[0], node->in[1], node->in[2], g->dy[0]};
    g->dx[0] = oxp_emit(b, &oxp_op__QuantizeGrad, in, 4, node->attrs, node->n_attrs);
    if (node->op == &oxp_op__Quantize) g->dx[0] = oxp_b_div(b, g->dx[0], node->in[1]);
    return b->status;
}

static oxp_status steps_lower(oxp_lower *lw, const oxp_node *node)
{
    const oxp_quant how = node->op == &oxp_op__Quantize    ? OXP_QUANT_CODE
                          : node->op == &oxp_op__FakeQuant ? OXP_QUANT_FAKE
                                                           : OXP_QUANT_GRAD;
    return oxp_lower_quantize(lw, how, oxp_attr_float(node, "lo", 0.0),
                              oxp_attr_float(node, "hi", 0.0), node->in, node->out[0]);
}

/* ---- QuantizeLinear ---- */

/* That of the zero point, else the one asked for, else uint8. */
static oxp_dtype quantize_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(k);
    if (node->n_in > 2 && in[2] != OXP_DTYPE_NONE) return in[2];
    const int64_t asked = oxp_attr_int(node, "output_dtype", 0);
    return asked ? (oxp_dtype)asked : OXP_U8;
}

static bool is_back(const oxp_node *node)
{
    return node->op == &oxp_op_DequantizeLinear || node->op == &oxp_op_ms_DequantizeLinear;
}

bool oxp_node_code(const oxp_node *node, uint32_t k, int *scale, int *zero)
{
    if (!is_back(node)) return oxp_qlinear_code(node, k, scale, zero);
    *scale = 1;
    *zero = oxp_node_has(node, 2) ? 2 : -1;
    return k == 0;
}

static oxp_dtype type_of(const oxp_node *node)
{
    return (oxp_dtype)oxp_attr_int(node, "type", OXP_U8);
}

static oxp_status check_settings(const oxp_infer *inf, oxp_spread *spread)
{
    const oxp_node *node = inf->node;
    const oxp_shape *scale = oxp_infer_shape(inf, 1);
    for (uint32_t k = 0; k < node->n_in; k++)
        if (oxp_infer_has(inf, k)) OXP_TRY(oxp_infer_float(inf, k));
    OXP_TRY(oxp_spread_read(inf->ctx, node, oxp_infer_shape(inf, 0), scale, spread));
    OXP_NODE_FAIL_IF(
        inf->ctx, node,
        oxp_infer_has(inf, 2) &&
            !(oxp_shape_elements(scale) == 1 && oxp_shape_elements(oxp_infer_shape(inf, 2)) == 1) &&
            !oxp_shape_equal(scale, oxp_infer_shape(inf, 2)),
        OXP_EINVAL, "expects scale and zero point of one %s", "shape");
    return OXP_OK;
}

static oxp_status linear_infer(oxp_infer *inf)
{
    oxp_spread spread;
    OXP_TRY(check_settings(inf, &spread));
    if (!is_back(inf->node)) {
        const oxp_dtype type = type_of(inf->node);
        OXP_NODE_FAIL_IF(
            inf->ctx, inf->node,
            !oxp_narrow_is(type) && !(oxp_dtype_is_int(type) && oxp_dtype_bits(type) <= 16),
            OXP_EUNSUPPORTED,
            "makes %s; supported are integers of at most 16 bits, and floats of at most 8",
            oxp_dtype_name(type));
    }
    return oxp_infer_out(inf, 0, OXP_F32, oxp_infer_shape(inf, 0));
}

static double to_code(double x, double s, double z, oxp_dtype type, const oxp_range *range)
{
    if (!range->is_float) return saturate(steps(x, s) + z, range->lo, range->hi);
    const double quotient = saturate((double)((float)x / (float)s), range->lo, range->hi);
    return oxp_narrow_value(type, oxp_narrow_code(type, quotient, true, OXP_NARROW_UP));
}

static oxp_status linear_ref(const oxp_call *call)
{
    const bool back = is_back(call->node);
    const oxp_shape *x = &call->in_shape[0];
    const oxp_dtype type = type_of(call->node);
    const oxp_range range = oxp_range_of(type);
    oxp_spread spread;
    OXP_TRY(oxp_spread_read(call->ctx, call->node, x, &call->in_shape[1], &spread));
    int64_t idx[OXP_MAX_RANK] = {0}, i = 0;
    if (oxp_shape_elements(x) == 0) return OXP_OK;
    do {
        const int64_t at = oxp_spread_index(spread, &call->in_shape[1], idx);
        const double s = call->in[1][at];
        const double z = oxp_node_has(call->node, 2) ? call->in[2][spread.axis < 0 ? 0 : at] : 0.0;
        call->out[0][i] =
            back ? (call->in[0][i] - z) * s : to_code(call->in[0][i], s, z, type, &range);
        i++;
    } while (oxp_index_next(x, idx));
    return OXP_OK;
}

typedef struct settings { /* scale and zero point, ready to broadcast */
    oxp_val scale, zero;
} settings;

static settings spread_settings(oxp_build *b, const oxp_node *node, const oxp_shape *x,
                                oxp_val scale, oxp_val zero)
{
    oxp_spread spread;
    settings s = {OXP_NO_VAL, OXP_NO_VAL};
    if (b->status == OXP_OK)
        b->status = oxp_spread_read(b->ctx, node, x, oxp_b_shape(b, scale), &spread);
    if (b->status != OXP_OK) return s;
    s.scale = oxp_b_spread(b, scale, x, spread);
    s.zero = zero == OXP_NO_VAL ? oxp_b_scalar(b, 0.0) : oxp_b_spread(b, zero, x, spread);
    return s;
}

static oxp_val zero_of(const oxp_node *node)
{
    return oxp_node_has(node, 2) ? node->in[2] : OXP_NO_VAL;
}

/* Clip(x / s), rounded to a float of 8 bits or fewer */
static oxp_val quantize_to_float(oxp_build *b, oxp_val x, oxp_val scale, oxp_dtype type)
{
    const oxp_range range = oxp_range_of(type);
    const oxp_val clipped = OXP_EMIT1(b, &oxp_op_Clip, oxp_b_div(b, x, scale),
                                      OXP_FLOAT("min", range.lo), OXP_FLOAT("max", range.hi));
    return OXP_EMIT1(b, &oxp_op_Cast, clipped, OXP_INT("to", type));
}

static oxp_val emit_steps(oxp_build *b, const oxp_op *op, oxp_val x, settings s, oxp_range range)
{
    return oxp_emit(b, op, (const oxp_val[]){x, s.scale, s.zero}, 3,
                    (const oxp_attr[]){OXP_FLOAT("lo", range.lo), OXP_FLOAT("hi", range.hi)}, 2);
}

static oxp_status quantize_linear_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const settings s = spread_settings(b, node, &x, node->in[1], zero_of(node));
    const oxp_range range = oxp_range_of(type_of(node));
    out[0] = range.is_float ? quantize_to_float(b, node->in[0], s.scale, type_of(node))
                            : emit_steps(b, &oxp_op__Quantize, node->in[0], s, range);
    return b->status;
}

oxp_val oxp_b_fake_quant(oxp_build *b, const oxp_node *node, oxp_val x, oxp_val scale, oxp_val zero)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const oxp_shape shape = *oxp_b_shape(b, x);
    const settings s = spread_settings(b, node, &shape, scale, zero);
    const oxp_dtype type = type_of(node);
    const oxp_range range = oxp_range_of(type);
    if (range.is_float) return oxp_b_mul(b, quantize_to_float(b, x, s.scale, type), s.scale);
    return emit_steps(b, &oxp_op__FakeQuant, x, s, range);
}

/* ---- DequantizeLinear: y = (x - z) s ---- */

static oxp_dtype dequantize_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(k);
    const int64_t asked = oxp_attr_int(node, "output_dtype", 0);
    return asked ? (oxp_dtype)asked : in[1] != OXP_DTYPE_NONE ? in[1] : OXP_F32;
}

static oxp_status dequantize_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const settings s = spread_settings(b, node, &x, node->in[1], zero_of(node));
    out[0] = oxp_b_mul(b, oxp_b_sub(b, node->in[0], s.zero), s.scale);
    return b->status;
}

oxp_val oxp_b_quantize(oxp_build *b, oxp_val x, oxp_val scale, oxp_val zero, oxp_dtype type,
                       int64_t axis)
{
    return oxp_emit(b, &oxp_op_QuantizeLinear, (const oxp_val[]){x, scale, zero}, zero ? 3 : 2,
                    (const oxp_attr[]){OXP_INT("type", type), OXP_INT("axis", axis)}, 2);
}

oxp_val oxp_b_dequantize(oxp_build *b, oxp_val q, oxp_val scale, oxp_val zero, int64_t axis)
{
    return oxp_emit(b, &oxp_op_DequantizeLinear, (const oxp_val[]){q, scale, zero}, zero ? 3 : 2,
                    (const oxp_attr[]){OXP_INT("axis", axis)}, 1);
}

/* ---- DynamicQuantizeLinear: y uint8, s and z from the range of x, which is made to contain 0 ---- */

static oxp_dtype dynamic_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(node);
    return k == 1 ? in[0] : OXP_U8;
}

static oxp_status dynamic_infer(oxp_infer *inf)
{
    const oxp_shape number = oxp_shape_of(0, NULL);
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_shape_elements(oxp_infer_shape(inf, 0)) == 0,
                     OXP_EINVAL, "expects at least one %s", "number");
    OXP_TRY(oxp_infer_same(inf));
    for (size_t k = 1; k < inf->node->n_out; k++) OXP_TRY(oxp_infer_out(inf, k, OXP_F32, &number));
    return OXP_OK;
}

static oxp_status dynamic_ref(const oxp_call *call)
{
    const double *x = call->in[0];
    const int64_t n = oxp_shape_elements(&call->in_shape[0]);
    double least = 0.0, most = 0.0;
    for (int64_t i = 0; i < n; i++) {
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    const double s = most > least ? (most - least) / 255.0 : 1.0;
    const double z = saturate(steps(-least, s), 0.0, 255.0);
    for (int64_t i = 0; call->out[0] && i < n; i++)
        call->out[0][i] = saturate(steps(x[i], s) + z, 0.0, 255.0);
    if (call->out[1]) call->out[1][0] = s;
    if (call->out[2]) call->out[2][0] = z;
    return OXP_OK;
}

static oxp_status dynamic_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val x = node->in[0], zero = oxp_b_scalar(b, 0.0);
    const oxp_attr keep = OXP_INT("keepdims", 0);
    const oxp_range range = oxp_range_of(OXP_U8);
    oxp_val most = oxp_emit(b, &oxp_op_ReduceMax, &x, 1, &keep, 1);
    oxp_val least = oxp_emit(b, &oxp_op_ReduceMin, &x, 1, &keep, 1);
    most = oxp_emit(b, &oxp_op_Max, (const oxp_val[]){most, zero}, 2, NULL, 0);
    least = oxp_emit(b, &oxp_op_Min, (const oxp_val[]){least, zero}, 2, NULL, 0);
    const oxp_val width = oxp_b_sub(b, most, least);
    const oxp_val flat = oxp_b_equal(b, width, zero);
    settings s;
    s.scale =
        oxp_b_where(b, flat, oxp_b_scalar(b, 1.0), oxp_b_div(b, width, oxp_b_scalar(b, 255.0)));
    const settings plain = {s.scale, zero};
    s.zero = emit_steps(b, &oxp_op__Quantize, oxp_b_sub(b, zero, least), plain, range);
    out[0] = emit_steps(b, &oxp_op__Quantize, x, s, range);
    if (node->n_out > 1) out[1] = s.scale;
    if (node->n_out > 2) out[2] = s.zero;
    return b->status;
}

/* dx = dy / s: nothing saturates; s and z are the format */
static oxp_status dynamic_grad(oxp_grad *g)
{
    if (g->dy[0] != OXP_NO_VAL && g->wants[0])
        g->dx[0] = oxp_b_div(g->b, g->dy[0], g->node->out[1]);
    return g->b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, 0, NULL}
static const oxp_attr_spec steps_attrs[] = {{"lo", OXP_ATTR_FLOAT, NULL}, {"hi", OXP_ATTR_FLOAT, NULL}, END};
static const oxp_attr_spec quantize_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"block_size", OXP_ATTR_INT, NULL}, {"output_dtype", OXP_ATTR_INT, NULL},
    {"precision", OXP_ATTR_INT, "0,1"}, {"saturate", OXP_ATTR_INT, "1"}, {"type", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec dequantize_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"block_size", OXP_ATTR_INT, NULL}, {"output_dtype", OXP_ATTR_INT, NULL}, END};

#define THERE(title, first) {.name = title, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = first,       \
    .flags = OXP_OP_COMPOSITE | OXP_OP_CODES | OXP_OP_TYPED, .attrs = quantize_attrs, .exact = quantize_exact,          \
    .infer = linear_infer, .ref = linear_ref, .expand = quantize_linear_expand}
#define BACK(title, first) {.name = title, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = first,        \
    .flags = OXP_OP_COMPOSITE | OXP_OP_CODES | OXP_OP_LINEAR, .attrs = dequantize_attrs, .exact = dequantize_exact,     \
    .infer = linear_infer, .ref = linear_ref, .expand = dequantize_expand}
const oxp_op oxp_op_QuantizeLinear = THERE("QuantizeLinear", 10);
const oxp_op oxp_op_DequantizeLinear = BACK("DequantizeLinear", 10);
const oxp_op oxp_op_ms_QuantizeLinear = THERE("com.microsoft::QuantizeLinear", 1); /* import makes ONNX's of them */
const oxp_op oxp_op_ms_DequantizeLinear = BACK("com.microsoft::DequantizeLinear", 1);
const oxp_op oxp_op_DynamicQuantizeLinear = {
    .name = "DynamicQuantizeLinear", .min_in = 1, .max_in = 1, .min_out = 3, .max_out = 3, .since = 11,
    .flags = OXP_OP_COMPOSITE | OXP_OP_CODES, .exact = dynamic_exact, .infer = dynamic_infer,
    .grad = dynamic_grad, .ref = dynamic_ref, .expand = dynamic_expand};
const oxp_op oxp_op__Quantize = {
    .name = "_Quantize", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE, .attrs = steps_attrs, .infer = infer_steps,
    .grad = steps_grad, .ref = quantize_ref, .lower = steps_lower, .expand = quantize_expand};
const oxp_op oxp_op__FakeQuant = {
    .name = "_FakeQuant", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_ELEMENTWISE | OXP_OP_COMPOSITE, .attrs = steps_attrs, .infer = infer_steps,
    .grad = steps_grad, .ref = fake_ref, .lower = steps_lower, .expand = fake_expand};
const oxp_op oxp_op__QuantizeGrad = {
    .name = "_QuantizeGrad", .min_in = 4, .max_in = 4, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_ELEMENTWISE, .attrs = steps_attrs, .infer = infer_steps,
    .ref = quantize_grad_ref, .lower = steps_lower, .expand = quantize_grad_expand};
/* clang-format on */
