/* roi.c - pooling over regions given as data: RoiAlign (mean or maximum of interpolated samples) and
 * MaxRoiPool, and their adjoint with respect to the picture. Regions are constants to it, as they are to
 * the frameworks.
 *
 *   RoiAlign     box scale [- 1/2 with half_pixel], divided into bins; each has sampling_ratio^2 samples
 *                (0: as many as cells, rounded up), each weighing four cells; 0 beyond one cell outside.
 *                mode max takes the largest weighted cell, not sample, as the standard's reference does
 *   MaxRoiPool   the box in whole cells, both ends in; the maximum of each bin's cells, 0 when empty
 *
 * A maximum is the first in that order, and it alone gets the adjoint. */
#include "ops/roi.h"

#include "ops/infer.h"
#include <math.h>
#include <string.h>

/* ---- bins and samples ---- */

static oxp_roi_bin align_bin(const oxp_roi *roi, const double box[4], const int64_t at[2])
{
    const double offset = roi->half ? 0.5 : 0.0;
    oxp_roi_bin b = {.roi = roi};
    for (int a = 0; a < 2; a++) { /* rows, columns */
        const double start = box[1 - a] * roi->scale - offset;
        double size = box[3 - a] * roi->scale - offset - start;
        if (!roi->half && size < 1) size = 1;
        const double bin = size / (double)roi->out[a], cells = ceil(bin);
        b.count[a] = roi->ratio > 0                   ? roi->ratio
                     : cells > 0 && cells < INT32_MAX ? (int64_t)cells
                                                      : 0;
        b.step[a] = b.count[a] ? bin / (double)b.count[a] : 0;
        b.start[a] = start + (double)at[a] * bin + 0.5 * b.step[a];
    }
    return b;
}

static double limited(double v, int64_t size)
{
    return v < 0 ? 0 : v > (double)size ? (double)size : v;
}

static oxp_roi_bin pool_bin(const oxp_roi *roi, const double box[4], const int64_t at[2])
{
    oxp_roi_bin b = {.roi = roi, .step = {1, 1}};
    for (int a = 0; a < 2; a++) {
        const double first = round(box[1 - a] * roi->scale), last = round(box[3 - a] * roi->scale);
        const double size = last - first + 1 > 1 ? last - first + 1 : 1;
        const double bin = size / (double)roi->out[a];
        const double start = limited(floor((double)at[a] * bin) + first, roi->in[a]);
        const double end = limited(ceil((double)(at[a] + 1) * bin) + first, roi->in[a]);
        b.start[a] = start;
        b.count[a] = end > start ? (int64_t)(end - start) : 0;
    }
    return b;
}

oxp_roi_bin oxp_roi_begin(const oxp_roi *roi, const double box[4], int64_t row, int64_t column)
{
    const int64_t at[2] = {row, column};
    return roi->whole ? pool_bin(roi, box, at) : align_bin(roi, box, at);
}

double oxp_roi_divisor(const oxp_roi_bin *b)
{
    const double n = (double)b->count[0] * (double)b->count[1];
    return n > 1 ? n : 1;
}

/* The cells around v along an axis, and the weight of the second; false: too far outside. */
static bool around(double v, int64_t size, int64_t cell[2], double *w)
{
    if (!(v >= -1 && v <= (double)size)) return false;
    if (v < 0) v = 0;
    cell[0] = (int64_t)v;
    if (cell[0] >= size - 1) cell[0] = size - 1;
    cell[1] = cell[0] < size - 1 ? cell[0] + 1 : cell[0];
    *w = cell[0] < size - 1 ? v - (double)cell[0] : 0;
    return true;
}

int oxp_roi_next(oxp_roi_bin *b, oxp_roi_tap tap[4])
{
    const oxp_roi *roi = b->roi;
    if (b->count[0] == 0 || b->count[1] == 0 || b->at / b->count[1] >= b->count[0]) return 0;
    const double y = b->start[0] + (double)(b->at / b->count[1]) * b->step[0];
    const double x = b->start[1] + (double)(b->at % b->count[1]) * b->step[1];
    b->at++;
    if (roi->whole) {
        tap[0] = (oxp_roi_tap){(int64_t)y * roi->in[1] + (int64_t)x, 1};
        return 1;
    }
    int64_t rows[2], columns[2];
    double wy, wx;
    const bool inside = around(y, roi->in[0], rows, &wy) && around(x, roi->in[1], columns, &wx);
    for (int k = 0; k < 4; k++)
        tap[k] = inside ? (oxp_roi_tap){rows[k / 2] * roi->in[1] + columns[k % 2],
                                        (k / 2 ? wy : 1 - wy) * (k % 2 ? wx : 1 - wx)}
                        : (oxp_roi_tap){0, 0};
    return 4;
}

/* ---- reading ---- */

bool oxp_node_chooses(const oxp_node *node)
{
    return node->op == &oxp_op_MaxRoiPool ||
           (node->op == &oxp_op_RoiAlign &&
            strcmp(oxp_attr_string(node, "mode", "avg"), "max") == 0);
}

