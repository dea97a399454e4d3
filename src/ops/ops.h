/* ops.h - the table of operators, from ops.def. */
#ifndef OXP_OPS_OPS_H
#define OXP_OPS_OPS_H

#include "ir/op.h"
#include "ops/fn.h"

#define OXP_OP(symbol) extern const oxp_op oxp_op_##symbol;
#include "ops/ops.def"
#undef OXP_OP

size_t oxp_op_count(void);
const oxp_op *oxp_op_at(size_t index);
const oxp_op *oxp_op_find(const char *name); /* NULL when unknown; internal operators included */

/* An ONNX operator by its domain ("" is the default one) and name, as a file gives them. */
const oxp_op *oxp_op_find_in(const char *domain, const char *name);

/* The axis attribute, made non-negative; fails when outside [-rank, rank). */
oxp_status oxp_norm_axis(oxp_ctx *ctx, int64_t axis, int rank, int *out);

/* The scalar function that a unary operator applies, with its parameters; OXP_FN_NONE when node
 * is not one (unary.c). */
oxp_fn oxp_node_fn(const oxp_node *node, double *alpha, double *beta);

/* Regions of which the largest cell is taken, not the mean (roi.c). */
bool oxp_node_chooses(const oxp_node *node);

/* Conv and ConvTranspose: (x, w, bias?) with channels on axis 1. */
static inline bool oxp_op_is_conv(const oxp_op *op)
{
    return op == &oxp_op_Conv || op == &oxp_op_ConvTranspose;
}

#endif
