/* verify.c - the law of specialised graphs (graph.h), checked after every pass.
 *
 * A breach is a bug of ours, never of the model, so it is OXP_EINTERNAL and says which node
 * broke which rule. */
#include "ir/op.h"

#include <string.h>

static oxp_status check_value(oxp_ctx *ctx, const oxp_graph *g, oxp_val v, const char *what)
{
    const oxp_value *value = g->values[v];
    int64_t count;
    OXP_FAIL_IF(ctx, !oxp_shape_count(&value->shape, &count), OXP_EINTERNAL,
                "%s %%%u has no concrete shape", what, v);
    OXP_FAIL_IF(ctx, value->dtype != OXP_F32 && value->dtype != OXP_I64 && value->dtype != OXP_BOOL,
                OXP_EINTERNAL, "%s %%%u has dtype %s, not a canonical one", what, v,
                oxp_dtype_name(value->dtype));
    if (value->kind == OXP_VALUE_CONST)
        OXP_FAIL_IF(ctx,
                    !value->constant || !oxp_shape_equal(&value->constant->shape, &value->shape),
                    OXP_EINTERNAL, "constant %%%u disagrees with its tensor", v);
    return OXP_OK;
}

static oxp_status check_infer(oxp_ctx *ctx, const oxp_graph *g, const oxp_node *node)
{
    oxp_dtype *dtype = OXP_NEW(ctx->scratch, oxp_dtype, node->n_out);
    oxp_shape *shape = OXP_NEW(ctx->scratch, oxp_shape, node->n_out);
    OXP_FAIL_IF(ctx, !dtype || !shape, OXP_ENOMEM, "out of memory");
    oxp_infer inf = {ctx, g, node, dtype, shape};
    OXP_TRY(node->op->infer(&inf));
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (node->out[i] == OXP_NO_VAL) continue;
        const oxp_value *value = g->values[node->out[i]];
        char want[OXP_SHAPE_TEXT], got[OXP_SHAPE_TEXT];
        OXP_FAIL_IF(ctx, value->dtype != dtype[i] || !oxp_shape_equal(&value->shape, &shape[i]),
                    OXP_EINTERNAL, "%s '%s' records %s%s but infers %s%s", node->op->name,
                    node->origin, oxp_dtype_name(value->dtype), oxp_shape_text(&value->shape, got),
                    oxp_dtype_name(dtype[i]), oxp_shape_text(&shape[i], want));
    }
    return OXP_OK;
}

static oxp_status check_node(oxp_ctx *ctx, const oxp_graph *g, size_t index, const bool *ready)
{
    const oxp_node *node = g->nodes[index];
    const oxp_op *op = node->op;
    OXP_FAIL_IF(ctx,
                node->n_in < op->min_in || (op->max_in != OXP_VARIADIC && node->n_in > op->max_in),
                OXP_EINTERNAL, "%s '%s' has %u inputs", op->name, node->origin, node->n_in);
    for (uint32_t k = 0; k < node->n_in; k++) {
        const oxp_val v = node->in[k];
        OXP_FAIL_IF(ctx, v == OXP_NO_VAL && k < op->min_in, OXP_EINTERNAL, "%s '%s' lacks input %u",
                    op->name, node->origin, k);
        OXP_FAIL_IF(ctx, v >= g->n_values || (v != OXP_NO_VAL && !ready[v]), OXP_EINTERNAL,
                    "%s '%s' reads %%%u before it is made", op->name, node->origin, v);
    }
    OXP_FAIL_IF(ctx, node->n_out == 0 || node->out[0] == OXP_NO_VAL, OXP_EINTERNAL,
                "%s '%s' has no output", op->name, node->origin);
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] != OXP_NO_VAL)
            OXP_FAIL_IF(ctx, g->values[node->out[k]]->producer != index, OXP_EINTERNAL,
                        "%%%u does not know its producer", node->out[k]);
    return check_infer(ctx, g, node);
}

oxp_status oxp_graph_verify(oxp_ctx *ctx, const oxp_graph *g)
{
    bool *ready = OXP_NEW(ctx->scratch, bool, g->n_values);
    OXP_NOMEM_IF(ctx, ready);
    oxp_strmap names;
    oxp_strmap_init(&names, ctx->scratch);
    for (size_t v = 1; v < g->n_values; v++) {
        const oxp_value *value = g->values[v];
        ready[v] = value->kind != OXP_VALUE_NODE;
        uint32_t other;
        if (!value->name) continue;
        OXP_FAIL_IF(ctx, oxp_strmap_get(&names, value->name, &other), OXP_EINTERNAL,
                    "%%%u and %zu are both named '%s'", other, v, value->name);
        OXP_FAIL_IF(ctx, !oxp_strmap_put(&names, value->name, (uint32_t)v), OXP_ENOMEM,
                    "out of memory");
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        OXP_TRY(check_node(ctx, g, i, ready));
        for (uint32_t k = 0; k < g->nodes[i]->n_out; k++) ready[g->nodes[i]->out[k]] = true;
    }
    for (size_t v = 1; v < g->n_values; v++)
        if (ready[v]) OXP_TRY(check_value(ctx, g, (oxp_val)v, "value"));
    for (size_t i = 0; i < g->n_outputs; i++)
        OXP_FAIL_IF(ctx, g->outputs[i] == OXP_NO_VAL || !ready[g->outputs[i]], OXP_EINTERNAL,
                    "output %zu is not made", i);
    return OXP_OK;
}
