/*
 * Threads share a model and its packed weights: each has a session of its own, and all get the
 * same numbers as one thread alone. Cores compile at the same time, so the store of weights is
 * asked for the same forms at the same moment.
 */
#include "subject.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 3 };

typedef struct worker {
    const subject *shared;
    question q;
    double want, got[ROUNDS];
    oxp_status status;
    char message[1024];
} worker;

static oxp_status explain(subject *s, const question *q, double *sum)
{
    oxp_session *session;
    oxp_tensor inputs[8];
    OXP_TRY(subject_session(s, q, &session));
    oxp_status status = subject_ones(s, inputs) ? OXP_OK : OXP_ELIMIT;
    if (status == OXP_OK) {
        status = subject_explain(s, session, inputs, s->net.graph->n_inputs, sum);
        subject_free_ones(s, inputs);
    }
    oxp_session_free(session);
    return status;
}

static void *work(void *arg)
{
    worker *w = arg;
    subject own = *w->shared; /* the model and its weights are shared, the error is not */
    for (int r = 0; r < ROUNDS && w->status == OXP_OK; r++)
        w->status = explain(&own, &w->q, &w->got[r]);
    memcpy(w->message, own.error.message, sizeof w->message);
    return NULL;
}

static void run_threads(const char *model, bool plain)
{
    static const char *const methods[] = {"saliency", "grad-cam", "saliency", "guided-backprop"};
    worker workers[THREADS];
    pthread_t threads[THREADS];
    subject alone, shared;
    assert_int_equal(subject_open(&alone, &subject_c_library, model, 0), OXP_OK);
    assert_int_equal(subject_open(&shared, &subject_c_library, model, 0), OXP_OK);
    for (int t = 0; t < THREADS; t++) {
        workers[t] =
            (worker){.shared = &shared, .q = {.method = methods[t], .plain = plain, .threads = 1}};
        if (explain(&alone, &workers[t].q, &workers[t].want) != OXP_OK)
            fail_msg("%s: %s", methods[t], alone.error.message);
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
    for (int t = 0; t < THREADS; t++) assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (int t = 0; t < THREADS; t++) {
        if (workers[t].status != OXP_OK) fail_msg("%s: %s", methods[t], workers[t].message);
        for (int r = 0; r < ROUNDS; r++)
            if (workers[t].got[r] < workers[t].want || workers[t].got[r] > workers[t].want)
                fail_msg("%s in thread %d: %.9g, alone %.9g", methods[t], t, workers[t].got[r],
                         workers[t].want);
    }
    subject_close(&shared);
    subject_close(&alone);
}

static void test_convolutions(void **state)
{
    (void)state;
    run_threads("tests/data/toy/cnn2d.onnx", false);
    run_threads("tests/data/toy/cnn2d.onnx", true);
}

static void test_transformer(void **state)
{
    (void)state;
    run_threads("tests/data/samples/vit_tiny_fashion_mnist.onnx", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_transformer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
