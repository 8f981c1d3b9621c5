// Packed x of the integer kernels, the same for every instruction set: one record per row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/matmul/linear.h"
#include "kernels/matmul/matmul_kernels.h"

namespace dbrx {

// A record: [header, 64 bytes] [digit 0: n_steps * 64 signed bytes] [digit 1] [pairs of digit 0]
// [pairs of digit 1], rounded up to an odd number of cache lines: so the same place of 16 rows lies
// in 16 sets of a cache. Digit 0 of two is the high one. A pair belongs to 32 values: two int16, -8
// times the sum of those with k % 4 < 2 and of the others. Kernels that add 8 (int4) or 128 (int8)
// to weights to make them unsigned start their sums from pairs or totals.
struct IntRowHeader {
  float scale;
  int32_t totals[2];  // of each digit: the sum of its pairs, -8 times the sum of all its values
};

struct IntRow {
  int64_t n_steps;
  int64_t n_digits;

  [[gnu::always_inline]] IntRow(int64_t steps, int64_t digits) : n_steps(steps), n_digits(digits) {}

  [[gnu::always_inline]] int64_t digit_offset(int64_t digit) const {
    return 64 + digit * n_steps * kIntStepK;
  }
  [[gnu::always_inline]] int64_t pair_offset(int64_t digit) const {
    return digit_offset(n_digits) + digit * n_steps * 8;
  }
  [[gnu::always_inline]] int64_t bytes() const {
    return ((pair_offset(n_digits) + 63) / 64 | 1) * 64;
  }
};

// One digit of one row as a kernel multiplies it.
struct IntDigit {
  const std::byte* values;
  const std::byte* pairs;
  int32_t total;
};

[[gnu::always_inline]] inline IntRowHeader int_row_header(const std::byte* record) {
  IntRowHeader header;
  std::memcpy(&header, record, sizeof header);
  return header;
}

[[gnu::always_inline]] inline IntDigit int_digit(const IntRow& layout, const std::byte* record,
                                                 int64_t digit) {
  return {record + layout.digit_offset(digit), record + layout.pair_offset(digit),
          int_row_header(record).totals[digit]};
}

// The largest integers that x becomes: of two digits 127 * 256, so that the high one stays in a
// byte.
constexpr int32_t kExactLimit = 32512;
constexpr int32_t kFastLimit = 127;

// pack_x of every vector kernel: they share the layout.
void pack_int_avx2(const PackXArgs& args) noexcept;

// y of the exact integer sums (matmul.h).
[[gnu::always_inline]] inline float scaled(double sum, float x_scale, float weight_scale) {
  return static_cast<float>(sum * (double{x_scale} * double{weight_scale}));
}

}  // namespace dbrx
