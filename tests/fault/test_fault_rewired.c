/*
 * Graphs that nobody would write: the joint graphs of the toy models, some inputs of their nodes
 * swapped at random for other values of the same shape. Fused they must give what the plain
 * executor gives for the graph as it stands, whatever overwrites, shares or outlives what.
 */
#include "base/rng.h"
#include "explain/session.h"
#include "opt/opt.h"
#include "subject.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef OXP_SANITIZE
enum { REWIRINGS = 2 };
#else
enum { REWIRINGS = 12 };
#endif
enum { SWAPS = 3, TRIES = 50 };
static const double TOLERANCE = 2e-3, SMALL = 1e-2, LOST = 1e6;

typedef struct rewiring {
    subject *s;
    const char *model;
    oxp_graph *g;
    oxp_rng rng;
    uint64_t drawn;
    double **in; /* data of the graph's inputs */
} rewiring;

static size_t draw(rewiring *r, size_t n)
{
    return (size_t)oxp_rng_below(&r->rng, r->drawn++, n);
}

static size_t count_of(const oxp_graph *g, oxp_val v)
{
    return (size_t)oxp_shape_elements(oxp_shape_at(g, v));
}

/* ---- running ---- */

static oxp_status run_program(oxp_ctx *ctx, const rewiring *r, oxp_program *p, double **out)
{
    for (size_t i = 0; i < r->g->n_inputs; i++) {
        const oxp_tensor t = {OXP_F64, *oxp_shape_at(r->g, r->g->inputs[i]), r->in[i]};
        OXP_TRY(oxp_program_feed(ctx, p, i, &t));
    }
    OXP_TRY(oxp_program_run(ctx, p, 0));
    OXP_TRY(oxp_program_run(ctx, p, 1));
    for (size_t o = 0; o < r->g->n_outputs; o++)
        OXP_TRY(oxp_program_read(ctx, p, o, OXP_F64, out[o]));
    return OXP_OK;
}

/* Outputs in `arena`; a failure fails the test. */
static double **run(const rewiring *r, oxp_arena *arena, oxp_exec_kind kind, const char *what)
{
    oxp_error error = {.code = OXP_OK};
    oxp_ctx ctx = {.error = &error, .scratch = arena};
    oxp_graph *g = r->g;
    oxp_program *p;
    const oxp_exec_options options = {.kind = kind, .threads = 1};
    const oxp_pass_fn passes[] = {oxp_opt_tidy, oxp_opt_fuse};
    double **out = OXP_NEW(arena, double *, g->n_outputs + 1);
    assert_non_null(out);
    for (size_t o = 0; o < g->n_outputs; o++) {
        out[o] = OXP_NEW(arena, double, count_of(g, g->outputs[o]) + 1);
        assert_non_null(out[o]);
    }
    oxp_status status = OXP_OK;
    if (kind == OXP_EXEC_FUSED) status = oxp_opt_run(&ctx, arena, passes, 2, &g, NULL, 0);
    if (status == OXP_OK) status = oxp_program_new(&ctx, g, r->s->net.weights, &options, &p);
    if (status == OXP_OK) {
        status = run_program(&ctx, r, p, out);
        oxp_program_free(p);
    }
    if (status != OXP_OK) fail_msg("%s, %s: %s", r->model, what, error.message);
    return out;
}

/* Numbers that a rewired graph drives out of bounds are not compared: float has lost them. */
static void compare(const rewiring *r, const char *what)
{
    oxp_arena *arena = oxp_arena_new(NULL);
    assert_non_null(arena);
    double **want = run(r, arena, OXP_EXEC_PLAIN, what);
    double **got = run(r, arena, OXP_EXEC_FUSED, what);
    for (size_t o = 0; o < r->g->n_outputs; o++) {
        const size_t n = count_of(r->g, r->g->outputs[o]);
        double most = SMALL, worst = 0.0;
        bool sane = true;
        for (size_t i = 0; i < n; i++) {
            sane = sane && fabs(want[o][i]) < LOST;
            most = fmax(most, fabs(want[o][i]));
            if (!(fabs(got[o][i] - want[o][i]) <= worst)) worst = fabs(got[o][i] - want[o][i]);
        }
        if (!sane) break;
        if (!(worst <= TOLERANCE * most))
            fail_msg("%s, %s: output %zu differs by %g of %g", r->model, what, o, worst, most);
    }
    oxp_arena_free(arena);
}

