// The loops that roof_avx512.cc and roof_amx.cc share.
#pragma once

#include "kernels/roof/roof_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

constexpr int64_t kAhead = 1024;  // bytes that prefetch runs ahead

uint64_t read(const std::byte* data, int64_t n) noexcept {
  const int64_t stream = n / kRoofStreams;
  __m512i sum = _mm512_setzero_si512();
  for (int64_t at = 0; at < stream; at += kRoofLine) {
    DBRX_UNROLL
    for (int64_t s = 0; s < kRoofStreams; ++s) {
      const std::byte* line = data + s * stream + at;
      _mm_prefetch(reinterpret_cast<const char*>(line) + kAhead, _MM_HINT_T0);
      sum = _mm512_add_epi64(sum, _mm512_loadu_si512(line));
    }
  }
  const __m128i part = _mm512_castsi512_si128(sum);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(part));
}

int64_t f32(int64_t n, uint32_t* sink) noexcept {
  constexpr int kChains = 12;
  __m512 acc[kChains];
  DBRX_UNROLL
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_ps(1);
  __m512 x = _mm512_set1_ps(0.77F);
  __m512 w = _mm512_set1_ps(-0.35F);
  for (int64_t i = 0; i < n; ++i) {
    asm volatile("" : "+v"(x), "+v"(w));  // unknown to the compiler
    DBRX_UNROLL
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_fmadd_ps(x, w, acc[c]);
  }
  __m512 sum = acc[0];
  DBRX_UNROLL
  for (int c = 1; c < kChains; ++c) sum = _mm512_add_ps(sum, acc[c]);
  *sink ^=
      static_cast<uint32_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(_mm512_castps_si512(sum))));
  return n * kChains * 16 * 2;
}

}  // namespace
}  // namespace dbrx
