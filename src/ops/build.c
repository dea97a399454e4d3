/* build.c - emission: shape inference, limits and constant folding in one place, then the shorthand
 * of build.h.
 *
 * Folding keeps exactness: operators that only move elements keep the constant's own dtype;
 * everything else is computed in double and stored as float64, so that the plain executor sees
 * no rounding. */
#include "ops/build.h"
#include "ops/infer.h"

#include <math.h>
#include <string.h>

void oxp_build_init(oxp_build *b, oxp_ctx *ctx, oxp_graph *g)
{
    *b = (oxp_build){.ctx = ctx, .g = g, .status = OXP_OK, .origin = "", .fold = true};
}

const oxp_shape *oxp_b_shape(const oxp_build *b, oxp_val x)
{
    return oxp_shape_at(b->g, x);
}

static const oxp_value *value(const oxp_build *b, oxp_val v)
{
    return oxp_value_of(b->g, v);
}

/* ---- folding ---- */

static bool foldable(const oxp_build *b, const oxp_op *op, const oxp_val *in, size_t n_in)
{
    if (!b->fold || !op->ref || (op->flags & OXP_OP_NO_FOLD)) return false;
    if (op->flags & OXP_OP_OF_SHAPE) return true;
    for (size_t i = 0; i < n_in; i++)
        if (in[i] != OXP_NO_VAL && value(b, in[i])->kind != OXP_VALUE_CONST) return false;
    return true;
}

static oxp_dtype stored_dtype(const oxp_build *b, const oxp_node *node, oxp_dtype dtype)
{
    if (dtype != OXP_F32) return dtype;
    if (node->op == &oxp_op_DequantizeLinear)
        return OXP_F32; /* as ONNX has it; may be all weights */
    const bool moves = (node->op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) != 0;
    if (!moves || node->n_in == 0) return OXP_F64;
    const oxp_tensor *t = value(b, node->in[0])->constant;
    for (uint32_t i = 1; i < node->n_in; i++)
        if (oxp_node_has(node, i) && value(b, node->in[i])->constant->dtype != t->dtype)
            return OXP_F64;
    return oxp_dtype_is_float(t->dtype) ? t->dtype : OXP_F64; /* Cast from integers */
}

static oxp_status widen_inputs(oxp_build *b, const oxp_node *node, oxp_arena *tmp,
                               const double **in, oxp_shape *shape, oxp_dtype *dtype)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == OXP_NO_VAL) continue;
        const oxp_value *v = value(b, node->in[i]);
        shape[i] = v->shape;
        dtype[i] = v->dtype;
        if (v->kind != OXP_VALUE_CONST) continue; /* Shape, Size */
        const int64_t n = oxp_shape_elements(&v->shape);
        double *wide = oxp_arena_alloc(tmp, (size_t)(n ? n : 1), sizeof(double));
        OXP_NOMEM_IF(b->ctx, wide);
        oxp_convert(wide, OXP_F64, v->constant->data, v->constant->dtype, n);
        in[i] = wide;
    }
    return OXP_OK;
}

static oxp_status fold_with(oxp_build *b, const oxp_node *node, const oxp_dtype *dtype,
                            const oxp_shape *shape, oxp_arena *tmp, oxp_val *outs)
{
    const double **in = OXP_NEW(tmp, const double *, node->n_in + 1);
    oxp_shape *in_shape = OXP_NEW(tmp, oxp_shape, node->n_in + 1);
    oxp_dtype *in_dtype = OXP_NEW(tmp, oxp_dtype, node->n_in + 1);
    double **out = OXP_NEW(tmp, double *, node->n_out);
    OXP_FAIL_IF(b->ctx, !in || !in_shape || !in_dtype || !out, OXP_ENOMEM, "out of memory");
    OXP_TRY(widen_inputs(b, node, tmp, in, in_shape, in_dtype));
    for (uint32_t i = 0; i < node->n_out; i++) {
        const int64_t n = oxp_shape_elements(&shape[i]);
        out[i] = oxp_arena_zalloc(tmp, (size_t)(n ? n : 1), sizeof(double));
        OXP_NOMEM_IF(b->ctx, out[i]);
    }
    const oxp_call call = {b->ctx, tmp, node, in, in_shape, in_dtype, out, shape, dtype};
    bool any = false;
    for (uint32_t i = 0; i < node->n_out; i++) any = any || oxp_shape_elements(&shape[i]) > 0;
    if (any) OXP_TRY(node->op->ref(&call));
    for (uint32_t i = 0; i < node->n_out; i++) {
        oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
        OXP_NOMEM_IF(b->ctx, t);
        OXP_TRY(oxp_tensor_new(b->ctx, b->g->arena, stored_dtype(b, node, dtype[i]), &shape[i], t));
        oxp_convert((void *)(uintptr_t)t->data, t->dtype, out[i], OXP_F64,
                    oxp_shape_elements(&shape[i]));
        OXP_TRY(oxp_graph_add_const(b->ctx, b->g, NULL, dtype[i], t, &outs[i]));
    }
    return OXP_OK;
}

