/* tensor_import.c - TensorProto to tensor; see tensor_import.h.
 *
 * onnx.proto keeps a tensor's elements in one of three places: `raw_data` (dense, little-endian),
 * a typed list (which one depends on the element type), or a range of another file. */
#include "onnx/tensor_import.h"
#include "base/checked.h"
#include "base/parse.h"
#include <string.h>

oxp_dtype oxp_pb_dtype(int64_t data_type)
{
    if (data_type < 0 || data_type > OXP_DTYPE_LAST) return OXP_DTYPE_NONE;
    const oxp_dtype dtype = (oxp_dtype)data_type; /* the numbers are ONNX's */
    return oxp_dtype_size(dtype) > 0 ? dtype : OXP_DTYPE_NONE;
}

const char *oxp_pb_dtype_name(int64_t data_type)
{
    if (oxp_pb_dtype(data_type) != OXP_DTYPE_NONE) return oxp_dtype_name(oxp_pb_dtype(data_type));
    return data_type == 0                       ? "no type"
           : data_type == 8                     ? "strings"
           : data_type == 14 || data_type == 15 ? "complex numbers"
                                                : "numbers of an unknown type";
}

/* ---- typed data ---- */

/* In which field elements of a type are listed, and how. */
typedef struct typed_list {
    uint32_t field;
    oxp_wire_type wire;
} typed_list;

static typed_list list_of(oxp_dtype dtype)
{
    switch (dtype) {
    case OXP_F32:
        return (typed_list){4, OXP_WIRE_FIXED32};
    case OXP_I64:
        return (typed_list){7, OXP_WIRE_VARINT};
    case OXP_F64:
        return (typed_list){10, OXP_WIRE_FIXED64};
    case OXP_U32:
    case OXP_U64:
        return (typed_list){11, OXP_WIRE_VARINT};
    default: /* 8 and 16 bits, bool, int32 and the bits of half floats: int32_data */
        return (typed_list){5, OXP_WIRE_VARINT};
    }
}

/* Stores one element; false when it does not fit its type. Half floats are bit patterns, which
 * writers give signed or unsigned. */
static bool store(void *data, size_t i, oxp_dtype dtype, uint64_t bits)
{
    const int64_t v = (int64_t)bits;
    const size_t size = oxp_dtype_size(dtype);
    bool fits = true;
    switch (dtype) {
    case OXP_I8:
        fits = v >= INT8_MIN && v <= INT8_MAX;
        break;
    case OXP_U8:
        fits = v >= 0 && v <= UINT8_MAX;
        break;
    case OXP_I16:
        fits = v >= INT16_MIN && v <= INT16_MAX;
        break;
    case OXP_U16:
        fits = v >= 0 && v <= UINT16_MAX;
        break;
    case OXP_F16:
    case OXP_BF16:
        fits = v >= INT16_MIN && v <= UINT16_MAX;
        break;
    case OXP_I32:
        fits = v >= INT32_MIN && v <= INT32_MAX;
        break;
    case OXP_U32:
        fits = bits <= UINT32_MAX;
        break;
    case OXP_BOOL:
        bits = bits != 0;
        break;
    case OXP_I64:
    case OXP_U64:
    case OXP_F32:
    case OXP_F64:
        break;
    default: /* codes of a byte and less, packed or not */
        fits = v >= INT8_MIN && v <= UINT8_MAX;
        break;
    }
    memcpy((unsigned char *)data + i * size, &bits, size); /* little-endian, as dtype.c asserts */
    return fits;
}
/* Counts the typed elements; with `out`, stores them (there are as many as its shape says). */
static oxp_status read_typed(oxp_ctx *ctx, oxp_tensor_source *source, const oxp_pb_tensor *pb,
                             void *out, size_t *count)
{
    const oxp_dtype dtype = oxp_pb_dtype(pb->dtype);
    const typed_list list = list_of(dtype);
    oxp_wire w = oxp_wire_open(source->file, pb->body);
    size_t n = 0;
    for (oxp_wire_field f; oxp_wire_next(&w, &f);) {
        if (f.number != list.field) continue;
        oxp_wire_numbers numbers = oxp_wire_list(&w, &f, list.wire);
        for (uint64_t bits; oxp_wire_number(&numbers, &bits); n++)
            OXP_FAIL_IF(ctx, out && !store(out, n, dtype, bits), OXP_ECORRUPT,
                        "tensor '%s': element %zu does not fit %s", pb->name, n,
                        oxp_dtype_name(dtype));
    }
    *count = n;
    return source->file->status;
}

