/* learn.c - ai.onnx.ml: linear models and what prepares tables for them. Ensembles of trees are in trees.c.
 *
 * Specialisation puts all of it into ONNX's own operators (OXP_OP_OPEN), but for LabelEncoder, whose result
 * is a position in a list. Class names of a classifier are the model's (onnx/import.h): its first output
 * is the number that it gives its class, or the class's position where that is a text. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>
#include <string.h>

/* ---- attributes that are one number, or one per feature ---- */

static size_t count_of(const oxp_node *node, const char *name)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    return a ? a->n : 0;
}

static double number_at(const oxp_attr *a, size_t i)
{
    return a->type == OXP_ATTR_INTS ? (double)a->ints[i] : a->floats[i];
}

static double feature_number(const oxp_node *node, const char *name, int64_t feature, double other)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    return !a || a->n == 0 ? other : number_at(a, a->n == 1 ? 0 : (size_t)feature);
}

static oxp_status check_features(const oxp_infer *inf, const char *name)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const int64_t features = x->rank ? x->dim[x->rank - 1] : 1;
    const size_t n = count_of(inf->node, name);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, n > 1 && (int64_t)n != features, OXP_EINVAL,
                     "has %zu numbers %s for %lld features", n, name, (long long)features);
    return OXP_OK;
}

/* (n) or (rows, n / rows) numbers of an attribute */
static oxp_val emit_numbers(oxp_build *b, const oxp_attr *a, int64_t rows)
{
    const int64_t n = (int64_t)a->n;
    const oxp_shape shape =
        rows ? (oxp_shape){.rank = 2, .dim = {rows, n / rows}} : (oxp_shape){.rank = 1, .dim = {n}};
    if (b->status != OXP_OK) return OXP_NO_VAL;
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    b->status = t ? oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &shape, t)
                  : oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status != OXP_OK) return OXP_NO_VAL;
    for (size_t i = 0; i < a->n; i++) ((double *)(uintptr_t)t->data)[i] = number_at(a, i);
    return oxp_b_const(b, OXP_F32, t);
}

static oxp_val as_float(oxp_build *b, oxp_val x)
{
    return oxp_b_cast(b, x, OXP_F32);
}

static oxp_status infer_float_like(oxp_infer *inf)
{
    return oxp_infer_out(inf, 0, OXP_F32, oxp_infer_shape(inf, 0));
}

static int64_t features_of(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    return x->rank ? x->dim[x->rank - 1] : 1;
}

/* ---- Scaler: (x - offset) scale ---- */

static oxp_status scaler_infer(oxp_infer *inf)
{
    OXP_TRY(check_features(inf, "offset"));
    OXP_TRY(check_features(inf, "scale"));
    return infer_float_like(inf);
}

static oxp_status scaler_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]), features = features_of(call);
    for (int64_t i = 0; i < n; i++) {
        const double offset = feature_number(call->node, "offset", i % features, 0.0);
        call->out[0][i] =
            (call->in[0][i] - offset) * feature_number(call->node, "scale", i % features, 1.0);
    }
    return OXP_OK;
}

static oxp_status scaler_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_attr *offset = oxp_attr_find(node, "offset"), *scale = oxp_attr_find(node, "scale");
    oxp_val y = as_float(b, node->in[0]);
    if (offset && offset->n) y = oxp_b_sub(b, y, emit_numbers(b, offset, 0));
    if (scale && scale->n) y = oxp_b_mul(b, y, emit_numbers(b, scale, 0));
    out[0] = y;
    return b->status;
}

/* ---- Normalizer: along the last axis by the maximum, the sum of magnitudes or the length; 0 changes
 * nothing ---- */

static double norm_of(const oxp_node *node, const double *x, int64_t n)
{
    const char *norm = oxp_attr_string(node, "norm", "MAX");
    double top = -(double)INFINITY, sum = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) {
        top = fmax(top, x[i]);
        sum += fabs(x[i]);
        square += x[i] * x[i];
    }
    return strcmp(norm, "L1") == 0 ? sum : strcmp(norm, "L2") == 0 ? sqrt(square) : top;
}

static oxp_status normalizer_infer(oxp_infer *inf)
{
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_infer_shape(inf, 0)->rank < 1, OXP_EINVAL,
                     "expects rows of %s", "features");
    return infer_float_like(inf);
}

static oxp_status normalizer_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]), features = features_of(call);
    for (int64_t i = 0; i < n; i += features) {
        const double norm = norm_of(call->node, call->in[0] + i, features);
        for (int64_t k = i; k < i + features; k++)
            call->out[0][k] = call->in[0][k] / (norm < 0.0 || norm > 0.0 ? norm : 1.0);
    }
    return OXP_OK;
}

