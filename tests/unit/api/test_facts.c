/*
 * What can be asked of options, models and results without reading their JSON: option structs of other versions,
 * names of tensors, axes, classes and words, and what a result says about how it was found.
 */
#include "onnxplain.h"
#include "support/support.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOY(name)    OXP_SOURCE_DIR "/tests/data/toy/" name
#define SAMPLE(name) OXP_SOURCE_DIR "/tests/data/samples/" name

static const float ramp[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const oxp_array image = {.dtype = OXP_F32, .rank = 4, .dims = {1, 1, 4, 4}, .data = ramp};

static oxp_model *open_file(const char *path)
{
    oxp_model *model = NULL;
    oxp_error error = {0};
    if (oxp_model_open(&model, path, NULL, &error) != OXP_OK) fail_msg("%s", error.message);
    return model;
}

static oxp_result *explain(const oxp_model *model, const char *method, const char *target,
                           const char *contrast)
{
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    oxp_explainer *explainer = NULL;
    oxp_result *result = NULL;
    oxp_error error = {0};
    options.method = method;
    options.precision = "f64";
    if (oxp_explainer_new(&explainer, model, &options, &error) != OXP_OK ||
        oxp_explain(&result, explainer, &image, 1, target, contrast, &error) != OXP_OK)
        fail_msg("%s: %s", method, error.message);
    oxp_explainer_free(explainer);
    return result;
}

/* ---- option structs ---- */

/* What a later version's struct would be, and an earlier one's. */
typedef struct longer {
    oxp_explain_options known;
    void *later[3];
} longer;

static void test_options_of_other_versions(void **state)
{
    oxp_model *model = open_file(TOY("oracle_conv.onnx"));
    oxp_explainer *explainer = NULL;
    oxp_error error = {0};
    longer options = {.known = OXP_EXPLAIN_OPTIONS_INIT};
    (void)state;
    options.known.struct_size = sizeof options;
    options.known.method = "input-x-gradient";
    assert_int_equal(oxp_explainer_new(&explainer, model, &options.known, &error), OXP_OK);
    oxp_explainer_free(explainer);
    explainer = NULL;
    options.later[2] = &options;
    assert_int_equal(oxp_explainer_new(&explainer, model, &options.known, &error), OXP_EINVAL);
    assert_null(explainer);
    assert_non_null(strstr(error.message, "oxp_explain_options sets a field that onnxplain"));
    options.known.struct_size = sizeof options.known; /* then it is not looked at */
    assert_int_equal(oxp_explainer_new(&explainer, model, &options.known, &error), OXP_OK);
    oxp_explainer_free(explainer);
    static const size_t never[] = {0, 8, sizeof options.known - 1, SIZE_MAX, (size_t)1 << 20};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        explainer = NULL;
        options.known.struct_size = never[i];
        assert_int_equal(oxp_explainer_new(&explainer, model, &options.known, &error), OXP_EINVAL);
        assert_null(explainer);
        assert_non_null(strstr(error.message, "initialise the struct"));
    }
    oxp_model_free(model);
}

/* ---- models ---- */

static void test_tensors_that_can_be_named(void **state)
{
    (void)state;
    oxp_model *model = open_file(TOY("oracle_conv.onnx"));
    const size_t n = oxp_model_tensor_count(model);
    assert_true(n >= 3);
    assert_string_equal(oxp_model_tensor(model, 0), "x");
    assert_null(oxp_model_tensor(model, n));
    assert_null(oxp_model_tensor(NULL, 0));
    bool seen = false;
    for (size_t i = 0; i < n; i++) {
        oxp_values *values = NULL;
        oxp_error error = {0};
        const char *name = oxp_model_tensor(model, i);
        seen = seen || strcmp(name, "out") == 0;
        if (oxp_run(&values, model, &image, 1, &name, 1, NULL, &error) != OXP_OK)
            fail_msg("%s: %s", name, error.message);
        assert_string_equal(oxp_values_get(values, 0).name, name);
        oxp_values_free(values);
    }
    assert_true(seen);
    oxp_model_free(model);
}

static void test_axes_and_unknown_ranks(void **state)
{
    (void)state;
    oxp_model *model = open_file(TOY("oracle_conv_batch.onnx"));
    assert_string_equal(oxp_model_input_axis(model, 0, 0), "N");
    assert_int_equal(oxp_model_input(model, 0).dims[0], -1);
    assert_null(oxp_model_input_axis(model, 0, 1)); /* it has a size */
    assert_null(oxp_model_input_axis(model, 0, 4));
    assert_null(oxp_model_input_axis(model, 0, -1));
    assert_null(oxp_model_input_axis(model, 1, 0));
    assert_string_equal(oxp_model_output_axis(model, 0, 0), "N");
    assert_null(oxp_model_output_axis(model, 0, 1));
    assert_null(oxp_model_output_axis(model, 1, 0));
    oxp_model_free(model);
    model = open_file(TOY("table_linear__tensor.onnx"));
    assert_int_equal(oxp_model_output(model, 0).rank, -1);
    assert_null(oxp_model_output_axis(model, 0, 0));
    assert_int_equal(oxp_model_input(model, 0).rank, 2);
    oxp_model_free(model);
}

