/*
 * A model beyond what one protocol-buffers message can hold: a table of 2 GiB and a bit in external data, read at both
 * ends of it through the public interface. The file is sparse, so the disk holds little; memory holds all of it once,
 * since float32 is used where it lies.
 */
#include "onnxplain.h"
#include "unit/onnx/pb.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS  ((int64_t)(1 << 19) + 1) /* of 1024 floats: 2 GiB + 4 KiB */
#define WIDTH 1024

/* y = Gather(table, index) over rows */
static pb make_model(void)
{
    pb g = {.n = 0}, t = {.n = 0}, entry = {.n = 0};
    pb_int(&t, 1, ROWS);
    pb_int(&t, 1, WIDTH);
    pb_int(&t, 2, OXP_F32);
    pb_text(&t, 8, "table");
    pb_text(&entry, 1, "location");
    pb_text(&entry, 2, "table.bin");
    pb_msg(&t, 13, &entry);
    pb_int(&t, 14, 1);
    pb_add_init(&g, t);
    pb_add_input(&g, pb_value("index", OXP_I64, "2"));
    pb_add_output(&g, pb_value("y", OXP_F32, NULL));
    pb_add_node(&g, pb_node("Gather", "table,index", "y", "look-up"));
    return pb_model(&g, 13);
}

static void write_table(const char *path)
{
    const float first = 1.5f, last = -2.5f;
    const off_t bytes = (off_t)ROWS * WIDTH * (off_t)sizeof(float);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &first, sizeof first, 0), sizeof first);
    assert_int_equal(pwrite(fd, &last, sizeof last, bytes - (off_t)sizeof last), sizeof last);
    close(fd);
}

static void test_more_than_two_gibibytes(void **state)
{
    (void)state;
    const pb m = make_model();
    char *dir = oxp_test_tmpdir(), *path = oxp_test_path(dir, "model.onnx");
    char *table = oxp_test_path(dir, "table.bin");
    oxp_test_write(path, m.data, m.n);
    write_table(table);
    oxp_error error = {0};
    oxp_model *model = NULL;
    oxp_values *values = NULL;
    const int64_t index[2] = {0, ROWS - 1};
    const oxp_array feed = {"index", OXP_I64, 1, {2}, index};
    if (oxp_model_open(&model, path, NULL, &error) != OXP_OK ||
        oxp_run(&values, model, &feed, 1, NULL, 0, NULL, &error) != OXP_OK) {
        if (error.code != OXP_ENOMEM) fail_msg("%s", error.message);
        printf("skipped: this machine has not 2 GiB of memory to give\n");
    } else {
        const oxp_array y = oxp_values_get(values, 0);
        const float *rows = y.data;
        assert_int_equal(y.dims[0], 2);
        assert_int_equal(y.dims[1], WIDTH);
        assert_true(rows[0] >= 1.5f && rows[0] <= 1.5f);
        assert_true(rows[2 * WIDTH - 1] >= -2.5f && rows[2 * WIDTH - 1] <= -2.5f);
    }
    oxp_values_free(values);
    oxp_model_free(model);
    free(path);
    free(table);
    oxp_test_rmtree(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_more_than_two_gibibytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
