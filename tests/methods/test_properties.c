/* test_properties.c - what must hold whatever the model: completeness, linearity, batches,
 * seeds, threads, and compiling once. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOY "tests/data/toy/"

/* captum's BasicModel2 and BasicModel3: the same function in two spellings; exact attributions
 * 1.5 and -0.5. */
static void integrated_gradients_numbers(void **state)
{
    OXP_UNUSED(state);
    static const char *const models[] = {"basic_model2", "basic_model3"};
    for (size_t m = 0; m < 2; m++) {
        char path[256];
        snprintf(path, sizeof path, TOY "%s.onnx", models[m]);
        test_net *t = test_net_open(path);
        oxp_tensor x[2];
        for (int i = 0; i < 2; i++) {
            snprintf(path, sizeof path, TOY "%s.io/input__x%d.npy", models[m], i + 1);
            x[i] = test_npy(t, path);
        }
        const oxp_explanation e =
            test_explain(t, &(test_ask){.method = "integrated-gradients"}, x, 2);
        test_close_to(&e.maps[0].raw, (const double[]){1.5}, 1, 1e-9, "x1");
        test_close_to(&e.maps[1].raw, (const double[]){-0.5}, 1, 1e-9, "x2");
        assert_true(e.items[0].gap < 1e-9);
        test_net_close(t);
    }
}

static void lrp_numbers(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *name;
        size_t n;
        int64_t target;
        double want[8], tolerance;
    } nets[] = {
        {"lrp_simple", 3, 0, {18, 36, 54}, 1e-9},
        {"lrp_tanh", 3, 0, {0.0269, 0.0537, 0.0806}, 1e-3},
        {"lrp_skip", 2, 1, {10, 18}, 1e-9},
    };
    for (size_t k = 0; k < OXP_COUNT(nets); k++) {
        char path[256];
        snprintf(path, sizeof path, TOY "%s.onnx", nets[k].name);
        test_net *t = test_net_open(path);
        snprintf(path, sizeof path, TOY "%s.io/input__x.npy", nets[k].name);
        const oxp_tensor x = test_npy(t, path);
        const test_ask ask = {.method = "lrp",
                              .params = {"epsilon=1e-12", "stabiliser=1e-12"},
                              .target = nets[k].target};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, nets[k].want, nets[k].n, nets[k].tolerance, nets[k].name);
        test_net_close(t);
    }
}

/* captum's BasicModel_MultiLayer, target 0. */
static void occlusion_numbers(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "multi_layer.onnx");
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 3}, (const double[]){20, 50, 30});
    const oxp_tensor small = test_array(t, 2, (const int64_t[]){1, 3}, (const double[]){2, 10, 3});
    oxp_explanation e = test_explain(t, &(test_ask){.method = "occlusion"}, &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){80, 200, 120}, 3, 1e-9, "one feature at a time");
    e = test_explain(t, &(test_ask){.method = "occlusion"}, &small, 1);
    test_close_to(&e.maps[0].raw, (const double[]){8, 35, 12}, 3, 1e-9,
                  "one feature at a time, near the kink");
    e = test_explain(
        t, &(test_ask){.method = "occlusion", .params = {"window=2", "stride=1", "baseline=10"}},
        &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){200, 220, 240}, 3, 1e-9,
                  "two features, baseline 10");
    test_net_close(t);
}

/* dY/dx . dx is linear in the target: the contrast is the difference of two gradients. */
static void contrast_is_a_difference(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const oxp_explanation a =
        test_explain(t, &(test_ask){.method = "saliency", .target = 1}, &x, 1);
    const oxp_explanation b =
        test_explain(t, &(test_ask){.method = "saliency", .target = 0}, &x, 1);
    const oxp_explanation c = test_explain(
        t,
        &(test_ask){
            .method = "contrastive-gradient", .target = 1, .contrast = true, .contrast_class = 0},
        &x, 1);
    const oxp_explanation d = test_explain(t,
                                           &(test_ask){.method = "contrastive-input-x-gradient",
                                                       .target = 1,
                                                       .contrast = true,
                                                       .contrast_class = 0},
                                           &x, 1);
    double most = 0.0;
    for (int64_t i = 0; i < oxp_shape_elements(&a.maps[0].raw.shape); i++) {
        const double difference =
            oxp_tensor_get(&a.maps[0].raw, i) - oxp_tensor_get(&b.maps[0].raw, i);
        assert_true(fabs(difference - oxp_tensor_get(&c.maps[0].raw, i)) < 1e-12);
        assert_true(fabs(difference * oxp_tensor_get(&x, i) - oxp_tensor_get(&d.maps[0].raw, i)) <
                    1e-12);
        most = fmax(most, fabs(difference));
    }
    assert_true(most > 1e-3); /* the classes do differ */
    test_net_close(t);
}

