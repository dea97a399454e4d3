/* indexed.c - Gather and Scatter, element by element and by tuples of indices.
 *
 *   GatherElements   y[i,j,k] = x[index[i,j,k],j,k]  (axis 0)
 *   GatherND         y[b,i...,:] = x[b, index[b,i...], :], a tuple of indices; b: batch_dims axes
 *   ScatterElements, Scatter, ScatterND
 *                    y = data, then y[at the entry] = or += *= max= min= update, entry by entry
 *   _ScatterAdd      adjoint of the gathers: dx = 0, dx[at the entry] += dy
 *   _ScatterGrad     adjoint of a scatter that multiplies or takes the largest or smallest */
#include "ops/indexed.h"
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>
#include <string.h>

/* ---- geometry ---- */

static oxp_status read_elements(oxp_ctx *ctx, const oxp_node *node, oxp_indexed *ix)
{
    OXP_NODE_FAIL_IF(ctx, node, ix->data.rank == 0 || ix->index.rank != ix->data.rank, OXP_EINVAL,
                     "expects an index of %d axes, at least one, found %d", ix->data.rank,
                     ix->index.rank);
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", 0), ix->data.rank, &ix->axis));
    for (int a = 0; a < ix->data.rank; a++)
        OXP_NODE_FAIL_IF(ctx, node, a != ix->axis && ix->index.dim[a] > ix->data.dim[a], OXP_EINVAL,
                         "has an index of %lld cells for %lld of axis %d",
                         (long long)ix->index.dim[a], (long long)ix->data.dim[a], a);
    ix->entries = oxp_shape_elements(&ix->index);
    ix->inner = 1;
    return OXP_OK;
}

static oxp_status read_tuples(oxp_ctx *ctx, const oxp_node *node, oxp_indexed *ix)
{
    const int64_t b = oxp_attr_int(node, "batch_dims", 0);
    OXP_NODE_FAIL_IF(ctx, node, ix->index.rank < 1 || b < 0 || b >= ix->index.rank, OXP_EINVAL,
                     "has an index of %d axes for batch_dims %lld", ix->index.rank, (long long)b);
    const int64_t depth = ix->index.dim[ix->index.rank - 1];
    ix->batch_dims = (int)b;
    OXP_NODE_FAIL_IF(ctx, node, depth < 0 || depth > ix->data.rank - b, OXP_EINVAL,
                     "has tuples of %lld indices for %lld axes", (long long)depth,
                     (long long)(ix->data.rank - b));
    ix->depth = (int)depth;
    ix->entries = ix->inner = 1;
    for (int a = 0; a < ix->index.rank - 1; a++) ix->entries *= ix->index.dim[a];
    for (int a = 0; a < (int)b; a++)
        OXP_NODE_FAIL_IF(ctx, node, ix->index.dim[a] != ix->data.dim[a], OXP_EINVAL,
                         "has %lld batches of indices for %lld of data",
                         (long long)ix->index.dim[a], (long long)ix->data.dim[a]);
    for (int a = (int)b + ix->depth; a < ix->data.rank; a++) ix->inner *= ix->data.dim[a];
    return OXP_OK;
}

static oxp_status read_indexed(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *data,
                               const oxp_shape *index, oxp_indexed *ix)
{
    const oxp_op *op = node->op;
    *ix = (oxp_indexed){.data = *data, .index = *index};
    ix->tuples =
        op == &oxp_op_GatherND || op == &oxp_op_ScatterND || oxp_attr_int(node, "tuples", 0) != 0;
    oxp_shape_strides(data, ix->stride);
    return ix->tuples ? read_tuples(ctx, node, ix) : read_elements(ctx, node, ix);
}

