/* dtype.c - sizes, names and kinds of element types, and whole tensors made of them. */
#include "base/checked.h"
#include "tensor/tensor.h"
#include <string.h>

#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights and .npy are used in place: little-endian hosts only");
#endif

size_t oxp_dtype_size(oxp_dtype dtype)
{
    switch (dtype) {
    case OXP_U8:
    case OXP_I8:
    case OXP_BOOL: return 1;
    case OXP_U16:
    case OXP_I16:
    case OXP_F16:
    case OXP_BF16: return 2;
    case OXP_F32:
    case OXP_I32:
    case OXP_U32: return 4;
    case OXP_F64:
    case OXP_I64:
    case OXP_U64: return 8;
    case OXP_DTYPE_NONE: break;
    }
    return 0;
}

const char *oxp_dtype_name(oxp_dtype dtype)
{
    switch (dtype) {
    case OXP_F32: return "float32";
    case OXP_U8: return "uint8";
    case OXP_I8: return "int8";
    case OXP_U16: return "uint16";
    case OXP_I16: return "int16";
    case OXP_I32: return "int32";
    case OXP_I64: return "int64";
    case OXP_BOOL: return "bool";
    case OXP_F16: return "float16";
    case OXP_F64: return "float64";
    case OXP_U32: return "uint32";
    case OXP_U64: return "uint64";
    case OXP_BF16: return "bfloat16";
    case OXP_DTYPE_NONE: break;
    }
    return "none";
}

bool oxp_dtype_is_float(oxp_dtype dtype)
{
    return dtype == OXP_F32 || dtype == OXP_F64 || dtype == OXP_F16 || dtype == OXP_BF16;
}

bool oxp_dtype_is_int(oxp_dtype dtype)
{
    return oxp_dtype_size(dtype) != 0 && dtype != OXP_BOOL && !oxp_dtype_is_float(dtype);
}

size_t oxp_tensor_bytes(const oxp_tensor *t)
{
    return (size_t)oxp_shape_elements(&t->shape) * oxp_dtype_size(t->dtype);
}

oxp_status oxp_tensor_new(oxp_ctx *ctx, oxp_arena *arena, oxp_dtype dtype, const oxp_shape *shape, oxp_tensor *out)
{
    int64_t count;
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, !oxp_shape_count(shape, &count), OXP_ELIMIT, "a tensor of shape %s is too large",
                oxp_shape_text(shape, text));
    const size_t bytes = (size_t)count * oxp_dtype_size(dtype);
    void *data = oxp_arena_alloc_aligned(arena, bytes, 1);
    OXP_FAIL_IF(ctx, data == NULL, OXP_ENOMEM, "out of memory: a %s tensor of shape %s needs %zu bytes",
                oxp_dtype_name(dtype), oxp_shape_text(shape, text), bytes);
    memset(data, 0, bytes);
    *out = (oxp_tensor){dtype, *shape, data};
    return OXP_OK;
}
