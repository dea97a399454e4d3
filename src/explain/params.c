/* params.c - the table of methods, and the checking and reading of their parameters.
 *
 * Everything is checked once, when a session is made: afterwards reading a declared parameter
 * cannot fail. A wrapper's parameters and those of the method it wraps share one list; the
 * wrapper's declaration wins where both have a name. */
#include "explain/method.h"

#include "base/parse.h"
#include "base/strmap.h"
#include <string.h>

static const oxp_method *const table[] = {
#define OXP_FAMILY(name, title, sentence)
#define OXP_METHOD(symbol) &oxp_method_##symbol,
#include "explain/methods.def"
#undef OXP_FAMILY
#undef OXP_METHOD
};

/* Methods number themselves as in the table; a family takes the number of the method that follows it. */
enum {
#define OXP_FAMILY(name, title, sentence) FIRST_OF_##name, BEFORE_##name = FIRST_OF_##name - 1,
#define OXP_METHOD(symbol)                AT_##symbol,
#include "explain/methods.def"
#undef OXP_FAMILY
#undef OXP_METHOD
};

static const struct {
    size_t first; /* method */
    oxp_method_family family;
} families[] = {
#define OXP_FAMILY(name, title, sentence) {FIRST_OF_##name, {#name, title, sentence}},
#define OXP_METHOD(symbol)
#include "explain/methods.def"
#undef OXP_FAMILY
#undef OXP_METHOD
};

size_t oxp_methods_count(void)
{
    return OXP_COUNT(table);
}

const oxp_method *oxp_methods_at(size_t i)
{
    return table[i];
}

const oxp_method_family *oxp_methods_family(size_t i)
{
    size_t f = 0;
    while (f + 1 < OXP_COUNT(families) && families[f + 1].first <= i) f++;
    return &families[f].family;
}

const oxp_method *oxp_methods_find(const char *name)
{
    for (size_t i = 0; i < OXP_COUNT(table); i++)
        if (strcmp(table[i]->info.name, name) == 0) return table[i];
    return NULL;
}

static const oxp_param_info *declared(const oxp_params *p, const char *name, size_t n)
{
    const oxp_method *const methods[2] = {p->method, p->inner};
    for (int m = 0; m < 2; m++)
        for (size_t i = 0; methods[m] && i < methods[m]->info.param_count; i++) {
            const oxp_param_info *info = &methods[m]->params[i];
            if (strlen(info->name) == n && strncmp(info->name, name, n) == 0) return info;
        }
    return NULL;
}

const oxp_method *oxp_param_owner(const oxp_params *p, const char *name)
{
    for (size_t i = 0; i < p->method->info.param_count; i++)
        if (strcmp(p->method->params[i].name, name) == 0) return p->method;
    return p->inner ? p->inner : p->method;
}

bool oxp_param_known(const oxp_params *p, const char *name)
{
    return declared(p, name, strlen(name)) != NULL;
}

/* The text given for it, the last one if several, or NULL. */
static const char *given(const oxp_params *p, const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = p->n_given; i-- > 0;)
        if (strncmp(p->given[i], name, n) == 0 && p->given[i][n] == '=') return p->given[i] + n + 1;
    return NULL;
}

bool oxp_param_given(const oxp_params *p, const char *name)
{
    return given(p, name) != NULL;
}

const char *oxp_param_text(const oxp_params *p, const char *name)
{
    const char *text = given(p, name);
    const oxp_param_info *info = declared(p, name, strlen(name));
    return text ? text : info ? info->default_text : "";
}

double oxp_param_number(const oxp_params *p, const char *name)
{
    double value = 0.0;
    oxp_parse_double(oxp_param_text(p, name), &value);
    return value;
}

int64_t oxp_param_int(const oxp_params *p, const char *name)
{
    int64_t value = 0;
    oxp_parse_i64(oxp_param_text(p, name), &value);
    return value;
}

bool oxp_param_is(const oxp_params *p, const char *name, const char *text)
{
    return strcmp(oxp_param_text(p, name), text) == 0;
}

bool oxp_param_bool(const oxp_params *p, const char *name)
{
    return oxp_param_is(p, name, "true") || oxp_param_is(p, name, "1") ||
           oxp_param_is(p, name, "yes");
}

static bool is_choice(const char *choices, const char *text)
{
    const size_t n = strlen(text);
    if (strchr(text, ',')) return false; /* of several, as choices are listed */
    for (const char *c = choices; c; c = strchr(c, ',') ? strchr(c, ',') + 1 : NULL)
        if (n > 0 && strncmp(c, text, n) == 0 && (c[n] == ',' || c[n] == '\0')) return true;
    return false;
}

