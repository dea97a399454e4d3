/*
 * The public functions as a program uses them: objects, targets in text, batches, hooks, misuse, and each
 * allocation failed once.
 */
#include "support/alloc.h"
#include "support/support.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOY(name) OXP_SOURCE_DIR "/tests/data/toy/" name

static const float ramp[32] = {0, 1, 2,  3,  4,  5,  6,  7,  8, 9, 10, 11, 12, 13, 14, 15,
                               2, 1, 15, 14, 13, 12, 11, 10, 9, 8, 7,  6,  5,  4,  3,  0};

static oxp_array image(int64_t n)
{
    return (oxp_array){.dtype = OXP_F32, .rank = 4, .dims = {n, 1, 4, 4}, .data = ramp};
}

static oxp_model *open_toy(const char *path)
{
    oxp_model *model = NULL;
    oxp_error error = {0};
    if (oxp_model_open(&model, path, NULL, &error) != OXP_OK) fail_msg("%s", error.message);
    return model;
}

static oxp_explainer *explainer_in(const oxp_model *model, const char *method,
                                   const char *precision)
{
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    oxp_explainer *explainer = NULL;
    oxp_error error = {0};
    options.method = method;
    options.precision = precision;
    if (oxp_explainer_new(&explainer, model, &options, &error) != OXP_OK)
        fail_msg("%s", error.message);
    return explainer;
}

static oxp_explainer *explainer_of(const oxp_model *model, const char *method)
{
    return explainer_in(model, method, "f64");
}

static oxp_result *explain(oxp_explainer *explainer, int64_t n, const char *target,
                           const char *contrast)
{
    oxp_error error = {0};
    oxp_result *result = NULL;
    const oxp_array input = image(n);
    if (oxp_explain(&result, explainer, &input, 1, target, contrast, &error) != OXP_OK)
        fail_msg("%s: %s", target ? target : "", error.message);
    return result;
}

static const double *raw(const oxp_result *result)
{
    return oxp_result_map(result, 0).attribution.data;
}

/* Every way to name the same scalar gives the same gradient. */
static void test_targets_in_text(void **state)
{
    static const char *const same[] = {"0", "out[0,0]", "out[0]", "top1", "cup"};
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv.onnx"));
    char *folder = oxp_test_tmpdir(), *path = oxp_test_path(folder, "names.txt");
    oxp_test_write(path, "cup\nspoon\nplate\nfork\n", 21);
    assert_int_equal(oxp_model_load_labels(model, path, NULL), OXP_OK);
    assert_string_equal(oxp_model_label(model, 3), "fork");
    assert_null(oxp_model_label(model, 4));
    oxp_explainer *explainer = explainer_of(model, "saliency");
    oxp_result *first = explain(explainer, 1, same[0], NULL);
    for (size_t i = 1; i < sizeof same / sizeof *same; i++) {
        oxp_result *other = explain(explainer, 1, same[i], NULL);
        assert_close_f64(raw(other), raw(first), 16, 1e-12);
        oxp_result_free(other);
    }
    /* the sum of all outputs, and a difference of two: equal outputs, equal gradients */
    oxp_result *sum = explain(explainer, 1, "sum:out", NULL);
    for (int i = 0; i < 16; i++) assert_true(fabs(raw(sum)[i] - 4 * raw(first)[i]) < 1e-9);
    oxp_result *difference = explain(explainer, 1, "spoon", "fork");
    assert_int_equal(oxp_result_target(difference, 0), 1);
    assert_int_equal(oxp_result_contrast(difference, 0), 3);
    for (int i = 0; i < 16; i++) assert_true(fabs(raw(difference)[i]) < 1e-12);
    oxp_result_free(difference);
    oxp_result_free(sum);
    oxp_result_free(first);
    oxp_explainer_free(explainer);
    oxp_model_free(model);
    free(path);
    oxp_test_rmtree(folder);
}

