// Quads of int8 times quads of int16, as AVX2 sums them: a register holds two partial sums of each
// of four columns. Included by attention_int8.h; int_quads_avx512.h has the same for eight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/simd/intrinsics.h"

namespace dbrx {
namespace {

constexpr int kQuadColumns = 4;
constexpr int kQuadVectors = 2;  // registers of columns a pass keeps for each of six queries

using Quads = __m256i;

[[gnu::always_inline]] inline Quads zero_quads() { return _mm256_setzero_si256(); }

// The quads of kQuadColumns columns: four int8 each.
[[gnu::always_inline]] inline Quads load_quads(const std::byte* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// The same four int16 for every column.
[[gnu::always_inline]] inline Quads broadcast_quad(const int16_t* p) {
  int64_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi64x(bits);
}

[[gnu::always_inline]] inline Quads multiply_add(Quads a, Quads b, Quads sum) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  asm volatile("" : "+x"(sum));  // gcc would keep a dozen products waiting, and sums in memory
  return sum;
}

// The sums of the columns of two registers, as floats in order.
[[gnu::always_inline]] inline void store_columns(float* p, Quads low, Quads high) {
  const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8);
  _mm256_storeu_ps(p, _mm256_cvtepi32_ps(sums));
}

}  // namespace
}  // namespace dbrx
