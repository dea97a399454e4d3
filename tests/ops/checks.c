/* checks.c - the checks of one row; see checks.h.
 *
 * Exactness needs no list of operators: data are small integers, so wherever the oracle's result
 * is all integers below 2^24 a float executor must hit it exactly; elsewhere 1e-6 of the maximum
 * is allowed. Likewise linearity is observed, not declared. */
#include "ops/checks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FLOAT_TOLERANCE    1e-6
#define DOUBLE_TOLERANCE   1e-11
#define GRADIENT_TOLERANCE 1e-6

enum { SEED = 7, REDRAWS = 12, PROBES = 40 };

static bool all_small_integers(const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(x[i]) < 16777216.0) || x[i] != floor(x[i])) return false;
    return true;
}

static double largest(const double *x, int64_t n)
{
    double top = 0.0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]) && fabs(x[i]) > top) top = fabs(x[i]);
    return top > 0.0 ? top : 1.0;
}

/* Prints the worst element when the error relative to the maximum exceeds the tolerance. */
static int compare(const char *what, const double *got, const double *want, int64_t n,
                   double tolerance)
{
    const double scale = largest(want, n);
    double worst = 0.0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool same = got[i] == want[i] || (isnan(got[i]) && isnan(want[i]));
        const double error = same ? 0.0 : fabs(got[i] - want[i]) / scale;
        if (!(error <= worst)) {
            worst = isnan(error) ? (double)INFINITY : error;
            at = i;
        }
    }
    if (worst <= tolerance) return 0;
    printf("  %s[%lld] is %.9g, expected %.9g: off by %.2g of the maximum, %.2g allowed\n", what,
           (long long)at, got[at], want[at], worst, tolerance);
    return 1;
}

static int fail(oxp_ctx *ctx, const char *what)
{
    printf("  %s: %s\n", what, ctx->error->message);
    return 1;
}

#define CHECK_TRY(expr, what)                         \
    do {                                              \
        if ((expr) != OXP_OK) return fail(ctx, what); \
    } while (0)

/* ---- values ---- */

static int check_refused(oxp_ctx *ctx, oxp_arena *arena, const op_case *c)
{
    feed f;
    subject s;
    CHECK_TRY(feed_new(ctx, arena, c, SEED, false, &f), "data");
    const oxp_status status = subject_build(ctx, arena, c, SUBJECT_DIRECT, false, f.data, &s);
    if (status == OXP_EINVAL || status == OXP_EUNSUPPORTED || status == OXP_ELIMIT) return 0;
    printf("  should have been refused, but gave status %d\n", (int)status);
    return 1;
}

/* Every graph output of `got` against the oracle's. */
static int compare_outputs(const char *what, const subject *s, const value_set got,
                           const value_set want, double tolerance)
{
    int failures = 0;
    for (size_t i = 0; i < s->g->n_outputs; i++) {
        const oxp_val v = s->g->outputs[i];
        const int64_t n = oxp_shape_elements(oxp_shape_at(s->g, v));
        char name[64];
        snprintf(name, sizeof name, "%s %zu", what, i);
        const double allowed = s->c->tol > 0.0                  ? s->c->tol
                               : all_small_integers(want[v], n) ? 0.0
                                                                : tolerance;
        failures += compare(name, got[v], want[v], n, allowed);
    }
    return failures;
}

static int check_executor(oxp_ctx *ctx, oxp_arena *arena, const subject *s, const feed *f,
                          const value_set want, oxp_exec_kind kind, int threads, const char *what)
{
    oxp_weights *weights = oxp_weights_new(NULL);
    oxp_arena *inner = oxp_arena_new(NULL); /* the program ends before its weights */
    oxp_program *p;
    value_set got;
    int failures = 0;
    if (subject_program(ctx, inner, s, kind, threads, weights, &p) != OXP_OK ||
        subject_run(ctx, arena, s, p, f, &got) != OXP_OK)
        failures = fail(ctx, what);
    else
        failures =
            compare_outputs(what, s, got, want, kind == OXP_EXEC_PLAIN ? 1e-14 : FLOAT_TOLERANCE);
    oxp_arena_free(inner);
    oxp_weights_free(weights);
    return failures;
}

