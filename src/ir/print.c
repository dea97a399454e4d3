/* print.c - the text form of a graph, for `inspect --ir`, tests and bug reports. parse.h describes
 * it.
 *
 * Numbers have nine digits: exact for float32, enough to read the rest. Constants are written in
 * full up to PRINT_ELEMENTS numbers, or as one number when all are the same; of larger ones only
 * the shape is shown. */
#include "ir/op.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PRINT_ELEMENTS = 64 };

static const char *dtype_letter(oxp_dtype dtype)
{
    return dtype == OXP_F32    ? "f32"
           : dtype == OXP_I64  ? "i64"
           : dtype == OXP_BOOL ? "bool"
                               : oxp_dtype_name(dtype);
}

/* Quotes, backslashes and control characters as \", \\ and \xHH. */
static void print_escaped(const char *s, oxp_strbuf *out)
{
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            oxp_strbuf_printf(out, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            oxp_strbuf_printf(out, "\\x%02x", (unsigned)*s);
        else
            oxp_strbuf_add(out, s, 1);
}

static void print_quoted(const char *s, oxp_strbuf *out)
{
    oxp_strbuf_puts(out, "\"");
    print_escaped(s, out);
    oxp_strbuf_puts(out, "\"");
}

static void print_value(const oxp_graph *g, oxp_val v, oxp_strbuf *out)
{
    char text[OXP_SHAPE_TEXT];
    const oxp_value *value = g->values[v];
    oxp_strbuf_printf(out, "%%%u:%s%s", v, dtype_letter(value->dtype),
                      oxp_shape_text(&value->shape, text));
    if (value->name) {
        oxp_strbuf_puts(out, " ");
        print_quoted(value->name, out);
    }
}

/* A float as an attribute: always told apart from an integer. */
static void print_float(double f, oxp_strbuf *out)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", f);
    oxp_strbuf_printf(out, "%s%s", text, isfinite(f) && !strpbrk(text, ".e") ? ".0" : "");
}

static void print_attr(const oxp_attr *a, oxp_strbuf *out)
{
    oxp_strbuf_printf(out, "%s=", a->name);
    switch (a->type) {
    case OXP_ATTR_INT:
        oxp_strbuf_printf(out, "%lld", (long long)a->i);
        break;
    case OXP_ATTR_FLOAT:
        print_float(a->f, out);
        break;
    case OXP_ATTR_STRING:
    case OXP_ATTR_STRINGS:
        print_quoted(a->s, out);
        break;
    case OXP_ATTR_INTS:
        for (size_t i = 0; i < a->n; i++)
            oxp_strbuf_printf(out, "%s%lld", i ? "," : "[", (long long)a->ints[i]);
        oxp_strbuf_puts(out, a->n ? "]" : "[]");
        break;
    case OXP_ATTR_FLOATS:
        for (size_t i = 0; i < a->n; i++) {
            oxp_strbuf_puts(out, i ? "," : "[");
            print_float(a->floats[i], out);
        }
        oxp_strbuf_puts(out, a->n ? "]" : "[]");
        break;
    case OXP_ATTR_GRAPH:
        oxp_strbuf_printf(out, "<graph of %zu nodes>", a->g->n_nodes);
        break;
    case OXP_ATTR_TENSOR:
        oxp_strbuf_puts(out, "<tensor>");
        break;
    }
}

static void print_element(const oxp_value *value, int64_t i, oxp_strbuf *out)
{
    if (value->dtype == OXP_F32)
        oxp_strbuf_printf(out, "%.9g", oxp_tensor_get(value->constant, i));
    else
        oxp_strbuf_printf(out, "%lld", (long long)oxp_tensor_get_int(value->constant, i));
}

/* A constant of rank 0 is written where it is used, so that formulas read as formulas. */
static bool is_inline(const oxp_value *value)
{
    return value->kind == OXP_VALUE_CONST && value->shape.rank == 0;
}

