/* cmd_inspect.c - what a model holds and what can be explained in it. */
#include "cli/cli.h"

static int print_view(const cli *c, const subject *s, const char *view)
{
    oxp_error error = {0};
    oxp_text *text;
    if (oxp_inspect(&text, s->model, view, c->shapes.v, c->shapes.n, &error) != OXP_OK)
        return fail_error(&error);
    fputs(oxp_text_str(text), stdout);
    oxp_text_free(text);
    return EXIT_DONE;
}

/* Any ONNX file, supported or not. */
static int print_summary(const cli *c)
{
    oxp_error error = {0};
    oxp_text *text;
    const oxp_model_options options = model_options(c);
    if (oxp_inspect_file(&text, c->args.v[0], &options, c->shapes.v, c->shapes.n, &error) != OXP_OK)
        return fail_error(&error);
    fputs(oxp_text_str(text), stdout);
    oxp_text_free(text);
    return EXIT_DONE;
}

static int run(const cli *c)
{
    subject s = {0};
    const bool views[] = {c->ops, c->list_layers, c->ir, c->plan, c->json};
    static const char *const names[] = {"ops", "layers", "ir", "plan", "json"};
    const bool table = c->ops && c->args.n == 0; /* the operators that the library knows */
    bool summary = true;
    for (int i = 0; i < 5; i++) summary = summary && !views[i];
    if (c->args.n > 1)
        return fail(EXIT_USAGE, "inspect takes one MODEL, found %zu words", c->args.n);
    if (c->args.n == 0 && !table)
        return fail(EXIT_USAGE, "inspect needs a MODEL; see onnxplain inspect --help");
    if (summary) return print_summary(c);
    int status = table ? EXIT_DONE : open_model(c, &s);
    for (int i = 0; status == EXIT_DONE && i < 5; i++)
        if (views[i]) status = print_view(c, &s, names[i]);
    close_subject(&s);
    return status;
}

const command command_inspect = {
    .name = "inspect",
    .sentence = "what a model holds: inputs, operators, layers, the compiled graph",
    .options = "--ops --layers --ir --plan --json --shape --max-memory --quiet",
    .run = run,
    .help = "usage: onnxplain inspect MODEL [options]\n"
            "       onnxplain inspect --ops\n\n"
            "Without options, one screen: producer, opset, inputs, outputs, parameters, the score, "
            "where gradients\n"
            "stop, layers, attention, work.\n\n"
            "  --ops              the model's operators with counts; without MODEL all operators "
            "that are known, with\n"
            "                     their opsets and whether they have a gradient\n"
            "  --layers           tensors that layer methods can use, the automatic choice first\n"
            "  --ir               the graph of a saliency map after all passes\n"
            "  --plan             its steps: kernels, shapes, workspace\n"
            "  --json             inputs, outputs, score, gradients, layers and attention, for "
            "programs\n"
            "  --shape NAME=DIMS  sizes of symbolic axes (default: 1 for the batch)\n\n"
            "examples:\n"
            "  onnxplain inspect models/efficientnet-lite0.onnx\n"
            "  onnxplain inspect model.onnx --layers --shape images=1,3,320,320\n",
};
