/* conv_transpose.c - ConvTranspose with 1 to 3 spatial axes, and Col2Im, which is one with fixed
 * weights.
 *
 *   y[n,m,j] = bias[m] + sum over c in m's group, i, k with j = i stride - pad + k dilation:
 *              w[c,m,k] x[n,c,i]
 *
 * This is the adjoint of the convolution from y to x with the same weights, so both are composites:
 * the fast executor and reverse mode see _ConvGradX, cells of y that lie beyond its reach (zeros,
 * from output_padding or output_shape), and the bias. */
#include "ops/conv.h"

#include "ops/infer.h"
#include "ops/slice.h"
#include "ops/window.h"
#include <string.h>

typedef struct transposed {
    oxp_conv conv;     /* from y, without the cells beyond, to x */
    int64_t beyond[3]; /* cells at the end of each axis of y */
    oxp_shape y;
} transposed;

/* ---- geometry ---- */

typedef struct setting { /* attributes of all axes; NULL: absent */
    const int64_t *strides, *dilations, *pads, *more, *shape;
    bool same, upper, valid;
} setting;

static oxp_status read_setting(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, setting *s)
{
    const size_t axes = (size_t)x->rank - 2;
    *s = (setting){0};
    OXP_TRY(oxp_window_ints(ctx, node, "strides", axes, &s->strides));
    OXP_TRY(oxp_window_ints(ctx, node, "dilations", axes, &s->dilations));
    OXP_TRY(oxp_window_ints(ctx, node, "pads", 2 * axes, &s->pads));
    OXP_TRY(oxp_window_ints(ctx, node, "output_padding", axes, &s->more));
    size_t n;
    s->shape = oxp_attr_ints(node, "output_shape", &n);
    if (n == axes + 2) s->shape += 2; /* with batch and channels, as some exporters write it */
    OXP_NODE_FAIL_IF(ctx, node, n != 0 && n != axes && n != axes + 2, OXP_EINVAL,
                     "has %zu numbers in output_shape, expected %zu", n, axes);
    const char *mode = oxp_attr_string(node, "auto_pad", "NOTSET");
    s->upper = strcmp(mode, "SAME_UPPER") == 0;
    s->same = s->upper || strcmp(mode, "SAME_LOWER") == 0;
    s->valid = strcmp(mode, "VALID") == 0;
    OXP_NODE_FAIL_IF(ctx, node, !s->same && !s->valid && strcmp(mode, "NOTSET") != 0, OXP_EINVAL,
                     "has auto_pad '%s', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", mode);
    return OXP_OK;
}

/* One axis. When the size of y is given (or is SAME: in * stride), the padding is what is too much,
 * its odd cell before unless SAME_UPPER; what is too little becomes cells beyond. */
static oxp_status read_axis(oxp_ctx *ctx, const oxp_node *node, const setting *s, int axes, int a,
                            transposed *t)
{
    oxp_conv *c = &t->conv;
    const int64_t in = c->out[a], kernel = c->kernel[a];
    const int64_t stride = s->strides ? s->strides[a] : 1, more = s->more ? s->more[a] : 0;
    const int64_t dilation = s->dilations ? s->dilations[a] : 1;
    int64_t begin = s->pads && !s->valid ? s->pads[a] : 0;
    int64_t end = s->pads && !s->valid ? s->pads[axes + a] : 0;
    const int64_t given[] = {in, kernel, stride, dilation, begin, end, more};
    for (size_t i = 0; i < OXP_COUNT(given); i++)
        OXP_NODE_FAIL_IF(ctx, node, given[i] < (i < 4) || given[i] > INT32_MAX, OXP_EINVAL,
                         "has %lld among the sizes, strides, dilations and pads of axis %d",
                         (long long)given[i], 2 + a);
    const int64_t whole = stride * (in - 1) + dilation * (kernel - 1) + 1;
    if (s->shape || s->same) {
        const int64_t want = s->shape ? s->shape[a] : in * stride, much = whole + more - want;
        const int64_t total = much > 0 ? much : 0;
        begin = s->upper ? total / 2 : total - total / 2;
        end = total - begin;
    }
    const int64_t y = s->shape ? s->shape[a] : s->same ? in * stride : whole + more - begin - end;
    const int64_t spare = y - (whole - begin - end);
    t->beyond[a] = spare > 0 ? spare - spare % stride : 0;
    OXP_NODE_FAIL_IF(ctx, node, y - t->beyond[a] < 1 || y > INT32_MAX || spare < 0, OXP_EINVAL,
                     "makes an axis of %lld cells from %lld", (long long)y, (long long)in);
    c->stride[a] = stride;
    c->dilation[a] = dilation;
    c->pad_begin[a] = begin;
    c->pad_end[a] = end;
    c->in[a] = y - t->beyond[a];
    t->y.dim[2 + a] = y;
    return OXP_OK;
}

