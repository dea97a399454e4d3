/* unpool.c - MaxUnpool: maxima put back where MaxPool found them, zeros elsewhere; and its adjoint.
 *
 * Places count in the result's shape. With output_shape that is the shape given, as the standard's text
 * and ONNX Runtime have it; the standard's test counts in the shape that windows and strides alone would
 * give. The two are told apart by the windows: a maximum comes from its own. Every maximum gets the
 * adjoint of its cell. */
#include "ops/unpool.h"

#include "ops/infer.h"
#include "ops/window.h"
#include <string.h>

static int64_t cells_of(const int64_t size[3])
{
    return size[0] * size[1] * size[2];
}

bool oxp_unpool_fits(const oxp_unpool *u, const int64_t *place)
{
    if (memcmp(u->out, u->natural, sizeof u->out) == 0) return true;
    const int64_t cells = cells_of(u->in), n = u->n * u->c * cells;
    for (int64_t i = 0; i < n; i++) {
        int64_t o = i % cells, at = place[i] - i / cells * cells_of(u->out);
        if (at < 0 || at >= cells_of(u->out)) return false;
        for (int a = 2; a >= 0; a--) {
            const int64_t start = o % u->in[a] * u->stride[a] - u->pad_begin[a];
            const int64_t cell = at % u->out[a];
            if (cell < start || cell >= start + u->kernel[a]) return false;
            o /= u->in[a];
            at /= u->out[a];
        }
    }
    return true;
}

int64_t oxp_unpool_target(const oxp_unpool *u, bool fits, int64_t place)
{
    const int64_t *size = fits ? u->out : u->natural, planes = u->n * u->c;
    if (place < 0 || place >= planes * cells_of(size)) return -1;
    if (fits) return place;
    int64_t cell[3], at = place % cells_of(size), to = place / cells_of(size);
    for (int a = 2; a >= 0; a--) {
        cell[a] = at % size[a];
        at /= size[a];
        if (cell[a] >= u->out[a]) return -1;
    }
    for (int a = 0; a < 3; a++) to = to * u->out[a] + cell[a];
    return to;
}

/* (x, places), x (N,C,axes...) of what was pooled */
static oxp_status read_unpool(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                              oxp_unpool *out, oxp_shape *y)
{
    char text[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(ctx, node, x->rank < 3 || x->rank > 5, OXP_EUNSUPPORTED,
                     "has input %s; 1 to 3 spatial axes are supported", oxp_shape_text(x, text));
    const int axes = x->rank - 2;
    const int64_t *strides, *pads, *shape;
    oxp_unpool u = {.n = x->dim[0], .c = x->dim[1]};
    OXP_TRY(oxp_window_kernel(ctx, node, axes, NULL, u.kernel));
    OXP_TRY(oxp_window_ints(ctx, node, "strides", (size_t)axes, &strides));
    OXP_TRY(oxp_window_ints(ctx, node, "pads", 2 * (size_t)axes, &pads));
    OXP_TRY(oxp_window_ints(ctx, node, "output_shape", (size_t)x->rank, &shape));
    OXP_NODE_FAIL_IF(ctx, node, shape && (shape[0] != u.n || shape[1] != u.c), OXP_EINVAL,
                     "changes the batch or the channels of %s", oxp_shape_text(x, text));
    *y = *x;
    for (int a = 0; a < 3; a++) {
        u.in[a] = u.out[a] = u.natural[a] = u.stride[a] = 1;
        if (a >= axes) {
            u.kernel[a] = 1;
            continue;
        }
        const int64_t end = pads ? pads[axes + a] : 0, limit = INT32_MAX;
        u.in[a] = x->dim[2 + a];
        u.stride[a] = strides ? strides[a] : 1;
        u.pad_begin[a] = pads ? pads[a] : 0;
        OXP_NODE_FAIL_IF(ctx, node,
                         u.in[a] < 1 || u.in[a] > limit || u.stride[a] < 1 || u.stride[a] > limit ||
                             u.kernel[a] < 1 || u.kernel[a] > limit || u.pad_begin[a] < 0 ||
                             u.pad_begin[a] > limit || end < 0 || end > limit,
                         OXP_EINVAL, "has sizes, strides or pads on axis %d that do not fit",
                         2 + a);
        u.natural[a] = (u.in[a] - 1) * u.stride[a] + u.kernel[a] - u.pad_begin[a] - end;
        u.out[a] = shape ? shape[2 + a] : u.natural[a];
        OXP_NODE_FAIL_IF(ctx, node, u.natural[a] < 1 || u.out[a] < 1 || u.out[a] > limit,
                         OXP_EINVAL, "makes axis %d %lld cells long", 2 + a, (long long)u.out[a]);
        y->dim[2 + a] = u.out[a];
    }
    int64_t count;
    OXP_NODE_FAIL_IF(ctx, node, !oxp_shape_count(y, &count), OXP_ELIMIT, "makes a result of %s",
                     oxp_shape_text(y, text));
    *out = u;
    return OXP_OK;
}

/* MaxUnpool (x, places); _MaxUnpoolGrad (dy, places) */
static oxp_status infer_unpool(oxp_infer *inf)
{
    const bool back = inf->node->op == &oxp_op__MaxUnpoolGrad;
    const oxp_shape *x = oxp_infer_shape(inf, 0), *places = oxp_infer_shape(inf, 1);
    oxp_unpool u;
    oxp_shape y;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_unpool(inf->ctx, inf->node, places, &u, &y));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_dtype(inf, 1) != OXP_I64 || !oxp_shape_equal(back ? &y : places, x),
                     OXP_EINVAL, "has places of another shape than its %s, or no integers",
                     back ? "adjoint" : "input");
    return oxp_infer_out(inf, 0, OXP_F32, back ? places : &y);
}

