/* augment.c - maps averaged over changed copies of the input: mirrored along its last axis of positions
 * or not, times 0.9, 1 and 1.1. Each copy's map is mirrored back. The class is that of the input itself.
 *
 *   augment=mean   mean of the six raw maps
 *   augment=pgc    mean of n(up(n(m))), n(v) = (v - min) / (1e-7 + max - min), up: enlarged to the
 *                  input: pytorch-grad-cam's aug_smooth
 *
 * What a method does on the host (a decomposition, say) is done for every copy. */
#include "explain/session.h"

#include "signal/resize.h"
#include <math.h>
#include <string.h>

enum { COPIES = 6 };
static const double factors[COPIES / 2] = {1.0, 0.9, 1.1};

/* Reverses rows seen as (outer, n, inner) along n. */
static void mirror(double *x, size_t outer, size_t n, size_t inner)
{
    for (size_t o = 0; o < outer; o++)
        for (size_t k = 0; k < n / 2; k++)
            for (size_t i = 0; i < inner; i++) {
                double *a = x + (o * n + k) * inner + i, *b = x + (o * n + n - 1 - k) * inner + i;
                const double t = *a;
                *a = *b;
                *b = t;
            }
}

static bool has_positions(const oxp_core_feed *f)
{
    return f->roles.n_spatial > 0 && !f->roles.tokens && f->input != SIZE_MAX;
}

/* Copy number `copy` of the inputs, in double. */
static oxp_status change_inputs(oxp_ctx *ctx, const oxp_session *s, const oxp_tensor *inputs,
                                int copy, oxp_tensor *out)
{
    bool any = false;
    for (size_t i = 0; i < s->n_inputs; i++) {
        const oxp_core_feed *f = &s->core->feeds[i];
        out[i] = inputs[i];
        if (!has_positions(f)) continue;
        any = true;
        const int64_t n = oxp_shape_elements(&inputs[i].shape);
        OXP_TRY(oxp_tensor_new(ctx, ctx->scratch, OXP_F64, &inputs[i].shape, &out[i]));
        double *x = (double *)(uintptr_t)out[i].data;
        oxp_convert(x, OXP_F64, inputs[i].data, inputs[i].dtype, n);
        const int axis = f->roles.spatial[f->roles.n_spatial - 1] - 1; /* of a row */
        size_t inner = 1;
        for (int a = axis + 1; a < f->row.rank; a++) inner *= (size_t)f->row.dim[a];
        const size_t along = (size_t)f->row.dim[axis];
        if (copy % 2) mirror(x, (size_t)n / (along * inner), along, inner);
        for (int64_t k = 0; k < n; k++) {
            x[k] *= factors[copy / 2];
            if (f->dtype != OXP_F32) x[k] = round(x[k]);
        }
    }
    OXP_FAIL_IF(ctx, !any, OXP_EINVAL,
                "%s: augment needs an input with positions, such as a picture",
                s->params.method->info.name);
    return OXP_OK;
}

/* Mirrors the maps of all items back: a layer's has lost its channels, tokens unfold to their grid. */
static void mirror_back(const oxp_finished *f, size_t n_items)
{
    const oxp_roles *r = &f->out.roles;
    const oxp_shape *row = &f->out.row;
    if (row->rank == 0 || f->out.output == SIZE_MAX) return; /* zero */
    size_t inner = 1, along = (size_t)row->dim[row->rank - 1];
    if (r->tokens && r->n_grid > 0) {
        along = (size_t)r->grid[r->n_grid - 1];
    } else if (r->channel > 0 && row->rank == r->n_spatial + 1) {
        const int axis = r->spatial[r->n_spatial - 1] - 1;
        along = (size_t)row->dim[axis];
        for (int a = axis + 1; a < row->rank; a++) inner *= (size_t)row->dim[a];
    }
    mirror(f->rows, n_items * (size_t)f->out.count / (along * inner), along, inner);
}

typedef struct bounds {
    double lo, hi;
} bounds;

