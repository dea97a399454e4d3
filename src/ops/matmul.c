/* matmul.c - MatMul, Gemm and the general form behind both.
 *
 *   _MatMul:  y = f(scale op(a) op(b) + bias + residual), op = transposition where asked for
 *
 * Leading axes broadcast as in NumPy; MatMul's operands may have one axis. Gemm's C and _MatMul's
 * bias broadcast to the result. Adjoints come with the broadcast axes of the result; the driver
 * sums over them. */
#include "ops/infer.h"
#include "ops/lower.h"
#include "ops/post.h"
#include <string.h>

/* ---- geometry ---- */

typedef struct product {
    bool ta, tb;
    double scale; /* of op(a) op(b) */
    int64_t m, k, n;
    oxp_shape a, b, y; /* the leading axes of the operands and of the result */
    oxp_shape result;  /* full shape, without the axis of a vector operand */
} product;

/* (..., rows, cols) without its last two axes; a vector is a row (of a) or a column (of b). */
static oxp_shape split_matrix(const oxp_shape *s, bool row, int64_t *rows, int64_t *cols)
{
    oxp_shape lead = *s;
    if (s->rank == 1) {
        *rows = row ? 1 : s->dim[0];
        *cols = row ? s->dim[0] : 1;
        lead.rank = 0;
    } else {
        *rows = s->dim[s->rank - 2];
        *cols = s->dim[s->rank - 1];
        lead.rank -= 2;
    }
    return lead;
}

static void flags_of(const oxp_node *node, product *p)
{
    const bool gemm = node->op == &oxp_op_Gemm;
    p->ta = oxp_attr_int(node, gemm ? "transA" : "trans_a", 0) != 0;
    p->tb = oxp_attr_int(node, gemm ? "transB" : "trans_b", 0) != 0;
    p->scale = oxp_attr_float(node, gemm ? "alpha" : "scale", 1.0);
}

static oxp_status read_product(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *a,
                               const oxp_shape *b, product *out)
{
    char as[OXP_SHAPE_TEXT], bs[OXP_SHAPE_TEXT];
    const int low = node->op == &oxp_op_MatMul ? 1 : 2;
    const int high = node->op == &oxp_op_Gemm ? 2 : OXP_MAX_RANK;
    OXP_NODE_FAIL_IF(ctx, node, a->rank < low || b->rank < low || a->rank > high || b->rank > high,
                     OXP_EINVAL, "has operands %s and %s, expected %d to %d axes each",
                     oxp_shape_text(a, as), oxp_shape_text(b, bs), low, high);
    product p;
    int64_t ra, ca, rb, cb;
    flags_of(node, &p);
    p.a = split_matrix(a, true, &ra, &ca);
    p.b = split_matrix(b, false, &rb, &cb);
    p.m = p.ta ? ca : ra;
    p.k = p.ta ? ra : ca;
    p.n = p.tb ? rb : cb;
    OXP_NODE_FAIL_IF(ctx, node, p.k != (p.tb ? cb : rb) || !oxp_shape_broadcast(&p.a, &p.b, &p.y),
                     OXP_EINVAL, "cannot multiply %s by %s", oxp_shape_text(a, as),
                     oxp_shape_text(b, bs));
    p.result = p.y;
    if (a->rank > 1) p.result.dim[p.result.rank++] = p.m;
    if (b->rank > 1) p.result.dim[p.result.rank++] = p.n;
    *out = p;
    return OXP_OK;
}

/* ---- infer ---- */

static oxp_status check_addend(const oxp_infer *inf, size_t i, const oxp_shape *y)
{
    if (!oxp_infer_has(inf, i)) return OXP_OK;
    oxp_shape joined;
    char c[OXP_SHAPE_TEXT], r[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     !oxp_shape_broadcast(oxp_infer_shape(inf, i), y, &joined) ||
                         !oxp_shape_equal(&joined, y),
                     OXP_EINVAL, "cannot broadcast %s to its result %s",
                     oxp_shape_text(oxp_infer_shape(inf, i), c), oxp_shape_text(y, r));
    return OXP_OK;
}

