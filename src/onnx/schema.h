/* schema.h - the messages of an ONNX file (onnx.proto) as records over its bytes.
 *
 * Only what the importer reads: documentation strings, annotations, training information and
 * denotations are skipped. Names are copies in the ctx's scratch arena, numbers are decoded, bulk
 * data stays where it is: a tensor's payload and an attribute's string are views into the file,
 * which must outlive the records. Absent text is "". Branches and bodies are graphs in attributes: the
 * depth of messages bounds that recursion. */
#ifndef OXP_ONNX_SCHEMA_H
#define OXP_ONNX_SCHEMA_H

#include "onnx/wire.h"

#define OXP_PB_LIST(type) \
    struct {              \
        type *items;      \
        size_t n, cap;    \
    }

typedef struct oxp_pb_entry { /* StringStringEntryProto */
    const char *key, *value;
} oxp_pb_entry;

typedef struct oxp_pb_opset { /* OperatorSetIdProto */
    const char *domain;
    int64_t version;
} oxp_pb_opset;

typedef struct oxp_pb_tensor { /* TensorProto */
    const char *name;
    int64_t dtype;
    OXP_PB_LIST(int64_t) dims;
    OXP_PB_LIST(oxp_pb_entry) external_data;
    oxp_bytes raw; /* size 0 when absent */
    bool is_external, has_segment;
    oxp_bytes body; /* the message itself: its typed data is read when it is converted */
    const struct oxp_tensor *made; /* once it was converted as an attribute's value */
} oxp_pb_tensor;

typedef enum oxp_pb_attr_type {
    OXP_PB_FLOAT = 1,
    OXP_PB_INT = 2,
    OXP_PB_STRING = 3,
    OXP_PB_TENSOR = 4,
    OXP_PB_GRAPH = 5,
    OXP_PB_FLOATS = 6,
    OXP_PB_INTS = 7,
    OXP_PB_STRINGS = 8
} oxp_pb_attr_type; /* others exist: none of ours has them */

typedef struct oxp_pb_attr { /* AttributeProto */
    const char *name;
    const char *ref; /* in a function: the attribute of the call to take instead; else "" */
    int64_t type;    /* oxp_pb_attr_type, or any other number */
    double f;
    int64_t i;
    oxp_bytes s;
    oxp_pb_tensor *t;       /* NULL when absent */
    struct oxp_pb_graph *g; /* likewise */
    OXP_PB_LIST(double) floats;
    OXP_PB_LIST(int64_t) ints;
    OXP_PB_LIST(oxp_bytes) strings;
} oxp_pb_attr;

typedef OXP_PB_LIST(const char *) oxp_pb_texts;
typedef OXP_PB_LIST(oxp_pb_attr) oxp_pb_attrs;
typedef OXP_PB_LIST(oxp_pb_opset) oxp_pb_opsets;

typedef struct oxp_pb_node { /* NodeProto */
    const char *name, *op_type, *domain;
    oxp_pb_texts input, output;
    oxp_pb_attrs attribute;
} oxp_pb_node;

typedef OXP_PB_LIST(oxp_pb_node) oxp_pb_nodes;

typedef struct oxp_pb_dim { /* TensorShapeProto.Dimension */
    bool has_value;
    int64_t value;
    const char *param;
} oxp_pb_dim;

typedef struct oxp_pb_value { /* ValueInfoProto */
    const char *name;
    bool is_other; /* a sequence, map ... */
    int64_t dtype;
    bool has_shape;
    OXP_PB_LIST(oxp_pb_dim) dims;
} oxp_pb_value;

typedef struct oxp_pb_graph { /* GraphProto */
    oxp_pb_nodes node;
    OXP_PB_LIST(oxp_pb_tensor) initializer;
    size_t n_sparse;
    OXP_PB_LIST(oxp_pb_value) input;
    OXP_PB_LIST(oxp_pb_value) output;
} oxp_pb_graph;

typedef struct oxp_pb_function { /* FunctionProto */
    const char *name, *domain;
    oxp_pb_texts input, output;
    oxp_pb_attrs defaults; /* attributes with a value for calls that give none */
    oxp_pb_nodes node;
    oxp_pb_opsets opset_import;
} oxp_pb_function;

typedef struct oxp_pb_model { /* ModelProto */
    oxp_wire_file file;
    int64_t ir_version;
    const char *producer_name, *producer_version;
    bool has_graph;
    oxp_pb_graph graph;
    oxp_pb_opsets opset_import;
    OXP_PB_LIST(oxp_pb_entry) metadata;
    OXP_PB_LIST(oxp_pb_function) function;
    uint64_t records_left; /* bytes that records may still take */
} oxp_pb_model;

/* Reads the whole file. Records take at most max_bytes (0: 1 GiB) of the ctx's scratch arena.
 * OXP_ECORRUPT names the byte that is wrong. */
oxp_status oxp_pb_parse(oxp_ctx *ctx, oxp_bytes file, uint64_t max_bytes, oxp_pb_model *out);

/* A file that holds one TensorProto, as ONNX's tests keep their data. Views into `file`; the ctx's
 * scratch arena. */
oxp_status oxp_pb_parse_tensor(oxp_ctx *ctx, oxp_wire_file *file, oxp_pb_tensor *out);

/* The version of a domain ("" and "ai.onnx" are one), 0 when it is not imported. */
int64_t oxp_pb_opset_of(const oxp_pb_opset *imports, size_t n, const char *domain);
/* "ai.onnx" is another name of the default domain "". */
const char *oxp_pb_domain(const char *domain);

#endif
