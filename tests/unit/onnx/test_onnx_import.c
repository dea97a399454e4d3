/*
 * The import: what is declared, order, names, support, constants, opsets, functions, limits, and each allocation failed.
 */
#include "base/compiler.h"
#include "import_fixture.h"
#include "support/alloc.h"
#include <stdio.h>

static pb float_tensor(const char *name, const char *dims, const float *values, size_t n)
{
    pb t = pb_tensor(name, 1, dims);
    pb_bytes(&t, 9, values, n * sizeof *values);
    return t;
}

static const float two[] = {0.5F, -2};

/* y = relu(x) + w */
static pb small_graph(void)
{
    pb g = pb_graph();
    pb_add_node(&g, pb_node("Relu", "x", "act", "relu"));
    pb_add_node(&g, pb_node("Add", "act,w", "y", ""));
    pb_add_init(&g, float_tensor("w", "2", two, 2));
    return g;
}

static void test_what_is_declared(void **state)
{
    (void)state;
    pb g = small_graph();
    pb_add_input(&g, pb_value("w", 1, "2")); /* as before IR version 4 */
    pb m = pb_model(&g, 13), entry = {.n = 0};
    pb_text(&entry, 1, "key");
    pb_text(&entry, 2, "value");
    pb_msg(&m, 14, &entry);
    pb_text(&m, 3, "1.2");
    imported im = import_bytes(m.data, m.n, NULL, 0);
    expect_ok(&im);
    const oxp_onnx_model *model = im.model;
    assert_string_equal(model->producer, "maker");
    assert_string_equal(model->producer_version, "1.2");
    assert_int_equal(model->ir_version, 8);
    assert_int_equal(model->opset, 13);
    assert_int_equal(model->n_metadata, 1);
    assert_string_equal(model->metadata[0].key, "key");
    assert_string_equal(model->metadata[0].value, "value");
    assert_int_equal(model->parameters, 2);
    assert_int_equal(model->parameter_bytes, 8);
    assert_int_equal(model->n_inputs, 1);
    const oxp_onnx_io *x = &model->inputs[0];
    assert_string_equal(x->name, "x");
    assert_int_equal(x->dtype, OXP_F32);
    assert_int_equal(x->shape.rank, 2);
    assert_int_equal(x->shape.dim[0], OXP_DIM_UNKNOWN);
    assert_string_equal(x->symbols[0], "N");
    assert_int_equal(x->shape.dim[1], 2);
    assert_null(x->symbols[1]);
    assert_int_equal(model->graph->n_inputs, 1);
    assert_int_equal(model->graph->inputs[0], x->value);
    assert_int_equal(model->n_outputs, 1);
    assert_int_equal(model->outputs[0].shape.rank, -1);
    assert_int_equal(model->graph->outputs[0], model->outputs[0].value);
    assert_string_equal(maker(&im, "act")->origin, "relu");
    assert_string_equal(maker(&im, "y")->origin, "y"); /* unnamed: its output's name */
    const uint8_t *w = constant(&im, "w")->data;       /* used where it lies */
    assert_true(w > im.file && w + sizeof two <= im.file + m.n);
    imported_free(&im);
}

static void test_dtypes_are_those_of_the_file(void **state)
{
    (void)state;
    static const int dtypes[] = {1, 10, 11, 16, 2, 3, 6, 7, 12, 13, 9};
    for (size_t i = 0; i < OXP_COUNT(dtypes); i++) {
        pb g = {.n = 0};
        pb_add_input(&g, pb_value("x", dtypes[i], ""));
        pb_add_output(&g, pb_value("x", dtypes[i], ""));
        imported im = import_graph(&g, 13);
        expect_ok(&im);
        assert_int_equal(im.model->inputs[0].dtype, dtypes[i]);
        assert_int_equal(oxp_value_of(im.model->graph, im.model->inputs[0].value)->dtype,
                         dtypes[i]);
        imported_free(&im);
    }
}

/* ---- order and names ---- */

