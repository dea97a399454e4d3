/* host_gather.c - Gather (slices picked by index) and its gradient, which adds them back. */
#include "exec/host.h"
#include <string.h>

typedef struct gather_args { /* x (outer, dim, inner), index (count), y (outer, count, inner) */
    int64_t outer, dim, count, inner;
} gather_args;

typedef struct job {
    const gather_args *a;
    const float *src;
    const int64_t *index;
    float *dst;
    bool by_inner; /* the gradient splits the longer of outer and inner */
} job;

static int64_t resolve(const gather_args *a, int64_t index)
{
    return index < 0 ? index + a->dim : index;
}

static bool in_range(const gather_args *a, const int64_t *index)
{
    for (int64_t i = 0; i < a->count; i++) {
        const int64_t at = resolve(a, index[i]);
        if (at < 0 || at >= a->dim) return false;
    }
    return true;
}

static void gather_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const gather_args *a = j->a;
    for (int64_t r = begin; r < end; r++) {
        const int64_t from = r / a->count * a->dim + resolve(a, j->index[r % a->count]);
        memcpy(j->dst + r * a->inner, j->src + from * a->inner, (size_t)a->inner * sizeof(float));
    }
}

OXP_SIMD static void add_run(float *to, const float *from, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

/* dx[outer][index] += dy for a range of the outer positions or of the inner elements: no two
 * threads meet. */
static void grad_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const gather_args *a = j->a;
    const int64_t first = j->by_inner ? 0 : begin, last = j->by_inner ? a->outer : end;
    const int64_t from = j->by_inner ? begin : 0, n = j->by_inner ? end - begin : a->inner;
    for (int64_t o = first; o < last; o++) {
        for (int64_t d = 0; d < a->dim; d++)
            memset(j->dst + (o * a->dim + d) * a->inner + from, 0, (size_t)n * sizeof(float));
        for (int64_t i = 0; i < a->count; i++)
            add_run(j->dst + (o * a->dim + resolve(a, j->index[i])) * a->inner + from,
                    j->src + (o * a->count + i) * a->inner + from, n);
    }
}

static oxp_status run_gather(const oxp_host_call *c)
{
    const gather_args *a = c->args;
    job j = {a, c->ptr[0], c->ptr[1], c->ptr[2], false};
    if (!in_range(a, j.index)) return OXP_EINVAL;
    oxp_parallel(c->threads, a->outer * a->count, a->outer * a->count * a->inner, gather_range, &j);
    return OXP_OK;
}

static oxp_status run_grad(const oxp_host_call *c)
{
    const gather_args *a = c->args;
    job j = {a, c->ptr[0], c->ptr[1], c->ptr[2], a->inner > a->outer};
    if (!in_range(a, j.index)) return OXP_EINVAL;
    oxp_parallel(c->threads, j.by_inner ? a->inner : a->outer,
                 a->outer * (a->dim + a->count) * a->inner, grad_range, &j);
    return OXP_OK;
}

/* Lowers both: `whole` has the indexed axis, `picked` has the axes of the index in its place. */
static oxp_status lower(oxp_lower *lw, const char *what, oxp_host_fn fn, oxp_val src, oxp_val index,
                        int axis, oxp_val dst, oxp_val whole)
{
    const oxp_shape *s = &oxp_lower_at(lw, whole)->shape;
    gather_args *a = OXP_LOWER_NEW(lw, gather_args, 1);
    oxp_val in[2];
    OXP_NOMEM_IF(lw->ctx, a);
    *a = (gather_args){1, s->dim[axis], oxp_shape_elements(&oxp_lower_at(lw, index)->shape), 1};
    for (int i = 0; i < s->rank; i++)
        if (i != axis) *(i < axis ? &a->outer : &a->inner) *= s->dim[i];
    OXP_TRY(oxp_lower_operand(lw, src, OXP_LAYOUT_ROWS, &in[0]));
    OXP_TRY(oxp_lower_operand(lw, index, OXP_LAYOUT_ROWS, &in[1]));
    OXP_TRY(oxp_lower_result(lw, dst, OXP_LAYOUT_ROWS));
    return oxp_lower_host(lw, what, fn, a, in, 2, &dst, 1, 0);
}

oxp_status oxp_lower_gather(oxp_lower *lw, oxp_val x, oxp_val index, int axis, oxp_val y)
{
    return lower(lw, "gather", run_gather, x, index, axis, y, x);
}

oxp_status oxp_lower_gather_grad(oxp_lower *lw, oxp_val dy, oxp_val index, int axis, oxp_val dx)
{
    return lower(lw, "gather grad", run_grad, dy, index, axis, dx, dx);
}
