/* host_resize.c - Resize and its adjoint, both as a gather.
 *
 * Per axis a sparse matrix says which source cells a result cell is the weighted sum of; the
 * adjoint is the same with each matrix transposed, so no two results are ever written together.
 * The axis that lies innermost in memory (the channels of a channels-last value) is usually
 * unchanged and runs as a vector loop. Sums are kept in double: an enlarged map's adjoint adds
 * thousands of cells. */
#include "exec/host.h"
#include <string.h>

enum { SIDE = 256 };

typedef struct sparse {   /* of one axis; index == NULL: the identity */
    const int64_t *start; /* [results + 1] */
    const int64_t *index; /* source cell */
    const double *weight;
} sparse;

typedef struct resize_args {
    int rank;                  /* axes from outermost to innermost in memory */
    int64_t dim[OXP_MAX_RANK]; /* of the result */
    int64_t x_stride[OXP_MAX_RANK], y_stride[OXP_MAX_RANK];
    sparse axis[OXP_MAX_RANK];
    const bool *outside[OXP_MAX_RANK]; /* [dim] results that are `value`; NULL: none */
    float value;
} resize_args;

typedef struct job {
    const resize_args *a;
    const float *x;
    float *y;
} job;

OXP_SIMD static void add_scaled(double *acc, const float *x, double w, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) acc[i] += w * (double)x[i];
}

/* acc[i] += w * (row i of the innermost matrix) x, results [first, first + n) */
static void add_sparse(double *acc, const sparse *m, const float *x, int64_t stride, double w,
                       int64_t first, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t t = m->start[first + i]; t < m->start[first + i + 1]; t++)
            acc[i] += w * m->weight[t] * (double)x[m->index[t] * stride];
}

/* One row of results along the innermost axis, at idx[] of the others: all combinations of the
 * source cells there. */
static void resize_run(const job *j, const int64_t *idx, int64_t y_at, int64_t first, int64_t n)
{
    const resize_args *a = j->a;
    const int outer = a->rank - 1;
    const sparse *inner = &a->axis[outer];
    int64_t t[OXP_MAX_RANK] = {0};
    double acc[SIDE];
    bool any = true;
    memset(acc, 0, (size_t)n * sizeof *acc);
    for (int i = 0; i < outer; i++) {
        if (a->axis[i].index == NULL) continue;
        t[i] = a->axis[i].start[idx[i]];
        any = any && t[i] < a->axis[i].start[idx[i] + 1];
    }
    while (any) {
        double w = 1.0;
        int64_t at = 0;
        for (int i = 0; i < outer; i++) {
            const sparse *m = &a->axis[i];
            at += (m->index != NULL ? m->index[t[i]] : idx[i]) * a->x_stride[i];
            if (m->index != NULL) w *= m->weight[t[i]];
        }
        if (inner->index == NULL)
            add_scaled(acc, j->x + at + first * a->x_stride[outer], w, n);
        else
            add_sparse(acc, inner, j->x + at, a->x_stride[outer], w, first, n);
        int i = outer - 1;
        for (; i >= 0; i--) {
            if (a->axis[i].index == NULL) continue;
            if (++t[i] < a->axis[i].start[idx[i] + 1]) break;
            t[i] = a->axis[i].start[idx[i]];
        }
        any = i >= 0;
    }
    float *y = j->y + y_at + first * a->y_stride[outer];
    for (int64_t i = 0; i < n; i++) y[i * a->y_stride[outer]] = (float)acc[i];
    bool outside = false;
    for (int i = 0; i < outer; i++)
        outside = outside || (a->outside[i] != NULL && a->outside[i][idx[i]]);
    for (int64_t i = 0; (outside || a->outside[outer] != NULL) && i < n; i++)
        if (outside || a->outside[outer][first + i]) y[i * a->y_stride[outer]] = a->value;
}

static void resize_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const resize_args *a = j->a;
    const int64_t width = a->dim[a->rank - 1];
    for (int64_t r = begin; r < end; r++) {
        int64_t idx[OXP_MAX_RANK], left = r, y_at = 0;
        for (int i = a->rank - 2; i >= 0; i--) {
            idx[i] = left % a->dim[i];
            left /= a->dim[i];
            y_at += idx[i] * a->y_stride[i];
        }
        for (int64_t first = 0; first < width; first += SIDE)
            resize_run(j, idx, y_at, first, width - first < SIDE ? width - first : SIDE);
    }
}

