/* select.c - operators that pick elements by what their inputs hold.
 *
 *   NonZero            (rank, n): the coordinates of what is not zero, in row-major order
 *   Unique             the different elements, or slices along an axis; where each is first, which one
 *                      each input is, how often each occurs
 *   NonMaxSuppression  (n, 3): batch, class and index of the boxes that no better one covers
 *   Compress           the slices whose condition is true
 *   ReverseSequence    y[t, b] = x[length_b - 1 - t, b] for t below length_b
 *
 * The shapes of the first three depend on data: the inputs are constants by the time the operator is
 * inferred, so it is always folded. The condition of Compress has become an attribute. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <math.h>
#include <string.h>

/* ---- NonZero ---- */

static int64_t count_non_zero(const double *x, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += fabs(x[i]) > 0.0 || isnan(x[i]);
    return count;
}

static oxp_status non_zero_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    const double *data;
    OXP_TRY(oxp_infer_data(inf, 0, &data));
    const int64_t n = count_non_zero(data, oxp_shape_elements(x));
    const oxp_shape y = {.rank = 2, .dim = {x->rank ? x->rank : 1, n}};
    return oxp_infer_out(inf, 0, OXP_I64, &y);
}

static oxp_status non_zero_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const int64_t n = call->out_shape[0].dim[1];
    int64_t at[OXP_MAX_RANK] = {0}, found = 0;
    for (int64_t i = 0; i < oxp_shape_elements(x); i++, oxp_index_next(x, at)) {
        if (!count_non_zero(&call->in[0][i], 1)) continue;
        for (int a = 0; a < x->rank; a++) call->out[0][a * n + found] = (double)at[a];
        if (x->rank == 0) call->out[0][found] = 0.0;
        found++;
    }
    return OXP_OK;
}

/* ---- Unique ---- */

typedef struct slices { /* slice i of x as (before, dim, after), or element i */
    const double *x;
    int64_t before, dim, after;
} slices;

typedef struct distinct {
    int64_t n;
    int64_t *first, *which, *count; /* [n], [dim], [n] */
} distinct;

static oxp_status read_slices(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, slices *s)
{
    int axis;
    *s = (slices){NULL, 1, 1, 1};
    if (!oxp_attr_find(node, "axis")) {
        s->dim = oxp_shape_elements(x);
        return OXP_OK;
    }
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", 0), x->rank, &axis));
    for (int a = 0; a < x->rank; a++)
        *(a < axis ? &s->before : a == axis ? &s->dim : &s->after) *= x->dim[a];
    return OXP_OK;
}

static int compare(const slices *s, int64_t i, int64_t j)
{
    for (int64_t b = 0; b < s->before; b++)
        for (int64_t a = 0; a < s->after; a++) {
            const double u = s->x[(b * s->dim + i) * s->after + a],
                         v = s->x[(b * s->dim + j) * s->after + a];
            if (u < v) return -1;
            if (u > v) return 1;
        }
    return 0;
}

/* order: the slices by value, equal ones by index (merge sort); `other` is room. */
static void sort_slices(const slices *s, int64_t *order, int64_t *other)
{
    for (int64_t i = 0; i < s->dim; i++) order[i] = i;
    for (int64_t run = 1; run < s->dim; run *= 2) {
        for (int64_t start = 0; start < s->dim; start += 2 * run) {
            const int64_t middle = start + run < s->dim ? start + run : s->dim,
                          end = middle + run < s->dim ? middle + run : s->dim;
            for (int64_t k = start, i = start, j = middle; k < end; k++) {
                const bool left = j >= end || (i < middle && compare(s, order[i], order[j]) <= 0);
                other[k] = left ? order[i++] : order[j++];
            }
        }
        memcpy(order, other, (size_t)s->dim * sizeof *order);
    }
}

