/* host_unpool.c - MaxUnpool and its adjoint: a scatter and a gather, over rows. */
#include "exec/host.h"
#include "ops/unpool.h"
#include <string.h>

typedef struct unpool_args {
    oxp_unpool u;
    bool back;
    int64_t n, results; /* maxima; cells of the result */
} unpool_args;

static oxp_status run(const oxp_host_call *c)
{
    const unpool_args *a = c->args;
    const float *from = c->ptr[0];
    const int64_t *place = c->ptr[1];
    float *to = c->ptr[2];
    const bool fits = oxp_unpool_fits(&a->u, place);
    if (!a->back) memset(to, 0, (size_t)a->results * sizeof *to);
    for (int64_t i = 0; i < a->n; i++) {
        const int64_t cell = oxp_unpool_target(&a->u, fits, place[i]);
        if (cell < 0) return OXP_EINVAL;
        to[a->back ? i : cell] = from[a->back ? cell : i];
    }
    return OXP_OK;
}

oxp_status oxp_lower_unpool(oxp_lower *lw, const oxp_unpool *u, bool back, oxp_val x, oxp_val place,
                            oxp_val y)
{
    unpool_args *a = OXP_LOWER_NEW(lw, unpool_args, 1);
    oxp_val in[2];
    OXP_NOMEM_IF(lw->ctx, a);
    *a = (unpool_args){*u, back, oxp_shape_elements(&oxp_lower_at(lw, place)->shape),
                       oxp_shape_elements(&oxp_lower_at(lw, y)->shape)};
    OXP_TRY(oxp_lower_operand(lw, x, OXP_LAYOUT_ROWS, &in[0]));
    OXP_TRY(oxp_lower_operand(lw, place, OXP_LAYOUT_ROWS, &in[1]));
    OXP_TRY(oxp_lower_result(lw, y, OXP_LAYOUT_ROWS));
    return oxp_lower_host(lw, back ? "unpool grad" : "unpool", run, a, in, 2, &y, 1, 0);
}
