/*
 * Initializers: every number type in every place that a file can keep it, sizes that do not fit, external data.
 */
#include "base/compiler.h"
#include "import_fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* y = x, and the tensor as an initializer. */
static imported import_tensor(const pb tensor, const char *dir, uint64_t max_bytes)
{
    pb g = pb_graph();
    pb_add_node(&g, pb_node("Neg", "x", "y", ""));
    pb_add_init(&g, tensor);
    const pb m = pb_model(&g, 13);
    return import_bytes(m.data, m.n, dir, max_bytes);
}

static void expect_values(imported im, oxp_dtype dtype, const double *want, size_t n)
{
    expect_ok(&im);
    const oxp_tensor *t = constant(&im, "t");
    assert_int_equal(t->dtype, dtype);
    assert_int_equal(oxp_shape_elements(&t->shape), n);
    for (size_t i = 0; i < n; i++)
        if (!(oxp_tensor_get(t, (int64_t)i) == want[i]))
            fail_msg("%s element %zu is %g, expected %g", oxp_dtype_name(dtype), i,
                     oxp_tensor_get(t, (int64_t)i), want[i]);
    imported_free(&im);
}

typedef struct typed_case {
    oxp_dtype dtype;
    unsigned field, wire; /* of the list */
    uint64_t bits[3];
    double want[3];
} typed_case;

static const typed_case TYPED[] = {
    {OXP_F32, 4, 5, {0x3f000000, 0xc0000000, 0}, {0.5, -2, 0}},
    {OXP_F64, 10, 1, {0x3fe0000000000000, 0xc000000000000000, 0}, {0.5, -2, 0}},
    {OXP_I64, 7, 0, {1, (uint64_t)-2, 1ull << 40}, {1, -2, 1099511627776.0}},
    {OXP_I32, 5, 0, {1, (uint64_t)-2, 0x7fffffff}, {1, -2, 2147483647}},
    {OXP_I16, 5, 0, {1, (uint64_t)-32768, 32767}, {1, -32768, 32767}},
    {OXP_U16, 5, 0, {1, 2, 65535}, {1, 2, 65535}},
    {OXP_I8, 5, 0, {1, (uint64_t)-128, 127}, {1, -128, 127}},
    {OXP_U8, 5, 0, {1, 2, 255}, {1, 2, 255}},
    {OXP_BOOL, 5, 0, {1, 0, 7}, {1, 0, 1}},
    {OXP_U32, 11, 0, {1, 2, 0xffffffff}, {1, 2, 4294967295.0}},
    {OXP_U64, 11, 0, {1, 2, 1ull << 50}, {1, 2, 1125899906842624.0}},
    {OXP_F16, 5, 0, {0x3800, 0xc000, (uint64_t)-16384}, {0.5, -2, -2}},
    {OXP_BF16, 5, 0, {0x3f00, 0xc000, 0x4040}, {0.5, -2, 3}},
};

static void put(pb *b, unsigned wire, uint64_t bits)
{
    if (wire == 0)
        pb_varint(b, bits);
    else
        pb_raw(b, &bits, wire == 1 ? 8 : 4);
}

static void test_typed_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < OXP_COUNT(TYPED); i++) {
        const typed_case *c = &TYPED[i];
        pb loose = pb_tensor("t", c->dtype, "3"), packed = loose, chunk = {.n = 0}, split = loose;
        for (int k = 0; k < 3; k++) {
            pb_varint(&loose, c->field << 3 | c->wire);
            put(&loose, c->wire, c->bits[k]);
            put(&chunk, c->wire, c->bits[k]);
        }
        pb_msg(&packed, c->field, &chunk);
        expect_values(import_tensor(loose, NULL, 0), c->dtype, c->want, 3);
        expect_values(import_tensor(packed, NULL, 0), c->dtype, c->want, 3);
        chunk.n = 0;
        put(&chunk, c->wire, c->bits[0]);
        pb_msg(&split, c->field, &chunk);
        chunk.n = 0;
        put(&chunk, c->wire, c->bits[1]);
        put(&chunk, c->wire, c->bits[2]);
        pb_msg(&split, c->field, &chunk);
        expect_values(import_tensor(split, NULL, 0), c->dtype, c->want, 3);
    }
}

