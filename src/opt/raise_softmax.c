/* raise_softmax.c - Softmax and LogSoftmax from exponentials.
 *
 *   Softmax     e / sum e                        e = exp(x - max x) or exp(x)
 *   LogSoftmax  log(softmax x)
 *               z - log sum e^z              z = x - max x or x
 *               x - (max x + log sum e^(x - max x))
 *
 * over one axis, or over all axes from one on (attribute `span`). */
#include "opt/raise.h"

#include "ops/infer.h"

/* v = x - max x over the axes: x, else OXP_NO_VAL. `max` (may be NULL) is the value max x. */
static oxp_val without_max(oxp_match *m, oxp_val v, uint32_t axes, oxp_val *max)
{
    const size_t mark = m->n_parts;
    const oxp_node *sub = oxp_match_take(m, v, &oxp_op_Sub);
    const oxp_node *top = sub ? oxp_match_take(m, sub->in[1], &oxp_op_ReduceMax) : NULL;
    if (!top || top->in[0] != sub->in[0] || oxp_match_axes(m, top) != axes) {
        m->n_parts = mark;
        return OXP_NO_VAL;
    }
    if (max) *max = sub->in[1];
    return sub->in[0];
}

/* v = sum e^z over the axes, kept as 1 */
static bool sum_of_exp(oxp_match *m, oxp_val v, oxp_val *e, oxp_val *z, uint32_t *axes)
{
    const oxp_node *sum = oxp_match_take(m, v, &oxp_op_ReduceSum);
    const oxp_node *exponential = sum ? oxp_match_take(m, sum->in[0], &oxp_op_Exp) : NULL;
    if (!exponential) return false;
    *e = exponential->out[0];
    *z = exponential->in[0];
    *axes = oxp_match_axes(m, sum);
    return *axes != 0;
}

static bool becomes(oxp_match *m, const oxp_op *op, oxp_val x, uint32_t axes)
{
    const int rank = oxp_match_shape(m, x)->rank;
    int axis = 0;
    while (!((axes >> axis) & 1u)) axis++;
    const bool single = axes == 1u << axis;
    if (!single && oxp_match_trailing(axes, rank) < 0) return false;
    m->op = op;
    m->in[0] = x;
    m->n_in = 1;
    m->attrs[0] = OXP_INT("axis", axis);
    m->attrs[1] = OXP_INT("span", 1);
    m->n_attrs = single ? 1 : 2;
    return oxp_match_like_root(m, x) && oxp_match_closed(m);
}

/* e / sum e, or e times its reciprocal */
static bool share_of_sum(oxp_match *m, oxp_val e, oxp_val divisor, bool subtracts_max)
{
    oxp_val found, z;
    uint32_t axes;
    oxp_match_retry(m);
    if (m->root->op == &oxp_op_Mul) {
        const oxp_node *reciprocal = oxp_match_take(m, divisor, &oxp_op_Reciprocal);
        if (!reciprocal) return false;
        divisor = reciprocal->in[0];
    }
    if (!sum_of_exp(m, divisor, &found, &z, &axes) || found != e) return false;
    const oxp_val x = subtracts_max ? without_max(m, z, axes, NULL) : z;
    return x != OXP_NO_VAL && becomes(m, &oxp_op_Softmax, x, axes);
}

bool oxp_raise_softmax(oxp_match *m)
{
    const oxp_node *root = m->root;
    if (root->op != &oxp_op_Div && root->op != &oxp_op_Mul) return false;
    for (int swap = 0; swap <= (root->op == &oxp_op_Mul); swap++)
        for (int plain = 0; plain < 2; plain++)
            if (share_of_sum(m, root->in[swap], root->in[!swap], !plain)) return true;
    return false;
}

/* log(softmax x) */
static bool log_of_softmax(oxp_match *m)
{
    const oxp_node *softmax = oxp_match_take(m, m->root->in[0], &oxp_op_Softmax);
    if (!softmax || softmax->n_attrs > OXP_COUNT(m->attrs)) return false;
    m->op = &oxp_op_LogSoftmax;
    m->in[0] = softmax->in[0];
    m->n_in = 1;
    for (; m->n_attrs < softmax->n_attrs; m->n_attrs++)
        m->attrs[m->n_attrs] = softmax->attrs[m->n_attrs];
    return oxp_match_closed(m);
}

/* z - log sum e^z, where z = x - max x or x itself */
static bool minus_log_sum(oxp_match *m, bool subtracts_max)
{
    oxp_val e, z;
    uint32_t axes;
    oxp_match_retry(m);
    const oxp_node *log = oxp_match_take(m, m->root->in[1], &oxp_op_Log);
    if (!log || !sum_of_exp(m, log->in[0], &e, &z, &axes) || z != m->root->in[0]) return false;
    const oxp_val x = subtracts_max ? without_max(m, z, axes, NULL) : z;
    return x != OXP_NO_VAL && becomes(m, &oxp_op_LogSoftmax, x, axes);
}

/* x - (max x + log sum e^(x - max x)); the sum's operands in either order */
static bool minus_log_sum_exp(oxp_match *m, int k)
{
    oxp_val e, z, max = OXP_NO_VAL;
    uint32_t axes;
    oxp_match_retry(m);
    const oxp_node *add = oxp_match_take(m, m->root->in[1], &oxp_op_Add);
    const oxp_node *log = add ? oxp_match_take(m, add->in[k], &oxp_op_Log) : NULL;
    if (!log || !sum_of_exp(m, log->in[0], &e, &z, &axes)) return false;
    const oxp_val x = without_max(m, z, axes, &max);
    return x != OXP_NO_VAL && x == m->root->in[0] && add->in[!k] == max &&
           becomes(m, &oxp_op_LogSoftmax, x, axes);
}

bool oxp_raise_log_softmax(oxp_match *m)
{
    if (m->root->op == &oxp_op_Log) return log_of_softmax(m);
    return m->root->op == &oxp_op_Sub && (minus_log_sum(m, true) || minus_log_sum(m, false) ||
                                          minus_log_sum_exp(m, 0) || minus_log_sum_exp(m, 1));
}
