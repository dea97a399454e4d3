/* core.h - a method compiled for one net and one batch width: the graph pipeline, and rows in and
 * out.
 *
 * compile: specialise -> raise -> score, --wrt, layer -> merge -> plan of the method -> tidy ->
 * fuse -> program. What is fed: the model's inputs, or (methods that vary what they attribute
 * to) the --wrt tensors themselves, computed from the inputs by a second core, `head`. */
#ifndef OXP_EXPLAIN_CORE_H
#define OXP_EXPLAIN_CORE_H

#include "explain/method.h"
#include "explain/pins.h"
#include "explain/target.h"

typedef struct oxp_core_feed {
    const char *name;
    oxp_val model_val;
    size_t input;    /* index in the program; SIZE_MAX: a guarded constant */
    oxp_dtype dtype; /* F32, I64 or BOOL */
    bool shared;     /* no batch axis: one value for all rows */
    bool varied;     /* attributed to */
    int out;         /* its attribution, -1 */
    oxp_shape row;   /* batch axis dropped */
    int64_t count;
    oxp_roles roles;
} oxp_core_feed;

typedef struct oxp_core_out {
    const char *tensor; /* what it attributes to */
    size_t output;      /* of the program; SIZE_MAX: structurally zero */
    size_t guard;       /* of the program: must not be negative; SIZE_MAX: none */
    int64_t guard_count;
    oxp_shape row; /* of the attribution */
    int64_t count;
    oxp_roles roles; /* of the tensor attributed to */
} oxp_core_out;

typedef struct oxp_core {
    oxp_arena *arena;
    const oxp_net *net;
    const oxp_settings *settings;
    const oxp_params *params;
    oxp_graph *g;
    oxp_program *program;
    size_t width; /* rows per run */
    oxp_core_feed *feeds;
    size_t n_feeds;
    oxp_core_out *outs;
    size_t n_outs;
    size_t seed_input, target_output, prob_output; /* prob: SIZE_MAX when none */
    size_t expected_output;                        /* what attributions add up to, or SIZE_MAX */
    int64_t expected_count;
    oxp_score score;
    oxp_classes classes;
    const oxp_touch *touched;
    size_t n_touched;
    bool stopped, only_scores; /* as in oxp_task */
    const char *notes[8];
    size_t n_notes;
    const char *layer;
    const oxp_graph *pinned; /* the graph of the pins */
    const oxp_pin *pins;
    size_t n_pins;
    const oxp_feed *cut;        /* [n_feeds] */
    uint32_t passes, backwards; /* runs so far, and how many of them went on backward */
    bool rehearsal;             /* runs are counted but not done: made-up scores, no attributions */
    /* Staging, made once, so that long drives allocate nothing: target rows and seeds of one run
     * [width][classes.count], a feed or output at full width, pointers to rows. */
    double *rows, *seeds, *pad;
    double **at, **to; /* [n_feeds], [n_outs] */
} oxp_core;

typedef struct oxp_input_shape { /* of a model input, in order */
    oxp_shape row;
    bool shared;
    const oxp_tensor *fixed;
    const oxp_tensor *data; /* what is fed, while compiling; NULL: not known */
} oxp_input_shape;

/* What a compilation that failed found out about the model, for another attempt. */
typedef struct oxp_core_trouble {
    bool *needs_data;     /* [model inputs] the data of this one decides a shape */
    bool misfit;          /* a shape depends on data, which are of another number of rows */
    bool no_batch;        /* the target has no axis of `width` */
    int64_t target_count; /* its elements then */
} oxp_core_trouble;

/* Is the first axis declared to hold one item? Such a model is widened (ops/rebatch.c). */
bool oxp_holds_one(const oxp_shape *declared);

/* Compiles for `width` rows. NULL `method`: forward only, values `wanted` become the outs (used
 * for heads). */
oxp_status oxp_core_new(oxp_ctx *ctx, const oxp_net *net, const oxp_settings *settings,
                        const oxp_params *params, const oxp_input_shape *inputs, size_t width,
                        oxp_core **out, oxp_core_trouble *trouble);
/* The core that computes the fed tensors of `core` (those that are not model inputs) from the
 * model's inputs; NULL when none is needed. */
oxp_status oxp_core_head(oxp_ctx *ctx, const oxp_core *core, const oxp_input_shape *inputs,
                         oxp_core **out);
void oxp_core_free(oxp_core *core);
/* Would the core be the same for these inputs of the model, of the same shapes? */
oxp_status oxp_core_holds(oxp_ctx *ctx, const oxp_core *core, const oxp_tensor *inputs,
                          bool *holds);

/* Scores and probabilities of n <= width rows, then optionally the rest. score_rows:
 * [n][classes.count], prob_rows likewise (NULL: not wanted). */
oxp_status oxp_core_forward(oxp_ctx *ctx, oxp_core *core, size_t n, double *const *feed,
                            double *score_rows, double *prob_rows);
oxp_status oxp_core_backward(oxp_ctx *ctx, oxp_core *core, size_t n, const double *seed_rows,
                             double *const *out);
/* After a backward run: the sum over each row of what attributions should add up to; untouched
 * when the method promises none. */
oxp_status oxp_core_expected(oxp_ctx *ctx, const oxp_core *core, size_t n, double *sums);

/* The explained scalar of a row of the target tensor. */
double oxp_side_score(const oxp_drive *d, const oxp_side *side, const double *row);
/* seed (one row, zeros) += dY/dtarget for this side: +1 at the target, -1 at the contrast. */
void oxp_side_seed(const oxp_drive *d, const oxp_side *side, double *seed);

#endif