/* Groups in order of value; then, if not sorted, renumbered by their first occurrence. */
static oxp_status find_distinct(oxp_ctx *ctx, oxp_arena *tmp, const slices *s, bool sorted,
                                distinct *d)
{
    const size_t n = (size_t)s->dim + 1;
    int64_t *order = OXP_NEW(tmp, int64_t, n), *other = OXP_NEW(tmp, int64_t, n);
    *d =
        (distinct){0, OXP_NEW(tmp, int64_t, n), OXP_NEW(tmp, int64_t, n), OXP_NEW(tmp, int64_t, n)};
    OXP_FAIL_IF(ctx, !order || !other || !d->first || !d->which || !d->count, OXP_ENOMEM,
                "out of memory");
    sort_slices(s, order, other);
    for (int64_t k = 0; k < s->dim; k++) {
        if (k == 0 || compare(s, order[k - 1], order[k]) != 0) d->first[d->n++] = order[k];
        d->which[order[k]] = d->n - 1;
        d->count[d->n - 1]++;
    }
    if (sorted) return OXP_OK;
    int64_t next = 0; /* the group of slice i is new if i is its first */
    for (int64_t i = 0; i < s->dim; i++) {
        const int64_t group = d->which[i];
        if (d->first[group] == i) other[group] = next++;
    }
    for (int64_t i = 0; i < s->dim; i++) d->which[i] = other[d->which[i]];
    memset(d->count, 0, n * sizeof(int64_t));
    for (int64_t i = s->dim; i-- > 0;) {
        d->first[d->which[i]] = i;
        d->count[d->which[i]]++;
    }
    return OXP_OK;
}

static oxp_status unique_infer(oxp_infer *inf)
{
    oxp_shape y = *oxp_infer_shape(inf, 0);
    slices s;
    distinct d;
    int axis;
    OXP_TRY(read_slices(inf->ctx, inf->node, &y, &s));
    OXP_TRY(oxp_infer_data(inf, 0, &s.x));
    OXP_TRY(find_distinct(inf->ctx, inf->ctx->scratch, &s, true, &d));
    if (oxp_attr_find(inf->node, "axis")) {
        OXP_TRY(oxp_norm_axis(inf->ctx, oxp_attr_int(inf->node, "axis", 0), y.rank, &axis));
        y.dim[axis] = d.n;
    } else {
        y = oxp_shape_of(1, &d.n);
    }
    OXP_TRY(oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y));
    const oxp_shape groups = oxp_shape_of(1, &d.n), all = oxp_shape_of(1, &s.dim);
    for (uint32_t i = 1; i < inf->node->n_out; i++)
        OXP_TRY(oxp_infer_out(inf, i, OXP_I64, i == 2 ? &all : &groups));
    return OXP_OK;
}

static oxp_status unique_ref(const oxp_call *call)
{
    slices s;
    distinct d;
    OXP_TRY(read_slices(call->ctx, call->node, &call->in_shape[0], &s));
    s.x = call->in[0];
    OXP_TRY(find_distinct(call->ctx, call->scratch, &s, oxp_attr_int(call->node, "sorted", 1) != 0,
                          &d));
    for (int64_t b = 0; call->out[0] && b < s.before; b++)
        for (int64_t k = 0; k < d.n; k++)
            memcpy(call->out[0] + (b * d.n + k) * s.after, s.x + (b * s.dim + d.first[k]) * s.after,
                   (size_t)s.after * sizeof(double));
    const int64_t *const numbers[] = {NULL, d.first, d.which, d.count};
    for (uint32_t i = 1; i < call->node->n_out; i++)
        for (int64_t k = 0; call->out[i] && k < (i == 2 ? s.dim : d.n); k++)
            call->out[i][k] = (double)numbers[i][k];
    return OXP_OK;
}

/* ---- NonMaxSuppression (boxes (B,N,4), scores (B,C,N), most?, iou?, least score?) ---- */

typedef struct box {
    double y1, x1, y2, x2;
} box;

typedef struct suppression {
    const double *boxes, *scores;
    int64_t batches, classes, n;
    int64_t most; /* per batch and class */
    double iou, least;
    bool centers;
} suppression;

