// F32x16 as one AVX-512 register. Included by f32x16.h.
#pragma once

#include <cstdint>

#include "kernels/simd/intrinsics.h"

namespace dbrx {
namespace {

// Registers are plentiful: bodies may keep this many F32x16 accumulators.
constexpr int kSimdAccumulators = 16;

struct F32x16 {
  __m512 v;
};

// A choice per lane.
struct Mask16 {
  __mmask16 m;
};

[[gnu::always_inline]] inline F32x16 zero16() { return {_mm512_setzero_ps()}; }
[[gnu::always_inline]] inline F32x16 broadcast(float a) { return {_mm512_set1_ps(a)}; }
[[gnu::always_inline]] inline F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
[[gnu::always_inline]] inline void store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }

[[gnu::always_inline]] inline F32x16 operator+(F32x16 a, F32x16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline F32x16 operator-(F32x16 a, F32x16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline F32x16 operator*(F32x16 a, F32x16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline F32x16 operator/(F32x16 a, F32x16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
// a * b + c, rounded once.
[[gnu::always_inline]] inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
[[gnu::always_inline]] inline F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }

// The lanes below n, which may be negative or more than 16.
[[gnu::always_inline]] inline Mask16 first_lanes(int64_t n) {
  if (n >= 16) return {0xffff};
  return {static_cast<__mmask16>(n <= 0 ? 0 : (1U << n) - 1)};
}
[[gnu::always_inline]] inline Mask16 less(F32x16 a, F32x16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
// a where the mask is set, else b.
[[gnu::always_inline]] inline F32x16 select(Mask16 mask, F32x16 a, F32x16 b) {
  return {_mm512_mask_blend_ps(mask.m, b.v, a.v)};
}
// Lanes outside the mask are not touched in memory; they load as zero.
[[gnu::always_inline]] inline F32x16 load(const float* p, Mask16 mask) {
  return {_mm512_maskz_loadu_ps(mask.m, p)};
}
[[gnu::always_inline]] inline void store(float* p, F32x16 a, Mask16 mask) {
  _mm512_mask_storeu_ps(p, mask.m, a.v);
}

// 2^n for lanes that hold n + kRoundMagic, halved downwards; see exp_f32.
struct Exp2Factors {
  F32x16 first, second;
};
[[gnu::always_inline]] inline Exp2Factors exp2_factors(F32x16 shifted, F32x16 magic) {
  const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(shifted.v), _mm512_castps_si512(magic.v));
  const __m512i half = _mm512_srai_epi32(n, 1);
  const __m512i bias = _mm512_set1_epi32(127);
  const __m512i first = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
  const __m512i second = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(n, half), bias), 23);
  return {{_mm512_castsi512_ps(first)}, {_mm512_castsi512_ps(second)}};
}

// 2^n for -126 <= n < 128, of lanes that hold n + kRoundMagic.
[[gnu::always_inline]] inline F32x16 exp2_factor(F32x16 shifted) {
  const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(n, _mm512_set1_epi32(0x3f800000)))};
}

// Sixteen pairs of bf16 as they lie in memory: their first and their second elements as floats.
struct Bf16Pairs {
  F32x16 even, odd;
};
[[gnu::always_inline]] inline Bf16Pairs unpack_bf16_pairs(__m512i pairs) {
  const __m512i odd = _mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000)));
  return {{_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16))}, {_mm512_castsi512_ps(odd)}};
}
[[gnu::always_inline]] inline Bf16Pairs load_bf16_pairs(const uint16_t* p) {
  return unpack_bf16_pairs(_mm512_loadu_si512(p));
}
[[gnu::always_inline]] inline Bf16Pairs load_bf16_pairs(const uint16_t* p, Mask16 mask) {
  return unpack_bf16_pairs(_mm512_maskz_loadu_epi32(mask.m, p));
}

// The bits of 16 floats rounded to bf16, in the upper half of each lane; float_to_bf16 says how.
[[gnu::always_inline]] inline __m512i bf16_bits(F32x16 a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i lowest = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), lowest);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  return _mm512_mask_blend_epi32(nan, rounded, quiet);
}
[[gnu::always_inline]] inline F32x16 round_to_bf16(F32x16 a) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm512_castsi512_ps(_mm512_and_si512(bf16_bits(a), upper))};
}

[[gnu::always_inline]] inline __m256 low_plus_high(F32x16 a) {
  return _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
}
[[gnu::always_inline]] inline __m256 max_low_high(F32x16 a) {
  return _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
}

}  // namespace
}  // namespace dbrx
