/* test_specialise.c - from a model graph to a specialised one: constant inputs become attributes, shape
 * arithmetic disappears, data that decides shapes is asked for, cuts keep only what lies between. */
#include "ops/specialise.h"

#include "ops/ops.h"
#include "support/support.h"
#include <string.h>

typedef struct fixture {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena, *scratch;
    oxp_graph *model;
} fixture;

static int set_up(void **state)
{
    fixture *f = test_calloc(1, sizeof *f);
    f->arena = oxp_arena_new(NULL);
    f->scratch = oxp_arena_new(NULL);
    f->ctx = (oxp_ctx){.error = &f->error, .scratch = f->scratch};
    f->model = oxp_graph_new(f->arena);
    *state = f;
    return f->model ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    oxp_arena_free(f->arena);
    oxp_arena_free(f->scratch);
    test_free(f);
    return 0;
}

/* ---- model graphs ---- */

static oxp_val input(fixture *f, const char *name, oxp_dtype dtype)
{
    oxp_val v;
    assert_int_equal(oxp_graph_add_value(&f->ctx, f->model, name, OXP_VALUE_INPUT, dtype, NULL, &v),
                     OXP_OK);
    return v;
}

static oxp_val constant(fixture *f, oxp_dtype dtype, int rank, int64_t n, const double *values)
{
    oxp_tensor *t = OXP_NEW(f->arena, oxp_tensor, 1);
    const oxp_shape shape = oxp_shape_of(rank, &n);
    oxp_val v;
    assert_int_equal(oxp_tensor_new(&f->ctx, f->arena, dtype, &shape, t), OXP_OK);
    oxp_convert((void *)(uintptr_t)t->data, dtype, values, OXP_F64, n);
    assert_int_equal(oxp_graph_add_const(&f->ctx, f->model, NULL, dtype, t, &v), OXP_OK);
    return v;
}

static oxp_val node(fixture *f, const oxp_op *op, const oxp_val *in, size_t n_in,
                    const oxp_attr *attrs, size_t n_attrs)
{
    oxp_node *made;
    assert_int_equal(
        oxp_graph_add_node(&f->ctx, f->model, op, in, n_in, 1, attrs, n_attrs, op->name, &made),
        OXP_OK);
    return made->out[0];
}

static oxp_status specialise(fixture *f, const oxp_feed *feeds, size_t n_feeds, oxp_val wanted,
                             oxp_special *out, bool *needs_data)
{
    const oxp_cut cut = {.feeds = feeds, .n_feeds = n_feeds, .wanted = &wanted, .n_wanted = 1};
    return oxp_specialise(&f->ctx, f->arena, f->model, &cut, out, needs_data);
}

static oxp_feed feed(oxp_val v, int rank, const int64_t *dims)
{
    return (oxp_feed){.val = v, .shape = oxp_shape_of(rank, dims)};
}

static const oxp_node *only_node(const oxp_special *s)
{
    assert_int_equal(s->g->n_nodes, 1);
    return s->g->nodes[0];
}

/* ---- tests ---- */

/* Clip(x, absent, 6): the attribute `max`, one input */
static void bounds_become_attributes(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_F32);
    const oxp_val hi = constant(f, OXP_F32, 0, 1, (const double[]){6.0});
    const oxp_val y = node(f, &oxp_op_Clip, (const oxp_val[]){x, OXP_NO_VAL, hi}, 3, NULL, 0);
    const oxp_feed given = feed(x, 2, (const int64_t[]){2, 3});
    oxp_special s;
    assert_int_equal(specialise(f, &given, 1, y, &s, NULL), OXP_OK);
    const oxp_node *clip = only_node(&s);
    double lo, max;
    assert_int_equal(clip->n_in, 1);
    assert_int_equal(oxp_node_fn(clip, &lo, &max), OXP_FN_CLIP);
    assert_true(lo < -1e308);
    assert_true(max >= 6.0 && max <= 6.0);
}