static box read_box(const suppression *s, int64_t batch, int64_t i)
{
    const double *p = s->boxes + (batch * s->n + i) * 4;
    if (s->centers) /* x, y, width, height */
        return (box){p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
    return (box){fmin(p[0], p[2]), fmin(p[1], p[3]), fmax(p[0], p[2]), fmax(p[1], p[3])};
}

static bool covers(const suppression *s, box a, box b)
{
    const double h = fmin(a.y2, b.y2) - fmax(a.y1, b.y1), w = fmin(a.x2, b.x2) - fmax(a.x1, b.x1);
    const double area_a = (a.y2 - a.y1) * (a.x2 - a.x1), area_b = (b.y2 - b.y1) * (b.x2 - b.x1);
    if (!(h > 0.0 && w > 0.0 && area_a > 0.0 && area_b > 0.0)) return false;
    return h * w / (area_a + area_b - h * w) > s->iou;
}

/* The best box left of one batch and class, -1 when none is; equal scores: the first. */
static int64_t best_left(const suppression *s, const double *scores, const bool *gone)
{
    int64_t best = -1;
    for (int64_t i = 0; i < s->n; i++)
        if (!gone[i] && scores[i] > s->least && (best < 0 || scores[i] > scores[best])) best = i;
    return best;
}

/* Writes three numbers per box to `out` (NULL: only counts). */
static oxp_status suppress(oxp_ctx *ctx, oxp_arena *tmp, const suppression *s, double *out,
                           int64_t *count)
{
    bool *gone = OXP_NEW(tmp, bool, (size_t)s->n + 1);
    OXP_NOMEM_IF(ctx, gone);
    *count = 0;
    for (int64_t b = 0; b < s->batches; b++)
        for (int64_t c = 0; c < s->classes; c++) {
            const double *scores = s->scores + (b * s->classes + c) * s->n;
            memset(gone, 0, (size_t)s->n);
            for (int64_t k = 0; k < s->most; k++) {
                const int64_t i = best_left(s, scores, gone);
                if (i < 0) break;
                gone[i] = true;
                const box chosen = read_box(s, b, i);
                for (int64_t j = 0; j < s->n; j++)
                    gone[j] = gone[j] || covers(s, chosen, read_box(s, b, j));
                if (out) {
                    double *row = out + *count * 3;
                    row[0] = (double)b;
                    row[1] = (double)c;
                    row[2] = (double)i;
                }
                (*count)++;
            }
        }
    return OXP_OK;
}

static void set_limits(const oxp_node *node, const double *const *in, suppression *s)
{
    s->centers = oxp_attr_int(node, "center_point_box", 0) != 0;
    s->most = in[2] && in[2][0] > 0.0 ? (int64_t)fmin(in[2][0], (double)s->n) : 0;
    s->iou = in[3] ? in[3][0] : 0.0;
    s->least = in[4] ? in[4][0] : (double)-INFINITY;
}

static oxp_status nms_infer(oxp_infer *inf)
{
    const double *in[5] = {NULL};
    const oxp_shape *boxes = oxp_infer_shape(inf, 0), *scores = oxp_infer_shape(inf, 1);
    char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     boxes->rank != 3 || scores->rank != 3 || boxes->dim[2] != 4 ||
                         boxes->dim[0] != scores->dim[0] || boxes->dim[1] != scores->dim[2],
                     OXP_EINVAL, "expects boxes (B,N,4) and scores (B,C,N), found %s and %s",
                     oxp_shape_text(boxes, a), oxp_shape_text(scores, b));
    for (uint32_t i = 0; i < inf->node->n_in; i++) {
        if (!oxp_infer_has(inf, i)) continue;
        OXP_TRY(oxp_infer_data(inf, i, &in[i]));
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         i >= 2 && oxp_shape_elements(oxp_infer_shape(inf, i)) != 1, OXP_EINVAL,
                         "expects one number as input %u", i);
    }
    suppression s = {in[0], in[1], boxes->dim[0], scores->dim[1], boxes->dim[1], 0, 0, 0, false};
    int64_t n;
    set_limits(inf->node, in, &s);
    OXP_TRY(suppress(inf->ctx, inf->ctx->scratch, &s, NULL, &n));
    const oxp_shape y = {.rank = 2, .dim = {n, 3}};
    return oxp_infer_out(inf, 0, OXP_I64, &y);
}

static oxp_status nms_ref(const oxp_call *call)
{
    const double *in[5] = {NULL};
    int64_t n;
    for (uint32_t i = 0; i < call->node->n_in; i++) in[i] = call->in[i];
    suppression s = {in[0],
                     in[1],
                     call->in_shape[0].dim[0],
                     call->in_shape[1].dim[1],
                     call->in_shape[0].dim[1],
                     0,
                     0,
                     0,
                     false};
    set_limits(call->node, in, &s);
    return suppress(call->ctx, call->scratch, &s, call->out[0], &n);
}

/* ---- Compress ---- */

