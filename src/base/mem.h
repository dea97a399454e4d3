/* mem.h - the allocator, and arenas: memory by lifetime.
 *
 * Four lifetimes exist: model, session, scratch (one call) and the planned workspace. The first
 * three are arenas; only the workspace and growing buffers use oxp_mem_* directly. An arena also
 * owns foreign handles (maps, files, library objects) through oxp_arena_defer, which run last-in
 * first-out when the arena ends, so that most functions need no cleanup label. With OXP_ARENA_DEBUG
 * every allocation is its own block, so that ASan sees each overrun. */
#ifndef OXP_BASE_MEM_H
#define OXP_BASE_MEM_H

#include "base/compiler.h"
#include "onnxplain.h"
#include <stdbool.h>
#include <stddef.h>

/* The caller's hooks; hooks == NULL means the C library. All blocks are 64-byte aligned. */
void *oxp_mem_alloc(const oxp_allocator *hooks, size_t bytes);
void oxp_mem_free(const oxp_allocator *hooks, void *block);

typedef struct oxp_arena oxp_arena;

oxp_arena *oxp_arena_new(const oxp_allocator *hooks); /* NULL when out of memory */
void oxp_arena_free(oxp_arena *arena);  /* runs deferred calls, then frees; NULL is fine */
void oxp_arena_end(void *arena);        /* oxp_arena_free, in the form that a deferred call takes */
void oxp_arena_reset(oxp_arena *arena); /* as free, but the arena stays usable */
const oxp_allocator *oxp_arena_hooks(const oxp_arena *arena);
size_t oxp_arena_bytes(const oxp_arena *arena); /* bytes handed out so far */

/* Uninitialised / zeroed memory, 16-byte aligned (64 with _aligned); NULL when out of memory or
 * count * size wraps. */
void *oxp_arena_alloc(oxp_arena *arena, size_t count, size_t size);
void *oxp_arena_zalloc(oxp_arena *arena, size_t count, size_t size);
void *oxp_arena_alloc_aligned(oxp_arena *arena, size_t count, size_t size);
char *oxp_arena_strndup(oxp_arena *arena, const char *s, size_t n);
char *oxp_arena_strdup(oxp_arena *arena, const char *s);
char *oxp_arena_printf(oxp_arena *arena, const char *fmt, ...) OXP_PRINTF(2, 3);
void *oxp_arena_memdup(oxp_arena *arena, const void *p, size_t bytes);

/* Calls fn(ptr) when the arena ends. Returns false when out of memory (then fn has been called at
 * once). */
bool oxp_arena_defer(oxp_arena *arena, void (*fn)(void *), void *ptr);

#define OXP_NEW(arena, type, n) ((type *)oxp_arena_zalloc((arena), (size_t)(n), sizeof(type)))

/* Makes room for element number n (0-based) in a growing arena array: doubles `cap`, copies, zeroes
 * the new part. False when out of memory (the array stays as it was). `items` is a type **; start
 * with NULL and cap 0. */
bool oxp_arena_grow(oxp_arena *arena, void *items, size_t n, size_t *cap, size_t item_size);

#endif
