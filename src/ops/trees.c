/* trees.c - ai.onnx.ml: ensembles of decision trees, forward only: their results are steps.
 *
 * Each tree is walked from its root: at a node one feature is compared with a number, NaN going where the
 * node says. Weights of the leaf reached are added up per class or target (or averaged, or their least or
 * greatest is taken), base values are added, then comes post_transform. A classifier of two classes with
 * weights for one of them only gives the other the rest. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>
#include <string.h>

typedef enum mode { LEQ, LT, GTE, GT, EQ, NEQ, LEAF, MEMBER } mode;

typedef struct tree_node {
    mode mode;
    int64_t feature, yes, no; /* yes, no: indices of nodes; of a leaf: its weights [yes, no) */
    double split;
    bool nan_is_yes;
    int64_t member, members; /* of MEMBER: the first of its values, and how many */
} tree_node;

typedef struct weight {
    int64_t leaf, target;
    double value;
} weight;

typedef struct forest {
    tree_node *nodes;
    int64_t n_nodes, n_roots, n_weights, n_targets;
    int64_t *roots;
    weight *weights;          /* sorted by leaf */
    const oxp_tensor *values; /* that nodes of mode MEMBER compare with */
    bool one_of_two;          /* classes */
    bool all_positive;
} forest;

/* ---- attributes ---- */

static bool is_classifier(const oxp_node *node)
{
    return node->op == &oxp_op_ml_TreeEnsembleClassifier;
}

/* Entry i of a list of numbers, which may be a tensor */
static double at(const oxp_attr *a, int64_t i)
{
    return a->type == OXP_ATTR_TENSOR ? oxp_tensor_get(a->t, i) : a->floats[i];
}

static int64_t length(const oxp_attr *a)
{
    return !a ? 0 : a->type == OXP_ATTR_TENSOR ? oxp_shape_elements(&a->t->shape) : (int64_t)a->n;
}

static const oxp_attr *floats_of(const oxp_node *node, const char *name, const char *tensor)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    return length(a) ? a : oxp_attr_find(node, tensor);
}

static int64_t targets_of(const oxp_node *node)
{
    const oxp_attr *labels = oxp_attr_find(node, "classlabels_int64s");
    if (!is_classifier(node)) return oxp_attr_int(node, "n_targets", 1);
    return length(labels) ? length(labels) : oxp_attr_int(node, "classes", 0);
}

static mode mode_named(const char *name, size_t n)
{
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
    for (size_t i = 0; i < OXP_COUNT(names); i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) return (mode)i;
    return MEMBER; /* none of version 1 to 3 */
}

#define TREE_FAIL_IF(ctx, node, cond) \
    OXP_NODE_FAIL_IF(ctx, node, cond, OXP_EINVAL, "has trees that do not hold %s", "together")

/* ---- versions 1 to 3: nodes are named by tree and number ---- */

static int64_t find_node(const int64_t *trees, const int64_t *ids, int64_t n, int64_t near,
                         int64_t tree, int64_t id)
{
    for (int64_t k = 0; k < n;
         k++) { /* mostly found in a few steps: nodes of a tree are together */
        const int64_t after = near + k, before = near - k;
        if (after < n && trees[after] == tree && ids[after] == id) return after;
        if (before >= 0 && trees[before] == tree && ids[before] == id) return before;
    }
    return -1;
}

static int by_leaf(const weight *a, const weight *b)
{
    return a->leaf < b->leaf ? -1 : a->leaf > b->leaf;
}

/* Stable, in place; files have them sorted already */
static void sort_weights(weight *w, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        const weight one = w[i];
        int64_t k = i;
        for (; k > 0 && by_leaf(&w[k - 1], &one) > 0; k--) w[k] = w[k - 1];
        w[k] = one;
    }
}

/* Leaves get the range of their weights. */
static void assign_weights(forest *f)
{
    for (int64_t i = 0; i < f->n_nodes; i++)
        if (f->nodes[i].mode == LEAF) f->nodes[i].yes = f->nodes[i].no = 0;
    for (int64_t i = 0; i < f->n_weights;) {
        const int64_t leaf = f->weights[i].leaf, first = i;
        while (i < f->n_weights && f->weights[i].leaf == leaf) i++;
        f->nodes[leaf].yes = first;
        f->nodes[leaf].no = i;
    }
}