static void test_raw_data(void **state)
{
    (void)state;
    for (size_t i = 0; i < OXP_COUNT(TYPED); i++) {
        const typed_case *c = &TYPED[i];
        pb t = pb_tensor("t", c->dtype, "13"), raw = {.n = 0};
        for (int k = 0; k < 3; k++) pb_raw(&raw, &c->bits[k], oxp_dtype_size(c->dtype));
        pb_msg(&t, 9, &raw);
        expect_values(import_tensor(t, NULL, 0), c->dtype, c->want, 3);
    }
}

/* Types of less than a byte, packed from the lowest bits up: five elements, in raw data, in a typed list
 * and in another file. */
static void test_packed_elements(void **state)
{
    (void)state;
    static const struct {
        oxp_dtype dtype;
        uint8_t raw[4];
        size_t n_raw;
        double want[5];
    } cases[] = {
        {OXP_U4, {0x21, 0xF3, 0x04}, 3, {1, 2, 3, 15, 4}},
        {OXP_I4, {0x21, 0xF3, 0x08}, 3, {1, 2, 3, -1, -8}},
        {OXP_F4E2M1, {0x21, 0xF7, 0x02}, 3, {0.5, 1, 6, -6, 1}},
        {OXP_U2, {0xE4, 0x03}, 2, {0, 1, 2, 3, 3}},
        {OXP_I2, {0xE4, 0x02}, 2, {0, 1, -2, -1, -2}},
        /* 8, 16, 1, 31, 63 in six bits each, a stream from the lowest bit up */
        {OXP_F6E2M3, {0x08, 0x14, 0x7C, 0x3F}, 4, {1, 2, 0.125, 7.5, -7.5}},
    };
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        pb raw = pb_tensor("t", cases[i].dtype, "5"), bytes = {.n = 0};
        pb_raw(&bytes, cases[i].raw, cases[i].n_raw);
        pb_msg(&raw, 9, &bytes);
        expect_values(import_tensor(raw, NULL, 0), cases[i].dtype, cases[i].want, 5);
        pb few = pb_tensor("t", cases[i].dtype, "5"), one = {.n = 0};
        pb_raw(&one, cases[i].raw, 1);
        pb_msg(&few, 9, &one);
        expect_refusal(import_tensor(few, NULL, 0), OXP_ECORRUPT, "but 1 are there");
        if (cases[i].dtype == OXP_F6E2M3) continue;
        pb typed = pb_tensor("t", cases[i].dtype, "5");
        for (size_t k = 0; k < cases[i].n_raw; k++) pb_int(&typed, 5, cases[i].raw[k]);
        expect_values(import_tensor(typed, NULL, 0), cases[i].dtype, cases[i].want, 5);
    }
    pb typed = pb_tensor("t", OXP_F6E2M3, "2"); /* here one element each */
    pb_int(&typed, 5, 0x08);
    pb_int(&typed, 5, 0x3F);
    expect_values(import_tensor(typed, NULL, 0), OXP_F6E2M3, (const double[]){1, -7.5}, 2);
}

static void test_values_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        oxp_dtype dtype;
        unsigned field;
        int64_t value;
    } cases[] = {{OXP_I8, 5, 128},     {OXP_U8, 5, -1},       {OXP_U8, 5, 256},
                 {OXP_I16, 5, -32769}, {OXP_U16, 5, 65536},   {OXP_I32, 5, 1ll << 31},
                 {OXP_F16, 5, 65536},  {OXP_BF16, 5, -32769}, {OXP_U32, 11, 1ll << 32}};
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        pb t = pb_tensor("t", cases[i].dtype, "1");
        pb_int(&t, cases[i].field, cases[i].value);
        expect_refusal(import_tensor(t, NULL, 0), OXP_ECORRUPT, "element 0 does not fit");
    }
}

