/*
 * Snapshot cases of the optimiser: graph in, passes, graph out, as text (ir/parse.h).
 *
 *   run_ir [--update] FILE...
 *
 * A case:
 *   case: gelu, half last
 *   passes: raise tidy
 *   keep: erf gate                names of values that must stay (optional)
 *   graph:
 *   ...                           up to
 *   expect:                       or `expect: unchanged`
 *   ...                           up to the next `case:` or the end; blank lines do not count
 *
 * Besides the text, each case checks that outputs and kept values, and their gradients where the
 * passes may run before differentiation, are the same numbers before and after. --update writes the
 * text found into the file instead of comparing it; read the diff.
 */
#include "grad/grad.h"
#include "ir/parse.h"
#include "opt/opt.h"
#include "support/eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
    const char *name, *passes, *keep; /* rests of lines, NUL-terminated */
    char *graph, *expect;             /* blocks */
    bool unchanged;
} test_case;

typedef struct run {
    oxp_ctx ctx;
    oxp_error error;
    oxp_arena *arena;
} run;

/* ---- files ---- */

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    const long size = ftell(f);
    rewind(f);
    char *text = calloc((size_t)size + 1, 1);
    const bool ok = text && fread(text, 1, (size_t)size, f) == (size_t)size;
    fclose(f);
    return ok ? text : NULL;
}

/* The rest of the line after `key`, or NULL when the line starts otherwise. */
static const char *field(const char *line, const char *key)
{
    const size_t n = strlen(key);
    if (strncmp(line, key, n) != 0) return NULL;
    return line + n + strspn(line + n, " ");
}

static void append(char **block, const char *line)
{
    const size_t n = *block ? strlen(*block) : 0;
    *block = realloc(*block, n + strlen(line) + 2);
    snprintf(*block + n, strlen(line) + 2, "%s\n", line);
}

/* Cases of a file's text, which is cut into lines in place; *head: what stands before the first. */
static size_t read_cases(char *text, test_case *cases, size_t room, char **head)
{
    size_t n = 0;
    char **block = head;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        const char *rest;
        test_case *c = n ? &cases[n - 1] : NULL;
        if ((rest = field(line, "case:")) && n < room) {
            cases[n++] = (test_case){.name = rest, .passes = "", .keep = ""};
            block = NULL;
        } else if (c && (rest = field(line, "passes:"))) {
            c->passes = rest;
        } else if (c && (rest = field(line, "keep:"))) {
            c->keep = rest;
        } else if (c && field(line, "graph:")) {
            block = &c->graph;
        } else if (c && (rest = field(line, "expect:"))) {
            c->unchanged = strcmp(rest, "unchanged") == 0;
            block = &c->expect;
        } else if (block && (line[0] || !c)) {
            append(block, line);
        }
    }
    return n;
}

/* ---- one case ---- */

static const char *text_of(run *r, const oxp_graph *g)
{
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, r->arena);
    oxp_graph_print(g, &sb);
    return oxp_strbuf_str(&sb);
}

/* The text whose numbers count up: printed, parsed and printed again. */
static oxp_status normal_text(run *r, const oxp_graph *g, const char **out)
{
    oxp_graph *again;
    OXP_TRY(oxp_graph_parse(&r->ctx, r->arena, text_of(r, g), oxp_op_find, &again));
    *out = text_of(r, again);
    return OXP_OK;
}

static oxp_status find_passes(run *r, const char *names, oxp_pass_fn *passes, size_t *n)
{
    static const struct {
        const char *name;
        oxp_pass_fn fn;
    } known[] = {{"raise", oxp_opt_raise},
                 {"merge", oxp_opt_merge},
                 {"tidy", oxp_opt_tidy},
                 {"fuse", oxp_opt_fuse}};
    for (*n = 0; *names && *n < 8;) {
        const size_t len = strcspn(names, " ");
        size_t i = 0;
        while (i < OXP_COUNT(known) &&
               (strlen(known[i].name) != len || strncmp(known[i].name, names, len) != 0))
            i++;
        OXP_FAIL_IF(&r->ctx, i == OXP_COUNT(known), OXP_EINVAL, "unknown pass at '%s'", names);
        passes[(*n)++] = known[i].fn;
        names += len + strspn(names + len, " ");
    }
    return OXP_OK;
}

enum { MAX_FOLLOW = 32 };

/* The outputs, then the kept values by name. */
static oxp_status find_followed(run *r, const oxp_graph *g, const char *names, oxp_val *follow,
                                size_t *n)
{
    for (*n = 0; *n < g->n_outputs && *n < MAX_FOLLOW; (*n)++) follow[*n] = g->outputs[*n];
    while (*names && *n < MAX_FOLLOW) {
        const size_t len = strcspn(names, " ");
        const char *name = oxp_arena_strndup(r->arena, names, len);
        follow[*n] = oxp_graph_find(g, name);
        OXP_FAIL_IF(&r->ctx, !follow[(*n)++], OXP_EINVAL, "keep: no value is called '%s'", name);
        names += len + strspn(names + len, " ");
    }
    return OXP_OK;
}

