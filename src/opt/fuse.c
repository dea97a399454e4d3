/* fuse.c - fewer passes over memory in the joint graph.
 *
 *   Conv | MatMul | Gemm (+ constant bias) (+ residual) (+ activation)  ->  _Conv | _MatMul
 *   _UnaryGrad(v, Sum(dy...))                                           ->  _UnaryGrad(v, dy...)
 *
 * A chain is followed forward from the contraction as long as its value has a single reader. The
 * fused node is emitted where the last absorbed node stood, so every operand exists by then. */
#include "opt/rewrite.h"

#include "ops/fn.h"
#include "ops/infer.h"
#include <string.h>

typedef struct chain {
    const oxp_node *root;
    oxp_val bias, residual; /* old values */
    const oxp_node *act;    /* the activation, or NULL */
    oxp_val last;           /* old value that the fused node makes */
} chain;

/* Of matrices: the general form has no vectors. */
static bool is_matmul(const oxp_graph *g, const oxp_node *n)
{
    if (n->op != &oxp_op_MatMul) return n->op == &oxp_op_Gemm;
    return oxp_shape_at(g, n->in[0])->rank > 1 && oxp_shape_at(g, n->in[1])->rank > 1;
}

/* Activations that the kernels apply to their result while it is in registers. */
static bool fusable_act(const oxp_node *n)
{
    static const oxp_fn allowed[] = {OXP_FN_RELU,      OXP_FN_LEAKY_RELU, OXP_FN_ELU,  OXP_FN_CLIP,
                                     OXP_FN_SIGMOID,   OXP_FN_TANH,       OXP_FN_SILU, OXP_FN_GELU,
                                     OXP_FN_GELU_TANH, OXP_FN_HARD_SWISH};
    const oxp_fn fn = oxp_fn_find(n->op->name);
    for (size_t i = 0; i < OXP_COUNT(allowed); i++)
        if (fn == allowed[i]) return true;
    return false;
}

/* v is a constant that adds one number per output channel: (K,1,1..) or (1,K,1..) for a
 * convolution, (N) for a matmul. */
static bool is_channel_bias(const oxp_rewrite *rw, const oxp_node *root, oxp_val v)
{
    if (!oxp_const_of(rw->from, v)) return false;
    const oxp_shape *y = oxp_shape_at(rw->from, root->out[0]), *s = oxp_shape_at(rw->from, v);
    const int axis = root->op == &oxp_op_Conv ? 1 : y->rank - 1;
    const int lead = y->rank - s->rank;
    if (lead < 0 || axis < lead || s->dim[axis - lead] != y->dim[axis]) return false;
    return oxp_shape_elements(s) == y->dim[axis];
}

static bool absorb_add(const oxp_rewrite *rw, chain *c, const oxp_node *add)
{
    const oxp_val other = add->in[0] == c->last ? add->in[1] : add->in[0];
    if (other == c->last || c->act || c->residual) return false;
    if (!c->bias && is_channel_bias(rw, c->root, other)) {
        c->bias = other;
        return true;
    }
    if (!oxp_shape_equal(oxp_shape_at(rw->from, other), oxp_shape_at(rw->from, c->last)) ||
        oxp_const_of(rw->from, other))
        return false;
    c->residual = other;
    return true;
}

static chain follow(const oxp_rewrite *rw, const oxp_node *root)
{
    chain c = {.root = root, .last = root->out[0]};
    if (oxp_node_has(root, 2)) c.bias = root->in[2];
    if (root->op == &oxp_op_Gemm && c.bias &&
        (!is_channel_bias(rw, root, c.bias) || oxp_attr_float(root, "beta", 1.0) < 1.0 ||
         oxp_attr_float(root, "beta", 1.0) > 1.0))
        return c;
    while (oxp_rewrite_private(rw, c.last) && !c.act) {
        const oxp_node *next = rw->user[c.last];
        if (rw->absorbed[rw->from->values[next->out[0]]->producer]) break;
        if (fusable_act(next))
            c.act = next;
        else if (next->op != &oxp_op_Add || !absorb_add(rw, &c, next))
            break;
        c.last = next->out[0];
    }
    return c;
}

/* Bias in the form the fused operators take: (K). */
static oxp_val bias_vector(oxp_rewrite *rw, oxp_val old)
{
    if (old == OXP_NO_VAL) return OXP_NO_VAL;
    const int64_t n = oxp_shape_elements(oxp_shape_at(rw->from, old));
    const oxp_shape flat = oxp_shape_of(1, &n);
    return oxp_b_reshape(&rw->b, oxp_rewrite_val(rw, old), &flat);
}

