// int8 and int4 weights with AVX2's byte products. A line of 64 bytes has four k of 16 outputs; its
// two registers have 8 outputs each, so a sum stays in one 32-bit lane per output. Up to four
// digits (of one row or of several) share a read of the weights.
#include <cstring>

#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

constexpr int kMaxDigits = 4;       // that share a read
constexpr int64_t kQuads = 8;       // of the 32 k of a group
constexpr int64_t kChunkSteps = 8;  // weights that stay in L1 while all rows pass
constexpr int64_t kPrefetchBytes = 1024;

DBRX_SIMD __m256i load_line(const std::byte* line, int half) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(line) + half);
}

DBRX_SIMD __m256i broadcast4(const std::byte* p) {
  int32_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}

// sums[set][lane]: output 8 set + lane of the panel.
DBRX_SIMD void add_to(int32_t* sums, int set, __m256i value) {
  auto* at = reinterpret_cast<__m256i*>(sums) + set;
  _mm256_store_si256(at, _mm256_add_epi32(_mm256_load_si256(at), value));
}

struct Int8Weights {
  static constexpr Format kFormat = Format::int8;
  static constexpr int64_t kStepBytes = 2 * kIntTileBytes;

  // Adds one step of a panel for kN digits to their sums of 32 outputs each.
  // |x| times w with the sign of x: |x| <= 128, |w| <= 127, so a pair of products stays in 16 bits.
  template <int kN>
  DBRX_SIMD static void add_step(const std::byte* panel, int64_t n_steps, int64_t step,
                                 const IntDigit* digits, int32_t (*sums)[kPanelOutputs]) {
    const std::byte* weights = panel + int_header_bytes(kFormat, n_steps) + step * kStepBytes;
    const __m256i ones = _mm256_set1_epi16(1);
    DBRX_UNROLL
    for (int tile = 0; tile < 2; ++tile) {
      __m256i acc[kN][2];
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) acc[d][0] = acc[d][1] = _mm256_setzero_si256();
      for (int64_t quad = 0; quad < 2 * kQuads; ++quad) {
        const std::byte* line = weights + tile * kIntTileBytes + quad * 64;
        _mm_prefetch(reinterpret_cast<const char*>(line + kPrefetchBytes), _MM_HINT_T0);
        const __m256i w[2] = {load_line(line, 0), load_line(line, 1)};
        DBRX_UNROLL
        for (int d = 0; d < kN; ++d) {
          const __m256i x = broadcast4(digits[d].values + step * kIntStepK + quad * 4);
          const __m256i size = _mm256_abs_epi8(x);
          DBRX_UNROLL
          for (int half = 0; half < 2; ++half) {
            const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w[half], x));
            acc[d][half] = _mm256_add_epi32(acc[d][half], _mm256_madd_epi16(pairs, ones));
          }
        }
      }
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) {
        add_to(sums[d], 2 * tile, acc[d][0]);
        add_to(sums[d], 2 * tile + 1, acc[d][1]);
      }
    }
  }
};

struct Int4Weights {
  static constexpr Format kFormat = Format::int4;
  static constexpr int64_t kStepBytes = kIntTileBytes;

  // The scales of 8 outputs, each twice as an int16.
  DBRX_SIMD static __m256i spread_scales(__m128i bytes) {
    const __m256i s = _mm256_cvtepu8_epi32(bytes);
    return _mm256_or_si256(s, _mm256_slli_epi32(s, 16));
  }

