/* families.c - steps whose shapes and attributes are drawn for the value at hand. They may be refused;
 * then the step is taken back. */
#include "random/random.h"

#include <string.h>

static oxp_shape shape_of(const maker *m, oxp_val x)
{
    return *oxp_b_shape(&m->b, x);
}

/* An operator of the table that `wanted` accepts. */
static const oxp_op *pick_op(maker *m, bool (*wanted)(const oxp_op *op))
{
    size_t n = 0;
    for (size_t i = 0; i < oxp_op_count(); i++) n += wanted(oxp_op_at(i));
    size_t k = draw_below(m, n);
    for (size_t i = 0; i < oxp_op_count(); i++)
        if (wanted(oxp_op_at(i)) && k-- == 0) return oxp_op_at(i);
    return &oxp_op_Identity;
}

static int draw_axis(maker *m, const oxp_shape *s)
{
    return (int)draw_below(m, (uint64_t)(s->rank ? s->rank : 1));
}

/* ---- one input, element by element ---- */

static bool is_unary(const oxp_op *op)
{
    return (op->flags & OXP_OP_ELEMENTWISE) && op->min_in == 1 && op->max_in <= 3;
}

static oxp_val argument(maker *m, oxp_val x)
{
    oxp_build *b = &m->b;
    switch (draw_below(m, 4)) {
    case 0:
        return oxp_b_add(b, oxp_b_unary(b, &oxp_op_Abs, x), oxp_b_scalar(b, 0.5));
    case 1:
        return oxp_b_mul(b, oxp_b_unary(b, &oxp_op_Tanh, x), oxp_b_scalar(b, 0.9));
    default:
        return x;
    }
}

static void unary_step(maker *m, oxp_val x)
{
    const oxp_op *op = pick_op(m, is_unary);
    oxp_attr attrs[CASE_MAX];
    size_t n = 0;
    for (const oxp_attr_spec *s = op->attrs; s && s->name && n < CASE_MAX; s++)
        if (s->type == OXP_ATTR_FLOAT && draw_chance(m, 0.6))
            attrs[n++] = OXP_FLOAT(s->name, draw_real(m, 0.2, 1.5));
    x = argument(m, x);
    oxp_emit(&m->b, op, &x, 1, attrs, n);
}

/* ---- several inputs, broadcasting ---- */

/* Something that broadcasts with x: a value, or a constant with axes left out or 1. */
static oxp_val partner(maker *m, oxp_val x)
{
    oxp_shape s = shape_of(m, x);
    const int drop = (int)draw_int(m, 0, s.rank);
    if (draw_chance(m, 0.3)) s = oxp_shape_of(s.rank - drop, s.dim + drop);
    for (int a = 0; a < s.rank; a++)
        if (draw_chance(m, 0.3)) s.dim[a] = 1;
    if (draw_chance(m, 0.5)) return bend(m, pick_value(m), &s);
    return draw_chance(m, 0.5) ? make_const(m, &s, -2.0, 2.0) : make_input(m, &s, -2.0, 2.0);
}

static void binary_step(maker *m, oxp_val x)
{
    static const oxp_op *const ops[] = {&oxp_op_Add,   &oxp_op_Sub, &oxp_op_Mul, &oxp_op_Div,
                                        &oxp_op_Pow,   &oxp_op_Min, &oxp_op_Max, &oxp_op_Mod,
                                        &oxp_op_PRelu, &oxp_op_Sum, &oxp_op_Mean};
    const oxp_op *op = ops[draw_below(m, OXP_COUNT(ops))];
    oxp_val in[3] = {x, partner(m, x), OXP_NO_VAL};
    const bool more = op->max_in == OXP_VARIADIC && draw_chance(m, 0.4);
    if (more) in[2] = partner(m, x);
    if (op == &oxp_op_Pow) in[0] = argument(m, in[0]);
    if (op == &oxp_op_Div) in[1] = argument(m, in[1]);
    if (op != &oxp_op_PRelu && draw_chance(m, 0.3)) {
        const oxp_val first = in[0];
        in[0] = in[1];
        in[1] = first;
    }
    const oxp_attr fmod = OXP_INT("fmod", draw_int(m, 0, 1));
    oxp_emit(&m->b, op, in, more ? 3 : 2, &fmod, op == &oxp_op_Mod);
}

