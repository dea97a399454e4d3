/* test_transformers.c - relevance between sequences of tokens, worked out by hand; and what methods on
 * attention give on small transformers, against dense formulas in double (tests/data/toy/attn_*,
 * tools/make_attention_refs.py). */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- by hand ----
 *
 * Scores are zero, so every map is uniform; Y = sum of G . A with G = a / A, so that rule 5 gives a. Values are
 * zero: nothing but the order of the maps depends on them. docs/methods/attention.md works it out. */

/* a map from the tokens of q to those of k, of width t; adds its part of Y */
#define MAP(name, q, k, nq, nk, a)                                       \
    "const %w_" name ":f32(1,1," nq "," nk ") = 0\n"                     \
    "const %g_" name ":f32(1,1," nq "," nk ") = " a "\n"                 \
    "%l_" name " = MatMul(%" q ", %w_" name ")\n"                        \
    "%s_" name " = MatMul(%l_" name ", %" k ")\n"                        \
    "%" name " \"" name "\" = Softmax(%s_" name ") {axis=-1}\n"          \
    "%y_" name " = Mul(%" name ", %g_" name ")\n"                        \
    "%sum_" name " = ReduceSum(%y_" name ") {axes=[1,2,3] keepdims=0}\n" \
    "const %z_" name ":f32(1,1," nk "," nq ") = 0\n"                     \
    "%v_" name " = MatMul(%" k ", %z_" name ")\n"                        \
    "%c_" name " = MatMul(%" name ", %v_" name ")\n"
#define BEHIND(next, before, map) "%" next " = Add(%" before ", %c_" map ")\n"

/* text and image attend to themselves, to each other at once, and the text once more to the image */
static const char both_ways[] = "input %x:f32(1,1,2,2) \"text\"\ninput %y:f32(1,1,2,2) \"image\"\n"
    /* G = 2 a */
    MAP("tt", "x", "x", "2", "2", "[.2,.6,.4,.4]") BEHIND("x1", "x", "tt") MAP("ii", "y", "y", "2",
                                                                               "2", "[.4,.4,.8,.2]")
        BEHIND("y1", "y", "ii") MAP("ti", "x1", "y1", "2", "2", "[.4,.8,.2,.6]")
            MAP("it", "y1", "x1", "2", "2", "[.6,.2,.4,.4]") BEHIND("x2", "x1", "ti")
                BEHIND("y2", "y1", "it") MAP("again", "x2", "y2", "2", "2", "[.2,.4,.6,.2]") BEHIND(
                    "x3", "x2",
                    "again") "%text = ReduceSum(%x3) {axes=[1,2,3] keepdims=0}\n%none = Mul(%text, "
                             "0.0)\n"
                             "%part1 = Add(%sum_tt, %sum_ii)\n%part2 = Add(%sum_ti, "
                             "%sum_it)\n%part3 = Add(%part1, %part2)\n"
                             "%part4 = Add(%part3, %sum_again)\n%all = Add(%part4, %none)\n"
                             "%row = Reshape(%all) {shape=[1,1]}\n%minus = Neg(%row)\n"
                             "%logits \"logits\" = Concat(%row, %minus) {axis=1}\noutput %logits\n";

static const char decoder[] =
    "input %e:f32(1,1,3,3) \"source\"\ninput %d:f32(1,1,2,2) \"target\"\n" MAP(
        "ee", "e", "e", "3", "3", "[.3,.3,.6, 0,.6,.6, .3,.9,0]") BEHIND("e1", "e", "ee")
        MAP("dd", "d", "d", "2", "2", "[.2,.6,.4,.4]") BEHIND("d1", "d", "dd")
            MAP("de", "d1", "e1", "2", "3", "[.6,.3,.3, .3,0,.9]") BEHIND(
                "d2", "d1",
                "de") "%read = ReduceSum(%d2) {axes=[1,2,3] keepdims=0}\n%none = Mul(%read, 0.0)\n"
                      "%part1 = Add(%sum_ee, %sum_dd)\n%part2 = Add(%part1, %sum_de)\n%all = "
                      "Add(%part2, %none)\n"
                      "%row = Reshape(%all) {shape=[1,1]}\n%minus = Neg(%row)\n"
                      "%logits \"logits\" = Concat(%row, %minus) {axis=1}\noutput %logits\n";

