/* test_cams.c - the family of class activation maps: numbers worked out by hand on the oracle net
 * (docs/methods/cam.md), and properties on networks of one, two and three axes and on tokens.
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
    {"scorecam",
     {.method = "scorecam", .layers = {"relu1"}},
     4,
     {0, 3.9999928402877716, 30.99995525179857, 39.999955251798575}},
    {"scorecam, torchcam",
     {.method = "scorecam", .layers = {"relu1"}, .params = {"variant=torchcam"}},
     4,
     {0, 3.9999969904090897, 30.99998119005681, 39.99998119005681}},
    {"scorecam, the channel that varies most",
     {.method = "scorecam", .layers = {"relu1"}, .params = {"top=1"}},
     4,
     {0, 4, 31, 40}},
    {"ss-cam without noise",
     {.method = "ss-cam", .layers = {"relu1"}, .params = {"noise=0", "samples=3"}},
     4,
     {0, 3.9999928402877716, 30.99995525179857, 39.999955251798575}},
    {"is-cam",
     {.method = "is-cam", .layers = {"relu1"}, .params = {"samples=4"}},
     4,
     {0, 3.8588543572427154, 30.11783973276697, 39.117839732766974}},
    /* without channel 0 the score is 0, without channel 1 it is 75: w = (1, -7/18) */
    {"ablationcam",
     {.method = "ablationcam", .layers = {"relu1"}},
     4,
     {0, 4, 31 - 42.0 / 18, 40 - 105.0 / 18}},
    /* above mean + std only the last position of each channel: w = (1/4, 1/4) */
    {"fem, one standard deviation",
     {.method = "fem", .layers = {"relu1"}, .params = {"k=1"}},
     4,
     {0, 1, 9.25, 13.75}},
    {"fem, two: no position", {.method = "fem", .layers = {"relu1"}}, 4, {0, 0, 0, 0}},
    /* four equal logits: the seed's sum is 1 - alpha, so 0.4 of Grad-CAM (D = 3/4 + 1e-9) */
    {"finer-cam",
     {.method = "finer-cam", .layers = {"relu1"}, .params = {"alpha=0.6"}},
     4,
     {0, 1.6 * 0.75 / (0.75 + 1e-9), 11.2 * 0.75 / (0.75 + 1e-9), 13 * 0.75 / (0.75 + 1e-9)}},
    {"shapley-cam of a piecewise linear score",
     {.method = "shapley-cam", .layers = {"relu1"}, .params = {"score=logit"}},
     4,
     {0, 4, 28, 32.5}},
    /* |x g| / 11, and both channels of |b g| scaled: [[0,1],[2,2]] enlarged */
    {"fullgrad",
     {.method = "fullgrad"},
     16,
     {0.0, 0.34090908958264465, 0.9318181786652893, 1.2727272682479338, 0.4999999991666667,
      1.14204544920489, 1.6079545385375345, 1.8863636282451792, 1.4999999975000002,
      2.380681808118802, 2.5965908979514465, 2.7499999879090913, 1.9999999966666668,
      1.9999999966666668, 1.9999999966666668, 1.9999999966666668}},
    /* without noise Grad-CAM++ */
    {"smooth-grad-cam++",
     {.method = "smooth-grad-cam++", .layers = {"relu1"}, .params = {"level=0", "samples=3"}},
     4,
     {0, 16.0 / 77, 124.0 / 77 + 6.0 / 23, 160.0 / 77 + 15.0 / 23}},
    /* w_0 = 4 / (2 + 75), w_1 = 1 / (2 - 21) */
    {"smooth-grad-cam++, torchcam",
     {.method = "smooth-grad-cam++",
      .layers = {"relu1"},
      .params = {"level=0", "samples=3", "variant=torchcam"}},
     4,
     {0, 16.0 / (77 + 1e-8), 124.0 / (77 + 1e-8) + 6.0 / (-19 + 1e-8),
      160.0 / (77 + 1e-8) + 15.0 / (-19 + 1e-8)}},
    /* the component of g A is EigenGradCAM's, of A in another basis */
    {"hirescam, eigen",
     {.method = "hirescam", .layers = {"relu1"}, .params = {"eigen=true", "relu=false"}},
     4,
     {-19.44189968839746, -15.654903706143765, 11.839154627306687, 23.257648767234535}},
    {"layercam, eigen",
     {.method = "layercam", .layers = {"relu1"}, .params = {"eigen=true"}},
     4,
     {0, 0, 12.25, 21.25}},
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

