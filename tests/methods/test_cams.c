/* test_cams.c - the family of class activation maps: numbers worked out by hand on the oracle net
 * (docs/methods.md), and properties on networks of one, two and three axes and on tokens.
 *
 * The oracle: x[i][j] = 4i + j -> Conv(1->2, 3x3, ones, bias -50, -75) -> ReLU -> Linear, class 0;
 * at relu1 A = [[0,4],[31,40]], [[0,0],[6,15]] and g = [[1,1],[1,1]], [[1,-1],[-1,-1]]. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOY "tests/data/toy/"

typedef struct cam_case {
    const char *name;
    test_ask ask;
    size_t n;
    double want[16];
} cam_case;

static const cam_case cases[] = {
    {"hirescam", {.method = "hirescam", .layers = {"relu1"}}, 4, {0, 4, 25, 25}},
    {"elementwise", {.method = "gradcam-elementwise", .layers = {"relu1"}}, 4, {0, 4, 31, 40}},
    {"layercam", {.method = "layercam", .layers = {"relu1"}}, 4, {0, 4, 31, 40}},
    {"xgradcam", {.method = "xgradcam", .layers = {"relu1"}}, 4, {0, 4, 25, 25}},
    {"xgradcam, signed",
     {.method = "xgradcam", .layers = {"conv1"}, .params = {"relu=false"}},
     4,
     {-75.0 / 14 - 21, 60.0 / 14 - 14.7, 465.0 / 14 + 4.2, 600.0 / 14 + 10.5}},
    /* v = (.946749, .321973); the largest coordinate is positive, so the class does not matter */
    {"eigencam",
     {.method = "eigencam", .layers = {"relu1"}, .params = {"relu=false"}},
     4,
     {-19.44189968839746, -15.654903706143765, 11.839154627306687, 23.257648767234535}},
    {"eigencam, rectified",
     {.method = "eigencam", .layers = {"relu1"}},
     4,
     {0, 0, 11.839154627306687, 23.257648767234535}},
    {"eigengradcam",
     {.method = "eigengradcam", .layers = {"relu1"}, .params = {"relu=false"}},
     4,
     {-19.44189968839746, -15.654903706143765, 11.839154627306687, 23.257648767234535}},
    {"kpca-cam, linear",
     {.method = "kpca-cam", .layers = {"relu1"}, .params = {"relu=false", "kernel=linear"}},
     4,
     {-19.44189968839746, -15.654903706143765, 11.839154627306687, 23.257648767234535}},
    /* tanh saturates: two groups */
    {"kpca-cam",
     {.method = "kpca-cam", .layers = {"relu1"}, .params = {"relu=false"}},
     4,
     {1, 1, -1, -1}},
    {"kpca-cam, gamma",
     {.method = "kpca-cam", .layers = {"relu1"}, .params = {"relu=false", "gamma=0.001"}},
     4,
     {-0.40828002685863163, -0.3219736872421187, 0.2480392972116215, 0.48221441688912875}},
    {"kpca-cam, rbf",
     {.method = "kpca-cam",
      .layers = {"relu1"},
      .params = {"relu=false", "kernel=rbf", "gamma=0.001"}},
     4,
     {-0.6035957535637964, -0.540185704740184, 0.46267277060562106, 0.6811086876983599}},
};

static void run_cases(bool fused, double tolerance)
{
    test_net *t = test_net_open(TOY "oracle_conv.onnx");
    const oxp_tensor x = test_npy(t, TOY "oracle_conv.io/input__x.npy");
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        test_ask ask = cases[i].ask;
        ask.fused = fused;
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, cases[i].want, cases[i].n, tolerance, cases[i].name);
    }
    test_net_close(t);
}

static void oracle_plain(void **state)
{
    OXP_UNUSED(state);
    run_cases(false, 1e-9);
}

static void oracle_fused(void **state)
{
    OXP_UNUSED(state);
    run_cases(true, 1e-5);
}

/* Several layers: the joint map in front, from the maps behind it. */
static void layers_are_joined(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *method, *param;
        double want[4];
    } joins[] = {
        /* both maps are [[0,4],[31,40]]: tanh(2 . 4/40) ... */
        {"layercam", NULL, {0, 0.197375320224904, 0.9137854901178278, 0.9640275800758169}},
        {"layercam", "join=max", {0, 0.1, 0.775, 1}},
        {"layercam", "join=mean", {0, 0.1, 0.775, 1}},
        {"layercam", "join=product", {0, 0.01, 0.600625, 1}},
        /* [[0,4],[25,25]] / 25 and relu of [[-26.36,-10.41],[37.41,53.36]] / 53.36 */
        {"xgradcam", "join=product", {0, 0, 37.41428571428571 / 53.35714285714286, 1}},
        {"xgradcam", "join=max", {0, 0.16, 1, 1}},
    };
    test_net *t = test_net_open(TOY "oracle_conv.onnx");
    const oxp_tensor x = test_npy(t, TOY "oracle_conv.io/input__x.npy");
    for (size_t i = 0; i < OXP_COUNT(joins); i++) {
        const test_ask ask = {.method = joins[i].method,
                              .layers = {"relu1", "conv1"},
                              .params = {"upsample=none", joins[i].param}};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        assert_int_equal(e.n_maps, 3);
        test_close_to(&e.maps[0].map, joins[i].want, 4, 1e-6, joins[i].method);
    }
    test_net_close(t);
}

/* RefineCAM is the product of what Grad-CAM++ gives at each layer. */
static void refine_multiplies(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "oracle_conv.onnx");
    const oxp_tensor x = test_npy(t, TOY "oracle_conv.io/input__x.npy");
    test_ask ask = {.method = "refine-cam",
                    .layers = {"relu1", "conv1"},
                    .params = {"variant=paper", "upsample=none"}};
    const oxp_explanation e = test_explain(t, &ask, &x, 1);
    double want[4] = {1, 1, 1, 1};
    for (int k = 0; k < 2; k++) {
        const test_ask one = {.method = "grad-cam++",
                              .layers = {k ? "conv1" : "relu1"},
                              .params = {"variant=paper", "upsample=none"}};
        const oxp_explanation single = test_explain(t, &one, &x, 1);
        const oxp_tensor *map = &single.maps[0].map;
        for (int i = 0; i < 4; i++) want[i] *= oxp_tensor_get(map, i) / oxp_tensor_get(map, 3);
    }
    assert_true(want[2] > 0.1 && want[2] < 0.9);
    test_close_to(&e.maps[0].map, want, 4, 1e-6, "refine-cam");
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle_plain),
        cmocka_unit_test(oracle_fused),
        cmocka_unit_test(layers_are_joined),
        cmocka_unit_test(refine_multiplies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
