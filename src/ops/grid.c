/* grid.c - sampling at positions given as data: GridSample with 1 to 3 spatial axes, its adjoints with
 * respect to picture and grid, and AffineGrid.
 *
 * A coordinate g in [-1,1] of axis a stands for position v = (g + 1) / 2 (size - 1) with align_corners,
 * else ((g + 1) size - 1) / 2. nearest rounds v, half to even. Then a v outside the input (from 0 or
 * -1/2 to size - 1 or size - 1/2) is set to the border, or reflected at it. linear weighs the two cells
 * around v, cubic four (Keys, a = -3/4); cells outside are 0, the border's, or those reflected. The result
 * is the product of the axes' weights; d w / d g is that of these formulas, 0 for nearest. */
#include "ops/grid.h"

#include "ops/infer.h"
#include <math.h>
#include <string.h>

/* ---- one coordinate ---- */

static bool is_inside(double v, int64_t size)
{
    return v >= 0 && v <= (double)(size - 1);
}

/* v reflected at low and high as often as needed; *sign is turned with it. */
static double reflect(double v, double low, double high, double *sign)
{
    const double range = high - low;
    if (v >= low && v <= high) return v;
    if (!(range > 0)) {
        *sign = 0;
        return low;
    }
    const bool below = v < low;
    const double far = below ? low - v : v - high, times = floor(far / range);
    const double rest = far - times * range;
    const bool odd = fmod(times, 2) > 0;
    *sign *= odd ? 1 : -1;
    return below == odd ? high - rest : low + rest;
}

static double pad(const oxp_grid *g, int64_t size, double v, double *slope)
{
    const double low = g->align ? 0 : -0.5, high = g->align ? (double)size - 1 : (double)size - 0.5;
    if (g->padding == OXP_GRID_ZEROS || (v >= low && v <= high)) return v;
    if (g->padding == OXP_GRID_REFLECTION) return reflect(v, low, high, slope);
    *slope = 0;
    return v < 0 ? 0 : (double)(size - 1);
}

/* Keys' cubic for |t| < 2, and its derivative. */
static void cubic(double t, double *w, double *dw)
{
    const double a = -0.75, s = fabs(t), sign = t < 0 ? -1 : 1;
    if (s <= 1) {
        *w = ((a + 2) * s - (a + 3)) * s * s + 1;
        *dw = sign * (3 * (a + 2) * s - 2 * (a + 3)) * s;
    } else {
        *w = ((s - 5) * s + 8) * s * a - 4 * a;
        *dw = sign * ((3 * s - 10) * s + 8) * a;
    }
}

static int64_t cell_at(const oxp_grid *g, int64_t size, double at, bool *none)
{
    double ignored = 1;
    *none = !is_inside(at, size) && g->padding == OXP_GRID_ZEROS;
    if (g->padding == OXP_GRID_REFLECTION)
        at = reflect(at, g->align ? 0 : -0.5, (double)size - (g->align ? 1 : 0.5), &ignored);
    if (!(at > 0)) return 0; /* a NaN too */
    return at > (double)(size - 1) ? size - 1 : (int64_t)at;
}

int oxp_grid_taps(const oxp_grid *g, int axis, double coordinate, oxp_grid_tap tap[4])
{
    const int64_t size = g->in[axis];
    double slope = g->align ? ((double)size - 1) / 2 : (double)size / 2;
    double v = g->align ? (coordinate + 1) / 2 * ((double)size - 1)
                        : ((coordinate + 1) * (double)size - 1) / 2;
    const int n = g->mode == OXP_GRID_NEAREST ? 1 : g->mode == OXP_GRID_LINEAR ? 2 : 4;
    if (n == 1) v = nearbyint(v);
    v = pad(g, size, v, &slope);
    const double base = floor(v) - (n == 4);
    for (int k = 0; k < n; k++) {
        const double at = n == 1 ? v : base + k, t = v - at;
        bool none;
        tap[k].cell = cell_at(g, size, at, &none);
        tap[k].w = 1 - fabs(t);
        tap[k].dw = k == 0 ? -1 : 1;
        if (n == 1) tap[k].dw = 0;
        if (n == 4) cubic(t, &tap[k].w, &tap[k].dw);
        tap[k].dw *= slope;
        if (none) tap[k].w = tap[k].dw = 0;
    }
    return n;
}