/* One, two and three axes, and tokens with a class token in front. */
static const struct {
    const char *model, *input;
    size_t axes;
    bool tokens;
} kinds[] = {
    {TOY "cnn1d.onnx", TOY "cnn1d.io/input__x.npy", 1, false},
    {TOY "cnn2d.onnx", TOY "cnn2d.io/input__x.npy", 2, false},
    {TOY "cnn3d.onnx", TOY "cnn3d.io/input__x.npy", 3, false},
    {"tests/data/samples/vit_tiny_fashion_mnist.onnx",
     "tests/data/samples/vit_tiny_fashion_mnist.io/input__image.npy", 2, true},
};

/* Of two items together: the map has the input's resolution, is that of each item alone, and both
 * executors agree. */
static void check_kind(test_net *t, const oxp_tensor *x, size_t axes, const oxp_method *m)
{
    char what[128];
    const oxp_params declared = {.method = m};
    const bool random = oxp_param_known(&declared, "seed");
    test_ask ask = {.method = m->info.name, .top = true};
    size_t n = 0;
    if (oxp_param_known(&declared, "samples")) ask.params[n++] = "samples=2";
    if (oxp_param_known(&declared, "variant"))
        ask.params[n++] = m == &oxp_method_smooth_grad_cam_pp ? "variant=torchcam" : "variant=pgc";
    if (oxp_param_known(&declared, "steps")) ask.params[n++] = "steps=2";
    if (oxp_param_known(&declared, "top")) ask.params[n++] = "top=2";
    /* several compete for what neither needs: rounding decides */
    if (oxp_param_known(&declared, "components")) ask.params[n++] = "components=1";
    const oxp_tensor two = test_items(*x, 0, 2);
    const oxp_explanation e = test_explain(t, &ask, &two, 1);
    snprintf(what, sizeof what, "%s of %zu axes", m->info.name, axes);
    assert_int_equal(e.n_items, 2);
    assert_int_equal(e.maps[0].map.shape.rank, 1 + (int)axes);
    for (size_t a = 0; a < axes; a++)
        assert_int_equal(e.maps[0].map.shape.dim[1 + a], x->shape.dim[2 + a]);
    for (int64_t i = 0; i < (random ? 1 : 2); i++) {
        const oxp_tensor one = test_items(*x, i, 1);
        const oxp_explanation alone = test_explain(t, &ask, &one, 1);
        const oxp_tensor part = test_items(e.maps[0].raw, i, 1);
        test_close(&part, &alone.maps[0].raw, 1e-9, what);
    }
    ask.fused = true;
    const oxp_explanation fused = test_explain(t, &ask, &two, 1);
    test_close(&fused.maps[0].raw, &e.maps[0].raw, 1e-4, what);
}

static void every_kind_of_layer(void **state)
{
    OXP_UNUSED(state);
    for (size_t k = 0; k < OXP_COUNT(kinds); k++) {
        test_net *t = test_net_open(kinds[k].model);
        const oxp_tensor x = test_npy(t, kinds[k].input);
        assert_true(x.shape.dim[0] >= 2);
        for (size_t i = 0; i < oxp_methods_count(); i++) {
            const oxp_method *m = oxp_methods_at(i);
            const test_ask ask = {.method = m->info.name};
            if (m == &oxp_method_cam && kinds[k].tokens) /* a class token is not an average */
                test_explain_fails(t, &ask, &x, 1, OXP_EUNSUPPORTED);
            else if ((m->flags & OXP_METHOD_ATTENTION) && !kinds[k].tokens)
                test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
            else if (m->flags & OXP_METHOD_LAYER)
                check_kind(t, &x, kinds[k].axes, m);
        }
        test_net_close(t);
    }
}

