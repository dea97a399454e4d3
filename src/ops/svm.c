/* svm.c - ai.onnx.ml's support vector machines: SVMRegressor and SVMClassifier.
 *
 *   K(x, s)   LINEAR x.s, POLY (gamma x.s + coef0)^degree, SIGMOID tanh(gamma x.s + coef0), RBF exp(-gamma |x - s|^2)
 *   regressor: sum_v c_v K(x, s_v) + rho; without vectors c.x + rho; one_class: its sign
 *   classifier: for each pair of classes i < j the sum over the vectors of both of c K + rho; who is above 0 gets a
 *   vote. Scores: those of the pairs; for two classes (-s, s), or with prob_a and prob_b the probabilities p, 1 - p,
 *   p = 1 / (1 + exp(prob_a s + prob_b)).
 *
 * As ONNX Runtime has it (docs/decisions.md), except that its probabilities are an iteration's, to some 1e-3. Those of more classes
 * are nothing but such an iteration: they are refused. Specialisation puts the parts in the nodes' place. */
#include "ops/infer.h"
#include "ops/unary.h"

#include <math.h>
#include <string.h>

enum { MOST_CLASSES = 1024, MOST_WEIGHTS = 1 << 28 };
typedef enum kernel { LINEAR, POLY, RBF, SIGMOID } kernel;

typedef struct machine {
    kernel kind;
    double gamma, coef0, degree;
    int64_t rows, features, vectors; /* vectors 0: the coefficients are the one that there is */
    int64_t classes, pairs;          /* of a classifier */
    const double *support, *coefficients, *rho;
    const int64_t *per_class;
    double prob_a, prob_b;
    bool is_classifier, has_prob;
} machine;

static const double *numbers(const oxp_node *node, const char *name, size_t *n)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    *n = a ? a->n : 0;
    return a && a->n ? a->floats : NULL;
}

static bool read_kernel(const oxp_node *node, machine *m)
{
    const char *kind = oxp_attr_string(node, "kernel_type", "LINEAR");
    size_t n;
    const double *params = numbers(node, "kernel_params", &n);
    m->kind = strcmp(kind, "POLY") == 0      ? POLY
              : strcmp(kind, "RBF") == 0     ? RBF
              : strcmp(kind, "SIGMOID") == 0 ? SIGMOID
                                             : LINEAR;
    if (n == 3) {
        m->gamma = params[0];
        m->coef0 = params[1];
        m->degree = params[2];
    }
    return n == 3 || (n == 0 && m->kind == LINEAR);
}

/* Vectors and coefficients of a classifier, by classes. */
static bool read_classes(const oxp_node *node, machine *m, size_t n_coefficients, size_t n_rho)
{
    const oxp_attr *ints = oxp_attr_find(node, "classlabels_ints");
    size_t n, n_a, n_b;
    m->per_class = oxp_attr_ints(node, "vectors_per_class", &n);
    m->classes = ints && ints->n ? (int64_t)ints->n : oxp_attr_int(node, "classes", 0);
    if (m->classes < 2 || m->classes > MOST_CLASSES || (int64_t)n != m->classes) return false;
    for (size_t i = 0; i < n; i++) {
        if (m->per_class[i] < 0 || m->per_class[i] > INT32_MAX) return false;
        m->vectors += m->per_class[i];
    }
    m->pairs = m->classes * (m->classes - 1) / 2;
    const double *a = numbers(node, "prob_a", &n_a), *b = numbers(node, "prob_b", &n_b);
    m->has_prob = n_a > 0;
    if (m->has_prob && n_a == n_b) {
        m->prob_a = a[0];
        m->prob_b = b[0];
    }
    return m->vectors > 0 && n_a == n_b && (int64_t)n_rho >= m->pairs &&
           (int64_t)n_coefficients == (m->classes - 1) * m->vectors &&
           m->vectors <= MOST_WEIGHTS / m->pairs;
}

