/* file.c - whole files in and out: reads into arena memory, atomic writes, path pieces.
 *
 * Files are read(), never mapped: bytes that were checked once cannot change behind the parser's
 * back, and a file that is truncated meanwhile is an error message, not a SIGBUS. The price is one
 * copy: 36 ms measured for 350 MB in the page cache. Only POSIX is used; error texts are our own
 * because strerror depends on locale and thread. */
#include "base/file.h"
#include "base/checked.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, IO_CHUNK = 1 << 28 };

static const char *errno_text(int code)
{
    switch (code) {
    case ENOENT:
        return "no such file or directory";
    case EACCES:
    case EPERM:
        return "permission denied";
    case ENOSPC:
    case EDQUOT:
        return "no space left on the device";
    case EISDIR:
        return "it is a directory";
    case ENOTDIR:
        return "a part of the path is not a directory";
    case EROFS:
        return "the file system is read-only";
    case ELOOP:
        return "too many symbolic links";
    case ENAMETOOLONG:
        return "the name is too long";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    case EFBIG:
        return "the file would be too large";
    case EPIPE:
        return "the reader closed the pipe";
    default:
        return "input/output error";
    }
}

/* ---- reading ---- */

/* Reads [offset, offset + size) of fd; a file that has become shorter is an error. */
static oxp_status read_range(oxp_ctx *ctx, oxp_arena *arena, int fd, const char *name,
                             uint64_t offset, size_t size, oxp_bytes *out)
{
    uint8_t *data = oxp_arena_alloc_aligned(arena, size, 1);
    OXP_FAIL_IF(ctx, data == NULL, OXP_ENOMEM, "out of memory: cannot hold the %zu bytes of '%s'",
                size, name);
    for (size_t done = 0; done < size;) {
        const size_t step = size - done < IO_CHUNK ? size - done : IO_CHUNK;
        const ssize_t got = pread(fd, data + done, step, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        OXP_FAIL_IF(ctx, got < 0, OXP_EIO, "cannot read '%s': %s", name, errno_text(errno));
        OXP_FAIL_IF(ctx, got == 0, OXP_EIO,
                    "'%s' became shorter while it was read: expected %zu bytes, found %zu", name,
                    size, done);
        done += (size_t)got;
    }
    *out = (oxp_bytes){data, size};
    return OXP_OK;
}

static oxp_status regular_size(oxp_ctx *ctx, int fd, const char *name, uint64_t *size)
{
    struct stat st;
    OXP_FAIL_IF(ctx, fstat(fd, &st) != 0, OXP_EIO, "cannot read '%s': %s", name, errno_text(errno));
    OXP_FAIL_IF(ctx, S_ISDIR(st.st_mode), OXP_EIO, "'%s' is a directory, expected a file", name);
    OXP_FAIL_IF(ctx, !S_ISREG(st.st_mode), OXP_EIO, "'%s' is not a regular file", name);
    *size = (uint64_t)st.st_size;
    return OXP_OK;
}

static oxp_status read_open(oxp_ctx *ctx, oxp_arena *arena, int fd, const char *path,
                            size_t max_bytes, oxp_bytes *out)
{
    uint64_t size;
    OXP_TRY(regular_size(ctx, fd, path, &size));
    OXP_FAIL_IF(ctx, (max_bytes != 0 && size > max_bytes) || size > PTRDIFF_MAX, OXP_ELIMIT,
                "'%s' has %llu bytes, more than the limit of %zu", path, (unsigned long long)size,
                max_bytes);
    return read_range(ctx, arena, fd, path, 0, (size_t)size, out);
}

oxp_status oxp_file_read(oxp_ctx *ctx, oxp_arena *arena, const char *path, size_t max_bytes,
                         oxp_bytes *out)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    OXP_FAIL_IF(ctx, fd < 0, OXP_EIO, "cannot open '%s': %s", path, errno_text(errno));
    const oxp_status status = read_open(ctx, arena, fd, path, max_bytes, out);
    close(fd);
    return status;
}

/* ---- reading beside a model ---- */

