/* file.h - reading and writing files whole: read-only maps and atomic writes (temporary file, then rename). */
#ifndef OXP_BASE_FILE_H
#define OXP_BASE_FILE_H

#include "base/ctx.h"

typedef struct oxp_bytes {
    const uint8_t *data;
    size_t size;
} oxp_bytes;

/* Maps a regular file read-only; the map ends with the arena. Private copy-on-write pages; a file that is truncated
 * while mapped must not crash us, so files below `OXP_FILE_COPY_MAX` (64 MiB) are read into memory instead, and larger
 * ones are re-checked with oxp_file_map_check before a long read. */
oxp_status oxp_file_read(oxp_ctx *ctx, oxp_arena *arena, const char *path, size_t max_bytes, oxp_bytes *out);

/* Opens `name` relative to directory `dir` refusing absolute names, "..", and any symbolic link on the way (openat with
 * O_NOFOLLOW per component), then reads [offset, offset + length) (length 0: to the end). For external data. */
oxp_status oxp_file_read_beside(oxp_ctx *ctx, oxp_arena *arena, const char *dir, const char *name, uint64_t offset,
                                uint64_t length, oxp_bytes *out);

/* Writes all or nothing: path.tmpXXXX, fsync-free, rename. path "-" writes to standard output. */
oxp_status oxp_file_write(oxp_ctx *ctx, const char *path, const void *data, size_t size);

/* "dir/of/path" ("." when none), "stem" without the last extension; both in the arena. */
char *oxp_path_dir(oxp_arena *arena, const char *path);
char *oxp_path_stem(oxp_arena *arena, const char *path);
char *oxp_path_join(oxp_arena *arena, const char *dir, const char *name);

#endif
