/* host_norm.c - layer normalisation and its gradient with respect to x, row by row.
 *
 *   y  = (x - mean) r scale + bias,   r = 1 / sqrt(var + epsilon)
 *   dx = r (g - mean(g) - h mean(g h)),   g = dy scale,  h = (x - mean) r
 *
 * Means are taken in two passes with sums kept in double per chunk. */
#include "exec/host.h"
#include <math.h>

enum { CHUNK = 512 };

typedef struct norm_args {
    int64_t rows, len;
    double epsilon;
} norm_args;

typedef struct moments {
    float mean, rate;
} moments;

OXP_SIMD static float sum_run(const float *x, int64_t n)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

OXP_SIMD static float square_run(const float *x, float mean, int64_t n)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static moments moments_of(const float *x, const norm_args *a)
{
    double sum = 0.0, squares = 0.0;
    for (int64_t at = 0; at < a->len; at += CHUNK)
        sum += (double)sum_run(x + at, a->len - at < CHUNK ? a->len - at : CHUNK);
    const float mean = (float)(sum / (double)a->len);
    for (int64_t at = 0; at < a->len; at += CHUNK)
        squares += (double)square_run(x + at, mean, a->len - at < CHUNK ? a->len - at : CHUNK);
    return (moments){mean, (float)(1.0 / sqrt(squares / (double)a->len + a->epsilon))};
}

OXP_SIMD static void norm_run(const float *x, float *y, moments m, const float *scale,
                              const float *bias, int64_t n)
{
    if (scale != NULL && bias != NULL) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m.mean) * m.rate * scale[i] + bias[i];
    } else if (scale != NULL) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m.mean) * m.rate * scale[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m.mean) * m.rate;
        for (int64_t i = 0; bias != NULL && i < n; i++) y[i] += bias[i];
    }
}

/* Adds to sums the sum of g and of g h. */
OXP_SIMD static void grad_sums(const float *x, const float *scale, const float *dy, moments m,
                               int64_t n, double sums[2])
{
    float sum = 0.0f, dot = 0.0f;
    if (scale != NULL) {
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t i = 0; i < n; i++) {
            const float g = dy[i] * scale[i];
            sum += g;
            dot += g * ((x[i] - m.mean) * m.rate);
        }
    } else {
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t i = 0; i < n; i++) {
            sum += dy[i];
            dot += dy[i] * ((x[i] - m.mean) * m.rate);
        }
    }
    sums[0] += (double)sum;
    sums[1] += (double)dot;
}

OXP_SIMD static void grad_run(const float *x, const float *scale, const float *dy, float *dx,
                              moments m, float mean_g, float mean_gh, int64_t n)
{
    if (scale != NULL) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] = m.rate * (dy[i] * scale[i] - mean_g - (x[i] - m.mean) * m.rate * mean_gh);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dx[i] = m.rate * (dy[i] - mean_g - (x[i] - m.mean) * m.rate * mean_gh);
    }
}

static void norm_range(void *arg, int64_t begin, int64_t end)
{
    const oxp_host_call *c = arg;
    const norm_args *a = c->args;
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)c->ptr[0] + r * a->len;
        norm_run(x, (float *)c->ptr[3] + r * a->len, moments_of(x, a), c->ptr[1], c->ptr[2],
                 a->len);
    }
}

static void grad_range(void *arg, int64_t begin, int64_t end)
{
    const oxp_host_call *c = arg;
    const norm_args *a = c->args;
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)c->ptr[0] + r * a->len, *scale = c->ptr[1];
        const float *dy = (const float *)c->ptr[2] + r * a->len;
        const moments m = moments_of(x, a);
        double sums[2] = {0.0, 0.0};
        for (int64_t at = 0; at < a->len; at += CHUNK)
            grad_sums(x + at, scale != NULL ? scale + at : NULL, dy + at, m,
                      a->len - at < CHUNK ? a->len - at : CHUNK, sums);
        grad_run(x, scale, dy, (float *)c->ptr[3] + r * a->len, m,
                 (float)(sums[0] / (double)a->len), (float)(sums[1] / (double)a->len), a->len);
    }
}