  // w + 8 is unsigned, so the byte products need no sign; 32 k of them stay in 16 bits, from the
  // start value that takes the 8 x away again. The group's scale joins when pairs become 32 bits.
  // More than two digits pass half a line at a time, so that their sums fit into registers.
  template <int kN>
  DBRX_SIMD static void add_step(const std::byte* panel, int64_t n_steps, int64_t step,
                                 const IntDigit* digits, int32_t (*sums)[kPanelOutputs]) {
    constexpr int kHalves = kN <= 2 ? 2 : 1;
    const std::byte* weights = panel + int_header_bytes(kFormat, n_steps) + step * kStepBytes;
    const std::byte* scales = panel + kPanelScaleBytes + step * kGroupScaleBytes;
    for (int64_t group = 0; group < 2; ++group) {
      DBRX_UNROLL
      for (int half = 0; half < 2; half += kHalves) {
        __m256i acc[kN][kHalves][2];  // of outputs 8 half.. and 16 + 8 half..
        DBRX_UNROLL
        for (int d = 0; d < kN; ++d) {
          const __m256i start = broadcast4(digits[d].pairs + (step * 2 + group) * 4);
          DBRX_UNROLL
          for (int h = 0; h < kHalves; ++h) acc[d][h][0] = acc[d][h][1] = start;
        }
        for (int64_t quad = 0; quad < kQuads; ++quad) {
          add_quad<kN, kHalves>(weights + (group * kQuads + quad) * 64, half, digits,
                                step * kIntStepK + group * 32 + quad * 4, acc);
        }
        DBRX_UNROLL
        for (int h = 0; h < kHalves; ++h) {
          add_scaled_sums<kN, kHalves>(scales + group * 16, half, h, acc, sums);
        }
      }
    }
  }

 private:
  // Four k of the half lines from `half` on.
  template <int kN, int kHalves>
  DBRX_SIMD static void add_quad(const std::byte* line, int half, const IntDigit* digits, int64_t k,
                                 __m256i (&acc)[kN][kHalves][2]) {
    const __m256i mask = _mm256_set1_epi8(15);
    if (half == 0) {
      _mm_prefetch(reinterpret_cast<const char*>(line + kPrefetchBytes), _MM_HINT_T0);
    }
    __m256i low[kHalves];
    __m256i high[kHalves];
    DBRX_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      const __m256i both = load_line(line, half + h);
      low[h] = _mm256_and_si256(both, mask);
      high[h] = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
    }
    DBRX_UNROLL
    for (int d = 0; d < kN; ++d) {
      const __m256i x = broadcast4(digits[d].values + k);
      DBRX_UNROLL
      for (int h = 0; h < kHalves; ++h) {
        acc[d][h][0] = _mm256_add_epi16(acc[d][h][0], _mm256_maddubs_epi16(low[h], x));
        acc[d][h][1] = _mm256_add_epi16(acc[d][h][1], _mm256_maddubs_epi16(high[h], x));
      }
    }
  }

  template <int kN, int kHalves>
  DBRX_SIMD static void add_scaled_sums(const std::byte* scales, int half, int h,
                                        const __m256i (&acc)[kN][kHalves][2],
                                        int32_t (*sums)[kPanelOutputs]) {
    const __m128i both = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales + (half + h) * 8));
    const __m128i bytes[2] = {_mm_and_si128(both, _mm_set1_epi8(15)),
                              _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15))};
    DBRX_UNROLL
    for (int tile = 0; tile < 2; ++tile) {
      const __m256i scale = spread_scales(bytes[tile]);
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) {
        add_to(sums[d], 2 * tile + half + h, _mm256_madd_epi16(acc[d][h][tile], scale));
      }
    }
  }
};

DBRX_SIMD __m256d widen4(const int32_t* sums) {
  return _mm256_cvtepi32_pd(_mm_load_si128(reinterpret_cast<const __m128i*>(sums)));
}

// y of one row and panel; sums: of its digits.
DBRX_SIMD void finish(const MatmulTile& t, int64_t row, int64_t p,
                      const int32_t (*sums)[kPanelOutputs]) {
  const int64_t record_bytes = IntRow(t.n_steps, t.n_digits).bytes();
  const float x_scale = int_row_header(t.x + (t.first_row + row) * record_bytes).scale;
  const auto* weight_scales = reinterpret_cast<const float*>(t.panels[p]);
  float* out = t.out + (row * t.n_panels + p) * kPanelOutputs;
  for (int64_t o = 0; o < kPanelOutputs; o += 4) {
    __m256d sum = widen4(sums[0] + o);
    if (t.n_digits == 2) {  // exact, so one rounding less changes nothing
      sum = _mm256_fmadd_pd(sum, _mm256_set1_pd(256), widen4(sums[1] + o));
    }
    const __m256d scale = _mm256_mul_pd(_mm256_set1_pd(double{x_scale}),
                                        _mm256_cvtps_pd(_mm_load_ps(weight_scales + o)));
    _mm_store_ps(out + o, _mm256_cvtpd_ps(_mm256_mul_pd(sum, scale)));
  }
}

