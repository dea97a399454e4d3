/* Softmax, norms, reductions, gathers, resizing, pooling and moves against the plain executor, on
 * values that lie as rows, channels-last and as views. */
#include "rig.h"

/* The ways in which the same input may lie. */
typedef enum lie { ROWS, LAST, TRANSPOSED, SLICED, LIES } lie;

static oxp_val lying(rig *r, oxp_shape s, lie how)
{
    if (how == TRANSPOSED && s.rank >= 2) {
        int64_t perm[OXP_MAX_RANK];
        oxp_shape before = s;
        for (int i = 0; i < s.rank; i++)
            perm[i] = s.rank - 1 - i, before.dim[i] = s.dim[s.rank - 1 - i];
        return oxp_b_transpose(&r->b, rig_input(r, before, OXP_VALUE_INPUT), perm);
    }
    if (how == SLICED) {
        oxp_shape wide = s;
        wide.dim[s.rank - 1] += 3;
        const oxp_val x = rig_input(r, wide, OXP_VALUE_INPUT);
        return oxp_b_slice(&r->b, x, s.rank - 1, 2, 2 + s.dim[s.rank - 1]);
    }
    const oxp_val x = rig_input(r, s, OXP_VALUE_INPUT);
    return how == LAST && s.rank >= 3 && s.rank <= 5 ? rig_last(r, x) : x;
}

static void one(rig *r, oxp_val y, double tolerance, const char *what)
{
    rig_output(r, y);
    rig_compare(r, tolerance, what);
    rig_end(r);
}

static void test_softmax(void **state)
{
    (void)state;
    const oxp_op *const forward[2] = {&oxp_op_Softmax, &oxp_op_LogSoftmax};
    const oxp_op *const grad[2] = {&oxp_op__SoftmaxGrad, &oxp_op__LogSoftmaxGrad};
    for (int log = 0; log < 2; log++)
        for (int how = 0; how < LIES; how++)
            for (int axis = 0; axis < 4; axis++)
                for (int span = 0; span < 2; span++) {
                    rig r;
                    rig_start(&r);
                    const oxp_attr attrs[] = {OXP_INT("axis", axis), OXP_INT("span", span)};
                    const oxp_val x = lying(&r, SHAPE(3, 70, 5, 33), (lie)how);
                    const oxp_val y = oxp_emit(&r.b, forward[log], &x, 1, attrs, 2);
                    const oxp_val in[2] = {y,
                                           lying(&r, SHAPE(3, 70, 5, 33), (lie)(LIES - 1 - how))};
                    rig_output(&r, y);
                    one(&r, oxp_emit(&r.b, grad[log], in, 2, attrs, 2), 2e-6, forward[log]->name);
                }
}

static void test_softmax_of_extremes(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    const oxp_val x = rig_input(&r, SHAPE(40, 900), OXP_VALUE_INPUT);
    const oxp_val wide = oxp_b_mul(&r.b, x, oxp_b_scalar(&r.b, 300.0));
    one(&r, OXP_EMIT1(&r.b, &oxp_op_Softmax, wide, OXP_INT("axis", 1)), 1e-4, "wide softmax");
}

static void test_layer_norm(void **state)
{
    (void)state;
    for (int how = 0; how < LIES; how++)
        for (int axis = 1; axis < 4; axis++)
            for (int parts = 0; parts < 3; parts++) { /* nothing, scale, scale and bias */
                rig r;
                rig_start(&r);
                const oxp_shape s = SHAPE(3, 17, 5, 33);
                const oxp_shape tail = oxp_shape_of(4 - axis, s.dim + axis);
                const oxp_attr attrs[] = {OXP_INT("axis", axis), OXP_FLOAT("epsilon", 1e-5)};
                const oxp_val x = lying(&r, s, (lie)how);
                const oxp_val scale = rig_const(&r, tail, OXP_F32),
                              bias = rig_const(&r, tail, OXP_F32);
                const oxp_val in[3] = {x, scale, bias},
                              back[3] = {x, parts ? scale : OXP_NO_VAL, lying(&r, s, LAST)};
                rig_output(&r, oxp_emit(&r.b, &oxp_op_LayerNormalization, in, parts == 2 ? 3 : 2,
                                        attrs, 2));
                one(&r, oxp_emit(&r.b, &oxp_op__LayerNormGrad, back, 3, attrs, 2), 3e-6,
                    "layer norm");
            }
}

