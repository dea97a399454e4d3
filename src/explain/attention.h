/* attention.h - what the methods on attention maps share.
 *
 * t->at are attention maps A (N,heads,T,T), first block first, t->roles their keys as tokens. A
 * result is a relevance per token, (N, T) or, for token grids, (N, T - prefix). Which token's row is
 * shown is a row vector q (1,1,T) of weights that sum to 1, so that a chain of maps is only ever
 * multiplied from the left: q M_L ... M_1. */
#ifndef OXP_EXPLAIN_ATTENTION_H
#define OXP_EXPLAIN_ATTENTION_H

#include "explain/cam.h"

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
/* q (1,1,Tq) for the last of t->at, as the parameter "query" says. */
oxp_status oxp_attention_query(oxp_task *t, oxp_val *row);
/* The row (N,1,T) without what the token that is shown has of itself; a mean of rows stays. */
oxp_val oxp_attention_others(oxp_task *t, oxp_val row, oxp_val query);
/* Flows: the maps must be square, of one size, and each must build on the one before. */
oxp_status oxp_attention_chain(oxp_task *t);
/* A row over keys (N,...,T) as relevance per token: tokens before a grid dropped. */
oxp_val oxp_attention_tokens(oxp_task *t, oxp_val row);

#endif
