/* resize.c - tables applied; Resize (opsets 11 on), Upsample (7, 9) and their adjoint, any axes.
 * resize_table.c says which cells a result cell reads. */
#include "ops/resize.h"

#include "ops/infer.h"
#include <string.h>

/* ---- tables ---- */

void oxp_tables_apply(const oxp_resize *t, bool back, const oxp_shape *x, const oxp_shape *y,
                      const double *from, double *to)
{
    int64_t stride[OXP_MAX_RANK], at[OXP_MAX_RANK] = {0}, o = 0;
    oxp_shape taps = {.rank = x->rank};
    oxp_shape_strides(x, stride);
    memset(to, 0, (size_t)oxp_shape_elements(back ? x : y) * sizeof(double));
    if (oxp_shape_elements(y) == 0) return;
    for (int a = 0; a < x->rank; a++) taps.dim[a] = t->index[a] ? t->taps[a] : 1;
    do {
        int64_t tap[OXP_MAX_RANK] = {0};
        for (int a = 0; a < x->rank && !back; a++)
            if (t->outside[a] && t->outside[a][at[a]]) to[o] = t->value;
        do {
            int64_t i = 0;
            double w = 1;
            for (int a = 0; a < x->rank; a++) {
                const int64_t cell = at[a] * taps.dim[a] + tap[a];
                i += (t->index[a] ? t->index[a][cell] : at[a]) * stride[a];
                w *= t->index[a] ? t->weight[a][cell] : 1;
            }
            if (back)
                to[i] += w * from[o];
            else
                to[o] += w * from[i];
        } while (oxp_index_next(&taps, tap));
        o++;
    } while (oxp_index_next(y, at));
}

/* (in, out): entry (i, o) is the weight with which result cell o reads input cell i */
static oxp_val axis_matrix(oxp_build *b, const oxp_resize *t, int axis, int64_t in, int64_t out)
{
    const oxp_shape s = {.rank = 2, .dim = {in, out}};
    oxp_tensor *m = OXP_NEW(b->g->arena, oxp_tensor, 1);
    if (b->status == OXP_OK && !m) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status == OXP_OK) b->status = oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &s, m);
    if (b->status != OXP_OK) return OXP_NO_VAL;
    double *w = (double *)(uintptr_t)m->data;
    for (int64_t o = 0; o < out; o++)
        for (int k = 0; k < t->taps[axis]; k++)
            w[t->index[axis][o * t->taps[axis] + k] * out + o] +=
                t->weight[axis][o * t->taps[axis] + k];
    return oxp_b_const(b, OXP_F32, m);
}

/* Along each axis: dy seen as (before, out, after), multiplied by the (in, out) matrix. */
oxp_val oxp_b_tables_adjoint(oxp_build *b, const oxp_resize *t, const oxp_shape *x, oxp_val dy)
{
    for (int a = 0; a < x->rank; a++) {
        if (!t->index[a] || b->status != OXP_OK) continue;
        oxp_shape whole = *oxp_b_shape(b, dy), three = {.rank = 3, .dim = {1, whole.dim[a], 1}};
        for (int i = 0; i < whole.rank; i++)
            if (i != a) three.dim[i < a ? 0 : 2] *= whole.dim[i];
        const oxp_val m = axis_matrix(b, t, a, x->dim[a], whole.dim[a]);
        whole.dim[a] = x->dim[a];
        dy = oxp_b_reshape(b, oxp_b_matmul(b, m, oxp_b_reshape(b, dy, &three)), &whole);
    }
    return dy;
}

/* ---- reading ---- */

/* The forward shapes and tables of a Resize, Upsample or _ResizeGrad. */
static oxp_status read_tables(oxp_ctx *ctx, oxp_arena *arena, const oxp_node *node,
                              const oxp_shape *x, const oxp_shape *y, oxp_resize *t)
{
    oxp_resizing r;
    OXP_TRY(oxp_resizing_read(ctx, node, x, &r));
    return oxp_resizing_tables(ctx, arena, &r, x, y, t);
}

/* ---- infer ---- */

