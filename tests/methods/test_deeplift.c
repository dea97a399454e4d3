/* test_deeplift.c - DeepLIFT: published numbers, numbers worked out by hand for products, maxima and
 * quotients, and completeness through everything that the toys contain. */
#include "net.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOY "tests/data/toy/"

static oxp_tensor pair(test_net *t, double a, double b)
{
    return test_array(t, 2, (const int64_t[]){1, 2}, (const double[]){a, b});
}

static oxp_tensor single(test_net *t, double a)
{
    return test_array(t, 2, (const int64_t[]){1, 1}, &a);
}

static void two_inputs(const char *model, double x1, double x2, const char *param, double want1,
                       double want2)
{
    for (int fused = 0; fused < 2; fused++) {
        test_net *t = test_net_open(model);
        const oxp_tensor x[2] = {single(t, x1), single(t, x2)};
        const test_ask ask = {.method = "deeplift", .params = {param}, .fused = fused == 1};
        const oxp_explanation e = test_explain(t, &ask, x, 2);
        test_close_to(&e.maps[0].raw, &want1, 1, fused ? 1e-5 : 1e-9, model);
        test_close_to(&e.maps[1].raw, &want2, 1, fused ? 1e-5 : 1e-9, model);
        test_net_close(t);
    }
}

static void published_numbers(void **state)
{
    OXP_UNUSED(state);
    two_inputs(TOY "relu_deeplift.onnx", 1, 2, NULL, 2, 1);
    two_inputs(TOY "relu_deeplift.onnx", 1, 2, "multiply=false", 2, 0.5);
    two_inputs(TOY "basic_model2.onnx", 3, 1, NULL, 1.5, -0.5);
    test_net *t = test_net_open(TOY "multi_layer.onnx");
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 3}, (const double[]){0, 100, 0});
    const oxp_tensor y = test_array(t, 2, (const int64_t[]){1, 3}, (const double[]){20, 50, 30});
    oxp_explanation e = test_explain(t, &(test_ask){.method = "deeplift"}, &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){0, 390, 0}, 3, 1e-9, "one feature");
    assert_true(fabs(e.items[0].expected - 390.0) < 1e-9 && e.items[0].gap < 1e-9);
    e = test_explain(t, &(test_ask){.method = "deeplift"}, &y, 1);
    test_close_to(&e.maps[0].raw, (const double[]){78, 195, 117}, 3, 1e-9, "three features");
    /* the average of baselines 0 and 4: the latter has 12 - 10 = 2 at the first unit, all linear */
    e = test_explain(t, &(test_ask){.method = "deeplift-shap", .params = {"baselines=0,4"}}, &y, 1);
    test_close_to(&e.maps[0].raw,
                  (const double[]){(78 + 4.0 * 16) / 2, (195 + 4.0 * 46) / 2, (117 + 4.0 * 26) / 2},
                  3, 1e-9, "two baselines");
    assert_true(e.items[0].gap < 1e-9);
    test_explain_fails(t, &(test_ask){.method = "deeplift", .params = {"baseline=grey"}}, &y, 1,
                       OXP_EINVAL);
    test_net_close(t);
}

/* out = body(%a, %b) of the two columns of x */
static void by_hand(const char *body, double a, double b, const char *baseline, double want_a,
                    double want_b)
{
    char text[1024];
    snprintf(text, sizeof text,
             "input %%x:f32(1,2) \"x\"\n%%a = Slice(%%x) {starts=[0] ends=[1] axes=[1]}\n"
             "%%b = Slice(%%x) {starts=[1] ends=[2] axes=[1]}\n%%out \"out\" = %s\noutput %%out\n",
             body);
    for (int fused = 0; fused < 2; fused++) {
        test_net *t = test_net_text(text);
        const oxp_tensor x = pair(t, a, b);
        const test_ask ask = {.method = "deeplift", .params = {baseline}, .fused = fused == 1};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, (const double[]){want_a, want_b}, 2, fused ? 1e-5 : 1e-9,
                      body);
        assert_true(e.items[0].gap < 1e-5);
        test_net_close(t);
    }
}

