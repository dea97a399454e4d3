/* post.h - what the fused operators _Conv and _MatMul do to their result: the attributes fn, alpha,
 * beta. */
#ifndef OXP_OPS_POST_H
#define OXP_OPS_POST_H

#include "ops/lower.h"

oxp_post oxp_post_read(const oxp_node *node);
/* y = f(y) for n numbers. */
void oxp_post_apply(const oxp_post *post, double *y, int64_t n);
/* f(y) by the operator whose name f bears. */
oxp_val oxp_post_expand(oxp_build *b, const oxp_post *post, oxp_val y);

#endif
