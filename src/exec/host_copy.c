/* host_copy.c - moving elements: strided copies and transposes, fills, and the verbs built on nests
 * (oxp_lower_map and its like). */
#include "exec/host.h"
#include <string.h>

/* ---- copies ---- */

enum { EDGE = 16 };

/* dst is dense along columns and src along rows: through tiles that stay in the first cache. */
#define TRANSPOSE(type, t)                                                                     \
    for (int64_t r0 = 0; r0 < (t)->rows; r0 += EDGE)                                           \
        for (int64_t c0 = 0; c0 < (t)->cols; c0 += EDGE) {                                     \
            const int64_t r1 = r0 + EDGE < (t)->rows ? r0 + EDGE : (t)->rows;                  \
            const int64_t c1 = c0 + EDGE < (t)->cols ? c0 + EDGE : (t)->cols;                  \
            for (int64_t r = r0; r < r1; r++)                                                  \
                for (int64_t c = c0; c < c1; c++)                                              \
                    ((type *)(void *)(t)->ptr[1])[r * (t)->row_stride[1] + c] =                \
                        ((const type *)(const void *)(t)->ptr[0])[r + c * (t)->col_stride[0]]; \
        }

static void transpose_tile(const oxp_tile *t)
{
    if (t->size[0] == sizeof(float)) {
        TRANSPOSE(float, t)
    } else if (t->size[0] == sizeof(int64_t)) {
        TRANSPOSE(int64_t, t)
    } else {
        TRANSPOSE(unsigned char, t)
    }
}

static void copy_tile(const void *arg, const oxp_tile *t)
{
    OXP_UNUSED(arg);
    if (t->col_stride[1] == 1 && t->col_stride[0] != 1 && t->row_stride[0] == 1) {
        transpose_tile(t);
        return;
    }
    const int64_t size = t->size[0];
    for (int64_t r = 0; r < t->rows; r++)
        oxp_copy_run((size_t)size, t->ptr[1] + r * t->row_stride[1] * size, t->col_stride[1],
                     t->ptr[0] + r * t->row_stride[0] * size, t->col_stride[0], t->cols);
}

/* Brings the axis along which the source is dense next to the innermost one. */
static void pair_axes(oxp_nest *nest)
{
    for (int i = 0; i + 2 < nest->rank; i++) {
        if (nest->stride[0][i] != 1) continue;
        const oxp_nest old = *nest;
        for (int j = i; j < nest->rank - 1; j++) {
            const int from = j + 1 < nest->rank - 1 ? j + 1 : i;
            nest->dim[j] = old.dim[from];
            for (int k = 0; k < 2; k++) nest->stride[k][j] = old.stride[k][from];
        }
        return;
    }
}

void oxp_nest_copy(const oxp_nest *nest, int threads, const void *src, void *dst)
{
    oxp_nest paired = *nest;
    pair_axes(&paired);
    oxp_nest_walk(&paired, threads, copy_tile, NULL, (void *const[]){(void *)(uintptr_t)src, dst});
}

void oxp_host_copy(const oxp_shape *shape, size_t size, const void *src, const int64_t *src_stride,
                   void *dst, const int64_t *dst_stride, int threads)
{
    oxp_nest nest;
    oxp_nest_start(&nest, shape);
    oxp_nest_add(&nest, src_stride, size);
    oxp_nest_add(&nest, dst_stride, size);
    oxp_nest_finish(&nest);
    oxp_nest_copy(&nest, threads, src, dst);
}

/* ---- verbs on parts ---- */

typedef struct part_step { /* offsets of the parts from the places of their values, in bytes */
    oxp_nest nest;
    int64_t offset[OXP_NEST_OPS];
    oxp_block_fn fn;
    const void *args;
} part_step;

static oxp_status run_parts(const oxp_host_call *c)
{
    const part_step *s = c->args;
    void *ptr[OXP_NEST_OPS];
    for (int k = 0; k < s->nest.n_ops; k++) ptr[k] = (char *)c->ptr[k] + s->offset[k];
    if (s->fn != NULL)
        oxp_nest_map(&s->nest, c->threads, s->fn, s->args, ptr);
    else
        oxp_nest_copy(&s->nest, c->threads, ptr[0], ptr[1]);
    return OXP_OK;
}

