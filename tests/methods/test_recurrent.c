/* test_recurrent.c - methods whose attributions add up, through an LSTM and a GRU: LRP sees their sums,
 * products and gates step after step, DeepLIFT splits them. Rectifiers inside a cell are rectifiers. */
#include "net.h"

#include "unit/onnx/pb.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FLOAT = 1, STEPS = 3, CELLS = 2 };

static pb weights(const char *name, const char *dims, int n, double phase)
{
    pb t = pb_tensor(name, FLOAT, dims);
    float v[32];
    assert_true(n <= 32);
    for (int i = 0; i < n; i++) v[i] = (float)sin(phase + 1.7 * i);
    pb_bytes(&t, 9, v, (size_t)n * sizeof *v);
    return t;
}

/* x (1,3,2) -> the last state, through a dense layer without bias -> y (1,2) */
static test_net *open_net(const char *op, const char *w_dims, int gates)
{
    static pb model; /* the weights are views into it */
    pb g = {.n = 0};
    oxp_error error;
    const int64_t flat[] = {1, CELLS};
    pb shape = pb_tensor("flat", 7, "2"), perm = pb_attr("perm", 7);
    pb_bytes(&shape, 9, flat, sizeof flat);
    pb_int(&perm, 8, 1);
    pb_int(&perm, 8, 0);
    pb_int(&perm, 8, 2);
    pb_add_input(&g, pb_value("x", FLOAT, "132"));
    pb_add_output(&g, pb_value("y", FLOAT, "12"));
    pb_add_init(&g, weights("w", w_dims, gates * CELLS * 2, 0.3));
    pb_add_init(&g, weights("r", w_dims, gates * CELLS * CELLS, 1.1));
    pb_add_init(&g, weights("d", "22", 4, 0.5));
    pb_add_init(&g, shape);
    pb_add_node(&g, pb_node_with(pb_node("Transpose", "x", "steps", ""), perm));
    pb_add_node(&g, pb_node_with(pb_node(op, "steps,w,r", "all,last", "cell"),
                                 pb_attr_int("hidden_size", CELLS)));
    pb_add_node(&g, pb_node("Reshape", "last,flat", "h", ""));
    pb_add_node(&g, pb_node("MatMul", "h,d", "y", ""));
    model = pb_model(&g, 14);
    test_net *t = test_net_bytes(model.data, model.n, &error);
    if (!t) fail_msg("%s", error.message);
    return t;
}

static double total(const oxp_tensor *t)
{
    double sum = 0.0;
    for (int64_t i = 0; i < oxp_shape_elements(&t->shape); i++) sum += oxp_tensor_get(t, i);
    return sum;
}

static double score(test_net *t, const oxp_tensor *x)
{
    oxp_tensor y;
    const oxp_status status = oxp_compute(&t->ctx, &t->net, t->arena, t->net.graph->inputs, x, 1,
                                          t->net.graph->outputs, 1, 1, true, &y);
    if (status != OXP_OK) fail_msg("%s", t->error.message);
    return oxp_tensor_get(&y, 1);
}

/* Without biases, and with (1 - z) of a GRU as a factor of its own: all relevance arrives. */
static void attributions_add_up(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *op, *dims;
        int gates;
    } nets[] = {{"LSTM", "182", 4}, {"RNN", "122", 1}};
    const double data[] = {0.5, -1.0, 0.25, 0.75, -0.4, 1.2}, zeros[6] = {0};
    const int64_t dims[] = {1, STEPS, 2};
    for (size_t k = 0; k < OXP_COUNT(nets); k++) {
        test_net *t = open_net(nets[k].op, nets[k].dims, nets[k].gates);
        const oxp_tensor x = test_array(t, 3, dims, data), none = test_array(t, 3, dims, zeros);
        const double at_x = score(t, &x), at_zero = score(t, &none);
        const test_ask lrp = {
            .method = "lrp", .params = {"attention=cp", "epsilon=1e-12"}, .target = 1};
        const test_ask deeplift = {.method = "deeplift", .target = 1};
        oxp_explanation e = test_explain(t, &lrp, &x, 1);
        assert_true(fabs(total(&e.maps[0].raw) - at_x) <= 1e-4 * fabs(at_x));
        e = test_explain(t, &deeplift, &x, 1);
        assert_true(fabs(total(&e.maps[0].raw) - (at_x - at_zero)) <= 1e-9);
        test_net_close(t);
    }
}

