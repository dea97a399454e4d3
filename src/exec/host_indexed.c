/* host_indexed.c - gathers and scatters whose entries point anywhere: first all positions, checked,
 * then the moves. Scatters run on one thread, since entries may meet. */
#include "exec/host.h"
#include "ops/indexed.h"
#include <math.h>
#include <string.h>

typedef struct indexed_args {
    oxp_indexed ix;
    oxp_scatter how;
    bool from_zero;
    int64_t count; /* elements of the data */
} indexed_args;

typedef struct job {
    const oxp_indexed *ix;
    const int64_t *position;
    const float *src;
    float *dst;
} job;

static void gather_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const int64_t inner = j->ix->inner;
    for (int64_t e = begin; e < end; e++)
        memcpy(j->dst + e * inner, j->src + j->position[e], (size_t)inner * sizeof(float));
}

static oxp_status run_gather(const oxp_host_call *c)
{
    const indexed_args *a = c->args;
    int64_t bad;
    if (!oxp_indexed_positions(&a->ix, c->ptr[1], c->scratch, &bad)) return OXP_EINVAL;
    job j = {&a->ix, c->scratch, c->ptr[0], c->ptr[2]};
    oxp_parallel(c->threads, a->ix.entries, a->ix.entries * a->ix.inner, gather_range, &j);
    return OXP_OK;
}

/* NaN in either operand comes out of the largest and smallest. */
static void reduce_run(oxp_scatter how, int64_t n, const float *u, float *y)
{
    switch (how) {
    case OXP_SCATTER_ADD:
        for (int64_t k = 0; k < n; k++) y[k] += u[k];
        break;
    case OXP_SCATTER_MUL:
        for (int64_t k = 0; k < n; k++) y[k] *= u[k];
        break;
    case OXP_SCATTER_MAX:
        for (int64_t k = 0; k < n; k++) y[k] = y[k] >= u[k] || isnan(y[k]) ? y[k] : u[k];
        break;
    case OXP_SCATTER_MIN:
        for (int64_t k = 0; k < n; k++) y[k] = y[k] <= u[k] || isnan(y[k]) ? y[k] : u[k];
        break;
    default:
        memcpy(y, u, (size_t)n * sizeof(float));
        break;
    }
}

static oxp_status run_scatter(const oxp_host_call *c)
{
    const indexed_args *a = c->args;
    const int64_t inner = a->ix.inner, *position = c->scratch;
    const float *data = a->from_zero ? NULL : c->ptr[2], *u = c->ptr[0];
    float *y = c->ptr[a->from_zero ? 2 : 3];
    int64_t bad;
    if (!oxp_indexed_positions(&a->ix, c->ptr[1], c->scratch, &bad)) return OXP_EINVAL;
    if (data)
        memcpy(y, data, (size_t)a->count * sizeof(float));
    else
        memset(y, 0, (size_t)a->count * sizeof(float));
    for (int64_t e = 0; e < a->ix.entries; e++)
        reduce_run(a->how, inner, u + e * inner, y + position[e]);
    return OXP_OK;
}

static oxp_status lower(oxp_lower *lw, const char *what, oxp_host_fn fn, const indexed_args *from,
                        oxp_val *in, size_t n_in, oxp_val out)
{
    indexed_args *a = OXP_LOWER_NEW(lw, indexed_args, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    *a = *from;
    for (size_t i = 0; i < n_in; i++)
        OXP_TRY(oxp_lower_operand(lw, in[i], OXP_LAYOUT_ROWS, &in[i]));
    OXP_TRY(oxp_lower_result(lw, out, OXP_LAYOUT_ROWS));
    return oxp_lower_host(lw, what, fn, a, in, n_in, &out, 1,
                          (size_t)a->ix.entries * sizeof(int64_t));
}

oxp_status oxp_lower_gather_entries(oxp_lower *lw, const oxp_indexed *ix, oxp_val x, oxp_val index,
                                    oxp_val y)
{
    const indexed_args a = {.ix = *ix};
    return lower(lw, "gather entries", run_gather, &a, (oxp_val[]){x, index}, 2, y);
}

oxp_status oxp_lower_scatter(oxp_lower *lw, const oxp_indexed *ix, oxp_scatter how, oxp_val data,
                             oxp_val index, oxp_val updates, oxp_val y)
{
    const indexed_args a = {*ix, how, data == OXP_NO_VAL, oxp_shape_elements(&ix->data)};
    return lower(lw, "scatter", run_scatter, &a, (oxp_val[]){updates, index, data},
                 data == OXP_NO_VAL ? 2 : 3, y);
}
