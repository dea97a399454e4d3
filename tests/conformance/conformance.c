/* conformance.c - runs ONNX's own tests: see conformance.h.
 *
 *   conformance [--data DIR] [--only WORD] [--third] [--refused FILE] [--update] [--docs FILE]
 *
 * Prints what passed, what was refused by operator, and what failed. --refused names the list of
 * tests that do not pass yet, one a line, with the reason: only those may be refused or fail, so a
 * test that once passed cannot break unseen. --update takes those that pass now off the list, and
 * where all were run those that are no more (it never adds any, unless there is no list yet). --third runs every third test; --only those
 * whose name has WORD in it, and prints each with its reason. Exit status: 1 when a test failed
 * that may not, 77 when there is no data, 2 for usage. */
#include "conformance/conformance.h"
#include "base/strbuf.h"
#include "base/strmap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const suites[] = {"node", "simple", "pytorch-converted", "pytorch-operator"};

typedef struct options {
    const char *data, *only, *refused, *docs;
    bool third, update, list;
} options;

typedef struct refused_list {
    oxp_strmap names;   /* test name -> 1 */
    const char **lines; /* of the file, but comments */
    size_t n, cap;
    bool exists;
} refused_list;

static oxp_status read_refused(oxp_ctx *ctx, const char *path, refused_list *out)
{
    oxp_bytes file;
    oxp_strmap_init(&out->names, ctx->scratch);
    out->exists = path && oxp_file_exists(path);
    if (!out->exists) return OXP_OK;
    OXP_TRY(oxp_file_read(ctx, ctx->scratch, path, 0, &file));
    char *text = oxp_arena_strndup(ctx->scratch, (const char *)file.data, file.size);
    OXP_NOMEM_IF(ctx, text);
    for (char *line = text; *line != '\0';) {
        char *next = line + strcspn(line, "\n");
        const bool last = *next == '\0';
        *next = '\0';
        const char *name = oxp_arena_strndup(ctx->scratch, line, strcspn(line, " \t"));
        OXP_NOMEM_IF(ctx, name);
        if (name[0] != '\0' && name[0] != '#') {
            OXP_FAIL_IF(ctx,
                        !oxp_strmap_put(&out->names, name, 1) ||
                            !oxp_arena_grow(ctx->scratch, &out->lines, out->n, &out->cap,
                                            sizeof *out->lines),
                        OXP_ENOMEM, "out of memory");
            out->lines[out->n++] = line;
        }
        line = last ? next : next + 1;
    }
    return OXP_OK;
}

static bool is_bad(const test_case *t)
{
    return t->verdict == REFUSED || t->verdict == FAILED;
}

/* ---- running ---- */

static bool is_chosen(const options *o, const test_case *t, size_t index)
{
    if (o->only) return strstr(t->name, o->only) != NULL;
    return !o->third || index % 3 == 0;
}

static oxp_status run_all(oxp_ctx *ctx, const options *o, suite *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        test_case *t = &s->tests[i];
        if (!is_chosen(o, t, i)) continue;
        const oxp_status status = run_test(s, t);
        OXP_FAIL_IF(ctx, status != OXP_OK, status, "%s: out of memory", t->name);
        if (o->only || o->list) {
            static const char *const words[VERDICTS] = {"passed", "out of scope", "REFUSED",
                                                        "FAILED"};
            printf("%-12s %s", words[t->verdict], t->name);
            if (t->verdict == PASSED)
                printf("  (error %.2g)\n", t->error);
            else
                printf(": %s\n", t->why);
        }
        s->tests[n++] = *t;
    }
    s->n = n;
    return OXP_OK;
}

/* ---- reporting ---- */

typedef struct reason {
    const char *text;
    size_t n;
} reason;

static int by_count(const void *a, const void *b)
{
    const reason *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->text, y->text);
}

/* "2 nodes use 1 unsupported feature: LSTM (opset 14) at 'a'" -> "LSTM (opset 14)" */
static const char *short_reason(oxp_arena *arena, const char *why)
{
    const char *colon = strstr(why, "unsupported feature");
    const char *start = colon ? strstr(colon, ": ") : NULL;
    const char *end = start ? strstr(start, " at '") : NULL;
    return start && end ? oxp_arena_strndup(arena, start + 2, (size_t)(end - start - 2)) : why;
}

static oxp_status print_reasons(oxp_ctx *ctx, const suite *s, verdict v)
{
    reason *reasons = OXP_NEW(ctx->scratch, reason, s->n + 1);
    OXP_NOMEM_IF(ctx, reasons);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const test_case *t = &s->tests[i];
        if (t->verdict != v) continue;
        const char *text = v == OUT_OF_SCOPE ? t->scope : short_reason(ctx->scratch, t->why);
        OXP_NOMEM_IF(ctx, text);
        size_t k = 0;
        while (k < n && strcmp(reasons[k].text, text) != 0) k++;
        if (k == n) reasons[n++].text = text;
        reasons[k].n++;
    }
    qsort(reasons, n, sizeof *reasons, by_count);
    for (size_t k = 0; k < n; k++) printf("  %4zu  %s\n", reasons[k].n, reasons[k].text);
    return OXP_OK;
}

