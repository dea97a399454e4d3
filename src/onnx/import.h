/* import.h - the bytes of an ONNX file become a model graph (ir/graph.h).
 *
 * The graph is in topological order and in one canonical form whatever the opset; local functions
 * are inlined; initializers and Constant nodes are constants, which keep the type and, where it can
 * be, the place they have in the file. Node outputs have neither type nor shape yet:
 * ops/specialise.h gives them. */
#ifndef OXP_ONNX_IMPORT_H
#define OXP_ONNX_IMPORT_H

#include "ir/graph.h"

/* An input or output as the file declares it. */
typedef struct oxp_onnx_io {
    const char *name;
    oxp_val value;
    oxp_dtype dtype;                   /* the file's own, e.g. U8; NONE: an output without one */
    oxp_shape shape;                   /* OXP_DIM_UNKNOWN where symbolic; rank -1: not declared */
    const char *symbols[OXP_MAX_RANK]; /* names of symbolic dims; NULL: none */
} oxp_onnx_io;

typedef struct oxp_onnx_entry {
    const char *key, *value;
} oxp_onnx_entry;

typedef struct oxp_onnx_model {
    oxp_graph *graph;
    const char *producer, *producer_version; /* "" when not given */
    int64_t ir_version, opset;
    oxp_onnx_io *inputs, *outputs; /* inputs: those that are not initializers too */
    size_t n_inputs, n_outputs;
    oxp_onnx_entry *metadata;
    size_t n_metadata;
    uint64_t parameters, parameter_bytes; /* elements and bytes of the float initializers */
    const char *const *class_names;       /* of a classifier that holds them (ai.onnx.ml) */
    size_t n_class_names;
    const char **lacks; /* oxp_import_facts: what this version lacks, a line each */
    size_t n_lacks;
} oxp_onnx_model;

/* `file` must outlive the model: weights are views into it. `arena` becomes the model's; temporaries
 * go to the ctx's scratch arena. external_dir: the folder of external data, NULL: refuse any.
 * max_bytes: for copies and external data together, and for the parser's records; 0: no limit but
 * the machine's.
 * OXP_ECORRUPT: damaged or inconsistent; OXP_EUNSUPPORTED: lists all that is lacking; OXP_ELIMIT;
 * OXP_EIO, OXP_EINVAL: external data; OXP_ENOMEM. */
oxp_status oxp_import(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes file, const char *external_dir,
                      uint64_t max_bytes, oxp_onnx_model **out);

/* What a file says of itself, whether it is supported or not: no graph and no weights, no parameters
 * counted; `lacks` says what stands in the way. Errors: those of a file that is no model. */
oxp_status oxp_import_facts(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes file, uint64_t max_bytes,
                            oxp_onnx_model **out);

#endif