/* What a gather gives, and a scatter takes as updates. */
static oxp_status entries_shape(oxp_ctx *ctx, const oxp_node *node, const oxp_indexed *ix,
                                oxp_shape *out)
{
    *out = ix->index;
    if (!ix->tuples) return OXP_OK;
    const int first = ix->batch_dims + ix->depth, rank = ix->index.rank - 1 + ix->data.rank - first;
    OXP_NODE_FAIL_IF(ctx, node, rank > OXP_MAX_RANK, OXP_ELIMIT,
                     "would make a tensor of rank %d, the limit is %d", rank, OXP_MAX_RANK);
    out->rank--;
    for (int a = first; a < ix->data.rank; a++) out->dim[out->rank++] = ix->data.dim[a];
    return OXP_OK;
}

static bool resolve(int64_t index, int64_t dim, int64_t *out)
{
    *out = index < 0 ? index + dim : index;
    return *out >= 0 && *out < dim;
}

static bool element_positions(const oxp_indexed *ix, const int64_t *index, int64_t *position,
                              int64_t *bad)
{
    int64_t at[OXP_MAX_RANK] = {0};
    for (int64_t e = 0; e < ix->entries; e++, oxp_index_next(&ix->index, at)) {
        int64_t offset = 0, i;
        *bad = index[e];
        if (!resolve(index[e], ix->data.dim[ix->axis], &i)) return false;
        for (int a = 0; a < ix->data.rank; a++)
            offset += (a == ix->axis ? i : at[a]) * ix->stride[a];
        position[e] = offset;
    }
    return true;
}

static bool tuple_positions(const oxp_indexed *ix, const int64_t *index, int64_t *position,
                            int64_t *bad)
{
    int64_t batches = 1, batch_size = 1;
    for (int a = 0; a < ix->data.rank; a++)
        *(a < ix->batch_dims ? &batches : &batch_size) *= ix->data.dim[a];
    const int64_t per_batch = batches ? ix->entries / batches : 0;
    for (int64_t e = 0; e < ix->entries; e++) {
        int64_t offset = per_batch ? e / per_batch * batch_size : 0, i;
        for (int k = 0; k < ix->depth; k++) {
            *bad = index[e * ix->depth + k];
            if (!resolve(*bad, ix->data.dim[ix->batch_dims + k], &i)) return false;
            offset += i * ix->stride[ix->batch_dims + k];
        }
        position[e] = offset;
    }
    return true;
}

bool oxp_indexed_positions(const oxp_indexed *ix, const int64_t *index, int64_t *position,
                           int64_t *bad)
{
    return ix->tuples ? tuple_positions(ix, index, position, bad)
                      : element_positions(ix, index, position, bad);
}

static oxp_scatter reduction_of(const oxp_node *node)
{
    const char *name = oxp_attr_string(node, "reduction", "none");
    return strcmp(name, "add") == 0   ? OXP_SCATTER_ADD
           : strcmp(name, "mul") == 0 ? OXP_SCATTER_MUL
           : strcmp(name, "max") == 0 ? OXP_SCATTER_MAX
           : strcmp(name, "min") == 0 ? OXP_SCATTER_MIN
                                      : OXP_SCATTER_SET;
}

/* ---- infer ---- */

static oxp_status need_integers(const oxp_infer *inf)
{
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, 1) != OXP_I64, OXP_EINVAL,
                     "expects integers as index, found %s",
                     oxp_dtype_name(oxp_infer_dtype(inf, 1)));
    return OXP_OK;
}

static oxp_status infer_gather(oxp_infer *inf)
{
    oxp_indexed ix;
    oxp_shape y;
    OXP_TRY(need_integers(inf));
    OXP_TRY(
        read_indexed(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &ix));
    OXP_TRY(entries_shape(inf->ctx, inf->node, &ix, &y));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

/* Input i has the shape of the entries of an index into `data`. */
static oxp_status check_updates(const oxp_infer *inf, const oxp_shape *data, size_t i)
{
    oxp_indexed ix;
    oxp_shape want;
    char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
    OXP_TRY(need_integers(inf));
    OXP_TRY(read_indexed(inf->ctx, inf->node, data, oxp_infer_shape(inf, 1), &ix));
    OXP_TRY(entries_shape(inf->ctx, inf->node, &ix, &want));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(&want, oxp_infer_shape(inf, i)),
                     OXP_EINVAL, "expects updates of shape %s, found %s", oxp_shape_text(&want, a),
                     oxp_shape_text(oxp_infer_shape(inf, i), b));
    return OXP_OK;
}

