/* pad.c - Pad (constant, reflect, edge, wrap; negative pads crop), its adjoint, and Tile.
 *
 * Result cell o of a padded axis reads input cell i = o - before; outside the input, constant takes
 * the value, edge the nearest cell, wrap begins again at the other end, and reflect turns back at the
 * borders without repeating them, as often as needed. The last three are tables of one tap (resize.h),
 * so their adjoint, _PadGrad, adds each dy to the cell that was read. */
#include "base/checked.h"
#include "ops/infer.h"
#include "ops/layout.h"
#include "ops/resize.h"
#include "ops/slice.h"
#include <string.h>

/* ---- Pad: geometry ---- */

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;
static const char *const mode_names[] = {"constant", "reflect", "edge", "wrap"};

typedef struct padding { /* not to be copied */
    pad_mode mode;
    int64_t pads[2 * OXP_MAX_RANK];
    const int64_t *before, *after; /* per axis, in pads */
} padding;

/* One pair per axis, or per axis named by `axes`. */
static oxp_status read_pads(oxp_ctx *ctx, const oxp_node *node, int rank, padding *p)
{
    size_t n, n_axes;
    const int64_t *given = oxp_attr_ints(node, "pads", &n);
    const int64_t *axes = oxp_attr_ints(node, "axes", &n_axes);
    bool seen[OXP_MAX_RANK] = {false};
    if (!axes) n_axes = (size_t)rank;
    OXP_NODE_FAIL_IF(ctx, node, !given || n != 2 * n_axes, OXP_EINVAL,
                     "has %zu pads for %zu axes of an input of rank %d", n, n_axes, rank);
    for (size_t i = 0; i < n_axes; i++) {
        int a;
        OXP_TRY(oxp_norm_axis(ctx, axes ? axes[i] : (int64_t)i, rank, &a));
        OXP_NODE_FAIL_IF(ctx, node, seen[a], OXP_EINVAL, "names axis %d twice", a);
        seen[a] = true;
        p->pads[a] = given[i];
        p->pads[rank + a] = given[n_axes + i];
    }
    p->before = p->pads;
    p->after = p->pads + rank;
    return OXP_OK;
}

static oxp_status read_padding(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, padding *p,
                               oxp_shape *y)
{
    const char *mode = oxp_attr_string(node, "mode", mode_names[0]);
    size_t m = 0;
    while (m < OXP_COUNT(mode_names) && strcmp(mode, mode_names[m]) != 0) m++;
    OXP_NODE_FAIL_IF(ctx, node, m == OXP_COUNT(mode_names), OXP_EUNSUPPORTED,
                     "has mode '%s', which is not supported", mode);
    *p = (padding){.mode = (pad_mode)m};
    OXP_TRY(read_pads(ctx, node, x->rank, p));
    *y = *x;
    for (int a = 0; a < x->rank; a++) {
        const int64_t before = p->before[a], after = p->after[a];
        const bool small = before >= -INT32_MAX && before <= INT32_MAX && after >= -INT32_MAX &&
                           after <= INT32_MAX;
        OXP_NODE_FAIL_IF(ctx, node,
                         !small || !oxp_add_i64(y->dim[a], before + after, &y->dim[a]) ||
                             y->dim[a] < 0 ||
                             (x->dim[a] == 0 && y->dim[a] > 0 && m != PAD_CONSTANT),
                         OXP_EINVAL, "cannot pad axis %d of %lld cells by %lld and %lld", a,
                         (long long)x->dim[a], (long long)before, (long long)after);
    }
    return OXP_OK;
}

/* The input cell for position i of an axis of dim cells; -1: none. */
static int64_t source(pad_mode mode, int64_t i, int64_t dim)
{
    if (i >= 0 && i < dim) return i;
    if (mode == PAD_CONSTANT) return -1;
    if (mode == PAD_WRAP) return (i % dim + dim) % dim;
    if (mode == PAD_EDGE || dim == 1) return i < 0 ? 0 : dim - 1;
    const int64_t period = 2 * (dim - 1), phase = (i % period + period) % period;
    return phase < dim ? phase : period - phase;
}

/* ---- Pad and _PadGrad ---- */

