/* case.c - parsing and filling of test rows; see case.h. */
#include "ops/case.h"

#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of numbers ---- */

static size_t count_items(const char *text)
{
    size_t n = *text ? 1 : 0;
    for (; *text; text++) n += *text == ',';
    return n;
}

static oxp_status parse_numbers(oxp_ctx *ctx, oxp_arena *arena, const char *text, size_t *n,
                                double **out)
{
    *n = count_items(text);
    *out = OXP_NEW(arena, double, *n + 1);
    OXP_NOMEM_IF(ctx, *out);
    for (size_t i = 0; i < *n; i++) {
        char *end;
        (*out)[i] = strtod(text, &end);
        OXP_FAIL_IF(ctx, end == text || (*end && *end != ','), OXP_EINVAL,
                    "'%s' is not a list of numbers", text);
        text = *end ? end + 1 : end;
    }
    return OXP_OK;
}

/* ---- inputs ---- */

static oxp_status parse_shape(oxp_ctx *ctx, const char *text, oxp_shape *shape)
{
    *shape = (oxp_shape){.rank = 0};
    if (strcmp(text, "()") == 0) return OXP_OK;
    for (;;) {
        char *end;
        const long long dim = strtoll(text, &end, 10);
        OXP_FAIL_IF(
            ctx, end == text || dim < 0 || shape->rank == OXP_MAX_RANK || (*end && *end != 'x'),
            OXP_EINVAL, "'%s' is neither a shape nor the value of a declared attribute", text);
        shape->dim[shape->rank++] = dim;
        if (!*end) return OXP_OK;
        text = end + 1;
    }
}

static oxp_dtype kind_named(const char *text)
{
    return strcmp(text, "i64") == 0    ? OXP_I64
           : strcmp(text, "bool") == 0 ? OXP_BOOL
                                       : OXP_DTYPE_NONE;
}

static oxp_status parse_mod(oxp_ctx *ctx, oxp_arena *arena, const char *mod, case_input *in)
{
    if (kind_named(mod) != OXP_DTYPE_NONE)
        in->dtype = kind_named(mod);
    else if (strcmp(mod, "const") == 0)
        in->constant = true;
    else if (strcmp(mod, "real") == 0)
        in->real = true;
    else if (strcmp(mod, "pos") == 0)
        in->domain = CASE_POSITIVE;
    else if (strcmp(mod, "nz") == 0)
        in->domain = CASE_NONZERO;
    else if (strcmp(mod, "unit") == 0)
        in->domain = CASE_UNIT;
    else if (strncmp(mod, "below", 5) == 0)
        in->below = strtoll(mod + 5, NULL, 10);
    else if (mod[0] == '=') {
        size_t n;
        double *values;
        OXP_TRY(parse_numbers(ctx, arena, mod + 1, &n, &values));
        OXP_FAIL_IF(ctx, n != (size_t)oxp_shape_elements(&in->shape), OXP_EINVAL,
                    "'%s' has %zu values", mod, n);
        in->values = values;
    } else
        OXP_FAIL(ctx, OXP_EINVAL, "unknown modifier ':%s'", mod);
    return OXP_OK;
}

static oxp_status parse_input(oxp_ctx *ctx, oxp_arena *arena, const char *name, char *text,
                              op_case *c)
{
    OXP_FAIL_IF(ctx, c->n_in == CASE_MAX, OXP_EINVAL, "more than %d inputs", CASE_MAX);
    case_input *in = &c->in[c->n_in++];
    *in = (case_input){.name = name, .dtype = OXP_F32};
    in->absent = strcmp(text, "-") == 0;
    if (in->absent) return OXP_OK;
    char *mod = strchr(text, ':');
    if (mod) *mod++ = '\0';
    OXP_TRY(parse_shape(ctx, text, &in->shape));
    while (mod) {
        char *next = strchr(mod, ':');
        if (next) *next++ = '\0';
        OXP_TRY(parse_mod(ctx, arena, mod, in));
        mod = next;
    }
    return OXP_OK;
}