static oxp_status read_transposed(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                                  const oxp_shape *w, transposed *out)
{
    char xs[OXP_SHAPE_TEXT], ws[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(ctx, node, x->rank < 3 || x->rank > 5 || w->rank != x->rank, OXP_EUNSUPPORTED,
                     "has input %s and weights %s; 1 to 3 spatial axes are supported",
                     oxp_shape_text(x, xs), oxp_shape_text(w, ws));
    const int axes = x->rank - 2;
    transposed t = {.y.rank = x->rank};
    setting s;
    oxp_conv *c = &t.conv;
    c->axes = axes;
    c->n = x->dim[0];
    c->k = x->dim[1];
    c->group = oxp_attr_int(node, "group", 1);
    OXP_NODE_FAIL_IF(ctx, node,
                     c->k < 1 || c->group < 1 || c->group > INT32_MAX || c->k % c->group != 0 ||
                         w->dim[0] != c->k || w->dim[1] < 1 || w->dim[1] > INT32_MAX,
                     OXP_EINVAL, "has input %s, weights %s and %lld groups, which do not fit",
                     oxp_shape_text(x, xs), oxp_shape_text(w, ws), (long long)c->group);
    c->c = w->dim[1] * c->group;
    t.y.dim[0] = c->n;
    t.y.dim[1] = c->c;
    OXP_TRY(oxp_window_kernel(ctx, node, axes, &w->dim[2], c->kernel));
    OXP_TRY(read_setting(ctx, node, x, &s));
    for (int a = 0; a < 3; a++) {
        c->in[a] = c->out[a] = c->stride[a] = c->dilation[a] = 1;
        if (a >= axes) c->kernel[a] = 1;
        if (a < axes) c->out[a] = x->dim[2 + a];
        if (a < axes) OXP_TRY(read_axis(ctx, node, &s, axes, a, &t));
    }
    *out = t;
    return OXP_OK;
}

/* y without the cells beyond */
static oxp_shape core_shape(const transposed *t)
{
    oxp_shape s = t->y;
    for (int a = 0; a < t->conv.axes; a++) s.dim[2 + a] = t->conv.in[a];
    return s;
}

/* Adds (sign 1) or removes (-1) the cells beyond. */
static oxp_val reach_beyond(oxp_build *b, const transposed *t, oxp_val v, int sign)
{
    int64_t pads[2 * OXP_MAX_RANK] = {0};
    for (int a = 0; a < t->conv.axes; a++) pads[t->y.rank + 2 + a] = sign * t->beyond[a];
    return oxp_b_pad(b, v, pads, 0);
}

/* ---- ConvTranspose ---- */

static oxp_status infer_transposed(oxp_infer *inf)
{
    transposed t;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_TRY(
        read_transposed(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &t));
    if (oxp_infer_has(inf, 2)) {
        const oxp_shape *bias = oxp_infer_shape(inf, 2);
        char text[OXP_SHAPE_TEXT];
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, bias->rank != 1 || bias->dim[0] != t.conv.c,
                         OXP_EINVAL, "has a bias of shape %s, expected (%lld)",
                         oxp_shape_text(bias, text), (long long)t.conv.c);
    }
    return oxp_infer_out(inf, 0, OXP_F32, &t.y);
}

/* With u = dy without the cells beyond:  dx = Conv(u, w);  dw = _ConvGradW(u, x);
 * dbias[m] = sum over n, j of dy[n,m,j] */
static oxp_status grad_transposed(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_node *node = g->node;
    const oxp_shape xs = *oxp_b_shape(b, node->in[0]);
    transposed t;
    int64_t pads[6];
    oxp_attr attrs[OXP_CONV_ATTRS];
    OXP_TRY(read_transposed(b->ctx, node, &xs, oxp_b_shape(b, node->in[1]), &t));
    const oxp_val u = g->wants[0] || g->wants[1] ? reach_beyond(b, &t, g->dy[0], -1) : OXP_NO_VAL;
    size_t n = oxp_conv_attrs(&t.conv, pads, attrs);
    if (g->wants[0])
        g->dx[0] = oxp_emit(b, &oxp_op_Conv, (const oxp_val[]){u, node->in[1]}, 2, attrs, n);
    attrs[n++] = OXP_INTS("kernel_shape", t.conv.kernel, (size_t)t.conv.axes);
    if (g->wants[1])
        g->dx[1] = oxp_emit(b, &oxp_op__ConvGradW, (const oxp_val[]){u, node->in[0]}, 2, attrs, n);
    if (oxp_node_has(node, 2) && g->wants[2])
        g->dx[2] = oxp_b_reduce_sum(b, g->dy[0], (const int64_t[]){0, 2, 3, 4},
                                    1 + (size_t)t.conv.axes, false);
    return b->status;
}

