/* window.c - see window.h. Every number is checked to fit 31 bits, so that products of two of them
 * fit int64_t. */
#include "ops/window.h"

#include "ops/infer.h"
#include <string.h>

oxp_status oxp_window_ints(oxp_ctx *ctx, const oxp_node *node, const char *name, size_t want,
                           const int64_t **out)
{
    size_t n;
    const int64_t *ints = oxp_attr_ints(node, name, &n);
    OXP_NODE_FAIL_IF(ctx, node, n != 0 && n != want, OXP_EINVAL, "has %zu %s, expected %zu", n,
                     name, want);
    *out = n ? ints : NULL;
    return OXP_OK;
}

static oxp_status in_range(oxp_ctx *ctx, const oxp_node *node, const char *what, int64_t v,
                           int64_t low)
{
    OXP_NODE_FAIL_IF(ctx, node, v < low || v > INT32_MAX, OXP_EINVAL,
                     "has %s %lld, expected %lld to %d", what, (long long)v, (long long)low,
                     INT32_MAX);
    return OXP_OK;
}

/* SAME: out = ceil(in / stride), and as much padding as that needs, the odd cell after (UPPER) or
 * before (LOWER). */
static void pad_same(oxp_window *w, int64_t reach, bool lower)
{
    w->out = (w->in + w->stride - 1) / w->stride;
    const int64_t need = (w->out - 1) * w->stride + reach - w->in, total = need > 0 ? need : 0;
    w->pad_begin = lower ? total - total / 2 : total / 2;
    w->pad_end = total - w->pad_begin;
}

static oxp_status count_windows(oxp_ctx *ctx, const oxp_node *node, int64_t reach, bool ceil_mode,
                                oxp_window *w)
{
    const int64_t span = w->in + w->pad_begin + w->pad_end - reach;
    OXP_NODE_FAIL_IF(ctx, node, span < 0, OXP_EINVAL,
                     "has a window of %lld cells over an input of %lld, padding included",
                     (long long)reach, (long long)(w->in + w->pad_begin + w->pad_end));
    w->out = (ceil_mode ? span + w->stride - 1 : span) / w->stride + 1;
    if (ceil_mode && (w->out - 1) * w->stride >= w->in + w->pad_begin) w->out--;
    return OXP_OK;
}

oxp_status oxp_window_read(oxp_ctx *ctx, const oxp_node *node, int axes, int axis, int64_t in,
                           int64_t kernel, bool ceil_mode, oxp_window *out)
{
    const int64_t *strides, *dilations, *pads;
    OXP_TRY(oxp_window_ints(ctx, node, "strides", (size_t)axes, &strides));
    OXP_TRY(oxp_window_ints(ctx, node, "dilations", (size_t)axes, &dilations));
    OXP_TRY(oxp_window_ints(ctx, node, "pads", 2 * (size_t)axes, &pads));
    oxp_window w = {.in = in,
                    .kernel = kernel,
                    .stride = strides ? strides[axis] : 1,
                    .dilation = dilations ? dilations[axis] : 1};
    OXP_TRY(in_range(ctx, node, "an input axis of size", w.in, 1));
    OXP_TRY(in_range(ctx, node, "a kernel axis of size", w.kernel, 1));
    OXP_TRY(in_range(ctx, node, "stride", w.stride, 1));
    OXP_TRY(in_range(ctx, node, "dilation", w.dilation, 1));
    const int64_t reach = w.dilation * (w.kernel - 1) + 1;
    const char *mode = oxp_attr_string(node, "auto_pad", "NOTSET");
    const bool upper = strcmp(mode, "SAME_UPPER") == 0, lower = strcmp(mode, "SAME_LOWER") == 0;
    const bool valid = strcmp(mode, "VALID") == 0;
    OXP_NODE_FAIL_IF(ctx, node, !upper && !lower && !valid && strcmp(mode, "NOTSET") != 0,
                     OXP_EINVAL,
                     "has auto_pad '%s', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", mode);
    if (upper || lower) {
        pad_same(&w, reach, lower);
    } else {
        w.pad_begin = pads && !valid ? pads[axis] : 0;
        w.pad_end = pads && !valid ? pads[axes + axis] : 0;
        OXP_TRY(in_range(ctx, node, "padding", w.pad_begin, 0));
        OXP_TRY(in_range(ctx, node, "padding", w.pad_end, 0));
        OXP_TRY(count_windows(ctx, node, reach, ceil_mode && !valid, &w));
    }
    *out = w;
    return OXP_OK;
}

oxp_status oxp_window_kernel(oxp_ctx *ctx, const oxp_node *node, int axes, const int64_t *fallback,
                             int64_t kernel[3])
{
    const int64_t *given;
    OXP_TRY(oxp_window_ints(ctx, node, "kernel_shape", (size_t)axes, &given));
    OXP_NODE_FAIL_IF(ctx, node, !given && !fallback, OXP_EINVAL, "has no %s", "kernel_shape");
    for (int a = 0; a < axes; a++) {
        OXP_NODE_FAIL_IF(ctx, node, given && fallback && given[a] != fallback[a], OXP_EINVAL,
                         "has kernel_shape %lld on axis %d but weights of %lld",
                         (long long)given[a], a, (long long)fallback[a]);
        kernel[a] = given ? given[a] : fallback[a];
    }
    return OXP_OK;
}
