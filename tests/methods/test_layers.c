/* test_layers.c - where attributions live: the automatic layer, axis roles, what integers lead to,
 * several tensors at once; and what rules replace on the way. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOY     "tests/data/toy/"
#define SAMPLES "tests/data/samples/"

static void check_dims(const oxp_tensor *t, int rank, const int64_t *dims)
{
    const oxp_shape want = oxp_shape_of(rank, dims);
    char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
    if (!oxp_shape_equal(&t->shape, &want))
        fail_msg("expected %s, found %s", oxp_shape_text(&want, a), oxp_shape_text(&t->shape, b));
}

static double most(const oxp_tensor *t)
{
    double m = 0.0;
    for (int64_t i = 0; i < oxp_shape_elements(&t->shape); i++)
        m = fmax(m, fabs(oxp_tensor_get(t, i)));
    return m;
}

/* ---- the automatic layer ---- */

typedef struct auto_case {
    const char *model, *input, *layer;
    int rank;
    int64_t raw[4]; /* of the first item */
} auto_case;

static void layers_of_nets(void **state)
{
    OXP_UNUSED(state);
    static const auto_case cases[] = {
        {TOY "cnn1d.onnx", TOY "cnn1d.io/input__x.npy", "relu3", 2, {0}},
        {TOY "cnn2d.onnx", TOY "cnn2d.io/input__x.npy", "relu3", 3, {0}},
        {TOY "cnn3d.onnx", TOY "cnn3d.io/input__x.npy", "relu3", 4, {0}},
        /* mean of tokens: the last norm */
        {TOY "composite_layernorm__op.onnx",
         TOY "composite_layernorm__op.io/input__x.npy",
         "act",
         2,
         {0, 5}},
        /* classes in the channels: the last grid in front of the pool */
        {TOY "ask_pooled_classes.onnx",
         TOY "ask_pooled_classes.io/input__x.npy",
         "relu",
         3,
         {0, 3, 3}},
        /* dense: lowest on every path, never the scores, however small */
        {TOY "ask_segments.onnx", TOY "ask_segments.io/input__x.npy", "low", 3, {0, 4, 4}},
        {TOY "ask_segments_low.onnx", TOY "ask_segments_low.io/input__x.npy", "low", 3, {0, 4, 4}},
        {TOY "ask_segments_skip.onnx",
         TOY "ask_segments_skip.io/input__x.npy",
         "merged",
         3,
         {0, 8, 8}},
        /* channels last around convolutions: the last tensor with positions */
        {TOY "ask_floats_last.onnx", TOY "ask_floats_last.io/input__x.npy", "last", 3, {0, 4, 3}},
        {SAMPLES "ecg_apc_cnn1d_rec100.onnx",
         SAMPLES "ecg_apc_cnn1d_rec100.io/input__ecg.npy",
         "/7/Relu_output_0",
         2,
         {0, 113}},
        {SAMPLES "vit_tiny_fashion_mnist.onnx",
         SAMPLES "vit_tiny_fashion_mnist.io/input__image.npy",
         "/b.2/n1/Add_1_output_0",
         2,
         {0, 16}},
    };
    for (size_t k = 0; k < OXP_COUNT(cases); k++)
        for (int fused = 0; fused < 2; fused++) {
            const auto_case *c = &cases[k];
            test_net *t = test_net_open(c->model);
            const oxp_tensor x = test_npy(t, c->input);
            const test_ask ask = {
                .method = "grad-cam", .params = {"relu=false"}, .top = true, .fused = fused == 1};
            const oxp_explanation e = test_explain(t, &ask, &x, 1);
            if (strcmp(e.layer, c->layer) != 0)
                fail_msg("%s: layer '%s', expected '%s'", c->model, e.layer, c->layer);
            const oxp_shape *raw = &e.maps[0].raw.shape;
            assert_int_equal(raw->rank, c->rank);
            for (int a = 1; c->raw[1] && a < c->rank; a++) assert_int_equal(raw->dim[a], c->raw[a]);
            assert_true(most(&e.maps[0].raw) > 0.0);
            test_net_close(t);
        }
}

/* The tiny ViT: 16 patches in a 4 x 4 grid behind one class token, enlarged to the picture; the
 * adjoint of the patches at that layer is not zero, at the last norm it is. */
