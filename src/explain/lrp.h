/* lrp.h - relevance propagation, shared by its files:
 *
 *   lrp.c          the methods lrp, deep-taylor and excitation-backprop: which rule where
 *   lrp_rules.c    the rules of layers with weights
 *   lrp_blocks.c   everything else: sums, activations, products, attention, normalisation
 *
 * A rule gets the relevance R of a node's output as the node's adjoint and leaves the relevance of
 * its inputs as theirs. */
#ifndef OXP_EXPLAIN_LRP_H
#define OXP_EXPLAIN_LRP_H

#include "explain/method.h"

typedef enum oxp_lrp_kind {
    OXP_LRP_ZERO,
    OXP_LRP_EPSILON,
    OXP_LRP_NORM,
    OXP_LRP_GAMMA,
    OXP_LRP_ZPLUS,
    OXP_LRP_ALPHA_BETA,
    OXP_LRP_ZBOX,
    OXP_LRP_W2,
    OXP_LRP_FLAT,
    OXP_LRP_PASS,
    OXP_LRP_KINDS
} oxp_lrp_kind;

typedef struct oxp_lrp_rule {
    oxp_lrp_kind kind;
    double a, b; /* epsilon; gamma; alpha and beta */
} oxp_lrp_rule;

/* The rule of the layers whose node or output is called so. */
typedef struct oxp_lrp_named {
    const char *pattern;
    oxp_lrp_rule rule;
} oxp_lrp_named;

typedef enum oxp_lrp_attention {
    OXP_LRP_ATTNLRP, /* both factors of a product share its relevance */
    OXP_LRP_CP,      /* attention weights and gates are constants */
    OXP_LRP_REFUSE
} oxp_lrp_attention;

typedef struct oxp_lrp {
    const char *method;
    oxp_lrp_rule first_conv, first_dense, conv, dense;
    const oxp_lrp_named *named; /* before all others, the first that fits */
    size_t n_named;
    double stabiliser;
    double beta_smooth;     /* Relu: R sigmoid(beta x); 0: R */
    bool zero_bias;         /* biases take no part in denominators */
    bool captum;            /* gamma and alpha-beta in Captum's simple form */
    const char *low, *high; /* of zbox: "auto", a number, or one per channel */
    oxp_lrp_attention attention;
    /* a bias added by a node of its own: by value, the constant and the sum */
    size_t n_values;
    const oxp_val *bias_of, *sum_of;
} oxp_lrp;

/* rc->params of every rule set is an oxp_lrp. */

/* Finds the biases that are added by Add nodes after a product with constant weights. */
oxp_status oxp_lrp_find_biases(const oxp_task *t, oxp_lrp *lrp);
/* Is the layer's node or its output, with or without the bias behind it, called like this? */
bool oxp_lrp_is_called(const oxp_lrp *lrp, const oxp_graph *g, const oxp_node *node,
                       const char *pattern);
/* The rule of this node, NULL when it is not a layer with constant weights. */
const oxp_lrp_rule *oxp_lrp_rule_of(const oxp_rule_context *rc);
oxp_status oxp_lrp_apply_layer(oxp_rule_context *rc);

/* Rules for what has no weights of its own, in the order to try. */
#define OXP_LRP_BLOCKS 12
extern const oxp_rule oxp_lrp_blocks[OXP_LRP_BLOCKS];

/* R / (z + epsilon sign z), sign(0) = +1; epsilon 0: nothing where z is 0. */
oxp_val oxp_lrp_share(oxp_build *b, oxp_val relevance, oxp_val z, double epsilon);
/* R_x = x . J' (R / stab(factor z)) for the inputs that are wanted and not held constant (NULL: none
 * is). */
oxp_status oxp_lrp_share_linear(oxp_rule_context *rc, double factor, const bool *held);
/* Subtracts a mean and divides by a standard deviation of the data. */
bool oxp_lrp_normalises(const oxp_node *node);
bool oxp_lrp_is_const(const oxp_rule_context *rc, uint32_t k);

#endif
