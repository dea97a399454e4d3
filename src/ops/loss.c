/* loss.c - NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
 *
 *   l[n, d...] = -w[t] x[n, t, d...], t = target[n, d...]; 0 where t = ignore_index
 *   reduction  none: l; sum: sum l; mean: sum l / sum w[t] over the targets that count
 *
 * x are logarithms of probabilities; SoftmaxCrossEntropyLoss makes them of scores by LogSoftmax over
 * axis 1 and gives them as a second output. w is 1 without weights. A target that is no class is an
 * error of the run. Targets have no gradient. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>
#include <string.h>

typedef struct loss { /* x (n, c, d), the axes behind the classes taken as one */
    bool sum, mean, ignores;
    int64_t ignore, n, c, d;
} loss;

static loss read_loss(const oxp_node *node, const oxp_shape *x)
{
    const char *reduction = oxp_attr_string(node, "reduction", "mean");
    const oxp_attr *ignore = oxp_attr_find(node, "ignore_index");
    loss l = {.sum = strcmp(reduction, "sum") == 0,
              .mean = strcmp(reduction, "mean") == 0,
              .ignores = ignore != NULL,
              .ignore = ignore ? ignore->i : 0,
              .n = x->dim[0],
              .c = x->dim[1],
              .d = 1};
    for (int a = 2; a < x->rank; a++) l.d *= x->dim[a];
    return l;
}

static oxp_status infer_loss(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0), *t = oxp_infer_shape(inf, 1);
    char xs[OXP_SHAPE_TEXT], ts[OXP_SHAPE_TEXT];
    OXP_TRY(oxp_infer_float(inf, 0));
    bool fits = x->rank >= 2 && t->rank == x->rank - 1 && oxp_infer_dtype(inf, 1) == OXP_I64;
    for (int a = 0; fits && a < t->rank; a++) fits = t->dim[a] == x->dim[a ? a + 1 : 0];
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !fits, OXP_EINVAL,
                     "expects (N,C,d...) numbers and (N,d...) integers, found %s and %s",
                     oxp_shape_text(x, xs), oxp_shape_text(t, ts));
    if (oxp_infer_has(inf, 2)) {
        const oxp_shape *w = oxp_infer_shape(inf, 2);
        OXP_TRY(oxp_infer_float(inf, 2));
        OXP_NODE_FAIL_IF(inf->ctx, inf->node, w->rank != 1 || w->dim[0] != x->dim[1], OXP_EINVAL,
                         "expects one weight per class, found %s", oxp_shape_text(w, ts));
    }
    const loss l = read_loss(inf->node, x);
    const oxp_shape y = l.sum || l.mean ? (oxp_shape){.rank = 0} : *t;
    if (inf->node->n_out > 1) OXP_TRY(oxp_infer_out(inf, 1, OXP_F32, x));
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

/* ---- reference ---- */

/* One target: its loss and its weight. */
static oxp_status one_target(const oxp_call *call, const loss *l, const double *x, double target,
                             double *value, double *weight)
{
    const double ignore = (double)l->ignore;
    *value = *weight = 0.0;
    if (l->ignores && target >= ignore && target <= ignore) return OXP_OK;
    OXP_NODE_FAIL_IF(call->ctx, call->node, !(target >= 0.0 && target < (double)l->c), OXP_EINVAL,
                     "is given class %.0f of %lld", target, (long long)l->c);
    const int64_t t = (int64_t)target;
    *weight = call->node->n_in > 2 && call->in[2] ? call->in[2][t] : 1.0;
    *value = -*weight * x[t * l->d];
    return OXP_OK;
}

static oxp_status ref_loss(const oxp_call *call, const double *x)
{
    const loss l = read_loss(call->node, &call->in_shape[0]);
    double sum = 0.0, weights = 0.0;
    for (int64_t i = 0; i < l.n * l.d; i++) {
        double value, weight;
        OXP_TRY(one_target(call, &l, x + i / l.d * l.c * l.d + i % l.d, call->in[1][i], &value,
                           &weight));
        sum += value;
        weights += weight;
        if (!l.sum && !l.mean) call->out[0][i] = value;
    }
    if (l.sum) call->out[0][0] = sum;
    if (l.mean) call->out[0][0] = sum / weights;
    return OXP_OK;
}

static oxp_status nll_ref(const oxp_call *call)
{
    return ref_loss(call, call->in[0]);
}