static void integrated_gradients_add_up(void **state)
{
    OXP_UNUSED(state);
    static const char *const models[] = {"cnn1d", "cnn2d", "cnn3d"};
    for (size_t m = 0; m < OXP_COUNT(models); m++) {
        char path[256];
        snprintf(path, sizeof path, TOY "%s.onnx", models[m]);
        test_net *t = test_net_open(path);
        snprintf(path, sizeof path, TOY "%s.io/input__x.npy", models[m]);
        const oxp_tensor x = test_npy(t, path);
        for (int fused = 0; fused < 2; fused++) {
            const oxp_explanation e = test_explain(t,
                                                   &(test_ask){.method = "integrated-gradients",
                                                               .params = {"steps=400"},
                                                               .target = 1,
                                                               .fused = fused == 1},
                                                   &x, 1);
            if (!(e.items[0].gap < 2e-3))
                fail_msg("%s: the attributions miss the score's change by %g of it", models[m],
                         e.items[0].gap);
        }
        test_net_close(t);
    }
}

/* Three different items together give what each gives alone, each with its own top class. */
static void a_batch_is_its_items(void **state)
{
    OXP_UNUSED(state);
    static const char *const methods[] = {"saliency",   "guided-backprop",      "grad-cam",
                                          "grad-cam++", "integrated-gradients", "occlusion"};
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const size_t n = (size_t)(oxp_shape_elements(&x.shape) / x.shape.dim[0]);
    oxp_shape three = x.shape, one = x.shape;
    three.dim[0] = 3;
    one.dim[0] = 1;
    double *all = OXP_NEW(t->arena, double, 3 * n);
    for (size_t i = 0; i < 3 * n; i++)
        all[i] = oxp_tensor_get(&x, (int64_t)(i % n)) * (i < n       ? 1.0
                                                         : i < 2 * n ? -0.7
                                                                     : 0.3) +
                 (double)(i % 7) * 0.1 * (double)(i / n);
    const oxp_tensor batch = {OXP_F64, three, all};
    for (size_t m = 0; m < OXP_COUNT(methods); m++)
        for (int fused = 0; fused < 2; fused++) {
            const test_ask ask = {.method = methods[m], .top = true, .fused = fused == 1};
            const oxp_explanation together = test_explain(t, &ask, &batch, 1);
            assert_int_equal(together.n_items, 3);
            for (size_t i = 0; i < 3; i++) {
                const oxp_tensor item = {OXP_F64, one, all + i * n};
                const oxp_explanation alone = test_explain(t, &ask, &item, 1);
                oxp_tensor part = together.maps[0].raw;
                part.shape.dim[0] = 1;
                part.data = (const char *)part.data + i * oxp_tensor_bytes(&part);
                assert_int_equal(together.items[i].target, alone.items[0].target);
                test_close(&part, &alone.maps[0].raw, fused ? 1e-5 : 1e-9, methods[m]);
            }
        }
    test_net_close(t);
}

