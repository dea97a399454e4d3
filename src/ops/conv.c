/* conv.c - Conv with 1 to 3 spatial axes, its adjoints with respect to x and w, and the fused form.
 *
 *   y[n,k,o] = bias[k] + sum over c in k's group, i:  w[k,c,i] x[n,c, o stride - pad + i dilation]
 *
 * _ConvGradX reads the same sum backwards and is linear in dy, so its own adjoint is a Conv again.
 * _ConvGradW is asked for where weights are computed from the input, as dynamic convolutions do. */
#include "ops/conv.h"

#include "ops/infer.h"
#include "ops/post.h"
#include "ops/slice.h"
#include "ops/window.h"
#include <string.h>

enum { MAX_TAPS = 4096 }; /* of a window that is written out cell by cell */

static oxp_status read_axes(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                            const oxp_shape *w, oxp_conv *c)
{
    OXP_TRY(oxp_window_kernel(ctx, node, c->axes, &w->dim[2], c->kernel));
    for (int a = 0; a < 3; a++) {
        oxp_window win = {1, 1, 1, 1, 1, 0, 0};
        if (a < c->axes)
            OXP_TRY(
                oxp_window_read(ctx, node, c->axes, a, x->dim[2 + a], c->kernel[a], false, &win));
        c->in[a] = win.in;
        c->out[a] = win.out;
        c->kernel[a] = win.kernel;
        c->stride[a] = win.stride;
        c->dilation[a] = win.dilation;
        c->pad_begin[a] = win.pad_begin;
        c->pad_end[a] = win.pad_end;
    }
    return OXP_OK;
}

oxp_status oxp_conv_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, const oxp_shape *w,
                         oxp_conv *out)
{
    char xs[OXP_SHAPE_TEXT], ws[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(ctx, node, x->rank < 3 || x->rank > 5 || w->rank != x->rank, OXP_EUNSUPPORTED,
                     "has input %s and weights %s; 1 to 3 spatial axes are supported",
                     oxp_shape_text(x, xs), oxp_shape_text(w, ws));
    oxp_conv c = {.axes = x->rank - 2, .n = x->dim[0], .c = x->dim[1], .k = w->dim[0]};
    c.group = oxp_attr_int(node, "group", 1);
    OXP_NODE_FAIL_IF(ctx, node,
                     c.c < 1 || c.k < 1 || c.group < 1 || c.c % c.group != 0 ||
                         c.c / c.group != w->dim[1] || c.k % c.group != 0,
                     OXP_EINVAL, "has input %s, weights %s and %lld groups, which do not fit",
                     oxp_shape_text(x, xs), oxp_shape_text(w, ws), (long long)c.group);
    OXP_TRY(read_axes(ctx, node, x, w, &c));
    *out = c;
    return OXP_OK;
}

oxp_shape oxp_conv_result(const oxp_conv *conv)
{
    oxp_shape y = {.rank = conv->axes + 2, .dim = {conv->n, conv->k}};
    memcpy(&y.dim[2], conv->out, (size_t)conv->axes * sizeof(int64_t));
    return y;
}

/* ---- infer ---- */

static oxp_status infer_conv(oxp_infer *inf)
{
    oxp_conv conv;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_TRY(oxp_conv_read(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1),
                          &conv));
    const oxp_shape y = oxp_conv_result(&conv);
    if (oxp_infer_has(inf, 2)) {
        const oxp_shape *bias = oxp_infer_shape(inf, 2);
        char text[OXP_SHAPE_TEXT];
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, bias->rank != 1 || bias->dim[0] != conv.k, OXP_EINVAL,
                         "has a bias of shape %s, expected (%lld)", oxp_shape_text(bias, text),
                         (long long)conv.k);
    }
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_has(inf, 3) && !oxp_shape_equal(oxp_infer_shape(inf, 3), &y),
                     OXP_EINTERNAL, "has a residual of another %s", "shape");
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

