/* conformance.h - ONNX's own tests: a folder per test with model.onnx and data sets of inputs and
 * the outputs they should give.
 *
 *   suite.c    finds the tests, reads their tensors, says which are out of scope and why
 *   run.c      one test: through the public interface, with both executors
 *   report.c   docs/operators.md
 *   conformance.c  the command line, the list of what is still refused */
#ifndef OXP_TESTS_CONFORMANCE_H
#define OXP_TESTS_CONFORMANCE_H

#include "onnx/schema.h"
#include "tensor/tensor.h"

typedef enum verdict {
    PASSED,
    OUT_OF_SCOPE, /* refused, as it may be: random numbers, training, strings, sequences ... */
    REFUSED,      /* refused, but should not be */
    FAILED,       /* wrong, or an error that is not a refusal */
    VERDICTS
} verdict;

typedef struct test_case {
    const char *suite, *name, *folder;
    const char **ops; /* operators of the model's graph, each once; "domain::Op" unless default */
    size_t n_ops;
    const char *scope; /* why it may be refused; NULL: it may not */
    verdict verdict;
    const char *why; /* of anything but PASSED: one line */
    double error;    /* the largest error of a float output relative to its largest element */
} test_case;

typedef struct suite {
    oxp_arena *arena;
    test_case *tests; /* by suite, then name */
    size_t n, cap;
} suite;

/* The tests below data/SUITE/, for each suite named. */
oxp_status suite_find(oxp_ctx *ctx, const char *data, const char *const *suites, size_t n_suites,
                      suite *out);
/* Fills ops and scope. `model` gets the records of the file. */
oxp_status suite_survey(oxp_ctx *ctx, suite *s, test_case *t, oxp_pb_model *model);
/* A file with one TensorProto; false in *found when there is none. */
oxp_status suite_tensor(oxp_ctx *ctx, oxp_arena *arena, const char *path, bool *found,
                        oxp_tensor *out);

/* Fills verdict, why and error. */
oxp_status run_test(suite *s, test_case *t);

/* Writes docs/operators.md. */
oxp_status report_operators(oxp_ctx *ctx, const suite *s, const char *path);

#endif
