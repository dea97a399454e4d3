/*
 * From arbitrary bytes to an explanation: what is imported is explained with small inputs, by both
 * executors, under a memory limit. Every refusal is fine but OXP_EINTERNAL, a broken promise.
 */
#include "explain/explain.h"
#include "explain/method.h"
#include "onnx/import.h"

#include <stdlib.h>

enum { MAX_INPUTS = 8, MAX_ELEMENTS = 1 << 14, MAX_MEMORY = 16 << 20, MAX_NODES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Rising numbers; sizes that the file does not give are 2. False: too large. */
static bool make_inputs(const oxp_graph *g, oxp_arena *arena, oxp_tensor *inputs)
{
    if (g->n_inputs > MAX_INPUTS || g->n_nodes > MAX_NODES) return false;
    for (size_t i = 0; i < g->n_inputs; i++) {
        oxp_tensor *t = &inputs[i];
        *t = (oxp_tensor){.dtype = OXP_F32, .shape = oxp_value_of(g, g->inputs[i])->shape};
        if (t->shape.rank < 0) t->shape = oxp_shape_of(2, (const int64_t[]){2, 2});
        for (int a = 0; a < t->shape.rank; a++)
            if (t->shape.dim[a] == OXP_DIM_UNKNOWN) t->shape.dim[a] = 2;
        int64_t n;
        if (!oxp_shape_count(&t->shape, &n) || n > MAX_ELEMENTS) return false;
        float *data = OXP_NEW(arena, float, n + 1);
        if (!data) return false;
        for (int64_t k = 0; k < n; k++) data[k] = (float)(k % 11) * 0.25f;
        t->data = data;
    }
    return true;
}

static void explain(const oxp_net *net, const oxp_method *method, bool plain,
                    const oxp_tensor *inputs)
{
    oxp_arena *arena = oxp_arena_new(NULL), *scratch = oxp_arena_new(NULL);
    oxp_error error = {.code = OXP_OK};
    oxp_ctx ctx = {.error = &error, .scratch = scratch};
    const oxp_settings settings = {.method = method,
                                   .threads = 1,
                                   .double_precision = plain,
                                   .max_memory = MAX_MEMORY,
                                   .top_k = 2};
    const oxp_target top = {OXP_TARGET_TOP, 1};
    oxp_session *session = NULL;
    oxp_explanation out;
    oxp_status status = OXP_ENOMEM;
    if (arena && scratch) status = oxp_session_new(&ctx, net, &settings, &session);
    if (status == OXP_OK)
        status =
            oxp_session_explain(&ctx, session, arena, inputs, net->graph->n_inputs, top, top, &out);
    if (status == OXP_EINTERNAL) abort();
    oxp_session_free(session);
    oxp_arena_free(scratch);
    oxp_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    oxp_arena *arena = oxp_arena_new(NULL), *scratch = oxp_arena_new(NULL);
    oxp_weights *weights = oxp_weights_new(NULL);
    oxp_error error = {.code = OXP_OK};
    oxp_ctx ctx = {.error = &error, .scratch = scratch};
    oxp_onnx_model *model;
    oxp_tensor inputs[MAX_INPUTS];
    if (arena && scratch && weights &&
        oxp_import(&ctx, arena, (oxp_bytes){bytes, size}, NULL, MAX_MEMORY, &model) == OXP_OK &&
        oxp_weights_keep(&ctx, weights, model->graph) == OXP_OK &&
        make_inputs(model->graph, arena, inputs)) {
        const oxp_net net = {.graph = model->graph, .weights = weights, .max_memory = MAX_MEMORY};
        explain(&net, &oxp_method_saliency, true, inputs);
        explain(&net, &oxp_method_saliency, false, inputs);
        explain(&net, &oxp_method_grad_cam, false, inputs);
        explain(&net, &oxp_method_lrp, false, inputs);
    }
    oxp_weights_free(weights);
    oxp_arena_free(scratch);
    oxp_arena_free(arena);
    return 0;
}
