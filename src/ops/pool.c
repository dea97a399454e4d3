/* pool.c - MaxPool, AveragePool, their global forms and adjoints; 1 to 3 spatial axes.
 *
 * Pinned: a maximum is the first of its window in scan order, and it alone gets the adjoint; -inf
 * counts as a number, so a window of -inf has its first cell as maximum. With count_include_pad the
 * average divides by the cells inside the input and its *declared* padding: what ceil_mode hangs
 * over beyond that is not counted, as in ONNX Runtime. Windows wholly in padding are refused. Indices,
 * the second output of MaxPool, are places in the whole of x, axis by axis or (storage_order 1) with
 * the first spatial axis running fastest. */
#include "ops/infer.h"
#include "ops/lower.h"
#include "ops/slice.h"
#include "ops/window.h"
#include <math.h>
#include <string.h>

/* ---- geometry ---- */

/* A dilated window may step over a short input; then it lies in padding though both its ends reach
 * over the input. */
static bool all_windows_hit(const oxp_window *w)
{
    const int64_t last = (w->out - 1) * w->stride - w->pad_begin;
    if (w->pad_begin >= w->dilation * (w->kernel - 1) + 1 || last >= w->in) return false;
    for (int64_t o = 0; w->in < w->dilation && o < w->out; o++) {
        const int64_t start = o * w->stride - w->pad_begin;
        if (oxp_window_first(start, w->dilation, w->kernel) >=
            oxp_window_last(start, w->dilation, w->kernel, w->in))
            return false;
    }
    return true;
}

static bool is_max(const oxp_node *node)
{
    return node->op == &oxp_op_MaxPool || node->op == &oxp_op__MaxPoolGrad ||
           node->op == &oxp_op_GlobalMaxPool;
}

/* There may be no item, but an item has channels and cells. */
static bool has_cells(const oxp_shape *x)
{
    bool any = true;
    for (int a = 1; a < x->rank; a++) any = any && x->dim[a] > 0;
    return any;
}

static oxp_status read_pool(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, oxp_pool *out)
{
    char text[OXP_SHAPE_TEXT];
    int64_t count, kernel[3];
    OXP_NODE_FAIL_IF(
        ctx, node, x->rank < 3 || x->rank > 5 || !oxp_shape_count(x, &count) || !has_cells(x),
        OXP_EUNSUPPORTED, "has input %s; 1 to 3 spatial axes, none of size 0, are supported",
        oxp_shape_text(x, text));
    oxp_pool p = {.axes = x->rank - 2, .n = x->dim[0], .c = x->dim[1], .max = is_max(node)};
    p.include_pad = oxp_attr_int(node, "count_include_pad", 0) != 0;
    const bool global = node->op == &oxp_op_GlobalMaxPool;
    OXP_TRY(oxp_window_kernel(ctx, node, p.axes, global ? &x->dim[2] : NULL, kernel));
    for (int a = 0; a < 3; a++) {
        oxp_window w = {1, 1, 1, 1, 1, 0, 0};
        if (a < p.axes)
            OXP_TRY(oxp_window_read(ctx, node, p.axes, a, x->dim[2 + a], kernel[a],
                                    oxp_attr_int(node, "ceil_mode", 0) != 0, &w));
        OXP_NODE_FAIL_IF(ctx, node, !all_windows_hit(&w), OXP_EUNSUPPORTED,
                         "has a window on axis %d that covers nothing but padding", 2 + a);
        p.in[a] = w.in;
        p.out[a] = w.out;
        p.kernel[a] = w.kernel;
        p.stride[a] = w.stride;
        p.dilation[a] = w.dilation;
        p.pad_begin[a] = w.pad_begin;
        p.pad_end[a] = w.pad_end;
    }
    *out = p;
    return OXP_OK;
}

static oxp_shape pool_shape(const oxp_pool *p, const int64_t size[3])
{
    oxp_shape s = {.rank = p->axes + 2, .dim = {p->n, p->c}};
    memcpy(&s.dim[2], size, (size_t)p->axes * sizeof(int64_t));
    return s;
}

