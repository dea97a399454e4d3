/* special.h - inside of specialisation: what specialise.c, pin.c and unroll.c share. */
#ifndef OXP_OPS_SPECIAL_H
#define OXP_OPS_SPECIAL_H

#include "base/strmap.h"
#include "ops/specialise.h"

/* One graph that is being emitted: the model, or a branch or body of it. */
typedef struct oxp_level {
    const oxp_graph *graph;
    oxp_val *map;    /* its value -> new value */
    oxp_dtype *type; /* its value -> element type in ONNX */
    bool *needed;    /* [n_values] */
    const bool *fed; /* [n_values] by the cut; NULL: nothing is */
    bool named;      /* its tensors keep their names */
} oxp_level;

typedef struct oxp_specialiser {
    oxp_ctx *ctx;
    oxp_build b;
    const oxp_cut *cut;
    oxp_level top, *at; /* the model, and the graph at hand */
    bool *needs_data;   /* [cut->n_feeds] or NULL */
    oxp_strmap names;   /* of the model's values, and of those named since */
    oxp_pin *pins;
    size_t n_pins, cap_pins;
    size_t n_unrolled; /* nodes of branches and bodies so far */
} oxp_specialiser;

/* Emits the nodes of the level that it needs; their inputs are mapped. */
oxp_status oxp_level_begin(oxp_specialiser *s, oxp_level *level);
oxp_status oxp_level_emit(oxp_specialiser *s, oxp_level *level);

/* pin.c: new values as constants, computed from the data at hand where need be; `what`: of node, for the
 * message. *out[i]: constants in the new graph; OXP_NO_VAL stays. Of a `node` that makes shapes of them
 * the pin is left open: oxp_pin_results closes it. */
oxp_status oxp_pin_values(oxp_specialiser *s, const oxp_node *node, const char *what,
                          const oxp_val *vals, size_t n, oxp_val *out);
oxp_status oxp_pin_results(oxp_specialiser *s, const oxp_node *node, const oxp_val *vals, size_t n,
                           const oxp_attr *attrs, size_t n_attrs, const oxp_val *outs,
                           size_t n_out);

/* rebatch.c: the operands and settings of a node of the model, resolved, for cut->width items. */
oxp_status oxp_rebatch(oxp_specialiser *s, const oxp_node *node, oxp_val *in, size_t n_in,
                       oxp_attr *attrs, size_t n_attrs);

/* unroll.c: operators with graphs (OXP_OP_CONTROL). [node->n_out] values and their types in ONNX; OXP_NO_VAL: not needed. */
oxp_status oxp_unroll(oxp_specialiser *s, const oxp_node *node, oxp_val *outs, oxp_dtype *types);

#endif
