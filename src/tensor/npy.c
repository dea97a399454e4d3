/* npy.c - NumPy's .npy format, versions 1 to 3.
 *
 * "\x93NUMPY" major minor, header length (2 bytes in version 1, else 4), then a Python dict literal
 * with exactly the keys descr, fortran_order and shape, then the elements. Only plain dtypes: no
 * records, no objects, no pickles. */
#include "base/checked.h"
#include "base/strbuf.h"
#include "tensor/tensor.h"
#include <string.h>

static const char MAGIC[6] = "\x93NUMPY";

typedef struct cursor {
    const char *at, *end;
} cursor;

typedef struct header {
    oxp_dtype dtype;
    bool fortran;
    oxp_shape shape;
    bool has_descr, has_order, has_shape;
} header;

/* ---- the dict literal ---- */

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool accept(cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static bool accept_word(cursor *c, const char *word)
{
    const size_t len = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0) return false;
    c->at += len;
    return true;
}

/* A quoted string without escapes, as a piece of the header. */
static bool quoted(cursor *c, oxp_bytes *out)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
    const char quote = *c->at++, *start = c->at;
    while (c->at < c->end && *c->at != quote && *c->at != '\\') c->at++;
    *out = (oxp_bytes){(const uint8_t *)start, (size_t)(c->at - start)};
    return accept(c, quote);
}

static bool piece_is(oxp_bytes piece, const char *word)
{
    return piece.size == strlen(word) && memcmp(piece.data, word, piece.size) == 0;
}

static bool integer(cursor *c, int64_t *out)
{
    skip_space(c);
    const char *start = c->at;
    int64_t value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (!oxp_mul_i64(value, 10, &value) || !oxp_add_i64(value, *c->at - '0', &value))
            return false;
    if (c->at == start) return false;
    accept(c, 'L'); /* Python 2 wrote long integers so */
    *out = value;
    return true;
}

/* dtype codes behind the byte order, as both directions use them. */
static const struct {
    const char *code;
    oxp_dtype dtype;
} codes[] = {
    {"f4", OXP_F32}, {"f8", OXP_F64},  {"f2", OXP_F16}, {"u1", OXP_U8},
    {"i1", OXP_I8},  {"b1", OXP_BOOL}, {"u2", OXP_U16}, {"i2", OXP_I16},
    {"u4", OXP_U32}, {"i4", OXP_I32},  {"u8", OXP_U64}, {"i8", OXP_I64},
};

static oxp_status parse_descr(oxp_ctx *ctx, cursor *c, header *h)
{
    oxp_bytes text;
    OXP_FAIL_IF(ctx, accept(c, '['), OXP_EUNSUPPORTED,
                ".npy: record arrays are not supported: expected one plain dtype");
    OXP_FAIL_IF(ctx, !quoted(c, &text) || text.size == 0, OXP_ECORRUPT,
                ".npy: the header's 'descr' is not a dtype string");
    const char order = (char)text.data[0];
    const bool has_order = strchr("<>|=", order) != NULL && order != '\0';
    const oxp_bytes code = {text.data + has_order, text.size - has_order};
    for (size_t i = 0; i < OXP_COUNT(codes); i++)
        if (piece_is(code, codes[i].code)) h->dtype = codes[i].dtype;
    OXP_FAIL_IF(ctx, h->dtype == OXP_DTYPE_NONE, OXP_EUNSUPPORTED,
                ".npy: dtype '%.*s' is not supported: expected bool, an integer or float16/32/64",
                text.size < 32 ? (int)text.size : 32, (const char *)text.data);
    OXP_FAIL_IF(ctx, order == '>' && oxp_dtype_size(h->dtype) > 1, OXP_EUNSUPPORTED,
                ".npy: big-endian data ('%.*s') is not supported: save it with astype('<%.*s')",
                (int)text.size, (const char *)text.data, (int)code.size, (const char *)code.data);
    h->has_descr = true;
    return OXP_OK;
}

/* (), (3,) or (2, 3); with more than OXP_MAX_RANK dims it is false and leaves that rank behind. */
static bool tuple(cursor *c, oxp_shape *s)
{
    if (!accept(c, '(')) return false;
    while (!accept(c, ')')) {
        int64_t dim;
        if (!integer(c, &dim) || ++s->rank > OXP_MAX_RANK) return false;
        s->dim[s->rank - 1] = dim;
        if (!accept(c, ',')) return accept(c, ')') && s->rank > 1; /* (3) is not a tuple */
    }
    return true;
}