static json_t *inspect(const char *path)
{
    oxp_model *model = open_file(path);
    oxp_text *text = NULL;
    oxp_error error = {0};
    if (oxp_inspect(&text, model, "json", NULL, 0, &error) != OXP_OK) fail_msg("%s", error.message);
    json_error_t why;
    json_t *found = json_loads(oxp_text_str(text), 0, &why);
    if (!found) fail_msg("%s", why.text);
    oxp_text_free(text);
    oxp_model_free(model);
    return found;
}

/* The first tensor of a list, and its shape as JSON. */
static void assert_tensor(const json_t *entry, const char *name, const char *shape)
{
    char *dims = json_dumps(json_object_get(entry, "shape"), JSON_COMPACT | JSON_ENCODE_ANY);
    const char *key = json_object_get(entry, "name") ? "name" : "tensor";
    assert_string_equal(json_string_value(json_object_get(entry, key)), name);
    assert_string_equal(dims, shape);
    free(dims);
}

static void test_what_can_be_explained_as_json(void **state)
{
    (void)state;
    json_t *j = inspect(TOY("oracle_conv_batch.onnx"));
    assert_tensor(json_array_get(json_object_get(j, "inputs"), 0), "x", "[\"N\",1,4,4]");
    assert_tensor(json_array_get(json_object_get(j, "outputs"), 0), "out", "[\"N\",4]");
    const json_t *score = json_object_get(j, "score");
    assert_tensor(score, "out", "[1,4]");
    assert_int_equal(json_integer_value(json_object_get(score, "classes")), 4);
    assert_string_equal(json_string_value(json_object_get(score, "space")), "output");
    assert_tensor(json_array_get(json_object_get(j, "gradients"), 0), "x", "[1,1,4,4]");
    const json_t *layers = json_object_get(j, "layers");
    assert_true(json_array_size(layers) > 0);
    /* the automatic choice comes first */
    oxp_model *model = open_file(TOY("oracle_conv.onnx"));
    oxp_result *r = explain(model, "grad-cam", NULL, NULL);
    const json_t *first = json_object_get(json_array_get(layers, 0), "tensor");
    assert_string_equal(json_string_value(first), oxp_result_layer(r));
    oxp_result_free(r);
    oxp_model_free(model);
    json_decref(j);
    j = inspect(TOY("table_linear__tensor.onnx")); /* no shape, no name */
    assert_true(
        json_is_null(json_object_get(json_array_get(json_object_get(j, "outputs"), 0), "shape")));
    assert_true(json_is_null(json_object_get(json_object_get(j, "score"), "tensor")));
    json_decref(j);
    j = inspect(SAMPLE("vit_tiny_fashion_mnist.onnx"));
    assert_true(json_array_size(json_object_get(j, "attention")) > 0);
    json_decref(j);
}

static void test_labels_are_copied(void **state)
{
    (void)state;
    oxp_model *model = open_file(TOY("oracle_conv.onnx"));
    char first[] = "cup";
    const char *const labels[] = {first, NULL, "plate"};
    assert_int_equal(oxp_model_label_count(model), 0);
    assert_int_equal(oxp_model_set_labels(model, labels, 3, NULL), OXP_OK);
    first[0] = 'p';
    assert_int_equal(oxp_model_label_count(model), 3);
    assert_string_equal(oxp_model_label(model, 0), "cup");
    assert_null(oxp_model_label(model, 1));
    assert_null(oxp_model_label(model, 3));
    oxp_result *result = explain(model, "saliency", "plate", NULL);
    assert_int_equal(oxp_result_target(result, 0), 2);
    oxp_result_free(result);
    assert_int_equal(oxp_model_set_labels(model, NULL, 1, NULL), OXP_EINVAL);
    assert_int_equal(oxp_model_label_count(model), 3); /* those that it had */
    assert_int_equal(oxp_model_set_labels(model, NULL, 0, NULL), OXP_OK);
    assert_null(oxp_model_label(model, 0));
    oxp_model_free(model);
}

