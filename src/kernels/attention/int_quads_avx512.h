// int_quads_avx2.h with eight columns to a register.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/simd/intrinsics.h"

namespace dbrx {
namespace {

constexpr int kQuadColumns = 8;
constexpr int kQuadVectors = 4;

using Quads = __m512i;

[[gnu::always_inline]] inline Quads zero_quads() { return _mm512_setzero_si512(); }

[[gnu::always_inline]] inline Quads load_quads(const std::byte* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

[[gnu::always_inline]] inline Quads broadcast_quad(const int16_t* p) {
  int64_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi64(bits);
}

[[gnu::always_inline]] inline Quads multiply_add(Quads a, Quads b, Quads sum) {
  return _mm512_dpwssd_epi32(sum, a, b);
}

[[gnu::always_inline]] inline void store_columns(float* p, Quads low, Quads high) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512i sums = _mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high),
                                        _mm512_permutex2var_epi32(low, odd, high));
  _mm512_storeu_ps(p, _mm512_cvtepi32_ps(sums));
}

}  // namespace
}  // namespace dbrx
