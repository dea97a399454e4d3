/* join.c - several layers, one map. M_l is a layer's map divided by its largest magnitude, per
 * item:
 *
 *   mean       sum_l M_l / n
 *   max        max_l M_l
 *   tanh-max   max_l tanh(2 M_l)      LayerCAM's: lifts what is weak in early layers
 *   product    prod_l M_l             RefineCAM's */
#include "explain/reduce.h"

#include <math.h>

typedef enum join { JOIN_MEAN, JOIN_MAX, JOIN_TANH_MAX, JOIN_PRODUCT } join;

static join join_of(const oxp_params *p)
{
    return oxp_param_is(p, "join", "max")        ? JOIN_MAX
           : oxp_param_is(p, "join", "tanh-max") ? JOIN_TANH_MAX
           : oxp_param_is(p, "join", "product")  ? JOIN_PRODUCT
                                                 : JOIN_MEAN;
}

static void add_map(join how, bool first, double weight, const float *from, size_t n, double *to)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)from[i]));
    for (size_t i = 0; i < n; i++) {
        const double m = most > 0.0 ? (double)from[i] / most : 0.0;
        const double v = how == JOIN_TANH_MAX ? tanh(2.0 * m) : how == JOIN_MEAN ? weight * m : m;
        if (first)
            to[i] = v;
        else if (how == JOIN_MEAN)
            to[i] += v;
        else if (how == JOIN_PRODUCT)
            to[i] *= v;
        else
            to[i] = fmax(to[i], v);
    }
}

oxp_status oxp_join_maps(oxp_ctx *ctx, oxp_arena *arena, const oxp_params *params, size_t n_items,
                         oxp_attributed *maps, size_t n)
{
    static const char *const titles[] = {"mean of layers", "maximum of layers",
                                         "maximum of layers (tanh)", "product of layers"};
    const join how = join_of(params);
    oxp_attributed *joint = &maps[0];
    *joint = maps[1];
    for (size_t k = 2; k <= n; k++)
        OXP_FAIL_IF(ctx, !oxp_shape_equal(&maps[k].map.shape, &joint->map.shape), OXP_EINVAL,
                    "layers '%s' and '%s' give maps of different shapes: use upsample=linear",
                    maps[1].tensor, maps[k].tensor);
    joint->tensor = titles[how];
    OXP_TRY(oxp_tensor_new(ctx, arena, OXP_F32, &maps[1].map.shape, &joint->map));
    const size_t total = (size_t)oxp_shape_elements(&joint->map.shape), cells = total / n_items;
    double *sum = OXP_NEW(ctx->scratch, double, cells + 1);
    OXP_NOMEM_IF(ctx, sum);
    for (size_t item = 0; item < n_items; item++) {
        for (size_t k = 1; k <= n; k++)
            add_map(how, k == 1, 1.0 / (double)n, (const float *)maps[k].map.data + item * cells,
                    cells, sum);
        oxp_convert((float *)(uintptr_t)joint->map.data + item * cells, OXP_F32, sum, OXP_F64,
                    (int64_t)cells);
    }
    joint->raw = joint->map;
    return OXP_OK;
}
