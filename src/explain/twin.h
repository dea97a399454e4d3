/* twin.h - the same computation on another input, inside one graph: for methods that compare each
 * value with what it is at a baseline (DeepLIFT). */
#ifndef OXP_EXPLAIN_TWIN_H
#define OXP_EXPLAIN_TWIN_H

#include "explain/method.h"

typedef struct oxp_twin {
    oxp_val target; /* what to differentiate: t->target, or an expanded form of it */
    const oxp_val
        *of; /* value -> the same value at the baseline; itself where it does not depend */
    const oxp_val *now; /* value of the graph as it was -> what stands for it in the first run */
} oxp_twin;

/* Appends the run in which at[i] is at0[i], n_at of them. Composites that `split` names are replaced by their
 * parts in both runs, so that rules can look inside. */
oxp_status oxp_twin_make(oxp_task *t, const oxp_val *at, const oxp_val *at0, size_t n_at,
                         bool (*split)(const oxp_op *op), oxp_twin *out);

#endif