static oxp_status sce_ref(const oxp_call *call)
{
    const loss l = read_loss(call->node, &call->in_shape[0]);
    double *p = OXP_NEW(call->scratch, double, l.n *l.c *l.d + 1);
    OXP_NOMEM_IF(call->ctx, p);
    for (int64_t i = 0; i < l.n * l.d; i++) {
        const int64_t at = i / l.d * l.c * l.d + i % l.d;
        const double *x = call->in[0] + at;
        double top = -(double)INFINITY, sum = 0.0;
        for (int64_t c = 0; c < l.c; c++) top = oxp_bin_eval(OXP_BIN_MAX, top, x[c * l.d]);
        for (int64_t c = 0; c < l.c; c++) sum += exp(x[c * l.d] - top);
        for (int64_t c = 0; c < l.c; c++) p[at + c * l.d] = x[c * l.d] - top - log(sum);
    }
    if (call->node->n_out > 1 && call->out[1])
        memcpy(call->out[1], p, (size_t)(l.n * l.c * l.d) * sizeof(double));
    return ref_loss(call, p);
}

/* ---- expansion ---- */

/* With u the targets that count, 0 elsewhere:  w[u] by Gather, x[n, u, d...] as the sum over the
 * classes of what stands where the class is the target. */
static oxp_val expand_loss(oxp_build *b, const oxp_node *node, oxp_val x)
{
    const oxp_shape shape = *oxp_b_shape(b, x), targets = *oxp_b_shape(b, node->in[1]);
    const oxp_shape scalar = oxp_shape_of(0, NULL);
    const loss l = read_loss(node, &shape);
    const oxp_shape row = oxp_shape_of(1, &l.c);
    const oxp_val zero = oxp_b_scalar(b, 0.0);
    oxp_val target = node->in[1], ignored = OXP_NO_VAL;
    if (l.ignores) {
        const oxp_val none = oxp_b_reshape(b, oxp_b_ints(b, (const int64_t[]){0}, 1), &scalar);
        ignored = oxp_b_equal(b, target, oxp_b_reshape(b, oxp_b_ints(b, &l.ignore, 1), &scalar));
        target = oxp_b_where(b, ignored, none, target);
    }
    oxp_shape cells = {.rank = shape.rank}, spread = shape;
    for (int a = 0; a < shape.rank; a++) cells.dim[a] = a == 1 ? l.c : 1;
    spread.dim[1] = 1;
    int64_t *classes = OXP_NEW(b->ctx->scratch, int64_t, l.c + 1);
    if (!classes) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    for (int64_t c = 0; classes && c < l.c; c++) classes[c] = c;
    const oxp_val hit = oxp_b_equal(b, oxp_b_reshape(b, target, &spread),
                                    oxp_b_reshape(b, oxp_b_ints(b, classes, (size_t)l.c), &cells));
    const oxp_val picked =
        oxp_b_reduce_sum(b, oxp_b_where(b, hit, x, zero), (const int64_t[]){1}, 1, false);
    const bool weighted = oxp_node_has(node, 2);
    const oxp_val table = weighted ? node->in[2] : oxp_b_full(b, &row, 1.0);
    oxp_val weight = oxp_emit(b, &oxp_op_Gather, (const oxp_val[]){table, target}, 2, NULL, 0);
    oxp_val value = oxp_b_unary(b, &oxp_op_Neg, oxp_b_mul(b, weight, picked));
    if (l.ignores) {
        value = oxp_b_where(b, ignored, zero, value);
        weight = oxp_b_where(b, ignored, zero, weight);
    }
    if (!l.sum && !l.mean) return value;
    int64_t axes[OXP_MAX_RANK];
    for (int a = 0; a < targets.rank; a++) axes[a] = a;
    const size_t n = (size_t)targets.rank;
    const oxp_val sum = oxp_b_reduce_sum(b, value, axes, n, false);
    return l.sum ? sum : oxp_b_div(b, sum, oxp_b_reduce_sum(b, weight, axes, n, false));
}

static oxp_status nll_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = expand_loss(b, node, node->in[0]);
    return b->status;
}

static oxp_status sce_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_val p = OXP_EMIT1(b, &oxp_op_LogSoftmax, node->in[0], OXP_INT("axis", 1));
    out[0] = expand_loss(b, node, p);
    if (node->n_out > 1) out[1] = p;
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec loss_attrs[] = {
    {"reduction", OXP_ATTR_STRING, "none,sum,mean"}, {"ignore_index", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

const oxp_op oxp_op_NegativeLogLikelihoodLoss = {
    .name = "NegativeLogLikelihoodLoss", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = 12,
    .flags = OXP_OP_COMPOSITE, .attrs = loss_attrs, .infer = infer_loss, .ref = nll_ref, .expand = nll_expand};

const oxp_op oxp_op_SoftmaxCrossEntropyLoss = {
    .name = "SoftmaxCrossEntropyLoss", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 2, .since = 12,
    .flags = OXP_OP_COMPOSITE, .attrs = loss_attrs, .infer = infer_loss, .ref = sce_ref, .expand = sce_expand};
/* clang-format on */
