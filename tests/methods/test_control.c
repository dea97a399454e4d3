/* test_control.c - If, Loop, Scan and FlexAttention, and shapes that follow from data: gradients worked out by hand, and
 * that another input which decides otherwise compiles again. */
#include "net.h"

#include "unit/onnx/pb.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ---- */

enum { FLOAT = 1, INT64 = 7, BOOL = 9 };

static pb number(const char *name, int dtype, const char *dims, const void *data, size_t bytes)
{
    pb t = pb_tensor(name, dtype, dims);
    pb_bytes(&t, 9, data, bytes);
    return t;
}

static pb float_number(const char *name, float v)
{
    return number(name, FLOAT, "", &v, sizeof v);
}

static pb int_number(const char *name, int64_t v)
{
    return number(name, INT64, "", &v, sizeof v);
}

/* A branch or body: inputs and outputs "a:1,b:7" as name and type. */
static pb part(const char *inputs, const char *outputs)
{
    pb g = {.n = 0};
    const char *const lists[] = {inputs, outputs};
    for (int k = 0; k < 2; k++)
        for (const char *at = lists[k]; *at;) {
            char name[32];
            int type = 0, length = 0;
            assert_int_equal(sscanf(at, "%31[^:]:%d%n", name, &type, &length), 2);
            const pb v = pb_value(name, type, NULL);
            if (k == 0)
                pb_add_input(&g, v);
            else
                pb_add_output(&g, v);
            at += length;
            at += *at == ',';
        }
    return g;
}

/* x (1,n) and what else the test feeds; y is the sum over `sum`, (1,1). */
static pb net_graph(const char *n)
{
    pb g = {.n = 0};
    char dims[8];
    snprintf(dims, sizeof dims, "N%s", n);
    pb_add_input(&g, pb_value("x", FLOAT, dims));
    pb_add_output(&g, pb_value("y", FLOAT, "N1"));
    return g;
}

static void add_sum(pb *g, const char *of)
{
    const int64_t one[] = {1}, shape[] = {1, 1};
    pb_add_init(g, number("all", INT64, "1", one, sizeof one));
    pb_add_init(g, number("flat", INT64, "2", shape, sizeof shape));
    pb_add_node(g, pb_node("ReduceSum", of, "total", ""));
    pb_add_node(g, pb_node("Reshape", "total,flat", "y", ""));
}

static test_net *open_at(const pb *g, int64_t opset)
{
    static pb model; /* the weights are views into it */
    oxp_error error;
    model = pb_model(g, opset);
    test_net *t = test_net_bytes(model.data, model.n, &error);
    if (!t) fail_msg("%s", error.message);
    return t;
}

static test_net *open_net(const pb *g)
{
    return open_at(g, 13);
}

static void refuse(const pb *g, oxp_status status, const char *what)
{
    const pb model = pb_model(g, 13);
    oxp_error error;
    test_net *t = test_net_bytes(model.data, model.n, &error);
    if (t || error.code != status || !strstr(error.message, what))
        fail_msg("expected %d '%s', got '%s'", (int)status, what, t ? "" : error.message);
}

/* ---- asking ---- */

typedef struct asked {
    test_net *t;
    oxp_session *s;
} asked;

static asked ask_net(test_net *t, bool fused)
{
    asked a = {.t = t};
    const oxp_settings set = {.method = oxp_methods_find("saliency"),
                              .space = OXP_SPACE_OUTPUT,
                              .double_precision = !fused,
                              .top_k = 1};
    assert_int_equal(oxp_session_new(&a.t->ctx, &a.t->net, &set, &a.s), OXP_OK);
    return a;
}

static asked ask(const pb *g, bool fused)
{
    return ask_net(open_net(g), fused);
}

static void expect(asked *a, int64_t n, const double *x, const double *extra, const double *want)
{
    const int64_t dims[] = {1, n};
    oxp_tensor in[] = {test_array(a->t, 2, dims, x), {0}};
    if (extra) in[1] = test_array(a->t, 0, NULL, extra);
    oxp_explanation e;
    const oxp_target target = {OXP_TARGET_ELEMENT, 0}, none = {OXP_TARGET_TOP, 1};
    const oxp_status status =
        oxp_session_explain(&a->t->ctx, a->s, a->t->arena, in, extra ? 2 : 1, target, none, &e);
    if (status != OXP_OK) fail_msg("%s", a->t->error.message);
    test_close_to(&e.maps[0].raw, want, (size_t)n, 1e-6, "gradient");
}

