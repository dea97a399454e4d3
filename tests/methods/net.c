/* net.c - see net.h. */
#include "net.h"

#include "ir/parse.h"
#include "ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(test_net *t, oxp_status status)
{
    if (status != OXP_OK) fail_msg("status %d: %s", (int)status, t->error.message);
}

static test_net *new_net(void)
{
    test_net *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->arena = oxp_arena_new(NULL);
    t->scratch = oxp_arena_new(NULL);
    t->ctx = (oxp_ctx){.error = &t->error, .scratch = t->scratch};
    t->net.weights = oxp_weights_new(NULL);
    assert_non_null(t->net.weights);
    return t;
}

test_net *test_net_text(const char *text)
{
    test_net *t = new_net();
    oxp_graph *g;
    must(t, oxp_graph_parse(&t->ctx, t->arena, text, oxp_op_find, &g));
    t->net.graph = g;
    return t;
}

test_net *test_net_open(const char *path)
{
    test_net *t = new_net();
    char full[4096];
    snprintf(full, sizeof full, "%s%s%s", path[0] == '/' ? "" : OXP_SOURCE_DIR,
             path[0] == '/' ? "" : "/", path);
    oxp_bytes file;
    must(t, oxp_file_read(&t->ctx, t->arena, full, 0, &file));
    must(t, oxp_import(&t->ctx, t->arena, file, oxp_path_dir(t->arena, full), 0, &t->model));
    t->net.graph = t->model->graph;
    must(t, oxp_weights_keep(&t->ctx, t->net.weights, t->net.graph));
    return t;
}

test_net *test_net_bytes(const void *bytes, size_t n, oxp_error *error)
{
    test_net *t = new_net();
    const oxp_status status =
        oxp_import(&t->ctx, t->arena, (oxp_bytes){bytes, n}, NULL, 0, &t->model);
    *error = t->error;
    if (status != OXP_OK) {
        test_net_close(t);
        return NULL;
    }
    t->net.graph = t->model->graph;
    must(t, oxp_weights_keep(&t->ctx, t->net.weights, t->net.graph));
    return t;
}

void test_net_close(test_net *t)
{
    oxp_weights_free(t->net.weights);
    oxp_arena_free(t->scratch);
    oxp_arena_free(t->arena);
    free(t);
}

oxp_val test_net_val(test_net *t, const char *tensor)
{
    const oxp_val v = oxp_graph_find(t->net.graph, tensor);
    if (v == OXP_NO_VAL) fail_msg("no tensor '%s'", tensor);
    return v;
}

oxp_tensor test_npy(test_net *t, const char *path)
{
    char full[4096];
    snprintf(full, sizeof full, "%s%s%s", path[0] == '/' ? "" : OXP_SOURCE_DIR,
             path[0] == '/' ? "" : "/", path);
    oxp_bytes file;
    oxp_tensor out;
    must(t, oxp_file_read(&t->ctx, t->arena, full, 0, &file));
    must(t, oxp_npy_parse(&t->ctx, t->arena, file, &out));
    return out;
}

oxp_tensor test_array(test_net *t, int rank, const int64_t *dims, const double *data)
{
    const oxp_shape shape = oxp_shape_of(rank, dims);
    oxp_tensor out;
    must(t, oxp_tensor_new(&t->ctx, t->arena, OXP_F64, &shape, &out));
    memcpy((void *)(uintptr_t)out.data, data, oxp_tensor_bytes(&out));
    return out;
}

oxp_status test_try_explain(test_net *t, const test_ask *ask, const oxp_tensor *inputs,
                            size_t n_inputs, oxp_explanation *out)
{
    oxp_val layers[4], wrt[4];
    oxp_settings set = {.method = oxp_methods_find(ask->method),
                        .params = ask->params,
                        .space = ask->space,
                        .references = ask->references,
                        .n_references = ask->n_references,
                        .layers = layers,
                        .wrt = wrt,
                        .has_contrast = ask->contrast,
                        .double_precision = !ask->fused,
                        .no_optimise = ask->no_optimise,
                        .top_k = 3};
    if (!set.method) fail_msg("there is no method '%s' in src/explain/methods.def", ask->method);
    while (set.n_params < 6 && ask->params[set.n_params]) set.n_params++;
    for (; set.n_layers < 4 && ask->layers[set.n_layers]; set.n_layers++)
        layers[set.n_layers] = test_net_val(t, ask->layers[set.n_layers]);
    for (; set.n_wrt < 4 && ask->wrt[set.n_wrt]; set.n_wrt++)
        wrt[set.n_wrt] = test_net_val(t, ask->wrt[set.n_wrt]);
    if (ask->tensor) set.target_tensor = test_net_val(t, ask->tensor);
    const oxp_target_kind plain = ask->element ? OXP_TARGET_ELEMENT : OXP_TARGET_CLASS;
    const oxp_target target = {ask->sum   ? OXP_TARGET_SUM
                               : ask->top ? OXP_TARGET_TOP
                                          : plain,
                               ask->top && ask->target == 0 ? 1 : ask->target};
    const oxp_target contrast = {ask->contrast ? plain : OXP_TARGET_TOP,
                                 ask->contrast ? ask->contrast_class : 1};
    oxp_session *s;
    oxp_arena_reset(t->scratch);
    oxp_status status = oxp_session_new(&t->ctx, &t->net, &set, &s);
    if (status != OXP_OK) return status;
    status = oxp_session_explain(&t->ctx, s, t->arena, inputs, n_inputs, target, contrast, out);
    oxp_session_free(s);
    return status;
}