static oxp_status read_machine(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, machine *m)
{
    size_t n_support, n_coefficients, n_rho;
    *m = (machine){.is_classifier = node->op == &oxp_op_ml_SVMClassifier,
                   .support = numbers(node, "support_vectors", &n_support),
                   .coefficients = numbers(node, "coefficients", &n_coefficients),
                   .rho = numbers(node, "rho", &n_rho)};
    OXP_NODE_FAIL_IF(ctx, node, x->rank < 1 || x->rank > 2, OXP_EINVAL,
                     "expects rows of features, found rank %d", x->rank);
    m->features = x->dim[x->rank - 1];
    m->rows = x->rank == 2 ? x->dim[0] : 1;
    bool fits = read_kernel(node, m) && n_rho > 0 && m->features > 0;
    if (m->is_classifier) {
        fits = fits && read_classes(node, m, n_coefficients, n_rho);
    } else {
        m->vectors = oxp_attr_int(node, "n_supports", 0);
        fits = fits && m->vectors >= 0 && m->vectors <= INT32_MAX &&
               (int64_t)n_coefficients == (m->vectors ? m->vectors : m->features) &&
               (m->vectors || m->kind == LINEAR);
    }
    fits = fits && (m->vectors == 0 || ((int64_t)n_support % m->vectors == 0 &&
                                        (int64_t)n_support / m->vectors == m->features));
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EUNSUPPORTED,
                     "has vectors, coefficients or settings that do not fit %lld features",
                     (long long)m->features);
    OXP_NODE_FAIL_IF(ctx, node, m->has_prob && m->classes > 2, OXP_EUNSUPPORTED,
                     "gives probabilities of %lld classes: export its decision function",
                     (long long)m->classes);
    const char *post = oxp_attr_string(node, "post_transform", "NONE");
    OXP_NODE_FAIL_IF(
        ctx, node,
        m->is_classifier && m->classes == 2 &&
            (strcmp(post, "SOFTMAX") == 0 || (m->has_prob && strcmp(post, "NONE") != 0)),
        OXP_EUNSUPPORTED, "of two classes cannot be followed by %s", post);
    return OXP_OK;
}

static int64_t scores_of(const machine *m)
{
    return m->classes == 2 ? 2 : m->pairs;
}

static oxp_status infer_svm(oxp_infer *inf)
{
    machine m;
    OXP_TRY(read_machine(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &m));
    const oxp_shape y = {.rank = 2, .dim = {m.rows, m.is_classifier ? scores_of(&m) : 1}};
    const oxp_shape labels = {.rank = 1, .dim = {m.rows}};
    if (!m.is_classifier) return oxp_infer_out(inf, 0, OXP_F32, &y);
    OXP_TRY(oxp_infer_out(inf, 0, OXP_I64, &labels));
    return inf->node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_F32, &y) : OXP_OK;
}

/* ---- ref ---- */

static double kernel_of(const machine *m, const double *x, const double *s)
{
    double dot = 0.0, far = 0.0;
    for (int64_t i = 0; i < m->features; i++) {
        dot += x[i] * s[i];
        far += (x[i] - s[i]) * (x[i] - s[i]);
    }
    switch (m->kind) {
    case POLY:
        return pow(m->gamma * dot + m->coef0, m->degree);
    case RBF:
        return exp(-m->gamma * far);
    case SIGMOID:
        return tanh(m->gamma * dot + m->coef0);
    default:
        return dot;
    }
}

/* What vector v, of class `own`, weighs in the pair i < j. */
static double weight_in_pair(const machine *m, int64_t v, int64_t own, int64_t i, int64_t j)
{
    if (own != i && own != j) return 0.0;
    return m->coefficients[(own == i ? j - 1 : i) * m->vectors + v];
}

/* The pairs' sums and each class's votes. */
static void decide(const machine *m, const double *x, double *sums, int64_t *votes)
{
    int64_t pair = 0;
    for (int64_t c = 0; c < m->classes; c++) votes[c] = 0;
    for (int64_t i = 0; i < m->classes; i++)
        for (int64_t j = i + 1; j < m->classes; j++, pair++) {
            double sum = m->rho[pair];
            int64_t v = 0;
            for (int64_t own = 0; own < m->classes; own++)
                for (int64_t k = 0; k < m->per_class[own]; k++, v++)
                    sum += weight_in_pair(m, v, own, i, j) *
                           kernel_of(m, x, m->support + v * m->features);
            sums[pair] = sum;
            votes[sum > 0.0 ? i : j]++;
        }
}

