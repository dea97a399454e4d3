/* step.h - the fused executor's inside: what lowering builds and a program runs. Shared by exec/ and exec/dnnl/ only.
 *
 * A step is a function, its arguments and the values it reads and writes. While lowering, values know their storage and place;
 * after planning, every pointer is bound once and a run is a loop over steps. */
#ifndef OXP_EXEC_STEP_H
#define OXP_EXEC_STEP_H

#include "exec/program.h"
#include "ops/lower.h"

typedef struct oxp_storage {
    size_t bytes;
    const void *constant;        /* not NULL: outside the workspace */
    uint32_t first, last;        /* steps; inputs are born at 0, outputs and inputs live to the end of their phase */
    size_t offset;
    bool planned;
} oxp_storage;

typedef struct oxp_placed {      /* one per graph value, and one per copy that lowering adds */
    uint32_t storage;            /* UINT32_MAX: not yet lowered */
    oxp_place place;
    oxp_dtype dtype;
    oxp_shape shape;
} oxp_placed;

typedef struct oxp_step {
    const char *what;            /* "conv", "relu", "copy" ... */
    const char *impl;            /* oneDNN's implementation string, or "host" */
    const oxp_node *node;        /* NULL for reorders between nodes */
    oxp_host_fn run;
    const void *args;
    uint32_t n_in, n_out;
    const oxp_val *vals;         /* inputs, then outputs */
    void **ptr;                  /* bound: n_in + n_out */
    size_t scratch_bytes;
    uint32_t scratch;            /* storage index, UINT32_MAX: none */
    int phase;
    uint64_t flops;
    double seconds;
} oxp_step;

/* Appends a step with an implementation name and a flop count; oxp_lower_host calls this with "host", 0. */
oxp_status oxp_lower_step(oxp_lower *lw, const char *what, const char *impl, oxp_host_fn fn, const void *args,
                          const oxp_val *in, size_t n_in, const oxp_val *out, size_t n_out, size_t scratch_bytes,
                          uint64_t flops);
int oxp_lower_threads(const oxp_lower *lw);
oxp_weights *oxp_lower_weights(oxp_lower *lw);
/* A step argument that must be destroyed with the program (oneDNN handles). */
oxp_status oxp_lower_defer(oxp_lower *lw, void (*fn)(void *), void *ptr);
/* The constant behind v, or NULL. */
const oxp_tensor *oxp_lower_constant(oxp_lower *lw, oxp_val v);

/* The float values of a constant in the form `key` (any bytes: a layout tag, a memory descriptor): looks it up in the model's store; when
 * absent calls `fill(dst, src, user)` with src = the tensor as dense float rows, once, under the store's lock. */
typedef oxp_status (*oxp_weight_fill)(float *dst, const float *src, void *user);
oxp_status oxp_weights_get(oxp_ctx *ctx, oxp_weights *w, const oxp_tensor *t, const void *key, size_t key_size, size_t bytes,
                           oxp_weight_fill fill, void *user, const void **out);

/* Vector loops over n elements; step arguments give strides. Implemented in exec/host_*.c. */

#endif