static oxp_status infer_grad_x(oxp_infer *inf)
{
    oxp_conv conv;
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    OXP_TRY(oxp_conv_read(inf->ctx, inf->node, &inf->shape[0], oxp_infer_shape(inf, 1), &conv));
    const oxp_shape y = oxp_conv_result(&conv);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(oxp_infer_shape(inf, 0), &y),
                     OXP_EINTERNAL, "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

/* ---- grad ---- */

size_t oxp_conv_attrs(const oxp_conv *c, int64_t pads[6], oxp_attr attrs[OXP_CONV_ATTRS])
{
    const size_t axes = (size_t)c->axes;
    for (size_t a = 0; a < axes; a++) {
        pads[a] = c->pad_begin[a];
        pads[axes + a] = c->pad_end[a];
    }
    attrs[0] = OXP_INT("group", c->group);
    attrs[1] = OXP_INTS("strides", c->stride, axes);
    attrs[2] = OXP_INTS("dilations", c->dilation, axes);
    attrs[3] = OXP_INTS("pads", pads, 2 * axes);
    return 4;
}

/* dx = _ConvGradX(dy, w);  dw = _ConvGradW(x, dy);  dbias[k] = sum over n, o of dy[n,k,o] */
static oxp_status grad_conv(oxp_grad *g)
{
    const oxp_val x = g->node->in[0], w = g->node->in[1], dy = g->dy[0];
    oxp_conv conv;
    int64_t pads[6];
    oxp_attr attrs[OXP_CONV_ATTRS];
    const oxp_shape xs = *oxp_b_shape(g->b, x);
    OXP_TRY(oxp_conv_read(g->b->ctx, g->node, &xs, oxp_b_shape(g->b, w), &conv));
    const size_t n = oxp_conv_attrs(&conv, pads, attrs);
    attrs[n] = OXP_INTS("input_shape", xs.dim, (size_t)xs.rank);
    if (g->wants[0])
        g->dx[0] = oxp_emit(g->b, &oxp_op__ConvGradX, (const oxp_val[]){dy, w}, 2, attrs, n + 1);
    attrs[n] = OXP_INTS("kernel_shape", conv.kernel, (size_t)conv.axes);
    if (g->wants[1])
        g->dx[1] = oxp_emit(g->b, &oxp_op__ConvGradW, (const oxp_val[]){x, dy}, 2, attrs, n + 1);
    if (oxp_node_has(g->node, 2) && g->wants[2])
        g->dx[2] =
            oxp_b_reduce_sum(g->b, dy, (const int64_t[]){0, 2, 3, 4}, 1 + (size_t)conv.axes, false);
    return g->b->status;
}

static oxp_status read_grad_x(oxp_build *b, const oxp_node *node, oxp_shape *x, oxp_conv *conv)
{
    *x = oxp_node_shape(node, "input_shape");
    return oxp_conv_read(b->ctx, node, x, oxp_b_shape(b, node->in[1]), conv);
}

/* dx = A' dy, so for an adjoint z of dx: the adjoint of dy is A z = Conv(z, w); that of w is what it
 * would be for the convolution of z, _ConvGradW(z, dy). */
static oxp_status grad_grad_x(oxp_grad *g)
{
    oxp_shape x;
    oxp_conv conv;
    int64_t pads[6];
    oxp_attr attrs[OXP_CONV_ATTRS];
    const oxp_val z = g->dy[0], dy = g->node->in[0];
    OXP_TRY(read_grad_x(g->b, g->node, &x, &conv));
    const size_t n = oxp_conv_attrs(&conv, pads, attrs);
    if (g->wants[0])
        g->dx[0] = oxp_emit(g->b, &oxp_op_Conv, (const oxp_val[]){z, g->node->in[1]}, 2, attrs, n);
    attrs[n] = OXP_INTS("kernel_shape", conv.kernel, (size_t)conv.axes);
    if (g->wants[1])
        g->dx[1] = oxp_emit(g->b, &oxp_op__ConvGradW, (const oxp_val[]){z, dy}, 2, attrs, n + 1);
    return g->b->status;
}

/* (x, dy): w (K,C/group,kernel...), the convolution and the shapes agreeing */
static oxp_status read_grad_w(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                              const oxp_shape *dy, oxp_shape *w, oxp_conv *conv)
{
    size_t n;
    const int64_t *kernel = oxp_attr_ints(node, "kernel_shape", &n);
    const int64_t group = oxp_attr_int(node, "group", 1);
    OXP_NODE_FAIL_IF(ctx, node,
                     x->rank < 3 || x->rank > 5 || dy->rank != x->rank ||
                         n != (size_t)x->rank - 2 || group < 1 || x->dim[1] % group != 0,
                     OXP_EINVAL, "has %zu kernel axes for an input of rank %d", n, x->rank);
    *w = (oxp_shape){.rank = x->rank, .dim = {dy->dim[1], x->dim[1] / group}};
    memcpy(&w->dim[2], kernel, n * sizeof(int64_t));
    OXP_TRY(oxp_conv_read(ctx, node, x, w, conv));
    const oxp_shape y = oxp_conv_result(conv);
    OXP_NODE_FAIL_IF(ctx, node, !oxp_shape_equal(&y, dy), OXP_EINVAL,
                     "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

static oxp_status infer_grad_w(oxp_infer *inf)
{
    oxp_shape w;
    oxp_conv conv;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_TRY(read_grad_w(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &w,
                        &conv));
    return oxp_infer_out(inf, 0, OXP_F32, &w);
}

/* <z, dw> = <Conv(x, z), dy>, so for an adjoint z of dw: that of x is _ConvGradX(dy, z), that of dy is
 * Conv(x, z). */
static oxp_status grad_grad_w(oxp_grad *g)
{
    const oxp_val x = g->node->in[0], dy = g->node->in[1], z = g->dy[0];
    const oxp_shape xs = *oxp_b_shape(g->b, x);
    oxp_shape w;
    oxp_conv conv;
    int64_t pads[6];
    oxp_attr attrs[OXP_CONV_ATTRS];
    OXP_TRY(read_grad_w(g->b->ctx, g->node, &xs, oxp_b_shape(g->b, dy), &w, &conv));
    const size_t n = oxp_conv_attrs(&conv, pads, attrs);
    if (g->wants[1]) g->dx[1] = oxp_emit(g->b, &oxp_op_Conv, (const oxp_val[]){x, z}, 2, attrs, n);
    attrs[n] = OXP_INTS("input_shape", xs.dim, (size_t)xs.rank);
    if (g->wants[0])
        g->dx[0] = oxp_emit(g->b, &oxp_op__ConvGradX, (const oxp_val[]){dy, z}, 2, attrs, n + 1);
    return g->b->status;
}

/* ---- ref ---- */

typedef struct sums { /* the result is the one that is added to */
    double *x, *w, *y;
    enum { INTO_Y, INTO_X, INTO_W } into;
} sums;

/* to[i] += w from[i] over n cells, `to_step` and `from_step` apart. */
OXP_SIMD static void add_row(double *restrict to, int64_t to_step, const double *restrict from,
                             int64_t from_step, double w, int64_t n)
{
    if (to_step == 1 && from_step == 1)
        for (int64_t i = 0; i < n; i++) to[i] += w * from[i];
    else
        for (int64_t i = 0; i < n; i++) to[i * to_step] += w * from[i * from_step];
}

/* All terms x w y of the weight *w, at cell `tap` of the kernel, between one plane of the input and
 * one of the result. */
static void add_tap(const oxp_conv *c, const sums *s, const int64_t tap[3], double *x_plane,
                    double *w, double *y_plane)
{
    int64_t start[3], lo[3], hi[3];
    for (int a = 0; a < 3; a++) {
        start[a] = tap[a] * c->dilation[a] - c->pad_begin[a];
        lo[a] = oxp_window_first(start[a], c->stride[a], c->out[a]);
        hi[a] = oxp_window_last(start[a], c->stride[a], c->out[a], c->in[a]);
    }
    const int64_t n = hi[2] - lo[2], step = c->stride[2];
    for (int64_t o0 = lo[0]; o0 < hi[0]; o0++)
        for (int64_t o1 = lo[1]; o1 < hi[1]; o1++) {
            const int64_t row =
                (start[0] + o0 * c->stride[0]) * c->in[1] + start[1] + o1 * c->stride[1];
            double *y = y_plane + (o0 * c->out[1] + o1) * c->out[2] + lo[2];
            double *x = x_plane + row * c->in[2] + start[2] + lo[2] * step;
            if (s->into == INTO_Y) add_row(y, 1, x, step, *w, n);
            if (s->into == INTO_X) add_row(x, step, y, 1, *w, n);
            for (int64_t i = 0; s->into == INTO_W && i < n; i++) *w += x[i * step] * y[i];
        }
}

/* A kernel of one cell does not see rows: the plane is one. */
static void join_rows(oxp_conv *c)
{
    for (int a = 0; a < 3; a++)
        if (c->kernel[a] != 1 || c->stride[a] != 1 || c->in[a] != c->out[a] || c->pad_begin[a] != 0)
            return;
    c->in[2] = c->out[2] = c->in[0] * c->in[1] * c->in[2];
    c->in[0] = c->in[1] = c->out[0] = c->out[1] = 1;
}

/* The weights outside, the cells inside: a result adds its terms one by one in the order of the
 * kernel, but along rows, which compilers turn into vectors. */
static void scan(const oxp_conv *conv, const sums *s)
{
    oxp_conv c = *conv;
    join_rows(&c);
    const int64_t cg = c.c / c.group, kg = c.k / c.group;
    const int64_t in = c.in[0] * c.in[1] * c.in[2], out = c.out[0] * c.out[1] * c.out[2];
    const oxp_shape weights = {.rank = 5, .dim = {c.k, cg, c.kernel[0], c.kernel[1], c.kernel[2]}};
    for (int64_t n = 0; n < c.n; n++) {
        int64_t at[OXP_MAX_RANK] = {0}, i = 0;
        do {
            const int64_t x = n * c.c + at[0] / kg * cg + at[1], y = n * c.k + at[0];
            add_tap(&c, s, at + 2, s->x + x * in, s->w + i++, s->y + y * out);
        } while (oxp_index_next(&weights, at));
    }
}

static double *operand(const oxp_call *call, size_t i)
{
    return (double *)(uintptr_t)call->in[i];
}

static oxp_status ref_conv(const oxp_call *call)
{
    oxp_conv c;
    OXP_TRY(oxp_conv_read(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1], &c));
    const bool has_bias = oxp_node_has(call->node, 2), has_residual = oxp_node_has(call->node, 3);
    const oxp_post post = oxp_post_read(call->node);
    const int64_t n = oxp_shape_elements(&call->out_shape[0]), cells = n / (c.n * c.k);
    double *y = call->out[0];
    for (int64_t i = 0; i < n; i++)
        y[i] = (has_bias ? call->in[2][i / cells % c.k] : 0) + (has_residual ? call->in[3][i] : 0);
    scan(&c, &(sums){operand(call, 0), operand(call, 1), y, INTO_Y});
    oxp_post_apply(&post, y, n);
    return OXP_OK;
}

static oxp_status ref_grad_x(const oxp_call *call)
{
    oxp_conv c;
    OXP_TRY(oxp_conv_read(call->ctx, call->node, &call->out_shape[0], &call->in_shape[1], &c));
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    scan(&c, &(sums){call->out[0], operand(call, 1), operand(call, 0), INTO_X});
    return OXP_OK;
}

static oxp_status ref_grad_w(const oxp_call *call)
{
    oxp_shape w;
    oxp_conv c;
    OXP_TRY(read_grad_w(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1], &w, &c));
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&w) * sizeof(double));
    scan(&c, &(sums){operand(call, 0), call->out[0], operand(call, 1), INTO_W});
    return OXP_OK;
}

