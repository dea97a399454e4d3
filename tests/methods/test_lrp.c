/* test_lrp.c - relevance propagation: published numbers on toy nets, every rule against its dense
 * formula computed here in double, conservation, and both executors on small convolutional nets.
 *
 * The dense oracle knows nothing of convolutions: the layer is first written out as a matrix, then
 * the rule is evaluated on the matrix. */
#include "net.h"

#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOY "tests/data/toy/"

/* ---- published numbers ---- */

static void published_numbers(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        const char *name, *params[6];
        size_t n;
        int64_t target;
        double want[8];
    } nets[] = {
        {"lrp_simple", {"rule=zero"}, 3, 0, {18, 36, 54}},
        {"lrp_negative",
         {"first=gamma(1)", "rule=gamma", "gamma=0.25", "variant=captum", "stabiliser=0"},
         3,
         0,
         {28.0 / 3, 104.0 / 3, 52}},
        {"lrp_negative",
         {"rule=alpha-beta", "alpha=1", "beta=0", "variant=captum", "stabiliser=0"},
         3,
         0,
         {12, 33.6, 50.4}},
        {"lrp_negative", {"rule=zplus", "stabiliser=0"}, 3, 0, {12, 33.6, 50.4}},
        {"lrp_negative", {"rule=zero", "first=pass"}, 3, 0, {24, 36, 36}},
        {"lrp_maxpool1d", {"rule=zero"}, 4, 1, {0, 0, 10, 12}},
        {"lrp_maxpool2d", {"rule=zero"}, 4, 0, {0, 0, 0, 6}},
    };
    for (size_t k = 0; k < 2 * OXP_COUNT(nets); k++) {
        const size_t i = k / 2;
        char path[256];
        snprintf(path, sizeof path, TOY "%s.onnx", nets[i].name);
        test_net *t = test_net_open(path);
        snprintf(path, sizeof path, TOY "%s.io/input__x.npy", nets[i].name);
        const oxp_tensor x = test_npy(t, path);
        test_ask ask = {.method = "lrp", .target = nets[i].target, .fused = k % 2 == 1};
        memcpy(ask.params, nets[i].params, sizeof ask.params);
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        test_close_to(&e.maps[0].raw, nets[i].want, nets[i].n, ask.fused ? 1e-5 : 1e-9,
                      nets[i].name);
        test_net_close(t);
    }
}

/* A batch of x and 3 x: relevance is homogeneous without biases, and each item has its own sum. */
static void batches(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open(TOY "lrp_simple.onnx");
    const oxp_tensor x =
        test_array(t, 2, (const int64_t[]){2, 3}, (const double[]){1, 2, 3, 3, 6, 9});
    const oxp_explanation e =
        test_explain(t, &(test_ask){.method = "lrp", .params = {"rule=zero"}}, &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){18, 36, 54, 54, 108, 162}, 6, 1e-9, "batch");
    for (int i = 0; i < 2; i++) {
        const double score = i == 0 ? 108.0 : 324.0;
        assert_true(fabs(e.items[i].expected - score) < 1e-9);
        assert_true(fabs(e.items[i].attributed - score) < 1e-9 && e.items[i].gap < 1e-12);
    }
    test_net_close(t);
}

/* ---- layers as matrices ---- */

enum { MAX_SIDE = 96 };

typedef struct dense {
    size_t in, out;
    double x[MAX_SIDE], w[MAX_SIDE][MAX_SIDE], bias[MAX_SIDE]; /* w[out][in] */
    bool wired[MAX_SIDE][MAX_SIDE];                            /* is there a weight at all? */
    double low[MAX_SIDE], high[MAX_SIDE];
    int64_t shape[8];
    int rank;
} dense;

typedef struct dice {
    oxp_rng rng;
    uint64_t next;
} dice;

/* in [-1, 1), exact in float */
static double draw(dice *d)
{
    return (double)(float)(2.0 * oxp_rng_uniform(&d->rng, d->next++) - 1.0);
}

