/* report.c - docs/operators.md: every operator, what ONNX's tests say about it, and whether it has a
 * gradient. */
#include "base/strbuf.h"
#include "base/strmap.h"
#include "conformance/conformance.h"
#include "ops/ops.h"
#include <stdlib.h>
#include <string.h>

typedef struct row {
    const char *name;
    const oxp_op *op; /* NULL: not implemented */
    size_t count[VERDICTS];
    const char *note; /* the first reason of a test that did not pass */
} row;

typedef struct table {
    oxp_strmap index;
    row *rows;
    size_t n, cap;
} table;

static oxp_status row_of(oxp_ctx *ctx, table *t, const char *name, row **out)
{
    uint32_t at;
    if (!oxp_strmap_get(&t->index, name, &at)) {
        OXP_FAIL_IF(ctx,
                    !oxp_arena_grow(ctx->scratch, &t->rows, t->n, &t->cap, sizeof *t->rows) ||
                        !oxp_strmap_put(&t->index, name, (uint32_t)t->n),
                    OXP_ENOMEM, "out of memory");
        at = (uint32_t)t->n++;
        t->rows[at] = (row){.name = name};
    }
    *out = &t->rows[at];
    return OXP_OK;
}

static oxp_status add_operators(oxp_ctx *ctx, table *t)
{
    for (size_t i = 0; i < oxp_op_count(); i++) {
        const oxp_op *op = oxp_op_at(i);
        row *r;
        if (op->flags & OXP_OP_INTERNAL) continue;
        OXP_TRY(row_of(ctx, t, op->name, &r));
        r->op = op;
    }
    return OXP_OK;
}

/* A test that passed speaks for all its operators; one that did not for those that we lack, else
 * for its first. */
static oxp_status add_test(oxp_ctx *ctx, table *t, const test_case *test)
{
    bool any_lacks = false;
    row *r;
    for (size_t i = 0; i < test->n_ops; i++) {
        OXP_TRY(row_of(ctx, t, test->ops[i], &r));
        const bool lacks = !r->op && strcmp(r->name, "Constant") != 0;
        any_lacks = any_lacks || lacks;
        if (test->verdict != PASSED && !lacks) continue;
        r->count[test->verdict]++;
        if (test->verdict == OUT_OF_SCOPE && !r->note) r->note = test->scope;
    }
    if (test->verdict == PASSED || any_lacks || test->n_ops == 0) return OXP_OK;
    OXP_TRY(row_of(ctx, t, test->ops[0], &r));
    r->count[test->verdict]++;
    if (!r->note) r->note = test->verdict == OUT_OF_SCOPE ? test->scope : test->why;
    return OXP_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const row *)a)->name, ((const row *)b)->name);
}

static const char *gradient_text(const oxp_op *op)
{
    if (!op) return "";
    if (op->flags & OXP_OP_NOT_DIFFERENTIABLE) return "non-differentiable";
    return op->grad ? "rule" : "by its parts";
}

static void print_row(const row *r, oxp_strbuf *out)
{
    oxp_strbuf_printf(out, "| %s | ", r->name);
    if (r->op && r->op->until)
        oxp_strbuf_printf(out, "%u-%u", r->op->since, r->op->until);
    else if (r->op)
        oxp_strbuf_printf(out, "%u-", r->op->since);
    oxp_strbuf_printf(out, " | %s |", gradient_text(r->op));
    for (int v = 0; v < VERDICTS; v++)
        if (r->count[v])
            oxp_strbuf_printf(out, " %zu |", r->count[v]);
        else
            oxp_strbuf_puts(out, " |");
    oxp_strbuf_printf(out, " %s |\n", r->note ? r->note : "");
}

oxp_status report_operators(oxp_ctx *ctx, const suite *s, const char *path)
{
    table t = {0};
    oxp_strbuf out;
    size_t count[VERDICTS] = {0};
    oxp_strmap_init(&t.index, ctx->scratch);
    oxp_strbuf_init(&out, ctx->scratch);
    OXP_TRY(add_operators(ctx, &t));
    for (size_t i = 0; i < s->n; i++) {
        count[s->tests[i].verdict]++;
        OXP_TRY(add_test(ctx, &t, &s->tests[i]));
    }
    qsort(t.rows, t.n, sizeof *t.rows, by_name);
    oxp_strbuf_printf(
        &out,
        "# Operators\n\n"
        "Written by `make conformance`, which runs ONNX's own tests (Debian's `libonnx-testdata`) "
        "in both executors.\n"
        "Of %zu tests %zu pass, %zu are out of scope, %zu are refused and %zu fail. Out of scope "
        "are random numbers, training,\n"
        "strings, sequences, optionals, maps and complex numbers, TfIdfVectorizer, Det and "
        "DeformConv, and tests whose numbers\n"
        "contradict the operator's definition. A test counts for each of its operators when it "
        "passes, else for those that\n"
        "are lacking. `make conformance-newest` does the same with the newest operators.\n\n"
        "Opsets: the first and last whose definition is understood. Gradient: `rule`: its own; "
        "`by its parts`: through simpler\n"
        "operators; `non-differentiable`: adjoints stop there.\n\n"
        "| operator | opsets | gradient | passed | out of scope | refused | failed | note |\n"
        "|---|---|---|---:|---:|---:|---:|---|\n",
        s->n, count[PASSED], count[OUT_OF_SCOPE], count[REFUSED], count[FAILED]);
    for (size_t i = 0; i < t.n; i++) print_row(&t.rows[i], &out);
    const char *text = oxp_strbuf_str(&out);
    OXP_NOMEM_IF(ctx, text);
    return oxp_file_write(ctx, path, text, out.len);
}
