/* host_scan.c - running sums along one axis, kept in double. */
#include "exec/host.h"

enum { SIDE = 256 };

typedef struct scan_args { /* x and y (outer, n, inner), dense rows */
    int64_t outer, n, inner;
    bool exclusive, reverse;
} scan_args;

typedef struct job {
    const scan_args *a;
    const float *x;
    float *y;
    int64_t blocks; /* of SIDE running sums side by side */
} job;

OXP_SIMD static void add_step(double *acc, const float *x, float *y, int64_t n, bool exclusive)
{
    if (exclusive) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const double before = acc[i];
            acc[i] = before + (double)x[i];
            y[i] = (float)before;
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            acc[i] += (double)x[i];
            y[i] = (float)acc[i];
        }
    }
}

static void scan_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const scan_args *a = j->a;
    for (int64_t b = begin; b < end; b++) {
        const int64_t first = b % j->blocks * SIDE, left = a->inner - first;
        const int64_t base = b / j->blocks * a->n * a->inner + first, n = left < SIDE ? left : SIDE;
        double acc[SIDE] = {0.0};
        for (int64_t k = 0; k < a->n; k++) {
            const int64_t at = base + (a->reverse ? a->n - 1 - k : k) * a->inner;
            add_step(acc, j->x + at, j->y + at, n, a->exclusive);
        }
    }
}

static oxp_status run(const oxp_host_call *c)
{
    const scan_args *a = c->args;
    job j = {a, c->ptr[0], c->ptr[1], (a->inner + SIDE - 1) / SIDE};
    oxp_parallel(c->threads, a->outer * j.blocks, a->outer * a->n * a->inner, scan_range, &j);
    return OXP_OK;
}

oxp_status oxp_lower_cumsum(oxp_lower *lw, int axis, bool exclusive, bool reverse, oxp_val x,
                            oxp_val y)
{
    const oxp_shape *s = &oxp_lower_at(lw, x)->shape;
    scan_args *a = OXP_LOWER_NEW(lw, scan_args, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    *a = (scan_args){1, s->dim[axis], 1, exclusive, reverse};
    for (int i = 0; i < s->rank; i++)
        if (i != axis) *(i < axis ? &a->outer : &a->inner) *= s->dim[i];
    OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_ROWS, &x));
    OXP_TRY(oxp_lower_result(lw, y, OXP_LAYOUT_ROWS));
    return oxp_lower_host(lw, "cumsum", run, a, &x, 1, &y, 1, 0);
}
