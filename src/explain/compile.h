/* compile.h - inside the compilation of a core: what core.c, cut.c and core_rows.c share.
 *
 * cut.c goes from the model graph to a specialised one with score, target and layers; core.c lets the method plan on it and makes
 * the program; core_rows.c moves rows in and out. */
#ifndef OXP_EXPLAIN_COMPILE_H
#define OXP_EXPLAIN_COMPILE_H

#include "explain/core.h"
#include "opt/opt.h"

typedef struct oxp_compile {
    oxp_ctx *ctx;
    oxp_core *core;
    const oxp_graph *model;
    const oxp_input_shape *inputs;
    const oxp_val *at; /* model values attributed to; n_at 0: auto layer */
    size_t n_at;
    bool varies; /* the drive changes what is fed: */
    const oxp_val
        *line; /* for layers, [n_line], what the inputs become differentiable at; else `at` */
    size_t n_line;
    bool layered;
    bool attends, flows;    /* layers are attention maps; all of them give one attribution */
    bool crosses;           /* or one for each sequence of tokens */
    size_t n_beside;        /* 1: a layer helps to explain what is attributed to */
    oxp_val beside;         /* in the model; OXP_NO_VAL: to be found */
    bool tail;              /* the layer itself is fed: what comes before it is left out */
    oxp_roles tail_roles;   /* of that layer, found where what comes before can be seen */
    const oxp_shape *alone; /* [model values] for one row, of a model declared for one; else NULL */
    oxp_core_trouble *trouble; /* NULL: not wanted */
    oxp_val *follow;           /* target, probability, at..., beside: values of the current graph */
} oxp_compile;

/* ---- shapes with and without the batch ---- */
oxp_shape oxp_core_full(const oxp_shape *row, bool shared, size_t width);
bool oxp_core_batched(const oxp_shape *s, size_t width);
oxp_shape oxp_core_row(const oxp_shape *s, size_t width);

/* ---- the steps, in order ---- */
/* What is fed and wanted becomes a specialised, raised graph; s->follow are its values. */
oxp_status oxp_compile_forward(oxp_compile *s, oxp_val output);
/* The score behind the output: s->follow[0], [1]. */
oxp_status oxp_compile_score(oxp_compile *s);
/* Rows of what is varied, or of a tensor that is attributed to, must lie apart. */
oxp_status oxp_compile_check_feeds(oxp_compile *s);
oxp_status oxp_compile_apart(oxp_compile *s, const char *name, const oxp_shape *shape);
/* The layers that are attributed to or that help, where they were not named: s->follow[2...], s->n_at. */
oxp_status oxp_compile_layer(oxp_compile *s);
/* For methods that compute only what follows the layer: a graph that starts there. */
oxp_status oxp_compile_tail(oxp_compile *s, oxp_val output);
/* Passes of opt over the graph; the first n_follow values of s->follow go along. */
oxp_status oxp_compile_passes(oxp_compile *s, const oxp_pass_fn *passes, size_t n, size_t n_follow);
void oxp_core_note(oxp_core *core, const char *note); /* NULL: none */

#endif
