/* host_reduce.c - sums, means, products and extrema over any axes of a dense value in any layout.
 *
 * Axes are taken in the order in which they lie in memory, neighbours of the same kind merged. If
 * the innermost is reduced, each result runs along contiguous elements; if it is kept, a block of
 * results is accumulated side by side while the reduced positions pass (the spatial mean of a
 * channels-last value). Sums are kept in double. */
#include "exec/host.h"
#include <math.h>

enum { SIDE = 256 };

typedef struct axes {
    int rank;
    int64_t count, dim[OXP_MAX_RANK], x[OXP_MAX_RANK], y[OXP_MAX_RANK]; /* strides */
} axes;

typedef struct reduce_args {
    oxp_reduce kind;
    axes kept, reduced; /* without the innermost axis of x */
    bool inner_is_kept;
    int64_t inner, inner_y; /* the innermost axis (contiguous in x), its stride in y if kept */
    double divisor;
} reduce_args;

static double start_of(oxp_reduce kind)
{
    switch (kind) {
    case OXP_REDUCE_MAX:
        return -(double)INFINITY;
    case OXP_REDUCE_MIN:
        return (double)INFINITY;
    case OXP_REDUCE_PROD:
        return 1.0;
    case OXP_REDUCE_SUM:
    case OXP_REDUCE_MEAN:
        break;
    }
    return 0.0;
}

static inline double larger(double a, double b)
{
    return a >= b || isnan(a) ? a : b;
}

static inline double smaller(double a, double b)
{
    return a <= b || isnan(a) ? a : b;
}

/* acc[i] = acc[i] op x[i] */
OXP_SIMD static void fold_side(oxp_reduce kind, double *acc, const float *x, int64_t n)
{
    if (kind == OXP_REDUCE_MAX) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) acc[i] = larger(acc[i], (double)x[i]);
    } else if (kind == OXP_REDUCE_MIN) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) acc[i] = smaller(acc[i], (double)x[i]);
    } else if (kind == OXP_REDUCE_PROD) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) acc[i] *= (double)x[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) acc[i] += (double)x[i];
    }
}

OXP_SIMD static double sum_run(const float *x, int64_t n)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    return sum;
}

static double fold_run(oxp_reduce kind, double acc, const float *x, int64_t n)
{
    if (kind == OXP_REDUCE_SUM || kind == OXP_REDUCE_MEAN)
        acc += sum_run(x, n);
    else if (kind == OXP_REDUCE_PROD)
        for (int64_t i = 0; i < n; i++) acc *= (double)x[i];
    else if (kind == OXP_REDUCE_MAX)
        for (int64_t i = 0; i < n; i++) acc = larger(acc, (double)x[i]);
    else
        for (int64_t i = 0; i < n; i++) acc = smaller(acc, (double)x[i]);
    return acc;
}

/* Offsets in x and y of position number `at`. */
static void locate(const axes *a, int64_t at, int64_t *x, int64_t *y)
{
    *x = *y = 0;
    for (int i = a->rank - 1; i >= 0; i--) {
        const int64_t idx = at % a->dim[i];
        at /= a->dim[i];
        *x += idx * a->x[i];
        *y += idx * a->y[i];
    }
}

typedef struct job {
    const reduce_args *a;
    const float *x;
    float *y;
    int64_t blocks; /* of SIDE results along a kept innermost axis */
} job;

static void reduce_side(const job *j, int64_t x_at, int64_t y_at, int64_t n)
{
    const reduce_args *a = j->a;
    double acc[SIDE];
    for (int64_t i = 0; i < n; i++) acc[i] = start_of(a->kind);
    for (int64_t r = 0; r < a->reduced.count; r++) {
        int64_t dx, dy;
        locate(&a->reduced, r, &dx, &dy);
        fold_side(a->kind, acc, j->x + x_at + dx, n);
    }
    for (int64_t i = 0; i < n; i++) j->y[y_at + i * a->inner_y] = (float)(acc[i] / a->divisor);
}

