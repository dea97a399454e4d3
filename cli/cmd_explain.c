/* cmd_explain.c - runs methods on inputs and writes what they found. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool wants(const cli *c, const char *format)
{
    for (size_t i = 0; i < c->formats.n; i++)
        if (strcmp(c->formats.v[i], format) == 0) return true;
    return c->formats.n == 0 && strcmp(format, "npy") != 0 && strcmp(format, "ansi") != 0;
}

/* --out names a file when it ends in .png, .npy or .json, or is "-"; else a folder, made if missing. */
static bool out_is_file(const cli *c)
{
    const char *dot = c->out ? strrchr(c->out, '.') : NULL;
    return c->out && (strcmp(c->out, "-") == 0 ||
                      (dot && (strcmp(dot, ".png") == 0 || strcmp(dot, ".npy") == 0 ||
                               strcmp(dot, ".json") == 0)));
}

static int make_folder(const cli *c)
{
    if (!c->out || out_is_file(c) || mkdir(c->out, 0777) == 0 || errno == EEXIST) return EXIT_DONE;
    return fail(EXIT_WORK, "cannot make the folder '%s': %s", c->out, strerror(errno));
}

static int write_result(const cli *c, const char *name, const char *format, const void *data,
                        size_t size)
{
    char path[4096];
    oxp_error error = {0};
    if (out_is_file(c))
        snprintf(path, sizeof path, "%s", c->out);
    else
        snprintf(path, sizeof path, "%s%s%s.%s", c->out ? c->out : "", c->out && *c->out ? "/" : "",
                 name, format);
    if (oxp_write_file(path, data, size, &error) != OXP_OK) return fail_error(&error);
    if (strcmp(path, "-") != 0) note(c, "wrote %s", path);
    return EXIT_DONE;
}

static void add_part(char *name, size_t room, const char *part)
{
    char clean[256];
    const size_t used = strlen(name);
    snprintf(clean, sizeof clean, "%s", part);
    clean_name(clean);
    snprintf(name + used, room - used, ".%s", clean);
}

/* The words of a text in colour, where that was asked for or standard output is a terminal. False
 * when nothing was printed. */
static bool print_words(const cli *c, const subject *s, const oxp_result *r, size_t map,
                        size_t item)
{
    oxp_blob *blob;
    oxp_render_options options = OXP_RENDER_OPTIONS_INIT;
    options.colormap = c->colormap;
    const bool asked = wants(c, "ansi");
    if (!asked && (c->quiet || !isatty(STDOUT_FILENO))) return false;
    if (oxp_render(&blob, r, map, item, s->inputs[s->picture], "ansi", &options, NULL) != OXP_OK)
        return false; /* not a text; if it was asked for, writing it says so */
    fwrite(oxp_blob_data(blob), 1, oxp_blob_size(blob), stdout);
    oxp_blob_free(blob);
    return true;
}

static int write_map(const cli *c, const subject *s, const oxp_result *r, const char *name,
                     size_t map, size_t item)
{
    static const char *const formats[] = {"png", "npy", "ansi"};
    const bool printed = !c->out && print_words(c, s, r, map, item);
    for (int f = 0; f < 3; f++) {
        oxp_error error = {0};
        oxp_blob *blob;
        if (!wants(c, formats[f]) || (f == 1 && item > 0)) /* one .npy holds the whole batch */
            continue;
        if (f == 2 && printed) continue;
        oxp_render_options options = OXP_RENDER_OPTIONS_INIT;
        options.colormap = c->colormap;
        if (oxp_render(&blob, r, map, item, s->inputs[s->picture], formats[f], &options, &error) !=
            OXP_OK)
            return fail_error(&error);
        const int status =
            write_result(c, name, formats[f], oxp_blob_data(blob), oxp_blob_size(blob));
        oxp_blob_free(blob);
        if (status != EXIT_DONE) return status;
    }
    return EXIT_DONE;
}

static int write_json(const cli *c, const subject *s, const oxp_result *r, const char *name)
{
    oxp_error error = {0};
    oxp_text *text;
    if (!wants(c, "json")) return EXIT_DONE;
    if (oxp_result_json(&text, r, (const oxp_input *const *)s->inputs, s->n_inputs, &error) !=
        OXP_OK)
        return fail_error(&error);
    const int status =
        write_result(c, name, "json", oxp_text_str(text), strlen(oxp_text_str(text)));
    oxp_text_free(text);
    return status;
}

