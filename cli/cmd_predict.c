/* cmd_predict.c - the model's top classes for each input. */
#include "cli/cli.h"

static int predict_one(const cli *c, subject *s, size_t first)
{
    int status = load_inputs(c, s, first);
    if (status != EXIT_DONE) return status;
    oxp_error error = {0};
    oxp_explainer *explainer;
    oxp_result *result;
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    options.method = "saliency";
    options.threads = c->threads;
    options.precision = c->precision;
    options.top_k = c->top ? c->top : 5;
    options.max_memory = c->max_memory;
    options.predict_only = 1;
    if (oxp_explainer_new(&explainer, s->model, &options, &error) != OXP_OK)
        return fail_error(&error);
    if (oxp_explain(&result, explainer, s->arrays, s->n_inputs, NULL, NULL, &error) != OXP_OK) {
        oxp_explainer_free(explainer);
        return fail_error(&error);
    }
    for (size_t item = 0; item < oxp_result_batch(result); item++) {
        if (oxp_result_batch(result) > 1)
            printf("%s [%zu]\n", c->args.v[first], item);
        else
            printf("%s\n", c->args.v[first]);
        print_top(s, result, item, stdout);
    }
    oxp_result_free(result);
    oxp_explainer_free(explainer);
    return EXIT_DONE;
}

static int run(const cli *c)
{
    subject s;
    int status = open_model(c, &s);
    const size_t step = status == EXIT_DONE ? inputs_per_run(&s) : 1;
    if (status == EXIT_DONE && c->args.n < 2)
        status = fail(EXIT_USAGE, "predict needs an INPUT; see onnxplain predict --help");
    for (size_t i = 1; status == EXIT_DONE && i < c->args.n; i += step)
        status = predict_one(c, &s, i);
    close_subject(&s);
    return status;
}

const command command_predict = {
    .name = "predict",
    .sentence = "the top classes with probabilities",
    .options =
        "--labels --preprocess --layout --shape --threads --top --precision --max-memory --quiet",
    .run = run,
    .help =
        "usage: onnxplain predict MODEL INPUT... [options]\n\n"
        "Prints the model's top classes for each INPUT (JPEG, PNG, or a .npy tensor taken as it "
        "is).\n"
        "A model with several inputs takes one file for each: in order, or as name=file.\n\n"
        "  --top N            how many classes (default 5)\n"
        "  --labels FILE      class names: one per line, or a config.json with id2label\n"
        "  --preprocess P     imagenet, caffe, tf, unit, none, a .json file, or key=value;...\n"
        "  --layout L         axes of the input, like NCHW or NHWC\n"
        "  --shape NAME=DIMS  sizes of symbolic axes, like images=1,3,224,224\n"
        "  --threads N        default: all cores\n"
        "  --precision P      f32 (default) or f64: the slow reference executor\n"
        "  --max-memory B     refuse to use more, like 500M\n"
        "  --quiet            nothing but the result\n\n"
        "examples:\n"
        "  onnxplain predict models/efficientnet-lite0.onnx photos/chelsea.png photos/coffee.png\n"
        "  onnxplain predict bert.onnx input_ids=ids.npy attention_mask=mask.npy\n",
};
