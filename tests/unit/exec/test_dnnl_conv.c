/* Convolutions and their adjoints by oneDNN against the double oracle, exactly (integers), with the form
 * that must have been chosen; and what the forms promise about weights and post-operations. */
#include "exec/dnnl/conv_form.h"
#include "support/alloc.h"
#include "unit/exec/dnnl_fixture.h"

typedef struct conv_case {
    int axes;
    int64_t n, c, k, group, in[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
    const char *form; /* the one that must be chosen; "": whichever */
} conv_case;

#define ONES    \
    {           \
        1, 1, 1 \
    }
#define SAME(p) \
    {           \
        p, p, p \
    }

/* clang-format off */
static const conv_case forward[] = {
    {2, 1, 16, 32, 1, {9, 7}, {3, 3}, ONES, ONES, SAME(1), SAME(1), "direct"},
    {2, 2, 3, 8, 1, {17, 15}, {7, 7}, SAME(2), ONES, SAME(3), SAME(3), ""},
    {2, 1, 24, 48, 1, {8, 8}, {3, 3}, SAME(2), ONES, SAME(0), SAME(1), ""},
    {2, 1, 64, 32, 1, {8, 8}, {1, 1}, SAME(2), ONES, SAME(0), SAME(0), "direct"},
    {2, 1, 5, 7, 1, {6, 9}, {2, 3}, {3, 2}, {2, 1}, {1, 0}, {0, 2}, ""},
    {2, 1, 16, 16, 16, {9, 9}, {3, 3}, ONES, ONES, SAME(1), SAME(1), ""},
    {2, 1, 16, 16, 16, {9, 9}, {3, 3}, ONES, SAME(2), SAME(2), SAME(2), ""},
    {2, 2, 6, 18, 6, {9, 8}, {3, 3}, {2, 1}, ONES, SAME(1), SAME(1), "repeat"},
    {2, 1, 32, 32, 4, {6, 6}, {3, 3}, ONES, ONES, SAME(1), SAME(1), ""},
    {2, 1, 12, 18, 3, {6, 6}, {1, 1}, ONES, ONES, SAME(0), SAME(0), ""},
    {1, 2, 8, 16, 1, {33}, {5}, {2}, ONES, {2}, {2}, ""},
    {1, 1, 16, 16, 16, {40}, {9}, ONES, {2}, {8}, {8}, ""},
    {2, 1, 4, 6, 1, {40, 1}, {5, 1}, ONES, ONES, {2, 0}, {2, 0}, ""}, /* a column: computed as a row */
    {3, 1, 4, 8, 1, {5, 6, 4}, {3, 3, 3}, {1, 2, 1}, ONES, SAME(1), SAME(1), ""},
    {3, 2, 8, 8, 8, {5, 6, 4}, {3, 3, 3}, ONES, ONES, SAME(1), SAME(1), ""},
    {2, 1, 3, 5, 1, {5, 4}, {3, 2}, {INT32_MAX, 9}, ONES, SAME(0), SAME(1), ""}, /* one window */
    {3, 1, 4, 8, 2, {1, 6, 4}, {1, 3, 3}, ONES, ONES, {0, 1, 1}, {0, 1, 1}, ""},
    {2, 1, 3, 5, 1, {4, 4}, {3, 3}, ONES, ONES, SAME(4), SAME(3), ""}, /* windows wholly in padding: only gemm, which must not add */
};

static const conv_case adjoint[] = {
    {2, 1, 16, 32, 1, {9, 7}, {3, 3}, ONES, ONES, SAME(1), SAME(1), "direct"},
    {2, 1, 16, 32, 1, {9, 8}, {3, 3}, SAME(2), ONES, SAME(1), SAME(1), "direct"},
    {2, 2, 3, 16, 1, {17, 15}, {7, 7}, SAME(2), ONES, SAME(3), SAME(3), "block"},
    {2, 1, 3, 24, 1, {16, 24}, {8, 8}, SAME(8), ONES, SAME(0), SAME(0), "block"}, /* patches */
    {2, 1, 3, 24, 1, {19, 21}, {4, 4}, SAME(4), ONES, SAME(0), SAME(0), "block"}, /* cells without gradient */
    {2, 1, 3, 16, 1, {13, 11}, {3, 3}, ONES, ONES, SAME(1), SAME(1), "block"},
    {2, 2, 1, 16, 1, {9, 10}, {3, 3}, ONES, ONES, SAME(1), SAME(1), "block"},
    {2, 1, 2, 16, 1, {23, 21}, {3, 3}, {3, 2}, SAME(2), {2, 1}, {0, 3}, "block"}, /* dilated, strided */
    {2, 1, 3, 16, 1, {23, 23}, {11, 11}, SAME(4), ONES, SAME(2), SAME(2), "block"},
    {1, 1, 1, 16, 1, {64}, {15}, {4}, ONES, {7}, {7}, "block"},
    {3, 1, 1, 16, 1, {6, 7, 9}, {3, 3, 3}, ONES, ONES, SAME(1), SAME(1), "block"},
    {3, 1, 3, 16, 1, {4, 9, 9}, {3, 7, 7}, {1, 2, 2}, ONES, {1, 3, 3}, {1, 3, 3}, "block"},
    {2, 1, 16, 32, 1, {9, 9}, {3, 3}, ONES, SAME(2), SAME(2), SAME(2), "flip"},
    {2, 1, 16, 32, 1, {9, 9}, {3, 2}, ONES, {3, 2}, {3, 0}, {6, 2}, "flip"}, /* asymmetric */
    {2, 1, 16, 16, 16, {9, 9}, {3, 3}, ONES, ONES, SAME(1), SAME(1), "flip"},
    {2, 1, 16, 16, 16, {9, 9}, {3, 3}, SAME(2), ONES, SAME(1), SAME(1), "direct"},
    {2, 1, 16, 16, 16, {9, 9}, {3, 3}, ONES, SAME(2), SAME(2), SAME(2), "flip"},
    {2, 1, 16, 16, 16, {5, 5}, {3, 3}, ONES, ONES, SAME(3), SAME(3), ""}, /* more padding than can be flipped */
    {2, 2, 6, 18, 6, {9, 8}, {3, 3}, ONES, ONES, SAME(1), SAME(1), "flip-repeat"},
    {2, 2, 6, 18, 6, {9, 8}, {3, 3}, {2, 1}, ONES, SAME(1), SAME(1), "repeat"},
    {2, 1, 8, 12, 4, {7, 7}, {3, 3}, ONES, SAME(2), SAME(2), SAME(2), "flip"}, /* groups */
    {2, 1, 32, 32, 4, {6, 6}, {3, 3}, ONES, ONES, SAME(1), SAME(1), ""},
    {1, 1, 16, 16, 16, {40}, {9}, ONES, ONES, {4}, {4}, "flip"},
    {1, 2, 16, 16, 1, {40}, {3}, ONES, {4}, {4}, {4}, "flip"},
    {3, 2, 8, 8, 8, {5, 6, 4}, {3, 3, 3}, ONES, ONES, SAME(1), SAME(1), ""},
    {3, 1, 16, 16, 1, {5, 6, 4}, {2, 2, 2}, SAME(2), ONES, SAME(0), SAME(0), ""},
    {2, 1, 3, 5, 1, {5, 4}, {3, 2}, {INT32_MAX, 9}, ONES, SAME(0), SAME(1), ""}, /* one window */
    {2, 1, 3, 5, 1, {4, 4}, {3, 3}, ONES, ONES, SAME(4), SAME(3), ""}, /* dy cells that reach nothing */
};
/* clang-format on */

typedef struct conv_graph {
    oxp_shape x, w, y;
    oxp_attr attrs[8];
    size_t n_attrs;
    int64_t pads[6];
} conv_graph;

static int64_t result_cells(const conv_case *c, int a)
{
    return (c->in[a] + c->begin[a] + c->end[a] - (c->kernel[a] - 1) * c->dilation[a] - 1) /
               c->stride[a] +
           1;
}

static void describe(const conv_case *c, bool back, conv_graph *g)
{
    const size_t axes = (size_t)c->axes;
    g->x = (oxp_shape){c->axes + 2, {c->n, c->c}};
    g->w = (oxp_shape){c->axes + 2, {c->k, c->c / c->group}};
    g->y = (oxp_shape){c->axes + 2, {c->n, c->k}};
    for (int a = 0; a < c->axes; a++) {
        g->x.dim[2 + a] = c->in[a];
        g->w.dim[2 + a] = c->kernel[a];
        g->y.dim[2 + a] = result_cells(c, a);
        g->pads[a] = c->begin[a];
        g->pads[c->axes + a] = c->end[a];
    }
    g->attrs[0] = OXP_INT("group", c->group);
    g->attrs[1] = OXP_INTS("strides", c->stride, axes);
    g->attrs[2] = OXP_INTS("dilations", c->dilation, axes);
    g->attrs[3] = OXP_INTS("pads", g->pads, 2 * axes);
    g->attrs[4] = OXP_INTS("input_shape", g->x.dim, axes + 2);
    g->n_attrs = back ? 5 : 4;
}

/* Strides and dilations that a row leaves out are 1. */
static conv_case complete(conv_case c)
{
    for (int a = 0; a < c.axes; a++) {
        if (c.stride[a] == 0) c.stride[a] = 1;
        if (c.dilation[a] == 0) c.dilation[a] = 1;
    }
    return c;
}

static const char *case_text(const fixture *f, const conv_case *c, bool back)
{
    return oxp_arena_printf(
        f->arena,
        "%s axes %d n %lld c %lld k %lld group %lld in %lldx%lldx%lld kernel %lldx%lldx%lld",
        back ? "adjoint" : "forward", c->axes, (long long)c->n, (long long)c->c, (long long)c->k,
        (long long)c->group, (long long)c->in[0], (long long)c->in[1], (long long)c->in[2],
        (long long)c->kernel[0], (long long)c->kernel[1], (long long)c->kernel[2]);
}

static bool plan_has_form(const char *plan, const char *form)
{
    if (strcmp(form, "direct") != 0) return strstr(plan, form) != NULL;
    return strstr(plan, "block") == NULL && strstr(plan, "flip") == NULL &&
           strstr(plan, "repeat") == NULL;
}

static void check_case(const conv_case *row, bool back, bool constant)
{
    fixture f;
    conv_graph s;
    oxp_cost cost;
    const conv_case c = complete(*row);
    fixture_init(&f);
    describe(&c, back, &s);
    const oxp_val x = fixture_input(&f, back ? &s.y : &s.x, 1);
    const oxp_val w = constant ? fixture_const(&f, &s.w, 2) : fixture_input(&f, &s.w, 2);
    const oxp_op *op = back ? &oxp_op__ConvGradX : &oxp_op_Conv;
    const oxp_val y = oxp_emit(&f.b, op, (const oxp_val[]){x, w}, 2, s.attrs, s.n_attrs);
    const char *what = case_text(&f, &c, back);
    fixture_must(&f, f.b.status, what);
    fixture_must(&f, oxp_graph_add_output(&f.ctx, f.g, y), what);
    const char *plan = fixture_check(&f, what, 0.0, &cost);
    if (!plan_has_form(plan, c.form)) fail_msg("%s: expected %s in\n%s", what, c.form, plan);
    if (constant && cost.reorders != 0) fail_msg("%s: %u reorders", what, cost.reorders);
    assert_true(cost.flops > 0);
    assert_non_null(strstr(f.log, "dispatch: conv"));
    fixture_free(&f);
}

static void test_forward(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forward / sizeof *forward; i++)
        check_case(&forward[i], false, true);
}