static void put(char *text, size_t room, const char *format, double v)
{
    const size_t n = strlen(text);
    snprintf(text + n, room - n, format, v);
}

static void put_list(char *text, size_t room, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) put(text, room, i == 0 ? "[%.17g" : ",%.17g", v[i]);
    put(text, room, "]\n", 0);
}

typedef struct window { /* a convolution, or its transpose: from (k, out_size) to (c, size) */
    int axes;
    int64_t c, k, group, size[3], kernel[3], stride[3], pad[3];
    bool turned;
} window;

static int64_t out_size(const window *c, int a)
{
    return a < c->axes ? (c->size[a] + 2 * c->pad[a] - c->kernel[a]) / c->stride[a] + 1 : 1;
}

/* Axes beyond those of the convolution have size 1, kernel 1, stride 1, no padding. */
static void wire(const window *c, const double *w, dense *d)
{
    const int64_t o[3] = {out_size(c, 0), out_size(c, 1), out_size(c, 2)};
    const int64_t cg = c->c / c->group, kg = c->k / c->group;
    const int64_t cells = o[0] * o[1] * o[2], taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
    d->in = (size_t)(c->c * c->size[0] * c->size[1] * c->size[2]);
    d->out = (size_t)(c->k * cells);
    assert_true(d->in <= MAX_SIDE && d->out <= MAX_SIDE);
    for (int64_t row = 0; row < (int64_t)d->out; row++)
        for (int64_t i = 0; i < cg; i++)
            for (int64_t tap = 0; tap < taps; tap++) {
                const int64_t k = row / cells,
                              at[3] = {row % cells / (o[1] * o[2]), row / o[2] % o[1], row % o[2]};
                const int64_t by[3] = {tap / (c->kernel[1] * c->kernel[2]),
                                       tap / c->kernel[2] % c->kernel[1], tap % c->kernel[2]};
                int64_t column = k / kg * cg + i;
                bool inside = true;
                for (int a = 0; a < 3; a++) {
                    const int64_t from = at[a] * c->stride[a] - c->pad[a] + by[a];
                    inside = inside && from >= 0 && from < c->size[a];
                    column = column * c->size[a] + from;
                }
                if (!inside) continue;
                const int64_t to = c->turned ? column : row, from = c->turned ? row : column;
                d->w[to][from] = w[(k * cg + i) * taps + tap];
                d->wired[to][from] = true;
            }
    if (!c->turned) return;
    const size_t in = d->in;
    d->in = d->out;
    d->out = in;
}

/* The convolution as a net that ends in a vector, and as a matrix. */
static test_net *conv_net(const window *c, dice *rng, dense *d)
{
    char text[16384] = "", dims[4][64] = {"", "", "", ""};
    double w[256], bias[16];
    const int64_t in = c->turned ? c->k : c->c, out = c->turned ? c->c : c->k;
    const size_t n = (size_t)(c->k * c->c / c->group * c->kernel[0] * c->kernel[1] * c->kernel[2]);
    for (size_t i = 0; i < n; i++) w[i] = draw(rng);
    wire(c, w, d);
    d->rank = c->axes + 2;
    d->shape[0] = 1;
    d->shape[1] = in;
    for (int64_t k = 0; k < out; k++) bias[k] = draw(rng);
    for (size_t i = 0; i < d->out; i++) d->bias[i] = bias[(int64_t)i / ((int64_t)d->out / out)];
    for (int a = 0; a < c->axes; a++) {
        d->shape[2 + a] = c->turned ? out_size(c, a) : c->size[a];
        const int64_t values[4] = {d->shape[2 + a], c->kernel[a], c->stride[a], c->pad[a]};
        for (int v = 0; v < 4; v++)
            put(dims[v], sizeof dims[v], a ? ",%.0f" : "%.0f", (double)values[v]);
    }
    snprintf(text, sizeof text,
             "input %%x:f32(1,%d,%s) \"x\"\nconst %%w:f32(%d,%d,%s) \"w\" = ", (int)in, dims[0],
             (int)c->k, (int)(c->c / c->group), dims[1]);
    put_list(text, sizeof text, w, n);
    put(text, sizeof text, "const %%b:f32(%.0f) \"b\" = ", (double)out);
    put_list(text, sizeof text, bias, (size_t)out);
    snprintf(text + strlen(text), sizeof text - strlen(text),
             "%%y = %s(%%x, %%w, %%b) {group=%d strides=[%s] pads=[%s,%s]}\n"
             "%%out \"out\" = Flatten(%%y) {axis=1}\noutput %%out\n",
             c->turned ? "ConvTranspose" : "Conv", (int)c->group, dims[2], dims[3], dims[3]);
    return test_net_text(text);
}

