/* checks.h - what a row is put through. Each check prints why it fails and returns the number of
 * failures. */
#ifndef OPCHECK_CHECKS_H
#define OPCHECK_CHECKS_H

#include "ops/subject.h"

/* Values: the expansion and the executors against `ref`, forward and gradient graph; refused
 * rows are refused. */
int check_values(oxp_ctx *ctx, oxp_arena *arena, const op_case *c);
/* Gradients: against central differences, through the expansion, and by the dot-product identity
 * where linear. */
int check_gradient(oxp_ctx *ctx, oxp_arena *arena, const op_case *c);
/* Prints the fastest time of the fused executor. */
int check_speed(oxp_ctx *ctx, oxp_arena *arena, const op_case *c);

#endif