static oxp_status parse_shape(oxp_ctx *ctx, cursor *c, header *h)
{
    h->has_shape = tuple(c, &h->shape);
    OXP_FAIL_IF(ctx, h->shape.rank > OXP_MAX_RANK, OXP_ELIMIT, ".npy: more than %d dimensions",
                OXP_MAX_RANK);
    OXP_FAIL_IF(ctx, !h->has_shape, OXP_ECORRUPT,
                ".npy: the header's 'shape' is not a tuple of integers");
    return OXP_OK;
}

static oxp_status parse_entry(oxp_ctx *ctx, cursor *c, header *h)
{
    oxp_bytes key = {NULL, 0};
    const bool good = quoted(c, &key) && accept(c, ':');
    if (good && piece_is(key, "descr") && !h->has_descr) return parse_descr(ctx, c, h);
    if (good && piece_is(key, "shape") && !h->has_shape) return parse_shape(ctx, c, h);
    if (good && piece_is(key, "fortran_order") && !h->has_order) {
        h->fortran = accept_word(c, "True");
        h->has_order = h->fortran || accept_word(c, "False");
        OXP_FAIL_IF(ctx, !h->has_order, OXP_ECORRUPT,
                    ".npy: the header's 'fortran_order' is neither True nor False");
        return OXP_OK;
    }
    OXP_FAIL(ctx, OXP_ECORRUPT,
             ".npy: damaged header: expected descr, fortran_order and shape, once each");
}

static oxp_status parse_dict(oxp_ctx *ctx, cursor *c, header *h)
{
    OXP_FAIL_IF(ctx, !accept(c, '{'), OXP_ECORRUPT, ".npy: damaged header: expected a '{'");
    while (!accept(c, '}')) {
        OXP_TRY(parse_entry(ctx, c, h));
        if (accept(c, ',')) continue;
        OXP_FAIL_IF(ctx, !accept(c, '}'), OXP_ECORRUPT,
                    ".npy: damaged header: expected ',' or '}'");
        break;
    }
    skip_space(c);
    OXP_FAIL_IF(ctx, c->at != c->end || !h->has_descr || !h->has_order || !h->has_shape,
                OXP_ECORRUPT,
                ".npy: damaged header: expected descr, fortran_order and shape, and nothing else");
    return OXP_OK;
}

/* ---- the file ---- */

/* Splits file into the header's text and the bytes behind it. */
static oxp_status split(oxp_ctx *ctx, oxp_bytes file, cursor *text, oxp_bytes *body)
{
    const uint8_t *p = file.data;
    OXP_FAIL_IF(ctx, file.size < 10 || memcmp(p, MAGIC, sizeof MAGIC) != 0, OXP_ECORRUPT,
                "not a .npy file: it does not begin with NumPy's signature");
    OXP_FAIL_IF(ctx, p[6] < 1 || p[6] > 3 || p[7] != 0, OXP_EUNSUPPORTED,
                ".npy: format version %d.%d is not supported: expected 1.0, 2.0 or 3.0", p[6],
                p[7]);
    const size_t start = p[6] == 1 ? 10 : 12;
    OXP_FAIL_IF(ctx, file.size < start, OXP_ECORRUPT, ".npy: the file ends inside its header");
    size_t len = p[8] | (size_t)p[9] << 8;
    if (start == 12) len |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    OXP_FAIL_IF(ctx, len > file.size - start, OXP_ECORRUPT,
                ".npy: the file ends inside its header");
    *text = (cursor){(const char *)p + start, (const char *)p + start + len};
    *body = (oxp_bytes){p + start + len, file.size - start - len};
    return OXP_OK;
}

/* Walks the C-order elements of `shape` while adding up Fortran-order positions. */
static void copy_fortran(char *dst, const uint8_t *src, const oxp_shape *shape, size_t size,
                         int64_t count)
{
    int64_t stride[OXP_MAX_RANK], index[OXP_MAX_RANK] = {0}, from = 0, step = 1;
    for (int a = 0; a < shape->rank; a++) {
        stride[a] = step;
        step *= shape->dim[a];
    }
    for (int64_t i = 0; i < count; i++) {
        memcpy(dst + (size_t)i * size, src + (size_t)from * size, size);
        for (int a = shape->rank - 1; a >= 0; a--) {
            from += stride[a];
            if (++index[a] < shape->dim[a]) break;
            from -= stride[a] * index[a];
            index[a] = 0;
        }
    }
}