static void test_bad_targets_name_what_there_is(void **state)
{
    static const struct {
        const char *target, *contrast, *said;
    } cases[] = {
        {"4", NULL, "there is no class 4"},
        {"-1", NULL, "there is no class -1"},
        {"top0", NULL, "there is no top 0"},
        {"cat", NULL, "class 'cat'"},
        {"out[0,4]", NULL, "is outside the tensor"},
        {"out[1,0]", NULL, "is the batch"},
        {"out[0,0,0]", NULL, "has 3 indices"},
        {"out[x]", NULL, "tensor[i,j,...]"},
        {"oot[0]", NULL, "did you mean 'out'"},
        {"sum:oot", NULL, "did you mean 'out'"},
        {"1", "1", "same class"},
        {"1", "out[0]", "different tensors"},
        {"out[0]", "", "no runner-up"},
    };
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv.onnx"));
    oxp_explainer *explainer = explainer_of(model, "saliency");
    const oxp_array input = image(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        oxp_error error = {0};
        oxp_result *result = NULL;
        assert_int_equal(
            oxp_explain(&result, explainer, &input, 1, cases[i].target, cases[i].contrast, &error),
            OXP_EINVAL);
        assert_null(result);
        if (!strstr(error.message, cases[i].said))
            fail_msg("%s: '%s' says nothing of '%s'", cases[i].target, error.message,
                     cases[i].said);
    }
    oxp_explainer_free(explainer);
    oxp_model_free(model);
}

static void test_batch_items_are_explained_alone(void **state)
{
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv_batch.onnx"));
    oxp_explainer *explainer = explainer_of(model, "input-x-gradient");
    oxp_result *one = explain(explainer, 1, "2", NULL), *two = explain(explainer, 2, "2", NULL);
    assert_int_equal(oxp_result_batch(two), 2);
    assert_int_equal(oxp_result_map(two, 0).map.dims[0], 2);
    assert_close_f64(raw(two), raw(one), 16, 1e-12);
    oxp_result_free(one);
    oxp_result_free(two);
    oxp_explainer_free(explainer);
    oxp_model_free(model);
}

typedef struct log_count {
    int compiled, calls;
} log_count;

static void count_log(const char *topic, const char *line, void *user)
{
    log_count *count = user;
    count->compiled += strcmp(topic, "compile") == 0 && strlen(line) > 0;
}

static int cancel(const char *what, uint64_t done, uint64_t total, void *user)
{
    log_count *count = user;
    count->calls++;
    return what == NULL || done > total || count->calls > 1;
}

static void test_hooks(void **state)
{
    log_count count = {0, 0};
    oxp_model *model;
    oxp_explainer *explainer;
    oxp_result *result = NULL;
    oxp_error error = {0};
    oxp_model_options options = OXP_MODEL_OPTIONS_INIT;
    oxp_explain_options ask = OXP_EXPLAIN_OPTIONS_INIT;
    const oxp_array input = image(1);
    const char *const params[] = {"steps=100"};
    (void)state;
    options.log = count_log;
    options.log_user = &count;
    assert_int_equal(oxp_model_open(&model, TOY("oracle_conv.onnx"), &options, &error), OXP_OK);
    assert_int_equal(oxp_explainer_new(&explainer, model, NULL, &error), OXP_OK);
    for (int i = 0; i < 4; i++) {
        char target[16];
        snprintf(target, sizeof target, "%d", i);
        assert_int_equal(oxp_explain(&result, explainer, &input, 1, target, NULL, &error), OXP_OK);
        assert_int_equal(oxp_result_target(result, 0), i);
        oxp_result_free(result);
    }
    assert_int_equal(count.compiled, 1);
    oxp_explainer_free(explainer);

    ask.method = "integrated-gradients";
    ask.params = params;
    ask.n_params = 1;
    ask.progress = cancel;
    ask.progress_user = &count;
    result = NULL;
    assert_int_equal(oxp_explainer_new(&explainer, model, &ask, &error), OXP_OK);
    assert_int_equal(oxp_explain(&result, explainer, &input, 1, "0", NULL, &error), OXP_ECANCELLED);
    assert_null(result);
    assert_int_equal(count.calls, 2);
    oxp_explainer_free(explainer);
    oxp_model_free(model);
}

static void test_values_between_any_tensors(void **state)
{
    static const char *const wanted[] = {"out", "relu1"};
    static const char *const out[] = {"out"};
    oxp_error error = {0};
    oxp_values *all, *tail;
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv.onnx"));
    const oxp_array input = image(1);
    assert_int_equal(oxp_run(&all, model, &input, 1, wanted, 2, NULL, &error), OXP_OK);
    assert_int_equal(oxp_values_count(all), 2);
    const oxp_array hidden = oxp_values_get(all, 1);
    assert_string_equal(hidden.name, "relu1");
    assert_int_equal(oxp_run(&tail, model, &hidden, 1, out, 1, NULL, &error), OXP_OK);
    assert_close_f32(oxp_values_get(tail, 0).data, oxp_values_get(all, 0).data, 4, 1e-6);
    oxp_values_free(all);
    oxp_values_free(tail);
    oxp_model_free(model);
}

