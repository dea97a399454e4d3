/* raise_gates.c - activations that exporters spell in primitives.
 *
 * A gated activation is a polynomial in its input x and one function value t:
 *
 *   Gelu      x/2 + x/2 t     t = erf(x / sqrt 2)
 *   GeluTanh  x/2 + x/2 t     t = tanh(sqrt(2/pi) (x + 0.044715 x^3))
 *   Mish      x t             t = tanh(softplus(x))
 *   Silu      x t             t = sigmoid(alpha x)
 *   HardSwish x t             t = hardsigmoid(x; 1/6, 1/2) = clip(x/6 + 1/2, 0, 1)
 *             x/6 t           t = clip(x + 3, 0, 6)
 *
 * so one row of a table recognises all orders and nestings of its sums and products, and the same
 * holds for the argument of t. HardSigmoid is recognised as a clip of a line, Sigmoid and Softplus
 * by their exponentials, Softsign as the quotient that it is. */
#include "opt/raise.h"

#include "ops/infer.h"
#include <math.h>

#define ONE_OVER_SQRT_2 0.7071067811865475
#define SQRT_2_OVER_PI  0.7978845608028654
#define GELU_CUBIC      0.044715

/* Makes the composite op(x) of what was matched. */
static bool becomes(oxp_match *m, const oxp_op *op, oxp_val x)
{
    m->op = op;
    m->in[0] = x;
    m->n_in = 1;
    return oxp_match_like_root(m, x) && oxp_match_closed(m);
}

static bool add_float(oxp_match *m, const char *name, double value)
{
    m->attrs[m->n_attrs++] = OXP_FLOAT(name, value);
    return true;
}

/* v = slope x + offset, the slope not zero. */
static bool is_line(oxp_match *m, oxp_val v, oxp_val x, double *slope, double *offset)
{
    oxp_poly p;
    if (!oxp_match_poly(m, v, x, OXP_NO_VAL, &p)) return false;
    *slope = p.c[1][0];
    *offset = p.c[0][0];
    const oxp_poly line = {{{*offset, 0.0}, {*slope, 0.0}}};
    return fabs(*slope) > 0.0 && isfinite(*slope) && isfinite(*offset) &&
           oxp_poly_near(m, &p, &line);
}

/* ---- the arguments of t ---- */

typedef bool (*argument_fn)(oxp_match *m, const oxp_node *t, oxp_val x);

static bool is_line_of(oxp_match *m, oxp_val v, oxp_val x, double slope, double offset)
{
    double a, b;
    return is_line(m, v, x, &a, &b) && oxp_near(m, a, slope) && oxp_near(m, b, offset);
}

static bool over_sqrt_2(oxp_match *m, const oxp_node *t, oxp_val x)
{
    return is_line_of(m, t->in[0], x, ONE_OVER_SQRT_2, 0.0);
}

static bool gelu_cubic(oxp_match *m, const oxp_node *t, oxp_val x)
{
    static const oxp_poly cubic = {{{0}, {SQRT_2_OVER_PI}, {0}, {SQRT_2_OVER_PI * GELU_CUBIC}}};
    oxp_poly p;
    return oxp_match_poly(m, t->in[0], x, OXP_NO_VAL, &p) && oxp_poly_near(m, &p, &cubic);
}

static bool softplus_of(oxp_match *m, const oxp_node *t, oxp_val x)
{
    const oxp_node *softplus = oxp_match_take(m, t->in[0], &oxp_op_Softplus);
    return softplus && softplus->in[0] == x;
}

static bool scaled(oxp_match *m, const oxp_node *t, oxp_val x)
{
    double alpha, offset;
    if (!is_line(m, t->in[0], x, &alpha, &offset) || !oxp_near(m, offset, 0.0)) return false;
    return oxp_near(m, alpha, 1.0) || add_float(m, "alpha", alpha);
}

static bool clips(const oxp_match *m, const oxp_node *t, double lo, double hi)
{
    double found_lo, found_hi;
    return oxp_node_fn(t, &found_lo, &found_hi) == OXP_FN_CLIP && oxp_near(m, found_lo, lo) &&
           oxp_near(m, found_hi, hi);
}

static bool plus_3_to_6(oxp_match *m, const oxp_node *t, oxp_val x)
{
    return clips(m, t, 0.0, 6.0) && is_line_of(m, t->in[0], x, 1.0, 3.0);
}

static bool sixth_to_1(oxp_match *m, const oxp_node *t, oxp_val x)
{
    return clips(m, t, 0.0, 1.0) && is_line_of(m, t->in[0], x, 1.0 / 6.0, 0.5);
}

static bool hard_sigmoid_of(oxp_match *m, const oxp_node *t, oxp_val x)
{
    double alpha, beta;
    OXP_UNUSED(m);
    oxp_node_fn(t, &alpha, &beta);
    return oxp_near(m, alpha, 1.0 / 6.0) && oxp_near(m, beta, 0.5) && t->in[0] == x;
}

/* ---- gates ---- */

static const struct gate {
    const oxp_op *result, *t; /* t: the operator that makes it */
    double x, xt;             /* result = x * x + xt * x t */
    argument_fn argument;
} gates[] = {
    {&oxp_op__Gelu, &oxp_op_Erf, 0.5, 0.5, over_sqrt_2},
    {&oxp_op__GeluTanh, &oxp_op_Tanh, 0.5, 0.5, gelu_cubic},
    {&oxp_op__Mish, &oxp_op_Tanh, 0.0, 1.0, softplus_of},
    {&oxp_op__Silu, &oxp_op_Sigmoid, 0.0, 1.0, scaled},
    {&oxp_op_HardSwish, &oxp_op_HardSigmoid, 0.0, 1.0, hard_sigmoid_of},
    {&oxp_op_HardSwish, &oxp_op_Clip, 0.0, 1.0 / 6.0, plus_3_to_6},
    {&oxp_op_HardSwish, &oxp_op_Clip, 0.0, 1.0, sixth_to_1},
};

