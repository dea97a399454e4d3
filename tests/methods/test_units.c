/* test_units.c - layers and neurons: attributions to the units of a layer, attributions of one unit, and
 * baselines that are handed over or lie in the input. Numbers as in Captum's tests, or by hand.
 *
 * multi_layer: linear0 = x -> linear1 = sum + (-10, 1, 1, 1) -> relu -> linear2 = sum + (-1, 1). */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct unit_case {
    const char *name;
    test_ask ask;
    double x[3];
    size_t n;
    double want[16];
} unit_case;

#define IG(...)         .method = "integrated-gradients", .params = {"rule=middle", __VA_ARGS__}
#define AT_INPUT        "baseline-at=input"
#define NEURON(name, i) .tensor = name, .element = true, .target = i

static const unit_case cases[] = {
    /* the path runs from (-10, 1, 1, 1) to (90, 101, 101, 101): nine tenths of it count at unit 0 */
    {"layer ig", {IG(AT_INPUT), .wrt = {"linear1"}}, {0, 100, 0}, 4, {90, 100, 100, 100}},
    {"layer ig at the rectifier",
     {IG(AT_INPUT), .wrt = {"relu"}},
     {0, 100, 0},
     4,
     {90, 100, 100, 100}},
    {"layer ig from the tensor's zero",
     {IG("baseline-at=tensor"), .wrt = {"linear1"}},
     {0, 100, 0},
     4,
     {90, 101, 101, 101}},
    {"layer ig from 10",
     {IG(AT_INPUT, "baseline=10"), .wrt = {"linear1"}},
     {20, 50, 30},
     4,
     {70, 70, 70, 70}},
    {"layer deeplift",
     {.method = "deeplift", .params = {AT_INPUT}, .wrt = {"linear1"}},
     {0, 100, 0},
     4,
     {90, 100, 100, 100}},
    {"layer deeplift, not multiplied",
     {.method = "deeplift", .params = {AT_INPUT, "multiply=false"}, .wrt = {"linear1"}},
     {0, 100, 0},
     4,
     {0.9, 1, 1, 1}},
    {"layer deeplift at the rectifier",
     {.method = "deeplift", .params = {AT_INPUT}, .wrt = {"relu"}},
     {0, 100, 0},
     4,
     {90, 100, 100, 100}},
    {"layer deeplift-shap",
     {.method = "deeplift-shap", .params = {AT_INPUT, "baselines=10,4"}, .wrt = {"linear1"}},
     {20, 50, 30},
     4,
     {79, 79, 79, 79}},
    {"layer gradient-shap",
     {.method = "gradient-shap",
      .params = {AT_INPUT, "baseline=10", "samples=3"},
      .wrt = {"linear1"}},
     {20, 50, 30},
     4,
     {70, 70, 70, 70}},
    {"layer ablation",
     {.method = "feature-ablation", .wrt = {"linear0"}, .params = {"groups=0,0,1"}},
     {20, 50, 30},
     3,
     {280, 280, 120}},
    {"layer ablation near the kink",
     {.method = "feature-ablation", .wrt = {"linear0"}},
     {2, 10, 3},
     3,
     {8, 35, 12}},
    {"layer ablation of units",
     {.method = "feature-ablation", .wrt = {"relu"}},
     {0, 100, 0},
     4,
     {90, 101, 101, 101}},
    /* the last bias keeps its share: 90 + 3 . 101 = 393 arrive of 392 */
    {"layer lrp",
     {.method = "lrp", .params = {"rule=zero"}, .wrt = {"relu"}},
     {0, 100, 0},
     4,
     {90, 101, 101, 101}},
    {"layer guided backprop",
     {.method = "guided-backprop", .wrt = {"linear1"}},
     {0, 100, 0},
     4,
     {1, 1, 1, 1}},
    {"layer deconvnet", {.method = "deconvnet", .wrt = {"linear1"}}, {0, 1, 0}, 4, {1, 1, 1, 1}},
    {"layer guided backprop, off",
     {.method = "guided-backprop", .wrt = {"linear1"}},
     {0, 1, 0},
     4,
     {0, 1, 1, 1}},
    /* one hidden unit as the target */
    {"neuron gradient", {.method = "saliency", NEURON("relu", 0)}, {0, 100, 0}, 3, {1, 1, 1}},
    {"neuron gradient, off", {.method = "saliency", NEURON("relu", 0)}, {0, 1, 0}, 3, {0, 0, 0}},
    {"neuron ig", {IG("baseline=zero"), NEURON("relu", 0)}, {0, 100, 0}, 3, {0, 90, 0}},
    {"neuron ig before the rectifier",
     {IG("baseline=zero"), NEURON("linear1", 0)},
     {0, 100, 0},
     3,
     {0, 100, 0}},
    {"neuron deeplift", {.method = "deeplift", NEURON("relu", 0)}, {0, 100, 0}, 3, {0, 90, 0}},
    {"neuron deeplift-shap",
     {.method = "deeplift-shap", .params = {"baselines=10,4"}, NEURON("relu", 0)},
     {20, 50, 30},
     3,
     {13, 43, 23}},
    {"neuron gradient-shap",
     {.method = "gradient-shap", .params = {"baseline=10", "samples=3"}, NEURON("relu", 0)},
     {20, 50, 30},
     3,
     {10, 40, 20}},
    {"neuron guided backprop",
     {.method = "guided-backprop", NEURON("linear2", 0)},
     {0, 1, 0},
     3,
     {3, 3, 3}},
    {"neuron deconvnet", {.method = "deconvnet", NEURON("linear2", 0)}, {0, 1, 0}, 3, {4, 4, 4}},
    {"neuron ablation",
     {.method = "feature-ablation", NEURON("relu", 0)},
     {20, 50, 30},
     3,
     {20, 50, 30}},
    {"neuron ablation near the kink",
     {.method = "feature-ablation", NEURON("relu", 0)},
     {2, 10, 3},
     3,
     {2, 5, 3}},
    {"neuron lrp",
     {.method = "lrp", .params = {"rule=zero"}, NEURON("relu", 0)},
     {0, 100, 0},
     3,
     {0, 100, 0}},
    {"neuron lrp without bias",
     {.method = "lrp", .params = {"rule=zero", "bias=zero"}, NEURON("relu", 0)},
     {0, 100, 0},
     3,
     {0, 90, 0}},
    {"neuron input x gradient",
     {.method = "input-x-gradient", NEURON("relu", 3)},
     {0, 100, 0},
     3,
     {0, 100, 0}},
/* through one unit to the score */
#define THROUGH(layer, neuron)                                                                 \
    {                                                                                          \
        .method = "neuron-conductance", .params = {"rule=middle", neuron}, .layers = { layer } \
    }
    {"conductance of unit 0", THROUGH("linear1", "neuron=0"), {0, 100, 0}, 3, {0, 90, 0}},
    {"conductance of unit 1", THROUGH("linear1", "neuron=1"), {0, 100, 0}, 3, {0, 100, 0}},
    {"conductance of unit 0 at relu", THROUGH("relu", "neuron=0"), {0, 100, 0}, 3, {0, 90, 0}},
    {"conductance of an input's copy", THROUGH("linear0", "neuron=1"), {0, 100, 0}, 3, {0, 390, 0}},
    {"conductance of a copy at rest", THROUGH("linear0", "neuron=0"), {0, 100, 0}, 3, {0, 0, 0}},
    {"conductance of the score", THROUGH("linear2", "neuron=0"), {0, 100, 0}, 3, {0, 390, 0}},
    {"conductance of another score", THROUGH("linear2", "neuron=1"), {0, 100, 0}, 3, {0, 0, 0}},
    {"conductance of the layer", THROUGH("linear1", NULL), {0, 100, 0}, 3, {0, 390, 0}},
};

