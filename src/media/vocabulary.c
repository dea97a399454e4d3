/* vocabulary.c - see vocabulary.h. First the tokens as the file has them, then how they are shown. */
#include "media/vocabulary.h"

#include "media/sidecar.h"
#include <string.h>

#define MAX_FILE_BYTES  ((size_t)64 << 20)
#define MAX_IDS         (1 << 21)
#define MAX_TOKEN_BYTES 1000

#define SPACE_OF_BYTES "\xc4\xa0"     /* U+0120 */
#define SPACE_OF_TEXT  "\xe2\x96\x81" /* U+2581 */
#define SHOWN_SPACE    "\xe2\x90\xa3" /* U+2423 */
#define SHOWN_BREAK    "\xe2\x86\xb5" /* U+21B5 */
#define SHOWN_DAMAGE   "\xef\xbf\xbd" /* U+FFFD */

typedef struct words {
    oxp_ctx *ctx;
    const char *source;
    const char **token; /* [count] as in the file; NULL: none */
    bool *special;      /* [count] added to the vocabulary: not written as its words are */
    size_t count, cap, cap_special;
} words;

static oxp_status put(words *w, int64_t id, const char *token, bool special)
{
    oxp_ctx *ctx = w->ctx;
    OXP_FAIL_IF(ctx, id < 0 || id >= MAX_IDS, OXP_ELIMIT, "%s: token id %lld: expected 0 to %d",
                w->source, (long long)id, MAX_IDS - 1);
    OXP_FAIL_IF(ctx, strlen(token) > MAX_TOKEN_BYTES, OXP_ECORRUPT,
                "%s: a token of %zu bytes: is this a vocabulary?", w->source, strlen(token));
    while (w->count <= (size_t)id) {
        OXP_FAIL_IF(ctx,
                    !oxp_arena_grow(ctx->scratch, &w->token, w->count, &w->cap, sizeof *w->token) ||
                        !oxp_arena_grow(ctx->scratch, &w->special, w->count, &w->cap_special,
                                        sizeof *w->special),
                    OXP_ENOMEM, "out of memory");
        w->token[w->count] = NULL;
        w->special[w->count++] = false;
    }
    w->token[id] = token;
    w->special[id] = special;
    return OXP_OK;
}

/* ---- files ---- */

static oxp_status read_lines(words *w, oxp_bytes bytes)
{
    const char *at = (const char *)bytes.data, *end = at + bytes.size;
    for (int64_t id = 0; at < end; id++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        const size_t n = (size_t)(stop - at) - (stop > at && stop[-1] == '\r');
        OXP_FAIL_IF(w->ctx, memchr(at, 0, n) != NULL, OXP_ECORRUPT,
                    "%s: a zero byte in a token: is this a vocabulary?", w->source);
        char *token = oxp_arena_strndup(w->ctx->scratch, at, n);
        OXP_NOMEM_IF(w->ctx, token);
        OXP_TRY(put(w, id, token, false));
        at = stop + 1;
    }
    return OXP_OK;
}

/* {"token": id, ...} */
static oxp_status read_map(words *w, const json_t *map)
{
    const char *key;
    const json_t *value;
    json_t *walk = (json_t *)(uintptr_t)map; /* jansson iterates non-const objects only */
    json_object_foreach(walk, key, value)
    {
        OXP_FAIL_IF(w->ctx, !json_is_integer(value), OXP_ECORRUPT,
                    "%s: the id of token '%.40s' is not a whole number", w->source, key);
        OXP_TRY(put(w, (int64_t)json_integer_value(value), key, false));
    }
    return OXP_OK;
}

/* [["token", score], ...] */
static oxp_status read_pairs(words *w, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(json_array_get(list, i), 0);
        OXP_FAIL_IF(w->ctx, !json_is_string(token), OXP_ECORRUPT,
                    "%s: entry %zu of the vocabulary is no [token, score]", w->source, i);
        OXP_TRY(put(w, (int64_t)i, json_string_value(token), false));
    }
    return OXP_OK;
}

static oxp_status read_added(words *w, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i), *id = json_object_get(entry, "id"),
                     *content = json_object_get(entry, "content");
        OXP_FAIL_IF(w->ctx, !json_is_integer(id) || !json_is_string(content), OXP_ECORRUPT,
                    "%s: added token %zu has no id or no content", w->source, i);
        OXP_TRY(put(w, (int64_t)json_integer_value(id), json_string_value(content), true));
    }
    return OXP_OK;
}

static oxp_status read_json(words *w, oxp_bytes bytes)
{
    oxp_sidecar json;
    OXP_TRY(oxp_sidecar_parse(w->ctx, bytes, w->source, &json));
    const json_t *vocab = json_object_get(oxp_sidecar_get(&json, "model"), "vocab");
    if (json_is_object(vocab)) OXP_TRY(read_map(w, vocab));
    if (json_is_array(vocab)) OXP_TRY(read_pairs(w, vocab));
    return read_added(w, oxp_sidecar_get(&json, "added_tokens"));
}

/* ---- how tokens are shown ---- */

typedef enum spelling { WHOLE_WORDS, WORD_PIECES, BYTES, SPACES } spelling;

static bool begins(const char *token, const char *with)
{
    return strncmp(token, with, strlen(with)) == 0;
}

