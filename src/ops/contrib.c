/* contrib.c - what ONNX Runtime's optimiser writes in place of several of ONNX's operators, in the domain
 * com.microsoft: activations with a bias, and products and convolutions with an activation. The
 * normalisations are in contrib_norm.c, attention is in contrib_attention.c.
 *
 * Specialisation puts the parts back (OXP_OP_OPEN), so every pass and rule sees what the model was made
 * of. The activation of a FusedConv has its parameters as a list, that of a FusedGemm as attributes
 * `activation_<name>`; both are the parameters of the operator that `activation` names, in its order. */
#include "ops/infer.h"
#include "ops/lower.h"
#include "ops/unary.h"

#include <math.h>
#include <string.h>

/* ---- functions of x and what is added to it ---- */

/* Floats, and all of them broadcast to the first. */
static oxp_status infer_addends(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    char xs[OXP_SHAPE_TEXT], bs[OXP_SHAPE_TEXT];
    oxp_shape joined;
    for (size_t i = 0; i < inf->node->n_in; i++) {
        if (!oxp_infer_has(inf, i)) continue;
        OXP_TRY(oxp_infer_float(inf, i));
        const oxp_shape *s = oxp_infer_shape(inf, i);
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         !oxp_shape_broadcast(x, s, &joined) || !oxp_shape_equal(x, &joined),
                         OXP_EINVAL, "cannot add %s to %s", oxp_shape_text(s, bs),
                         oxp_shape_text(x, xs));
    }
    return oxp_infer_same(inf);
}

/* x and all that is added, the element at `at` */
static double sum_at(const oxp_call *call, const int64_t at[OXP_MAX_RANK])
{
    double sum = 0.0;
    for (uint32_t k = 0; k < call->node->n_in; k++)
        if (call->in[k])
            sum += call->in[k][oxp_index_broadcast(&call->in_shape[k], &call->in_shape[0], at)];
    return sum;
}

static double identity_of(const oxp_node *node, double v)
{
    OXP_UNUSED(node);
    return v;
}

static double gelu_of(const oxp_node *node, double v)
{
    OXP_UNUSED(node);
    return 0.5 * v * (1.0 + erf(v / sqrt(2.0)));
}

static double gelu_tanh_of(const oxp_node *node, double v)
{
    OXP_UNUSED(node);
    return 0.5 * v * (1.0 + tanh(OXP_SQRT_2_OVER_PI * (v + OXP_GELU_CUBIC * v * v * v)));
}

#define QUICK_GELU_ALPHA 1.7020000219345093 /* the float 1.702 */

static double quick_gelu_of(const oxp_node *node, double v)
{
    return v / (1.0 + exp(-oxp_attr_float(node, "alpha", QUICK_GELU_ALPHA) * v));
}

static oxp_status ref_of_sum(const oxp_call *call, double (*f)(const oxp_node *node, double v))
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    int64_t at[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(&call->out_shape[0], at))
        call->out[0][i] = f(call->node, sum_at(call, at));
    return OXP_OK;
}

/* clang-format off */
static oxp_status bias_add_ref(const oxp_call *call) { return ref_of_sum(call, identity_of); }
static oxp_status gelu_ref(const oxp_call *call) { return ref_of_sum(call, gelu_of); }
static oxp_status fast_gelu_ref(const oxp_call *call) { return ref_of_sum(call, gelu_tanh_of); }
static oxp_status quick_gelu_ref(const oxp_call *call) { return ref_of_sum(call, quick_gelu_of); }
/* clang-format on */

static oxp_val sum_of(oxp_build *b, const oxp_node *node)
{
    oxp_val sum = node->in[0];
    for (uint32_t k = 1; k < node->n_in; k++)
        if (oxp_node_has(node, k)) sum = oxp_b_add(b, sum, node->in[k]);
    return sum;
}

static oxp_status bias_add_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = sum_of(b, node);
    return b->status;
}

