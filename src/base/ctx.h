/* ctx.h - what every internal function carries: where errors go, the log, the allocator, cancel and
 * progress.
 *
 * An error is written once, where it is detected, with OXP_FAIL; everybody above passes the status
 * up untouched with OXP_TRY. `stage` and `node` are set by the loops that walk a pipeline, so that
 * a message made deep inside still says which node it is about. A ctx belongs to one call on one
 * thread. */
#ifndef OXP_BASE_CTX_H
#define OXP_BASE_CTX_H

#include "base/compiler.h"
#include "base/mem.h"
#include "onnxplain.h"

typedef struct oxp_ctx {
    oxp_error *error;           /* may be NULL: the caller does not want to know */
    const oxp_allocator *hooks; /* may be NULL: the C library */
    oxp_arena *scratch;         /* temporaries of this call */
    oxp_log_fn log;             /* may be NULL */
    void *log_user;
    oxp_progress_fn progress; /* may be NULL; returning non-zero cancels */
    void *progress_user;
    oxp_stage stage;
    const char *node; /* ONNX node name at hand, or NULL */
    const char *op;   /* its operator, or NULL */
    uint64_t offset;  /* byte in the model file at hand, while parsing */
} oxp_ctx;

oxp_status oxp_ctx_fail(oxp_ctx *ctx, oxp_status code, const char *fmt, ...) OXP_PRINTF(3, 4);
/* topic: "import", "compile", "dispatch" or "profile". Cheap when nobody listens. */
void oxp_ctx_log(oxp_ctx *ctx, const char *topic, const char *fmt, ...) OXP_PRINTF(3, 4);
/* Reports done of total; OXP_ECANCELLED when the caller asked to stop. */
oxp_status oxp_ctx_progress(oxp_ctx *ctx, const char *what, uint64_t done, uint64_t total);

#define OXP_TRY(expr)                                  \
    do {                                               \
        const oxp_status try_status_ = (expr);         \
        if (try_status_ != OXP_OK) return try_status_; \
    } while (0)
/* The code is named again as the value: compilers then see that no failing path returns OK. */
#define OXP_FAIL(ctx, code, ...) return (oxp_ctx_fail((ctx), (code), __VA_ARGS__), (code))
#define OXP_FAIL_IF(ctx, cond, code, ...)               \
    do {                                                \
        if (cond) OXP_FAIL((ctx), (code), __VA_ARGS__); \
    } while (0)
#define OXP_NOMEM_IF(ctx, ptr)                                           \
    do {                                                                 \
        if ((ptr) == NULL) OXP_FAIL((ctx), OXP_ENOMEM, "out of memory"); \
    } while (0)

#endif