static void done(asked *a)
{
    oxp_session_free(a->s);
    test_net_close(a->t);
}

#define VALUES(...) ((const double[]){__VA_ARGS__})

/* ---- tests ---- */

/* y = sum(total > 0 ? 2 x : 3 x): the branch follows from floats. */
static void a_branch_follows_the_data(void **state)
{
    OXP_UNUSED(state);
    pb g = net_graph("3"), yes = part("", "u:1"), no = part("", "v:1");
    pb_add_init(&g, float_number("zero", 0));
    pb_add_init(&yes, float_number("two", 2));
    pb_add_node(&yes, pb_node("Mul", "x,two", "u", ""));
    pb_add_node(
        &no, pb_node_with(pb_node("Constant", "", "three", ""), pb_attr_float("value_float", 3)));
    pb_add_node(&no, pb_node("Mul", "x,three", "v", ""));
    pb_add_node(&g, pb_node("ReduceSum", "x", "sum", ""));
    pb_add_node(&g, pb_node("Greater", "sum,zero", "positive", ""));
    pb_add_node(&g, pb_node_with(pb_node_with(pb_node("If", "positive", "w", "if"),
                                              pb_attr_graph("then_branch", &yes)),
                                 pb_attr_graph("else_branch", &no)));
    add_sum(&g, "w");
    for (int fused = 0; fused < 2; fused++) {
        asked a = ask(&g, fused);
        expect(&a, 3, VALUES(1, 2, -1), NULL, VALUES(2, 2, 2));
        expect(&a, 3, VALUES(4, 1, -1), NULL, VALUES(2, 2, 2)); /* the same branch */
        expect(&a, 3, VALUES(-4, 1, 1), NULL, VALUES(3, 3, 3));
        expect(&a, 3, VALUES(1, 2, -1), NULL, VALUES(2, 2, 2));
        done(&a);
    }
}

/* trips: a fed integer. state = state * x; series: each state. y = sum of all: x + x^2 + ... times 1 */
static void a_body_runs_as_often_as_asked(void **state)
{
    OXP_UNUSED(state);
    pb g = net_graph("2"), body = part("i:7,on:9,s:1", "on_out:9,s_out:1,each:1");
    pb_add_input(&g, pb_value("trips", INT64, ""));
    const float ones[] = {1, 1};
    pb_add_init(&g, number("start", FLOAT, "12", ones, sizeof ones));
    pb_add_node(&body, pb_node("Identity", "on", "on_out", ""));
    pb_add_node(&body, pb_node("Mul", "s,x", "s_out", ""));
    pb_add_node(&body, pb_node("Identity", "s_out", "each", ""));
    pb_add_node(&g, pb_node_with(pb_node("Loop", "trips,,start", "last,series", "loop"),
                                 pb_attr_graph("body", &body)));
    add_sum(&g, "series");
    asked a = ask(&g, true);
    expect(&a, 2, VALUES(2, 3), VALUES(3), VALUES(1 + 4 + 12, 1 + 6 + 27));
    expect(&a, 2, VALUES(2, 3), VALUES(1), VALUES(1, 1));
    done(&a);
}

