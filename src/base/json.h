/* json.h - a JSON writer onto an oxp_strbuf: compact or indented, keys in the order they are
 * written.
 *
 * It writes only; nothing here parses. Strings are escaped and repaired (a byte that is not UTF-8
 * becomes U+FFFD), a double gets as few digits as read back as the same double (15 to 17), and NaN
 * or an infinity becomes null, so what is written is valid JSON in any locale. Out of memory is the
 * strbuf's sticky flag; a call out of place (a value in an object without a key, an end that closes
 * nothing) is a mistake of the caller and shows in oxp_json_ok. */
#ifndef OXP_BASE_JSON_H
#define OXP_BASE_JSON_H

#include "base/strbuf.h"
#include <stdint.h>

#define OXP_JSON_MAX_DEPTH 32

typedef struct oxp_json {
    oxp_strbuf *out;
    int indent;         /* spaces per level; 0: compact, one line */
    int depth;          /* open objects and arrays */
    uint32_t in_object; /* bit d: level d + 1 is an object */
    uint32_t has_items; /* bit d: something was written at level d + 1 */
    bool after_key, done, misused;
} oxp_json;

void oxp_json_init(oxp_json *json, oxp_strbuf *out, int indent);
void oxp_json_begin_object(oxp_json *json);
void oxp_json_end_object(oxp_json *json);
void oxp_json_begin_array(oxp_json *json);
void oxp_json_end_array(oxp_json *json);
void oxp_json_key(oxp_json *json, const char *key);

void oxp_json_string(oxp_json *json, const char *s); /* NULL: null */
void oxp_json_string_n(oxp_json *json, const char *s, size_t n);
void oxp_json_int(oxp_json *json, int64_t v);
void oxp_json_uint(oxp_json *json, uint64_t v);
void oxp_json_double(oxp_json *json, double v);
void oxp_json_float(oxp_json *json, float v); /* as few digits as read back as the same float */
void oxp_json_bool(oxp_json *json, bool v);
void oxp_json_null(oxp_json *json);

/* True when one complete value was written and every call was in place. */
bool oxp_json_ok(const oxp_json *json);

/* As oxp_json_double writes a finite v. Returns buf. */
#define OXP_NUMBER_TEXT 32
const char *oxp_double_text(double v, char buf[OXP_NUMBER_TEXT]);

#endif
