/* resize.c - Resize (opsets 10 to 17), Upsample (7, 9) and their adjoint: modes nearest and linear,
 * any axes.
 *
 * Per axis, with s = scale (of the attribute, or out / in when sizes are given), the cell read by
 * result cell o lies at
 *   half_pixel            (o + 1/2) / s - 1/2
 *   pytorch_half_pixel    the same, 0 when out = 1
 *   asymmetric            o / s
 *   align_corners         o (in - 1) / (out - 1), 0 when out = 1
 *   tf_half_pixel_for_nn  (o + 1/2) / s
 * linear weighs the two cells around it, clamped to the input; nearest rounds it as nearest_mode
 * says. Upsample, which the importer also makes of opset 10's Resize, is asymmetric and rounds down,
 * or up along axes that shrink, as ONNX Runtime does. The quotient is rounded to float before
 * nearest rounds it: runtimes compute it so, and ties must fall the same way. align_corners takes
 * the whole number `out` as PyTorch and ONNX Runtime do, where the standard's tests take in * scale. */
#include "ops/resize.h"

#include "ops/infer.h"
#include <math.h>
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

/* ---- reading the node ---- */

typedef enum coordinates {
    HALF_PIXEL,
    PYTORCH_HALF_PIXEL,
    ASYMMETRIC,
    ALIGN_CORNERS,
    TF_HALF_PIXEL
} coordinates;
typedef enum rounding { PREFER_FLOOR, PREFER_CEIL, DOWN, UP, BY_DIRECTION } rounding;

typedef struct resizing {
    bool linear, legacy; /* legacy: Upsample, which the importer makes of Resize at opset 10 too */
    coordinates where;
    rounding round;
    const double *scales; /* one per axis, or NULL: sizes */
    const int64_t *sizes;
} resizing;

/* Index of `text` in the list; fails naming the attribute. */
static oxp_status choose(oxp_ctx *ctx, const oxp_node *node, const char *attr, const char *fallback,
                         const char *const *list, size_t n, int *out)
{
    const char *text = oxp_attr_string(node, attr, fallback);
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, list[i]) == 0) {
            *out = (int)i;
            return OXP_OK;
        }
    OXP_NODE_FAIL_IF(ctx, node, true, OXP_EUNSUPPORTED, "has %s '%s', which is not supported", attr,
                     text);
    return OXP_OK;
}

static const double *attr_floats(const oxp_node *node, const char *name, size_t *n)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    *n = a && a->type == OXP_ATTR_FLOATS ? a->n : 0;
    return *n ? a->floats : NULL;
}

