/*
 * Local functions: inlining, names, attributes that refer to the call's, and every way to misuse them.
 */
#include "base/compiler.h"
#include "import_fixture.h"

static const char *const DOMAIN = "own";

static pb call(const char *op, const char *in, const char *out, const char *name)
{
    pb n = pb_node(op, in, out, name);
    pb_text(&n, 7, DOMAIN);
    return n;
}

static pb function(const char *name, const char *in, const char *out)
{
    pb f = {.n = 0};
    const pb imports = pb_opset("", 13);
    pb_text(&f, 1, name);
    pb_texts(&f, 4, in);
    pb_texts(&f, 5, out);
    pb_msg(&f, 9, &imports);
    pb_text(&f, 10, DOMAIN);
    return f;
}

static void add(pb *function, const pb node)
{
    pb_msg(function, 7, &node);
}

static pb reference(const char *name, int type, const char *to)
{
    pb a = pb_attr(name, type);
    pb_text(&a, 21, to);
    return a;
}

/* y = OP(x) of a function OP, and the functions. */
static imported import_calls(const pb *graph, const pb *functions, size_t n)
{
    pb m = pb_model(graph, 15);
    for (size_t i = 0; i < n; i++) pb_msg(&m, 25, &functions[i]);
    return import_bytes(m.data, m.n, NULL, 0);
}

static imported import_call(const pb node, const pb *functions, size_t n)
{
    pb g = pb_graph();
    pb_add_node(&g, node);
    return import_calls(&g, functions, n);
}

static void test_names_do_not_clash(void **state)
{
    (void)state;
    pb inner = function("Inner", "x", "y"), outer = function("Outer", "y", "x");
    add(&inner, pb_node("Relu", "x", "t", "relu"));
    add(&inner, pb_node("Add", "t,x", "y", ""));
    add(&outer, call("Inner", "y", "t", "in"));
    add(&outer, pb_node("Abs", "t", "x", "abs"));
    const pb functions[] = {outer, inner};
    pb g = pb_graph();
    pb_add_node(&g, pb_node("Neg", "x", "call/t", "neg")); /* the name that inlining would take */
    pb_add_node(&g, call("Outer", "call/t", "z", "call"));
    pb_add_node(&g, call("Outer", "z", "y", ""));
    imported im = import_calls(&g, functions, 2);
    expect_ok(&im);
    assert_int_equal(im.model->graph->n_nodes, 7);
    const oxp_node *abs = maker(&im, "z"), *sum = maker(&im, reads(&im, abs, 0));
    assert_string_equal(abs->origin, "call/abs");
    assert_string_equal(sum->op->name, "Add");
    assert_string_not_equal(reads(&im, abs, 0), "call/t");
    assert_string_equal(reads(&im, sum, 1), "call/t");
    assert_string_equal(reads(&im, sum, 0), "call/in/t");
    assert_string_equal(maker(&im, "call/in/t")->origin, "call/in/relu");
    assert_string_equal(reads(&im, maker(&im, "call/in/t"), 0), "call/t");
    assert_string_equal(maker(&im, "y")->origin, "y/abs"); /* an unnamed call is its output */
    imported_free(&im);
}

