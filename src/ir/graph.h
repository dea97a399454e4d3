/* graph.h - the intermediate representation: a graph of values and nodes in static single
 * assignment.
 *
 * Two kinds of graph use the same types:
 *  - a *model graph*, as imported: shapes may be unknown, dtypes are those of the file. If, Loop and
 *    Scan have their branches and bodies as attributes: model graphs whose inputs are ONNX's, then the
 *    tensors of the graphs around that they read; the node has those as its last inputs, and their
 *    number as the attribute `captures`;
 *  - a *specialised graph*, made from it for concrete input shapes and a cut (ops/specialise.h).
 *    Every pass, the reverse mode and the executors work on specialised graphs only. Their law
 *    (checked by oxp_graph_verify after every pass):
 *      1. nodes are in topological order: an input is a graph input, a constant or an output of an
 *         earlier node;
 *      2. every value has one origin, a concrete shape, and dtype F32, I64 or BOOL (F32 stands for
 *         "float": the executor decides whether it computes in float or double; a constant's own
 *         tensor may be stored as F16, BF16, F32 or F64, or as integers that are quantised codes);
 *      3. every node satisfies its operator: number of inputs, declared attributes, and `infer`
 *         gives the recorded shapes;
 *      4. inputs that decide shapes have become attributes (oxp_const_in), so no shape depends on
 *         data;
 *      5. graph outputs exist; a value's name is unique among the named values.
 *
 * Everything lives in the graph's arena and is freed with it. Pointers to values and nodes are
 * stable. */
#ifndef OXP_IR_GRAPH_H
#define OXP_IR_GRAPH_H

#include "base/strbuf.h"
#include "base/strmap.h"
#include "tensor/tensor.h"

typedef uint32_t oxp_val; /* index of a value, from 1 */
#define OXP_NO_VAL  0u    /* absent optional input; structurally zero adjoint */
#define OXP_NO_NODE UINT32_MAX

typedef struct oxp_op oxp_op; /* ir/op.h */
typedef struct oxp_graph oxp_graph;

typedef enum oxp_attr_type {
    OXP_ATTR_INT,
    OXP_ATTR_FLOAT,
    OXP_ATTR_STRING,
    OXP_ATTR_INTS,
    OXP_ATTR_FLOATS,
    OXP_ATTR_TENSOR,
    OXP_ATTR_GRAPH, /* model graphs only: a branch or a body */
    OXP_ATTR_STRINGS /* in an operator's list of attributes only: arrives as a STRING, joined by commas */
} oxp_attr_type;

typedef struct oxp_attr {
    const char *name;
    oxp_attr_type type;
    int64_t i;     /* INT */
    double f;      /* FLOAT */
    const char *s; /* STRING */
    size_t n;      /* INTS, FLOATS: how many */
    const int64_t *ints;
    const double *floats;
    const oxp_tensor *t; /* TENSOR */
    const oxp_graph *g;  /* GRAPH */
} oxp_attr;

/* Attribute literals for builders: OXP_INT("axis", 1). The arrays are copied on emission. */
#define OXP_INT(nm, v)     ((oxp_attr){.name = (nm), .type = OXP_ATTR_INT, .i = (v)})
#define OXP_FLOAT(nm, v)   ((oxp_attr){.name = (nm), .type = OXP_ATTR_FLOAT, .f = (v)})
#define OXP_STR(nm, v)     ((oxp_attr){.name = (nm), .type = OXP_ATTR_STRING, .s = (v)})
#define OXP_INTS(nm, v, k) ((oxp_attr){.name = (nm), .type = OXP_ATTR_INTS, .n = (k), .ints = (v)})

typedef enum oxp_value_kind {
    OXP_VALUE_NODE,
    OXP_VALUE_INPUT,
    OXP_VALUE_SEED,
    OXP_VALUE_CONST
} oxp_value_kind;

typedef struct oxp_value {
    const char *name; /* ONNX tensor name; NULL for values made by a pass */
    /* SEED: an input that is fed between the forward and the backward half of a run */
    oxp_value_kind kind;
    oxp_dtype dtype;
    oxp_shape shape;
    const oxp_tensor *constant; /* CONST only */
    uint32_t producer;          /* node index; OXP_NO_NODE otherwise */
} oxp_value;

