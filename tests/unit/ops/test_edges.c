/* test_edges.c - what the rows of tests/ops cannot say: views by strides, errors of a run, infinities
 * in pools, and bounds on work that hostile attributes ask for. */
#include "ops/infer.h"
#include "ops/layout.h"
#include "ops/ops.h"
#include "support/support.h"
#include <math.h>
#include <string.h>

typedef struct fixture {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
    oxp_build b;
} fixture;

static int set_up(void **state)
{
    fixture *f = test_calloc(1, sizeof *f);
    f->arena = oxp_arena_new(NULL);
    f->ctx = (oxp_ctx){.error = &f->error, .scratch = f->arena};
    oxp_build_init(&f->b, &f->ctx, oxp_graph_new(f->arena));
    *state = f;
    return f->arena && f->b.g ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    oxp_arena_free(f->arena);
    test_free(f);
    return 0;
}

static oxp_val input(fixture *f, oxp_dtype dtype, oxp_shape shape)
{
    oxp_val v;
    assert_int_equal(oxp_graph_add_value(&f->ctx, f->b.g, NULL, OXP_VALUE_INPUT, dtype, &shape, &v),
                     OXP_OK);
    return v;
}

/* Evaluates the node that made y. */
static oxp_status evaluate(fixture *f, oxp_val y, const double *const *in, double *out)
{
    const oxp_graph *g = f->b.g;
    const oxp_node *node = g->nodes[oxp_value_of(g, y)->producer];
    oxp_shape shapes[3];
    oxp_dtype dtypes[3];
    for (uint32_t i = 0; i < node->n_in; i++) {
        shapes[i] = *oxp_shape_at(g, node->in[i]);
        dtypes[i] = oxp_value_of(g, node->in[i])->dtype;
    }
    const oxp_call call = {&f->ctx,
                           f->arena,
                           node,
                           in,
                           shapes,
                           dtypes,
                           &out,
                           oxp_shape_at(g, y),
                           &oxp_value_of(g, y)->dtype};
    return node->op->ref(&call);
}

/* ---- views ---- */

/* The memory offset of row-major element i of a shape at a place. */
static int64_t offset_of(const oxp_shape *s, const oxp_place *p, int64_t i)
{
    int64_t offset = p->offset;
    for (int a = s->rank - 1; a >= 0; a--) {
        offset += i % s->dim[a] * p->stride[a];
        i /= s->dim[a];
    }
    return offset;
}

/* Memory order `order` (outermost first) of a dense tensor. */
static oxp_place dense(const oxp_shape *s, const int *order)
{
    oxp_place p = {.offset = 5};
    int64_t step = 1;
    for (int k = s->rank - 1; k >= 0; k--) {
        p.stride[order[k]] = step;
        step *= s->dim[order[k]];
    }
    return p;
}

static bool reshaped(oxp_shape from, const oxp_place *at, oxp_shape to)
{
    oxp_place place;
    if (!oxp_place_reshape(&from, at, &to, &place)) return false;
    for (int64_t i = 0; i < oxp_shape_elements(&from); i++)
        assert_int_equal(offset_of(&to, &place, i), offset_of(&from, at, i));
    return true;
}

#define SHAPE(...) \
    oxp_shape_of((int)(sizeof((const int64_t[]){__VA_ARGS__}) / 8), (const int64_t[]){__VA_ARGS__})

static void reshape_as_view(void **state)
{
    (void)state;
    const oxp_shape image = SHAPE(2, 3, 4, 5), pooled = SHAPE(2, 6, 1, 1), tokens = SHAPE(2, 12, 4);
    const oxp_place rows = dense(&image, (const int[]){0, 1, 2, 3});
    const oxp_place last = dense(&image, (const int[]){0, 2, 3, 1});
    assert_true(reshaped(image, &rows, SHAPE(120)));
    assert_true(reshaped(image, &rows, SHAPE(6, 1, 2, 10, 1)));
    assert_false(reshaped(image, &last, SHAPE(2, 60)));
    assert_true(reshaped(image, &last, SHAPE(2, 3, 20)));
    assert_true(reshaped(image, &last, SHAPE(1, 2, 3, 1, 2, 2, 5)));
    assert_false(reshaped(image, &last, SHAPE(2, 12, 5)));
    const oxp_place flat = dense(&pooled, (const int[]){0, 2, 3, 1});
    assert_true(reshaped(pooled, &flat, SHAPE(2, 6)));
    const oxp_place swapped = dense(&tokens, (const int[]){1, 0, 2}); /* heads apart, then joined */
    assert_true(reshaped(tokens, &swapped, SHAPE(2, 3, 4, 2, 2)));
    assert_false(reshaped(tokens, &swapped, SHAPE(24, 4)));
    const oxp_place repeated = {.stride = {0, 0, 1}};
    assert_true(reshaped(tokens, &repeated, SHAPE(24, 4)));
    assert_false(reshaped(tokens, &repeated, SHAPE(2, 48)));
    const oxp_shape none = SHAPE(2, 0, 3), one = SHAPE(1, 1);
    const oxp_place start = {.offset = 3};
    assert_true(reshaped(none, &start, SHAPE(0, 7)));
    assert_true(reshaped(one, &start, oxp_shape_of(0, NULL)));
}

/* ---- errors of a run ---- */

