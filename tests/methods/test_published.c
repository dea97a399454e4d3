/* test_published.c - numbers that other projects assert or that follow from their formulas by hand, on
 * nets small enough to be written here: rectifier policies, quadrature rules, weights of channels,
 * products of layers, relevance of a sum.
 *
 * Both executors: the plain one in double to 1e-9, the fused one to 1e-5 of the maximum. */
#include "net.h"

typedef struct number {
    const char *name, *net; /* text form; every input has one shape */
    test_ask ask;
    int64_t dims[5];
    double x[2][16];
    size_t n;           /* of each map; maps beyond the second are not compared */
    double want[2][16]; /* several layers: of the map in front, which joins them */
} number;

#define ROW4         "input %x:f32(1,4) \"x\"\n"
#define ONE          "input %x:f32(1,1) \"x\"\n"
#define TWO          "input %x:f32(1,2) \"x\"\n"
#define SQUARE       ONE "%out \"out\" = Mul(%x, %x)\noutput %out\n"
#define CUBE         ONE "%q = Mul(%x, %x)\n%out \"out\" = Mul(%q, %x)\noutput %out\n"
#define SQUARED_RELU ROW4 "%r = Relu(%x)\n%out \"out\" = Mul(%r, %r)\noutput %out\n"
#define LESS_SQUARED ROW4 "%r = Relu(%x)\n%q = Mul(%r, %r)\n%out \"out\" = Neg(%q)\noutput %out\n"
#define SQUARED_CLIP \
    ROW4 "%r = Clip(%x) {min=0.0 max=3.0}\n%out \"out\" = Mul(%r, %r)\noutput %out\n"
#define TENFOLD ROW4 "%r = Relu(%x)\n%out \"out\" = Mul(%r, 10)\noutput %out\n"
/* relu(relu(x1) - 1 - relu(x2)) of the two columns */
#define BASIC2                                                                              \
    TWO "%r = Relu(%x)\nconst %w:f32(2,1) = [1,-1]\n%s = MatMul(%r, %w)\n%d = Sub(%s, 1)\n" \
        "%out \"out\" = Relu(%d)\noutput %out\n"
#define DOUBLED TWO "const %w:f32(2,1) = [2,1]\n%out \"out\" = MatMul(%x, %w)\noutput %out\n"
/* half the sum of squares: the gradient at the layer is the layer */
#define OWN_GRADIENT                                                       \
    "input %x:f32(1,4,2,2) \"x\"\n%a \"a\" = Relu(%x)\n%q = Mul(%a, %a)\n" \
    "%s = ReduceSum(%q) {axes=[1,2,3] keepdims=0}\n%t = Mul(%s, 0.5)\n"    \
    "%out \"out\" = Reshape(%t) {shape=[1,1]}\noutput %out\n"
/* two layers a = x and b = 3 - x, both with gradient 1 everywhere */
#define TWO_LAYERS                                                                            \
    "input %x:f32(1,1,2,2) \"x\"\n%a \"a\" = Relu(%x)\n%m = Neg(%a)\n%b \"b\" = Add(%m, 3)\n" \
    "%d = Add(%a, %a)\n%c = Add(%d, %b)\n%s = ReduceSum(%c) {axes=[2,3] keepdims=0}\n"        \
    "%out \"out\" = Reshape(%s) {shape=[1,1]}\noutput %out\n"
/* Captum's multi-layer net on the sum of two inputs */
#define ADDED                                                                                   \
    "input %x:f32(1,3) \"x\"\ninput %y:f32(1,3) \"y\"\n"                                        \
    "const %w:f32(3,4) = 1\nconst %b:f32(4) = [-10,1,1,1]\nconst %v:f32(4,2) = 1\n"             \
    "const %c:f32(2) = [-1,1]\n%s \"sum\" = Add(%x, %y)\n%m = MatMul(%s, %w)\n"                 \
    "%h = Add(%m, %b)\n%r = Relu(%h)\n%n = MatMul(%r, %v)\n%out \"out\" = Add(%n, %c)\noutput " \
    "%out\n"
/* the gradient goes through .1 .4 .6 .8 .9 1 .8 at k / 6, straight in between */
#define STAIRS                                                                           \
    ONE "const %w:f32(1,5) = 6\nconst %b:f32(5) = [0,-1,-3,-5,0]\n%m = MatMul(%x, %w)\n" \
        "%h = Add(%m, %b)\n%r = Relu(%h)\n%q = Mul(%r, %r)\n"                            \
        "const %v:f32(5,1) = [3,-1,-1,-3,0]\n%p = MatMul(%q, %v)\n"                      \
        "%c = Div(%p, 120)\n%l = Div(%x, 10)\n%out \"out\" = Add(%c, %l)\noutput %out\n"

