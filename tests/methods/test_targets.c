/* test_targets.c - what is explained: spaces, classes, elements, contrasts, and which items are
 * explained together. Expected numbers are derivatives written out by hand. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double softmax(const oxp_tensor *scores, int64_t first, int64_t n, int64_t c)
{
    double sum = 0.0;
    for (int64_t k = 0; k < n; k++) sum += exp(oxp_tensor_get(scores, first + k));
    return exp(oxp_tensor_get(scores, first + c)) / sum;
}

/* ---- spaces ---- */

/* d/dlogits of: logit c; p_c = softmax; log p_c. Every spelling of the end gives the same. */
static void spaces_of_softmax(void **state)
{
    OXP_UNUSED(state);
    static const char *const models[] = {"composite_softmax_end__op",
                                         "composite_softmax_end__max_subtracted",
                                         "composite_softmax_end__plain_exp",
                                         "composite_logsoftmax_end__op",
                                         "composite_logsoftmax_end__log_of_softmax",
                                         "composite_logsoftmax_end__max_subtracted"};
    static const char *const names[] = {"logit", "prob", "output"};
    for (size_t m = 0; m < OXP_COUNT(models); m++) {
        test_net *t = test_toy_open(models[m]);
        const oxp_tensor x = test_toy_array(t, models[m], "input__x");
        const oxp_val logits = test_net_val(t, "logits"), input = t->net.graph->inputs[0];
        const bool is_log = m >= 3;
        oxp_tensor scores;
        assert_int_equal(
            oxp_compute(&t->ctx, &t->net, t->arena, &input, &x, 1, &logits, 1, 1, true, &scores),
            OXP_OK);
        const int64_t classes = scores.shape.dim[1], c = 1;
        for (int space = 0; space < 3; space++) {
            const test_ask ask = {
                .method = "saliency", .wrt = {"logits"}, .target = c, .space = (oxp_space)space};
            const oxp_explanation e = test_explain(t, &ask, &x, 1);
            assert_string_equal(e.space, names[space]);
            assert_int_equal(e.classes, classes);
            const double p = softmax(&scores, 0, classes, c);
            for (int64_t j = 0; j < classes; j++) {
                const double same = j == c ? 1.0 : 0.0, q = softmax(&scores, 0, classes, j);
                const double want = space == 0             ? same
                                    : space == 2 && is_log ? same - q
                                                           : p * (same - q);
                assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, j) - want) < 1e-9);
            }
            const double score = space == 0             ? oxp_tensor_get(&scores, c)
                                 : space == 2 && is_log ? log(p)
                                                        : p;
            assert_true(fabs(e.items[0].score - score) < 1e-9);
            double total = 0.0;
            for (size_t k = 0; k < e.items[0].n_top; k++) {
                const oxp_top *top = &e.items[0].top[k];
                assert_true(fabs(top->probability - softmax(&scores, 0, classes, top->index)) <
                            1e-9);
                total += top->probability;
            }
            assert_int_equal(e.items[0].n_top, 3);
            assert_true(total <= 1.0 + 1e-9);
        }
        test_net_close(t);
    }
}