static oxp_status infer_scatter(oxp_infer *inf)
{
    OXP_TRY(check_updates(inf, oxp_infer_shape(inf, 0), 2));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_dtype(inf, 2) != oxp_infer_dtype(inf, 0),
                     OXP_EINVAL, "cannot put %s into %s", oxp_dtype_name(oxp_infer_dtype(inf, 2)),
                     oxp_dtype_name(oxp_infer_dtype(inf, 0)));
    return oxp_infer_same(inf);
}

static oxp_status infer_scatter_add(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    return check_updates(inf, &inf->shape[0], 0);
}

/* (data, index, updates, y, dy) */
static oxp_status infer_scatter_grad(oxp_infer *inf)
{
    OXP_TRY(check_updates(inf, oxp_infer_shape(inf, 0), 2));
    OXP_TRY(oxp_infer_out(inf, 0, OXP_F32, oxp_infer_shape(inf, 0)));
    return inf->node->n_out < 2 ? OXP_OK : oxp_infer_out(inf, 1, OXP_F32, oxp_infer_shape(inf, 2));
}

/* ---- grad ---- */

static bool is_tuples(const oxp_node *node)
{
    return node->op == &oxp_op_GatherND || node->op == &oxp_op_ScatterND ||
           oxp_attr_int(node, "tuples", 0) != 0;
}

/* The gather that reads where `node` writes, and the other way round. */
static oxp_val gathered(oxp_build *b, const oxp_node *node, oxp_val x, oxp_val index)
{
    const bool tuples = is_tuples(node);
    const oxp_attr attr = tuples ? OXP_INT("batch_dims", oxp_attr_int(node, "batch_dims", 0))
                                 : OXP_INT("axis", oxp_attr_int(node, "axis", 0));
    return oxp_emit(b, tuples ? &oxp_op_GatherND : &oxp_op_GatherElements,
                    (const oxp_val[]){x, index}, 2, &attr, 1);
}

/* dx = _ScatterAdd(dy, index) */
static oxp_status grad_gather(oxp_grad *g)
{
    const oxp_shape *x = oxp_b_shape(g->b, g->node->in[0]);
    const oxp_attr attrs[] = {OXP_INT("axis", oxp_attr_int(g->node, "axis", 0)),
                              OXP_INT("batch_dims", oxp_attr_int(g->node, "batch_dims", 0)),
                              OXP_INT("tuples", is_tuples(g->node)),
                              OXP_INTS("input_shape", x->dim, (size_t)x->rank)};
    g->dx[0] = oxp_emit(g->b, &oxp_op__ScatterAdd, (const oxp_val[]){g->dy[0], g->node->in[1]}, 2,
                        attrs, OXP_COUNT(attrs));
    return g->b->status;
}

static oxp_status grad_scatter_add(oxp_grad *g)
{
    g->dx[0] = gathered(g->b, g->node, g->dy[0], g->node->in[1]);
    return g->b->status;
}

/* set: ddata = dy, 0 at the entries; add: ddata = dy; both: dupdates = dy at the entries (where two
 * entries set one element, ONNX leaves the result open, and we the adjoint) */