static void test_order_is_restored(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb_add_node(&g, pb_node("Add", "c,a", "y", "last"));
    pb_add_node(&g, pb_node("Relu", "b", "c", "third"));
    pb_add_node(&g, pb_node("Relu", "x", "a", "first"));
    pb_add_node(&g, pb_node("Relu", "a", "b", "second"));
    imported im = import_graph(&g, 13);
    expect_ok(&im);
    static const char *const want[] = {"first", "second", "third", "last"};
    assert_int_equal(im.model->graph->n_nodes, 4);
    for (size_t i = 0; i < 4; i++) assert_string_equal(im.model->graph->nodes[i]->origin, want[i]);
    imported_free(&im);
}

static void test_sorted_order_is_kept(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb_add_node(&g, pb_node("Relu", "x", "late", "n0")); /* used last, stays first */
    pb_add_node(&g, pb_node("Relu", "x", "a", "n1"));
    pb_add_node(&g, pb_node("Relu", "a", "b", "n2"));
    pb_add_node(&g, pb_node("Add", "b,late", "y", "n3"));
    imported im = import_graph(&g, 13);
    expect_ok(&im);
    for (size_t i = 0; i < 4; i++) {
        char want[3];
        snprintf(want, sizeof want, "n%zu", i);
        assert_string_equal(im.model->graph->nodes[i]->origin, want);
    }
    imported_free(&im);
}

static void test_wrong_names(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        const char *what;
    } cases[] = {
        {"gone", "y", "Relu 'node' reads tensor 'gone', which nothing in the model makes"},
        {"y", "y", "cycle"},
        {"x", "x", "makes tensor 'x', which something else makes too"},
        {"x", "act", "makes tensor 'act', which something else makes too"},
        {"x", "w", "makes tensor 'w', which something else makes too"},
        {"x", "z", "nothing in the model makes its output 'y'"},
        {"", "y", "Relu 'node' lacks input 0 of the 1 that it needs"},
        {"x", "", "Relu 'node' has no output"},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        pb g = pb_graph();
        pb_add_init(&g, float_tensor("w", "2", two, 2));
        pb_add_node(&g, pb_node("Relu", "x", "act", "other"));
        pb_add_node(&g, pb_node("Relu", cases[i].in, cases[i].out, "node"));
        expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, cases[i].what);
    }
    pb g = small_graph();
    pb_add_init(&g, float_tensor("w", "2", two, 2));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "has the name of another tensor");
    g = small_graph();
    pb_add_input(&g, pb_value("x", 1, NULL));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "the input 'x' has the name of another");
    g = small_graph();
    pb_add_init(&g, float_tensor("", "2", two, 2));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "initializer has no name");
}

static void test_long_cycle(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb_add_node(&g, pb_node("Add", "x,c", "a", ""));
    pb_add_node(&g, pb_node("Relu", "a", "b", ""));
    pb_add_node(&g, pb_node("Relu", "b", "c", ""));
    pb_add_node(&g, pb_node("Relu", "b", "y", ""));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "the graph has a cycle: Relu 'b'");
}

/* ---- support ---- */

static void test_everything_unsupported_is_listed(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb foreign = pb_node("Sampling", "x", "d", "draw");
    pb_text(&foreign, 7, "com.microsoft");
    pb_add_node(&g, pb_node("TfIdfVectorizer", "x,x", "a", "nms"));
    pb_add_node(&g, pb_node_with(pb_node("Relu", "x", "b", "r1"), pb_attr_int("slope", 1)));
    pb_add_node(&g, pb_node_with(pb_node("Relu", "x", "c", "r2"), pb_attr_int("slope", 2)));
    pb_add_node(&g, foreign);
    pb_add_node(&g, pb_node("Relu", "x", "y,z", "two"));
    pb_add_node(&g, pb_node("_Silu", "x", "e", "ours"));
    pb_add_node(&g, pb_node("RMSNormalization", "x,x", "f", ""));
    imported im = import_graph(&g, 11);
    assert_int_equal(im.status, OXP_EUNSUPPORTED);
    assert_string_equal(im.error.message,
                        "7 nodes use 6 unsupported features: "
                        "TfIdfVectorizer (opset 11) at 'nms'; Relu attribute slope at 'r1', "
                        "'r2'; com.microsoft::Sampling at 'draw'; Relu with 2 outputs at 'two'; "
                        "_Silu (opset 11) at 'ours'; RMSNormalization (opset 11) at 'f'");
    imported_free(&im);
}