/* w = (0.5, -0.25, 1), s = x w, p = 1 / (1 + exp(-s)): class 1 is s or p, class 0 -s or 1 - p. */
static void spaces_of_one_sigmoid(void **state)
{
    OXP_UNUSED(state);
    static const double w[3] = {0.5, -0.25, 1}, s[2] = {3.0, -1.0};
    static const char *const models[] = {"ask_sigmoid", "ask_sigmoid_flat"};
    for (size_t m = 0; m < 2; m++) {
        test_net *t = test_toy_open(models[m]);
        const oxp_tensor x = test_toy_array(t, models[m], "input__x");
        for (int space = 0; space < 3; space++)
            for (int64_t c = 0; c < (space == OXP_SPACE_OUTPUT ? 1 : 2); c++) {
                const test_ask ask = {.method = "saliency", .target = c, .space = (oxp_space)space};
                const oxp_explanation e = test_explain(t, &ask, &x, 1);
                assert_int_equal(e.n_items, 2);
                assert_int_equal(e.classes, space == OXP_SPACE_OUTPUT ? 1 : 2);
                const double sign = c == 1 || space == OXP_SPACE_OUTPUT ? 1.0 : -1.0;
                for (int64_t i = 0; i < 2; i++) {
                    const double p = 1.0 / (1.0 + exp(-s[i]));
                    const double slope = sign * (space == 0 ? 1.0 : p * (1.0 - p));
                    for (int64_t k = 0; k < 3; k++)
                        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, 3 * i + k) - slope * w[k]) <
                                    1e-9);
                    const double score = space == 0 ? sign * s[i] : sign > 0 ? p : 1.0 - p;
                    assert_true(fabs(e.items[i].score - score) < 1e-9);
                }
                if (space != OXP_SPACE_OUTPUT) { /* the likelier class first */
                    assert_int_equal(e.items[0].top[0].index, 1);
                    assert_int_equal(e.items[1].top[0].index, 0);
                    assert_true(fabs(e.items[1].top[0].probability - 1.0 / (1.0 + exp(-1.0))) <
                                1e-9);
                }
            }
        test_explain_fails(t, &(test_ask){.method = "saliency", .target = 2}, &x, 1, OXP_EINVAL);
        const test_ask contrast = {.method = "contrastive-gradient", .target = 1};
        const oxp_explanation e = test_explain(t, &contrast, &x, 1); /* s - (-s) */
        assert_int_equal(e.items[0].contrast, 0);
        test_close_to(&e.maps[0].raw, (const double[]){1, -0.5, 2, 1, -0.5, 2}, 6, 1e-9, "2 w");
        test_net_close(t);
    }
}

/* logits = x w without an end: as they are, or under a Softmax of ours. */
static void spaces_of_scores(void **state)
{
    OXP_UNUSED(state);
    static const double w[3][2] = {{1, 2}, {3, -1}, {0.5, 4}};
    test_net *t = test_toy_open("ask_unused_input");
    const oxp_tensor x[2] = {test_toy_array(t, "ask_unused_input", "input__x"),
                             test_toy_array(t, "ask_unused_input", "input__unused")};
    test_ask ask = {.method = "saliency", .target = 0};
    oxp_explanation e = test_explain(t, &ask, x, 2);
    assert_string_equal(e.space, "output");
    assert_true(test_has_note(&e, "no Softmax or Sigmoid found"));
    for (int64_t k = 0; k < 3; k++)
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, k) - w[k][0]) < 1e-12);
    /* row 0: scores 8.5 and 12 */
    const double p = 1.0 / (1.0 + exp(12 - 8.5));
    assert_true(fabs(e.items[0].top[1].probability - p) < 1e-12);
    ask.space = OXP_SPACE_PROB;
    e = test_explain(t, &ask, x, 2);
    assert_string_equal(e.space, "prob");
    for (int64_t k = 0; k < 3; k++)
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, k) - p * (1 - p) * (w[k][0] - w[k][1])) <
                    1e-9);
    /* the input that nothing reads: zero, and said so */
    for (int64_t k = 0; k < 4; k++) assert_true(fabs(oxp_tensor_get(&e.maps[1].raw, k)) <= 0.0);
    assert_true(test_has_note(&e, "'unused'"));
    test_net_close(t);
    t = test_toy_open("relu_deeplift"); /* one number: regression */
    const oxp_tensor one[2] = {test_toy_array(t, "relu_deeplift", "input__x1"),
                               test_toy_array(t, "relu_deeplift", "input__x2")};
    e = test_explain(t, &(test_ask){.method = "saliency"}, one, 2);
    test_close_to(&e.maps[0].raw, (const double[]){2}, 1, 1e-12, "x1");
    test_explain_fails(t, &(test_ask){.method = "saliency", .space = OXP_SPACE_PROB}, one, 2,
                       OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "single output"));
    test_net_close(t);
}

