/* op.h - what an operator is: one descriptor, written in one family file of ops/, plus one line in
 * ops/ops.def.
 *
 *   infer   dtype and shape of the outputs from those of the inputs and the attributes (all
 *           concrete)
 *   grad    appends the nodes that compute the adjoints of the inputs from those of the outputs;
 *           never computes
 *   ref     naive loops in double: the oracle of every test and the plain executor, never the
 *           product
 *   lower   one or more steps of the fast executor (ops/lower.h)
 *   expand  the same in simpler operators: composites and adjoint operators; used wherever a direct
 *           form is absent
 *
 * An operator without `grad` is either differentiated through `expand` or flagged
 * OXP_OP_NOT_DIFFERENTIABLE. */
#ifndef OXP_IR_OP_H
#define OXP_IR_OP_H

#include "ir/graph.h"

#define OXP_VARIADIC   255
#define OXP_OP_MAX_OUT 8 /* outputs of any one node that we accept, except Split's (OXP_VARIADIC) */

typedef enum oxp_op_flag {
    /* integer, boolean or piecewise constant: adjoints stop here (zero). An adjoint operator that says so has a
     * derivative that is not known: a second derivative through it is refused */
    OXP_OP_NOT_DIFFERENTIABLE = 1 << 0,
    /* out[0] element i depends on the broadcast elements i of the inputs only */
    OXP_OP_ELEMENTWISE = 1 << 1,
    /* raised from, or expandable to, primitives; rules see it before its parts */
    OXP_OP_COMPOSITE = 1 << 2,
    /* ours: adjoint, fused or composite; its name starts with '_' and no file may use it */
    OXP_OP_INTERNAL = 1 << 3,
    OXP_OP_CHANNELS_LAST = 1 << 4, /* the fast form wants its data inputs channels-last */
    /* passes values through unchanged (Identity, Dropout, Cast float->float) */
    OXP_OP_IDENTITY = 1 << 5,
    /* moves elements without changing them (Reshape, Transpose, Slice, Expand ...) */
    OXP_OP_SHAPE_ONLY = 1 << 6,
    /* never evaluated at specialisation even when all inputs are constant */
    OXP_OP_NO_FOLD = 1 << 7,
    /* linear in its first input, up to a constant, as long as that alone varies */
    OXP_OP_LINEAR = 1 << 8,
    /* depends on the shapes of its inputs only: always evaluated at specialisation */
    OXP_OP_OF_SHAPE = 1 << 9,
    /* its const_in may vary too: then they stay inputs, and the node is expanded where it stands */
    OXP_OP_MAY_VARY = 1 << 10,
    /* specialisation puts its expansion in its place: a graph has it only where a pass or a test
     * makes it */
    OXP_OP_OPEN = 1 << 11,
    /* the shapes of its outputs follow from the data of its inputs, which are constants when it is
     * inferred */
    OXP_OP_DATA_SHAPED = 1 << 12,
    /* arithmetic: integer results may leave the range of a narrow type, and wrap around in it */
    OXP_OP_WRAPS = 1 << 13,
    /* gets the exact element types of its first output and input as the attributes `type` and
     * `from` (oxp_op.exact) */
    OXP_OP_TYPED = 1 << 14,
    /* has graphs as attributes; specialisation puts a branch, or its body as often as it runs, in its
     * place, so there is nothing to infer, run or differentiate */
    OXP_OP_CONTROL = 1 << 15,
    /* knows what quantised numbers are: its integers come in and go out as floats (codes, see "types" in
     * ops/specialise.h) */
    OXP_OP_CODES = 1 << 16
} oxp_op_flag;

/* An attribute that ONNX defines for the operator. Anything not declared is refused at import by
 * name. */
typedef struct oxp_attr_spec {
    const char *name; /* NULL ends the list */
    oxp_attr_type type;
    /* the only values accepted as text ("0", "NOTSET,VALID"), NULL: any; other values are
     * "unsupported" */
    const char *only;
} oxp_attr_spec;

/* An input whose value decides shapes: it must be known when specialising, becomes the attribute
 * `attr` (ints, or a float) and the input is dropped. Older opsets give the same attribute
 * directly. */
typedef struct oxp_const_in {
    int index; /* which input; a list ends with attr == NULL */
    const char *attr;
    oxp_attr_type type; /* OXP_ATTR_INTS, OXP_ATTR_INT, OXP_ATTR_FLOAT or OXP_ATTR_FLOATS */
} oxp_const_in;

typedef struct oxp_infer {
    oxp_ctx *ctx;
    const oxp_graph *g;
    const oxp_node *node; /* complete but for the shapes of its outputs */
    oxp_dtype *dtype;     /* [n_out], to fill */
    oxp_shape *shape;     /* [n_out], to fill */
} oxp_infer;

typedef struct oxp_build oxp_build; /* ops/build.h */
typedef struct oxp_lower oxp_lower; /* ops/lower.h */

/* What a gradient rule sees. It reads dy and writes dx through b; OXP_NO_VAL means structurally
 * zero on both sides. The driver (grad/grad.c) sums dx over broadcast axes to the input's shape
 * and accumulates. */
typedef struct oxp_grad {
    oxp_build *b;
    const oxp_node *node;
    const oxp_val *dy; /* [n_out] adjoints of the outputs */
    const bool *wants; /* [n_in] whether the adjoint of this input is needed */
    oxp_val *dx;       /* [n_in] to fill */
} oxp_grad;

/* One evaluation in double, of a node with at least one element to compute. Integers and booleans are doubles too (exact to 2^53; INT64_MAX
 * saturates). */
typedef struct oxp_call {
    oxp_ctx *ctx;
    oxp_arena *scratch;
    const oxp_node *node;
    const double *const *in; /* NULL where an optional input is absent */
    const oxp_shape *in_shape;
    const oxp_dtype *in_dtype;
    double *const *out; /* NULL where an output is not wanted */
    const oxp_shape *out_shape;
    const oxp_dtype *out_dtype;
} oxp_call;

struct oxp_op {
    /* as ONNX writes it; "domain::Name" in other domains than the default one */
    const char *name;
    uint8_t min_in, max_in; /* max_in may be OXP_VARIADIC */
    uint8_t min_out, max_out;
    /* opsets of its domain in which `name` exists; until 0: still does; both 0: internal */
    uint16_t since, until;
    uint32_t flags;
    const oxp_attr_spec *attrs;   /* NULL: none */
    const oxp_const_in *const_in; /* NULL: none */
    /* The element type that ONNX gives output k, where it is not that of the first input of the
     * same kind (NULL: it is). `node` is the model graph's, `in` its inputs' types (NONE: absent or
     * unknown). See "types" in ops/specialise.h. */
    oxp_dtype (*exact)(const oxp_node *node, const oxp_dtype *in, uint32_t k);
    oxp_status (*infer)(oxp_infer *inf);
    oxp_status (*grad)(oxp_grad *g);
    oxp_status (*ref)(const oxp_call *call);
    oxp_status (*lower)(oxp_lower *lw, const oxp_node *node);
    oxp_status (*expand)(oxp_build *b, const oxp_node *node, oxp_val *out); /* out[n_out] to fill */
};

#endif
