/* survey.h - what of a net can be explained, for inputs of given shapes. */
#ifndef OXP_EXPLAIN_SURVEY_H
#define OXP_EXPLAIN_SURVEY_H

#include "explain/explain.h"
#include "ops/specialise.h"

typedef struct oxp_survey_tensor {
    const char *name;
    oxp_shape shape;
} oxp_survey_tensor;

typedef struct oxp_survey_stop { /* an operator without a derivative, on the way to the target */
    const char *op, *first;      /* first: the name of one such node */
    size_t n_nodes;
} oxp_survey_stop;

typedef enum oxp_survey_way {                  /* from a tensor to the target */
                              OXP_WAY_SMOOTH,  /* derivatives get there */
                              OXP_WAY_STOPPED, /* every way meets an operator without a derivative */
                              OXP_WAY_NONE     /* the target does not depend on the tensor */
} oxp_survey_way;

typedef struct oxp_survey {
    oxp_survey_tensor *wrt; /* what is attributed to when nobody says */
    oxp_survey_way *way;    /* [n_wrt] */
    size_t n_wrt;
    oxp_survey_stop *stops; /* where derivatives on the way end */
    size_t n_stops;
    oxp_survey_tensor target;  /* the scores */
    oxp_space space;           /* what they are */
    int64_t classes;           /* 0: none */
    oxp_survey_tensor *layers; /* of CAM methods; the automatic choice first */
    size_t n_layers;
    oxp_survey_tensor *attention; /* maps, in the order of computation */
    size_t n_attention;
    const char *attention_note; /* why maps that exist cannot be used, or NULL */
} oxp_survey;

/* Everything is made in `arena`. The data of the inputs matters only where it decides shapes. Errors: those
 * of specialising. */
oxp_status oxp_survey_net(oxp_ctx *ctx, const oxp_net *net, const oxp_tensor *inputs,
                          size_t n_inputs, oxp_arena *arena, oxp_survey *out);

/* ---- a cut with its data (forward.c) ---- */

typedef struct oxp_cut_data { /* a cut and what is fed at it */
    const oxp_net *net;
    oxp_feed *feeds;
    const oxp_tensor *data;
    size_t n_feeds;
    const oxp_val *wanted;
    size_t n_wanted;
} oxp_cut_data;

/* Fills c->feeds for the given values, in the ctx's scratch arena. */
oxp_status oxp_cut_feeds(oxp_ctx *ctx, const oxp_val *vals, oxp_cut_data *c);
/* Specialises, with the data of fed integers as constants where shapes depend on them. */
oxp_status oxp_cut_specialise(oxp_ctx *ctx, oxp_arena *arena, const oxp_cut_data *c,
                              oxp_special *special);

#endif
