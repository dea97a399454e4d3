/* ctx.c - errors, log lines and progress of one call.
 *
 * Names inside messages come from hostile files, so what is stored is made one printable line:
 * control characters become spaces and a cut never leaves half a UTF-8 sequence behind. */
#include "base/ctx.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes at the end of s[0..len) that begin a UTF-8 sequence without finishing it. */
static size_t torn_tail(const char *s, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        const unsigned char c = (unsigned char)s[len - back];
        if ((c & 0xC0u) == 0x80u) continue;
        const size_t need = c >= 0xF0u ? 4 : c >= 0xE0u ? 3 : c >= 0xC0u ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

static void make_one_line(char *s, bool cut)
{
    const size_t len = strlen(s);
    if (cut) s[len - torn_tail(s, len)] = '\0';
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7F) *s = ' ';
}

static void copy_name(char *out, size_t size, const char *name)
{
    const int len = snprintf(out, size, "%s", name != NULL ? name : "");
    make_one_line(out, len >= 0 && (size_t)len >= size);
}

oxp_status oxp_ctx_fail(oxp_ctx *ctx, oxp_status code, const char *fmt, ...)
{
    oxp_error *e = ctx != NULL ? ctx->error : NULL;
    if (e == NULL) return code;
    e->code = code;
    e->stage = ctx->stage;
    e->offset = ctx->stage == OXP_STAGE_PARSE ? ctx->offset : 0;
    copy_name(e->node, sizeof e->node, ctx->node);
    copy_name(e->op, sizeof e->op, ctx->op);
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(e->message, sizeof e->message, fmt, args);
    va_end(args);
    make_one_line(e->message, len >= 0 && (size_t)len >= sizeof e->message);
    return code;
}

void oxp_ctx_log(oxp_ctx *ctx, const char *topic, const char *fmt, ...)
{
    if (ctx == NULL || ctx->log == NULL) return;
    char line[1024];
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    make_one_line(line, len >= 0 && (size_t)len >= sizeof line);
    ctx->log(topic, line, ctx->log_user);
}

oxp_status oxp_ctx_progress(oxp_ctx *ctx, const char *what, uint64_t done, uint64_t total)
{
    if (ctx->progress != NULL && ctx->progress(what, done, total, ctx->progress_user) != 0)
        OXP_FAIL(ctx, OXP_ECANCELLED, "cancelled at %llu of %llu %s", (unsigned long long)done,
                 (unsigned long long)total, what);
    return OXP_OK;
}