/* ---- lower ---- */

static oxp_val input(const oxp_node *node, size_t i)
{
    return oxp_node_has(node, i) ? node->in[i] : OXP_NO_VAL;
}

static oxp_status lower_conv(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    oxp_conv conv;
    OXP_TRY(oxp_conv_read(oxp_lower_ctx(lw), node, oxp_shape_at(g, node->in[0]),
                          oxp_shape_at(g, node->in[1]), &conv));
    const oxp_post post = oxp_post_read(node);
    return oxp_lower_conv(lw, &conv, &post, node->in[0], node->in[1], input(node, 2),
                          input(node, 3), node->out[0]);
}

static oxp_status lower_grad_x(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    oxp_conv conv;
    OXP_TRY(oxp_conv_read(oxp_lower_ctx(lw), node, oxp_shape_at(g, node->out[0]),
                          oxp_shape_at(g, node->in[1]), &conv));
    return oxp_lower_conv_grad_x(lw, &conv, node->in[0], node->in[1], node->out[0]);
}

/* ---- expand ---- */

/* w (g K', C', i...) -> (g C', K', reversed i...): the weights of the convolution that runs
 * backwards */
static oxp_val flipped_weights(oxp_build *b, const oxp_conv *c, oxp_val w)
{
    const int64_t kg = c->k / c->group, cg = c->c / c->group;
    oxp_shape split = {.rank = c->axes + 3, .dim = {c->group, kg, cg}};
    oxp_shape joined = {.rank = c->axes + 2, .dim = {c->c, kg}};
    int64_t perm[OXP_MAX_RANK] = {0, 2, 1, 3, 4, 5}, from[3], to[3], axes[3], steps[3];
    for (int a = 0; a < c->axes; a++) {
        split.dim[3 + a] = joined.dim[2 + a] = c->kernel[a];
        from[a] = -1;
        to[a] = INT64_MIN;
        axes[a] = 2 + a;
        steps[a] = -1;
    }
    const size_t n = (size_t)c->axes;
    w = oxp_b_reshape(b, oxp_b_transpose(b, oxp_b_reshape(b, w, &split), perm), &joined);
    return OXP_EMIT1(b, &oxp_op_Slice, w, OXP_INTS("starts", from, n), OXP_INTS("ends", to, n),
                     OXP_INTS("axes", axes, n), OXP_INTS("steps", steps, n));
}