static void numbers(bool fused)
{
    test_net *t = test_toy_open("multi_layer");
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 3}, cases[i].x);
        test_expect(t, cases[i].name, cases[i].ask, fused, &x, 1, &cases[i].want, 1, cases[i].n,
                    0.0);
    }
    test_net_close(t);
}

static void numbers_plain(void **state)
{
    OXP_UNUSED(state);
    numbers(false);
}

static void numbers_fused(void **state)
{
    OXP_UNUSED(state);
    numbers(true);
}

/* Attributions at a layer that all paths pass add up to the change from the input's baseline; over its
 * units, conductances add up to integrated gradients. */
static void layers_add_up(void **state)
{
    OXP_UNUSED(state);
    static const char *const methods[] = {"integrated-gradients", "deeplift"};
    test_net *t = test_toy_open("cnn2d");
    const oxp_tensor x = test_toy_array(t, "cnn2d", "input__x");
    for (size_t k = 0; k < 4; k++) {
        const char *steps = k < 2 ? "steps=300" : NULL;
        const test_ask inner = {.method = methods[k / 2],
                                .params = {AT_INPUT, steps},
                                .wrt = {"relu3"},
                                .target = 1,
                                .fused = k % 2 == 1},
                       outer = {.method = methods[k / 2],
                                .params = {steps},
                                .target = 1,
                                .fused = k % 2 == 1};
        const oxp_explanation a = test_explain(t, &inner, &x, 1),
                              b = test_explain(t, &outer, &x, 1);
        for (size_t i = 0; i < a.n_items; i++) {
            double sums[2] = {0};
            for (int m = 0; m < 2; m++) {
                const oxp_tensor *raw = m ? &b.maps[0].raw : &a.maps[0].raw;
                const int64_t n = oxp_shape_elements(&raw->shape) / raw->shape.dim[0];
                for (int64_t j = 0; j < n; j++) sums[m] += oxp_tensor_get(raw, (int64_t)i * n + j);
            }
            if (!(a.items[i].gap < 5e-3) || !(fabs(sums[0] - sums[1]) < 1e-2 * fabs(sums[1])))
                fail_msg("%s: %g at the layer (gap %g), %g at the input", methods[k / 2], sums[0],
                         a.items[i].gap, sums[1]);
        }
    }
    const oxp_explanation units =
        test_explain(t, &(test_ask){.method = "activation", .layers = {"conv1"}}, &x, 1);
    const int64_t channels = units.maps[0].raw.shape.dim[1];
    double *sum = NULL;
    int64_t n = 0;
    for (int64_t unit = 0; unit < channels; unit++) {
        char neuron[32];
        snprintf(neuron, sizeof neuron, "neuron=%lld", (long long)unit);
        const test_ask ask = {
            .method = "neuron-conductance", .params = {neuron}, .layers = {"conv1"}, .target = 1};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        assert_true(isnan(e.items[0].gap));
        n = oxp_shape_elements(&e.maps[0].raw.shape);
        if (!sum) sum = OXP_NEW(t->arena, double, n);
        for (int64_t i = 0; i < n; i++) sum[i] += oxp_tensor_get(&e.maps[0].raw, i);
    }
    const oxp_explanation whole =
        test_explain(t, &(test_ask){.method = "integrated-gradients", .target = 1}, &x, 1);
    const oxp_explanation layer = test_explain(
        t, &(test_ask){.method = "neuron-conductance", .layers = {"conv1"}, .target = 1}, &x, 1);
    test_close(&layer.maps[0].raw, &whole.maps[0].raw, 1e-9, "all units at once");
    test_close_to(&whole.maps[0].raw, sum, (size_t)n, 1e-9, "channels of conv1");
    test_explain_fails(
        t,
        &(test_ask){.method = "neuron-conductance", .layers = {"conv1"}, .params = {"neuron=99"}},
        &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "indices into an item"));
    test_net_close(t);
}

