/* lrp.c - the methods that propagate relevance: lrp (Bach et al. 2015) with every rule and
 * composite, deep-taylor (Montavon et al. 2017), excitation-backprop (Zhang et al. 2016).
 *
 * Relevance starts at the target and is handed down; each node's rule says how it is divided among
 * the node's inputs (lrp_rules.c, lrp_blocks.c). Here: which rule where.
 *
 *   lrp                   R = Y; `rule` everywhere, or a composite by first layer, convolution and
 *                         dense layer, each of which `first`, `conv`, `dense` override
 *   deep-taylor           R = Y; z+ everywhere, w2 (or zB) at the first layer; biases left out
 *   excitation-backprop   R = 1; z+ everywhere, biases left out
 *
 * Batch norms are merged into convolutions first, in both executors. */
#include "explain/lrp.h"
#include "explain/linear.h"

#include "base/parse.h"
#include "base/strmap.h"
#include <string.h>

#define RULES "zero,epsilon,norm,gamma,zplus,alpha-beta,zbox,w2,flat,pass"

static const char *const kind_names[OXP_LRP_KINDS] = {
    "zero", "epsilon", "norm", "gamma", "zplus", "alpha-beta", "zbox", "w2", "flat", "pass"};

/* ---- the rule set: an entry per rule, so that results can say which one touched what ---- */

#define KIND(symbol, which)                             \
    static bool is_##symbol(const oxp_rule_context *rc) \
    {                                                   \
        const oxp_lrp_rule *rule = oxp_lrp_rule_of(rc); \
        return rule && rule->kind == OXP_LRP_##which;   \
    }
KIND(zero, ZERO)
KIND(epsilon, EPSILON)
KIND(norm, NORM)
KIND(gamma, GAMMA)
KIND(zplus, ZPLUS)
KIND(alpha_beta, ALPHA_BETA)
KIND(zbox, ZBOX)
KIND(w2, W2)
KIND(flat, FLAT)
KIND(pass, PASS)
#undef KIND

static const oxp_rule layer_rules[OXP_LRP_KINDS] = {
    {"zero", is_zero, oxp_lrp_apply_layer},   {"epsilon", is_epsilon, oxp_lrp_apply_layer},
    {"norm", is_norm, oxp_lrp_apply_layer},   {"gamma", is_gamma, oxp_lrp_apply_layer},
    {"zplus", is_zplus, oxp_lrp_apply_layer}, {"alpha-beta", is_alpha_beta, oxp_lrp_apply_layer},
    {"zbox", is_zbox, oxp_lrp_apply_layer},   {"w2", is_w2, oxp_lrp_apply_layer},
    {"flat", is_flat, oxp_lrp_apply_layer},   {"pass", is_pass, oxp_lrp_apply_layer},
};

/* A name that fits no layer is a mistake. */
static oxp_status check_names(oxp_task *t, const oxp_lrp *lrp)
{
    const oxp_graph *g = t->b->g;
    const char **layers = OXP_NEW(t->ctx->scratch, const char *, g->n_nodes + 1);
    OXP_NOMEM_IF(t->ctx, layers);
    size_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (oxp_linear_is(g, g->nodes[i])) layers[n++] = g->nodes[i]->origin;
    for (size_t k = 0; k < lrp->n_named; k++) {
        bool found = false;
        for (size_t i = 0; i < g->n_nodes && !found; i++)
            found = oxp_linear_is(g, g->nodes[i]) &&
                    oxp_lrp_is_called(lrp, g, g->nodes[i], lrp->named[k].pattern);
        const int near = oxp_nearest_name(lrp->named[k].pattern, layers, n);
        OXP_FAIL_IF(t->ctx, !found, OXP_EINVAL,
                    "lrp: no layer with weights is called '%s'%s%s%s: names are those of nodes or "
                    "of their outputs",
                    lrp->named[k].pattern, near >= 0 ? "; did you mean '" : "",
                    near >= 0 ? layers[near] : "", near >= 0 ? "'" : "");
    }
    return OXP_OK;
}