static void test_words_of_ids(void **state)
{
    int starts = 7;
    oxp_error error = {0};
    (void)state;
    oxp_model *model = open_file(SAMPLE("bert_tiny_sms_spam.onnx"));
    assert_null(oxp_model_word(model, 2, &starts));
    assert_int_equal(starts, 0);
    if (oxp_model_load_vocabulary(model, SAMPLE("bert_tiny_vocab.txt"), &error) != OXP_OK)
        fail_msg("%s", error.message);
    assert_string_equal(oxp_model_word(model, 2, &starts), "[CLS]"); /* its third line */
    assert_int_equal(starts, 1);
    assert_null(oxp_model_word(model, -1, NULL));
    assert_null(oxp_model_word(model, INT64_MAX, NULL));
    char *folder = oxp_test_tmpdir(), *path = oxp_test_path(folder, "vocab.txt");
    oxp_test_write(path, "play\n##ing\n", 11);
    assert_int_equal(oxp_model_load_vocabulary(model, path, NULL), OXP_OK);
    assert_string_equal(oxp_model_word(model, 1, &starts), "ing");
    assert_int_equal(starts, 0);
    assert_null(oxp_model_word(model, 2, NULL));
    oxp_model_free(model);
    free(path);
    oxp_test_rmtree(folder);
}

/* Inputs, values and texts need the model no longer. */
static void test_what_outlives_its_model(void **state)
{
    oxp_input *input = NULL, *grey = NULL;
    oxp_values *values = NULL;
    oxp_text *text = NULL;
    oxp_error error = {0};
    (void)state;
    oxp_model *model = open_file(TOY("contrib_picture__parts.onnx"));
    assert_int_equal(
        oxp_input_load(&input, model, OXP_SOURCE_DIR "/tests/data/media/rgb8.png", NULL, &error),
        OXP_OK);
    const oxp_array x = oxp_input_array(input);
    assert_int_equal(oxp_run(&values, model, &x, 1, NULL, 0, NULL, &error), OXP_OK);
    assert_int_equal(oxp_inspect(&text, model, "summary", NULL, 0, &error), OXP_OK);
    oxp_model_free(model);
    assert_int_equal(oxp_input_fill(&grey, input, "grey", &error), OXP_OK);
    assert_string_equal(oxp_input_array(grey).name, oxp_input_array(input).name);
    assert_true(strlen(oxp_input_description(input)) > 20);
    assert_true(strlen(oxp_values_get(values, 0).name) > 0);
    assert_true(isfinite(((const float *)oxp_values_get(values, 0).data)[0]));
    assert_non_null(strstr(oxp_text_str(text), "contrib_picture__parts.onnx"));
    oxp_text_free(text);
    oxp_values_free(values);
    oxp_input_free(grey);
    oxp_input_free(input);
}

/* A result needs its model, but not its explainer. */
static void test_results_outlive_explainers(void **state)
{
    (void)state;
    oxp_model *model = open_file(TOY("oracle_conv.onnx"));
    oxp_result *r = explain(model, "guided-backprop", "2", ""); /* frees the explainer */
    oxp_text *text = NULL;
    oxp_blob *png = NULL;
    assert_int_equal(oxp_result_json(&text, r, NULL, 0, NULL), OXP_OK);
    assert_non_null(strstr(oxp_text_str(text), "\"nodes_with_rules\""));
    assert_int_equal(oxp_render(&png, r, 0, 0, NULL, "png", NULL, NULL), OXP_OK);
    assert_string_equal(oxp_result_map(r, 0).tensor, "x");
    assert_non_null(oxp_result_map(r, 0).reduction);
    for (size_t i = 0; i < oxp_result_note_count(r); i++) assert_true(*oxp_result_note(r, i));
    oxp_blob_free(png);
    oxp_text_free(text);
    oxp_result_free(r);
    oxp_model_free(model);
}

/* ---- results ---- */

/* The number behind "key": in JSON, from the first place after `after`. */
static double number_of(const char *json, const char *after, const char *key)
{
    char quoted[64];
    const char *at = strstr(json, after);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = at ? strstr(at, quoted) : NULL;
    if (!at) fail_msg("the JSON has no %s after %s", key, after);
    return strtod(at + strlen(quoted), NULL);
}

