/* slice.c - operators that cut and join: Slice (all opsets' forms), Split, Concat, and _SliceGrad,
 * which puts an adjoint back into zeros.
 *
 * A slice reads x[start + i step] along each axis, i < count. With positive steps it is a view; so
 * are the pieces of Split. */
#include "ops/slice.h"

#include "base/checked.h"
#include "ops/infer.h"
#include "ops/layout.h"
#include <string.h>

/* ---- building blocks ---- */

oxp_val oxp_b_pad(oxp_build *b, oxp_val x, const int64_t *pads, double value)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const int rank = oxp_b_shape(b, x)->rank;
    bool any = false;
    for (int i = 0; i < 2 * rank; i++) any = any || pads[i] != 0;
    return any ? OXP_EMIT1(b, &oxp_op_Pad, x, OXP_INTS("pads", pads, 2 * (size_t)rank),
                           OXP_FLOAT("value", value))
               : x;
}

/* (before, n, after) -> (before, n, 1, after) -> zeros behind each -> (before, n step, after) ->
 * without the last zeros */
oxp_val oxp_b_dilate(oxp_build *b, oxp_val x, int axis, int64_t step)
{
    if (b->status != OXP_OK) return OXP_NO_VAL;
    oxp_shape s = *oxp_b_shape(b, x), four = {.rank = 4, .dim = {1, s.dim[axis], 1, 1}};
    if (step == 1 || s.dim[axis] <= 1) return x;
    for (int a = 0; a < s.rank; a++)
        if (a != axis) four.dim[a < axis ? 0 : 3] *= s.dim[a];
    x = oxp_b_pad_zero(b, oxp_b_reshape(b, x, &four), 2, 0, step - 1);
    const int64_t kept = (s.dim[axis] - 1) * step + 1;
    s.dim[axis] *= step;
    return oxp_b_slice(b, oxp_b_reshape(b, x, &s), axis, 0, kept);
}

/* ---- Slice: geometry ---- */

typedef struct slicing { /* per axis of x */
    int64_t start[OXP_MAX_RANK], count[OXP_MAX_RANK], step[OXP_MAX_RANK];
} slicing;

static oxp_status read_ints(oxp_ctx *ctx, const oxp_node *node, const char *name, size_t want,
                            const int64_t **out)
{
    size_t n;
    *out = oxp_attr_ints(node, name, &n);
    OXP_NODE_FAIL_IF(ctx, node, oxp_attr_find(node, name) && n != want, OXP_EINVAL,
                     "has %zu %s, expected %zu", n, name, want);
    return OXP_OK;
}

/* starts, axes and steps as written, one entry per axis; axes not named keep start 0, step 1.
 * named[axis] is 1 + the entry. */
