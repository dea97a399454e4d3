/* lower.h - the interface between an operator and the fast executor: verbs that append steps to
 * a session's plan.
 *
 * Implemented to the right, in exec/; operators never see oneDNN. Lowering walks the graph once,
 * in order. For each node the operator says how its results lie in memory and appends the steps
 * that fill them. A value is a storage plus a *place*: an element offset and a stride per
 * logical axis, so transposes, reshapes, slices and broadcasts can be views. Storage elements
 * are float (F32), int64_t (I64) and uint8_t (BOOL). Activations are channels-last: logical
 * (N,C,H,W), memory N,H,W,C. */
#ifndef OXP_OPS_LOWER_H
#define OXP_OPS_LOWER_H

#include "ir/op.h"
#include "ops/fn.h"
#include "ops/indexed.h"

typedef enum oxp_layout { OXP_LAYOUT_ANY, OXP_LAYOUT_ROWS, OXP_LAYOUT_CHANNELS_LAST } oxp_layout;

typedef struct oxp_place {
    int64_t offset;               /* elements from the start of the storage */
    int64_t stride[OXP_MAX_RANK]; /* elements; 0 along a broadcast axis */
} oxp_place;

/* A rectangular part of a value: used by copies. dims are those of the part. */
typedef struct oxp_part {
    oxp_val val;
    int rank;
    int64_t dim[OXP_MAX_RANK];
    oxp_place place; /* within the value's storage */
} oxp_part;

oxp_ctx *oxp_lower_ctx(oxp_lower *lw);
const oxp_graph *oxp_lower_graph(oxp_lower *lw);
oxp_arena *oxp_lower_arena(oxp_lower *lw); /* the session's: for step arguments */

/* Where a value already lowered (or an input, or a constant) lies. */
const oxp_place *oxp_lower_place(oxp_lower *lw, oxp_val v);
/* True when v is dense in the given layout (axes of size 1 do not count; a value can be both). */
bool oxp_lower_is(oxp_lower *lw, oxp_val v, oxp_layout layout);
/* What reads v next would like it channels-last. */
bool oxp_lower_wants_channels_last(oxp_lower *lw, oxp_val v);
/* A value equal to v that is dense in `layout` (ANY: dense in some permutation): v itself, or a
 * copy made by an appended step (a reorder, counted) and remembered; for constants a converted
 * constant. An input still without layout takes this one. */
oxp_status oxp_lower_operand(oxp_lower *lw, oxp_val v, oxp_layout layout, oxp_val *out);
/* Gives result v a storage of its own, dense in `layout` (ANY: rows), or with the axis order of
 * `like` (same shape or broadcast from it: picks the layout that suits). May share the storage
 * of `inplace_with` (NO_VAL: none) if that value dies at this node. */
oxp_status oxp_lower_result(oxp_lower *lw, oxp_val v, oxp_layout layout);
oxp_status oxp_lower_result_like(oxp_lower *lw, oxp_val v, oxp_val like, oxp_val inplace_with);
/* Makes result v a view of `of`. */
oxp_status oxp_lower_alias(oxp_lower *lw, oxp_val v, oxp_val of, const oxp_place *place);
/* The whole of v as a part, and a part's narrowing: axis restricted to [start, start + count *
 * step). */
oxp_part oxp_lower_whole(oxp_lower *lw, oxp_val v);
void oxp_part_narrow(oxp_part *p, int axis, int64_t start, int64_t count, int64_t step);

/* ---- the general step ---- */
typedef struct oxp_host_call {
    void *const *ptr; /* inputs then outputs, place offsets applied; NULL for absent ones */
    const void *args; /* as given to oxp_lower_host */
    void *scratch;    /* scratch_bytes, 64-byte aligned, inside the workspace */
    int threads;
} oxp_host_call;
typedef oxp_status (*oxp_host_fn)(const oxp_host_call *call);
/* `what`: a short name for plans and profiles ("gather"). args live in oxp_lower_arena. */
oxp_status oxp_lower_host(oxp_lower *lw, const char *what, oxp_host_fn fn, const void *args,
                          const oxp_val *in, size_t n_in, const oxp_val *out, size_t n_out,
                          size_t scratch_bytes);
/* Evaluates node with its `ref` in double: only for small integer and boolean work. Declares the
 * results (rows). */
oxp_status oxp_lower_by_ref(oxp_lower *lw, const oxp_node *node);

/* ---- moving; the operator declares the result before (oxp_lower_result, _like) ---- */
/* same dims; any strides */
oxp_status oxp_lower_copy(oxp_lower *lw, const oxp_part *from, const oxp_part *to);
oxp_status oxp_lower_fill(oxp_lower *lw, oxp_val y, double value); /* any dtype */
/* Floats along axis of x; negative indices count from the end, others out of range are
 * OXP_EINVAL when run. _grad zeroes dx first. */
oxp_status oxp_lower_gather(oxp_lower *lw, oxp_val x, oxp_val index, int axis, oxp_val y);
oxp_status oxp_lower_gather_grad(oxp_lower *lw, oxp_val dy, oxp_val index, int axis, oxp_val dx);