static void where_step(maker *m, oxp_val x)
{
    const oxp_val cond = oxp_b_greater(&m->b, x, partner(m, x));
    oxp_b_where(&m->b, cond, partner(m, x), partner(m, x));
}

/* ---- along axes ---- */

static bool is_reduction(const oxp_op *op)
{
    return strncmp(op->name, "Reduce", 6) == 0;
}

static void reduce_step(maker *m, oxp_val x)
{
    const oxp_shape s = shape_of(m, x);
    const oxp_op *op = pick_op(m, is_reduction);
    int64_t axes[OXP_MAX_RANK];
    size_t n = 0;
    for (int a = 0; a < s.rank; a++)
        if (draw_chance(m, 0.5)) axes[n++] = draw_chance(m, 0.3) ? a - s.rank : a;
    const oxp_attr attrs[] = {OXP_INT("keepdims", draw_int(m, 0, 1)),
                              OXP_INT("noop_with_empty_axes", draw_int(m, 0, 1)),
                              OXP_INTS("axes", axes, n)};
    x = argument(m, x);
    oxp_emit(&m->b, op, &x, 1, attrs, n || draw_chance(m, 0.5) ? 3 : 2);
}

static void axis_step(maker *m, oxp_val x)
{
    static const oxp_op *const ops[] = {&oxp_op_Softmax, &oxp_op_LogSoftmax, &oxp_op_CumSum,
                                        &oxp_op_CumProd, &oxp_op_Hardmax};
    const oxp_op *op = ops[draw_below(m, OXP_COUNT(ops))];
    const oxp_shape s = shape_of(m, x);
    const bool running = op == &oxp_op_CumSum || op == &oxp_op_CumProd;
    const oxp_attr attrs[] = {OXP_INT("axis", draw_axis(m, &s)),
                              OXP_INT(running ? "reverse" : "span", draw_int(m, 0, 1)),
                              OXP_INT("exclusive", draw_int(m, 0, 1))};
    oxp_emit(&m->b, op, &x, 1, attrs, running ? 3 : 2);
}

/* ---- movement ---- */

/* n elements as `rank` axes */
static oxp_shape factors(maker *m, int64_t n, int rank)
{
    oxp_shape s = {.rank = rank};
    for (int a = 0; a < rank; a++) {
        int64_t d = a == rank - 1 ? n : draw_int(m, 1, 6);
        while (n % d) d--;
        s.dim[a] = d;
        n /= d;
    }
    return s;
}

static void reshape_step(maker *m, oxp_val x)
{
    const int64_t n = oxp_shape_elements(oxp_b_shape(&m->b, x));
    const oxp_shape s = factors(m, n, (int)draw_int(m, 1, 4));
    oxp_b_reshape(&m->b, x, &s);
}

static void transpose_step(maker *m, oxp_val x)
{
    const oxp_shape s = shape_of(m, x);
    int64_t perm[OXP_MAX_RANK];
    for (int a = 0; a < s.rank; a++) perm[a] = a;
    for (int a = s.rank - 1; a > 0; a--) {
        const int k = (int)draw_int(m, 0, a);
        const int64_t other = perm[k];
        perm[k] = perm[a];
        perm[a] = other;
    }
    oxp_b_transpose(&m->b, x, perm);
}

