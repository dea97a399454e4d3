/* test_axioms.c - what the literature asks of attributions, for every method of the table that does not
 * say otherwise: what has no influence gets nothing (dummy), sums of functions give sums of maps
 * (linearity), one function has one map however it is written (implementation invariance), classes
 * have maps of their own (class sensitivity), and optimisation changes nothing.
 *
 * Each axiom lists the methods that are known to break it, with the reason; a new method is held to all
 * of them. Completeness is in test_properties.c, test_deeplift.c and test_lrp.c. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct exception {
    const char *method, *reason;
} exception;

static bool is_exempt(const exception *list, size_t n, const oxp_method *m)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].method, m->info.name) == 0) return true;
    return false;
}

/* Small numbers of samples and steps; signed maps of layers. */
static void fill_ask(const oxp_method *m, test_ask *ask)
{
    static const char *const settings[][2] = {
        {"samples", "samples=3"}, {"steps", "steps=9"},       {"relu", "relu=false"},
        {"side", "side=24"},      {"epsilon", "epsilon=0.1"}, {"components", "components=1"}};
    size_t n = 0;
    ask->method = m->info.name;
    for (size_t i = 0; i < OXP_COUNT(settings); i++)
        if (oxp_param_known(&(oxp_params){.method = m}, settings[i][0]))
            ask->params[n++] = settings[i][1];
    if (oxp_param_known(&(oxp_params){.method = m}, "variant") && strstr(m->info.name, "++"))
        ask->params[n++] = m == &oxp_method_smooth_grad_cam_pp ? "variant=torchcam" : "variant=pgc";
}

/* False when the method does not apply to the net: no layer, no positions, no attention. */
static bool try_explain(test_net *t, const test_ask *ask, const oxp_tensor *x, oxp_explanation *e)
{
    const oxp_status status = test_try_explain(t, ask, x, 1, e);
    if (status != OXP_OK && status != OXP_EINVAL && status != OXP_EUNSUPPORTED)
        fail_msg("%s: status %d: %s", ask->method, (int)status, t->error.message);
    return status == OXP_OK;
}

/* ---- dummy ---- */

/* Feature 1 of the table and channel 1 of the picture meet only weights of zero. */
static const char table_net[] =
    "input %x:f32(1,3) \"x\"\nconst %w:f32(3,4) = [1,-2,0.5,1, 0,0,0,0, 2,1,-1,0.5]\n"
    "const %b:f32(4) = [0.1,-0.2,0.3,0]\nconst %v:f32(4,2) = [1,-1,2,0.5,-1,1,0.5,1]\n"
    "%m = MatMul(%x, %w)\n%h = Add(%m, %b)\n%r = Relu(%h)\n%out \"out\" = MatMul(%r, %v)\n"
    "output %out\n";
static const char picture_net[] =
    "input %x:f32(1,2,4,4) \"x\"\n"
    "const %w:f32(2,2,2,2) = [1,-1,2,0.5, 0,0,0,0, -1,1,0.5,2, 0,0,0,0]\n"
    "const %b:f32(2) = [0.1,-0.1]\nconst %v:f32(2,2) = [1,-1,-0.5,2]\n"
    "%c \"conv\" = Conv(%x, %w, %b)\n%r \"relu\" = Relu(%c)\n%p = GlobalAveragePool(%r)\n"
    "%f = Flatten(%p) {axis=1}\n%q = Mul(%f, %f)\n%out \"out\" = MatMul(%q, %v)\noutput %out\n";

static const exception no_dummy[] = {
    {"random", "a control"},
    {"sobel", "a control"},
    {"constant", "a control"},
    {"fullgrad", "shares of biases are spread over positions"},
    {"xrai", "a region's value stands for all channels"},
    {"occlusion", "in pictures: a window covers all channels"},
    {"feature-ablation", "likewise: a patch"},
    {"contrastive-erasure", "likewise"},
};
enum { OF_CHANNELS = 3 }; /* the last ones: only among channels */

