/* boundary.c - see boundary.h. Works on the model graph, where dtypes of inner values are not
 * yet known: what counts is the operators. */
#include "explain/boundary.h"

#include "ops/ops.h"

/* Operators through which indices stay indices. */
static bool carries_indices(const oxp_node *node)
{
    const oxp_op *op = node->op;
    if (op == &oxp_op_Cast) return oxp_dtype_is_int((oxp_dtype)oxp_attr_int(node, "to", 0));
    return (op->flags & OXP_OP_IDENTITY) || op == &oxp_op_Reshape || op == &oxp_op_Squeeze ||
           op == &oxp_op_Unsqueeze || op == &oxp_op_Flatten || op == &oxp_op_Slice ||
           op == &oxp_op_Expand || op == &oxp_op_Transpose || op == &oxp_op_Clip;
}

static bool makes_floats(const oxp_node *node)
{
    return node->op == &oxp_op_DequantizeLinear ||
           (node->op == &oxp_op_Cast && oxp_dtype_is_float((oxp_dtype)oxp_attr_int(node, "to", 0)));
}

/* The boundary behind an integer input; *embedded: it is an embedding. */
static oxp_val find_boundary(oxp_ctx *ctx, const oxp_graph *model, oxp_val input, bool *embedded)
{
    bool *derived = OXP_NEW(ctx->scratch, bool, model->n_values);
    oxp_val cast = OXP_NO_VAL;
    *embedded = false;
    if (!derived) return OXP_NO_VAL;
    derived[input] = true;
    for (size_t i = 0; i < model->n_nodes; i++) {
        const oxp_node *node = model->nodes[i];
        if (node->op == &oxp_op_Gather && node->n_in > 1 && derived[node->in[1]] &&
            !derived[node->in[0]]) {
            *embedded = true;
            return node->out[0];
        }
        if (node->n_in == 0 || !derived[node->in[0]]) continue;
        if (carries_indices(node))
            derived[node->out[0]] = true;
        else if (cast == OXP_NO_VAL && makes_floats(node))
            cast = node->out[0];
    }
    return cast;
}

oxp_status oxp_default_wrt(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *model, oxp_val **wrt,
                           size_t *n)
{
    bool *is_cast = OXP_NEW(ctx->scratch, bool, model->n_inputs + 1), any_better = false;
    *wrt = OXP_NEW(arena, oxp_val, model->n_inputs + 1);
    OXP_FAIL_IF(ctx, !*wrt || !is_cast, OXP_ENOMEM, "out of memory");
    size_t found = 0;
    for (size_t i = 0; i < model->n_inputs; i++) {
        const oxp_val input = model->inputs[i];
        oxp_val at = input;
        bool embedded = true;
        if (!oxp_dtype_is_float(oxp_value_of(model, input)->dtype))
            at = find_boundary(ctx, model, input, &embedded);
        if (at == OXP_NO_VAL) continue;
        is_cast[found] = !embedded;
        any_better = any_better || embedded;
        (*wrt)[found++] = at;
    }
    *n = 0;
    for (size_t i = 0; i < found; i++)
        if (!is_cast[i] || !any_better) (*wrt)[(*n)++] = (*wrt)[i];
    OXP_FAIL_IF(ctx, *n == 0, OXP_EINVAL,
                "no input of the model is differentiable: name a float tensor with --wrt");
    return OXP_OK;
}

bool oxp_is_embedding_index(oxp_ctx *ctx, const oxp_graph *model, oxp_val input)
{
    bool embedded = false;
    return !oxp_dtype_is_float(oxp_value_of(model, input)->dtype) &&
           find_boundary(ctx, model, input, &embedded) != OXP_NO_VAL && embedded;
}