#define IG(rule_, steps_)                                                              \
    {                                                                                  \
        .method = "integrated-gradients", .params = { "rule=" rule_, "steps=" steps_ } \
    }
#define POINT \
    {         \
        1, 1  \
    }
#define PAIR \
    {        \
        1, 2 \
    }
#define GUIDED(...)                                      \
    {                                                    \
        .method = "guided-ig", .params = { __VA_ARGS__ } \
    }
#define POLICY(method_)                \
    {                                  \
        .method = method_, .sum = true \
    }

static const number numbers[] = {
    /* xplique: rectifier, then a square or a factor, at (5, 0, -5, 10) */
    {"guided, falling",
     LESS_SQUARED,
     POLICY("guided-backprop"),
     {1, 4},
     {{5, 0, -5, 10}},
     4,
     {{0}}},
    {"deconvnet", SQUARED_RELU, POLICY("deconvnet"), {1, 4}, {{5, 0, -5, 10}}, 4, {{10, 0, 0, 20}}},
    {"deconvnet, clipped",
     SQUARED_CLIP,
     POLICY("deconvnet"),
     {1, 4},
     {{5, 0, -5, 10}},
     4,
     {{6, 0, 0, 6}}},
    {"deconvnet, tenfold",
     TENFOLD,
     POLICY("deconvnet"),
     {1, 4},
     {{5, 0, -5, 10}},
     4,
     {{10, 10, 10, 10}}},
    {"gradient, tenfold",
     TENFOLD,
     POLICY("saliency"),
     {1, 4},
     {{5, 0, -5, 10}},
     4,
     {{10, 0, 0, 10}}},
    /* one number per library's rule and default steps: x^2, x^3 at 1, the two-input net at (3, 1) */
    {"x^2, gauss-legendre", SQUARE, IG("gauss-legendre", "50"), POINT, {{1}}, 1, {{1}}},
    {"x^3, gauss-legendre", CUBE, IG("gauss-legendre", "50"), POINT, {{1}}, 1, {{1}}},
    {"x^2, left", SQUARE, IG("left", "50"), POINT, {{1}}, 1, {{0.98}}},
    {"x^3, left", CUBE, IG("left", "50"), POINT, {{1}}, 1, {{0.9702}}},
    {"x^2, right", SQUARE, IG("right", "50"), POINT, {{1}}, 1, {{1.02}}},
    {"x^3, right", CUBE, IG("right", "50"), POINT, {{1}}, 1, {{1.0302}}},
    {"x^2, middle", SQUARE, IG("middle", "50"), POINT, {{1}}, 1, {{1}}},
    {"x^3, middle", CUBE, IG("middle", "50"), POINT, {{1}}, 1, {{0.9999}}},
    {"x^2, trapezoid", SQUARE, IG("trapezoid", "50"), POINT, {{1}}, 1, {{1}}},
    /* 3 sum of w (k/49)^2 = 1 + 1 / (2 49^2) */
    {"x^3, trapezoid", CUBE, IG("trapezoid", "50"), POINT, {{1}}, 1, {{1 + 0.5 / (49.0 * 49.0)}}},
    {"x^2, Zennit", SQUARE, IG("right", "20"), POINT, {{1}}, 1, {{1.05}}},
    {"x^3, Zennit", CUBE, IG("right", "20"), POINT, {{1}}, 1, {{1.07625}}},
    {"x^2, iNNvestigate", SQUARE, IG("left", "64"), POINT, {{1}}, 1, {{0.984375}}},
    {"x^3, iNNvestigate",
     CUBE,
     IG("left", "64"),
     POINT,
     {{1}},
     1,
     {{(63.0 * 127.0) / (2 * 64.0 * 64.0)}}},
    {"basic2, gauss-legendre",
     BASIC2,
     IG("gauss-legendre", "50"),
     PAIR,
     {{3, 1}},
     2,
     {{1.5, -0.5}}},
    {"basic2, left", BASIC2, IG("left", "50"), PAIR, {{3, 1}}, 2, {{1.44, -0.48}}},
    {"basic2, right", BASIC2, IG("right", "50"), PAIR, {{3, 1}}, 2, {{1.5, -0.5}}},
    {"basic2, middle", BASIC2, IG("middle", "50"), PAIR, {{3, 1}}, 2, {{1.5, -0.5}}},
    {"basic2, trapezoid", BASIC2, IG("trapezoid", "50"), PAIR, {{3, 1}}, 2, {{1.5, -0.5}}},
    {"basic2, Zennit", BASIC2, IG("right", "20"), PAIR, {{3, 1}}, 2, {{1.5, -0.5}}},
    {"basic2, iNNvestigate", BASIC2, IG("left", "64"), PAIR, {{3, 1}}, 2, {{1.453125, -0.484375}}},
    {"basic2, not multiplied",
     BASIC2,
     {.method = "integrated-gradients", .params = {"multiply=false"}},
     PAIR,
     {{3, 1}},
     2,
     {{0.5, -0.5}}},
    /* xplique's trapezoid of seven values: (0.05 + .4 + .6 + .8 + .9 + 1 + .4) / 6 */
    {"trapezoid of values", STAIRS, IG("trapezoid", "7"), POINT, {{1}}, 1, {{4.15 / 6}}},
    /* PAIR's guided IG tests */
    {"guided ig",
     DOUBLED,
     GUIDED("baseline=-1,-3", "steps=10", "fraction=0.1", "max-dist=0.5"),
     PAIR,
     {{10, 5}},
     2,
     {{22, 8}}},
    {"guided ig from zero",
     DOUBLED,
     GUIDED("steps=10", "fraction=0.1", "max-dist=0.5"),
     PAIR,
     {{10, 5}},
     2,
     {{20, 5}}},
    /* xplique's Grad-CAM weights: means of g = A; map = sum of w A, one term per position */
    {"grad-cam weights",
     OWN_GRADIENT,
     {.method = "grad-cam", .layers = {"a"}},
     {1, 4, 2, 2},
     {{1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0.5, 0, 0.5, 0, 0, 0}},
     4,
     {{1 + 0.5 + 0.375 + 0.125 * 0.5, 1 + 0.5, 1 + 0.375 * 0.5, 1}}},
    {"grad-cam++ weights, xplique",
     OWN_GRADIENT,
     {.method = "grad-cam++", .layers = {"a"}, .params = {"variant=xplique"}},
     {1, 4, 2, 2},
     {{1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0.5, 0, 0, 0}},
     4,
     {{1.0 / 3 + 0.2 + 0.5 * 0.125 * 0.25 / (0.5 + 0.125 * 0.125), 1.0 / 3 + 0.2, 1.0 / 3,
       1.0 / 3}}},
    /* torchcam's RefineCAM: maps 0 1 2 3 and 3 2 1 0, each over 3, multiplied */
    {"product of layers",
     TWO_LAYERS,
     {.method = "hirescam", .layers = {"a", "b"}, .params = {"join=product", "upsample=none"}},
     {1, 1, 2, 2},
     {{0, 1, 2, 3}},
     4,
     {{0, 2.0 / 9, 2.0 / 9, 0}}},
    {"refine-cam",
     TWO_LAYERS,
     {.method = "refine-cam", .layers = {"a", "b"}, .params = {"upsample=none"}},
     {1, 1, 2, 2},
     {{0, 1, 2, 3}},
     4,
     {{0, 2.0 / 9, 2.0 / 9, 0}}},
    /* Captum hands all of it to both inputs, 16 x to x and 16 x to 3 x; at the sum it is 16 x, of
     * which each input gets its share */
    {"relevance of a sum",
     ADDED,
     {.method = "lrp", .wrt = {"sum"}, .params = {"epsilon=1e-12", "stabiliser=1e-12"}},
     {1, 3},
     {{1, 2, 3}, {3, 6, 9}},
     3,
     {{16, 32, 48}}},
    {"relevance of summands",
     ADDED,
     {.method = "lrp", .params = {"epsilon=1e-12", "stabiliser=1e-12"}},
     {1, 3},
     {{1, 2, 3}, {3, 6, 9}},
     3,
     {{4, 8, 12}, {12, 24, 36}}},
};

static void check(const number *c, bool fused)
{
    test_net *t = test_net_text(c->net);
    oxp_tensor in[2];
    const size_t n_in = t->net.graph->n_inputs;
    for (size_t i = 0; i < n_in; i++) in[i] = test_numbers(t, c->dims, 5, c->x[i]);
    test_expect(t, c->name, c->ask, fused, in, n_in, c->want, OXP_COUNT(c->want), c->n, 0.0);
    test_net_close(t);
}

static void numbers_plain(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < OXP_COUNT(numbers); i++) check(&numbers[i], false);
}

static void numbers_fused(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < OXP_COUNT(numbers); i++) check(&numbers[i], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_plain),
                                       cmocka_unit_test(numbers_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