/* doubles x until its sum exceeds 100: the condition follows from floats, trip by trip. */
static void a_condition_is_computed(void **state)
{
    OXP_UNUSED(state);
    pb g = net_graph("2"), body = part("i:7,on:9,s:1", "on_out:9,s_out:1");
    const uint8_t yes = 1;
    pb_add_init(&g, number("yes", BOOL, "", &yes, 1));
    pb_add_init(&g, float_number("limit", 100));
    pb_add_node(&body, pb_node("Add", "s,s", "s_out", ""));
    pb_add_node(&body, pb_node("ReduceSum", "s_out", "sum", ""));
    pb_add_node(&body, pb_node("Less", "sum,limit", "less", ""));
    const int64_t none[] = {1};
    pb_add_init(&body, number("scalar", INT64, "0", none, 0));
    pb_add_node(&body, pb_node("Reshape", "less,scalar", "on_out", ""));
    pb_add_node(
        &g, pb_node_with(pb_node("Loop", ",yes,x", "last", "loop"), pb_attr_graph("body", &body)));
    add_sum(&g, "last");
    asked a = ask(&g, false);
    expect(&a, 2, VALUES(10, 20), NULL, VALUES(4, 4));
    expect(&a, 2, VALUES(1, 1), NULL, VALUES(64, 64));
    done(&a);
}

/* An If inside a Loop's body, both of which read tensors from around; odd trips take the branch. */
static void branches_nest(void **state)
{
    OXP_UNUSED(state);
    pb g = net_graph("2"), body = part("i:7,on:9,s:1", "on_out:9,s_out:1");
    pb yes = part("", "u:1"), no = part("", "u:1");
    pb_add_init(&g, int_number("trips", 3));
    pb_add_init(&g, float_number("ten", 10));
    pb_add_init(&body, int_number("two", 2));
    pb_add_node(&yes, pb_node("Mul", "s,ten", "u", ""));
    pb_add_node(&no, pb_node("Add", "s,x", "u", ""));
    pb_add_node(&body, pb_node("Identity", "on", "on_out", ""));
    pb_add_node(&body, pb_node("Div", "i,two", "half", ""));
    pb_add_node(&body, pb_node("Mul", "half,two", "even", ""));
    pb_add_node(&body, pb_node("Equal", "even,i", "is_even", ""));
    pb_add_node(&body, pb_node("Not", "is_even", "is_odd", ""));
    pb_add_node(&body, pb_node_with(pb_node_with(pb_node("If", "is_odd", "s_out", "if"),
                                                 pb_attr_graph("then_branch", &yes)),
                                    pb_attr_graph("else_branch", &no)));
    pb_add_node(&g, pb_node_with(pb_node("Loop", "trips,,x", "last", "loop"),
                                 pb_attr_graph("body", &body)));
    add_sum(&g, "last");
    asked a = ask(&g, true); /* ((x + x) 10) + x */
    expect(&a, 2, VALUES(1, -2), NULL, VALUES(21, 21));
    done(&a);
}

/* Scan backwards along axis 1: state = 2 state + cell; y = the last state, so cell k counts 2^k. */
static void a_scan_has_directions(void **state)
{
    OXP_UNUSED(state);
    pb g = net_graph("3"), body = part("s:1,c:1", "s_out:1,e:1");
    const float zero[] = {0};
    pb_add_init(&g, number("start", FLOAT, "1", zero, sizeof zero));
    pb_add_init(&body, float_number("two", 2));
    pb_add_node(&body, pb_node("Mul", "s,two", "double", ""));
    pb_add_node(&body, pb_node("Add", "double,c", "s_out", ""));
    pb_add_node(&body, pb_node("Identity", "c", "e", ""));
    pb axes = pb_attr("scan_input_axes", 7), back = pb_attr("scan_input_directions", 7);
    pb_int(&axes, 8, 1);
    pb_int(&back, 8, 1);
    pb scan = pb_node("Scan", "start,x", "last,cells", "scan");
    scan = pb_node_with(scan, pb_attr_graph("body", &body));
    scan = pb_node_with(scan, pb_attr_int("num_scan_inputs", 1));
    scan = pb_node_with(pb_node_with(scan, axes), back);
    pb_add_node(&g, scan);
    add_sum(&g, "last");
    asked a = ask(&g, true);
    expect(&a, 3, VALUES(5, 6, 7), NULL, VALUES(1, 2, 4));
    done(&a);
}

/* Opset 8: two items of 2 and 1 cells of 3, from their ends: state = 2 state + cell, a series of states that ends
 * in zeros. y = sum(series weights); ONNX Runtime makes the same series. */
