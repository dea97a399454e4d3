/* rng.h - counter-based random numbers (Philox 4x32-10, Salmon et al. 2011).
 *
 * A number depends only on (seed, item, sample, element), never on the order or the thread in which
 * it is drawn: results are the same with any batch size and any number of threads. Different
 * distributions at the same place share bits: draw one number per element. */
#ifndef OXP_BASE_RNG_H
#define OXP_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct oxp_rng {
    uint64_t seed;
    uint32_t item, sample; /* which input of the batch, which noise sample of it */
} oxp_rng;

double oxp_rng_uniform(const oxp_rng *rng, uint64_t element); /* [0, 1) */
double oxp_rng_normal(const oxp_rng *rng, uint64_t element);  /* N(0, 1) */
uint64_t oxp_rng_below(const oxp_rng *rng, uint64_t element,
                       uint64_t n); /* [0, n); 0 when n is 0 */

/* The bare generator: 128 random bits of a counter under a key. */
void oxp_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