static void a_gru_is_explained(void **state)
{
    OXP_UNUSED(state);
    test_net *t = open_net("GRU", "162", 3);
    const double data[] = {0.5, -1.0, 0.25, 0.75, -0.4, 1.2}, zeros[6] = {0};
    const int64_t dims[] = {1, STEPS, 2};
    const oxp_tensor x = test_array(t, 3, dims, data), none = test_array(t, 3, dims, zeros);
    const double change = score(t, &x) - score(t, &none);
    const test_ask deeplift = {.method = "deeplift", .target = 1};
    const test_ask lrp = {.method = "lrp", .target = 1};
    oxp_explanation e = test_explain(t, &deeplift, &x, 1);
    assert_true(fabs(total(&e.maps[0].raw) - change) <= 1e-9);
    e = test_explain(t, &lrp, &x, 1);
    assert_true(isfinite(total(&e.maps[0].raw)) && fabs(total(&e.maps[0].raw)) > 0.0);
    test_net_close(t);
}

/* h = f(x_t W + h R) step after step, in one recurrence or spelt out with one number per step; y = (2 h, -h) */
static test_net *small_cell(bool whole, const char *act)
{
    char text[1024];
    if (whole)
        snprintf(text, sizeof text,
                 "input %%x:f32(1,4) \"x\"\nconst %%r:f32(1,1) \"r\" = [-0.75]\n"
                 "const %%d:f32(1,2) \"d\" = [2,-1]\n%%w = Mul(%%x, 1.5)\n"
                 "%%steps = Reshape(%%w) {shape=[4,1,1]}\n"
                 "%%all, %%last = _Recurrence(%%steps, %%r) {cell=\"RNN\" activations=\"%s\"}\n"
                 "%%h = Reshape(%%last) {shape=[1,1]}\n%%y \"y\" = MatMul(%%h, %%d)\noutput %%y\n",
                 act);
    else {
        size_t n = (size_t)snprintf(text, sizeof text,
                                    "input %%x:f32(1,4) \"x\"\nconst %%d:f32(1,2) \"d\" = [2,-1]\n"
                                    "%%a0 = Slice(%%x) {starts=[0] ends=[1] axes=[1]}\n"
                                    "%%b0 = Mul(%%a0, 1.5)\n%%h0 = %s(%%b0)\n",
                                    act);
        for (int t = 1; t < 4; t++)
            n += (size_t)snprintf(text + n, sizeof text - n,
                                  "%%a%d = Slice(%%x) {starts=[%d] ends=[%d] axes=[1]}\n"
                                  "%%b%d = Mul(%%a%d, 1.5)\n%%c%d = Mul(%%h%d, -0.75)\n"
                                  "%%s%d = Add(%%b%d, %%c%d)\n%%h%d = %s(%%s%d)\n",
                                  t, t, t + 1, t, t, t, t - 1, t, t, t, t, act, t);
        snprintf(text + n, sizeof text - n, "%%y \"y\" = MatMul(%%h3, %%d)\noutput %%y\n");
    }
    return test_net_text(text);
}

static void rectifiers_inside_cells(void **state)
{
    OXP_UNUSED(state);
    static const char *const acts[] = {"Relu", "Softplus", "Tanh"};
    static const struct {
        const char *method;
        bool moves[3]; /* is another map than the gradient */
    } asked[] = {{"guided-backprop", {true, true, false}},
                 {"deconvnet", {true, true, false}},
                 {"beta-smooth", {true, false, false}}};
    const double data[] = {1, 2, 1.5, 2};
    const int64_t dims[] = {1, 4};
    for (size_t k = 0; k < OXP_COUNT(acts) * OXP_COUNT(asked) * 2; k++) {
        const size_t a = k / 2 % OXP_COUNT(acts), m = k / 2 / OXP_COUNT(acts);
        test_net *whole = small_cell(true, acts[a]), *steps = small_cell(false, acts[a]);
        const oxp_tensor x = test_array(whole, 2, dims, data),
                         x2 = test_array(steps, 2, dims, data);
        test_ask ask = {.method = asked[m].method, .params = {"abs=false"}, .fused = k % 2 == 1};
        const oxp_explanation got = test_explain(whole, &ask, &x, 1);
        const oxp_explanation want = test_explain(steps, &ask, &x2, 1);
        test_close(&got.maps[0].raw, &want.maps[0].raw, ask.fused ? 1e-5 : 1e-9, ask.method);
        const oxp_explanation plain =
            test_explain(whole, &(test_ask){.method = "saliency", .fused = ask.fused}, &x, 1);
        double moved = 0.0;
        for (int64_t i = 0; i < 4; i++)
            moved = fmax(moved, fabs(oxp_tensor_get(&got.maps[0].raw, i) -
                                     oxp_tensor_get(&plain.maps[0].raw, i)));
        if ((moved > 1e-5) != asked[m].moves[a])
            fail_msg("%s of %s: %g", ask.method, acts[a], moved);
        test_net_close(whole);
        test_net_close(steps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attributions_add_up),
                                       cmocka_unit_test(a_gru_is_explained),
                                       cmocka_unit_test(rectifiers_inside_cells)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
