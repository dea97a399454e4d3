/* order.c - re-establishes topological order, and finds names that are made twice, never, or in a
 * circle. A depth-first walk in file order, with a stack of its own: a file that is already sorted
 * keeps its order exactly, and a deep graph cannot exhaust the machine's stack. */
#include "onnx/draft.h"

typedef enum node_state { NODE_NEW, NODE_OPEN, NODE_DONE } node_state;

typedef struct frame {
    uint32_t node;
    size_t next; /* input to look at */
} frame;

typedef struct walk {
    oxp_ctx *ctx;
    const oxp_draft *draft;
    const oxp_strmap *known;
    oxp_strmap makers; /* tensor name -> node */
    unsigned char *state;
    frame *stack;
    size_t depth;
    uint32_t *order;
    size_t n_order;
} walk;

static oxp_status index_makers(walk *w)
{
    for (size_t i = 0; i < w->draft->n_nodes; i++) {
        const oxp_draft_node *node = &w->draft->nodes[i];
        if (oxp_draft_is_constant(node)) continue;
        for (size_t k = 0; k < node->n_out; k++) {
            const char *name = node->out[k];
            if (name[0] == '\0') continue;
            OXP_FAIL_IF(w->ctx,
                        oxp_strmap_get(w->known, name, NULL) ||
                            oxp_strmap_get(&w->makers, name, NULL),
                        OXP_ECORRUPT, "%s '%s' makes tensor '%s', which something else makes too",
                        node->op_type, node->name, name);
            OXP_FAIL_IF(w->ctx, !oxp_strmap_put(&w->makers, name, (uint32_t)i), OXP_ENOMEM,
                        "out of memory");
        }
    }
    return OXP_OK;
}

/* Goes on with the node on top of the stack: up to its next unfinished maker, or to its end. */
static oxp_status step(walk *w)
{
    frame *top = &w->stack[w->depth - 1];
    const oxp_draft_node *node = &w->draft->nodes[top->node];
    while (top->next < node->n_in + node->n_captures) {
        const char *name = node->in[top->next++];
        uint32_t maker;
        if (name[0] == '\0' || oxp_strmap_get(w->known, name, NULL)) continue;
        OXP_FAIL_IF(w->ctx, !oxp_strmap_get(&w->makers, name, &maker), OXP_ECORRUPT,
                    "%s '%s' reads tensor '%s', which nothing in the model makes", node->op_type,
                    node->name, name);
        OXP_FAIL_IF(w->ctx, w->state[maker] == NODE_OPEN, OXP_ECORRUPT,
                    "the graph has a cycle: %s '%s' reads tensor '%s', which depends on it",
                    node->op_type, node->name, name);
        if (w->state[maker] == NODE_DONE) continue;
        w->state[maker] = NODE_OPEN;
        w->stack[w->depth++] = (frame){maker, 0};
        return OXP_OK;
    }
    w->state[top->node] = NODE_DONE;
    w->order[w->n_order++] = top->node;
    w->depth--;
    return OXP_OK;
}

oxp_status oxp_draft_order(oxp_ctx *ctx, const oxp_draft *draft, const oxp_strmap *known,
                           uint32_t **order, size_t *n_order)
{
    walk w = {.ctx = ctx, .draft = draft, .known = known};
    const size_t n = draft->n_nodes;
    oxp_strmap_init(&w.makers, ctx->scratch);
    w.state = OXP_NEW(ctx->scratch, unsigned char, n);
    w.stack = OXP_NEW(ctx->scratch, frame, n);
    w.order = OXP_NEW(ctx->scratch, uint32_t, n);
    OXP_FAIL_IF(ctx, !w.state || !w.stack || !w.order, OXP_ENOMEM, "out of memory");
    OXP_TRY(index_makers(&w));
    for (size_t i = 0; i < n; i++) {
        if (w.state[i] != NODE_NEW || oxp_draft_is_constant(&draft->nodes[i])) continue;
        w.state[i] = NODE_OPEN;
        w.stack[w.depth++] = (frame){(uint32_t)i, 0};
        while (w.depth > 0) OXP_TRY(step(&w));
    }
    *order = w.order;
    *n_order = w.n_order;
    return OXP_OK;
}