/* ---- elements, sums, ranks, contrasts ---- */

static void elements_and_sums(void **state)
{
    OXP_UNUSED(state);
    static const double w[3][2] = {{1, 2}, {3, -1}, {0.5, 4}};
    test_net *t = test_toy_open("ask_unused_input");
    const oxp_tensor x[2] = {test_toy_array(t, "ask_unused_input", "input__x"),
                             test_toy_array(t, "ask_unused_input", "input__unused")};
    test_ask ask = {.method = "saliency", .tensor = "logits", .element = true, .target = 1};
    oxp_explanation e = test_explain(t, &ask, x, 2);
    for (int64_t k = 0; k < 3; k++)
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, k) - w[k][1]) < 1e-12);
    assert_true(fabs(e.items[1].score - (-2 - 4 + 2)) < 1e-12);
    ask = (test_ask){.method = "saliency", .tensor = "logits", .sum = true};
    e = test_explain(t, &ask, x, 2);
    for (int64_t k = 0; k < 3; k++)
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, k) - w[k][0] - w[k][1]) < 1e-12);
    ask = (test_ask){.method = "contrastive-gradient",
                     .tensor = "logits",
                     .element = true,
                     .target = 1,
                     .contrast = true,
                     .contrast_class = 0};
    e = test_explain(t, &ask, x, 2);
    for (int64_t k = 0; k < 3; k++)
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, k) - w[k][1] + w[k][0]) < 1e-12);
    ask.contrast_class = 1; /* would cancel */
    test_explain_fails(t, &ask, x, 2, OXP_EINVAL);
    ask = (test_ask){
        .method = "contrastive-gradient", .tensor = "logits", .element = true, .target = 1};
    test_explain_fails(t, &ask, x, 2, OXP_EINVAL); /* an element has no runner-up */
    ask = (test_ask){.method = "saliency", .tensor = "logits", .element = true, .target = 2};
    test_explain_fails(t, &ask, x, 2, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "outside the tensor's 2 elements"));
    test_net_close(t);
}

/* Scores 8.5 and 12, then 11.25 and -4: ranks and runners-up differ from item to item. */
static void ranks_and_runners_up(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("ask_unused_input");
    const oxp_tensor x[2] = {test_toy_array(t, "ask_unused_input", "input__x"),
                             test_toy_array(t, "ask_unused_input", "input__unused")};
    oxp_explanation e = test_explain(t, &(test_ask){.method = "saliency", .top = true}, x, 2);
    assert_int_equal(e.items[0].target, 1);
    assert_int_equal(e.items[1].target, 0);
    e = test_explain(t, &(test_ask){.method = "saliency", .top = true, .target = 2}, x, 2);
    assert_int_equal(e.items[0].target, 0);
    assert_int_equal(e.items[1].target, 1);
    test_explain_fails(t, &(test_ask){.method = "saliency", .top = true, .target = 3}, x, 2,
                       OXP_EINVAL);
    e = test_explain(t, &(test_ask){.method = "contrastive-gradient", .top = true}, x, 2);
    assert_int_equal(e.items[0].contrast, 0);
    assert_int_equal(e.items[1].contrast, 1);
    test_close_to(&e.maps[0].raw, (const double[]){1, -4, 3.5, -1, 4, -3.5}, 6, 1e-9,
                  "each item against its own runner-up");
    e = test_explain(t, &(test_ask){.method = "contrastive-gradient", .target = 0}, x, 2);
    assert_int_equal(e.items[0].contrast, 1); /* the best of the others */
    assert_int_equal(e.items[1].contrast, 1);
    test_net_close(t);
}

