/* resize_table.c - reading a Resize or Upsample, and its tables: which cells a result cell reads along an
 * axis, with which weights.
 *
 * With s = scale (of the attribute, or out / in when sizes are given), the position read by result cell
 * o is
 *   half_pixel            (o + 1/2) / s - 1/2
 *   half_pixel_symmetric  the same, moved by in / 2 (1 - out / (s in)): the centre stays the centre
 *   pytorch_half_pixel    the same as half_pixel, 0 when out = 1
 *   asymmetric            o / s
 *   align_corners         o (in - 1) / (out - 1), 0 when out = 1
 *   tf_half_pixel_for_nn  (o + 1/2) / s
 *   tf_crop_and_resize    (start + o / (out - 1) (end - start)) (in - 1), the middle when out = 1;
 *                         positions outside the input give extrapolation_value
 * nearest rounds it as nearest_mode says. linear and cubic weigh the cells j around it by
 * k(j - position), a tent or Keys' cubic with `cubic_coeff_a`; with antialias and s < 1 by
 * k((j - position) s), made to sum to 1. Cells outside are those at the border, or with
 * exclude_outside left out, the rest made to sum to 1.
 *
 * Upsample, which the importer also makes of opset 10's Resize, is asymmetric and rounds down, or up
 * along axes that shrink, as ONNX Runtime does. The quotient is rounded to float before nearest rounds
 * it: runtimes compute it so, and ties must fall the same way. align_corners takes the whole number
 * `out` as PyTorch and ONNX Runtime do, where the standard's tests take in * scale. */
#include "ops/resize.h"

#include "ops/infer.h"
#include <math.h>
#include <string.h>

/* ---- reading the node ---- */

/* Index of `text` in the list; fails naming the attribute. */
static oxp_status choose(oxp_ctx *ctx, const oxp_node *node, const char *attr, const char *fallback,
                         const char *const *list, size_t n, int *out)
{
    const char *text = oxp_attr_string(node, attr, fallback);
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, list[i]) == 0) {
            *out = (int)i;
            return OXP_OK;
        }
    OXP_NODE_FAIL_IF(ctx, node, true, OXP_EUNSUPPORTED, "has %s '%s', which is not supported", attr,
                     text);
    return OXP_OK;
}

static const double *attr_floats(const oxp_node *node, const char *name, size_t *n)
{
    const oxp_attr *a = oxp_attr_find(node, name);
    *n = a && a->type == OXP_ATTR_FLOATS ? a->n : 0;
    return *n ? a->floats : NULL;
}

static oxp_status read_modes(oxp_ctx *ctx, const oxp_node *node, oxp_resizing *r)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const places[] = {
        "half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric",
        "align_corners", "tf_half_pixel_for_nn", "tf_crop_and_resize"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    int mode, where, round;
    OXP_TRY(choose(ctx, node, "mode", "nearest", modes, OXP_COUNT(modes), &mode));
    OXP_TRY(choose(ctx, node, "coordinate_transformation_mode", places[0], places,
                   OXP_COUNT(places), &where));
    OXP_TRY(
        choose(ctx, node, "nearest_mode", roundings[0], roundings, OXP_COUNT(roundings), &round));
    const bool legacy = node->op == &oxp_op_Upsample || oxp_attr_int(node, "legacy", 0) != 0;
    r->mode = (oxp_resize_mode)mode;
    r->where = legacy ? OXP_PLACE_ASYMMETRIC : (oxp_resize_place)where;
    r->round = legacy ? OXP_ROUND_BY_DIRECTION : (oxp_resize_round)round;
    r->antialias = oxp_attr_int(node, "antialias", 0) != 0 && r->mode != OXP_RESIZE_NEAREST;
    r->exclude = oxp_attr_int(node, "exclude_outside", 0) != 0;
    r->cubic_a = oxp_attr_float(node, "cubic_coeff_a", -0.75);
    r->outside = oxp_attr_float(node, "extrapolation_value", 0.0);
    return OXP_OK;
}

/* The axes that scales, sizes and roi are about: all, or those listed. */
static oxp_status read_axes(oxp_ctx *ctx, const oxp_node *node, int rank, int axes[OXP_MAX_RANK],
                            size_t *n)
{
    const int64_t *given = oxp_attr_ints(node, "axes", n);
    bool seen[OXP_MAX_RANK] = {false};
    if (!given) *n = (size_t)rank;
    OXP_NODE_FAIL_IF(ctx, node, *n > (size_t)rank, OXP_EINVAL, "names %zu axes of %d", *n, rank);
    for (size_t i = 0; i < *n; i++) {
        OXP_TRY(oxp_norm_axis(ctx, given ? given[i] : (int64_t)i, rank, &axes[i]));
        OXP_NODE_FAIL_IF(ctx, node, seen[axes[i]], OXP_EINVAL, "names axis %d twice", axes[i]);
        seen[axes[i]] = true;
    }
    return OXP_OK;
}