static void slice_step(maker *m, oxp_val x)
{
    const oxp_shape s = shape_of(m, x);
    const int64_t axis = draw_axis(m, &s), d = s.rank ? s.dim[axis] : 1;
    const bool back = draw_chance(m, 0.3);
    const int64_t start = draw_int(m, 0, d - 1), step = draw_int(m, 1, 3);
    const int64_t end = back ? draw_int(m, -d - 1, start - d - 1) : draw_int(m, start + 1, d);
    const int64_t stride = back ? -step : step;
    OXP_EMIT1(&m->b, &oxp_op_Slice, x, OXP_INTS("starts", &start, 1), OXP_INTS("ends", &end, 1),
              OXP_INTS("axes", &axis, 1), OXP_INTS("steps", &stride, 1));
}

static void split_step(maker *m, oxp_val x)
{
    const oxp_shape s = shape_of(m, x);
    const int axis = draw_axis(m, &s);
    const int64_t d = s.rank ? s.dim[axis] : 1, first = draw_int(m, 1, d);
    const int64_t sizes[2] = {first, d - first};
    const oxp_attr attrs[] = {OXP_INT("axis", axis), OXP_INTS("split", sizes, 2)};
    oxp_val outs[2];
    oxp_emit_multi(&m->b, &oxp_op_Split, &x, 1, attrs, 2, 2, outs);
}

static void concat_step(maker *m, oxp_val x)
{
    oxp_shape s = shape_of(m, x);
    const int axis = draw_axis(m, &s);
    if (s.rank) s.dim[axis] = draw_int(m, 1, 3);
    oxp_val in[3] = {x, bend(m, pick_value(m), &s), x};
    oxp_b_concat(&m->b, in, (size_t)draw_int(m, 2, 3), axis);
}

static void pad_step(maker *m, oxp_val x)
{
    static const char *const modes[] = {"constant", "edge", "reflect"};
    const oxp_shape s = shape_of(m, x);
    int64_t pads[2 * OXP_MAX_RANK];
    for (int i = 0; i < 2 * s.rank; i++) pads[i] = draw_int(m, 0, 2);
    OXP_EMIT1(&m->b, &oxp_op_Pad, x, OXP_INTS("pads", pads, 2 * (size_t)s.rank),
              OXP_STR("mode", modes[draw_below(m, 3)]));
}

static void expand_step(maker *m, oxp_val x)
{
    oxp_shape s = shape_of(m, x);
    const int axis = draw_axis(m, &s);
    const int64_t axes[1] = {axis}, times = draw_int(m, 1, 3);
    x = OXP_EMIT1(&m->b, &oxp_op_Unsqueeze, x, OXP_INTS("axes", axes, 1));
    if (m->b.status != OXP_OK) return;
    s = shape_of(m, x);
    s.dim[axis] = times;
    oxp_b_expand(&m->b, x, &s);
}

static void gather_step(maker *m, oxp_val x)
{
    const oxp_shape s = shape_of(m, x);
    const int axis = draw_axis(m, &s);
    const int64_t d = s.rank ? s.dim[axis] : 1;
    oxp_shape at = {.rank = (int)draw_int(m, 0, 2), .dim = {draw_int(m, 1, 4), draw_int(m, 1, 3)}};
    double index[16];
    for (int64_t i = 0; i < oxp_shape_elements(&at); i++) index[i] = (double)draw_int(m, -d, d - 1);
    const oxp_val in[2] = {x, make_const_of(m, OXP_I64, &at, index)};
    const oxp_attr attr = OXP_INT("axis", axis);
    oxp_emit(&m->b, &oxp_op_Gather, in, 2, &attr, 1);
}

/* ---- products, convolutions, pools, normalisation ---- */

static void matmul_step(maker *m, oxp_val x)
{
    const oxp_shape s = shape_of(m, x);
    const int64_t k = s.rank ? s.dim[s.rank - 1] : 1, n = draw_int(m, 1, 4);
    oxp_shape w = oxp_shape_of(2, (const int64_t[]){k, n});
    if (s.rank > 2 && draw_chance(m, 0.4))
        w = oxp_shape_of(3, (const int64_t[]){s.dim[s.rank - 3], k, n});
    const oxp_val other =
        draw_chance(m, 0.5) ? make_const(m, &w, -1.0, 1.0) : bend(m, pick_value(m), &w);
    oxp_b_matmul(&m->b, x, other);
}

