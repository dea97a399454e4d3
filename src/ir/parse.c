/* parse.c - see parse.h. One pass over the lines; labels (%7) are only names here: the graph
 * numbers its values itself. */
#include "ir/parse.h"

#include "base/parse.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

enum {
    MAX_LIST = 512,
    MAX_INPUTS = 256,
    MAX_OUTPUTS = 64,
    MAX_ATTRS = 32,
    MAX_WORD = 64,
    MAX_CONST = 1 << 24
};

typedef struct parser {
    oxp_ctx *ctx;
    oxp_graph *g;
    const char *p; /* what is left of the line */
    int line;
    const oxp_op *(*find)(const char *name);
    oxp_strmap labels; /* label -> value */
} parser;

#define EXPECTED(ps, what)                                                                        \
    OXP_FAIL((ps)->ctx, OXP_ECORRUPT, "line %d of the graph: expected %s at '%.24s'", (ps)->line, \
             (what), (ps)->p)

/* ---- words ---- */

static void skip_blanks(parser *ps)
{
    while (*ps->p == ' ' || *ps->p == '\t') ps->p++;
}

static bool accept(parser *ps, const char *literal)
{
    skip_blanks(ps);
    const size_t n = strlen(literal);
    if (strncmp(ps->p, literal, n) != 0) return false;
    ps->p += n;
    return true;
}

static oxp_status expect(parser *ps, const char *literal)
{
    if (!accept(ps, literal)) EXPECTED(ps, literal);
    return OXP_OK;
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '+' || c == '-';
}

/* Letters, digits and what numbers contain; "" when there is none, or when it is too long. */
static void read_word(parser *ps, char word[MAX_WORD])
{
    skip_blanks(ps);
    size_t n = 0;
    while (in_word(ps->p[n])) n++;
    word[0] = '\0';
    if (n >= MAX_WORD) return;
    memcpy(word, ps->p, n);
    word[n] = '\0';
    ps->p += n;
}

static bool number_of(const char *word, double *out)
{
    const bool negative = word[0] == '-';
    if (strcmp(word + negative, "inf") == 0)
        *out = negative ? -(double)INFINITY : (double)INFINITY;
    else if (strcmp(word + negative, "nan") == 0)
        *out = (double)NAN;
    else
        return oxp_parse_double(word, out);
    return true;
}

