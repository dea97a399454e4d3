/* subject.h - a case as a graph, and its evaluation: by the oracle (a walk over `ref` in double)
 * or by an executor. */
#ifndef OPCHECK_SUBJECT_H
#define OPCHECK_SUBJECT_H

#include "exec/program.h"
#include "ops/case.h"

typedef enum subject_form {
    SUBJECT_DIRECT,  /* the node itself */
    SUBJECT_EXPANDED /* what its `expand` makes of it */
} subject_form;

typedef struct subject {
    const op_case *c;
    oxp_graph *g;
    oxp_val in[CASE_MAX];  /* of the row; inputs of the graph where not constant or absent */
    oxp_val out[CASE_MAX]; /* of the node */
    oxp_val w[CASE_MAX];   /* with gradient: adjoints of the float outputs, inputs of the graph */
    oxp_val dx[CASE_MAX];  /* with gradient: of float inputs; NO_VAL: structurally zero */
    bool wants[CASE_MAX];  /* input i has a gradient to ask for */
} subject;

/* Values of all numbers of a graph, by value index; NULL where a value does not exist. */
typedef double **value_set;

/* Builds and verifies the graph. Its constants take their values from data[input]. Graph
 * outputs: the node's outputs, then (with_grad) the adjoints that are not structurally zero. */
oxp_status subject_build(oxp_ctx *ctx, oxp_arena *arena, const op_case *c, subject_form form,
                         bool with_grad, double *const *data, subject *out);

/* Has the operator a gradient, direct or through its expansion, and is there an input to take it
 * for? */
bool subject_differentiable(const op_case *c);

/* data[i] for every input of the row, w for every float output (weights[k]): the graph's inputs. */
typedef struct feed {
    double *data[CASE_MAX];
    double *weight[CASE_MAX];
} feed;
oxp_status feed_new(oxp_ctx *ctx, oxp_arena *arena, const op_case *c, uint64_t seed, bool real,
                    feed *out);
/* Adds weights for the outputs of s (integers in [-4,4], or reals). */
oxp_status feed_weights(oxp_ctx *ctx, oxp_arena *arena, const subject *s, uint64_t seed, bool real,
                        feed *f);

/* The oracle: every value of the graph. What `ref` leaves unwritten is NaN. */
oxp_status subject_oracle(oxp_ctx *ctx, oxp_arena *arena, const subject *s, const feed *f,
                          value_set *out);

/* The same by an executor: the graph's outputs, the rest NULL. */
oxp_status subject_program(oxp_ctx *ctx, oxp_arena *arena, const subject *s, oxp_exec_kind kind,
                           int threads, oxp_weights *weights, oxp_program **out);
oxp_status subject_run(oxp_ctx *ctx, oxp_arena *arena, const subject *s, oxp_program *p,
                       const feed *f, value_set *out);

#endif
