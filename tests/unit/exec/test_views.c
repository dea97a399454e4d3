/* test_views.c - operators that move elements, on channels-last data and on views of views: whatever
 * strides lowering gives them, the fused executor must give what the plain one gives, to the bit. */
#include "exec/program.h"
#include "ops/infer.h"
#include "support/support.h"
#include <string.h>

typedef struct fixture {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
    oxp_build b;
    oxp_val image; /* (2,6,4,5), channels-last: the result of a pool */
} fixture;

static int set_up(void **state)
{
    fixture *f = test_calloc(1, sizeof *f);
    f->arena = oxp_arena_new(NULL);
    f->ctx = (oxp_ctx){.error = &f->error, .scratch = f->arena};
    oxp_build_init(&f->b, &f->ctx, oxp_graph_new(f->arena));
    const oxp_shape shape = {.rank = 4, .dim = {2, 6, 5, 6}};
    oxp_val x;
    *state = f;
    if (oxp_graph_add_value(&f->ctx, f->b.g, "x", OXP_VALUE_INPUT, OXP_F32, &shape, &x) != OXP_OK)
        return -1;
    f->image = OXP_EMIT1(&f->b, &oxp_op_MaxPool, x,
                         OXP_INTS("kernel_shape", ((const int64_t[]){2, 2}), 2));
    return f->b.status == OXP_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    oxp_arena_free(f->arena);
    test_free(f);
    return 0;
}

static float *run(fixture *f, oxp_exec_kind kind, int threads)
{
    const oxp_graph *g = f->b.g;
    const int64_t n = oxp_shape_elements(oxp_shape_at(g, g->outputs[0]));
    float *x = OXP_NEW(f->arena, float, 360), *y = OXP_NEW(f->arena, float, n + 1);
    const oxp_tensor input = {OXP_F32, *oxp_shape_at(g, g->inputs[0]), x};
    const oxp_exec_options options = {.kind = kind, .threads = threads};
    oxp_weights *weights = oxp_weights_new(NULL);
    oxp_program *p = NULL;
    for (int i = 0; i < 360; i++) x[i] = (float)((i * 7919) % 1009) - 500.0f;
    const bool ok = oxp_program_new(&f->ctx, g, weights, &options, &p) == OXP_OK &&
                    oxp_program_feed(&f->ctx, p, 0, &input) == OXP_OK &&
                    oxp_program_run(&f->ctx, p, 0) == OXP_OK &&
                    oxp_program_run(&f->ctx, p, 1) == OXP_OK &&
                    oxp_program_read(&f->ctx, p, 0, OXP_F32, y) == OXP_OK;
    oxp_program_free(p);
    oxp_weights_free(weights);
    if (!ok) fail_msg("%s", f->error.message);
    return y;
}

/* y, and y again behind an elementwise operator, which must cope with y's strides. */
static void same_in_both(fixture *f, oxp_val y)
{
    const oxp_val twice = oxp_b_add(&f->b, y, y);
    if (f->b.status != OXP_OK) fail_msg("%s", f->error.message);
    for (int k = 0; k < 2; k++) {
        f->b.g->n_outputs = 0;
        assert_int_equal(oxp_graph_add_output(&f->ctx, f->b.g, k ? twice : y), OXP_OK);
        const size_t bytes = (size_t)oxp_shape_elements(oxp_b_shape(&f->b, y)) * sizeof(float);
        const float *want = run(f, OXP_EXEC_PLAIN, 1);
        assert_memory_equal(run(f, OXP_EXEC_FUSED, 1), want, bytes);
        assert_memory_equal(run(f, OXP_EXEC_FUSED, 2), want, bytes);
    }
}