/* ---- reading ---- */

static oxp_status choose(oxp_ctx *ctx, const oxp_node *node, const char *attr,
                         const char *const *list, size_t n, int *out)
{
    const char *text = oxp_attr_string(node, attr, list[0]);
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, list[i]) == 0) {
            *out = (int)i;
            return OXP_OK;
        }
    OXP_NODE_FAIL_IF(ctx, node, true, OXP_EUNSUPPORTED, "has %s '%s', which is not supported", attr,
                     text);
    return OXP_OK;
}

/* x (N,C,axes...) and grid (N,out...,axes) */
static oxp_status read_grid(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                            const oxp_shape *grid, oxp_grid *out, oxp_shape *y)
{
    static const char *const modes[] = {"linear", "bilinear", "nearest", "cubic", "bicubic"};
    static const oxp_grid_mode kinds[] = {OXP_GRID_LINEAR, OXP_GRID_LINEAR, OXP_GRID_NEAREST,
                                          OXP_GRID_CUBIC, OXP_GRID_CUBIC};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    char xs[OXP_SHAPE_TEXT], gs[OXP_SHAPE_TEXT];
    int mode, padding;
    OXP_TRY(choose(ctx, node, "mode", modes, OXP_COUNT(modes), &mode));
    OXP_TRY(choose(ctx, node, "padding_mode", paddings, OXP_COUNT(paddings), &padding));
    oxp_grid g = {.axes = x->rank - 2, .mode = kinds[mode], .padding = (oxp_grid_padding)padding};
    g.align = oxp_attr_int(node, "align_corners", 0) != 0;
    bool fits = x->rank >= 3 && x->rank <= 5 && grid->rank == x->rank &&
                grid->dim[0] == x->dim[0] && grid->dim[grid->rank - 1] == g.axes;
    for (int a = 2; fits && a < x->rank; a++) fits = x->dim[a] > 0 && x->dim[a] <= INT32_MAX;
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EINVAL,
                     "has input %s and grid %s, expected (N,C,axes...) of 1 to 3 axes and "
                     "(N,out...,number of axes)",
                     oxp_shape_text(x, xs), oxp_shape_text(grid, gs));
    g.n = x->dim[0];
    g.c = x->dim[1];
    g.points = 1;
    *y = *x;
    for (int a = 0; a < 3; a++) g.in[a] = a < g.axes ? x->dim[2 + a] : 1;
    for (int a = 0; a < g.axes; a++) {
        y->dim[2 + a] = grid->dim[1 + a];
        OXP_NODE_FAIL_IF(ctx, node, !oxp_mul_i64(g.points, grid->dim[1 + a], &g.points), OXP_ELIMIT,
                         "has a grid of %s", oxp_shape_text(grid, gs));
    }
    *out = g;
    return OXP_OK;
}

static oxp_status infer_sample(oxp_infer *inf)
{
    oxp_grid g;
    oxp_shape y;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(oxp_infer_float(inf, 1));
    OXP_TRY(
        read_grid(inf->ctx, inf->node, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 1), &g, &y));
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

static oxp_status check_adjoint(oxp_infer *inf, const oxp_shape *x, const oxp_shape *dy)
{
    oxp_grid g;
    oxp_shape y;
    OXP_TRY(read_grid(inf->ctx, inf->node, x, oxp_infer_shape(inf, 1), &g, &y));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_shape_equal(dy, &y), OXP_EINTERNAL,
                     "has an adjoint of another %s than the result", "shape");
    return OXP_OK;
}

/* (dy, grid) */
static oxp_status infer_grad_x(oxp_infer *inf)
{
    OXP_TRY(oxp_infer_from_attr(inf, "input_shape"));
    return check_adjoint(inf, &inf->shape[0], oxp_infer_shape(inf, 0));
}

/* (x, grid, dy) */
static oxp_status infer_grad_grid(oxp_infer *inf)
{
    OXP_TRY(check_adjoint(inf, oxp_infer_shape(inf, 0), oxp_infer_shape(inf, 2)));
    return oxp_infer_out(inf, 0, OXP_F32, oxp_infer_shape(inf, 1));
}