/* How many methods were held to the axiom; elements [from, to) are the dummy's. */
static size_t check_dummy(test_net *t, const oxp_tensor *x, int64_t from, int64_t to)
{
    size_t count = 0;
    for (size_t k = 0; k < oxp_methods_count(); k++) {
        const oxp_method *m = oxp_methods_at(k);
        test_ask ask = {.target = 1};
        oxp_explanation e;
        const size_t exempt = OXP_COUNT(no_dummy) - (x->shape.rank == 2 ? OF_CHANNELS : 0);
        if ((m->flags & OXP_METHOD_LAYER) || is_exempt(no_dummy, exempt, m)) continue;
        fill_ask(m, &ask);
        if (!try_explain(t, &ask, x, &e)) continue;
        double most = 0.0;
        for (int64_t i = 0; i < oxp_shape_elements(&e.maps[0].raw.shape); i++) {
            const double v = fabs(oxp_tensor_get(&e.maps[0].raw, i));
            if (i >= from && i < to && !(v <= 1e-12))
                fail_msg("%s: element %lld has no influence, but %g", ask.method, (long long)i, v);
            most = fmax(most, v);
        }
        if (!(most > 1e-9)) fail_msg("%s: nothing has any influence", ask.method);
        count++;
    }
    return count;
}

static void dummies_get_nothing(void **state)
{
    OXP_UNUSED(state);
    double pixels[32];
    for (int i = 0; i < 32; i++) pixels[i] = 0.3 + 0.1 * (i % 5) - 0.05 * (i % 3);
    test_net *t = test_net_text(table_net);
    const oxp_tensor row = test_array(t, 2, (const int64_t[]){1, 3}, (const double[]){1, 2, 0.7});
    assert_true(check_dummy(t, &row, 1, 2) > 14);
    test_net_close(t);
    t = test_net_text(picture_net);
    const oxp_tensor x = test_array(t, 4, (const int64_t[]){1, 2, 4, 4}, pixels);
    assert_true(check_dummy(t, &x, 16, 32) > 14);
    test_net_close(t);
}

/* ---- linearity ---- */

/* Three scores: f, g and 2 f - 3 g, curved in x. */
static const char sums_net[] =
    "input %x:f32(1,2,4,4) \"x\"\nconst %w:f32(3,2,2,2) = "
    "[1,-1,2,0.5, 0.5,1,-1,0.25, -1,1,0.5,2, 1,0.5,-0.5,-1, 0.5,-1,1,1, -2,1,0.5,0.25]\n"
    "const %b:f32(3) = [0.1,-0.1,0.2]\nconst %v:f32(3,2) = [1,-1,0.5,2,-1,1]\n"
    "const %s:f32(2,3) = [1,0,2, 0,1,-3]\n%c \"conv\" = Conv(%x, %w, %b)\n"
    "%r \"relu\" = Relu(%c)\n%p = GlobalAveragePool(%r)\n%f = Flatten(%p) {axis=1}\n"
    "%q = Mul(%f, %f)\n%y = MatMul(%q, %v)\n%out \"out\" = MatMul(%y, %s)\noutput %out\n";

static const char *const linear_methods[] = {
    "saliency",      "input-x-gradient",     "deeplift",    "deeplift-shap",
    "smoothgrad",    "integrated-gradients", "blur-ig",     "expected-gradients",
    "gradient-shap", "internal-influence",   "conductance", "gradient-x-activation",
    "occlusion",     "feature-ablation",     "grad-cam",    "hirescam",
};

