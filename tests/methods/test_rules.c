/* test_rules.c - which rule goes where: relevance rules by the name of a layer, and rectifiers that are
 * rounded off. */
#include "net.h"

#include <math.h>
#include <string.h>

#define TOY "tests/data/toy/"

/* Rules by name: of a node, of its output, of the sum with its bias, by pattern; the first that fits. */
static void rules_by_name(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *param;
        double want[3];
    } cases[] = {
        {"names=linear=pass", {24, 36, 36}},
        {"names=MatMul_linear=pass", {24, 36, 36}},
        {"names=lin*=pass;*=zero", {24, 36, 36}},
        {"names=l?near=zplus;out=zplus", {12, 33.6, 50.4}},
        {"names=*=zplus", {12, 33.6, 50.4}},
        {"names=linear=gamma(0)", {-1, 0, 0}}, /* as the epsilon rule */
    };
    test_net *t = test_net_open(TOY "lrp_negative.onnx");
    const oxp_tensor x = test_npy(t, TOY "lrp_negative.io/input__x.npy");
    const test_ask zero = {.method = "lrp", .params = {"rule=zero", "stabiliser=0"}};
    const oxp_explanation plain = test_explain(t, &zero, &x, 1);
    for (size_t k = 0; k < OXP_COUNT(cases); k++)
        for (int fused = 0; fused < 2; fused++) {
            test_ask ask = zero;
            ask.params[2] = cases[k].param;
            ask.fused = fused == 1;
            const oxp_explanation e = test_explain(t, &ask, &x, 1);
            if (cases[k].want[0] < 0)
                test_close(&e.maps[0].raw, &plain.maps[0].raw, fused ? 1e-5 : 1e-9, ask.params[2]);
            else
                test_close_to(&e.maps[0].raw, cases[k].want, 3, fused ? 1e-5 : 1e-9, ask.params[2]);
        }
    test_ask ask = zero;
    ask.params[2] = "names=linaer=pass";
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "no layer with weights is called 'linaer'"));
    ask.params[2] = "names=linear";
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    ask.params[2] = "names=linear=gama";
    test_explain_fails(t, &ask, &x, 1, OXP_EINVAL);
    assert_non_null(strstr(t->error.message, "names is a list like"));
    test_net_close(t);
}

/* y = relu(x w) v: R sigmoid(beta z) at the rectifier, then x w / z of it. */
static void smooth_rectifiers(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text("input %x:f32(1,2) \"x\"\nconst %w:f32(2,2) = [1,-1,0.5,0.25]\n"
                                "const %v:f32(2,1) = [2,3]\n%z = MatMul(%x, %w)\n%h = Relu(%z)\n"
                                "%out \"out\" = MatMul(%h, %v)\noutput %out\n");
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 2}, (const double[]){0.3, 0.4});
    const double z[2] = {0.3 + 0.2, -0.3 + 0.1},
                 s[2] = {1 / (1 + exp(-2 * z[0])), 1 / (1 + exp(-2 * z[1]))};
    for (int fused = 0; fused < 2; fused++) {
        test_ask ask = {.method = "lrp",
                        .params = {"rule=zero", "relu=beta-smooth", "beta-smooth=2"},
                        .fused = fused == 1};
        oxp_explanation e = test_explain(t, &ask, &x, 1);
        /* R = 2 z at unit 0; unit 1 is off and gets nothing from above */
        test_close_to(&e.maps[0].raw, (const double[]){2 * 0.3 * s[0], 2 * 0.2 * s[0]}, 2,
                      fused ? 1e-5 : 1e-7, "relevance");
        ask = (test_ask){.method = "beta-smooth", .params = {"beta=2"}, .fused = fused == 1};
        e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, (const double[]){2 * s[0] - 3 * s[1], s[0] + 0.75 * s[1]}, 2,
                      fused ? 1e-5 : 1e-7, "gradient"); /* 0.3 is stored as it is */
        assert_int_equal(e.n_touched, 1);
        assert_string_equal(e.touched[0].rule, "beta-smooth");
        ask.params[0] = "beta=1e5"; /* nearly a step */
        e = test_explain(t, &ask, &x, 1);
        const oxp_explanation gradient =
            test_explain(t, &(test_ask){.method = "saliency", .fused = fused == 1}, &x, 1);
        test_close(&e.maps[0].raw, &gradient.maps[0].raw, 1e-6, "a sharp one is the gradient");
    }
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_by_name),
                                       cmocka_unit_test(smooth_rectifiers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
