/* check.c - one graph: both executors against the oracle, the gradient against central differences.
 *
 * How much float may differ from double is measured, not guessed: the oracle runs again, several times,
 * with everything that an operator reads or gives off by a few units in the last place of a float; the
 * fused executor may be off by a small multiple of what that does. */
#include "random/random.h"

#include "base/rng.h"
#include "exec/program.h"
#include "grad/grad.h"
#include "opt/opt.h"
#include "support/oracle.h"
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NOISE_RUNS = 4, PROBES = 6, MOST_INPUTS = 24, MOST_OUTPUTS = RANDOM_TARGETS + MOST_INPUTS };

#define NOISE           2.4e-7 /* relative: two units in the last place of a float */
#define NOISE_MULTIPLE  24.0
#define FLOAT_TOLERANCE 4e-6
#define PLAIN_TOLERANCE 1e-10
#define STEEPEST        1e4
#define LOOSEST         0.1 /* of the maximum: beyond, a comparison says nothing */
#define SLOPE_TOLERANCE 2e-6

/* Forward and backward: targets, then adjoints of the inputs, are the graph's outputs. */
typedef struct joint {
    oxp_graph *g;
    oxp_val input[MOST_INPUTS], seed[RANDOM_TARGETS], out[MOST_OUTPUTS];
    size_t n_inputs, n_out;
    double *const *given; /* data of the inputs */
    double *weight[RANDOM_TARGETS];
} joint;

static bool fail(verdict *v, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->why, sizeof v->why, format, args);
    va_end(args);
    v->failed = true;
    return false;
}

/* ---- building ---- */

static bool is_number(const oxp_graph *g, oxp_val v)
{
    return oxp_value_of(g, v)->dtype == OXP_F32;
}

static oxp_status add_backward(oxp_ctx *ctx, oxp_arena *arena, const problem *p, oxp_val *target,
                               joint *j)
{
    oxp_build b;
    oxp_build_init(&b, ctx, j->g);
    oxp_val wrt[MOST_INPUTS];
    oxp_diff diff = {.target = target, .seed = j->seed, .n_target = p->n_targets, .wrt = wrt};
    for (size_t k = 0; k < p->n_targets; k++) {
        const oxp_shape *shape = oxp_shape_at(j->g, target[k]);
        const oxp_rng rng = {.seed = p->seed, .item = 3, .sample = (uint32_t)k};
        OXP_TRY(oxp_graph_add_value(ctx, j->g, NULL, OXP_VALUE_SEED, OXP_F32, shape, &j->seed[k]));
        j->weight[k] = OXP_NEW(arena, double, oxp_shape_elements(shape) + 1);
        OXP_NOMEM_IF(ctx, j->weight[k]);
        for (int64_t i = 0; i < oxp_shape_elements(shape); i++)
            j->weight[k][i] = (double)(float)(oxp_rng_uniform(&rng, (uint64_t)i) * 2.0 - 1.0);
    }
    for (size_t i = 0; i < j->n_inputs; i++)
        if (is_number(j->g, j->input[i])) wrt[diff.n_wrt++] = j->input[i];
    OXP_TRY(oxp_differentiate(&b, &diff));
    for (size_t k = 0; k < p->n_targets; k++) j->out[j->n_out++] = target[k];
    for (size_t i = 0; i < diff.n_wrt; i++) j->out[j->n_out++] = diff.adjoint[i];
    for (size_t i = 0; i < j->n_out; i++)
        if (j->out[i] != OXP_NO_VAL) OXP_TRY(oxp_graph_add_output(ctx, j->g, j->out[i]));
    return oxp_graph_verify(ctx, j->g);
}