static void test_sizes_that_do_not_fit(void **state)
{
    (void)state;
    const float data[4] = {1, 2, 3, 4};
    static const struct {
        const char *dims;
        size_t bytes;
    } bad[] = {{"3", 16}, {"5", 16}, {"4", 15}, {"4", 0}, {"", 8}, {"0", 4}};
    for (size_t i = 0; i < OXP_COUNT(bad); i++) {
        pb t = pb_tensor("t", 1, bad[i].dims);
        pb_bytes(&t, 9, data, bad[i].bytes);
        expect_refusal(import_tensor(t, NULL, 0), OXP_ECORRUPT, "are there");
    }
    pb t = pb_tensor("t", 1, "");
    pb_bytes(&t, 9, data, 4);
    expect_values(import_tensor(t, NULL, 0), OXP_F32, (const double[]){1}, 1);
    expect_values(import_tensor(pb_tensor("t", 1, "203"), NULL, 0), OXP_F32, NULL, 0);
}

static void test_shapes_and_types_refused(void **state)
{
    (void)state;
    pb t = pb_tensor("t", 1, "");
    pb_int(&t, 1, -2);
    expect_refusal(import_tensor(t, NULL, 0), OXP_ECORRUPT, "negative dimension");
    t = pb_tensor("t", 1, "");
    pb_int(&t, 1, 1ll << 40);
    pb_int(&t, 1, 1ll << 40);
    expect_refusal(import_tensor(t, NULL, 0), OXP_ELIMIT, "too large");
    t = pb_tensor("t", 1, "");
    pb_int(&t, 1, 1ll << 60); /* counts, but in bytes it wraps */
    expect_refusal(import_tensor(t, NULL, 0), OXP_ELIMIT, "too large");
    expect_refusal(import_tensor(pb_tensor("t", 1, "111111111"), NULL, 0), OXP_EUNSUPPORTED,
                   "9 dimensions");
    expect_refusal(import_tensor(pb_tensor("t", 14, "1"), NULL, 0), OXP_EUNSUPPORTED, "complex");
    expect_refusal(import_tensor(pb_tensor("t", 0, "1"), NULL, 0), OXP_EUNSUPPORTED, "no type");
    expect_refusal(import_tensor(pb_tensor("t", 99, "1"), NULL, 0), OXP_EUNSUPPORTED, "unknown");
    expect_refusal(import_tensor(pb_tensor("t", -1, "1"), NULL, 0), OXP_EUNSUPPORTED, "unknown");
    const pb segment = {.n = 0};
    t = pb_tensor("t", 1, "1");
    pb_msg(&t, 3, &segment);
    expect_refusal(import_tensor(t, NULL, 0), OXP_EUNSUPPORTED, "segments");
}

static void test_typed_copies_count_against_the_limit(void **state)
{
    (void)state;
    pb t = pb_tensor("t", 11, "99999"), chunk = {.n = 0}; /* 59049 doubles, not there */
    pb_msg(&t, 10, &chunk);
    expect_refusal(import_tensor(t, NULL, 8192), OXP_ECORRUPT, "59049 elements, but 0");
    t = pb_tensor("t", 11, "99");
    for (int i = 0; i < 81; i++) put(&chunk, 1, 0);
    pb_msg(&t, 10, &chunk);
    imported im = import_tensor(t, NULL, 8192);
    expect_ok(&im);
    imported_free(&im);
    t = pb_tensor("t", 10, "99999"); /* external: nothing but the limit says no */
    pb_int(&t, 14, 1);
    pb entry = {.n = 0};
    pb_text(&entry, 1, "location");
    pb_text(&entry, 2, "weights.bin");
    pb_msg(&t, 13, &entry);
    expect_refusal(import_tensor(t, ".", 8192), OXP_ELIMIT, "needs 118098 bytes");
}

/* ---- external data ---- */