static void rules_by_hand(void **state)
{
    OXP_UNUSED(state);
    by_hand("Mul(%a, %b)", 3, 4, "baseline=0", 6, 6);
    by_hand("Mul(%a, %b)", 3, 4, "baseline=1", 5, 6); /* 2 (4+1)/2, 3 (3+1)/2 */
    by_hand("Mul(%a, %a)", 3, 4, "baseline=1", 8, 0);
    by_hand("MatMul(%a, %b)", 3, 4, "baseline=1", 5, 6);
    by_hand("Max(%a, %b)", 3, 1, "baseline=2", 1, 0);
    by_hand("Max(%a, %b)", 1, -3, "baseline=2", -1, 0);
    /* from 1/1 to 3/4: a gets 2 (1/4 + 1)/2, b gets (3 + 1)/2 (1/4 - 1) */
    by_hand("Div(%a, %b)", 3, 4, "baseline=1", 1.25, -1.5);
    by_hand("Sigmoid(%a)", 0, 4, "baseline=0", 0, 0); /* no change at all: the slope is used */
}

/* min(a, b) = a - relu(a - b): rescale gives all to one, reveal-cancel half to each, as the paper's
 * example. */
static void reveal_cancel(void **state)
{
    OXP_UNUSED(state);
    static const char *const rules[] = {"rule=rescale", "rule=reveal-cancel",
                                        "rule=reveal-cancel-dense"};
    static const double want[][2] = {{0, 1}, {0.5, 0.5}, {0.5, 0.5}};
    for (int k = 0; k < 6; k++) {
        test_net *t = test_net_text("input %x:f32(1,2) \"x\"\nconst %w:f32(2,1) \"w\" = [1,-1]\n"
                                    "%a = Slice(%x) {starts=[0] ends=[1] axes=[1]}\n"
                                    "%z = MatMul(%x, %w)\n%h = Relu(%z)\n"
                                    "%out \"out\" = Sub(%a, %h)\noutput %out\n");
        const oxp_tensor x = pair(t, 3, 1);
        const test_ask ask = {.method = "deeplift", .params = {rules[k / 2]}, .fused = k % 2 == 1};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, want[k / 2], 2, k % 2 ? 1e-5 : 1e-9, rules[k / 2]);
        test_net_close(t);
    }
}

/* Attributions add up to the change of the score for every toy that DeepLIFT takes. */
static void completeness(void **state)
{
    OXP_UNUSED(state);
    static const char *const names[] = {"cnn1d",
                                        "cnn2d",
                                        "cnn3d",
                                        "composite_attention__both",
                                        "composite_layernorm__op",
                                        "composite_groupnorm__op",
                                        "composite_softmax__op",
                                        "composite_gelu__half_gate",
                                        "composite_mish__softplus",
                                        "composite_hardswish__op",
                                        "oracle_conv",
                                        "lrp_skip"};
    for (size_t k = 0; k < 2 * OXP_COUNT(names); k++) {
        const char *name = names[k / 2];
        char path[256];
        snprintf(path, sizeof path, TOY "%s.onnx", name);
        test_net *t = test_net_open(path);
        oxp_tensor x[4];
        for (size_t i = 0; i < t->net.graph->n_inputs; i++) {
            snprintf(path, sizeof path, TOY "%s.io/input__%s.npy", name,
                     oxp_value_of(t->net.graph, t->net.graph->inputs[i])->name);
            x[i] = test_npy(t, path);
        }
        const test_ask ask = {.method = "deeplift",
                              .params = {k % 2 ? "baseline=0.3" : "baseline=mean",
                                         k % 2 ? "rule=reveal-cancel" : "rule=rescale"},
                              .target = 1};
        const oxp_explanation e = test_explain(t, &ask, x, t->net.graph->n_inputs);
        for (size_t i = 0; i < e.n_items; i++)
            if (!(e.items[i].gap < 1e-9) || !(fabs(e.items[i].expected) > 1e-6))
                fail_msg("%s, %s: adds up to %.12g, expected %.12g", name, ask.params[0],
                         e.items[i].attributed, e.items[i].expected);
        test_net_close(t);
    }
}

