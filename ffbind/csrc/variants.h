/* Functions that are compiled twice on x86-64: for any processor, and for those with AVX2, whose vectors are twice as long. */
#ifndef FFB_VARIANTS_H
#define FFB_VARIANTS_H

/* What is to be compiled twice has to be inlined into the two. */
#define FFB_INLINE static inline __attribute__((always_inline))

/* Defines the function NAME, whose body is the FFB_INLINE function NAME_any. The results are the same whichever is taken;
 * FFB_BASELINE leaves out the one for AVX2, so that tests can compare. */
#if defined(__x86_64__) && !defined(FFB_BASELINE)
#define FFB_VARIANTS(TYPE, NAME, PARAMETERS, ARGUMENTS)                                                                \
    __attribute__((target("avx2"))) static TYPE NAME##_avx2 PARAMETERS { return NAME##_any ARGUMENTS; }                \
    static TYPE NAME##_baseline PARAMETERS { return NAME##_any ARGUMENTS; }                                            \
    TYPE NAME PARAMETERS                                                                                               \
    {                                                                                                                  \
        return __builtin_cpu_supports("avx2") ? NAME##_avx2 ARGUMENTS : NAME##_baseline ARGUMENTS;                     \
    }
#else
#define FFB_VARIANTS(TYPE, NAME, PARAMETERS, ARGUMENTS)                                                                \
    TYPE NAME PARAMETERS { return NAME##_any ARGUMENTS; }
#endif

#endif
