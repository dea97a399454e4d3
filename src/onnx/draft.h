/* draft.h - the model between its records and its graph: one flat list of nodes.
 *
 * Local functions are already inlined, so every node is an operator's; tensors are still names,
 * attributes still records, nodes still in the file's order. Everything lives in the ctx's scratch
 * arena. */
#ifndef OXP_ONNX_DRAFT_H
#define OXP_ONNX_DRAFT_H

#include "ir/op.h"
#include "onnx/schema.h"
#include <string.h>

enum { OXP_OPSET_MIN = 1, OXP_OPSET_MAX = 28 };

typedef struct oxp_draft oxp_draft;

/* A branch or body of a node, with names of its own. */
typedef struct oxp_draft_sub {
    const char *attr; /* of the node */
    const oxp_pb_graph *pb;
    oxp_draft *body;
    const char **in, **out, **init; /* as pb's inputs, outputs and initializers, renamed */
} oxp_draft_sub;

typedef struct oxp_draft_node {
    const char *name; /* the ONNX node's, else its first output's; "call/inner" inside functions */
    const char *op_type, *domain;
    int64_t opset;          /* of the node's domain, where the node was written */
    const char **in, **out; /* tensor names, "" where absent; none absent at the end */
    size_t n_in, n_out;
    size_t n_captures; /* tensors that its branches and bodies read: in `in`, behind its own */
    const oxp_pb_attr **attrs;
    size_t n_attrs;
    oxp_draft_sub *subs;
    size_t n_subs;
} oxp_draft_node;

struct oxp_draft {
    oxp_draft_node *nodes;
    size_t n_nodes, cap_nodes;
    int64_t opset;
};

/* flatten.c: checks the opset and inlines the local functions. OXP_EUNSUPPORTED for other opsets. */
oxp_status oxp_draft_flatten(oxp_ctx *ctx, const oxp_pb_model *model, oxp_draft *out);

/* support.c: one OXP_EUNSUPPORTED that lists every operator, attribute and attribute value that
 * this version lacks; OXP_ECORRUPT for what no version of ONNX allows. */
oxp_status oxp_draft_check_support(oxp_ctx *ctx, const oxp_draft *draft);
/* The same as lines, one per feature, in `arena`: "If (opset 15) at 'a', 'b'". */
oxp_status oxp_draft_lacks(oxp_ctx *ctx, oxp_arena *arena, const oxp_draft *draft,
                           const char ***lacks, size_t *n_lacks);

/* order.c: a topological order, the file's own wherever it is one. `known` are the tensors that no
 * node makes (their values do not matter). Skips Constant nodes. OXP_ECORRUPT for names made twice
 * or not at all, and for cycles. *order has *n_order node indices. */
oxp_status oxp_draft_order(oxp_ctx *ctx, const oxp_draft *draft, const oxp_strmap *known,
                           uint32_t **order, size_t *n_order);

static inline bool oxp_draft_is_constant(const oxp_draft_node *node)
{
    return node->domain[0] == '\0' && strcmp(node->op_type, "Constant") == 0;
}

#endif