static void test_adjoint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof adjoint / sizeof *adjoint; i++)
        check_case(&adjoint[i], true, true);
}

/* Weights that are computed are packed (and rearranged) in every run. */
static void test_weights_that_are_not_constant(void **state)
{
    (void)state;
    check_case(&forward[0], false, false);
    check_case(&forward[7], false, false);
    check_case(&adjoint[0], true, false);
    check_case(&adjoint[2], true, false);
    check_case(&adjoint[13], true, false);
    check_case(&adjoint[18], true, false);
}

/* ---- bias, residual, activation ---- */

typedef struct post_case {
    const char *fn;
    double alpha, beta, tolerance;
    bool fused; /* by the primitive; else as a step of its own */
} post_case;

static const post_case posts[] = {
    {"", 0, 0, 0, true},
    {"Relu", 0, 0, 0, true},
    {"LeakyRelu", 0.25, 0, 0, true},
    {"Clip", 0, 6, 0, true},
    {"Clip", 6, 0, 0, false}, /* oneDNN wants lo <= hi */
    {"Elu", 0.5, 0, 1e-6, true},
    {"Sigmoid", 0, 0, 1e-6, true},
    {"Tanh", 0, 0, 1e-6, true},
    {"_Silu", 0, 0, 1e-6, true},
    {"_Silu", 1.5, 0, 1e-6, true},
    {"_Gelu", 0, 0, 1e-6, true},
    {"_GeluTanh", 0, 0, 1e-6, true},
    {"HardSwish", 0, 0, 1e-6, true},
    {"Softplus", 0, 0, 1e-6, false},
    {"Abs", 0, 0, 0, false},
};

