/* dtype.c - sizes, names and kinds of element types, and whole tensors made of them. */
#include "base/checked.h"
#include "tensor/tensor.h"
#include <string.h>

#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "weights and .npy are used in place: little-endian hosts only");
#endif

typedef struct traits {
    const char *name;
    uint8_t size, bits;
    bool is_float, is_int, is_signed; /* is_signed: of integers */
} traits;

static const traits *traits_of(oxp_dtype dtype)
{
    static const traits table[OXP_DTYPE_LAST + 1] = {
        [OXP_DTYPE_NONE] = {"none", 0, 0, false, false, false},
        [OXP_F32] = {"float32", 4, 32, true, false, false},
        [OXP_U8] = {"uint8", 1, 8, false, true, false},
        [OXP_I8] = {"int8", 1, 8, false, true, true},
        [OXP_U16] = {"uint16", 2, 16, false, true, false},
        [OXP_I16] = {"int16", 2, 16, false, true, true},
        [OXP_I32] = {"int32", 4, 32, false, true, true},
        [OXP_I64] = {"int64", 8, 64, false, true, true},
        [OXP_BOOL] = {"bool", 1, 1, false, false, false},
        [OXP_F16] = {"float16", 2, 16, true, false, false},
        [OXP_F64] = {"float64", 8, 64, true, false, false},
        [OXP_U32] = {"uint32", 4, 32, false, true, false},
        [OXP_U64] = {"uint64", 8, 64, false, true, false},
        [OXP_BF16] = {"bfloat16", 2, 16, true, false, false},
        [OXP_F8E4M3FN] = {"float8e4m3fn", 1, 8, true, false, false},
        [OXP_F8E4M3FNUZ] = {"float8e4m3fnuz", 1, 8, true, false, false},
        [OXP_F8E5M2] = {"float8e5m2", 1, 8, true, false, false},
        [OXP_F8E5M2FNUZ] = {"float8e5m2fnuz", 1, 8, true, false, false},
        [OXP_U4] = {"uint4", 1, 4, false, true, false},
        [OXP_I4] = {"int4", 1, 4, false, true, true},
        [OXP_F4E2M1] = {"float4e2m1", 1, 4, true, false, false},
        [OXP_F8E8M0] = {"float8e8m0", 1, 8, true, false, false},
        [OXP_U2] = {"uint2", 1, 2, false, true, false},
        [OXP_I2] = {"int2", 1, 2, false, true, true},
        [OXP_F6E2M3] = {"float6e2m3", 1, 6, true, false, false},
        [OXP_F6E3M2] = {"float6e3m2", 1, 6, true, false, false},
    };
    const bool known = (size_t)dtype < OXP_COUNT(table) && table[dtype].name != NULL;
    return &table[known ? dtype : OXP_DTYPE_NONE];
}

size_t oxp_dtype_size(oxp_dtype dtype)
{
    return traits_of(dtype)->size;
}

const char *oxp_dtype_name(oxp_dtype dtype)
{
    return traits_of(dtype)->name;
}

bool oxp_dtype_is_float(oxp_dtype dtype)
{
    return traits_of(dtype)->is_float;
}

bool oxp_dtype_is_int(oxp_dtype dtype)
{
    return traits_of(dtype)->is_int;
}

int oxp_dtype_bits(oxp_dtype dtype)
{
    return traits_of(dtype)->bits;
}

bool oxp_dtype_is_signed(oxp_dtype dtype)
{
    return traits_of(dtype)->is_signed;
}

size_t oxp_tensor_bytes(const oxp_tensor *t)
{
    return (size_t)oxp_shape_elements(&t->shape) * oxp_dtype_size(t->dtype);
}

oxp_status oxp_tensor_new(oxp_ctx *ctx, oxp_arena *arena, oxp_dtype dtype, const oxp_shape *shape,
                          oxp_tensor *out)
{
    int64_t count;
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, !oxp_shape_count(shape, &count), OXP_ELIMIT,
                "a tensor of shape %s is too large", oxp_shape_text(shape, text));
    const size_t bytes = (size_t)count * oxp_dtype_size(dtype);
    void *data = oxp_arena_alloc_aligned(arena, bytes, 1);
    OXP_FAIL_IF(ctx, data == NULL, OXP_ENOMEM,
                "out of memory: a %s tensor of shape %s needs %zu bytes", oxp_dtype_name(dtype),
                oxp_shape_text(shape, text), bytes);
    memset(data, 0, bytes);
    *out = (oxp_tensor){dtype, *shape, data};
    return OXP_OK;
}

oxp_dtype oxp_dtype_canonical(oxp_dtype dtype)
{
    return oxp_dtype_is_float(dtype) ? OXP_F32 : oxp_dtype_is_int(dtype) ? OXP_I64 : dtype;
}
