/* target.c - finding, resolving and seeding targets; see target.h. */
#include "explain/target.h"

#include "explain/roles.h"
#include "ops/ops.h"
#include "ops/quantize.h"
#include <math.h>
#include <string.h>

/* ---- in the graph ---- */

static bool only_moves(const oxp_node *node)
{
    const oxp_op *op = node->op;
    return (op->flags & OXP_OP_IDENTITY) || oxp_op_rounds(op) || op == &oxp_op_Reshape ||
           op == &oxp_op_Flatten || op == &oxp_op_Squeeze || op == &oxp_op_Unsqueeze ||
           op == &oxp_op_Slice || op == &oxp_op_Transpose;
}

static bool is_link(const oxp_node *node)
{
    return node->op == &oxp_op_Softmax || node->op == &oxp_op_LogSoftmax ||
           node->op == &oxp_op_Sigmoid;
}

/* Divides by the sum: of a Softmax's result that is 1 (scikit-learn's classifiers do it). */
static bool makes_shares(const oxp_node *node)
{
    return node->op == &oxp_op_LpNormalization && oxp_attr_int(node, "p", 2) == 1;
}

/* Trees whose leaves hold how often each class came there */
static bool counts_classes(const oxp_node *node)
{
    const oxp_attr *w = oxp_attr_find(node, "class_weights");
    if (node->op != &oxp_op_ml_TreeEnsembleClassifier) return false;
    if (strcmp(oxp_attr_string(node, "post_transform", "NONE"), "NONE") != 0) return true;
    bool positive = w && w->n;
    for (size_t i = 0; positive && i < w->n; i++) positive = w->floats[i] >= 0.0;
    return positive;
}

/* The node that turns scores into probabilities, looking back from v; NULL when there is none. *shares: v
 * holds probabilities all the same. */
static const oxp_node *find_link(const oxp_graph *g, oxp_val v, bool *shares)
{
    *shares = false;
    for (;;) {
        const oxp_value *value = oxp_value_of(g, v);
        if (value->kind != OXP_VALUE_NODE) return NULL;
        const oxp_node *node = g->nodes[value->producer];
        if (is_link(node)) return *shares && node->op != &oxp_op_Softmax ? NULL : node;
        *shares = *shares || makes_shares(node) || counts_classes(node);
        if (!only_moves(node) && !makes_shares(node)) return NULL;
        v = node->in[0];
    }
}

/* Without a softmax to tell: axis 1 of (N,C), the channels of (N,C,space...), the features of
 * (N,T,C) tokens; (C) without a batch axis, none of (N). */
static int guess_class_axis(const oxp_graph *g, oxp_val v, size_t width)
{
    const oxp_shape *s = oxp_shape_at(g, v);
    const oxp_roles roles = oxp_roles_of(g, v);
    if (s->rank == 3 && roles.axes == OXP_AXES_UNKNOWN) return 2;
    if (roles.channel > 0) return roles.channel;
    if (s->rank == 1) return s->dim[0] == (int64_t)width ? -1 : 0;
    return s->rank >= 2 ? 1 : -1;
}

static oxp_status append_softmax(oxp_build *b, oxp_score *s)
{
    const int64_t classes = s->class_axis < 0 ? 1 : oxp_b_shape(b, s->target)->dim[s->class_axis];
    OXP_FAIL_IF(b->ctx, classes < 2, OXP_EINVAL,
                "space=prob needs a model with classes; this one has a single output and no "
                "Sigmoid: use space=output");
    s->probability = s->target =
        OXP_EMIT1(b, &oxp_op_Softmax, s->target, OXP_INT("axis", s->class_axis));
    s->note = "the model ends in scores: probabilities are their Softmax";
    return b->status;
}

