/* Programs as a whole: phases and seeds, limits, refusals, the constant store, every allocation
 * failed once. */
#include "rig.h"

#include <math.h>
#include <pthread.h>

/* Forward: h = tanh(x w); y = softmax(h). Backward from a seed on y. Outputs: y, dx-like. */
static void build_two_phases(rig *r)
{
    oxp_build *b = &r->b;
    const oxp_val x = rig_input(r, SHAPE(3, 500), OXP_VALUE_INPUT);
    const oxp_val seed = rig_input(r, SHAPE(3, 500), OXP_VALUE_SEED);
    const oxp_val w = rig_const(r, SHAPE(500), OXP_F32),
                  scale = rig_const(r, SHAPE(3, 1), OXP_BF16);
    const oxp_val h = oxp_b_unary(b, &oxp_op_Tanh, oxp_b_mul(b, x, w));
    const oxp_val y = OXP_EMIT1(b, &oxp_op_Softmax, oxp_b_mul(b, h, scale), OXP_INT("axis", 1));
    const oxp_attr axis = OXP_INT("axis", 1), fn = OXP_STR("fn", "Tanh");
    const oxp_val dh = oxp_emit(b, &oxp_op__SoftmaxGrad, (const oxp_val[]){y, seed}, 2, &axis, 1);
    const oxp_val dx =
        oxp_emit(b, &oxp_op__UnaryGrad, (const oxp_val[]){h, oxp_b_mul(b, dh, scale)}, 2, &fn, 1);
    rig_output(r, y);
    rig_output(r, oxp_b_mul(b, dx, w));
}

static void test_phase_1_can_be_repeated(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        rig r;
        rig_start(&r);
        build_two_phases(&r);
        oxp_program *once = rig_compile(&r, (oxp_exec_kind)kind, 2), *fresh;
        size_t n;
        rig_feed(&r, once, OXP_VALUE_INPUT, 100);
        rig_run(&r, once, 0);
        const double *y = rig_read(&r, once, 0, &n); /* ready before the seeds are there */
        for (uint32_t draw = 200; draw < 230; draw += 10) {
            rig_feed(&r, once, OXP_VALUE_SEED, draw);
            rig_run(&r, once, 1);
            fresh = rig_compile(&r, (oxp_exec_kind)kind, 1);
            rig_feed(&r, fresh, OXP_VALUE_INPUT, 100);
            rig_feed(&r, fresh, OXP_VALUE_SEED, draw);
            rig_run(&r, fresh, 0);
            rig_run(&r, fresh, 1);
            assert_memory_equal(rig_read(&r, once, 1, &n), rig_read(&r, fresh, 1, &n),
                                n * sizeof(double));
            assert_memory_equal(y, rig_read(&r, fresh, 0, &n), n * sizeof(double));
            oxp_program_free(fresh);
        }
        oxp_program_free(once);
        rig_end(&r);
    }
}

static void test_executors_agree(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    build_two_phases(&r);
    rig_compare(&r, 2e-6, "two phases");
    rig_end(&r);
}

static void test_order_of_calls_is_checked(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        rig r;
        rig_start(&r);
        build_two_phases(&r);
        oxp_program *p = rig_compile(&r, (oxp_exec_kind)kind, 1);
        assert_int_equal(oxp_program_run(&r.ctx, p, 0), OXP_EINVAL);
        rig_feed(&r, p, OXP_VALUE_INPUT, 1);
        assert_int_equal(oxp_program_run(&r.ctx, p, 1), OXP_EINVAL);
        rig_run(&r, p, 0);
        assert_int_equal(oxp_program_run(&r.ctx, p, 1), OXP_EINVAL);
        rig_feed(&r, p, OXP_VALUE_SEED, 1);
        rig_run(&r, p, 1);
        const oxp_tensor wrong = rig_random(&r, SHAPE(3, 499), OXP_F32, 1.0);
        assert_int_equal(oxp_program_feed(&r.ctx, p, 0, &wrong), OXP_EINVAL);
        assert_non_null(strstr(r.error.message, "(3,500)"));
        assert_int_equal(oxp_program_feed(&r.ctx, p, 7, &wrong), OXP_EINVAL);
        double data[1];
        assert_int_equal(oxp_program_read(&r.ctx, p, 7, OXP_F64, data), OXP_EINVAL);
        oxp_program_free(p);
        rig_end(&r);
    }
}