static pb items_of_lengths(const int64_t *lengths, size_t n)
{
    pb g = net_graph("6"), body = part("s:1,c:1", "s_out:1,e:1");
    const float start[] = {0, 0}, weights[] = {1, 10, 100, 1000, 10000, 100000};
    const int64_t apart[] = {2, 3}, flat[] = {1, 1}, back = 1;
    pb_add_init(&g, number("start", FLOAT, "2", start, sizeof start));
    pb_add_init(&g, number("weights", FLOAT, "23", weights, sizeof weights));
    pb_add_init(&g, number("apart", INT64, "2", apart, sizeof apart));
    pb_add_init(&g, number("flat", INT64, "2", flat, sizeof flat));
    pb_add_init(&g, number("lengths", INT64, n == 2 ? "2" : "1", lengths, n * sizeof *lengths));
    pb_add_init(&body, float_number("two", 2));
    pb_add_node(&body, pb_node("Mul", "s,two", "double", ""));
    pb_add_node(&body, pb_node("Add", "double,c", "s_out", ""));
    pb_add_node(&body, pb_node("Identity", "s_out", "e", ""));
    pb_add_node(&g, pb_node("Reshape", "x,apart", "cells", ""));
    pb scan = pb_node("Scan", "lengths,start,cells", "last,series", "scan");
    scan = pb_node_with(scan, pb_attr_graph("body", &body));
    scan = pb_node_with(scan, pb_attr_int("num_scan_inputs", 1));
    pb_add_node(&g, pb_node_with(scan, pb_attr_ints("directions", &back, 1)));
    pb_add_node(&g, pb_node("Mul", "series,weights", "weighted", ""));
    pb_add_node(&g, pb_node("ReduceSum", "weighted", "total", ""));
    pb_add_node(&g, pb_node("Reshape", "total,flat", "y", ""));
    return g;
}

static void items_have_lengths(void **state)
{
    OXP_UNUSED(state);
    const pb g = items_of_lengths((const int64_t[]){2, 1}, 2);
    const pb none = items_of_lengths((const int64_t[]){0, 3}, 2);
    for (int fused = 0; fused < 2; fused++) {
        asked a = ask_net(open_at(&g, 8), fused); /* x1, 2 x1 + x0, 0; x3, 0, 0 */
        expect(&a, 6, VALUES(1, 2, 3, 4, 5, 6), NULL, VALUES(10, 21, 0, 1000, 0, 0));
        done(&a);
        a = ask_net(open_at(&none, 8), fused); /* none; x5, 2 x5 + x4, 4 x5 + 2 x4 + x3 */
        expect(&a, 6, VALUES(1, 2, 3, 4, 5, 6), NULL, VALUES(0, 0, 0, 100000, 210000, 421000));
        done(&a);
    }
    const struct {
        int64_t length[2];
        size_t n;
        const char *message;
    } wrong[] = {{{4, 1}, 2, "scans 4 of 3 cells"},
                 {{-1, 1}, 2, "scans -1 of 3 cells"},
                 {{1}, 1, "takes 2 as its lengths, found 1"}};
    for (size_t i = 0; i < OXP_COUNT(wrong); i++) {
        const pb h = items_of_lengths(wrong[i].length, wrong[i].n);
        test_net *t = open_at(&h, 8);
        const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 6}, VALUES(1, 2, 3, 4, 5, 6));
        test_explain_fails(t, &(test_ask){.method = "saliency"}, &x, 1, OXP_EINVAL);
        if (!strstr(t->error.message, wrong[i].message)) fail_msg("%s", t->error.message);
        test_net_close(t);
    }
}

/* One query q = x0 of keys 1 and 2, values x1 and x2. Scores are doubled, which reads a tensor from around, and
 * weights tripled: y = 3 ((1 - p) x1 + p x2), p = sigmoid(2 q). `widen` adds cells to the scores. */
