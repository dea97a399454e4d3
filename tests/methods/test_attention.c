/* test_attention.c - methods on attention maps: numbers worked out by hand on two layers of two heads
 * and three tokens (docs/methods/attention.md); the formulas, written out here with loops, on
 * PyTorch's attention maps and their gradients of a vision transformer and a text encoder; and what
 * is refused. */
#include "net.h"

#include "ir/parse.h"
#include "ops/ops.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the hand-made transformer ----
 *
 * x is the identity and the values are zero, so the scores of layer l are the logarithms of A_l
 * below; Y = sum of G_l . A_l, so that dY/dA_l = G_l. */

static const double A[2][2][9] = {
    {{.5, .3, .2, .1, .8, .1, .2, .2, .6}, {.2, .2, .6, .3, .4, .3, .1, .1, .8}},
    {{.4, .4, .2, .25, .5, .25, .3, .3, .4}, {.6, .1, .3, .2, .6, .2, .1, .7, .2}},
};
static const double G[2][2][9] = {
    {{.1, -.2, .3, 0, .1, -.1, .2, 0, .1}, {-.1, .4, .2, .1, -.3, .2, 0, .1, -.2}},
    {{.5, .2, -.1, 0, 0, 0, 0, 0, 0}, {-.3, .6, .4, 0, 0, 0, 0, 0, 0}},
};

static void put_const(char *text, size_t room, const char *name, const double m[2][9], bool logs)
{
    size_t n = strlen(text);
    n += (size_t)snprintf(text + n, room - n, "const %%%s:f32(1,2,3,3) \"%s\" = [", name, name);
    for (int i = 0; i < 18; i++)
        n += (size_t)snprintf(text + n, room - n, "%s%.17g", i ? "," : "",
                              logs ? log(m[i / 9][i % 9]) : m[i / 9][i % 9]);
    snprintf(text + n, room - n, "]\n");
}

static test_net *net_of_text(const char *text)
{
    test_net *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->arena = oxp_arena_new(NULL);
    t->scratch = oxp_arena_new(NULL);
    t->ctx = (oxp_ctx){.error = &t->error, .scratch = t->scratch};
    oxp_graph *g;
    if (oxp_graph_parse(&t->ctx, t->arena, text, oxp_op_find, &g) != OXP_OK)
        fail_msg("%s", t->error.message);
    t->net = (oxp_net){.graph = g, .weights = oxp_weights_new(NULL)};
    assert_non_null(t->net.weights);
    return t;
}

static test_net *hand_made(void)
{
    char text[8192] = "input %x:f32(1,1,3,3) \"x\"\n";
    put_const(text, sizeof text, "log1", A[0], true);
    put_const(text, sizeof text, "log2", A[1], true);
    put_const(text, sizeof text, "g1", G[0], false);
    put_const(text, sizeof text, "g2", G[1], false);
    strcat(text, "%q1 = MatMul(%x, %log1)\n"
                 "%s1 = MatMul(%q1, %x)\n"
                 "%a1 \"a1\" = Softmax(%s1) {axis=-1}\n"
                 "%v = Mul(%x, 0.0)\n"
                 "%c1 = MatMul(%a1, %v)\n"
                 "%x2 = Add(%x, %c1)\n"
                 "%q2 = MatMul(%x2, %log2)\n"
                 "%s2 = MatMul(%q2, %x)\n"
                 "%a2 \"a2\" = Softmax(%s2) {axis=-1}\n"
                 "%c2 = MatMul(%a2, %v)\n"
                 "%y1 = Mul(%a1, %g1)\n"
                 "%y2 = Mul(%a2, %g2)\n"
                 "%y12 = Add(%y1, %y2)\n"
                 "%all = Add(%y12, %c2)\n"
                 "%y = ReduceSum(%all) {axes=[1,2,3] keepdims=0}\n"
                 "%row = Reshape(%y) {shape=[1,1]}\n"
                 "%minus = Neg(%row)\n"
                 "%logits \"logits\" = Concat(%row, %minus) {axis=1}\n"
                 "output %logits\n");
    return net_of_text(text);
}