static size_t compiled_lines;

static void count_compilations(const char *topic, const char *line, void *user)
{
    (void)line;
    (void)user;
    compiled_lines += strcmp(topic, "compile") == 0;
}

/* A runner gives what single runs give, and compiles for other shapes, feeds and data that decide shapes only. */
static void test_a_runner_keeps_what_it_compiled(void **state)
{
    static const char *const wanted[] = {"relu1", "out"}, *const out[] = {"out"};
    static const int64_t threes[] = {3}, fours[] = {4};
    static const float row[3] = {1, 2, 3};
    oxp_model_options options = OXP_MODEL_OPTIONS_INIT;
    oxp_error error = {0};
    oxp_model *model = NULL;
    oxp_runner *runner = NULL, *none = NULL;
    oxp_values *kept, *once;
    (void)state;
    options.log = count_compilations;
    assert_int_equal(oxp_model_open(&model, TOY("oracle_conv_batch.onnx"), &options, &error),
                     OXP_OK);
    assert_int_equal(oxp_runner_new(&runner, model, wanted, 2, NULL, &error), OXP_OK);
    for (int turn = 0; turn < 4; turn++) {
        const oxp_array input = image(1 + turn / 2);
        const size_t before = compiled_lines;
        assert_int_equal(oxp_runner_run(&kept, runner, &input, 1, &error), OXP_OK);
        assert_int_equal(compiled_lines == before, turn % 2);
        assert_int_equal(oxp_run(&once, model, &input, 1, wanted, 2, NULL, &error), OXP_OK);
        assert_int_equal(oxp_values_count(kept), 2);
        for (size_t i = 0; i < 2; i++) {
            const oxp_array a = oxp_values_get(kept, i), b = oxp_values_get(once, i);
            size_t n = sizeof(float);
            assert_string_equal(a.name, wanted[i]);
            for (int k = 0; k < a.rank; k++) n *= (size_t)a.dims[k];
            assert_memory_equal(a.data, b.data, n);
        }
        oxp_array hidden = oxp_values_get(once, 0);
        hidden.name = "relu1";
        oxp_values *tail;
        oxp_runner *from_inside;
        assert_int_equal(oxp_runner_new(&from_inside, model, out, 1, NULL, &error), OXP_OK);
        assert_int_equal(oxp_runner_run(&tail, from_inside, &hidden, 1, &error), OXP_OK);
        assert_close_f32(oxp_values_get(tail, 0).data, oxp_values_get(once, 1).data, 4, 1e-6);
        oxp_values_free(tail);
        assert_int_equal(oxp_runner_run(&tail, from_inside, &input, 1, &error), OXP_OK);
        assert_close_f32(oxp_values_get(tail, 0).data, oxp_values_get(once, 1).data, 4, 1e-6);
        oxp_values_free(tail);
        oxp_runner_free(from_inside);
        oxp_values_free(kept);
        oxp_values_free(once);
    }
    oxp_array wrong = image(1);
    wrong.dims[2] = 3;
    kept = NULL;
    assert_int_equal(oxp_runner_run(&kept, runner, &wrong, 1, &error), OXP_EINVAL);
    assert_null(kept);
    const oxp_array input = image(1);
    assert_int_equal(oxp_runner_run(&kept, runner, &input, 1, &error), OXP_OK); /* still of use */
    oxp_values_free(kept);
    assert_int_equal(
        oxp_runner_new(&none, model, (const char *const[]){"nowhere"}, 1, NULL, &error),
        OXP_EINVAL);
    assert_int_equal(oxp_runner_run(&kept, NULL, &input, 1, &error), OXP_EINVAL);
    oxp_runner_free(runner);
    oxp_runner_free(none);
    oxp_model_free(model);

    /* an integer that decides a shape */
    assert_int_equal(oxp_model_open(&model, TOY("ask_count_input.onnx"), &options, &error), OXP_OK);
    assert_int_equal(oxp_runner_new(&runner, model, NULL, 0, NULL, &error), OXP_OK);
    for (int turn = 0; turn < 4; turn++) {
        const oxp_array feeds[] = {
            {.name = "x", .dtype = OXP_F32, .rank = 2, .dims = {1, 3}, .data = row},
            {.name = "n", .dtype = OXP_I64, .data = turn < 2 ? threes : fours}};
        const size_t before = compiled_lines;
        assert_int_equal(oxp_runner_run(&kept, runner, feeds, 2, &error), OXP_OK);
        assert_int_equal(compiled_lines == before, turn % 2);
        assert_int_equal(oxp_run(&once, model, feeds, 2, NULL, 0, NULL, &error), OXP_OK);
        assert_memory_equal(oxp_values_get(kept, 0).data, oxp_values_get(once, 0).data, sizeof row);
        oxp_values_free(kept);
        oxp_values_free(once);
    }
    oxp_runner_free(runner);
    oxp_model_free(model);
}

