/* test_opt_raise.c - what the snapshots of tests/ir cannot say about raising: constants stored in
 * 16 bits, the map from old to new values, groups larger than a match holds, and memory that runs
 * out. */
#include "ops/ops.h"
#include "opt/match.h"
#include "support/alloc.h"
#include "support/support.h"

#include <string.h>

typedef struct fixture {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
    oxp_build b;
    oxp_val x;
} fixture;

static void begin(fixture *f, const oxp_allocator *hooks)
{
    const oxp_shape shape = oxp_shape_of(1, (const int64_t[]){3});
    *f = (fixture){.arena = oxp_arena_new(hooks)};
    f->ctx = (oxp_ctx){.error = &f->error, .hooks = hooks, .scratch = oxp_arena_new(NULL)};
    oxp_graph *g = f->arena ? oxp_graph_new(f->arena) : NULL;
    if (!g ||
        oxp_graph_add_value(&f->ctx, g, "x", OXP_VALUE_INPUT, OXP_F32, &shape, &f->x) != OXP_OK) {
        f->b.status = OXP_ENOMEM;
        return;
    }
    oxp_build_init(&f->b, &f->ctx, g);
}

static void end(fixture *f)
{
    oxp_arena_free(f->ctx.scratch);
    oxp_arena_free(f->arena);
}

static oxp_val half(fixture *f, double number, oxp_dtype stored)
{
    const oxp_shape scalar = {.rank = 0};
    oxp_tensor *t = OXP_NEW(f->arena, oxp_tensor, 1);
    assert_int_equal(oxp_tensor_new(&f->ctx, f->arena, stored, &scalar, t), OXP_OK);
    oxp_convert((void *)(uintptr_t)t->data, stored, &number, OXP_F64, 1);
    return oxp_b_const(&f->b, OXP_F32, t);
}

/* x/2 (1 + erf(x / root)) */
static oxp_val gelu(oxp_build *b, oxp_val x, oxp_val root)
{
    const oxp_val e = oxp_b_unary(b, &oxp_op_Erf, oxp_b_div(b, x, root));
    const oxp_val gate = oxp_b_add(b, e, oxp_b_scalar(b, 1.0));
    return oxp_b_mul(b, oxp_b_mul(b, x, oxp_b_scalar(b, 0.5)), gate);
}

static oxp_pass raise(fixture *f, oxp_val output)
{
    oxp_pass pass = {.ctx = &f->ctx, .arena = f->arena, .in = f->b.g};
    assert_int_equal(f->b.status, OXP_OK);
    assert_int_equal(oxp_graph_add_output(&f->ctx, f->b.g, output), OXP_OK);
    assert_int_equal(oxp_opt_raise(&pass), OXP_OK);
    return pass;
}

static const char *made_by(const oxp_pass *pass, oxp_val old)
{
    const oxp_node *node = oxp_producer(pass->out, pass->map[old]);
    return node ? node->op->name : "";
}

/* sqrt 2 is 1.4140625 in float16 and in bfloat16: 1.1e-4 off. */
static void numbers_in_16_bits_are_recognised(void **state)
{
    (void)state;
    static const struct {
        oxp_dtype stored;
        double root;
        const char *op;
    } cases[] = {{OXP_F16, 1.4142135, "_Gelu"}, {OXP_BF16, 1.4142135, "_Gelu"},
                 {OXP_F16, 1.42, "Mul"},        {OXP_BF16, 1.4375, "Mul"},
                 {OXP_F32, 1.4140625, "Mul"},   {OXP_F32, 1.4142135, "_Gelu"}};
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        fixture f;
        begin(&f, NULL);
        const oxp_val y = gelu(&f.b, f.x, half(&f, cases[i].root, cases[i].stored));
        const oxp_pass pass = raise(&f, y);
        assert_string_equal(made_by(&pass, y), cases[i].op);
        end(&f);
    }
}

static void the_map_follows_both_sweeps(void **state)
{
    (void)state;
    fixture f;
    begin(&f, NULL);
    /* softplus in primitives: the first sweep; mish of it: the second */
    const oxp_val e = oxp_b_unary(&f.b, &oxp_op_Exp, f.x);
    const oxp_val softplus =
        oxp_b_unary(&f.b, &oxp_op_Log, oxp_b_add(&f.b, e, oxp_b_scalar(&f.b, 1.0)));
    const oxp_val mish = oxp_b_mul(&f.b, f.x, oxp_b_unary(&f.b, &oxp_op_Tanh, softplus));
    const oxp_val y = oxp_b_unary(&f.b, &oxp_op_Relu, mish);
    const oxp_pass pass = raise(&f, y);
    assert_int_equal(pass.map[e], OXP_NO_VAL);
    assert_int_equal(pass.map[softplus], OXP_NO_VAL);
    assert_int_equal(pass.map[f.x], pass.out->inputs[0]);
    assert_string_equal(made_by(&pass, mish), "_Mish");
    assert_string_equal(made_by(&pass, y), "Relu");
    assert_int_equal(pass.map[y], pass.out->outputs[0]);
    assert_int_equal(pass.out->n_nodes, 2);
    end(&f);
}

/* Forty factors of one are more nodes than a match holds. */
static void long_chains_are_left(void **state)
{
    (void)state;
    fixture f;
    begin(&f, NULL);
    oxp_val y = oxp_b_unary(&f.b, &oxp_op_Sigmoid, f.x);
    for (int i = 0; i < OXP_MATCH_PARTS + 8; i++)
        y = oxp_emit(&f.b, &oxp_op_Mul, (const oxp_val[]){y, half(&f, 1.0, OXP_F32)}, 2, NULL, 0);
    y = oxp_b_mul(&f.b, y, f.x);
    const size_t before = f.b.g->n_nodes;
    const oxp_pass pass = raise(&f, y);
    assert_int_equal(pass.out->n_nodes, before);
    end(&f);
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    for (int64_t fail_at = 0;; fail_at++) {
        oxp_test_alloc a = {.fail_at = fail_at};
        const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
        fixture f;
        begin(&f, &hooks);
        oxp_status status = OXP_ENOMEM;
        if (f.b.status == OXP_OK) {
            const oxp_val y = gelu(&f.b, f.x, oxp_b_scalar(&f.b, 1.4142135623730951));
            oxp_pass pass = {.ctx = &f.ctx, .arena = f.arena, .in = f.b.g};
            status = f.b.status;
            if (status == OXP_OK) status = oxp_graph_add_output(&f.ctx, f.b.g, y);
            if (status == OXP_OK) status = oxp_opt_raise(&pass);
        }
        assert_int_equal(status, a.failed ? OXP_ENOMEM : OXP_OK);
        end(&f);
        assert_int_equal(a.live, 0);
        if (!a.failed) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_16_bits_are_recognised),
        cmocka_unit_test(the_map_follows_both_sweeps),
        cmocka_unit_test(long_chains_are_left),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