/* x + bias + residual; ratio and the mode of training mean nothing at inference, where all is kept */
static oxp_status bias_dropout_infer(oxp_infer *inf)
{
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, oxp_attr_int(inf->node, "training_mode", 0) != 0,
                     OXP_EUNSUPPORTED, "has training_mode %d; only inference can be explained", 1);
    OXP_TRY(infer_addends(inf));
    return inf->node->n_out > 1 ? oxp_infer_out(inf, 1, OXP_BOOL, oxp_infer_shape(inf, 0)) : OXP_OK;
}

static oxp_status bias_dropout_ref(const oxp_call *call)
{
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    if (call->out[0]) OXP_TRY(bias_add_ref(call));
    for (int64_t i = 0; call->node->n_out > 1 && call->out[1] && i < n; i++) call->out[1][i] = 1.0;
    return OXP_OK;
}

static oxp_status bias_dropout_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = sum_of(b, node);
    if (node->n_out > 1 && b->status == OXP_OK)
        out[1] = oxp_b_cast(b, oxp_b_full(b, oxp_b_shape(b, node->in[0]), 1.0), OXP_BOOL);
    return b->status;
}

static oxp_status gelu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = oxp_b_unary(b, &oxp_op__Gelu, sum_of(b, node));
    return b->status;
}

static oxp_status fast_gelu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = oxp_b_unary(b, &oxp_op__GeluTanh, sum_of(b, node));
    return b->status;
}

static oxp_status quick_gelu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const double alpha = oxp_attr_float(node, "alpha", QUICK_GELU_ALPHA);
    /* _Silu takes an alpha of 0 for 1 */
    out[0] = alpha < 0.0 || alpha > 0.0
                 ? OXP_EMIT1(b, &oxp_op__Silu, node->in[0], OXP_FLOAT("alpha", alpha))
                 : oxp_b_scaled(b, node->in[0], 0.5);
    return b->status;
}

/* ---- BiasSoftmax: over all axes from `axis` on together ---- */

static oxp_status bias_softmax_infer(oxp_infer *inf)
{
    int axis;
    OXP_TRY(oxp_norm_axis(inf->ctx, oxp_attr_int(inf->node, "axis", 1),
                          oxp_infer_shape(inf, 0)->rank, &axis));
    return infer_addends(inf);
}

static oxp_status bias_softmax_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    int axis;
    int64_t rows = 1, n = 1;
    OXP_TRY(oxp_norm_axis(call->ctx, oxp_attr_int(call->node, "axis", 1), x->rank, &axis));
    for (int a = 0; a < x->rank; a++) *(a < axis ? &rows : &n) *= x->dim[a];
    OXP_TRY(bias_add_ref(call));
    double *y = call->out[0];
    for (int64_t r = 0; r < rows; r++, y += n) {
        double sum = 0.0, top = -(double)INFINITY;
        for (int64_t i = 0; i < n; i++) top = fmax(top, y[i]);
        for (int64_t i = 0; i < n; i++) sum += y[i] = exp(y[i] - top);
        for (int64_t i = 0; i < n; i++) y[i] /= sum;
    }
    return OXP_OK;
}

static oxp_status bias_softmax_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const int rank = oxp_b_shape(b, node->in[0])->rank;
    const int64_t axis = oxp_attr_int(node, "axis", 1);
    const bool last = axis == -1 || axis == rank - 1;
    out[0] = OXP_EMIT1(b, &oxp_op_Softmax, sum_of(b, node), OXP_INT("axis", axis),
                       OXP_INT("span", last ? 0 : 1));
    return b->status;
}

/* ---- BiasSplitGelu: v = x + bias in two halves l, r along the last axis, y = l gelu(r) ---- */

static oxp_status split_gelu_infer(oxp_infer *inf)
{
    OXP_TRY(infer_addends(inf));
    oxp_shape y = *oxp_infer_shape(inf, 0);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, y.rank < 1 || y.dim[y.rank - 1] % 2 != 0, OXP_EINVAL,
                     "expects an even last axis of its %s", "input");
    y.dim[y.rank - 1] /= 2;
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

