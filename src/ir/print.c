/* print.c - the text form of a graph, for `inspect --ir`, tests and bug reports. */
#include "ir/op.h"

static const char *dtype_letter(oxp_dtype dtype)
{
    return dtype == OXP_F32 ? "f32" : dtype == OXP_I64 ? "i64" : dtype == OXP_BOOL ? "bool" : oxp_dtype_name(dtype);
}

static void print_value(const oxp_graph *g, oxp_val v, oxp_strbuf *out)
{
    char text[OXP_SHAPE_TEXT];
    const oxp_value *value = g->values[v];
    oxp_strbuf_printf(out, "%%%u:%s%s", v, dtype_letter(value->dtype), oxp_shape_text(&value->shape, text));
    if (value->name)
        oxp_strbuf_printf(out, " \"%s\"", value->name);
}

static void print_attr(const oxp_attr *a, oxp_strbuf *out)
{
    oxp_strbuf_printf(out, "%s=", a->name);
    switch (a->type) {
    case OXP_ATTR_INT:
        oxp_strbuf_printf(out, "%lld", (long long)a->i);
        break;
    case OXP_ATTR_FLOAT:
        oxp_strbuf_printf(out, "%.9g", a->f);
        break;
    case OXP_ATTR_STRING:
        oxp_strbuf_printf(out, "\"%s\"", a->s);
        break;
    case OXP_ATTR_INTS:
        for (size_t i = 0; i < a->n; i++)
            oxp_strbuf_printf(out, "%s%lld", i ? "," : "[", (long long)a->ints[i]);
        oxp_strbuf_puts(out, a->n ? "]" : "[]");
        break;
    case OXP_ATTR_FLOATS:
        for (size_t i = 0; i < a->n; i++)
            oxp_strbuf_printf(out, "%s%.9g", i ? "," : "[", a->floats[i]);
        oxp_strbuf_puts(out, a->n ? "]" : "[]");
        break;
    case OXP_ATTR_TENSOR:
        oxp_strbuf_puts(out, "<tensor>");
        break;
    }
}

/* A scalar constant is printed as its number, so that formulas read as formulas. */
static void print_operand(const oxp_graph *g, oxp_val v, oxp_strbuf *out)
{
    if (v == OXP_NO_VAL)
        oxp_strbuf_puts(out, "_");
    else if (g->values[v]->kind == OXP_VALUE_CONST && oxp_shape_elements(&g->values[v]->shape) == 1)
        oxp_strbuf_printf(out, "%.9g", oxp_tensor_get(g->values[v]->constant, 0));
    else
        oxp_strbuf_printf(out, "%%%u", v);
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
    if (node->origin[0])
        oxp_strbuf_printf(out, "  # %s%s", node->origin, node->flags & OXP_NODE_ADJOINT ? " ~bwd" : "");
    oxp_strbuf_puts(out, "\n");
}

void oxp_graph_print(const oxp_graph *g, oxp_strbuf *out)
{
    for (size_t i = 0; i < g->n_inputs; i++) {
        oxp_strbuf_puts(out, g->values[g->inputs[i]]->kind == OXP_VALUE_SEED ? "seed   " : "input  ");
        print_value(g, g->inputs[i], out);
        oxp_strbuf_puts(out, "\n");
    }
    for (size_t v = 1; v < g->n_values; v++)
        if (g->values[v]->kind == OXP_VALUE_CONST && oxp_shape_elements(&g->values[v]->shape) != 1) {
            oxp_strbuf_puts(out, "const  ");
            print_value(g, (oxp_val)v, out);
            oxp_strbuf_puts(out, "\n");
        }
    for (size_t i = 0; i < g->n_nodes; i++)
        print_node(g, g->nodes[i], out);
    for (size_t i = 0; i < g->n_outputs; i++)
        oxp_strbuf_printf(out, "output %%%u\n", g->outputs[i]);
}