static void check_post(const conv_case *row, const post_case *p, bool bias, bool residual,
                       bool count)
{
    fixture f;
    conv_graph s;
    oxp_cost cost;
    const conv_case c = complete(*row);
    fixture_init(&f);
    describe(&c, false, &s);
    size_t n = s.n_attrs;
    s.attrs[n++] = OXP_STR("fn", p->fn);
    s.attrs[n++] = OXP_FLOAT("alpha", p->alpha);
    s.attrs[n++] = OXP_FLOAT("beta", p->beta);
    const oxp_shape channels = {1, {c.k}};
    const oxp_val in[4] = {fixture_input(&f, &s.x, 1), fixture_const(&f, &s.w, 2),
                           bias ? fixture_const(&f, &channels, 3) : OXP_NO_VAL,
                           residual ? fixture_input(&f, &s.y, 4) : OXP_NO_VAL};
    const oxp_val y = oxp_emit(&f.b, &oxp_op__Conv, in, 4, s.attrs, n);
    const char *what = oxp_arena_printf(f.arena, "%s fn '%s' bias %d residual %d",
                                        case_text(&f, &c, false), p->fn, bias, residual);
    fixture_must(&f, f.b.status, what);
    fixture_must(&f, oxp_graph_add_output(&f.ctx, f.g, y), what);
    const char *plan = fixture_check(&f, what, p->tolerance, &cost);
    if (count && p->fused && cost.steps != 1) fail_msg("%s: expected one step\n%s", what, plan);
    if (count && !p->fused && cost.steps < 2)
        fail_msg("%s: expected several steps\n%s", what, plan);
    fixture_free(&f);
}

