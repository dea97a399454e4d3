/* raise_quantised.c - what codes mean: a graph of quantised numbers becomes one of floats.
 *
 * Beside a value of codes q, with scale s and zero point z, stands its float meaning (q - z) s: behind a
 * QuantizeLinear a _FakeQuant, behind what moves codes or chooses among them the same between floats. A
 * DequantizeLinear with that scale and zero point then *is* the meaning, and so is a product with the scale
 * behind an integer product (MatMulInteger, Cast, Mul: dynamic quantisation as exporters spell it). What
 * reads codes otherwise keeps them; codes that nobody reads any more are dropped with the next pass.
 *
 * Who attributes to codes, or asks for a score made of them, gets the meaning: zero points are no evidence.
 * It takes the codes' name unless it has one. */
#include "opt/raise.h"

#include "ops/infer.h"
#include "ops/quantize.h"
#include <string.h>

typedef struct meaning {
    oxp_val real;             /* in the new graph; OXP_NO_VAL: none */
    oxp_val scale, zero;      /* in the old one; zero may be OXP_NO_VAL */
    const oxp_node *settings; /* has their axis */
    const oxp_node *product;  /* the integer product whose scale is still to come; NULL: none */
} meaning;

typedef struct state {
    oxp_rewrite rw;
    meaning *of; /* [n_values] */
} state;

/* ---- numbers ---- */

static bool same_numbers(const oxp_graph *g, oxp_val a, oxp_val b)
{
    if (a == b) return true;
    const oxp_tensor *s = oxp_const_of(g, a), *t = oxp_const_of(g, b);
    if (!s || !t || oxp_shape_elements(&s->shape) != oxp_shape_elements(&t->shape)) return false;
    for (int64_t i = 0; i < oxp_shape_elements(&s->shape); i++) {
        const double d = oxp_tensor_get(s, i) - oxp_tensor_get(t, i);
        if (d < 0.0 || d > 0.0) return false;
    }
    return true;
}

/* v is one constant number. */
static bool number_of(const oxp_graph *g, oxp_val v, double *number)
{
    const oxp_tensor *t = oxp_const_of(g, v);
    if (!t || oxp_shape_elements(&t->shape) != 1) return false;
    *number = oxp_tensor_get(t, 0);
    return true;
}

static bool is_zero(const oxp_graph *g, oxp_val v)
{
    double z = 0.0;
    return v == OXP_NO_VAL || (number_of(g, v, &z) && z <= 0.0 && z >= 0.0);
}

static bool same_zero(const oxp_graph *g, oxp_val a, oxp_val b)
{
    return (is_zero(g, a) && is_zero(g, b)) || (a && b && same_numbers(g, a, b));
}

static bool per_tensor(const oxp_graph *g, const meaning *m)
{
    return m->real != OXP_NO_VAL && oxp_shape_elements(oxp_shape_at(g, m->scale)) == 1;
}

static oxp_val zero_of(const oxp_node *node)
{
    return oxp_node_has(node, 2) ? node->in[2] : OXP_NO_VAL;
}

/* ---- QuantizeLinear, DequantizeLinear ---- */

static oxp_status quantize(state *s, const oxp_node *node, oxp_val scale, oxp_val zero)
{
    oxp_rewrite *rw = &s->rw;
    s->of[node->out[0]] =
        (meaning){oxp_b_fake_quant(&rw->b, node, oxp_rewrite_val(rw, node->in[0]),
                                   oxp_rewrite_val(rw, scale), oxp_rewrite_val(rw, zero)),
                  scale, zero, node, NULL};
    return rw->b.status;
}

/* True: the node is what is meant. */
static bool dequantize(state *s, const oxp_node *node)
{
    const oxp_graph *g = s->rw.from;
    const meaning *m = &s->of[node->in[0]];
    if (m->real == OXP_NO_VAL || !same_zero(g, zero_of(node), m->zero)) return false;
    if (same_numbers(g, node->in[1], m->scale)) {
        const bool aligned =
            per_tensor(g, m) ||
            (oxp_attr_int(node, "axis", 1) == oxp_attr_int(m->settings, "axis", 1) &&
             oxp_attr_int(node, "block_size", 0) == oxp_attr_int(m->settings, "block_size", 0));
        if (aligned) oxp_rewrite_set(&s->rw, node->out[0], m->real);
        return aligned;
    }
    double one; /* q - z: what integer products take */
    if (per_tensor(g, m) && number_of(g, node->in[1], &one) && one <= 1.0 && one >= 1.0)
        s->of[node->out[0]] = (meaning){m->real, m->scale, OXP_NO_VAL, m->settings, NULL};
    return false;
}

