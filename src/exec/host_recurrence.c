/* host_recurrence.c - the recurrent part of RNN, GRU and LSTM in float: step after step, for the
 * products are small and each waits for the one before. The loops are those of the reference. */
#include "exec/host.h"
#include "exec/host_math.h"
#include "ops/cell.h"

typedef float real;

OXP_SIMD static void add_product(const float *r, int64_t rows, int64_t n, const float *x, float *y)
{
    for (int64_t i = 0; i < rows; i++) {
        float sum = 0;
        const float *row = r + i * n;
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < n; k++) sum += row[k] * x[k];
        y[i] += sum;
    }
}

OXP_SIMD static void add_back(const float *r, int64_t rows, int64_t n, const float *y, float *x)
{
    for (int64_t i = 0; i < rows; i++) {
        const float *row = r + i * n, factor = y[i];
#pragma omp simd
        for (int64_t k = 0; k < n; k++) x[k] += factor * row[k];
    }
}

OXP_SIMD static void add_outer(float *r, int64_t rows, int64_t n, const float *y, const float *x)
{
    for (int64_t i = 0; r && i < rows; i++) {
        float *row = r + i * n, factor = y[i];
#pragma omp simd
        for (int64_t k = 0; k < n; k++) row[k] += factor * x[k];
    }
}

OXP_SIMD static void sigmoids(int64_t n, const float *x, float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = oxp_sigmoidf(x[i]);
}

OXP_SIMD static void tanhs(int64_t n, const float *x, float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = oxp_tanhf(x[i]);
}

static void activate(const oxp_act *act, int64_t n, const float *x, float *y)
{
    if (act->fn == OXP_ACT_SIGMOID) {
        sigmoids(n, x, y);
    } else if (act->fn == OXP_ACT_TANH) {
        tanhs(n, x, y);
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = (float)oxp_act_eval(act, (double)x[i]);
    }
}

OXP_SIMD static void sigmoid_grads(int64_t n, const float *x, const float *dy, float *dx)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float e = oxp_expf(-fabsf(x[i]));
        dx[i] = dy[i] * e / ((1.0f + e) * (1.0f + e)); /* where y is next to 1, 1 - y is noise */
    }
}

OXP_SIMD static void tanh_grads(int64_t n, const float *x, const float *dy, float *dx)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float e = oxp_expf(-2.0f * fabsf(x[i]));
        dx[i] = dy[i] * (4.0f * e) / ((1.0f + e) * (1.0f + e));
    }
}

static void activate_grad(const oxp_act *act, int64_t n, const float *x, const float *dy, float *dx)
{
    if (act->fn == OXP_ACT_SIGMOID) {
        sigmoid_grads(n, x, dy, dx);
    } else if (act->fn == OXP_ACT_TANH) {
        tanh_grads(n, x, dy, dx);
    } else {
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * (float)oxp_act_grad(act, (double)x[i]);
    }
}

#include "ops/recurrence_loops.inc"

typedef struct recurrence_args {
    oxp_recurrence r;
    uint32_t n_in, n_out;
} recurrence_args;

static bool lengths_fit(const oxp_recurrence *r, const int64_t *lens)
{
    for (int64_t i = 0; lens && i < r->batch; i++)
        if (lens[i] < 0 || lens[i] > r->steps) return false;
    return true;
}

/* Pointer i of those of the node, NULL where it has no such input or output. */
static void *at(const oxp_host_call *c, uint32_t first, uint32_t n, uint32_t i)
{
    return i < n ? c->ptr[first + i] : NULL;
}

static oxp_status run(const oxp_host_call *c)
{
    const recurrence_args *a = c->args;
    const uint32_t n = a->n_in, m = a->n_out;
    const bool lstm = a->r.cell == OXP_CELL_LSTM;
    const oxp_recurrence_data d = {.a = at(c, 0, n, 0),
                                   .r = at(c, 0, n, 1),
                                   .h0 = at(c, 0, n, 2),
                                   .c0 = at(c, 0, n, 3),
                                   .p = at(c, 0, n, 4),
                                   .lens = at(c, 0, n, 5),
                                   .out_y = at(c, n, m, 0),
                                   .out_h = at(c, n, m, 1),
                                   .out_z = at(c, n, m, lstm ? 3 : 2),
                                   .out_c = lstm ? at(c, n, m, 2) : NULL,
                                   .out_cs = at(c, n, m, 4)};
    if (!lengths_fit(&a->r, d.lens)) return OXP_EINVAL;
    run_forward(&a->r, &d, c->scratch);
    return OXP_OK;
}

static oxp_status run_grad(const oxp_host_call *c)
{
    const recurrence_args *a = c->args;
    const uint32_t n = a->n_in, m = a->n_out;
    const oxp_recurrence_data d = {.r = at(c, 0, n, 0),
                                   .z = at(c, 0, n, 1),
                                   .y = at(c, 0, n, 2),
                                   .cs = at(c, 0, n, 3),
                                   .h0 = at(c, 0, n, 4),
                                   .c0 = at(c, 0, n, 5),
                                   .p = at(c, 0, n, 6),
                                   .lens = at(c, 0, n, 7),
                                   .dy = at(c, 0, n, 8),
                                   .dh = at(c, 0, n, 9),
                                   .dc = at(c, 0, n, 10),
                                   .da = at(c, n, m, 0),
                                   .dh0 = at(c, n, m, 1),
                                   .dc0 = at(c, n, m, 2),
                                   .dr = at(c, n, m, 3),
                                   .dp = at(c, n, m, 4)};
    if (!lengths_fit(&a->r, d.lens)) return OXP_EINVAL;
    run_backward(&a->r, &d, c->scratch);
    return OXP_OK;
}

/* Every output that the loops write needs a place, wanted or not. */
oxp_status oxp_lower_recurrence(oxp_lower *lw, const oxp_recurrence *r, bool adjoint,
                                const oxp_node *node)
{
    const uint32_t least = adjoint || r->cell != OXP_CELL_LSTM ? 3 : 5;
    bool whole = node->n_out >= least;
    for (uint32_t i = 0; i < node->n_out; i++) whole = whole && node->out[i] != OXP_NO_VAL;
    if (!whole) return oxp_lower_by_ref(lw, node);
    recurrence_args *a = OXP_LOWER_NEW(lw, recurrence_args, 1);
    oxp_val *in = OXP_LOWER_NEW(lw, oxp_val, node->n_in + 1);
    OXP_FAIL_IF(lw->ctx, !a || !in, OXP_ENOMEM, "out of memory");
    *a = (recurrence_args){*r, node->n_in, node->n_out};
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != OXP_NO_VAL)
            OXP_TRY(oxp_lower_operand(lw, node->in[i], OXP_LAYOUT_ROWS, &in[i]));
    for (uint32_t i = 0; i < node->n_out; i++)
        OXP_TRY(oxp_lower_result(lw, node->out[i], OXP_LAYOUT_ROWS));
    return oxp_lower_host(lw, adjoint ? "recurrence grad" : "recurrence", adjoint ? run_grad : run,
                          a, in, node->n_in, node->out, node->n_out,
                          OXP_CELL_ROWS * (size_t)r->hidden * sizeof(float));
}
