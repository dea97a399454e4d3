/* What the tests of this room share: a ctx with arenas over an allocator that counts, and that can
 * be told to fail its n-th allocation. */
#ifndef OXP_TEST_RENDER_FIXTURE_H
#define OXP_TEST_RENDER_FIXTURE_H

#include "base/ctx.h"
#include "render/canvas.h"
#include "support/support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    oxp_allocator hooks;
    oxp_ctx ctx;
    oxp_error error;
    oxp_arena *arena;
    long made, live, fail_at; /* fail_at: number of the allocation that fails, 0: none */
} fixture;

static void *fixture_alloc(size_t bytes, void *user)
{
    fixture *f = user;
    if (++f->made == f->fail_at) return NULL;
    f->live++;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void fixture_free(void *block, void *user)
{
    fixture *f = user;
    if (block != NULL) f->live--;
    free(block);
}

/* False when the arenas themselves could not be made. */
static inline bool fixture_open(fixture *f, long fail_at)
{
    *f = (fixture){.fail_at = fail_at};
    f->hooks = (oxp_allocator){fixture_alloc, fixture_free, f};
    f->arena = oxp_arena_new(&f->hooks);
    f->ctx = (oxp_ctx){.error = &f->error, .hooks = &f->hooks};
    f->ctx.scratch = oxp_arena_new(&f->hooks);
    return f->arena != NULL && f->ctx.scratch != NULL;
}

static inline void fixture_close(fixture *f)
{
    oxp_arena_free(f->ctx.scratch);
    oxp_arena_free(f->arena);
    assert_int_equal(f->live, 0);
}

static inline int setup(void **state)
{
    fixture *f = malloc(sizeof *f);
    *state = f;
    return f != NULL && fixture_open(f, 0) ? 0 : -1;
}

static inline int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline oxp_rgba pixel_at(const oxp_canvas *c, int x, int y)
{
    assert_in_range(x, 0, c->w - 1);
    assert_in_range(y, 0, c->h - 1);
    const uint8_t *px = c->rgb + 3 * (y * c->w + x);
    return (oxp_rgba){px[0], px[1], px[2], 255};
}

static inline bool same_colour(oxp_rgba a, oxp_rgba b)
{
    return a.r == b.r && a.g == b.g && a.b == b.b;
}

#endif
