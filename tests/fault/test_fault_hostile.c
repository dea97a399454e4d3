/*
 * Every damaged or malicious model of tests/data/hostile, opened and explained with an input of
 * ones under a memory limit: the status that expected.tsv allows, one line, nothing left behind,
 * and no more memory than the limit's order. With both executors.
 */
#include "subject.h"
#include "support/alloc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT = 64 << 20 };

static const char *const HOSTILE = OXP_SOURCE_DIR "/tests/data/hostile";

static bool allows(const char *list, oxp_status status)
{
    static const struct {
        const char *word;
        oxp_status status;
    } words[] = {{"corrupt", OXP_ECORRUPT}, {"unsupported", OXP_EUNSUPPORTED}, {"io", OXP_EIO},
                 {"limit", OXP_ELIMIT},     {"invalid", OXP_EINVAL},           {"ok", OXP_OK}};
    if (strcmp(list, "any") == 0) return status != OXP_EINTERNAL && status != OXP_ENOMEM;
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

/* OXP_ELIMIT where ones cannot be made: the sizes are the model's. */
static oxp_status explain_ones(subject *s, const question *q)
{
    oxp_session *session;
    oxp_tensor inputs[8];
    double sum;
    if (!subject_ones(s, inputs)) {
        snprintf(s->error.message, sizeof s->error.message, "an input is too large");
        return OXP_ELIMIT;
    }
    oxp_status status = subject_session(s, q, &session);
    if (status == OXP_OK) {
        status = subject_explain(s, session, inputs, s->net.graph->n_inputs, &sum);
        oxp_session_free(session);
    }
    subject_free_ones(s, inputs);
    return status;
}

static void try_model(const char *path, const char *what, const question *asked)
{
    question q = *asked;
    q.threads = 1;
    q.max_memory = LIMIT;
    oxp_test_alloc a = {.fail_at = -1};
    const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
    subject s;
    oxp_status status = subject_open(&s, &hooks, path, LIMIT);
    const bool may_refuse = status == OXP_OK && strcmp(q.method, "saliency") != 0;
    if (status == OXP_OK) status = explain_ones(&s, &q);
    const bool refused = may_refuse && (status == OXP_EINVAL || status == OXP_EUNSUPPORTED);
    if (!allows(what, status) && !refused)
        fail_msg("%s: expected %s, got %d '%s'", path, what, (int)status, s.error.message);
    if (status != OXP_OK) subject_check_message(&s, path);
    subject_close(&s);
    assert_int_equal(a.live, 0);
    if (a.most > 3 * (size_t)LIMIT)
        fail_msg("%s: used %zu bytes, the limit was %d", path, a.most, (int)LIMIT);
}

/* Methods other than saliency may refuse what is lawful: they want a layer, or have no rule. They
 * are not asked about what cannot be opened. */
static void each_row(const char *folder, question q)
{
    char *path = oxp_test_path(HOSTILE, "expected.tsv");
    char *rows = (char *)oxp_test_read(path, NULL), *rest = NULL;
    int count = 0;
    for (char *row = strtok_r(rows, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        char name[80], when[8], what[64], file[4096];
        assert_int_equal(sscanf(row, "%79[^\t]\t%7[^\t]\t%63[^\t]", name, when, what), 3);
        count++;
        if (strcmp(when, "load") == 0 && strcmp(q.method, "saliency") != 0) continue;
        snprintf(file, sizeof file, "%s/%s.onnx", folder, name);
        try_model(file, what, &q);
    }
    assert_true(count > 150);
    free(rows);
    free(path);
}

static void test_fused(void **state)
{
    (void)state;
    static const char *const methods[] = {"saliency", "grad-cam", "lrp", "occlusion"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        each_row(HOSTILE, (question){.method = methods[i]});
}

static void test_plain(void **state)
{
    (void)state;
    each_row(HOSTILE, (question){.method = "saliency", .plain = true});
}

/* External data through a symbolic link that leads out of the model's folder. */
static void test_symbolic_link(void **state)
{
    (void)state;
    char *folder = oxp_test_tmpdir();
    char *model = oxp_test_path(folder, "weight_external_symlink.onnx");
    char *from = oxp_test_path(HOSTILE, "weight_external_symlink.onnx");
    char *link = oxp_test_path(folder, "link.bin"), *target = oxp_test_path(HOSTILE, "data.bin");
    size_t size;
    uint8_t *bytes = oxp_test_read(from, &size);
    oxp_test_write(model, bytes, size);
    assert_int_equal(symlink(target, link), 0);
    try_model(model, "corrupt|io|invalid", &(question){.method = "saliency"});
    free(bytes);
    free(from);
    free(target);
    free(link);
    free(model);
    oxp_test_rmtree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_symbolic_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
