/* boundary.h - where an input becomes differentiable. */
#ifndef OXP_EXPLAIN_BOUNDARY_H
#define OXP_EXPLAIN_BOUNDARY_H

#include "explain/explain.h"

/* What to attribute to when nobody says, as model values: float inputs themselves; for integer
 * inputs the first float tensor behind them (the Gather of an embedding, else a Cast). Inputs that
 * only pass a Cast (attention masks) are left out when another input has an embedding. In
 * `arena`; OXP_EINVAL when the model has nothing differentiable. */
oxp_status oxp_default_wrt(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *model, oxp_val **wrt,
                           size_t *n);
/* Do integers of this input look up an embedding? */
bool oxp_is_embedding_index(oxp_ctx *ctx, const oxp_graph *model, oxp_val input);

#endif