oxp_status oxp_lower_map_parts(oxp_lower *lw, const char *what, oxp_block_fn fn, const void *args,
                               const oxp_part *in, size_t n_in, const oxp_part *to)
{
    part_step *s = OXP_LOWER_NEW(lw, part_step, 1);
    oxp_val vals[OXP_NEST_OPS];
    oxp_shape shape = oxp_shape_of(to->rank, to->dim);
    OXP_NOMEM_IF(lw->ctx, s);
    s->fn = fn;
    s->args = args;
    oxp_nest_start(&s->nest, &shape);
    for (size_t k = 0; k <= n_in; k++) {
        const oxp_part *part = k < n_in ? &in[k] : to;
        const oxp_placed *p = oxp_lower_at(lw, part->val);
        const int64_t size = (int64_t)oxp_dtype_size(p->dtype);
        OXP_FAIL_IF(lw->ctx, part->rank != to->rank, OXP_EINTERNAL,
                    "step %s moves a part of rank %d to one of rank %d", what, part->rank,
                    to->rank);
        oxp_nest_add(&s->nest, part->place.stride, (size_t)size);
        s->offset[k] = (part->place.offset - oxp_lower_place(lw, part->val)->offset) * size;
        vals[k] = part->val;
    }
    oxp_nest_finish(&s->nest);
    return oxp_lower_host(lw, what, run_parts, s, vals, n_in, vals + n_in, 1, 0);
}

oxp_status oxp_lower_copy(oxp_lower *lw, const oxp_part *from, const oxp_part *to)
{
    return oxp_lower_map_parts(lw, "copy", NULL, NULL, from, 1, to);
}

/* ---- fill ---- */

typedef union fill_value {
    float f32;
    int64_t i64;
    unsigned char u8;
} fill_value;

static void fill_f32(const void *args, int64_t n, const void *const *in, void *out)
{
    const float value = ((const fill_value *)args)->f32;
    OXP_UNUSED(in);
    for (int64_t i = 0; i < n; i++) ((float *)out)[i] = value;
}

static void fill_i64(const void *args, int64_t n, const void *const *in, void *out)
{
    OXP_UNUSED(in);
    for (int64_t i = 0; i < n; i++) ((int64_t *)out)[i] = ((const fill_value *)args)->i64;
}

static void fill_u8(const void *args, int64_t n, const void *const *in, void *out)
{
    OXP_UNUSED(in);
    memset(out, ((const fill_value *)args)->u8, (size_t)n);
}

oxp_status oxp_lower_fill(oxp_lower *lw, oxp_val y, double value)
{
    fill_value *v = OXP_LOWER_NEW(lw, fill_value, 1);
    OXP_NOMEM_IF(lw->ctx, v);
    OXP_TRY(oxp_lower_result(lw, y, OXP_LAYOUT_ANY));
    const oxp_dtype dtype = oxp_lower_at(lw, y)->dtype;
    const oxp_part to = oxp_lower_whole(lw, y);
    oxp_convert(v, dtype, &value, OXP_F64, 1);
    return oxp_lower_map_parts(lw, "fill",
                               dtype == OXP_F32   ? fill_f32
                               : dtype == OXP_I64 ? fill_i64
                                                  : fill_u8,
                               v, NULL, 0, &to);
}

/* ---- maps over whole values ---- */

oxp_status oxp_lower_map(oxp_lower *lw, const char *what, oxp_block_fn fn, const void *args,
                         size_t args_size, const oxp_val *in, size_t n_in, oxp_val out)
{
    oxp_val vals[OXP_NEST_OPS];
    part_step *s = OXP_LOWER_NEW(lw, part_step, 1);
    void *own = oxp_arena_memdup(oxp_lower_arena(lw), args, args_size);
    OXP_FAIL_IF(lw->ctx, s == NULL || own == NULL, OXP_ENOMEM, "out of memory");
    s->fn = fn;
    s->args = own;
    memcpy(vals, in, n_in * sizeof *in);
    OXP_TRY(oxp_lower_elementwise(lw, vals, n_in, out));
    const oxp_placed *result = oxp_lower_at(lw, out);
    oxp_nest_start(&s->nest, &result->shape);
    for (size_t k = 0; k < n_in; k++) {
        int64_t stride[OXP_MAX_RANK];
        oxp_lower_strides(lw, vals[k], &result->shape, stride);
        oxp_nest_add(&s->nest, stride, oxp_dtype_size(oxp_lower_at(lw, vals[k])->dtype));
    }
    oxp_nest_add(&s->nest, result->place.stride, oxp_dtype_size(result->dtype));
    oxp_nest_finish(&s->nest);
    return oxp_lower_host(lw, what, run_parts, s, vals, n_in, &out, 1, 0);
}