/* Opens one component under the directory *at, which it replaces. */
static oxp_status step_into(oxp_ctx *ctx, int *at, const char *component, bool last,
                            const char *name)
{
    const int flags =
        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | (last ? 0 : O_DIRECTORY);
    const int fd = openat(*at, component, flags);
    const int why = errno;
    if (fd < 0) {
        struct stat st;
        const bool link =
            fstatat(*at, component, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
        OXP_FAIL_IF(
            ctx, link, OXP_ECORRUPT,
            "external data '%s' goes through a symbolic link at '%s': put the file itself there",
            name, component);
        OXP_FAIL(ctx, OXP_EIO, "cannot open external data '%s': %s", name, errno_text(why));
    }
    close(*at);
    *at = fd;
    return OXP_OK;
}

/* Walks `name` component by component from the open directory *at; *at ends as the file. */
static oxp_status walk_beside(oxp_ctx *ctx, int *at, const char *name)
{
    OXP_FAIL_IF(ctx, name[0] == '/', OXP_ECORRUPT,
                "external data '%s' is an absolute path: expected one inside the model's folder",
                name);
    bool opened = false;
    for (const char *p = name; *p != '\0';) {
        const size_t len = strcspn(p, "/");
        const char *next = p + len + strspn(p + len, "/");
        char component[NAME_MAX + 1];
        OXP_FAIL_IF(ctx, len >= sizeof component, OXP_ECORRUPT,
                    "external data '%s' has a name that is too long", name);
        memcpy(component, p, len);
        component[len] = '\0';
        OXP_FAIL_IF(ctx, strcmp(component, "..") == 0, OXP_ECORRUPT,
                    "external data '%s' contains '..': expected a path inside the model's folder",
                    name);
        if (strcmp(component, ".") != 0) {
            OXP_TRY(step_into(ctx, at, component, *next == '\0', name));
            opened = true;
        }
        p = next;
    }
    OXP_FAIL_IF(ctx, !opened, OXP_ECORRUPT,
                "external data has an empty location: expected a file name");
    return OXP_OK;
}

static oxp_status read_beside(oxp_ctx *ctx, oxp_arena *arena, int *at, const char *name,
                              uint64_t offset, uint64_t length, oxp_bytes *out)
{
    uint64_t size;
    OXP_TRY(walk_beside(ctx, at, name));
    OXP_TRY(regular_size(ctx, *at, name, &size));
    OXP_FAIL_IF(ctx, offset > size || length > size - offset, OXP_ECORRUPT,
                "external data '%s' has %llu bytes, too few for %llu bytes at offset %llu", name,
                (unsigned long long)size, (unsigned long long)length, (unsigned long long)offset);
    const uint64_t wanted = length != 0 ? length : size - offset;
    OXP_FAIL_IF(ctx, wanted > PTRDIFF_MAX, OXP_ELIMIT, "external data '%s' is too large", name);
    return read_range(ctx, arena, *at, name, offset, (size_t)wanted, out);
}

bool oxp_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

oxp_status oxp_file_read_beside(oxp_ctx *ctx, oxp_arena *arena, const char *dir, const char *name,
                                uint64_t offset, uint64_t length, oxp_bytes *out)
{
    int at = open(dir, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    OXP_FAIL_IF(ctx, at < 0, OXP_EIO, "cannot open the folder '%s': %s", dir, errno_text(errno));
    const oxp_status status = read_beside(ctx, arena, &at, name, offset, length, out);
    close(at);
    return status;
}

/* ---- writing ---- */

static bool write_all(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        const size_t step = size - done < IO_CHUNK ? size - done : IO_CHUNK;
        const ssize_t put = write(fd, (const char *)data + done, step);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        done += (size_t)put;
    }
    return true;
}

static oxp_status fail_write(oxp_ctx *ctx, const char *path)
{
    OXP_FAIL(ctx, OXP_EIO, "cannot write '%s': %s", path, errno_text(errno));
}

/* A device or pipe cannot be replaced by a rename: it is written to directly. */
static oxp_status write_through(oxp_ctx *ctx, const char *path, const void *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return fail_write(ctx, path);
    const bool written = write_all(fd, data, size);
    const int why = errno;
    const bool closed = close(fd) == 0;
    if (!written) errno = why;
    return written && closed ? OXP_OK : fail_write(ctx, path);
}

/* A new file in the folder of `path`. Its name does not contain path's, which may already be as
 * long as names can be. */
static int create_beside(const char *path, char temporary[PATH_SIZE])
{
    const char *slash = strrchr(path, '/');
    const int dir_len = slash != NULL ? (int)(slash - path) + 1 : 0;
    for (int attempt = 0; attempt < 1000; attempt++) {
        const int len = snprintf(temporary, PATH_SIZE, "%.*s.oxp-%ld-%d.tmp", dir_len, path,
                                 (long)getpid(), attempt);
        if (len < 0 || len >= PATH_SIZE) {
            errno = ENAMETOOLONG;
            return -1;
        }
        const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* `mode`: permissions of the file that is replaced, or 0. */
static oxp_status write_atomic(oxp_ctx *ctx, const char *path, mode_t mode, const void *data,
                               size_t size)
{
    char temporary[PATH_SIZE];
    const int fd = create_beside(path, temporary);
    if (fd < 0) return fail_write(ctx, path);
    bool good = (mode == 0 || fchmod(fd, mode) == 0) && write_all(fd, data, size);
    int why = errno;
    if (close(fd) != 0 && good) {
        good = false;
        why = errno;
    }
    if (good && rename(temporary, path) == 0) return OXP_OK;
    if (good) why = errno;
    unlink(temporary);
    errno = why;
    return fail_write(ctx, path);
}

oxp_status oxp_file_write(oxp_ctx *ctx, const char *path, const void *data, size_t size)
{
    if (strcmp(path, "-") == 0) {
        OXP_FAIL_IF(ctx, !write_all(STDOUT_FILENO, data, size), OXP_EIO,
                    "cannot write to standard output: %s", errno_text(errno));
        return OXP_OK;
    }
    struct stat st;
    const bool exists = stat(path, &st) == 0;
    OXP_FAIL_IF(ctx, exists && S_ISDIR(st.st_mode), OXP_EIO, "cannot write '%s': it is a directory",
                path);
    if (exists && !S_ISREG(st.st_mode)) return write_through(ctx, path, data, size);
    char target[PATH_SIZE]; /* a link to a file stays a link: its target is replaced */
    const bool resolved = exists && realpath(path, target) != NULL;
    return write_atomic(ctx, resolved ? target : path, exists ? st.st_mode & 0777 : 0, data, size);
}

/* ---- path pieces ---- */

char *oxp_path_dir(oxp_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return oxp_arena_strdup(arena, ".");
    while (slash > path && slash[-1] == '/') slash--;
    return oxp_arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

char *oxp_path_stem(oxp_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    return oxp_arena_strndup(arena, base,
                             dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base));
}

char *oxp_path_join(oxp_arena *arena, const char *dir, const char *name)
{
    const size_t len = strlen(dir);
    const bool bare = len == 0 || dir[len - 1] == '/';
    return oxp_arena_printf(arena, "%s%s%s", dir, bare ? "" : "/", name);
}
