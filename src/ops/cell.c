/* cell.c - the activation functions that recurrent operators name, as numbers and as graphs; see
 * cell.h. */
#include "ops/cell.h"
#include "ops/infer.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    bool alpha, beta; /* consumes one of activation_alpha, activation_beta */
    double default_alpha, default_beta;
    oxp_fn fn; /* the unary operator that is the same; NONE: built from others */
} functions[] = {
    [OXP_ACT_AFFINE] = {"Affine", true, true, 1.0, 0.0, OXP_FN_NONE},
    [OXP_ACT_ELU] = {"Elu", true, false, 1.0, 0.0, OXP_FN_ELU},
    [OXP_ACT_HARD_SIGMOID] = {"HardSigmoid", true, true, 0.2, 0.5, OXP_FN_HARD_SIGMOID},
    [OXP_ACT_LEAKY_RELU] = {"LeakyRelu", true, false, 0.01, 0.0, OXP_FN_LEAKY_RELU},
    [OXP_ACT_RELU] = {"Relu", false, false, 0.0, 0.0, OXP_FN_RELU},
    [OXP_ACT_SCALED_TANH] = {"ScaledTanh", true, true, 1.0, 1.0, OXP_FN_NONE},
    [OXP_ACT_SIGMOID] = {"Sigmoid", false, false, 0.0, 0.0, OXP_FN_SIGMOID},
    [OXP_ACT_SOFTPLUS] = {"Softplus", false, false, 0.0, 0.0, OXP_FN_SOFTPLUS},
    [OXP_ACT_SOFTSIGN] = {"Softsign", false, false, 0.0, 0.0, OXP_FN_NONE},
    [OXP_ACT_TANH] = {"Tanh", false, false, 0.0, 0.0, OXP_FN_TANH},
    [OXP_ACT_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false, 1.0, 0.0, OXP_FN_NONE},
};

/* ONNX asks for names of any case. */
static bool same_name(const char *name, const char *text, size_t len)
{
    if (strlen(name) != len) return false;
    for (size_t i = 0; i < len; i++)
        if ((name[i] | 0x20) != (text[i] | 0x20)) return false;
    return true;
}

bool oxp_act_find(const char *name, size_t len, oxp_act *act, bool *takes_alpha, bool *takes_beta)
{
    for (size_t i = 0; i < OXP_COUNT(functions); i++) {
        if (!same_name(functions[i].name, name, len)) continue;
        *act = (oxp_act){(oxp_act_fn)i, functions[i].default_alpha, functions[i].default_beta};
        *takes_alpha = functions[i].alpha;
        *takes_beta = functions[i].beta;
        return true;
    }
    return false;
}

/* ---- reading ---- */

static const char *default_acts(oxp_cell cell)
{
    return cell == OXP_CELL_RNN   ? "Tanh"
           : cell == OXP_CELL_GRU ? "Sigmoid,Tanh"
                                  : "Sigmoid,Tanh,Tanh";
}

/* The next of a list of parameters, where there is one left. */
static void take(const oxp_attr *list, size_t *next, double *value)
{
    if (list && list->type == OXP_ATTR_FLOATS && *next < list->n) *value = list->floats[(*next)++];
}

oxp_status oxp_acts_read(oxp_ctx *ctx, const oxp_node *node, oxp_cell cell, int directions,
                         oxp_act *acts)
{
    const int per_direction = cell == OXP_CELL_RNN ? 1 : cell == OXP_CELL_GRU ? 2 : 3;
    const oxp_attr *alpha = oxp_attr_find(node, "activation_alpha"),
                   *beta = oxp_attr_find(node, "activation_beta");
    const char *given = oxp_attr_string(node, "activations", ""),
               *at = given[0] ? given : default_acts(cell);
    size_t next_alpha = 0, next_beta = 0;
    for (int i = 0; i < directions * per_direction; i++) {
        const size_t len = strcspn(at, ",");
        bool takes_alpha, takes_beta;
        OXP_NODE_FAIL_IF(ctx, node, !oxp_act_find(at, len, &acts[i], &takes_alpha, &takes_beta),
                         OXP_EINVAL, "names '%.*s' as one of %d activation functions", (int)len, at,
                         directions * per_direction);
        if (takes_alpha) take(alpha, &next_alpha, &acts[i].alpha);
        if (takes_beta) take(beta, &next_beta, &acts[i].beta);
        at += len + (at[len] == ',');
        if (!given[0] && at[0] == '\0') at = default_acts(cell);
    }
    OXP_NODE_FAIL_IF(ctx, node, given[0] && at[0] != '\0', OXP_EINVAL,
                     "names more than %d activation functions", directions * per_direction);
    return OXP_OK;
}

