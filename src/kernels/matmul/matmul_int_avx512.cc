// int8 and int4 weights with AVX-512's VNNI: unsigned bytes times signed bytes, four products to a
// 32-bit lane. Weights are the unsigned side: int4 plus 8, int8 plus 128; what that adds is a
// multiple of the sum of x, from which the sums start. A line of 64 bytes has four k of 16 outputs.
#include "kernels/matmul/matmul_int_avx512.h"

#include <cstring>

#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_kernels.h"

namespace dbrx {
namespace {

constexpr int64_t kFewDigits = 8;   // that multiply weights as they come from memory
constexpr int64_t kMaxDigits = 12;  // that share a read of unpacked weights: 24 sums in registers
constexpr int64_t kChunkSteps = 8;  // unpacked weights that stay in L1 while all rows pass
constexpr int64_t kPrefetchBytes = 1024;

using Sums = int32_t[kPanelOutputs];  // of one digit and panel

DBRX_SIMD __m512i broadcast4(const std::byte* p) {
  int32_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}

DBRX_SIMD void add_to(Sums& sums, int tile, __m512i value) {
  auto* at = reinterpret_cast<__m512i*>(&sums) + tile;
  _mm512_store_si512(at, _mm512_add_epi32(_mm512_load_si512(at), value));
}

DBRX_SIMD void fill(Sums& sums, int32_t value) {
  auto* at = reinterpret_cast<__m512i*>(&sums);
  _mm512_store_si512(at, _mm512_set1_epi32(value));
  _mm512_store_si512(at + 1, _mm512_set1_epi32(value));
}

// -128 times the sum of x: the start of sums with weights plus 128.
DBRX_SIMD int32_t start_of(const IntDigit& digit) { return 16 * digit.total; }

struct Int8Weights {
  static constexpr Format kFormat = Format::int8;
  static constexpr int64_t kStepBytes = 2 * kIntTileBytes;

  DBRX_SIMD static void start(const IntDigit& digit, Sums& sums) { fill(sums, start_of(digit)); }

  // Adds one step of a panel for kN digits.
  template <int kN>
  DBRX_SIMD static void add_step(const std::byte* panel, int64_t n_steps, int64_t step,
                                 const IntDigit* digits, Sums* sums) {
    const std::byte* weights = panel + int_header_bytes(kFormat, n_steps) + step * kStepBytes;
    const __m512i top_bits = _mm512_set1_epi8(-128);
    DBRX_UNROLL
    for (int tile = 0; tile < 2; ++tile) {
      __m512i acc[kN];
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) acc[d] = _mm512_setzero_si512();
      for (int64_t i = 0; i < kStepLines; ++i) {
        const std::byte* line = weights + tile * kIntTileBytes + i * 64;
        prefetch(line + kPrefetchBytes);
        const __m512i w = _mm512_xor_si512(load_line(line), top_bits);
        DBRX_UNROLL
        for (int d = 0; d < kN; ++d) {
          const __m512i x = broadcast4(digits[d].values + step * kIntStepK + i * 4);
          acc[d] = _mm512_dpbusd_epi32(acc[d], w, x);
        }
      }
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) add_to(sums[d], tile, acc[d]);
    }
  }

  // One chunk as bytes plus 128.
  DBRX_SIMD static void unpack(const std::byte* panel, int64_t n_steps, int64_t first, int64_t n,
                               std::byte* out) {
    const std::byte* weights = panel + int_header_bytes(kFormat, n_steps) + first * kStepBytes;
    const __m512i top_bits = _mm512_set1_epi8(-128);
    for (int64_t i = 0; i < n * kStepBytes; i += 64) {
      _mm512_store_si512(out + i, _mm512_xor_si512(load_line(weights + i), top_bits));
    }
  }
};

struct Int4Weights {
  static constexpr Format kFormat = Format::int4;
  static constexpr int64_t kStepBytes = kIntTileBytes;

  DBRX_SIMD static void start(const IntDigit& /*digit*/, Sums& sums) { fill(sums, 0); }

