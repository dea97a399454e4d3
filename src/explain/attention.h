/* attention.h - what the methods on attention maps share.
 *
 * t->at are attention maps A (N,heads,T,T), first block first, t->roles their keys as tokens. A
 * result is a relevance per token, (N, T) or, for token grids, (N, T - prefix). Which token's row is
 * shown is a row vector q (1,1,T) of weights that sum to 1, so that a chain of maps is only ever
 * multiplied from the left: q M_L ... M_1. */
#ifndef OXP_EXPLAIN_ATTENTION_H
#define OXP_EXPLAIN_ATTENTION_H

#include "explain/cam.h"
#include "explain/sequences.h"

#define OXP_ATTENTION_HEADS                                                             \
    {                                                                                   \
        "heads", "how the heads of a layer become one", OXP_PARAM_CHOICE, 0, 0, "mean", \
            "mean,max,min"                                                              \
    }
#define OXP_ATTENTION_QUERY                                                                    \
    {                                                                                          \
        "query",                                                                               \
            "the token whose row is shown; -1: the one that the target reads, or the mean of " \
            "all where it reads all",                                                          \
            OXP_PARAM_INT, -1, 1e6, "-1", NULL                                                 \
    }

/* (N,heads,Tq,Tk) of a map or its adjoint, whose heads may be merged with the rows. */
oxp_val oxp_attention_heads(oxp_task *t, oxp_val map);
/* (N,Tq,Tk): heads fused as the parameter "heads" says. */
oxp_val oxp_attention_fuse(oxp_task *t, oxp_val heads);
/* (N,Tq,Tk): mean_h relu(g . x) of a map's adjoint g and x, both of the map's shape. */
oxp_val oxp_attention_positive(oxp_task *t, oxp_val g, oxp_val x);
/* q (1,1,Tq) for the last of t->at, as the parameter "query" says. */
oxp_status oxp_attention_query(oxp_task *t, oxp_val *row);
/* The same for t->at[map], whose queries have `prefix` tokens before their grid. */
oxp_status oxp_attention_row(oxp_task *t, size_t map, int64_t prefix, oxp_val *row);
/* The row (N,1,T) without what the token that is shown has of itself; a mean of rows stays. */
oxp_val oxp_attention_others(oxp_task *t, oxp_val row, oxp_val query);
/* A row over keys (N,...,T) as relevance per token: tokens before a grid dropped. */
oxp_val oxp_attention_tokens(oxp_task *t, oxp_val row);
oxp_val oxp_attention_tokens_of(oxp_task *t, size_t map, oxp_val row);

/* ---- flows: all layers ---- */

/* The maps must be square, of one size, and each must build on the one before. */
oxp_status oxp_attention_chain(oxp_task *t);
/* out[0] = r, where r = q, then r = step(r, a_l) from the last layer to the first. */
typedef oxp_val (*oxp_attention_step)(oxp_task *t, oxp_val r, oxp_val a);
oxp_status oxp_attention_flow(oxp_task *t, const oxp_val *a, oxp_attention_step step);
/* r (I + a) */
oxp_val oxp_attention_residual(oxp_task *t, oxp_val r, oxp_val a);
/* r D^-1 (I + a), D the row sums of I + a */
oxp_val oxp_attention_normalised(oxp_task *t, oxp_val r, oxp_val a);

/* ---- blocks: an attention and what follows it, token by token ---- */

typedef struct oxp_attention_blocks {
    oxp_task *t;
    const char *method;
    oxp_graph *g;
    size_t n_nodes; /* of the model: what a method adds comes after */
    oxp_val *maps;  /* all that the target depends on, [n_maps] */
    size_t n_maps;
    oxp_sequences *axes;
    /* [n_maps] the tokens behind each block: the last tensor (N,T,D) or (T,N,D) that everything goes through
     * which map l influences, and on which map l + 1 builds. Behind the last block it is the last such tensor
     * that an operator of the same kind makes (the residual sum, or the norm after it). */
    oxp_val *behind;
} oxp_attention_blocks;

/* OXP_EUNSUPPORTED, in the method's name, when there is no such tensor. */
oxp_status oxp_attention_blocks_find(oxp_task *t, const char *method, oxp_attention_blocks *out);
/* Which axis of v (N,T,D) or (T,N,D) the map's queries run along; -1: v is neither. */
int oxp_attention_token_axis(const oxp_attention_blocks *s, oxp_val v, oxp_val map);

#endif