typedef struct hand_case {
    const char *name;
    test_ask ask;
    double want[3];
} hand_case;

#define ROLLOUT(...)                                             \
    {                                                            \
        .method = "attention-rollout", .params = { __VA_ARGS__ } \
    }
static const hand_case cases[] = {
    {"last attention", {.method = "attention", .params = {"query=0"}}, {.5, .25, .25}},
    {"first attention, largest head",
     {.method = "attention", .layers = {"a1"}, .params = {"query=2", "heads=max"}},
     {.2, .2, .8}},
    {"all rows read", {.method = "attention"}, {1.85 / 6, 2.6 / 6, 1.55 / 6}},
    {"rollout, row 0", ROLLOUT("query=0"), {.528125, .203125, .26875}},
    {"rollout, row 1", ROLLOUT("query=1"), {.161875, .6425, .195625}},
    {"rollout, row 2", ROLLOUT("query=2"), {.14125, .26125, .5975}},
    {"rollout of the largest heads, row 0",
     ROLLOUT("query=0", "heads=max"),
     {.46837944664031623, .22924901185770752, .30237154150197626}},
    {"rollout, columns",
     ROLLOUT("query=0", "heads=max", "normalise=columns"),
     {.46900879917184274, .24023033126293994, .31797007340485606}},
    {"rollout of the smallest heads, row 0",
     ROLLOUT("query=0", "heads=min"),
     {.627859477124183, .1609477124183007, .2111928104575164}},
    /* the two smallest of each go: M_1 = (1.5 .3 .6; .3 1.8 .3)/2.4; 0 0 1. M_2[0] = (1.6 .4 .3)/2.3 */
    {"rollout of the largest heads without the smallest entries",
     ROLLOUT("query=0", "heads=max", "discard=0.25"),
     {1.05 / 2.3, .5 / 2.3, .75 / 2.3}},
    {"nothing is small enough, on the host",
     ROLLOUT("query=0", "heads=max", "normalise=columns", "discard=0.01"),
     {.46900879917184274, .24023033126293994, .31797007340485606}},
    {"tmme, row 0",
     {.method = "tmme", .params = {"query=0", "self=true"}},
     {1.12975, .1171, .1629}},
    {"tmme, others", {.method = "tmme", .params = {"query=0"}}, {0, .1171, .1629}},
    {"tmme, row 1", {.method = "tmme", .params = {"query=1", "self=true"}}, {.015, 1.04, .03}},
    {"tmme, row 2", {.method = "tmme", .params = {"query=2", "self=true"}}, {.02, .005, 1.03}},
    /* w = (.6, .7)/3; the rows (.4, .4, .2), (.6, .1, .3) */
    {"attention Grad-CAM",
     {.method = "attention-grad-cam", .params = {"query=0"}},
     {.11, .155 / 3, .055}},
    /* relu of the mean of heads: row 0 of layer 2 (.01, .07, .05), D = 1.13; layer 1
     * (.015,.01,.09), (.015,0,.025), (.02,.005,0), D = 1.115, 1.04, 1.025 */
    {"gradient rollout",
     {.method = "gradient-rollout", .params = {"query=0"}},
     {1.01 / 1.13 * 1.015 / 1.115 + .07 / 1.13 * .015 / 1.04 + .05 / 1.13 * .02 / 1.025,
      1.01 / 1.13 * .01 / 1.115 + .07 / 1.13 / 1.04 + .05 / 1.13 * .005 / 1.025,
      1.01 / 1.13 * .09 / 1.115 + .07 / 1.13 * .025 / 1.04 + .05 / 1.13 / 1.025}},
};

static void run_cases(bool fused, double tolerance)
{
    test_net *t = hand_made();
    const int64_t dims[] = {1, 1, 3, 3};
    const oxp_tensor x = test_array(t, 4, dims, (const double[]){1, 0, 0, 0, 1, 0, 0, 0, 1});
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        test_ask ask = cases[i].ask;
        ask.fused = fused;
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        assert_int_equal(e.n_maps, 1);
        test_close_to(&e.maps[0].raw, cases[i].want, 3, tolerance, cases[i].name);
    }
    test_net_close(t);
}

