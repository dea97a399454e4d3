/* random_graphs.c - random compositions of operators against the oracle.
 *
 *   random_graphs [--first SEED] [--count N] [--kept FILE] FILE.cases...
 *
 * First the graphs that failed once, kept in FILE as IR text between lines of dashes; then the graphs
 * of N seeds. A failure is made smaller and printed as IR text (ready for FILE) with the command that
 * repeats it. */
#include "random/random.h"

#include "base/rng.h"
#include "ir/parse.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 4096, MAX_TEXT = 4096 };

typedef struct runner {
    const char *program;
    oxp_ctx *ctx;
    oxp_arena *arena; /* of the rows; another per graph */
    op_case rows[MOST_ROWS];
    size_t n_rows;
    int graphs, failures;
    long nodes, probes;
    unsigned *used; /* [oxp_op_count()] */
} runner;

/* ---- rows ---- */

/* Rows that a float can enter, small, and not there to be refused; adjoints that have no derivative of
 * their own are left out. */
static bool usable(const op_case *c)
{
    const uint32_t last = OXP_OP_INTERNAL | OXP_OP_NOT_DIFFERENTIABLE;
    if ((c->op->flags & last) == last) return false;
    /* rounding is differentiated straight through, which differences do not see */
    if ((c->op->flags & OXP_OP_CODES) && !(c->op->flags & OXP_OP_LINEAR)) return false;
    if (c->refused || c->n_in == 0 || c->in[0].absent || c->in[0].dtype != OXP_F32 ||
        c->in[0].constant || c->in[0].values)
        return false;
    for (size_t i = 0; i < c->n_in; i++)
        if (!c->in[i].absent && oxp_shape_elements(&c->in[i].shape) > 600) return false;
    return oxp_shape_elements(&c->in[0].shape) > 0;
}

static void read_rows(runner *r, const char *path)
{
    char row[MAX_TEXT];
    FILE *file = fopen(path, "r");
    if (!file) {
        printf("FAIL cannot read %s\n", path);
        r->failures++;
        return;
    }
    while (fgets(row, sizeof row, file) && r->n_rows < MOST_ROWS) {
        row[strcspn(row, "#\r\n")] = '\0';
        char *text = row + strspn(row, " \t");
        if (!*text) continue;
        if (case_parse(r->ctx, r->arena, text, &r->rows[r->n_rows]) == OXP_OK &&
            usable(&r->rows[r->n_rows]))
            r->n_rows++;
    }
    fclose(file);
}

/* ---- one graph ---- */

static void print_failure(runner *r, oxp_arena *arena, const problem *p, const verdict *first,
                          const char *repeat)
{
    problem small;
    verdict why = *first;
    oxp_strbuf text;
    printf("FAIL %s\n", first->why);
    if (problem_shrink(r->ctx, arena, p, &small, &why) != OXP_OK) small = *p;
    oxp_strbuf_init(&text, arena);
    oxp_graph_print(small.g, &text);
    const char *ir = oxp_strbuf_str(&text);
    printf("  the smallest part that fails, for the file of kept graphs (%s):\n----\n%s", why.why,
           ir ? ir : "");
    for (size_t i = 0; i < small.g->n_inputs; i++) {
        const oxp_val v = small.g->inputs[i];
        const int64_t n = oxp_shape_elements(oxp_shape_at(small.g, v));
        printf("  # input %%%u =", v);
        for (int64_t e = 0; e < n && e < 12; e++) printf(" %.9g", small.value[v][e]);
        printf("%s\n", n > 12 ? " ..." : "");
    }
    printf("  repeat: %s\n", repeat);
}

static void run_problem(runner *r, oxp_arena *arena, const problem *p, const char *repeat)
{
    verdict v;
    check_problem(r->ctx, p, &v);
    r->graphs++;
    r->nodes += (long)p->g->n_nodes;
    r->probes += v.probes;
    for (size_t i = 0; i < p->g->n_nodes; i++)
        for (size_t o = 0; o < oxp_op_count(); o++)
            r->used[o] += oxp_op_at(o) == p->g->nodes[i]->op;
    if (!v.failed) return;
    r->failures++;
    print_failure(r, arena, p, &v, repeat);
}