/* Five inputs, four outputs, spelled in one of three ways. */
static test_net *dense_net(int spelling, dice *rng, dense *d)
{
    static const char *const bodies[] = {
        "const %%w:f32(4,5) \"w\" = %s%%out \"out\" = Gemm(%%x, %%w, %%b) {transB=1}\n",
        ("const %%w:f32(4,5) \"w\" = %s%%out \"out\" = Gemm(%%x, %%w, %%b) "
         "{transB=1 alpha=-0.5 beta=2.0}\n"),
        "const %%w:f32(5,4) \"w\" = %s%%y = MatMul(%%x, %%w)\n%%out \"out\" = Add(%%b, %%y)\n"};
    char text[4096] = "input %x:f32(1,5) \"x\"\nconst %b:f32(4) \"b\" = ", list[1024] = "";
    double w[20];
    d->in = 5;
    d->out = 4;
    d->rank = 2;
    d->shape[0] = 1;
    d->shape[1] = 5;
    for (size_t i = 0; i < 4; i++) d->bias[i] = draw(rng);
    put_list(text, sizeof text, d->bias, 4);
    for (size_t i = 0; i < 20; i++) {
        const size_t row = spelling == 2 ? i % 4 : i / 5, column = spelling == 2 ? i / 4 : i % 5;
        w[i] = draw(rng);
        d->w[row][column] = spelling == 1 ? -0.5 * w[i] : w[i];
        d->wired[row][column] = true;
    }
    for (size_t i = 0; spelling == 1 && i < 4; i++) d->bias[i] *= 2.0;
    put_list(list, sizeof list, w, 20);
    snprintf(text + strlen(text), sizeof text - strlen(text), bodies[spelling], list);
    strcat(text, "output %out\n");
    return test_net_text(text);
}

/* ---- the rules on matrices ---- */

#define EPS 1e-6

static double stab(double z)
{
    return z + (z < 0.0 ? -EPS : EPS);
}

static double pos(double v)
{
    return v > 0.0 ? v : 0.0;
}

static double neg(double v)
{
    return v < 0.0 ? v : 0.0;
}

/* Contribution of input i to output o, one of the two polarities: x+ a(w) + x- b(w). */
typedef double (*part_fn)(double w, double gamma);

static double all_of(double w, double gamma)
{
    OXP_UNUSED(gamma);
    return w;
}
static double plus_of(double w, double gamma)
{
    OXP_UNUSED(gamma);
    return pos(w);
}
static double minus_of(double w, double gamma)
{
    OXP_UNUSED(gamma);
    return neg(w);
}
static double more_plus(double w, double gamma)
{
    return w + gamma * pos(w);
}
static double more_minus(double w, double gamma)
{
    return w + gamma * neg(w);
}

/* r += factor R (x+ p(w) + x- q(w)) / stab(sum of them + bias) for output o */
static void split(const dense *d, size_t o, double relevance, part_fn p, part_fn q, double gamma,
                  double bias, double factor, double *r)
{
    double z = bias;
    for (size_t i = 0; i < d->in; i++)
        z += pos(d->x[i]) * p(d->w[o][i], gamma) + neg(d->x[i]) * q(d->w[o][i], gamma);
    for (size_t i = 0; i < d->in; i++)
        r[i] += factor * relevance / stab(z) *
                (pos(d->x[i]) * p(d->w[o][i], gamma) + neg(d->x[i]) * q(d->w[o][i], gamma));
}

