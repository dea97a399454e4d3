/* test_batch.c - models declared for one item: they run several rows a pass where their graph can be widened,
 * one by one where it cannot, and give the same. The reference is the same session with widening
 * forbidden. */
#include "explain/session.h"
#include "net.h"

#include <math.h>
#include <string.h>

static void count_widened(const char *topic, const char *line, void *user)
{
    *(int *)user += strcmp(topic, "compile") == 0 && strstr(line, "1 item, widened") != NULL;
}

/* Methods of many passes, and one pass for many items. */
static const struct {
    const char *method, *params[2];
    size_t n_params;
} asked[] = {{"integrated-gradients", {"steps=16"}, 1},
             {"smoothgrad", {"samples=16"}, 1},
             {"occlusion", {"window=1", "stride=1"}, 2},
             {"input-x-gradient", {NULL}, 0}};

typedef struct ran {
    oxp_explanation e;
    uint32_t passes; /* as announced */
    int widened;
} ran;

static ran explain(test_net *t, size_t m, const oxp_tensor *x, bool fused, bool only_one)
{
    const oxp_settings set = {.method = oxp_methods_find(asked[m].method),
                              .params = asked[m].params,
                              .n_params = asked[m].n_params,
                              .double_precision = !fused};
    const oxp_target second = {OXP_TARGET_CLASS, 1}, none = {OXP_TARGET_TOP, 1};
    ran r = {0};
    oxp_cost cost;
    oxp_session *s;
    t->ctx.log = count_widened;
    t->ctx.log_user = &r.widened;
    assert_int_equal(oxp_session_new(&t->ctx, &t->net, &set, &s), OXP_OK);
    s->only_one = only_one;
    assert_int_equal(oxp_session_cost(&t->ctx, s, x, 1, second, none, &cost, &r.passes), OXP_OK);
    const oxp_status status = oxp_session_explain(&t->ctx, s, t->arena, x, 1, second, none, &r.e);
    if (status != OXP_OK) fail_msg("%s: %s", asked[m].method, t->error.message);
    oxp_session_free(s);
    t->ctx.log = NULL;
    assert_int_equal(r.passes, r.e.passes);
    return r;
}

/* n items: the model's own input, then others unlike it. */
static oxp_tensor items_of(test_net *t, const oxp_tensor *x, int64_t n)
{
    const int64_t count = oxp_shape_elements(&x->shape);
    oxp_shape shape = x->shape;
    shape.dim[0] = n;
    double *data = OXP_NEW(t->arena, double, n *count);
    for (int64_t i = 0; i < n * count; i++)
        data[i] =
            oxp_tensor_get(x, (i % count + i / count) % count) * (1.0 + 0.3 * (double)(i / count));
    return (oxp_tensor){OXP_F64, shape, data};
}

/* Every method, one item and three, in both executors: as without widening. */
static void check_model(test_net *t, const oxp_tensor *x, bool widens)
{
    for (size_t m = 0; m < OXP_COUNT(asked); m++)
        for (int64_t n = 1; n <= 3; n += 2)
            for (int fused = 0; fused < 2; fused++) {
                const bool many = n > 1 || asked[m].n_params > 0;
                const oxp_tensor items = items_of(t, x, n);
                const ran one = explain(t, m, &items, fused, true),
                          wide = explain(t, m, &items, fused, false);
                assert_int_equal(one.widened, 0);
                assert_int_equal(wide.widened > 0, widens && many);
                assert_true(widens && many ? 2 * wide.e.passes <= one.e.passes + 1
                                           : wide.e.passes == one.e.passes);
                assert_int_equal(wide.e.n_items, n);
                assert_int_equal(wide.e.n_notes, one.e.n_notes);
                test_close(&wide.e.maps[0].raw, &one.e.maps[0].raw, fused ? 1e-4 : 1e-10,
                           asked[m].method);
                for (int64_t k = 0; k < n; k++)
                    assert_true(fabs(wide.e.items[k].score - one.e.items[k].score) < 1e-4);
            }
}

static void check_toy(const char *name, bool widens)
{
    test_net *t = test_toy_open(name);
    const oxp_tensor x = test_toy_array(t, name, "input__x");
    check_model(t, &x, widens);
    test_net_close(t);
}

/* Reshape to [1,C,H,W], [1,-1,C], [T,C] and [1,-1], and a constant that is joined to each item. */
static void constants_of_one_item_grow(void **state)
{
    OXP_UNUSED(state);
    check_toy("ask_fixed_batch", true);
}

static void items_that_would_mix_run_alone(void **state)
{
    OXP_UNUSED(state);
    check_toy("ask_fixed_batch_mixes", false);
}

static void graphs_of_one_item_run_alone(void **state)
{
    OXP_UNUSED(state);
    check_toy("ask_fixed_batch_picks", false);
}

/* The items' axis in the middle, (time, item, feature): states that are constant grow there, and a Reshape
 * keeps it behind time. A size of a Resize is an item's, too. */
static void the_axis_is_found_by_shapes(void **state)
{
    OXP_UNUSED(state);
    static const double data[] = {0.5, -1, 0.25, 2, 1, -0.75, 0.1, 0.8};
    test_net *t = test_net_text("input %x:f32(1,4,2) \"x\"\n"
                                "const %w:f32(1,4,2) = [0.5,-1,0.25,1,-0.5,0.75,1,0.3]\n"
                                "const %r:f32(1,4,1) = [0.2,-0.4,0.6,0.1]\n"
                                "const %h:f32(1,1,1) = [0.5]\nconst %c:f32(1,1,1) = [-0.25]\n"
                                "const %v:f32(4,2) = [1,-1,2,0.5,-1,1,0.5,2]\n"
                                "%s = Transpose(%x) {perm=[1,0,2]}\n"
                                "%k = Reshape(%s) {shape=[2,2,1,2]}\n"
                                "%b = Reshape(%k) {shape=[4,1,2]}\n"
                                "%y = LSTM(%b, %w, %r, _, _, %h, %c) {hidden_size=1}\n"
                                "%q = Transpose(%y) {perm=[2,1,0,3]}\n"
                                "%f = Reshape(%q) {shape=[1,4]}\n"
                                "%out \"out\" = MatMul(%f, %v)\noutput %out\n");
    oxp_tensor x = test_array(t, 3, (const int64_t[]){1, 4, 2}, data);
    check_model(t, &x, true);
    test_net_close(t);
    t = test_net_text("input %x:f32(1,1,2,4) \"x\"\n"
                      "const %w:f32(32,2) = 0.125\nconst %u:f32(2) = [1,-2]\n"
                      "%a = Tanh(%x)\n%s = Resize(%a) {mode=\"linear\" sizes=[1,1,4,8]}\n"
                      "%f = Reshape(%s) {shape=[1,32]}\n%p = Mul(%f, %f)\n"
                      "%m = MatMul(%p, %w)\n%out \"out\" = Mul(%m, %u)\noutput %out\n");
    x = test_array(t, 4, (const int64_t[]){1, 1, 2, 4}, data);
    check_model(t, &x, true);
    test_net_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_of_one_item_grow),
        cmocka_unit_test(items_that_would_mix_run_alone),
        cmocka_unit_test(graphs_of_one_item_run_alone),
        cmocka_unit_test(the_axis_is_found_by_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