static oxp_status propagate(oxp_task *t, oxp_lrp *lrp, oxp_val start)
{
    oxp_rule rules[OXP_LRP_KINDS + OXP_LRP_BLOCKS];
    memcpy(rules, layer_rules, sizeof layer_rules);
    memcpy(rules + OXP_LRP_KINDS, oxp_lrp_blocks, sizeof oxp_lrp_blocks);
    OXP_TRY(oxp_lrp_find_biases(t, lrp));
    OXP_TRY(check_names(t, lrp));
    const oxp_rule_set set = {rules, OXP_COUNT(rules), lrp, NULL};
    t->expected = start;
    return oxp_task_backward(t, &set, start, t->out);
}

/* ---- reading the parameters ---- */

static oxp_lrp_rule rule_by_kind(const oxp_params *p, oxp_lrp_kind kind)
{
    oxp_lrp_rule rule = {.kind = kind};
    if (kind == OXP_LRP_EPSILON) rule.a = oxp_param_number(p, "epsilon");
    if (kind == OXP_LRP_GAMMA) rule.a = oxp_param_number(p, "gamma");
    if (kind == OXP_LRP_ALPHA_BETA) {
        rule.a = oxp_param_number(p, "alpha");
        rule.b = oxp_param_number(p, "beta");
    }
    return rule;
}

/* "gamma", "gamma(0.5)", "alpha-beta(2,1)" */
static bool parse_rule(const oxp_params *p, const char *text, oxp_lrp_rule *rule)
{
    const size_t length = strcspn(text, "(");
    int kind = -1;
    for (int k = 0; k < OXP_LRP_KINDS; k++)
        if (strlen(kind_names[k]) == length && strncmp(text, kind_names[k], length) == 0) kind = k;
    if (kind < 0) return false;
    *rule = rule_by_kind(p, (oxp_lrp_kind)kind);
    if (!text[length]) return true;
    char numbers[64] = "";
    const size_t inside = strcspn(text + length + 1, ")");
    if (strcmp(text + length + 1 + inside, ")") != 0 || inside >= sizeof numbers) return false;
    memcpy(numbers, text + length + 1, inside);
    char *second = strchr(numbers, ',');
    if (second) *second++ = '\0';
    const bool takes_one = kind == OXP_LRP_EPSILON || kind == OXP_LRP_GAMMA;
    const bool takes_two = kind == OXP_LRP_ALPHA_BETA;
    return (takes_one || takes_two) && takes_two == (second != NULL) &&
           oxp_parse_double(numbers, &rule->a) && rule->a >= 0.0 &&
           (!second || (oxp_parse_double(second, &rule->b) && rule->b >= 0.0));
}

static oxp_status override(oxp_task *t, const char *name, oxp_lrp_rule *rule)
{
    const char *text = oxp_param_text(t->params, name);
    OXP_FAIL_IF(t->ctx, *text && !parse_rule(t->params, text, rule), OXP_EINVAL,
                "lrp: %s must be one of " RULES
                ", with numbers where it has some as in 'gamma(0.25)' or 'alpha-beta(2,1)', found "
                "'%s'",
                name, text);
    return OXP_OK;
}

typedef struct composite {
    const char *name;
    oxp_lrp_kind conv, first_conv, first_dense; /* a first layer without a rule of its own: KINDS */
} composite;

/* Zennit's, by name: the rule of dense layers is epsilon in all of them. */
static const composite composites[] = {
    {"none", OXP_LRP_KINDS, OXP_LRP_KINDS, OXP_LRP_KINDS},
    {"epsilon-plus", OXP_LRP_ZPLUS, OXP_LRP_KINDS, OXP_LRP_KINDS},
    {"epsilon-plus-flat", OXP_LRP_ZPLUS, OXP_LRP_FLAT, OXP_LRP_FLAT},
    {"epsilon-gamma-box", OXP_LRP_GAMMA, OXP_LRP_ZBOX, OXP_LRP_KINDS},
    {"epsilon-alpha2-beta1", OXP_LRP_ALPHA_BETA, OXP_LRP_KINDS, OXP_LRP_KINDS},
    {"epsilon-alpha2-beta1-flat", OXP_LRP_ALPHA_BETA, OXP_LRP_FLAT, OXP_LRP_FLAT},
};

