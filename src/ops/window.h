/* window.h - the geometry of sliding windows, shared by convolutions and pools. */
#ifndef OXP_OPS_WINDOW_H
#define OXP_OPS_WINDOW_H

#include "ir/op.h"

/* One spatial axis with everything resolved: window o covers the cells o * stride - pad_begin + k *
 * dilation, 0 <= k < kernel. */
typedef struct oxp_window {
    int64_t in, out, kernel, stride, dilation, pad_begin, pad_end;
} oxp_window;

/* Axis `axis` of `axes` of an operator with strides, dilations, pads and auto_pad, for an input of
 * `in` cells and a window of `kernel`. Refuses what does not fit. ceil_mode counts a last window
 * that hangs over the padded input, as long as it starts in the input or in the padding before it.
 */
oxp_status oxp_window_read(oxp_ctx *ctx, const oxp_node *node, int axes, int axis, int64_t in,
                           int64_t kernel, bool ceil_mode, oxp_window *out);

/* An attribute of `want` numbers, or NULL when absent or empty. */
oxp_status oxp_window_ints(oxp_ctx *ctx, const oxp_node *node, const char *name, size_t want,
                           const int64_t **out);

/* The kernel_shape attribute: one positive number per axis; fails when absent and `fallback` is
 * NULL. */
oxp_status oxp_window_kernel(oxp_ctx *ctx, const oxp_node *node, int axes, const int64_t *fallback,
                             int64_t kernel[3]);

/* The first of `cells` window cells starting at `start` that is not below 0, and the first that is
 * not below `limit`. */
static inline int64_t oxp_window_first(int64_t start, int64_t dilation, int64_t cells)
{
    const int64_t first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    return first < cells ? first : cells;
}

static inline int64_t oxp_window_last(int64_t start, int64_t dilation, int64_t cells, int64_t limit)
{
    const int64_t last = start >= limit ? 0 : (limit - start + dilation - 1) / dilation;
    return last < cells ? last : cells;
}

#endif
