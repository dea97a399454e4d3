/* test_spellings.c - exporters spell the same function differently; every method must give the same
 * map for all spellings.
 *
 * tests/data/toy/composite_GROUP__SPELLING.onnx, contrib_GROUP__SPELLING.onnx: one function per group. Every method is run on
 * every spelling; a method refuses either all spellings of a group or none. The optimiser must
 * not change anything either: the fused executor is compared too. */
#include "net.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOYS OXP_SOURCE_DIR "/tests/data/toy"
enum { MAX_FILES = 256 };

static int is_composite(const struct dirent *d)
{
    const size_t n = strlen(d->d_name);
    return (strncmp(d->d_name, "composite_", 10) == 0 || strncmp(d->d_name, "contrib_", 8) == 0) &&
           n > 5 && strcmp(d->d_name + n - 5, ".onnx") == 0;
}

typedef struct spelling {
    test_net *t;
    oxp_tensor inputs[4];
    size_t n;
    char name[256];
} spelling;

static void open_spelling(spelling *s, const char *file)
{
    char path[1024];
    snprintf(s->name, sizeof s->name, "%.*s", (int)(strlen(file) - 5), file);
    snprintf(path, sizeof path, TOYS "/%s", file);
    s->t = test_net_open(path);
    s->n = s->t->net.graph->n_inputs;
    assert_true(s->n <= 4);
    for (size_t i = 0; i < s->n; i++) {
        snprintf(path, sizeof path, TOYS "/%s.io/input__%s.npy", s->name,
                 oxp_value_of(s->t->net.graph, s->t->net.graph->inputs[i])->name);
        s->inputs[i] = test_npy(s->t, path);
    }
}

/* The explanation, or false when the method refuses (no layer in a table, no rule ...). */
static bool try_explain(spelling *s, const oxp_method *m, bool fused, oxp_explanation *e)
{
    oxp_settings set = {.method = m, .double_precision = !fused, .top_k = 1};
    /* LRP divides by outputs: its default stabiliser amplifies float rounding where one happens
     * to be near zero. */
    const char *given[4];
    if (m == &oxp_method_lrp) given[set.n_params++] = "epsilon=0.1";
    static const char *const fewer[][2] = {{"samples", "samples=2"},
                                           {"steps", "steps=9"},
                                           {"side", "side=24"},
                                           {"components", "components=1"}};
    for (size_t i = 0; i < OXP_COUNT(fewer); i++)
        if (oxp_param_known(&(oxp_params){.method = m}, fewer[i][0]))
            given[set.n_params++] = fewer[i][1];
    set.params = given;
    const oxp_target target = {OXP_TARGET_CLASS, 1}, other = {OXP_TARGET_CLASS, 0};
    oxp_session *session;
    oxp_arena_reset(s->t->scratch);
    assert_int_equal(oxp_session_new(&s->t->ctx, &s->t->net, &set, &session), OXP_OK);
    const oxp_status status =
        oxp_session_explain(&s->t->ctx, session, s->t->arena, s->inputs, s->n, target, other, e);
    oxp_session_free(session);
    if (status != OXP_OK && status != OXP_EUNSUPPORTED && status != OXP_EINVAL)
        fail_msg("%s %s: status %d: %s", s->name, m->info.name, (int)status, s->t->error.message);
    return status == OXP_OK;
}

/* Layers are named by position here, and raising may leave different inner tensors: the
 * automatic layer must still be the same one. */
static void compare_group(spelling *group, size_t n, bool fused, size_t *compared)
{
    for (size_t k = 0; k < oxp_methods_count(); k++) {
        const oxp_method *m = oxp_methods_at(k);
        oxp_explanation first, other;
#ifdef OXP_SANITIZE /* slow: each method with one of the executors */
        if ((k % 2 == 0) == fused) continue;
#endif
        const bool works = try_explain(&group[0], m, false, &first);
        for (size_t i = 0; i < n; i++) {
            char what[2048];
            snprintf(what, sizeof what, "%s %s %s against %s (%s)", m->info.name,
                     fused ? "fused" : "plain", group[i].name, group[0].name,
                     group[i].t->error.message);
            if (try_explain(&group[i], m, fused, &other) != works)
                fail_msg("%s: one is refused, the other not", what);
            if (!works) continue;
            /* a difference of first and second derivatives cancels digits */
            const double rounding = m == &oxp_method_shapley_cam ? 1e-4 : 1e-5;
            /* quotients of differences amplify that 1/6 is not a float */
            const bool quotient = m == &oxp_method_deeplift || m == &oxp_method_deeplift_shap;
            const double constants = quotient ? 1e-6 : 1e-7;
            test_close(&other.maps[0].raw, &first.maps[0].raw, fused ? rounding : constants, what);
            (*compared)++;
        }
    }
}

static void all_groups(bool fused)
{
    struct dirent **list;
    const int n = scandir(TOYS, &list, is_composite, alphasort);
    assert_true(n > 10 && n < MAX_FILES);
    size_t compared = 0;
    for (int i = 0; i < n;) {
        spelling group[16];
        size_t size = 0;
        const size_t stem = (size_t)(strstr(list[i]->d_name, "__") - list[i]->d_name) + 2;
        const int start = i;
        for (; i < n && strncmp(list[i]->d_name, list[start]->d_name, stem) == 0; i++) {
            assert_true(size < OXP_COUNT(group));
            open_spelling(&group[size++], list[i]->d_name);
        }
        compare_group(group, size, fused, &compared);
        for (size_t k = 0; k < size; k++) test_net_close(group[k].t);
    }
    for (int i = 0; i < n; i++) free(list[i]);
    free(list);
    assert_true(compared > 100);
}

static void spellings_plain(void **state)
{
    OXP_UNUSED(state);
    all_groups(false);
}

static void spellings_fused(void **state)
{
    OXP_UNUSED(state);
    all_groups(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(spellings_plain),
                                       cmocka_unit_test(spellings_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
