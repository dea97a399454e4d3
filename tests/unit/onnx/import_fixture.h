/*
 * One import with everything around it, for the tests of the onnx room.
 */
#ifndef OXP_TEST_IMPORT_FIXTURE_H
#define OXP_TEST_IMPORT_FIXTURE_H

#include "ir/op.h"
#include "onnx/import.h"
#include "pb.h"
#include <stdlib.h>

typedef struct imported {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
    oxp_status status;
    uint8_t *file; /* exactly as long as the model: ASan sees every byte read behind it */
    oxp_onnx_model *model;
} imported;

static inline imported import_bytes(const void *bytes, size_t n, const char *dir,
                                    uint64_t max_bytes)
{
    imported im = {.file = malloc(n ? n : 1), .arena = oxp_arena_new(NULL)};
    assert_non_null(im.file);
    if (n > 0) memcpy(im.file, bytes, n);
    im.ctx = (oxp_ctx){.error = &im.error, .scratch = oxp_arena_new(NULL)};
    im.status = oxp_import(&im.ctx, im.arena, (oxp_bytes){im.file, n}, dir, max_bytes, &im.model);
    oxp_arena_free(im.ctx.scratch); /* what the model needs must not be there */
    im.ctx.scratch = NULL;
    im.ctx.error = NULL;
    if (im.status != OXP_OK) {
        assert_int_equal(im.error.code, im.status);
        assert_string_not_equal(im.error.message, "");
        assert_null(strchr(im.error.message, '\n'));
        assert_null(im.model);
    }
    return im;
}

static inline imported import_graph(const pb *graph, int64_t opset)
{
    const pb model = pb_model(graph, opset);
    return import_bytes(model.data, model.n, NULL, 0);
}

static inline void imported_free(imported *im)
{
    oxp_arena_free(im->arena);
    free(im->file);
}

/* Fails the test unless the import failed with that status and a message that holds `what`. */
static inline void expect_refusal(imported im, oxp_status status, const char *what)
{
    if (im.status != status || !strstr(im.error.message, what))
        fail_msg("expected %d '%s', got %d '%s'", status, what, im.status, im.error.message);
    imported_free(&im);
}

static inline void expect_ok(const imported *im)
{
    if (im->status != OXP_OK) fail_msg("refused: %s", im->error.message);
}

/* The node that makes tensor `name`. */
static inline const oxp_node *maker(const imported *im, const char *name)
{
    const oxp_val v = oxp_graph_find(im->model->graph, name);
    assert_int_not_equal(v, OXP_NO_VAL);
    const uint32_t producer = oxp_value_of(im->model->graph, v)->producer;
    assert_int_not_equal(producer, OXP_NO_NODE);
    return im->model->graph->nodes[producer];
}

/* The name of the tensor that a node reads as input i. */
static inline const char *reads(const imported *im, const oxp_node *node, size_t i)
{
    assert_true(i < node->n_in);
    return node->in[i] ? oxp_value_of(im->model->graph, node->in[i])->name : "";
}

static inline const oxp_tensor *constant(const imported *im, const char *name)
{
    const oxp_val v = oxp_graph_find(im->model->graph, name);
    assert_int_not_equal(v, OXP_NO_VAL);
    assert_int_equal(oxp_value_of(im->model->graph, v)->kind, OXP_VALUE_CONST);
    return oxp_value_of(im->model->graph, v)->constant;
}

#endif