/* (N,4,1,1): the classes are axis 1, and space=prob has the Softmax's own derivative. */
static void classes_with_ones_behind(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("ask_pooled_classes");
    const oxp_tensor x = test_toy_array(t, "ask_pooled_classes", "input__x");
    const oxp_tensor p = test_toy_array(t, "ask_pooled_classes", "output__p");
    test_ask ask = {.method = "saliency", .wrt = {"scores"}, .target = 3, .space = OXP_SPACE_PROB};
    oxp_explanation e = test_explain(t, &ask, &x, 1);
    assert_int_equal(e.classes, 4);
    assert_int_equal(e.n_items, 2);
    for (int64_t i = 0; i < 2; i++)
        for (int64_t j = 0; j < 4; j++) {
            const double pc = oxp_tensor_get(&p, 4 * i + 3), pj = oxp_tensor_get(&p, 4 * i + j);
            assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, 4 * i + j) -
                             pc * ((j == 3 ? 1.0 : 0.0) - pj)) < 1e-6);
        }
    ask = (test_ask){.method = "grad-cam", .target = 3};
    e = test_explain(t, &ask, &x, 1);
    assert_string_equal(e.layer, "relu");
    assert_int_equal(e.items[0].n_top, 3);
    test_net_close(t);
}

/* Dense scores: class c is the sum over its pixels, for every pixel and each kind of space. */
static void dense_classes_are_sums(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("ask_segments");
    const oxp_tensor x = test_toy_array(t, "ask_segments", "input__x");
    const oxp_tensor p = test_toy_array(t, "ask_segments", "output__p");
    test_ask ask = {.method = "saliency", .wrt = {"scores"}, .target = 2};
    oxp_explanation e = test_explain(t, &ask, &x, 1);
    assert_int_equal(e.classes, 3);
    for (int64_t i = 0; i < 192; i++)
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, i) - (i >= 128 ? 1.0 : 0.0)) < 1e-12);
    ask.space = OXP_SPACE_PROB;
    e = test_explain(t, &ask, &x, 1);
    double score = 0.0;
    for (int64_t i = 0; i < 64; i++) {
        const double pc = oxp_tensor_get(&p, 128 + i);
        score += pc;
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, i) + pc * oxp_tensor_get(&p, i)) < 1e-6);
    }
    assert_true(fabs(e.items[0].score - score) < 1e-4);
    test_net_close(t);
    t = test_toy_open("ask_series_segments"); /* (N,3,6): the channels are the classes */
    const oxp_tensor s = test_toy_array(t, "ask_series_segments", "input__x");
    e = test_explain(t, &(test_ask){.method = "saliency", .wrt = {"scores"}, .target = 1}, &s, 1);
    assert_int_equal(e.classes, 3);
    for (int64_t i = 0; i < 18; i++)
        assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, i) - (i / 6 == 1 ? 1.0 : 0.0)) < 1e-12);
    test_net_close(t);
}

/* ---- items ---- */

/* d(x - mean) w / dx for one item alone is zero; both together would not be. */
static void items_that_mix(void **state)
{
    OXP_UNUSED(state);
    static const char *const methods[] = {"saliency", "integrated-gradients"};
    test_net *t = test_toy_open("ask_batch_mean");
    const oxp_tensor x = test_toy_array(t, "ask_batch_mean", "input__x");
    for (size_t m = 0; m < 2; m++) {
        const oxp_explanation e =
            test_explain(t, &(test_ask){.method = methods[m], .target = 1}, &x, 1);
        assert_int_equal(e.n_items, 2);
        assert_true(test_has_note(&e, "one by one"));
        for (int64_t i = 0; i < 6; i++)
            assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, i)) < 1e-12);
        assert_true(fabs(e.items[0].score) < 1e-12);
    }
    test_net_close(t);
    t = test_toy_open("ask_batch_mean_fixed");
    const oxp_tensor two = test_toy_array(t, "ask_batch_mean_fixed", "input__x");
    test_explain_fails(t, &(test_ask){.method = "saliency"}, &two, 1, OXP_EUNSUPPORTED);
    assert_non_null(strstr(t->error.message, "influence each other"));
    test_net_close(t);
}

