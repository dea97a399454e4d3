/* test_ir_parse.c - the text form of graphs, both ways, and what is wrong with a text. Operators
 * are stand-ins: the room ir knows none. */
#include "ir/parse.h"
#include "support/support.h"

#include <math.h>
#include <string.h>

/* Every output has the type of the first input. */
static oxp_status infer_same(oxp_infer *inf)
{
    for (uint32_t i = 0; i < inf->node->n_out; i++) {
        inf->dtype[i] = oxp_value_of(inf->g, inf->node->in[0])->dtype;
        inf->shape[i] = *oxp_shape_at(inf->g, inf->node->in[0]);
    }
    return OXP_OK;
}

static const oxp_op thing = {
    .name = "Thing", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 2, .infer = infer_same};

static const oxp_op *find(const char *name)
{
    return strcmp(name, thing.name) == 0 ? &thing : NULL;
}

typedef struct fixture {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
    oxp_graph *g;
} fixture;

static int set_up(void **state)
{
    fixture *f = test_calloc(1, sizeof *f);
    f->arena = oxp_arena_new(NULL);
    f->ctx = (oxp_ctx){.error = &f->error, .scratch = f->arena};
    *state = f;
    return f->arena ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    oxp_arena_free(f->arena);
    test_free(f);
    return 0;
}

static const char *text_of(fixture *f)
{
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, f->arena);
    oxp_graph_print(f->g, &sb);
    return oxp_strbuf_str(&sb);
}

static void parse(fixture *f, const char *text)
{
    const oxp_status status = oxp_graph_parse(&f->ctx, f->arena, text, find, &f->g);
    if (status != OXP_OK) fail_msg("%s", f->error.message);
}

static void what_is_printed_is_read_back(void **state)
{
    fixture *f = *state;
    const char *text = "input  %1:f32(2,3) \"a \\\"b\\\\ \\x0a\"\n"
                       "seed   %2:f32(2,3)\n"
                       "const  %3:f32(2) \"w\" = [0.5,-1]\n"
                       "const  %4:f32(2,2) = -inf\n"
                       "const  %5:i64(3) = [1,2,-3]\n"
                       "const  %6:f32(0) = []\n"
                       "const  %7:bool(2) = [0,1]\n"
                       "%8:f32(2,3), _ = Thing(%1)\n"
                       "%11:f32(2,3) \"y\", %12:f32(2,3) = Thing(%8, _, 0.25) {axis=-1 eps=1e-05 "
                       "k=[3,3] r=[2.0,0.5] one=1.0 "
                       "none=[] far=-inf mode=\"max # 1\"}  # block/node ~bwd\n"
                       "%14:f32(2,3) = Thing(%11, 2:i64)  #  ~method\n"
                       "output %14\n";
    parse(f, text);
    assert_string_equal(text_of(f), text);
    assert_string_equal(oxp_value_of(f->g, 1)->name, "a \"b\\ \n");
    assert_int_equal(oxp_value_of(f->g, 2)->kind, OXP_VALUE_SEED);
    assert_true(isinf(oxp_tensor_get(oxp_value_of(f->g, 4)->constant, 3)));
    const oxp_node *node = f->g->nodes[1];
    assert_int_equal(node->flags, OXP_NODE_ADJOINT);
    assert_string_equal(node->origin, "block/node");
    assert_int_equal(oxp_attr_int(node, "axis", 0), -1);
    assert_true(oxp_attr_float(node, "one", 0.0) > 0.5);
    assert_string_equal(oxp_attr_string(node, "mode", ""), "max # 1");
    assert_int_equal(f->g->nodes[2]->flags, OXP_NODE_METHOD);
    assert_int_equal(oxp_value_of(f->g, f->g->nodes[2]->in[1])->dtype, OXP_I64);
}

static void types_and_numbers_may_be_left_to_the_parser(void **state)
{
    fixture *f = *state;
    parse(f, "# a comment\n\ninput %x:f32(4)\n  %first = Thing(%x)\n%y = Thing(%first, 3)  # "
             "last\noutput %y");
    assert_string_equal(
        text_of(f), "input  %1:f32(4)\n%2:f32(4) = Thing(%1)\n%4:f32(4) = Thing(%2, 3)  # last\n"
                    "output %4\n");
}

static void a_wrong_text_is_refused_with_its_line(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"input %1:f16(2)", "line 1 of the graph: expected f32, i64 or bool"},
        {"input %1", "expected the type of the input"},
        {"input %1:f32(2,-1)", "expected a size"},
        {"input %1:f32(1,1,1,1,1,1,1,1,1)", "expected a size"},
        {"input %1:f32(9000000000,9000000000)", "expected a shape of fewer elements"},
        {"input %1:f32(2)\ninput %1:f32(2)",
         "line 2 of the graph: expected values of different numbers"},
        {"input %1:f32(2) \"x", "expected \""},
        {"input %1:f32(2) \"\\q\"", "expected \\\", \\\\ or \\xHH"},
        {"input %1:f32(2) x", "expected the end of the line"},
        {"const %1:f32(2)", "expected ="},
        {"const %1:f32(2) = [1]", "expected as many numbers as the shape says"},
        {"const %1:f32(2) = [1,]", "expected a number"},
        {"const %1:f32(99999999) = 1", "expected the type of a constant that is not too large"},
        {"input %1:f32(2)\n%2 = Other(%1)", "line 2 of the graph: expected a known operator"},
        {"input %1:f32(2)\n%2 = Thing(%3)", "expected a value that exists"},
        {"input %1:f32(2)\n%2 = Thing(x)", "expected _, a value or a number"},
        {"input %1:f32(2)\n%2 = Thing()", "expected as many inputs and outputs"},
        {"input %1:f32(2)\n%2 = Thing(_)", "expected as many inputs and outputs"},
        {"input %1:f32(2)\n_, %2 = Thing(%1)", "expected as many inputs and outputs"},
        {"input %1:f32(2)\n%2, %2 = Thing(%1)", "expected values of different numbers"},
        {"input %1:f32(2)\n%2 = Thing(%1) {a}", "expected ="},
        {"input %1:f32(2)\n%2 = Thing(%1) {a=b}", "expected an attribute's value"},
        {"input %1:f32(2)\n%2 = Thing(%1) {a=[1,2.0]}", "expected another number"},
        {"input %1:f32(2)\n%2 = Thing(%1) {a=1", "expected an attribute's name"},
        {"output _", "expected a value"},
        {"input %1:f32(2) \"x\"\ninput %2:f32(2) \"x\"", "both named 'x'"},
        {"input %1:f32(2)\n%2:f32(3) = Thing(%1)", "records"},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        f->error.message[0] = '\0';
        assert_int_not_equal(oxp_graph_parse(&f->ctx, f->arena, cases[i].text, find, &f->g),
                             OXP_OK);
        if (!strstr(f->error.message, cases[i].message))
            fail_msg("%s\ngave: %s\nnot: %s", cases[i].text, f->error.message, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_printed_is_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types_and_numbers_may_be_left_to_the_parser, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_text_is_refused_with_its_line, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
