/* shape.c - shapes: counting without wrapping, broadcasting, strides, text. */
#include "base/checked.h"
#include "tensor/tensor.h"
#include <stdio.h>

oxp_shape oxp_shape_of(int rank, const int64_t *dims)
{
    oxp_shape s = {.rank = rank};
    for (int i = 0; i < rank; i++) s.dim[i] = dims[i];
    return s;
}

bool oxp_shape_equal(const oxp_shape *a, const oxp_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bool oxp_shape_known(const oxp_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] < 0) return false;
    return s->rank >= 0;
}

/* Zeros do not excuse the other dims: strides are products of them. */
bool oxp_shape_count(const oxp_shape *s, int64_t *count)
{
    if (s->rank > OXP_MAX_RANK || !oxp_shape_known(s)) return false;
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < s->rank; i++) {
        empty = empty || s->dim[i] == 0;
        if (s->dim[i] != 0 && !oxp_mul_i64(product, s->dim[i], &product)) return false;
    }
    if (product > PTRDIFF_MAX / 8) /* 8: the largest element */
        return false;
    *count = empty ? 0 : product;
    return true;
}

int64_t oxp_shape_elements(const oxp_shape *s)
{
    int64_t count = 0;
    return oxp_shape_count(s, &count) ? count : 0;
}

static bool broadcast_dim(int64_t a, int64_t b, int64_t *out)
{
    if (a == 1 || (a == OXP_DIM_UNKNOWN && b != 1))
        *out = b;
    else if (b == 1 || b == OXP_DIM_UNKNOWN || a == b)
        *out = a;
    else
        return false;
    return true;
}

bool oxp_shape_broadcast(const oxp_shape *a, const oxp_shape *b, oxp_shape *out)
{
    if (a->rank < 0 || b->rank < 0) {
        *out = (oxp_shape){.rank = -1};
        return true;
    }
    oxp_shape s = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= s.rank; i++) { /* from the last axis: shapes are aligned at the right */
        const int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1,
                      db = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (!broadcast_dim(da, db, &s.dim[s.rank - i])) return false;
    }
    *out = s;
    return true;
}

const char *oxp_shape_text(const oxp_shape *s, char buf[OXP_SHAPE_TEXT])
{
    if (s->rank < 0) {
        snprintf(buf, OXP_SHAPE_TEXT, "(?)");
        return buf;
    }
    size_t len = (size_t)snprintf(buf, OXP_SHAPE_TEXT, "(");
    for (int i = 0; i < s->rank; i++) {
        const char *comma = i > 0 ? "," : "";
        const int n = s->dim[i] < 0 ? snprintf(buf + len, OXP_SHAPE_TEXT - len, "%s?", comma)
                                    : snprintf(buf + len, OXP_SHAPE_TEXT - len, "%s%lld", comma,
                                               (long long)s->dim[i]);
        len += (size_t)n;
    }
    snprintf(buf + len, OXP_SHAPE_TEXT - len, ")");
    return buf;
}

void oxp_shape_strides(const oxp_shape *s, int64_t stride[OXP_MAX_RANK])
{
    int64_t step = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= s->dim[i] != 0 ? s->dim[i] : 1;
    }
}