/* A model of one item, given three: each as if alone. */
static void models_of_one_item(void **state)
{
    OXP_UNUSED(state);
    static const char *const models[] = {"ask_one_at_a_time", "oracle_conv"};
    for (size_t m = 0; m < 2; m++) {
        test_net *t = test_toy_open(models[m]);
        const oxp_tensor x = test_toy_array(t, models[m], "input__x");
        const int64_t n = oxp_shape_elements(&x.shape);
        oxp_shape three = x.shape;
        three.dim[0] = 3;
        double *all = OXP_NEW(t->arena, double, 3 * n);
        for (int64_t i = 0; i < 3 * n; i++)
            all[i] = oxp_tensor_get(&x, i % n) * (1.0 + 0.5 * (double)(i / n));
        const oxp_tensor batch = {OXP_F64, three, all};
        for (int fused = 0; fused < 2; fused++) {
            const test_ask ask = {.method = "input-x-gradient", .target = 1, .fused = fused == 1};
            const oxp_explanation together = test_explain(t, &ask, &batch, 1);
            assert_int_equal(together.n_items, 3);
            for (int64_t k = 0; k < 3; k++) {
                const oxp_tensor item = {OXP_F64, x.shape, all + k * n};
                const oxp_explanation alone = test_explain(t, &ask, &item, 1);
                for (int64_t i = 0; i < n; i++)
                    assert_true(fabs(oxp_tensor_get(&together.maps[0].raw, k * n + i) -
                                     oxp_tensor_get(&alone.maps[0].raw, i)) < 1e-5);
            }
        }
        test_net_close(t);
    }
}

/* Without a batch axis all inputs are one item, however long their first axis. */
static void models_without_a_batch(void **state)
{
    OXP_UNUSED(state);
    static const double w[3][2] = {{1, 2}, {3, -1}, {0.5, 4}};
    test_net *t = test_toy_open("ask_time_major");
    const oxp_tensor x = test_toy_array(t, "ask_time_major", "input__x");
    for (int64_t steps = 2; steps <= 4; steps += 2) { /* 2 steps: as many as classes */
        const oxp_tensor part = {x.dtype, oxp_shape_of(2, (const int64_t[]){steps, 3}), x.data};
        const oxp_explanation e =
            test_explain(t, &(test_ask){.method = "saliency", .target = 1}, &part, 1);
        assert_int_equal(e.n_items, 1);
        assert_int_equal(e.classes, 2);
        for (int64_t i = 0; i < 3 * steps; i++)
            assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, i) - w[i % 3][1] / (double)steps) <
                        1e-12);
    }
    test_net_close(t);
    t = test_toy_open("ask_unbatched_picture");
    const oxp_tensor in[2] = {test_toy_array(t, "ask_unbatched_picture", "input__x"),
                              test_toy_array(t, "ask_unbatched_picture", "input__s")};
    const oxp_tensor out = test_toy_array(t, "ask_unbatched_picture", "output__logits");
    const double want = oxp_tensor_get(&out, 2); /* linear in s, and in x */
    static const char *const methods[] = {"input-x-gradient", "integrated-gradients"};
    for (size_t m = 0; m < 2; m++) {
        /* along the line to zero both change: the integral of 2 a is shared equally */
        const double share = m ? 0.5 : 1.0;
        const oxp_explanation e =
            test_explain(t, &(test_ask){.method = methods[m], .target = 2}, in, 2);
        assert_int_equal(e.n_items, 1);
        assert_true(oxp_shape_equal(&e.maps[0].raw.shape, &in[0].shape));
        assert_int_equal(e.maps[1].raw.shape.rank, 0);
        double sum = 0.0;
        for (int64_t i = 0; i < 18; i++) sum += oxp_tensor_get(&e.maps[0].raw, i);
        assert_true(fabs(sum - share * want) < 1e-6);
        assert_true(fabs(oxp_tensor_get(&e.maps[1].raw, 0) - share * want) < 1e-6);
    }
    test_net_close(t);
}

/* ---- data that decides shapes ---- */

static void count_compiles(const char *topic, const char *line, void *user)
{
    OXP_UNUSED(line);
    *(int *)user += strcmp(topic, "compile") == 0;
}