static pb flex_graph(bool widen)
{
    pb g = net_graph("3"), scores = part("s:1", "t:1"), weights = part("p:1", "r:1");
    const float keys[] = {1, 2}, row[] = {2, 2, 2};
    const int64_t sizes[] = {1, 2}, q[] = {1, 1, 1, 1}, v[] = {1, 1, 2, 1}, flat[] = {1, 1};
    pb_add_init(&g, number("k", FLOAT, "1121", keys, sizeof keys));
    pb_add_init(&g, number("sizes", INT64, "2", sizes, sizeof sizes));
    pb_add_init(&g, number("q_shape", INT64, "4", q, sizeof q));
    pb_add_init(&g, number("v_shape", INT64, "4", v, sizeof v));
    pb_add_init(&g, number("flat", INT64, "2", flat, sizeof flat));
    pb_add_init(&g, widen ? number("two", FLOAT, "31", row, sizeof row) : float_number("two", 2));
    pb_add_init(&weights, float_number("three", 3));
    pb_add_node(&scores, pb_node("Mul", "s,two", "t", ""));
    pb_add_node(&weights, pb_node("Mul", "p,three", "r", ""));
    pb_add_node(&g,
                pb_node_with(pb_node("Split", "x,sizes", "x0,x12", ""), pb_attr_int("axis", 1)));
    pb_add_node(&g, pb_node("Reshape", "x0,q_shape", "q", ""));
    pb_add_node(&g, pb_node("Reshape", "x12,v_shape", "v", ""));
    pb flex = pb_node("FlexAttention", "q,k,v", "o", "flex");
    pb_text(&flex, 7, "ai.onnx.preview");
    flex = pb_node_with(flex, pb_attr_graph("score_mod", &scores));
    pb_add_node(&g, pb_node_with(flex, pb_attr_graph("prob_mod", &weights)));
    pb_add_node(&g, pb_node("Reshape", "o,flat", "y", ""));
    return g;
}

static void scores_pass_through_graphs(void **state)
{
    OXP_UNUSED(state);
    const pb g = flex_graph(false), wide = flex_graph(true);
    const double q = 0.5 * log(3); /* p = 3/4 */
    for (int fused = 0; fused < 2; fused++) {
        asked a = ask(&g, fused);
        expect(&a, 3, VALUES(q, 1, 2), NULL, VALUES(1.125, 0.75, 2.25));
        done(&a);
    }
    test_net *t = open_net(&wide);
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 3}, VALUES(1, 2, 3));
    test_explain_fails(t, &(test_ask){.method = "saliency"}, &x, 1, OXP_EINVAL);
    if (!strstr(t->error.message, "score_mod that makes (1,1,3,2)"))
        fail_msg("%s", t->error.message);
    test_net_close(t);
}

/* sum of squares of the positive cells, by NonZero and GatherND: where they are is pinned, not what they are. */
static pb positive_squares(void)
{
    pb g = net_graph("4");
    pb_add_init(&g, float_number("zero", 0));
    pb_add_node(&g, pb_node("Greater", "x,zero", "positive", ""));
    pb_add_node(&g, pb_node("NonZero", "positive", "where", "nonzero"));
    pb_add_node(&g, pb_node("Transpose", "where", "places", ""));
    pb_add_node(&g, pb_node("GatherND", "x,places", "picked", ""));
    pb_add_node(&g, pb_node("Mul", "picked,picked", "squares", ""));
    add_sum(&g, "squares");
    return g;
}

static void positions_follow_the_data(void **state)
{
    OXP_UNUSED(state);
    const pb g = positive_squares();
    asked a = ask(&g, true);
    expect(&a, 4, VALUES(1, -2, 3, -4), NULL, VALUES(2, 0, 6, 0));
    expect(&a, 4, VALUES(5, -2, 1, -4), NULL, VALUES(10, 0, 2, 0));
    expect(&a, 4, VALUES(-5, 2, 1, 4), NULL, VALUES(0, 4, 2, 8));
    done(&a);
}