/* dx = Conv(Pad(u), flipped w) with stride 1, where u is dy with stride - 1 zeros between its
 * cells: dx[i] = sum over j of w[j] u[i + pad - j dilation], which is u padded by (kernel - 1)
 * dilation - pad before. */
static oxp_status expand_grad_x(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_shape x;
    oxp_conv c;
    OXP_TRY(read_grad_x(b, node, &x, &c));
    const int rank = x.rank;
    oxp_val u = node->in[0];
    int64_t pads[2 * OXP_MAX_RANK] = {0};
    for (int a = 0; a < c.axes; a++) {
        u = oxp_b_dilate(b, u, 2 + a, c.stride[a]);
        pads[2 + a] = (c.kernel[a] - 1) * c.dilation[a] - c.pad_begin[a];
        pads[rank + 2 + a] = c.in[a] + c.pad_begin[a] - ((c.out[a] - 1) * c.stride[a] + 1);
    }
    u = oxp_b_pad(b, u, pads, 0);
    const oxp_val w = flipped_weights(b, &c, node->in[1]);
    const oxp_attr attrs[] = {OXP_INT("group", c.group),
                              OXP_INTS("dilations", c.dilation, (size_t)c.axes)};
    out[0] = oxp_emit(b, &oxp_op_Conv, (const oxp_val[]){u, w}, 2, attrs, 2);
    return b->status;
}