static oxp_status print_summary(oxp_ctx *ctx, const suite *s, const refused_list *list,
                                size_t *n_broken)
{
    size_t count[VERDICTS] = {0}, n_cured = 0;
    for (size_t i = 0; i < s->n; i++) {
        const test_case *t = &s->tests[i];
        const bool listed = oxp_strmap_get(&list->names, t->name, NULL);
        count[t->verdict]++;
        n_cured += listed && !is_bad(t);
        if (is_bad(t) && !listed) ++*n_broken;
    }
    printf("out of scope, by reason:\n");
    OXP_TRY(print_reasons(ctx, s, OUT_OF_SCOPE));
    printf("refused, by feature:\n");
    OXP_TRY(print_reasons(ctx, s, REFUSED));
    printf("failed:\n");
    for (size_t i = 0; i < s->n; i++)
        if (s->tests[i].verdict == FAILED) printf("  %s: %s\n", s->tests[i].name, s->tests[i].why);
    if (n_cured)
        printf("%zu tests of the list pass now: take them off it with --update\n", n_cured);
    for (size_t i = 0; i < s->n; i++)
        if (is_bad(&s->tests[i]) && !oxp_strmap_get(&list->names, s->tests[i].name, NULL))
            printf("NOT ON THE LIST: %s: %s\n", s->tests[i].name, s->tests[i].why);
    const size_t in_scope = s->n - count[OUT_OF_SCOPE];
    printf("%zu tests: %zu passed (%.1f %% of those in scope), %zu out of scope, %zu refused, %zu "
           "failed\n",
           s->n, count[PASSED], in_scope ? 100.0 * (double)count[PASSED] / (double)in_scope : 100.0,
           count[OUT_OF_SCOPE], count[REFUSED], count[FAILED]);
    return OXP_OK;
}

static void print_refused(oxp_ctx *ctx, const test_case *t, oxp_strbuf *out)
{
    oxp_strbuf_printf(out, "%s  %s\n", t->name,
                      t->verdict == FAILED ? "failed" : short_reason(ctx->scratch, t->why));
}

/* Lines of tests that were not run stay; `all`: every test was. */
static oxp_status update_refused(oxp_ctx *ctx, const suite *s, const refused_list *list, bool all,
                                 const char *path)
{
    oxp_strbuf text;
    oxp_strmap ran; /* test name -> index */
    oxp_strbuf_init(&text, ctx->scratch);
    oxp_strmap_init(&ran, ctx->scratch);
    oxp_strbuf_printf(&text,
                      "# Tests of ONNX that do not pass yet; `conformance --update` takes off "
                      "those that do.\n");
    for (size_t i = 0; i < s->n; i++) {
        OXP_FAIL_IF(ctx, !oxp_strmap_put(&ran, s->tests[i].name, (uint32_t)i), OXP_ENOMEM,
                    "out of memory");
        if (is_bad(&s->tests[i]) && !list->exists) print_refused(ctx, &s->tests[i], &text);
    }
    for (size_t i = 0; i < list->n; i++) {
        const size_t length = strcspn(list->lines[i], " \t");
        const char *name = oxp_arena_strndup(ctx->scratch, list->lines[i], length);
        uint32_t at;
        OXP_NOMEM_IF(ctx, name);
        if (!oxp_strmap_get(&ran, name, &at)) {
            if (!all) oxp_strbuf_printf(&text, "%s\n", list->lines[i]);
        } else if (is_bad(&s->tests[at])) {
            print_refused(ctx, &s->tests[at], &text);
        }
    }
    const char *str = oxp_strbuf_str(&text);
    OXP_NOMEM_IF(ctx, str);
    return oxp_file_write(ctx, path, str, text.len);
}

/* ---- the command ---- */

static bool read_options(int argc, char **argv, options *o)
{
    *o = (options){.data = "/usr/share/libonnx-testdata/data"};
    for (int i = 1; i < argc; i++) {
        const char *const value = i + 1 < argc ? argv[i + 1] : NULL;
        const struct {
            const char *name;
            const char **text;
            bool *flag;
        } known[] = {{"--data", &o->data, NULL},       {"--only", &o->only, NULL},
                     {"--refused", &o->refused, NULL}, {"--docs", &o->docs, NULL},
                     {"--third", NULL, &o->third},     {"--update", NULL, &o->update},
                     {"--list", NULL, &o->list}};
        size_t k = 0;
        while (k < OXP_COUNT(known) && strcmp(known[k].name, argv[i]) != 0) k++;
        if (k == OXP_COUNT(known) || (known[k].text && !value)) return false;
        if (known[k].text) {
            *known[k].text = value;
            i++;
        } else {
            *known[k].flag = true;
        }
    }
    return true;
}

static oxp_status run(oxp_ctx *ctx, const options *o, int *exit_status)
{
    suite s = {.arena = ctx->scratch};
    refused_list list = {0};
    size_t n_broken = 0;
    OXP_TRY(suite_find(ctx, o->data, suites, OXP_COUNT(suites), &s));
    if (s.n == 0) {
        printf("skipped: no tests below %s (package libonnx-testdata)\n", o->data);
        *exit_status = 77;
        return OXP_OK;
    }
    OXP_TRY(read_refused(ctx, o->refused, &list));
    OXP_TRY(run_all(ctx, o, &s));
    if (!o->only || s.n > 1) OXP_TRY(print_summary(ctx, &s, &list, &n_broken));
    if (o->update && o->refused)
        OXP_TRY(update_refused(ctx, &s, &list, !o->only && !o->third, o->refused));
    if (o->docs) OXP_TRY(report_operators(ctx, &s, o->docs));
    *exit_status = o->refused ? n_broken > 0 : 0;
    return OXP_OK;
}

int main(int argc, char **argv)
{
    options o;
    oxp_error error = {0};
    int exit_status = 1;
    if (!read_options(argc, argv, &o)) {
        fprintf(stderr, "conformance: unknown option, or a value is missing\n");
        return 2;
    }
    oxp_ctx ctx = {.error = &error, .scratch = oxp_arena_new(NULL)};
    if (!ctx.scratch || run(&ctx, &o, &exit_status) != OXP_OK)
        fprintf(stderr, "conformance: %s\n", error.message);
    oxp_arena_free(ctx.scratch);
    return exit_status;
}