/* The executors on one graph against the oracle. */
static int check_executors(oxp_ctx *ctx, oxp_arena *arena, const subject *s, const feed *f,
                           const char *what)
{
    value_set want;
    CHECK_TRY(subject_oracle(ctx, arena, s, f, &want), what);
    int failures = 0;
    for (size_t i = 0; i < s->g->n_outputs; i++) {
        const oxp_val v = s->g->outputs[i];
        const int64_t n = oxp_shape_elements(oxp_shape_at(s->g, v));
        for (int64_t k = 0; k < n; k++)
            if (isnan(want[v][k])) {
                printf("  %s %zu: ref leaves element %lld unwritten or NaN\n", what, i,
                       (long long)k);
                return 1;
            }
    }
    char name[64];
    snprintf(name, sizeof name, "plain %s", what);
    failures += check_executor(ctx, arena, s, f, want, OXP_EXEC_PLAIN, 1, name);
    for (int threads = 1; threads <= 3; threads += 2) {
        snprintf(name, sizeof name, "fused %s (%d threads)", what, threads);
        failures += check_executor(ctx, arena, s, f, want, OXP_EXEC_FUSED, threads, name);
    }
    return failures;
}

/* The expansion against `ref`, in double. */
static int check_expansion(oxp_ctx *ctx, oxp_arena *arena, const subject *direct, const feed *f)
{
    subject parts;
    value_set want, got;
    CHECK_TRY(subject_build(ctx, arena, direct->c, SUBJECT_EXPANDED, false, f->data, &parts),
              "expansion");
    CHECK_TRY(subject_oracle(ctx, arena, direct, f, &want), "ref");
    CHECK_TRY(subject_oracle(ctx, arena, &parts, f, &got), "expansion");
    int failures = 0;
    for (size_t k = 0; k < direct->c->n_out; k++) {
        const oxp_shape *shape = oxp_shape_at(direct->g, direct->out[k]);
        if (!oxp_shape_equal(shape, oxp_shape_at(parts.g, parts.out[k]))) {
            printf("  the expansion gives output %zu another shape\n", k);
            return failures + 1;
        }
        failures += compare("expansion", got[parts.out[k]], want[direct->out[k]],
                            oxp_shape_elements(shape), DOUBLE_TOLERANCE);
    }
    return failures + check_executors(ctx, arena, &parts, f, "expansion");
}

/* The results that the row pins, with every dy = 1. */
static int check_pins(oxp_ctx *ctx, oxp_arena *arena, const op_case *c, feed *f)
{
    subject s;
    value_set got;
    int failures = 0;
    CHECK_TRY(subject_build(ctx, arena, c, SUBJECT_DIRECT, c->kinked, f->data, &s), "building");
    CHECK_TRY(feed_weights(ctx, arena, &s, SEED, false, f), "data");
    for (size_t k = 0; k < c->n_out; k++)
        for (int64_t i = 0; f->weight[k] && i < oxp_shape_elements(oxp_shape_at(s.g, s.out[k]));
             i++)
            f->weight[k][i] = 1.0;
    CHECK_TRY(subject_oracle(ctx, arena, &s, f, &got), "ref");
    for (size_t i = 0; i < c->n_pins; i++) {
        const case_pin *pin = &c->pins[i];
        const bool asked = pin->input >= 0 || (size_t)-pin->input <= c->n_out;
        const oxp_val v = !asked           ? OXP_NO_VAL
                          : pin->input < 0 ? s.out[-1 - pin->input]
                                           : s.dx[pin->input];
        const char *what = pin->input < 0 ? "pinned output" : "pinned gradient";
        if (v == OXP_NO_VAL || (size_t)oxp_shape_elements(oxp_shape_at(s.g, v)) != pin->n) {
            printf("  %s %zu: expected %zu numbers\n", what, i, pin->n);
            return failures + 1;
        }
        failures += compare(what, got[v], pin->values, (int64_t)pin->n, c->pin);
    }
    return failures;
}