oxp_status oxp_score_find(oxp_build *b, oxp_val output, oxp_space space, bool is_named_tensor,
                          size_t width, oxp_score *out)
{
    *out = (oxp_score){.target = output, .space = space};
    bool shares = false;
    const oxp_node *link = is_named_tensor ? NULL : find_link(b->g, output, &shares);
    out->class_axis = guess_class_axis(b->g, output, width);
    if (!link && shares) {
        out->note = "the model's output is probabilities, and taken as the score";
        out->probability = output;
        if (space == OXP_SPACE_LOGIT) out->space = OXP_SPACE_OUTPUT;
        return OXP_OK;
    }
    if (is_named_tensor || (!link && space != OXP_SPACE_PROB)) {
        if (!is_named_tensor && space == OXP_SPACE_LOGIT)
            out->note = "no Softmax or Sigmoid found: the model's output is taken as the score";
        out->bare = true;
        out->space = OXP_SPACE_OUTPUT;
        return OXP_OK;
    }
    if (!link) return append_softmax(b, out);
    const oxp_val scores = link->in[0], linked = link->out[0];
    const oxp_shape *shape = oxp_b_shape(b, scores);
    out->class_axis = guess_class_axis(b->g, scores, width);
    if (link->op != &oxp_op_Sigmoid) {
        const int64_t axis = oxp_attr_int(link, "axis", -1);
        out->class_axis = (int)(axis < 0 ? axis + shape->rank : axis);
    }
    out->binary =
        link->op == &oxp_op_Sigmoid && (out->class_axis < 0 || shape->dim[out->class_axis] == 1);
    out->probability = linked;
    out->log_probability = link->op == &oxp_op_LogSoftmax;
    if (space == OXP_SPACE_LOGIT) {
        out->target = scores;
    } else if (space == OXP_SPACE_PROB) {
        out->target = out->log_probability ? oxp_b_unary(b, &oxp_op_Exp, linked) : linked;
        out->probability = out->target;
        out->log_probability = false;
    }
    if (space == OXP_SPACE_OUTPUT) {
        out->binary = false;
        if (!oxp_shape_equal(oxp_b_shape(b, output), shape)) {
            out->class_axis = guess_class_axis(b->g, output, width);
            out->probability = OXP_NO_VAL;
        }
    }
    return b->status;
}

/* ---- on rows ---- */

oxp_classes oxp_classes_of(const oxp_shape *target, const oxp_score *score, bool batched)
{
    oxp_classes c = {.outer = 1, .classes = 1, .inner = 1, .count = 1, .binary = score->binary};
    for (int a = batched ? 1 : 0; a < target->rank; a++) {
        c.count *= target->dim[a];
        if (a < score->class_axis)
            c.outer *= target->dim[a];
        else if (a > score->class_axis)
            c.inner *= target->dim[a];
        else
            c.classes = target->dim[a];
    }
    return c;
}

static int64_t class_count(const oxp_classes *c)
{
    return c->binary ? 2 : c->classes;
}

double oxp_class_score(const oxp_classes *c, oxp_space space, const double *row, int64_t index)
{
    double sum = 0.0;
    const int64_t k = c->binary ? 0 : index;
    for (int64_t o = 0; o < c->outer; o++)
        for (int64_t i = 0; i < c->inner; i++) sum += row[(o * c->classes + k) * c->inner + i];
    if (!c->binary || index == 1) return sum;
    return space == OXP_SPACE_PROB ? (double)(c->outer * c->inner) - sum : -sum;
}

double oxp_target_score(const oxp_classes *c, oxp_space space, oxp_target_kind kind, int64_t index,
                        const double *row)
{
    double sum = 0.0;
    switch (kind) {
    case OXP_TARGET_ELEMENT:
        return row[index];
    case OXP_TARGET_SUM:
        for (int64_t i = 0; i < c->count; i++) sum += row[i];
        return sum;
    default:
        return oxp_class_score(c, space, row, index);
    }
}

/* The rank-th largest class score, rank from 1; ties go to the smaller index. */
static int64_t ranked(const oxp_classes *c, oxp_space space, const double *row, int64_t rank)
{
    int64_t found = -1;
    double bound = 0.0;
    for (int64_t r = 0; r < rank; r++) {
        int64_t best = -1;
        double best_score = 0.0;
        for (int64_t k = 0; k < class_count(c); k++) {
            const double score = oxp_class_score(c, space, row, k);
            const bool taken = found >= 0 && (score > bound || (score >= bound && k <= found));
            if (!isnan(score) && !taken && (best < 0 || score > best_score)) {
                best = k;
                best_score = score;
            }
        }
        if (best < 0) return -1;
        found = best;
        bound = best_score;
    }
    return found;
}

