/* lrp_rules.c - relevance through layers with constant weights: Conv, ConvTranspose, Gemm, MatMul.
 *
 * Every rule is a sum of shares. A share takes terms (x_i, W_i, sign_i), made from the layer's
 * input and weights, and a bias b:
 *
 *   d   = sum_i sign_i W_i x_i + b        (the layer's own operator, with other weights)
 *   R_x = factor sum_i sign_i x_i . W_i' (R / stab(d))
 *
 *   epsilon, 0   (x, W), b;  d is the layer's output
 *   z+           (x+, W+), (x-, W-), b+
 *   gamma        with P = W + gamma W+, N = W + gamma W-:
 *                where the output is > 0   (x+, P), (x-, N), b + gamma b+
 *                where it is < 0           (x+, N), (x-, P), b + gamma b-
 *                Captum's form: (x, P), b
 *   alpha-beta   alpha times (x+, W+), (x-, W-), b+  less  beta times (x+, W-), (x-, W+), b-
 *   zB           (x, W), -(l, W+), -(h, W-)
 *   w2           (1, W^2), b^2
 *   flat         (1, 1)
 *   pass         R_x = R
 *
 * v+ and v- are the positive and negative parts; x- vanishes for inputs known to be non-negative,
 * and its terms with it. Modified weights are constants, made once when planning. */
#include "explain/linear.h"
#include "explain/lrp.h"

#include "base/parse.h"
#include "ops/fn.h"
#include "ops/infer.h"
#include "ops/quantize.h"
#include <string.h>

typedef struct layer {
    oxp_linear lin;
    const oxp_lrp *lrp;
    oxp_val relevance;
} layer;

typedef struct term {
    oxp_val x, w;
    double sign;
} term;

/* ---- values ---- */

oxp_val oxp_lrp_share(oxp_build *b, oxp_val relevance, oxp_val z, double epsilon)
{
    const oxp_val zero = oxp_b_scalar(b, 0.0);
    if (epsilon > 0.0) {
        const oxp_val below = oxp_b_greater(b, zero, z);
        const oxp_val shift =
            oxp_b_where(b, below, oxp_b_scalar(b, -epsilon), oxp_b_scalar(b, epsilon));
        return oxp_b_div(b, relevance, oxp_b_add(b, z, shift));
    }
    const oxp_val none = oxp_b_equal(b, z, zero);
    const oxp_val safe = oxp_b_where(b, none, oxp_b_scalar(b, 1.0), z);
    return oxp_b_where(b, none, zero, oxp_b_div(b, relevance, safe));
}

/* v + gamma v+ or v + gamma v- */
static oxp_val favoured(oxp_build *b, oxp_val v, double gamma, bool positive)
{
    if (v == OXP_NO_VAL) return v;
    return oxp_b_add(b, v, oxp_b_mul(b, oxp_const_part(b, v, positive), oxp_b_scalar(b, gamma)));
}

/* Known to have no negative element: a rectifier, a gate, or what only moves, picks or averages
 * one. */
static bool is_nonnegative(const oxp_graph *g, oxp_val v, int depth)
{
    const oxp_value *value = oxp_value_of(g, v);
    if (depth == 0 || value->producer == OXP_NO_NODE) return false;
    const oxp_node *node = g->nodes[value->producer];
    const oxp_op *op = node->op;
    if (op == &oxp_op_Relu || op == &oxp_op_Sigmoid || op == &oxp_op_HardSigmoid ||
        op == &oxp_op_Softmax || op == &oxp_op_Softplus || op == &oxp_op_Exp || op == &oxp_op_Abs)
        return true;
    if (op == &oxp_op__FakeQuant && oxp_is_unsigned(g, node)) return true;
    double low, high;
    if (oxp_node_fn(node, &low, &high) == OXP_FN_CLIP) return low >= 0.0;
    const bool keeps = op == &oxp_op_MaxPool || op == &oxp_op_AveragePool ||
                       op == &oxp_op_GlobalAveragePool || op == &oxp_op_GlobalMaxPool ||
                       op == &oxp_op_ReduceMean || op == &oxp_op_Add || op == &oxp_op_Concat ||
                       op == &oxp_op_Reshape || op == &oxp_op_Flatten || op == &oxp_op_Transpose ||
                       op == &oxp_op_Slice || (op->flags & OXP_OP_IDENTITY);
    for (uint32_t k = 0; keeps && k < node->n_in; k++)
        if (node->in[k] && !is_nonnegative(g, node->in[k], depth - 1)) return false;
    return keeps;
}

