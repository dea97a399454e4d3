/*
 * Shapes and dtypes: counting without wrapping, broadcasting, strides, text, new tensors.
 */
#include "support/alloc.h"
#include "support/support.h"
#include "tensor/tensor.h"
#include <stdlib.h>
#include <string.h>

#define SHAPE(...) \
    ((oxp_shape){.rank = (int32_t)OXP_COUNT(((int64_t[]){__VA_ARGS__})), .dim = {__VA_ARGS__}})

static const oxp_shape scalar = {0}, unknown_rank = {.rank = -1};

static void test_dtypes(void **state)
{
    (void)state;
    const struct {
        oxp_dtype dtype;
        const char *name;
        size_t size;
        bool is_float, is_int;
    } cases[] = {
        {OXP_F32, "float32", 4, true, false},
        {OXP_F64, "float64", 8, true, false},
        {OXP_F16, "float16", 2, true, false},
        {OXP_BF16, "bfloat16", 2, true, false},
        {OXP_U8, "uint8", 1, false, true},
        {OXP_I8, "int8", 1, false, true},
        {OXP_U16, "uint16", 2, false, true},
        {OXP_I16, "int16", 2, false, true},
        {OXP_U32, "uint32", 4, false, true},
        {OXP_I32, "int32", 4, false, true},
        {OXP_U64, "uint64", 8, false, true},
        {OXP_I64, "int64", 8, false, true},
        {OXP_F8E4M3FN, "float8e4m3fn", 1, true, false},
        {OXP_F4E2M1, "float4e2m1", 1, true, false},
        {OXP_I4, "int4", 1, false, true},
        {OXP_U2, "uint2", 1, false, true},
        {OXP_BOOL, "bool", 1, false, false},
        {OXP_DTYPE_NONE, "none", 0, false, false},
        {(oxp_dtype)8, "none", 0, false, false}, /* ONNX's string */
        {(oxp_dtype)29, "none", 0, false, false},
        {(oxp_dtype)-1, "none", 0, false, false},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        assert_string_equal(oxp_dtype_name(cases[i].dtype), cases[i].name);
        assert_int_equal(oxp_dtype_size(cases[i].dtype), cases[i].size);
        assert_int_equal(oxp_dtype_is_float(cases[i].dtype), cases[i].is_float);
        assert_int_equal(oxp_dtype_is_int(cases[i].dtype), cases[i].is_int);
    }
}

static void test_count(void **state)
{
    (void)state;
    const int64_t big = INT64_C(1) << 31;
    int64_t n = -5;
    assert_true(oxp_shape_count(&SHAPE(1, 3, 224, 224), &n) && n == 150528);
    assert_true(oxp_shape_count(&scalar, &n) && n == 1);
    assert_true(oxp_shape_count(&SHAPE(4, 0, 7), &n) && n == 0);
    assert_true(oxp_shape_count(&SHAPE(PTRDIFF_MAX / 8), &n) && n == PTRDIFF_MAX / 8);
    n = -5;
    assert_false(oxp_shape_count(&SHAPE(PTRDIFF_MAX / 8 + 1), &n)); /* times 8 bytes it wraps */
    assert_false(oxp_shape_count(&SHAPE(big, big, big, big), &n));  /* would wrap to 0 */
    assert_false(oxp_shape_count(&SHAPE(INT64_MAX, INT64_MAX), &n));
    assert_false(oxp_shape_count(&SHAPE(0, INT64_MAX, INT64_MAX), &n));
    assert_false(oxp_shape_count(&SHAPE(3, OXP_DIM_UNKNOWN), &n));
    assert_false(oxp_shape_count(&SHAPE(INT64_MIN), &n));
    assert_false(oxp_shape_count(&unknown_rank, &n));
    oxp_shape deep = {.rank = OXP_MAX_RANK + 1};
    assert_false(oxp_shape_count(&deep, &n));
    assert_int_equal(n, -5);
    assert_int_equal(oxp_shape_elements(&SHAPE(2, 3)), 6);
}

