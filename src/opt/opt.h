/* opt.h - the optimiser: graph to graph, one pure pass after another, the law checked after each.
 *
 * `keep` names the values that must stay present and exact (layers, --wrt tensors, the target): a
 * pass never swallows them. `map` gives, for every value of the old graph, its value in the new one
 * (OXP_NO_VAL when it is gone).
 *
 *   oxp_opt_raise   primitives -> composites (GELU, LayerNorm, attention ...), before rules and
 *                   gradients look at the graph; _open: attention maps stay in sight, as the
 *                   Softmax between two products
 *   oxp_opt_merge   BatchNormalization into the convolution before it; _exact: the new weights are
 *                   doubles, for the plain executor
 *   oxp_opt_tidy    common subexpressions once, dead nodes gone; on the joint graph
 *   oxp_opt_fuse    bias, residual and activation into convolutions and matmuls; adjoint sums
 *                   into activation gradients */
#ifndef OXP_OPT_OPT_H
#define OXP_OPT_OPT_H

#include "ops/build.h"

typedef struct oxp_pass {
    oxp_ctx *ctx;
    oxp_arena *arena; /* of the new graph */
    const oxp_graph *in;
    const bool *keep; /* [in->n_values]; NULL: nothing but the outputs */
    oxp_graph *out;   /* result */
    oxp_val *map;     /* result, [in->n_values] */
} oxp_pass;

oxp_status oxp_opt_raise(oxp_pass *pass);
oxp_status oxp_opt_raise_open(oxp_pass *pass);
oxp_status oxp_opt_merge(oxp_pass *pass);
oxp_status oxp_opt_merge_exact(oxp_pass *pass);
oxp_status oxp_opt_tidy(oxp_pass *pass);
oxp_status oxp_opt_fuse(oxp_pass *pass);

/* Runs passes one after another on *g and follows the given values through their maps (in
 * place). */
typedef oxp_status (*oxp_pass_fn)(oxp_pass *pass);
oxp_status oxp_opt_run(oxp_ctx *ctx, oxp_arena *arena, const oxp_pass_fn *passes, size_t n_passes,
                       oxp_graph **g, oxp_val *follow, size_t n_follow);

#endif