int check_values(oxp_ctx *ctx, oxp_arena *arena, const op_case *c)
{
    if (c->refused) return check_refused(ctx, arena, c);
    feed f;
    subject s;
    CHECK_TRY(feed_new(ctx, arena, c, SEED, false, &f), "data");
    CHECK_TRY(subject_build(ctx, arena, c, SUBJECT_DIRECT, false, f.data, &s), "building");
    int failures = check_executors(ctx, arena, &s, &f, "output");
    if (c->n_pins) failures += check_pins(ctx, arena, c, &f);
    if (c->op->expand) failures += check_expansion(ctx, arena, &s, &f);
    if (subject_differentiable(c)) {
        CHECK_TRY(subject_build(ctx, arena, c, SUBJECT_DIRECT, true, f.data, &s),
                  "building the gradient");
        CHECK_TRY(feed_weights(ctx, arena, &s, SEED, false, &f), "data");
        failures += check_executors(ctx, arena, &s, &f, "gradient graph, output");
    }
    return failures;
}

/* ---- gradients ---- */

/* sum_k <w_k, y_k> */
static oxp_status loss(oxp_ctx *ctx, const subject *s, const feed *f, double *out)
{
    value_set values;
    oxp_arena *tmp = oxp_arena_new(NULL);
    OXP_NOMEM_IF(ctx, tmp);
    const oxp_status status = subject_oracle(ctx, tmp, s, f, &values);
    *out = 0.0;
    for (size_t k = 0; status == OXP_OK && k < s->c->n_out; k++)
        for (int64_t i = 0; f->weight[k] && i < oxp_shape_elements(oxp_shape_at(s->g, s->out[k]));
             i++)
            *out += f->weight[k][i] * values[s->out[k]][i];
    oxp_arena_free(tmp);
    return status;
}

/* (loss(x + h) - loss(x - h)) / 2h in one number */
static oxp_status central(oxp_ctx *ctx, const subject *s, const feed *f, double *x, double h,
                          double *out)
{
    const double at = *x;
    double up, down;
    *x = at + h;
    OXP_TRY(loss(ctx, s, f, &up));
    *x = at - h;
    OXP_TRY(loss(ctx, s, f, &down));
    *x = at;
    *out = (up - down) / (2.0 * h);
    return OXP_OK;
}

/* Richardson's combination of two central differences; *kink when they disagree as no smooth
 * function would. */
static oxp_status slope(oxp_ctx *ctx, const subject *s, const feed *f, double *x, double *out,
                        bool *kink)
{
    double wide, narrow;
    OXP_TRY(central(ctx, s, f, x, 1e-3, &wide));
    OXP_TRY(central(ctx, s, f, x, 5e-4, &narrow));
    *out = (4.0 * narrow - wide) / 3.0;
    *kink = !(fabs(wide - narrow) <= 1e-4 * fmax(1.0, fabs(narrow)));
    return OXP_OK;
}

/* Compares the gradient of one input at up to PROBES of its numbers. */
static int check_slopes(oxp_ctx *ctx, const subject *plain, const feed *f, size_t i,
                        const double *dx, const char *what, bool *kink)
{
    const int64_t n = oxp_shape_elements(&plain->c->in[i].shape);
    const int64_t step = n > PROBES ? n / PROBES : 1;
    double got[2 * PROBES + 2], want[2 * PROBES + 2];
    int64_t m = 0;
    *kink = false;
    for (int64_t k = 0; k < n && m < 2 * PROBES; k += step, m++) {
        CHECK_TRY(slope(ctx, plain, f, &f->data[i][k], &want[m], kink), "finite difference");
        if (*kink) return 0;
        got[m] = dx ? dx[k] : 0.0;
    }
    char name[96];
    snprintf(name, sizeof name, "%s of input %zu (%s), probe", what, i, plain->c->in[i].name);
    return compare(name, got, want, m, plain->c->tol > 0.0 ? plain->c->tol : GRADIENT_TOLERANCE);
}

