/* roles.h - what the axes of a value mean, found from the graph around it; and layers worth
 * attributing to. */
#ifndef OXP_EXPLAIN_ROLES_H
#define OXP_EXPLAIN_ROLES_H

#include "explain/method.h"

/* Axis 0 is the batch. (N,C,space...) unless a Transpose towards a convolution says otherwise
 * (NHWC), (N,T,D) for tokens, (N,F) for tables (no spatial axes, no channel). */
oxp_roles oxp_roles_of(const oxp_graph *g, oxp_val v);

/* The layer for CAM methods: the last grid whose positions still influence the target (header of
 * layer.c has the exact rule). OXP_EINVAL when the model has none. */
oxp_status oxp_auto_layer(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, oxp_val *layer);
/* All candidates, best first; in ctx->scratch. */
oxp_status oxp_layer_candidates(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, oxp_val **layers,
                                size_t *n);

/* ---- attention (attention.c) ---- */

/* The attention maps that the target depends on, in the order of computation; in ctx->scratch.
 * fixed_queries: also those whose queries are constants. OXP_EINVAL when the model has none, or some
 * that are not one matrix per head and row. */
oxp_status oxp_attention_maps(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, size_t width,
                              bool fixed_queries, oxp_val **maps, size_t *n);
/* The product of queries and keys behind a map, and that of the map with its values. */
oxp_status oxp_attention_parts(oxp_ctx *ctx, const oxp_graph *g, oxp_val map,
                               const oxp_node **scores, const oxp_node **mixed);
/* The keys of a map as tokens: how many precede the grid, and what the rest unfolds to. */
oxp_status oxp_attention_roles(oxp_ctx *ctx, const oxp_graph *g, oxp_val map, oxp_roles *out);
/* Does v reach the target only through the first tokens (a class token)? */
oxp_status oxp_reads_prefix(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, oxp_val v,
                            bool *prefix);
/* The grid of a sequence of this many tokens, found from the patch embedding: fills prefix, n_grid and grid. */
void oxp_token_grid(const oxp_graph *g, int64_t tokens, oxp_roles *r);

#endif