/* x - x0 for a baseline handed over; the words are the caller's own. */
static void test_baselines_are_handed_over(void **state)
{
    static const char *const params[] = {"baseline=mine", "steps=2"};
    static const float twos[16] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    oxp_explainer *explainer;
    oxp_input *none = NULL;
    oxp_error error = {0};
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv.onnx"));
    oxp_array two = {.dtype = OXP_F32, .rank = 4, .dims = {1, 1, 4, 4}, .data = twos};
    options.method = "integrated-gradients";
    options.params = params;
    options.n_params = 2;
    options.precision = "f64";
    options.baselines = &two;
    options.n_baselines = 1;
    assert_int_equal(oxp_explainer_new(&explainer, model, &options, &error), OXP_OK);
    oxp_result *result = explain(explainer, 1, "0", NULL);
    assert_true(fabs(raw(result)[2]) <= 0.0); /* stays where it is */
    assert_true(raw(result)[5] > 0.0);
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    two.name = "nowhere";
    assert_int_equal(oxp_explainer_new(&explainer, model, &options, &error), OXP_EINVAL);
    assert_non_null(strstr(error.message, "no tensor 'nowhere'"));
    options.baselines = NULL;
    assert_int_equal(oxp_explainer_new(&explainer, model, &options, &error), OXP_EINVAL);
    assert_int_equal(oxp_input_fill(&none, NULL, "black", &error), OXP_EINVAL);
    assert_null(none);
    oxp_model_free(model);
}

static void test_predictions_have_no_maps(void **state)
{
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    oxp_explainer *explainer;
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv.onnx"));
    options.predict_only = 1;
    options.top_k = 4;
    assert_int_equal(oxp_explainer_new(&explainer, model, &options, NULL), OXP_OK);
    oxp_result *result = explain(explainer, 1, NULL, NULL);
    double sum = 0;
    assert_int_equal(oxp_result_map_count(result), 0);
    assert_int_equal(oxp_result_top_count(result), 4);
    for (size_t k = 0; k < 4; k++) sum += oxp_result_top(result, 0, k).probability;
    assert_true(fabs(sum - 1.0) < 1e-6);
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    oxp_model_free(model);
}

/* What a dry run promises is what the run then takes. */
static void test_costs_are_what_runs_take(void **state)
{
    static const char *const methods[] = {"saliency", "occlusion", "smoothgrad", "ablationcam"};
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv.onnx"));
    const oxp_array input = image(1);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        oxp_error error = {0};
        oxp_estimate estimate;
        oxp_text *json;
        char passes[64];
        oxp_explainer *explainer = explainer_in(model, methods[i], "f32");
        assert_int_equal(oxp_explainer_cost(&estimate, explainer, &input, 1, &error), OXP_OK);
        assert_true(estimate.flops > 0 && estimate.workspace_bytes > 0);
        oxp_result *result = explain(explainer, 1, "top1", NULL);
        assert_int_equal(oxp_result_json(&json, result, NULL, 0, &error), OXP_OK);
        snprintf(passes, sizeof passes, "\"passes\": %llu,", (unsigned long long)estimate.passes);
        if (!strstr(oxp_text_str(json), passes)) fail_msg("%s: not %s", methods[i], passes);
        oxp_text_free(json);
        oxp_result_free(result);
        oxp_explainer_free(explainer);
    }
    oxp_model_free(model);
}