oxp_explanation test_explain(test_net *t, const test_ask *ask, const oxp_tensor *inputs,
                             size_t n_inputs)
{
    oxp_explanation out;
    const oxp_status status = test_try_explain(t, ask, inputs, n_inputs, &out);
    if (status != OXP_OK) fail_msg("%s: status %d: %s", ask->method, (int)status, t->error.message);
    return out;
}

void test_explain_fails(test_net *t, const test_ask *ask, const oxp_tensor *inputs, size_t n_inputs,
                        oxp_status status)
{
    oxp_explanation out;
    t->error.message[0] = '\0';
    assert_int_equal(test_try_explain(t, ask, inputs, n_inputs, &out), status);
    assert_true(t->error.message[0] != '\0');
}

oxp_tensor test_numbers(test_net *t, const int64_t *dims, int most, const double *data)
{
    int rank = 0;
    while (rank < most && dims[rank] > 0) rank++;
    return test_array(t, rank, dims, data);
}

oxp_tensor test_items(oxp_tensor batch, int64_t first, int64_t n)
{
    batch.shape.dim[0] = 1;
    batch.data = (const char *)batch.data + (size_t)first * oxp_tensor_bytes(&batch);
    batch.shape.dim[0] = n;
    return batch;
}

void test_expect(test_net *t, const char *name, test_ask ask, bool fused, const oxp_tensor *inputs,
                 size_t n_inputs, const double (*want)[16], size_t n_maps, size_t n,
                 double tolerance)
{
    char what[256];
    const bool joined = ask.layers[1] != NULL;
    const double usual = joined ? 1e-6 : fused ? 1e-5 : 1e-9;
    snprintf(what, sizeof what, "%s (%s)", name, fused ? "fused" : "plain");
    ask.fused = fused;
    const oxp_explanation e = test_explain(t, &ask, inputs, n_inputs);
    for (size_t m = 0; m < (joined ? 1 : e.n_maps) && m < n_maps; m++)
        test_close_to(joined ? &e.maps[m].map : &e.maps[m].raw, want[m], n,
                      tolerance > 0.0 ? tolerance : usual, what);
}

static void compare(const oxp_tensor *got, const double *want, size_t n, double tolerance,
                    const char *what)
{
    if ((size_t)oxp_shape_elements(&got->shape) != n)
        fail_msg("%s: expected %zu elements, found %lld", what, n,
                 (long long)oxp_shape_elements(&got->shape));
    double most = 0.0, worst = 0.0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const double error = fabs(oxp_tensor_get(got, (int64_t)i) - want[i]);
        most = fmax(most, fabs(want[i]));
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    if (!(worst <= tolerance * (most > 0.0 ? most : 1.0)))
        fail_msg("%s: element %zu is %.12g, expected %.12g (error %.3g of the maximum %.6g, "
                 "allowed %.3g)",
                 what, at, oxp_tensor_get(got, (int64_t)at), want[at],
                 worst / (most > 0.0 ? most : 1.0), most, tolerance);
}

void test_close_to(const oxp_tensor *got, const double *want, size_t n, double tolerance,
                   const char *what)
{
    compare(got, want, n, tolerance, what);
}

void test_close(const oxp_tensor *got, const oxp_tensor *want, double tolerance, const char *what)
{
    const size_t n = (size_t)oxp_shape_elements(&want->shape);
    double *copy = malloc(n * sizeof(double) + 1);
    assert_non_null(copy);
    oxp_convert(copy, OXP_F64, want->data, want->dtype, (int64_t)n);
    compare(got, copy, n, tolerance, what);
    free(copy);
}

test_net *test_toy_open(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/data/toy/%s.onnx", name);
    return test_net_open(path);
}

oxp_tensor test_toy_array(test_net *t, const char *name, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "tests/data/toy/%s.io/%s.npy", name, file);
    return test_npy(t, path);
}

bool test_has_note(const oxp_explanation *e, const char *part)
{
    for (size_t i = 0; i < e->n_notes; i++)
        if (strstr(e->notes[i], part)) return true;
    return false;
}