/* Runs of floats where entries of an index point to (ops/indexed.h); these declare the result. data
 * OXP_NO_VAL: zeros. */
oxp_status oxp_lower_gather_entries(oxp_lower *lw, const oxp_indexed *ix, oxp_val x, oxp_val index,
                                    oxp_val y);
oxp_status oxp_lower_scatter(oxp_lower *lw, const oxp_indexed *ix, oxp_scatter how, oxp_val data,
                             oxp_val index, oxp_val updates, oxp_val y);

/* ---- elementwise; these declare the result themselves ---- */
oxp_status oxp_lower_unary(oxp_lower *lw, oxp_fn fn, double alpha, double beta, oxp_val x,
                           oxp_val y);
/* dx = f'(v) * (dy[0] + ... + dy[n-1]) */
oxp_status oxp_lower_unary_grad(oxp_lower *lw, oxp_fn fn, double alpha, double beta, oxp_val v,
                                const oxp_val *dy, size_t n, oxp_val dx);
/* float arithmetic, float compares */
oxp_status oxp_lower_binary(oxp_lower *lw, oxp_bin bin, oxp_val x, oxp_val y, oxp_val z);
oxp_status oxp_lower_chain(oxp_lower *lw, oxp_bin bin, const oxp_val *x, size_t n,
                           oxp_val y); /* left to right, n > 1 */
oxp_status oxp_lower_sum(oxp_lower *lw, const oxp_val *x, size_t n, oxp_val y);
oxp_status oxp_lower_where(oxp_lower *lw, oxp_val cond, oxp_val x, oxp_val y, oxp_val z);
oxp_status oxp_lower_cast(oxp_lower *lw, oxp_val x, oxp_val y);
/* _Quantize, _FakeQuant (x, s, z), _QuantizeGrad (x, s, z, dy) of ops/quantize.c; lo, hi: range of codes */
typedef enum oxp_quant { OXP_QUANT_CODE, OXP_QUANT_FAKE, OXP_QUANT_GRAD } oxp_quant;
oxp_status oxp_lower_quantize(oxp_lower *lw, oxp_quant how, double lo, double hi, const oxp_val *in,
                              oxp_val y);

/* ---- contracting; these declare the result themselves ---- */
typedef struct oxp_post { /* applied to each element of the result: y = f(result + residual) */
    oxp_fn fn;            /* OXP_FN_NONE: none */
    double alpha, beta;
} oxp_post;

/* 1 to 3 spatial axes; x (N,C,axes...), w (K,C/group,kernel...), y (N,K,axes...) */
typedef struct oxp_conv {
    int axes;
    int64_t n, c, k, group;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
} oxp_conv;
oxp_status oxp_lower_conv(oxp_lower *lw, const oxp_conv *conv, const oxp_post *post, oxp_val x,
                          oxp_val w, oxp_val bias, oxp_val residual, oxp_val y);
oxp_status oxp_lower_conv_grad_x(oxp_lower *lw, const oxp_conv *conv, oxp_val dy, oxp_val w,
                                 oxp_val dx);

typedef struct oxp_pool { /* x (N,C,axes...), y (N,C,axes...) */
    int axes;
    int64_t n, c;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    bool max; /* else average */
    /* average divides by the whole window within the *declared* padding, as ONNX says */
    bool include_pad;
} oxp_pool;
oxp_status oxp_lower_pool(oxp_lower *lw, const oxp_pool *pool, oxp_val x, oxp_val y);
/* I64: the place of each maximum in the whole of x, counted along rows, or with the first spatial axis
 * running fastest. */
oxp_status oxp_lower_max_pool_index(oxp_lower *lw, const oxp_pool *pool, bool columns, oxp_val x,
                                    oxp_val index);
/* The gradient goes to the first maximum in scan order, recomputed from x and y. */
oxp_status oxp_lower_max_pool_grad(oxp_lower *lw, const oxp_pool *pool, oxp_val x, oxp_val y,
                                   oxp_val dy, oxp_val dx);
oxp_status oxp_lower_average_pool_grad(oxp_lower *lw, const oxp_pool *pool, oxp_val dy, oxp_val dx);

/* y = post(alpha op(a) op(b) + bias + residual); a (..., M, K), b (..., K, N) after the
 * transpositions; leading axes broadcast. bias broadcasts to y. */
typedef struct oxp_matmul {
    bool trans_a, trans_b;
    double alpha;
} oxp_matmul;
oxp_status oxp_lower_matmul(oxp_lower *lw, const oxp_matmul *mm, const oxp_post *post, oxp_val a,
                            oxp_val b, oxp_val bias, oxp_val residual, oxp_val y);

/* Over axis (span false) or over all axes from `axis` on together (span true: opsets below 13). */
oxp_status oxp_lower_softmax(oxp_lower *lw, int axis, bool span, bool log, oxp_val x, oxp_val y);
oxp_status oxp_lower_softmax_grad(oxp_lower *lw, int axis, bool span, bool log, oxp_val y,
                                  oxp_val dy, oxp_val dx);
