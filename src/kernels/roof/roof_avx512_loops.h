// The loops that roof_avx512.cc and roof_amx.cc share.
#pragma once

#include "kernels/roof/roof_f32.h"
#include "kernels/roof/roof_kernels.h"

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

}  // namespace
}  // namespace dbrx