  // The sum of a group starts from -8 times the sum of its x; its scale joins at its end.
  template <int kN>
  DBRX_SIMD static void add_step(const std::byte* panel, int64_t n_steps, int64_t step,
                                 const IntDigit* digits, Sums* sums) {
    const std::byte* weights = panel + int_header_bytes(kFormat, n_steps) + step * kStepBytes;
    const std::byte* scales = panel + kPanelScaleBytes + step * kGroupScaleBytes;
    const __m512i ones = _mm512_set1_epi16(1);
    for (int64_t group = 0; group < 2; ++group) {
      __m512i acc[kN][2];
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) {
        const __m512i pair = broadcast4(digits[d].pairs + (step * 2 + group) * 4);
        acc[d][0] = acc[d][1] = _mm512_madd_epi16(pair, ones);
      }
      for (int64_t i = 0; i < kStepLines / 2; ++i) {
        const std::byte* line = weights + (group * kStepLines / 2 + i) * 64;
        prefetch(line + kPrefetchBytes);
        const Halves w = halves(load_line(line));
        DBRX_UNROLL
        for (int d = 0; d < kN; ++d) {
          const __m512i x = broadcast4(digits[d].values + step * kIntStepK + group * 32 + i * 4);
          acc[d][0] = _mm512_dpbusd_epi32(acc[d][0], w.low, x);
          acc[d][1] = _mm512_dpbusd_epi32(acc[d][1], w.high, x);
        }
      }
      const __m512i bytes =
          _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(scales) + group));
      const Halves scale = halves(bytes);
      DBRX_UNROLL
      for (int d = 0; d < kN; ++d) {
        add_to(sums[d], 0, _mm512_mullo_epi32(acc[d][0], scale.low));
        add_to(sums[d], 1, _mm512_mullo_epi32(acc[d][1], scale.high));
      }
    }
  }

  DBRX_SIMD static void unpack(const std::byte* panel, int64_t n_steps, int64_t first, int64_t n,
                               std::byte* out) {
    const std::byte* weights = panel + int_header_bytes(kFormat, n_steps) + first * kStepBytes;
    const std::byte* scales = panel + kPanelScaleBytes + first * kGroupScaleBytes;
    for (int64_t i = 0; i < n; ++i) {
      unpack_int4(weights + i * kStepBytes, scales + i * kGroupScaleBytes, 128,
                  weights + (i + n) * kStepBytes, out + i * 2 * kIntTileBytes);
    }
  }
};

DBRX_SIMD IntDigit digit_of(const MatmulTile& t, int64_t i) {
  const IntRow layout(t.n_steps, t.n_digits);
  return int_digit(layout, t.x + (t.first_row + i / t.n_digits) * layout.bytes(), i % t.n_digits);
}

// Few digits in all: the panels in lockstep, so that the memory sees several streams.
template <typename Weights, int kN>
void run_few(const MatmulTile& t) noexcept {
  alignas(64) Sums sums[kMaxTilePanels][kN];
  IntDigit digits[kN];
  for (int d = 0; d < kN; ++d) {
    digits[d] = digit_of(t, d);
    for (int64_t p = 0; p < t.n_panels; ++p) Weights::start(digits[d], sums[p][d]);
  }
  for (int64_t step = 0; step < t.n_steps; ++step) {
    for (int64_t p = 0; p < t.n_panels; ++p) {
      Weights::template add_step<kN>(t.panels[p], t.n_steps, step, digits, sums[p]);
    }
  }
  for (int64_t row = 0; row < t.n_rows; ++row) {
    const int64_t d = row * t.n_digits;
    for (int64_t p = 0; p < t.n_panels; ++p) {
      finish(t, row, p, sums[p][d], sums[p][d + t.n_digits - 1]);
    }
  }
}