/* ---- attributes ---- */

static const oxp_attr_spec *attr_spec(const oxp_op *op, const char *name)
{
    for (const oxp_attr_spec *s = op->attrs; s && s->name; s++)
        if (strcmp(s->name, name) == 0) return s;
    return NULL;
}

/* "3.5", or "3:i64": a tensor of one number */
static oxp_status parse_tensor(oxp_ctx *ctx, oxp_arena *arena, char *text, const oxp_tensor **out)
{
    char *kind = strchr(text, ':');
    if (kind) *kind++ = '\0';
    oxp_tensor *t = OXP_NEW(arena, oxp_tensor, 1);
    OXP_NOMEM_IF(ctx, t);
    size_t n;
    double *values;
    OXP_TRY(parse_numbers(ctx, arena, text, &n, &values));
    const oxp_shape list = oxp_shape_of(1, (const int64_t[]){(int64_t)n});
    OXP_TRY(oxp_tensor_new(ctx, arena, kind ? kind_named(kind) : OXP_F32, &list, t));
    oxp_convert((void *)(uintptr_t)t->data, t->dtype, values, OXP_F64, (int64_t)n);
    *out = t;
    return OXP_OK;
}

static oxp_status parse_attr(oxp_ctx *ctx, oxp_arena *arena, const oxp_attr_spec *spec, char *text,
                             op_case *c)
{
    OXP_FAIL_IF(ctx, c->n_attrs == CASE_MAX, OXP_EINVAL, "more than %d attributes", CASE_MAX);
    oxp_attr *a = &c->attrs[c->n_attrs++];
    *a = (oxp_attr){.name = spec->name, .type = spec->type, .s = text};
    if (spec->type == OXP_ATTR_STRINGS) a->type = OXP_ATTR_STRING;
    if (a->type == OXP_ATTR_STRING) return OXP_OK;
    if (spec->type == OXP_ATTR_TENSOR) return parse_tensor(ctx, arena, text, &a->t);
    double *numbers;
    OXP_TRY(parse_numbers(ctx, arena, text, &a->n, &numbers));
    int64_t *ints = OXP_NEW(arena, int64_t, a->n + 1);
    OXP_NOMEM_IF(ctx, ints);
    for (size_t i = 0; i < a->n; i++)
        ints[i] = fabs(numbers[i]) < 9e18 ? (int64_t)numbers[i] : INT64_MAX;
    const bool single = spec->type == OXP_ATTR_INT || spec->type == OXP_ATTR_FLOAT;
    OXP_FAIL_IF(ctx, single && a->n != 1, OXP_EINVAL, "%s=%s is not one number", spec->name, text);
    a->i = ints[0];
    a->f = numbers[0];
    a->ints = ints;
    a->floats = numbers;
    return OXP_OK;
}

/* ---- pinned results ---- */

static oxp_status parse_pin(oxp_ctx *ctx, oxp_arena *arena, const char *name, const char *text,
                            op_case *c)
{
    OXP_FAIL_IF(ctx, c->n_pins == CASE_MAX, OXP_EINVAL, "more than %d pinned results", CASE_MAX);
    case_pin *pin = &c->pins[c->n_pins++];
    pin->input = strcmp(name, "out2") == 0 ? -2 : -1;
    for (size_t i = 0; i < c->n_in; i++)
        if (strcmp(c->in[i].name, name) == 0) pin->input = (int)i;
    OXP_FAIL_IF(ctx, pin->input == -1 && strcmp(name, "out") != 0, OXP_EINVAL,
                "no input is named '%s'", name);
    c->kinked = c->kinked || pin->input >= 0;
    double *values;
    OXP_TRY(parse_numbers(ctx, arena, text, &pin->n, &values));
    pin->values = values;
    return OXP_OK;
}

/* ---- rows ---- */

