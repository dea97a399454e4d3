/* subject.c - the model and the inputs that a command works on. */
#include "cli/cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void print_log(const char *topic, const char *line, void *user)
{
    const char *wanted = user;
    const size_t n = strlen(topic);
    for (const char *p = strstr(wanted, topic); p; p = strstr(p + 1, topic))
        if ((p == wanted || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
            fprintf(stderr, "%s: %s\n", topic, line);
}

oxp_model_options model_options(const cli *c)
{
    oxp_model_options options = OXP_MODEL_OPTIONS_INIT;
    char *topics = getenv("OXP_LOG");
    if (topics && *topics) {
        options.log = print_log;
        options.log_user = topics;
    }
    options.max_memory = c->max_memory;
    return options;
}

int open_model(const cli *c, subject *s)
{
    *s = (subject){0};
    oxp_error error = {0};
    if (c->args.n == 0)
        return fail(EXIT_USAGE, "%s needs a MODEL; see onnxplain %s --help", c->cmd->name,
                    c->cmd->name);
    const oxp_model_options options = model_options(c);
    if (oxp_model_open(&s->model, c->args.v[0], &options, &error) != OXP_OK)
        return fail_error(&error);
    if (oxp_model_load_labels(s->model, c->labels, &error) != OXP_OK ||
        oxp_model_load_vocabulary(s->model, c->vocab, &error) != OXP_OK)
        return fail_error(&error);
    return EXIT_DONE;
}

size_t inputs_per_run(const subject *s)
{
    return oxp_model_input_count(s->model);
}

/* `name=file` where name is an input of the model; else by position. */
static int place_of(const subject *s, const char *word, size_t position, size_t *place,
                    const char **file)
{
    const char *equals = strchr(word, '=');
    *place = position;
    *file = word;
    for (size_t i = 0; equals && i < inputs_per_run(s); i++) {
        const char *name = oxp_model_input(s->model, i).name;
        if (name && strlen(name) == (size_t)(equals - word) &&
            strncmp(name, word, strlen(name)) == 0) {
            *place = i;
            *file = equals + 1;
        }
    }
    if (s->inputs[*place])
        return fail(EXIT_USAGE, "input '%s' is given twice",
                    oxp_model_input(s->model, *place).name);
    return EXIT_DONE;
}

static const char *stem_of(const char *file)
{
    static char stem[256];
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file,
               *dot = strrchr(base, '.');
    snprintf(stem, sizeof stem, "%.*s", (int)(dot && dot > base ? dot - base : (long)strlen(base)),
             base);
    clean_name(stem);
    return stem;
}

int load_inputs(const cli *c, subject *s, size_t first)
{
    const size_t n = inputs_per_run(s);
    if (n > MAX_INPUTS)
        return fail(EXIT_WORK, "the model has %zu inputs; this command takes at most %d", n,
                    MAX_INPUTS);
    if (c->args.n < first + n)
        return fail(EXIT_USAGE,
                    "the model has %zu input%s, found %zu file%s: give one file per input, as "
                    "name=file or in order",
                    n, n == 1 ? "" : "s", c->args.n - first, c->args.n - first == 1 ? "" : "s");
    drop_inputs(s);
    for (size_t i = 0; i < n; i++) {
        size_t place;
        const char *file;
        oxp_error error = {0};
        int status = place_of(s, c->args.v[first + i], i, &place, &file);
        if (status != EXIT_DONE) return status;
        oxp_input_options options = OXP_INPUT_OPTIONS_INIT;
        options.preprocess = c->preprocess;
        options.layout = c->layout;
        options.model_input = (int)place;
        options.shapes = c->shapes.v;
        options.n_shapes = c->shapes.n;
        if (oxp_input_load(&s->inputs[place], s->model, file, &options, &error) != OXP_OK)
            return fail_error(&error);
        if (i == 0) {
            s->file = file;
            s->picture = place;
            s->stem = stem_of(file);
        }
    }
    for (size_t i = 0; i < n; i++) {
        s->arrays[i] = oxp_input_array(s->inputs[i]);
        s->arrays[i].name = oxp_model_input(s->model, i).name;
        const char *what = oxp_input_description(s->inputs[i]);
        if (what && *what) note(c, "%s: %s", c->args.v[first + i], what);
    }
    s->n_inputs = n;
    return EXIT_DONE;
}

void drop_inputs(subject *s)
{
    for (size_t i = 0; i < MAX_INPUTS; i++) {
        oxp_input_free(s->inputs[i]);
        s->inputs[i] = NULL;
    }
}

void close_subject(subject *s)
{
    drop_inputs(s);
    oxp_model_free(s->model);
}

const char *class_name(const subject *s, int64_t index, char buf[160])
{
    const char *label = index < 0 ? NULL : oxp_model_label(s->model, index);
    if (!label)
        snprintf(buf, 160, "class %lld", (long long)index);
    else
        snprintf(buf, 160, "%.120s (%lld)", label, (long long)index);
    return buf;
}

void print_top(const subject *s, const oxp_result *r, size_t item, FILE *to)
{
    char name[160];
    for (size_t k = 0; k < oxp_result_top_count(r); k++) {
        const oxp_prediction p = oxp_result_top(r, item, k);
        if (p.probability >= 0.0)
            fprintf(to, "  %5.1f %%  %s\n", 100.0 * p.probability, class_name(s, p.index, name));
        else
            fprintf(to, "  %9.4g  %s\n", p.score, class_name(s, p.index, name));
    }
}

void clean_name(char *text)
{
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(".-+_", *text)) *text = '_';
}