static void test_values_of_attributes(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb_add_node(&g, pb_node_with(pb_node("Mod", "x,x", "y", "m"), pb_attr_int("fmod", 2)));
    expect_refusal(import_graph(&g, 13), OXP_EUNSUPPORTED,
                   "1 node uses 1 unsupported feature: Mod attribute fmod=2 at 'm'");
    g = pb_graph();
    pb_add_node(&g, pb_node_with(pb_node("Elu", "x", "y", "e"), pb_attr_int("alpha", 1)));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT,
                   "Elu 'e': attribute alpha has another type (2)");
    g = pb_graph();
    pb_add_node(&g,
                pb_node_with(pb_node_with(pb_node("Elu", "x", "y", "e"), pb_attr_float("alpha", 1)),
                             pb_attr_float("alpha", 2)));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "alpha is given twice");
}

static void test_long_lists_end_with_a_count(void **state)
{
    (void)state;
    pb g = pb_graph();
    char name[24], op[24];
    for (int i = 0; i < 70; i++) {
        snprintf(op, sizeof op, "Operator%d", i);
        snprintf(name, sizeof name, "t%d", i);
        pb_add_node(&g, pb_node(op, "x", name, ""));
    }
    imported im = import_graph(&g, 13);
    assert_int_equal(im.status, OXP_EUNSUPPORTED);
    const char *tail = strstr(im.error.message, "; ... and ");
    assert_non_null(tail);
    int left = 0, shown = 0;
    assert_int_equal(sscanf(tail, "; ... and %d more", &left), 1);
    for (const char *at = im.error.message; (at = strstr(at, "Operator")) != NULL; at++) shown++;
    assert_int_equal(left + shown, 70);
    imported_free(&im);
    g = pb_graph();
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "t%d", i);
        pb_add_node(&g, pb_node("DeformConv", "x", name, ""));
    }
    expect_refusal(import_graph(&g, 13), OXP_EUNSUPPORTED,
                   "9 nodes use 1 unsupported feature: DeformConv (opset 13) at 't0', 't1', 't2', "
                   "'t3' and 5 more");
}

static void test_opsets(void **state)
{
    (void)state;
    static const int64_t bad[] = {INT64_MIN, -13, 29, 999, INT64_MAX};
    const pb g = small_graph();
    for (int64_t opset = 1; opset <= 28; opset++) {
        imported im = import_graph(&g, opset);
        expect_ok(&im);
        imported_free(&im);
    }
    for (size_t i = 0; i < OXP_COUNT(bad); i++)
        expect_refusal(import_graph(&g, bad[i]), bad[i] > 0 ? OXP_EUNSUPPORTED : OXP_ECORRUPT,
                       bad[i] > 0 ? "1 to 28 are supported" : "does not say which opset");
    pb m = {.n = 0};
    const pb imports = pb_opset("ai.onnx", 13);
    pb_msg(&m, 7, &g);
    imported im = import_bytes(m.data, m.n, NULL, 0); /* before there were opsets: the first */
    expect_ok(&im);
    assert_int_equal(im.model->opset, 1);
    imported_free(&im);
    pb_msg(&m, 8, &imports);
    im = import_bytes(m.data, m.n, NULL, 0);
    expect_ok(&im);
    imported_free(&im);
    pb foreign = pb_graph(),
       node = pb_node("DictVectorizer", "x", "y", "s"); /* needs no opset of ours */
    pb_text(&node, 7, "ai.onnx.ml");
    pb_add_node(&foreign, node);
    m = (pb){.n = 0};
    pb_int(&m, 1, 8);
    pb_msg(&m, 7, &foreign);
    expect_refusal(import_bytes(m.data, m.n, NULL, 0), OXP_EUNSUPPORTED,
                   "ai.onnx.ml::DictVectorizer at 's'");
}

/* ---- constants and opset differences ---- */

static pb attr_list(const char *name, bool floats)
{
    pb a = pb_attr(name, floats ? 6 : 7);
    for (int i = 0; i < 3; i++)
        if (floats)
            pb_float(&a, 7, (float)i / 2);
        else
            pb_int(&a, 8, i - 1);
    return a;
}

