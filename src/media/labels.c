/* labels.c - class names from files, and from a typed name to a class; see labels.h. */
#include "media/labels.h"

#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strmap.h"
#include "media/sidecar.h"
#include <string.h>

#define MAX_FILE_BYTES  ((size_t)16 << 20)
#define MAX_LABELS      (1 << 20)
#define MAX_LABEL_BYTES 1000
#define MAX_CANDIDATES  5 /* named in a message */

/* ---- reading --------------------------------------------------------------------------------- */

/* A label as it may be printed on one line. */
static oxp_status keep_label(oxp_ctx *ctx, oxp_arena *arena, const char *text, size_t n,
                             const char *source, const char **out)
{
    OXP_FAIL_IF(ctx, n > MAX_LABEL_BYTES, OXP_ECORRUPT,
                "%s: a label of %zu bytes: is this a list of class names?", source, n);
    char *label = oxp_arena_strndup(arena, text, n);
    OXP_NOMEM_IF(ctx, label);
    for (size_t i = 0; i < n; i++) {
        OXP_FAIL_IF(ctx, text[i] == '\0', OXP_ECORRUPT,
                    "%s: a zero byte in a label: is this a list of class names?", source);
        if ((unsigned char)label[i] < 0x20 || label[i] == 0x7f) label[i] = ' ';
    }
    *out = label;
    return OXP_OK;
}

static oxp_status parse_lines(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *source,
                              oxp_labels *out)
{
    const char *at = (const char *)bytes.data, *end = at + bytes.size;
    while (end > at && strchr(" \t\r\n", end[-1]) && end[-1]) end--;
    size_t lines = end > at;
    for (const char *p = at; p < end; p++) lines += *p == '\n';
    OXP_FAIL_IF(ctx, lines > MAX_LABELS, OXP_ELIMIT, "%s: %zu lines, at most %d labels", source,
                lines, MAX_LABELS);
    const char **names = oxp_arena_zalloc(arena, lines ? lines : 1, sizeof *names);
    OXP_NOMEM_IF(ctx, names);
    for (size_t i = 0; i < lines; i++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        const size_t n = (size_t)(stop - at) - (stop > at && stop[-1] == '\r');
        OXP_TRY(keep_label(ctx, arena, at, n, source, &names[i]));
        at = stop + 1;
    }
    *out = (oxp_labels){lines, names};
    return OXP_OK;
}

static const json_t *label_text(const json_t *value)
{
    while (json_is_array(value) && json_array_size(value) > 0)
        value = json_array_get(value, json_array_size(value) - 1);
    return json_is_string(value) ? value : NULL;
}

/* Is it {"0": ..., "1": ...}? */
static bool is_label_map(const json_t *map)
{
    int64_t index;
    const char *key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)map));
    return json_is_object(map) && key && oxp_parse_i64(key, &index);
}

static oxp_status parse_map(oxp_ctx *ctx, oxp_arena *arena, const json_t *map, const char *source,
                            oxp_labels *out)
{
    const char *key;
    const json_t *value;
    int64_t index, count = 0;
    json_t *walk = (json_t *)(uintptr_t)map; /* jansson iterates non-const objects only */
    json_object_foreach(walk, key, value)
    {
        OXP_FAIL_IF(ctx, !oxp_parse_i64(key, &index) || index < 0 || index >= MAX_LABELS,
                    OXP_ECORRUPT, "%s: class index \"%.40s\": expected 0 to %d", source, key,
                    MAX_LABELS - 1);
        if (index >= count) count = index + 1;
    }
    const char **names = oxp_arena_zalloc(arena, (size_t)count, sizeof *names);
    OXP_NOMEM_IF(ctx, names);
    json_object_foreach(walk, key, value)
    {
        const json_t *text = label_text(value);
        OXP_FAIL_IF(ctx, !text || !oxp_parse_i64(key, &index), OXP_ECORRUPT,
                    "%s: class %.40s: expected a text", source, key);
        OXP_TRY(keep_label(ctx, arena, json_string_value(text), json_string_length(text), source,
                           &names[index]));
    }
    *out = (oxp_labels){(size_t)count, names};
    return OXP_OK;
}

oxp_status oxp_labels_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *source,
                            bool *found, oxp_labels *out)
{
    if (bytes.size >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0) { /* UTF-8 byte order mark */
        bytes.data += 3;
        bytes.size -= 3;
    }
    size_t i = 0;
    while (i < bytes.size && bytes.data[i] && strchr(" \t\r\n", bytes.data[i])) i++;
    *found = true;
    if (i == bytes.size || bytes.data[i] != '{') return parse_lines(ctx, arena, bytes, source, out);

    oxp_sidecar json;
    OXP_TRY(oxp_sidecar_parse(ctx, bytes, source, &json));
    const json_t *map = oxp_sidecar_get(&json, "id2label");
    if (!map) map = json.object;
    *found = is_label_map(map);
    *out = (oxp_labels){0, NULL};
    return *found ? parse_map(ctx, arena, map, source, out) : OXP_OK;
}

