/* reduce.h - from a raw attribution to a map: channels reduced, layers brought to the input's
 * resolution. All on the host, in double. */
#ifndef OXP_EXPLAIN_REDUCE_H
#define OXP_EXPLAIN_REDUCE_H

#include "explain/core.h"

typedef struct oxp_reduced {
    oxp_shape shape;  /* (N, spatial...) */
    double *data;     /* in the arena */
    const char *name; /* "max of magnitudes", "sum", "none" ... */
    bool is_signed;
} oxp_reduced;

/* raw: n rows of out->count values. Layers: upsampled to `target_dims` (n_dims of them, 0:
 * leave). */
oxp_status oxp_reduce_map(oxp_ctx *ctx, oxp_arena *arena, const oxp_params *params,
                          const oxp_core_out *out, const double *raw, size_t n,
                          const int64_t *target_dims, int n_dims, oxp_reduced *reduced);

/* Maps of n layers become one more in front: maps[0] from maps[1..n], as the parameter "join"
 * says. */
oxp_status oxp_join_maps(oxp_ctx *ctx, oxp_arena *arena, const oxp_params *params, size_t n_items,
                         oxp_attributed *maps, size_t n);

#endif
