/* test_oracle.c - the toy nets of the methods' definitions, with their published and derived
 * numbers.
 *
 * Both executors: the plain one in double to 1e-9, the fused one to 1e-5 of the maximum. */
#include "net.h"

#include <string.h>

typedef struct oracle_case {
    const char *name;
    test_ask ask;
    bool map; /* compare the map instead of the raw attribution */
    size_t n;
    double want[32];
} oracle_case;

/* x -> Conv(1->2, 3x3, ones, bias -50, -75) -> ReLU -> Linear(8->4, +1 x5, -1 x3) -> ReLU,
 * x[i][j] = 4i + j, class 0 (logit 54). */
static const oracle_case cases[] = {
    {"saliency",
     {.method = "saliency"},
     false,
     16,
     {0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0}},
    {"guided backprop",
     {.method = "guided-backprop"},
     false,
     16,
     {0, 1, 1, 1, 1, 3, 3, 2, 1, 3, 3, 2, 1, 2, 2, 1}},
    {"deconvnet",
     {.method = "deconvnet"},
     false,
     16,
     {2, 3, 3, 1, 3, 5, 5, 2, 3, 5, 5, 2, 1, 2, 2, 1}},
    {"input x gradient",
     {.method = "input-x-gradient"},
     false,
     16,
     {0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 0, 0, 0}},
    {"lrp",
     {.method = "lrp", .params = {"epsilon=1e-12"}},
     false,
     16,
     {0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 0, 0, 0}},
    {"grad-cam at conv1",
     {.method = "grad-cam", .layers = {"conv1"}},
     false,
     4,
     {11.25, 13.5, 20.25, 22.5}},
    {"grad-cam at relu1", {.method = "grad-cam", .layers = {"relu1"}}, false, 4, {0, 4, 28, 32.5}},
    {"grad-cam at relu1, enlarged",
     {.method = "grad-cam", .layers = {"relu1"}},
     true,
     16,
     {0, 1, 3, 4, 7, 8.03125, 10.09375, 11.125, 21, 22.09375, 24.28125, 25.375, 28, 29.125, 31.375,
      32.5}},
    {"grad-cam++ paper",
     {.method = "grad-cam++", .layers = {"relu1"}},
     false,
     4,
     {0, 16.0 / 77, 124.0 / 77 + 6.0 / 23, 160.0 / 77 + 15.0 / 23}},
    /* one channel: the mean of the gradient, 9/16, times the input */
    {"grad-cam at the input",
     {.method = "grad-cam", .layers = {"x"}},
     false,
     16,
     {0, 0.5625, 1.125, 1.6875, 2.25, 2.8125, 3.375, 3.9375, 4.5, 5.0625, 5.625, 6.1875, 6.75,
      7.3125, 7.875, 8.4375}},
    {"grad-cam++ pgc",
     {.method = "grad-cam++", .layers = {"relu1"}, .params = {"variant=pgc"}},
     false,
     4,
     {0, 16 / (77 + 1e-6), 124 / (77 + 1e-6) + 6 / (23 + 1e-6),
      160 / (77 + 1e-6) + 15 / (23 + 1e-6)}},
    /* means 75/4 and 21/4 in place of sums, a quarter of the sum: 4/83 and 1/29 */
    {"grad-cam++ xplique",
     {.method = "grad-cam++", .layers = {"relu1"}, .params = {"variant=xplique"}},
     false,
     4,
     {0, 16.0 / 83, 124.0 / 83 + 6.0 / 29, 160.0 / 83 + 15.0 / 29}},
    {"occlusion of everything",
     {.method = "occlusion", .params = {"window=4", "stride=4"}},
     false,
     16,
     {54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54}},
};

