/* encode.c - ai.onnx.ml: FeatureVectorizer, which joins tables of features side by side, and OneHotEncoder, which gives
 * every number of a list a column of its own. Numbers only: texts are not computed. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>

/* ---- FeatureVectorizer: (rows,C) or, one row, (C) ---- */

static bool read_table(const oxp_shape *x, int64_t *rows, int64_t *columns)
{
    if (x->rank < 1 || x->rank > 2) return false;
    *rows = x->rank == 2 ? x->dim[0] : 1;
    *columns = x->dim[x->rank - 1];
    return true;
}

static oxp_status vectorizer_infer(oxp_infer *inf)
{
    size_t n;
    const int64_t *given = oxp_attr_ints(inf->node, "inputdimensions", &n);
    int64_t rows = -1, all = 0;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, n && n != inf->node->n_in, OXP_EINVAL,
                     "says the sizes of %zu inputs, found %u", n, inf->node->n_in);
    for (uint32_t i = 0; i < inf->node->n_in; i++) {
        char text[OXP_SHAPE_TEXT];
        int64_t own, columns;
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_infer_has(inf, i), OXP_EINVAL, "lacks input %u",
                         i);
        const oxp_shape *x = oxp_infer_shape(inf, i);
        const bool fits = read_table(x, &own, &columns) && (rows < 0 || rows == own) &&
                          (!n || given[i] == columns);
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, !fits, OXP_EINVAL,
                         "cannot put input %u of shape %s beside the others", i,
                         oxp_shape_text(x, text));
        rows = own;
        all += columns;
    }
    return oxp_infer_out(inf, 0, OXP_F32, &(oxp_shape){.rank = 2, .dim = {rows, all}});
}

static oxp_status vectorizer_ref(const oxp_call *call)
{
    const int64_t width = call->out_shape[0].dim[1];
    int64_t at = 0, rows, columns;
    for (uint32_t i = 0; i < call->node->n_in; i++, at += columns) {
        OXP_FAIL_IF(call->ctx, !read_table(&call->in_shape[i], &rows, &columns), OXP_EINTERNAL,
                    "FeatureVectorizer: shapes changed");
        for (int64_t k = 0; k < rows * columns; k++)
            call->out[0][k / columns * width + at + k % columns] = call->in[i][k];
    }
    return OXP_OK;
}

static oxp_status vectorizer_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_val *parts = OXP_NEW(b->ctx->scratch, oxp_val, node->n_in + 1);
    OXP_NOMEM_IF(b->ctx, parts);
    OXP_TRY(b->status);
    for (uint32_t i = 0; i < node->n_in; i++) {
        oxp_shape table = {.rank = 2};
        OXP_FAIL_IF(b->ctx, !read_table(oxp_b_shape(b, node->in[i]), &table.dim[0], &table.dim[1]),
                    OXP_EINTERNAL, "FeatureVectorizer: shapes changed");
        parts[i] = oxp_b_reshape(b, oxp_b_cast(b, node->in[i], OXP_F32), &table);
        OXP_TRY(b->status);
    }
    out[0] = oxp_b_concat(b, parts, node->n_in, 1);
    return b->status;
}

/* ---- OneHotEncoder ---- */

static oxp_status encoder_infer(oxp_infer *inf)
{
    oxp_shape y = *oxp_infer_shape(inf, 0);
    size_t n;
    oxp_attr_ints(inf->node, "cats_int64s", &n);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, n == 0 || y.rank >= OXP_MAX_RANK, OXP_EINVAL,
                     "expects categories and at most %d axes, found %zu and %d", OXP_MAX_RANK - 1,
                     n, y.rank);
    y.dim[y.rank++] = (int64_t)n;
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

/* Floats are cut to whole numbers, as ONNX says. */
static oxp_status encoder_ref(const oxp_call *call)
{
    size_t n;
    const int64_t *categories = oxp_attr_ints(call->node, "cats_int64s", &n);
    const bool may_miss = oxp_attr_int(call->node, "zeros", 1) != 0;
    const int64_t count = oxp_shape_elements(&call->in_shape[0]);
    for (int64_t i = 0; i < count; i++) {
        const double x = trunc(call->in[0][i]);
        size_t at = n; /* of equal ones the last */
        for (size_t k = 0; k < n; k++) {
            const double off = x - (double)categories[k];
            if (off >= 0.0 && off <= 0.0) at = k;
        }
        OXP_NODE_FAIL_IF(call->ctx, call->node, at == n && !may_miss, OXP_EINVAL,
                         "has no category %g, and zeros is 0", x);
        for (size_t k = 0; k < n; k++) call->out[0][(size_t)i * n + k] = k == at;
    }
    return OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec vectorizer_attrs[] = {{"inputdimensions", OXP_ATTR_INTS, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec encoder_attrs[] = {
    {"cats_int64s", OXP_ATTR_INTS, NULL}, {"zeros", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_ml_FeatureVectorizer = {
    .name = "ai.onnx.ml::FeatureVectorizer", .min_in = 1, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = vectorizer_attrs, .infer = vectorizer_infer,
    .ref = vectorizer_ref, .expand = vectorizer_expand};
const oxp_op oxp_op_ml_OneHotEncoder = {
    .name = "ai.onnx.ml::OneHotEncoder", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_NOT_DIFFERENTIABLE, .attrs = encoder_attrs, .infer = encoder_infer, .ref = encoder_ref,
    .lower = oxp_lower_by_ref};
/* clang-format on */
