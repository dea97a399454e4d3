/* baseline.c - baselines that the library does not know by word: files, and colours of pictures.
 *
 *   --set baseline=mean.npy             an array in the shape of the input (or of the one --wrt tensor)
 *   --set baseline=grey.png             a picture, made ready like the input
 *   --set baseline=black                likewise, all black
 *   --set baselines=zero,a.png,b.png    several, for methods that take a list or draw from it
 *   --set baseline=x=a.npy,y=b.npy      for the tensors named
 *
 * Everything else is left to the library. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const char *const colours[] = {"black", "grey", "white"};

static bool is_colour(const char *word)
{
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
        if (strcmp(word, colours[i]) == 0) return true;
    return false;
}

static bool is_number(const char *word)
{
    char *end;
    strtod(word, &end);
    return end != word && *end == '\0';
}

/* Something that lies there, or whose name looks like a file's. */
static bool is_file(const char *word)
{
    FILE *f = is_number(word) ? NULL : fopen(word, "rb");
    if (f) fclose(f);
    return f || (!is_number(word) && (strchr(word, '/') || strchr(word, '.')));
}

/* --wrt names one tensor and the baseline lies in it. */
static const char *inner_tensor(const cli *c, const words *params)
{
    for (size_t i = 0; i < params->n; i++)
        if (strcmp(params->v[i], "baseline-at=input") == 0) return NULL;
    return c->wrt.n == 1 ? c->wrt.v[0] : NULL;
}

static size_t input_of(const subject *s, const char *tensor)
{
    for (size_t i = 0; tensor && i < s->n_inputs; i++)
        if (strcmp(s->arrays[i].name, tensor) == 0) return i;
    return tensor ? s->n_inputs : s->picture;
}

static oxp_status load_word(const cli *c, const subject *s, const char *tensor, const char *word,
                            baselines *out, oxp_error *error)
{
    const size_t place = input_of(s, tensor);
    const bool inner = place == s->n_inputs;
    oxp_input_options options = OXP_INPUT_OPTIONS_INIT;
    oxp_input **to = &out->inputs[out->n];
    options.preprocess = c->preprocess;
    options.layout = c->layout;
    options.model_input = inner ? 0 : (int)place;
    options.shapes = c->shapes.v;
    options.n_shapes = c->shapes.n;
    const oxp_status status = is_colour(word) && !inner
                                  ? oxp_input_fill(to, s->inputs[place], word, error)
                                  : oxp_input_load(to, s->model, word, &options, error);
    if (status != OXP_OK) return status;
    out->arrays[out->n] = oxp_input_array(*to);
    out->arrays[out->n++].name = inner ? tensor : s->arrays[place].name;
    return OXP_OK;
}

/* `tensor=file`, `file` or a colour; other words are the library's. */
static oxp_status take_word(const cli *c, const subject *s, const char *inner, char *word,
                            baselines *out, oxp_error *error)
{
    const char *tensor = inner;
    char *equals = strchr(word, '=');
    if (equals) *equals = '\0';
    const char *value = equals ? equals + 1 : word;
    if (equals) {
        for (size_t i = 0; i < c->wrt.n; i++)
            if (strcmp(c->wrt.v[i], word) == 0) tensor = c->wrt.v[i];
        for (size_t i = 0; i < s->n_inputs; i++)
            if (strcmp(s->arrays[i].name, word) == 0) tensor = s->arrays[i].name;
    }
    if (!is_colour(value) && !is_file(value)) return OXP_OK;
    if (out->n < MAX_BASELINES) return load_word(c, s, tensor, value, out, error);
    *error = (oxp_error){.code = OXP_EINVAL};
    snprintf(error->message, sizeof error->message, "at most %d baselines can be given",
             MAX_BASELINES);
    return OXP_EINVAL;
}

oxp_status load_baselines(const cli *c, const subject *s, const words *params, baselines *out,
                          oxp_error *error)
{
    *out = (baselines){.n = 0};
    for (size_t i = 0; i < params->n; i++) {
        const size_t prefix = strncmp(params->v[i], "baseline=", 9) == 0     ? 9
                              : strncmp(params->v[i], "baselines=", 10) == 0 ? 10
                                                                             : 0;
        char list[4096];
        if (!prefix) continue;
        snprintf(list, sizeof list, "%s", params->v[i] + prefix);
        for (char *word = list, *next; word; word = next) {
            next = strchr(word, ',');
            if (next) *next++ = '\0';
            const oxp_status status = take_word(c, s, inner_tensor(c, params), word, out, error);
            if (status == OXP_OK) continue;
            drop_baselines(out);
            return status;
        }
    }
    return OXP_OK;
}

void drop_baselines(baselines *b)
{
    for (size_t i = 0; i < b->n; i++) oxp_input_free(b->inputs[i]);
    b->n = 0;
}
