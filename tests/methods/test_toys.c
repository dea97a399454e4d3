/* test_toys.c - every tiny model of tests/data/toy: outputs, reference gradients and Grad-CAM maps
 * in both executors, and the gradient of the whole net against central differences in double. */
#include "net.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOYS OXP_SOURCE_DIR "/tests/data/toy"

typedef struct toy {
    test_net *t;
    char name[256], io[1024];
    oxp_tensor inputs[8];
    size_t n;
} toy;

static int is_model(const struct dirent *d)
{
    const size_t n = strlen(d->d_name);
    return n > 5 && strcmp(d->d_name + n - 5, ".onnx") == 0;
}

static bool has_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

/* False when the model has no stored inputs. */
static bool open_toy(toy *y, const char *file)
{
    char path[2048];
    snprintf(y->name, sizeof y->name, "%.*s", (int)(strlen(file) - 5), file);
    snprintf(y->io, sizeof y->io, TOYS "/%s.io", y->name);
    snprintf(path, sizeof path, TOYS "/%s", file);
    y->t = test_net_open(path);
    y->n = y->t->net.graph->n_inputs;
    assert_true(y->n <= OXP_COUNT(y->inputs));
    for (size_t i = 0; i < y->n; i++) {
        snprintf(path, sizeof path, "%s/input__%s.npy", y->io,
                 oxp_value_of(y->t->net.graph, y->t->net.graph->inputs[i])->name);
        if (!has_file(path)) return false;
        y->inputs[i] = test_npy(y->t, path);
    }
    return true;
}

typedef void (*toy_fn)(toy *y, bool fused, size_t *count);

static size_t for_each(bool fused, toy_fn fn)
{
    struct dirent **list;
    size_t count = 0;
    const int n = scandir(TOYS, &list, is_model, alphasort);
    assert_true(n > 50);
    for (int i = 0; i < n; i++) {
        toy y;
        if (open_toy(&y, list[i]->d_name)) fn(&y, fused, &count);
        test_net_close(y.t);
        free(list[i]);
    }
    free(list);
    return count;
}

/* ---- outputs ---- */

static void check_outputs(toy *y, bool fused, size_t *count)
{
    const oxp_graph *g = y->t->net.graph;
    for (size_t k = 0; k < g->n_outputs; k++) {
        char path[2048], what[512];
        snprintf(path, sizeof path, "%s/output__%s.npy", y->io,
                 oxp_value_of(g, g->outputs[k])->name);
        snprintf(what, sizeof what, "%s output %zu %s", y->name, k, fused ? "fused" : "plain");
        if (!has_file(path)) continue;
        const oxp_tensor want = test_npy(y->t, path);
        oxp_tensor got;
        oxp_arena_reset(y->t->scratch);
        if (oxp_compute(&y->t->ctx, &y->t->net, y->t->arena, g->inputs, y->inputs, y->n,
                        &g->outputs[k], 1, 0, !fused, &got) != OXP_OK)
            fail_msg("%s: %s", what, y->t->error.message);
        /* the stored outputs are ONNX Runtime's, in float (or half) */
        test_close(&got, &want, want.dtype == OXP_F16 ? 2e-3 : 1e-5, what);
        (*count)++;
    }
}

static void outputs_plain(void **state)
{
    OXP_UNUSED(state);
    assert_true(for_each(false, check_outputs) > 100);
}

static void outputs_fused(void **state)
{
    OXP_UNUSED(state);
    assert_true(for_each(true, check_outputs) > 100);
}

/* ---- references ---- */

static int is_ref(const struct dirent *d)
{
    return strncmp(d->d_name, "ref_grad", 8) == 0;
}

static void check_refs(toy *y, bool fused, size_t *count)
{
    struct dirent **list;
    const int n = scandir(y->io, &list, is_ref, alphasort);
    for (int i = 0; i < n; i++) {
        char path[2048], layer[256] = "", what[600];
        snprintf(path, sizeof path, "%s/%.200s", y->io, list[i]->d_name);
        snprintf(what, sizeof what, "%s %.200s %s", y->name, list[i]->d_name,
                 fused ? "fused" : "plain");
        const bool cam = sscanf(list[i]->d_name, "ref_gradcam_class1_%255[^.]", layer) == 1;
        test_ask ask = {.method = cam ? "grad-cam" : "saliency", .target = 1, .fused = fused};
        if (cam) ask.layers[0] = layer;
        const oxp_tensor want = test_npy(y->t, path);
        const oxp_explanation e = test_explain(y->t, &ask, y->inputs, y->n);
        test_close(&e.maps[0].raw, &want, fused ? 1e-5 : 1e-6, what);
        (*count)++;
        free(list[i]);
    }
    if (n >= 0) free(list);
}

