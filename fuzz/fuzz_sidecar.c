/*
 * The small files and texts around a model: preprocessor_config.json, config.json, label lists, "key=value;..." words,
 * vocabularies. The same bytes go through each reader; an accepted specification must survive fitting, a label must be
 * found again by its own name unless it is ambiguous, and no word may hold a control character.
 */
#include "media/labels.h"
#include "media/preprocess.h"
#include "media/vocabulary.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_specification(oxp_ctx *ctx, oxp_bytes bytes)
{
    const int64_t dims[] = {1, 3, OXP_DIM_UNKNOWN, OXP_DIM_UNKNOWN};
    const oxp_shape shape = oxp_shape_of(4, dims);
    oxp_preprocess spec;
    bool found = false;
    if (oxp_preprocess_parse_json(ctx, bytes, "fuzz", &found, &spec) != OXP_OK || !found) return;
    if (oxp_preprocess_fit(ctx, &shape, OXP_F32, OXP_IMAGE_LAYOUT_OPEN, &spec) != OXP_OK) abort();
    if (spec.resize != OXP_RESIZE_NONE && (spec.resize_width < 1 || spec.resize_height < 1))
        abort();
    if (spec.crop && (spec.crop_width < 1 || spec.crop_height < 1)) abort();
}

static void read_labels(oxp_ctx *ctx, oxp_bytes bytes)
{
    oxp_labels labels;
    bool found;
    int64_t index;
    if (oxp_labels_parse(ctx, ctx->scratch, bytes, "fuzz", &found, &labels) != OXP_OK) return;
    for (size_t i = 0; i < labels.count && i < 100; i++) {
        const char *name = labels.names[i];
        if (!name || !*name) continue;
        const oxp_status status = oxp_labels_find(ctx, &labels, name, &index);
        if (status != OXP_OK && status != OXP_EINVAL) abort();
        if (status == OXP_OK && index != (int64_t)i) abort();
    }
}

static void read_vocabulary(oxp_ctx *ctx, oxp_bytes bytes)
{
    oxp_vocabulary words;
    bool found;
    if (oxp_vocabulary_parse(ctx, ctx->scratch, bytes, "fuzz", &found, &words) != OXP_OK) return;
    for (size_t i = 0; i < words.count; i++) {
        const char *at = words.piece[i];
        if (at && !*at) abort();
        for (; at && *at; at++)
            if ((unsigned char)*at < 0x20 || *at == 0x7f) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    oxp_arena *arena = oxp_arena_new(NULL);
    if (!arena) return 0;
    oxp_ctx ctx = {.scratch = arena};
    oxp_preprocess spec;
    char *text = oxp_arena_strndup(arena, (const char *)bytes, size);
    read_specification(&ctx, (oxp_bytes){bytes, size});
    read_labels(&ctx, (oxp_bytes){bytes, size});
    read_vocabulary(&ctx, (oxp_bytes){bytes, size});
    if (text && oxp_preprocess_preset(&ctx, "imagenet", &spec) == OXP_OK &&
        oxp_preprocess_override(&ctx, text, &spec) == OXP_OK &&
        !(spec.scale > 0.0 && spec.std[0] > 0.0))
        abort();
    oxp_arena_free(arena);
    return 0;
}