static void gemm_step(maker *m, oxp_val x)
{
    const int64_t rows = draw_int(m, 1, 4), k = draw_int(m, 1, 5), n = draw_int(m, 1, 4);
    const int64_t ta = draw_int(m, 0, 1), tb = draw_int(m, 0, 1);
    const oxp_shape a = oxp_shape_of(2, (const int64_t[]){ta ? k : rows, ta ? rows : k}),
                    w = oxp_shape_of(2, (const int64_t[]){tb ? n : k, tb ? k : n}),
                    c = oxp_shape_of(1, &n);
    const oxp_val in[3] = {bend(m, x, &a), make_const(m, &w, -1.0, 1.0), make_const(m, &c, -1, 1)};
    const oxp_attr attrs[] = {OXP_INT("transA", ta), OXP_INT("transB", tb),
                              OXP_FLOAT("alpha", draw_real(m, 0.5, 1.5)),
                              OXP_FLOAT("beta", draw_real(m, 0.5, 1.5))};
    oxp_emit(&m->b, &oxp_op_Gemm, in, draw_chance(m, 0.5) ? 3 : 2, attrs, 4);
}

/* x as (N, C, spatial...) */
static oxp_val image(maker *m, oxp_val x, int axes, int64_t channels)
{
    oxp_shape s = {.rank = axes + 2, .dim = {draw_int(m, 1, 2), channels}};
    for (int a = 0; a < axes; a++) s.dim[a + 2] = draw_int(m, 3, axes == 3 ? 4 : 7);
    return bend(m, x, &s);
}

typedef struct window {
    int64_t kernel[3], strides[3], dilations[3], pads[6];
} window;

static window draw_window(maker *m)
{
    window w;
    for (int a = 0; a < 3; a++) {
        w.kernel[a] = draw_int(m, 1, 3);
        w.strides[a] = draw_int(m, 1, 2);
        w.dilations[a] = draw_chance(m, 0.3) ? 2 : 1;
    }
    const bool pads = draw_chance(m, 0.5);
    for (int i = 0; i < 6; i++) w.pads[i] = pads ? draw_int(m, 0, 1) : 0;
    return w;
}

static void conv_step(maker *m, oxp_val x)
{
    const int axes = (int)draw_int(m, 1, 3);
    const int64_t group = draw_int(m, 1, 3), c = draw_int(m, 1, 3), k = draw_int(m, 1, 3);
    const bool up = draw_chance(m, 0.3);
    const window w = draw_window(m);
    oxp_shape ws = {.rank = axes + 2, .dim = {up ? group * c : group * k, up ? k : c}};
    for (int a = 0; a < axes; a++) ws.dim[a + 2] = w.kernel[a];
    const oxp_shape bias = oxp_shape_of(1, (const int64_t[]){group * k});
    const oxp_val in[3] = {image(m, x, axes, group * c), make_const(m, &ws, -0.7, 0.7),
                           make_const(m, &bias, -1.0, 1.0)};
    const size_t n = (size_t)axes;
    const oxp_attr attrs[] = {OXP_INT("group", group), OXP_INTS("strides", w.strides, n),
                              OXP_INTS("dilations", w.dilations, n),
                              OXP_INTS("pads", w.pads, 2 * n)};
    oxp_emit(&m->b, up ? &oxp_op_ConvTranspose : &oxp_op_Conv, in, draw_chance(m, 0.6) ? 3 : 2,
             attrs, 4);
}

