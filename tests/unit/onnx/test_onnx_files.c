/*
 * Real files: every model of the repository is imported, and every damaged or malicious one is refused as
 * tests/data/hostile/expected.tsv says, at import or when its shapes are worked out. What only a run can find (row
 * kind `run`) may pass here.
 */
#include "import_fixture.h"
#include "ops/specialise.h"
#include <dirent.h>
#include <stdio.h>

static const char *const DATA = OXP_SOURCE_DIR "/tests/data";

static imported import_file(const char *dir, const char *name)
{
    size_t size;
    char *path = oxp_test_path(dir, name);
    uint8_t *bytes = oxp_test_read(path, &size);
    imported im = import_bytes(bytes, size, dir, 0);
    free(bytes);
    free(path);
    return im;
}

/* ---- models that must be read ---- */

/* What graph.h promises of a model graph: order, unique names, an origin for each node. */
static void check_graph(const imported *im)
{
    const oxp_graph *g = im->model->graph;
    oxp_arena *arena = oxp_arena_new(NULL);
    oxp_strmap names;
    oxp_strmap_init(&names, arena);
    bool *made = OXP_NEW(arena, bool, g->n_values);
    assert_non_null(made);
    for (size_t v = 1; v < g->n_values; v++) {
        const oxp_value *value = g->values[v];
        made[v] = value->kind != OXP_VALUE_NODE;
        assert_true(made[v] == (value->dtype != OXP_DTYPE_NONE));
        if (!value->name) continue;
        assert_false(oxp_strmap_get(&names, value->name, NULL));
        assert_true(oxp_strmap_put(&names, value->name, (uint32_t)v));
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        assert_string_not_equal(g->nodes[i]->origin, "");
        for (uint32_t k = 0; k < g->nodes[i]->n_in; k++)
            assert_true(g->nodes[i]->in[k] == OXP_NO_VAL || made[g->nodes[i]->in[k]]);
        for (uint32_t k = 0; k < g->nodes[i]->n_out; k++) made[g->nodes[i]->out[k]] = true;
    }
    assert_true(g->n_outputs > 0);
    for (size_t i = 0; i < g->n_outputs; i++) assert_true(made[g->outputs[i]]);
    oxp_arena_free(arena);
}

static bool is_model(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".onnx") == 0;
}

/* How many models of the folder were imported; all must be. */
static int import_folder(const char *dir)
{
    int count = 0;
    DIR *folder = opendir(dir);
    if (!folder) fail_msg("no folder %s", dir);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!is_model(entry->d_name)) continue;
        imported im = import_file(dir, entry->d_name);
        if (im.status != OXP_OK) fail_msg("%s: %s", entry->d_name, im.error.message);
        check_graph(&im);
        imported_free(&im);
        count++;
    }
    closedir(folder);
    return count;
}

static void test_models_of_the_repository(void **state)
{
    (void)state;
    static const struct {
        const char *folder;
        int at_least;
    } folders[] = {{"tests/data/toy", 190}, {"tests/data/samples", 4}, {"models", 1}};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *dir = oxp_test_path(OXP_SOURCE_DIR, folders[i].folder);
        assert_true(import_folder(dir) >= folders[i].at_least);
        free(dir);
    }
}

static void test_models_beside_the_repository(void **state)
{
    (void)state;
    static const char *const folders[] = {"a_image_classification",
                                          "b_benchmark_cnn",
                                          "c_vit",
                                          "d_text",
                                          "e_audio",
                                          "f_timeseries_ecg",
                                          "g_3d_segmentation",
                                          "h_2d_segmentation",
                                          "i_detection",
                                          "j_tabular"};
    const char *samples = oxp_test_samples();
    if (!samples) skip();
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *dir = oxp_test_path(samples, folders[i]);
        assert_true(import_folder(dir) > 0);
        free(dir);
    }
}