/* A forward run that is kept sees where they are each time, with and without what was compiled before. */
static void a_kept_run_follows_the_data(void **state)
{
    OXP_UNUSED(state);
    static const struct {
        double x[4], want;
    } turns[] = {
        {{1, -2, 3, -4}, 10}, {{5, -2, 1, -4}, 26}, {{-5, 2, 1, 4}, 21}, {{-1, 1, 1, 1}, 3}};
    const pb g = positive_squares();
    const int64_t dims[] = {1, 4};
    for (int plain = 0; plain < 2; plain++) {
        test_net *t = open_net(&g);
        oxp_forward *f;
        assert_int_equal(oxp_forward_new(&t->ctx, &t->net, t->net.graph->outputs, 1, 1, plain, &f),
                         OXP_OK);
        for (size_t i = 0; i < OXP_COUNT(turns); i++) {
            const oxp_tensor x = test_array(t, 2, dims, turns[i].x);
            oxp_tensor y;
            if (oxp_forward_run(&t->ctx, f, t->arena, t->net.graph->inputs, &x, 1, &y) != OXP_OK)
                fail_msg("%s", t->error.message);
            assert_true(fabs(oxp_tensor_get(&y, 0) - turns[i].want) < 1e-5);
        }
        oxp_forward_free(f);
        test_net_close(t);
    }
}

static void what_cannot_run_is_refused(void **state)
{
    OXP_UNUSED(state);
    pb g = net_graph("2"), body = part("i:7,on:9,s:1", "on_out:9,s_out:1");
    pb_add_node(&body, pb_node("Identity", "on", "on_out", ""));
    pb_add_node(&body, pb_node("DeformConv", "s,x", "s_out", "inside"));
    pb_add_node(&g,
                pb_node_with(pb_node("Loop", ",,x", "last", "loop"), pb_attr_graph("body", &body)));
    add_sum(&g, "last");
    refuse(&g, OXP_EUNSUPPORTED, "DeformConv (opset 13) at 'inside'");

    pb h = net_graph("2"), ends = part("i:7,on:9,s:1", "on_out:9,s_out:1");
    pb_add_node(&ends, pb_node("Identity", "on", "on_out", ""));
    pb_add_node(&ends, pb_node("Relu", "nowhere", "s_out", ""));
    pb_add_node(&h,
                pb_node_with(pb_node("Loop", ",,x", "last", "loop"), pb_attr_graph("body", &ends)));
    add_sum(&h, "last");
    refuse(&h, OXP_ECORRUPT, "reads tensor 'nowhere'");

    pb endless = net_graph("2"), same = part("i:7,on:9,s:1", "on_out:9,s_out:1");
    pb_add_node(&same, pb_node("Identity", "on", "on_out", ""));
    pb_add_node(&same, pb_node("Identity", "s", "s_out", ""));
    pb_add_node(&endless,
                pb_node_with(pb_node("Loop", ",,x", "last", "loop"), pb_attr_graph("body", &same)));
    add_sum(&endless, "last");
    test_net *t = open_net(&endless);
    const oxp_tensor x = test_array(t, 2, (const int64_t[]){1, 2}, VALUES(1, 2));
    test_explain_fails(t, &(test_ask){.method = "saliency"}, &x, 1, OXP_ELIMIT);
    assert_non_null(strstr(t->error.message, "'loop' runs more than"));
    test_net_close(t);
}

/* Each level holds the next: deeper than the file's messages may be. */
static void depth_is_limited(void **state)
{
    OXP_UNUSED(state);
    pb inner = part("", "u:1");
    pb_add_node(&inner, pb_node("Relu", "x", "u", ""));
    for (int level = 0; level < 40; level++) {
        pb outer = part("", "u:1");
        pb_add_node(&outer, pb_node_with(pb_node_with(pb_node("If", "c", "u", ""),
                                                      pb_attr_graph("then_branch", &inner)),
                                         pb_attr("else_branch", 5)));
        inner = outer;
    }
    refuse(&inner, OXP_ECORRUPT, "nested too deeply");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_follows_the_data),
        cmocka_unit_test(a_body_runs_as_often_as_asked),
        cmocka_unit_test(a_condition_is_computed),
        cmocka_unit_test(branches_nest),
        cmocka_unit_test(a_scan_has_directions),
        cmocka_unit_test(items_have_lengths),
        cmocka_unit_test(scores_pass_through_graphs),
        cmocka_unit_test(positions_follow_the_data),
        cmocka_unit_test(a_kept_run_follows_the_data),
        cmocka_unit_test(what_cannot_run_is_refused),
        cmocka_unit_test(depth_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
