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
#include <string.h>

typedef struct oxp_test_alloc {
    int64_t fail_at; /* number of the allocation that fails, from 0; negative: none */
    int64_t count, live;
    size_t bytes, most; /* handed out now, and at the worst moment */
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
    unsigned char *block = aligned_alloc(64, (bytes + 127) / 64 * 64); /* its size comes first */
    if (block == NULL) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    a->live++;
    a->bytes += bytes;
    if (a->bytes > a->most) a->most = a->bytes;
    return block + 64;
}

static inline void oxp_test_alloc_put(void *block, void *user)
{
    oxp_test_alloc *a = user;
    unsigned char *whole = (unsigned char *)block - 64;
    size_t bytes;
    memcpy(&bytes, whole, sizeof bytes);
    a->live--;
    a->bytes -= bytes;
    free(whole);
}

static inline oxp_allocator oxp_test_alloc_hooks(oxp_test_alloc *a)
{
    return (oxp_allocator){oxp_test_alloc_get, oxp_test_alloc_put, a};
}

#endif
