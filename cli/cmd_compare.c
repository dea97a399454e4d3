/* cmd_compare.c - one sheet: the input and each method's map side by side.
 *
 * Methods of one pass run at once. Those of many run afterwards, cheapest first, so that Ctrl-C leaves a sheet that
 * lacks only the most expensive; the sheet itself is in the order of the methods. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct waiting { /* a method of many passes */
    size_t at;
    uint64_t passes;
    double work;
} waiting;

typedef struct panels {
    oxp_result *v[MAX_WORDS]; /* by method, NULL: none */
    waiting later[MAX_WORDS];
    size_t n_later;
} panels;

static int add_panel(const cli *c, const subject *s, choice *ch, size_t at, oxp_explainer *e,
                     panels *p)
{
    oxp_error error = {0};
    const char *target = c->targets.n ? c->targets.v[0] : NULL;
    const oxp_status status =
        oxp_explain(&p->v[at], e, s->arrays, s->n_inputs, target, c->contrast, &error);
    end_progress();
    if (status == OXP_ECANCELLED) return EXIT_DONE;
    if (status != OXP_OK) return pass_over(ch, at, &error);
    if (ch->done++ == 0 && !c->quiet)
        print_top(s, p->v[at], 0, c->out && strcmp(c->out, "-") == 0 ? stderr : stdout);
    tell_notes(c, ch, p->v[at]);
    return EXIT_DONE;
}

/* What it costs, or its panel if that is one pass; else it waits. */
static int look_at(const cli *c, const subject *s, choice *ch, size_t at, panels *p)
{
    oxp_error error = {0};
    oxp_estimate cost;
    oxp_explainer *e = explainer_for(c, s, ch, at, &error);
    int status = EXIT_DONE;
    if (!e) return pass_over(ch, at, &error);
    if (c->dry_run) {
        if (show_cost(s, ch, at, e, &error) != OXP_OK) status = pass_over(ch, at, &error);
    } else if (ch->names.n > 1 &&
               oxp_explainer_cost(&cost, e, s->arrays, s->n_inputs, &error) == OXP_OK &&
               cost.passes > 1) {
        p->later[p->n_later++] =
            (waiting){at, cost.passes, (double)cost.passes * (double)cost.flops};
    } else {
        status = add_panel(c, s, ch, at, e, p);
    }
    drop_explainer(ch, at);
    return status;
}

static int by_work(const void *a, const void *b)
{
    const waiting *x = a, *y = b;
    return x->work < y->work ? -1 : x->work > y->work ? 1 : x->at < y->at ? -1 : 1;
}

static void tell_waiting(const cli *c, const panels *p)
{
    uint64_t passes = 0;
    double work = 0.0;
    for (size_t i = 0; i < p->n_later; i++) {
        passes += p->later[i].passes;
        work += p->later[i].work;
    }
    if (p->n_later > 0)
        note(c,
             "%zu method%s of many passes: %llu in all, %.3g GFLOP; cheapest first, and Ctrl-C "
             "leaves out the rest",
             p->n_later, p->n_later == 1 ? "" : "s", (unsigned long long)passes, work * 1e-9);
}

static int run_waiting(const cli *c, const subject *s, choice *ch, panels *p)
{
    int status = EXIT_DONE;
    qsort(p->later, p->n_later, sizeof *p->later, by_work);
    tell_waiting(c, p);
    for (size_t i = 0; status == EXIT_DONE && i < p->n_later && !interrupted(); i++) {
        const size_t at = p->later[i].at;
        oxp_error error = {0};
        oxp_explainer *e = explainer_for(c, s, ch, at, &error);
        status = e ? add_panel(c, s, ch, at, e, p) : pass_over(ch, at, &error);
        drop_explainer(ch, at);
    }
    for (size_t i = 0; interrupted() && i < ch->names.n; i++)
        if (!p->v[i] && !ch->why[i]) note(c, "%s was not run", ch->names.v[i]);
    return status;
}

static int write_sheet(const cli *c, const subject *s, const panels *p)
{
    char path[4096];
    oxp_error error = {0};
    oxp_blob *blob;
    oxp_render_options options = OXP_RENDER_OPTIONS_INIT;
    options.colormap = c->colormap;
    const oxp_result *found[MAX_WORDS];
    size_t n = 0;
    for (size_t i = 0; i < MAX_WORDS; i++)
        if (p->v[i]) found[n++] = p->v[i];
    if (n == 0) return fail(EXIT_WORK, "no method was run: there is nothing to draw");
    if (oxp_result_batch(found[0]) > 1)
        note(c, "the sheet shows the first of %zu items", oxp_result_batch(found[0]));
    if (oxp_render_sheet(&blob, found, n, 0, s->inputs[s->picture], &options, &error) != OXP_OK)
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
    panels p = {.n_later = 0};
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
    if (status == EXIT_DONE) stop_on_interrupt();
    for (size_t i = 0; status == EXIT_DONE && i < methods.names.n && !interrupted(); i++)
        status = look_at(c, &s, &methods, i, &p);
    if (status == EXIT_DONE) status = run_waiting(c, &s, &methods, &p);
    if (status == EXIT_DONE) status = tell_passed_over(c, &methods, c->dry_run);
    if (status == EXIT_DONE && !c->dry_run) status = write_sheet(c, &s, &p);
    for (size_t i = 0; i < MAX_WORDS; i++) oxp_result_free(p.v[i]);
    drop_choice(&methods);
    close_subject(&s);
    return status;
}

const command command_compare = {
    .name = "compare",
    .sentence = "one sheet with every method's map side by side",
    .options = "--method --target --contrast --space --layer --wrt --set --preprocess --layout "
               "--shape --labels --vocab --out --colormap --threads --max-memory --precision "
               "--no-optimise --dry-run --quiet",
    .run = run,
    .help =
        "usage: onnxplain compare MODEL INPUT [options]\n\n"
        "Writes STEM.compare.png: the input and the map of each method, titled, with a colour "
        "bar.\n"
        "Methods that do not apply to the model are left out, with the reason. Methods of one pass "
        "run first,\nthen the others, cheapest first: Ctrl-C draws the sheet without those that "
        "are left.\n\n"
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
        "  --dry-run          only what each method would cost\n"
        "  --threads N, --max-memory B, --precision P, --no-optimise, --quiet   as for explain\n\n"
        "examples:\n"
        "  onnxplain compare models/efficientnet-lite0.onnx photos/coffee.png\n"
        "  onnxplain compare model.onnx photo.jpg --method saliency,guided-backprop,grad-cam "
        "--target tabby --out sheet.png\n",
};