static oxp_status infer_product(oxp_infer *inf)
{
    product p;
    OXP_TRY(
        read_product(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &p));
    for (size_t i = 1; i < inf->node->n_in; i++)
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         oxp_infer_has(inf, i) &&
                             oxp_infer_dtype(inf, i) != oxp_infer_dtype(inf, 0),
                         OXP_EINVAL, "mixes %s and %s", oxp_dtype_name(oxp_infer_dtype(inf, 0)),
                         oxp_dtype_name(oxp_infer_dtype(inf, i)));
    OXP_TRY(check_addend(inf, 2, &p.result));
    OXP_TRY(check_addend(inf, 3, &p.result));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &p.result);
}

/* ---- grad ---- */

static oxp_val multiply(oxp_build *b, double scale, oxp_val x, bool tx, oxp_val y, bool ty)
{
    return oxp_emit(b, &oxp_op__MatMul, (const oxp_val[]){x, y}, 2,
                    (const oxp_attr[]){OXP_INT("trans_a", tx), OXP_INT("trans_b", ty),
                                       OXP_FLOAT("scale", scale)},
                    3);
}

/* With A = op(a), B = op(b), s = scale:
 *   a plain: da = s dy B'      a transposed: da = s B dy'
 *   b plain: db = s A' dy      b transposed: db = s dy' A */
static void product_adjoints(oxp_grad *g, const product *p, oxp_val a, oxp_val b, oxp_val dy)
{
    if (g->wants[0])
        g->dx[0] = p->ta ? multiply(g->b, p->scale, b, p->tb, dy, true)
                         : multiply(g->b, p->scale, dy, false, b, !p->tb);
    if (g->wants[1])
        g->dx[1] = p->tb ? multiply(g->b, p->scale, dy, true, a, p->ta)
                         : multiply(g->b, p->scale, a, !p->ta, dy, false);
}

/* s without the axis that is not there in a vector operand */
static oxp_val drop_axis(oxp_build *b, oxp_val x, int from_end)
{
    if (b->status != OXP_OK || x == OXP_NO_VAL) return x;
    oxp_shape s = *oxp_b_shape(b, x);
    for (int a = s.rank - from_end; a + 1 < s.rank; a++) s.dim[a] = s.dim[a + 1];
    s.rank--;
    return oxp_b_reshape(b, x, &s);
}

/* A vector operand is made a matrix (a: one row, b: one column), and dy likewise; then as above. */
static oxp_status grad_matmul(oxp_grad *g)
{
    oxp_val a = g->node->in[0], b = g->node->in[1];
    const oxp_shape as = *oxp_b_shape(g->b, a), bs = *oxp_b_shape(g->b, b);
    product p;
    OXP_TRY(read_product(g->b->ctx, g->node, &as, &bs, &p));
    oxp_shape full = p.y;
    full.dim[full.rank++] = p.m;
    full.dim[full.rank++] = p.n;
    if (as.rank == 1) a = oxp_b_reshape(g->b, a, &(oxp_shape){.rank = 2, .dim = {1, p.k}});
    if (bs.rank == 1) b = oxp_b_reshape(g->b, b, &(oxp_shape){.rank = 2, .dim = {p.k, 1}});
    product_adjoints(g, &p, a, b, oxp_b_reshape(g->b, g->dy[0], &full));
    if (as.rank == 1) g->dx[0] = drop_axis(g->b, g->dx[0], 2);
    if (bs.rank == 1) g->dx[1] = drop_axis(g->b, g->dx[1], 1);
    return g->b->status;
}

/* dA, dB as above with s = alpha;  dC = beta dy */
static oxp_status grad_gemm(oxp_grad *g)
{
    product p;
    flags_of(g->node, &p);
    product_adjoints(g, &p, g->node->in[0], g->node->in[1], g->dy[0]);
    if (oxp_node_has(g->node, 2) && g->wants[2])
        g->dx[2] =
            oxp_b_mul(g->b, g->dy[0], oxp_b_scalar(g->b, oxp_attr_float(g->node, "beta", 1.0)));
    return g->b->status;
}

/* The adjoint of f's argument: f'(v) dy, where v is y or, where f' needs the argument itself, the
 * product made again without f. */
