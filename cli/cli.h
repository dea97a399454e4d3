/* cli.h - what the commands share: options, messages, exit statuses. The command sees the library through onnxplain.h only. */
#ifndef ONNXPLAIN_CLI_H
#define ONNXPLAIN_CLI_H

#include "onnxplain.h"
#include <stdbool.h>
#include <stdio.h>

/* Exit statuses: done; the work failed; the command line is wrong. */
enum { EXIT_DONE = 0, EXIT_WORK = 1, EXIT_USAGE = 2 };

struct cli;
typedef struct command {
    const char *name, *sentence;
    const char *help;    /* usage, options with one sentence each, examples */
    const char *options; /* names of the options it takes, separated by blanks */
    int (*run)(const struct cli *cli);
} command;

/* Every option of every command; which ones a command takes is in its table line. Strings are the words of the command line. */
enum { MAX_WORDS = 256 };
typedef struct words {
    const char *v[MAX_WORDS];
    size_t n;
} words;

typedef struct cli {
    const command *cmd;
    words args; /* MODEL INPUT... */
    words methods, targets, layers, wrt, set, shapes, formats;
    const char *contrast, *space, *preprocess, *layout, *labels, *vocab, *out, *precision,
        *colormap;
    uint64_t max_memory;
    int threads, top;
    bool quiet, dry_run, no_optimise, json;
    bool ops, list_layers, ir, plan, markdown;
} cli;

/* "onnxplain: ..." on standard error; one line. Returns the status, so that `return fail(...)` reads well. */
int fail(int status, const char *fmt, ...);
int fail_error(const oxp_error *error);        /* exit status by the error's kind */
void note(const cli *c, const char *fmt, ...); /* standard error, unless --quiet */

int parse_options(int argc, char **argv, const command *cmd,
                  cli *out); /* EXIT_DONE or EXIT_USAGE (message printed) */
const char *nearest(const char *wanted, const char *const *names,
                    size_t n); /* NULL when none is near */

/* Progress bar for oxp_progress_fn: on a terminal only, after half a second. */
int show_progress(const char *what, uint64_t done, uint64_t total, void *user);
int watch_progress(const char *what, uint64_t done, uint64_t total, void *user); /* shows nothing */
void end_progress(void);
/* From now on the first Ctrl-C cancels what reports progress (OXP_ECANCELLED); a second one ends the program. */
void stop_on_interrupt(void);
bool interrupted(void);

/* Model and inputs, as predict, explain and compare need them. */
enum { MAX_INPUTS = 16 };
typedef struct subject {
    oxp_model *model;
    oxp_input *inputs[MAX_INPUTS]; /* one per model input, in order */
    oxp_array arrays[MAX_INPUTS];
    size_t n_inputs;
    size_t picture;          /* the input that is a picture, or the first */
    const char *file, *stem; /* of the first INPUT: as given, and what file names begin with */
} subject;
oxp_model_options model_options(const cli *c); /* limits, OXP_LOG */
int open_model(const cli *c, subject *s);
/* Groups: `first` is the index in c->args of the first INPUT of this group; models with several inputs take several files. */
int load_inputs(const cli *c, subject *s, size_t first);
void drop_inputs(subject *s);
void close_subject(subject *s);
size_t inputs_per_run(const subject *s);

/* The methods asked for, and what was learnt about them on the input at hand. */
typedef struct choice {
    words names;
    size_t methods[MAX_WORDS];            /* their numbers */
    oxp_explainer *explainers[MAX_WORDS]; /* made at first use, kept for all inputs and targets */
    size_t done;                          /* results on this input */
    oxp_error first;                      /* why the first method did not apply */
    char *why[MAX_WORDS];                 /* why a method did not, NULL: it did */
    uint64_t passes;                      /* of what show_cost printed */
    double flops;
    char told[16][256]; /* notes already printed */
    size_t n_told;
} choice;
int choose_methods(const cli *c, const char *by_default, choice *out);
/* Words of --set baseline= and baselines= that are colours or files, as arrays for the library. */
enum { MAX_BASELINES = 64 };
typedef struct baselines {
    oxp_input *inputs[MAX_BASELINES];
    oxp_array arrays[MAX_BASELINES];
    size_t n;
} baselines;
/* params: those that the method takes. On failure *error says why, and nothing is held. */
oxp_status load_baselines(const cli *c, const subject *s, const words *params, baselines *out,
                          oxp_error *error);
void drop_baselines(baselines *b);
/* NULL: *error says why. */
oxp_explainer *explainer_for(const cli *c, const subject *s, choice *ch, size_t at,
                             oxp_error *error);
/* One of several methods may fail to apply: it is left out, and why is kept. */
int pass_over(choice *ch, size_t at, const oxp_error *error);
/* After the last method on an input: the methods that did not apply, each reason once. If none did, the first reason is the
 * error. With `costs`, what all of them together would take. */
int tell_passed_over(const cli *c, choice *ch, bool costs);
/* One line: what the method would take on these inputs. */
oxp_status show_cost(const subject *s, choice *ch, size_t at, oxp_explainer *e, oxp_error *error);
void tell_notes(const cli *c, choice *ch, const oxp_result *r); /* each once */
void drop_explainer(choice *ch, size_t at);
void drop_choice(choice *ch);

void print_methods_page(void); /* docs/methods.md, in Markdown */

void print_top(const subject *s, const oxp_result *r, size_t item, FILE *to);
/* "Egyptian cat (285)" or "class 285". */
const char *class_name(const subject *s, int64_t index, char buf[160]);
/* A file-name part: letters, digits, '.', '-' and '+' stay, the rest becomes '_'. */
void clean_name(char *text);

#define COMMAND(name) extern const command command_##name;
#include "cli/cmds.def"
#undef COMMAND

#endif
