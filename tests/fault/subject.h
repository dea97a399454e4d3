/*
 * A model opened and explained without failing the test: what the fault, hostile and thread tests
 * share. Every step gives its status; everything comes from one allocator.
 */
#ifndef OXP_TESTS_FAULT_SUBJECT_H
#define OXP_TESTS_FAULT_SUBJECT_H

#include "explain/explain.h"
#include "explain/method.h"
#include "onnx/import.h"
#include "support/support.h"

typedef struct subject {
    oxp_allocator hooks;
    oxp_arena *arena;
    oxp_onnx_model *model;
    oxp_net net;
    oxp_error error; /* of the call that failed last */
} subject;

typedef struct question {
    const char *method;
    const char *params[4]; /* "name=value", NULL ends */
    bool plain;
    int threads;
    uint64_t max_memory;
} question;

/* For tests that do not count allocations. */
extern const oxp_allocator subject_c_library;

/* path: below the source tree, or absolute. Always to be closed, also after a failure. */
oxp_status subject_open(subject *s, const oxp_allocator *hooks, const char *path,
                        uint64_t max_memory);
void subject_close(subject *s);

oxp_status subject_session(subject *s, const question *q, oxp_session **out);
/* Explains the top class; the map is folded into *sum: its position-weighted sum. */
oxp_status subject_explain(subject *s, oxp_session *session, const oxp_tensor *inputs,
                           size_t n_inputs, double *sum);

/* Ones for every input, sizes that the model leaves open being 1; false when they are too many or
 * too large. At most 8 inputs; the caller frees each data. */
bool subject_ones(const subject *s, oxp_tensor *inputs);
void subject_free_ones(const subject *s, oxp_tensor *inputs);

/* Fails the test unless the error is one printable line. */
void subject_check_message(const subject *s, const char *what);

#endif
