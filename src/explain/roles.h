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

#endif
