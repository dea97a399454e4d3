/* deeplift.h - DeepLIFT's rules, for its methods; what they compute is told in deeplift_rules.c. */
#ifndef OXP_EXPLAIN_DEEPLIFT_H
#define OXP_EXPLAIN_DEEPLIFT_H

#include "explain/method.h"

/* The params of the rule set; its twin comes from twin.h. */
typedef struct oxp_lift {
    bool dense, conv;      /* where the reveal-cancel rule holds */
    size_t n;              /* values in the graph */
    const uint32_t *uses;  /* [n] */
    oxp_val *plus, *minus; /* [n] m+ and m- at the outputs of layers, left for these by the rules */
} oxp_lift;

#define OXP_LIFT_RULES 9
extern const oxp_rule oxp_lift_rules[OXP_LIFT_RULES];

#endif