static oxp_status read_weights(oxp_ctx *ctx, const oxp_node *node, const int64_t *trees,
                               const int64_t *ids, forest *f)
{
    const bool classes = is_classifier(node);
    const oxp_attr *values = classes
                                 ? floats_of(node, "class_weights", "class_weights_as_tensor")
                                 : floats_of(node, "target_weights", "target_weights_as_tensor");
    const oxp_attr *of_tree = oxp_attr_find(node, classes ? "class_treeids" : "target_treeids");
    const oxp_attr *of_node = oxp_attr_find(node, classes ? "class_nodeids" : "target_nodeids");
    const oxp_attr *to = oxp_attr_find(node, classes ? "class_ids" : "target_ids");
    int64_t near = 0, first_class = -1;
    f->n_weights = length(values);
    f->weights = OXP_NEW(ctx->scratch, weight, f->n_weights + 1);
    OXP_NOMEM_IF(ctx, f->weights);
    TREE_FAIL_IF(ctx, node,
                 length(of_tree) != f->n_weights || length(of_node) != f->n_weights ||
                     length(to) != f->n_weights);
    f->all_positive = true;
    f->one_of_two = classes && f->n_targets == 2;
    for (int64_t i = 0; i < f->n_weights; i++) {
        near = find_node(trees, ids, f->n_nodes, near, of_tree->ints[i], of_node->ints[i]);
        TREE_FAIL_IF(ctx, node,
                     near < 0 || f->nodes[near].mode != LEAF || to->ints[i] < 0 ||
                         to->ints[i] >= f->n_targets);
        f->weights[i] = (weight){near, to->ints[i], at(values, i)};
        if (first_class < 0) first_class = to->ints[i];
        f->one_of_two = f->one_of_two && to->ints[i] == first_class;
        f->all_positive = f->all_positive && f->weights[i].value >= 0.0;
    }
    sort_weights(f->weights, f->n_weights);
    assign_weights(f);
    return OXP_OK;
}

static oxp_status read_modes(oxp_ctx *ctx, const oxp_node *node, forest *f)
{
    const char *text = oxp_attr_string(node, "nodes_modes", "");
    for (int64_t i = 0; i < f->n_nodes; i++) {
        const size_t n = strcspn(text, ",");
        f->nodes[i].mode = mode_named(text, n);
        TREE_FAIL_IF(ctx, node,
                     f->nodes[i].mode == MEMBER || (text[n] == '\0') != (i + 1 == f->n_nodes));
        text += n + (text[n] == ',');
    }
    return OXP_OK;
}

static oxp_status read_named(oxp_ctx *ctx, const oxp_node *node, forest *f)
{
    const oxp_attr *ids = oxp_attr_find(node, "nodes_nodeids"),
                   *trees = oxp_attr_find(node, "nodes_treeids"),
                   *features = oxp_attr_find(node, "nodes_featureids"),
                   *yes = oxp_attr_find(node, "nodes_truenodeids"),
                   *no = oxp_attr_find(node, "nodes_falsenodeids"),
                   *nan = oxp_attr_find(node, "nodes_missing_value_tracks_true"),
                   *splits = floats_of(node, "nodes_values", "nodes_values_as_tensor");
    const int64_t n = f->n_nodes = length(ids);
    TREE_FAIL_IF(ctx, node,
                 n < 1 || length(trees) != n || length(features) != n || length(yes) != n ||
                     length(no) != n || length(splits) != n || (length(nan) && length(nan) != n));
    f->nodes = OXP_NEW(ctx->scratch, tree_node, n);
    f->roots = OXP_NEW(ctx->scratch, int64_t, n);
    OXP_FAIL_IF(ctx, !f->nodes || !f->roots, OXP_ENOMEM, "out of memory");
    OXP_TRY(read_modes(ctx, node, f));
    for (int64_t i = 0; i < n; i++) {
        tree_node *t = &f->nodes[i];
        t->feature = features->ints[i];
        t->split = at(splits, i);
        t->nan_is_yes = length(nan) && nan->ints[i] != 0;
        if (i == 0 || trees->ints[i] != trees->ints[i - 1]) f->roots[f->n_roots++] = i;
        if (t->mode == LEAF) continue;
        t->yes = find_node(trees->ints, ids->ints, n, i, trees->ints[i], yes->ints[i]);
        t->no = find_node(trees->ints, ids->ints, n, i, trees->ints[i], no->ints[i]);
        TREE_FAIL_IF(ctx, node, t->yes <= i || t->no <= i);
    }
    return read_weights(ctx, node, trees->ints, ids->ints, f);
}

