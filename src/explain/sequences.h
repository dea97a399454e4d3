/* sequences.h - which axes of which values run along the same sequence of tokens.
 *
 * A text, the patches of a picture or the queries of a decoder is a sequence; everything computed for
 * each of its tokens has an axis along it. Two axes belong together when an operator carries one over
 * into the other, position by position. Attention gives its result to the queries' sequence. Constants
 * join nothing, and tokens that are gathered, cut off or joined in one row make a sequence of their own. */
#ifndef OXP_EXPLAIN_SEQUENCES_H
#define OXP_EXPLAIN_SEQUENCES_H

#include "ir/graph.h"

typedef struct oxp_sequences oxp_sequences;

/* Of all values of the graph; in ctx->scratch. */
oxp_status oxp_sequences_find(oxp_ctx *ctx, const oxp_graph *g, oxp_sequences **out);
/* A number that two axes share if and only if they belong together. */
uint32_t oxp_sequence_of(const oxp_sequences *s, oxp_val v, int axis);

#endif
