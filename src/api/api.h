/* api.h - the room that exports: what is inside the public handles, and the frame of every call.
 *
 * Every exported function that can fail is a frame: oxp_api_begin makes the call's context and its
 * scratch arena, an inner function does the work with OXP_TRY, oxp_api_end frees the scratch. The
 * rest of the room reads arguments (ask.c), keeps objects alive, and turns results into text and
 * pictures; it computes nothing. */
#ifndef OXP_API_API_H
#define OXP_API_API_H

#include "explain/method.h"
#include "media/input.h"
#include "media/labels.h"
#include "media/vocabulary.h"
#include "onnx/import.h"
#include <pthread.h>

#define OXP_API_MODEL_BYTES ((size_t)1 << 37) /* a guard against endless files */

struct oxp_model {
    oxp_arena *arena;
    oxp_bytes file;
    oxp_onnx_model *onnx;
    oxp_net net;
    const char *path, *dir;   /* NULL: opened from memory */
    const char *const *names; /* of computed tensors, in the order of the graph */
    size_t n_names;
    const char *label_note, *word_note; /* why the sidecars were not read, or NULL */
    oxp_arena *label_arena, *word_arena;
    oxp_labels labels;
    oxp_vocabulary words;
    oxp_log_fn log;
    void *log_user;
    pthread_mutex_t lock; /* of the lazily made hash */
    bool has_lock, hashed;
    char sha256[65];
};

struct oxp_text {
    oxp_arena *arena;
    const char *str;
};

struct oxp_blob {
    oxp_arena *arena;
    oxp_bytes bytes;
};

struct oxp_values {
    oxp_arena *arena;
    size_t n;
    oxp_array *arrays;
};

struct oxp_input {
    oxp_arena *arena;
    const char *path, *model_input;
    oxp_media_input media;
};

struct oxp_result {
    oxp_arena *arena;
    oxp_model *model;
    const oxp_explanation *explanation;
    const char *target_text, *contrast_text; /* as asked */
    const char *precision;
    int threads;
};

/* ---- the frame of a call ---- */

/* hooks may be NULL. Fails only with OXP_ENOMEM. */
oxp_status oxp_api_begin(oxp_ctx *ctx, const oxp_allocator *hooks, oxp_error *error);
oxp_status oxp_api_begin_model(oxp_ctx *ctx, const oxp_model *model, oxp_error *error);
oxp_status oxp_api_end(oxp_ctx *ctx, oxp_status status);

/* A handle in an arena of its own, which `*arena` becomes. */
oxp_status oxp_api_new(oxp_ctx *ctx, size_t size, oxp_arena **arena, void **out);
/* A text object that takes over `arena`, in which `sb` lies; frees the arena on failure. */
oxp_status oxp_api_text(oxp_ctx *ctx, oxp_arena *arena, const oxp_strbuf *sb, oxp_text **out);
/* The caller's options as this version's struct `out`: a program built for fewer fields gives a shorter one, and what it lacks is zero;
 * one built for more must leave zero what this version does not know. `last`: the last field of the struct's first version. NULL:
 * defaults. */
#define OXP_API_OPTIONS(ctx, type, last, given, out)                                   \
    oxp_api_options((ctx), #type, (given), offsetof(type, last) + sizeof((out)->last), \
                    sizeof(type), (out))
oxp_status oxp_api_options(oxp_ctx *ctx, const char *what, const void *given, size_t least,
                           size_t size, void *out);
oxp_array oxp_api_array(const char *name, const oxp_tensor *t);

/* ---- arguments (ask.c) ---- */

/* Inputs and computed tensors that have a name; weights cannot be asked for. */
bool oxp_ask_named(const oxp_value *v);
/* A computed tensor of the model by name; OXP_EINVAL with the nearest names. */
oxp_status oxp_ask_tensor(oxp_ctx *ctx, const oxp_model *model, const char *name, oxp_val *out);
oxp_status oxp_ask_tensors(oxp_ctx *ctx, const oxp_model *model, const char *const *names, size_t n,
                           oxp_val **out);
/* Arrays by name or position as tensors in the order of the model's inputs; all must be there. */
oxp_status oxp_ask_inputs(oxp_ctx *ctx, const oxp_model *model, const oxp_array *arrays, size_t n,
                          oxp_tensor **out);
oxp_status oxp_ask_array(oxp_ctx *ctx, const oxp_array *array, oxp_tensor *out);
/* The shapes that model inputs have with "name=1,3,224,224" texts applied; unknown dims stay. */
oxp_status oxp_ask_shapes(oxp_ctx *ctx, const oxp_model *model, const char *const *texts, size_t n,
                          oxp_shape **out);

typedef struct oxp_asked_target {
    oxp_target target;
    oxp_val tensor; /* OXP_NO_VAL: the model's scores */
} oxp_asked_target;
/* "281", "tabby", "top2", "a[0,5]", "sum:a". inputs: for the shape of the tensor in "a[0,5]". */
oxp_status oxp_ask_target(oxp_ctx *ctx, const oxp_model *model, const oxp_tensor *inputs,
                          const char *text, oxp_asked_target *out);

/* ---- shared by files of the room ---- */

/* Zeros of the model's input shapes: a symbolic first axis is one item, others must be given. */
oxp_status oxp_api_blank_inputs(oxp_ctx *ctx, const oxp_model *m, const char *const *shapes,
                                size_t n_shapes, oxp_tensor **out);
/* The view "summary" of oxp_inspect (summary.c). */
oxp_status oxp_api_summary(oxp_ctx *ctx, const oxp_model *m, const char *const *shapes,
                           size_t n_shapes, oxp_strbuf *sb);
/* The view "json" (facts.c), for inputs of these shapes. */
oxp_status oxp_api_facts(oxp_ctx *ctx, const oxp_model *m, const oxp_tensor *inputs,
                         oxp_strbuf *sb);
const char *oxp_api_sha256(oxp_model *model); /* hexadecimal, of the model's file */

#endif