/* The mean of CAM is the score less the classifier's bias, whatever the input. */
static void cam_is_the_score(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    for (int64_t class = 0; class < 2; class ++) {
        const test_ask ask = {.method = "cam", .target = class};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        const int64_t n = oxp_shape_elements(&e.maps[0].raw.shape) / 2;
        double bias[2];
        for (int64_t item = 0; item < 2; item++) {
            double mean = 0.0;
            for (int64_t i = 0; i < n; i++)
                mean += oxp_tensor_get(&e.maps[0].raw, item * n + i) / (double)n;
            bias[item] = e.items[item].score - mean;
        }
        assert_true(fabs(e.items[0].score - e.items[1].score) > 1e-3);
        assert_true(fabs(bias[0] - bias[1]) < 1e-12);
    }
    test_net_close(t);
    t = test_net_open(TOY "oracle_conv.onnx"); /* flattened, not averaged */
    const oxp_tensor oracle = test_npy(t, TOY "oracle_conv.io/input__x.npy");
    const test_ask ask = {.method = "cam", .layers = {"relu1"}};
    test_explain_fails(t, &ask, &oracle, 1, OXP_EUNSUPPORTED);
    test_net_close(t);
}

static void random_weights_repeat(void **state)
{
    OXP_UNUSED(state);
    static const double a[2][4] = {{0, 4, 31, 40}, {0, 0, 6, 15}};
    test_net *t = test_net_open(TOY "oracle_conv.onnx");
    const oxp_tensor x = test_npy(t, TOY "oracle_conv.io/input__x.npy");
    for (uint64_t seed = 0; seed < 4; seed++) {
        char param[16];
        snprintf(param, sizeof param, "seed=%d", (int)seed);
        const test_ask ask = {
            .method = "random-cam", .layers = {"relu1"}, .params = {"relu=false", param}};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        const oxp_rng rng = {.seed = seed};
        double want[4] = {0.0};
        for (uint64_t k = 0; k < 2; k++)
            for (int i = 0; i < 4; i++) want[i] += (2.0 * oxp_rng_uniform(&rng, k) - 1.0) * a[k][i];
        test_close_to(&e.maps[0].raw, want, 4, 1e-9, param);
    }
    test_net_close(t);
}

enum { MAX_CLASSES = 16, MAX_CELLS = 256 };

typedef struct by_class { /* of the first item: scores, and signed Grad-CAM of every class */
    int64_t classes, cells;
    double y[MAX_CLASSES], map[MAX_CLASSES][MAX_CELLS];
} by_class;

static void every_class(test_net *t, const oxp_tensor *x, by_class *c)
{
    c->classes = 1;
    for (int64_t k = 0; k < c->classes; k++) {
        const test_ask ask = {.method = "grad-cam", .params = {"relu=false"}, .target = k};
        const oxp_explanation e = test_explain(t, &ask, x, 1);
        c->classes = e.classes;
        c->cells = oxp_shape_elements(&e.maps[0].raw.shape);
        assert_true(c->classes <= MAX_CLASSES && c->classes >= 3 && c->cells <= MAX_CELLS);
        c->y[k] = e.items[0].score;
        for (int64_t i = 0; i < c->cells; i++) c->map[k][i] = oxp_tensor_get(&e.maps[0].raw, i);
    }
}

static void softmax(const by_class *c, double *p)
{
    double sum = 0.0;
    for (int64_t k = 0; k < c->classes; k++) sum += p[k] = exp(c->y[k] - c->y[0]);
    for (int64_t k = 0; k < c->classes; k++) p[k] /= sum;
}

/* Grad-CAM is linear in the seed: sum_k seed_k map_k */
static void combine(const by_class *c, const double *seed, double *want)
{
    for (int64_t i = 0; i < c->cells; i++) {
        want[i] = 0.0;
        for (int64_t k = 0; k < c->classes; k++) want[i] += seed[k] * c->map[k][i];
    }
}

