/* choice.c - the methods asked for: which, each with the options that are its own, and what to do
 * when one of several does not apply. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static int add_method(const char *name, choice *out)
{
    const int found = oxp_method_find(name);
    if (found < 0) {
        const char *names[MAX_WORDS];
        const size_t n = oxp_method_count();
        for (size_t k = 0; k < n; k++) names[k] = oxp_method_get(k)->name;
        const char *near = nearest(name, names, n);
        return fail(EXIT_USAGE, "there is no method '%s'%s%s%s; see onnxplain methods", name,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
    }
    size_t k = 0;
    while (k < out->names.n && out->methods[k] != (size_t)found) k++;
    if (k < out->names.n || k == MAX_WORDS) return EXIT_DONE;
    out->methods[k] = (size_t)found;
    out->names.v[out->names.n++] = oxp_method_get((size_t)found)->name;
    return EXIT_DONE;
}

int choose_methods(const cli *c, const char *by_default, choice *out)
{
    words asked = c->methods;
    *out = (choice){.names = {.n = 0}};
    if (asked.n == 0) asked.v[asked.n++] = by_default;
    int status = EXIT_DONE;
    for (size_t i = 0; status == EXIT_DONE && i < asked.n; i++) {
        const bool all = strcmp(asked.v[i], "all") == 0;
        if (all || strcmp(asked.v[i], "main") == 0) {
            for (size_t m = 0; status == EXIT_DONE && m < oxp_method_count(); m++)
                if (all || oxp_method_get(m)->is_main)
                    status = add_method(oxp_method_get(m)->name, out);
        } else
            status = add_method(asked.v[i], out);
    }
    return status;
}

static bool declares(size_t method, const char *param)
{
    const size_t n = strcspn(param, "=");
    for (size_t i = 0; i < oxp_method_get(method)->param_count; i++) {
        const char *name = oxp_method_param(method, i)->name;
        if (strlen(name) == n && strncmp(name, param, n) == 0) return true;
    }
    return false;
}

/* One method takes all options. Of several, each takes those that are its own; a parameter that none
 * declares goes to the first, which refuses it by name. */
static void share_options(const choice *ch, size_t at, oxp_explain_options *o, words *params)
{
    const size_t method = ch->methods[at];
    const words given = *params;
    if (ch->names.n == 1) return;
    const int needs_layer = oxp_method_get(method)->needs_layer;
    if (needs_layer == 1)
        o->n_wrt = 0;
    else if (!needs_layer && !declares(method, "method"))
        o->n_layers = 0;
    params->n = 0;
    for (size_t p = 0; p < given.n; p++) {
        size_t takers = 0;
        for (size_t m = 0; m < ch->names.n; m++) takers += declares(ch->methods[m], given.v[p]);
        if (declares(method, given.v[p]) || (takers == 0 && at == 0))
            params->v[params->n++] = given.v[p];
    }
    o->n_params = params->n;
}

oxp_explainer *explainer_for(const cli *c, const subject *s, choice *ch, size_t at,
                             oxp_error *error)
{
    if (ch->explainers[at]) return ch->explainers[at];
    words params = c->set;
    oxp_explain_options o = OXP_EXPLAIN_OPTIONS_INIT;
    o.method = ch->names.v[at];
    o.params = params.v;
    o.n_params = params.n;
    o.contrast = c->contrast;
    o.space = c->space;
    o.layers = c->layers.v;
    o.n_layers = c->layers.n;
    o.wrt = c->wrt.v;
    o.n_wrt = c->wrt.n;
    o.threads = c->threads;
    o.precision = c->precision;
    o.max_memory = c->max_memory;
    o.top_k = c->top;
    o.no_optimise = c->no_optimise;
    o.progress = c->quiet ? watch_progress : show_progress;
    share_options(ch, at, &o, &params);
    baselines b;
    if (load_baselines(c, s, &params, &b, error) != OXP_OK) return NULL;
    o.baselines = b.arrays;
    o.n_baselines = b.n;
    oxp_explainer_new(&ch->explainers[at], s->model, &o, error);
    drop_baselines(&b);
    return ch->explainers[at];
}