/* Values below the limit may still be many: what folding leaves behind is counted, and must fit
 * beside what this node needs in double while it is computed. */
static oxp_status charge(oxp_build *b, const oxp_node *node, const oxp_dtype *dtype,
                         const oxp_shape *shape)
{
    oxp_graph *g = b->g;
    if (!g->max_bytes) return OXP_OK;
    uint64_t kept = 0, work = 0;
    for (uint32_t i = 0; i < node->n_out; i++) {
        const uint64_t n = (uint64_t)oxp_shape_elements(&shape[i]);
        kept += n * oxp_dtype_size(stored_dtype(b, node, dtype[i]));
        work += n * sizeof(double);
    }
    for (uint32_t i = 0; i < node->n_in; i++)
        if (oxp_node_has(node, i) && value(b, node->in[i])->kind == OXP_VALUE_CONST)
            work += (uint64_t)oxp_shape_elements(oxp_b_shape(b, node->in[i])) * sizeof(double);
    OXP_FAIL_IF(b->ctx, g->folded_bytes + kept + work > g->max_bytes, OXP_ELIMIT,
                "computing constants in advance needs %llu bytes at %s '%s', more than the memory "
                "limit of %llu (--max-memory)",
                (unsigned long long)(g->folded_bytes + kept + work), node->op->name, node->origin,
                (unsigned long long)g->max_bytes);
    g->folded_bytes += kept;
    return OXP_OK;
}

/* The node was appended to infer its shapes; being constant, it is taken back and replaced by
 * its value. */
static oxp_status fold(oxp_build *b, const oxp_node *node, const oxp_dtype *dtype,
                       const oxp_shape *shape, oxp_val *outs)
{
    const oxp_dtype from = node->n_in ? value(b, node->in[0])->dtype : OXP_DTYPE_NONE;
    if ((node->op->flags & OXP_OP_IDENTITY) && dtype[0] == from && node->n_out == 1 &&
        (node->op != &oxp_op_Cast || oxp_cast_passes(node, from))) {
        outs[0] = node->in[0];
        return OXP_OK;
    }
    OXP_TRY(charge(b, node, dtype, shape));
    oxp_arena *tmp = oxp_arena_new(oxp_arena_hooks(b->g->arena));
    OXP_NOMEM_IF(b->ctx, tmp);
    const oxp_status status = fold_with(b, node, dtype, shape, tmp, outs);
    oxp_arena_free(tmp);
    return status;
}

/* ---- emission ---- */

static oxp_status check_limit(oxp_build *b, const oxp_node *node, const oxp_shape *shape)
{
    const int64_t n = oxp_shape_elements(shape);
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(b->ctx, b->g->max_bytes && (uint64_t)n > b->g->max_bytes / sizeof(float),
                OXP_ELIMIT,
                "%s '%s' would make a tensor of shape %s, more than the memory limit of %llu bytes "
                "(--max-memory)",
                node->op->name, node->origin, oxp_shape_text(shape, text),
                (unsigned long long)b->g->max_bytes);
    return OXP_OK;
}