static void transform(const oxp_node *node, const machine *m, const double *sums, double *y)
{
    const char *post = oxp_attr_string(node, "post_transform", "NONE");
    const int64_t n = scores_of(m);
    double top = -(double)INFINITY, all = 0.0;
    for (int64_t k = 0; k < n; k++) {
        y[k] = m->classes > 2 ? sums[k] : k ? sums[0] : -sums[0];
        if (strcmp(post, "LOGISTIC") == 0) y[k] = 1.0 / (1.0 + exp(-y[k]));
        top = fmax(top, y[k]);
    }
    for (int64_t k = 0; strcmp(post, "SOFTMAX") == 0 && k < n; k++) all += exp(y[k] - top);
    for (int64_t k = 0; all > 0.0 && k < n; k++) y[k] = exp(y[k] - top) / all;
    if (!m->has_prob) return;
    y[0] = 1.0 / (1.0 + exp(m->prob_a * sums[0] + m->prob_b));
    y[1] = 1.0 - y[0];
}

static double regress(const oxp_node *node, const machine *m, const double *x)
{
    double y = m->rho[0];
    for (int64_t v = 0; v < m->vectors; v++)
        y += m->coefficients[v] * kernel_of(m, x, m->support + v * m->features);
    if (m->vectors == 0) y += kernel_of(m, x, m->coefficients);
    if (oxp_attr_int(node, "one_class", 0)) return y > 0.0 ? 1.0 : -1.0;
    return y;
}

static oxp_status ref_svm(const oxp_call *call)
{
    const oxp_attr *labels = oxp_attr_find(call->node, "classlabels_ints");
    machine m;
    OXP_TRY(read_machine(call->ctx, call->node, &call->in_shape[0], &m));
    double *sums = OXP_NEW(call->scratch, double, (size_t)m.pairs + 1);
    int64_t *votes = OXP_NEW(call->scratch, int64_t, (size_t)m.classes + 1);
    OXP_FAIL_IF(call->ctx, !sums || !votes, OXP_ENOMEM, "out of memory");
    for (int64_t r = 0; r < m.rows; r++) {
        const double *x = call->in[0] + r * m.features;
        int64_t best = 0;
        if (!m.is_classifier) {
            call->out[0][r] = regress(call->node, &m, x);
            continue;
        }
        decide(&m, x, sums, votes);
        for (int64_t c = 1; c < m.classes; c++)
            if (votes[c] > votes[best]) best = c;
        if (call->out[0])
            call->out[0][r] = (double)(labels && labels->n ? labels->ints[best] : best);
        if (call->node->n_out > 1 && call->out[1])
            transform(call->node, &m, sums, call->out[1] + r * scores_of(&m));
    }
    return OXP_OK;
}

/* ---- expand ---- */

/* A constant (rows, columns) to be filled; NULL after a failure. */
static double *new_matrix(oxp_build *b, int64_t rows, int64_t columns, oxp_val *out)
{
    const oxp_shape shape = {.rank = 2, .dim = {rows, columns}};
    if (b->status != OXP_OK) return NULL;
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    b->status = t ? oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &shape, t)
                  : oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status != OXP_OK) return NULL;
    *out = oxp_b_const(b, OXP_F32, t);
    return (double *)(uintptr_t)t->data;
}

static oxp_val emit_matrix(oxp_build *b, const double *from, int64_t rows, int64_t columns)
{
    oxp_val out = OXP_NO_VAL;
    double *to = new_matrix(b, rows, columns, &out);
    if (to) memcpy(to, from, (size_t)(rows * columns) * sizeof *to);
    return out;
}

