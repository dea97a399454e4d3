/* nhwc.c - com.microsoft's NhwcConv, which ONNX Runtime's optimiser writes for convolutions with channels last:
 *
 *   y[n,o,k] = bias[k] + sum over c in k's group, i:  w[k,i,c] x[n, o stride - pad + i dilation, c]
 *
 * x (N,axes...,C), w (K,kernel...,C/group) as its fusion_nhwc_conv.py transposes them, attributes as Conv's.
 * Specialisation makes a Conv between transpositions of it. */
#include "ops/conv.h"

#include "ops/infer.h"
#include <string.h>

/* (N,axes...,C) as (N,C,axes...) */
static oxp_shape channels_first(const oxp_shape *s)
{
    oxp_shape out = *s;
    if (s->rank < 3) return out;
    out.dim[1] = s->dim[s->rank - 1];
    for (int a = 1; a < s->rank - 1; a++) out.dim[a + 1] = s->dim[a];
    return out;
}

static oxp_status read_conv(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                            const oxp_shape *w, oxp_conv *conv)
{
    const oxp_shape xs = channels_first(x), ws = channels_first(w);
    return oxp_conv_read(ctx, node, &xs, &ws, conv);
}

static oxp_status infer_nhwc(oxp_infer *inf)
{
    oxp_conv conv;
    char text[OXP_SHAPE_TEXT];
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_TRY(
        read_conv(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &conv));
    if (oxp_infer_has(inf, 2)) {
        const oxp_shape *bias = oxp_infer_shape(inf, 2);
        OXP_TRY(oxp_infer_float(inf, 2));
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, bias->rank != 1 || bias->dim[0] != conv.k, OXP_EINVAL,
                         "has a bias of shape %s, expected (%lld)", oxp_shape_text(bias, text),
                         (long long)conv.k);
    }
    oxp_shape y = {.rank = conv.axes + 2, .dim = {conv.n}};
    memcpy(&y.dim[1], conv.out, (size_t)conv.axes * sizeof(int64_t));
    y.dim[conv.axes + 1] = conv.k;
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

/* One result of one channel: o are its coordinates. */
static double one_result(const oxp_call *call, const oxp_conv *c, int64_t n, const int64_t o[3],
                         int64_t k)
{
    const int64_t share = c->c / c->group, from = k / (c->k / c->group) * share;
    double sum = oxp_node_has(call->node, 2) ? call->in[2][k] : 0.0;
    for (int64_t i = 0; i < c->kernel[0]; i++)
        for (int64_t j = 0; j < c->kernel[1]; j++)
            for (int64_t l = 0; l < c->kernel[2]; l++) {
                const int64_t tap[3] = {i, j, l};
                int64_t at = n, weight = k;
                bool inside = true;
                for (int a = 0; a < 3; a++) {
                    const int64_t p =
                        o[a] * c->stride[a] - c->pad_begin[a] + tap[a] * c->dilation[a];
                    inside = inside && p >= 0 && p < c->in[a];
                    at = at * c->in[a] + p;
                    weight = weight * c->kernel[a] + tap[a];
                }
                for (int64_t m = 0; inside && m < share; m++)
                    sum += call->in[1][weight * share + m] * call->in[0][at * c->c + from + m];
            }
    return sum;
}

static oxp_status ref_nhwc(const oxp_call *call)
{
    oxp_conv c;
    OXP_TRY(read_conv(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1], &c));
    double *y = call->out[0];
    int64_t o[3];
    for (int64_t n = 0; n < c.n; n++)
        for (o[0] = 0; o[0] < c.out[0]; o[0]++)
            for (o[1] = 0; o[1] < c.out[1]; o[1]++)
                for (o[2] = 0; o[2] < c.out[2]; o[2]++)
                    for (int64_t k = 0; k < c.k; k++) *y++ = one_result(call, &c, n, o, k);
    return OXP_OK;
}

static oxp_status expand_nhwc(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    oxp_conv conv;
    int64_t pads[6], first[OXP_MAX_RANK] = {0}, last[OXP_MAX_RANK] = {0};
    oxp_attr attrs[OXP_CONV_ATTRS];
    OXP_TRY(
        read_conv(b->ctx, node, oxp_b_shape(b, node->in[0]), oxp_b_shape(b, node->in[1]), &conv));
    const size_t n = oxp_conv_attrs(&conv, pads, attrs);
    const int rank = conv.axes + 2;
    first[1] = rank - 1;
    last[rank - 1] = 1;
    for (int a = 1; a < rank - 1; a++) {
        first[a + 1] = a;
        last[a] = a + 1;
    }
    const oxp_val in[] = {oxp_b_transpose(b, node->in[0], first),
                          oxp_b_transpose(b, node->in[1], first),
                          oxp_node_has(node, 2) ? node->in[2] : OXP_NO_VAL};
    const oxp_val y = oxp_emit(b, &oxp_op_Conv, in, oxp_node_has(node, 2) ? 3 : 2, attrs, n);
    out[0] = oxp_b_transpose(b, y, last);
    return b->status;
}

static const oxp_attr_spec attrs_nhwc[] = {{"auto_pad", OXP_ATTR_STRING, NULL},
                                           {"dilations", OXP_ATTR_INTS, NULL},
                                           {"group", OXP_ATTR_INT, NULL},
                                           {"kernel_shape", OXP_ATTR_INTS, NULL},
                                           {"pads", OXP_ATTR_INTS, NULL},
                                           {"strides", OXP_ATTR_INTS, NULL},
                                           {NULL, 0, NULL}};

const oxp_op oxp_op_ms_NhwcConv = {.name = "com.microsoft::NhwcConv",
                                   .min_in = 2,
                                   .max_in = 3,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .since = 1,
                                   .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN,
                                   .attrs = attrs_nhwc,
                                   .infer = infer_nhwc,
                                   .ref = ref_nhwc,
                                   .expand = expand_nhwc};