static oxp_status split_gelu_ref(const oxp_call *call)
{
    const oxp_shape *y = &call->out_shape[0];
    const int64_t half = y->dim[y->rank - 1], n = oxp_shape_elements(y);
    int64_t at[OXP_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++, oxp_index_next(y, at)) {
        const double left = sum_at(call, at);
        at[y->rank - 1] += half;
        call->out[0][i] = left * gelu_of(call->node, sum_at(call, at));
        at[y->rank - 1] -= half;
    }
    return OXP_OK;
}

static oxp_status split_gelu_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    if (b->status != OXP_OK) return b->status;
    const oxp_shape *x = oxp_b_shape(b, node->in[0]);
    const int64_t axis = x->rank - 1, n = x->dim[axis];
    const oxp_val v = sum_of(b, node);
    const oxp_val gate = oxp_b_unary(b, &oxp_op__Gelu, oxp_b_slice(b, v, axis, n / 2, n));
    out[0] = oxp_b_mul(b, oxp_b_slice(b, v, axis, 0, n / 2), gate);
    return b->status;
}

/* ---- an activation behind ---- */

#define ACTIVATIONS \
    "Relu,Sigmoid,Tanh,LeakyRelu,Clip,HardSigmoid,Elu,Softplus,Softsign,ThresholdedRelu,HardSwish"

typedef struct activation {
    const oxp_op *op; /* NULL: none */
    oxp_attr attrs[2];
    size_t n_attrs;
} activation;

static activation read_activation(const oxp_node *node)
{
    const char *name = oxp_attr_string(node, "activation", "");
    activation a = {.op = name[0] ? oxp_op_find(name) : NULL};
    const oxp_attr *list = oxp_attr_find(node, "activation_params");
    for (size_t k = 0; a.op && a.op->attrs && k < 2 && a.op->attrs[k].name; k++) {
        const char *parameter = a.op->attrs[k].name;
        const oxp_attr *own = NULL;
        for (size_t i = 0; i < node->n_attrs; i++)
            if (strncmp(node->attrs[i].name, "activation_", 11) == 0 &&
                strcmp(node->attrs[i].name + 11, parameter) == 0)
                own = &node->attrs[i];
        if (list && k < list->n)
            a.attrs[a.n_attrs++] = OXP_FLOAT(parameter, list->floats[k]);
        else if (own)
            a.attrs[a.n_attrs++] = OXP_FLOAT(parameter, own->f);
    }
    return a;
}

static void activate(const oxp_call *call)
{
    const activation a = read_activation(call->node);
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    double alpha, beta;
    if (!a.op) return;
    oxp_node node = {.op = a.op, .n_attrs = a.n_attrs};
    oxp_attr attrs[2] = {a.attrs[0], a.attrs[1]};
    node.attrs = attrs;
    const oxp_fn fn = oxp_node_fn(&node, &alpha, &beta);
    for (int64_t i = 0; i < n; i++) call->out[0][i] = oxp_fn_eval(fn, alpha, beta, call->out[0][i]);
}

static oxp_val activated(oxp_build *b, const oxp_node *node, oxp_val y)
{
    const activation a = read_activation(node);
    return a.op ? oxp_emit(b, a.op, &y, 1, a.attrs, a.n_attrs) : y;
}

/* The attributes of `node` that `op` has too. */
static size_t attrs_of(const oxp_node *node, const oxp_op *op, oxp_attr *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < node->n_attrs; i++)
        for (const oxp_attr_spec *s = op->attrs; s && s->name && n < room; s++)
            if (strcmp(s->name, node->attrs[i].name) == 0) out[n++] = node->attrs[i];
    return n;
}

enum { PLAIN_ATTRS = 6 };