static void test_constant_nodes(void **state)
{
    (void)state;
    pb g = pb_graph(), tensor = pb_attr("value", 4);
    const pb value = float_tensor("", "2", two, 2);
    pb_msg(&tensor, 5, &value);
    pb_add_node(&g, pb_node("Add", "x,tensor", "y", "add")); /* before its constant */
    pb_add_node(&g, pb_node_with(pb_node("Constant", "", "tensor", ""), tensor));
    pb_add_node(&g,
                pb_node_with(pb_node("Constant", "", "f", ""), pb_attr_float("value_float", 3)));
    pb_add_node(&g, pb_node_with(pb_node("Constant", "", "i", ""), pb_attr_int("value_int", -9)));
    pb_add_node(&g,
                pb_node_with(pb_node("Constant", "", "fs", ""), attr_list("value_floats", true)));
    pb_add_node(&g,
                pb_node_with(pb_node("Constant", "", "is", ""), attr_list("value_ints", false)));
    imported im = import_graph(&g, 13);
    expect_ok(&im);
    assert_int_equal(im.model->graph->n_nodes, 1);
    assert_int_equal(im.model->parameters, 0);
    assert_true(oxp_tensor_get(constant(&im, "tensor"), 1) == -2);
    assert_true(oxp_tensor_get(constant(&im, "f"), 0) == 3);
    assert_int_equal(constant(&im, "f")->shape.rank, 0);
    assert_int_equal(oxp_tensor_get_int(constant(&im, "i"), 0), -9);
    assert_int_equal(constant(&im, "fs")->shape.dim[0], 3);
    assert_true(oxp_tensor_get(constant(&im, "fs"), 2) == 1);
    assert_int_equal(constant(&im, "is")->dtype, OXP_I64);
    assert_int_equal(oxp_tensor_get_int(constant(&im, "is"), 0), -1);
    imported_free(&im);
    g = pb_graph();
    pb_add_node(&g, pb_node_with(pb_node("Constant", "", "y", "c"), pb_attr("value_strings", 8)));
    expect_refusal(import_graph(&g, 13), OXP_EUNSUPPORTED,
                   "Constant attribute value_strings at 'c'");
    g = pb_graph();
    pb_add_node(&g, pb_node("Constant", "", "y", "c"));
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "Constant 'c' has 0 attributes");
}

static void test_softmax_by_opset(void **state)
{
    (void)state;
    static const struct {
        int64_t opset, given, axis, span;
    } cases[] = {{7, 99, 1, 1}, {12, 0, 0, 1}, {13, 99, -1, 0}, {17, 1, 1, 0}};
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        pb g = pb_graph(), node = pb_node(i % 2 ? "LogSoftmax" : "Softmax", "x", "y", "");
        if (cases[i].given != 99) node = pb_node_with(node, pb_attr_int("axis", cases[i].given));
        node = pb_node_with(node, pb_attr_int("span", 5)); /* ours, not the file's to set */
        pb_add_node(&g, node);
        imported im = import_graph(&g, cases[i].opset);
        expect_ok(&im);
        assert_int_equal(oxp_attr_int(maker(&im, "y"), "axis", 99), cases[i].axis);
        assert_int_equal(oxp_attr_int(maker(&im, "y"), "span", 0), cases[i].span);
        imported_free(&im);
    }
}

static void test_resize_of_opset_10(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb_add_init(&g, float_tensor("scales", "2", two, 2));
    pb_add_node(
        &g, pb_node_with(pb_node("Resize", "x,scales", "y", ""), pb_attr_text("mode", "nearest")));
    imported im = import_graph(&g, 10);
    expect_ok(&im);
    const oxp_node *node = maker(&im, "y");
    assert_string_equal(node->op->name, "Upsample"); /* what it was at that opset */
    assert_int_equal(node->n_in, 2);
    assert_string_equal(reads(&im, node, 1), "scales");
    assert_string_equal(oxp_attr_string(node, "mode", ""), "nearest");
    imported_free(&im);
}

/* ---- opsets 1 to 6 ---- */

