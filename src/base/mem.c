/* mem.c - the allocator hooks and the arenas built on them.
 *
 * An arena is a list of blocks. Small requests are cut from the newest "bump" block; a request that
 * would waste much of one gets a block of its own, hung behind the bump block so that cutting goes
 * on. Blocks double in size up to 1 MiB. Deferred calls live in the arena itself and run before any
 * block is freed, so they may still read arena memory. Not thread-safe: one arena belongs to one
 * thread at a time. */
#include "base/mem.h"
#include "base/checked.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCK_ALIGN = 64, SMALL_ALIGN = 16, BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20 };
/* Large blocks (weights, workspaces, files) lie on huge pages where the system grants them on
 * request. */
enum { HUGE_ALIGN = 2 << 20, HUGE_MIN = 8 << 20 };

/* Exactly BLOCK_ALIGN bytes lie before the data, whatever this struct's size. */
typedef struct block {
    struct block *next;
    size_t size, used; /* of the data behind the header */
} block;

typedef struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *ptr;
} deferred;

struct oxp_arena {
    oxp_allocator hooks;
    bool has_hooks;
    block *blocks; /* the first is the bump block */
    deferred *deferred;
    size_t bytes, next_size;
};

_Static_assert(sizeof(block) <= BLOCK_ALIGN, "the header must fit before the data");

void *oxp_mem_alloc(const oxp_allocator *hooks, size_t bytes)
{
    if (hooks != NULL) return hooks->alloc(bytes != 0 ? bytes : 1, hooks->user);
    if (bytes > PTRDIFF_MAX - HUGE_ALIGN) return NULL;
    const size_t align = bytes < HUGE_MIN ? BLOCK_ALIGN : HUGE_ALIGN;
    const size_t rounded = (bytes + align - 1) / align * align;
    void *ptr = aligned_alloc(align, rounded != 0 ? rounded : align);
#ifdef MADV_HUGEPAGE /* advice only: it may fail without harm */
    if (ptr != NULL && align == HUGE_ALIGN) madvise(ptr, rounded, MADV_HUGEPAGE);
#endif
    return ptr;
}

void oxp_mem_free(const oxp_allocator *hooks, void *ptr)
{
    if (ptr == NULL) return;
    if (hooks != NULL)
        hooks->free(ptr, hooks->user);
    else
        free(ptr);
}

const oxp_allocator *oxp_arena_hooks(const oxp_arena *arena)
{
    return arena->has_hooks ? &arena->hooks : NULL;
}

size_t oxp_arena_bytes(const oxp_arena *arena)
{
    return arena->bytes;
}

oxp_arena *oxp_arena_new(const oxp_allocator *hooks)
{
    oxp_arena *arena = oxp_mem_alloc(hooks, sizeof *arena);
    if (arena == NULL) return NULL;
    *arena = (oxp_arena){.next_size = BLOCK_MIN};
    if (hooks != NULL) {
        arena->hooks = *hooks;
        arena->has_hooks = true;
    }
    return arena;
}

void oxp_arena_reset(oxp_arena *arena)
{
    while (arena->deferred != NULL) {
        const deferred *d = arena->deferred;
        arena->deferred = d->next;
        d->fn(d->ptr);
    }
    while (arena->blocks != NULL) {
        block *b = arena->blocks;
        arena->blocks = b->next;
        oxp_mem_free(oxp_arena_hooks(arena), b);
    }
    arena->bytes = 0;
    arena->next_size = BLOCK_MIN;
}

void oxp_arena_free(oxp_arena *arena)
{
    if (arena == NULL) return;
    oxp_arena_reset(arena);
    const oxp_allocator hooks = arena->hooks; /* outlives the struct that holds it */
    oxp_mem_free(arena->has_hooks ? &hooks : NULL, arena);
}

static block *block_new(const oxp_arena *arena, size_t size)
{
    size_t total;
    if (!oxp_add_size(size, BLOCK_ALIGN, &total)) return NULL;
    block *b = oxp_mem_alloc(oxp_arena_hooks(arena), total);
    if (b != NULL) *b = (block){.size = size};
    return b;
}