/* fn(Conv(x, w, bias) + z) */
static oxp_status fused_conv_infer(oxp_infer *inf)
{
    oxp_node plain = *inf->node;
    oxp_infer inner = *inf;
    plain.n_in = plain.n_in < 3 ? plain.n_in : 3;
    inner.node = &plain;
    OXP_TRY(oxp_op_Conv.infer(&inner));
    if (!oxp_infer_has(inf, 3)) return OXP_OK;
    char found[OXP_SHAPE_TEXT], wanted[OXP_SHAPE_TEXT];
    OXP_TRY(oxp_infer_float(inf, 3));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(oxp_infer_shape(inf, 3), &inf->shape[0]),
                     OXP_EINVAL, "adds %s to its result %s",
                     oxp_shape_text(oxp_infer_shape(inf, 3), found),
                     oxp_shape_text(&inf->shape[0], wanted));
    return OXP_OK;
}

static oxp_status fused_conv_ref(const oxp_call *call)
{
    OXP_TRY(oxp_op_Conv.ref(call)); /* adds in[3] as that of _Conv */
    activate(call);
    return OXP_OK;
}

static oxp_status fused_conv_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_attr attrs[PLAIN_ATTRS];
    const size_t n = attrs_of(node, &oxp_op_Conv, attrs, PLAIN_ATTRS);
    oxp_val y = oxp_emit(b, &oxp_op_Conv, node->in, node->n_in < 3 ? node->n_in : 3, attrs, n);
    if (oxp_node_has(node, 3)) y = oxp_b_add(b, y, node->in[3]);
    out[0] = activated(b, node, y);
    return b->status;
}

/* fn(Gemm(a, b, c)) */
static oxp_status fused_gemm_infer(oxp_infer *inf)
{
    oxp_node plain = *inf->node;
    oxp_infer inner = *inf;
    plain.op = &oxp_op_Gemm;
    inner.node = &plain;
    OXP_TRY(oxp_infer_float(inf, 0));
    return oxp_op_Gemm.infer(&inner);
}

static oxp_status fused_gemm_ref(const oxp_call *call)
{
    oxp_node plain = *call->node;
    oxp_call inner = *call;
    plain.op = &oxp_op_Gemm;
    inner.node = &plain;
    OXP_TRY(oxp_op_Gemm.ref(&inner));
    activate(call);
    return OXP_OK;
}

static oxp_status fused_gemm_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_attr attrs[PLAIN_ATTRS];
    const size_t n = attrs_of(node, &oxp_op_Gemm, attrs, PLAIN_ATTRS);
    out[0] = activated(b, node, oxp_emit(b, &oxp_op_Gemm, node->in, node->n_in, attrs, n));
    return b->status;
}

/* ---- FusedMatMul: alpha op(a) op(b) ---- */

/* How an operand's axes are rearranged: transBatch puts the first axis behind the others that are not
 * the last, then trans exchanges the last two. False: as they are. */
static bool arrangement(const oxp_node *node, bool second, int rank, int64_t perm[OXP_MAX_RANK])
{
    const bool batch =
        oxp_attr_int(node, second ? "transBatchB" : "transBatchA", 0) != 0 && rank > 2;
    const bool last = oxp_attr_int(node, second ? "transB" : "transA", 0) != 0 && rank > 1;
    for (int a = 0; a < rank; a++) perm[a] = batch && a < rank - 1 ? a + 1 : a;
    if (batch) perm[rank - 2] = 0;
    if (last) {
        const int64_t t = perm[rank - 1];
        perm[rank - 1] = perm[rank - 2];
        perm[rank - 2] = t;
    }
    return batch || last;
}

static oxp_shape arranged(const oxp_node *node, bool second, const oxp_shape *s)
{
    int64_t perm[OXP_MAX_RANK];
    oxp_shape out = *s;
    arrangement(node, second, s->rank, perm);
    for (int a = 0; a < s->rank; a++) out.dim[a] = s->dim[perm[a]];
    return out;
}