/* ---- infer ---- */

static oxp_status infer_pool(oxp_infer *inf)
{
    oxp_pool pool;
    if (inf->node->op != &oxp_op_MaxPool || oxp_infer_dtype(inf, 0) != OXP_I64)
        OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_pool(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &pool));
    const oxp_shape y = pool_shape(&pool, pool.out);
    if (inf->node->n_out > 1) OXP_TRY(oxp_infer_out(inf, 1, OXP_I64, &y));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_dtype exact_pool(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(node);
    return k == 1 ? OXP_I64 : in[0];
}

static oxp_status check_adjoint(oxp_infer *inf, size_t dy)
{
    oxp_pool pool;
    OXP_TRY(read_pool(inf->ctx, inf->node, &inf->shape[0], &pool));
    const oxp_shape y = pool_shape(&pool, pool.out);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(oxp_infer_shape(inf, dy), &y),
                     OXP_EINTERNAL, "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

static oxp_status infer_max_grad(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_same(inf));
    return check_adjoint(inf, 2);
}

static oxp_status infer_average_grad(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    return check_adjoint(inf, 0);
}

static oxp_status infer_global_average(oxp_infer *inf)
{
    oxp_shape y = *oxp_infer_shape(inf, 0);
    char text[OXP_SHAPE_TEXT];
    int64_t count;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     y.rank < 3 || !oxp_shape_count(&y, &count) || !has_cells(&y), OXP_EINVAL,
                     "has input %s, expected (N,C,axes...), none of size 0",
                     oxp_shape_text(&y, text));
    for (int a = 2; a < y.rank; a++) y.dim[a] = 1;
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

/* ---- grad ---- */

#define MAX_ATTRS 7

/* The pool's attributes, nothing left to resolve. */
static size_t explicit_attrs(const oxp_pool *p, const oxp_node *node, int64_t pads[6],
                             oxp_attr attrs[MAX_ATTRS])
{
    const size_t axes = (size_t)p->axes;
    for (size_t a = 0; a < axes; a++) {
        pads[a] = p->pad_begin[a];
        pads[axes + a] = p->pad_end[a];
    }
    attrs[0] = OXP_INTS("kernel_shape", p->kernel, axes);
    attrs[1] = OXP_INTS("strides", p->stride, axes);
    attrs[2] = OXP_INTS("pads", pads, 2 * axes);
    attrs[3] = OXP_INT("ceil_mode", oxp_attr_int(node, "ceil_mode", 0));
    attrs[4] = OXP_INTS("dilations", p->dilation, axes);
    attrs[5] = OXP_INT("count_include_pad", p->include_pad);
    return p->max ? 5 : 6;
}

/* dx = _MaxPoolGrad(x, y, dy) */
static oxp_status grad_max(oxp_grad *g)
{
    const oxp_val x = g->node->in[0];
    oxp_pool p;
    int64_t pads[6];
    oxp_attr attrs[MAX_ATTRS];
    OXP_TRY(read_pool(g->b->ctx, g->node, oxp_b_shape(g->b, x), &p));
    const size_t n = explicit_attrs(&p, g->node, pads, attrs);
    g->dx[0] = oxp_emit(g->b, &oxp_op__MaxPoolGrad, (const oxp_val[]){x, g->node->out[0], g->dy[0]},
                        3, attrs, n);
    return g->b->status;
}

/* dx = _AveragePoolGrad(dy) */
static oxp_status grad_average(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    oxp_pool p;
    int64_t pads[6];
    oxp_attr attrs[MAX_ATTRS];
    OXP_TRY(read_pool(g->b->ctx, g->node, &x, &p));
    const size_t n = explicit_attrs(&p, g->node, pads, attrs);
    attrs[n] = OXP_INTS("input_shape", x.dim, (size_t)x.rank);
    g->dx[0] = oxp_emit(g->b, &oxp_op__AveragePoolGrad, g->dy, 1, attrs, n + 1);
    return g->b->status;
}