/* Every x spread over y through every tap. */
static oxp_status ref_transposed(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0], *w = &call->in_shape[1];
    transposed t;
    OXP_TRY(read_transposed(call->ctx, call->node, x, w, &t));
    const oxp_conv *c = &t.conv;
    const int64_t n = oxp_shape_elements(&t.y), cells = n / (c->n * c->c);
    double *y = call->out[0];
    for (int64_t i = 0; i < n; i++)
        y[i] = oxp_node_has(call->node, 2) ? call->in[2][i / cells % c->c] : 0;
    oxp_shape taps = *w;
    taps.dim[0] = 1;
    const int64_t per_channel = oxp_shape_elements(&taps);
    int64_t at[OXP_MAX_RANK] = {0}, i = 0;
    do {
        int64_t tap[OXP_MAX_RANK] = {0}, k = at[1] * per_channel;
        do {
            int64_t j = at[0] * c->c + at[1] / (c->k / c->group) * w->dim[1] + tap[1];
            bool inside = true;
            for (int a = 0; a < c->axes; a++) {
                const int64_t cell =
                    at[2 + a] * c->stride[a] - c->pad_begin[a] + tap[2 + a] * c->dilation[a];
                inside = inside && cell >= 0 && cell < t.y.dim[2 + a];
                j = j * t.y.dim[2 + a] + cell;
            }
            if (inside) y[j] += call->in[0][i] * call->in[1][k];
            k++;
        } while (oxp_index_next(&taps, tap));
        i++;
    } while (oxp_index_next(x, at));
    return OXP_OK;
}

/* _ConvGradX(x, w), the cells beyond, bias */
static oxp_status expand_transposed(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    transposed t;
    int64_t pads[6];
    oxp_attr attrs[OXP_CONV_ATTRS];
    OXP_TRY(read_transposed(b->ctx, node, oxp_b_shape(b, node->in[0]), oxp_b_shape(b, node->in[1]),
                            &t));
    const oxp_shape core = core_shape(&t);
    size_t n = oxp_conv_attrs(&t.conv, pads, attrs);
    attrs[n++] = OXP_INTS("input_shape", core.dim, (size_t)core.rank);
    oxp_val y = oxp_emit(b, &oxp_op__ConvGradX, node->in, 2, attrs, n);
    y = reach_beyond(b, &t, y, 1);
    if (oxp_node_has(node, 2)) {
        oxp_shape each = {.rank = core.rank, .dim = {1, t.conv.c, 1, 1, 1}};
        y = oxp_b_add(b, y, oxp_b_reshape(b, node->in[2], &each));
    }
    out[0] = y;
    return b->status;
}

/* ---- Col2Im: x (N, C taps, blocks) -> image (N,C,axes...), each column added where it was cut out
 * ---- */

static oxp_status read_columns(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, oxp_conv *c,
                               oxp_shape *image)
{
    size_t axes, n;
    const int64_t *size = oxp_attr_ints(node, "image_shape", &axes);
    const int64_t *block = oxp_attr_ints(node, "block_shape", &n);
    OXP_NODE_FAIL_IF(ctx, node, axes < 1 || axes > 3 || n != axes || x->rank != 3, OXP_EUNSUPPORTED,
                     "has %zu image axes, %zu block axes and an input of rank %d; 1 to 3 axes are "
                     "supported",
                     axes, n, x->rank);
    oxp_conv v = {.axes = (int)axes, .n = x->dim[0]};
    int64_t taps = 1, blocks = 1;
    for (int a = 0; a < 3; a++) {
        oxp_window w = {1, 1, 1, 1, 1, 0, 0};
        if (a < v.axes)
            OXP_TRY(oxp_window_read(ctx, node, v.axes, a, size[a], block[a], false, &w));
        v.in[a] = w.in;
        v.out[a] = w.out;
        v.kernel[a] = w.kernel;
        v.stride[a] = w.stride;
        v.dilation[a] = w.dilation;
        v.pad_begin[a] = w.pad_begin;
        v.pad_end[a] = w.pad_end;
        OXP_NODE_FAIL_IF(ctx, node, taps > INT32_MAX / w.kernel, OXP_ELIMIT,
                         "has blocks of more than %d cells", INT32_MAX);
        taps *= w.kernel;
        blocks *= w.out <= x->dim[2] ? w.out : 0;
    }
    OXP_NODE_FAIL_IF(
        ctx, node,
        v.n < 1 || x->dim[1] < 1 || x->dim[1] % taps != 0 || blocks < 1 || blocks != x->dim[2],
        OXP_EINVAL, "has %lld columns of %lld, expected %lld of a multiple of %lld",
        (long long)x->dim[2], (long long)x->dim[1], (long long)blocks, (long long)taps);
    v.k = x->dim[1];
    v.c = v.group = v.k / taps;
    *image = (oxp_shape){.rank = v.axes + 2, .dim = {v.n, v.c}};
    memcpy(&image->dim[2], v.in, axes * sizeof(int64_t));
    *c = v;
    return OXP_OK;
}