static void moments_range(void *arg, int64_t begin, int64_t end)
{
    const oxp_host_call *c = arg;
    const norm_args *a = c->args;
    float *mean = c->ptr[1], *rate = c->ptr[2];
    for (int64_t r = begin; r < end; r++) {
        const moments m = moments_of((const float *)c->ptr[0] + r * a->len, a);
        if (mean != NULL) mean[r] = m.mean;
        if (rate != NULL) rate[r] = m.rate;
    }
}

static oxp_status run_moments(const oxp_host_call *c)
{
    const norm_args *a = c->args;
    oxp_host_call call = *c;
    oxp_parallel(c->threads, a->rows, a->rows * a->len, moments_range, &call);
    return OXP_OK;
}

static oxp_status run_norm(const oxp_host_call *c)
{
    const norm_args *a = c->args;
    oxp_host_call call = *c;
    oxp_parallel(c->threads, a->rows, a->rows * a->len, norm_range, &call);
    return OXP_OK;
}

static oxp_status run_grad(const oxp_host_call *c)
{
    const norm_args *a = c->args;
    oxp_host_call call = *c;
    oxp_parallel(c->threads, a->rows, a->rows * a->len, grad_range, &call);
    return OXP_OK;
}

/* ---- verbs ---- */

/* All three operands as rows; in[k] may be absent. */
static oxp_status prepare(oxp_lower *lw, int axis, double epsilon, oxp_val *in, norm_args **out)
{
    const oxp_shape *s = &oxp_lower_at(lw, in[0])->shape;
    norm_args *a = OXP_LOWER_NEW(lw, norm_args, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    *a = (norm_args){1, 1, epsilon};
    for (int i = 0; i < s->rank; i++) *(i < axis ? &a->rows : &a->len) *= s->dim[i];
    for (int k = 0; k < 3; k++)
        if (in[k] != OXP_NO_VAL) OXP_TRY(oxp_lower_operand(lw, in[k], OXP_LAYOUT_ROWS, &in[k]));
    *out = a;
    return OXP_OK;
}

oxp_status oxp_lower_layer_norm(oxp_lower *lw, int axis, double epsilon, oxp_val x, oxp_val scale,
                                oxp_val bias, oxp_val y)
{
    oxp_val in[3] = {x, scale, bias};
    norm_args *a;
    OXP_TRY(prepare(lw, axis, epsilon, in, &a));
    OXP_TRY(oxp_lower_result_like(lw, y, in[0], in[0]));
    return oxp_lower_host(lw, "layer norm", run_norm, a, in, 3, &y, 1, 0);
}

oxp_status oxp_lower_moments(oxp_lower *lw, int axis, double epsilon, oxp_val x, oxp_val mean,
                             oxp_val rate)
{
    oxp_val in[3] = {x, OXP_NO_VAL, OXP_NO_VAL};
    const oxp_val out[2] = {mean, rate};
    norm_args *a;
    OXP_TRY(prepare(lw, axis, epsilon, in, &a));
    for (int k = 0; k < 2; k++)
        if (out[k] != OXP_NO_VAL) OXP_TRY(oxp_lower_result(lw, out[k], OXP_LAYOUT_ROWS));
    return oxp_lower_host(lw, "moments", run_moments, a, in, 1, out, 2, 0);
}

oxp_status oxp_lower_layer_norm_grad(oxp_lower *lw, int axis, double epsilon, oxp_val x,
                                     oxp_val scale, oxp_val dy, oxp_val dx)
{
    oxp_val in[3] = {x, scale, dy};
    norm_args *a;
    OXP_TRY(prepare(lw, axis, epsilon, in, &a));
    OXP_TRY(oxp_lower_result_like(lw, dx, in[2], in[2]));
    return oxp_lower_host(lw, "layer norm grad", run_grad, a, in, 3, &dx, 1, 0);
}