static void gather_checks_each_index(void **state)
{
    fixture *f = *state;
    const oxp_val in[] = {input(f, OXP_F32, SHAPE(3, 2)), input(f, OXP_I64, SHAPE(2))};
    const oxp_val y = oxp_emit(&f->b, &oxp_op_Gather, in, 2, NULL, 0);
    const double x[] = {1, 2, 3, 4, 5, 6};
    double out[4];
    const double bad[][2] = {{0, 3}, {-4, 0}, {1e18, 0}, {(double)NAN, 0}};
    for (size_t i = 0; i < OXP_COUNT(bad); i++)
        assert_int_equal(evaluate(f, y, (const double *const[]){x, bad[i]}, out), OXP_EINVAL);
    const double good[] = {-3, 2}, want[] = {1, 2, 5, 6};
    assert_int_equal(evaluate(f, y, (const double *const[]){x, good}, out), OXP_OK);
    assert_memory_equal(out, want, sizeof want);
}

static void weights_of_a_convolution_get_a_gradient_when_asked(void **state)
{
    fixture *f = *state;
    const oxp_val in[] = {input(f, OXP_F32, SHAPE(1, 2, 5)), input(f, OXP_F32, SHAPE(3, 2, 3))};
    const oxp_val y = oxp_emit(&f->b, &oxp_op_Conv, in, 2, NULL, 0);
    const oxp_node *node = f->b.g->nodes[oxp_value_of(f->b.g, y)->producer];
    const bool wants[] = {true, true}, only_x[] = {true, false};
    oxp_val dx[2] = {OXP_NO_VAL, OXP_NO_VAL};
    oxp_grad grad = {&f->b, node, &y, only_x, dx};
    assert_int_equal(oxp_op_Conv.grad(&grad), OXP_OK);
    assert_true(dx[0] != OXP_NO_VAL && dx[1] == OXP_NO_VAL);
    grad.wants = wants;
    assert_int_equal(oxp_op_Conv.grad(&grad), OXP_OK);
    assert_true(dx[0] != OXP_NO_VAL && dx[1] != OXP_NO_VAL);
}

/* ---- pools ---- */

static void pools_take_infinities_as_numbers(void **state)
{
    fixture *f = *state;
    const oxp_attr attrs[] = {OXP_INTS("kernel_shape", ((const int64_t[]){2}), 1),
                              OXP_INTS("pads", ((const int64_t[]){1, 0}), 2)};
    const double inf = (double)INFINITY, x[] = {-inf, -inf, 3, (double)NAN, 5},
                 dy[] = {1, 2, 4, 8, 16};
    const oxp_val in = input(f, OXP_F32, SHAPE(1, 1, 5)), up = input(f, OXP_F32, SHAPE(1, 1, 5));
    const oxp_val y = oxp_emit(&f->b, &oxp_op_MaxPool, &in, 1, attrs, 2);
    double out[5], dx[5];
    assert_int_equal(evaluate(f, y, (const double *const[]){x}, out), OXP_OK);
    assert_true(out[0] == -inf && out[1] == -inf && out[2] == 3 && isnan(out[3]) && isnan(out[4]));
    const oxp_val adjoint =
        oxp_emit(&f->b, &oxp_op__MaxPoolGrad, (const oxp_val[]){in, y, up}, 3, attrs, 2);
    const double want[] = {3, 0, 4, 24, 0}; /* the padding never gets anything */
    assert_int_equal(evaluate(f, adjoint, (const double *const[]){x, out, dy}, dx), OXP_OK);
    assert_memory_equal(dx, want, sizeof want);
}

/* Windows and paddings of 2^31 cells over a tiny input: refused or computed, but at once. */
static void huge_windows_cost_nothing(void **state)
{
    fixture *f = *state;
    const int64_t kernel = INT32_MAX, pads[] = {INT32_MAX - 1, 0}, stride = 2, dilation = INT32_MAX;
    const double x[] = {3, 9, 6};
    const oxp_val in = input(f, OXP_F32, SHAPE(1, 1, 3));
    const oxp_attr attrs[] = {OXP_INTS("kernel_shape", &kernel, 1), OXP_INTS("pads", pads, 2),
                              OXP_INT("count_include_pad", 1)};
    const oxp_val y = oxp_emit(&f->b, &oxp_op_AveragePool, &in, 1, attrs, 3);
    double out[3];
    assert_int_equal(evaluate(f, y, (const double *const[]){x}, out), OXP_OK);
    const double want[] = {3 / (double)kernel, 12 / (double)kernel, 18 / (double)kernel};
    assert_close_f64(out, want, 3, 1e-12);
    const oxp_attr dilated[] = {OXP_INTS("kernel_shape", &stride, 1),
                                OXP_INTS("dilations", &dilation, 1),
                                OXP_INTS("pads", ((const int64_t[]){INT32_MAX, INT32_MAX}), 2)};
    assert_int_equal(oxp_emit(&f->b, &oxp_op_MaxPool, &in, 1, dilated, 3), OXP_NO_VAL);
    assert_int_equal(f->b.status, OXP_EUNSUPPORTED);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reshape_as_view),
        TEST(gather_checks_each_index),
        TEST(weights_of_a_convolution_get_a_gradient_when_asked),
        TEST(pools_take_infinities_as_numbers),
        TEST(huge_windows_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
