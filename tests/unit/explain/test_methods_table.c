/* test_methods_table.c - what every method owes: a plan, a description that help and docs can print,
 * parameters whose declared defaults pass their own checks, flags that agree with what is announced,
 * a pinned definition and a test. A method that lacks one is named with what to do. */
#include "explain/method.h"
#include "support/support.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOR_EACH_METHOD(m)                              \
    for (size_t k_ = 0; k_ < oxp_methods_count(); k_++) \
        for (const oxp_method *m = oxp_methods_at(k_); m; m = NULL)

static void is_described(void **state)
{
    OXP_UNUSED(state);
    FOR_EACH_METHOD(m)
    {
        const oxp_method_info *info = &m->info;
        const char *const texts[] = {info->name,  info->title, info->sentence, info->definition,
                                     info->paper, info->cost,  info->weakness};
        for (size_t i = 0; i < OXP_COUNT(texts); i++)
            if (!texts[i] || !*texts[i])
                fail_msg(
                    "method %s: name, title, sentence, definition, paper, cost and weakness are "
                    "all wanted",
                    info->name);
        if (!info->equals)
            fail_msg("method %s: say in equals whose numbers it gives, \"\" if nobody else has it",
                     info->name);
        for (const char *c = info->name; *c; c++)
            if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && !strchr("-+", *c))
                fail_msg("method '%s': names are lower-case words with hyphens", info->name);
        if (info->sentence[strlen(info->sentence) - 1] != '.')
            fail_msg("method %s: its sentence ends with a full stop", info->name);
        if (oxp_methods_find(info->name) != m)
            fail_msg("method %s: another method has this name", info->name);
    }
}

static void flags_agree(void **state)
{
    OXP_UNUSED(state);
    FOR_EACH_METHOD(m)
    {
        const struct {
            bool announced, flagged;
            const char *what;
        } pairs[] = {
            {m->info.needs_layer == 1, (m->flags & OXP_METHOD_LAYER) != 0,
             "needs_layer 1 and OXP_METHOD_LAYER"},
            {m->info.needs_layer == 2, (m->flags & OXP_METHOD_BESIDE) != 0,
             "needs_layer 2 and OXP_METHOD_BESIDE"},
            {m->info.is_signed != 0, (m->flags & OXP_METHOD_SIGNED) != 0,
             "is_signed and OXP_METHOD_SIGNED"},
            {m->info.is_contrastive != 0, (m->flags & OXP_METHOD_CONTRASTIVE) != 0,
             "is_contrastive and OXP_METHOD_CONTRASTIVE"},
            {m->drive != NULL, (m->flags & OXP_METHOD_FEEDS) != 0, "drive and OXP_METHOD_FEEDS"},
        };
        for (size_t i = 0; i < OXP_COUNT(pairs); i++)
            if (pairs[i].announced != pairs[i].flagged)
                fail_msg("method %s: %s must both be there or both be absent", m->info.name,
                         pairs[i].what);
        if (!m->plan) fail_msg("method %s has no plan: what one pass computes", m->info.name);
    }
}

static void defaults_are_valid(void **state)
{
    OXP_UNUSED(state);
    FOR_EACH_METHOD(m)
    {
        if (m->info.param_count && !m->params)
            fail_msg("method %s counts parameters but declares none", m->info.name);
        for (size_t i = 0; i < m->info.param_count; i++) {
            const oxp_param_info *p = &m->params[i];
            oxp_error error = {.code = OXP_OK};
            oxp_arena *scratch = oxp_arena_new(NULL);
            assert_non_null(scratch);
            oxp_ctx ctx = {.error = &error, .scratch = scratch};
            if (!p->sentence || !*p->sentence || !p->default_text)
                fail_msg("method %s: parameter %s needs a sentence and a default", m->info.name,
                         p->name);
            if ((p->type == OXP_PARAM_CHOICE) != (p->choices != NULL))
                fail_msg("method %s: parameter %s: choices belong to OXP_PARAM_CHOICE",
                         m->info.name, p->name);
            const char *given[1] = {oxp_arena_printf(scratch, "%s=%s", p->name, p->default_text)};
            const oxp_settings settings = {.method = m, .params = given, .n_params = 1};
            oxp_params checked;
            if (oxp_params_check(&ctx, &settings, &checked) != OXP_OK)
                fail_msg("the default is refused: %s", error.message);
            oxp_arena_free(scratch);
        }
    }
}

/* Some file of tests/methods names the method in quotes. */
static bool is_tested(const char *name)
{
    char *folder = oxp_test_path(OXP_SOURCE_DIR, "tests/methods"), quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(dir)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".c") != 0) continue;
        size_t size;
        char *path = oxp_test_path(folder, entry->d_name);
        char *text = (char *)oxp_test_read(path, &size);
        found = strstr(text, quoted) != NULL;
        free(text);
        free(path);
    }
    closedir(dir);
    free(folder);
    return found;
}

/* The page of its family names it, in a row or a heading. */
static void is_pinned(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 0; i < oxp_methods_count(); i++) {
        const char *name = oxp_methods_at(i)->info.name, *family = oxp_methods_family(i)->name;
        char path[512], code[64];
        size_t size;
        snprintf(path, sizeof path, "%s/docs/methods/%s.md", OXP_SOURCE_DIR, family);
        snprintf(code, sizeof code, "`%s`", name);
        char *text = (char *)oxp_test_read(path, &size);
        bool found = false;
        for (char *at = text; !found && (at = strstr(at, code)) != NULL; at++) {
            char *line = at;
            while (line > text && line[-1] != '\n') line--;
            found = strncmp(line, "| ", 2) == 0 || strncmp(line, "## ", 3) == 0;
        }
        if (!found)
            fail_msg("method %s has no row or heading in docs/methods/%s.md: pin its definition",
                     name, family);
        free(text);
    }
}

/* Families are runs of the table: none without methods, none twice. */
static void families_are_runs(void **state)
{
    OXP_UNUSED(state);
    for (size_t i = 1; i < oxp_methods_count(); i++)
        for (size_t k = 0; k < i; k++)
            if (oxp_methods_family(i) == oxp_methods_family(k) &&
                oxp_methods_family(i) != oxp_methods_family(i - 1))
                fail_msg("family %s comes twice", oxp_methods_family(i)->name);
    assert_string_equal(oxp_methods_family(0)->name, "gradients");
    assert_string_equal(oxp_methods_family(oxp_methods_count() - 1)->name, "controls");
}

static void has_numbers_to_hit(void **state)
{
    OXP_UNUSED(state);
    FOR_EACH_METHOD(m)
    {
        if (!is_tested(m->info.name))
            fail_msg("method %s has no test: give it a case with known numbers in "
                     "tests/methods/test_oracle.c",
                     m->info.name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_described),       cmocka_unit_test(flags_agree),
        cmocka_unit_test(defaults_are_valid), cmocka_unit_test(is_pinned),
        cmocka_unit_test(families_are_runs),  cmocka_unit_test(has_numbers_to_hit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