static void test_posts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++)
        for (int with = 0; with < 4; with++)
            check_post(&forward[0], &posts[i], (with & 1) != 0, (with & 2) != 0, true);
}

/* Every kind of primitive and form adds a residual and a function rightly. */
static void test_posts_of_all_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forward / sizeof *forward; i++)
        check_post(&forward[i], &posts[1], true, true, false);
}

/* ---- shared weights ---- */

/* A program for another batch, and one with other threads, use the entries that the first one made. */
static void test_weights_are_packed_once(void **state)
{
    (void)state;
    const size_t rows[] = {0, 2, 13};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture f;
        conv_graph s;
        size_t bytes = 0;
        oxp_weights *weights = oxp_weights_new(NULL);
        fixture_init(&f);
        conv_case c = complete(adjoint[rows[i]]);
        describe(&c, true, &s);
        const oxp_val w = fixture_const(&f, &s.w, 2);
        assert_int_equal(oxp_weights_keep(&f.ctx, weights, f.g), OXP_OK);
        for (c.n = 1; c.n <= 3; c.n++) {
            describe(&c, true, &s);
            f.g->n_inputs = f.g->n_outputs = 0;
            const oxp_val in[2] = {fixture_input(&f, &s.y, 1), w};
            const oxp_val y = oxp_emit(&f.b, &oxp_op__ConvGradX, in, 2, s.attrs, s.n_attrs);
            fixture_must(&f, f.b.status, "emitting");
            fixture_must(&f, oxp_graph_add_output(&f.ctx, f.g, y), "output");
            fixture_compute(&f, OXP_EXEC_FUSED, (int)c.n, weights, "batch", NULL, NULL);
            if (c.n == 1) bytes = oxp_weights_bytes(weights);
            assert_true(bytes > 0);
            assert_int_equal(oxp_weights_bytes(weights), bytes);
        }
        oxp_weights_free(weights);
        fixture_free(&f);
    }
}