/* `rule` or the composite's rules, then what `conv`, `dense` and `first` override. */
static oxp_status choose_rules(oxp_task *t, oxp_lrp *lrp)
{
    const oxp_params *p = t->params;
    const composite *c = &composites[0];
    for (size_t i = 0; i < OXP_COUNT(composites); i++)
        if (oxp_param_is(p, "composite", composites[i].name)) c = &composites[i];
    OXP_TRY(override(t, "rule", &lrp->conv));
    lrp->dense = lrp->conv;
    if (c->conv != OXP_LRP_KINDS) {
        lrp->dense = rule_by_kind(p, OXP_LRP_EPSILON);
        lrp->conv = rule_by_kind(p, c->conv);
    }
    if (c->conv == OXP_LRP_ALPHA_BETA) lrp->conv = (oxp_lrp_rule){OXP_LRP_ALPHA_BETA, 2.0, 1.0};
    OXP_TRY(override(t, "conv", &lrp->conv));
    OXP_TRY(override(t, "dense", &lrp->dense));
    lrp->first_conv = c->first_conv == OXP_LRP_KINDS ? lrp->conv : rule_by_kind(p, c->first_conv);
    lrp->first_dense =
        c->first_dense == OXP_LRP_KINDS ? lrp->dense : rule_by_kind(p, c->first_dense);
    OXP_TRY(override(t, "first", &lrp->first_conv));
    return override(t, "first", &lrp->first_dense);
}

/* "conv1=zbox;features.*=gamma(0.1)": a rule by the name of the layer, of its node or of its output. */
static oxp_status read_names(oxp_task *t, oxp_lrp *lrp)
{
    char *text = oxp_arena_strdup(t->ctx->scratch, oxp_param_text(t->params, "names"));
    OXP_NOMEM_IF(t->ctx, text);
    size_t n = 1;
    for (const char *c = text; *c; c++) n += *c == ';';
    oxp_lrp_named *named = OXP_NEW(t->ctx->scratch, oxp_lrp_named, n);
    OXP_NOMEM_IF(t->ctx, named);
    lrp->named = named;
    for (char *next; text && *text; text = next) {
        next = strchr(text, ';');
        if (next) *next++ = '\0';
        char *equals = strrchr(text, '=');
        oxp_lrp_named *to = &named[lrp->n_named++];
        OXP_FAIL_IF(
            t->ctx, !equals || equals == text || !parse_rule(t->params, equals + 1, &to->rule),
            OXP_EINVAL,
            "lrp: names is a list like 'conv1=zbox;features.*=gamma(0.1)' with rules from " RULES
            ", found '%s'",
            text);
        *equals = '\0';
        to->pattern = text;
    }
    return OXP_OK;
}

static oxp_lrp common(const oxp_task *t)
{
    const oxp_params *p = t->params;
    return (oxp_lrp){.method = p->inner ? p->inner->info.name : p->method->info.name,
                     .stabiliser = oxp_param_number(p, "stabiliser"),
                     .low = oxp_param_text(p, "low"),
                     .high = oxp_param_text(p, "high"),
                     .attention = oxp_param_is(p, "attention", "cp")       ? OXP_LRP_CP
                                  : oxp_param_is(p, "attention", "refuse") ? OXP_LRP_REFUSE
                                                                           : OXP_LRP_ATTNLRP};
}

/* ---- lrp ---- */

static oxp_status plan_lrp(oxp_task *t)
{
    oxp_lrp lrp = common(t);
    lrp.zero_bias = oxp_param_is(t->params, "bias", "zero");
    lrp.captum = oxp_param_is(t->params, "variant", "captum");
    lrp.beta_smooth = oxp_param_is(t->params, "relu", "beta-smooth")
                          ? oxp_param_number(t->params, "beta-smooth")
                          : 0.0;
    OXP_TRY(choose_rules(t, &lrp));
    OXP_TRY(read_names(t, &lrp));
    return propagate(t, &lrp, oxp_b_mul(t->b, t->seed, t->target));
}