/* two encoders side by side, both read */
static const char twins[] = "input %x:f32(1,1,2,2) \"text\"\ninput %y:f32(1,1,2,2) \"image\"\n" MAP(
    "tt", "x", "x", "2", "2", "[.2,.6,.4,.4]") BEHIND("x1", "x", "tt") MAP("ii", "y", "y", "2", "2",
                                                                           "[.4,.4,.8,.2]")
    BEHIND("y1", "y",
           "ii") "%read1 = ReduceSum(%x1) {axes=[1,2,3] keepdims=0}\n%none1 = Mul(%read1, 0.0)\n"
                 "%read2 = ReduceSum(%y1) {axes=[1,2,3] keepdims=0}\n%none2 = Mul(%read2, 0.0)\n"
                 "%part1 = Add(%sum_tt, %sum_ii)\n%part2 = Add(%part1, %none1)\n%all = Add(%part2, "
                 "%none2)\n"
                 "%row = Reshape(%all) {shape=[1,1]}\n%minus = Neg(%row)\n"
                 "%logits \"logits\" = Concat(%row, %minus) {axis=1}\noutput %logits\n";

/* the second attention looks at what the first made, joined with the tokens */
static const char joined[] =
    "input %x:f32(1,3,3) \"x\"\n%s = MatMul(%x, %x)\n%a \"a\" = Softmax(%s) {axis=-1}\n"
    "%c = MatMul(%a, %x)\n%j = Concat(%c, %x) {axis=1}\n%k = Transpose(%j) {perm=[0,2,1]}\n"
    "%s2 = MatMul(%x, %k)\n%b \"b\" = Softmax(%s2) {axis=-1}\n%d = MatMul(%b, %j)\n"
    "%y = ReduceSum(%d) {axes=[1] keepdims=0}\noutput %y\n";

static void joined_tokens_are_refused(void **state)
{
    OXP_UNUSED(state);
    test_net *t = test_net_text(joined);
    const oxp_tensor x = test_array(t, 3, (const int64_t[]){1, 3, 3}, (const double[9]){1, 2, 3});
    test_explain_fails(t, &(test_ask){.method = "tmme"}, &x, 1, OXP_EUNSUPPORTED);
    if (!strstr(t->error.message, "from the attention 'a' to the keys of 'b'"))
        fail_msg("%s", t->error.message);
    test_explain(t, &(test_ask){.method = "tmme", .layers = {"a"}}, &x, 1);
    test_net_close(t);
}

typedef struct hand_case {
    const char *what, *net;
    const char *params[4];
    struct {
        const char *map;
        double want[3];
        size_t n;
    } parts[2];
} hand_case;

static const hand_case hand_cases[] = {
    {"side by side", twins, {"query=0"}, {{"tt", {0, .3}, 2}, {"ii", {0, .2}, 2}}},
    {"both ways", both_ways, {"query=0"}, {{"tt", {0, .53775}, 2}, {"ii", {1.6225, 1.4275}, 2}}},
    {"both ways, own entries",
     both_ways,
     {"query=1", "self=true"},
     {{"tt", {.5385, 1.5495}, 2}, {"ii", {2.0775, 1.6725}, 2}}},
    {"both ways, maps alone",
     both_ways,
     {"query=0", "self=true", "self-in-rule-10=false"},
     {{"tt", {1.17, .35}, 2}, {"ii", {.3, .6}, 2}}},
    {"encoder and decoder",
     decoder,
     {"query=0"},
     {{"ee", {.44375, .46875, .4875}, 3}, {"dd", {0, .3}, 2}}},
    {"encoder and decoder, token 1",
     decoder,
     {"query=1"},
     {{"ee", {.50625, .58125, .7125}, 3}, {"dd", {.2, 0}, 2}}},
    /* R_dd' c1 R_ee = (1.1 .2; .3 1.2) c1 (1.1 .1 .2; 0 1.2 .2; .1 .3 1) */
    {"encoder and decoder, as they are",
     decoder,
     {"query=0", "normalise=false"},
     {{"ee", {.281, .207, .24}, 3}, {"dd", {0, .3}, 2}}},
};

static void by_hand(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < 2 * OXP_COUNT(hand_cases); i++) {
        const hand_case *c = &hand_cases[i / 2];
        test_net *t = test_net_text(c->net);
        test_ask ask = {.method = "tmme", .fused = i % 2};
        memcpy(ask.params, c->params, sizeof c->params);
        oxp_tensor x[2];
        for (int k = 0; k < 2; k++) {
            const oxp_shape *s = oxp_shape_at(t->net.graph, t->net.graph->inputs[k]);
            double eye[9] = {0};
            for (int64_t d = 0; d < s->dim[3]; d++) eye[d * (s->dim[3] + 1)] = 1.0;
            x[k] = test_array(t, 4, s->dim, eye);
        }
        const oxp_explanation e = test_explain(t, &ask, x, 2);
        assert_int_equal(e.n_maps, 2);
        for (int k = 0; k < 2; k++) {
            assert_string_equal(e.maps[k].tensor, c->parts[k].map);
            test_close_to(&e.maps[k].raw, c->parts[k].want, c->parts[k].n, i % 2 ? 1e-5 : 1e-9,
                          c->what);
        }
        test_net_close(t);
    }
}

