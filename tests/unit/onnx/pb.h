/*
 * Writes ONNX files byte by byte, so that tests can also write wrong ones. A pb is one message under construction;
 * field numbers are those of onnx.proto. Nothing is checked but the buffer's size.
 */
#ifndef OXP_TEST_PB_H
#define OXP_TEST_PB_H

#include "support/support.h"
#include <string.h>

typedef struct pb {
    uint8_t data[1 << 15];
    size_t n;
} pb;

static inline void pb_raw(pb *b, const void *bytes, size_t n)
{
    assert_true(n <= sizeof b->data - b->n);
    if (n > 0) memcpy(b->data + b->n, bytes, n);
    b->n += n;
}

static inline void pb_varint(pb *b, uint64_t v)
{
    for (;; v >>= 7) {
        const uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        pb_raw(b, &byte, 1);
        if (v <= 0x7f) return;
    }
}

static inline void pb_int(pb *b, unsigned field, int64_t v)
{
    pb_varint(b, (uint64_t)field << 3);
    pb_varint(b, (uint64_t)v);
}

static inline void pb_float(pb *b, unsigned field, float v)
{
    pb_varint(b, (uint64_t)field << 3 | 5);
    pb_raw(b, &v, sizeof v);
}

static inline void pb_bytes(pb *b, unsigned field, const void *bytes, size_t n)
{
    pb_varint(b, (uint64_t)field << 3 | 2);
    pb_varint(b, n);
    pb_raw(b, bytes, n);
}

static inline void pb_text(pb *b, unsigned field, const char *s)
{
    pb_bytes(b, field, s, strlen(s));
}

static inline void pb_msg(pb *b, unsigned field, const pb *inner)
{
    pb_bytes(b, field, inner->data, inner->n);
}

/* "a,,b" as three repeated strings. */
static inline void pb_texts(pb *b, unsigned field, const char *list)
{
    for (const char *at = list; *list != '\0';) {
        const size_t n = strcspn(at, ",");
        pb_bytes(b, field, at, n);
        if (at[n] == '\0') return;
        at += n + 1;
    }
}

/* ---- attributes, nodes ---- */

static inline pb pb_attr(const char *name, int type)
{
    pb a = {.n = 0};
    pb_text(&a, 1, name);
    pb_int(&a, 20, type);
    return a;
}

static inline pb pb_attr_int(const char *name, int64_t v)
{
    pb a = pb_attr(name, 2);
    pb_int(&a, 3, v);
    return a;
}

static inline pb pb_attr_float(const char *name, float v)
{
    pb a = pb_attr(name, 1);
    pb_float(&a, 2, v);
    return a;
}

static inline pb pb_attr_text(const char *name, const char *v)
{
    pb a = pb_attr(name, 3);
    pb_text(&a, 4, v);
    return a;
}

static inline pb pb_attr_ints(const char *name, const int64_t *v, size_t n)
{
    pb a = pb_attr(name, 7);
    for (size_t i = 0; i < n; i++) pb_int(&a, 8, v[i]);
    return a;
}

static inline pb pb_attr_graph(const char *name, const pb *graph)
{
    pb a = pb_attr(name, 5);
    pb_msg(&a, 6, graph);
    return a;
}

static inline pb pb_node(const char *op, const char *in, const char *out, const char *name)
{
    pb n = {.n = 0};
    pb_texts(&n, 1, in);
    pb_texts(&n, 2, out);
    pb_text(&n, 3, name);
    pb_text(&n, 4, op);
    return n;
}

static inline pb pb_node_with(pb node, const pb attr)
{
    pb_msg(&node, 5, &attr);
    return node;
}

/* ---- tensors, inputs, graphs, models ---- */

/* Without data. */
static inline pb pb_tensor(const char *name, int dtype, const char *dims)
{
    pb t = {.n = 0};
    for (; *dims != '\0'; dims++) pb_int(&t, 1, *dims - '0'); /* "23": (2,3) */
    pb_int(&t, 2, dtype);
    pb_text(&t, 8, name);
    return t;
}

/* dims: one letter each, a digit or the name of a symbolic size; NULL: no shape. */
static inline pb pb_value(const char *name, int dtype, const char *dims)
{
    pb shape = {.n = 0}, tensor = {.n = 0}, type = {.n = 0}, value = {.n = 0};
    for (; dims && *dims != '\0'; dims++) {
        pb dim = {.n = 0};
        if (*dims >= '0' && *dims <= '9')
            pb_int(&dim, 1, *dims - '0');
        else
            pb_bytes(&dim, 2, dims, 1);
        pb_msg(&shape, 1, &dim);
    }
    pb_int(&tensor, 1, dtype);
    if (dims) pb_msg(&tensor, 2, &shape);
    pb_msg(&type, 1, &tensor);
    pb_text(&value, 1, name);
    pb_msg(&value, 2, &type);
    return value;
}

static inline pb pb_opset(const char *domain, int64_t version)
{
    pb o = {.n = 0};
    pb_text(&o, 1, domain);
    pb_int(&o, 2, version);
    return o;
}

/* A model of that opset around the graph, which is written last: each proper prefix is then damaged. */
static inline pb pb_model(const pb *graph, int64_t opset)
{
    pb m = {.n = 0};
    const pb imports = pb_opset("", opset);
    pb_int(&m, 1, 8);
    pb_text(&m, 2, "maker");
    pb_msg(&m, 8, &imports);
    pb_msg(&m, 7, graph);
    return m;
}

static inline void pb_add_node(pb *graph, const pb node)
{
    pb_msg(graph, 1, &node);
}
static inline void pb_add_init(pb *graph, const pb tensor)
{
    pb_msg(graph, 5, &tensor);
}
static inline void pb_add_input(pb *graph, const pb value)
{
    pb_msg(graph, 11, &value);
}
static inline void pb_add_output(pb *graph, const pb value)
{
    pb_msg(graph, 12, &value);
}

/* Input x (N,2), output y, both float; nodes are up to the test. */
static inline pb pb_graph(void)
{
    pb g = {.n = 0};
    pb_add_input(&g, pb_value("x", 1, "N2"));
    pb_add_output(&g, pb_value("y", 1, NULL));
    return g;
}

#endif