static void hand_made_plain(void **state)
{
    OXP_UNUSED(state);
    run_cases(false, 1e-9);
}

static void hand_made_fused(void **state)
{
    OXP_UNUSED(state);
    run_cases(true, 1e-5);
}

/* ---- trained transformers ---- */

enum { MAX_LAYERS = 3, MAX_TOKENS = 64 };

typedef struct trained { /* attention and gradients (items, heads, tokens, tokens) of each layer */
    oxp_tensor a[MAX_LAYERS], g[MAX_LAYERS];
    size_t layers;
    int64_t heads, tokens;
} trained;

static double at(const trained *r, const oxp_tensor *t, int64_t item, int64_t h, int64_t i,
                 int64_t j)
{
    return oxp_tensor_get(t, ((item * r->heads + h) * r->tokens + i) * r->tokens + j);
}

typedef enum cell { CELL_A, CELL_GRADIENT, CELL_POSITIVE } cell;

/* One matrix of a layer: mean_h A, relu(mean_h gA), mean_h relu(gA). */
static double fused_cell(const trained *r, size_t l, int64_t item, int64_t i, int64_t j, cell kind)
{
    double sum = 0.0;
    for (int64_t h = 0; h < r->heads; h++) {
        const double a = at(r, &r->a[l], item, h, i, j), g = at(r, &r->g[l], item, h, i, j);
        sum += kind == CELL_A ? a : kind == CELL_GRADIENT ? a * g : fmax(a * g, 0.0);
    }
    sum /= (double)r->heads;
    return kind == CELL_GRADIENT ? fmax(sum, 0.0) : sum;
}

/* Row 0 of M_L ... M_1, multiplied as matrices from the first layer up. */
static void product(const trained *r, int64_t item, cell kind, bool normalised, double *row)
{
    static double m[MAX_TOKENS][MAX_TOKENS], all[MAX_TOKENS][MAX_TOKENS],
        old[MAX_TOKENS][MAX_TOKENS];
    const int64_t n = r->tokens;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) all[i][j] = i == j;
    for (size_t l = 0; l < r->layers; l++) {
        for (int64_t i = 0; i < n; i++) {
            double sum = 0.0;
            for (int64_t j = 0; j < n; j++)
                sum += m[i][j] = fused_cell(r, l, item, i, j, kind) + (i == j);
            for (int64_t j = 0; normalised && j < n; j++) m[i][j] /= sum;
        }
        memcpy(old, all, sizeof old);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                all[i][j] = 0.0;
                for (int64_t k = 0; k < n; k++) all[i][j] += m[i][k] * old[k][j];
            }
    }
    memcpy(row, all[0], (size_t)n * sizeof(double));
}

static void grad_cam_row(const trained *r, int64_t item, int64_t prefix, double *row)
{
    const size_t l = r->layers - 1;
    for (int64_t j = 0; j < r->tokens; j++) row[j] = 0.0;
    for (int64_t h = 0; h < r->heads; h++) {
        double w = 0.0;
        for (int64_t j = prefix; j < r->tokens; j++) w += at(r, &r->g[l], item, h, 0, j);
        w /= (double)(r->tokens - prefix);
        for (int64_t j = 0; j < r->tokens; j++)
            row[j] += w * at(r, &r->a[l], item, h, 0, j) / (double)r->heads;
    }
    for (int64_t j = 0; j < r->tokens; j++) row[j] = fmax(row[j], 0.0);
}

static void expected(const trained *r, const char *method, int64_t item, int64_t prefix,
                     double *row)
{
    if (strcmp(method, "attention") == 0)
        for (int64_t j = 0; j < r->tokens; j++)
            row[j] = fused_cell(r, r->layers - 1, item, 0, j, CELL_A);
    else if (strcmp(method, "attention-rollout") == 0)
        product(r, item, CELL_A, true, row);
    else if (strcmp(method, "gradient-rollout") == 0)
        product(r, item, CELL_GRADIENT, true, row);
    else if (strcmp(method, "tmme") == 0) {
        product(r, item, CELL_POSITIVE, false, row);
        row[0] = 0.0;
    } else
        grad_cam_row(r, item, prefix, row);
}

