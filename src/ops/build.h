/* build.h - appends nodes to a specialised graph, inferring shapes at once.
 *
 * Errors are sticky: after a failure every call returns OXP_NO_VAL and does nothing, so rules read
 * as formulas and the caller checks `b->status` once. Identities are simplified on the way (x + 0,
 * x * 1, reshape to the same shape, transpose of nothing), and nodes whose inputs are all
 * constant are folded with `ref`. */
#ifndef OXP_OPS_BUILD_H
#define OXP_OPS_BUILD_H

#include "ir/op.h"

struct oxp_build {
    oxp_ctx *ctx;
    oxp_graph *g;
    oxp_status status;  /* sticky */
    const char *origin; /* stamped on every node emitted */
    uint32_t flags;     /* oxp_node_flag, likewise */
    bool fold;          /* evaluate nodes with constant inputs */
};

void oxp_build_init(oxp_build *b, oxp_ctx *ctx, oxp_graph *g);

/* The general form: returns the node (NULL after a failure). n_out 0: as many as the operator's
 * min_out. When all inputs are constants the outputs are constants and no node is added: then
 * *folded outputs are in outs[] and NULL is returned with b->status == OXP_OK. Use oxp_emit
 * unless several outputs are wanted. */
oxp_status oxp_emit_multi(oxp_build *b, const oxp_op *op, const oxp_val *in, size_t n_in,
                          const oxp_attr *attrs, size_t n_attrs, size_t n_out, oxp_val *outs);
oxp_val oxp_emit(oxp_build *b, const oxp_op *op, const oxp_val *in, size_t n_in,
                 const oxp_attr *attrs, size_t n_attrs);
#define OXP_EMIT1(b, op, x, ...)                                                    \
    oxp_emit((b), (op), (const oxp_val[]){(x)}, 1, (const oxp_attr[]){__VA_ARGS__}, \
             sizeof((const oxp_attr[]){__VA_ARGS__}) / sizeof(oxp_attr))

const oxp_shape *oxp_b_shape(const oxp_build *b, oxp_val x);

/* Constants: exact (stored as float64 / int64 / bool). */
oxp_val oxp_b_scalar(oxp_build *b, double value); /* float () */
/* float, any shape: scalar expanded */
oxp_val oxp_b_full(oxp_build *b, const oxp_shape *shape, double value);
oxp_val oxp_b_ints(oxp_build *b, const int64_t *v, size_t n); /* int64 (n) */
oxp_val oxp_b_count(oxp_build *b, int64_t n);                 /* 0, 1 ... n - 1, int64 (n) */
oxp_val oxp_b_const(oxp_build *b, oxp_dtype dtype, const oxp_tensor *t);

/* Elementwise, broadcasting as ONNX does. */
oxp_val oxp_b_add(oxp_build *b, oxp_val x, oxp_val y);
oxp_val oxp_b_sub(oxp_build *b, oxp_val x, oxp_val y);
oxp_val oxp_b_mul(oxp_build *b, oxp_val x, oxp_val y);
oxp_val oxp_b_div(oxp_build *b, oxp_val x, oxp_val y);
oxp_val oxp_b_pow(oxp_build *b, oxp_val x, oxp_val y);
oxp_val oxp_b_sum(oxp_build *b, const oxp_val *xs, size_t n); /* n-ary; n == 1 returns xs[0] */
oxp_val oxp_b_where(oxp_build *b, oxp_val cond, oxp_val x, oxp_val y);
oxp_val oxp_b_greater(oxp_build *b, oxp_val x, oxp_val y);
oxp_val oxp_b_equal(oxp_build *b, oxp_val x, oxp_val y);
oxp_val oxp_b_cast(oxp_build *b, oxp_val x, oxp_dtype to);
/* Neg, Exp, Relu, Abs ...: no attributes */
oxp_val oxp_b_unary(oxp_build *b, const oxp_op *op, oxp_val x);

/* Moving. Axes may be negative. */
oxp_val oxp_b_reshape(oxp_build *b, oxp_val x, const oxp_shape *shape); /* concrete dims only */
oxp_val oxp_b_transpose(oxp_build *b, oxp_val x, const int64_t *perm);
oxp_val oxp_b_expand(oxp_build *b, oxp_val x, const oxp_shape *shape);
oxp_val oxp_b_slice(oxp_build *b, oxp_val x, int64_t axis, int64_t start, int64_t end);
oxp_val oxp_b_concat(oxp_build *b, const oxp_val *xs, size_t n, int64_t axis);
oxp_val oxp_b_pad_zero(oxp_build *b, oxp_val x, int64_t axis, int64_t before, int64_t after);

/* Contracting. */
oxp_val oxp_b_reduce_sum(oxp_build *b, oxp_val x, const int64_t *axes, size_t n, bool keepdims);
oxp_val oxp_b_reduce_mean(oxp_build *b, oxp_val x, const int64_t *axes, size_t n, bool keepdims);
oxp_val oxp_b_matmul(oxp_build *b, oxp_val x, oxp_val y);
/* Sums over the axes along which `shape` was broadcast to x's shape; the adjoint of
 * broadcasting. */
oxp_val oxp_b_unbroadcast(oxp_build *b, oxp_val x, const oxp_shape *shape);

#endif
