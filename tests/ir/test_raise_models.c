/*
 * Raising on files: every spelling of every composite in tests/data/toy becomes that composite,
 * once, and nothing of it is left in primitives; in the sample transformers every block's norms,
 * activations and attention are found. Values are compared with the recorded outputs and gradients
 * before and after.
 */
#include "grad/grad.h"
#include "onnx/import.h"
#include "ops/specialise.h"
#include "opt/opt.h"
#include "support/eval.h"
#include "support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA OXP_SOURCE_DIR "/tests/data/"

typedef struct net { /* an imported model, specialised for the inputs recorded beside it */
    oxp_ctx ctx;
    oxp_error error;
    oxp_arena *arena;
    char folder[1024]; /* NAME.io */
    oxp_onnx_model *model;
    oxp_graph *g;
    oxp_tensor inputs[4];
    oxp_val output;
} net;

static void must(net *t, oxp_status status)
{
    if (status != OXP_OK) fail_msg("%s: status %d: %s", t->folder, (int)status, t->error.message);
}

static oxp_tensor load(net *t, const char *name)
{
    char path[2048];
    oxp_bytes file;
    oxp_tensor out;
    snprintf(path, sizeof path, "%s/%s.npy", t->folder, name);
    must(t, oxp_file_read(&t->ctx, t->arena, path, 0, &file));
    must(t, oxp_npy_parse(&t->ctx, t->arena, file, &out));
    return out;
}

static void specialise(net *t)
{
    oxp_feed feeds[4] = {{0}};
    oxp_special special;
    assert_true(t->model->n_inputs <= 4);
    for (size_t i = 0; i < t->model->n_inputs; i++) {
        char name[256];
        snprintf(name, sizeof name, "input__%s", t->model->inputs[i].name);
        t->inputs[i] = load(t, name);
        feeds[i] = (oxp_feed){.val = t->model->inputs[i].value, .shape = t->inputs[i].shape};
    }
    const oxp_cut cut = {.feeds = feeds,
                         .n_feeds = t->model->n_inputs,
                         .wanted = &t->model->outputs[0].value,
                         .n_wanted = 1};
    must(t, oxp_specialise(&t->ctx, t->arena, t->model->graph, &cut, &special, NULL));
    t->g = special.g;
    t->output = special.g->outputs[0];
}

static void open_net(net *t, const char *stem)
{
    char path[1024];
    oxp_bytes file;
    *t = (net){.arena = oxp_arena_new(NULL)};
    t->ctx = (oxp_ctx){.error = &t->error, .scratch = oxp_arena_new(NULL)};
    snprintf(path, sizeof path, "%s.onnx", stem);
    snprintf(t->folder, sizeof t->folder, "%s.io", stem);
    must(t, oxp_file_read(&t->ctx, t->arena, path, 0, &file));
    must(t, oxp_import(&t->ctx, t->arena, file, NULL, 0, &t->model));
    specialise(t);
}

static void close_net(net *t)
{
    oxp_arena_free(t->ctx.scratch);
    oxp_arena_free(t->arena);
}

/* Raises t->g; `keep` (may be 0) is followed, too. */
static void raise(net *t, oxp_val *keep, size_t n_keep)
{
    const oxp_pass_fn passes[] = {oxp_opt_raise};
    oxp_val follow[8] = {t->output};
    assert_true(n_keep < 8);
    if (n_keep) memcpy(follow + 1, keep, n_keep * sizeof *keep);
    must(t, oxp_opt_run(&t->ctx, t->arena, passes, 1, &t->g, follow, n_keep + 1));
    t->output = follow[0];
    if (n_keep) memcpy(keep, follow + 1, n_keep * sizeof *keep);
}

static size_t count(const net *t, const char *op)
{
    size_t n = 0;
    for (size_t i = 0; i < t->g->n_nodes; i++) n += strcmp(t->g->nodes[i]->op->name, op) == 0;
    return n;
}

/* ---- numbers ---- */

static double *widen(net *t, const oxp_tensor *x, size_t *n)
{
    *n = (size_t)oxp_shape_elements(&x->shape);
    double *wide = OXP_NEW(t->arena, double, *n + 1);
    assert_non_null(wide);
    oxp_convert(wide, OXP_F64, x->data, x->dtype, (int64_t)*n);
    return wide;
}

static void check_close(net *t, const oxp_tensor *got, const oxp_tensor *want, double tolerance,
                        const char *what)
{
    size_t n, m;
    const double *a = widen(t, got, &n), *b = widen(t, want, &m);
    assert_int_equal(n, m);
    const double error = oxp_test_error_f64(a, b, n);
    if (!(error <= tolerance))
        fail_msg("%s: %s: relative error %g, allowed %g", t->folder, what, error, tolerance);
}