/* x = (1 0), (0 1), uniform attention, values 2 x, block x + A v = (2 1), (1 2), score (3 1) . token 0 */
static const char one_block[] =
    "input %x:f32(1,2,2) \"x\"\nconst %none:f32(2,2) = 0\nconst %w:f32(2,1) = [3,1]\n"
    "const %first:i64() = 0\n%q = MatMul(%x, %none)\n%k = Transpose(%x) {perm=[0,2,1]}\n"
    "%s = MatMul(%q, %k)\n%a \"a\" = Softmax(%s) {axis=-1}\n%v = Mul(%x, 2.0)\n"
    "%m = MatMul(%a, %v)\n%y \"block\" = Add(%x, %m)\n%t = Gather(%y, %first) {axis=1}\n"
    "%row = MatMul(%t, %w)\n%minus = Neg(%row)\n"
    "%logits \"logits\" = Concat(%row, %minus) {axis=1}\noutput %logits\n";

/* the same with the tokens in front of the items */
static const char one_block_tokens_first[] =
    "input %x:f32(1,2,2) \"x\"\nconst %none:f32(2,2) = 0\nconst %w:f32(2,1) = [3,1]\n"
    "const %first:i64() = 0\n%q = MatMul(%x, %none)\n%k = Transpose(%x) {perm=[0,2,1]}\n"
    "%s = MatMul(%q, %k)\n%a \"a\" = Softmax(%s) {axis=-1}\n%v = Mul(%x, 2.0)\n"
    "%m = MatMul(%a, %v)\n%mt = Transpose(%m) {perm=[1,0,2]}\n"
    "%xt = Transpose(%x) {perm=[1,0,2]}\n%y \"block\" = Add(%xt, %mt)\n"
    "%t = Gather(%y, %first) {axis=0}\n%row = MatMul(%t, %w)\n%minus = Neg(%row)\n"
    "%logits \"logits\" = Concat(%row, %minus) {axis=1}\noutput %logits\n";

static void one_block_by_hand(void **state)
{
    OXP_UNUSED(state);
    /* 1 - 3/sqrt(10), 1 - 2/sqrt(5) and their sum */
    const double near = 0.05131670194948623, far = 0.10557280900008414, both = near + far;
    const struct {
        const char *method, *params[3];
        double want[2];
    } each[] = {
        {"value-zeroing", {"query=0"}, {near / both, far / both}},
        {"value-zeroing", {"query=1"}, {far / both, near / both}},
        /* R = (6/7 1/7), of which A v gets (3/7 1/7); R_A = (3/14 1/14), g = (6 2) */
        {"transformer-attribution", {"query=0", "self=true"}, {16.0 / 7, 1.0 / 7}},
        {"transformer-attribution", {"query=0"}, {0, 1.0 / 7}},
        {"transformer-attribution",
         {"query=0", "self=true", "normalise=rows"},
         {16.0 / 17, 1.0 / 17}},
    };
    static const char *const nets[] = {one_block, one_block_tokens_first};
    for (size_t n = 0; n < OXP_COUNT(nets); n++) {
        test_net *t = test_net_text(nets[n]);
        const oxp_tensor x =
            test_array(t, 3, (const int64_t[]){1, 2, 2}, (const double[]){1, 0, 0, 1});
        for (size_t i = 0; i < 2 * OXP_COUNT(each); i++) {
            test_ask ask = {.method = each[i / 2].method, .fused = i % 2};
            memcpy(ask.params, each[i / 2].params, sizeof each[0].params);
            const oxp_explanation e = test_explain(t, &ask, &x, 1);
            test_close_to(&e.maps[0].raw, each[i / 2].want, 2, i % 2 ? 1e-5 : 1e-9, ask.method);
        }
        test_net_close(t);
    }
}

/* ---- against dense formulas ---- */

typedef struct dense_case {
    const char *toy, *method;
    const char *params[3], *layer;
    bool sum; /* of class 1 over its tokens */
    struct {
        const char *map, *ref; /* a map's tensor and the file it must equal */
    } parts[2];
} dense_case;