static oxp_status parse_word(oxp_ctx *ctx, oxp_arena *arena, char *word, op_case *c)
{
    char *value = strchr(word, '=');
    OXP_FAIL_IF(ctx, !value, OXP_EINVAL, "expected name=value, found '%s'", word);
    *value++ = '\0';
    if (word[0] == '@') return parse_pin(ctx, arena, word + 1, value, c);
    if (strcmp(word, "out") == 0) {
        c->n_out = strtoull(value, NULL, 10);
        OXP_FAIL_IF(ctx, c->n_out == 0 || c->n_out > CASE_MAX, OXP_EINVAL,
                    "out=%s is not a small number", value);
        return OXP_OK;
    }
    if (strcmp(word, "tol") == 0 || strcmp(word, "pin") == 0) {
        *(word[0] == 't' ? &c->tol : &c->pin) = strtod(value, NULL);
        return OXP_OK;
    }
    const oxp_attr_spec *spec = attr_spec(c->op, word);
    return spec ? parse_attr(ctx, arena, spec, value, c) : parse_input(ctx, arena, word, value, c);
}

oxp_status case_parse(oxp_ctx *ctx, oxp_arena *arena, const char *row, op_case *out)
{
    *out = (op_case){.text = oxp_arena_strdup(arena, row), .refused = row[0] == '!', .pin = 1e-12};
    char *rest = oxp_arena_strdup(arena, row + (out->refused ? 1 : 0));
    OXP_FAIL_IF(ctx, !out->text || !rest, OXP_ENOMEM, "out of memory");
    char *state, *word = strtok_r(rest, " \t", &state);
    OXP_FAIL_IF(ctx, !word, OXP_EINVAL, "empty row");
    out->op = oxp_op_find(word);
    OXP_FAIL_IF(ctx, !out->op, OXP_EINVAL, "there is no operator '%s' in src/ops/ops.def", word);
    while ((word = strtok_r(NULL, " \t", &state)) != NULL)
        OXP_TRY(parse_word(ctx, arena, word, out));
    if (out->n_out == 0) out->n_out = out->op->min_out ? out->op->min_out : 1;
    return OXP_OK;
}

/* ---- data ---- */

static double draw_int(const case_input *in, const oxp_rng *rng, uint64_t at)
{
    if (in->below) return (double)oxp_rng_below(rng, at, (uint64_t)in->below);
    if (in->dtype == OXP_BOOL) return (double)oxp_rng_below(rng, at, 2);
    if (in->domain == CASE_POSITIVE) return 1.0 + (double)oxp_rng_below(rng, at, 4);
    const double x = (double)oxp_rng_below(rng, at, 9) - 4.0;
    return in->domain == CASE_NONZERO && x == 0.0 ? 5.0 : x;
}

static double draw_real(const case_input *in, const oxp_rng *rng, uint64_t at)
{
    const double u = oxp_rng_uniform(rng, at);
    switch (in->domain) {
    case CASE_POSITIVE:
        return 0.5 + 2.0 * u;
    case CASE_UNIT:
        return 0.05 + 0.9 * u;
    case CASE_NONZERO:
        return u < 0.5 ? -2.0 + 3.0 * u : 2.0 - 3.0 * (u - 0.5);
    case CASE_ANY:
        break;
    }
    return 5.0 * u - 2.5;
}

void case_fill(const op_case *c, size_t i, uint64_t seed, bool real, double *out)
{
    const case_input *in = &c->in[i];
    const oxp_rng rng = {.seed = seed, .item = (uint32_t)i};
    const int64_t n = oxp_shape_elements(&in->shape);
    const bool reals = in->dtype == OXP_F32 && (real || in->real || in->domain == CASE_UNIT);
    for (int64_t k = 0; k < n; k++)
        out[k] = in->values ? in->values[k]
                 : reals    ? (double)(float)draw_real(in, &rng, (uint64_t)k)
                            : draw_int(in, &rng, (uint64_t)k);
}