static oxp_status read_entries(oxp_ctx *ctx, const oxp_node *node, int rank, slicing *s,
                               size_t named[OXP_MAX_RANK], size_t *entries)
{
    const int64_t *axes, *steps, *starts = oxp_attr_ints(node, "starts", entries);
    const size_t n = *entries;
    OXP_NODE_FAIL_IF(ctx, node, !oxp_attr_find(node, "starts") || n > (size_t)rank, OXP_EINVAL,
                     "has no starts for at most %d axes", rank);
    OXP_TRY(read_ints(ctx, node, "axes", n, &axes));
    OXP_TRY(read_ints(ctx, node, "steps", n, &steps));
    for (int a = 0; a < rank; a++) {
        s->start[a] = 0;
        s->step[a] = 1;
        named[a] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        int a;
        OXP_TRY(oxp_norm_axis(ctx, axes ? axes[i] : (int64_t)i, rank, &a));
        OXP_NODE_FAIL_IF(ctx, node, named[a] || (steps && steps[i] == 0), OXP_EINVAL,
                         "names axis %d twice or steps by 0", a);
        named[a] = i + 1;
        s->start[a] = starts[i];
        s->step[a] = steps ? steps[i] : 1;
    }
    return OXP_OK;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* Negative positions count from the end; then both are clamped, to [0, dim] for positive and [-1,
 * dim - 1] for negative steps. */
static void resolve_axis(int64_t dim, int64_t end, int64_t *start, int64_t *step, int64_t *count)
{
    const bool forward = *step > 0;
    *step = clamp(*step, -(dim + 1), dim + 1);
    const int64_t low = forward ? 0 : -1, high = forward ? dim : dim - 1;
    *start = clamp(*start < 0 ? *start + dim : *start, forward ? 0 : (dim ? 0 : -1), high);
    end = clamp(end < 0 ? end + dim : end, low, high);
    const int64_t span = forward ? end - *start : *start - end, stride = forward ? *step : -*step;
    *count = span <= 0 ? 0 : (span + stride - 1) / stride;
    if (*count == 0) *start = 0;
}

static oxp_status read_slice(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, slicing *s)
{
    size_t named[OXP_MAX_RANK], n;
    const int64_t *ends;
    OXP_TRY(read_entries(ctx, node, x->rank, s, named, &n));
    OXP_TRY(read_ints(ctx, node, "ends", n, &ends));
    OXP_NODE_FAIL_IF(ctx, node, n && !ends, OXP_EINVAL, "has %zu starts but no ends", n);
    for (int a = 0; a < x->rank; a++)
        resolve_axis(x->dim[a], named[a] ? ends[named[a] - 1] : x->dim[a], &s->start[a],
                     &s->step[a], &s->count[a]);
    return OXP_OK;
}

/* Of _SliceGrad: starts are resolved, counts are those of dy. */
static oxp_status read_placing(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                               const oxp_shape *dy, slicing *s)
{
    size_t named[OXP_MAX_RANK], n;
    char xs[OXP_SHAPE_TEXT], ys[OXP_SHAPE_TEXT];
    OXP_TRY(read_entries(ctx, node, x->rank, s, named, &n));
    bool fits = x->rank == dy->rank;
    for (int a = 0; fits && a < x->rank; a++) {
        s->count[a] = dy->dim[a];
        const int64_t last = s->start[a] + (s->count[a] - 1) * s->step[a];
        fits = s->count[a] == 0 ||
               (s->start[a] >= 0 && s->start[a] < x->dim[a] && last >= 0 && last < x->dim[a]);
    }
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EINTERNAL, "cannot put %s back into %s",
                     oxp_shape_text(dy, ys), oxp_shape_text(x, xs));
    return OXP_OK;
}

/* ---- Slice and _SliceGrad ---- */

static oxp_status infer_slice(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    slicing s;
    OXP_TRY(read_slice(inf->ctx, inf->node, x, &s));
    const oxp_shape y = oxp_shape_of(x->rank, s.count);
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status infer_slice_grad(oxp_infer *inf)
{
    slicing s;
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    return read_placing(inf->ctx, inf->node, &inf->shape[0], oxp_infer_shape(inf, 0), &s);
}

/* dx = dy put back into zeros: Pad(dy) when all steps are 1, else _SliceGrad */
static oxp_status grad_slice(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    const size_t rank = (size_t)x.rank;
    slicing s;
    OXP_TRY(read_slice(g->b->ctx, g->node, &x, &s));
    int64_t pads[2 * OXP_MAX_RANK], axes[OXP_MAX_RANK];
    bool dense = true;
    for (int a = 0; a < x.rank; a++) {
        axes[a] = a;
        pads[a] = s.start[a];
        pads[x.rank + a] = x.dim[a] - s.start[a] - s.count[a];
        dense = dense && s.step[a] == 1;
    }
    if (dense)
        g->dx[0] = oxp_b_pad(g->b, g->dy[0], pads, 0);
    else
        g->dx[0] = OXP_EMIT1(g->b, &oxp_op__SliceGrad, g->dy[0], OXP_INTS("starts", s.start, rank),
                             OXP_INTS("axes", axes, rank), OXP_INTS("steps", s.step, rank),
                             OXP_INTS("input_shape", x.dim, rank));
    return g->b->status;
}

/* The adjoint of putting back is cutting out: a Slice. */
static oxp_status grad_slice_grad(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->out[0]),
                    dy = *oxp_b_shape(g->b, g->node->in[0]);
    const size_t rank = (size_t)x.rank;
    int64_t ends[OXP_MAX_RANK], axes[OXP_MAX_RANK];
    slicing s;
    OXP_TRY(read_placing(g->b->ctx, g->node, &x, &dy, &s));
    for (int a = 0; a < x.rank; a++) {
        axes[a] = a;
        ends[a] = s.start[a] + s.count[a] * s.step[a];
        if (s.step[a] < 0 && ends[a] < 0) ends[a] = INT64_MIN; /* -1 would mean the last cell */
    }
    g->dx[0] = OXP_EMIT1(g->b, &oxp_op_Slice, g->dy[0], OXP_INTS("starts", s.start, rank),
                         OXP_INTS("ends", ends, rank), OXP_INTS("axes", axes, rank),
                         OXP_INTS("steps", s.step, rank));
    return g->b->status;
}