static void test_reductions(void **state)
{
    (void)state;
    const oxp_op *const ops[] = {&oxp_op_ReduceSum, &oxp_op_ReduceMean, &oxp_op_ReduceMax,
                                 &oxp_op_ReduceMin, &oxp_op_ReduceProd};
    for (size_t k = 0; k < 5; k++)
        for (int how = 0; how < LIES; how++)
            for (unsigned mask = 1; mask < 16; mask++)
                for (int keep = 0; keep < 2; keep++) {
                    rig r;
                    rig_start(&r);
                    int64_t axes[4];
                    size_t n = 0;
                    for (int a = 0; a < 4; a++)
                        if (mask >> a & 1u) axes[n++] = a;
                    const oxp_val x =
                        lying(&r, k == 4 ? SHAPE(2, 3, 4, 3) : SHAPE(2, 20, 5, 33), (lie)how);
                    const oxp_attr attrs[] = {OXP_INTS("axes", axes, n), OXP_INT("keepdims", keep)};
                    one(&r, oxp_emit(&r.b, ops[k], &x, 1, attrs, 2), 1e-6, ops[k]->name);
                }
}

static oxp_val indices(rig *r, const int64_t *v, size_t n)
{
    return oxp_b_ints(&r->b, v, n);
}

static void test_gather(void **state)
{
    (void)state;
    for (int how = 0; how < LIES; how++)
        for (int axis = 0; axis < 3; axis++) {
            rig r;
            rig_start(&r);
            const oxp_shape s = SHAPE(6, 7, 90);
            oxp_shape picked = s;
            picked.dim[axis] = 5;
            const int64_t v[5] = {1, 4, -1, 1, 0};
            const oxp_attr attrs[] = {OXP_INT("axis", axis), OXP_INTS("input_shape", s.dim, 3)};
            const oxp_val in[2] = {lying(&r, s, (lie)how), indices(&r, v, 5)};
            const oxp_val back[2] = {lying(&r, picked, (lie)how), in[1]};
            rig_output(&r, oxp_emit(&r.b, &oxp_op_Gather, in, 2, attrs, 1));
            one(&r, oxp_emit(&r.b, &oxp_op__GatherGrad, back, 2, attrs, 2), 1e-6, "gather");
        }
}

static void test_gather_refuses_bad_index(void **state)
{
    (void)state;
    for (int64_t bad = -6; bad <= 5; bad += 11) {
        rig r;
        rig_start(&r);
        const int64_t fed[1] = {bad};
        oxp_val index;
        const oxp_shape one_index = SHAPE(1);
        assert_int_equal(
            oxp_graph_add_value(&r.ctx, r.g, "i", OXP_VALUE_INPUT, OXP_I64, &one_index, &index),
            OXP_OK);
        const oxp_val in[2] = {rig_const(&r, SHAPE(5, 4), OXP_F32), index};
        const oxp_attr axis = OXP_INT("axis", 0);
        rig_output(&r, oxp_emit(&r.b, &oxp_op_Gather, in, 2, &axis, 1));
        oxp_program *p = rig_compile(&r, OXP_EXEC_FUSED, 1);
        const oxp_tensor t = {OXP_I64, SHAPE(1), fed};
        assert_int_equal(oxp_program_feed(&r.ctx, p, 0, &t), OXP_OK);
        assert_int_equal(oxp_program_run(&r.ctx, p, 0), OXP_EINVAL);
        assert_non_null(strstr(r.error.message, "gather"));
        oxp_program_free(p);
        rig_end(&r);
    }
}

static void test_resize(void **state)
{
    (void)state;
    static const char *const modes[] = {"nearest", "linear"};
    const double scales[][4] = {{1, 1, 2, 2}, {1, 1, 0.6, 1.7}, {1, 1, 4, 1}, {2, 1, 1, 3}};
    for (int how = 0; how < LIES; how++)
        for (int m = 0; m < 2; m++)
            for (int k = 0; k < 4; k++) {
                rig r;
                rig_start(&r);
                const oxp_shape s = SHAPE(2, 20, 7, 9);
                const oxp_val x = lying(&r, s, (lie)how);
                oxp_attr attrs[4] = {
                    OXP_STR("mode", modes[m]),
                    {.name = "scales", .type = OXP_ATTR_FLOATS, .n = 4, .floats = scales[k]},
                    OXP_STR("coordinate_transformation_mode", "half_pixel"),
                    OXP_INTS("input_shape", s.dim, 4)};
                const oxp_val y = oxp_emit(&r.b, &oxp_op_Resize, &x, 1, attrs, 3);
                if (r.b.status != OXP_OK) fail_msg("%s", r.error.message);
                const oxp_val dy = lying(&r, *oxp_b_shape(&r.b, y), (lie)how);
                rig_output(&r, y);
                one(&r, oxp_emit(&r.b, &oxp_op__ResizeGrad, &dy, 1, attrs, 4), 1e-6, "resize");
            }
}

typedef struct window {
    oxp_shape x;
    int64_t kernel[3], stride[3], dilation[3], pads[6];
    int ceil, include;
} window;