/* ---- numbers ---- */

double oxp_act_eval(const oxp_act *act, double x)
{
    switch (act->fn) {
    case OXP_ACT_AFFINE:
        return act->alpha * x + act->beta;
    case OXP_ACT_SCALED_TANH:
        return act->alpha * tanh(act->beta * x);
    case OXP_ACT_SOFTSIGN:
        return x / (1.0 + fabs(x));
    case OXP_ACT_THRESHOLDED_RELU:
        return x > act->alpha ? x : 0.0;
    default:
        return oxp_fn_eval(functions[act->fn].fn, act->alpha, act->beta, x);
    }
}

double oxp_act_grad(const oxp_act *act, double x)
{
    const oxp_fn fn = functions[act->fn].fn;
    double t;
    switch (act->fn) {
    case OXP_ACT_AFFINE:
        return act->alpha;
    case OXP_ACT_SCALED_TANH:
        t = tanh(act->beta * x);
        return act->alpha * act->beta * (1.0 - t * t);
    case OXP_ACT_SOFTSIGN:
        t = 1.0 + fabs(x);
        return 1.0 / (t * t);
    case OXP_ACT_THRESHOLDED_RELU:
        return x > act->alpha ? 1.0 : 0.0;
    default:
        t = oxp_fn_grad_from_y(fn) ? oxp_fn_eval(fn, act->alpha, act->beta, x) : x;
        return oxp_fn_grad(fn, act->alpha, act->beta, t);
    }
}

/* ---- graphs ---- */

static oxp_val scaled(oxp_build *b, oxp_val x, double factor)
{
    return oxp_b_mul(b, x, oxp_b_scalar(b, factor));
}

static oxp_val plain(oxp_build *b, const oxp_act *act, oxp_val x)
{
    const oxp_op *op = oxp_op_find(functions[act->fn].name);
    const oxp_attr attrs[] = {OXP_FLOAT("alpha", act->alpha), OXP_FLOAT("beta", act->beta)};
    return oxp_emit(b, op, &x, 1, attrs, functions[act->fn].beta ? 2u : functions[act->fn].alpha);
}

oxp_val oxp_act_build(oxp_build *b, const oxp_act *act, oxp_val x)
{
    switch (act->fn) {
    case OXP_ACT_AFFINE:
        return oxp_b_add(b, scaled(b, x, act->alpha), oxp_b_scalar(b, act->beta));
    case OXP_ACT_SCALED_TANH:
        return scaled(b, oxp_b_unary(b, &oxp_op_Tanh, scaled(b, x, act->beta)), act->alpha);
    case OXP_ACT_SOFTSIGN:
        return oxp_b_div(b, x, oxp_b_add(b, oxp_b_unary(b, &oxp_op_Abs, x), oxp_b_scalar(b, 1.0)));
    case OXP_ACT_THRESHOLDED_RELU:
        return oxp_b_where(b, oxp_b_greater(b, x, oxp_b_scalar(b, act->alpha)), x,
                           oxp_b_scalar(b, 0.0));
    default:
        return plain(b, act, x);
    }
}

oxp_val oxp_act_build_grad(oxp_build *b, const oxp_act *act, oxp_val x, oxp_val dy)
{
    const oxp_fn fn = functions[act->fn].fn;
    oxp_val t;
    switch (act->fn) {
    case OXP_ACT_AFFINE:
        return scaled(b, dy, act->alpha);
    case OXP_ACT_SCALED_TANH:
        t = oxp_b_unary(b, &oxp_op_Tanh, scaled(b, x, act->beta));
        t = oxp_b_sub(b, oxp_b_scalar(b, 1.0), oxp_b_mul(b, t, t));
        return scaled(b, oxp_b_mul(b, dy, t), act->alpha * act->beta);
    case OXP_ACT_SOFTSIGN:
        t = oxp_b_add(b, oxp_b_unary(b, &oxp_op_Abs, x), oxp_b_scalar(b, 1.0));
        return oxp_b_div(b, dy, oxp_b_mul(b, t, t));
    case OXP_ACT_THRESHOLDED_RELU:
        return oxp_b_where(b, oxp_b_greater(b, x, oxp_b_scalar(b, act->alpha)), dy,
                           oxp_b_scalar(b, 0.0));
    default:
        t = oxp_fn_grad_from_y(fn) ? plain(b, act, x) : x;
        return oxp_emit(b, &oxp_op__UnaryGrad, (const oxp_val[]){t, dy}, 2,
                        (const oxp_attr[]){OXP_STR("fn", oxp_fn_name(fn)),
                                           OXP_FLOAT("alpha", act->alpha),
                                           OXP_FLOAT("beta", act->beta)},
                        3);
    }
}