static const char *const methods[] = {"attention", "attention-rollout", "gradient-rollout", "tmme",
                                      "attention-grad-cam"};

/* prefix: tokens that are not in the result. target < 0: classes[item]. */
static void check_trained(test_net *t, const trained *r, const oxp_tensor *inputs, size_t n_inputs,
                          int64_t prefix, int64_t target, const oxp_tensor *classes,
                          double tolerance)
{
    double row[MAX_TOKENS];
    for (int64_t item = 0; item < r->a[0].shape.dim[0]; item++)
        for (size_t k = 0; k < 2 * OXP_COUNT(methods); k++) {
            oxp_tensor x[2];
            for (size_t i = 0; i < n_inputs; i++) x[i] = test_items(inputs[i], item, 1);
            const char *method = methods[k / 2];
            const test_ask ask = {.method = method,
                                  .target = target < 0 ? oxp_tensor_get_int(classes, item) : target,
                                  .fused = k % 2};
            const oxp_explanation e = test_explain(t, &ask, x, n_inputs);
            expected(r, method, item, prefix, row);
            char what[128];
            snprintf(what, sizeof what, "%s of item %d, %s", method, (int)item,
                     k % 2 ? "fused" : "plain");
            test_close_to(&e.maps[0].raw, row + prefix, (size_t)(r->tokens - prefix), tolerance,
                          what);
        }
}

static void read_layers(test_net *t, trained *r, const char *folder, const char *word)
{
    char path[4096];
    for (size_t l = 0; l < r->layers; l++) {
        snprintf(path, sizeof path, "%s/ref_attention_%s%zu.npy", folder, word, l);
        r->a[l] = test_npy(t, path);
        snprintf(path, sizeof path, "%s/ref_attention_grad_%s%zu.npy", folder, word, l);
        r->g[l] = test_npy(t, path);
    }
}

#define VIT  "tests/data/samples/vit_tiny_fashion_mnist"
#define BERT OXP_SAMPLES_DIR "/d_text/bert_tiny_sms_spam"

static void vision_transformer(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(VIT ".onnx");
    trained r = {.layers = 3, .heads = 4, .tokens = 17};
    read_layers(t, &r, VIT ".io", "block");
    const oxp_tensor x = test_npy(t, VIT ".io/input__image.npy"),
                     classes = test_npy(t, VIT ".io/ref_class.npy");
    check_trained(t, &r, &x, 1, 1, -1, &classes, 1e-4);
    test_net_close(t);
}

static void text_encoder(void **state)
{
    OXP_UNUSED(state);
    if (access(BERT ".onnx", R_OK) != 0) {
        print_message("skipped: %s is not there\n", BERT ".onnx");
        skip();
    }
    test_net *t = test_net_open(BERT ".onnx");
    trained r = {.layers = 2, .heads = 4, .tokens = 64};
    read_layers(t, &r, BERT ".io", "layer");
    const oxp_tensor x[] = {test_npy(t, BERT ".io/input__input_ids.npy"),
                            test_npy(t, BERT ".io/input__attention_mask.npy")};
    /* the head weights of saturated items are differences near 1e-6 of rounded gradients */
    check_trained(t, &r, x, 2, 0, 1, NULL, 1e-3);
    test_net_close(t);
}

/* ---- LeGrad ---- */

enum { HEADS = 4, TOKENS = 17, CELLS = HEADS * TOKENS * TOKENS };

/* The model from the given tensors to `wanted`, in double. */
static oxp_tensor computed(test_net *t, const char *const *names, const oxp_tensor *data, size_t n,
                           const char *wanted)
{
    oxp_val feed[2];
    for (size_t i = 0; i < n; i++) feed[i] = test_net_val(t, names[i]);
    const oxp_val out = test_net_val(t, wanted);
    oxp_tensor got;
    oxp_arena_reset(t->scratch);
    if (oxp_compute(&t->ctx, &t->net, t->arena, feed, data, n, &out, 1, 1, true, &got) != OXP_OK)
        fail_msg("%s", t->error.message);
    return got;
}