static void run_seed(runner *r, uint64_t seed)
{
    oxp_arena *arena = oxp_arena_new(NULL);
    char repeat[MAX_TEXT];
    problem p;
    snprintf(repeat, sizeof repeat, "%s --first %llu --count 1 tests/ops/*.cases", r->program,
             (unsigned long long)seed);
    if (make_problem(r->ctx, arena, r->rows, r->n_rows, seed, &p) != OXP_OK) {
        printf("FAIL seed %llu: %s\n", (unsigned long long)seed, r->ctx->error->message);
        r->failures++;
    } else if (p.n_targets > 0) {
        run_problem(r, arena, &p, repeat);
    }
    oxp_arena_free(arena);
    oxp_arena_reset(r->ctx->scratch);
}

/* ---- kept graphs ---- */

static void run_kept_graph(runner *r, const char *text, int number)
{
    oxp_arena *arena = oxp_arena_new(NULL);
    problem p = {.seed = (uint64_t)number};
    char repeat[64];
    snprintf(repeat, sizeof repeat, "graph %d of the kept ones", number);
    oxp_status status = oxp_graph_parse(r->ctx, arena, text, oxp_op_find, &p.g);
    if (status == OXP_OK) {
        p.value = OXP_NEW(arena, double *, p.g->n_values);
        for (size_t i = 0; i < p.g->n_inputs; i++) {
            const oxp_rng rng = {.seed = p.seed, .item = (uint32_t)i};
            const int64_t n = oxp_shape_elements(oxp_shape_at(p.g, p.g->inputs[i]));
            double *data = OXP_NEW(arena, double, n + 1);
            for (int64_t e = 0; e < n; e++)
                data[e] = (double)(float)(4.0 * oxp_rng_uniform(&rng, (uint64_t)e) - 2.0);
            p.value[p.g->inputs[i]] = data;
        }
        for (size_t k = 0; k < p.g->n_outputs && k < RANDOM_TARGETS; k++)
            p.target[p.n_targets++] = p.g->outputs[k];
        status = problem_values(r->ctx, arena, &p);
    }
    if (status == OXP_OK) {
        run_problem(r, arena, &p, repeat);
    } else {
        printf("FAIL %s: %s\n", repeat, r->ctx->error->message);
        r->failures++;
    }
    oxp_arena_free(arena);
}

static void run_kept(runner *r, const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    const size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[n] = '\0';
    if (!file) {
        printf("FAIL cannot read %s\n", path);
        r->failures++;
        return;
    }
    fclose(file);
    int number = 0;
    for (char *at = strstr(text, "----\n"); at;) {
        at += 5;
        char *next = strstr(at, "----\n");
        if (next) *next = '\0';
        run_kept_graph(r, at, ++number);
        at = next;
    }
}

/* ---- */

int main(int argc, char **argv)
{
    static runner r;
    oxp_error error = {.code = OXP_OK};
    oxp_ctx ctx = {.error = &error, .scratch = oxp_arena_new(NULL)};
    uint64_t first = 1, count = 200;
    const char *kept = NULL;
    r = (runner){.program = argv[0], .ctx = &ctx, .arena = oxp_arena_new(NULL)};
    r.used = calloc(oxp_op_count(), sizeof *r.used);
    if (!r.used || !r.arena || !ctx.scratch) return 1;
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--first") == 0 && more)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--count") == 0 && more)
            count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--kept") == 0 && more)
            kept = argv[++i];
        else
            read_rows(&r, argv[i]);
    }
    if (kept) run_kept(&r, kept);
    for (uint64_t seed = first; seed < first + count; seed++) run_seed(&r, seed);
    size_t kinds = 0;
    for (size_t o = 0; o < oxp_op_count(); o++) kinds += r.used[o] > 0;
    printf("%d graphs, %ld nodes of %zu operators, %ld slopes compared, %d failed\n", r.graphs,
           r.nodes, kinds, r.probes, r.failures);
    oxp_arena_free(r.arena);
    oxp_arena_free(ctx.scratch);
    free(r.used);
    return r.failures ? 1 : 0;
}
