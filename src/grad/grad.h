/* grad.h - reverse mode as graph-to-graph rewriting.
 *
 * oxp_differentiate walks a specialised graph backwards from targets and appends the nodes that
 * compute adjoints, only those that lie between a target and what is asked for. What an adjoint
 * *is* depends on the rules: with none it is the derivative; a rule set (guided backprop, LRP,
 * DeepLIFT) replaces the rule of the nodes it matches. Un-broadcasting, accumulation and
 * provenance are done here, once. */
#ifndef OXP_GRAD_GRAD_H
#define OXP_GRAD_GRAD_H

#include "ops/build.h"

/* What a rule may know about the node at hand, beyond what oxp_grad shows. */
typedef struct oxp_rule_context {
    oxp_build *b;
    oxp_grad *grad; /* node, dy, wants, dx */
    const oxp_node *node;
    /* a linear layer with no linear layer between it and what is asked for */
    bool first_layer;
    const oxp_val *twin; /* value -> the same value in a second (baseline) run, or NULL */
    const void *params;  /* of the rule set */
} oxp_rule_context;

typedef struct oxp_rule {
    const char *name; /* for the report: "guided", "epsilon" */
    bool (*match)(const oxp_rule_context *rc);
    /* fills rc->grad->dx through rc->b; NULL: the rules see the node's parts instead */
    oxp_status (*apply)(oxp_rule_context *rc);
} oxp_rule;

typedef struct oxp_rule_set {
    const oxp_rule *rules; /* the first that matches wins */
    size_t n_rules;
    const void *params;
    const oxp_val *twin;
} oxp_rule_set;

/* Which node was touched by which rule, in backward order. */
typedef struct oxp_touch {
    const char *rule, *op, *origin;
} oxp_touch;

typedef struct oxp_diff {
    /* in */
    const oxp_val *target; /* values in the graph */
    const oxp_val *seed;   /* their adjoints to start from, of the same shapes */
    size_t n_target;
    const oxp_val *wrt; /* values whose adjoints are asked for: floats */
    size_t n_wrt;
    const oxp_rule_set *rules; /* NULL: the derivative */
    /* out, in the graph's arena */
    oxp_val *adjoint; /* [n_wrt]; OXP_NO_VAL: structurally zero */
    oxp_touch *touched;
    size_t n_touched;
    bool stopped; /* some path ended at a non-differentiable operator */
} oxp_diff;

oxp_status oxp_differentiate(oxp_build *b, oxp_diff *diff);

/* Only the first input varies. */
static inline bool oxp_grad_wants_first(const oxp_grad *g)
{
    for (uint32_t k = 0; k < g->node->n_in; k++)
        if (g->wants[k] != (k == 0)) return false;
    return true;
}

/* The derivative as a rule may use it: the operator's own `grad`, or that of its expansion. */
oxp_status oxp_gradient_of(oxp_grad *g);

/* Does v depend on any of these? Marks over all values, in `arena`; NULL: out of memory. */
bool *oxp_reach_down(const oxp_graph *g, oxp_arena *arena, const oxp_val *from, size_t n);
/* Does `to` depend on v? Likewise. */
bool *oxp_reach_up(const oxp_graph *g, oxp_arena *arena, oxp_val to);

#endif