DBRX_SIMD IntDigit digit_of(const MatmulTile& t, int64_t i) {
  const IntRow layout(t.n_steps, t.n_digits);
  return int_digit(layout, t.x + (t.first_row + i / t.n_digits) * layout.bytes(), i % t.n_digits);
}

// Few digits in all: the panels in lockstep, so that the memory sees several streams.
template <typename Weights, int kN>
void run_few(const MatmulTile& t) noexcept {
  alignas(64) int32_t sums[kMaxTilePanels][kN][kPanelOutputs] = {};
  IntDigit digits[kN];
  for (int d = 0; d < kN; ++d) digits[d] = digit_of(t, d);
  for (int64_t step = 0; step < t.n_steps; ++step) {
    for (int64_t p = 0; p < t.n_panels; ++p) {
      Weights::template add_step<kN>(t.panels[p], t.n_steps, step, digits, sums[p]);
    }
  }
  for (int64_t row = 0; row < t.n_rows; ++row) {
    for (int64_t p = 0; p < t.n_panels; ++p) finish(t, row, p, sums[p] + row * t.n_digits);
  }
}

template <typename Weights, int kN>
void add_chunk(const MatmulTile& t, int64_t p, int64_t first_step, int64_t end_step,
               int64_t first_digit, int32_t (*sums)[kPanelOutputs]) noexcept {
  IntDigit digits[kN];
  for (int d = 0; d < kN; ++d) digits[d] = digit_of(t, first_digit + d);
  for (int64_t step = first_step; step < end_step; ++step) {
    Weights::template add_step<kN>(t.panels[p], t.n_steps, step, digits, sums + first_digit);
  }
}

// Many digits: a chunk of a panel stays in L1 while all of them pass.
template <typename Weights>
void run_many(const MatmulTile& t) noexcept {
  constexpr decltype(&add_chunk<Weights, 1>) kAddChunk[] = {
      add_chunk<Weights, 1>, add_chunk<Weights, 2>, add_chunk<Weights, 3>, add_chunk<Weights, 4>};
  alignas(64) int32_t sums[kMaxTileRows][kPanelOutputs];
  const int64_t n_digits = t.n_rows * t.n_digits;
  for (int64_t p = 0; p < t.n_panels; ++p) {
    std::memset(sums, 0, static_cast<size_t>(n_digits) * sizeof sums[0]);
    for (int64_t first = 0; first < t.n_steps; first += kChunkSteps) {
      const int64_t end = first + kChunkSteps < t.n_steps ? first + kChunkSteps : t.n_steps;
      for (int64_t d = 0; d < n_digits; d += kMaxDigits) {
        const int64_t n = n_digits - d < kMaxDigits ? n_digits - d : kMaxDigits;
        kAddChunk[n - 1](t, p, first, end, d, sums);
      }
    }
    for (int64_t row = 0; row < t.n_rows; ++row) finish(t, row, p, sums + row * t.n_digits);
  }
}

template <typename Weights>
void run(const MatmulTile& t) noexcept {
  switch (t.n_rows * t.n_digits) {
    case 1:
      return run_few<Weights, 1>(t);
    case 2:
      return run_few<Weights, 2>(t);
    case 3:
      return run_few<Weights, 3>(t);
    case 4:
      return run_few<Weights, 4>(t);
    default:
      return run_many<Weights>(t);
  }
}

}  // namespace

const MatmulKernel matmul_int8_avx2 = {.name = "int8 avx2",
                                       .isa = Isa::avx2,
                                       .format = Format::int8,
                                       .x_value_bytes = 0,
                                       .pack_x = pack_int_avx2,
                                       .run = run<Int8Weights>};
const MatmulKernel matmul_int4_avx2 = {.name = "int4 avx2",
                                       .isa = Isa::avx2,
                                       .format = Format::int4,
                                       .x_value_bytes = 0,
                                       .pack_x = pack_int_avx2,
                                       .run = run<Int4Weights>};

}  // namespace dbrx
