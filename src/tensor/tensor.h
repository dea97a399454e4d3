/* tensor.h - dtypes, shapes and dense row-major tensors.
 *
 * A tensor here is a value that crosses a border (weights, inputs, results, .npy); inside the
 * engine values have their own strides. Shapes hold concrete, non-negative dims, except in imported
 * model graphs where OXP_DIM_UNKNOWN stands for a symbolic one. */
#ifndef OXP_TENSOR_TENSOR_H
#define OXP_TENSOR_TENSOR_H

#include "base/ctx.h"
#include "base/file.h"
#include "onnxplain.h"

#define OXP_DIM_UNKNOWN (-1)

typedef struct oxp_shape {
    int32_t rank; /* 0 = scalar; -1 = unknown (model graphs only) */
    int64_t dim[OXP_MAX_RANK];
} oxp_shape;

enum { OXP_DTYPE_LAST = OXP_F6E3M2 };

size_t oxp_dtype_size(oxp_dtype dtype); /* bytes; 0 for OXP_DTYPE_NONE */
int oxp_dtype_bits(oxp_dtype dtype);    /* that carry the value: 4 for OXP_U4, 1 for bool */
const char *oxp_dtype_name(oxp_dtype dtype);
bool oxp_dtype_is_float(oxp_dtype dtype);
bool oxp_dtype_is_int(oxp_dtype dtype);    /* not bool */
bool oxp_dtype_is_signed(oxp_dtype dtype); /* of an integer type */
/* The dtype that stands for its kind in a graph: F32 for all floats, I64 for all integers. */
oxp_dtype oxp_dtype_canonical(oxp_dtype dtype);

oxp_shape oxp_shape_of(int rank, const int64_t *dims); /* rank <= OXP_MAX_RANK */
bool oxp_shape_equal(const oxp_shape *a, const oxp_shape *b);
bool oxp_shape_known(const oxp_shape *s);
/* Number of elements; false when it does not fit (bombs). Unknown dims are refused too. */
bool oxp_shape_count(const oxp_shape *s, int64_t *count);
int64_t oxp_shape_elements(const oxp_shape *s); /* of a shape already checked */
/* ONNX (NumPy) broadcasting; false when the shapes do not go together. */
bool oxp_shape_broadcast(const oxp_shape *a, const oxp_shape *b, oxp_shape *out);
/* "(1,3,224,224)" into buf; returns buf. */
#define OXP_SHAPE_TEXT 176
const char *oxp_shape_text(const oxp_shape *s, char buf[OXP_SHAPE_TEXT]);
/* Row-major strides in elements. */
void oxp_shape_strides(const oxp_shape *s, int64_t stride[OXP_MAX_RANK]);

typedef struct oxp_tensor {
    oxp_dtype dtype;
    oxp_shape shape;
    const void *data; /* dense, row-major, little-endian; a view into a file may be unaligned */
} oxp_tensor;

size_t oxp_tensor_bytes(const oxp_tensor *t);
/* Zeroed, 64-byte aligned memory of the tensor's own; *out is untouched on failure. */
oxp_status oxp_tensor_new(oxp_ctx *ctx, oxp_arena *arena, oxp_dtype dtype, const oxp_shape *shape,
                          oxp_tensor *out);

/* Element-wise conversion of n values between any two dtypes, as ONNX's Cast but saturating towards
 * integers (NaN gives 0, fractions are cut off), rounding once, to nearest even, towards floats;
 * anything but zero is true. src may be unaligned, dst is aligned for its dtype; they do not
 * overlap. */
void oxp_convert(void *dst, oxp_dtype to, const void *src, oxp_dtype from, int64_t n);
/* x as a number of the dtype, saturating: rounded to nearest even. NaN gives 0 in integers. */
double oxp_dtype_round(oxp_dtype dtype, double x);
double oxp_tensor_get(const oxp_tensor *t, int64_t index); /* any numeric dtype, as double */
int64_t oxp_tensor_get_int(const oxp_tensor *t, int64_t index);
float oxp_half_to_float(uint16_t h);
uint16_t oxp_float_to_half(float f);

/* .npy, format versions 1-3, C or Fortran order read, C order written; little-endian or
 * byte-order-free dtypes. The tensor is a view into `file` where that is C order and aligned, else
 * a copy in the arena: `file` must outlive it. Bytes behind the array are ignored, as NumPy does.
 * What .npy does not know is written wider: bfloat16 and narrower floats as float32, integers of
 * less than 8 bits with 8. */
oxp_status oxp_npy_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes file, oxp_tensor *out);
oxp_status oxp_npy_format(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *t, oxp_bytes *out);

#endif
