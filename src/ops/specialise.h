/* specialise.h - from a model graph to a specialised one: concrete shapes, one cut, constants
 * folded.
 *
 * A cut says which tensors are fed and which are wanted; only what lies between them is kept. Any
 * named tensor can be on either side. Every shape becomes concrete, inputs that decide shapes
 * become attributes, arithmetic on shapes disappears, branches and bodies stand where they run.
 *
 * What decides a shape, or which branch runs and how often a body does, must be known. It is when it
 * follows from constants and shapes; else it is asked for as the data of an input, or computed once from
 * the data at hand and pinned: the graph then holds for data that give the same.
 *
 * Types: a specialised graph knows floats, integers and booleans only (law 2 of ir/graph.h), and
 * integers are computed with 64 bits. What the width of an integer decides is settled here, while
 * the exact types are still known: behind arithmetic in a narrow integer type (OXP_OP_WRAPS) a Cast
 * wraps the result around, and an operator that saturates or rounds to its output's type gets that
 * type as an attribute (OXP_OP_TYPED).
 *
 * Codes: what QuantizeLinear makes has an integer type in ONNX, and derivatives run through it. Such values are
 * floats here, that are whole numbers. Operators that know them (OXP_OP_CODES) get all their integers as
 * floats, those that only move them pass them on, and any other gets integers, by a Cast through which
 * nothing is differentiated. */
#ifndef OXP_OPS_SPECIALISE_H
#define OXP_OPS_SPECIALISE_H

#include "ops/build.h"

typedef struct oxp_feed {
    oxp_val val; /* in the model graph: an input or any other tensor */
    oxp_shape shape;
    /* not NULL: a guarded constant, i.e. the graph is valid for this data only */
    const oxp_tensor *fixed;
} oxp_feed;

typedef struct oxp_cut {
    const oxp_feed *feeds;
    size_t n_feeds;
    const oxp_val *wanted; /* in the model graph */
    size_t n_wanted;
    uint64_t max_bytes; /* the limit of the graph made; 0: none */
    /* A model of one item is specialised for `width`: [model values] shapes for one item, of rank -1
     * where none is known (rebatch.c). NULL: constants mean what they say. */
    const oxp_shape *alone;
    int64_t width;
    /* The data of values of the graph as far as it is made, for what is fed; NULL: not known. */
    oxp_status (*evaluate)(oxp_ctx *ctx, void *arg, const oxp_graph *g, const oxp_val *vals,
                           size_t n, oxp_tensor *out);
    void *evaluate_arg;
} oxp_cut;

/* What was computed from the data at hand and became a constant. */
typedef struct oxp_pin {
    const oxp_val *vals; /* in the graph, not constants */
    size_t n_vals;
    const oxp_node
        *node; /* what makes shapes of them: then its results are pinned; NULL: the values */
    const oxp_tensor *const
        *data; /* [n_vals], or [node->n_out]; NULL where an output is not wanted */
} oxp_pin;

typedef struct oxp_special {
    oxp_graph *g; /* inputs in the order of the feeds that are not fixed; outputs: the wanted */
    oxp_val *map; /* model value -> value in g; OXP_NO_VAL when cut away */
    /* model value -> its element type in ONNX; NONE where map has nothing */
    oxp_dtype *type;
    oxp_pin *pins;
    size_t n_pins;
} oxp_special;

/* Everything is made in `arena`. OXP_EINVAL when a needed input is not fed (named), or when a shape
 * does not fit. When it failed because a shape depends on the data of fed integers, their places in
 * needs_data ([n_feeds], may be NULL) become true: give those as `fixed` and try again. */
oxp_status oxp_specialise(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *model,
                          const oxp_cut *cut, oxp_special *out, bool *needs_data);

/* Do these data of the pin's values (in double) give what is pinned? */
oxp_status oxp_pin_holds(oxp_ctx *ctx, const oxp_graph *g, const oxp_pin *pin,
                         const oxp_tensor *data, bool *holds);

#endif