/* As the engine does it: raised before, tidied and fused after the derivative. */
static oxp_status build(oxp_ctx *ctx, oxp_arena *arena, const problem *p, bool optimise, joint *j)
{
    const oxp_pass_fn before[] = {oxp_opt_raise, oxp_opt_merge},
                      after[] = {oxp_opt_tidy, oxp_opt_fuse};
    oxp_val follow[MOST_INPUTS + RANDOM_TARGETS];
    problem part;
    *j = (joint){.given = p->value};
    OXP_TRY(problem_part(ctx, arena, p, NULL, p->target, p->n_targets, &part));
    OXP_FAIL_IF(ctx, part.g->n_inputs > MOST_INPUTS, OXP_ELIMIT, "too many inputs");
    j->n_inputs = part.g->n_inputs;
    j->given = part.value;
    for (size_t i = 0; i < j->n_inputs; i++) j->input[i] = follow[i] = part.g->inputs[i];
    for (size_t k = 0; k < p->n_targets; k++) follow[j->n_inputs + k] = part.target[k];
    double **given = OXP_NEW(arena, double *, j->n_inputs + 1);
    OXP_NOMEM_IF(ctx, given);
    for (size_t i = 0; i < j->n_inputs; i++) given[i] = part.value[part.g->inputs[i]];
    j->given = given;
    if (optimise)
        OXP_TRY(oxp_opt_run(ctx, arena, before, 2, &part.g, follow, j->n_inputs + p->n_targets));
    j->g = part.g;
    j->g->n_outputs = 0;
    memcpy(j->input, follow, j->n_inputs * sizeof *follow);
    OXP_TRY(add_backward(ctx, arena, p, follow + j->n_inputs, j));
    if (!optimise) return OXP_OK;
    oxp_val all[MOST_OUTPUTS + MOST_INPUTS + RANDOM_TARGETS];
    const size_t n = j->n_out + j->n_inputs + p->n_targets;
    memcpy(all, j->out, j->n_out * sizeof *all);
    memcpy(all + j->n_out, j->input, j->n_inputs * sizeof *all);
    memcpy(all + j->n_out + j->n_inputs, j->seed, p->n_targets * sizeof *all);
    OXP_TRY(oxp_opt_run(ctx, arena, after, 2, &j->g, all, n));
    memcpy(j->out, all, j->n_out * sizeof *all);
    memcpy(j->input, all + j->n_out, j->n_inputs * sizeof *all);
    memcpy(j->seed, all + j->n_out + j->n_inputs, p->n_targets * sizeof *all);
    return OXP_OK;
}

/* ---- the oracle ---- */

static const double *fed(const joint *j, oxp_val v)
{
    for (size_t i = 0; i < j->n_inputs; i++)
        if (j->input[i] == v) return j->given[i];
    for (size_t k = 0; k < RANDOM_TARGETS; k++)
        if (j->seed[k] == v && j->weight[k]) return j->weight[k];
    return NULL;
}

typedef struct noise {
    double size; /* relative; 0: none */
    oxp_rng rng;
    uint64_t drawn;
} noise;

/* n numbers of x, each off by the noise. */
static void disturb(noise *by, const double *x, double *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] * (1.0 + by->size * (2.0 * oxp_rng_uniform(&by->rng, by->drawn++) - 1.0));
}

/* A node that computes, what it reads and what it gives off by the noise. */
static oxp_status disturbed_node(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g,
                                 const oxp_node *node, noise *by, double **value)
{
    double **exact = OXP_NEW(arena, double *, node->n_in + 1);
    OXP_NOMEM_IF(ctx, exact);
    for (uint32_t k = 0; k < node->n_in; k++) {
        const oxp_val v = node->in[k];
        exact[k] = value[v];
        if (v == OXP_NO_VAL || !is_number(g, v)) continue;
        const int64_t n = oxp_shape_elements(oxp_shape_at(g, v));
        double *copy = OXP_NEW(arena, double, n + 1);
        OXP_NOMEM_IF(ctx, copy);
        disturb(by, value[v], copy, n);
        value[v] = copy;
    }
    const oxp_status status = oxp_oracle_node(ctx, arena, g, node, value);
    for (uint32_t k = node->n_in; k-- > 0;) value[node->in[k]] = exact[k];
    OXP_TRY(status);
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] && is_number(g, node->out[k]))
            disturb(by, value[node->out[k]], value[node->out[k]],
                    oxp_shape_elements(oxp_shape_at(g, node->out[k])));
    return OXP_OK;
}