/* All inputs at one draw of the data. */
static int check_draw(oxp_ctx *ctx, oxp_arena *arena, const op_case *c, uint64_t seed, bool *kink)
{
    feed f;
    subject plain, s;
    value_set values;
    int failures = 0;
    CHECK_TRY(feed_new(ctx, arena, c, seed, true, &f), "data");
    CHECK_TRY(subject_build(ctx, arena, c, SUBJECT_DIRECT, false, f.data, &plain), "building");
    CHECK_TRY(feed_weights(ctx, arena, &plain, seed, true, &f), "data");
    for (int form = SUBJECT_DIRECT; form <= (c->op->expand ? SUBJECT_EXPANDED : SUBJECT_DIRECT);
         form++) {
        const char *what = form == SUBJECT_DIRECT ? "gradient" : "gradient through the expansion";
        CHECK_TRY(subject_build(ctx, arena, c, (subject_form)form, true, f.data, &s), what);
        CHECK_TRY(subject_oracle(ctx, arena, &s, &f, &values), what);
        for (size_t i = 0; i < c->n_in; i++) {
            if (!s.wants[i]) continue;
            failures +=
                check_slopes(ctx, &plain, &f, i, s.dx[i] ? values[s.dx[i]] : NULL, what, kink);
            if (*kink) return 0;
        }
    }
    return failures;
}

/* y(x + a v) - y(x) into out[] (all outputs one after another), x the data of input i. */
static oxp_status difference(oxp_ctx *ctx, oxp_arena *arena, const subject *s, const feed *f,
                             size_t i, const double *x, const double *v, double a, double *out)
{
    const int64_t n = oxp_shape_elements(&s->c->in[i].shape);
    feed g = *f;
    value_set at, moved;
    g.data[i] = OXP_NEW(arena, double, n + 1);
    OXP_NOMEM_IF(ctx, g.data[i]);
    memcpy(g.data[i], x, (size_t)n * sizeof(double));
    OXP_TRY(subject_oracle(ctx, arena, s, &g, &at));
    for (int64_t k = 0; k < n; k++) g.data[i][k] += a * v[k];
    OXP_TRY(subject_oracle(ctx, arena, s, &g, &moved));
    for (size_t o = 0; o < s->c->n_out; o++)
        for (int64_t k = 0; k < oxp_shape_elements(oxp_shape_at(s->g, s->out[o])); k++)
            *out++ = moved[s->out[o]][k] - at[s->out[o]][k];
    return OXP_OK;
}

static int64_t total_outputs(const subject *s)
{
    int64_t n = 0;
    for (size_t o = 0; o < s->c->n_out; o++) n += oxp_shape_elements(oxp_shape_at(s->g, s->out[o]));
    return n;
}

static bool equal(const double *a, const double *b, double factor, int64_t n)
{
    const double scale = largest(b, n);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i] - factor * b[i]) <= 1e-13 * scale)) return false;
    return true;
}

/* Where y is affine in input i on integers, <J v, w> = <v, J'w>, exactly when all of it is
 * integers. */
static int check_identity(oxp_ctx *ctx, oxp_arena *arena, const subject *s, const feed *f, size_t i,
                          const double *dx)
{
    const int64_t n = oxp_shape_elements(&s->c->in[i].shape), m = total_outputs(s);
    double *x = f->data[i], *v = OXP_NEW(arena, double, n + 1), *u = OXP_NEW(arena, double, n + 1);
    double *jv = OXP_NEW(arena, double, m + 1), *elsewhere = OXP_NEW(arena, double, m + 1);
    double *twice = OXP_NEW(arena, double, m + 1);
    if (!v || !u || !jv || !elsewhere || !twice) return fail(ctx, "out of memory");
    case_fill(s->c, i, SEED + 1, false, v);
    case_fill(s->c, i, SEED + 2, false, u);
    CHECK_TRY(difference(ctx, arena, s, f, i, x, v, 1.0, jv), "linearity");
    CHECK_TRY(difference(ctx, arena, s, f, i, x, v, -2.0, twice), "linearity");
    CHECK_TRY(difference(ctx, arena, s, f, i, u, v, 1.0, elsewhere), "linearity");
    if (!equal(elsewhere, jv, 1.0, m) || !equal(twice, jv, -2.0, m)) return 0;
    double left = 0.0, right = 0.0, size = 0.0;
    const double *walk = jv;
    for (size_t o = 0; o < s->c->n_out; o++)
        for (int64_t k = 0; k < oxp_shape_elements(oxp_shape_at(s->g, s->out[o])); k++, walk++)
            if (f->weight[o]) {
                left += *walk * f->weight[o][k];
                size += fabs(*walk * f->weight[o][k]);
            }
    for (int64_t k = 0; dx && k < n; k++) right += v[k] * dx[k];
    const bool whole = all_small_integers(jv, m) && (!dx || all_small_integers(dx, n));
    if (fabs(left - right) <= (whole ? 0.0 : 1e-12 * size)) return 0;
    printf("  input %zu (%s): <J v, w> is %.12g but <v, J'w> is %.12g\n", i, s->c->in[i].name, left,
           right);
    return 1;
}

