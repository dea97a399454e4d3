/* host_pool.c - max and average pooling with any dilation, and their gradients, over
 * channels-last values.
 *
 * Everything runs along the channels of one cell. Gradients are gathers: a cell of dx collects
 * from the windows that cover it. For the maximum a first pass writes, per result, the number of
 * the window cell that holds it: the first in scan order, a NaN counting as larger than anything
 * (as ops/pool.c has it). */
#include "exec/host.h"
#include <math.h>
#include <string.h>

typedef struct pool_args { /* axes of size 1 are added in front, up to three */
    oxp_pool p;
    int64_t in_cells, out_cells; /* per item */
    int64_t taps;
    bool columns; /* places are counted with the first axis running fastest */
} pool_args;

typedef struct job {
    const pool_args *a;
    const float *x, *dy;
    float *out;
    int32_t *winner; /* [n][out cells][c] */
    int64_t *place;  /* the same */
} job;

/* Cells of one window inside the input, along each axis: kernel positions [lo, hi). */
typedef struct window {
    int64_t start[3], lo[3], hi[3];
    float share; /* of an average */
} window;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a > 0 ? (a + b - 1) / b : -(-a / b);
}

static window window_at(const oxp_pool *p, int64_t cell)
{
    window w;
    double count = 1.0;
    for (int a = 2; a >= 0; a--) {
        w.start[a] = cell % p->out[a] * p->stride[a] - p->pad_begin[a];
        cell /= p->out[a];
        const int64_t first = ceil_div(-w.start[a], p->dilation[a]);
        const int64_t last = ceil_div(p->in[a] - w.start[a], p->dilation[a]);
        const int64_t declared = ceil_div(p->in[a] + p->pad_end[a] - w.start[a], p->dilation[a]);
        w.lo[a] = first > 0 ? first : 0;
        w.hi[a] = last < p->kernel[a] ? last : p->kernel[a];
        count *= (double)(p->include_pad ? (declared < p->kernel[a] ? declared : p->kernel[a])
                                         : w.hi[a] - w.lo[a]);
    }
    w.share = (float)(1.0 / count);
    return w;
}

/* Cell of the input and number of the kernel position. */
static int64_t cell_of(const oxp_pool *p, const window *w, const int64_t k[3])
{
    int64_t cell = 0;
    for (int a = 0; a < 3; a++) cell = cell * p->in[a] + w->start[a] + k[a] * p->dilation[a];
    return cell;
}

static int64_t tap_of(const oxp_pool *p, const int64_t k[3])
{
    return (k[0] * p->kernel[1] + k[1]) * p->kernel[2] + k[2];
}

#define EACH_TAP(w, k)                                     \
    for (k[0] = (w)->lo[0]; k[0] < (w)->hi[0]; k[0]++)     \
        for (k[1] = (w)->lo[1]; k[1] < (w)->hi[1]; k[1]++) \
            for (k[2] = (w)->lo[2]; k[2] < (w)->hi[2]; k[2]++)

/* ---- along the channels ---- */

OXP_SIMD static void max_run(float *y, const float *x, int64_t c)
{
#pragma omp simd
    for (int64_t i = 0; i < c; i++) y[i] = x[i] <= y[i] || y[i] != y[i] ? y[i] : x[i];
}

OXP_SIMD static void winner_run(float *best, int32_t *winner, const float *x, int32_t tap,
                                int64_t c)
{
#pragma omp simd
    for (int64_t i = 0; i < c; i++) {
        const bool keep = x[i] <= best[i] || best[i] != best[i];
        best[i] = keep ? best[i] : x[i];
        winner[i] = keep ? winner[i] : tap;
    }
}

OXP_SIMD static void add_run(float *y, const float *x, float scale, int64_t c)
{
#pragma omp simd
    for (int64_t i = 0; i < c; i++) y[i] += scale * x[i];
}

OXP_SIMD static void add_won_run(float *dx, const float *dy, const int32_t *winner, int32_t tap,
                                 int64_t c)
{
#pragma omp simd
    for (int64_t i = 0; i < c; i++) dx[i] += winner[i] == tap ? dy[i] : 0.0f;
}

/* ---- per cell ---- */

static void forward_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_pool *p = &j->a->p;
    for (int64_t r = begin; r < end; r++) {
        const window w = window_at(p, r % j->a->out_cells);
        const float *x = j->x + r / j->a->out_cells * j->a->in_cells * p->c;
        float *y = j->out + r * p->c;
        bool first = p->max;
        int64_t k[3];
        memset(y, 0, (size_t)p->c * sizeof(float));
        EACH_TAP(&w, k)
        {
            const float *cell = x + cell_of(p, &w, k) * p->c;
            if (first)
                memcpy(y, cell, (size_t)p->c * sizeof(float));
            else if (p->max)
                max_run(y, cell, p->c);
            else
                add_run(y, cell, w.share, p->c);
            first = false;
        }
    }
}

