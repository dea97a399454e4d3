/* program.h - a compiled graph: the fused executor and the plain one behind one interface.
 *
 * A program runs a specialised graph (ir/graph.h) in two phases: phase 0 computes everything that
 * does not depend on a SEED input; the caller then may read any output that is ready, fills the
 * seeds, and phase 1 computes the rest. Phase 1 may be run again with other seeds without
 * repeating phase 0. The number of items, the shapes and the number of threads are fixed; which
 * class is explained is not.
 *
 * The fused executor (OXP_EXEC_FUSED) lowers nodes to oneDNN primitives and vector loops in
 * float, with one planned workspace and no allocation while running. The plain executor
 * (OXP_EXEC_PLAIN) runs every operator's `ref` in double: the oracle. A program belongs to one
 * thread at a time; packed weights belong to the model (oxp_weights) and are shared. */
#ifndef OXP_EXEC_PROGRAM_H
#define OXP_EXEC_PROGRAM_H

#include "ir/graph.h"

typedef enum oxp_exec_kind { OXP_EXEC_FUSED, OXP_EXEC_PLAIN } oxp_exec_kind;

/* Constants in the forms that kernels want (converted to float, permuted, packed), keyed by
 * (tensor, form), built once under a lock and shared by every program of a model. Thread-safe. */
typedef struct oxp_weights oxp_weights;
oxp_weights *oxp_weights_new(const oxp_allocator *hooks); /* NULL when out of memory */
/* Keeps the forms of this graph's constants for as long as the store lives; the graph must
 * outlive it. Forms of other constants (folded while compiling) go with the last program that
 * uses them. */
oxp_status oxp_weights_keep(oxp_ctx *ctx, oxp_weights *w, const oxp_graph *model);
void oxp_weights_free(oxp_weights *w);
size_t oxp_weights_bytes(const oxp_weights *w);

typedef struct oxp_exec_options {
    oxp_exec_kind kind;
    int threads;         /* 0: all cores */
    uint64_t max_memory; /* bytes for the workspace; 0: no limit. Exceeded: OXP_ELIMIT before any
                          * of it is allocated */
    bool profile;        /* log each step's time under topic "profile" */
} oxp_exec_options;

typedef struct oxp_program oxp_program;

/* The graph must outlive the program. On failure nothing remains. */
oxp_status oxp_program_new(oxp_ctx *ctx, const oxp_graph *g, oxp_weights *weights,
                           const oxp_exec_options *options, oxp_program **out);
void oxp_program_free(oxp_program *p);

/* Copies t (any numeric dtype, dense rows) into graph input `index`; shapes must match. */
oxp_status oxp_program_feed(oxp_ctx *ctx, oxp_program *p, size_t index, const oxp_tensor *t);
oxp_status oxp_program_run(oxp_ctx *ctx, oxp_program *p, int phase);
/* Copies graph output `index` into `data`, dense rows, as `dtype`. */
oxp_status oxp_program_read(oxp_ctx *ctx, const oxp_program *p, size_t index, oxp_dtype dtype,
                            void *data);

/* What it costs, known after compilation. */
typedef struct oxp_cost {
    uint64_t flops;           /* multiply-adds count 2 */
    uint64_t workspace_bytes; /* planned, scratchpads included */
    uint64_t unplanned_bytes; /* what the sum of all values would be without reuse */
    uint32_t steps, reorders; /* activation reorders: copies made only to change a layout */
} oxp_cost;
oxp_cost oxp_program_cost(const oxp_program *p);
/* The plan, a line per step: phase, what, implementation, output shape, offset, bytes. */
void oxp_program_print(const oxp_program *p, oxp_strbuf *out);
/* Summed seconds per step so far (profile only), for the benchmark of bare kernels. */
double oxp_program_seconds(const oxp_program *p, const char *what_prefix);

#endif