/* Every value. */
static oxp_status run_oracle(oxp_ctx *ctx, oxp_arena *arena, const joint *j, double size,
                             uint32_t sample, double ***out)
{
    const oxp_graph *g = j->g;
    noise by = {.size = size, .rng = {.seed = 5, .item = 4, .sample = sample}};
    double **value = OXP_NEW(arena, double *, g->n_values);
    OXP_NOMEM_IF(ctx, value);
    for (size_t v = 1; v < g->n_values; v++) {
        const int64_t n = oxp_shape_elements(&g->values[v]->shape);
        const oxp_tensor *constant = g->values[v]->constant;
        const double *data = fed(j, (oxp_val)v);
        value[v] = OXP_NEW(arena, double, n + 1);
        OXP_NOMEM_IF(ctx, value[v]);
        if (constant)
            oxp_convert(value[v], OXP_F64, constant->data, constant->dtype, n);
        else if (data)
            memcpy(value[v], data, (size_t)n * sizeof(double));
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        const bool moves = (node->op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) != 0;
        OXP_TRY(size > 0.0 && !moves ? disturbed_node(ctx, arena, g, node, &by, value)
                                     : oxp_oracle_node(ctx, arena, g, node, value));
    }
    *out = value;
    return OXP_OK;
}

/* ---- executors ---- */

static oxp_status run_program(oxp_ctx *ctx, oxp_arena *arena, const joint *j, oxp_program *p,
                              double **out)
{
    for (size_t i = 0; i < j->g->n_inputs; i++) {
        const oxp_value *v = oxp_value_of(j->g, j->g->inputs[i]);
        oxp_tensor t;
        OXP_TRY(
            oxp_tensor_new(ctx, arena, v->dtype == OXP_F32 ? OXP_F64 : v->dtype, &v->shape, &t));
        const double *data = fed(j, j->g->inputs[i]);
        OXP_FAIL_IF(ctx, !data, OXP_EINTERNAL, "an input of the graph has no data");
        oxp_convert((void *)(uintptr_t)t.data, t.dtype, data, OXP_F64,
                    oxp_shape_elements(&v->shape));
        OXP_TRY(oxp_program_feed(ctx, p, i, &t));
    }
    OXP_TRY(oxp_program_run(ctx, p, 0));
    OXP_TRY(oxp_program_run(ctx, p, 1));
    for (size_t k = 0, at = 0; k < j->n_out; k++) {
        if (j->out[k] == OXP_NO_VAL) continue;
        out[k] = OXP_NEW(arena, double, oxp_shape_elements(oxp_shape_at(j->g, j->out[k])) + 1);
        OXP_NOMEM_IF(ctx, out[k]);
        OXP_TRY(oxp_program_read(ctx, p, at++, OXP_F64, out[k]));
    }
    return OXP_OK;
}

static oxp_status execute(oxp_ctx *ctx, oxp_arena *arena, const joint *j, oxp_exec_kind kind,
                          int threads, double **out)
{
    const oxp_exec_options options = {.kind = kind, .threads = threads};
    oxp_weights *weights = oxp_weights_new(NULL);
    oxp_program *program = NULL;
    OXP_NOMEM_IF(ctx, weights);
    oxp_status status = oxp_program_new(ctx, j->g, weights, &options, &program);
    if (status == OXP_OK) status = run_program(ctx, arena, j, program, out);
    oxp_program_free(program);
    oxp_weights_free(weights);
    return status;
}

/* ---- comparing ---- */

static double largest(const double *x, int64_t n)
{
    double top = 0.0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs(x[i]));
    return top;
}

