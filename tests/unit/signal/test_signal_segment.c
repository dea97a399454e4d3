/* Segmentation against scikit-image, letter for letter, and on pictures small enough to see. */
#include "signal/segment.h"
#include "unit/signal/array_test.h"

#include <math.h>

enum { H = 12, W = 16 };

/* sin(0.9 x + 0.3 y^2 / 7), cos(1.1 y - 0.2 x), ((7 x + 13 y) mod 11) / 22 */
static void picture(double *image)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            image[y * W + x] = sin(0.9 * x + 0.3 * y * y / 7.0);
            image[(H + y) * W + x] = cos(1.1 * y - 0.2 * x);
            image[(2 * H + y) * W + x] = (double)((7 * x + 13 * y) % 11) / 22.0;
        }
}

static void agrees_with_scikit_image(void **state)
{
    static const struct {
        double scale, sigma;
        int64_t least;
        int32_t n;
        const char *labels;
    } cases[] = {
        {50, 0.8, 8, 12,
         "aaaabbbccccdddddaaaabbbccccdddddeeeebbbccccdddddeeeffffgggcdddddeeeffffgggggggdd"
         "hhhhhhfggggggggghhhhhhhhhggggggghhhhhhhhiiiiiiiijjjjiiiiiiiiiiiijjjjkkklllliiiii"
         "jjjkkkllllllllllkkkkklllllllllll"},
        {200, 0.5, 4, 23,
         "aaaabbbcccccccccaaaabbbcddceeeccffffbbbcddceeeggffffhhccccceeeggffffhhciiijjjjgg"
         "kklhhhciiijjjmmmkklnnnooojjjmmmmllnnnooopqqqrrrrssssppppqqqrrrrrsssptttuuuurrrrr"
         "ppptttuuuuvvvwwwtttttuuuuvvvwwww"},
    };
    bench *b = *state;
    double image[3 * H * W];
    int32_t labels[H * W], n;
    picture(image);
    for (size_t k = 0; k < OXP_COUNT(cases); k++) {
        assert_ok(b, oxp_segment_felzenszwalb(&b->ctx, image, 3, H, W, cases[k].scale,
                                              cases[k].sigma, cases[k].least, labels, &n));
        assert_int_equal(n, cases[k].n);
        for (int i = 0; i < H * W; i++) assert_int_equal('a' + labels[i], cases[k].labels[i]);
    }
}

static void halves_and_single_pixels(void **state)
{
    bench *b = *state;
    double image[6 * 8];
    int32_t labels[6 * 8], n;
    for (int i = 0; i < 6 * 8; i++) image[i] = i % 8 < 4 ? 0.0 : 1.0;
    assert_ok(b, oxp_segment_felzenszwalb(&b->ctx, image, 1, 6, 8, 1, 0, 1, labels, &n));
    assert_int_equal(n, 2);
    for (int i = 0; i < 6 * 8; i++) assert_int_equal(labels[i], i % 8 >= 4);
    assert_ok(b, oxp_segment_felzenszwalb(&b->ctx, image, 1, 6, 8, 1, 0, 25, labels, &n));
    assert_int_equal(n, 1); /* both are too small */
    assert_ok(b, oxp_segment_felzenszwalb(&b->ctx, image, 1, 1, 1, 1, 0.8, 1, labels, &n));
    assert_int_equal(n, 1);
    assert_int_equal(oxp_segment_felzenszwalb(&b->ctx, image, 0, 6, 8, 1, 0, 1, labels, &n),
                     OXP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agrees_with_scikit_image, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(halves_and_single_pixels, bench_open, bench_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