static void a_class_token(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(SAMPLES "vit_tiny_fashion_mnist.onnx");
    const oxp_tensor x = test_npy(t, SAMPLES "vit_tiny_fashion_mnist.io/input__image.npy");
    oxp_explanation e = test_explain(
        t, &(test_ask){.method = "grad-cam", .params = {"relu=false"}, .top = true}, &x, 1);
    const int64_t n = x.shape.dim[0];
    check_dims(&e.maps[0].raw, 2, (const int64_t[]){n, 16});
    check_dims(&e.maps[0].map, 3, (const int64_t[]){n, 28, 28});
    for (int64_t i = 0; i < n; i++) { /* corners keep the value of the corner patches */
        const int64_t at[4][2] = {{0, 0}, {3, 27}, {12, 27 * 28}, {15, 27 * 28 + 27}};
        for (int k = 0; k < 4; k++)
            assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, 16 * i + at[k][0]) -
                             oxp_tensor_get(&e.maps[0].map, 784 * i + at[k][1])) < 1e-6);
    }
    const char *const layers[] = {"/b.2/n1/Add_1_output_0", "/b.2/n2/Add_1_output_0"};
    for (int k = 0; k < 2; k++) {
        e = test_explain(t, &(test_ask){.method = "saliency", .wrt = {layers[k]}, .top = true}, &x,
                         1);
        check_dims(&e.maps[0].raw, 3, (const int64_t[]){n, 17, 64});
        double patches = 0.0;
        for (int64_t i = 0; i < n * 17 * 64; i++)
            if (i / 64 % 17 > 0) patches = fmax(patches, fabs(oxp_tensor_get(&e.maps[0].raw, i)));
        assert_true(k == 0 ? patches > 1e-3 : patches <= 0.0);
    }
    test_net_close(t);
}

/* A text model: attributed to its word embeddings; the layer is the last norm all tokens share. */
static void tokens_of_a_text(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(SAMPLES "bert_tiny_sms_spam.onnx");
    const oxp_tensor in[2] = {
        test_npy(t, SAMPLES "bert_tiny_sms_spam.io/input__input_ids.npy"),
        test_npy(t, SAMPLES "bert_tiny_sms_spam.io/input__attention_mask.npy")};
    const int64_t n = in[0].shape.dim[0];
    oxp_explanation e =
        test_explain(t, &(test_ask){.method = "integrated-gradients", .target = 1}, in, 2);
    assert_int_equal(e.n_maps, 1);
    assert_string_equal(e.maps[0].tensor, "/word_embeddings/Gather_output_0");
    check_dims(&e.maps[0].raw, 3, (const int64_t[]){n, 64, 64});
    check_dims(&e.maps[0].map, 2, (const int64_t[]){n, 64});
    for (int64_t i = 0; i < n; i++) assert_true(e.items[i].gap < 1e-2);
    e = test_explain(t, &(test_ask){.method = "grad-cam", .params = {"relu=false"}, .target = 1},
                     in, 2);
    assert_string_equal(e.layer, "/layer.0/n2/Add_1_output_0");
    check_dims(&e.maps[0].map, 2, (const int64_t[]){n, 64});
    assert_true(most(&e.maps[0].raw) > 0.0);
    test_net_close(t);
}

/* ---- axis roles and integers ---- */