/* Numbers in [-2, 2) from a counter; integers are 0 or 1. */
static oxp_status make_numbers(run *r, const oxp_value *v, uint32_t seed, oxp_tensor *out)
{
    OXP_TRY(oxp_tensor_new(&r->ctx, r->arena, v->dtype == OXP_F32 ? OXP_F64 : v->dtype, &v->shape,
                           out));
    const size_t size = oxp_dtype_size(out->dtype);
    for (int64_t i = 0; i < oxp_shape_elements(&v->shape); i++) {
        seed = seed * 1664525u + 1013904223u;
        const double unit = (double)(seed >> 8) / (double)(1u << 24),
                     number = v->dtype == OXP_F32 ? 4 * unit - 2 : floor(2 * unit);
        oxp_convert((char *)(uintptr_t)out->data + (size_t)i * size, out->dtype, &number, OXP_F64,
                    1);
    }
    return OXP_OK;
}

/* Appends the gradients of the target, seeded with fixed numbers, at the float inputs. */
static oxp_status add_gradients(run *r, oxp_graph *g, oxp_val target, oxp_val *grads, size_t *n)
{
    oxp_build b;
    oxp_val wrt[MAX_FOLLOW];
    oxp_tensor *numbers = OXP_NEW(r->arena, oxp_tensor, 1);
    for (size_t i = *n = 0; i < g->n_inputs && *n < MAX_FOLLOW; i++)
        if (oxp_value_of(g, g->inputs[i])->dtype == OXP_F32) wrt[(*n)++] = g->inputs[i];
    OXP_TRY(make_numbers(r, oxp_value_of(g, target), 77, numbers));
    oxp_build_init(&b, &r->ctx, g);
    const oxp_val seed = oxp_b_const(&b, OXP_F32, numbers);
    oxp_diff diff = {.target = &target, .seed = &seed, .n_target = 1, .wrt = wrt, .n_wrt = *n};
    OXP_TRY(oxp_differentiate(&b, &diff));
    memcpy(grads, diff.adjoint, *n * sizeof(oxp_val));
    return oxp_graph_verify(&r->ctx, g);
}

static oxp_status evaluate(run *r, const oxp_graph *g, const oxp_tensor ***values)
{
    oxp_tensor *inputs = OXP_NEW(r->arena, oxp_tensor, g->n_inputs + 1);
    *values = OXP_NEW(r->arena, const oxp_tensor *, g->n_values);
    for (size_t i = 0; i < g->n_inputs; i++)
        OXP_TRY(make_numbers(r, oxp_value_of(g, g->inputs[i]), (uint32_t)(1 + i), &inputs[i]));
    return oxp_test_eval(&r->ctx, r->arena, g, inputs, *values);
}

static oxp_status same_numbers(run *r, const oxp_tensor *a, const oxp_tensor *b, double tolerance,
                               const char *what, size_t k)
{
    OXP_FAIL_IF(&r->ctx, !a != !b || (a && !oxp_shape_equal(&a->shape, &b->shape)), OXP_EINTERNAL,
                "%s %zu has another shape afterwards", what, k);
    double largest = 1.0;
    for (int64_t i = 0; a && i < oxp_shape_elements(&a->shape); i++)
        largest = fmax(largest, fabs(oxp_tensor_get(a, i)));
    for (int64_t i = 0; a && i < oxp_shape_elements(&a->shape); i++) {
        const double x = oxp_tensor_get(a, i), y = oxp_tensor_get(b, i);
        OXP_FAIL_IF(&r->ctx, !(fabs(x - y) <= tolerance * largest), OXP_EINTERNAL,
                    "%s %zu, element %lld: %.17g before, %.17g after", what, k, (long long)i, x, y);
    }
    return OXP_OK;
}

static oxp_status check_numbers(run *r, const test_case *c, oxp_graph *before, oxp_graph *after,
                                const oxp_val *old, const oxp_val *new, size_t n)
{
    const double tolerance =
        strstr(c->passes, "merge") ? 1e-6 : 1e-12; /* merged weights are float32 */
    oxp_val grads[2][MAX_FOLLOW];
    size_t n_grads = 0;
    if (!strstr(c->passes, "fuse") && oxp_value_of(before, old[0])->dtype == OXP_F32) {
        OXP_TRY(add_gradients(r, before, old[0], grads[0], &n_grads));
        OXP_TRY(add_gradients(r, after, new[0], grads[1], &n_grads));
    }
    const oxp_tensor **x, **y;
    OXP_TRY(evaluate(r, before, &x));
    OXP_TRY(evaluate(r, after, &y));
    for (size_t i = 0; i < n; i++)
        OXP_TRY(same_numbers(r, x[old[i]], y[new[i]], tolerance, "value", i));
    for (size_t i = 0; i < n_grads; i++)
        OXP_TRY(same_numbers(r, x[grads[0][i]], y[grads[1][i]], tolerance, "gradient", i));
    return OXP_OK;
}