static void test_a_result_says_what_its_json_says(void **state)
{
    (void)state;
    oxp_model *model = open_file(TOY("oracle_conv.onnx"));
    oxp_result *r = explain(model, "integrated-gradients", "1", "3");
    oxp_text *text = NULL;
    assert_int_equal(oxp_result_json(&text, r, NULL, 0, NULL), OXP_OK);
    const char *json = oxp_text_str(text);
    const oxp_checks checks = oxp_result_checks(r, 0);
    const double score = checks.score, other = checks.contrast_score;
    assert_true(score == number_of(json, "\"target\": {", "score"));
    assert_true(other == number_of(json, "\"contrast\": {", "score"));
    assert_true(checks.completeness_gap == number_of(json, "\"checks\"", "completeness_gap"));
    assert_true(checks.attributed == number_of(json, "\"checks\"", "attributed"));
    assert_true(checks.expected == number_of(json, "\"checks\"", "expected"));
    assert_true(oxp_result_seconds(r) == number_of(json, "\"run\"", "seconds"));
    assert_true(oxp_result_seconds(r) > 0.0);
    assert_true((double)oxp_result_passes(r) == number_of(json, "\"run\"", "passes"));
    assert_true(oxp_result_passes(r) > 1);
    assert_string_equal(oxp_result_method(r), "integrated-gradients");
    assert_string_equal(oxp_result_space(r), "output");
    assert_string_equal(oxp_result_tensor(r), "out");
    assert_null(oxp_result_layer(r));
    bool steps = false;
    for (size_t i = 0; i < oxp_result_param_count(r); i++)
        steps = steps || strncmp(oxp_result_param(r, i), "steps=", 6) == 0;
    assert_true(steps);
    assert_null(oxp_result_param(r, oxp_result_param_count(r)));
    /* and it is what it is called: the sum of the map, and the change of the score */
    const double *raw = oxp_result_map(r, 0).attribution.data;
    double sum = 0.0;
    for (int i = 0; i < 16; i++) sum += raw[i];
    assert_true(fabs(sum - checks.attributed) <= 1e-12 * fabs(sum));
    oxp_values *at_zero = NULL;
    static const float zeros[16];
    oxp_array baseline = image;
    oxp_run_options run = OXP_RUN_OPTIONS_INIT;
    run.precision = "f64";
    baseline.data = zeros;
    assert_int_equal(oxp_run(&at_zero, model, &baseline, 1, NULL, 0, &run, NULL), OXP_OK);
    const double *out = oxp_values_get(at_zero, 0).data;
    assert_true(fabs(checks.expected - ((score - other) - (out[1] - out[3]))) < 1e-12);
    oxp_values_free(at_zero);
    assert_int_equal(oxp_result_map_is_signed(r, 0), 1);
    assert_int_equal(oxp_result_map_is_signed(r, 1), 0);
    oxp_text_free(text);
    oxp_result_free(r);
    oxp_model_free(model);
}

static void test_what_a_result_has_not(void **state)
{
    (void)state;
    oxp_model *model = open_file(TOY("oracle_conv.onnx"));
    oxp_result *r = explain(model, "grad-cam", NULL, NULL);
    assert_true(oxp_result_checks(r, 0).score == oxp_result_top(r, 0, 0).score);
    assert_string_equal(oxp_result_layer(r), oxp_result_map(r, 0).tensor);
    assert_int_equal(oxp_result_map_is_signed(r, 0), 0);
    oxp_result_free(r);
    assert_null(oxp_result_tensor(NULL));
    assert_null(oxp_result_layer(NULL));
    assert_null(oxp_result_param(NULL, 0));
    assert_null(oxp_result_note(NULL, 0));
    assert_int_equal(oxp_result_passes(NULL), 0);
    oxp_model_free(model);
}

/* A config.json that cannot be read does not stop the model, and is no secret. */
static void test_notes_name_bad_sidecars(void **state)
{
    static char bytes[1 << 16];
    (void)state;
    char *folder = oxp_test_tmpdir(), *path = oxp_test_path(folder, "m.onnx"),
         *config = oxp_test_path(folder, "config.json");
    FILE *f = fopen(TOY("oracle_conv.onnx"), "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    oxp_test_write(path, bytes, n);
    oxp_test_write(config, "{\"id2label\": 3", 14);
    oxp_model *model = open_file(path);
    oxp_result *r = explain(model, "saliency", NULL, NULL);
    const size_t notes = oxp_result_note_count(r);
    assert_true(notes > 0);
    assert_non_null(strstr(oxp_result_note(r, notes - 1), "class names were not read"));
    assert_null(oxp_result_note(r, notes));
    oxp_result_free(r);
    oxp_model_free(model);
    free(config);
    free(path);
    oxp_test_rmtree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_other_versions),
        cmocka_unit_test(test_tensors_that_can_be_named),
        cmocka_unit_test(test_axes_and_unknown_ranks),
        cmocka_unit_test(test_what_can_be_explained_as_json),
        cmocka_unit_test(test_labels_are_copied),
        cmocka_unit_test(test_words_of_ids),
        cmocka_unit_test(test_what_outlives_its_model),
        cmocka_unit_test(test_results_outlive_explainers),
        cmocka_unit_test(test_a_result_says_what_its_json_says),
        cmocka_unit_test(test_what_a_result_has_not),
        cmocka_unit_test(test_notes_name_bad_sidecars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