/* A file, its bytes and its pixels are one input. */
static void test_inputs_from_memory(void **state)
{
    static const char file_name[] = OXP_SOURCE_DIR "/tests/data/media/rgb8.png";
    static unsigned char bytes[1 << 16];
    oxp_error error = {0};
    oxp_input *file = NULL, *copy = NULL;
    (void)state;
    oxp_model *model = open_toy(TOY("contrib_picture__parts.onnx"));
    FILE *f = fopen(file_name, "rb");
    assert_non_null(f);
    const size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_int_equal(oxp_input_load(&file, model, file_name, NULL, &error), OXP_OK);
    assert_int_equal(oxp_input_load_memory(&copy, model, bytes, size, NULL, &error), OXP_OK);
    memset(bytes + 8, 0, size - 8); /* it was copied */
    const oxp_array a = oxp_input_array(file), b = oxp_input_array(copy);
    assert_int_equal(a.rank, b.rank);
    size_t n = sizeof(float);
    for (int i = 0; i < a.rank; i++) n *= (size_t)a.dims[i];
    assert_memory_equal(a.data, b.data, n);
    assert_string_equal(a.name, b.name);
    oxp_input_free(copy);
    copy = NULL;
    assert_int_equal(oxp_input_load_memory(&copy, model, bytes, size, NULL, &error), OXP_ECORRUPT);
    assert_int_equal(oxp_input_load_memory(&copy, model, NULL, 0, NULL, &error), OXP_EINVAL);
    oxp_array pixels = {.dtype = OXP_U8, .rank = 3, .dims = {32, 32, 3}, .data = bytes};
    assert_int_equal(oxp_input_from_pixels(&copy, model, &pixels, NULL, &error), OXP_OK);
    assert_int_equal(oxp_input_array(copy).rank, a.rank);
    oxp_input_free(copy);
    copy = NULL;
    pixels.dtype = OXP_F32;
    assert_int_equal(oxp_input_from_pixels(&copy, model, &pixels, NULL, &error), OXP_EINVAL);
    assert_non_null(strstr(error.message, "uint8"));
    assert_int_equal(oxp_input_from_pixels(&copy, model, NULL, NULL, &error), OXP_EINVAL);
    assert_null(copy);
    oxp_input_free(file);
    oxp_model_free(model);
}

/* Integrated gradients and DeepLIFT add up to the score's change; saliency promises no sum. */
static void test_checks(void **state)
{
    (void)state;
    oxp_model *model = open_toy(TOY("oracle_conv.onnx"));
    oxp_explainer *explainer = explainer_of(model, "integrated-gradients");
    oxp_result *result = explain(explainer, 2, "1", "2");
    for (size_t item = 0; item < 2; item++) {
        const oxp_checks c = oxp_result_checks(result, item);
        assert_true(c.completeness_gap < 0.05);
        assert_true(isfinite(c.score) && isfinite(c.contrast_score));
    }
    assert_true(isnan(oxp_result_checks(result, 2).score));
    assert_true(isnan(oxp_result_checks(NULL, 0).score));
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    explainer = explainer_of(model, "deeplift");
    result = explain(explainer, 1, "1", NULL);
    const oxp_checks d = oxp_result_checks(result, 0);
    assert_true(fabs(d.attributed - d.expected) <= 1e-6 * fabs(d.expected));
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    explainer = explainer_of(model, "saliency");
    result = explain(explainer, 1, "top1", NULL);
    const oxp_checks c = oxp_result_checks(result, 0);
    assert_true(fabs(c.score - oxp_result_top(result, 0, 0).score) <= 0.0);
    assert_true(isnan(c.contrast_score) && isnan(c.completeness_gap) && isnan(c.attributed));
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    oxp_model_free(model);
}

static void test_misuse_is_an_error(void **state)
{
    oxp_error error = {0};
    oxp_model *model = NULL;
    oxp_explainer *explainer = NULL;
    oxp_result *result = NULL;
    oxp_text *text = NULL;
    oxp_blob *blob = NULL;
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    oxp_array input = image(1);
    (void)state;
    assert_int_equal(oxp_model_open(NULL, TOY("oracle_conv.onnx"), NULL, &error), OXP_EINVAL);
    assert_int_equal(oxp_model_open(&model, NULL, NULL, &error), OXP_EINVAL);
    assert_int_equal(oxp_explainer_new(&explainer, NULL, NULL, &error), OXP_EINVAL);
    assert_int_equal(oxp_explain(&result, NULL, &input, 1, NULL, NULL, &error), OXP_EINVAL);
    assert_int_equal(oxp_result_json(&text, NULL, NULL, 0, &error), OXP_EINVAL);
    assert_int_equal(oxp_render(&blob, NULL, 0, 0, NULL, "png", NULL, &error), OXP_EINVAL);
    assert_int_equal(oxp_inspect(&text, NULL, "layers", NULL, 0, &error), OXP_EINVAL);
    model = open_toy(TOY("oracle_conv.onnx"));
    options.struct_size = 8;
    assert_int_equal(oxp_explainer_new(&explainer, model, &options, &error), OXP_EINVAL);
    assert_non_null(strstr(error.message, "struct_size"));
    options = (oxp_explain_options)OXP_EXPLAIN_OPTIONS_INIT;
    options.precision = "bf8";
    assert_int_equal(oxp_explainer_new(&explainer, model, &options, &error), OXP_EINVAL);
    explainer = explainer_of(model, "saliency");
    assert_int_equal(oxp_explain(&result, explainer, &input, 2, NULL, NULL, &error), OXP_EINVAL);
    assert_int_equal(oxp_explain(&result, explainer, NULL, 1, NULL, NULL, &error), OXP_EINVAL);
    input.dims[2] = -4;
    assert_int_equal(oxp_explain(&result, explainer, &input, 1, NULL, NULL, &error), OXP_EINVAL);
    input = image(1);
    input.data = NULL;
    assert_int_equal(oxp_explain(&result, explainer, &input, 1, NULL, NULL, &error), OXP_EINVAL);
    input = image(1);
    input.name = "y";
    assert_int_equal(oxp_explain(&result, explainer, &input, 1, NULL, NULL, NULL), OXP_EINVAL);
    assert_null(result);
    oxp_explainer_free(explainer);
    oxp_model_free(model);
    oxp_model_free(NULL);
    oxp_explainer_free(NULL);
    oxp_result_free(NULL);
    assert_int_equal(oxp_result_map_count(NULL), 0);
    assert_int_equal(oxp_model_input_count(NULL), 0);
}

