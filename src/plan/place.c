/* place.c - offsets for buffers of known lifetimes, and the proof that no two of them collide.
 *
 * Placement is greedy by size (largest first), first fit: a buffer goes into the lowest gap
 * between the buffers that are alive at the same time and already placed. The order is fixed
 * (ties by birth, then by index), so equal inputs give equal plans.
 *
 * The check does not trust the placement. It sweeps through time with the live buffers ordered by
 * offset; as long as they are disjoint, a buffer that is born can only collide with its two
 * neighbours, so the proof takes O(n log n). Buffers of no bytes are left out of both. */
#include "plan/plan.h"

#include "base/checked.h"
#include <stdlib.h>

enum { ALIGN = 64 };

/* ---- placement ---- */

static int by_size(const void *a, const void *b)
{
    const oxp_buffer *x = *(const oxp_buffer *const *)a, *y = *(const oxp_buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Puts `b` into the lowest gap among `placed` (ordered by offset) and returns where it belongs
 * there. */
static bool fit(oxp_buffer *b, oxp_buffer *const *placed, size_t n, size_t *end)
{
    size_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        const oxp_buffer *p = placed[i];
        if (p->last < b->first || p->first > b->last) continue;
        if (p->offset >= offset && p->offset - offset >= b->bytes) break;
        const size_t after = p->offset + (p->bytes + ALIGN - 1) / ALIGN * ALIGN;
        if (after > offset) offset = after;
    }
    b->offset = offset;
    return oxp_add_size(offset, b->bytes, end) && *end <= SIZE_MAX - ALIGN;
}

oxp_status oxp_plan_place(oxp_ctx *ctx, oxp_buffer *buffers, size_t n, size_t *total)
{
    oxp_buffer **order = oxp_arena_alloc(ctx->scratch, n + 1, sizeof *order);
    oxp_buffer **placed = oxp_arena_alloc(ctx->scratch, n + 1, sizeof *placed);
    OXP_FAIL_IF(ctx, order == NULL || placed == NULL, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        OXP_FAIL_IF(ctx, buffers[i].first > buffers[i].last, OXP_EINTERNAL,
                    "buffer %zu dies at step %u before its birth at step %u", i, buffers[i].last,
                    buffers[i].first);
        order[i] = &buffers[i];
    }
    qsort(order, n, sizeof *order, by_size);
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        size_t end;
        order[i]->offset = 0;
        if (order[i]->bytes == 0) continue;
        OXP_FAIL_IF(ctx, !fit(order[i], placed, i, &end), OXP_ELIMIT,
                    "the values of this graph together exceed the address space");
        if (end > *total) *total = end;
        size_t at = i;
        for (; at > 0 && placed[at - 1]->offset > order[i]->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = order[i];
    }
    return oxp_plan_check(ctx, buffers, n, *total);
}

/* ---- the proof ---- */

/* Which ranks are alive: a complete binary tree of counts, leaf r at width + r. */
typedef struct live_set {
    uint32_t *count;
    size_t width;
} live_set;

static void live_add(live_set *s, size_t rank, bool alive)
{
    for (size_t i = s->width + rank; i > 0; i /= 2) {
        if (alive)
            s->count[i]++;
        else
            s->count[i]--;
    }
}

/* The nearest live rank below (or above) a leaf, or `none`. */
static size_t live_neighbour(const live_set *s, size_t rank, bool above, size_t none)
{
    size_t i = s->width + rank;
    for (; i > 1; i /= 2) {
        const bool is_right = i % 2 != 0;
        if (is_right != above && s->count[i ^ 1] != 0) break;
    }
    if (i <= 1) return none;
    i ^= 1;
    while (i < s->width) {
        const size_t near = 2 * i + (above ? 0 : 1);
        i = s->count[near] != 0 ? near : near ^ 1;
    }
    return i - s->width;
}

static int by_offset(const void *a, const void *b)
{
    const oxp_buffer *x = *(const oxp_buffer *const *)a, *y = *(const oxp_buffer *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x < y ? -1 : x > y;
}

typedef struct event {
    uint32_t step, rank;
    bool birth;
} event;

/* At one step deaths of earlier lifetimes come before births: their `step` is last + 1. */
static int by_step(const void *a, const void *b)
{
    const event *x = a, *y = b;
    if (x->step != y->step) return x->step < y->step ? -1 : 1;
    return (int)x->birth - (int)y->birth;
}

static oxp_status check_birth(oxp_ctx *ctx, const live_set *live, const oxp_buffer *const *sorted,
                              size_t n, size_t rank)
{
    const oxp_buffer *b = sorted[rank];
    const size_t below = live_neighbour(live, rank, false, n);
    const size_t above = live_neighbour(live, rank, true, n);
    const bool clash = (below < n && sorted[below]->offset + sorted[below]->bytes > b->offset) ||
                       (above < n && b->offset + b->bytes > sorted[above]->offset);
    OXP_FAIL_IF(ctx, clash, OXP_EINTERNAL,
                "two values share bytes [%zu, %zu) of the workspace at step %u", b->offset,
                b->offset + b->bytes, b->first);
    return OXP_OK;
}

oxp_status oxp_plan_check(oxp_ctx *ctx, const oxp_buffer *buffers, size_t n, size_t total)
{
    const oxp_buffer **sorted = oxp_arena_alloc(ctx->scratch, n + 1, sizeof *sorted);
    event *events = oxp_arena_alloc(ctx->scratch, 2 * n + 1, sizeof *events);
    live_set live = {.width = 1};
    while (live.width < n) live.width *= 2;
    live.count = OXP_NEW(ctx->scratch, uint32_t, 2 * live.width);
    OXP_FAIL_IF(ctx, sorted == NULL || events == NULL || live.count == NULL, OXP_ENOMEM,
                "out of memory");
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const oxp_buffer *b = &buffers[i];
        size_t end;
        if (b->bytes == 0) continue;
        OXP_FAIL_IF(ctx, b->offset % ALIGN != 0 || b->last == UINT32_MAX, OXP_EINTERNAL,
                    "buffer %zu is misaligned or never dies", i);
        OXP_FAIL_IF(ctx, !oxp_add_size(b->offset, b->bytes, &end) || end > total, OXP_EINTERNAL,
                    "buffer %zu ends outside the workspace of %zu bytes", i, total);
        sorted[m++] = b;
    }
    qsort(sorted, m, sizeof *sorted, by_offset);
    for (size_t r = 0; r < m; r++) {
        events[2 * r] = (event){sorted[r]->first, (uint32_t)r, true};
        events[2 * r + 1] = (event){sorted[r]->last + 1, (uint32_t)r, false};
    }
    qsort(events, 2 * m, sizeof *events, by_step);
    for (size_t i = 0; i < 2 * m; i++) {
        if (events[i].birth) OXP_TRY(check_birth(ctx, &live, sorted, m, events[i].rank));
        live_add(&live, events[i].rank, events[i].birth);
    }
    return OXP_OK;
}