static void test_broadcasting_along_an_axis(void **state)
{
    (void)state;
    pb g = pb_graph(), node = pb_node("Add", "x,b", "y", "");
    pb_add_init(&g, float_tensor("b", "2", two, 2));
    node = pb_node_with(node, pb_attr_int("broadcast", 1));
    pb aligned = g, plain = g;
    pb_add_node(&aligned, pb_node_with(node, pb_attr_int("axis", 1)));
    imported im = import_graph(&aligned, 6);
    expect_ok(&im);
    const oxp_node *add = maker(&im, "y");
    assert_int_equal(add->n_attrs, 0);
    assert_int_equal(im.model->graph->n_nodes, 2);
    assert_string_equal(im.model->graph->nodes[0]->op->name, "_Align");
    assert_int_equal(im.model->graph->nodes[0]->out[0], add->in[1]);
    assert_int_equal(oxp_attr_int(im.model->graph->nodes[0], "axis", 0), 1);
    imported_free(&im);
    expect_refusal(import_graph(&aligned, 7), OXP_EUNSUPPORTED, "Add attribute broadcast");
    pb_add_node(&plain, node);
    im = import_graph(&plain, 6);
    expect_ok(&im);
    assert_int_equal(im.model->graph->n_nodes, 1);
    imported_free(&im);
}

/* Attributes that are no more: dropped, or rewritten as what came later. */
static void test_former_attributes(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb_add_node(&g, pb_node_with(pb_node("Cast", "x", "a", ""), pb_attr_text("to", "INT32")));
    pb_add_node(&g, pb_node_with(pb_node("Concat", "a,a", "b", ""),
                                 pb_attr_ints("consumed_inputs", (const int64_t[]){0, 0}, 2)));
    pb_add_node(&g, pb_node_with(pb_node("Dropout", "b", "y", ""), pb_attr_int("is_test", 1)));
    imported im = import_graph(&g, 3);
    expect_ok(&im);
    assert_int_equal(oxp_attr_int(maker(&im, "a"), "to", 0), OXP_I32);
    assert_int_equal(oxp_attr_int(maker(&im, "b"), "axis", 0), 1);
    assert_int_equal(maker(&im, "b")->n_attrs, 1);
    assert_int_equal(maker(&im, "y")->n_attrs, 0);
    imported_free(&im);
    pb p = pb_graph();
    pb_add_node(&p, pb_node_with(pb_node("Pad", "x", "y", ""),
                                 pb_attr_ints("paddings", (const int64_t[]){1, 0, 0, 1}, 4)));
    im = import_graph(&p, 1);
    expect_ok(&im);
    size_t n;
    const int64_t *pads = oxp_attr_ints(maker(&im, "y"), "pads", &n);
    assert_int_equal(n, 4);
    assert_int_equal(pads[3], 1);
    imported_free(&im);
    expect_refusal(import_graph(&p, 2), OXP_EUNSUPPORTED, "Pad attribute paddings");
}

/* Statistics of cells (opset 9 has none), and those of the input at hand, are other operators'. */
static void test_norms_of_other_statistics(void **state)
{
    (void)state;
    pb g = pb_graph(), channels;
    pb_add_init(&g, float_tensor("s", "2", two, 2));
    channels = g;
    const pb node = pb_node("BatchNormalization", "x,s,s,s,s", "y", "");
    pb_add_node(&g, pb_node_with(node, pb_attr_int("spatial", 0)));
    pb_add_node(&channels, pb_node_with(node, pb_attr_int("spatial", 1)));
    imported im = import_graph(&g, 8);
    expect_ok(&im);
    assert_string_equal(maker(&im, "y")->op->name, "_CellNorm");
    assert_int_equal(maker(&im, "y")->n_attrs, 0);
    imported_free(&im);
    im = import_graph(&channels, 8);
    expect_ok(&im);
    assert_string_equal(maker(&im, "y")->op->name, "BatchNormalization");
    imported_free(&im);
    expect_refusal(import_graph(&g, 9), OXP_EUNSUPPORTED, "BatchNormalization attribute spatial");
    for (int mode = 0; mode < 2; mode++) {
        pb h = pb_graph();
        pb_add_init(&h, float_tensor("s", "2", two, 2));
        pb_add_node(&h, pb_node_with(node, pb_attr_int("training_mode", mode)));
        im = import_graph(&h, 15);
        expect_ok(&im);
        assert_string_equal(maker(&im, "y")->op->name,
                            mode ? "_BatchNormTraining" : "BatchNormalization");
        assert_int_equal(maker(&im, "y")->n_attrs, 0);
        imported_free(&im);
    }
}

