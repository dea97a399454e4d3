/*
 * Files: whole reads, the walls around a model's folder, atomic writes, path pieces.
 */
#include "base/compiler.h"
#include "base/file.h"
#include "support/alloc.h"
#include "support/support.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fixture {
    char *folder;
    oxp_arena *arena;
    oxp_error error;
    oxp_ctx ctx;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->folder = oxp_test_tmpdir();
    f->arena = oxp_arena_new(NULL);
    f->ctx = (oxp_ctx){.error = &f->error, .scratch = f->arena};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    oxp_test_rmtree(f->folder);
    oxp_arena_free(f->arena);
    free(f);
    return 0;
}

static char *at(fixture *f, const char *name)
{
    return oxp_path_join(f->arena, f->folder, name);
}

static size_t entries(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static void assert_holds(fixture *f, const char *path, const char *text)
{
    oxp_bytes b;
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, path, 0, &b), OXP_OK);
    assert_int_equal(b.size, strlen(text));
    assert_memory_equal(b.data, text, b.size);
}

static void test_read(void **state)
{
    fixture *f = *state;
    const char *path = at(f, "x.bin");
    oxp_bytes b = {NULL, 0};
    oxp_test_write(path, "hello", 5);
    assert_holds(f, path, "hello");
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, path, 5, &b), OXP_OK);
    assert_int_equal((uintptr_t)b.data % 64, 0);
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, path, 4, &b), OXP_ELIMIT);
    oxp_test_write(path, "", 0);
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, path, 0, &b), OXP_OK);
    assert_int_equal(b.size, 0);
    assert_non_null(b.data);
}

static void test_read_refuses_what_is_no_file(void **state)
{
    fixture *f = *state;
    oxp_bytes b = {NULL, 0};
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, at(f, "none"), 0, &b), OXP_EIO);
    assert_non_null(strstr(f->error.message, "no such file"));
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, f->folder, 0, &b), OXP_EIO);
    assert_non_null(strstr(f->error.message, "is a directory"));
    assert_int_equal(mkfifo(at(f, "pipe"), 0600), 0);
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, at(f, "pipe"), 0, &b), OXP_EIO); /* no hang */
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, "/dev/zero", 0, &b), OXP_EIO);
    assert_null(b.data);
}

/* What was read stays what it was, whatever happens to the file; with a map this test dies of
 * SIGBUS. */
static void test_read_outlives_truncation(void **state)
{
    fixture *f = *state;
    const char *path = at(f, "big.bin");
    const size_t size = 80u << 20;
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    assert_int_equal(pwrite(fd, "end", 3, (off_t)size - 3), 3);
    oxp_bytes b;
    assert_int_equal(oxp_file_read(&f->ctx, f->arena, path, 0, &b), OXP_OK);
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    assert_int_equal(b.size, size);
    assert_memory_equal(b.data + size - 3, "end", 3);
    assert_int_equal(b.data[size / 2], 0);
}

static void test_read_survives_no_memory(void **state)
{
    fixture *f = *state;
    oxp_test_alloc a = {.fail_at = 1};
    const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
    oxp_arena *arena = oxp_arena_new(&hooks);
    oxp_bytes b = {NULL, 0};
    oxp_test_write(at(f, "x"), "hello", 5);
    assert_int_equal(oxp_file_read(&f->ctx, arena, at(f, "x"), 0, &b), OXP_ENOMEM);
    assert_null(b.data);
    oxp_arena_free(arena);
}

