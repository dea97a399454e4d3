/* quantize.h - quantised numbers: codes q with a scale s and a zero point z stand for (q - z) s.
 *
 * In a specialised graph codes are floats that are whole, so that derivatives run through them: rounding
 * has the derivative 1 where the code is inside the range of its type, 0 where it saturates ("straight
 * through"). Scales and zero points are the format of the numbers and have none. */
#ifndef OXP_OPS_QUANTIZE_H
#define OXP_OPS_QUANTIZE_H

#include "ops/build.h"

typedef struct oxp_range {
    double lo, hi; /* of the codes; whole numbers unless is_float */
    bool is_float; /* 8-bit floats and alike: the codes are not whole */
} oxp_range;
oxp_range oxp_range_of(oxp_dtype type);

/* What a node's scale or zero point of shape `v` is to x: one number, one per position of an axis, or one per
 * block of `block` positions of it. Fails unless it fits. */
typedef struct oxp_spread {
    int axis;      /* -1: one number for all */
    int64_t block; /* 0: no blocks */
} oxp_spread;
oxp_status oxp_spread_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                           const oxp_shape *v, oxp_spread *out);
/* v so that it broadcasts to a tensor of shape x. */
oxp_val oxp_b_spread(oxp_build *b, oxp_val v, const oxp_shape *x, oxp_spread spread);
/* The element of v that belongs to the one at idx of x. */
int64_t oxp_spread_index(oxp_spread spread, const oxp_shape *v, const int64_t *idx);

/* Whether input k of a node as a file has it is a tensor of codes, and which inputs are its scale and zero
 * point (-1: absent). */
bool oxp_node_code(const oxp_node *node, uint32_t k, int *scale, int *zero);
bool oxp_qlinear_code(const oxp_node *node, uint32_t k, int *scale,
                      int *zero); /* qlinear.c's part of it */

/* Between a float and its codes: an identity but for rounding and saturation. */
bool oxp_op_rounds(const oxp_op *op);
/* Nothing that a _FakeQuant gives is negative: its range begins at its zero point. */
bool oxp_is_unsigned(const oxp_graph *g, const oxp_node *fake_quant);

/* Nodes. zero: OXP_NO_VAL for none; axis as the operators' attribute, of scales that are vectors. */
oxp_val oxp_b_quantize(oxp_build *b, oxp_val x, oxp_val scale, oxp_val zero, oxp_dtype type,
                       int64_t axis);
oxp_val oxp_b_dequantize(oxp_build *b, oxp_val q, oxp_val scale, oxp_val zero, int64_t axis);
/* What QuantizeLinear and then DequantizeLinear with the same settings make of x. */
oxp_val oxp_b_fake_quant(oxp_build *b, const oxp_node *quantize, oxp_val x, oxp_val scale,
                         oxp_val zero);

#endif