/* ---- memory ---- */

/* Compiles and runs f's graph with allocation number fail_at failing; nothing may be left over. */
static bool survive_failure(fixture *f, int64_t fail_at)
{
    oxp_test_alloc a = {.fail_at = fail_at};
    const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
    oxp_error error = {0};
    oxp_ctx ctx = {.error = &error, .hooks = &hooks, .scratch = oxp_arena_new(&hooks)};
    oxp_weights *weights = oxp_weights_new(&hooks);
    oxp_program *p = NULL;
    const oxp_exec_options options = {.threads = 1};
    oxp_status status = ctx.scratch != NULL && weights != NULL ? OXP_OK : OXP_ENOMEM;
    if (status == OXP_OK) status = oxp_program_new(&ctx, f->g, weights, &options, &p);
    for (size_t i = 0; i < f->g->n_inputs && status == OXP_OK; i++)
        status = oxp_program_feed(&ctx, p, i, &f->data[i]);
    if (status == OXP_OK) status = oxp_program_run(&ctx, p, 0);
    oxp_program_free(p);
    oxp_weights_free(weights);
    oxp_arena_free(ctx.scratch);
    assert_int_equal(a.live, 0);
    assert_int_equal(status, a.failed ? OXP_ENOMEM : OXP_OK);
    return a.failed;
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    const size_t rows[] = {0, 2, 13, 18}; /* direct, block, flip, flip-repeat */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture f;
        conv_graph s;
        int64_t fail_at = 0;
        const conv_case c = complete(adjoint[rows[i]]);
        fixture_init(&f);
        describe(&c, true, &s);
        const oxp_val in[2] = {fixture_input(&f, &s.y, 1), fixture_const(&f, &s.w, 2)};
        const oxp_val y = oxp_emit(&f.b, &oxp_op__ConvGradX, in, 2, s.attrs, s.n_attrs);
        fixture_must(&f, f.b.status, "emitting");
        fixture_must(&f, oxp_graph_add_output(&f.ctx, f.g, y), "output");
        while (survive_failure(&f, fail_at)) fail_at++;
        assert_true(fail_at > 5);
        fixture_free(&f);
    }
}

/* ---- the table of choices ---- */