static void test_attributes_refer_to_the_call(void **state)
{
    (void)state;
    pb inner = function("Inner", "x", "y"), outer = function("Outer", "x", "y");
    add(&inner,
        pb_node_with(pb_node("LeakyRelu", "x", "y", "leaky"), reference("alpha", 1, "slope")));
    const pb fallback = pb_attr_float("steep", 0.75F);
    pb_msg(&outer, 11, &fallback);
    add(&outer, pb_node_with(call("Inner", "x", "y", "in"), reference("slope", 1, "steep")));
    const pb functions[] = {inner, outer};
    static const struct {
        const char *op, *attr;
        double alpha;
    } cases[] = {
        {"Inner", "slope", 0.25},
        {"Inner", "other", -1}, /* absent: Elu has its own default */
        {"Outer", "steep", 0.25},
        {"Outer", "other", 0.75},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        imported im = import_call(
            pb_node_with(call(cases[i].op, "x", "y", "c"), pb_attr_float(cases[i].attr, 0.25F)),
            functions, 2);
        expect_ok(&im);
        assert_true(oxp_attr_float(maker(&im, "y"), "alpha", -1) == cases[i].alpha);
        imported_free(&im);
    }
    expect_refusal(import_call(pb_node_with(call("Inner", "x", "y", "c"), pb_attr_int("slope", 1)),
                               functions, 2),
                   OXP_ECORRUPT, "attribute alpha refers to 'slope', which is of another type");
    pb g = pb_graph();
    pb_add_node(&g, pb_node_with(pb_node("LeakyRelu", "x", "y", ""), reference("alpha", 1, "s")));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "only nodes of functions may refer");
}

static void test_results_that_are_parameters(void **state)
{
    (void)state;
    pb same = function("Same", "a,b", "b,c,c");
    add(&same, pb_node("Relu", "a", "c", ""));
    pb g = pb_graph();
    pb_add_node(&g, call("Same", "x,x", "p,q,r", "call"));
    pb_add_node(&g, pb_node("Sum", "p,q,r", "y", ""));
    imported im = import_calls(&g, &same, 1);
    expect_ok(&im);
    assert_string_equal(maker(&im, "p")->op->name, "Identity");
    assert_string_equal(reads(&im, maker(&im, "p"), 0), "x");
    assert_string_equal(maker(&im, "q")->op->name, "Relu");
    assert_string_equal(reads(&im, maker(&im, "r"), 0), "q");
    imported_free(&im);
}

static void test_absent_parameters(void **state)
{
    (void)state;
    pb clip = function("Bound", "x,lo,hi", "y,unused");
    add(&clip, pb_node("Clip", "x,lo,hi", "y", ""));
    add(&clip, pb_node("Relu", "y", "unused", ""));
    pb g = pb_graph();
    pb_add_node(&g, pb_node("ReduceSum", "x", "total", ""));
    pb_add_node(&g, call("Bound", "x,,total", "y", "call"));
    imported im = import_calls(&g, &clip, 1);
    expect_ok(&im);
    assert_string_equal(reads(&im, maker(&im, "y"), 1), "");
    assert_string_equal(reads(&im, maker(&im, "y"), 2), "total");
    assert_int_not_equal(oxp_graph_find(im.model->graph, "call/unused"), OXP_NO_VAL);
    imported_free(&im);
}

static void test_a_function_has_its_own_opset(void **state)
{
    (void)state;
    pb f = function("Old", "x", "y");
    const pb future = pb_opset("", 99);
    add(&f, pb_node("Softmax", "x", "y", ""));
    imported im = import_call(call("Old", "x", "y", ""), &f, 1);
    expect_ok(&im);
    assert_int_equal(oxp_attr_int(maker(&im, "y"), "axis", 9), -1);
    imported_free(&im);
    pb_msg(&f, 9, &future);
    expect_refusal(import_call(call("Old", "x", "y", ""), &f, 1), OXP_EUNSUPPORTED,
                   "the local function Old uses opset 99");
}