#define INTS(name, ...)                                \
    OXP_INTS((name), ((const int64_t[]){__VA_ARGS__}), \
             sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define APPLY(op, x, ...) OXP_EMIT1(&f->b, &oxp_op_##op, (x), __VA_ARGS__)

static void renamed_axes(void **state)
{
    fixture *f = *state;
    same_in_both(f, APPLY(Flatten, f->image, OXP_INT("axis", 1)));
    same_in_both(f, APPLY(Reshape, f->image, INTS("shape", 2, 6, 20)));
    same_in_both(f, APPLY(Reshape, f->image, INTS("shape", 2, 2, 3, 4, 5)));
    same_in_both(f, APPLY(Reshape, f->image, INTS("shape", 12, 20)));
    const oxp_val last = APPLY(Transpose, f->image, INTS("perm", 0, 2, 3, 1));
    same_in_both(f, last);
    same_in_both(f, APPLY(Reshape, last, INTS("shape", 2, 20, 6)));
    same_in_both(f, APPLY(Transpose, f->image, INTS("perm", 3, 1, 0, 2)));
    same_in_both(f, APPLY(Unsqueeze, f->image, INTS("axes", 0, 3)));
}

/* Patches to tokens, heads apart and together again: what transformers do. */
static void tokens_and_heads(void **state)
{
    fixture *f = *state;
    const oxp_val grid = APPLY(Reshape, f->image, INTS("shape", 2, 6, 20));
    const oxp_val tokens = APPLY(Transpose, grid, INTS("perm", 0, 2, 1));
    const oxp_val split = APPLY(Reshape, tokens, INTS("shape", 2, 20, 3, 2));
    const oxp_val heads = APPLY(Transpose, split, INTS("perm", 0, 2, 1, 3));
    same_in_both(f, heads);
    const oxp_val back = APPLY(Transpose, heads, INTS("perm", 0, 2, 1, 3));
    same_in_both(f, APPLY(Reshape, back, INTS("shape", 2, 20, 6)));
}

static void cut_and_joined(void **state)
{
    fixture *f = *state;
    const oxp_val odd = APPLY(Slice, f->image, INTS("starts", 1), INTS("ends", 6), INTS("axes", 1),
                              INTS("steps", 2));
    same_in_both(f, odd);
    same_in_both(f, APPLY(Slice, f->image, INTS("starts", -1, 3), INTS("ends", -9, 0),
                          INTS("axes", 1, 2), INTS("steps", -2, -1)));
    same_in_both(f, APPLY(Slice, odd, INTS("starts", 1), INTS("ends", 3), INTS("axes", 2)));
    oxp_val half[2];
    const oxp_attr axis = OXP_INT("axis", 1);
    oxp_emit_multi(&f->b, &oxp_op_Split, &f->image, 1, &axis, 1, 2, half);
    same_in_both(f, oxp_b_concat(&f->b, (const oxp_val[]){half[1], odd, half[0]}, 3, 1));
    /* ShuffleNet: channels in two groups, interleaved */
    const oxp_val groups = APPLY(Reshape, f->image, INTS("shape", 2, 2, 3, 4, 5));
    const oxp_val mixed = APPLY(Transpose, groups, INTS("perm", 0, 2, 1, 3, 4));
    same_in_both(f, APPLY(Reshape, mixed, INTS("shape", 2, 6, 4, 5)));
    same_in_both(f, APPLY(_SliceGrad, odd, INTS("starts", 4), INTS("axes", 1), INTS("steps", -2),
                          INTS("input_shape", 2, 6, 4, 5)));
}

/* What a pool reads is copied straight to channels-last where no view can say it. */
static void straight_to_channels_last(void **state)
{
    fixture *f = *state;
    const oxp_attr window = INTS("kernel_shape", 2, 2), block = OXP_INT("blocksize", 2);
    const oxp_val groups = APPLY(Reshape, f->image, INTS("shape", 2, 2, 3, 4, 5));
    const oxp_val mixed = APPLY(Transpose, groups, INTS("perm", 0, 2, 1, 3, 4));
    const oxp_val shuffled = APPLY(Reshape, mixed, INTS("shape", 2, 6, 4, 5));
    same_in_both(f, oxp_emit(&f->b, &oxp_op_MaxPool, &shuffled, 1, &window, 1));
    const oxp_val turned =
        APPLY(Reshape, f->image, INTS("shape", 2, 5, 6, 4)); /* nothing in common */
    same_in_both(f, oxp_emit(&f->b, &oxp_op_MaxPool, &turned, 1, &window, 1));
    const oxp_val even =
        APPLY(Slice, f->image, INTS("starts", 0), INTS("ends", 4), INTS("axes", 1));
    const oxp_val large = oxp_emit(&f->b, &oxp_op_DepthToSpace, &even, 1, &block, 1);
    same_in_both(f, oxp_emit(&f->b, &oxp_op_MaxPool, &large, 1, &window, 1));
    const oxp_val deep = oxp_emit(&f->b, &oxp_op_SpaceToDepth, &large, 1, &block, 1);
    same_in_both(f, oxp_emit(&f->b, &oxp_op_MaxPool, &deep, 1, &window, 1));
}

static void padded_and_repeated(void **state)
{
    fixture *f = *state;
    const int64_t pads[] = {0, 0, 1, 2, 0, 0, 0, 1}, crop[] = {0, -1, 1, 0, 0, -2, 0, -1};
    same_in_both(f, APPLY(Pad, f->image, OXP_INTS("pads", pads, 8), OXP_FLOAT("value", -3)));
    same_in_both(f, APPLY(Pad, f->image, OXP_INTS("pads", crop, 8)));
    same_in_both(f, APPLY(Pad, f->image, OXP_INTS("pads", pads, 8), OXP_STR("mode", "reflect")));
    same_in_both(f, APPLY(Tile, f->image, INTS("repeats", 1, 2, 3, 1)));
    same_in_both(f, APPLY(Resize, f->image, INTS("sizes", 2, 6, 7, 9), OXP_STR("mode", "nearest")));
    const oxp_shape wide = {.rank = 4, .dim = {2, 6, 3, 5}};
    const oxp_val line = APPLY(MaxPool, f->image, INTS("kernel_shape", 4, 1));
    same_in_both(f, oxp_b_expand(&f->b, line, &wide));
}

static void gathered(void **state)
{
    fixture *f = *state;
    const oxp_val row =
        oxp_b_reshape(&f->b, oxp_b_ints(&f->b, (const int64_t[]){-2}, 1), &(oxp_shape){.rank = 0});
    const oxp_val some = oxp_b_ints(&f->b, (const int64_t[]){3, 0, -1, 3}, 4);
    for (int64_t a = 0; a < 4; a++) {
        const oxp_attr axis = OXP_INT("axis", a);
        same_in_both(
            f, oxp_emit(&f->b, &oxp_op_Gather, (const oxp_val[]){f->image, row}, 2, &axis, 1));
        if (a > 0)
            same_in_both(
                f, oxp_emit(&f->b, &oxp_op_Gather, (const oxp_val[]){f->image, some}, 2, &axis, 1));
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(renamed_axes),        TEST(tokens_and_heads),
                                       TEST(cut_and_joined),      TEST(straight_to_channels_last),
                                       TEST(padded_and_repeated), TEST(gathered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