/* Token 0 stands for no token: the path starts at its embedding. */
static void tokens_start_at_a_token(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("masked_tokens");
    const oxp_tensor x[2] = {test_toy_array(t, "masked_tokens", "input__ids"),
                             test_toy_array(t, "masked_tokens", "input__attention_mask")};
    const test_ask ask = {.method = "integrated-gradients", .params = {AT_INPUT}, .target = 1};
    oxp_explanation e = test_explain(t, &ask, x, 2);
    assert_true(e.items[0].gap < 1e-9);
    /* the model is linear in the embedding: w (table[id] - table[0]) per token */
    const oxp_explanation zero =
        test_explain(t, &(test_ask){.method = "integrated-gradients", .target = 1}, x, 2);
    double first = oxp_tensor_get(&zero.maps[0].map, 0) - oxp_tensor_get(&e.maps[0].map, 0);
    for (int64_t i = 1; i < oxp_shape_elements(&e.maps[0].map.shape); i++)
        assert_true(fabs(oxp_tensor_get(&zero.maps[0].map, i) - oxp_tensor_get(&e.maps[0].map, i) -
                         first) < 1e-6); /* the same for every token: w table[0] */
    test_explain_fails(t,
                       &(test_ask){.method = "integrated-gradients",
                                   .params = {AT_INPUT, "baseline=0.5"},
                                   .target = 1},
                       x, 2, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "whole numbers"));
    test_explain_fails(t, &(test_ask){.method = "deeplift", .params = {AT_INPUT}, .target = 1}, x,
                       2, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "no float input"));
    test_net_close(t);
}