static oxp_status emit_with(oxp_grad *g, const oxp_op *op)
{
    g->dx[0] = oxp_emit(g->b, op, (const oxp_val[]){g->dy[0], g->node->in[1]}, 2, g->node->attrs,
                        g->node->n_attrs);
    return g->b->status;
}

/* dx = _MaxUnpoolGrad(dy, places), which gathers; its adjoint puts back again. */
static oxp_status grad_unpool(oxp_grad *g)
{
    return emit_with(g, &oxp_op__MaxUnpoolGrad);
}

static oxp_status grad_gathered(oxp_grad *g)
{
    return emit_with(g, &oxp_op_MaxUnpool);
}

static oxp_status ref_unpool(const oxp_call *call)
{
    const bool back = call->node->op == &oxp_op__MaxUnpoolGrad;
    const int64_t n = oxp_shape_elements(&call->in_shape[1]);
    int64_t *place = OXP_NEW(call->scratch, int64_t, n + 1);
    oxp_unpool u;
    oxp_shape y;
    OXP_NOMEM_IF(call->ctx, place);
    OXP_TRY(read_unpool(call->ctx, call->node, &call->in_shape[1], &u, &y));
    for (int64_t i = 0; i < n; i++) place[i] = (int64_t)call->in[1][i];
    const bool fits = oxp_unpool_fits(&u, place);
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        const int64_t to = oxp_unpool_target(&u, fits, place[i]);
        OXP_NODE_FAIL_IF(call->ctx, call->node, to < 0, OXP_EINVAL,
                         "has place %lld outside of its result", (long long)place[i]);
        call->out[0][back ? i : to] = call->in[0][back ? to : i];
    }
    return OXP_OK;
}

static oxp_status lower_unpool(oxp_lower *lw, const oxp_node *node)
{
    oxp_unpool u;
    oxp_shape y;
    OXP_TRY(read_unpool(oxp_lower_ctx(lw), node, oxp_shape_at(oxp_lower_graph(lw), node->in[1]), &u,
                        &y));
    return oxp_lower_unpool(lw, &u, node->op == &oxp_op__MaxUnpoolGrad, node->in[0], node->in[1],
                            node->out[0]);
}

/* clang-format off */
static const oxp_attr_spec unpool_attrs[] = {
    {"kernel_shape", OXP_ATTR_INTS, NULL}, {"pads", OXP_ATTR_INTS, NULL},
    {"strides", OXP_ATTR_INTS, NULL}, {"output_shape", OXP_ATTR_INTS, NULL},
    {NULL, OXP_ATTR_INT, NULL}};
static const oxp_const_in unpool_in[] = {{2, "output_shape", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_MaxUnpool = {
    .name = "MaxUnpool", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = 9,
    .flags = OXP_OP_LINEAR, .attrs = unpool_attrs, .const_in = unpool_in, .infer = infer_unpool,
    .grad = grad_unpool, .ref = ref_unpool, .lower = lower_unpool};
const oxp_op oxp_op__MaxUnpoolGrad = {
    .name = "_MaxUnpoolGrad", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = unpool_attrs, .infer = infer_unpool, .grad = grad_gathered,
    .ref = ref_unpool, .lower = lower_unpool};
/* clang-format on */