oxp_status oxp_target_resolve(oxp_ctx *ctx, const oxp_classes *c, oxp_space space,
                              oxp_target target, const double *row, int64_t but, int64_t *index)
{
    const int64_t n = class_count(c);
    switch (target.kind) {
    case OXP_TARGET_SUM:
        *index = 0;
        return OXP_OK;
    case OXP_TARGET_ELEMENT:
        OXP_FAIL_IF(ctx, target.index < 0 || target.index >= c->count, OXP_EINVAL,
                    "the target element %lld is outside the tensor's %lld elements",
                    (long long)target.index, (long long)c->count);
        *index = target.index;
        return OXP_OK;
    case OXP_TARGET_CLASS:
        OXP_FAIL_IF(ctx, target.index < 0 || target.index >= n, OXP_EINVAL,
                    "there is no class %lld: the model has classes 0 to %lld",
                    (long long)target.index, (long long)(n - 1));
        *index = target.index;
        return OXP_OK;
    case OXP_TARGET_TOP:
        OXP_FAIL_IF(ctx, target.index < 1 || target.index > n, OXP_EINVAL,
                    "there is no top %lld: the model has %lld classes", (long long)target.index,
                    (long long)n);
        OXP_FAIL_IF(ctx, but >= 0 && n < 2, OXP_EINVAL,
                    "a contrast needs a second class; this model has one output");
        *index = ranked(c, space, row, target.index);
        if (but >= 0 && *index == but) *index = ranked(c, space, row, target.index == 1 ? 2 : 1);
        OXP_FAIL_IF(ctx, *index < 0, OXP_EINVAL,
                    "the model's scores are not numbers (NaN): there is no top class");
        return OXP_OK;
    }
    return OXP_OK;
}

void oxp_seed_add(const oxp_classes *c, oxp_target_kind kind, int64_t index, double weight,
                  double *seed)
{
    if (kind == OXP_TARGET_ELEMENT) {
        seed[index] += weight;
        return;
    }
    if (kind == OXP_TARGET_SUM) {
        for (int64_t i = 0; i < c->count; i++) seed[i] += weight;
        return;
    }
    const int64_t k = c->binary ? 0 : index;
    const double sign = c->binary && index == 0 ? -weight : weight;
    for (int64_t o = 0; o < c->outer; o++)
        for (int64_t i = 0; i < c->inner; i++) seed[(o * c->classes + k) * c->inner + i] += sign;
}

/* Softmax over the classes of a row that has one position, for display only. */
static double softmax_of(const oxp_classes *c, const double *row, int64_t index)
{
    double most = row[0], sum = 0.0;
    for (int64_t k = 1; k < c->classes; k++) most = row[k] > most ? row[k] : most;
    for (int64_t k = 0; k < c->classes; k++) sum += exp(row[k] - most);
    return exp(row[index] - most) / sum;
}

static double probability_of(const oxp_classes *c, const oxp_score *score, const double *row,
                             const double *prob, int64_t index)
{
    if (c->outer * c->inner != 1) return (double)NAN;
    if (prob) {
        const double p = prob[c->binary ? 0 : index], q = score->log_probability ? exp(p) : p;
        return c->binary && index == 0 ? 1.0 - q : q;
    }
    return score->bare && c->classes > 1 ? softmax_of(c, row, index) : (double)NAN;
}

size_t oxp_top_classes(const oxp_classes *c, const oxp_score *score, const double *row,
                       const double *prob, oxp_top *top, size_t k)
{
    size_t n = 0;
    while (n < k && n < (size_t)class_count(c)) {
        const int64_t index = ranked(c, score->space, row, (int64_t)n + 1);
        if (index < 0) break;
        top[n++] = (oxp_top){index, oxp_class_score(c, score->space, row, index),
                             probability_of(c, score, row, prob, index)};
    }
    return n;
}
