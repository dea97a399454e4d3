/*
 * Evaluation without an executor, for tests of rooms left of exec/: a graph whose inputs are given
 * is emitted again with the inputs as constants, so that folding computes every node with its
 * `ref`.
 */
#ifndef OXP_TESTS_SUPPORT_EVAL_H
#define OXP_TESTS_SUPPORT_EVAL_H

#include "ops/build.h"
#include "ops/ops.h"

/* values[v]: the constant that value v of g becomes; inputs in the order of g->inputs. */
static oxp_status oxp_test_eval(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g,
                                const oxp_tensor *inputs, const oxp_tensor **values)
{
    oxp_build b;
    oxp_graph *to = oxp_graph_new(arena);
    oxp_val *map = OXP_NEW(arena, oxp_val, g->n_values);
    OXP_FAIL_IF(ctx, !to || !map, OXP_ENOMEM, "out of memory");
    oxp_build_init(&b, ctx, to);
    for (size_t i = 0; i < g->n_inputs; i++)
        map[g->inputs[i]] = oxp_b_const(&b, oxp_value_of(g, g->inputs[i])->dtype, &inputs[i]);
    for (size_t v = 1; v < g->n_values; v++)
        if (g->values[v]->kind == OXP_VALUE_CONST)
            map[v] = oxp_b_const(&b, g->values[v]->dtype, g->values[v]->constant);
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        oxp_val *in = OXP_NEW(arena, oxp_val, node->n_in + 1),
                *out = OXP_NEW(arena, oxp_val, node->n_out);
        OXP_FAIL_IF(ctx, !in || !out, OXP_ENOMEM, "out of memory");
        for (uint32_t k = 0; k < node->n_in; k++) in[k] = map[node->in[k]];
        OXP_TRY(oxp_emit_multi(&b, node->op, in, node->n_in, node->attrs, node->n_attrs,
                               node->n_out, out));
        for (uint32_t k = 0; k < node->n_out; k++) {
            OXP_FAIL_IF(ctx, !oxp_value_of(to, out[k])->constant, OXP_EINTERNAL, "%s has no ref",
                        node->op->name);
            map[node->out[k]] = out[k];
        }
    }
    for (size_t v = 1; v < g->n_values; v++)
        values[v] = map[v] ? oxp_value_of(to, map[v])->constant : NULL;
    return b.status;
}

#endif
