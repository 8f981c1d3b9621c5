#include "kernels/roof/roof_avx512_loops.h"

namespace dbrx {
namespace {

int64_t int8(int64_t n, uint32_t* sink) noexcept {
  constexpr int kChains = 12;
  __m512i acc[kChains];
  DBRX_UNROLL
  for (int c = 0; c < kChains; ++c) acc[c] = _mm512_set1_epi32(static_cast<int>(*sink));
  __m512i x = _mm512_set1_epi8(77);
  __m512i w = _mm512_set1_epi8(-35);
  for (int64_t i = 0; i < n; ++i) {
    asm volatile("" : "+v"(x), "+v"(w));  // unknown to the compiler
    DBRX_UNROLL
    for (int c = 0; c < kChains; ++c) acc[c] = _mm512_dpbusd_epi32(acc[c], x, w);
  }
  __m512i sum = acc[0];
  DBRX_UNROLL
  for (int c = 1; c < kChains; ++c) sum = _mm512_add_epi32(sum, acc[c]);
  *sink = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(sum)));
  return n * kChains * 64 * 2;
}

}  // namespace

// A product of bf16 numbers is one fused multiply-add here too (kernels/matmul): its peak is f32's.
const RoofKernel roof_avx512 = {
    .name = "avx512", .isa = Isa::avx512, .read = read, .int8 = int8, .bf16 = f32, .f32 = f32};

}  // namespace dbrx
