/* strbuf.h - a growing byte string in an arena, with a sticky out-of-memory flag (check once at the
 * end). */
#ifndef OXP_BASE_STRBUF_H
#define OXP_BASE_STRBUF_H

#include "base/mem.h"

typedef struct oxp_strbuf {
    oxp_arena *arena;
    char *data; /* NUL-terminated once anything was added */
    size_t len, cap;
    bool failed;
} oxp_strbuf;

void oxp_strbuf_init(oxp_strbuf *sb, oxp_arena *arena);
void oxp_strbuf_add(oxp_strbuf *sb, const char *s, size_t n);
void oxp_strbuf_puts(oxp_strbuf *sb, const char *s);
void oxp_strbuf_printf(oxp_strbuf *sb, const char *fmt, ...) OXP_PRINTF(2, 3);
const char *
oxp_strbuf_str(const oxp_strbuf *sb); /* "" when empty; NULL when an allocation failed */

#endif