/* ---- version 5: nodes are their positions, leaves a list of their own behind them ---- */

static int64_t child(const oxp_attr *ids, const oxp_attr *leafs, int64_t i, int64_t n, int64_t all)
{
    const bool leaf = leafs->ints[i] != 0;
    const int64_t k = ids->ints[i];
    if (k < 0 || k >= (leaf ? all - n : n)) return -1;
    return leaf ? n + k : k;
}

/* Members of each node that has some end with NaN. */
static bool read_members(const oxp_node *node, forest *f, int64_t n)
{
    const oxp_attr *values = oxp_attr_find(node, "membership_values");
    int64_t at_value = 0;
    f->values = values ? values->t : NULL;
    for (int64_t i = 0; i < n; i++) {
        tree_node *t = &f->nodes[i];
        if (t->mode != MEMBER) continue;
        t->member = at_value;
        while (at_value < length(values) && !isnan(at(values, at_value))) at_value++;
        t->members = at_value - t->member;
        if (at_value++ >= length(values)) return false;
    }
    return true;
}

/* An interior node with both children the same leaf is a tree of one leaf: walking it needs no more. */
static oxp_status read_indexed(oxp_ctx *ctx, const oxp_node *node, forest *f)
{
    static const mode modes[] = {LEQ, LT, GTE, GT, EQ, NEQ, MEMBER};
    const oxp_attr *features = oxp_attr_find(node, "nodes_featureids"),
                   *splits = oxp_attr_find(node, "nodes_splits"),
                   *kinds = oxp_attr_find(node, "nodes_modes"),
                   *yes = oxp_attr_find(node, "nodes_truenodeids"),
                   *no = oxp_attr_find(node, "nodes_falsenodeids"),
                   *yes_leaf = oxp_attr_find(node, "nodes_trueleafs"),
                   *no_leaf = oxp_attr_find(node, "nodes_falseleafs"),
                   *nan = oxp_attr_find(node, "nodes_missing_value_tracks_true"),
                   *roots = oxp_attr_find(node, "tree_roots"),
                   *weights = oxp_attr_find(node, "leaf_weights"),
                   *to = oxp_attr_find(node, "leaf_targetids");
    const int64_t n = length(features), leaves = length(weights);
    f->n_nodes = n + leaves;
    f->n_weights = leaves;
    f->n_roots = length(roots);
    TREE_FAIL_IF(ctx, node,
                 n < 1 || length(splits) != n || length(kinds) != n || length(yes) != n ||
                     length(no) != n || length(yes_leaf) != n || length(no_leaf) != n ||
                     length(to) != leaves || (length(nan) && length(nan) != n));
    f->nodes = OXP_NEW(ctx->scratch, tree_node, f->n_nodes);
    f->roots = OXP_NEW(ctx->scratch, int64_t, f->n_roots + 1);
    f->weights = OXP_NEW(ctx->scratch, weight, leaves + 1);
    OXP_FAIL_IF(ctx, !f->nodes || !f->roots || !f->weights, OXP_ENOMEM, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        const int64_t kind = oxp_tensor_get_int(kinds->t, i);
        TREE_FAIL_IF(ctx, node, kind < 0 || kind >= (int64_t)OXP_COUNT(modes));
        f->nodes[i] = (tree_node){.mode = modes[kind],
                                  .feature = features->ints[i],
                                  .split = at(splits, i),
                                  .nan_is_yes = length(nan) && nan->ints[i] != 0,
                                  .yes = child(yes, yes_leaf, i, n, f->n_nodes),
                                  .no = child(no, no_leaf, i, n, f->n_nodes)};
        TREE_FAIL_IF(ctx, node, f->nodes[i].yes <= i || f->nodes[i].no <= i);
    }
    for (int64_t i = 0; i < leaves; i++) {
        TREE_FAIL_IF(ctx, node, to->ints[i] < 0 || to->ints[i] >= f->n_targets);
        f->weights[i] = (weight){n + i, to->ints[i], at(weights, i)};
        f->nodes[n + i] = (tree_node){.mode = LEAF, .yes = i, .no = i + 1};
    }
    for (int64_t i = 0; i < f->n_roots; i++) {
        f->roots[i] = roots->ints[i];
        TREE_FAIL_IF(ctx, node, f->roots[i] < 0 || f->roots[i] >= n);
    }
    TREE_FAIL_IF(ctx, node, !read_members(node, f, n));
    return OXP_OK;
}

