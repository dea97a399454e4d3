/* rewrite.h - the frame of a pass: walk the live nodes of the old graph in order, emit into a new
 * one.
 *
 * Dead nodes are dropped on the way, so every pass also cleans. */
#ifndef OXP_OPT_REWRITE_H
#define OXP_OPT_REWRITE_H

#include "opt/opt.h"

typedef struct oxp_rewrite {
    oxp_pass *pass;
    const oxp_graph *from;
    oxp_build b;
    oxp_val *map;    /* old -> new */
    bool *live;      /* [n_values] needed by an output */
    uint32_t *uses;  /* [n_values] by live nodes and outputs */
    oxp_node **user; /* [n_values] the last live node that reads it */
    bool *absorbed;  /* [n_nodes] emitted as a part of another node */
} oxp_rewrite;

oxp_status oxp_rewrite_begin(oxp_rewrite *rw, oxp_pass *pass);
/* The new value for an old one, already emitted, an input or a constant (copied at first use). */
oxp_val oxp_rewrite_val(oxp_rewrite *rw, oxp_val old);
/* Emits the node as it is. */
oxp_status oxp_rewrite_copy(oxp_rewrite *rw, const oxp_node *node);
/* Records that old value `from` is now `to`, keeping its name. */
void oxp_rewrite_set(oxp_rewrite *rw, oxp_val from, oxp_val to);
oxp_status oxp_rewrite_end(oxp_rewrite *rw);

/* An output of the node is needed. */
bool oxp_rewrite_live(const oxp_rewrite *rw, const oxp_node *node);
/* v is read by one node only and may disappear. */
bool oxp_rewrite_private(const oxp_rewrite *rw, oxp_val v);
/* The node that makes v, or NULL for inputs and constants. */
oxp_node *oxp_producer(const oxp_graph *g, oxp_val v);
const oxp_tensor *oxp_const_of(const oxp_graph *g, oxp_val v); /* NULL unless a constant */

#endif
