/*
 * Each allocation of opening, compiling and explaining fails once: OXP_ENOMEM every time, nothing
 * leaks, and the same session then explains as if nothing had been.
 */
#include "subject.h"
#include "support/alloc.h"

/* Where every arena allocation is a block of its own there are thousands: some are left out. */
#ifdef OXP_ARENA_DEBUG
enum { STEP = 11 };
#else
enum { STEP = 1 };
#endif

#define TOY "tests/data/toy/"

typedef struct subject_case {
    const char *model;
    question q;
} subject_case;

static const subject_case cases[] = {
    {TOY "oracle_conv.onnx", {.method = "saliency"}},
    {TOY "oracle_conv.onnx", {.method = "grad-cam"}},
    {TOY "oracle_conv.onnx", {.method = "integrated-gradients", .params = {"steps=2"}}},
    {TOY "oracle_conv.onnx", {.method = "occlusion", .params = {"window=2"}}},
    {TOY "oracle_conv.onnx", {.method = "smoothgrad", .params = {"samples=2"}}},
    {TOY "oracle_conv.onnx", {.method = "lrp"}},
    {TOY "composite_attention__div.onnx", {.method = "saliency"}},
    {TOY "composite_groupnorm__flat.onnx", {.method = "saliency"}},
    {TOY "file_net__external.onnx", {.method = "saliency"}},
    {TOY "file_net__local_functions.onnx", {.method = "saliency"}},
};

static oxp_status explain_ones(subject *s, const question *q, double *sum)
{
    oxp_session *session;
    oxp_tensor inputs[8];
    OXP_TRY(subject_session(s, q, &session));
    assert_true(subject_ones(s, inputs));
    const oxp_status status = subject_explain(s, session, inputs, s->net.graph->n_inputs, sum);
    subject_free_ones(s, inputs);
    oxp_session_free(session);
    return status;
}

/* Everything from the file on, with allocation number fail_at failing. */
static bool whole_run_fails(const char *model, const question *q, int64_t fail_at)
{
    oxp_test_alloc a = {.fail_at = fail_at};
    const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
    subject s;
    double sum;
    oxp_status status = subject_open(&s, &hooks, model, 0);
    if (status == OXP_OK) status = explain_ones(&s, q, &sum);
    if (status != (a.failed ? OXP_ENOMEM : OXP_OK))
        fail_msg("%s of %s, allocation %lld: got %d '%s'", q->method, model, (long long)fail_at,
                 (int)status, s.error.message);
    if (a.failed) subject_check_message(&s, q->method);
    subject_close(&s);
    assert_int_equal(a.live, 0);
    return a.failed;
}

/* One session: its first explanation fails at allocation number fail_at of the call, its second
 * must equal `want`. */
static bool session_survives(const char *model, const question *q, int64_t fail_at, double want)
{
    oxp_test_alloc a = {.fail_at = -1};
    const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
    subject s;
    oxp_session *session;
    oxp_tensor inputs[8];
    double first, second = 0.0;
    assert_int_equal(subject_open(&s, &hooks, model, 0), OXP_OK);
    assert_int_equal(subject_session(&s, q, &session), OXP_OK);
    assert_true(subject_ones(&s, inputs));
    a.fail_at = a.count + fail_at;
    const oxp_status status = subject_explain(&s, session, inputs, s.net.graph->n_inputs, &first);
    assert_int_equal(status, a.failed ? OXP_ENOMEM : OXP_OK);
    a.fail_at = -1;
    const oxp_status again = subject_explain(&s, session, inputs, s.net.graph->n_inputs, &second);
    if (again != OXP_OK || second < want || second > want)
        fail_msg("%s of %s, after allocation %lld: %d '%s', %g instead of %g", q->method, model,
                 (long long)fail_at, (int)again, s.error.message, second, want);
    subject_free_ones(&s, inputs);
    oxp_session_free(session);
    subject_close(&s);
    assert_int_equal(a.live, 0);
    return a.failed;
}

static void test_every_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        question q = cases[i / 2].q;
        int64_t fail_at = 0;
        q.plain = i % 2;
        q.threads = 1;
        while (whole_run_fails(cases[i / 2].model, &q, fail_at)) fail_at += STEP;
        assert_true(fail_at > 20);
    }
}

static void test_session_goes_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        const char *model = cases[i / 2].model;
        question q = cases[i / 2].q;
        oxp_test_alloc a = {.fail_at = -1};
        const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
        subject s;
        double want;
        q.plain = i % 2;
        q.threads = 1;
        assert_int_equal(subject_open(&s, &hooks, model, 0), OXP_OK);
        assert_int_equal(explain_ones(&s, &q, &want), OXP_OK);
        subject_close(&s);
        for (int64_t at = 0; session_survives(model, &q, at, want); at += STEP) {
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_session_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
