/* 01_explain.c - one model, one picture: the heatmap of one method as a PNG.
 *
 * Run: 01_explain models/efficientnet-lite0.onnx photos/chelsea.png chelsea.grad-cam.png grad-cam
 *
 * Everything that can fail returns a status and fills the caller's oxp_error. */
#include <onnxplain.h>
#include <stdio.h>

static int report(const oxp_error *error)
{
    fprintf(stderr, "%s (%s, %s)\n", error->message, oxp_status_name(error->code),
            oxp_stage_name(error->stage));
    return 1;
}

static void print_top(const oxp_model *model, const oxp_result *result)
{
    for (size_t k = 0; k < oxp_result_top_count(result); k++) {
        const oxp_prediction top = oxp_result_top(result, 0, k);
        const char *label = oxp_model_label(model, top.index);
        printf("%6.2f %%  %s\n", 100 * top.probability, label ? label : "?");
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s MODEL PICTURE OUT.png METHOD\n", argv[0]);
        return 2;
    }
    oxp_error error = {0};
    oxp_model *model = NULL;
    oxp_input *input = NULL;
    oxp_explainer *explainer = NULL;
    oxp_result *result = NULL;
    oxp_blob *png = NULL;
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    options.method = argv[4];

    int failed = oxp_model_open(&model, argv[1], NULL, &error) ||
                 oxp_input_load(&input, model, argv[2], NULL, &error) ||
                 oxp_explainer_new(&explainer, model, &options, &error);
    if (!failed) {
        const oxp_array array = oxp_input_array(input);
        printf("%s: %s\n", argv[2], oxp_input_description(input));
        failed = oxp_explain(&result, explainer, &array, 1, NULL, NULL, &error) ||
                 oxp_render(&png, result, 0, 0, input, "png", NULL, &error) ||
                 oxp_write_file(argv[3], oxp_blob_data(png), oxp_blob_size(png), &error);
    }
    if (failed) {
        failed = report(&error);
    } else {
        print_top(model, result);
        printf("wrote %s\n", argv[3]);
    }
    oxp_blob_free(png);
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    oxp_input_free(input);
    oxp_model_free(model);
    return failed;
}