typedef enum oxp_node_flag {
    OXP_NODE_ADJOINT = 1,
    OXP_NODE_METHOD = 2 /* combination added by a method */
} oxp_node_flag;

typedef struct oxp_node {
    const oxp_op *op;
    uint32_t n_in, n_out;
    oxp_val *in;  /* OXP_NO_VAL where an optional input is absent */
    oxp_val *out; /* OXP_NO_VAL where an optional output is not wanted (never out[0]) */
    oxp_attr *attrs;
    size_t n_attrs;
    /* name of the ONNX node it comes from ("" if unknown); adjoints: of their primal */
    const char *origin;
    uint32_t flags;
} oxp_node;

struct oxp_graph {
    oxp_arena *arena;
    oxp_value **values; /* values[0] is NULL */
    size_t n_values, cap_values;
    oxp_node **nodes;
    size_t n_nodes, cap_nodes;
    oxp_val *inputs; /* INPUT and SEED values, in the caller's order */
    size_t n_inputs, cap_inputs;
    oxp_val *outputs;
    size_t n_outputs, cap_outputs;
    /* No value may take more, nor may the constants folded into this graph and into those that it
     * was made from, together; 0: no limit. */
    uint64_t max_bytes, folded_bytes;
};

/* Construction. All fail only with OXP_ENOMEM, or OXP_ELIMIT past a million values. Names and
 * attributes are copied. */
oxp_graph *oxp_graph_new(oxp_arena *arena); /* NULL when out of memory */
/* Another graph under the same limit. */
oxp_graph *oxp_graph_after(oxp_arena *arena, const oxp_graph *from);
oxp_status oxp_graph_add_value(oxp_ctx *ctx, oxp_graph *g, const char *name, oxp_value_kind kind,
                               oxp_dtype dtype, const oxp_shape *shape, oxp_val *out);
oxp_status oxp_graph_add_const(oxp_ctx *ctx, oxp_graph *g, const char *name, oxp_dtype dtype,
                               const oxp_tensor *t, oxp_val *out); /* t is borrowed */
/* Adds a node and its n_out output values (dtype NONE, rank unknown until inferred). */
oxp_status oxp_graph_add_node(oxp_ctx *ctx, oxp_graph *g, const oxp_op *op, const oxp_val *in,
                              size_t n_in, size_t n_out, const oxp_attr *attrs, size_t n_attrs,
                              const char *origin, oxp_node **out);
oxp_status oxp_graph_add_output(oxp_ctx *ctx, oxp_graph *g, oxp_val v);
oxp_status oxp_attr_copy(oxp_ctx *ctx, oxp_arena *arena, const oxp_attr *from, oxp_attr *to);

/* Reading. */
static inline oxp_value *oxp_value_of(const oxp_graph *g, oxp_val v)
{
    return g->values[v];
}
static inline const oxp_shape *oxp_shape_at(const oxp_graph *g, oxp_val v)
{
    return &g->values[v]->shape;
}
/* by tensor name; OXP_NO_VAL when absent */
oxp_val oxp_graph_find(const oxp_graph *g, const char *name);
const oxp_attr *oxp_attr_find(const oxp_node *node, const char *name);
/* None of the outputs has an element: there is nothing to compute. */
bool oxp_node_is_empty(const oxp_graph *g, const oxp_node *node);
int64_t oxp_attr_int(const oxp_node *node, const char *name, int64_t fallback);
double oxp_attr_float(const oxp_node *node, const char *name, double fallback);
const char *oxp_attr_string(const oxp_node *node, const char *name, const char *fallback);
/* *n and the ints, or NULL with *n = 0 when absent. */
const int64_t *oxp_attr_ints(const oxp_node *node, const char *name, size_t *n);

/* The law above; OXP_EINTERNAL names the first breach. */
oxp_status oxp_graph_verify(oxp_ctx *ctx, const oxp_graph *g);

/* Text form, one line per node: `%7:f32(1,64,56,56) "relu1" = Relu(%6) {axis=1}  # node name`.
 * ir/parse.h reads it. */
void oxp_graph_print(const oxp_graph *g, oxp_strbuf *out);

#endif