static void test_pooling(void **state)
{
    (void)state;
    const window windows[] = {
        {SHAPE(2, 5, 13, 11), {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 0, 0},
        {SHAPE(2, 5, 13, 11), {2, 3}, {1, 2}, {2, 1}, {0, 1, 1, 0}, 0, 1},
        {SHAPE(1, 300, 9, 9), {3, 2}, {2, 2}, {1, 1}, {1, 0, 0, 1}, 1, 1},
        {SHAPE(2, 7, 50), {5}, {3}, {2}, {2, 1}, 1, 0},
        {SHAPE(1, 6, 5, 6, 7), {2, 3, 2}, {2, 1, 2}, {1, 2, 1}, {0, 1, 0, 1, 1, 0}, 0, 0},
    };
    for (size_t k = 0; k < sizeof windows / sizeof *windows; k++)
        for (int how = 0; how < LIES; how++)
            for (int max = 0; max < 2; max++) {
                const window *w = &windows[k];
                const size_t axes = (size_t)w->x.rank - 2;
                rig r;
                rig_start(&r);
                oxp_attr attrs[7] = {
                    OXP_INTS("kernel_shape", w->kernel, axes), OXP_INTS("strides", w->stride, axes),
                    OXP_INTS("dilations", w->dilation, axes), OXP_INTS("pads", w->pads, 2 * axes),
                    OXP_INT("ceil_mode", w->ceil)};
                size_t n = 5;
                if (!max) attrs[n++] = OXP_INT("count_include_pad", w->include);
                const oxp_val x = lying(&r, w->x, (lie)how);
                const oxp_val y =
                    oxp_emit(&r.b, max ? &oxp_op_MaxPool : &oxp_op_AveragePool, &x, 1, attrs, n);
                if (r.b.status != OXP_OK) fail_msg("%s", r.error.message);
                rig_output(&r, y);
                const oxp_val in[3] = {x, y, lying(&r, *oxp_b_shape(&r.b, y), (lie)how)};
                if (!max) attrs[n++] = OXP_INTS("input_shape", w->x.dim, (size_t)w->x.rank);
                one(&r,
                    oxp_emit(&r.b, max ? &oxp_op__MaxPoolGrad : &oxp_op__AveragePoolGrad,
                             max ? in : in + 2, max ? 3 : 1, attrs, n),
                    1e-6, max ? "max pool" : "average pool");
            }
}

/* Equal cells: the first in scan order gets the adjoint. */
static void test_max_pool_ties(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    const int64_t two[2] = {2, 2};
    const oxp_attr attrs[] = {OXP_INTS("kernel_shape", two, 2)};
    const oxp_val x =
        oxp_b_unary(&r.b, &oxp_op_Sign, rig_input(&r, SHAPE(2, 20, 9, 9), OXP_VALUE_INPUT));
    const oxp_val y = oxp_emit(&r.b, &oxp_op_MaxPool, &x, 1, attrs, 1);
    const oxp_val in[3] = {x, y, rig_input(&r, SHAPE(2, 20, 8, 8), OXP_VALUE_SEED)};
    one(&r, oxp_emit(&r.b, &oxp_op__MaxPoolGrad, in, 3, attrs, 1), 1e-6, "ties");
}

static void test_moves(void **state)
{
    (void)state;
    for (int how = 0; how < LIES; how++) {
        rig r;
        rig_start(&r);
        oxp_build *b = &r.b;
        const oxp_shape s = SHAPE(2, 33, 17, 20), flat = SHAPE(66, 340),
                        wide = SHAPE(3, 2, 33, 17, 20);
        const int64_t perm[4] = {2, 0, 3, 1};
        const oxp_val x = lying(&r, s, (lie)how), y = lying(&r, s, LAST);
        const oxp_val parts[3] = {x, oxp_b_slice(b, y, 1, 5, 9), x};
        const oxp_val cat = oxp_b_concat(b, parts, 3, 1);
        rig_output(&r, oxp_b_transpose(b, cat, perm));
        rig_output(&r, oxp_b_reshape(b, x, &flat));
        rig_output(&r, oxp_b_pad_zero(b, x, 2, 3, 1));
        rig_output(&r, oxp_b_expand(b, x, &wide));
        const oxp_val both[2] = {oxp_b_transpose(b, x, perm), oxp_b_transpose(b, y, perm)};
        rig_output(&r, oxp_emit(b, &oxp_op_Max, both, 2, NULL, 0));
        rig_compare(&r, 0.0, "moves");
        rig_end(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax),       cmocka_unit_test(test_softmax_of_extremes),
        cmocka_unit_test(test_layer_norm),    cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_gather),        cmocka_unit_test(test_gather_refuses_bad_index),
        cmocka_unit_test(test_resize),        cmocka_unit_test(test_pooling),
        cmocka_unit_test(test_max_pool_ties), cmocka_unit_test(test_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
