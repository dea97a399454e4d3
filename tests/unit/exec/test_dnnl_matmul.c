/* Products by oneDNN against the double oracle: shapes, transpositions, broadcast batches, views read in
 * place, and everything that can be added to the result. Integers, so exactly, where it is linear. */
#include "exec/dnnl/matmul_shape.h"
#include "unit/exec/dnnl_fixture.h"

typedef struct product_case {
    oxp_shape a, b;
    bool ta, tb;
    double scale;
} product_case;

/* clang-format off */
static const product_case products[] = {
    {{2, {7, 16}}, {2, {16, 24}}, false, false, 1},
    {{2, {1, 64}}, {2, {64, 48}}, false, false, 1},          /* one row */
    {{2, {1, 64}}, {2, {48, 64}}, false, true, 1},
    {{2, {9, 32}}, {2, {32, 1}}, false, false, 1},           /* one column */
    {{2, {9, 1}}, {2, {1, 5}}, false, false, 1},             /* an outer product */
    {{2, {1, 1}}, {2, {1, 1}}, false, false, 3},
    {{2, {16, 7}}, {2, {16, 24}}, true, false, 0.5},
    {{2, {7, 16}}, {2, {24, 16}}, false, true, 1},
    {{2, {16, 7}}, {2, {24, 16}}, true, true, 2},
    {{3, {2, 7, 16}}, {2, {16, 24}}, false, false, 1},       /* tokens times weights: one product */
    {{4, {2, 3, 5, 16}}, {2, {24, 16}}, false, true, 1},
    {{3, {4, 7, 16}}, {3, {4, 16, 9}}, false, false, 1},
    {{4, {2, 6, 7, 16}}, {4, {2, 6, 9, 16}}, false, true, 0.25}, /* q k' */
    {{4, {2, 1, 7, 16}}, {3, {3, 16, 9}}, false, false, 1},  /* both sides broadcast */
    {{3, {1, 7, 16}}, {3, {5, 16, 9}}, false, false, 1},
    {{3, {5, 7, 16}}, {3, {1, 16, 9}}, false, false, 1},
    {{3, {5, 1, 16}}, {3, {1, 16, 9}}, false, false, 1},     /* one row each: folded */
    {{5, {2, 3, 2, 4, 8}}, {4, {3, 1, 8, 4}}, false, false, 1},
    {{2, {33, 257}}, {2, {257, 65}}, false, false, 1},       /* no multiple of anything */
};
/* clang-format on */

static oxp_val emit_product(fixture *f, const product_case *c, const oxp_val in[4], const char *fn,
                            double alpha)
{
    const oxp_attr attrs[] = {OXP_INT("trans_a", c->ta), OXP_INT("trans_b", c->tb),
                              OXP_FLOAT("scale", c->scale), OXP_STR("fn", fn),
                              OXP_FLOAT("alpha", alpha)};
    return oxp_emit(&f->b, &oxp_op__MatMul, in, 4, attrs, sizeof attrs / sizeof *attrs);
}

static const char *finish(fixture *f, const char *what, oxp_val y, double tolerance, oxp_cost *cost)
{
    fixture_must(f, f->b.status, what);
    fixture_must(f, oxp_graph_add_output(&f->ctx, f->g, y), what);
    return fixture_check(f, what, tolerance, cost);
}

static void test_products(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        for (int constant = 0; constant < 3; constant++) { /* neither, b, a */
            const product_case *c = &products[i];
            fixture f;
            oxp_cost cost;
            char what[64];
            (void)snprintf(what, sizeof what, "product %zu, constant %d", i, constant);
            fixture_init(&f);
            const oxp_val a =
                constant == 2 ? fixture_const(&f, &c->a, 1) : fixture_input(&f, &c->a, 1);
            const oxp_val b =
                constant == 1 ? fixture_const(&f, &c->b, 2) : fixture_input(&f, &c->b, 2);
            const oxp_val y = emit_product(&f, c, (const oxp_val[]){a, b, 0, 0}, "", 0);
            const char *plan = finish(&f, what, y, 0.0, &cost);
            if (cost.steps != 1 || cost.reorders != 0) fail_msg("%s: one step\n%s", what, plan);
            fixture_free(&f);
        }
}

