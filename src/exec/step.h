/* step.h - the fused executor's inside: what lowering builds and a program runs. Shared by exec/
 * and exec/dnnl/ only.
 *
 * A step is a function, its arguments and the values it reads and writes. While lowering, every
 * value has a storage (a run of bytes) and a place in it; several values may share a storage
 * (views, results written in place). After planning, every pointer is bound once and a run is a
 * loop over steps. */
#ifndef OXP_EXEC_STEP_H
#define OXP_EXEC_STEP_H

#include "exec/program.h"
#include "ops/build.h"
#include "ops/lower.h"

#define OXP_NO_STORAGE UINT32_MAX
#define OXP_FOREVER    UINT32_MAX /* last_node of what the caller may still read or has fed */

typedef struct oxp_storage {
    size_t bytes;
    const void *constant; /* not NULL: outside the workspace */
    uint32_t first, last; /* steps that touch it; first > last: none yet */
    uint32_t last_node;   /* position of the last node that reads a value lying here */
    uint32_t version;     /* goes up when a result takes the storage over in place */
    uint32_t written;     /* the version that a step has written already */
    int phase;            /* in which it is born; inputs and seeds count as phase 0 */
    size_t offset;        /* in the workspace, after planning */
} oxp_storage;

typedef struct oxp_placed { /* one per graph value, and one per copy that lowering adds */
    uint32_t storage;       /* OXP_NO_STORAGE: not yet lowered */
    uint32_t version;       /* of the storage when this value came to lie there */
    oxp_place place;
    oxp_dtype dtype;
    oxp_shape shape;
    uint32_t last_node;
    oxp_val rows, channels_last; /* remembered copies in these layouts; OXP_NO_VAL: none */
} oxp_placed;

typedef struct oxp_step {
    const char *what; /* "conv", "relu", "copy" ... */
    const char *impl; /* oneDNN's implementation string, or "host" */
    const oxp_node *node;
    oxp_host_fn run;
    const void *args;
    uint32_t n_in, n_out;
    const oxp_val *vals; /* inputs, then outputs */
    void **ptr;          /* bound: n_in + n_out */
    size_t scratch_bytes;
    uint32_t scratch; /* storage index, OXP_NO_STORAGE: none */
    void *scratch_ptr;
    int phase;
    bool is_reorder; /* made only to change a layout */
    uint64_t flops;
    double seconds;
} oxp_step;

/* A program's hold on entries of the model's constant store; see weights.c. */
typedef struct oxp_weight_refs {
    struct oxp_weight_entry **entries;
    size_t n, cap;
} oxp_weight_refs;

typedef struct oxp_executor oxp_executor;

struct oxp_program {
    const oxp_executor *executor;
    oxp_arena *arena;
    const oxp_graph *g; /* expanded: every node has the form this executor runs */
    oxp_exec_options options;
    int threads;
    oxp_weights *weights;
    oxp_weight_refs refs;
    oxp_cost cost;
    bool *fed; /* [g->n_inputs] */
    bool ran;  /* phase 0 has run since something was fed to it */
    uint8_t *workspace;
    oxp_ctx *run_ctx; /* the caller's, while a phase runs */
    void *state;      /* the executor's own */
};

/* The two executors; program.c checks arguments and chooses. */
struct oxp_executor {
    bool (*runs)(const oxp_op *op); /* directly, without expansion */
    oxp_status (*compile)(oxp_ctx *ctx, oxp_program *p);
    oxp_status (*feed)(oxp_ctx *ctx, oxp_program *p, size_t index, const oxp_tensor *t);
    oxp_status (*run)(oxp_ctx *ctx, oxp_program *p, int phase);
    oxp_status (*read)(oxp_ctx *ctx, const oxp_program *p, size_t index, oxp_dtype dtype,
                       void *data);
    void (*print)(const oxp_program *p, oxp_strbuf *out);
};
extern const oxp_executor oxp_executor_fused, oxp_executor_plain;

/* Order of execution: nodes that do not depend on a seed, then the others; both stable. */
typedef struct oxp_schedule {
    size_t n;              /* nodes */
    const oxp_node **node; /* [n] */
    size_t n_phase0;       /* the first of them */
    uint32_t
        *last_use; /* [n_values] position of the last reader; OXP_FOREVER: inputs and outputs */
    bool *seeded;  /* [n_values] depends on a seed */
} oxp_schedule;
oxp_status oxp_schedule_make(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g, oxp_schedule *out);