static oxp_status infer(oxp_build *b, oxp_node *node, oxp_dtype *dtype, oxp_shape *shape)
{
    oxp_infer inf = {b->ctx, b->g, node, dtype, shape};
    OXP_TRY(node->op->infer(&inf));
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != OXP_NO_VAL) OXP_TRY(check_limit(b, node, &shape[i]));
    return OXP_OK;
}

static oxp_status emit(oxp_build *b, const oxp_op *op, const oxp_val *in, size_t n_in,
                       const oxp_attr *attrs, size_t n_attrs, size_t n_out, oxp_val *outs)
{
    oxp_graph *g = b->g;
    const size_t nodes_before = g->n_nodes, values_before = g->n_values;
    oxp_node *node;
    OXP_TRY(oxp_graph_add_node(b->ctx, g, op, in, n_in, n_out, attrs, n_attrs, b->origin, &node));
    node->flags = b->flags;
    oxp_dtype *dtype = OXP_NEW(g->arena, oxp_dtype, n_out);
    oxp_shape *shape = OXP_NEW(g->arena, oxp_shape, n_out);
    OXP_FAIL_IF(b->ctx, !dtype || !shape, OXP_ENOMEM, "out of memory");
    OXP_TRY(infer(b, node, dtype, shape));
    if (foldable(b, op, in, n_in)) {
        g->n_nodes = nodes_before;
        g->n_values = values_before;
        return fold(b, node, dtype, shape, outs);
    }
    for (size_t i = 0; i < n_out; i++) {
        g->values[node->out[i]]->dtype = dtype[i];
        g->values[node->out[i]]->shape = shape[i];
        outs[i] = node->out[i];
    }
    return OXP_OK;
}

oxp_status oxp_emit_multi(oxp_build *b, const oxp_op *op, const oxp_val *in, size_t n_in,
                          const oxp_attr *attrs, size_t n_attrs, size_t n_out, oxp_val *outs)
{
    if (n_out == 0) n_out = op->min_out ? op->min_out : 1;
    memset(outs, 0, n_out * sizeof(oxp_val));
    if (b->status != OXP_OK) return b->status;
    const char *node_before = b->ctx->node, *op_before = b->ctx->op;
    b->ctx->node = b->origin;
    b->ctx->op = op->name;
    b->status = emit(b, op, in, n_in, attrs, n_attrs, n_out, outs);
    b->ctx->node = node_before;
    b->ctx->op = op_before;
    return b->status;
}

oxp_val oxp_emit(oxp_build *b, const oxp_op *op, const oxp_val *in, size_t n_in,
                 const oxp_attr *attrs, size_t n_attrs)
{
    oxp_val outs[OXP_OP_MAX_OUT] = {OXP_NO_VAL};
    oxp_emit_multi(b, op, in, n_in, attrs, n_attrs, 1, outs);
    return outs[0];
}

/* ---- constants ---- */

oxp_val oxp_b_const(oxp_build *b, oxp_dtype dtype, const oxp_tensor *t)
{
    oxp_val v = OXP_NO_VAL;
    if (b->status == OXP_OK) b->status = oxp_graph_add_const(b->ctx, b->g, NULL, dtype, t, &v);
    return v;
}

static oxp_val new_const(oxp_build *b, oxp_dtype dtype, oxp_dtype stored, const oxp_shape *shape,
                         const void *data)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    if (!t) {
        b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
        return OXP_NO_VAL;
    }
    b->status = oxp_tensor_new(b->ctx, b->g->arena, stored, shape, t);
    if (b->status != OXP_OK) return OXP_NO_VAL;
    memcpy((void *)(uintptr_t)t->data, data, oxp_tensor_bytes(t));
    return oxp_b_const(b, dtype, t);
}

oxp_val oxp_b_scalar(oxp_build *b, double v)
{
    const oxp_shape scalar = oxp_shape_of(0, NULL);
    return new_const(b, OXP_F32, OXP_F64, &scalar, &v);
}

oxp_val oxp_b_full(oxp_build *b, const oxp_shape *shape, double v)
{
    return oxp_b_expand(b, oxp_b_scalar(b, v), shape);
}

oxp_val oxp_b_ints(oxp_build *b, const int64_t *v, size_t n)
{
    const oxp_shape shape = oxp_shape_of(1, (const int64_t[]){(int64_t)n});
    return new_const(b, OXP_I64, OXP_I64, &shape, v);
}

