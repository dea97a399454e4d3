/* parse.h - reads the text form of a specialised graph, which print.c writes, back: for tests, and
 * for graphs written by hand.
 *
 *   input  %1:f32(2,3) "x"                                      seed lines likewise
 *   const  %2:f32(3) "w" = [0.5,1,2]                            or one number for all elements
 *   %3:f32(2,3) "y", _ = Mul(%1, %2) {axis=1 eps=1e-05 k=[3,3] mode="max"}  # node name ~bwd
 *   output %3
 *
 * A value may be labelled by any word (%mean). `_` is an absent input or output. An operand may be
 * a number: a constant of rank 0 (`2:i64`, `1:bool`, else a float). The type of an output may be
 * left out: it is inferred. Floats in attributes have a point or an exponent. A line that begins
 * with # is a comment.
 *
 * print(parse(text)) is a normal form: numbers count up in the order inputs, constants, nodes. */
#ifndef OXP_IR_PARSE_H
#define OXP_IR_PARSE_H

#include "ir/op.h"

/* find: operators by name (ops/ops.h). The graph is verified. OXP_ECORRUPT: names the line and
 * what was expected there. */
oxp_status oxp_graph_parse(oxp_ctx *ctx, oxp_arena *arena, const char *text,
                           const oxp_op *(*find)(const char *name), oxp_graph **out);

#endif
