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
 * that one portable binary runs AVX-512 loops where the machine has them. Sanitizers run before the
 * loader's resolvers are safe. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) && \
    !defined(OXP_SANITIZE)
#define OXP_SIMD __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define OXP_SIMD
#endif

#define OXP_COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define OXP_UNUSED(x) ((void)(x))

#endif