static void noise_has_a_seed(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    test_ask ask = {.method = "smoothgrad", .params = {"samples=5", "seed=7"}, .target = 1};
    const oxp_explanation a = test_explain(t, &ask, &x, 1), b = test_explain(t, &ask, &x, 1);
    assert_memory_equal(a.maps[0].raw.data, b.maps[0].raw.data, oxp_tensor_bytes(&a.maps[0].raw));
    ask.params[1] = "seed=8";
    const oxp_explanation c = test_explain(t, &ask, &x, 1);
    assert_memory_not_equal(a.maps[0].raw.data, c.maps[0].raw.data,
                            oxp_tensor_bytes(&a.maps[0].raw));
    ask = (test_ask){.method = "smoothgrad", .params = {"samples=3", "level=0"}, .target = 1};
    const oxp_explanation still = test_explain(t, &ask, &x, 1);
    const oxp_explanation plain =
        test_explain(t, &(test_ask){.method = "saliency", .target = 1}, &x, 1);
    test_close(&still.maps[0].raw, &plain.maps[0].raw, 1e-12,
               "SmoothGrad without noise is the gradient");
    ask = (test_ask){.method = "smoothgrad",
                     .params = {"samples=2", "level=0", "method=grad-cam"},
                     .layers = {"relu2"},
                     .target = 1};
    const oxp_explanation cams = test_explain(t, &ask, &x, 1);
    const oxp_explanation cam =
        test_explain(t, &(test_ask){.method = "grad-cam", .layers = {"relu2"}, .target = 1}, &x, 1);
    test_close(&cams.maps[0].raw, &cam.maps[0].raw, 1e-12, "SmoothGrad around Grad-CAM");
    /* the wrapped method says how the mean becomes a map */
    ask = (test_ask){.method = "smoothgrad",
                     .params = {"samples=2", "level=0", "method=input-x-gradient"},
                     .target = 1};
    const oxp_explanation wrapped = test_explain(t, &ask, &x, 1);
    const oxp_explanation bare =
        test_explain(t, &(test_ask){.method = "input-x-gradient", .target = 1}, &x, 1);
    assert_true(wrapped.maps[0].is_signed);
    assert_string_equal(wrapped.maps[0].reduction, bare.maps[0].reduction);
    test_close(&wrapped.maps[0].map, &bare.maps[0].map, 1e-6, "map of the wrapped method");
    test_net_close(t);
}

static void several_layers(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const oxp_explanation e = test_explain(
        t, &(test_ask){.method = "grad-cam", .layers = {"conv1", "relu2", "relu3"}, .target = 1},
        &x, 1);
    assert_int_equal(e.n_maps, 4);
    const int64_t cells = oxp_shape_elements(&e.maps[0].map.shape);
    assert_int_equal(e.n_items, 2);
    for (int64_t i = 0; i < cells; i++) {
        double mean = 0.0;
        for (int k = 1; k <= 3; k++) {
            double most = 0.0;
            /* two items */
            for (int64_t j = i < cells / 2 ? 0 : cells / 2; j < (i < cells / 2 ? cells / 2 : cells);
                 j++)
                most = fmax(most, oxp_tensor_get(&e.maps[k].map, j));
            mean += most > 0.0 ? oxp_tensor_get(&e.maps[k].map, i) / most / 3.0 : 0.0;
        }
        assert_true(fabs(mean - oxp_tensor_get(&e.maps[0].map, i)) < 1e-6);
    }
    test_net_close(t);
}

/* logits = (x s) w: an input that the items of a batch share is attributed to per item. */
static void a_shared_input_has_a_map_per_item(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        test_ask ask;
        double x[6], s[6];
    } cases[] = {
        {{.method = "saliency"}, {4, -1, -4, 4, -1, -4}, {2, -2, 12, -2, -4, 2}},
        {{.method = "integrated-gradients"}, {2, -1, -6, -2, -2, -1}, {2, -1, -6, -2, -2, -1}},
        {{.method = "occlusion"}, {4, -2, -12, -4, -4, -2}, {4, -2, -12, -4, -4, -2}},
        {{.method = "smoothgrad", .params = {"level=0", "samples=3"}},
         {4, -1, -4, 4, -1, -4},
         {2, -2, 12, -2, -4, 2}},
    };
    test_net *t = test_net_open(TOY "shared_scale.onnx");
    const oxp_tensor in[2] = {test_npy(t, TOY "shared_scale.io/input__x.npy"),
                              test_npy(t, TOY "shared_scale.io/input__s.npy")};
    for (size_t i = 0; i < OXP_COUNT(cases); i++)
        for (int fused = 0; fused < 2; fused++) {
            test_ask ask = cases[i].ask;
            ask.target = 1;
            ask.fused = fused != 0;
            const oxp_explanation e = test_explain(t, &ask, in, 2);
            assert_int_equal(e.n_maps, 2);
            assert_int_equal(e.n_items, 2);
            test_close_to(&e.maps[0].raw, cases[i].x, 6, 1e-6, ask.method);
            test_close_to(&e.maps[1].raw, cases[i].s, 6, 1e-6, ask.method);
        }
    test_net_close(t);
}

