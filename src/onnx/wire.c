/* wire.c - the protocol-buffers wire format; see wire.h. The format is a sequence of fields, each a
 * varint tag (field number * 8 + wire type) and a value: a varint, 4 or 8 little-endian bytes, or a
 * varint length and that many bytes (a string, a nested message or a packed list). */
#include "onnx/wire.h"
#include <string.h>

enum { MAX_DEPTH = 32, MAX_FIELD_NUMBER = (1 << 29) - 1 };

void oxp_wire_fail(oxp_wire_file *file, const uint8_t *at, oxp_status code, const char *what)
{
    if (file->status != OXP_OK) return;
    file->ctx->offset = (uint64_t)(at - file->bytes.data);
    file->status = oxp_ctx_fail(file->ctx, code, "not a sound ONNX file: %s at byte %llu", what,
                                (unsigned long long)file->ctx->offset);
}

static bool corrupt(const oxp_wire *w, const uint8_t *at, const char *what)
{
    oxp_wire_fail(w->file, at, OXP_ECORRUPT, what);
    return false;
}

static bool read_varint(oxp_wire *w, uint64_t *out)
{
    const uint8_t *start = w->at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (w->at == w->end) return corrupt(w, start, "the data ends inside a number");
        const uint8_t byte = *w->at++;
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return corrupt(w, start, "a number has more than 64 bits");
}

static bool read_fixed(oxp_wire *w, size_t size, uint64_t *out)
{
    if ((size_t)(w->end - w->at) < size) return corrupt(w, w->at, "the data ends inside a number");
    *out = 0;
    for (size_t i = 0; i < size; i++) *out |= (uint64_t)w->at[i] << (8 * i);
    w->at += size;
    return true;
}

static bool read_number(oxp_wire *w, oxp_wire_type type, uint64_t *out)
{
    if (type == OXP_WIRE_VARINT) return read_varint(w, out);
    return read_fixed(w, type == OXP_WIRE_FIXED64 ? 8 : 4, out);
}

oxp_wire oxp_wire_open(oxp_wire_file *file, oxp_bytes body)
{
    return (oxp_wire){file, body.data, body.data + body.size, 1};
}

bool oxp_wire_next(oxp_wire *w, oxp_wire_field *f)
{
    uint64_t tag, size;
    if (w->file->status != OXP_OK || w->at == w->end) return false;
    *f = (oxp_wire_field){.start = w->at};
    if (!read_varint(w, &tag)) return false;
    if (tag >> 3 == 0 || tag >> 3 > MAX_FIELD_NUMBER)
        return corrupt(w, f->start, "a field number is out of range");
    f->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case OXP_WIRE_VARINT:
    case OXP_WIRE_FIXED64:
    case OXP_WIRE_FIXED32:
        f->type = (oxp_wire_type)(tag & 7);
        return read_number(w, f->type, &f->bits);
    case OXP_WIRE_BYTES:
        f->type = OXP_WIRE_BYTES;
        if (!read_varint(w, &size)) return false;
        if (size > (uint64_t)(w->end - w->at))
            return corrupt(w, f->start, "a length runs past the end");
        f->bytes = (oxp_bytes){w->at, (size_t)size};
        w->at += size;
        return true;
    default:
        return corrupt(w, f->start, "a field has an unknown wire type");
    }
}

/* A known field with another wire type than the schema's is damage, not an unknown field. */
static bool expect(const oxp_wire *w, const oxp_wire_field *f, oxp_wire_type type)
{
    return f->type == type || corrupt(w, f->start, "a field has the wrong wire type");
}

bool oxp_wire_enter(const oxp_wire *w, const oxp_wire_field *f, oxp_wire *inner)
{
    if (!expect(w, f, OXP_WIRE_BYTES)) return false;
    if (w->depth >= MAX_DEPTH) return corrupt(w, f->start, "messages are nested too deeply");
    *inner = oxp_wire_open(w->file, f->bytes);
    inner->depth = w->depth + 1;
    return w->file->status == OXP_OK;
}

int64_t oxp_wire_int(const oxp_wire *w, const oxp_wire_field *f)
{
    return expect(w, f, OXP_WIRE_VARINT) ? (int64_t)f->bits : 0;
}

double oxp_wire_float(const oxp_wire *w, const oxp_wire_field *f)
{
    if (!expect(w, f, OXP_WIRE_FIXED32)) return 0;
    const uint32_t bits = (uint32_t)f->bits;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

oxp_bytes oxp_wire_bytes(const oxp_wire *w, const oxp_wire_field *f)
{
    return expect(w, f, OXP_WIRE_BYTES) ? f->bytes : (oxp_bytes){w->end, 0};
}

/* Shortest forms only, no surrogates, at most U+10FFFF (RFC 3629). */
bool oxp_utf8_valid(const uint8_t *s, size_t n)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < n;) {
        const uint8_t lead = s[i++];
        if (lead < 0x80) continue;
        const size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || more > n - i) return false;
        uint32_t code = lead & (0x3fu >> more);
        for (size_t k = 0; k < more; k++, i++) {
            if ((s[i] & 0xc0) != 0x80) return false;
            code = code << 6 | (s[i] & 0x3fu);
        }
        if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
    }
    return true;
}

const char *oxp_wire_text(const oxp_wire *w, const oxp_wire_field *f)
{
    const oxp_bytes b = oxp_wire_bytes(w, f);
    if (b.size == 0) return "";
    if (memchr(b.data, 0, b.size) || !oxp_utf8_valid(b.data, b.size)) {
        corrupt(w, f->start, "a name is not UTF-8 text");
        return "";
    }
    const char *copy = oxp_arena_strndup(w->file->ctx->scratch, (const char *)b.data, b.size);
    if (copy) return copy;
    if (w->file->status == OXP_OK)
        w->file->status = oxp_ctx_fail(w->file->ctx, OXP_ENOMEM, "out of memory");
    return "";
}

oxp_wire_numbers oxp_wire_list(const oxp_wire *w, const oxp_wire_field *f, oxp_wire_type type)
{
    oxp_wire_numbers list = {.list = *w, .type = type};
    if (f->type == OXP_WIRE_BYTES) {
        list.list = oxp_wire_open(w->file, f->bytes);
    } else {
        list.list.at = list.list.end; /* nothing but the single element */
        list.single = expect(w, f, type);
        list.bits = f->bits;
    }
    return list;
}

bool oxp_wire_number(oxp_wire_numbers *list, uint64_t *bits)
{
    if (list->single) {
        list->single = false;
        *bits = list->bits;
        return true;
    }
    if (list->list.file->status != OXP_OK || list->list.at == list->list.end) return false;
    return read_number(&list->list, list->type, bits);
}
