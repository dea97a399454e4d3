/* explain.h - the door of the room: a net (model), settings, and results. Used by api/.
 *
 * explain/ knows graphs, rows and methods; it does not read files, decode pictures, print or
 * draw. */
#ifndef OXP_EXPLAIN_EXPLAIN_H
#define OXP_EXPLAIN_EXPLAIN_H

#include "exec/program.h"
#include "grad/grad.h"
#include "ir/graph.h"

typedef struct oxp_method oxp_method; /* explain/method.h */

/* What is explained. Immutable, shared by threads. */
typedef struct oxp_net {
    const oxp_graph *graph; /* model graph; its inputs and outputs are the model's */
    oxp_weights *weights;
    const oxp_allocator *hooks;
    uint64_t max_memory;
} oxp_net;

typedef enum oxp_space { OXP_SPACE_LOGIT, OXP_SPACE_PROB, OXP_SPACE_OUTPUT } oxp_space;

/* What is asked: one scalar per item. Text is parsed in api/. */
typedef enum oxp_target_kind {
    OXP_TARGET_TOP,     /* the class with the k-th largest score, found at run time */
    OXP_TARGET_CLASS,   /* a class index */
    OXP_TARGET_ELEMENT, /* one element of the target tensor */
    OXP_TARGET_SUM      /* the sum of the target tensor */
} oxp_target_kind;

typedef struct oxp_target {
    oxp_target_kind kind;
    /* CLASS: index; TOP: rank from 1; ELEMENT: flat index within the item */
    int64_t index;
} oxp_target;

/* Baselines that a caller hands over for one tensor: what it holds where nothing is said. */
typedef struct oxp_reference {
    const char *tensor; /* a model input, or what is attributed to */
    oxp_tensor data;    /* one row, with or without a batch axis of 1, or m rows: m baselines */
} oxp_reference;

typedef struct oxp_settings {
    const oxp_method *method;
    const char *const *params; /* "name=value" */
    size_t n_params;
    /* what the parameters "baseline" and "baselines" mean by words of the caller's own */
    const oxp_reference *references;
    size_t n_references;
    oxp_space space;
    oxp_val target_tensor; /* in the model graph; OXP_NO_VAL: the first output */
    bool has_contrast;     /* explain target - contrast; contrastive methods always do */
    const oxp_val *layers; /* in the model graph */
    size_t n_layers;
    const oxp_val *wrt;
    size_t n_wrt;
    int threads;
    bool double_precision; /* the plain executor */
    bool no_optimise;
    bool predict_only; /* scores and predictions, no attributions */
    uint64_t max_memory;
    uint32_t top_k;
} oxp_settings;

typedef struct oxp_top {
    int64_t index;
    double score, probability; /* probability: NaN when there is none */
} oxp_top;

typedef struct oxp_attributed {
    const char *tensor; /* name of the input, tensor or layer */
    oxp_tensor raw;     /* (N,...) float or double */
    /* (N, spatial...) float: channels reduced, at the input's resolution for layers */
    oxp_tensor map;
    const char *reduction;
    bool is_signed; /* the map has meaningful signs */
} oxp_attributed;

typedef struct oxp_item {
    int64_t target, contrast; /* class index or flat element, -1: none */
    /* of the explained scalar's two sides, in the target tensor's space */
    double score, contrast_score;
    /* |attributed - expected| / |expected|: completeness, conservation; NaN when the method promises
     * neither */
    double gap;
    /* the sum of the attributions and what it should be (of relevance methods: the score that was
     * handed down; of DeepLIFT and paths: the score's change from the baseline); NaN likewise */
    double attributed, expected;
    oxp_top *top;
    size_t n_top;
} oxp_item;

typedef struct oxp_explanation { /* everything lives in the arena given to oxp_session_explain */
    const oxp_method *method;
    oxp_attributed *maps;
    size_t n_maps;
    oxp_item *items;
    size_t n_items;
    const char *space; /* what the score really is: "logit", "prob", "output" */
    const char *target_tensor, *layer;
    const char *const *notes; /* assumptions and warnings */
    size_t n_notes;
    const char *const *params; /* every parameter with its value, "name=value" */
    size_t n_params;
    const oxp_touch *touched; /* nodes whose gradient a rule of the method replaced */
    size_t n_touched;
    int64_t classes; /* number of classes of the target tensor, 0 when it has none */
    oxp_cost cost;
    uint32_t passes; /* runs of the compiled graph */
    double seconds;
} oxp_explanation;

/* A method compiled for a net: recompiles by itself when shapes (or data that decides shapes)
 * change, never for another target. */
typedef struct oxp_session oxp_session;
oxp_status oxp_session_new(oxp_ctx *ctx, const oxp_net *net, const oxp_settings *settings,
                           oxp_session **out);
void oxp_session_free(oxp_session *s);

/* inputs[i] belongs to graph->inputs[i]; dim 0 is the batch where the model has one. targets,
 * contrasts: [1] for all items. */
oxp_status oxp_session_explain(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena,
                               const oxp_tensor *inputs, size_t n_inputs, oxp_target target,
                               oxp_target contrast, oxp_explanation *out);
/* Compiles for these shapes and reports what a run would cost. */
oxp_status oxp_session_cost(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs, size_t n_inputs,
                            oxp_target target, oxp_target contrast, oxp_cost *cost,
                            uint32_t *passes);
/* The compiled graph and plan as text (inspect --ir, --plan). */
oxp_status oxp_session_print(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                             size_t n_inputs, bool plan, oxp_strbuf *out);

/* Any cut, forward only, for the given values of the model graph: compiles at the first run, and
 * again for other feeds, shapes, or data that decide shapes. Results are dense rows in `arena`:
 * floats as F32 (F64 with double_precision), else in the model's own type. */
typedef struct oxp_forward oxp_forward;
oxp_status oxp_forward_new(oxp_ctx *ctx, const oxp_net *net, const oxp_val *wanted, size_t n_wanted,
                           int threads, bool double_precision, oxp_forward **out);
oxp_status oxp_forward_run(oxp_ctx *ctx, oxp_forward *f, oxp_arena *arena, const oxp_val *feed,
                           const oxp_tensor *data, size_t n_feeds, oxp_tensor *out);
void oxp_forward_free(oxp_forward *f);
/* The same once. */
oxp_status oxp_compute(oxp_ctx *ctx, const oxp_net *net, oxp_arena *arena, const oxp_val *feed,
                       const oxp_tensor *data, size_t n_feeds, const oxp_val *wanted,
                       size_t n_wanted, int threads, bool double_precision, oxp_tensor *out);

#endif