/* Weights stored in other ways are the same numbers. */
static void test_weights_agree(void **state)
{
    (void)state;
    static const char *const names[] = {"file_net__typed_fields.onnx", "file_net__external.onnx",
                                        "file_net__external_folder.onnx",
                                        "file_net__initializers_as_inputs.onnx"};
    char *dir = oxp_test_path(DATA, "toy");
    imported plain = import_file(dir, "file_net__plain.onnx");
    expect_ok(&plain);
    assert_int_equal(plain.model->parameters, 20 + 5 + 15 + 3);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        imported other = import_file(dir, names[i]);
        expect_ok(&other);
        assert_int_equal(other.model->n_inputs, 1);
        const oxp_tensor *a = constant(&plain, "w1"), *b = constant(&other, "w1");
        for (int64_t k = 0; k < 20; k++) assert_true(oxp_tensor_get(a, k) == oxp_tensor_get(b, k));
        imported_free(&other);
    }
    imported_free(&plain);
    free(dir);
}

static void test_functions_of_a_file(void **state)
{
    (void)state;
    char *dir = oxp_test_path(DATA, "toy");
    imported im = import_file(dir, "file_net__local_functions.onnx");
    expect_ok(&im);
    const oxp_node *difference = maker(&im, "act");
    assert_string_equal(difference->op->name, "Sub");
    const oxp_node *product = maker(&im, reads(&im, difference, 1));
    assert_string_equal(product->op->name, "Mul");
    assert_true(oxp_tensor_get(constant(&im, reads(&im, product, 1)), 0) == 0.25);
    imported_free(&im);
    free(dir);
}

/* ---- models that must be refused ---- */

static bool allows(const char *list, oxp_status status)
{
    static const struct {
        const char *word;
        oxp_status status;
    } words[] = {{"corrupt", OXP_ECORRUPT}, {"unsupported", OXP_EUNSUPPORTED}, {"io", OXP_EIO},
                 {"limit", OXP_ELIMIT},     {"invalid", OXP_EINVAL},           {"ok", OXP_OK}};
    if (strcmp(list, "any") == 0) return true;
    for (const char *at = list; *at != '\0'; at += strspn(at, "|")) {
        const size_t n = strcspn(at, "|");
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (words[i].status == status && strlen(words[i].word) == n &&
                strncmp(at, words[i].word, n) == 0)
                return true;
        at += n;
    }
    return false;
}

/* Works out all shapes, sizes that are not given being 1, with at most 64 MiB a value. */
static oxp_status specialise(imported *im)
{
    oxp_feed feeds[8];
    oxp_special special;
    size_t n = 0;
    im->ctx = (oxp_ctx){.error = &im->error, .scratch = oxp_arena_new(NULL)};
    for (; n < im->model->n_inputs && n < 8; n++) {
        feeds[n] =
            (oxp_feed){.val = im->model->inputs[n].value, .shape = im->model->inputs[n].shape};
        for (int i = 0; i < feeds[n].shape.rank; i++)
            if (feeds[n].shape.dim[i] == OXP_DIM_UNKNOWN) feeds[n].shape.dim[i] = 1;
    }
    const oxp_graph *g = im->model->graph;
    const oxp_cut cut = {.feeds = feeds,
                         .n_feeds = n,
                         .wanted = g->outputs,
                         .n_wanted = g->n_outputs,
                         .max_bytes = 64u << 20};
    const oxp_status status = oxp_specialise(&im->ctx, im->arena, g, &cut, &special, NULL);
    oxp_arena_free(im->ctx.scratch);
    return status;
}

static void test_hostile_models(void **state)
{
    (void)state;
    char *dir = oxp_test_path(DATA, "hostile"), *path = oxp_test_path(dir, "expected.tsv");
    char *rows = (char *)oxp_test_read(path, NULL), *rest = NULL;
    int count = 0;
    for (char *row = strtok_r(rows, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        char name[80], when[8], what[64], file[96];
        assert_int_equal(sscanf(row, "%79[^\t]\t%7[^\t]\t%63[^\t]", name, when, what), 3);
        snprintf(file, sizeof file, "%s.onnx", name);
        imported im = import_file(dir, file);
        const oxp_status status = im.status == OXP_OK ? specialise(&im) : im.status;
        const bool later = strcmp(when, "run") == 0 && status == OXP_OK;
        if (!later && !allows(what, status))
            fail_msg("%s: expected %s, got %d %s", name, what, status, im.error.message);
        imported_free(&im);
        count++;
    }
    assert_true(count > 150);
    free(rows);
    free(path);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_of_the_repository),
        cmocka_unit_test(test_models_beside_the_repository),
        cmocka_unit_test(test_weights_agree),
        cmocka_unit_test(test_functions_of_a_file),
        cmocka_unit_test(test_hostile_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