enum { SIDE = 256 };

static void winner_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_pool *p = &j->a->p;
    float best[SIDE];
    for (int64_t r = begin; r < end; r++) {
        const window w = window_at(p, r % j->a->out_cells);
        const float *x = j->x + r / j->a->out_cells * j->a->in_cells * p->c;
        for (int64_t c = 0; c < p->c; c += SIDE) {
            const int64_t n = p->c - c < SIDE ? p->c - c : SIDE;
            int32_t *winner = j->winner + r * p->c + c;
            bool first = true;
            int64_t k[3];
            EACH_TAP(&w, k)
            {
                const float *cell = x + cell_of(p, &w, k) * p->c + c;
                const int32_t tap = (int32_t)tap_of(p, k);
                if (first) {
                    memcpy(best, cell, (size_t)n * sizeof(float));
                    for (int64_t i = 0; i < n; i++) winner[i] = tap;
                } else {
                    winner_run(best, winner, cell, tap, n);
                }
                first = false;
            }
        }
    }
}

/* From the winning taps to places in x (N,C,axes...). */
static void place_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_pool *p = &j->a->p;
    for (int64_t r = begin; r < end; r++) {
        const window w = window_at(p, r % j->a->out_cells);
        const int64_t item = r / j->a->out_cells;
        for (int64_t c = 0; c < p->c; c++) {
            const int32_t tap = j->winner[r * p->c + c];
            const int64_t k[3] = {tap / (p->kernel[1] * p->kernel[2]),
                                  tap / p->kernel[2] % p->kernel[1], tap % p->kernel[2]};
            int64_t cell = cell_of(p, &w, k);
            if (j->a->columns) {
                const int64_t i0 = cell / (p->in[1] * p->in[2]), i1 = cell / p->in[2] % p->in[1];
                cell = i0 + p->in[0] * (i1 + p->in[1] * (cell % p->in[2]));
            }
            j->place[r * p->c + c] = (item * p->c + c) * j->a->in_cells + cell;
        }
    }
}

/* Along axis a: the result whose window has kernel position k on input position i; false when
 * there is none. */
static bool covers(const oxp_pool *p, int a, int64_t i, int64_t k, int64_t *o)
{
    const int64_t from = i + p->pad_begin[a] - k * p->dilation[a];
    *o = from / p->stride[a];
    return from >= 0 && from % p->stride[a] == 0 && *o < p->out[a];
}

static void collect(const job *j, float *dx, int64_t item, const int64_t at[3])
{
    const oxp_pool *p = &j->a->p;
    int64_t k[3], o[3];
    for (k[0] = 0; k[0] < p->kernel[0]; k[0]++) {
        if (!covers(p, 0, at[0], k[0], &o[0])) continue;
        for (k[1] = 0; k[1] < p->kernel[1]; k[1]++) {
            if (!covers(p, 1, at[1], k[1], &o[1])) continue;
            for (k[2] = 0; k[2] < p->kernel[2]; k[2]++) {
                if (!covers(p, 2, at[2], k[2], &o[2])) continue;
                const int64_t cell = (o[0] * p->out[1] + o[1]) * p->out[2] + o[2];
                const int64_t y_at = (item * j->a->out_cells + cell) * p->c;
                if (p->max)
                    add_won_run(dx, j->dy + y_at, j->winner + y_at, (int32_t)tap_of(p, k), p->c);
                else
                    add_run(dx, j->dy + y_at, window_at(p, cell).share, p->c);
            }
        }
    }
}

static void grad_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_pool *p = &j->a->p;
    for (int64_t r = begin; r < end; r++) {
        const int64_t cell = r % j->a->in_cells;
        const int64_t at[3] = {cell / (p->in[1] * p->in[2]), cell / p->in[2] % p->in[1],
                               cell % p->in[2]};
        float *dx = j->out + r * p->c;
        memset(dx, 0, (size_t)p->c * sizeof(float));
        collect(j, dx, r / j->a->in_cells, at);
    }
}

/* ---- steps ---- */

static oxp_status run_pool(const oxp_host_call *c)
{
    const pool_args *a = c->args;
    job j = {.a = a, .x = c->ptr[0], .out = c->ptr[1]};
    const int64_t cells = a->p.n * a->out_cells;
    oxp_parallel(c->threads, cells, cells * a->p.c * a->taps, forward_range, &j);
    return OXP_OK;
}

static oxp_status run_max_grad(const oxp_host_call *c)
{
    const pool_args *a = c->args;
    job j = {.a = a, .x = c->ptr[0], .dy = c->ptr[1], .out = c->ptr[2], .winner = c->scratch};
    const int64_t out = a->p.n * a->out_cells, in = a->p.n * a->in_cells;
    oxp_parallel(c->threads, out, out * a->p.c * a->taps, winner_range, &j);
    oxp_parallel(c->threads, in, (in + out * a->taps) * a->p.c, grad_range, &j);
    return OXP_OK;
}