static oxp_status grad_scatter(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_node *node = g->node;
    const oxp_scatter how = reduction_of(node);
    const oxp_val index = node->in[1], dy = g->dy[0];
    if (how == OXP_SCATTER_SET || how == OXP_SCATTER_ADD) {
        if (g->wants[2]) g->dx[2] = gathered(b, node, dy, index);
        if (!g->wants[0]) return b->status;
        g->dx[0] = dy;
        if (how == OXP_SCATTER_ADD) return b->status;
        const oxp_val zero = oxp_b_full(b, oxp_b_shape(b, node->in[2]), 0.0);
        g->dx[0] = oxp_emit(b, node->op, (const oxp_val[]){dy, index, zero}, 3, node->attrs,
                            node->n_attrs);
        return b->status;
    }
    const oxp_val in[] = {node->in[0], index, node->in[2], node->out[0], dy};
    const oxp_attr attrs[] = {OXP_INT("axis", oxp_attr_int(node, "axis", 0)),
                              OXP_INT("tuples", is_tuples(node)),
                              OXP_STR("reduction", oxp_attr_string(node, "reduction", "none"))};
    oxp_val d[2];
    oxp_emit_multi(b, &oxp_op__ScatterGrad, in, OXP_COUNT(in), attrs, OXP_COUNT(attrs), 2, d);
    g->dx[0] = d[0];
    g->dx[2] = d[1];
    return b->status;
}

/* ---- ref ---- */

static oxp_status positions(const oxp_call *call, const oxp_indexed *ix, int64_t **out)
{
    const int64_t n = oxp_shape_elements(&ix->index);
    int64_t bad, *index = OXP_NEW(call->scratch, int64_t, (size_t)n + 1);
    *out = OXP_NEW(call->scratch, int64_t, (size_t)ix->entries + 1);
    OXP_FAIL_IF(call->ctx, !index || !*out, OXP_ENOMEM, "out of memory");
    for (int64_t i = 0; i < n; i++) index[i] = (int64_t)call->in[1][i];
    OXP_NODE_FAIL_IF(call->ctx, call->node, !oxp_indexed_positions(ix, index, *out, &bad),
                     OXP_EINVAL, "is given index %lld, which is out of range", (long long)bad);
    return OXP_OK;
}

static oxp_status ref_gather(const oxp_call *call)
{
    oxp_indexed ix;
    int64_t *at;
    OXP_TRY(read_indexed(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1], &ix));
    OXP_TRY(positions(call, &ix, &at));
    for (int64_t e = 0; e < ix.entries; e++)
        for (int64_t k = 0; k < ix.inner; k++)
            call->out[0][e * ix.inner + k] = call->in[0][at[e] + k];
    return OXP_OK;
}

static double reduced(oxp_scatter how, double y, double u)
{
    switch (how) {
    case OXP_SCATTER_ADD:
        return y + u;
    case OXP_SCATTER_MUL:
        return y * u;
    case OXP_SCATTER_MAX:
        return oxp_bin_eval(OXP_BIN_MAX, y, u);
    case OXP_SCATTER_MIN:
        return oxp_bin_eval(OXP_BIN_MIN, y, u);
    default:
        return u;
    }
}

static oxp_status scatter_into(const oxp_call *call, oxp_scatter how, const double *updates)
{
    oxp_indexed ix;
    int64_t *at;
    OXP_TRY(read_indexed(call->ctx, call->node, &call->out_shape[0], &call->in_shape[1], &ix));
    OXP_TRY(positions(call, &ix, &at));
    for (int64_t e = 0; e < ix.entries; e++)
        for (int64_t k = 0; k < ix.inner; k++) {
            double *y = &call->out[0][at[e] + k];
            *y = reduced(how, *y, updates[e * ix.inner + k]);
        }
    return OXP_OK;
}