/* ---- allocations ---- */

static oxp_status whole_job(const oxp_allocator *hooks)
{
    oxp_model_options options = OXP_MODEL_OPTIONS_INIT;
    oxp_model *model = NULL;
    oxp_explainer *explainer = NULL;
    oxp_result *result = NULL;
    oxp_text *json = NULL, *facts = NULL;
    oxp_blob *png = NULL;
    oxp_runner *runner = NULL;
    oxp_values *values = NULL;
    oxp_error error = {0};
    const oxp_array input = image(1);
    static const char *const labels[] = {"cup", NULL, "plate", "fork"};
    options.allocator = hooks;
    oxp_status status = oxp_model_open(&model, TOY("oracle_conv.onnx"), &options, &error);
    if (status == OXP_OK) status = oxp_model_set_labels(model, labels, 4, &error);
    if (status == OXP_OK) status = oxp_inspect(&facts, model, "json", NULL, 0, &error);
    if (status == OXP_OK) status = oxp_explainer_new(&explainer, model, NULL, &error);
    if (status == OXP_OK)
        status = oxp_explain(&result, explainer, &input, 1, "out[2]", NULL, &error);
    if (status == OXP_OK) status = oxp_result_json(&json, result, NULL, 0, &error);
    if (status == OXP_OK) status = oxp_render(&png, result, 0, 0, NULL, "png", NULL, &error);
    if (status == OXP_OK) status = oxp_runner_new(&runner, model, NULL, 0, NULL, &error);
    if (status == OXP_OK) status = oxp_runner_run(&values, runner, &input, 1, &error);
    assert_true(status == OXP_OK || error.code == status);
    oxp_values_free(values);
    oxp_runner_free(runner);
    oxp_blob_free(png);
    oxp_text_free(json);
    oxp_text_free(facts);
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    oxp_model_free(model);
    return status;
}

/* With OXP_ARENA_DEBUG each arena allocation is a block: a few hundred more, hence the stride. */
static void test_each_allocation_fails_once(void **state)
{
#ifdef OXP_ARENA_DEBUG
    const int64_t stride = 7;
#else
    const int64_t stride = 1;
#endif
    (void)state;
    for (int64_t fail_at = 0;; fail_at += stride) {
        oxp_test_alloc a = {.fail_at = fail_at};
        const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
        const oxp_status status = whole_job(&hooks);
        assert_int_equal(a.live, 0);
        assert_int_equal(status, a.failed ? OXP_ENOMEM : OXP_OK);
        if (!a.failed) {
            assert_true(a.count > 20);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets_in_text),
        cmocka_unit_test(test_bad_targets_name_what_there_is),
        cmocka_unit_test(test_batch_items_are_explained_alone),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_values_between_any_tensors),
        cmocka_unit_test(test_a_runner_keeps_what_it_compiled),
        cmocka_unit_test(test_baselines_are_handed_over),
        cmocka_unit_test(test_predictions_have_no_maps),
        cmocka_unit_test(test_costs_are_what_runs_take),
        cmocka_unit_test(test_inputs_from_memory),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_misuse_is_an_error),
        cmocka_unit_test(test_each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
