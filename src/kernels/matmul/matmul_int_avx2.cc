// int8 and int4 weights with AVX2's byte products. A line of 64 bytes has four k of 16 outputs; its
// two registers have 8 outputs each, so a sum stays in one 32-bit lane per output.
#include <cstring>
#include <limits>

#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_kernels.h"
#include "kernels/simd/f32x16.h"

namespace dbrx {
namespace {

constexpr int kSets = kPanelOutputs / 8;  // registers of 8 outputs in a panel
constexpr int64_t kQuads = 8;             // of the 32 k of a group
constexpr int64_t kChunkSteps = 8;        // weights that stay in L1 while all rows pass
constexpr int64_t kPrefetchBytes = 1024;

// --- packing x ---

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

DBRX_SIMD void store_digit(const IntRow& layout, std::byte* record, int64_t digit, int64_t k,
                           const __m256i* values) {
  const __m256i bytes = to_bytes(values);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(record + layout.digit_offset(digit) + k), bytes);
  const int32_t pair = group_pair(bytes);
  std::memcpy(record + layout.pair_offset(digit) + k / 32 * 4, &pair, sizeof pair);
}

void pack_x(const PackXArgs& a) noexcept {
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
  std::memcpy(record, &scale, sizeof scale);
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
      store_digit(layout, record, 1, k, low);
    }
    store_digit(layout, record, 0, k, values);
  }
}

// --- products ---

// One digit of one row.
struct Digit {
  const std::byte* values;
  const std::byte* pairs;
};

DBRX_SIMD Digit digit_of(const MatmulTile& t, int64_t row, int64_t digit) {
  const IntRow layout(t.n_steps, t.n_digits);
  const std::byte* record = t.x + (t.first_row + row) * layout.bytes();
  return {record + layout.digit_offset(digit), record + layout.pair_offset(digit)};
}

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
                                 const Digit* digits, int32_t (*sums)[kPanelOutputs]) {
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
  template <int kN>
  DBRX_SIMD static void add_step(const std::byte* panel, int64_t n_steps, int64_t step,
                                 const Digit* digits, int32_t (*sums)[kPanelOutputs]) {
    const std::byte* weights = panel + int_header_bytes(kFormat, n_steps) + step * kStepBytes;
    const std::byte* scales = panel + kPanelScaleBytes + step * kGroupScaleBytes;
    const __m256i low_half = _mm256_set1_epi8(15);
    for (int64_t group = 0; group < 2; ++group) {
      __m256i acc[kN][kSets];
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) {
        const __m256i start = broadcast4(digits[d].pairs + (step * 2 + group) * 4);
        DBRX_UNROLL
        for (int set = 0; set < kSets; ++set) acc[d][set] = start;
      }
      for (int64_t quad = 0; quad < kQuads; ++quad) {
        const std::byte* line = weights + (group * kQuads + quad) * 64;
        _mm_prefetch(reinterpret_cast<const char*>(line + kPrefetchBytes), _MM_HINT_T0);
        const __m256i both[2] = {load_line(line, 0), load_line(line, 1)};
        __m256i w[kSets];
        DBRX_UNROLL
        for (int half = 0; half < 2; ++half) {
          w[half] = _mm256_and_si256(both[half], low_half);
          w[2 + half] = _mm256_and_si256(_mm256_srli_epi16(both[half], 4), low_half);
        }
        DBRX_UNROLL
        for (int d = 0; d < kN; ++d) {
          const __m256i x = broadcast4(digits[d].values + step * kIntStepK + group * 32 + quad * 4);
          DBRX_UNROLL
          for (int set = 0; set < kSets; ++set) {
            acc[d][set] = _mm256_add_epi16(acc[d][set], _mm256_maddubs_epi16(w[set], x));
          }
        }
      }
      const __m128i both = _mm_load_si128(reinterpret_cast<const __m128i*>(scales) + group);
      const __m128i halves[2] = {_mm_and_si128(both, _mm_set1_epi8(15)),
                                 _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15))};
      DBRX_UNROLL
      for (int set = 0; set < kSets; ++set) {
        const __m128i bytes = set % 2 == 0 ? halves[set / 2] : _mm_srli_si128(halves[set / 2], 8);
        const __m256i scale = spread_scales(bytes);
        DBRX_UNROLL
        for (int d = 0; d < kN; ++d) {
          add_to(sums[d], set, _mm256_madd_epi16(acc[d][set], scale));
        }
      }
    }
  }
};

