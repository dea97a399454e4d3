/* pins.h - values computed from the input at hand that decide shapes or branches inside the model (pins
 * of ops/specialise.h): computing them, in double, and seeing whether other inputs give the same. */
#ifndef OXP_EXPLAIN_PINS_H
#define OXP_EXPLAIN_PINS_H

#include "explain/explain.h"
#include "ops/specialise.h"

/* What is fed where a graph was cut. */
typedef struct oxp_fed {
    const oxp_net *net;
    oxp_arena *arena; /* of what is computed */
    const oxp_feed *feeds;
    size_t n_feeds;
    const oxp_tensor *const *data; /* [n_feeds]; NULL: not known */
    bool *misfit; /* becomes true where the data are of other rows than the graph */
} oxp_fed;

/* oxp_cut's evaluate; arg: an oxp_fed. */
oxp_status oxp_fed_evaluate(oxp_ctx *ctx, void *arg, const oxp_graph *g, const oxp_val *vals,
                            size_t n, oxp_tensor *out);
/* Would these data have given the same graph? */
oxp_status oxp_fed_pins_hold(oxp_ctx *ctx, const oxp_fed *fed, const oxp_graph *g,
                             const oxp_pin *pins, size_t n_pins, bool *hold);

#endif
