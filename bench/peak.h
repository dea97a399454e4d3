/* peak.h - what this machine can do at most, measured. */
#ifndef OXP_BENCH_PEAK_H
#define OXP_BENCH_PEAK_H

/* Fused multiply-adds in float on `threads` threads for about `seconds`: GFLOP/s, best of several. */
double bench_peak_gflops(int threads, double seconds);
double bench_now(void); /* seconds */

#endif