/* A label that is looked up among texts is left out, beside scores; the texts are the names of the classes. */
static void test_texts_are_left_out(void **state)
{
    (void)state;
    pb g = pb_graph(), names = pb_tensor("names", 8, "2"), only = {.n = 0};
    pb_bytes(&names, 6, "cat", 3);
    pb_bytes(&names, 6, "dog", 3);
    pb_add_init(&g, names);
    pb_add_init(&g, float_tensor("s", "2", two, 2));
    pb_add_output(&g, pb_value("label", 8, NULL));
    pb look = pb_node("ArrayFeatureExtractor", "names,best", "text", "");
    pb_text(&look, 7, "ai.onnx.ml");
    pb_add_node(&g, pb_node("Mul", "x,s", "y", ""));
    pb_add_node(&g, pb_node("ArgMax", "y", "best", ""));
    pb_add_node(&g, look);
    pb_add_node(&g, pb_node("Identity", "text", "label", ""));
    imported im = import_graph(&g, 13);
    expect_ok(&im);
    assert_int_equal(im.model->n_outputs, 1);
    assert_int_equal(im.model->graph->n_nodes, 2);
    assert_int_equal(im.model->n_class_names, 2);
    assert_string_equal(im.model->class_names[1], "dog");
    imported_free(&im);
    pb_add_init(&only, names);
    pb_add_input(&only, pb_value("x", 1, "N2"));
    pb_add_input(&only, pb_value("names", 8, "2")); /* with its default */
    pb_add_output(&only, pb_value("z", 1, NULL));
    pb_add_node(&only, pb_node("Add", "x,names", "z", ""));
    expect_refusal(import_graph(&only, 13), OXP_EUNSUPPORTED, "output 'z' is made of strings");
    pb made = pb_graph(), value = pb_attr("value", 4), shaped = value;
    pb_msg(&value, 5, &names);
    pb_add_node(&made, pb_node_with(pb_node("Constant", "", "t", ""), value));
    pb_add_node(&made, pb_node("Add", "x,t", "y", ""));
    expect_refusal(import_graph(&made, 13), OXP_EUNSUPPORTED, "output 'y' is made of strings");
    pb filled = pb_graph();
    pb_msg(&shaped, 5, &names);
    pb_add_node(&filled, pb_node("Shape", "x", "s", ""));
    pb_add_node(&filled, pb_node_with(pb_node("ConstantOfShape", "s", "y", ""), shaped));
    expect_refusal(import_graph(&filled, 13), OXP_EUNSUPPORTED, "tensor 'names' holds strings");
}

static void test_absent_inputs_and_outputs(void **state)
{
    (void)state;
    pb g = pb_graph();
    pb_add_init(&g, float_tensor("hi", "", two, 1));
    pb_add_node(&g, pb_node("Clip", "x,,hi", "a", ""));
    pb_add_node(&g, pb_node("Clip", "a,,", "y,,", "")); /* nothing but blanks behind */
    imported im = import_graph(&g, 13);
    expect_ok(&im);
    assert_int_equal(maker(&im, "a")->n_in, 3);
    assert_int_equal(maker(&im, "a")->in[1], OXP_NO_VAL);
    assert_string_equal(reads(&im, maker(&im, "a"), 2), "hi");
    assert_int_equal(maker(&im, "y")->n_in, 1);
    assert_int_equal(maker(&im, "y")->n_out, 1);
    imported_free(&im);
}