/* The cells that the condition picks, along the axis; *axis -1: of x as one row. */
static oxp_status picked(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, int *axis,
                         int64_t **cells, size_t *n)
{
    size_t given;
    const int64_t *condition = oxp_attr_ints(node, "condition", &given);
    *axis = -1;
    if (oxp_attr_find(node, "axis"))
        OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", 0), x->rank, axis));
    const int64_t dim = *axis < 0 ? oxp_shape_elements(x) : x->dim[*axis];
    OXP_NODE_FAIL_IF(ctx, node, (int64_t)given > dim, OXP_EINVAL,
                     "has %zu conditions for %lld cells", given, (long long)dim);
    *cells = OXP_NEW(ctx->scratch, int64_t, given + 1);
    OXP_NOMEM_IF(ctx, *cells);
    *n = 0;
    for (size_t i = 0; i < given; i++)
        if (condition[i]) (*cells)[(*n)++] = (int64_t)i;
    return OXP_OK;
}

static oxp_status compress_infer(oxp_infer *inf)
{
    oxp_shape y = *oxp_infer_shape(inf, 0);
    int64_t *cells;
    size_t n;
    int axis;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_attr_find(inf->node, "condition"), OXP_EINVAL,
                     "lacks its %s", "condition");
    OXP_TRY(picked(inf->ctx, inf->node, &y, &axis, &cells, &n));
    if (axis < 0)
        y = oxp_shape_of(1, (const int64_t[]){(int64_t)n});
    else
        y.dim[axis] = (int64_t)n;
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status compress_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    int64_t *cells, before = 1, after = 1;
    size_t n;
    int axis;
    OXP_TRY(picked(call->ctx, call->node, x, &axis, &cells, &n));
    const int64_t dim = axis < 0 ? oxp_shape_elements(x) : x->dim[axis];
    for (int a = 0; axis >= 0 && a < x->rank; a++)
        if (a != axis) *(a < axis ? &before : &after) *= x->dim[a];
    for (int64_t b = 0; b < before; b++)
        for (size_t k = 0; k < n; k++)
            memcpy(call->out[0] + (b * (int64_t)n + (int64_t)k) * after,
                   call->in[0] + (b * dim + cells[k]) * after, (size_t)after * sizeof(double));
    return OXP_OK;
}

/* a Gather with a constant index */
static oxp_status compress_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const int64_t all = oxp_shape_elements(&x);
    int64_t *cells;
    size_t n;
    int axis;
    OXP_TRY(picked(b->ctx, node, &x, &axis, &cells, &n));
    const oxp_shape row = oxp_shape_of(1, &all);
    const oxp_val from = axis < 0 ? oxp_b_reshape(b, node->in[0], &row) : node->in[0];
    out[0] = oxp_emit(b, &oxp_op_Gather, (const oxp_val[]){from, oxp_b_ints(b, cells, n)}, 2,
                      (const oxp_attr[]){OXP_INT("axis", axis < 0 ? 0 : axis)}, 1);
    return b->status;
}

/* ---- ReverseSequence ---- */

static oxp_status reverse_axes(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, int *time,
                               int *batch)
{
    *time = (int)oxp_attr_int(node, "time_axis", 0);
    *batch = (int)oxp_attr_int(node, "batch_axis", 1);
    OXP_NODE_FAIL_IF(ctx, node,
                     x->rank < 2 || *time < 0 || *batch < 0 || *time > 1 || *time + *batch != 1,
                     OXP_EINVAL, "expects axes 0 and 1 of at least two, found time %d and batch %d",
                     *time, *batch);
    return OXP_OK;
}

static oxp_status reverse_infer(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0), *lengths = oxp_infer_shape(inf, 1);
    int time, batch;
    OXP_TRY(reverse_axes(inf->ctx, inf->node, x, &time, &batch));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_dtype(inf, 1) != OXP_I64 || lengths->rank != 1 ||
                         lengths->dim[0] != x->dim[batch],
                     OXP_EINVAL, "expects %lld whole numbers as lengths", (long long)x->dim[batch]);
    return oxp_infer_same(inf);
}

static oxp_status reverse_ref(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    int time, batch;
    OXP_TRY(reverse_axes(call->ctx, call->node, x, &time, &batch));
    int64_t stride[OXP_MAX_RANK], inner = 1;
    oxp_shape_strides(x, stride);
    for (int a = 2; a < x->rank; a++) inner *= x->dim[a];
    for (int64_t b = 0; b < x->dim[batch]; b++) {
        const double length = call->in[1][b];
        OXP_NODE_FAIL_IF(call->ctx, call->node, !(length >= 0.0 && length <= (double)x->dim[time]),
                         OXP_EINVAL, "is given length %.0f of %lld", length,
                         (long long)x->dim[time]);
        for (int64_t t = 0; t < x->dim[time]; t++) {
            const int64_t from = t < (int64_t)length ? (int64_t)length - 1 - t : t;
            memcpy(call->out[0] + t * stride[time] + b * stride[batch],
                   call->in[0] + from * stride[time] + b * stride[batch],
                   (size_t)inner * sizeof(double));
        }
    }
    return OXP_OK;
}