/* ReduceSum(x, [1]): the attribute `axes` */
static void axes_become_an_attribute(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_F32);
    const oxp_val axes = constant(f, OXP_I64, 1, 1, (const double[]){1.0});
    const oxp_attr keep = OXP_INT("keepdims", 0);
    const oxp_val y = node(f, &oxp_op_ReduceSum, (const oxp_val[]){x, axes}, 2, &keep, 1);
    const oxp_feed given = feed(x, 3, (const int64_t[]){2, 3, 4});
    oxp_special s;
    assert_int_equal(specialise(f, &given, 1, y, &s, NULL), OXP_OK);
    assert_int_equal(only_node(&s)->n_in, 1);
    const oxp_shape want = oxp_shape_of(2, (const int64_t[]){2, 4});
    assert_true(oxp_shape_equal(oxp_shape_at(s.g, s.map[y]), &want));
}

/* uint8 arithmetic wraps around in its type; comparisons and moves need no Cast, sizes are int64. */
static void narrow_integers_wrap(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_U8);
    const oxp_val one = constant(f, OXP_U8, 1, 1, (const double[]){1.0});
    const oxp_val sum = node(f, &oxp_op_Add, (const oxp_val[]){x, one}, 2, NULL, 0);
    const oxp_val twice = node(f, &oxp_op_Concat, (const oxp_val[]){sum, sum}, 2,
                               (const oxp_attr[]){OXP_INT("axis", 0)}, 1);
    const oxp_feed given = feed(x, 1, (const int64_t[]){3});
    oxp_special s;
    assert_int_equal(specialise(f, &given, 1, twice, &s, NULL), OXP_OK);
    assert_int_equal(s.g->n_nodes, 3);
    assert_ptr_equal(s.g->nodes[0]->op, &oxp_op_Add);
    assert_ptr_equal(s.g->nodes[1]->op, &oxp_op_Cast);
    assert_int_equal(oxp_attr_int(s.g->nodes[1], "to", 0), OXP_U8);
    assert_int_equal(s.map[sum], s.g->nodes[1]->out[0]);
    assert_int_equal(s.type[twice], OXP_U8);
    assert_int_equal(oxp_value_of(s.g, s.map[twice])->dtype, OXP_I64);
    const oxp_val size = node(f, &oxp_op_Size, &twice, 1, NULL, 0);
    assert_int_equal(specialise(f, &given, 1, size, &s, NULL), OXP_OK);
    assert_int_equal(s.type[size], OXP_I64);
}

/* 255 + 1 is 0 in uint8, when it is computed beforehand as well. */
static void constants_wrap(void **state)
{
    fixture *f = *state;
    const oxp_val a = constant(f, OXP_U8, 1, 1, (const double[]){255.0});
    const oxp_val one = constant(f, OXP_U8, 1, 1, (const double[]){1.0});
    const oxp_val sum = node(f, &oxp_op_Add, (const oxp_val[]){a, one}, 2, NULL, 0);
    oxp_special s;
    assert_int_equal(specialise(f, NULL, 0, sum, &s, NULL), OXP_OK);
    assert_int_equal(s.g->n_nodes, 0);
    assert_int_equal(oxp_tensor_get_int(oxp_value_of(s.g, s.map[sum])->constant, 0), 0);
}

/* An operator that saturates or shifts learns the type of its result, whatever a file says. */
static void typed_operators_learn_their_type(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_I16);
    const oxp_attr smuggled = OXP_INT("type", OXP_U8);
    const oxp_val y = node(f, &oxp_op_BitwiseNot, &x, 1, &smuggled, 1);
    const oxp_feed given = feed(x, 1, (const int64_t[]){3});
    oxp_special s;
    assert_int_equal(specialise(f, &given, 1, y, &s, NULL), OXP_OK);
    assert_int_equal(oxp_attr_int(only_node(&s), "type", 0), OXP_I16);
    assert_int_equal(oxp_attr_int(only_node(&s), "from", 0), OXP_I16);
    assert_int_equal(only_node(&s)->n_attrs, 2);
}