static void test_other_kinds_of_values(void **state)
{
    (void)state;
    pb g = {.n = 0};
    pb_add_input(&g, pb_value("text", 8, "2"));
    pb_add_output(&g, pb_value("text", 8, "2"));
    expect_refusal(import_graph(&g, 13), OXP_EUNSUPPORTED, "input 'text' takes strings");
    pb sequence = {.n = 0}, type = {.n = 0}, value = {.n = 0};
    pb_msg(&type, 4, &sequence);
    pb_text(&value, 1, "list");
    pb_msg(&value, 2, &type);
    g = (pb){.n = 0};
    pb_add_input(&g, value);
    expect_refusal(import_graph(&g, 13), OXP_EUNSUPPORTED, "'list' is a sequence");
    g = pb_graph();
    pb_add_input(&g, pb_value("deep", 1, "111111111"));
    expect_refusal(import_graph(&g, 13), OXP_EUNSUPPORTED, "9 dimensions, at most 8");
    g = small_graph();
    pb_msg(&g, 15, &sequence);
    expect_refusal(import_graph(&g, 13), OXP_EUNSUPPORTED, "1 sparse initializers");
    g = (pb){.n = 0};
    expect_refusal(import_graph(&g, 13), OXP_ECORRUPT, "the model has no output");
}

/* ---- damage and limits ---- */

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    const pb g = small_graph(), m = pb_model(&g, 13);
    for (size_t n = 0; n < m.n; n++) {
        imported im = import_bytes(m.data, n, NULL, 0);
        assert_int_equal(im.status, OXP_ECORRUPT);
        assert_int_equal(im.error.stage, OXP_STAGE_PARSE);
        imported_free(&im);
    }
    imported im = import_bytes(m.data, m.n, NULL, 0);
    expect_ok(&im);
    imported_free(&im);
}

static void test_flips_of_every_bit(void **state)
{
    (void)state;
    const pb g = small_graph();
    pb m = pb_model(&g, 13);
    int refused = 0;
    for (size_t bit = 0; bit < m.n * 8; bit++) {
        m.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        imported im = import_bytes(m.data, m.n, NULL, 0); /* asserts one line on refusal */
        refused += im.status != OXP_OK;
        imported_free(&im);
        m.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(refused > 0);
}

static void test_memory_limit(void **state)
{
    (void)state;
    const pb g = small_graph(), m = pb_model(&g, 13);
    expect_refusal(import_bytes(m.data, m.n, NULL, 100), OXP_ELIMIT,
                   "more records than memory is allowed for");
    imported im = import_bytes(m.data, m.n, NULL, 1 << 16);
    expect_ok(&im);
    imported_free(&im);
}

static void test_each_allocation_failed_once(void **state)
{
    (void)state;
    const pb g = small_graph(), m = pb_model(&g, 13);
    for (int64_t fail_at = 0;; fail_at++) {
        oxp_test_alloc a = {.fail_at = fail_at};
        const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
        oxp_error error = {.code = OXP_OK};
        oxp_arena *arena = oxp_arena_new(&hooks), *scratch = oxp_arena_new(&hooks);
        oxp_ctx ctx = {.error = &error, .hooks = &hooks, .scratch = scratch};
        oxp_onnx_model *model = NULL;
        if (arena && scratch) {
            const oxp_status status =
                oxp_import(&ctx, arena, (oxp_bytes){m.data, m.n}, NULL, 0, &model);
            assert_int_equal(status, a.failed ? OXP_ENOMEM : OXP_OK);
            assert_int_equal(error.code, status);
        }
        oxp_arena_free(scratch);
        oxp_arena_free(arena);
        assert_int_equal(a.live, 0);
        if (!a.failed) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_declared),
        cmocka_unit_test(test_dtypes_are_those_of_the_file),
        cmocka_unit_test(test_order_is_restored),
        cmocka_unit_test(test_sorted_order_is_kept),
        cmocka_unit_test(test_wrong_names),
        cmocka_unit_test(test_long_cycle),
        cmocka_unit_test(test_everything_unsupported_is_listed),
        cmocka_unit_test(test_values_of_attributes),
        cmocka_unit_test(test_long_lists_end_with_a_count),
        cmocka_unit_test(test_opsets),
        cmocka_unit_test(test_constant_nodes),
        cmocka_unit_test(test_softmax_by_opset),
        cmocka_unit_test(test_resize_of_opset_10),
        cmocka_unit_test(test_broadcasting_along_an_axis),
        cmocka_unit_test(test_former_attributes),
        cmocka_unit_test(test_norms_of_other_statistics),
        cmocka_unit_test(test_texts_are_left_out),
        cmocka_unit_test(test_absent_inputs_and_outputs),
        cmocka_unit_test(test_other_kinds_of_values),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_flips_of_every_bit),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_each_allocation_failed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