static oxp_status check_value(oxp_ctx *ctx, const oxp_method *m, const oxp_param_info *info,
                              const char *text)
{
    double number = 0.0;
    int64_t integer = 0;
    switch (info->type) {
    case OXP_PARAM_INT:
        OXP_FAIL_IF(ctx,
                    !oxp_parse_i64(text, &integer) || (double)integer < info->min ||
                        (double)integer > info->max,
                    OXP_EINVAL, "%s: %s must be a whole number from %.0f to %.0f, found '%s'",
                    m->info.name, info->name, info->min, info->max, text);
        return OXP_OK;
    case OXP_PARAM_FLOAT:
        OXP_FAIL_IF(ctx,
                    !oxp_parse_double(text, &number) || !(number >= info->min) ||
                        !(number <= info->max),
                    OXP_EINVAL, "%s: %s must be a number from %g to %g, found '%s'", m->info.name,
                    info->name, info->min, info->max, text);
        return OXP_OK;
    case OXP_PARAM_BOOL:
        OXP_FAIL_IF(ctx, !is_choice("true,false,1,0,yes,no", text), OXP_EINVAL,
                    "%s: %s must be true or false, found '%s'", m->info.name, info->name, text);
        return OXP_OK;
    case OXP_PARAM_CHOICE:
        OXP_FAIL_IF(ctx, !is_choice(info->choices, text), OXP_EINVAL,
                    "%s: %s must be one of %s, found '%s'", m->info.name, info->name, info->choices,
                    text);
        return OXP_OK;
    case OXP_PARAM_TEXT:
        return OXP_OK;
    }
    return OXP_OK;
}

static oxp_status find_inner(oxp_ctx *ctx, oxp_params *p)
{
    if (!(p->method->flags & OXP_METHOD_WRAPPER)) return OXP_OK;
    const char *name = oxp_param_text(p, "method");
    p->inner = oxp_methods_find(name);
    OXP_FAIL_IF(ctx, !p->inner, OXP_EINVAL,
                "%s: there is no method '%s' to wrap; 'onnxplain methods' lists them",
                p->method->info.name, name);
    OXP_FAIL_IF(ctx, p->inner->flags & OXP_METHOD_WRAPPER, OXP_EINVAL,
                "%s cannot wrap %s, which is a wrapper itself", p->method->info.name, name);
    OXP_FAIL_IF(ctx, p->inner->flags & OXP_METHOD_TAIL, OXP_EINVAL,
                "%s varies the input, but %s starts at the layer: choose another method",
                p->method->info.name, name);
    return OXP_OK;
}

oxp_status oxp_params_check(oxp_ctx *ctx, const oxp_settings *settings, oxp_params *out)
{
    *out = (oxp_params){settings->method,     NULL,
                        settings->params,     settings->n_params,
                        settings->references, settings->n_references};
    OXP_TRY(find_inner(ctx, out));
    for (size_t i = 0; i < settings->n_params; i++) {
        const char *text = settings->params[i], *equals = strchr(text, '=');
        OXP_FAIL_IF(ctx, !equals, OXP_EINVAL, "a parameter is given as name=value, found '%s'",
                    text);
        const oxp_param_info *info = declared(out, text, (size_t)(equals - text));
        if (info) {
            OXP_TRY(check_value(ctx, settings->method, info, equals + 1));
            continue;
        }
        const char *names[32];
        size_t n = 0;
        for (size_t k = 0; k < out->method->info.param_count && n < OXP_COUNT(names); k++)
            names[n++] = out->method->params[k].name;
        for (size_t k = 0; out->inner && k < out->inner->info.param_count && n < OXP_COUNT(names);
             k++)
            names[n++] = out->inner->params[k].name;
        char *wanted = oxp_arena_strndup(ctx->scratch, text, (size_t)(equals - text));
        OXP_NOMEM_IF(ctx, wanted);
        const int near = oxp_nearest_name(wanted, names, n);
        OXP_FAIL(ctx, OXP_EINVAL, "%s has no parameter '%s'%s%s%s; see 'onnxplain methods %s'",
                 settings->method->info.name, wanted, near >= 0 ? "; did you mean '" : "",
                 near >= 0 ? names[near] : "", near >= 0 ? "'" : "", settings->method->info.name);
    }
    return OXP_OK;
}