oxp_val oxp_b_count(oxp_build *b, int64_t n)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    int64_t *cells = OXP_NEW(b->ctx->scratch, int64_t, (size_t)n + 1);
    if (!cells) {
        b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
        return OXP_NO_VAL;
    }
    for (int64_t i = 0; i < n; i++) cells[i] = i;
    return oxp_b_ints(b, cells, (size_t)n);
}

/* ---- elementwise ---- */

/* True when v is a constant whose elements all equal `number`. */
static bool is_number(const oxp_build *b, oxp_val v, double number)
{
    if (v == OXP_NO_VAL || value(b, v)->kind != OXP_VALUE_CONST ||
        oxp_shape_elements(&value(b, v)->shape) != 1)
        return false;
    const double found = oxp_tensor_get(value(b, v)->constant, 0);
    return found >= number && found <= number;
}

/* x already has the shape that `x op y` would have. */
static bool covers(const oxp_build *b, oxp_val x, oxp_val y)
{
    oxp_shape joined;
    return oxp_shape_broadcast(oxp_b_shape(b, x), oxp_b_shape(b, y), &joined) &&
           oxp_shape_equal(&joined, oxp_b_shape(b, x));
}

static oxp_val emit2(oxp_build *b, const oxp_op *op, oxp_val x, oxp_val y)
{
    return oxp_emit(b, op, (const oxp_val[]){x, y}, 2, NULL, 0);
}

oxp_val oxp_b_add(oxp_build *b, oxp_val x, oxp_val y)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    if (is_number(b, y, 0.0) && covers(b, x, y)) return x;
    if (is_number(b, x, 0.0) && covers(b, y, x)) return y;
    return emit2(b, &oxp_op_Add, x, y);
}

oxp_val oxp_b_sub(oxp_build *b, oxp_val x, oxp_val y)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    return is_number(b, y, 0.0) && covers(b, x, y) ? x : emit2(b, &oxp_op_Sub, x, y);
}

oxp_val oxp_b_mul(oxp_build *b, oxp_val x, oxp_val y)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    if (is_number(b, y, 1.0) && covers(b, x, y)) return x;
    if (is_number(b, x, 1.0) && covers(b, y, x)) return y;
    return emit2(b, &oxp_op_Mul, x, y);
}

oxp_val oxp_b_div(oxp_build *b, oxp_val x, oxp_val y)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    return is_number(b, y, 1.0) && covers(b, x, y) ? x : emit2(b, &oxp_op_Div, x, y);
}

oxp_val oxp_b_pow(oxp_build *b, oxp_val x, oxp_val y)
{
    return emit2(b, &oxp_op_Pow, x, y);
}

oxp_val oxp_b_sum(oxp_build *b, const oxp_val *xs, size_t n)
{
    if (n == 1) return xs[0];
    return n == 2 ? oxp_b_add(b, xs[0], xs[1]) : oxp_emit(b, &oxp_op_Sum, xs, n, NULL, 0);
}

oxp_val oxp_b_where(oxp_build *b, oxp_val cond, oxp_val x, oxp_val y)
{
    return oxp_emit(b, &oxp_op_Where, (const oxp_val[]){cond, x, y}, 3, NULL, 0);
}

oxp_val oxp_b_greater(oxp_build *b, oxp_val x, oxp_val y)
{
    return emit2(b, &oxp_op_Greater, x, y);
}

oxp_val oxp_b_equal(oxp_build *b, oxp_val x, oxp_val y)
{
    return emit2(b, &oxp_op_Equal, x, y);
}

oxp_val oxp_b_cast(oxp_build *b, oxp_val x, oxp_dtype to)
{
    if (b->status != OXP_OK || value(b, x)->dtype == to) return x;
    return OXP_EMIT1(b, &oxp_op_Cast, x, OXP_INT("to", to));
}

oxp_val oxp_b_unary(oxp_build *b, const oxp_op *op, oxp_val x)
{
    return oxp_emit(b, op, &x, 1, NULL, 0);
}

/* ---- moving ---- */