static void first_rules(const dense *d, const char *rule, size_t o, double relevance, bool keep,
                        double *r)
{
    const bool box = strcmp(rule, "zbox") == 0, squares = strcmp(rule, "w2") == 0;
    double share[MAX_SIDE], z = squares && keep ? d->bias[o] * d->bias[o] : 0.0;
    for (size_t i = 0; i < d->in; i++) {
        const double w = d->w[o][i];
        share[i] = box       ? d->x[i] * w - d->low[i] * pos(w) - d->high[i] * neg(w)
                   : squares ? w * w
                             : (double)d->wired[o][i];
        z += share[i];
    }
    for (size_t i = 0; i < d->in; i++) r[i] += relevance * share[i] / stab(z);
}

static void oracle(const dense *d, const char *rule, bool keep, size_t o, double *r)
{
    const double b = keep ? d->bias[o] : 0.0;
    double y = d->bias[o];
    for (size_t i = 0; i < d->in; i++) y += d->w[o][i] * d->x[i];
    memset(r, 0, d->in * sizeof *r);
    if (strcmp(rule, "epsilon") == 0 || strcmp(rule, "norm") == 0) {
        split(d, o, y, all_of, all_of, 0, b, 1, r);
    } else if (strcmp(rule, "zplus") == 0) {
        split(d, o, y, plus_of, minus_of, 0, pos(b), 1, r);
    } else if (strcmp(rule, "alpha-beta") == 0) {
        split(d, o, y, plus_of, minus_of, 0, pos(b), 2, r);
        split(d, o, y, minus_of, plus_of, 0, neg(b), -1, r);
    } else if (strcmp(rule, "gamma") == 0 && y > 0.0) {
        split(d, o, y, more_plus, more_minus, 0.25, b + 0.25 * pos(b), 1, r);
    } else if (strcmp(rule, "gamma") == 0) {
        split(d, o, y, more_minus, more_plus, 0.25, b + 0.25 * neg(b), 1, r);
    } else {
        first_rules(d, rule, o, y, keep, r);
    }
}

static const char *const oracle_rules[] = {"epsilon", "norm", "zplus", "alpha-beta",
                                           "gamma",   "zbox", "w2",    "flat"};

static void compare_rules(test_net *t, dense *d, dice *rng, const char *name)
{
    for (size_t i = 0; i < d->in; i++) {
        d->x[i] = draw(rng);
        d->low[i] = -1.5;
        d->high[i] = 2.0;
    }
    const oxp_tensor x = test_array(t, d->rank, d->shape, d->x);
    for (size_t k = 0; k < 4 * OXP_COUNT(oracle_rules); k++) {
        const char *rule = oracle_rules[k / 4];
        const bool keep = k % 2 == 0, fused = k / 2 % 2 == 1;
        char param[64], what[128];
        snprintf(param, sizeof param, "rule=%s", rule);
        for (size_t o = 0; o < d->out; o += 1 + d->out / 5) {
            double want[MAX_SIDE];
            oracle(d, rule, keep, o, want);
            snprintf(what, sizeof what, "%s %s bias %d output %zu fused %d", name, rule, keep, o,
                     fused);
            const test_ask ask = {
                .method = "lrp",
                .params = {param, keep ? "bias=keep" : "bias=zero", "low=-1.5", "high=2"},
                .target = (int64_t)o,
                .fused = fused};
            const oxp_explanation e = test_explain(t, &ask, &x, 1);
            test_close_to(&e.maps[0].raw, want, d->in, fused ? 1e-4 : 1e-9, what);
        }
    }
}