static void maps_of_sums_are_sums(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text(sums_net);
    double pixels[32];
    for (int i = 0; i < 32; i++) pixels[i] = 0.3 * (i % 7) - 0.2 * (i % 4);
    const oxp_tensor x = test_array(t, 4, (const int64_t[]){1, 2, 4, 4}, pixels);
    for (size_t k = 0; k < OXP_COUNT(linear_methods); k++) {
        const oxp_method *m = oxp_methods_find(linear_methods[k]);
        oxp_explanation e[3];
        double most = 0.0;
        for (int64_t c = 0; c < 3; c++) {
            test_ask ask = {.target = c};
            fill_ask(m, &ask);
            e[c] = test_explain(t, &ask, &x, 1);
        }
        for (int64_t i = 0; i < oxp_shape_elements(&e[0].maps[0].raw.shape); i++) {
            const double want = 2.0 * oxp_tensor_get(&e[0].maps[0].raw, i) -
                                3.0 * oxp_tensor_get(&e[1].maps[0].raw, i);
            const double got = oxp_tensor_get(&e[2].maps[0].raw, i);
            if (!(fabs(got - want) <= 1e-9 * (1.0 + fabs(want))))
                fail_msg("%s: 2 f - 3 g has %.12g at %lld, expected %.12g", linear_methods[k], got,
                         (long long)i, want);
            most = fmax(most, fabs(want));
        }
        assert_true(most > 1e-6);
    }
    test_net_close(t);
}

/* ---- implementation invariance ---- */

/* x W + b with W = A B in one product and in two (the bias keeps kinks away from the baseline); relu(z) as it is and as z + relu(-z). */
static const char short_net[] =
    "input %x:f32(1,3) \"x\"\nconst %w:f32(3,2) = [1,3, 0.5,-1, -2,1.5]\n"
    "const %v:f32(2,2) = [1,-2,0.5,1]\nconst %b:f32(2) = [0.3,-0.2]\n"
    "%y = MatMul(%x, %w)\n%z = Add(%y, %b)\n%h = Relu(%z)\n"
    "%out \"out\" = MatMul(%h, %v)\noutput %out\n";
static const char long_net[] =
    "input %x:f32(1,3) \"x\"\nconst %a:f32(3,2) = [1,1, 0.5,-2, -2,5.5]\n"
    "const %c:f32(2,2) = [1,2, 0,1]\nconst %v:f32(2,2) = [1,-2,0.5,1]\n"
    "%p = MatMul(%x, %a)\nconst %b:f32(2) = [0.3,-0.2]\n"
    "%y = MatMul(%p, %c)\n%z = Add(%y, %b)\n%n = Neg(%z)\n%m = Relu(%n)\n"
    "%h = Add(%z, %m)\n%out \"out\" = MatMul(%h, %v)\noutput %out\n";

static const char *const invariant_methods[] = {
    "saliency",           "input-x-gradient",   "integrated-gradients",
    "guided-ig",          "expected-gradients", "gradient-shap",
    "smoothgrad",         "smoothgrad-squared", "vargrad",
    "occlusion",          "feature-ablation",   "contrastive-gradient",
    "contrastive-erasure"};

static void one_function_one_map(void **state)
{
    OXP_UNUSED(state);
    static const double points[][3] = {{1, 2, 0.5}, {-1, 0.5, 2}, {0.3, -2, 1}};
    test_net *a = test_net_text(short_net), *b = test_net_text(long_net);
    for (size_t p = 0; p < OXP_COUNT(points); p++)
        for (size_t k = 0; k < OXP_COUNT(invariant_methods); k++) {
            test_ask ask = {.target = 1};
            fill_ask(oxp_methods_find(invariant_methods[k]), &ask);
            const oxp_tensor x = test_array(a, 2, (const int64_t[]){1, 3}, points[p]);
            const oxp_explanation one = test_explain(a, &ask, &x, 1),
                                  two = test_explain(b, &ask, &x, 1);
            test_close(&two.maps[0].raw, &one.maps[0].raw, 1e-9, ask.method);
        }
    test_net_close(a);
    test_net_close(b);
}

/* ---- class sensitivity, optimisation ---- */