/* ---- packed elements ---- */

/* How many elements share what, in raw data and in typed lists: 4-bit and 2-bit types fill bytes from
 * the lowest bits up, 6-bit ones are a stream of bits in raw data only. */
static bool is_packed(oxp_dtype dtype, bool raw)
{
    const int bits = oxp_dtype_bits(dtype);
    return bits == 2 || bits == 4 || (bits == 6 && raw);
}

static size_t packed_bytes(size_t count, oxp_dtype dtype)
{
    const size_t bits = (size_t)oxp_dtype_bits(dtype);
    return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

/* In place: the packed bytes lie at the front of `data`, which has room for one byte per element;
 * unpacked from the end, where each element lies at or behind the bits it comes from. */
static void unpack(uint8_t *data, size_t count, oxp_dtype dtype)
{
    const size_t bits = (size_t)oxp_dtype_bits(dtype), total = packed_bytes(count, dtype);
    for (size_t i = count; i-- > 0;) {
        const size_t at = i / 8 * bits + i % 8 * bits / 8, shift = i % 8 * bits % 8;
        const unsigned next = at + 1 < total && shift + bits > 8 ? data[at + 1] : 0u;
        const unsigned code = ((data[at] | next << 8) >> shift) & ((1u << bits) - 1u);
        const bool negative = oxp_dtype_is_signed(dtype) && code >> (bits - 1);
        data[i] = (uint8_t)(negative ? code | (0xFFu << bits & 0xFFu) : code);
    }
}

/* ---- the three places ---- */

static oxp_status charge(oxp_ctx *ctx, oxp_tensor_source *source, const oxp_pb_tensor *pb,
                         size_t bytes)
{
    OXP_FAIL_IF(ctx, bytes > source->bytes_left, OXP_ELIMIT,
                "tensor '%s' needs %zu bytes, %llu are left of the memory limit", pb->name, bytes,
                (unsigned long long)source->bytes_left);
    source->bytes_left -= bytes;
    return OXP_OK;
}

static oxp_status import_typed(oxp_ctx *ctx, oxp_tensor_source *source, const oxp_pb_tensor *pb,
                               size_t count, size_t bytes, oxp_tensor *out)
{
    size_t found;
    const bool packed = is_packed(out->dtype, false);
    const size_t listed = packed ? packed_bytes(count, out->dtype) : count;
    OXP_TRY(read_typed(ctx, source, pb, NULL, &found));
    OXP_FAIL_IF(ctx, found != listed, OXP_ECORRUPT,
                "tensor '%s' should hold %zu elements, but %zu are there", pb->name, listed, found);
    OXP_TRY(charge(ctx, source, pb, bytes));
    void *data = oxp_arena_alloc_aligned(source->arena, bytes, 1);
    OXP_NOMEM_IF(ctx, data);
    out->data = data;
    OXP_TRY(read_typed(ctx, source, pb, data, &found));
    if (packed) unpack(data, count, out->dtype);
    return OXP_OK;
}

static oxp_status external_number(oxp_ctx *ctx, const oxp_pb_tensor *pb, const oxp_pb_entry *e,
                                  uint64_t *out)
{
    int64_t value = -1;
    OXP_FAIL_IF(ctx, !oxp_parse_i64(e->value, &value) || value < 0, OXP_ECORRUPT,
                "tensor '%s': external %s '%s' is not a number of bytes", pb->name, e->key,
                e->value);
    *out = (uint64_t)value;
    return OXP_OK;
}

/* Packed bytes, wherever they come from, as one element per byte. */
static oxp_status import_packed(oxp_ctx *ctx, oxp_tensor_source *source, const oxp_pb_tensor *pb,
                                oxp_bytes packed, size_t count, oxp_tensor *out)
{
    OXP_TRY(charge(ctx, source, pb, count));
    uint8_t *data = oxp_arena_alloc_aligned(source->arena, count, 1);
    OXP_NOMEM_IF(ctx, data);
    if (packed.size) memcpy(data, packed.data, packed.size);
    unpack(data, count, out->dtype);
    out->data = data;
    return OXP_OK;
}

static oxp_status read_external(oxp_ctx *ctx, oxp_tensor_source *source, const oxp_pb_tensor *pb,
                                size_t bytes, oxp_bytes *out)
{
    const char *location = "";
    uint64_t offset = 0, length = bytes;
    for (size_t i = 0; i < pb->external_data.n; i++) {
        const oxp_pb_entry *e = &pb->external_data.items[i];
        if (strcmp(e->key, "location") == 0) location = e->value;
        if (strcmp(e->key, "offset") == 0) OXP_TRY(external_number(ctx, pb, e, &offset));
        if (strcmp(e->key, "length") == 0) OXP_TRY(external_number(ctx, pb, e, &length));
    }
    OXP_FAIL_IF(ctx, location[0] == '\0', OXP_ECORRUPT,
                "tensor '%s' lies in another file, but none is named", pb->name);
    OXP_FAIL_IF(ctx, length != bytes, OXP_ECORRUPT,
                "tensor '%s' takes %zu bytes, but %llu are given in '%s'", pb->name, bytes,
                (unsigned long long)length, location);
    OXP_FAIL_IF(ctx, !source->external_dir, OXP_EINVAL,
                "tensor '%s' lies in the file '%s': name the folder of external data", pb->name,
                location);
    OXP_TRY(charge(ctx, source, pb, bytes));
    *out = (oxp_bytes){0};
    if (bytes == 0) return OXP_OK;
    return oxp_file_read_beside(ctx, source->arena, source->external_dir, location, offset, length,
                                out);
}

/* ---- the whole ---- */

static oxp_status import_shape(oxp_ctx *ctx, const oxp_pb_tensor *pb, oxp_shape *shape,
                               size_t *count, size_t *bytes)
{
    int64_t n;
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, pb->dims.n > OXP_MAX_RANK, OXP_EUNSUPPORTED,
                "tensor '%s' has %zu dimensions, at most %d are supported", pb->name, pb->dims.n,
                OXP_MAX_RANK);
    *shape = oxp_shape_of((int)pb->dims.n, pb->dims.items);
    OXP_FAIL_IF(ctx, !oxp_shape_known(shape), OXP_ECORRUPT, "tensor '%s' has a negative dimension",
                pb->name);
    OXP_FAIL_IF(ctx, !oxp_shape_count(shape, &n), OXP_ELIMIT,
                "tensor '%s' of shape %s is too large", pb->name, oxp_shape_text(shape, text));
    *count = (size_t)n;
    OXP_FAIL_IF(ctx, !oxp_mul_size(*count, oxp_dtype_size(oxp_pb_dtype(pb->dtype)), bytes),
                OXP_ELIMIT, "tensor '%s' of shape %s is too large", pb->name,
                oxp_shape_text(shape, text));
    return OXP_OK;
}