static oxp_status infer_columns(oxp_infer *inf)
{
    oxp_conv c;
    oxp_shape image;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_columns(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &c, &image));
    return oxp_infer_out(inf, 0, OXP_F32, &image);
}

static oxp_status ref_columns(const oxp_call *call)
{
    oxp_conv c;
    oxp_shape image;
    OXP_TRY(read_columns(call->ctx, call->node, &call->in_shape[0], &c, &image));
    const oxp_shape all = {
        .rank = 8,
        .dim = {c.n, c.c, c.kernel[0], c.kernel[1], c.kernel[2], c.out[0], c.out[1], c.out[2]}};
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&image) * sizeof(double));
    int64_t at[OXP_MAX_RANK] = {0}, i = 0;
    do {
        int64_t j = at[0] * c.c + at[1];
        bool inside = true;
        for (int a = 0; a < 3; a++) {
            const int64_t cell =
                at[5 + a] * c.stride[a] - c.pad_begin[a] + at[2 + a] * c.dilation[a];
            inside = inside && cell >= 0 && cell < c.in[a];
            j = j * c.in[a] + cell;
        }
        if (inside) call->out[0][j] += call->in[0][i];
        i++;
    } while (oxp_index_next(&all, at));
    return OXP_OK;
}

/* w[tap, 0, k] = 1 where k is the tap: (taps, 1, kernel...), repeated for each channel's group */
static oxp_val unit_weights(oxp_build *b, const oxp_conv *c)
{
    const int64_t taps = c->k / c->c;
    oxp_shape one = {.rank = 4, .dim = {1, taps, 1, taps}}, all = one;
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    if (b->status == OXP_OK && !t) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status == OXP_OK) b->status = oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &one, t);
    if (b->status != OXP_OK) return OXP_NO_VAL;
    for (int64_t i = 0; i < taps; i++) ((double *)(uintptr_t)t->data)[i * taps + i] = 1;
    all.dim[0] = c->c;
    oxp_shape w = {.rank = c->axes + 2, .dim = {c->k, 1}};
    memcpy(&w.dim[2], c->kernel, (size_t)c->axes * sizeof(int64_t));
    return oxp_b_reshape(b, oxp_b_expand(b, oxp_b_const(b, OXP_F32, t), &all), &w);
}

static oxp_status expand_columns(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_conv c;
    oxp_shape image;
    int64_t pads[6];
    oxp_attr attrs[OXP_CONV_ATTRS];
    OXP_TRY(read_columns(b->ctx, node, oxp_b_shape(b, node->in[0]), &c, &image));
    const oxp_shape dy = oxp_conv_result(&c);
    size_t n = oxp_conv_attrs(&c, pads, attrs);
    attrs[n++] = OXP_INTS("input_shape", image.dim, (size_t)image.rank);
    const oxp_val in[2] = {oxp_b_reshape(b, node->in[0], &dy), unit_weights(b, &c)};
    out[0] = oxp_emit(b, &oxp_op__ConvGradX, in, 2, attrs, n);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec transposed_attrs[] = {
    {"auto_pad", OXP_ATTR_STRING, NULL}, {"dilations", OXP_ATTR_INTS, NULL},
    {"group", OXP_ATTR_INT, NULL}, {"kernel_shape", OXP_ATTR_INTS, NULL},
    {"output_padding", OXP_ATTR_INTS, NULL}, {"output_shape", OXP_ATTR_INTS, NULL},
    {"pads", OXP_ATTR_INTS, NULL}, {"strides", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec columns_attrs[] = {
    {"dilations", OXP_ATTR_INTS, NULL}, {"pads", OXP_ATTR_INTS, NULL},
    {"strides", OXP_ATTR_INTS, NULL}, {"image_shape", OXP_ATTR_INTS, NULL},
    {"block_shape", OXP_ATTR_INTS, NULL}, END};
static const oxp_const_in columns_in[] = {
    {1, "image_shape", OXP_ATTR_INTS}, {2, "block_shape", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_ConvTranspose = {
    .name = "ConvTranspose", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_CHANNELS_LAST | OXP_OP_LINEAR, .attrs = transposed_attrs,
    .infer = infer_transposed, .grad = grad_transposed, .ref = ref_transposed,
    .expand = expand_transposed};
const oxp_op oxp_op_Col2Im = {
    .name = "Col2Im", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1, .since = 18,
    .flags = OXP_OP_COMPOSITE | OXP_OP_LINEAR, .attrs = columns_attrs, .const_in = columns_in,
    .infer = infer_columns, .ref = ref_columns, .expand = expand_columns};
/* clang-format on */
