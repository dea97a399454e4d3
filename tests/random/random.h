/* random.h - random graphs: made (generate.c, families.c), checked (check.c), made smaller (shrink.c).
 *
 * A graph grows by steps. Each picks a value that exists and hangs an operator on it: a row of
 * tests/ops/ *.cases, its first input bent to the row's shape, or a member of a family with shapes and
 * attributes drawn for the value at hand. What `ref` computes is known at once; a step that is refused,
 * or leaves the range in which float can be compared, is taken back. Everything follows from the seed. */
#ifndef OXP_TESTS_RANDOM_H
#define OXP_TESTS_RANDOM_H

#include "ops/case.h"

enum { RANDOM_TARGETS = 4 };

/* A graph with data: what is checked. */
typedef struct problem {
    oxp_graph *g;
    double **value; /* [n_values]: of inputs and constants at least */
    oxp_val target[RANDOM_TARGETS];
    size_t n_targets;
    uint64_t seed; /* of the weights that sum up the targets */
} problem;

/* ---- growing ---- */

typedef struct maker {
    oxp_ctx *ctx;
    oxp_arena *arena;
    oxp_build b;
    double **value; /* by value of b.g */
    size_t cap_values;
    uint64_t seed, drawn;
    const op_case *rows;
    size_t n_rows;
} maker;

uint64_t draw_below(maker *m, uint64_t n); /* [0, n) */
int64_t draw_int(maker *m, int64_t low, int64_t high);
double draw_real(maker *m, double low, double high);
bool draw_chance(maker *m, double p);

/* A float that was computed or is an input, with at least one element. */
oxp_val pick_value(maker *m);
/* A new input, or a constant, of floats in [low, high). */
oxp_val make_input(maker *m, const oxp_shape *shape, double low, double high);
oxp_val make_const(maker *m, const oxp_shape *shape, double low, double high);
oxp_val make_const_of(maker *m, oxp_dtype dtype, const oxp_shape *shape, const double *values);
/* x bent to a shape: cut or repeated. */
oxp_val bend(maker *m, oxp_val x, const oxp_shape *shape);
/* families.c: a step with shapes and attributes of its own, from x. */
void family_step(maker *m, oxp_val x);

/* The graph of a seed. */
oxp_status make_problem(oxp_ctx *ctx, oxp_arena *arena, const op_case *rows, size_t n_rows,
                        uint64_t seed, problem *out);

/* ---- checking ---- */

typedef struct verdict {
    bool failed;
    char why[512];
    int probes; /* of the gradient that were compared */
} verdict;

/* Errors of the code under test are failures too. */
void check_problem(oxp_ctx *ctx, const problem *p, verdict *out);

/* ---- making smaller ---- */

/* The part of a problem that the targets need, with the values where cut[v] as inputs. */
oxp_status problem_part(oxp_ctx *ctx, oxp_arena *arena, const problem *from, const bool *cut,
                        const oxp_val *target, size_t n_targets, problem *out);
/* Every value, by `ref`. */
oxp_status problem_values(oxp_ctx *ctx, oxp_arena *arena, problem *p);
oxp_status problem_shrink(oxp_ctx *ctx, oxp_arena *arena, const problem *from, problem *out,
                          verdict *why);

#endif