static oxp_status run(const oxp_host_call *c)
{
    const resize_args *a = c->args;
    job j = {a, c->ptr[0], c->ptr[1]};
    int64_t rows = 1;
    for (int i = 0; i + 1 < a->rank; i++) rows *= a->dim[i];
    oxp_parallel(c->threads, rows, 4 * rows * a->dim[a->rank - 1], resize_range, &j);
    return OXP_OK;
}

/* ---- verbs ---- */

/* The rows of a table [out][taps] as a sparse matrix, or its columns (the transpose), without
 * zero weights. */
static bool make_sparse(oxp_arena *arena, const int64_t *index, const double *weight, int64_t out,
                        int taps, int64_t results, bool transpose, sparse *m)
{
    const int64_t n = out * taps;
    int64_t *start = OXP_NEW(arena, int64_t, results + 2), *cell = OXP_NEW(arena, int64_t, n + 1);
    double *w = OXP_NEW(arena, double, n + 1);
    if (start == NULL || cell == NULL || w == NULL) return false;
    /* start[r + 2] counts row r, becomes its beginning in start[r + 1], and ends as its end. */
    for (int64_t i = 0; i < n; i++)
        if (weight[i] != 0.0 && (transpose ? index[i] : i / taps) + 2 <= results)
            start[(transpose ? index[i] : i / taps) + 2]++;
    for (int64_t r = 2; r <= results; r++) start[r] += start[r - 1];
    for (int64_t i = 0; i < n; i++) {
        if (weight[i] == 0.0) continue;
        const int64_t at = start[(transpose ? index[i] : i / taps) + 1]++;
        cell[at] = transpose ? i / taps : index[i];
        w[at] = weight[i];
    }
    *m = (sparse){start, cell, w};
    return true;
}

static oxp_status lower(oxp_lower *lw, const char *what, const oxp_resize *r, bool transpose,
                        oxp_val x, oxp_val y)
{
    const oxp_shape *ys = &oxp_lower_at(lw, y)->shape;
    resize_args *a = OXP_LOWER_NEW(lw, resize_args, 1);
    int order[OXP_MAX_RANK] = {0};
    OXP_NOMEM_IF(lw->ctx, a);
    OXP_TRY(
        oxp_lower_operand(lw, x, ys->rank >= 3 ? OXP_LAYOUT_CHANNELS_LAST : OXP_LAYOUT_ROWS, &x));
    OXP_TRY(oxp_lower_result(lw, y, ys->rank >= 3 ? OXP_LAYOUT_CHANNELS_LAST : OXP_LAYOUT_ROWS));
    const oxp_placed *from = oxp_lower_at(lw, x), *to = oxp_lower_at(lw, y);
    oxp_place_order(&from->shape, &from->place, order);
    a->rank = ys->rank ? ys->rank : 1; /* a number: one cell of one axis */
    a->dim[0] = 1;
    a->value = (float)r->value;
    for (int i = 0; i < ys->rank; i++) {
        const int axis = order[i];
        const int64_t out = transpose ? from->shape.dim[axis] : ys->dim[axis];
        a->dim[i] = ys->dim[axis];
        a->x_stride[i] = from->place.stride[axis];
        a->y_stride[i] = to->place.stride[axis];
        if (!transpose) a->outside[i] = r->outside[axis];
        if (r->index[axis] != NULL)
            OXP_FAIL_IF(lw->ctx,
                        !make_sparse(oxp_lower_arena(lw), r->index[axis], r->weight[axis], out,
                                     r->taps[axis], ys->dim[axis], transpose, &a->axis[i]),
                        OXP_ENOMEM, "out of memory");
    }
    return oxp_lower_host(lw, what, run, a, &x, 1, &y, 1, 0);
}

oxp_status oxp_lower_resize(oxp_lower *lw, const oxp_resize *r, oxp_val x, oxp_val y)
{
    return lower(lw, "resize", r, false, x, y);
}

oxp_status oxp_lower_resize_grad(oxp_lower *lw, const oxp_resize *r, oxp_val dy, oxp_val dx)
{
    return lower(lw, "resize grad", r, true, dy, dx);
}