/* sum over heads and queries of relu(ds/dA) per key, s the score of class `c` of the tokens behind
 * block l, by central differences: a batch of items, each with one cell of row 0 moved (the other
 * rows do not reach the class token), all at once. */
static void differences(test_net *t, const oxp_tensor *image, int l, int64_t c, double *keys)
{
    enum { MOVED = HEADS * TOKENS };
    const double step = 1e-4;
    char map[64], block[64];
    snprintf(map, sizeof map, "/b.%d/a/Softmax_output_0", l);
    snprintf(block, sizeof block, "/b.%d/Add_2_output_0", l);
    const char *const input[] = {"image"}, *const both[] = {"image", map};
    const oxp_tensor a = computed(t, input, image, 1, map);
    static double images[2 * MOVED * 28 * 28], maps[2 * MOVED * CELLS];
    for (int k = 0; k < 2 * MOVED; k++) {
        for (int i = 0; i < 28 * 28; i++) images[k * 28 * 28 + i] = oxp_tensor_get(image, i);
        for (int i = 0; i < CELLS; i++) maps[k * CELLS + i] = oxp_tensor_get(&a, i);
        const int h = k / 2 / TOKENS, j = k / 2 % TOKENS;
        maps[k * CELLS + h * TOKENS * TOKENS + j] += k % 2 ? -step : step;
    }
    const int64_t image_dims[] = {2 * MOVED, 1, 28, 28},
                  map_dims[] = {2 * MOVED, HEADS, TOKENS, TOKENS};
    const oxp_tensor fed[] = {test_array(t, 4, image_dims, images),
                              test_array(t, 4, map_dims, maps)};
    const oxp_tensor behind = computed(t, both, fed, 2, block);
    const char *const end[] = {"/b.2/Add_2_output_0"};
    const oxp_tensor logits = computed(t, end, &behind, 1, "logits");
    for (int k = 0; k < MOVED; k++)
        keys[k % TOKENS] += fmax(0.0, (oxp_tensor_get(&logits, 2 * k * 10 + c) -
                                       oxp_tensor_get(&logits, (2 * k + 1) * 10 + c)) /
                                          (2.0 * step));
}

static void legrad(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(VIT ".onnx");
    const oxp_tensor all = test_npy(t, VIT ".io/input__image.npy"), x = test_items(all, 1, 1);
    double each[3][TOKENS] = {{0}}, want[TOKENS] = {0};
    for (int l = 0; l < 3; l++) {
        differences(t, &x, l, 2, each[l]);
        for (int j = 0; j < TOKENS; j++) want[j] += (each[l][j] /= HEADS * TOKENS) / 3.0;
    }
    for (int fused = 0; fused < 2; fused++) {
        test_ask ask = {.method = "legrad", .target = 2, .fused = fused};
        oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, want + 1, TOKENS - 1, fused ? 1e-4 : 1e-6, "all layers");
        ask.layers[0] = "/b.0/a/Softmax_output_0";
        e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, each[0] + 1, TOKENS - 1, fused ? 1e-4 : 1e-6, "first layer");
    }
    test_net_close(t);
}

/* A batch is as many explanations; the map is at the input's resolution, the raw array is not. */
static void batches_and_shapes(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(VIT ".onnx");
    const oxp_tensor x = test_npy(t, VIT ".io/input__image.npy"), last = test_items(x, 3, 1);
    for (size_t k = 0; k <= OXP_COUNT(methods); k++) {
        const char *method = k < OXP_COUNT(methods) ? methods[k] : "legrad";
        const test_ask ask = {.method = method, .target = 2};
        const oxp_explanation all = test_explain(t, &ask, &x, 1),
                              one = test_explain(t, &ask, &last, 1);
        const int64_t raw[] = {4, 16}, map[] = {4, 28, 28};
        const oxp_shape want_raw = oxp_shape_of(2, raw), want_map = oxp_shape_of(3, map);
        assert_true(oxp_shape_equal(&all.maps[0].raw.shape, &want_raw));
        assert_true(oxp_shape_equal(&all.maps[0].map.shape, &want_map));
        const oxp_tensor got = test_items(all.maps[0].raw, 3, 1);
        test_close(&got, &one.maps[0].raw, 1e-9, method);
    }
    /* the host's rollout with nothing small enough to discard is the graph's */
    for (size_t k = 1; k < 3; k++) {
        const test_ask graph = {.method = methods[k], .target = 2},
                       host = {.method = methods[k], .target = 2, .params = {"discard=0.001"}};
        const oxp_explanation want = test_explain(t, &graph, &x, 1),
                              got = test_explain(t, &host, &x, 1);
        test_close(&got.maps[0].raw, &want.maps[0].raw, 1e-9, methods[k]);
        test_close(&got.maps[0].map, &want.maps[0].map, 1e-6, methods[k]);
    }
    test_net_close(t);
}

