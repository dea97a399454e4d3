/* raise_norm.c - layer and group normalisation.
 *
 *   LayerNormalization, over the last axes, with s = sqrt(mean (x - mean x)^2 + epsilon):
 *     y = (x - mean x) / s * scale + bias
 *     y = x m + (bias - mean x m), m = scale / s       as TensorFlow writes it
 *   _GroupNorm:
 *     Reshape to (N,groups,...), layer or instance norm without scale, Reshape back, * + by channel
 *
 * Scale and bias are constants; what varies with the input (adaptive norms) stays outside. The
 * deviation may be written with Sqrt, Reciprocal or Pow. A norm over the channel axis of (N,C,H,W)
 * is not one of these and stays as it is. */
#include "opt/raise.h"

#include "ops/infer.h"

typedef struct norm {
    oxp_val x;
    uint32_t axes; /* bit a: axis a is averaged over */
    double epsilon;
} norm;

/* v = x - mean x. What is known already must agree. */
static bool centred(oxp_match *m, oxp_val v, norm *n)
{
    const oxp_node *sub = oxp_match_take(m, v, &oxp_op_Sub);
    const oxp_node *mean = sub ? oxp_match_take(m, sub->in[1], &oxp_op_ReduceMean) : NULL;
    if (!mean || mean->in[0] != sub->in[0]) return false;
    if (n->x != OXP_NO_VAL && n->x != sub->in[0]) return false;
    const uint32_t axes = oxp_match_axes(m, mean);
    if (n->axes != 0 && n->axes != axes) return false;
    *n = (norm){sub->in[0], axes, n->epsilon};
    return axes != 0;
}

/* v = (x - mean x)^2 */
static bool squared(oxp_match *m, oxp_val v, norm *n)
{
    const oxp_node *mul = oxp_match_take(m, v, &oxp_op_Mul);
    if (mul) return centred(m, mul->in[0], n) && centred(m, mul->in[1], n);
    const oxp_node *power = oxp_match_take(m, v, &oxp_op_Pow);
    return power && oxp_match_is(m, power->in[1], 2.0) && centred(m, power->in[0], n);
}

/* v = mean (x - mean x)^2 + epsilon */
static bool variance(oxp_match *m, oxp_val v, norm *n)
{
    const oxp_node *add = oxp_match_take(m, v, &oxp_op_Add);
    const oxp_val var = add ? oxp_match_beside_number(m, add, &n->epsilon) : OXP_NO_VAL;
    const oxp_node *mean = oxp_match_take(m, var, &oxp_op_ReduceMean);
    if (!mean || !(n->epsilon >= 0.0)) return false;
    const uint32_t axes = oxp_match_axes(m, mean);
    if (n->axes != 0 && n->axes != axes) return false;
    n->axes = axes;
    return axes != 0 && squared(m, mean->in[0], n);
}

/* v = variance ^ power, power 1/2 */
static bool deviation(oxp_match *m, oxp_val v, norm *n)
{
    const oxp_node *root = oxp_match_take(m, v, &oxp_op_Sqrt);
    if (root) return variance(m, root->in[0], n);
    const oxp_node *power = oxp_match_take(m, v, &oxp_op_Pow);
    return power && oxp_match_is(m, power->in[1], 0.5) && variance(m, power->in[0], n);
}

/* v = variance ^ (-1/2) */
static bool inverse_deviation(oxp_match *m, oxp_val v, norm *n)
{
    const oxp_node *node = oxp_match_take(m, v, &oxp_op_Reciprocal);
    if (node) return deviation(m, node->in[0], n);
    node = oxp_match_take(m, v, &oxp_op_Div);
    if (node) return oxp_match_is(m, node->in[0], 1.0) && deviation(m, node->in[1], n);
    node = oxp_match_take(m, v, &oxp_op_Pow);
    return node && oxp_match_is(m, node->in[1], -0.5) && variance(m, node->in[0], n);
}

/* v = (x - mean x) / deviation */
static bool normalised(oxp_match *m, oxp_val v, norm *n)
{
    *n = (norm){0};
    const oxp_node *div = oxp_match_take(m, v, &oxp_op_Div);
    if (div) return centred(m, div->in[0], n) && deviation(m, div->in[1], n);
    const oxp_node *mul = oxp_match_take(m, v, &oxp_op_Mul);
    for (int k = 0; mul && k < 2; k++) {
        const size_t mark = m->n_parts;
        *n = (norm){0};
        if (centred(m, mul->in[k], n) && inverse_deviation(m, mul->in[!k], n)) return true;
        m->n_parts = mark;
    }
    return false;
}

/* v = a op c with a constant c (on either side): a, or OXP_NO_VAL. */
static oxp_val beside_constant(oxp_match *m, oxp_val v, const oxp_op *op, oxp_val *c)
{
    const oxp_node *node = oxp_match_take(m, v, op);
    for (int k = 0; node && k < 2; k++)
        if (oxp_const_of(m->rw->from, node->in[k])) {
            *c = node->in[k];
            return node->in[!k];
        }
    return OXP_NO_VAL;
}

/* ---- LayerNormalization ---- */

