/* reduce.c - see reduce.h. */
#include "explain/reduce.h"

#include "signal/resize.h"
#include <math.h>
#include <string.h>

static const char *const channel_names[] = {"max", "sum", "mean", "l1", "l2", "none"};

/* The reduction asked for: tokens have their own default (and, where declared, the parameter
 * "norm"). */
static oxp_channels reduction_of(const oxp_params *p, const oxp_roles *roles)
{
    const oxp_method *m = oxp_param_owner(p, "channels");
    const bool given = oxp_param_given(p, "channels");
    if (!oxp_param_known(p, "channels")) return m->channels;
    if (roles->tokens && !given && oxp_param_known(p, "norm"))
        return oxp_param_is(p, "norm", "l2") ? OXP_CHANNELS_L2 : OXP_CHANNELS_L1;
    if (roles->tokens && !given) return m->features;
    for (size_t i = 0; i < OXP_COUNT(channel_names); i++)
        if (oxp_param_is(p, "channels", channel_names[i])) return (oxp_channels)i;
    return m->channels;
}

static double combine(oxp_channels how, bool absolute, const double *x, int64_t n, int64_t stride)
{
    double sum = 0.0, most = n > 0 ? (absolute ? fabs(x[0]) : x[0]) : 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double v = absolute ? fabs(x[i * stride]) : x[i * stride];
        most = v > most ? v : most;
        sum += how == OXP_CHANNELS_L1 ? fabs(v) : how == OXP_CHANNELS_L2 ? v * v : v;
    }
    switch (how) {
    case OXP_CHANNELS_MAX:
        return most;
    case OXP_CHANNELS_MEAN:
        return n > 0 ? sum / (double)n : 0.0;
    case OXP_CHANNELS_L2:
        return sqrt(sum);
    default:
        return sum;
    }
}

static oxp_status reduce_channels(oxp_ctx *ctx, oxp_arena *arena, const oxp_core_out *out,
                                  oxp_channels how, bool absolute, const double *raw, size_t n,
                                  oxp_reduced *r)
{
    const int axis = out->roles.channel - 1; /* within the row */
    int64_t outer = 1, channels = 1, inner = 1;
    r->shape = (oxp_shape){.rank = 1, .dim = {(int64_t)n}};
    for (int a = 0; a < out->row.rank; a++) {
        *(a < axis ? &outer : a > axis ? &inner : &channels) *= out->row.dim[a];
        if (a != axis) r->shape.dim[r->shape.rank++] = out->row.dim[a];
    }
    const int64_t cells = (int64_t)n * outer * inner;
    r->data = oxp_arena_alloc(arena, (size_t)cells + 1, sizeof(double));
    OXP_NOMEM_IF(ctx, r->data);
    for (int64_t o = 0; o < (int64_t)n * outer; o++)
        for (int64_t i = 0; i < inner; i++)
            r->data[o * inner + i] =
                combine(how, absolute, raw + o * channels * inner + i, channels, inner);
    return OXP_OK;
}

static oxp_status copy_rows(oxp_ctx *ctx, oxp_arena *arena, const oxp_core_out *out, bool absolute,
                            const double *raw, size_t n, oxp_reduced *r)
{
    const size_t total = n * (size_t)out->count;
    r->shape = (oxp_shape){.rank = out->row.rank + 1, .dim = {(int64_t)n}};
    memcpy(r->shape.dim + 1, out->row.dim, (size_t)out->row.rank * sizeof(int64_t));
    r->data = oxp_arena_alloc(arena, total + 1, sizeof(double));
    OXP_NOMEM_IF(ctx, r->data);
    for (size_t i = 0; i < total; i++) r->data[i] = absolute ? fabs(raw[i]) : raw[i];
    return OXP_OK;
}

/* One of the maps that lie along the first axis of a row. */
static oxp_status pick_rows(oxp_ctx *ctx, oxp_arena *arena, const oxp_core_out *out, int64_t which,
                            const double *raw, size_t n, oxp_reduced *r)
{
    const size_t maps = (size_t)out->row.dim[0], cells = (size_t)out->count / (maps ? maps : 1);
    r->shape = (oxp_shape){.rank = out->row.rank, .dim = {(int64_t)n}};
    memcpy(r->shape.dim + 1, out->row.dim + 1, (size_t)(out->row.rank - 1) * sizeof(int64_t));
    r->data = oxp_arena_alloc(arena, n * cells + 1, sizeof(double));
    OXP_NOMEM_IF(ctx, r->data);
    for (size_t i = 0; i < n; i++)
        memcpy(r->data + i * cells, raw + (i * maps + (size_t)which) * cells,
               cells * sizeof(double));
    return OXP_OK;
}