static oxp_status emit_chain(oxp_rewrite *rw, const chain *c)
{
    const oxp_node *root = c->root;
    const bool conv = root->op == &oxp_op_Conv;
    oxp_attr *attrs = OXP_NEW(rw->pass->ctx->scratch, oxp_attr, root->n_attrs + 8);
    OXP_NOMEM_IF(rw->pass->ctx, attrs);
    size_t n = 0;
    for (size_t i = 0; conv && i < root->n_attrs; i++) attrs[n++] = root->attrs[i];
    if (root->op == &oxp_op_Gemm) {
        attrs[n++] = OXP_INT("trans_a", oxp_attr_int(root, "transA", 0));
        attrs[n++] = OXP_INT("trans_b", oxp_attr_int(root, "transB", 0));
        attrs[n++] = OXP_FLOAT("scale", oxp_attr_float(root, "alpha", 1.0));
    }
    if (c->act) {
        double alpha, beta;
        attrs[n++] = OXP_STR("fn", oxp_fn_name(oxp_node_fn(c->act, &alpha, &beta)));
        attrs[n++] = OXP_FLOAT("alpha", alpha);
        attrs[n++] = OXP_FLOAT("beta", beta);
    }
    const oxp_val in[4] = {oxp_rewrite_val(rw, root->in[0]), oxp_rewrite_val(rw, root->in[1]),
                           bias_vector(rw, c->bias), oxp_rewrite_val(rw, c->residual)};
    rw->b.origin = root->origin;
    rw->b.flags = root->flags;
    const oxp_op *op = conv ? &oxp_op__Conv : &oxp_op__MatMul;
    oxp_rewrite_set(rw, c->last,
                    oxp_emit(&rw->b, op, in,
                             c->residual ? 4
                             : c->bias   ? 3
                                         : 2,
                             attrs, n));
    return rw->b.status;
}

/* A sum of adjoints that only this activation gradient reads. */
static const oxp_node *private_sum(const oxp_rewrite *rw, const oxp_node *grad)
{
    if (grad->op != &oxp_op__UnaryGrad || grad->n_in != 2 || !oxp_rewrite_private(rw, grad->in[1]))
        return NULL;
    const oxp_node *sum = oxp_producer(rw->from, grad->in[1]);
    if (!sum || (sum->op != &oxp_op_Add && sum->op != &oxp_op_Sum)) return NULL;
    for (uint32_t k = 0; k < sum->n_in; k++)
        if (!oxp_shape_equal(oxp_shape_at(rw->from, sum->in[k]),
                             oxp_shape_at(rw->from, grad->in[1])))
            return NULL;
    return sum;
}

static oxp_status emit_summed_grad(oxp_rewrite *rw, const oxp_node *grad, const oxp_node *sum)
{
    oxp_val *in = OXP_NEW(rw->pass->ctx->scratch, oxp_val, sum->n_in + 1);
    OXP_NOMEM_IF(rw->pass->ctx, in);
    in[0] = oxp_rewrite_val(rw, grad->in[0]);
    for (uint32_t k = 0; k < sum->n_in; k++) in[k + 1] = oxp_rewrite_val(rw, sum->in[k]);
    rw->b.origin = grad->origin;
    rw->b.flags = grad->flags;
    oxp_rewrite_set(rw, grad->out[0],
                    oxp_emit(&rw->b, grad->op, in, sum->n_in + 1, grad->attrs, grad->n_attrs));
    return rw->b.status;
}

/* chains[i]: the chain that ends at node i (root NULL: none); sums[i]: the sum that node i takes
 * in. What they absorb is marked. */
static void find(oxp_rewrite *rw, chain *chains, const oxp_node **sums)
{
    const oxp_graph *g = rw->from;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i], *sum;
        if (!rw->live[node->out[0]] || rw->absorbed[i]) continue;
        if (node->op == &oxp_op_Conv || is_matmul(g, node)) {
            const chain c = follow(rw, node);
            if (c.last == node->out[0]) continue;
            for (oxp_val v = node->out[0]; v != c.last; v = rw->user[v]->out[0])
                rw->absorbed[g->values[v]->producer] = true;
            const uint32_t end = g->values[c.last]->producer;
            rw->absorbed[end] = true;
            chains[end] = c;
        } else if ((sum = private_sum(rw, node)) != NULL &&
                   !rw->absorbed[g->values[sum->out[0]]->producer]) {
            rw->absorbed[g->values[sum->out[0]]->producer] = true;
            sums[i] = sum;
        }
    }
}

oxp_status oxp_opt_fuse(oxp_pass *pass)
{
    oxp_rewrite rw;
    OXP_TRY(oxp_rewrite_begin(&rw, pass));
    chain *chains = OXP_NEW(pass->ctx->scratch, chain, pass->in->n_nodes + 1);
    const oxp_node **sums = OXP_NEW(pass->ctx->scratch, const oxp_node *, pass->in->n_nodes + 1);
    OXP_FAIL_IF(pass->ctx, !chains || !sums, OXP_ENOMEM, "out of memory");
    find(&rw, chains, sums);
    for (size_t i = 0; i < pass->in->n_nodes; i++) {
        const oxp_node *node = pass->in->nodes[i];
        if (chains[i].root)
            OXP_TRY(emit_chain(&rw, &chains[i]));
        else if (!oxp_rewrite_live(&rw, node) || rw.absorbed[i])
            continue;
        else if (sums[i])
            OXP_TRY(emit_summed_grad(&rw, node, sums[i]));
        else
            OXP_TRY(oxp_rewrite_copy(&rw, node));
    }
    return oxp_rewrite_end(&rw);
}
