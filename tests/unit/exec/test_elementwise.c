/* The elementwise loops against the plain executor: every function, every kind of broadcast, both
 * layouts, in place and not. */
#include "rig.h"

static const oxp_op *const unary[] = {
    &oxp_op_Neg,   &oxp_op_Abs,     &oxp_op_Exp,         &oxp_op_Relu,      &oxp_op_LeakyRelu,
    &oxp_op_Elu,   &oxp_op_Sigmoid, &oxp_op_HardSigmoid, &oxp_op_HardSwish, &oxp_op_Softplus,
    &oxp_op_Tanh,  &oxp_op_Erf,     &oxp_op_Floor,       &oxp_op_Ceil,      &oxp_op_Round,
    &oxp_op_Sign,  &oxp_op_Sin,     &oxp_op_Cos,         &oxp_op__Gelu,     &oxp_op__GeluTanh,
    &oxp_op__Silu, &oxp_op__Mish};

static void test_unary(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof unary / sizeof *unary; k++)
        for (int last = 0; last < 2; last++) {
            rig r;
            rig_start(&r);
            oxp_val x = rig_input(&r, SHAPE(2, 7, 41, 33), OXP_VALUE_INPUT);
            if (last) x = rig_last(&r, x);
            rig_output(&r, oxp_b_unary(&r.b, unary[k], x));
            rig_compare(&r, 1e-6, unary[k]->name);
            rig_end(&r);
        }
}

static void test_unary_of_positive(void **state)
{
    (void)state;
    const oxp_op *const ops[] = {&oxp_op_Sqrt, &oxp_op_Log, &oxp_op_Reciprocal};
    for (size_t k = 0; k < 3; k++) {
        rig r;
        rig_start(&r);
        const oxp_val x = rig_input(&r, SHAPE(3, 50), OXP_VALUE_INPUT);
        const oxp_val positive = oxp_b_add(&r.b, oxp_b_mul(&r.b, x, x), oxp_b_scalar(&r.b, 0.01));
        rig_output(&r, oxp_b_unary(&r.b, ops[k], positive));
        rig_compare(&r, 1e-6, ops[k]->name);
        rig_end(&r);
    }
}

static void test_unary_grad_sums_adjoints(void **state)
{
    (void)state;
    static const char *const fns[] = {
        "Relu", "Sigmoid",   "Tanh",     "_Gelu", "_Silu",     "_Mish", "HardSwish", "Clip",
        "Elu",  "LeakyRelu", "Softplus", "Erf",   "_GeluTanh", "Abs",   "Exp",       "Sin"};
    for (size_t k = 0; k < sizeof fns / sizeof *fns; k++)
        for (size_t n = 1; n <= 9; n += 2) {
            rig r;
            oxp_val in[10];
            rig_start(&r);
            for (size_t i = 0; i <= n; i++) {
                in[i] =
                    rig_input(&r, SHAPE(1, 5, 31, 40), i == 0 ? OXP_VALUE_INPUT : OXP_VALUE_SEED);
                if (i % 2 == 0) in[i] = rig_last(&r, in[i]);
            }
            const oxp_attr attrs[] = {OXP_STR("fn", fns[k]), OXP_FLOAT("alpha", 0.3),
                                      OXP_FLOAT("beta", 0.9)};
            rig_output(&r, oxp_emit(&r.b, &oxp_op__UnaryGrad, in, n + 1, attrs, 3));
            rig_compare(&r, 2e-6, fns[k]);
            rig_end(&r);
        }
}

static const oxp_op *const binary[] = {&oxp_op_Add,     &oxp_op_Sub,        &oxp_op_Mul,
                                       &oxp_op_Div,     &oxp_op_Min,        &oxp_op_Max,
                                       &oxp_op_Greater, &oxp_op_LessOrEqual};

typedef struct pair {
    oxp_shape x, y;
} pair;

static oxp_val emit2(rig *r, const oxp_op *op, oxp_val x, oxp_val y)
{
    return oxp_emit(&r->b, op, (const oxp_val[]){x, y}, 2, NULL, 0);
}

