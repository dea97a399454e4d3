/* file.h - reading and writing files whole; writes are atomic (temporary file, then rename). */
#ifndef OXP_BASE_FILE_H
#define OXP_BASE_FILE_H

#include "base/ctx.h"

typedef struct oxp_bytes {
    const uint8_t *data;
    size_t size;
} oxp_bytes;

/* Reads a regular file into 64-byte aligned arena memory; max_bytes 0: no limit (OXP_ELIMIT beyond
 * it). Never a map: a file that is changed or truncated meanwhile can then neither crash us
 * (SIGBUS) nor change what was already checked. An empty file gives size 0 and a valid pointer. */
oxp_status oxp_file_read(oxp_ctx *ctx, oxp_arena *arena, const char *path, size_t max_bytes,
                         oxp_bytes *out);

/* Is there a regular file (or a link to one) of that name? */
bool oxp_file_exists(const char *path);

/* Opens `name` relative to directory `dir` refusing absolute names, "..", and any symbolic link on
 * the way (openat with O_NOFOLLOW per component), then reads [offset, offset + length) (length 0:
 * to the end) like oxp_file_read. For external data. OXP_ECORRUPT when the name leads out of the
 * folder or the file is too short. */
oxp_status oxp_file_read_beside(oxp_ctx *ctx, oxp_arena *arena, const char *dir, const char *name,
                                uint64_t offset, uint64_t length, oxp_bytes *out);

/* Writes all or nothing: a temporary file in the same folder, then rename (no fsync); permissions
 * of a replaced file stay, a symbolic link keeps pointing. "-" is standard output; it, devices and
 * pipes are written directly. */
oxp_status oxp_file_write(oxp_ctx *ctx, const char *path, const void *data, size_t size);

/* "dir/of/path" ("." when none), "stem" without the last extension, "dir/name"; in the arena, NULL
 * when out of memory. */
char *oxp_path_dir(oxp_arena *arena, const char *path);
char *oxp_path_stem(oxp_arena *arena, const char *path);
char *oxp_path_join(oxp_arena *arena, const char *dir, const char *name);

#endif
