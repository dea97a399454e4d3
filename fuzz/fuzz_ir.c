/*
 * The text form of graphs on arbitrary text: what is read is lawful, prints and is read back as it
 * was printed, and every pass of the optimiser leaves a lawful graph or says why not.
 */
#include "ir/parse.h"
#include "ops/ops.h"
#include "opt/opt.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void *get(size_t bytes, void *user)
{
    OXP_UNUSED(user);
    return bytes > MAX_BYTES ? NULL : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void put(void *block, void *user)
{
    OXP_UNUSED(user);
    free(block);
}

static const char *text_of(const oxp_graph *g, oxp_arena *arena)
{
    oxp_strbuf text;
    oxp_strbuf_init(&text, arena);
    oxp_graph_print(g, &text);
    return oxp_strbuf_str(&text);
}

/* Printed, read and printed again is the same text, unless a constant is too large to print. */
static void check_text(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g)
{
    oxp_graph *second, *third;
    const char *text = text_of(g, arena), *again;
    if (!text || oxp_graph_parse(ctx, arena, text, oxp_op_find, &second) != OXP_OK) return;
    text = text_of(second, arena);
    if (!text || oxp_graph_parse(ctx, arena, text, oxp_op_find, &third) != OXP_OK) return;
    again = text_of(third, arena);
    if (again && strcmp(text, again) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const oxp_pass_fn passes[] = {oxp_opt_raise, oxp_opt_merge, oxp_opt_tidy, oxp_opt_fuse};
    const oxp_allocator hooks = {get, put, NULL};
    oxp_arena *arena = oxp_arena_new(&hooks), *scratch = oxp_arena_new(&hooks);
    oxp_error error = {.code = OXP_OK};
    oxp_ctx ctx = {.error = &error, .hooks = &hooks, .scratch = scratch};
    oxp_graph *g;
    const char *text =
        arena && scratch ? oxp_arena_strndup(arena, (const char *)bytes, size) : NULL;
    if (text && oxp_graph_parse(&ctx, arena, text, oxp_op_find, &g) == OXP_OK) {
        check_text(&ctx, arena, g);
        /* A lawful graph cannot become an unlawful one. */
        if (oxp_opt_run(&ctx, arena, passes, OXP_COUNT(passes), &g, NULL, 0) == OXP_EINTERNAL)
            abort();
    }
    oxp_arena_free(scratch);
    oxp_arena_free(arena);
    return 0;
}
