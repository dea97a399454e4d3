/* cmd_methods.c - the methods, and all that one method declares: loops over the library's declarations. */
#include "cli/cli.h"

static void print_list(void)
{
    for (size_t i = 0; i < oxp_method_count(); i++) {
        const oxp_method_info *m = oxp_method_get(i);
        const oxp_method_family *f = oxp_method_family_of(i);
        if (i == 0 || f != oxp_method_family_of(i - 1)) printf("%s%s\n", i ? "\n" : "", f->title);
        printf("  %-29s %s\n", m->name, m->sentence);
    }
}

static void print_method(int index)
{
    static const char *const types[] = {"number", "whole number", "true or false", "choice",
                                        "text"};
    const oxp_method_info *m = oxp_method_get((size_t)index);
    printf("%s - %s\n\n%s\n\n", m->name, m->title, m->sentence);
    printf("  computes  %s\n  paper     %s\n  equals    %s\n  cost      %s\n  weakness  %s\n",
           m->definition, m->paper, *m->equals ? m->equals : "no other software that we know of",
           m->cost, m->weakness);
    if (m->needs_layer == 1) printf("  Attributes to a layer (--layer; found automatically).\n");
    if (m->needs_layer == 2) printf("  Helped by a layer (--layer; found automatically).\n");
    if (m->is_contrastive)
        printf("  Explains a difference: --contrast names the other class (default: the "
               "runner-up).\n");
    if (m->param_count) printf("\nparameters (--set name=value)\n");
    for (size_t p = 0; p < m->param_count; p++) {
        const oxp_param_info *info = oxp_method_param((size_t)index, p);
        printf("  %-12s %s\n  %-12s %s, default %s", info->name, info->sentence, "",
               types[info->type], info->default_text);
        if (info->type == OXP_PARAM_CHOICE)
            printf("; one of %s", info->choices);
        else if (info->type == OXP_PARAM_INT || info->type == OXP_PARAM_FLOAT)
            printf("; from %g to %g", info->min, info->max);
        printf("\n");
    }
}

static int run(const cli *c)
{
    if (c->args.n > 1)
        return fail(EXIT_USAGE, "methods takes one NAME, found %zu words", c->args.n);
    if (c->markdown && c->args.n)
        return fail(EXIT_USAGE, "--markdown prints all methods: it takes no NAME");
    if (c->markdown)
        print_methods_page();
    else if (c->args.n == 0)
        print_list();
    if (c->args.n == 0) return EXIT_DONE;
    const int index = oxp_method_find(c->args.v[0]);
    if (index < 0) {
        const char *names[MAX_WORDS];
        const size_t n = oxp_method_count();
        for (size_t i = 0; i < n; i++) names[i] = oxp_method_get(i)->name;
        const char *near = nearest(c->args.v[0], names, n);
        return fail(EXIT_USAGE, "there is no method '%s'%s%s%s; see onnxplain methods",
                    c->args.v[0], near ? "; did you mean '" : "", near ? near : "",
                    near ? "'" : "");
    }
    print_method(index);
    return EXIT_DONE;
}

const command command_methods = {
    .name = "methods",
    .sentence = "the methods; with a NAME its definition, parameters, cost and weakness",
    .options = "--markdown",
    .run = run,
    .help = "usage: onnxplain methods [NAME] [--markdown]\n\n"
            "Without NAME: every method with one sentence. With NAME: its definition, paper, "
            "parameters, cost,\nweakness, and whose numbers it equals.\n\n"
            "  --markdown   all of that about every method, as docs/methods.md has it\n\n"
            "example:\n"
            "  onnxplain methods integrated-gradients\n",
};