/* Bytes, channels last: the boundary is the Cast, the map has the picture's axes. */
static void bytes_with_channels_last(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("ask_bytes_last"), *f = test_toy_open("ask_floats_last");
    const oxp_tensor bytes = test_toy_array(t, "ask_bytes_last", "input__x");
    const int64_t picture[] = {1, 6, 5, 2}, grid[] = {1, 6, 5};
    oxp_explanation e = test_explain(t, &(test_ask){.method = "saliency", .target = 1}, &bytes, 1);
    assert_string_equal(e.maps[0].tensor, "pixels");
    check_dims(&e.maps[0].raw, 4, picture);
    check_dims(&e.maps[0].map, 3, grid);
    for (int64_t i = 0; i < 30; i++) /* the channel is the last axis */
        assert_true(fabs(oxp_tensor_get(&e.maps[0].map, i) -
                         fmax(fabs(oxp_tensor_get(&e.maps[0].raw, 2 * i)),
                              fabs(oxp_tensor_get(&e.maps[0].raw, 2 * i + 1)))) < 1e-7);
    e = test_explain(t, &(test_ask){.method = "grad-cam", .target = 1}, &bytes, 1);
    check_dims(&e.maps[0].raw, 3, (const int64_t[]){1, 4, 3});
    check_dims(&e.maps[0].map, 3, grid);
    e = test_explain(t, &(test_ask){.method = "occlusion", .params = {"window=2"}, .target = 1},
                     &bytes, 1);
    check_dims(&e.maps[0].raw, 4, picture);
    for (int64_t i = 0; i < 30; i++) /* a window covers all channels */
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, 2 * i) -
                         oxp_tensor_get(&e.maps[0].raw, 2 * i + 1)) <= 0.0);
    const double half[60] = {0.5};
    const oxp_tensor scaled = test_array(t, 4, picture, half);
    test_explain_fails(t, &(test_ask){.method = "saliency"}, &scaled, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "whole numbers"));
    /* the same in floats: the input itself */
    const oxp_tensor floats = test_toy_array(f, "ask_floats_last", "input__x");
    e = test_explain(f, &(test_ask){.method = "grad-cam", .target = 1}, &floats, 1);
    check_dims(&e.maps[0].map, 3, grid);
    e = test_explain(f, &(test_ask){.method = "saliency", .target = 1}, &floats, 1);
    assert_string_equal(e.maps[0].tensor, "x");
    check_dims(&e.maps[0].map, 3, grid);
    test_net_close(t);
    test_net_close(f);
}

/* Inputs and an inner tensor together; for methods that vary them as well as by gradients. */
static void several_tensors(void **state)
{
    OXP_UNUSED(state);
    static const char *const methods[] = {"saliency", "input-x-gradient", "occlusion"};
    test_net *t = test_toy_open("oracle_conv_two_inputs");
    const oxp_tensor in[2] = {test_toy_array(t, "oracle_conv_two_inputs", "input__x"),
                              test_toy_array(t, "oracle_conv_two_inputs", "input__y")};
    for (size_t m = 0; m < OXP_COUNT(methods); m++) {
        const oxp_explanation both =
            test_explain(t, &(test_ask){.method = methods[m], .wrt = {"y", "x"}}, in, 2);
        const oxp_explanation one =
            test_explain(t, &(test_ask){.method = methods[m], .wrt = {"x"}}, in, 2);
        assert_int_equal(both.n_maps, 2);
        assert_string_equal(both.maps[0].tensor, "y");
        assert_string_equal(both.maps[1].tensor, "x");
        test_close(&both.maps[1].raw, &one.maps[0].raw, 1e-12, methods[m]);
    }
    /* relu1 -> flat -> (+1 x5, -1 x3): the gradient at flat, its product, and one at a time off */
    const double w[8] = {1, 1, 1, 1, 1, -1, -1, -1};
    oxp_explanation e = test_explain(t, &(test_ask){.method = "saliency", .wrt = {"flat"}}, in, 2);
    test_close_to(&e.maps[0].raw, w, 8, 1e-12, "gradient at flat");
    const oxp_explanation product =
        test_explain(t, &(test_ask){.method = "input-x-gradient", .wrt = {"flat"}}, in, 2);
    e = test_explain(t, &(test_ask){.method = "occlusion", .wrt = {"flat"}}, in, 2);
    test_close(&e.maps[0].raw, &product.maps[0].raw, 1e-12, "linear behind flat");
    e = test_explain(t, &(test_ask){.method = "integrated-gradients", .wrt = {"flat"}}, in, 2);
    test_close(&e.maps[0].raw, &product.maps[0].raw, 1e-9, "linear behind flat");
    test_net_close(t);
}

/* ---- rules ---- */