static oxp_status normalizer_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const char *norm = oxp_attr_string(node, "norm", "MAX");
    const oxp_val x = as_float(b, node->in[0]);
    const int64_t last = -1;
    if (strcmp(norm, "MAX") != 0) {
        out[0] = OXP_EMIT1(b, &oxp_op_LpNormalization, x, OXP_INT("axis", -1),
                           OXP_INT("p", strcmp(norm, "L1") == 0 ? 1 : 2));
        return b->status;
    }
    const oxp_val top =
        OXP_EMIT1(b, &oxp_op_ReduceMax, x, OXP_INTS("axes", &last, 1), OXP_INT("keepdims", 1));
    const oxp_val zero = oxp_b_equal(b, top, oxp_b_scalar(b, 0.0));
    out[0] = oxp_b_div(b, x, oxp_b_where(b, zero, oxp_b_scalar(b, 1.0), top));
    return b->status;
}

/* ---- Binarizer: 1 above the threshold, else 0 ---- */

static oxp_status binarizer_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++)
        call->out[0][i] = call->in[0][i] > oxp_attr_float(call->node, "threshold", 0.0);
    return OXP_OK;
}

static oxp_status binarizer_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val threshold = oxp_b_scalar(b, oxp_attr_float(node, "threshold", 0.0));
    out[0] = as_float(b, oxp_b_greater(b, as_float(b, node->in[0]), threshold));
    return b->status;
}

/* ---- Imputer: another number, one or one per feature, where x is `replaced` (NaN: where it is none) ---- */

static oxp_status imputer_infer(oxp_infer *inf)
{
    OXP_TRY(check_features(inf, "imputed_value_floats"));
    OXP_TRY(check_features(inf, "imputed_value_int64s"));
    const bool ints = oxp_infer_dtype(inf, 0) == OXP_I64;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     count_of(inf->node, ints ? "imputed_value_int64s" : "imputed_value_floats") ==
                         0,
                     OXP_EINVAL, "lacks values for its %s", ints ? "integers" : "floats");
    return oxp_infer_same(inf);
}

static oxp_status imputer_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]), features = features_of(call);
    const bool ints = call->in_dtype[0] == OXP_I64;
    const double gone = ints ? (double)oxp_attr_int(call->node, "replaced_value_int64", 0)
                             : oxp_attr_float(call->node, "replaced_value_float", 0.0);
    for (int64_t i = 0; i < n; i++) {
        const double x = call->in[0][i];
        const bool hit = isnan(gone) ? isnan(x) : x >= gone && x <= gone;
        const char *values = ints ? "imputed_value_int64s" : "imputed_value_floats";
        call->out[0][i] = hit ? feature_number(call->node, values, i % features, 0.0) : x;
    }
    return OXP_OK;
}

static oxp_status imputer_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_val x = node->in[0];
    const bool ints = oxp_value_of(b->g, x)->dtype == OXP_I64;
    const double gone = oxp_attr_float(node, "replaced_value_float", 0.0);
    const int64_t whole = oxp_attr_int(node, "replaced_value_int64", 0);
    const oxp_attr *values =
        oxp_attr_find(node, ints ? "imputed_value_int64s" : "imputed_value_floats");
    const oxp_val other =
        ints ? oxp_b_ints(b, values->ints, values->n) : emit_numbers(b, values, 0);
    const oxp_val hit =
        !ints && isnan(gone)
            ? oxp_b_unary(b, &oxp_op_IsNaN, x)
            : oxp_b_equal(b, x, ints ? oxp_b_ints(b, &whole, 1) : oxp_b_scalar(b, gone));
    out[0] = oxp_b_where(b, hit, other, x);
    return b->status;
}

/* ---- ArrayFeatureExtractor: columns of the last axis ---- */

static oxp_status extract_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const int64_t n = oxp_shape_elements(oxp_infer_shape(inf, 1));
    oxp_shape y = *x;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     x->rank < 1 || oxp_infer_dtype(inf, 1) != OXP_I64 || n < 1, OXP_EINVAL,
                     "expects features and the integers of %s", "some");
    if (x->rank == 1) y = (oxp_shape){.rank = 2, .dim = {1, n}};
    y.dim[y.rank - 1] = n;
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status extract_ref(const oxp_call *call)
{
    const int64_t features = features_of(call), n = oxp_shape_elements(&call->in_shape[1]),
                  rows = oxp_shape_elements(&call->out_shape[0]) / n;
    for (int64_t i = 0; i < rows * n; i++) {
        const int64_t k = (int64_t)call->in[1][i % n];
        OXP_NODE_FAIL_IF(call->ctx, call->node, k < 0 || k >= features, OXP_EINVAL,
                         "asks for feature %lld of %lld", (long long)k, (long long)features);
        call->out[0][i] = call->in[0][i / n * features + k];
    }
    return OXP_OK;
}