/* A layer's map: tokens unfold to their grid, then every row is enlarged. */
static oxp_status enlarge(oxp_ctx *ctx, oxp_arena *arena, const oxp_params *params,
                          const oxp_core_out *out, size_t n, const int64_t *dims, int n_dims,
                          oxp_reduced *r)
{
    if (out->roles.tokens && out->roles.n_grid > 0) {
        r->shape.rank = 1 + out->roles.n_grid;
        memcpy(r->shape.dim + 1, out->roles.grid, (size_t)out->roles.n_grid * sizeof(int64_t));
    }
    if (oxp_param_is(params, "upsample", "none") || n_dims != r->shape.rank - 1 ||
        oxp_shape_elements(&r->shape) == 0)
        return OXP_OK;
    int64_t from = 1, to = 1;
    for (int a = 0; a < n_dims; a++) {
        from *= r->shape.dim[a + 1];
        to *= dims[a];
    }
    double *large = oxp_arena_alloc(arena, n * (size_t)to + 1, sizeof(double));
    OXP_NOMEM_IF(ctx, large);
    const bool nearest = oxp_param_is(params, "upsample", "nearest");
    for (size_t i = 0; i < n; i++)
        (nearest ? oxp_resize_nearest_f64 : oxp_resize_linear_f64)(
            r->data + i * (size_t)from, n_dims, r->shape.dim + 1, dims, large + i * (size_t)to);
    memcpy(r->shape.dim + 1, dims, (size_t)n_dims * sizeof(int64_t));
    r->data = large;
    return OXP_OK;
}

/* (N, T) of a layer of tokens: only those of the grid. */
static void drop_prefix(const oxp_roles *roles, size_t n, oxp_reduced *r)
{
    if (!roles->tokens || roles->n_grid == 0 || roles->prefix == 0 || r->shape.rank != 2) return;
    const size_t tokens = (size_t)r->shape.dim[1], prefix = (size_t)roles->prefix,
                 kept = tokens - prefix;
    for (size_t i = 0; i < n; i++)
        memmove(r->data + i * kept, r->data + i * tokens + prefix, kept * sizeof(double));
    r->shape.dim[1] = (int64_t)kept;
}

oxp_status oxp_reduce_map(oxp_ctx *ctx, oxp_arena *arena, const oxp_params *params,
                          const oxp_core_out *out, const double *raw, size_t n,
                          const int64_t *target_dims, int n_dims, oxp_reduced *reduced)
{
    const oxp_method *kind = params->inner ? params->inner : params->method;
    *reduced = (oxp_reduced){.name = "none"};
    const bool layered = (kind->flags & OXP_METHOD_LAYER) != 0;
    if (layered && !oxp_param_known(&(oxp_params){.method = kind}, "channels")) {
        reduced->is_signed = oxp_param_known(params, "relu") && !oxp_param_bool(params, "relu");
        if (oxp_param_known(params, "component"))
            OXP_TRY(
                pick_rows(ctx, arena, out, oxp_param_int(params, "component"), raw, n, reduced));
        else
            OXP_TRY(copy_rows(ctx, arena, out, false, raw, n, reduced));
        return enlarge(ctx, arena, params, out, n, target_dims, n_dims, reduced);
    }
    const oxp_channels how = reduction_of(params, &out->roles);
    const bool absolute = oxp_param_known(params, "abs") && oxp_param_bool(params, "abs");
    const bool has_signs =
        oxp_param_known(params, "abs")
            ? !absolute
            : (oxp_param_owner(params, "channels")->flags & OXP_METHOD_SIGNED) != 0;
    reduced->is_signed = has_signs && how != OXP_CHANNELS_L1 && how != OXP_CHANNELS_L2;
    if (out->roles.channel < 1 || how == OXP_CHANNELS_NONE) {
        reduced->name = absolute ? "magnitude" : "none";
        return copy_rows(ctx, arena, out, absolute, raw, n, reduced);
    }
    reduced->name = absolute ? (how == OXP_CHANNELS_MAX    ? "max of magnitudes"
                                : how == OXP_CHANNELS_SUM  ? "sum of magnitudes"
                                : how == OXP_CHANNELS_MEAN ? "mean of magnitudes"
                                                           : channel_names[how])
                             : channel_names[how];
    OXP_TRY(reduce_channels(ctx, arena, out, how, absolute, raw, n, reduced));
    if (!layered) return OXP_OK;
    drop_prefix(&out->roles, n, reduced);
    return enlarge(ctx, arena, params, out, n, target_dims, n_dims, reduced);
}