static void test_read_beside(void **state)
{
    fixture *f = *state;
    const struct {
        const char *name;
        uint64_t offset, length;
        oxp_status status;
        const char *text; /* what was read, or a part of the message */
    } cases[] = {
        {"w.bin", 0, 0, OXP_OK, "0123456789"},
        {"sub//./w2.bin", 2, 3, OXP_OK, "cde"},
        {"./w.bin", 4, 0, OXP_OK, "456789"},
        {"w.bin", 10, 0, OXP_OK, ""},
        {"w.bin", 11, 0, OXP_ECORRUPT, "10 bytes"},
        {"w.bin", 8, 3, OXP_ECORRUPT, "too few"},
        {"w.bin", UINT64_MAX, 2, OXP_ECORRUPT, "too few"},
        {"w.bin", 2, UINT64_MAX, OXP_ECORRUPT, "too few"},
        {"", 0, 0, OXP_ECORRUPT, "empty"},
        {".", 0, 0, OXP_ECORRUPT, "empty"},
        {"/etc/passwd", 0, 0, OXP_ECORRUPT, "absolute"},
        {"../w.bin", 0, 0, OXP_ECORRUPT, "'..'"},
        {"sub/../w.bin", 0, 0, OXP_ECORRUPT, "'..'"},
        {"sub/..", 0, 0, OXP_ECORRUPT, "'..'"},
        {"link.bin", 0, 0, OXP_ECORRUPT, "symbolic link"},
        {"linked/w2.bin", 0, 0, OXP_ECORRUPT, "symbolic link"},
        {"missing.bin", 0, 0, OXP_EIO, "no such file"},
        {"w.bin/x", 0, 0, OXP_EIO, "not a directory"},
        {"sub", 0, 0, OXP_EIO, "is a directory"},
        {"pipe", 0, 0, OXP_EIO, "not a regular file"},
    };
    oxp_test_write(at(f, "w.bin"), "0123456789", 10);
    assert_int_equal(mkdir(at(f, "sub"), 0700), 0);
    oxp_test_write(at(f, "sub/w2.bin"), "abcdef", 6);
    assert_int_equal(symlink("w.bin", at(f, "link.bin")), 0);
    assert_int_equal(symlink("sub", at(f, "linked")), 0);
    assert_int_equal(mkfifo(at(f, "pipe"), 0600), 0);
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        oxp_bytes b = {NULL, 0};
        const oxp_status status = oxp_file_read_beside(&f->ctx, f->arena, f->folder, cases[i].name,
                                                       cases[i].offset, cases[i].length, &b);
        if (status != cases[i].status)
            fail_msg("'%s': status %d, %s", cases[i].name, status, f->error.message);
        if (status == OXP_OK) {
            assert_int_equal(b.size, strlen(cases[i].text));
            assert_memory_equal(b.data, cases[i].text, b.size);
        } else if (strstr(f->error.message, cases[i].text) == NULL) {
            fail_msg("'%s': %s", cases[i].name, f->error.message);
        }
    }
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    oxp_bytes b;
    assert_int_equal(oxp_file_read_beside(&f->ctx, f->arena, f->folder, name, 0, 0, &b),
                     OXP_ECORRUPT);
    assert_int_equal(oxp_file_read_beside(&f->ctx, f->arena, at(f, "no"), "w.bin", 0, 0, &b),
                     OXP_EIO);
}