static oxp_status extract_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    oxp_shape y = *oxp_b_shape(b, node->in[0]);
    const int64_t n = oxp_shape_elements(oxp_b_shape(b, node->in[1]));
    const oxp_shape list = {.rank = 1, .dim = {n}};
    const oxp_attr axis = OXP_INT("axis", -1);
    const oxp_val in[] = {node->in[0], oxp_b_reshape(b, node->in[1], &list)};
    if (y.rank == 1) y = (oxp_shape){.rank = 2, .dim = {1, n}};
    y.dim[y.rank - 1] = n;
    out[0] = oxp_b_reshape(b, oxp_emit(b, &oxp_op_Gather, in, 2, &axis, 1), &y);
    return b->status;
}

/* ---- LabelEncoder between numbers ---- */

static const oxp_attr *listed(const oxp_node *node, const char *ints, const char *floats)
{
    const oxp_attr *a = oxp_attr_find(node, ints);
    return a && a->n ? a : oxp_attr_find(node, floats);
}

static oxp_status encoder_infer(oxp_infer *inf)
{
    const oxp_attr *keys = listed(inf->node, "keys_int64s", "keys_floats");
    const oxp_attr *values = listed(inf->node, "values_int64s", "values_floats");
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !keys || !values || keys->n != values->n,
                     OXP_EUNSUPPORTED, "expects as many numbers as %s", "keys");
    return oxp_infer_out(inf, 0, values->type == OXP_ATTR_INTS ? OXP_I64 : OXP_F32,
                         oxp_infer_shape(inf, 0));
}

static oxp_status encoder_ref(const oxp_call *call)
{
    const oxp_attr *keys = listed(call->node, "keys_int64s", "keys_floats");
    const oxp_attr *values = listed(call->node, "values_int64s", "values_floats");
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    const double other = values->type == OXP_ATTR_INTS
                             ? (double)oxp_attr_int(call->node, "default_int64", -1)
                             : oxp_attr_float(call->node, "default_float", 0.0);
    for (int64_t i = 0; i < n; i++) {
        const double x = call->in[0][i];
        call->out[0][i] = other;
        for (size_t k = keys->n; k-- > 0;) {
            const double key = number_at(keys, k);
            if ((x >= key && x <= key) || (isnan(x) && isnan(key)))
                call->out[0][i] = number_at(values, k);
        }
    }
    return OXP_OK;
}

/* ---- LinearRegressor and LinearClassifier: post_transform(x W' + b) ---- */

enum { POST_NONE, POST_SOFTMAX, POST_LOGISTIC };

static int post_of(const oxp_node *node)
{
    const char *post = oxp_attr_string(node, "post_transform", "NONE");
    return strcmp(post, "SOFTMAX") == 0    ? POST_SOFTMAX
           : strcmp(post, "LOGISTIC") == 0 ? POST_LOGISTIC
                                           : POST_NONE;
}

static bool is_classifier(const oxp_node *node)
{
    return node->op == &oxp_op_ml_LinearClassifier;
}

/* How many scores; 0: unclear. */
static int64_t scores_of(const oxp_node *node)
{
    const int64_t labels = (int64_t)count_of(node, "classlabels_ints");
    if (!is_classifier(node)) return oxp_attr_int(node, "targets", 1);
    return labels ? labels : oxp_attr_int(node, "classes", 0);
}

static oxp_status linear_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const int64_t k = scores_of(inf->node);
    const int64_t n = (int64_t)count_of(inf->node, "coefficients"),
                  biases = (int64_t)count_of(inf->node, "intercepts");
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, x->rank < 1 || x->rank > 2, OXP_EINVAL,
                     "expects rows of features, found rank %d", x->rank);
    const int64_t features = x->dim[x->rank - 1];
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     k < 1 || features < 1 || n / features != k || n % features != 0 ||
                         (biases && biases != k),
                     OXP_EUNSUPPORTED,
                     "has %lld coefficients and %lld intercepts for %lld features and %lld results",
                     (long long)n, (long long)biases, (long long)features, (long long)k);
    const oxp_shape y = {.rank = 2, .dim = {x->rank == 2 ? x->dim[0] : 1, k}};
    const oxp_shape labels = {.rank = 1, .dim = {y.dim[0]}};
    if (!is_classifier(inf->node)) return oxp_infer_out(inf, 0, OXP_F32, &y);
    OXP_TRY(oxp_infer_out(inf, 0, OXP_I64, &labels));
    return inf->node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_F32, &y) : OXP_OK;
}

