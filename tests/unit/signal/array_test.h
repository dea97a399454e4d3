/* array_test.h - what the tests of signal and media share: a ctx with arenas, and fixture files
 * as tensors. */
#ifndef OXP_ARRAY_TEST_H
#define OXP_ARRAY_TEST_H

#include "support/support.h"
#include "tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES OXP_SOURCE_DIR "/tests/data/media"

typedef struct bench {
    oxp_error error;
    oxp_ctx ctx;
    oxp_arena *arena;
} bench;

static inline int bench_open(void **state)
{
    bench *b = calloc(1, sizeof *b);
    if (!b) return -1;
    b->arena = oxp_arena_new(NULL);
    b->ctx.scratch = oxp_arena_new(NULL);
    b->ctx.error = &b->error;
    *state = b;
    return b->arena && b->ctx.scratch ? 0 : -1;
}

static inline int bench_close(void **state)
{
    bench *b = *state;
    oxp_arena_free(b->arena);
    oxp_arena_free(b->ctx.scratch);
    free(b);
    return 0;
}

/* Fails with the library's own message. */
static inline void bench_ok(bench *b, oxp_status status, const char *file, int line)
{
    if (status == OXP_OK) return;
    print_error("status %d: %s\n", (int)status, b->error.message);
    _fail(file, line);
}
#define assert_ok(b, status) bench_ok((b), (status), __FILE__, __LINE__)

/* The call fails with this code and one non-empty line that contains `part`. */
static inline void bench_fails(bench *b, oxp_status got, oxp_status want, const char *part,
                               const char *file, int line)
{
    const char *message = b->error.message;
    if (got == want && *message && !strchr(message, '\n') && strstr(message, part)) return;
    print_error("expected status %d with \"%s\", got %d: %s\n", (int)want, part, (int)got, message);
    _fail(file, line);
}
#define assert_fails(b, status, want, part) \
    bench_fails((b), (status), (want), (part), __FILE__, __LINE__)

static inline oxp_bytes bench_file(bench *b, const char *name)
{
    oxp_bytes bytes;
    const char *path = oxp_path_join(b->arena, FIXTURES, name);
    assert_ok(b, oxp_file_read(&b->ctx, b->arena, path, 0, &bytes));
    return bytes;
}

static inline oxp_tensor bench_array(bench *b, const char *name)
{
    oxp_tensor tensor;
    assert_ok(b, oxp_npy_parse(&b->ctx, b->arena, bench_file(b, name), &tensor));
    return tensor;
}

#endif