/* *found: the text after the passes, *wanted: what it should be. */
static oxp_status run_case(run *r, const test_case *c, const char **found, const char **wanted)
{
    oxp_graph *before, *after;
    oxp_pass_fn passes[8];
    oxp_val old[MAX_FOLLOW], new[MAX_FOLLOW];
    size_t n_passes, n;
    OXP_FAIL_IF(&r->ctx, !c->graph, OXP_EINVAL, "the case needs a graph:");
    OXP_TRY(oxp_graph_parse(&r->ctx, r->arena, c->graph, oxp_op_find, &before));
    OXP_TRY(find_passes(r, c->passes, passes, &n_passes));
    OXP_TRY(find_followed(r, before, c->keep, old, &n));
    memcpy(new, old, sizeof new);
    after = before;
    OXP_TRY(oxp_opt_run(&r->ctx, r->arena, passes, n_passes, &after, new, n));
    OXP_TRY(normal_text(r, after, found));
    *wanted = c->expect ? c->expect : "";
    if (c->unchanged) OXP_TRY(normal_text(r, before, wanted));
    for (size_t i = 0; i < n; i++) {
        const char *name = oxp_value_of(before, old[i])->name,
                   *now = new[i] ? oxp_value_of(after, new[i])->name : NULL;
        OXP_FAIL_IF(&r->ctx, !new[i] || (name && (!now || strcmp(now, name) != 0)), OXP_EINTERNAL,
                    "the value '%s' was lost", name ? name : "?");
    }
    return check_numbers(r, c, before, after, old, new, n);
}

static bool try_case(const char *path, test_case *c, bool update)
{
    run r = {.arena = oxp_arena_new(NULL)};
    r.ctx = (oxp_ctx){.error = &r.error, .scratch = oxp_arena_new(NULL)};
    const char *found = "", *wanted = "";
    const oxp_status status = run_case(&r, c, &found, &wanted);
    const bool ok = status == OXP_OK && (strcmp(found, wanted) == 0 || (update && !c->unchanged));
    if (!ok)
        printf("%s: %s: %s\n", path, c->name, status == OXP_OK ? "another graph" : r.error.message);
    if (!ok && status == OXP_OK) printf("--- expected\n%s--- found\n%s", wanted, found);
    if (update && !c->unchanged && found[0]) {
        free(c->expect);
        c->expect = NULL;
        append(&c->expect, found);
        c->expect[strlen(c->expect) - 1] = '\0'; /* found ends its line itself */
    }
    oxp_arena_free(r.ctx.scratch);
    oxp_arena_free(r.arena);
    return ok;
}

static void write_cases(const char *path, const char *head, const test_case *cases, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f) return;
    fputs(head ? head : "", f);
    for (size_t i = 0; i < n; i++) {
        const test_case *c = &cases[i];
        fprintf(f, "case: %s\npasses: %s\n", c->name, c->passes);
        if (c->keep[0]) fprintf(f, "keep: %s\n", c->keep);
        fprintf(f, "graph:\n%s", c->graph ? c->graph : "");
        fprintf(f, c->unchanged ? "expect: unchanged\n" : "expect:\n%s",
                c->expect ? c->expect : "");
        fputs(i + 1 < n ? "\n" : "", f);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    enum { ROOM = 256 };
    static test_case cases[ROOM];
    const bool update = argc > 1 && strcmp(argv[1], "--update") == 0;
    int bad = 0, total = 0;
    for (int i = 1 + update; i < argc; i++) {
        char *text = read_file(argv[i]), *head = NULL;
        const size_t n = text ? read_cases(text, cases, ROOM, &head) : 0;
        if (n == 0) printf("%s: no cases\n", argv[i]);
        bad += n == 0;
        total += (int)n;
        for (size_t k = 0; k < n; k++) bad += !try_case(argv[i], &cases[k], update);
        if (update && n) write_cases(argv[i], head, cases, n);
        for (size_t k = 0; k < n; k++) {
            free(cases[k].graph);
            free(cases[k].expect);
        }
        free(head);
        free(text);
    }
    printf("%d cases, %d bad\n", total, bad);
    return bad != 0 || total == 0;
}