/* ---- what is added, and functions ---- */

typedef struct add_case {
    oxp_shape bias; /* rank -1: none */
    bool residual, fused;
    const char *fn;
    double alpha, tolerance;
} add_case;

/* clang-format off */
static const add_case adds[] = {
    {{1, {24}}, false, true, "", 0, 0},
    {{1, {24}}, true, true, "", 0, 0},
    {{1, {24}}, true, true, "Relu", 0, 0},
    {{1, {24}}, false, true, "_Gelu", 0, 1e-6},
    {{1, {24}}, false, true, "_GeluTanh", 0, 1e-6},
    {{1, {24}}, false, false, "Softplus", 0, 1e-6},
    {{-1, {0}}, true, true, "Tanh", 0, 1e-6},
    {{-1, {0}}, true, true, "LeakyRelu", 0.5, 0},
    {{0, {0}}, false, false, "", 0, 0},            /* a scalar */
    {{3, {1, 1, 24}}, true, true, "", 0, 0},
    {{2, {6, 1}}, false, false, "", 0, 0},          /* a number per row */
    {{2, {6, 24}}, true, false, "Relu", 0, 0},      /* a mask shared by the batch */
    {{3, {3, 1, 24}}, false, false, "", 0, 0},      /* one row per batch */
    {{3, {3, 6, 24}}, false, true, "Relu", 0, 0},   /* the whole result */
    {{3, {3, 6, 1}}, false, false, "", 0, 0},
};
/* clang-format on */

static void check_add(const add_case *c, bool batched, double scale)
{
    const product_case p = {{3, {3, 6, 16}}, {3, {3, 16, 24}}, false, false, scale};
    const product_case q = {{3, {3, 6, 16}}, {2, {16, 24}}, false, false, scale};
    const oxp_shape y = {3, {3, 6, 24}};
    const product_case *use = batched ? &p : &q;
    fixture f;
    oxp_cost cost;
    char what[96];
    (void)snprintf(what, sizeof what, "addend %zu batched %d scale %g", (size_t)(c - adds), batched,
                   scale);
    fixture_init(&f);
    oxp_val in[4] = {fixture_input(&f, &use->a, 1), OXP_NO_VAL, OXP_NO_VAL, OXP_NO_VAL};
    in[1] = batched ? fixture_input(&f, &use->b, 2) : fixture_const(&f, &use->b, 2);
    if (c->bias.rank >= 0) in[2] = fixture_const(&f, &c->bias, 3);
    if (c->residual) in[3] = fixture_input(&f, &y, 4);
    const char *plan =
        finish(&f, what, emit_product(&f, use, in, c->fn, c->alpha), c->tolerance, &cost);
    if (c->fused && cost.steps != 1) fail_msg("%s: expected one step\n%s", what, plan);
    assert_int_equal(cost.reorders, 0);
    fixture_free(&f);
}

static void test_adds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof adds / sizeof *adds; i++)
        for (int batched = 0; batched < 2; batched++) {
            check_add(&adds[i], batched != 0, 1.0);
            check_add(&adds[i], batched != 0, 0.5); /* scales the product only */
        }
}

/* ---- views ---- */

static oxp_val heads(fixture *f, oxp_val x, int64_t n, int64_t t, int64_t h, int64_t d)
{
    const oxp_shape split = {4, {n, t, h, d}};
    const int64_t perm[] = {0, 2, 1, 3};
    return oxp_b_transpose(&f->b, oxp_b_reshape(&f->b, x, &split), perm);
}

