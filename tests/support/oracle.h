/*
 * The oracle for tests: every node of a graph by its `ref`, in double. Header only, like eval.h, so that it
 * serves any room that has operators.
 */
#ifndef OXP_TESTS_SUPPORT_ORACLE_H
#define OXP_TESTS_SUPPORT_ORACLE_H

#include "ops/build.h"

/* values[v]: dense doubles of value v; those of the node's inputs are there, those of its outputs are
 * filled in. */
static inline oxp_status oxp_oracle_node(oxp_ctx *ctx, oxp_arena *scratch, const oxp_graph *g,
                                         const oxp_node *node, double *const *values)
{
    const size_t n_in = node->n_in + 1, n_out = node->n_out + 1;
    const double **in = OXP_NEW(scratch, const double *, n_in);
    double **out = OXP_NEW(scratch, double *, n_out);
    oxp_shape *in_shape = OXP_NEW(scratch, oxp_shape, n_in);
    oxp_shape *out_shape = OXP_NEW(scratch, oxp_shape, n_out);
    oxp_dtype *in_dtype = OXP_NEW(scratch, oxp_dtype, n_in);
    oxp_dtype *out_dtype = OXP_NEW(scratch, oxp_dtype, n_out);
    OXP_FAIL_IF(ctx, !in || !out || !in_shape || !out_shape || !in_dtype || !out_dtype, OXP_ENOMEM,
                "out of memory");
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (node->in[k] == OXP_NO_VAL) continue;
        in[k] = values[node->in[k]];
        in_shape[k] = *oxp_shape_at(g, node->in[k]);
        in_dtype[k] = oxp_value_of(g, node->in[k])->dtype;
    }
    for (uint32_t k = 0; k < node->n_out; k++) {
        if (node->out[k] == OXP_NO_VAL) continue;
        out[k] = values[node->out[k]];
        out_shape[k] = *oxp_shape_at(g, node->out[k]);
        out_dtype[k] = oxp_value_of(g, node->out[k])->dtype;
    }
    const oxp_call call = {ctx, scratch, node, in, in_shape, in_dtype, out, out_shape, out_dtype};
    return oxp_node_is_empty(g, node) ? OXP_OK : node->op->ref(&call);
}

#endif