int pass_over(choice *ch, size_t at, const oxp_error *error)
{
    const bool applies =
        error->code != OXP_EINVAL && error->code != OXP_EUNSUPPORTED && error->code != OXP_ELIMIT;
    if (applies || ch->names.n == 1) return fail_error(error);
    if (ch->first.code == OXP_OK) ch->first = *error;
    if (!ch->why[at]) ch->why[at] = strdup(error->message);
    return EXIT_DONE;
}

/* "a, b and c do not apply: WHY", for all that share the reason of the method `at`. */
static void tell_reason(const cli *c, const choice *ch, size_t at)
{
    char names[4096] = "";
    size_t last = at, n = 0, used = 0;
    for (size_t i = at; i < ch->names.n; i++)
        if (ch->why[i] && strcmp(ch->why[i], ch->why[at]) == 0) last = i;
    for (size_t i = at; i <= last && used < sizeof names; i++)
        if (ch->why[i] && strcmp(ch->why[i], ch->why[at]) == 0)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                     n++ == 0    ? ""
                                     : i == last ? " and "
                                                 : ", ",
                                     ch->names.v[i]);
    note(c, "%s %s not apply: %s", names, n == 1 ? "does" : "do", ch->why[at]);
}

static void forget_reasons(choice *ch)
{
    for (size_t i = 0; i < ch->names.n; i++) {
        free(ch->why[i]);
        ch->why[i] = NULL;
    }
}

int tell_passed_over(const cli *c, choice *ch, bool costs)
{
    if (ch->done == 0 && ch->first.code != OXP_OK) return fail_error(&ch->first);
    for (size_t i = 0; i < ch->names.n; i++) {
        size_t k = 0;
        while (k < i && !(ch->why[i] && ch->why[k] && strcmp(ch->why[i], ch->why[k]) == 0)) k++;
        if (ch->why[i] && k == i) tell_reason(c, ch, i);
    }
    forget_reasons(ch);
    if (costs && ch->done > 1)
        printf("%-28s %llu passes, %.4g GFLOP\n", "all of them", (unsigned long long)ch->passes,
               ch->flops * 1e-9);
    return EXIT_DONE;
}

oxp_status show_cost(const subject *s, choice *ch, size_t at, oxp_explainer *e, oxp_error *error)
{
    oxp_estimate cost;
    const oxp_status status = oxp_explainer_cost(&cost, e, s->arrays, s->n_inputs, error);
    if (status != OXP_OK) return status;
    printf("%-28s %llu pass%s of %.3g GFLOP, workspace %.1f MB, weights %.1f MB\n", ch->names.v[at],
           (unsigned long long)cost.passes, cost.passes == 1 ? "" : "es", (double)cost.flops * 1e-9,
           (double)cost.workspace_bytes * 1e-6, (double)cost.weight_bytes * 1e-6);
    ch->passes += cost.passes;
    ch->flops += (double)cost.passes * (double)cost.flops;
    ch->done++;
    return OXP_OK;
}

void tell_notes(const cli *c, choice *ch, const oxp_result *r)
{
    for (size_t i = 0; i < oxp_result_note_count(r); i++) {
        const char *text = oxp_result_note(r, i);
        char line[sizeof ch->told[0]];
        const bool warning = strncmp(text, "warning: ", 9) == 0 && ch->names.n > 1;
        size_t k = 0;
        if (warning) { /* of one of several: which? */
            note(c, "warning: %s: %s", oxp_result_method(r), text + 9);
            continue;
        }
        snprintf(line, sizeof line, "%s", text);
        while (k < ch->n_told && strcmp(ch->told[k], line) != 0) k++;
        if (k < ch->n_told) continue;
        if (k < sizeof ch->told / sizeof ch->told[0])
            memcpy(ch->told[ch->n_told++], line, sizeof line);
        note(c, "%s", text);
    }
}

/* Packed weights of a compiled method take memory: it goes as soon as nothing needs it. */
void drop_explainer(choice *ch, size_t at)
{
    oxp_explainer_free(ch->explainers[at]);
    ch->explainers[at] = NULL;
}

void drop_choice(choice *ch)
{
    for (size_t i = 0; i < ch->names.n; i++) oxp_explainer_free(ch->explainers[i]);
    forget_reasons(ch);
}