static bool all_finite(const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

/* How far output k moves under noise; infinite where it is no number. */
static double sensitivity(double *const *noisy, const double *want, int64_t n, size_t k)
{
    double most = 0.0;
    for (size_t r = 0; r < NOISE_RUNS; r++) {
        const double *x = noisy[r * MOST_OUTPUTS + k];
        for (int64_t i = 0; x && i < n; i++) {
            const double off = fabs(x[i] - want[i]);
            most = off <= most ? most : isnan(off) ? (double)INFINITY : off;
        }
    }
    return most;
}

static bool compare(verdict *v, const char *what, size_t k, const double *got, const double *want,
                    int64_t n, double allowed)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= allowed))
            return fail(v, "%s: output %zu[%lld] is %.9g, expected %.9g, off by %.2g, %.2g allowed",
                        what, k, (long long)i, got[i], want[i], fabs(got[i] - want[i]), allowed);
    return true;
}

/* ---- gradient ---- */

/* sum over the targets of <weights, y>, input i moved by h at element e; rounding: of every operator's result */
static oxp_status loss_at(oxp_ctx *ctx, oxp_arena *tmp, const joint *j, size_t n_targets, size_t i,
                          int64_t e, double h, double rounding, double *out)
{
    double **value;
    const double before = j->given[i][e];
    j->given[i][e] = before + h;
    const oxp_status status = run_oracle(ctx, tmp, j, rounding, 0, &value);
    j->given[i][e] = before;
    OXP_TRY(status);
    *out = 0.0;
    for (size_t k = 0; k < n_targets; k++)
        for (int64_t x = 0; x < oxp_shape_elements(oxp_shape_at(j->g, j->out[k])); x++)
            *out += j->weight[k][x] * value[j->out[k]][x];
    oxp_arena_reset(tmp);
    return OXP_OK;
}

/* Richardson's combination of two central differences, and how far apart they are, or what rounding alone
 * makes of them; infinitely where the slopes to both sides differ as much at half the step: a kink. */
static oxp_status slope_at(oxp_ctx *ctx, oxp_arena *tmp, const joint *j, size_t n_targets, size_t i,
                           int64_t e, double *slope, double *apart)
{
    static const double steps[2] = {4e-4, 2e-4};
    double central[2], bend[2], here, rounded;
    OXP_TRY(loss_at(ctx, tmp, j, n_targets, i, e, 0.0, 0.0, &here));
    OXP_TRY(loss_at(ctx, tmp, j, n_targets, i, e, 0.0, DBL_EPSILON, &rounded));
    for (int s = 0; s < 2; s++) {
        double up, down;
        OXP_TRY(loss_at(ctx, tmp, j, n_targets, i, e, steps[s], 0.0, &up));
        OXP_TRY(loss_at(ctx, tmp, j, n_targets, i, e, -steps[s], 0.0, &down));
        central[s] = (up - down) / (2.0 * steps[s]);
        bend[s] = fabs(up + down - 2.0 * here) / steps[s];
    }
    *slope = (4.0 * central[1] - central[0]) / 3.0;
    *apart = fmax(fabs(central[0] - central[1]), fabs(rounded - here) / steps[1]);
    if (bend[1] > 0.7 * bend[0] && bend[0] > 1e-6 * fmax(1.0, fabs(*slope)))
        *apart = (double)INFINITY;
    return OXP_OK;
}

static oxp_status check_slopes(oxp_ctx *ctx, oxp_arena *tmp, const joint *j, size_t n_targets,
                               double *const *want, verdict *v)
{
    size_t at = n_targets;
    for (size_t i = 0; i < j->n_inputs; i++) {
        if (!is_number(j->g, j->input[i])) continue;
        const int64_t n = oxp_shape_elements(oxp_shape_at(j->g, j->input[i]));
        const double *dx = want[at++];
        if (dx && !all_finite(dx, n)) continue;
        const double scale = fmax(1.0, dx ? largest(dx, n) : 0.0);
        if (scale > STEEPEST) continue; /* its course is finer than the steps */
        for (int64_t e = 0; e<n; e += n> PROBES ? n / PROBES : 1) {
            double slope, apart;
            OXP_TRY(slope_at(ctx, tmp, j, n_targets, i, e, &slope, &apart));
            if (!(apart <= 1e-4 * scale)) continue; /* a kink is near */
            v->probes++;
            const double got = dx ? dx[e] : 0.0;
            if (fabs(got - slope) > SLOPE_TOLERANCE * scale + apart) {
                fail(v, "gradient of input %zu[%lld] is %.9g, central differences give %.9g", i,
                     (long long)e, got, slope);
                return OXP_OK;
            }
        }
    }
    return OXP_OK;
}