/* (N,C,T,O): what tap t of the window over each of the O result cells reads */
static oxp_val columns_of(oxp_build *b, const oxp_conv *c, oxp_val x, int64_t taps, int64_t cells)
{
    const int rank = c->axes + 2;
    const size_t n = (size_t)c->axes;
    const oxp_shape one = {.rank = 4, .dim = {c->n, c->c, 1, cells}};
    int64_t pads[2 * OXP_MAX_RANK] = {0}, from[3], to[3], axes[3] = {2, 3, 4};
    oxp_val *parts = OXP_NEW(b->ctx->scratch, oxp_val, taps);
    if (!parts) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status != OXP_OK) return OXP_NO_VAL;
    for (int a = 0; a < c->axes; a++) {
        const int64_t reach = c->dilation[a] * (c->kernel[a] - 1) + 1;
        pads[2 + a] = c->pad_begin[a];
        pads[rank + 2 + a] = (c->out[a] - 1) * c->stride[a] + reach - c->in[a] - c->pad_begin[a];
    }
    x = oxp_b_pad(b, x, pads, 0);
    for (int64_t t = 0; t < taps; t++) {
        int64_t left = t;
        for (int a = c->axes - 1; a >= 0; a--) {
            from[a] = left % c->kernel[a] * c->dilation[a];
            to[a] = from[a] + (c->out[a] - 1) * c->stride[a] + 1;
            left /= c->kernel[a];
        }
        const oxp_val part =
            OXP_EMIT1(b, &oxp_op_Slice, x, OXP_INTS("starts", from, n), OXP_INTS("ends", to, n),
                      OXP_INTS("axes", axes, n), OXP_INTS("steps", c->stride, n));
        parts[t] = oxp_b_reshape(b, part, &one);
    }
    return oxp_b_concat(b, parts, (size_t)taps, 2);
}

