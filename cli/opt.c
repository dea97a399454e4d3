/* opt.c - the command line: one table of options, each with the commands' own list of which apply. */
#include "cli/cli.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum kind {
    TEXT,     /* one word */
    LIST,     /* words, repeated or separated by commas */
    REPEATED, /* words, repeated only: their values may hold commas */
    FLAG,
    COUNT,
    BYTES,
    MAYBE /* a word that may be missing: then "" */
} kind;

static const struct option {
    const char *name;
    kind kind;
    size_t at; /* in struct cli */
} options[] = {
    {"--method", LIST, offsetof(cli, methods)},
    {"--target", REPEATED, offsetof(cli, targets)},
    {"--contrast", MAYBE, offsetof(cli, contrast)},
    {"--space", TEXT, offsetof(cli, space)},
    {"--layer", LIST, offsetof(cli, layers)},
    {"--wrt", LIST, offsetof(cli, wrt)},
    {"--set", REPEATED, offsetof(cli, set)},
    {"--preprocess", TEXT, offsetof(cli, preprocess)},
    {"--layout", TEXT, offsetof(cli, layout)},
    {"--shape", REPEATED, offsetof(cli, shapes)},
    {"--labels", TEXT, offsetof(cli, labels)},
    {"--vocab", TEXT, offsetof(cli, vocab)},
    {"--out", TEXT, offsetof(cli, out)},
    {"--format", LIST, offsetof(cli, formats)},
    {"--colormap", TEXT, offsetof(cli, colormap)},
    {"--threads", COUNT, offsetof(cli, threads)},
    {"--top", COUNT, offsetof(cli, top)},
    {"--max-memory", BYTES, offsetof(cli, max_memory)},
    {"--precision", TEXT, offsetof(cli, precision)},
    {"--no-optimise", FLAG, offsetof(cli, no_optimise)},
    {"--dry-run", FLAG, offsetof(cli, dry_run)},
    {"--quiet", FLAG, offsetof(cli, quiet)},
    {"--json", FLAG, offsetof(cli, json)},
    {"--ops", FLAG, offsetof(cli, ops)},
    {"--layers", FLAG, offsetof(cli, list_layers)},
    {"--ir", FLAG, offsetof(cli, ir)},
    {"--plan", FLAG, offsetof(cli, plan)},
    {"--markdown", FLAG, offsetof(cli, markdown)},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

/* Edit distance of two short words, at most 3 counted. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64];
    const size_t n = strlen(b);
    if (n >= 64 || strlen(a) >= 64) return 64;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t up = row[j], swap = diagonal + (a[i - 1] != b[j - 1]);
            size_t best = up + 1 < row[j - 1] + 1 ? up + 1 : row[j - 1] + 1;
            best = swap < best ? swap : best;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[n];
}

const char *nearest(const char *wanted, const char *const *names, size_t n)
{
    const char *found = NULL;
    size_t least = 4;
    for (size_t i = 0; i < n; i++) {
        const size_t d = distance(wanted, names[i]);
        if (d < least && d < strlen(names[i])) {
            least = d;
            found = names[i];
        }
    }
    return found;
}

/* Is `name` among the words of `list`? */
static bool listed(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = strstr(list, name); p; p = strstr(p + 1, name))
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0')) return true;
    return false;
}

static const struct option *find(const char *name, size_t n)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (strlen(options[i].name) == n && strncmp(options[i].name, name, n) == 0)
            return &options[i];
    return NULL;
}

static int unknown(const command *cmd, const char *word)
{
    const char *names[OPTIONS];
    size_t n = 0;
    for (size_t i = 0; i < OPTIONS; i++)
        if (listed(cmd->options, options[i].name)) names[n++] = options[i].name;
    const char *near = nearest(word, names, n);
    return fail(EXIT_USAGE, "%s has no option '%s'%s%s%s; see onnxplain %s --help", cmd->name, word,
                near ? "; did you mean '" : "", near ? near : "", near ? "'" : "", cmd->name);
}

static int add_words(words *w, char *text, bool split)
{
    while (text) {
        char *comma = split ? strchr(text, ',') : NULL;
        if (comma) *comma = '\0';
        if (w->n == MAX_WORDS) return fail(EXIT_USAGE, "more than %d words are given", MAX_WORDS);
        if (*text) w->v[w->n++] = text;
        text = comma ? comma + 1 : NULL;
    }
    return EXIT_DONE;
}

static int read_count(const struct option *o, const char *text, int *out)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > 65536)
        return fail(EXIT_USAGE, "%s expects a whole number from 1 to 65536, found '%s'", o->name,
                    text);
    *out = (int)value;
    return EXIT_DONE;
}

/* 500M, 2G, 65536 */
static int read_bytes(const struct option *o, const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    const double value = strtod(text, &end);
    const char *const units = "KMGT";
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    double scale = 1.0;
    for (const char *u = units; unit && u <= unit; u++) scale *= 1024.0;
    if (errno || end == text || !(value > 0.0) || value * scale > 9e18 ||
        (*end && (!unit || (end[1] && strcmp(end + 1, "B") != 0))))
        return fail(EXIT_USAGE, "%s expects bytes like 500M or 2G, found '%s'", o->name, text);
    *out = (uint64_t)(value * scale);
    return EXIT_DONE;
}

static int store(const struct option *o, char *value, cli *c)
{
    void *at = (char *)c + o->at;
    switch (o->kind) {
    case TEXT:
    case MAYBE:
        *(const char **)at = value;
        return EXIT_DONE;
    case LIST:
        return add_words(at, value, true);
    case REPEATED:
        return add_words(at, value, false);
    case FLAG:
        *(bool *)at = true;
        return EXIT_DONE;
    case COUNT:
        return read_count(o, value, at);
    case BYTES:
        return read_bytes(o, value, at);
    }
    return EXIT_DONE;
}

int parse_options(int argc, char **argv, const command *cmd, cli *out)
{
    static char empty[1] = "";
    *out = (cli){.cmd = cmd};
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (only_words || word[0] != '-' || word[1] == '\0') {
            if (add_words(&out->args, word, false) != EXIT_DONE) return EXIT_USAGE;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_words = true;
            continue;
        }
        char *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
        const struct option *o = find(word, equals ? (size_t)(equals - word) : strlen(word));
        if (!o || !listed(cmd->options, o->name)) return unknown(cmd, word);
        if (o->kind == FLAG && value) return fail(EXIT_USAGE, "%s takes no value", o->name);
        if (o->kind != FLAG && !value) {
            const bool more = i + 1 < argc && (argv[i + 1][0] != '-' || argv[i + 1][1] == '\0');
            if (o->kind ==
                MAYBE) /* `--contrast 967 cat.png` has a value, `--contrast cat.png` has none */
                value = more && access(argv[i + 1], F_OK) != 0 ? argv[++i] : empty;
            else if (!more)
                return fail(EXIT_USAGE, "%s needs a value; see onnxplain %s --help", o->name,
                            cmd->name);
            else
                value = argv[++i];
        }
        if (store(o, value, out) != EXIT_DONE) return EXIT_USAGE;
    }
    return EXIT_DONE;
}
