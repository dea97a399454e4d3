/* unroll.h - graphs in the place of nodes: what unroll.c lends to those who put branches and bodies there.
 * Loop's and Scan's are in files of their own, and so is FlexAttention, whose scores pass through a graph. */
#ifndef OXP_OPS_UNROLL_H
#define OXP_OPS_UNROLL_H

#include "ops/special.h"

enum { OXP_MAX_TRIPS = 1 << 16 };

/* A branch or body about to run, perhaps several times. */
typedef struct oxp_unrolled {
    const oxp_graph *g;
    size_t n_captures;
    const oxp_val *captures; /* new values */
    const oxp_dtype *types;  /* of the captures */
    oxp_level level;
    oxp_val *constants; /* the level's map before it runs */
} oxp_unrolled;

/* The graph in that attribute of the node; wanted [n_wanted]: which of its outputs are needed; named: its
 * tensors keep their names. */
oxp_status oxp_body_open(oxp_specialiser *s, const oxp_node *node, const char *attr,
                         const bool *wanted, size_t n_wanted, bool named, oxp_unrolled *out);
/* Runs it once on `in`, its own inputs, of these types. outs: [g->n_outputs], OXP_NO_VAL where not
 * needed; their types replace those in `types`. */
oxp_status oxp_body_run(oxp_specialiser *s, const oxp_node *node, oxp_unrolled *b,
                        const oxp_val *in, const oxp_dtype *in_type, size_t n_in, oxp_val *outs,
                        oxp_dtype *types);

/* The n whole numbers behind new value v, in the context's scratch; fails when there are others. */
oxp_status oxp_unroll_numbers(oxp_specialiser *s, const oxp_node *node, const char *what, oxp_val v,
                              int64_t n, int64_t **out);
oxp_status oxp_unroll_number(oxp_specialiser *s, const oxp_node *node, const char *what, oxp_val v,
                             int64_t *out);
/* Which outputs of the node are needed, from place `room` on. */
oxp_status oxp_unroll_wanted(oxp_specialiser *s, const oxp_node *node, size_t room, bool **out);

/* One value per trip, joined along a new axis. */
typedef struct oxp_series {
    oxp_val *steps;
    size_t n, cap;
} oxp_series;

oxp_status oxp_series_add(oxp_specialiser *s, oxp_series *to, oxp_val v);
oxp_status oxp_series_join(oxp_specialiser *s, const oxp_node *node, const oxp_series *from,
                           int64_t axis, bool backwards, oxp_val *out);
/* A result of no trips, of the shape that `like` has. */
oxp_status oxp_series_empty(oxp_specialiser *s, const oxp_node *node, const oxp_value *like,
                            int64_t axis, oxp_val *out);

/* As oxp_unroll (special.h). */
oxp_status oxp_unroll_loop(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                           oxp_dtype *types);
oxp_status oxp_unroll_scan(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                           oxp_dtype *types);
oxp_status oxp_unroll_flex(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                           oxp_dtype *types);

#endif
