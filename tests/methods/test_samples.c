/* test_samples.c - real models: outputs against ONNX Runtime's, gradients, Grad-CAM and attention
 * gradients against PyTorch's.
 *
 * Where there is no reference for the gradient, it is held against differences of outputs in double.
 * Each row runs in both executors: plain (double) and fused (float). Models that may not be in the
 * repository are read from beside it and skipped, by name, when they are not there. Tolerances
 * are relative to the reference's maximum. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HERE   OXP_SOURCE_DIR "/tests/data/samples/"
#define BESIDE OXP_SAMPLES_DIR "/"

typedef struct sample_check {
    const char *ref; /* file in the io folder; NULL ends */
    test_ask ask;
    bool per_item; /* classes from ref_class.npy, item by item */
} sample_check;

typedef struct sample {
    const char *root, *model, *io;
    const char *inputs[3], *output;
    double tolerance;
    sample_check checks[8];
} sample;

/* No reference: the gradient of one element of the output, held against differences. */
#define DIFFERENCES ""
#define AT(element)                                                         \
    {                                                                       \
        {                                                                   \
            DIFFERENCES, {.method = "saliency", .target = (element)}, false \
        }                                                                   \
    }

#define VIT_ATTENTION(n)  "/b." #n "/a/Softmax_output_0"
#define BERT_ATTENTION(n) "/layer." #n "/Softmax_output_0"

static const sample samples[] = {
    {HERE,
     "vit_tiny_fashion_mnist.onnx",
     "vit_tiny_fashion_mnist.io",
     {"input__image.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_of_ref_class.npy", {.method = "saliency"}, true},
      {"ref_attention_grad_block0.npy", {.method = "saliency", .wrt = {VIT_ATTENTION(0)}}, true},
      {"ref_attention_grad_block1.npy", {.method = "saliency", .wrt = {VIT_ATTENTION(1)}}, true},
      {"ref_attention_grad_block2.npy", {.method = "saliency", .wrt = {VIT_ATTENTION(2)}}, true}}},
    {HERE,
     "bert_tiny_sms_spam.onnx",
     "bert_tiny_sms_spam.io",
     {"input__input_ids.npy", "input__attention_mask.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_class1_wrt_word_embedding.npy", {.method = "saliency", .target = 1}, false}}},
    {HERE,
     "ecg_apc_cnn1d_rec100.onnx",
     "ecg_apc_cnn1d_rec100.io",
     {"input__ecg.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_class1.npy", {.method = "saliency", .target = 1}, false},
      {"ref_gradcam_class1_last_relu.npy", {.method = "grad-cam", .target = 1}, false}}},
    {HERE,
     "breast_cancer_mlp.onnx",
     "breast_cancer_mlp.io",
     {"input__features.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_class0.npy", {.method = "saliency", .target = 0}, false}}},
    {BESIDE,
     "a_image_classification/resnet8_cifar10_mlperf_tiny.onnx",
     "a_image_classification/resnet8_cifar10_mlperf_tiny.io",
     {"input__image.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_class3.npy", {.method = "saliency", .target = 3}, false},
      {"ref_gradcam_class3_add_11_relu.npy",
       {.method = "grad-cam", .target = 3, .layers = {"add_11_relu"}},
       false}}},
    {BESIDE,
     "a_image_classification/squeezenet1.0_imagenet_fp16.onnx",
     "a_image_classification/squeezenet1.0_imagenet_fp16.chelsea",
     {"input__data_0.npy"},
     "output__softmaxout_1.npy",
     2e-3,
     {{"ref_grad_class285.npy", {.method = "saliency", .target = 285}, false},
      {"ref_gradcam_class285_fire9_concat_1.npy",
       {.method = "grad-cam", .target = 285, .layers = {"fire9/concat_1"}},
       false}}},
    {BESIDE,
     "d_text/bert_tiny_sms_spam.onnx",
     "d_text/bert_tiny_sms_spam.io",
     {"input__input_ids.npy", "input__attention_mask.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_spam_wrt_word_embedding.npy", {.method = "saliency", .target = 1}, false},
      {"ref_attention_grad_layer0.npy",
       {.method = "saliency", .target = 1, .wrt = {BERT_ATTENTION(0)}},
       false},
      {"ref_attention_grad_layer1.npy",
       {.method = "saliency", .target = 1, .wrt = {BERT_ATTENTION(1)}},
       false}}},
    {BESIDE,
     "f_timeseries_ecg/ecg_apc_cnn1d_rec100.onnx",
     "f_timeseries_ecg/ecg_apc_cnn1d_rec100.io",
     {"input__ecg.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_class1.npy", {.method = "saliency", .target = 1}, false},
      {"ref_gradcam_class1_last_relu.npy", {.method = "grad-cam", .target = 1}, false}}},
    {BESIDE,
     "e_audio/kws_dscnn_mlperf_tiny.onnx",
     "e_audio/kws_dscnn_mlperf_tiny.yes",
     {"input__mfcc.npy"},
     "output__logits.npy",
     1e-4,
     {{"ref_grad_class9.npy", {.method = "saliency", .target = 9}, false},
      {"ref_gradcam_class9_conv_8_relu.npy",
       {.method = "grad-cam", .target = 9, .layers = {"conv_8_relu"}},
       false}}},
    {BESIDE,
     "a_image_classification/dianna_mnist01.onnx",
     "a_image_classification/dianna_mnist01.io",
     {"input__input.npy"},
     "output__output.npy",
     1e-4,
     {{0}}},
    {BESIDE,
     "j_tabular/dianna_penguin.onnx",
     "j_tabular/dianna_penguin.io",
     {"input__input_1.npy"},
     "output__dense_1.npy",
     1e-4,
     {{0}}},
    {BESIDE,
     "g_3d_segmentation/meshnet5_brain_gwm.onnx",
     "g_3d_segmentation/meshnet5_brain_gwm.io",
     {"input__volume.npy"},
     "output__logits.npy",
     1e-4,
     {{0}}},
    {BESIDE,
     "e_audio/silero_vad_16k_op15.onnx",
     "e_audio/silero_vad_16k_op15.io",
     {"input__input.npy", "input__state.npy", "input__sr.npy"},
     "output__output.npy",
     1e-4,
     AT(0)},
    {BESIDE,
     "f_timeseries_ecg/dianna_season_temp_max.onnx",
     "f_timeseries_ecg/dianna_season_temp_max.io",
     {"input__input_3_0.npy"},
     "output__Identity_0.npy",
     1e-4,
     AT(1)},
    {BESIDE,
     "h_2d_segmentation/sinet_portrait_softmax.onnx",
     "h_2d_segmentation/sinet_portrait_softmax.io",
     {"input__data.npy"},
     "output__Softmax_1.npy",
     1e-4,
     AT(102400 + 160 * 320 + 30)},
    {BESIDE,
     "i_detection/ultraface_rfb320.onnx",
     "i_detection/ultraface_rfb320.io",
     {"input__input.npy"},
     "output__scores.npy",
     1e-4,
     AT(8001)},
};