/* Linear in dy: the adjoint of the adjoint is the average itself. */
static oxp_status grad_average_grad(oxp_grad *g)
{
    const oxp_shape *x = oxp_b_shape(g->b, g->node->out[0]);
    oxp_pool p;
    int64_t pads[6];
    oxp_attr attrs[MAX_ATTRS];
    OXP_TRY(read_pool(g->b->ctx, g->node, x, &p));
    const size_t n = explicit_attrs(&p, g->node, pads, attrs);
    g->dx[0] = oxp_emit(g->b, &oxp_op_AveragePool, g->dy, 1, attrs, n);
    return g->b->status;
}

static int64_t spatial_cells(const oxp_shape *s)
{
    int64_t cells = 1;
    for (int a = 2; a < s->rank; a++) cells *= s->dim[a];
    return cells;
}

/* dx = dy / cells, everywhere */
static oxp_status grad_global_average(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    const oxp_val share = oxp_b_scalar(g->b, 1.0 / (double)spatial_cells(&x));
    g->dx[0] = oxp_b_expand(g->b, oxp_b_mul(g->b, g->dy[0], share), &x);
    return g->b->status;
}

/* ---- ref ---- */

typedef struct window_at { /* of one result cell */
    int64_t plane;         /* offset of its (n,c) plane in x */
    int64_t start[3], lo[3], hi[3];
    double count; /* what an average divides by */
} window_at;

static window_at locate(const oxp_pool *p, const int64_t at[5])
{
    window_at w = {.plane = (at[0] * p->c + at[1]) * p->in[0] * p->in[1] * p->in[2], .count = 1};
    for (int a = 0; a < 3; a++) {
        w.start[a] = at[2 + a] * p->stride[a] - p->pad_begin[a];
        w.lo[a] = oxp_window_first(w.start[a], p->dilation[a], p->kernel[a]);
        w.hi[a] = oxp_window_last(w.start[a], p->dilation[a], p->kernel[a], p->in[a]);
        const int64_t declared =
            oxp_window_last(w.start[a], p->dilation[a], p->kernel[a], p->in[a] + p->pad_end[a]);
        w.count *= (double)(p->include_pad ? declared : w.hi[a] - w.lo[a]);
    }
    return w;
}

/* Offset in x of window cell (i0,i1,i2). */
static int64_t cell(const oxp_pool *p, const window_at *w, int64_t i0, int64_t i1, int64_t i2)
{
    const int64_t row =
        (w->start[0] + i0 * p->dilation[0]) * p->in[1] + w->start[1] + i1 * p->dilation[1];
    return w->plane + row * p->in[2] + w->start[2] + i2 * p->dilation[2];
}

#define EACH_CELL(w, i0, i1, i2)                             \
    for (int64_t i0 = (w)->lo[0]; i0 < (w)->hi[0]; i0++)     \
        for (int64_t i1 = (w)->lo[1]; i1 < (w)->hi[1]; i1++) \
            for (int64_t i2 = (w)->lo[2]; i2 < (w)->hi[2]; i2++)

/* Offset in x of the window's first maximum; a NaN counts as larger than anything. */
static int64_t max_cell(const oxp_pool *p, const window_at *w, const double *x)
{
    int64_t best = -1;
    EACH_CELL(w, i0, i1, i2)
    {
        const int64_t i = cell(p, w, i0, i1, i2);
        if (best < 0 || x[i] > x[best] || (isnan(x[i]) && !isnan(x[best]))) best = i;
    }
    return best;
}

/* The place of the cell at offset i as Indices says it. */
static double place_of(const oxp_call *call, const oxp_pool *p, int64_t i)
{
    const int64_t cells = p->in[0] * p->in[1] * p->in[2], at = i % cells;
    if (oxp_attr_int(call->node, "storage_order", 0) == 0) return (double)i;
    const int64_t i0 = at / (p->in[1] * p->in[2]), i1 = at / p->in[2] % p->in[1];
    return (double)(i - at + i0 + p->in[0] * (i1 + p->in[1] * (at % p->in[2])));
}

static double average(const oxp_pool *p, const window_at *w, const double *x)
{
    double sum = 0;
    EACH_CELL(w, i0, i1, i2)
    sum += x[cell(p, w, i0, i1, i2)];
    return sum / w->count;
}