using Sums = int32_t[2][kPanelOutputs];  // of the digits of one row and panel

DBRX_SIMD void finish(const MatmulTile& t, int64_t row, int64_t p, const Sums& sums) {
  float x_scale = 0;
  std::memcpy(&x_scale, t.x + (t.first_row + row) * IntRow(t.n_steps, t.n_digits).bytes(),
              sizeof x_scale);
  const auto* weight_scales = reinterpret_cast<const float*>(t.panels[p]);
  float* out = t.out + (row * t.n_panels + p) * kPanelOutputs;
  for (int64_t o = 0; o < kPanelOutputs; ++o) {
    const double sum = t.n_digits == 2 ? double(sums[0][o]) * 256 + sums[1][o] : sums[0][o];
    out[o] = scaled(sum, x_scale, weight_scales[o]);
  }
}

template <typename Weights, int kN>
DBRX_SIMD void add_row_step(const MatmulTile& t, int64_t p, int64_t step, const Digit* digits,
                            Sums& sums) {
  Weights::template add_step<kN>(t.panels[p], t.n_steps, step, digits, sums);
}

// Few rows: all panels in lockstep, so that the memory sees several streams.
template <typename Weights, int kN>
void run_few(const MatmulTile& t) noexcept {
  alignas(64) Sums sums[kMaxTilePanels];
  for (int64_t row = 0; row < t.n_rows; ++row) {
    const Digit digits[2] = {digit_of(t, row, 0), digit_of(t, row, kN - 1)};
    std::memset(sums, 0, sizeof sums);
    for (int64_t step = 0; step < t.n_steps; ++step) {
      for (int64_t p = 0; p < t.n_panels; ++p) {
        add_row_step<Weights, kN>(t, p, step, digits, sums[p]);
      }
    }
    for (int64_t p = 0; p < t.n_panels; ++p) finish(t, row, p, sums[p]);
  }
}

// Many rows: a chunk of a panel stays in L1 while all of them pass.
template <typename Weights, int kN>
void run_many(const MatmulTile& t) noexcept {
  alignas(64) Sums sums[kMaxTileRows];
  for (int64_t p = 0; p < t.n_panels; ++p) {
    std::memset(sums, 0, static_cast<size_t>(t.n_rows) * sizeof sums[0]);
    for (int64_t first = 0; first < t.n_steps; first += kChunkSteps) {
      const int64_t end = first + kChunkSteps < t.n_steps ? first + kChunkSteps : t.n_steps;
      for (int64_t row = 0; row < t.n_rows; ++row) {
        const Digit digits[2] = {digit_of(t, row, 0), digit_of(t, row, kN - 1)};
        for (int64_t step = first; step < end; ++step) {
          add_row_step<Weights, kN>(t, p, step, digits, sums[row]);
        }
      }
    }
    for (int64_t row = 0; row < t.n_rows; ++row) finish(t, row, p, sums[row]);
  }
}

template <typename Weights>
void run(const MatmulTile& t) noexcept {
  if (t.n_rows == 1) {
    t.n_digits == 2 ? run_few<Weights, 2>(t) : run_few<Weights, 1>(t);
  } else {
    t.n_digits == 2 ? run_many<Weights, 2>(t) : run_many<Weights, 1>(t);
  }
}

}  // namespace

const MatmulKernel matmul_int8_avx2 = {.name = "int8 avx2",
                                       .isa = Isa::avx2,
                                       .format = Format::int8,
                                       .x_value_bytes = 0,
                                       .pack_x = pack_x,
                                       .run = run<Int8Weights>};
const MatmulKernel matmul_int4_avx2 = {.name = "int4 avx2",
                                       .isa = Isa::avx2,
                                       .format = Format::int4,
                                       .x_value_bytes = 0,
                                       .pack_x = pack_x,
                                       .run = run<Int4Weights>};

}  // namespace dbrx