static void count_compiles(const char *topic, const char *line, void *user)
{
    OXP_UNUSED(line);
    *(int *)user += strcmp(topic, "compile") == 0;
}

/* Another class, another contrast, another picture: the same program. Another shape: a new one. */
static void targets_do_not_compile(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    int compiles = 0;
    t->ctx.log = count_compiles;
    t->ctx.log_user = &compiles;
    const oxp_settings set = {.method = &oxp_method_saliency, .has_contrast = true, .top_k = 3};
    oxp_session *s;
    oxp_explanation e;
    assert_int_equal(oxp_session_new(&t->ctx, &t->net, &set, &s), OXP_OK);
    for (int64_t c = 0; c < 3; c++)
        for (int64_t foil = 0; foil < 3; foil++) {
            if (foil == c) continue;
            const oxp_target target = {OXP_TARGET_CLASS, c}, contrast = {OXP_TARGET_CLASS, foil};
            assert_int_equal(oxp_session_explain(&t->ctx, s, t->arena, &x, 1, target, contrast, &e),
                             OXP_OK);
            assert_int_equal(e.items[0].target, c);
            assert_int_equal(e.items[0].contrast, foil);
        }
    assert_int_equal(compiles, 1);
    oxp_session_free(s);
    test_net_close(t);
}

static void asking_wrongly(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const oxp_tensor flat = test_array(t, 1, (const int64_t[]){3}, (const double[]){1, 2, 3});
    test_explain_fails(t, &(test_ask){.method = "saliency", .target = 1000}, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "no class 1000"));
    test_explain_fails(t, &(test_ask){.method = "saliency"}, &flat, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "expects shape"));
    test_explain_fails(t, &(test_ask){.method = "saliency", .params = {"chanels=sum"}}, &x, 1,
                       OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "did you mean 'channels'"));
    test_explain_fails(t, &(test_ask){.method = "integrated-gradients", .params = {"steps=0"}}, &x,
                       1, OXP_EINVAL);
    test_explain_fails(t, &(test_ask){.method = "smoothgrad", .params = {"method=smoothgrad"}}, &x,
                       1, OXP_EINVAL);
    test_explain_fails(
        t, &(test_ask){.method = "saliency", .target = 1, .contrast = true, .contrast_class = 1},
        &x, 1, OXP_EINVAL);
    double *bad = OXP_NEW(t->arena, double, oxp_shape_elements(&x.shape));
    for (int64_t i = 0; i < oxp_shape_elements(&x.shape); i++) bad[i] = i == 5 ? (double)NAN : 0.5;
    const oxp_tensor nan = test_array(t, x.shape.rank, x.shape.dim, bad);
    test_explain_fails(t, &(test_ask){.method = "saliency", .target = 1}, &nan, 1, OXP_EINVAL);
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integrated_gradients_numbers),
        cmocka_unit_test(lrp_numbers),
        cmocka_unit_test(occlusion_numbers),
        cmocka_unit_test(contrast_is_a_difference),
        cmocka_unit_test(integrated_gradients_add_up),
        cmocka_unit_test(a_batch_is_its_items),
        cmocka_unit_test(a_shared_input_has_a_map_per_item),
        cmocka_unit_test(noise_has_a_seed),
        cmocka_unit_test(several_layers),
        cmocka_unit_test(targets_do_not_compile),
        cmocka_unit_test(asking_wrongly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