static oxp_status read_number(parser *ps, double *out)
{
    char word[MAX_WORD];
    read_word(ps, word);
    if (!number_of(word, out)) EXPECTED(ps, "a number before");
    return OXP_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to `end` (a quote; NUL: the rest of the line), escapes resolved, in the graph's arena. */
static oxp_status read_escaped(parser *ps, char end, const char **out)
{
    char *s = oxp_arena_alloc(ps->g->arena, strlen(ps->p) + 1, 1);
    OXP_NOMEM_IF(ps->ctx, s);
    size_t n = 0;
    for (; *ps->p && *ps->p != end; ps->p++) {
        if (*ps->p != '\\') {
            s[n++] = *ps->p;
        } else if (ps->p[1] == 'x' && hex_digit(ps->p[2]) >= 0 && hex_digit(ps->p[3]) >= 0) {
            s[n++] = (char)(hex_digit(ps->p[2]) * 16 + hex_digit(ps->p[3]));
            ps->p += 3;
        } else if (ps->p[1] == '"' || ps->p[1] == '\\') {
            s[n++] = *++ps->p;
        } else {
            EXPECTED(ps, "\\\", \\\\ or \\xHH");
        }
    }
    s[n] = '\0';
    *out = s;
    return OXP_OK;
}

static oxp_status read_quoted(parser *ps, const char **out)
{
    OXP_TRY(expect(ps, "\""));
    OXP_TRY(read_escaped(ps, '"', out));
    return expect(ps, "\"");
}

/* ---- values ---- */

/* %7 or %any_word; *v is OXP_NO_VAL while nothing has that label. */
static oxp_status read_label(parser *ps, const char **label, oxp_val *v)
{
    char word[MAX_WORD];
    OXP_TRY(expect(ps, "%"));
    read_word(ps, word);
    if (!word[0]) EXPECTED(ps, "a value's number");
    *v = OXP_NO_VAL;
    oxp_strmap_get(&ps->labels, word, v);
    *label = oxp_arena_strdup(ps->ctx->scratch, word);
    OXP_NOMEM_IF(ps->ctx, *label);
    return OXP_OK;
}

static oxp_status set_label(parser *ps, const char *label, oxp_val v)
{
    oxp_val other;
    if (oxp_strmap_get(&ps->labels, label, &other))
        EXPECTED(ps, "values of different numbers before");
    OXP_FAIL_IF(ps->ctx, !oxp_strmap_put(&ps->labels, label, v), OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

static oxp_status read_dtype(parser *ps, oxp_dtype *out)
{
    char word[MAX_WORD];
    read_word(ps, word);
    *out = !strcmp(word, "f32")    ? OXP_F32
           : !strcmp(word, "i64")  ? OXP_I64
           : !strcmp(word, "bool") ? OXP_BOOL
                                   : 0;
    if (*out == OXP_DTYPE_NONE) EXPECTED(ps, "f32, i64 or bool before");
    return OXP_OK;
}

static oxp_status read_shape(parser *ps, oxp_shape *shape)
{
    char word[MAX_WORD];
    int64_t count;
    *shape = (oxp_shape){.rank = 0};
    OXP_TRY(expect(ps, "("));
    while (!accept(ps, ")")) {
        if (shape->rank > 0) OXP_TRY(expect(ps, ","));
        read_word(ps, word);
        if (shape->rank == OXP_MAX_RANK || !oxp_parse_i64(word, &shape->dim[shape->rank]) ||
            shape->dim[shape->rank++] < 0)
            EXPECTED(ps, "a size before");
    }
    if (!oxp_shape_count(shape, &count)) EXPECTED(ps, "a shape of fewer elements before");
    return OXP_OK;
}

typedef struct declared { /* %7:f32(2,3) "name" */
    const char *label;    /* NULL: absent */
    oxp_dtype dtype;      /* NONE: not said */
    oxp_shape shape;
    const char *name;
} declared;

static oxp_status read_declared(parser *ps, declared *d)
{
    oxp_val before;
    *d = (declared){0};
    OXP_TRY(read_label(ps, &d->label, &before));
    if (accept(ps, ":")) {
        OXP_TRY(read_dtype(ps, &d->dtype));
        OXP_TRY(read_shape(ps, &d->shape));
    }
    skip_blanks(ps);
    return *ps->p == '"' ? read_quoted(ps, &d->name) : OXP_OK;
}

static oxp_status read_input(parser *ps, oxp_value_kind kind)
{
    declared d;
    oxp_val v;
    OXP_TRY(read_declared(ps, &d));
    if (d.dtype == OXP_DTYPE_NONE) EXPECTED(ps, "the type of the input before");
    OXP_TRY(oxp_graph_add_value(ps->ctx, ps->g, d.name, kind, d.dtype, &d.shape, &v));
    return set_label(ps, d.label, v);
}

/* A constant's tensor, floats stored as float64: the first `n` numbers, the last repeated to the
 * end. */
static oxp_status add_const(parser *ps, const declared *d, const double *numbers, int64_t n,
                            oxp_val *out)
{
    oxp_tensor *t = OXP_NEW(ps->g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(ps->ctx, t);
    const oxp_dtype stored = d->dtype == OXP_F32 ? OXP_F64 : d->dtype;
    OXP_TRY(oxp_tensor_new(ps->ctx, ps->g->arena, stored, &d->shape, t));
    const int64_t count = oxp_shape_elements(&d->shape);
    const size_t size = oxp_dtype_size(stored);
    for (int64_t i = 0; i < count; i++)
        oxp_convert((char *)(uintptr_t)t->data + (size_t)i * size, stored,
                    &numbers[i < n ? i : n - 1], OXP_F64, 1);
    return oxp_graph_add_const(ps->ctx, ps->g, d->name, d->dtype, t, out);
}

static oxp_status read_const(parser *ps)
{
    declared d;
    oxp_val v;
    double *numbers = OXP_NEW(ps->ctx->scratch, double, MAX_LIST);
    int64_t n = 0;
    OXP_NOMEM_IF(ps->ctx, numbers);
    OXP_TRY(read_declared(ps, &d));
    const int64_t count = oxp_shape_elements(&d.shape);
    if (d.dtype == OXP_DTYPE_NONE || count > MAX_CONST)
        EXPECTED(ps, "the type of a constant that is not too large before");
    OXP_TRY(expect(ps, "="));
    if (!accept(ps, "[")) {
        OXP_TRY(read_number(ps, &numbers[n++]));
    } else {
        while (!accept(ps, "]")) {
            if (n == MAX_LIST) EXPECTED(ps, "fewer numbers before");
            if (n > 0) OXP_TRY(expect(ps, ","));
            OXP_TRY(read_number(ps, &numbers[n++]));
        }
        if (n != count) EXPECTED(ps, "as many numbers as the shape says before");
    }
    OXP_TRY(add_const(ps, &d, numbers, n, &v));
    return set_label(ps, d.label, v);
}

/* ---- nodes ---- */

/* _, %7 or a number */
static oxp_status read_operand(parser *ps, oxp_val *out)
{
    const char *label;
    char word[MAX_WORD];
    double number;
    skip_blanks(ps);
    if (*ps->p == '%') {
        OXP_TRY(read_label(ps, &label, out));
        if (*out == OXP_NO_VAL) EXPECTED(ps, "a value that exists before");
        return OXP_OK;
    }
    *out = OXP_NO_VAL;
    read_word(ps, word);
    if (strcmp(word, "_") == 0) return OXP_OK;
    if (!number_of(word, &number)) EXPECTED(ps, "_, a value or a number before");
    declared scalar = {.dtype = OXP_F32};
    if (accept(ps, ":")) OXP_TRY(read_dtype(ps, &scalar.dtype));
    return add_const(ps, &scalar, &number, 1, out);
}

static bool is_whole(const char *word)
{
    return strpbrk(word, ".enai") == NULL; /* no point, exponent, inf or nan */
}

static oxp_status read_list(parser *ps, oxp_attr *a)
{
    int64_t *ints = OXP_NEW(ps->ctx->scratch, int64_t, MAX_LIST);
    double *floats = OXP_NEW(ps->ctx->scratch, double, MAX_LIST);
    char word[MAX_WORD];
    OXP_FAIL_IF(ps->ctx, !ints || !floats, OXP_ENOMEM, "out of memory");
    a->type = OXP_ATTR_INTS;
    while (!accept(ps, "]")) {
        if (a->n > 0) OXP_TRY(expect(ps, ","));
        read_word(ps, word);
        if (a->n == 0 && !is_whole(word)) a->type = OXP_ATTR_FLOATS;
        const bool fits = a->type == OXP_ATTR_INTS ? oxp_parse_i64(word, &ints[a->n])
                                                   : number_of(word, &floats[a->n]);
        if (!fits || ++a->n == MAX_LIST) EXPECTED(ps, "another number before");
    }
    a->ints = ints;
    a->floats = floats;
    return OXP_OK;
}

static oxp_status read_attr(parser *ps, oxp_attr *a)
{
    char word[MAX_WORD];
    *a = (oxp_attr){.type = OXP_ATTR_STRING};
    read_word(ps, word);
    if (!word[0]) EXPECTED(ps, "an attribute's name");
    a->name = oxp_arena_strdup(ps->g->arena, word);
    OXP_NOMEM_IF(ps->ctx, a->name);
    OXP_TRY(expect(ps, "="));
    skip_blanks(ps);
    if (*ps->p == '"') return read_quoted(ps, &a->s);
    if (accept(ps, "[")) return read_list(ps, a);
    read_word(ps, word);
    a->type = is_whole(word) ? OXP_ATTR_INT : OXP_ATTR_FLOAT;
    if (!(a->type == OXP_ATTR_INT ? oxp_parse_i64(word, &a->i) : number_of(word, &a->f)))
        EXPECTED(ps, "an attribute's value before");
    return OXP_OK;
}

typedef struct node_text {
    declared outs[MAX_OUTPUTS];
    oxp_val in[MAX_INPUTS];
    oxp_attr attrs[MAX_ATTRS];
    size_t n_out, n_in, n_attrs;
    const oxp_op *op;
    const char *origin;
    uint32_t flags;
} node_text;

static oxp_status read_outs(parser *ps, node_text *t)
{
    do {
        if (t->n_out == MAX_OUTPUTS) EXPECTED(ps, "fewer outputs");
        if (!accept(ps, "_")) OXP_TRY(read_declared(ps, &t->outs[t->n_out]));
        t->n_out++;
    } while (accept(ps, ","));
    return expect(ps, "=");
}

static oxp_status read_call(parser *ps, node_text *t)
{
    char word[MAX_WORD];
    read_word(ps, word);
    t->op = ps->find(word);
    if (!t->op) EXPECTED(ps, "a known operator before");
    OXP_TRY(expect(ps, "("));
    while (!accept(ps, ")")) {
        if (t->n_in > 0) OXP_TRY(expect(ps, ","));
        if (t->n_in == MAX_INPUTS) EXPECTED(ps, "fewer inputs");
        OXP_TRY(read_operand(ps, &t->in[t->n_in++]));
    }
    if (accept(ps, "{"))
        while (!accept(ps, "}")) {
            if (t->n_attrs == MAX_ATTRS) EXPECTED(ps, "fewer attributes");
            OXP_TRY(read_attr(ps, &t->attrs[t->n_attrs++]));
        }
    return OXP_OK;
}

static bool cut_suffix(char *s, const char *suffix)
{
    const size_t n = strlen(s), k = strlen(suffix);
    if (n < k || strcmp(s + n - k, suffix) != 0) return false;
    s[n - k] = '\0';
    return true;
}

static oxp_status read_origin(parser *ps, node_text *t)
{
    t->origin = "";
    if (!accept(ps, "#")) return OXP_OK;
    if (*ps->p == ' ') ps->p++;
    OXP_TRY(read_escaped(ps, '\0', &t->origin));
    char *s = (char *)(uintptr_t)t->origin; /* ours, just made */
    if (cut_suffix(s, " ~method")) t->flags |= OXP_NODE_METHOD;
    if (cut_suffix(s, " ~bwd")) t->flags |= OXP_NODE_ADJOINT;
    return OXP_OK;
}

/* What verify would refuse before it infers. */
static bool counts_fit(const node_text *t)
{
    const oxp_op *op = t->op;
    bool fit = t->n_in >= op->min_in && (op->max_in == OXP_VARIADIC || t->n_in <= op->max_in) &&
               t->n_out >= op->min_out && (op->max_out == OXP_VARIADIC || t->n_out <= op->max_out);
    for (size_t i = 0; fit && i < op->min_in; i++) fit = t->in[i] != OXP_NO_VAL;
    return fit && t->outs[0].label;
}

static oxp_status declare_outs(parser *ps, const node_text *t, oxp_node *node)
{
    oxp_dtype *dtype = OXP_NEW(ps->ctx->scratch, oxp_dtype, t->n_out);
    oxp_shape *shape = OXP_NEW(ps->ctx->scratch, oxp_shape, t->n_out);
    OXP_FAIL_IF(ps->ctx, !dtype || !shape, OXP_ENOMEM, "out of memory");
    oxp_infer inf = {ps->ctx, ps->g, node, dtype, shape};
    OXP_TRY(node->op->infer(&inf));
    for (size_t i = 0; i < t->n_out; i++) {
        const declared *d = &t->outs[i];
        if (!d->label) {
            node->out[i] = OXP_NO_VAL;
            continue;
        }
        OXP_TRY(set_label(ps, d->label, node->out[i]));
        oxp_value *v = oxp_value_of(ps->g, node->out[i]);
        v->name = d->name;
        v->dtype = d->dtype ? d->dtype : dtype[i];
        v->shape = d->dtype ? d->shape : shape[i];
    }
    return OXP_OK;
}

static oxp_status read_node(parser *ps)
{
    node_text *t = OXP_NEW(ps->ctx->scratch, node_text, 1);
    oxp_node *node;
    OXP_NOMEM_IF(ps->ctx, t);
    OXP_TRY(read_outs(ps, t));
    OXP_TRY(read_call(ps, t));
    OXP_TRY(read_origin(ps, t));
    if (!counts_fit(t)) EXPECTED(ps, "as many inputs and outputs as the operator has before");
    OXP_TRY(oxp_graph_add_node(ps->ctx, ps->g, t->op, t->in, t->n_in, t->n_out, t->attrs,
                               t->n_attrs, t->origin, &node));
    node->flags = t->flags;
    return declare_outs(ps, t, node);
}

/* ---- lines ---- */

static oxp_status read_line(parser *ps)
{
    skip_blanks(ps);
    if (*ps->p == '\0' || *ps->p == '#') return OXP_OK;
    if (accept(ps, "input ")) {
        OXP_TRY(read_input(ps, OXP_VALUE_INPUT));
    } else if (accept(ps, "seed ")) {
        OXP_TRY(read_input(ps, OXP_VALUE_SEED));
    } else if (accept(ps, "const ")) {
        OXP_TRY(read_const(ps));
    } else if (accept(ps, "output ")) {
        oxp_val v;
        OXP_TRY(read_operand(ps, &v));
        if (v == OXP_NO_VAL) EXPECTED(ps, "a value before");
        OXP_TRY(oxp_graph_add_output(ps->ctx, ps->g, v));
    } else {
        OXP_TRY(read_node(ps));
    }
    skip_blanks(ps);
    if (*ps->p != '\0') EXPECTED(ps, "the end of the line");
    return OXP_OK;
}

oxp_status oxp_graph_parse(oxp_ctx *ctx, oxp_arena *arena, const char *text,
                           const oxp_op *(*find)(const char *name), oxp_graph **out)
{
    parser ps = {.ctx = ctx, .g = oxp_graph_new(arena), .find = find};
    OXP_NOMEM_IF(ctx, ps.g);
    oxp_strmap_init(&ps.labels, ctx->scratch);
    while (*text) {
        const size_t n = strcspn(text, "\n");
        ps.p = oxp_arena_strndup(ctx->scratch, text, n);
        OXP_NOMEM_IF(ctx, ps.p);
        ps.line++;
        OXP_TRY(read_line(&ps));
        text += n + (text[n] != '\0');
    }
    *out = ps.g;
    return oxp_graph_verify(ctx, ps.g);
}