static void references_plain(void **state)
{
    OXP_UNUSED(state);
    assert_true(for_each(false, check_refs) > 40);
}

static void references_fused(void **state)
{
    OXP_UNUSED(state);
    assert_true(for_each(true, check_refs) > 40);
}

/* ---- central differences ---- */

/* The first output's sum as a function of the inputs, and its gradient, in double. */
static double score_at(toy *y, oxp_session *s, const oxp_tensor *inputs, oxp_explanation *e)
{
    oxp_arena_reset(y->t->scratch);
    const oxp_target sum = {OXP_TARGET_SUM, 0};
    if (oxp_session_explain(&y->t->ctx, s, y->t->arena, inputs, y->n, sum, sum, e) != OXP_OK)
        fail_msg("%s: %s", y->name, y->t->error.message);
    return e->items[0].score;
}

/* Rounding to codes is differentiated straight through, which differences do not see. */
static bool has_codes(const oxp_graph *g)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op->flags & OXP_OP_CODES) return true;
    return false;
}

static void check_differences(toy *y, bool fused, size_t *count)
{
    OXP_UNUSED(fused);
    const oxp_graph *g = y->t->net.graph;
    if (has_codes(g)) return;
    oxp_tensor x[8];
    for (size_t i = 0; i < y->n; i++) {
        const oxp_shape *shape = &y->inputs[i].shape; /* single items: the score is that of one */
        if (!oxp_dtype_is_float(y->inputs[i].dtype) || oxp_shape_elements(shape) > 200 ||
            (shape->rank > 1 && shape->dim[0] != 1))
            return;
        double *copy = OXP_NEW(y->t->arena, double, oxp_shape_elements(&y->inputs[i].shape) + 1);
        oxp_convert(copy, OXP_F64, y->inputs[i].data, y->inputs[i].dtype,
                    oxp_shape_elements(&y->inputs[i].shape));
        x[i] = (oxp_tensor){OXP_F64, y->inputs[i].shape, copy};
    }
    oxp_val wrt[8];
    memcpy(wrt, g->inputs, y->n * sizeof(oxp_val));
    const oxp_settings set = {.method = &oxp_method_saliency,
                              .double_precision = true,
                              .target_tensor = g->outputs[0],
                              .wrt = wrt,
                              .n_wrt = y->n};
    oxp_session *s;
    oxp_explanation at, other;
    assert_int_equal(oxp_session_new(&y->t->ctx, &y->t->net, &set, &s), OXP_OK);
    const double f0 = score_at(y, s, x, &at);
    size_t compared = 0, kinks = 0;
    for (size_t i = 0; at.n_items == 1 && i < y->n; i++)
        for (int64_t k = 0; k < oxp_shape_elements(&x[i].shape); k++) {
            double *v = (double *)(uintptr_t)x[i].data + k, slope[2];
            const double x0 = *v, h = 1e-4 * fmax(1.0, fabs(x0)),
                         got = oxp_tensor_get(&at.maps[i].raw, k);
            /* forward minus backward slope: halves with the width unless there is a kink at x0 */
            double bend[2];
            for (int step = 0; step < 2; step++) {
                const double width = step ? h / 2 : h;
                *v = x0 + width;
                const double up = score_at(y, s, x, &other);
                *v = x0 - width;
                const double down = score_at(y, s, x, &other);
                slope[step] = (up - down) / (2 * width);
                bend[step] = fabs((up - f0) - (f0 - down)) / width;
            }
            *v = x0;
            const double scale = fmax(1.0, fabs(slope[1]));
            if (fabs(slope[0] - slope[1]) > 1e-6 * scale ||
                (bend[1] > 1e-6 * scale && bend[1] > 0.75 * bend[0])) {
                kinks++;
                continue;
            }
            if (!(fabs(got - slope[1]) <= 1e-6 * scale))
                fail_msg("%s: d/d%s[%lld] is %.10g, central difference %.10g", y->name,
                         at.maps[i].tensor, (long long)k, got, slope[1]);
            compared++;
        }
    oxp_session_free(s);
    if (kinks > compared / 4 && compared + kinks > 8)
        fail_msg("%s: %zu of %zu derivatives sit on kinks", y->name, kinks, compared + kinks);
    *count += compared;
}

static void differences(void **state)
{
    OXP_UNUSED(state);
    const size_t compared = for_each(false, check_differences);
    print_message("%zu derivatives compared\n", compared);
    assert_true(compared > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_plain),    cmocka_unit_test(outputs_fused),
        cmocka_unit_test(references_plain), cmocka_unit_test(references_fused),
        cmocka_unit_test(differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