/* Ids do not vary along a line; what they look up does, for methods at layers as for those at the input. Rows of the
 * table are (1,2), (3,-1), (0.5,4); the units are 2 a + b and a - b of the sum of both tokens, the score u0 u1. */
static void lines_run_through_embeddings(void **state)
{
    OXP_UNUSED(state);
    static const char text[] = "input %ids:i64(1,2) \"ids\"\n"
                               "const %table:f32(3,2) \"table\" = [1,2,3,-1,0.5,4]\n"
                               "const %w:f32(2,2) \"w\" = [2,1,1,-1]\n"
                               "%word \"word\" = Gather(%table, %ids) {axis=0}\n"
                               "%sum = ReduceSum(%word) {axes=[1] keepdims=0}\n"
                               "%units \"units\" = MatMul(%sum, %w)\n"
                               "%a = Slice(%units) {starts=[0] ends=[1] axes=[1]}\n"
                               "%b = Slice(%units) {starts=[1] ends=[2] axes=[1]}\n"
                               "%y \"y\" = Mul(%a, %b)\noutput %y\n";
    /* tokens 1 and 2: the sum is (3.5,3), the units 10 and 0.5, the score 5; from zero each unit has half of it */
    static const struct {
        const char *method, *baseline;
        double want[2];
    } asked[] = {
        {"conductance", "baseline=0", {2.5, 2.5}},
        /* from (1,1) twice: units 6 and 0, score 0; unit 0 gets 4 . 0.25, unit 1 0.5 . 8 */
        {"conductance", "baseline=1", {1, 4}},
        {"internal-influence", "baseline=0", {0.25, 5}},
        {"internal-influence", "baseline=1", {0.25, 8}}};
    const double given[] = {1, 2};
    for (size_t k = 0; k < 2 * OXP_COUNT(asked); k++) {
        test_net *t = test_net_text(text);
        const oxp_tensor ids = test_array(t, 2, (const int64_t[]){1, 2}, given);
        const test_ask ask = {.method = asked[k / 2].method,
                              .params = {asked[k / 2].baseline},
                              .layers = {"units"},
                              .fused = k % 2 == 1};
        const oxp_explanation e = test_explain(t, &ask, &ids, 1);
        test_close_to(&e.maps[0].raw, asked[k / 2].want, 2, k % 2 ? 1e-6 : 1e-12, ask.method);
        test_net_close(t);
    }
}

