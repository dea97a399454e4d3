/* opcheck.c - the operator test runner: rows of text, one check per mode.
 *
 *   opcheck --mode=list|check|grad|perf [FILE.cases | 'ROW']...
 *
 * list prints every operator with what it has and how many rows test it, and fails for an
 * operator that lacks its duties: infer, ref, lower or expand; a gradient or an expansion unless
 * it is declared non-differentiable; three rows. A failing row is printed as a command that
 * repeats it. */
#include "ops/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_ROWS = 3, MAX_ROW = 1024 };

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

static void run_row(runner *r, const char *row, const char *file, int line)
{
    oxp_error error = {OXP_OK};
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
        failures = r->check ? r->check(&ctx, arena, &c) : 0;
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
    for (int line = 1; fgets(row, sizeof row, file); line++)
        if (*trim(row)) run_row(r, trim(row), path, line);
    fclose(file);
}

static bool lists(const oxp_op *op, unsigned rows)
{
    const bool stops = (op->flags & OXP_OP_NOT_DIFFERENTIABLE) != 0;
    const char *gradient = stops        ? "none (declared)"
                           : op->grad   ? "direct"
                           : op->expand ? "expansion"
                                        : "MISSING";
    const char *fast = op->lower ? "direct" : op->expand ? "expansion" : "MISSING";
    const bool good = op->infer && op->ref && (op->lower || op->expand) &&
                      (op->grad || op->expand || stops) && rows >= MIN_ROWS;
    printf("%-5s %-22s opset %-3d infer %-7s ref %-7s lower %-10s gradient %-16s rows %u\n",
           good ? "" : "FAIL", op->name, op->since, op->infer ? "yes" : "MISSING",
           op->ref ? "yes" : "MISSING", fast, gradient, rows);
    return good;
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