/* ---- rewiring ---- */

typedef struct swap {
    oxp_val *at, old;
} swap;

/* Another float value of the same shape that is there before the node; false: none was found. */
static bool swap_one(rewiring *r, swap *done, char *what, size_t size)
{
    oxp_graph *g = r->g;
    for (int tries = 0; tries < TRIES; tries++) {
        const size_t at = draw(r, g->n_nodes);
        oxp_node *node = g->nodes[at];
        if (node->n_in == 0) continue;
        oxp_val *in = &node->in[draw(r, node->n_in)];
        const oxp_val other = (oxp_val)(1 + draw(r, g->n_values - 1));
        const oxp_value *from = *in ? oxp_value_of(g, *in) : NULL, *to = oxp_value_of(g, other);
        if (!from || other == *in || from->dtype != OXP_F32 || to->dtype != OXP_F32 ||
            !oxp_shape_equal(&from->shape, &to->shape) ||
            (to->kind == OXP_VALUE_NODE && to->producer >= at))
            continue;
        snprintf(what, size, "%s reads %%%u for %%%u; ", node->op->name, other, *in);
        *done = (swap){in, *in};
        *in = other;
        return true;
    }
    return false;
}

static void rewire(rewiring *r)
{
    swap done[SWAPS];
    char what[SWAPS * 64] = "";
    size_t n = 0;
    const size_t wanted = 1 + draw(r, SWAPS);
    while (n < wanted && swap_one(r, &done[n], what + strlen(what), 64)) n++;
    if (n > 0) compare(r, what);
    while (n-- > 0) *done[n].at = done[n].old;
}

static void rewire_session(subject *s, const char *model, const oxp_session *session)
{
    rewiring r = {.s = s, .model = model, .g = session->core->g, .rng = {.seed = 20}};
    const size_t n = r.g->n_inputs;
    r.in = calloc(n + 1, sizeof *r.in);
    assert_non_null(r.in);
    for (size_t i = 0; i < n; i++) {
        const size_t count = count_of(r.g, r.g->inputs[i]);
        r.in[i] = calloc(count + 1, sizeof(double));
        assert_non_null(r.in[i]);
        for (size_t k = 0; k < count; k++)
            r.in[i][k] = oxp_value_of(r.g, r.g->inputs[i])->dtype == OXP_F32
                             ? (double)(float)(oxp_rng_uniform(&r.rng, r.drawn++) * 2.0 - 1.0)
                             : (double)draw(&r, 2);
    }
    compare(&r, "as it is");
    for (int i = 0; i < REWIRINGS; i++) rewire(&r);
    for (size_t i = 0; i < n; i++) free(r.in[i]);
    free(r.in);
}

/* False: ones do not fit this model. */
static bool try_model(const char *model)
{
    subject s;
    oxp_session *session;
    oxp_tensor ones[8];
    size_t n_items;
    const question q = {.method = "saliency", .threads = 1};
    assert_int_equal(subject_open(&s, &subject_c_library, model, 0), OXP_OK);
    assert_true(subject_ones(&s, ones));
    assert_int_equal(subject_session(&s, &q, &session), OXP_OK);
    session->settings.no_optimise = true;
    oxp_ctx ctx = {.error = &s.error, .scratch = oxp_arena_new(NULL)};
    const bool compiled =
        oxp_session_compile(&ctx, session, ones, s.net.graph->n_inputs, &n_items) == OXP_OK;
    if (compiled && session->core->g->n_nodes > 0) rewire_session(&s, model, session);
    oxp_arena_free(ctx.scratch);
    oxp_session_free(session);
    subject_free_ones(&s, ones);
    subject_close(&s);
    return compiled;
}

static void test_toys(void **state)
{
    (void)state;
    int count = 0;
    char *path = oxp_test_path(OXP_SOURCE_DIR, "tests/data/toy");
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!strstr(entry->d_name, ".onnx")) continue;
        char *model = oxp_test_path(path, entry->d_name);
        count += try_model(model);
        free(model);
    }
    closedir(folder);
    free(path);
    assert_true(count >= 190);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_toys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