static oxp_status read_forest(oxp_ctx *ctx, const oxp_node *node, forest *f)
{
    *f = (forest){.n_targets = targets_of(node)};
    OXP_NODE_FAIL_IF(ctx, node, f->n_targets < 1 || f->n_targets > INT32_MAX, OXP_ECORRUPT,
                     "names %lld classes or targets", (long long)f->n_targets);
    OXP_TRY(node->op == &oxp_op_ml_TreeEnsemble ? read_indexed(ctx, node, f)
                                                : read_named(ctx, node, f));
    for (int64_t i = 0; i < f->n_nodes; i++)
        TREE_FAIL_IF(ctx, node, f->nodes[i].mode != LEAF && f->nodes[i].feature < 0);
    return OXP_OK;
}

/* ---- walking ---- */

/* In float, as features come: a split that was written in double still finds the feature that it is equal to. */
static bool goes_yes(const forest *f, const tree_node *t, double feature)
{
    const double x = (double)(float)feature, split = (double)(float)t->split;
    if (isnan(x)) return t->nan_is_yes;
    for (int64_t i = t->member; t->mode == MEMBER && i < t->member + t->members; i++) {
        const double v = (double)(float)oxp_tensor_get(f->values, i);
        if (x >= v && x <= v) return true;
    }
    switch (t->mode) {
    case LEQ:
        return x <= split;
    case LT:
        return x < split;
    case GTE:
        return x >= split;
    case GT:
        return x > split;
    case EQ:
        return x >= split && x <= split;
    case NEQ:
        return x < split || x > split;
    default:
        return false;
    }
}

static const tree_node *leaf_of(const forest *f, int64_t root, const double *x)
{
    const tree_node *t = &f->nodes[root];
    while (t->mode != LEAF) t = &f->nodes[goes_yes(f, t, x[t->feature]) ? t->yes : t->no];
    return t;
}

typedef enum aggregate { SUM, AVERAGE, LEAST, GREATEST } aggregate;

static aggregate aggregate_of(const oxp_node *node)
{
    static const aggregate numbered[] = {AVERAGE, SUM, LEAST, GREATEST};
    const int64_t number = oxp_attr_int(node, "aggregate_function", 1);
    if (node->op == &oxp_op_ml_TreeEnsemble)
        return number >= 0 && number < 4 ? numbered[number] : SUM;
    const char *name = oxp_attr_string(node, "aggregate_function", "SUM");
    return strcmp(name, "AVERAGE") == 0 ? AVERAGE
           : strcmp(name, "MIN") == 0   ? LEAST
           : strcmp(name, "MAX") == 0   ? GREATEST
                                        : SUM;
}

/* seen: which targets have a weight so far */
static void add_leaf(const forest *f, const tree_node *leaf, aggregate how, double *y, bool *seen)
{
    for (int64_t i = leaf->yes; i < leaf->no; i++) {
        const weight *w = &f->weights[i];
        double *to = &y[f->one_of_two ? 0 : w->target];
        bool *first = &seen[f->one_of_two ? 0 : w->target];
        if (!*first || how == SUM || how == AVERAGE)
            *to += w->value;
        else
            *to = how == LEAST ? fmin(*to, w->value) : fmax(*to, w->value);
        *first = true;
    }
}

static void transform(const oxp_node *node, double *y, int64_t n)
{
    static const char *const numbered[] = {"NONE", "SOFTMAX", "LOGISTIC"};
    const char *post = node->op == &oxp_op_ml_TreeEnsemble
                           ? numbered[oxp_attr_int(node, "post_transform", 0) % 3]
                           : oxp_attr_string(node, "post_transform", "NONE");
    const bool softmax = strcmp(post, "SOFTMAX") == 0, logistic = strcmp(post, "LOGISTIC") == 0;
    double top = -(double)INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, y[i]);
    for (int64_t i = 0; softmax && i < n; i++) sum += y[i] = exp(y[i] - top);
    for (int64_t i = 0; softmax && i < n; i++) y[i] /= sum;
    for (int64_t i = 0; logistic && i < n; i++) y[i] = 1.0 / (1.0 + exp(-y[i]));
}

