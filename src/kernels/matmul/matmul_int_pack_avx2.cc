// Rounding a row of x to the records of the integer kernels.
#include <cstring>
#include <limits>

#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

DBRX_SIMD uint32_t largest_bits(const float* x, int64_t n) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i most = _mm256_setzero_si256();
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 v = load(x + i, first_lanes(n - i));
    most = _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(v.low), magnitude));
    most = _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(v.high), magnitude));
  }
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}

// 32 integers of four registers as signed bytes, in order.
DBRX_SIMD __m256i to_bytes(const __m256i* v) {
  const __m256i bytes =
      _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// -8 times the sums of the bytes with k % 4 < 2 and of the others, as two int16.
DBRX_SIMD int32_t group_pair(__m256i bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  __m128i sum = _mm_add_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  sum = _mm_add_epi16(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi16(sum, _mm_shuffle_epi32(sum, 0xb1));
  return _mm_cvtsi128_si32(_mm_sub_epi16(_mm_setzero_si128(), _mm_slli_epi16(sum, 3)));
}

// Returns the sum of the pair.
DBRX_SIMD int32_t store_digit(const IntRow& layout, std::byte* record, int64_t digit, int64_t k,
                              const __m256i* values) {
  const __m256i bytes = to_bytes(values);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(record + layout.digit_offset(digit) + k), bytes);
  const int32_t pair = group_pair(bytes);
  std::memcpy(record + layout.pair_offset(digit) + k / 32 * 4, &pair, sizeof pair);
  return static_cast<int16_t>(pair) + (pair >> 16);
}

}  // namespace

void pack_int_avx2(const PackXArgs& a) noexcept {
  const IntRow layout(a.n_steps, a.n_digits);
  std::byte* record = a.packed + a.row * layout.bytes();
  const uint32_t most = largest_bits(a.x, a.n);
  const auto top = static_cast<float>(a.n_digits == 2 ? kExactLimit : kFastLimit);
  float largest = 0;
  std::memcpy(&largest, &most, sizeof largest);
  float scale = largest / top;
  float inverse = top / largest;
  if (most >= 0x7f800000U) {
    scale = std::numeric_limits<float>::quiet_NaN();
    inverse = 0;
  } else if (largest < 0x1p-100F) {
    scale = inverse = 0;
  }
  IntRowHeader header{.scale = scale, .totals = {}};
  const F32x16 factor = broadcast(inverse);
  for (int64_t k = 0; k < a.n_steps * kIntStepK; k += 32) {
    __m256i values[4];
    DBRX_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int64_t i = k + half * 16;
      F32x16 x = zero16();
      if (inverse != 0) x = load(a.x + (i < a.n ? i : 0), first_lanes(a.n - i)) * factor;
      values[2 * half] = _mm256_cvtps_epi32(x.low);
      values[2 * half + 1] = _mm256_cvtps_epi32(x.high);
    }
    if (a.n_digits == 2) {
      __m256i low[4];
      DBRX_UNROLL
      for (int i = 0; i < 4; ++i) {
        const __m256i high =
            _mm256_srai_epi32(_mm256_add_epi32(values[i], _mm256_set1_epi32(128)), 8);
        low[i] = _mm256_sub_epi32(values[i], _mm256_slli_epi32(high, 8));
        values[i] = high;
      }
      header.totals[1] += store_digit(layout, record, 1, k, low);
    }
    header.totals[0] += store_digit(layout, record, 0, k, values);
  }
  std::memcpy(record, &header, sizeof header);
}

}  // namespace dbrx
