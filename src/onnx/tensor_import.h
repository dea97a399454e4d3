/* tensor_import.h - a TensorProto becomes a tensor.
 *
 * Raw data is used where it lies in the file (aligned or not); typed data and external data are
 * copied into the arena. Sizes are checked against the shape before anything is read, and a limit
 * holds for all tensors of a model together. */
#ifndef OXP_ONNX_TENSOR_IMPORT_H
#define OXP_ONNX_TENSOR_IMPORT_H

#include "onnx/schema.h"
#include "tensor/tensor.h"

typedef struct oxp_tensor_source {
    oxp_arena *arena; /* for copies and external data */
    oxp_wire_file *file;
    const char *external_dir; /* the only folder that external data may lie in; NULL: none */
    uint64_t bytes_left;      /* that tensors outside the file's own bytes may still take */
} oxp_tensor_source;

/* The number type behind an ONNX data type; NONE when it is not one of ours (strings, complex ...).
 */
oxp_dtype oxp_pb_dtype(int64_t data_type);
const char *oxp_pb_dtype_name(int64_t data_type);

/* OXP_ECORRUPT: sizes or values do not fit; OXP_EUNSUPPORTED: not numbers; OXP_ELIMIT: too large;
 * OXP_EINVAL: external data without a folder. */
oxp_status oxp_tensor_import(oxp_ctx *ctx, oxp_tensor_source *source, const oxp_pb_tensor *pb,
                             oxp_tensor *out);

#endif