/* ---- shares ---- */

/* factor sum_i sign_i x_i . W_i' (R / stab(d)), d = sum_i sign_i W_i x_i + bias unless given;
 * where `only` (NO_VAL: everywhere). */
static oxp_val share(layer *l, const term *terms, size_t n, oxp_val bias, oxp_val d, oxp_val only,
                     double factor, double epsilon)
{
    oxp_build *b = l->lin.b;
    oxp_val sum = OXP_NO_VAL;
    const bool again = d == OXP_NO_VAL;
    for (size_t i = 0; again && b->status == OXP_OK && i < n; i++) {
        const oxp_val y =
            oxp_linear_forward(&l->lin, terms[i].x, terms[i].w, i == 0 ? bias : OXP_NO_VAL);
        d = i == 0 ? y : terms[i].sign > 0.0 ? oxp_b_add(b, d, y) : oxp_b_sub(b, d, y);
    }
    oxp_val s = oxp_lrp_share(b, l->relevance, d, epsilon);
    if (only != OXP_NO_VAL) s = oxp_b_where(b, only, s, oxp_b_scalar(b, 0.0));
    s = oxp_b_mul(b, s, oxp_b_scalar(b, factor));
    for (size_t i = 0; b->status == OXP_OK && i < n; i++) {
        const oxp_val r = oxp_b_mul(b, terms[i].x, oxp_linear_backward(&l->lin, s, terms[i].w));
        sum = i == 0 ? r : terms[i].sign > 0.0 ? oxp_b_add(b, sum, r) : oxp_b_sub(b, sum, r);
    }
    return sum;
}

/* (x+, p), (x-, n): how many terms remain */
static size_t signed_terms(layer *l, oxp_val p, oxp_val n, term terms[2])
{
    if (is_nonnegative(l->lin.b->g, l->lin.x, 6)) {
        terms[0] = (term){l->lin.x, p, 1.0};
        return 1;
    }
    terms[0] = (term){oxp_positive_part(l->lin.b, l->lin.x), p, 1.0};
    terms[1] = (term){oxp_negative_part(l->lin.b, l->lin.x), n, 1.0};
    return 2;
}

/* ---- the rules ---- */

/* With biases kept, d is the output that is already there. */
static oxp_val rule_epsilon(layer *l, double epsilon)
{
    const term whole = {l->lin.x, l->lin.w, 1.0};
    const bool again = l->lrp->zero_bias && l->lin.bias != OXP_NO_VAL;
    return share(l, &whole, 1, OXP_NO_VAL, again ? OXP_NO_VAL : l->lin.out, OXP_NO_VAL, 1.0,
                 epsilon);
}

static oxp_val bias_part(layer *l, bool positive)
{
    return l->lrp->zero_bias ? OXP_NO_VAL : oxp_const_part(l->lin.b, l->lin.bias, positive);
}

static oxp_val rule_zplus(layer *l)
{
    term terms[2];
    const size_t n = signed_terms(l, oxp_const_part(l->lin.b, l->lin.w, true),
                                  oxp_const_part(l->lin.b, l->lin.w, false), terms);
    return share(l, terms, n, bias_part(l, true), OXP_NO_VAL, OXP_NO_VAL, 1.0, l->lrp->stabiliser);
}

