/*
 * Implementation of the test helpers; see support.h. Uses the C library directly (no arenas): a broken
 * src/base must still give a readable test failure.
 */
#include "support/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The element that deviates most, and by how much relative to the largest expected magnitude. */
typedef struct deviation {
    double error;
    size_t at;
} deviation;

static double element(const void *array, bool is_f64, size_t i)
{
    return is_f64 ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

static deviation compare(const void *got, const void *want, bool is_f64, size_t count)
{
    double scale = 0.0;
    deviation worst = {0.0, 0};
    for (size_t i = 0; i < count; i++) {
        double w = fabs(element(want, is_f64, i));
        if (isfinite(w) && w > scale) scale = w;
    }
    if (scale == 0.0) scale = 1.0;
    for (size_t i = 0; i < count; i++) {
        double g = element(got, is_f64, i), w = element(want, is_f64, i), error;
        if (isfinite(g) && isfinite(w))
            error = fabs(g - w) / scale;
        else
            error = (isnan(g) && isnan(w)) || g == w ? 0.0 : (double)INFINITY;
        if (error > worst.error) worst = (deviation){error, i};
    }
    return worst;
}

static void close_or_fail(const void *got, const void *want, bool is_f64, size_t count,
                          double tolerance, const char *what, const char *file, int line)
{
    deviation worst = compare(got, want, is_f64, count);
    if (worst.error <= tolerance) return;
    print_error("%s[%zu] is %.9g, expected %.9g: off by %.3g of the maximum, %.3g allowed\n", what,
                worst.at, element(got, is_f64, worst.at), element(want, is_f64, worst.at),
                worst.error, tolerance);
    _fail(file, line);
}

double oxp_test_error_f32(const float *got, const float *want, size_t count)
{
    return compare(got, want, false, count).error;
}

double oxp_test_error_f64(const double *got, const double *want, size_t count)
{
    return compare(got, want, true, count).error;
}

void oxp_test_close_f32(const float *got, const float *want, size_t count, double tolerance,
                        const char *what, const char *file, int line)
{
    close_or_fail(got, want, false, count, tolerance, what, file, line);
}

void oxp_test_close_f64(const double *got, const double *want, size_t count, double tolerance,
                        const char *what, const char *file, int line)
{
    close_or_fail(got, want, true, count, tolerance, what, file, line);
}

char *oxp_test_path(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    assert_non_null(path);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

char *oxp_test_tmpdir(void)
{
    const char *base = getenv("TMPDIR");
    char *path = oxp_test_path(base && *base ? base : "/tmp", "oxp-test-XXXXXX");
    if (!mkdtemp(path)) fail_msg("cannot make the folder %s", path);
    return path;
}

static void remove_tree(const char *path)
{
    struct stat info;
    assert_int_equal(lstat(path, &info), 0);
    if (S_ISDIR(info.st_mode)) {
        DIR *folder = opendir(path);
        assert_non_null(folder);
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
            char *child = oxp_test_path(path, entry->d_name);
            remove_tree(child);
            free(child);
        }
        closedir(folder);
    }
    assert_int_equal(remove(path), 0);
}

void oxp_test_rmtree(char *folder)
{
    remove_tree(folder);
    free(folder);
}

uint8_t *oxp_test_read(const char *path, size_t *size)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &info) != 0) fail_msg("cannot read %s", path);
    size_t want = (size_t)info.st_size;
    uint8_t *bytes = malloc(want + 1);
    assert_non_null(bytes);
    if (fread(bytes, 1, want, file) != want) fail_msg("cannot read all of %s", path);
    fclose(file);
    bytes[want] = 0;
    if (size) *size = want;
    return bytes;
}

void oxp_test_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("cannot write %s", path);
    if (fwrite(bytes, 1, size, file) != size) fail_msg("cannot write all of %s", path);
    assert_int_equal(fclose(file), 0);
}

const char *oxp_test_samples(void)
{
    struct stat info;
    return stat(OXP_SAMPLES_DIR, &info) == 0 && S_ISDIR(info.st_mode) ? OXP_SAMPLES_DIR : NULL;
}