static bool try_gate(oxp_match *m, const struct gate *gate, oxp_val t, oxp_val x)
{
    const oxp_poly ideal = {{{0.0, 0.0}, {gate->x, gate->xt}}};
    oxp_poly p;
    oxp_match_retry(m);
    if (!oxp_match_poly(m, m->root->out[0], x, t, &p) || !oxp_poly_near(m, &p, &ideal))
        return false;
    const oxp_node *node = oxp_match_take(m, t, gate->t);
    return gate->argument(m, node, x) && becomes(m, gate->result, x);
}

bool oxp_raise_gate(oxp_match *m)
{
    if (m->root->op != &oxp_op_Mul && m->root->op != &oxp_op_Div) return false;
    oxp_val near[OXP_MATCH_NEAR];
    const size_t n = oxp_match_nearest(m, m->root->out[0], near);
    for (size_t g = 0; g < OXP_COUNT(gates); g++)
        for (size_t t = 1; t < n; t++) {
            const oxp_node *node = oxp_producer(m->rw->from, near[t]);
            for (size_t x = 1; node && node->op == gates[g].t && x < n; x++)
                if (x != t && try_gate(m, &gates[g], near[t], near[x])) return true;
        }
    return false;
}

/* ---- HardSigmoid ---- */

/* scale clip(slope x + offset, 0, 1 / scale) */
static bool clip_of_line(oxp_match *m, oxp_val t, double scale, oxp_val x)
{
    double slope, offset;
    oxp_match_retry(m);
    const oxp_node *clip = oxp_match_take(m, t, &oxp_op_Clip);
    if (!clip || !clips(m, clip, 0.0, 1.0 / scale) || !is_line(m, clip->in[0], x, &slope, &offset))
        return false;
    add_float(m, "alpha", slope * scale);
    add_float(m, "beta", offset * scale);
    return becomes(m, &oxp_op_HardSigmoid, x);
}

/* The line's x is as far back as numbers are added and multiplied, nearer if that is not closed. */
bool oxp_raise_hard_sigmoid(oxp_match *m)
{
    oxp_val t = m->root->out[0], near[OXP_MATCH_NEAR];
    double scale = 1.0;
    if (m->root->op == &oxp_op_Mul || m->root->op == &oxp_op_Div) {
        t = oxp_match_beside_number(m, m->root, &scale);
        if (m->root->op == &oxp_op_Div) scale = 1.0 / scale;
    }
    const oxp_node *clip = oxp_producer(m->rw->from, t);
    if (!clip || clip->op != &oxp_op_Clip || !(scale > 0.0)) return false;
    for (size_t x = oxp_match_nearest(m, clip->in[0], near); x-- > 1;)
        if (clip_of_line(m, t, scale, near[x])) return true;
    return false;
}

/* ---- exponentials ---- */

/* v = 1 + exp(argument) */
static bool one_plus_exp(oxp_match *m, oxp_val v, oxp_val *argument)
{
    double one;
    const oxp_node *add = oxp_match_take(m, v, &oxp_op_Add);
    const oxp_val e = add ? oxp_match_beside_number(m, add, &one) : OXP_NO_VAL;
    const oxp_node *exponential = oxp_match_take(m, e, &oxp_op_Exp);
    if (!exponential || !oxp_near(m, one, 1.0)) return false;
    *argument = exponential->in[0];
    return true;
}

/* 1 / (1 + exp(-x)): Sigmoid;  x / (1 + exp(-alpha x)): Silu */
bool oxp_raise_logistic(oxp_match *m)
{
    const bool divides = m->root->op == &oxp_op_Div;
    if (!divides && m->root->op != &oxp_op_Reciprocal) return false;
    oxp_val argument, near[OXP_MATCH_NEAR];
    if (!one_plus_exp(m, m->root->in[divides], &argument)) return false;
    const bool one = !divides || oxp_match_is(m, m->root->in[0], 1.0);
    const size_t n = oxp_match_nearest(m, argument, near);
    for (size_t i = 1; i < n; i++) {
        double alpha, offset;
        oxp_match_retry(m);
        one_plus_exp(m, m->root->in[divides], &argument);
        if (!is_line(m, argument, near[i], &alpha, &offset) || !oxp_near(m, offset, 0.0)) continue;
        if (one && oxp_near(m, alpha, -1.0) && becomes(m, &oxp_op_Sigmoid, near[i])) return true;
        if (one || m->root->in[0] != near[i]) continue;
        if (!oxp_near(m, alpha, -1.0)) add_float(m, "alpha", -alpha);
        if (becomes(m, &oxp_op__Silu, near[i])) return true;
    }
    return false;
}

/* log(1 + exp(x)) */
bool oxp_raise_softplus(oxp_match *m)
{
    oxp_val x;
    return m->root->op == &oxp_op_Log && one_plus_exp(m, m->root->in[0], &x) &&
           becomes(m, &oxp_op_Softplus, x);
}

/* x / (1 + |x|) */
bool oxp_raise_softsign(oxp_match *m)
{
    double one;
    if (m->root->op != &oxp_op_Div) return false;
    const oxp_val x = m->root->in[0];
    const oxp_node *add = oxp_match_take(m, m->root->in[1], &oxp_op_Add);
    const oxp_val v = add ? oxp_match_beside_number(m, add, &one) : OXP_NO_VAL;
    const oxp_node *size = oxp_match_take(m, v, &oxp_op_Abs);
    return size && size->in[0] == x && oxp_near(m, one, 1.0) && becomes(m, &oxp_op_Softsign, x);
}