/* q k' and p v on slices of one (N,T,3HD) tensor: no operand is copied. */
static void check_attention(int64_t n)
{
    enum { T = 9, H = 4, D = 16 };
    const oxp_shape x = {3, {n, T, 3 * H * D}}, p = {4, {n, H, T, T}};
    for (int product = 0; product < 2; product++) {
        fixture f;
        oxp_cost cost;
        fixture_init(&f);
        const oxp_val qkv = fixture_input(&f, &x, 1);
        oxp_val part[3];
        for (int i = 0; i < 3; i++)
            part[i] = heads(&f, oxp_b_slice(&f.b, qkv, 2, i * H * D, (i + 1) * H * D), n, T, H, D);
        const product_case scores = {.tb = true, .scale = 0.25}, mix = {.scale = 1.0};
        const oxp_val y =
            product == 0
                ? emit_product(&f, &scores, (const oxp_val[]){part[0], part[1], 0, 0}, "", 0)
                : emit_product(&f, &mix, (const oxp_val[]){fixture_input(&f, &p, 2), part[2], 0, 0},
                               "", 0);
        const char *plan = finish(&f, product == 0 ? "q k'" : "p v", y, 0.0, &cost);
        if (cost.reorders != 0 || cost.steps != 1) fail_msg("an operand was copied\n%s", plan);
        fixture_free(&f);
    }
}

/* The heads of p v, merged: written where the transposition wants them, so nothing is moved. */
static void check_merge(int64_t n)
{
    enum { T = 9, H = 4, D = 16 };
    const oxp_shape p = {4, {n, H, T, T}}, v = {4, {n, H, T, D}}, merged = {3, {n, T, H * D}};
    const int64_t perm[] = {0, 2, 1, 3};
    const product_case mix = {.scale = 0.5};
    fixture f;
    oxp_cost cost;
    fixture_init(&f);
    const oxp_val in[4] = {fixture_input(&f, &p, 1), fixture_input(&f, &v, 2), 0, 0};
    oxp_val y = emit_product(&f, &mix, in, "Relu", 0);
    y = oxp_b_reshape(&f.b, oxp_b_transpose(&f.b, y, perm), &merged);
    const char *plan = finish(&f, "merged heads", y, 0.0, &cost);
    if (cost.reorders != 0 || cost.steps != 1) fail_msg("heads were copied\n%s", plan);
    fixture_free(&f);
}

static void test_heads_are_merged_in_place(void **state)
{
    (void)state;
    check_merge(1);
    check_merge(2);
}

static void test_views_are_read_in_place(void **state)
{
    (void)state;
    check_attention(1);
    check_attention(2);
}

/* Operands with both last axes strided, repeated or reversed are made dense first. */
static void test_views_that_need_a_copy(void **state)
{
    (void)state;
    const oxp_shape image = {4, {2, 3, 8, 16}}, column = {2, {6, 1}}, square = {2, {6, 16}};
    const oxp_shape w = {2, {16, 8}}, taps = {4, {3, 3, 3, 3}};
    fixture f;
    fixture_init(&f); /* rows and columns of a channels-last picture */
    oxp_val v =
        oxp_emit(&f.b, &oxp_op_Conv,
                 (const oxp_val[]){fixture_input(&f, &image, 1), fixture_const(&f, &taps, 2)}, 2,
                 (const oxp_attr[]){OXP_INTS("pads", ((const int64_t[]){1, 1, 1, 1}), 4)}, 1);
    const product_case plain = {.scale = 1.0};
    v = emit_product(&f, &plain, (const oxp_val[]){v, fixture_const(&f, &w, 3), 0, 0}, "", 0);
    finish(&f, "channels-last", v, 0.0, NULL);
    fixture_free(&f);

    fixture_init(&f); /* a column repeated along the inner axis */
    v = oxp_b_expand(&f.b, fixture_input(&f, &column, 1), &square);
    v = emit_product(&f, &plain, (const oxp_val[]){v, fixture_const(&f, &w, 3), 0, 0}, "", 0);
    finish(&f, "repeated", v, 0.0, NULL);
    fixture_free(&f);

    fixture_init(&f); /* backwards */
    const oxp_attr attrs[] = {OXP_INTS("starts", ((const int64_t[]){-1}), 1),
                              OXP_INTS("ends", ((const int64_t[]){INT64_MIN}), 1),
                              OXP_INTS("axes", ((const int64_t[]){1}), 1),
                              OXP_INTS("steps", ((const int64_t[]){-1}), 1)};
    const oxp_val x = fixture_input(&f, &square, 1);
    v = oxp_emit(&f.b, &oxp_op_Slice, &x, 1, attrs, 4);
    v = emit_product(&f, &plain, (const oxp_val[]){v, fixture_const(&f, &w, 3), 0, 0}, "", 0);
    finish(&f, "reversed", v, 0.0, NULL);
    fixture_free(&f);
}

