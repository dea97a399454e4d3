/* peak.c - the FMA rate of all threads together: independent chains of vector multiply-adds in registers, in the widest
 * instructions that the processor has. The loop is written out with intrinsics because a compiler is free to keep
 * accumulators in memory; elsewhere than on x86-64 it is plain C and may understate the peak. */
#include "bench/peak.h"
#include <math.h>
#include <omp.h>
#include <time.h>

enum { ROUNDS = 200000, CHAINS = 12, MOST_LANES = 16 };

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Each returns the lanes of a chain; *sink keeps the result alive. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* Chains start at different values, or a compiler would see that they are all the same. */
#define CHAIN_LOOP(type, set1, fmadd, store)                                                  \
    type c0 = set1(0.0f), c1 = set1(0.1f), c2 = set1(0.2f), c3 = set1(0.3f), c4 = set1(0.4f); \
    type c5 = set1(0.5f), c6 = set1(0.6f), c7 = set1(0.7f), c8 = set1(0.8f), c9 = set1(0.9f); \
    type c10 = set1(1.1f), c11 = set1(1.2f);                                                  \
    const type a = set1(0.999f), b = set1(0.001f);                                            \
    for (int i = 0; i < ROUNDS; i++) {                                                        \
        c0 = fmadd(c0, a, b), c1 = fmadd(c1, a, b), c2 = fmadd(c2, a, b);                     \
        c3 = fmadd(c3, a, b), c4 = fmadd(c4, a, b), c5 = fmadd(c5, a, b);                     \
        c6 = fmadd(c6, a, b), c7 = fmadd(c7, a, b), c8 = fmadd(c8, a, b);                     \
        c9 = fmadd(c9, a, b), c10 = fmadd(c10, a, b), c11 = fmadd(c11, a, b);                 \
    }                                                                                         \
    c0 = fmadd(c0, c1, fmadd(c2, c3, fmadd(c4, c5, fmadd(c6, c7, fmadd(c8, c9, c10)))));      \
    store(sink, fmadd(c0, a, c11))

__attribute__((target("avx512f"))) static int chains_512(float *sink)
{
    CHAIN_LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps);
    return 16;
}

__attribute__((target("avx2,fma"))) static int chains_256(float *sink)
{
    CHAIN_LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps);
    return 8;
}
#endif

static int chains_plain(float *sink)
{
    float c[CHAINS];
    for (int k = 0; k < CHAINS; k++) c[k] = 0.1f * (float)k;
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < CHAINS; k++) c[k] = c[k] * 0.999f + 0.001f;
    for (int k = 0; k < CHAINS; k++) sink[k] = c[k];
    return 1;
}

static int chains(float *sink)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f")) return chains_512(sink);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return chains_256(sink);
#endif
    return chains_plain(sink);
}

double bench_peak_gflops(int threads, double seconds)
{
    double best = 0.0;
    volatile float keep = 0.0f;
    for (const double end = bench_now() + seconds; bench_now() < end;) {
        double flops = 0.0;
        float sum = 0.0f;
        const double before = bench_now();
#pragma omp parallel num_threads(threads) reduction(+ : flops, sum)
        {
            float sink[MOST_LANES] = {0};
            flops += 2.0 * ROUNDS * CHAINS * chains(sink);
            sum += sink[0];
        }
        const double rate = flops / (bench_now() - before) * 1e-9;
        if (rate > best) best = rate;
        keep = keep + sum;
    }
    return best;
}