/* (..., m, k) (..., k, n) -> (..., m, n); a vector is a row of a, a column of b, without that axis in y */
static bool product_shape(const oxp_shape *a, const oxp_shape *b, oxp_shape *y)
{
    if (a->rank < 1 || b->rank < 1) return false;
    const oxp_shape la = oxp_shape_of(a->rank > 2 ? a->rank - 2 : 0, a->dim);
    const oxp_shape lb = oxp_shape_of(b->rank > 2 ? b->rank - 2 : 0, b->dim);
    const int64_t k = b->dim[b->rank > 1 ? b->rank - 2 : 0];
    if (a->dim[a->rank - 1] != k || !oxp_shape_broadcast(&la, &lb, y)) return false;
    if (a->rank > 1) y->dim[y->rank++] = a->dim[a->rank - 2];
    if (b->rank > 1) y->dim[y->rank++] = b->dim[b->rank - 1];
    return true;
}

static oxp_status fused_matmul_infer(oxp_infer *inf)
{
    char as[OXP_SHAPE_TEXT], bs[OXP_SHAPE_TEXT];
    oxp_shape y;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    const oxp_shape a = arranged(inf->node, false, oxp_infer_shape(inf, 0));
    const oxp_shape b = arranged(inf->node, true, oxp_infer_shape(inf, 1));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !product_shape(&a, &b, &y), OXP_EINVAL,
                     "cannot multiply %s by %s", oxp_shape_text(&a, as), oxp_shape_text(&b, bs));
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

/* The operand with its axes rearranged, in scratch memory. */
static oxp_status rearrange(const oxp_call *call, bool second, oxp_shape *shape, const double **out)
{
    const oxp_shape *s = &call->in_shape[second];
    const int64_t n = oxp_shape_elements(s);
    double *v = oxp_arena_alloc(call->scratch, (size_t)n + 1, sizeof(double));
    int64_t perm[OXP_MAX_RANK], at[OXP_MAX_RANK] = {0}, from[OXP_MAX_RANK] = {0};
    OXP_NOMEM_IF(call->ctx, v);
    arrangement(call->node, second, s->rank, perm);
    *shape = arranged(call->node, second, s);
    for (int64_t i = 0; i < n; i++, oxp_index_next(shape, at)) {
        for (int a = 0; a < s->rank; a++) from[perm[a]] = at[a];
        v[i] = call->in[second][oxp_index_broadcast(s, s, from)];
    }
    *out = v;
    return OXP_OK;
}

static oxp_status fused_matmul_ref(const oxp_call *call)
{
    oxp_shape shapes[2];
    const double *in[2];
    oxp_node plain = *call->node;
    oxp_call inner = *call;
    for (int k = 0; k < 2; k++) OXP_TRY(rearrange(call, k == 1, &shapes[k], &in[k]));
    plain.op = &oxp_op_MatMul;
    inner.node = &plain;
    inner.in = in;
    inner.in_shape = shapes;
    OXP_TRY(oxp_op_MatMul.ref(&inner));
    const double alpha = oxp_attr_float(call->node, "alpha", 1.0);
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) call->out[0][i] *= alpha;
    return OXP_OK;
}

