/* compiler.h - the only place where compiler extensions are named.
 *
 * Everything here degrades to plain C11 when the compiler does not know the extension. */
#ifndef OXP_BASE_COMPILER_H
#define OXP_BASE_COMPILER_H

#if defined(__GNUC__)
#define OXP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define OXP_MUST_CHECK        __attribute__((warn_unused_result))
#else
#define OXP_PRINTF(fmt, args)
#define OXP_MUST_CHECK
#endif

/* A hot host loop is compiled for several instruction sets and dispatched once by the loader, so
 * that one portable binary runs AVX-512 loops where the machine has them. Levels, not CPU names:
 * arch=skylake-avx512 would match Intel's CPUs only and leave others with SSE2 (measured on Zen 4:
 * 31 against 111 GFLOP/s). Sanitizers run before the loader's resolvers are safe. */
#if defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && defined(__x86_64__) && \
    defined(__linux__) && !defined(OXP_SANITIZE)
#define OXP_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define OXP_SIMD
#endif

/* The largest of a loop's floats, in lanes. clang keeps the order of floats that may be NaN, warns
 * that it could not do what the pragma says, and is better left to itself. */
#if defined(__GNUC__) && !defined(__clang__)
#define OXP_SIMD_MAX(m) OXP_PRAGMA(omp simd reduction(max : m))
#define OXP_PRAGMA(x)   _Pragma(#x)
#else
#define OXP_SIMD_MAX(m)
#endif

#define OXP_COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define OXP_UNUSED(x) ((void)(x))

#endif