/* Over the axes from `axis` on; scale, bias of x.shape[axis:] or NO_VAL. */
oxp_status oxp_lower_layer_norm(oxp_lower *lw, int axis, double epsilon, oxp_val x, oxp_val scale,
                                oxp_val bias, oxp_val y);
/* Per row the mean and 1 / sqrt(variance + epsilon); either may be NO_VAL. */
oxp_status oxp_lower_moments(oxp_lower *lw, int axis, double epsilon, oxp_val x, oxp_val mean,
                             oxp_val rate);
oxp_status oxp_lower_layer_norm_grad(oxp_lower *lw, int axis, double epsilon, oxp_val x,
                                     oxp_val scale, oxp_val dy, oxp_val dx);

/* A _Recurrence or _RecurrenceGrad node (ops/recurrence.c). Declares the results. */
typedef struct oxp_recurrence oxp_recurrence; /* ops/cell.h */
oxp_status oxp_lower_recurrence(oxp_lower *lw, const oxp_recurrence *r, bool adjoint,
                                const oxp_node *node);

typedef enum oxp_reduce {
    OXP_REDUCE_SUM,
    OXP_REDUCE_MEAN,
    OXP_REDUCE_MAX,
    OXP_REDUCE_MIN,
    OXP_REDUCE_PROD
} oxp_reduce;
/* y has x's rank with the reduced axes 1, or without them. axis_mask: bit a = axis a is reduced. */
oxp_status oxp_lower_reduce(oxp_lower *lw, oxp_reduce kind, uint32_t axis_mask, oxp_val x,
                            oxp_val y);

/* Running sums along axis; exclusive: without the element itself, reverse: from the end. */
oxp_status oxp_lower_cumsum(oxp_lower *lw, int axis, bool exclusive, bool reverse, oxp_val x,
                            oxp_val y);

/* Per logical axis: which input cells an output cell reads, and their weights. */
typedef struct oxp_resize {
    int rank;
    int taps[OXP_MAX_RANK];
    const int64_t *index[OXP_MAX_RANK]; /* [out][taps]; NULL: axis unchanged */
    const double *weight[OXP_MAX_RANK]; /* [out][taps] */
    /* [out] output cells that have `value` instead (their weights are 0); NULL: none */
    const bool *outside[OXP_MAX_RANK];
    double value;
} oxp_resize;
oxp_status oxp_lower_resize(oxp_lower *lw, const oxp_resize *r, oxp_val x, oxp_val y);
oxp_status oxp_lower_resize_grad(oxp_lower *lw, const oxp_resize *r, oxp_val dy, oxp_val dx);

/* x (N,C,in...) read at the points of grid (N,points...,axes): ops/grid.h */
typedef enum oxp_grid_mode { OXP_GRID_LINEAR, OXP_GRID_NEAREST, OXP_GRID_CUBIC } oxp_grid_mode;
typedef enum oxp_grid_padding {
    OXP_GRID_ZEROS,
    OXP_GRID_BORDER,
    OXP_GRID_REFLECTION
} oxp_grid_padding;
typedef struct oxp_grid {
    int axes;
    oxp_grid_mode mode;
    oxp_grid_padding padding;
    bool align;
    int64_t n, c, points, in[3];
} oxp_grid;
oxp_status oxp_lower_sample(oxp_lower *lw, const oxp_grid *g, oxp_val x, oxp_val grid, oxp_val y);
oxp_status oxp_lower_sample_grad(oxp_lower *lw, const oxp_grid *g, oxp_val dy, oxp_val grid,
                                 oxp_val dx);
oxp_status oxp_lower_sample_grad_grid(oxp_lower *lw, const oxp_grid *g, oxp_val x, oxp_val grid,
                                      oxp_val dy, oxp_val dgrid);

/* Bins of regions of x (N,C,in): ops/roi.h. rois (regions, 4), items (regions); or, with `whole`, rois
 * (regions, 5) and no items. With dy (regions,C,out) the result is the adjoint dx. */
typedef struct oxp_roi {
    bool whole, max, half;
    double scale;
    int64_t ratio, n, c, regions, in[2], out[2];
} oxp_roi;
oxp_status oxp_lower_roi(oxp_lower *lw, const oxp_roi *roi, oxp_val x, oxp_val rois, oxp_val items,
                         oxp_val dy, oxp_val out);

/* Maxima x (N,C,in) put at their places in y (N,C,out); back: dx gathered from dy. ops/unpool.h */
typedef struct oxp_unpool {
    int64_t n, c;
    int64_t in[3], out[3], natural[3]; /* natural: what windows and strides make of `in` */
    int64_t kernel[3], stride[3], pad_begin[3];
} oxp_unpool;
oxp_status oxp_lower_unpool(oxp_lower *lw, const oxp_unpool *u, bool back, oxp_val x, oxp_val place,
                            oxp_val y);

#endif
