/* labels.h - class names: from a text file, one per line, or from a config.json's id2label; and
 * back from what a user types to an index. */
#ifndef OXP_MEDIA_LABELS_H
#define OXP_MEDIA_LABELS_H

#include "base/ctx.h"
#include "base/file.h"

typedef struct oxp_labels {
    size_t count;
    const char *const *names; /* names[index]; NULL where the file has none */
} oxp_labels;

/* Bytes of either kind: JSON when the first character is '{'. JSON may be {"id2label": {"0":
 * "a", ...}} or the inner object alone, whose values may be ["n01440764", "tench"] pairs (the
 * last text counts). *found is false, and *out empty, for JSON without class names. `source`
 * names the file in messages. Line breaks are \n or \r\n, empty lines at the end do not count;
 * control characters become spaces. Errors: OXP_ECORRUPT, OXP_ELIMIT. */
oxp_status oxp_labels_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *source,
                            bool *found, oxp_labels *out);
oxp_status oxp_labels_read(oxp_ctx *ctx, oxp_arena *arena, const char *path, oxp_labels *out);

const char *oxp_labels_get(const oxp_labels *labels, int64_t index); /* NULL when unknown */

/* The class a user means, tried in this order: the whole label, one of its comma-separated
 * synonyms, a part of exactly one label; letters A-Z in either case. OXP_EINVAL when none or
 * several match; the message names them. */
oxp_status oxp_labels_find(oxp_ctx *ctx, const oxp_labels *labels, const char *wanted,
                           int64_t *index);

#endif