/* ConstantOfShape(Shape(x)) and Range(0, Gather(Shape(x), 1), 1) are numbers once x has a shape. */
static void shape_arithmetic_disappears(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_F32);
    const oxp_val shape = node(f, &oxp_op_Shape, &x, 1, NULL, 0);
    const oxp_val zeros = node(f, &oxp_op_ConstantOfShape, &shape, 1, NULL, 0);
    const oxp_val zero = constant(f, OXP_I64, 0, 1, (const double[]){0.0});
    const oxp_val one = constant(f, OXP_I64, 0, 1, (const double[]){1.0});
    const oxp_val length = node(f, &oxp_op_Gather, (const oxp_val[]){shape, one}, 2, NULL, 0);
    const oxp_val range = node(f, &oxp_op_Range, (const oxp_val[]){zero, length, one}, 3, NULL, 0);
    const oxp_attr to = OXP_INT("to", OXP_F32);
    const oxp_val places = node(f, &oxp_op_Cast, &range, 1, &to, 1);
    const oxp_val sum = node(f, &oxp_op_Add, (const oxp_val[]){zeros, places}, 2, NULL, 0);
    const oxp_feed given = feed(x, 2, (const int64_t[]){2, 3});
    oxp_special s;
    assert_int_equal(specialise(f, &given, 1, sum, &s, NULL), OXP_OK);
    assert_int_equal(s.g->n_nodes, 0);
    const oxp_tensor *t = oxp_value_of(s.g, s.map[sum])->constant;
    assert_non_null(t);
    assert_true(oxp_dtype_is_float(t->dtype));
    for (int64_t i = 0; i < 6; i++) assert_int_equal((int)oxp_tensor_get(t, i), (int)(i % 3));
}

/* Axes from a fed tensor: refused, but said to be a matter of data; given as data, accepted. */
static void data_that_decides_shapes_is_asked_for(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_F32), axes = input(f, "axes", OXP_I64);
    const oxp_val y = node(f, &oxp_op_ReduceSum, (const oxp_val[]){x, axes}, 2, NULL, 0);
    oxp_feed given[2] = {feed(x, 2, (const int64_t[]){2, 3}), feed(axes, 1, (const int64_t[]){1})};
    oxp_special s;
    bool needs_data[2] = {false, false};
    assert_int_equal(specialise(f, given, 2, y, &s, needs_data), OXP_EUNSUPPORTED);
    assert_true(needs_data[0] != needs_data[1]); /* the shape, not the data */
    const int64_t zero = 0;
    const oxp_tensor fixed = {OXP_I64, oxp_shape_of(1, (const int64_t[]){1}), &zero};
    given[1].fixed = &fixed;
    assert_int_equal(specialise(f, given, 2, y, &s, needs_data), OXP_OK);
    const oxp_shape want = oxp_shape_of(2, (const int64_t[]){1, 3});
    assert_true(oxp_shape_equal(oxp_shape_at(s.g, s.map[y]), &want));
    assert_int_equal(s.g->n_inputs, 1);
}

/* y = exp(relu(x)) fed at relu's output: relu and x are gone. */
static void a_cut_keeps_what_lies_between(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_F32);
    const oxp_val middle = node(f, &oxp_op_Relu, &x, 1, NULL, 0);
    const oxp_val y = node(f, &oxp_op_Exp, &middle, 1, NULL, 0);
    const oxp_feed given = feed(middle, 1, (const int64_t[]){4});
    oxp_special s;
    assert_int_equal(specialise(f, &given, 1, y, &s, NULL), OXP_OK);
    assert_ptr_equal(only_node(&s)->op, &oxp_op_Exp);
    assert_int_equal(s.map[x], OXP_NO_VAL);
    assert_int_equal(specialise(f, NULL, 0, y, &s, NULL), OXP_EINVAL);
}

/* A shape that does not fit is refused with the node's name. */
static void a_misfit_names_the_node(void **state)
{
    fixture *f = *state;
    const oxp_val x = input(f, "x", OXP_F32);
    const oxp_val three = constant(f, OXP_F32, 1, 3, (const double[]){1.0, 2.0, 3.0});
    const oxp_val y = node(f, &oxp_op_Add, (const oxp_val[]){x, three}, 2, NULL, 0);
    const oxp_feed given = feed(x, 1, (const int64_t[]){4});
    oxp_special s;
    assert_int_equal(specialise(f, &given, 1, y, &s, NULL), OXP_EINVAL);
    assert_string_equal(f->error.node, "Add");
    assert_non_null(strstr(f->error.message, "(4)"));
    assert_non_null(strstr(f->error.message, "(3)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bounds_become_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(axes_become_an_attribute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(narrow_integers_wrap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(constants_wrap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(typed_operators_learn_their_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shape_arithmetic_disappears, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_that_decides_shapes_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cut_keeps_what_lies_between, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_misfit_names_the_node, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