/* Both classes' scores from the one that has weights; which of them it is. */
static int64_t other_class(const oxp_node *node, const forest *f, double *y)
{
    const double s = y[0];
    y[1] = s;
    if (f->all_positive) {
        y[0] = 1.0 - s;
        return s > 0.5;
    }
    y[0] = -s;
    transform(node, y, 2);
    return s > 0.0;
}

static int64_t score_row(const oxp_node *node, const forest *f, const double *x, double *y,
                         bool *seen)
{
    const aggregate how = aggregate_of(node);
    const oxp_attr *base = floats_of(node, "base_values", "base_values_as_tensor");
    const int64_t n = f->n_targets, bases = length(base);
    int64_t best = 0;
    for (int64_t i = 0; i < n; i++) {
        y[i] = 0.0;
        seen[i] = false;
    }
    for (int64_t r = 0; r < f->n_roots; r++) add_leaf(f, leaf_of(f, f->roots[r], x), how, y, seen);
    for (int64_t i = 0; how == AVERAGE && i < n; i++) y[i] /= (double)f->n_roots;
    if (f->one_of_two) {
        if (bases) y[0] += at(base, bases - 1);
        return other_class(node, f, y);
    }
    for (int64_t i = 0; i < n && bases; i++) y[i] += at(base, bases == n ? i : 0);
    for (int64_t i = 1; i < n; i++)
        if (y[i] > y[best]) best = i;
    transform(node, y, n);
    return best;
}

static oxp_status tree_ref(const oxp_call *call)
{
    forest f;
    const oxp_attr *labels = oxp_attr_find(call->node, "classlabels_int64s");
    const bool classes = is_classifier(call->node);
    OXP_TRY(read_forest(call->ctx, call->node, &f));
    const oxp_shape *x = &call->in_shape[0];
    const int64_t features = x->dim[x->rank - 1], rows = x->rank == 2 ? x->dim[0] : 1;
    double *y = OXP_NEW(call->scratch, double, f.n_targets);
    bool *seen = OXP_NEW(call->scratch, bool, f.n_targets);
    OXP_FAIL_IF(call->ctx, !y || !seen, OXP_ENOMEM, "out of memory");
    for (int64_t r = 0; r < rows; r++) {
        const int64_t best = score_row(call->node, &f, call->in[0] + r * features, y, seen);
        double *to = !classes ? call->out[0] : call->node->n_out > 1 ? call->out[1] : NULL;
        if (to) memcpy(to + r * f.n_targets, y, (size_t)f.n_targets * sizeof *y);
        if (classes) call->out[0][r] = (double)(length(labels) ? labels->ints[best] : best);
    }
    return OXP_OK;
}

static oxp_status tree_infer(oxp_infer *inf)
{
    forest f;
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const oxp_node *node = inf->node;
    OXP_NODE_FAIL_IF(inf->ctx, node, x->rank < 1 || x->rank > 2, OXP_EINVAL,
                     "expects rows of features, found rank %d", x->rank);
    OXP_TRY(read_forest(inf->ctx, node, &f));
    for (int64_t i = 0; i < f.n_nodes; i++)
        OXP_NODE_FAIL_IF(inf->ctx, node,
                         f.nodes[i].mode != LEAF && f.nodes[i].feature >= x->dim[x->rank - 1],
                         OXP_EINVAL, "asks for feature %lld of %lld", (long long)f.nodes[i].feature,
                         (long long)x->dim[x->rank - 1]);
    const oxp_attr *base = floats_of(node, "base_values", "base_values_as_tensor");
    const int64_t bases = length(base);
    OXP_NODE_FAIL_IF(inf->ctx, node, bases > 1 && bases != f.n_targets, OXP_ECORRUPT,
                     "has %lld base values for %lld results", (long long)bases,
                     (long long)f.n_targets);
    const oxp_shape y = {.rank = 2, .dim = {x->rank == 2 ? x->dim[0] : 1, f.n_targets}};
    const oxp_shape labels = {.rank = 1, .dim = {y.dim[0]}};
    if (!is_classifier(node)) return oxp_infer_out(inf, 0, OXP_F32, &y);
    OXP_TRY(oxp_infer_out(inf, 0, OXP_I64, &labels));
    return node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_F32, &y) : OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