static void rules_on_convolutions(void **state)
{
    OXP_UNUSED(state);
    static const window shapes[] = {
        {1, 4, 6, 2, {7, 1, 1}, {3, 1, 1}, {2, 1, 1}, {1, 0, 0}, false},
        {2, 2, 3, 1, {5, 4, 1}, {3, 2, 1}, {1, 1, 1}, {1, 0, 0}, false},
        {3, 2, 2, 1, {3, 3, 4}, {2, 2, 3}, {1, 2, 1}, {0, 1, 1}, false},
        {1, 4, 6, 2, {7, 1, 1}, {3, 1, 1}, {2, 1, 1}, {1, 0, 0}, true},
        {2, 2, 3, 1, {5, 4, 1}, {3, 2, 1}, {2, 2, 1}, {1, 0, 0}, true},
        {3, 2, 2, 1, {3, 3, 5}, {2, 3, 3}, {1, 2, 2}, {0, 1, 0}, true},
    };
    for (size_t k = 0; k < OXP_COUNT(shapes); k++) {
        dice rng = {.rng = {.seed = 7, .item = (uint32_t)k}};
        dense *d = calloc(1, sizeof *d);
        assert_non_null(d);
        char name[32];
        snprintf(name, sizeof name, "Conv%s%dd", shapes[k].turned ? "Transpose" : "",
                 shapes[k].axes);
        test_net *t = conv_net(&shapes[k], &rng, d);
        compare_rules(t, d, &rng, name);
        test_net_close(t);
        free(d);
    }
}

static void rules_on_dense_layers(void **state)
{
    OXP_UNUSED(state);
    static const char *const names[] = {"Gemm", "scaled Gemm", "MatMul and Add"};
    for (int k = 0; k < 3; k++) {
        dice rng = {.rng = {.seed = 11, .item = (uint32_t)k}};
        dense *d = calloc(1, sizeof *d);
        assert_non_null(d);
        test_net *t = dense_net(k, &rng, d);
        compare_rules(t, d, &rng, names[k]);
        test_net_close(t);
        free(d);
    }
}

/* ---- attention ---- */

enum { QUERIES = 3, KEYS = 3, WIDTH = 2, VALUES = 4 };

/* P = softmax(S), S = 0.7 q k' */
static void attend(const double *q, const double *k, double p[QUERIES][KEYS])
{
    for (int i = 0; i < QUERIES; i++) {
        double sum = 0.0;
        for (int j = 0; j < KEYS; j++) {
            double s = 0.0;
            for (int a = 0; a < WIDTH; a++) s += 0.7 * q[i * WIDTH + a] * k[j * WIDTH + a];
            p[i][j] = exp(s);
            sum += p[i][j];
        }
        for (int j = 0; j < KEYS; j++) p[i][j] /= sum;
    }
}

/* AttnLRP by its propositions, step by step: product, softmax, product; for R = y[row][e]. */
static void attention_oracle(const double *q, const double *k, const double *v, int row, int e,
                             bool cp, double *rq, double *rk, double *rv)
{
    double p[QUERIES][KEYS], y = 0.0, sum = 0.0, rp[KEYS];
    attend(q, k, p);
    for (int j = 0; j < KEYS; j++) y += p[row][j] * v[j * VALUES + e];
    for (int j = 0; j < KEYS; j++) {
        const double share = p[row][j] * v[j * VALUES + e];
        rv[j * VALUES + e] = share * y / ((cp ? 1 : 2) * y);
        rp[j] = cp ? 0.0 : share * y / (2 * y);
        sum += rp[j];
    }
    for (int j = 0; j < KEYS; j++) {
        double s = 0.0;
        for (int a = 0; a < WIDTH; a++) s += 0.7 * q[row * WIDTH + a] * k[j * WIDTH + a];
        const double rs = s * (rp[j] - p[row][j] * sum);
        for (int a = 0; a < WIDTH; a++) {
            const double share = 0.7 * q[row * WIDTH + a] * k[j * WIDTH + a] * rs / (2 * s);
            rq[row * WIDTH + a] += share;
            rk[j * WIDTH + a] += share;
        }
    }
}