/* dw = sum over n of dy (K,O) columns' (O, C T), group by group */
static oxp_status expand_grad_w(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_shape w;
    oxp_conv c;
    OXP_TRY(read_grad_w(b->ctx, node, oxp_b_shape(b, node->in[0]), oxp_b_shape(b, node->in[1]), &w,
                        &c));
    const double taps = (double)c.kernel[0] * (double)c.kernel[1] * (double)c.kernel[2];
    OXP_NODE_FAIL_IF(b->ctx, node, taps > MAX_TAPS, OXP_ELIMIT,
                     "has a window of %.0f cells, too many to write out", taps);
    const int64_t cells = c.out[0] * c.out[1] * c.out[2], t = (int64_t)taps, kg = c.k / c.group;
    const oxp_shape rows = {.rank = 4, .dim = {c.n, c.group, kg, cells}};
    const oxp_shape cols = {.rank = 4, .dim = {c.n, c.group, c.c / c.group * t, cells}};
    const oxp_val dy = oxp_b_reshape(b, node->in[1], &rows);
    oxp_val x = oxp_b_reshape(b, columns_of(b, &c, node->in[0], t, cells), &cols);
    x = oxp_b_transpose(b, x, (const int64_t[]){0, 1, 3, 2});
    const oxp_val sum = oxp_b_reduce_sum(b, oxp_b_matmul(b, dy, x), (const int64_t[]){0}, 1, false);
    out[0] = oxp_b_reshape(b, sum, &w);
    return b->status;
}

/* y = fn(Conv(x, w, bias) + residual) */
static oxp_status expand_fused(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_shape x = *oxp_b_shape(b, node->in[0]);
    oxp_conv conv;
    int64_t pads[6];
    oxp_attr attrs[OXP_CONV_ATTRS];
    OXP_TRY(oxp_conv_read(b->ctx, node, &x, oxp_b_shape(b, node->in[1]), &conv));
    const size_t n = oxp_conv_attrs(&conv, pads, attrs);
    oxp_val y = oxp_emit(b, &oxp_op_Conv, node->in, node->n_in < 3 ? node->n_in : 3, attrs, n);
    if (oxp_node_has(node, 3)) y = oxp_b_add(b, y, node->in[3]);
    const oxp_post post = oxp_post_read(node);
    out[0] = oxp_post_expand(b, &post, y);
    return b->status;
}

/* clang-format off */
#define CONV_ATTRS                                                                                 \
    {"auto_pad", OXP_ATTR_STRING, NULL}, {"dilations", OXP_ATTR_INTS, NULL},                       \
    {"group", OXP_ATTR_INT, NULL}, {"kernel_shape", OXP_ATTR_INTS, NULL},                          \
    {"pads", OXP_ATTR_INTS, NULL}, {"strides", OXP_ATTR_INTS, NULL}
static const oxp_attr_spec conv_attrs[] = {CONV_ATTRS, {NULL, OXP_ATTR_INT, NULL}};
static const oxp_attr_spec grad_attrs[] = {
    CONV_ATTRS, {"input_shape", OXP_ATTR_INTS, NULL}, {NULL, OXP_ATTR_INT, NULL}};
static const oxp_attr_spec fused_attrs[] = {
    CONV_ATTRS, {"fn", OXP_ATTR_STRING, NULL}, {"alpha", OXP_ATTR_FLOAT, NULL},
    {"beta", OXP_ATTR_FLOAT, NULL}, {NULL, OXP_ATTR_INT, NULL}};

const oxp_op oxp_op_Conv = {
    .name = "Conv", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_CHANNELS_LAST | OXP_OP_LINEAR, .attrs = conv_attrs, .infer = infer_conv, .grad = grad_conv,
    .ref = ref_conv, .lower = lower_conv};
const oxp_op oxp_op__ConvGradX = {
    .name = "_ConvGradX", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_CHANNELS_LAST, .attrs = grad_attrs, .infer = infer_grad_x,
    .grad = grad_grad_x, .ref = ref_grad_x, .lower = lower_grad_x, .expand = expand_grad_x};
const oxp_op oxp_op__ConvGradW = {
    .name = "_ConvGradW", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = conv_attrs, .infer = infer_grad_w, .grad = grad_grad_w,
    .ref = ref_grad_w, .expand = expand_grad_w};
const oxp_op oxp_op__Conv = {
    .name = "_Conv", .min_in = 2, .max_in = 4, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE | OXP_OP_CHANNELS_LAST, .attrs = fused_attrs,
    .infer = infer_conv, .ref = ref_conv, .lower = lower_conv, .expand = expand_fused};
/* clang-format on */