static oxp_val before_post(oxp_grad *g, const product *p, const oxp_post *post)
{
    const oxp_node *node = g->node;
    const oxp_attr plain[] = {OXP_INT("trans_a", p->ta), OXP_INT("trans_b", p->tb),
                              OXP_FLOAT("scale", p->scale)};
    const oxp_attr fn[] = {OXP_STR("fn", oxp_fn_name(post->fn)), OXP_FLOAT("alpha", post->alpha),
                           OXP_FLOAT("beta", post->beta)};
    if (post->fn == OXP_FN_NONE) return g->dy[0];
    const oxp_val v = oxp_fn_grad_from_y(post->fn)
                          ? node->out[0]
                          : oxp_emit(g->b, &oxp_op__MatMul, node->in, node->n_in, plain, 3);
    return oxp_emit(g->b, &oxp_op__UnaryGrad, (const oxp_val[]){v, g->dy[0]}, 2, fn, 3);
}

/* With dz = f'(v) dy:  da, db as above of dz;  dbias = dresidual = dz */
static oxp_status grad_general(oxp_grad *g)
{
    product p;
    flags_of(g->node, &p);
    const oxp_post post = oxp_post_read(g->node);
    const oxp_val dz = before_post(g, &p, &post);
    product_adjoints(g, &p, g->node->in[0], g->node->in[1], dz);
    for (size_t i = 2; i < g->node->n_in; i++)
        if (g->wants[i]) g->dx[i] = dz;
    return g->b->status;
}

/* ---- ref ---- */

/* row[n] += a b[n] */
OXP_SIMD static void add_row(double *restrict row, double a, const double *restrict b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) row[i] += a * b[i];
}

/* Each result adds its products in the order of k, along rows where b has them. */
static void multiply_matrices(const product *p, const double *a, const double *b, double *y)
{
    const int64_t am = p->ta ? 1 : p->k, ak = p->ta ? p->m : 1;
    for (int64_t m = 0; m < p->m; m++, y += p->n) {
        for (int64_t n = 0; n < p->n; n++) {
            double sum = 0;
            for (int64_t k = 0; p->tb && k < p->k; k++) sum += a[m * am + k * ak] * b[n * p->k + k];
            y[n] = sum;
        }
        for (int64_t k = 0; !p->tb && k < p->k; k++)
            add_row(y, a[m * am + k * ak], b + k * p->n, p->n);
        for (int64_t n = 0; n < p->n; n++) y[n] *= p->scale;
    }
}

/* y += factor c, broadcast */
static void add_broadcast(const oxp_call *call, size_t i, double factor)
{
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    if (!oxp_node_has(call->node, i)) return;
    do
        call->out[0][o++] +=
            factor * call->in[i][oxp_index_broadcast(&call->in_shape[i], &call->out_shape[0], at)];
    while (oxp_index_next(&call->out_shape[0], at));
}

static oxp_status ref_product(const oxp_call *call)
{
    product p;
    OXP_TRY(read_product(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1], &p));
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    if (n == 0) return OXP_OK;
    int64_t at[OXP_MAX_RANK] = {0}, batch = 0;
    do
        multiply_matrices(&p, call->in[0] + oxp_index_broadcast(&p.a, &p.y, at) * p.m * p.k,
                          call->in[1] + oxp_index_broadcast(&p.b, &p.y, at) * p.k * p.n,
                          call->out[0] + batch++ * p.m * p.n);
    while (oxp_index_next(&p.y, at));
    if (call->node->op == &oxp_op_MatMul) return OXP_OK;
    const bool gemm = call->node->op == &oxp_op_Gemm;
    add_broadcast(call, 2, gemm ? oxp_attr_float(call->node, "beta", 1.0) : 1.0);
    if (gemm) return OXP_OK;
    add_broadcast(call, 3, 1.0);
    const oxp_post post = oxp_post_read(call->node);
    oxp_post_apply(&post, call->out[0], n);
    return OXP_OK;
}

/* ---- lower ---- */

static oxp_val input(const oxp_node *node, size_t i)
{
    return oxp_node_has(node, i) ? node->in[i] : OXP_NO_VAL;
}