static oxp_status ref_pool(const oxp_call *call)
{
    oxp_pool p;
    OXP_TRY(read_pool(call->ctx, call->node, &call->in_shape[0], &p));
    const oxp_shape y = {.rank = 5, .dim = {p.n, p.c, p.out[0], p.out[1], p.out[2]}};
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    do {
        const window_at w = locate(&p, at);
        const int64_t best = p.max ? max_cell(&p, &w, call->in[0]) : 0;
        if (call->node->n_out > 1 && call->out[1]) call->out[1][o] = place_of(call, &p, best);
        call->out[0][o++] = p.max ? call->in[0][best] : average(&p, &w, call->in[0]);
    } while (oxp_index_next(&y, at));
    return OXP_OK;
}

/* (x, y, dy) of the maximum, (dy) of the average */
static oxp_status ref_pool_grad(const oxp_call *call)
{
    oxp_pool p;
    OXP_TRY(read_pool(call->ctx, call->node, &call->out_shape[0], &p));
    const oxp_shape y = {.rank = 5, .dim = {p.n, p.c, p.out[0], p.out[1], p.out[2]}};
    const double *dy = call->in[p.max ? 2 : 0];
    double *dx = call->out[0];
    memset(dx, 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    do {
        const window_at w = locate(&p, at);
        if (p.max) {
            dx[max_cell(&p, &w, call->in[0])] += dy[o++];
            continue;
        }
        const double share = dy[o++] / w.count;
        EACH_CELL(&w, i0, i1, i2)
        dx[cell(&p, &w, i0, i1, i2)] += share;
    } while (oxp_index_next(&y, at));
    return OXP_OK;
}

static oxp_status ref_global_average(const oxp_call *call)
{
    const int64_t cells = spatial_cells(&call->in_shape[0]),
                  n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < cells; j++) sum += call->in[0][i * cells + j];
        call->out[0][i] = sum / (double)cells;
    }
    return OXP_OK;
}

/* ---- lower ---- */

static oxp_status lower_pool(oxp_lower *lw, const oxp_node *node)
{
    oxp_pool p;
    const oxp_value *x = oxp_value_of(oxp_lower_graph(lw), node->in[0]);
    if (x->dtype != OXP_F32) return oxp_lower_by_ref(lw, node);
    OXP_TRY(read_pool(oxp_lower_ctx(lw), node, &x->shape, &p));
    OXP_TRY(oxp_lower_pool(lw, &p, node->in[0], node->out[0]));
    if (node->n_out < 2 || node->out[1] == OXP_NO_VAL) return OXP_OK;
    return oxp_lower_max_pool_index(lw, &p, oxp_attr_int(node, "storage_order", 0) != 0,
                                    node->in[0], node->out[1]);
}

static oxp_status lower_pool_grad(oxp_lower *lw, const oxp_node *node)
{
    oxp_pool p;
    OXP_TRY(
        read_pool(oxp_lower_ctx(lw), node, oxp_shape_at(oxp_lower_graph(lw), node->out[0]), &p));
    if (p.max)
        return oxp_lower_max_pool_grad(lw, &p, node->in[0], node->in[1], node->in[2], node->out[0]);
    return oxp_lower_average_pool_grad(lw, &p, node->in[0], node->out[0]);
}

static oxp_status lower_global_average(oxp_lower *lw, const oxp_node *node)
{
    const int rank = oxp_shape_at(oxp_lower_graph(lw), node->in[0])->rank;
    return oxp_lower_reduce(lw, OXP_REDUCE_MEAN, (1u << rank) - 4u, node->in[0], node->out[0]);
}

/* ---- expand ---- */

typedef struct
    unrolled { /* the window cells one by one, over an input padded to what the windows cover */
    const oxp_pool *p;
    oxp_shape padded;
    int64_t pads[2 * OXP_MAX_RANK], crop[2 * OXP_MAX_RANK], axes[3];
    int64_t start[3], end[3]; /* the cells of x that window cell i meets, every `stride` */
} unrolled;