static void run_cases(const char *model, const char *input, const oracle_case *list, size_t n,
                      bool fused, double tolerance)
{
    test_net *t = test_net_open(model);
    const oxp_tensor x = test_npy(t, input);
    for (size_t i = 0; i < n; i++) {
        test_ask ask = list[i].ask;
        ask.fused = fused;
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        assert_int_equal(e.n_maps, 1);
        if (strcmp(ask.method, "lrp") == 0) assert_true(e.items[0].gap < tolerance);
        test_close_to(list[i].map ? &e.maps[0].map : &e.maps[0].raw, list[i].want, list[i].n,
                      tolerance, list[i].name);
    }
    test_net_close(t);
}

static void oracle_plain(void **state)
{
    OXP_UNUSED(state);
    run_cases("tests/data/toy/oracle_conv.onnx", "tests/data/toy/oracle_conv.io/input__x.npy",
              cases, OXP_COUNT(cases), false, 1e-9);
}

static void oracle_fused(void **state)
{
    OXP_UNUSED(state);
    run_cases("tests/data/toy/oracle_conv.onnx", "tests/data/toy/oracle_conv.io/input__x.npy",
              cases, OXP_COUNT(cases), true, 1e-5);
}

/* With a second input of ones added to x (captum's tests): windows slide over one input at a
 * time. */
static void oracle_two_inputs(void **state)
{
    OXP_UNUSED(state);
    static const double whole[2] = {67, 13};
    static const double first[16] = {17, 17,   17,   17, 17, 17,   17,   17,
                                     64, 65.5, 65.5, 67, 64, 65.5, 65.5, 67};
    static const double guided[16] = {1, 2, 2, 1, 2, 4, 4, 2, 2, 4, 4, 2, 1, 2, 2, 1};
    static const double deconv[16] = {2, 3, 3, 1, 3, 5, 5, 2, 3, 5, 5, 2, 1, 2, 2, 1};
    static const double second[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0};
    static const double cam[4] = {14.5, 19, 32.5, 37};
    test_net *t = test_net_open("tests/data/toy/oracle_conv_two_inputs.onnx");
    const oxp_tensor in[2] = {test_npy(t, "tests/data/toy/oracle_conv_two_inputs.io/input__x.npy"),
                              test_npy(t, "tests/data/toy/oracle_conv_two_inputs.io/input__y.npy")};
    oxp_explanation e = test_explain(
        t, &(test_ask){.method = "occlusion", .params = {"window=4", "stride=4"}}, in, 2);
    assert_int_equal(e.n_maps, 2);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 16; i++)
            assert_true(oxp_tensor_get(&e.maps[k].raw, i) >= whole[k] &&
                        oxp_tensor_get(&e.maps[k].raw, i) <= whole[k]);
    e = test_explain(t, &(test_ask){.method = "occlusion", .params = {"window=2,3", "stride=2,1"}},
                     in, 2);
    test_close_to(&e.maps[0].raw, first, 16, 1e-9, "2x3 windows on x");
    e = test_explain(t, &(test_ask){.method = "occlusion", .params = {"window=1,2", "stride=1,2"}},
                     in, 2);
    test_close_to(&e.maps[1].raw, second, 16, 1e-9, "1x2 windows on y");
    e = test_explain(t, &(test_ask){.method = "deconvnet"}, in, 2);
    test_close_to(&e.maps[0].raw, deconv, 16, 1e-9, "deconvnet of x");
    test_close_to(&e.maps[1].raw, deconv, 16, 1e-9, "deconvnet of y");
    e = test_explain(t, &(test_ask){.method = "guided-backprop"}, in, 2);
    test_close_to(&e.maps[0].raw, guided, 16, 1e-9, "guided backprop of x");
    test_close_to(&e.maps[1].raw, guided, 16, 1e-9, "guided backprop of x2");
    e = test_explain(t, &(test_ask){.method = "grad-cam", .layers = {"conv1"}}, in, 2);
    test_close_to(&e.maps[0].raw, cam, 4, 1e-9, "grad-cam at conv1");
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle_plain),
        cmocka_unit_test(oracle_two_inputs),
        cmocka_unit_test(oracle_fused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