/* ---- grad ---- */

enum { MAX_ATTRS = 4 };

static size_t sample_attrs(const oxp_node *node, oxp_attr attrs[MAX_ATTRS])
{
    attrs[0] = OXP_STR("mode", oxp_attr_string(node, "mode", "linear"));
    attrs[1] = OXP_STR("padding_mode", oxp_attr_string(node, "padding_mode", "zeros"));
    attrs[2] = OXP_INT("align_corners", oxp_attr_int(node, "align_corners", 0));
    return 3;
}

/* dx = _GridSampleGradX(dy, grid);  dgrid = _GridSampleGradGrid(x, grid, dy) */
static oxp_status grad_sample(oxp_grad *g)
{
    const oxp_val x = g->node->in[0], grid = g->node->in[1], dy = g->dy[0];
    const oxp_shape xs = *oxp_b_shape(g->b, x);
    oxp_attr attrs[MAX_ATTRS];
    const size_t n = sample_attrs(g->node, attrs);
    attrs[n] = OXP_INTS("input_shape", xs.dim, (size_t)xs.rank);
    if (g->wants[0])
        g->dx[0] =
            oxp_emit(g->b, &oxp_op__GridSampleGradX, (const oxp_val[]){dy, grid}, 2, attrs, n + 1);
    if (g->wants[1])
        g->dx[1] = oxp_emit(g->b, &oxp_op__GridSampleGradGrid, (const oxp_val[]){x, grid, dy}, 3,
                            attrs, n);
    return g->b->status;
}

/* Linear in dy; for an adjoint z of dx: that of dy is GridSample(z, grid), that of the grid what it would
 * be if z were sampled. */
static oxp_status grad_grad_x(oxp_grad *g)
{
    const oxp_val dy = g->node->in[0], grid = g->node->in[1], z = g->dy[0];
    oxp_attr attrs[MAX_ATTRS];
    const size_t n = sample_attrs(g->node, attrs);
    if (g->wants[0])
        g->dx[0] = oxp_emit(g->b, &oxp_op_GridSample, (const oxp_val[]){z, grid}, 2, attrs, n);
    if (g->wants[1])
        g->dx[1] = oxp_emit(g->b, &oxp_op__GridSampleGradGrid, (const oxp_val[]){z, grid, dy}, 3,
                            attrs, n);
    return g->b->status;
}

/* ---- ref ---- */

typedef struct sampling {
    const oxp_grid *g;
    const double *x, *dy; /* NULL where not needed */
    double *y, *dx, *dgrid;
} sampling;

/* All taps of one point of item n, for each channel. */
static void sample_point(const sampling *s, int64_t n, int64_t point, const double *coordinates,
                         double *dgrid)
{
    const oxp_grid *g = s->g;
    oxp_grid_tap tap[3][4];
    int count[3] = {1, 1, 1};
    for (int a = 0; a < 3; a++) {
        tap[a][0] = (oxp_grid_tap){.w = 1};
        if (a < g->axes) count[a] = oxp_grid_taps(g, a, coordinates[g->axes - 1 - a], tap[a]);
    }
    const int64_t plane = g->in[0] * g->in[1] * g->in[2];
    for (int i = 0; i < count[0]; i++)
        for (int j = 0; j < count[1]; j++)
            for (int k = 0; k < count[2]; k++) {
                const oxp_grid_tap *t[3] = {&tap[0][i], &tap[1][j], &tap[2][k]};
                const int64_t cell = (t[0]->cell * g->in[1] + t[1]->cell) * g->in[2] + t[2]->cell;
                const double w = t[0]->w * t[1]->w * t[2]->w;
                for (int64_t c = 0; c < g->c; c++) {
                    const int64_t from = (n * g->c + c) * plane + cell;
                    const int64_t to = (n * g->c + c) * g->points + point;
                    if (s->y) s->y[to] += w * s->x[from];
                    if (s->dx) s->dx[from] += w * s->dy[to];
                    for (int a = 0; dgrid && a < g->axes; a++)
                        dgrid[g->axes - 1 - a] += t[a]->dw * t[(a + 1) % 3]->w * t[(a + 2) % 3]->w *
                                                  s->x[from] * s->dy[to];
                }
            }
}

