/* sidecar.h - sidecar files through jansson, with types and ranges checked; private to media. */
#ifndef OXP_MEDIA_SIDECAR_H
#define OXP_MEDIA_SIDECAR_H

#include "base/ctx.h"
#include "base/file.h"
#include <jansson.h>

/* An object of a file, for reading. */
typedef struct oxp_sidecar {
    oxp_ctx *ctx;
    const char *what; /* the file, in messages */
    const json_t *object;
} oxp_sidecar;

/* Parses a file that holds an object; it lives until ctx->scratch ends. Errors: OXP_ECORRUPT
 * (with line and column), OXP_ENOMEM. */
oxp_status oxp_sidecar_parse(oxp_ctx *ctx, oxp_bytes bytes, const char *what, oxp_sidecar *out);

/* Read a key if it is there and not null: *out stays as it was otherwise. A value of another
 * type, or outside [lo, hi], is OXP_ECORRUPT. */
oxp_status oxp_sidecar_bool(const oxp_sidecar *json, const char *key, bool *out);
oxp_status oxp_sidecar_double(const oxp_sidecar *json, const char *key, double lo, double hi,
                              double *out);
oxp_status oxp_sidecar_int(const oxp_sidecar *json, const char *key, int32_t lo, int32_t hi,
                           int32_t *out);
oxp_status oxp_sidecar_text(const oxp_sidecar *json, const char *key,
                            const char **out); /* borrowed */

/* The value itself; NULL when absent or null. */
const json_t *oxp_sidecar_get(const oxp_sidecar *json, const char *key);

#endif