static oxp_status infer_resize(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    oxp_resizing r;
    oxp_shape y;
    OXP_TRY(oxp_resizing_read(inf->ctx, inf->node, x, &r));
    if (r.mode != OXP_RESIZE_NEAREST) OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_resizing_shape(inf->ctx, inf->node, &r, x, &y));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status infer_resize_grad(oxp_infer *inf)
{
    oxp_resizing r;
    oxp_shape y;
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    OXP_TRY(oxp_resizing_read(inf->ctx, inf->node, &inf->shape[0], &r));
    OXP_TRY(oxp_resizing_shape(inf->ctx, inf->node, &r, &inf->shape[0], &y));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(oxp_infer_shape(inf, 0), &y),
                     OXP_EINTERNAL, "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

/* ---- grad ---- */

/* The node's attributes without those that only one of an operator and its adjoint has, with room for
 * two; NULL when out of memory. */
static oxp_attr *shared_attrs(oxp_build *b, const oxp_node *node, size_t *n)
{
    static const char *const own[] = {"input_shape", "legacy", "extrapolation_value"};
    oxp_attr *attrs = OXP_NEW(b->ctx->scratch, oxp_attr, node->n_attrs + 2);
    *n = 0;
    for (size_t i = 0; attrs && i < node->n_attrs; i++) {
        bool kept = true;
        for (size_t k = 0; k < OXP_COUNT(own); k++)
            kept = kept && strcmp(node->attrs[i].name, own[k]) != 0;
        if (kept) attrs[(*n)++] = node->attrs[i];
    }
    return attrs;
}

/* dx = _ResizeGrad(dy) = T' dy */
static oxp_status grad_resize(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    size_t n;
    oxp_attr *attrs = shared_attrs(g->b, g->node, &n);
    OXP_NOMEM_IF(g->b->ctx, attrs);
    attrs[n++] = OXP_INTS("input_shape", x.dim, (size_t)x.rank);
    if (g->node->op == &oxp_op_Upsample) attrs[n++] = OXP_INT("legacy", 1);
    g->dx[0] = oxp_emit(g->b, &oxp_op__ResizeGrad, g->dy, 1, attrs, n);
    return g->b->status;
}

/* Linear in dy: the adjoint of T' is T, a Resize again, with nothing put outside. */
static oxp_status grad_resize_grad(oxp_grad *g)
{
    const bool legacy = oxp_attr_int(g->node, "legacy", 0) != 0;
    size_t n;
    const oxp_attr *attrs = shared_attrs(g->b, g->node, &n);
    OXP_NOMEM_IF(g->b->ctx, attrs);
    g->dx[0] = oxp_emit(g->b, legacy ? &oxp_op_Upsample : &oxp_op_Resize, g->dy, 1, attrs, n);
    return g->b->status;
}

/* ---- ref, lower, expand ---- */

static oxp_status ref_resize(const oxp_call *call)
{
    oxp_resize t;
    const bool back = call->node->op == &oxp_op__ResizeGrad;
    const oxp_shape *x = back ? &call->out_shape[0] : &call->in_shape[0];
    const oxp_shape *y = back ? &call->in_shape[0] : &call->out_shape[0];
    OXP_TRY(read_tables(call->ctx, call->scratch, call->node, x, y, &t));
    oxp_tables_apply(&t, back, x, y, call->in[0], call->out[0]);
    return OXP_OK;
}

static oxp_status lower_resize(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const oxp_shape *in = oxp_shape_at(g, node->in[0]), *out = oxp_shape_at(g, node->out[0]);
    const bool back = node->op == &oxp_op__ResizeGrad;
    if (oxp_value_of(g, node->in[0])->dtype != OXP_F32) return oxp_lower_by_ref(lw, node);
    oxp_resize *t = OXP_NEW(oxp_lower_arena(lw), oxp_resize, 1);
    OXP_NOMEM_IF(oxp_lower_ctx(lw), t);
    OXP_TRY(read_tables(oxp_lower_ctx(lw), oxp_lower_arena(lw), node, back ? out : in,
                        back ? in : out, t));
    return back ? oxp_lower_resize_grad(lw, t, node->in[0], node->out[0])
                : oxp_lower_resize(lw, t, node->in[0], node->out[0]);
}

static oxp_status expand_resize_grad(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = oxp_node_shape(node, "input_shape"), y = *oxp_b_shape(b, node->in[0]);
    oxp_resize t;
    OXP_TRY(read_tables(b->ctx, b->ctx->scratch, node, &x, &y, &t));
    out[0] = oxp_b_tables_adjoint(b, &t, &x, node->in[0]);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
#define RESIZE_ATTRS                                                                               \
    {"mode", OXP_ATTR_STRING, "nearest,linear,cubic"}, {"nearest_mode", OXP_ATTR_STRING, NULL},    \
    {"coordinate_transformation_mode", OXP_ATTR_STRING, NULL}, {"axes", OXP_ATTR_INTS, NULL},      \
    {"antialias", OXP_ATTR_INT, NULL}, {"cubic_coeff_a", OXP_ATTR_FLOAT, NULL},                    \
    {"exclude_outside", OXP_ATTR_INT, NULL}, {"roi", OXP_ATTR_FLOATS, NULL},                       \
    {"keep_aspect_ratio_policy", OXP_ATTR_STRING, "stretch,not_larger,not_smaller"},               \
    {"scales", OXP_ATTR_FLOATS, NULL}, {"sizes", OXP_ATTR_INTS, NULL}
static const oxp_attr_spec resize_specs[] = {
    RESIZE_ATTRS, {"extrapolation_value", OXP_ATTR_FLOAT, NULL}, END};
static const oxp_attr_spec upsample_specs[] = {
    {"mode", OXP_ATTR_STRING, "nearest,linear"}, {"scales", OXP_ATTR_FLOATS, NULL}, END};
static const oxp_attr_spec grad_specs[] = {
    RESIZE_ATTRS, {"legacy", OXP_ATTR_INT, NULL}, {"input_shape", OXP_ATTR_INTS, NULL}, END};
static const oxp_const_in resize_in[] = {
    {1, "roi", OXP_ATTR_FLOATS}, {2, "scales", OXP_ATTR_FLOATS}, {3, "sizes", OXP_ATTR_INTS},
    {0, NULL, OXP_ATTR_INT}};
static const oxp_const_in upsample_in[] = {{1, "scales", OXP_ATTR_FLOATS}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_Resize = {
    .name = "Resize", .min_in = 1, .max_in = 4, .min_out = 1, .max_out = 1, .since = 10,
    .flags = OXP_OP_CHANNELS_LAST | OXP_OP_LINEAR, .attrs = resize_specs, .const_in = resize_in,
    .infer = infer_resize, .grad = grad_resize, .ref = ref_resize, .lower = lower_resize};
const oxp_op oxp_op_Upsample = {
    .name = "Upsample", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 1,
    .until = 9, .flags = OXP_OP_CHANNELS_LAST | OXP_OP_LINEAR, .attrs = upsample_specs, .const_in = upsample_in,
    .infer = infer_resize, .grad = grad_resize, .ref = ref_resize, .lower = lower_resize};
const oxp_op oxp_op__ResizeGrad = {
    .name = "_ResizeGrad", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_CHANNELS_LAST, .attrs = grad_specs,
    .infer = infer_resize_grad, .grad = grad_resize_grad, .ref = ref_resize, .lower = lower_resize,
    .expand = expand_resize_grad};
/* clang-format on */