static pb external(const char *location, const char *offset, const char *length)
{
    const char *const entries[][2] = {
        {"location", location}, {"offset", offset}, {"length", length}};
    pb t = pb_tensor("t", 1, "2");
    pb_int(&t, 14, 1);
    for (size_t i = 0; i < OXP_COUNT(entries); i++) {
        pb entry = {.n = 0};
        if (!entries[i][1]) continue;
        pb_text(&entry, 1, entries[i][0]);
        pb_text(&entry, 2, entries[i][1]);
        pb_msg(&t, 13, &entry);
    }
    return t;
}

/* Places beyond 4 GiB: a file of nothing but its last 8 bytes. */
static void test_external_data_far_into_a_file(void **state)
{
    (void)state;
    const float data[2] = {5, -6};
    const off_t at = (off_t)5 << 30;
    char *dir = oxp_test_tmpdir(), *file = oxp_test_path(dir, "w.bin");
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, sizeof data, at), sizeof data);
    close(fd);
    expect_values(import_tensor(external("w.bin", "5368709120", "8"), dir, 0), OXP_F32,
                  (const double[]){5, -6}, 2);
    expect_refusal(import_tensor(external("w.bin", "5368709124", "8"), dir, 0), OXP_ECORRUPT,
                   "too few for 8 bytes at offset 5368709124");
    free(file);
    oxp_test_rmtree(dir);
}

static void test_external_data(void **state)
{
    (void)state;
    const float data[4] = {1, 2, 3, 4};
    char *dir = oxp_test_tmpdir(), *file = oxp_test_path(dir, "w.bin");
    char *link = oxp_test_path(dir, "link.bin");
    oxp_test_write(file, data, sizeof data);
    assert_int_equal(symlink("w.bin", link), 0);
    expect_values(import_tensor(external("w.bin", NULL, NULL), dir, 0), OXP_F32,
                  (const double[]){1, 2}, 2);
    expect_values(import_tensor(external("w.bin", "8", "8"), dir, 0), OXP_F32,
                  (const double[]){3, 4}, 2);
    static const struct {
        const char *location, *offset, *length;
        oxp_status status;
        const char *what;
    } bad[] = {
        {NULL, NULL, NULL, OXP_ECORRUPT, "none is named"},
        {"", NULL, NULL, OXP_ECORRUPT, "none is named"},
        {"w.bin", "12", NULL, OXP_ECORRUPT, "w.bin"}, /* too short */
        {"w.bin", NULL, "12", OXP_ECORRUPT, "takes 8 bytes, but 12 are given"},
        {"w.bin", "-1", NULL, OXP_ECORRUPT, "not a number of bytes"},
        {"w.bin", "8x", NULL, OXP_ECORRUPT, "not a number of bytes"},
        {"w.bin", "9223372036854775807", NULL, OXP_ECORRUPT, "w.bin"},
        {"../w.bin", NULL, NULL, OXP_ECORRUPT, "w.bin"},
        {"link.bin", NULL, NULL, OXP_ECORRUPT, "link.bin"},
        {"gone.bin", NULL, NULL, OXP_EIO, "gone.bin"},
    };
    for (size_t i = 0; i < OXP_COUNT(bad); i++)
        expect_refusal(
            import_tensor(external(bad[i].location, bad[i].offset, bad[i].length), dir, 0),
            bad[i].status, bad[i].what);
    expect_refusal(import_tensor(external("w.bin", NULL, NULL), NULL, 0), OXP_EINVAL,
                   "name the folder of external data");
    free(link);
    free(file);
    oxp_test_rmtree(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typed_lists),
        cmocka_unit_test(test_raw_data),
        cmocka_unit_test(test_packed_elements),
        cmocka_unit_test(test_values_that_do_not_fit),
        cmocka_unit_test(test_sizes_that_do_not_fit),
        cmocka_unit_test(test_shapes_and_types_refused),
        cmocka_unit_test(test_typed_copies_count_against_the_limit),
        cmocka_unit_test(test_external_data),
        cmocka_unit_test(test_external_data_far_into_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
