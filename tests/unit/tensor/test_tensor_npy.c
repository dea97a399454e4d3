/*
 * .npy: what NumPy writes in all three versions, both orders, and everything a hostile file can
 * say. Each parse runs on a copy that ends at a page without access, so that reading one byte too
 * many ends the program.
 */
#include "support/alloc.h"
#include "support/support.h"
#include "tensor/tensor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* `size` bytes that end where the next page may not be touched. */
typedef struct guarded {
    uint8_t *map, *data;
    size_t mapped;
} guarded;

static guarded guard(const void *bytes, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    guarded g = {.mapped = room + page};
    g.map = mmap(NULL, g.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + room, page, PROT_NONE), 0);
    g.data = g.map + room - size;
    memcpy(g.data, bytes, size);
    return g;
}

static oxp_error error;

/* Parses into *out (whose data lives in the arena), reading every element once. */
static oxp_status parse(oxp_arena *arena, const void *bytes, size_t size, oxp_tensor *out)
{
    oxp_ctx ctx = {.error = &error, .scratch = arena};
    guarded g = guard(bytes, size);
    memset(&error, 0, sizeof error);
    const oxp_status status = oxp_npy_parse(&ctx, arena, (oxp_bytes){g.data, size}, out);
    if (status == OXP_OK) {
        out->data = oxp_arena_memdup(arena, out->data, oxp_tensor_bytes(out));
        assert_non_null(out->data);
    }
    munmap(g.map, g.mapped);
    return status;
}

/* A file of the given version with this header text (padded as NumPy does) and this body. */
static size_t make(uint8_t *file, int version, const char *header, const void *body, size_t n)
{
    const size_t start = version == 1 ? 10 : 12,
                 total = (start + strlen(header) + 1 + 63) / 64 * 64;
    memset(file, ' ', total);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (uint8_t)version;
    file[7] = 0;
    const size_t len = total - start;
    for (size_t i = 8; i < start; i++) file[i] = (uint8_t)(len >> (8 * (i - 8)));
    memcpy(file + start, header, strlen(header));
    file[total - 1] = '\n';
    if (n != 0) memcpy(file + total, body, n);
    return total + n;
}

static void check_status(oxp_status status, oxp_status want, const char *what)
{
    if (status != want)
        fail_msg("status %d instead of %d: %s: %s", status, want, what, error.message);
    if (want != OXP_OK) assert_true(strlen(error.message) > 10);
}

static void test_versions_and_spellings(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'shape':(2,3,),'descr':\"<f4\",'fortran_order':False}",
        "{ 'fortran_order' : False , 'shape' : ( 2L , 3L ) , 'descr' : '=f4' }",
        "{\t'descr': 'f4',\n'fortran_order': False, 'shape': (2, 3)}\r\n"};
    const float body[] = {1, 2, 3, 4, 5, 6};
    uint8_t file[1024];
    for (int version = 1; version <= 3; version++)
        for (size_t h = 0; h < OXP_COUNT(headers); h++) {
            oxp_arena *arena = oxp_arena_new(NULL);
            oxp_tensor t;
            const size_t size = make(file, version, headers[h], body, sizeof body);
            check_status(parse(arena, file, size, &t), OXP_OK, headers[h]);
            assert_int_equal(t.dtype, OXP_F32);
            assert_true(t.shape.rank == 2 && t.shape.dim[0] == 2 && t.shape.dim[1] == 3);
            assert_memory_equal(t.data, body, sizeof body);
            check_status(parse(arena, file, size - 1, &t), OXP_ECORRUPT, "one byte short");
            file[size] = 0; /* NumPy ignores what follows the array, and so do we */
            check_status(parse(arena, file, size + 1, &t), OXP_OK, "one byte more");
            oxp_arena_free(arena);
        }
}

static void test_fortran_order(void **state)
{
    (void)state;
    /* np.asfortranarray(np.arange(24).reshape(2, 3, 4)): the first index runs fastest. */
    int16_t body[24];
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 3; b++)
            for (int c = 0; c < 4; c++) body[a + 2 * b + 6 * c] = (int16_t)(a * 12 + b * 4 + c);
    uint8_t file[512];
    const size_t size =
        make(file, 1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3, 4), }", body,
             sizeof body);
    oxp_arena *arena = oxp_arena_new(NULL);
    oxp_tensor t;
    check_status(parse(arena, file, size, &t), OXP_OK, "fortran");
    for (int i = 0; i < 24; i++) assert_int_equal(((const int16_t *)t.data)[i], i);
    const size_t empty =
        make(file, 1, "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 0, 4), }", NULL, 0);
    check_status(parse(arena, file, empty, &t), OXP_OK, "empty fortran");
    assert_int_equal(oxp_tensor_bytes(&t), 0);
    const size_t scalar =
        make(file, 1, "{'descr': '<i2', 'fortran_order': True, 'shape': (), }", body + 23, 2);
    check_status(parse(arena, file, scalar, &t), OXP_OK, "scalar fortran");
    assert_int_equal(oxp_tensor_get_int(&t, 0), body[23]);
    oxp_arena_free(arena);
}

