/* space.c - channels to positions and back: DepthToSpace, SpaceToDepth; and CenterCropPad.
 *
 * All only move elements. The first two are a Reshape that splits axes, a Transpose and a Reshape that
 * joins them: one copy in the fast executor. */
#include "ops/infer.h"
#include "ops/layout.h"
#include "ops/slice.h"
#include <string.h>

/* ---- DepthToSpace, SpaceToDepth ---- */

/* The result is `split`, its axes permuted, then joined to y. */
typedef struct movement {
    oxp_shape split, y;
    int64_t perm[OXP_MAX_RANK];
} movement;

static oxp_status read_movement(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, movement *m)
{
    const int64_t s = oxp_attr_int(node, "blocksize", 0);
    const bool deep = node->op == &oxp_op_SpaceToDepth;
    const bool columns = strcmp(oxp_attr_string(node, "mode", "DCR"), "CRD") == 0;
    char text[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(ctx, node, x->rank != 4 || s < 1 || s > INT16_MAX, OXP_EINVAL,
                     "has blocksize %lld and input %s, expected a positive one and (N,C,H,W)",
                     (long long)s, oxp_shape_text(x, text));
    const int64_t n = x->dim[0], c = x->dim[1], h = x->dim[2], w = x->dim[3];
    OXP_NODE_FAIL_IF(ctx, node, deep ? h % s != 0 || w % s != 0 : c % (s * s) != 0, OXP_EINVAL,
                     "cannot divide %s into blocks of %lld", oxp_shape_text(x, text), (long long)s);
    static const int64_t deepened[] = {0, 3, 5, 1, 2, 4}, deepened_crd[] = {0, 1, 3, 5, 2, 4},
                         rows[] = {0, 3, 4, 1, 5, 2}, crd[] = {0, 1, 4, 2, 5, 3};
    *m = (movement){.split.rank = 6, .y.rank = 4};
    if (deep) {
        m->split = oxp_shape_of(6, (const int64_t[]){n, c, h / s, s, w / s, s});
        m->y = oxp_shape_of(4, (const int64_t[]){n, c * s * s, h / s, w / s});
    } else {
        const int64_t left = c / (s * s);
        m->split = columns ? oxp_shape_of(6, (const int64_t[]){n, left, s, s, h, w})
                           : oxp_shape_of(6, (const int64_t[]){n, s, s, left, h, w});
        m->y = oxp_shape_of(4, (const int64_t[]){n, left, h * s, w * s});
    }
    const int64_t *perm = deep ? (columns ? deepened_crd : deepened) : columns ? crd : rows;
    memcpy(m->perm, perm, 6 * sizeof(int64_t));
    return OXP_OK;
}

static oxp_status infer_movement(oxp_infer *inf)
{
    movement m;
    OXP_TRY(read_movement(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &m));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &m.y);
}

/* The same backwards. */
static oxp_status grad_movement(oxp_grad *g)
{
    oxp_build *b = g->b;
    const oxp_shape x = *oxp_b_shape(b, g->node->in[0]);
    movement m;
    int64_t back[OXP_MAX_RANK] = {0};
    OXP_TRY(read_movement(b->ctx, g->node, &x, &m));
    oxp_shape moved = m.split;
    for (int a = 0; a < 6; a++) {
        back[m.perm[a]] = a;
        moved.dim[a] = m.split.dim[m.perm[a]];
    }
    const oxp_val dy = oxp_b_transpose(b, oxp_b_reshape(b, g->dy[0], &moved), back);
    g->dx[0] = oxp_b_reshape(b, dy, &x);
    return b->status;
}

/* Cell (n,c,h,w) of the larger picture is block cell (h mod s, w mod s). */
static oxp_status ref_movement(const oxp_call *call)
{
    const bool deep = call->node->op == &oxp_op_SpaceToDepth;
    const bool columns = strcmp(oxp_attr_string(call->node, "mode", "DCR"), "CRD") == 0;
    const oxp_shape *large = deep ? &call->in_shape[0] : &call->out_shape[0];
    const oxp_shape *small = deep ? &call->out_shape[0] : &call->in_shape[0];
    const int64_t s = oxp_attr_int(call->node, "blocksize", 0), c = large->dim[1];
    int64_t at[OXP_MAX_RANK] = {0}, i = 0;
    if (oxp_shape_elements(large) == 0) return OXP_OK;
    do {
        const int64_t cell = at[2] % s * s + at[3] % s;
        const int64_t channel = columns ? at[1] * s * s + cell : cell * c + at[1];
        const int64_t j =
            ((at[0] * small->dim[1] + channel) * small->dim[2] + at[2] / s) * small->dim[3] +
            at[3] / s;
        call->out[0][deep ? j : i] = call->in[0][deep ? i : j];
        i++;
    } while (oxp_index_next(large, at));
    return OXP_OK;
}