/* f(x), f'(x) of every branch of ask_rectifiers; g as there. */
static double slope(const char *kind, double x)
{
    const double e = exp(-x), s = 1.0 / (1.0 + e), sp = log1p(exp(x)), th = tanh(sp);
    const double pi = 3.14159265358979323846;
    if (strcmp(kind, "relu") == 0 || strcmp(kind, "max") == 0) return x > 0;
    if (strcmp(kind, "leaky") == 0) return x > 0 ? 1.0 : 0.1;
    if (strcmp(kind, "prelu") == 0) return x > 0 ? 1.0 : (double)0.2f;
    if (strcmp(kind, "elu") == 0) return x > 0 ? 1.0 : 1.5 * exp(x);
    if (strcmp(kind, "celu") == 0) return x > 0 ? 1.0 : exp(x / 2);
    if (strcmp(kind, "selu") == 0) return 1.25 * (x > 0 ? 1.0 : 1.5 * exp(x));
    if (strcmp(kind, "threshold") == 0) return x > 2;
    if (strcmp(kind, "clip") == 0) return x > 0 && x < 6;
    if (strcmp(kind, "softplus") == 0) return s;
    if (strcmp(kind, "silu") == 0) return s + x * s * (1 - s);
    if (strcmp(kind, "sigmoid") == 0) return s * (1 - s);
    if (strcmp(kind, "mish") == 0) return th + x * (1 - th * th) * s;
    if (strcmp(kind, "gelu") == 0)
        return 0.5 * (1 + erf(x / sqrt(2.0))) + x * exp(-x * x / 2) / sqrt(2 * pi);
    assert_string_equal(kind, "hardswish");
    return x >= 3 ? 1.0 : x > -3 ? x / 3 + 0.5 : 0.0;
}

/* Guided: max(g, 0) f'(x) 1[x > 0]; no mask at Softplus; a Sigmoid is not a rectifier. */
static void rectifiers(void **state)
{
    OXP_UNUSED(state);
    static const char *const kinds[] = {"relu", "leaky", "prelu",     "elu",       "celu",
                                        "selu", "clip",  "threshold", "hardswish", "softplus",
                                        "max",  "gelu",  "silu",      "mish",      "sigmoid"};
    static const double g[8] = {1, -1, 2, 1, -2, 0.5, 1, 3};
    test_net *t = test_toy_open("ask_rectifiers");
    const oxp_tensor x = test_toy_array(t, "ask_rectifiers", "input__x");
    for (size_t k = 0; k < OXP_COUNT(kinds); k++)
        for (int fused = 0; fused < 2; fused++) {
            char tensor[64];
            snprintf(tensor, sizeof tensor, "y_%s", kinds[k]);
            test_ask ask = {
                .method = "guided-backprop", .tensor = tensor, .sum = true, .fused = fused == 1};
            const bool is_gate = strcmp(kinds[k], "sigmoid") == 0;
            const bool unmasked = is_gate || strcmp(kinds[k], "softplus") == 0;
            double guided[8], plain[8], deconv[8];
            for (int i = 0; i < 8; i++) {
                const double v = oxp_tensor_get(&x, i), dy = is_gate ? g[i] : fmax(g[i], 0.0);
                guided[i] = dy * slope(kinds[k], v) * (v > 0 || unmasked);
                plain[i] = g[i] * slope(kinds[k], v);
                deconv[i] = is_gate ? plain[i] : dy;
            }
            const double tolerance = fused ? 1e-5 : 1e-6; /* 1/sqrt 2 is stored in float */
            oxp_explanation e = test_explain(t, &ask, &x, 1);
            test_close_to(&e.maps[0].raw, guided, 8, tolerance, kinds[k]);
            assert_int_equal(e.n_touched, is_gate ? 0 : 1);
            if (!is_gate) assert_string_equal(e.touched[0].rule, "guided");
            if (!is_gate) assert_true(e.touched[0].origin[0] != '\0');
            assert_int_equal(is_gate, e.n_notes > 0 && strstr(e.notes[0], "no rectifier") != NULL);
            ask.method = "deconvnet";
            e = test_explain(t, &ask, &x, 1);
            test_close_to(&e.maps[0].raw, deconv, 8, tolerance, kinds[k]);
            ask.method = "saliency";
            e = test_explain(t, &ask, &x, 1);
            test_close_to(&e.maps[0].raw, plain, 8, tolerance, kinds[k]);
            assert_int_equal(e.n_touched, 0);
        }
    test_net_close(t);
}

/* Each replaced node is named, in backward order. */
static void rules_name_their_nodes(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("oracle_conv");
    const oxp_tensor x = test_toy_array(t, "oracle_conv", "input__x");
    oxp_explanation e = test_explain(t, &(test_ask){.method = "guided-backprop"}, &x, 1);
    assert_int_equal(e.n_touched, 2);
    assert_string_equal(e.touched[0].origin, "Relu_out");
    assert_string_equal(e.touched[1].origin, "Relu_relu1");
    assert_string_equal(e.touched[1].op, "Relu");
    e = test_explain(t, &(test_ask){.method = "lrp"}, &x, 1);
    assert_string_equal(e.touched[e.n_touched - 1].rule, "epsilon");
    assert_string_equal(e.touched[e.n_touched - 1].origin, "Conv_conv1");
    test_net_close(t);
}