static void check_broadcast(oxp_shape a, oxp_shape b, const oxp_shape *want)
{
    oxp_shape ab, ba;
    assert_int_equal(oxp_shape_broadcast(&a, &b, &ab), want != NULL);
    assert_int_equal(oxp_shape_broadcast(&b, &a, &ba), want != NULL);
    if (want == NULL) return;
    assert_true(oxp_shape_equal(&ab, want));
    assert_true(oxp_shape_equal(&ba, want));
}

static void test_broadcast(void **state)
{
    (void)state;
    check_broadcast(SHAPE(8, 1, 6, 1), SHAPE(7, 1, 5), &SHAPE(8, 7, 6, 5));
    check_broadcast(SHAPE(3), scalar, &SHAPE(3));
    check_broadcast(SHAPE(2, 3), SHAPE(2, 3), &SHAPE(2, 3));
    check_broadcast(SHAPE(2, 1), SHAPE(0), &SHAPE(2, 0));
    check_broadcast(SHAPE(2, 3), SHAPE(2, 4), NULL);
    check_broadcast(SHAPE(2), SHAPE(0), NULL);
    check_broadcast(SHAPE(-1, 3), SHAPE(1, 3), &SHAPE(-1, 3));
    check_broadcast(SHAPE(-1), SHAPE(5), &SHAPE(5)); /* 1 or 5: 5 either way */
    check_broadcast(SHAPE(-1), SHAPE(-1), &SHAPE(-1));
    check_broadcast(unknown_rank, SHAPE(2), &unknown_rank);
}

static void test_text_and_strides(void **state)
{
    (void)state;
    char text[OXP_SHAPE_TEXT];
    assert_string_equal(oxp_shape_text(&SHAPE(1, 3, -1, 224), text), "(1,3,?,224)");
    assert_string_equal(oxp_shape_text(&scalar, text), "()");
    assert_string_equal(oxp_shape_text(&unknown_rank, text), "(?)");
    const int64_t m = INT64_MAX;
    const oxp_shape longest = SHAPE(m, m, m, m, m, m, m, m);
    assert_int_equal(strlen(oxp_shape_text(&longest, text)), 8 * 19 + 7 + 2);
    int64_t stride[OXP_MAX_RANK];
    oxp_shape_strides(&SHAPE(2, 3, 4), stride);
    assert_true(stride[0] == 12 && stride[1] == 4 && stride[2] == 1);
    assert_false(oxp_shape_equal(&SHAPE(2, 3), &SHAPE(2, 3, 1)));
    assert_false(oxp_shape_equal(&SHAPE(2, 3), &SHAPE(3, 2)));
    assert_true(oxp_shape_known(&SHAPE(0)) && !oxp_shape_known(&SHAPE(-1)));
}

static void test_new_tensor(void **state)
{
    (void)state;
    oxp_error error = {0};
    oxp_ctx ctx = {.error = &error};
    oxp_test_alloc a = {.fail_at = -1};
    const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
    oxp_arena *arena = oxp_arena_new(&hooks);
    oxp_tensor t = {0};
    assert_int_equal(oxp_tensor_new(&ctx, arena, OXP_F32, &SHAPE(-1), &t), OXP_ELIMIT);
    assert_int_equal(oxp_tensor_new(&ctx, arena, OXP_F64, &SHAPE(INT64_C(1) << 59), &t),
                     OXP_ENOMEM);
    assert_null(t.data);
    assert_int_equal(oxp_tensor_new(&ctx, arena, OXP_F16, &SHAPE(5, 7), &t), OXP_OK);
    assert_int_equal(oxp_tensor_bytes(&t), 70);
    assert_int_equal((uintptr_t)t.data % 64, 0);
    for (int i = 0; i < 35; i++) assert_int_equal(oxp_tensor_get_int(&t, i), 0);
    assert_int_equal(oxp_tensor_new(&ctx, arena, OXP_I64, &SHAPE(0), &t), OXP_OK);
    assert_int_equal(oxp_tensor_bytes(&t), 0);
    oxp_arena_free(arena);
    assert_int_equal(a.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes),     cmocka_unit_test(test_count),
        cmocka_unit_test(test_broadcast),  cmocka_unit_test(test_text_and_strides),
        cmocka_unit_test(test_new_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