static void attention_rules(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text("input %q:f32(1,3,2) \"q\"\ninput %k:f32(1,3,2) \"k\"\n"
                                "input %v:f32(1,3,4) \"v\"\n"
                                "%y = _Attention(%q, %k, %v) {scale=0.7}\n"
                                "%out \"out\" = Flatten(%y) {axis=1}\noutput %out\n");
    dice rng = {.rng = {.seed = 5}};
    double in[3][12];
    oxp_tensor x[3];
    for (int i = 0; i < 3; i++) {
        const int64_t shape[3] = {1, 3, i < 2 ? WIDTH : VALUES};
        for (int64_t n = 0; n < 3 * shape[2]; n++) in[i][n] = draw(&rng);
        x[i] = test_array(t, 3, shape, in[i]);
    }
    for (int target = 0; target < QUERIES * VALUES; target++)
        for (int k = 0; k < 4; k++) {
            double want[3][12] = {{0}};
            const bool cp = k % 2 == 1, fused = k / 2 == 1;
            attention_oracle(in[0], in[1], in[2], target / VALUES, target % VALUES, cp, want[0],
                             want[1], want[2]);
            const test_ask ask = {
                .method = "lrp",
                .params = {cp ? "attention=cp" : "attention=attnlrp", "stabiliser=1e-12"},
                .target = target,
                .fused = fused};
            const oxp_explanation e = test_explain(t, &ask, x, 3);
            for (int i = 0; i < 3; i++)
                test_close_to(&e.maps[i].raw, want[i], i < 2 ? 6 : 12, fused ? 1e-5 : 1e-9,
                              cp ? "CP-LRP" : "AttnLRP");
        }
    test_explain_fails(t, &(test_ask){.method = "lrp", .params = {"attention=refuse"}}, x, 3,
                       OXP_EUNSUPPORTED);
    test_net_close(t);
}

/* y = g x with a gate g = sigmoid(x): shared in halves, or all to the signal. LayerNorm of two
 * numbers (a, b), a > b: (1, -1), of which each input gets x_i (s_i - mean s) / sd. */
static void gates_and_norms(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text("input %x:f32(1,2) \"x\"\ninput %s:f32(1,2) \"s\"\n"
                                "%g = Sigmoid(%s)\n%out \"out\" = Mul(%x, %g)\noutput %out\n");
    const int64_t shape[2] = {1, 2};
    const oxp_tensor in[2] = {test_array(t, 2, shape, (const double[]){3, 4}),
                              test_array(t, 2, shape, (const double[]){0, 0})};
    oxp_explanation e = test_explain(
        t, &(test_ask){.method = "lrp", .params = {"stabiliser=0"}, .target = 1}, in, 2);
    test_close_to(&e.maps[0].raw, (const double[]){0, 1}, 2, 1e-9, "half to the signal");
    test_close_to(&e.maps[1].raw, (const double[]){0, 1}, 2, 1e-9, "half to the gate");
    assert_true(e.items[0].gap < 1e-9);
    e = test_explain(
        t, &(test_ask){.method = "lrp", .params = {"stabiliser=0", "attention=cp"}, .target = 1},
        in, 2);
    test_close_to(&e.maps[0].raw, (const double[]){0, 2}, 2, 1e-9, "all to the signal");
    test_net_close(t);
    t = test_net_text("input %x:f32(1,2) \"x\"\n"
                      "%out \"out\" = LayerNormalization(%x) {axis=-1 epsilon=0.0}\noutput %out\n");
    const oxp_tensor pair = test_array(t, 2, shape, (const double[]){5, 1});
    e = test_explain(t, &(test_ask){.method = "lrp", .params = {"stabiliser=0"}}, &pair, 1);
    test_close_to(&e.maps[0].raw, (const double[]){1.25, -0.25}, 2, 1e-9, "layer norm");
    test_net_close(t);
}