/* The derivative of Finer-CAM's scalar by each score, by central differences of its formula. */
static double finer_scalar(const by_class *c, int64_t target, double alpha, size_t references)
{
    double p[MAX_CLASSES], above = 0.0, below = 1e-9;
    bool used[MAX_CLASSES] = {false};
    softmax(c, p);
    used[target] = true;
    for (size_t r = 0; r < references; r++) {
        int64_t best = -1;
        for (int64_t k = 0; k < c->classes; k++)
            if (!used[k] &&
                (best < 0 || fabs(c->y[k] - c->y[target]) < fabs(c->y[best] - c->y[target])))
                best = k;
        used[best] = true;
        above += p[best] * (c->y[target] - alpha * c->y[best]);
        below += p[best];
    }
    return above / below;
}

static void finer_is_grad_cam_of_its_scalar(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor batch = test_npy(t, TOY "cnn2d.io/input__x.npy"), x = test_items(batch, 0, 1);
    by_class c;
    every_class(t, &x, &c);
    for (size_t references = 1; references <= 2; references++) {
        char param[32];
        double seed[MAX_CLASSES], want[MAX_CELLS];
        snprintf(param, sizeof param, "references=%zu", references);
        for (int64_t k = 0; k < c.classes; k++) {
            const double y = c.y[k], step = 1e-5;
            c.y[k] = y + step;
            const double up = finer_scalar(&c, 1, 0.8, references);
            c.y[k] = y - step;
            seed[k] = (up - finer_scalar(&c, 1, 0.8, references)) / (2.0 * step);
            c.y[k] = y;
        }
        combine(&c, seed, want);
        const test_ask ask = {
            .method = "finer-cam", .params = {"relu=false", "alpha=0.8", param}, .target = 1};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, want, (size_t)c.cells, 1e-8, param);
    }
    test_ask ask = {.method = "finer-cam",
                    .params = {"relu=false"},
                    .target = 1,
                    .contrast = true,
                    .contrast_class = 2};
    const oxp_explanation finer = test_explain(t, &ask, &x, 1);
    ask.method = "grad-cam";
    const oxp_explanation plain = test_explain(t, &ask, &x, 1);
    test_close(&finer.maps[0].raw, &plain.maps[0].raw, 1e-7, "with a contrast: their difference");
    test_net_close(t);
}

/* Behind the last layer are an average and a linear layer, so along A the scores move by y less the
 * bias, z_j = sum over positions of map_j, and with G = 2 s - p:  seed = G - dG / 2,
 * dG_j = -p_j (z_j - sum p z). */
static void shapley_has_the_curvature(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor batch = test_npy(t, TOY "cnn2d.io/input__x.npy"), x = test_items(batch, 0, 1);
    by_class c;
    every_class(t, &x, &c);
    double p[MAX_CLASSES], z[MAX_CLASSES] = {0.0}, seed[MAX_CLASSES], want[MAX_CELLS], mean = 0.0;
    softmax(&c, p);
    for (int64_t k = 0; k < c.classes; k++) {
        for (int64_t i = 0; i < c.cells; i++) z[k] += c.map[k][i];
        mean += p[k] * z[k];
    }
    for (int64_t k = 0; k < c.classes; k++)
        seed[k] = (k == 1 ? 2.0 : 0.0) - p[k] + 0.5 * p[k] * (z[k] - mean);
    combine(&c, seed, want);
    test_ask ask = {.method = "shapley-cam", .params = {"relu=false"}, .target = 1};
    const oxp_explanation e = test_explain(t, &ask, &x, 1);
    test_close_to(&e.maps[0].raw, want, (size_t)c.cells, 1e-9, "logit + log-softmax");
    ask.fused = true;
    const oxp_explanation fused = test_explain(t, &ask, &x, 1);
    test_close_to(&fused.maps[0].raw, want, (size_t)c.cells, 1e-5, "fused");
    test_net_close(t);
}

/* A batch norm counts with its convolution, so merging them changes nothing; in 1, 2 and 3 axes. */
static void fullgrad_does_not_see_merging(void **state)
{
    OXP_UNUSED(state);
    for (size_t k = 0; k < 3; k++) {
        test_net *t = test_net_open(kinds[k].model);
        const oxp_tensor x = test_npy(t, kinds[k].input);
        test_ask ask = {.method = "fullgrad", .top = true};
        const oxp_explanation plain = test_explain(t, &ask, &x, 1);
        assert_int_equal(plain.maps[0].map.shape.rank, 1 + (int)kinds[k].axes);
        ask.fused = true;
        const oxp_explanation merged = test_explain(t, &ask, &x, 1);
        test_close(&merged.maps[0].raw, &plain.maps[0].raw, 1e-5, kinds[k].model);
        ask.no_optimise = true;
        const oxp_explanation apart = test_explain(t, &ask, &x, 1);
        test_close(&apart.maps[0].raw, &plain.maps[0].raw, 1e-5, kinds[k].model);
        test_net_close(t);
    }
}