static oxp_val rule_gamma(layer *l, double gamma)
{
    oxp_build *b = l->lin.b;
    const double stabiliser = l->lrp->stabiliser;
    const oxp_val bias = l->lrp->zero_bias ? OXP_NO_VAL : l->lin.bias;
    const oxp_val p = favoured(b, l->lin.w, gamma, true);
    if (l->lrp->captum) {
        const term simple = {l->lin.x, p, 1.0};
        return share(l, &simple, 1, bias, OXP_NO_VAL, OXP_NO_VAL, 1.0, stabiliser);
    }
    const oxp_val n = favoured(b, l->lin.w, gamma, false), zero = oxp_b_scalar(b, 0.0);
    term above[2], below[2];
    const size_t count = signed_terms(l, p, n, above);
    signed_terms(l, n, p, below);
    const oxp_val up = share(l, above, count, favoured(b, bias, gamma, true), OXP_NO_VAL,
                             oxp_b_greater(b, l->lin.out, zero), 1.0, stabiliser);
    const oxp_val down = share(l, below, count, favoured(b, bias, gamma, false), OXP_NO_VAL,
                               oxp_b_greater(b, zero, l->lin.out), 1.0, stabiliser);
    return oxp_b_add(b, up, down);
}

static oxp_val rule_alpha_beta(layer *l, double alpha, double beta)
{
    oxp_build *b = l->lin.b;
    const double stabiliser = l->lrp->stabiliser;
    const oxp_val p = oxp_const_part(b, l->lin.w, true), n = oxp_const_part(b, l->lin.w, false);
    const oxp_val bias = l->lrp->zero_bias ? OXP_NO_VAL : l->lin.bias;
    term good[2] = {{l->lin.x, p, 1.0}}, bad[2] = {{l->lin.x, n, 1.0}};
    const size_t count = l->lrp->captum ? 1 : signed_terms(l, p, n, good);
    if (!l->lrp->captum) signed_terms(l, n, p, bad);
    const oxp_val up = share(l, good, count, l->lrp->captum ? bias : bias_part(l, true), OXP_NO_VAL,
                             OXP_NO_VAL, alpha, stabiliser);
    if (!(beta > 0.0)) return up;
    const oxp_val down = share(l, bad, count, l->lrp->captum ? bias : bias_part(l, false),
                               OXP_NO_VAL, OXP_NO_VAL, beta, stabiliser);
    return oxp_b_sub(b, up, down);
}

/* The axis of the input along which one number per channel varies: what is contracted. */
static int channel_axis(const layer *l)
{
    const int rank = oxp_b_shape(l->lin.b, l->lin.x)->rank;
    if (oxp_op_is_conv(l->lin.op)) return 1;
    const bool turned = l->lin.op == &oxp_op__MatMul && l->lin.own[l->lin.xk].i != 0;
    return rank > 1 && (l->lin.xk == 1) != turned ? rank - 2 : rank - 1;
}

/* A constant in place of the input, as small as broadcasting allows: a convolution pads with zeros,
 * so there all positions are needed. One value, or one per channel. */
static oxp_val stand_in(layer *l, const double *values, size_t n)
{
    oxp_build *b = l->lin.b;
    oxp_shape shape = *oxp_b_shape(b, l->lin.x);
    const int channel = channel_axis(l);
    oxp_shape each = {.rank = shape.rank};
    for (int a = 0; a < shape.rank; a++) {
        each.dim[a] = a == channel && n > 1 ? (int64_t)n : 1;
        if (a != channel && (a == 0 || !oxp_op_is_conv(l->lin.op))) shape.dim[a] = 1;
    }
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    if (t && b->status == OXP_OK)
        b->status = oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &each, t);
    if (!t) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status != OXP_OK) return OXP_NO_VAL;
    memcpy((void *)(uintptr_t)t->data, values, n * sizeof(double));
    return oxp_b_expand(b, oxp_b_const(b, OXP_F32, t), &shape);
}

/* The item's own smallest or largest value, everywhere. */
static oxp_val own_bound(layer *l, bool high)
{
    const oxp_shape shape = *oxp_b_shape(l->lin.b, l->lin.x);
    int64_t axes[OXP_MAX_RANK];
    for (int a = 1; a < shape.rank; a++) axes[a - 1] = a;
    const oxp_val bound =
        OXP_EMIT1(l->lin.b, high ? &oxp_op_ReduceMax : &oxp_op_ReduceMin, l->lin.x,
                  OXP_INTS("axes", axes, (size_t)(shape.rank - 1)), OXP_INT("keepdims", 1));
    return oxp_b_expand(l->lin.b, bound, &shape);
}