/* ---- between codes ---- */

/* The node again, the first n_real inputs replaced by what they mean. */
static oxp_status again(state *s, const oxp_node *node, uint32_t n_real, const oxp_attr *attrs,
                        size_t n_attrs)
{
    oxp_rewrite *rw = &s->rw;
    oxp_val *in = OXP_NEW(rw->pass->ctx->scratch, oxp_val, node->n_in + 1),
            *outs = OXP_NEW(rw->pass->ctx->scratch, oxp_val, node->n_out);
    OXP_FAIL_IF(rw->pass->ctx, !in || !outs, OXP_ENOMEM, "out of memory");
    for (uint32_t k = 0; k < node->n_in; k++)
        in[k] = k < n_real ? s->of[node->in[k]].real : oxp_rewrite_val(rw, node->in[k]);
    OXP_TRY(oxp_emit_multi(&rw->b, node->op, in, node->n_in, attrs, n_attrs, node->n_out, outs));
    for (uint32_t k = 0; k < node->n_out; k++) {
        if (node->out[k] == OXP_NO_VAL || oxp_value_of(rw->b.g, outs[k])->dtype != OXP_F32)
            continue;
        s->of[node->out[k]] = s->of[node->in[0]];
        s->of[node->out[k]].real = outs[k];
    }
    return OXP_OK;
}

static bool one_format(const state *s, const oxp_node *node)
{
    const oxp_graph *g = s->rw.from;
    const meaning *first = &s->of[node->in[0]];
    for (uint32_t k = 0; k < node->n_in; k++) {
        const meaning *m = &s->of[node->in[k]];
        if (!per_tensor(g, m) || !same_numbers(g, m->scale, first->scale) ||
            !same_zero(g, m->zero, first->zero))
            return false;
    }
    return true;
}

/* Padding with a code, cutting off at codes: the numbers become those that are meant. */
static oxp_status bounded(state *s, const oxp_node *node)
{
    const oxp_graph *g = s->rw.from;
    const meaning *m = &s->of[node->in[0]];
    static const char *const bounds[] = {"min", "max", "value"};
    double scale, zero = 0.0;
    oxp_attr *attrs = OXP_NEW(s->rw.pass->ctx->scratch, oxp_attr, node->n_attrs + 1);
    OXP_NOMEM_IF(s->rw.pass->ctx, attrs);
    if (!number_of(g, m->scale, &scale) || (m->zero && !number_of(g, m->zero, &zero)))
        return OXP_OK;
    size_t n = 0;
    const bool pads = node->op == &oxp_op_Pad;
    bool given = !pads;
    for (; n < node->n_attrs; n++) {
        attrs[n] = node->attrs[n];
        for (size_t i = 0; i < OXP_COUNT(bounds); i++)
            if (attrs[n].type == OXP_ATTR_FLOAT && strcmp(attrs[n].name, bounds[i]) == 0) {
                attrs[n].f = (attrs[n].f - zero) * scale;
                given = true;
            }
    }
    if (!given) attrs[n++] = OXP_FLOAT("value", -zero * scale);
    return again(s, node, 1, attrs, n);
}

static oxp_status rectified(state *s, const oxp_node *node)
{
    const meaning *m = &s->of[node->in[0]];
    return is_zero(s->rw.from, m->zero) ? again(s, node, 1, node->attrs, node->n_attrs) : OXP_OK;
}

/* What follows for the outputs of a node that is copied. */
static oxp_status follow(state *s, const oxp_node *node)
{
    const oxp_op *op = node->op;
    const oxp_graph *g = s->rw.from;
    if (op == &oxp_op_QuantizeLinear) return quantize(s, node, node->in[1], zero_of(node));
    if (op == &oxp_op_DynamicQuantizeLinear) return quantize(s, node, node->out[1], node->out[2]);
    if (node->n_in == 0 || !per_tensor(g, &s->of[node->in[0]])) return OXP_OK;
    const meaning *m = &s->of[node->in[0]];
    if (op == &oxp_op_Concat)
        return one_format(s, node) ? again(s, node, node->n_in, node->attrs, node->n_attrs)
                                   : OXP_OK;
    if ((op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) || op == &oxp_op_MaxPool)
        return again(s, node, 1, node->attrs, node->n_attrs);
    if (op == &oxp_op_Pad || op == &oxp_op_Clip) return bounded(s, node);
    if (op == &oxp_op_Relu) return rectified(s, node);
    const bool product = op == &oxp_op_MatMul || op == &oxp_op_Conv;
    if (!product || node->n_in != 2 || !is_zero(g, m->zero) || !oxp_const_of(g, node->in[1]))
        return OXP_OK;
    OXP_TRY(again(s, node, 1, node->attrs, node->n_attrs));
    s->of[node->out[0]].product = node;
    return OXP_OK;
}

