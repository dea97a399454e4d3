/*
 * What test programs share: cmocka with the headers it needs, float comparison relative to the largest
 * expected magnitude, files and temporary folders. Includes nothing of src/, so that the tests of the
 * leftmost room can use it. Compile definitions: OXP_SOURCE_DIR (this repository), OXP_BINARY_DIR,
 * OXP_SAMPLES_DIR (samples that some machines keep beside the repository; ask oxp_test_samples()).
 */
#ifndef OXP_TEST_SUPPORT_H
#define OXP_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* max_i |got_i - want_i| / max_i |want_i|; INFINITY where one is NaN or infinite and the other differs.
 * An all-zero `want` is compared absolutely. */
double oxp_test_error_f32(const float *got, const float *want, size_t count);
double oxp_test_error_f64(const double *got, const double *want, size_t count);

/* Fails the running test, naming the worst element, when the error above exceeds `tolerance`. */
#define assert_close_f32(got, want, count, tolerance) \
    oxp_test_close_f32((got), (want), (count), (tolerance), #got, __FILE__, __LINE__)
#define assert_close_f64(got, want, count, tolerance) \
    oxp_test_close_f64((got), (want), (count), (tolerance), #got, __FILE__, __LINE__)

void oxp_test_close_f32(const float *got, const float *want, size_t count, double tolerance,
                        const char *what, const char *file, int line);
void oxp_test_close_f64(const double *got, const double *want, size_t count, double tolerance,
                        const char *what, const char *file, int line);

/* A fresh empty folder; oxp_test_rmtree removes it with all in it. Both fail the test on error. */
char *oxp_test_tmpdir(void);        /* caller frees */
void oxp_test_rmtree(char *folder); /* frees `folder` too */

/* "a/b" as a new string; caller frees. */
char *oxp_test_path(const char *folder, const char *name);

/* Whole files. Reading appends a 0 byte that is not counted; the caller frees. Fail the test on error. */
uint8_t *oxp_test_read(const char *path, size_t *size);
void oxp_test_write(const char *path, const void *bytes, size_t size);

/* The samples folder, or NULL where this machine has none: such a test then calls skip(). */
const char *oxp_test_samples(void);

#endif