static void transform_row(int post, double *y, int64_t n)
{
    double top = -(double)INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, y[i]);
    for (int64_t i = 0; i < n && post == POST_SOFTMAX; i++) sum += y[i] = exp(y[i] - top);
    for (int64_t i = 0; i < n && post != POST_NONE; i++)
        y[i] = post == POST_SOFTMAX ? y[i] / sum : 1.0 / (1.0 + exp(-y[i]));
}

static oxp_status linear_ref(const oxp_call *call)
{
    const oxp_attr *w = oxp_attr_find(call->node, "coefficients"),
                   *labels = oxp_attr_find(call->node, "classlabels_ints");
    const bool classes = is_classifier(call->node);
    const int64_t k = scores_of(call->node), features = features_of(call),
                  rows = classes ? call->out_shape[0].dim[0]
                                 : oxp_shape_elements(&call->out_shape[0]) / k;
    double *y = oxp_arena_alloc(call->scratch, (size_t)k, sizeof(double));
    OXP_NOMEM_IF(call->ctx, y);
    for (int64_t r = 0; r < rows; r++) {
        int64_t best = 0;
        for (int64_t c = 0; c < k; c++) {
            y[c] = count_of(call->node, "intercepts")
                       ? feature_number(call->node, "intercepts", c, 0)
                       : 0.0;
            for (int64_t f = 0; f < features; f++)
                y[c] += w->floats[c * features + f] * call->in[0][r * features + f];
            if (y[c] > y[best]) best = c;
        }
        transform_row(post_of(call->node), y, k);
        double *to = !classes ? call->out[0] : call->node->n_out > 1 ? call->out[1] : NULL;
        if (to) memcpy(to + r * k, y, (size_t)k * sizeof *y);
        if (classes)
            call->out[0][r] = labels && labels->n ? (double)labels->ints[best] : (double)best;
    }
    return OXP_OK;
}

static oxp_val transformed(oxp_build *b, const oxp_node *node, oxp_val y)
{
    switch (post_of(node)) {
    case POST_SOFTMAX:
        return OXP_EMIT1(b, &oxp_op_Softmax, y, OXP_INT("axis", -1));
    case POST_LOGISTIC:
        return oxp_b_unary(b, &oxp_op_Sigmoid, y);
    default:
        return y;
    }
}

static oxp_status linear_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const int64_t k = scores_of(node);
    const oxp_attr *w = oxp_attr_find(node, "coefficients"),
                   *bias = oxp_attr_find(node, "intercepts"),
                   *labels = oxp_attr_find(node, "classlabels_ints");
    oxp_val x = as_float(b, node->in[0]);
    const oxp_shape *s = oxp_b_shape(b, node->in[0]);
    if (s->rank == 1) x = oxp_b_reshape(b, x, &(oxp_shape){.rank = 2, .dim = {1, s->dim[0]}});
    oxp_val in[3] = {x, emit_numbers(b, w, k)};
    if (bias && bias->n) in[2] = emit_numbers(b, bias, 0);
    const oxp_attr transposed = OXP_INT("transB", 1);
    const oxp_val y = oxp_emit(b, &oxp_op_Gemm, in, bias && bias->n ? 3 : 2, &transposed, 1);
    if (!is_classifier(node)) {
        out[0] = transformed(b, node, y);
        return b->status;
    }
    out[0] = OXP_EMIT1(b, &oxp_op_ArgMax, y, OXP_INT("axis", 1), OXP_INT("keepdims", 0));
    if (labels && labels->n) {
        const oxp_val list = oxp_b_ints(b, labels->ints, labels->n);
        const oxp_attr axis = OXP_INT("axis", 0);
        out[0] = oxp_emit(b, &oxp_op_Gather, (const oxp_val[]){list, out[0]}, 2, &axis, 1);
    }
    if (node->n_out > 1) out[1] = transformed(b, node, y);
    return b->status;
}

/* ---- ZipMap: its map is the tensor of its values here; its keys are the model's class names ---- */

static oxp_status zip_map_ref(const oxp_call *call)
{
    const size_t n = (size_t)oxp_shape_elements(&call->out_shape[0]);
    if (n) memcpy(call->out[0], call->in[0], n * sizeof(double));
    return OXP_OK;
}