static void sample_all(const sampling *s, const double *grid)
{
    for (int64_t n = 0; n < s->g->n; n++)
        for (int64_t p = 0; p < s->g->points; p++) {
            const int64_t at = (n * s->g->points + p) * s->g->axes;
            sample_point(s, n, p, grid + at, s->dgrid ? s->dgrid + at : NULL);
        }
}

static oxp_status ref_sample(const oxp_call *call)
{
    const bool back = call->node->op == &oxp_op__GridSampleGradX;
    const bool to_grid = call->node->op == &oxp_op__GridSampleGradGrid;
    oxp_grid g;
    oxp_shape y;
    OXP_TRY(read_grid(call->ctx, call->node, back ? &call->out_shape[0] : &call->in_shape[0],
                      &call->in_shape[1], &g, &y));
    sampling s = {.g = &g, .x = back ? NULL : call->in[0]};
    s.dy = back ? call->in[0] : to_grid ? call->in[2] : NULL;
    *(back ? &s.dx : to_grid ? &s.dgrid : &s.y) = call->out[0];
    memset(call->out[0], 0, (size_t)oxp_shape_elements(&call->out_shape[0]) * sizeof(double));
    sample_all(&s, call->in[1]);
    return OXP_OK;
}

/* ---- lower ---- */

static oxp_status lower_sample(oxp_lower *lw, const oxp_node *node)
{
    const oxp_graph *graph = oxp_lower_graph(lw);
    const bool back = node->op == &oxp_op__GridSampleGradX;
    const oxp_shape *x = oxp_shape_at(graph, back ? node->out[0] : node->in[0]);
    oxp_grid g;
    oxp_shape y;
    OXP_TRY(read_grid(oxp_lower_ctx(lw), node, x, oxp_shape_at(graph, node->in[1]), &g, &y));
    if (back) return oxp_lower_sample_grad(lw, &g, node->in[0], node->in[1], node->out[0]);
    return node->op == &oxp_op_GridSample
               ? oxp_lower_sample(lw, &g, node->in[0], node->in[1], node->out[0])
               : oxp_lower_sample_grad_grid(lw, &g, node->in[0], node->in[1], node->in[2],
                                            node->out[0]);
}

/* ---- AffineGrid: grid[n,p] = theta[n] (p, 1) over the positions p of the cells of `size` ---- */

/* The sizes of (N,C,axes...) and the grid's shape (N,axes...,number of axes). */
static oxp_status read_affine(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *theta,
                              oxp_shape *grid)
{
    size_t n;
    const int64_t *size = oxp_attr_ints(node, "size", &n);
    const int axes = (int)n - 2;
    char text[OXP_SHAPE_TEXT];
    bool fits = n >= 4 && n <= 5 && theta->rank == 3 && theta->dim[0] == size[0] &&
                theta->dim[1] == axes && theta->dim[2] == axes + 1;
    for (int a = 0; fits && a < axes; a++) fits = size[2 + a] > 0 && size[2 + a] <= INT32_MAX;
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EINVAL,
                     "has theta %s and %zu sizes, expected (N,2,3) and 4 or (N,3,4) and 5",
                     oxp_shape_text(theta, text), n);
    *grid = (oxp_shape){.rank = axes + 2, .dim = {size[0]}};
    memcpy(&grid->dim[1], size + 2, (size_t)axes * sizeof *size);
    grid->dim[1 + axes] = axes;
    return OXP_OK;
}

static oxp_status infer_affine(oxp_infer *inf)
{
    oxp_shape grid;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_affine(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &grid));
    return oxp_infer_out(inf, 0, OXP_F32, &grid);
}

/* Cell i of n on the line from -1 to 1: the ends are the outer cells' centres, or their outer sides. */
static double on_line(int64_t i, int64_t n, bool align)
{
    if (align) return n == 1 ? 0 : -1 + 2 * (double)i / (double)(n - 1);
    return (2 * (double)i + 1) / (double)n - 1;
}