oxp_status oxp_npy_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes file, oxp_tensor *out)
{
    cursor text;
    oxp_bytes body;
    header h = {0};
    OXP_TRY(split(ctx, file, &text, &body));
    OXP_TRY(parse_dict(ctx, &text, &h));
    int64_t count;
    char shape[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, !oxp_shape_count(&h.shape, &count), OXP_ELIMIT,
                ".npy: an array of shape %s is too large", oxp_shape_text(&h.shape, shape));
    const size_t size = oxp_dtype_size(h.dtype), bytes = (size_t)count * size;
    OXP_FAIL_IF(ctx, body.size < bytes, OXP_ECORRUPT,
                ".npy: truncated: shape %s of %s needs %zu bytes, found %zu",
                oxp_shape_text(&h.shape, shape), oxp_dtype_name(h.dtype), bytes, body.size);
    const bool in_place = !h.fortran && (uintptr_t)body.data % size == 0;
    if (in_place) {
        *out = (oxp_tensor){h.dtype, h.shape, body.data};
        return OXP_OK;
    }
    char *data = oxp_arena_alloc_aligned(arena, bytes, 1);
    OXP_NOMEM_IF(ctx, data);
    if (h.fortran)
        copy_fortran(data, body.data, &h.shape, size, count);
    else
        memcpy(data, body.data, bytes);
    *out = (oxp_tensor){h.dtype, h.shape, data};
    return OXP_OK;
}

/* What .npy does not know is written as the narrowest type that holds it. */
static oxp_dtype npy_dtype(oxp_dtype dtype)
{
    if (oxp_dtype_is_int(dtype) && oxp_dtype_bits(dtype) < 8)
        return oxp_dtype_is_signed(dtype) ? OXP_I8 : OXP_U8;
    return dtype == OXP_BF16 || (oxp_dtype_is_float(dtype) && oxp_dtype_size(dtype) == 1) ? OXP_F32
                                                                                          : dtype;
}

oxp_status oxp_npy_format(oxp_ctx *ctx, oxp_arena *arena, const oxp_tensor *t, oxp_bytes *out)
{
    const oxp_dtype stored = npy_dtype(t->dtype);
    const char *code = NULL;
    for (size_t i = 0; i < OXP_COUNT(codes); i++)
        if (codes[i].dtype == stored) code = codes[i].code;
    int64_t count;
    OXP_FAIL_IF(ctx, code == NULL || !oxp_shape_count(&t->shape, &count), OXP_EINVAL,
                ".npy: cannot write a tensor without a dtype or with unknown dimensions");
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, arena);
    oxp_strbuf_add(&sb, MAGIC, sizeof MAGIC);
    oxp_strbuf_add(&sb, "\x01\x00\x00\x00", 4); /* version 1.0, then the length, filled in below */
    oxp_strbuf_printf(&sb, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                      oxp_dtype_size(stored) == 1 ? '|' : '<', code);
    for (int i = 0; i < t->shape.rank; i++)
        oxp_strbuf_printf(&sb, i > 0 ? ", %lld" : "%lld", (long long)t->shape.dim[i]);
    oxp_strbuf_puts(&sb, t->shape.rank == 1 ? ",), }" : "), }");
    while (sb.len % 64 != 63 && !sb.failed) oxp_strbuf_add(&sb, " ", 1);
    oxp_strbuf_add(&sb, "\n", 1);
    size_t total;
    char *data = NULL;
    if (!sb.failed && oxp_add_size(sb.len, (size_t)count * oxp_dtype_size(stored), &total))
        data = oxp_arena_alloc_aligned(arena, total, 1);
    OXP_NOMEM_IF(ctx, data);
    memcpy(data, sb.data, sb.len);
    data[8] = (char)((sb.len - 10) & 0xFF);
    data[9] = (char)((sb.len - 10) >> 8);
    oxp_convert(data + sb.len, stored, t->data, t->dtype, count);
    *out = (oxp_bytes){(const uint8_t *)data, total};
    return OXP_OK;
}