static void reduce_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const reduce_args *a = j->a;
    for (int64_t i = begin; i < end; i++) {
        int64_t x_at, y_at, dx, dy;
        locate(&a->kept, i / j->blocks, &x_at, &y_at);
        if (a->inner_is_kept) {
            const int64_t side = i % j->blocks * SIDE,
                          n = a->inner - side < SIDE ? a->inner - side : SIDE;
            reduce_side(j, x_at + side, y_at + side * a->inner_y, n);
            continue;
        }
        double acc = start_of(a->kind);
        for (int64_t r = 0; r < a->reduced.count; r++) {
            locate(&a->reduced, r, &dx, &dy);
            acc = fold_run(a->kind, acc, j->x + x_at + dx, a->inner);
        }
        j->y[y_at] = (float)(acc / a->divisor);
    }
}

static oxp_status run(const oxp_host_call *c)
{
    const reduce_args *a = c->args;
    job j = {a, c->ptr[0], c->ptr[1], a->inner_is_kept ? (a->inner + SIDE - 1) / SIDE : 1};
    oxp_parallel(c->threads, a->kept.count * j.blocks, a->kept.count * a->reduced.count * a->inner,
                 reduce_range, &j);
    return OXP_OK;
}

/* ---- verb ---- */

/* Appends an axis, merged into the last one where it continues it. */
static void add_axis(axes *a, int64_t dim, int64_t x, int64_t y)
{
    a->count *= dim;
    const int last = a->rank - 1;
    if (last >= 0 && a->x[last] == x * dim && a->y[last] == y * dim) {
        a->dim[last] *= dim;
        a->x[last] = x;
        a->y[last] = y;
        return;
    }
    a->dim[a->rank] = dim;
    a->x[a->rank] = x;
    a->y[a->rank++] = y;
}

/* Stride in y of axis i of x; 0 when reduced. */
static int64_t stride_in_y(const oxp_placed *x, const oxp_placed *y, uint32_t mask, int i)
{
    if (mask >> i & 1u) return 0;
    if (y->shape.rank == x->shape.rank) return y->place.stride[i];
    int at = 0;
    for (int k = 0; k < i; k++) at += !(mask >> k & 1u);
    return y->place.stride[at];
}

static void describe(reduce_args *a, const oxp_placed *x, const oxp_placed *y, uint32_t mask)
{
    int order[OXP_MAX_RANK], inner = x->shape.rank - 1;
    oxp_place_order(&x->shape, &x->place, order);
    a->inner = a->kept.count = a->reduced.count = 1;
    if (inner >= 0) {
        a->inner = x->shape.dim[order[inner]];
        a->inner_is_kept = !(mask >> order[inner] & 1u);
        a->inner_y = stride_in_y(x, y, mask, order[inner]);
    }
    /* More contiguous axes of the same kind join the innermost. */
    for (; inner > 0; inner--) {
        const int next = order[inner - 1];
        const bool same = (mask >> next & 1u) == (mask >> order[inner] & 1u);
        if (!same || (a->inner_is_kept && stride_in_y(x, y, mask, next) != a->inner_y * a->inner))
            break;
        a->inner *= x->shape.dim[next];
    }
    for (int i = 0; i < inner; i++)
        add_axis(mask >> order[i] & 1u ? &a->reduced : &a->kept, x->shape.dim[order[i]],
                 x->place.stride[order[i]], stride_in_y(x, y, mask, order[i]));
}

oxp_status oxp_lower_reduce(oxp_lower *lw, oxp_reduce kind, uint32_t axis_mask, oxp_val x,
                            oxp_val y)
{
    reduce_args *a = OXP_LOWER_NEW(lw, reduce_args, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_ANY, &x));
    OXP_TRY(oxp_lower_result_like(lw, y, x, OXP_NO_VAL));
    a->kind = kind;
    describe(a, oxp_lower_at(lw, x), oxp_lower_at(lw, y), axis_mask);
    a->divisor = 1.0;
    if (kind == OXP_REDUCE_MEAN)
        for (int i = 0; i < oxp_lower_at(lw, x)->shape.rank; i++)
            if (axis_mask >> i & 1u) a->divisor *= (double)oxp_lower_at(lw, x)->shape.dim[i];
    return oxp_lower_host(lw, "reduce", run, a, &x, 1, &y, 1, 0);
}