oxp_status oxp_labels_read(oxp_ctx *ctx, oxp_arena *arena, const char *path, oxp_labels *out)
{
    oxp_bytes bytes;
    bool found;
    OXP_TRY(oxp_file_read(ctx, ctx->scratch, path, MAX_FILE_BYTES, &bytes));
    OXP_TRY(oxp_labels_parse(ctx, arena, bytes, path, &found, out));
    OXP_FAIL_IF(ctx, !found || out->count == 0, OXP_ECORRUPT,
                "%s has no class names: expected one per line, or JSON with id2label", path);
    return OXP_OK;
}

const char *oxp_labels_get(const oxp_labels *labels, int64_t index)
{
    return index >= 0 && (uint64_t)index < labels->count ? labels->names[index] : NULL;
}

/* ---- finding --------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

static bool matches_whole(const char *label, const char *wanted, size_t n)
{
    return strlen(label) == n && same(label, wanted, n);
}

static bool matches_synonym(const char *label, const char *wanted, size_t n)
{
    for (const char *word = label; word; word = strchr(word, ',')) {
        word += strspn(word, ", ");
        size_t length = strcspn(word, ",");
        while (length > 0 && word[length - 1] == ' ') length--;
        if (length == n && same(word, wanted, n)) return true;
    }
    return false;
}

static bool matches_part(const char *label, const char *wanted, size_t n)
{
    const size_t length = strlen(label);
    for (size_t i = 0; i + n <= length; i++)
        if (same(label + i, wanted, n)) return true;
    return false;
}

static oxp_status fail_ambiguous(oxp_ctx *ctx, const oxp_labels *labels, const char *wanted,
                                 const int64_t *hits, size_t count)
{
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, ctx->scratch);
    for (size_t i = 0; i < count && i < MAX_CANDIDATES; i++)
        oxp_strbuf_printf(&sb, "%s'%.60s' (%lld)", i ? ", " : "", labels->names[hits[i]],
                          (long long)hits[i]);
    if (count > MAX_CANDIDATES) oxp_strbuf_puts(&sb, ", ...");
    const char *names = oxp_strbuf_str(&sb);
    OXP_NOMEM_IF(ctx, names);
    OXP_FAIL(ctx, OXP_EINVAL,
             "class '%.60s' could be any of %zu: %s; give the number or more of the name", wanted,
             count, names);
}

/* "did you mean" over every synonym of every label. */
static oxp_status fail_unknown(oxp_ctx *ctx, const oxp_labels *labels, const char *wanted)
{
    const char **words = NULL;
    size_t count = 0, cap = 0;
    for (size_t i = 0; i < labels->count; i++) {
        const char *word = labels->names[i];
        while (word && *word) {
            word += strspn(word, ", ");
            const size_t n = strcspn(word, ",");
            if (!oxp_arena_grow(ctx->scratch, &words, count, &cap, sizeof *words) ||
                !(words[count++] = oxp_arena_strndup(ctx->scratch, word, n)))
                OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
            word += n;
        }
    }
    const int near = oxp_nearest_name(wanted, words, count);
    OXP_FAIL_IF(ctx, near >= 0, OXP_EINVAL, "no class is called '%.60s': did you mean '%.60s'?",
                wanted, words[near]);
    OXP_FAIL(ctx, OXP_EINVAL, "no class is called '%.60s' (%zu classes)", wanted, labels->count);
}

oxp_status oxp_labels_find(oxp_ctx *ctx, const oxp_labels *labels, const char *wanted,
                           int64_t *index)
{
    static bool (*const matchers[])(const char *, const char *,
                                    size_t) = {matches_whole, matches_synonym, matches_part};
    const size_t n = strlen(wanted);
    OXP_FAIL_IF(ctx, n == 0, OXP_EINVAL, "a class needs a name or a number");
    OXP_FAIL_IF(
        ctx, labels->count == 0, OXP_EINVAL,
        "class '%.60s': the model's class names are not known, give a number or a labels file",
        wanted);
    for (size_t m = 0; m < OXP_COUNT(matchers); m++) {
        int64_t hits[MAX_CANDIDATES];
        size_t count = 0;
        for (size_t i = 0; i < labels->count; i++) {
            if (!labels->names[i] || !matchers[m](labels->names[i], wanted, n)) continue;
            if (count < MAX_CANDIDATES) hits[count] = (int64_t)i;
            count++;
        }
        if (count > 1) return fail_ambiguous(ctx, labels, wanted, hits, count);
        if (count == 1) {
            *index = hits[0];
            return OXP_OK;
        }
    }
    return fail_unknown(ctx, labels, wanted);
}