/* y = x[start + i step], or back: x[start + i step] = y. `part` is the shape of y. */
static void move(const slicing *s, const oxp_shape *x, const oxp_shape *part, bool back,
                 const double *from, double *to)
{
    int64_t stride[OXP_MAX_RANK], at[OXP_MAX_RANK] = {0}, o = 0;
    oxp_shape_strides(x, stride);
    if (oxp_shape_elements(part) == 0) return;
    do {
        int64_t i = 0;
        for (int a = 0; a < x->rank; a++) i += (s->start[a] + at[a] * s->step[a]) * stride[a];
        if (back)
            to[i] = from[o++];
        else
            to[o++] = from[i];
    } while (oxp_index_next(part, at));
}

static oxp_status ref_slice(const oxp_call *call)
{
    slicing s;
    OXP_TRY(read_slice(call->ctx, call->node, &call->in_shape[0], &s));
    move(&s, &call->in_shape[0], &call->out_shape[0], false, call->in[0], call->out[0]);
    return OXP_OK;
}

static oxp_status ref_slice_grad(const oxp_call *call)
{
    slicing s;
    OXP_TRY(read_placing(call->ctx, call->node, &call->out_shape[0], &call->in_shape[0], &s));
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    move(&s, &call->out_shape[0], &call->in_shape[0], true, call->in[0], call->out[0]);
    return OXP_OK;
}

static void narrow_all(oxp_part *part, const slicing *s)
{
    for (int a = 0; a < part->rank; a++)
        oxp_part_narrow(part, a, s->start[a], s->count[a], s->step[a]);
}

/* A view, or a copy where a step is negative: strides are never. */
static oxp_status lower_slice(oxp_lower *lw, const oxp_node *node)
{
    const oxp_val x = node->in[0], y = node->out[0];
    slicing s;
    OXP_TRY(read_slice(oxp_lower_ctx(lw), node, oxp_shape_at(oxp_lower_graph(lw), x), &s));
    oxp_part from = oxp_lower_whole(lw, x);
    narrow_all(&from, &s);
    bool forward = true;
    for (int a = 0; a < from.rank; a++) forward = forward && s.step[a] > 0;
    if (forward) return oxp_lower_alias(lw, y, x, &from.place);
    OXP_TRY(oxp_lower_result(lw, y, oxp_layout_of(lw, x)));
    const oxp_part to = oxp_lower_whole(lw, y);
    return oxp_lower_copy(lw, &from, &to);
}

