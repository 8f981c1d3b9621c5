// int8 and int4 weights, the truth: plain loops over single weights.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/matmul/matmul_int.h"
#include "kernels/matmul/matmul_kernels.h"

namespace dbrx {
namespace {

constexpr int64_t kTileOutputs = 16;

struct Rounding {
  float scale;    // of the row
  float inverse;  // what x is multiplied with before rounding
};

Rounding rounding(const float* x, int64_t n, int32_t limit) {
  uint32_t most = 0;  // of the bits without sign: orders floats, with NaN above infinity
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffU;
    most = bits > most ? bits : most;
  }
  if (most >= 0x7f800000U) return {std::numeric_limits<float>::quiet_NaN(), 0};
  const auto largest = std::bit_cast<float>(most);
  if (largest < 0x1p-100F) return {0, 0};
  const auto top = static_cast<float>(limit);
  return {largest / top, top / largest};
}

void pack_x(const PackXArgs& a) noexcept {
  const IntRow layout(a.n_steps, a.n_digits);
  std::byte* record = a.packed + a.row * layout.bytes();
  std::memset(record, 0, static_cast<size_t>(layout.bytes()));
  const Rounding r = rounding(a.x, a.n, a.n_digits == 2 ? kExactLimit : kFastLimit);
  IntRowHeader header{.scale = r.scale, .totals = {}};
  for (int64_t k = 0; k < a.n; ++k) {
    const auto value = r.inverse == 0 ? 0 : static_cast<int32_t>(std::lrint(a.x[k] * r.inverse));
    const int32_t high = a.n_digits == 2 ? (value + 128) >> 8 : value;
    const int32_t digits[2] = {high, value - 256 * high};
    for (int64_t d = 0; d < a.n_digits; ++d) {
      record[layout.digit_offset(d) + k] = static_cast<std::byte>(digits[d]);
      int16_t pair = 0;
      std::byte* at = record + layout.pair_offset(d) + k / 32 * 4 + k % 4 / 2 * 2;
      std::memcpy(&pair, at, sizeof pair);
      pair = static_cast<int16_t>(pair - 8 * digits[d]);
      std::memcpy(at, &pair, sizeof pair);
      header.totals[d] -= 8 * digits[d];
    }
  }
  std::memcpy(record, &header, sizeof header);
}

int32_t int8_weight(const std::byte* panel, int64_t n_steps, int64_t o, int64_t k) {
  const std::byte* weights = panel + int_header_bytes(Format::int8, n_steps);
  const int64_t tile = k / kIntStepK * 2 + o / kTileOutputs;
  const int64_t line = k % kIntStepK / 4;
  return static_cast<int8_t>(
      weights[tile * kIntTileBytes + line * 64 + o % kTileOutputs * 4 + k % 4]);
}

int32_t half_byte(std::byte both, int64_t half) {
  return static_cast<int32_t>(both) >> (half * 4) & 15;
}

int32_t int4_weight(const std::byte* panel, int64_t n_steps, int64_t o, int64_t k) {
  const int64_t half = o / kTileOutputs, column = o % kTileOutputs;
  const std::byte scales = panel[kPanelScaleBytes + k / 32 * kTileOutputs + column];
  const std::byte* weights = panel + int_header_bytes(Format::int4, n_steps);
  const std::byte both = weights[k / 4 * 64 + column * 4 + k % 4];
  return half_byte(scales, half) * (half_byte(both, half) - 8);
}

template <int32_t (*kWeight)(const std::byte*, int64_t, int64_t, int64_t)>
float product(const MatmulTile& t, const std::byte* record, const std::byte* panel, int64_t o) {
  const IntRow layout(t.n_steps, t.n_digits);
  int32_t sums[2] = {};
  for (int64_t d = 0; d < t.n_digits; ++d) {
    const auto* digits = reinterpret_cast<const int8_t*>(record + layout.digit_offset(d));
    for (int64_t k = 0; k < t.in_features; ++k) {
      sums[d] += digits[k] * kWeight(panel, t.n_steps, o, k);
    }
  }
  float weight_scale = 0;
  std::memcpy(&weight_scale, panel + o * 4, sizeof weight_scale);
  const double sum = t.n_digits == 2 ? double(sums[0]) * 256 + sums[1] : sums[0];
  return scaled(sum, int_row_header(record).scale, weight_scale);
}

template <int32_t (*kWeight)(const std::byte*, int64_t, int64_t, int64_t)>
void run(const MatmulTile& t) noexcept {
  const int64_t record_bytes = IntRow(t.n_steps, t.n_digits).bytes();
  for (int64_t r = 0; r < t.n_rows; ++r) {
    for (int64_t p = 0; p < t.n_panels; ++p) {
      for (int64_t o = 0; o < kPanelOutputs; ++o) {
        t.out[(r * t.n_panels + p) * kPanelOutputs + o] =
            product<kWeight>(t, t.x + (t.first_row + r) * record_bytes, t.panels[p], o);
      }
    }
  }
}

}  // namespace

const MatmulKernel matmul_int8_scalar = {.name = "int8 scalar",
                                         .isa = Isa::scalar,
                                         .format = Format::int8,
                                         .x_value_bytes = 0,
                                         .pack_x = pack_x,
                                         .run = run<int8_weight>};
const MatmulKernel matmul_int4_scalar = {.name = "int4 scalar",
                                         .isa = Isa::scalar,
                                         .format = Format::int4,
                                         .x_value_bytes = 0,
                                         .pack_x = pack_x,
                                         .run = run<int4_weight>};

}  // namespace dbrx