#define STABILISER                                                                                 \
    {                                                                                              \
        "stabiliser", "what is added to every other denominator, away from zero", OXP_PARAM_FLOAT, \
            0, 1e6, "1e-6", NULL                                                                   \
    }
#define ATTENTION                                                                                 \
    {                                                                                             \
        "attention",                                                                              \
            "attention, normalisation and gates: attnlrp (factors share), cp (weights and gates " \
            "are "                                                                                \
            "constants), refuse",                                                                 \
            OXP_PARAM_CHOICE, 0, 0, "attnlrp", "attnlrp,cp,refuse"                                \
    }
#define BOUNDS(low_default, high_default)                                                          \
    {"low",                                                                                        \
     "zbox: smallest possible input: auto (the item's own), a number, or one per channel",         \
     OXP_PARAM_TEXT,                                                                               \
     0,                                                                                            \
     0,                                                                                            \
     low_default,                                                                                  \
     NULL},                                                                                        \
    {                                                                                              \
        "high", "zbox: largest possible input, likewise", OXP_PARAM_TEXT, 0, 0, high_default, NULL \
    }
#define CHANNELS                                                                  \
    {                                                                             \
        "channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "sum", \
            "max,sum,mean,l1,l2,none"                                             \
    }

static const oxp_param_info lrp_params[] = {
    {"rule", "the rule of layers with weights", OXP_PARAM_CHOICE, 0, 0, "epsilon", RULES},
    {"composite", "rules by kind of layer, Zennit's names; instead of rule", OXP_PARAM_CHOICE, 0, 0,
     "none",
     "none,epsilon-plus,epsilon-plus-flat,epsilon-gamma-box,epsilon-alpha2-beta1,"
     "epsilon-alpha2-beta1-flat"},
    {"first", "the rule of the first layer, e.g. zbox; empty: as rule or composite say",
     OXP_PARAM_TEXT, 0, 0, "", NULL},
    {"conv", "the rule of convolutions, e.g. gamma(0.25); empty: likewise", OXP_PARAM_TEXT, 0, 0,
     "", NULL},
    {"dense", "the rule of dense layers, e.g. epsilon(1e-3); empty: likewise", OXP_PARAM_TEXT, 0, 0,
     "", NULL},
    {"names",
     "rules by the name of a layer, first of all: NAME=RULE;..., * for any text, e.g. "
     "conv1=zbox;features.*=gamma(0.1)",
     OXP_PARAM_TEXT, 0, 0, "", NULL},
    {"relu", "at Relu: pass relevance on, or R sigmoid(beta x)", OXP_PARAM_CHOICE, 0, 0, "pass",
     "pass,beta-smooth"},
    {"beta-smooth", "beta of relu=beta-smooth", OXP_PARAM_FLOAT, 0, 1e6, "10", NULL},
    {"epsilon", "the epsilon rule's stabiliser", OXP_PARAM_FLOAT, 0, 1e6, "1e-6", NULL},
    {"gamma", "how much the gamma rule favours positive contributions", OXP_PARAM_FLOAT, 0, 1e6,
     "0.25", NULL},
    {"alpha", "weight of positive contributions", OXP_PARAM_FLOAT, 0, 1e6, "2", NULL},
    {"beta", "weight of negative contributions; alpha - beta = 1 conserves", OXP_PARAM_FLOAT, 0,
     1e6, "1", NULL},
    BOUNDS("auto", "auto"),
    STABILISER,
    {"bias", "keep: biases take their share of relevance; zero: they are left out",
     OXP_PARAM_CHOICE, 0, 0, "keep", "keep,zero"},
    {"variant",
     "gamma and alpha-beta for inputs and outputs of either sign, or Captum's short form",
     OXP_PARAM_CHOICE, 0, 0, "zennit", "zennit,captum"},
    ATTENTION,
    CHANNELS,
};

const oxp_method oxp_method_lrp = {
    .info = {.name = "lrp",
             .is_main = 1,
             .title = "LRP",
             .param_count = OXP_COUNT(lrp_params),
             .is_signed = 1,
             .sentence =
                 "The score itself, handed down layer by layer to the inputs that produced it.",
             .definition = "R_x = x . J^T (R / (z + epsilon sign z)) at linear layers (or another "
                           "rule), R unchanged at activations",
             .paper = "Bach et al. 2015, doi:10.1371/journal.pone.0130140; attention: Achtibat et "
                      "al. 2024, arXiv:2402.05602",
             .equals = "Zennit rules and composites; Captum LRP (variant=captum epsilon=1e-9)",
             .cost = "1 forward, 1 backward; rules but epsilon: 1 to 4 more of each",
             .weakness = "biases absorb relevance; with epsilon close to input x gradient on ReLU "
                         "networks; z+ and alpha-beta fail the model randomisation test "
                         "(Sixt 2020)"},
    .params = lrp_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_MERGED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_lrp,
};

/* ---- deep-taylor ---- */

static oxp_status plan_deep_taylor(oxp_task *t)
{
    oxp_lrp lrp = common(t);
    lrp.zero_bias = true;
    lrp.conv = lrp.dense = (oxp_lrp_rule){.kind = OXP_LRP_ZPLUS};
    lrp.first_conv = lrp.first_dense = (oxp_lrp_rule){
        .kind = oxp_param_is(t->params, "input", "bounded") ? OXP_LRP_ZBOX : OXP_LRP_W2};
    return propagate(t, &lrp, oxp_b_mul(t->b, t->seed, t->target));
}

static const oxp_param_info deep_taylor_params[] = {
    {"input", "real: any input is possible (w2 rule); bounded: between low and high (zB rule)",
     OXP_PARAM_CHOICE, 0, 0, "real", "real,bounded"},
    BOUNDS("auto", "auto"),
    STABILISER,
    ATTENTION,
    CHANNELS,
};

const oxp_method oxp_method_deep_taylor = {
    .info = {.name = "deep-taylor",
             .title = "Deep Taylor",
             .param_count = OXP_COUNT(deep_taylor_params),
             .is_signed = 1,
             .sentence = "The score decomposed layer by layer at nearby root points: only evidence "
                         "for it, no evidence against.",
             .definition = "R_x = x+ . W+^T (R / W+ x+) at hidden layers; first layer: "
                           "R_x = (W^2)^T (R / sum W^2), or the zB rule",
             .paper = "Montavon et al. 2017, doi:10.1016/j.patcog.2016.11.008",
             .equals = "Zennit ZPlus with WSquare (or ZBox) first, biases zeroed",
             .cost = "1 forward, 1 backward, and up to 2 more of each for modified weights",
             .weakness = "positive only; fails the model randomisation test: weakly tied to the "
                         "class"},
    .params = deep_taylor_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_MERGED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_deep_taylor,
};

/* ---- excitation-backprop ---- */

static oxp_status plan_excitation(oxp_task *t)
{
    oxp_lrp lrp = common(t);
    lrp.zero_bias = true;
    lrp.first_conv = lrp.first_dense = lrp.conv = lrp.dense = (oxp_lrp_rule){.kind = OXP_LRP_ZPLUS};
    return propagate(t, &lrp, t->seed);
}

static const oxp_param_info excitation_params[] = {STABILISER, ATTENTION, CHANNELS};

const oxp_method oxp_method_excitation_backprop = {
    .info = {.name = "excitation-backprop",
             .title = "Excitation backprop",
             .param_count = OXP_COUNT(excitation_params),
             .is_signed = 1,
             .sentence =
                 "Where a walk down the network ends that follows excitatory connections in "
                 "proportion to their strength.",
             .definition = "P = 1 at the target, P_x = x+ . W+^T (P / W+ x+) at every layer",
             .paper = "Zhang et al. 2016, arXiv:1608.00507",
             .equals = "Zennit ExcitationBackprop without biases, started at 1",
             .cost = "1 forward, 1 backward, and up to 2 more of each for modified weights",
             .weakness =
                 "sees no inhibition; the marginal map is weakly tied to the class: contrast "
                 "it with another"},
    .params = excitation_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_MERGED,
    .channels = OXP_CHANNELS_SUM,
    .features = OXP_CHANNELS_SUM,
    .plan = plan_excitation,
};
