/* linear.h - a layer with constant weights (Conv, ConvTranspose, Gemm, MatMul), computed again with other inputs and
 * weights: what rules that treat positive and negative contributions differently are made of. */
#ifndef OXP_EXPLAIN_LINEAR_H
#define OXP_EXPLAIN_LINEAR_H

#include "ops/build.h"

typedef struct oxp_linear { /* not to be copied: attrs may point into it */
    oxp_build *b;
    const oxp_node *node;
    const oxp_op *op; /* with which the layer is computed again */
    const oxp_attr *attrs;
    size_t n_attrs;
    oxp_attr own[2];
    uint32_t xk;             /* which operand is the input; the other one is the weights */
    oxp_val x, w, bias, out; /* bias: OXP_NO_VAL when there is none */
} oxp_linear;

/* A product of an input with constant weights and, inside, a constant bias or none. */
bool oxp_linear_is(const oxp_graph *g, const oxp_node *node);
void oxp_linear_read(oxp_build *b, const oxp_node *node, oxp_linear *l);
/* w x (+ bias) */
oxp_val oxp_linear_forward(const oxp_linear *l, oxp_val x, oxp_val w, oxp_val bias);
/* w' s, before summation over axes along which the input was broadcast */
oxp_val oxp_linear_backward(const oxp_linear *l, oxp_val s, oxp_val w);

/* The positive or negative part of a constant, stored as exactly as the constant itself. */
oxp_val oxp_const_part(oxp_build *b, oxp_val v, bool positive);
oxp_val oxp_positive_part(oxp_build *b, oxp_val x);
oxp_val oxp_negative_part(oxp_build *b, oxp_val x);

#endif