/* conv1's second channel sums to -30: refused unless the formula was chosen; relu1 is fine. */
static void negative_activations(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("oracle_conv");
    const oxp_tensor x = test_toy_array(t, "oracle_conv", "input__x");
    for (int fused = 0; fused < 2; fused++) {
        test_ask ask = {.method = "grad-cam++", .layers = {"conv1"}, .fused = fused == 1};
        test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
        assert_non_null(strstr(t->error.message, "'conv1'"));
        assert_non_null(strstr(t->error.message, "variant"));
        for (int k = 0; k < 3; k++) {
            ask.params[0] = k == 0 ? "variant=paper" : k == 1 ? "variant=pgc" : "variant=xplique";
            test_explain(t, &ask, &x, 1);
        }
        ask = (test_ask){.method = "grad-cam++", .layers = {"relu1"}, .fused = fused == 1};
        test_explain(t, &ask, &x, 1);
        ask = (test_ask){.method = "smoothgrad",
                         .params = {"method=grad-cam++", "samples=2"},
                         .layers = {"conv1"},
                         .fused = fused == 1};
        test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    }
    test_net_close(t);
}

/* ---- long drives ---- */

static int measure(const char *what, uint64_t done, uint64_t total, void *user)
{
    OXP_UNUSED(what);
    size_t *bytes = user; /* at the first report, at the last */
    oxp_ctx *ctx = *(oxp_ctx **)(bytes + 2);
    bytes[2 * done > total] = oxp_arena_bytes(ctx->scratch);
    return 0;
}

/* Hundreds of passes need no more memory than a few. */
static void long_drives_stay_small(void **state)
{
    OXP_UNUSED(state);
    static const test_ask asks[] = {
        {.method = "integrated-gradients", .params = {"steps=450"}},
        {.method = "smoothgrad", .params = {"samples=450"}},
        {.method = "smoothgrad",
         .params = {"samples=450", "method=integrated-gradients", "steps=3"}},
        {.method = "occlusion", .params = {"window=1", "stride=1"}}};
    test_net *t = test_toy_open("cnn2d");
    oxp_tensor x = test_toy_array(t, "cnn2d", "input__x");
    x.shape.dim[0] = 1;
    for (size_t k = 0; k < OXP_COUNT(asks); k++) {
        struct {
            size_t bytes[2];
            oxp_ctx *ctx;
        } seen = {{0, 0}, &t->ctx};
        test_ask ask = asks[k];
        ask.fused = true;
        t->ctx.progress = measure;
        t->ctx.progress_user = &seen;
        test_explain(t, &ask, &x, 1);
        t->ctx.progress = NULL;
        assert_true(seen.bytes[0] > 0 && seen.bytes[1] > 0);
        if (seen.bytes[1] > seen.bytes[0] + 1024)
            fail_msg("%s grows by %zu bytes", ask.method, seen.bytes[1] - seen.bytes[0]);
    }
    test_net_close(t);
}

static void windows_are_checked(void **state)
{
    OXP_UNUSED(state);
    static const char *const bad[] = {"window=a",  "window=2,",  "window=,2",        "window=",
                                      "window=-3", "stride=1.5", "stride=9999999999"};
    test_net *t = test_toy_open("oracle_conv");
    const oxp_tensor x = test_toy_array(t, "oracle_conv", "input__x");
    for (size_t k = 0; k < OXP_COUNT(bad); k++)
        test_explain_fails(t, &(test_ask){.method = "occlusion", .params = {bad[k]}}, &x, 1,
                           OXP_EINVAL);
    test_explain_fails(t, &(test_ask){.method = "occlusion", .params = {"window=2", "stride=3"}},
                       &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "gaps"));
    test_explain_fails(t, &(test_ask){.method = "saliency", .params = {"channels=max,sum"}}, &x, 1,
                       OXP_EINVAL);
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_of_nets),         cmocka_unit_test(a_class_token),
        cmocka_unit_test(tokens_of_a_text),       cmocka_unit_test(bytes_with_channels_last),
        cmocka_unit_test(several_tensors),        cmocka_unit_test(rectifiers),
        cmocka_unit_test(rules_name_their_nodes), cmocka_unit_test(negative_activations),
        cmocka_unit_test(long_drives_stay_small), cmocka_unit_test(windows_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