/* A block for one request only, kept out of the bump block's way. */
static void *alloc_alone(oxp_arena *arena, size_t bytes)
{
    block *b = block_new(arena, bytes);
    if (b == NULL) return NULL;
    b->used = bytes;
    block **at = arena->blocks != NULL ? &arena->blocks->next : &arena->blocks;
    b->next = *at;
    *at = b;
    arena->bytes += bytes;
    return (char *)b + BLOCK_ALIGN;
}

static void *alloc_bytes(oxp_arena *arena, size_t bytes, size_t align)
{
#ifdef OXP_ARENA_DEBUG
    const bool alone = true;
#else
    const bool alone = bytes > arena->next_size / 4;
#endif
    if (alone) return alloc_alone(arena, bytes);
    block *b = arena->blocks;
    size_t start = b != NULL ? (b->used + align - 1) / align * align : 0;
    if (b == NULL || start > b->size || bytes > b->size - start) {
        b = block_new(arena, arena->next_size);
        if (b == NULL) return NULL;
        b->next = arena->blocks;
        arena->blocks = b;
        if (arena->next_size < BLOCK_MAX) arena->next_size *= 2;
        start = 0;
    }
    b->used = start + bytes;
    arena->bytes += bytes;
    return (char *)b + BLOCK_ALIGN + start;
}

void *oxp_arena_alloc(oxp_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    return oxp_mul_size(count, size, &bytes) ? alloc_bytes(arena, bytes, SMALL_ALIGN) : NULL;
}

void *oxp_arena_zalloc(oxp_arena *arena, size_t count, size_t size)
{
    void *p = oxp_arena_alloc(arena, count, size);
    return p != NULL ? memset(p, 0, count * size) : NULL;
}

void *oxp_arena_alloc_aligned(oxp_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    return oxp_mul_size(count, size, &bytes) ? alloc_bytes(arena, bytes, BLOCK_ALIGN) : NULL;
}

char *oxp_arena_strndup(oxp_arena *arena, const char *s, size_t n)
{
    const char *end = memchr(s, '\0', n);
    const size_t len = end != NULL ? (size_t)(end - s) : n;
    size_t bytes;
    char *copy = oxp_add_size(len, 1, &bytes) ? alloc_bytes(arena, bytes, 1) : NULL;
    if (copy == NULL) return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *oxp_arena_strdup(oxp_arena *arena, const char *s)
{
    return oxp_arena_strndup(arena, s, strlen(s));
}

char *oxp_arena_printf(oxp_arena *arena, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = len >= 0 ? alloc_bytes(arena, (size_t)len + 1, 1) : NULL;
    if (text == NULL) return NULL;
    va_start(args, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}

void *oxp_arena_memdup(oxp_arena *arena, const void *p, size_t bytes)
{
    void *copy = oxp_arena_alloc(arena, bytes, 1);
    if (copy != NULL && bytes != 0) memcpy(copy, p, bytes);
    return copy;
}

bool oxp_arena_defer(oxp_arena *arena, void (*fn)(void *), void *ptr)
{
    deferred *d = OXP_NEW(arena, deferred, 1);
    if (d == NULL) {
        fn(ptr);
        return false;
    }
    *d = (deferred){.next = arena->deferred, .fn = fn, .ptr = ptr};
    arena->deferred = d;
    return true;
}

bool oxp_arena_grow(oxp_arena *arena, void *items, size_t n, size_t *cap, size_t item_size)
{
    if (n < *cap) return true;
    size_t wanted = *cap > 4 ? *cap : 4;
    do {
        if (!oxp_mul_size(wanted, 2, &wanted)) return false;
    } while (wanted <= n);
    void *old;
    memcpy(&old, items, sizeof old); /* items is some type **: read it without punning pointers */
    void *grown = oxp_arena_zalloc(arena, wanted, item_size);
    if (grown == NULL) return false;
    if (*cap != 0) memcpy(grown, old, *cap * item_size);
    memcpy(items, &grown, sizeof grown);
    *cap = wanted;
    return true;
}

void oxp_arena_end(void *arena)
{
    oxp_arena_free(arena);
}
