/* opcheck.c - the operator test runner: rows of text, one check per mode.
 *
 *   opcheck --mode=list|check|grad|perf [FILE.cases | 'ROW']...
 *
 * list prints every operator with what it has and how many rows test it, and fails for an
 * operator that lacks its duties: infer, ref, lower or expand; a gradient or an expansion unless
 * it is declared non-differentiable; its opset; three rows. A failing row is printed as a command
 * that repeats it. */
#include "ops/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_ROWS = 3, MAX_ROW = 8192 };

typedef struct runner {
    const char *program, *mode;
    int (*check)(oxp_ctx *ctx, oxp_arena *arena, const op_case *c); /* NULL: only count */
    unsigned *rows;                                                 /* [oxp_op_count()] */
    int n_rows, failures;
} runner;

static void count_row(runner *r, const op_case *c)
{
    for (size_t i = 0; i < oxp_op_count(); i++) r->rows[i] += oxp_op_at(i) == c->op && !c->refused;
}

/* What an operator's descriptor lacks, and what to do about it; NULL when nothing. Its rows can run only when
 * infer and ref are there. */
static const char *lacks(const oxp_op *op)
{
    const bool ours = (op->flags & OXP_OP_INTERNAL) != 0;
    if (op->flags & OXP_OP_CONTROL) return NULL; /* never in a specialised graph */
    if (!op->infer) return "no infer: shapes of the outputs from those of the inputs";
    if (!op->ref) return "no ref: the naive loop in double that everything is compared with";
    if (!op->lower && !op->expand)
        return "neither lower nor expand: the fast executor cannot run it";
    if (!op->grad && !op->expand && !(op->flags & OXP_OP_NOT_DIFFERENTIABLE))
        return "no gradient: give grad or expand, or declare it OXP_OP_NOT_DIFFERENTIABLE";
    if (ours != (op->name[0] == '_') || ours != (op->since == 0))
        return "an ONNX operator names its first opset in `since`; ours have the flag "
               "OXP_OP_INTERNAL, a "
               "name that starts with '_', and no `since`";
    return NULL;
}

static void run_row(runner *r, const char *row, const char *file, int line)
{
    oxp_error error = {.code = OXP_OK};
    oxp_arena *arena = oxp_arena_new(NULL), *scratch = oxp_arena_new(NULL);
    oxp_ctx ctx = {.error = &error, .scratch = scratch};
    op_case c;
    int failures = 0;
    r->n_rows++;
    if (case_parse(&ctx, arena, row, &c) != OXP_OK) {
        printf("  %s\n", error.message);
        failures = 1;
    } else {
        count_row(r, &c);
        const char *why = r->check ? lacks(c.op) : NULL;
        if (why) printf("  %s: %s\n", c.op->name, why);
        failures = why ? 1 : r->check ? r->check(&ctx, arena, &c) : 0;
    }
    if (failures) {
        printf("FAIL %s:%d  repeat: %s --mode=%s '%s'\n", file, line, r->program, r->mode, row);
        r->failures++;
    }
    oxp_arena_free(arena);
    oxp_arena_free(scratch);
}

/* The row without its comment and surrounding blanks. */
static char *trim(char *row)
{
    row[strcspn(row, "#\r\n")] = '\0';
    row += strspn(row, " \t");
    for (size_t n = strlen(row); n > 0 && (row[n - 1] == ' ' || row[n - 1] == '\t'); n--)
        row[n - 1] = '\0';
    return row;
}

static void run_file(runner *r, const char *path)
{
    char row[MAX_ROW];
    FILE *file = fopen(path, "r");
    if (!file) {
        printf("FAIL cannot read %s\n", path);
        r->failures++;
        return;
    }
    for (int line = 1; fgets(row, sizeof row, file); line++) {
        if (strlen(row) + 1 == sizeof row) {
            printf("FAIL %s:%d: longer than %d characters\n", path, line, MAX_ROW);
            r->failures++;
            break;
        }
        if (*trim(row)) run_row(r, trim(row), path, line);
    }
    fclose(file);
}

static bool lists(const oxp_op *op, unsigned rows)
{
    const char *why = lacks(op);
    const char *gradient = op->flags & OXP_OP_CONTROL              ? "of its parts"
                           : op->flags & OXP_OP_NOT_DIFFERENTIABLE ? "none (declared)"
                           : op->grad                              ? "direct"
                           : op->expand                            ? "expansion"
                                                                   : "MISSING";
    const char *fast = op->flags & OXP_OP_CONTROL ? "unrolled"
                       : op->lower                ? "direct"
                       : op->expand               ? "expansion"
                                                  : "MISSING";
    printf("%-22s opset %-3d lower %-10s gradient %-16s rows %u\n", op->name, op->since, fast,
           gradient, rows);
    if (!why && rows < MIN_ROWS && !(op->flags & OXP_OP_CONTROL))
        why = "fewer than 3 rows: write some in a tests/ops/*.cases file";
    if (why) printf("FAIL %s: %s\n", op->name, why);
    return !why;
}

static int usage(void)
{
    fputs("usage: opcheck --mode=list|check|grad|perf [FILE.cases | 'ROW']...\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    runner r = {.program = argv[0]};
    if (argc < 2 || strncmp(argv[1], "--mode=", 7) != 0) return usage();
    r.mode = argv[1] + 7;
    const bool list = strcmp(r.mode, "list") == 0;
    r.check = strcmp(r.mode, "check") == 0  ? check_values
              : strcmp(r.mode, "grad") == 0 ? check_gradient
              : strcmp(r.mode, "perf") == 0 ? check_speed
                                            : NULL;
    if (!r.check && !list) return usage();
    r.rows = calloc(oxp_op_count(), sizeof *r.rows);
    if (!r.rows) return 1;
    for (int i = 2; i < argc; i++) {
        const char *dot = strrchr(argv[i], '.');
        if (dot && strcmp(dot, ".cases") == 0)
            run_file(&r, argv[i]);
        else
            run_row(&r, trim(argv[i]), "command line", 1);
    }
    for (size_t i = 0; list && i < oxp_op_count(); i++)
        r.failures += !lists(oxp_op_at(i), r.rows[i]);
    free(r.rows);
    printf("%d rows, %d failed\n", r.n_rows, r.failures);
    return r.failures || (r.n_rows == 0 && !list) ? 1 : 0;
}