/* Arrays in place of words: one row of the input or of an inner tensor. */
static void arrays_are_baselines(void **state)
{
    OXP_UNUSED(state);
    static const char *const methods[] = {"integrated-gradients", "deeplift", "feature-ablation",
                                          "gradient-shap", "expected-gradients"};
    test_net *t = test_toy_open("multi_layer");
    const int64_t one[2] = {1, 3};
    const oxp_tensor x = test_array(t, 2, one, (const double[]){20, 50, 30});
    const char *input = oxp_value_of(t->net.graph, t->net.graph->inputs[0])->name;
    const oxp_reference ten = {input, test_array(t, 2, one, (const double[]){10, 10, 10})};
    const oxp_reference inner = {
        "linear1", test_array(t, 1, (const int64_t[]){4}, (const double[]){20, 1, 1, 1})};
    for (size_t k = 0; k < 2 * OXP_COUNT(methods); k++) {
        const test_ask ask = {.method = methods[k / 2],
                              .params = {"baseline=mine"},
                              .references = &ten,
                              .n_references = 1,
                              .fused = k % 2 == 1};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, (const double[]){40, 160, 80}, 3, ask.fused ? 1e-5 : 1e-9,
                      ask.method);
    }
    test_ask ask = {.method = "integrated-gradients",
                    .params = {"baseline=mine"},
                    .references = &inner,
                    .n_references = 1,
                    .wrt = {"linear1"}};
    const oxp_explanation e = test_explain(t, &ask, &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){70, 100, 100, 100}, 4, 1e-9, "inner tensor");
    ask.wrt[0] = NULL;
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "no baseline was handed over for"));
    ask.n_references = 0;
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    ask = (test_ask){.method = "expected-gradients",
                     .params = {"baseline=zero,mine"},
                     .references = &ten,
                     .n_references = 1};
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "'zero' cannot stand beside arrays"));
    test_net_close(t);
}

/* Several rows, 0 and 4: to average over, to draw from, or too many. */
static void several_arrays(void **state)
{
    OXP_UNUSED(state);
    static const double mean[3] = {(78 + 64) / 2.0, (195 + 184) / 2.0, (117 + 104) / 2.0};
    static const double with_ten[3] = {(78 + 64 + 40) / 3.0, (195 + 184 + 160) / 3.0,
                                       (117 + 104 + 80) / 3.0};
    test_net *t = test_toy_open("multi_layer");
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 3}, (const double[]){20, 50, 30});
    const char *input = oxp_value_of(t->net.graph, t->net.graph->inputs[0])->name;
    const oxp_reference pair = {input, test_array(t, 2, (const int64_t[]){2, 3},
                                                  (const double[]){0, 0, 0, 4, 4, 4})},
                        odd = {input,
                               test_array(t, 1, (const int64_t[]){2}, (const double[]){1, 2})};
    for (int fused = 0; fused < 2; fused++) {
        const double tolerance = fused ? 1e-5 : 1e-9;
        test_ask ask = {.method = "deeplift-shap",
                        .params = {"baselines=mine"},
                        .references = &pair,
                        .n_references = 1,
                        .fused = fused == 1};
        oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, mean, 3, tolerance, "a word for two rows");
        ask.params[0] = "baselines=a.npy,b.npy";
        e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, mean, 3, tolerance, "two words for two rows");
        ask.params[0] = "baselines=a.npy,10,b.npy";
        e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, with_ten, 3, tolerance, "a number between them");
        /* half of the draws start at each */
        ask.method = "expected-gradients";
        ask.params[0] = "baseline=mine";
        ask.params[1] = "samples=4000";
        e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, mean, 3, 0.02, "drawn from two");
    }
    test_ask ask = {.method = "integrated-gradients",
                    .params = {"baseline=mine"},
                    .references = &pair,
                    .n_references = 1};
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "takes one baseline, found 2"));
    ask.method = "deeplift";
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    ask.references = &odd;
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "has shape (2), expected (3)"));
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_plain),
        cmocka_unit_test(numbers_fused),
        cmocka_unit_test(layers_add_up),
        cmocka_unit_test(tokens_start_at_a_token),
        cmocka_unit_test(arrays_are_baselines),
        cmocka_unit_test(several_arrays),
        cmocka_unit_test(lines_run_through_embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