static void test_bad_headers_are_refused(void **state)
{
    (void)state;
    const struct {
        oxp_status status;
        const char *header;
    } cases[] = {
        {OXP_EUNSUPPORTED, "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_OK, "{'descr': '>u1', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_EUNSUPPORTED, "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_EUNSUPPORTED, "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_EUNSUPPORTED, "{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_EUNSUPPORTED, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"},
        {OXP_EUNSUPPORTED, "{'descr': '<', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': '', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': 4, 'fortran_order': False, 'shape': (1,), }"},
        {OXP_EUNSUPPORTED, "{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': '<f\\x34', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': 1, }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }"},
        {OXP_ECORRUPT,
         "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"},
        {OXP_ELIMIT, "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"},
        {OXP_ELIMIT,
         "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 9223372036854775807, 9)}"},
        {OXP_ELIMIT, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }"},
        {OXP_ECORRUPT, "{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846975,)}"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'fortran_order': False, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}"},
        {OXP_ECORRUPT, "{'descr': '<f4' 'fortran_order': False, 'shape': (1,), }"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x"},
        {OXP_ECORRUPT, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), "},
        {OXP_ECORRUPT, "{'descr"},
        {OXP_ECORRUPT, "[]"},
        {OXP_ECORRUPT, ""},
    };
    uint8_t file[1024];
    const uint32_t body[2] = {0, 0};
    oxp_arena *arena = oxp_arena_new(NULL);
    for (size_t i = 0; i < OXP_COUNT(cases); i++) {
        oxp_tensor t;
        const size_t size = make(file, 1, cases[i].header, body, sizeof body);
        check_status(parse(arena, file, size, &t), cases[i].status, cases[i].header);
    }
    oxp_arena_free(arena);
}

/* A small good file: cut at every length, and with every byte set to a few values. */
static void test_every_cut_and_flip(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 0xFF, '\'', '(', ')', ',', '9', '{'};
    for (int version = 1; version <= 2; version++) {
        uint8_t file[256];
        const double body[] = {1, 2};
        const size_t size = make(
            file, version, "{'descr': '<f8', 'fortran_order': True, 'shape': (1, 2), }", body, 16);
        for (size_t cut = 0; cut < size; cut++) {
            oxp_arena *arena = oxp_arena_new(NULL);
            oxp_tensor t;
            check_status(parse(arena, file, cut, &t), OXP_ECORRUPT, "cut");
            oxp_arena_free(arena);
        }
        for (size_t at = 0; at < size - 16; at++)
            for (size_t v = 0; v < OXP_COUNT(values); v++) {
                const uint8_t before = file[at];
                oxp_arena *arena = oxp_arena_new(NULL);
                oxp_tensor t = {0};
                file[at] = values[v];
                if (parse(arena, file, size, &t) == OXP_OK)
                    assert_true(oxp_tensor_bytes(&t) <= 16);
                else
                    assert_null(t.data);
                file[at] = before;
                oxp_arena_free(arena);
            }
    }
    uint8_t file[16] = "\x93NUMPY\x04\x00";
    oxp_tensor t;
    assert_int_equal(parse(NULL, file, sizeof file, &t), OXP_EUNSUPPORTED);
    memcpy(file, "\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF", 12); /* a header of 4 GiB */
    assert_int_equal(parse(NULL, file, sizeof file, &t), OXP_ECORRUPT);
}

static void test_round_trip_of_every_dtype(void **state)
{
    (void)state;
    static const oxp_dtype all[] = {OXP_F32,  OXP_U8,  OXP_I8,  OXP_U16, OXP_I16, OXP_I32, OXP_I64,
                                    OXP_BOOL, OXP_F16, OXP_F64, OXP_U32, OXP_U64, OXP_BF16};
    const oxp_shape shapes[] = {
        {0}, {1, {5}}, {2, {1, 6}}, {4, {2, 0, 3, 1}}, {8, {1, 2, 1, 3, 1, 1, 2, 1}}};
    oxp_arena *arena = oxp_arena_new(NULL);
    oxp_ctx ctx = {.error = &error, .scratch = arena};
    for (size_t d = 0; d < OXP_COUNT(all); d++)
        for (size_t s = 0; s < OXP_COUNT(shapes); s++) {
            oxp_tensor t, back;
            oxp_bytes file;
            assert_int_equal(oxp_tensor_new(&ctx, arena, all[d], &shapes[s], &t), OXP_OK);
            const int64_t n = oxp_shape_elements(&shapes[s]);
            double numbers[12];
            for (int i = 0; i < 12; i++) numbers[i] = i;
            oxp_convert((void *)(uintptr_t)t.data, all[d], numbers, OXP_F64, n);
            assert_int_equal(oxp_npy_format(&ctx, arena, &t, &file), OXP_OK);
            check_status(parse(arena, file.data, file.size, &back), OXP_OK, oxp_dtype_name(all[d]));
            assert_int_equal(back.dtype, all[d] == OXP_BF16 ? OXP_F32 : all[d]);
            assert_true(oxp_shape_equal(&back.shape, &shapes[s]));
            for (int64_t i = 0; i < n; i++)
                assert_true(oxp_tensor_get(&back, i) == oxp_tensor_get(&t, i));
            assert_int_equal((file.size - oxp_tensor_bytes(&back)) % 64, 0);
        }
    oxp_tensor bad = {OXP_DTYPE_NONE, {0}, NULL};
    oxp_bytes file;
    assert_int_equal(oxp_npy_format(&ctx, arena, &bad, &file), OXP_EINVAL);
    bad = (oxp_tensor){OXP_F32, {1, {-1}}, NULL};
    assert_int_equal(oxp_npy_format(&ctx, arena, &bad, &file), OXP_EINVAL);
    oxp_arena_free(arena);
}

/* Byte for byte what numpy.save writes. */
static void test_same_bytes_as_numpy(void **state)
{
    (void)state;
    static const char *const names[] = {"breast_cancer_mlp.io/output__logits.npy",
                                        "vit_tiny_fashion_mnist.io/input__image.npy",
                                        "vit_tiny_fashion_mnist.io/ref_class.npy"};
    for (size_t i = 0; i < OXP_COUNT(names); i++) {
        oxp_arena *arena = oxp_arena_new(NULL);
        oxp_ctx ctx = {.error = &error, .scratch = arena};
        oxp_bytes in, out;
        oxp_tensor t;
        const char *path = oxp_path_join(arena, OXP_SOURCE_DIR "/tests/data/samples", names[i]);
        assert_int_equal(oxp_file_read(&ctx, arena, path, 0, &in), OXP_OK);
        assert_int_equal(oxp_npy_parse(&ctx, arena, in, &t), OXP_OK);
        assert_int_equal((uintptr_t)t.data % 64, 0);
        assert_true((const uint8_t *)t.data > in.data); /* in place */
        assert_int_equal(oxp_npy_format(&ctx, arena, &t, &out), OXP_OK);
        assert_int_equal(in.size, out.size);
        assert_memory_equal(in.data, out.data, in.size);
        oxp_arena_free(arena);
    }
}

static void test_each_allocation_failed_once(void **state)
{
    (void)state;
    uint8_t bytes[512];
    const float body[] = {1, 2, 3, 4, 5, 6};
    const size_t size = make(bytes, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
                             body, sizeof body);
    for (int64_t fail_at = 1;; fail_at++) { /* 0: the arena itself */
        oxp_test_alloc a = {.fail_at = fail_at};
        const oxp_allocator hooks = oxp_test_alloc_hooks(&a);
        oxp_arena *arena = oxp_arena_new(&hooks);
        oxp_ctx ctx = {.error = &error, .scratch = arena};
        oxp_tensor t = {0};
        oxp_bytes out = {0};
        oxp_status status = oxp_npy_parse(&ctx, arena, (oxp_bytes){bytes, size}, &t);
        if (status == OXP_OK) status = oxp_npy_format(&ctx, arena, &t, &out);
        assert_int_equal(status, a.failed ? OXP_ENOMEM : OXP_OK);
        if (a.failed) assert_null(out.data);
        oxp_arena_free(arena);
        assert_int_equal(a.live, 0);
        if (!a.failed) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_and_spellings),
        cmocka_unit_test(test_fortran_order),
        cmocka_unit_test(test_bad_headers_are_refused),
        cmocka_unit_test(test_every_cut_and_flip),
        cmocka_unit_test(test_round_trip_of_every_dtype),
        cmocka_unit_test(test_same_bytes_as_numpy),
        cmocka_unit_test(test_each_allocation_failed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
