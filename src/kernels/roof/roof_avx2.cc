#include "kernels/roof/roof_f32.h"
#include "kernels/roof/roof_kernels.h"

namespace dbrx {
namespace {

constexpr int64_t kAhead = 1024;  // bytes that prefetch runs ahead

uint64_t read(const std::byte* data, int64_t n) noexcept {
  const int64_t stream = n / kRoofStreams;
  __m256i sum = _mm256_setzero_si256();
  for (int64_t at = 0; at < stream; at += kRoofLine) {
    DBRX_UNROLL
    for (int64_t s = 0; s < kRoofStreams; ++s) {
      const auto* line = reinterpret_cast<const __m256i*>(data + s * stream + at);
      _mm_prefetch(reinterpret_cast<const char*>(line) + kAhead, _MM_HINT_T0);
      sum = _mm256_add_epi64(
          sum, _mm256_add_epi64(_mm256_loadu_si256(line), _mm256_loadu_si256(line + 1)));
    }
  }
  return static_cast<uint64_t>(_mm256_extract_epi64(sum, 0) ^ _mm256_extract_epi64(sum, 3));
}

// Unsigned times signed bytes, pairs summed in 16 bits: the fewest instructions that multiply bytes
// here. Full-range sums need a third, and signs a fourth.
int64_t int8(int64_t n, uint32_t* sink) noexcept {
  constexpr int kChains = 8;
  __m256i acc[kChains];
  DBRX_UNROLL
  for (int c = 0; c < kChains; ++c) acc[c] = _mm256_set1_epi32(static_cast<int>(*sink));
  __m256i x = _mm256_set1_epi8(7);
  __m256i w = _mm256_set1_epi8(-35);
  for (int64_t i = 0; i < n; ++i) {
    asm volatile("" : "+x"(x));  // unknown to the compiler
    DBRX_UNROLL
    for (int c = 0; c < kChains; ++c) {
      asm volatile("" : "+x"(w));
      acc[c] = _mm256_add_epi16(acc[c], _mm256_maddubs_epi16(x, w));
    }
  }
  __m256i sum = acc[0];
  DBRX_UNROLL
  for (int c = 1; c < kChains; ++c) sum = _mm256_add_epi16(sum, acc[c]);
  *sink = static_cast<uint32_t>(_mm256_extract_epi32(sum, 0));
  return n * kChains * 32 * 2;
}

}  // namespace

// A product of bf16 numbers is one fused multiply-add here too (kernels/matmul): its peak is f32's.
const RoofKernel roof_avx2 = {
    .name = "avx2", .isa = Isa::avx2, .read = read, .int8 = int8, .bf16 = f32, .f32 = f32};

}  // namespace dbrx