static oxp_status expand_movement(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    movement m;
    OXP_TRY(read_movement(b->ctx, node, oxp_b_shape(b, node->in[0]), &m));
    const oxp_val split = oxp_b_reshape(b, node->in[0], &m.split);
    out[0] = oxp_b_reshape(b, oxp_b_transpose(b, split, m.perm), &m.y);
    return b->status;
}

/* ---- CenterCropPad: each axis cut or padded with zeros around its middle, the odd cell at the end ----
 */

static oxp_status read_centre(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                              int64_t pads[2 * OXP_MAX_RANK], oxp_shape *y)
{
    size_t n, n_axes;
    const int64_t *size = oxp_attr_ints(node, "shape", &n);
    const int64_t *axes = oxp_attr_ints(node, "axes", &n_axes);
    bool seen[OXP_MAX_RANK] = {false};
    if (!axes) n_axes = (size_t)x->rank;
    OXP_NODE_FAIL_IF(ctx, node, n != n_axes, OXP_EINVAL, "has %zu sizes for %zu axes", n, n_axes);
    memset(pads, 0, 2 * OXP_MAX_RANK * sizeof *pads);
    *y = *x;
    for (size_t i = 0; i < n; i++) {
        int a;
        OXP_TRY(oxp_norm_axis(ctx, axes ? axes[i] : (int64_t)i, x->rank, &a));
        OXP_NODE_FAIL_IF(ctx, node, seen[a] || size[i] < 0 || size[i] > INT32_MAX, OXP_EINVAL,
                         "makes axis %d %lld cells long", a, (long long)size[i]);
        seen[a] = true;
        y->dim[a] = size[i];
        /* floor(more / 2) cells before, or floor(less / 2) cut off */
        const int64_t more = size[i] - x->dim[a];
        pads[a] = more / 2;
        pads[x->rank + a] = more - more / 2;
    }
    return OXP_OK;
}

static oxp_status infer_centre(oxp_infer *inf)
{
    int64_t pads[2 * OXP_MAX_RANK];
    oxp_shape y;
    OXP_TRY(read_centre(inf->ctx, inf->node, oxp_infer_shape(inf, 0), pads, &y));
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

static oxp_status ref_centre(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    int64_t pads[2 * OXP_MAX_RANK], at[OXP_MAX_RANK] = {0}, o = 0;
    oxp_shape y;
    OXP_TRY(read_centre(call->ctx, call->node, x, pads, &y));
    if (oxp_shape_elements(&y) == 0) return OXP_OK;
    do {
        int64_t i = 0;
        for (int a = 0; i >= 0 && a < y.rank; a++) {
            const int64_t cell = at[a] - pads[a];
            i = cell < 0 || cell >= x->dim[a] ? -1 : i * x->dim[a] + cell;
        }
        call->out[0][o++] = i < 0 ? 0 : call->in[0][i];
    } while (oxp_index_next(&y, at));
    return OXP_OK;
}

static oxp_status expand_centre(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    int64_t pads[2 * OXP_MAX_RANK];
    oxp_shape y;
    OXP_TRY(read_centre(b->ctx, node, &x, pads, &y));
    out[0] = oxp_b_pad(b, node->in[0], pads, 0);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec block_attrs[] = {
    {"blocksize", OXP_ATTR_INT, NULL}, {"mode", OXP_ATTR_STRING, "DCR,CRD"}, END};
static const oxp_attr_spec centre_attrs[] = {
    {"shape", OXP_ATTR_INTS, NULL}, {"axes", OXP_ATTR_INTS, NULL}, END};
static const oxp_const_in centre_in[] = {{1, "shape", OXP_ATTR_INTS}, {0, NULL, OXP_ATTR_INT}};

const oxp_op oxp_op_DepthToSpace = {
    .name = "DepthToSpace", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_SHAPE_ONLY | OXP_OP_COMPOSITE, .attrs = block_attrs, .infer = infer_movement,
    .grad = grad_movement, .ref = ref_movement, .expand = expand_movement};
const oxp_op oxp_op_SpaceToDepth = {
    .name = "SpaceToDepth", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1,
    .flags = OXP_OP_SHAPE_ONLY | OXP_OP_COMPOSITE, .attrs = block_attrs, .infer = infer_movement,
    .grad = grad_movement, .ref = ref_movement, .expand = expand_movement};
const oxp_op oxp_op_CenterCropPad = {
    .name = "CenterCropPad", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1, .since = 18,
    .flags = OXP_OP_SHAPE_ONLY | OXP_OP_COMPOSITE, .attrs = centre_attrs, .const_in = centre_in,
    .infer = infer_centre, .ref = ref_centre, .expand = expand_centre};
/* clang-format on */
