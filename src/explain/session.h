/* session.h - inside of a session: what session.c, items.c and result.c share. */
#ifndef OXP_EXPLAIN_SESSION_H
#define OXP_EXPLAIN_SESSION_H

#include "explain/core.h"

struct oxp_session {
    oxp_arena *arena;
    oxp_net net;
    oxp_settings settings; /* own copies of every list */
    oxp_params params;
    oxp_core *core, *head;   /* NULL before the first run */
    oxp_input_shape *shapes; /* what they were compiled for, [n_inputs] */
    size_t n_inputs;
    oxp_arena *fixed;       /* guarded data */
    bool *needs_data;       /* [model inputs] integers that decide shapes */
    bool pinned;            /* values computed from the data decide shapes: rows run one by one */
    bool unbatched;         /* the inputs have no batch axis: all of them are one item */
    bool mix_checked;       /* whether the items of a batch influence each other */
    bool only_one;          /* declared for one item, and not to be widened */
    const char *one_by_one; /* why items are not computed side by side; NULL: they are */
};

/* Compiles for these inputs unless that was done; *n_items: the batch. */
oxp_status oxp_session_compile(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                               size_t n_inputs, size_t *n_items);

/* Does the first item's score change when the others do? Two runs of the wide core tell. */
oxp_status oxp_session_mixes(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs, bool *mixes);

/* What a model declared for one item gives for two of them, each alone. */
typedef struct oxp_alone {
    oxp_tensor *two;
    double *scores;
    int64_t *counts;
    size_t n;
    bool telling; /* the two have different scores */
} oxp_alone;

/* By the core at hand, of width 1. Made in ctx->scratch. */
oxp_status oxp_alone_run(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs, oxp_alone *a);
/* Does the core at hand, a wide one, give the same for both side by side? */
oxp_status oxp_alone_check(oxp_ctx *ctx, oxp_session *s, const oxp_alone *a, bool *same);

/* What one call of explain works on. */
typedef struct oxp_items {
    oxp_drive drive;
    const char *warning;          /* of the drive, or NULL */
    double *top_rows, *prob_rows; /* [n][classes.count] target and probability tensor rows */
    double *expected;      /* [n] what attributions should add up to, NaN: nothing in particular */
    const oxp_side *sides; /* [n] what is explained; NULL: to be found from the scores */
    /* [n_out] instead of what the drive left and `finish` made of it; NULL: not */
    struct oxp_finished *finished;
} oxp_items;

/* An output after the method's host work. */
typedef struct oxp_finished {
    oxp_core_out out; /* with the shape that is shown */
    double *rows;     /* [n][out.count] */
} oxp_finished;

oxp_status oxp_items_make(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena, const oxp_tensor *inputs,
                          size_t n_items, oxp_items *items);
/* Forward pass over all items: scores, probabilities, targets. One-pass methods run their
 * backward half at once. */
oxp_status oxp_items_run(oxp_ctx *ctx, oxp_session *s, oxp_items *items);
/* Runs the method's host work on every row of output o; in ctx->scratch. */
oxp_status oxp_items_finish(oxp_ctx *ctx, const oxp_session *s, const oxp_items *items, size_t o,
                            oxp_finished *out);
/* The resolution that layers are enlarged to: that of the first input with positions. */
int oxp_input_grid(const oxp_core *core, int64_t dims[3]);
/* After oxp_items_run: averages over changed copies of the inputs, if the parameter "augment" says so
 * (augment.c). */
oxp_status oxp_items_augment(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                             oxp_items *items);
oxp_status oxp_result_make(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena, const oxp_items *items,
                           oxp_explanation *out);

#endif
