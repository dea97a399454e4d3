/* wire.h - reads the protocol-buffers wire format, in which ONNX files are written.
 *
 * Nothing is copied: a field is a number or a view into the file. Every read is bounded by the
 * message around it, nesting is limited, unknown fields are skipped by not asking about them, and
 * the group wire types, which ONNX never used, are refused. The first failure sticks to the file:
 * then all loops end, and `status` holds what to return. Messages name the byte in the file. */
#ifndef OXP_ONNX_WIRE_H
#define OXP_ONNX_WIRE_H

#include "base/file.h"

typedef enum oxp_wire_type {
    OXP_WIRE_VARINT = 0,
    OXP_WIRE_FIXED64 = 1,
    OXP_WIRE_BYTES = 2,
    OXP_WIRE_FIXED32 = 5
} oxp_wire_type;

/* Shared by all messages of one file. */
typedef struct oxp_wire_file {
    oxp_ctx *ctx;
    oxp_bytes bytes;
    oxp_status status; /* of the first failure */
} oxp_wire_file;

/* A message, or a packed list, being read from front to back. */
typedef struct oxp_wire {
    oxp_wire_file *file;
    const uint8_t *at, *end;
    uint32_t depth;
} oxp_wire;

typedef struct oxp_wire_field {
    uint32_t number;
    oxp_wire_type type;
    const uint8_t *start; /* of its tag: for messages */
    uint64_t bits;        /* VARINT, FIXED64, FIXED32 */
    oxp_bytes bytes;      /* BYTES: a view */
} oxp_wire_field;

/* Starts on a view into the file: the whole of it, or the body of a message seen before. */
oxp_wire oxp_wire_open(oxp_wire_file *file, oxp_bytes body);
/* The next field; false at the end of the message and after a failure. */
bool oxp_wire_next(oxp_wire *w, oxp_wire_field *f);
/* Opens the message that f holds; false after a failure. */
bool oxp_wire_enter(const oxp_wire *w, const oxp_wire_field *f, oxp_wire *inner);

/* The value of a field; zero, an empty view or "" after a failure. */
int64_t oxp_wire_int(const oxp_wire *w, const oxp_wire_field *f);
double oxp_wire_float(const oxp_wire *w, const oxp_wire_field *f);
oxp_bytes oxp_wire_bytes(const oxp_wire *w, const oxp_wire_field *f);
/* A copy in the ctx's scratch arena; refused unless UTF-8 without zero bytes. */
const char *oxp_wire_text(const oxp_wire *w, const oxp_wire_field *f);

/* A repeated number, packed or not: f holds one element or many, each `type` on the wire. */
typedef struct oxp_wire_numbers {
    oxp_wire list;
    oxp_wire_type type;
    bool single;
    uint64_t bits; /* the only element */
} oxp_wire_numbers;

oxp_wire_numbers oxp_wire_list(const oxp_wire *w, const oxp_wire_field *f, oxp_wire_type type);
bool oxp_wire_number(oxp_wire_numbers *list, uint64_t *bits);

/* Records a failure at `at`, a place in the file. */
void oxp_wire_fail(oxp_wire_file *file, const uint8_t *at, oxp_status code, const char *what);
bool oxp_utf8_valid(const uint8_t *s, size_t n);

#endif
