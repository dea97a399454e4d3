/*
 * Arenas: alignment, sizes that wrap, growth, deferred calls, and every allocation failed once.
 */
#include "base/mem.h"
#include "support/alloc.h"
#include "support/support.h"
#include <string.h>

static bool aligned(const void *p, uintptr_t to)
{
    return p != NULL && (uintptr_t)p % to == 0;
}

static void test_blocks_do_not_overlap(void **state)
{
    (void)state;
    enum { N = 2000 };
    oxp_arena *arena = oxp_arena_new(NULL);
    unsigned char *piece[N];
    for (size_t i = 0; i < N; i++) {
        const size_t size = i * 7 % 3001;
        piece[i] =
            i % 3 == 0 ? oxp_arena_alloc_aligned(arena, size, 1) : oxp_arena_alloc(arena, 1, size);
        assert_true(aligned(piece[i], i % 3 == 0 ? 64 : 16));
        memset(piece[i], (int)(i % 251), size);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i * 7 % 3001; k++) assert_int_equal(piece[i][k], i % 251);
    oxp_arena_free(arena);
}

static void test_wrapping_sizes_are_refused(void **state)
{
    (void)state;
    oxp_arena *arena = oxp_arena_new(NULL);
    assert_null(oxp_arena_alloc(arena, SIZE_MAX / 2, 3));
    assert_null(oxp_arena_zalloc(arena, SIZE_MAX, SIZE_MAX));
    assert_null(oxp_arena_alloc(arena, SIZE_MAX, 1));
    assert_null(oxp_arena_alloc_aligned(arena, SIZE_MAX - 70, 1));
    assert_null(oxp_mem_alloc(NULL, SIZE_MAX - 3));
    assert_int_equal(oxp_arena_bytes(arena), 0);
    assert_non_null(oxp_arena_alloc(arena, 0, 8));
    oxp_arena_free(arena);
    oxp_arena_free(NULL);
}

/* Blocks that ask for huge pages are ordinary memory from end to end. */
static void test_large_blocks(void **state)
{
    (void)state;
    for (size_t size = (8u << 20) - 1; size <= (8u << 20) + 1; size++) {
        unsigned char *block = oxp_mem_alloc(NULL, size);
        assert_true(aligned(block, 64));
        block[0] = 1;
        block[size - 1] = 2;
        assert_int_equal(block[0] + block[size - 1], 3);
        oxp_mem_free(NULL, block);
    }
    oxp_mem_free(NULL, NULL);
}

static void test_strings(void **state)
{
    (void)state;
    oxp_arena *arena = oxp_arena_new(NULL);
    assert_string_equal(oxp_arena_strdup(arena, "abc"), "abc");
    assert_string_equal(oxp_arena_strndup(arena, "abc", 2), "ab");
    assert_string_equal(oxp_arena_strndup(arena, "a\0c", 3), "a");
    assert_string_equal(oxp_arena_printf(arena, "%s=%d", "x", 7), "x=7");
    char *text = oxp_arena_printf(arena, "%05000d", 1);
    assert_int_equal(strlen(text), 5000);
    const int numbers[] = {1, 2, 3};
    assert_memory_equal(oxp_arena_memdup(arena, numbers, sizeof numbers), numbers, sizeof numbers);
    oxp_arena_free(arena);
}

static void test_grow_keeps_and_zeroes(void **state)
{
    (void)state;
    oxp_arena *arena = oxp_arena_new(NULL);
    int *items = NULL;
    size_t cap = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_true(oxp_arena_grow(arena, &items, i, &cap, sizeof *items));
        assert_int_equal(items[i], 0);
        items[i] = (int)i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(items[i], i);
    assert_true(oxp_arena_grow(arena, &items, 5000, &cap, sizeof *items)); /* a jump */
    assert_true(cap > 5000);
    assert_int_equal(items[999], 999);
    const size_t before = cap;
    int *const kept = items;
    assert_false(oxp_arena_grow(arena, &items, SIZE_MAX / 4, &cap, sizeof *items));
    assert_int_equal(cap, before);
    assert_ptr_equal(items, kept);
    oxp_arena_free(arena);
}

typedef struct note {
    char *text;
    const char *add; /* in the arena: still readable when the deferred call runs */
} note;

static void append(void *ptr)
{
    const note *n = ptr;
    strcat(n->text, n->add);
}

static void test_deferred_calls_run_backwards_and_once(void **state)
{
    (void)state;
    char text[32] = "";
    oxp_arena *arena = oxp_arena_new(NULL);
    for (int i = 0; i < 3; i++) {
        note *n = OXP_NEW(arena, note, 1);
        *n = (note){text, oxp_arena_printf(arena, "%d", i)};
        assert_true(oxp_arena_defer(arena, append, n));
    }
    oxp_arena_reset(arena);
    assert_string_equal(text, "210");
    assert_int_equal(oxp_arena_bytes(arena), 0);
    assert_non_null(oxp_arena_alloc(arena, 10, 10));
    assert_int_equal(oxp_arena_bytes(arena), 100);
    oxp_arena_free(arena);
    assert_string_equal(text, "210");
}

static void count_call(void *ptr)
{
    ++*(int *)ptr;
}

/* Whatever fails, deferred calls run exactly once and every block goes back. */
static void test_each_allocation_failed_once(void **state)
{
    (void)state;
    for (int64_t fail_at = 0;; fail_at++) {
        oxp_test_alloc a = {.fail_at = fail_at};
        const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
        int calls = 0, wanted = 0;
        oxp_arena *arena = oxp_arena_new(&hooks);
        if (arena != NULL) {
            assert_non_null(oxp_arena_hooks(arena));
            bool good = true;
            for (size_t i = 0; i < 40 && good; i++) {
                good = oxp_arena_alloc(arena, 100, i + 1) != NULL;
                wanted++;
                good = oxp_arena_defer(arena, count_call, &calls) && good;
            }
            assert_int_equal(good, !a.failed);
            oxp_arena_free(arena);
        }
        assert_int_equal(calls, wanted);
        assert_int_equal(a.live, 0);
        if (!a.failed) break;
        assert_true(fail_at < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_do_not_overlap),
        cmocka_unit_test(test_wrapping_sizes_are_refused),
        cmocka_unit_test(test_large_blocks),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_grow_keeps_and_zeroes),
        cmocka_unit_test(test_deferred_calls_run_backwards_and_once),
        cmocka_unit_test(test_each_allocation_failed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