static void check_output(test_net *t, const sample *s, const oxp_tensor *inputs, size_t n,
                         bool fused)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%s/%s", s->root, s->io, s->output);
    const oxp_tensor want = test_npy(t, path);
    oxp_tensor got;
    oxp_arena_reset(t->scratch);
    const oxp_status status = oxp_compute(&t->ctx, &t->net, t->arena, t->net.graph->inputs, inputs,
                                          n, t->net.graph->outputs, 1, 0, !fused, &got);
    if (status != OXP_OK) fail_msg("%s: %s", s->model, t->error.message);
    test_close(&got, &want, s->tolerance, s->model);
}

static void check_attribution(test_net *t, const sample *s, const sample_check *c,
                              const oxp_tensor *inputs, size_t n, bool fused)
{
    char path[4096], what[512];
    snprintf(path, sizeof path, "%s%s/%s", s->root, s->io, c->ref);
    snprintf(what, sizeof what, "%s %s %s", s->model, c->ref, fused ? "fused" : "plain");
    const oxp_tensor want = test_npy(t, path);
    test_ask ask = c->ask;
    ask.fused = fused;
    if (!c->per_item) {
        const oxp_explanation e = test_explain(t, &ask, inputs, n);
        test_close(&e.maps[0].raw, &want, s->tolerance, what);
        return;
    }
    snprintf(path, sizeof path, "%s%s/ref_class.npy", s->root, s->io);
    const oxp_tensor classes = test_npy(t, path);
    for (int64_t i = 0; i < want.shape.dim[0]; i++) {
        const oxp_tensor x = test_items(inputs[0], i, 1), item = test_items(want, i, 1);
        ask.target = oxp_tensor_get_int(&classes, i);
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close(&e.maps[0].raw, &item, s->tolerance, what);
    }
}