/* Vectors, integers, and a Gemm whose beta is neither 0 nor 1 have no fast form. */
static oxp_status lower_product(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_val a = node->in[0], b = node->in[1];
    const bool gemm = node->op == &oxp_op_Gemm;
    const double beta = gemm && oxp_node_has(node, 2) ? oxp_attr_float(node, "beta", 1.0) : 1.0;
    const bool beta_zero = beta >= 0.0 && beta <= 0.0, beta_one = beta >= 1.0 && beta <= 1.0;
    const bool matrices = oxp_shape_at(g, a)->rank > 1 && oxp_shape_at(g, b)->rank > 1;
    if (!matrices || oxp_value_of(g, a)->dtype != OXP_F32 || (!beta_zero && !beta_one))
        return oxp_lower_by_ref(lw, node);
    product p;
    flags_of(node, &p);
    const oxp_matmul mm = {p.ta, p.tb, p.scale};
    const oxp_post post = gemm ? (oxp_post){OXP_FN_NONE, 0, 0} : oxp_post_read(node);
    return oxp_lower_matmul(lw, &mm, &post, a, b, beta_zero ? OXP_NO_VAL : input(node, 2),
                            input(node, 3), node->out[0]);
}

/* ---- expand ---- */

static oxp_val transposed(oxp_build *b, oxp_val x, bool yes)
{
    if (!yes || b->status != OXP_OK) return x;
    const int rank = oxp_b_shape(b, x)->rank;
    int64_t perm[OXP_MAX_RANK];
    for (int a = 0; a < rank; a++) perm[a] = a;
    perm[rank - 2] = rank - 1;
    perm[rank - 1] = rank - 2;
    return oxp_b_transpose(b, x, perm);
}

/* factor x; integers go through floats, as `ref` computes them */
static oxp_val scaled(oxp_build *b, oxp_val x, double factor)
{
    if (b->status != OXP_OK || (factor >= 1.0 && factor <= 1.0)) return x;
    const oxp_dtype dtype = oxp_value_of(b->g, x)->dtype;
    return oxp_b_cast(b, oxp_b_mul(b, oxp_b_cast(b, x, OXP_F32), oxp_b_scalar(b, factor)), dtype);
}

/* scale MatMul(op(a), op(b)) */
static oxp_val plain_product(oxp_build *b, const oxp_node *node)
{
    product p;
    flags_of(node, &p);
    const oxp_val y =
        oxp_b_matmul(b, transposed(b, node->in[0], p.ta), transposed(b, node->in[1], p.tb));
    return scaled(b, y, p.scale);
}

static oxp_status expand_gemm(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    out[0] = plain_product(b, node);
    if (oxp_node_has(node, 2))
        out[0] = oxp_b_add(b, out[0], scaled(b, node->in[2], oxp_attr_float(node, "beta", 1.0)));
    return b->status;
}

static oxp_status expand_general(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_post post = oxp_post_read(node);
    oxp_val y = plain_product(b, node);
    for (uint32_t i = 2; i < node->n_in; i++)
        if (oxp_node_has(node, i)) y = oxp_b_add(b, y, node->in[i]);
    out[0] = oxp_post_expand(b, &post, y);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec gemm_attrs[] = {
    {"alpha", OXP_ATTR_FLOAT, NULL}, {"beta", OXP_ATTR_FLOAT, NULL}, {"transA", OXP_ATTR_INT, NULL},
    {"transB", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec general_attrs[] = {
    {"trans_a", OXP_ATTR_INT, NULL}, {"trans_b", OXP_ATTR_INT, NULL},
    {"scale", OXP_ATTR_FLOAT, NULL}, {"fn", OXP_ATTR_STRING, NULL}, {"alpha", OXP_ATTR_FLOAT, NULL},
    {"beta", OXP_ATTR_FLOAT, NULL}, END};

const oxp_op oxp_op_MatMul = {
    .name = "MatMul", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 1, .flags = OXP_OP_WRAPS,
    .infer = infer_product, .grad = grad_matmul, .ref = ref_product, .lower = lower_product};
const oxp_op oxp_op_Gemm = {
    .name = "Gemm", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_COMPOSITE | OXP_OP_WRAPS, .attrs = gemm_attrs, .infer = infer_product, .grad = grad_gemm,
    .ref = ref_product, .lower = lower_product, .expand = expand_gemm};
const oxp_op oxp_op__MatMul = {
    .name = "_MatMul", .min_in = 2, .max_in = 4, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE, .attrs = general_attrs, .infer = infer_product,
    .grad = grad_general, .ref = ref_product, .lower = lower_product, .expand = expand_general};
/* clang-format on */