/* not_larger, not_smaller: one scale for all axes, the smallest or the largest. */
static void keep_aspect(const oxp_node *node, const oxp_shape *x, const int *axes, size_t n,
                        oxp_resizing *r)
{
    const char *policy = oxp_attr_string(node, "keep_aspect_ratio_policy", "stretch");
    const bool larger = strcmp(policy, "not_smaller") == 0;
    if (n == 0 || (!larger && strcmp(policy, "not_larger") != 0)) return;
    double scale = r->axis[axes[0]].scale;
    for (size_t i = 1; i < n; i++) {
        const double s = r->axis[axes[i]].scale;
        if (larger ? s > scale : s < scale) scale = s;
    }
    for (size_t i = 0; i < n; i++) {
        oxp_resize_axis *a = &r->axis[axes[i]];
        *a = (oxp_resize_axis){.scale = scale, .start = a->start, .end = a->end};
        a->out = floor(scale * (double)x->dim[axes[i]] + 0.5);
    }
}

oxp_status oxp_resizing_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                             oxp_resizing *r)
{
    size_t n, n_scales, n_sizes, n_roi;
    int axes[OXP_MAX_RANK];
    const double *scales = attr_floats(node, "scales", &n_scales);
    const double *roi = attr_floats(node, "roi", &n_roi);
    const int64_t *sizes = oxp_attr_ints(node, "sizes", &n_sizes);
    *r = (oxp_resizing){0};
    OXP_TRY(read_modes(ctx, node, r));
    OXP_TRY(read_axes(ctx, node, x->rank, axes, &n));
    const size_t given = n_scales ? n_scales : n_sizes;
    OXP_NODE_FAIL_IF(ctx, node, given != n || given == 0, OXP_EINVAL,
                     "has %zu scales or sizes for an input of rank %d", given, x->rank);
    OXP_NODE_FAIL_IF(ctx, node, r->where == OXP_PLACE_CROP && n_roi != 2 * n, OXP_EINVAL,
                     "has %zu numbers in roi, expected %zu", n_roi, 2 * n);
    for (int a = 0; a < x->rank; a++)
        r->axis[a] = (oxp_resize_axis){.scale = 1, .out = (double)x->dim[a], .end = 1};
    for (size_t i = 0; i < n; i++) {
        oxp_resize_axis *a = &r->axis[axes[i]];
        const int64_t in = x->dim[axes[i]];
        a->by_size = !n_scales;
        a->scale = n_scales ? scales[i] : (double)sizes[i] / (double)in;
        a->out = n_scales ? floor((double)((float)in * (float)scales[i])) /* in float, as ONNX */
                          : (double)sizes[i];
        a->start = r->where == OXP_PLACE_CROP ? roi[i] : 0;
        a->end = r->where == OXP_PLACE_CROP ? roi[n + i] : 1;
        OXP_NODE_FAIL_IF(ctx, node, !isfinite(a->start) || !isfinite(a->end), OXP_EINVAL,
                         "has a roi that is no number on axis %d", axes[i]);
    }
    if (!n_scales) keep_aspect(node, x, axes, n, r);
    return OXP_OK;
}

oxp_status oxp_resizing_shape(oxp_ctx *ctx, const oxp_node *node, const oxp_resizing *r,
                              const oxp_shape *x, oxp_shape *y)
{
    *y = *x;
    for (int a = 0; a < x->rank; a++) {
        const double size = r->axis[a].out;
        OXP_NODE_FAIL_IF(
            ctx, node,
            size > INT32_MAX || (x->dim[a] > 0 && !(size >= 1)) || (x->dim[a] < 1 && size > 0),
            OXP_EINVAL, "resizes axis %d from %lld to %g cells", a, (long long)x->dim[a], size);
        y->dim[a] = (int64_t)size;
    }
    return OXP_OK;
}

/* ---- one axis ---- */

static double position(const oxp_resizing *r, const oxp_resize_axis *a, int64_t o, int64_t in,
                       int64_t out)
{
    const double last = (double)(in - 1), half = r->where == OXP_PLACE_ASYMMETRIC ? 0 : 0.5;
    const double back = r->where == OXP_PLACE_TF_HALF_PIXEL ? 0 : half;
    if (r->where == OXP_PLACE_ALIGN_CORNERS)
        return out == 1 ? 0 : (double)(o * (in - 1)) / (double)(out - 1);
    if (r->where == OXP_PLACE_CROP) {
        const double along = out == 1 ? 0.5 : (double)o / (double)(out - 1);
        return (a->start + along * (a->end - a->start)) * last;
    }
    if (r->where == OXP_PLACE_PYTORCH && out == 1) return 0;
    const double p =
        a->by_size ? ((double)o + half) * (double)in / (double)out : ((double)o + half) / a->scale;
    const double moved = r->where == OXP_PLACE_SYMMETRIC
                             ? (double)in / 2 * (1 - (double)out / (a->scale * (double)in))
                             : 0;
    return (r->mode == OXP_RESIZE_NEAREST ? (double)(float)p : p) - back + moved;
}

