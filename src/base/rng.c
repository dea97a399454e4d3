/* rng.c - Philox 4x32-10 and the distributions drawn from it.
 *
 * One counter (element, item, sample) gives 128 bits, enough for any single draw, so that no draw
 * depends on another. */
#include "base/rng.h"
#include <math.h>

/* Ten rounds of (x0,x1,x2,x3) -> (hi(M1 x2) ^ x1 ^ k0, lo(M1 x2), hi(M0 x0) ^ x3 ^ k1, lo(M0 x0)),
 * keys bumped by Weyl constants. */
void oxp_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3], k0 = key[0],
             k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * x0, p1 = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

static void draw(const oxp_rng *rng, uint64_t element, uint64_t out[2])
{
    const uint32_t counter[4] = {(uint32_t)element, (uint32_t)(element >> 32), rng->item,
                                 rng->sample};
    const uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
    uint32_t x[4];
    oxp_philox4x32(counter, key, x);
    out[0] = (uint64_t)x[1] << 32 | x[0];
    out[1] = (uint64_t)x[3] << 32 | x[2];
}

static double to_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

double oxp_rng_uniform(const oxp_rng *rng, uint64_t element)
{
    uint64_t bits[2];
    draw(rng, element, bits);
    return to_unit(bits[0]);
}

/* Box-Muller: sqrt(-2 ln u) cos(2 pi v), u in (0, 1]. */
double oxp_rng_normal(const oxp_rng *rng, uint64_t element)
{
    uint64_t bits[2];
    draw(rng, element, bits);
    const double u = 1.0 - to_unit(bits[0]), v = to_unit(bits[1]);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925286766559 * v);
}

/* floor(bits * n / 2^64): the bias is below n / 2^64. */
uint64_t oxp_rng_below(const oxp_rng *rng, uint64_t element, uint64_t n)
{
    uint64_t bits[2];
    draw(rng, element, bits);
    const uint64_t a = bits[0] >> 32, b = bits[0] & UINT32_MAX, c = n >> 32, d = n & UINT32_MAX;
    const uint64_t middle = a * d + ((b * d) >> 32), low = (middle & UINT32_MAX) + b * c;
    return a * c + (middle >> 32) + (low >> 32);
}
