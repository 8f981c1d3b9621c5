// F32x16 as two AVX registers. Included by f32x16.h; f32x16_avx512.h has the comments.
#pragma once

#include <cstdint>

#include "kernels/simd/intrinsics.h"

namespace dbrx {
namespace {

constexpr int kSimdAccumulators = 4;  // of 16 registers, two for each F32x16

struct F32x16 {
  __m256 low, high;
};

struct Mask16 {
  __m256i low, high;
};

[[gnu::always_inline]] inline F32x16 zero16() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
[[gnu::always_inline]] inline F32x16 broadcast(float a) {
  const __m256 v = _mm256_set1_ps(a);
  return {v, v};
}
[[gnu::always_inline]] inline F32x16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
[[gnu::always_inline]] inline void store(float* p, F32x16 a) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}

[[gnu::always_inline]] inline F32x16 operator+(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 operator-(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 operator*(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 operator/(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
[[gnu::always_inline]] inline F32x16 max(F32x16 a, F32x16 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

[[gnu::always_inline]] inline Mask16 first_lanes(int64_t n) {
  const int bound = static_cast<int>(n > 16 ? 16 : n < 0 ? 0 : n);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_cmpgt_epi32(_mm256_set1_epi32(bound), lanes),
          _mm256_cmpgt_epi32(_mm256_set1_epi32(bound - 8), lanes)};
}
[[gnu::always_inline]] inline Mask16 less(F32x16 a, F32x16 b) {
  return {_mm256_castps_si256(_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
          _mm256_castps_si256(_mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
[[gnu::always_inline]] inline F32x16 select(Mask16 mask, F32x16 a, F32x16 b) {
  return {_mm256_blendv_ps(b.low, a.low, _mm256_castsi256_ps(mask.low)),
          _mm256_blendv_ps(b.high, a.high, _mm256_castsi256_ps(mask.high))};
}
[[gnu::always_inline]] inline F32x16 load(const float* p, Mask16 mask) {
  return {_mm256_maskload_ps(p, mask.low), _mm256_maskload_ps(p + 8, mask.high)};
}
[[gnu::always_inline]] inline void store(float* p, F32x16 a, Mask16 mask) {
  _mm256_maskstore_ps(p, mask.low, a.low);
  _mm256_maskstore_ps(p + 8, mask.high, a.high);
}

struct Exp2Factors {
  F32x16 first, second;
};
struct Exp2Half {
  __m256 first, second;
};
[[gnu::always_inline]] inline Exp2Half exp2_half(__m256 shifted, __m256 magic) {
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(magic));
  const __m256i half = _mm256_srai_epi32(n, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
  return {_mm256_castsi256_ps(first), _mm256_castsi256_ps(second)};
}
[[gnu::always_inline]] inline Exp2Factors exp2_factors(F32x16 shifted, F32x16 magic) {
  const Exp2Half low = exp2_half(shifted.low, magic.low);
  const Exp2Half high = exp2_half(shifted.high, magic.high);
  return {{low.first, high.first}, {low.second, high.second}};
}

[[gnu::always_inline]] inline __m256 exp2_factor_half(__m256 shifted) {
  const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(n, _mm256_set1_epi32(0x3f800000)));
}
[[gnu::always_inline]] inline F32x16 exp2_factor(F32x16 shifted) {
  return {exp2_factor_half(shifted.low), exp2_factor_half(shifted.high)};
}

struct Bf16Pairs {
  F32x16 even, odd;
};
[[gnu::always_inline]] inline Bf16Pairs unpack_bf16_pairs(__m256i low, __m256i high) {
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  return {{_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)),
           _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))},
          {_mm256_castsi256_ps(_mm256_and_si256(low, upper)),
           _mm256_castsi256_ps(_mm256_and_si256(high, upper))}};
}
[[gnu::always_inline]] inline Bf16Pairs load_bf16_pairs(const uint16_t* p) {
  return unpack_bf16_pairs(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                           _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 16)));
}
[[gnu::always_inline]] inline Bf16Pairs load_bf16_pairs(const uint16_t* p, Mask16 mask) {
  const int* pairs = reinterpret_cast<const int*>(p);
  return unpack_bf16_pairs(_mm256_maskload_epi32(pairs, mask.low),
                           _mm256_maskload_epi32(pairs + 8, mask.high));
}

[[gnu::always_inline]] inline __m256 round_to_bf16_half(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i lowest = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), lowest);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
  const __m256 chosen =
      _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan);
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  return _mm256_and_ps(chosen, _mm256_castsi256_ps(upper));
}
[[gnu::always_inline]] inline F32x16 round_to_bf16(F32x16 a) {
  return {round_to_bf16_half(a.low), round_to_bf16_half(a.high)};
}

[[gnu::always_inline]] inline __m256 low_plus_high(F32x16 a) {
  return _mm256_add_ps(a.low, a.high);
}
[[gnu::always_inline]] inline __m256 max_low_high(F32x16 a) { return _mm256_max_ps(a.low, a.high); }

}  // namespace
}  // namespace dbrx