static void test_lift(void **state)
{
    (void)state;
    const oxp_conv line = {1, 1, 4, 8, 1, {40}, {20}, {5}, {2}, {1}, {2}, {2}};
    const oxp_conv a = oxp_conv_lift(&line);
    assert_int_equal(a.axes, 2);
    assert_int_equal(a.in[0], 1);
    assert_int_equal(a.in[1], 40);
    assert_int_equal(a.kernel[1], 5);
    assert_int_equal(a.stride[0], 1);
    const oxp_conv column = {2,          1,         4,         8,         1,   {40, 1, 1},
                             {40, 1, 1}, {5, 1, 1}, {1, 1, 1}, {1, 1, 1}, {2}, {2}};
    const oxp_conv b = oxp_conv_lift(&column);
    assert_int_equal(b.in[0], 1);
    assert_int_equal(b.in[1], 40);
    assert_int_equal(b.pad_begin[1], 2);
    const oxp_conv flat = {3,         1,         4,         8,         1,         {9, 1, 7},
                           {9, 1, 7}, {3, 1, 3}, {1, 1, 1}, {1, 1, 1}, {1, 0, 1}, {1, 0, 1}};
    const oxp_conv c = oxp_conv_lift(&flat);
    assert_int_equal(c.axes, 2);
    assert_int_equal(c.in[0], 9);
    assert_int_equal(c.in[1], 7);
}

/* Every convolution ends with a form that always works. */
static void test_last_form_is_direct(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof adjoint / sizeof *adjoint; i++) {
        const conv_case c = complete(adjoint[i]);
        oxp_conv conv = {.axes = c.axes, .n = c.n, .c = c.c, .k = c.k, .group = c.group};
        for (int a = 0; a < 3; a++) {
            const bool used = a < c.axes;
            conv.in[a] = used ? c.in[a] : 1;
            conv.out[a] = used ? result_cells(&c, a) : 1;
            conv.kernel[a] = used ? c.kernel[a] : 1;
            conv.stride[a] = used ? c.stride[a] : 1;
            conv.dilation[a] = used ? c.dilation[a] : 1;
            conv.pad_begin[a] = used ? c.begin[a] : 0;
            conv.pad_end[a] = used ? c.end[a] : 0;
        }
        const oxp_conv lifted = oxp_conv_lift(&conv);
        oxp_conv_form forms[OXP_CONV_FORMS];
        const int n = oxp_conv_forms(&lifted, true, forms);
        assert_in_range(n, 1, OXP_CONV_FORMS);
        assert_int_equal(forms[n - 1].kind, OXP_CONV_DIRECT);
        assert_true(forms[n - 1].backward);
        assert_int_equal(forms[n - 1].repeat, 1);
    }
}

/* Whatever a model says: no long search, no huge weights. */
static void test_absurd_strides(void **state)
{
    (void)state;
    const int64_t huge = INT64_C(1) << 40;
    const oxp_conv c = {2,         1,   1,  1, 1, {3, 3, 1}, {1, 1, 1}, {3, 3, 1}, {huge, huge, 1},
                        {1, 1, 1}, {0}, {0}};
    oxp_conv_form forms[OXP_CONV_FORMS];
    assert_int_equal(oxp_conv_forms(&c, true, forms), 1);
    assert_int_equal(forms[0].kind, OXP_CONV_DIRECT);
    const oxp_conv large = {3,
                            huge,
                            huge,
                            huge,
                            1,
                            {huge, huge, huge},
                            {huge, huge, huge},
                            {huge, huge, huge},
                            {1, 1, 1},
                            {1, 1, 1},
                            {0},
                            {0}};
    assert_true(oxp_conv_flops(&large) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_adjoint),
        cmocka_unit_test(test_weights_that_are_not_constant),
        cmocka_unit_test(test_posts),
        cmocka_unit_test(test_posts_of_all_forms),
        cmocka_unit_test(test_weights_are_packed_once),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_lift),
        cmocka_unit_test(test_last_form_is_direct),
        cmocka_unit_test(test_absurd_strides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