oxp_status oxp_tensor_import(oxp_ctx *ctx, oxp_tensor_source *source, const oxp_pb_tensor *pb,
                             oxp_tensor *out)
{
    static const uint64_t nothing = 0; /* what empty tensors point to */
    size_t count, bytes;
    char text[OXP_SHAPE_TEXT];
    *out = (oxp_tensor){.dtype = oxp_pb_dtype(pb->dtype), .data = &nothing};
    OXP_FAIL_IF(ctx, out->dtype == OXP_DTYPE_NONE, OXP_EUNSUPPORTED,
                "tensor '%s' holds %s, which cannot be explained", pb->name,
                oxp_pb_dtype_name(pb->dtype));
    OXP_FAIL_IF(ctx, pb->has_segment, OXP_EUNSUPPORTED,
                "tensor '%s' is stored in segments, which is not supported", pb->name);
    OXP_TRY(import_shape(ctx, pb, &out->shape, &count, &bytes));
    const bool packed = is_packed(out->dtype, true);
    const size_t stored = packed ? packed_bytes(count, out->dtype) : bytes;
    if (!pb->is_external && pb->raw.size == 0)
        return import_typed(ctx, source, pb, count, bytes, out);
    oxp_bytes raw = pb->raw;
    if (pb->is_external) OXP_TRY(read_external(ctx, source, pb, stored, &raw));
    OXP_FAIL_IF(ctx, raw.size != stored, OXP_ECORRUPT,
                "tensor '%s' of %s%s takes %zu bytes, but %zu are there", pb->name,
                oxp_dtype_name(out->dtype), oxp_shape_text(&out->shape, text), stored, raw.size);
    if (packed) return import_packed(ctx, source, pb, raw, count, out);
    if (raw.size) out->data = raw.data;
    return OXP_OK;
}