/* Without biases a network of rectifiers is homogeneous: from zero, DeepLIFT is x . gradient. */
static void equals_input_x_gradient(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "lrp_simple.onnx");
    const oxp_tensor x = test_npy(t, TOY "lrp_simple.io/input__x.npy");
    const oxp_explanation a = test_explain(t, &(test_ask){.method = "deeplift"}, &x, 1);
    const oxp_explanation b = test_explain(t, &(test_ask){.method = "input-x-gradient"}, &x, 1);
    test_close(&a.maps[0].raw, &b.maps[0].raw, 1e-9, "homogeneous net");
    test_net_close(t);
}

/* Layers that came later: complete from a baseline; and without biases homogeneous where they are, so that
 * LRP's shares add up to the score, up to the stabiliser. */
static void layers_of_all_kinds(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *body;
        bool homogeneous;
    } nets[] = {
        {"%a = ConvTranspose(%x, %w) {strides=[2,2]}\n%b = Relu(%a)\n"
         "%c = Resize(%b) {mode=\"cubic\" sizes=[1,4,5,3]}\n",
         true},
        {"%a = ConvTranspose(%x, %w, %v) {strides=[2,2]}\n%b = LRN(%a) {size=3 alpha=0.5}\n"
         "%c = Relu(%b)\n",
         false},
        {"%k = Reshape(%x) {shape=[4,4,1,1] allowzero=1}\n%a = Conv(%x, %k)\n%c = Relu(%a)\n",
         false},
        {"%a = DepthToSpace(%x) {blocksize=2}\n%b = Pad(%a) {pads=[0,0,1,0,0,3,0,1] "
         "mode=\"wrap\"}\n"
         "%c = Relu(%b)\n",
         true},
        {"%a = GroupNormalization(%x, %v, %v) {num_groups=2}\n%c = Sigmoid(%a)\n", false},
        {"%a = MeanVarianceNormalization(%x) {axes=[2,3]}\n%c = Relu(%a)\n", false},
        {"%a = RMSNormalization(%x, %two) {axis=2}\n%c = Relu(%a)\n", false},
        {"%a = LpNormalization(%x) {axis=1}\n%c = Relu(%a)\n", false},
        {"%a = LpPool(%x) {kernel_shape=[2,2]}\n%c = Relu(%a)\n", false},
        {"%a = GridSample(%x, %grid)\n%b = Relu(%a)\n%c = CenterCropPad(%b) {shape=[1,4,2,3]}\n",
         true},
    };
    double x[16];
    for (int i = 0; i < 16; i++) x[i] = (double)((i * 7) % 11) / 4.0 - 0.9;
    for (size_t k = 0; k < 2 * OXP_COUNT(nets); k++) {
        const bool lrp = k % 2 != 0;
        char text[2048];
        if (lrp && !nets[k / 2].homogeneous) continue;
        snprintf(text, sizeof text,
                 "input %%x:f32(1,4,2,2) \"x\"\nconst %%v:f32(4) \"v\" = [0.5,-1,2,0.25]\n"
                 "const %%two:f32(2) \"two\" = [0.5,-2]\n"
                 "const %%grid:f32(1,1,3,2) \"grid\" = [0.1,-0.3,-0.8,0.6,0.9,0.2]\n"
                 "const %%w:f32(4,4,1,1) \"w\" = [1,2,-3,1,0.5,1,2,-1,2,0,1,1,-2,1,0.25,3]\n"
                 "%s%%y = ReduceSum(%%c) {axes=[2,3] keepdims=0}\noutput %%y\n",
                 nets[k / 2].body);
        test_net *t = test_net_text(text);
        const oxp_tensor in = test_array(t, 4, (const int64_t[]){1, 4, 2, 2}, x);
        const test_ask ask = {.method = lrp ? "lrp" : "deeplift",
                              .params = {lrp ? "rule=zero" : "baseline=0.3"}};
        const oxp_explanation e = test_explain(t, &ask, &in, 1);
        if (!(e.items[0].gap < (lrp ? 1e-5 : 1e-6)))
            fail_msg("%s of %s: adds up to %.12g, expected %.12g", ask.method, nets[k / 2].body,
                     e.items[0].attributed, e.items[0].expected);
        test_net_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_numbers),       cmocka_unit_test(rules_by_hand),
        cmocka_unit_test(reveal_cancel),           cmocka_unit_test(completeness),
        cmocka_unit_test(equals_input_x_gradient), cmocka_unit_test(layers_of_all_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
