/* test_paths.c - noise, paths, layers and controls: numbers from the definitions and from the
 * references' own tests (docs/methods/paths.md says which).
 *
 * Both executors: the plain one in double to 1e-9, the fused one to 1e-5 of the maximum. */
#include "net.h"

#include <math.h>
#include <string.h>

#define TOY "tests/data/toy/"

typedef struct path_case {
    const char *name, *model;
    test_ask ask;
    size_t n_in;
    double in[2][16]; /* shape of the model's inputs, one item */
    int64_t dims[2][4];
    size_t n;
    double want[2][16]; /* of each map */
    double tolerance;   /* 0: 1e-9 and 1e-5 */
} path_case;

#define TABLE3   \
    {            \
        {        \
            1, 3 \
        }        \
    }
#define SCALARS  \
    {            \
        {1, 1},  \
        {        \
            1, 1 \
        }        \
    }
#define LETTERS        \
    {                  \
        {              \
            1, 1, 4, 4 \
        }              \
    }
#define LADDER                                                   \
    {                                                            \
        {                                                        \
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 \
        }                                                        \
    }

/* multi_layer: linear0 = x -> linear1 = sum + (-10, 1, 1, 1) -> relu -> linear2 = sum + (-1, 1).
 * oracle_conv: x -> Conv(1->2, 3x3, ones, bias -50, -75) -> ReLU -> Linear(8->4) -> ReLU. */