/* ---- all of it ---- */

static oxp_status check_fused(oxp_ctx *ctx, oxp_arena *arena, const joint *plain, const joint *j,
                              const char *what, double *const *want, const double *allowed,
                              verdict *v)
{
    for (int threads = 1; threads <= 3 && !v->failed; threads += 2) {
        double *got[MOST_OUTPUTS] = {NULL};
        OXP_TRY(execute(ctx, arena, j, OXP_EXEC_FUSED, threads, got));
        for (size_t k = 0; k < j->n_out && !v->failed; k++) {
            if (!want[k] || !got[k] || !isfinite(allowed[k])) continue;
            const int64_t n = oxp_shape_elements(oxp_shape_at(plain->g, plain->out[k]));
            compare(v, what, k, got[k], want[k], n, allowed[k]);
        }
    }
    return OXP_OK;
}

static oxp_status check(oxp_ctx *ctx, oxp_arena *arena, oxp_arena *tmp, const problem *p,
                        verdict *v)
{
    joint plain, fused;
    double **value, *noisy[NOISE_RUNS * MOST_OUTPUTS] = {NULL}, *want[MOST_OUTPUTS] = {NULL};
    double allowed[MOST_OUTPUTS], *got[MOST_OUTPUTS] = {NULL};
    OXP_TRY(build(ctx, arena, p, false, &plain));
    OXP_TRY(run_oracle(ctx, arena, &plain, 0.0, 0, &value));
    for (size_t k = 0; k < plain.n_out; k++) want[k] = plain.out[k] ? value[plain.out[k]] : NULL;
    for (uint32_t r = 0; r < NOISE_RUNS; r++) {
        double **moved;
        OXP_TRY(run_oracle(ctx, arena, &plain, NOISE, r, &moved));
        for (size_t k = 0; k < plain.n_out; k++)
            noisy[r * MOST_OUTPUTS + k] = plain.out[k] ? moved[plain.out[k]] : NULL;
    }
    OXP_TRY(execute(ctx, arena, &plain, OXP_EXEC_PLAIN, 1, got));
    for (size_t k = 0; k < plain.n_out && !v->failed; k++) {
        if (!want[k]) continue;
        const int64_t n = oxp_shape_elements(oxp_shape_at(plain.g, plain.out[k]));
        const double top = largest(want[k], n);
        const double moved = NOISE_MULTIPLE * sensitivity(noisy, want[k], n, k);
        const bool says = all_finite(want[k], n) && moved < LOOSEST * fmax(top, 1.0);
        allowed[k] = says ? moved + FLOAT_TOLERANCE * fmax(top, 0.1) : (double)INFINITY;
        if (isfinite(allowed[k]))
            compare(v, "plain executor", k, got[k], want[k], n, PLAIN_TOLERANCE * fmax(top, 1e-3));
    }
    if (!v->failed)
        OXP_TRY(check_fused(ctx, arena, &plain, &plain, "fused executor", want, allowed, v));
    if (v->failed) return OXP_OK;
    OXP_TRY(build(ctx, arena, p, true, &fused));
    OXP_TRY(check_fused(ctx, arena, &plain, &fused, "fused executor, optimised", want, allowed, v));
    return v->failed ? OXP_OK : check_slopes(ctx, tmp, &plain, p->n_targets, want, v);
}

void check_problem(oxp_ctx *ctx, const problem *p, verdict *out)
{
    oxp_arena *arena = oxp_arena_new(NULL), *tmp = oxp_arena_new(NULL);
    *out = (verdict){.failed = false};
    const oxp_status status = arena && tmp ? check(ctx, arena, tmp, p, out) : OXP_ENOMEM;
    if (status != OXP_OK) fail(out, "status %d: %s", (int)status, ctx->error->message);
    oxp_arena_free(arena);
    oxp_arena_free(tmp);
    oxp_arena_reset(ctx->scratch);
}