static const exception classless[] = {
    {"activation", "the layer itself"},
    {"eigencam", "of activations alone"},
    {"kpca-cam", "likewise"},
    {"fem", "likewise"},
    {"random-cam", "random weights"},
    {"feature-factorization", "of activations: the class orders the concepts"},
    {"attention", "of activations alone"},
    {"attention-rollout", "likewise"},
    {"value-zeroing", "likewise"},
    {"random", "a control"},
    {"sobel", "a control"},
    {"constant", "a control"},
};

static const struct {
    const char *model, *input;
} classifiers[] = {
    {"tests/data/toy/cnn1d.onnx", "tests/data/toy/cnn1d.io/input__x.npy"},
    {"tests/data/toy/cnn2d.onnx", "tests/data/toy/cnn2d.io/input__x.npy"},
    {"tests/data/toy/composite_attention__both.onnx",
     "tests/data/toy/composite_attention__both.io/input__x.npy"},
};

static void classes_have_their_own_maps(void **state)
{
    OXP_UNUSED(state);
    size_t count = 0;
    for (size_t n = 0; n < OXP_COUNT(classifiers); n++) {
        test_net *t = test_net_open(classifiers[n].model);
        const oxp_tensor x = test_items(test_npy(t, classifiers[n].input), 0, 1);
        for (size_t k = 0; k < oxp_methods_count(); k++) {
            const oxp_method *m = oxp_methods_at(k);
            oxp_explanation a, b;
            test_ask ask = {.target = 0, .fused = true};
            fill_ask(m, &ask);
            if (!try_explain(t, &ask, &x, &a)) continue;
            ask.target = 1;
            b = test_explain(t, &ask, &x, 1);
            double most = 0.0, apart = 0.0;
            for (int64_t i = 0; i < oxp_shape_elements(&a.maps[0].raw.shape); i++) {
                const double v = oxp_tensor_get(&a.maps[0].raw, i);
                most = fmax(most, fabs(v));
                apart = fmax(apart, fabs(v - oxp_tensor_get(&b.maps[0].raw, i)));
            }
            const bool free = is_exempt(classless, OXP_COUNT(classless), m);
            if (free ? apart > 1e-6 * most : !(apart > 1e-4 * most))
                fail_msg("%s on %s: maps of two classes are %g of the maximum apart", ask.method,
                         classifiers[n].model, apart / most);
            count++;
        }
        test_net_close(t);
    }
    assert_true(count > 100);
}

static void optimisation_changes_nothing(void **state)
{
    OXP_UNUSED(state);
    size_t count = 0;
    for (size_t n = 0; n < OXP_COUNT(classifiers); n++) {
        test_net *t = test_net_open(classifiers[n].model);
        const oxp_tensor x = test_items(test_npy(t, classifiers[n].input), 0, 1);
        for (size_t k = 0; k < oxp_methods_count(); k++) {
            const oxp_method *m = oxp_methods_at(k);
            oxp_explanation on, off;
            test_ask ask = {.target = 1, .fused = true};
            char what[256];
            fill_ask(m, &ask);
            const bool works = try_explain(t, &ask, &x, &on);
            ask.no_optimise = true;
            if (try_explain(t, &ask, &x, &off) != works)
                fail_msg("%s on %s: refused with or without optimisation, not both: %s", ask.method,
                         classifiers[n].model, t->error.message);
            if (!works) continue;
            snprintf(what, sizeof what, "%s on %s", ask.method, classifiers[n].model);
            /* differences of derivatives, and denominators near zero, cancel digits */
            const bool cancels =
                m == &oxp_method_shapley_cam || m == &oxp_method_smooth_grad_cam_pp;
            test_close(&off.maps[0].raw, &on.maps[0].raw, cancels ? 1e-3 : 1e-5, what);
            count++;
        }
        test_net_close(t);
    }
    assert_true(count > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dummies_get_nothing),
        cmocka_unit_test(maps_of_sums_are_sums),
        cmocka_unit_test(one_function_one_map),
        cmocka_unit_test(classes_have_their_own_maps),
        cmocka_unit_test(optimisation_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