static const path_case cases[] = {
    /* vanilla gradient of the oracle is constant around x: squares of it, no variance */
    {"squared, no noise",
     "oracle_conv",
     {.method = "smoothgrad-squared",
      .params = {"level=0", "samples=3", "method=input-x-gradient"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{0, 1, 4, 9, 0, 25, 36, 49, 0, 81, 100, 121, 0, 0, 0, 0}},
     0},
    {"no noise, no variance",
     "oracle_conv",
     {.method = "vargrad", .params = {"level=0", "samples=3"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{0}},
     0},
    {"constant",
     "multi_layer",
     {.method = "constant"},
     1,
     {{0, 100, 0}},
     TABLE3,
     3,
     {{1, 1, 1}},
     0},
    /* x = 4 i + j: interior 8 along j and 32 along i, halves at the border */
    {"sobel",
     "oracle_conv",
     {.method = "sobel"},
     1,
     LADDER,
     LETTERS,
     16,
     {{16.492422502470642, 17.88854381999832, 17.88854381999832, 16.492422502470642,
       32.2490309931942, 32.984845004941285, 32.984845004941285, 32.2490309931942, 32.2490309931942,
       32.984845004941285, 32.984845004941285, 32.2490309931942, 16.492422502470642,
       17.88854381999832, 17.88854381999832, 16.492422502470642}},
     0},
    /* in the linear region: (x - x0) . 4 */
    {"ig from the minimum",
     "multi_layer",
     {.method = "integrated-gradients", .params = {"baseline=min"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{0, 120, 40}},
     0},
    {"ig from the maximum",
     "multi_layer",
     {.method = "integrated-gradients", .params = {"baseline=max"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{-120, 0, -80}},
     0},
    {"ig from the mean",
     "multi_layer",
     {.method = "integrated-gradients", .params = {"baseline=mean"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{-160.0 / 3, 200.0 / 3, -40.0 / 3}},
     0},
    {"ig from 10",
     "multi_layer",
     {.method = "integrated-gradients", .params = {"baseline=10"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{40, 160, 80}},
     0},
    {"ig at an inner tensor",
     "multi_layer",
     {.method = "integrated-gradients", .wrt = {"linear1"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     4,
     {{90, 101, 101, 101}},
     0},
    /* captum's GuidedGradCam test: guided backprop x Grad-CAM, repeated */
    {"guided grad-cam",
     "oracle_conv",
     {.method = "guided-grad-cam", .params = {"upsample=nearest"}, .layers = {"relu1"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{0, 0, 4, 4, 0, 0, 12, 8, 28, 84, 97.5, 65, 28, 56, 65, 32.5}},
     0},
    {"guided grad-cam, linear",
     "oracle_conv",
     {.method = "guided-grad-cam", .layers = {"relu1"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{0, 1, 3, 4, 7, 24.09375, 30.28125, 22.25, 21, 66.28125, 72.84375, 50.75, 28, 58.25, 62.75,
       32.5}},
     0},
    /* one baseline, linear region: every draw gives 4 (x - x0) */
    {"expected gradients from 10",
     "multi_layer",
     {.method = "expected-gradients", .params = {"baseline=10", "samples=3"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{40, 160, 80}},
     0},
    {"gradient shap from 10",
     "multi_layer",
     {.method = "gradient-shap", .params = {"baseline=10", "samples=3"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{40, 160, 80}},
     0},
    /* baselines U[20, 50): 4 (x - 35) on average, three standard errors of 4000 draws */
    {"expected gradients from noise",
     "multi_layer",
     {.method = "expected-gradients", .params = {"samples=4000"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{-60, 60, -20}},
     0.028},
    {"gradient shap with noise",
     "multi_layer",
     {.method = "gradient-shap", .params = {"baseline=30", "stdev=1", "samples=4000"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{-40, 80, 0}},
     0.0025},
    /* captum's LayerConductance and InternalInfluence tests at (0, 100, 0): the kink of the first
     * unit is at a = 0.1. Five cells have it in the middle of the first, fifty at a border. */
    {"activation",
     "multi_layer",
     {.method = "activation", .layers = {"linear1"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     4,
     {{90, 101, 101, 101}},
     0},
    {"gradient x activation",
     "multi_layer",
     {.method = "gradient-x-activation", .layers = {"linear0"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     3,
     {{0, 400, 0}},
     0},
    {"conductance at linear0",
     "multi_layer",
     {.method = "conductance", .params = {"steps=5"}, .layers = {"linear0"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     3,
     {{0, 390, 0}},
     0},
    {"conductance at linear0, right",
     "multi_layer",
     {.method = "conductance", .params = {"rule=right"}, .layers = {"linear0"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     3,
     {{0, 390, 0}},
     0},
    {"conductance at linear1",
     "multi_layer",
     {.method = "conductance", .params = {"steps=5"}, .layers = {"linear1"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     4,
     {{90, 100, 100, 100}},
     0},
    {"conductance at relu",
     "multi_layer",
     {.method = "conductance", .layers = {"relu"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     4,
     {{90, 100, 100, 100}},
     0},
    {"conductance at linear2",
     "multi_layer",
     {.method = "conductance", .layers = {"linear2"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     2,
     {{390, 0}},
     0},
    {"internal influence at linear0",
     "multi_layer",
     {.method = "internal-influence", .params = {"rule=right"}, .layers = {"linear0"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     3,
     {{3.9, 3.9, 3.9}},
     0},
    {"internal influence at linear1",
     "multi_layer",
     {.method = "internal-influence", .params = {"rule=right"}, .layers = {"linear1"}},
     1,
     {{0, 100, 0}},
     TABLE3,
     4,
     {{0.9, 1, 1, 1}},
     0},
    /* PAIR's code at the same settings: a linear function, two curved ones, the oracle */
    {"guided ig, linear",
     "lrp_skip",
     {.method = "guided-ig",
      .target = 1,
      .params = {"baseline=-1,-3", "steps=10", "fraction=0.1", "max-dist=0.5"}},
     1,
     {{2, 3}},
     {{1, 2}},
     2,
     {{15, 36}},
     0},
    {"guided ig, own way",
     "square_of_sum",
     {.method = "guided-ig", .params = {"steps=20", "max-dist=0.1"}},
     1,
     {{3, 3}},
     {{1, 2}},
     2,
     {{57.24, 19.62}},
     0},
    {"guided ig, straight",
     "square_of_sum",
     {.method = "guided-ig", .params = {"steps=1000", "max-dist=0"}},
     1,
     {{3, 3}},
     {{1, 2}},
     2,
     {{53.946, 26.973}},
     0},
    {"guided ig, all at once",
     "square_of_sum",
     {.method = "guided-ig", .params = {"steps=1000", "fraction=1"}},
     1,
     {{3, 3}},
     {{1, 2}},
     2,
     {{53.946, 26.973}},
     0},
    {"guided ig, separable",
     "sum_of_squares",
     {.method = "guided-ig", .params = {"steps=1000"}},
     1,
     {{3, 3}},
     {{1, 2}},
     2,
     {{17.98056, 8.99028}},
     0},
    {"guided ig, oracle",
     "oracle_conv",
     {.method = "guided-ig", .params = {"steps=20", "max-dist=0.1"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{0, 0, 0, 0, 1, 3.42928905364142, 4.115146864369704, 2.733285622657461, 2, 6.172720296554554,
       6.858578107282839, 4.295163121318868, 3, 7.583333333333332, 8.166666666666668,
       5.857040619980273}},
     0},
    /* the definition with scipy.ndimage.gaussian_filter(mode='constant') */
    {"blur ig",
     "oracle_conv",
     {.method = "blur-ig", .params = {"steps=3", "max-sigma=1.5"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{0, -1.027593526833892, -0.672059100692923, 0.996405734217976, 1.130460671994982,
       0.849698005341715, 1.901452754557997, 3.674561118112196, 4.073201706799479,
       5.056717002206668, 6.108471751422861, 6.617302152916871, 9.988082632255946,
       11.417395671888286, 12.533231763149644, 2.658197291407483}},
     0},
    /* captum's FeatureAblation tests */
    {"ablation",
     "multi_layer",
     {.method = "feature-ablation"},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{80, 200, 120}},
     0},
    {"ablation near the kink",
     "multi_layer",
     {.method = "feature-ablation"},
     1,
     {{2, 10, 3}},
     TABLE3,
     3,
     {{8, 35, 12}},
     0},
    {"ablation of groups",
     "multi_layer",
     {.method = "feature-ablation", .params = {"groups=0,0,1"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{280, 280, 120}},
     0},
    {"ablation of groups to 4",
     "multi_layer",
     {.method = "feature-ablation", .params = {"groups=0,0,1", "baseline=4"}},
     1,
     {{20, 50, 30}},
     TABLE3,
     3,
     {{248, 248, 104}},
     0},
    {"ablation of one patch",
     "oracle_conv",
     {.method = "feature-ablation", .params = {"patch=4"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54}},
     0},
    {"ablation of the channel",
     "oracle_conv",
     {.method = "feature-ablation", .params = {"groups=channels"}},
     1,
     LADDER,
     LETTERS,
     16,
     {{54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54, 54}},
     0},
    /* p1 - p0 = tanh((x2 - x1) / 2): tanh 0.5 - tanh 1.5, tanh 0.5 + tanh 1 */
    {"contrastive erasure",
     "lrp_skip",
     {.method = "contrastive-erasure", .target = 1, .contrast = true, .contrast_class = 0},
     1,
     {{2, 3}},
     {{1, 2}},
     2,
     {{-0.44303109638485666, 1.2237113132157746}},
     0},
};

static void run_case(const path_case *c, bool fused)
{
    test_net *t = test_toy_open(c->model);
    oxp_tensor in[2];
    for (size_t i = 0; i < c->n_in; i++) in[i] = test_numbers(t, c->dims[i], 4, c->in[i]);
    test_expect(t, c->name, c->ask, fused, in, c->n_in, c->want, OXP_COUNT(c->want), c->n,
                c->tolerance);
    test_net_close(t);
}

static void numbers_plain(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < OXP_COUNT(cases); i++) run_case(&cases[i], false);
}

static void numbers_fused(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < OXP_COUNT(cases); i++) run_case(&cases[i], true);
}

/* The three statistics belong to the same samples: mean of squares = variance + squared mean. */
static void statistics_of_noise_agree(void **state)
{
    OXP_UNUSED(state);
    static const char *const methods[] = {"smoothgrad", "smoothgrad-squared", "vargrad"};
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    oxp_explanation e[3];
    for (int k = 0; k < 3; k++)
        e[k] = test_explain(
            t, &(test_ask){.method = methods[k], .params = {"samples=11", "seed=3"}, .target = 1},
            &x, 1);
    double most = 0.0;
    for (int64_t i = 0; i < oxp_shape_elements(&e[0].maps[0].raw.shape); i++) {
        const double mean = oxp_tensor_get(&e[0].maps[0].raw, i),
                     square = oxp_tensor_get(&e[1].maps[0].raw, i),
                     variance = oxp_tensor_get(&e[2].maps[0].raw, i);
        assert_true(fabs(square - variance - mean * mean) < 1e-12 * (1.0 + square));
        most = fmax(most, variance);
    }
    assert_true(most > 1e-9);
    assert_false(e[1].maps[0].is_signed || e[2].maps[0].is_signed);
    test_net_close(t);
}

/* Uniform noise: another seed gives other numbers, the same seed the same, whatever the batch. */
static void random_maps_have_a_seed(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    test_ask ask = {.method = "random", .params = {"seed=1"}, .target = 1};
    const oxp_explanation a = test_explain(t, &ask, &x, 1), b = test_explain(t, &ask, &x, 1);
    ask.params[0] = "seed=2";
    const oxp_explanation c = test_explain(t, &ask, &x, 1);
    const size_t bytes = oxp_tensor_bytes(&a.maps[0].raw);
    assert_memory_equal(a.maps[0].raw.data, b.maps[0].raw.data, bytes);
    assert_memory_not_equal(a.maps[0].raw.data, c.maps[0].raw.data, bytes);
    const int64_t n = oxp_shape_elements(&a.maps[0].raw.shape);
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double v = oxp_tensor_get(&a.maps[0].raw, i);
        assert_true(v >= 0.0 && v < 1.0);
        sum += v / (double)n;
    }
    assert_true(fabs(sum - 0.5) < 0.05);
    test_net_close(t);
}

/* Every kind of baseline adds up to the change of the score; a path from x to itself is nothing. */
static void baselines_add_up(void **state)
{
    OXP_UNUSED(state);
    static const char *const kinds[] = {"baseline=zero", "baseline=min",   "baseline=max",
                                        "baseline=mean", "baseline=blur",  "baseline=random",
                                        "baseline=0.5",  "baseline=1,-2,3"};
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const bool three = x.shape.dim[1] == 3;
    for (size_t k = 0; k < OXP_COUNT(kinds) - (three ? 0 : 1); k++) {
        const oxp_explanation e = test_explain(t,
                                               &(test_ask){.method = "integrated-gradients",
                                                           .params = {kinds[k], "steps=300"},
                                                           .target = 1},
                                               &x, 1);
        if (!(e.items[0].gap < 5e-3)) fail_msg("%s misses by %g", kinds[k], e.items[0].gap);
    }
    const oxp_explanation still = test_explain(t,
                                               &(test_ask){.method = "integrated-gradients",
                                                           .params = {"baseline=blur", "sigma=0"},
                                                           .target = 1},
                                               &x, 1);
    for (int64_t i = 0; i < oxp_shape_elements(&still.maps[0].raw.shape); i++)
        assert_true(fabs(oxp_tensor_get(&still.maps[0].raw, i)) <= 0.0);
    test_explain_fails(t,
                       &(test_ask){.method = "integrated-gradients", .params = {"baseline=grey"}},
                       &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "found 'grey'"));
    test_explain_fails(
        t, &(test_ask){.method = "integrated-gradients", .params = {"baseline=1,2,3,4,5,6,7"}}, &x,
        1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "one per channel"));
    test_net_close(t);
}

/* Two items together give what each gives alone (the first one also where numbers are drawn per
 * item), and the maps of layers have the input's resolution. */
static void items_stay_apart(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        test_ask ask;
        bool drawn;
    } asks[] = {
        {{.method = "guided-grad-cam", .layers = {"relu2"}, .target = 1}, false},
        {{.method = "activation", .layers = {"relu2"}, .target = 1}, false},
        {{.method = "gradient-x-activation", .layers = {"relu2"}, .target = 1}, false},
        {{.method = "internal-influence", .layers = {"relu2"}, .target = 1}, false},
        {{.method = "conductance", .layers = {"relu2"}, .target = 1}, false},
        {{.method = "guided-ig", .params = {"steps=20"}, .target = 1}, false},
        {{.method = "blur-ig", .params = {"steps=10", "max-sigma=5"}, .target = 1}, false},
        {{.method = "feature-ablation", .target = 1}, false},
        {{.method = "contrastive-erasure", .params = {"patch=4"}, .target = 1}, false},
        {{.method = "sobel", .target = 1}, false},
        {{.method = "random", .target = 1}, true},
        {{.method = "vargrad", .params = {"samples=11"}, .target = 1}, true},
        {{.method = "expected-gradients", .params = {"samples=11"}, .target = 1}, true},
        {{.method = "gradient-shap", .params = {"samples=11", "stdev=0.1"}, .target = 1}, true},
    };
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    assert_int_equal(x.shape.dim[0], 2);
    for (size_t k = 0; k < OXP_COUNT(asks); k++) {
        const oxp_explanation both = test_explain(t, &asks[k].ask, &x, 1);
        for (int64_t i = 0; i < (asks[k].drawn ? 1 : 2); i++) {
            oxp_tensor one = x, part = both.maps[0].raw;
            one.shape.dim[0] = part.shape.dim[0] = 1;
            one.data = (const char *)x.data + (size_t)i * oxp_tensor_bytes(&one);
            part.data = (const char *)part.data + (size_t)i * oxp_tensor_bytes(&part);
            const oxp_explanation alone = test_explain(t, &asks[k].ask, &one, 1);
            test_close(&part, &alone.maps[0].raw, 1e-9, asks[k].ask.method);
            assert_int_equal(alone.maps[0].map.shape.rank, 3);
            assert_int_equal(alone.maps[0].map.shape.dim[1], x.shape.dim[2]);
            assert_int_equal(alone.maps[0].map.shape.dim[2], x.shape.dim[3]);
        }
    }
    test_net_close(t);
}

/* All paths pass relu3: conductances there add up. */
static void conductance_adds_up(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const test_ask ask = {
        .method = "conductance", .params = {"steps=400"}, .layers = {"relu3"}, .target = 1};
    const oxp_explanation e = test_explain(t, &ask, &x, 1);
    for (size_t i = 0; i < e.n_items; i++)
        if (!(e.items[i].gap < 1e-3)) fail_msg("misses by %g", e.items[i].gap);
    test_net_close(t);
}

/* Leads of the tokens 1.5, 1, -0.5 with their places (0.5 each), p1 - p0 = tanh(lead / 2). Masked
 * tokens lose both; replaced ones keep their place. */
static void tokens_are_erased_by_the_mask(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "masked_tokens.onnx");
    const oxp_tensor x[2] = {test_npy(t, TOY "masked_tokens.io/input__ids.npy"),
                             test_npy(t, TOY "masked_tokens.io/input__attention_mask.npy")};
    for (int k = 0; k < 4; k++) {
        const bool masked = k < 2;
        const double full = tanh(1.0), place = masked ? 0.5 : 0.0;
        const double want[3] = {full - tanh((2.0 - 1.0 - place) / 2),
                                full - tanh((2.0 - 0.5 - place) / 2),
                                full - tanh((2.0 + 1.0 - place) / 2)};
        const test_ask ask = {.method = "contrastive-erasure",
                              .params = {masked ? "remove=auto" : "remove=replace"},
                              .target = 1,
                              .contrast = true,
                              .contrast_class = 0,
                              .fused = k % 2 == 1};
        const oxp_explanation e = test_explain(t, &ask, x, 2);
        assert_int_equal(e.n_maps, 1);
        test_close_to(&e.maps[0].map, want, 3, 1e-6, ask.params[0]); /* maps are float */
        assert_string_equal(e.space, "prob");
    }
    test_explain_fails(t, &(test_ask){.method = "feature-ablation", .params = {"groups=0,1"}}, x, 2,
                       OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "lists 2 labels"));
    test_net_close(t);
}

/* XRAI moves integrated gradients about but keeps their sum; a region's pixels share one value. */
static void regions_keep_the_sum(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const char *const baselines[2] = {"baseline=min", "baseline=max"};
    oxp_explanation e[2];
    for (int k = 0; k < 2; k++)
        e[k] = test_explain(t,
                            &(test_ask){.method = "integrated-gradients",
                                        .params = {baselines[k], "steps=100"},
                                        .target = 1},
                            &x, 1);
    const int64_t channels = x.shape.dim[1], pixels = x.shape.dim[2] * x.shape.dim[3];
    for (int fused = 0; fused < 2; fused++) {
        const oxp_explanation regions =
            test_explain(t,
                         &(test_ask){.method = "xrai",
                                     .params = {"min-diff=10", "dilation=1"},
                                     .target = 1,
                                     .fused = fused == 1},
                         &x, 1);
        for (int64_t item = 0; item < x.shape.dim[0]; item++) {
            double want = 0.0, got = 0.0, last = 0.0;
            int64_t values = 0;
            for (int64_t p = 0; p < pixels; p++) {
                double most = -(double)INFINITY;
                for (int64_t c = 0; c < channels; c++) {
                    const int64_t at = (item * channels + c) * pixels + p;
                    most = fmax(most, 0.5 * (oxp_tensor_get(&e[0].maps[0].raw, at) +
                                             oxp_tensor_get(&e[1].maps[0].raw, at)));
                }
                want += most;
                const double v = oxp_tensor_get(&regions.maps[0].map, item * pixels + p);
                got += v;
                values += !(fabs(v - last) <= 0.0);
                last = v;
            }
            assert_true(fabs(got - want) < 1e-4 * (fabs(want) + 1e-3 * (double)pixels));
            assert_true(values > 1 && values < pixels / 2);
        }
    }
    test_net_close(t);
}

/* Two of three elements reach the end first: the quantile is there too, and the third goes on alone.
 * x . w of a linear function, whatever the path. */
static void guided_path_ends(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text("input %x:f32(1,3) \"x\"\nconst %w:f32(3,1) \"w\" = [1,2,3]\n"
                                "%out \"out\" = MatMul(%x, %w)\noutput %out\n");
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 3}, (const double[]){3, 3, 3});
    const test_ask ask = {.method = "guided-ig",
                          .params = {"steps=2", "fraction=0.5", "max-dist=1"}};
    const oxp_explanation e = test_explain(t, &ask, &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){3, 6, 9}, 3, 1e-9, "guided ig to the end");
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_plain),
        cmocka_unit_test(numbers_fused),
        cmocka_unit_test(statistics_of_noise_agree),
        cmocka_unit_test(random_maps_have_a_seed),
        cmocka_unit_test(baselines_add_up),
        cmocka_unit_test(items_stay_apart),
        cmocka_unit_test(conductance_adds_up),
        cmocka_unit_test(tokens_are_erased_by_the_mask),
        cmocka_unit_test(regions_keep_the_sum),
        cmocka_unit_test(guided_path_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