static bounds bounds_of(const double *v, int64_t n)
{
    bounds b = {n > 0 ? v[0] : 0.0, n > 0 ? v[0] : 0.0};
    for (int64_t i = 0; i < n; i++) {
        b.lo = fmin(b.lo, v[i]);
        b.hi = fmax(b.hi, v[i]);
    }
    return b;
}

/* What n(up(n(m))) is enlarged from: with e the bounds of up(m), which is linear,
 *   (m - e.lo) / (e.hi - e.lo + 1e-7 (1e-7 + max m - min m)) */
static oxp_status scale_map(oxp_ctx *ctx, const oxp_session *s, const oxp_finished *f, double *m)
{
    const oxp_roles *r = &f->out.roles;
    int64_t large[3], small[3], total = 1;
    const int n_large = oxp_input_grid(s->core, large);
    const int n = r->tokens ? r->n_grid : f->out.row.rank;
    const bounds own = bounds_of(m, f->out.count);
    bounds seen = own;
    if (n == n_large && oxp_param_is(&s->params, "upsample", "linear")) {
        for (int a = 0; a < n; a++) {
            small[a] = r->tokens ? r->grid[a] : f->out.row.dim[a];
            total *= large[a];
        }
        double *up = OXP_NEW(ctx->scratch, double, total + 1);
        OXP_NOMEM_IF(ctx, up);
        oxp_resize_linear_f64(m, n, small, large, up);
        seen = bounds_of(up, total);
    }
    const double range = seen.hi - seen.lo + 1e-7 * (1e-7 + own.hi - own.lo);
    for (int64_t i = 0; i < f->out.count; i++) m[i] = range > 0 ? (m[i] - seen.lo) / range : 0.0;
    return OXP_OK;
}

/* Adds a copy's maps to the sum; of the first copy only room is made. */
static oxp_status add_copy(oxp_ctx *ctx, oxp_session *s, const oxp_items *items, int copy,
                           oxp_finished *sum)
{
    const size_t n = items->drive.n_items;
    for (size_t o = 0; o < s->core->n_outs; o++) {
        oxp_finished f;
        OXP_TRY(oxp_items_finish(ctx, s, items, o, &f));
        const size_t count = (size_t)f.out.count;
        if (copy == 0) {
            sum[o] = f;
            sum[o].rows = OXP_NEW(ctx->scratch, double, n *count + 1);
            OXP_NOMEM_IF(ctx, sum[o].rows);
        }
        if (copy % 2) mirror_back(&f, n);
        for (size_t i = 0; i < n; i++)
            if (oxp_param_is(&s->params, "augment", "pgc"))
                OXP_TRY(scale_map(ctx, s, &f, f.rows + i * count));
        for (size_t k = 0; k < n * count; k++) sum[o].rows[k] += f.rows[k] / (double)COPIES;
    }
    return OXP_OK;
}

oxp_status oxp_items_augment(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                             oxp_items *items)
{
    const oxp_params *p = &s->params;
    if (s->settings.predict_only || !oxp_param_known(p, "augment") ||
        oxp_param_is(p, "augment", "none"))
        return OXP_OK;
    oxp_finished *sum = OXP_NEW(ctx->scratch, oxp_finished, s->core->n_outs + 1);
    oxp_tensor *changed = OXP_NEW(ctx->scratch, oxp_tensor, s->n_inputs + 1);
    OXP_FAIL_IF(ctx, !sum || !changed, OXP_ENOMEM, "out of memory");
    OXP_TRY(add_copy(ctx, s, items, 0, sum));
    for (int copy = 1; copy < COPIES; copy++) {
        oxp_items other;
        OXP_TRY(change_inputs(ctx, s, inputs, copy, changed));
        OXP_TRY(oxp_items_make(ctx, s, ctx->scratch, changed, items->drive.n_items, &other));
        other.drive.target = items->drive.target;
        other.drive.contrast = items->drive.contrast;
        other.sides = items->drive.side;
        OXP_TRY(oxp_items_run(ctx, s, &other));
        OXP_TRY(add_copy(ctx, s, &other, copy, sum));
    }
    items->finished = sum;
    return OXP_OK;
}