#define CO              "attn_coattention"
#define PRE             "attn_encoder_pre"
#define POST            "attn_encoder_post"
#define ATTR(name, ...) .toy = name, .method = "transformer-attribution", .params = {__VA_ARGS__}
#define ZERO(name, ...) .toy = name, .method = "value-zeroing", .params = {__VA_ARGS__}
#define TMME(name, ...) .toy = name, .method = "tmme", .params = {__VA_ARGS__}

static const dense_case dense_cases[] = {
    {TMME(CO, "query=0"), .parts = {{"is1.map", "tmme_image"}, {"ts2.map", "tmme_text"}}},
    {TMME(CO, "query=-1"), .parts = {{"is1.map", "tmme_image"}, {"ts2.map", "tmme_text"}}},
    {TMME(CO, "normalise=false"),
     .parts = {{"is1.map", "tmme_image_raw"}, {"ts2.map", "tmme_text_raw"}}},
    {TMME(CO, "self-in-rule-10=false"),
     .parts = {{"is1.map", "tmme_image_map"}, {"ts2.map", "tmme_text_map"}}},
    {TMME("attn_encoder_decoder", "query=2"),
     .parts = {{"e1.map", "tmme_source"}, {"ds2.map", "tmme_target"}}},
    {TMME("attn_queries", "query=1"),
     .parts = {{"e1.map", "tmme_picture"}, {"qs2.map", "tmme_queries"}}},
    {ATTR(PRE, "self=true"), .parts = {{"b2.map", "attribution"}}},
    {ATTR(PRE, "self=true", "normalise=rows"), .parts = {{"b2.map", "attribution_rows"}}},
    {ATTR(PRE, "self=true", "rules=attnlrp"), .parts = {{"b2.map", "attribution_attnlrp"}}},
    {ATTR(PRE, "self=true", "rules=attnlrp", "normalise=rows"),
     .parts = {{"b2.map", "attribution_attnlrp_rows"}}},
    {ATTR(POST, "self=true"), .parts = {{"b2.map", "attribution"}}},
    {ATTR(POST, "self=true", "normalise=rows"), .parts = {{"b2.map", "attribution_rows"}}},
    {ATTR(POST, "self=true", "rules=attnlrp"), .parts = {{"b2.map", "attribution_attnlrp"}}},
    {ZERO(PRE, "query=0"), .parts = {{"b2.map", "value_zeroing"}}},
    {ZERO(PRE, "query=0"), .layer = "b1.map", .parts = {{"b1.map", "value_zeroing_b1"}}},
    {ZERO(PRE, "query=0"), .layer = "b2.map", .parts = {{"b2.map", "value_zeroing_b2"}}},
    {ZERO(POST, "query=-1"), .parts = {{"b2.map", "value_zeroing"}}},
    {ZERO(POST, "query=0"), .layer = "b1.map", .parts = {{"b1.map", "value_zeroing_b1"}}},
    {ZERO(POST, "query=0"), .layer = "b2.map", .parts = {{"b2.map", "value_zeroing_b2"}}},
};

static void check_dense(const dense_case *c, bool fused)
{
    test_net *t = test_toy_open(c->toy);
    const oxp_graph *g = t->net.graph;
    oxp_tensor x[2];
    for (size_t i = 0; i < g->n_inputs; i++) {
        char name[64];
        snprintf(name, sizeof name, "input__%s", oxp_value_of(g, g->inputs[i])->name);
        x[i] = test_toy_array(t, c->toy, name);
    }
    test_ask ask = {.method = c->method, .target = 1, .fused = fused, .layers = {c->layer}};
    memcpy(ask.params, c->params, sizeof c->params);
    const oxp_explanation e = test_explain(t, &ask, x, g->n_inputs);
    size_t n = 0;
    for (; n < OXP_COUNT(c->parts) && c->parts[n].ref; n++) {
        char ref[64], what[256];
        snprintf(ref, sizeof ref, "ref_%s", c->parts[n].ref);
        snprintf(what, sizeof what, "%s of %s, %s, %s", c->method, c->toy, c->parts[n].ref,
                 fused ? "fused" : "plain");
        assert_true(n < e.n_maps);
        if (c->parts[n].map) assert_string_equal(e.maps[n].tensor, c->parts[n].map);
        const oxp_tensor want = test_toy_array(t, c->toy, ref);
        test_close(&e.maps[n].raw, &want, fused ? 1e-5 : 1e-9, what);
    }
    assert_int_equal(e.n_maps, n);
    test_net_close(t);
}

