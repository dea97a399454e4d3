/* widen.h - a part of the graph once more for many variants of one of its values at once. */
#ifndef OXP_EXPLAIN_WIDEN_H
#define OXP_EXPLAIN_WIDEN_H

#include "ops/build.h"

/* What the first n_nodes of the graph compute from `from` to `to`, with `variants` in the place of `from`:
 * variants has one more axis in front, (V, ...), and so has *out. All that does not depend on `from` is
 * shared. OXP_EUNSUPPORTED names an operator that has no such form; who: the method, for that message. */
oxp_status oxp_widen(oxp_build *b, const char *who, size_t n_nodes, oxp_val from, oxp_val to,
                     oxp_val variants, oxp_val *out);

#endif