static oxp_status ref_scatter(const oxp_call *call)
{
    memcpy(call->out[0], call->in[0],
           (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    return scatter_into(call, reduction_of(call->node), call->in[2]);
}

static oxp_status ref_scatter_add(const oxp_call *call)
{
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    return scatter_into(call, OXP_SCATTER_ADD, call->in[0]);
}

/* Element p of y came from data[p] and the updates of every entry that points there. Its adjoint goes
 * to the first of them that equals y (max, min), or to each times the product of the others (mul). */
static oxp_status ref_scatter_grad(const oxp_call *call)
{
    oxp_indexed ix;
    int64_t *at;
    OXP_TRY(read_indexed(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1], &ix));
    OXP_TRY(positions(call, &ix, &at));
    const bool product = reduction_of(call->node) == OXP_SCATTER_MUL;
    const double *data = call->in[0], *u = call->in[2], *y = call->in[3], *dy = call->in[4];
    const int64_t n = oxp_shape_elements(&ix.data), m = ix.entries * ix.inner;
    double *du = call->node->n_out > 1 ? call->out[1] : NULL;
    double *left =
        OXP_NEW(call->scratch, double, (size_t)n + 1); /* dy not yet given away; else: of */
    int64_t *zeros =
        OXP_NEW(call->scratch, int64_t, (size_t)n + 1); /* the product: factors but 0 */
    OXP_FAIL_IF(call->ctx, !left || !zeros, OXP_ENOMEM, "out of memory");
    for (int64_t p = 0; p < n; p++) {
        const bool is_zero = !(fabs(data[p]) > 0.0), first = !(fabs(data[p] - y[p]) > 0.0);
        left[p] = product ? (is_zero ? 1.0 : data[p]) : first ? 0.0 : dy[p];
        zeros[p] = is_zero;
        call->out[0][p] = first ? dy[p] : 0.0;
    }
    for (int64_t i = 0; i < m; i++) {
        double *rest = &left[at[i / ix.inner] + i % ix.inner];
        const int64_t p = rest - left;
        if (product) {
            if (fabs(u[i]) > 0.0) *rest *= u[i];
            zeros[p] += !(fabs(u[i]) > 0.0);
            continue;
        }
        const bool first = !(fabs(u[i] - y[p]) > 0.0);
        if (du) du[i] = first ? *rest : 0.0;
        if (first) *rest = 0.0;
    }
    for (int64_t p = 0; product && p < n; p++) {
        const bool is_zero = !(fabs(data[p]) > 0.0);
        const double others = is_zero ? left[p] : left[p] / data[p];
        call->out[0][p] = zeros[p] - is_zero > 0 ? 0.0 : dy[p] * others;
    }
    for (int64_t i = 0; product && du && i < m; i++) {
        const int64_t p = at[i / ix.inner] + i % ix.inner;
        const bool is_zero = !(fabs(u[i]) > 0.0);
        du[i] = zeros[p] - is_zero > 0 ? 0.0 : dy[p] * (is_zero ? left[p] : left[p] / u[i]);
    }
    return OXP_OK;
}

/* ---- lower ---- */

static oxp_status lower_gather(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    oxp_indexed ix;
    OXP_TRY(read_indexed(oxp_lower_ctx(lw), node, oxp_shape_at(g, node->in[0]),
                         oxp_shape_at(g, node->in[1]), &ix));
    if (oxp_value_of(g, node->in[0])->dtype != OXP_F32) return oxp_lower_by_ref(lw, node);
    return oxp_lower_gather_entries(lw, &ix, node->in[0], node->in[1], node->out[0]);
}

static oxp_status lower_scatter(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    oxp_indexed ix;
    OXP_TRY(read_indexed(oxp_lower_ctx(lw), node, oxp_shape_at(g, node->out[0]),
                         oxp_shape_at(g, node->in[1]), &ix));
    if (oxp_value_of(g, node->in[0])->dtype != OXP_F32) return oxp_lower_by_ref(lw, node);
    const bool adds = node->op == &oxp_op__ScatterAdd;
    return oxp_lower_scatter(lw, &ix, adds ? OXP_SCATTER_ADD : reduction_of(node),
                             adds ? OXP_NO_VAL : node->in[0], node->in[1], node->in[adds ? 0 : 2],
                             node->out[0]);
}

/* ---- expand ---- */

/* Tuples with the coordinates of their batch in front, so that batch_dims is 0. */
static oxp_val with_batch(oxp_build *b, const oxp_node *node, oxp_val index)
{
    const int64_t batch_dims = oxp_attr_int(node, "batch_dims", 0);
    oxp_shape s = *oxp_b_shape(b, index);
    oxp_val parts[OXP_MAX_RANK];
    if (batch_dims == 0) return index;
    s.dim[s.rank - 1] = 1;
    for (int a = 0; a < (int)batch_dims; a++) {
        oxp_shape along = {.rank = s.rank};
        for (int k = 0; k < s.rank; k++) along.dim[k] = k == a ? s.dim[a] : 1;
        const oxp_val iota = oxp_b_reshape(b, oxp_b_count(b, s.dim[a]), &along);
        parts[a] = oxp_b_expand(b, iota, &s);
    }
    parts[batch_dims] = index;
    return oxp_b_concat(b, parts, (size_t)batch_dims + 1, -1);
}

/* a scatter of dy into zeros that adds */
static oxp_status expand_scatter_add(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const bool tuples = is_tuples(node);
    const oxp_shape x = oxp_node_shape(node, "input_shape");
    const oxp_val index = tuples ? with_batch(b, node, node->in[1]) : node->in[1];
    const oxp_val in[] = {oxp_b_full(b, &x, 0.0), index, node->in[0]};
    const oxp_attr attrs[] = {OXP_STR("reduction", "add"),
                              OXP_INT("axis", oxp_attr_int(node, "axis", 0))};
    out[0] = oxp_emit(b, tuples ? &oxp_op_ScatterND : &oxp_op_ScatterElements, in, 3, attrs,
                      tuples ? 1 : 2);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
#define AXIS {"axis", OXP_ATTR_INT, NULL}
#define REDUCTION {"reduction", OXP_ATTR_STRING, "none,add,mul,max,min"}
static const oxp_attr_spec axis_attrs[] = {AXIS, END};
static const oxp_attr_spec gather_nd_attrs[] = {{"batch_dims", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec scatter_attrs[] = {AXIS, REDUCTION, END};
static const oxp_attr_spec scatter_nd_attrs[] = {REDUCTION, END};
static const oxp_attr_spec adjoint_attrs[] = {
    AXIS, REDUCTION, {"batch_dims", OXP_ATTR_INT, NULL}, {"tuples", OXP_ATTR_INT, NULL},
    {"input_shape", OXP_ATTR_INTS, NULL}, END};

#define GATHER(symbol, first_opset, specs)                                                        \
    const oxp_op oxp_op_##symbol = {                                                              \
        .name = #symbol, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,                    \
        .since = first_opset, .flags = OXP_OP_SHAPE_ONLY, .attrs = specs, .infer = infer_gather,  \
        .grad = grad_gather, .ref = ref_gather, .lower = lower_gather}
#define SCATTER(symbol, first_opset, last_opset, specs)                                           \
    const oxp_op oxp_op_##symbol = {                                                              \
        .name = #symbol, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,                    \
        .since = first_opset, .until = last_opset, .flags = OXP_OP_WRAPS, .attrs = specs, .infer = infer_scatter,        \
        .grad = grad_scatter, .ref = ref_scatter, .lower = lower_scatter}
GATHER(GatherElements, 11, axis_attrs);
GATHER(GatherND, 11, gather_nd_attrs);
SCATTER(Scatter, 9, 10, axis_attrs);
SCATTER(ScatterElements, 11, 0, scatter_attrs);
SCATTER(ScatterND, 11, 0, scatter_nd_attrs);

const oxp_op oxp_op__ScatterAdd = {
    .name = "_ScatterAdd", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = adjoint_attrs, .infer = infer_scatter_add,
    .grad = grad_scatter_add, .ref = ref_scatter_add, .lower = lower_scatter,
    .expand = expand_scatter_add};
const oxp_op oxp_op__ScatterGrad = {
    .name = "_ScatterGrad", .min_in = 5, .max_in = 5, .min_out = 1, .max_out = 2,
    .flags = OXP_OP_INTERNAL | OXP_OP_NOT_DIFFERENTIABLE, .attrs = adjoint_attrs,
    .infer = infer_scatter_grad, .ref = ref_scatter_grad, .lower = oxp_lower_by_ref};
/* clang-format on */
