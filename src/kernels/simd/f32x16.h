// Sixteen floats as one value, so that a kernel body is written once and compiled for AVX-512 (one
// register) and AVX2 (two). Only for *_avx2.cc, *_avx512.cc and *_amx.cc files: everything is in an
// anonymous namespace and inlined, so that no code for an instruction set leaks into the program.
//
// Both versions have the same arithmetic. Subnormals follow the thread's mode (see
// flush_denormals).
#pragma once

#ifdef __AVX512F__
#include "kernels/simd/f32x16_avx512.h"
#else
#include "kernels/simd/f32x16_avx2.h"
#endif

#define DBRX_SIMD [[gnu::always_inline]] inline
// Before a loop over a small array of registers: it must be unrolled for them to stay registers.
#ifdef __clang__
#define DBRX_UNROLL _Pragma("unroll")
#else
#define DBRX_UNROLL _Pragma("GCC unroll 16")
#endif

namespace dbrx {
namespace {

// Adds the lanes in halves: lane l += lane l + 8, then 4, 2, 1.
DBRX_SIMD float sum_lanes(F32x16 a) {
  const __m256 a8 = low_plus_high(a);
  const __m128 a4 = _mm_add_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_add_ps(a4, _mm_movehl_ps(a4, a4));
  const __m128 a1 = _mm_add_ss(a2, _mm_shuffle_ps(a2, a2, 1));
  return _mm_cvtss_f32(a1);
}

DBRX_SIMD float max_lanes(F32x16 a) {
  const __m256 a8 = max_low_high(a);
  const __m128 a4 = _mm_max_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_max_ps(a4, _mm_movehl_ps(a4, a4));
  const __m128 a1 = _mm_max_ss(a2, _mm_shuffle_ps(a2, a2, 1));
  return _mm_cvtss_f32(a1);
}

}  // namespace
}  // namespace dbrx
