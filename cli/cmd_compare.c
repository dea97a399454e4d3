/* cmd_compare.c - one sheet: the input and each method's map side by side. */
#include "cli/cli.h"

#include <string.h>

enum { MAX_PANELS = 64 };

typedef struct panels {
    oxp_result *v[MAX_PANELS];
    size_t n;
} panels;

static int add_panel(const cli *c, const subject *s, choice *ch, size_t at, panels *p)
{
    oxp_error error = {0};
    oxp_explainer *e = explainer_for(c, s, ch, at, &error);
    const char *target = c->targets.n ? c->targets.v[0] : NULL;
    if (!e) return pass_over(c, ch, at, &error);
    const oxp_status status =
        oxp_explain(&p->v[p->n], e, s->arrays, s->n_inputs, target, c->contrast, &error);
    end_progress();
    if (status != OXP_OK) return pass_over(c, ch, at, &error);
    if (ch->done++ == 0 && !c->quiet)
        print_top(s, p->v[0], 0, c->out && strcmp(c->out, "-") == 0 ? stderr : stdout);
    tell_notes(c, ch, p->v[p->n]);
    p->n++;
    drop_explainer(ch, at);
    return EXIT_DONE;
}

static int write_sheet(const cli *c, const subject *s, const panels *p)
{
    char path[4096];
    oxp_error error = {0};
    oxp_blob *blob;
    oxp_render_options options = OXP_RENDER_OPTIONS_INIT;
    options.colormap = c->colormap;
    if (oxp_render_sheet(&blob, (const oxp_result *const *)p->v, p->n, 0, s->inputs[s->picture],
                         &options, &error) != OXP_OK)
        return fail_error(&error);
    if (c->out && (strcmp(c->out, "-") == 0 ||
                   (strlen(c->out) > 4 && strcmp(c->out + strlen(c->out) - 4, ".png") == 0)))
        snprintf(path, sizeof path, "%s", c->out);
    else
        snprintf(path, sizeof path, "%s%s%s.compare.png", c->out ? c->out : "",
                 c->out && *c->out ? "/" : "", s->stem);
    const oxp_status status =
        oxp_write_file(path, oxp_blob_data(blob), oxp_blob_size(blob), &error);
    oxp_blob_free(blob);
    if (status != OXP_OK) return fail_error(&error);
    if (strcmp(path, "-") != 0) note(c, "wrote %s", path);
    return EXIT_DONE;
}

static int run(const cli *c)
{
    subject s = {0};
    panels p = {.n = 0};
    choice methods;
    int status = choose_methods(c, "main", &methods);
    if (status == EXIT_DONE) status = open_model(c, &s);
    if (status == EXIT_DONE && c->targets.n > 1)
        status = fail(EXIT_USAGE, "compare takes one target, found %zu", c->targets.n);
    if (status == EXIT_DONE && c->args.n < 2)
        status = fail(EXIT_USAGE, "compare needs an INPUT; see onnxplain compare --help");
    if (status == EXIT_DONE) status = load_inputs(c, &s, 1);
    if (status == EXIT_DONE && c->args.n > 1 + s.n_inputs)
        status = fail(EXIT_USAGE, "compare takes one input, found %zu files", c->args.n - 1);
    for (size_t i = 0; status == EXIT_DONE && i < methods.names.n && i < MAX_PANELS; i++)
        status = add_panel(c, &s, &methods, i, &p);
    if (status == EXIT_DONE) status = write_sheet(c, &s, &p);
    for (size_t i = 0; i < p.n; i++) oxp_result_free(p.v[i]);
    drop_choice(&methods);
    close_subject(&s);
    return status;
}

const command command_compare = {
    .name = "compare",
    .sentence = "one sheet with every method's map side by side",
    .options = "--method --target --contrast --space --layer --wrt --set --preprocess --layout "
               "--shape --labels --vocab --out --colormap --threads --max-memory --precision "
               "--no-optimise --quiet",
    .run = run,
    .help =
        "usage: onnxplain compare MODEL INPUT [options]\n\n"
        "Writes STEM.compare.png: the input and the map of each method, titled, with a colour "
        "bar.\n"
        "Methods that do not apply to the model are left out, with the reason.\n\n"
        "  --method A,B       methods, or all (default main: the common ones, without\n"
        "                     those that need a pass per channel); onnxplain methods lists them\n"
        "  --target T         a class number or label, top1 (default), top2 ...\n"
        "  --contrast [T]     why the target and not T (without T: the runner-up)\n"
        "  --space S          logit (default), prob or output\n"
        "  --layer L          tensor name for layer methods\n"
        "  --wrt TENSOR       attribute to this tensor instead of the inputs\n"
        "  --set NAME=VALUE   a parameter of the methods that have it\n"
        "  --preprocess P     imagenet, caffe, tf, unit, none, a .json file, or key=value;...\n"
        "  --layout L         axes of the input, like NCHW or NHWC\n"
        "  --shape NAME=DIMS  sizes of symbolic axes\n"
        "  --labels FILE      class names\n"
        "  --vocab FILE       the words behind token ids\n"
        "  --out DIR|FILE|-   where (default: the current folder)\n"
        "  --colormap NAME    heat, ember, ocean, grey, blue-red, purple-green\n"
        "  --threads N, --max-memory B, --precision P, --no-optimise, --quiet   as for explain\n\n"
        "examples:\n"
        "  onnxplain compare models/efficientnet-lite0.onnx photos/coffee.png\n"
        "  onnxplain compare model.onnx photo.jpg --method saliency,guided-backprop,grad-cam "
        "--target tabby --out sheet.png\n",
};