static unrolled unroll(const oxp_pool *p)
{
    unrolled u = {.p = p, .padded = pool_shape(p, p->in), .axes = {2, 3, 4}};
    const int rank = u.padded.rank;
    for (int a = 0; a < p->axes; a++) {
        const int64_t cover =
            (p->out[a] - 1) * p->stride[a] + p->dilation[a] * (p->kernel[a] - 1) + 1;
        u.pads[2 + a] = p->pad_begin[a];
        u.pads[rank + 2 + a] = cover - p->in[a] - p->pad_begin[a];
        u.crop[2 + a] = -u.pads[2 + a];
        u.crop[rank + 2 + a] = -u.pads[rank + 2 + a];
        u.padded.dim[2 + a] = cover;
    }
    return u;
}

static void go_to(unrolled *u, int64_t cell_index)
{
    for (int a = 2; a >= 0; a--) {
        u->start[a] = cell_index % u->p->kernel[a] * u->p->dilation[a];
        u->end[a] = u->start[a] + (u->p->out[a] - 1) * u->p->stride[a] + 1;
        cell_index /= u->p->kernel[a];
    }
}

/* dy where this window cell is the first to equal y, else 0 */
static oxp_val first_hit(oxp_build *b, const unrolled *u, oxp_val x, oxp_val y, oxp_val dy,
                         oxp_val *taken)
{
    const size_t n = (size_t)u->p->axes;
    const oxp_val xi =
        OXP_EMIT1(b, &oxp_op_Slice, x, OXP_INTS("starts", u->start, n), OXP_INTS("ends", u->end, n),
                  OXP_INTS("axes", u->axes, n), OXP_INTS("steps", u->p->stride, n));
    const oxp_val hit = oxp_b_equal(b, xi, y);
    oxp_val first = hit;
    if (*taken != OXP_NO_VAL) {
        const oxp_val free_still = oxp_b_unary(b, &oxp_op_Not, *taken);
        first = oxp_emit(b, &oxp_op_And, (const oxp_val[]){hit, free_still}, 2, NULL, 0);
        *taken = oxp_emit(b, &oxp_op_Or, (const oxp_val[]){*taken, hit}, 2, NULL, 0);
    } else {
        *taken = hit;
    }
    return oxp_b_where(b, first, dy, oxp_b_scalar(b, 0));
}

/* 1 / (cells that the average divides by), one number per spatial result cell */
static oxp_val shares(oxp_build *b, const oxp_pool *p)
{
    oxp_shape s = pool_shape(p, p->out);
    s.dim[0] = s.dim[1] = 1;
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    if (b->status == OXP_OK && !t) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status == OXP_OK) b->status = oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &s, t);
    if (b->status != OXP_OK) return OXP_NO_VAL;
    const oxp_shape cells = {.rank = 5, .dim = {1, 1, p->out[0], p->out[1], p->out[2]}};
    double *share = (double *)(uintptr_t)t->data;
    int64_t at[OXP_MAX_RANK] = {0};
    do *share++ = 1.0 / locate(p, at).count;
    while (oxp_index_next(&cells, at));
    return oxp_b_const(b, OXP_F32, t);
}

/* dx = sum over the window cells i of (dy's share of i, put back where i read x), the padding cut
 * off. A maximum gives all to the first cell that equals it; an average gives each cell dy / count.
 */