/* The output, and the gradient of its class 1 at the first input where that is a float. */
static void evaluate(net *t, const oxp_tensor **output, const oxp_tensor **gradient)
{
    oxp_build b;
    oxp_val seed, wrt = t->g->inputs[0];
    oxp_tensor *one_hot = OXP_NEW(t->arena, oxp_tensor, 1);
    const oxp_shape *y = oxp_shape_at(t->g, t->output);
    const bool differentiable = oxp_value_of(t->g, wrt)->dtype == OXP_F32;
    oxp_diff diff = {.target = &t->output, .seed = &seed, .n_target = 1, .wrt = &wrt, .n_wrt = 1};
    oxp_build_init(&b, &t->ctx, t->g);
    must(t, oxp_tensor_new(&t->ctx, t->arena, OXP_F64, y, one_hot));
    for (int64_t i = 1; i < oxp_shape_elements(y); i += y->dim[y->rank - 1])
        ((double *)(uintptr_t)one_hot->data)[i] = 1.0;
    seed = oxp_b_const(&b, OXP_F32, one_hot);
    if (differentiable) must(t, oxp_differentiate(&b, &diff));
    const oxp_tensor **values = OXP_NEW(t->arena, const oxp_tensor *, t->g->n_values);
    assert_non_null(values);
    must(t, oxp_test_eval(&t->ctx, t->arena, t->g, t->inputs, values));
    *output = values[t->output];
    *gradient = differentiable ? values[diff.adjoint[0]] : NULL;
}

/* ---- spellings ---- */

static const struct group {
    const char *name, *op;
} groups[] = {
    {"attention", "_Attention"}, {"attention_mask", "_Attention"},
    {"gelu", "_Gelu"},           {"gelu_tanh", "_GeluTanh"},
    {"groupnorm", "_GroupNorm"}, {"hardsigmoid", "HardSigmoid"},
    {"hardswish", "HardSwish"},  {"layernorm", "LayerNormalization"},
    {"mish", "_Mish"},           {"sigmoid", "Sigmoid"},
    {"silu", "_Silu"},           {"softmax", "Softmax"},
    {"softmax_end", "Softmax"},  {"logsoftmax_end", "LogSoftmax"},
    {"softplus", "Softplus"},    {"softsign", "Softsign"},
};

/* What composites are spelled with, and composites that are parts of others. */
static const char *const primitives[] = {"Erf",       "Tanh",       "Exp",
                                         "Log",       "Clip",       "Pow",
                                         "Sqrt",      "Reciprocal", "Neg",
                                         "Div",       "ReduceMax",  "HardSigmoid",
                                         "Sigmoid",   "Softplus",   "Softsign",
                                         "Softmax",   "LogSoftmax", "LayerNormalization",
                                         "Sub",       "Mul",        "_Gelu",
                                         "_GeluTanh", "_Silu",      "_Mish",
                                         "HardSwish", "_GroupNorm", "InstanceNormalization"};

static void check_spelling(const char *stem, const struct group *group)
{
    net t;
    const oxp_tensor *y, *dy, *raised_y, *raised_dy;
    open_net(&t, stem);
    evaluate(&t, &y, &dy);
    specialise(&t); /* without the gradient again */
    raise(&t, NULL, 0);
    if (count(&t, group->op) != 1)
        fail_msg("%s: %zu nodes %s", stem, count(&t, group->op), group->op);
    for (size_t i = 0; i < OXP_COUNT(primitives); i++)
        if (strcmp(primitives[i], group->op) != 0 && count(&t, primitives[i]))
            fail_msg("%s: %s is left over", stem, primitives[i]);
    evaluate(&t, &raised_y, &raised_dy);
    check_close(&t, raised_y, y, 1e-6,
                "output after and before"); /* constants in the file are float32 */
    check_close(&t, raised_dy, dy, 1e-6, "gradient after and before");
    const oxp_tensor want_y =
        load(&t, strstr(group->name, "_end") ? "output__act" : "output__logits");
    const oxp_tensor want_dy = load(&t, "ref_grad_class1");
    check_close(&t, raised_y, &want_y, 1e-5, "output");
    if (!strstr(group->name, "_end")) check_close(&t, raised_dy, &want_dy, 1e-5, "gradient");
    close_net(&t);
}

static void every_spelling_becomes_its_composite(void **state)
{
    (void)state;
    size_t seen[OXP_COUNT(groups)] = {0};
    DIR *folder = opendir(DATA "toy");
    assert_non_null(folder);
    for (struct dirent *d; (d = readdir(folder)) != NULL;) {
        const char *dot = strrchr(d->d_name, '.'), *cut = strstr(d->d_name, "__");
        if (strncmp(d->d_name, "composite_", 10) != 0 || !dot || strcmp(dot, ".onnx") != 0 || !cut)
            continue;
        const char *name = d->d_name + 10;
        if (strncmp(name, "quantised", 9) == 0 || strncmp(name, "dynamic", 7) == 0) continue;
        size_t i = 0;
        while (i < OXP_COUNT(groups) &&
               (strncmp(name, groups[i].name, strlen(groups[i].name)) != 0 ||
                name + strlen(groups[i].name) != cut))
            i++;
        if (i == OXP_COUNT(groups)) fail_msg("%s: what should it become?", d->d_name);
        char stem[1024];
        snprintf(stem, sizeof stem, DATA "toy/%.*s", (int)(dot - d->d_name), d->d_name);
        check_spelling(stem, &groups[i]);
        seen[i]++;
    }
    closedir(folder);
    for (size_t i = 0; i < OXP_COUNT(groups); i++)
        if (!seen[i]) fail_msg("no spelling of %s was found", groups[i].name);
}