// Adds a chunk of unpacked weights, from step `first` on, for kN digits.
template <int kN>
void add_chunk(const MatmulTile& t, const std::byte* weights, int64_t first, int64_t n_steps,
               int64_t first_digit, Sums* sums) noexcept {
  const std::byte* x[kN];
  for (int d = 0; d < kN; ++d) x[d] = digit_of(t, first_digit + d).values + first * kIntStepK;
  __m512i acc[kN][2];
  DBRX_UNROLL
  for (int d = 0; d < kN; ++d) {
    acc[d][0] = _mm512_load_si512(sums[first_digit + d]);
    acc[d][1] = _mm512_load_si512(sums[first_digit + d] + 16);
  }
  for (int64_t line = 0; line < n_steps * kStepLines; ++line) {
    const std::byte* at = weights + line / kStepLines * 2 * kIntTileBytes + line % kStepLines * 64;
    const __m512i low = load_line(at);
    const __m512i high = load_line(at + kIntTileBytes);
    DBRX_UNROLL
    for (int d = 0; d < kN; ++d) {
      const __m512i four = broadcast4(x[d] + line * 4);
      acc[d][0] = _mm512_dpbusd_epi32(acc[d][0], low, four);
      acc[d][1] = _mm512_dpbusd_epi32(acc[d][1], high, four);
    }
  }
  DBRX_UNROLL
  for (int d = 0; d < kN; ++d) {
    _mm512_store_si512(sums[first_digit + d], acc[d][0]);
    _mm512_store_si512(sums[first_digit + d] + 16, acc[d][1]);
  }
}

constexpr decltype(&add_chunk<1>) kAddChunk[kMaxDigits] = {
    add_chunk<1>, add_chunk<2>, add_chunk<3>, add_chunk<4>,  add_chunk<5>,  add_chunk<6>,
    add_chunk<7>, add_chunk<8>, add_chunk<9>, add_chunk<10>, add_chunk<11>, add_chunk<12>};

// Many digits: a chunk of a panel is unpacked into L1 and stays there while all of them pass.
template <typename Weights>
void run_many(const MatmulTile& t) noexcept {
  alignas(64) Sums sums[kMaxTileRows];
  alignas(64) std::byte chunk[kChunkSteps * 2 * kIntTileBytes];
  const int64_t n_digits = t.n_rows * t.n_digits;
  for (int64_t p = 0; p < t.n_panels; ++p) {
    for (int64_t d = 0; d < n_digits; ++d) fill(sums[d], start_of(digit_of(t, d)));
    for (int64_t first = 0; first < t.n_steps; first += kChunkSteps) {
      const int64_t n_steps = t.n_steps - first < kChunkSteps ? t.n_steps - first : kChunkSteps;
      Weights::unpack(t.panels[p], t.n_steps, first, n_steps, chunk);
      for (int64_t d = 0; d < n_digits; d += kMaxDigits) {
        const int64_t n = n_digits - d < kMaxDigits ? n_digits - d : kMaxDigits;
        kAddChunk[n - 1](t, chunk, first, n_steps, d, sums);
      }
    }
    for (int64_t row = 0; row < t.n_rows; ++row) {
      const int64_t d = row * t.n_digits;
      finish(t, row, p, sums[d], sums[d + t.n_digits - 1]);
    }
  }
}

template <typename Weights>
void run(const MatmulTile& t) noexcept {
  constexpr decltype(&run_few<Weights, 1>) kRunFew[kFewDigits] = {
      run_few<Weights, 1>, run_few<Weights, 2>, run_few<Weights, 3>, run_few<Weights, 4>,
      run_few<Weights, 5>, run_few<Weights, 6>, run_few<Weights, 7>, run_few<Weights, 8>};
  const int64_t n_digits = t.n_rows * t.n_digits;
  n_digits <= kFewDigits ? kRunFew[n_digits - 1](t) : run_many<Weights>(t);
}

}  // namespace

const MatmulKernel matmul_int8_avx512 = {.name = "int8 avx512",
                                         .isa = Isa::avx512,
                                         .format = Format::int8,
                                         .x_value_bytes = 0,
                                         .pack_x = pack_int_avx2,
                                         .run = run<Int8Weights>};
const MatmulKernel matmul_int4_avx512 = {.name = "int4 avx512",
                                         .isa = Isa::avx512,
                                         .format = Format::int4,
                                         .x_value_bytes = 0,
                                         .pack_x = pack_int_avx2,
                                         .run = run<Int4Weights>};

}  // namespace dbrx