static oxp_status expand_pool_grad(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const bool max = node->op == &oxp_op__MaxPoolGrad;
    const oxp_shape xs = max ? *oxp_b_shape(b, node->in[0]) : oxp_node_shape(node, "input_shape");
    oxp_pool p;
    OXP_TRY(read_pool(b->ctx, node, &xs, &p));
    unrolled u = unroll(&p);
    const size_t rank = (size_t)u.padded.rank, axes = (size_t)p.axes;
    const double cells = (double)p.kernel[0] * (double)p.kernel[1] * (double)p.kernel[2];
    OXP_NODE_FAIL_IF(b->ctx, node, cells > 4096, OXP_ELIMIT,
                     "has a window of %.0f cells, too many to write out", cells);
    const size_t n = (size_t)cells;
    oxp_val *parts = OXP_NEW(b->ctx->scratch, oxp_val, n), x = OXP_NO_VAL, taken = OXP_NO_VAL;
    OXP_NOMEM_IF(b->ctx, parts);
    if (p.max) x = oxp_b_pad(b, node->in[0], u.pads, -(double)INFINITY);
    const oxp_val dy = p.max ? node->in[2] : oxp_b_mul(b, node->in[0], shares(b, &p));
    for (size_t i = 0; i < n; i++) {
        go_to(&u, (int64_t)i);
        const oxp_val part = p.max ? first_hit(b, &u, x, node->in[1], dy, &taken) : dy;
        parts[i] = OXP_EMIT1(b, &oxp_op__SliceGrad, part, OXP_INTS("starts", u.start, axes),
                             OXP_INTS("axes", u.axes, axes), OXP_INTS("steps", p.stride, axes),
                             OXP_INTS("input_shape", u.padded.dim, rank));
    }
    out[0] = oxp_b_pad(b, oxp_b_sum(b, parts, n), u.crop, 0);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define WINDOW_ATTRS                                                                               \
    {"auto_pad", OXP_ATTR_STRING, NULL}, {"ceil_mode", OXP_ATTR_INT, NULL},                        \
    {"kernel_shape", OXP_ATTR_INTS, NULL}, {"pads", OXP_ATTR_INTS, NULL},                          \
    {"strides", OXP_ATTR_INTS, NULL}, {"dilations", OXP_ATTR_INTS, NULL}
#define MAX_ATTRS_ONLY {"storage_order", OXP_ATTR_INT, "0,1"}
#define AVERAGE_ATTRS_ONLY {"count_include_pad", OXP_ATTR_INT, NULL}
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec max_attrs[] = {WINDOW_ATTRS, MAX_ATTRS_ONLY, END};
static const oxp_attr_spec average_attrs[] = {WINDOW_ATTRS, AVERAGE_ATTRS_ONLY, END};
static const oxp_attr_spec average_grad_attrs[] = {
    WINDOW_ATTRS, AVERAGE_ATTRS_ONLY, {"input_shape", OXP_ATTR_INTS, NULL}, END};

const oxp_op oxp_op_MaxPool = {
    .name = "MaxPool", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 2, .since = 1,
    .flags = OXP_OP_CHANNELS_LAST, .attrs = max_attrs, .exact = exact_pool, .infer = infer_pool,
    .grad = grad_max, .ref = ref_pool, .lower = lower_pool};
const oxp_op oxp_op_AveragePool = {
    .name = "AveragePool", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_CHANNELS_LAST | OXP_OP_LINEAR, .attrs = average_attrs, .infer = infer_pool,
    .grad = grad_average, .ref = ref_pool, .lower = lower_pool};
const oxp_op oxp_op_GlobalMaxPool = {
    .name = "GlobalMaxPool", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_CHANNELS_LAST, .infer = infer_pool, .grad = grad_max, .ref = ref_pool,
    .lower = lower_pool};
const oxp_op oxp_op_GlobalAveragePool = {
    .name = "GlobalAveragePool", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_CHANNELS_LAST | OXP_OP_LINEAR, .infer = infer_global_average, .grad = grad_global_average,
    .ref = ref_global_average, .lower = lower_global_average};
const oxp_op oxp_op__MaxPoolGrad = {
    .name = "_MaxPoolGrad", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_CHANNELS_LAST, .attrs = max_attrs, .infer = infer_max_grad,
    .ref = ref_pool_grad, .lower = lower_pool_grad, .expand = expand_pool_grad};
const oxp_op oxp_op__AveragePoolGrad = {
    .name = "_AveragePoolGrad", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_CHANNELS_LAST, .attrs = average_grad_attrs,
    .infer = infer_average_grad, .grad = grad_average_grad, .ref = ref_pool_grad,
    .lower = lower_pool_grad, .expand = expand_pool_grad};
/* clang-format on */