/* ---- what is refused ---- */

static void says(test_net *t, const char *words)
{
    if (!strstr(t->error.message, words)) fail_msg("expected '%s' in: %s", words, t->error.message);
}

static void refusals(void **state)
{
    OXP_UNUSED(state);
    test_net *t = hand_made();
    const int64_t dims[] = {1, 1, 3, 3};
    const oxp_tensor x = test_array(t, 4, dims, (const double[]){1, 0, 0, 0, 1, 0, 0, 0, 1});
    test_explain_fails(t, &(test_ask){.method = "tmme", .layers = {"logits"}}, &x, 1, OXP_EINVAL);
    says(t, "'logits' is not an attention map");
    test_explain_fails(t, &(test_ask){.method = "attention", .params = {"query=3"}}, &x, 1,
                       OXP_EINVAL);
    says(t, "query is a token from 0 to 2");
    test_net_close(t);
    t = test_net_open("tests/data/toy/cnn2d.onnx");
    const oxp_tensor image = test_npy(t, "tests/data/toy/cnn2d.io/input__x.npy");
    for (size_t k = 0; k < OXP_COUNT(methods); k++) {
        test_explain_fails(t, &(test_ask){.method = methods[k]}, &image, 1, OXP_EINVAL);
        says(t, "the model has no attention");
    }
    test_net_close(t);
    /* two windows of an item, and two encoders side by side */
    t = net_of_text("input %x:f32(1,2,1,3,3) \"x\"\n"
                    "%s = MatMul(%x, %x)\n%a \"a\" = Softmax(%s) {axis=-1}\n%c = MatMul(%a, %x)\n"
                    "%y = ReduceSum(%c) {axes=[1,2,3] keepdims=0}\noutput %y\n");
    const int64_t windows[] = {1, 2, 1, 3, 3};
    const oxp_tensor w = test_array(t, 5, windows, (const double[18]){1, 2});
    test_explain_fails(t, &(test_ask){.method = "attention"}, &w, 1, OXP_EUNSUPPORTED);
    says(t, "(1,2,1,3,3) is not one matrix per item and head");
    test_net_close(t);
    t = net_of_text("input %x:f32(1,3,3) \"x\"\n"
                    "%s = MatMul(%x, %x)\n%a \"a\" = Softmax(%s) {axis=-1}\n%c = MatMul(%a, %x)\n"
                    "%n = Neg(%x)\n%s2 = MatMul(%n, %x)\n%a2 \"b\" = Softmax(%s2) {axis=-1}\n"
                    "%d = MatMul(%a2, %x)\n%sum = Add(%c, %d)\n"
                    "%y = ReduceSum(%sum) {axes=[1] keepdims=0}\noutput %y\n");
    const oxp_tensor two = test_array(t, 3, dims + 1, (const double[9]){1, 2});
    test_explain_fails(t, &(test_ask){.method = "attention-rollout"}, &two, 1, OXP_EINVAL);
    says(t, "'b' does not build on 'a'");
    test_explain(t, &(test_ask){.method = "attention-rollout", .layers = {"b"}}, &two, 1);
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hand_made_plain),
                                       cmocka_unit_test(hand_made_fused),
                                       cmocka_unit_test(vision_transformer),
                                       cmocka_unit_test(text_encoder),
                                       cmocka_unit_test(legrad),
                                       cmocka_unit_test(batches_and_shapes),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