static int write_all(const cli *c, const subject *s, const oxp_result *r, const char *method,
                     const char *target)
{
    char base[1024];
    snprintf(base, sizeof base, "%s", s->stem);
    add_part(base, sizeof base, method);
    if (c->targets.n > 1) add_part(base, sizeof base, target);
    for (size_t item = 0; item < oxp_result_batch(r); item++)
        for (size_t m = 0; m < oxp_result_map_count(r); m++) {
            char name[1024];
            snprintf(name, sizeof name, "%s", base);
            if (oxp_result_map_count(r) > 1)
                add_part(name, sizeof name, oxp_result_map(r, m).tensor);
            if (oxp_result_batch(r) > 1) {
                char number[32];
                snprintf(number, sizeof number, "%zu", item);
                add_part(name, sizeof name, number);
            }
            const int status = write_map(c, s, r, name, m, item);
            if (status != EXIT_DONE) return status;
        }
    return write_json(c, s, r, base);
}

static void print_prediction(const cli *c, const subject *s, const oxp_result *r, const char *file)
{
    if (c->quiet) return;
    FILE *to = c->out && strcmp(c->out, "-") == 0 ? stderr : stdout;
    for (size_t item = 0; item < oxp_result_batch(r) && oxp_result_top_count(r) > 0; item++) {
        fprintf(to, oxp_result_batch(r) > 1 ? "%s [%zu]\n" : "%s\n", file, item);
        print_top(s, r, item, to);
        const oxp_prediction top = oxp_result_top(r, item, 0);
        if (oxp_input_assumed(s->inputs[s->picture]) && top.probability < 0.2)
            note(c,
                 "warning: the preprocessing was assumed and the top class has only %.1f %%: if "
                 "that surprises you, say how the model was "
                 "trained with --preprocess",
                 100.0 * top.probability);
    }
    fflush(to);
}

/* "grad-cam: tiger cat (282) against lynx (287), logit" */
static void tell_question(const cli *c, const subject *s, const oxp_result *r, const char *target)
{
    char name[160], other[160];
    const int64_t index = oxp_result_target(r, 0), contrast = oxp_result_contrast(r, 0);
    note(c, "%s: %s%s%s, %s", oxp_result_method(r),
         index >= 0 ? class_name(s, index, name)
         : target   ? target
                    : "the output",
         contrast >= 0 ? " against " : "", contrast >= 0 ? class_name(s, contrast, other) : "",
         oxp_result_space(r));
}

static int run_method(const cli *c, const subject *s, choice *ch, size_t at, const char *target,
                      const char *file)
{
    oxp_error error = {0};
    oxp_result *r;
    oxp_explainer *e = explainer_for(c, s, ch, at, &error);
    if (!e) return pass_over(ch, at, &error);
    const oxp_status status =
        c->dry_run ? show_cost(s, ch, at, e, &error)
                   : oxp_explain(&r, e, s->arrays, s->n_inputs, target, c->contrast, &error);
    end_progress();
    if (status != OXP_OK) return pass_over(ch, at, &error);
    if (c->dry_run) return EXIT_DONE;
    if (ch->done++ == 0) print_prediction(c, s, r, file);
    tell_question(c, s, r, target);
    tell_notes(c, ch, r);
    const int code = write_all(c, s, r, ch->names.v[at], target ? target : "");
    oxp_result_free(r);
    return code;
}

static int explain_one(const cli *c, subject *s, size_t first, choice *ch)
{
    int status = load_inputs(c, s, first);
    const size_t targets = c->targets.n ? c->targets.n : 1;
    ch->done = 0;
    ch->passes = 0;
    ch->flops = 0.0;
    ch->first = (oxp_error){0};
    for (size_t m = 0; status == EXIT_DONE && m < ch->names.n; m++) {
        for (size_t t = 0; status == EXIT_DONE && t < targets; t++)
            status = run_method(c, s, ch, m, c->targets.n ? c->targets.v[t] : NULL, s->file);
        if (first + inputs_per_run(s) >= c->args.n) drop_explainer(ch, m);
    }
    return status == EXIT_DONE ? tell_passed_over(c, ch, c->dry_run) : status;
}

static int check_formats(const cli *c)
{
    for (size_t i = 0; i < c->formats.n; i++)
        if (strcmp(c->formats.v[i], "png") && strcmp(c->formats.v[i], "json") &&
            strcmp(c->formats.v[i], "npy") && strcmp(c->formats.v[i], "ansi"))
            return fail(EXIT_USAGE, "--format takes png, json, npy and ansi, found '%s'",
                        c->formats.v[i]);
    if (out_is_file(c) && c->formats.n > 1)
        return fail(EXIT_USAGE, "--out names one file, but --format asks for %zu", c->formats.n);
    return EXIT_DONE;
}

