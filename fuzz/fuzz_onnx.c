/*
 * The loader on arbitrary bytes: what is imported must print, and specialising it for small inputs must end within a
 * memory limit, whatever the file says about sizes.
 */
#include "onnx/import.h"
#include "ops/specialise.h"

enum { MAX_INPUTS = 8, MAX_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Sizes that the file does not give are 2. */
static void specialise(oxp_ctx *ctx, oxp_arena *arena, const oxp_onnx_model *model)
{
    oxp_feed feeds[MAX_INPUTS];
    oxp_special special;
    bool needs_data;
    size_t n = 0;
    for (; n < model->n_inputs && n < MAX_INPUTS; n++) {
        feeds[n] = (oxp_feed){.val = model->inputs[n].value, .shape = model->inputs[n].shape};
        if (feeds[n].shape.rank < 0)
            feeds[n].shape = (oxp_shape){.rank = 2, .dim = {OXP_DIM_UNKNOWN, OXP_DIM_UNKNOWN}};
        for (int i = 0; i < feeds[n].shape.rank; i++)
            if (feeds[n].shape.dim[i] == OXP_DIM_UNKNOWN) feeds[n].shape.dim[i] = 2;
    }
    const oxp_graph *g = model->graph;
    const oxp_cut cut = {.feeds = feeds,
                         .n_feeds = n,
                         .wanted = g->outputs,
                         .n_wanted = g->n_outputs,
                         .max_bytes = MAX_BYTES};
    oxp_specialise(ctx, arena, g, &cut, &special, &needs_data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    oxp_arena *arena = oxp_arena_new(NULL), *scratch = oxp_arena_new(NULL);
    oxp_error error = {.code = OXP_OK};
    oxp_ctx ctx = {.error = &error, .scratch = scratch};
    oxp_onnx_model *model;
    if (arena && scratch &&
        oxp_import(&ctx, arena, (oxp_bytes){bytes, size}, NULL, 16 * MAX_BYTES, &model) == OXP_OK) {
        oxp_strbuf text;
        oxp_strbuf_init(&text, scratch);
        oxp_graph_print(model->graph, &text);
        specialise(&ctx, arena, model);
    }
    oxp_onnx_model *facts;
    if (arena && scratch)
        oxp_import_facts(&ctx, arena, (oxp_bytes){bytes, size}, 16 * MAX_BYTES, &facts);
    oxp_arena_free(scratch);
    oxp_arena_free(arena);
    return 0;
}