static spelling find_spelling(const words *w)
{
    spelling found = WHOLE_WORDS;
    for (size_t i = 0; i < w->count; i++) {
        if (!w->token[i] || w->special[i]) continue;
        if (begins(w->token[i], "##") && w->token[i][2]) return WORD_PIECES;
        if (begins(w->token[i], SPACE_OF_BYTES)) return BYTES;
        if (begins(w->token[i], SPACE_OF_TEXT)) found = SPACES;
    }
    return found;
}

/* The character at *s, which moves behind it; -1 for a byte that is not UTF-8. */
static int32_t next_character(const char **s)
{
    const unsigned char *u = (const unsigned char *)*s;
    const int more = u[0] < 0x80 ? 0 : u[0] >= 0xf0 ? 3 : u[0] >= 0xe0 ? 2 : u[0] >= 0xc2 ? 1 : -1;
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    int32_t c = more <= 0 ? u[0] : u[0] & (0x3f >> more);
    (*s)++;
    if (more < 0 || u[0] > 0xf4) return -1;
    for (int i = 1; i <= more; i++) {
        if ((u[i] & 0xc0) != 0x80) return -1;
        c = c << 6 | (u[i] & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return -1;
    *s += more;
    return c;
}

/* The byte that byte-level BPE writes as character c: printable ones as themselves, the 68 others
 * in order from U+0100 on. -1: none. */
static int byte_of(int32_t c)
{
    int32_t next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        const bool printable =
            (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        if (c == (printable ? byte : next)) return byte;
        next += !printable;
    }
    return -1;
}

static char *decode_bytes(oxp_ctx *ctx, const char *token)
{
    char *out = OXP_NEW(ctx->scratch, char, strlen(token) + 1), *to = out;
    if (!out) return NULL;
    while (*token) {
        const char *from = token;
        const int byte = byte_of(next_character(&token));
        if (byte > 0)
            *to++ = (char)byte;
        else
            for (; from < token; from++) *to++ = *from;
    }
    return out;
}

/* Valid UTF-8 without control characters, not empty. */
static const char *make_shown(oxp_arena *arena, const char *text)
{
    char *out = oxp_arena_alloc(arena, 3 * strlen(text) + sizeof SHOWN_SPACE, 1), *to = out;
    if (!out) return NULL;
    for (const char *at = text; *at;) {
        const char *from = at;
        const int32_t c = next_character(&at);
        const char *instead = c < 0                                  ? SHOWN_DAMAGE
                              : c == '\n'                            ? SHOWN_BREAK
                              : c < 0x20 || (c >= 0x7f && c <= 0x9f) ? " "
                                                                     : NULL;
        const size_t n = instead ? strlen(instead) : (size_t)(at - from);
        memcpy(to, instead ? instead : from, n);
        to += n;
    }
    *to = '\0';
    return strspn(out, " ") == strlen(out) ? SHOWN_SPACE : out;
}

static oxp_status show(words *w, oxp_arena *arena, oxp_vocabulary *out)
{
    const spelling how = find_spelling(w);
    const char **piece = OXP_NEW(arena, const char *, w->count + 1);
    bool *starts = OXP_NEW(arena, bool, w->count + 1);
    OXP_FAIL_IF(w->ctx, !piece || !starts, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < w->count; i++) {
        const char *text = w->token[i];
        if (!text) continue;
        const spelling s = w->special[i] ? WHOLE_WORDS : how;
        const char *mark = s == WORD_PIECES ? "##" : s == BYTES ? SPACE_OF_BYTES : SPACE_OF_TEXT;
        const bool marked = s != WHOLE_WORDS && begins(text, mark) && text[strlen(mark)];
        starts[i] = s == WHOLE_WORDS || (s == WORD_PIECES ? !marked : begins(text, mark));
        if (marked) text += strlen(mark);
        if (s == BYTES) text = decode_bytes(w->ctx, text);
        piece[i] =
            text ? make_shown(arena, s == SPACES && strcmp(text, mark) == 0 ? "" : text) : NULL;
        OXP_NOMEM_IF(w->ctx, piece[i]);
    }
    *out = (oxp_vocabulary){w->count, piece, starts};
    return OXP_OK;
}

/* ---- the door ---- */

oxp_status oxp_vocabulary_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *source,
                                bool *found, oxp_vocabulary *out)
{
    words w = {.ctx = ctx, .source = source};
    size_t i = 0;
    while (i < bytes.size && bytes.data[i] && strchr(" \t\r\n", bytes.data[i])) i++;
    OXP_TRY(i < bytes.size && bytes.data[i] == '{' ? read_json(&w, bytes) : read_lines(&w, bytes));
    *found = w.count > 0;
    return show(&w, arena, out);
}

oxp_status oxp_vocabulary_read(oxp_ctx *ctx, oxp_arena *arena, const char *path,
                               oxp_vocabulary *out)
{
    oxp_bytes bytes;
    bool found;
    OXP_TRY(oxp_file_read(ctx, ctx->scratch, path, MAX_FILE_BYTES, &bytes));
    OXP_TRY(oxp_vocabulary_parse(ctx, arena, bytes, path, &found, out));
    OXP_FAIL_IF(ctx, !found, OXP_ECORRUPT,
                "%s has no vocabulary: expected one token per line, or a tokenizer.json", path);
    return OXP_OK;
}