static void test_memory_limit_comes_before_allocation(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        rig r;
        rig_start(&r);
        const oxp_val x = rig_input(&r, SHAPE(1 << 20, 1 << 10, 64), OXP_VALUE_INPUT); /* 256 GiB */
        rig_output(&r, oxp_b_unary(&r.b, &oxp_op_Relu, x));
        const oxp_exec_options options = {
            .kind = (oxp_exec_kind)kind, .threads = 1, .max_memory = 1 << 30};
        oxp_program *p;
        assert_int_equal(oxp_program_new(&r.ctx, r.g, r.weights, &options, &p), OXP_ELIMIT);
        assert_null(p);
        assert_non_null(strstr(r.error.message, "1073741824"));
        rig_end(&r);
    }
}

static void test_composites_are_expanded(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    const oxp_val in[3] = {rig_last(&r, rig_input(&r, SHAPE(2, 12, 6, 5), OXP_VALUE_INPUT)),
                           rig_const(&r, SHAPE(12), OXP_F32), rig_const(&r, SHAPE(12), OXP_F16)};
    const oxp_attr attrs[] = {OXP_INT("groups", 4), OXP_FLOAT("epsilon", 1e-5)};
    rig_output(&r, oxp_emit(&r.b, &oxp_op__GroupNorm, in, 3, attrs, 2));
    rig_compare(&r, 3e-6, "group norm");
    rig_end(&r);
}

static void test_inputs_and_constants_can_be_outputs(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    const oxp_val x = rig_input(&r, SHAPE(4, 5), OXP_VALUE_INPUT);
    rig_output(&r, x);
    rig_output(&r, rig_const(&r, SHAPE(3, 2), OXP_F64));
    rig_output(&r, oxp_b_unary(&r.b, &oxp_op_Neg, x));
    rig_input(&r, SHAPE(7), OXP_VALUE_INPUT); /* never read */
    rig_compare(&r, 1e-7, "sources as outputs");
    rig_end(&r);
}

/* ---- the constant store ---- */

static void test_store_shares_and_drops(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    /* The bfloat16 constant needs a converted form, the float32 one may be used in place. */
    build_two_phases(&r);
    assert_int_equal(oxp_weights_bytes(r.weights), 0);
    oxp_program *a = rig_compile(&r, OXP_EXEC_FUSED, 1);
    const size_t bytes = oxp_weights_bytes(r.weights);
    assert_true(bytes >= 3 * sizeof(float));
    oxp_program *b = rig_compile(&r, OXP_EXEC_FUSED, 2);
    assert_int_equal(oxp_weights_bytes(r.weights), bytes);
    oxp_program_free(a);
    assert_int_equal(oxp_weights_bytes(r.weights), bytes);
    oxp_program_free(b);
    assert_int_equal(oxp_weights_bytes(r.weights), 0); /* not kept: its address may be used again */
    assert_int_equal(oxp_weights_keep(&r.ctx, r.weights, r.g), OXP_OK);
    oxp_program_free(rig_compile(&r, OXP_EXEC_FUSED, 1));
    assert_int_equal(oxp_weights_bytes(r.weights), bytes);
    rig_end(&r);
}

static void *compile_and_run(void *arg)
{
    rig *shared = arg;
    rig own = *shared; /* the graph and the store are shared, errors and scratch are not */
    own.ctx.error = &own.error;
    own.ctx.scratch = oxp_arena_new(NULL);
    own.arena = oxp_arena_new(NULL);
    double sum = 0.0;
    for (int i = 0; i < 10; i++) {
        oxp_program *p = rig_compile(&own, OXP_EXEC_FUSED, 1);
        size_t n;
        rig_feed(&own, p, OXP_VALUE_INPUT, 50);
        rig_feed(&own, p, OXP_VALUE_SEED, 60);
        rig_run(&own, p, 0);
        rig_run(&own, p, 1);
        const double *data = rig_read(&own, p, 1, &n);
        for (size_t k = 0; k < n; k++) sum += fabs(data[k]);
        oxp_program_free(p);
    }
    oxp_arena_free(own.arena);
    oxp_arena_free(own.ctx.scratch);
    double *result = malloc(sizeof *result);
    *result = sum;
    return result;
}