/* A copy of g in which every node is one that `runs` accepts; others are replaced by their
 * `expand`. */
oxp_status oxp_graph_expand(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g,
                            bool (*runs)(const oxp_op *), const oxp_graph **out);

/* Checks the workspace against the limit, then allocates it; freed with the program. */
oxp_status oxp_program_workspace(oxp_ctx *ctx, oxp_program *p, size_t bytes);

/* ---- lowering ---- */

typedef struct oxp_fused { /* oxp_program.state of the fused executor */
    oxp_storage *storages;
    size_t n_storages, cap_storages;
    oxp_placed **vals; /* [0] is NULL; pointers are stable */
    size_t n_vals, cap_vals;
    oxp_step *steps;
    size_t n_steps, cap_steps;
    uint32_t first_phase1; /* step */
    void *dnnl;            /* exec/dnnl's engine and stream; NULL until a kernel needs them */
} oxp_fused;

struct oxp_lower {
    oxp_ctx *ctx;
    oxp_program *program;
    oxp_fused *f;
    oxp_schedule order;
    bool *wants_channels_last; /* [g->n_values] what a value's consumers would like best */
    const oxp_node *node;
    uint32_t position; /* of node in the order */
    int phase;
    oxp_status status; /* sticky: a failure in a verb that returns no status */
};

oxp_placed *oxp_lower_at(oxp_lower *lw, oxp_val v);
static inline bool oxp_is_placed(const oxp_placed *p)
{
    return p->storage != OXP_NO_STORAGE;
}

/* Appends a step with an implementation name and a flop count; oxp_lower_host calls this with
 * "host", 0. */
oxp_status oxp_lower_step(oxp_lower *lw, const char *what, const char *impl, oxp_host_fn fn,
                          const void *args, const oxp_val *in, size_t n_in, const oxp_val *out,
                          size_t n_out, size_t scratch_bytes, uint64_t flops);
int oxp_lower_threads(const oxp_lower *lw);
/* A step argument that must be destroyed with the program (oneDNN handles). */
oxp_status oxp_lower_defer(oxp_lower *lw, void (*fn)(void *), void *ptr);
/* Gives result v a storage of its own, dense in the order that `place` says. */
oxp_status oxp_lower_result_at(oxp_lower *lw, oxp_val v, const oxp_place *place);
/* The constant behind v, or NULL. */
const oxp_tensor *oxp_lower_constant(oxp_lower *lw, oxp_val v);
/* Declares the result of an elementwise step: the layout of the operands of the same shape
 * (channels-last wins), in place of one that dies here. Operands that lie otherwise are replaced
 * in in[] by copies. */
oxp_status oxp_lower_elementwise(oxp_lower *lw, oxp_val *in, size_t n_in, oxp_val out);
/* Where the place of v strides over the axes of `shape`, to which v broadcasts. */
void oxp_lower_strides(oxp_lower *lw, oxp_val v, const oxp_shape *shape,
                       int64_t stride[OXP_MAX_RANK]);

/* ---- layouts (layout.c) ---- */

bool oxp_place_is(const oxp_shape *s, const oxp_place *p, oxp_layout layout);
oxp_place oxp_place_dense(const oxp_shape *s, oxp_layout layout);
/* Dense, with the axis order of `like`, a place of the same shape; rows where that repeats
 * elements. */
oxp_place oxp_place_like(const oxp_shape *s, const oxp_place *like);
/* Axes from the one with the largest stride to the one with the smallest. */
void oxp_place_order(const oxp_shape *s, const oxp_place *p, int order[OXP_MAX_RANK]);

/* ---- constants (weights.c) ---- */

/* The float values of a constant in the form `key` (any bytes: a layout tag, a memory
 * descriptor): looks it up in the model's store; when absent calls `fill(dst, src, user)` with
 * src = the tensor as dense float rows, once, under the store's lock. The program holds the entry
 * until it is freed. */
typedef oxp_status (*oxp_weight_fill)(float *dst, const float *src, void *user);
oxp_status oxp_lower_weight(oxp_lower *lw, const oxp_tensor *t, const void *key, size_t key_size,
                            size_t bytes, oxp_weight_fill fill, void *user, const void **out);
/* The same as dense rows of `dtype` (F32, I64 or BOOL): in place where the tensor allows. */
oxp_status oxp_lower_weight_rows(oxp_lower *lw, const oxp_tensor *t, oxp_dtype dtype,
                                 const void **out);
void oxp_weights_release(oxp_weights *w, oxp_weight_refs *refs);

#endif
