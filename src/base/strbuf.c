/* strbuf.c - a growing byte string in an arena.
 *
 * Growth doubles, and the old bytes stay in the arena until it ends: a string of n bytes costs at
 * most 4n. After a failed allocation every call does nothing, so a writer checks once. */
#include "base/strbuf.h"
#include "base/checked.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void oxp_strbuf_init(oxp_strbuf *sb, oxp_arena *arena)
{
    *sb = (oxp_strbuf){.arena = arena};
}

/* Room for `more` bytes and the terminating NUL. */
static bool reserve(oxp_strbuf *sb, size_t more)
{
    size_t need;
    if (sb->failed || !oxp_add_size(sb->len, more, &need) || !oxp_add_size(need, 1, &need)) {
        sb->failed = true;
        return false;
    }
    if (need <= sb->cap) return true;
    size_t cap;
    if (!oxp_mul_size(sb->cap, 2, &cap) || cap < need) cap = need > 64 ? need : 64;
    char *data = oxp_arena_alloc(sb->arena, cap, 1);
    if (data == NULL) {
        sb->failed = true;
        return false;
    }
    if (sb->len != 0) memcpy(data, sb->data, sb->len);
    sb->data = data;
    sb->cap = cap;
    return true;
}

void oxp_strbuf_add(oxp_strbuf *sb, const char *s, size_t n)
{
    if (!reserve(sb, n)) return;
    if (n != 0) memcpy(sb->data + sb->len, s, n);
    sb->len += n;
    sb->data[sb->len] = '\0';
}

void oxp_strbuf_puts(oxp_strbuf *sb, const char *s)
{
    oxp_strbuf_add(sb, s, strlen(s));
}

void oxp_strbuf_printf(oxp_strbuf *sb, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0) {
        sb->failed = true;
        return;
    }
    if (!reserve(sb, (size_t)len)) return;
    va_start(args, fmt);
    vsnprintf(sb->data + sb->len, (size_t)len + 1, fmt, args);
    va_end(args);
    sb->len += (size_t)len;
}

const char *oxp_strbuf_str(const oxp_strbuf *sb)
{
    if (sb->failed) return NULL;
    return sb->data != NULL ? sb->data : "";
}
