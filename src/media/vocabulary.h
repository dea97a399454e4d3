/* vocabulary.h - the words behind token ids: from a vocab.txt (one token per line) or a tokenizer.json
 * of Hugging Face's tokenizers. For showing tokens, not for making them.
 *
 * Tokens of a word are written in one of three ways, told by the vocabulary itself: "##ing" goes on
 * with a word (WordPiece); U+0120 before a word stands for its space, and every character for a byte
 * (byte-level BPE); U+2581 stands for the space (SentencePiece). Otherwise each token is a word. */
#ifndef OXP_MEDIA_VOCABULARY_H
#define OXP_MEDIA_VOCABULARY_H

#include "base/ctx.h"
#include "base/file.h"

typedef struct oxp_vocabulary {
    size_t count;
    /* [count] as it is shown: valid UTF-8 without control characters, never empty; NULL: no such id */
    const char *const *piece;
    const bool *starts; /* [count] begins a word: a space stands before it */
} oxp_vocabulary;

/* JSON when the first character is '{'. *found is false, and *out empty, for JSON without a
 * vocabulary. `source` names the file in messages. Errors: OXP_ECORRUPT, OXP_ELIMIT, OXP_ENOMEM. */
oxp_status oxp_vocabulary_parse(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, const char *source,
                                bool *found, oxp_vocabulary *out);
oxp_status oxp_vocabulary_read(oxp_ctx *ctx, oxp_arena *arena, const char *path,
                               oxp_vocabulary *out);

#endif