/* ---- whole nets ---- */

static const char *const nets[] = {"cnn1d", "cnn2d", "cnn3d"};
static const char *const composites[] = {"rule=epsilon",
                                         "composite=epsilon-plus",
                                         "composite=epsilon-plus-flat",
                                         "rule=zbox",
                                         "composite=epsilon-gamma-box",
                                         "rule=flat",
                                         "conv=w2",
                                         "composite=epsilon-alpha2-beta1",
                                         "composite=epsilon-alpha2-beta1-flat",
                                         "dense=alpha-beta(3,2)",
                                         "rule=gamma"};

static test_net *open_toy(const char *name, oxp_tensor *x)
{
    char path[256];
    snprintf(path, sizeof path, TOY "%s.onnx", name);
    test_net *t = test_net_open(path);
    snprintf(path, sizeof path, TOY "%s.io/input__x.npy", name);
    *x = test_npy(t, path);
    return t;
}

static void composites_on_nets(void **state)
{
    OXP_UNUSED(state);
    for (size_t n = 0; n < OXP_COUNT(nets); n++)
        for (size_t c = 0; c < OXP_COUNT(composites); c++) {
            oxp_tensor x;
            test_net *t = open_toy(nets[n], &x);
            test_ask ask = {.method = "lrp",
                            .params = {composites[c], "epsilon=1e-3", "stabiliser=1e-3"},
                            .target = 1};
            const oxp_explanation plain = test_explain(t, &ask, &x, 1);
            ask.fused = true;
            const oxp_explanation fused = test_explain(t, &ask, &x, 1);
            test_close(&fused.maps[0].raw, &plain.maps[0].raw, 1e-5, composites[c]);
            test_net_close(t);
        }
}

/* Without biases what arrives is what was sent, at any depth. */
static void conservation(void **state)
{
    OXP_UNUSED(state);
    char text[8192] = "input %x:f32(1,1,6,6) \"x\"\n";
    static const char *const rules[] = {"rule=zero",
                                        "rule=zplus",
                                        "rule=gamma",
                                        "first=w2",
                                        "composite=epsilon-plus",
                                        "composite=epsilon-plus-flat",
                                        "composite=epsilon-gamma-box"};
    static const struct {
        const char *head;
        size_t n;
    } weights[] = {{"const %w1:f32(3,1,3,3) = ", 27},
                   {"const %w2:f32(4,3,2,2) = ", 48},
                   {"const %w3:f32(16,3) = ", 48}};
    dice rng = {.rng = {.seed = 3}};
    for (size_t k = 0; k < OXP_COUNT(weights); k++) {
        double w[48];
        for (size_t i = 0; i < weights[k].n; i++) w[i] = draw(&rng);
        strcat(text, weights[k].head);
        put_list(text, sizeof text, w, weights[k].n);
    }
    strcat(text, "%a = Conv(%x, %w1) {pads=[1,1,1,1]}\n%b = Relu(%a)\n"
                 "%c = AveragePool(%b) {kernel_shape=[2,2] strides=[2,2]}\n%d = Conv(%c, %w2)\n"
                 "%e = Relu(%d)\n%s = Add(%e, %e)\n%f = Flatten(%s) {axis=1}\n"
                 "%out \"out\" = MatMul(%f, %w3)\noutput %out\n");
    test_net *t = test_net_text(text);
    double pixels[36];
    for (size_t i = 0; i < 36; i++) pixels[i] = draw(&rng);
    const oxp_tensor x = test_array(t, 4, (const int64_t[]){1, 1, 6, 6}, pixels);
    for (size_t k = 0; k < OXP_COUNT(rules); k++)
        for (int64_t target = 0; target < 3; target++) {
            const test_ask ask = {.method = "lrp",
                                  .params = {rules[k], "epsilon=0", "stabiliser=0"},
                                  .target = target};
            const oxp_explanation e = test_explain(t, &ask, &x, 1);
            if (!(e.items[0].gap < 1e-9) || !(fabs(e.items[0].expected) > 1e-3))
                fail_msg("%s: %.12g of %.12g arrives", rules[k], e.items[0].attributed,
                         e.items[0].expected);
        }
    test_net_close(t);
}

