/* kernel.h - one oneDNN primitive as a step needs it: created, bound to pointers, run. Shared by
 * exec/dnnl/ only.
 *
 * A kernel is made for the session's number of threads, takes its scratch
 * memory from the step, and is destroyed with the program. Weights are packed once into the model's
 * store when they are constants, else by the step itself whenever it runs. */
#ifndef OXP_EXEC_DNNL_KERNEL_H
#define OXP_EXEC_DNNL_KERNEL_H

#include "exec/dnnl/compat.h"
#include "exec/host.h"

/* Fails with the oneDNN status as the reason. */
#define OXP_DNNL_TRY(ctx, expr)                                                               \
    do {                                                                                      \
        const dnnl_status_t dnnl_status_ = (expr);                                            \
        OXP_FAIL_IF((ctx), dnnl_status_ == dnnl_out_of_memory, OXP_ENOMEM, "out of memory");  \
        OXP_FAIL_IF((ctx), dnnl_status_ != dnnl_success, OXP_EINTERNAL,                       \
                    "oneDNN refuses an operation (%s, status %d)", #expr, (int)dnnl_status_); \
    } while (0)

/* ---- the program's engine and stream ---- */

typedef struct oxp_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
} oxp_dnnl;
/* Made on first use, one per program. */
oxp_status oxp_dnnl_get(oxp_lower *lw, const oxp_dnnl **out);

/* ---- kernels ---- */

typedef enum oxp_role {
    OXP_ROLE_SRC,
    OXP_ROLE_WEIGHTS,
    OXP_ROLE_DST,
    OXP_ROLE_BIAS,
    OXP_ROLE_ADD0,
    OXP_ROLE_ADD1,
    OXP_ROLE_SCRATCH,
    OXP_ROLES
} oxp_role;

typedef struct oxp_kernel {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    int arg[OXP_ROLES]; /* DNNL_ARG_...; 0: this role is not in use */
    dnnl_memory_t memory[OXP_ROLES];
    size_t scratch_bytes;
    const char *impl; /* oneDNN's name of the implementation */
} oxp_kernel;

/* Names that mean "correct, but 10 to 1000 times slower than it could be". */
bool oxp_impl_is_slow(const char *impl);
/* The implementation at hand; "" when there is none. */
const char *oxp_offers_impl(const oxp_offers *o);
/* Moves to the first implementation whose name contains neither of two words (may be NULL). False, and the
 * offers are used up, when what is left is slow. */
bool oxp_offers_pick(oxp_offers *o, const char *avoid, const char *never);

/* The primitive of o, with its scratchpad. Bind the other roles afterwards. */
oxp_status oxp_kernel_make(oxp_lower *lw, const oxp_offers *o, oxp_kernel *out);
oxp_status oxp_kernel_bind(oxp_lower *lw, oxp_kernel *k, oxp_role role, int arg, oxp_md_ref md);
/* data[role] for every role in use. */
oxp_status oxp_kernel_run(const oxp_kernel *k, void *const data[OXP_ROLES]);

/* The session's threads, or 1 where the work is too small to share. */
int oxp_kernel_threads(const oxp_lower *lw, uint64_t flops);

/* ---- weights ---- */

/* Rearranges dense rows into the logical weights of the kernel. */
typedef void (*oxp_arrange_fn)(float *dst, const float *src, const void *arg);

typedef struct oxp_weight_spec {
    oxp_val w; /* as the graph has it */
    oxp_md_ref rows,
        packed; /* the arranged weights as dense or strided rows; what the kernel wants */
    oxp_arrange_fn arrange; /* NULL: the rows are used as they lie */
    const void *arg;
    size_t arg_size; /* bytes of arg, which are part of the key in the store */
} oxp_weight_spec;

typedef struct oxp_packing {
    bool as_is;           /* the kernel reads the rows themselves */
    const void *constant; /* packed already; NULL: pack in every run */
    oxp_kernel reorder;
    oxp_arrange_fn arrange;
    const void *arg;
    size_t arranged_bytes, packed_bytes; /* of scratch, in this order */
} oxp_packing;

/* Packs now, or prepares to pack in every run (or finds that nothing is to do); then *w becomes a value with
 * dense rows to be read by the step, else OXP_NO_VAL. */
oxp_status oxp_packing_make(oxp_lower *lw, const oxp_weight_spec *spec, oxp_packing *out,
                            oxp_val *w);
size_t oxp_packing_scratch(const oxp_packing *p);
/* The packed weights; rows and scratch are needed when they are not constant. */
oxp_status oxp_packing_run(const oxp_packing *p, const float *rows, char *scratch,
                           const void **packed);

/* Scratch areas follow each other at multiples of 64 bytes. */
size_t oxp_scratch_round(size_t bytes);

/* ---- post-operations (post.c) ---- */

/* Attributes: user scratchpad, then in this order: scale (1: none), adds, function (if oneDNN has it).
 * The caller destroys them. */
typedef struct oxp_post_spec {
    float scale;
    oxp_md_ref add[2]; /* operands added to the result; NULL: none */
    oxp_post post;
} oxp_post_spec;
oxp_status oxp_attr_make(oxp_lower *lw, const oxp_post_spec *spec, dnnl_primitive_attr_t *out);
/* The argument of the operand number `add`. */
int oxp_attr_add_arg(const oxp_post_spec *spec, int add);
/* Can this function be applied by the kernel? */
bool oxp_post_fusable(const oxp_post *post);
/* The steps that a kernel leaves out: y = f(y + addend); OXP_NO_VAL and OXP_FN_NONE are skipped. */
oxp_status oxp_post_steps(oxp_lower *lw, const oxp_val add[2], const oxp_post *post, oxp_val y);

#endif
