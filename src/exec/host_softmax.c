/* host_softmax.c - Softmax, LogSoftmax and their gradients.
 *
 * A group of `len` elements is summed. Where groups are contiguous (the last axis; the channels
 * of a channels-last value) each is one row; elsewhere groups lie `inner` elements apart and a
 * block of neighbours is worked on side by side. Sums are kept in double per chunk, so that long
 * rows (vocabularies) stay exact to float. */
#include "exec/host.h"
#include "exec/host_math.h"

enum { CHUNK = 256, SIDE = 128 };

typedef struct softmax_args {
    int64_t outer, len, inner;
    bool log;
} softmax_args;

/* ---- contiguous rows ---- */

OXP_SIMD static float row_max(const float *x, int64_t n)
{
    float m = -INFINITY;
    OXP_SIMD_MAX(m)
    for (int64_t i = 0; i < n; i++) m = x[i] > m ? x[i] : m;
    return m;
}

/* y = e^(x - m), returned summed; y may be x. y NULL: only the sum. */
OXP_SIMD static float exp_run(const float *x, float *y, float m, int64_t n)
{
    float sum = 0.0f;
    if (y == NULL) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) sum += oxp_expf(x[i] - m);
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        const float e = oxp_expf(x[i] - m);
        y[i] = e;
        sum += e;
    }
    return sum;
}

OXP_SIMD static void scale_run(float *y, float scale, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] *= scale;
}

/* y = (x - m) - log_sum: not x - (m + log_sum), whose rounding grows with m */
OXP_SIMD static void shift_run(const float *x, float *y, float m, float log_sum, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) - log_sum;
}

static void softmax_row(const float *x, float *y, int64_t n, bool log)
{
    const float m = row_max(x, n);
    double sum = 0.0;
    for (int64_t at = 0; at < n; at += CHUNK)
        sum += (double)exp_run(x + at, log ? NULL : y + at, m, n - at < CHUNK ? n - at : CHUNK);
    if (log)
        shift_run(x, y, m, logf((float)sum), n);
    else
        scale_run(y, (float)(1.0 / sum), n);
}

/* Softmax: sum of y dy; LogSoftmax: sum of dy. */
OXP_SIMD static float grad_sum_run(const float *y, const float *dy, int64_t n, bool log)
{
    float sum = 0.0f;
    if (log) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) sum += dy[i];
    } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) sum += y[i] * dy[i];
    }
    return sum;
}

/* Softmax: dx = y (dy - s), s = sum y dy. LogSoftmax: dx = dy - e^y s, s = sum dy. */
OXP_SIMD static void grad_run(const float *y, const float *dy, float *dx, float s, int64_t n,
                              bool log)
{
    if (log) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] - oxp_expf(y[i]) * s;
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - s);
    }
}

static void grad_row(const float *y, const float *dy, float *dx, int64_t n, bool log)
{
    double sum = 0.0;
    for (int64_t at = 0; at < n; at += CHUNK)
        sum += (double)grad_sum_run(y + at, dy + at, n - at < CHUNK ? n - at : CHUNK, log);
    grad_run(y, dy, dx, (float)sum, n, log);
}

/* ---- groups side by side: n <= SIDE neighbours, elements of a group `inner` apart ---- */

OXP_SIMD static void softmax_side(const float *x, float *y, int64_t len, int64_t inner, int64_t n,
                                  bool log)
{
    float m[SIDE];
    double sum[SIDE];
    for (int64_t i = 0; i < n; i++) m[i] = x[i], sum[i] = 0.0;
    for (int64_t l = 1; l < len; l++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++) m[i] = x[l * inner + i] > m[i] ? x[l * inner + i] : m[i];
    for (int64_t l = 0; l < len; l++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++) sum[i] += (double)oxp_expf(x[l * inner + i] - m[i]);
    for (int64_t i = 0; i < n; i++) sum[i] = log ? (double)logf((float)sum[i]) : 1.0 / sum[i];
    for (int64_t l = 0; l < len; l++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float v = x[l * inner + i] - m[i], s = (float)sum[i];
            y[l * inner + i] = log ? v - s : oxp_expf(v) * s;
        }
}

OXP_SIMD static void grad_side(const float *y, const float *dy, float *dx, int64_t len,
                               int64_t inner, int64_t n, bool log)
{
    double sum[SIDE];
    for (int64_t i = 0; i < n; i++) sum[i] = 0.0;
    for (int64_t l = 0; l < len; l++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float d = dy[l * inner + i];
            sum[i] += (double)(log ? d : d * y[l * inner + i]);
        }
    for (int64_t l = 0; l < len; l++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float v = y[l * inner + i], d = dy[l * inner + i], s = (float)sum[i];
            dx[l * inner + i] = log ? d - oxp_expf(v) * s : v * (d - s);
        }
}