/* With noise: repeats with its seed, and moves with it. */
static void smooth_cam_has_a_seed(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    test_ask ask = {.method = "smooth-grad-cam++",
                    .layers = {"relu2"},
                    .params = {"samples=5", "seed=7"},
                    .target = 1};
    const oxp_explanation a = test_explain(t, &ask, &x, 1), b = test_explain(t, &ask, &x, 1);
    assert_memory_equal(a.maps[0].raw.data, b.maps[0].raw.data, oxp_tensor_bytes(&a.maps[0].raw));
    ask.params[1] = "seed=8";
    const oxp_explanation c = test_explain(t, &ask, &x, 1);
    assert_memory_not_equal(a.maps[0].raw.data, c.maps[0].raw.data,
                            oxp_tensor_bytes(&a.maps[0].raw));
    test_net_close(t);
}

/* What a run would cost counts the rows of its own loop: it is what the run then takes. */
static void passes_are_announced(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *method, *params[2];
        size_t n;
    } asked[] = {{"ss-cam", {"samples=16"}, 1},
                 {"ss-cam", {"samples=16", "top=3"}, 2},
                 {"is-cam", {"samples=8"}, 1},
                 {"ablationcam", {NULL}, 0}};
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor batch = test_npy(t, TOY "cnn2d.io/input__x.npy"), x = test_items(batch, 0, 1);
    const oxp_target top = {OXP_TARGET_TOP, 1};
    for (size_t i = 0; i < OXP_COUNT(asked); i++) {
        const oxp_settings set = {.method = oxp_methods_find(asked[i].method),
                                  .params = asked[i].params,
                                  .n_params = asked[i].n};
        oxp_session *s;
        oxp_cost cost;
        oxp_explanation e;
        uint32_t passes = 0;
        assert_int_equal(oxp_session_new(&t->ctx, &t->net, &set, &s), OXP_OK);
        assert_int_equal(oxp_session_cost(&t->ctx, s, &x, 1, top, top, &cost, &passes), OXP_OK);
        assert_int_equal(oxp_session_explain(&t->ctx, s, t->arena, &x, 1, top, top, &e), OXP_OK);
        oxp_session_free(s);
        assert_int_equal(passes, e.passes);
    }
    test_net_close(t);
}

/* Ablation-CAM divides by the score: of a contrast and its reverse, one is negative and says so. */
static void negative_scores_are_noted(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor batch = test_npy(t, TOY "cnn2d.io/input__x.npy"), x = test_items(batch, 0, 1);
    for (int64_t k = 0; k < 2; k++) {
        const test_ask ask = {
            .method = "ablationcam", .target = k, .contrast = true, .contrast_class = 1 - k};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        size_t noted = 0;
        for (size_t i = 0; i < e.n_notes; i++)
            noted += strstr(e.notes[i], "the explained score is negative") != NULL;
        assert_int_equal(noted, e.items[0].score < e.items[0].contrast_score ? 1 : 0);
    }
    test_net_close(t);
}

/* What a method of this family needs and a model lacks is said, not ignored. */
/* The score curves through the adjoint of a scatter that multiplies, whose derivative is not known: no map rather than
 * one without it. */