/* ---- quantised nets: nothing between codes is left, whatever the spelling ---- */

static void check_quantised(const char *name, size_t fakes, size_t ranges, size_t products)
{
    char stem[1024];
    net t;
    const oxp_tensor *y, *dy;
    snprintf(stem, sizeof stem, DATA "toy/composite_%s", name);
    open_net(&t, stem);
    raise(&t, NULL, 0);
    raise(&t, NULL, 0); /* drops the codes that nobody reads, and finds nothing more */
    if (count(&t, "_FakeQuant") != fakes || count(&t, "DynamicQuantizeLinear") != ranges ||
        count(&t, "MatMul") + count(&t, "Gemm") != products ||
        count(&t, "QuantizeLinear") + count(&t, "DequantizeLinear") + count(&t, "Mul") != 0)
        fail_msg("%s: %zu _FakeQuant, %zu ranges, %zu products, or codes are left", name,
                 count(&t, "_FakeQuant"), count(&t, "DynamicQuantizeLinear"),
                 count(&t, "MatMul") + count(&t, "Gemm"));
    evaluate(&t, &y, &dy);
    const oxp_tensor want = load(&t, "output__y");
    check_close(&t, y, &want, 1e-6, "output");
    close_net(&t);
}

static void codes_become_what_they_mean(void **state)
{
    (void)state;
    check_quantised("quantised__qdq", 4, 0, 1);
    check_quantised("quantised__qlinear", 3, 0, 1);
    check_quantised("quantised__microsoft", 3, 0, 1);
    check_quantised("dynamic__matmul", 2, 2, 2);
    check_quantised("dynamic__to_float", 2, 2, 2);
    check_quantised("dynamic__integer", 2, 2, 2);
}

/* ---- transformers ---- */

static void check_transformer(const char *stem, size_t blocks)
{
    net t;
    const oxp_tensor *y, *dy;
    open_net(&t, stem);
    raise(&t, NULL, 0);
    assert_int_equal(count(&t, "LayerNormalization"), 2 * blocks + 1);
    assert_int_equal(count(&t, "_Gelu"), blocks);
    assert_int_equal(count(&t, "_Attention"), blocks);
    assert_int_equal(count(&t, "Softmax") + count(&t, "Erf") + count(&t, "ReduceMean"), 0);
    evaluate(&t, &y, &dy);
    const oxp_tensor want = load(&t, "output__logits");
    check_close(&t, y, &want, 1e-5, "logits");
    close_net(&t);
}

static void vit_blocks_are_found(void **state)
{
    (void)state;
    check_transformer(DATA "samples/vit_tiny_fashion_mnist", 3);
}

static void bert_blocks_are_found(void **state)
{
    (void)state;
    check_transformer(DATA "samples/bert_tiny_sms_spam", 2);
}

/* An attention map that somebody asks for stays what it was; everything else is raised. */
static void attention_maps_can_be_kept(void **state)
{
    (void)state;
    net t;
    oxp_val maps[8];
    size_t n = 0;
    open_net(&t, DATA "samples/vit_tiny_fashion_mnist");
    for (size_t i = 0; i < t.g->n_nodes && n < 7; i++)
        if (t.g->nodes[i]->op == &oxp_op_Softmax) maps[n++] = t.g->nodes[i]->out[0];
    assert_int_equal(n, 3);
    raise(&t, maps, n);
    assert_int_equal(count(&t, "_Attention"), 0);
    assert_int_equal(count(&t, "Softmax"), 3);
    assert_int_equal(count(&t, "LayerNormalization"), 7);
    const oxp_tensor **values = OXP_NEW(t.arena, const oxp_tensor *, t.g->n_values);
    must(&t, oxp_test_eval(&t.ctx, t.arena, t.g, t.inputs, values));
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "ref_attention_block%zu", i);
        const oxp_tensor want = load(&t, name);
        check_close(&t, values[maps[i]], &want, 1e-4, name);
    }
    close_net(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_become_what_they_mean),
        cmocka_unit_test(every_spelling_becomes_its_composite),
        cmocka_unit_test(vit_blocks_are_found),
        cmocka_unit_test(bert_blocks_are_found),
        cmocka_unit_test(attention_maps_can_be_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