/* (1, points, axes + 1): x first, then y, z, 1 */
static void fill_points(const oxp_shape *grid, bool align, double *to)
{
    const int axes = grid->rank - 2;
    oxp_shape cells = {.rank = axes};
    int64_t at[OXP_MAX_RANK] = {0};
    memcpy(cells.dim, &grid->dim[1], (size_t)axes * sizeof(int64_t));
    do {
        for (int a = axes - 1; a >= 0; a--) *to++ = on_line(at[a], cells.dim[a], align);
        *to++ = 1;
    } while (oxp_index_next(&cells, at));
}

static oxp_status ref_affine(const oxp_call *call)
{
    const bool align = oxp_attr_int(call->node, "align_corners", 0) != 0;
    const oxp_shape *grid = &call->out_shape[0];
    const int axes = grid->rank - 2;
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    if (oxp_shape_elements(grid) == 0) return OXP_OK;
    do {
        const double *row = call->in[0] + (at[0] * axes + at[1 + axes]) * (axes + 1);
        double sum = row[axes];
        for (int k = 0; k < axes; k++)
            sum += row[k] * on_line(at[axes - k], grid->dim[axes - k], align);
        call->out[0][o++] = sum;
    } while (oxp_index_next(grid, at));
    return OXP_OK;
}

static oxp_status expand_affine(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    oxp_shape grid;
    OXP_TRY(read_affine(b->ctx, node, oxp_b_shape(b, node->in[0]), &grid));
    const int axes = grid.rank - 2;
    int64_t points = 1;
    for (int a = 0; a < axes; a++)
        OXP_NODE_FAIL_IF(b->ctx, node, !oxp_mul_i64(points, grid.dim[1 + a], &points), OXP_ELIMIT,
                         "makes a grid of rank %d", grid.rank);
    const oxp_shape s = {.rank = 3, .dim = {1, points, axes + 1}};
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(b->ctx, t);
    OXP_TRY(oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, &s, t));
    fill_points(&grid, oxp_attr_int(node, "align_corners", 0) != 0, (double *)(uintptr_t)t->data);
    const oxp_val turned = oxp_b_transpose(b, node->in[0], (const int64_t[]){0, 2, 1});
    out[0] = oxp_b_reshape(b, oxp_b_matmul(b, oxp_b_const(b, OXP_F32, t), turned), &grid);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
#define SAMPLE_ATTRS                                                                               \
    {"mode", OXP_ATTR_STRING, "linear,bilinear,nearest,cubic,bicubic"},                            \
    {"padding_mode", OXP_ATTR_STRING, "zeros,border,reflection"},                                  \
    {"align_corners", OXP_ATTR_INT, NULL}
static const oxp_attr_spec sample_specs[] = {SAMPLE_ATTRS, END};
static const oxp_attr_spec grad_specs[] = {SAMPLE_ATTRS, {"input_shape", OXP_ATTR_INTS, NULL}, END};
static const oxp_attr_spec affine_specs[] = {
    {"align_corners", OXP_ATTR_INT, NULL}, {"size", OXP_ATTR_INTS, NULL}, END};
static const oxp_const_in affine_in[] = {{1, "size", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_GridSample = {
    .name = "GridSample", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1, .since = 16,
    .flags = OXP_OP_LINEAR, .attrs = sample_specs, .infer = infer_sample, .grad = grad_sample,
    .ref = ref_sample, .lower = lower_sample};
const oxp_op oxp_op__GridSampleGradX = {
    .name = "_GridSampleGradX", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL, .attrs = grad_specs, .infer = infer_grad_x, .grad = grad_grad_x,
    .ref = ref_sample, .lower = lower_sample};
const oxp_op oxp_op__GridSampleGradGrid = {
    .name = "_GridSampleGradGrid", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
    .flags = OXP_OP_INTERNAL | OXP_OP_NOT_DIFFERENTIABLE, .attrs = sample_specs,
    .infer = infer_grad_grid, .ref = ref_sample, .lower = lower_sample};
const oxp_op oxp_op_AffineGrid = {
    .name = "AffineGrid", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 20,
    .flags = OXP_OP_COMPOSITE | OXP_OP_LINEAR, .attrs = affine_specs, .const_in = affine_in,
    .infer = infer_affine, .ref = ref_affine, .expand = expand_affine};
/* clang-format on */