static oxp_status infer_pad(oxp_infer *inf)
{
    padding p;
    oxp_shape y;
    OXP_TRY(read_padding(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &p, &y));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status infer_pad_grad(oxp_infer *inf)
{
    padding p;
    oxp_shape y;
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    OXP_TRY(read_padding(inf->ctx, inf->node, &inf->shape[0], &p, &y));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(oxp_infer_shape(inf, 0), &y),
                     OXP_EINTERNAL, "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

/* constant: dx = Pad(dy) with the pads negated, which crops what was added and puts zeros for what
 * was cropped; else dx = _PadGrad(dy) */
static oxp_status grad_pad(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    padding p;
    oxp_shape y;
    int64_t negated[2 * OXP_MAX_RANK];
    OXP_TRY(read_padding(g->b->ctx, g->node, &x, &p, &y));
    for (int i = 0; i < 2 * x.rank; i++) negated[i] = -p.before[i];
    g->dx[0] = p.mode == PAD_CONSTANT ? oxp_b_pad(g->b, g->dy[0], negated, 0)
                                      : OXP_EMIT1(g->b, &oxp_op__PadGrad, g->dy[0],
                                                  OXP_INTS("pads", p.before, 2 * (size_t)x.rank),
                                                  OXP_STR("mode", mode_names[p.mode]),
                                                  OXP_INTS("input_shape", x.dim, (size_t)x.rank));
    return g->b->status;
}

/* Linear in dy: the adjoint of the adjoint is Pad. */
static oxp_status grad_pad_grad(oxp_grad *g)
{
    size_t n;
    const int64_t *pads = oxp_attr_ints(g->node, "pads", &n);
    g->dx[0] = OXP_EMIT1(g->b, &oxp_op_Pad, g->dy[0], OXP_INTS("pads", pads, n),
                         OXP_STR("mode", oxp_attr_string(g->node, "mode", "constant")));
    return g->b->status;
}

/* y = x padded, or back: x += y where y read x. */
static void apply(const padding *p, const oxp_shape *x, const oxp_shape *y, bool back, double value,
                  const double *from, double *to)
{
    int64_t at[OXP_MAX_RANK] = {0};
    if (oxp_shape_elements(y) == 0) return;
    int64_t o = 0;
    do {
        int64_t i = 0;
        for (int a = 0; i >= 0 && a < x->rank; a++) {
            const int64_t cell = source(p->mode, at[a] - p->before[a], x->dim[a]);
            i = cell < 0 ? -1 : i * x->dim[a] + cell;
        }
        if (!back)
            to[o] = i < 0 ? value : from[i];
        else if (i >= 0)
            to[i] += from[o];
        o++;
    } while (oxp_index_next(y, at));
}

static oxp_status ref_pad(const oxp_call *call)
{
    padding p;
    oxp_shape y;
    OXP_TRY(read_padding(call->ctx, call->node, &call->in_shape[0], &p, &y));
    apply(&p, &call->in_shape[0], &y, false, oxp_attr_float(call->node, "value", 0), call->in[0],
          call->out[0]);
    return OXP_OK;
}

static oxp_status ref_pad_grad(const oxp_call *call)
{
    padding p;
    oxp_shape y;
    OXP_TRY(read_padding(call->ctx, call->node, &call->out_shape[0], &p, &y));
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    apply(&p, &call->out_shape[0], &y, true, 0, call->in[0], call->out[0]);
    return OXP_OK;
}

/* Reflection, edge and wrap as tables of one tap with weight 1. */
static oxp_status build_tables(oxp_ctx *ctx, oxp_arena *arena, const padding *p, const oxp_shape *x,
                               const oxp_shape *y, oxp_resize *t)
{
    *t = (oxp_resize){.rank = x->rank};
    for (int a = 0; a < x->rank; a++) {
        t->taps[a] = 1;
        if (p->before[a] == 0 && p->after[a] == 0) continue;
        int64_t *index = OXP_NEW(arena, int64_t, y->dim[a]);
        double *weight = OXP_NEW(arena, double, y->dim[a]);
        OXP_FAIL_IF(ctx, !index || !weight, OXP_ENOMEM, "out of memory");
        for (int64_t o = 0; o < y->dim[a]; o++) {
            index[o] = source(p->mode, o - p->before[a], x->dim[a]);
            weight[o] = 1;
        }
        t->index[a] = index;
        t->weight[a] = weight;
    }
    return OXP_OK;
}

/* Constant: the overlap of x and y is copied (a view when nothing is added), the rest filled. */
static oxp_status lower_constant(oxp_lower *lw, const oxp_node *node, const padding *p,
                                 const oxp_shape *xs)
{
    const oxp_val x = node->in[0], y = node->out[0];
    oxp_part from = oxp_lower_whole(lw, x);
    int64_t begin[OXP_MAX_RANK], count[OXP_MAX_RANK];
    bool adds = false, empty = false;
    for (int a = 0; a < xs->rank; a++) {
        const int64_t cut = p->before[a] < 0 ? -p->before[a] : 0,
                      end = xs->dim[a] + (p->after[a] < 0 ? p->after[a] : 0);
        begin[a] = p->before[a] > 0 ? p->before[a] : 0;
        count[a] = end > cut ? end - cut : 0;
        empty = empty || count[a] == 0;
        adds = adds || p->before[a] > 0 || p->after[a] > 0;
        oxp_part_narrow(&from, a, count[a] ? cut : 0, count[a], 1);
    }
    if (!adds) return oxp_lower_alias(lw, y, x, &from.place);
    OXP_TRY(oxp_lower_result(lw, y, oxp_layout_of(lw, x)));
    OXP_TRY(oxp_lower_fill(lw, y, oxp_attr_float(node, "value", 0)));
    if (empty) return OXP_OK;
    oxp_part to = oxp_lower_whole(lw, y);
    for (int a = 0; a < xs->rank; a++) oxp_part_narrow(&to, a, begin[a], count[a], 1);
    return oxp_lower_copy(lw, &from, &to);
}

static oxp_status lower_pad(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const bool back = node->op == &oxp_op__PadGrad;
    const oxp_shape *x = oxp_shape_at(g, back ? node->out[0] : node->in[0]);
    padding p;
    oxp_shape y;
    OXP_TRY(read_padding(oxp_lower_ctx(lw), node, x, &p, &y));
    if (p.mode == PAD_CONSTANT && !back) return lower_constant(lw, node, &p, x);
    if (oxp_value_of(g, node->in[0])->dtype != OXP_F32) return oxp_lower_by_ref(lw, node);
    oxp_resize *t = OXP_NEW(oxp_lower_arena(lw), oxp_resize, 1);
    OXP_NOMEM_IF(oxp_lower_ctx(lw), t);
    OXP_TRY(build_tables(oxp_lower_ctx(lw), oxp_lower_arena(lw), &p, x, &y, t));
    return back ? oxp_lower_resize_grad(lw, t, node->in[0], node->out[0])
                : oxp_lower_resize(lw, t, node->in[0], node->out[0]);
}

static oxp_status expand_pad_grad(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = oxp_node_shape(node, "input_shape");
    padding p;
    oxp_shape y;
    oxp_resize t;
    OXP_TRY(read_padding(b->ctx, node, &x, &p, &y));
    OXP_TRY(build_tables(b->ctx, b->ctx->scratch, &p, &x, &y, &t));
    out[0] = oxp_b_tables_adjoint(b, &t, &x, node->in[0]);
    return b->status;
}

/* ---- Tile ---- */

static oxp_status read_repeats(oxp_ctx *ctx, const oxp_node *node, int rank,
                               const int64_t **repeats)
{
    size_t n;
    *repeats = oxp_attr_ints(node, "repeats", &n);
    OXP_NODE_FAIL_IF(ctx, node, n != (size_t)rank, OXP_EINVAL,
                     "has %zu repeats for an input of rank %d", n, rank);
    return OXP_OK;
}

static oxp_status infer_tile(oxp_infer *inf)
{
    oxp_shape y = *oxp_infer_shape(inf, 0);
    const int64_t *repeats;
    OXP_TRY(read_repeats(inf->ctx, inf->node, y.rank, &repeats));
    for (int a = 0; a < y.rank; a++)
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_mul_i64(y.dim[a], repeats[a], &y.dim[a]),
                         OXP_EINVAL, "repeats axis %d %lld times", a, (long long)repeats[a]);
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

/* dx = the sum of dy over the repetitions, axis by axis: (before, r, n after) -> (before, n after)
 */
static oxp_status grad_tile(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    const int64_t *repeats;
    OXP_TRY(read_repeats(g->b->ctx, g->node, x.rank, &repeats));
    oxp_val dx = g->dy[0];
    for (int axis = 0; axis < x.rank; axis++) {
        oxp_shape three = {.rank = 3, .dim = {1, repeats[axis], 1}};
        for (int a = 0; a < x.rank; a++) {
            if (a < axis)
                three.dim[0] *= x.dim[a]; /* already summed */
            else
                three.dim[2] *= a == axis ? x.dim[a] : x.dim[a] * repeats[a];
        }
        if (repeats[axis] != 1)
            dx = oxp_b_reduce_sum(g->b, oxp_b_reshape(g->b, dx, &three), (const int64_t[]){1}, 1,
                                  false);
    }
    g->dx[0] = oxp_b_reshape(g->b, dx, &x);
    return g->b->status;
}

static oxp_status ref_tile(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0], *y = &call->out_shape[0];
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    if (oxp_shape_elements(y) == 0) return OXP_OK;
    do {
        int64_t i = 0;
        for (int a = 0; a < x->rank; a++) i = i * x->dim[a] + at[a] % x->dim[a];
        call->out[0][o++] = call->in[0][i];
    } while (oxp_index_next(y, at));
    return OXP_OK;
}

/* One copy: each repeated axis becomes two, of which the first is repeated in x (stride 0) and
 * steps over whole copies in y. */
static oxp_status lower_tile(oxp_lower *lw, const oxp_node *node)
{
    const oxp_val x = node->in[0], y = node->out[0];
    const oxp_shape *xs = oxp_shape_at(oxp_lower_graph(lw), x);
    const int64_t *repeats;
    OXP_TRY(read_repeats(oxp_lower_ctx(lw), node, xs->rank, &repeats));
    int rank = xs->rank;
    for (int a = 0; a < xs->rank; a++) rank += repeats[a] != 1;
    if (rank > OXP_MAX_RANK) return oxp_lower_by_ref(lw, node);
    OXP_TRY(oxp_lower_result(lw, y, oxp_layout_of(lw, x)));
    const oxp_part px = oxp_lower_whole(lw, x), py = oxp_lower_whole(lw, y);
    oxp_part from = {.val = x, .place.offset = px.place.offset},
             to = {.val = y, .place.offset = py.place.offset};
    for (int a = 0; a < xs->rank; a++) {
        if (repeats[a] != 1) {
            from.dim[from.rank] = repeats[a];
            from.place.stride[from.rank] = 0;
            to.place.stride[from.rank++] = py.place.stride[a] * xs->dim[a];
        }
        from.dim[from.rank] = xs->dim[a];
        from.place.stride[from.rank] = px.place.stride[a];
        to.place.stride[from.rank++] = py.place.stride[a];
    }
    to.rank = from.rank;
    memcpy(to.dim, from.dim, sizeof to.dim);
    return oxp_lower_copy(lw, &from, &to);
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec pad_attrs[] = {
    {"mode", OXP_ATTR_STRING, "constant,reflect,edge,wrap"}, {"pads", OXP_ATTR_INTS, NULL},
    {"axes", OXP_ATTR_INTS, NULL},
    {"value", OXP_ATTR_FLOAT, NULL}, END};
static const oxp_attr_spec pad_grad_attrs[] = {
    {"mode", OXP_ATTR_STRING, NULL}, {"pads", OXP_ATTR_INTS, NULL},
    {"input_shape", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec tile_attrs[] = {{"repeats", OXP_ATTR_INTS, NULL}, END};
static const oxp_const_in pad_in[] = {
    {1, "pads", OXP_ATTR_INTS}, {2, "value", OXP_ATTR_FLOAT}, {3, "axes", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};
static const oxp_const_in tile_in[] = {{1, "repeats", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_Pad = {
    .name = "Pad", .min_in = 1, .max_in = 4, .min_out = 1, .max_out = 1, .since = 1,
    .attrs = pad_attrs, .const_in = pad_in, .infer = infer_pad, .grad = grad_pad, .ref = ref_pad,
    .lower = lower_pad};
const oxp_op oxp_op__PadGrad = {
    .name = "_PadGrad", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = pad_grad_attrs, .infer = infer_pad_grad,
    .grad = grad_pad_grad, .ref = ref_pad_grad, .lower = lower_pad, .expand = expand_pad_grad};
const oxp_op oxp_op_Tile = {
    .name = "Tile", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 6,
    .flags = OXP_OP_SHAPE_ONLY, .attrs = tile_attrs, .const_in = tile_in, .infer = infer_tile,
    .grad = grad_tile, .ref = ref_tile, .lower = lower_tile};
/* clang-format on */