/* ---- steps: ptr = x, y or y, dy, dx ---- */

typedef struct job {
    const softmax_args *a;
    void *const *ptr;
    bool grad;
    int64_t blocks; /* of SIDE neighbours, per outer position */
} job;

static void run_groups(const job *j, int64_t at, int64_t n)
{
    const softmax_args *a = j->a;
    const float *x = (const float *)j->ptr[0] + at, *dy = (const float *)j->ptr[1] + at;
    float *out = (float *)j->ptr[j->grad ? 2 : 1] + at;
    if (a->inner == 1 && j->grad)
        grad_row(x, dy, out, a->len, a->log);
    else if (a->inner == 1)
        softmax_row(x, out, a->len, a->log);
    else if (j->grad)
        grad_side(x, dy, out, a->len, a->inner, n, a->log);
    else
        softmax_side(x, out, a->len, a->inner, n, a->log);
}

static void run_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const softmax_args *a = j->a;
    for (int64_t i = begin; i < end; i++) {
        const int64_t side = i % j->blocks * SIDE;
        run_groups(j, i / j->blocks * a->len * a->inner + side,
                   a->inner - side < SIDE ? a->inner - side : SIDE);
    }
}

static oxp_status run(const oxp_host_call *c, bool grad)
{
    const softmax_args *a = c->args;
    job j = {a, c->ptr, grad, (a->inner + SIDE - 1) / SIDE};
    if (a->len != 0) /* an exponential is worth several elements of memory traffic */
        oxp_parallel(c->threads, a->outer * j.blocks, 4 * a->outer * a->len * a->inner, run_range,
                     &j);
    return OXP_OK;
}

static oxp_status run_forward(const oxp_host_call *c)
{
    return run(c, false);
}

static oxp_status run_grad(const oxp_host_call *c)
{
    return run(c, true);
}

/* ---- verbs ---- */

/* How the groups of x lie, and the layout in which to ask for the operands. */
static softmax_args groups_of(oxp_lower *lw, int axis, bool span, bool log, oxp_val x,
                              oxp_layout *layout)
{
    const oxp_shape *s = &oxp_lower_at(lw, x)->shape;
    softmax_args a = {1, 1, 1, log};
    *layout = OXP_LAYOUT_ROWS;
    for (int i = 0; i < s->rank; i++) {
        const bool in_group = span ? i >= axis : i == axis;
        int64_t *part = in_group ? &a.len : i < axis ? &a.outer : &a.inner;
        *part *= s->dim[i];
    }
    if (!span && axis == 1 && oxp_lower_is(lw, x, OXP_LAYOUT_CHANNELS_LAST)) {
        *layout = OXP_LAYOUT_CHANNELS_LAST;
        a.outer *= a.inner;
        a.inner = 1;
    }
    return a;
}

oxp_status oxp_lower_softmax(oxp_lower *lw, int axis, bool span, bool log, oxp_val x, oxp_val y)
{
    oxp_layout layout;
    softmax_args *a = OXP_LOWER_NEW(lw, softmax_args, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    *a = groups_of(lw, axis, span, log, x, &layout);
    OXP_TRY(oxp_lower_operand(lw, x, layout, &x));
    OXP_TRY(oxp_lower_result_like(lw, y, x, x));
    return oxp_lower_host(lw, log ? "log softmax" : "softmax", run_forward, a, &x, 1, &y, 1, 0);
}

oxp_status oxp_lower_softmax_grad(oxp_lower *lw, int axis, bool span, bool log, oxp_val y,
                                  oxp_val dy, oxp_val dx)
{
    oxp_layout layout;
    oxp_val in[2];
    softmax_args *a = OXP_LOWER_NEW(lw, softmax_args, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    *a = groups_of(lw, axis, span, log, y, &layout);
    OXP_TRY(oxp_lower_operand(lw, y, layout, &in[0]));
    OXP_TRY(oxp_lower_operand(lw, dy, layout, &in[1]));
    OXP_TRY(oxp_lower_result_like(lw, dx, in[1], in[1]));
    return oxp_lower_host(lw, log ? "log softmax grad" : "softmax grad", run_grad, a, in, 2, &dx, 1,
                          0);
}