#define TREE_ATTRS                                                                                                     \
    {"base_values", OXP_ATTR_FLOATS, NULL}, {"base_values_as_tensor", OXP_ATTR_TENSOR, NULL},                          \
    {"nodes_falsenodeids", OXP_ATTR_INTS, NULL}, {"nodes_featureids", OXP_ATTR_INTS, NULL},                            \
    {"nodes_hitrates", OXP_ATTR_FLOATS, NULL}, {"nodes_hitrates_as_tensor", OXP_ATTR_TENSOR, NULL},                    \
    {"nodes_missing_value_tracks_true", OXP_ATTR_INTS, NULL}, {"nodes_modes", OXP_ATTR_STRINGS, NULL},                 \
    {"nodes_nodeids", OXP_ATTR_INTS, NULL}, {"nodes_treeids", OXP_ATTR_INTS, NULL},                                    \
    {"nodes_truenodeids", OXP_ATTR_INTS, NULL}, {"nodes_values", OXP_ATTR_FLOATS, NULL},                               \
    {"nodes_values_as_tensor", OXP_ATTR_TENSOR, NULL}, {"post_transform", OXP_ATTR_STRING, "NONE,SOFTMAX,LOGISTIC"}
static const oxp_attr_spec classifier_attrs[] = {
    TREE_ATTRS, {"class_ids", OXP_ATTR_INTS, NULL}, {"class_nodeids", OXP_ATTR_INTS, NULL},
    {"class_treeids", OXP_ATTR_INTS, NULL}, {"class_weights", OXP_ATTR_FLOATS, NULL},
    {"class_weights_as_tensor", OXP_ATTR_TENSOR, NULL}, {"classes", OXP_ATTR_INT, NULL},
    {"classlabels_int64s", OXP_ATTR_INTS, NULL}, {"classlabels_strings", OXP_ATTR_STRINGS, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec regressor_attrs[] = {
    TREE_ATTRS, {"aggregate_function", OXP_ATTR_STRING, "SUM,AVERAGE,MIN,MAX"}, {"n_targets", OXP_ATTR_INT, NULL},
    {"target_ids", OXP_ATTR_INTS, NULL}, {"target_nodeids", OXP_ATTR_INTS, NULL},
    {"target_treeids", OXP_ATTR_INTS, NULL}, {"target_weights", OXP_ATTR_FLOATS, NULL},
    {"target_weights_as_tensor", OXP_ATTR_TENSOR, NULL}, {NULL, 0, NULL}};

static const oxp_attr_spec ensemble_attrs[] = {
    {"aggregate_function", OXP_ATTR_INT, "0,1,2,3"}, {"leaf_targetids", OXP_ATTR_INTS, NULL},
    {"leaf_weights", OXP_ATTR_TENSOR, NULL}, {"membership_values", OXP_ATTR_TENSOR, NULL},
    {"n_targets", OXP_ATTR_INT, NULL}, {"nodes_falseleafs", OXP_ATTR_INTS, NULL},
    {"nodes_falsenodeids", OXP_ATTR_INTS, NULL}, {"nodes_featureids", OXP_ATTR_INTS, NULL},
    {"nodes_hitrates", OXP_ATTR_TENSOR, NULL}, {"nodes_missing_value_tracks_true", OXP_ATTR_INTS, NULL},
    {"nodes_modes", OXP_ATTR_TENSOR, NULL}, {"nodes_splits", OXP_ATTR_TENSOR, NULL},
    {"nodes_trueleafs", OXP_ATTR_INTS, NULL}, {"nodes_truenodeids", OXP_ATTR_INTS, NULL},
    {"post_transform", OXP_ATTR_INT, "0,1,2"}, {"tree_roots", OXP_ATTR_INTS, NULL}, {NULL, 0, NULL}};

#define TREES(symbol, outputs, list)                                                                                   \
    const oxp_op oxp_op_ml_##symbol = {                                                                                \
        .name = "ai.onnx.ml::" #symbol, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = (outputs), .since = 1,      \
        .flags = OXP_OP_NOT_DIFFERENTIABLE, .attrs = list, .infer = tree_infer, .ref = tree_ref,                       \
        .lower = oxp_lower_by_ref}
TREES(TreeEnsembleClassifier, 2, classifier_attrs);
TREES(TreeEnsembleRegressor, 1, regressor_attrs);
TREES(TreeEnsemble, 1, ensemble_attrs);
/* clang-format on */
