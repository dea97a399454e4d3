/* raise_attention.c - the core of attention: softmax(scale q k' + mask) v over the last two axes.
 *
 * The mask may be several, added one after the other (a bias of positions, a mask). The scale may be a product or a quotient, applied to the scores, to q, to k or to several of
 * them. k comes transposed, often in the same Transpose that splits the heads, (N,T,heads,d) ->
 * (N,heads,d,T); the composite wants (N,heads,T,d), so its k is that Transpose with the last two
 * axes of the result exchanged. Keys and values must depend on the input: a product with constant
 * weights is a linear layer, whatever follows it. Attention maps that somebody reads or keeps leave
 * the group open: it stays in primitives. */
#include "opt/raise.h"

#include "ops/infer.h"

enum { MAX_MASKS = 2 };

/* Strips products and quotients by numbers from v while nobody else reads it; *scale takes them. */
static oxp_val unscaled(oxp_match *m, oxp_val v, double *scale)
{
    for (;;) {
        const oxp_node *node = oxp_producer(m->rw->from, v);
        double number;
        if (!node || (node->op != &oxp_op_Mul && node->op != &oxp_op_Div)) return v;
        const oxp_val inner = oxp_match_beside_number(m, node, &number);
        if (inner == OXP_NO_VAL || !(number > 0.0) || oxp_match_shape(m, inner)->rank < 2 ||
            !oxp_shape_equal(oxp_match_shape(m, inner), oxp_match_shape(m, v)) ||
            !oxp_match_take_private(m, v, node->op))
            return v;
        *scale *= node->op == &oxp_op_Mul ? number : 1.0 / number;
        v = inner;
    }
}

/* The scores before the softmax as scale q k' (+ masks, of which *n were found so far): the MatMul. */
static const oxp_node *scores(oxp_match *m, oxp_val v, double *scale, oxp_val masks[MAX_MASKS],
                              size_t *n)
{
    const size_t mark = m->n_parts, found = *n;
    *scale = 1.0;
    const oxp_node *product = oxp_match_take(m, unscaled(m, v, scale), &oxp_op_MatMul);
    if (product) return product;
    m->n_parts = mark;
    const oxp_node *add = found < MAX_MASKS ? oxp_match_take(m, v, &oxp_op_Add) : NULL;
    for (int k = 0; add && k < 2; k++) {
        const size_t parts = m->n_parts;
        masks[found] = add->in[!k];
        *n = found + 1;
        product = scores(m, add->in[k], scale, masks, n);
        if (product && oxp_shape_equal(oxp_match_shape(m, product->out[0]), oxp_match_shape(m, v)))
            return product;
        m->n_parts = parts;
    }
    *n = found;
    return NULL;
}

/* Transposed keys kt (..., d, T): their source, and in m->perm how to make (..., T, d) of it. */
static oxp_val keys(oxp_match *m, oxp_val kt, double *scale)
{
    const int rank = oxp_match_shape(m, kt)->rank;
    kt = unscaled(m, kt, scale);
    const oxp_node *transpose = oxp_producer(m->rw->from, kt);
    if (transpose && transpose->op != &oxp_op_Transpose) transpose = NULL;
    size_t n = 0;
    const int64_t *perm = transpose ? oxp_attr_ints(transpose, "perm", &n) : NULL;
    for (int a = 0; a < rank; a++)
        m->perm[a] = n == (size_t)rank ? perm[a] : transpose ? rank - 1 - a : a;
    const int64_t last = m->perm[rank - 1];
    m->perm[rank - 1] = m->perm[rank - 2];
    m->perm[rank - 2] = last;
    if (!transpose) return kt;
    if (!oxp_match_take_private(m, kt, &oxp_op_Transpose)) return transpose->in[0];
    return unscaled(m, transpose->in[0], scale);
}

/* A float of rank 2 or more, given the operator in which it is a factor. */
static bool is_matrix(const oxp_match *m, oxp_val v)
{
    return oxp_match_shape(m, v)->rank >= 2 && oxp_value_of(m->rw->from, v)->dtype == OXP_F32;
}

static bool over_last_axis(const oxp_match *m, const oxp_node *softmax)
{
    const int rank = oxp_match_shape(m, softmax->in[0])->rank;
    const int64_t axis = oxp_attr_int(softmax, "axis", oxp_attr_int(softmax, "span", 0) ? 1 : -1);
    return axis == -1 || axis == rank - 1;
}

bool oxp_raise_attention(oxp_match *m)
{
    if (m->root->op != &oxp_op_MatMul) return false;
    const oxp_node *softmax = oxp_match_take(m, m->root->in[0], &oxp_op_Softmax);
    const oxp_val v = m->root->in[1];
    double scale;
    oxp_val masks[MAX_MASKS];
    size_t n_masks = 0;
    if (!softmax || !over_last_axis(m, softmax) || !is_matrix(m, v)) return false;
    const oxp_node *product = scores(m, softmax->in[0], &scale, masks, &n_masks);
    if (!product || !is_matrix(m, product->in[0]) || !is_matrix(m, product->in[1])) return false;
    if (oxp_const_of(m->rw->from, v) || oxp_const_of(m->rw->from, product->in[1])) return false;
    m->op = &oxp_op__Attention;
    m->in[0] = unscaled(m, product->in[0], &scale);
    m->in[1] = keys(m, product->in[1], &scale);
    m->in[2] = v;
    for (size_t k = 0; k < n_masks; k++) m->in[3 + k] = masks[k];
    m->n_in = 3 + n_masks;
    m->attrs[0] = OXP_FLOAT("scale", scale);
    m->n_attrs = 1;
    return !oxp_const_of(m->rw->from, m->in[1]) && oxp_match_closed(m);
}

oxp_val oxp_emit_attention(oxp_rewrite *rw, const oxp_match *m)
{
    oxp_val in[3 + MAX_MASKS];
    for (size_t k = 0; k < m->n_in; k++) in[k] = oxp_rewrite_val(rw, m->in[k]);
    in[1] = oxp_b_transpose(&rw->b, in[1], m->perm);
    if (m->n_in == 5) in[3] = oxp_b_add(&rw->b, in[4], in[3]);
    return oxp_emit(&rw->b, m->op, in, m->n_in < 4 ? m->n_in : 4, m->attrs, m->n_attrs);
}