static int check_identities(oxp_ctx *ctx, oxp_arena *arena, const op_case *c)
{
    feed f;
    subject s;
    value_set values;
    int failures = 0;
    CHECK_TRY(feed_new(ctx, arena, c, SEED, false, &f), "data");
    CHECK_TRY(subject_build(ctx, arena, c, SUBJECT_DIRECT, true, f.data, &s),
              "building the gradient");
    CHECK_TRY(feed_weights(ctx, arena, &s, SEED, false, &f), "data");
    CHECK_TRY(subject_oracle(ctx, arena, &s, &f, &values), "gradient");
    for (size_t i = 0; i < c->n_in; i++)
        if (s.wants[i])
            failures += check_identity(ctx, arena, &s, &f, i, s.dx[i] ? values[s.dx[i]] : NULL);
    return failures;
}

int check_gradient(oxp_ctx *ctx, oxp_arena *arena, const op_case *c)
{
    if (!subject_differentiable(c) || c->kinked) return 0;
    for (uint64_t draw = 0; draw < REDRAWS; draw++) {
        bool kink = false;
        const int failures = check_draw(ctx, arena, c, SEED + 10 * draw, &kink);
        if (!kink) return failures ? failures : check_identities(ctx, arena, c);
    }
    printf("  no draw of the data was free of kinks\n");
    return 1;
}

/* ---- speed ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static oxp_status time_runs(oxp_ctx *ctx, oxp_program *p, double *best)
{
    const double start = now();
    *best = (double)INFINITY;
    for (int run = 0; run < 5 || now() - start < 0.2; run++) {
        const double begin = now();
        OXP_TRY(oxp_program_run(ctx, p, 0));
        OXP_TRY(oxp_program_run(ctx, p, 1));
        *best = fmin(*best, now() - begin);
    }
    return OXP_OK;
}

int check_speed(oxp_ctx *ctx, oxp_arena *arena, const op_case *c)
{
    if (c->refused) return 0;
    feed f;
    subject s;
    oxp_program *p;
    value_set values;
    double best = 0.0;
    CHECK_TRY(feed_new(ctx, arena, c, SEED, true, &f), "data");
    CHECK_TRY(subject_build(ctx, arena, c, SUBJECT_DIRECT, subject_differentiable(c), f.data, &s),
              "building");
    CHECK_TRY(feed_weights(ctx, arena, &s, SEED, true, &f), "data");
    oxp_weights *weights = oxp_weights_new(NULL);
    oxp_arena *inner = oxp_arena_new(NULL);
    int failures = 0;
    if (subject_program(ctx, inner, &s, OXP_EXEC_FUSED, 0, weights, &p) != OXP_OK ||
        subject_run(ctx, arena, &s, p, &f, &values) != OXP_OK || time_runs(ctx, p, &best) != OXP_OK)
        failures = fail(ctx, "fused executor");
    else
        printf("%10.3f ms  %s\n", 1e3 * best, c->text);
    oxp_arena_free(inner);
    oxp_weights_free(weights);
    return failures;
}