static oxp_status fused_matmul_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_val in[2];
    if (b->status != OXP_OK) return b->status;
    for (int k = 0; k < 2; k++) {
        int64_t perm[OXP_MAX_RANK];
        const bool moved = arrangement(node, k == 1, oxp_b_shape(b, node->in[k])->rank, perm);
        in[k] = moved ? oxp_b_transpose(b, node->in[k], perm) : node->in[k];
    }
    out[0] = oxp_b_scaled(b, oxp_b_matmul(b, in[0], in[1]), oxp_attr_float(node, "alpha", 1.0));
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec alpha_attrs[] = {{"alpha", OXP_ATTR_FLOAT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec bias_softmax_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"is_inner_broadcast", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec fused_conv_attrs[] = {
    {"activation", OXP_ATTR_STRING, ACTIVATIONS}, {"activation_params", OXP_ATTR_FLOATS, NULL},
    {"auto_pad", OXP_ATTR_STRING, NULL}, {"dilations", OXP_ATTR_INTS, NULL}, {"group", OXP_ATTR_INT, NULL},
    {"kernel_shape", OXP_ATTR_INTS, NULL}, {"pads", OXP_ATTR_INTS, NULL}, {"strides", OXP_ATTR_INTS, NULL},
    {NULL, 0, NULL}};
static const oxp_attr_spec fused_gemm_attrs[] = {
    {"activation", OXP_ATTR_STRING, ACTIVATIONS}, {"activation_alpha", OXP_ATTR_FLOAT, NULL},
    {"activation_beta", OXP_ATTR_FLOAT, NULL}, {"activation_gamma", OXP_ATTR_FLOAT, NULL},
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"beta", OXP_ATTR_FLOAT, NULL}, {"transA", OXP_ATTR_INT, NULL},
    {"transB", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_attr_spec fused_matmul_attrs[] = {
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"transA", OXP_ATTR_INT, NULL}, {"transB", OXP_ATTR_INT, NULL},
    {"transBatchA", OXP_ATTR_INT, NULL}, {"transBatchB", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};

#define CONTRIB(symbol, lowest, highest, ...)                                                                          \
    const oxp_op oxp_op_ms_##symbol = {                                                                                \
        .name = "com.microsoft::" #symbol, .min_in = (lowest), .max_in = (highest), .min_out = 1, .max_out = 1,        \
        .since = 1, .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, __VA_ARGS__}

CONTRIB(BiasAdd, 3, 3, .infer = infer_addends, .ref = bias_add_ref, .expand = bias_add_expand);
static const oxp_attr_spec bias_dropout_attrs[] = {
    {"ratio", OXP_ATTR_FLOAT, NULL}, {"seed", OXP_ATTR_INT, NULL}, {"training_mode", OXP_ATTR_INT, NULL}, {NULL, 0, NULL}};
static const oxp_const_in bias_dropout_in[] = {
    {3, "ratio", OXP_ATTR_FLOAT}, {4, "training_mode", OXP_ATTR_INT}, {0, NULL, OXP_ATTR_INT}};
const oxp_op oxp_op_ms_BiasDropout = {
    .name = "com.microsoft::BiasDropout", .min_in = 2, .max_in = 5, .min_out = 1, .max_out = 2, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = bias_dropout_attrs, .const_in = bias_dropout_in,
    .infer = bias_dropout_infer, .ref = bias_dropout_ref, .expand = bias_dropout_expand};

CONTRIB(Gelu, 1, 1, .infer = infer_addends, .ref = gelu_ref, .expand = gelu_expand);
CONTRIB(BiasGelu, 2, 2, .infer = infer_addends, .ref = gelu_ref, .expand = gelu_expand);
CONTRIB(FastGelu, 1, 2, .infer = infer_addends, .ref = fast_gelu_ref, .expand = fast_gelu_expand);
CONTRIB(QuickGelu, 1, 1, .attrs = alpha_attrs, .infer = infer_addends, .ref = quick_gelu_ref,
        .expand = quick_gelu_expand);
CONTRIB(BiasSoftmax, 2, 2, .attrs = bias_softmax_attrs, .infer = bias_softmax_infer, .ref = bias_softmax_ref,
        .expand = bias_softmax_expand);
CONTRIB(BiasSplitGelu, 2, 2, .infer = split_gelu_infer, .ref = split_gelu_ref, .expand = split_gelu_expand);
CONTRIB(FusedConv, 2, 4, .attrs = fused_conv_attrs, .infer = fused_conv_infer, .ref = fused_conv_ref,
        .expand = fused_conv_expand);
CONTRIB(FusedGemm, 2, 3, .attrs = fused_gemm_attrs, .infer = fused_gemm_infer, .ref = fused_gemm_ref,
        .expand = fused_gemm_expand);
CONTRIB(FusedMatMul, 2, 2, .attrs = fused_matmul_attrs, .infer = fused_matmul_infer, .ref = fused_matmul_ref,
        .expand = fused_matmul_expand);
CONTRIB(TransposeMatMul, 2, 2, .attrs = fused_matmul_attrs, .infer = fused_matmul_infer, .ref = fused_matmul_ref,
        .expand = fused_matmul_expand);
/* clang-format on */