static int run(const cli *given)
{
    cli c = *given;
    choice methods;
    subject s = {0};
    int status = choose_methods(&c, "grad-cam", &methods);
    if (status == EXIT_DONE) status = check_formats(&c);
    if (status != EXIT_DONE) return status;
    if (out_is_file(&c) && c.formats.n == 0) {
        const char *dot = strrchr(c.out, '.');
        c.formats.v[c.formats.n++] = dot && dot[1] ? dot + 1 : "png";
    }
    status = open_model(&c, &s);
    const size_t step = status == EXIT_DONE ? inputs_per_run(&s) : 1;
    if (status == EXIT_DONE && c.args.n < 2)
        status = fail(EXIT_USAGE, "explain needs an INPUT; see onnxplain explain --help");
    if (status == EXIT_DONE && out_is_file(&c) &&
        (c.args.n > 1 + step || methods.names.n > 1 || c.targets.n > 1))
        status = fail(EXIT_USAGE, "--out names one file, but there are several inputs, methods or "
                                  "targets: name a folder");
    if (status == EXIT_DONE && !c.dry_run) status = make_folder(&c);
    for (size_t i = 1; status == EXIT_DONE && i < c.args.n; i += step)
        status = explain_one(&c, &s, i, &methods);
    drop_choice(&methods);
    close_subject(&s);
    return status;
}

const command command_explain = {
    .name = "explain",
    .sentence = "which part of the input made the model say so: heatmaps and numbers",
    .options = "--method --target --contrast --space --layer --wrt --set --preprocess --layout "
               "--shape --labels --vocab --out --format --colormap "
               "--threads --top --max-memory --precision --no-optimise --dry-run --quiet",
    .run = run,
    .help =
        "usage: onnxplain explain MODEL INPUT... [options]\n\n"
        "Writes a heatmap over each INPUT (JPEG, PNG, or a .npy tensor taken as it is) and the "
        "numbers behind it.\n"
        "A model with several inputs takes one file for each: in order, or as name=file.\n\n"
        "what to explain\n"
        "  --method A,B       methods, main or all (default grad-cam); onnxplain methods lists "
        "them\n"
        "  --target T         a class number or label, top1 (default), top2 ..., tensor[i,j] or "
        "sum:tensor; repeatable\n"
        "  --contrast [T]     why the target and not T (without T: the runner-up)\n"
        "  --space S          logit (default), prob or output: which score is explained\n"
        "  --layer L          tensor name for layer methods, repeatable (default: found "
        "automatically)\n"
        "  --wrt TENSOR       attribute to this tensor instead of the inputs, repeatable\n"
        "  --set NAME=VALUE   a parameter of the method; onnxplain methods NAME lists them\n\n"
        "the input\n"
        "  --preprocess P     imagenet, caffe, tf, unit, none, a .json file, or key=value;... "
        "(default: the\n"
        "                     preprocessor_config.json beside the model, else a guess that is "
        "printed)\n"
        "  --layout L         axes of the input, like NCHW or NHWC\n"
        "  --shape NAME=DIMS  sizes of symbolic axes, like images=1,3,224,224\n"
        "  --labels FILE      class names: one per line, or a config.json with id2label\n"
        "  --vocab FILE       the words behind token ids: a vocab.txt or tokenizer.json (default: "
        "those beside the model)\n\n"
        "what to write\n"
        "  --out DIR|FILE|-   where (default: the current folder)\n"
        "  --format F,G       png, json, npy, ansi (default png,json); npy is the raw signed "
        "attribution,\n"
        "                     ansi the words of a text in colour, on the terminal unless --out is "
        "given\n"
        "  --colormap NAME    heat, ember, ocean, grey, blue-red, purple-green\n"
        "  --top N            how many predictions are shown (default 3)\n"
        "  --quiet            nothing but errors\n\n"
        "how to run\n"
        "  --threads N        default: all cores\n"
        "  --max-memory B     refuse to use more, like 500M\n"
        "  --precision P      f32 (default) or f64: the slow reference executor\n"
        "  --no-optimise      without folding and fusion, for comparison\n"
        "  --dry-run          print passes, FLOPs and bytes instead\n\n"
        "examples:\n"
        "  onnxplain explain models/efficientnet-lite0.onnx photos/chelsea.png\n"
        "  onnxplain explain model.onnx photo.jpg --method saliency,grad-cam --target tabby "
        "--contrast lynx\n"
        "  onnxplain explain model.onnx x.npy --method saliency --target 285 --format npy --out "
        "maps\n"
        "  onnxplain explain model.onnx photo.jpg --method integrated-gradients --set steps=200 "
        "--out -  > ig.png\n",
};