static void pool_step(maker *m, oxp_val x)
{
    static const oxp_op *const global[] = {&oxp_op_GlobalAveragePool, &oxp_op_GlobalMaxPool};
    const int axes = (int)draw_int(m, 1, 3);
    const size_t n = (size_t)axes;
    const window w = draw_window(m);
    x = image(m, x, axes, draw_int(m, 1, 4));
    const oxp_attr attrs[] = {OXP_INTS("kernel_shape", w.kernel, n),
                              OXP_INTS("strides", w.strides, n), OXP_INTS("pads", w.pads, 2 * n),
                              OXP_INT("ceil_mode", draw_int(m, 0, 1)),
                              OXP_INT("count_include_pad", draw_int(m, 0, 1))};
    if (draw_chance(m, 0.3))
        oxp_emit(&m->b, global[draw_below(m, 2)], &x, 1, NULL, 0);
    else if (draw_chance(m, 0.5))
        oxp_emit(&m->b, &oxp_op_AveragePool, &x, 1, attrs, 5);
    else
        oxp_emit(&m->b, &oxp_op_MaxPool, &x, 1, attrs, 4);
}

static void norm_step(maker *m, oxp_val x)
{
    const int64_t c = draw_int(m, 2, 4);
    const oxp_shape per_channel = oxp_shape_of(1, &c);
    x = image(m, x, (int)draw_int(m, 1, 2), c);
    oxp_val in[5] = {x};
    for (int i = 1; i < 4; i++) in[i] = make_const(m, &per_channel, -1.0, 1.0);
    in[4] = make_const(m, &per_channel, 0.5, 2.0);
    const oxp_attr epsilon = OXP_FLOAT("epsilon", draw_real(m, 0.01, 0.2));
    if (draw_chance(m, 0.5))
        oxp_emit(&m->b, &oxp_op_BatchNormalization, in, 5, &epsilon, 1);
    else
        oxp_emit(&m->b, &oxp_op_InstanceNormalization, in, 3, &epsilon, 1);
}

static void layer_norm_step(maker *m, oxp_val x)
{
    const oxp_shape s = shape_of(m, x);
    const int axis = draw_axis(m, &s);
    const oxp_shape tail = oxp_shape_of(s.rank - axis, s.dim + axis);
    const oxp_val in[3] = {x, make_const(m, &tail, -1.0, 1.0), make_const(m, &tail, -1.0, 1.0)};
    const oxp_attr attrs[] = {OXP_INT("axis", axis), OXP_FLOAT("epsilon", draw_real(m, 0.01, 0.2))};
    oxp_emit(&m->b, &oxp_op_LayerNormalization, in, draw_chance(m, 0.5) ? 3 : 2, attrs, 2);
}

static void resize_step(maker *m, oxp_val x)
{
    static const char *const modes[] = {"nearest", "linear"};
    static const char *const where[] = {"half_pixel", "asymmetric", "align_corners"};
    x = image(m, x, 2, draw_int(m, 1, 3));
    if (m->b.status != OXP_OK) return;
    oxp_shape s = shape_of(m, x);
    for (int a = 2; a < 4; a++) s.dim[a] = draw_int(m, 1, 9);
    OXP_EMIT1(&m->b, &oxp_op_Resize, x, OXP_INTS("sizes", s.dim, 4),
              OXP_STR("mode", modes[draw_below(m, 2)]),
              OXP_STR("coordinate_transformation_mode", where[draw_below(m, 3)]));
}

void family_step(maker *m, oxp_val x)
{
    static void (*const steps[])(maker * m, oxp_val x) = {
        unary_step,     unary_step,      unary_step,  binary_step, binary_step,  binary_step,
        where_step,     reduce_step,     reduce_step, axis_step,   reshape_step, transpose_step,
        transpose_step, slice_step,      split_step,  concat_step, pad_step,     expand_step,
        gather_step,    matmul_step,     gemm_step,   conv_step,   conv_step,    pool_step,
        norm_step,      layer_norm_step, resize_step};
    steps[draw_below(m, OXP_COUNT(steps))](m, x);
}