/* Of the score 1 + 2 + 9 the bias keeps 9, and that is said. */
static void losses_are_told(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text("input %x:f32(1,2) \"x\"\nconst %w:f32(2,1) = [1,1]\n"
                                "const %b:f32(1) = [9]\n%y \"y\" = Gemm(%x, %w, %b)\noutput %y\n");
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 2}, (const double[]){1, 2});
    test_ask ask = {.method = "lrp", .params = {"bias=keep"}};
    oxp_explanation e = test_explain(t, &ask, &x, 1);
    assert_true(test_has_note(&e, "add up to 3, where 12 was to be shared out: biases"));
    ask.params[0] = "bias=zero";
    e = test_explain(t, &ask, &x, 1);
    assert_false(test_has_note(&e, "add up"));
    test_net_close(t);
}

/* Deep Taylor: first the z+ of the layer above, then shares in proportion to squared weights.
 * lrp_simple: 2-weights, so 36 at each hidden unit (score 108), a third of each to every input. */
static void decompositions(void **state)
{
    OXP_UNUSED(state);
    oxp_tensor x;
    test_net *t = open_toy("lrp_simple", &x);
    oxp_explanation e =
        test_explain(t, &(test_ask){.method = "deep-taylor", .params = {"stabiliser=0"}}, &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){36, 36, 36}, 3, 1e-9, "deep Taylor, any input");
    e = test_explain(t,
                     &(test_ask){.method = "deep-taylor",
                                 .params = {"stabiliser=0", "input=bounded", "low=0", "high=3"}},
                     &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){18, 36, 54}, 3, 1e-9, "deep Taylor, bounded");
    assert_true(e.items[0].gap < 1e-9);
    e = test_explain(t, &(test_ask){.method = "excitation-backprop", .params = {"stabiliser=0"}},
                     &x, 1);
    test_close_to(&e.maps[0].raw, (const double[]){1.0 / 6, 1.0 / 3, 1.0 / 2}, 3, 1e-9,
                  "excitation backprop: probabilities");
    test_explain_fails(t, &(test_ask){.method = "lrp", .params = {"first=gama"}}, &x, 1,
                       OXP_EINVAL);
    test_explain_fails(t, &(test_ask){.method = "lrp", .params = {"rule=zbox", "low=1,2"}}, &x, 1,
                       OXP_EINVAL);
    test_net_close(t);
}

/* Merging batch norms into convolutions rounds nothing in the plain executor: the score stays. */
static void merging_is_exact(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_open("tests/data/toy/cnn2d.onnx");
    const oxp_tensor x = test_npy(t, "tests/data/toy/cnn2d.io/input__x.npy");
    const oxp_explanation a = test_explain(t, &(test_ask){.method = "lrp", .target = 1}, &x, 1);
    const oxp_explanation b =
        test_explain(t, &(test_ask){.method = "saliency", .target = 1}, &x, 1);
    for (size_t i = 0; i < a.n_items; i++)
        if (!(fabs(a.items[i].score - b.items[i].score) < 1e-13))
            fail_msg("score %.17g with batch norms merged, %.17g without", a.items[i].score,
                     b.items[i].score);
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches),
        cmocka_unit_test(published_numbers),
        cmocka_unit_test(rules_on_convolutions),
        cmocka_unit_test(rules_on_dense_layers),
        cmocka_unit_test(attention_rules),
        cmocka_unit_test(gates_and_norms),
        cmocka_unit_test(composites_on_nets),
        cmocka_unit_test(conservation),
        cmocka_unit_test(losses_are_told),
        cmocka_unit_test(decompositions),
        cmocka_unit_test(merging_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