static void test_misuse(void **state)
{
    (void)state;
    pb self = function("Self", "x", "y"), arity = function("Two", "a,b", "c");
    add(&self, call("Self", "x", "y", ""));
    expect_refusal(import_call(call("Self", "x", "y", ""), &self, 1), OXP_ELIMIT,
                   "call each other more than 16 deep");
    add(&arity, pb_node("Add", "a,b", "c", ""));
    expect_refusal(import_call(call("Two", "x,x,x", "y", ""), &arity, 1), OXP_ECORRUPT,
                   "the call has 3 inputs and 1 outputs, the function has 2 and 1");
    expect_refusal(import_call(call("Two", "x", "y", "one"), &arity, 1), OXP_ECORRUPT,
                   "Add 'y' lacks input 1 of the 2 that it needs");
    expect_refusal(import_call(call("Three", "x", "y", "n"), &arity, 1), OXP_EUNSUPPORTED,
                   "own::Three at 'n'");
    const pb twice[] = {arity, arity};
    expect_refusal(import_call(call("Two", "x,x", "y", ""), twice, 2), OXP_ECORRUPT,
                   "own::Two is defined twice");
    pb overwrites = function("Over", "x", "y");
    add(&overwrites, pb_node("Relu", "x", "x", ""));
    add(&overwrites, pb_node("Relu", "x", "y", ""));
    expect_refusal(import_call(call("Over", "x", "y", ""), &overwrites, 1), OXP_ECORRUPT,
                   "makes tensor 'x', which something else makes too");
}

/* Ten levels of ten calls would be 10^10 nodes. */
static void test_doubling_is_limited(void **state)
{
    (void)state;
    static pb levels[10];
    char name[2] = "A", next[2] = "B";
    for (size_t i = 0; i < OXP_COUNT(levels); i++, name[0]++, next[0]++) {
        levels[i] = function(name, "x", "y");
        for (int k = 0; k < 10; k++) {
            char out[2] = {(char)('a' + k), '\0'};
            add(&levels[i], call(i + 1 < OXP_COUNT(levels) ? next : "A", "x", out, ""));
        }
    }
    expect_refusal(import_call(call("A", "x", "y", ""), levels, OXP_COUNT(levels)), OXP_ELIMIT,
                   "local functions call each other");
}

/* Few nodes, but each call repeats a long name, or a long list. */
static void test_repetition_is_limited(void **state)
{
    (void)state;
    static char name[6001];
    memset(name, 'n', sizeof name - 1);
    pb names = function("Names", "x", "y"), lists = function("Lists", "x", "y");
    pb outer = function("Outer", "x", "y"), list = pb_attr("value_ints", 7);
    for (int i = 0; i < 300; i++) add(&names, pb_node("Relu", "t", "t", ""));
    for (int i = 0; i < 6000; i++) pb_varint(&list, i % 2 ? 1 : 8 << 3);
    add(&lists, pb_node_with(pb_node("Constant", "", "y", ""), list));
    for (int i = 0; i < 150; i++) add(&outer, call("Names", "x", "a", ""));
    const pb functions[] = {names, lists, outer};
    pb g = pb_graph();
    pb_add_node(&g, call("Outer", "x", "y", name));
    expect_refusal(import_calls(&g, functions, 3), OXP_ELIMIT, "more graph than memory");
    pb many = function("Many", "x", "y");
    for (int i = 0; i < 170; i++) add(&many, call("Lists", "x", "", ""));
    pb more = function("More", "x", "y");
    for (int i = 0; i < 170; i++) add(&more, call("Many", "x", "", ""));
    const pb nested[] = {lists, many, more};
    expect_refusal(import_call(call("More", "x", "y", ""), nested, 3), OXP_ELIMIT,
                   "more graph than memory");
}

static void test_attributes_are_limited(void **state)
{
    (void)state;
    pb node = pb_node("Relu", "x", "y", "");
    for (int i = 0; i < 257; i++) pb_bytes(&node, 5, "", 0);
    pb g = pb_graph();
    pb_add_node(&g, node);
    expect_refusal(import_graph(&g, 13), OXP_ELIMIT, "257 attributes, at most 256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_do_not_clash),
        cmocka_unit_test(test_attributes_refer_to_the_call),
        cmocka_unit_test(test_results_that_are_parameters),
        cmocka_unit_test(test_absent_parameters),
        cmocka_unit_test(test_a_function_has_its_own_opset),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_doubling_is_limited),
        cmocka_unit_test(test_repetition_is_limited),
        cmocka_unit_test(test_attributes_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