/* The integer product with its weights dequantised by `scale` (old): one number, or one per column. */
static oxp_val weighted(state *s, const oxp_node *product, oxp_val scale)
{
    oxp_rewrite *rw = &s->rw;
    const oxp_shape *w = oxp_shape_at(rw->from, product->in[1]);
    const oxp_val weights = oxp_b_dequantize(&rw->b, oxp_rewrite_val(rw, product->in[1]),
                                             oxp_rewrite_val(rw, scale), OXP_NO_VAL, w->rank - 1);
    const oxp_val in[2] = {s->of[product->in[0]].real, weights};
    return oxp_emit(&rw->b, product->op, in, 2, product->attrs, product->n_attrs);
}

static bool scales_weights(const oxp_graph *g, const oxp_node *product, oxp_val scale)
{
    const oxp_shape *w = oxp_shape_at(g, product->in[1]), *s = oxp_shape_at(g, scale);
    if (!oxp_const_of(g, scale)) return false;
    return oxp_shape_elements(s) == 1 || (product->op == &oxp_op_MatMul && s->rank == 1 &&
                                          w->rank > 1 && s->dim[0] == w->dim[w->rank - 1]);
}

/* q times its scale, or times a product with its scale. True: the node is what is meant. */
static bool scaled(state *s, const oxp_node *node)
{
    oxp_rewrite *rw = &s->rw;
    const oxp_graph *g = rw->from;
    for (int k = 0; k < 2; k++) {
        const meaning *m = &s->of[node->in[k]];
        const oxp_val t = node->in[1 - k];
        if (!per_tensor(g, m) || !is_zero(g, m->zero)) continue;
        if (same_numbers(g, t, m->scale)) {
            oxp_rewrite_set(rw, node->out[0], m->real);
            return true;
        }
        const oxp_node *both = oxp_producer(g, t);
        for (int j = 0; both && both->op == &oxp_op_Mul && j < 2; j++) {
            const oxp_val rest = both->in[1 - j];
            if (!same_numbers(g, both->in[j], m->scale)) continue;
            oxp_rewrite_set(rw, node->out[0],
                            m->product && scales_weights(g, m->product, rest)
                                ? weighted(s, m->product, rest)
                                : oxp_b_mul(&rw->b, m->real, oxp_rewrite_val(rw, rest)));
            return true;
        }
    }
    return false;
}

static oxp_status step(state *s, const oxp_node *node)
{
    oxp_rewrite *rw = &s->rw;
    rw->b.origin = node->origin;
    rw->b.flags = node->flags;
    if (node->op == &oxp_op_DequantizeLinear && dequantize(s, node)) return rw->b.status;
    if (node->op == &oxp_op_Mul && scaled(s, node)) return rw->b.status;
    OXP_TRY(oxp_rewrite_copy(rw, node));
    return follow(s, node);
}

/* Names go over to what is meant, and so does who follows the codes. */
static void hand_over(state *s)
{
    oxp_rewrite *rw = &s->rw;
    for (size_t v = 1; v < rw->from->n_values; v++) {
        const oxp_val real = s->of[v].real, code = rw->map[v];
        if (real == OXP_NO_VAL || code == real) continue;
        oxp_value *from = oxp_value_of(rw->b.g, code), *to = oxp_value_of(rw->b.g, real);
        if (!to->name) {
            to->name = from->name;
            from->name = NULL;
        }
        rw->pass->map[v] = real;
    }
}

static bool has_codes(const oxp_graph *g)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op->flags & OXP_OP_CODES) return true;
    return false;
}

oxp_status oxp_raise_quantised(oxp_pass *pass, bool *done)
{
    *done = has_codes(pass->in);
    if (!*done) return OXP_OK;
    state s;
    OXP_TRY(oxp_rewrite_begin(&s.rw, pass));
    s.of = OXP_NEW(pass->ctx->scratch, meaning, pass->in->n_values);
    OXP_NOMEM_IF(pass->ctx, s.of);
    for (size_t i = 0; i < pass->in->n_nodes; i++)
        if (oxp_rewrite_live(&s.rw, pass->in->nodes[i])) OXP_TRY(step(&s, pass->in->nodes[i]));
    OXP_TRY(oxp_rewrite_end(&s.rw));
    hand_over(&s);
    return OXP_OK;
}