/* x (rows,features) against s (n,features): (rows,n) */
static oxp_val emit_kernel(oxp_build *b, const machine *m, oxp_val x, oxp_val s, int64_t n)
{
    if (m->kind == RBF) { /* differences, since |x|^2 + |s|^2 - 2 x.s cancels in float */
        const oxp_shape one = {.rank = 3, .dim = {m->rows, 1, m->features}},
                        all = {.rank = 3, .dim = {1, n, m->features}};
        const oxp_val off = oxp_b_sub(b, oxp_b_reshape(b, x, &one), oxp_b_reshape(b, s, &all));
        const int64_t last = 2;
        const oxp_val far = oxp_b_reduce_sum(b, oxp_b_mul(b, off, off), &last, 1, false);
        return oxp_b_unary(b, &oxp_op_Exp, oxp_b_scaled(b, far, -m->gamma));
    }
    const oxp_attr transposed = OXP_INT("transB", 1);
    const oxp_val dot = oxp_emit(b, &oxp_op_Gemm, (const oxp_val[]){x, s}, 2, &transposed, 1);
    if (m->kind == LINEAR) return dot;
    const oxp_val moved = oxp_b_add(b, oxp_b_scaled(b, dot, m->gamma), oxp_b_scalar(b, m->coef0));
    return m->kind == SIGMOID ? oxp_b_unary(b, &oxp_op_Tanh, moved)
                              : oxp_b_pow(b, moved, oxp_b_scalar(b, m->degree));
}

static void expand_regressor(oxp_build *b, const oxp_node *node, const machine *m, oxp_val x,
                             oxp_val *out)
{
    oxp_val y = x;
    if (m->vectors)
        y = emit_kernel(b, m, x, emit_matrix(b, m->support, m->vectors, m->features), m->vectors);
    const int64_t n = m->vectors ? m->vectors : m->features;
    y = oxp_b_matmul(b, y, emit_matrix(b, m->coefficients, n, 1));
    y = oxp_b_add(b, y, oxp_b_scalar(b, m->rho[0]));
    if (oxp_attr_int(node, "one_class", 0))
        y = oxp_b_where(b, oxp_b_greater(b, y, oxp_b_scalar(b, 0.0)), oxp_b_scalar(b, 1.0),
                        oxp_b_scalar(b, -1.0));
    out[0] = y;
}

/* (rows,pairs) */
static oxp_val emit_sums(oxp_build *b, const machine *m, oxp_val x)
{
    oxp_val weights = OXP_NO_VAL;
    double *w = new_matrix(b, m->vectors, m->pairs, &weights);
    for (int64_t own = 0, v = 0; w && own < m->classes; own++)
        for (int64_t k = 0; k < m->per_class[own]; k++, v++)
            for (int64_t i = 0; i < m->classes; i++)
                for (int64_t j = i + 1; j < m->classes; j++) *w++ = weight_in_pair(m, v, own, i, j);
    const oxp_val s = emit_matrix(b, m->support, m->vectors, m->features);
    const oxp_val sums = oxp_b_matmul(b, emit_kernel(b, m, x, s, m->vectors), weights);
    return oxp_b_add(b, sums, emit_matrix(b, m->rho, 1, m->pairs));
}

/* Votes of (rows,classes), the first of the most, its label. */
static oxp_val emit_label(oxp_build *b, const oxp_node *node, const machine *m, oxp_val sums)
{
    const oxp_attr *labels = oxp_attr_find(node, "classlabels_ints");
    oxp_val for_first = OXP_NO_VAL, for_second = OXP_NO_VAL;
    double *first = new_matrix(b, m->pairs, m->classes, &for_first);
    double *second = new_matrix(b, 1, m->classes, &for_second);
    if (b->status != OXP_OK) return OXP_NO_VAL;
    memset(first, 0, (size_t)(m->pairs * m->classes) * sizeof *first);
    memset(second, 0, (size_t)m->classes * sizeof *second);
    for (int64_t i = 0; i < m->classes; i++)
        for (int64_t j = i + 1; j < m->classes; j++, first += m->classes) {
            first[i] = 1.0; /* a positive sum moves the vote from j to i */
            first[j] = -1.0;
            second[j] += 1.0;
        }
    const oxp_val won = oxp_b_cast(b, oxp_b_greater(b, sums, oxp_b_scalar(b, 0.0)), OXP_F32);
    const oxp_val votes = oxp_b_add(b, oxp_b_matmul(b, won, for_first), for_second);
    const oxp_val best =
        OXP_EMIT1(b, &oxp_op_ArgMax, votes, OXP_INT("axis", 1), OXP_INT("keepdims", 0));
    if (!labels || !labels->n) return best;
    const oxp_attr axis = OXP_INT("axis", 0);
    const oxp_val list = oxp_b_ints(b, labels->ints, labels->n);
    return oxp_emit(b, &oxp_op_Gather, (const oxp_val[]){list, best}, 2, &axis, 1);
}