static oxp_status lower_slice_grad(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_val dy = node->in[0], dx = node->out[0];
    slicing s;
    OXP_TRY(read_placing(oxp_lower_ctx(lw), node, oxp_shape_at(g, dx), oxp_shape_at(g, dy), &s));
    OXP_TRY(oxp_lower_result(lw, dx, oxp_layout_of(lw, dy)));
    OXP_TRY(oxp_lower_fill(lw, dx, 0));
    const oxp_part from = oxp_lower_whole(lw, dy);
    oxp_part to = oxp_lower_whole(lw, dx);
    narrow_all(&to, &s);
    return oxp_lower_copy(lw, &from, &to);
}

/* Axes with a negative step are turned round first; then dx = Pad(dy with step - 1 zeros between
 * its cells). */
static oxp_status expand_slice_grad(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = oxp_node_shape(node, "input_shape"), dy = *oxp_b_shape(b, node->in[0]);
    slicing s;
    OXP_TRY(read_placing(b->ctx, node, &x, &dy, &s));
    int64_t pads[2 * OXP_MAX_RANK];
    oxp_val u = node->in[0];
    for (int a = 0; a < x.rank; a++) {
        int64_t first = s.start[a], step = s.step[a];
        const int64_t n = s.count[a], axis = a, last = -1, end = INT64_MIN, back = -1;
        if (step < 0) {
            u = OXP_EMIT1(b, &oxp_op_Slice, u, OXP_INTS("starts", &last, 1),
                          OXP_INTS("ends", &end, 1), OXP_INTS("axes", &axis, 1),
                          OXP_INTS("steps", &back, 1));
            first += n ? (n - 1) * step : 0;
            step = -step;
        }
        u = oxp_b_dilate(b, u, a, step);
        pads[a] = first;
        pads[x.rank + a] = x.dim[a] - first - (n ? (n - 1) * step + 1 : 0);
    }
    out[0] = oxp_b_pad(b, u, pads, 0);
    return b->status;
}

/* ---- Split ---- */

/* Piece i is [start, start + count) along the axis. Without sizes all are equal but the last, which
 * may be smaller. */
static oxp_status split_piece(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, uint32_t i,
                              int *axis, int64_t *start, int64_t *count)
{
    size_t n;
    const int64_t *sizes = oxp_attr_ints(node, "split", &n);
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", 0), x->rank, axis));
    const int64_t dim = x->dim[*axis], pieces = node->n_out, equal = (dim + pieces - 1) / pieces;
    int64_t sum = 0;
    *start = *count = 0;
    for (int64_t k = 0; k < pieces && sum >= 0 && sum <= dim; k++) {
        const int64_t left = dim - equal * k;
        const int64_t size = !n ? (left < equal ? left : equal) : k < (int64_t)n ? sizes[k] : -1;
        if (k == (int64_t)i) {
            *start = sum;
            *count = size;
        }
        sum = size < 0 || size > dim ? -1 : sum + size;
    }
    OXP_NODE_FAIL_IF(ctx, node, sum != dim || (n && n != node->n_out), OXP_EINVAL,
                     "cannot split %lld cells of axis %d into %u pieces as asked", (long long)dim,
                     *axis, node->n_out);
    return OXP_OK;
}

static oxp_status infer_split(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    for (uint32_t i = 0; i < inf->node->n_out; i++) {
        oxp_shape y = *x;
        int64_t start, count;
        int axis;
        OXP_TRY(split_piece(inf->ctx, inf->node, x, i, &axis, &start, &count));
        y.dim[axis] = count;
        OXP_TRY(oxp_infer_out(inf, i, oxp_infer_dtype(inf, 0), &y));
    }
    return OXP_OK;
}