static oxp_status run_index(const oxp_host_call *c)
{
    const pool_args *a = c->args;
    job j = {.a = a, .x = c->ptr[0], .winner = c->scratch, .place = c->ptr[1]};
    const int64_t out = a->p.n * a->out_cells;
    oxp_parallel(c->threads, out, out * a->p.c * a->taps, winner_range, &j);
    oxp_parallel(c->threads, out, out * a->p.c * 8, place_range, &j);
    return OXP_OK;
}

static oxp_status run_average_grad(const oxp_host_call *c)
{
    const pool_args *a = c->args;
    job j = {.a = a, .dy = c->ptr[0], .out = c->ptr[1]};
    const int64_t out = a->p.n * a->out_cells, in = a->p.n * a->in_cells;
    oxp_parallel(c->threads, in, (in + out * a->taps) * a->p.c, grad_range, &j);
    return OXP_OK;
}

/* ---- verbs ---- */

static oxp_status describe(oxp_lower *lw, const oxp_pool *pool, pool_args **out)
{
    pool_args *a = OXP_LOWER_NEW(lw, pool_args, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    *a = (pool_args){.p = *pool, .in_cells = 1, .out_cells = 1, .taps = 1};
    oxp_pool *p = &a->p;
    for (int to = 2; to >= 0; to--) {
        const int from = to - (3 - pool->axes);
        const bool real = from >= 0;
        p->in[to] = real ? pool->in[from] : 1;
        p->out[to] = real ? pool->out[from] : 1;
        p->kernel[to] = real ? pool->kernel[from] : 1;
        p->stride[to] = real ? pool->stride[from] : 1;
        p->dilation[to] = real ? pool->dilation[from] : 1;
        p->pad_begin[to] = real ? pool->pad_begin[from] : 0;
        p->pad_end[to] = real ? pool->pad_end[from] : 0;
        a->in_cells *= p->in[to];
        a->out_cells *= p->out[to];
        a->taps *= p->kernel[to];
    }
    OXP_FAIL_IF(lw->ctx, a->taps > INT32_MAX, OXP_ELIMIT,
                "a pooling window of more than 2^31 cells");
    *out = a;
    return OXP_OK;
}

oxp_status oxp_lower_pool(oxp_lower *lw, const oxp_pool *pool, oxp_val x, oxp_val y)
{
    pool_args *a;
    OXP_TRY(describe(lw, pool, &a));
    OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_CHANNELS_LAST, &x));
    OXP_TRY(oxp_lower_result(lw, y, OXP_LAYOUT_CHANNELS_LAST));
    return oxp_lower_host(lw, pool->max ? "max pool" : "average pool", run_pool, a, &x, 1, &y, 1,
                          0);
}

static size_t winners(const pool_args *a)
{
    return (size_t)(a->p.n * a->out_cells * a->p.c) * sizeof(int32_t);
}

oxp_status oxp_lower_max_pool_index(oxp_lower *lw, const oxp_pool *pool, bool columns, oxp_val x,
                                    oxp_val index)
{
    pool_args *a;
    OXP_TRY(describe(lw, pool, &a));
    a->columns = columns;
    OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_CHANNELS_LAST, &x));
    OXP_TRY(oxp_lower_result(lw, index, OXP_LAYOUT_CHANNELS_LAST));
    return oxp_lower_host(lw, "max pool index", run_index, a, &x, 1, &index, 1, winners(a));
}

oxp_status oxp_lower_max_pool_grad(oxp_lower *lw, const oxp_pool *pool, oxp_val x, oxp_val y,
                                   oxp_val dy, oxp_val dx)
{
    pool_args *a;
    oxp_val in[2];
    OXP_UNUSED(y); /* the maximum is found again, with its place */
    OXP_TRY(describe(lw, pool, &a));
    OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_CHANNELS_LAST, &in[0]));
    OXP_TRY(oxp_lower_operand(lw, dy, OXP_LAYOUT_CHANNELS_LAST, &in[1]));
    OXP_TRY(oxp_lower_result(lw, dx, OXP_LAYOUT_CHANNELS_LAST));
    return oxp_lower_host(lw, "max pool grad", run_max_grad, a, in, 2, &dx, 1, winners(a));
}

oxp_status oxp_lower_average_pool_grad(oxp_lower *lw, const oxp_pool *pool, oxp_val dy, oxp_val dx)
{
    pool_args *a;
    OXP_TRY(describe(lw, pool, &a));
    OXP_TRY(oxp_lower_operand(lw, dy, OXP_LAYOUT_CHANNELS_LAST, &dy));
    OXP_TRY(oxp_lower_result(lw, dx, OXP_LAYOUT_CHANNELS_LAST));
    return oxp_lower_host(lw, "average pool grad", run_average_grad, a, &dy, 1, &dx, 1, 0);
}