static oxp_status read_sizes(oxp_ctx *ctx, const oxp_node *node, oxp_roi *r)
{
    size_t n = 2;
    const int64_t sizes[2] = {oxp_attr_int(node, "output_height", 1),
                              oxp_attr_int(node, "output_width", 1)};
    const int64_t *out = r->whole ? oxp_attr_ints(node, "pooled_shape", &n) : sizes;
    for (size_t a = 0; a < 2; a++) {
        OXP_NODE_FAIL_IF(ctx, node, n != 2 || out[a] < 1 || out[a] > INT16_MAX, OXP_EINVAL,
                         "has a result of %zu axes, or of no or too many cells", n);
        r->out[a] = out[a];
    }
    return OXP_OK;
}

/* x (N,C,H,W); RoiAlign: rois (R,4), items (R); MaxRoiPool: rois (R,5), the item first */
static oxp_status read_roi(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                           const oxp_shape *rois, const oxp_shape *items, oxp_roi *out,
                           oxp_shape *y)
{
    char xs[OXP_SHAPE_TEXT], rs[OXP_SHAPE_TEXT];
    const char *where = oxp_attr_string(node, "coordinate_transformation_mode", "half_pixel");
    oxp_roi r = {.whole = !items, .half = strcmp(where, "half_pixel") == 0};
    r.max = r.whole || strcmp(oxp_attr_string(node, "mode", "avg"), "max") == 0;
    r.scale = oxp_attr_float(node, "spatial_scale", 1.0);
    r.ratio = oxp_attr_int(node, "sampling_ratio", 0);
    OXP_NODE_FAIL_IF(ctx, node,
                     x->rank != 4 || rois->rank != 2 || rois->dim[1] != (r.whole ? 5 : 4) ||
                         (items && (items->rank != 1 || items->dim[0] != rois->dim[0])) ||
                         x->dim[2] < 1 || x->dim[3] < 1,
                     OXP_EINVAL, "has input %s and regions %s, which do not fit",
                     oxp_shape_text(x, xs), oxp_shape_text(rois, rs));
    OXP_NODE_FAIL_IF(ctx, node, r.ratio < 0 || r.ratio > INT16_MAX, OXP_EINVAL,
                     "has sampling_ratio %lld", (long long)r.ratio);
    OXP_TRY(read_sizes(ctx, node, &r));
    r.n = x->dim[0];
    r.c = x->dim[1];
    r.regions = rois->dim[0];
    memcpy(r.in, &x->dim[2], sizeof r.in);
    *y = (oxp_shape){.rank = 4, .dim = {r.regions, r.c, r.out[0], r.out[1]}};
    *out = r;
    return OXP_OK;
}

/* The operands of either operator and of its adjoint: x, rois, items?, dy? */
static bool is_pool(const oxp_node *node)
{
    return node->op == &oxp_op_MaxRoiPool ||
           (node->op == &oxp_op__RoiGrad && oxp_attr_find(node, "pooled_shape") != NULL);
}

static oxp_status infer_roi(oxp_infer *inf)
{
    const bool pool = is_pool(inf->node);
    const size_t last = pool ? 2 : 3; /* dy of the adjoint */
    oxp_roi r;
    oxp_shape y;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !pool && oxp_infer_dtype(inf, 2) != OXP_I64, OXP_EINVAL,
                     "has items that are no %s", "integers");
    OXP_TRY(read_roi(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1),
                     pool ? NULL : oxp_infer_shape(inf, 2), &r, &y));
    if (inf->node->op != &oxp_op__RoiGrad) return oxp_infer_out(inf, 0, OXP_F32, &y);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     inf->node->n_in != last + 1 ||
                         !oxp_shape_equal(oxp_infer_shape(inf, last), &y),
                     OXP_EINTERNAL, "has an adjoint of another %s than the result", "shape");
    return oxp_infer_same(inf);
}

/* dx = _RoiGrad(x, rois, items?, dy); nothing to the regions */
static oxp_status grad_roi(oxp_grad *g)
{
    const oxp_node *node = g->node;
    oxp_val in[4];
    if (!g->wants[0]) return OXP_OK;
    memcpy(in, node->in, node->n_in * sizeof *in);
    in[node->n_in] = g->dy[0];
    g->dx[0] = oxp_emit(g->b, &oxp_op__RoiGrad, in, node->n_in + 1, node->attrs, node->n_attrs);
    return g->b->status;
}

/* ---- ref ---- */

typedef struct roi_run {
    const oxp_roi *roi;
    const double *x, *dy; /* dy: of the adjoint */
    double *out;
} roi_run;