/* Constant c varies along the axes from `axis` of x only. */
static bool fits_tail(const oxp_match *m, oxp_val c, const oxp_shape *x, int axis)
{
    if (c == OXP_NO_VAL) return true;
    const oxp_shape *s = oxp_match_shape(m, c);
    const int lead = x->rank - s->rank;
    for (int a = 0; a < s->rank; a++) {
        const bool inside = a + lead >= axis;
        if (s->dim[a] != 1 && !(inside && s->dim[a] == x->dim[a + lead])) return false;
    }
    return lead >= 0;
}

static bool becomes_layer_norm(oxp_match *m, const norm *n, oxp_val scale, oxp_val bias)
{
    const oxp_shape *x = oxp_match_shape(m, n->x);
    const int axis = oxp_match_trailing(n->axes, x->rank);
    if (axis < 0 || !fits_tail(m, scale, x, axis) || !fits_tail(m, bias, x, axis)) return false;
    m->op = &oxp_op_LayerNormalization;
    m->in[0] = n->x;
    m->in[1] = scale;
    m->in[2] = bias;
    m->n_in = bias ? 3 : scale ? 2 : 1;
    m->attrs[0] = OXP_INT("axis", axis);
    m->attrs[1] = OXP_FLOAT("epsilon", n->epsilon);
    m->n_attrs = 2;
    return oxp_match_like_root(m, n->x) && oxp_match_closed(m);
}

/* ((x - mean) / deviation) [* scale [+ bias]], ending at the root */
static bool plain_form(oxp_match *m, bool scaled, bool shifted)
{
    norm n;
    oxp_val v = m->root->out[0], scale = OXP_NO_VAL, bias = OXP_NO_VAL;
    oxp_match_retry(m);
    if (shifted) v = beside_constant(m, v, &oxp_op_Add, &bias);
    if (scaled && v != OXP_NO_VAL) v = beside_constant(m, v, &oxp_op_Mul, &scale);
    return v != OXP_NO_VAL && normalised(m, v, &n) && becomes_layer_norm(m, &n, scale, bias);
}

/* x f + (bias - mean f), f = scale / deviation; operand k of the sum is the product x f */
static bool factored_form(oxp_match *m, const oxp_node *add, int k)
{
    norm n = {0};
    oxp_val scale = OXP_NO_VAL;
    oxp_match_retry(m);
    const oxp_node *product = oxp_match_take(m, add->in[k], &oxp_op_Mul);
    const oxp_node *shift = product ? oxp_match_take(m, add->in[!k], &oxp_op_Sub) : NULL;
    const oxp_node *moved = shift ? oxp_match_take(m, shift->in[1], &oxp_op_Mul) : NULL;
    if (!moved || !oxp_const_of(m->rw->from, shift->in[0])) return false;
    for (int i = 0; i < 2; i++) {
        const oxp_val x = product->in[i], f = product->in[!i];
        const bool shares = moved->in[0] == f || moved->in[1] == f;
        const oxp_val mean = moved->in[0] == f ? moved->in[1] : moved->in[0];
        const oxp_node *average = oxp_producer(m->rw->from, mean);
        if (!shares || !average || average->op != &oxp_op_ReduceMean || average->in[0] != x)
            continue;
        oxp_match_take(m, mean, &oxp_op_ReduceMean);
        const oxp_val inverse = beside_constant(m, f, &oxp_op_Mul, &scale);
        return inverse != OXP_NO_VAL && inverse_deviation(m, inverse, &n) && n.x == x &&
               n.axes == oxp_match_axes(m, average) &&
               becomes_layer_norm(m, &n, scale, shift->in[0]);
    }
    return false;
}

bool oxp_raise_layer_norm(oxp_match *m)
{
    const oxp_node *root = m->root;
    if (root->op == &oxp_op_Add)
        return plain_form(m, true, true) || factored_form(m, root, 0) || factored_form(m, root, 1);
    if (root->op == &oxp_op_Mul) return plain_form(m, true, false) || plain_form(m, false, false);
    return root->op == &oxp_op_Div && plain_form(m, false, false);
}

/* A constant as a value of exactly the given shape: its last axes reshaped, then repeated. */
static oxp_val fill_shape(oxp_rewrite *rw, oxp_val old, const oxp_shape *shape)
{
    if (old == OXP_NO_VAL) return OXP_NO_VAL;
    const oxp_shape *from = oxp_shape_at(rw->from, old);
    oxp_shape aligned = {.rank = shape->rank};
    for (int a = 1; a <= shape->rank; a++)
        aligned.dim[shape->rank - a] = a <= from->rank ? from->dim[from->rank - a] : 1;
    return oxp_b_expand(&rw->b, oxp_b_reshape(&rw->b, oxp_rewrite_val(rw, old), &aligned), shape);
}