static void unknown_curvature_is_refused(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text(
        "input %x:f32(1,2,2,2) \"x\"\n%a \"a\" = Relu(%x)\n"
        "const %i:i64(1,1,1,2) \"i\" = [0,1]\nconst %u:f32(1,1,1,2) \"u\" = [2,3]\n"
        "%m = ScatterElements(%a, %i, %u) {axis=1 reduction=\"mul\"}\n%f = Flatten(%m) {axis=1}\n"
        "const %w:f32(8,2) \"w\" = [1,2,-1,1,0.5,1,2,-1,1,0,3,1,-2,1,1,1]\n"
        "%y \"y\" = MatMul(%f, %w)\noutput %y\n");
    const oxp_tensor x =
        test_array(t, 4, (const int64_t[]){1, 2, 2, 2}, (const double[]){1, 2, 3, 4, 5, 6, 7, 8});
    test_ask ask = {.method = "grad-cam", .layers = {"a"}};
    test_explain(t, &ask, &x, 1);
    ask.method = "shapley-cam";
    test_explain_fails(t, &ask, &x, 1, OXP_EUNSUPPORTED);
    if (!strstr(t->error.message, "no second derivative")) fail_msg("%s", t->error.message);
    test_net_close(t);
}

/* Noise of token ids is noise of their embedding: without any, the derivatives at the text itself. */
static void noise_reaches_embeddings(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open("tests/data/samples/bert_tiny_sms_spam.onnx");
    const oxp_tensor text[2] = {
        test_npy(t, "tests/data/samples/bert_tiny_sms_spam.io/input__input_ids.npy"),
        test_npy(t, "tests/data/samples/bert_tiny_sms_spam.io/input__attention_mask.npy")};
    const char *const levels[] = {"level=0", "level=0.1", "level=0.2"};
    oxp_explanation e[3];
    for (size_t i = 0; i < 3; i++) {
        const test_ask ask = {.method = "smooth-grad-cam++",
                              .params = {levels[i], "samples=3", "variant=torchcam"}};
        e[i] = test_explain(t, &ask, text, 2);
    }
    for (size_t i = 1; i < 3; i++) {
        const int64_t n = oxp_shape_elements(&e[i].maps[0].raw.shape);
        double moved = 0.0;
        for (int64_t k = 0; k < n; k++)
            moved = fmax(moved, fabs(oxp_tensor_get(&e[i].maps[0].raw, k) -
                                     oxp_tensor_get(&e[i - 1].maps[0].raw, k)));
        assert_true(moved > 1e-9);
    }
    test_net_close(t);
}

static void refusals(void **state)
{
    OXP_UNUSED(state);
#define BERT "tests/data/samples/bert_tiny_sms_spam"
    test_net *t = test_net_open(BERT ".onnx");
    const oxp_tensor text[2] = {test_npy(t, BERT ".io/input__input_ids.npy"),
                                test_npy(t, BERT ".io/input__attention_mask.npy")};
    static const test_ask lack[] = {
        {.method = "scorecam"}, /* nothing to mask */
        {.method = "fullgrad"},
    };
    for (size_t i = 0; i < OXP_COUNT(lack); i++)
        test_explain_fails(t, &lack[i], text, 2, OXP_EUNSUPPORTED);
    test_net_close(t);
    t = test_net_open(TOY "cnn2d.onnx");
    const oxp_tensor x = test_npy(t, TOY "cnn2d.io/input__x.npy");
    const test_ask two = {.method = "ablationcam", .layers = {"relu2", "relu3"}};
    test_explain_fails(t, &two, &x, 1, OXP_EUNSUPPORTED);
    const test_ask wrapped = {.method = "smoothgrad", .params = {"method=ablationcam"}};
    test_explain_fails(t, &wrapped, &x, 1, OXP_EINVAL);
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle_plain),
        cmocka_unit_test(oracle_fused),
        cmocka_unit_test(layers_are_joined),
        cmocka_unit_test(refine_multiplies),
        cmocka_unit_test(every_kind_of_layer),
        cmocka_unit_test(cam_is_the_score),
        cmocka_unit_test(random_weights_repeat),
        cmocka_unit_test(noise_reaches_embeddings),
        cmocka_unit_test(unknown_curvature_is_refused),
        cmocka_unit_test(refusals),
        cmocka_unit_test(negative_scores_are_noted),
        cmocka_unit_test(passes_are_announced),
        cmocka_unit_test(smooth_cam_has_a_seed),
        cmocka_unit_test(fullgrad_does_not_see_merging),
        cmocka_unit_test(finer_is_grad_cam_of_its_scalar),
        cmocka_unit_test(shapley_has_the_curvature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