static oxp_status zip_map_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = node->in[0];
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define POSTS "NONE,SOFTMAX,LOGISTIC"
static const oxp_attr_spec scaler_attrs[] = {
    {"offset", OXP_ATTR_FLOATS, NULL}, {"scale", OXP_ATTR_FLOATS, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec normalizer_attrs[] = {{"norm", OXP_ATTR_STRING, "MAX,L1,L2"}, {NULL, 0, NULL}};
static const oxp_attr_spec binarizer_attrs[] = {{"threshold", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec imputer_attrs[] = {
    {"imputed_value_floats", OXP_ATTR_FLOATS, NULL}, {"imputed_value_int64s", OXP_ATTR_INTS, NULL},
    {"replaced_value_float", OXP_ATTR_FLOAT, NULL}, {"replaced_value_int64", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec encoder_attrs[] = {
    {"default_float", OXP_ATTR_FLOAT, NULL}, {"default_int64", OXP_ATTR_INT, NULL},
    {"keys_floats", OXP_ATTR_FLOATS, NULL}, {"keys_int64s", OXP_ATTR_INTS, NULL},
    {"values_floats", OXP_ATTR_FLOATS, NULL}, {"values_int64s", OXP_ATTR_INTS, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec regressor_attrs[] = {
    {"coefficients", OXP_ATTR_FLOATS, NULL}, {"intercepts", OXP_ATTR_FLOATS, NULL},
    {"post_transform", OXP_ATTR_STRING, POSTS}, {"targets", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec classifier_attrs[] = {
    {"classes", OXP_ATTR_INT, NULL}, {"classlabels_ints", OXP_ATTR_INTS, NULL},
    {"classlabels_strings", OXP_ATTR_STRINGS, NULL}, {"coefficients", OXP_ATTR_FLOATS, NULL},
    {"intercepts", OXP_ATTR_FLOATS, NULL}, {"multi_class", OXP_ATTR_INT, NULL},
    {"post_transform", OXP_ATTR_STRING, POSTS}, {NULL, 0, NULL}};
static const oxp_attr_spec zip_map_attrs[] = {
    {"classes", OXP_ATTR_INT, NULL}, {"classlabels_int64s", OXP_ATTR_INTS, NULL},
    {"classlabels_strings", OXP_ATTR_STRINGS, NULL}, {NULL, 0, NULL}};

#define LEARN(symbol, inputs, outputs, ...)                                                                            \
    const oxp_op oxp_op_ml_##symbol = {                                                                                \
        .name = "ai.onnx.ml::" #symbol, .min_in = (inputs), .max_in = (inputs), .min_out = 1, .max_out = (outputs),    \
        .since = 1, __VA_ARGS__}
#define OPEN .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN

LEARN(Scaler, 1, 1, OPEN, .attrs = scaler_attrs, .infer = scaler_infer, .ref = scaler_ref, .expand = scaler_expand);
LEARN(Normalizer, 1, 1, OPEN, .attrs = normalizer_attrs, .infer = normalizer_infer, .ref = normalizer_ref,
      .expand = normalizer_expand);
LEARN(Binarizer, 1, 1, OPEN | OXP_OP_NOT_DIFFERENTIABLE, .attrs = binarizer_attrs, .infer = infer_float_like,
      .ref = binarizer_ref, .expand = binarizer_expand);
LEARN(Imputer, 1, 1, OPEN, .attrs = imputer_attrs, .infer = imputer_infer, .ref = imputer_ref,
      .expand = imputer_expand);
LEARN(ArrayFeatureExtractor, 2, 1, OPEN, .infer = extract_infer, .ref = extract_ref, .expand = extract_expand);
LEARN(LabelEncoder, 1, 1, .flags = OXP_OP_NOT_DIFFERENTIABLE, .attrs = encoder_attrs, .infer = encoder_infer,
      .ref = encoder_ref, .lower = oxp_lower_by_ref);
LEARN(LinearRegressor, 1, 1, OPEN, .attrs = regressor_attrs, .infer = linear_infer, .ref = linear_ref,
      .expand = linear_expand);
LEARN(LinearClassifier, 1, 2, OPEN, .attrs = classifier_attrs, .infer = linear_infer, .ref = linear_ref,
      .expand = linear_expand);
LEARN(ZipMap, 1, 1, OPEN, .attrs = zip_map_attrs, .infer = infer_float_like, .ref = zip_map_ref,
      .expand = zip_map_expand);
/* clang-format on */