static void dense_plain(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < OXP_COUNT(dense_cases); i++) check_dense(&dense_cases[i], false);
}

static void dense_fused(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < OXP_COUNT(dense_cases); i++) check_dense(&dense_cases[i], true);
}

/* ---- masks ---- */

/* Three tokens in causal order, of which the second is read: it cannot see the third. */
static test_net *masked_net(const char *hidden)
{
    char text[2048];
    snprintf(
        text, sizeof text,
        "input %%x:f32(1,3,2) \"x\"\n"
        "const %%wq:f32(2,2) \"wq\" = [1,-0.5,0.25,1]\nconst %%wk:f32(2,2) \"wk\" = "
        "[0.5,1,-1,0.5]\n"
        "const %%wv:f32(2,2) \"wv\" = [1,2,-1,0.5]\nconst %%wy:f32(2,2) \"wy\" = [1,0.5,-1,2]\n"
        "const %%mask:f32(1,3,3) \"mask\" = [0,%s,%s,0,0,%s,0,0,0]\n"
        "%%q = MatMul(%%x, %%wq)\n%%k = MatMul(%%x, %%wk)\n%%v = MatMul(%%x, %%wv)\n"
        "%%kt = Transpose(%%k) {perm=[0,2,1]}\n%%s = MatMul(%%q, %%kt)\n%%m = Add(%%s, %%mask)\n"
        "%%p \"map\" = Softmax(%%m) {axis=-1}\n%%c = MatMul(%%p, %%v)\n%%z = Add(%%c, %%x)\n"
        "%%read = Slice(%%z) {starts=[1] ends=[2] axes=[1]}\n"
        "%%flat = Reshape(%%read) {shape=[1,2]}\n%%y \"y\" = MatMul(%%flat, %%wy)\noutput %%y\n",
        hidden, hidden, hidden);
    return test_net_text(text);
}

/* Behind -infinity as behind -10000, of which the exponential is 0 too: a hidden token gets exactly 0, the others what
 * they get. */
static void infinite_masks_hide(void **state)
{
    OXP_UNUSED(state);
    static const double tokens[] = {1, 0.5, -0.75, 1.25, 2, -1};
    static const struct {
        const char *method, *param;
        bool all; /* reads the rows of all tokens, that of the hidden one too */
    } asked[] = {{"deeplift", "baseline=0", false},
                 {"deeplift", "baseline=mean", false},
                 {"deeplift", "baseline=0.5", false},
                 {"lrp", NULL, false},
                 {"deep-taylor", NULL, false},
                 {"integrated-gradients", NULL, false},
                 {"saliency", NULL, false},
                 {"input-x-gradient", NULL, false},
                 {"smoothgrad", NULL, false},
                 {"attention-rollout", NULL, true},
                 {"gradient-rollout", NULL, true},
                 {"tmme", NULL, true},
                 {"transformer-attribution", NULL, true},
                 {"legrad", NULL, false}};
    for (size_t k = 0; k < 2 * OXP_COUNT(asked); k++) {
        test_net *t = masked_net("-inf"), *finite = masked_net("-10000");
        const int64_t dims[] = {1, 3, 2};
        const oxp_tensor x = test_array(t, 3, dims, tokens),
                         x2 = test_array(finite, 3, dims, tokens);
        const test_ask ask = {
            .method = asked[k / 2].method, .params = {asked[k / 2].param}, .fused = k % 2 == 1};
        const oxp_explanation e = test_explain(t, &ask, &x, 1);
        const oxp_explanation want = test_explain(finite, &ask, &x2, 1);
        const oxp_tensor *raw = &e.maps[0].raw;
        const int64_t n = oxp_shape_elements(&raw->shape), cells = n / 3;
        test_close(raw, &want.maps[0].raw, k % 2 ? 1e-6 : 1e-12, ask.method);
        for (int64_t i = 2 * cells; !asked[k / 2].all && i < n; i++)
            if (fabs(oxp_tensor_get(raw, i)) > 0.0)
                fail_msg("%s: the hidden token gets %g", ask.method, oxp_tensor_get(raw, i));
        test_net_close(t);
        test_net_close(finite);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),           cmocka_unit_test(joined_tokens_are_refused),
        cmocka_unit_test(one_block_by_hand), cmocka_unit_test(dense_plain),
        cmocka_unit_test(dense_fused),       cmocka_unit_test(infinite_masks_hide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