static void test_binary_broadcasts(void **state)
{
    (void)state;
    const pair pairs[] = {
        {SHAPE(2, 3, 40, 5), SHAPE(2, 3, 40, 5)}, {SHAPE(2, 3, 40, 5), SHAPE(3, 1, 1)},
        {SHAPE(2, 3, 40, 5), SHAPE(2, 3, 1, 1)},  {SHAPE(2, 3, 40, 5), SHAPE(2, 1, 40, 5)},
        {SHAPE(2, 3, 40, 5), SHAPE(40, 1)},       {SHAPE(2, 3, 40, 5), SHAPE(1)},
        {SHAPE(1, 3, 100, 60), SHAPE(3, 1, 1)},   {SHAPE(1, 150, 7, 17), SHAPE(1, 150, 1, 1)},
        {SHAPE(2, 1, 1, 5), SHAPE(2, 3, 40, 1)},  {SHAPE(1, 1, 6, 5), SHAPE(1, 3, 1, 1)},
        {SHAPE(1, 1, 1, 1), SHAPE(2, 3, 4, 5)},   {SHAPE(2, 3, 4, 5), SHAPE(2, 3, 4, 1)},
    };
    for (size_t k = 0; k < sizeof binary / sizeof *binary; k++)
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            for (int kind = 0; kind < 8; kind++) { /* layouts of x and y, y constant */
                rig r;
                rig_start(&r);
                oxp_val x = rig_input(&r, pairs[i].x, OXP_VALUE_INPUT);
                oxp_val y = kind & 4 ? rig_const(&r, pairs[i].y, i % 2 != 0 ? OXP_F64 : OXP_F32)
                                     : rig_input(&r, pairs[i].y, OXP_VALUE_INPUT);
                if (kind & 1) x = rig_last(&r, x);
                if ((kind & 2) && pairs[i].y.rank == 4) y = rig_last(&r, y);
                oxp_val z = emit2(&r, binary[k], x, y);
                if (oxp_value_of(r.g, z)->dtype == OXP_BOOL) z = oxp_b_where(&r.b, z, x, y);
                rig_output(&r, z);
                rig_compare(&r, 1e-6, binary[k]->name);
                rig_end(&r);
            }
}

static void test_transposed_operands_stay_flat(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    const int64_t perm[4] = {0, 2, 1, 3};
    const oxp_val x =
        oxp_b_transpose(&r.b, rig_input(&r, SHAPE(2, 30, 4, 16), OXP_VALUE_INPUT), perm);
    const oxp_val y =
        oxp_b_transpose(&r.b, rig_input(&r, SHAPE(2, 30, 4, 16), OXP_VALUE_INPUT), perm);
    rig_output(&r, oxp_b_mul(&r.b, oxp_b_unary(&r.b, &oxp_op_Relu, x), y));
    const oxp_cost cost = rig_compare(&r, 1e-6, "transposed");
    assert_int_equal(cost.reorders, 0);
    assert_int_equal(cost.steps, 2);
    rig_end(&r);
}

static void test_sums(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 13; n += 3) {
        rig r;
        oxp_val x[13];
        rig_start(&r);
        for (size_t i = 0; i < n; i++) x[i] = rig_input(&r, SHAPE(3, 700), OXP_VALUE_INPUT);
        for (size_t i = 0; i < n; i++)
            x[i] = oxp_b_unary(&r.b, &oxp_op_Relu, x[i]); /* die in the sum */
        rig_output(&r, oxp_emit(&r.b, &oxp_op_Sum, x, n, NULL, 0));
        rig_compare(&r, 1e-6, "Sum");
        rig_end(&r);
    }
}

/* The same value on both sides, views of one storage, values needed later: no result may
 * overwrite them. */
static void test_in_place_is_safe(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    oxp_build *b = &r.b;
    const int64_t swap[2] = {1, 0};
    const oxp_val x = rig_input(&r, SHAPE(60, 60), OXP_VALUE_INPUT);
    const oxp_val h = oxp_b_unary(b, &oxp_op_Tanh, x);
    const oxp_val with_itself = oxp_b_mul(b, h, h);
    const oxp_val t = oxp_b_unary(b, &oxp_op_Relu, with_itself);
    const oxp_val with_view = oxp_b_sub(b, t, oxp_b_transpose(b, t, swap));
    const oxp_val later = oxp_b_unary(b, &oxp_op_Exp, with_view);
    const oxp_val half = oxp_b_slice(b, with_view, 0, 0, 30);
    const oxp_val sum = oxp_b_add(b, oxp_b_slice(b, later, 0, 30, 60), half);
    const oxp_val three[3] = {sum, half, sum};
    rig_output(&r, oxp_emit(b, &oxp_op_Max, three, 3, NULL, 0));
    rig_output(&r, sum);
    rig_compare(&r, 1e-6, "in place");
    rig_end(&r);
}

static void test_in_place_saves_memory(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    oxp_val x = rig_input(&r, SHAPE(1000), OXP_VALUE_INPUT);
    for (int i = 0; i < 10; i++) x = oxp_b_unary(&r.b, i % 2 != 0 ? &oxp_op_Tanh : &oxp_op_Neg, x);
    rig_output(&r, x);
    const oxp_cost cost = rig_compare(&r, 1e-6, "chain");
    assert_true(cost.workspace_bytes <= 2 * 4032); /* the input and one value */
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_unary_of_positive),
        cmocka_unit_test(test_unary_grad_sums_adjoints),
        cmocka_unit_test(test_binary_broadcasts),
        cmocka_unit_test(test_transposed_operands_stay_flat),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_in_place_is_safe),
        cmocka_unit_test(test_in_place_saves_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
