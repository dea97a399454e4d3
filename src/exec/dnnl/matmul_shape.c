/* matmul_shape.c - see matmul_shape.h: pure arithmetic on sizes and strides. */
#include "exec/dnnl/matmul_shape.h"

void oxp_mm_set(oxp_mm_shape *s, oxp_mm_operand which, const int64_t *stride, bool transposed)
{
    oxp_mm_strides *o = &s->of[which];
    o->used = true;
    for (int i = 0; i < s->leads; i++) o->lead[i] = stride[i];
    o->row = stride[s->leads + transposed];
    o->col = stride[s->leads + !transposed];
}

/* ---- fewer axes ---- */

static void drop_lead(oxp_mm_shape *s, int axis)
{
    s->leads--;
    for (int i = axis; i < s->leads; i++) {
        s->lead[i] = s->lead[i + 1];
        for (int k = 0; k < OXP_MM_OPERANDS; k++) s->of[k].lead[i] = s->of[k].lead[i + 1];
    }
}

/* Do the rows of an operand go on from one position of the last leading axis to the next? */
static bool rows_go_on(const oxp_mm_shape *s, int which)
{
    const oxp_mm_strides *o = &s->of[which];
    return !o->used || s->m == 1 || o->lead[s->leads - 1] == o->row * s->m;
}

static bool fold_into_rows(oxp_mm_shape *s)
{
    const int last = s->leads - 1;
    if (s->leads == 0 || s->of[OXP_MM_B].lead[last] != 0) return false;
    for (int k = 0; k < OXP_MM_OPERANDS; k++)
        if (k != OXP_MM_B && !rows_go_on(s, k)) return false;
    /* a repeated along the axis: one product would do, but rows cannot be repeated in place */
    if (s->of[OXP_MM_A].lead[last] == 0) return false;
    for (int k = 0; k < OXP_MM_OPERANDS; k++)
        if (k != OXP_MM_B && s->m == 1) s->of[k].row = s->of[k].lead[last];
    s->m *= s->lead[last];
    s->leads--;
    return true;
}

static bool merge_pair(oxp_mm_shape *s, int outer)
{
    const int inner = outer + 1;
    for (int k = 0; k < OXP_MM_OPERANDS; k++)
        if (s->of[k].used && s->of[k].lead[outer] != s->of[k].lead[inner] * s->lead[inner])
            return false;
    s->lead[inner] *= s->lead[outer];
    drop_lead(s, outer);
    return true;
}

void oxp_mm_collapse(oxp_mm_shape *s)
{
    for (int i = s->leads - 1; i >= 0; i--)
        if (s->lead[i] == 1) drop_lead(s, i);
    while (fold_into_rows(s)) {
    }
    for (int i = s->leads - 2; i >= 0; i--) merge_pair(s, i);
}

/* ---- questions ---- */

static void last_two(const oxp_mm_shape *s, oxp_mm_operand which, int64_t *rows, int64_t *cols)
{
    *rows = which == OXP_MM_B ? s->k : s->m;
    *cols = which == OXP_MM_A ? s->k : s->n;
}

int oxp_mm_dims(const oxp_mm_shape *s, oxp_mm_operand which, int64_t dim[OXP_MAX_RANK],
                int64_t stride[OXP_MAX_RANK])
{
    const oxp_mm_strides *o = &s->of[which];
    const bool added = which >= OXP_MM_ADD0;
    const int rank = s->leads + 2;
    for (int i = 0; i < s->leads; i++) {
        dim[i] = o->lead[i] == 0 ? 1 : s->lead[i];
        stride[i] = o->lead[i];
    }
    last_two(s, which, &dim[rank - 2], &dim[rank - 1]);
    stride[rank - 2] = o->row;
    stride[rank - 1] = o->col;
    for (int i = rank - 2; i < rank; i++)
        if (added && stride[i] == 0) dim[i] = 1;
    if (dim[rank - 1] == 1) stride[rank - 1] = 1;
    if (dim[rank - 2] == 1) stride[rank - 2] = stride[rank - 1] * dim[rank - 1];
    int64_t extent = dim[rank - 2] * stride[rank - 2];
    if (dim[rank - 1] * stride[rank - 1] > extent) extent = dim[rank - 1] * stride[rank - 1];
    for (int i = s->leads - 1; i >= 0; i--) {
        if (dim[i] == 1) stride[i] = extent;
        if (dim[i] * stride[i] > extent) extent = dim[i] * stride[i];
    }
    return rank;
}

bool oxp_mm_readable(const oxp_mm_shape *s, oxp_mm_operand which)
{
    const oxp_mm_strides *o = &s->of[which];
    int64_t rows, cols;
    last_two(s, which, &rows, &cols);
    for (int i = 0; i < s->leads; i++)
        if (o->lead[i] < 0) return false;
    if (rows == 1) return cols == 1 || o->col == 1;
    if (cols == 1) return o->row == 1;
    return (o->col == 1 && o->row >= cols) || (o->row == 1 && o->col >= rows);
}

bool oxp_mm_is_row(const oxp_mm_shape *s, oxp_mm_operand which)
{
    const oxp_mm_strides *o = &s->of[which];
    for (int i = 0; i < s->leads; i++)
        if (o->lead[i] != 0) return false;
    return (o->row == 0 || s->m == 1) && (o->col == 1 || s->n == 1);
}

uint64_t oxp_mm_flops(const oxp_mm_shape *s)
{
    double n = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    for (int i = 0; i < s->leads; i++) n *= (double)s->lead[i];
    return n < 1e19 ? (uint64_t)n : UINT64_MAX;
}