/* f(x), with the first input moved by step along `direction`. */
static double probe(test_net *t, const sample *s, const oxp_tensor *inputs, size_t n,
                    int64_t element, const double *direction, double step)
{
    oxp_tensor moved[3], got;
    memcpy(moved, inputs, n * sizeof *moved);
    const int64_t cells = oxp_shape_elements(&inputs[0].shape);
    double *x = oxp_arena_alloc(t->arena, (size_t)cells, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < cells; i++) x[i] = oxp_tensor_get(&inputs[0], i) + step * direction[i];
    moved[0].dtype = OXP_F64;
    moved[0].data = x;
    oxp_arena_reset(t->scratch);
    const oxp_status status = oxp_compute(&t->ctx, &t->net, t->arena, t->net.graph->inputs, moved,
                                          n, t->net.graph->outputs, 1, 0, true, &got);
    if (status != OXP_OK) fail_msg("%s: %s", s->model, t->error.message);
    return oxp_tensor_get(&got, element);
}

/* The gradient times a direction of small steps against the difference along it. */
static void check_differences(test_net *t, const sample *s, int64_t element,
                              const oxp_tensor *inputs, size_t n, bool fused)
{
    const test_ask ask = {.method = "saliency",
                          .target = element,
                          .element = true,
                          .space = OXP_SPACE_OUTPUT,
                          .fused = fused};
    const int64_t cells = oxp_shape_elements(&inputs[0].shape);
    double *direction = oxp_arena_alloc(t->arena, (size_t)cells, sizeof *direction);
    assert_non_null(direction);
    const oxp_explanation e = test_explain(t, &ask, inputs, n);
    const oxp_tensor *gradient = &e.maps[0].raw;
    assert_int_equal(oxp_shape_elements(&gradient->shape), cells);
    double want = 0.0, size = 0.0;
    for (int64_t i = 0; i < cells; i++) {
        direction[i] = (double)((i * 2654435761 >> 7) % 201 - 100) / 100.0;
        want += direction[i] * oxp_tensor_get(gradient, i);
        size += fabs(direction[i] * oxp_tensor_get(gradient, i));
    }
    const double h = 1e-7, slope = (probe(t, s, inputs, n, element, direction, h) -
                                    probe(t, s, inputs, n, element, direction, -h)) /
                                   (2 * h);
    if (!(size > 0.0) || !(fabs(slope - want) <= 1e-4 * size))
        fail_msg("%s: the slope is %.9g, the gradient says %.9g (of %.3g)", s->model, slope, want,
                 size);
}

static void run(bool fused)
{
    size_t done = 0;
    for (size_t k = 0; k < OXP_COUNT(samples); k++) {
        const sample *s = &samples[k];
        char path[4096];
        snprintf(path, sizeof path, "%s%s", s->root, s->model);
        if (access(path, R_OK) != 0) {
            print_message("skipped: %s is not beside the tree\n", s->model);
            continue;
        }
        test_net *t = test_net_open(path);
        oxp_tensor inputs[3];
        size_t n = 0;
        for (; n < 3 && s->inputs[n]; n++) {
            snprintf(path, sizeof path, "%s%s/%s", s->root, s->io, s->inputs[n]);
            inputs[n] = test_npy(t, path);
        }
        check_output(t, s, inputs, n, fused);
        for (const sample_check *c = s->checks; c->ref; c++)
            if (c->ref[0])
                check_attribution(t, s, c, inputs, n, fused);
            else
                check_differences(t, s, c->ask.target, inputs, n, fused);
        test_net_close(t);
        done++;
    }
    assert_true(done >= 4);
}

static void samples_plain(void **state)
{
    OXP_UNUSED(state);
    run(false);
}

static void samples_fused(void **state)
{
    OXP_UNUSED(state);
    run(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples_plain),
                                       cmocka_unit_test(samples_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
