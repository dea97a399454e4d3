/* infer.h - small helpers for the infer, grad and ref functions of the operator families. */
#ifndef OXP_OPS_INFER_H
#define OXP_OPS_INFER_H

#include "ops/build.h"
#include "ops/ops.h"

/* OXP_FAIL_IF with the operator and the node's name in front; the format takes at least one
 * argument. */
#define OXP_NODE_FAIL_IF(ctx, node, cond, code, fmt, ...)                                \
    OXP_FAIL_IF((ctx), (cond), (code), "%s '%s' " fmt, (node)->op->name, (node)->origin, \
                __VA_ARGS__)

/* Input i present? its shape and dtype. */
bool oxp_infer_has(const oxp_infer *inf, size_t i);
const oxp_shape *oxp_infer_shape(const oxp_infer *inf, size_t i);
oxp_dtype oxp_infer_dtype(const oxp_infer *inf, size_t i);
oxp_status oxp_infer_out(oxp_infer *inf, size_t i, oxp_dtype dtype, const oxp_shape *shape);
/* Output 0 has the dtype and shape of input 0. */
oxp_status oxp_infer_same(oxp_infer *inf);
/* All inputs broadcast together, dtype of input 0; comparisons give BOOL. */
oxp_status oxp_infer_broadcast(oxp_infer *inf);
oxp_status oxp_infer_compare(oxp_infer *inf);
/* Output 0 from the attribute "output_shape" / "input_shape" (adjoint operators), dtype of input
 * 0. */
oxp_status oxp_infer_from_attr(oxp_infer *inf, const char *attr);
/* The data of a constant input, widened; for operators that are OXP_OP_DATA_SHAPED. */
oxp_status oxp_infer_data(const oxp_infer *inf, size_t i, const double **out);
/* `exact` of operators whose integer outputs are positions or sizes: int64, whatever goes in. */
oxp_dtype oxp_exact_int64(const oxp_node *node, const oxp_dtype *in, uint32_t k);
/* Fails unless input i is of kind F32. */
oxp_status oxp_infer_float(const oxp_infer *inf, size_t i);

/* Every input that is present is of kind F32: the fast loops apply (elementwise.c). */
bool oxp_node_all_float(const oxp_graph *g, const oxp_node *node);
/* ref of a broadcasting operator of two inputs (elementwise.c). */
oxp_status oxp_ref_binary(const oxp_call *call, oxp_bin bin);

/* The kind of graph value that an ONNX type becomes; NONE: not a number (const.c). */
oxp_dtype oxp_dtype_of_onnx(int64_t onnx_type);
/* A Cast node that leaves values of kind `from` as they are (const.c). */
bool oxp_cast_passes(const oxp_node *node, oxp_dtype from);

/* A shape attribute of at most OXP_MAX_RANK axes, as infer has checked. */
oxp_shape oxp_node_shape(const oxp_node *node, const char *attr);

static inline bool oxp_node_has(const oxp_node *n, size_t i)
{
    return i < n->n_in && n->in[i] != OXP_NO_VAL;
}

/* Row-major index walk for ref loops: advances idx over shape; false after the last. */
bool oxp_index_next(const oxp_shape *shape, int64_t idx[OXP_MAX_RANK]);
/* Offset of the element at idx (of out_shape) in an operand of shape s broadcast to out_shape. */
int64_t oxp_index_broadcast(const oxp_shape *s, const oxp_shape *out_shape,
                            const int64_t idx[OXP_MAX_RANK]);

#endif