/* One bin of one channel: of the plane, the bin's result, or its adjoint put into dx's plane. */
static double one_bin(const oxp_roi *roi, oxp_roi_bin bin, const double *plane, double dy,
                      double *dx)
{
    const double share = 1 / oxp_roi_divisor(&bin);
    double sum = 0, best = 0;
    oxp_roi_tap tap[4], winner = {0, 0};
    bool any = false;
    for (int n = oxp_roi_next(&bin, tap); n > 0; n = oxp_roi_next(&bin, tap))
        for (int k = 0; k < n; k++) {
            const double v = tap[k].w * plane[tap[k].cell];
            sum += v * share;
            if (dx && !roi->max) dx[tap[k].cell] += tap[k].w * share * dy;
            if (any && !(v > best)) continue;
            best = v;
            winner = tap[k];
            any = true;
        }
    if (dx && roi->max && any) dx[winner.cell] += winner.w * dy;
    return roi->max ? best : sum;
}

static oxp_status ref_roi(const oxp_call *call)
{
    const bool back = call->node->op == &oxp_op__RoiGrad, pool = is_pool(call->node);
    const double *rois = call->in[1], *dy = back ? call->in[pool ? 2 : 3] : NULL;
    oxp_roi r;
    oxp_shape y;
    OXP_TRY(read_roi(call->ctx, call->node, &call->in_shape[0], &call->in_shape[1],
                     pool ? NULL : &call->in_shape[2], &r, &y));
    const int64_t plane = r.in[0] * r.in[1], bins = r.out[0] * r.out[1];
    if (back) memset(call->out[0], 0, (size_t)(r.n * r.c * plane) * sizeof(double));
    for (int64_t i = 0; i < r.regions; i++) {
        const double *box = rois + i * (pool ? 5 : 4) + pool;
        const double item = pool ? rois[i * 5] : call->in[2][i];
        OXP_NODE_FAIL_IF(call->ctx, call->node, !(item >= 0 && item < (double)r.n), OXP_EINVAL,
                         "has a region in item %g of %lld", item, (long long)r.n);
        for (int64_t k = 0; k < r.c * bins; k++) {
            const int64_t from = ((int64_t)item * r.c + k / bins) * plane, to = i * r.c * bins + k;
            const oxp_roi_bin bin =
                oxp_roi_begin(&r, box, k % bins / r.out[1], k % bins % r.out[1]);
            const double v = one_bin(&r, bin, call->in[0] + from, back ? dy[to] : 0,
                                     back ? call->out[0] + from : NULL);
            if (!back) call->out[0][to] = v;
        }
    }
    return OXP_OK;
}

/* ---- lower ---- */

static oxp_status lower_roi(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *g = oxp_lower_graph(lw);
    const bool pool = is_pool(node);
    oxp_roi r;
    oxp_shape y;
    OXP_TRY(read_roi(oxp_lower_ctx(lw), node, oxp_shape_at(g, node->in[0]),
                     oxp_shape_at(g, node->in[1]), pool ? NULL : oxp_shape_at(g, node->in[2]), &r,
                     &y));
    const oxp_val items = pool ? OXP_NO_VAL : node->in[2];
    const oxp_val dy = node->op == &oxp_op__RoiGrad ? node->in[pool ? 2 : 3] : OXP_NO_VAL;
    return oxp_lower_roi(lw, &r, node->in[0], node->in[1], items, dy, node->out[0]);
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
#define ALIGN_ATTRS                                                                                \
    {"mode", OXP_ATTR_STRING, "avg,max"}, {"output_height", OXP_ATTR_INT, NULL},                   \
    {"output_width", OXP_ATTR_INT, NULL}, {"sampling_ratio", OXP_ATTR_INT, NULL},                  \
    {"spatial_scale", OXP_ATTR_FLOAT, NULL},                                                       \
    {"coordinate_transformation_mode", OXP_ATTR_STRING, "half_pixel,output_half_pixel"}
static const oxp_attr_spec align_attrs[] = {ALIGN_ATTRS, END};
static const oxp_attr_spec pool_attrs[] = {
    {"pooled_shape", OXP_ATTR_INTS, NULL}, {"spatial_scale", OXP_ATTR_FLOAT, NULL}, END};
static const oxp_attr_spec grad_attrs[] = {ALIGN_ATTRS, {"pooled_shape", OXP_ATTR_INTS, NULL}, END};

const oxp_op oxp_op_RoiAlign = {
    .name = "RoiAlign", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1, .since = 10,
    .attrs = align_attrs, .infer = infer_roi, .grad = grad_roi, .ref = ref_roi, .lower = lower_roi};
const oxp_op oxp_op_MaxRoiPool = {
    .name = "MaxRoiPool", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 1,
    .attrs = pool_attrs, .infer = infer_roi, .grad = grad_roi, .ref = ref_roi, .lower = lower_roi};
const oxp_op oxp_op__RoiGrad = {
    .name = "_RoiGrad", .min_in = 3, .max_in = 4, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_NOT_DIFFERENTIABLE, .attrs = grad_attrs, .infer = infer_roi,
    .ref = ref_roi, .lower = lower_roi};
/* clang-format on */