static double rounded(oxp_resize_round round, double p, bool shrinks)
{
    switch (round) {
    case OXP_ROUND_PREFER_FLOOR:
        return ceil(p - 0.5);
    case OXP_ROUND_PREFER_CEIL:
        return floor(p + 0.5);
    case OXP_ROUND_DOWN:
        return floor(p);
    case OXP_ROUND_UP:
        return ceil(p);
    default:
        return shrinks ? ceil(p) : floor(p);
    }
}

static int64_t clamped(double p, int64_t in)
{
    return p < 0 ? 0 : p > (double)(in - 1) ? in - 1 : (int64_t)p;
}

/* The tent, or Keys' cubic: 0 from 1 or 2 on. */
static double kernel(const oxp_resizing *r, double t)
{
    const double a = r->cubic_a;
    t = fabs(t);
    if (r->mode == OXP_RESIZE_LINEAR) return t < 1 ? 1 - t : 0;
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((t - 5) * t + 8) * a * t - 4 * a : 0;
}

/* Cells from before to after the position that the kernel reaches, when stretched by 1 / s. */
static double stretch(const oxp_resizing *r, double scale)
{
    return r->antialias && scale < 1 ? scale : 1;
}

static int64_t first_tap(const oxp_resizing *r, double s)
{
    const double reach = r->mode == OXP_RESIZE_LINEAR ? 1 : 2;
    return (int64_t)floor(-reach / s) + 1;
}

/* The weights of one result cell: taps of them, on the cells from ceil(p) - 1 + first on. */
static void weigh(const oxp_resizing *r, double p, double s, int64_t in, int taps, int64_t *index,
                  double *weight)
{
    const double base = ceil(p) - 1 + (double)first_tap(r, s);
    double sum = 0;
    for (int k = 0; k < taps; k++) {
        const double cell = base + k;
        const bool outside = cell < 0 || cell > (double)(in - 1);
        weight[k] = r->exclude && outside ? 0 : kernel(r, (cell - p) * s);
        index[k] = clamped(cell, in);
        sum += weight[k];
    }
    const bool whole = s < 1 || r->exclude;
    for (int k = 0; whole && k < taps; k++) weight[k] /= sum;
}

static oxp_status axis_table(oxp_ctx *ctx, oxp_arena *arena, const oxp_resizing *r, int axis,
                             int64_t in, int64_t out, oxp_resize *t)
{
    const oxp_resize_axis *a = &r->axis[axis];
    const double s = stretch(r, a->scale);
    const bool nearest = r->mode == OXP_RESIZE_NEAREST;
    const double taps = nearest ? 1 : 2 - 2 * (double)first_tap(r, s);
    OXP_FAIL_IF(ctx, taps * (double)out > INT32_MAX, OXP_ELIMIT,
                "an axis of %lld cells would be made from %.0f cells each", (long long)out, taps);
    t->taps[axis] = (int)taps;
    int64_t *index = OXP_NEW(arena, int64_t, out * t->taps[axis]);
    double *weight = OXP_NEW(arena, double, out * t->taps[axis]);
    bool *outside = OXP_NEW(arena, bool, out);
    OXP_FAIL_IF(ctx, !index || !weight || !outside, OXP_ENOMEM, "out of memory");
    for (int64_t o = 0; o < out; o++) {
        const double p = position(r, a, o, in, out);
        int64_t *cell = index + o * t->taps[axis];
        double *w = weight + o * t->taps[axis];
        outside[o] = r->where == OXP_PLACE_CROP && (p < 0 || p > (double)(in - 1));
        if (outside[o]) continue;
        if (nearest) {
            cell[0] = clamped(rounded(r->round, p, a->scale < 1), in);
            w[0] = 1;
        } else {
            weigh(r, p, s, in, t->taps[axis], cell, w);
        }
    }
    t->index[axis] = index;
    t->weight[axis] = weight;
    t->outside[axis] = r->where == OXP_PLACE_CROP ? outside : NULL;
    return OXP_OK;
}

oxp_status oxp_resizing_tables(oxp_ctx *ctx, oxp_arena *arena, const oxp_resizing *r,
                               const oxp_shape *x, const oxp_shape *y, oxp_resize *t)
{
    *t = (oxp_resize){.rank = x->rank, .value = r->outside};
    for (int a = 0; a < x->rank; a++) {
        const oxp_resize_axis *axis = &r->axis[a];
        const bool same = axis->scale >= 1 && axis->scale <= 1 && axis->start >= 0 &&
                          axis->start <= 0 && axis->end >= 1 && axis->end <= 1;
        t->taps[a] = 1;
        if (!same) OXP_TRY(axis_table(ctx, arena, r, a, x->dim[a], y->dim[a], t));
    }
    return OXP_OK;
}