static void print_operand(const oxp_graph *g, oxp_val v, oxp_strbuf *out)
{
    const oxp_value *value = g->values[v];
    if (v == OXP_NO_VAL) {
        oxp_strbuf_puts(out, "_");
    } else if (is_inline(value)) {
        print_element(value, 0, out);
        if (value->dtype != OXP_F32) oxp_strbuf_printf(out, ":%s", dtype_letter(value->dtype));
    } else {
        oxp_strbuf_printf(out, "%%%u", v);
    }
}

static bool all_same(const oxp_tensor *t, int64_t n)
{
    const size_t size = oxp_dtype_size(t->dtype);
    for (int64_t i = 1; i < n; i++)
        if (memcmp(t->data, (const char *)t->data + (size_t)i * size, size) != 0) return false;
    return n > 0;
}

static void print_const(const oxp_graph *g, oxp_val v, oxp_strbuf *out)
{
    const oxp_value *value = g->values[v];
    const int64_t n = oxp_shape_elements(&value->shape);
    oxp_strbuf_puts(out, "const  ");
    print_value(g, v, out);
    if (all_same(value->constant, n)) {
        oxp_strbuf_puts(out, " = ");
        print_element(value, 0, out);
    } else if (n <= PRINT_ELEMENTS) {
        oxp_strbuf_puts(out, " = [");
        for (int64_t i = 0; i < n; i++) {
            oxp_strbuf_puts(out, i ? "," : "");
            print_element(value, i, out);
        }
        oxp_strbuf_puts(out, "]");
    }
    oxp_strbuf_puts(out, "\n");
}

static void print_node(const oxp_graph *g, const oxp_node *node, oxp_strbuf *out)
{
    for (uint32_t i = 0; i < node->n_out; i++) {
        oxp_strbuf_puts(out, i ? ", " : "");
        if (node->out[i] == OXP_NO_VAL)
            oxp_strbuf_puts(out, "_");
        else
            print_value(g, node->out[i], out);
    }
    oxp_strbuf_printf(out, " = %s(", node->op->name);
    for (uint32_t i = 0; i < node->n_in; i++) {
        oxp_strbuf_puts(out, i ? ", " : "");
        print_operand(g, node->in[i], out);
    }
    oxp_strbuf_puts(out, ")");
    for (size_t i = 0; i < node->n_attrs; i++) {
        oxp_strbuf_puts(out, i ? " " : " {");
        print_attr(&node->attrs[i], out);
    }
    oxp_strbuf_puts(out, node->n_attrs ? "}" : "");
    if (node->origin[0] || node->flags) {
        oxp_strbuf_puts(out, "  # ");
        print_escaped(node->origin, out);
        oxp_strbuf_puts(out, node->flags & OXP_NODE_ADJOINT ? " ~bwd" : "");
        oxp_strbuf_puts(out, node->flags & OXP_NODE_METHOD ? " ~method" : "");
    }
    oxp_strbuf_puts(out, "\n");
}

void oxp_graph_print(const oxp_graph *g, oxp_strbuf *out)
{
    for (size_t i = 0; i < g->n_inputs; i++) {
        oxp_strbuf_puts(out,
                        g->values[g->inputs[i]]->kind == OXP_VALUE_SEED ? "seed   " : "input  ");
        print_value(g, g->inputs[i], out);
        oxp_strbuf_puts(out, "\n");
    }
    for (size_t v = 1; v < g->n_values; v++)
        if (g->values[v]->kind == OXP_VALUE_CONST && !is_inline(g->values[v]))
            print_const(g, (oxp_val)v, out);
    for (size_t i = 0; i < g->n_nodes; i++) print_node(g, g->nodes[i], out);
    for (size_t i = 0; i < g->n_outputs; i++) {
        oxp_strbuf_puts(out, "output ");
        print_operand(g, g->outputs[i], out);
        oxp_strbuf_puts(out, "\n");
    }
}
