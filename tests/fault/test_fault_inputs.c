/*
 * Inputs that do not fit the model, and numbers that are none: a refusal in one line that names
 * what is wrong, after which the same session explains a good input as before.
 */
#include "subject.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

typedef struct bad_input {
    oxp_shape shape;
    float value;
    const char *says; /* part of the message */
} bad_input;

#define SHAPE(rank, ...) \
    {                    \
        (rank),          \
        {                \
            __VA_ARGS__  \
        }                \
    }

static const bad_input bad_pictures[] = {
    {SHAPE(3, 2, 10, 12), 1.0f, "expects shape"},
    {SHAPE(5, 1, 2, 10, 12, 1), 1.0f, "expects shape"},
    {SHAPE(4, 1, 3, 10, 12), 1.0f, "expects shape"},
    {SHAPE(4, 0, 2, 10, 12), 1.0f, "empty"},
    {SHAPE(0, 0), 1.0f, "expects shape"},
    {SHAPE(4, 1, 2, 10, 12), NAN, "is NaN"},
    {SHAPE(4, 1, 2, 10, 12), INFINITY, "is infinite"},
};

static float *filled(float value)
{
    float *data = malloc(MOST * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < MOST; i++) data[i] = value;
    return data;
}

static void expect_refusal(subject *s, oxp_session *session, const oxp_tensor *inputs, size_t n,
                           const char *says)
{
    double sum;
    const oxp_status status = subject_explain(s, session, inputs, n, &sum);
    if (status != OXP_EINVAL || !strstr(s->error.message, says))
        fail_msg("expected '%s', got %d '%s'", says, (int)status, s->error.message);
    subject_check_message(s, says);
}

static void check_pictures(const question *q)
{
    subject s;
    oxp_session *session;
    double first, again;
    assert_int_equal(subject_open(&s, &subject_c_library, "tests/data/toy/cnn2d.onnx", 0), OXP_OK);
    assert_int_equal(subject_session(&s, q, &session), OXP_OK);
    oxp_tensor good[8];
    assert_true(subject_ones(&s, good));
    assert_int_equal(subject_explain(&s, session, good, 1, &first), OXP_OK);
    for (size_t i = 0; i < sizeof bad_pictures / sizeof *bad_pictures; i++) {
        float *data = filled(bad_pictures[i].value);
        const oxp_tensor bad = {OXP_F32, bad_pictures[i].shape, data};
        expect_refusal(&s, session, &bad, 1, bad_pictures[i].says);
        free(data);
        assert_int_equal(subject_explain(&s, session, good, 1, &again), OXP_OK);
        assert_true(first >= again && first <= again);
    }
    expect_refusal(&s, session, good, 0, "inputs, found 0");
    subject_free_ones(&s, good);
    oxp_session_free(session);
    subject_close(&s);
}

static void test_pictures(void **state)
{
    (void)state;
    check_pictures(&(question){.method = "saliency", .threads = 1});
    check_pictures(&(question){.method = "occlusion", .threads = 1});
    check_pictures(&(question){.method = "saliency", .plain = true});
}

/* Every element type is taken, by its value. */
static void test_element_types(void **state)
{
    (void)state;
    static const oxp_dtype dtypes[] = {OXP_F64, OXP_F32, OXP_F16, OXP_BF16, OXP_U8,
                                       OXP_I8,  OXP_I16, OXP_I32, OXP_I64,  OXP_BOOL};
    const question q = {.method = "saliency", .threads = 1};
    subject s;
    oxp_session *session;
    double want, got;
    oxp_tensor ones[8];
    assert_int_equal(subject_open(&s, &subject_c_library, "tests/data/toy/cnn2d.onnx", 0), OXP_OK);
    assert_int_equal(subject_session(&s, &q, &session), OXP_OK);
    assert_true(subject_ones(&s, ones));
    assert_int_equal(subject_explain(&s, session, ones, 1, &want), OXP_OK);
    float *data = filled(0.0f);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        const oxp_tensor t = {dtypes[i], ones[0].shape, data};
        oxp_convert(data, dtypes[i], ones[0].data, OXP_F32, oxp_shape_elements(&t.shape));
        assert_int_equal(subject_explain(&s, session, &t, 1, &got), OXP_OK);
        assert_true(got >= want && got <= want);
    }
    free(data);
    subject_free_ones(&s, ones);
    oxp_session_free(session);
    subject_close(&s);
}

static void test_batches_disagree(void **state)
{
    (void)state;
    const question q = {.method = "saliency", .threads = 1};
    subject s;
    oxp_session *session;
    oxp_tensor inputs[8];
    assert_int_equal(
        subject_open(&s, &subject_c_library, "tests/data/toy/oracle_conv_two_inputs.onnx", 0),
        OXP_OK);
    assert_int_equal(subject_session(&s, &q, &session), OXP_OK);
    assert_true(subject_ones(&s, inputs));
    float *data = filled(1.0f);
    oxp_tensor more = inputs[1];
    more.data = data;
    more.shape.dim[0] = 2;
    expect_refusal(&s, session, (const oxp_tensor[]){inputs[0], more}, 2, "batch");
    free(data);
    subject_free_ones(&s, inputs);
    oxp_session_free(session);
    subject_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_element_types),
        cmocka_unit_test(test_batches_disagree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