/* dx = Concat(dy...), with zeros where a piece has no adjoint */
static oxp_status grad_split(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    oxp_val *parts = OXP_NEW(g->b->ctx->scratch, oxp_val, g->node->n_out);
    OXP_NOMEM_IF(g->b->ctx, parts);
    int axis = 0;
    for (uint32_t i = 0; i < g->node->n_out; i++) {
        oxp_shape piece = x;
        int64_t start, count;
        OXP_TRY(split_piece(g->b->ctx, g->node, &x, i, &axis, &start, &count));
        piece.dim[axis] = count;
        parts[i] = g->dy[i] != OXP_NO_VAL ? g->dy[i] : oxp_b_full(g->b, &piece, 0);
    }
    g->dx[0] = oxp_b_concat(g->b, parts, g->node->n_out, axis);
    return g->b->status;
}

static slicing whole_slicing(const oxp_shape *s)
{
    slicing all = {{0}, {0}, {0}};
    for (int a = 0; a < s->rank; a++) {
        all.count[a] = s->dim[a];
        all.step[a] = 1;
    }
    return all;
}

static oxp_status ref_split(const oxp_call *call)
{
    slicing s = whole_slicing(&call->in_shape[0]);
    for (uint32_t i = 0; i < call->node->n_out; i++) {
        int64_t start, count;
        int axis;
        OXP_TRY(split_piece(call->ctx, call->node, &call->in_shape[0], i, &axis, &start, &count));
        s.start[axis] = start;
        if (call->out[i])
            move(&s, &call->in_shape[0], &call->out_shape[i], false, call->in[0], call->out[i]);
    }
    return OXP_OK;
}

static oxp_status lower_split(oxp_lower *lw, const oxp_node *node)
{
    const oxp_shape *x = oxp_shape_at(oxp_lower_graph(lw), node->in[0]);
    for (uint32_t i = 0; i < node->n_out; i++) {
        oxp_part part = oxp_lower_whole(lw, node->in[0]);
        int64_t start, count;
        int axis;
        OXP_TRY(split_piece(oxp_lower_ctx(lw), node, x, i, &axis, &start, &count));
        oxp_part_narrow(&part, axis, start, count, 1);
        if (node->out[i] != OXP_NO_VAL)
            OXP_TRY(oxp_lower_alias(lw, node->out[i], node->in[0], &part.place));
    }
    return OXP_OK;
}

/* ---- Concat ---- */

static oxp_status infer_concat(oxp_infer *inf)
{
    oxp_shape y = *oxp_infer_shape(inf, 0);
    int axis;
    OXP_TRY(oxp_norm_axis(inf->ctx, oxp_attr_int(inf->node, "axis", 0), y.rank, &axis));
    for (uint32_t i = 1; i < inf->node->n_in; i++) {
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_infer_has(inf, i), OXP_EINVAL, "lacks input %u",
                         i);
        oxp_shape x = *oxp_infer_shape(inf, i);
        char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
        const int64_t added = x.rank == y.rank ? x.dim[axis] : 0;
        if (x.rank == y.rank) x.dim[axis] = y.dim[axis];
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         !oxp_shape_equal(&x, &y) ||
                             oxp_infer_dtype(inf, i) != oxp_infer_dtype(inf, 0) ||
                             !oxp_add_i64(y.dim[axis], added, &y.dim[axis]),
                         OXP_EINVAL, "cannot join %s to %s along axis %d",
                         oxp_shape_text(oxp_infer_shape(inf, i), a),
                         oxp_shape_text(oxp_infer_shape(inf, 0), b), axis);
    }
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

/* dx[i] = the piece of dy that came from input i */
static oxp_status grad_concat(oxp_grad *g)
{
    int axis;
    int64_t start = 0;
    OXP_TRY(oxp_norm_axis(g->b->ctx, oxp_attr_int(g->node, "axis", 0),
                          oxp_b_shape(g->b, g->node->in[0])->rank, &axis));
    for (uint32_t i = 0; i < g->node->n_in; i++) {
        const int64_t count = oxp_b_shape(g->b, g->node->in[i])->dim[axis];
        if (g->wants[i]) g->dx[i] = oxp_b_slice(g->b, g->dy[0], axis, start, start + count);
        start += count;
    }
    return g->b->status;
}