/* "auto", a number, or numbers per channel separated by commas */
static oxp_val bound_of(layer *l, const char *name, const char *text, bool high)
{
    oxp_build *b = l->lin.b;
    double values[64];
    size_t n = 0;
    if (strcmp(text, "auto") == 0 && oxp_b_shape(b, l->lin.x)->rank > 1) return own_bound(l, high);
    const int64_t channels = oxp_b_shape(b, l->lin.x)->dim[channel_axis(l)];
    bool good = true;
    for (const char *at = text; good && at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const char *end = strchr(at, ',');
        char number[64] = "";
        const size_t length = end ? (size_t)(end - at) : strlen(at);
        good = n < OXP_COUNT(values) && length < sizeof number;
        if (good) memcpy(number, at, length);
        good = good && oxp_parse_double(number, &values[n++]);
    }
    if (!good || (n != 1 && (int64_t)n != channels)) {
        b->status = oxp_ctx_fail(b->ctx, OXP_EINVAL,
                                 "%s must be 'auto', a number, or %lld numbers (one per channel of "
                                 "the first layer) with commas, found '%s'",
                                 name, (long long)channels, text);
        return OXP_NO_VAL;
    }
    return stand_in(l, values, n);
}

static oxp_val rule_zbox(layer *l)
{
    const term terms[3] = {
        {l->lin.x, l->lin.w, 1.0},
        {bound_of(l, "low", l->lrp->low, false), oxp_const_part(l->lin.b, l->lin.w, true), -1.0},
        {bound_of(l, "high", l->lrp->high, true), oxp_const_part(l->lin.b, l->lin.w, false), -1.0}};
    return share(l, terms, 3, OXP_NO_VAL, OXP_NO_VAL, OXP_NO_VAL, 1.0, l->lrp->stabiliser);
}

static oxp_val rule_flat(layer *l, bool squares)
{
    oxp_build *b = l->lin.b;
    const double one = 1.0;
    const oxp_val bias = squares && !l->lrp->zero_bias ? l->lin.bias : OXP_NO_VAL;
    const oxp_shape w = *oxp_b_shape(b, l->lin.w);
    const term t = {stand_in(l, &one, 1),
                    squares ? oxp_b_mul(b, l->lin.w, l->lin.w) : oxp_b_full(b, &w, 1.0), 1.0};
    return share(l, &t, 1, bias == OXP_NO_VAL ? bias : oxp_b_mul(b, bias, bias), OXP_NO_VAL,
                 OXP_NO_VAL, 1.0, l->lrp->stabiliser);
}

static oxp_val rule_pass(layer *l)
{
    if (oxp_shape_equal(oxp_b_shape(l->lin.b, l->lin.x), oxp_b_shape(l->lin.b, l->lin.out)))
        return l->relevance;
    l->lin.b->status =
        oxp_ctx_fail(l->lin.b->ctx, OXP_EINVAL,
                     "rule pass needs a layer whose input and output have one shape; "
                     "%s '%s' changes it",
                     l->lin.node->op->name, l->lin.node->origin);
    return OXP_NO_VAL;
}

/* ---- finding layers ---- */

bool oxp_lrp_is_const(const oxp_rule_context *rc, uint32_t k)
{
    return oxp_node_has(rc->node, k) &&
           oxp_value_of(rc->b->g, rc->node->in[k])->kind == OXP_VALUE_CONST;
}

static bool is_const(const oxp_graph *g, oxp_val v)
{
    return oxp_value_of(g, v)->kind == OXP_VALUE_CONST;
}

