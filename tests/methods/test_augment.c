/* test_augment.c - class activation maps averaged over mirrored and scaled copies of the input: a number
 * worked out by hand, and for every method the mean of what the copies give. */
#include "net.h"

#include <string.h>

static const struct {
    const char *model, *input;
    bool tokens; /* 4 x 4 patches behind a class token */
} kinds[] = {
    {"tests/data/toy/cnn1d.onnx", "tests/data/toy/cnn1d.io/input__x.npy", false},
    {"tests/data/toy/cnn2d.onnx", "tests/data/toy/cnn2d.io/input__x.npy", false},
    {"tests/data/toy/cnn3d.onnx", "tests/data/toy/cnn3d.io/input__x.npy", false},
    {"tests/data/samples/vit_tiny_fashion_mnist.onnx",
     "tests/data/samples/vit_tiny_fashion_mnist.io/input__image.npy", true},
};

/* The divisor when a map is scaled to [0, 1] twice, with 1e-7 added each time. */
static double twice(double range)
{
    return range + 1e-7 * (1e-7 + range);
}

/* A_i = x_i, g = (1, 2, 3, 4), x = (1, 2, 3, 4): the map g x, mirrored input and map g' x with g' = (4, 3, 2,
 * 1); factors are 1 on average. Scaled to [0, 1]: (0, 3, 8, 15) / 15 and (0, 1, 1, 0), but for 1e-7. */
static void copies_are_averaged(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text(
        "input %x:f32(1,1,1,4) \"x\"\n%a \"a\" = Relu(%x)\n%f = Flatten(%a) {axis=1}\n"
        "const %w:f32(4,1) = [1,2,3,4]\n%out \"out\" = MatMul(%f, %w)\noutput %out\n");
    const oxp_tensor x =
        test_array(t, 4, (const int64_t[]){1, 1, 1, 4}, (const double[]){1, 2, 3, 4});
    const double factors[] = {1, 0.9, 1.1};
    double want[4] = {0};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 4; i++) {
            const double m[] = {1, 4, 9, 16}, r[] = {4, 6, 6, 4}, f = factors[k];
            want[i] += f * (m[i] - 1) / twice(f * 15) / 6 + f * (r[i] - 4) / twice(f * 2) / 6;
        }
    for (int fused = 0; fused < 2; fused++) {
        test_ask ask = {
            .method = "hirescam", .layers = {"a"}, .params = {"augment=mean"}, .fused = fused == 1};
        oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, (const double[]){2.5, 5, 7.5, 10}, 4, fused ? 1e-5 : 1e-9,
                      "mean of copies");
        ask.params[0] = "augment=pgc";
        e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, want, 4, fused ? 1e-5 : 1e-9, "mean of scaled copies");
    }
    test_net_close(t);
}

static void mirror_last(double *x, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n / 2; i++) {
            const double v = x[r * n + i];
            x[r * n + i] = x[r * n + n - 1 - i];
            x[r * n + n - 1 - i] = v;
        }
}

/* What augment=mean gives, from six explanations of the copies. */
static void check_copies(test_net *t, const oxp_tensor *x, test_ask ask, bool tokens)
{
    const oxp_explanation plain = test_explain(t, &ask, x, 1);
    const int64_t n = oxp_shape_elements(&x->shape), width = x->shape.dim[x->shape.rank - 1],
                  cells = oxp_shape_elements(&plain.maps[0].raw.shape);
    const oxp_shape *raw = &plain.maps[0].raw.shape;
    const int64_t side = tokens ? 4 : raw->dim[raw->rank - 1];
    double *sum = OXP_NEW(t->arena, double, cells), *copy = OXP_NEW(t->arena, double, n),
           *map = OXP_NEW(t->arena, double, cells);
    ask.top = false;
    ask.target = plain.items[0].target;
    for (int k = 0; k < 6; k++) {
        const double factor = (const double[]){1, 0.9, 1.1}[k / 2];
        for (int64_t i = 0; i < n; i++) copy[i] = factor * oxp_tensor_get(x, i);
        if (k % 2) mirror_last(copy, n / width, width);
        const oxp_tensor changed = {OXP_F64, x->shape, copy};
        const oxp_explanation e = test_explain(t, &ask, &changed, 1);
        for (int64_t i = 0; i < cells; i++) map[i] = oxp_tensor_get(&e.maps[0].raw, i);
        if (k % 2) mirror_last(map, cells / side, side);
        for (int64_t i = 0; i < cells; i++) sum[i] += map[i] / 6.0;
    }
    for (size_t i = 0; i < OXP_COUNT(ask.params); i++)
        if (!ask.params[i]) {
            ask.params[i] = "augment=mean";
            break;
        }
    ask.top = true;
    ask.target = 0;
    const oxp_explanation e = test_explain(t, &ask, x, 1);
    test_close_to(&e.maps[0].raw, sum, (size_t)cells, 1e-9, ask.method);
}

static void every_cam_takes_copies(void **state)
{
    OXP_UNUSED(state);
    size_t count = 0;
    for (size_t k = 0; k < OXP_COUNT(kinds); k++) {
        test_net *t = test_net_open(kinds[k].model);
        const oxp_tensor x = test_items(test_npy(t, kinds[k].input), 0, 1);
        for (size_t i = 0; i < oxp_methods_count(); i++) {
            const oxp_method *m = oxp_methods_at(i);
            const oxp_params declared = {.method = m};
            if (!oxp_param_known(&declared, "augment") || (m == &oxp_method_cam && kinds[k].tokens))
                continue;
            test_ask ask = {.method = m->info.name, .top = true};
            size_t n = 0;
            if (oxp_param_known(&declared, "samples")) ask.params[n++] = "samples=2";
            if (oxp_param_known(&declared, "variant"))
                ask.params[n++] =
                    m == &oxp_method_smooth_grad_cam_pp ? "variant=torchcam" : "variant=pgc";
            if (oxp_param_known(&declared, "top")) ask.params[n++] = "top=2";
            if (oxp_param_known(&declared, "eigen")) ask.params[n++] = "eigen=true";
            check_copies(t, &x, ask, kinds[k].tokens);
            count++;
        }
        test_net_close(t);
    }
    assert_true(count > 60);
    test_net *t = test_toy_open("multi_layer"); /* a table has no mirror image */
    const oxp_tensor x = test_toy_array(t, "multi_layer", "input__x");
    test_explain_fails(t, &(test_ask){.method = "fem", .params = {"augment=mean"}}, &x, 1,
                       OXP_EINVAL);
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies_are_averaged),
                                       cmocka_unit_test(every_cam_takes_copies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