static oxp_status ref_concat(const oxp_call *call)
{
    int axis;
    OXP_TRY(oxp_norm_axis(call->ctx, oxp_attr_int(call->node, "axis", 0), call->out_shape[0].rank,
                          &axis));
    slicing s = whole_slicing(&call->out_shape[0]);
    for (uint32_t i = 0; i < call->node->n_in; i++) {
        move(&s, &call->out_shape[0], &call->in_shape[i], true, call->in[i], call->out[0]);
        s.start[axis] += call->in_shape[i].dim[axis];
    }
    return OXP_OK;
}

/* Each input is copied to its part of the result, which lies as the largest input does. */
static oxp_status lower_concat(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_val y = node->out[0];
    oxp_val largest = node->in[0];
    int axis;
    OXP_TRY(oxp_norm_axis(oxp_lower_ctx(lw), oxp_attr_int(node, "axis", 0),
                          oxp_shape_at(g, y)->rank, &axis));
    for (uint32_t i = 1; i < node->n_in; i++)
        if (oxp_shape_elements(oxp_shape_at(g, node->in[i])) >
            oxp_shape_elements(oxp_shape_at(g, largest)))
            largest = node->in[i];
    OXP_TRY(oxp_lower_result(lw, y, oxp_layout_of(lw, largest)));
    int64_t start = 0;
    for (uint32_t i = 0; i < node->n_in; i++) {
        const int64_t count = oxp_shape_at(g, node->in[i])->dim[axis];
        const oxp_part from = oxp_lower_whole(lw, node->in[i]);
        oxp_part to = oxp_lower_whole(lw, y);
        oxp_part_narrow(&to, axis, start, count, 1);
        if (count) OXP_TRY(oxp_lower_copy(lw, &from, &to));
        start += count;
    }
    return OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec slice_attrs[] = {
    {"starts", OXP_ATTR_INTS, NULL}, {"ends", OXP_ATTR_INTS, NULL}, {"axes", OXP_ATTR_INTS, NULL},
    {"steps", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec slice_grad_attrs[] = {
    {"starts", OXP_ATTR_INTS, NULL}, {"axes", OXP_ATTR_INTS, NULL}, {"steps", OXP_ATTR_INTS, NULL},
    {"input_shape", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec split_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"split", OXP_ATTR_INTS, NULL},
    {"num_outputs", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec concat_attrs[] = {{"axis", OXP_ATTR_INT, NULL}, END};
static const oxp_const_in slice_in[] = {
    {1, "starts", OXP_ATTR_INTS}, {2, "ends", OXP_ATTR_INTS}, {3, "axes", OXP_ATTR_INTS},
    {4, "steps", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};
static const oxp_const_in split_in[] = {{1, "split", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_Slice = {
    .name = "Slice", .min_in = 1, .max_in = 5, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_SHAPE_ONLY, .attrs = slice_attrs, .const_in = slice_in, .infer = infer_slice,
    .grad = grad_slice, .ref = ref_slice, .lower = lower_slice};
const oxp_op oxp_op__SliceGrad = {
    .name = "_SliceGrad", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = slice_grad_attrs, .infer = infer_slice_grad,
    .grad = grad_slice_grad, .ref = ref_slice_grad, .lower = lower_slice_grad,
    .expand = expand_slice_grad};
const oxp_op oxp_op_Split = {
    .name = "Split", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = OXP_VARIADIC, .since = 1,
    .flags = OXP_OP_SHAPE_ONLY, .attrs = split_attrs, .const_in = split_in, .infer = infer_split,
    .grad = grad_split, .ref = ref_split, .lower = lower_split};
const oxp_op oxp_op_Concat = {
    .name = "Concat", .min_in = 1, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_SHAPE_ONLY, .attrs = concat_attrs, .infer = infer_concat, .grad = grad_concat,
    .ref = ref_concat, .lower = lower_concat};
/* clang-format on */