static oxp_status read_resize(oxp_ctx *ctx, const oxp_node *node, int rank, resizing *out)
{
    static const char *const modes[] = {"nearest", "linear"};
    static const char *const places[] = {"half_pixel", "pytorch_half_pixel", "asymmetric",
                                         "align_corners", "tf_half_pixel_for_nn"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    size_t n_scales, n_sizes;
    int mode, where, round;
    resizing r = {0};
    r.scales = attr_floats(node, "scales", &n_scales);
    r.sizes = oxp_attr_ints(node, "sizes", &n_sizes);
    r.legacy = node->op == &oxp_op_Upsample || oxp_attr_int(node, "legacy", 0) != 0;
    if (n_scales) r.sizes = NULL;
    const size_t n = n_scales ? n_scales : n_sizes;
    OXP_NODE_FAIL_IF(ctx, node, n != (size_t)rank, OXP_EINVAL,
                     "has %zu scales or sizes for an input of rank %d", n, rank);
    OXP_TRY(choose(ctx, node, "mode", "nearest", modes, OXP_COUNT(modes), &mode));
    OXP_TRY(choose(ctx, node, "coordinate_transformation_mode", "half_pixel", places,
                   OXP_COUNT(places), &where));
    OXP_TRY(
        choose(ctx, node, "nearest_mode", roundings[0], roundings, OXP_COUNT(roundings), &round));
    r.linear = mode == 1;
    r.where = r.legacy ? ASYMMETRIC : (coordinates)where;
    r.round = r.legacy ? BY_DIRECTION : (rounding)round;
    *out = r;
    return OXP_OK;
}

static oxp_status result_shape(oxp_ctx *ctx, const oxp_node *node, const resizing *r,
                               const oxp_shape *x, oxp_shape *y)
{
    *y = *x;
    for (int a = 0; a < x->rank; a++) {
        const double size =
            r->sizes
                ? (double)r->sizes[a]
                : floor((double)((float)x->dim[a] * (float)r->scales[a])); /* in float, as ONNX */
        OXP_NODE_FAIL_IF(ctx, node, !(size >= 1) || size > INT32_MAX || x->dim[a] < 1, OXP_EINVAL,
                         "resizes axis %d from %lld to %g cells", a, (long long)x->dim[a], size);
        y->dim[a] = (int64_t)size;
    }
    return OXP_OK;
}

/* ---- one axis ---- */

static double position(const resizing *r, double scale, int64_t o, int64_t in, int64_t out)
{
    const double half = r->where == ASYMMETRIC ? 0 : 0.5,
                 back = r->where == TF_HALF_PIXEL ? 0 : half;
    if (r->where == ALIGN_CORNERS) return out == 1 ? 0 : (double)(o * (in - 1)) / (double)(out - 1);
    if (r->where == PYTORCH_HALF_PIXEL && out == 1) return 0;
    const double p =
        r->sizes ? ((double)o + half) * (double)in / (double)out : ((double)o + half) / scale;
    return (r->linear ? p : (double)(float)p) - back;
}

static double rounded(rounding round, double p, bool shrinks)
{
    switch (round) {
    case PREFER_FLOOR:
        return ceil(p - 0.5);
    case PREFER_CEIL:
        return floor(p + 0.5);
    case DOWN:
        return floor(p);
    case UP:
        return ceil(p);
    default:
        return shrinks ? ceil(p) : floor(p);
    }
}

static int64_t clamped(double p, int64_t in)
{
    return p < 0 ? 0 : p > (double)(in - 1) ? in - 1 : (int64_t)p;
}

static oxp_status axis_table(oxp_ctx *ctx, oxp_arena *arena, const resizing *r, double scale,
                             int64_t in, int64_t out, int taps, const int64_t **index_out,
                             const double **weight_out)
{
    int64_t *index = OXP_NEW(arena, int64_t, out * taps);
    double *weight = OXP_NEW(arena, double, out *taps);
    OXP_FAIL_IF(ctx, !index || !weight, OXP_ENOMEM, "out of memory");
    for (int64_t o = 0; o < out; o++) {
        double p = position(r, scale, o, in, out);
        if (taps == 1) {
            index[o] = clamped(rounded(r->round, p, scale < 1), in);
            weight[o] = 1;
            continue;
        }
        p = p < 0 ? 0 : p > (double)(in - 1) ? (double)(in - 1) : p;
        index[2 * o] = clamped(floor(p), in);
        index[2 * o + 1] = clamped(floor(p) + 1, in);
        weight[2 * o + 1] = p - floor(p);
        weight[2 * o] = 1 - weight[2 * o + 1];
    }
    *index_out = index;
    *weight_out = weight;
    return OXP_OK;
}

/* The tables of a Resize, Upsample or _ResizeGrad for the forward shapes x -> y. An axis with scale
 * 1 is left alone. */
static oxp_status build_tables(oxp_ctx *ctx, oxp_arena *arena, const oxp_node *node,
                               const oxp_shape *x, const oxp_shape *y, oxp_resize *t)
{
    resizing r;
    OXP_TRY(read_resize(ctx, node, x->rank, &r));
    *t = (oxp_resize){.rank = x->rank};
    for (int a = 0; a < x->rank; a++) {
        const double scale = r.sizes ? (double)y->dim[a] / (double)x->dim[a] : r.scales[a];
        t->taps[a] = 1;
        if (scale >= 1 && scale <= 1) continue;
        t->taps[a] = r.linear ? 2 : 1;
        OXP_TRY(axis_table(ctx, arena, &r, scale, x->dim[a], y->dim[a], t->taps[a], &t->index[a],
                           &t->weight[a]));
    }
    return OXP_OK;
}

/* ---- infer ---- */

static oxp_status infer_resize(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    resizing r;
    oxp_shape y;
    OXP_TRY(read_resize(inf->ctx, inf->node, x->rank, &r));
    if (r.linear) OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(result_shape(inf->ctx, inf->node, &r, x, &y));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status infer_resize_grad(oxp_infer *inf)
{
    resizing r;
    oxp_shape y;
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    OXP_TRY(read_resize(inf->ctx, inf->node, inf->shape[0].rank, &r));
    OXP_TRY(result_shape(inf->ctx, inf->node, &r, &inf->shape[0], &y));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(oxp_infer_shape(inf, 0), &y),
                     OXP_EINTERNAL, "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

/* ---- grad ---- */

#define MAX_ATTRS 6

/* What describes the resizing, for a node of either operator. */
static size_t resize_attrs(const oxp_node *node, const resizing *r, int rank,
                           oxp_attr attrs[MAX_ATTRS])
{
    const char *where = "coordinate_transformation_mode", *round = "nearest_mode";
    size_t n = 0;
    attrs[n++] = OXP_STR("mode", r->linear ? "linear" : "nearest");
    if (r->scales)
        attrs[n++] = (oxp_attr){
            .name = "scales", .type = OXP_ATTR_FLOATS, .n = (size_t)rank, .floats = r->scales};
    else
        attrs[n++] = OXP_INTS("sizes", r->sizes, (size_t)rank);
    if (r->legacy) return n;
    attrs[n++] = OXP_STR(where, oxp_attr_string(node, where, "half_pixel"));
    attrs[n++] = OXP_STR(round, oxp_attr_string(node, round, "round_prefer_floor"));
    return n;
}

/* dx = _ResizeGrad(dy) = T' dy */
static oxp_status grad_resize(oxp_grad *g)
{
    const oxp_shape x = *oxp_b_shape(g->b, g->node->in[0]);
    resizing r;
    oxp_attr attrs[MAX_ATTRS];
    OXP_TRY(read_resize(g->b->ctx, g->node, x.rank, &r));
    size_t n = resize_attrs(g->node, &r, x.rank, attrs);
    attrs[n++] = OXP_INTS("input_shape", x.dim, (size_t)x.rank);
    if (r.legacy) attrs[n++] = OXP_INT("legacy", 1);
    g->dx[0] = oxp_emit(g->b, &oxp_op__ResizeGrad, g->dy, 1, attrs, n);
    return g->b->status;
}

/* Linear in dy: the adjoint of T' is T, a Resize again. */
static oxp_status grad_resize_grad(oxp_grad *g)
{
    const int rank = oxp_b_shape(g->b, g->node->in[0])->rank;
    resizing r;
    oxp_attr attrs[MAX_ATTRS];
    OXP_TRY(read_resize(g->b->ctx, g->node, rank, &r));
    const size_t n = resize_attrs(g->node, &r, rank, attrs);
    g->dx[0] = oxp_emit(g->b, r.legacy ? &oxp_op_Upsample : &oxp_op_Resize, g->dy, 1, attrs, n);
    return g->b->status;
}

/* ---- ref, lower, expand ---- */

static oxp_status ref_resize(const oxp_call *call)
{
    oxp_resize t;
    const bool back = call->node->op == &oxp_op__ResizeGrad;
    const oxp_shape *x = back ? &call->out_shape[0] : &call->in_shape[0];
    const oxp_shape *y = back ? &call->in_shape[0] : &call->out_shape[0];
    OXP_TRY(build_tables(call->ctx, call->scratch, call->node, x, y, &t));
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
    OXP_TRY(build_tables(oxp_lower_ctx(lw), oxp_lower_arena(lw), node, back ? out : in,
                         back ? in : out, t));
    return back ? oxp_lower_resize_grad(lw, t, node->in[0], node->out[0])
                : oxp_lower_resize(lw, t, node->in[0], node->out[0]);
}

static oxp_status expand_resize_grad(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = oxp_node_shape(node, "input_shape"), y = *oxp_b_shape(b, node->in[0]);
    oxp_resize t;
    OXP_TRY(build_tables(b->ctx, b->ctx->scratch, node, &x, &y, &t));
    out[0] = oxp_b_tables_adjoint(b, &t, &x, node->in[0]);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
#define RESIZE_ATTRS                                                                               \
    {"mode", OXP_ATTR_STRING, "nearest,linear"}, {"nearest_mode", OXP_ATTR_STRING, NULL},          \
    {"coordinate_transformation_mode", OXP_ATTR_STRING,                                            \
     "half_pixel,pytorch_half_pixel,asymmetric,align_corners,tf_half_pixel_for_nn"},               \
    {"scales", OXP_ATTR_FLOATS, NULL}, {"sizes", OXP_ATTR_INTS, NULL}
static const oxp_attr_spec resize_specs[] = {
    RESIZE_ATTRS, {"roi", OXP_ATTR_FLOATS, NULL}, {"cubic_coeff_a", OXP_ATTR_FLOAT, NULL},
    {"exclude_outside", OXP_ATTR_INT, "0"}, {"extrapolation_value", OXP_ATTR_FLOAT, NULL}, END};
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
    .name = "Upsample", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 7,
    .until = 9, .flags = OXP_OP_CHANNELS_LAST | OXP_OP_LINEAR, .attrs = upsample_specs, .const_in = upsample_in,
    .infer = infer_resize, .grad = grad_resize, .ref = ref_resize, .lower = lower_resize};
const oxp_op oxp_op__ResizeGrad = {
    .name = "_ResizeGrad", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_CHANNELS_LAST, .attrs = grad_specs,
    .infer = infer_resize_grad, .grad = grad_resize_grad, .ref = ref_resize, .lower = lower_resize,
    .expand = expand_resize_grad};
/* clang-format on */
