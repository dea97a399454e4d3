/*
 * An allocator that counts, and fails on command: each allocation of a piece of work can be failed
 * once.
 *
 *     for (int64_t fail_at = 0;; fail_at++) {
 *         oxp_test_alloc a = {.fail_at = fail_at};
 *         const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
 *         ... do the work with &hooks and free everything ...
 *         assert_int_equal(a.live, 0);
 *         if (!a.failed) break; // the work has no allocation number fail_at: it succeeded
 *     }
 */
#ifndef OXP_TEST_ALLOC_H
#define OXP_TEST_ALLOC_H

#include "onnxplain.h"
#include <stdbool.h>
#include <stdlib.h>

typedef struct oxp_test_alloc {
    int64_t fail_at; /* number of the allocation that fails, from 0; negative: none */
    int64_t count, live;
    bool failed;
} oxp_test_alloc;

static inline void *oxp_test_alloc_get(size_t bytes, void *user)
{
    oxp_test_alloc *a = user;
    if (a->count++ == a->fail_at) {
        a->failed = true;
        return NULL;
    }
    if (bytes > PTRDIFF_MAX / 2) return NULL;
    void *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    a->live += block != NULL;
    return block;
}

static inline void oxp_test_alloc_put(void *block, void *user)
{
    oxp_test_alloc *a = user;
    a->live--;
    free(block);
}

static inline oxp_allocator oxp_test_alloc_hooks(oxp_test_alloc *a)
{
    return (oxp_allocator){oxp_test_alloc_get, oxp_test_alloc_put, a};
}

#endif