static void test_store_between_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    rig r;
    rig_start(&r);
    build_two_phases(&r);
    pthread_t thread[THREADS];
    double *sum[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, compile_and_run, &r), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], (void **)&sum[i]);
    for (int i = 1; i < THREADS; i++) assert_true(*sum[i] == *sum[0]);
    assert_true(*sum[0] > 0.0);
    for (int i = 0; i < THREADS; i++) free(sum[i]);
    rig_end(&r);
}

/* ---- allocations ---- */

typedef struct failing {
    int left; /* allocations that still succeed */
    int live;
} failing;

static void *failing_alloc(size_t bytes, void *user)
{
    failing *f = user;
    if (f->left-- <= 0) return NULL;
    f->live++;
    return oxp_mem_alloc(NULL, bytes);
}

static void failing_free(void *block, void *user)
{
    ((failing *)user)->live--;
    oxp_mem_free(NULL, block);
}

/* Compiles, feeds, runs and reads; the first failure ends it. */
static oxp_status all_of_it(oxp_ctx *ctx, rig *r, oxp_weights *w, oxp_exec_kind kind,
                            const oxp_tensor feeds[2])
{
    const oxp_exec_options options = {.kind = kind, .threads = 1};
    oxp_program *p = NULL;
    float *data = OXP_NEW(r->arena, float, 3 * 500);
    oxp_status status = oxp_program_new(ctx, r->g, w, &options, &p);
    for (size_t i = 0; i < 2 && status == OXP_OK; i++)
        status = oxp_program_feed(ctx, p, i, &feeds[i]);
    for (int phase = 0; phase < 2 && status == OXP_OK; phase++)
        status = oxp_program_run(ctx, p, phase);
    if (status == OXP_OK) status = oxp_program_read(ctx, p, 1, OXP_F32, data);
    oxp_program_free(p);
    return status;
}

static void test_each_allocation_fails_once(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        rig r;
        rig_start(&r);
        build_two_phases(&r);
        const oxp_tensor feeds[2] = {rig_random(&r, SHAPE(3, 500), OXP_F32, 1.0),
                                     rig_random(&r, SHAPE(3, 500), OXP_F64, 1.0)};
        oxp_status status = OXP_ENOMEM;
        int n = 0;
        for (; status != OXP_OK && n < 5000; n++) {
            failing f = {.left = n};
            const oxp_allocator hooks = {failing_alloc, failing_free, &f};
            oxp_error error = {0};
            oxp_ctx ctx = {.error = &error, .hooks = &hooks, .scratch = oxp_arena_new(&hooks)};
            oxp_weights *w = oxp_weights_new(&hooks);
            if (ctx.scratch != NULL && w != NULL)
                status = all_of_it(&ctx, &r, w, (oxp_exec_kind)kind, feeds);
            if (status != OXP_OK) assert_int_equal(status, OXP_ENOMEM);
            oxp_weights_free(w);
            oxp_arena_free(ctx.scratch);
            assert_int_equal(f.live, 0);
        }
        assert_int_equal(status, OXP_OK);
        assert_true(n > 5);
        rig_end(&r);
    }
}

static void test_print_and_profile(void **state)
{
    (void)state;
    rig r;
    rig_start(&r);
    build_two_phases(&r);
    const oxp_exec_options options = {.threads = 1, .profile = true};
    oxp_program *p;
    oxp_strbuf text;
    assert_int_equal(oxp_program_new(&r.ctx, r.g, r.weights, &options, &p), OXP_OK);
    oxp_strbuf_init(&text, r.arena);
    oxp_program_print(p, &text);
    assert_non_null(strstr(oxp_strbuf_str(&text), "softmax grad"));
    assert_true(oxp_program_seconds(p, "") == 0.0);
    rig_feed(&r, p, OXP_VALUE_INPUT, 1);
    rig_run(&r, p, 0);
    assert_true(oxp_program_seconds(p, "") > 0.0);
    assert_true(oxp_program_seconds(p, "softmax") < oxp_program_seconds(p, ""));
    oxp_program_free(p);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phase_1_can_be_repeated),
        cmocka_unit_test(test_executors_agree),
        cmocka_unit_test(test_order_of_calls_is_checked),
        cmocka_unit_test(test_memory_limit_comes_before_allocation),
        cmocka_unit_test(test_composites_are_expanded),
        cmocka_unit_test(test_inputs_and_constants_can_be_outputs),
        cmocka_unit_test(test_store_shares_and_drops),
        cmocka_unit_test(test_store_between_threads),
        cmocka_unit_test(test_each_allocation_fails_once),
        cmocka_unit_test(test_print_and_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