/* It is its own inverse, and a permutation. */
static oxp_status reverse_grad(oxp_grad *g)
{
    g->dx[0] = oxp_emit(g->b, g->node->op, (const oxp_val[]){g->dy[0], g->node->in[1]}, 2,
                        g->node->attrs, g->node->n_attrs);
    return g->b->status;
}

/* GatherElements along time at t' = length - 1 - t below the length, else t */
static oxp_status reverse_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    int time, batch;
    OXP_TRY(reverse_axes(b->ctx, node, &x, &time, &batch));
    int64_t *cells = OXP_NEW(b->ctx->scratch, int64_t, (size_t)x.dim[time] + 1);
    OXP_NOMEM_IF(b->ctx, cells);
    for (int64_t t = 0; t < x.dim[time]; t++) cells[t] = t;
    oxp_shape along_time = {.rank = x.rank}, along_batch = {.rank = x.rank};
    for (int a = 0; a < x.rank; a++) {
        along_time.dim[a] = a == time ? x.dim[a] : 1;
        along_batch.dim[a] = a == batch ? x.dim[a] : 1;
    }
    const oxp_val t = oxp_b_reshape(b, oxp_b_ints(b, cells, (size_t)x.dim[time]), &along_time);
    const oxp_val length = oxp_b_reshape(b, node->in[1], &along_batch);
    const oxp_val mirrored =
        oxp_b_sub(b, oxp_b_sub(b, length, oxp_b_ints(b, (const int64_t[]){1}, 1)), t);
    const oxp_val index = oxp_b_where(b, oxp_b_greater(b, length, t), mirrored, t);
    out[0] = oxp_emit(b, &oxp_op_GatherElements,
                      (const oxp_val[]){node->in[0], oxp_b_expand(b, index, &x)}, 2,
                      (const oxp_attr[]){OXP_INT("axis", time)}, 1);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
/* The numbers keep their type; the rest are positions. */
static oxp_dtype unique_exact(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(node);
    return k == 0 ? in[0] : OXP_I64;
}

static const oxp_attr_spec unique_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"sorted", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec nms_attrs[] = {{"center_point_box", OXP_ATTR_INT, "0,1"}, END};
static const oxp_attr_spec compress_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"condition", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec reverse_attrs[] = {
    {"batch_axis", OXP_ATTR_INT, NULL}, {"time_axis", OXP_ATTR_INT, NULL}, END};
static const oxp_const_in compress_in[] = {{1, "condition", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};

#define BY_DATA (OXP_OP_NOT_DIFFERENTIABLE | OXP_OP_DATA_SHAPED)
const oxp_op oxp_op_NonZero = {
    .name = "NonZero", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 9,
    .flags = BY_DATA, .exact = oxp_exact_int64, .infer = non_zero_infer, .ref = non_zero_ref, .lower = oxp_lower_by_ref};
const oxp_op oxp_op_Unique = {
    .name = "Unique", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 4, .since = 11,
    .flags = BY_DATA, .attrs = unique_attrs, .exact = unique_exact, .infer = unique_infer, .ref = unique_ref,
    .lower = oxp_lower_by_ref};
const oxp_op oxp_op_NonMaxSuppression = {
    .name = "NonMaxSuppression", .min_in = 2, .max_in = 5, .min_out = 1, .max_out = 1, .since = 10,
    .flags = BY_DATA, .attrs = nms_attrs, .infer = nms_infer, .ref = nms_ref,
    .lower = oxp_lower_by_ref};
const oxp_op oxp_op_Compress = {
    .name = "Compress", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 9,
    .flags = OXP_OP_SHAPE_ONLY | OXP_OP_OPEN, .attrs = compress_attrs, .const_in = compress_in,
    .infer = compress_infer, .ref = compress_ref, .expand = compress_expand};
const oxp_op oxp_op_ReverseSequence = {
    .name = "ReverseSequence", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 10,
    .flags = OXP_OP_SHAPE_ONLY, .attrs = reverse_attrs, .infer = reverse_infer,
    .grad = reverse_grad, .ref = reverse_ref, .expand = reverse_expand};
/* clang-format on */
