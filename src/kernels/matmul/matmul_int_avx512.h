// What the AVX-512 and AMX kernels of integer weights share: unpacking int4 to int8, the sums of
// digits as y.
#pragma once

#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

constexpr int64_t kStepLines = kIntStepK / 4;  // of 64 bytes: four k of 16 outputs (int8) or 32

DBRX_SIMD __m512i load_line(const std::byte* line) { return _mm512_load_si512(line); }

DBRX_SIMD void prefetch(const std::byte* line) {
  _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
}

// The two halves of each byte.
struct Halves {
  __m512i low, high;
};

DBRX_SIMD Halves halves(__m512i both) {
  const __m512i mask = _mm512_set1_epi8(15);
  return {_mm512_and_si512(both, mask), _mm512_and_si512(_mm512_srli_epi16(both, 4), mask)};
}

// The scales of one group: of each output in every byte of its 32-bit lane.
DBRX_SIMD Halves spread_scales(const std::byte* scales) {
  const __m512i bytes =
      _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(scales)));
  const __m512i pairs = _mm512_or_si512(bytes, _mm512_slli_epi32(bytes, 8));
  return halves(_mm512_or_si512(pairs, _mm512_slli_epi32(pairs, 16)));
}

// One step of int4 weights as that of an int8 panel: scale * (half byte - 8), each byte xored with
// `flip`. Bytes are multiplied in pairs: 15 * 15 does not carry into the upper one. On the way it
// asks for the step at `ahead`.
DBRX_SIMD void unpack_int4(const std::byte* weights, const std::byte* scales, uint8_t flip,
                           const std::byte* ahead, std::byte* out) {
  const __m512i low_bytes = _mm512_set1_epi16(255);
  const __m512i flips = _mm512_set1_epi8(static_cast<char>(flip));
  for (int64_t group = 0; group < 2; ++group) {
    const Halves s = spread_scales(scales + group * 16);
    const Halves factor = {_mm512_and_si512(s.low, low_bytes), _mm512_and_si512(s.high, low_bytes)};
    // 8 s is at most 120, so flipping its top bit adds or takes 128 as well as flipping the result.
    const Halves offset = {_mm512_xor_si512(_mm512_slli_epi16(s.low, 3), flips),
                           _mm512_xor_si512(_mm512_slli_epi16(s.high, 3), flips)};
    DBRX_UNROLL
    for (int64_t line = 0; line < kStepLines / 2; ++line) {
      const int64_t at = (group * kStepLines / 2 + line) * 64;
      prefetch(ahead + at);
      const Halves q = halves(load_line(weights + at));
      _mm512_store_si512(out + at,
                         _mm512_sub_epi8(_mm512_mullo_epi16(q.low, factor.low), offset.low));
      _mm512_store_si512(out + kIntTileBytes + at,
                         _mm512_sub_epi8(_mm512_mullo_epi16(q.high, factor.high), offset.high));
    }
  }
}

DBRX_SIMD __m512d widen8(const int32_t* sums) {
  return _mm512_cvtepi32_pd(_mm256_load_si256(reinterpret_cast<const __m256i*>(sums)));
}

// y of one row and panel: of the sums of its digits (low: of exact ones only).
DBRX_SIMD void finish(const MatmulTile& t, int64_t row, int64_t p, const int32_t* high,
                      const int32_t* low) {
  const int64_t record_bytes = IntRow(t.n_steps, t.n_digits).bytes();
  const float x_scale = int_row_header(t.x + (t.first_row + row) * record_bytes).scale;
  const auto* weight_scales = reinterpret_cast<const float*>(t.panels[p]);
  float* out = t.out + (row * t.n_panels + p) * kPanelOutputs;
  for (int64_t o = 0; o < kPanelOutputs; o += 8) {
    __m512d sum = widen8(high + o);
    if (t.n_digits == 2) {  // exact, so one rounding less changes nothing
      sum = _mm512_fmadd_pd(sum, _mm512_set1_pd(256), widen8(low + o));
    }
    const __m512d scale = _mm512_mul_pd(_mm512_set1_pd(double{x_scale}),
                                        _mm512_cvtps_pd(_mm256_load_ps(weight_scales + o)));
    _mm256_store_ps(out + o, _mm512_cvtpd_ps(_mm512_mul_pd(sum, scale)));
  }
}

}  // namespace
}  // namespace dbrx
