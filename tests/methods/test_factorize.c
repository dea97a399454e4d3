/* test_factorize.c - deep feature factorization: a layer of rank one and two worked out by hand, and what
 * holds for every layer. */
#include "net.h"

#include <math.h>
#include <string.h>

/* A = relu(x), three channels at 2 x 2; the score is 1 2 -1 times the means of the channels. */
static const char net[] =
    "input %x:f32(1,3,2,2) \"x\"\n%a \"a\" = Relu(%x)\n%p = GlobalAveragePool(%a)\n"
    "%f = Flatten(%p) {axis=1}\nconst %w:f32(3,1) = [1,2,-1]\n%out \"out\" = MatMul(%f, %w)\n"
    "output %out\n";

/* A = m b': m = (0, 1, 2, 4) and b = (1, 2, 3), so W = m / 4 and the concept 4 b with the score 4 + 16 - 12. */
static void rank_one(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text(net);
    const oxp_tensor x = test_array(t, 4, (const int64_t[]){1, 3, 2, 2},
                                    (const double[]){0, 1, 2, 4, 0, 2, 4, 8, 0, 3, 6, 12});
    for (int fused = 0; fused < 2; fused++) {
        const test_ask ask = {.method = "feature-factorization",
                              .params = {"components=1"},
                              .layers = {"a"},
                              .fused = fused == 1};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        assert_int_equal(e.maps[0].raw.shape.rank, 4);
        assert_int_equal(e.maps[0].raw.shape.dim[1], 1);
        test_close_to(&e.maps[0].raw, (const double[]){0, 0.25, 0.5, 1}, 4, fused ? 1e-5 : 1e-9,
                      "W");
        test_close_to(&e.maps[0].map, (const double[]){0, 0.25, 0.5, 1}, 4, 1e-6, "map");
        const char *note = NULL;
        for (size_t i = 0; i < e.n_notes; i++)
            if (strstr(e.notes[i], "concepts by their score")) note = e.notes[i];
        assert_non_null(note);
        assert_non_null(strstr(note, "target: 8 ("));
    }
    test_net_close(t);
}

/* Two concepts at positions of their own: (1, 0, 3) at the first two, twice as strong at the second, (0, 2, 0)
 * at the third. Scores 2 - 6 = -4 and 4: the second comes first. */
static void rank_two(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text(net);
    const oxp_tensor x = test_array(t, 4, (const int64_t[]){1, 3, 2, 2},
                                    (const double[]){1, 2, 0, 0, 0, 0, 2, 0, 3, 6, 0, 0});
    test_ask ask = {.method = "feature-factorization", .params = {"components=2"}, .layers = {"a"}};
    oxp_explanation e = test_explain(t, &ask, &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){0, 0, 1, 0, 0.5, 1, 0, 0}, 8, 1e-6, "W");
    test_close_to(&e.maps[0].map, (const double[]){0, 0, 1, 0}, 4, 1e-6, "first concept");
    ask.params[1] = "component=1";
    e = test_explain(t, &ask, &x, 1);
    test_close_to(&e.maps[0].map, (const double[]){0.5, 1, 0, 0}, 4, 1e-6, "second concept");
    ask.params[1] = "component=2";
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "no component 2"));
    test_net_close(t);
}

/* Nothing negative, the largest of each map is 1, items by themselves, maps at the input's resolution. */
static void any_layer(void **state)
{
    OXP_UNUSED(state);
    static const char *const nets[][2] = {
        {"cnn1d", "relu2"}, {"cnn2d", "conv1"}, {"cnn3d", "relu3"}};
    for (size_t k = 0; k < OXP_COUNT(nets); k++) {
        test_net *t = test_toy_open(nets[k][0]);
        oxp_tensor x = test_toy_array(t, nets[k][0], "input__x");
        const test_ask ask = {.method = "feature-factorization",
                              .params = {"components=3"},
                              .layers = {nets[k][1]},
                              .target = 1};
        const oxp_explanation both = test_explain(t, &ask, &x, 1);
        const int64_t n = oxp_shape_elements(&both.maps[0].raw.shape) / x.shape.dim[0],
                      cells = n / both.maps[0].raw.shape.dim[1];
        for (int64_t i = 0; i < n * x.shape.dim[0]; i += cells) {
            double most = 0.0;
            for (int64_t c = 0; c < cells; c++) {
                const double v = oxp_tensor_get(&both.maps[0].raw, i + c);
                assert_true(v >= 0.0 && v <= 1.0 + 1e-12);
                most = fmax(most, v);
            }
            assert_true(most <= 0.0 || fabs(most - 1.0) < 1e-12);
        }
        assert_int_equal(both.maps[0].map.shape.rank, x.shape.rank - 1);
        for (int a = 2; a < x.shape.rank; a++)
            assert_int_equal(both.maps[0].map.shape.dim[a - 1], x.shape.dim[a]);
        x.shape.dim[0] = 1;
        const oxp_explanation one = test_explain(t, &ask, &x, 1);
        oxp_tensor first = both.maps[0].raw;
        first.shape.dim[0] = 1;
        test_close(&first, &one.maps[0].raw, 1e-9, nets[k][0]);
        test_net_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rank_one), cmocka_unit_test(rank_two),
                                       cmocka_unit_test(any_layer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