oxp_status oxp_lrp_find_biases(const oxp_task *t, oxp_lrp *lrp)
{
    const oxp_graph *g = t->b->g;
    uint32_t *uses = OXP_NEW(t->ctx->scratch, uint32_t, g->n_values);
    oxp_val *bias_of = OXP_NEW(t->ctx->scratch, oxp_val, g->n_values);
    oxp_val *sum_of = OXP_NEW(t->ctx->scratch, oxp_val, g->n_values);
    OXP_FAIL_IF(t->ctx, !uses || !bias_of || !sum_of, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i]->n_in; k++) uses[g->nodes[i]->in[k]]++;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *add = g->nodes[i];
        if (add->op != &oxp_op_Add || is_const(g, add->in[0]) == is_const(g, add->in[1])) continue;
        const uint32_t k = is_const(g, add->in[0]) ? 1 : 0;
        const oxp_val v = add->in[k];
        const uint32_t producer = oxp_value_of(g, v)->producer;
        if (producer == OXP_NO_NODE || uses[v] != 1 || !oxp_linear_is(g, g->nodes[producer]) ||
            oxp_node_has(g->nodes[producer], 2) ||
            !oxp_shape_equal(oxp_shape_at(g, v), oxp_shape_at(g, add->out[0])))
            continue;
        bias_of[v] = add->in[1 - k];
        sum_of[v] = add->out[0];
    }
    lrp->bias_of = bias_of;
    lrp->sum_of = sum_of;
    lrp->n_values = g->n_values;
    return OXP_OK;
}

static bool value_is_called(const oxp_graph *g, oxp_val v, const char *pattern)
{
    const char *name = v == OXP_NO_VAL ? NULL : oxp_value_of(g, v)->name;
    return name && oxp_glob(pattern, name);
}

bool oxp_lrp_is_called(const oxp_lrp *lrp, const oxp_graph *g, const oxp_node *node,
                       const char *pattern)
{
    const oxp_val out = node->out[0];
    return (node->origin && oxp_glob(pattern, node->origin)) || value_is_called(g, out, pattern) ||
           (out < lrp->n_values && value_is_called(g, lrp->sum_of[out], pattern));
}

const oxp_lrp_rule *oxp_lrp_rule_of(const oxp_rule_context *rc)
{
    const oxp_lrp *lrp = rc->params;
    if (!oxp_linear_is(rc->b->g, rc->node)) return NULL;
    for (size_t i = 0; i < lrp->n_named; i++)
        if (oxp_lrp_is_called(lrp, rc->b->g, rc->node, lrp->named[i].pattern))
            return &lrp->named[i].rule;
    if (oxp_op_is_conv(rc->node->op)) return rc->first_layer ? &lrp->first_conv : &lrp->conv;
    return rc->first_layer ? &lrp->first_dense : &lrp->dense;
}

oxp_status oxp_lrp_apply_layer(oxp_rule_context *rc)
{
    layer l = {.lrp = rc->params, .relevance = rc->grad->dy[0]};
    oxp_linear_read(rc->b, rc->node, &l.lin);
    const oxp_val out = l.lin.out;
    if (out < l.lrp->n_values && l.lrp->bias_of[out]) {
        l.lin.bias = l.lrp->bias_of[out];
        l.lin.out = l.lrp->sum_of[out];
    }
    const oxp_lrp_rule *rule = oxp_lrp_rule_of(rc);
    oxp_val r = OXP_NO_VAL;
    switch (rule->kind) {
    case OXP_LRP_ZERO:
        r = rule_epsilon(&l, 0.0);
        break;
    case OXP_LRP_EPSILON:
        r = rule_epsilon(&l, rule->a);
        break;
    case OXP_LRP_NORM:
        r = rule_epsilon(&l, l.lrp->stabiliser);
        break;
    case OXP_LRP_GAMMA:
        r = rule_gamma(&l, rule->a);
        break;
    case OXP_LRP_ZPLUS:
        r = rule_zplus(&l);
        break;
    case OXP_LRP_ALPHA_BETA:
        r = rule_alpha_beta(&l, rule->a, rule->b);
        break;
    case OXP_LRP_ZBOX:
        r = rule_zbox(&l);
        break;
    case OXP_LRP_W2:
    case OXP_LRP_FLAT:
        r = rule_flat(&l, rule->kind == OXP_LRP_W2);
        break;
    case OXP_LRP_PASS:
    case OXP_LRP_KINDS:
        r = rule_pass(&l);
        break;
    }
    rc->grad->dx[l.lin.xk] = r;
    return rc->b->status;
}
