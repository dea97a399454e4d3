/* narrow.h - floats of eight bits and fewer, as ONNX defines them: one code per byte.
 *
 * A format is a list of magnitudes that grow with the code, mostly with a sign bit above; what a
 * code means beyond the largest number (infinity, NaN, nothing) differs. */
#ifndef OXP_TENSOR_NARROW_H
#define OXP_TENSOR_NARROW_H

#include "tensor/tensor.h"

typedef enum oxp_narrow_mode { OXP_NARROW_UP, OXP_NARROW_DOWN, OXP_NARROW_NEAREST } oxp_narrow_mode;

bool oxp_narrow_is(oxp_dtype dtype);
double oxp_narrow_value(oxp_dtype dtype, uint8_t code);
/* The code nearest to x, ties to the even code. Beyond the largest number: that number when
 * `saturate`, else infinity or NaN where the format has one. `mode` is how FLOAT8E8M0, which has
 * powers of two only, rounds; others always round to nearest. */
uint8_t oxp_narrow_code(oxp_dtype dtype, double x, bool saturate, oxp_narrow_mode mode);

#endif