/* ---- geometry ---- */

static void test_collapse(void **state)
{
    (void)state;
    /* (2,3,5,16) x (16,8): 30 rows */
    oxp_mm_shape s = {.leads = 2, .lead = {2, 3}, .m = 5, .n = 8, .k = 16};
    oxp_mm_set(&s, OXP_MM_A, (const int64_t[]){240, 80, 16, 1}, false);
    oxp_mm_set(&s, OXP_MM_B, (const int64_t[]){0, 0, 8, 1}, false);
    oxp_mm_set(&s, OXP_MM_Y, (const int64_t[]){120, 40, 8, 1}, false);
    oxp_mm_collapse(&s);
    assert_int_equal(s.leads, 0);
    assert_int_equal(s.m, 30);
    /* A bias per batch keeps its axis: (2,1,1,8) */
    oxp_mm_shape t = {.leads = 2, .lead = {2, 3}, .m = 5, .n = 8, .k = 16};
    oxp_mm_set(&t, OXP_MM_A, (const int64_t[]){240, 80, 16, 1}, false);
    oxp_mm_set(&t, OXP_MM_B, (const int64_t[]){0, 0, 8, 1}, false);
    oxp_mm_set(&t, OXP_MM_Y, (const int64_t[]){120, 40, 8, 1}, false);
    oxp_mm_set(&t, OXP_MM_ADD0, (const int64_t[]){8, 0, 0, 1}, false);
    oxp_mm_collapse(&t);
    assert_int_equal(t.leads, 1);
    assert_int_equal(t.lead[0], 2);
    assert_int_equal(t.m, 15);
    assert_false(oxp_mm_is_row(&t, OXP_MM_ADD0));
    /* Heads of one token tensor, batch 2: two axes stay, batch 1: one. */
    for (int64_t n = 1; n <= 2; n++) {
        oxp_mm_shape h = {.leads = 2, .lead = {n, 4}, .m = 9, .n = 9, .k = 16};
        oxp_mm_set(&h, OXP_MM_A, (const int64_t[]){n == 1 ? 0 : 1728, 16, 192, 1}, false);
        oxp_mm_set(&h, OXP_MM_B, (const int64_t[]){n == 1 ? 0 : 1728, 16, 192, 1}, true);
        oxp_mm_set(&h, OXP_MM_Y, (const int64_t[]){n == 1 ? 0 : 324, 81, 9, 1}, false);
        oxp_mm_collapse(&h);
        assert_int_equal(h.leads, n);
        assert_true(oxp_mm_readable(&h, OXP_MM_A) && oxp_mm_readable(&h, OXP_MM_B));
        assert_int_equal(h.of[OXP_MM_B].row, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_views_are_read_in_place),
        cmocka_unit_test(test_heads_are_merged_in_place),
        cmocka_unit_test(test_views_that_need_a_copy),
        cmocka_unit_test(test_collapse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
