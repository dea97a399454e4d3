/* layout.c - dense layouts as strides: rows, channels-last, or any order of axes.
 *
 * A layout is never a tag here but a question about strides, so that views, transposed values and
 * axes of size 1 (whose stride means nothing) are all treated alike. A value can be in both
 * layouts. */
#include "exec/step.h"

static bool is_empty(const oxp_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == 0) return true;
    return false;
}

/* order[] from outermost to innermost. */
static void order_of_layout(int rank, oxp_layout layout, int order[OXP_MAX_RANK])
{
    for (int i = 0; i < rank; i++) order[i] = i;
    if (layout != OXP_LAYOUT_CHANNELS_LAST || rank < 3) return;
    for (int i = 1; i < rank - 1; i++) order[i] = i + 1;
    order[rank - 1] = 1;
}

static oxp_place dense_in_order(const oxp_shape *s, const int order[OXP_MAX_RANK])
{
    oxp_place p = {0};
    int64_t stride = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        p.stride[order[i]] = stride;
        stride *= s->dim[order[i]] > 0 ? s->dim[order[i]] : 1;
    }
    return p;
}

static bool is_dense_in_order(const oxp_shape *s, const oxp_place *p, const int order[OXP_MAX_RANK])
{
    int64_t stride = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        const int a = order[i];
        if (s->dim[a] == 1) continue;
        if (p->stride[a] != stride) return false;
        stride *= s->dim[a];
    }
    return true;
}

/* Axes of size 1 go first: their strides say nothing. */
void oxp_place_order(const oxp_shape *s, const oxp_place *p, int order[OXP_MAX_RANK])
{
    int n = 0;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == 1) order[n++] = i;
    const int ones = n;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] == 1) continue;
        int at = n++;
        for (; at > ones && p->stride[order[at - 1]] < p->stride[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

bool oxp_place_is(const oxp_shape *s, const oxp_place *p, oxp_layout layout)
{
    int order[OXP_MAX_RANK];
    if (is_empty(s)) return true;
    if (layout == OXP_LAYOUT_ANY)
        oxp_place_order(s, p, order);
    else
        order_of_layout(s->rank, layout, order);
    return is_dense_in_order(s, p, order);
}

oxp_place oxp_place_dense(const oxp_shape *s, oxp_layout layout)
{
    int order[OXP_MAX_RANK];
    order_of_layout(s->rank, layout, order);
    return dense_in_order(s, order);
}

oxp_place oxp_place_like(const oxp_shape *s, const oxp_place *like)
{
    int order[OXP_MAX_RANK];
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] > 1 && like->stride[i] <= 0) return oxp_place_dense(s, OXP_LAYOUT_ROWS);
    oxp_place_order(s, like, order);
    return dense_in_order(s, order);
}