oxp_val oxp_b_reshape(oxp_build *b, oxp_val x, const oxp_shape *shape)
{
    if (b->status != OXP_OK || oxp_shape_equal(oxp_b_shape(b, x), shape)) return x;
    return OXP_EMIT1(b, &oxp_op_Reshape, x, OXP_INTS("shape", shape->dim, (size_t)shape->rank),
                     OXP_INT("allowzero", 1));
}

oxp_val oxp_b_transpose(oxp_build *b, oxp_val x, const int64_t *perm)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const int rank = oxp_b_shape(b, x)->rank;
    bool same = true;
    for (int a = 0; a < rank; a++) same = same && perm[a] == a;
    return same ? x : OXP_EMIT1(b, &oxp_op_Transpose, x, OXP_INTS("perm", perm, (size_t)rank));
}

oxp_val oxp_b_expand(oxp_build *b, oxp_val x, const oxp_shape *shape)
{
    if (b->status != OXP_OK || oxp_shape_equal(oxp_b_shape(b, x), shape)) return x;
    return OXP_EMIT1(b, &oxp_op_Expand, x, OXP_INTS("shape", shape->dim, (size_t)shape->rank));
}

oxp_val oxp_b_slice(oxp_build *b, oxp_val x, int64_t axis, int64_t start, int64_t end)
{
    return OXP_EMIT1(b, &oxp_op_Slice, x, OXP_INTS("starts", &start, 1), OXP_INTS("ends", &end, 1),
                     OXP_INTS("axes", &axis, 1));
}

oxp_val oxp_b_concat(oxp_build *b, const oxp_val *xs, size_t n, int64_t axis)
{
    return n == 1
               ? xs[0]
               : oxp_emit(b, &oxp_op_Concat, xs, n, (const oxp_attr[]){OXP_INT("axis", axis)}, 1);
}

oxp_val oxp_b_pad_zero(oxp_build *b, oxp_val x, int64_t axis, int64_t before, int64_t after)
{
    if (b->status != OXP_OK || (before == 0 && after == 0)) return x;
    const int rank = oxp_b_shape(b, x)->rank;
    int a;
    b->status = oxp_norm_axis(b->ctx, axis, rank, &a);
    if (b->status != OXP_OK) return OXP_NO_VAL;
    int64_t pads[2 * OXP_MAX_RANK] = {0};
    pads[a] = before;
    pads[rank + a] = after;
    return OXP_EMIT1(b, &oxp_op_Pad, x, OXP_INTS("pads", pads, (size_t)(2 * rank)));
}

/* ---- contracting ---- */

static oxp_val reduce(oxp_build *b, const oxp_op *op, oxp_val x, const int64_t *axes, size_t n,
                      bool keepdims)
{
    if (b->status != OXP_OK || n == 0) return x;
    return OXP_EMIT1(b, op, x, OXP_INTS("axes", axes, n), OXP_INT("keepdims", keepdims));
}

oxp_val oxp_b_reduce_sum(oxp_build *b, oxp_val x, const int64_t *axes, size_t n, bool keepdims)
{
    return reduce(b, &oxp_op_ReduceSum, x, axes, n, keepdims);
}

oxp_val oxp_b_reduce_mean(oxp_build *b, oxp_val x, const int64_t *axes, size_t n, bool keepdims)
{
    return reduce(b, &oxp_op_ReduceMean, x, axes, n, keepdims);
}

oxp_val oxp_b_matmul(oxp_build *b, oxp_val x, oxp_val y)
{
    return emit2(b, &oxp_op_MatMul, x, y);
}

oxp_val oxp_b_unbroadcast(oxp_build *b, oxp_val x, const oxp_shape *shape)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const oxp_shape from = *oxp_b_shape(b, x);
    const int lead = from.rank - shape->rank;
    int64_t axes[OXP_MAX_RANK];
    size_t n = 0;
    for (int a = 0; a < from.rank; a++)
        if (a < lead || (shape->dim[a - lead] == 1 && from.dim[a] != 1)) axes[n++] = a;
    return oxp_b_reshape(b, oxp_b_reduce_sum(b, x, axes, n, true), shape);
}