static oxp_tensor ints(test_net *t, int rank, const int64_t *dims, const int64_t *data)
{
    const oxp_shape shape = oxp_shape_of(rank, dims);
    oxp_tensor out;
    assert_int_equal(oxp_tensor_new(&t->ctx, t->arena, OXP_I64, &shape, &out), OXP_OK);
    memcpy((void *)(uintptr_t)out.data, data, oxp_tensor_bytes(&out));
    return out;
}

/* Rows of 3, then of 2: the shape is guarded, another one compiles again, the old data is not
 * looked at any more (it is overwritten here). */
static void data_decides_a_shape(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_toy_open("ask_shape_input");
    int compiles = 0;
    t->ctx.log = count_compiles;
    t->ctx.log_user = &compiles;
    oxp_tensor in[2] = {test_toy_array(t, "ask_shape_input", "input__x"),
                        ints(t, 1, (const int64_t[]){2}, (const int64_t[]){2, 3})};
    const oxp_settings set = {.method = &oxp_method_saliency, .double_precision = true};
    const oxp_target last = {OXP_TARGET_CLASS, 1}, none = {OXP_TARGET_TOP, 1};
    oxp_session *s;
    oxp_explanation e;
    assert_int_equal(oxp_session_new(&t->ctx, &t->net, &set, &s), OXP_OK);
    assert_int_equal(oxp_session_explain(&t->ctx, s, t->arena, in, 2, last, none, &e), OXP_OK);
    assert_int_equal(e.classes, 2);
    test_close_to(&e.maps[0].raw, (const double[]){0, 0, 0, 1, 1, 1}, 6, 1e-12, "two rows");
    const int first = compiles;
    assert_int_equal(oxp_session_explain(&t->ctx, s, t->arena, in, 2, last, none, &e), OXP_OK);
    assert_int_equal(compiles, first);
    memcpy((void *)(uintptr_t)in[1].data, (const int64_t[]){3, 2}, 2 * sizeof(int64_t));
    assert_int_equal(oxp_session_explain(&t->ctx, s, t->arena, in, 2, last, none, &e), OXP_OK);
    assert_true(compiles > first);
    assert_int_equal(e.classes, 3);
    test_close_to(&e.maps[0].raw, (const double[]){0, 0, 1, 1, 0, 0}, 6, 1e-12, "three rows");
    oxp_session_free(s);
    test_net_close(t);
}

/* A scalar count: logits = x (0 + 1 + ... + n-1); a batch shares it. */
static void data_decides_a_length(void **state)
{
    OXP_UNUSED(state);
    static const char *const methods[] = {"saliency", "integrated-gradients", "occlusion"};
    test_net *t = test_toy_open("ask_count_input");
    oxp_tensor in[2] = {test_toy_array(t, "ask_count_input", "input__x"),
                        ints(t, 0, NULL, (const int64_t[]){5})};
    for (size_t m = 0; m < 3; m++) {
        const oxp_explanation e =
            test_explain(t, &(test_ask){.method = methods[m], .target = 2}, in, 2);
        assert_int_equal(e.n_items, 2);
        for (int64_t i = 0; i < 6; i++) {
            const double want = i % 3 == 2 ? 10.0 * (m ? oxp_tensor_get(&in[0], i) : 1.0) : 0.0;
            assert_true(fabs(oxp_tensor_get(&e.maps[0].raw, i) - want) < 1e-9);
        }
    }
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spaces_of_softmax),      cmocka_unit_test(spaces_of_one_sigmoid),
        cmocka_unit_test(spaces_of_scores),       cmocka_unit_test(elements_and_sums),
        cmocka_unit_test(ranks_and_runners_up),   cmocka_unit_test(classes_with_ones_behind),
        cmocka_unit_test(dense_classes_are_sums), cmocka_unit_test(items_that_mix),
        cmocka_unit_test(models_of_one_item),     cmocka_unit_test(models_without_a_batch),
        cmocka_unit_test(data_decides_a_shape),   cmocka_unit_test(data_decides_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