/* Every open of the cases above is closed again. */
static void test_no_descriptor_leaks(void **state)
{
    fixture *f = *state;
    const int before = dup(0);
    close(before);
    test_read_beside(state);
    oxp_bytes b;
    oxp_file_read(&f->ctx, f->arena, f->folder, 0, &b);
    oxp_file_write(&f->ctx, at(f, "x"), "x", 1);
    oxp_file_write(&f->ctx, "/dev/full", "x", 1);
    const int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

static void test_write_replaces_whole_files(void **state)
{
    fixture *f = *state;
    const char *path = at(f, "out.txt");
    assert_int_equal(oxp_file_write(&f->ctx, path, "first", 5), OXP_OK);
    assert_holds(f, path, "first");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(oxp_file_write(&f->ctx, path, "2nd", 3), OXP_OK);
    assert_holds(f, path, "2nd");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(oxp_file_write(&f->ctx, path, NULL, 0), OXP_OK);
    assert_holds(f, path, "");
    assert_int_equal(symlink("out.txt", at(f, "link")), 0);
    assert_int_equal(oxp_file_write(&f->ctx, at(f, "link"), "through", 7), OXP_OK);
    assert_int_equal(lstat(at(f, "link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_holds(f, path, "through");
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(oxp_file_write(&f->ctx, at(f, name), "long", 4), OXP_OK);
    assert_holds(f, at(f, name), "long");
    assert_int_equal(entries(f->folder), 3);
}

static void test_failed_write_leaves_the_old_file(void **state)
{
    fixture *f = *state;
    const char *path = at(f, "out.txt");
    static const char bytes[4096] = {0};
    assert_int_equal(oxp_file_write(&f->ctx, path, "old", 3), OXP_OK);
    /* A disk that fills up half way: a limit on the file size. */
    struct rlimit before, tight;
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 1000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    const oxp_status status = oxp_file_write(&f->ctx, path, bytes, sizeof bytes);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, OXP_EIO);
    assert_non_null(strstr(f->error.message, "too large"));
    assert_holds(f, path, "old");
    assert_int_equal(entries(f->folder), 1);
}

static void test_unwritable_places(void **state)
{
    fixture *f = *state;
    oxp_test_write(at(f, "file"), "x", 1);
    const struct {
        const char *path, *message;
    } cases[] = {
        {"/dev/full", "no space left"},
        {at(f, "none/out"), "no such file or directory"},
        {at(f, "file/out"), "not a directory"},
        {f->folder, "is a directory"},
        {"/proc/self/out", "cannot write '/proc/self/out'"},
        {"", "cannot write"},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        assert_int_equal(oxp_file_write(&f->ctx, cases[i].path, "abc", 3), OXP_EIO);
        if (strstr(f->error.message, cases[i].message) == NULL) fail_msg("%s", f->error.message);
    }
    assert_int_equal(oxp_file_write(&f->ctx, "/dev/null", "abc", 3), OXP_OK);
    struct stat st; /* a device stays a device */
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    if (geteuid() == 0) return; /* root may write anywhere */
    assert_int_equal(chmod(f->folder, 0500), 0);
    assert_int_equal(oxp_file_write(&f->ctx, at(f, "new"), "abc", 3), OXP_EIO);
    chmod(f->folder, 0700);
    assert_non_null(strstr(f->error.message, "permission denied"));
}

static void test_standard_output(void **state)
{
    fixture *f = *state;
    const int target = open(at(f, "out"), O_WRONLY | O_CREAT, 0600),
              full = open("/dev/full", O_WRONLY);
    fflush(stdout);
    const int saved = dup(STDOUT_FILENO);
    dup2(target, STDOUT_FILENO);
    const oxp_status good = oxp_file_write(&f->ctx, "-", "bytes", 5);
    dup2(full, STDOUT_FILENO);
    const oxp_status bad = oxp_file_write(&f->ctx, "-", "bytes", 5);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(target);
    close(full);
    assert_int_equal(good, OXP_OK);
    assert_int_equal(bad, OXP_EIO);
    assert_holds(f, at(f, "out"), "bytes");
}

static void test_path_pieces(void **state)
{
    oxp_arena *a = ((fixture *)*state)->arena;
    assert_string_equal(oxp_path_dir(a, "a/b/c.onnx"), "a/b");
    assert_string_equal(oxp_path_dir(a, "c.onnx"), ".");
    assert_string_equal(oxp_path_dir(a, "/c.onnx"), "/");
    assert_string_equal(oxp_path_dir(a, "a//c"), "a");
    assert_string_equal(oxp_path_stem(a, "a.b/cat.tar.gz"), "cat.tar");
    assert_string_equal(oxp_path_stem(a, "a.b/cat"), "cat");
    assert_string_equal(oxp_path_stem(a, ".hidden"), ".hidden");
    assert_string_equal(oxp_path_join(a, "out", "x.png"), "out/x.png");
    assert_string_equal(oxp_path_join(a, "out/", "x.png"), "out/x.png");
    assert_string_equal(oxp_path_join(a, "", "x.png"), "x.png");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_read),
        TEST(test_read_refuses_what_is_no_file),
        TEST(test_read_outlives_truncation),
        TEST(test_read_survives_no_memory),
        TEST(test_read_beside),
        TEST(test_no_descriptor_leaks),
        TEST(test_write_replaces_whole_files),
        TEST(test_failed_write_leaves_the_old_file),
        TEST(test_unwritable_places),
        TEST(test_standard_output),
        TEST(test_path_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