static oxp_val emit_scores(oxp_build *b, const oxp_node *node, const machine *m, oxp_val sums)
{
    const char *post = oxp_attr_string(node, "post_transform", "NONE");
    if (m->has_prob) {
        const oxp_val logit =
            oxp_b_add(b, oxp_b_scaled(b, sums, -m->prob_a), oxp_b_scalar(b, -m->prob_b));
        const oxp_val both[] = {logit, oxp_b_unary(b, &oxp_op_Neg, logit)};
        return oxp_b_unary(b, &oxp_op_Sigmoid, oxp_b_concat(b, both, 2, 1));
    }
    if (m->classes == 2)
        sums = oxp_b_concat(b, (const oxp_val[]){oxp_b_unary(b, &oxp_op_Neg, sums), sums}, 2, 1);
    if (strcmp(post, "LOGISTIC") == 0) return oxp_b_unary(b, &oxp_op_Sigmoid, sums);
    return strcmp(post, "SOFTMAX") == 0 ? OXP_EMIT1(b, &oxp_op_Softmax, sums, OXP_INT("axis", -1))
                                        : sums;
}

static oxp_status expand_svm(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    machine m;
    OXP_TRY(b->status);
    OXP_TRY(read_machine(b->ctx, node, oxp_b_shape(b, node->in[0]), &m));
    const oxp_shape rows = {.rank = 2, .dim = {m.rows, m.features}};
    const oxp_val x = oxp_b_reshape(b, oxp_b_cast(b, node->in[0], OXP_F32), &rows);
    if (!m.is_classifier) {
        expand_regressor(b, node, &m, x, out);
        return b->status;
    }
    const oxp_val sums = emit_sums(b, &m, x);
    out[0] = emit_label(b, node, &m, sums);
    if (node->n_out > 1) out[1] = emit_scores(b, node, &m, sums);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define MACHINE                                                                                                        \
    {"coefficients", OXP_ATTR_FLOATS, NULL}, {"kernel_params", OXP_ATTR_FLOATS, NULL},                                 \
    {"kernel_type", OXP_ATTR_STRING, "LINEAR,POLY,RBF,SIGMOID"}, {"rho", OXP_ATTR_FLOATS, NULL},                       \
    {"support_vectors", OXP_ATTR_FLOATS, NULL}
static const oxp_attr_spec regressor_attrs[] = {
    MACHINE, {"n_supports", OXP_ATTR_INT, NULL}, {"one_class", OXP_ATTR_INT, NULL},
    {"post_transform", OXP_ATTR_STRING, "NONE"}, {NULL, 0, NULL}};
static const oxp_attr_spec classifier_attrs[] = {
    MACHINE, {"classes", OXP_ATTR_INT, NULL}, {"classlabels_ints", OXP_ATTR_INTS, NULL}, {"classlabels_strings", OXP_ATTR_STRINGS, NULL},
    {"post_transform", OXP_ATTR_STRING, "NONE,SOFTMAX,LOGISTIC"}, {"prob_a", OXP_ATTR_FLOATS, NULL},
    {"prob_b", OXP_ATTR_FLOATS, NULL}, {"vectors_per_class", OXP_ATTR_INTS, NULL}, {NULL, 0, NULL}};

#define SVM(symbol, outputs, list)                                                                                     \
    const oxp_op oxp_op_ml_##symbol = {                                                                                \
        .name = "ai.onnx.ml::" #symbol, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = (outputs), .since = 1,      \
        .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = list, .infer = infer_svm, .ref = ref_svm,                    \
        .expand = expand_svm}
SVM(SVMRegressor, 1, regressor_attrs);
SVM(SVMClassifier, 2, classifier_attrs);
/* clang-format on */