oxp_val oxp_emit_layer_norm(oxp_rewrite *rw, const oxp_match *m)
{
    const oxp_shape *x = oxp_match_shape(m, m->in[0]);
    const int axis = (int)m->attrs[0].i;
    const oxp_shape tail = oxp_shape_of(x->rank - axis, x->dim + axis);
    oxp_val in[3] = {oxp_rewrite_val(rw, m->in[0])};
    for (size_t k = 1; k < m->n_in; k++) in[k] = fill_shape(rw, m->in[k], &tail);
    return oxp_emit(&rw->b, m->op, in, m->n_in, m->attrs, m->n_attrs);
}

/* ---- _GroupNorm ---- */

/* Input i of the norm is absent or the constant that changes nothing. */
static bool is_neutral(oxp_match *m, const oxp_node *node, size_t i, double neutral)
{
    return !oxp_node_has(node, i) || oxp_match_is(m, node->in[i], neutral);
}

/* v normalises its input over all axes from 2 on, without scale: that input. */
static oxp_val normalised_groups(oxp_match *m, oxp_val v, double *epsilon)
{
    const oxp_node *node = oxp_match_take(m, v, &oxp_op_LayerNormalization);
    int axis = 2;
    if (node) {
        const int64_t declared = oxp_attr_int(node, "axis", -1);
        axis = (int)(declared < 0 ? declared + oxp_match_shape(m, v)->rank : declared);
    } else {
        node = oxp_match_take(m, v, &oxp_op_InstanceNormalization);
    }
    if (!node || axis != 2 || !is_neutral(m, node, 1, 1.0) || !is_neutral(m, node, 2, 0.0))
        return OXP_NO_VAL;
    *epsilon = oxp_attr_float(node, "epsilon", 1e-5);
    return node->in[0];
}

/* Constant c is one number per channel of x, or one for all. */
static bool fits_channels(const oxp_match *m, oxp_val c, const oxp_shape *x)
{
    if (c == OXP_NO_VAL) return true;
    const oxp_shape *s = oxp_match_shape(m, c);
    const int lead = x->rank - s->rank;
    for (int a = 0; a < s->rank; a++)
        if (s->dim[a] != 1 && !(a + lead == 1 && s->dim[a] == x->dim[1])) return false;
    return lead >= 0;
}

static bool group_form(oxp_match *m, bool scaled, bool shifted)
{
    oxp_val v = m->root->out[0], scale = OXP_NO_VAL, bias = OXP_NO_VAL;
    double epsilon = 1e-5;
    oxp_match_retry(m);
    if (shifted) v = beside_constant(m, v, &oxp_op_Add, &bias);
    if (scaled && v != OXP_NO_VAL) v = beside_constant(m, v, &oxp_op_Mul, &scale);
    const oxp_node *back = oxp_match_take(m, v, &oxp_op_Reshape);
    const oxp_val hat = back ? normalised_groups(m, back->in[0], &epsilon) : OXP_NO_VAL;
    const oxp_node *fold = oxp_match_take(m, hat, &oxp_op_Reshape);
    if (!fold || !oxp_match_like_root(m, fold->in[0])) return false;
    const oxp_shape *x = oxp_match_shape(m, fold->in[0]), *g = oxp_match_shape(m, hat);
    if (x->rank < 2 || g->rank < 3 || g->dim[0] != x->dim[0] || g->dim[1] == 0 ||
        x->dim[1] % g->dim[1] != 0 || !fits_channels(m, scale, x) || !fits_channels(m, bias, x))
        return false;
    m->op = &oxp_op__GroupNorm;
    m->in[0] = fold->in[0];
    m->in[1] = scale;
    m->in[2] = bias;
    m->n_in = 3;
    m->attrs[0] = OXP_INT("groups", g->dim[1]);
    m->attrs[1] = OXP_FLOAT("epsilon", epsilon);
    m->n_attrs = 2;
    return oxp_match_closed(m);
}

bool oxp_raise_group_norm(oxp_match *m)
{
    const oxp_op *op = m->root->op;
    if (op == &oxp_op_Add) return group_form(m, true, true) || group_form(m, false, true);
    return op == &oxp_op_Mul ? group_form(m, true, false)
                             : op == &oxp_op_Reshape && group_form(m, false, false);
}

/* The constant as (C), or C times the number that changes nothing. */
static oxp_val channel_vector(oxp_rewrite *rw, oxp_val old, int64_t channels, double neutral)
{
    const oxp_shape vector = oxp_shape_of(1, &channels);
    if (old == OXP_NO_VAL) return oxp_b_full(&rw->b, &vector, neutral);
    const int64_t n = oxp_shape_elements(oxp_shape_at(rw->from, old));
    const oxp_shape flat = oxp_shape_of(1, &n);
    return oxp_b_expand(&rw->b, oxp_b_reshape(&rw->b, oxp_rewrite_val(rw, old), &flat), &vector);
}

oxp_val oxp_emit_group_norm(oxp_rewrite *rw, const oxp_match *m)
{
    const int64_t channels = oxp_match_shape(m, m->in[0])->dim[1];
    const oxp_val in[3] = {oxp_rewrite_val(rw, m->in[0]),
                           channel_vector(rw, m->in[1], channels, 1.0),
                           channel_vector(rw, m->in[2], channels, 0.0)};
    return oxp_emit(&rw->b, m->op, in, 3, m->attrs, m->n_attrs);
}
